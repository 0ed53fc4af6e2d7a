"""A table without lines that cuts nothing: where it is narrow, titles break, spare columns go, others share a place.
Needs rich.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

GAP = 2
"""Spaces between columns."""


@dataclass(frozen=True, eq=False)
class _Column:
    """titles: the lines of the head; cells: the lines of each row."""

    titles: list[str]
    right: bool = False
    spare: int = 0
    folds: bool = False
    flows: bool = False
    cells: list[list[Text]] = field(default_factory=list)

    @cached_property
    def width(self) -> int:
        """The characters it takes."""
        lines = [line.cell_len for cell in self.cells for line in cell]
        return max([*map(cell_len, self.titles), *lines], default=0)

    @cached_property
    def least(self) -> int:
        """The characters it needs: its longest word, if it flows."""
        if not self.flows:
            return self.width
        words = [cell_len(word) for cell in self.cells for word in cell[0].plain.split()]
        return max([*map(cell_len, self.titles), *words], default=0)


class Columns:
    """Columns and rows as rich's table takes them. In a narrow place titles go on two lines, then columns that flow are
    wrapped between words, spare ones left out (the largest `spare` first, and it is said), those that fold told once
    where all rows agree, then set on two lines or more of a row; and where even that does not fit, rows are told as
    lines of text. No value is cut."""

    def __init__(self) -> None:
        self._columns: list[_Column] = []
        self._styles: list[str] = []
        self._rows: list[str] = []

    def add_column(
        self,
        title: str = "",
        justify: str = "left",
        style: str | None = "",
        spare: int = 0,
        folds: bool = False,
        flows: bool = False,
    ) -> None:
        """A column, before any row. spare: 0 for one that is never left out."""
        self._columns.append(_Column([title], justify == "right", spare, folds, flows))
        self._styles.append(style or "")

    def add_row(self, *cells: str | Text, style: str = "") -> None:
        """A row; cells that are missing at its end are empty."""
        for place, column in enumerate(self._columns):
            cell = cells[place] if place < len(cells) else ""
            column.cells.append([cell if isinstance(cell, Text) else Text(cell, self._styles[place])])
        self._rows.append(style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, for the width that there is."""
        width = options.max_width
        columns, same_in_all, left = _fit_words(self._columns, width, console)
        if same_in_all:
            yield Text(f"in all of these: {', '.join(same_in_all)}", "dim")
        if _fits(columns, width):
            yield from _lines([column.titles for column in columns], columns, "bold", bottom=True)
            for place, style in enumerate(self._rows):
                yield from _lines([column.cells[place] for column in columns], columns, style)
        else:
            for place, style in enumerate(self._rows):
                yield _row_text(columns, place, style)
        if left:
            yield Text(f"no room for {', '.join(left)}", "dim")


def _row_text(columns: Sequence[_Column], row: int, style: str) -> Text:
    """A row as text: each title with its value, empty ones left out."""
    parts = []
    for column in columns:
        title, value = _title(column), column.cells[row][0]
        if value.plain:
            parts.append(value if value.plain == title or not title else Text.assemble((title, "dim"), " ", value))
    return Text("- ", style).append_text(Text(", ").join(parts))


def _lines(
    cells: Sequence[Sequence[str | Text]], columns: Sequence[_Column], style: str, bottom: bool = False
) -> Iterable[Text]:
    """One row of cells, each of some lines, as lines of text."""
    high = max(map(len, cells), default=0)
    for place in range(high):
        line = Text(style=style)
        for cell, column in zip(cells, columns, strict=True):
            at = place - (high - len(cell)) if bottom else place
            part = cell[at] if 0 <= at < len(cell) else ""
            text = part if isinstance(part, Text) else Text(part)
            pad = " " * (column.width - text.cell_len)
            line.append(pad if column.right else "").append_text(text).append("" if column.right else pad)
            line.append(" " * GAP)
        line.rstrip()
        yield line


def _fits(columns: Sequence[_Column], width: int) -> bool:
    """Whether they fit once words have flowed."""
    return sum(column.least + GAP for column in columns) - GAP <= width


def _fit_words(columns: list[_Column], width: int, console: Console) -> tuple[list[_Column], list[str], list[str]]:
    """The columns as they fit, what is told once instead, and the titles of those that are left out."""
    if sum(column.width + GAP for column in columns) - GAP <= width:
        return columns, [], []
    columns = [_break_words(column) for column in columns]
    left: list[str] = []
    for column in sorted((column for column in columns if column.spare), key=lambda other: -other.spare):
        if not _fits(columns, width):
            columns = [kept for kept in columns if kept is not column]
            left.append(_title(column))
    same_in_all: list[str] = []
    if not _fits(columns, width):
        same = [column for column in columns if column.folds and _alike(column)]
        columns = [column for column in columns if column not in same]
        same_in_all = [f"{_title(column)} {column.cells[0][0].plain}" for column in same]
    stacked, high = columns, 1
    while not _fits(stacked, width) and high < len(columns):
        high += 1
        stacked = _stack_words(columns, high)
    if not _fits(stacked, width):
        return columns, same_in_all, left
    return _flowing(stacked, width, console), same_in_all, left


def _alike(column: _Column) -> bool:
    return len(column.cells) > 1 and len({cell[0].plain for cell in column.cells}) == 1


def _title(column: _Column) -> str:
    """A title on one line: it breaks after an underscore, or at a space."""
    first, *rest = column.titles
    return "".join([first, *(line if first.endswith("_") else f" {line}" for line in rest)])


def _break_words(column: _Column) -> _Column:
    """A column with its title on two lines, if that is what makes it wide."""
    title = column.titles[0]
    if cell_len(title) <= max((cell[0].cell_len for cell in column.cells), default=0):
        return column
    places = [place for place in range(2, len(title)) if title[place - 1] in "_ "]
    if not places or len(title) < 8:
        return column
    place = min(places, key=lambda place: max(place, len(title) - place))
    return replace(column, titles=[title[:place].rstrip(), title[place:]])


def _flowing(columns: Sequence[_Column], width: int, console: Console) -> list[_Column]:
    """The columns, those of words wrapped to what the others leave, but not within a word."""
    out = []
    over = sum(column.width + GAP for column in columns) - GAP - width
    for column in columns:
        room = max(column.least, column.width - max(0, over))
        over -= column.width - room
        if room < column.width:
            cells = [list(cell[0].wrap(console, room)) or [Text()] for cell in column.cells]
            column = replace(column, cells=cells)
        out.append(column)
    return out


def _stack_words(columns: Sequence[_Column], high: int) -> list[_Column]:
    """The columns that fold (all but the first where none does), so many in one place above each other."""
    folds = [column for column in columns if column.folds] or list(columns[1:])
    first = next(place for place, column in enumerate(columns) if column is folds[0])
    stacks = [
        _Column(
            [_title(column) for column in some],
            right=any(column.right for column in some),
            cells=[[column.cells[row][0] for column in some] for row in range(len(some[0].cells))],
        )
        for some in (folds[at : at + high] for at in range(0, len(folds), high))
    ]
    before = [column for column in columns[:first] if column not in folds]
    return [*before, *stacks, *(column for column in columns[first:] if column not in folds)]
