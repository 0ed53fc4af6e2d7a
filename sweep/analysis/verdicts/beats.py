"""Claims that the best setting reaches a fixed bar. Needs the evidence."""

from __future__ import annotations

import numpy as np

from sweep.analysis.table import StudyTable
from sweep.analysis.verdicts.better import tune
from sweep.analysis.verdicts.evidence import Evidence, weigh
from sweep.analysis.verdicts.matching import Trials, choose_trials, find_column, parts_of, scale_of
from sweep.recipe import Claim


def weigh_bar(table: StudyTable, claim: Claim, share: float) -> list[Evidence]:
    """The evidence that the setting chosen on the other seeds reaches the bar: one for each value of `by`."""
    trials = choose_trials(table, claim)
    parts = parts_of(trials, find_column(table, claim.by, claim) if claim.by else None)
    return [_pass(part, claim, share / len(parts), at) for at, part in parts]


def _pass(trials: Trials, claim: Claim, share: float, at: object) -> Evidence:
    seeds = sorted(trials.frame["seed"].unique())
    good, value = tune(trials, seeds)
    bar = float(claim.bar or 0.0)
    height = -trials.sign * (np.log(bar) if trials.log else bar)
    known = value[np.isfinite(value)]
    facts = {
        "lost": [int(np.isneginf(good).sum())],
        "of": [len(seeds)],
        "settings": int(trials.frame["setting"].nunique()),
    }
    sides = (float(known.mean()) if len(known) else np.nan, bar)
    return weigh((good - height)[None], 0.0, share, at=at, scale=scale_of(trials), sides=sides, facts=facts)
