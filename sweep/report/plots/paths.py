"""Charts of functions: paths over a curve or a plane, where every start ends. Needs altair."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from sweep.analysis.pictures import Picture
from sweep.report.plots.base import CROSS_SHAPE, data_of, metric_axis, overlay, pick, tooltips, x_axis

DOTTED = 60
"""Up to so many steps, each has a dot."""


def surface(picture: Picture, width: int) -> alt.LayerChart:
    plane = "lines" in picture.more
    side = min(width - 200, 560) if width > 500 else width
    height = round(side * (0.86 if plane else 0.66))
    x, y = _axes(picture, side)
    marks = picture.marks
    names = list(dict.fromkeys(marks["label"]))
    legend = alt.Legend(title=None, orient="right" if width > 500 else "bottom", symbolType="stroke", labelLimit=180)
    scale = alt.Scale(domain=names, range="category")
    colour = alt.Color("label:N", sort=names, scale=scale, legend=None)
    named = alt.Color("label:N", sort=names, scale=scale, legend=legend)
    order = alt.Order("step:Q")
    tip = tooltips(("label:N", "setting"), ("step:Q", "step"), ("x:Q", picture.x.title), ("y:Q", picture.y.title),
                   ("value:Q", "value"))  # fmt: skip
    whole = alt.Chart(data_of(marks)).encode(x, y)
    round_: Any = {"strokeJoin": "round", "strokeCap": "round", "clip": True}
    lines = [
        whole.mark_line(style="paper", strokeWidth=4.6, opacity=0.75, **round_).encode(alt.Detail("path:N"), order),
        whole.mark_line(strokeWidth=2, **round_).encode(named, alt.Detail("path:N"), order),
    ]
    few = marks.groupby("path")["step"].transform("count") <= DOTTED
    dots = pick(marks, few & ~marks["first"]).encode(x, y, colour, tooltip=tip)
    begin = pick(marks, marks["first"]).encode(x, y, colour, tooltip=tip)
    end = pick(marks, marks["last"]).encode(x, y, colour, tooltip=tip)
    return (
        overlay(
            *(_plane(picture, x, y) if plane else _curve(picture, x, y)),
            *lines,
            dots.mark_circle(size=26, opacity=1, clip=True),
            begin.mark_point(filled=False, size=110, strokeWidth=2.2, clip=True),
            end.mark_circle(size=110, opacity=1, clip=True),
        )
        .properties(width=side, height=height)
        .resolve_scale(color="independent", stroke="independent")
    )


def _axes(picture: Picture, side: int) -> tuple[alt.X, alt.Y]:
    """Both axes; what lies beyond them is cut off, not drawn at the edge."""
    x, y = x_axis(picture.x, side), metric_axis(picture.y)
    for axis, given in ((x, picture.x), (y, picture.y)):
        axis.scale = alt.Scale(domain=list(given.domain or ()) or alt.Undefined, nice=False, zero=False)
    return x, y


def _curve(picture: Picture, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    line = alt.Chart(data_of(picture.more["ground"]))
    return [line.mark_line(style="others", strokeWidth=2.4, clip=True).encode(x, y)]


def _plane(picture: Picture, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The cells by their height, the lines of equal height over them."""
    ground = picture.more["ground"]
    scale = alt.Scale(range="heatmap", domain=[0, 1])
    key = _heights(ground)
    ticks = alt.Legend(
        title="value",
        type="gradient",
        values=[*key],
        labelExpr=f"{{{', '.join(f'{place!r}: {text!r}' for place, text in key.items())}}}[datum.value]",
        orient="right",
        gradientLength=140,
    )
    cells = alt.Chart(data_of(ground[["x", "x2", "y", "y2", "share"]])).mark_rect(strokeWidth=0.6, clip=True)
    colour = alt.Color("share:Q", scale=scale, legend=ticks)
    lines = alt.Chart(data_of(picture.more["lines"])).mark_rule(style="soft", strokeWidth=0.7, opacity=0.5, clip=True)
    return [
        cells.encode(x, alt.X2("x2:Q"), y, alt.Y2("y2:Q"), colour, alt.Stroke("share:Q", scale=scale, legend=None)),
        lines.encode(x, alt.X2("x2:Q"), y, alt.Y2("y2:Q")),
    ]


def _heights(ground: pd.DataFrame) -> dict[float, str]:
    """The value at a few heights of the colour, for its legend."""
    known = ground.sort_values("share")
    places = (0.0, 0.25, 0.5, 0.75, 1.0)
    values = [float(known["value"].iloc[int((known["share"] - place).abs().to_numpy().argmin())]) for place in places]
    return {place: f"{value:.3g}" for place, value in zip(places, values, strict=True)}


def basins(picture: Picture, width: int) -> alt.LayerChart:
    marks = picture.marks
    side = min(width - 200, 560) if width > 500 else width
    x, y = _axes(picture, side)
    names = [name for name in dict.fromkeys(marks.sort_values("value")["end"]) if name]
    legend = alt.Legend(title="ended at", orient="right" if width > 500 else "bottom", labelLimit=260)
    colour = alt.Color("end:N", sort=names, scale=alt.Scale(domain=names, range="category"), legend=legend)
    tip = tooltips(("number:Q", "trial"), ("x:Q", picture.x.title), ("y:Q", picture.y.title), ("value:Q", "value"))
    size = 60 if len(marks) < 400 else 26 if len(marks) < 3000 else 10
    complete = marks["state"] == "complete"
    named = pick(marks, complete & (marks["end"] != "")).mark_circle(size=size, opacity=0.85, clip=True)
    others = pick(marks, complete & (marks["end"] == "")).mark_circle(style="others", size=size, opacity=0.6, clip=True)
    lost = pick(marks, ~complete).mark_point(
        style="bad", filled=False, shape=CROSS_SHAPE, size=max(14, size * 0.6), strokeWidth=1.4, clip=True
    )
    return overlay(
        others.encode(x, y, tooltip=tip), lost.encode(x, y, tooltip=tip), named.encode(x, y, colour, tooltip=tip)
    ).properties(width=side, height=round(side * 0.8))
