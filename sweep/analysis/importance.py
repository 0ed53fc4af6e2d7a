"""Which hyperparameter explains how much of the metric's variance over a study. Needs numpy, pandas and scipy.

On a full grid the shares are exact: functional ANOVA of the array of seed means (Hoeffding 1948; Hutter et al. 2014).
Otherwise Optuna estimates them, and only then is it imported.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import Codes, combine_codes, comparable, encode_levels, label_of
from sweep.analysis.seeds import SeedRoles, seed_roles
from sweep.analysis.statistics import Floats
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError, unknown
from sweep.hyperparameters import show_value

SCALES = ("auto", "log", "raw")
FEWEST = 10
"""Settings below which nothing is estimated where the grid is not whole."""
MOST_FANOVA = 300
"""Settings up to which a forest is grown; its time grows with their square (0.4 s for 60 settings, 18 s for 1,000)."""
MOST_PED = 4_000
HALVES = 20
WIDE = 100.0
"""Largest over smallest value from which on a number is taken in the logarithm."""


@dataclass(frozen=True)
class Importance:
    """What explains the metric's variance."""

    study: str
    metric: str
    method: str
    """"exact", "fanova" or "ped-anova"."""
    scale: str
    """Of the metric: "log" or "raw"."""
    shares: pd.DataFrame
    """Columns name, share, low, high, the largest first: of the
    variance over settings, or with "ped-anova" of all importance."""
    pairs: pd.DataFrame
    """Columns first, second, share, low, high: what two do together beyond each alone."""
    interactions: float
    """What the shares of single hyperparameters leave."""
    noise: float
    """The part of that which is due to the seeds; NaN if it is not known."""
    settings: int
    seeds: int
    interval: str
    """What the intervals are over, in words."""
    note: str
    """Why it is not exact."""
    roles: SeedRoles | None = None
    """Which seeds selected and which are fresh, where the best settings were run again: shares are of the former."""
    race: str = ""
    """Of a race, which seeds are compared, in words."""


@dataclass(frozen=True)
class _Settings:
    """One row a setting. codes: by column; levels: likewise; value: [n, seeds], NaN where not trained or diverged."""

    names: list[str]
    codes: list[Codes]
    levels: list[list[Any]]
    value: Floats
    mean: Floats  # [n], NaN where a seed diverged
    rows: pd.DataFrame


def importance(table: StudyTable, pairs: bool = False, scale: str = "auto") -> Importance:
    """The importance of every hyperparameter that varies. Raises
    UsageError: nothing varies, too few settings, a scale that cannot be."""
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES, "--scale: ")
    roles = seed_roles(table)
    table = table if roles is None else roles.select(table)
    settings = _settings(table)
    log = scale == "log" or (scale == "auto" and _suits_log(table, settings.mean))
    if log and (settings.value <= 0).any():
        raise UsageError(f"--scale log: {table.metric} has values of 0 or less; choose raw")
    why_not = _why_not_exact(settings)
    estimate = _estimate if why_not else _exact
    race = table.race.note if table.race else ""
    return replace(estimate(table, settings, log, pairs, why_not), roles=roles, race=race)


def _suits_log(table: StudyTable, mean: Floats) -> bool:
    """Whether a metric is a loss: small is good, and all of it is above 0."""
    known = mean[np.isfinite(mean)]
    return table.direction == "minimize" and "acc" not in table.metric and bool((known > 0).all())


def _settings(table: StudyTable) -> _Settings:
    trials = comparable(table.even)
    names = [name for name in table.swept if name in trials and trials[name].nunique(dropna=False) > 1]
    if not names:
        raise UsageError(f"study {table.name!r}: nothing varies among its trained trials, so nothing can matter")
    coding = [encode_levels(trials[name]) for name in names]
    setting = combine_codes([codes + 1 for codes, _ in coding], len(trials))
    first = np.unique(setting, return_index=True)[1]
    seed, seeds = encode_levels(trials["seed"])
    value = np.full((len(first), len(seeds)), np.nan)
    value[setting, seed] = trials["value"]
    lost = np.bincount(setting, trials["value"].isna()) > 0
    if lost.all():
        raise UsageError(f"study {table.name!r}: every setting diverged with some seed; nothing to compare")
    with np.errstate(invalid="ignore"):
        counts = np.isfinite(value).sum(axis=1)
        mean = np.where(lost, np.nan, np.nansum(value, axis=1) / np.maximum(counts, 1))
    value[lost] = np.nan
    return _Settings(names, [c[first] for c, _ in coding], [v for _, v in coding], value, mean, trials.iloc[first])


def _why_not_exact(settings: _Settings) -> str:
    """Why the settings are not a whole grid; empty if they are."""
    whole = math.prod(len(levels) for levels in settings.levels)
    part = [name for name, codes in zip(settings.names, settings.codes, strict=True) if (codes < 0).any()]
    lost = int(np.isnan(settings.mean).sum())
    if part:
        return f"{', '.join(map(label_of, part))} {'is' if len(part) == 1 else 'are'} not part of every setting"
    if len(settings.mean) < whole:
        return f"{len(settings.mean):,} of the {whole:,} combinations of the values are there"
    return (
        f"{lost:,} of {whole:,} settings diverged and are left out; --where can leave out where they did"
        if lost
        else ""
    )


# A whole grid


def _exact(table: StudyTable, settings: _Settings, log: bool, pairs: bool, note: str) -> Importance:
    shape = [len(levels) for levels in settings.levels]
    place = np.ravel_multi_index(settings.codes, shape)
    value, mean = np.empty_like(settings.value), np.empty(len(place))
    value[place], mean[place] = settings.value, settings.mean
    common = value[:, np.isfinite(value).all(axis=0)]  # [settings, seeds that all have]
    n = common.shape[1]
    terms = [*combinations(range(len(shape)), 1), *(combinations(range(len(shape)), 2) if pairs else [])]
    share = _shares(mean, shape, log, terms)
    without = [_shares(np.delete(common, i, axis=1).mean(axis=1), shape, log, terms) for i in range(n if n > 1 else 0)]
    half = _jackknife(np.array(without))
    low, high = np.clip(share - half, 0, 1), np.clip(share + half, 0, 1)
    names = [label_of(name) for name in settings.names]
    frame = pd.DataFrame({"term": terms, "share": share, "low": low, "high": high})
    if not without:
        frame[["low", "high"]] = math.nan
    order = frame.sort_values("share", ascending=False, kind="stable")
    single = order[order["term"].map(len) == 1]
    double = order[order["term"].map(len) == 2]
    return Importance(
        table.name,
        table.metric,
        "exact",
        "log" if log else "raw",
        pd.DataFrame({"name": [names[t[0]] for t in single["term"]]}).join(
            single[["share", "low", "high"]].reset_index(drop=True)
        ),
        pd.DataFrame(
            {"first": [names[t[0]] for t in double["term"]], "second": [names[t[1]] for t in double["term"]]}
        ).join(double[["share", "low", "high"]].reset_index(drop=True)),
        float(1 - share[: len(shape)].sum()) if share[: len(shape)].sum() > 0 else math.nan,
        _noise(np.log(common) if log else common, mean, log),
        len(mean),
        n,
        f"{n} seeds (jackknife)" if without else "",
        note,
    )


def _shares(mean: Floats, shape: list[int], log: bool, terms: list[tuple[int, ...]]) -> Floats:
    """The share of the variance of a full array that is due to each term, beyond its parts: [terms]."""
    array = (np.log(mean) if log else mean).reshape(shape)
    array = array - array.mean()
    total = float((array**2).mean())
    if total <= 1e-24:
        return np.zeros(len(terms))
    axes = range(len(shape))
    alone: dict[tuple[int, ...], float] = {}
    for term in terms:
        marginal = array.mean(axis=tuple(axis for axis in axes if axis not in term))
        alone[term] = float((marginal**2).mean()) - sum(alone[(axis,)] for axis in term if len(term) > 1)
    return np.array([alone[term] / total for term in terms])


def _jackknife(without: Floats) -> Floats | float:
    """Half the 95% interval from the answers that leave out one seed each, [seeds, terms] (Efron & Tibshirani 1993,
    chapter 11). Resampling seeds instead would add noise to every cell, and so push all shares down."""
    from scipy.special import stdtrit

    n = len(without)
    if n < 2:
        return math.nan
    spread = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    return np.asarray(stdtrit(n - 1.0, 0.975) * spread, float)


def _noise(common: Floats, mean: Floats, log: bool) -> float:
    """The share of the variance of seed means that is due to the seeds."""
    total = float(np.var(np.log(mean) if log else mean))
    if common.shape[1] < 2 or total <= 1e-24:
        return math.nan
    return min(1.0, float((common.var(axis=1, ddof=1) / common.shape[1]).mean()) / total)


# Anything else


def _few(n: int) -> str:
    return "1 setting is" if n == 1 else f"{n} settings are"


def _estimate(table: StudyTable, settings: _Settings, log: bool, pairs: bool, note: str) -> Importance:
    from sweep.search.forests import importances

    known = np.flatnonzero(np.isfinite(settings.mean))
    if len(known) < FEWEST:
        raise UsageError(
            f"study {table.name!r}: {note}, and {_few(len(known))} too few for an estimate; "
            f"expected a whole grid, or {FEWEST}"
        )
    rng = np.random.default_rng(0)
    if len(known) > MOST_PED:
        known = np.sort(rng.choice(known, MOST_PED, replace=False))
    method = "fanova" if len(known) <= MOST_FANOVA else "ped-anova"
    mean = settings.mean[known]
    value: Floats = table.sign * (np.log(mean) if log else mean)
    names = [label_of(name) for name in settings.names]
    columns = {label_of(name): _column(settings.rows[name].iloc[known]) for name in settings.names}
    rows = [np.arange(len(known))] + [np.sort(rng.permutation(len(known))[: len(known) // 2]) for _ in range(HALVES)]
    shares_drawn = pd.DataFrame(importances(columns, value, rows, method))[names].to_numpy(float)  # [1 + halves, names]
    if method == "ped-anova":
        shares_drawn = shares_drawn / np.maximum(shares_drawn.sum(axis=1, keepdims=True), 1e-300)
    spread = 1.96 * shares_drawn[1:].std(axis=0, ddof=1)
    low, high = np.clip(shares_drawn[0] - spread, 0, 1), np.clip(shares_drawn[0] + spread, 0, 1)
    frame = pd.DataFrame({"name": names, "share": shares_drawn[0], "low": low, "high": high})
    if pairs:
        note += "; pairs need a whole grid"
    return Importance(
        table.name,
        table.metric,
        method,
        "log" if log else "raw",
        frame.sort_values("share", ascending=False, kind="stable", ignore_index=True),
        pd.DataFrame(columns=["first", "second", "share", "low", "high"]),
        float(1 - shares_drawn[0].sum()) if method == "fanova" else math.nan,
        math.nan,
        len(known),
        settings.value.shape[1],
        f"{HALVES} half samples of the settings",
        note,
    )


def _column(values: pd.Series) -> list[Any]:
    """A hyperparameter as Optuna is told it: numbers, in the logarithm if they span `WIDE`, the median where a setting
    does not use it; words otherwise, with – for that."""
    present = values.dropna()
    if any(isinstance(value, str | bool | np.bool_) for value in present):
        return [show_value(value) for value in values]
    numbers = values.astype(float).fillna(float(present.astype(float).median()))
    wide = numbers.min() > 0 and numbers.max() / numbers.min() >= WIDE
    return [math.log(number) if wide else float(number) for number in numbers]
