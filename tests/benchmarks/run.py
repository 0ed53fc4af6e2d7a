"""Trials per minute of `sweep grid` beside two ways of writing the same work by hand, in one run, start-up included.

Every column is a real process, timed from its start to its end, and trains the same settings and seeds on the same
split, with the same networks, initial weights, minibatches in the same order, and a validation pass after every
epoch. sweep: `python -m sweep grid`. loop: what a beginner writes, one process, torch's defaults, a DataLoader,
torch.optim, one trial after another. expert: joblib with one single-thread process a core, fused Adam, tensors in
memory, no DataLoader, channels_last for convolutions. A peer may train every k-th trial only; its trials per minute
are then those of the whole grid at the pace measured, its start-up counted once, and the table says so.

    python tests/benchmarks/run.py [WORKLOAD ...] [--short] [--repeat N] [--json FILE] [--data-dir DIR]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.ledger import Ledger
from sweep.recipe import load_recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sweep.data import Split
    from sweep.hyperparameters import Setting
    from sweep.space import Trial

Flags = dict[str, str]
Result = tuple[float, float]
"""Validation loss in nats and accuracy in [0, 1] after the last epoch."""

EIGHTEEN = {"lr": "0.1,0.01,0.001", "beta1": "0.8,0.88,0.9", "batch_norm": "on,off"}
PEERS = ("loop", "expert")
COLUMNS = ("sweep", *PEERS)
EVALUATION_ROWS = 1000


@dataclass(frozen=True)
class Workload:
    """A grid, as flags of `sweep grid`. every: a peer trains every so many-th trial; short: what --short changes."""

    flags: Flags
    every: dict[str, int] = field(default_factory=dict)
    short: Flags = field(default_factory=dict)
    short_every: dict[str, int] = field(default_factory=dict)

    def form(self, short: bool, tiny: bool) -> Workload:
        """The workload in the form asked for."""
        if tiny:
            tiny_flags = {"lr": "0.01,0.001", "beta1": "0.9", "epochs": "2", "seeds": "1"}
            return Workload(self.flags | tiny_flags, {"loop": 3})
        return Workload(self.flags | self.short, self.short_every) if short else self


def _mnist(**flags: str) -> Flags:
    return {"data": "mnist", **EIGHTEEN, "batch_size": "128", "epochs": "1", **flags}


# No k shares a factor with the fastest axes of its grid, or is the number of seeds: the k-th trials cover every axis.
WORKLOADS = {
    "digits-mlp": Workload(
        {"data": "digits", **EIGHTEEN, "hidden": "32", "depth": "2", "batch_size": "32", "epochs": "10", "seeds": "16"},
        {"loop": 9}, short_every={"loop": 31, "expert": 9},
    ),
    "mnist-mlp64": Workload(_mnist(hidden="64", depth="2", seeds="4"), {"loop": 5}, {"seeds": "1"}, {"loop": 5, "expert": 3}),
    "mnist-mlp256": Workload(_mnist(hidden="256", depth="2", train_size="20000", seeds="4"), {"loop": 5}, {"seeds": "1"}, {"loop": 5, "expert": 3}),
    "mnist-cnn": Workload(_mnist(model="cnn", hidden="16", depth="2", train_size="5000"), {}, {"beta1": "0.9"}, {"loop": 5}),
    "mixed": Workload(
        _mnist(beta1="0.8,0.85,0.9,0.95", hidden="32,64,128", depth="1,2,3", train_size="20000"),
        {"loop": 11}, {"beta1": "0.8,0.9"}, {"loop": 35, "expert": 11},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One timed process. startup: seconds until its first trial begins (peers only); results by trial number."""

    seconds: float
    startup: float
    results: dict[int, Result]

    def minute(self, trials: int) -> float:
        """Trials per minute for the whole grid of `trials`, at the pace of those it trained."""
        return 60 * trials / (self.startup + (self.seconds - self.startup) * trials / len(self.results))


@dataclass(frozen=True)
class Row:
    """A workload's figures: by column, trials per minute, trials trained, best validation loss over common trials."""

    workload: str
    trials: int
    per_minute: dict[str, float]
    trained: dict[str, int]
    ratio: dict[str, float]
    best_val_loss: dict[str, float]
    largest_difference: float
    median_difference: float
    compared: int


# The peers. Each runs in a process of its own and writes when its first trial began, and every trial's result.


def peer(arguments: list[str]) -> None:
    """The whole of a peer's process. arguments: its name, the flags as JSON, every, the file for its results."""
    name, flags, every, out = arguments
    trials = list(load_recipe(None, json.loads(flags)).grid.trials())[:: int(every)]
    begun = {"loop": loop, "expert": expert}[name](trials, json.loads(flags))
    rows = {trial.number: result for trial, (_, result) in zip(trials, begun, strict=True)}
    Path(out).write_text(json.dumps({"begin": min(moment for moment, _ in begun), "results": rows}))


@cache
def prepare(flags: str) -> Split:
    """A process's one-off costs: torch, what torch.optim imports with its first optimizer, the workload's data."""
    import torch

    from sweep.data import load

    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    recipe = load_recipe(None, json.loads(flags))
    setting = next(recipe.grid.settings())
    size = setting["train_size"]
    return load(recipe.data, recipe.data_dir, recipe.split_seed).split(
        str(setting["normalize"]), size if isinstance(size, str) else int(size)
    )


def start(trial: Trial, split: Split) -> nn.Sequential:
    """The net of a trial with the initial weights that its seed gives it."""
    from sweep import nets
    from sweep.engine.streams import stream

    net = nets.build(trial.setting, tuple(split.train.x.shape[1:]), split.classes)
    nets.initialize(net, trial.setting, stream(trial.seed, "init"))
    return net


def adam(net: nn.Module, setting: Setting, fused: bool = False) -> torch.optim.Adam:
    """torch's Adam with a setting's values."""
    import torch

    betas = float(setting["beta1"]), float(setting["beta2"])
    return torch.optim.Adam(net.parameters(), lr=float(setting["lr"]), betas=betas, fused=True if fused else None)


def loop(trials: list[Trial], flags: Flags) -> list[tuple[float, Result]]:
    """One trial after another. Gives each one's moment of beginning and result."""
    split = prepare(json.dumps(flags))
    return [(time.time(), loop_trial(trial, split)) for trial in trials]


def loop_trial(trial: Trial, split: Split) -> Result:
    """A trial as a beginner trains it."""
    import torch
    from torch.utils.data import DataLoader, RandomSampler, TensorDataset

    from sweep.engine.streams import stream

    setting, net = trial.setting, start(trial, split)
    batch, optimizer, criterion = int(setting["batch_size"]), adam(net, setting), torch.nn.CrossEntropyLoss()
    rows, held_out = TensorDataset(split.train.x, split.train.y), TensorDataset(split.val.x, split.val.y)
    loss, accuracy = math.nan, math.nan
    for epoch in range(1, int(setting["epochs"]) + 1):
        net.train()
        for x, y in DataLoader(rows, batch, sampler=RandomSampler(rows, generator=stream(trial.seed, "order", epoch))):
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()
        net.eval()
        loss, accuracy = 0.0, 0.0
        with torch.no_grad():
            for x, y in DataLoader(held_out, batch):
                logits = net(x)
                loss += criterion(logits, y).item() * len(y)
                accuracy += (logits.argmax(1) == y).sum().item()
    return loss / len(held_out), accuracy / len(held_out)


def expert(trials: list[Trial], flags: Flags) -> list[tuple[float, Result]]:
    """Trials on all cores, a single-thread process each. Gives each one's moment of beginning and result."""
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        done = Parallel(n_jobs=len(os.sched_getaffinity(0)))(
            delayed(expert_task)(trial, json.dumps(flags)) for trial in trials
        )
    return list(done)


def expert_task(trial: Trial, flags: str) -> tuple[float, Result]:
    """A trial in a joblib worker."""
    import torch

    torch.set_num_threads(1)
    split = prepare(flags)
    return time.time(), expert_trial(trial, split)


def expert_trial(trial: Trial, split: Split) -> Result:
    """A trial as an expert trains it."""
    import torch
    from torch.nn.functional import cross_entropy

    from sweep.engine.streams import stream

    setting, net = trial.setting, start(trial, split)
    layout = torch.channels_last if setting["model"] == "cnn" else torch.contiguous_format
    net = net.to(memory_format=layout)
    batch, optimizer = int(setting["batch_size"]), adam(net, setting, fused=True)
    result = (math.nan, math.nan)
    for epoch in range(1, int(setting["epochs"]) + 1):
        net.train()
        for pick in torch.randperm(len(split.train.y), generator=stream(trial.seed, "order", epoch)).split(batch):
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(net(split.train.x[pick].contiguous(memory_format=layout)), split.train.y[pick]).backward()
            optimizer.step()
        net.eval()
        with torch.inference_mode():
            logits = torch.cat([net(x.contiguous(memory_format=layout)) for x in split.val.x.split(EVALUATION_ROWS)])
        result = cross_entropy(logits, split.val.y).item(), (logits.argmax(1) == split.val.y).float().mean().item()
    return result


# The columns, timed from outside.


def timed(command: list[str], **environment: str) -> tuple[float, float]:
    """Runs a command. Gives the moment it started and the seconds until it ended."""
    begin, clock = time.time(), time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    seconds = time.perf_counter() - clock
    if result.returncode:
        raise SystemExit(
            f"{' '.join(command)}\nended with exit code {result.returncode}\n{result.stdout}{result.stderr}"
        )
    return begin, seconds


def run_sweep(flags: Flags, folder: Path) -> Run:
    """The product, on the whole grid."""
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
    _, seconds = timed(
        [sys.executable, "-m", "sweep", "grid", "--study", "benchmark", "--results", str(folder), *words]
    )
    with Ledger(folder) as ledger:
        frame = ledger.trials(ledger.study("benchmark"))
    rows = zip(frame["number"].tolist(), frame["val_loss"].tolist(), frame["val_accuracy"].tolist(), strict=True)
    return Run(seconds, 0.0, {number: (loss, accuracy) for number, loss, accuracy in rows})


def run_peer(name: str, flags: Flags, every: int, folder: Path) -> Run:
    """A peer, on every so many-th trial."""
    out = folder / f"{name}.json"
    here = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    # Imported by name, not run as a script, so that joblib's workers can import the peer's functions.
    command = [
        sys.executable,
        "-c",
        "import sys, run; run.peer(sys.argv[1:])",
        name,
        json.dumps(flags),
        str(every),
        str(out),
    ]
    begin, seconds = timed(command, PYTHONPATH=here)
    found = json.loads(out.read_text())
    return Run(
        seconds, found["begin"] - begin, {int(number): tuple(result) for number, result in found["results"].items()}
    )


def run_column(column: str, workload: Workload) -> Run:
    """One column of a workload, once, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="sweep-benchmark-") as folder:
        if column == "sweep":
            return run_sweep(workload.flags, Path(folder))
        return run_peer(column, workload.flags, workload.every.get(column, 1), Path(folder))


def measure(name: str, workload: Workload, repeat: int) -> Row:
    """All columns of a workload, one after another, `repeat` times; the time is the median."""
    runs: dict[str, list[Run]] = {column: [] for column in COLUMNS}
    for _ in range(repeat):
        for column in COLUMNS:
            runs[column].append(run_column(column, workload))
    trials = len(runs["sweep"][0].results)
    losses = {column: {number: loss for number, (loss, _) in done[0].results.items()} for column, done in runs.items()}
    common = set.intersection(*(set(found) for found in losses.values()))
    differences = list(loss_differences(losses["sweep"], losses["expert"]))
    per_minute = {column: statistics.median(run.minute(trials) for run in done) for column, done in runs.items()}
    return Row(
        name,
        trials,
        per_minute,
        {column: len(found) for column, found in losses.items()},
        {column: per_minute["sweep"] / per_minute[column] for column in PEERS},
        {
            column: min((found[n] for n in common if _finite(found[n])), default=math.nan)
            for column, found in losses.items()
        },
        max(differences, default=math.nan),
        statistics.median(differences) if differences else math.nan,
        len(differences),
    )


def loss_differences(ours: dict[int, float], theirs: dict[int, float]) -> Iterator[float]:
    """|difference| of each trial that both trained to a finite validation loss."""
    return (abs(ours[n] - theirs[n]) for n in theirs if _finite(ours.get(n)) and _finite(theirs[n]))


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


# The report.

Cell = Callable[[Row], str]
TABLE: dict[str, Cell] = {
    "workload": lambda row: row.workload,
    "trials": lambda row: str(row.trials),
    **{f"{column}/min": lambda row, c=column: f"{row.per_minute[c]:,.0f}" for column in COLUMNS},  # type: ignore[misc]
    **{f"x {peer}": lambda row, c=peer: f"{row.ratio[c]:.2f}" for peer in PEERS},  # type: ignore[misc]
    **{f"best {column}": lambda row, c=column: f"{row.best_val_loss[c]:.5f}" for column in COLUMNS},  # type: ignore[misc]
    "median diff": lambda row: f"{row.median_difference:.1e}",
    "largest diff": lambda row: f"{row.largest_difference:.1e}",
}


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table, columns aligned."""
    cells = [list(TABLE), *([cell(row) for cell in TABLE.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(TABLE))]
    lines = [
        "| "
        + " | ".join(
            text.ljust(w) if i == 0 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in cells
    ]
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def notes(rows: list[Row]) -> list[str]:
    """What a reader must know of each row to judge it."""
    out = [
        "/min: trials per minute, start-up included; x: sweep over that peer. best: lowest validation loss over the trials that all columns trained.",
        "diff: of the validation loss, sweep and expert, over the trials that both trained to a finite one.",
    ]
    for row in rows:
        parts = [
            f"{column} on {row.trained[column]} of {row.trials} trials"
            for column in PEERS
            if row.trained[column] < row.trials
        ]
        out.append(
            f"{row.workload}: {', '.join(parts) or 'every column on every trial'}; {row.compared} losses compared"
        )
    return out


def environment() -> dict[str, Any]:
    """What the figures were measured on."""
    from importlib import metadata

    return {"cores": len(os.sched_getaffinity(0)), "torch": metadata.version("torch"), "python": sys.version.split()[0]}


def main(arguments: list[str]) -> None:
    """Parses, runs the workloads, prints."""
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(
        description="Trials per minute of sweep, of a beginner's loop and of an expert's joblib version."
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all by default")
    parser.add_argument("--short", action="store_true", help="smaller grids and fractions, about two minutes in all")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="run each column N times, in turns, and take the median"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=root.parent / "shared" / "data",
        metavar="DIR",
        help="folder that holds MNIST/raw",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.workloads if name not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {', '.join(unknown)}; expected some of {', '.join(WORKLOADS)}")

    rows = []
    for name in given.workloads or WORKLOADS:
        workload = WORKLOADS[name].form(given.short, given.tiny)
        if workload.flags["data"] == "mnist":
            if not (given.data_dir / "MNIST" / "raw").is_dir():
                print(
                    f"{name}: skipped, no MNIST/raw in {given.data_dir} (--data-dir names another folder)", flush=True
                )
                continue
            workload = Workload(workload.flags | {"data_dir": str(given.data_dir)}, workload.every)
        rows.append(measure(name, workload, given.repeat))
        print(table(rows[-1:]), flush=True)
    print("\n" + "\n".join([table(rows), "", *notes(rows)]))
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    if given.json:
        given.json.write_text(
            json.dumps({"environment": environment(), "workloads": [asdict(row) for row in rows]}, indent=1)
        )


if __name__ == "__main__":
    main(sys.argv[1:])
