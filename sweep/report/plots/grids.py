"""Charts in rows and columns: heat map, parallel coordinates, effect, importance, boundary. Needs altair."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import altair as alt
import pandas as pd

from sweep.analysis.pictures import CROSS, Picture, rows_of
from sweep.report.plots.base import CROSS_SHAPE, data_of, number_format, overlay, pick, tooltips
from sweep.report.plots.style import HEAT

TALL = 44
"""Pixels of a heat map's row."""


def heatmap(picture: Picture, width: int) -> alt.LayerChart:
    side = min(150.0, width / max(1, len(picture.x.values)))
    small = side < 46
    marks = _cells(picture, small)
    place, known = _heat_axes(picture, side), marks["value"].notna()
    cells = [
        _heat_layer(marks, ~known, place).mark_rect(style="grid", cornerRadius=3),
        _heat_layer(marks, known, place).mark_rect(cornerRadius=3).encode(_heat_colour(picture, width)),
    ]
    best = _heat_layer(marks, marks["best"], place)
    layers = [
        *(cell.encode(tooltip=_heat_tooltips(picture)) for cell in cells),
        best.mark_rect(style="ring", filled=False, strokeWidth=2.6, cornerRadius=3),
        *_heat_words(marks, known, place, small),
    ]
    if (marks["diverged"] > 0).any():
        layers += _heat_corners(marks, known & (marks["hurt"] != ""), place, side)
    return overlay(*layers).properties(width=side * len(picture.x.values), height=TALL * len(picture.y.values))


def _cells(picture: Picture, small: bool) -> pd.DataFrame:
    """A row a cell: the picture's, whether it is dark, what stands in it and in its corner."""
    look, marks = picture.more["scale"].iloc[0], picture.marks.copy()
    share = _share(marks["value"], *_ends(picture), bool(look["log"]))
    marks["dark"] = (share if picture.direction == "minimize" else 1 - share) < 0.5
    marks["text"] = [_heat_text(row, bool(look["percent"]), small) for row in rows_of(marks)]
    marks["hurt"] = [_hurt_text(row) for row in rows_of(marks)]
    return marks


def _ends(picture: Picture) -> tuple[float, float]:
    """The ends of a heat map's colours; values beyond them have the colour of the end."""
    look = picture.more["scale"].iloc[0]
    return float(look["low"]), float(look["high"])


def _heat_axes(picture: Picture, side: float) -> tuple[alt.X, alt.Y]:
    columns, rows = list(picture.x.values), list(picture.y.values)[::-1]
    tilt = -40 if max(map(len, columns)) * 7 > side else 0
    x = alt.X(
        "x:N",
        sort=columns,
        title=picture.x.title,
        scale=alt.Scale(domain=columns, paddingInner=0.04),
        axis=alt.Axis(labelAngle=tilt, domain=False, ticks=False),
    )
    y = alt.Y(
        "y:N",
        sort=rows,
        title=picture.y.title,
        scale=alt.Scale(domain=rows, paddingInner=0.04),
        axis=alt.Axis(titleAngle=0, titleAlign="left", titleAnchor="end", titleX=-30, titleY=-12),
    )
    return x, y


def _heat_colour(picture: Picture, width: int) -> alt.Color:
    look = picture.more["scale"].iloc[0]
    low, high = _ends(picture)
    scale = alt.Scale(
        type="log" if look["log"] else "linear",
        domain=[low, high if high > low else low * 1.001 + 1e-12],
        range=HEAT if picture.direction == "minimize" else HEAT[::-1],
        interpolate="lab",
        clamp=True,
        nice=False,
    )
    legend = alt.Legend(
        title=f"{look['title']}{', log scale' if look['log'] else ''}",
        orient="bottom",
        format=".2~%" if look["percent"] else ".3~g",
        gradientLength=min(260, width * 0.8),
        direction="horizontal",
        tickCount=4,
    )
    return alt.Color("value:Q", scale=scale, legend=legend)


def _heat_tooltips(picture: Picture) -> list[alt.Tooltip]:
    return tooltips(
        ("x:N", picture.x.title),
        ("y:N", picture.y.title),
        ("value:Q", str(picture.more["scale"].iloc[0]["title"])),
        ("number:Q", "first trial of its best"),
        ("settings:Q", "settings"),
        ("diverged:Q", "diverged"),
        ("pruned:Q", "pruned"),
    )


def _heat_layer(marks: pd.DataFrame, mask: pd.Series, place: tuple[alt.X, alt.Y]) -> alt.Chart:
    return pick(marks, mask).encode(*place)


def _heat_words(marks: pd.DataFrame, known: pd.Series, place: tuple[alt.X, alt.Y], small: bool) -> list[alt.Chart]:
    """What stands in the cells, in a tone that can be read there."""
    size = 10.5 if small else 12.5
    looks: list[tuple[pd.Series, dict[str, Any]]] = [
        (known & marks["dark"], {"color": "#ffffff", "fontSize": size}),
        (known & ~marks["dark"], {"color": "#14202e", "fontSize": size}),
        (~known, {"style": "soft", "fontSize": 10.5 if small else 12}),
    ]
    return [_heat_layer(marks, mask, place).mark_text(**look).encode(alt.Text("text:N")) for mask, look in looks]


def _heat_corners(marks: pd.DataFrame, mask: pd.Series, place: tuple[alt.X, alt.Y], side: float) -> list[alt.Chart]:
    """What diverged, in a cell's upper right corner."""
    size = 8.5 if side < 46 else 10.5
    corner = {"dx": side / 2 - 6, "dy": -TALL / 2 + 9, "align": "right", "fontSize": size, "fontWeight": 600}
    return [
        _heat_layer(marks, mask & dark, place).mark_text(color=tone, **corner).encode(alt.Text("hurt:N"))
        for dark, tone in ((marks["dark"], "#ffffff"), (~marks["dark"], "#8a2f00"))
    ]


def _share(values: pd.Series, low: float, high: float, log: bool) -> pd.Series:
    if high <= low:
        return values * 0
    return values.map(lambda v: (math.log(v / low) / math.log(high / low)) if log else (v - low) / (high - low))


def _heat_text(row: dict[str, Any], percent: bool, small: bool) -> str:
    value = row["value"]
    if value != value:
        return CROSS if row["diverged"] else "pruned" if row["pruned"] and not small else "–"
    if percent:
        return f"{100 * value:.1f}%" if not small else f"{100 * value:.0f}"
    return f"{value:.2g}" if small else f"{value:.3g}" if abs(value) >= 10 else f"{value:.3f}"


def _hurt_text(row: dict[str, Any]) -> str:
    """A cross where settings of a cell diverged, and how many, if that is not its only one."""
    if not row["diverged"]:
        return ""
    return f"{CROSS}{row['diverged'] if row['diverged'] < row['settings'] or row['settings'] > 1 else ''}"


def parallel(picture: Picture, width: int) -> alt.LayerChart:
    height = 360 if width > 500 else 300
    names = list(picture.x.values)
    marks, ticks = picture.marks, picture.more["ticks"]
    tilt = sum(len(name) + 2 for name in names) * 7 > width
    look = alt.Axis(
        labelAngle=-30 if tilt else 0,
        orient="top",
        domain=False,
        ticks=False,
        labelFontWeight=600,
        labelPadding=10,
        labelLimit=120,
    )
    x = alt.X("axis:N", sort=names, title=None, scale=alt.Scale(domain=names, type="point", padding=0.25), axis=look)
    y = alt.Y("at:Q", scale=alt.Scale(domain=[-0.02, 1.02]), axis=None)
    reverse = picture.direction != "minimize"
    ends = list(picture.y.domain or (0.0, 1.0))
    ends = ends if ends[1] > ends[0] else [ends[0], ends[0] * 1.001 + 1e-12]
    kind: Any = "log" if picture.y.log else "linear"
    scale = alt.Scale(type=kind, domain=ends, clamp=True, range="ramp", reverse=reverse, nice=False)
    colour = alt.Color(
        "mean:Q",
        scale=scale,
        legend=alt.Legend(
            title=f"{picture.y.title}{', log scale' if picture.y.log else ''}",
            orient="bottom",
            gradientLength=min(260, width * 0.8),
            format=number_format(picture.y),
            direction="horizontal",
            tickCount=4,
        ),
    )
    tip = tooltips(
        ("number:Q", "first trial"),
        ("axis:N", "axis"),
        ("value:N", "value"),
        ("mean:Q", picture.y.title),
        ("state:N", "state"),
    )
    many = len(marks) / max(1, len(names))

    def lines(mask: pd.Series) -> alt.Chart:
        return pick(marks, mask).encode(x, y, alt.Detail("setting:N"), tooltip=tip)

    rules = (
        alt.Chart(data_of(ticks.drop_duplicates("axis")))
        .mark_rule(style="soft", opacity=0.6)
        .encode(x, alt.YValue(0), alt.Y2Value("height"))
    )
    halo = (
        alt.Chart(data_of(ticks))
        .mark_text(style="halo", align="left", dx=6, dy=-5, fontSize=11)
        .encode(x, y, alt.Text("label:N"))
    )
    label = (
        alt.Chart(data_of(ticks))
        .mark_text(style="ink", align="left", dx=6, dy=-5, fontSize=11)
        .encode(x, y, alt.Text("label:N"))
    )
    return overlay(
        rules,
        lines(marks["state"] != "complete").mark_line(style="others", strokeDash=[3, 3], strokeWidth=1, opacity=0.55),
        lines(marks["rank"] > 10).mark_line(strokeWidth=1.1, opacity=0.8 if many < 60 else 0.4).encode(colour),
        lines(marks["rank"] <= 10).mark_line(strokeWidth=2.2, opacity=0.95).encode(colour),
        pick(marks, (marks["state"] == "diverged") & (marks["axis"] == names[-1]))
        .mark_point(style="bad", filled=False, shape=CROSS_SHAPE, size=42, strokeWidth=1.8, opacity=0.85)
        .encode(x, y, tooltip=tip),
        halo,
        label,
    ).properties(width=width, height=height)


def effect(picture: Picture, width: int) -> alt.LayerChart:
    """A band a comparison: what it says above, its dots below, mean and interval beneath them."""
    band, board = 96, picture.more["means"]
    factor = 100 if picture.x.percent else 1
    narrow = width < 500
    height = band * len(board)
    letters = max(30, int(width / 6.4))
    marks = picture.marks.assign(x=picture.marks["x"] * factor)
    marks["y"] = marks["row"] * band + 58 - 15 * marks["lift"].clip(-1, 1)
    low, high = picture.x.domain or (-1, 1)
    marks["clear"] = marks["x"] < 0 if picture.direction == "minimize" else marks["x"] > 0
    board = board.assign(**{name: board[name] * factor for name in ("mean", "low", "high")})
    board["y"], board["top"], board["text"] = (
        board["row"] * band + 84,
        board["row"] * band + 14,
        board["row"] * band + 31,
    )
    board["short"] = [textwrap.shorten(said, letters, placeholder=" …") for said in board["said"]]
    x = alt.X(
        "x:Q",
        title=picture.x.title,
        scale=alt.Scale(domain=[low * factor, high * factor], clamp=True, nice=False),
        axis=alt.Axis(format=".4~g", grid=True, tickCount=4 if narrow else 7),
    )
    lost = _lost_cells(picture, x_low=low * factor, x_high=high * factor, band=band)
    flat: dict[str, Any] = {"scale": alt.Scale(domain=[0, height], reverse=True, nice=False, zero=False), "axis": None}
    points = marks[["x", "y", "setting", "level_mean", "reference_mean", "seeds", "clear"]]
    words = alt.Chart(data_of(board[["mean", "low", "high", "y", "top", "text", "label", "short", "said", "n"]]))
    tip = tooltips(
        ("setting:N", "cell"),
        ("x:Q", picture.x.title),
        ("level_mean:Q", "with it"),
        ("reference_mean:Q", "with the reference"),
        ("seeds:Q", "seeds"),
    )
    said = tooltips(("label:N", "comparison"), ("said:N", "says"))
    faint = 0.75 if len(marks) < 100 else 0.4
    zero = alt.Chart(data_of(pd.DataFrame({"x": [0.0]}))).mark_rule(style="soft", strokeWidth=1.4)
    return overlay(
        zero.encode(x),
        pick(points, points["clear"])
        .mark_circle(style="main", size=52, opacity=faint)
        .encode(x, alt.Y("y:Q", **flat), tooltip=tip),
        pick(points, ~points["clear"])
        .mark_point(style="second", filled=False, size=44, strokeWidth=1.6, opacity=faint + 0.15)
        .encode(x, alt.Y("y:Q", **flat), tooltip=tip),
        alt.Chart(data_of(lost))
        .mark_point(style="bad", filled=False, shape=CROSS_SHAPE, size=42, strokeWidth=1.8)
        .encode(x, alt.Y("y:Q", **flat), tooltip=tooltips(("said:N", "diverged"))),
        alt.Chart(data_of(lost[lost["cells"] > 1]))
        .mark_text(style="bad", fontSize=11, dy=13)
        .encode(x, alt.Y("y:Q", **flat), alt.Text("cells:Q")),
        words.mark_rule(style="ink", strokeWidth=3.2).encode(
            alt.X("low:Q"), alt.X2("high:Q"), alt.Y("y:Q", **flat), tooltip=said
        ),
        words.mark_point(style="ink", shape="diamond", filled=True, size=150, opacity=1).encode(
            alt.X("mean:Q"), alt.Y("y:Q", **flat), tooltip=said
        ),
        words.mark_text(style="halo", align="left", fontWeight=600, fontSize=13).encode(
            alt.XValue(0), alt.Y("top:Q", **flat), alt.Text("label:N")
        ),
        words.mark_text(style="ink", align="left", fontWeight=600, fontSize=13).encode(
            alt.XValue(0), alt.Y("top:Q", **flat), alt.Text("label:N")
        ),
        words.mark_text(style="halo", align="left").encode(alt.XValue(0), alt.Y("text:Q", **flat), alt.Text("short:N")),
        words.mark_text(style="soft", align="left").encode(alt.XValue(0), alt.Y("text:Q", **flat), alt.Text("short:N")),
        *_legend(picture, len(lost) > 0, width),
    ).properties(width=width, height=height)


def _lost_cells(picture: Picture, x_low: float, x_high: float, band: int) -> pd.DataFrame:
    """Where the crosses of cells that divergence decided stand: at the end to which the difference has none."""
    rows = []
    for row in rows_of(picture.more["lost"]):
        for side, x in (("left", x_low), ("right", x_high)):
            if cells := int(row[side]):
                said = f"one side for more seeds, in {cells} cell{'' if cells == 1 else 's'}"
                rows.append({"x": x, "y": int(row["row"]) * band + 58, "cells": cells, "said": said})
    return pd.DataFrame(rows, columns=["x", "y", "cells", "said"])


def _legend(picture: Picture, lost: bool, width: int) -> list[alt.Chart]:
    """What the marks mean, above the plane: a mark and its word each, in as many lines as they need."""
    good: dict[str, Any] = {"style": "main", "shape": "circle", "filled": True, "size": 52}
    poor: dict[str, Any] = {"style": "second", "shape": "circle", "filled": False, "size": 44, "strokeWidth": 1.6}
    mean: dict[str, Any] = {"style": "ink", "shape": "diamond", "filled": True, "size": 150}
    bar: dict[str, Any] = {"style": "ink", "shape": "stroke", "filled": False, "size": 260, "strokeWidth": 3.2}
    cross: dict[str, Any] = {"style": "bad", "shape": CROSS_SHAPE, "filled": False, "size": 42, "strokeWidth": 1.8}
    there = picture.more["means"]["low"].notna().any()
    items = [(good, "pair, better"), (poor, "pair, worse or equal"), (mean, "mean of pairs")]
    items += [(bar, "95% interval")] * bool(there) + [(cross, "pair in which one side diverged")] * lost
    lines: list[list[tuple[dict[str, Any], str]]] = [[]]
    for item in items:
        if lines[-1] and sum(_room(word) for _, word in [*lines[-1], item]) > width:
            lines.append([])
        lines[-1].append(item)
    out = []
    for place, line in enumerate(reversed(lines)):
        at, y = 8.0, -12 - 19 * place
        for mark, word in line:
            chart = alt.Chart(data_of(pd.DataFrame({"word": [word]})))
            out.append(chart.mark_point(**mark, opacity=1).encode(alt.XValue(at), alt.YValue(y)))
            text = chart.mark_text(style="soft", align="left", dx=14, fontSize=12)
            out.append(text.encode(alt.XValue(at), alt.YValue(y), alt.Text("word:N")))
            at += _room(word)
    return out


def _room(word: str) -> float:
    """The pixels that a mark and its word take."""
    return 36 + 6.4 * len(word)


def importance(picture: Picture, width: int) -> alt.LayerChart:
    marks = picture.marks.copy()
    marks["said"] = [f"{100 * share:.1f}%" for share in marks["share"]]
    marks["end"] = marks[["share", "high"]].max(axis=1)
    x = alt.X(
        "share:Q",
        title=picture.x.title,
        scale=alt.Scale(domain=list(picture.x.domain or (0, 1)), clamp=True),
        axis=alt.Axis(format=".0%", grid=True, tickCount=6),
    )
    y = alt.Y("name:N", sort=list(picture.y.values), title=None, axis=alt.Axis(labelFontSize=12.5, labelLimit=140))
    base = alt.Chart(data_of(marks)).encode(y)
    tip = tooltips(("name:N", "hyperparameter"), ("share:Q", "share"), ("low:Q", "from"), ("high:Q", "to"), form=".1%")
    layers = [base.mark_bar(style="main", opacity=0.85, height=16, cornerRadiusEnd=3).encode(x, tooltip=tip)]
    if marks["low"].notna().any():
        layers.append(
            base.mark_rule(style="ink", strokeWidth=1.8).encode(alt.X("low:Q"), alt.X2("high:Q"), tooltip=tip)
        )
    layers.append(
        base.mark_text(style="ink", align="left", dx=7, fontSize=12).encode(alt.X("end:Q"), alt.Text("said:N"))
    )
    return overlay(*layers).properties(width=width - 120, height=30 * len(marks))


def boundary(picture: Picture, width: int) -> alt.LayerChart:
    side = min(width, 560)
    marks, regions = picture.marks, picture.more["regions"]
    names = sorted({*marks["label"], *regions["label"]}, key=lambda name: int(name.split()[1]))
    legend = alt.Legend(title=None, orient="bottom", symbolOpacity=1)
    colour = alt.Color("label:N", scale=alt.Scale(domain=names, range="category"), legend=legend)
    scales = [alt.Scale(domain=list(axis.domain or ()), nice=False, zero=False) for axis in (picture.x, picture.y)]
    x = alt.X("x:Q", title=picture.x.title, scale=scales[0], axis=alt.Axis(labelOverlap=True, tickCount=8))
    y = alt.Y("y:Q", title=picture.y.title, scale=scales[1], axis=alt.Axis(grid=False, tickCount=8))
    pale = alt.Fill("label:N", scale=alt.Scale(domain=names, range="ordinal"), legend=None)
    tall = regions.assign(y2=2 * regions["y2"] - regions["y"])  # under the next row, so that no seam shows
    areas = alt.Chart(data_of(tall)).mark_rect(clip=True)
    held, tip = marks["part"] == "validation", tooltips(("label:N", "its class"), ("part:N", "part"))
    wrong = held & ~marks["right"]
    layers = [
        areas.encode(x, y, alt.X2("x2:Q"), alt.Y2("y2:Q"), pale),
        pick(marks, ~held).mark_circle(size=16, opacity=0.75).encode(x, y, colour, tooltip=tip),
        pick(marks, held & marks["right"]).mark_circle(size=30, opacity=1).encode(x, y, colour, tooltip=tip),
        pick(marks, held & marks["right"]).mark_point(style="ink", size=30, strokeWidth=0.8).encode(x, y, tooltip=tip),
        pick(marks, wrong).mark_circle(size=110, opacity=1).encode(x, y, colour, tooltip=tip),
        pick(marks, wrong).mark_point(style="ink", size=110, strokeWidth=1).encode(x, y, tooltip=tip),
        pick(marks, wrong)
        .mark_point(style="paper", shape=CROSS_SHAPE, size=34, strokeWidth=2, opacity=1)
        .encode(x, y, tooltip=tip),
    ]
    return overlay(*layers).properties(width=side, height=side * 0.8)
