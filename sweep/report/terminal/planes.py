"""Pictures of two numbers: curves, a hyperparameter against the metric, budgets, a front, a boundary. Needs rich."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from sweep.analysis.pictures import CROSS, Picture, rows_of
from sweep.report.columns import Columns
from sweep.report.terminal.canvas import HEIGHT, Canvas, metric_line, show, span_of
from sweep.report.terminal.rows import bucket_table, strips

SIGNS = {"diverged": CROSS, "pruned": "╷"}
HUES = ("bright_cyan", "yellow", "bright_magenta", "green", "bright_blue")


def curves(picture: Picture, width: int) -> RenderableType:
    """Curves of the metric over epochs, the best numbered."""
    marks, ends = picture.marks, picture.more["ends"]
    canvas = Canvas(width, HEIGHT, span_of(marks["epoch"]), span_of(marks["mean"], picture.y), (picture.x, picture.y))
    for setting, line in marks[marks["rank"] == 0].groupby("setting"):
        canvas.line(zip(line["epoch"], line["mean"], strict=True), "dim")
        del setting
    for rank, line in sorted(marks[marks["rank"] > 0].groupby("rank"), reverse=True):
        canvas.line(zip(line["epoch"], line["mean"], strict=True), HUES[(int(str(rank)) - 1) % len(HUES)])
    for row in rows_of(ends):
        if row["rank"] == 0 and row["state"] in ("diverged", "pruned"):
            canvas.sign(
                row["epoch"],
                row["mean"],
                CROSS if row["state"] == "diverged" else "╷",
                "red" if row["state"] == "diverged" else "yellow",
            )
    best = ends[ends["rank"] > 0].sort_values("rank")
    for row in rows_of(best):
        canvas.sign(row["epoch"], row["mean"], str(row["rank"]), f"bold {HUES[(row['rank'] - 1) % len(HUES)]}")
    lines = [
        Text.assemble(
            (f"{row['rank']} ", f"bold {HUES[(row['rank'] - 1) % len(HUES)]}"),
            f"{show(row['mean'], picture.y):>7}  {row['label']}",
        )
        for row in rows_of(best)
    ]
    return Group(metric_line(picture.y), canvas.text(), Text(), *lines)


def isolation(picture: Picture, width: int) -> RenderableType:
    """One hyperparameter against the metric."""
    if picture.x.values:
        return strips(picture, width)
    marks = picture.marks
    complete = marks[marks["state"] == "complete"]
    canvas = Canvas(width, HEIGHT, span_of(marks["x"]), span_of(complete["mean"], picture.y), (picture.x, picture.y))
    for row in rows_of(complete):
        canvas.dot(row["x"], row["mean"], "cyan")
    best = complete[complete["best"]].sort_values("x")
    for row in rows_of(best):
        canvas.sign(row["x"], row["mean"], "◉", "bold")
    for state, sign in SIGNS.items():
        _lost(canvas, picture, marks.loc[marks["state"] == state, "x"], sign)
    return Group(metric_line(picture.y), canvas.text(), Text(), bucket_table(picture))


def _lost(canvas: Canvas, picture: Picture, places: pd.Series, sign: str) -> None:
    """Settings without a final value, along the bad edge of the plane."""
    edge = picture.y.domain or (0.0, 1.0)
    bad = max(edge) if picture.direction == "minimize" else min(edge)
    for x in places.unique():
        canvas.sign(float(x), bad, sign, "red" if sign == CROSS else "yellow")


def budget(picture: Picture, width: int) -> RenderableType:
    """The best to expect of so many trials."""
    marks, seen = picture.marks, picture.more["seen"]
    everything = pd.concat([marks["expected"], marks["low"], marks["high"], seen["best"]])
    canvas = Canvas(width, HEIGHT, span_of(marks["k"]), span_of(everything, picture.y), (picture.x, picture.y))
    for column in ("low", "high"):
        canvas.line(zip(marks["k"], marks[column], strict=True), "dim", dashed=True)
    canvas.line(zip(marks["k"], marks["expected"], strict=True), "bold cyan")
    _lost(canvas, picture, picture.more["lost"]["k"], CROSS)
    lines = [f"{k:,}: {show(_nearest(marks, k), picture.y)}" for k in _few(marks["k"])]
    return Group(
        metric_line(picture.y),
        canvas.text(),
        Text(),
        Text("expected best of " + " · ".join(lines)),
        Text("solid: expected best; dashed: 80 of 100 draws lie between", "dim"),
    )


def _nearest(marks: pd.DataFrame, k: int) -> float:
    return min(rows_of(marks), key=lambda row: abs(row["k"] - k))["expected"]  # type: ignore[no-any-return]


def look(picture: Picture, width: int) -> RenderableType:
    """Lines of what was looked at, numbered by level."""
    marks = picture.marks
    axis = picture.x if not picture.x.values else replace(picture.x, title=" → ".join(picture.x.values))
    canvas = Canvas(
        width, HEIGHT, span_of(marks["x"], picture.x), span_of(marks["value"], picture.y), (axis, picture.y)
    )
    legend = []
    for row in rows_of(marks.drop_duplicates("level")):
        line = marks[marks["level"] == row["level"]]
        hue = HUES[(row["level"] - 1) % len(HUES)]
        canvas.line(zip(line["x"], line["value"], strict=True), hue)
        canvas.sign(line["x"].iloc[-1], line["value"].iloc[-1], str(row["level"]), f"bold {hue}")
        last = show(line["value"].iloc[-1], picture.y)
        legend.append(Text.assemble((f"{row['level']} ", f"bold {hue}"), f"{last:>8}  {row['label']}"))
    return Group(metric_line(picture.y), canvas.text(), Text(), *legend)


def _few(budgets: Sequence[int] | pd.Series) -> list[int]:
    last = int(max(budgets))
    return sorted({k for k in (1, 3, 10, 30, 100, 300, 1000, 10_000) if k < last} | {last})


def pareto(picture: Picture, width: int) -> RenderableType:
    """A front of two objectives, and what lies behind it."""

    marks, lost = picture.marks, picture.more["lost"]
    across = span_of(pd.concat([marks["x"], lost["x"]]).astype("float64"))
    canvas = Canvas(width, HEIGHT, across, span_of(marks["mean"], picture.y), (picture.x, picture.y))
    for state, sign in SIGNS.items():
        _lost(canvas, picture, lost.loc[lost["state"] == state, "x"], sign)
    for row in rows_of(marks[~marks["front"]]):
        canvas.dot(row["x"], row["mean"], "dim")
    front = marks[marks["front"]].sort_values("x")
    for row in rows_of(front):
        canvas.sign(row["x"], row["mean"], "●", "bold cyan")
    table = Columns()
    for name in (picture.x.title.split(",")[0], picture.y.title, "trial"):
        table.add_column(name, justify="right")
    table.add_column("setting", flows=True)
    for row in rows_of(front.head(20)):
        table.add_row(show(row["x"], picture.x), show(row["mean"], picture.y), str(row["number"]), row["label"])
    return Group(metric_line(picture.y), canvas.text(), Text(), Text("● none is better in both:"), table)


AREAS = " ·:░▒▓"
"""A sign for each class' area; more classes begin again."""


def boundary(picture: Picture, width: int) -> RenderableType:
    """The areas of a network's answers, and the validation rows, by the number of their class."""
    marks, regions = picture.marks, picture.more["regions"]
    assert picture.x.domain
    assert picture.y.domain
    canvas = Canvas(width, 22, picture.x.domain, picture.y.domain, (picture.x, picture.y))
    (left, right), (low, high) = picture.x.domain, picture.y.domain
    across, up = (right - left) / canvas.columns, (high - low) / canvas.rows
    tops = sorted(set(regions["y"]))
    by_line = dict(tuple(regions.groupby("y")))
    for row in range(canvas.rows):
        middle = high - (row + 0.5) * up
        line = rows_of(by_line[max([top for top in tops if top <= middle], default=tops[0])])
        for column in range(canvas.columns):
            at = left + (column + 0.5) * across
            label = next((run["label"] for run in line if run["x"] <= at <= run["x2"]), line[-1]["label"])
            place = int(str(label).split()[1])
            canvas.put(row, column, AREAS[place % len(AREAS)], HUES[place % len(HUES)])
    held = marks[marks["part"] == "validation"]
    for mark in rows_of(held):
        row, column = int((high - mark["y"]) / up), int((mark["x"] - left) / across)
        number = str(mark["label"]).split()[1][-1]
        style = f"bold {HUES[int(number) % len(HUES)]}" if mark["right"] else "bold white on red"
        canvas.put(row, column, number if mark["right"] else CROSS, style)
    names = sorted({str(name) for name in regions["label"]}, key=lambda name: int(name.split()[1]))
    told = ", ".join(f"{name} {AREAS[int(name.split()[1]) % len(AREAS)]!r}" for name in names)
    return Group(Text(picture.y.title, "dim"), canvas.text(), Text(), Text(f"areas: {told}; {CROSS} is wrong", "dim"))
