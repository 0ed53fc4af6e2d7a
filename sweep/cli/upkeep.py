"""Commands that look after a results folder: reproduce, doctor, rm. Needs typer."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.base import app, say
from sweep.errors import SweepError
from sweep.flags import (
    DEFAULT_RESULTS,
    Json,
    MovedData,
    Results,
    StudyName,
)


@app.command(rich_help_panel="Look after")
def reproduce(
    study: StudyName,
    number: Annotated[int, typer.Argument(metavar="N", min=0, help="The trial's number.")],
    results: Results = DEFAULT_RESULTS,
    data: MovedData = None,
    as_json: Json = False,
) -> None:
    """Train one trial again, alone, from the ledger only, and compare every epoch to the bit."""
    from sweep import study as studies
    from sweep.ledger import Ledger
    from sweep.report import reproduction_report

    with Ledger(results) as ledger:
        stored = studies.follow_data(ledger, ledger.study(study), data)
        outcome = studies.reproduce(ledger, stored, number)
    if as_json:
        words = {"identical": outcome.difference is None, "same_kind_of_machine": outcome.alike}
        say({"study": study, **vars(outcome), **words})
    else:
        say(reproduction_report(outcome))
    raise typer.Exit(0 if outcome.difference is None else 1)


@app.command(rich_help_panel="Look after")
def doctor(
    results: Results = DEFAULT_RESULTS,
    mend: Annotated[
        bool, typer.Option("--mend", help="Mend what can be mended; without it, only say what would be done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is wrong with a results folder; with --mend, mend it. Exit code 1 while something is wrong."""
    from sweep import ledger
    from sweep.cores import quota_note
    from sweep.report import findings_report

    findings = ledger.mend(results) if mend else [(finding, None) for finding in ledger.diagnose(results)]
    if as_json:
        say([{"finding": f.what, "mending": f.mending, "mended": done} for f, done in findings])
    else:
        say(findings_report(findings))
        for note in filter(None, [quota_note(), *ledger.place_notes(results)]):
            print(note)
    raise typer.Exit(1 if any(done is None for _, done in findings) else 0)


@app.command("rm", rich_help_panel="Look after")
def remove(
    study: StudyName,
    results: Results = DEFAULT_RESULTS,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a study with all its trials; asks first."""
    from sweep.ledger import Ledger
    from sweep.wording import count

    with Ledger(results) as ledger:
        stored = ledger.study(study)
        with ledger.lock(study):
            if not yes and not typer.confirm(f"Remove study {study!r} with {count(stored.trials, 'trial')}?"):
                raise SweepError(f"study {study!r} is kept")
            ledger.remove(stored)
    print(f"removed {study}")
