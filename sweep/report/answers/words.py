"""How differences, intervals and p values are written in answers. Needs report.text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sweep.hyperparameters import show_value
from sweep.recipe import percents
from sweep.report.text import short

if TYPE_CHECKING:
    from sweep.analysis.pairing import Comparison


SHOWN, SHOWN_HERE, DEPENDS, TOO_FEW, NOT_SHOWN, NOT_COMPARABLE, PRACTICALLY_EQUAL = (
    "shown",
    "shown in these cells",
    "depends on the cell",
    "too few to tell",
    "no difference shown",
    "not comparable",
    "practically equal",
)  # as in analysis.pairing, which a module that only writes need not import


LEVEL = 0.05
"""The error of every verdict."""


def scale(metric: str) -> tuple[float, str]:
    """What a metric's differences are multiplied by, and their unit: accuracies are told in points."""
    points = percents(metric)
    return (1.0, "") if points is None else (points, " points")


def show_difference(metric: str, value: float, signed: bool = True, beside: float = 0.0) -> str:
    """A difference of a metric: +0.0123, accuracies in points: -1.23; with as many digits as one `beside` it needs."""
    if math.isnan(value):
        return "–"
    factor, unit = scale(metric)
    if math.isinf(value):
        return "∞" if value > 0 and not signed else f"{'+' if value > 0 else '-'}∞"
    beside = 0.0 if math.isinf(beside) else beside
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


def show_ratio(value: float) -> str:
    """A ratio: 0.41, 1.03, 25, 1.2e+06."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.3g}" if not 0.9 < value < 1.1 else f"{value:.4g}"


def show_size(metric: str, kind: str, value: float) -> str:
    """A difference with its sign, or a ratio: +0.0123, ×0.41."""
    return f"×{show_ratio(value)}" if kind == "ratio" and not math.isnan(value) else show_difference(metric, value)


def show_sizes(metric: str, kind: str, low: float, high: float) -> str:
    """An interval of differences or of ratios."""
    if kind == "ratio" and not math.isnan(low):
        return f"×{show_ratio(low)} to ×{show_ratio(high)}"
    return interval(metric, low, high)


def lost_short(comparison: Comparison) -> str:
    """What diverged on which side, in trials: off diverged (6 of 15), on diverged (1 of 15)."""
    spread = comparison.divergence
    sides = ((spread.trials[0], comparison.level), (spread.trials[1], comparison.reference))
    return ", ".join(f"{show_value(side)} diverged ({n:,} of {spread.of:,})" for n, side in sides if n)
