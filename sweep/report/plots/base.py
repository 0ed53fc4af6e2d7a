"""What every chart is made of: data, axes, tooltips. Needs altair."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import altair as alt
import pandas as pd

from sweep.analysis.pictures import Axis
from sweep.report.files import plain

CROSS_SHAPE = "M-1,-1L1,1M1,-1L-1,1"


_rows: ContextVar[dict[str, list[dict[str, Any]]]] = ContextVar("rows")
"""The rows of the chart that is being made, by the names under which its layers know them: altair copies and checks
whatever stands inside a chart, time and again."""


@contextmanager
def rows_apart() -> Iterator[None]:
    """Within, `data_of` keeps rows out of the chart; `with_rows` puts them into its specification. Charts that are made
    within one share what is the same."""
    if _rows.get(None) is not None:
        yield
        return
    token = _rows.set({})
    try:
        yield
    finally:
        _rows.reset(token)


def data_of(frame: pd.DataFrame) -> alt.NamedData:
    """A table's rows, by the name that altair gives them, too."""
    names = [str(name) for name in frame.columns]
    columns = [_cells(frame.iloc[:, place]) for place in range(frame.shape[1])]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    text = json.dumps(rows, sort_keys=True, default=str)
    name = f"data-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    _rows.get().setdefault(name, rows)
    return alt.NamedData(name=name)


def with_rows(spec: dict[str, Any]) -> dict[str, Any]:
    """A chart's specification with the rows that its layers name."""
    named = [part["data"]["name"] for part in (spec, *spec["layer"]) if "data" in part]
    return spec | {"datasets": {name: _rows.get()[name] for name in named}}


def _cells(column: pd.Series) -> list[Any]:
    if column.dtype == "float64":
        return [float(f"{cell:.10g}") if math.isfinite(cell) else None for cell in column.tolist()]
    return column.tolist() if column.dtype == "int64" else [_cell(cell) for cell in column]


def _cell(value: Any) -> Any:
    kept = plain(value)
    return kept if kept is None or isinstance(kept, str | bool | int) else float(f"{kept:.10g}")


def number_format(axis: Axis) -> str:
    return ".2~%" if axis.percent else ".3~g"


def scale_of(axis: Axis, **more: Any) -> alt.Scale:
    domain = list(axis.domain) if axis.domain else alt.Undefined
    if axis.log:
        return alt.Scale(type="log", domain=domain, nice=False, clamp=True, **more)
    return alt.Scale(domain=domain, zero=False, nice=not axis.domain, clamp=True, **more)


def metric_axis(axis: Axis, column: str = "", above: int = 0) -> alt.Y:
    """The metric's axis, its title lying above it."""
    ticks: Any = alt.Undefined
    if axis.log and axis.domain:
        ticks = _log_ticks(*axis.domain)
    look = alt.Axis(
        format=number_format(axis),
        titleAngle=0,
        titleAlign="left",
        titleAnchor="end",
        titleX=-44,
        titleY=-14 - above,
        tickCount=6,
        values=ticks,
    )
    title = f"{axis.title}{', log scale' if axis.log else ''}"
    return alt.Y(f"{column or axis.column}:Q", title=title, scale=scale_of(axis), axis=look)


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, few enough to be read."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [
            float(f"{step}e{decade}")
            for decade in decades
            for step in steps
            if low <= float(f"{step}e{decade}") <= high
        ]
        if len(ticks) <= 7:
            break
    every = max(1, math.ceil(len(ticks) / 7))
    return ticks[::every] or [low, high]


def x_axis(axis: Axis, width: int) -> alt.X:
    if axis.values:
        tilt = -35 if sum(len(value) + 2 for value in axis.values) * 7 > width else 0
        look = alt.Axis(labelAngle=tilt, grid=False)
        return alt.X(
            f"{axis.column}:N",
            title=axis.title,
            sort=list(axis.values),
            scale=alt.Scale(domain=list(axis.values), padding=0.6),
            axis=look,
        )
    values: Any = list(axis.ticks) or alt.Undefined
    look = alt.Axis(
        format="~s" if "parameters" in axis.title else ".6~g",
        values=values,
        tickCount=max(3, width // 110),
        labelOverlap="greedy",
    )
    padding: Any = alt.Undefined if axis.domain else 14
    return alt.X(f"{axis.column}:Q", title=axis.title, scale=scale_of(axis, padding=padding), axis=look)


def tooltips(*pairs: tuple[str, str], form: str = "") -> list[alt.Tooltip]:
    out = []
    for field, title in pairs:
        name, kind = field.split(":")
        number = kind == "Q"
        out.append(
            alt.Tooltip(
                field=name,
                type="quantitative" if number else "nominal",
                title=title,
                format=(form or ".4~g") if number else alt.Undefined,
            )
        )
    return out


def pick(frame: pd.DataFrame, mask: pd.Series) -> alt.Chart:
    """A chart of some of the rows."""
    return alt.Chart(data_of(frame[mask.astype(bool)]))


def overlay(*layers: alt.Chart) -> alt.LayerChart:
    """Layers one over another, those without a row left out: they would have no extent."""
    return alt.layer(*(layer for layer in layers if _rows.get()[layer.data.name]))
