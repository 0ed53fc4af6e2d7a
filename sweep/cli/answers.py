"""Commands that answer: effect, importance, check. Needs typer."""

from __future__ import annotations

from typing import Annotated

import typer

from sweep.cli.base import app, say
from sweep.flags import DEFAULT_RESULTS, Direction, Json, Metric, Results, StudyName, Where


@app.command(rich_help_panel="Ask")
def effect(
    study: StudyName,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Hyperparameters, such as batch_norm.")],
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Ask it again at each value of this hyperparameter.")
    ] = None,
    results: Results = DEFAULT_RESULTS,
    metric: Metric = None,
    direction: Direction = None,
    where: Where = "",
    as_json: Json = False,
) -> None:
    """Say what a hyperparameter does: settings that differ in it alone are paired, seeds averaged first."""
    from sweep.analysis import effects, study_table
    from sweep.ledger import Ledger
    from sweep.report.answers import effect_json, effect_report

    with Ledger(results) as ledger:
        table = study_table(ledger, ledger.study(study), metric, direction, where)
    found = effects(table, names, by)
    say([effect_json(one) for one in found] if as_json else effect_report(found))
