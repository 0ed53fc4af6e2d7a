"""What a trial reports, as lines of text: JSON, or name=number. Needs recipe.

A line is data, whatever wrote it: it is never evaluated or unpickled.
"""

from __future__ import annotations

import json
import math
import re
from typing import NamedTuple

from sweep.recipe import METRIC_NAME


class Report(NamedTuple):
    """What a line says."""

    epoch: int | None
    """None where it does not say which."""
    values: dict[str, float]


_NUMBER = r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)"
_PAIR = re.compile(rf"({METRIC_NAME})\s*[=:]\s*({_NUMBER})", re.I)
_GAP = re.compile(r"[\s,;]+|$")


def read_line(line: str) -> Report | None:
    """The report that a line is, such as {"epoch": 3, "val_loss": 0.2} or epoch=3 val_loss=0.2; None for other text."""
    text = line.strip()
    values = _read_json(text) if text.startswith("{") else _read_pairs(text)
    if not values:
        return None
    epoch = values.pop("epoch", None)
    if epoch is not None and not (math.isfinite(epoch) and epoch == int(epoch)):
        return None
    return Report(None if epoch is None else int(epoch), values) if values else None


def _read_json(text: str) -> dict[str, float]:
    """The numbers of a JSON object; null is no number, as NaN is written by many."""
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(table, dict):
        return {}
    out = {}
    for name, value in table.items():
        if re.fullmatch(METRIC_NAME, name) and not isinstance(value, bool) and isinstance(value, int | float | None):
            out[name] = math.nan if value is None else _number(value)
    return out


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond every float
        return math.inf


def _read_pairs(text: str) -> dict[str, float]:
    """The numbers of a line that has name=number and nothing else, with spaces, commas or semicolons between."""
    out: dict[str, float] = {}
    place = 0
    while place < len(text):
        match = _PAIR.match(text, place)
        if match is None:
            return {}
        out[match[1]] = float(match[2])
        rest = _GAP.match(text, match.end())
        if rest is None:
            return {}
        place = rest.end()
    return out
