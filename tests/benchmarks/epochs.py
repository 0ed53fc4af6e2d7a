"""What it saves that trials which differ in epochs alone train once: `sweep grid --epochs 5,10,20`, start-up included,
beside another checkout of sweep, one before it did that.

Both are real processes on as many workers; they take turns, and a line has the median of their runs and of each pair's
ratio. Both have LANES trials at a time, since what suits the machine, as measured beside other work, may differ by the
run. `processor` is of all processes, `trained` the sum of the trials' seconds. The numbers of both have to be the same
to the bit.

    git worktree add ../before 0adea02
    python tests/benchmarks/epochs.py --beside ../before [NAME...] [--repeat K] [--data-dir DIR]
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sweep.trainers import adopt_orphans

HERE = Path(__file__).resolve().parents[2]
ENDS, LANES = "5,10,20", "16"
CASES = {
    "digits-mlp": ["--lr", "1e-3:1e-1:log:12", "--beta1", "0.8,0.9", "--batch-norm", "on,off", "--seeds", "2"],
    "mnist-mlp64": ["--data", "mnist", "--train-size", "10000", "--lr", "0.01,0.003,0.001", "--beta1", "0.8,0.9"],
    "digits-cnn": ["--model", "cnn", "--hidden", "8", "--lr", "0.01,0.003", "--batch-norm", "on,off", "--seeds", "2"],
    "cosine": ["--lr", "1e-3:1e-1:log:12", "--lr-schedule", "cosine", "--batch-norm", "on,off", "--seeds", "2"],
}
"""Grids with a constant learning rate, and one in which nothing is shared, where the ratio should be 1."""


class Run(NamedTuple):
    """A whole command, in seconds."""

    wall: float
    processor: float
    """Of all its processes."""
    trained: float
    """The sum of its trials' seconds."""
    numbers: list[list[str]]
    """Every epoch of every trial, wall-clock aside."""


def grid(checkout: Path, flags: list[str]) -> Run:
    """`sweep grid` in a new folder by a checkout's own code."""
    python, where = [sys.executable, "-m", "sweep"], os.environ | {"PYTHONPATH": str(checkout)}
    with tempfile.TemporaryDirectory() as folder:
        begin, used = time.perf_counter(), _processor()
        run = [*python, "grid", "--epochs", ENDS, "--lanes", LANES, *flags, "--study", "s"]
        subprocess.run(run, check=True, capture_output=True, cwd=folder, env=where)
        wall = time.perf_counter() - begin
        _await_orphans()
        processor = _processor() - used
        export = [*python, "export", "s", "--curves", "-o", "s.csv"]
        subprocess.run(export, check=True, capture_output=True, cwd=folder, env=where)
        with (Path(folder) / "s.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    trained = sum(float(row.pop("seconds")) for row in rows)
    return Run(wall, processor, trained, [[*row.values()] for row in rows])


def _await_orphans() -> None:
    """Until the workers that the host left behind are gone, so that their time is counted."""
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def told(name: str, pairs: list[tuple[Run, Run]]) -> str:
    """A line of a case."""
    assert all(before.numbers == now.numbers for before, now in pairs), f"{name}: the numbers differ"
    parts = []
    for what in ("wall", "processor", "trained"):
        both = [(getattr(before, what), getattr(now, what)) for before, now in pairs]
        ratios = sorted(before / now for before, now in both)
        before, now = (statistics.median(column) for column in zip(*both, strict=True))
        middle = statistics.median(ratios)
        parts.append(f"{what} {before:.1f} s, {now:.1f} s: x {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")
    return f"{name}: " + "; ".join(parts)


def main() -> None:
    """Prints a line a case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=[*CASES])
    parser.add_argument("--beside", type=Path, required=True)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--data-dir", default=str(HERE.parent / "shared" / "data"))
    given = parser.parse_args()
    adopt_orphans()
    for name in given.cases:
        flags = [*CASES[name], *(["--data-dir", given.data_dir] if "mnist" in name else [])]
        pairs = [(grid(given.beside.resolve(), flags), grid(HERE, flags)) for _ in range(given.repeat)]
        print(told(name, pairs), flush=True)


if __name__ == "__main__":
    main()
