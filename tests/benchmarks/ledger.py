"""What the ledger costs for each finished trial of ten epochs, at 100 and at 10,000 trials, in milliseconds.

The calls are the study's, in its batches: a window of trials added, then for each unit of work the trials marked as
running and one record an epoch, the last with the final state; two workers' units take turns. Nothing is trained.
The bar is at most 1 ms a trial.

    python tests/benchmarks/ledger.py [--folder DIR]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from sweep.data import describe
from sweep.ledger import Ledger, Study
from sweep.plan import Unit, units
from sweep.recipe import Recipe, load_recipe
from sweep.space import EpochRecord

EPOCHS = 10
WORKERS = 2
STEPS = ("add", "running", "epochs", "close")


def recipe(trials: int) -> Recipe:
    """A grid over eight hyperparameters with so many trials in one cohort."""
    fixed = {
        "beta2": "0.99",
        "eps": "1e-7",
        "weight_decay": "1e-4",
        "hidden": "32",
        "dropout": "0.1",
        "epochs": str(EPOCHS),
    }
    return load_recipe(None, {"data": "digits", "lr": f"1e-4:1e-1:log:{trials // 10}", "beta1": "0:0.99:10", **fixed})


def outcome(number: int, epoch: int) -> EpochRecord:
    """An epoch as the engine reports it."""
    value = 1 / (1 + number + epoch)
    last = epoch == EPOCHS
    return EpochRecord(
        number,
        epoch,
        value,
        1 - value,
        value,
        1 - value,
        value,
        value,
        "complete" if last else None,
        value if last else None,
        1 - value if last else None,
    )


def rounds(queue: list[Unit]) -> Iterator[tuple[Unit, ...]]:
    """The units that train side by side, one a worker."""
    for group in zip_longest(*[iter(queue)] * WORKERS):
        yield tuple(unit for unit in group if unit)


def train_nothing(ledger: Ledger, study: Study, lanes: int | None) -> dict[str, float]:
    """Takes a study from no trial to all complete. Gives the seconds of each kind of call."""
    seconds = dict.fromkeys(STEPS, 0.0)
    clock = time.perf_counter

    def spent(step: str, begin: float) -> None:
        seconds[step] += clock() - begin

    window = list(study.recipe.grid.trials())
    begin = clock()
    ledger.add(study, window)
    spent("add", begin)
    for side_by_side in rounds(units(window, describe("digits"), WORKERS, lanes)):
        begin = clock()
        for unit in side_by_side:
            ledger.begin(study, [trial.number for trial in unit.trials])
        spent("running", begin)
        for epoch in range(1, EPOCHS + 1):
            for unit in side_by_side:
                outcomes = [outcome(trial.number, epoch) for trial in unit.trials]
                begin = clock()
                ledger.record(study, outcomes)
                spent("epochs", begin)
    begin = clock()
    ledger.close_run(study, sum(seconds.values()))
    spent("close", begin)
    return seconds


def measure(trials: int, lanes: int | None, folder: Path) -> dict[str, float]:
    """Milliseconds a trial of each kind of call, in a new ledger."""
    with tempfile.TemporaryDirectory(dir=folder) as results, Ledger(Path(results), create=True) as ledger:
        study = ledger.create("benchmark", recipe(trials), trials)
        seconds = train_nothing(ledger, study, lanes)
        assert ledger.counts(study)["complete"] == trials
        return {step: 1000 * value / trials for step, value in seconds.items()}


def main(arguments: list[str]) -> None:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(
        description=f"Milliseconds of the ledger for each finished trial of {EPOCHS} epochs."
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=None,
        metavar="DIR",
        help="where the temporary ledgers are made; the system's place by default",
    )
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    print("| " + " | ".join(["trials", "lanes", *(f"{step} ms" for step in STEPS), "ms a trial"]) + " |")
    print("|" + "---:|" * (len(STEPS) + 3))
    for trials in (20,) if given.tiny else (100, 10_000):
        for lanes in (None, 1):
            costs = measure(trials, lanes, given.folder)
            figures = [*(f"{costs[step]:.3f}" for step in STEPS), f"{sum(costs.values()):.3f}"]
            print(
                "| " + " | ".join([f"{trials:,}", "the planner's" if lanes is None else str(lanes), *figures]) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
