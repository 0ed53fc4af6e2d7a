"""The race beside the whole grid, Optuna's WilcoxonPruner and a Friedman race: how many trainings, and how often the
truly best setting is among those left.

    python -m tests.benchmarks.race digits      # sweep race beside sweep grid: 96 settings on digits, 20 seeds
    python -m tests.benchmarks.race studies     # 1,000 made-up studies with skewed noise, and the two tables

`digits` trains both, as real processes, and then lets every method race on the grid's numbers. In `studies` nothing is
trained. A study of a table has the means of settings drawn from it as its truth, and as noise what its seeds differ by,
drawn anew. The methods: `race` is `sweep.racing`; `wilcoxon` compares with the best so far after each seed from the
fourth on, by Optuna's own pruner; `friedman` is F-race (Birattari et al. 2002): Friedman's test at 0.05 after each seed
from the fifth on, and where it rejects, Conover's comparisons with the best.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from sweep.racing import looks
from sweep.racing.rule import worse
from sweep.search.pruners import FEWEST, _worse

SEEDS = 20
SPACE = {
    "lr": "0.1,0.01,0.001,0.0001",
    "beta1": "0.8,0.88,0.9",
    "hidden": "16,64",
    "depth": "1,2",
    "batch-norm": "on,off",
}
TABLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "hpo-tables"

Method = Callable[[np.ndarray], tuple[np.ndarray, int]]
"""Values [settings, seeds], less is better, to those left and the trainings that it took."""


def race(values: np.ndarray) -> tuple[np.ndarray, int]:
    """sweep's own."""
    left, before, used = np.arange(len(values)), 0, 0
    for look, n in enumerate(looks(values.shape[1]), 1):
        used, before = used + len(left) * (n - before), n
        left = left[worse(values[left, :n], values[left, :n], look, len(values)) < 0]
        if len(left) == 1:
            break
    return left, used


def wilcoxon(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Optuna's pruner, seed by seed."""
    left, used = np.arange(len(values)), len(values) * FEWEST
    for n in range(FEWEST, values.shape[1] + 1):
        best = left[values[left, :n].mean(axis=1).argmin()]
        of = {place: dict(enumerate(values[place, :n].tolist())) for place in left}
        left = np.array([place for place in left if place == best or not _worse(of[place], of[best])])
        used += len(left) * (n < values.shape[1])
    return left, used


def friedman(values: np.ndarray) -> tuple[np.ndarray, int]:
    """F-race."""
    left, used = np.arange(len(values)), len(values) * 5
    for n in range(5, values.shape[1] + 1):
        left = _drop_by_ranks(left, values[left, :n])
        if len(left) == 1:
            break
        used += len(left) * (n < values.shape[1])
    return left, used


def _drop_by_ranks(left: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Those that Conover's comparisons keep (Conover 1999, section 5.8); two are compared by the signed rank."""
    count, n = values.shape
    best = values.mean(axis=1).argmin()
    if count < 3:
        p = stats.wilcoxon(values[0], values[1]).pvalue if count == 2 else 1.0
        return left if p > 0.05 else left[[best]]
    if stats.friedmanchisquare(*values).pvalue > 0.05:
        return left
    ranks = stats.rankdata(values, axis=0)
    sums = ranks.sum(axis=1)
    squares = (ranks**2).sum()
    spread = 2 * n * (squares - (sums**2).sum() / n) / ((n - 1) * (count - 1))
    apart = stats.t.ppf(0.975, (n - 1) * (count - 1)) * np.sqrt(spread / n) * np.sqrt(n)
    return left[sums - sums.min() <= apart]


METHODS: dict[str, Method] = {"race": race, "wilcoxon": wilcoxon, "friedman": friedman}


def made_up(draw: np.random.Generator) -> Iterator[np.ndarray]:
    """Studies whose first setting is the best by its mean: skewed noise of unequal size, in part the seed's."""
    while True:
        count, kind = int(draw.choice([8, 24, 96])), int(draw.integers(3))
        gap = draw.exponential(float(draw.choice([0.5, 4.0])), count)
        gap[0] = 0.0
        skewed = draw.exponential(size=(count, SEEDS)) - 1.0
        normal = draw.normal(size=(count, SEEDS))
        noise = (skewed, (np.exp(normal) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e), 0.5 * (skewed - normal))[kind]
        yield gap[:, None] + draw.normal(size=SEEDS) + np.exp(0.4 * draw.normal(size=(count, 1))) * noise


def of_table(draw: np.random.Generator, truth: np.ndarray, noise: np.ndarray) -> Iterator[np.ndarray]:
    """Studies of settings drawn from a table, the best first. truth: [settings], noise: what seeds differ by."""
    while True:
        means = np.sort(draw.choice(truth, min(96, len(truth)), replace=False))
        yield means[:, None] + draw.choice(noise, (len(means), SEEDS))


def protein() -> tuple[np.ndarray, np.ndarray]:
    """The table of 62,208 settings with four seeds: log losses, and their seeds' differences from the mean, times what
    makes four of them as wide as many."""
    frame = pd.read_csv(TABLES / "fcnet-protein.csv.gz")
    loss = np.log(frame["valid_mse"].to_numpy().reshape(-1, 4))
    mean = loss.mean(axis=1)
    return mean, ((loss - mean[:, None]) * np.sqrt(4 / 3)).ravel()


def deepobs() -> tuple[np.ndarray, np.ndarray]:
    """The table of 108 settings at one seed, three of which have nine more: errors, and those seeds' differences."""
    frame = pd.read_csv(TABLES / "deepobs-cifar10_3c3d.csv").assign(error=lambda rows: 1 - rows["final_test_acc"])
    fresh = frame[frame["seed"] != 42].groupby(["optimizer", "lr"])["error"]
    noise = (fresh.transform(lambda values: values - values.mean()) * np.sqrt(9 / 8)).to_numpy()
    return frame.loc[frame["seed"] == 42, "error"].dropna().to_numpy(), noise


def studies(count: int, methods: list[str]) -> None:
    """Prints, for each kind of study and method, how often the truly best is left and what share is trained."""
    print("| studies | method | best is left | trainings | left |\n|---|---|---:|---:|---:|")
    kinds = {"made up, skewed noise": made_up}
    if TABLES.exists():
        kinds |= {name: lambda draw, of=of: of_table(draw, *of) for name, of in read_tables()}
    for kind, make in kinds.items():
        for method in methods:
            hits, used, kept = [], [], []
            for _, values in zip(range(count), make(np.random.default_rng(0)), strict=False):
                left, trained = METHODS[method](values)
                hits.append(0 in left)
                used.append(trained / values.size)
                kept.append(len(left) / len(values))
            shares = f"{np.mean(hits):.1%} | {np.mean(used):.1%} | {np.mean(kept):.1%}"
            print(f"| {kind}, {count} | {method} | {shares} |", flush=True)


def read_tables() -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """The two tables."""
    yield "protein table", protein()
    yield "DeepOBS table", deepobs()


def digits(epochs: int) -> None:
    """Prints trainings and seconds of the grid and the race, start-up included, and who is left."""
    flags = [part for name, values in SPACE.items() for part in (f"--{name}", values)]
    with tempfile.TemporaryDirectory() as folder:
        took, boards = {}, {}
        for kind in ("grid", "race"):
            command = [sys.executable, "-m", "sweep"]
            begin = time.perf_counter()
            trained = [*command, kind, *flags, "--epochs", str(epochs), "--seeds", str(SEEDS), "--study", kind]
            subprocess.run(trained, cwd=folder, check=True, capture_output=True)
            took[kind] = time.perf_counter() - begin
            for rows in ([], ["--settings"]):
                name = Path(folder) / f"{kind}{''.join(rows)}.csv"
                subprocess.run([*command, "export", kind, *rows, "-o", str(name)], cwd=folder, check=True)
                boards[kind, bool(rows)] = pd.read_csv(name)
    grid, race_ = boards["grid", False], boards["race", False]
    names = [name.replace("-", "_") for name in SPACE]
    best = boards["grid", True].iloc[0][names]
    mine = boards["race", True]
    left = mine[mine["left"].isna()]
    inside = bool((left[names].astype(str) == best.astype(str)).all(axis=1).any())
    print("| | trainings | seconds |\n|---|---:|---:|")
    for kind, rows in (("grid", grid), ("race", race_)):
        print(f"| sweep {kind} | {len(rows):,} | {took[kind]:.1f} |")
    print(f"| race / grid | {len(race_) / len(grid):.2f} | {took['race'] / took['grid']:.2f} |\n")
    print(f"{len(left)} settings left; the grid's best is {'' if inside else 'not '}among them\n")
    values = np.log(grid.pivot_table("val_loss", names, "seed").to_numpy())
    first = values.mean(axis=1).argmin()
    print("| on the grid's numbers, 20 orders of seeds | trainings | best is left |\n|---|---:|---:|")
    for name, method in METHODS.items():
        orders = [np.random.default_rng(order).permutation(SEEDS) for order in range(20)]
        ends = [method(values[:, order]) for order in orders]
        hits = np.mean([first in left for left, _ in ends])
        print(f"| {name} | {np.mean([used for _, used in ends]):,.0f} | {hits:.0%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["digits", "studies"])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--methods", default="race", help="some of race,wilcoxon,friedman (slow), for studies")
    asked = parser.parse_args()
    if asked.what == "digits":
        digits(asked.epochs)
    else:
        studies(asked.studies, asked.methods.split(","))


if __name__ == "__main__":
    main()
