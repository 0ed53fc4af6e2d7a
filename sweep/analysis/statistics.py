"""Statistics that the analyses share: arrays in, numbers out, each with its source. Needs numpy and scipy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
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
    See `bootstrap_means`."""
    low, high = bootstrap_means(np.asarray(values, float)[None, :], level, resamples, seed)[0]
    return float(low), float(high)


def bootstrap_means(values: ArrayLike, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Floats:
    """Bootstrap intervals of the means of many rows [S, n] at once, as [S, 2]; NaN in `values` is missing, NaN in the
    answer means fewer than two values.

    Quantiles of the resampled mean (Efron & Tibshirani 1993, chapter 13), their distances from the mean widened by
    sqrt(n / (n - 1)) t / z. Without that the interval of a few values is too narrow, at n = 4 it would cover 80% of the time
    and not 95% (Hesterberg 2015, "What teachers should know about the bootstrap", section 5.3). With few values all
    resamples are counted, with over `MANY` the quantiles are the distribution's Cornish-Fisher expansion (Hall 1992,
    section 2.5), in between they are drawn.
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
        return _expanded(centred, tail)
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


def _expanded(centred: Floats, tail: float) -> Floats:
    from scipy import stats

    n = centred.shape[1]
    deviation = centred.std(axis=1, keepdims=True)
    cubes = (centred**3).mean(axis=1, keepdims=True)
    skew = np.divide(cubes, deviation**3, out=np.zeros_like(cubes), where=deviation > 0)
    z = stats.norm.ppf([tail, 1 - tail])
    quantiles: Floats = deviation / math.sqrt(n) * (z + (z**2 - 1) * skew / (6 * math.sqrt(n)))
    return quantiles


def fair_scale(values: ArrayLike, metric: str) -> Floats:
    """Values of a metric on the scale on which they are judged: the logarithm for a loss without a value below 0, else as
    they are. A loss of 0 counts as half the smallest one above it. Any shape; NaN stays NaN.

    A loss has the noise of its size: .01 beside .02 says as much as 1 beside 2, and a seed that once ends at 5 where the
    others end at .05 would drown every difference of plain means. On this scale it is decided who can be told from whom;
    differences, means and intervals are reported in the metric's own units. What is judged together must be scaled
    together, so that it is on one scale.
    """
    values = np.asarray(values, float)
    above = values[np.isfinite(values) & (values > 0)]
    if not is_loss(metric) or not len(above) or (values < 0).any():
        return values
    out: Floats = np.log(np.where(values == 0, above.min() / 2, values))
    return out


def is_loss(metric: str) -> bool:
    """Whether a metric is a loss by its name: val_loss, valid_mse, error_rate, val/ce, MeanSquaredError."""
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", metric)
    return any(word.lower() in _LOSSES for word in words)


def expected_best(values: ArrayLike, budgets: ArrayLike, minimize: bool = True, replacement: bool = True) -> Floats:
    """The expected best of k values drawn from `values` [n], for each k of `budgets` [m]: [m].

    Sum over sorted v of v_i (F(v_i)^k - F(v_(i-1))^k) (Dodge et al. 2019, "Show your work", equation 8); without
    replacement F^k becomes C(i, k) / C(n, k), and a budget over n has no answer (NaN). NaN values count as nothing drawn.
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


def holm(p: ArrayLike) -> Floats:
    """p values [m] adjusted so that the chance of any false claim stays below the level (Holm 1979). NaN stays NaN and
    does not count."""
    return _adjusted(p, lambda ordered, m: np.maximum.accumulate(ordered * (m - np.arange(m))))


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """p values [m] adjusted so that the expected share of false ones among the claims stays below the level (Benjamini &
    Hochberg 1995). NaN stays NaN and does not count."""
    return _adjusted(p, lambda ordered, m: np.minimum.accumulate((ordered * m / np.arange(1, m + 1))[::-1])[::-1])


def _adjusted(p: ArrayLike, rule: Callable[[Floats, int], Floats]) -> Floats:
    p = np.asarray(p, float)
    out = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    if len(order):
        out[order] = np.minimum(rule(p[order], len(order)), 1.0)
    return out


def signed_rank(differences: ArrayLike) -> tuple[float, float]:
    """Wilcoxon's signed-rank test of paired differences [n]: W (the smaller of the two rank sums) and the two-sided p
    (Wilcoxon 1945). Differences of 0 are dropped; of up to 50 the p is exact, with ties too (the permutation
    distribution of the ranks at hand), beyond that normal with scipy's corrections. Without a difference, (0, 1).

    Differences that agree to ten digits of the largest are ties: what rounding made of equal numbers decides nothing.
    """
    from scipy import stats

    d = np.asarray(differences, float)
    d = d[np.isfinite(d)]
    if len(d) and np.abs(d).max() > 0:
        d = np.round(d / np.abs(d).max(), 10)
    d = d[d != 0]
    if len(d) == 0:
        return 0.0, 1.0
    ranks = stats.rankdata(np.abs(d))
    w = float(min(ranks[d > 0].sum(), ranks[d < 0].sum()))
    if len(d) > 50:
        return w, float(stats.wilcoxon(d, correction=False, method="asymptotic").pvalue)
    doubled = np.rint(2 * ranks).astype(int)  # midranks are halves
    ways = np.zeros(doubled.sum() + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] += ways[: len(ways) - rank].copy()
    below = ways[: round(2 * w) + 1].sum() / 2.0 ** len(d)
    return w, float(min(1.0, 2 * below))


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """P(X > Y), ties counting half: Mann & Whitney's U over n m, of runs [n] against [m]; of [n, tasks] against [m, tasks]
    the mean over tasks (Agarwal et al. 2021, section 4.3). NaN without values."""
    from scipy import stats

    x, y = (np.asarray(values, float) for values in (x, y))
    if x.ndim == 2:
        return float(np.mean([probability_of_improvement(a, b) for a, b in zip(x.T, y.T, strict=True)]))
    n, m = len(x), len(y)
    if not n or not m:
        return math.nan
    u = stats.rankdata(np.concatenate([x, y]))[:n].sum() - n * (n + 1) / 2
    return float(u / (n * m))


def interquartile_mean(values: ArrayLike) -> float:
    """The mean without the lowest and highest quarter of all values (Agarwal et al. 2021, section 4.3)."""
    from scipy import stats

    return float(stats.trim_mean(np.asarray(values, float), 0.25, axis=None))


def seeds_needed(gamma: float = 0.75, alpha: float = 0.05, beta: float = 0.05) -> int:
    """Seeds of each of A and B that show P(A > B) = gamma at level alpha, missing it with chance beta (Noether 1987, as in
    Bouthillier et al. 2021, appendix C.3). gamma must not be 1/2."""
    from scipy import stats

    z = stats.norm.ppf(1 - alpha) - stats.norm.ppf(beta)
    return math.ceil(float((z / (0.5 - gamma)) ** 2 / 6))


def moderated_variances(squares: ArrayLike, freedom: ArrayLike) -> tuple[Floats, Floats]:
    """Variances of many samples, each drawn towards what is usual among them, and their degrees of freedom [S], [S].

    From sums of squares [S] and degrees of freedom [S] > 0 by Smyth 2004 ("Linear models and empirical Bayes", section 6): an
    inverse chi-square prior fitted to the log variances; no sample has more degrees of freedom than all together.
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
