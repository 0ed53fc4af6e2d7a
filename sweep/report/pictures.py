"""A picture as a file: its chart as SVG or PNG, or an HTML page that opens offline and follows the reader's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweep.errors import unknown
from sweep.report.files import check_target, write

if TYPE_CHECKING:
    from sweep.analysis.pictures import Picture

SUFFIXES = (".html", ".png", ".svg")


def save_picture(picture: Picture, target: str, theme: str = "light") -> None:
    """Writes a picture as its suffix says, beside the target and then renamed. Raises UsageError, SweepError."""
    from sweep.report.plots import THEMES, image

    path = check_target(target, SUFFIXES)
    suffix = path.suffix.lower()
    if theme not in THEMES:
        raise unknown("theme", theme, THEMES, "--theme: ")
    if suffix != ".html":
        write(path, target, image(picture, suffix, theme))
        return
    from sweep.report.page import chart_page

    write(path, target, chart_page(picture).encode())
