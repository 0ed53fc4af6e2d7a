"""Settings chosen on some seeds and scored on others. Needs the evidence.

Choosing and scoring on the same seeds would flatter who was chosen, and most of all the side that has more to choose
from (the winner's curse).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sweep.analysis.statistics import Floats
from sweep.analysis.verdicts.evidence import Evidence, combine_tests, weigh

WHOLE = 12
"""Seeds up to which all ways to exchange two levels are counted; of more, `DRAWN` are drawn."""
DRAWN = 4095


def pick(good: Floats, score: Floats) -> Floats:
    """For each seed the score of the setting that is best on all other seeds. good, score: […, settings, seeds]; with
    one setting there is no choice. […, seeds]"""
    seeds = good.shape[-1]
    rest = (good.sum(axis=-1, keepdims=True) - good) / max(1, seeds - 1)
    best = rest.argmax(axis=-2)
    return np.take_along_axis(score, best[..., None, :], axis=-2)[..., 0, :]


def weigh_tuned(x: Floats, y: Floats, margin: float, share: float, **facts: Any) -> Evidence:
    """The evidence that one level is better than another, each with the rest tuned for it. x, y: goodness [settings,
    seeds], whole and finite (see `floor_lost`).

    The statistic is the signed-rank sum over seeds of the difference between the two levels' picks, each chosen on the
    other seeds (a mean would be drowned where an exchange makes one pick very bad). What luck in the choice does to it
    is counted, not assumed: without a difference between the levels, a seed's results might as well have come out the
    other way round, so the levels are exchanged within seeds in all ways, each time choosing anew (Fisher 1935).
    """
    d = pick(x, x) - pick(y, y)
    evidence = weigh(d[None], margin, share, **facts)
    p_for, p_against, p_equal = combine_tests(*(_exchange(x - shift, y) for shift in (margin, -margin)))
    return replace(evidence, p_for=p_for, p_against=p_against, p_equal=p_equal if margin else 1.0)


def floor_lost(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """What diverged as far below the worst that did not as that is below the best."""
    finite = np.concatenate([x[np.isfinite(x)], y[np.isfinite(y)]])
    low = 2 * finite.min() - finite.max() - 1e-9 if len(finite) else 0.0
    return np.maximum(x, low), np.maximum(y, low)


def _sum_ranks(d: Floats) -> Floats:
    """The sum of the signed ranks of differences […, seeds]: […]"""
    from scipy import stats

    tiny = 1e-10 * np.abs(d).max(axis=-1, initial=0.0, keepdims=True)
    scores = np.where(np.abs(d) > tiny, d, 0.0)
    ranks = stats.rankdata(np.abs(scores), axis=-1)
    return np.asarray((ranks * np.sign(scores)).sum(axis=-1))


def _exchange(x: Floats, y: Floats) -> tuple[int, float]:
    """The sign of the statistic, and its two-sided p: the share of exchanges that make it as large."""
    seeds = x.shape[1]
    if seeds <= WHOLE:
        swaps = (np.arange(2 ** (seeds - 1))[:, None] >> np.arange(seeds)) & 1  # the others are these, turned round
    else:
        swaps = np.random.default_rng(0).integers(0, 2, (DRAWN + 1, seeds))
        swaps[0] = 0
    out = []
    for swap in np.array_split(swaps.astype(bool), max(1, swaps.size * len(x) // 2_000_000)):
        a, b = np.where(swap[:, None, :], y, x), np.where(swap[:, None, :], x, y)
        out.append(_sum_ranks(pick(a, a) - pick(b, b)))
    statistic = np.concatenate(out)
    seen = float(statistic[0])
    return int(np.sign(seen)), float((np.abs(statistic) >= abs(seen) - 1e-12 * max(1.0, abs(seen))).mean())
