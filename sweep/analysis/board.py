"""The leaderboard: ranking trials, filtering them, what was swept and what was selected. Needs pandas."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sweep.analysis.front import with_front
from sweep.data import DataInfo, describe
from sweep.errors import SweepError, UsageError, unknown
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
    filtered: whether only trials that meet a condition are there."""

    rows: pd.DataFrame
    metric: str
    direction: str
    swept: list[str]
    constant: dict[str, Any]
    selected: pd.Series | None
    filtered: bool = False


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
    if recipe.search and recipe.search.objectives:
        rows = with_front(rows, swept, recipe.search.objectives, _data(recipe))
    rows = filtered(rows, where) if where else rows
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
    return Board(rows, metric, direction, swept, constant, selected, bool(where))


def chosen_metric(recipe: Recipe, metric: str | None, direction: str | None) -> tuple[str, str]:
    """What to rank on and which way: as given, else as the recipe says. Raises UsageError, for test metrics too."""
    metric = metric or recipe.metric
    if metric.startswith("test_"):
        raise UsageError(f"--metric {metric}: nothing is selected on test data; choose from {', '.join(RANKED_ON)}")
    if metric not in RANKED_ON:
        raise unknown("metric", metric, RANKED_ON, "--metric: ")
    direction = direction or (recipe.direction if metric == recipe.metric else RANKED_ON[metric])
    if direction not in ("minimize", "maximize"):
        raise unknown("direction", direction, ("minimize", "maximize"), "--direction: ")
    return metric, direction


def csv_columns(board: Board, test: bool) -> list[str]:
    """The fixed columns of an exported leaderboard."""
    aims = [name for name in ("parameters", "front") if name in board.rows]
    measured = [*aims, "train_loss", "train_accuracy", "val_loss", "val_accuracy", "epochs", "seconds", "reason"]
    return [
        "rank",
        "trial",
        "state",
        "seed",
        *board.swept,
        *measured,
        *(["test_loss", "test_accuracy"] if test else []),
    ]


def _data(recipe: Recipe) -> DataInfo | None:
    """What a network's size depends on; nothing if a file of data is gone."""
    try:
        return describe(recipe.data)
    except SweepError:
        return None


def axes(trials: pd.DataFrame, recipe: Recipe) -> tuple[list[str], dict[str, Any]]:
    """Which hyperparameter columns vary by the recipe, in its order; the values of the others that are there."""
    names = {name: PLANNED_EPOCHS if name == "epochs" else name for name in TABLE if name != "seed"}
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


def filtered(trials: pd.DataFrame, where: str) -> pd.DataFrame:
    """The trials that meet every comparison of a text such as `lr<0.01, batch_norm=on`."""
    for text in re.split(r",|\band\b|&", where):
        match = re.fullmatch(r"\s*(\w+)\s*(<=|>=|==|!=|<|>|=)\s*(\S+)\s*", text)
        if not match:
            raise UsageError(
                f"--where {where!r}: {text.strip()!r} is no comparison; expected NAME OPERATOR VALUE, such as 'lr<0.01, batch_norm=on'"
            )
        name, symbol, value = match.groups()
        name = "number" if name == "trial" else name
        columns = [c for c in trials.columns if c not in ("traceback", "reason") and not c.startswith("test_")]
        if name.startswith("test_"):
            raise UsageError(f"--where {where!r}: nothing is selected on test data")
        if name not in columns:
            raise unknown("column", name, columns, f"--where {where!r}: ")
        trials = trials[_compare(trials[name], symbol, value.strip("'\""), where)]
    return trials


def _compare(column: pd.Series, symbol: str, text: str, where: str) -> pd.Series:
    row = TABLE.get(str(column.name))
    value: Any = text
    if row is not None and row.kind in ("bool", "choice"):
        try:
            value = row.parse(text)
        except UsageError as error:
            raise UsageError(f"--where {where!r}: {error}") from None
    elif column.name != "state":
        try:
            value = float(text)
        except ValueError:
            if row is None or text not in row.words:
                raise UsageError(f"--where {where!r}: {column.name} is a number; given {text!r}") from None
    compare = _OPERATORS[symbol]
    if isinstance(value, str | bool) and symbol not in ("=", "==", "!="):
        raise UsageError(f"--where {where!r}: {column.name} {symbol} {text}: expected = or != with a name")

    def meets(cell: Any) -> bool:
        missing = cell is None or cell != cell  # None where it is inactive, NaN where there is no number
        return not missing and isinstance(cell, str) == isinstance(value, str) and bool(compare(cell, value))

    return column.map(meets).astype(bool)
