"""Remarks on what cannot be told from luck: the first setting
from the second, a hyperparameter from none. Needs pandas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from sweep.analysis.check.reading import Reading, Remark
from sweep.analysis.check.thresholds import (
    CONFIRMED,
    NEGLIGIBLE,
    NEGLIGIBLE_POINTS,
    ONE_SEED_GAP,
    ONE_SEED_GAP_POINTS,
)
from sweep.analysis.settings import LEVEL, rank_settings
from sweep.analysis.statistics import Floats, bootstrap_mean
from sweep.analysis.table import StudyTable
from sweep.recipe import InPercent


def too_few_seeds(reading: Reading) -> Iterator[Remark]:
    """The first setting cannot be told from the second, as the board of `sweep show` judges it (its ≈); where it does
    not judge, as with one seed, the gap is small. Where seeds change nothing, there is no luck."""
    if reading.table.exact:
        return
    board = rank_settings(reading.table)
    rows, apart = board.compared, board.told_from_first(1)
    if board.selected is None or len(rows) < 2 or apart:
        return
    first, second = rows.iloc[0], rows.iloc[1]
    scale = 100 if isinstance(reading.table.metric, InPercent) else 1
    judged = reading.table if board.roles is None else board.roles.judge(reading.table)
    values = [_by_seed(judged, number) / scale for number in (first["number"], second["number"])]
    gap = reading.gap(first["mean"] / scale, second["mean"] / scale)
    d = reading.table.sign * (values[1] - values[0]).dropna().to_numpy(float)
    kind = "seed" if board.roles is None else "fresh seed"
    numbers: dict[str, Any] = {"gap": gap, "seeds": len(d)}
    if apart is None or len(d) < 2:
        if apart is None and gap >= (ONE_SEED_GAP_POINTS if reading.accuracy else ONE_SEED_GAP):
            return
        only = f"one {kind}" if board.seeds == 1 else f"at most one {kind} in common"
        text = f"{only}: the first setting is ahead of the second by {reading.show(gap)}, which may be luck"
        yield Remark("seeds", text, numbers, _confirm(reading, 10))
        return
    needed, (low, high) = _seeds_for(d, min(len(rows), CONFIRMED) - 1), bootstrap_mean(d)
    text = f"{len(d)} {kind}s are too few to tell the first setting from the second: "
    text += f"ahead by {reading.show(gap)}, and over seeds that is {_range(reading, low, high)}"
    text += f", though it came first of {len(rows):,}" if low > 0 else ""
    if needed is None:
        text += "; no realistic number of seeds would separate them: choose on other grounds (speed, size)"
        yield Remark("seeds", text, numbers, "")
        return
    text += f"; about {needed} would do, if the gap is real"
    yield Remark("seeds", text, numbers | {"needed": needed}, _confirm(reading, needed))


def _by_seed(table: StudyTable, number: int) -> pd.Series:
    """The metric of the setting that a trial has, by seed."""
    setting = table.trials.loc[table.trials["number"] == number, "setting"].iloc[0]
    rows = table.complete[table.complete["setting"] == setting]
    return pd.Series(rows[table.metric].to_numpy(float), index=rows["seed"])


def _confirm(reading: Reading, seeds: int) -> str:
    return "" if reading.table.imported else f"sweep confirm {reading.table.name} --top {CONFIRMED} --seeds {seeds}"


def _seeds_for(d: Floats, comparisons: int) -> int | None:
    """Seeds that show a mean difference as seen, at LEVEL over so many comparisons, four times in five (Cohen 1988);
    None if over 100."""
    from scipy.special import ndtri

    if d.mean() == 0:
        return None
    normal = -float(ndtri(LEVEL / (2 * comparisons)) + ndtri(0.2))
    needed = math.ceil((normal * float(d.std(ddof=1)) / float(d.mean())) ** 2)
    return max(needed, len(d) + 1) if needed <= 100 else None


def did_nothing(reading: Reading) -> Iterator[Remark]:
    from sweep.analysis.effects import effect
    from sweep.errors import UsageError

    table = reading.table
    typical = 1.0 if reading.accuracy else abs(float(reading.settings["mean"].median()))
    band = NEGLIGIBLE_POINTS if reading.accuracy else NEGLIGIBLE * typical
    bests = {name: _bests(reading, name) for name in table.swept if name in reading.settings}
    for name in (name for name, best in bests.items() if float(best.max() - best.min()) <= band):
        try:
            answer = effect(table, name)
        except UsageError:
            continue
        pairs = answer.comparisons
        if not all(pair.n >= pair.fewest and pair.unit == "cells" for pair in pairs):
            continue
        if not pairs or any(sum(pair.divergence.trials) for pair in pairs):
            continue
        ends = [end for pair in pairs for end in (pair.low, pair.high)]
        if max(map(abs, ends)) > band:
            continue
        low, high = min(ends), max(ends)
        text = (
            f"{answer.name} did nothing: between its levels {_range(reading, low, high)} on average, within "
            f"{_band(reading, band)} of no difference"
        )
        cells = min(pair.n for pair in pairs)
        numbers = {"name": answer.name, "low": low, "high": high, "band": band, "cells": cells}
        yield Remark("nothing", text, numbers, f"sweep effect {table.name} {answer.name}")


def _bests(reading: Reading, name: str) -> pd.Series:
    """The best setting's mean of each value of a hyperparameter."""
    first = reading.settings[reading.settings["mean"].notna()].drop_duplicates(name)  # the best come first
    return first.loc[first[name].notna(), "mean"].astype(float)


def _range(reading: Reading, low: float, high: float) -> str:
    if reading.accuracy and reading.table.metric != "val_r2":
        return f"{100 * low:+.2f} to {100 * high:+.2f} points"
    digits = ".4f" if max(abs(low), abs(high)) < 1000 else ".4g"
    return f"{low:+{digits}} to {high:+{digits}}"


def _band(reading: Reading, band: float) -> str:
    if reading.table.metric == "val_r2":
        return reading.show(band)
    return f"{100 * band:.1f} points" if reading.accuracy else f"{100 * NEGLIGIBLE:g}% ({band:.4f})"
