"""Who is shown to be worse at a look, and who is practically equal. Needs numpy and scipy.

The error is the chance that the truly best setting is ever dropped: at most `ALPHA`, over all looks and all rivals
together. The k-th look may spend ALPHA / (k (k + 1)) of it, which sums to ALPHA however many looks there are, and each
of the setting's rivals an equal share of that (Even-Dar, Mannor & Mansour 2006, "Action elimination and stopping
conditions for the multi-armed bandit", whose successive elimination adds up over rounds and arms in the same way). No
share depends on the number of seeds that a race may use, so one that is given more of them decides as before.

The test is a moderated t test of paired differences (Smyth 2004), asked at a rival's share: it borrows the noise from
all differences at the look, so that two seeds can tell. How much it borrows is bounded: settings are unequally noisy,
which two seeds of each cannot show, and the differences that it borrows from share one leader's noise. A race keeps the
rule that it began with, by its number (`RULES`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweep.errors import SweepError
from sweep.racing.scale import Floats, moderated_variances
from sweep.recipe import NEWEST_RULE

ALPHA = 0.05
"""The chance that the truly best setting is dropped, at most; and that settings which are not are called equal."""

FIRST = 2
"""Seeds at the first look: the fewest that have a variance. Each further look has twice as many, so that what is
trained between looks grows with what is known, and looks are few: at each, workers wait for the last."""

LEADERS = 10
"""The best so far, with which all others are compared."""


@dataclass(frozen=True)
class Rule:
    """How settings are judged at a look."""

    most: float
    """Degrees of freedom that borrowed noise counts for at most."""
    share: float
    """The same, for each rival from the third on that it is borrowed from."""
    own: bool
    """Whether the pair's own t test has to agree, at the whole look's share of the error."""
    still: bool
    """Whether a difference without noise is certain, though others have some."""

    def weight(self, rivals: int) -> float:
        """Degrees of freedom that noise borrowed from so many rivals counts for at most. Of two it is not known how
        unequal they are."""
        return min(self.most, self.share * max(0, rivals - 2)) if math.isfinite(self.most) else math.inf


RULES = {1: Rule(math.inf, math.inf, own=True, still=True), 2: Rule(10.0, 0.5, own=False, still=False)}
"""Those that races go by, by their numbers. The second needs fewer seeds at no greater error, which `python -m
tests.benchmarks.race errors` measures."""


def find_rule(number: int) -> Rule:
    """The rule of a number. Raises SweepError for one that only a newer version has."""
    if number not in RULES:
        raise SweepError(
            f"a race by rule {number}: this version of sweep knows rules 1 to {max(RULES)}; a newer one reads it"
        )
    return RULES[number]


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


def worse(
    fair: Floats, plain: Floats, look: int, settings: int, rule: Rule = RULES[NEWEST_RULE], alpha: float = ALPHA
) -> NDArray[np.int64]:
    """Who of those still in is shown to be worse: by row, the row of who is better, -1 where nobody is [S].

    fair: values on the scale on which they are judged, less is better, NaN where a training failed [S, seeds]; plain:
    the same in the metric's units: who is ahead there, is not dropped; look: its number; settings: of the whole race.
    """
    out = np.full(len(fair), -1)
    if len(fair) < 2 or settings < 2:
        return out
    whole = level(look, alpha)
    for leader in np.argsort(_means(fair), kind="stable")[:LEADERS]:
        mean, squares, n = _differences(fair, leader)
        rivals = np.flatnonzero((n >= 2) & (out < 0) & (np.arange(len(fair)) != leader))
        ahead = _differences(plain, leader)[0][rivals] > 0
        if not len(rivals):
            continue
        mean, squares, n = mean[rivals], squares[rivals], n[rivals]
        if not rule.still:
            squares = _with_noise(squares, n, fair)
        out[rivals[ahead & _shown(mean, squares, n, whole, settings - 1, rule)]] = leader
    return out


def _shown(
    mean: Floats, squares: Floats, n: NDArray[np.int64], whole: float, rivals: int, rule: Rule
) -> NDArray[np.bool_]:
    """Which differences are shown to be above 0, of their means, sums of squares and numbers of seeds; whole: what the
    look may spend of the error, for all rivals of a setting."""
    variance, freedom = moderated_variances(squares, n - 1, rule.weight(len(mean)))
    shown = _p(mean, variance / n, freedom) <= whole / rivals
    return shown & (_p(mean, squares / (n - 1) / n, n - 1) <= whole) if rule.own else shown


def _with_noise(squares: Floats, n: NDArray[np.int64], fair: Floats) -> Floats:
    """Sums of squares, those of differences that have shown no noise yet as large as they are in the mean: that two
    accuracies differed twice by the same is no proof that they always do. As they are where nothing has shown any."""
    still = squares <= n * (1e-12 * np.nanmax(np.abs(fair))) ** 2
    if still.all():
        return squares
    return np.where(still, squares.sum() / (n - 1).sum() * (n - 1), squares)


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
