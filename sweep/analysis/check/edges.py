"""Remarks on the best setting at the edge of a range, and what to try beyond it. Needs pandas; scipy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from sweep.analysis.cells import plain_value, told
from sweep.analysis.check.reading import Reading, Remark, is_number
from sweep.analysis.check.thresholds import (
    EDGE_CHANCE,
    EDGE_SDS,
    MOST,
    NEAR,
    ONE_SEED,
    ONE_SEED_POINTS,
    TOP,
)
from sweep.hyperparameters import TABLE, show_value
from sweep.recipe import Recipe
from sweep.space import Range


def edges(reading: Reading) -> Iterator[Remark]:
    settings = reading.settings[reading.settings["mean"].notna()]
    if reading.recipe is not None and reading.recipe.search is not None:
        yield from _edge_of_search(reading, settings, reading.recipe)
        return
    found = []
    for name in reading.table.swept:
        remark = _edge_of(reading, settings, name) if name in settings else None
        if remark is not None:
            found.append(remark)
    yield from sorted(found, key=lambda one: -one.numbers["gap"])


def _edge_of_search(reading: Reading, settings: pd.DataFrame, recipe: Recipe) -> Iterator[Remark]:
    """The best of a search lies in the outermost `NEAR` of a range (in the logarithm if that is how it is searched), and so
    do most of the best five."""
    top = settings.head(5)
    if len(settings) < 4 * len(top):
        return
    for axis in recipe.axes:
        if (
            not isinstance(axis.values, Range)
            or not axis.values.open
            or not all(map(is_number, top.get(axis.name, [None])))
        ):
            continue
        scale = math.log if axis.values.log else float
        low, high = scale(axis.values.low), scale(axis.values.high)
        places = (top[axis.name].astype(float).map(scale) - low) / (high - low)
        for end, way, near in (("lower", "lower", places <= NEAR), ("upper", "higher", places >= 1 - NEAR)):
            ends = [axis.values.low, axis.values.high] if end == "upper" else [axis.values.high, axis.values.low]
            beyond = (
                next_values(axis.name, [_inward(axis.values, end == "upper"), ends[1]])
                if near.iloc[0] and near.mean() > MOST
                else []
            )
            if not beyond:
                continue
            value = plain_value(top[axis.name].iloc[0])
            text = f"the best {axis.name}, {show_value(value)}, is near the {end} end of its range, {show_value(ends[1])}, as are {int(near.sum())} of the best {len(top)} settings: search {way}, to {show_value(beyond[0])}"
            numbers = {
                "name": axis.name,
                "value": value,
                "edge": end,
                "top": len(top),
                "top_there": int(near.sum()),
                "try": beyond[:1],
            }
            yield Remark("edge", text, numbers, reading.widen(axis.name, beyond[:1]))


def _inward(one: Range, upper: bool) -> float:
    """A tenth of a range's end in the logarithm, half its width otherwise: as far as it is widened."""
    if one.log:
        return one.high / 10 if upper else one.low * 10
    return (one.low + one.high) / 2


def _edge_of(reading: Reading, settings: pd.DataFrame, name: str) -> Remark | None:
    levels = sorted({plain_value(value) for value in settings[name].dropna() if is_number(value)})
    if len(levels) < 3 or settings.empty:
        return None
    best = settings.iloc[0]
    if not is_number(best[name]) or best[name] not in (levels[0], levels[-1]):
        return None
    low = best[name] == levels[0]
    further = next_values(told(name), levels[::-1] if low else levels)
    inward = settings[settings[name] == (levels[1] if low else levels[-2])]
    if not further or inward.empty:
        return None
    second = inward.iloc[0]
    gap = reading.gap(best["mean"], second["mean"])
    top = settings.head(max(5, math.ceil(TOP * len(settings))))
    there, chance = int((top[name] == best[name]).sum()), 1.0
    if len(settings) >= 2 * len(top):
        chance = _chance(there, len(settings), int((settings[name] == best[name]).sum()), len(top))
    if not (_beyond_noise(reading, best, second, gap) or chance < 1 / EDGE_CHANCE):
        return None
    end, way = ("lowest", "lower") if low else ("highest", "higher")
    text = f"the best {told(name)}, {show_value(best[name])}, is the {end} that was tried"
    text += f"; its best is ahead of {show_value(second[name])}'s by {reading.show(gap)}"
    text += f", and {there} of the best {len(top)} settings have it" if chance < 1 / EDGE_CHANCE else ""
    text += f": try {way}, {' and '.join(map(show_value, further))}"
    numbers = {"name": told(name), "value": plain_value(best[name]), "edge": end, "gap": gap, "try": further}
    numbers |= {"top": len(top), "top_there": there, "chance": chance}
    return Remark(
        "edge",
        text,
        numbers,
        reading.grow(**{told(name): [*levels, *further] if not low else [*further[::-1], *levels]}),
    )


def _beyond_noise(reading: Reading, best: pd.Series, second: pd.Series, gap: float) -> bool:
    """Whether the best of one value is ahead of the best of another by more than seeds would make it."""
    sds = reading.settings.head(max(5, math.ceil(TOP * len(reading.settings))))["sd"]
    if best["n"] < 2 or second["n"] < 2 or sds.isna().all():
        return gap > (ONE_SEED_POINTS if reading.accuracy else ONE_SEED)
    error = math.sqrt(float((sds**2).mean())) * math.sqrt(1 / best["n"] + 1 / second["n"])
    return bool(abs(second["mean"] - best["mean"]) > EDGE_SDS * error)


def _chance(there: int, settings: int, having: int, top: int) -> float:
    """That so many of the best settings have a value, were it all the same (hypergeometric)."""
    from scipy import stats

    return float(stats.hypergeom(settings, having, top).sf(there - 1))


def next_values(name: str, levels: Sequence[Any]) -> list[Any]:
    """The next two values beyond the last, in the steps of a range: multiplied or
    added; halfway to the hyperparameter's own end where a step would pass it. Empty if it ends there."""
    row = TABLE.get(name)
    low, high = (row.low, row.high) if row else (0.0 if min(levels) >= 0 else -math.inf, math.inf)
    whole = all(isinstance(level, int) for level in levels)
    before, last = float(levels[-2]), float(levels[-1])
    times = _multiplied(sorted(map(float, levels)))
    out: list[Any] = []
    for _ in range(2):
        step = float(f"{last * last / before:{'.6g' if whole else '.3g'}}" if times else f"{2 * last - before:.6g}")
        end = high if step > last else low
        shut = row is None or not (row.open_high if end == high else row.open_low)
        if not low <= step <= high or (step == end and not shut):
            step = end if shut else (last + end) / 2
        value = round(step) if whole else float(f"{step:.6g}")
        if value in levels or value in out:
            break
        before, last = last, float(value)
        out.append(value)
    return out


def _multiplied(levels: list[float]) -> bool:
    """Whether a range goes in factors: it spans one of eight or more, or each value is the same multiple of the last."""
    if levels[0] <= 0:
        return False
    steps = [b / a for a, b in pairwise(levels)]
    return levels[-1] / levels[0] >= 8 or (min(steps) >= 1.5 and max(steps) / min(steps) < 1.05)
