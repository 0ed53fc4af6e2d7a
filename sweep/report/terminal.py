"""Pictures in the terminal: braille curves and dots, bars, a heat map, in few columns and without colour too. Needs rich.

What colour says is said by a sign as well: the best are numbered, ◉ is a bucket's best, ✕ diverged, a front is ●.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pandas as pd
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from sweep.analysis.pictures import Axis, Picture, rows_of

HUES = ("bright_cyan", "yellow", "bright_magenta", "green", "bright_blue")
WIDEST, HEIGHT = 100, 14
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLUES = ("#0c2c68", "#225ea8", "#1d91c0", "#5dbfc1", "#b5dfb6", "#eef6c7")
"""From best to worst; dark cells carry white text, pale ones black."""


def terminal(picture: Picture, width: int) -> RenderableType:
    """A picture as text, at most `width` columns wide: title, marks, what is shown, notes."""
    width = max(40, min(width, WIDEST))
    head = Text.assemble((picture.title, "bold"), "\n", _subtitle(picture))
    foot = Text("\n".join([picture.ground, *picture.notes]), "dim")
    return Group(head, Text(), _DRAWN[picture.kind](picture, width), Text(), foot)


def _subtitle(picture: Picture) -> str:
    """What is shown, where it differs from the chart's."""
    if picture.kind == "parallel":
        return "the ten best settings, each value where it lies on its axis"
    text = picture.subtitle.replace("rings mark", "◉ marks").replace("; steps: the best so far as this study went", "")
    return text.replace(", band from lowest to highest", "")


class Canvas:
    """A plane of braille dots (2 x 4 a character) and single characters above them, with numbers along its sides."""

    def __init__(
        self, width: int, height: int, x: tuple[float, float], y: tuple[float, float], axes: tuple[Axis, Axis]
    ) -> None:
        self.axes = axes
        self.left = max(len(_number(value, axes[1])) for value in y) + 2
        self.columns, self.rows = max(10, width - self.left), height
        self._x, self._y = _unit(x, axes[0].log), _unit(y, axes[1].log)
        self._span = (x, y)
        self._dots: dict[tuple[int, int], tuple[int, str]] = {}
        self._signs: dict[tuple[int, int], tuple[str, str]] = {}

    def place(self, x: float, y: float) -> tuple[float, float] | None:
        """Where a value lies, in dots from the left and from the top; none if it is not finite or outside."""
        across, up = self._x(x), self._y(y)
        if not (math.isfinite(across) and math.isfinite(up)) or not (-1e-9 <= across <= 1 + 1e-9):
            return None
        return across * (2 * self.columns - 1), (1 - min(1.0, max(0.0, up))) * (4 * self.rows - 1)

    def dot(self, x: float, y: float, style: str) -> None:
        """One dot."""
        at = self.place(x, y)
        if at:
            self._set(round(at[0]), round(at[1]), style)

    def _set(self, column: int, row: int, style: str) -> None:
        cell = (row // 4, column // 2)
        self._dots[cell] = (self._dots.get(cell, (0, ""))[0] | _DOTS[column % 2][row % 4], style)

    def line(self, points: Iterable[tuple[float, float]], style: str, dashed: bool = False) -> None:
        """Straight lines from point to point."""
        placed = [at for at in (self.place(x, y) for x, y in points) if at]
        for (x0, y0), (x1, y1) in itertools.pairwise(placed):
            steps = max(1, round(max(abs(x1 - x0), abs(y1 - y0))))
            for step in range(steps + 1):
                if not dashed or (step // 3) % 2 == 0:
                    self._set(round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps), style)
        if len(placed) == 1:
            self._set(round(placed[0][0]), round(placed[0][1]), style)

    def sign(self, x: float, y: float, sign: str, style: str) -> None:
        """A character over the dots, moved down or up to the next free cell."""
        at = self.place(x, y)
        if at:
            row, column = int(at[1] // 4), min(self.columns - 1, int(at[0] // 2))
            free = [
                r
                for step in range(self.rows)
                for r in (row + step, row - step)
                if 0 <= r < self.rows and (r, column) not in self._signs
            ]
            if free:
                self._signs[free[0], column] = (sign, style)

    def text(self) -> Text:
        """The plane with its numbers."""
        low, high = self._span[1]
        middle = math.sqrt(low * high) if self.axes[1].log else (low + high) / 2
        labels = {0: high, self.rows // 2: middle, self.rows - 1: low}
        out = Text()
        for row in range(self.rows):
            label = _number(labels[row], self.axes[1]) if row in labels else ""
            out.append(f"{label:>{self.left - 2}} │", "dim")
            for column in range(self.columns):
                if (row, column) in self._signs:
                    out.append(*self._signs[row, column])
                else:
                    bits, style = self._dots.get((row, column), (0, ""))
                    out.append(chr(0x2800 + bits) if bits else " ", style)
            out.append("\n")
        out.append(f"{'':>{self.left - 2}} └{'─' * self.columns}\n", "dim")
        first, last = (_number(value, self.axes[0]) for value in self._span[0])
        title = self.axes[0].title
        room = self.columns - len(first) - len(last)
        out.append(f"{'':>{self.left}}{first}{title if len(title) + 2 <= room else '':^{room}}{last}", "dim")
        return out


def _unit(span: tuple[float, float], log: bool) -> Callable[[float], float]:
    low, high = (math.log(max(value, 1e-300)) for value in span) if log else span
    width = (high - low) or 1.0

    def place(value: float) -> float:
        if value is None or value != value or (log and value <= 0):
            return math.nan
        return ((math.log(value) if log else value) - low) / width

    return place


def _number(value: float, axis: Axis) -> str:
    if axis.percent:
        return f"{100 * value:.1f}%"
    return f"{value:,.0f}" if abs(value) >= 1000 and value == int(value) else f"{value:.3g}"


def _span(values: pd.Series, axis: Axis | None = None) -> tuple[float, float]:
    if axis is not None and axis.domain:
        return axis.domain
    finite = values[values.map(lambda v: v is not None and math.isfinite(v))]
    if finite.empty:
        return (0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - abs(low or 1) * 0.1, high + abs(high or 1) * 0.1)


def _metric_line(axis: Axis) -> Text:
    return Text(f"{axis.title}{', log scale' if axis.log else ''}", "dim")


def _curves(picture: Picture, width: int) -> RenderableType:
    marks, ends = picture.marks, picture.more["ends"]
    canvas = Canvas(width, HEIGHT, _span(marks["epoch"]), _span(marks["mean"], picture.y), (picture.x, picture.y))
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
                "✕" if row["state"] == "diverged" else "╷",
                "red" if row["state"] == "diverged" else "yellow",
            )
    best = ends[ends["rank"] > 0].sort_values("rank")
    for row in rows_of(best):
        canvas.sign(row["epoch"], row["mean"], str(row["rank"]), f"bold {HUES[(row['rank'] - 1) % len(HUES)]}")
    lines = [
        Text.assemble(
            (f"{row['rank']} ", f"bold {HUES[(row['rank'] - 1) % len(HUES)]}"),
            f"{_number(row['mean'], picture.y):>7}  {row['label']}",
        )
        for row in rows_of(best)
    ]
    return Group(_metric_line(picture.y), canvas.text(), Text(), *lines)


def _numbered(picture: Picture) -> tuple[pd.Series, Axis]:
    """The marks' place across: their numbers, or the place of their category."""
    if not picture.x.values:
        return picture.marks["x"], picture.x
    place = {value: float(index) for index, value in enumerate(picture.x.values)}
    return picture.marks["x"].map(place), picture.x


def _isolation(picture: Picture, width: int) -> RenderableType:
    if picture.x.values:
        return _strips(picture, width)
    marks = picture.marks
    complete = marks[marks["state"] == "complete"]
    canvas = Canvas(width, HEIGHT, _span(marks["x"]), _span(complete["mean"], picture.y), (picture.x, picture.y))
    for row in rows_of(complete):
        canvas.dot(row["x"], row["mean"], "cyan")
    best = complete[complete["best"]].sort_values("x")
    for row in rows_of(best):
        canvas.sign(row["x"], row["mean"], "◉", "bold")
    edge = picture.y.domain or _span(complete["mean"])
    bad = max(edge) if picture.direction == "minimize" else min(edge)
    for state, sign in (("diverged", "✕"), ("pruned", "╷")):
        for x in marks.loc[marks["state"] == state, "x"].unique():
            canvas.sign(float(x), bad, sign, "red" if state == "diverged" else "yellow")
    return Group(_metric_line(picture.y), canvas.text(), Text(), _bucket_table(picture))


def _bucket_table(picture: Picture) -> Table:
    from sweep.report.text import plain_table

    rows = picture.more["buckets"]
    best = rows["best"].min() if picture.direction == "minimize" else rows["best"].max()
    table = plain_table()
    hurt = bool(rows["diverged"].sum())
    for name in (picture.x.title.split(",")[0], "best", "trial", "settings", *(["diverged"] if hurt else [])):
        table.add_column(name, justify="right")
    for row in rows_of(rows):
        there = row["best"] == row["best"]
        cells = [
            row["bucket"],
            _number(row["best"], picture.y) if there else "–",
            f"{row['number']:.0f}" if there else "–",
            f"{row['settings']:,}",
        ]
        table.add_row(
            *cells, *([f"{row['diverged']:,}"] if hurt else []), style="bold" if there and row["best"] == best else ""
        )
    return table


def _strips(picture: Picture, width: int) -> RenderableType:
    """A row of dots a category."""
    marks = picture.marks[picture.marks["state"] == "complete"]
    span = _span(marks["mean"], picture.y)
    side = max(cell_len(value) for value in picture.x.values) + 1
    room = width - side - 2
    lines = [_metric_line(picture.y)]
    for value in picture.x.values:
        rows = marks[marks["bucket"] == value]
        lines.append(
            Text(f"{value:>{side}} ").append_text(
                _strip(rows["mean"], rows.loc[rows["best"], "mean"], span, picture.y.log, room)
            )
        )
    first, last = (_number(value, picture.y) for value in span)
    lines.append(Text(f"{'':>{side}} {first}{'':{max(1, room - len(first) - len(last))}}{last}", "dim"))
    return Group(*lines, Text(), _bucket_table(picture))


def _strip(
    values: pd.Series, best: pd.Series, span: tuple[float, float], log: bool, room: int, zero: float | None = None
) -> Text:
    place = _unit(span, log)

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


def _heatmap(picture: Picture, _: int) -> RenderableType:
    scale = picture.more["scale"].iloc[0]
    axis = Axis("value", str(scale["title"]), bool(scale["log"]), bool(scale["percent"]))
    cells = {(row["x"], row["y"]): row for row in rows_of(picture.marks)}
    span = _span(picture.marks["value"], axis)
    place = _unit(span, axis.log)
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
        return Text("✕" if row["diverged"] else "pruned" if row["pruned"] else "–", "red" if row["diverged"] else "dim")
    share = place(row["value"])
    share = share if direction == "minimize" else 1 - share
    step = min(len(_BLUES) - 1, int(share * len(_BLUES)))
    shown = f"{100 * row['value']:.1f}%" if axis.percent else f"{row['value']:.3g}"
    shown = f"[{shown}]" if row["best"] else f" {shown} "
    style = Style(color="white" if step < 3 else "black", bgcolor=_BLUES[step], bold=bool(row["best"]))
    return Text(f"{shown}{f'✕{row_count(row)}' if row['diverged'] else ''}", style)


def row_count(row: dict[str, Any]) -> str:
    """How many of a cell's settings diverged, where there are several."""
    return str(row["diverged"]) if row["settings"] > 1 else ""


def _parallel(picture: Picture, width: int) -> RenderableType:
    """The ten best settings as rows between the axes' ends, each value where it lies on its axis."""
    names, marks = list(picture.x.values), picture.marks
    best = marks[(marks["rank"] <= 10)]
    room = max(6, min(16, (width - 4) // len(names) - 2))
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("rank", justify="right")
    for name in names:
        table.add_column(Text(name[-room:] if len(name) > room else name), width=room, no_wrap=True)
    ends = picture.more["ticks"]
    for which, words in (("min", "low end"), ("max", "high end")):
        del words
        row = [ends.loc[ends.loc[ends["axis"] == name, "at"].agg(f"idx{which}"), "label"] for name in names]
        table.add_row("", *(Text(("├ " if which == "min" else "┤ ") + str(label), "dim") for label in row))
    for rank in sorted(best["rank"].unique()):
        mine = {row["axis"]: row for row in rows_of(best[best["rank"] == rank])}
        cells = []
        for name in names:
            share, value = float(mine[name]["at"]), str(mine[name]["value"])
            column = round(share * (room - 1))
            start = min(max(0, column - len(value) // 2), max(0, room - len(value)))
            cells.append(Text(" " * start).append(value[:room], "bold" if rank == 1 else ""))
        table.add_row(str(int(rank)), *cells)
    rest = int((marks.drop_duplicates("setting")["rank"].fillna(99) > 10).sum())
    more = [Text(f"… and {rest:,} more settings", "dim")] if rest else []
    return Group(
        Text("left low, right high; on the last axis right is best", "dim"),
        table,
        *more,
    )


def _budget(picture: Picture, width: int) -> RenderableType:
    marks, seen = picture.marks, picture.more["seen"]
    everything = pd.concat([marks["expected"], marks["low"], marks["high"], seen["best"]])
    canvas = Canvas(width, HEIGHT, _span(marks["k"]), _span(everything), (picture.x, picture.y))
    for column in ("low", "high"):
        canvas.line(zip(marks["k"], marks[column], strict=True), "dim", dashed=True)
    canvas.line(zip(marks["k"], marks["expected"], strict=True), "bold cyan")
    lines = [f"{k:,}: {_number(_nearest(marks, k), picture.y)}" for k in _few(marks["k"])]
    return Group(
        _metric_line(picture.y),
        canvas.text(),
        Text(),
        Text("expected best of " + " · ".join(lines)),
        Text("solid: expected best; dashed: 80 of 100 draws lie between", "dim"),
    )


def _nearest(marks: pd.DataFrame, k: int) -> float:
    return min(rows_of(marks), key=lambda row: abs(row["k"] - k))["expected"]  # type: ignore[no-any-return]


def _few(budgets: Sequence[int] | pd.Series) -> list[int]:
    last = int(max(budgets))
    return sorted({k for k in (1, 3, 10, 30, 100, 300, 1000, 10_000) if k < last} | {last})


def _pareto(picture: Picture, width: int) -> RenderableType:
    from sweep.report.text import plain_table

    marks = picture.marks
    canvas = Canvas(width, HEIGHT, _span(marks["x"]), _span(marks["mean"], picture.y), (picture.x, picture.y))
    for row in rows_of(marks[~marks["front"]]):
        canvas.dot(row["x"], row["mean"], "dim")
    front = marks[marks["front"]].sort_values("x")
    for row in rows_of(front):
        canvas.sign(row["x"], row["mean"], "●", "bold cyan")
    table = plain_table()
    for name in (picture.x.title.split(",")[0], picture.y.title, "trial"):
        table.add_column(name, justify="right")
    table.add_column("setting")
    for row in rows_of(front.head(20)):
        table.add_row(_number(row["x"], picture.x), _number(row["mean"], picture.y), str(row["number"]), row["label"])
    return Group(_metric_line(picture.y), canvas.text(), Text(), Text("● none is better in both:"), table)


def _effect(picture: Picture, width: int) -> RenderableType:
    """A strip a comparison: dots of its cells, then its interval."""
    span = picture.x.domain or (-1.0, 1.0)
    lines: list[Text] = []
    for row in rows_of(picture.more["means"]):
        mine = picture.marks[picture.marks["row"] == row["row"]]
        lines += [
            Text(row["label"], "bold"),
            _strip(mine["x"], mine["x"].iloc[:0], span, False, width, zero=0.0),
            _whisker(row, span, width),
        ]
        lines += [Text(row["said"], "green" if row["verdict"].startswith("shown") else "dim"), Text()]
    factor = 100 if picture.x.percent else 1
    first, last = (f"{factor * value:.3g}" for value in span)
    title = picture.x.title
    lines.append(Text(f"{first}{title:^{max(len(title), width - len(first) - len(last))}}{last}", "dim"))
    return Group(*lines, Text("│ is 0; a dot a cell, ├◆┤ mean and 95% interval", "dim"))


def _whisker(row: dict[str, Any], span: tuple[float, float], room: int) -> Text:
    place = _unit(span, False)

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


def _importance(picture: Picture, width: int) -> RenderableType:
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


_DRAWN: dict[str, Callable[[Picture, int], RenderableType]] = {
    "curves": _curves,
    "isolation": _isolation,
    "heatmap": _heatmap,
    "effect": _effect,
    "importance": _importance,
    "parallel": _parallel,
    "budget": _budget,
    "pareto": _pareto,
}
