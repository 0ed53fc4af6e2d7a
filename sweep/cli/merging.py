"""The command that makes one study of several machines' parts: merge. Needs typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.base import app
from sweep.flags import DEFAULT_RESULTS, Results


@app.command(rich_help_panel="Look after")
def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER", help="Results folders of shards, or of copies that have grown apart."),
    ],
    study: Annotated[
        str | None,
        typer.Option("--study", metavar="NAME", help="Merge the study of that name alone; by default every study."),
    ] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Make one study of the shards of a grid, or of copies of a study: each trial once, by its setting and seed.

    The folders stay as they are, and merging again adds only what is new. Where two folders have other numbers for the
    same trial, nothing is merged.
    """
    from sweep import ledger
    from sweep.report.merging import merge_lines

    for line in merge_lines(ledger.merge(folders, results, study)):
        print(line)
