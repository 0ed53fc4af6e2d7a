"""What a study of a target that is a number has in place of accuracies: MAE and R², kept as readings of each epoch.
Needs the recipe's metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweep.recipe import OF_NUMBERS, TESTED, Recipe

if TYPE_CHECKING:
    import pandas as pd

_LAST = (
    "(SELECT value FROM readings r WHERE r.study = {table}.study AND r.trial = {table}.{number} "
    "AND r.epoch = {table}.{epoch} AND r.place = '' AND r.quantity = '{name}' ORDER BY r.step DESC LIMIT 1)"
)


def of_trials(recipe: Recipe, name: str) -> str:
    """A metric of trials, at the last epoch of each, as SQL of the table trials."""
    return _LAST.format(table="trials", number="number", epoch="epochs", name=name) if _is_kept(recipe, name) else name


def of_epochs(recipe: Recipe, name: str) -> str:
    """A metric as SQL of the table epochs."""
    return _LAST.format(table="epochs", number="trial", epoch="epoch", name=name) if _is_kept(recipe, name) else name


def by_epoch(readings: pd.DataFrame) -> pd.DataFrame:
    """What readings hold of the validation part at the end of each epoch: by trial and epoch, a column each."""
    mine = readings[(readings["place"] == "") & readings["quantity"].isin(OF_NUMBERS)]
    last = mine.drop_duplicates(["trial", "epoch", "quantity"], keep="last")  # they are in the order of steps
    wide = last.pivot_table("value", ["trial", "epoch"], "quantity", dropna=False)
    return wide.rename_axis(columns=None).reindex(columns=[*OF_NUMBERS])


def without_accuracies(names: list[str]) -> list[str]:
    """The columns of a table that such a study fills."""
    return [name for name in names if not name.endswith("accuracy")]


def _is_kept(recipe: Recipe, name: str) -> bool:
    return recipe.regression and name in (*OF_NUMBERS, *TESTED)
