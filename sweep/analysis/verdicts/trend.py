"""Claims that the metric rises or falls with a hyperparameter. Needs the evidence."""

from __future__ import annotations

import numpy as np

from sweep.analysis.statistics import Floats
from sweep.analysis.table import StudyTable
from sweep.analysis.verdicts.evidence import Evidence, weigh
from sweep.analysis.verdicts.matching import Trials, choose_trials, find_column, parts_of
from sweep.errors import UsageError
from sweep.recipe import Claim


def weigh_trend(table: StudyTable, claim: Claim, share: float) -> list[Evidence]:
    """The evidence for a metric that rises (or falls) with a number: one for each value of `by`."""
    column = find_column(table, str(claim.factor), claim)
    trials = choose_trials(table, claim)
    if any(isinstance(value, str | bool) for value in trials.levels(column)):
        raise UsageError(f"claim “{claim.text}”: {claim.factor} is not a number, so nothing rises or falls with it")
    parts = parts_of(trials, find_column(table, claim.by, claim) if claim.by else None)
    return [_follow(part, column, claim, share / len(parts), at) for at, part in parts]


def _follow(trials: Trials, column: str, claim: Claim, share: float, at: object) -> Evidence:
    layout = trials.lay_out(column)
    levels = trials.levels(column)
    each = np.array([layout.matrix(trials.frame[column] == level) for level in levels])  # [levels, cells, seeds]
    # goodness rises where the metric falls, if less is better; what diverged is the worst there is
    way = (1.0 if claim.direction == "rises" else -1.0) * (-trials.sign)
    d = way * correlate_ranks(each) if len(levels) > 1 else np.full(each.shape[1:] or (0, 0), np.nan)
    values = [layout.matrix(trials.frame[column] == level, "value") for level in levels]
    means = [float(value[~np.isnan(value)].mean()) if (~np.isnan(value)).any() else np.nan for value in values]
    facts = {"levels": levels, "means": means}
    sides = (means[-1], means[0]) if means else (np.nan, np.nan)
    return weigh(d, share=share, at=at, scale="rank correlation", sides=sides, facts=facts)


def correlate_ranks(values: Floats) -> Floats:
    """Spearman's rank correlation of values [levels, …] with the levels' order, ties at their midranks: […]. 0 where
    all are equal; NaN where one is missing.

    >>> correlate_ranks(np.array([[1.0, 3.0], [2.0, 2.0], [5.0, 1.0]])).round(2).tolist()
    [1.0, -1.0]
    """
    from scipy import stats

    missing = np.isnan(values).any(axis=0)
    ranks = stats.rankdata(values, axis=0, nan_policy="omit") if values.size else values
    ranks = ranks - ranks.mean(axis=0)
    order = np.arange(len(values)) - (len(values) - 1) / 2
    with np.errstate(all="ignore"):
        norm = np.sqrt((ranks**2).sum(axis=0) * (order**2).sum())
        out = np.where(norm > 0, np.tensordot(order, ranks, 1) / norm, 0.0)
    return np.where(missing, np.nan, out)
