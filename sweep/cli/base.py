"""The application, and what its commands share: loading a recipe, running a study, printing. Needs typer."""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
import typer.core

from sweep import __version__
from sweep.errors import Interrupted

if TYPE_CHECKING:
    from sweep.analysis import Fresh, SettingsBoard, StudyTable
    from sweep.cluster import Cluster
    from sweep.flags import Asked, Running
    from sweep.ledger import Ledger, Study
    from sweep.recipe import Recipe
    from sweep.study import Options, Summary


class _Commands(typer.core.TyperGroup):
    """The commands; Ctrl-C in one of them is told like any other end, where typer would leave without a word."""

    def make_context(self, *args: Any, **more: Any) -> Any:
        try:
            return super().make_context(*args, **more)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None

    def invoke(self, *args: Any, **more: Any) -> Any:
        try:
            return super().invoke(*args, **more)
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None


app = typer.Typer(
    cls=_Commands,
    name="sweep",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Hyperparameter sweeps of small neural networks: many trials "
    "train as one program, none is lost, none is trained twice.",
    epilog="A first run: [bold]sweep grid --lr 0.1,0.01,0.001 --batch-norm on,off[/]",
)


def _version(value: bool) -> None:
    if value:
        print(f"sweep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Hyperparameter sweeps of small neural networks."""


def load(
    recipe: Path | None, flags: dict[str, str], study: str | None, search: dict[str, Any] | None = None
) -> tuple[Recipe, str]:
    """The recipe, and the name of its study: as given, else after the file, else by its digest."""
    from sweep.api import name_study
    from sweep.recipe import load_recipe

    loaded = load_recipe(recipe, flags, search)
    return loaded, name_study(loaded, recipe.stem if study is None and recipe else study)


def asked_table(ledger: Ledger, study: Study, asked: Asked) -> StudyTable:
    """A study as the flags of a question want it. Raises UsageError."""
    from sweep.analysis import study_table

    return study_table(ledger, study, asked.metric, asked.direction, asked.where)


def connect_ahead(running: Running) -> None:
    """Has a cluster be connected while a command gets ready to train on it."""
    if running.on is not None:
        _connect(running.on, running.device, running.jobs)


@cache
def _connect(on: str, device: str, jobs: int | None) -> Cluster:
    from sweep.cluster import Cluster

    return Cluster(on, device, jobs)


def run_options(running: Running) -> Options:
    """The flags that say how to run a study. Raises UsageError."""
    from sweep.study import Options, check_timeout, parse_duration
    from sweep.workers import choose_devices

    timeout = check_timeout(running.timeout)
    seconds = parse_duration(running.time_limit) if running.time_limit is not None else None
    cluster = None if running.on is None else _connect(running.on, running.device, running.jobs)
    return Options(
        cluster.devices if cluster else choose_devices(running.device, running.jobs),
        running.lanes,
        seconds=seconds,
        max_trials=running.max_trials,
        keep=running.keep_checkpoints,
        timeout=timeout,
        changed_code=running.changed_code,
        cluster=cluster,
    )


def show_run(summary: Summary, results: Path, name: str) -> NoReturn:
    """Shows the leaderboard of a study that has run, unless the
    user interrupted it, and leaves with the run's exit code."""
    from sweep.analysis import leaderboard, rank_settings, study_table
    from sweep.ledger import Ledger
    from sweep.report import settings_report

    if summary.stopped != "interrupted":
        with Ledger(results) as ledger:
            table = study_table(ledger, ledger.study(name))
        say("")
        say(settings_report(rank_settings(table), leaderboard(table), 10))
        say(f"\nMore: sweep show {name} · sweep trial {name} N · sweep export {name} -o {name}.csv")
    raise typer.Exit(summary.exit_code)


def find_fresh_score(ledger: Ledger, study: Study, board: SettingsBoard) -> Fresh | None:
    """The selected setting's score on the fresh seeds of the study that confirms this one, if there is one."""
    from sweep.analysis import fresh_score, study_table

    again = ledger.find(f"{study.name}-confirm")
    if again is None or again.recipe.data != study.recipe.data:
        return None
    return fresh_score(board, study_table(ledger, again))


def console(stderr: bool = False) -> Any:
    """A rich console, wide where there is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or "COLUMNS" in os.environ else 160  # a pipe has no width to fit into
    return Console(stderr=stderr, width=wide)


def say(what: Any) -> None:
    """Prints a rich renderable, or plain values as JSON."""
    if isinstance(what, dict | list):
        print(json.dumps(what, indent=1))
    else:
        from rich.text import Text

        console().print(what, highlight=False, soft_wrap=isinstance(what, Text))
