"""The plan: trials into cohorts, cohorts into units of work for workers; what they will cost. Needs space, data's
`describe` and the speeds that were measured."""

from __future__ import annotations

import heapq
import itertools
import json
import math
import os
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweep.checkpoint import Saved, trial_key
from sweep.data import DataInfo
from sweep.errors import UsageError
from sweep.hyperparameters import TABLE, Setting, canonical
from sweep.recipe import Recipe
from sweep.space import Range, Trial, program_key
from sweep.speed import Cost, Measurement, Speeds, cost_key

MAX_LANES = 64
"""Lanes of one program at most: past this, a step's fixed cost is small beside its arithmetic on a CPU."""

LISTED = 1000
"""Cohorts that a plan names one by one; a grid may have a million."""

GPU_LANES = 512
"""The same on a GPU, whose step hardly takes longer with more lanes until it is full."""

GPU_LANE_BUDGET = 500_000_000
"""Numbers that the lanes of one program on a GPU hold together where nothing was measured; out of memory halves them."""

LANE_BUDGET = 2_000_000
"""Where nothing was measured: activations and parameters, in numbers, that the lanes of one program hold together at
most, about what the caches of one core keep. One lane is always allowed."""

MULTIPLY_ADDS = 10e9
"""Multiply-adds a second of one worker, to guess by where nothing was measured."""

WORTH_SECONDS = 3.0
"""A run measures a cohort first where its training takes longer than that, as far as one can tell before."""

MEASURED = 24
"""Cohorts that are measured at most; the others are like the nearest of them."""

OWN_SECONDS = 1.0
"""What a run does before its workers start and after they end: the imports, the leaderboard."""


@dataclass(frozen=True)
class CohortPlan:
    """A cohort of a plan. program: the hyperparameters that its trials share because they decide the program."""

    program: Setting
    settings: int
    trials: int
    parameters: int
    lanes: int
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What a grid would run, without a trial of it being made. A cohort's seconds are those of a worker; the plan's are
    those of a run on `jobs` workers, start-up included; memory in bytes. None where nothing was measured."""

    data: DataInfo
    swept: tuple[str, ...]
    combinations: int
    settings: int
    trials: int
    seeds: int
    folded: dict[str, int]
    cohort_count: int
    cohorts: list[CohortPlan]  # the first LISTED of them
    jobs: int
    seconds: float | None
    memory: int | None


@dataclass(frozen=True)
class Unit:
    """What one worker trains at a time: trials of one cohort, as lanes of one program.

    attempt: from 1; checkpoint: where some of it has been trained already; until: the epoch after which it stops, to be
    gone on with, if not the last.
    """

    trials: tuple[Trial, ...]
    attempt: int = 1
    checkpoint: Path | None = None
    until: int | None = None

    def halves(self) -> list[Unit]:
        """The same trials in two programs, one attempt later; one trial stays as it is."""
        middle = (len(self.trials) + 1) // 2
        parts = self.trials[:middle], self.trials[middle:]
        return [replace(self, trials=part, attempt=self.attempt + 1) for part in parts if part]


def plan_grid(
    recipe: Recipe,
    data: DataInfo,
    jobs: int = 1,
    lanes: int | None = None,
    speeds: Speeds | None = None,
    kind: str = "cpu float32",
) -> Plan:
    """Counts a grid's settings, trials, folded combinations and cohorts; checks that every network fits the data; says
    what a run would cost, as far as `speeds` has been measured.

    Raises UsageError: a cnn on flat rows or too deep for the image, more training rows than there are, a range without n.
    """
    grid = recipe.grid
    census = grid.census
    for group in census.groups:
        for program in group.programs("model", "hidden", "depth", "batch_size", "train_size"):
            check_fit(program, data)
    speeds = speeds or Speeds()
    cohorts = []
    durations: list[float] = []
    memory = 0
    rate = _rate(list(itertools.islice(census.cohorts(), LISTED)), data, jobs, speeds, kind)
    share = _least(census.cohort_count, jobs)
    for program, settings in itertools.islice(census.cohorts(), LISTED):
        trials = settings * len(grid.seeds)
        pieces = piece_sizes(program, data, trials, jobs, lanes, speeds, kind, share)
        cost = speeds.at(cost_key(program, data, jobs, kind), pieces[0])
        one = trial_seconds(program, data, cost) if cost else rate and rate * relative_cost(program, data)
        memory = max(memory, cost.memory if cost else 0)
        durations += [(one or 0.0) * piece for piece in pieces]
        seconds = one and one * trials
        cohorts.append(CohortPlan(program, settings, trials, parameter_count(program, data), pieces[0], seconds))
    trials = census.settings * len(grid.seeds)
    start = speeds.start.get(data.name) if rate else None
    scale = trials / sum(cohort.trials for cohort in cohorts)
    busy = min(jobs, trials)
    return Plan(
        data=data,
        swept=recipe.swept,
        combinations=grid.combinations,
        settings=census.settings,
        trials=trials,
        seeds=len(grid.seeds),
        folded=census.folded,
        cohort_count=census.cohort_count,
        cohorts=cohorts,
        jobs=busy,
        seconds=OWN_SECONDS + start[0] + scale * makespan(durations, busy) if start else None,
        memory=start[1] + busy * memory if start else None,
    )


def plan_search(
    recipe: Recipe,
    data: DataInfo,
    trials: int,
    jobs: int = 1,
    lanes: int | None = None,
    speeds: Speeds | None = None,
    kind: str = "cpu float32",
) -> Plan:
    """A search in numbers, after checking that the networks at the corners of its space fit the data. The cohorts are
    those at the corners; its time is what as many trials take if they are spread over those evenly, a generation at a
    time, and none is pruned.

    Raises UsageError as `plan_grid` does, and for a total that is no multiple of the seeds.
    """
    assert recipe.search is not None
    seeds = len(recipe.seeds)
    if trials % seeds:
        raise UsageError(f"--trials {trials}: every setting is trained with {seeds} seeds; expected a multiple of that")
    generation = recipe.search.in_flight * seeds
    if recipe.search.pruner != "none":  # which compares whole generations
        trials = math.ceil(trials / generation) * generation
    plan = plan_grid(corners(recipe), data, jobs, lanes, speeds, kind)
    share = math.ceil(min(trials, generation) / plan.cohort_count)
    return replace(
        plan,
        folded={},
        trials=trials,
        settings=trials // seeds,
        jobs=min(jobs, trials),
        seconds=_search_seconds(plan, trials, share, min(jobs, trials), lanes, speeds or Speeds(), kind),
        cohorts=[
            replace(one, trials=share, settings=0, seconds=None, lanes=min(one.lanes, share)) for one in plan.cohorts
        ],
    )


def corners(recipe: Recipe) -> Recipe:
    """The grid of a space's ends: both of every range, every value of a list."""
    ends = [
        replace(axis, values=(TABLE[axis.name].check(axis.values.low), TABLE[axis.name].check(axis.values.high)))
        if isinstance(axis.values, Range)
        else axis
        for axis in recipe.axes
    ]
    return replace(recipe, axes=tuple(ends))


def _search_seconds(
    plan: Plan, trials: int, share: int, jobs: int, lanes: int | None, speeds: Speeds, kind: str
) -> float | None:
    """Seconds of a search whose generations have `share` trials of each cohort; None where nothing was measured."""
    start = speeds.start.get(plan.data.name)
    programs = [one.program for one in plan.cohorts]
    rate = _rate([(program, 1) for program in programs], plan.data, plan.jobs, speeds, kind)
    if not start or not rate:
        return None
    one = []
    for program in programs:
        cost = speeds.at(cost_key(program, plan.data, plan.jobs, kind), min(share, lanes or share))
        one.append(trial_seconds(program, plan.data, cost) if cost else rate * relative_cost(program, plan.data))
    return OWN_SECONDS + start[0] + trials * statistics.fmean(one) / jobs


def measurements(
    recipe: Recipe, data: DataInfo, jobs: int, speeds: Speeds, worth: float = 0.0, kind: str = "cpu float32"
) -> list[Measurement]:
    """What has to be measured before a plan can say what a grid costs; only cohorts that take `worth` seconds or more,
    and MEASURED of them at most, spread evenly over all."""
    seeds = recipe.grid.seeds
    found: dict[str, Measurement] = {}
    cohorts = list(itertools.islice(recipe.grid.census.cohorts(), LISTED))
    stride = max(1, len(cohorts) / MEASURED)
    for place in range(min(MEASURED, len(cohorts))):
        program, settings = cohorts[int(place * stride)]
        trials = settings * len(seeds)
        key = cost_key(program, data, jobs, kind)
        widest = _widest(program, data, trials, _least(len(cohorts), jobs), jobs, kind)
        if speeds.covers(key, widest) or trials * relative_cost(program, data) / MULTIPLY_ADDS < worth:
            continue
        found[key] = Measurement(key, canonical(program), tuple(seeds[lane // settings] for lane in range(widest)))
    return list(found.values())


def trial_seconds(program: Setting, data: DataInfo, cost: Cost) -> float:
    """What one trial takes a worker: its steps, a validation after each epoch, and the test."""
    rows, size = _rows(program, data)
    steps = rows // size + (rows % size > 1)
    return int(program["epochs"]) * (steps * cost.step + data.val * cost.row) + data.test * cost.row


def makespan(durations: Iterable[float], workers: int) -> float:
    """Seconds until all are done, the longest first, each by the worker that is free first."""
    free = [0.0] * workers
    for seconds in sorted(durations, reverse=True):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def _rate(cohorts: Sequence[tuple[Setting, int]], data: DataInfo, jobs: int, speeds: Speeds, kind: str) -> float | None:
    """Seconds for each unit of `relative_cost`, the median of the cohorts that were measured; for those that were not."""
    rates = [
        trial_seconds(program, data, cost) / relative_cost(program, data)
        for program, _ in cohorts
        if (cost := speeds.choose(cost_key(program, data, jobs, kind), GPU_LANES))
    ]
    return statistics.median(rates) if rates else None


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


def piece_sizes(
    program: Setting, data: DataInfo, trials: int, jobs: int, lanes: int | None, speeds: Speeds, kind: str, least: int
) -> list[int]:
    """How a cohort is cut into programs: lanes of each, the most first; `least` programs at least."""
    best = speeds.choose(cost_key(program, data, jobs, kind), trials)
    widest = lanes or (best.lanes if best else lane_count(program, data, trials, kind))
    pieces = min(trials, max(least, math.ceil(trials / widest)))
    return [trials // pieces + (place < trials % pieces) for place in range(pieces)]


def _least(cohorts: int, jobs: int) -> int:
    """Programs that a cohort is cut into at least: with few cohorts, one for each worker, so that none waits while
    another trains them all."""
    return jobs if cohorts < 4 * jobs else 1


def lane_count(program: Setting, data: DataInfo, trials: int, kind: str = "cpu float32") -> int:
    """How many lanes a program of a cohort gets that was not measured: on a CPU as many as stay in the cache, on a GPU
    as many as may fit in its memory."""
    if not kind.startswith("cpu"):
        return max(1, min(GPU_LANES, trials, GPU_LANE_BUDGET // _lane_numbers(program, data)))
    if program["model"] == "cnn" and math.prod(data.shape) > 256:
        return 1
    return max(1, min(MAX_LANES, trials, LANE_BUDGET // _lane_numbers(program, data)))


def _widest(program: Setting, data: DataInfo, trials: int, least: int, jobs: int, kind: str) -> int:
    """The most lanes that are worth a measurement: so many that there are `least` programs, and that fit in the memory."""
    numbers = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 // 4 // jobs
    most = MAX_LANES if kind.startswith("cpu") else GPU_LANES
    return max(1, min(most, -(-trials // least), numbers // _lane_numbers(program, data) // 4))


def _lane_numbers(program: Setting, data: DataInfo) -> int:
    """Numbers that a lane holds: parameters, gradients, moments, activations."""
    return 4 * parameter_count(program, data) + _rows(program, data)[1] * activation_count(program, data)


def _rows(program: Setting, data: DataInfo) -> tuple[int, int]:
    """Training rows, and those of a minibatch."""
    size, batch = program["train_size"], program["batch_size"]
    rows = data.train if isinstance(size, str) else int(size)
    return rows, rows if isinstance(batch, str) else min(int(batch), rows)


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
    trials: Iterable[Trial],
    data: DataInfo,
    jobs: int,
    lanes: int | None = None,
    saved: Sequence[Saved] = (),
    speeds: Speeds | None = None,
    kind: str = "cpu float32",
) -> list[Unit]:
    """The trials as units of work, the longest first. lanes: at most so many in each, instead of the planner's choice.

    Lanes of one seed stand together, since they share minibatches. Trials of a `saved` checkpoint stay together.
    """
    speeds = speeds or Speeds()
    places = {key: one.path for one in reversed(saved) for key in one.keys}
    cohorts: dict[tuple[str, Path | None], list[Trial]] = {}
    for trial in trials:
        place = places.get(trial_key(trial)) if places else None
        cohorts.setdefault((program_key(trial.setting), place), []).append(trial)
    out: list[tuple[float, Unit]] = []
    share = _least(len(cohorts), jobs)
    for (key, place), members in cohorts.items():
        program = json.loads(key)
        members.sort(key=lambda trial: (trial.seed, trial.number))
        sizes = piece_sizes(program, data, len(members), jobs, lanes, speeds, kind, share)
        cost = speeds.at(cost_key(program, data, jobs, kind), sizes[0])
        one = trial_seconds(program, data, cost) if cost else relative_cost(program, data) / MULTIPLY_ADDS
        ends = list(itertools.accumulate(sizes))
        for end, size in zip(ends, sizes, strict=True):
            out.append((one * size, Unit(tuple(members[end - size : end]), checkpoint=place)))
    out.sort(key=lambda pair: -pair[0])
    return [unit for _, unit in out]


def relative_cost(program: Setting, data: DataInfo) -> float:
    """Multiply-adds of one trial, plus a fixed share for each step; for ordering work, not for telling time."""
    rows, size = _rows(program, data)
    steps = math.ceil(rows / size)
    if program["model"] == "mlp":
        work = parameter_count(program, data)
    else:
        hidden, work, (channels, height, width) = int(program["hidden"]), 0, data.shape
        for stage in range(int(program["depth"])):
            filters = hidden * 2**stage
            work += 9 * channels * filters * height * width
            channels, height, width = filters, height // 2, width // 2
    return int(program["epochs"]) * (3.0 * rows * work + steps * 500_000)


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as plain values, for `--json`."""
    return {
        "data": vars(plan.data) | {"shape": list(plan.data.shape)},
        "swept": list(plan.swept),
        **{
            name: getattr(plan, name)
            for name in (
                "combinations",
                "settings",
                "seeds",
                "trials",
                "folded",
                "cohort_count",
                "jobs",
                "seconds",
                "memory",
            )
        },
        "cohorts": [vars(cohort) for cohort in plan.cohorts],
    }
