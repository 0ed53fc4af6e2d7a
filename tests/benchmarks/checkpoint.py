"""What checkpoints cost: seconds to write one, and their share of the training between two, for units as the planner
makes them.

    python tests/benchmarks/checkpoint.py

The bar is 2 % of the run. No data set is needed: rows are random, the cost is that of the state's size.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from sweep.data import DataInfo, Part, Split
from sweep.engine import Saver, Training
from sweep.engine.training import CHECKPOINT_SECONDS
from sweep.plan import units
from sweep.recipe import load_recipe

SHAPES: dict[str, tuple[tuple[int, ...], dict[str, str]]] = {
    "digits mlp 32": ((1, 8, 8), {"hidden": "32", "batch_norm": "on", "seeds": "64"}),
    "mnist mlp 64": ((1, 28, 28), {"hidden": "64", "seeds": "16"}),
    "mnist mlp 1024 x 3": ((1, 28, 28), {"hidden": "1024", "depth": "3"}),
    "cifar cnn 32 x 3": ((3, 32, 32), {"model": "cnn", "hidden": "32", "depth": "3", "batch_norm": "on"}),
}


def measure(shape: tuple[int, ...], flags: dict[str, str]) -> tuple[int, float, float]:
    """Lanes of the unit, MB of its checkpoint, seconds to write it (the median of five)."""
    rows = [Part(torch.randn(512, *shape), torch.arange(512) % 10) for _ in range(3)]
    split = Split(rows[0], rows[1], rows[2], 10)
    unit = units(load_recipe(None, flags).grid.trials(), DataInfo("random", shape, 10, 512, 512, 512), 1)[0]
    with tempfile.TemporaryDirectory() as folder:
        training = Training(unit.trials, split, Saver(Path(folder), "random"))
        next(iter(training))
        seconds = []
        for _ in range(5):
            begin = time.perf_counter()
            training._save(0.0)
            seconds.append(time.perf_counter() - begin)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    return len(unit.trials), size / 1e6, sorted(seconds)[2]


def main() -> None:
    """Prints one table."""
    torch.set_num_threads(1)
    print("| unit | lanes | MB | s a checkpoint | share of training |\n|---|---:|---:|---:|---:|")
    for name, (shape, flags) in SHAPES.items():
        lanes, size, seconds = measure(shape, flags)
        print(
            f"| {name} | {lanes} | {size:.1f} | {seconds:.4f} | {seconds / max(CHECKPOINT_SECONDS, 50 * seconds):.2%} |"
        )


if __name__ == "__main__":
    main()
