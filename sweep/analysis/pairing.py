"""Paired comparison of two levels: cells that agree on everything else, seeds averaged first. Needs numpy and scipy.

A cell is what two settings share: every other hyperparameter. Within a cell the two sides are compared seed by seed, on
the seeds that both have. Each cell gives one outcome: the side of which fewer seeds diverged wins it (a worst rank,
Lachin 1999); where as many trained, the better mean does. The cells are the sample.

How a comparison is judged is fixed before its numbers are seen. With enough cells to show anything, by the signed rank
of their outcomes: that says something about other cells, too. With fewer, over the seeds within these cells, on a scale
on which losses are compared fairly: that holds for these cells alone. Where one side diverged more than the other, a
second test asks whether that side is worse in the cells it concerns; it has a fifth of the error. The interval is
always that of the test which judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import Codes, combine_codes
from sweep.analysis.significance import (
    SeedTest,
    benjamini_hochberg,
    compare_seeds,
    holm,
    holm_levels,
    signed_rank,
    signed_rank_interval,
    worst_rank_test,
)
from sweep.analysis.statistics import Floats, deviation

ALPHA = 0.05
"""The chance of any wrong call among the comparisons that are judged together."""
FEWEST_SEEDS = 3
"""Two differences can agree by chance too often for a t test to be believed."""
DIVERGENCE_SHARE = 0.2
"""The share of a comparison's error that is spent on asking whether one side diverges more; most such tests need
little, since whole cells diverge."""
SHARED_LUCK = 0.2
"""The p at which the seeds' luck counts as shared by the cells: large, since to miss it makes wrong calls, and to see
it where there is none costs only power."""
POWER = 0.8
"""The chance with which a difference as large as the one seen would be shown."""
MOST_NEEDED = 10_000

SHOWN, SHOWN_HERE, DEPENDS, TOO_FEW, NOT_SHOWN, NOT_COMPARABLE, PRACTICALLY_EQUAL = (
    "shown",
    "shown in these cells",
    "depends on the cell",
    "too few to tell",
    "no difference shown",
    "not comparable",
    "practically equal",
)
DECIDED = (SHOWN, SHOWN_HERE)
"""The verdicts that name a better level."""


@dataclass(frozen=True)
class Divergence:
    """What diverged on each side of a comparison, on the seeds that both sides have."""

    cells: tuple[int, int] = (0, 0)
    """Cells in which more seeds of the level diverged than of the reference; and the other way round."""
    trials: tuple[int, int] = (0, 0)
    """Trials that diverged: of the level, of the reference."""
    of: int = 0
    """Trials of each side, diverged or not."""
    p: float = math.nan
    """Of whether one side is worse in the cells in which trials diverged; see `worst_rank_test`. NaN: none did."""
    direction: int = 0
    """1 where the level is better there, -1 the reference."""
    shown: bool = False
    """Whether that is shown, at its share of the error."""

    @property
    def uneven(self) -> bool:
        """Whether some cell was decided by divergence."""
        return bool(sum(self.cells))


@dataclass(frozen=True, eq=False)
class Comparison:
    """One level against the reference, in the cells that have both. Differences are level minus reference."""

    level: Any
    reference: Any
    at: Any = None
    """The value of the hyperparameter by which the question was split."""

    n: int = 0
    """Cells that have both sides."""
    pairs: int = 0
    """Those of them in which both trained on a common seed: means are over these."""
    improved: int = 0
    """Cells that the level wins."""
    worsened: int = 0
    """Cells that the reference wins."""
    lost: tuple[int, int, int] = (0, 0, 0)
    """Cells without a difference, because only the level, only the reference, or both diverged."""
    unmatched: int = 0
    """Cells that have one side only."""
    divergence: Divergence = Divergence()
    seeds: int = 0
    """Seeds of a pair, on average."""

    mean: float = math.nan
    """Mean difference over the pairs, in the metric's unit."""
    median: float = math.nan
    """Median difference over the pairs."""
    sd: float = math.nan
    """Standard deviation of the pairs' differences."""
    seed_sd: float = math.nan
    """Standard deviation of one seed's difference within a pair, pooled."""

    sign: float = 1.0
    """1 where less is better, else -1."""
    unit: str = "cells"
    """What it was judged over: "cells", or "seeds" where there are too few cells."""
    log: bool = False
    """Whether seeds are compared by ratios."""
    scale: str = "difference"
    """What `typical`, `low` and `high` are: a "difference", or a "ratio" of level to reference."""
    typical: float = math.nan
    """The estimate that belongs to the interval: the pseudo-median over cells, the mean over seeds."""
    low: float = math.nan
    high: float = math.nan
    """The interval of the test that judged, at the level at which it judged: it leaves out 0 (a ratio: 1) if and only
    if that test shows a difference. Infinite where what diverged leaves it open."""
    p: float = math.nan
    """Of that test, two-sided."""
    p_holm: float = math.nan
    """Adjusted for all comparisons judged together (Holm 1979): what the verdict rests on."""
    p_bh: float = math.nan
    """Adjusted for the share of false claims (Benjamini & Hochberg 1995), for who screens many."""
    direction: int = 0
    """1 where the evidence favours the level, -1 the reference."""
    unanimous: bool = False
    """Whether one side wins every cell, on every seed."""

    fewest: int = 6
    """Cells below which the signed rank cannot show anything."""
    needed_seeds: float = math.nan
    """Seeds per setting, in all, that would show a difference as large as the one seen. NaN: none would alone."""
    needed_cells: float = math.nan
    """Cells, in all, that would."""
    verdict: str = NOT_COMPARABLE

    margin: float | None = None
    """Which difference does not matter, if that was said (see `equality`): a share where losses are judged by ratios,
    else in the metric's unit. Of a comparison that is practically equal `typical`, `low` and `high` are a ratio or a
    difference as this is, with the interval of both one-sided tests: of 90% where it is judged alone."""
    p_equal: float = math.nan
    """Of a difference within the margin (TOST); NaN where divergence is uneven, which is never equal."""
    p_equal_holm: float = math.nan
    """Adjusted for all comparisons judged together."""
    needed_seeds_equal: float = math.nan
    """Seeds per setting, in all, that would show that, if the difference stays as it is. NaN: none would alone."""
    needed_cells_equal: float = math.nan
    """Cells, in all, that would."""

    outcomes: Floats = field(default_factory=lambda: np.empty(0), repr=False)
    """The difference of each cell; infinite where divergence decided. [n]"""
    means: tuple[Floats, Floats] = field(default_factory=lambda: (np.empty(0), np.empty(0)), repr=False)
    """The means of each pair: of the level, of the reference. [pairs] each"""
    shared_luck: bool = False
    """Whether the same seeds are lucky in many cells at once, so that cells are no independent sample."""
    over_seeds: SeedTest | None = field(default=None, repr=False)
    """The test over seeds within the cells in which all trained; None with fewer than `FEWEST_SEEDS`."""

    @property
    def better(self) -> Any:
        """The level that the evidence favours; None if neither."""
        return self.level if self.direction > 0 else self.reference if self.direction < 0 else None


@dataclass(frozen=True)
class Sides:
    """Sides of cells: one row per (cell, level, seed), the value NaN where something in it diverged. Each [n]."""

    cell: Codes
    level: Codes
    seed: Codes
    value: Floats
    fair: Floats
    """The value on the scale on which seeds are compared; see `statistics.fair_scale`."""

    def take(self, chosen: Any) -> Sides:
        """Some of the rows."""
        return Sides(*(column[chosen] for column in (self.cell, self.level, self.seed, self.value, self.fair)))

    def merge(self) -> Sides:
        """Rows of the same (cell, level, seed) as one: their mean, NaN if any is."""
        key = combine_codes([self.cell, self.level, self.seed], len(self.cell))
        n = int(key.max(initial=-1)) + 1
        if n == len(key):
            return self
        first_rows = self.take(np.unique(key, return_index=True)[1])
        many = np.bincount(key, minlength=n)
        value, fair = (np.bincount(key, values, n) / many for values in (self.value, self.fair))
        return replace(first_rows, value=value, fair=fair)


def compare(
    sides: Sides, level: int, reference: int, levels: Sequence[Any], sign: float, log: bool = False, at: Any = None
) -> tuple[Comparison, pd.DataFrame]:
    """Level against reference (places in `levels`; sign 1 where less is better; log: the fair scale is a logarithm),
    not yet judged; and the frame of its cells: cell, level, reference, seeds, level_mean, reference_mean, difference,
    better (positive where the level is better), level_lost, reference_lost (seeds that diverged); numbers are NaN where
    a side has none."""
    a, b = sides.take(sides.level == level), sides.take(sides.level == reference)
    size = int(sides.seed.max(initial=0)) + 1
    keys = a.cell * size + a.seed, b.cell * size + b.seed
    both, left, right = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    cells, place = np.unique(both // size, return_inverse=True)
    x, y, n = a.value[left], b.value[right], len(cells)
    good = np.isfinite(x) & np.isfinite(y)
    count = np.bincount(place[good], minlength=n)
    with np.errstate(all="ignore"):
        means = [np.bincount(place[good], v[good], n) / count for v in (x, y)]
        difference = means[0] - means[1]
    lost = [np.bincount(place, np.isnan(v), n).astype(int) for v in (x, y)]
    frame = pd.DataFrame({"cell": cells, "level": [levels[level]] * n, "reference": [levels[reference]] * n})
    frame = frame.assign(seeds=count, level_mean=means[0], reference_mean=means[1], difference=difference)
    frame = frame.assign(better=-sign * difference, level_lost=lost[0], reference_lost=lost[1])
    worse = np.sign(lost[0] - lost[1])
    outcomes = np.where(count > 0, difference, 0.0)
    outcomes[worse != 0] = np.where(sign * worse[worse != 0] > 0, np.inf, -np.inf)
    clean = (lost[0] + lost[1] == 0)[place]
    over_seeds, shared_luck = _over_seeds(a.fair[left][clean], b.fair[right][clean], place[clean], (both % size)[clean])
    paired = count > 0
    p, worse_there = worst_rank_test(sign * x, sign * y, place)
    comparison = Comparison(
        levels[level],
        levels[reference],
        at,
        n=n,
        pairs=int(paired.sum()),
        lost=(
            int((~paired & (worse > 0)).sum()),
            int((~paired & (worse < 0)).sum()),
            int((~paired & (worse == 0)).sum()),
        ),
        unmatched=len(np.setxor1d(a.cell, b.cell)),
        divergence=Divergence(
            cells=(int((worse > 0).sum()), int((worse < 0).sum())),
            trials=(int(lost[0].sum()), int(lost[1].sum())),
            of=len(x),
            p=p,
            direction=-worse_there,
        ),
        sign=sign,
        log=log,
        outcomes=outcomes,
        means=(means[0][paired], means[1][paired]),
        over_seeds=over_seeds,
        shared_luck=shared_luck,
    )
    return _measure(comparison, difference[paired], (x - y)[good], place[good]), frame


def _over_seeds(x: Floats, y: Floats, cell: Codes, seed: Codes) -> tuple[SeedTest | None, bool]:
    """The two sides seed by seed, averaged over the cells, on the seeds that all those cells have; and whether seeds
    are lucky in many cells at once."""
    cells = np.unique(cell)
    shared = np.flatnonzero(np.bincount(seed) == len(cells)) if len(cells) else cells
    if len(shared) < FEWEST_SEEDS:
        return None, False
    kept = np.isin(seed, shared)
    order = np.lexsort((seed[kept], cell[kept]))
    x, y = (v[kept][order].reshape(len(cells), len(shared)) for v in (x, y))
    return compare_seeds(x.mean(axis=0), y.mean(axis=0)), share_luck(x - y)


def share_luck(d: Floats) -> bool:
    """Whether the seeds' differences [cells, seeds] move together over the cells: the F test of the seeds in a two-way
    layout without repetition (Fisher 1925), at a level so large that little of it is missed."""
    from scipy.special import fdtrc

    d = d / (np.abs(d).max(initial=0.0) or 1.0)
    cells, seeds = d.shape
    rest = d - d.mean(axis=0) - d.mean(axis=1, keepdims=True) + d.mean()
    free = (cells - 1) * (seeds - 1)
    noise = float((rest**2).sum())
    if not free or noise <= 1e-20 * float((d**2).sum()):
        return bool(free and d.mean(axis=0).std() > 1e-10 * np.abs(d).max(initial=0.0))
    f = cells * float(d.mean(axis=0).var(ddof=1)) / (noise / free)
    return bool(fdtrc(seeds - 1.0, float(free), f) <= SHARED_LUCK)


def _measure(comparison: Comparison, cells: Floats, trials: Floats, where: Codes) -> Comparison:
    """The comparison with its numbers. cells: a difference per pair; trials: one per pair and seed, and of which."""
    if not comparison.n:
        return comparison
    score = -comparison.sign * comparison.outcomes
    known = np.abs(cells).max(initial=0.0)
    score = np.where(np.abs(score) > 1e-10 * known, score, 0.0)  # what rounding made of equal numbers is none
    ranks = pd.Series(np.abs(score)).rank().to_numpy() * np.sign(score)
    gaps = -comparison.sign * trials
    wins = int((score > 0).sum()), int((score < 0).sum())
    side = 1 if wins[0] == comparison.n else -1 if wins[1] == comparison.n else 0
    return replace(
        comparison,
        seeds=round(len(trials) / len(cells)) if len(cells) else 0,
        mean=float(cells.mean()) if len(cells) else math.nan,
        median=float(np.median(cells)) if len(cells) else math.nan,
        sd=deviation(cells),
        seed_sd=_spread(trials, where),
        improved=wins[0],
        worsened=wins[1],
        direction=int(np.sign(ranks.sum())),
        unanimous=bool(side and (side * gaps > 0).all()),
    )


def _spread(trials: Floats, where: Codes) -> float:
    """The standard deviation of one seed's difference within a cell, pooled; NaN where no cell has two seeds."""
    count = np.bincount(where)
    with np.errstate(all="ignore"):
        middle = np.bincount(where, trials) / np.maximum(count, 1)
        free = int((count - 1)[count > 0].sum())
        return math.sqrt(((trials - middle[where]) ** 2).sum() / free) if free else math.nan


def judge(family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with tests, adjusted together, their intervals and verdicts.

    Of m comparisons each has the weight 1, which it shares between its own test and that of divergence where one side
    diverged more (Holm's weighted procedure). Five cells of one sign have p = .0625, and of m comparisons the smallest
    p counts m times: with fewer than `fewest` cells nothing can be shown over cells, and a difference is looked for
    over the seeds of these cells.
    """
    compared = [comparison for comparison in family if comparison.n]
    tests: list[Comparison] = []
    for comparison in compared:
        share = 1 - DIVERGENCE_SHARE if comparison.divergence.uneven else 1.0
        fewest = math.ceil(1 - math.log2(ALPHA * share / len(compared)))
        tests.append(_choose_test(replace(comparison, fewest=fewest)))
    weights = [1 - DIVERGENCE_SHARE if comparison.divergence.uneven else 1.0 for comparison in tests]
    uneven = [i for i, comparison in enumerate(tests) if comparison.divergence.uneven]
    p = np.array([*(comparison.p for comparison in tests), *(tests[i].divergence.p for i in uneven)])
    weight = np.array([*weights, *(DIVERGENCE_SHARE for _ in uneven)])
    adjusted, levels = holm(p, weight), holm_levels(p, weight, ALPHA)
    shares = benjamini_hochberg([comparison.p for comparison in tests])
    asked = dict(zip(uneven, adjusted[len(tests) :], strict=True))
    judged = []
    for i, comparison in enumerate(tests):
        divergence = replace(comparison.divergence, shown=bool(asked.get(i, 1.0) <= ALPHA))
        comparison = replace(comparison, divergence=divergence, p_holm=float(adjusted[i]), p_bh=float(shares[i]))
        judged.append(_judge(_with_interval(comparison, float(levels[i])), float(levels[i])))
    done = iter(judged)
    return [next(done) if comparison.n else comparison for comparison in family]


def _choose_test(comparison: Comparison) -> Comparison:
    """Over cells where there are enough of them, or no seeds; over seeds where there are not; where the cells share
    their seeds' luck, both must show it, so that the larger p counts (Berger 1982)."""
    cells, seeds = signed_rank(comparison.outcomes)[1], comparison.over_seeds
    few = comparison.n < comparison.fewest
    if seeds is not None and (few or (comparison.shared_luck and seeds.p > cells)):
        return replace(comparison, unit="seeds", p=seeds.p)
    return replace(comparison, unit="cells", p=cells)


def _with_interval(comparison: Comparison, level: float) -> Comparison:
    """The estimate and interval of the test that judges, at the error `level` at which it does."""
    test = comparison.over_seeds
    if comparison.n >= comparison.fewest and comparison.p <= level:  # where both tests were asked, both show it
        comparison = replace(comparison, unit="cells")
    if comparison.unit == "cells" or test is None:
        typical, low, high = signed_rank_interval(comparison.outcomes, level, comparison.p)
        return replace(comparison, typical=typical, low=low, high=high)
    ends = test.mean, *test.interval(level)
    if not comparison.log:
        return replace(comparison, typical=ends[0], low=ends[1], high=ends[2])
    with np.errstate(over="ignore"):
        typical, low, high = map(float, np.exp(ends))
    return replace(comparison, typical=typical, low=low, high=high, scale="ratio")


def _judge(comparison: Comparison, level: float) -> Comparison:
    """The verdict, from what is shown of the metric and of divergence."""
    seeds, cells = _count_needed(comparison, level)
    comparison = replace(comparison, needed_seeds=seeds, needed_cells=cells)
    shown, diverges, side = comparison.p_holm <= ALPHA, comparison.divergence.shown, _side(comparison)
    if shown and not (diverges and comparison.divergence.direction != side):
        return replace(comparison, direction=side, verdict=SHOWN if comparison.n >= comparison.fewest else SHOWN_HERE)
    if shown or (diverges and _leans_against(comparison)):
        return replace(comparison, verdict=DEPENDS)
    if diverges:
        return replace(comparison, direction=comparison.divergence.direction, verdict=SHOWN_HERE)
    few = comparison.n < comparison.fewest and (comparison.unit == "cells" or comparison.unanimous)
    return replace(comparison, verdict=TOO_FEW if few else NOT_SHOWN)


def _side(comparison: Comparison) -> int:
    """Whom the test that judged favours: 1 the level, -1 the reference."""
    if comparison.unit == "cells" or comparison.over_seeds is None:
        return comparison.direction
    return int(np.sign(-comparison.sign * comparison.over_seeds.mean))


def _leans_against(comparison: Comparison) -> bool:
    """Whether the side that diverges more does better where as many trained, more than chance would have it."""
    trained = comparison.outcomes[np.isfinite(comparison.outcomes)]
    if len(trained) < 6 and comparison.over_seeds is not None:
        side = np.sign(-comparison.sign * comparison.over_seeds.mean)
        return bool(side == -comparison.divergence.direction and comparison.over_seeds.p <= ALPHA)
    side = np.sign(-comparison.sign * np.median(trained)) if len(trained) else 0
    return bool(side == -comparison.divergence.direction and signed_rank(trained)[1] <= ALPHA)


def _count_needed(comparison: Comparison, level: float) -> tuple[float, float]:
    """Seeds per setting, and cells, with which the mean difference seen would lie far enough from 0 to be shown at
    `level` with chance `POWER`: z(1 - level / 2) + z(POWER) standard errors (Cohen 1988, section 2.4).

    The variance of a mean over n cells of S seeds each is (between + seed_sd^2 / S) / n;
    over seeds alone it is the spread of their differences / S. NaN: more than
    `MOST_NEEDED`, or not by this alone, since the cells differ too much among themselves.
    """
    from scipy.special import ndtri

    reach = float(ndtri(1 - level / 2) + ndtri(POWER))
    if comparison.unit == "seeds" and comparison.over_seeds is not None:
        test = comparison.over_seeds
        needed = test.sd / abs(test.mean) * reach if test.mean else math.inf  # its root
        return (math.ceil(needed**2) if needed <= math.sqrt(MOST_NEEDED) else math.nan), math.nan
    return count_over_cells(comparison, comparison.mean, comparison.sd, reach)


def count_over_cells(comparison: Comparison, mean: float, sd: float, reach: float) -> tuple[float, float]:
    """Seeds per setting, and cells, with which a mean over its cells, which spread by `sd`, is `reach` standard errors
    away from 0."""
    if comparison.pairs < 2 or mean == 0 or not math.isfinite(mean + sd):
        return math.nan, math.nan
    unit = max(abs(mean), sd)
    target, between = (mean / unit / reach) ** 2, (sd / unit) ** 2
    many = max(math.ceil(between / target), comparison.fewest) if between <= MOST_NEEDED * target else math.nan
    within = (comparison.seed_sd / unit) ** 2 if comparison.seed_sd < 1e100 * unit else math.nan
    if math.isnan(within) or comparison.n < comparison.fewest or not comparison.seeds:
        return math.nan, many
    room = comparison.pairs * target - max(0.0, between - within / comparison.seeds)
    return (math.ceil(within / room) if room > 0 and within <= MOST_NEEDED * room else math.nan), many
