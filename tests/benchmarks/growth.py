"""How cost grows: `sweep grid` on 10, 100, 1,000 and 10,000 trials of a tiny net, with one worker and with two.

The trials are those of ten learning rates and as many seeds as it takes: digits, one hidden layer of 4 units, batches
of 256, one epoch. Each run is a real process on a new ledger (`watched.py`), timed from its start to its end. start-up:
until the first trial is handed to a worker; training: from then until the last record; end: what follows; ms a trial:
all but the start-up, over the trials; peak: the most memory that the study process held at once, without the process
that holds torch and the data and without its workers.

    python tests/benchmarks/growth.py [--short] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from run import environment, grid_command, timed

from sweep.ledger import Ledger

TINY_NET = {"data": "digits", "hidden": "4", "depth": "1", "batch_size": "256", "epochs": "1"}
RATES = 10
TRIALS = (10, 100, 1_000, 10_000)
WORKERS = (1, 2)


@dataclass(frozen=True)
class Point:
    """One run. Seconds: in all, until the first trial is handed out, from the last record on; peak: bytes."""

    trials: int
    workers: int
    seconds: float
    startup: float
    end: float
    peak: int

    @property
    def trial_seconds(self) -> float:
        """Seconds a trial, start-up apart."""
        return (self.seconds - self.startup) / self.trials


def measure(trials: int, workers: int) -> Point:
    """One run of so many trials."""
    flags = TINY_NET | {"lr": f"1e-4:1e-1:log:{RATES}", "seeds": str(trials // RATES)}
    with tempfile.TemporaryDirectory(prefix="sweep-benchmark-") as name:
        folder = Path(name)
        begin, seconds = timed(grid_command(flags, folder, "--jobs", str(workers)))
        with Ledger(folder) as ledger:
            counts = ledger.counts(ledger.study("benchmark"))
        if counts["complete"] != trials:
            raise SystemExit(f"{counts['complete']} trials complete; expected {trials}")
        noted = json.loads((folder / "watched.json").read_text())
    return Point(trials, workers, seconds, noted["begin"] - begin, begin + seconds - noted["end"], noted["peak"])


TABLE: dict[str, Callable[[Point], str]] = {
    "trials": lambda point: f"{point.trials:,}",
    "workers": lambda point: str(point.workers),
    "total s": lambda point: f"{point.seconds:.2f}",
    "start-up s": lambda point: f"{point.startup:.2f}",
    "training s": lambda point: f"{point.seconds - point.startup - point.end:.2f}",
    "end s": lambda point: f"{point.end:.2f}",
    "ms a trial": lambda point: f"{1000 * point.trial_seconds:.2f}",
    "peak MB": lambda point: f"{point.peak / 1e6:.0f}",
}


def main(arguments: list[str]) -> None:
    """Parses, measures, prints each line as it comes."""
    parser = argparse.ArgumentParser(
        description="Seconds a trial and peak memory of `sweep grid`, by number of trials."
    )
    parser.add_argument("--short", action="store_true", help="up to 1,000 trials")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    given = parser.parse_args(arguments)
    sizes = TRIALS[: 1 if given.tiny else 3 if given.short else None]
    points = []
    print("| " + " | ".join(TABLE) + " |")
    print("|" + "---:|" * len(TABLE))
    for trials in sizes:
        for workers in WORKERS[: 1 if given.tiny else None]:
            points.append(measure(trials, workers))
            print("| " + " | ".join(cell(points[-1]) for cell in TABLE.values()) + " |", flush=True)
    print("\n" + ", ".join(f"{name} {value}" for name, value in environment().items()))
    if given.json:
        found = [asdict(point) | {"trial_seconds": point.trial_seconds} for point in points]
        given.json.write_text(json.dumps({"environment": environment(), "runs": found}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
