"""Commands that draw: plot, report. Needs typer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sweep.cli.base import app, asked_table, console, find_fresh_score, say
from sweep.flags import Asked, Json, StudyName, group_flags

if TYPE_CHECKING:
    from sweep.analysis import StudyTable
    from sweep.analysis.pictures import Picture
    from sweep.ledger import Ledger, Study

KINDS = {
    "curves": "learning curves: one line per setting, its band over seeds",
    "isolation": "the metric against one hyperparameter, the best of each value marked",
    "heatmap": "two hyperparameters, the best setting's mean in each cell",
    "parallel": "one line per setting through every hyperparameter",
    "effect": "paired differences of one or more hyperparameters, with intervals",
    "importance": "each hyperparameter's share of the metric's variance",
    "budget": "the best to expect of k settings picked blindly",
    "look": "what --look recorded, by layer or epoch; names: the quantity, then hyperparameters",
    "surface": "paths down a function, over its curve or its contours",
    "basins": "where every start of a function ends",
    "pareto": "the metric against what it costs (parameters, seconds, …)",
    "boundary": "what a trial's network answers over data of two columns (it is trained again)",
}


@app.command(rich_help_panel="Ask")
@group_flags
def plot(
    *,
    study: StudyName,
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", help="; ".join(f"[bold]{name}[/]: {words}" for name, words in KINDS.items()) + "."
        ),
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Hyperparameters to draw: isolation 1, heatmap 2 (across, down), parallel "
            "and effect any, pareto the cost. "
            "By default those that explain most.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File ending in .html, .png or .svg; without it, drawn in the terminal.",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, max=5, metavar="N", help="Curves: how many of the best are named.")
    ] = 5,
    epoch: Annotated[
        int | None, typer.Option("--epoch", metavar="N", help="Look: at which epoch; by default the last.")
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option("--trial", min=0, metavar="N", help="Boundary: of which trial; by default the selected one."),
    ] = None,
    theme: Annotated[
        str, typer.Option("--theme", metavar="NAME", help="Of .png and .svg: light or dark; .html follows the reader.")
    ] = "light",
    asked: Asked,
    as_json: Json = False,
) -> None:
    """Draw a study: to a file, or as text in the terminal.

    curves, isolation, heatmap, parallel, effect, importance, budget, look, pareto, boundary;
    of functions surface, basins.
    """
    from sweep.errors import UsageError, unknown
    from sweep.ledger import Ledger

    if kind not in KINDS:
        if study in KINDS:
            raise UsageError(f"the study comes first: sweep plot {kind} {study}")
        raise unknown("kind of picture", kind, KINDS)
    if trial is not None and kind != "boundary":
        raise UsageError(f"--trial {trial}: for a boundary; {kind} draws all trials")
    from sweep.analysis.pictures import draw_picture

    with Ledger(asked.results) as ledger:
        recorded = ledger.study(study)
        table = asked_table(ledger, recorded, asked)
        if epoch is not None and kind != "look":
            raise UsageError(f"--epoch {epoch}: {kind} draws all epochs; expected kind look")
        if kind == "boundary":
            picture = _boundary(ledger, recorded, table, names or [], trial)
        else:
            picture = draw_picture(ledger, recorded, table, kind, names or [], top, epoch)
    if as_json:
        from sweep.report.files import picture_records

        say(picture_records(picture))
    elif output is None:
        from sweep.report.terminal import terminal

        say(terminal(picture, console().width))
    else:
        from sweep.report.pictures import save_picture

        save_picture(picture, output, theme)
        print(f"wrote {output}")


def _boundary(ledger: Ledger, study: Study, table: StudyTable, names: list[str], trial: int | None) -> Picture:
    from sweep.analysis import leaderboard, pictures
    from sweep.errors import UsageError
    from sweep.study import answer_plane

    if names:
        raise UsageError(f"boundary draws one trial, --trial N; given {', '.join(names)}")
    if trial is None:
        selected = leaderboard(table).selected
        if selected is None:
            raise UsageError(f"study {study.name!r}: no trial is complete, so none can be drawn")
        trial = int(selected["trial"])
    return pictures.boundary_picture(table, study.recipe.data, answer_plane(ledger, study, trial))


@app.command(rich_help_panel="Ask")
@group_flags
def report(
    *,
    study: StudyName,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="File ending in .html; by default STUDY.html."),
    ] = None,
    asked: Asked,
) -> None:
    """Write one HTML file that says what a study found, answers first; it opens offline.

    The winner and how sure it is, effects, importance, checks, figures, every trial, and how to get the numbers again.
    """
    from sweep.analysis import rank_settings
    from sweep.analysis.pictures import parameter_counter
    from sweep.analysis.verdicts import judge_claims
    from sweep.ledger import Ledger
    from sweep.report.page import Report, save_report

    with Ledger(asked.results) as ledger:
        recorded = ledger.study(study)
        table = asked_table(ledger, recorded, asked)
        board = rank_settings(table)
        fresh = find_fresh_score(ledger, recorded, board)
        kinds, parameters = ledger.kinds(recorded), parameter_counter(recorded.recipe.data, recorded.recipe.network)
        verdicts = judge_claims(ledger, recorded) if recorded.recipe.claims else []
        told = Report(recorded, table, board, ledger.epochs(recorded), fresh, parameters, kinds, verdicts)
    target = output or f"{study}.html"
    save_report(told, target)
    print(f"wrote {target}")
