"""Settings drawn by a sampler before any of them is trained."""

from __future__ import annotations

from dataclasses import replace

from sweep.errors import UsageError
from sweep.hyperparameters import Setting
from sweep.recipe import Recipe
from sweep.search.asking import AskTell
from sweep.search.samplers import check_sampler

BLIND = ("random", "qmc", "halton")
"""The samplers that need no results to draw."""


def draw_settings(recipe: Recipe, count: int) -> list[Setting]:
    """So many settings of a space that a search's recipe describes; a smaller number of them gets the first of these.
    A finite space may have fewer. Raises UsageError for a sampler that learns from results: there are none."""
    assert recipe.search is not None
    if recipe.search.sampler not in BLIND:
        raise UsageError(
            f"--sampler {recipe.search.sampler}: learns from results, and a race draws its settings before there are "
            f"any; choose from {', '.join(BLIND)}"
        )
    if recipe.search.pruner != "none" or recipe.search.objectives:
        raise UsageError("[search] has a pruner or several objectives: a race has neither; expected a sampler and seed")
    check_sampler(recipe)
    asking = AskTell(replace(recipe, seeds=(0,), search=replace(recipe.search, in_flight=1)))
    drawn: list[Setting] = []
    while len(drawn) < count and not asking.ended:
        drawn += [trial.setting for trial in asking.ask(1)]
    return drawn
