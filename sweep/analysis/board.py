"""The leaderboard: ranking trials, filtering them, what was swept and what was selected. Needs pandas."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sweep.errors import UsageError, unknown
from sweep.hyperparameters import TABLE
from sweep.ledger import PLANNED_EPOCHS
from sweep.recipe import METRICS, Recipe

RANKED_ON = METRICS | {"best_val_loss": "minimize", "best_val_accuracy": "maximize"}
"""The metrics of a leaderboard: those of a recipe, and the best over a trial's epochs."""

_STATE_ORDER = {"complete": 0, "pruned": 1, "diverged": 2, "failed": 3, "running": 4, "waiting": 5}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


@dataclass(frozen=True)
class Board:
    """A leaderboard. rows: trials in rank order with a `rank` column (empty where a trial has no rank); swept: the
    columns of hyperparameters that vary; constant: those that do not, by value; selected: the best complete trial;
    filtered: whether only trials that meet a condition are there; imported: whether it was not trained here."""

    rows: pd.DataFrame
    metric: str
    direction: str
    swept: list[str]
    constant: dict[str, Any]
    selected: pd.Series | None
    filtered: bool = False
    imported: bool = False


def leaderboard(
    trials: pd.DataFrame,
    recipe: Recipe,
    metric: str | None = None,
    direction: str | None = None,
    where: str = "",
    unfinished: bool = False,
) -> Board:
    """Ranks trials on a metric: complete ones by it (then by number), then pruned ones (those that came furthest
    first, among equals by it), then diverged; failed ones last, unranked.

    `unfinished` adds the trials that wait or run. Raises UsageError for a metric or condition that cannot be.
    """
    metric, direction = chosen_metric(recipe, metric, direction)
    swept, constant = axes(trials, recipe)
    rows = trials if unfinished else trials[~trials["state"].isin(["waiting", "running"])]
    rows = filtered(rows, where, recipe) if where else rows
    value = rows[metric] if direction == "minimize" else -rows[metric]
    order = pd.DataFrame(
        {
            "state": rows["state"].map(_STATE_ORDER),
            "trained": -rows["epochs"].where(rows["state"] == "pruned", 0),
            "value": value.where(rows["state"].isin(["complete", "pruned"])),
            "number": rows["number"],
        }
    )
    rows = rows.loc[order.sort_values(["state", "trained", "value", "number"], na_position="last").index].reset_index(
        drop=True
    )
    ranked = rows["state"].isin(["complete", "pruned", "diverged"])
    rows.insert(0, "rank", pd.Series(range(1, len(rows) + 1), index=rows.index, dtype="Int64").where(ranked))
    rows = rows.rename(columns={"number": "trial"})
    selected = rows.iloc[0] if len(rows) and rows["state"].iloc[0] == "complete" else None
    return Board(rows, metric, direction, swept, constant, selected, bool(where), bool(recipe.imported))


def chosen_metric(recipe: Recipe, metric: str | None, direction: str | None) -> tuple[str, str]:
    """What to rank on and which way: as given, else as the recipe says. Raises UsageError, for test metrics too."""
    metric = metric or recipe.metric
    known = {recipe.metric: recipe.direction} if recipe.imported else RANKED_ON
    if metric.startswith("test_") and metric not in known:
        raise UsageError(f"--metric {metric}: nothing is selected on test data; choose from {', '.join(known)}")
    if metric not in known:
        raise unknown("metric", metric, known, "--metric: ")
    direction = direction or (recipe.direction if metric == recipe.metric else known[metric])
    if direction not in ("minimize", "maximize"):
        raise unknown("direction", direction, ("minimize", "maximize"), "--direction: ")
    return metric, direction


def csv_columns(board: Board, test: bool) -> list[str]:
    """The fixed columns of an exported leaderboard."""
    measured = ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "epochs", "seconds", "reason"]
    if board.imported:
        measured = [board.metric, "reason"]
    return [
        "rank",
        "trial",
        "state",
        "seed",
        *board.swept,
        *measured,
        *([name for name in test_columns(board.rows) if name != board.metric] if test else []),
    ]


def test_columns(trials: pd.DataFrame) -> list[str]:
    """The columns that hold scores on test data."""
    return [name for name in trials.columns if str(name).startswith("test_")]


def axes(trials: pd.DataFrame, recipe: Recipe) -> tuple[list[str], dict[str, Any]]:
    """Which hyperparameter columns vary by the recipe, in its order; the values of the others that are there."""
    listed = [name for name in TABLE if name != "seed"]
    if recipe.imported:
        listed = [*recipe.imported.swept, *recipe.imported.constant]
    names = {name: PLANNED_EPOCHS if name == "epochs" else name for name in listed}
    swept = [names[name] for name in recipe.swept]
    for column in swept:
        if column not in trials:
            trials[column] = None
    constant = {}
    for name, column in names.items():
        if column in trials and column not in swept:
            present = trials[column].dropna()
            if len(present):
                constant[name] = present.iloc[0]
    return swept, constant


def filtered(trials: pd.DataFrame, where: str, recipe: Recipe | None = None) -> pd.DataFrame:
    """The trials that meet every comparison of a text such as `lr<0.01, batch_norm=on`. Without a recipe, or with an
    imported study's, what a column may be compared to is what it holds."""
    own = recipe is not None and recipe.imported is None
    for text in re.split(r",|\band\b|&", where):
        match = re.fullmatch(r"\s*([\w.-]+?)\s*(<=|>=|==|!=|<|>|=)\s*(\S+)\s*", text)
        if not match:
            raise UsageError(
                f"--where {where!r}: {text.strip()!r} is no comparison; expected NAME OPERATOR VALUE, such as 'lr<0.01, batch_norm=on'"
            )
        name, symbol, value = match.groups()
        name = "number" if name == "trial" and "trial" not in trials else name
        hidden = [column for column in test_columns(trials) if recipe is not None and column != recipe.metric]
        columns = [c for c in trials.columns if c not in ("traceback", "reason", "setting", *hidden)]
        if name in hidden or (own and name.startswith("test_")):
            raise UsageError(f"--where {where!r}: nothing is selected on test data")
        if name not in columns:
            raise unknown("column", name, columns, f"--where {where!r}: ")
        wanted = _wanted if own else _wanted_of
        trials = trials[_compare(trials[name], symbol, wanted(trials[name], value.strip("'\""), where), where)]
    return trials


def _wanted(column: pd.Series, text: str, where: str) -> Any:
    """The value that a text means beside one of sweep's own columns."""
    row = TABLE.get(str(column.name))
    if row is not None and row.kind in ("bool", "choice"):
        try:
            return row.parse(text)
        except UsageError as error:
            raise UsageError(f"--where {where!r}: {error}") from None
    if column.name == "state" or (row is not None and text in row.words):
        return text
    return _number(column, text, where)


def _wanted_of(column: pd.Series, text: str, where: str) -> Any:
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
