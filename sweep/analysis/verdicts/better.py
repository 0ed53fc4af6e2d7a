"""Claims that one level of a hyperparameter is better than another, or as good, with all else equal, or each with the
rest tuned for it. Needs the evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sweep.analysis.cells import encode_levels
from sweep.analysis.statistics import Floats
from sweep.analysis.table import StudyTable
from sweep.analysis.verdicts.evidence import Evidence, weigh
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
    frame = trials.frame
    chosen = frame[column].isin([claim.level, claim.than])
    trials = Trials(frame[chosen].reset_index(drop=True), trials.others, trials.log, trials.sign)
    layout = trials.lay_out(column)
    masks = [trials.frame[column] == level for level in (claim.level, claim.than)]
    x, y = (layout.matrix(mask) for mask in masks)
    lost = count_lost(layout, masks)
    facts = {"lost": lost, "of": [int(mask.sum()) for mask in masks]}
    sides = side_means(*(layout.matrix(mask, "value") for mask in masks))
    scale = scale_of(trials)
    return weigh(subtract(x, y), margin_of(claim, trials), share, at=at, scale=scale, sides=sides, facts=facts)


def _compare_tuned(trials: Trials, column: str, claim: Claim, share: float, at: object) -> Evidence:
    """Each level with the rest tuned for it, on seeds that did not choose."""
    seeds = sorted(trials.frame["seed"].unique())
    (x, value_x), (y, value_y) = (tune(trials.at(column, level), seeds) for level in (claim.level, claim.than))
    facts = {"lost": [int(np.isneginf(side).sum()) for side in (x, y)], "of": [len(seeds)] * 2}
    sides, scale = side_means(value_x, value_y), scale_of(trials)
    d = subtract(x, y)[None]
    return weigh(d, margin_of(claim, trials), share, at=at, scale=scale, sides=sides, facts=facts)


def tune(trials: Trials, seeds: Sequence[int]) -> tuple[Floats, Floats]:
    """For each seed the score of the setting that is best on all other seeds: goodness and metric, [seeds] each. NaN
    where there is a choice and no other seed to choose by, or the setting has no such seed.

    Choosing and scoring on the same seeds would flatter the level that was given more settings.
    """
    frame = trials.frame
    setting, settings = encode_levels(frame["setting"])
    place = frame["seed"].map({seed: number for number, seed in enumerate(seeds)}).to_numpy()
    good, value = np.full((2, len(settings), len(seeds)), np.nan)
    good[setting, place], value[setting, place] = frame["good"], frame["value"]
    out = np.full((2, len(seeds)), np.nan)
    for left_out in range(len(seeds)):
        rest = np.delete(good, left_out, axis=1)
        rest = rest[:, ~np.isnan(rest).all(axis=0)]
        if not rest.size and len(settings) != 1:
            continue
        mean = np.array([row[~np.isnan(row)].mean() if (~np.isnan(row)).any() else -np.inf for row in rest])
        best = int(np.argmax(mean)) if len(settings) > 1 else 0
        out[:, left_out] = good[best, left_out], value[best, left_out]
    return out[0], out[1]
