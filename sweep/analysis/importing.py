"""Reading anyone's table of results (CSV or Parquet) as a study: its columns become hyperparameters. Needs pandas."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.conditions import filtered
from sweep.analysis.typed import read_table
from sweep.errors import UsageError, unknown
from sweep.recipe import METRICS, Imported, Recipe

RESERVED = frozenset(
    [
        "trial",
        "number",
        "rank",
        "seed",
        "state",
        "reason",
        "traceback",
        "setting",
        "settings",
        "n",
        "mean",
        "low",
        "high",
        "best",
        "worst",
        "diverged",
        "failed",
        "pruned",
        "tied",
        "selected",
        "again",
        "sd",
        "level",
        "cell",
        "value",
        "score",
        "expected",
        "seeds",
        "trials",
        "group",
        "lost",
        "front",
        "parameters",
        "seconds",
        "max_epochs",
        "selected_n",
        "index",
    ]
)
"""Names that tables of trials and settings use themselves: a column of the file that has one gets a line below it."""

INFINITE = 1e20
"""A metric from this size on stands for infinity: MLflow writes 1.797e308 for it, others 1e20 or 1e30."""
_NOTHING = frozenset(
    ["nan", "none", "null", "na", "n/a", "nil", "<na>", "-", "inf", "+inf", "-inf", "infinity", "-infinity"]
)
"""Words for a metric that is no number."""

_STATES = {
    "complete": "complete completed finished done success succeeded successful terminated ok trained",
    "pruned": "pruned early_stopped early-stopped earlystopped early_stop stopped_early",
    "diverged": "diverged exploded nan",
    "failed": "fail failed failure error errored crashed crash killed aborted canceled cancelled timeout timed_out preempted preempting oom",
    "running": "running waiting pending scheduled queued paused created in_progress started not_started unfinished",
}
_STATE_OF = {word: state for state, words in _STATES.items() for word in words.split()}
_STATE_NAMES = ("state", "status", "trial_state", "trial_status", "run_state", "end_state", "final_state")

_EPOCH_NAMES = ("epoch", "training_iteration", "iteration", "step", "global_step", "_step", "iter")
_NAMES_OF_RUNS = frozenset(
    [
        "id",
        "trial_id",
        "run_id",
        "trial",
        "number",
        "run",
        "uuid",
        "name",
        "run_name",
        "trial_name",
        "experiment_id",
        "_id",
        "trial_number",
        "run_uuid",
        "job_id",
        "index",
        "user",
        "notes",
        "tags",
        "sweep",
        "created",
        "hostname",
        "host",
        "node_ip",
        "pid",
        "logdir",
        "experiment_tag",
        "path",
        "checkpoint",
    ]
)
_TIMES = re.compile(
    r"(^|[^a-z])(durations?|runtimes?|run_time|walltime|wall_time|elapsed|time_total|training_time|train_time|"
    r"time_this_iter|fit_time|score_time|timestamps?|datetime|date|created_at|started_at|start_time|end_time|ended_at|"
    r"finished_at|time_since_restore)([^a-z]|$)",
)

SAME = 1e-9
"""Numbers of a column that differ by less than this share are one value: 0.0630957344480193 and 0.063095734448."""


@dataclass(frozen=True)
class Results:
    """A table of results, read and checked."""

    recipe: Recipe
    rows: list[tuple[object, ...]]
    """(setting as JSON, seed, state, reason, metric, test metric) of each trial, in the file's order."""
    settings: int
    """How many there are."""
    notes: list[str]
    """What the reader should know of how they were read."""


def read_results(
    path: Path,
    metric: str,
    direction: str,
    seed: str | None = None,
    ignore: Sequence[str] = (),
    only: Sequence[str] = (),
    test: str | None = None,
    where: str = "",
) -> Results:
    """Reads a table with one row per training. Every column is a hyperparameter but `metric`, `seed` (by default the
    column of that name), `test` (a metric on test data), a state, what names or times a run, and those to `ignore`; with
    `only`, those are. A metric with a *, such as split*_test_score, is one column per repeat.

    A row without a finite metric is a diverged trial, unless its state says otherwise. Raises UsageError, with the line where
    it can, for a file that cannot be read as such.
    """
    typed = read_table(path)
    table, notes = typed.frame, list(typed.notes)
    if "*" in metric:
        table, metric, seed = _melt(table, metric, path)
    _check_columns(table, path, {"--metric": [metric], "--seed": [seed], "--ignore": ignore})
    _check_columns(table, path, {"--columns": only, "--test": [test]})
    table = filtered(table, where) if where else table
    if not len(table):
        raise UsageError(
            f"{path}: no rows{f' that meet --where {where!r}' if where else ''}; expected one per training"
        )
    seed = seed or next(
        (name for name in ("seed", "random_seed", "random_state") if name in table and name != metric), None
    )
    if seed == metric:
        raise UsageError(f"--seed {seed}: that is the metric; expected the column of seeds")
    table, states = _read_states(table, {metric, seed, test, *ignore, *only}, path, notes)
    if not len(table):
        raise UsageError(f"{path}: no training has ended; expected at least one row that is not running or waiting")
    apart = {metric, seed, test, *ignore}
    names = [name for name in (only or table.columns) if name not in apart]
    if not only:
        names = _leave_out(table, names, notes)
    table, names, states = _last_epochs(table, names, seed, states, notes)
    if not names:
        raise UsageError(f"{path}: no column is left that could be a hyperparameter")
    renamed = {name: _free_name(name, table) for name in [*names, metric] if _taken(name, metric)}
    if renamed:
        told = ", ".join(f"{name} is called {new}" for name, new in renamed.items())
        notes.append(f"{told} here: sweep has a column of that name")
        table, names = table.rename(columns=renamed), [renamed.get(name, name) for name in names]
        metric = renamed.get(metric, metric)
    values, tests = _metric(table, metric, path, notes), _metric(table, test, path, []) if test else None
    settings = _settings(table, names, notes)
    seeds = _seeds(table, seed, settings.codes, path, notes)
    _check_repeats(settings.codes, seeds, table.index, seed, path)
    _note_lost(values, states, metric, notes)
    _note_measured(table, settings, notes)
    imported = Imported(metric, tuple(settings.swept), tuple(settings.constant), test)
    distinct = tuple(sorted(set(seeds)))
    recipe = Recipe(data=path.name, seeds=distinct, metric=metric, direction=direction, imported=imported)
    return Results(recipe, _rows(settings, seeds, values, tests, metric, states), len(settings.texts), notes)


def _melt(table: pd.DataFrame, metric: str, path: Path) -> tuple[pd.DataFrame, str, str]:
    """A table with one column per repeat as one with a row per repeat; the names of its metric and of its seed."""
    pattern = re.compile(".*".join(map(re.escape, metric.split("*"))).replace(".*", "(.+)"))
    found = [(name, match[1]) for name in table.columns if (match := pattern.fullmatch(name))]
    if not found:
        raise unknown("column", metric, table.columns, f"{path}: --metric: ")
    rest = table.drop(columns=[name for name, _ in found])
    called = metric.replace("*", "").strip("_./ ") or "metric"
    parts = []
    for place, (name, _) in enumerate(found):
        part = rest.copy()
        part[called], part["seed"] = table[name], place
        parts.append(part)
    return pd.concat(parts).sort_index(kind="stable"), called, "seed"


def _read_states(
    table: pd.DataFrame, used: set[str | None], path: Path, notes: list[str]
) -> tuple[pd.DataFrame, pd.Series | None]:
    """The rows that have ended, without the column that says it, and the state of each; None where no column does."""
    for name in table.columns:
        words = table[name].dropna().map(lambda cell: str(cell).strip().lower().replace(" ", "_"))
        words = words.map(lambda word: word.rsplit(".", 1)[-1])  # TrialState.PRUNED
        known = words.isin(list(_STATE_OF))
        if name in used or name.lower() not in _STATE_NAMES or not known.any():
            continue
        if not known.all():
            line = known.index[~known.to_numpy()][0]
            raise UsageError(
                f"{path}, line {line}: {name} = {table[name][line]!r} is no state that is known, though others there are; "
                f"--ignore {name} leaves the column out"
            )
        states = words.map(_STATE_OF).reindex(table.index).fillna("complete")
        ended = states != "running"
        counts = states.value_counts()
        told = ", ".join(f"{n:,} {state}" for state, n in counts.items())
        left = f"; {counts['running']:,} not ended, left out" if "running" in counts else ""
        notes.append(f"{name} says how trainings ended: {told}{left}")
        own = {"rank", "trial", "state", "reason"} <= set(table.columns)
        mine = ["rank", "trial", "reason", "epochs", "seconds", "traceback"] if own else []
        measured = [*METRICS, "best_val_loss", "best_val_accuracy", "test_loss", "test_accuracy"] if own else []
        left_out = [column for column in [*mine, *measured] if column in table and column not in used]
        if left_out:
            notes.append(f"sweep's own export: {', '.join(left_out)} are no hyperparameters")
        return table[ended].drop(columns=[name, *left_out]), states[ended]
    return table, None


def _leave_out(table: pd.DataFrame, names: list[str], notes: list[str]) -> list[str]:
    """The columns that may be hyperparameters: not what names a run, tells its time or measures it on test data."""
    reasons: dict[str, list[str]] = {}
    for name in names:
        distinct, low = table[name].nunique(), name.lower()
        last = re.split(r"[/.]", low)[-1]
        many = distinct > 1 and 2 * distinct >= len(table)
        if low.startswith("test_"):
            reasons.setdefault("scores on test data (--test keeps one)", []).append(name)
        elif last in _NAMES_OF_RUNS and (many or distinct <= 1 or low in ("user", "notes", "tags", "sweep", "created")):
            reasons.setdefault("names of runs", []).append(name)
        elif _TIMES.search(low) and not all(isinstance(cell, bool) for cell in table[name].dropna()):
            reasons.setdefault("times", []).append(name)
    for reason, columns in reasons.items():
        notes.append(f"left out as {reason}: {', '.join(columns)}; --columns names the hyperparameters")
    gone = {name for columns in reasons.values() for name in columns}
    return [name for name in names if name not in gone]


def _last_epochs(
    table: pd.DataFrame, names: list[str], seed: str | None, states: pd.Series | None, notes: list[str]
) -> tuple[pd.DataFrame, list[str], pd.Series | None]:
    """Of a table with one row per epoch, the last row of each training."""
    epoch = next((name for name in names if name.lower() in _EPOCH_NAMES), None)
    if epoch is None or not all(isinstance(cell, int | float) for cell in table[epoch].dropna()):
        return table, names, states
    rest = [name for name in names if name != epoch and not set(map(type, table[name].dropna())) <= {bool}]
    run = next((name for name in table.columns if name.lower() in ("trial_id", "run_id", "id", "trial", "run")), None)
    keys = [table[name].map(repr) for name in ([run] if run else [*rest, *([seed] if seed else [])])]
    groups = table.groupby(keys, sort=False)[epoch] if keys else None
    if groups is None or groups.ngroups == len(table) or (groups.nunique() < groups.size()).any():
        if len(names) > 1 and table[epoch].nunique() > 1:
            notes.append(f"left out as how far a run got: {epoch}; --columns names the hyperparameters")
            names = [name for name in names if name != epoch]
        return table, names, states
    last = groups.transform("max") == table[epoch]
    notes.append(f"one row per {epoch}: the last of each training is taken, {int(last.sum()):,} of {len(table):,} rows")
    flags = [name for name in names if name.lower() in ("done", "should_checkpoint")]
    kept = [name for name in names if name != epoch and name not in flags]
    return table[last], kept, None if states is None else states[last]


def _free_name(name: str, table: pd.DataFrame) -> str:
    while name in table:
        name += "_"
    return name


def _taken(name: str, metric: str) -> bool:
    """Whether a column's name is one that tables of trials have themselves."""
    if name == metric:
        return (name in RESERVED and name != "value") or name == "epochs"
    return name in RESERVED or name.startswith("test_")


@dataclass(frozen=True)
class _Settings:
    codes: np.ndarray[Any, np.dtype[np.int64]]  # [rows], which setting
    texts: list[str]  # [settings], as JSON
    swept: list[str]
    constant: list[str]


def _check_columns(table: pd.DataFrame, path: Path, given: dict[str, Sequence[str | None]]) -> None:
    for flag, names in given.items():
        for name in names:
            if name is not None and name not in table.columns:
                raise unknown("column", name, table.columns, f"{path}: {flag}: ")


def _metric(table: pd.DataFrame, name: str, path: Path, notes: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column of numbers, NaN where there is none that is finite. Raises UsageError for other text, with its line."""
    values = np.full(len(table), math.nan)
    vast = 0
    for place, cell in enumerate(table[name]):
        if cell is None or (isinstance(cell, str) and cell.lower() in _NOTHING):
            continue
        number = None if isinstance(cell, bool) else _number(cell)
        if number is None:
            expected = "expected a number (empty, nan or inf if it diverged)"
            raise UsageError(f"{path}, line {table.index[place]}: {name} = {str(cell)!r}: {expected}")
        if abs(number) < INFINITE:
            values[place] = number
        elif math.isfinite(number):
            vast += 1
    if vast:
        notes.append(f"{vast:,} {'value' if vast == 1 else 'values'} of {name} beyond {INFINITE:g}, taken as infinite")
    return values


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
    except OverflowError:  # a whole number that no float holds
        return math.inf


def _seeds(
    table: pd.DataFrame, name: str | None, codes: np.ndarray[Any, Any], path: Path, notes: list[str]
) -> list[int]:
    """The seed of each row, exactly as it is written; without such a column, rows of one setting are numbered."""
    if name is None:
        repeat = pd.Series(codes).groupby(codes).cumcount()
        if repeat.any():
            notes.append(
                f"no column of seeds: rows of one setting are its repeats, numbered 0 to {repeat.max()} as they come "
                "(not paired between settings; --seed names a column)"
            )
        return [int(value) for value in repeat]
    out = []
    for line, cell in table[name].items():
        whole = isinstance(cell, float) and cell.is_integer()
        if isinstance(cell, bool) or not (isinstance(cell, int) or whole):
            given = "nothing" if cell is None else repr(str(cell))
            raise UsageError(f"{path}, line {line}: {name} = {given}: expected a whole number, the training's seed")
        out.append(int(cell))
    if any(not -(2**63) <= value < 2**63 for value in out):  # more than the ledger's whole numbers hold
        number = {value: place for place, value in enumerate(sorted(set(out)))}
        notes.append(
            f"seeds beyond 64 bits: the {len(number):,} seeds are numbered 0 to {len(number) - 1} in their order"
        )
        out = [number[value] for value in out]
    return out


def _settings(table: pd.DataFrame, names: list[str], notes: list[str]) -> _Settings:
    """Which rows have the same setting, and each setting as the text by which the ledger knows it."""
    codes = np.zeros(len(table), "int64")
    parts = []
    swept: list[str] = []
    constant: list[str] = []
    for name in names:
        column, merged = _levels(table[name])
        if merged:
            notes.append(f"{name}: {merged} values that agree with another to nine digits are taken as it")
        empty = sum(cell is None for cell in column)
        if 0 < empty < len(column):
            notes.append(f"{name} is empty in {empty:,} of {len(column):,} rows: they are settings without it")
        places, levels = pd.factorize(column, use_na_sentinel=False)
        (swept if len(levels) > 1 else constant).append(name)
        parts.append((places, [_entry(name, level) for level in levels]))
        codes = pd.factorize(codes * len(levels) + places)[0]
    firsts = np.unique(codes, return_index=True)[1]
    columns = [[entries[place] for place in places[firsts]] for places, entries in parts]
    texts = ["{" + ",".join(filter(None, row)) + "}" for row in zip(*columns, strict=True)]
    return _Settings(codes, texts, swept, constant)


def _levels(column: pd.Series) -> tuple[pd.Series, int]:
    """A hyperparameter's values, None where it has none; how many were taken as another, near one."""
    numbers = sorted({cell for cell in column if isinstance(cell, float) and math.isfinite(cell)})
    values = np.array(numbers)
    groups = np.concatenate([[0], np.cumsum(np.diff(values) > SAME * np.abs(values[1:]))]) if len(values) else values
    if not len(values) or groups[-1] + 1 == len(values):
        return column, 0
    shortest = {group: min(values[groups == group].tolist(), key=lambda v: len(repr(v))) for group in set(groups)}
    to = {value: shortest[group] for value, group in zip(numbers, groups, strict=True)}
    return column.map(lambda cell: to.get(cell, cell) if isinstance(cell, float) else cell), len(values) - len(shortest)


def _entry(name: str, level: Any) -> str:
    """A hyperparameter's value as a part of a JSON object; nothing where a setting does not use it."""
    if level is None or level != level:
        return ""
    value = level.item() if hasattr(level, "item") else level
    value = value if isinstance(value, bool | int | float) else str(value)
    return f"{json.dumps(name)}:{json.dumps(value)}"


def _check_repeats(
    codes: np.ndarray[Any, Any], seeds: list[int], lines: pd.Index, seed: str | None, path: Path
) -> None:
    again = pd.DataFrame({"setting": codes, "seed": seeds}).duplicated().to_numpy(bool)
    if not again.any():
        return
    place = int(again.argmax())
    same_seed = np.array([value == seeds[place] for value in seeds])
    first, later = lines[int(((codes == codes[place]) & same_seed).argmax())], lines[place]
    hint = "; --seed names the column that tells them apart"
    same = f"the same setting and {seed} {seeds[place]}" if seed else f"the same setting{hint}"
    more = f" ({again.sum():,} rows repeat another)" if again.sum() > 1 else ""
    raise UsageError(f"{path}: lines {first} and {later} have {same}{more}")


def _note_lost(values: np.ndarray[Any, Any], states: pd.Series | None, metric: str, notes: list[str]) -> None:
    lost = np.isnan(values)
    if states is not None:
        lost &= (states == "complete").to_numpy()
    n = int(lost.sum())
    if n:
        notes.append(f"{n:,} {'row' if n == 1 else 'rows'} without a finite {metric}: diverged trials")


def _note_measured(table: pd.DataFrame, settings: _Settings, notes: list[str]) -> None:
    """Columns that look like results: they make every row a setting of its own."""
    if len(settings.texts) < len(table) or len(table) < 4:
        return
    numeric = [name for name in settings.swept if any(isinstance(cell, float) for cell in table[name])]
    odd = [name for name in numeric if table[name].nunique() > 0.5 * len(table)]
    if odd:
        notes.append(
            f"no setting has two seeds; if {', '.join(odd)} {'is a result' if len(odd) == 1 else 'are results'}, "
            f"--ignore {','.join(odd)}, or --columns names the hyperparameters"
        )


def _rows(
    settings: _Settings,
    seeds: list[int],
    values: np.ndarray[Any, Any],
    tests: np.ndarray[Any, Any] | None,
    metric: str,
    states: pd.Series | None,
) -> list[tuple[object, ...]]:
    scores = [None if math.isnan(value) else value for value in values.tolist()]
    tested = [None if math.isnan(v) else v for v in tests.tolist()] if tests is not None else [None] * len(scores)
    ended = ["complete"] * len(scores) if states is None else states.tolist()
    rows: list[tuple[object, ...]] = []
    for code, seed, score, test, said in zip(settings.codes.tolist(), seeds, scores, tested, ended, strict=True):
        state, reason = said, None
        if said == "complete" and score is None:
            state, reason = "diverged", f"no finite {metric}"
        elif said in ("failed", "diverged"):
            score, reason = (None if said == "diverged" else score), f"{said} in the table"
        rows.append((settings.texts[code], seed, state, reason, score, test))
    return rows
