"""The command dashboard: a study in the browser, by optuna-dashboard. Needs typer."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.base import app
from sweep.flags import DEFAULT_RESULTS, Results, StudyName


@app.command(rich_help_panel="Read")
def dashboard(
    study: StudyName,
    results: Results = DEFAULT_RESULTS,
    host: Annotated[str, typer.Option("--host", metavar="NAME", help="Address to serve on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="Port to serve on; 0 takes a free one.")
    ] = 8080,
) -> None:
    """Serve a study, as it is now, with optuna-dashboard until Ctrl-C (pip install optuna-dashboard)."""
    from sweep.ledger import Ledger
    from sweep.study import dashboard as serve

    with Ledger(results) as ledger:
        stored = ledger.study(study)
        serve(ledger, stored, host, port, lambda url: print(f"{study} is served on {url} (Ctrl-C stops)", flush=True))
