"""Claims that what a level gains depends on another hyperparameter. Needs the evidence."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.statistics import Floats
from sweep.analysis.table import StudyTable
from sweep.analysis.verdicts.evidence import Evidence, weigh
from sweep.analysis.verdicts.matching import (
    Layout,
    Trials,
    check_level,
    choose_trials,
    find_column,
    margin_of,
    scale_of,
    subtract,
)
from sweep.errors import UsageError
from sweep.recipe import Claim

MOST_VALUES = 12
"""Of the other hyperparameter, compared two by two."""


def weigh_dependence(table: StudyTable, claim: Claim, share: float) -> list[Evidence]:
    """The evidence for a gain that is larger at one value than at another, or without these, that differs between any
    two: then of all pairs the clearest, its p times their number (Bonferroni)."""
    column, on = (find_column(table, str(name), claim) for name in (claim.factor, claim.on))
    for name, value in ((column, claim.level), (column, claim.than), (on, claim.more_at), (on, claim.less_at)):
        if value is not None:
            check_level(table, name, value, claim)
    trials = choose_trials(table, claim)
    if claim.more_at is not None:
        return [_compare(trials, column, on, claim, (claim.more_at, claim.less_at), share)]
    values = trials.levels(on)
    if len(values) > MOST_VALUES:
        raise UsageError(
            f"claim “{claim.text}”: {claim.on} has {len(values)} values; "
            f"expected at most {MOST_VALUES}, or more_at and less_at"
        )
    pairs = list(combinations(values, 2))
    both = [_compare(trials, column, on, claim, pair, share / len(pairs)) for pair in pairs]
    return [_clearest(both)] if both else [Evidence()]


def _clearest(both: list[Evidence]) -> Evidence:
    """Of undirected evidence for each pair: any difference counts as the claim's way."""
    folded = [replace(each, p_for=min(1.0, len(both) * min(each.p_for, each.p_against))) for each in both]
    first = min(folded, key=lambda each: each.p_for)
    return replace(first, p_against=1.0, p_equal=max(each.p_equal for each in both))


def _compare(trials: Trials, column: str, on: str, claim: Claim, pair: tuple[Any, Any], share: float) -> Evidence:
    trials = trials.keep(trials.frame[on].isin(pair) & trials.frame[column].isin([claim.level, claim.than]))
    layout = trials.lay_out(column, on)
    gains = [_gain(layout, trials.frame, column, on, claim, value) for value in pair]
    facts = {"at": list(pair), "infinite": [int(np.isinf(gain).sum()) for gain in gains]}
    sides = _typical(gains[0]), _typical(gains[1])
    d = _subtract_gains(*gains)
    return weigh(d, margin_of(claim, trials), share, scale=scale_of(trials), sides=sides, facts=facts)


def _gain(layout: Layout, frame: pd.DataFrame, column: str, on: str, claim: Claim, value: Any) -> Floats:
    """By how much the level is better than the other one at a value of `on`. [cells, seeds]"""
    there = frame[on] == value
    x, y = (layout.matrix(there & (frame[column] == level)) for level in (claim.level, claim.than))
    return subtract(x, y)


def _subtract_gains(x: Floats, y: Floats) -> Floats:
    """x - y; 0 where both are infinite the same way."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(x) & (x == y), 0.0, x - y)


def _typical(gain: Floats) -> float:
    """The median gain, infinite where one side diverged in most."""
    known = np.sort(gain[~np.isnan(gain)])
    return float(known[(len(known) - 1) // 2]) if len(known) else np.nan
