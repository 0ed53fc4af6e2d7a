"""Studies whose numbers are known, written to a ledger without a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from sweep.ledger import Ledger, Study
from sweep.recipe import Recipe, load_recipe
from sweep.space import EpochRecord, Trial


def record(number: int, epoch: int = 1, **numbers: object) -> EpochRecord:
    """One epoch of a trial as the engine reports it, with numbers that are all different where none are given."""
    given = {"train_loss": 0.5, "train_accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.7, "grad_norm": 1.5}
    return EpochRecord(number, epoch, **{**given, "seconds": 0.25, **numbers})  # type: ignore[arg-type]


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
                records.append(record(trial.number, epoch, **numbers, grad_norm=1.0, seconds=0.1, **last))
        ledger.record(study, records)
        ledger.close_run(study, 1.0)
        return ledger.study(name)
