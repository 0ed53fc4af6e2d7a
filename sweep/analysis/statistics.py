"""Means, scales and intervals: arrays in, numbers out, each with its source. Needs numpy and scipy."""

from __future__ import annotations

import math
import re
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


def deviation(values: ArrayLike) -> float:
    """The sample standard deviation of values [n], squared in units of the largest, so that 1e300 does not overflow;
    NaN with fewer than two.

    >>> round(deviation([1.0, 2.0, 3.0]), 4)
    1.0
    """
    values = np.asarray(values, float)
    unit = float(np.abs(values).max(initial=0.0)) or 1.0
    return unit * float((values / unit).std(ddof=1)) if len(values) > 1 else math.nan


def interquartile_mean(values: ArrayLike) -> float:
    """The mean without the lowest and highest quarter of all values (Agarwal et al. 2021, section 4.3).

    >>> interquartile_mean([1, 2, 3, 100])
    2.5
    """
    from scipy import stats

    return float(stats.trim_mean(np.asarray(values, float), 0.25, axis=None))


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
