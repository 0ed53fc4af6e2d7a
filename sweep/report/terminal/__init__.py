"""Pictures in the terminal: braille curves and dots, bars, a
heat map, in few columns and without colour too. Needs rich.

canvas  a plane of braille dots
planes  pictures of two numbers: curves, isolation, budget, Pareto front, boundary
paths   paths down functions, where starts end
rows    pictures in rows: strips, heat map, parallel, effect, importance

What colour says is said by a sign as well: the best are numbered, ◉ is a bucket's best, × diverged, a front is ●.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.analysis.pictures import Picture
from sweep.report.terminal.canvas import WIDEST
from sweep.report.terminal.paths import basins, surface
from sweep.report.terminal.planes import boundary, budget, curves, isolation, look, pareto
from sweep.report.terminal.rows import effect, heatmap, importance, parallel

__all__ = ["terminal"]

_DRAWN: dict[str, Callable[[Picture, int], RenderableType]] = {
    "curves": curves,
    "isolation": isolation,
    "heatmap": heatmap,
    "effect": effect,
    "importance": importance,
    "parallel": parallel,
    "budget": budget,
    "look": look,
    "pareto": pareto,
    "boundary": boundary,
    "surface": surface,
    "basins": basins,
}


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
    if picture.kind == "boundary":
        return picture.subtitle.replace("dots: rows", "digits: rows").replace("rows ringed", "rows alone")
    text = picture.subtitle.replace("rings mark", "◉ marks")
    text = text.replace("; steps: the best so far as this study went", "")
    return text.replace(", band from lowest to highest", "")
