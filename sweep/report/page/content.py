"""What a report says, section by section, as plain values for its template. Needs pandas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from sweep.analysis import Effect, Fresh, SettingsBoard, effects, pictures
from sweep.analysis.check import check
from sweep.analysis.importance import importance
from sweep.analysis.pictures import Picture
from sweep.errors import SweepError, UsageError
from sweep.hyperparameters import show_value
from sweep.ledger import mixing
from sweep.recipe import MEASURED, VALIDATED
from sweep.report.answers import (
    footnote,
    headline,
    importance_method,
    importance_sentences,
    sentences,
    tuned_sentences,
)
from sweep.report.answers.verdicts import caveats, draw_command
from sweep.report.answers.verdicts import headline as verdict_headline
from sweep.report.answers.verdicts import sentences as verdict_sentences
from sweep.report.files import plain
from sweep.report.imported import import_line
from sweep.report.page.recipes import command_text, recipe_text
from sweep.report.plots.base import rows_apart
from sweep.report.plots.charts import chart
from sweep.report.settings import marks, meaning, show_interval, show_measured
from sweep.report.text import explain_nothing_selected, missing, show_metric, show_seconds
from sweep.wording import count

if TYPE_CHECKING:
    from sweep.analysis import StudyTable
    from sweep.analysis.verdicts import Verdict
    from sweep.ledger import Sitting, Study

SIZES = {"wide": 840, "medium": 520, "narrow": 256}
"""Widths of a chart's plane in pixels; the page takes the widest that fits."""
ROWS = 20_000
"""At most so many trials are in the page's table."""
TOP = 10
"""So many settings stand in the answer."""
EFFECTS = 8
"""At most so many hyperparameters are asked about."""


@dataclass(frozen=True)
class Report:
    """What a report is made of."""

    study: Study
    table: StudyTable
    board: SettingsBoard
    """Its settings in order."""
    epochs: pd.DataFrame
    """Of every trial."""
    fresh: Fresh | None = None
    """The score of its winner on fresh seeds, if it was confirmed."""
    parameters: Callable[[dict[str, Any]], int] | None = None
    """Counts a setting's parameters."""
    kinds: Sequence[Sequence[Sitting]] = ()
    """The sittings that trained it, by kind of machine."""
    verdicts: Sequence[Verdict] = ()
    """What became of its claims."""


def content(report: Report) -> dict[str, Any]:
    """The template's values; `specs` are the charts by the id of their place."""
    study, table = report.study, report.table
    board = report.board
    specs: dict[str, Any] = {}
    asked = _effects(report, specs)
    shares = _importance(report, specs)
    figures, failed = _figures(report, specs)
    remarks = _try(lambda: check(table, report.epochs, study.recipe, study.classes, report.kinds))
    values: dict[str, Any] = {
        "title": f"{study.name}: sweep report",
        "study": study.name,
        "lead": _lead(study, table, board),
        "answer": _answer(board, table, report.fresh),
        "verdicts": [record_verdict(study.name, verdict) for verdict in report.verdicts],
        "effects": asked,
        "importance": shares,
        "checks": {
            "each": remarks or [],
            "none": "Nothing stands out." if remarks == [] else "Not checked: nothing is complete.",
        },
        "figures": figures,
        "missing": failed,
        "whole": _whole_words(table),
        "trials": _whole(table),
        "again": _again(study, report.kinds),
        "specs": specs,
    }
    names = {
        "answer": "Answer",
        "verdicts": "Claims",
        "effects": "Effects",
        "importance": "Importance",
        "checks": "Checks",
        "figures": "Figures",
    }
    values["sections"] = [(key, name) for key, name in names.items() if values[key]] + [
        ("trials-section", "Trials"),
        ("again", "Again"),
    ]
    return values


def _try(make: Callable[[], Any]) -> Any:
    """A part of the report, or None where the study does not have it."""
    try:
        return make()
    except SweepError:
        return None


def _lead(study: Study, table: StudyTable, board: SettingsBoard) -> str:
    states = table.trials["state"].value_counts()
    counted = [
        f"{states[state]:,} {state}"
        for state in ("complete", "pruned", "diverged", "failed", "running", "waiting")
        if state in states
    ]
    seeds = int(table.trials["seed"].nunique())
    swept = ", ".join(table.swept) or "nothing"
    parts = [
        f"{count(len(table.trials), 'trial')} of {count(len(board.rows), 'setting')}, "
        f"{count(seeds, 'seed')} ({', '.join(counted)})",
        f"on {study.recipe.data}",
        f"over {swept}",
    ]
    when = f"{study.created[:16].replace('T', ' ')} UTC"
    took = f", {show_seconds(study.seconds)} of training" if study.seconds else ""
    return f"{', '.join(parts)}. {when}{took}."


# The answer


def _answer(board: SettingsBoard, table: StudyTable, fresh: Fresh | None) -> dict[str, Any]:
    best, metric = board.selected, board.table.metric
    if best is None:
        return {
            "headline": explain_nothing_selected(table),
            "chips": [],
            "figures": [],
            "lines": _lost(table),
            "table": None,
        }
    way = "lowest" if board.table.direction == "minimize" else "highest"
    others = len(board.compared) - 1
    if board.seeds < 2:
        sure = "One seed per setting cannot tell it from the rest; it may be luck."
    elif board.tied > 1:
        sure = f"{count(board.tied - 1, 'other setting')} cannot be told from it."
    else:
        sure = f"It is better than all {others} others." if others > 1 and board.tied == 1 else ""
    chips = [(name, show_value(plain(best[name]))) for name in board.table.swept if not missing(best[name])]
    figures = [
        (
            f"{metric}, mean" if board.roles is None else f"{metric}, mean on fresh seeds",
            show_metric(metric, best["mean"]),
            _beside(metric, best["low"], best["high"], int(best["n"])),
        )
    ]
    if board.roles is not None:
        on = count(int(best["selected_n"]), "seed")
        figures.append((f"{metric}, when selected", show_metric(metric, best["selected"]), on))
    if fresh is not None:
        figures.append(
            (f"{metric}, fresh seeds", show_metric(metric, fresh[0]), _beside(metric, fresh[1], fresh[2], fresh[3]))
        )
    if not board.table.filtered:
        for name, (mean, low, high) in sorted(board.tests.items()):
            figures.append((name, show_metric(name, mean), _beside(name, low, high, int(best["n"]))))
    figures.append(
        (
            "cannot be told from it",
            f"{board.tied - 1:,}" if board.tied else "–",
            f"of {count(others, 'other setting')} {'with numbers' if board.roles is None else 'on fresh seeds'}",
        )
    )
    among = " of those that meet the condition" if board.table.filtered else ""
    among += "" if board.roles is None else ", of those that were run again, on the fresh seeds"
    return {
        "headline": f"This setting has the {way} {metric}{among}. {sure}",
        "chips": chips,
        "figures": figures,
        "lines": [*meaning(board, fresh), *_lost(table)],
        "table": _top(board),
    }


def _beside(metric: str, low: Any, high: Any, n: int) -> str:
    spread = show_interval(metric, low, high)
    return f"{'' if spread == '–' else f'95% {spread}, '}{count(n, 'seed')}"


def _lost(table: StudyTable) -> list[str]:
    """The trials that are in no mean, so that nobody misses them."""
    states = table.trials["state"].value_counts()
    lost = [
        f"{states[state]:,} {state}"
        for state in ("diverged", "pruned", "failed", "running", "waiting")
        if state in states
    ]
    running = f" {table.left_running}." if table.left_running else ""
    return [f"In no mean: {', '.join(lost)} of {count(len(table.trials), 'trial')}.{running}"] if lost else []


def _top(board: SettingsBoard) -> dict[str, Any]:
    rows = board.rows.head(TOP)
    lost = [state for state in ("diverged", "pruned", "failed") if board.rows[state].any()]
    columns: dict[str, list[str]] = {"rank": [show_value(plain(value)) for value in rows["rank"]]}
    if board.tied > 1:
        columns["≈"] = marks(board)[: len(rows)]
    columns |= {name: [show_value(plain(value)) for value in rows[name]] for name in board.table.swept}
    beside = (*VALIDATED, "train_loss")
    columns |= {title: cells for title, cells in show_measured(board, rows).items() if title not in beside}
    columns |= {state: [str(value) for value in rows[state]] for state in lost}
    cells = [list(row) for row in zip(*columns.values(), strict=True)]
    return {"caption": "The best settings", "columns": list(columns), "rows": cells, "text": [], "bold": True}


# Effects and importance


def _effects(report: Report, specs: dict[str, Any]) -> dict[str, Any] | None:
    table = report.table
    settings = _try(lambda: pictures.settings_of(table))
    if settings is None or not table.swept:
        return None
    names = pictures.most_telling(settings, table)[:EFFECTS]
    each = _try(lambda: effects(table, names)) or _comparable(table, names)
    if not each:
        return None
    drawn = [effect.name for effect in each if any(comparison.pairs for comparison in effect.comparisons)]
    figures = []
    if drawn:
        known = each if len(drawn) == len(each) and each[0].roles is None else []
        picture = _try(lambda: pictures.effect_picture(table, report.study.recipe.data, drawn, known))
        figures = [add_figure(picture, specs)] if picture is not None else []
    left = len(table.swept) - len(each)
    paired = "Settings that differ in one hyperparameter alone are paired, seeds averaged first"
    about = f"{paired}; p values are adjusted together (Holm). {footnote(each[0])}"
    about += f" Not compared here: {left} more." if left else ""
    return {"about": about, "each": list(map(_record_answer, each)), "figures": figures}


def record_verdict(study: str, verdict: Verdict, figure: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a page says of a claim."""
    words = verdict.verdict.split()
    return {
        "text": verdict.claim.text,
        "headline": verdict_headline(verdict),
        "colour": words[-1] if words[-1] == "where" else words[0],
        "lines": [*verdict_sentences(verdict), *caveats(verdict)],
        "figure": figure,
        "command": draw_command(study, verdict),
    }


def _record_answer(effect: Effect) -> dict[str, Any]:
    verdict = effect.verdict
    return {"name": effect.name, "verdict": verdict, "shown": verdict.startswith("shown"), "lines": _said(effect)}


def _comparable(table: StudyTable, names: Sequence[str]) -> list[Effect]:
    """The effects of those that can be compared at all."""
    good = [name for name in names if _try(lambda name=name: effects(table, [name])) is not None]  # type: ignore[misc]
    return effects(table, good) if good else []


def _said(effect: Effect) -> list[str]:
    return list(dict.fromkeys([headline(effect), *sentences(effect), *tuned_sentences(effect)]))


def _importance(report: Report, specs: dict[str, Any]) -> dict[str, Any] | None:
    try:
        shares = importance(report.table)
        picture = pictures.importance_picture(report.table, report.study.recipe.data, shares)
    except SweepError as error:
        return {"lines": [f"Not told: {error}."], "figure": None} if report.table.swept else None
    lines = [importance_method(shares), *importance_sentences(shares)]
    return {"lines": lines, "figure": add_figure(picture, specs)}


# Figures


def _figures(report: Report, specs: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    table, data = report.table, report.study.recipe.data
    makes: list[Callable[[], Picture]] = [
        lambda: pictures.curves_picture(table, report.epochs, data),
        lambda: pictures.isolation_picture(table, data),
        lambda: pictures.heatmap_picture(table, data),
        lambda: pictures.parallel_picture(table, data),
        lambda: pictures.budget_picture(table, data),
        lambda: pictures.pareto_picture(table, data, (), report.parameters),
    ]
    figures, failed = [], []
    for make in makes:
        try:
            figures.append(add_figure(make(), specs))
        except UsageError as error:
            failed.append(f"Not drawn: {error}.")
    return figures, failed


def add_figure(picture: Picture, specs: dict[str, Any]) -> dict[str, Any]:
    """A picture's words, its two charts put among `specs`."""
    place = f"chart-{len(specs)}"
    specs[place] = all_charts(picture)
    return figure_words(picture) | {"id": place}


def all_charts(picture: Picture) -> dict[str, Any]:
    """A picture's chart for a screen, a tablet and a phone, without title, and its words for who cannot see it."""
    with rows_apart():
        charts = {name: chart(picture, width, False) for name, width in SIZES.items()}
    return charts | {"alt": picture.said}


def figure_words(picture: Picture) -> dict[str, Any]:
    """What is written around a picture on a page."""
    return {
        "title": picture.title,
        "subtitle": picture.subtitle,
        "ground": picture.ground,
        "notes": picture.notes,
        "alt": picture.said,
    }


# The whole table


def _columns(table: StudyTable) -> list[str]:
    measured = [*MEASURED, table.metric, "epochs", "seconds"]
    there = [name for name in dict.fromkeys(measured) if name in table.trials and table.trials[name].notna().any()]
    return [
        "number",
        "state",
        *(["seed"] if table.trials["seed"].nunique() > 1 else []),
        *table.swept,
        *(n for n in there if n not in table.swept),
    ]


def _whole(table: StudyTable) -> dict[str, Any]:
    columns = _columns(table)
    key = table.sign * table.trials[table.metric].where(table.trials["state"] == "complete")
    best = key.reset_index(drop=True).sort_values(kind="stable").index.to_numpy()[:ROWS]
    frame = table.trials[columns].take(best)
    cells = [_cells(frame.iloc[:, place]) for place in range(frame.shape[1])]
    rows = [list(row) for row in zip(*cells, strict=True)]
    return {"columns": ["trial", *columns[1:]], "rows": rows}


def _cells(column: pd.Series) -> list[Any]:
    if column.dtype == "float64":
        return [float(f"{cell:.8g}") if math.isfinite(cell) else None for cell in column.tolist()]
    return column.tolist() if column.dtype == "int64" else [_cell(cell) for cell in column]


def _cell(value: Any) -> Any:
    kept = plain(value)
    return float(f"{kept:.8g}") if isinstance(kept, float) else kept


def _whole_words(table: StudyTable) -> dict[str, str]:
    about = "A click on a column sorts by it. Test scores are shown of the selected setting alone."
    if len(table.trials) > ROWS:
        about += f" The best {ROWS:,} of {len(table.trials):,} are here; sweep export writes all."
    example = (
        f"{table.swept[0]}={show_value(_first(table.trials[table.swept[0]]))}" if table.swept else f"{table.metric}<1"
    )
    return {"about": about, "hint": f"{example} state=complete"}


def _first(values: Sequence[Any] | pd.Series) -> Any:
    return next((plain(value) for value in values if not missing(value)), "x")


# Again


def _machines(study: Study, kinds: Sequence[Sequence[Sitting]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """A table for each kind of machine that trained trials, with versions; of a study of which nothing was trained, or
    that does not know, what it was started on."""
    if not kinds:
        parts = (("Versions", study.versions), ("Machine", study.machine))
        return [
            (title, [(name, show_value(value)) for name, value in facts.items()]) for title, facts in parts if facts
        ]
    return [(_trained_text(kind), _facts(kind)) for kind in kinds]


def _trained_text(kind: Sequence[Sitting]) -> str:
    trials = count(sum(sitting.trials for sitting in kind), "trial")
    days = " to ".join(dict.fromkeys(sitting.started[:10] for sitting in (kind[0], kind[-1])))
    return f"Trained {trials}, {days}" + (f", {count(len(kind), 'sitting')}" if len(kind) > 1 else "")


def _facts(kind: Sequence[Sitting]) -> list[tuple[str, str]]:
    """What the sittings of a kind had, each fact once, with all values that it took (several hosts, say)."""
    names = dict.fromkeys(name for sitting in kind for name in sitting.facts)

    def values_of(name: str) -> str:
        return ", ".join(dict.fromkeys(show_value(sitting.facts[name]) for sitting in kind if name in sitting.facts))

    return [(name, values_of(name)) for name in names]


def _again(study: Study, kinds: Sequence[Sequence[Sitting]]) -> dict[str, Any]:
    imported = study.recipe.imported
    tables = _machines(study, kinds)
    if imported:
        tool = f", results of {imported.tool}," if imported.tool else ""
        line = (
            f"These results were not trained here: they were imported from {study.recipe.data}{tool} with sweep import."
        )
        best = [import_line(study.recipe)] if imported.value == "best" else []
        return {
            "lines": [line, *best, *(f"{note[0].upper()}{note[1:]}." for note in imported.notes)],
            "recipe": "",
            "file": "",
            "command": "",
            "tables": tables,
        }
    lines = [
        "On a CPU, the same recipe gives the same numbers to the last bit, whatever is trained beside it.",
        f"sweep reproduce {study.name} N trains trial N again, alone, and compares every epoch.",
    ]
    lines += [f"Data fingerprint {study.data}."] if study.data else []
    lines += [f"{mixture[0].upper()}{mixture[1:]}." for mixture in ([mixing(kinds)] if len(kinds) > 1 else [])]
    return {
        "lines": lines,
        "recipe": recipe_text(study.recipe.as_written()),
        "file": f"{study.name}.toml",
        "command": command_text(study),
        "tables": tables,
    }
