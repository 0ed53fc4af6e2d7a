"""Who stops trials early: rungs, and the losers at each."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from sweep.errors import UsageError
from sweep.hyperparameters import TABLE
from sweep.recipe import Recipe, Search
from sweep.space import Range, Trial


def rungs(search: Search, trial: Trial) -> list[int]:
    """The epochs after which a trial may be pruned."""
    out, epochs = [], search.min_epochs
    while epochs < int(trial.setting["epochs"]):
        out.append(epochs)
        epochs *= search.reduction
    return out


def losers(search: Search, direction: str, numbers: Sequence[int], values: Mapping[int, float | None]) -> list[int]:
    """Those of the trials that are pruned, by the values of all trials that were trained to that epoch so far (None is
    worse than any): with median, what is worse than the median; else all but the best of each `reduction`, one at
    least (ASHA, Li et al. 2020, a generation at a time). Equal ones by their number."""
    sign = 1.0 if direction == "minimize" else -1.0
    score = {number: math.inf if value is None else sign * value for number, value in values.items()}
    if search.pruner == "median":
        middle = statistics.median(score.values()) if score else 0.0
        return [number for number in numbers if score[number] > middle]
    best = sorted(score, key=lambda number: (score[number], number))[: max(1, len(score) // search.reduction)]
    return [number for number in numbers if number not in best]


def check_pruner(recipe: Recipe) -> None:
    """Raises UsageError if the pruner cannot work in this search."""
    assert recipe.search is not None
    if recipe.search.pruner == "none":
        return
    axis = next((axis for axis in recipe.axes if axis.name == "epochs"), None)
    values = (TABLE["epochs"].default,) if axis is None else axis.values
    most = int(values.high) if isinstance(values, Range) else max(int(value) for value in values)
    if recipe.search.min_epochs > most:
        raise UsageError(f"--min-epochs {recipe.search.min_epochs}: trials have {most} epochs; expected at most that")
    if len(recipe.seeds) > 1:
        raise UsageError(f"--pruner {recipe.search.pruner}: compares settings of one seed; given {len(recipe.seeds)}")
