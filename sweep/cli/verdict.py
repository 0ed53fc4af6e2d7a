"""Commands about claims: verdict, notes. Needs typer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.base import app, console, load, run_options, say
from sweep.errors import Interrupted
from sweep.flags import DEFAULT_RESULTS, Device, Jobs, Json, Results, Running, StudyName

if TYPE_CHECKING:
    from sweep.report.page.notes import Note


@app.command(rich_help_panel="Ask")
def verdict(
    study: StudyName,
    claims: Annotated[
        Path | None,
        typer.Option(
            "--claims",
            metavar="FILE",
            help="A TOML file with tables [\\[claim]] to add to the study first, marked as stated afterwards.",
            show_default=False,
        ),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Say what became of a study's claims: confirmed, contradicted, equal for practical purposes, or not shown.

    A recipe states what it expects in tables [\\[claim]], before anything is trained. A claim that was added when
    results were there is marked so.
    """
    from sweep.analysis.verdicts import judge_claims
    from sweep.api import state_claims
    from sweep.ledger import Ledger
    from sweep.report.answers.verdicts import verdicts_json, verdicts_report

    with Ledger(results) as ledger:
        stored = ledger.study(study)
        if claims is not None:
            with ledger.lock(study):
                stored = state_claims(ledger, ledger.study(study), claims)
        verdicts = judge_claims(ledger, stored)
    say(verdicts_json(study, verdicts) if as_json else verdicts_report(study, verdicts))


@app.command(rich_help_panel="Ask")
def notes(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of recipes that state claims.")],
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="A page with pictures (.html), or a table (.csv, .md, .json, .parquet); may be repeated.",
            show_default=False,
        ),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    jobs: Jobs = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train every recipe of a folder and say what became of its claims: one table, and one page with pictures.

    A study is named after its recipe's file. What is trained already is not trained again; Ctrl-C stops, and the same
    command goes on. For example: sweep notes recipes/notes -o notes.html
    """
    from sweep.errors import SweepError, UsageError
    from sweep.host import ahead
    from sweep.report.files import SUFFIXES, check_target
    from sweep.wording import count

    targets = output or []
    for target in targets:
        check_target(target, (".html", *SUFFIXES))
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise UsageError(f"{folder}: no recipes there; expected a folder with files ending in .toml")
    ahead()
    judged, failed = [], 0
    for file in files:
        try:
            judged.append(_note(file, results, Running(jobs, device)))
        except Interrupted:
            raise
        except SweepError as error:
            failed += 1
            print(f"sweep: {file}: {str(error).removeprefix(f'{file}: ')}", file=sys.stderr)
    if not judged:
        raise SweepError(f"{folder}: none of {count(len(files), 'recipe')} could be judged")
    _show_notes(judged, folder, targets, as_json)
    raise typer.Exit(1 if failed else 0)


def _note(file: Path, results: Path, running: Running) -> Note:
    """A recipe's study, trained as far as it is not, and judged."""
    from sweep.api import judge_recipe, train
    from sweep.errors import UsageError
    from sweep.progress import watcher

    recipe, name = load(file, {}, None)
    if not recipe.claims:
        raise UsageError("states no claim; expected tables [[claim]]")
    summary = train(recipe, name, results, run_options(running), watcher(console(stderr=True)))
    if summary.stopped == "interrupted":
        raise Interrupted("interrupted; the same command goes on")
    return judge_recipe(file, name, results)


def _show_notes(judged: list[Note], folder: Path, targets: list[str], as_json: bool) -> None:
    from rich.text import Text

    from sweep.report.files import export_table, records
    from sweep.report.page.notes import count_verdicts, save_notes, summary, verdicts_table

    if as_json:
        say(records(verdicts_table(judged)))
    else:
        say(summary(judged))
        say(Text(f"\n{count_verdicts(judged)}"))
    for target in targets:
        if target.lower().endswith(".html"):
            save_notes(judged, folder.resolve().name, target)
        else:
            export_table(verdicts_table(judged), target)
        print(f"wrote {target}", file=sys.stderr)
