"""What other tools are given of a study: each trial's setting with its seed, its curves, how it ended. Needs pandas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sweep.analysis import Board
from sweep.ledger import PLANNED_EPOCHS, Ledger, Study
from sweep.report.files import plain

_NO_METRICS = ("trial", "epoch", "seconds")


@dataclass(frozen=True)
class Written:
    """One trial."""

    number: int
    setting: Mapping[str, Any]
    """Its hyperparameters, the seed among them."""
    state: str
    reason: str | None
    rows: Sequence[tuple[int, Mapping[str, float]]]
    """(epoch, what was measured), NaN where that was not finite; one of epoch 0 where there are no curves."""

    value: float | None = None
    """Its metric, where that is not the last of its curve: the best, say."""

    @property
    def name(self) -> str:
        """What it is called elsewhere."""
        return f"trial-{self.number}"


@dataclass(frozen=True)
class Elsewhere:
    """A study as it is written elsewhere."""

    name: str
    metric: str
    direction: str
    swept: Sequence[str]
    versions: Mapping[str, str]
    """Of what trained it."""
    trials: Sequence[Written]

    def facts_of(self, trial: Written) -> dict[str, Any]:
        """What sweep knows of a trial and the tools have no place for."""
        known = {"metric": self.metric, "direction": self.direction, "swept": [*self.swept], "study": self.name}
        some = {"reason": trial.reason, "value": trial.value}
        kept = {key: value for key, value in some.items() if value is not None}
        return known | {"state": trial.state} | kept | {"versions": dict(self.versions)}


def collect(ledger: Ledger, study: Study, board: Board) -> Elsewhere:
    """A study's trials of a leaderboard, by their numbers."""
    epochs = ledger.epochs(study)
    metric, direction = str(board.table.metric), board.table.direction
    if len(epochs) and metric not in epochs:  # best_val_loss, which no epoch has
        metric, direction = study.recipe.curve_metric, study.recipe.direction
    curves = dict(tuple(epochs.groupby("trial", sort=False)))
    trials = []
    for row in board.rows.sort_values("trial").to_dict("records"):
        number = int(row["trial"])
        _, setting = ledger.trial(study, number)
        kept = {name: value for name, given in setting.items() if (value := plain(given)) is not None}
        curve = curves.get(number)
        rows = _rows(curve, metric) if curve is not None else _single(row, metric, board.table.reported)
        reason = row["reason"] if isinstance(row["reason"], str) else None
        setting = {**kept, "seed": int(row["seed"])}
        trials.append(Written(number, setting, row["state"], reason, rows, _own_value(row.get(metric), rows, metric)))
    swept = ["epochs" if name == PLANNED_EPOCHS else name for name in board.table.swept]
    return Elsewhere(study.name, metric, direction, swept, _versions(ledger, study), trials)


def _own_value(value: Any, rows: Sequence[tuple[int, Mapping[str, float]]], metric: str) -> float | None:
    """A trial's metric, where its curve does not end with it."""
    if value is None or value != value or (rows and rows[-1][1].get(metric) == value):
        return None
    return float(value)


def _rows(curve: pd.DataFrame, metric: str) -> list[tuple[int, dict[str, float]]]:
    """A trial's epochs; what no epoch has is left out, but the metric, whose gaps are NaN."""
    some = [name for name in curve.columns if name not in _NO_METRICS]
    names = [name for name in some if name == metric or not curve[name].isna().all()]
    values = curve[["epoch", *names]].astype(dict.fromkeys(names, "float64"))
    return [
        (int(epoch), dict(zip(names, row, strict=True))) for epoch, *row in values.itertuples(index=False, name=None)
    ]


def _single(row: Mapping[Any, Any], metric: str, others: Sequence[str]) -> list[tuple[int, dict[str, float]]]:
    """What a trial without a curve has; nothing where it failed."""
    values = {name: float(row[name]) for name in (metric, *others) if row.get(name) is not None}
    numbers = {name: value for name, value in values.items() if not math.isnan(value)}
    if row["state"] == "diverged":
        numbers[metric] = math.nan
    return [(0, numbers)] if numbers else []


def _versions(ledger: Ledger, study: Study) -> dict[str, str]:
    """The versions of what trained a study's trials; all of them where there were several."""
    versions: dict[str, list[str]] = {}
    for sitting in ledger.sittings(study):
        for name in ("sweep", "python", "torch", "numpy"):
            if name in sitting.facts:
                versions.setdefault(name, []).append(str(sitting.facts[name]))
    return {name: ", ".join(dict.fromkeys(values)) for name, values in versions.items()}
