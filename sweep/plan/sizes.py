"""A setting's network in numbers, before it is built: parameters, activations, arithmetic; whether it fits the data."""

from __future__ import annotations

import math
import os

from sweep.data import DataInfo
from sweep.errors import UsageError
from sweep.hyperparameters import Setting


def check_fit(program: Setting, data: DataInfo) -> None:
    """Raises UsageError if the network of a setting cannot be built for, or trained on, the data."""
    size = program["train_size"]
    if not isinstance(size, str) and size > data.train:
        raise UsageError(f"train_size = {size}: {data.name} has {data.train} training rows; expected at most that")
    if program["model"] == "mlp" and program["batch_norm"] and program["batch_size"] == 1:
        raise UsageError(
            "batch_size = 1: batch norm has no variance of one row; expected at least 2, or batch_norm = off"
        )
    if program["model"] == "mlp":
        _check_memory(program, data)
        return
    if len(data.shape) != 3:
        raise UsageError(
            f"model = cnn: rows of {data.name} are flat ({data.shape[0]} numbers); expected images, or model = mlp"
        )
    deepest = int(math.log2(min(data.shape[1:])))
    if int(program["depth"]) > deepest:
        _, height, width = data.shape
        raise UsageError(
            f"depth = {program['depth']}: too deep for a cnn on {data.name}, whose images are {height} x {width}: "
            f"each stage halves them, so the deepest that fits is {deepest}"
        )
    _check_memory(program, data)


def _check_memory(program: Setting, data: DataInfo) -> None:
    """Raises UsageError for a network whose weights, gradients and Adam's moments alone are more than the memory."""
    needed = 16 * parameter_count(program, data)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UsageError(
            f"hidden = {program['hidden']}, depth = {program['depth']}: {needed / 16:,.0f} parameters need at least "
            f"{needed / 2**30:,.0f} GiB to train; this machine has {there / 2**30:,.0f} GiB"
        )


def parameter_count(program: Setting, data: DataInfo) -> int:
    """Trained numbers of the network: weights, biases, batch norm's scales and shifts."""
    return sum(parameters for parameters, _ in _layers(program, data))


def activation_count(program: Setting, data: DataInfo) -> int:
    """Numbers that one row's forward pass leaves in the layers, roughly."""
    return sum(activations for _, activations in _layers(program, data))


def rows_of(program: Setting, data: DataInfo) -> tuple[int, int]:
    """Training rows, and those of a minibatch."""
    size, batch = program["train_size"], program["batch_size"]
    rows = data.train if isinstance(size, str) else int(size)
    return rows, rows if isinstance(batch, str) else min(int(batch), rows)


def _layers(program: Setting, data: DataInfo) -> list[tuple[int, int]]:
    """(parameters, activations of one row) of each layer."""
    norm = program["batch_norm"]
    per_unit = 1 if not norm else (0 if program["bn_position"] == "before" else 1) + 2 * bool(program["bn_affine"])
    hidden, depth = int(program["hidden"]), int(program["depth"])
    passes = 3 if norm else 2
    out = []
    if program["model"] == "mlp":
        width = math.prod(data.shape)
        for _ in range(depth):
            out.append((hidden * (width + per_unit), passes * hidden))
            width = hidden
    else:
        channels, height, side = data.shape
        for stage in range(depth):
            filters = hidden * 2**stage
            out.append((filters * (9 * channels + per_unit), passes * filters * height * side))
            channels, height, side = filters, height // 2, side // 2
        width = channels * height * side
    return [*out, (data.classes * (width + 1), data.classes)]
