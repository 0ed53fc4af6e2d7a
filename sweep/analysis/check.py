"""A study read as an experienced colleague would: what to remark, on which numbers, and what to run next. Needs pandas.

Each remark has a threshold, so that a healthy study has none:

| kind | is remarked when |
|---|---|
| `failed` | any trial failed, or is not trained yet |
| `diverged` | any trial diverged |
| `edge` | the best setting lies at the end of a swept range of three or more numbers (not where the hyperparameter itself ends), and the best of that value beats the best of the next one inward by more than `EDGE_SDS` standard errors of a setting's seeds (with one seed: `ONE_SEED` of the loss, `ONE_SEED_POINTS` of accuracy), or its share among the best `TOP` settings would arise by chance less than once in `EDGE_CHANCE`; in a search: it and most of the best five lie in the outermost `NEAR` of a range |
| `improving` | of the best settings' trials, at least `MOST` improve by `IMPROVING` of the loss (`IMPROVING_POINTS` of accuracy) over the last fifth of the epochs, against the fifth before, and their mean by more than `CLEAR` standard errors (over the trials, if there are `ENOUGH`; else of the curves' noise) |
| `overfitting` | of the best settings' trials, at least `MOST` end `WORSE`, and three times the curve's noise, above their least validation loss (median of three epochs), while the training loss still falls |
| `noisy` | of the best settings' trials, at least `MOST` vary from epoch to epoch in the last third (at least five) by `NOISY` of the loss (`NOISY_POINTS` of accuracy) |
| `seeds` | the first and second setting cannot be told apart: their difference over common seeds covers 0; or there is one seed, and the gap is under `ONE_SEED_GAP` of the loss (`ONE_SEED_GAP_POINTS`) |
| `nothing` | a hyperparameter's interval over at least six cells lies within `NEGLIGIBLE` of the typical metric (`NEGLIGIBLE_POINTS`) for every level, and so do the bests of its levels |
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import coded, combined, finished, plain_value, told
from sweep.analysis.commands import grow_command
from sweep.analysis.statistics import Floats, bootstrap_mean
from sweep.analysis.table import StudyTable
from sweep.hyperparameters import TABLE, show_value
from sweep.recipe import Recipe
from sweep.space import Range

EDGE_SDS, EDGE_CHANCE = 3.0, 1000
ONE_SEED, ONE_SEED_POINTS = 0.10, 0.01
TOP = 0.05  # of the settings, at least 5
NEAR = 0.1
IMPROVING, IMPROVING_POINTS = 0.03, 0.003
CLEAR, ENOUGH = 2.0, 5
WORSE = 0.10
NOISY, NOISY_POINTS = 0.10, 0.01
MOST = 0.5
ONE_SEED_GAP, ONE_SEED_GAP_POINTS = 0.25, 0.03
NEGLIGIBLE, NEGLIGIBLE_POINTS = 0.02, 0.002
READ = 10
"""Best settings whose curves are read, or a quarter of them if those are fewer."""
SHORTEST = 6
"""Epochs below which a curve says nothing about its end."""


@dataclass(frozen=True)
class Remark:
    """One finding: its kind (see the module), the sentence, the numbers behind it, the command to run next (may be
    empty)."""

    kind: str
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True)
class _Reading:
    """What every finding reads. settings: one row a setting, the best first: swept values, mean (NaN where a seed
    diverged), sd, n, code; trials: the finished ones, with the setting's code."""

    table: StudyTable
    epochs: pd.DataFrame
    recipe: Recipe | None
    trials: pd.DataFrame
    settings: pd.DataFrame

    @property
    def accuracy(self) -> bool:
        return self.table.metric.endswith("accuracy")

    def gap(self, better: float, worse: float) -> float:
        """How much worse: in accuracy, or as a share of the better loss."""
        size = abs(worse - better)
        return size if self.accuracy else size / max(abs(better), 1e-12)

    def show(self, gap: float) -> str:
        """A gap in words."""
        return f"{100 * gap:.2f} points" if self.accuracy else f"{100 * gap:.3g}%"

    def grow(self, **more: Sequence[Any]) -> str:
        """The command that grows the study."""
        return grow_command(self.table.name, self.recipe, more)


def check(table: StudyTable, epochs: pd.DataFrame, recipe: Recipe | None = None) -> list[Remark]:
    """What there is to remark, the gravest first; empty if nothing is. epochs: the study's, with `trial`, `epoch` and the
    metrics (empty for a study without curves). recipe: for the commands. Raises UsageError if no trial is complete."""
    reading = _reading(table, epochs, recipe)
    kinds = (_failed, _diverged, _edge, _curves, _seeds, _nothing)
    return [remark for kind in kinds for remark in kind(reading)]


def unread(table: StudyTable, epochs: pd.DataFrame) -> list[str]:
    """What a study has too little of to be read, in words."""
    out = []
    length = 0 if epochs.empty else int(epochs["epoch"].max())
    if length < SHORTEST:
        found = f"of {_count(length, 'epoch')}; {SHORTEST} are needed" if length else "there are none"
        out.append(f"curves ({found})")
    if not any(_count_numbers(table.trials[name]) >= 3 for name in table.swept if name in table.trials):
        out.append("edges (no hyperparameter took three numbers)")
    if table.trials["seed"].nunique() < 2:
        out.append("the spread over seeds (there is one)")
    return out


def _count_numbers(column: pd.Series) -> int:
    levels = column.dropna().unique()
    return len(levels) if all(_number(level) for level in levels) else 0


def _reading(table: StudyTable, epochs: pd.DataFrame, recipe: Recipe | None) -> _Reading:
    trials = finished(table)
    swept = [name for name in table.swept if name in trials]
    codes = combined([coded(trials[name])[0] + 1 for name in swept], len(trials))
    trials = trials.assign(setting=codes)
    groups = trials.groupby("setting")["value"]
    lost = groups.count() < groups.size()
    settings = trials.drop_duplicates("setting").set_index("setting")[["number", *swept]]
    settings = settings.assign(mean=groups.mean().where(~lost), sd=groups.std(), n=groups.size())
    order = (table.sign * settings["mean"]).sort_values(kind="stable").index
    return _Reading(table, epochs, recipe, trials, settings.loc[order].reset_index(names="code"))


# Trials


def _failed(reading: _Reading) -> Iterator[Remark]:
    states, name = reading.table.trials["state"].value_counts(), reading.table.name
    failed = int(states.get("failed", 0))
    left = int(states.get("waiting", 0) + states.get("running", 0))
    if failed:
        text = f"{_count(failed, 'trial')} failed, by accident and not by their setting"
        yield Remark("failed", text, {"failed": failed}, f"sweep resume {name} --retry-failed")
    if left:
        text = f"{_count(left, 'trial')} {'is' if left == 1 else 'are'} not trained to the end yet; what follows is of the others"
        yield Remark("failed", text, {"left": left}, f"sweep resume {name}")


def _diverged(reading: _Reading) -> Iterator[Remark]:
    trials = reading.trials
    lost, total = trials["value"].isna(), len(trials)
    n = int(lost.sum())
    if not n:
        return
    text = f"{n:,} of {_count(total, 'trial')} diverged ({100 * n / total:.3g}%)"
    numbers: dict[str, Any] = {"diverged": n, "trials": total}
    if "lr" in reading.table.swept:
        rates = _by_rate(trials["lr"].astype(float), lost)
        shown = [f"{100 * share:.3g}% at {label}" for label, share in rates.items() if share > 0]
        none = [label for label, share in rates.items() if share == 0]
        text += f"; by learning rate: {', '.join(shown)}{f'; none at {_some(none)}' if none else ''}"
        numbers["by_lr"] = rates
    kept = "" if reading.table.imported else f"sweep show {reading.table.name} --where state=diverged"
    yield Remark("diverged", text, numbers, kept)


def _by_rate(rates: pd.Series, lost: pd.Series) -> dict[str, float]:
    """The share that diverged at each learning rate, or in each quarter of them if they are many; the largest first."""
    if rates.nunique() <= 12:
        shares = lost.groupby(rates).mean().sort_index(ascending=False)
        return {show_value(float(rate)): float(share) for rate, share in shares.items()}  # type: ignore[arg-type]
    parts = pd.qcut(rates, 4, labels=False, duplicates="drop")
    found = [(rates[parts == part], lost[parts == part]) for part in sorted(set(parts), reverse=True)]
    return {f"{rate.min():.2g} to {rate.max():.2g}": float(share.mean()) for rate, share in found}


# The edge of a range


def _edge(reading: _Reading) -> Iterator[Remark]:
    settings = reading.settings[reading.settings["mean"].notna()]
    if reading.recipe is not None and reading.recipe.search is not None:
        yield from _edge_of_search(reading, settings, reading.recipe)
        return
    found = []
    for name in reading.table.swept:
        remark = _edge_of(reading, settings, name) if name in settings else None
        if remark is not None:
            found.append(remark)
    yield from sorted(found, key=lambda one: -one.numbers["gap"])


def _edge_of_search(reading: _Reading, settings: pd.DataFrame, recipe: Recipe) -> Iterator[Remark]:
    """The best of a search lies in the outermost `NEAR` of a range (in the logarithm if that is how it is searched), and so
    do most of the best five."""
    top = settings.head(5)
    if len(settings) < 4 * len(top):
        return
    for axis in recipe.axes:
        if (
            not isinstance(axis.values, Range)
            or not axis.values.open
            or not all(map(_number, top.get(axis.name, [None])))
        ):
            continue
        scale = math.log if axis.values.log else float
        low, high = scale(axis.values.low), scale(axis.values.high)
        places = (top[axis.name].astype(float).map(scale) - low) / (high - low)
        for end, way, near in (("lower", "lower", places <= NEAR), ("upper", "higher", places >= 1 - NEAR)):
            ends = [axis.values.low, axis.values.high] if end == "upper" else [axis.values.high, axis.values.low]
            beyond = (
                _further(axis.name, [_inward(axis.values, end == "upper"), ends[1]])
                if near.iloc[0] and near.mean() > MOST
                else []
            )
            if not beyond:
                continue
            value = plain_value(top[axis.name].iloc[0])
            text = f"the best {axis.name}, {show_value(value)}, is near the {end} end of its range, {show_value(ends[1])}, as are {int(near.sum())} of the best {len(top)} settings: search {way}, to {show_value(beyond[0])}"
            numbers = {
                "name": axis.name,
                "value": value,
                "edge": end,
                "top": len(top),
                "top_there": int(near.sum()),
                "try": beyond[:1],
            }
            wider = replace(axis.values, low=min(ends[0], beyond[0]), high=max(ends[0], beyond[0]))
            axes = tuple(replace(one, values=wider) if one is axis else one for one in recipe.axes)
            yield Remark(
                "edge",
                text,
                numbers,
                grow_command(reading.table.name, replace(recipe, axes=axes), {}, len(reading.settings)),
            )


def _inward(one: Range, upper: bool) -> float:
    """A tenth of a range's end in the logarithm, half its width otherwise: as far as it is widened."""
    if one.log:
        return one.high / 10 if upper else one.low * 10
    return (one.low + one.high) / 2


def _edge_of(reading: _Reading, settings: pd.DataFrame, name: str) -> Remark | None:
    levels = sorted({plain_value(value) for value in settings[name].dropna() if _number(value)})
    best = settings.iloc[0]
    if len(levels) < 3 or not _number(best[name]) or best[name] not in (levels[0], levels[-1]):
        return None
    low = best[name] == levels[0]
    further = _further(told(name), levels[::-1] if low else levels)
    inward = settings[settings[name] == (levels[1] if low else levels[-2])]
    if not further or inward.empty:
        return None
    second = inward.iloc[0]
    gap = reading.gap(best["mean"], second["mean"])
    top = settings.head(max(5, math.ceil(TOP * len(settings))))
    there, chance = int((top[name] == best[name]).sum()), 1.0
    if len(settings) >= 2 * len(top):
        chance = _chance(there, len(settings), int((settings[name] == best[name]).sum()), len(top))
    if not (_beyond_noise(reading, best, second, gap) or chance < 1 / EDGE_CHANCE):
        return None
    end, way = ("lowest", "lower") if low else ("highest", "higher")
    text = f"the best {told(name)}, {show_value(best[name])}, is the {end} that was tried"
    text += f"; its best is ahead of {show_value(second[name])}'s by {reading.show(gap)}"
    text += f", and {there} of the best {len(top)} settings have it" if chance < 1 / EDGE_CHANCE else ""
    text += f": try {way}, {' and '.join(map(show_value, further))}"
    numbers = {"name": told(name), "value": plain_value(best[name]), "edge": end, "gap": gap, "try": further}
    numbers |= {"top": len(top), "top_there": there, "chance": chance}
    return Remark(
        "edge",
        text,
        numbers,
        reading.grow(**{told(name): [*levels, *further] if not low else [*further[::-1], *levels]}),
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and value == value


def _beyond_noise(reading: _Reading, best: pd.Series, second: pd.Series, gap: float) -> bool:
    """Whether the best of one value is ahead of the best of another by more than seeds would make it."""
    sds = reading.settings.head(max(5, math.ceil(TOP * len(reading.settings))))["sd"]
    if best["n"] < 2 or second["n"] < 2 or sds.isna().all():
        return gap > (ONE_SEED_POINTS if reading.accuracy else ONE_SEED)
    error = math.sqrt(float((sds**2).mean())) * math.sqrt(1 / best["n"] + 1 / second["n"])
    return bool(abs(second["mean"] - best["mean"]) > EDGE_SDS * error)


def _chance(there: int, settings: int, having: int, top: int) -> float:
    """That so many of the best settings have a value, were it all the same (hypergeometric)."""
    from scipy import stats

    return float(stats.hypergeom(settings, having, top).sf(there - 1))


def _further(name: str, levels: Sequence[Any]) -> list[Any]:
    """The next two values beyond the last, in the steps of a range: multiplied or
    added; halfway to the hyperparameter's own end where a step would pass it. Empty if it ends there."""
    row = TABLE.get(name)
    low, high = (row.low, row.high) if row else (0.0 if min(levels) >= 0 else -math.inf, math.inf)
    whole = all(isinstance(level, int) for level in levels)
    before, last = float(levels[-2]), float(levels[-1])
    times = _multiplied(sorted(map(float, levels)))
    out: list[Any] = []
    for _ in range(2):
        step = float(f"{last * last / before:{'.6g' if whole else '.3g'}}" if times else f"{2 * last - before:.6g}")
        end = high if step > last else low
        shut = row is None or not (row.open_high if end == high else row.open_low)
        if not low <= step <= high or (step == end and not shut):
            step = end if shut else (last + end) / 2
        value = round(step) if whole else float(f"{step:.6g}")
        if value in levels or value in out:
            break
        before, last = last, float(value)
        out.append(value)
    return out


def _multiplied(levels: list[float]) -> bool:
    """Whether a range goes in factors: it spans one of eight or more, or each value is the same multiple of the last."""
    if levels[0] <= 0:
        return False
    steps = [b / a for a, b in pairwise(levels)]
    return levels[-1] / levels[0] >= 8 or (min(steps) >= 1.5 and max(steps) / min(steps) < 1.05)


# Curves


def _curves(reading: _Reading) -> Iterator[Remark]:
    """What the ends of the best settings' curves say."""
    settings = reading.settings[reading.settings["mean"].notna()]
    top = settings.head(max(1, min(READ, math.ceil(len(settings) / 4))))
    numbers = reading.trials.loc[reading.trials["setting"].isin(top["code"]), "number"]
    epochs = reading.epochs
    if epochs.empty:
        return
    curves = [curve for _, curve in epochs[epochs["trial"].isin(numbers)].groupby("trial") if len(curve) >= SHORTEST]
    if not curves:
        return
    of = f"of {_count(len(curves), 'trial')} of the best {_count(len(top), 'setting')}"
    yield from _improving(reading, curves, of)
    yield from _overfitting(reading, curves, of)
    yield from _noisy(reading, curves, of)


def _watched(reading: _Reading) -> tuple[str, float]:
    """The metric whose curve is read, and its sign: 1 where less is better."""
    metric = reading.table.metric.removeprefix("best_")
    return metric, reading.table.sign


def _improving(reading: _Reading, curves: list[pd.DataFrame], of: str) -> Iterator[Remark]:
    metric, sign = _watched(reading)
    gains, errors = [], []
    for curve in curves:
        values = curve[metric].to_numpy(float)
        k = max(1, len(values) // 5)
        last, before = float(np.median(values[-k:])), float(np.median(values[-2 * k : -k]))
        size = 1.0 if reading.accuracy else max(abs(last), 1e-12)
        gains.append(sign * (before - last) / size)
        errors.append(_roughness(values[-max(5, 2 * k) :]) * math.sqrt(2 / k) / size)
    n, least = len(gains), IMPROVING_POINTS if reading.accuracy else IMPROVING
    error = float(np.std(gains, ddof=1)) if n >= ENOUGH else float(np.mean(errors))
    clear = float(np.mean(gains)) > CLEAR * error / math.sqrt(n)
    still = float(np.mean(np.array(gains) >= least)) if clear else 0.0
    constant = reading.table.constant.get("epochs")
    if still < MOST or "max_epochs" in reading.table.swept:
        return
    gain, length = float(np.median(gains)), int(constant or max(map(len, curves)))
    text = f"still improving at the last epoch: {100 * still:.3g}% {of}, by {reading.show(gain)} over the last fifth of {length} epochs"
    numbers = {"share": still, "gain": gain, "epochs": length}
    yield Remark("improving", text, numbers, reading.grow(epochs=[2 * length]))


def _overfitting(reading: _Reading, curves: list[pd.DataFrame], of: str) -> Iterator[Remark]:
    turned, rises = [], []
    for curve in curves:
        smooth = curve["val_loss"].rolling(3, center=True, min_periods=1).median().to_numpy(float)
        least = int(np.nanargmin(smooth))
        rise = smooth[-1] / max(smooth[least], 1e-12) - 1
        falls = curve["train_loss"].iloc[-1] < curve["train_loss"].iloc[least]
        noise = _roughness(curve["val_loss"].to_numpy(float)[least:]) if len(smooth) - least > 2 else math.inf
        if rise >= max(WORSE, 3 * noise / smooth[least]) and falls and least < len(smooth) - 2:
            turned.append(int(curve["epoch"].iloc[least]))
            rises.append(rise)
    share = len(turned) / len(curves)
    if share < MOST:
        return
    epoch = int(np.median(turned))
    text = f"overfitting: validation loss rises from about epoch {epoch} while training loss falls, {100 * share:.3g}% {of}; at the end it is {100 * float(np.median(rises)):.3g}% above its least"
    numbers = {"share": share, "epoch": epoch, "rise": float(np.median(rises))}
    swept = reading.table.swept
    command = (
        reading.grow(dropout=[0.0, 0.2, 0.5])
        if "dropout" not in swept
        else f"sweep show {reading.table.name} --metric best_val_loss"
    )
    yield Remark("overfitting", text, numbers, command)


def _noisy(reading: _Reading, curves: list[pd.DataFrame], of: str) -> Iterator[Remark]:
    metric, _ = _watched(reading)
    spreads = []
    for curve in curves:
        values = curve[metric].to_numpy(float)[-max(5, len(curve) // 3) :]
        spread = _roughness(values)
        spreads.append(spread if reading.accuracy else spread / max(abs(float(np.median(values))), 1e-12))
    share = float(np.mean(np.array(spreads) >= (NOISY_POINTS if reading.accuracy else NOISY)))
    if share < MOST:
        return
    size = float(np.median(spreads))
    text = f"the last epochs are noisy: {metric} varies by {reading.show(size)} (one standard deviation) from epoch to epoch in {100 * share:.3g}% {of}, so the last epoch is partly luck"
    schedules = set(reading.trials["lr_schedule"]) if "lr_schedule" in reading.trials else set()
    command = reading.grow(lr_schedule=["constant", "cosine"]) if schedules == {"constant"} else ""
    yield Remark("noisy", text, {"share": share, "spread": size}, command)


def _roughness(values: Floats) -> float:
    """The standard deviation of a curve's noise, from its bends: on a straight line they are 0, of independent noise their
    variance is 6 sd^2 (Gasser, Sroka & Jennen-Steinmetz 1986)."""
    bends = values[2:] - 2 * values[1:-1] + values[:-2]
    return math.sqrt(float((bends**2).mean()) / 6)


# Seeds and what did nothing


def _seeds(reading: _Reading) -> Iterator[Remark]:
    settings = reading.settings[reading.settings["mean"].notna()]
    if len(settings) < 2:
        return
    first, second = settings.iloc[0], settings.iloc[1]
    gap = reading.gap(first["mean"], second["mean"])
    values = [
        reading.trials[reading.trials["setting"] == one["code"]].set_index("seed")["value"] for one in (first, second)
    ]
    d = (values[1] - values[0]).dropna().to_numpy(float)
    command = "" if reading.table.imported else f"sweep confirm {reading.table.name} --top 3 --seeds {{}}"
    numbers: dict[str, Any] = {"gap": gap, "seeds": len(d)}
    if len(d) < 2:
        if gap < (ONE_SEED_GAP_POINTS if reading.accuracy else ONE_SEED_GAP):
            only = "one seed" if reading.trials["seed"].nunique() == 1 else "at most one seed in common"
            text = f"{only}: the first setting is ahead of the second by {reading.show(gap)}, which may be luck"
            yield Remark("seeds", text, numbers, command.format(10))
        return
    low, high = bootstrap_mean(d)
    if low > 0 or high < 0:
        return
    needed = _seeds_for(d)
    text = f"{len(d)} seeds are too few to tell the first setting from the second: ahead by {reading.show(gap)}, and over seeds that is {_range(reading, low, high)}"
    if needed is None:
        text += "; no practical number would tell them apart, so choose by other grounds"
        yield Remark("seeds", text, numbers, "")
        return
    text += f"; about {needed} would do, if the gap is real"
    yield Remark("seeds", text, numbers | {"needed": needed}, command.format(max(10, needed)))


def _seeds_for(d: Floats) -> int | None:
    """Seeds that show a mean difference as seen at level .05, four times in five (Cohen 1988); None if over 100."""
    if d.mean() == 0:
        return None
    needed = math.ceil((2.8016 * float(d.std(ddof=1)) / float(d.mean())) ** 2)
    return max(needed, len(d) + 1) if needed <= 100 else None


def _range(reading: _Reading, low: float, high: float) -> str:
    sign = reading.table.sign
    ends = sorted((sign * low, sign * high))
    return (
        f"{100 * ends[0]:+.2f} to {100 * ends[1]:+.2f} points"
        if reading.accuracy
        else f"{ends[0]:+.4f} to {ends[1]:+.4f}"
    )


def _nothing(reading: _Reading) -> Iterator[Remark]:
    from sweep.analysis.effects import effect
    from sweep.errors import UsageError

    table = reading.table
    typical = 1.0 if reading.accuracy else abs(float(reading.settings["mean"].median()))
    band = NEGLIGIBLE_POINTS if reading.accuracy else NEGLIGIBLE * typical
    bests = {name: _bests(reading, name) for name in table.swept if name in reading.settings}
    for name in (name for name, best in bests.items() if float(best.max() - best.min()) <= band):
        try:
            found = effect(table, name)
        except UsageError:
            continue
        pairs = [one for one in found.comparisons if one.n >= one.fewest and one.unit == "cells"]
        if not pairs or len(pairs) < len(found.comparisons) or any(sum(one.diverged) for one in pairs):
            continue
        ends = [end for one in pairs for end in (one.low, one.high)]
        if max(map(abs, ends)) > band:
            continue
        low, high = min(ends), max(ends)
        text = f"{found.name} did nothing: between its levels {_plain_range(reading, low, high)} on average, within {_band(reading, band)} of no difference"
        numbers = {"name": found.name, "low": low, "high": high, "band": band, "cells": min(one.n for one in pairs)}
        yield Remark("nothing", text, numbers, f"sweep effect {table.name} {found.name}")


def _bests(reading: _Reading, name: str) -> pd.Series:
    """The best setting's mean of each value of a hyperparameter."""
    first = reading.settings[reading.settings["mean"].notna()].drop_duplicates(name)  # the best come first
    return first.loc[first[name].notna(), "mean"].astype(float)


def _plain_range(reading: _Reading, low: float, high: float) -> str:
    return f"{100 * low:+.2f} to {100 * high:+.2f} points" if reading.accuracy else f"{low:+.4f} to {high:+.4f}"


def _band(reading: _Reading, band: float) -> str:
    return f"{100 * band:.1f} points" if reading.accuracy else f"{100 * NEGLIGIBLE:g}% ({band:.4f})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[-1]} to {names[0]}"
