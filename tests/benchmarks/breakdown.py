"""Where a benchmark's time could go and where it goes: the arithmetic of a trial, the speed of a core in a matrix
product, and a program's training step by kind of operation.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.data import DataInfo, describe
from sweep.hyperparameters import Setting
from sweep.plan import units
from sweep.recipe import load_recipe
from sweep.speed import recall

if TYPE_CHECKING:
    from sweep.data import Split
    from sweep.space import Trial

Flags = dict[str, str]

SIDE, PRODUCTS = 1024, 40
"""The matrix product that a core's speed is measured in, and how many of them; the fastest counts."""

PROFILE_SECONDS = 0.5
"""Training steps are timed for so long, then profiled for about as long, at most a hundred."""

KINDS: dict[str, str] = {
    "products": """
        mm bmm addmm baddbmm addbmm matmul linear linear_pointwise mv addmv dot mkldnn_linear linear_backward
mkldnn_linear_backward
        conv2d convolution mkldnn_convolution thnn_conv2d slow_conv2d_forward nnpack_spatial_convolution
        convolution_overrideable convolution_backward convolution_backward_overrideable mkldnn_convolution_backward
        slow_conv2d_backward""",
    "optimizer": """
        fused_adam fused_adamw fused_sgd fused_adagrad lerp addcdiv addcmul sqrt""",
    "normalisation": """
        batch_norm native_batch_norm native_batch_norm_legit native_batch_norm_legit_functional
        native_batch_norm_legit_no_training batch_norm_with_update batch_norm_no_update batch_norm_impl_index
        batch_norm_impl_index_backward native_batch_norm_backward batch_norm_backward batch_norm_update_stats
        group_norm native_group_norm native_group_norm_backward layer_norm native_layer_norm
        native_layer_norm_backward instance_norm var var_mean std std_mean rsqrt""",
    "activation, pooling": """
        relu threshold threshold_backward clamp_min tanh tanh_backward sigmoid sigmoid_backward gelu gelu_backward
        max_pool2d max_pool2d_with_indices max_pool2d_with_indices_backward mkldnn_max_pool2d
        mkldnn_max_pool2d_backward amax maximum avg_pool2d avg_pool2d_backward adaptive_avg_pool2d
        adaptive_max_pool2d dropout native_dropout native_dropout_backward""",
    "data movement": """
        copy clone contiguous cat stack concat index index_select index_put gather scatter take to reshape repeat tile
        flip pad constant_pad_nd im2col col2im embedding to_copy empty empty_like empty_strided new_empty
        new_empty_strided resize zeros zeros_like new_zeros fill zero full ones""",
}  # fmt: skip
"""torch's operations by kind, without namespace, leading `_` or `_foreach_` and closing `_`; all others are the rest.
The outermost operation that is named here takes all the time within it. Elementwise sums, products and quotients are
of the rest, whoever asks for them: the loss, a bias, part of an optimizer."""

REST = "rest"
BETWEEN = "between operations"
"""The name under which the rest shows a step's time outside of torch's operations: Python and torch's calls."""

_KIND = {name: kind for kind, names in KINDS.items() for name in names.split()}


# Arithmetic.


def multiply_adds(setting: Setting, info: DataInfo) -> list[int]:
    """Multiply-adds of one row in each matrix product or convolution of a setting's network, the first layer first.

    A 3 x 3 convolution counts all nine at every pixel, those with the padding's zeros too, as is usual.
    """
    hidden, depth = int(setting["hidden"]), int(setting["depth"])
    if setting["model"] == "mlp":
        widths = [math.prod(info.shape), *[hidden] * depth, info.classes]
        return [inputs * outputs for inputs, outputs in pairwise(widths)]
    out, (channels, height, width) = [], info.shape
    for stage in range(depth):
        filters = hidden * 2**stage
        out.append(9 * channels * filters * height * width)
        channels, height, width = filters, height // 2, width // 2
    return [*out, channels * height * width * info.classes]


def operations(setting: Setting, info: DataInfo) -> int:
    """Floating-point operations of a trial in matrix products and convolutions, two to a multiply-add.

    Each epoch: the training rows forward, their weights' gradients and their inputs' (not the first layer's), the
    validation rows forward; once: the test rows forward. A last minibatch of one row is not trained.
    """
    layers = multiply_adds(setting, info)
    size, batch = setting["train_size"], setting["batch_size"]
    rows = info.train if isinstance(size, str) else int(size)
    if not isinstance(batch, str) and rows > int(batch) and rows % int(batch) == 1:
        rows -= 1
    epoch = rows * (2 * sum(layers) + sum(layers[1:])) + info.val * sum(layers)
    return 2 * (int(setting["epochs"]) * epoch + info.test * sum(layers))


def product_speed(arguments: list[str]) -> None:
    """The whole of a process that writes a core's operations a second in a float32 product of 1024 x 1024 matrices, by
    torch's own kernel, as the peers use it, or by oneDNN's, whichever is faster."""
    import torch

    from sweep.engine import products

    torch.set_num_threads(1)
    a, b = (torch.rand(1, SIDE, SIDE) - 0.5 for _ in range(2))
    seconds = []
    for kernel in [torch.mm, products.kernel_for(a, b)] * PRODUCTS:
        begin = time.perf_counter()
        kernel(a[0], b[0])
        seconds.append(time.perf_counter() - begin)
    Path(arguments[0]).write_text(json.dumps(2 * SIDE**3 / min(seconds)))


# A training step by kind.


def profile(arguments: list[str]) -> None:
    """The whole of a process that writes `step_profile` of a workload's first unit. arguments: flags as JSON, workers,
    the file for the result."""
    flags, workers, out = arguments
    import torch

    from sweep.data import load

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as sweep's workers do
    recipe = load_recipe(None, json.loads(flags))
    trials = list(recipe.grid.trials())
    unit = first_unit(trials, describe(recipe.data), int(workers))
    size = unit[0].setting["train_size"]
    split = load(recipe.data, recipe.data_dir, recipe.split_seed).split(
        str(unit[0].setting["normalize"]), size if isinstance(size, str) else int(size)
    )
    Path(out).write_text(json.dumps(step_profile(unit, split, PROFILE_SECONDS)))


def first_unit(trials: list[Trial], info: DataInfo, workers: int) -> tuple[Trial, ...]:
    """The trials that the planner trains together with the grid's first one."""
    planned = units(trials, info, min(workers, len(trials)), speeds=recall())
    return next(unit.trials for unit in planned if trials[0] in unit.trials)


def step_profile(trials: tuple[Trial, ...], split: Split, seconds: float) -> dict[str, Any]:
    """The training step and the evaluation of a program of these trials.

    `lanes`; `step` and `evaluation` (of the validation rows), seconds; `evaluating`, the share of evaluations in the
    whole training, the test rows' too, as steps and evaluations add up; `shares` of the step by kind, adding up to 1;
    `rest`, the largest shares that make up the rest. The times of operations are those with the profiler on, which
    makes many small ones look a little larger; what lies between them is the step's time without it, less theirs (or
    with it, where that was quicker).
    """
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    from sweep.engine import Program

    program = Program([trial.setting for trial in trials], [trial.seed for trial in trials], split)
    with torch.no_grad():
        step = endless_steps(program, split)
        repeated(step, 0.0, least=3)  # the first steps try out forms of products and fill allocators
        single = repeated(step, seconds, least=3)
        evaluation, test = (
            repeated(lambda p=part: program.evaluate(p), 0.0, least=2) for part in (split.val, split.test)
        )
        count = max(3, min(100, int(seconds / single)))
        with profiler(activities=[ProfilerActivity.CPU]) as recorded:
            clock = time.perf_counter()
            for _ in range(count):
                step()
            wall = time.perf_counter() - clock
    spent = time_by_operation(event for event in recorded.events() if event.cpu_parent is None)
    spent[REST, BETWEEN] = max(0.0, 1e6 * min(wall, single * count) - sum(spent.values()))
    epochs = int(trials[0].setting["epochs"])
    evaluating = epochs * evaluation + test
    total = sum(spent.values())
    shares = dict.fromkeys((*KINDS, REST), 0.0)
    for (kind, _), micro in spent.items():
        shares[kind] += micro / total
    rest = Counter({name: micro / total for (kind, name), micro in spent.items() if kind == REST})
    return {
        "lanes": len(trials),
        "step": single,
        "evaluation": evaluation,
        "evaluating": evaluating / (evaluating + epochs * minibatches(trials[0].setting, len(split.train.y)) * single),
        "shares": shares,
        "rest": dict(rest.most_common(4)),
    }


def minibatches(setting: Setting, rows: int) -> int:
    """Training steps of an epoch over so many rows; a last minibatch of one row is left out."""
    size = setting["batch_size"]
    batch = rows if isinstance(size, str) else min(int(size), rows)
    return rows // batch + (rows % batch > 1)


def endless_steps(program: Any, split: Split) -> Callable[[], None]:
    """A training step of a program, at the first epoch's beginning again after its last one."""
    steps = minibatches(program.settings[0], len(split.train.y))

    def following() -> Iterator[None]:
        while True:
            program.begin_epoch(1)
            for _ in range(steps):
                yield program.train_step()

    trained = following()
    return lambda: next(trained)


def repeated(call: Callable[[], Any], seconds: float, least: int) -> float:
    """The median of the seconds that a call takes, called for so long and at least so many times."""
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < least or time.perf_counter() - begin < seconds:
        clock = time.perf_counter()
        call()
        taken.append(time.perf_counter() - clock)
    return sorted(taken)[len(taken) // 2]


def time_by_operation(events: Iterable[Any]) -> Counter[tuple[str, str]]:
    """Microseconds by (kind, operation) of profiled events that lie within no other."""
    spent: Counter[tuple[str, str]] = Counter()
    waiting = list(events)
    while waiting:
        event = waiting.pop()
        name = plain_name(event.name)
        if name in _KIND:
            spent[_KIND[name], name] += event.cpu_time_total
        else:
            spent[REST, name] += event.self_cpu_time_total
            waiting += event.cpu_children
    return spent


def plain_name(name: str) -> str:
    """`lerp` for `aten::_foreach_lerp_`."""
    return name.rpartition("::")[2].strip("_").removeprefix("foreach_")


if __name__ == "__main__":
    {"product_speed": product_speed, "profile": profile}[sys.argv[1]](sys.argv[2:])
