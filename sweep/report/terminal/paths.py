"""Paths down functions in the terminal: curve or contours with paths over them, ends by sign. Needs rich."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.analysis.pictures import CROSS, Picture, rows_of
from sweep.report.terminal.canvas import Canvas, metric_line, span_of
from sweep.report.terminal.planes import HUES

TALL = 20


def surface(picture: Picture, width: int) -> RenderableType:
    """The ground in faint dots; each path a line, its number where it ends."""
    canvas = Canvas(width, TALL, picture.x.domain or (0, 1), picture.y.domain or (0, 1), (picture.x, picture.y))
    if "lines" in picture.more:
        for row in rows_of(picture.more["lines"]):
            canvas.dot((row["x"] + row["x2"]) / 2, (row["y"] + row["y2"]) / 2, "dim")
    else:
        ground = picture.more["ground"]
        canvas.line(zip(ground["x"], ground["y"], strict=True), "dim")
    lines = []
    for path, part in picture.marks.groupby("path"):
        hue, last = HUES[(int(str(path)) - 1) % len(HUES)], part.iloc[-1]
        low, high = picture.y.domain or (0, 1)
        inside = part[part["y"].between(low, high) & part["x"].between(*(picture.x.domain or (0, 1)))]
        canvas.line(zip(inside["x"], inside["y"], strict=True), hue)
        if len(inside):
            canvas.mark(inside["x"].iloc[0], inside["y"].iloc[0], "○", hue)
            canvas.sign(inside["x"].iloc[-1], inside["y"].iloc[-1], str(path), f"bold {hue}")
        end = (
            "left every bound"
            if last["state"] == "diverged"
            else f"value {last['value']:.4g} after {last['step']:,} steps"
        )
        lines.append(Text.assemble((f"{path} ", f"bold {hue}"), f"{last['label']}: {end}"))
    return Group(metric_line(picture.y), canvas.text(), Text(), *lines)


def basins(picture: Picture, width: int) -> RenderableType:
    """A sign at each start: a letter for where its path ended, × where it left every bound, · elsewhere."""
    marks = picture.marks
    names = [name for name in dict.fromkeys(marks.sort_values("value")["end"]) if name]
    signs = dict(zip(names, "abcdefgh", strict=False))
    canvas = Canvas(width, TALL, span_of(marks["x"], picture.x), span_of(marks["y"], picture.y), (picture.x, picture.y))
    for row in rows_of(marks):
        lost, place = row["state"] != "complete", names.index(row["end"]) if row["end"] else -1
        sign = CROSS if lost else signs.get(row["end"], "·")
        canvas.mark(row["x"], row["y"], sign, "red" if lost else "dim" if place < 0 else HUES[place % len(HUES)])
    lines = [
        Text.assemble((f"{signs[name]} ", f"bold {HUES[place % len(HUES)]}"), name) for place, name in enumerate(names)
    ]
    return Group(metric_line(picture.y), canvas.text(), Text(), *lines)
