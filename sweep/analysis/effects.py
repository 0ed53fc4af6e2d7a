"""What a hyperparameter does: its levels compared in paired cells, and each at its best. Needs numpy, pandas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import (
    FINISHED,
    Codes,
    column_of,
    combine_codes,
    comparable,
    encode_levels,
    encode_settings,
    label_of,
    only_at_some,
    select_finished,
)
from sweep.analysis.equality import check_margin, judge_with_margin
from sweep.analysis.pairing import (
    ALPHA,
    DEPENDS,
    FEWEST_SEEDS,
    NOT_COMPARABLE,
    NOT_SHOWN,
    PRACTICALLY_EQUAL,
    SHOWN,
    SHOWN_HERE,
    TOO_FEW,
    Comparison,
    Sides,
    compare,
)
from sweep.analysis.seeds import SeedRoles, seed_roles
from sweep.analysis.significance import compare_seeds
from sweep.analysis.statistics import bootstrap_mean, by_ratio, expected_best, fair_scale
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError
from sweep.hyperparameters import TABLE, is_of_network

BUCKETS = 4
"""Of equal count: what a number's values are grouped in where no two settings pair."""
MOST_LEVELS = 40
SPLITS = 0.3
FEW_LEVELS, SPARSE = 8, 0.5
"""Levels up to which they are not grouped; the share of (cell, level) pairs up to which they are."""


@dataclass(frozen=True)
class Gap:
    """The best level against the second best, each after tuning the rest, over the seeds that both have."""

    best: Any
    second: Any
    mean: float
    """Mean difference, second minus best, in the metric's unit."""
    seeds: int
    """Seeds that both have."""
    fresh: bool
    """Whether these seeds had no part in choosing the two settings."""
    scale: str = "difference"
    """What `typical`, `low` and `high` are: a "difference", or a "ratio" of second to best."""
    typical: float = math.nan
    low: float = math.nan
    high: float = math.nan
    """The 95% interval of the test over seeds; NaN with fewer than three."""
    p: float = math.nan
    """Of that test, two-sided."""

    @property
    def shown(self) -> bool:
        """Whether the best is told from the second."""
        return self.p <= ALPHA


@dataclass(frozen=True)
class Effect:
    """What one hyperparameter does to the metric."""

    study: str
    name: str
    metric: str
    direction: str
    levels: pd.DataFrame
    """One row per level: level, trials, diverged (trials), cells (compared), lost (cells in which a seed diverged),
    mean (over `common` cells, or over its own where there are none), rank (average within the cells, 0 best to 1 worst;
    diverged is worst), score (average within the cells on the fair scale, small is good)."""
    common: int
    """Cells in which every level trained that trained anywhere: means are over these."""
    reference: Any
    """The level that the others are compared with."""
    why: str
    comparisons: list[Comparison]
    """Every other level with the reference."""
    by: str | None
    by_comparisons: list[Comparison]
    """The same at each value of `by`."""
    cells: pd.DataFrame
    """The other hyperparameters of each cell, by its number."""
    pairs: list[pd.DataFrame]
    """The cells of each comparison, as `pairing.compare` gives them."""
    tuned: pd.DataFrame
    """The best setting of each level: level, value, low, high (over its seeds), seeds, settings (tried), expected (best
    of as many settings as the level with the fewest has, Dodge et al. 2019), selected (the score that selected it,
    where the value is of fresh seeds), the rest of the setting."""
    gap: Gap | None
    """The best two of them."""
    splits: tuple[str, float] | None
    """The hyperparameter by whose values the sign of a two-level difference changes most, and the share of the
    differences' variance between them, if that is over `SPLITS`."""
    averaged: list[str]
    """Hyperparameters that exist at some levels only, averaged within a cell."""
    others: list[str]
    """Those in which the settings of a cell agree."""
    bucketed: bool
    """Whether `levels` are ranges of a number."""
    settings: int
    seeds: int
    left_out: dict[str, int]
    """Trials by state that are not compared."""
    fixed: dict[str, Any]
    """What holds throughout."""
    roles: SeedRoles | None = None
    """Which seeds selected and which judge, where the best settings were run again."""
    race: str = ""
    """Of a race, which seeds are compared, in words."""
    data_splits: int = 1
    """Splits of the data that its seeds train on, as of a `StudyTable`."""

    @property
    def differences(self) -> pd.DataFrame:
        """The cells of all comparisons: the other hyperparameters, then the columns of `pairing.compare`."""
        if not self.pairs:
            return pd.DataFrame()
        pairs = pd.concat(self.pairs, ignore_index=True)
        return pd.concat([self.cells.loc[pairs["cell"]].reset_index(drop=True), pairs.drop(columns="cell")], axis=1)

    @property
    def first(self) -> Comparison:
        """The comparison to read first: the only one of two levels; else the reference's with the next best level."""
        if not self.comparisons:
            return Comparison(None, self.reference)
        score = dict(zip(self.levels["level"], self.levels["score"], strict=True))
        return min(self.comparisons, key=lambda comparison: (comparison.n == 0, score[comparison.level]))

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
        verdicts = {comparison.verdict for comparison in self.comparisons}
        order = (SHOWN, SHOWN_HERE, DEPENDS, PRACTICALLY_EQUAL, TOO_FEW, NOT_SHOWN)
        return next((verdict for verdict in order if verdict in verdicts), NOT_COMPARABLE)


def effect(table: StudyTable, name: str, by: str | None = None, margin: float | None = None) -> Effect:
    """The effect of one hyperparameter. Raises UsageError: unknown, fewer than two levels, nothing complete."""
    return effects(table, [name], by, margin)[0]


def effects(
    table: StudyTable, names: Sequence[str], by: str | None = None, margin: float | None = None
) -> list[Effect]:
    """The effects of several, their p values adjusted together (Holm): all comparisons over everything as one family,
    all those at the values of `by` as another. margin: which difference does not matter, see `Comparison.margin`."""
    check_margin(table.metric, margin)
    roles = seed_roles(table)
    trials = comparable(table.even if roles is None else roles.select(table))
    columns = list(dict.fromkeys(column_of(table, name) for name in names))
    split = column_of(table, by, "--by ") if by is not None else None
    if split in columns:
        raise UsageError(f"--by {by}: that is the hyperparameter in question; split by another one")
    encoded = encode_settings(trials, [name for name in table.swept if name in trials])
    codes = {name: code + 1 for name, (code, _) in encoded.items()}
    answers = [_effect(table, trials, codes, column, split, roles) for column in columns]
    overall = iter(judge_with_margin([each for answer in answers for each in answer.comparisons], margin))
    within = iter(judge_with_margin([each for answer in answers for each in answer.by_comparisons], margin))
    return [
        replace(
            each,
            comparisons=[next(overall) for _ in each.comparisons],
            by_comparisons=[next(within) for _ in each.by_comparisons],
        )
        for each in answers
    ]


def _effect(
    table: StudyTable,
    trials: pd.DataFrame,
    codes: dict[str, Codes],
    name: str,
    by: str | None,
    roles: SeedRoles | None,
) -> Effect:
    """codes: each trial's value of every swept hyperparameter, 0 where it has none."""
    known = codes[name] > 0  # where it means something
    if not known.all():
        trials = trials[known].reset_index(drop=True)
        codes = {column: code[known] for column, code in codes.items()}
    if trials["value"].notna().sum() == 0 or trials[name].nunique() < 2:
        raise UsageError(f"{label_of(name)}: fewer than two of its levels were trained to the end; nothing to compare")
    level, levels = encode_settings(trials, [name])[name]
    others = [column for column in table.swept if column != name and column in codes and codes[column].any()]
    averaged = [column for column in others if only_at_some(codes[column] > 0, level)]
    matched = [column for column in others if column not in averaged]
    if by is not None and by not in matched:
        where = (
            f"at some levels of {label_of(name)} only" if by in averaged else f"only where {label_of(name)} does not"
        )
        raise UsageError(f"--by {label_of(by)}: exists {where}; split by another one")
    cell = combine_codes([codes[column] for column in matched], len(trials))
    setting = combine_codes([cell, level, *(codes[column] for column in averaged)], len(trials))
    seed, seeds = encode_levels(trials["seed"])
    value = trials["value"].to_numpy(float)
    log, fair = by_ratio(value, table.metric), fair_scale(value, table.metric)
    sides = Sides(cell, level, seed, value, fair).merge()
    board, common = _levels(sides, level, levels, table.sign)
    sparse = board["cells"].sum() <= SPARSE * len(levels) * (int(cell.max()) + 1)
    bucketed = _numbers(levels) and (len(levels) > MOST_LEVELS or (sparse and len(levels) > FEW_LEVELS))
    place, why, pairs = 0, "", []
    if bucketed:
        level, levels = _buckets(trials[name])
        ranges = Sides(setting, level, seed, value, fair)
        board, common = _levels(ranges, level, levels, table.sign)
    else:
        _few(name, levels)
        place, why = _reference(name, levels, board, table.free or is_of_network(label_of(name), table.constant))
        rest = [other for other in range(len(levels)) if other != place]
        pairs = [compare(sides, other, place, levels, table.sign, log) for other in rest]
    first = trials.loc[np.unique(cell, return_index=True)[1], matched].reset_index(drop=True)  # by cell
    fresh = None if roles is None else select_finished(roles.judge(table))
    tuned, gap = _tune_levels(trials, level, levels, setting, others, table, fresh)
    if "low" in tuned:
        tuned[["low", "high"]] = tuned[["low", "high"]].clip(*table.bounds(table.metric))
    states = table.trials["state"].value_counts().to_dict()
    return Effect(
        study=table.name,
        name=label_of(name),
        metric=table.metric,
        direction=table.direction,
        levels=board,
        common=common,
        reference=levels[place] if pairs else None,
        why=why,
        comparisons=[comparison for comparison, _ in pairs],
        by=label_of(by) if by else None,
        by_comparisons=_split(sides, first, by, place, levels, table.sign, log) if by and pairs else [],
        cells=first,
        pairs=[frame for _, frame in pairs],
        tuned=tuned,
        gap=gap,
        splits=_splits(first, pairs[0][1].dropna(subset="difference")) if len(pairs) == 1 else None,
        averaged=[label_of(column) for column in averaged],
        others=[label_of(column) for column in matched],
        bucketed=bucketed,
        settings=int(setting.max()) + 1,
        seeds=len(seeds),
        left_out={str(state): n for state, n in states.items() if state not in FINISHED},
        fixed=dict(table.constant),
        roles=roles,
        race=table.race.note if table.race else "",
        data_splits=table.data_splits,
    )


def _few(name: str, levels: list[Any]) -> None:
    if len(levels) > MOST_LEVELS:
        raise UsageError(
            f"{label_of(name)} took {len(levels):,} values; at most "
            f"{MOST_LEVELS} can be compared; narrow it with --where"
        )


def _numbers(levels: list[Any]) -> bool:
    return all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)


def _buckets(values: pd.Series) -> tuple[Codes, list[Any]]:
    """A number's values grouped into ranges of equal count, named by their ends."""
    numbers = values.astype(float)
    codes, _ = pd.factorize(pd.qcut(numbers, BUCKETS, duplicates="drop"), sort=True)
    ends = [numbers[codes == code] for code in range(codes.max() + 1)]
    return codes.astype(np.int64), [f"{part.min():.3g} to {part.max():.3g}" for part in ends]


def _levels(sides: Sides, level: Codes, levels: list[Any], sign: float) -> tuple[pd.DataFrame, int]:
    """One row per level, and the cells that all share; see `Effect.levels` and `Effect.common`."""
    group = combine_codes([sides.cell, sides.level], len(sides.cell))
    first = np.unique(group, return_index=True)[1]
    gone = np.bincount(group, np.isnan(sides.value)).astype(int)
    count = np.bincount(group) - gone
    with np.errstate(all="ignore"):
        mean = np.bincount(group, np.nan_to_num(sides.value, posinf=np.nan)) / np.where(count, count, np.nan)
        fair = sign * np.bincount(group, np.nan_to_num(sides.fair, posinf=np.nan)) / np.where(count, count, np.nan)
    frame = pd.DataFrame({"cell": sides.cell[first], "level": sides.level[first], "value": mean, "gone": gone > 0})
    frame["score"] = np.where(gone > 0, np.inf, fair)  # a side that lost a seed is worse than any that lost none
    trained = frame[np.isfinite(frame["score"])]
    groups = frame.groupby("cell")["score"]
    size = groups.transform("size")
    frame["rank"] = ((groups.rank() - 1) / (size - 1)).where(size > 1)
    worst = trained["score"].max() if len(trained) else 0.0
    told_off = frame["score"].where(np.isfinite(frame["score"]), worst)  # at least as bad as the worst that trained
    frame["score"] = (told_off - told_off.groupby(frame["cell"]).transform("mean")).where(size > 1)
    shared = trained.groupby("cell")["level"].size()
    cells = shared.index[shared == trained["level"].nunique()]
    means = (trained[trained["cell"].isin(cells)] if len(cells) else frame).groupby("level")["value"].mean()
    out = frame.groupby("level").agg(
        cells=("value", "size"), lost=("gone", "sum"), rank=("rank", "mean"), score=("score", "mean")
    )
    out.insert(2, "mean", means.reindex(out.index))
    out = out.reindex(range(len(levels)))
    out[["cells", "lost"]] = out[["cells", "lost"]].fillna(0).astype(int)
    out.insert(0, "level", pd.Series(levels, dtype=object))
    out.insert(1, "trials", np.bincount(level, minlength=len(levels)))
    diverged = np.bincount(sides.level, np.isnan(sides.value), minlength=len(levels))
    out.insert(2, "diverged", diverged.astype(int))
    return out, len(cells)


def _reference(name: str, levels: list[Any], board: pd.DataFrame, free: bool) -> tuple[int, str]:
    """The place of the level that the others are compared with, and why: of two the default or the first; of more the
    best on average within the cells, on the fair scale, what diverged counted as the worst that trained."""
    if len(levels) == 2:
        default = TABLE[label_of(name)].default if label_of(name) in TABLE and not free else None
        return (levels.index(default), "the default") if default in levels else (0, "the first")
    score = board["score"].to_numpy(float)
    return (0, "") if np.isnan(score).all() else (int(np.nanargmin(score)), "the best average")


def _split(
    sides: Sides, first: pd.DataFrame, by: str, place: int, levels: list[Any], sign: float, log: bool
) -> list[Comparison]:
    """The comparisons at each value of another hyperparameter."""
    codes, values = encode_levels(first[by])
    if len(values) > MOST_LEVELS:
        raise UsageError(f"--by {label_of(by)}: took {len(values):,} values; at most {MOST_LEVELS} can be told apart")
    parts = [(value, sides.take(codes[sides.cell] == code)) for code, value in enumerate(values)]
    others = [other for other in range(len(levels)) if other != place]
    return [compare(part, other, place, levels, sign, log, value)[0] for value, part in parts for other in others]


def _splits(first: pd.DataFrame, pairs: pd.DataFrame) -> tuple[str, float] | None:
    """See Effect.splits: eta squared of each other hyperparameter, bias-corrected (epsilon squared, Kelley 1935)."""
    d, explained = pairs["difference"].to_numpy(float), {}
    d = d / (np.abs(d).max(initial=0.0) or 1.0)
    total = float(((d - d.mean()) ** 2).sum()) if len(d) else 0.0
    for column in first.columns:
        codes = encode_levels(first[column])[0][pairs["cell"]] + 1
        n = np.bincount(codes)
        known = n > 0
        means = (np.bincount(codes, d)[known] / n[known]) if len(d) else d
        free = len(d) - len(means)
        if free <= 0 or not total or np.sign(means).min() >= 0 or np.sign(means).max() <= 0:
            continue
        within = total - float((n[known] * (means - d.mean()) ** 2).sum())
        explained[label_of(column)] = 1 - within / free / (total / (len(d) - 1))
    best = max(explained, key=explained.__getitem__, default=None)
    return (best, explained[best]) if best is not None and explained[best] > SPLITS else None


def _tune_levels(
    trials: pd.DataFrame,
    level: Codes,
    levels: list[Any],
    setting: Codes,
    others: list[str],
    table: StudyTable,
    fresh: pd.DataFrame | None,
) -> tuple[pd.DataFrame, Gap | None]:
    """The best setting of each level, and how far apart the best two are. A setting of
    which a seed diverged is tried, and never the best; nor is one with less than half
    the seeds of others. fresh: trials of seeds that judge what the others selected."""
    value, sign = trials["value"].to_numpy(float), table.sign
    first = np.unique(setting, return_index=True)[1]
    trained = np.bincount(setting)
    mean, of = np.bincount(setting, value) / trained, level[first]
    fewest = int(np.bincount(of).min())
    rows, best_trials = [], {}
    for place, name in enumerate(levels):
        mine = np.flatnonzero(of == place)
        done = mine[np.isfinite(mean[mine]) & (2 * trained[mine] >= trained.max())]
        if not len(done):
            rows.append({"level": name, "settings": len(mine)})
            continue
        best = done[np.argmin(sign * mean[done])]
        chosen = trials[setting == best]
        again = None if fresh is None else fresh[fresh["setting"].isin(chosen["setting"])]
        judged = chosen if again is None or again.empty else again
        if judged["value"].isna().any():  # on a seed that judges
            rows.append({"level": name, "settings": len(mine), "selected": mean[best]})
            continue
        low, high = bootstrap_mean(judged["value"])
        expected = expected_best(mean[mine], [min(fewest, len(done))], minimize=sign > 0, replacement=False)[0]
        rest = {label_of(column): chosen[column].iloc[0] for column in others}
        numbers = {"value": judged["value"].mean(), "low": low, "high": high, "seeds": len(judged)}
        numbers |= {"settings": len(mine), "expected": float(expected)}
        numbers |= {} if fresh is None else {"selected": mean[best] if judged is again else math.nan}
        rows.append({"level": name, **numbers, **rest})
        best_trials[name] = judged.set_index("seed")["value"], judged is again
    frame = pd.DataFrame(rows)
    order = sorted(best_trials, key=lambda name: sign * best_trials[name][0].mean())
    return frame, _gap(order[0], order[1], best_trials, table.metric) if len(order) > 1 else None


def _gap(best: Any, second: Any, of: dict[Any, tuple[pd.Series, bool]], metric: str) -> Gap:
    """See `Gap`; of: the values by seed of each level's best setting, and whether the seeds are fresh."""
    both = pd.concat([of[second][0], of[best][0]], axis=1, keys=["second", "best"]).dropna().astype(float)
    fresh = of[best][1] and of[second][1]
    if not len(both):
        return Gap(best, second, float(of[second][0].mean() - of[best][0].mean()), 0, fresh)
    gap = Gap(best, second, float((both["second"] - both["best"]).mean()), len(both), fresh)
    if len(both) < FEWEST_SEEDS:
        return gap
    test = compare_seeds(*fair_scale(both.to_numpy().T, metric))
    log = by_ratio(both, metric)
    ends = test.mean, *test.interval(ALPHA)
    if log:
        with np.errstate(over="ignore"):
            ends = tuple(map(float, np.exp(ends)))  # type: ignore[assignment]
    scale = "ratio" if log else "difference"
    return replace(gap, scale=scale, typical=ends[0], low=ends[1], high=ends[2], p=test.p)
