"""Commands about claims: verdict. Needs typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.base import app, say
from sweep.flags import DEFAULT_RESULTS, Json, Results, StudyName


@app.command(rich_help_panel="Ask")
def verdict(
    study: StudyName,
    claims: Annotated[
        Path | None,
        typer.Option(
            "--claims",
            metavar="FILE",
            help="A TOML file with tables [[claim]] to add to the study first, marked as stated afterwards.",
            show_default=False,
        ),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Say what became of a study's claims: confirmed, contradicted, equal for practical purposes, or not shown.

    A recipe states what it expects in tables [[claim]], before anything is trained. A claim that was added when results
    were there is marked so.
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
