"""Paths down a function: `sweep grid` as a real process, start-up included, beside a plain loop over torch.optim.

Both go down Rosenbrock's function with Adam, 100 learning rates by as many seeds as make up the paths. The loop is
what one writes first: one path after another, a parameter, an optimizer, backward. It goes down some of the paths, and
its time is told per path, its imports once; "two loops" is half of that, as if two processes shared the work perfectly.
The loop's ends are compared with sweep's.

    python tests/benchmarks/paths.py                 # 100,000 paths of 100 steps
    python tests/benchmarks/paths.py --paths 1000 --loop 20
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from sweep.formulas import start_point

RATES = 100
PLACES = ((0, "x1"), (1, "x2"))
FLAGS = ["--function", "rosenbrock", "--optimizer", "adam", "--lr", f"0.001:0.1:log:{RATES}"]

LOOP = """
import json, sys, time
import torch

paths, steps = json.load(sys.stdin)
begin, ends = time.perf_counter(), []
for lr, start in paths:
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([x], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        ((1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2).backward()
        optimizer.step()
    ends.append(x.tolist())
print(json.dumps([time.perf_counter() - begin, ends]))
"""


def sweep(*words: object, folder: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "sweep", *map(str, words)]
    done = subprocess.run(command, env=os.environ | {"SWEEP_RESULTS": folder}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def go_down(paths: list[tuple[float, list[float]]], steps: int) -> tuple[float, float, list[list[float]]]:
    """The plain loop, in a process: seconds of its paths, of all of it, and where they end."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", LOOP], input=json.dumps([paths, steps]), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    seconds, ends = json.loads(done.stdout)
    return seconds, time.perf_counter() - begin, ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--paths", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--loop", type=int, default=300, help="paths that the loop goes down")
    parser.add_argument("--repeat", type=int, default=3, help="times that sweep runs; the median counts")
    asked = parser.parse_args()
    seeds, times, busy = max(1, asked.paths // RATES), [], []
    with tempfile.TemporaryDirectory() as folder:
        for attempt in range(asked.repeat):
            begin, before = time.perf_counter(), processor_seconds()
            sweep("grid", *FLAGS, "--seeds", seeds, "--steps", asked.steps, "--study", f"p{attempt}", folder=folder)
            times.append(time.perf_counter() - begin)
            busy.append(processor_seconds() - before)
        rows = list(csv.DictReader(io.StringIO(sweep("export", "p0", "-o", "-", folder=folder))))
        rows = sorted(rows, key=lambda row: int(row["trial"]))[:: max(1, len(rows) // asked.loop)]
        starts = {int(row["seed"]): start(int(row["seed"])) for row in rows}
    took = sorted(times)[len(times) // 2]
    paths = [(float(row["lr"]), starts[int(row["seed"])]) for row in rows]
    seconds, whole, ends = go_down(paths, asked.steps)
    pairs = [(float(row[name]), end[place]) for row, end in zip(rows, ends, strict=True) for place, name in PLACES]
    differ = max(abs(mine - its) for mine, its in pairs)
    count = seeds * RATES
    loop = whole - seconds + seconds / len(paths) * count
    print("| paths | steps | sweep s | loop s | x loop | x two loops | largest difference |")
    print("|---|---|---|---|---|---|---|")
    cells = f"{took:.1f} | {loop:,.0f} | {loop / took:.0f} | {loop / 2 / took:.0f} | {differ:.1e}"
    print(f"| {count:,} | {asked.steps} | {cells} |")
    each = ", ".join(f"{value:.1f}" for value in sorted(times))
    print(f"\nsweep: median of {each} s; the loop went down {len(paths)} paths.")
    each = ", ".join(f"{value:.1f}" for value in sorted(busy))
    print(f"Processor seconds of sweep's process and the host, whatever else runs: {each}.")


def processor_seconds() -> float:
    """Of all processes that this one has waited for; the workers, which end with their host, are not among them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start(seed: int) -> list[float]:
    """Where a seed begins."""
    return list(start_point("rosenbrock", "seed", seed, 1.0, 2))


if __name__ == "__main__":
    main()
