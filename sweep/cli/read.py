"""Commands that read: ls, show, trial, export. Needs typer."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.base import app, console, say
from sweep.flags import (
    DEFAULT_RESULTS,
    Direction,
    Json,
    Metric,
    Results,
    StudyName,
    Where,
)


@app.command("ls", rich_help_panel="Read")
def list_studies(results: Results = DEFAULT_RESULTS, as_json: Json = False) -> None:
    """List the studies of the results folder."""
    from sweep.ledger import Ledger
    from sweep.report import studies_table

    with Ledger(results) as ledger:
        rows = [ledger.overview(study) for study in ledger.studies()]
    say(rows if as_json else studies_table(rows))


@app.command(rich_help_panel="Read")
def show(
    study: StudyName,
    results: Results = DEFAULT_RESULTS,
    metric: Metric = None,
    direction: Direction = None,
    where: Where = "",
    top: Annotated[int, typer.Option("--top", min=1, metavar="N", help="Rows at most.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Every trial, those that wait or run too.")] = False,
    as_json: Json = False,
) -> None:
    """Show a study's leaderboard, ranked on validation; the test score is shown of the selected trial alone."""
    from sweep.analysis import csv_columns, leaderboard
    from sweep.ledger import Ledger
    from sweep.report import board_table, plain, records

    with Ledger(results) as ledger:
        found = ledger.study(study)
        board = leaderboard(ledger.trials(found), found.recipe, metric, direction, where, everything)
    if not as_json:
        say(board_table(board, None if everything else top, console().width))
        return
    rows = board.rows if everything else board.rows.head(top)
    best = board.selected
    tests = () if board.filtered else ("test_loss", "test_accuracy")
    names = ("trial", "seed", *board.swept, board.metric, *tests)
    chosen = {name: plain(best[name]) for name in names} if best is not None else None
    constant = {name: plain(value) for name, value in board.constant.items()}
    say(
        {
            "study": study,
            "metric": board.metric,
            "direction": board.direction,
            "constant": constant,
            "selected": chosen,
            "trials": records(rows[csv_columns(board, test=False)]),
        }
    )


@app.command(rich_help_panel="Read")
def trial(
    study: StudyName,
    number: Annotated[int, typer.Argument(metavar="N", min=0, help="The trial's number.")],
    results: Results = DEFAULT_RESULTS,
    test: Annotated[bool, typer.Option("--test", help="Show its test score too.")] = False,
    as_json: Json = False,
) -> None:
    """Show one trial: setting, state and learning curve."""
    from sweep.ledger import Ledger
    from sweep.report import records, trial_report

    with Ledger(results) as ledger:
        found = ledger.study(study)
        row, setting = ledger.trial(found, number)
        epochs = ledger.epochs(found, number).drop(columns="trial")
    if not test:
        row = {name: value for name, value in row.items() if not name.startswith("test_")}
    if as_json:
        say({"study": study, **row, "setting": setting, "curve": records(epochs)})
    else:
        say(trial_report(row, setting, epochs, test, console().width))


@app.command(rich_help_panel="Read")
def export(
    study: StudyName,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File ending in .csv, .parquet, .json or .md; - is CSV on standard output.",
        ),
    ] = None,
    optuna: Annotated[
        str | None,
        typer.Option(
            "--optuna",
            metavar="STORAGE",
            help="Write a study for Optuna's tools instead: sqlite:///FILE.db, or a journal FILE.log.",
        ),
    ] = None,
    results: Results = DEFAULT_RESULTS,
    metric: Metric = None,
    direction: Direction = None,
    where: Where = "",
    everything: Annotated[bool, typer.Option("--all", help="Trials that wait or run too.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Add test_loss and test_accuracy of every trial.")] = False,
    curves: Annotated[
        bool, typer.Option("--curves", help="Export the epochs of every trial instead of the leaderboard.")
    ] = False,
) -> None:
    """Write the leaderboard, or every epoch, to a file."""
    from sweep.analysis import csv_columns, leaderboard
    from sweep.errors import UsageError
    from sweep.ledger import Ledger
    from sweep.report import export_table

    if optuna is not None:
        from sweep.study import export_optuna

        with Ledger(results) as ledger:
            written = export_optuna(ledger, ledger.study(study), optuna)
        print(f"wrote {written} trials to {optuna}")
    if output is None:
        if optuna is None:
            raise UsageError("missing option --output (-o) FILE, or --optuna STORAGE")
        return

    with Ledger(results) as ledger:
        found = ledger.study(study)
        board = leaderboard(ledger.trials(found), found.recipe, metric, direction, where, everything)
        epochs = ledger.epochs(found) if curves else None
    if epochs is None:
        export_table(board.rows[csv_columns(board, test)], output)
    else:
        export_table(epochs[epochs["trial"].isin(board.rows["trial"])], output)
