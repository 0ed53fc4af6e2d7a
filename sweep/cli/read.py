"""Commands that read: ls, show, trial, export. Needs typer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.base import app, asked_table, confirmed, console, say
from sweep.flags import DEFAULT_RESULTS, Asked, Json, Results, StudyName, grouped

if TYPE_CHECKING:
    from sweep.analysis import Board
    from sweep.ledger import Sitting


@app.command("ls", rich_help_panel="Read")
def list_studies(results: Results = DEFAULT_RESULTS, as_json: Json = False) -> None:
    """List the studies of the results folder."""
    from sweep.ledger import Ledger
    from sweep.report import studies_table

    with Ledger(results) as ledger:
        rows = [ledger.overview(study) for study in ledger.studies()]
        damaged = list(ledger.damaged.values())
    say(rows if as_json else studies_table(rows))
    for line in damaged:
        print(line, file=sys.stderr)


@app.command(rich_help_panel="Read")
@grouped
def show(
    *,
    study: StudyName,
    asked: Asked,
    top: Annotated[int, typer.Option("--top", min=1, metavar="N", help="Rows at most.")] = 20,
    trials: Annotated[bool, typer.Option("--trials", help="One row per trial, not one per setting.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every row, those that wait or run too.")] = False,
    as_json: Json = False,
) -> None:
    """Show a study's settings, ranked on validation, seeds averaged: mean, interval, who can be told from the best.

    The test score is shown of the selected setting alone.
    """
    from sweep.analysis import leaderboard, rank_settings, settings_table
    from sweep.ledger import Ledger
    from sweep.report import board_table, settings_json, settings_report

    rows = None if everything else top
    with Ledger(asked.results) as ledger:
        found = ledger.study(study)
        table = asked_table(ledger, found, asked)
        ranked = rank_settings(table, everything)
        fresh = None if trials else confirmed(ledger, found, ranked)
        mixed, machines = ledger.mixed(found), {"machines": trained_on(ledger.kinds(found))}
    if as_json and not trials:
        return say(settings_json(ranked, settings_table(ranked), study, rows, fresh) | machines)
    board = None
    if trials or ranked.seeds < 2:
        board = leaderboard(table, everything)
    if board is None or not trials:
        say(settings_report(ranked, board, rows, fresh))
    else:
        say(trials_json(board, study, rows) | machines if as_json else board_table(board, rows))
    if mixed and not as_json:
        say(f"\n{mixed}")


def trained_on(kinds: Sequence[Sequence[Sitting]]) -> list[dict[str, Any]]:
    """The kinds of machines that trained a study's trials, as plain values: more than one, and last digits may differ."""
    return [
        {"kind": kind[0].kind, "torch": kind[0].facts.get("torch"), "trials": sum(sitting.trials for sitting in kind)}
        for kind in kinds
    ]


def trials_json(board: Board, study: str, top: int | None) -> dict[str, Any]:
    """The leaderboard of trials as plain values."""
    from sweep.analysis import csv_columns, test_columns
    from sweep.report import plain, records

    best = board.selected
    tests = () if board.table.filtered else test_columns(board.rows)
    names = dict.fromkeys(("trial", "seed", *board.table.swept, board.table.metric, *tests))
    return {
        "study": study,
        "metric": board.table.metric,
        "direction": board.table.direction,
        "constant": {name: plain(value) for name, value in board.table.constant.items()},
        "selected": {name: plain(best[name]) for name in names} if best is not None else None,
        "trials": records((board.rows if top is None else board.rows.head(top))[csv_columns(board, test=False)]),
    }


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
        sitting = next((one for one in ledger.sittings(found) if one.number == row.get("sitting")), None)
    if not test:
        row = {name: value for name, value in row.items() if not name.startswith("test_")}
    if as_json:
        say({"study": study, **row, "machine": sitting and sitting.facts, "setting": setting, "curve": records(epochs)})
    else:
        say(trial_report(row, setting, epochs, test, console().width, sitting))


@app.command(rich_help_panel="Read")
@grouped
def export(
    *,
    study: StudyName,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File ending in .csv, .parquet, .json, .md, or .tex (settings, for a paper); - is CSV on standard output.",
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
    tensorboard: Annotated[
        str | None,
        typer.Option(
            "--tensorboard",
            metavar="DIR",
            help="Write DIR/STUDY for TensorBoard instead: a run per trial, its epochs as scalars, its setting as HParams "
            "(pip install tensorboard).",
        ),
    ] = None,
    asked: Asked,
    everything: Annotated[bool, typer.Option("--all", help="Trials that wait or run too.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Add test_loss and test_accuracy of every trial.")] = False,
    settings: Annotated[
        bool, typer.Option("--settings", help="Export one row per setting, seeds averaged, instead of one per trial.")
    ] = False,
    curves: Annotated[
        bool, typer.Option("--curves", help="Export the epochs of every trial instead of the leaderboard.")
    ] = False,
) -> None:
    """Write the leaderboard of trials or settings, or every epoch, to a file."""
    from sweep.analysis import csv_columns, leaderboard, rank_settings, settings_table
    from sweep.errors import UsageError
    from sweep.ledger import Ledger
    from sweep.report import export_table
    from sweep.report.files import save_text
    from sweep.wording import count

    if optuna is not None:
        from sweep.study import export_optuna

        with Ledger(asked.results) as ledger:
            written = export_optuna(ledger, ledger.study(study), optuna)
        print(f"wrote {count(written, 'trial')} to {optuna}")
    if tensorboard is not None:
        from sweep.report.tensorboard import export_tensorboard

        with Ledger(asked.results) as ledger:
            found = ledger.study(study)
            board = leaderboard(asked_table(ledger, found, asked), everything)
            written = export_tensorboard(found, board, ledger.epochs(found), tensorboard)
        print(f"wrote {count(written, 'trial')} to {tensorboard}; tensorboard --logdir {tensorboard}")
    if output is None:
        if optuna is None and tensorboard is None:
            raise UsageError("missing option --output (-o) FILE, --optuna STORAGE or --tensorboard DIR")
        return

    if settings and (curves or test):
        raise UsageError(f"--settings and {'--curves' if curves else '--test'} both given; expected one of them")
    paper = output.lower().endswith(".tex")
    if paper and (curves or test):
        raise UsageError(
            f"-o {output}: a table of settings; {'--curves' if curves else '--test'} needs .csv, .parquet, .json or .md"
        )
    with Ledger(asked.results) as ledger:
        found = ledger.study(study)
        if mixed := ledger.mixed(found):
            print(f"sweep: {mixed}", file=sys.stderr)
        table = asked_table(ledger, found, asked)
        if settings or paper:
            ranked = rank_settings(table, everything)
            if paper:
                from sweep.report.latex import latex_table

                return save_text(latex_table(ranked), output)
            return export_table(settings_table(ranked), output)
        board = leaderboard(table, everything)
        epochs = ledger.epochs(found) if curves else None
    if epochs is None:
        export_table(board.rows[csv_columns(board, test)], output)
    else:
        export_table(epochs[epochs["trial"].isin(board.rows["trial"])], output)
