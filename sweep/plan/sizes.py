"""A setting's network in numbers, before it is built: parameters, activations, arithmetic; whether it fits the data."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from sweep.data import Classes, DataInfo
from sweep.errors import UsageError
from sweep.formulas import check_start, dimension_of
from sweep.hyperparameters import Setting
from sweep.networks import is_own
from sweep.plan.networks import size_of
from sweep.recipe import TRAINER_DATA, Recipe
from sweep.space import epoch_steps, total_epochs, used_rows

DECIDES_FIT = (
    "optimizer", "model", "function", "steps",
    "hidden", "depth", "batch_norm", "batch_size", "train_size", "connection", "convolutions", "growth",
)  # fmt: skip
"""What decides whether a network fits the data."""

LAYERS = {"depth": "hidden layers", "convolutions": "convolutions of a stage"}
"""What counts the layers that residual blocks are made of: of an mlp, of a cnn."""


def check_fit(program: Setting, data: DataInfo) -> None:
    """Raises UsageError if the network of a setting cannot be built for, or trained on, the data."""
    if program["model"] == "function":
        _check_path(program)
        return
    if program["optimizer"] == "newton":
        raise UsageError(
            "optimizer = newton: a network has too many second derivatives; expected another optimizer, or "
            "model = function"
        )
    size = program["train_size"]
    if not isinstance(size, str) and size > data.train:
        raise UsageError(f"train_size = {size}: {data.name} has {data.train} training rows; expected at most that")
    if is_own(program["model"]):
        _check_own(program, data)
        return
    if program["model"] == "mlp" and program.get("batch_norm") and program["batch_size"] == 1:
        raise UsageError(
            "batch_size = 1: batch norm has no variance of one row; expected at least 2, or batch_norm = off"
        )
    _check_blocks(program)
    if program["model"] == "mlp":
        _check_memory(program, data)
        return
    if len(data.shape) != 3:
        raise UsageError(
            f"model = cnn: rows of {data.name} are flat ({data.shape[0]} numbers); expected images, or model = mlp"
        )
    if program["depth"] == 0:
        raise UsageError(
            "depth = 0: a cnn has one stage at least; expected depth = 1, or model = mlp, softmax regression"
        )
    deepest = int(math.log2(min(data.shape[1:])))
    if int(program["depth"]) > deepest:
        _, height, width = data.shape
        raise UsageError(
            f"depth = {program['depth']}: too deep for a cnn on {data.name}, whose images are {height} x {width}: "
            f"each stage halves them, so the deepest that fits is {deepest}"
        )
    _check_memory(program, data)


def _check_own(program: Setting, data: DataInfo) -> None:
    """Raises UsageError where a user's network cannot be trained as asked."""
    if size_of(program, data).norm and program["batch_size"] == 1:
        raise UsageError(
            f"batch_size = 1: batch norm, which {program['model']} has, has no variance of one row; expected at least 2"
        )
    _check_memory(program, data)


def _check_path(program: Setting) -> None:
    """Raises UsageError where a path cannot be gone."""
    dimension_of(str(program["function"]))
    if program["steps"] == 0:
        raise UsageError("steps = 0: a function has no epochs, so its steps decide; expected steps >= 1")


def classes_note(recipe: Recipe, classes: Classes | None) -> str:
    """A line about classes that have no row in a part, or none among the smallest `train_size`; empty where all have,
    or nobody counted them."""
    if classes is None:
        return ""
    sizes = [int(size) for size in recipe.listed("train_size") if not isinstance(size, str)]
    lines = [classes.missing_text(min(sizes, default=None)), classes.unscored_text()]
    return "; ".join(filter(None, lines))


def check_starts(recipe: Recipe) -> None:
    """Raises UsageError where a start has another number of numbers than its function, or starts differ in it."""
    if not recipe.of_function:
        return
    for name in recipe.listed("function"):
        starts = {start: check_start(str(name), str(start)) for start in recipe.listed("start")}
        if len(set(starts.values())) > 1:
            raise UsageError(f"start = {', '.join(map(str, starts))}: expected starts of as many numbers each")


def _check_blocks(program: Setting) -> None:
    """Raises UsageError where layers do not make up whole residual blocks."""
    if program.get("connection") != "residual":
        return
    name = "depth" if program["model"] == "mlp" else "convolutions"
    layers = int(program[name])
    if layers % 2:
        fits = f"{layers - 1} or {layers + 1}" if layers > 1 else "2"
        raise UsageError(
            f"{name} = {layers}: residual blocks have two layers each, so the {LAYERS[name]} are even in number; "
            f"expected {name} = {fits}, or another connection"
        )


def _check_memory(program: Setting, data: DataInfo) -> None:
    """Raises UsageError for a network whose weights, gradients and Adam's moments alone are more than the memory."""
    needed = 16 * parameter_count(program, data)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        sizes = f"hidden = {program.get('hidden', '–')}, depth = {program.get('depth', '–')}"
        sizes = f"model = {program['model']}" if is_own(program["model"]) else sizes
        raise UsageError(
            f"{sizes}: {needed / 16:,.0f} parameters "
            "need at least "
            f"{needed / 2**30:,.0f} GiB to train; this machine has {there / 2**30:,.0f} GiB"
        )


def parameter_count(program: Setting, data: DataInfo) -> int:
    """Trained numbers of the network: weights, biases, batch norm's scales and shifts; of a function, its point's."""
    if program["model"] == "function":
        return dimension_of(str(program["function"])) or 1
    if is_own(program["model"]):
        return size_of(program, data).parameters
    return sum(layer.parameters for layer in layers_of(program, data))


def activation_count(program: Setting, data: DataInfo) -> int:
    """Numbers that one row's forward pass leaves in the layers, roughly."""
    if program["model"] == "function":
        return 0
    if is_own(program["model"]):
        return size_of(program, data).activations
    return sum(layer.activations for layer in layers_of(program, data))


def work_of(program: Setting, data: DataInfo) -> int:
    """Multiply-adds of one row's forward pass."""
    if is_own(program["model"]):
        return size_of(program, data).work
    return sum(layer.work for layer in layers_of(program, data))


def trains_together(program: Setting, data: DataInfo) -> bool:
    """Whether several trials can train as lanes of one program."""
    return not is_own(program["model"]) or size_of(program, data).way != "alone"


def rows_of(program: Setting, data: DataInfo) -> tuple[int, int]:
    """Training rows, and those of a minibatch; a function has one."""
    if program["model"] == "function":
        return 1, 1
    return used_rows(program["train_size"], program["batch_size"], data.train)


def epoch_steps_of(program: Setting, data: DataInfo) -> int:
    """Training steps of an epoch; a path down a function is one."""
    if program["model"] == "function":
        return int(program["steps"])
    return epoch_steps(*rows_of(program, data))


def epochs_of(program: Setting, data: DataInfo) -> int:
    """Epochs that a trial is trained, where `steps` decide too; a path is one. What a user's own code does is not
    known, but by a hyperparameter `epochs`."""
    if data.name == TRAINER_DATA:
        epochs = program.get("epochs", 1)
        return max(1, epochs) if isinstance(epochs, int) else 1
    if program["model"] == "function":
        return 1
    return total_epochs(program, epoch_steps_of(program, data))


@dataclass(frozen=True)
class Layer:
    """A layer in numbers: trained parameters, activations that one row leaves, multiply-adds of one row."""

    parameters: int
    activations: int
    work: int


def layers_of(program: Setting, data: DataInfo) -> list[Layer]:
    """Every layer of a setting's network, as `nets.build` makes it; batch norm and activation go with the layer before
    them, in a dense network with the one after."""
    count = _Count(program)
    if program["model"] == "cnn":
        return _cnn(count, data)
    layers, width = _mlp(count, math.prod(data.shape)) if program["depth"] else ([], math.prod(data.shape))
    return [*layers, _last(width, data)]


class _Count:
    """Counts the layers of a setting's network."""

    def __init__(self, program: Setting) -> None:
        self.connection = program.get("connection")
        self.hidden, self.depth, self.growth = (int(program.get(name, 0)) for name in ("hidden", "depth", "growth"))
        self.convolutions = int(program.get("convolutions", 0))
        self.norm = bool(program.get("batch_norm"))
        before = self.norm and program["bn_position"] == "before"
        self.bias = not before
        self.affine = 2 * bool(program.get("bn_affine", False))
        self.affine_before = self.affine * before

    def weights(self, width: int, out: int, side: int = 1, pixels: int = 1) -> Layer:
        """A linear layer, or a convolution of side x side, alone."""
        work = side * side * width * out
        return Layer(work + self.bias * out, out * pixels, work * pixels)

    def activated(self, width: int, pixels: int = 1) -> Layer:
        """Batch norm and activation."""
        return Layer(self.affine * width, (1 + self.norm) * width * pixels, 0)

    def block(self, width: int, out: int, side: int = 1, pixels: int = 1) -> list[Layer]:
        """A residual block."""
        sizes = [(width, out, side), (out, out, side), *([(width, out, 1)] if width != out else [])]
        layers = [self.weights(*size, pixels) for size in sizes]
        shortcut = [Layer(self.affine_before * out, out * pixels, 0)] if width != out else []
        return [*layers, *[self.activated(out, pixels)] * 2, *shortcut]

    def dense(self, width: int, side: int = 1, pixels: int = 1) -> list[Layer]:
        """A layer of a dense block, and what it is put beside."""
        new = self.weights(width, self.growth, side, pixels)
        return [Layer(0, 2 * width * pixels, 0), self.activated(width, pixels), new]


def _mlp(count: _Count, width: int) -> tuple[list[Layer], int]:
    """The hidden layers, and the width of what they give."""
    hidden = count.hidden
    if count.connection == "dense":
        layers, width = [count.weights(width, hidden)], hidden
        for _ in range(count.depth - 1):
            layers += count.dense(width)
            width += count.growth
        return [*layers, count.activated(width)], width
    layers = []
    for _ in range(count.depth // 2 if count.connection == "residual" else count.depth):
        plain = [count.weights(width, hidden), count.activated(hidden)]
        layers += count.block(width, hidden) if count.connection == "residual" else plain
        width = hidden
    return layers, width


def _cnn(count: _Count, data: DataInfo) -> list[Layer]:
    channels, height, side = data.shape
    layers = []
    if count.connection == "dense":
        layers.append(count.weights(channels, count.hidden, 3, height * side))
        channels = count.hidden
    for stage in range(count.depth):
        pixels, last = height * side, stage == count.depth - 1
        for _ in range(count.convolutions // (2 if count.connection == "residual" else 1)):
            if count.connection == "dense":
                layers += count.dense(channels, 3, pixels)
                channels += count.growth
            else:
                out = count.hidden * 2**stage
                plain = [count.weights(channels, out, 3, pixels), count.activated(out, pixels)]
                layers += count.block(channels, out, 3, pixels) if count.connection == "residual" else plain
                channels = out
        if count.connection == "dense":
            layers.append(count.activated(channels, pixels))
            if not last:
                layers.append(count.weights(channels, out := max(1, channels // 2), 1, pixels))
                channels = out
        height, side = height // 2, side // 2
    return [*layers, _last(channels * height * side, data)]


def _last(width: int, data: DataInfo) -> Layer:
    return Layer(data.classes * (width + 1), data.classes, data.classes * width)
