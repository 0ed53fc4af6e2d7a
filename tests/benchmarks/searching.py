"""How soon a search finds what the full grid finds: on digits, over lr, beta1, beta2, hidden, depth and batch norm.

Every strategy trains its own studies with `sweep`, as real processes. The grid is trained once, whole; random search, TPE,
and TPE with ASHA once for each study seed. At each budget, the setting with the best validation loss so far is what the
strategy would have chosen; its luck is taken out by training it on fresh seeds and taking their mean.

    python tests/benchmarks/searching.py            # ten study seeds
    python tests/benchmarks/searching.py --short    # two, fewer trials
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

EPOCHS = 18
GRID = {
    "lr": "0.0003,0.001,0.003,0.01,0.03,0.1",
    "beta1": "0.5,0.8,0.9,0.95",
    "beta2": "0.9,0.99,0.999",
    "hidden": "16,32,64",
    "depth": "1,2,3",
    "batch-norm": "on,off",
}
SPACE = {
    "lr": "3e-4:0.1:log",
    "beta1": "0.5:0.95",
    "beta2": "0.9:0.999",
    "hidden": "16,32,64",
    "depth": "1,2,3",
    "batch-norm": "on,off",
}
ASHA = ["--sampler", "tpe", "--pruner", "asha", "--min-epochs", "2", "--reduction", "3"]
STRATEGIES = {
    "random": (8, 32, ["--sampler", "random"]),
    "tpe": (8, 32, ["--sampler", "tpe"]),
    "tpe + asha": (20, 32, ASHA),
    "tpe + asha, 3 seeds": (48, 16, [*ASHA, "--seeds", "3"]),
}
"""Each with its trials as a share of the grid's in percent, its settings in flight, and how it searches."""

NAMES = ("lr", "beta1", "beta2", "hidden", "depth", "batch_norm")
BUDGETS = (0.02, 0.04, 0.06, 0.08, 0.2, 1.0)
"""Shares of the grid's epochs at which the strategies are looked at."""


def sweep(folder: Path, *args: object) -> str:
    """One `sweep` command with its results in a folder; its output."""
    command = [sys.executable, "-m", "sweep", *map(str, args), "--results", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "160"})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def flags(values: dict[str, str]) -> list[str]:
    """A space as flags."""
    return [text for name, value in values.items() for text in (f"--{name}", value)]


def trials(folder: Path, study: str) -> pd.DataFrame:
    """A study's trials in the order of their numbers, with the epochs that all until then have trained."""
    path = folder / f"{study}.json"
    sweep(folder, "export", study, "-o", path)
    frame = pd.DataFrame(json.loads(path.read_text())).sort_values("trial").reset_index(drop=True)
    return frame.assign(spent=frame["epochs"].cumsum())


def chosen(frame: pd.DataFrame, column: str, most: float) -> tuple[float, tuple] | None:
    """What would have been selected when so much of a column was spent: the best mean over a setting's seeds, if all are
    complete, and the setting."""
    seen = frame[(frame[column] <= most) & (frame["state"] == "complete")]
    groups = seen.groupby(list(NAMES))["val_loss"].agg(["mean", "size"])
    means = groups.loc[groups["size"] == frame["seed"].nunique(), "mean"]
    return None if means.empty else (means.min(), means.idxmin())


def settle(folder: Path, settings: list[tuple], seeds: int) -> dict[tuple, float]:
    """The mean validation loss of each setting over fresh seeds; infinite if one diverged. They are trained as a search
    that begins, and ends, with settings that it is given."""
    distinct = list(dict.fromkeys(settings))
    texts = [",".join(f"{n}={str(v).lower()}" for n, v in zip(NAMES, one, strict=True)) for one in distinct]
    given = [word for text in texts for word in ("--enqueue", text)]
    name = f"fresh-{len(distinct)}"
    fresh = ",".join(str(1000 + seed) for seed in range(seeds))
    size = ["--trials", len(distinct) * seeds, "--in-flight", len(distinct), "--sampler", "random"]
    sweep(folder, "search", *flags(SPACE), "--epochs", EPOCHS, "--seed", fresh, *size, *given, "--study", name)
    frame = trials(folder, name)
    frame["val_loss"] = frame["val_loss"].where(frame["state"] == "complete", np.inf)
    return {key(group.iloc[0]): group["val_loss"].mean() for _, group in frame.groupby(frame["trial"] // seeds)}


def table(frame: pd.DataFrame) -> str:
    """A Markdown table."""
    head = [" | ".join(map(str, frame.columns)), " | ".join(["---"] + ["---:"] * (len(frame.columns) - 1))]
    return "\n".join(f"| {line} |" for line in [*head, *(" | ".join(map(str, row)) for row in frame.to_numpy())])


def curves(runs: dict[str, list[pd.DataFrame]], column: str, whole: float, fresh: dict[tuple, float]) -> pd.DataFrame:
    """For each strategy and share of the budget: the medians over study seeds of the best validation loss so far, and of
    what that setting is worth on fresh seeds."""
    rows = []
    for name, frames in runs.items():
        row = {"strategy": name}
        for share in BUDGETS:
            picks = [chosen(frame, column, share * whole) for frame in frames]
            found = [pick for pick in picks if pick is not None]
            losses = [pick[0] for pick in found], [fresh[pick[1]] for pick in found]
            some = len(found) == len(frames) and frames[0][column].iloc[-1] >= 0.8 * share * whole
            row[f"{share:.0%}"] = " / ".join(f"{np.median(values):.4f}" for values in losses) if some else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def key(trial: pd.Series) -> tuple:
    """A trial's setting."""
    return tuple(trial[name] for name in NAMES)


def main() -> None:
    """Trains, prints two tables and whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="two study seeds, a small grid")
    parser.add_argument("--studies", type=int, help="study seeds")
    parser.add_argument("--fresh", type=int, default=20, help="fresh seeds that a chosen setting is judged by")
    parser.add_argument("--keep", type=Path, help="folder for the studies; what is there is not trained again")
    given = parser.parse_args()
    grid = GRID if not given.short else GRID | {"lr": "0.001,0.01,0.1", "beta2": "0.99,0.999", "hidden": "16,64"}
    studies = given.studies or (2 if given.short else 10)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        sweep(folder, "grid", *flags(grid), "--epochs", EPOCHS, "--study", "grid")
        whole = trials(folder, "grid")
        epochs, total = int(whole["spent"].iloc[-1]), len(whole)
        shuffled = [whole.sample(frac=1, random_state=seed).reset_index(drop=True) for seed in range(studies)]
        runs = {"grid (shuffled)": [one.assign(spent=one["epochs"].cumsum()) for one in shuffled]}
        for name, (share, flight, how) in STRATEGIES.items():
            generation = flight * (3 if "seeds" in name else 1)
            budget = -(-total * share // 100 // generation) * generation
            runs[name] = []
            for seed in range(studies):
                study = f"{name.replace(' + ', '-').replace(', 3 seeds', '-seeds')}-{seed}"
                asked = ["--trials", budget, "--in-flight", flight, "--search-seed", seed]
                sweep(folder, "search", *flags(SPACE), "--epochs", EPOCHS, *how, *asked, "--study", study)
                runs[name].append(trials(folder, study))
            print(
                f"{name}: {budget} trials, {np.mean([one['epochs'].sum() for one in runs[name]]):,.0f} epochs",
                flush=True,
            )
        for frames in runs.values():
            for frame in frames:
                frame["trained"] = range(1, len(frame) + 1)
        picks = [
            chosen(frame, column, share * most)
            for frames in runs.values()
            for frame in frames
            for column, most in (("spent", epochs), ("trained", total))
            for share in BUDGETS
        ]
        fresh = settle(folder, [pick[1] for pick in picks if pick is not None], given.fresh)
        print(
            f"\ngrid: {total} settings, {epochs:,} epochs; best so far / the same on {given.fresh} fresh seeds; medians of {studies}"
        )
        print(f"\nby epochs trained\n\n{table(curves(runs, 'spent', epochs, fresh))}")
        print(f"\nby trials\n\n{table(curves(runs, 'trained', total, fresh))}")
        best = fresh[chosen(whole, "spent", epochs)[1]]
        for name in [name for name in runs if "asha" in name]:
            ours = [fresh[chosen(frame, "spent", epochs / 5)[1]] for frame in runs[name]]
            spent = [frame["epochs"].sum() / epochs for frame in runs[name]]
            print(
                f"\ngrid's best on fresh seeds {best:.4f}; {name} with at most a fifth of its epochs "
                f"(all of them: {np.mean(spent):.0%}): median {np.median(ours):.4f}, {np.median(ours) / best - 1:+.1%}, "
                f"within 2 % in {sum(one <= 1.02 * best for one in ours)} of {studies}"
            )


if __name__ == "__main__":
    main()
