"""The scale on which values are judged, and variances that borrow from each other: what a race and the analyses
share. Needs numpy and scipy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sweep.recipe import is_loss

Floats = NDArray[np.float64]


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


def moderated_variances(squares: ArrayLike, freedom: ArrayLike, most: float = math.inf) -> tuple[Floats, Floats]:
    """Variances of many samples, each drawn towards what is usual among them, and their degrees of freedom [S], [S].

    From sums of squares [S] and degrees of freedom [S] > 0 by Smyth 2004 ("Linear
    models and empirical Bayes", section 6): an inverse chi-square prior fitted to
    the log variances; no sample has more degrees of freedom than all together.
    What is usual counts for `most` degrees of freedom at most.

    >>> [part.round(2).tolist() for part in moderated_variances([1.0, 2.0, 9.0], [4, 4, 4])]
    [[0.46, 0.58, 1.44], [8.15, 8.15, 8.15]]
    """
    from scipy.special import digamma, zeta

    squares, freedom = np.asarray(squares, float), np.asarray(freedom, float)
    own, known, pooled = squares / freedom, squares > 0, float(freedom.sum())
    if known.sum() < 2:
        return own, freedom
    half = freedom[known] / 2
    e = np.log(own[known]) - digamma(half) + np.log(half)
    excess = float(e.var(ddof=1) - zeta(2.0, half).mean())  # which is the trigamma function
    prior, center = math.inf, float(squares.sum() / pooled)
    if excess > 0:  # else they are no more different than samples of one variance are
        prior = 2 * _trigamma_inverse(excess)
        center = math.exp(float(e.mean() + digamma(prior / 2)) - math.log(prior / 2))
    prior = min(prior, most)
    if math.isinf(prior):
        return np.full_like(own, center), np.full_like(own, pooled)
    return (prior * center + squares) / (prior + freedom), np.minimum(prior + freedom, pooled)


def _trigamma_inverse(x: float) -> float:
    """Newton's method on 1/trigamma, which is nearly linear (Smyth 2004, appendix)."""
    from scipy.special import zeta

    y = 0.5 + 1 / x
    for _ in range(50):
        trigamma = float(zeta(2.0, y))
        step = trigamma * (1 - trigamma / x) / (-2 * float(zeta(3.0, y)))
        y += step
        if abs(step) < 1e-8 * y:
            break
    return y
