"""What it costs to read a large study: each command a process of its own, by time, processor time and peak memory.

The study is the protein grid of FCNet (Klein & Hutter 2019), 248,832 trainings of 62,208 settings, imported once into a
folder that is removed afterwards; without the table nothing is measured, with a line that says so. Other work on the
machine shows in the time, little in the processor time. Each figure is the least of its repeats.

    python -m tests.benchmarks.reading               # every command once
    python -m tests.benchmarks.reading --repeat 3    # --only report,check; --table FILE
    PYTHONPATH=/path/to/before python -m tests.benchmarks.reading    # of another checkout's sweep
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.tables import PROTEIN

STUDY = "protein"
COMMANDS = {
    "show": ["show", STUDY],
    "show --json": ["show", STUDY, "--json"],
    "effect": ["effect", STUDY, "batch_size", "activation_fn_1"],
    "importance": ["importance", STUDY],
    "check": ["check", STUDY],
    "report": ["report", STUDY, "-o", "report.html"],
    "export": ["export", STUDY, "-o", "trials.csv"],
}


class Cost(NamedTuple):
    seconds: float
    processor: float
    """Seconds of user and system, the renderer of a report's charts among them."""
    peak: float
    """The most memory that the process held, in MB."""


def cost_of(arguments: list[str], folder: Path) -> Cost:
    """Runs a command of sweep and waits for it. Raises SystemExit with what it said, if it fails."""
    began = time.perf_counter()
    with (folder / "said.txt").open("wb") as said:
        command = [sys.executable, "-m", "sweep", *arguments, "--results", str(folder / "results")]
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"sweep {' '.join(arguments)}: {(folder / 'said.txt').read_text()}")
    return Cost(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=PROTEIN, help="the protein table, a .csv.gz")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each command, of which the least counts")
    parser.add_argument("--only", default=",".join(COMMANDS), help="commands, separated by commas")
    asked = parser.parse_args()
    names = asked.only.split(",")
    if wrong := [name for name in names if name not in COMMANDS]:
        parser.error(f"--only {wrong[0]}: expected some of {', '.join(COMMANDS)}")
    if asked.repeat < 1:
        parser.error(f"--repeat {asked.repeat}: expected 1 or more")
    if not asked.table.exists():
        print(f"{asked.table}: not there, so nothing is measured")
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = str(asked.table.resolve())
        made = cost_of(["import", table, "--metric", "valid_mse", "--minimize", "--study", STUDY], folder)
        print(f"{'command':12} {'seconds':>8} {'processor':>9} {'peak MB':>8}")
        print(f"{'import':12} {made.seconds:8.2f} {made.processor:9.2f} {made.peak:8.0f}")
        for name in names:
            costs = [cost_of(COMMANDS[name], folder) for _ in range(asked.repeat)]
            least = Cost(*map(min, zip(*costs, strict=True)))
            print(f"{name:12} {least.seconds:8.2f} {least.processor:9.2f} {least.peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()
