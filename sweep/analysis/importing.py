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

from sweep.analysis.conditions import QUOTED, filter_trials, unquote
from sweep.analysis.ends import fail_short, note_lost, read_ends
from sweep.analysis.roles import SEED_NAMES, Roles, last_epochs, seed_column, sort_columns, tool_of
from sweep.analysis.typed import read_table
from sweep.errors import UsageError, unknown
from sweep.hyperparameters import TABLE
from sweep.ledger import Course
from sweep.recipe import Imported, Recipe
from sweep.wording import count

RESERVED = frozenset(
    [
        *("trial", "number", "rank", "seed", "state", "reason", "traceback", "setting", "settings", "n"),
        *("mean", "low", "high", "best", "worst", "diverged", "failed", "pruned", "tied", "selected"),
        *("again", "sd", "level", "cell", "value", "score", "expected", "seeds", "trials", "group", "lost"),
        *("front", "parameters", "seconds", "max_epochs", "selected_n", "index", "_lost", "_group", "_value"),
    ]
)
"""Names that tables of trials and settings use themselves: a column of the file that has one gets a line below it."""

INFINITE = 1e20
"""A metric from this size on stands for infinity: MLflow writes 1.797e308 for it, others 1e20 or 1e30."""
_NOTHING = frozenset(
    ["nan", "none", "null", "na", "n/a", "nil", "<na>", "-", "inf", "+inf", "-inf", "infinity", "-infinity"]
)
"""Words for a metric that is no number."""

SEED_ROWS = "rows"
"""What --seed takes where rows of one setting are to be numbered, whatever seeds they have."""

SAME = 1e-9
"""Numbers of a column that differ by less than this share are one value: 0.0630957344480193 and 0.063095734448."""


@dataclass(frozen=True)
class Results:
    """A table of results, read and checked."""

    recipe: Recipe
    rows: list[tuple[object, ...]]
    """(setting as JSON, seed, state, reason, metric, test metric) of each trial, in the file's order."""
    settings: int
    """How many settings there are."""
    notes: list[str]
    """What is surprising in the table, and what was made of it."""
    seed: str | None
    """The column of seeds."""
    constant: dict[str, Any]
    """Hyperparameters that have one value, and it."""
    left_out: dict[str, list[str]]
    """Columns that are taken as no hyperparameters, by reason."""
    course: Course | None = None
    """Curves and names of another tool's trials."""


def read_results(
    path: Path,
    metric: str,
    direction: str,
    seed: str | None = None,
    ignore: Sequence[str] = (),
    only: Sequence[str] = (),
    test: str | None = None,
    where: str = "",
    state: str | None = None,
    missing: str = "diverged",
) -> Results:
    """Reads a table with one row per training. Every column is a hyperparameter but `metric`, `seed` (by default the
    column of that name), `test` (a metric on test data), a state, what names or times a run, and those to `ignore`;
    with `only`, those are. A metric with a *, such as split*_test_score, is one column per repeat.

    A row without a finite metric is a diverged trial, unless its state says otherwise; where the cell is empty,
    `missing` says what it is: diverged, failed, or left-out. `state` names the column of states. With `seed` "rows",
    rows of one setting are numbered. Raises UsageError, with the line where it can, for a file that cannot
    be read as such.
    """
    typed = read_table(path)
    table, notes = typed.frame, list(typed.notes)
    if "*" in metric:
        table, metric, seed = _melt(table, metric, seed, path, notes)
    ignore, only = read_names(ignore, [*table.columns]), read_names(only, [*table.columns])
    numbered = seed == SEED_ROWS and SEED_ROWS not in table
    seed = None if numbered else seed
    _check_columns(table, path, {"--metric": [metric], "--seed": [seed], "--ignore": ignore})
    _check_columns(table, path, {"--columns": only, "--test": [test], "--state": [state]})
    table = filter_trials(table, where) if where else table
    if not len(table):
        raise UsageError(
            f"{path}: no rows{f' that meet --where {where!r}' if where else ''}; expected one per training"
        )
    if seed == metric:
        raise UsageError(f"--seed {seed}: that is the metric; expected the column of seeds")
    if numbered:
        ignore = [*ignore, *([found] if (found := seed_column(table, metric)) else [])]
    else:
        seed = seed or (None if set(SEED_NAMES) & {*ignore, *only} else seed_column(table, metric))
    used = {metric, seed, test, *ignore, *only}
    table, states, own = read_ends(table, metric, used, path, notes, state, missing)
    names = [name for name in table.columns if name not in {metric, seed, test, *ignore}]
    roles = Roles(only) if only else sort_columns(table, names)
    last = last_epochs(table, roles, used, seed, notes)
    kept = last & ~_without_anything(table, roles.hyperparameters, seed)
    if kept.sum() < last.sum():
        notes.append(f"{count(int(last.sum() - kept.sum()), 'row')} without a seed and any hyperparameter, left out")
    table, states, names = table[kept], None if states is None else states[kept], roles.hyperparameters
    states = fail_short(table, states, used, notes)
    if not names:
        raise UsageError(f"{path}: no column is left that could be a hyperparameter{_left_out_text(roles.left_out)}")
    renamed = {name: _free_name(name, table) for name in [*names, metric] if is_taken(name, metric)}
    if renamed:
        new_names = ", ".join(f"{name} is called {new}" for name, new in renamed.items())
        notes.append(f"{new_names} here: sweep has a column of that name")
        table, names = table.rename(columns=renamed), [renamed.get(name, name) for name in names]
        metric = renamed.get(metric, metric)
    values, tests = _metric(table, metric, path, notes), _metric(table, test, path, []) if test else None
    settings = _settings(table, names, notes)
    seeds = _seeds(table, seed, settings.codes, path, notes)
    _check_repeats(settings.codes, seeds, table.index, seed, path)
    note_lost(values, states, metric, notes)
    _note_measured(table, settings, notes)
    imported = Imported(metric, tuple(settings.swept), tuple(settings.constant), test, notes=tuple(notes))
    distinct = tuple(sorted(set(seeds)))
    recipe = Recipe(data=path.name, seeds=distinct, metric=metric, direction=direction, imported=imported)
    rows = _rows(settings, seeds, values, tests, metric, states)
    constant = {name: table[name].iloc[0] for name in settings.constant}
    return Results(recipe, rows, len(settings.texts), notes, seed, constant, own | roles.left_out)


def read_names(given: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The columns that flags name: a,b. One with a comma in its name stands alone or in quotes."""
    out = []
    for text in given:
        parts = [text] if text in columns else [match[0] for match in re.finditer(rf"(?:{QUOTED}|[^,])+", text)]
        out += [unquote(part.strip()) for part in parts if part.strip()]
    return out


def _left_out_text(left_out: dict[str, list[str]]) -> str:
    """What was left out and why, as the end of a sentence."""
    reasons = "; ".join(f"{', '.join(columns)} ({reason})" for reason, columns in left_out.items())
    return f"; left out: {reasons}; --columns names the hyperparameters" if reasons else ""


def _without_anything(
    table: pd.DataFrame, names: Sequence[str], seed: str | None
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows have neither seed nor hyperparameter, where there is a column of seeds."""
    if seed is None or not names:
        return np.zeros(len(table), bool)
    return table[[seed, *names]].isna().all(axis=1).to_numpy(bool)


def _melt(
    table: pd.DataFrame, metric: str, seed: str | None, path: Path, notes: list[str]
) -> tuple[pd.DataFrame, str, str]:
    """A table with one column per repeat as one with a row per repeat; the names of its metric and of its seed. Where
    rows have a seed, each of its repeats is a seed of its own."""
    pattern = re.compile(".*".join(map(re.escape, metric.split("*"))).replace(".*", "(.+)"))
    seed = seed or seed_column(table, metric)
    repeats = [n for n in table.columns if pattern.fullmatch(n) and n != seed and _may_measure(table[n])]
    if not repeats:
        raise unknown("column", metric, table.columns, f"{path}: --metric: ")
    rest = table.drop(columns=repeats)
    called = metric.replace("*", "").strip("_./ ") or "metric"
    column, before = seed or "seed", [0] * len(table)
    if seed is not None:
        _check_columns(table, path, {"--seed": [seed]})
        before = _whole(table[seed], path)
        order = {value: place for place, value in enumerate(sorted(set(before)))}
        before = [order[value] for value in before]
        notes.append(f"each {seed} has {len(repeats)} columns {metric}: each is a seed of its own, numbered from 0")
    parts = []
    for place, name in enumerate(repeats):
        part = rest.copy()
        part[called] = table[name]
        part[column] = pd.Series([number * len(repeats) + place for number in before], index=table.index, dtype=object)
        parts.append(part)
    notes.append(f"one column per repeat: {', '.join(repeats)}")
    return pd.concat(parts).sort_index(kind="stable"), called, column


def _may_measure(column: pd.Series) -> bool:
    """Whether a column can be a metric's: it has a number, or nothing at all."""
    kinds = set(map(type, column.dropna()))
    return not kinds or bool(kinds & {int, float})


def _free_name(name: str, table: pd.DataFrame) -> str:
    while name in table:
        name += "_"
    return name


def is_taken(name: str, metric: str) -> bool:
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
                longer = [column for column in table.columns if re.split(r"[./]", column)[-1] == name]
                raise unknown("column", name, longer or table.columns, f"{path}: {flag}: ")


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
    out = _whole(table[name], path)
    if any(not -(2**63) <= value < 2**63 for value in out):  # more than the ledger's whole numbers hold
        number = {value: place for place, value in enumerate(sorted(set(out)))}
        notes.append(
            f"seeds beyond 64 bits: the {len(number):,} seeds are numbered 0 to {len(number) - 1} in their order"
        )
        out = [number[value] for value in out]
    return out


def _whole(column: pd.Series, path: Path) -> list[int]:
    """A column of seeds, exactly as they are written. Raises UsageError, with the line, for what is no whole number."""
    out = []
    for line, cell in column.items():
        whole = isinstance(cell, float) and cell.is_integer()
        if isinstance(cell, bool) or not (isinstance(cell, int) or whole):
            given = "nothing" if cell is None else repr(str(cell))
            raise UsageError(
                f"{path}, line {line}: {column.name} = {given}: expected a whole number, the training's seed"
            )
        out.append(int(cell))
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
    if seed:
        hint = f"; --seed {SEED_ROWS} numbers them as repetitions"
    same = f"the same setting and {seed} {seeds[place]}" if seed else "the same setting"
    more = f" ({again.sum():,} rows repeat another)" if again.sum() > 1 else ""
    raise UsageError(f"{path}: lines {first} and {later} have {same}{more}{hint}")


def _note_measured(table: pd.DataFrame, settings: _Settings, notes: list[str]) -> None:
    """Columns that look like results: they make every row a setting of its own."""
    if len(settings.texts) < len(table) or len(table) < 4:
        return
    numeric = [name for name in settings.swept if any(isinstance(cell, float) for cell in table[name])]
    odd = [n for n in numeric if table[n].nunique() > 0.5 * len(table) and re.split(r"[/.:]", n)[-1] not in TABLE]
    if odd and odd != settings.swept and tool_of(table) is None:
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
