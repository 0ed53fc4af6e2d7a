"""The benchmark's peers: other ways of training a grid's trials, each in a process of its own that writes when its
first trial began, when its last one ended and every trial's result. `run.py` starts and times them.

optuna  Optuna's GridSampler with its study in a SQLite file, around what a beginner writes: one process, torch's
        default threads, a DataLoader, torch.optim
expert  joblib with one single-thread process a core, fused Adam, tensors in memory, no DataLoader, channels_last for
        convolutions
ray     Ray Tune with one worker per core, around the expert's training
graph   on a GPU only: one trial after another, the training step captured as a CUDA graph, data on the device
bf16    sweep itself with --precision bf16 (run.py starts it as it starts sweep)
nodes   sweep itself with --on ray (run.py starts the cluster, and has `ray` train there, too)

On another device than the CPU (`run.py --device`) the beginner moves every minibatch there, the others the data once.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.recipe import load_recipe

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sweep.data import Part, Split
    from sweep.hyperparameters import Setting
    from sweep.recipe import Recipe
    from sweep.space import Trial

Result = tuple[float, float]
"""Validation loss in nats and accuracy in [0, 1] after the last epoch."""

Report = Callable[[int, Result], None]
"""Told of every epoch (from 1) and its result."""

EVALUATION_ROWS = 1000

DEVICE = os.environ.get("SWEEP_BENCHMARK_DEVICE", "cpu")

SHUFFLE = 40
"""GridSampler's seed. It is one whose first trials are like the whole grid, in arithmetic and in batch norm's share,
for every workload; the losses had no say."""


@dataclass(frozen=True)
class Trained:
    """One trial that a peer trained, by its number in sweep's grid. begin, end: the moments between which it did;
    testing: seconds of those in which it scored the test part, as sweep does of every trial."""

    number: int
    begin: float
    end: float
    result: Result
    testing: float = 0.0


def main(arguments: list[str]) -> None:
    """The whole of a peer's process. arguments: its name, the flags as JSON, every, the file for its results."""
    name, flags, every, out = arguments
    recipe = load_recipe(None, json.loads(flags))
    done = PEERS[name](recipe, flags, int(every), Path(out).parent)
    found = {
        "begin": min(one.begin for one in done),
        "end": max(one.end for one in done),
        "trained": len(done),
        "testing": sum(one.testing for one in done),
        "grid": math.prod(map(len, axes(recipe).values())) if name == "optuna" else len(list(recipe.grid.trials())),
        "results": {one.number: one.result for one in done},
    }
    Path(out).write_text(json.dumps(found))


def warm_up() -> None:
    """What the first training in a process pays for and no later one: torch, and what its first optimizer imports."""
    import torch

    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


@cache
def prepare(flags: str) -> Split:
    """A process's one-off costs: torch, the workload's data."""
    from sweep.data import load

    warm_up()
    recipe = load_recipe(None, json.loads(flags))
    setting = next(recipe.grid.settings())
    size = setting["train_size"]
    return load(recipe.data, recipe.data_dir, recipe.split_seed).split(
        str(setting["normalize"]), size if isinstance(size, str) else int(size)
    )


@cache
def on_device(flags: str) -> Split:
    """The workload's data on the device."""
    return prepare(flags).to(DEVICE)


def start(trial: Trial, split: Split) -> nn.Sequential:
    """The net of a trial with the initial weights that its seed gives it."""
    from sweep import nets
    from sweep.engine.streams import stream
    from sweep.networks import is_own

    draws = stream(trial.seed, "init")
    net = nets.build(trial.setting, tuple(split.train.x.shape[1:]), split.classes, draws)
    if not is_own(trial.setting["model"]):  # a user's draws its own weights
        nets.initialize(net, trial.setting, draws)
    return net.to(DEVICE)


def adam(net: nn.Module, setting: Setting, fused: bool = False) -> torch.optim.Adam:
    """torch's Adam with a setting's values."""
    import torch

    betas = float(setting["beta1"]), float(setting["beta2"])
    return torch.optim.Adam(net.parameters(), lr=float(setting["lr"]), betas=betas, fused=True if fused else None)


def silent(epoch: int, result: Result) -> None:
    """A report to nobody."""


# Optuna around a beginner's loop.


def axes(recipe: Recipe) -> dict[str, list[Any]]:
    """A recipe's grid as Optuna's GridSampler takes it: the axes with more than one value, and the seeds. It knows
    nothing of conditions, so that combinations which differ only in what is inactive are all there."""
    swept = {name: list(values) for name, values in recipe.grid.points.items() if len(values) > 1}
    return swept | {"seed": list(recipe.grid.seeds)}


def grid_study(recipe: Recipe, every: int, objective: Callable[[Trial, Any], float], storage: str | None) -> int:
    """Has Optuna go through one in `every` of a recipe's grid, in the order that GridSampler shuffles it into. Gives
    how many that were.

    objective: of a trial as sweep numbers it, and Optuna's own object for it.
    """
    import optuna

    from sweep.hyperparameters import canonical
    from sweep.space import Trial

    grid = axes(recipe)
    fixed = {name: values[0] for name, values in recipe.grid.points.items()}
    numbers = {_key(trial.setting, trial.seed): trial.number for trial in recipe.grid.trials()}

    def asked(trial: optuna.Trial) -> float:
        values = {name: trial.suggest_categorical(name, choices) for name, choices in grid.items()}
        seed = values.pop("seed")
        setting = canonical(fixed | values)
        return objective(Trial(numbers[_key(setting, seed)], setting, seed), trial)

    count = math.ceil(math.prod(map(len, grid.values())) / every)
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.GridSampler(grid, seed=SHUFFLE))
    study.optimize(asked, n_trials=count)
    return count


def _key(setting: Setting, seed: int) -> tuple[str, int]:
    from sweep.space import setting_key

    return setting_key(setting), seed


def optuna_grid(recipe: Recipe, flags: str, every: int, folder: Path) -> list[Trained]:
    """One trial after another, as many as one in `every`, asked of Optuna and reported to it epoch by epoch."""
    split, done = prepare(flags), []

    def objective(trial: Trial, asked: Any) -> float:
        begin = time.time()
        result, testing = beginner_trial(trial, split, lambda epoch, result: asked.report(result[0], epoch))
        done.append(Trained(trial.number, begin, time.time(), result, testing))
        return result[0]

    grid_study(recipe, every, objective, f"sqlite:///{folder / 'optuna.db'}")
    return done


def beginner_trial(trial: Trial, split: Split, report: Report = silent) -> tuple[Result, float]:
    """A trial as a beginner trains it, and the seconds that scoring the test part took."""
    import torch
    from torch.utils.data import DataLoader, RandomSampler, TensorDataset

    from sweep.engine.streams import stream

    setting, net = trial.setting, start(trial, split)
    batch, optimizer, criterion = int(setting["batch_size"]), adam(net, setting), torch.nn.CrossEntropyLoss()
    rows = TensorDataset(split.train.x, split.train.y)

    def scored(part: Part) -> Result:
        held_out = TensorDataset(part.x, part.y)
        net.eval()
        loss, accuracy = 0.0, 0.0
        with torch.no_grad():
            for x, y in DataLoader(held_out, batch):
                x, y = x.to(DEVICE), y.to(DEVICE)
                logits = net(x)
                loss += criterion(logits, y).item() * len(y)
                accuracy += (logits.argmax(1) == y).sum().item()
        return loss / len(held_out), accuracy / len(held_out)

    result = (math.nan, math.nan)
    for epoch in range(1, int(setting["epochs"]) + 1):
        net.train()
        for x, y in DataLoader(rows, batch, sampler=RandomSampler(rows, generator=stream(trial.seed, "order", epoch))):
            x, y = x.to(DEVICE), y.to(DEVICE)
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()
        result = scored(split.val)
        report(epoch, result)
    return result, seconds_of(lambda: scored(split.test))


def seconds_of(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


# An expert's joblib version.


def joblib_grid(recipe: Recipe, flags: str, every: int, _folder: Path) -> list[Trained]:
    """Every so many-th trial on all cores, a single-thread process each."""
    from joblib import Parallel, delayed, parallel_config

    trials = list(recipe.grid.trials())[::every]
    with parallel_config(backend="loky", inner_max_num_threads=1):
        return list(Parallel(n_jobs=cores())(delayed(joblib_task)(trial, flags) for trial in trials))


def joblib_task(trial: Trial, flags: str) -> Trained:
    """A trial in a joblib worker."""
    import torch

    torch.set_num_threads(1)
    split = on_device(flags)
    begin = time.time()
    result, testing = expert_trial(trial, split)
    return Trained(trial.number, begin, time.time(), result, testing)


def expert_trial(trial: Trial, split: Split, report: Report = silent) -> tuple[Result, float]:
    """A trial as an expert trains it, and the seconds that scoring the test part took."""
    import torch
    from torch.nn.functional import cross_entropy

    from sweep.engine.streams import stream

    setting, net = trial.setting, start(trial, split)
    convolves = any(isinstance(layer, torch.nn.Conv2d) for layer in net.modules())
    layout = torch.channels_last if convolves else torch.contiguous_format
    net = net.to(memory_format=layout)
    batch, optimizer = int(setting["batch_size"]), adam(net, setting, fused=True)

    def scored(part: Part) -> Result:
        net.eval()
        with torch.inference_mode():
            logits = torch.cat([net(x.contiguous(memory_format=layout)) for x in part.x.split(EVALUATION_ROWS)])
        return cross_entropy(logits, part.y).item(), (logits.argmax(1) == part.y).float().mean().item()

    result = (math.nan, math.nan)
    for epoch in range(1, int(setting["epochs"]) + 1):
        net.train()
        order = torch.randperm(len(split.train.y), generator=stream(trial.seed, "order", epoch))
        for pick in order.to(DEVICE).split(batch):
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(net(split.train.x[pick].contiguous(memory_format=layout)), split.train.y[pick]).backward()
            optimizer.step()
        result = scored(split.val)
        report(epoch, result)
    return result, seconds_of(lambda: scored(split.test))


# A captured loop, on a GPU.


def graph_grid(recipe: Recipe, flags: str, every: int, _folder: Path) -> list[Trained]:
    """Every so many-th trial, one after another."""
    split, done = on_device(flags), []
    for trial in list(recipe.grid.trials())[::every]:
        begin = time.time()
        result, testing = graph_trial(trial, split)
        done.append(Trained(trial.number, begin, time.time(), result, testing))
    return done


def graph_trial(trial: Trial, split: Split) -> tuple[Result, float]:
    """A trial whose whole minibatches replay one captured step; a last smaller one is trained as usual. And the seconds
    that scoring the test part took."""
    import torch
    from torch.nn.functional import cross_entropy

    from sweep.engine.streams import stream

    setting, net = trial.setting, start(trial, split)
    batch, rows = int(setting["batch_size"]), len(split.train.y)
    betas = float(setting["beta1"]), float(setting["beta2"])
    optimizer = torch.optim.Adam(net.parameters(), lr=float(setting["lr"]), betas=betas, fused=True, capturable=True)
    x, y = split.train.x[:batch].clone(), split.train.y[:batch].clone()

    def step(x: torch.Tensor, y: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(net(x), y).backward()
        optimizer.step()

    before = {name: value.clone() for name, value in net.state_dict().items()}
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(x, y)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        step(x, y)
    net.load_state_dict(before)
    for state in optimizer.state.values():
        for value in state.values():
            value.zero_()

    def scored(part: Part) -> Result:
        net.eval()
        with torch.inference_mode():
            logits = torch.cat([net(piece) for piece in part.x.split(EVALUATION_ROWS)])
        return cross_entropy(logits, part.y).item(), (logits.argmax(1) == part.y).float().mean().item()

    result = (math.nan, math.nan)
    for epoch in range(1, int(setting["epochs"]) + 1):
        net.train()
        for pick in torch.randperm(rows, generator=stream(trial.seed, "order", epoch)).to(DEVICE).split(batch):
            if len(pick) == batch:
                x.copy_(split.train.x[pick])
                y.copy_(split.train.y[pick])
                graph.replay()
            else:
                step(split.train.x[pick], split.train.y[pick])
        result = scored(split.val)
    return result, seconds_of(lambda: scored(split.test))


# Ray Tune.


def ray_grid(recipe: Recipe, flags: str, every: int, folder: Path) -> list[Trained]:
    """Every so many-th trial in Ray Tune, one worker per core that stays for the next trial; the data are in Ray's
    object store, its loggers are those it comes with."""
    import ray
    from ray import tune

    trials = list(recipe.grid.trials())[::every]
    alone = {"num_cpus": cores(), "include_dashboard": False, "_temp_dir": str(folder / "r")}
    ray.init(log_to_driver=False, **({} if "RAY_ADDRESS" in os.environ else alone))
    trainable = tune.with_parameters(ray_task, trials=trials, split=prepare(flags))
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"place": tune.grid_search(list(range(len(trials))))},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(folder), name="ray", verbose=0),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    done = []
    for one in results:
        begin, end, loss, accuracy, testing = (
            one.metrics[name] for name in ("begin", "end", "loss", "accuracy", "testing")
        )
        done.append(Trained(trials[one.config["place"]].number, begin, end, (loss, accuracy), testing))
    ray.shutdown()
    return done


def ray_task(config: dict[str, Any], trials: list[Trial], split: Split) -> None:
    """A trial in a Ray worker, reported epoch by epoch."""
    import torch
    from ray import tune

    torch.set_num_threads(1)
    warm_up()
    begin = time.time()

    def report(_epoch: int, result: Result, testing: float = 0.0) -> None:
        of_trial = {"begin": begin, "end": time.time(), "testing": testing}
        tune.report({"loss": result[0], "accuracy": result[1], **of_trial})

    trial = trials[config["place"]]
    report(int(trial.setting["epochs"]), *expert_trial(trial, split, report))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


PEERS: dict[str, Callable[[Recipe, str, int, Path], list[Trained]]] = {
    "optuna": optuna_grid,
    "expert": joblib_grid,
    "ray": ray_grid,
    "graph": graph_grid,
}
NEEDS = {"optuna": "optuna", "expert": "joblib", "ray": "ray", "graph": "torch", "bf16": "torch", "nodes": "ray"}
"""The package that each peer needs beside sweep's own."""
