"""What a trial of a user's own function costs beside its own work, in milliseconds: 1,000 that do nothing but report.

Real `sweep grid` processes on one worker, of 1,000 trials and of one; the difference over 999 is a trial's share of
everything: handing out, the function's process, the ledger, the leaderboard. Wall-clock time, which other work on the
machine lengthens, and processor time of all processes, which it does not. The bar is at most 2 ms.

    python tests/benchmarks/own.py [--trials N] [--repeat K]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FUNCTION = "def train(setting, seed, report):\n    report(1, val_loss=setting['x'])\n"


def seconds(folder: Path, trials: int) -> tuple[float, float]:
    """Seconds of a grid of so many trials, start to end: by the clock, and of all its processes' work."""
    values = f"x=0.0:1.0:n={trials}" if trials > 1 else "x=0.5"
    words = ["grid", "--train", "nothing.py:train", "--set", values, "--study", "own", "--jobs", "1"]
    with tempfile.TemporaryDirectory(dir=folder) as results:
        begin, before = time.perf_counter(), worked()
        command = [sys.executable, "-m", "sweep", *words, "--results", results]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - begin, worked() - before


def worked() -> float:
    """Processor seconds of all processes that this one started, and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nothing.py").write_text(FUNCTION)
        runs = [(seconds(folder, 1), seconds(folder, given.trials)) for _ in range(given.repeat)]
    for place, kind in enumerate(("by the clock", "of processors")):
        each = sorted(1000 * (many[place] - one[place]) / (given.trials - 1) for one, many in runs)
        print(f"{kind}: {statistics.median(each):.2f} ms a trial ({each[0]:.2f} to {each[-1]:.2f}); the bar is 2")


if __name__ == "__main__":
    main()
