"""Importance where no grid is whole: Optuna's fANOVA and PED-ANOVA.
Needs optuna, which only the search imports beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator

TREES = 16
"""Of each forest; 64 give the same shares to 0.01, in four times the time."""
QUANTILE = 0.1
"""PED-ANOVA: the share of settings that count as good (Watanabe et al. 2023)."""


def importances(
    columns: Mapping[str, Sequence[Any]], values: NDArray[np.float64], rows: Sequence[NDArray[np.int64]], method: str
) -> list[dict[str, float]]:
    """The importance of every column, once for each choice of rows.

    columns: values of each hyperparameter, [n]; numbers, or text for categories. values: what is explained, less is
    better, [n]. method: "fanova", the first-order share of a random forest's variance (Hutter et al. 2014); or
    "ped-anova", how much the best tenth differ in a hyperparameter, as shares of 1 (Watanabe et al. 2023).
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spread = {name: _distribution(column) for name, column in columns.items()}
    trials = [
        optuna.trial.create_trial(
            value=float(value), params={name: columns[name][i] for name in columns}, distributions=dict(spread)
        )
        for i, value in enumerate(values)
    ]
    out = []
    for number, chosen in enumerate(rows):
        study = optuna.create_study(direction="minimize")
        study.add_trials([trials[i] for i in chosen])
        out.append(_evaluator(method, number).evaluate(study, params=list(columns)))
    return out


def _evaluator(method: str, seed: int) -> Any:
    if method == "fanova":
        return FanovaImportanceEvaluator(n_trees=TREES, max_depth=16, seed=seed)
    return PedAnovaImportanceEvaluator(target_quantile=QUANTILE)


def _distribution(column: Sequence[Any]) -> BaseDistribution:
    if any(isinstance(value, str) for value in column):
        return CategoricalDistribution(tuple(dict.fromkeys(column)))
    return FloatDistribution(float(min(column)), float(max(column)))
