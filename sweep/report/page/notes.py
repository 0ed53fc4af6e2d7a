"""One page of many claims: what became of each, its numbers and its picture, recipe by recipe; the same as a table.
Needs what a report's page needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.text import Text

from sweep.report.answers.verdicts import STYLES, draw_command, headline, sentences
from sweep.report.columns import Columns
from sweep.report.files import check_target, plain, write
from sweep.report.page import render
from sweep.report.page.content import add_figure, record_verdict
from sweep.wording import count, join_words

if TYPE_CHECKING:
    from sweep.analysis.pictures import Picture
    from sweep.analysis.verdicts import Verdict
    from sweep.ledger import Study


@dataclass(frozen=True)
class Note:
    """A recipe with claims, trained and judged."""

    file: str
    """The recipe's file."""
    study: Study
    about: Sequence[str]
    """What the recipe's comment says, paragraph by paragraph."""
    verdicts: Sequence[Verdict]
    pictures: Sequence[Picture | None]
    """One for each verdict; None where it cannot be drawn."""


COLUMNS = ("recipe", "claim", "kind", "verdict", "where", "p", "numbers", "afterwards", "command")
"""Of a table of verdicts, in this order."""


def verdicts_table(notes: Sequence[Note]) -> pd.DataFrame:
    """One row per claim; `where` is where it holds, of a verdict that is qualified."""
    rows = [
        (
            note.file,
            verdict.claim.text,
            verdict.claim.kind,
            verdict.verdict,
            headline(verdict) if verdict.verdict.endswith("where") else "",
            plain(verdict.p),
            " ".join(sentences(verdict)),
            verdict.claim.afterwards,
            draw_command(note.study.name, verdict),
        )
        for note in notes
        for verdict in note.verdicts
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def summary(notes: Sequence[Note]) -> Columns:
    """The verdicts as a table for a terminal."""
    table = Columns()
    table.add_column("claim", flows=True)
    table.add_column("verdict", flows=True)
    table.add_column("study", flows=True)
    for note in notes:
        for verdict in note.verdicts:
            late = " (stated afterwards)" if verdict.claim.afterwards else ""
            table.add_row(
                verdict.claim.text, Text(f"{headline(verdict)}{late}", STYLES[verdict.verdict]), note.study.name
            )
    return table


def count_verdicts(notes: Sequence[Note]) -> str:
    """How many claims ended in each verdict, in a sentence."""
    ended = Counter(verdict.verdict for note in notes for verdict in note.verdicts)
    words = {name: name.replace(" where", " in part") for name in STYLES}
    listed = join_words(f"{ended[name]} {words[name]}" for name in STYLES if ended[name])
    return f"{count(ended.total(), 'claim')} of {count(len(notes), 'recipe')}: {listed}."


def save_notes(notes: Sequence[Note], title: str, target: str) -> None:
    """Writes the page. Raises UsageError, SweepError."""
    path = check_target(target, (".html",))
    specs: dict[str, Any] = {}
    recipes = [_record(note, specs) for note in notes]
    values = {"title": title, "notes": {"lead": count_verdicts(notes), "table": _grid(notes), "recipes": recipes}}
    write(path, target, render({**values, "specs": specs}).encode())


def _record(note: Note, specs: dict[str, Any]) -> dict[str, Any]:
    claims = []
    drawn: dict[str, dict[str, Any]] = {}
    for verdict, picture in zip(note.verdicts, note.pictures, strict=True):
        command = draw_command(note.study.name, verdict)
        figure = None
        if picture is not None and command not in drawn:  # claims of one recipe may look at the same picture
            drawn[command] = figure = add_figure(picture, specs)
        claims.append(record_verdict(note.study.name, verdict, figure))
    made = f"{count(note.study.trials, 'trial')} in {note.study.seconds:.0f} s; sweep grid {note.file}"
    return {"study": note.study.name, "about": note.about, "claims": claims, "made": made}


def _grid(notes: Sequence[Note]) -> dict[str, Any]:
    rows = [(verdict.claim.text, headline(verdict), note.study.name) for note in notes for verdict in note.verdicts]
    return {"caption": "Verdicts", "columns": ["claim", "verdict", "recipe"], "text": [0, 1, 2], "rows": rows}
