"""A study as one table, ready to be asked: its trials, what they are ranked on, what was swept. Needs pandas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from sweep.analysis.board import axes, chosen_metric, filtered
from sweep.ledger import Ledger, Study


@dataclass(frozen=True)
class StudyTable:
    """What every analysis reads. trials: one row a trial, with columns number, seed, state, reason, epochs, the metrics and
    one a hyperparameter (None where a setting does not use it); metric and direction: what it is ranked on; swept: the
    columns that vary by the recipe, in its order; constant: those that do not, by value; filtered: whether only trials
    that meet a condition are there; imported: whether it was not trained here; adaptive: whether settings were chosen by the results of others.

    `setting` is a whole number, the same for trials of one setting, by which seeds are grouped."""

    name: str
    trials: pd.DataFrame
    metric: str
    direction: str
    swept: list[str]
    constant: dict[str, Any]
    filtered: bool = False
    imported: bool = False
    adaptive: bool = False

    @cached_property
    def complete(self) -> pd.DataFrame:
        """The trials that trained to their end with a finite metric: the only ones that means are taken of."""
        return self.trials[(self.trials["state"] == "complete") & self.trials[self.metric].notna()]

    @property
    def sign(self) -> float:
        """1 where less is better, else -1: sign times metric is always to be made small."""
        return 1.0 if self.direction == "minimize" else -1.0


def study_table(
    ledger: Ledger, study: Study, metric: str | None = None, direction: str | None = None, where: str = ""
) -> StudyTable:
    """Reads a study. Raises UsageError for a metric (test metrics too: nothing is selected on them), direction or
    condition that cannot be."""
    metric, direction = chosen_metric(study.recipe, metric, direction)
    trials = ledger.trials(study)
    swept, constant = axes(trials, study.recipe)
    kept = filtered(trials, where, study.recipe) if where else trials
    search = study.recipe.search
    return StudyTable(
        study.name,
        kept,
        metric,
        direction,
        swept,
        constant,
        filtered=bool(where),
        imported=study.recipe.imported is not None,
        adaptive=search is not None and search.sampler not in ("random", "qmc"),
    )
