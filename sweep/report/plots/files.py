"""A chart as a file: SVG, PNG, or an HTML page that opens offline and follows the reader's theme. Needs vl_convert."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sweep.errors import unknown
from sweep.report.files import check_target, write
from sweep.report.plots.charts import chart
from sweep.report.plots.style import THEMES

if TYPE_CHECKING:
    from sweep.analysis.pictures import Picture

SUFFIXES = (".html", ".png", ".svg")


def save_chart(picture: Picture, target: str, theme: str = "light") -> None:
    """Writes a picture's chart as its suffix says, beside the target and then renamed. Raises UsageError, SweepError."""
    path = check_target(target, SUFFIXES)
    if theme not in THEMES:
        raise unknown("theme", theme, THEMES, "--theme: ")
    write(path, target, _bytes(picture, path.suffix, theme))


def _bytes(picture: Picture, suffix: str, theme: str) -> bytes:
    import vl_convert

    if suffix == ".html":
        from sweep.report.page import chart_page

        return chart_page(picture).encode()
    spec = chart(picture)
    if suffix == ".svg":
        return vl_convert.vegalite_to_svg(spec, config=THEMES[theme]).encode()
    return vl_convert.vegalite_to_png(spec, config=THEMES[theme], scale=2)


def bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, about 900 kB, that asks nothing of the network."""
    import vl_convert

    script = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return script.replace("</script", "<\\/script")


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element, whatever text is in it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for char, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(char, code)
    return text
