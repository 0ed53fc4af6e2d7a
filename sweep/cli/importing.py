"""The command that makes a study of results from elsewhere: import. Needs typer."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.base import app, say
from sweep.flags import DEFAULT_RESULTS, Results


@app.command("import", rich_help_panel="Read")
def import_table(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Table with one row per training, or per epoch: .csv, .tsv (also .gz, .zip) or .parquet.",
        ),
    ],
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            metavar="COLUMN",
            help="What settings are ranked on; with a *, such as 'split*_test_score', one column per repeat.",
        ),
    ],
    minimize: Annotated[
        bool | None,
        typer.Option(
            "--minimize/--maximize", help="Whether less of the metric is better, or more.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(
            "--seed",
            metavar="COLUMN",
            help="The trainings' seeds, whole numbers. [dim]\\[default seed, or params_seed and the like][/]",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="COLUMNS",
            help="Columns that are no hyperparameters: a,b; a name with a comma in quotes. Repeatable.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns",
            metavar="COLUMNS",
            help="The hyperparameters: a,b. [dim]\\[default every other column that can be one][/]",
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option("--test", metavar="COLUMN", help="A metric on test data; shown of the selected setting alone."),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            "--where", metavar="CONDITION", help="Only rows that meet it, such as 'problem=mnist, epochs>=100'."
        ),
    ] = "",
    study: Annotated[
        str | None, typer.Option("--study", metavar="NAME", help="Name of the study; by default the file's.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Make a study of a table of results, to be read like any other: show, effect, importance, plot, export.

    One row is one training; rows that agree in all hyperparameters are one setting, trained with several seeds.
    """
    from sweep.errors import UsageError
    from sweep.ledger import Ledger
    from sweep.study import check_name
    from sweep.wording import count

    if minimize is None:
        raise UsageError(f"--metric {metric}: is less better, or more? give --minimize or --maximize")
    name = check_name(study if study is not None else re.sub(r"(\.csv|\.tsv|\.parquet|\.gz|\.zip)+$", "", file.name))
    from sweep.analysis.importing import read_results
    from sweep.report.imported import import_report

    way = "minimize" if minimize else "maximize"
    read = read_results(file, metric, way, seed, ignore or (), columns or (), test, where)
    with Ledger(results, create=True) as ledger, ledger.lock(name):
        if ledger.find(name) is not None:
            raise UsageError(f"study {name!r} exists; give --study another name, or `sweep rm {name}`")
        stored = ledger.add_results(name, read.recipe, read.rows)
    for note in read.notes:
        print(f"sweep: {note}", file=sys.stderr)
    trials, settings, seeds = stored.trials, read.settings, len(stored.recipe.seeds)
    print(f"{name}: imported {count(trials, 'trial')} of {count(settings, 'setting')}, {count(seeds, 'seed')}\n")
    say(import_report(read))
    print(f"\nMore: sweep show {name}")
