"""The command that writes a study elsewhere: export. Needs typer."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from sweep.cli.base import app, asked_table
from sweep.errors import UsageError
from sweep.flags import Asked, StudyName, group_flags


@dataclass(frozen=True)
class Targets:
    """Where to: a file, Optuna's tools, TensorBoard, or several of them."""

    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File ending in .csv, .parquet, .json, .md, or .tex (settings, for a paper); "
            "- is CSV on standard output.",
        ),
    ] = None
    optuna: Annotated[
        str | None,
        typer.Option(
            "--optuna",
            metavar="STORAGE",
            help="Write a study for Optuna's tools instead: sqlite:///FILE.db, or a journal FILE.log.",
        ),
    ] = None
    tensorboard: Annotated[
        str | None,
        typer.Option(
            "--tensorboard",
            metavar="DIR",
            help="Write DIR/STUDY for TensorBoard instead: one run per trial, its "
            "epochs as scalars, its setting as HParams (pip install tensorboard).",
        ),
    ] = None
    mlflow: Annotated[
        str | None,
        typer.Option(
            "--mlflow",
            metavar="URI",
            help="Write an experiment for MLflow instead, a run per trial: sqlite:///mlflow.db, or a server "
            "(pip install mlflow).",
        ),
    ] = None
    wandb: Annotated[
        str | None,
        typer.Option(
            "--wandb",
            metavar="DIR",
            help="Write DIR/wandb for Weights & Biases instead: an offline run per trial, which wandb sync takes "
            "(pip install wandb).",
        ),
    ] = None
    trackio: Annotated[
        bool,
        typer.Option(
            "--trackio",
            help="Write a project for trackio instead, where it keeps them: TRACKIO_DIR (pip install trackio).",
        ),
    ] = False


@dataclass(frozen=True)
class Rows:
    """What a file is to hold: trials unless said otherwise."""

    everything: Annotated[bool, typer.Option("--all", help="Trials that wait or run too.")] = False
    test: Annotated[
        bool,
        typer.Option(
            "--test", help="Add test_loss and test_accuracy of every trial, and its scores on further test sets."
        ),
    ] = False
    settings: Annotated[
        bool, typer.Option("--settings", help="Export one row per setting, seeds averaged, instead of one per trial.")
    ] = False
    curves: Annotated[
        bool, typer.Option("--curves", help="Export the epochs of every trial instead of the leaderboard.")
    ] = False

    readings: Annotated[
        bool, typer.Option("--readings", help="Export what --look and its like recorded, instead of the leaderboard.")
    ] = False

    def check(self, output: str) -> None:
        """Raises UsageError for flags that exclude each other, or that a paper's table has no room for."""
        if self.curves and self.readings:
            raise UsageError("--curves and --readings both given; expected one of them")
        if not (self.curves or self.test or self.readings):
            return
        more = "--curves" if self.curves else "--readings" if self.readings else "--test"
        if self.settings:
            raise UsageError(f"--settings and {more} both given; expected one of them")
        if _for_paper(output):
            raise UsageError(f"-o {output}: a table of settings; {more} needs .csv, .parquet, .json or .md")


@app.command(rich_help_panel="Read")
@group_flags
def export(*, study: StudyName, targets: Targets, asked: Asked, rows: Rows) -> None:
    """Write the leaderboard of trials or settings, or every epoch, to a file."""
    for flag in ("output", "optuna", "tensorboard", "mlflow", "wandb"):
        if getattr(targets, flag) == "":
            raise UsageError(f"--{flag}: is empty; expected where to write")
    if targets.optuna is not None:
        _to_optuna(study, asked, targets.optuna)
    if targets.tensorboard is not None:
        _to_tensorboard(study, asked, rows.everything, targets.tensorboard)
    if targets.mlflow is not None or targets.wandb is not None or targets.trackio:
        _to_tracker(study, asked, rows.everything, targets)
    if targets.output is not None:
        rows.check(targets.output)
        _to_file(study, asked, rows, targets.output)
    elif targets == Targets():
        raise UsageError(
            "missing option --output (-o) FILE, or --optuna STORAGE, --tensorboard DIR, --mlflow URI, --wandb DIR, "
            "--trackio"
        )


def _to_optuna(study: str, asked: Asked, storage: str) -> None:
    from sweep.ledger import Ledger
    from sweep.study import export_optuna
    from sweep.wording import count

    with Ledger(asked.results) as ledger:
        written = export_optuna(ledger, ledger.study(study), storage)
    print(f"wrote {count(written, 'trial')} to {storage}")


def _to_tensorboard(study: str, asked: Asked, everything: bool, folder: str) -> None:
    from sweep.analysis import leaderboard
    from sweep.ledger import Ledger
    from sweep.report.tensorboard import export_tensorboard
    from sweep.wording import count

    with Ledger(asked.results) as ledger:
        stored = ledger.study(study)
        board = leaderboard(asked_table(ledger, stored, asked), everything)
        written = export_tensorboard(stored, board, ledger.epochs(stored), folder)
    print(f"wrote {count(written, 'trial')} to {folder}; tensorboard --logdir {folder}")


def _to_tracker(study: str, asked: Asked, everything: bool, targets: Targets) -> None:
    from sweep.analysis import leaderboard
    from sweep.ledger import Ledger
    from sweep.report.elsewhere.trials import collect
    from sweep.wording import count

    with Ledger(asked.results) as ledger:
        stored = ledger.study(study)
        board = leaderboard(asked_table(ledger, stored, asked), everything)
        written = collect(ledger, stored, board)
    trials = count(len(written.trials), "trial")
    if targets.mlflow is not None:
        from sweep.report.elsewhere.mlflow import write_mlflow

        write_mlflow(written, targets.mlflow)
        print(f"wrote {trials} to {targets.mlflow}; mlflow ui --backend-store-uri {targets.mlflow}")
    if targets.wandb is not None:
        from sweep.report.elsewhere.wandb import write_wandb

        write_wandb(written, targets.wandb)
        print(f"wrote {trials} to {targets.wandb}/wandb; wandb sync {targets.wandb}/wandb/offline-run-*")
    if targets.trackio:
        from sweep.report.elsewhere.trackio import write_trackio

        print(f"wrote {trials} to {write_trackio(written)[1]}; trackio show --project {study}")


def _to_file(study: str, asked: Asked, rows: Rows, output: str) -> None:
    from sweep.analysis import csv_columns, further_tests, leaderboard, rank_settings, settings_table
    from sweep.ledger import Ledger
    from sweep.report import export_table
    from sweep.report.files import save_text

    with Ledger(asked.results) as ledger:
        stored = ledger.study(study)
        if mixed := ledger.mixed(stored):
            print(f"sweep: {mixed}", file=sys.stderr)
        table = asked_table(ledger, stored, asked)
        instead = ledger.epochs(stored) if rows.curves else ledger.readings(stored) if rows.readings else None
        tests = further_tests(ledger.readings(stored)) if rows.test and not stored.recipe.trainer else None
    if _for_paper(output):
        from sweep.report.latex import latex_table

        save_text(latex_table(rank_settings(table, rows.everything)), output)
    elif rows.settings:
        export_table(settings_table(rank_settings(table, rows.everything)), output)
    else:
        board = leaderboard(table, rows.everything)
        if instead is None:
            chosen = board.rows[csv_columns(board, rows.test)]
            export_table(chosen if tests is None else chosen.join(tests, on="trial"), output)
        else:
            export_table(instead[instead["trial"].isin(board.rows["trial"])], output)


def _for_paper(output: str) -> bool:
    return output.lower().endswith(".tex")
