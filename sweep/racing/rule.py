"""Who is shown to be worse at a look, and who is practically equal. Needs numpy and scipy.

The error is the chance that the truly best setting is ever dropped: at most `ALPHA`, over all looks and all rivals
together. The k-th look may spend ALPHA / (k (k + 1)) of it, which sums to ALPHA however many looks there are, and each
of the setting's rivals an equal share of that (Even-Dar, Mannor & Mansour 2006, "Action elimination and stopping
conditions for the multi-armed bandit", whose successive elimination adds up over rounds and arms in the same way). No
share depends on the number of seeds that a race may use, so one that is given more of them decides as before.

Two t tests of the same paired differences have to agree. The moderated one (Smyth 2004) borrows the noise from all
differences at the look, so that two seeds can tell; it is asked at a rival's share. The pair's own is asked at the
whole look's: where a setting is far noisier than the others, its noise is in all of its differences, so that they err
together and need no correction for their number, but a borrowed variance would be too small for it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sweep.racing.scale import Floats, moderated_variances

ALPHA = 0.05
"""The chance that the truly best setting is dropped, at most; and that settings which are not are called equal."""

FIRST = 2
"""Seeds at the first look: the fewest that have a variance. Each further look has twice as many, so that what is
trained between looks grows with what is known, and looks are few: at each, workers wait for the last."""

LEADERS = 10
"""The best so far, with which all others are compared."""


def looks(seeds: int) -> list[int]:
    """With how many seeds settings are compared, of a race that has so many: 2, 4, 8, 16, … and all of them.

    >>> looks(20), looks(2)
    ([2, 4, 8, 16, 20], [2])
    """
    out = [FIRST]
    while out[-1] < seeds:
        out.append(2 * out[-1])
    return [*out[:-1], seeds]


def level(look: int, alpha: float = ALPHA) -> float:
    """What the look of that number, from 1, may spend of the error.

    >>> sum(level(look) for look in range(1, 10_000)) < ALPHA
    True
    """
    return alpha / (look * (look + 1))


def worse(fair: Floats, plain: Floats, look: int, settings: int) -> NDArray[np.int64]:
    """Who of those still in is shown to be worse: by row, the row of who is better, -1 where nobody is [S].

    fair: values on the scale on which they are judged, less is better, NaN where a training failed [S, seeds]; plain:
    the same in the metric's units: who is ahead there, is not dropped; look: its number; settings: of the whole race.
    """
    out = np.full(len(fair), -1)
    if len(fair) < 2 or settings < 2:
        return out
    share = level(look) / (settings - 1)
    for leader in np.argsort(_means(fair), kind="stable")[:LEADERS]:
        mean, squares, n = _differences(fair, leader)
        rivals = np.flatnonzero((n >= 2) & (out < 0) & (np.arange(len(fair)) != leader))
        ahead = _differences(plain, leader)[0][rivals] > 0
        mean, squares, n = mean[rivals], squares[rivals], n[rivals]
        if not len(rivals):
            continue
        variance, freedom = moderated_variances(squares, n - 1)
        borrowed, own = _p(mean, variance / n, freedom), _p(mean, squares / (n - 1) / n, n - 1)
        out[rivals[ahead & (borrowed <= share) & (own <= level(look))]] = leader
    return out


def equal(fair: Floats, reach: float, look: int) -> bool:
    """Whether all of those still in are shown to be within `reach` of the best, both on the fair scale: two one-sided t
    tests of each pair (Schuirmann 1987). All must show it, so their number costs no error (Berger 1982); which one
    turned out the best does."""
    means, share = _means(fair), level(look) / len(fair)
    leader = int(np.argsort(means, kind="stable")[0])
    mean, squares, n = (part[np.arange(len(fair)) != leader] for part in _differences(fair, leader))
    if (n < 2).any():
        return False
    error = squares / (n - 1) / n
    near, far = _p(reach - mean, error, n - 1), _p(reach + mean, error, n - 1)
    return bool((np.maximum(near, far) <= share).all())


def _means(values: Floats) -> Floats:
    """The mean of each row's values, infinite where it has none."""
    known = ~np.isnan(values)
    sums, n = np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1)
    return np.asarray(np.divide(sums, n, out=np.full(len(values), math.inf), where=n > 0))


def _differences(values: Floats, leader: int) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """How far each row is above one of them: the mean over the seeds that both have, the sum of squares around it, and
    how many seeds these are."""
    apart = values - values[leader]
    known = ~np.isnan(apart)
    n = known.sum(axis=1)
    mean = np.where(known, apart, 0.0).sum(axis=1) / np.maximum(n, 1)
    squares = np.where(known, (apart - mean[:, None]) ** 2, 0.0).sum(axis=1)
    return mean, squares, n


def _p(mean: Floats, error: Floats, freedom: Floats | NDArray[np.int64]) -> Floats:
    """The one-sided p of means above 0; error: their variances."""
    from scipy.special import stdtr

    certain = np.where(mean > 0, math.inf, 0.0)
    t = np.divide(mean, np.sqrt(error), out=certain, where=error > 0)
    return np.asarray(stdtr(freedom, -t), np.float64)
