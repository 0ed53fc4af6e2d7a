"""Steps to a target: when trials first reached a value of a metric;
"never" is an answer, later than any step that was made. Needs numpy, pandas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import Codes, column_of, combine_codes, encode_levels, plain_value
from sweep.analysis.table import StudyTable
from sweep.data import describe
from sweep.errors import UsageError
from sweep.ledger import PLANNED_EPOCHS, Ledger, Study
from sweep.recipe import METRICS, metrics_of
from sweep.space import epoch_steps, used_rows

TRAINED = ("complete", "diverged", "pruned")


@dataclass(frozen=True)
class Against:
    """Two levels of a hyperparameter, paired: settings that agree on all else, the same seed."""

    name: str
    first: Any
    second: Any
    cells: pd.DataFrame
    """One row for each setting of all else: those values, then pairs (common seeds), first and second (the median
    steps over these seeds; infinity: never), ratio (first to second; infinity where the second level's median alone got
    there, 0 where the first's did, NaN where neither, or undecided)."""
    both: int
    """Pairs in which both got there, as counted in `only_first` (it alone), `only_second` and `neither`."""
    only_first: int
    only_second: int
    neither: int
    undecided: int
    """Pairs in which one got there, and the other was pruned or at its last step before that: nobody knows."""
    ratio: float
    """The median over decided pairs of first to second, those in which one alone got there as infinity or 0; NaN if
    none did, or where the middle two are these."""
    best: tuple[pd.Series, pd.Series]
    """Of each level the row of `Reaching.settings` that got there first, in the median over its seeds."""


@dataclass(frozen=True)
class Reaching:
    """When the trials of a study reached a target."""

    study: str
    metric: str
    target: float
    every: int
    """Steps between two looks; 0 where there were looks at the end of epochs alone, or several kinds of looks."""
    swept: list[str]
    trials: pd.DataFrame
    """One row per trial: number, seed, state, setting (a whole number), the swept columns, steps and seconds until the
    target (infinity: never), made (the steps it trained), known (until which step a never is known: as many, without
    end where it diverged), best (the best value that was seen)."""
    settings: pd.DataFrame
    """One row per setting, the earliest first: the swept columns, seeds, reached (how many did), steps and seconds (the
    median over seeds, infinity: never), by_seed (the steps of each seed), best (over its seeds)."""
    against: list[Against]
    """The levels of a hyperparameter, the first against each other one."""


def reach(ledger: Ledger, study: Study, table: StudyTable, metric: str, target: float, by: str | None) -> Reaching:
    """Asks when a metric first was at a target or better. Raises UsageError for a study without curves, a target that
    an accuracy cannot have, or a hyperparameter that does not vary."""
    if study.recipe.imported:
        raise UsageError(
            f"study {study.name!r} was imported: what its steps are is not known; expected one that was trained here"
        )
    if study.recipe.trainer:
        raise UsageError(f"study {study.name!r}: its own code reports epochs, not steps; expected a study of networks")
    if study.recipe.of_function:
        raise UsageError(
            f"study {study.name!r} is of functions: its paths have no scores on the way; `sweep plot {study.name} "
            "surface` draws them"
        )
    known = metrics_of(study.recipe.regression)
    if metric not in known:
        raise UsageError(f"--metric {metric}: a target is looked for along the training; expected {', '.join(known)}")
    if (not target > 0 and metric != "val_r2") or (metric.endswith(("accuracy", "r2")) and target > 1):
        kinds = {"accuracy": "an accuracy above 0, up to 1; 0.9 is 90%", "r2": "an R² of at most 1"}
        expected = kinds.get(metric.rpartition("_")[2], "a loss above 0")
        raise UsageError(f"--target {target:g}: expected {expected}")
    trials = table.trials[table.trials["state"].isin(TRAINED) & (table.trials["epochs"] > 0)]
    if trials.empty:
        raise UsageError(f"study {study.name!r}: no trial has been trained yet, so none can have reached anything")
    column = None if by is None else column_of(table, by, "--by: ")
    sign = 1.0 if METRICS[metric] == "minimize" else -1.0
    epochs = ledger.epochs(study)
    epochs = epochs[epochs["trial"].isin(trials["number"])]
    rows = sum(study.classes.train) if study.classes else describe(study.recipe.data).train
    sizes = zip(trials["train_size"], trials["batch_size"], strict=True)
    each = pd.Series([epoch_steps(*used_rows(*size, rows)) for size in sizes], index=trials["number"])
    budget = trials.set_index("number")["steps"].astype("float64").replace(0, math.inf)
    ends = epochs.assign(
        step=np.minimum(epochs["epoch"] * epochs["trial"].map(each), epochs["trial"].map(budget)),
        value=epochs[metric],
    )
    readings = ledger.readings(study)
    within = readings[(readings["quantity"] == metric) & (readings["place"] == "")]
    within = within[within["trial"].isin(trials["number"])]
    finite = ends[["train_loss", "val_loss"]].notna().all(axis=1)  # what diverged reaches nothing
    alone = finite & ~ends["trial"].isin(within["trial"])
    looks = pd.concat(  # where a trial was looked at within its epochs, these looks alone: evenly spread
        [within[["trial", "step", "value"]], ends.loc[alone, ["trial", "step", "value"]]]
    )
    there = looks[sign * looks["value"] <= sign * target]
    first = there.groupby("trial")["step"].min()
    number = trials["number"]
    swept = [name for name in table.swept if trials[name].nunique(dropna=False) > 1]
    steps = trials[["number", "seed", "state", "setting", *swept]].assign(
        steps=number.map(first).astype("float64").fillna(math.inf),
        seconds=number.map(_seconds(ends, first)).astype("float64").fillna(math.inf),
        made=number.map(ends.groupby("trial")["step"].max()).astype(int),
        best=number.map(sign * (sign * looks["value"]).groupby(looks["trial"]).min()),
    )
    steps["known"] = steps["made"].astype("float64").where(steps["state"] != "diverged", math.inf)
    settings = _settings(steps, swept, sign)
    others = [name for name in swept if name != column]
    against = [] if column is None else _against(steps, settings, column, others)
    distinct = {int(step) for step in within["step"].groupby(within["trial"]).min()} if len(within) else set()
    lived = number[trials["state"] != "diverged"]  # some diverge before the first look
    every = distinct.pop() if len(distinct) == 1 and set(within["trial"]) >= set(lived) else 0
    return Reaching(study.name, metric, target, every, swept, steps, settings, against)


def _seconds(ends: pd.DataFrame, first: pd.Series) -> pd.Series:
    """The seconds that each trial had trained at a step: whole epochs, and the step's share of its own."""
    ends = ends.sort_values(["trial", "epoch"])
    before = ends.groupby("trial")["step"].shift(fill_value=0)
    target = ends["trial"].map(first)
    share = ((target - before) / (ends["step"] - before)).clip(0, 1)
    return (share * ends["seconds"]).groupby(ends["trial"]).sum(min_count=1)[first.index]


def _median(steps: pd.Series) -> float:
    """The median with never as later than any: never, too, where half or more never got there."""
    ordered = sorted(steps)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float(high if math.isinf(high) else (low + high) / 2)


def _settings(trials: pd.DataFrame, swept: list[str], sign: float) -> pd.DataFrame:
    rows = []
    for setting, mine in trials.sort_values("seed").groupby("setting", sort=False):
        rows.append(
            {
                "setting": setting,
                **{name: plain_value(mine[name].iloc[0]) for name in swept},
                "seeds": len(mine),
                "reached": int(np.isfinite(mine["steps"]).sum()),
                "steps": _median(mine["steps"]),
                "seconds": _median(mine["seconds"]),
                "by_seed": mine["steps"].tolist(),
                "best": sign * float((sign * mine["best"]).min()),
            }
        )
    out = pd.DataFrame(rows)
    order = out.assign(worst=sign * out["best"]).sort_values(["steps", "worst", "setting"], kind="stable").index
    return out.loc[order].reset_index(drop=True)


def _against(trials: pd.DataFrame, settings: pd.DataFrame, column: str, others: list[str]) -> list[Against]:
    level, levels = encode_levels(trials[column])
    cell = _cells(trials, others)
    leveled = trials.assign(cell=cell, level=level)
    wide, known = (leveled.pivot_table(of, ["cell", "seed"], "level", dropna=False) for of in ("steps", "known"))
    first = trials.assign(cell=cell).drop_duplicates("cell").set_index("cell")
    bests = [settings[settings[column] == value].iloc[0] for value in levels]  # the earliest stands first
    return [_pair(wide, known, first, others, column, levels, place, bests) for place in range(1, len(levels))]


def _cells(trials: pd.DataFrame, others: list[str]) -> Codes:
    codes = (pd.factorize(trials[name], use_na_sentinel=False)[0].astype(np.int64) for name in others)
    return combine_codes(codes, len(trials))


def _pair(
    wide: pd.DataFrame,
    known: pd.DataFrame,
    first: pd.DataFrame,
    others: list[str],
    column: str,
    levels: list[Any],
    place: int,
    bests: list[pd.Series],
) -> Against:
    """The first level against that at a place. wide, known: steps, and until when a never is known, by (cell, seed) and
    level; NaN where there is no trial."""
    pairs = wide.reindex(columns=[0, place]).dropna()
    known = known.reindex(columns=[0, place]).loc[pairs.index]
    a, b = np.isfinite(pairs[0]), np.isfinite(pairs[place])
    undecided = (~a & b & (known[0] < pairs[place])) | (a & ~b & (known[place] < pairs[0]))
    rows = []
    for cell in pairs.index.unique("cell"):
        mine = pairs.loc[cell]
        left, right = _median(mine[0]), _median(mine[place])
        values = {name: plain_value(first.loc[cell, name]) for name in others}
        alone = math.isinf(left) != math.isinf(right)
        ratio = math.nan if alone and undecided.loc[cell].any() else _ratio(left, right)
        rows.append({**values, "pairs": len(mine), "first": left, "second": right, "ratio": ratio})
    cells = pd.DataFrame(rows, columns=[*others, "pairs", "first", "second", "ratio"])
    told = pairs[~undecided]
    ratios = [_ratio(left, right) for left, right in zip(told[0], told[place], strict=True)]
    alone = ~undecided & (a ^ b)
    both, first_alone, second_alone, neither = (int(these.sum()) for these in (a & b, a & alone, b & alone, ~a & ~b))
    return Against(
        "epochs" if column == PLANNED_EPOCHS else column,
        levels[0],
        levels[place],
        cells,
        both,
        first_alone,
        second_alone,
        neither,
        int(undecided.sum()),
        _middle_ratio([ratio for ratio in ratios if not math.isnan(ratio)]),
        (bests[0], bests[place]),
    )


def _ratio(first: float, second: float) -> float:
    if math.isinf(first) and math.isinf(second):
        return math.nan
    return 0.0 if math.isinf(second) else first / second


def _middle_ratio(ratios: list[float]) -> float:
    """The median of ratios, between two of them their geometric mean: it is turned over where they are turned over. NaN
    between 0 and infinity."""
    if not ratios:
        return math.nan
    ordered = sorted(ratios)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else math.sqrt(low) * math.sqrt(high)
