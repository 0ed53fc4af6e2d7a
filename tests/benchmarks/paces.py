"""What a search costs as a whole: trials a minute of `sweep search`, start-up included, beside other checkouts of
sweep.

Tiny networks train one epoch each, on digits and on MNIST, so that what the sampler takes shows as much as it can: TPE,
and random search, which asks for nothing that costs. The space is flat (every hyperparameter is in every setting) or
mixed (Adam's betas, SGD's momentum and batch norm's depend on others). Checkouts take turns; a cell is the median of
their runs, beside it the processor seconds of the search's own process and of the host, without the workers': other
work on the machine moves these less. Where what they asked for differs, the table says so.

    python tests/benchmarks/paces.py             # this checkout; --trials 100 for less, --data digits without MNIST
    git worktree add ../before COMMIT
    python tests/benchmarks/paces.py --beside ../before --repeat 3
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
RATES = ["--lr", "1e-4:1:log", "--hidden", "4:16", "--epochs", "1"]
SPACES = {
    "flat": ["--beta1", "0.8:0.95", "--beta2", "0.9:0.999", "--batch-norm", "on,off"],
    "mixed": [
        *["--optimizer", "adam,sgd", "--beta1", "0.8:0.95", "--momentum", "0:0.9"],
        *["--batch-norm", "on,off", "--bn-momentum", "0.01:0.5:log"],
    ],
}
BATCHES = {"digits": "256", "mnist": "2048"}
VARIED = ("lr", "hidden", "optimizer", "beta1", "beta2", "momentum", "batch_norm", "bn_momentum")

Asked = list[tuple[str, ...]]


def searched(checkout: Path, flags: list[str]) -> tuple[float, float, Asked]:
    """A whole search in a new folder by a checkout's own code: seconds, processor seconds, the settings it trained."""
    python, where = [sys.executable, "-m", "sweep"], os.environ | {"PYTHONPATH": str(checkout)}
    with tempfile.TemporaryDirectory() as folder:
        begin, used = time.perf_counter(), processor()
        for command in (["search", "--study", "s", *flags], ["export", "s", "-o", "s.csv"]):
            done = subprocess.run([*python, *command], capture_output=True, text=True, cwd=folder, env=where)
            if done.returncode:
                raise SystemExit(f"{checkout}: sweep {' '.join(command)}\n{done.stderr}")
            if command[0] == "search":
                seconds, used = time.perf_counter() - begin, processor() - used
        with open(Path(folder) / "s.csv", newline="") as file:
            rows = [tuple(row.get(name, "") for name in ("trial", *VARIED)) for row in csv.DictReader(file)]
    return seconds, used, sorted(rows)


def processor() -> float:
    """Processor seconds of the processes that this one started and that ended, and of those that they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compared(checkouts: list[Path], flags: list[str], repeat: int) -> tuple[list[tuple[float, float]], bool]:
    """Median seconds and processor seconds of each checkout, which take turns; whether all asked for the same
    settings.
    """
    runs = [[searched(checkout, flags) for checkout in checkouts] for _ in range(repeat)]
    same = all(asked == runs[0][0][2] for turn in runs for _, _, asked in turn)
    sides = [[turn[place] for turn in runs] for place in range(len(checkouts))]
    return [
        (statistics.median(run[0] for run in side), statistics.median(run[1] for run in side)) for side in sides
    ], same


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, action="append", default=[], help="another checkout; may be repeated")
    parser.add_argument("--data", default="digits,mnist")
    parser.add_argument("--data-dir", type=Path, default=HERE.parent / "shared" / "data", help="where MNIST is")
    parser.add_argument("--spaces", default="flat,mixed")
    parser.add_argument("--samplers", default="random,tpe")
    parser.add_argument("--trials", default="100,1000")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each cell")
    given = parser.parse_args()
    checkouts = [*(path.resolve() for path in given.beside), HERE]
    names = [*(path.name for path in checkouts[:-1]), "here"]
    print(
        f"| data | space | sampler | trials | {' | '.join(f'{name} /min (processor s)' for name in names)} "
        "| same settings |"
    )
    print(f"|---|---|---|---:|{'---:|' * len(names)}---|")
    cells = (part.split(",") for part in (given.data, given.spaces, given.samplers, given.trials))
    for data, space, sampler, trials in itertools.product(*cells):
        where = ["--data", data, "--data-dir", str(given.data_dir.resolve()), "--batch-size", BATCHES[data]]
        flags = [*RATES, *SPACES[space], *where, "--sampler", sampler, "--trials", trials]
        costs, same = compared(checkouts, flags, given.repeat)
        paces = [f"{60 * int(trials) / one:,.0f} ({used:.1f})" for one, used in costs]
        row = [data, space, sampler, f"{int(trials):,}", *paces, "yes" if same else "**no**"]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
