"""Remarks on what cannot be told from luck: the first setting from the second, a hyperparameter from none. Needs pandas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from sweep.analysis.check.reading import Reading, Remark
from sweep.analysis.check.thresholds import (
    NEGLIGIBLE,
    NEGLIGIBLE_POINTS,
    ONE_SEED_GAP,
    ONE_SEED_GAP_POINTS,
)
from sweep.analysis.statistics import Floats, bootstrap_mean


def too_few_seeds(reading: Reading) -> Iterator[Remark]:
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
    needed, ends = _seeds_for(d), sorted((reading.table.sign * low, reading.table.sign * high))
    text = f"{len(d)} seeds are too few to tell the first setting from the second: ahead by {reading.show(gap)}, and over seeds that is {_range(reading, *ends)}"
    if needed is None:
        text += "; no realistic number of seeds would separate them: choose on other grounds (speed, size)"
        yield Remark("seeds", text, numbers, "")
        return
    text += f"; about {needed} would do, if the gap is real"
    yield Remark("seeds", text, numbers | {"needed": needed}, command.format(needed))


def _seeds_for(d: Floats) -> int | None:
    """Seeds that show a mean difference as seen at level .05, four times in five (Cohen 1988); None if over 100."""
    if d.mean() == 0:
        return None
    needed = math.ceil((2.8016 * float(d.std(ddof=1)) / float(d.mean())) ** 2)
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
            found = effect(table, name)
        except UsageError:
            continue
        pairs = [one for one in found.comparisons if one.n >= one.fewest and one.unit == "cells"]
        if not pairs or len(pairs) < len(found.comparisons) or any(sum(one.divergence.trials) for one in pairs):
            continue
        ends = [end for one in pairs for end in (one.low, one.high)]
        if max(map(abs, ends)) > band:
            continue
        low, high = min(ends), max(ends)
        text = f"{found.name} did nothing: between its levels {_range(reading, low, high)} on average, within {_band(reading, band)} of no difference"
        numbers = {"name": found.name, "low": low, "high": high, "band": band, "cells": min(one.n for one in pairs)}
        yield Remark("nothing", text, numbers, f"sweep effect {table.name} {found.name}")


def _bests(reading: Reading, name: str) -> pd.Series:
    """The best setting's mean of each value of a hyperparameter."""
    first = reading.settings[reading.settings["mean"].notna()].drop_duplicates(name)  # the best come first
    return first.loc[first[name].notna(), "mean"].astype(float)


def _range(reading: Reading, low: float, high: float) -> str:
    if reading.accuracy:
        return f"{100 * low:+.2f} to {100 * high:+.2f} points"
    digits = ".4f" if max(abs(low), abs(high)) < 1000 else ".4g"
    return f"{low:+{digits}} to {high:+{digits}}"


def _band(reading: Reading, band: float) -> str:
    return f"{100 * band:.1f} points" if reading.accuracy else f"{100 * NEGLIGIBLE:g}% ({band:.4f})"
