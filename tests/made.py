"""Studies whose numbers are known, written to a ledger without a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sweep.ledger import Ledger, Study
from sweep.recipe import Recipe, load_recipe
from sweep.space import EpochRecord, Trial


@dataclass(frozen=True)
class Outcome:
    """One epoch as the engine reports it."""

    number: int
    epoch: int
    train_loss: float = 0.5
    train_accuracy: float = 0.75
    val_loss: float = 0.6
    val_accuracy: float = 0.7
    grad_norm: float = 1.5
    seconds: float = 0.25
    state: str | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None


def made(
    folder: Path, name: str, flags: dict[str, str], value: Callable[[Trial], float], recipe: Recipe | None = None
) -> Study:
    """A study of a recipe's flags (or a recipe) whose trials have `value` as their val_loss, diverged where it is not
    finite, and one less it as their val_accuracy; the test scores are the trial's number."""
    recipe = recipe or load_recipe(None, flags)
    trials = list(recipe.grid.trials())
    with Ledger(folder, create=True) as ledger:
        study = ledger.create(name, recipe, len(trials))
        ledger.add(study, trials)
        records = []
        for trial in trials:
            epochs, loss = int(trial.setting["epochs"]), value(trial)
            state = "complete" if math.isfinite(loss) else "diverged"
            numbers = {"train_loss": loss, "train_accuracy": 1 - loss, "val_loss": loss, "val_accuracy": 1 - loss}
            for epoch in range(1, epochs + 1):
                last = {"state": state, "test_loss": float(trial.number)} if epoch == epochs else {}
                records.append(EpochRecord(trial.number, epoch, **numbers, grad_norm=1.0, seconds=0.1, **last))
        ledger.record(study, records)
        ledger.close_run(study, 1.0)
        return ledger.study(name)
