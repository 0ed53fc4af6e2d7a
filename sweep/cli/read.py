"""Commands that read: ls, show, trial. Needs typer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweep.cli.base import app, asked_table, console, find_fresh_score, say
from sweep.flags import DEFAULT_RESULTS, Asked, Json, Results, StudyName, group_flags

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
@group_flags
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
    from sweep.report.imported import import_line, imported_json

    rows = None if everything else top
    with Ledger(asked.results) as ledger:
        stored = ledger.study(study)
        table = asked_table(ledger, stored, asked)
        ranked = rank_settings(table, everything)
        fresh = None if trials else find_fresh_score(ledger, stored, ranked)
        mixed = ledger.mixed(stored)
        more: dict[str, Any] = {"machines": trained_on(ledger.kinds(stored))} | imported_json(stored.recipe)
        if stored.recipe.shard:
            more["shard"] = stored.recipe.shard.text
    if as_json and not trials:
        return say(settings_json(ranked, settings_table(ranked), study, rows, fresh) | more)
    board = None
    if trials or ranked.seeds < 2:
        board = leaderboard(table, everything)
    if board is None or not trials:
        say(settings_report(ranked, board, rows, fresh))
    else:
        say(trials_json(board, study, rows) | more if as_json else board_table(board, rows))
    for line in () if as_json else (import_line(stored.recipe), mixed):
        if line:
            say(f"\n{line}")


def trained_on(kinds: Sequence[Sequence[Sitting]]) -> list[dict[str, Any]]:
    """The kinds of machines that trained a study's trials, as
    plain values: more than one, and last digits may differ."""
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
    test: Annotated[
        bool, typer.Option("--test", help="Show its test score too, and those on further test sets.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one trial: setting, state and learning curve."""
    from sweep.ledger import Ledger
    from sweep.report import records, trial_report

    with Ledger(results) as ledger:
        stored = ledger.study(study)
        row, setting = ledger.trial(stored, number)
        epochs = ledger.epochs(stored, number).drop(columns="trial")
        wanted, imported = (test and not stored.recipe.free) or stored.recipe.of_function, stored.recipe.imported
        readings = ledger.readings(stored, number) if wanted else None
        printed = ledger.output(stored, number)
        sitting = next((other for other in ledger.sittings(stored) if other.number == row.get("sitting")), None)
    if not test:
        row = {name: value for name, value in row.items() if not name.startswith("test_")}
    more: dict[str, Any] = {}
    ends = readings if stored.recipe.of_function else None
    if readings is not None and ends is None and len(readings):
        from sweep.analysis import further_tests

        more = next(iter(records(further_tests(readings))), {})
    if as_json:
        shown = {"study": study, **row, **more, "machine": sitting and sitting.facts, "setting": setting}
        if stored.recipe.trainer:
            shown["printed"] = printed
        if imported and printed:
            shown["name"] = printed
        if ends is not None:
            shown["end"] = {reading["place"]: reading["value"] for reading in records(ends)}
        say(shown | {"curve": records(epochs)})
    else:
        own = stored.recipe.metric if stored.recipe.trainer or (imported and len(epochs)) else None
        shown_output = "" if imported else printed
        say(trial_report(row, setting, epochs, test, console().width, sitting, more, ends, own, shown_output))
        if imported and printed:
            say(f"\n{imported.tool} calls it {printed}.")
