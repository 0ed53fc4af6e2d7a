"""Statistics that the analyses share: arrays in, numbers out, each with its source. Needs numpy and scipy."""

from __future__ import annotations

import bisect
import math
import re
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MANY = 1_000
"""Values from which on a bootstrapped mean's quantiles are taken from its expansion, not drawn."""
_LOSSES = (
    "loss",
    "mse",
    "rmse",
    "mae",
    "error",
    "err",
    "nll",
    "ce",
    "crossentropy",
    "perplexity",
    "ppl",
    "deviance",
    "brier",
)
_CHUNK = 4_000_000  # numbers held at once


def bootstrap_mean(values: ArrayLike, level: float = 0.95, resamples: int = 5000, seed: int = 0) -> tuple[float, float]:
    """The bootstrap interval of the mean of independent values [n]; (nan, nan) with fewer than two finite ones.
    See `bootstrap_means`.

    >>> [round(end, 3) for end in bootstrap_mean([0.90, 0.92, 0.95, 0.91, 0.93])]
    [0.9, 0.947]
    """
    low, high = bootstrap_means(np.asarray(values, float)[None, :], level, resamples, seed)[0]
    return float(low), float(high)


def bootstrap_means(values: ArrayLike, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Floats:
    """Bootstrap intervals of the means of many rows [S, n] at once, as [S, 2]; NaN in `values` is missing, NaN in the
    answer means fewer than two values.

    Quantiles of the resampled mean (Efron & Tibshirani 1993, chapter 13), their distances from the mean widened by
    sqrt(n / (n - 1)) t / z. Without that the interval of a few values is too narrow, at n = 4 it would cover 80% of the
    time and not 95% (Hesterberg 2015, "What teachers should know about the bootstrap", section 5.3). With few values
    all resamples are counted, with over `MANY` the quantiles are the distribution's Cornish-Fisher expansion (Hall
    1992, section 2.5), in between they are drawn.

    >>> bootstrap_means([[1, 2, 3], [5, 5, 5]]).round(2).tolist()
    [[-0.69, 4.69], [5.0, 5.0]]
    """
    from scipy import stats

    values = np.asarray(values, float)
    out = np.full((len(values), 2), np.nan)
    finite = np.isfinite(values)
    counts = finite.sum(axis=1)
    tail = (1 - level) / 2
    for n in np.unique(counts[counts >= 2]):
        chosen = np.flatnonzero(counts == n)
        widen = math.sqrt(n / (n - 1)) * stats.t.ppf(1 - tail, n - 1) / stats.norm.ppf(1 - tail)
        step = max(1, _CHUNK // int(n))
        for start in range(0, len(chosen), step):
            rows = chosen[start : start + step]
            block = np.sort(values[rows][finite[rows]].reshape(len(rows), n), axis=1)  # [rows, n], in no one's order
            middle = block.mean(axis=1, keepdims=True)
            distances = _quantiles(block - middle, tail, resamples, seed)
            out[rows] = middle + widen * distances
    return out


def _quantiles(centred: Floats, tail: float, resamples: int, seed: int) -> Floats:
    """The quantiles `tail` and 1 - `tail` of the resampled mean of each row [S, n], each row's mean being 0: [S, 2]."""
    n = centred.shape[1]
    if n > MANY:
        return _expand_quantiles(centred, tail)
    if math.comb(2 * n - 1, n) <= resamples:
        weights, probability = _all_resamples(n)
        means = centred @ weights.T
        order = np.argsort(means, axis=1)
        reached = np.cumsum(probability[order], axis=1)
        places = [(reached < quantile - 1e-12).sum(axis=1) for quantile in (tail, 1 - tail)]
        at = np.take_along_axis(order, np.stack(places, axis=1), axis=1)
        return np.take_along_axis(means, at, axis=1)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n  # [resamples, n], the same for every row
    step = max(1, _CHUNK // resamples)
    blocks = [
        np.quantile(centred[start : start + step] @ weights.T, [tail, 1 - tail], axis=1).T
        for start in range(0, len(centred), step)
    ]
    return np.concatenate(blocks)


def _all_resamples(n: int) -> tuple[Floats, Floats]:
    """Every resample of n values as weights [m, n] that sum to 1, and the probability of each [m]."""
    counts = np.array([np.bincount(drawn, minlength=n) for drawn in combinations_with_replacement(range(n), n)])
    factorial = np.array([math.factorial(i) for i in range(n + 1)], float)
    return counts / n, factorial[n] / factorial[counts].prod(axis=1) / float(n) ** n


def _expand_quantiles(centred: Floats, tail: float) -> Floats:
    from scipy import stats

    n = centred.shape[1]
    deviation = centred.std(axis=1, keepdims=True)
    cubes = (centred**3).mean(axis=1, keepdims=True)
    skew = np.divide(cubes, deviation**3, out=np.zeros_like(cubes), where=deviation > 0)
    z = stats.norm.ppf([tail, 1 - tail])
    quantiles: Floats = deviation / math.sqrt(n) * (z + (z**2 - 1) * skew / (6 * math.sqrt(n)))
    return quantiles


def fair_scale(values: ArrayLike, metric: str) -> Floats:
    """Values of a metric on the scale on which they are judged: the logarithm for a loss without a value below 0, else
    as they are. A loss of 0 counts as half the smallest one above it. Any shape; NaN stays NaN.

    A loss has the noise of its size: .01 beside .02 says as much as 1 beside 2, and a seed that once ends at 5 where
    the others end at .05 would drown every difference of plain means. On this scale it is decided who can be told from
    whom; differences, means and intervals are reported in the metric's own units. What is judged together must be
    scaled together, so that it is on one scale.

    >>> fair_scale([0.01, 0.1, 1.0], "val_loss").round(3).tolist()
    [-4.605, -2.303, 0.0]
    >>> fair_scale([0.9, 0.95], "val_accuracy").tolist()
    [0.9, 0.95]
    """
    values = np.asarray(values, float)
    if not by_ratio(values, metric):
        return values
    least = values[np.isfinite(values) & (values > 0)].min()
    out: Floats = np.log(np.where(values == 0, least / 2, values))
    return out


def by_ratio(values: ArrayLike, metric: str) -> bool:
    """Whether `fair_scale` takes logarithms of these values, so that differences on it are ratios.

    >>> by_ratio([0.01, 0.1], "val_loss"), by_ratio([-1.0, 0.1], "val_loss")
    (True, False)
    """
    values = np.asarray(values, float)
    return is_loss(metric) and bool((values > 0).any() and not (values < 0).any())


def is_loss(metric: str) -> bool:
    """Whether a metric is a loss by its name: val_loss, valid_mse, error_rate, val/ce, MeanSquaredError.

    >>> is_loss("valid_mse"), is_loss("val_accuracy")
    (True, False)
    """
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", metric)
    return any(word.lower() in _LOSSES for word in words)


def expected_best(values: ArrayLike, budgets: ArrayLike, minimize: bool = True, replacement: bool = True) -> Floats:
    """The expected best of k values drawn from `values` [n], for each k of `budgets` [m]: [m].

    Sum over sorted v of v_i (F(v_i)^k - F(v_(i-1))^k) (Dodge et al. 2019, "Show your work", equation 8); without
    replacement F^k becomes C(i, k) / C(n, k), and a budget over n has no answer (NaN). NaN values count as nothing
    drawn.

    >>> expected_best([0.5, 0.4, 0.3], [1, 2, 3]).round(4).tolist()
    [0.4, 0.3556, 0.3333]
    """
    from scipy.special import gammaln

    sign = -1.0 if minimize else 1.0
    values = np.asarray(values, float)
    ordered = np.sort(sign * values[np.isfinite(values)])
    n, places = len(ordered), np.arange(len(ordered) + 1)
    out = []
    for k in np.atleast_1d(np.asarray(budgets, float)):
        if n == 0 or k < 1 or (k > n and not replacement):
            out.append(math.nan)
            continue
        if replacement:
            reached = (places / n) ** k
        else:
            ways = gammaln(places + 1) - gammaln(np.maximum(places - k, 0) + 1) - (gammaln(n + 1) - gammaln(n - k + 1))
            reached = np.where(places >= k, np.exp(ways), 0.0)
        out.append(sign * float(ordered @ np.diff(reached)))
    return np.array(out)


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

    Hypotheses are tested from the smallest p / weight on, each with its share of the error among those still left; from
    the first one that is kept, all that are left have the share they have there. An interval at that error agrees with
    the verdict.

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
    from scipy import stats

    p = np.asarray(p, float)
    out = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    if known.any():
        out[known] = stats.false_discovery_control(p[known])
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
    from scipy import stats

    d, _ = _scale_differences(differences)
    d = d[d != 0]
    if len(d) == 0:
        return 0.0, 1.0
    ranks = stats.rankdata(np.abs(d))
    w = float(min(ranks[d > 0].sum(), ranks[d < 0].sum()))
    if len(d) > _EXACT:
        return w, float(stats.wilcoxon(d, correction=False, method="asymptotic").pvalue)
    doubled = np.rint(2 * ranks).astype(int)  # midranks are halves
    below = _count_ways(doubled)[: round(2 * w) + 1].sum() / 2.0 ** len(d)
    return w, float(min(1.0, 2 * below))


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

    The averages of any two differences (each with itself, too) in order, counted from both ends as far as the test's
    distribution reaches `level` / 2. p: the test's own, of no shift; it decides where ties leave it open whether 0
    belongs to the interval. An end is infinite where the test rejects no shift that way, or infinite differences reach
    that far.

    >>> [round(end, 2) for end in signed_rank_interval([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0.05, 0.03125)]
    [0.35, 0.1, 0.6]
    """
    d, unit = _scale_differences(differences)
    n = len(d)
    if n == 0:
        return math.nan, math.nan, math.nan
    total = n * (n + 1) // 2
    cut = _critical(n, level)
    places = [(total - 1) // 2, total // 2, *((cut - 1, total - cut) if cut else ())]
    below, above, *ends = _walsh(d, places)
    middle = (below + above) / 2
    low, high = ends or (-math.inf, math.inf)
    low, high = _agree(low, high, middle, p <= level)
    middle, low, high = (math.copysign(math.inf, v) if abs(v) > _BEYOND / 8 else v * unit for v in (middle, low, high))
    return middle, low, high


def _critical(n: int, level: float) -> int:
    """The largest c so that the smaller rank sum is below c with a chance of at most `level` (two-sided); 0 for
    none.
    """
    from scipy import stats

    if n > _EXACT:
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return max(0, math.floor(n * (n + 1) / 4 - float(stats.norm.ppf(1 - level / 2)) * spread))
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
    found = []
    for place in places:
        low, high = float(ordered[0]), float(ordered[-1])
        while high - low > 1e-9 * max(abs(low), abs(high), 1e-3):
            middle = (low + high) / 2
            partners = np.searchsorted(ordered, 2 * middle - ordered, side="right") - np.arange(n)
            low, high = (low, middle) if int(np.maximum(partners, 0).sum()) > place else (middle, high)
        found.append((low + high) / 2)
    return found


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
    from scipy import stats

    x, y, cell = np.asarray(x, float), np.asarray(y, float), np.asarray(cell)
    chance, total, expected = np.ones(1), 0, 0.0
    for code in np.unique(cell[np.isnan(x) | np.isnan(y)]):
        values = np.concatenate([x[cell == code], y[cell == code]])
        ranks = np.rint(2 * stats.rankdata(np.where(np.isnan(values), np.inf, values))).astype(
            int
        )  # midranks are halves
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


def deviation(values: ArrayLike) -> float:
    """The sample standard deviation of values [n], squared in units of the largest, so that 1e300 does not overflow;
    NaN with fewer than two.

    >>> round(deviation([1.0, 2.0, 3.0]), 4)
    1.0
    """
    values = np.asarray(values, float)
    unit = float(np.abs(values).max(initial=0.0)) or 1.0
    return unit * float((values / unit).std(ddof=1)) if len(values) > 1 else math.nan


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
        from scipy import stats

        n, rejected = len(self.x), self.p <= level
        level = level / 2 if n >= FEWEST_RANKED else level
        if not self.by_rank:
            reach = float(stats.t.ppf(1 - level / 2, n - 1)) * self.sd / math.sqrt(n)
            return _agree(self.mean - reach, self.mean + reach, self.mean, rejected)
        shifts = np.unique(np.subtract.outer(self.x, self.y))
        ends = np.concatenate([[-math.inf], shifts, [math.inf]])
        inside = np.concatenate(
            [[shifts[0] - 1], (shifts[1:] + shifts[:-1]) / 2, [shifts[-1] + 1]]
        )  # p is constant there

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
    from scipy import stats

    x, y = np.asarray(x, float), np.asarray(y, float)
    d = x - y
    mean, sd = float(d.mean()), deviation(d)
    tiny = 1e-10 * float(np.abs(d).max())
    sd = sd if sd > tiny else 0.0
    t = abs(mean) * math.sqrt(len(d)) / sd if sd else math.inf if mean else 0.0
    paired = float(2 * stats.t.sf(t, len(d) - 1))
    if len(d) < FEWEST_RANKED:
        return SeedTest(x, y, mean, sd, paired, by_rank=False)
    ranked = _rank_sum(x, y)
    return SeedTest(x, y, mean, sd, min(1.0, 2 * min(paired, ranked)), by_rank=ranked < paired)


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


def interquartile_mean(values: ArrayLike) -> float:
    """The mean without the lowest and highest quarter of all values (Agarwal et al. 2021, section 4.3).

    >>> interquartile_mean([1, 2, 3, 100])
    2.5
    """
    from scipy import stats

    return float(stats.trim_mean(np.asarray(values, float), 0.25, axis=None))


def seeds_needed(gamma: float = 0.75, alpha: float = 0.05, beta: float = 0.05) -> int:
    """Seeds of each of A and B that show P(A > B) = gamma at level alpha, missing it with chance beta (Noether 1987, as
    in Bouthillier et al. 2021, appendix C.3). gamma must not be 1/2.

    >>> seeds_needed(0.75)
    29
    """
    from scipy import stats

    z = stats.norm.ppf(1 - alpha) - stats.norm.ppf(beta)
    return math.ceil(float((z / (0.5 - gamma)) ** 2 / 6))


def moderated_variances(squares: ArrayLike, freedom: ArrayLike) -> tuple[Floats, Floats]:
    """Variances of many samples, each drawn towards what is usual among them, and their degrees of freedom [S], [S].

    From sums of squares [S] and degrees of freedom [S] > 0 by Smyth 2004 ("Linear models and empirical Bayes", section
    6): an inverse chi-square prior fitted to the log variances; no sample has more degrees of freedom than all
    together.

    >>> [part.round(2).tolist() for part in moderated_variances([1.0, 2.0, 9.0], [4, 4, 4])]
    [[0.46, 0.58, 1.44], [8.15, 8.15, 8.15]]
    """
    from scipy.special import digamma, polygamma

    squares, freedom = np.asarray(squares, float), np.asarray(freedom, float)
    own, known, pooled = squares / freedom, squares > 0, float(freedom.sum())
    if known.sum() < 2:
        return own, freedom
    half = freedom[known] / 2
    e = np.log(own[known]) - digamma(half) + np.log(half)
    excess = float(e.var(ddof=1) - polygamma(1, half).mean())
    if excess <= 0:  # no more different than samples of one variance are
        return np.full_like(own, squares.sum() / pooled), np.full_like(own, pooled)
    prior = 2 * _trigamma_inverse(excess)
    center = math.exp(float(e.mean() + digamma(prior / 2)) - math.log(prior / 2))
    return (prior * center + squares) / (prior + freedom), np.minimum(prior + freedom, pooled)


def _trigamma_inverse(x: float) -> float:
    """Newton's method on 1/trigamma, which is nearly linear (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    y = 0.5 + 1 / x
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1 - trigamma / x) / float(polygamma(2, y))
        y += step
        if abs(step) < 1e-8 * y:
            break
    return y
