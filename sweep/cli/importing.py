"""The command that makes a study of results from elsewhere: import. Needs typer."""

from __future__ import annotations

import gc
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.base import app, say
from sweep.errors import UsageError, unknown
from sweep.flags import DEFAULT_RESULTS, Results

if TYPE_CHECKING:
    from sweep.analysis.adopting import Wishes
    from sweep.analysis.importing import Results as Read

_SUFFIXES = r"(\.csv|\.tsv|\.parquet|\.gz|\.zip|\.db|\.sqlite3?|\.log|\.journal|\.jsonl?|\.wandb|\.yaml)+$"


@app.command("import", rich_help_panel="Read")
def import_results(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="What another tool wrote, a file, a folder or sqlite:///FILE; or a table with one row per training, "
            "or per epoch: .csv, .tsv (also .gz, .zip) or .parquet.",
        ),
    ],
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="What settings are ranked on; with a *, such as 'split*_test_score', one column per repeat. "
            "[dim]\\[default what the tool optimised, where it knows that][/]",
        ),
    ] = None,
    minimize: Annotated[
        bool | None,
        typer.Option(
            "--minimize/--maximize",
            help="Whether less of the metric is better, or more. [dim]\\[default as the tool knows it][/]",
            show_default=False,
        ),
    ] = None,
    tool: Annotated[
        str | None,
        typer.Option("--from", metavar="TOOL", help="Which tool wrote it, where that does not show; table for none."),
    ] = None,
    named: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Which study or experiment, where the tool's files hold several."),
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(
            "--value",
            metavar="last|best",
            help="Which value of a trial's curve counts; the best is chosen on itself. "
            "[dim]\\[default what the tool kept, else the last][/]",
        ),
    ] = None,
    seed: Annotated[
        str | None,
        typer.Option(
            "--seed",
            metavar="NAME",
            help="The trainings' seeds, whole numbers; rows: number the rows of a setting. "
            "[dim]\\[default seed, or params_seed and the like][/]",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="NAMES",
            help="Columns that are no hyperparameters: a,b; a name with a comma in quotes. Repeatable.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--columns",
            metavar="NAMES",
            help="The hyperparameters: a,b. [dim]\\[default every other column that can be one][/]",
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option("--test", metavar="NAME", help="A metric on test data; shown of the selected setting alone."),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            "--where", metavar="CONDITION", help="Only rows that meet it, such as 'problem=mnist, epochs>=100'."
        ),
    ] = "",
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar="COLUMN",
            help="Of a table: how trainings ended. [dim]\\[default state, status and the like][/]",
        ),
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(
            "--missing",
            metavar="diverged|failed|left-out",
            help="Of a table: what a row with an empty metric is. [dim]\\[default diverged][/]",
        ),
    ] = None,
    short: Annotated[
        str | None,
        typer.Option(
            "--short",
            metavar="failed|complete",
            help="Of a tool that keeps no states: what a trial is whose curve is shorter than nearly all others. "
            "[dim]\\[default failed][/]",
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option("--study", metavar="NAME", help="Name of the study; by default the file's.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """Make a study of results from elsewhere, to be read like any other: show, effect, importance, plot, export.

    Trials that agree in all hyperparameters are one setting, trained with several seeds.
    """
    from sweep.analysis.adopting import Wishes
    from sweep.ledger import Ledger
    from sweep.report.imported import import_report
    from sweep.study import check_name
    from sweep.wording import count

    for flag, given, choices in (
        ("--value", value, _VALUES),
        ("--missing", missing, _MISSING),
        ("--short", short, _SHORT),
    ):
        if given is not None and given not in choices:
            raise unknown("value", given, choices, f"{flag}: ")
    if not path:
        raise UsageError("PATH is empty; expected what another tool wrote, or a table of results")
    place = Path(re.sub("^sqlite:///", "", path))
    name = check_name(study if study is not None else _name_of(place, named))
    way = None if minimize is None else "minimize" if minimize else "maximize"
    wishes = Wishes(metric, way, seed, ignore or (), columns or (), test, where, short or "failed", value)
    gc.disable()  # of 100,000 trials a million small objects are kept to the end: looking through them takes a third
    try:
        read = _read(place, tool, named, wishes, state, missing)
    finally:
        gc.enable()
    with Ledger(results, create=True) as ledger, ledger.lock(name):
        if ledger.find(name) is not None:
            raise UsageError(f"study {name!r} exists; give --study another name, or `sweep rm {name}`")
        stored = ledger.add_results(name, read.recipe, read.rows, read.course)
    for note in read.notes:
        print(f"sweep: {note}", file=sys.stderr)
    trials, settings, seeds = stored.trials, read.settings, len(stored.recipe.seeds)
    print(f"{name}: imported {count(trials, 'trial')} of {count(settings, 'setting')}, {count(seeds, 'seed')}\n")
    say(import_report(read))
    print(f"\nMore: sweep show {name}")


_VALUES, _MISSING, _SHORT = ("last", "best"), ("diverged", "failed", "left-out"), ("failed", "complete")


def _name_of(path: Path, named: str | None) -> str:
    """What a study of some files is called: as the tool calls it, else after the file or the folder."""
    own = named if named is not None else re.sub(_SUFFIXES, "", path.absolute().name, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", own).strip("._") or "imported"


def _read(
    path: Path, tool: str | None, named: str | None, wishes: Wishes, state: str | None, missing: str | None
) -> Read:
    """What a path holds, a tool's trials or a plain table. Raises UsageError."""
    from sweep.foreign import TOOLS, read_study, recognize

    reader = recognize(path, TOOLS, tool)
    if reader is None:
        return _read_table(path, tool, named, wishes, state, missing)
    from sweep.analysis.adopting import adopt

    for flag, given in (("--state", state), ("--missing", missing)):
        if given is not None:
            raise UsageError(f"{flag} {given}: is for a plain table; {reader.name} says how its trials ended")
    return adopt(read_study(path, reader, named), path.absolute().name, wishes)


def _read_table(
    path: Path, tool: str | None, named: str | None, wishes: Wishes, state: str | None, missing: str | None
) -> Read:
    from sweep.analysis.importing import read_results
    from sweep.analysis.typed import SUFFIXES
    from sweep.foreign import TOOLS, nothing_known

    if tool is None and (path.is_dir() or not path.name.lower().endswith(SUFFIXES)):
        raise nothing_known(path, TOOLS, SUFFIXES)
    for flag, given in (("--name", named), ("--value", wishes.value)):
        if given is not None:
            raise UsageError(f"{flag} {given}: is for what a tool wrote; {path} is a plain table")
    metric = wishes.metric
    if metric is None:
        raise UsageError(f"{path}: a plain table; give --metric COLUMN, what settings are ranked on, and its direction")
    if wishes.direction is None:
        raise UsageError(f"--metric {metric}: is less better, or more? give --minimize or --maximize")
    return read_results(
        path,
        metric,
        wishes.direction,
        wishes.seed,
        wishes.ignore,
        wishes.columns,
        wishes.test,
        wishes.where,
        state,
        missing or "diverged",
    )
