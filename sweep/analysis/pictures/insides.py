"""What was looked at inside trials: a line for each level over layers, batch sizes or epochs. Needs pandas."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from sweep.analysis.looks import list_readings, look
from sweep.analysis.pictures.base import Axis, Picture, ground_line, settings_of
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError
from sweep.hyperparameters import show_value
from sweep.wording import count

LINES = 5
"""At most so many levels are drawn: as many as there are colours that can be told apart."""

WIDE = 20.0
"""Where the largest value is so many times the least and all are above 0, their axis is logarithmic."""


def look_picture(
    table: StudyTable, readings: pd.DataFrame, data: str = "", names: Sequence[str] = (), epoch: int | None = None
) -> Picture:
    """A quantity by place at one epoch, by default the last, or by epoch if it has one place. names: the quantity, then
    whose levels are told apart; readings: as `Ledger.readings`. marks: level (a number from 1), label, place, x, value
    (median over trials), low, high, n. Raises UsageError."""
    if not names:
        listed = list_readings(table, readings)["quantity"]
        raise UsageError(f"look draws one quantity; expected its name: {', '.join(listed)}")
    looked = look(table, readings, names[0], names[1:] or None, epoch)
    rows = looked.rows[looked.rows["n"] > 0]
    if rows.empty:
        raise UsageError(f"study {table.name!r}: no {names[0]} is finite, so there is nothing to draw")
    label = rows[list(looked.by)].apply(
        lambda row: ", ".join(f"{name} {show_value(row[name])}" for name in looked.by), axis=1
    )
    marks = rows.assign(label=label if looked.by else "all trials", value=rows["median"])
    labels = list(dict.fromkeys(marks["label"]))
    notes = []
    if len(labels) > LINES:
        notes.append(f"{count(len(labels) - LINES, 'further level')} not drawn; --where chooses others")
        labels = labels[:LINES]
    if lost := int(looked.rows["infinite"].sum()):
        notes.append(f"{count(lost, 'value')} not finite, of trials that diverged, left out")
    marks = marks[marks["label"].isin(labels)].reset_index(drop=True)
    marks["level"] = marks["label"].map({name: number for number, name in enumerate(labels, 1)})
    places = list(dict.fromkeys(marks["place"]))
    x, across = _across(marks, places)
    marks["x"] = x
    ends = marks[["low", "high"]].to_numpy(float)
    log = bool(ends.min() > 0 and ends.max() / ends.min() > WIDE)
    when = f", epoch {looked.epoch}" if looked.epoch is not None else ""
    trials = int(rows["n"].max())
    band = "median over trials, band from lowest to highest" if trials > 1 else "one trial each"
    return Picture(
        "look",
        f"{names[0]} by {across.title.split(',')[0]}{when}",
        f"one line per level, {band}",
        ground_line(table, settings_of(table), data).rsplit(" · ", 1)[0],  # less which way is better
        across,
        Axis("value", names[0], log, domain=_domain(ends, log)),
        marks[["level", "label", "place", "epoch", "step", "x", "value", "low", "high", "n"]],
        table.direction,
        tuple(notes),
    )


def _across(marks: pd.DataFrame, places: list[str]) -> tuple[pd.Series, Axis]:
    """What lies along the picture: places in their order, batch sizes as numbers, or steps of one place."""
    if len(places) == 1:
        column = "epoch" if marks["epoch"].nunique() == marks["step"].nunique() else "step"
        return marks[column].astype(float), Axis("x", column)
    sizes = [re.fullmatch(r"batch (\d+)", place) for place in places]
    if all(sizes):
        return marks["place"].str.removeprefix("batch ").astype(float), Axis("x", "batch size, log scale", log=True)
    order = {place: float(number) for number, place in enumerate(places, 1)}
    return marks["place"].map(order), Axis("place", "layer" if "layer 1" in places else "place", values=tuple(places))


def _domain(ends: np.ndarray, log: bool) -> tuple[float, float]:
    """From and to of the values [n, 2], with room at both ends."""
    low, high = float(ends.min()), float(ends.max())
    if log:
        return low / 1.3, high * 1.3
    room = 0.06 * ((high - low) or abs(high) or 1.0)
    return low - room, high + room
