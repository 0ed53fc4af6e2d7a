"""Trials per minute of `sweep grid` beside other ways of doing the same work, in one run, start-up included.

Every column is a real process, timed from its start to its end, and trains the same settings and seeds on the same
split, with the same networks, initial weights, minibatches in the same order, and a validation pass after every epoch.
sweep: `sweep grid`, by way of `watched.py`, which notes when the first trial began. The peers, `optuna`, `expert`,
`ray` and, on a GPU, `graph`, are in `peers.py`; `bf16` is sweep with --precision bf16, `nodes` sweep with --on ray, on
a Ray cluster of as many one-core nodes as there are cores, on which `ray` then trains, too; its start is not timed. A
peer may train a part of the trials only; its trials per minute are then those of the whole grid at the pace measured,
what it takes before its first trial and after its last counted once, and the notes say so.

The float32 limit is what all cores would do if each trial took nothing but its matrix products and convolutions
(`breakdown.operations`) at the speed of a core in a large product, measured before each workload. Where sweep reaches
less than half of it, a second table says where its time goes.

    python tests/benchmarks/run.py [WORKLOAD ...] [--peers LIST] [--short] [--repeat N] [--json FILE] [--data-dir DIR]
                                   [--device NAME]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from breakdown import KINDS, REST, operations
from peers import NEEDS, Result, cores

from sweep.data import describe
from sweep.ledger import Ledger
from sweep.recipe import load_recipe

HERE = Path(__file__).resolve().parent

Flags = dict[str, str]

EIGHTEEN = {"lr": "0.1,0.01,0.001", "beta1": "0.8,0.88,0.9", "batch_norm": "on,off"}
DEFAULT_PEERS = ("optuna", "expert")
DEVICE = os.environ.get("SWEEP_BENCHMARK_DEVICE", "cpu")
EXPLAINED_BELOW = 0.5
"""The share of the float32 limit below which a workload's time is accounted for."""


@dataclass(frozen=True)
class Workload:
    """A grid, as flags of `sweep grid`. every: a peer trains one in so many trials; short: what --short changes."""

    flags: Flags
    every: dict[str, int] = field(default_factory=dict)
    short: Flags = field(default_factory=dict)
    short_every: dict[str, int] = field(default_factory=dict)

    def form(self, short: bool, tiny: bool) -> Workload:
        """The workload in the form asked for."""
        if tiny:
            tiny_flags = {"lr": "0.01,0.001", "beta1": "0.9", "epochs": "2", "seeds": "1"}
            return Workload(self.flags | tiny_flags, {"optuna": 3, "ray": 3})
        return Workload(self.flags | self.short, self.short_every) if short else self


def _mnist(**flags: str) -> Flags:
    return {"data": "mnist", **EIGHTEEN, "batch_size": "128", "epochs": "1", **flags}


# Every so many-th trial has every value of every axis; as many of Optuna's shuffled grid have, and cost what the whole
# grid does on average. tests/test_benchmarks.py holds that.
WORKLOADS = {
    "digits-mlp": Workload(
        {"data": "digits", **EIGHTEEN, "hidden": "32", "depth": "2", "batch_size": "32", "epochs": "10", "seeds": "16"},
        {"optuna": 9, "ray": 37}, short_every={"optuna": 31, "expert": 9, "ray": 47},
    ),
    "mnist-mlp64": Workload(
        _mnist(hidden="64", depth="2", seeds="4"),
        {"optuna": 5, "ray": 11}, {"seeds": "1"}, {"optuna": 5, "expert": 3, "ray": 5},
    ),
    "mnist-mlp256": Workload(
        _mnist(hidden="256", depth="2", train_size="20000", seeds="4"),
        {"optuna": 5, "ray": 11}, {"seeds": "1"}, {"optuna": 5, "expert": 3, "ray": 5},
    ),
    "mnist-cnn": Workload(
        _mnist(model="cnn", hidden="16", depth="2", train_size="5000"), {"ray": 5}, {"beta1": "0.9"},
        {"optuna": 5, "ray": 3},
    ),
    "mixed": Workload(
        _mnist(beta1="0.8,0.85,0.9,0.95", hidden="32,64,128", depth="1,2,3", train_size="20000"),
        {"optuna": 11, "ray": 31}, {"beta1": "0.8,0.9"}, {"optuna": 35, "expert": 11, "ray": 22},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One timed process. startup: seconds until its first trial begins; end: seconds after its last one has ended;
    results by sweep's number of the trial.

    trained: how many trials it trained; grid: how many it would have to for the whole grid. Both differ from the number
    of results where a peer does not know that two combinations are the same trial. training: seconds that its workers
    spent on trials, each worker's added up (sweep only). testing: seconds of a peer's run in which it scored the test
    part.
    """

    seconds: float
    startup: float
    end: float
    results: dict[int, Result]
    trained: int
    grid: int
    training: float = math.nan
    testing: float = 0.0

    def minute(self, trials: int, testing: bool = True) -> float:
        """Trials per minute for the whole grid of `trials`, at the pace of those it trained; start and end count once.
        testing: whether what a peer took to score the test part counts."""
        once = self.startup + self.end
        each = self.seconds - once - (0.0 if testing else self.testing)
        return 60 * trials / (once + each * self.grid / self.trained)

    def pace(self) -> float:
        """Trials per minute between its first trial's begin and its last one's end."""
        return 60 * self.trained / (self.seconds - self.startup - self.end)


@dataclass(frozen=True)
class Where:
    """Where the time of a run of sweep goes, in seconds, and its first program's training step:
    `breakdown.step_profile`.

    training: trials in training, over the cores; end: from the last record on; other: the rest, such as workers that
    wait for the last one.
    """

    seconds: float
    startup: float
    training: float
    end: float
    other: float
    profile: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A workload's figures, by column: trials per minute; trials trained; the best validation loss of those.

    ratio: sweep over each peer; bare_ratio: over the peer without its scoring of test rows; begun: trials per minute
    from the first trial's begin to the last one's end; best_of_same: sweep's best among the trials that each peer
    trained. Differences are of the validation loss, of sweep to the peer `compared_with`. limit: trials per minute
    at the float32 limit. seconds: what sweep took; planned: what `sweep plan` says afterwards.
    """

    workload: str
    trials: int
    per_minute: dict[str, float]
    trained: dict[str, int]
    ratio: dict[str, float]
    bare_ratio: dict[str, float]
    begun: dict[str, float]
    best_val_loss: dict[str, float]
    best_of_same: dict[str, float]
    compared_with: str | None
    compared: int
    median_difference: float
    largest_difference: float
    core_gflops: float
    gflop_a_trial: float
    limit: float
    share: float
    seconds: float
    planned: float
    where: Where | None


# The columns, timed from outside.


def timed(command: list[str], **environment: str) -> tuple[float, float]:
    """Runs a command. Gives the moment it started and the seconds until it ended."""
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    begin, clock = time.time(), time.perf_counter()
    result = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path} | environment
    )
    seconds = time.perf_counter() - clock
    if result.returncode:
        raise SystemExit(
            f"{' '.join(command)}\nended with exit code {result.returncode}\n{result.stdout}{result.stderr}"
        )
    return begin, seconds


def grid_command(flags: Flags, folder: Path, *more: str) -> list[str]:
    """`sweep grid` on a new ledger in a folder, watched; what is noted is in its `watched.json`."""
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
    study = ["--study", "benchmark", "--results", str(folder), "--device", DEVICE]
    return [sys.executable, str(HERE / "watched.py"), str(folder / "watched.json"), "grid", *study, *words, *more]


def run_sweep(flags: Flags, folder: Path, *more: str) -> Run:
    """The product, on the whole grid."""
    begin, seconds = timed(grid_command(flags, folder, *more))
    with Ledger(folder) as ledger:
        frame = ledger.trials(ledger.study("benchmark"))
    rows = zip(frame["number"].tolist(), frame["val_loss"].tolist(), frame["val_accuracy"].tolist(), strict=True)
    results = {number: (loss, accuracy) for number, loss, accuracy in rows}
    noted = json.loads((folder / "watched.json").read_text())
    startup, end = noted["begin"] - begin, begin + seconds - noted["end"]
    return Run(seconds, startup, end, results, len(results), len(results), float(frame["seconds"].sum()))


def run_peer(name: str, flags: Flags, every: int, folder: Path) -> Run:
    """A peer, on one in every so many trials."""
    # Imported by name, not run as a script, so that its workers can import the peer's functions.
    command = [sys.executable, "-c", "import sys, peers; peers.main(sys.argv[1:])"]
    out = folder / f"{name}.json"
    begin, seconds = timed([*command, name, json.dumps(flags), str(every), str(out)], RAY_USAGE_STATS_ENABLED="0")
    found = json.loads(out.read_text())
    results = {int(number): tuple(result) for number, result in found["results"].items()}
    startup, end = found["begin"] - begin, begin + seconds - found["end"]
    processes = cores() if name in ("expert", "ray") else 1
    testing = found["testing"] / processes
    return Run(seconds, startup, end, results, found["trained"], found["grid"], testing=testing)


def run_column(column: str, workload: Workload) -> Run:
    """One column of a workload, once, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="sweep-benchmark-", ignore_cleanup_errors=True) as folder:
        if column in ("sweep", "bf16"):
            precision = {"precision": "bf16"} if column == "bf16" else {}
            return run_sweep(workload.flags | precision, Path(folder))
        if column == "nodes":
            return run_sweep(workload.flags, Path(folder), "--on", "ray")
        return run_peer(column, workload.flags, workload.every.get(column, 1), Path(folder))


def side_process(part: str, *arguments: str, **environment: str) -> Any:
    """What a part of `breakdown.py` finds in a process of its own, one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory(prefix="sweep-benchmark-") as folder:
        out = Path(folder) / "found.json"
        timed([sys.executable, str(HERE / "breakdown.py"), part, *arguments, str(out)], **threads, **environment)
        return json.loads(out.read_text())


def account(run: Run, flags: Flags) -> Where:
    """Where a run's time went. The program's step is profiled with the allocator set as sweep sets its workers'."""
    memory = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**29)}
    training = run.training / cores()
    profile = side_process("profile", json.dumps(flags), str(cores()), **memory)
    other = run.seconds - run.startup - training - run.end
    return Where(run.seconds, run.startup, training, run.end, other, profile)


def planned_seconds(flags: Flags) -> float:
    """What `sweep plan` expects of the whole grid."""
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]
    command = [sys.executable, "-m", "sweep", "plan", "--json", "--device", DEVICE, *words]
    seconds = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["seconds"]
    return float(seconds)


def measure(name: str, workload: Workload, peers: Sequence[str], repeat: int) -> Row:
    """All columns of a workload, one after another, `repeat` times; the time is the median."""
    columns = ("sweep", *peers)
    speed = side_process("product_speed")
    cache = tempfile.mkdtemp(prefix="sweep-benchmark-")  # sweep measures this machine as on its first day
    os.environ["XDG_CACHE_HOME"] = cache
    runs: dict[str, list[Run]] = {column: [] for column in columns}
    for _ in range(repeat):
        for column in columns:
            runs[column].append(run_column(column, workload))
    recipe = load_recipe(None, workload.flags)
    work = [operations(trial.setting, describe(recipe.data)) for trial in recipe.grid.trials()]
    per_minute = {column: statistics.median(run.minute(len(work)) for run in done) for column, done in runs.items()}
    bare = {peer: statistics.median(run.minute(len(work), testing=False) for run in runs[peer]) for peer in peers}
    limit = 60 * len(work) * cores() * speed / sum(work)
    share = per_minute["sweep"] / limit
    losses = {column: {number: loss for number, (loss, _) in done[0].results.items()} for column, done in runs.items()}
    reference = "expert" if "expert" in peers else next(iter(peers), None)
    differences = list(loss_differences(losses["sweep"], losses[reference])) if reference else []
    median_run = sorted(runs["sweep"], key=lambda run: run.seconds)[repeat // 2]
    return Row(
        workload=name,
        trials=len(work),
        per_minute=per_minute,
        trained={column: done[0].trained for column, done in runs.items()},
        ratio={peer: per_minute["sweep"] / per_minute[peer] for peer in peers},
        bare_ratio={peer: per_minute["sweep"] / bare[peer] for peer in peers},
        begun={column: statistics.median(run.pace() for run in done) for column, done in runs.items()},
        best_val_loss={column: best(found) for column, found in losses.items()},
        best_of_same={peer: best({number: losses["sweep"].get(number) for number in losses[peer]}) for peer in peers},
        compared_with=reference,
        compared=len(differences),
        median_difference=statistics.median(differences) if differences else math.nan,
        largest_difference=max(differences, default=math.nan),
        core_gflops=speed / 1e9,
        gflop_a_trial=sum(work) / len(work) / 1e9,
        limit=limit,
        share=share,
        seconds=median_run.seconds,
        planned=planned_seconds(workload.flags),
        where=account(median_run, workload.flags) if share < EXPLAINED_BELOW else None,
    )


def best(losses: dict[int, float | None]) -> float:
    """The lowest finite loss."""
    return min((loss for loss in losses.values() if loss is not None and math.isfinite(loss)), default=math.nan)


def loss_differences(ours: dict[int, float], theirs: dict[int, float]) -> Iterator[float]:
    """|difference| of each trial that both trained to a finite validation loss."""
    return (abs(ours[n] - theirs[n]) for n in theirs if _finite(ours.get(n)) and _finite(theirs[n]))


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


# The report.

Columns = dict[str, Callable[[Row], str]]


DIFFERENCES: Columns = {
    "median diff": lambda row: f"{row.median_difference:.1e}",
    "largest diff": lambda row: f"{row.largest_difference:.1e}",
}


def figures(peers: Sequence[str]) -> Columns:
    """The columns of the first table."""
    columns = ("sweep", *peers)
    return {
        "workload": lambda row: row.workload,
        "trials": lambda row: str(row.trials),
        **{f"{name}/min": lambda row, c=name: f"{row.per_minute[c]:,.0f}" for name in columns},  # type: ignore[misc]
        **{f"x {peer}": lambda row, c=peer: f"{row.ratio[c]:.2f}" for peer in peers},  # type: ignore[misc]
        **{f"x bare {peer}": lambda row, c=peer: f"{row.bare_ratio[c]:.2f}" for peer in peers},  # type: ignore[misc]
        "limit/min": lambda row: f"{row.limit:,.0f}",
        "of limit": lambda row: percent(row.share),
        "took s": lambda row: f"{row.seconds:.1f}",
        "planned s": lambda row: f"{row.planned:.1f}",
        **{f"best {name}": lambda row, c=name: f"{row.best_val_loss[c]:.5f}" for name in columns},  # type: ignore[misc]
        **(DIFFERENCES if peers else {}),
    }


def _where(show: Callable[[Where], str]) -> Callable[[Row], str]:
    return lambda row: show(row.where) if row.where else ""


WHERE: Columns = {
    "workload": lambda row: row.workload,
    "of limit": lambda row: percent(row.share),
    "total s": _where(lambda where: f"{where.seconds:.1f}"),
    "start-up s": _where(lambda where: f"{where.startup:.1f}"),
    "training s": _where(lambda where: f"{where.training:.1f}"),
    "evaluating": _where(lambda where: percent(where.profile["evaluating"])),
    "end s": _where(lambda where: f"{where.end:.1f}"),
    "other s": _where(lambda where: f"{where.other:.1f}"),
    "lanes": _where(lambda where: str(where.profile["lanes"])),
    "step ms": _where(lambda where: f"{1000 * where.profile['step']:.2f}"),
    **{
        kind: _where(lambda where, k=kind: percent(where.profile["shares"][k]))  # type: ignore[misc]
        for kind in (*KINDS, REST)
    },
}


def percent(share: float) -> str:
    """0.123 as `12 %`."""
    return f"{100 * share:.0f} %"


def table(columns: Columns, rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, aligned."""
    cells = [list(columns), *([cell(row) for cell in columns.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
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


def notes(rows: Sequence[Row], peers: Sequence[str]) -> list[str]:
    """What a reader must know of each row to judge it."""
    out = [
        "/min: trials per minute, start-up included; x: sweep over that peer; x bare: over that peer without its "
        "time for test rows; best: lowest validation loss over the trials that the column trained.",
        "limit: all cores on matrix products and convolutions alone, in float32, at the speed of one core in a "
        "large product times the cores.",
    ]
    for row in rows:
        parts = [
            f"{peer} on {row.trained[peer]} of {row.trials} trials (sweep's best of those {row.best_of_same[peer]:.5f})"
            for peer in peers
            if row.trained[peer] < row.trials
        ]
        compared = f"; {row.compared} losses compared with {row.compared_with}" if row.compared_with else ""
        out.append(
            f"{row.workload}: {', '.join(parts) or 'every column on every trial'}{compared}; "
            f"a trial is {row.gflop_a_trial:.3g} GFLOP, a core does {row.core_gflops:.0f} GFLOP/s"
        )
        out += [nodes_note(row)] if "nodes" in peers else []
    return out


def nodes_note(row: Row) -> str:
    """What a cluster's nodes do beside workers on this machine, and beside Ray Tune on the same nodes."""

    def ratio(other: str) -> str:
        whole, begun = (found["nodes"] / found[other] for found in (row.per_minute, row.begun))
        return f"{whole:.2f} times {other}, {begun:.2f} times from the first trial's begin to the last one's end"

    beside = [ratio(other) for other in ("sweep", "ray") if other in row.per_minute]
    return f"{row.workload}: nodes does {'; '.join(beside)}"


def explanations(rows: Sequence[Row]) -> list[str]:
    """Where the time goes of the rows that reach less than half the limit: a table, and what the rest of a step is."""
    rows = [row for row in rows if row.where]
    if not rows:
        return []
    out = [
        "Where the time goes. start-up: until the first trial is handed to a worker; training: trials in training, "
        "over the cores;",
        "evaluating: the evaluations' share of that; end: from the last record on; step: of the first program, one "
        "thread; its shares with torch's profiler on.",
        "",
        table(WHERE, rows),
        "",
    ]
    for row in rows:
        assert row.where is not None
        rest = ", ".join(f"{name} {percent(share)}" for name, share in row.where.profile["rest"].items())
        out.append(
            f"{row.workload}: of the step's rest, {rest}; an evaluation on the validation part takes "
            f"{1000 * row.where.profile['evaluation']:.1f} ms"
        )
    return out


def report(rows: Sequence[Row], peers: Sequence[str]) -> str:
    """All that is to be said of some workloads."""
    return "\n".join([table(figures(peers), rows), "", *notes(rows, peers), "", *explanations(rows)]).rstrip()


def environment() -> dict[str, Any]:
    """What the figures were measured on."""
    from importlib import metadata

    return {"cores": cores(), "torch": metadata.version("torch"), "python": sys.version.split()[0]}


def chosen_peers(text: str, parser: argparse.ArgumentParser) -> list[str]:
    """The peers named, those whose package is there; the others get a line."""
    names = [name for name in text.split(",") if name and name != "none"]
    unknown = [name for name in names if name not in NEEDS]
    if unknown:
        parser.error(f"no peer {', '.join(unknown)}; expected some of {', '.join(NEEDS)}, or none")
    for name in names:
        if importlib.util.find_spec(NEEDS[name]) is None:
            print(f"{name}: skipped, the package {NEEDS[name]} is not installed", flush=True)
    if "graph" in names and not DEVICE.startswith("cuda"):
        print("graph: skipped, it needs --device cuda", flush=True)
        names.remove("graph")
    return [name for name in dict.fromkeys(names) if importlib.util.find_spec(NEEDS[name])]


def main(arguments: list[str]) -> None:
    """Parses, runs the workloads, prints."""
    parser = argparse.ArgumentParser(description="Trials per minute of sweep and of other ways of doing the same work.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; all by default")
    parser.add_argument(
        "--peers",
        default=",".join(DEFAULT_PEERS),
        metavar="LIST",
        help=f"of {','.join(NEEDS)}, or none; {','.join(DEFAULT_PEERS)} by default",
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="of sweep and its peers: cpu, cuda, cuda:N")
    parser.add_argument("--short", action="store_true", help="smaller grids and fractions")
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="run each column N times, in turns, and take the median"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=HERE.parents[2] / "shared" / "data",
        metavar="DIR",
        help="folder that holds MNIST/raw",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.workloads if name not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {', '.join(unknown)}; expected some of {', '.join(WORKLOADS)}")
    global DEVICE
    DEVICE = os.environ["SWEEP_BENCHMARK_DEVICE"] = given.device
    peers = chosen_peers(given.peers, parser)
    with started_nodes() if "nodes" in peers else nullcontext():
        run_workloads(given, peers)


@contextmanager
def started_nodes() -> Iterator[None]:
    """A Ray cluster of as many one-core nodes as there are cores, which Ray's own variables name meanwhile."""
    sys.path.append(str(HERE.parent))
    from ray_nodes import Nodes

    # Ray Tune's workers import the peers' module
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    nodes = Nodes(cores())
    os.environ |= {"RAY_ADDRESS": nodes.address, "RAY_TMPDIR": nodes.folder}
    try:
        yield
    finally:
        nodes.close()


def run_workloads(given: argparse.Namespace, peers: Sequence[str]) -> None:
    """Measures what was asked for, and prints it."""
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
        rows.append(measure(name, workload, peers, max(1, given.repeat)))
        print(report(rows[-1:], peers) + "\n", flush=True)
    if len(rows) > 1:
        print(report(rows, peers))
    print(", ".join(f"{name} {value}" for name, value in environment().items()))
    if given.json:
        given.json.write_text(
            json.dumps({"environment": environment(), "workloads": [asdict(row) for row in rows]}, indent=1)
        )


if __name__ == "__main__":
    main(sys.argv[1:])
