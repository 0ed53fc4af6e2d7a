"""Claims that one level of a hyperparameter is better than another, or as good, with all else equal, or each with the
rest tuned for it. Needs the evidence."""

from __future__ import annotations

import numpy as np

from sweep.analysis.table import StudyTable
from sweep.analysis.verdicts.evidence import Evidence, count_fewest, weigh
from sweep.analysis.verdicts.matching import (
    Trials,
    check_level,
    choose_trials,
    count_lost,
    find_column,
    margin_of,
    parts_of,
    scale_of,
    side_means,
    subtract,
)
from sweep.analysis.verdicts.tuning import floor_lost, pick, weigh_tuned
from sweep.recipe import Claim


def weigh_levels(table: StudyTable, claim: Claim, share: float) -> list[Evidence]:
    """The evidence for a level against another: one for each value of `by`."""
    column = find_column(table, str(claim.factor), claim)
    for level in (claim.level, claim.than):
        check_level(table, column, level, claim)
    trials = choose_trials(table, claim)
    parts = parts_of(trials, find_column(table, claim.by, claim) if claim.by else None)
    compare = _compare_tuned if claim.how == "tuned" else _compare_everywhere
    return [compare(part, column, claim, share / len(parts), at) for at, part in parts]


def _compare_everywhere(trials: Trials, column: str, claim: Claim, share: float, at: object) -> Evidence:
    """Settings that agree on the rest."""
    trials = trials.keep(trials.frame[column].isin([claim.level, claim.than]))
    layout = trials.lay_out(column)
    masks = [trials.frame[column] == level for level in (claim.level, claim.than)]
    x, y = (layout.matrix(mask) for mask in masks)
    facts = {"lost": count_lost(layout, masks), "of": [int(mask.sum()) for mask in masks]}
    sides = side_means(*(layout.matrix(mask, "value") for mask in masks))
    handicap, margin = _margins(claim, trials)
    fields = {"at": at, "scale": scale_of(trials), "sides": sides, "facts": facts, "handicap": handicap}
    return weigh(subtract(x, y) + handicap, margin, share, **fields)


def _margins(claim: Claim, trials: Trials) -> tuple[float, float]:
    """What the level is given before it is compared, and within what a difference does not matter: of one that is
    claimed to be no worse the whole margin is given."""
    margin = margin_of(claim, trials)
    return (margin, 0.0) if claim.kind == "not_worse" else (0.0, margin)


def _compare_tuned(trials: Trials, column: str, claim: Claim, share: float, at: object) -> Evidence:
    """Each level with the rest tuned for it."""
    trials = trials.keep(trials.frame[column].isin([claim.level, claim.than]))
    layout = trials.lay_out(column)
    masks = [trials.frame[column] == level for level in (claim.level, claim.than)]
    x, y = (layout.matrix(mask) for mask in masks)
    whole = ~np.isnan(x).any(axis=1) & ~np.isnan(y).any(axis=1)
    scale = scale_of(trials)
    facts = {"lost": count_lost(layout, masks), "of": [int(mask.sum()) for mask in masks], "settings": int(whole.sum())}
    if not whole.any() or layout.seeds < 2:
        return Evidence(at=at, scale=scale, facts=facts, fewest=count_fewest(share))
    values = [layout.matrix(mask, "value")[whole] for mask in masks]
    x, y = floor_lost(x[whole], y[whole])
    sides = side_means(*(pick(good, value) for good, value in zip((x, y), values, strict=True)))
    handicap, margin = _margins(claim, trials)
    fields = {"at": at, "scale": scale, "sides": sides, "facts": facts, "handicap": handicap}
    return weigh_tuned(x + handicap, y, margin, share, **fields)
