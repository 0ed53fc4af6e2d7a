"""The plan: trials into cohorts, cohorts into units of work for workers; parameter counts. Needs space, data's `describe`."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sweep.checkpoint import Saved, trial_key
from sweep.data import DataInfo
from sweep.errors import UsageError
from sweep.hyperparameters import Setting
from sweep.recipe import Recipe
from sweep.space import Trial, program_key

MAX_LANES = 64
"""Lanes of one program at most: past this, a step's fixed cost is small beside its arithmetic on a CPU."""

LISTED = 1000
"""Cohorts that a plan names one by one; a grid may have a million."""

LANE_BUDGET = 2_000_000
"""Activations and parameters, in numbers, that the lanes of one program hold together at most: about what the
caches of one core keep. One lane is always allowed."""


@dataclass(frozen=True)
class CohortPlan:
    """A cohort of a plan. program: the hyperparameters that its trials share because they decide the program."""

    program: Setting
    settings: int
    trials: int
    parameters: int
    lanes: int


@dataclass(frozen=True)
class Plan:
    """What a grid would run, without a trial of it being made."""

    data: DataInfo
    swept: tuple[str, ...]
    combinations: int
    settings: int
    trials: int
    seeds: int
    folded: dict[str, int]
    cohort_count: int
    cohorts: list[CohortPlan]  # the first LISTED of them


@dataclass(frozen=True)
class Unit:
    """What one worker trains at a time: trials of one cohort, as lanes of one program.

    attempt: from 1; checkpoint: where some of it has been trained already.
    """

    trials: tuple[Trial, ...]
    attempt: int = 1
    checkpoint: Path | None = None

    def halves(self) -> list[Unit]:
        """The same trials in two programs, one attempt later; one trial stays as it is."""
        middle = (len(self.trials) + 1) // 2
        parts = self.trials[:middle], self.trials[middle:]
        return [Unit(part, self.attempt + 1, self.checkpoint) for part in parts if part]


def plan_grid(recipe: Recipe, data: DataInfo) -> Plan:
    """Counts a grid's settings, trials, folded combinations and cohorts; checks that every network fits the data.

    Raises UsageError: a cnn on flat rows or too deep for the image, more training rows than there are, a range without n.
    """
    grid = recipe.grid
    census = grid.census
    for group in census.groups:
        for program in group.programs("model", "hidden", "depth", "batch_size", "train_size"):
            check_fit(program, data)
    cohorts = []
    for program, settings in itertools.islice(census.cohorts(), LISTED):
        trials = settings * len(grid.seeds)
        lanes = lane_count(program, data, trials)
        cohorts.append(CohortPlan(program, settings, trials, parameter_count(program, data), lanes))
    return Plan(
        data=data,
        swept=recipe.swept,
        combinations=grid.combinations,
        settings=census.settings,
        trials=census.settings * len(grid.seeds),
        seeds=len(grid.seeds),
        folded=census.folded,
        cohort_count=census.cohort_count,
        cohorts=cohorts,
    )


def fold_text(plan: Plan) -> str:
    """What was folded, in words."""
    folded = f"{plan.combinations - plan.settings:,} of {plan.combinations:,} combinations"
    return f"{folded} differ from another only where {', '.join(plan.folded)} is inactive"


def check_fit(program: Setting, data: DataInfo) -> None:
    """Raises UsageError if the network of a setting cannot be built for, or trained on, the data."""
    size = program["train_size"]
    if not isinstance(size, str) and size > data.train:
        raise UsageError(f"train_size = {size}: {data.name} has {data.train} training rows; expected at most that")
    if program["model"] == "mlp" and program["batch_norm"] and program["batch_size"] == 1:
        raise UsageError(
            "batch_size = 1: batch norm has no variance of one row; expected at least 2, or batch_norm = off"
        )
    if program["model"] == "mlp":
        _check_memory(program, data)
        return
    if len(data.shape) != 3:
        raise UsageError(
            f"model = cnn: rows of {data.name} are flat ({data.shape[0]} numbers); expected images, or model = mlp"
        )
    deepest = int(math.log2(min(data.shape[1:])))
    if int(program["depth"]) > deepest:
        _, height, width = data.shape
        raise UsageError(
            f"depth = {program['depth']}: too deep for a cnn on {data.name}, whose images are {height} x {width}: "
            f"each stage halves them, so the deepest that fits is {deepest}"
        )
    _check_memory(program, data)


def _check_memory(program: Setting, data: DataInfo) -> None:
    """Raises UsageError for a network whose weights, gradients and Adam's moments alone are more than the memory."""
    needed = 16 * parameter_count(program, data)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UsageError(
            f"hidden = {program['hidden']}, depth = {program['depth']}: {needed / 16:,.0f} parameters need at least "
            f"{needed / 2**30:,.0f} GiB to train; this machine has {there / 2**30:,.0f} GiB"
        )


def parameter_count(program: Setting, data: DataInfo) -> int:
    """Trained numbers of the network: weights, biases, batch norm's scales and shifts."""
    return sum(parameters for parameters, _ in _layers(program, data))


def activation_count(program: Setting, data: DataInfo) -> int:
    """Numbers that one row's forward pass leaves in the layers, roughly."""
    return sum(activations for _, activations in _layers(program, data))


def lane_count(program: Setting, data: DataInfo, trials: int) -> int:
    """How many lanes one program of this cohort gets: as many as stay in the cache, at least one."""
    if program["model"] == "cnn" and math.prod(data.shape) > 256:
        return 1  # the convolutions of a lane fill the cache alone; more lanes measured slower
    size = program["batch_size"]
    rows = data.train if isinstance(size, str) else min(int(size), data.train)
    one = 4 * parameter_count(program, data) + rows * activation_count(program, data)
    return max(1, min(MAX_LANES, trials, LANE_BUDGET // one))


def _layers(program: Setting, data: DataInfo) -> list[tuple[int, int]]:
    """(parameters, activations of one row) of each layer."""
    norm = program["batch_norm"]
    per_unit = 1 if not norm else (0 if program["bn_position"] == "before" else 1) + 2 * bool(program["bn_affine"])
    hidden, depth = int(program["hidden"]), int(program["depth"])
    passes = 3 if norm else 2
    out = []
    if program["model"] == "mlp":
        width = math.prod(data.shape)
        for _ in range(depth):
            out.append((hidden * (width + per_unit), passes * hidden))
            width = hidden
    else:
        channels, height, side = data.shape
        for stage in range(depth):
            filters = hidden * 2**stage
            out.append((filters * (9 * channels + per_unit), passes * filters * height * side))
            channels, height, side = filters, height // 2, side // 2
        width = channels * height * side
    return [*out, (data.classes * (width + 1), data.classes)]


def units(
    trials: Iterable[Trial], data: DataInfo, jobs: int, lanes: int | None = None, saved: Sequence[Saved] = ()
) -> list[Unit]:
    """The trials as units of work, the longest first. lanes: at most so many in each, instead of the planner's choice.

    Lanes of one seed stand together, since they share minibatches. With several workers a cohort is cut into as many
    units at least, so that none waits while another trains them all. Trials of a `saved` checkpoint stay together.
    """
    places = {key: one.path for one in reversed(saved) for key in one.keys}
    cohorts: dict[tuple[str, Path | None], list[Trial]] = {}
    for trial in trials:
        place = places.get(trial_key(trial)) if places else None
        cohorts.setdefault((program_key(trial.setting), place), []).append(trial)
    out: list[tuple[float, Unit]] = []
    for (key, place), members in cohorts.items():
        program = json.loads(key)
        widest = lanes or lane_count(program, data, len(members))
        pieces = min(len(members), max(jobs, math.ceil(len(members) / widest)))
        members.sort(key=lambda trial: (trial.seed, trial.number))
        cost = relative_cost(program, data)
        for piece in _even(members, pieces):
            out.append((cost * len(piece), Unit(tuple(piece), checkpoint=place)))
    out.sort(key=lambda pair: -pair[0])
    return [unit for _, unit in out]


def relative_cost(program: Setting, data: DataInfo) -> float:
    """Multiply-adds of one trial, plus a fixed share for each step; for ordering work, not for telling time."""
    size = program["train_size"]
    rows = data.train if isinstance(size, str) else int(size)
    batch = program["batch_size"]
    steps = 1 if isinstance(batch, str) else math.ceil(rows / int(batch))
    if program["model"] == "mlp":
        work = parameter_count(program, data)
    else:
        hidden, work, (channels, height, width) = int(program["hidden"]), 0, data.shape
        for stage in range(int(program["depth"])):
            filters = hidden * 2**stage
            work += 9 * channels * filters * height * width
            channels, height, width = filters, height // 2, width // 2
    return int(program["epochs"]) * (3.0 * rows * work + steps * 500_000)


def _even(members: Sequence[Trial], pieces: int) -> list[Sequence[Trial]]:
    """Consecutive runs whose lengths differ by at most one."""
    cuts = [len(members) * piece // pieces for piece in range(pieces + 1)]
    return [members[a:b] for a, b in pairwise(cuts)]


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as plain values, for `--json`."""
    return {
        "data": vars(plan.data) | {"shape": list(plan.data.shape)},
        "swept": list(plan.swept),
        **{
            name: getattr(plan, name)
            for name in ("combinations", "settings", "seeds", "trials", "folded", "cohort_count")
        },
        "cohorts": [vars(cohort) for cohort in plan.cohorts],
    }
