"""A plane of braille dots with signs over them and numbers along its sides. Needs rich."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

import pandas as pd
from rich.text import Text

from sweep.analysis.pictures import Axis

WIDEST, HEIGHT = 100, 14

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


class Canvas:
    """A plane of braille dots (2 x 4 a character) and single characters above them, with numbers along its sides."""

    def __init__(
        self, width: int, height: int, x: tuple[float, float], y: tuple[float, float], axes: tuple[Axis, Axis]
    ) -> None:
        self.axes = axes
        self.left = max(len(show(value, axes[1])) for value in y) + 2
        self.columns, self.rows = max(10, width - self.left), height
        self._x, self._y = unit(x, axes[0].log), unit(y, axes[1].log)
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

    def put(self, row: int, column: int, sign: str, style: str) -> None:
        """A character at a cell, from the left and from the top, in the place of what is there."""
        self._signs[min(max(row, 0), self.rows - 1), min(max(column, 0), self.columns - 1)] = (sign, style)

    def mark(self, x: float, y: float, sign: str, style: str) -> None:
        """A character where it lies, whatever was there."""
        at = self.place(x, y)
        if at:
            self._signs[int(at[1] // 4), min(self.columns - 1, int(at[0] // 2))] = (sign, style)

    def text(self) -> Text:
        """The plane with its numbers."""
        low, high = self._span[1]
        middle = math.sqrt(low * high) if self.axes[1].log else low / 2 + high / 2
        middle = 0.0 if not self.axes[1].log and abs(middle) < (high - low) / 200 else middle
        labels = {0: high, self.rows // 2: middle, self.rows - 1: low}
        out = Text()
        for row in range(self.rows):
            label = show(labels[row], self.axes[1]) if row in labels else ""
            out.append(f"{label:>{self.left - 2}} │", "dim")
            for column in range(self.columns):
                if (row, column) in self._signs:
                    out.append(*self._signs[row, column])
                else:
                    bits, style = self._dots.get((row, column), (0, ""))
                    out.append(chr(0x2800 + bits) if bits else " ", style)
            out.append("\n")
        out.append(f"{'':>{self.left - 2}} └{'─' * self.columns}\n", "dim")
        first, last = (show(value, self.axes[0]) for value in self._span[0])
        title = self.axes[0].title
        room = max(0, self.columns - len(first) - len(last))
        out.append(f"{'':>{self.left}}{first}{title if len(title) + 2 <= room else '':^{room}}{last}", "dim")
        return out


def unit(span: tuple[float, float], log: bool) -> Callable[[float], float]:
    """How far along a span a value lies, from 0 to 1; NaN where it has no place."""
    low, high = (math.log(max(value, 1e-300)) for value in span) if log else span
    width = (high - low) or 1.0

    def place(value: float) -> float:
        if value is None or value != value or (log and value <= 0):
            return math.nan
        return ((math.log(value) if log else value) - low) / width

    return place


def show(value: float, axis: Axis) -> str:
    """A number as an axis has it."""
    if axis.percent:
        return f"{100 * value:.1f}%"
    return f"{value:,.0f}" if abs(value) >= 1000 and value == int(value) else f"{value:.3g}"


def span_of(values: pd.Series, axis: Axis | None = None) -> tuple[float, float]:
    """From the least finite value to the largest, or the axis' own ends."""
    if axis is not None and axis.domain:
        return axis.domain
    finite = values[values.map(lambda v: v is not None and math.isfinite(v))]
    if finite.empty:
        return (0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - abs(low or 1) * 0.1, high + abs(high or 1) * 0.1)


def metric_line(axis: Axis) -> Text:
    """The line above a plane: what goes up."""
    return Text(f"{axis.title}{', log scale' if axis.log else ''}", "dim")
