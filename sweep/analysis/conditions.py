"""Conditions on trials, such as `lr<0.01, batch_norm=on`, and which columns they may name. Needs pandas."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from sweep.errors import UsageError, unknown
from sweep.hyperparameters import TABLE
from sweep.recipe import Recipe

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


QUOTED = r"`[^`]*`|\"[^\"]*\"|'[^']*'"
_COMPARISON = re.compile(rf"\s*({QUOTED}|[^<>=!`\"']+?)\s*(<=|>=|==|!=|<|>|=)\s*({QUOTED}|\S(?:.*\S)?)\s*")
_EXPECTED = "expected NAME OPERATOR VALUE, such as 'lr<0.01, batch_norm=on'; quote a name or value with , = < > in it"


def filter_trials(trials: pd.DataFrame, where: str, recipe: Recipe | None = None) -> pd.DataFrame:
    """The trials that meet every comparison of a text such as `lr<0.01, batch_norm=on`.
    Names and values may be quoted: "a,b" or `x=y` = 'one, two'. Without a recipe, or
    with an imported study's or one of a user's own code, what a column may be compared to is what it holds."""
    own = recipe is not None and not recipe.free
    for text in _split_comparisons(where):
        match = _COMPARISON.fullmatch(text)
        if not match:
            raise UsageError(f"--where {where!r}: {text.strip()!r} is no comparison; {_EXPECTED}")
        name, symbol, value = match.groups()
        name = unquote(name)
        name = "number" if name == "trial" and "trial" not in trials else name
        hidden = [column for column in test_columns(trials) if recipe is not None and column != recipe.metric]
        columns = [c for c in trials.columns if c not in ("traceback", "reason", "setting", *hidden)]
        if name in hidden or (own and name.startswith("test_")):
            raise UsageError(f"--where {where!r}: nothing is selected on test data")
        if name not in columns:
            raise unknown("column", name, columns, f"--where {where!r}: ")
        wanted = _read_own_value if own and not (recipe and recipe.is_own(name)) else _read_foreign_value
        trials = trials[_compare(trials[name], symbol, wanted(trials[name], unquote(value), where), where)]
    return trials


def _split_comparisons(where: str) -> list[str]:
    """A condition's comparisons: between commas, & or the word and, outside quotes."""
    parts, start = [], 0
    for match in re.finditer(rf"{QUOTED}|,|&|\band\b", where):
        if match[0] in (",", "&", "and"):
            parts.append(where[start : match.start()])
            start = match.end()
    return [*parts, where[start:]]


def unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "`\"'" else text


def _read_own_value(column: pd.Series, text: str, where: str) -> Any:
    """The value that a text means beside one of sweep's own columns."""
    row = TABLE.get(str(column.name))
    if row is not None and row.kind in ("bool", "choice", "text"):
        try:
            return row.parse(text)
        except UsageError as error:
            raise UsageError(f"--where {where!r}: {error}") from None
    if column.name == "state" or (row is not None and text in row.words):
        return text
    return _number(column, text, where)


def _read_foreign_value(column: pd.Series, text: str, where: str) -> Any:
    """The value that a text means beside a column of someone else's."""
    held = {type(cell) for cell in column if cell is not None and cell == cell}
    if bool in held and text.lower() in ("on", "true", "off", "false"):
        return text.lower() in ("on", "true")
    return text if str in held else _number(column, text, where)


def _number(column: pd.Series, text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--where {where!r}: {column.name} is a number; given {text!r}") from None


def _compare(column: pd.Series, symbol: str, value: Any, where: str) -> pd.Series:
    compare = _OPERATORS[symbol]
    if isinstance(value, str | bool) and symbol not in ("=", "==", "!="):
        raise UsageError(f"--where {where!r}: {column.name} {symbol} {value}: expected = or != with a name")

    def meets(cell: Any) -> bool:
        missing = cell is None or cell != cell  # None where it is inactive, NaN where there is no number
        return not missing and isinstance(cell, str) == isinstance(value, str) and bool(compare(cell, value))

    return column.map(meets).astype(bool)


def further_tests(readings: pd.DataFrame) -> pd.DataFrame:
    """What trials scored on further test sets, of `Reader.readings`: one row per trial, one column per score, such as
    test_accuracy_contrast, and test_accuracy_contrast_batch_statistics where batch norm took the set's own."""
    tests = readings[readings["quantity"].str.startswith("test_") & (readings["place"] != "")]
    named = tests[["place", "quantity"]].drop_duplicates().itertuples(index=False)
    columns = {(place, quantity): _column(str(place), str(quantity)) for place, quantity in named}
    column = pd.Series([columns[key] for key in zip(tests["place"], tests["quantity"], strict=True)], tests.index)
    wide = tests.assign(column=column).pivot_table("value", "trial", "column", sort=False)
    own = ["test_loss", "test_accuracy", "test_mae", "test_r2"]
    return wide.rename_axis(columns=None).drop(columns=own, errors="ignore")


def _column(place: str, quantity: str) -> str:
    """A further test score as a column; those on the test part itself have names of their own already."""
    name, _, how = quantity.partition(", ")
    return "_".join([name, *([place] if place != "test" else []), *how.split()])


def test_columns(trials: pd.DataFrame) -> list[str]:
    """The columns that hold scores on test data."""
    return [name for name in trials.columns if str(name).startswith("test_")]
