"""Commands about studies that others are held against: confirm, compare. Needs typer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sweep.cli.base import app, asked_table, console, run_options, say
from sweep.flags import (
    DEFAULT_RESULTS,
    Asked,
    Direction,
    Json,
    Margin,
    Metric,
    MovedData,
    Results,
    Running,
    StudyName,
    group_flags,
)

if TYPE_CHECKING:
    from sweep.analysis.confirming import Confirmation
    from sweep.ledger import Ledger, Study


@dataclass(frozen=True)
class Choice:
    """Which settings are confirmed, on which seeds."""

    top: Annotated[
        int | None,
        typer.Option(
            "--top",
            min=1,
            metavar="K",
            help="The best K settings; with --per, of each value. [dim]\\[default 3, or 1][/]",
        ),
    ] = None
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            min=1,
            max=100_000,
            metavar="N",
            help="Fresh seeds for each setting, the next after the study's largest; a larger number later adds some. "
            "[dim]\\[default 10][/]",
        ),
    ] = None
    seed: Annotated[
        str | None,
        typer.Option("--seed", metavar="SEEDS", help="These fresh seeds instead, such as 100,101 or 100-109."),
    ] = None
    per: Annotated[
        str | None,
        typer.Option("--per", metavar="NAME", help="The best setting of each value of a hyperparameter."),
    ] = None
    selected_on: Annotated[
        str | None,
        typer.Option(
            "--selected-on",
            metavar="SEEDS",
            help="Train nothing: select on these seeds of the study, such as 0-4, and confirm on its others.",
        ),
    ] = None


ConfirmationName = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        help="Name of the confirmation, a study of its own. [dim]\\[default STUDY-confirm][/]",
        rich_help_panel="Study",
    ),
]


@app.command(rich_help_panel="Ask")
@group_flags
def confirm(
    *,
    study: StudyName,
    choice: Choice,
    name: ConfirmationName = None,
    data: MovedData = None,
    margin: Margin = None,
    asked: Asked,
    running: Running,
    as_json: Json = False,
) -> None:
    """Train a study's best settings on fresh seeds, and rank them again: what of the lead was luck?

    Of an imported table nothing can be trained: the seeds that only some settings have are the fresh ones.
    """
    from sweep.analysis.equality import check_margin
    from sweep.ledger import Ledger

    with Ledger(asked.results) as ledger:
        stored = ledger.study(study)
        if margin is not None:
            check_margin(asked_table(ledger, stored, asked).metric, margin)  # before anything is trained
        if stored.recipe.imported or choice.selected_on is not None:
            confirmation, code = _split(ledger, stored, choice, asked, margin), 0
        else:
            confirmation, code = _train_confirmation(ledger, stored, choice, asked, name, data, running, margin)
        _tell(confirmation, code, as_json)


def _split(ledger: Ledger, study: Study, choice: Choice, asked: Asked, margin: float | None) -> Confirmation:
    """A confirmation from trials that are there."""
    from sweep.analysis.confirming import split_by_seed
    from sweep.errors import UsageError

    if choice.seeds is not None or choice.seed is not None:
        raise UsageError("--seeds: nothing is trained here; --selected-on says which of the seeds there selected")
    return split_by_seed(asked_table(ledger, study, asked), choice.top, choice.per, choice.selected_on, margin)


def _train_confirmation(
    ledger: Ledger,
    study: Study,
    choice: Choice,
    asked: Asked,
    name: str | None,
    data: str | None,
    running: Running,
    margin: float | None,
) -> tuple[Confirmation, int]:
    """A confirmation from trials that are trained now, as far as they are not there, and the run's exit code."""
    from sweep.analysis.confirming import read_confirmation
    from sweep.api import open_confirmation, train_rest
    from sweep.progress import watcher
    from sweep.study import check_name, follow_data

    study = follow_data(ledger, study, data)
    options = run_options(running)
    name = check_name(f"{study.name}-confirm" if name is None else name)
    seen = watcher(console(stderr=True))
    ranked = asked.metric, asked.direction, asked.where
    how = choice.seeds, choice.top, choice.per, choice.seed, ranked
    with open_confirmation(ledger, study, name, seen, *how, here=running.on is None) as again:
        summary = train_rest(ledger, again, seen, options)
    confirmation = read_confirmation(ledger, study, ledger.study(name), *ranked, margin)
    if summary.stopped == "interrupted":
        raise typer.Exit(summary.exit_code)
    return confirmation, summary.exit_code


def _tell(confirmation: Confirmation, code: int, as_json: bool) -> NoReturn:
    from sweep.report.confirm import confirmation_record, confirmation_report

    if as_json:
        say(confirmation_record(confirmation))
    else:
        if confirmation.trained:
            say("")  # below the progress
        say(confirmation_report(confirmation))
    raise typer.Exit(code)


@app.command(rich_help_panel="Ask")
def compare(
    studies: Annotated[
        list[str],
        typer.Argument(metavar="STUDY...", help="Two or more studies; the first is what the others are held against."),
    ],
    results: Results = DEFAULT_RESULTS,
    metric: Metric = None,
    direction: Direction = None,
    margin: Margin = None,
    top: Annotated[int, typer.Option("--top", min=0, metavar="N", help="Settings in common to list, at most.")] = 5,
    as_json: Json = False,
) -> None:
    """Set studies side by side: cost, best, best to expect of equal budgets, and what settings in common say."""
    from sweep.analysis.comparing import compare_studies
    from sweep.ledger import Ledger
    from sweep.report.confirm import comparison_record, comparison_report

    with Ledger(results) as ledger:
        stored = [ledger.study(name) for name in studies]
        comparison = compare_studies(ledger, stored, metric, direction, margin)
        mixed = ledger.mixed(*stored)
    say(comparison_record(comparison) if as_json else comparison_report(comparison, top))
    if mixed and not as_json:
        say(f"\n{mixed}")
