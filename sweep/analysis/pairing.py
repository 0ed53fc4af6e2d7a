"""Paired comparison of two levels: cells that agree on everything else, seeds averaged first. Needs numpy and scipy.

A cell is what two settings share: every other hyperparameter. Within a cell the two sides are compared seed by seed, on
the seeds that both have; a cell gives one difference, and the cells are the sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import Codes, combined
from sweep.analysis.statistics import Floats, benjamini_hochberg, bootstrap_mean, holm, signed_rank

ALPHA = 0.05
FEWEST_SEEDS = 3
"""Seeds from which on an interval over seeds, for a few given cells, is believed."""
POWER = 0.8
"""With which chance a difference as large as the one seen would be shown."""
MOST_NEEDED = 10_000

SHOWN, SHOWN_HERE, NOT_SHOWN, NOT_COMPARABLE = (
    "shown",
    "shown in these cells",
    "no difference shown",
    "not comparable",
)


@dataclass(frozen=True)
class Comparison:
    """One level against the reference, in the cells that have both; differences are level minus reference, in the
    metric's own unit.

    at: the value of the hyperparameter it is split by. pairs: cells in which both trained; improved, worsened: pairs (or
    seeds, see unit) in which the level is better or worse than the reference. lost: cells without a difference because
    only the level, only the reference, or both diverged. unmatched: cells that have one side only. diverged: cells in
    which only the level, or only the reference, lost a seed, and p_diverged their exact sign test (McNemar 1947).
    unit: "cells", or "seeds" where there is one cell only; n: how many; seeds: seeds a pair has. sd: of the pairs'
    differences, seed_sd: of one seed's within a pair. direction: 1 where the rank sums favour the level, -1 the reference. by_seed: the mean difference over all pairs, a seed each; seed_low and
    seed_high: its interval, for these cells alone. needed_seeds, needed_cells: in all, to show a difference as large as
    the one seen (NaN: none would do it alone); fewest: the pairs below which the test cannot show anything. verdict: shown, shown in these cells, no difference shown, not comparable.
    """

    level: Any
    reference: Any
    at: Any = None
    pairs: int = 0
    improved: int = 0
    worsened: int = 0
    lost: tuple[int, int, int] = (0, 0, 0)
    unmatched: int = 0
    diverged: tuple[int, int] = (0, 0)
    p_diverged: float = math.nan
    unit: str = "cells"
    n: int = 0
    seeds: int = 0
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    median: float = math.nan
    sd: float = math.nan
    seed_sd: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    p_bh: float = math.nan
    direction: int = 0
    by_seed: tuple[float, ...] = ()
    seed_low: float = math.nan
    seed_high: float = math.nan
    needed_seeds: float = math.nan
    needed_cells: float = math.nan
    fewest: int = 6
    verdict: str = NOT_COMPARABLE

    @property
    def better(self) -> Any:
        """The level that more and larger differences favour; None if neither."""
        return self.level if self.direction > 0 else self.reference if self.direction < 0 else None


@dataclass(frozen=True)
class Sides:
    """Sides of cells: one row a (cell, level, seed), the value NaN where something in it diverged. Each [n]."""

    cell: Codes
    level: Codes
    seed: Codes
    value: Floats

    def take(self, chosen: Any) -> Sides:
        """Some of the rows."""
        return Sides(self.cell[chosen], self.level[chosen], self.seed[chosen], self.value[chosen])

    def merged(self) -> Sides:
        """Rows of the same (cell, level, seed) as one: their mean, NaN if any is."""
        key = combined([self.cell, self.level, self.seed], len(self.cell))
        n = int(key.max(initial=-1)) + 1
        if n == len(key):
            return self
        one = self.take(np.unique(key, return_index=True)[1])
        return replace(one, value=np.bincount(key, self.value, n) / np.bincount(key, minlength=n))


def compare(
    sides: Sides, level: int, reference: int, levels: Sequence[Any], sign: float, at: Any = None
) -> tuple[Comparison, pd.DataFrame]:
    """Level against reference (places in `levels`; sign 1 where less is better), and the frame of paired cells: cell,
    level, reference, seeds, level_mean, reference_mean, difference, better (positive where the level is better)."""
    a, b = sides.take(sides.level == level), sides.take(sides.level == reference)
    size = int(sides.seed.max(initial=0)) + 1
    keys = a.cell * size + a.seed, b.cell * size + b.seed
    both, left, right = np.intersect1d(*keys, assume_unique=True, return_indices=True)
    cells, place = np.unique(both // size, return_inverse=True)
    x, y, n = a.value[left], b.value[right], len(cells)
    good = np.isfinite(x - y)
    count = np.bincount(place[good], minlength=n)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [np.bincount(place[good], v[good], n) / count for v in (x, y, x - y)]
    names = {"level_mean": means[0], "reference_mean": means[1], "difference": means[2], "better": -sign * means[2]}
    paired = count > 0
    frame = pd.DataFrame(
        {"cell": cells, "level": [levels[level]] * n, "reference": [levels[reference]] * n, "seeds": count} | names
    )
    gone = [np.bincount(place, np.isnan(v), n) > 0 for v in (x, y)]
    only = gone[0] & ~gone[1], gone[1] & ~gone[0], gone[0] & gone[1]
    diverged = int(only[0].sum()), int(only[1].sum())
    one = Comparison(
        levels[level],
        levels[reference],
        at,
        pairs=int(paired.sum()),
        lost=(int((only[0] & ~paired).sum()), int((only[1] & ~paired).sum()), int((only[2] & ~paired).sum())),
        unmatched=len(np.setxor1d(a.cell, b.cell)),
        diverged=diverged,
        p_diverged=_sign_test(*diverged),
    )
    d, where, seed = (x - y)[good], place[good], (both % size)[good]
    return _measured(one, means[2][paired], d, where, seed, sign), frame[paired].reset_index(drop=True)


def _measured(one: Comparison, cells: Floats, trials: Floats, where: Codes, seed: Codes, sign: float) -> Comparison:
    """The comparison with its numbers. cells: a difference a cell; trials: a difference a cell and seed, and of which."""
    if not len(cells):
        return one
    alone = len(cells) == 1 and len(trials) > 1
    d = trials if alone else cells
    low, high = bootstrap_mean(d)
    tidy = -sign * np.where(np.abs(d) > 1e-10 * np.abs(d).max(), d, 0.0)
    ranks = pd.Series(np.abs(tidy).round(12)).rank().to_numpy() * np.sign(tidy)
    seeds, shared = np.bincount(seed), np.flatnonzero(np.bincount(seed) == len(cells))
    by_seed = np.bincount(seed, trials)[shared] / seeds[shared]
    return replace(
        one,
        unit="seeds" if alone else "cells",
        n=len(d),
        seeds=round(len(trials) / len(cells)),
        mean=float(d.mean()),
        low=low,
        high=high,
        median=float(np.median(d)),
        sd=float(d.std(ddof=1)) if len(d) > 1 else math.nan,
        seed_sd=_spread(trials, where),
        improved=int((tidy > 0).sum()),
        worsened=int((tidy < 0).sum()),
        p=signed_rank(d)[1],
        direction=int(np.sign(ranks.sum())),
        by_seed=tuple(map(float, by_seed)),
    )


def _sign_test(a: int, b: int) -> float:
    from scipy import stats

    return float(stats.binomtest(a, a + b).pvalue) if a + b else math.nan


def _spread(trials: Floats, where: Codes) -> float:
    """The standard deviation of one seed's difference within a cell, pooled; NaN where no cell has two seeds."""
    count = np.bincount(where)
    middle = np.bincount(where, trials) / np.maximum(count, 1)
    free = int((count - 1)[count > 0].sum())
    return math.sqrt(((trials - middle[where]) ** 2).sum() / free) if free else math.nan


def _needed(one: Comparison, alpha: float) -> tuple[float, float]:
    """Seeds a cell, and cells, with which the mean difference seen would lie far enough from 0 to be shown at level alpha
    with chance `POWER`: z(1 - alpha / 2) + z(POWER) standard errors (Cohen 1988, section 2.4).

    The variance of a mean over n cells of S seeds each is (between + seed_sd^2 / S) / n. NaN: more than `MOST_NEEDED`, or
    not by this alone, since the cells differ too much among themselves.
    """
    from scipy import stats

    if one.n < 2 or one.mean == 0:
        return math.nan, math.nan
    target = (one.mean / (stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER))) ** 2
    enough = math.ceil(max(min(one.sd**2 / target, 2 * MOST_NEEDED), one.fewest))
    many = enough if enough <= MOST_NEEDED else math.nan
    if one.unit == "seeds":
        return many, math.nan
    more = math.nan
    if not math.isnan(one.seed_sd) and one.n >= one.fewest:
        room = one.n * target - max(0.0, one.sd**2 - one.seed_sd**2 / one.seeds)
        more = math.ceil(one.seed_sd**2 / room) if room > 0 and one.seed_sd**2 / room <= MOST_NEEDED else math.nan
    return more, many


def judged(family: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with p values adjusted together (Holm, by which it is judged, and Benjamini-Hochberg for who
    screens many), intervals over seeds at the level that as many allow
    (Bonferroni), and verdicts.

    Five pairs of one sign have p = .0625, and of m comparisons the smallest p counts m times: with fewer than `fewest`
    pairs nothing can be shown over cells, and a difference may still be shown over seeds, in these cells alone.
    """
    alpha = ALPHA / max(1, sum(one.pairs > 0 for one in family))
    p = [one.p if one.n > 1 else math.nan for one in family]
    adjusted = zip(family, holm(p), benjamini_hochberg(p), strict=True)
    fewest = math.ceil(1 - math.log2(alpha))
    return [
        _judged(replace(one, p_holm=float(strict), p_bh=float(share), fewest=fewest), alpha)
        for one, strict, share in adjusted
    ]


def _judged(one: Comparison, alpha: float) -> Comparison:
    if not one.pairs:
        return one
    seeds, cells = _needed(one, alpha)
    enough = len(one.by_seed) >= FEWEST_SEEDS
    low, high = bootstrap_mean(one.by_seed, 1 - alpha) if enough else (math.nan, math.nan)
    here = one.n < one.fewest and (low > 0 or high < 0)
    verdict = SHOWN if one.p_holm <= ALPHA else SHOWN_HERE if here else NOT_SHOWN
    return replace(one, needed_seeds=seeds, needed_cells=cells, seed_low=low, seed_high=high, verdict=verdict)
