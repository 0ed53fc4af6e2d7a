"""The command that races settings over seeds. Needs typer."""

from __future__ import annotations

from typing import Annotated

from sweep.cli.base import app, connect_ahead, console, run_options, show_run
from sweep.flags import (
    DEFAULT_RESULTS,
    Margin,
    RecipeFile,
    Results,
    Running,
    SearchSeed,
    StudyFlag,
    group_flags,
    search_option,
    with_space,
)


@app.command(rich_help_panel="Train")
@with_space
@group_flags
def race(
    *,
    flags: dict[str, str],
    recipe: RecipeFile = None,
    margin: Margin = None,
    draw: Annotated[
        int | None,
        search_option("--draw", min=2, metavar="N", help="Race N settings that a sampler draws of the space."),
    ] = None,
    sampler: Annotated[
        str | None,
        search_option(
            "--sampler",
            metavar="NAME",
            help="The sampler that draws them: random, qmc (Sobol's sequence) or halton. [dim]\\[default random][/]",
        ),
    ] = None,
    search_seed: SearchSeed = None,
    study: StudyFlag = None,
    results: Results = DEFAULT_RESULTS,
    running: Running,
) -> None:
    """Train every setting with a few seeds, and only those that may still be the best with more: up to --seeds.

    They are compared after 2, 4, 8, 16, … common seeds. A setting that is shown to be worse, or diverged, leaves; the
    truly best is dropped with a chance of 5% at most, over all comparisons together. It ends when one is left, when
    those left are practically equal (--margin), or with the seeds. A study that is there goes on; more values or seeds
    grow it.

    VALUES: one value (0.01), a list (0.1,0.01) or a range with its number of points (1e-4:1e-1:log:4).
    """
    from pathlib import Path

    connect_ahead(running)
    from sweep.api import make_race, name_study, train
    from sweep.progress import watcher
    from sweep.recipe import load_recipe

    given = {"sampler": sampler, "seed": search_seed}
    keys = {key: value for key, value in given.items() if value is not None}
    loaded = make_race(
        load_recipe(recipe, flags, None if draw is None else {"sampler": "random"} | keys), margin, draw, keys
    )
    name = name_study(loaded, Path(recipe).stem if study is None and recipe else study)
    show_run(train(loaded, name, results, run_options(running), watcher(console(stderr=True))), results, name)
