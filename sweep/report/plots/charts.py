"""A chart a kind of picture, as a Vega-Lite specification that names no colour of its own. Needs altair."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd

from sweep.analysis.pictures import Axis, Picture
from sweep.report.files import plain
from sweep.report.plots.style import HEAT

WIDE = 720
"""Width of a chart's plane in pixels."""
CROSS = "M-1,-1L1,1M1,-1L-1,1"


def chart(picture: Picture, width: int = WIDE, titled: bool = True) -> dict[str, Any]:
    """The specification of a picture; without `titled`, for a page that says title and subtitle itself."""
    drawn = _CHARTS[picture.kind](picture, width)
    said: dict[str, Any] = {"description": picture.said}
    if titled:
        letters = max(40, int(width / 6.1))
        lines = [picture.subtitle, picture.ground, *picture.notes]
        wrapped = [part for line in lines for part in textwrap.wrap(line, letters)]
        said["title"] = alt.TitleParams(picture.title, subtitle=wrapped)
    spec: dict[str, Any] = drawn.properties(**said).to_dict()
    spec.pop("config", None)
    return spec


def _data(frame: pd.DataFrame) -> alt.InlineData:
    rows = [{name: _cell(value) for name, value in row.items()} for row in frame.to_dict("records")]
    return alt.InlineData(values=rows)


def _cell(value: Any) -> Any:
    kept = plain(value)
    return kept if kept is None or isinstance(kept, str | bool | int) else float(f"{kept:.10g}")


def _format(axis: Axis) -> str:
    return ".1~%" if axis.percent else ".3~g"


def _scale(axis: Axis, **more: Any) -> alt.Scale:
    domain = list(axis.domain) if axis.domain else alt.Undefined
    if axis.log:
        return alt.Scale(type="log", domain=domain, nice=False, clamp=True, **more)
    return alt.Scale(domain=domain, zero=False, nice=not axis.domain, clamp=True, **more)


def _y(axis: Axis, column: str = "", above: int = 0) -> alt.Y:
    """The metric's axis, its title lying above it."""
    ticks: Any = alt.Undefined
    if axis.log and axis.domain:
        ticks = _log_ticks(*axis.domain)
    look = alt.Axis(
        format=_format(axis),
        titleAngle=0,
        titleAlign="left",
        titleAnchor="end",
        titleX=-44,
        titleY=-14 - above,
        tickCount=6,
        values=ticks,
    )
    title = f"{axis.title}{', log scale' if axis.log else ''}"
    return alt.Y(f"{column or axis.column}:Q", title=title, scale=_scale(axis), axis=look)


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


def _x(axis: Axis, width: int) -> alt.X:
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
        format="~s" if "parameters" in axis.title else "~g",
        values=values,
        tickCount=max(3, width // 110),
        labelOverlap="greedy",
    )
    padding: Any = alt.Undefined if axis.domain else 14
    return alt.X(f"{axis.column}:Q", title=axis.title, scale=_scale(axis, padding=padding), axis=look)


def _tip(*pairs: tuple[str, str], form: str = "") -> list[alt.Tooltip]:
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
    y = _y(picture.y)
    legend: Any = alt.Legend(orient="bottom", columns=1, title=None, symbolStrokeWidth=3) if narrow else None
    colour = alt.Color("name:N", sort=names, scale=alt.Scale(domain=names, range="category"), legend=legend)
    base = alt.Chart(_data(marks[columns]))
    others = base.transform_filter("datum.rank === 0").encode(x, y, alt.Detail("setting:N"))
    top = base.transform_filter("datum.rank > 0").encode(x, y, colour)
    plain = alt.Color("name:N", sort=names, scale=alt.Scale(domain=names, range="category"), legend=None)
    tip = _tip(
        ("name:N", "setting"),
        ("epoch:Q", "epoch"),
        ("mean:Q", picture.y.title),
        ("low:Q", "lowest seed"),
        ("high:Q", "highest seed"),
    )
    faint = 0.75 if len(ends) <= 30 else 0.45 if len(ends) <= 120 else 0.28
    layers: list[Any] = []
    if (marks["low"] < marks["high"]).any():
        layers.append(top.mark_area(opacity=0.14, clip=True).encode(plain, _y(picture.y, "low"), alt.Y2("high:Q")))
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
        layers.append(_labels(best, names, picture.y, height, x))
    return (
        alt.layer(*layers)
        .properties(width=width - (0 if narrow else 210), height=height)
        .resolve_scale(color="independent")
    )


def _stops(ends: pd.DataFrame, x: alt.X, y: alt.Y, axis: Axis) -> list[alt.Chart]:
    """Where lines end early: a cross where a setting diverged, a small bar where it was pruned."""
    tip = _tip(("state:N", "ended as"), ("number:Q", "first trial"), ("epoch:Q", "epoch"), ("mean:Q", axis.title))
    faint = 0.9 if len(ends) < 60 else 0.5
    layers = []
    for state, shape, style in (("diverged", CROSS, "bad"), ("pruned", "stroke", "soft")):
        part = ends[ends["state"] == state]
        if len(part):
            marks = alt.Chart(_data(part)).mark_point(
                style=style, filled=False, shape=shape, size=46, strokeWidth=1.8, opacity=faint
            )
            layers.append(marks.encode(x, y, tooltip=tip))
    return layers


def _labels(best: pd.DataFrame, names: list[str], axis: Axis, height: int, x: alt.X) -> alt.LayerChart:
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
    text = alt.Chart(_data(frame)).mark_text(align="left", dx=10, fontSize=12, fontWeight=500)
    return text.encode(
        alt.XValue("width"), alt.Y("at:Q", scale=None, axis=None), alt.Text("short:N"), colour
    ).properties()  # type: ignore[return-value]


def _isolation(picture: Picture, width: int) -> alt.LayerChart:
    marks, height = picture.marks, 360 if width > 500 else 280
    columns = ["number", "x", "mean", "low", "high", "n", "label", "best", "state", "diverged", "pruned"]
    edges = int(marks.loc[marks["state"] != "complete", "state"].nunique()) if picture.direction == "minimize" else 0
    x, y = _x(picture.x, width), _y(picture.y, above=17 * edges + 4 * bool(edges))
    complete = alt.Chart(_data(marks.loc[marks["state"] == "complete", columns]))
    tip = _tip(("label:N", "setting"), ("number:Q", "first trial"), ("mean:Q", picture.y.title), ("n:Q", "seeds"))
    crowded = 0.65 if len(marks) < 120 else 0.35 if len(marks) < 1000 else 0.18
    layers = [
        complete.mark_circle(style="main", size=46, opacity=crowded, clip=True).encode(x, y, tooltip=tip),
        complete.transform_filter("datum.best")
        .mark_line(style="ink", strokeWidth=1.4, strokeDash=[4, 3], opacity=0.8)
        .encode(x, y),
        complete.transform_filter("datum.best")
        .mark_point(style="ring", filled=False, size=120, strokeWidth=1.9)
        .encode(x, y, tooltip=tip),
        *_edge(marks, picture, x, height, columns),
    ]
    return alt.layer(*layers).properties(width=width - (70 if len(layers) > 3 else 0), height=height)


def _edge(marks: pd.DataFrame, picture: Picture, x: alt.X, height: int, columns: list[str]) -> list[Any]:
    """Settings without a final value, along the bad edge of the plane: crosses diverged, small bars pruned."""
    rows = marks[marks["state"].isin(["diverged", "pruned", "failed"])]
    if rows.empty:
        return []
    bad = picture.direction == "minimize"
    out = []
    for place, state in enumerate([s for s in ("diverged", "pruned", "failed") if (rows["state"] == s).any()]):
        at = (-14 - 17 * place) if bad else (height + 14 + 17 * place)
        part = rows[rows["state"] == state]
        shape = {"diverged": CROSS, "pruned": "triangle-down", "failed": "square"}[state]
        tip = _tip(
            ("label:N", "setting"),
            ("number:Q", "first trial"),
            ("diverged:Q", "seeds diverged"),
            ("pruned:Q", "seeds pruned"),
        )
        crosses = alt.Chart(_data(part[columns])).mark_point(
            style="bad", filled=False, shape=shape, size=42, strokeWidth=1.8, opacity=0.85
        )
        out.append(crosses.encode(x, alt.YValue(at), tooltip=tip))
        word = alt.Chart(_data(pd.DataFrame({"text": [f"{len(part):,} {state}"]}))).mark_text(
            style="bad", align="left", dx=12, fontSize=11.5
        )
        out.append(word.encode(alt.XValue("width"), alt.YValue(at), alt.Text("text:N")))
    return out


def _heatmap(picture: Picture, width: int) -> alt.LayerChart:
    scale_row = picture.more["scale"].iloc[0]
    percent, log = bool(scale_row["percent"]), bool(scale_row["log"])
    marks = picture.marks.copy()
    values = marks["value"].dropna()
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    share = _share(marks["value"], low, high, log)
    good = share if picture.direction == "minimize" else 1 - share
    marks["dark"] = good < 0.5
    step_x, step_y = width / max(1, len(picture.x.values)), 44
    side = min(150.0, step_x)
    small = side < 46
    marks["text"] = [_heat_text(row, percent, small) for row in marks.to_dict("records")]
    marks["hurt"] = [
        f"×{row['diverged'] if row['diverged'] < row['settings'] or row['settings'] > 1 else ''}"
        if row["diverged"]
        else ""
        for row in marks.to_dict("records")
    ]
    x = alt.X(
        "x:N",
        sort=list(picture.x.values),
        title=picture.x.title,
        scale=alt.Scale(domain=list(picture.x.values), paddingInner=0.04),
        axis=alt.Axis(labelAngle=-40 if max(map(len, picture.x.values)) * 7 > side else 0, domain=False, ticks=False),
    )
    y = alt.Y(
        "y:N",
        sort=list(picture.y.values)[::-1],
        title=picture.y.title,
        scale=alt.Scale(domain=list(picture.y.values)[::-1], paddingInner=0.04),
        axis=alt.Axis(titleAngle=0, titleAlign="left", titleAnchor="end", titleX=-30, titleY=-12),
    )
    heat = HEAT if picture.direction == "minimize" else HEAT[::-1]
    title = str(scale_row["title"])
    colour = alt.Color(
        "value:Q",
        scale=alt.Scale(
            type="log" if log else "linear",
            domain=[low, high if high > low else low * 1.001 + 1e-12],
            range=heat,
            interpolate="lab",
            nice=False,
        ),
        legend=alt.Legend(
            title=f"{title}{', log scale' if log else ''}",
            orient="bottom",
            format=".1~%" if percent else ".3~g",
            gradientLength=min(260, width * 0.8),
            direction="horizontal",
            tickCount=4,
        ),
    )
    base = alt.Chart(_data(marks)).encode(x, y)
    tip = _tip(
        ("x:N", picture.x.title),
        ("y:N", picture.y.title),
        ("value:Q", title),
        ("number:Q", "first trial of its best"),
        ("settings:Q", "settings"),
        ("diverged:Q", "diverged"),
        ("pruned:Q", "pruned"),
    )
    layers: list[Any] = [
        base.transform_filter("datum.value === null").mark_rect(style="grid", cornerRadius=3).encode(tooltip=tip),
        base.transform_filter("datum.value !== null").mark_rect(cornerRadius=3).encode(colour, tooltip=tip),
        base.transform_filter("datum.best").mark_rect(style="ring", filled=False, strokeWidth=2.6, cornerRadius=3),
        base.transform_filter("datum.value !== null && datum.dark")
        .mark_text(color="#ffffff", fontSize=10.5 if small else 12.5)
        .encode(alt.Text("text:N")),
        base.transform_filter("datum.value !== null && !datum.dark")
        .mark_text(color="#14202e", fontSize=10.5 if small else 12.5)
        .encode(alt.Text("text:N")),
        base.transform_filter("datum.value === null")
        .mark_text(style="soft", fontSize=10.5 if small else 12)
        .encode(alt.Text("text:N")),
    ]
    if (marks["diverged"] > 0).any() and not small:
        corner = {"dx": side / 2 - 6, "dy": -step_y / 2 + 9, "align": "right", "fontSize": 10.5, "fontWeight": 600}
        for flag, tone in (("datum.dark", "#ffffff"), ("!datum.dark", "#8a2f00")):
            layers.append(
                base.transform_filter(f"datum.value !== null && {flag} && datum.hurt")
                .mark_text(color=tone, **corner)
                .encode(alt.Text("hurt:N"))
            )
    return alt.layer(*layers).properties(width=side * len(picture.x.values), height=step_y * len(picture.y.values))


def _share(values: pd.Series, low: float, high: float, log: bool) -> pd.Series:
    if high <= low:
        return values * 0
    return values.map(lambda v: (math.log(v / low) / math.log(high / low)) if log else (v - low) / (high - low))


def _heat_text(row: dict[str, Any], percent: bool, small: bool) -> str:
    value = row["value"]
    if value != value:
        return "×" if row["diverged"] else "pruned" if row["pruned"] and not small else "–"
    if percent:
        return f"{100 * value:.1f}%" if not small else f"{100 * value:.0f}"
    return f"{value:.2g}" if small else f"{value:.3g}" if abs(value) >= 10 else f"{value:.3f}"


def _parallel(picture: Picture, width: int) -> alt.LayerChart:
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
    base = alt.Chart(_data(marks))
    reverse = picture.direction != "minimize"
    scale = alt.Scale(type="log" if picture.y.log else "linear", range="ramp", reverse=reverse, nice=False)
    colour = alt.Color(
        "mean:Q",
        scale=scale,
        legend=alt.Legend(
            title=f"{picture.y.title}{', log scale' if picture.y.log else ''}",
            orient="bottom",
            gradientLength=min(260, width * 0.8),
            format=_format(picture.y),
            direction="horizontal",
            tickCount=4,
        ),
    )
    tip = _tip(
        ("number:Q", "first trial"),
        ("axis:N", "axis"),
        ("value:N", "value"),
        ("mean:Q", picture.y.title),
        ("state:N", "state"),
    )
    many = len(marks) / max(1, len(names))
    lines = base.encode(x, y, alt.Detail("setting:N"), tooltip=tip)
    rules = (
        alt.Chart(_data(ticks.drop_duplicates("axis")))
        .mark_rule(style="soft", opacity=0.6)
        .encode(x, alt.YValue(0), alt.Y2Value("height"))
    )
    halo = (
        alt.Chart(_data(ticks))
        .mark_text(style="halo", align="left", dx=6, dy=-5, fontSize=11)
        .encode(x, y, alt.Text("label:N"))
    )
    label = (
        alt.Chart(_data(ticks))
        .mark_text(style="ink", align="left", dx=6, dy=-5, fontSize=11)
        .encode(x, y, alt.Text("label:N"))
    )
    return alt.layer(
        rules,
        lines.transform_filter("datum.state !== 'complete'").mark_line(
            style="others", strokeDash=[3, 3], strokeWidth=1, opacity=0.55
        ),
        lines.transform_filter("datum.state === 'complete' && datum.rank > 10")
        .mark_line(strokeWidth=1.1, opacity=0.8 if many < 60 else 0.4)
        .encode(colour),
        lines.transform_filter("datum.state === 'complete' && datum.rank <= 10")
        .mark_line(strokeWidth=2.2, opacity=0.95)
        .encode(colour),
        halo,
        label,
    ).properties(width=width, height=height)


def _budget(picture: Picture, width: int) -> alt.LayerChart:
    height = 340 if width > 500 else 270
    x, y = _x(picture.x, width), _y(picture.y)
    base = alt.Chart(_data(picture.marks))
    tip = _tip(
        ("k:Q", "settings tried"),
        ("expected:Q", "expected best"),
        ("low:Q", "10 of 100 below"),
        ("high:Q", "10 of 100 above"),
    )
    seen = alt.Chart(_data(_steps(picture.more["seen"])))
    return alt.layer(
        base.mark_area(style="main", opacity=0.16).encode(x, _y(picture.y, "low"), alt.Y2("high:Q")),
        seen.mark_line(style="second", interpolate="step-after", strokeWidth=1.5, strokeDash=[5, 3]).encode(
            x, _y(picture.y, "best")
        ),
        base.mark_line(style="main", strokeWidth=2.6).encode(x, y, tooltip=tip),
        base.mark_circle(style="main", size=26).encode(x, y, tooltip=tip),
    ).properties(width=width, height=height)


def _steps(seen: pd.DataFrame) -> pd.DataFrame:
    """The first and last of each run of equal values: all that a step line needs."""
    change = seen["best"].ne(seen["best"].shift())
    return seen[change | (seen.index == len(seen) - 1)]


def _pareto(picture: Picture, width: int) -> alt.LayerChart:
    height = 360 if width > 500 else 280
    x, y = _x(picture.x, width), _y(picture.y)
    columns = ["number", "x", "mean", "n", "label", "front"]
    base = alt.Chart(_data(picture.marks[columns]))
    tip = _tip(
        ("label:N", "setting"), ("number:Q", "first trial"), ("x:Q", picture.x.title), ("mean:Q", picture.y.title)
    )
    front = base.transform_filter("datum.front")
    return alt.layer(
        base.transform_filter("!datum.front")
        .mark_circle(style="others", size=40, opacity=0.6, clip=True)
        .encode(x, y, tooltip=tip),
        front.mark_line(style="main", interpolate="step-after", strokeWidth=2).encode(x, y),
        front.mark_circle(style="main", size=95, opacity=1).encode(x, y, tooltip=tip),
    ).properties(width=width, height=height)


def _effect(picture: Picture, width: int) -> alt.LayerChart:
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
    flat: dict[str, Any] = {"scale": alt.Scale(domain=[0, height], reverse=True, nice=False, zero=False), "axis": None}
    dots = alt.Chart(_data(marks[["x", "y", "setting", "level_mean", "reference_mean", "seeds", "clear"]]))
    words = alt.Chart(_data(board[["mean", "low", "high", "y", "top", "text", "label", "short", "said", "n"]]))
    tip = _tip(
        ("setting:N", "cell"),
        ("x:Q", picture.x.title),
        ("level_mean:Q", "with it"),
        ("reference_mean:Q", "with the reference"),
        ("seeds:Q", "seeds"),
    )
    said = _tip(("label:N", "comparison"), ("said:N", "says"))
    faint = 0.75 if len(marks) < 100 else 0.4
    zero = alt.Chart(_data(pd.DataFrame({"x": [0.0]}))).mark_rule(style="soft", strokeWidth=1.4)
    return alt.layer(
        zero.encode(x),
        dots.transform_filter("datum.clear")
        .mark_circle(style="main", size=52, opacity=faint)
        .encode(x, alt.Y("y:Q", **flat), tooltip=tip),
        dots.transform_filter("!datum.clear")
        .mark_point(style="second", filled=False, size=44, strokeWidth=1.6, opacity=faint + 0.15)
        .encode(x, alt.Y("y:Q", **flat), tooltip=tip),
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
    ).properties(width=width, height=height)


def _importance(picture: Picture, width: int) -> alt.LayerChart:
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
    base = alt.Chart(_data(marks)).encode(y)
    tip = _tip(("name:N", "hyperparameter"), ("share:Q", "share"), ("low:Q", "from"), ("high:Q", "to"), form=".1%")
    layers = [base.mark_bar(style="main", opacity=0.85, height=16, cornerRadiusEnd=3).encode(x, tooltip=tip)]
    if marks["low"].notna().any():
        layers.append(
            base.mark_rule(style="ink", strokeWidth=1.8).encode(alt.X("low:Q"), alt.X2("high:Q"), tooltip=tip)
        )
    layers.append(
        base.mark_text(style="ink", align="left", dx=7, fontSize=12).encode(alt.X("end:Q"), alt.Text("said:N"))
    )
    return alt.layer(*layers).properties(width=width - 120, height=30 * len(marks))


_CHARTS: dict[str, Callable[[Picture, int], Any]] = {
    "curves": _curves,
    "isolation": _isolation,
    "heatmap": _heatmap,
    "effect": _effect,
    "importance": _importance,
    "parallel": _parallel,
    "budget": _budget,
    "pareto": _pareto,
}
