"""The leaderboard of settings: seeds averaged, who can be told from the best, what having picked costs. Needs pandas.

A setting that diverged or was pruned for some seed ranks after those that never did: an average over its survivors
would flatter it. Settings without a complete trial come after all with one, pruned before diverged before failed. Where
some settings were run again on fresh seeds (see `seeds`), these come first, ranked on the fresh seeds alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.conditions import test_columns
from sweep.analysis.seeds import SeedRoles, seed_roles
from sweep.analysis.statistics import (
    Floats,
    bootstrap_mean,
    bootstrap_means,
    expected_best,
    fair_scale,
    moderated_variances,
)
from sweep.analysis.table import StudyTable, keep
from sweep.recipe import VALIDATED

LEVEL = 0.05
"""The chance that the best setting, or any other one, is wrongly told from the one that came out first."""

ENOUGH = 5
"""Seeds of each from which on a setting all of whose seeds are worse than all of the first's is told from it."""

BUDGETS = (1, 2, 5, 10, 100, 1_000, 10_000, 100_000)
_COUNTED = ("diverged", "failed", "pruned")
_ORDER = ("_lost", "_group", "_value")
"""Columns by which settings are ranked, for as long as that takes."""
_LIKE = 200
_OTHERS = (*VALIDATED, "train_loss", "seconds")


Fresh = tuple[float, float, float, int]
"""A score on fresh seeds: mean, low, high, seeds."""


@dataclass(frozen=True)
class SettingsBoard:
    """Settings in rank order."""

    table: StudyTable
    """What it is of."""
    rows: pd.DataFrame
    """One row per setting. Columns: rank (empty where it has none), number (its first trial), the
    swept ones, n (complete trials), mean, low, high (95% interval of the mean; NaN with one seed),
    best, worst, sd (over seeds), diverged, failed, pruned (trials), tied (whether it cannot be told
    from the first; False where nothing is judged; of a race, whether it is still in), left (of a
    race, why it is not), then means of other metrics. With `roles` also
    selected and selected_n (mean and complete trials on the selecting seeds) and again (whether it
    was run again: then all else is of the fresh seeds alone, and its rank is among those)."""
    selected: pd.Series | None
    """The first row, if it has a complete trial."""
    tests: dict[str, tuple[float, float, float]]
    """(mean, low, high) of the selected one's test scores, by name."""
    seeds: int
    """The most complete trials of any setting."""
    tied: int
    """Settings that cannot be told from the first, that one among them; 0 where nothing is judged."""
    expected: list[tuple[int, float]]
    """(k, expected best of k settings drawn at random); none where a sampler chose them by results."""
    left_out: tuple[float, float] | None
    """Where seeds are shared: the mean on all seeds but one of the setting that is best on those, and its mean on the
    one left out, both averaged over the seeds."""
    roles: SeedRoles | None = None
    """Which seeds selected and which are fresh; None where no setting was run again."""

    @property
    def compared(self) -> pd.DataFrame:
        """The rows that the first is compared with, itself among them: of the settings that were run again, where some
        were; those with a complete trial."""
        rows = self.rows if self.roles is None else self.rows[self.rows["again"]]
        return rows[rows["n"] > 0]

    def told_from_first(self, place: int) -> bool | None:
        """Whether the setting at a place of the order (0 is the first) can be told
        from the first; None where that is not judged: no setting has two seeds,
        nothing else has as few lost trials, it was not run again on fresh seeds."""
        rows = self.compared
        if not self.tied or not 0 < place < len(rows):
            return None
        return not rows["tied"].iloc[place]

    @property
    def noisy(self) -> pd.Series:
        """By row, whether it cannot be told from the first, though
        a better one can: its seeds differ too much to tell."""
        apart = ~self.rows["tied"] & self.rows.index.isin(self.compared.index)
        return self.rows["tied"] & apart.cummax()


def rank_settings(table: StudyTable, unfinished: bool = False, split: bool = True) -> SettingsBoard:
    """Ranks a study's settings by their mean over seeds; those that were run again on fresh seeds before the others, by
    these alone, unless `split` is off. `unfinished` adds those of which nothing has finished."""
    asked = f"rank_settings {unfinished} {split}"
    if asked not in table.memory:
        table.memory[asked] = _rank(table, unfinished, split)
    board: SettingsBoard = table.memory[asked]
    return board


def _rank(table: StudyTable, unfinished: bool, split: bool) -> SettingsBoard:
    roles = seed_roles(table) if split else None
    if roles is None:
        board = _rank_rows(table, unfinished)
        return replace(board, rows=board.rows.reset_index(drop=True))
    before, board = _rank_rows(roles.select(table), unfinished), _rank_rows(roles.judge(table), unfinished)
    others = before.rows.index.difference(board.rows.index, sort=False)
    rows = pd.concat([board.rows, before.rows.loc[others].assign(tied=False)])
    rank = pd.Series(np.arange(1, len(rows) + 1), index=rows.index, dtype="Int64")
    rows["rank"] = rank.where(rows["rank"].notna())
    rows["number"] = table.trials.groupby("setting")["number"].min()
    selected = before.rows.reindex(rows.index)
    rows = rows.assign(selected=selected["mean"], selected_n=selected["n"].fillna(0).astype(int))
    rows["again"] = ~rows.index.isin(others)
    rows = rows.reset_index(drop=True)
    return replace(
        board,
        table=table,
        rows=rows,
        selected=None if board.selected is None else rows.iloc[0],
        expected=before.expected,
        roles=roles,
    )


def _rank_rows(table: StudyTable, unfinished: bool) -> SettingsBoard:
    """The board of all seeds together, its rows by the setting's code."""
    trials = table.trials
    if not trials["number"].is_monotonic_increasing:
        trials = trials.sort_values("number")
    if not unfinished:
        trials = keep(trials, ~trials["state"].isin(["waiting", "running"]))
    complete = table.complete
    rows = _count_states(table, trials, complete)
    lost = rows["_lost"].to_numpy(float)
    race = table.raced
    stayed = np.zeros(len(rows)) if race is None else np.array([-race.seeds(code) for code in rows.index], float)
    by = pd.DataFrame({"group": rows["_group"], "lost": lost, "stayed": stayed, "value": table.sign * rows["_value"]})
    by["n"] = rows["number"]
    rows = rows.loc[by.sort_values(["group", "lost", "stayed", "value", "n"], na_position="last").index]
    selected_code = rows.index[0] if len(rows) and rows["_group"].iloc[0] == 0 else None
    rows["tied"] = False
    if selected_code is not None:
        rivals = rows.index[(rows["_group"] == 0) & (rows["_lost"] == rows["_lost"].iloc[0])]
        if race is None:
            apart = _tell_from_best(complete, table.metric, table.sign, rivals, selected_code)
        else:  # it has told already, at every look: to judge once more would err once more
            apart = np.array([code not in race.standing for code in rivals])
        if apart is not None:
            rows.loc[rivals, "tied"] = ~apart
    rank = pd.Series(np.arange(1, len(rows) + 1), index=rows.index, dtype="Int64").where(rows["_group"] < 3)
    rows.insert(0, "rank", rank)
    expected = [] if table.adaptive else _expect_best(rows, table)
    left_out = None if selected_code is None else _left_out(complete, table, rows, selected_code)
    tests = {} if selected_code is None else _tests(table, selected_code)
    if table.race is not None:
        rows["left"] = [table.race.out(code) for code in rows.index]
    tidy = rows.drop(columns=list(_ORDER))
    return SettingsBoard(
        table=table,
        rows=tidy,
        selected=None if selected_code is None else tidy.iloc[0],
        tests=tests,
        seeds=int(rows["n"].max()) if len(rows) else 0,
        tied=int(rows["tied"].sum()),
        expected=expected,
        left_out=left_out,
    )


def _count_states(table: StudyTable, trials: pd.DataFrame, complete: pd.DataFrame) -> pd.DataFrame:
    """One row a setting, by its code: counts, mean, interval; in columns with an underscore, what it is ranked by."""
    first = trials.drop_duplicates("setting").set_index("setting")
    values = complete.groupby("setting")[table.metric].agg(["size", "mean", "min", "max"]).reindex(first.index)
    spread = pd.DataFrame(_intervals(complete, table.metric), columns=["code", "low", "high"]).set_index("code")
    spread = spread.clip(*table.bounds(table.metric))  # a bound that holds takes nothing from an interval's coverage
    ends = ("min", "max") if table.direction == "minimize" else ("max", "min")
    rows = pd.concat([first[["number", *table.swept]], spread.reindex(first.index)], axis=1)
    rows.insert(len(rows.columns) - 2, "n", values["size"].fillna(0).astype(int))
    rows.insert(len(rows.columns) - 2, "mean", values["mean"])
    rows["best"], rows["worst"] = values[ends[0]], values[ends[1]]
    rows["sd"] = complete.groupby("setting")[table.metric].std().reindex(first.index)
    for state in _COUNTED:
        counts = trials["setting"][trials["state"] == state].value_counts()
        rows[state] = counts.reindex(first.index, fill_value=0)
    others = [name for name in _OTHERS if name in complete and name != table.metric]
    if others:
        rows[others] = complete.groupby("setting")[others].mean().reindex(first.index)
    finished = rows["n"] + rows["pruned"] + rows["diverged"]
    rows["_lost"] = ((rows["pruned"] + rows["diverged"]) / finished.where(finished > 0)).fillna(1.0)
    group = np.select([rows["n"] > 0, rows["pruned"] > 0, rows["diverged"] > 0], [0, 1, 2], 3)
    rows["_group"], rows["_value"] = group, rows["mean"]
    if (group == 1).any():  # those that came furthest first, among equals by what they had reached
        pruned = trials[trials["state"] == "pruned"].groupby("setting").agg({"epochs": "sum", table.metric: "mean"})
        only = rows.index[group == 1]
        rows.loc[only, "_lost"] = -pruned["epochs"].reindex(only) / finished[only]
        rows.loc[only, "_value"] = pruned[table.metric].reindex(only)
    return rows


def _intervals(complete: pd.DataFrame, metric: str) -> Floats:
    """The interval of each setting's mean: code, low, high."""
    ordered = complete.sort_values("setting", kind="stable")
    codes, starts, sizes = np.unique(ordered["setting"].to_numpy(), return_index=True, return_counts=True)
    out = np.full((len(codes), 3), np.nan)
    out[:, 0] = codes
    values = ordered[metric].to_numpy(float)
    for n in np.unique(sizes[sizes >= 2]):
        these = np.flatnonzero(sizes == n)
        out[these, 1:] = bootstrap_means(values[starts[these, None] + np.arange(n)])
    return out


def _tell_from_best(
    complete: pd.DataFrame, metric: str, sign: float, rivals: pd.Index, best: Any
) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Whether each rival is told from the best; None where no setting has two seeds, so that nobody can know.

    A t test of each difference of means, on the scale on which losses are compared fairly (see `fair_scale`), what a
    seed does to all settings taken out first (equal seeds mean equal batches and initial draws; of two settings this is
    the paired t test), with variances that borrow from settings of like score (Smyth 2004; with one seed, taken to be
    as noisy as the noisiest of those), two-sided at LEVEL over the number of rivals (Bonferroni). With `ENOUGH` seeds
    of each, a rival all of whose seeds are worse than all of the best's is told from it, however noisy.

    The correction holds for whichever setting came out first: the truly best one stays among the tied with a chance of
    1 - LEVEL or more. Over 4,000 simulated studies of 3 to 19 settings with skewed and unequal noise it did in 99 of
    100 (test_settings.py repeats that). What the rule of `ENOUGH` seeds costs, at worst: of 30 settings of nearly equal
    means whose spreads differ up to 24-fold, five seeds each, the best by its true mean stayed in 88 of 100.
    """
    from scipy.special import stdtr  # Student's t; scipy.stats takes half a second to import

    rows = keep(complete, complete["setting"].isin(rivals))
    code = pd.Index(rivals).get_indexer(rows["setting"])
    plain = sign * rows[metric].to_numpy(float)
    y = sign * fair_scale(rows[metric], metric)
    n = np.bincount(code, minlength=len(rivals))
    if n.max() < 2 or len(rivals) < 2:
        return None
    residual = y - (np.bincount(code, y, len(rivals)) / n)[code]
    seeds = pd.factorize(rows["seed"])[0]
    several = n[code] >= 2
    effect = pd.Series(residual[several]).groupby(seeds[several]).agg(["median", "size"])
    effect = effect.reindex(range(seeds.max() + 1))
    shared = (effect["size"] >= 2).to_numpy()
    shift = np.where(shared, effect["median"], 0.0)[seeds]
    mean = np.bincount(code, y - shift, len(rivals)) / n
    square = np.bincount(code, (y - shift - mean[code]) ** 2, len(rivals)).astype(float)
    left = np.where(shared, 1 - 1 / effect["size"].where(shared, 2.0), 1.0)  # of a seed's freedom, once it is taken out
    keeps = left[seeds]
    variance, freedom = _variances(square, (n - 1.0) * (np.bincount(code, keeps, len(rivals)) / n), mean)
    place = int(pd.Index(rivals).get_indexer([best])[0])
    error = np.sqrt(variance / n + variance[place] / n[place])
    gap = np.maximum(mean - mean[place], 0.0)  # one that is ahead on this scale is no worse
    t = np.divide(gap, error, out=np.where(gap > 0, np.inf, 0.0), where=error > 0)
    p = 2 * stdtr(np.minimum(freedom, freedom[place]), -t) * (len(rivals) - 1)
    apart: np.ndarray[Any, np.dtype[np.bool_]] = p < LEVEL
    worst, best_seed = np.full(len(rivals), -np.inf), np.full(len(rivals), np.inf)
    np.maximum.at(worst, code, plain)
    np.minimum.at(best_seed, code, plain)
    apart |= (n >= ENOUGH) & (n[place] >= ENOUGH) & (best_seed > worst[place])
    apart[place] = False
    return apart


def _variances(square: Floats, freedom: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Each setting's variance and its degrees of freedom, drawn towards what is usual among some `_LIKE` of like score;
    with one seed, that of the noisiest among those."""
    order = np.argsort(mean, kind="stable")
    known, single = order[freedom[order] > 0], np.flatnonzero(freedom == 0)
    variance, out = np.empty(len(mean)), np.empty(len(mean))
    blocks = np.array_split(known, max(1, len(known) // _LIKE))
    for block in blocks:
        variance[block], out[block] = moderated_variances(square[block], freedom[block])
    near = np.searchsorted(mean[[block[-1] for block in blocks[:-1]]], mean[single])
    variance[single] = np.array([variance[block].max() for block in blocks])[near]
    out[single] = np.array([max(freedom[block].sum(), 1.0) for block in blocks])[near]
    return variance, out


def _expect_best(rows: pd.DataFrame, table: StudyTable) -> list[tuple[int, float]]:
    """Diverged and pruned settings were drawn as well: they count as the worst that finished."""
    finished = rows[rows["_group"] < 3]
    whole = finished["mean"].where((finished["_group"] == 0) & (finished["_lost"] == 0))
    if whole.notna().sum() < 2:
        return []
    worst = whole.max() if table.direction == "minimize" else whole.min()
    budgets = [k for k in BUDGETS if k <= len(finished)]
    bests = expected_best(whole.fillna(worst), budgets, minimize=table.direction == "minimize")
    return list(zip(budgets, bests.tolist(), strict=True))


def _left_out(complete: pd.DataFrame, table: StudyTable, rows: pd.DataFrame, best: Any) -> tuple[float, float] | None:
    """Of the settings that have all the best one's seeds: picked without a seed, then scored on it."""
    seeds = complete.loc[complete["setting"] == best, "seed"]
    shared = complete[complete["seed"].isin(seeds) & complete["setting"].isin(rows.index[rows["_lost"] == 0])]
    wide = shared.groupby("setting")["seed"].transform("size") == len(seeds)
    shared = shared[wide].sort_values(["setting", "seed"])
    if len(seeds) < 2 or shared["setting"].nunique() < 2:
        return None
    y = shared[table.metric].to_numpy(float).reshape(-1, len(seeds))
    without = (y.sum(axis=1, keepdims=True) - y) / (len(seeds) - 1)
    picked, at = (table.sign * without).argmin(axis=0), np.arange(len(seeds))
    return float(without[picked, at].mean()), float(y[picked, at].mean())


def _tests(table: StudyTable, best: Any) -> dict[str, tuple[float, float, float]]:
    rows = table.complete[table.complete["setting"] == best]
    return {
        table.named(name): (float(rows[name].mean()), *_mean_interval(table, name, rows[name]))
        for name in test_columns(rows)
        if name != table.metric and rows[name].notna().any()
    }


def _mean_interval(table: StudyTable, metric: str, values: pd.Series) -> tuple[float, float]:
    """The interval of a metric's mean, within what the metric can be."""
    low, high = np.clip(bootstrap_mean(values), *table.bounds(metric))
    return float(low), float(high)


def fresh_score(board: SettingsBoard, again: StudyTable) -> Fresh | None:
    """The selected setting's (mean, low, high, seeds) in another study, on seeds that did not help to select it; None
    if it is not there."""
    if board.selected is None:
        return None
    table = board.table
    first = table.trials[table.trials["number"] == board.selected["number"]].iloc[0]
    names = [*table.swept, *(name for name in table.constant if name in table.trials)]
    same = again.complete[~again.complete["seed"].isin(table.trials["seed"])]
    for name in names:
        if name not in same:
            return None
        wanted = first[name]
        same = same[same[name].isna() if pd.isna(wanted) else same[name] == wanted]
    if not len(same) or again.metric != table.metric:
        return None
    return float(same[table.metric].mean()), *_mean_interval(again, table.metric, same[table.metric]), len(same)


def settings_table(board: SettingsBoard) -> pd.DataFrame:
    """The rows with their fixed columns, as they are exported: the first trial's number is `trial`. Where settings were
    run again, four more at the end: selected, selected_n, again and sd (over seeds); of a race one more:
    left, why it is no longer in."""
    measured = ["n", "mean", "low", "high", "best", "worst", *_COUNTED, "tied"]
    more = [] if board.roles is None else ["selected", "selected_n", "again", "sd"]
    more += ["left"] if "left" in board.rows else []
    names = ["rank", "number", *board.table.swept, *measured, *more]
    return board.rows[names].rename(columns={"number": "trial"})
