"""A grid's trials divided among machines that do not talk: by the recipe and the planned cost alone.

Cohorts stay whole as far as the shares come out even; where they do not, the costly ones are cut. Nothing measured goes
in, so every machine finds the same division.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence

from sweep.courses import share_courses
from sweep.data import DataInfo
from sweep.errors import UsageError
from sweep.plan.times import relative_cost
from sweep.recipe import Recipe
from sweep.space import Trial, program_key
from sweep.wording import count

UNEVEN = 1.05
"""The largest share may cost so many times the mean before cohorts are cut."""

Piece = tuple[float, Sequence[int]]
"""Trials that stay together, by their places in the grid, and what each of them costs."""


def share_of(recipe: Recipe, data: DataInfo) -> frozenset[int]:
    """The places in the grid, from 0, of the trials of a recipe's shard. Raises UsageError if there are more shards
    than trials."""
    assert recipe.shard is not None
    cohorts = _cohorts(recipe, data)
    trials = sum(len(places) for _, places in cohorts)
    if recipe.shard.of > trials:
        raise UsageError(
            f"--shard {recipe.shard.text}: the grid has {count(trials, 'trial')}; expected at most {trials:,} shards"
        )
    return frozenset(divide(cohorts, recipe.shard.of)[recipe.shard.number - 1])


def divide(cohorts: Sequence[Piece], shards: int) -> list[list[int]]:
    """The trials of each shard, by place.

    The costliest piece goes to the shard that has least so far (Graham 1969, Bounds on multiprocessing timing
    anomalies). Whole cohorts are tried first, then pieces of at most a share's cost, of half of it, and so on, until
    the largest share is near the mean or every piece is one trial.
    """
    mean = sum(cost * len(places) for cost, places in cohorts) / shards
    most = float("inf")
    while True:
        pieces = [piece for cohort in cohorts for piece in _cut(cohort, most)]
        loads, shares = _deal(pieces, shards)
        single = all(len(places) == 1 for _, places in pieces)
        if single or (len(pieces) >= shards and max(loads) <= UNEVEN * mean):
            return shares
        most = min(mean, most / 2)


def _cohorts(recipe: Recipe, data: DataInfo) -> list[Piece]:
    """The cohorts of a grid; of a user's own code, whose trials train alone and cost nobody knows what, each trial."""
    grid = recipe.grid
    if recipe.trainer:
        return [(1.0, [place]) for place in range(grid.combinations * len(grid.seeds))]
    costs: dict[str, float] = {}
    cohorts: dict[tuple[str, int], list[tuple[Trial, ...]]] = {}
    last, key = None, ""
    for lane in share_courses(grid.trials()):
        if lane[-1].setting is not last:  # seeds of one setting come one after another
            last, key = lane[-1].setting, program_key(lane[-1].setting)
        if key not in costs:
            costs[key] = relative_cost(last, data)
        cohorts.setdefault((key, recipe.split_of(lane[-1].seed)), []).append(lane)
    return [_piece(costs[key], lanes) for (key, _), lanes in cohorts.items()]


def _piece(cost: float, lanes: list[tuple[Trial, ...]]) -> Piece:
    """A cohort. Trials of one seed stand together, as in units: they share minibatches; so do those of one course,
    which train as one."""
    lanes.sort(key=lambda lane: (lane[0].seed, lane[0].number))
    places = [trial.number for lane in lanes for trial in lane]
    return cost * len(lanes) / len(places), places


def _cut(cohort: Piece, most: float) -> list[Piece]:
    """A cohort in as many even pieces as keep each within a cost."""
    cost, places = cohort
    pieces = min(len(places), max(1, -int(-cost * len(places) // most)))
    ends = [len(places) * end // pieces for end in range(pieces + 1)]
    return [(cost, places[begin:end]) for begin, end in itertools.pairwise(ends)]


def _deal(pieces: Sequence[Piece], shards: int) -> tuple[list[float], list[list[int]]]:
    """What each shard costs, and its places."""
    free = [(0.0, shard) for shard in range(shards)]
    shares: list[list[int]] = [[] for _ in range(shards)]
    for cost, places in sorted(pieces, key=lambda piece: (-piece[0] * len(piece[1]), piece[1][0])):
        load, shard = free[0]
        shares[shard] += places
        heapq.heapreplace(free, (load + cost * len(places), shard))
    return [load for load, _ in free], shares
