"""What speaks for a claim: differences in its favour, by setting of the rest and seed, and what they show.

Every kind of claim comes down to a matrix D [cells, seeds], positive where it is borne out: by how much a level is
better, wider, sooner, how strongly a metric rises, how far a bar is passed. It is infinite where one side diverged or
never got there, 0 where both did, NaN where a trial is missing.

D is judged by the exact signed-rank test (Wilcoxon 1945), so that under permuted labels no claim is confirmed too
often, whatever the numbers look like: with few seeds a t test of differences of +d and -d is wrong far too often. Its
sample are the cells where there are enough of them, else the seeds, each with what is typical of the cells. Where
seeds are lucky in many cells at once, cells are no independent sample, and both must show it, so that the larger p
counts (Berger 1982). Needs numpy and scipy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sweep.analysis.pairing import ALPHA, MOST_NEEDED, POWER, share_luck
from sweep.analysis.significance import pseudo_median, signed_rank, signed_rank_interval
from sweep.analysis.statistics import Floats, deviation
from sweep.recipe import seeds_for

WORST = 10.0
"""What an infinite difference counts beside those of other cells, in units of the largest finite one."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a claim, or of it at one value of its `by`."""

    at: Any = None
    """That value."""
    unit: str = "seeds"
    """What it was judged over: "cells" or "seeds"."""
    outcomes: Floats = field(default_factory=lambda: np.empty(0), repr=False)
    """The difference of each of these; positive is the claim's way. [n]"""
    cells: int = 0
    """Settings of the rest that have both sides."""
    seeds: int = 0
    """Seeds that all of them have."""
    wins: int = 0
    """Outcomes that are the claim's way."""
    losses: int = 0
    """Those that are the other way."""
    margin: float = 0.0
    """On the scale of the outcomes."""
    handicap: float = 0.0
    """What the outcomes were given before they were judged, as the margin of what is to be no worse."""
    p_for: float = 1.0
    """Of a difference above the margin; two-sided."""
    p_against: float = 1.0
    """Of one the other way, beyond the margin; two-sided."""
    p_equal: float = 1.0
    """Of one within the margin: the larger of two one-sided p (TOST, Schuirmann 1987); 1 without a margin."""
    fewest: int = 6
    """Cells or seeds below which nothing can be shown."""
    needed: float = math.nan
    """Seeds, in all, that would settle it if things stay as they are; NaN: no number is likely to."""
    scale: str = "difference"
    """What the outcomes are: a "difference" of the metric, a "log ratio", a "count", or a "rank correlation"."""
    sides: tuple[float, float] = (math.nan, math.nan)
    """What is compared, in its own unit: of the level, and of the other one."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further numbers for the sentence, by name."""

    @property
    def p(self) -> float:
        """The smallest of the three."""
        return min(self.p_for, self.p_against, self.p_equal)

    @property
    def pulled(self) -> bool:
        """Whether a few outcomes pull the mean to the other side of what is typical."""
        finite = self.outcomes[np.isfinite(self.outcomes)] - self.handicap
        return bool(len(finite) and float(finite.mean()) * pseudo_median(finite) < 0)

    @property
    def n(self) -> int:
        """Outcomes, of cells or seeds."""
        return len(self.outcomes)

    def interval(self, level: float) -> tuple[float, float, float]:
        """The pseudo-median of the outcomes, without what they were given, and its interval at the error `level`."""
        if not self.n:
            return math.nan, math.nan, math.nan
        typical, low, high = signed_rank_interval(self.outcomes, level, signed_rank(self.outcomes)[1])
        return typical - self.handicap, low - self.handicap, high - self.handicap


def weigh(d: Floats, margin: float = 0.0, share: float = 1.0, **facts: Any) -> Evidence:
    """The evidence of differences D [cells, seeds]. margin: what does not matter, on D's scale; share: of the error,
    for one question among several; facts: fields of `Evidence` that are known already."""
    d = d[~np.isnan(d).all(axis=1)] if d.size else np.empty((0, 0))
    fewest = count_fewest(share)
    cells, seeds = _by_cell(d), _by_seed(d)
    if not len(cells):
        return Evidence(fewest=fewest, margin=margin, **facts)
    lucky = len(seeds) > 1 and _lucky(d)
    unit = "cells" if len(cells) >= fewest and not (lucky and _less_sure(seeds, cells)) else "seeds"
    if unit == "seeds" and len(cells) >= fewest and not len(seeds):
        unit = "cells"
    outcomes = cells if unit == "cells" else seeds
    samples = [cells, seeds] if lucky and len(cells) >= fewest else [outcomes]
    p_for, p_against, p_equal = (max(ps) for ps in zip(*(_ask(sample, margin) for sample in samples), strict=True))
    needed = _count_needed(seeds, margin, ALPHA * share, fewest) if unit == "seeds" else math.nan
    return Evidence(
        unit=unit,
        outcomes=outcomes,
        cells=len(cells),
        seeds=len(seeds),
        wins=int((outcomes > 0).sum()),
        losses=int((outcomes < 0).sum()),
        margin=margin,
        p_for=p_for,
        p_against=p_against,
        p_equal=p_equal,
        fewest=fewest,
        needed=needed,
        **facts,
    )


def count_fewest(share: float) -> int:
    """Outcomes of one sign that are needed to show anything at a share of the error."""
    return seeds_for(1 / share)


def _ask(outcomes: Floats, margin: float) -> tuple[float, float, float]:
    """p of above the margin, p of below minus the margin (two-sided both), p of within (TOST)."""
    p_for, p_against, p_equal = combine_tests(_side(outcomes - margin), _side(outcomes + margin))
    if not margin or not np.isfinite(outcomes).all() or abs(float(outcomes.mean())) > margin:
        return p_for, p_against, 1.0  # a few far ones may hide behind what is typical: the mean tells
    return p_for, p_against, p_equal


def combine_tests(above: tuple[int, float], below: tuple[int, float]) -> tuple[float, float, float]:
    """p of above the margin, of below minus the margin, of within it. above: which way the outcomes less the margin
    lean, and their two-sided p; below: the same of the outcomes and the margin."""
    p_for = above[1] if above[0] > 0 else 1.0
    p_against = below[1] if below[0] < 0 else 1.0
    ends = (above[1] / 2 if above[0] < 0 else 1.0), (below[1] / 2 if below[0] > 0 else 1.0)
    return p_for, p_against, max(ends)


def _side(outcomes: Floats) -> tuple[int, float]:
    """Which way the signed ranks lean, and the two-sided p."""
    from scipy import stats

    known = outcomes[~np.isnan(outcomes)]
    finite = np.abs(known[np.isfinite(known)]).max(initial=0.0) or 1.0
    scores = np.clip(known, -2 * finite, 2 * finite)
    scores = np.where(np.abs(scores) > 1e-10 * finite, scores, 0.0)  # what rounding made of equal numbers is none
    ranks = stats.rankdata(np.abs(scores))
    return int(np.sign((ranks * np.sign(scores)).sum())), signed_rank(known)[1]


def _by_cell(d: Floats) -> Floats:
    """Each cell's outcome: infinite where one side lost more seeds, else the mean of what both have. [n]"""
    lost = np.isposinf(d).sum(axis=1) - np.isneginf(d).sum(axis=1)
    finite = np.isfinite(d)
    with np.errstate(all="ignore"):
        mean = np.where(finite, d, 0.0).sum(axis=1) / finite.sum(axis=1)
    out = np.where(lost > 0, np.inf, np.where(lost < 0, -np.inf, np.where(finite.any(axis=1), mean, 0.0)))
    return np.asarray(out, float)


def _by_seed(d: Floats) -> Floats:
    """The outcome of each seed that all cells have: the pseudo-median over the cells (Hodges & Lehmann 1963), which one
    odd cell does not move far. Of several cells an infinite one counts as `WORST`. [n]"""
    if not d.size:
        return np.empty(0)
    whole = d[:, ~np.isnan(d).any(axis=0)]
    if len(d) == 1:
        return np.asarray(whole[0], float)
    finite = np.abs(whole[np.isfinite(whole)]).max(initial=0.0) or 1.0
    whole = np.clip(whole, -WORST * finite, WORST * finite)
    return np.array([pseudo_median(column) for column in whole.T])


def _lucky(d: Floats) -> bool:
    """Whether seeds are lucky in many cells at once."""
    whole = d[:, ~np.isnan(d).any(axis=0)]
    whole = whole[np.isfinite(whole).all(axis=1)]
    return len(whole) > 1 and whole.shape[1] > 1 and share_luck(whole)


def _less_sure(seeds: Floats, cells: Floats) -> bool:
    return signed_rank(seeds)[1] > signed_rank(cells)[1]


def _count_needed(outcomes: Floats, margin: float, alpha: float, fewest: int) -> float:
    """Seeds with which the mean seen would lie far enough from the nearest margin to be shown with chance
    `POWER` (Cohen 1988, section 2.4), at least as many as can show anything."""
    from scipy import stats

    reach = float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(POWER))
    finite = outcomes[np.isfinite(outcomes)]
    if len(outcomes) < 2:
        return float(fewest)
    if len(finite) < len(outcomes):  # of what is censored the signs are known: a sign test's count
        share = float(np.mean(np.sign(outcomes))) / 2
        needed = (reach / 2 / share) ** 2 if share else math.inf
    else:
        gap = abs(abs(float(finite.mean())) - margin)
        spread = deviation(finite) * reach
        needed = (spread / gap) ** 2 * math.pi / 3 if gap else math.inf  # the signed rank's efficiency is 3 / pi
    return float(max(fewest, math.ceil(needed))) if needed <= MOST_NEEDED else math.nan
