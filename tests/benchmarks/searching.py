"""How soon a search finds what the full grid finds: on digits, over lr, beta1, beta2, hidden, depth and batch norm.

Every strategy trains its own studies with `sweep`, as real processes, once for each study seed. Study seed k has three
training seeds of its own, the same for every strategy, the grid too: a setting is judged by their mean. (One has six.)
At each budget the setting with the best mean so far is what the strategy would have chosen; its luck is taken out by
training it on fresh seeds, which nothing else has seen, and taking their mean.

    python tests/benchmarks/searching.py            # ten study seeds
    python tests/benchmarks/searching.py --short    # two, a small grid
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
ASHA = ["--sampler", "tpe", "--pruner", "asha", "--min-epochs", "4", "--reduction", "3"]
SEEDS = 3
"""Of each setting, in the grid and in a search."""

STRATEGIES = {
    "random": (80, 16, SEEDS, ["--sampler", "random"]),
    "tpe": (80, 16, SEEDS, ["--sampler", "tpe"]),
    "tpe + asha": (224, 32, SEEDS, ASHA),
    "tpe + asha, six seeds": (224, 32, 2 * SEEDS, ASHA),
}
"""Each with its settings, those in flight, the seeds of each, and how it searches."""

CONFIRMED = "tpe + asha, confirmed"
"""That search, and its best settings trained again: `sweep confirm` decides."""

CONFIRM = ["--top", "8", "--seed", "100,101,102,103,104,105,106,107"]

NAMES = ("lr", "beta1", "beta2", "hidden", "depth", "batch_norm")
BUDGETS = (0.01, 0.02, 0.05, 0.1, 0.2, 1.0)
"""Shares of the grid's epochs at which the strategies are looked at."""


def training_seeds(study: int, studies: int, count: int = SEEDS) -> list[int]:
    """The seeds that a study seed trains with: so many in a row of twice as many as there are study seeds, in a
    circle.
    """
    return [(2 * study + place) % max(2 * studies, count) for place in range(count)]


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
    """What would have been selected when so much of a column was spent: the best mean over a setting's seeds, if all
    are complete, and the setting."""
    seen = frame[(frame[column] <= most) & (frame["state"] == "complete")]
    groups = seen.groupby(list(NAMES))["val_loss"].agg(["mean", "size"])
    means = groups.loc[groups["size"] == frame["seed"].nunique(), "mean"]
    return None if means.empty else (means.min(), means.idxmin())


def confirmed(folder: Path, study: str, searched: pd.DataFrame) -> pd.DataFrame:
    """The trials of a search's confirmation, numbered and counted on from the search's."""
    told = sweep(folder, "confirm", study, *CONFIRM, "--json")
    frame = trials(folder, f"{study}-confirm").assign(**json.loads(told[told.index("{") :])["constant"])
    return frame.assign(spent=frame["spent"] + searched["spent"].iloc[-1])


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
    """For each strategy and share of the budget: the medians over study seeds of the best validation loss so far, and
    of what that setting is worth on fresh seeds."""
    rows = []
    for name, frames in runs.items():
        row = {"strategy": name}
        for share in BUDGETS:
            picks = [chosen(frame, column, share * whole) for frame in frames]
            found = [pick for pick in picks if pick is not None]
            losses = [pick[0] for pick in found], [fresh[pick[1]] for pick in found]
            some = len(found) == len(frames) and frames[0][column].iloc[-1] >= 0.5 * share * whole
            row[f"{share:.0%}"] = " / ".join(f"{np.median(values):.4f}" for values in losses) if some else "–"
        rows.append(row)
    return pd.DataFrame(rows)


def key(trial: pd.Series) -> tuple:
    """A trial's setting."""
    return tuple(trial[name] for name in NAMES)


def grids(folder: Path, studies: int, short: bool) -> list[pd.DataFrame]:
    """The whole grid, trained once with every seed; for each study seed its trials of that one's training seeds,
    settings in a random order."""
    grid = GRID if not short else GRID | {"lr": "0.001,0.01,0.1", "beta2": "0.99,0.999", "hidden": "16,64"}
    sweep(folder, "grid", *flags(grid), "--epochs", EPOCHS, "--seeds", 2 * studies, "--study", "grid")
    whole, out = trials(folder, "grid"), []
    for study in range(studies):
        mine = whole[whole["seed"].isin(training_seeds(study, studies))]
        order = np.random.default_rng(study).permutation(mine["trial"].max() // (2 * studies) + 1)
        frame = mine.assign(place=order[mine["trial"] // (2 * studies)]).sort_values(["place", "seed"])
        out.append(frame.reset_index(drop=True).assign(spent=frame["epochs"].to_numpy().cumsum()))
    return out


def searches(folder: Path, studies: int) -> dict[str, list[pd.DataFrame]]:
    """The trials of every search by strategy, one table for each study seed."""
    runs: dict[str, list[pd.DataFrame]] = {}
    for name, (settings, flight, count, how) in STRATEGIES.items():
        for study in range(studies):
            named = f"{name.replace(' + ', '-').replace(', ', '-').replace(' ', '-')}-{study}"
            seeds = ",".join(map(str, training_seeds(study, studies, count)))
            asked = ["--seed", seeds, "--trials", settings * count, "--in-flight", flight, "--search-seed", study]
            sweep(folder, "search", *flags(SPACE), "--epochs", EPOCHS, *how, *asked, "--study", named)
            runs.setdefault(name, []).append(trials(folder, named))
    runs[CONFIRMED] = [
        confirmed(folder, f"tpe-asha-{study}", searched) for study, searched in enumerate(runs["tpe + asha"])
    ]
    return runs


def main() -> None:
    """Trains, prints two tables and whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="two study seeds, a small grid")
    parser.add_argument("--studies", type=int, help="study seeds")
    parser.add_argument("--fresh", type=int, default=20, help="fresh seeds that a chosen setting is judged by")
    parser.add_argument("--keep", type=Path, help="folder for the studies; what is there is not trained again")
    given = parser.parse_args()
    studies = given.studies or (2 if given.short else 10)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        whole = grids(folder, studies, given.short)
        runs = {"grid (shuffled)": whole} | searches(folder, studies)
        for name, frames in runs.items():
            for place, frame in enumerate(frames):
                before = len(runs["tpe + asha"][place]) if name == CONFIRMED else 0
                frame["trained"] = range(before + 1, before + len(frame) + 1)
        most = {"spent": int(whole[0]["spent"].iloc[-1]), "trained": len(whole[0])}
        picks = [
            chosen(frame, column, share * most[column])
            for frames in runs.values()
            for frame in frames
            for column in most
            for share in BUDGETS
        ]
        fresh = settle(folder, [pick[1] for pick in picks if pick is not None], given.fresh)
        print(
            f"grid: {most['trained']:,} trials ({SEEDS} seeds a setting), {most['spent']:,} epochs\n"
            f"best so far / the same setting on {given.fresh} fresh seeds; medians of {studies} study seeds"
        )
        for column, words in (("spent", "epochs trained"), ("trained", "trials")):
            print(f"\nby {words}, as a share of the grid's {most[column]:,}:\n")
            print(table(curves(runs, column, most[column], fresh)))
        print(verdict(runs, most["spent"], fresh))


def verdict(runs: dict[str, list[pd.DataFrame]], epochs: int, fresh: dict[tuple, float]) -> str:
    """What each strategy reaches within a fifth of the grid's epochs, beside the whole grid on the same study seeds."""

    def worth(frames: list[pd.DataFrame], share: float) -> np.ndarray:
        return np.array([fresh[chosen(frame, "spent", share * epochs)[1]] for frame in frames])

    (grid, *searched), lines = runs.items(), [""]
    theirs = worth(grid[1], 1.0)
    lines.append(f"the whole grid's best on fresh seeds: median {np.median(theirs):.4f}, mean {theirs.mean():.4f}")
    for name, frames in searched:
        ours, spent = worth(frames, 0.2), np.mean([frame["spent"].iloc[-1] for frame in frames]) / epochs
        medians, means = np.median(ours) / np.median(theirs) - 1, ours.mean() / theirs.mean() - 1
        lines.append(
            f"{name}, {spent:.1%} of the epochs: median {np.median(ours):.4f} ({medians:+.1%}), mean {ours.mean():.4f} "
            f"({means:+.1%}); within 2 % of the grid on the same seeds, or better, in {sum(ours <= 1.02 * theirs)} "
            f"of {len(ours)}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
