"""What every remark reads of a study: its settings and trials, the best first. Needs pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import Codes, combine_codes, encode_levels, encode_settings, select_finished
from sweep.analysis.commands import grow_command
from sweep.analysis.table import StudyTable
from sweep.data import Classes
from sweep.hyperparameters import TABLE, Value
from sweep.ledger import Sitting
from sweep.recipe import InPercent, Recipe
from sweep.space import Axis, Range


@dataclass(frozen=True)
class Remark:
    """One finding."""

    kind: str
    """What it is about; see the module for the kinds."""
    text: str
    """The sentence."""
    numbers: dict[str, Any] = field(default_factory=dict)
    """The numbers behind it, by name."""
    command: str = ""
    """The command to run next; may be empty."""


@dataclass(frozen=True)
class Reading:
    """What every finding reads."""

    table: StudyTable
    epochs: pd.DataFrame
    recipe: Recipe | None
    trials: pd.DataFrame
    """The finished ones, with their setting's code."""
    codes: dict[str, Codes]
    """Each trial's value of every swept hyperparameter, and its seed, as numbers; 0 where it has none."""
    levels: dict[str, list[Any]]
    """The values that those numbers, from 1, stand for."""
    setting_codes: dict[str, Codes]
    """The same numbers for each row of `settings`, by its index."""
    settings: pd.DataFrame
    """One row per setting, the best first: swept values, mean (NaN where a seed diverged), sd, n, code."""
    classes: Classes | None = None
    """Rows of each class, if they are known."""
    kinds: Sequence[Sequence[Sitting]] = ()
    """The sittings that trained the study, by kind of machine (see `Ledger.kinds`)."""

    @property
    def accuracy(self) -> bool:
        """Whether gaps are judged as they are, not as shares: of an accuracy, or of R²."""
        return self.table.metric.endswith(("accuracy", "val_r2"))

    def gap(self, better: float, worse: float) -> float:
        """How much worse: in accuracy, or as a share of the better loss."""
        size = abs(worse - better)
        return size if self.accuracy else size / max(abs(better), 1e-12)

    def show(self, gap: float) -> str:
        """A gap in words."""
        if self.table.metric == "val_r2":
            return f"{gap:.3f}"
        return f"{100 * gap:.2f} points" if self.accuracy else f"{100 * gap:.3g}%"

    def grow(self, **more: Sequence[Any]) -> str:
        """The command that grows the study."""
        return grow_command(self.table.name, self.recipe, more, len(self.table.trials))

    @staticmethod
    def _values(axis: Axis | None, name: str) -> Sequence[Value]:
        """What a hyperparameter takes by an axis; its default without one."""
        row = TABLE[name] if axis is None else axis.row
        if axis is None:
            return (row.default,)
        return axis.values.points(row) if isinstance(axis.values, Range) else axis.values

    def widen(self, name: str, beyond: Sequence[float]) -> str:
        """The command that adds values beyond those of an axis:
        to a grid's list, or to the ends of a search's range."""
        recipe = self.recipe
        axis = next((other for other in recipe.axes if other.name == name), None) if recipe is not None else None
        if recipe is None or axis is None or not isinstance(axis.values, Range) or not axis.values.open:
            there = self._values(axis, name)
            return self.grow(**{name: [*there, *(value for value in beyond if value not in there)]})
        low, high = min(axis.values.low, *beyond), max(axis.values.high, *beyond)
        wider = replace(axis, values=replace(axis.values, low=low, high=high))
        axes = tuple(wider if other is axis else other for other in recipe.axes)
        return grow_command(self.table.name, replace(recipe, axes=axes), {}, len(self.table.trials))


def read(table: StudyTable, epochs: pd.DataFrame, recipe: Recipe | None) -> Reading:
    trials = select_finished(table)
    if isinstance(table.metric, InPercent):  # what is remarked on is told in shares of 1
        trials["value"] /= 100
    swept = [name for name in table.swept if name in trials]
    stayed = trials["setting"].map(table.race.seeds) if table.race else 0  # those that are in a race come first
    encoded = encode_settings(trials, swept) | {"seed": encode_levels(trials["seed"])}
    codes = {name: code + 1 for name, (code, _) in encoded.items()}
    setting = combine_codes([codes[name] for name in swept], len(trials))
    trials = trials.assign(setting=setting, stayed=stayed)
    groups = trials.groupby("setting")["value"]
    lost = groups.count() < groups.size()
    first = np.flatnonzero(~trials["setting"].duplicated().to_numpy())
    settings = trials.take(first).set_index("setting")[["number", *swept]]
    rows = pd.Series(first, index=settings.index)
    settings = settings.assign(mean=groups.mean().where(~lost), sd=groups.std(), n=groups.size())
    by = pd.DataFrame({"stayed": -trials.groupby("setting")["stayed"].first(), "mean": table.sign * settings["mean"]})
    order = by.sort_values(["stayed", "mean"], kind="stable").index
    levels = {name: levels for name, (_, levels) in encoded.items()}
    of_settings = {name: codes[name][rows.loc[order]] for name in swept}
    settings = settings.loc[order].reset_index(names="code")
    return Reading(table, epochs, recipe, trials, codes, levels, of_settings, settings)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and value == value
