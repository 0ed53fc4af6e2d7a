"""Studies side by side: what each cost, its best, the best to expect of equal budgets, what settings in common say.
Needs pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis import pairing
from sweep.analysis.cells import select_finished, setting_texts
from sweep.analysis.equality import check_margin, judge_with_margin
from sweep.analysis.seeds import seed_roles
from sweep.analysis.settings import rank_settings
from sweep.analysis.statistics import Floats, bootstrap_means, by_ratio, expected_best, fair_scale
from sweep.analysis.table import StudyTable, study_table
from sweep.errors import UsageError
from sweep.ledger import FINISHED, PLANNED_EPOCHS, Ledger, Study
from sweep.networks import split_fingerprint
from sweep.recipe import percents
from sweep.space import seeds_text
from sweep.wording import count

BUDGETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000)


@dataclass(frozen=True)
class Common:
    """Settings that two studies have in common, the second study compared with the first."""

    first: str
    second: str
    settings: int
    """How many they have in common."""
    seeds: bool
    """Whether they were compared on common seeds alone; else each over its own."""
    identical: int
    """Settings whose numbers are equal to the bit."""
    judged: pairing.Comparison
    """The second study (as level) against the first, a setting being a cell."""
    rows: pd.DataFrame
    """One row per setting: its first trial in each, the swept hyperparameters, the
    mean of each (NaN where none trained), by how much the second is better with
    its 95% interval over common seeds, and the trials of each that diverged."""

    @property
    def verdict(self) -> str:
        """ "second", "first", "identical", or what the comparison says."""
        if self.identical == self.settings:
            return "identical"
        if self.judged.verdict in pairing.DECIDED:
            return "second" if self.judged.direction > 0 else "first"
        return self.judged.verdict


@dataclass(frozen=True)
class Comparison:
    """Studies beside each other."""

    metric: str
    direction: str
    studies: pd.DataFrame
    """One row per study: study, trials (finished), complete, settings, epochs (trained in all), seconds (of all runs),
    best, low, high, n (mean over seeds of the best setting), number (its first trial), setting (its values of what any
    of the studies varies)."""
    by_trials: pd.DataFrame
    """A column `trials` of budgets, then one column per study: the best to expect."""
    by_epochs: pd.DataFrame
    """The same by epochs; empty where all trials of all studies have the same number of them."""
    common: list[Common]
    """The first study against each other one."""
    notes: list[str]
    """What the reader should know of how far they can be compared."""
    data_splits: int = 1
    """Splits of the data that every study's seeds train on, as of a `StudyTable`: the fewest."""


def compare_studies(
    ledger: Ledger,
    studies: Sequence[Study],
    metric: str | None = None,
    direction: str | None = None,
    margin: float | None = None,
) -> Comparison:
    """Sets two or more studies side by side. margin: which difference does not matter, see `pairing.Comparison.margin`.
    Raises UsageError for fewer, for another metric, data or split."""
    names = [study.name for study in studies]
    if len(set(names)) < 2:
        raise UsageError(f"compare: given {', '.join(names)}; expected two or more studies")
    tables = [study_table(ledger, study, metric, direction) for study in studies]
    check_margin(tables[0].metric, margin)
    for study, table in zip(studies, tables, strict=True):
        _check(studies[0], tables[0], study, table)
        if table.complete.empty:
            raise UsageError(f"study {study.name!r}: no complete trial, so nothing to compare")
    swept = list(dict.fromkeys(name for table in tables for name in table.swept))
    rows = pd.DataFrame([_row(study, table, swept) for study, table in zip(studies, tables, strict=True)])
    trials = _budgets(1.0, int(rows["trials"].min()))
    epochs = _budgets(float((rows["epochs"] / rows["trials"]).max()), int(rows["epochs"].min()))
    by_trials, by_epochs = pd.DataFrame({"trials": trials}), pd.DataFrame({"epochs": epochs})
    for study, table in zip(studies, tables, strict=True):
        by_trials[study.name] = _expect_best(study, table, trials)
        by_epochs[study.name] = _expect_best(study, table, epochs, in_epochs=True)
    if (rows["epochs"] / rows["trials"]).nunique() == 1:
        by_epochs = by_epochs.iloc[:0]
    common = [
        compared
        for study, table in zip(studies[1:], tables[1:], strict=True)
        if (compared := _common(ledger, studies[0], tables[0], study, table, margin)) is not None
    ]
    return Comparison(
        tables[0].metric,
        tables[0].direction,
        rows,
        by_trials,
        by_epochs,
        common,
        _notes(studies, tables),
        min(table.data_splits for table in tables),
    )


def _check(first: Study, table: StudyTable, other: Study, others: StudyTable) -> None:
    """Raises UsageError where the numbers of two studies mean different things."""
    a, b = first.recipe, other.recipe
    fields: list[tuple[str, object, object]] = [
        ("metric", table.metric, others.metric),
        ("direction", table.direction, others.direction),
        ("the unit of the accuracy", _unit(table.metric), _unit(others.metric)),
    ]
    if not (table.imported or others.imported):  # of what was imported, the data are not known: that is noted
        fields = [("data", a.data, b.data), ("split_seed", a.split_seed, b.split_seed), *fields]
    if first.data is not None and other.data is not None and not (a.trainer and b.trainer):
        rows = "the rows of the data (fingerprint)"
        fields.append((rows, split_fingerprint(first.data)[0], split_fingerprint(other.data)[0]))
    if table.metric.endswith("loss") and not (table.free or others.free):
        fields.append(("loss", sorted(set(_values(table, "loss"))), sorted(set(_values(others, "loss")))))
    for name, mine, theirs in fields:
        if mine != theirs:
            hint = "; --metric NAME compares on one" if name == "metric" else ""
            hint = "; --metric val_accuracy compares them" if name == "loss" else hint
            raise UsageError(
                f"{first.name} and {other.name} cannot be compared: {name} "
                f"{_words(mine)} there, {_words(theirs)} here{hint}"
            )


def _unit(metric: str) -> str:
    return {1.0: "in percent", 100.0: "a share of 1"}.get(percents(metric) or 0.0, "none")


def _words(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _values(table: StudyTable, name: str) -> list[Any]:
    """The values of a hyperparameter that occur."""
    if name in table.constant:
        return [table.constant[name]]
    return table.trials[name].dropna().unique().tolist() if name in table.trials else []


def _notes(studies: Sequence[Study], tables: Sequence[StudyTable]) -> list[str]:
    notes = []
    data = {study.name: study.recipe.data for study in studies}
    if any(table.imported for table in tables) and len(set(data.values())) > 1:
        by_study = ", ".join(f"{name} {source}" for name, source in data.items())
        notes.append(f"data differ: {by_study}; that both measured the same thing is for you to know")
    code = {study.name: f"{study.recipe.source} ({study.data})" for study in studies if study.recipe.trainer}
    if len(set(code.values())) > 1:
        by_study = ", ".join(f"{name} {source}" for name, source in code.items())
        notes.append(f"code differs: {by_study}; that both measured the same thing is for you to know")
    for name, column in (("epochs", PLANNED_EPOCHS), ("steps", "steps"), ("train_size", "train_size")):
        taken = {table.name: sorted(_values(table, column), key=str) for table in tables}
        if len({str(values) for values in taken.values()}) > 1:
            by_study = ", ".join(f"{study} {_words(values)}" for study, values in taken.items())
            notes.append(f"{name} differ: {by_study}; a longer training is part of what is compared")
    precisions = {study.name: study.recipe.precision for study in studies}
    if len(set(precisions.values())) > 1:
        notes.append(f"precision differs: {', '.join(f'{study} {name}' for study, name in precisions.items())}")
    for study in studies:
        if study.recipe.search:
            notes.append(
                f"{study.name} is a search: its budgets show what it had "
                "after so many of its trials, one course without an interval"
            )
    for table in tables:
        if (roles := seed_roles(table)) is not None:
            notes.append(
                f"{table.name}: some settings were run again; its best is ranked on {seeds_text(roles.fresh)}, "
                f"its budgets draw from {seeds_text(roles.selecting)}, which selected"
            )
        if table.race is not None:
            seeds = seeds_text(table.race.course.common)
            notes.append(
                f"{table.name} is a race: settings that left have fewer seeds; pairs are of common "
                f"seeds, its budgets draw from {seeds}, which all settings have"
            )
        lost = int((~table.trials["state"].isin(["complete", "waiting", "running"])).sum())
        if lost:
            notes.append(
                f"{table.name}: {lost:,} of {count(len(table.trials), 'trial')} diverged, "
                f"failed or {'was' if lost == 1 else 'were'} pruned; in this estimate "
                f"{'it counts' if lost == 1 else 'they count'} as its worst completed trial"
            )
    return notes


def _row(study: Study, table: StudyTable, swept: Sequence[str]) -> dict[str, Any]:
    board = rank_settings(table)
    best = board.rows.iloc[0]
    values = table.trials.set_index("number").loc[best["number"]]
    ended = table.trials["state"].isin([*FINISHED, "failed"])
    return {
        "study": study.name,
        "trials": int(ended.sum()),
        "complete": len(table.complete),
        "settings": int(table.trials["setting"].nunique()),
        "epochs": int(table.trials["epochs"].sum()),
        "seconds": study.seconds,
        "best": best["mean"],
        "low": best["low"],
        "high": best["high"],
        "n": int(best["n"]),
        "number": int(best["number"]),
        "setting": {name: values[name] for name in swept if name in values and not pd.isna(values[name])},
    }


def _budgets(cost: float, all_of_it: int) -> list[int]:
    """Budgets up to all that the smallest study spent, from what its longest trial takes on."""
    some = [round(k * cost) for k in BUDGETS if cost > 0 and k * cost < all_of_it]
    return [*some, all_of_it] if cost > 0 else []


def _expect_best(study: Study, table: StudyTable, budgets: Sequence[int], in_epochs: bool = False) -> Floats:
    """The best to expect of so many trials or epochs: drawn at random from a grid's (Dodge et al. 2019), the first ones
    of a search, whose trials are not drawn at random. A trial that did not complete counts as the worst that did; where
    settings were run again, the trials that selected are drawn from."""
    roles = seed_roles(table)
    table = table.even if roles is None else roles.select(table)
    ended = table.trials[table.trials["state"].isin([*FINISHED, "failed"])].sort_values("number")
    whole = (ended["state"] == "complete") & ended[table.metric].notna()
    score = (table.sign * ended[table.metric]).where(whole)
    values: Floats = score.fillna(score.max()).to_numpy(float)
    price = ended["epochs"].to_numpy(float) if in_epochs else np.ones(len(values))
    if study.recipe.search:
        course = np.concatenate([[np.nan], np.minimum.accumulate(values)])
        return np.asarray(table.sign * course[np.searchsorted(np.cumsum(price), budgets, side="right")])
    draws = np.asarray(budgets, float) / price.mean()
    return np.asarray(table.sign * expected_best(values, draws, minimize=True))


def _common(
    ledger: Ledger, first: Study, a: StudyTable, second: Study, b: StudyTable, margin: float | None
) -> Common | None:
    """Pairs settings that both studies have, on common seeds (and
    splits) where there are any; None if there is no such setting."""
    longer = any(_values(a, column) != _values(b, column) for column in (PLANNED_EPOCHS, "steps"))
    left, right = _by_text(ledger, first, a, longer), _by_text(ledger, second, b, longer)
    both = left.merge(right, on=["text", "seed", "split"], suffixes=("_a", "_b"))
    seeds = len(both) > 0
    if not seeds:
        means = [
            side.groupby("text", sort=False, as_index=False).agg(
                number=("number", "first"), value=("value", lambda values: values.mean(skipna=False))
            )
            for side in (left, right)
        ]
        both = means[0].merge(means[1], on="text", suffixes=("_a", "_b")).assign(seed=0)
    if both.empty:
        return None
    texts, cell = np.unique(both["text"], return_inverse=True)
    values = both[["value_a", "value_b"]].to_numpy(float).T
    fair = fair_scale(values, a.metric)
    sides = pairing.Sides(
        np.tile(cell, 2), np.repeat([0, 1], len(both)), np.tile(both["seed"], 2), values.ravel(), fair.ravel()
    )
    names = [first.name, second.name]
    comparison, cells = pairing.compare(sides, 1, 0, names, a.sign, by_ratio(values, a.metric))
    judged = judge_with_margin([comparison], margin)[0]
    firsts = both.drop_duplicates("text").set_index("text").loc[texts]
    swept = [name for name in dict.fromkeys([*a.swept, *b.swept]) if name in a.trials]
    rows = a.trials.set_index("number").loc[firsts["number_a"], swept].reset_index(names="first")
    rows["second"] = firsts["number_b"].to_numpy()
    rows[names] = cells[["reference_mean", "level_mean"]].to_numpy()
    rows["difference"] = cells["better"].to_numpy()
    rows[["low", "high"]] = np.nan
    if seeds:
        gaps = both.assign(gap=a.sign * (both["value_a"] - both["value_b"]))
        wide = gaps.pivot_table(index="text", columns="seed", values="gap", sort=False, dropna=False).reindex(texts)
        span = a.bounds(a.metric)[1] - a.bounds(a.metric)[0]  # no difference can be larger
        rows[["low", "high"]] = bootstrap_means(wide.to_numpy(float)).clip(-span, span)
    rows[["first_diverged", "second_diverged"]] = cells[["reference_lost", "level_lost"]].to_numpy()
    same = (values[0] == values[1]) | np.isnan(values).all(axis=0)
    identical = int(both.assign(same=same).groupby("text")["same"].all().sum())
    return Common(first.name, second.name, len(texts), seeds, identical, judged, rows)


def _by_text(ledger: Ledger, study: Study, table: StudyTable, longer: bool) -> pd.DataFrame:
    """The trials that were trained to their end: number, seed, split, value (NaN where it diverged), and their setting
    as it is stored; without its epochs and steps if the studies train for `longer` or shorter."""
    trained = select_finished(table)
    text = setting_texts(ledger, study, trained)
    if longer:
        text = text.str.replace(r',?"(epochs|steps)":\d+', "", regex=True)
    split = trained["seed"].map(study.recipe.split_of)
    names = ["number", "seed", "value"]
    return trained[names].assign(split=split, text=text)
