"""A user's own networks: `sweep grid` beside the expert's loop of `peers.py` on the same networks, start-up included.

Both are real processes that train the same trials on as many workers, one after the other and again, so that other work
on the machine meets both. sweep starts with nothing remembered of the machine or of the networks. The bars: at least 1
everywhere, at least 3 for the small mlp, which trains in lanes.

    python tests/benchmarks/modules.py [NAME...] [--repeat K]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NETWORKS = """
import math
import torch
from torch import nn


class Mlp(nn.Module):
    def __init__(self, in_shape, classes, width: int = 32):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(in_shape), width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, classes),
        )

    def forward(self, x):
        return self.layers(x)


class Skip(nn.Module):
    def __init__(self, in_features, classes, width: int = 64):
        super().__init__()
        self.one, self.norm = nn.Linear(in_features, width), nn.LayerNorm(width)
        self.two, self.last = nn.Linear(width, width), nn.Linear(width, classes)

    def forward(self, x):
        h = torch.relu(self.norm(self.one(x.flatten(1))))
        return self.last(h + torch.relu(self.two(h)))


class Cnn(nn.Module):
    def __init__(self, in_channels, classes, width: int = 16):
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.last = nn.Linear(width, classes)

    def forward(self, x):
        h = self.one(x)
        return self.last((h + self.two(h)).mean((2, 3)))
"""

CASES = {
    "mlp": {
        "model": "nets.py:Mlp",
        "lr": "0.1,0.03,0.01,0.003",
        "beta1": "0.8,0.9,0.95",
        "seeds": "16",
        "epochs": "10",
    },
    "skip": {"model": "nets.py:Skip", "lr": "0.01,0.003", "seeds": "32", "epochs": "10"},
    "cnn": {"model": "nets.py:Cnn", "lr": "0.01,0.003", "seeds": "8", "epochs": "5"},
}
"""Small mlp: in lanes; a network that is no chain, and one of images: one trial per program."""

HERE = Path(__file__).resolve().parent


def run_sweep(folder: Path, flags: dict[str, str]) -> float:
    """Seconds of `sweep grid`, start to end."""
    words = [word for name, text in flags.items() for word in (f"--{name}", text)]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        command = [sys.executable, "-m", "sweep", "grid", *words, "--results", place, "--study", "own"]
        begin = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True, env=os.environ | {"XDG_CACHE_HOME": place})
        return time.perf_counter() - begin


def run_expert(folder: Path, flags: dict[str, str]) -> float:
    """Seconds of the expert's process, start to end."""
    script = "import sys, peers; peers.main(sys.argv[1:])"
    command = [sys.executable, "-c", script, "expert", json.dumps(flags), "1", str(folder / "found.json")]
    place = os.environ | {"PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1])))}
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=place)
    return time.perf_counter() - begin


def main() -> None:
    """Prints a line a case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", default=[*CASES])
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nets.py").write_text(NETWORKS)
        for case in given.cases:
            pairs = [(run_expert(folder, CASES[case]), run_sweep(folder, CASES[case])) for _ in range(given.repeat)]
            ratios = sorted(expert / mine for expert, mine in pairs)
            took = [statistics.median(column) for column in zip(*pairs, strict=True)]
            told = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
            print(f"{case}: expert {took[0]:.1f} s, sweep {took[1]:.1f} s: x {statistics.median(ratios):.2f} ({told})")


if __name__ == "__main__":
    main()
