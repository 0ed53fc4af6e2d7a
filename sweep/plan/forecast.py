"""What a grid or a search would run and cost, without a trial of it being made."""

from __future__ import annotations

import collections
import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sweep.data import DataInfo
from sweep.errors import UsageError
from sweep.hyperparameters import TABLE, Hyperparameter, OwnSetting, Setting, Value, canonical
from sweep.plan.networks import learn, size_of, way_text
from sweep.plan.sharing import count_beginnings
from sweep.plan.sizes import DECIDES_FIT, LAYERS, check_fit, check_starts, epochs_of, parameter_count, rows_of
from sweep.plan.times import MULTIPLY_ADDS, makespan, relative_cost, trial_seconds
from sweep.plan.units import GPU_LANES, least_programs, most_lanes, piece_sizes
from sweep.recipe import Recipe
from sweep.space import Range, Watch
from sweep.speed import Cost, Measurement, Speeds, cost_key, look_key
from sweep.wording import count, join_words

LISTED = 1000
"""Cohorts that a plan names one by one; a grid may have a million."""

OWN_SECONDS = 1.0
"""What a run does before its workers start and after they end: the imports, the leaderboard."""

WORTH_SECONDS = 3.0
"""A run measures a cohort first where its training takes longer than that, as far as one can tell before."""

MEASURED_COHORTS = 24
"""Cohorts that are measured at most; the others are like the nearest of them."""


@dataclass(frozen=True)
class CohortPlan:
    """A cohort of a plan."""

    program: Setting
    """The hyperparameters that its trials share, because they decide the program."""
    settings: int
    trials: int
    parameters: int
    """Of one network."""
    lanes: int
    """Of its largest program; 0 where all its trials are trained as the beginnings of longer ones."""
    seconds: float | None
    """Of one worker; None where nothing was measured."""


@dataclass(frozen=True)
class Plan:
    """What a grid would run, without a trial of it being made."""

    data: DataInfo
    swept: tuple[str, ...]
    combinations: int
    """The full product, before folding and without seeds."""
    settings: int
    trials: int
    seeds: int
    folded: dict[str, int]
    """Combinations that differ from another in that hyperparameter alone, where it is inactive."""
    cohort_count: int
    cohorts: list[CohortPlan]  # the first LISTED of them
    jobs: int
    """Workers that have something to do."""
    seconds: float | None
    """Of a run on those workers, start-up included; None where nothing was measured."""
    memory: int | None
    """Bytes; None where nothing was measured."""
    splits: int = 1
    """Splits of the data that its seeds train on."""
    ways: tuple[str, ...] = ()
    """How the networks of a user's own class train, in words."""
    epochs: tuple[int, int] = (0, 0)
    """Of all trials: those that are trained, and those that would be if none were the beginning of a longer one."""


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

    Raises UsageError: a cnn on flat rows or too deep for the image, more training rows than there are, a range without
    n.
    """
    grid = recipe.grid
    if recipe.trainer:
        return _plan_own(recipe, data, jobs)
    census = grid.census
    ways = _own_ways(recipe, data)
    own = recipe.own_names
    for group in census.groups:
        for program in itertools.islice(group.programs(*DECIDES_FIT, *own), LISTED if own else None):
            check_fit(program, data)
    check_starts(recipe)
    speeds = speeds or Speeds()
    cohorts = []
    durations: list[float] = []
    memory = 0
    some = list(itertools.islice(census.cohorts(), LISTED))
    rate = _rate(some, data, jobs, speeds, kind, recipe.watch)
    splits = max(1, len(recipe.splits))
    beginnings = None if recipe.search else count_beginnings(grid)  # what a search asks is not known before
    listed = [(program, settings, beginnings(program, settings) if beginnings else 0) for program, settings in some]
    idle = sum(settings == shared for _, settings, shared in listed)
    share = least_programs((census.cohort_count - idle) * splits, jobs)
    trained = asked = 0
    for program, settings, shared in listed:
        trials, lone = settings * len(grid.seeds), (settings - shared) * len(grid.seeds)
        pieces = piece_sizes(program, data, lone // splits, jobs, lanes, speeds, kind, share) * splits if lone else []
        key = cost_key(program, data, jobs, kind)
        cost = speeds.at(key, pieces[0] if pieces else 1)
        trained, asked = trained + lone * epochs_of(program, data), asked + trials * epochs_of(program, data)
        lone_seconds = _watched_seconds(program, data, cost, recipe.watch, speeds, key)
        lone_seconds = lone_seconds or (rate and rate * relative_cost(program, data))
        memory = max(memory, cost.memory if cost else 0)
        durations += [(lone_seconds or 0.0) * piece for piece in pieces]
        seconds = lone_seconds and lone_seconds * lone
        widest = pieces[0] if pieces else 0
        cohorts.append(CohortPlan(program, settings, trials, parameter_count(program, data), widest, seconds))
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
        splits=splits,
        ways=ways,
        epochs=(round(scale * trained), round(scale * asked)),
    )


def _own_ways(recipe: Recipe, data: DataInfo) -> tuple[str, ...]:
    """How the networks of a recipe's own class train, in words. Raises UsageError for a class that cannot be loaded, or
    of which no setting makes a network that fits the data."""
    if recipe.network is None:
        return ()
    programs = [program for program, _ in itertools.islice(recipe.grid.census.cohorts(), LISTED)]
    learn(programs, data)
    sizes = [size_of(program, data) for program in programs]
    if all(size.error for size in sizes):
        raise UsageError(f"model = {recipe.network.text}: {sizes[0].error}")
    ways = collections.Counter(way_text(size) for size in sizes)
    return tuple(text if len(ways) == 1 else f"{text} ({count(number, 'cohort')})" for text, number in ways.items())


def _plan_own(recipe: Recipe, data: DataInfo, jobs: int) -> Plan:
    """A grid that a user's own function or command trains, one trial a worker; what it costs nobody knows before."""
    settings, seeds = recipe.grid.combinations, len(recipe.seeds)
    return Plan(
        data=data,
        swept=recipe.swept,
        combinations=settings,
        settings=settings,
        trials=settings * seeds,
        seeds=seeds,
        folded={},
        cohort_count=1,
        cohorts=[CohortPlan(OwnSetting(), settings, settings * seeds, 0, 1, None)],
        jobs=min(jobs, settings * seeds),
        seconds=None,
        memory=None,
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
        raise UsageError(
            f"--trials {trials}: every setting is trained with {count(seeds, 'seed')}; expected a multiple of {seeds}"
        )
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
        seconds=_search_seconds(plan, trials, share, min(jobs, trials), lanes, speeds or Speeds(), kind, recipe.watch),
        cohorts=[
            replace(cohort, trials=share, settings=0, seconds=None, lanes=min(cohort.lanes, share))
            for cohort in plan.cohorts
        ],
    )


def corners(recipe: Recipe) -> Recipe:
    """The grid of a space's ends: both of every range, every value of a list."""
    ends = [
        replace(axis, values=_ends(axis.values, axis.row, recipe)) if isinstance(axis.values, Range) else axis
        for axis in recipe.axes
    ]
    return replace(recipe, axes=tuple(ends))


def _ends(values: Range, row: Hyperparameter, recipe: Recipe) -> tuple[Value, ...]:
    """Both ends of a range; where layers may make up blocks of two, the point after the first, too: it tells whether
    all points are even."""
    if recipe.trainer or row.name not in LAYERS or "residual" not in recipe.listed("connection"):
        return row.check(values.low), row.check(values.high)
    points = (values.low, min(values.low + 1, values.high)) if values.open else values.points(row)
    return (*points, row.check(values.high)) if values.open else points


def _search_seconds(
    plan: Plan, trials: int, share: int, jobs: int, lanes: int | None, speeds: Speeds, kind: str, watch: Watch
) -> float | None:
    """Seconds of a search whose generations have `share` trials of each cohort; None where nothing was measured."""
    start = speeds.start.get(plan.data.name)
    programs = [cohort.program for cohort in plan.cohorts]
    rate = _rate([(program, 1) for program in programs], plan.data, plan.jobs, speeds, kind, watch)
    if not start or not rate:
        return None
    each = []
    for program in programs:
        key = cost_key(program, plan.data, plan.jobs, kind)
        cost = speeds.at(key, min(share, lanes or share))
        seconds = _watched_seconds(program, plan.data, cost, watch, speeds, key)
        each.append(seconds or rate * relative_cost(program, plan.data))
    return OWN_SECONDS + start[0] + trials * statistics.fmean(each) / jobs


def measurements(
    recipe: Recipe, data: DataInfo, jobs: int, speeds: Speeds, worth: float = 0.0, kind: str = "cpu float32"
) -> list[Measurement]:
    """What has to be measured before a plan can say what a grid costs; only cohorts that take `worth` seconds or more,
    and MEASURED_COHORTS of them at most, spread evenly over all."""
    if recipe.trainer or recipe.of_function:  # its cost is small and known well enough
        return []
    seeds = recipe.grid.seeds
    by_key: dict[str, Measurement] = {}
    cohorts = list(itertools.islice(recipe.grid.census.cohorts(), LISTED))
    stride = max(1, len(cohorts) / MEASURED_COHORTS)
    for place in range(min(MEASURED_COHORTS, len(cohorts))):
        program, settings = cohorts[int(place * stride)]
        trials = settings * len(seeds)
        splits = max(1, len(recipe.splits))
        key = cost_key(program, data, jobs, kind)
        least = least_programs(len(cohorts) * splits, jobs)
        widest = most_lanes(program, data, trials // splits, least, jobs, kind)
        if speeds.covers(key, widest) or trials * relative_cost(program, data) / MULTIPLY_ADDS < worth:
            continue
        by_key[key] = Measurement(key, canonical(program), tuple(seeds[lane // settings] for lane in range(widest)))
    return list(by_key.values())


def look_measurements(recipe: Recipe, data: DataInfo, jobs: int, speeds: Speeds, kind: str) -> list[Measurement]:
    """Which looks have to be measured before a plan can say what a grid that looks inside its networks costs."""
    out = []
    for measurement in [] if recipe.of_function else measurements(recipe, data, jobs, Speeds(), kind=kind):
        for look in _looks(recipe.watch):
            key = look_key(measurement.key, look, rows_of(measurement.setting, data)[0])
            if key not in speeds.costs:
                out.append(Measurement(key, measurement.setting, measurement.seeds[:1], look))
    return out


def _looks(watch: Watch) -> list[str]:
    """The looks that a plan knows by measuring them: the gap is a scoring like any other."""
    return [look for look in watch.look if look != "gap"]


def _watched_seconds(
    program: Setting, data: DataInfo, cost: Cost | None, watch: Watch, speeds: Speeds, key: str
) -> float | None:
    """What one trial takes a worker, with what is watched of it; None where some of it was not measured."""
    looks = [speeds.at(look_key(key, look, rows_of(program, data)[0]), 1) for look in _looks(watch)]
    known = [look.step for look in looks if look]
    return trial_seconds(program, data, cost, watch, sum(known)) if cost and len(known) == len(looks) else None


def _rate(
    cohorts: Sequence[tuple[Setting, int]], data: DataInfo, jobs: int, speeds: Speeds, kind: str, watch: Watch
) -> float | None:
    """Seconds for each unit of `relative_cost`, the median of the cohorts that were measured; for those that were
    not.
    """
    rates = []
    for program, _ in cohorts:
        key = cost_key(program, data, jobs, kind)
        cost = speeds.choose(key, GPU_LANES)
        if seconds := _watched_seconds(program, data, cost, watch, speeds, key):
            rates.append(seconds / relative_cost(program, data))
    return statistics.median(rates) if rates else None


def fold_text(plan: Plan) -> str:
    """What was folded, in words: how many combinations repeat others, and what does nothing in them."""
    folded = plan.combinations - plan.settings
    repeat = "repeats another and is" if folded == 1 else "repeat others and are"
    idle: dict[str, list[str]] = {}
    for name in plan.folded:
        idle.setdefault(TABLE[name].condition, []).append(name)
    why = [
        f"{join_words(names)} {'does' if len(names) == 1 else 'do'} nothing without {when}"
        for when, names in idle.items()
    ]
    return f"{folded:,} of {count(plan.combinations, 'combination')} {repeat} not trained again ({'; '.join(why)})"


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as plain values, for `--json`."""
    return {
        "data": vars(plan.data) | {"shape": list(plan.data.shape)},
        "swept": list(plan.swept),
        **({"ways": [*plan.ways]} if plan.ways else {}),
        **({"epochs": plan.epochs[0], "epochs_alone": plan.epochs[1]} if plan.epochs[0] < plan.epochs[1] else {}),
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
