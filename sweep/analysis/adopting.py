"""Another tool's trials as a study: settings, seeds, states, final values and curves. Needs no pandas unless asked to
choose some trials."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count as numbers_from
from typing import Any, Final

from sweep.analysis.alike import tell_apart
from sweep.analysis.course import course_of, finite, shift_of
from sweep.analysis.ends import FEW
from sweep.analysis.importing import INFINITE, SEED_ROWS, Results, is_taken, read_names
from sweep.analysis.roles import EPOCH_NAMES, SEED_NAMES
from sweep.errors import UsageError, unknown
from sweep.foreign import Curve, ForeignStudy, ForeignTrial, Value
from sweep.recipe import Imported, Recipe
from sweep.wording import count

_DIVERGED: Final = "diverged"
_FAILED: Final = "failed"


@dataclass(frozen=True)
class Wishes:
    """What a user says of another tool's trials."""

    metric: str | None = None
    direction: str | None = None
    seed: str | None = None
    """The hyperparameter that is the seed, or SEED_ROWS."""
    ignore: Sequence[str] = ()
    columns: Sequence[str] = ()
    test: str | None = None
    where: str = ""
    short: str = "failed"
    """What a trial with a shorter curve than nearly all others is, where the tool keeps no states: failed, complete."""
    value: str | None = None
    """`last` or `best` of each curve; None: what the tool kept, else the last."""


@dataclass
class _Reading:
    """What is known so far."""

    study: ForeignStudy
    trials: list[ForeignTrial]
    notes: list[str] = field(default_factory=list)


def adopt(study: ForeignStudy, source: str, wishes: Wishes) -> Results:
    """Makes a study of another tool's trials. source: the name of its files.

    Raises UsageError where a metric or a direction is to be said, or nothing has ended, or a name does not exist.
    """
    reading = _Reading(study, [*study.trials], [*study.notes])
    _leave_running(reading, source)
    _choose_trials(reading, wishes.where, source)
    metric, direction = _aim(reading, wishes, source)
    seed_name = _seed_name(reading, wishes)
    names = _hyperparameters(reading, wishes, seed_name)
    called = {name: _free(name, metric, names) for name in names}
    _note_renamed(reading, called)
    _judge_short(reading, metric, wishes.short)
    texts, swept, constant = _settings(reading, names, called)
    seeds = _seeds(reading, texts, seed_name)
    texts, seeds = _drop_repeated(reading, texts, seeds, seed_name)
    own = metric if metric not in called.values() and not is_taken(metric, metric) else f"{metric}_"
    if own != metric:
        reading.notes.append(f"{metric} is called {own} here: that name means something else")
    value = _value_kind(reading, metric, wishes, direction)
    shift = shift_of(reading.trials, metric)
    if shift:
        reading.notes.append(f"steps are counted from {1 - shift} there, from 1 here")
    recipe = Recipe(
        data=source,
        seeds=tuple(sorted(set(seeds))),
        metric=own,
        direction=direction,
        imported=Imported(
            own,
            tuple(swept),
            tuple(constant),
            wishes.test,
            tool=f"{study.tool} {study.version}" if study.version else study.tool,
            value=value,
            curves=any(trial.curves for trial in reading.trials),
        ),
    )
    ends = [_end(trial, metric, direction, value, study.tool, shift) for trial in reading.trials]
    _note_states(reading, ends)
    tests = [_last(trial, wishes.test) if wishes.test else None for trial in reading.trials]
    rows: list[tuple[object, ...]] = [
        (text, seed, state, reason, score, test)
        for text, seed, (state, reason, score), test in zip(texts, seeds, ends, tests, strict=True)
    ]
    course = course_of(reading.trials, metric, wishes.test, shift)
    notes = [note for note in reading.notes if note]
    assert recipe.imported is not None
    recipe = replace(recipe, imported=replace(recipe.imported, notes=tuple(notes)))
    return Results(recipe, rows, len(set(texts)), notes, seed_name, constant, {}, course)


def _leave_running(reading: _Reading, source: str) -> None:
    """Leaves out what has not ended. Raises UsageError if nothing has."""
    ended = [trial for trial in reading.trials if trial.state != "running"]
    left = len(reading.trials) - len(ended)
    if not ended:
        why = f"none of its {count(left, 'trial')} has ended" if left else "it has no trials"
        raise UsageError(f"{source}: {reading.study.tool}: {why}; expected at least one that has")
    if left:
        reading.notes.append(f"{count(left, 'trial')} not ended, left out")
    reading.trials = ended


def _choose_trials(reading: _Reading, where: str, source: str) -> None:
    """Leaves the trials that meet a condition on hyperparameters, the state or last values."""
    if not where:
        return
    import pandas as pd

    from sweep.analysis.conditions import filter_trials

    records: list[Mapping[str, Any]] = [
        {"name": trial.name, "state": trial.state, **{name: _last(trial, name) for name in _metrics([trial])}}
        | dict(trial.setting)
        for trial in reading.trials
    ]
    table = pd.DataFrame.from_records(records).astype(object)
    kept = filter_trials(table.where(table.notna(), None), where)
    if not len(kept):
        raise UsageError(f"{source}: no trial meets --where {where!r}")
    reading.trials = [reading.trials[place] for place in kept.index]


def _aim(reading: _Reading, wishes: Wishes, source: str) -> tuple[str, str]:
    """The metric and its direction: what the user says, else what the tool knows. Raises UsageError for what neither
    does."""
    study, names = reading.study, _metrics(reading.trials)
    if not names:
        raise UsageError(f"{source}: {study.tool} has no metric of any trial that ended; expected at least one")
    metric = wishes.metric or study.metric or (names[0] if len(names) == 1 else None)
    if metric is None:
        listed = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        raise UsageError(f"{source}: {study.tool} does not say what was optimised; give --metric, one of {listed}")
    if metric not in names:
        raise unknown("metric", metric, names, f"{source}: --metric: ")
    if wishes.test is not None and wishes.test not in names:
        raise unknown("metric", wishes.test, names, f"{source}: --test: ")
    direction = wishes.direction or (study.direction if metric == study.metric else None)
    if direction is None:
        raise UsageError(f"--metric {metric}: is less better, or more? give --minimize or --maximize")
    return metric, direction


def _judge_short(reading: _Reading, metric: str, short: str) -> None:
    """Takes trials with a shorter curve than nearly all others as failed, where the tool keeps no states."""
    if reading.study.states_kept:
        return
    lengths = [len(trial.curves.get(metric, ())) for trial in reading.trials]
    longest = max(lengths, default=0)
    cut = {place for place, length in enumerate(lengths) if length < longest}
    if not cut:
        return
    states = f"{reading.study.tool} keeps no states"
    fewer = f"{count(len(cut), 'trial')} with fewer than {longest:,} values of {metric}"
    if len(cut) > FEW * len(lengths) or short == "complete":
        reading.notes.append(f"{fewer}, taken as complete: {states}")
        return
    reading.notes.append(f"{fewer}, which the others have, taken as failed: {states} (--short complete: as they are)")
    reading.trials = [
        replace(trial, state=_FAILED, reason=f"ended after {lengths[place]:,} of {longest:,} values")
        if place in cut and trial.state == "complete"
        else trial
        for place, trial in enumerate(reading.trials)
    ]


def _metrics(trials: Iterable[ForeignTrial]) -> list[str]:
    """The names of what was measured, but for counters."""
    names = dict.fromkeys(name for trial in trials for name in (*trial.curves, *trial.values))
    return [name for name in names if name.lower() not in EPOCH_NAMES]


def _seed_name(reading: _Reading, wishes: Wishes) -> str | None:
    """The hyperparameter that is the seed; None where there is none, or trials are to be numbered."""
    names = dict.fromkeys(name for trial in reading.trials for name in trial.setting)
    if wishes.seed == SEED_ROWS:
        return None
    if wishes.seed is not None:
        if wishes.seed not in names:
            raise unknown("hyperparameter", wishes.seed, names, "--seed: ")
        return wishes.seed
    taken = {*read_names(wishes.ignore, [*names]), *read_names(wishes.columns, [*names])}
    for seed in SEED_NAMES:
        matching = [name for name in names if name.lower().rpartition(".")[2] == seed and name not in taken]
        if len(matching) == 1 and all(
            _whole(trial.setting.get(matching[0], 0)) is not None for trial in reading.trials
        ):
            return matching[0]
    return None


def _whole(value: Value) -> int | None:
    """A seed as a whole number; None if it is none."""
    if isinstance(value, bool | str):
        return None
    if isinstance(value, int):  # of any size, which no float may hold
        return value
    return int(value) if math.isfinite(value) and value == int(value) else None


def _hyperparameters(reading: _Reading, wishes: Wishes, seed: str | None) -> list[str]:
    """The names of the hyperparameters, in the order in which they occur."""
    names = [*dict.fromkeys(name for trial in reading.trials for name in trial.setting)]
    ignored, only = read_names(wishes.ignore, names), read_names(wishes.columns, names)
    for flag, given in (("--ignore", ignored), ("--columns", only)):
        for name in given:
            if name not in names:
                raise unknown("hyperparameter", name, names, f"{flag}: ")
    if wishes.seed == SEED_ROWS:
        ignored += [name for name in names if name.lower().rpartition(".")[2] in SEED_NAMES]
    return [name for name in names if name not in (*ignored, seed) and (not only or name in only)]


def _free(name: str, metric: str, names: Sequence[str]) -> str:
    """What a hyperparameter is called here: its own name, unless that means something else."""
    called = f"hp_{name}" if name.startswith("test_") else name  # what begins with test_ is a score on test data
    while is_taken(called, metric) or (called != name and called in names):
        called += "_"
    return called


def _note_renamed(reading: _Reading, called: Mapping[str, str]) -> None:
    changed = [f"{name} is called {new}" for name, new in called.items() if name != new]
    if changed:
        reading.notes.append(f"{', '.join(changed)} here: sweep has a column of that name")


def _settings(
    reading: _Reading, names: Sequence[str], called: Mapping[str, str]
) -> tuple[list[str], list[str], dict[str, Value]]:
    """Each trial's setting as the text by which the ledger knows it, which hyperparameters vary, and the values of
    those that do not."""
    columns = {name: tell_apart([trial.setting.get(name) for trial in reading.trials]) for name in names}
    entries = {name: _entries(called[name], column) for name, column in columns.items()}
    texts = ["{" + ",".join(filter(None, row)) + "}" for row in zip(*entries.values(), strict=True)]
    known = reading.study.swept
    varies = {name for name in names if len(set(entries[name])) > 1 and (known is None or name in known)}
    swept = [called[name] for name in names if name in varies]
    others = [name for name in names if name not in varies]
    constant = {called[name]: next((v for v in columns[name] if v is not None), None) for name in others}
    unused = {called[name]: sum(value is None for value in columns[name]) for name in names if name in varies}
    some = [f"{name} (not in {n:,})" for name, n in unused.items() if n]
    if some:
        listed = ", ".join(some[:8]) + (f" and {len(some) - 8} more" if len(some) > 8 else "")
        reading.notes.append(f"not every one of {count(len(reading.trials), 'trial')} uses {listed}")
    return texts or ["{}"] * len(reading.trials), swept, {k: v for k, v in constant.items() if v is not None}


def _entries(name: str, column: Sequence[Value | None]) -> list[str]:
    """A hyperparameter's values as parts of JSON objects, 1 and 1.0 alike where others are no whole numbers; nothing
    where a setting does not use it."""
    real = any(isinstance(value, float) and not value.is_integer() for value in column)
    key, known = json.dumps(name), dict[tuple[type, Value | None], str]()
    out = []
    for value in column:
        entry = known.get((type(value), value))
        if entry is None:
            entry = known[type(value), value] = "" if value is None else f"{key}:{_json(value, real)}"
        out.append(entry)
    return out


def _json(value: Value, real: bool) -> str:
    if isinstance(value, bool | str):
        return json.dumps(value)
    if isinstance(value, float) and not real and value.is_integer() and abs(value) < 2**53:
        return json.dumps(int(value))
    return json.dumps(float(value) if real and abs(value) < INFINITE else value)


def _seeds(reading: _Reading, texts: Sequence[str], name: str | None) -> list[int]:
    """The seed of each trial; without one, trials of a setting are numbered as they come."""
    given = [None if name is None else trial.setting.get(name) for trial in reading.trials]
    whole = [None if value is None else _whole(value) for value in given]
    bad = next((value for value, seed in zip(given, whole, strict=True) if value is not None and seed is None), None)
    if bad is not None:
        raise UsageError(f"--seed {name}: {bad!r} is no whole number; --seed {SEED_ROWS} numbers trials of a setting")
    if any(seed is not None and not -(2**63) <= seed < 2**63 for seed in whole):
        order = {seed: place for place, seed in enumerate(sorted({seed for seed in whole if seed is not None}))}
        whole = [None if seed is None else order[seed] for seed in whole]
        reading.notes.append(f"seeds beyond 64 bits: the {len(order):,} seeds are numbered in their order")
    taken = {(text, seed) for text, seed in zip(texts, whole, strict=True) if seed is not None}
    fresh: dict[str, Iterator[int]] = {}
    out = []
    for text, seed in zip(texts, whole, strict=True):
        if seed is None:
            following = fresh.setdefault(text, numbers_from())
            seed = next(number for number in following if (text, number) not in taken)
        out.append(seed)
    _note_numbered(reading, name, whole, out)
    return out


def _note_numbered(reading: _Reading, name: str | None, given: Sequence[int | None], seeds: Sequence[int]) -> None:
    missing = sum(seed is None for seed in given)
    if name is None and any(seeds):
        reading.notes.append(
            f"no seed: trials of one setting are its repetitions, numbered 0 to {max(seeds)} as they come "
            "(not paired between settings; --seed names a hyperparameter)"
        )
    elif name is not None and missing:
        reading.notes.append(f"{count(missing, 'trial')} without {name}: numbered within the setting")


def _drop_repeated(
    reading: _Reading, texts: Sequence[str], seeds: Sequence[int], name: str | None
) -> tuple[list[str], list[int]]:
    """Leaves out failed trials that were trained again, with the same setting and seed, and trials that are there twice
    with the same numbers. Raises UsageError for others that are there twice."""
    places: dict[tuple[str, int], list[int]] = {}
    for place, key in enumerate(zip(texts, seeds, strict=True)):
        places.setdefault(key, []).append(place)
    dropped, twice = set(), 0
    for (_, seed), same in places.items():
        if len(same) == 1:
            continue
        good = [place for place in same if reading.trials[place].state != _FAILED] or same[-1:]
        if len({_outcome(reading.trials[place]) for place in good}) == 1:
            twice += len(good) - 1
            good = good[:1]
        if len(good) > 1:
            first, second = (reading.trials[place].name for place in good[:2])
            raise UsageError(
                f"{reading.study.tool}: trials {first} and {second} have the same setting and {name} {seed}; "
                f"--seed names what tells them apart, --seed {SEED_ROWS} numbers them as repetitions"
            )
        dropped |= {*same} - {*good}
    if failed := len(dropped) - twice:
        reading.notes.append(f"{count(failed, 'failed trial')} trained again with the same seed: the last counts")
    if twice:
        reading.notes.append(
            f"{count(twice, 'trial')} with the setting, seed and numbers of another, taken once; --seed {SEED_ROWS} "
            "numbers them as repetitions"
        )
    kept = [place for place in range(len(texts)) if place not in dropped]
    reading.trials = [reading.trials[place] for place in kept]
    return [texts[place] for place in kept], [seeds[place] for place in kept]


def _outcome(trial: ForeignTrial) -> str:
    """How a trial ended and all that was measured, as a text by which equal ones are equal, NaN too."""
    return repr((trial.state, sorted(trial.values.items()), sorted((n, *c) for n, c in trial.curves.items())))


def _value_kind(reading: _Reading, metric: str, wishes: Wishes, direction: str) -> str | None:
    """Which value of the curves is the metric; None where the tool's own value is, or there are no curves."""
    curved = [trial for trial in reading.trials if trial.curves.get(metric)]
    if not curved:
        if wishes.value == "best":
            raise UsageError(f"--value best: {reading.study.tool} keeps no curve of {metric} here, one value a trial")
        return None
    kept = any(metric in trial.values for trial in reading.trials)
    if wishes.value is None and kept:
        return "best" if _is_best(curved, metric, direction) else None
    return wishes.value or "last"


def _is_best(curved: Sequence[ForeignTrial], metric: str, direction: str) -> bool:
    """Whether the values that the tool kept are the best of their curves, and not the last of all."""
    better = min if direction == "minimize" else max
    differ = False
    for trial in curved:
        values = [value for _, value in trial.curves[metric] if finite(value) is not None]
        if trial.state != "complete" or metric not in trial.values or not values:
            continue
        if trial.values[metric] != better(values):
            return False
        differ = differ or values[-1] != better(values)
    return differ


def _last(trial: ForeignTrial, name: str) -> float | None:
    """What a trial had of a metric in the end, if that is finite."""
    if name in trial.values:
        return finite(trial.values[name])
    curve = trial.curves.get(name)
    return finite(curve[-1][1]) if curve else None


def _end(
    trial: ForeignTrial, metric: str, direction: str, value: str | None, tool: str, shift: int
) -> tuple[str, str | None, float | None]:
    """How a trial ended: its state, why, and its metric; a failed or diverged one has none."""
    curve = trial.curves.get(metric, ())
    if trial.state == _FAILED:
        return _FAILED, trial.reason or f"failed in {tool}", None
    if trial.state == _DIVERGED:
        return _DIVERGED, trial.reason or _first_bad(curve, metric, shift), None
    if metric not in trial.values and not curve:
        ended = "was pruned before any" if trial.state == "pruned" else "ended without"
        return (trial.state if trial.state == "pruned" else _FAILED), f"{ended} {metric}", None
    own = trial.values.get(metric) if value is None or not curve else None
    last = finite(own if own is not None else curve[-1][1])
    if last is None:
        return _DIVERGED, trial.reason or _first_bad(curve, metric, shift), None
    if value == "best" and curve:
        better = min if direction == "minimize" else max
        last = better(number for _, number in curve if finite(number) is not None)
    return trial.state, trial.reason, last


def _first_bad(curve: Curve, metric: str, shift: int) -> str:
    step = next((step + shift for step, value in curve if finite(value) is None), None)
    return f"no finite {metric}" if step is None else f"{metric} not finite in epoch {step}"


def _note_states(reading: _Reading, ends: Sequence[tuple[str, str | None, float | None]]) -> None:
    lost = sum(
        trial.state != _FAILED and state == _FAILED for trial, (state, _, _) in zip(reading.trials, ends, strict=True)
    )
    if lost:
        reading.notes.append(f"{count(lost, 'trial')} ended well without any value of the metric, taken as failed")
    states = Counter(state for state, _, _ in ends)
    if len(states) > 1 or "complete" not in states:
        reading.notes.append("trials ended: " + ", ".join(f"{n:,} {state}" for state, n in states.most_common()))
