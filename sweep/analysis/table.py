"""A study as one table, ready to be asked: its trials, what they are ranked on, what was swept. Needs pandas."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from sweep.analysis.conditions import filter_trials
from sweep.analysis.front import Objectives, with_front
from sweep.analysis.racing import Racing, read_racing
from sweep.data import DataInfo, describe
from sweep.errors import SweepError, UsageError, unknown
from sweep.hyperparameters import OF_TRAINING, SQUARED_ERROR, TABLE, OwnSetting
from sweep.ledger import PLANNED_EPOCHS, Ledger, Study
from sweep.recipe import METRICS, Recipe, direction_of, metrics_of, of_unit, percents

RANKED_ON = METRICS | {"best_val_loss": "minimize", "best_val_accuracy": "maximize"}
"""The metrics of a leaderboard: those of a recipe, and the best over a trial's epochs."""


@dataclass(frozen=True)
class StudyTable:
    """What every analysis reads."""

    name: str
    trials: pd.DataFrame
    """One row per trial. Columns: number, seed, state, reason, epochs, the metrics, setting (a whole number, the same
    for trials of one setting) and one for each hyperparameter (None where a setting does not use it)."""
    metric: str
    direction: str
    """"minimize" or "maximize" the metric that it is ranked on."""
    swept: list[str]
    """The columns that vary by the recipe, in its order."""
    constant: dict[str, Any]
    """Those that do not, by value."""
    filtered: bool = False
    """Whether only trials that meet a condition are there."""
    imported: bool = False
    """Whether it was not trained here."""
    own: bool = False
    """Whether a user's own function or command trained it."""
    adaptive: bool = False
    """Whether settings were chosen by the results of others."""
    race: Racing | None = None
    """Who is still in, of a race."""
    objectives: Objectives = ()
    """Columns of a search with several, each with its direction; then the trials have a column front."""
    unfiltered: pd.DataFrame | None = None
    """All trials of the study, where a condition chose some."""
    data_splits: int = 1
    """Splits of the data that its seeds train on: 1, one for each seed, 0 where nobody can know, of what was imported,
    -1 where there are no data, of functions, or -2 where a user's own code decides what a seed is.
    """
    owner: str | None = None
    """Which process trains it now, in words; empty if none does, None if that is not known."""
    where: str = ""
    """The condition, as it was written."""
    ends: tuple[str, ...] | None = None
    """Of a study of functions, the columns that say where paths ended."""

    reported: tuple[str, ...] = ()
    """What a user's own code, or another tool, reported beside the metric, but for test scores."""
    shard: str = ""
    """Of a study that is one machine's share of a grid: which, such as shard 3 of 8."""

    @property
    def raced(self) -> Racing | None:
        """The race, where this table is ranked on what decides it; settings have unequal seeds either way."""
        race = self.race
        return race if race and (race.metric, race.direction) == (str(self.metric), self.direction) else None

    @property
    def even(self) -> StudyTable:
        """The study on seeds that all settings have: of a race, those of the first look; else as it is."""
        if self.race is None:
            return self
        return replace(self, trials=self.trials[self.trials["seed"].isin(self.race.course.common)])

    @property
    def free(self) -> bool:
        """Whether its hyperparameters and its metric have names of their own, which sweep's table does not know."""
        return self.imported or self.own

    @cached_property
    def complete(self) -> pd.DataFrame:
        """The trials that trained to their end with a finite metric: the only ones that means are taken of."""
        return keep(self.trials, (self.trials["state"] == "complete") & self.trials[self.metric].notna())

    @cached_property
    def memory(self) -> dict[str, Any]:
        """What was worked out of this very table, by the name of what did, for who asks again."""
        return {}

    @property
    def regression(self) -> bool:
        """Whether its networks predict a number, not a class."""
        return not self.free and self.ends is None and self.constant.get("loss") == SQUARED_ERROR

    @property
    def exact(self) -> bool:
        """Whether seeds change nothing: paths down a function from starts that are given, without noise."""
        return self.ends is not None and bool(((self.trials["start"] != "seed") & (self.trials["noise"] == 0)).all())

    @property
    def left_running(self) -> str:
        """What the trials that are marked as running are: trained now, or left so by a process that was killed; empty
        where there are none."""
        running = int((self.trials["state"] == "running").sum())
        is_, was = ("is", "was") if running == 1 else ("are", "were")
        if not running or self.owner is None:
            return f"{running:,} {is_} marked as running" if running else ""
        if self.owner:
            return f"{running:,} {is_} being trained now by {self.owner}"
        return f"{running:,} {was} left running by a process that ended in the middle (killed, or its machine stopped)"

    def named(self, metric: str) -> str:
        """A metric by its name, which knows whether it is in percent
        (see `InPercent`): decided by all of its values here."""
        if not self.free or metric not in self.trials:
            return metric
        everything = self.trials if self.unfiltered is None else self.unfiltered
        return of_unit(metric, everything[metric].tolist())

    def bounds(self, metric: str) -> tuple[float, float]:
        """What a metric, and so its mean, can be: a loss or an error is never below 0, R² never above 1, an accuracy
        lies in [0, 1] or, in percent, in [0, 100]; of what was imported a loss may be anything."""
        scale = percents(self.named(metric))
        kind = metric.partition("_")[2]
        known = scale is not None or ((kind in ("mae", "r2") or metric.endswith("loss")) and not self.free)
        ends = (0.0, math.inf if scale is None else 100.0 / scale)
        ends = (-math.inf, 1.0) if kind == "r2" else ends
        holds = known and self.trials[metric].dropna().between(*ends).all()
        return ends if holds else (-math.inf, math.inf)

    @property
    def sign(self) -> float:
        """1 where less is better, else -1: sign times metric is always to be made small."""
        return 1.0 if self.direction == "minimize" else -1.0


def keep(rows: pd.DataFrame, chosen: pd.Series) -> pd.DataFrame:
    """The rows that are chosen; where all are, the same table, since a copy of a large one costs time and memory."""
    return rows if chosen.all() else rows[chosen]


def study_table(
    ledger: Ledger, study: Study, metric: str | None = None, direction: str | None = None, where: str = ""
) -> StudyTable:
    """Reads a study. Raises UsageError for a metric (test metrics too: nothing is selected on them), direction or
    condition that cannot be."""
    given = metric
    trials = ledger.trials(study)
    others = _reported(trials) if study.recipe.trainer else ()
    if metric in others:
        metric, direction = reported_metric(str(metric), direction)
    else:
        metric, direction = choose_metric(study.recipe, metric, direction, others)
    swept, constant = axes(trials, study.recipe)
    search = study.recipe.search
    objectives = search.objectives if search is not None else ()
    if objectives:
        trials = with_front(trials, swept, objectives, _data(study.recipe), study.recipe.own_names)
    kept = filter_trials(trials, where, study.recipe) if where else trials
    if mixes_units(kept, metric, study.recipe):
        if given is not None:
            raise UsageError(_explain_units(kept, metric))
        metric, direction = "val_accuracy", "maximize"
    if study.recipe.free:
        metric = of_unit(metric, trials[metric].tolist())
    return StudyTable(
        study.name,
        kept,
        metric,
        direction,
        swept,
        constant,
        filtered=bool(where),
        imported=study.recipe.imported is not None,
        own=study.recipe.trainer is not None,
        adaptive=search is not None and search.sampler not in ("random", "qmc"),
        race=read_racing(ledger, study, trials),
        objectives=objectives,
        unfiltered=trials if where else None,
        data_splits=_splits(study.recipe),
        where=where,
        ends=_ends(trials) if study.recipe.of_function else None,
        reported=tuple(name for name in (study.recipe.metric, *_reported(trials)) if name != metric)
        if study.recipe.free
        else (),
        owner=ledger.owner(study.name) if (trials["state"] == "running").any() else None,
        shard=study.recipe.shard.words if study.recipe.shard else "",
    )


def _ends(trials: pd.DataFrame) -> tuple[str, ...]:
    return tuple(str(name) for name in trials.columns if re.fullmatch(r"x\d*", str(name)))


def _reported(trials: pd.DataFrame) -> tuple[str, ...]:
    return tuple(name for name in trials.attrs.get("reported", ()) if not name.startswith("test_"))


def _splits(recipe: Recipe) -> int:
    if recipe.imported:
        return 0
    if recipe.trainer:
        return -2
    return -1 if recipe.of_function else len(recipe.splits) or 1


def reported_metric(metric: str, direction: str | None) -> tuple[str, str]:
    """What a user's own code reported beside its metric, and which way it is good: as given, or by its name. Raises
    UsageError."""
    direction = direction or direction_of(metric)
    if direction is None:
        raise UsageError(f"--metric {metric}: which way is it good? expected --direction minimize or maximize, too")
    if direction not in ("minimize", "maximize"):
        raise unknown("direction", direction, ("minimize", "maximize"), "--direction: ")
    return metric, direction


def choose_metric(
    recipe: Recipe, metric: str | None, direction: str | None, others: Sequence[str] = ()
) -> tuple[str, str]:
    """What to rank on and which way: as given, else as the recipe says. others: what a user's own code reported, too.
    Raises UsageError, for test metrics too."""
    metric = metric or recipe.metric
    known = {recipe.metric: recipe.direction} if recipe.one_metric else _ranked_on(recipe.regression)
    if metric not in known and others and not metric.startswith("test_"):
        raise unknown("metric", metric, [*known, *others], "--metric: ")
    if metric.startswith("test_") and metric not in known:
        choices = ", ".join([*known, *others])
        raise UsageError(f"--metric {metric}: nothing is selected on test data; choose from {choices}")
    if metric not in known:
        raise unknown("metric", metric, known, "--metric: ")
    direction = direction or (recipe.direction if metric == recipe.metric else known[metric])
    if direction not in ("minimize", "maximize"):
        raise unknown("direction", direction, ("minimize", "maximize"), "--direction: ")
    return metric, direction


def _ranked_on(regression: bool) -> dict[str, str]:
    names = [*metrics_of(regression), "best_val_loss", *([] if regression else ["best_val_accuracy"])]
    return {name: RANKED_ON[name] for name in names}


def mixes_units(trials: pd.DataFrame, metric: str, recipe: Recipe) -> bool:
    """Whether a metric is a loss, and the trials were trained on several losses: their values are in different units,
    as nats and squared probabilities are, so that they cannot be compared."""
    losses = trials["loss"].nunique() if "loss" in trials and not recipe.free else 0
    return losses > 1 and metric.endswith("_loss")


def _explain_units(trials: pd.DataFrame, metric: str) -> str:
    first, second, *_ = trials["loss"].dropna().unique()
    return (
        f"--metric {metric}: {metric} of loss {first} is in other units than that of {second}, so they "
        f"cannot be compared; expected --metric val_accuracy, or trials of one loss: --where loss={first}"
    )


def axes(trials: pd.DataFrame, recipe: Recipe) -> tuple[list[str], dict[str, Any]]:
    """Which hyperparameter columns vary by the recipe, in its order; the values of the others that are there."""
    listed = [name for name in TABLE if name != "seed"]
    if recipe.network:
        listed = [*(row.name for row in OF_TRAINING), *recipe.own_names]
    if recipe.imported:
        listed = [*recipe.imported.swept, *recipe.imported.constant]
    elif recipe.trainer:
        listed = [axis.name for axis in recipe.axes]
    names = {name: PLANNED_EPOCHS if name == "epochs" else name for name in listed}
    swept = [names[name] for name in recipe.swept]
    for column in swept:
        if column not in trials:
            trials[column] = None
    constant: dict[str, Any] = OwnSetting() if recipe.trainer else {}
    for name, column in names.items():
        if column in trials and column not in swept:
            present = trials[column].dropna()
            if len(present):
                constant[name] = present.iloc[0]
    return swept, constant


def _data(recipe: Recipe) -> DataInfo | None:
    """What a network's size depends on; nothing if a file of data is gone."""
    try:
        if recipe.network:
            recipe.network.fingerprint()
        return describe(recipe.data)
    except SweepError:
        return None
