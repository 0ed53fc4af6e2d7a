"""Tests and corrections for many of them: arrays in, p values out, each with its source. Needs numpy and scipy."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sweep.analysis.statistics import Floats, deviation


def holm(p: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """p values [m] adjusted so that the chance of any false claim stays below the level (Holm 1979, with its section 4
    for hypotheses that share the error by `weights` [m]). NaN stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p, weights = _with_weights(p, weights)
    out = np.full(p.shape, np.nan)
    order, left = _holm_order(p, weights)
    if len(order):
        out[order] = np.minimum(np.maximum.accumulate(p[order] / weights[order] * left), 1.0)
    return out


def holm_levels(p: ArrayLike, weights: ArrayLike | None = None, alpha: float = 0.05) -> Floats:
    """The error at which Holm's procedure tests each hypothesis [m]: p is at most that if and only if it is rejected.

    Hypotheses are tested from the smallest p / weight on, each with its share of the
    error among those still left; from the first one that is kept, all that are left
    have the share they have there. An interval at that error agrees with the verdict.

    >>> holm_levels([0.01, 0.04, 0.03]).round(4).tolist()
    [0.0167, 0.025, 0.025]
    """
    p, weights = _with_weights(p, weights)
    out = np.full(p.shape, np.nan)
    order, left = _holm_order(p, weights)
    kept = np.flatnonzero(p[order] > alpha * weights[order] / left)
    if len(kept):
        left[kept[0] :] = left[kept[0]]
    out[order] = alpha * weights[order] / left
    return out


def _with_weights(p: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats]:
    p = np.asarray(p, float)
    return p, np.ones(p.shape) if weights is None else np.asarray(weights, float)


def _holm_order(p: Floats, weights: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The order in which known p values are tested, and the weight that is left at each."""
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known] / weights[known], kind="stable")]
    return order, np.cumsum(weights[order][::-1])[::-1].copy()


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """p values [m] adjusted so that the expected share of false ones among the claims stays below the level (Benjamini
    & Hochberg 1995). NaN stays NaN and does not count."""
    p = np.asarray(p, float)
    out = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    largest_first = known[np.argsort(p[known], kind="stable")[::-1]]
    m = len(known)
    out[largest_first] = np.minimum(np.minimum.accumulate(p[largest_first] * (m / np.arange(m, 0, -1.0))), 1.0)
    return out


_BEYOND = 1e6
"""Stands for an infinite difference, in units of the largest finite one."""


def _scale_differences(differences: ArrayLike) -> tuple[Floats, float]:
    """Differences [n] in units of the largest finite one, without NaN, infinite ones as `_BEYOND`; and that unit. Equal
    to ten digits counts as equal: what rounding made of equal numbers decides nothing."""
    d = np.asarray(differences, float)
    d = d[~np.isnan(d)]
    finite = np.isfinite(d)
    unit = float(np.abs(d[finite]).max(initial=0.0)) or 1.0
    scaled: Floats = np.where(finite, np.where(finite, d, 0.0) / unit, np.sign(d) * _BEYOND).round(10)
    return scaled, unit


def signed_rank(differences: ArrayLike) -> tuple[float, float]:
    """Wilcoxon's signed-rank test of paired differences [n]: W (the smaller of the two rank sums) and the two-sided p
    (Wilcoxon 1945). Differences of 0 are dropped; of up to 50 the p is exact, with ties too (the permutation
    distribution of the ranks at hand), beyond that normal with scipy's corrections. Without a difference, (0, 1).

    An infinite difference is larger than any finite one and as large as any infinite one: a worst rank, for what ended
    without a number (Lachin 1999).

    >>> signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    (0.0, 0.03125)
    """
    from scipy.special import ndtr  # scipy.stats takes more than half a second to import

    d, ranks, ties = _rank_differences(differences)
    if len(d) == 0:
        return 0.0, 1.0
    w = float(min(ranks[d > 0].sum(), ranks[d < 0].sum()))
    if len(d) > _EXACT:
        return w, float(2 * ndtr(-abs(_normal_score(d, ranks, ties))))
    return w, min(1.0, 2 * _chance_up_to(w, ranks))


def signed_rank_above(differences: ArrayLike) -> float:
    """The one-sided p of `signed_rank`: of whether paired differences [n] lie above 0.

    >>> signed_rank_above([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    0.015625
    """
    from scipy.special import ndtr

    d, ranks, ties = _rank_differences(differences)
    if len(d) == 0:
        return 1.0
    if len(d) > _EXACT:
        return float(ndtr(-_normal_score(d, ranks, ties)))
    return _chance_up_to(float(ranks[d < 0].sum()), ranks)


def _rank_differences(differences: ArrayLike) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Differences that are not 0, the ranks of their sizes, and how many share each rank."""
    d, _ = _scale_differences(differences)
    d = d[d != 0]
    return d, *_midranks(np.abs(d))


def _midranks(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Ranks from 1, equal values sharing their average, and how many share each."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(values)])
    ties = np.diff(np.append(starts, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(starts + (ties + 1) / 2, ties)
    return ranks, ties


def _normal_score(d: Floats, ranks: Floats, ties: NDArray[np.int64]) -> float:
    """How many standard deviations the ranks of what is above 0 sum up above their mean, ties allowed for (Hollander &
    Wolfe 1999, section 3.1)."""
    n = float(len(d))
    shared = ties.astype(float)
    spread = math.sqrt((n * (n + 1) * (2 * n + 1) - float((shared**3 - shared).sum()) / 2) / 24)
    return (float(ranks[d > 0].sum()) - n * (n + 1) * 0.25) / spread


def _chance_up_to(w: float, ranks: Floats) -> float:
    """The chance that a random half of the ranks sums up to w or less."""
    doubled = np.rint(2 * ranks).astype(int)  # midranks are halves
    return float(_count_ways(doubled)[: round(2 * w) + 1].sum() / 2.0 ** len(ranks))


_EXACT = 50
"""Differences up to which the signed rank's distribution is counted, not approximated."""


def _count_ways(ranks: NDArray[np.int64]) -> Floats:
    """In how many ways the ranks of a random half sum up to 0, 1, 2, …"""
    ways = np.zeros(ranks.sum() + 1)
    ways[0] = 1.0
    for rank in ranks:
        ways[rank:] += ways[: len(ways) - rank].copy()
    return ways


def signed_rank_interval(differences: ArrayLike, level: float, p: float) -> tuple[float, float, float]:
    """The pseudo-median of paired differences [n] and the interval that the signed-rank test gives at the error `level`
    (Hodges & Lehmann 1963; Hollander & Wolfe 1999, section 3.2 and 3.3): all shifts that the test does not reject.

    The averages of any two differences (each with itself, too) in order, counted from both
    ends as far as the test's distribution reaches `level` / 2. p: the test's own, of no
    shift; it decides where ties leave it open whether 0 belongs to the interval. An end is
    infinite where the test rejects no shift that way, or infinite differences reach that far.

    >>> [round(end, 2) for end in signed_rank_interval([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0.05, 0.03125)]
    [0.35, 0.1, 0.6]
    """
    d, unit = _scale_differences(differences)
    n = len(d)
    if n == 0:
        return math.nan, math.nan, math.nan
    total = n * (n + 1) // 2
    cut = critical_rank_sum(n, level)
    places = [(total - 1) // 2, total // 2, *((cut - 1, total - cut) if cut else ())]
    below, above, *ends = _walsh(d, places)
    middle = (below + above) / 2
    low, high = ends or (-math.inf, math.inf)
    low, high = _agree(low, high, middle, p <= level)
    middle, low, high = (math.copysign(math.inf, v) if abs(v) > _BEYOND / 8 else v * unit for v in (middle, low, high))
    return middle, low, high


def pseudo_median(values: ArrayLike) -> float:
    """The median of the averages of any two finite values [n], each with itself, too (Hodges & Lehmann 1963): close to
    the mean, and not far moved by one odd value. NaN without values.

    >>> pseudo_median([1.0, 2.0, 3.0, 100.0])
    2.75
    """
    ordered = np.asarray(values, float)
    total = len(ordered) * (len(ordered) + 1) // 2
    return float(np.mean(_walsh(ordered, [(total - 1) // 2, total // 2]))) if total else math.nan


def critical_rank_sum(n: int, level: float) -> int:
    """The largest c so that the smaller rank sum is below c with a chance of at most `level` (two-sided), or 0."""
    from scipy.special import ndtri

    if n > _EXACT:
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return max(0, math.floor(n * (n + 1) / 4 - float(ndtri(1 - level / 2)) * spread))
    below = np.cumsum(_count_ways(np.arange(1, n + 1))) / 2.0**n
    return int(np.searchsorted(below, level / 2 * (1 + 1e-12), side="right"))


def _walsh(d: Floats, places: list[int]) -> list[float]:
    """The averages of two differences (each with itself, too) that stand at some places, from 0, among all in order.
    Many are not written down: how many are at most a value is counted, and the value halved in on."""
    n = len(d)
    if n <= 1_500:
        rows, columns = np.triu_indices(n)
        averages = np.partition((d[rows] + d[columns]) / 2, places)
        return [float(averages[place]) for place in places]
    ordered = np.sort(d)
    reach: dict[float, NDArray[np.int64]] = {}  # by value, how far the partners of each difference reach
    return [_walsh_at(ordered, place, reach) for place in places]


def _walsh_at(ordered: Floats, place: int, reach: dict[float, NDArray[np.int64]]) -> float:
    """The average at a place. Once few pairs lie between the two ends, they alone are looked at."""
    low, high = float(ordered[0]), float(ordered[-1])
    itself = np.arange(len(ordered))
    least, most = itself, np.full(len(ordered), len(ordered))
    while not _near(low, high) and int((most - least).sum()) > 4 * len(ordered):
        middle = (low + high) / 2
        if middle not in reach:
            half = int(np.searchsorted(ordered, middle, side="right"))  # above it none has a partner
            partners = np.searchsorted(ordered, 2 * middle - ordered[:half], side="right")
            reach[middle] = np.maximum(np.append(partners, itself[half:]), itself)
        if int((reach[middle] - itself).sum()) > place:
            high, most = middle, reach[middle]
        else:
            low, least = middle, reach[middle]
    left = most - least
    below, starts = int((least - itself).sum()), np.repeat(least - np.cumsum(left) + left, left)
    first, second = np.repeat(ordered, left), ordered[starts + np.arange(len(starts))]
    while not _near(low, high):
        middle = (low + high) / 2
        under = second <= 2 * middle - first
        if below + int(under.sum()) > place:
            high = middle
        else:
            low, below, under = middle, below + int(under.sum()), ~under
        first, second = first[under], second[under]
    return (low + high) / 2


def _near(low: float, high: float) -> bool:
    return high - low <= 1e-9 * max(abs(low), abs(high), 1e-3)


def worst_rank_test(x: ArrayLike, y: ArrayLike, cell: ArrayLike) -> tuple[float, int]:
    """The two-sided p of whether one of two sides is worse in the cells in which trials diverged, and which: 1 where x
    is worse, -1 where y is, 0 neither. x, y: values to be made small, NaN where a trial diverged; cell: codes from 0;
    each [n], as many of x as of y in a cell. (NaN, 0) where nothing diverged.

    Within a cell all values are ranked, those that diverged as the worst (Lachin 1999), and the rank sums of x add up
    over cells (van Elteren 1960, unweighted); p is exact, from all ways to deal a cell's ranks to two sides. With one
    trial a side this is McNemar's sign test; where one side alone diverged, wholly, it is Fisher's test.

    >>> worst_rank_test([0.1, 0.2, 0.1, 0.3], [math.nan, math.nan, math.nan, math.nan], [0, 0, 0, 0])
    (0.02857142857142857, -1)
    """
    x, y, cell = np.asarray(x, float), np.asarray(y, float), np.asarray(cell)
    chance, total, expected = np.ones(1), 0, 0.0
    for code in np.unique(cell[np.isnan(x) | np.isnan(y)]):
        values = np.concatenate([x[cell == code], y[cell == code]])
        midranks, _ = _midranks(np.where(np.isnan(values), np.inf, values))
        ranks = np.rint(2 * midranks).astype(int)  # midranks are halves
        n = len(ranks) // 2
        total, expected = total + int(ranks[:n].sum()), expected + ranks.sum() / 2
        chance = np.convolve(chance, _deal_ranks(ranks, n))
    if len(chance) == 1:
        return math.nan, 0
    far = np.abs(np.arange(len(chance)) - expected) >= abs(total - expected) - 1e-9
    return float(min(1.0, chance[far].sum())), int(np.sign(total - expected))


def _deal_ranks(ranks: NDArray[np.int64], n: int) -> Floats:
    """The chance that n of the ranks, drawn at random, sum up to 0, 1, 2, …"""
    ways = np.zeros((n + 1, int(np.sort(ranks)[-n:].sum()) + 1))  # by how many are drawn, and their sum
    ways[0, 0] = 1.0
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    out: Floats = ways[n] / math.comb(len(ranks), n)
    return out


@dataclass(frozen=True, eq=False)
class SeedTest:
    """Two sides seed by seed, on a scale on which they are compared fairly."""

    x: Floats
    """The first side. [seeds]"""
    y: Floats
    """The second side, on the same seeds. [seeds]"""
    mean: float
    """The mean of x - y."""
    sd: float
    """The standard deviation of x - y."""
    p: float
    """Two-sided."""
    by_rank: bool
    """Whether the ranks of all values, which heavy tails cannot hide, said more than the paired differences."""

    def interval(self, level: float) -> tuple[float, float]:
        """Of the shift from y to x at the error `level`: it leaves out 0 if and only if p is at most `level`."""
        from scipy.special import stdtrit

        n, rejected = len(self.x), self.p <= level
        level = level / 2 if n >= FEWEST_RANKED else level
        if not self.by_rank:
            reach = float(stdtrit(n - 1.0, 1 - level / 2)) * self.sd / math.sqrt(n)
            return _agree(self.mean - reach, self.mean + reach, self.mean, rejected)
        shifts = np.unique(np.subtract.outer(self.x, self.y))
        ends = np.concatenate([[-math.inf], shifts, [math.inf]])
        # between two shifts p is constant
        inside = np.concatenate([[shifts[0] - 1], (shifts[1:] + shifts[:-1]) / 2, [shifts[-1] + 1]])

        def kept(place: int) -> bool:
            return _rank_sum(self.x - inside[place], self.y) > level

        middle = int(np.searchsorted(inside, np.median(shifts)))
        first = bisect.bisect_left(range(middle), True, key=kept)
        after = middle + bisect.bisect_left(range(middle, len(inside)), True, key=lambda place: not kept(place))
        return _agree(float(ends[first]), float(ends[after]), self.mean, rejected)


def _agree(low: float, high: float, estimate: float, rejected: bool) -> tuple[float, float]:
    """An interval that leaves out 0 if and only if 0 was rejected, where ties left that open."""
    tiny = 1e-10 * max(abs(estimate), 1e-300)
    if not rejected:
        return min(low, 0.0), max(high, 0.0)
    if low <= 0 <= high:
        return (tiny, high) if estimate > 0 else (low, -tiny)
    return low, high


FEWEST_RANKED = 5
"""Seeds a side with which ranks can show something: all on one side of the others have p = 2 / C(10, 5) = .008."""


def compare_seeds(x: ArrayLike, y: ArrayLike) -> SeedTest:
    """x against y [seeds], at least two: a t test of the paired differences. From `FEWEST_RANKED` seeds on, Mann and
    Whitney's rank-sum test is asked as well, and the smaller p counts twice (Bonferroni): a side that is worse on every
    seed than the other on any is told from it however unequal the spreads.

    >>> round(compare_seeds([0.1, 0.2, 0.3], [0.31, 0.42, 0.49]).p, 4)
    0.0018
    """
    from scipy.special import stdtr

    x, y = np.asarray(x, float), np.asarray(y, float)
    mean, sd, t = _paired_t(x - y)
    paired = float(2 * stdtr(len(x) - 1.0, -abs(t)))
    if len(x) < FEWEST_RANKED:
        return SeedTest(x, y, mean, sd, paired, by_rank=False)
    ranked = _rank_sum(x, y)
    return SeedTest(x, y, mean, sd, min(1.0, 2 * min(paired, ranked)), by_rank=ranked < paired)


def mean_above(differences: ArrayLike) -> float:
    """The one-sided p of the t test of `compare_seeds`: of whether the mean of paired differences [n] lies above 0.

    >>> round(mean_above([0.21, 0.22, 0.19]), 4)
    0.0009
    """
    from scipy.special import stdtr

    d = np.asarray(differences, float)
    return float(stdtr(len(d) - 1.0, -_paired_t(d)[2]))


def _paired_t(d: Floats) -> tuple[float, float, float]:
    """The mean, standard deviation and t of differences [n]; equal to ten digits counts as equal."""
    mean, sd = float(d.mean()), deviation(d)
    sd = sd if sd > 1e-10 * float(np.abs(d).max()) else 0.0
    return mean, sd, mean * math.sqrt(len(d)) / sd if sd else math.copysign(math.inf, mean) if mean else 0.0


def _rank_sum(x: Floats, y: Floats) -> float:
    from scipy import stats

    return float(stats.mannwhitneyu(x, y, method="auto" if len(x) > 8 else "exact").pvalue)


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """P(X > Y), ties counting half: Mann & Whitney's U over n m, of runs [n] against [m]; of [n, tasks] against [m,
    tasks] the mean over tasks (Agarwal et al. 2021, section 4.3). NaN without values.

    >>> round(probability_of_improvement([1, 2, 3], [2, 3, 4]), 4)
    0.2222
    """
    from scipy import stats

    x, y = np.asarray(x, float), np.asarray(y, float)
    pairs = len(x) * len(y)
    if not pairs:
        return math.nan
    return float(np.mean(stats.mannwhitneyu(x, y, method="asymptotic").statistic / pairs))


def seeds_needed(gamma: float = 0.75, alpha: float = 0.05, beta: float = 0.05) -> int:
    """Seeds of each of A and B that show P(A > B) = gamma at level alpha, missing it with chance beta (Noether 1987, as
    in Bouthillier et al. 2021, appendix C.3). gamma must not be 1/2.

    >>> seeds_needed(0.75)
    29
    """
    from scipy.special import ndtri

    z = ndtri(1 - alpha) - ndtri(beta)
    return math.ceil(float((z / (0.5 - gamma)) ** 2 / 6))
