"""Claims that the best setting reaches a fixed bar. Needs the evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweep.analysis.statistics import Floats
from sweep.analysis.table import StudyTable
from sweep.analysis.verdicts.evidence import Evidence, weigh
from sweep.analysis.verdicts.matching import Trials, choose_trials, find_column, parts_of, scale_of
from sweep.recipe import Claim


def weigh_bar(table: StudyTable, claim: Claim, share: float) -> list[Evidence]:
    """The evidence that a setting chosen on some seeds reaches the bar on the others: one for each value of `by`."""
    trials = choose_trials(table, claim)
    parts = parts_of(trials, find_column(table, claim.by, claim) if claim.by else None)
    return [_pass(part, claim, share / len(parts), at) for at, part in parts]


def _pass(trials: Trials, claim: Claim, share: float, at: object) -> Evidence:
    chosen, judges = share_seeds(trials)
    good, value = tune(trials, chosen, judges)
    bar = float(claim.bar or 0.0)
    height = -trials.sign * (np.log(bar) if trials.log else bar)
    known = value[np.isfinite(value)]
    facts = {
        "lost": [int(np.isneginf(good).sum())],
        "of": [len(judges)],
        "chose": len(chosen),
        "settings": int(trials.frame["setting"].nunique()),
    }
    sides = (float(known.mean()) if len(known) else np.nan, bar)
    return weigh((good - height)[None], 0.0, share, at=at, scale=scale_of(trials), sides=sides, facts=facts)


CHOOSE = 3
"""One seed in so many chooses settings, the others judge them."""


def share_seeds(trials: Trials) -> tuple[list[int], list[int]]:
    """Which seeds choose a setting, and which judge it: all judge where there is no choice."""
    seeds = sorted({int(seed) for seed in trials.frame["seed"]})
    if trials.frame["setting"].nunique() <= 1:
        return [], seeds
    count = max(1, len(seeds) // CHOOSE)
    return seeds[:count], seeds[count:]


def tune(trials: Trials, chosen: Sequence[int], judges: Sequence[int]) -> tuple[Floats, Floats]:
    """The score of the setting that is best on the seeds that choose, on those that judge: goodness and metric,
    [judges] each, NaN where it has no such seed. A setting that diverged on a seed that chooses is the worst choice."""
    frame = trials.frame
    out = np.full((2, len(judges)), np.nan)
    first = frame[frame["seed"].isin(chosen)]
    means = (first if len(first) else frame).groupby("setting")["good"].mean()
    if not len(means):
        return out[0], out[1]
    mine = frame[frame["setting"] == means.idxmax()].set_index("seed")
    for row, column in enumerate(("good", "value")):
        out[row] = mine[column].reindex([*judges]).to_numpy(float)
    return out[0], out[1]
