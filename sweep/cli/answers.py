"""Commands that answer: effect, importance, steps, check, look. Needs typer."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.base import app, asked_table, say
from sweep.flags import Asked, Json, Margin, StudyName, group_flags


@app.command(rich_help_panel="Ask")
@group_flags
def effect(
    *,
    study: StudyName,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Hyperparameters, such as batch_norm.")],
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="NAME",
            help="Repeat the comparison at each value of another hyperparameter: does the effect depend on it?",
        ),
    ] = None,
    margin: Margin = None,
    asked: Asked,
    as_json: Json = False,
) -> None:
    """Say what a hyperparameter does: settings that differ in it alone are compared, their seeds averaged first.

    Each comparison is a cell: settings that agree on everything else. One that diverged loses to one that trained.
    For example: sweep effect bn batch_norm --by lr --margin 0.1
    """
    from sweep.analysis.effects import effects
    from sweep.ledger import Ledger
    from sweep.report.answers import effect_json, effect_report

    with Ledger(asked.results) as ledger:
        table = asked_table(ledger, ledger.study(study), asked)
    answers = effects(table, names, by, margin)
    say([effect_json(answer) for answer in answers] if as_json else effect_report(answers))


@app.command(rich_help_panel="Ask")
@group_flags
def importance(
    *,
    study: StudyName,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs", help="Also what two hyperparameters do together, beyond each alone (whole grids only)."
        ),
    ] = False,
    scale: Annotated[
        str,
        typer.Option("--scale", metavar="NAME", help="log or raw: how the metric is taken; auto is log for losses."),
    ] = "auto",
    asked: Asked,
    as_json: Json = False,
) -> None:
    """Say which hyperparameters matter: the share of the metric's variance that each explains."""
    from sweep.analysis.importance import importance as ask
    from sweep.ledger import Ledger
    from sweep.report.answers import importance_json, importance_report

    with Ledger(asked.results) as ledger:
        table = asked_table(ledger, ledger.study(study), asked)
    shares = ask(table, pairs, scale)
    say(importance_json(shares) if as_json else importance_report(shares))


@app.command(rich_help_panel="Ask")
@group_flags
def steps(
    *,
    study: StudyName,
    target: Annotated[
        float, typer.Option("--target", metavar="VALUE", help="What to reach: of an accuracy 0.9 is 90%, a loss falls.")
    ],
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Compare the values of this hyperparameter, by seed and setting."),
    ] = None,
    asked: Asked,
    top: Annotated[int, typer.Option("--top", min=1, metavar="N", help="Rows at most.")] = 20,
    as_json: Json = False,
) -> None:
    """Say after how many training steps each setting first reached a target, or that it never did.

    Of val_accuracy (val_loss where the target is a number) unless --metric says otherwise. What was trained with
    --evaluate-every N was looked at every N steps, anything else at the end of its epochs. For example: sweep steps bn
    --target 0.9 --by batch_norm
    """
    from dataclasses import replace

    from sweep.analysis.reaching import reach
    from sweep.ledger import Ledger
    from sweep.report.answers import reaching_json, reaching_report

    with Ledger(asked.results) as ledger:
        stored = ledger.study(study)
        metric = asked.metric or ("val_loss" if stored.recipe.regression else "val_accuracy")
        reached = reach(ledger, stored, asked_table(ledger, stored, replace(asked, metric=None)), metric, target, by)
    say(reaching_json(reached) if as_json else reaching_report(reached, top))


@app.command(rich_help_panel="Ask")
@group_flags
def check(
    *,
    study: StudyName,
    asked: Asked,
    as_json: Json = False,
) -> None:
    """Read a study as an experienced colleague would: what to watch out for, on which numbers, what to run next."""
    from sweep.analysis.check import check as read
    from sweep.analysis.check import unread
    from sweep.ledger import Ledger
    from sweep.report.answers import check_json, check_report

    with Ledger(asked.results) as ledger:
        stored = ledger.study(study)
        table = asked_table(ledger, stored, asked)
        epochs, kinds = ledger.epochs(stored), ledger.kinds(stored)
    remarks, rest = read(table, epochs, stored.recipe, stored.classes, kinds), unread(table, epochs, stored.classes)
    if as_json:
        say(check_json(table, remarks, rest))
    else:
        for part in check_report(table, remarks, rest):
            say(part)


@app.command(rich_help_panel="Ask")
@group_flags
def look(
    *,
    study: StudyName,
    quantity: Annotated[
        str | None,
        typer.Argument(metavar="[QUANTITY]", help="Such as grad_norm; without it, what there is.", show_default=False),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAMES", help="Hyperparameters whose levels are told apart; by default all."),
    ] = None,
    epoch: Annotated[
        int | None, typer.Option("--epoch", metavar="N", help="The epoch, where there are several places.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option("--place", metavar="NAME", help="Over the epochs at one place, such as 'layer 1'."),
    ] = None,
    asked: Asked,
    as_json: Json = False,
) -> None:
    """Look inside trained networks: what was recorded with --look, by layer or epoch, levels side by side.

    For example: sweep look deep grad_norm --by batch_norm --epoch 1
    """
    from sweep.analysis.looks import list_readings
    from sweep.analysis.looks import look as ask
    from sweep.ledger import Ledger
    from sweep.report.answers.look import look_json, look_report, readings_json, readings_report

    with Ledger(asked.results) as ledger:
        stored = ledger.study(study)
        table, readings = asked_table(ledger, stored, asked), ledger.readings(stored)
    if quantity is None:
        listed = list_readings(table, readings)
        say(readings_json(study, listed) if as_json else readings_report(study, listed))
        return
    names = None if by is None else [name for name in by.split(",") if name.strip()]
    answer = ask(table, readings, quantity, names, epoch, place)
    say(look_json(answer) if as_json else look_report(answer))
