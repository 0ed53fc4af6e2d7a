"""Practically equal: whether two sides differ by less than a margin that was given, by the test that judges their
difference. Needs numpy and scipy.

Two one-sided tests (TOST, Schuirmann 1987): each side in turn is handicapped by the margin, and must still be shown to
be ahead. The larger p counts. Handicapped is the value itself: times 1 + margin where losses are judged by ratios, else
plus the margin; over seeds it is on the scale on which seeds are compared. There the t test of the pairs alone is
asked, not the ranks as well: they hide a seed that is far off (of ten seeds, with skewed noise that is three times as
wide on one side, ranks call equal what is a margin apart in 11 of 100 studies, the t test in 8). The interval that goes
with it is that of both one-sided tests, at twice the error of each: 90% where the error is .05. It lies within the
margin.

Where one side diverged more often, two sides are never called equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sweep.analysis.pairing import (
    ALPHA,
    FEWEST_SEEDS,
    MOST_NEEDED,
    POWER,
    PRACTICALLY_EQUAL,
    Comparison,
    count_over_cells,
    judge,
)
from sweep.analysis.significance import (
    SeedTest,
    critical_rank_sum,
    holm,
    holm_levels,
    mean_above,
    signed_rank_above,
)
from sweep.analysis.statistics import Floats, deviation
from sweep.errors import UsageError
from sweep.recipe import percents


def check_margin(metric: str, margin: float | None) -> None:
    """Raises UsageError for what is no margin of a metric."""
    if margin is None:
        return
    points = percents(metric)
    if points is not None and not 0 < margin < 100 / points:
        raise UsageError(
            f"--margin {margin:g}: expected a number above 0 and below {100 / points:g}; "
            f"of {metric} {0.5 / points:g} is half a point"
        )
    if not (margin > 0 and math.isfinite(margin)):
        raise UsageError(f"--margin {margin:g}: expected a number above 0; of a loss 0.1 is a tenth of it")


def judge_with_margin(family: Sequence[Comparison], margin: float | None) -> list[Comparison]:
    """The comparisons as `judge` leaves them; with a margin, those that are shown to differ by less are practically
    equal, whatever else is shown of them. All together have one error, as for the differences (Holm 1979)."""
    judged = judge(family)
    compared = [comparison for comparison in judged if comparison.n]
    if margin is None or not compared:
        return judged
    p = [_test(comparison, margin) for comparison in compared]
    counted = np.nan_to_num(p, nan=1.0)
    adjusted, levels = holm(counted), holm_levels(counted, alpha=ALPHA)
    settled = []
    for comparison, alone, together, level in zip(compared, p, adjusted, levels, strict=True):
        together = math.nan if math.isnan(alone) else float(together)
        comparison = replace(comparison, margin=margin, p_equal=alone, p_equal_holm=together)
        settled.append(_settle(comparison, margin, float(level)))
    done = iter(settled)
    return [next(done) if comparison.n else replace(comparison, margin=margin) for comparison in judged]


def _test(comparison: Comparison, margin: float) -> float:
    """The p of TOST: over cells or seeds as the difference is judged; both where the cells share their seeds' luck."""
    if comparison.divergence.uneven:
        return math.nan
    over_cells = weigh_cells(*comparison.means, margin, comparison.log)
    if comparison.over_seeds is None:
        return over_cells
    over_seeds = weigh_seeds(comparison.over_seeds, fair_margin(margin, comparison.log))
    if comparison.n < comparison.fewest:
        return over_seeds
    return max(over_seeds, over_cells) if comparison.shared_luck else over_cells


def _settle(comparison: Comparison, margin: float, level: float) -> Comparison:
    """The comparison with its verdict and interval where it is practically equal, else with what would show that."""
    seeds = comparison.over_seeds if comparison.n < comparison.fewest else None
    reach = fair_margin(margin, comparison.log)
    if comparison.divergence.uneven:
        return comparison
    if not comparison.p_equal_holm <= ALPHA:
        over = seeds
        if comparison.over_seeds is not None and comparison.shared_luck:  # the one that hesitates counts
            hesitates = weigh_cells(*comparison.means, margin, comparison.log) < comparison.p_equal
            over = comparison.over_seeds if hesitates else seeds
        needed = (count_seeds(over, reach, level), math.nan) if over else _count_cells(comparison, margin, level)
        return replace(comparison, needed_seeds_equal=needed[0], needed_cells_equal=needed[1])
    if seeds is None:
        ends = interval_of_cells(*comparison.means, margin, comparison.log, level)
    else:
        ends = interval_of_seeds(seeds, reach, comparison.log, level)
    return replace(
        comparison,
        verdict=PRACTICALLY_EQUAL,
        unit="cells" if seeds is None else "seeds",
        scale="ratio" if comparison.log else "difference",
        typical=ends[0],
        low=ends[1],
        high=ends[2],
    )


def fair_margin(margin: float, log: bool) -> float:
    """A margin on the scale on which seeds are compared.

    >>> round(fair_margin(0.1, True), 4), fair_margin(0.1, False)
    (0.0953, 0.1)
    """
    return math.log1p(margin) if log else margin


def weigh_cells(x: Floats, y: Floats, margin: float, log: bool) -> float:
    """The p of TOST by the signed rank of two sides [cells]."""
    return max(signed_rank_above(ahead) for ahead in _handicap(x, y, margin, log))


def _handicap(x: Floats, y: Floats, margin: float, log: bool) -> tuple[Floats, Floats]:
    """How far each of two sides, handicapped by the margin, is above the other one: both are, where they are equal."""
    with np.errstate(over="ignore", invalid="ignore"):
        return (x * (1 + margin) - y, y * (1 + margin) - x) if log else (x + margin - y, y + margin - x)


def weigh_seeds(test: SeedTest, reach: float) -> float:
    """The p of TOST by the t test over seeds; reach: the margin on their scale."""
    return max(mean_above(ahead) for ahead in _handicap(test.x, test.y, reach, log=False))


def interval_of_seeds(test: SeedTest, reach: float, log: bool, level: float) -> tuple[float, float, float]:
    """The mean shift over seeds that are equal at the error `level`, and its interval; ratios where the scale is
    logarithmic."""
    from scipy.special import stdtrit

    n = len(test.x)
    half = float(stdtrit(n - 1.0, 1 - level)) * test.sd / math.sqrt(n)
    ends = np.clip([test.mean, test.mean - half, test.mean + half], -reach, reach)  # beyond is but rounding
    typical, low, high = (np.exp(ends) if log else ends).tolist()
    return typical, low, high


def interval_of_cells(x: Floats, y: Floats, margin: float, log: bool, level: float) -> tuple[float, float, float]:
    """The pseudo-median shift (or ratio) of two sides [cells] that are equal at the error `level`, and its interval:
    all shifts (or factors) of y that the signed rank does not reject, as in `signed_rank_interval`."""
    n = len(x)
    total, cut = n * (n + 1) // 2, critical_rank_sum(n, 2 * level)
    reach = fair_margin(margin, log)

    def apart(shift: float) -> Floats:
        return x - y * math.exp(shift) if log else x - y - shift

    places = [(total - 1) // 2, total // 2, max(cut - 1, 0), total - max(cut, 1)]
    first, second, low, high = (_walsh_zero(apart, place, reach) for place in places)
    typical = (first + second) / 2
    return (math.exp(typical), math.exp(low), math.exp(high)) if log else (typical, low, high)


def _walsh_zero(apart: Callable[[float], Floats], place: int, reach: float) -> float:
    """The shift between -reach and reach at which more than `place` of the averages of two differences (each with
    itself, too) are no longer above 0. What the shift does to the differences takes all of them down."""
    low, high = -reach, reach
    while high - low > 1e-9 * reach:
        middle = (low + high) / 2
        ordered = np.sort(apart(middle))
        partners = np.searchsorted(ordered, -ordered, side="right") - np.arange(len(ordered))
        low, high = (low, middle) if int(np.maximum(partners, 0).sum()) > place else (middle, high)
    return (low + high) / 2


def count_seeds(test: SeedTest, reach: float, level: float) -> float:
    """Seeds with which a mean shift as it is would be shown to be within `reach` at `level` with chance `POWER`, with
    what a t test needs beyond a normal one (Guenther 1981); NaN: more than `MOST_NEEDED`, or none, since it is not
    within."""
    from scipy.special import ndtri

    room = reach - abs(test.mean)
    if room <= 0:
        return math.nan
    root = test.sd / room * _errors_away((reach + abs(test.mean)) / room, level)
    more = float(ndtri(1 - level)) ** 2 / 2
    return max(math.ceil(root**2 + more), FEWEST_SEEDS) if root <= math.sqrt(MOST_NEEDED) else math.nan


def _count_cells(comparison: Comparison, margin: float, level: float) -> tuple[float, float]:
    """Seeds per setting, and cells, with which cells as they are would show it."""
    if not comparison.pairs:
        return math.nan, math.nan
    sides = [(float(ahead.mean()), deviation(ahead)) for ahead in _handicap(*comparison.means, margin, comparison.log)]
    (near, spread), (far, _) = sorted(sides)
    if not (near > 0 and math.isfinite(far)):
        return math.nan, math.nan
    return count_over_cells(comparison, near, spread, _errors_away(far / near, level))


def _errors_away(far: float, level: float) -> float:
    """How many standard errors the nearer end of the margin must be away so that both one-sided tests show at `level`
    what they ask with chance `POWER`, taken together (Chow, Shao & Wang 2008, section 3.2.3); far: the other end, in
    units of that distance.

    >>> round(_errors_away(1.0, 0.05), 3), round(_errors_away(100.0, 0.05), 3)
    (2.926, 2.486)
    """
    from scipy import optimize
    from scipy.special import ndtr, ndtri

    z = float(ndtri(1 - level))

    def lacking(near: float) -> float:
        return float(ndtr(near - z) + ndtr(far * near - z)) - 1 - POWER

    ends = z + ndtri(POWER) - 1e-6, z + ndtri((1 + POWER) / 2) + 1e-6
    return float(optimize.brentq(lacking, *ends))


@dataclass(frozen=True)
class Equality:
    """Whether two sides that have common seeds are practically equal."""

    margin: float
    p: float
    """Of TOST over seeds, allowing for all comparisons among which this is picked."""
    shown: bool
    scale: str
    """What `typical`, `low` and `high` are: a "difference", or a "ratio" of the first to the second."""
    typical: float
    low: float
    high: float
    """The interval of both one-sided tests, of 90% where there is no other comparison; NaN where it is not shown."""
    needed: float
    """Seeds, in all, that would show it if the difference stays as it is; NaN where it is shown, or none would."""
    seeds: int = 0
    """Seeds that were compared."""


def ask_seeds(test: SeedTest, margin: float, log: bool, among: int) -> Equality:
    """Whether two sides are practically equal over seeds; among: how many comparisons they were picked from, which
    share the error (Bonferroni)."""
    reach, level = fair_margin(margin, log), ALPHA / among
    p = min(1.0, among * weigh_seeds(test, reach))
    shown = p <= ALPHA
    typical, low, high = interval_of_seeds(test, reach, log, level) if shown else (math.nan,) * 3
    needed = math.nan if shown else count_seeds(test, reach, level)
    return Equality(margin, p, shown, "ratio" if log else "difference", typical, low, high, needed, len(test.x))
