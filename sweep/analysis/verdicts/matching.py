"""Trials laid out as cells x seeds: settings that agree on the rest, side by side. Needs numpy and pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import Codes, column_of, combine_codes, encode_levels, label_of, only_at_some, select_finished
from sweep.analysis.seeds import seed_roles
from sweep.analysis.statistics import Floats, by_ratio, fair_scale
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError
from sweep.hyperparameters import show_value
from sweep.recipe import Claim


@dataclass(frozen=True, eq=False)
class Trials:
    """The finished trials that a claim is about, with how good each is."""

    frame: pd.DataFrame
    """One row per trial, with `value` (the metric; NaN where it diverged) and `good`: more is better, on the scale on
    which values are compared fairly; minus infinity where it diverged."""
    others: list[str]
    """The columns that vary in it."""
    log: bool
    """Whether differences of `good` are logarithms of ratios."""
    sign: float
    """1 where a small metric is good, else -1."""

    def at(self, column: str, value: Any) -> Trials:
        """Those with a value."""
        others = [name for name in self.others if name != column]
        return replace(self.keep(self.frame[column] == value), others=others)

    def keep(self, chosen: pd.Series) -> Trials:
        """Some of them."""
        return replace(self, frame=self.frame[chosen].reset_index(drop=True))

    def levels(self, column: str) -> list[Any]:
        """The values that occur, in a person's order."""
        return encode_levels(self.frame[column])[1]

    def lay_out(self, *apart: str) -> Layout:
        """By cells of all that varies but these columns. A column that only some of their values have does not tell
        cells apart: what differs in it alone is averaged."""
        rest = [name for name in self.others if name not in apart]
        if len(apart):
            group = combine_codes([encode_levels(self.frame[name])[0] + 1 for name in apart], len(self.frame))
            rest = [name for name in rest if not only_at_some(self.frame[name].notna().to_numpy(), group)]
        codes = [encode_levels(self.frame[name])[0] + 1 for name in rest]
        cell = combine_codes(codes, len(self.frame))
        seed, seeds = encode_levels(self.frame["seed"])
        return Layout(self.frame, cell, seed, int(cell.max(initial=-1)) + 1, len(seeds))


@dataclass(frozen=True, eq=False)
class Layout:
    """Trials by cell and seed."""

    frame: pd.DataFrame
    cell: Codes
    """Of each trial. [n]"""
    seed: Codes
    """Of each trial. [n]"""
    cells: int
    seeds: int

    def matrix(self, chosen: pd.Series, of: str = "good") -> Floats:
        """A column of the chosen trials as [cells, seeds], averaged where a cell has several, NaN where it has none."""
        total = np.zeros((self.cells, self.seeds))
        many = np.zeros_like(total)
        rows = chosen.to_numpy(bool)
        place = self.cell[rows], self.seed[rows]
        np.add.at(total, place, self.frame.loc[chosen, of].to_numpy(float))
        np.add.at(many, place, 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total / many, float)


def subtract(x: Floats, y: Floats) -> Floats:
    """x - y of goodness: infinite where one side is lost, 0 where both are, NaN where one is missing."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(x) & np.isneginf(y), 0.0, x - y)


def choose_trials(table: StudyTable, claim: Claim) -> Trials:
    """The finished trials of a study that a claim is about. Raises UsageError for what is not there."""
    roles = seed_roles(table)
    trials = select_finished(table.even if roles is None else roles.select(table))
    for name, values in claim.where:
        column = find_column(table, name, claim)
        for value in values:
            check_level(table, column, value, claim)
        trials = trials[trials[column].isin(values)]
    trials = trials.reset_index(drop=True)
    log = by_ratio(trials["value"], table.metric)
    fair = -table.sign * fair_scale(trials["value"], table.metric)
    trials = trials.assign(good=np.where(np.isnan(trials["value"]), -np.inf, fair))
    others = [name for name in table.swept if name in trials and trials[name].nunique(dropna=False) > 1]
    return Trials(trials, others, log, table.sign)


def find_column(table: StudyTable, name: str, claim: Claim) -> str:
    """The column of a hyperparameter. Raises UsageError."""
    return column_of(table, name, f"claim “{claim.text}”: ")


def check_level(table: StudyTable, column: str, value: Any, claim: Claim) -> None:
    """Raises UsageError for a level that no trial of the study has."""
    trials = table.trials if table.unfiltered is None else table.unfiltered
    if not (trials[column] == value).any():
        there = ", ".join(map(show_value, encode_levels(trials[column])[1][:20]))
        raise UsageError(
            f"claim “{claim.text}”: {label_of(column)} {show_value(value)}: "
            f"no trial of study {table.name!r} has it; expected one of {there}"
        )


def check_claim(table: StudyTable, claim: Claim) -> None:
    """Raises UsageError for a hyperparameter or level that a study does not have."""
    columns = {
        key: find_column(table, name, claim) for key in ("factor", "by", "on", "range") if (name := getattr(claim, key))
    }
    for key, of in (("level", "factor"), ("than", "factor"), ("more_at", "on"), ("less_at", "on")):
        if getattr(claim, key) is not None:
            check_level(table, columns[of], getattr(claim, key), claim)
    for name, values in claim.where:
        for value in values:
            check_level(table, find_column(table, name, claim), value, claim)


def parts_of(trials: Trials, column: str | None) -> list[tuple[Any, Trials]]:
    """A claim's parts: the trials at each value of its `by`, or all of them."""
    if column is None:
        return [(None, trials)]
    return [(value, trials.at(column, value)) for value in trials.levels(column)]


def side_means(x: Floats, y: Floats) -> tuple[float, float]:
    """The means of two sides [cells, seeds] of a metric, where both have a number."""
    both = np.isfinite(x) & np.isfinite(y)
    return (float(x[both].mean()), float(y[both].mean())) if both.any() else (np.nan, np.nan)


def margin_of(claim: Claim, trials: Trials) -> float:
    """A claim's margin on the scale of goodness: of a loss it is a share."""
    margin = claim.margin or 0.0
    return float(np.log1p(margin)) if trials.log else margin


def scale_of(trials: Trials) -> str:
    """What differences of goodness are."""
    return "log ratio" if trials.log else "difference"


def count_lost(layout: Layout, masks: Sequence[pd.Series]) -> list[int]:
    """How many of each side's trials diverged."""
    return [int(np.isneginf(layout.frame.loc[mask, "good"]).sum()) for mask in masks]
