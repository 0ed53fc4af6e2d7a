"""What it costs to ask, report, prune and tell, a trial, beside Optuna with its study in SQLite and in a journal file.

Nothing is trained: a trial's loss is a formula, reported after epochs 1, 3 and 9 of 10. Each column goes through the
calls that a search makes: sweep asks and prunes a generation of 16 and records each epoch in its ledger; Optuna's
loop asks, reports, is told whether to prune, and tells, one trial after another. The history before the measured
trials is given to each at once, and 16 trials more are not measured, so that what a process does once counts nowhere.
Sampler and pruner are the same: successive halving with reduction 3. Each cell is the median of runs that take turns.

    python tests/benchmarks/asking.py            # 100, 1,000 and 5,000 trials before
    python tests/benchmarks/asking.py --short    # 100 and 1,000; --processor on a machine with other work
    PYTHONPATH=../before python tests/benchmarks/asking.py    # of another checkout's sweep
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend

from sweep.data import describe
from sweep.ledger import Ledger
from sweep.recipe import load_recipe
from sweep.search import AskTell, Pruner
from sweep.space import EpochRecord, Trial

SPACE = {
    "lr": "1e-4:1:log",
    "beta1": "0.5:0.95",
    "beta2": "0.9:0.999",
    "hidden": "16:64:log",
    "depth": "1:3",
    "batch_norm": "on,off",
}
RUNGS = (1, 3, 9)
EPOCHS = 10
clock = time.perf_counter
WARM = 16
"""Trials at the start that are not measured: a generation of sweep's."""


def loss(values: dict, epoch: int) -> float:
    """Something smooth to minimise, less with every epoch."""
    return (math.log10(values["lr"]) + 2) ** 2 + values["beta1"] + values["hidden"] / 64 + values["depth"] + 1 / epoch


def sweeps(sampler: str, history: int, trials: int, folder: Path) -> float:
    """Seconds a trial of sweep's own calls: ask, add, begin, record, prune, tell."""
    recipe = load_recipe(None, SPACE | {"epochs": str(EPOCHS)}, {"sampler": sampler, "pruner": "asha"})
    with Ledger(folder, create=True) as ledger:
        study = ledger.create("s", recipe, history + trials)
        for first in range(0, history, 16):
            asking = AskTell(load_recipe(None, SPACE, {"sampler": "random", "seed": first}))
            made = [Trial(first + place, one.setting, 0) for place, one in enumerate(asking.ask(16)[: history - first])]
            ledger.add(study, made)
            ledger.record(study, [record(one, epoch) for one in made for epoch in (*RUNGS, EPOCHS)])
        asking, pruner = AskTell(recipe, ledger.results(study)), Pruner(recipe, describe(recipe.data))
        done, since = 0, None
        while done < trials + WARM:
            if done >= WARM and since is None:
                since = done, clock()
            asked = asking.ask(16)
            ledger.add(study, asked)
            ledger.begin(study, [one.number for one in asked])
            alive = {one.number: one for one in asked}
            for epoch in RUNGS:
                ledger.record(study, [record(one, epoch) for one in alive.values()])
                out = pruner.losers(alive, epoch, asked[0].number, partial(ledger.values_at, study, epoch))
                ledger.mark(study, out, "pruned")
                alive = {number: one for number, one in alive.items() if number not in out}
            ledger.record(study, [record(one, EPOCHS) for one in alive.values()])
            asking.tell(ledger.results(study, asked[0].number))
            done += len(asked)
        assert since is not None
        return (clock() - since[1]) / (done - since[0])


def record(trial: Trial, epoch: int) -> EpochRecord:
    """An epoch of a trial."""
    value = loss(trial.setting, epoch)
    state = "complete" if epoch == EPOCHS else None
    return EpochRecord(trial.number, epoch, value, 0.5, value, 0.5, 0.1, 0.1, state, value, 0.5)


def optunas(sampler: str, history: int, trials: int, storage: object) -> float:
    """Seconds a trial of Optuna's loop."""
    samplers = {
        "random": optuna.samplers.RandomSampler(seed=0),
        "tpe": optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, constant_liar=True),
    }
    pruner = optuna.pruners.SuccessiveHalvingPruner(reduction_factor=3)
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=1), pruner=pruner)
    other = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    made = []
    for _ in range(history):
        trial = other.ask()
        values = suggest(trial)
        frozen = optuna.trial.create_trial(
            value=loss(values, EPOCHS),
            params=trial.params,
            distributions=trial.distributions,
            intermediate_values={epoch: loss(values, epoch) for epoch in (*RUNGS, EPOCHS)},
        )
        made.append(frozen)
        other.tell(trial, 0.0)
    study.add_trials(made)
    study.sampler = samplers[sampler]
    for number in range(-WARM, trials):
        if number == 0:
            begin = clock()
        trial = study.ask()
        values = suggest(trial)
        state, value = None, None
        for epoch in RUNGS:
            trial.report(loss(values, epoch), epoch)
            if trial.should_prune():
                state = optuna.trial.TrialState.PRUNED
                break
        else:
            value = loss(values, EPOCHS)
            trial.report(value, EPOCHS)
        study.tell(trial, value, state)
    return (clock() - begin) / trials


def suggest(trial: optuna.Trial) -> dict:
    """The same space for Optuna."""
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1, log=True),
        "beta1": trial.suggest_float("beta1", 0.5, 0.95),
        "beta2": trial.suggest_float("beta2", 0.9, 0.999),
        "hidden": trial.suggest_int("hidden", 16, 64, log=True),
        "depth": trial.suggest_int("depth", 1, 3),
        "batch_norm": trial.suggest_categorical("batch_norm", [True, False]),
    }


def storages(folder: Path) -> dict[str, Callable[[], object]]:
    """Optuna's storages."""
    return {
        "memory": lambda: None,
        "sqlite": lambda: f"sqlite:///{folder}/o.db",
        "journal": lambda: optuna.storages.JournalStorage(JournalFileBackend(f"{folder}/o.log")),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="100 and 1,000 trials before")
    parser.add_argument("--trials", type=int, default=48, help="trials that are measured")
    parser.add_argument("--samplers", default="random,tpe")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each column")
    parser.add_argument("--before", help="trials before, such as 100,1000")
    parser.add_argument("--processor", action="store_true", help="count processor time, where other work is going on")
    given = parser.parse_args()
    if given.processor:
        globals()["clock"] = time.process_time
    before = given.before or ("100,1000" if given.short else "100,1000,5000")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    print("| sampler | trials before | sweep ms | memory ms | sqlite ms | journal ms | of sqlite | of journal |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for sampler in given.samplers.split(","):
        for history in map(int, before.split(",")):
            runs: list[dict[str, float]] = []
            for _ in range(given.repeat):
                with tempfile.TemporaryDirectory() as folder:
                    runs.append({"sweep": sweeps(sampler, history, given.trials, Path(folder))})
                    for name, make in storages(Path(folder)).items():
                        runs[-1][name] = optunas(sampler, history, given.trials, make())
            cells = [f"{1000 * statistics.median(run[name] for run in runs):.2f}" for name in runs[0]]
            shares = [
                f"{statistics.median(run['sweep'] / run[name] for run in runs):.0%}" for name in ("sqlite", "journal")
            ]
            print(f"| {' | '.join([sampler, f'{history:,}', *cells, *shares])} |", flush=True)


if __name__ == "__main__":
    main()
