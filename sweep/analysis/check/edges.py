"""Remarks on the best setting at the edge of a range, and what to try beyond it. Needs pandas; scipy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sweep.analysis.cells import combine_codes, label_of, plain_value
from sweep.analysis.check.reading import Reading, Remark, is_number
from sweep.analysis.check.thresholds import (
    EDGE_CHANCE,
    MOST,
    MOST_FACTORS,
    NEAR,
    TOP,
)
from sweep.analysis.pairing import ALPHA, Comparison, Sides, compare, judge
from sweep.analysis.statistics import by_ratio, fair_scale
from sweep.hyperparameters import TABLE, Hyperparameter, show_value
from sweep.recipe import Recipe
from sweep.space import Range


@dataclass(frozen=True)
class _Edge:
    """The best setting, of all or of those with one value of a factor, lies at the end of a range."""

    name: str
    among: tuple[str, Any] | None
    """The factor and its value; None of all settings."""
    best: Any
    inward: Any
    levels: list[Any]
    further: list[Any]
    gap: float
    """How far the best setting of the end is ahead of the best of the next value inward."""
    comparison: Comparison
    """The end against the next value inward, in the cells that have both."""
    chance: float
    """That so many of the best settings have the end's value, were it all the same; 1 where too few are looked at."""
    there: tuple[int, int]
    """How many of the best settings have it, of how many."""


def edges(reading: Reading) -> Iterator[Remark]:
    """The end of a range is remarked on where it is better than the next value inward by the
    test of `sweep effect` (all ends judged together), where every run gets better all the way
    to it, or where the best settings crowd there: seldom in noise. Where a factor with few
    values is swept, each of them is looked at by itself: its best may lie at another end."""
    settings = reading.settings[reading.settings["mean"].notna()]
    if reading.recipe is not None and reading.recipe.search is not None:
        yield from _edge_of_search(reading, settings, reading.recipe)
        return
    numbers = [name for name in reading.table.swept if name in settings]
    factors = [
        name for name in numbers if 2 <= settings[name].nunique() <= MOST_FACTORS and not _counts(settings[name])
    ]
    parts: list[tuple[tuple[str, Any] | None, pd.DataFrame]] = [(None, settings)]
    parts += [((name, level), part) for name in factors for level, part in settings.groupby(name, sort=False)]
    candidates = [edge for among, part in parts for name in numbers if (edge := _edge_of(reading, part, name, among))]
    judged = judge([edge.comparison for edge in candidates])
    said: set[tuple[str, Any]] = set()
    remarks = []
    for edge, comparison in zip(candidates, judged, strict=True):
        better = comparison.better == edge.best and comparison.p_holm <= ALPHA / 2  # the end was chosen for being best
        if not (better or _falls_to_the_end(reading, edge, len(candidates)) or edge.chance < 1 / EDGE_CHANCE):
            continue
        if (edge.name, edge.best) not in said:
            said.add((edge.name, edge.best))
            remarks.append(_remark(reading, edge))
    yield from sorted(remarks, key=lambda remark: -remark.numbers["gap"])


def _counts(column: pd.Series) -> bool:
    return all(is_number(value) for value in column.dropna().unique())


def _falls_to_the_end(reading: Reading, edge: _Edge, among: int) -> bool:
    """Whether every run (a cell and a seed) gets better value after value, all the way to the end: of k values each
    does so by chance once in k!, whichever the end. among: how many ends are looked at."""
    mine = _among(reading, edge.among)
    run = combine_codes([code[mine] for name, code in reading.codes.items() if name != edge.name], int(mine.sum()))
    places = {value: place for place, value in enumerate(edge.levels)}
    values = reading.levels[edge.name]
    level = np.array([math.nan, *(places.get(value, math.nan) for value in values)])[reading.codes[edge.name][mine]]
    score = reading.table.sign * reading.trials["value"].to_numpy(float)[mine]
    if np.isnan(level).any():
        return False
    runs, known = int(run.max()) + 1, np.isfinite(score)
    place = (run * len(edge.levels) + level.astype(np.int64))[known]
    size = np.bincount(place, minlength=runs * len(edge.levels))
    if not size.all():
        return False
    wide = (np.bincount(place, score[known]) / size).reshape(runs, len(edge.levels))
    steps = np.diff(wide, axis=1)
    falls = (steps < 0).all() if edge.best == edge.levels[-1] else (steps > 0).all()
    chance = 2 * math.factorial(len(edge.levels)) ** -float(runs)
    return bool(falls and chance <= ALPHA / 2 / among)


def _edge_of_search(reading: Reading, settings: pd.DataFrame, recipe: Recipe) -> Iterator[Remark]:
    """The best of a search lies in the outermost `NEAR` of a range (in the
    logarithm if that is how it is searched), and so do most of the best five: more
    than chance makes of it at `ALPHA`, over all ends of its ranges (Bonferroni)."""
    top = settings.head(5)
    if len(settings) < 4 * len(top):
        return
    ranges = [
        (axis, axis.values)
        for axis in recipe.axes
        if isinstance(axis.values, Range) and axis.values.open and all(map(is_number, top.get(axis.name, [None])))
    ]
    for axis, span in ranges:
        scale = math.log if span.log else float
        low, high = scale(span.low), scale(span.high)
        asked = settings[axis.name][settings[axis.name].map(is_number)].astype(float)
        places = (asked.map(scale) - low) / (high - low)
        for end, way, there in (("lower", "lower", places <= NEAR), ("upper", "higher", places >= 1 - NEAR)):
            near = there.loc[top.index]
            ends = [span.low, span.high] if end == "upper" else [span.high, span.low]
            if not near.iloc[0] or near.mean() <= MOST:
                continue
            if reading.table.adaptive:  # where it asked is a finding too: against asking everywhere alike
                chance = _crowding(int(near.sum()), len(top), _share_near(span, axis.row.kind == "int", end))
            else:
                chance = float(there.mean()) * _chance(
                    int(near.sum()) - 1, len(there) - 1, int(there.sum()) - 1, len(top) - 1
                )
            if chance > ALPHA / (2 * len(ranges)):
                continue
            beyond = next_values(axis.row, [_inward(span, end == "upper"), ends[1]])
            if not beyond:
                continue
            value = plain_value(top[axis.name].iloc[0])
            text = (
                f"the best {axis.name}, {show_value(value)}, is near the {end} end of its range, "
                f"{show_value(ends[1])}, as are {int(near.sum())} of the best {len(top)} settings: "
                f"search {way}, to {show_value(beyond[0])}"
            )
            numbers = {
                "name": axis.name,
                "value": value,
                "edge": end,
                "top": len(top),
                "top_there": int(near.sum()),
                "try": beyond[:1],
            }
            yield Remark("edge", text, numbers, reading.widen(axis.name, beyond[:1]))


def _share_near(span: Range, whole: bool, end: str) -> float:
    """The share of what is asked everywhere alike that lies in the outermost `NEAR` of a range: of whole
    numbers, each of which has the half above and below it, there may be few."""
    scale = math.log if span.log else float
    low, high = scale(span.low), scale(span.high)
    if not whole:
        return NEAR
    reach = NEAR * (high - low)
    first, last = scale(span.low - 0.5), scale(span.high + 0.5)
    back = math.exp if span.log else float
    if end == "lower":
        return (scale(math.floor(back(low + reach) + 1e-9) + 0.5) - first) / (last - first)
    return (last - scale(math.ceil(back(high - reach) - 1e-9) - 0.5)) / (last - first)


def _crowding(there: int, top: int, share: float) -> float:
    """That the best and so many of the best lie in a share of a range, were they anywhere alike (binomial)."""
    from scipy import stats

    return share * float(stats.binom(top - 1, share).sf(there - 2))


def _inward(span: Range, upper: bool) -> float:
    """A tenth of a range's end in the logarithm, half its width otherwise: as far as it is widened."""
    if span.log:
        return span.high / 10 if upper else span.low * 10
    return (span.low + span.high) / 2


def _edge_of(reading: Reading, settings: pd.DataFrame, name: str, among: tuple[str, Any] | None) -> _Edge | None:
    code, values = reading.setting_codes[name][settings.index], reading.levels[name]
    there = [values[place - 1] for place in np.flatnonzero(np.bincount(code)) if place]
    levels = sorted({value for value in there if is_number(value)})
    if len(levels) < 3 or settings.empty or (among is not None and among[0] == name):
        return None
    best = settings.iloc[0]
    if not is_number(best[name]) or best[name] not in (levels[0], levels[-1]):
        return None
    low = best[name] == levels[0]
    own = reading.recipe is not None and reading.recipe.is_own(label_of(name))
    row = None if reading.table.free or own else TABLE.get(label_of(name))
    further = next_values(row, levels[::-1] if low else levels)
    inward = np.flatnonzero(code == values.index(levels[1] if low else levels[-2]) + 1)
    if not further or not len(inward):
        return None
    second, has = settings.iloc[inward[0]], code == code[0]
    top = min(len(settings), max(5, math.ceil(TOP * len(settings))))
    having, chance = int(has[:top].sum()), 1.0
    if among is None and len(settings) >= 2 * top:
        chance = _chance(having, len(settings), int(has.sum()), top)
    pair = [plain_value(best[name]), plain_value(second[name])]
    comparison = _compare_levels(reading, name, pair, among)
    gap = reading.gap(best["mean"], second["mean"])
    return _Edge(name, among, pair[0], pair[1], levels, further, gap, comparison, chance, (having, top))


def _compare_levels(reading: Reading, name: str, values: list[Any], among: tuple[str, Any] | None) -> Comparison:
    """The first of two values against the second, in the cells that have both."""
    first, second = (reading.levels[name].index(value) + 1 for value in values)
    mine = _among(reading, among) & np.isin(reading.codes[name], (first, second))
    cell = combine_codes(
        [code[mine] for column, code in reading.codes.items() if column not in (name, "seed")], int(mine.sum())
    )
    level = (reading.codes[name][mine] != first).astype(int)
    value = reading.trials["value"].to_numpy(float)[mine]
    fair = fair_scale(value, reading.table.metric)
    sides = Sides(cell, level, reading.codes["seed"][mine] - 1, value, fair).merge()
    return compare(sides, 0, 1, values, reading.table.sign, by_ratio(value, reading.table.metric))[0]


def _among(reading: Reading, among: tuple[str, Any] | None) -> NDArray[np.bool_]:
    """Which trials have one value of a factor; all, if there is none. [n]"""
    if among is None:
        return np.ones(len(reading.trials), bool)
    name, value = among
    return np.equal(reading.codes[name], reading.levels[name].index(value) + 1)


def _remark(reading: Reading, edge: _Edge) -> Remark:
    low = edge.best == edge.levels[0]
    end, way = ("lowest", "lower") if low else ("highest", "higher")
    where = f" with {label_of(edge.among[0])} {show_value(edge.among[1])}" if edge.among is not None else ""
    text = f"the best {label_of(edge.name)}{where}, {show_value(edge.best)}, is the {end} that was tried"
    text += f"; its best is ahead of {show_value(edge.inward)}'s by {reading.show(edge.gap)}"
    there, top = edge.there
    text += f", and {there} of the best {top} settings have it" if edge.chance < 1 / EDGE_CHANCE else ""
    text += f": try {way}, {' and '.join(map(show_value, edge.further))}"
    numbers = {"name": label_of(edge.name), "value": edge.best, "edge": end, "gap": edge.gap, "try": edge.further}
    numbers |= {"top": top, "top_there": there, "chance": edge.chance}
    if edge.among is not None:
        numbers["among"] = {label_of(edge.among[0]): edge.among[1]}
    more = [*edge.levels, *edge.further] if not low else [*edge.further[::-1], *edge.levels]
    return Remark("edge", text, numbers, reading.grow(**{label_of(edge.name): more}))


def _chance(there: int, settings: int, having: int, top: int) -> float:
    """That so many of the best settings have a value, were it all the same (hypergeometric): counted in whole numbers,
    whose quotient is exact; scipy.stats takes more than half a second to import."""
    k = max(there, top + having - settings, 0)
    if k > min(having, top):
        return 0.0
    ways = math.comb(having, k) * math.comb(settings - having, top - k)
    total = 0
    while ways:
        total += ways
        k += 1
        ways = ways * (having - k + 1) * (top - k + 1) // (k * (settings - having - top + k))
    return total / math.comb(settings, top)


def next_values(row: Hyperparameter | None, levels: Sequence[Any]) -> list[Any]:
    """The next two values beyond the last, in the steps of a range: multiplied or added; halfway
    to the hyperparameter's own end where a step would pass it. Empty if it ends there."""
    low, high = (row.low, row.high) if row else (0.0 if min(levels) >= 0 else -math.inf, math.inf)
    if row is TABLE["depth"]:
        low = 1  # without hidden layers it is another model
    whole = all(isinstance(level, int) for level in levels)
    before, last = float(levels[-2]), float(levels[-1])
    times = _goes_in_factors(sorted(map(float, levels)))
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


def _goes_in_factors(levels: list[float]) -> bool:
    """Whether a range goes in factors: it spans one of eight
    or more, or each value is the same multiple of the last."""
    if levels[0] <= 0:
        return False
    steps = [b / a for a, b in pairwise(levels)]
    return levels[-1] / levels[0] >= 8 or (min(steps) >= 1.5 and max(steps) / min(steps) < 1.05)
