"""A chart a kind of picture, as a Vega-Lite specification that names no colour of its own. Needs altair."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
from altair.utils.schemapi import debug_mode

from sweep.analysis.pictures import Axis, Picture
from sweep.report.plots.base import (
    CROSS_SHAPE,
    data_of,
    metric_axis,
    overlay,
    pick,
    rows_apart,
    tooltips,
    with_rows,
    x_axis,
)
from sweep.report.plots.grids import boundary, effect, heatmap, importance, parallel
from sweep.report.plots.paths import basins, surface

WIDE = 720
"""Width of a chart's plane in pixels."""
MOST_CROSSES = 1500
"""So many settings without a value are drawn along an edge; of more, those that stand apart."""


def chart(picture: Picture, width: int = WIDE, titled: bool = True) -> dict[str, Any]:
    """The specification of a picture; without `titled`, for a page that says title and subtitle itself."""
    said: dict[str, Any] = {"description": picture.said}
    if titled:
        letters = max(40, int(width / 6.1))
        lines = [picture.subtitle, picture.ground, *picture.notes]
        wrapped = [part for line in lines for part in textwrap.wrap(line, letters)]
        said["title"] = alt.TitleParams(picture.title, subtitle=wrapped)
    with rows_apart(), debug_mode(False):  # which checks every part of a chart, time and again: the tests check them
        spec = with_rows(_CHARTS[picture.kind](picture, width).properties(**said).to_dict(validate=False))
    spec.pop("config", None)
    return spec


def _curves(picture: Picture, width: int) -> alt.LayerChart:
    height, narrow = 380 if width > 500 else 280, width < 500
    ends = picture.more["ends"]
    best = ends[ends["rank"] > 0].sort_values("rank")
    names = [f"{rank}. {label}" for rank, label in zip(best["rank"], best["label"], strict=True)]
    by_rank = dict(zip(best["rank"], names, strict=True))
    marks = picture.marks.assign(name=picture.marks["rank"].map(by_rank))
    single = int(marks["epoch"].max()) == 1
    columns = ["setting", "number", "epoch", "mean", "low", "high", "rank", "name", "state"]
    x = alt.X(
        "epoch:Q",
        title="epoch",
        scale=alt.Scale(nice=False, zero=False, padding=6),
        axis=alt.Axis(tickMinStep=1, format="d", tickCount=8),
    )
    y = metric_axis(picture.y)
    legend: Any = alt.Legend(orient="bottom", columns=1, title=None, symbolStrokeWidth=3) if narrow else None
    colour = alt.Color("name:N", sort=names, scale=alt.Scale(domain=names, range="category"), legend=legend)
    others = pick(marks[columns], marks["rank"] == 0).encode(x, y, alt.Detail("setting:N"))
    top = pick(marks[columns], marks["rank"] > 0).encode(x, y, colour)
    plain = alt.Color("name:N", sort=names, scale=alt.Scale(domain=names, range="category"), legend=None)
    tip = tooltips(
        ("name:N", "setting"),
        ("epoch:Q", "epoch"),
        ("mean:Q", picture.y.title),
        ("low:Q", "lowest seed"),
        ("high:Q", "highest seed"),
    )
    faint = 0.75 if len(ends) <= 30 else 0.45 if len(ends) <= 120 else 0.28
    layers: list[Any] = []
    if (marks["low"] < marks["high"]).any():
        layers.append(
            top.mark_area(opacity=0.14, clip=True).encode(plain, metric_axis(picture.y, "low"), alt.Y2("high:Q"))
        )
    layers.append(others.mark_line(style="others", opacity=faint, strokeWidth=1.2, clip=True))
    layers.append(
        top.mark_line(strokeWidth=2.4, clip=True, point={"size": 46} if single else False).encode(tooltip=tip)
    )
    if single:
        layers.append(others.mark_point(style="others", filled=True, size=34, clip=True))
    stopped = ends[ends["state"].isin(["diverged", "pruned"])]
    if len(stopped):
        layers += _stops(stopped[["number", "epoch", "mean", "state"]], x, y, picture.y)
    if not narrow:
        layers.append(_labels(best, names, picture.y, height))
    return (
        overlay(*layers)
        .properties(width=width - (0 if narrow else 210), height=height)
        .resolve_scale(color="independent")
    )


def _stops(ends: pd.DataFrame, x: alt.X, y: alt.Y, axis: Axis) -> list[alt.Chart]:
    """Where lines end early: a cross where a setting diverged, a small bar where it was pruned."""
    tip = tooltips(("state:N", "ended as"), ("number:Q", "first trial"), ("epoch:Q", "epoch"), ("mean:Q", axis.title))
    faint = 0.9 if len(ends) < 60 else 0.5
    layers = []
    for state, shape, style in (("diverged", CROSS_SHAPE, "bad"), ("pruned", "stroke", "soft")):
        part = ends[ends["state"] == state]
        if len(part):
            marks = alt.Chart(data_of(part)).mark_point(
                style=style, filled=False, shape=shape, size=46, strokeWidth=1.8, opacity=faint
            )
            layers.append(marks.encode(x, y, tooltip=tip))
    return layers


def _labels(best: pd.DataFrame, names: list[str], axis: Axis, height: int) -> alt.Chart:
    """The best settings' names at the ends of their lines, moved apart so that none covers another."""
    low, high = axis.domain or (float(best["mean"].min()), float(best["mean"].max()))
    scale: Callable[[float], float] = math.log if axis.log else float
    span = (scale(high) - scale(low)) or 1.0
    wanted = [height * (1 - (scale(min(max(v, low), high)) - scale(low)) / span) for v in best["mean"]]
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    gap, placed = 17.0, [0.0] * len(wanted)
    for before, index in enumerate(order):
        placed[index] = max(wanted[index], placed[order[before - 1]] + gap if before else 6.0)
    over = (max(placed) if placed else 0.0) - (height - 4)
    if over > 0:
        for index in reversed(order):
            placed[index] = min(
                placed[index], height - 4 - gap * sum(1 for other in order if wanted[other] > wanted[index])
            )
    frame = pd.DataFrame(
        {"name": names, "at": placed, "short": [textwrap.shorten(name, 34, placeholder=" …") for name in names]}
    )
    colour = alt.Color("name:N", sort=names, scale=alt.Scale(domain=names, range="category"), legend=None)
    text = alt.Chart(data_of(frame)).mark_text(align="left", dx=10, fontSize=12, fontWeight=500)
    return text.encode(alt.XValue("width"), alt.Y("at:Q", scale=None, axis=None), alt.Text("short:N"), colour)


def _isolation(picture: Picture, width: int) -> alt.LayerChart:
    marks, height = picture.marks, 360 if width > 500 else 280
    columns = ["number", "x", "mean", "low", "high", "n", "label", "best", "state", "diverged", "pruned"]
    x, y = x_axis(picture.x, width), metric_axis(picture.y, above=_above(marks, picture))
    whole = marks.loc[marks["state"] == "complete", columns]
    complete = alt.Chart(data_of(whole))
    tip = tooltips(("label:N", "setting"), ("number:Q", "first trial"), ("mean:Q", picture.y.title), ("n:Q", "seeds"))
    crowded = 0.65 if len(marks) < 120 else 0.35 if len(marks) < 1000 else 0.18
    layers = [
        complete.mark_circle(style="main", size=46, opacity=crowded).encode(x, y, tooltip=tip),
        pick(whole, whole["best"]).mark_line(style="ink", strokeWidth=1.4, strokeDash=[4, 3], opacity=0.8).encode(x, y),
        pick(whole, whole["best"])
        .mark_point(style="ring", filled=False, size=120, strokeWidth=1.9)
        .encode(x, y, tooltip=tip),
        *_edge(marks[columns], picture, x, height),
    ]
    return overlay(*layers).properties(width=width - (70 if len(layers) > 3 else 0), height=height)


def _above(marks: pd.DataFrame, picture: Picture) -> int:
    """The pixels that what `_edge` draws takes above the plane."""
    edges = int(marks.loc[marks["state"] != "complete", "state"].nunique()) if picture.direction == "minimize" else 0
    return 17 * edges + 4 * bool(edges)


def _edge(marks: pd.DataFrame, picture: Picture, x: alt.X, height: int) -> list[Any]:
    """Settings without a final value, along the bad edge of the plane: crosses diverged, small bars pruned."""
    rows = marks[marks["state"].isin(["diverged", "pruned", "failed"])]
    if rows.empty:
        return []
    bad = picture.direction == "minimize"
    out = []
    for place, state in enumerate([s for s in ("diverged", "pruned", "failed") if (rows["state"] == s).any()]):
        at = (-14 - 17 * place) if bad else (height + 14 + 17 * place)
        part = rows[rows["state"] == state]
        apart = part if len(part) <= MOST_CROSSES else part.drop_duplicates("x").head(MOST_CROSSES)
        shape = {"diverged": CROSS_SHAPE, "pruned": "triangle-down", "failed": "square"}[state]
        tip = tooltips(
            ("label:N", "setting"),
            ("number:Q", "first trial"),
            ("diverged:Q", "seeds diverged"),
            ("pruned:Q", "seeds pruned"),
        )
        crosses = alt.Chart(data_of(apart)).mark_point(
            style="bad", filled=False, shape=shape, size=42, strokeWidth=1.8, opacity=0.85
        )
        out.append(crosses.encode(x, alt.YValue(at), tooltip=tip))
        word = alt.Chart(data_of(pd.DataFrame({"text": [f"{len(part):,} {state}"]}))).mark_text(
            style="bad", align="left", dx=12, fontSize=11.5
        )
        out.append(word.encode(alt.XValue("width"), alt.YValue(at), alt.Text("text:N")))
    return out


def _budget(picture: Picture, width: int) -> alt.LayerChart:
    height = 340 if width > 500 else 270
    above = 17 if len(picture.more["lost"]) and picture.direction == "minimize" else 0
    x, y = x_axis(picture.x, width), metric_axis(picture.y, above=above)
    base = alt.Chart(data_of(picture.marks))
    tip = tooltips(
        ("k:Q", "settings tried"),
        ("expected:Q", "expected best"),
        ("low:Q", "10 of 100 below"),
        ("high:Q", "10 of 100 above"),
    )
    seen = alt.Chart(data_of(_steps(picture.more["seen"])))
    edge = -12 if picture.direction == "minimize" else height + 12
    lost = alt.Chart(data_of(picture.more["lost"])).mark_point(
        style="bad", filled=False, shape=CROSS_SHAPE, size=42, strokeWidth=1.8, opacity=0.85
    )
    return overlay(
        base.mark_area(style="main", opacity=0.16).encode(x, metric_axis(picture.y, "low"), alt.Y2("high:Q")),
        seen.mark_line(style="second", interpolate="step-after", strokeWidth=1.5, strokeDash=[5, 3]).encode(
            x, metric_axis(picture.y, "best")
        ),
        base.mark_line(style="main", strokeWidth=2.6).encode(x, y, tooltip=tip),
        base.mark_circle(style="main", size=26).encode(x, y, tooltip=tip),
        lost.encode(x, alt.YValue(edge), tooltip=tooltips(("k:Q", "diverged: setting"))),
    ).properties(width=width, height=height)


def _look(picture: Picture, width: int) -> alt.LayerChart:
    height, narrow = 340 if width > 500 else 270, width < 500
    marks, names = picture.marks, list(dict.fromkeys(picture.marks["label"]))
    x, y = x_axis(picture.x, width), metric_axis(picture.y)
    scale = alt.Scale(domain=names, range="category")
    legend: Any = alt.Legend(
        orient="bottom", columns=1 if narrow else 2, title=None, symbolStrokeWidth=3, labelLimit=400
    )
    colour = alt.Color("label:N", sort=names, scale=scale, legend=legend if len(names) > 1 else None)
    plain = alt.Color("label:N", sort=names, scale=scale, legend=None)
    tip = tooltips(
        ("label:N", "level"),
        ("place:N", "place") if picture.x.values else ("x:Q", picture.x.title),
        ("value:Q", "median"),
        ("low:Q", "lowest"),
        ("high:Q", "highest"),
        ("n:Q", "trials"),
    )
    base = alt.Chart(data_of(marks))
    layers = [
        base.mark_line(strokeWidth=2.4, clip=True).encode(x, y, colour, tooltip=tip),
        base.mark_circle(size=46, opacity=1).encode(x, y, plain, tooltip=tip),
    ]
    if (marks["low"] < marks["high"]).any():
        band = base.mark_area(opacity=0.14, clip=True)
        layers.insert(0, band.encode(x, metric_axis(picture.y, "low"), alt.Y2("high:Q"), plain))
    return overlay(*layers).properties(width=width, height=height).resolve_legend(color="independent")


def _steps(seen: pd.DataFrame) -> pd.DataFrame:
    """The first and last of each run of equal values: all that a step line needs."""
    change = seen["best"].ne(seen["best"].shift())
    return seen[change | (seen.index == len(seen) - 1)]


def _pareto(picture: Picture, width: int) -> alt.LayerChart:
    height = 360 if width > 500 else 280
    lost = picture.more["lost"][["number", "x", "label", "state", "diverged", "pruned"]]
    x, y = x_axis(picture.x, width), metric_axis(picture.y, above=_above(lost, picture))
    columns = ["number", "x", "mean", "n", "label", "front"]
    tip = tooltips(
        ("label:N", "setting"), ("number:Q", "first trial"), ("x:Q", picture.x.title), ("mean:Q", picture.y.title)
    )
    front = pick(picture.marks[columns], picture.marks["front"])
    return overlay(
        pick(picture.marks[columns], ~picture.marks["front"])
        .mark_circle(style="others", size=40, opacity=0.6)
        .encode(x, y, tooltip=tip),
        front.mark_line(style="main", interpolate="step-after", strokeWidth=2).encode(x, y),
        front.mark_circle(style="main", size=95, opacity=1).encode(x, y, tooltip=tip),
        *_edge(lost, picture, x, height),
    ).properties(width=width - (70 if len(lost) else 0), height=height)


_CHARTS: dict[str, Callable[[Picture, int], Any]] = {
    "curves": _curves,
    "isolation": _isolation,
    "heatmap": heatmap,
    "effect": effect,
    "importance": importance,
    "parallel": parallel,
    "budget": _budget,
    "look": _look,
    "pareto": _pareto,
    "boundary": boundary,
    "surface": surface,
    "basins": basins,
}
