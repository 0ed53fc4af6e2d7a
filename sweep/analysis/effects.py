"""What a hyperparameter does: its levels compared in paired cells, and each at its best. Needs numpy, pandas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import FINISHED, Codes, coded, column_of, combined, comparable, told
from sweep.analysis.pairing import NOT_COMPARABLE, NOT_SHOWN, SHOWN, SHOWN_HERE, Comparison, Sides, compare, judged
from sweep.analysis.statistics import bootstrap_mean, expected_best
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError
from sweep.hyperparameters import TABLE

BUCKETS = 4
"""Of equal count: what a number's values are grouped in where no two settings pair."""
MOST_LEVELS = 40
SPLITS = 0.3
FEW_LEVELS, SPARSE = 8, 0.5
"""Levels up to which they are not grouped; the share of (cell, level) pairs up to which they are."""


@dataclass(frozen=True)
class Gap:
    """The best level against the second best, each after tuning the rest: second minus best, over seeds in common."""

    best: Any
    second: Any
    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Effect:
    """What one hyperparameter does to the metric.

    levels: one row a level: level, trials, diverged, cells, mean (over cells), rank (mean place within the cells that
    have others too, 0 first to 1 last; diverged is last). reference: what the others are compared with, and why.
    comparisons: of every other level with it; by_comparisons: the same at each value of `by`. differences: the paired
    cells: the other hyperparameters, seeds, both means, difference, better. tuned: the best setting of each level: level,
    value, low, high (over its seeds), seeds, settings (tried), expected (best of as many settings as the level with
    the fewest has, Dodge et al. 2019), the rest of the setting; gap: the best two of them.
    splits: the hyperparameter by whose values the sign of a two-level difference changes most, and the share of the
    differences' variance between them, if that is over `SPLITS`. averaged: hyperparameters that exist at some levels only, averaged within a cell. others: those matched. bucketed:
    whether `levels` are ranges of a number. settings, seeds: how many there are; left_out: trials by state that are not
    compared; fixed: what holds throughout.
    """

    study: str
    name: str
    metric: str
    direction: str
    levels: pd.DataFrame
    reference: Any
    why: str
    comparisons: list[Comparison]
    by: str | None
    by_comparisons: list[Comparison]
    differences: pd.DataFrame
    tuned: pd.DataFrame
    gap: Gap | None
    splits: tuple[str, float] | None
    averaged: list[str]
    others: list[str]
    bucketed: bool
    settings: int
    seeds: int
    left_out: dict[str, int]
    fixed: dict[str, Any]

    @property
    def first(self) -> Comparison:
        """The comparison to read first: the only one of two levels; else the reference's with the next best level."""
        if not self.comparisons:
            return Comparison(None, self.reference)
        rank = dict(zip(self.levels["level"], self.levels["rank"], strict=True))
        return min(self.comparisons, key=lambda one: (one.pairs == 0, rank[one.level]))

    @property
    def mean(self) -> float:
        """The mean difference of the first comparison."""
        return self.first.mean

    @property
    def low(self) -> float:
        """The lower end of its interval."""
        return self.first.low

    @property
    def high(self) -> float:
        """The upper end of its interval."""
        return self.first.high

    @property
    def improved(self) -> int:
        """Pairs in which its level is better than the reference."""
        return self.first.improved

    @property
    def p(self) -> float:
        """Its signed-rank p."""
        return self.first.p

    @property
    def p_holm(self) -> float:
        """The same, adjusted."""
        return self.first.p_holm

    @property
    def verdict(self) -> str:
        """The strongest of the comparisons' verdicts."""
        found = {one.verdict for one in self.comparisons}
        return next((verdict for verdict in (SHOWN, SHOWN_HERE, NOT_SHOWN) if verdict in found), NOT_COMPARABLE)


def effect(table: StudyTable, name: str, by: str | None = None) -> Effect:
    """The effect of one hyperparameter. Raises UsageError: unknown, fewer than two levels, nothing complete."""
    return effects(table, [name], by)[0]


def effects(table: StudyTable, names: Sequence[str], by: str | None = None) -> list[Effect]:
    """The effects of several, their p values adjusted together (Holm): all comparisons over everything as one family, all
    those at the values of `by` as another."""
    trials = comparable(table)
    columns = list(dict.fromkeys(column_of(table, name) for name in names))
    split = column_of(table, by, "--by ") if by is not None else None
    if split in columns:
        raise UsageError(f"--by {by}: that is the hyperparameter in question; split by another one")
    found = [_effect(table, trials, column, split) for column in columns]
    overall = iter(judged([one for each in found for one in each.comparisons]))
    within = iter(judged([one for each in found for one in each.by_comparisons]))
    return [
        replace(
            each,
            comparisons=[next(overall) for _ in each.comparisons],
            by_comparisons=[next(within) for _ in each.by_comparisons],
        )
        for each in found
    ]


def _effect(table: StudyTable, trials: pd.DataFrame, name: str, by: str | None) -> Effect:
    trials = trials[trials[name].notna()].reset_index(drop=True)  # where it means something
    if trials["value"].notna().sum() == 0 or trials[name].nunique() < 2:
        raise UsageError(f"{told(name)}: fewer than two of its levels were trained to the end; nothing to compare")
    level, levels = coded(trials[name])
    others = [column for column in table.swept if column != name and column in trials and trials[column].nunique() > 0]
    averaged = [column for column in others if _only_at_some(trials[column], level)]
    matched = [column for column in others if column not in averaged]
    if by in averaged:
        raise UsageError(f"--by {told(by or '')}: exists at some levels of {told(name)} only; split by another one")
    codes = {column: coded(trials[column])[0] + 1 for column in others}
    cell = combined([codes[column] for column in matched], len(trials))
    setting = combined([cell, level, *(codes[column] for column in averaged)], len(trials))
    seed, seeds = coded(trials["seed"])
    sides = Sides(cell, level, seed, trials["value"].to_numpy(float)).merged()
    board = _levels(sides, level, levels, table.sign)
    sparse = board["cells"].sum() <= SPARSE * len(levels) * (int(cell.max()) + 1)
    bucketed = _numbers(levels) and (len(levels) > MOST_LEVELS or (sparse and len(levels) > FEW_LEVELS))
    place, why, pairs = 0, "", []
    if bucketed:
        level, levels = _buckets(trials[name])
        board = _levels(Sides(setting, level, seed, trials["value"].to_numpy(float)), level, levels, table.sign)
    else:
        _few(name, levels)
        place, why = _reference(name, levels, board)
        pairs = [compare(sides, other, place, levels, table.sign) for other in range(len(levels)) if other != place]
    first = trials.loc[np.unique(cell, return_index=True)[1], matched].reset_index(drop=True)  # by cell
    tuned, gap = _tuned(trials, level, levels, setting, others, table.sign)
    if "low" in tuned:
        tuned[["low", "high"]] = tuned[["low", "high"]].clip(*table.bounds(table.metric))
    states = table.trials["state"].value_counts().to_dict()
    return Effect(
        study=table.name,
        name=told(name),
        metric=table.metric,
        direction=table.direction,
        levels=board,
        reference=levels[place] if pairs else None,
        why=why,
        comparisons=[one for one, _ in pairs],
        by=told(by) if by else None,
        by_comparisons=_split(sides, first, by, place, levels, table.sign) if by and pairs else [],
        differences=_differences(first, [frame for _, frame in pairs]),
        tuned=tuned,
        gap=gap,
        splits=_splits(first, pairs[0][1]) if len(pairs) == 1 else None,
        averaged=[told(column) for column in averaged],
        others=[told(column) for column in matched],
        bucketed=bucketed,
        settings=int(setting.max()) + 1,
        seeds=len(seeds),
        left_out={str(state): n for state, n in states.items() if state not in FINISHED},
        fixed=dict(table.constant),
    )


def _few(name: str, levels: list[Any]) -> None:
    if len(levels) > MOST_LEVELS:
        raise UsageError(
            f"{told(name)} took {len(levels):,} values; at most {MOST_LEVELS} can be compared; narrow it with --where"
        )


def _numbers(levels: list[Any]) -> bool:
    return all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)


def _only_at_some(column: pd.Series, level: Codes) -> bool:
    """Whether a hyperparameter has a value at some levels and none at others, so that it cannot be matched."""
    counts = np.bincount(level, column.notna())
    return bool((counts == 0).any() and (counts > 0).any())


def _buckets(values: pd.Series) -> tuple[Codes, list[Any]]:
    """A number's values grouped into ranges of equal count, named by their ends."""
    numbers = values.astype(float)
    codes, _ = pd.factorize(pd.qcut(numbers, BUCKETS, duplicates="drop"), sort=True)
    ends = [numbers[codes == code] for code in range(codes.max() + 1)]
    return codes.astype(np.int64), [f"{part.min():.3g} to {part.max():.3g}" for part in ends]


def _levels(sides: Sides, level: Codes, levels: list[Any], sign: float) -> pd.DataFrame:
    """One row a level; see Effect.levels."""
    group = combined([sides.cell, sides.level], len(sides.cell))
    first = np.unique(group, return_index=True)[1]
    mean = np.bincount(group, sides.value) / np.bincount(group)
    frame = pd.DataFrame({"cell": sides.cell[first], "level": sides.level[first], "value": mean})
    frame["score"] = (sign * frame["value"]).fillna(math.inf)
    groups = frame.groupby("cell")["score"]
    size = groups.transform("size")
    frame["rank"] = ((groups.rank() - 1) / (size - 1)).where(size > 1)
    out = frame.groupby("level").agg(cells=("value", "count"), mean=("value", "mean"), rank=("rank", "mean"))
    out = out.reindex(range(len(levels)))
    out.insert(0, "level", pd.Series(levels, dtype=object))
    out.insert(1, "trials", np.bincount(level, minlength=len(levels)))
    lost = np.bincount(sides.level, np.isnan(sides.value), minlength=len(levels))
    out.insert(2, "diverged", lost.astype(int))
    return out


def _reference(name: str, levels: list[Any], board: pd.DataFrame) -> tuple[int, str]:
    """The place of the level that the others are compared with, and why: of two the default or the first; of more the
    one with the best mean place."""
    if len(levels) == 2:
        default = TABLE[told(name)].default if told(name) in TABLE else None
        return (levels.index(default), "the default") if default in levels else (0, "the first")
    rank = board["rank"].to_numpy(float)
    return (0, "") if np.isnan(rank).all() else (int(np.nanargmin(rank)), "the best mean place within the cells")


def _split(sides: Sides, first: pd.DataFrame, by: str, place: int, levels: list[Any], sign: float) -> list[Comparison]:
    """The comparisons at each value of another hyperparameter."""
    codes, values = coded(first[by])
    if len(values) > MOST_LEVELS:
        raise UsageError(f"--by {told(by)}: took {len(values):,} values; at most {MOST_LEVELS} can be told apart")
    parts = [(value, sides.take(codes[sides.cell] == code)) for code, value in enumerate(values)]
    others = [other for other in range(len(levels)) if other != place]
    return [compare(part, other, place, levels, sign, value)[0] for value, part in parts for other in others]


def _splits(first: pd.DataFrame, pairs: pd.DataFrame) -> tuple[str, float] | None:
    """See Effect.splits: eta squared of each other hyperparameter, bias-corrected (epsilon squared, Kelley 1935)."""
    d, found = pairs["difference"].to_numpy(float), {}
    total = float(((d - d.mean()) ** 2).sum()) if len(d) else 0.0
    for column in first.columns:
        codes = coded(first[column])[0][pairs["cell"]] + 1
        n = np.bincount(codes)
        known = n > 0
        means = (np.bincount(codes, d)[known] / n[known]) if len(d) else d
        free = len(d) - len(means)
        if free <= 0 or not total or np.sign(means).min() >= 0 or np.sign(means).max() <= 0:
            continue
        within = total - float((n[known] * (means - d.mean()) ** 2).sum())
        found[told(column)] = 1 - within / free / (total / (len(d) - 1))
    best = max(found, key=found.__getitem__, default=None)
    return (best, found[best]) if best is not None and found[best] > SPLITS else None


def _differences(first: pd.DataFrame, frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The paired cells with the hyperparameters they agree on in front."""
    if not frames:
        return pd.DataFrame()
    pairs = pd.concat(frames, ignore_index=True)
    return pd.concat([first.loc[pairs["cell"]].reset_index(drop=True), pairs.drop(columns="cell")], axis=1)


def _tuned(
    trials: pd.DataFrame, level: Codes, levels: list[Any], setting: Codes, others: list[str], sign: float
) -> tuple[pd.DataFrame, Gap | None]:
    """The best setting of each level, and how far apart the best two are. A setting of which a seed diverged is tried,
    and never the best (`seeds` are those of the setting; the most any setting has are asked for)."""
    value = trials["value"].to_numpy(float)
    first = np.unique(setting, return_index=True)[1]
    mean, of = np.bincount(setting, value) / np.bincount(setting), level[first]
    fewest = int(np.bincount(of).min())
    rows, best_trials = [], {}
    for place, name in enumerate(levels):
        mine = np.flatnonzero(of == place)
        done = mine[np.isfinite(mean[mine])]
        if not len(done):
            rows.append({"level": name, "settings": len(mine)})
            continue
        best = done[np.argmin(sign * mean[done])]
        chosen = trials[setting == best]
        low, high = bootstrap_mean(chosen["value"])
        expected = expected_best(mean[mine], [min(fewest, len(done))], minimize=sign > 0, replacement=False)[0]
        rest = {told(column): chosen[column].iloc[0] for column in others}
        numbers = {"value": mean[best], "low": low, "high": high, "seeds": len(chosen), "settings": len(mine)}
        rows.append({"level": name, **numbers, "expected": float(expected), **rest})
        best_trials[name] = chosen.set_index("seed")["value"]
    frame = pd.DataFrame(rows)
    order = sorted(best_trials, key=lambda name: sign * best_trials[name].mean())
    if len(order) < 2:
        return frame, None
    d = (best_trials[order[1]] - best_trials[order[0]]).dropna().to_numpy(float)
    mean_gap = float(best_trials[order[1]].mean() - best_trials[order[0]].mean())
    low, high = bootstrap_mean(d)
    return frame, Gap(order[0], order[1], float(d.mean()) if len(d) > 1 else mean_gap, low, high, len(d))
