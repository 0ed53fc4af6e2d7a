"""How differences, intervals and p values are written in answers. Needs report.text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sweep.hyperparameters import show_value
from sweep.report.text import short

if TYPE_CHECKING:
    from sweep.analysis.pairing import Comparison


SHOWN, SHOWN_HERE, NOT_COMPARABLE = "shown", "shown in these cells", "not comparable"


def scale(metric: str) -> tuple[float, str]:
    """What a metric's differences are multiplied by, and their unit: accuracies are told in points."""
    return (100.0, " points") if metric.endswith("accuracy") else (1.0, "")


def show_difference(metric: str, value: float, signed: bool = True, beside: float = 0.0) -> str:
    """A difference of a metric: +0.0123, accuracies in points: -1.23; with as many digits as one `beside` it needs."""
    if math.isnan(value):
        return "–"
    factor, unit = scale(metric)
    size = max(abs(value), abs(beside))
    digits = 4 if size >= 0.001 or size == 0 else 6
    sign = "+" if signed else ""
    return f"{factor * value:{sign}z.2f}" if unit else short(value, sign, digits)


def show_p(p: float) -> str:
    """A p value as papers print it: .0412, < .0001."""
    if math.isnan(p):
        return "–"
    return "< .0001" if p < 0.0001 else "1" if p > 0.99995 else f"{p:.4f}".removeprefix("0")


def equals(p: float) -> str:
    """A p value within a sentence: p = .0412, p < .0001."""
    text = show_p(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def interval(metric: str, low: float, high: float, signed: bool = True) -> str:
    """An interval of differences, "low to high", since a bound may be negative."""
    if math.isnan(low):
        return "–"
    return f"{show_difference(metric, low, signed, high)} to {show_difference(metric, high, signed, low)}"


def lost_short(one: Comparison) -> str:
    """How many pairs diverged on which side."""
    a, b, both = one.lost
    parts = [f"{n} {show_value(side)}" for n, side in ((a, one.level), (b, one.reference)) if n]
    parts += [f"{both} both"] if both else []
    return f"diverged: {', '.join(parts)}" if parts else ""


def listed(names: Iterable[str], word: str = "and") -> str:
    """Names as a sentence lists them: a, b and c."""
    names = list(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else "".join(names)
