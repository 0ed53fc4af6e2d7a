"""Trials into cohorts, cohorts into units of work for workers."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sweep.checkpoint import Saved
from sweep.courses import Key, share_courses, trial_key
from sweep.data import DataInfo
from sweep.hyperparameters import Setting, program_of
from sweep.plan.sizes import activation_count, epochs_of, parameter_count, rows_of, trains_together
from sweep.plan.times import MULTIPLY_ADDS, relative_cost, trial_seconds
from sweep.recipe import TRAINER_DATA
from sweep.space import Trial, program_key
from sweep.speed import Speeds, cost_key

MAX_LANES = 64
"""Lanes of one program at most: past this, a step's fixed cost is small beside its arithmetic on a CPU."""

GPU_LANES = 512
"""The same on a GPU, whose step hardly takes longer with more lanes until it is full."""

LANE_BUDGET = 2_000_000
"""Where nothing was measured: activations and parameters, in numbers, that the lanes of one program hold together at
most, about what the caches of one core keep. One lane is always allowed."""

GPU_LANE_BUDGET = 500_000_000
"""Numbers that the lanes of one program on a GPU hold together where nothing was measured; out of memory halves
them.
"""


PATHS = 4096
"""Paths that go down a function together at most: their numbers then stay in one core's cache."""


@dataclass(frozen=True)
class Unit:
    """What one worker trains at a time: trials of one cohort, as lanes of one program; those that share a course, one
    after another, in one lane."""

    trials: tuple[Trial, ...]
    split: int = 0
    """Of the data."""
    attempt: int = 1
    """From 1."""
    checkpoint: Path | bytes | None = None
    """Where some of it has been trained already; for a worker that does not see the file, what that holds."""
    epochs: int = 0
    """Of its longest trials; for telling how far it is."""
    until: int | None = None
    """The epoch after which it stops, to be gone on with, if not the last."""

    def halves(self) -> list[Unit]:
        """The same trials in two programs, one attempt later: half of the lanes in each, or of one lane half of those
        that share it; one trial stays as it is."""
        lanes = share_courses(self.trials)
        pieces = lanes if len(lanes) > 1 else [(trial,) for trial in self.trials]
        middle = (len(pieces) + 1) // 2
        parts = pieces[:middle], pieces[middle:]
        return [replace(self, trials=_together(part), attempt=self.attempt + 1) for part in parts if part]


def units(
    trials: Iterable[Trial],
    data: DataInfo,
    jobs: int,
    lanes: int | None = None,
    saved: Sequence[Saved] = (),
    speeds: Speeds | None = None,
    kind: str = "cpu float32",
    split_of: Callable[[int], int] = lambda _: 0,
    whole: bool = False,
) -> list[Unit]:
    """The trials as units of work, the longest first. lanes: at most so many in each, instead of the planner's choice;
    split_of: gives the split of a seed: a program trains on one; whole: few trials of each cohort are to be trained, so
    that halves of them would take nearly as long as the whole: none is cut while there is one for each worker.

    Lanes of one seed stand together, since they share minibatches. Trials of a `saved` checkpoint stay together. Trials
    that share a course are of the cohort of the longest. A user's own function or command trains one trial at a time,
    in their order.
    """
    if data.name == TRAINER_DATA:
        return [Unit((trial,), epochs=epochs_of(trial.setting, data)) for trial in trials]
    speeds = speeds or Speeds()
    cohorts: dict[tuple[str, int, Path | None], list[tuple[Trial, ...]]] = {}
    for place, members in _by_place(trials, data, saved).items():
        last, key = None, ""
        for lane in share_courses(members):
            if lane[-1].setting is not last:  # seeds of one setting come one after another
                last, key = lane[-1].setting, program_key(lane[-1].setting)
            cohorts.setdefault((key, split_of(lane[-1].seed), place), []).append(lane)
    out: list[tuple[float, Unit]] = []
    share = 1 if whole and len(cohorts) >= jobs else least_programs(len(cohorts), jobs)
    for (_, split, place), courses in cohorts.items():
        program = program_of(courses[0][-1].setting)
        if program["model"] != "function":  # a path has no minibatch to share; its row lies by its number
            courses.sort(key=lambda lane: (lane[0].seed, lane[0].number))
        epochs = epochs_of(program, data)
        sizes = piece_sizes(program, data, len(courses), jobs, lanes, speeds, kind, share)
        cost = speeds.at(cost_key(program, data, jobs, kind), sizes[0])
        seconds = trial_seconds(program, data, cost) if cost else relative_cost(program, data) / MULTIPLY_ADDS
        ends = list(itertools.accumulate(sizes))
        for end, size in zip(ends, sizes, strict=True):
            unit = Unit(_together(courses[end - size : end]), split, checkpoint=place, epochs=epochs)
            out.append((seconds * size, unit))
    out.sort(key=lambda pair: -pair[0])
    return [unit for _, unit in out]


def _together(lanes: Iterable[tuple[Trial, ...]]) -> tuple[Trial, ...]:
    return tuple(itertools.chain.from_iterable(lanes))


def _by_place(trials: Iterable[Trial], data: DataInfo, saved: Sequence[Saved]) -> dict[Path | None, list[Trial]]:
    """The trials by the checkpoint from which they go on: the most advanced that does not stand past their end."""
    if not saved:
        return {None: list(trials)}
    places: dict[Key, list[Saved]] = {}
    for file in saved:
        for key in file.keys:
            places.setdefault(key, []).append(file)
    out: dict[Path | None, list[Trial]] = {}
    for trial in trials:
        files = places.get(trial_key(trial), ())
        end = epochs_of(trial.setting, data) if files else 0
        place = next((file.path for file in files if file.position <= (end + 1, 0)), None)
        out.setdefault(place, []).append(trial)
    return out


def piece_sizes(
    program: Setting, data: DataInfo, trials: int, jobs: int, lanes: int | None, speeds: Speeds, kind: str, least: int
) -> list[int]:
    """How a cohort is cut into programs: lanes of each, the most first; `least` programs at least."""
    best = speeds.choose(cost_key(program, data, jobs, kind), trials)
    widest = lanes or (best.lanes if best else lane_count(program, data, trials, kind))
    widest = widest if trains_together(program, data) else 1
    pieces = min(trials, max(least, math.ceil(trials / widest)))
    return [trials // pieces + (place < trials % pieces) for place in range(pieces)]


def lane_count(program: Setting, data: DataInfo, trials: int, kind: str = "cpu float32") -> int:
    """How many lanes a program of a cohort gets that was not measured: on a CPU as many as stay in the cache, on a GPU
    as many as may fit in its memory."""
    if program["model"] == "function":
        return max(1, min(PATHS, trials))
    if not trains_together(program, data):
        return 1
    if not kind.startswith("cpu"):
        return max(1, min(GPU_LANES, trials, GPU_LANE_BUDGET // _lane_numbers(program, data)))
    if program["model"] != "mlp" and len(data.shape) == 3 and math.prod(data.shape) > 256:
        return 1
    return max(1, min(MAX_LANES, trials, LANE_BUDGET // _lane_numbers(program, data)))


def least_programs(cohorts: int, jobs: int) -> int:
    """Programs that a cohort is cut into at least: with few cohorts, one for each worker, so that none waits while
    another trains them all."""
    return jobs if cohorts < 4 * jobs else 1


def most_lanes(program: Setting, data: DataInfo, trials: int, least: int, jobs: int, kind: str) -> int:
    """The most lanes that are worth a measurement: so many that there are `least` programs, and that fit in the
    memory.
    """
    if not trains_together(program, data):
        return 1
    numbers = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 // 4 // jobs
    most = MAX_LANES if kind.startswith("cpu") else GPU_LANES
    return max(1, min(most, -(-trials // least), numbers // _lane_numbers(program, data) // 4))


def _lane_numbers(program: Setting, data: DataInfo) -> int:
    """Numbers that a lane holds: parameters, gradients, moments, activations."""
    return 4 * parameter_count(program, data) + rows_of(program, data)[1] * activation_count(program, data)
