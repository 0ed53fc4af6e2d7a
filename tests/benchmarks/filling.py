"""How full a search keeps its lanes: trials a minute beside a grid's, and beside an Optuna study that trains one by
one.

192 trials over the same space each, digits, ten epochs, as real processes: `sweep grid`, `sweep search` with
16, 32 and 64 settings in flight, without a pruner and with successive halving; Optuna's TPE and successive halving
around the beginner's training and the expert's of `peers.py`, with its study in a SQLite file. Start-up is in it.

    python tests/benchmarks/filling.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIALS = 192
COMMON = ["--hidden", "16,64", "--depth", "1,2", "--batch-norm", "on,off", "--epochs", "10"]
GRID = ["--lr", "0.001,0.01", "--beta1", "0.8,0.85,0.9,0.95", "--beta2", "0.9,0.99,0.999", *COMMON]
SPACE = ["--lr", "3e-4:0.1:log", "--beta1", "0.8:0.95", "--beta2", "0.9:0.999", *COMMON]
HALVING = ["--pruner", "asha", "--min-epochs", "2", "--reduction", "3"]


def timed(command: list[str]) -> float:
    """Trials a minute of a process that trains all of them."""
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return 60 * TRIALS / (time.perf_counter() - begin)


def optuna_study(training: str, storage: str) -> None:
    """What the process of an Optuna column does: trains one trial after another, told after every epoch."""
    import optuna

    from sweep.hyperparameters import canonical
    from sweep.space import Trial
    from tests.benchmarks import peers

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    train = {"beginner": peers.beginner_trial, "expert": peers.expert_trial}[training]
    names = (name.removeprefix("--").replace("-", "_") for name in GRID[::2])
    split = peers.prepare(json.dumps(dict(zip(names, GRID[1::2], strict=True))))

    def objective(asked: optuna.Trial) -> float:
        setting = canonical(
            {
                "lr": asked.suggest_float("lr", 3e-4, 0.1, log=True),
                "beta1": asked.suggest_float("beta1", 0.8, 0.95),
                "beta2": asked.suggest_float("beta2", 0.9, 0.999),
                "hidden": asked.suggest_categorical("hidden", [16, 64]),
                "depth": asked.suggest_categorical("depth", [1, 2]),
                "batch_norm": asked.suggest_categorical("batch_norm", [True, False]),
                "epochs": 10,
            }
        )

        def report(epoch: int, result: peers.Result) -> None:
            asked.report(result[0], epoch)
            if asked.should_prune():
                raise optuna.TrialPruned

        return train(Trial(asked.number, setting, 0), split, report)[0][0]

    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=3)
    optuna.create_study(storage=storage, sampler=sampler, pruner=pruner).optimize(objective, n_trials=TRIALS)


def columns(folder: Path) -> dict[str, list[str]]:
    """The commands, by what they are called."""
    sweep = [sys.executable, "-m", "sweep"]
    out = {"sweep grid": [*sweep, "grid", *GRID]}
    for sampler, more, words in (("random", [], "random"), ("tpe", [], "tpe"), ("tpe", HALVING, "tpe + asha")):
        for flight in (16, 32, 64):
            how = ["--trials", str(TRIALS), "--in-flight", str(flight), "--sampler", sampler, *more]
            out[f"sweep search, {words}, {flight} in flight"] = [*sweep, "search", *SPACE, *how]
    for number, command in enumerate(out.values()):
        command += ["--study", f"study-{number}", "--results", str(folder)]
    for training in ("expert", "beginner"):
        mine = [sys.executable, __file__, training, f"sqlite:///{folder / training}.db"]
        out[f"optuna, tpe + asha, {training}"] = mine
    return out


def main() -> None:
    """Prints the table."""
    if len(sys.argv) == 3:
        return optuna_study(*sys.argv[1:])
    print("| | trials a minute |\n|---|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, command in columns(Path(folder)).items():
            print(f"| {name} | {timed(command):,.0f} |", flush=True)


if __name__ == "__main__":
    main()
