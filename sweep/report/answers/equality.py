"""Practically equal, in words: which difference does not matter, what is shown of it, what would show it. Needs
nothing more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sweep.hyperparameters import show_value
from sweep.report.answers.words import LEVEL, NOT_SHOWN, PRACTICALLY_EQUAL, TOO_FEW, equals, scale, show_sizes
from sweep.wording import count

if TYPE_CHECKING:
    from sweep.analysis.pairing import Comparison


def show_margin(metric: str, margin: float, kind: str) -> str:
    """A margin: 0.50 points, 10%, 0.3."""
    if kind == "ratio":
        return f"{100 * margin:.4g}%"
    factor, unit = scale(metric)
    size = factor * margin
    return f"{size:.2f}{unit}" if unit and round(size, 2) == round(size, 8) else f"{size:.4g}{unit}"


def differs_by_less(
    metric: str, margin: float, kind: str, sides: tuple[str, str], ends: tuple[float, float], p: str, how: str = ""
) -> str:
    """What is shown of two sides that are practically equal, with the interval that lies within the margin. how:
    "typically ", if it is of the typical cell."""
    between = (" / " if kind == "ratio" else " – ").join(sides)
    spread = f"{between}, 90%: {show_sizes(metric, kind, *ends)}, {p}"
    return f"{metric} {how}differs by less than {show_margin(metric, margin, kind)} ({spread})"


def equal_size(metric: str, comparison: Comparison) -> str:
    """The same of a comparison that is practically equal."""
    sides = show_value(comparison.level), show_value(comparison.reference)
    ends, p = (comparison.low, comparison.high), equal_p(comparison)
    how = "typically " if comparison.unit == "cells" and comparison.n > 1 else ""
    return differs_by_less(metric, comparison.margin or 0.0, comparison.scale, sides, ends, p, how)


def equal_p(comparison: Comparison) -> str:
    """The p of equality within a sentence."""
    test = comparison.over_seeds if comparison.unit == "seeds" else None
    held = " (Holm)" if comparison.p_equal_holm != comparison.p_equal else ""
    return f"{equals(comparison.p_equal_holm)}{held}{f' over {len(test.x)} seeds' if test is not None else ''}"


def margin_of(metric: str, comparison: Comparison) -> str:
    """The margin of a comparison, whatever came out."""
    return show_margin(metric, comparison.margin or 0.0, "ratio" if comparison.log else "difference")


def equal_sentences(metric: str, comparison: Comparison) -> list[str]:
    """What must be known beside the answer where a margin was given: that a difference below it is shown, too; or,
    where nothing is shown, what would show that it is below."""
    if comparison.margin is None or not comparison.n:
        return []
    if comparison.verdict == PRACTICALLY_EQUAL:
        if comparison.p_holm > LEVEL:
            return []
        better, less = show_value(comparison.better), margin_of(metric, comparison)
        return [f"That {better} is better is shown, too ({equals(comparison.p_holm)}), but by less than {less}."]
    if comparison.verdict not in (NOT_SHOWN, TOO_FEW):
        return []
    if comparison.divergence.uneven:
        return ["Where one side diverged more often, the two are not called practically equal, whatever the margin."]
    return [f"Nor is it shown that they are practically equal {what_shows_it(metric, comparison)}"]


def what_shows_it(metric: str, comparison: Comparison) -> str:
    """How far it is from shown that a difference is below the margin, and what would show it."""
    told = f"(less than {margin_of(metric, comparison)} apart, {equals(comparison.p_equal_holm)})"
    test = comparison.over_seeds
    seeds, cells = comparison.needed_seeds_equal, comparison.needed_cells_equal
    over_seeds = test is not None and math.isnan(cells)
    now = len(test.x) if test is not None and over_seeds else comparison.seeds
    parts = [f"{count(int(max(seeds, now + 1)), 'seed')} per setting (you have {now})"] if not math.isnan(seeds) else []
    if not math.isnan(cells):
        parts.append(f"{max(cells, comparison.n + 1):,.0f} cells (you have {comparison.n})")
    if not parts:
        return f"{told}, and with the difference as it is, more of the same would not show it."
    needed = " or ".join(parts)
    return f"{told}; if the difference stays as it is, about {needed} would give an 80% chance of showing it."
