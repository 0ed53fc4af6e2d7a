"""Means, scales and intervals: arrays in, numbers out, each with its source. Needs numpy and scipy."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike

from sweep.racing.scale import Floats as Floats
from sweep.racing.scale import by_ratio as by_ratio
from sweep.racing.scale import fair_scale as fair_scale
from sweep.racing.scale import moderated_variances as moderated_variances

MANY = 1_000
"""Values from which on a bootstrapped mean's quantiles are taken from its expansion, not drawn."""
_CHUNK = 4_000_000  # numbers held at once
_SPREAD = 400  # of the resamples of a few values as many are held at once


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
    from scipy.special import ndtri, stdtrit  # scipy.stats takes half a second to import

    values = np.asarray(values, float)
    out = np.full((len(values), 2), np.nan)
    finite = np.isfinite(values)
    counts = finite.sum(axis=1)
    tail = (1 - level) / 2
    for n in np.unique(counts[counts >= 2]):
        chosen = np.flatnonzero(counts == n)
        widen = math.sqrt(n / (n - 1)) * stdtrit(n - 1.0, 1 - tail) / ndtri(1 - tail)
        step = max(1, _CHUNK // max(int(n), _SPREAD))
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
    from scipy.special import ndtri

    n = centred.shape[1]
    deviation = centred.std(axis=1, keepdims=True)
    cubes = (centred**3).mean(axis=1, keepdims=True)
    skew = np.divide(cubes, deviation**3, out=np.zeros_like(cubes), where=deviation > 0)
    z = ndtri([tail, 1 - tail])
    quantiles: Floats = deviation / math.sqrt(n) * (z + (z**2 - 1) * skew / (6 * math.sqrt(n)))
    return quantiles


def expected_best(values: ArrayLike, budgets: ArrayLike, minimize: bool = True, replacement: bool = True) -> Floats:
    """The expected best of k values drawn from `values` [n], for each k of `budgets` [m]: [m].

    Sum over sorted v of v_i (F(v_i)^k - F(v_(i-1))^k) (Dodge et al. 2019, "Show
    your work", equation 8); without replacement F^k becomes C(i, k) / C(n, k),
    and a budget over n has no answer (NaN). NaN values count as nothing drawn.

    >>> expected_best([0.5, 0.4, 0.3], [1, 2, 3]).round(4).tolist()
    [0.4, 0.3556, 0.3333]
    """
    from scipy.special import gammaln

    sign = -1.0 if minimize else 1.0
    values = np.asarray(values, float)
    ordered = np.sort(sign * values[np.isfinite(values)])
    n, places = len(ordered), np.arange(len(ordered) + 1)
    factorials = gammaln(places + 1)  # in the logarithm
    out = []
    for k in np.atleast_1d(np.asarray(budgets, float)):
        if n == 0 or k < 1 or (k > n and not replacement):
            out.append(math.nan)
            continue
        if replacement:
            reached = (places / n) ** k
        else:
            drawn = int(k)
            ways = factorials[drawn:] - factorials[: n + 1 - drawn] - (factorials[n] - factorials[n - drawn])
            reached = np.append(np.zeros(drawn), np.exp(ways))
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
