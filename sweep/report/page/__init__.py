"""HTML that opens offline: one chart, or the whole report of a study. Needs jinja2, and what draws charts.

content  what a report says, section by section
notes    one page of many claims, recipe by recipe
recipes  the recipe and the command that make a study again
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from sweep import __version__
from sweep.report.files import check_target, write
from sweep.report.page.content import SIZES, Report, all_charts, content, figure_words
from sweep.report.page.recipes import command_text, recipe_text
from sweep.report.plots.rendering import bundle, script_json
from sweep.report.plots.style import THEMES

if TYPE_CHECKING:
    from sweep.analysis.pictures import Picture

__all__ = ["Report", "chart_page", "command_text", "content", "recipe_text", "save_report"]


def save_report(report: Report, target: str) -> None:
    """Writes a study's report as one self-contained file. Raises UsageError, SweepError."""
    path = check_target(target, (".html",))
    write(path, target, render(content(report)).encode())


def chart_page(picture: Picture) -> str:
    """A page of one picture, which can be saved from there as SVG or PNG."""
    specs, datasets = _share_data({"chart": all_charts(picture)})
    charts = {
        "specs": specs,
        "datasets": datasets,
        "themes": THEMES,
        "actions": {"export": True, "source": False, "compiled": False, "editor": False},
    }
    return render({"title": picture.title, "single": figure_words(picture) | {"id": "chart"}, "charts": charts})


def render(values: dict[str, Any]) -> str:
    """The page of a template's values; `specs` are its charts, or `charts` one that is ready."""
    template = _template()
    if "specs" in values:
        specs, datasets = _share_data(values.pop("specs"))
        values["charts"] = {"specs": specs, "datasets": datasets, "themes": THEMES, "actions": False}
    plain = {"version": __version__, "css": _file("style.css"), "js": _file("script.js"), "bundle": bundle()}
    data = {name: script_json(values[name]) for name in ("charts", "trials") if name in values}
    return str(template.render(values | plain | data))


def _share_data(specs: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Specifications without their data, and the data of all of them once."""
    datasets: dict[str, Any] = {}
    out: dict[str, Any] = {}
    for name, each in specs.items():
        out[name] = {"alt": each["alt"]}
        for size in SIZES:
            datasets |= each[size].get("datasets", {})
            out[name][size] = {key: value for key, value in each[size].items() if key != "datasets"}
    return out, datasets


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Any:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_file("report.html"))
