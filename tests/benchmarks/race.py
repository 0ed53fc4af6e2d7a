"""The race beside the whole grid, Optuna's WilcoxonPruner and a Friedman race: how many trainings, and how often the
truly best setting is among those left.

    python -m tests.benchmarks.race digits      # sweep race beside sweep grid: 96 settings on digits, 20 seeds
    python -m tests.benchmarks.race studies     # 1,000 made-up studies with skewed noise, and the two tables
    python -m tests.benchmarks.race levels      # the same, each method at several levels: what a rate of error costs
    python -m tests.benchmarks.race errors      # settings that are all equal: how often a certain one is dropped

`digits` trains both, as real processes, and then lets every method race on the grid's numbers. Elsewhere nothing is
trained. A study of a table has the means of settings drawn from it as its truth, and as noise what its seeds differ by,
drawn anew. The methods: `race` is `sweep.racing`, `first` its rule of earlier versions; `wilcoxon` compares with the
best so far after each seed, from that on which can reach its level (the fourth at 0.1, its default), by the test that
Optuna's pruner makes, for all settings at once; `friedman` is F-race (Birattari et al. 2002): Friedman's test at 0.05
after each seed from the fifth on, and where it rejects, Conover's comparisons with the best.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from sweep.racing import looks
from sweep.racing.rule import ALPHA, RULES, Rule, worse

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


def race(values: np.ndarray, alpha: float = ALPHA, rule: Rule = RULES[2]) -> tuple[np.ndarray, int]:
    """sweep's own."""
    left, before, used = np.arange(len(values)), 0, 0
    for look, n in enumerate(looks(values.shape[1]), 1):
        used, before = used + len(left) * (n - before), n
        left = left[worse(values[left, :n], values[left, :n], look, len(values), rule, alpha) < 0]
        if len(left) == 1:
            break
    return left, used


def wilcoxon(values: np.ndarray, level: float = 0.1) -> tuple[np.ndarray, int]:
    """Optuna's pruner, seed by seed, from the first on whose smallest p is under its level."""
    first = next(n for n in range(2, values.shape[1]) if 0.5**n < level)
    left, used = np.arange(len(values)), len(values) * first
    for n in range(first, values.shape[1] + 1):
        best = left[values[left, :n].mean(axis=1).argmin()]
        rivals = left[left != best]
        if not len(rivals):
            break
        p = signed_rank(values[rivals, :n] - values[best, :n])
        left = np.sort(np.append(rivals[p >= level], best))
        used += len(left) * (n < values.shape[1])
    return left, used


def signed_rank(apart: np.ndarray) -> np.ndarray:
    """The one-sided exact p of Wilcoxon's signed rank test of each row, which has no two equal sizes: as
    `scipy.stats.wilcoxon(row, alternative="greater")` has it, hundreds of times as fast."""
    n = apart.shape[1]
    ranks = np.abs(apart).argsort(axis=1).argsort(axis=1) + 1
    return tail(n)[np.where(apart > 0, ranks, 0).sum(axis=1)]


@cache
def tail(n: int) -> np.ndarray:
    """The chance of a rank sum of so much or more, of n differences that have either sign alike."""
    ways = np.ones(1)
    for rank in range(1, n + 1):
        ways = np.append(ways, np.zeros(rank)) + np.append(np.zeros(rank), ways)
    return ways[::-1].cumsum()[::-1] / 2**n


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


METHODS: dict[str, Method] = {
    "race": race,
    "first": partial(race, rule=RULES[1]),
    "wilcoxon": wilcoxon,
    "friedman": friedman,
}
LEVELS: dict[str, Method] = {f"race, error {alpha:g}": partial(race, alpha=alpha) for alpha in (0.5, 0.2, ALPHA)} | {
    f"wilcoxon, p < {level:g}": partial(wilcoxon, level=level) for level in (0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.003)
}
"""The methods at several levels."""


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


def studies(count: int, methods: dict[str, Method]) -> None:
    """Prints, for each kind of study and method, how often the truly best is left and what share is trained."""
    print("| studies | method | best is left | trainings | left |\n|---|---|---:|---:|---:|")
    kinds = {"made up, skewed noise": made_up}
    if TABLES.exists():
        kinds |= {name: lambda draw, of=of: of_table(draw, *of) for name, of in read_tables()}
    for kind, make in kinds.items():
        for name, method in methods.items():
            hits, used, kept = [], [], []
            for _, values in zip(range(count), make(np.random.default_rng(0)), strict=False):
                left, trained = method(values)
                hits.append(0 in left)
                used.append(trained / values.size)
                kept.append(len(left) / len(values))
            shares = f"{np.mean(hits):.1%} | {np.mean(used):.1%} | {np.mean(kept):.1%}"
            print(f"| {kind}, {count} | {name} | {shares} |", flush=True)


def errors(count: int) -> None:
    """Prints how often a certain one of equal settings is dropped, whose noise is normal or skewed, as wide for all or
    not (by a factor e to the 0.4 times a normal draw)."""
    print("| settings | noise | first | race |\n|---:|---|---:|---:|")
    for settings in (3, 4, 6, 12, 24, 96):
        for noise, spread in (("normal", 0.0), ("normal", 0.4), ("skewed", 0.4), ("normal", 1.0), ("skewed", 1.0)):
            shares = []
            for method in (METHODS["first"], race):
                draw, gone = np.random.default_rng(0), []
                for _ in range(max(40, count // settings)):
                    shape = settings, SEEDS
                    plain = draw.normal(size=shape) if noise == "normal" else draw.exponential(size=shape) - 1
                    left, _ = method(np.exp(spread * draw.normal(size=(settings, 1))) * plain)
                    gone.append(1 - len(left) / settings)
                shares.append(f"{np.mean(gone):.1%}")
            wide = "" if not spread else f", widths e^({spread:g} z)"
            print(f"| {settings} | {noise}{wide} | {' | '.join(shares)} |", flush=True)


def read_tables() -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """The two tables."""
    yield "protein table", protein()
    yield "DeepOBS table", deepobs()


def digits(epochs: int) -> None:
    """Prints trainings, seconds and processor seconds of the grid and the race, start-up included, and who is left."""
    flags = [part for name, values in SPACE.items() for part in (f"--{name}", values)]
    with tempfile.TemporaryDirectory() as folder:
        took, worked, boards = {}, {}, {}
        for kind in ("grid", "race"):
            command = [sys.executable, "-m", "sweep"]
            begin = time.perf_counter()
            trained = [*command, kind, *flags, "--epochs", str(epochs), "--seeds", str(SEEDS), "--study", kind]
            worked[kind] = watch(trained, folder)
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
    print("| | trainings | seconds | processor seconds |\n|---|---:|---:|---:|")
    for kind, rows in (("grid", grid), ("race", race_)):
        print(f"| sweep {kind} | {len(rows):,} | {took[kind]:.1f} | {worked[kind]:.1f} |")
    shares = (len(race_) / len(grid), took["race"] / took["grid"], worked["race"] / worked["grid"])
    print(f"| race / grid | {' | '.join(f'{share:.2f}' for share in shares)} |\n")
    print(f"{len(left)} settings left; the grid's best is {'' if inside else 'not '}among them\n")
    values = np.log(grid.pivot_table("val_loss", names, "seed").to_numpy())
    first = values.mean(axis=1).argmin()
    print("| on the grid's numbers, 20 orders of seeds | trainings | best is left |\n|---|---:|---:|")
    for name, method in (METHODS | LEVELS).items():
        orders = [np.random.default_rng(order).permutation(SEEDS) for order in range(20)]
        ends = [method(values[:, order]) for order in orders]
        hits = np.mean([first in left for left, _ in ends])
        print(f"| {name} | {np.mean([used for _, used in ends]):,.0f} | {hits:.0%} |", flush=True)


def watch(command: list[str], folder: str) -> float:
    """Runs a command; the processor seconds that it and all that it started took, looked up ten times a second: they
    say what it costs on a machine that has other work, too, as its wall time does not."""
    tick = os.sysconf("SC_CLK_TCK")
    taken: dict[str, float] = {}
    with subprocess.Popen(
        command, cwd=folder, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            for file in Path("/proc").glob("[0-9]*/stat"):
                try:
                    fields = file.read_text().rpartition(")")[2].split()
                except OSError:
                    continue  # it has ended meanwhile
                if int(fields[3]) == process.pid:  # its session
                    taken[file.parent.name] = (int(fields[11]) + int(fields[12])) / tick
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return sum(taken.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["digits", "studies", "levels", "errors"])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--methods", default="race", help=f"some of {','.join(METHODS)}, for studies")
    asked = parser.parse_args()
    if asked.what == "digits":
        digits(asked.epochs)
    elif asked.what == "errors":
        errors(asked.studies)
    elif asked.what == "levels":
        studies(asked.studies, LEVELS)
    else:
        studies(asked.studies, {name: METHODS[name] for name in asked.methods.split(",")})


if __name__ == "__main__":
    main()
