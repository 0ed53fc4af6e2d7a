"""Pictures in rows: strips of dots, a heat map, parallel axes, effects, importance. Needs rich."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from sweep.analysis.pictures import CROSS, Axis, Picture, rows_of
from sweep.report.columns import Columns
from sweep.report.terminal.canvas import metric_line, show, span_of, unit

_BLUES = ("#0c2c68", "#225ea8", "#1d91c0", "#5dbfc1", "#b5dfb6", "#eef6c7")
"""From best to worst; dark cells carry white text, pale ones black."""


def strips(picture: Picture, width: int) -> RenderableType:
    """A row of dots a category."""
    marks = picture.marks[picture.marks["state"] == "complete"]
    span = span_of(marks["mean"], picture.y)
    side = max(cell_len(value) for value in picture.x.values) + 1
    room = width - side - 2
    lines = [metric_line(picture.y)]
    for value in picture.x.values:
        rows = marks[marks["bucket"] == value]
        lines.append(
            Text(f"{value:>{side}} ").append_text(
                strip(rows["mean"], rows.loc[rows["best"], "mean"], span, picture.y.log, room)
            )
        )
    first, last = (show(value, picture.y) for value in span)
    lines.append(Text(f"{'':>{side}} {first}{'':{max(1, room - len(first) - len(last))}}{last}", "dim"))
    return Group(*lines, Text(), bucket_table(picture))


def strip(
    values: pd.Series, best: pd.Series, span: tuple[float, float], log: bool, room: int, zero: float | None = None
) -> Text:
    """One row of dots, the best ringed."""
    place = unit(span, log)

    def column(value: float) -> int:
        share = place(value)
        return -1 if share != share else round(min(1.0, max(0.0, share)) * (room - 1))

    counts: dict[int, int] = {}
    for value in values:
        counts[column(value)] = counts.get(column(value), 0) + 1
    most = max(counts.values(), default=1)
    out = Text()
    marked = {column(value) for value in best}
    middle = column(zero) if zero is not None else -1
    for cell in range(room):
        if cell in marked:
            out.append("◉", "bold")
        elif cell in counts:
            out.append("·•●"[min(2, int(3 * (counts[cell] - 1) / max(1, most)))] if most > 1 else "•", "cyan")
        else:
            out.append("│" if cell == middle else "─" if zero is None else " ", "dim")
    return out


def bucket_table(picture: Picture) -> Columns:
    """The best of each bucket of values."""

    rows = picture.more["buckets"]
    best = rows["best"].min() if picture.direction == "minimize" else rows["best"].max()
    table = Columns()
    hurt = bool(rows["diverged"].sum())
    for name in (picture.x.title.split(",")[0], "best", "trial", "settings", *(["diverged"] if hurt else [])):
        table.add_column(name, justify="right")
    for row in rows_of(rows):
        there = row["best"] == row["best"]
        cells = [
            row["bucket"],
            show(row["best"], picture.y) if there else "–",
            f"{row['number']:.0f}" if there else "–",
            f"{row['settings']:,}",
        ]
        table.add_row(
            *cells, *([f"{row['diverged']:,}"] if hurt else []), style="bold" if there and row["best"] == best else ""
        )
    return table


def heatmap(picture: Picture, _: int) -> RenderableType:
    """Two hyperparameters as a grid of colours."""
    scale = picture.more["scale"].iloc[0]
    axis = Axis("value", str(scale["title"]), bool(scale["log"]), bool(scale["percent"]))
    cells = {(row["x"], row["y"]): row for row in rows_of(picture.marks)}
    span = float(scale["low"]), float(scale["high"])
    place = unit(span, axis.log)
    table = Table(box=None, padding=(0, 1), show_header=True, header_style="bold", pad_edge=False)
    table.add_column(picture.y.title, justify="right", style="bold")
    for value in picture.x.values:
        table.add_column(value, justify="center", overflow="fold")
    for y in reversed(picture.y.values):
        table.add_row(y, *(_heat_cell(cells.get((x, y)), axis, place, picture.direction) for x in picture.x.values))
    head = Text(f"{axis.title}; across: {picture.x.title}; [ ] the best cell", "dim")
    return Group(head, table)


def _heat_cell(row: dict[str, Any] | None, axis: Axis, place: Callable[[float], float], direction: str) -> Text:
    if row is None:
        return Text("")
    if row["value"] != row["value"]:
        return Text(
            CROSS if row["diverged"] else "pruned" if row["pruned"] else "–", "red" if row["diverged"] else "dim"
        )
    share = place(row["value"])
    share = share if direction == "minimize" else 1 - share
    step = min(len(_BLUES) - 1, int(max(0.0, share) * len(_BLUES)))
    shown = f"{100 * row['value']:.1f}%" if axis.percent else f"{row['value']:.3g}"
    shown = f"[{shown}]" if row["best"] else f" {shown} "
    style = Style(color="white" if step < 3 else "black", bgcolor=_BLUES[step], bold=bool(row["best"]))
    return Text(f"{shown}{f' {CROSS}{_how_many(row)}' if row['diverged'] else ''}", style)


def _how_many(row: dict[str, Any]) -> str:
    """How many of a cell's settings diverged, where there are several."""
    return str(row["diverged"]) if row["settings"] > 1 else ""


def parallel(picture: Picture, width: int) -> RenderableType:
    """The ten best settings as rows between the axes' ends, each value where it lies on its axis."""
    names, marks = list(picture.x.values), picture.marks
    best = marks[(marks["rank"] <= 10)]
    room = max(6, min(16, (width - 4) // len(names) - 2))
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("rank", justify="right")
    for name in names:
        table.add_column(Text(name), width=room, overflow="fold")
    ends = picture.more["ticks"]
    for end, mark in (("idxmin", "├ "), ("idxmax", "┤ ")):
        row = [ends.loc[ends.loc[ends["axis"] == name, "at"].agg(end), "label"] for name in names]
        table.add_row("", *(Text(mark + _fitting(str(label), room - 2), "dim") for label in row))
    for rank in sorted(best["rank"].unique()):
        mine = {row["axis"]: row for row in rows_of(best[best["rank"] == rank])}
        cells = []
        for name in names:
            share, value = float(mine[name]["at"]), str(mine[name]["value"])
            value, column = _fitting(value, room), round(share * (room - 1))
            start = min(max(0, column - len(value) // 2), max(0, room - len(value)))
            cells.append(Text(" " * start).append(value, "bold" if rank == 1 else ""))
        table.add_row(str(int(rank)), *cells)
    rest = int((marks.drop_duplicates("setting")["rank"].fillna(99) > 10).sum())
    gone = int((marks.drop_duplicates("setting")["state"] == "diverged").sum())
    rest_text = f"… and {rest:,} more setting{'' if rest == 1 else 's'}"
    rest_text += f", {gone:,} of them diverged ({CROSS})" if gone else ""
    more = [Text(rest_text, "dim")] if rest else []
    return Group(
        Text("left low, right high; on the last axis right is best", "dim"),
        table,
        *more,
    )


def _fitting(value: str, room: int) -> str:
    """A value for so many characters: a number with fewer digits, since a part of 2.7e-05 is another number."""
    try:
        number = float(value)
    except ValueError:
        return value
    texts = [value, *(f"{number:.{digits}g}" for digits in range(room, 0, -1))]
    return next((text for text in texts if len(text) <= room), texts[-1])


def effect(picture: Picture, width: int) -> RenderableType:
    """A strip a comparison: dots of its cells, then its interval."""
    span = picture.x.domain or (-1.0, 1.0)
    lost = picture.more["lost"].set_index("row")
    lines: list[Text] = []
    for row in rows_of(picture.more["means"]):
        mine = picture.marks[picture.marks["row"] == row["row"]]
        away = lost.loc[row["row"]]
        dots = strip(mine["x"], mine["x"].iloc[:0], span, False, width, zero=0.0)
        lines += [
            Text(row["label"], "bold"),
            _with_crosses(dots, bool(away["left"]), bool(away["right"])),
            _whisker(row, span, width),
        ]
        lines += [Text(row["said"], "green" if row["verdict"].startswith("shown") else "dim"), Text()]
    factor = 100 if picture.x.percent else 1
    first, last = (f"{factor * value:.3g}" for value in span)
    title = picture.x.title
    lines.append(Text(f"{first}{title:^{max(len(title), width - len(first) - len(last))}}{last}", "dim"))
    legend = "dot: one cell; ◆: mean, bar: 95% interval; │: no difference"
    crossed = (
        f"; {CROSS}: cells in which one side diverged, at the end where it is the worse" if lost.any(axis=None) else ""
    )
    return Group(*lines, Text(legend + crossed, "dim"))


def _with_crosses(dots: Text, left: bool, right: bool) -> Text:
    """A strip with crosses at its ends."""
    if left:
        dots = Text.assemble((CROSS, "red"), dots[1:])
    return Text.assemble(dots[:-1], (CROSS, "red")) if right else dots


def _whisker(row: dict[str, Any], span: tuple[float, float], room: int) -> Text:
    place = unit(span, False)

    def column(value: float) -> int | None:
        return None if value != value else round(min(1.0, max(0.0, place(value))) * (room - 1))

    low, mean, high, zero = (column(value) for value in (row["low"], row["mean"], row["high"], 0.0))
    cells = [" "] * room
    if zero is not None:
        cells[zero] = "│"
    if low is not None and high is not None:
        cells[low : high + 1] = "─" * (high - low + 1)
        cells[low], cells[high] = "├", "┤"
    if mean is not None:
        cells[mean] = "◆"
    return Text("".join(cells), "bold")


def importance(picture: Picture, width: int) -> RenderableType:
    """A bar a hyperparameter."""
    marks = picture.marks
    side = max(cell_len(name) for name in picture.y.values)
    room = max(10, width - side - 26)
    top = (picture.x.domain or (0, 1))[1]
    lines = []
    for row in rows_of(marks):
        size = max(0.0, row["share"]) / top * room
        bar = "█" * int(size) + ("▌" if size % 1 >= 0.5 else "")
        ends = "" if row["low"] != row["low"] else f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        line = (
            Text(f"{row['name']:>{side}} ")
            .append(f"{bar:<{room}} ", "cyan")
            .append(f"{100 * row['share']:5.1f}%", "bold")
        )
        lines.append(line.append(ends, "dim"))
    return Group(*lines)
