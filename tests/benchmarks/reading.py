"""What it costs to read a large study: each command a process of its own, by time, processor time and peak memory.

The study is the protein grid of FCNet (Klein & Hutter 2019), 248,832 trainings of 62,208 settings, imported once into a
folder that is removed afterwards; without the table nothing is measured, with a line that says so. `first` is a command
that finds nothing kept, as the first one after a training does; `later` is one that finds what another has kept. Other
work on the machine shows in the time, less in the processor time: so another checkout's commands are run in turn with
these. Each figure is the least of its repeats. Compiled modules are kept, as those of an installed package are.

    python -m tests.benchmarks.reading                                       # every command once
    python -m tests.benchmarks.reading --repeat 3 --only report,check        # --table FILE
    python -m tests.benchmarks.reading --before /path/to/another/checkout    # its sweep, too
"""

from __future__ import annotations

import argparse
import os
import shutil
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


REST = 6.0
"""Seconds after which a ledger that was just written counts as one at rest."""


class Cost(NamedTuple):
    seconds: float
    processor: float
    """Seconds of user and system, the renderer of a report's charts among them."""
    peak: float
    """The most memory that the process held, in MB."""


def cost_of(arguments: list[str], folder: Path, checkout: Path | None = None) -> Cost:
    """Runs a command of sweep and waits for it. Raises SystemExit with what it said, if it fails."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    env |= {} if checkout is None else {"PYTHONPATH": str(checkout)}
    began = time.perf_counter()
    with (folder / "said.txt").open("wb") as said:
        command = [sys.executable, "-m", "sweep", *arguments, "--results", str(folder / "results")]
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT, env=env)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"sweep {' '.join(arguments)}: {(folder / 'said.txt').read_text()}")
    return Cost(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)


def costs_of(name: str, folder: Path, before: Path | None) -> dict[str, Cost]:
    """A command once each way, in turn."""
    costs = {} if before is None else {"before": cost_of(COMMANDS[name], folder, before)}
    shutil.rmtree(folder / "cache", ignore_errors=True)
    return costs | {way: cost_of(COMMANDS[name], folder) for way in ("first", "later")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, default=PROTEIN, help="the protein table, a .csv.gz")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each command, of which the least counts")
    parser.add_argument("--only", default=",".join(COMMANDS), help="commands, separated by commas")
    parser.add_argument("--before", type=Path, help="another checkout, whose sweep is run in turn with this one's")
    asked = parser.parse_args()
    names = asked.only.split(",")
    if wrong := [name for name in names if name not in COMMANDS]:
        parser.error(f"--only {wrong[0]}: expected some of {', '.join(COMMANDS)}")
    if asked.repeat < 1:
        parser.error(f"--repeat {asked.repeat}: expected 1 or more")
    if asked.before is not None and not (asked.before / "sweep").is_dir():
        parser.error(f"--before {asked.before}: expected a checkout, with a folder sweep")
    if not asked.table.exists():
        print(f"{asked.table}: not there, so nothing is measured")
        return
    with tempfile.TemporaryDirectory() as place:
        measure(asked, names, Path(place))


def measure(asked: argparse.Namespace, names: list[str], folder: Path) -> None:
    """Imports the table and prints what each command costs."""
    table, before = str(asked.table.resolve()), asked.before and asked.before.resolve()
    imported = ["import", table, "--metric", "valid_mse", "--minimize", "--study", STUDY]
    print(f"{'command':12} {'':6} {'seconds':>8} {'processor':>9} {'peak MB':>8}")
    show("import", "", cost_of(imported, folder))
    for checkout in (None, before) if before else (None,):
        cost_of(["ls"], folder, checkout)  # compiles what all commands import
    time.sleep(REST)
    for name in names:
        runs = [costs_of(name, folder, before) for _ in range(asked.repeat)]
        for way in runs[0]:
            show(name, way, Cost(*map(min, zip(*(run[way] for run in runs), strict=True))))


def show(name: str, way: str, cost: Cost) -> None:
    print(f"{name:12} {way:6} {cost.seconds:8.2f} {cost.processor:9.2f} {cost.peak:8.0f}", flush=True)


if __name__ == "__main__":
    main()
