"""How numbers, times and counts are written. Needs recipe, for the unit of a metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweep.recipe import percents

if TYPE_CHECKING:
    from sweep.analysis import StudyTable

BLOCKS = "▁▂▃▄▅▆▇█"
STATE_STYLE = {
    "complete": "green",
    "diverged": "red",
    "failed": "bold red",
    "pruned": "yellow",
    "running": "cyan",
    "waiting": "dim",
}


def show_metric(name: str, value: Any) -> str:
    """A metric: accuracies in percent, losses with four digits, small ones with three that count."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    scale = percents(name)
    return short(value) if scale is None else f"{scale * value:z.2f}%"


def show_gap(name: str, value: Any) -> str:
    """The size of a metric's difference: accuracies in points of percent."""
    scale = percents(name)
    return show_metric(name, abs(value)) if scale is None else f"{scale * abs(value):.2f} points"


def signed_gap(name: str, value: Any) -> str:
    """A metric's difference with its sign, short enough for a table."""
    if missing(value):
        return "–"
    scale = percents(name)
    return short(value, "+") if scale is None else f"{scale * value:+z.2f}"


def short(value: float, sign: str = "", digits: int = 4) -> str:
    """A number of a loss's size: 0.0471, 4.71e-05, 1.234e+09; never
    minus zero. sign: "+" for a difference, with one on every number."""
    size, least = abs(value), 10.0**-digits * (1 if sign else 10)
    if size >= 1000:
        return f"{value:{sign}.4g}"
    return f"{value:{sign}.3g}" if 0 < size < least else f"{value:{sign}z.{digits}f}"


def show_seconds(seconds: float, whole: bool = False) -> str:
    """A length of time: 0.31 s (1 s if whole), 12 s, 3:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 9.995 and not whole else f"{math.ceil(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def tell_seconds(seconds: float, whole: bool = False) -> str:
    """A length of time within a sentence: 0.31 s (1 s if whole), 12 s, 3 min 5 s, 1 h 2 min."""
    if seconds < 59.5:
        return show_seconds(seconds, whole)
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """The last `width` finite values as block characters, low to high."""
    finite = [value for value in values if math.isfinite(value)][-width:]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * scale)] for value in finite)


def covers(data_splits: int) -> str:
    """What an interval over seeds covers, and what it does not; of studies with so many splits (see `StudyTable`)."""
    if data_splits == -2:
        return "Intervals cover what varies between seeds, as the study's own code uses them."
    if data_splits < 0:
        return "Intervals cover what varies between seeds: where paths start, the noise of their gradients."
    if not data_splits:
        return (
            "Intervals cover what varied between the seeds of the "
            "imported table; it does not say whether the data split did."
        )
    if data_splits == 1:
        return (
            "Intervals cover what varies between seeds (initial weights, minibatches) on one split of the data; "
            "--split-seeds 5 covers other splits, too."
        )
    return (
        "Intervals cover what varies between seeds and between splits: each seed trained on "
        "its own split into training and validation rows. The test rows are the same in all."
    )


def show_runs(numbers: Sequence[int], most: int = 16) -> str:
    """Whole numbers in order, runs of them from end to end: 2–4, 7, 9–10; past `most` runs, how many more."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    spans = [f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs[:most]]
    more = sum(map(len, runs[most:]))
    return f"{', '.join(spans)}{f' and {more:,} more' if more else ''}"


def missing(value: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, NA."""
    return value is None or (not isinstance(value, str) and str(value) in ("<NA>", "nan", "NaT"))


def explain_nothing_selected(table: StudyTable) -> str:
    """Why no setting of a study is selected, in a sentence."""
    states = table.trials["state"].value_counts()
    if table.filtered and not len(states):
        why = "No trial meets the condition"
    elif not len(states) or states.keys().isin(["waiting", "running"]).any():
        why = "No trial is complete yet"
    elif "complete" in states:
        why = f"No trial has a finite {table.metric}"
    elif len(states) == 1:
        state, number = str(states.index[0]), len(table.trials)
        ended = f"{'was' if number == 1 else 'were'} pruned" if state == "pruned" else state
        why = f"{ {1: 'The only trial', 2: 'Both trials'}.get(number, f'All {number:,} trials') } {ended}"
    else:
        why = f"No trial is complete ({', '.join(f'{number:,} {state}' for state, number in states.items())})"
    return f"{why}, so nothing is selected."
