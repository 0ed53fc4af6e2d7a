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


def reaching_report(found: Reaching, top: int) -> RenderableType:
    """The settings, the earliest first; with a hyperparameter's levels compared, the pairs instead."""
    every = f"every {count(found.every, 'step')}" if found.every else "at the end of epochs"
    reached = "fell to" if found.metric.endswith("loss") else "reached"
    told = f": training steps until {found.metric} {reached} {show_metric(found.metric, found.target)}, scored {every}"
    head = Text.assemble((found.study, "bold"), told)
    if found.against:
        return Group(head, *(part for one in found.against for part in (Text(), *_against(one, top))))
    rows = found.settings.head(top)
    lines: list[RenderableType] = [Text(), _settings(found, rows), Text()]
    if len(rows) < len(found.settings):
        lines.insert(2, Text(f"… and {len(found.settings) - len(rows):,} more (--top N)", "dim"))
    note = "The median counts never as later than any step; seconds are a share of a program that trains several."
    return Group(head, *lines, Text(note, "dim"))


def _settings(found: Reaching, rows: pd.DataFrame) -> Columns:
    table = Columns()
    for name in found.swept:
        table.add_column(name, "right", folds=True)
    several = int(rows["seeds"].max()) > 1
    titles = ["median" if several else "steps", *(["by seed"] if several else []), "seconds", f"best {found.metric}"]
    for title in titles:
        table.add_column(title, "right", spare={"seconds": 2}.get(title, 0))
    for _, row in rows.iterrows():
        seeds = [" ".join(map(show_steps, row["by_seed"]))] if several else []
        seconds = "–" if math.isinf(row["seconds"]) else show_seconds(row["seconds"])
        values = [show_value(plain(row[name])) for name in found.swept]
        table.add_row(*values, show_steps(row["steps"]), *seeds, seconds, show_metric(found.metric, row["best"]))
    return table


def _against(one: Against, top: int) -> list[RenderableType]:
    first, second = (f"{one.name} {show_value(level)}" for level in (one.first, one.second))
    table = Columns()
    others = _others(one)
    for name in others:
        table.add_column(name, "right", folds=True)
    for title in (first, second, "ratio"):
        table.add_column(title, "right")
    for _, row in one.cells.head(top).iterrows():
        cells = [show_value(plain(row[name])) for name in others]
        table.add_row(*cells, show_steps(row["first"]), show_steps(row["second"]), _show_ratio(one, row["ratio"]))
    rest = len(one.cells) - top
    lines: list[RenderableType] = [table]
    lines += [Text(f"… and {rest:,} more (--top N)", "dim")] if rest > 0 else []
    return [*lines, Text(), *map(Text, sentences(one))]


def sentences(one: Against) -> list[str]:
    """What the pairs say, in words."""
    first, second = (f"{one.name} {show_value(level)}" for level in (one.first, one.second))
    pairs = one.both + one.only_first + one.only_second + one.neither
    out = [
        f"Of {count(pairs, 'pair')} (the same seed, all else equal) both got there in {one.both:,}, only {first} in "
        f"{one.only_first:,}, only {second} in {one.only_second:,}, neither in {one.neither:,}."
    ]
    if not math.isnan(one.ratio):
        out.append(f"In the median pair of which one got there, {_tell_ratio(first, second, one.ratio)}.")
    a, b = one.best
    ends = f"{first} {show_steps(a['steps'])}{_at(one, a)}, {second} {show_steps(b['steps'])}{_at(one, b)}"
    both = math.isfinite(a["steps"]) and math.isfinite(b["steps"])
    ratio = f": {_tell_ratio(first, second, a['steps'] / b['steps'])}" if both else ""
    return [*out, f"Each at its best: {ends}{ratio}."]


def _others(one: Against) -> list[str]:
    """The hyperparameters in which the settings of a pair agree."""
    return [str(name) for name in one.cells if name not in ("pairs", "first", "second", "ratio")]


def _at(one: Against, row: pd.Series) -> str:
    """The setting of a level's best, in brackets."""
    others = _others(one)
    told = ", ".join(f"{name} {show_value(plain(row[name]))}" for name in others)
    return f" ({told})" if told and math.isfinite(row["steps"]) else ""


def _tell_ratio(first: str, second: str, ratio: float) -> str:
    if math.isinf(ratio):
        return f"{second} alone did"
    if ratio == 0:
        return f"{first} alone did"
    return f"{first} took {ratio:.3g} times the steps of {second}"


def _show_ratio(one: Against, ratio: float) -> str:
    if math.isnan(ratio):
        return "–"
    if ratio in (0, math.inf):
        return f"only {show_value(one.first if ratio == 0 else one.second)}"
    return f"{ratio:.3g}"


def show_steps(steps: float) -> str:
    """Steps, or never."""
    return "never" if math.isinf(steps) else f"{steps:,.6g}"


def reaching_json(found: Reaching) -> dict[str, Any]:
    """For scripts: every setting, and the pairs; null is never."""
    return {
        "study": found.study,
        "metric": found.metric,
        "target": found.target,
        "every": found.every,
        "settings": [_finite(row) for row in found.settings.drop(columns="setting").to_dict("records")],
        "against": [
            {
                "name": one.name,
                "first": one.first,
                "second": one.second,
                **{name: getattr(one, name) for name in ("both", "only_first", "only_second", "neither")},
                "ratio": _null(one.ratio),
                "cells": [_finite(row) for row in one.cells.to_dict("records")],
            }
            for one in found.against
        ],
    }


def _finite(row: Mapping[Any, Any]) -> dict[str, Any]:
    plainly = {str(name): plain(value) if not isinstance(value, list) else value for name, value in row.items()}
    return {name: [_null(one) for one in v] if isinstance(v, list) else _null(v) for name, v in plainly.items()}


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
