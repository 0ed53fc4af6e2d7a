"""What `sweep resume` does itself before it trains, with 100,000 finished trials and one left; and the whole command.

    python tests/benchmarks/resume.py [TRIALS]

own work: opening the ledger, reading every trial, finding what is left in the grid, planning it. The bar is 2 s. The
whole command adds Python's start, torch's import in the worker (while the study process does its own work), the
training of the one trial and the leaderboard.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sweep import checkpoint, study
from sweep.data import describe
from sweep.ledger import Ledger
from sweep.plan import plan_grid, units
from sweep.recipe import load_recipe
from sweep.space import EpochRecord


def fill(folder: Path, trials: int) -> None:
    """A study of so many trials, all complete after one epoch but the last."""
    side = round((trials / 40) ** 0.5)
    flags = {"lr": f"1e-4:1e-1:log:{side}", "beta1": f"0.5:0.99:{side}", "hidden": "1:40:40", "epochs": "1"}
    recipe = load_recipe(None, flags)
    with Ledger(folder, create=True) as ledger:
        made = ledger.create("big", recipe, plan_grid(recipe, describe("digits")).trials)
        every = list(recipe.grid.trials())
        ledger.add(made, every)
        ledger.record(
            made, [EpochRecord(t.number, 1, 0.5, 0.9, 0.4, 0.9, 1.0, 0.01, "complete", 0.4, 0.9) for t in every[:-1]]
        )


def own_work(folder: Path) -> tuple[int, float]:
    """Trials left, and the seconds that finding and planning them took."""
    begin = time.perf_counter()
    with Ledger(folder) as ledger:
        found = ledger.study("big")
        known = ledger.known(found)
        start = study._take_stock(ledger, found, known, checkpoint.scan(folder / "none"), retry_failed=False)
        left = list(study._left(found.recipe.grid, known, retry_failed=False))
        assert len(units(left, describe("digits"), 2)) == start.total - start.done == len(left)
    return len(left), time.perf_counter() - begin


def main() -> None:
    """Prints one table."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, trials)
        left, own = own_work(folder)
        begin = time.perf_counter()
        command = [sys.executable, "-m", "sweep", "resume", "big", "--results", name]
        subprocess.run(command, check=True, capture_output=True)
        whole = time.perf_counter() - begin
    print("| trials | left | own work s | whole command s |\n|---:|---:|---:|---:|")
    print(f"| {trials:,} | {left} | {own:.2f} | {whole:.2f} |")


if __name__ == "__main__":
    main()
