"""Reading anyone's table of results (CSV or Parquet) as a study: its columns become hyperparameters. Needs pandas."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.conditions import filtered
from sweep.errors import UsageError, unknown
from sweep.ledger import PLANNED_EPOCHS
from sweep.recipe import Imported, Recipe

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
    ]
)
"""Names that tables of trials and settings use themselves."""

SAME = 1e-9
"""Numbers of a column that differ by less than this share are one value: 0.0630957344480193 and 0.063095734448."""


@dataclass(frozen=True)
class Results:
    """A table of results, read and checked. rows: (setting as JSON, seed, state, reason, metric, test metric) of each
    trial, in the file's order; notes: what the reader should know of how they were read."""

    recipe: Recipe
    rows: list[tuple[object, ...]]
    settings: int
    notes: list[str]


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
    """Reads a table with one row a training. Every column is a hyperparameter but `metric`, `seed` (by default the
    column of that name), `test` (a metric on test data) and those to `ignore`; with `only`, those are.

    A row without a finite metric is a diverged trial. Raises UsageError, with the line where it can, for a file that
    cannot be read as such.
    """
    table = _read(path)
    _check_columns(table, path, {"--metric": [metric], "--seed": [seed], "--ignore": ignore})
    _check_columns(table, path, {"--columns": only, "--test": [test]})
    table.index = pd.RangeIndex(2, len(table) + 2, name="line")  # the header is line 1
    notes: list[str] = []
    unnamed = [name for name in table.columns if name.startswith("Unnamed: ")]
    if unnamed and not only:
        notes.append("a column without a name is left out, as an index of rows")
    table = filtered(table.drop(columns=unnamed), where) if where else table.drop(columns=unnamed)
    if not len(table):
        raise UsageError(f"{path}: no rows{f' that meet --where {where!r}' if where else ''}; expected one a training")
    seed = seed or ("seed" if "seed" in table else None)
    apart = {metric, seed, test, *ignore}
    names = [name for name in (only or table.columns) if name not in apart]
    _check_names(names, path)
    values, tests = _metric(table, metric, path), _metric(table, test, path) if test else None
    seeds = _seeds(table, seed, path)
    settings = _settings(table, names, path, notes)
    _check_repeats(settings.codes, seeds, table.index, seed, path)
    _note_lost(values, metric, notes)
    _note_measured(table, settings, seeds, notes)
    imported = Imported(metric, tuple(settings.swept), tuple(settings.constant), test)
    distinct = tuple(sorted(set(seeds.tolist())))
    recipe = Recipe(data=path.name, seeds=distinct, metric=metric, direction=direction, imported=imported)
    return Results(recipe, _rows(settings, seeds, values, tests, metric), len(settings.texts), notes)


@dataclass(frozen=True)
class _Settings:
    codes: np.ndarray[Any, np.dtype[np.int64]]  # [rows], which setting
    texts: list[str]  # [settings], as JSON
    swept: list[str]
    constant: list[str]


def _read(path: Path) -> pd.DataFrame:
    kinds = (".csv", ".csv.gz", ".tsv", ".parquet")
    table: pd.DataFrame
    try:
        if path.name.endswith(".parquet"):
            table = pd.read_parquet(path, dtype_backend="numpy_nullable")
            return table
        if not path.name.endswith(kinds):
            raise unknown("suffix", "".join(path.suffixes[-2:]) or path.name, kinds, f"{path}: ")
        options: dict[str, Any] = {"sep": "\t" if path.name.endswith(".tsv") else ",", "encoding": "utf-8-sig"}
        header = pd.read_csv(path, header=None, nrows=1, dtype=str, **options).iloc[0].dropna()
        if header.duplicated().any():
            raise UsageError(f"{path}, line 1: two columns are called {header[header.duplicated()].iloc[0]!r}")
        table = pd.read_csv(path, dtype_backend="numpy_nullable", skip_blank_lines=False, **options)
        if not isinstance(table.index, pd.RangeIndex):  # pandas took the first fields for names of the rows
            fields = len(header) + table.index.nlevels
            raise UsageError(f"{path}, line 2: {fields} fields under a header of {len(header)}; expected as many")
        table.columns = pd.Index([str(name).strip() for name in table.columns])
        return table
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; expected a table of results ({', '.join(kinds)})") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: a folder; expected a table of results ({', '.join(kinds)})") from None
    except pd.errors.EmptyDataError:
        raise UsageError(f"{path}: the file is empty; expected a header and one row a training") from None
    except UsageError:
        raise
    except Exception as error:  # pandas, pyarrow and gzip have a dozen kinds; each says in its text what is wrong
        told = str(error).splitlines()[0].removeprefix("Error tokenizing data. C error: ").strip() if str(error) else ""
        raise UsageError(f"{path}: cannot be read as a table of results: {told or type(error).__name__}") from None


def _check_columns(table: pd.DataFrame, path: Path, given: dict[str, Sequence[str | None]]) -> None:
    for flag, names in given.items():
        for name in names:
            if name is not None and name not in table.columns:
                raise unknown("column", name, table.columns, f"{path}: {flag}: ")


def _check_names(names: list[str], path: Path) -> None:
    if not names:
        raise UsageError(f"{path}: no column is left that could be a hyperparameter")
    for name in names:
        if name in RESERVED or (name == PLANNED_EPOCHS and "epochs" in names) or name.startswith("test_"):
            other = "a score on test data (--test)" if name.startswith("test_") else "a column of sweep's own"
            raise UsageError(f"{path}: column {name!r} has the name of {other}; --ignore it, or call it otherwise")


def _metric(table: pd.DataFrame, name: str, path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A column of numbers, NaN where there is none that is finite. Raises UsageError for text, with its line."""
    numbers = pd.to_numeric(table[name], errors="coerce").astype("Float64")
    text = table[name].notna() & numbers.isna()
    if table[name].dtype == "boolean" or text.any():
        place = int(text.to_numpy(bool).argmax())
        raise UsageError(
            f"{path}, line {table.index[place]}: {name} = {str(table[name].iloc[place])!r}: expected a number (empty, nan or inf if it diverged)"
        )
    values = numbers.to_numpy("float64", na_value=math.nan)
    return np.where(np.isfinite(values), values, math.nan)


def _seeds(table: pd.DataFrame, name: str | None, path: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    if name is None:
        return np.zeros(len(table), "int64")
    numbers = pd.to_numeric(table[name], errors="coerce").astype("Float64")
    wrong = ~((numbers % 1 == 0) & (numbers.abs() < 2**62)).fillna(False).astype(bool)
    if wrong.any():
        place = int(wrong.to_numpy(bool).argmax())
        cell: Any = table[name].iloc[place]
        given = "nothing" if pd.isna(cell) else repr(str(cell))
        raise UsageError(
            f"{path}, line {table.index[place]}: {name} = {given}: expected a whole number, the training's seed"
        )
    return numbers.to_numpy("float64").astype("int64")


def _settings(table: pd.DataFrame, names: list[str], path: Path, notes: list[str]) -> _Settings:
    """Which rows have the same setting, and each setting as the text by which the ledger knows it."""
    codes = np.zeros(len(table), "int64")
    parts = []
    swept: list[str] = []
    constant: list[str] = []
    for name in names:
        column, merged = _levels(table[name], path)
        if merged:
            notes.append(f"{name}: {merged} values that agree with another to nine digits are taken as it")
        places, levels = pd.factorize(column, use_na_sentinel=False)
        (swept if len(levels) > 1 else constant).append(name)
        parts.append((places, [_entry(name, level) for level in levels]))
        codes = pd.factorize(codes * len(levels) + places)[0]
    firsts = np.unique(codes, return_index=True)[1]
    columns = [[entries[place] for place in places[firsts]] for places, entries in parts]
    texts = ["{" + ",".join(filter(None, row)) + "}" for row in zip(*columns, strict=True)]
    return _Settings(codes, texts, swept, constant)


def _levels(column: pd.Series, path: Path) -> tuple[pd.Series, int]:
    """A hyperparameter's values as plain ones, None where it has none; how many were taken as another, near one."""
    plain = column.astype(object).where(column.notna(), None)
    if column.dtype != "Float64":
        return plain, 0
    values = np.unique(column.dropna().to_numpy("float64"))
    if not np.isfinite(values).all():
        line = column.index[~np.isfinite(column.fillna(0).to_numpy("float64"))][0]
        raise UsageError(f"{path}, line {line}: {column.name} = {column[line]}: expected a finite number")
    apart = np.diff(values) > SAME * np.abs(values[1:])
    groups = np.concatenate([[0], np.cumsum(apart)]) if len(values) else np.array([], int)
    if not len(values) or groups[-1] + 1 == len(values):
        return plain, 0
    shortest = {group: min(values[groups == group], key=lambda v: len(repr(v))) for group in set(groups)}
    to = {value: shortest[group] for value, group in zip(values, groups, strict=True)}
    return plain.map(lambda value: None if value is None else float(to[value])), len(values) - len(shortest)


def _entry(name: str, level: Any) -> str:
    """A hyperparameter's value as a part of a JSON object; nothing where a setting does not use it."""
    if level is None or level != level:
        return ""
    value = level.item() if hasattr(level, "item") else level
    value = value if isinstance(value, bool | int | float) else str(value)
    return f"{json.dumps(name)}:{json.dumps(value)}"


def _check_repeats(
    codes: np.ndarray[Any, Any], seeds: np.ndarray[Any, Any], lines: pd.Index, seed: str | None, path: Path
) -> None:
    again = pd.DataFrame({"setting": codes, "seed": seeds}).duplicated().to_numpy(bool)
    if not again.any():
        return
    place = int(again.argmax())
    first, later = lines[int(((codes == codes[place]) & (seeds == seeds[place])).argmax())], lines[place]
    hint = "; --seed names the column that tells them apart"
    same = f"the same setting and {seed} {seeds[place]}" if seed else f"the same setting{hint}"
    more = f" ({again.sum():,} rows repeat another)" if again.sum() > 1 else ""
    raise UsageError(f"{path}: lines {first} and {later} have {same}{more}")


def _note_lost(values: np.ndarray[Any, Any], metric: str, notes: list[str]) -> None:
    lost = int(np.isnan(values).sum())
    if lost:
        notes.append(f"{lost:,} {'row' if lost == 1 else 'rows'} without a finite {metric}: diverged trials")


def _note_measured(table: pd.DataFrame, settings: _Settings, seeds: np.ndarray[Any, Any], notes: list[str]) -> None:
    """Columns that look like results: they make every row a setting of its own."""
    if len(settings.texts) < len(table) or len(set(seeds.tolist())) == 1 or len(table) < 4:
        return
    numeric = [name for name in settings.swept if table[name].dtype == "Float64"]
    odd = [name for name in numeric if table[name].nunique() > 0.5 * len(table)]
    if odd:
        notes.append(
            f"no setting has two seeds; if {', '.join(odd)} {'is a result' if len(odd) == 1 else 'are results'}, "
            f"--ignore {','.join(odd)}, or --columns names the hyperparameters"
        )


def _rows(
    settings: _Settings,
    seeds: np.ndarray[Any, Any],
    values: np.ndarray[Any, Any],
    tests: np.ndarray[Any, Any] | None,
    metric: str,
) -> list[tuple[object, ...]]:
    finite: Callable[[float], float | None] = lambda value: None if math.isnan(value) else value  # noqa: E731
    scores = [finite(value) for value in values.tolist()]
    tested = [finite(value) for value in tests.tolist()] if tests is not None else [None] * len(scores)
    reason = f"no finite {metric}"
    return [
        (
            settings.texts[code],
            seed,
            *(("diverged", reason) if score is None else ("complete", None)),
            score,
            score_on_test,
        )
        for code, seed, score, score_on_test in zip(
            settings.codes.tolist(), seeds.tolist(), scores, tested, strict=True
        )
    ]
