"""Steps to a target, as a table and for scripts. Needs rich."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.hyperparameters import show_value
from sweep.report.columns import Columns
from sweep.report.files import plain
from sweep.report.text import show_metric, show_seconds
from sweep.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis.reaching import Against, Reaching


COUNTS = ("both", "only_first", "only_second", "neither", "undecided")


def reaching_report(reaching: Reaching, top: int) -> RenderableType:
    """The settings, the earliest first; with a hyperparameter's levels compared, the pairs instead."""
    every = f"every {count(reaching.every, 'step')}" if reaching.every else "at the end of epochs"
    reached = "fell to" if reaching.metric.endswith("loss") else "reached"
    target = show_metric(reaching.metric, reaching.target)
    said = f": training steps until {reaching.metric} {reached} {target}, scored {every}"
    head = Text.assemble((reaching.study, "bold"), said)
    if reaching.against:
        return Group(head, *(part for levels in reaching.against for part in (Text(), *_against(levels, top))))
    rows = reaching.settings.head(top)
    lines: list[RenderableType] = [Text(), _settings(reaching, rows), Text()]
    if len(rows) < len(reaching.settings):
        lines.insert(2, Text(f"… and {len(reaching.settings) - len(rows):,} more (--top N)", "dim"))
    note = "The median counts never as later than any step; seconds are a share of a program that trains several."
    if (reaching.trials["state"] == "pruned").any():
        note += " Of a pruned trial, never is known until it was pruned."
    return Group(head, *lines, Text(note, "dim"))


def _settings(reaching: Reaching, rows: pd.DataFrame) -> Columns:
    table = Columns()
    for name in reaching.swept:
        table.add_column(name, "right", folds=True)
    several = int(rows["seeds"].max()) > 1
    titles = ["median" if several else "steps", *(["by seed"] if several else []), "seconds", f"best {reaching.metric}"]
    for title in titles:
        table.add_column(title, "right", spare={"seconds": 2}.get(title, 0))
    for _, row in rows.iterrows():
        seeds = [" ".join(map(show_steps, row["by_seed"]))] if several else []
        seconds = "–" if math.isinf(row["seconds"]) else show_seconds(row["seconds"])
        values = [show_value(plain(row[name])) for name in reaching.swept]
        table.add_row(*values, show_steps(row["steps"]), *seeds, seconds, show_metric(reaching.metric, row["best"]))
    return table


def _against(levels: Against, top: int) -> list[RenderableType]:
    first, second = (f"{levels.name} {show_value(level)}" for level in (levels.first, levels.second))
    table = Columns()
    others = _others(levels)
    for name in others:
        table.add_column(name, "right", folds=True)
    for title in (first, second, "ratio"):
        table.add_column(title, "right")
    for _, row in levels.cells.head(top).iterrows():
        cells = [show_value(plain(row[name])) for name in others]
        table.add_row(*cells, show_steps(row["first"]), show_steps(row["second"]), _show_ratio(levels, row["ratio"]))
    rest = len(levels.cells) - top
    lines: list[RenderableType] = [table]
    lines += [Text(f"… and {rest:,} more (--top N)", "dim")] if rest > 0 else []
    return [*lines, Text(), *map(Text, sentences(levels))]


def sentences(levels: Against) -> list[str]:
    """What the pairs say, in words."""
    first, second = (f"{levels.name} {show_value(level)}" for level in (levels.first, levels.second))
    pairs = levels.both + levels.only_first + levels.only_second + levels.neither + levels.undecided
    out = [
        f"Of {count(pairs, 'pair')} (the same seed, all else equal) both got there in {levels.both:,}, only {first} in "
        f"{levels.only_first:,}, only {second} in {levels.only_second:,}, neither in {levels.neither:,}."
    ]
    if levels.undecided:
        out.append(
            f"In {levels.undecided:,} one got there later than the other was trained: undecided, not in the median."
        )
    if not math.isnan(levels.ratio):
        out.append(f"In the median pair in which at least one got there, {_tell_ratio(first, second, levels.ratio)}.")
    a, b = levels.best
    ends = f"{first} {show_steps(a['steps'])}{_at(levels, a)}, {second} {show_steps(b['steps'])}{_at(levels, b)}"
    both = math.isfinite(a["steps"]) and math.isfinite(b["steps"])
    ratio = f": {_tell_ratio(first, second, a['steps'] / b['steps'])}" if both else ""
    return [*out, f"Each at its best: {ends}{ratio}."]


def _others(levels: Against) -> list[str]:
    """The hyperparameters in which the settings of a pair agree."""
    return [str(name) for name in levels.cells if name not in ("pairs", "first", "second", "ratio")]


def _at(levels: Against, row: pd.Series) -> str:
    """The setting of a level's best, in brackets."""
    others = _others(levels)
    values = ", ".join(f"{name} {show_value(plain(row[name]))}" for name in others)
    return f" ({values})" if values and math.isfinite(row["steps"]) else ""


def _tell_ratio(first: str, second: str, ratio: float) -> str:
    if math.isinf(ratio):
        return f"{second} alone did"
    if ratio == 0:
        return f"{first} alone did"
    if f"{ratio:.3g}" == "1":
        return f"{first} took as many steps as {second}"
    return f"{first} took {ratio:.3g} times the steps of {second}"


def _show_ratio(levels: Against, ratio: float) -> str:
    if math.isnan(ratio):
        return "–"
    if ratio in (0, math.inf):
        return f"only {show_value(levels.first if ratio == 0 else levels.second)}"
    return f"{ratio:.3g}"


def show_steps(steps: float) -> str:
    """Steps, or never."""
    return "never" if math.isinf(steps) else f"{steps:,.6g}"


def reaching_json(reaching: Reaching) -> dict[str, Any]:
    """For scripts: every setting, and the pairs; null is never."""
    return {
        "study": reaching.study,
        "metric": reaching.metric,
        "target": reaching.target,
        "every": reaching.every,
        "settings": [_plain_row(row) for row in reaching.settings.drop(columns="setting").to_dict("records")],
        "against": [
            {
                "name": levels.name,
                "first": levels.first,
                "second": levels.second,
                **{name: getattr(levels, name) for name in COUNTS},
                "ratio": plain(levels.ratio),
                "cells": [_plain_row(row) for row in levels.cells.to_dict("records")],
            }
            for levels in reaching.against
        ],
    }


def _plain_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row as plain values, the steps of its seeds, which are a list, too."""
    return {str(name): [*map(plain, cell)] if isinstance(cell, list) else plain(cell) for name, cell in row.items()}
