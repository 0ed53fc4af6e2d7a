"""What was looked at inside a study's trials, by place and epoch,
side by side for levels of hyperparameters. Needs pandas."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from sweep.analysis.cells import column_of, plain_value
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError, unknown

LEVELS = 6
"""So many combinations of hyperparameters are told apart where nobody said which."""


@dataclass(frozen=True)
class Look:
    """One quantity of a study's readings."""

    study: str
    quantity: str
    by: tuple[str, ...]
    """The columns whose levels are told apart; empty: all trials together."""
    rows: pd.DataFrame
    """One row for each place, epoch, step and level: these, and over its trials n, the median, low and high (lowest and
    highest), and infinite, the number that were not finite."""
    epoch: int | None
    """The one epoch that the rows are of; None where they are of one place over epochs."""
    epochs: tuple[int, ...]
    """All epochs at which it was looked at."""


def list_readings(table: StudyTable, readings: pd.DataFrame) -> pd.DataFrame:
    """What there is: for each quantity its places, epochs and trials, in the order in which they were recorded."""
    mine = _of_study(table, readings)
    groups = mine.groupby("quantity", sort=False)
    return pd.DataFrame(
        {
            "quantity": [name for name, _ in groups],
            "places": [sort_places(part["place"].unique()) for _, part in groups],
            "epochs": [sorted(part["epoch"].unique()) for _, part in groups],
            "trials": [part["trial"].nunique() for _, part in groups],
        }
    )


def look(
    table: StudyTable,
    readings: pd.DataFrame,
    quantity: str,
    by: Sequence[str] | None = None,
    epoch: int | None = None,
    place: str | None = None,
) -> Look:
    """A quantity at each place at one epoch (by default the last), or at one place over the epochs. readings: as
    `Ledger.readings`. Raises UsageError."""
    mine = _of_study(table, readings)
    mine = mine[mine["quantity"] == quantity]
    if mine.empty:
        raise unknown("quantity", quantity, [*readings["quantity"].unique()])
    if place is not None and place not in set(mine["place"]):
        raise unknown("place", place, sort_places(mine["place"].unique()), "--place: ")
    places = sort_places(mine["place"].unique()) if place is None else [place]
    epochs = tuple(sorted(int(epoch) for epoch in mine["epoch"].unique()))
    if len(places) > 1 or epoch is not None:
        epoch = epochs[-1] if epoch is None else epoch
        if epoch not in epochs:
            raise UsageError(f"--epoch {epoch}: {quantity} was looked at in epoch {', '.join(map(str, epochs))}")
        mine = mine[mine["epoch"] == epoch]
    mine = mine[mine["place"].isin(places)]
    columns = _levels(table, by)
    frame = mine.merge(table.trials[["number", *columns]], left_on="trial", right_on="number")
    keys = ["place", "epoch", "step", *columns]
    values = frame.groupby(keys, sort=False, dropna=False)["value"]
    rows = values.agg(n="count", median="median", low="min", high="max").reset_index()
    rows["infinite"] = (values.size() - values.count()).to_numpy()
    for name in columns:
        rows[name] = pd.Series([plain_value(value) for value in rows[name]], dtype=object)
    order = {name: number for number, name in enumerate(places)}
    rows = rows.sort_values(
        ["place", "epoch", "step"], key=lambda part: part.map(order) if part.name == "place" else part, kind="stable"
    )
    return Look(table.name, quantity, tuple(columns), rows.reset_index(drop=True), epoch, epochs)


def sort_places(places: Iterable[str]) -> list[str]:
    """Places in their natural order: layer 2 before layer 10, an unnamed one first."""

    def key(place: str) -> list[tuple[bool, int, str]]:
        parts = re.split(r"(\d+)", place)
        return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]

    return sorted(places, key=key)


def _of_study(table: StudyTable, readings: pd.DataFrame) -> pd.DataFrame:
    """The readings of a table's trials. Raises UsageError where there are none."""
    mine = readings[readings["trial"].isin(table.trials["number"])]
    if table.regression:  # MAE and R² of each epoch are kept as readings; nobody asked for a look at them
        mine = mine[(mine["place"] != "") | ~mine["quantity"].str.endswith(("_mae", "_r2"))]
    if mine.empty:
        which = " of trials that meet the condition" if table.filtered else ""
        raise UsageError(
            f"study {table.name!r}: nothing was looked at{which}; expected one trained with --look layers (or "
            "curvature, noise, gap, all)"
        )
    return mine


def _levels(table: StudyTable, by: Sequence[str] | None) -> list[str]:
    """The columns to tell apart: those named, else all that vary if their combinations are few."""
    if by is not None:
        return [column_of(table, name, "--by: ") for name in by]
    varying = [name for name in table.swept if table.trials[name].nunique(dropna=False) > 1]
    return varying if len(table.trials[varying].astype(str).drop_duplicates()) <= LEVELS else []
