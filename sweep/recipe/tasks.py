"""What a recipe is where its data's target is a number: one loss, metrics of numbers. Needs every other module here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sweep.errors import UsageError
from sweep.hyperparameters import SQUARED_ERROR, TABLE, canonical
from sweep.recipe.identity import Recipe
from sweep.recipe.keys import METRICS, metrics_of
from sweep.recipe.listed import axes_of
from sweep.space import Axis

if TYPE_CHECKING:
    from sweep.data import DataInfo


def fit_task(recipe: Recipe, data: DataInfo) -> Recipe:
    """The recipe with the loss that its data want. Raises UsageError for a loss or a metric that is not of such data.

    What a recipe of numbers trains to make small is the squared error; so its settings say so, and whoever reads the
    study knows it from them, without the data.
    """
    if recipe.free or recipe.of_function:
        return recipe
    if data.regression:
        recipe = _with_squared_error(recipe, data)
    elif SQUARED_ERROR in recipe.listed("loss"):
        raise UsageError(f"loss = {SQUARED_ERROR}: is for a target that is a number; {data.name} has classes")
    aims = recipe.search.objectives if recipe.search else ()
    claimed = [claim.metric for claim in recipe.claims if claim.metric]
    for metric in (recipe.metric, *(name for name, _ in aims), *claimed):
        if metric in METRICS and metric not in metrics_of(data.regression):
            what = "a target that is a number" if data.regression else "classes"
            names = ", ".join(metrics_of(data.regression))
            raise UsageError(f"metric = {metric}: {data.name} has {what}; expected one of {names}")
    return recipe


def _with_squared_error(recipe: Recipe, data: DataInfo) -> Recipe:
    loss = Axis("loss", (SQUARED_ERROR,))
    if recipe.settings:
        default = TABLE["loss"].default
        settings = tuple(
            canonical({**setting, "loss": SQUARED_ERROR}) if setting["loss"] == default else setting
            for setting in recipe.settings
        )
        recipe = replace(recipe, settings=settings, axes=axes_of(settings))
    elif not any(axis.name == "loss" for axis in recipe.axes):
        recipe = replace(recipe, axes=(*recipe.axes, loss))
    wrong = [str(name) for name in recipe.listed("loss") if name != SQUARED_ERROR]
    if wrong:
        raise UsageError(
            f"loss = {', '.join(wrong)}: is for classes, and the target of {data.name} is a number; expected "
            f"{SQUARED_ERROR}, which it has by default (or --task classification)"
        )
    return recipe
