"""What scaling does to inputs: each column's statistics before and after, and how steep least squares gets along each
direction. Needs numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.sources import statistics
from sweep.errors import UsageError

Array = NDArray[Any]
SMALLER = 1e-6
"""The part of the loss that is left after as many steps as are counted here."""


@dataclass(frozen=True)
class Column:
    """Numbers that share a mean and a standard deviation: a column, or a channel of images."""

    name: str
    numbers: int
    mean: float
    std: float
    """Of the numbers themselves, with 1/m."""
    least: float
    most: float
    mean_after: float
    std_after: float
    """After the z-score."""


@dataclass(frozen=True)
class Surface:
    """The curvature of least squares on the inputs as one way of scaling leaves them, a bias beside them.

    The loss mean (w·x + b - y)² has the Hessian H = 2 E[(x, 1)(x, 1)ᵀ], whatever y is. Each step of gradient descent
    multiplies the error along an eigenvector of H by 1 - lr·λ. So it converges for lr < 2/λmax. In its slowest
    direction it is fastest with lr = 2/(λmax + λmin): the factor then is (κ - 1)/(κ + 1), κ = λmax/λmin.
    """

    name: str
    """none, unit, zscore (as `--normalize`), or zscore of each column."""
    about: str
    largest: float
    """λmax."""
    smallest: float
    """λmin of the directions that vary."""
    condition: float
    """κ."""
    lr_limit: float
    steps: int
    """Until at most a millionth of the loss above its least is left in any direction, at the best learning rate."""
    flat: int
    """Directions in which nothing varies (λ is 0 to rounding); they are left out of κ."""


@dataclass(frozen=True)
class Standardised:
    """Inputs before and after their z-score."""

    rows: int
    columns: tuple[Column, ...]
    dropped: int
    """Numbers of a row that were left out, since they vary too little."""
    surfaces: tuple[Surface, ...]
    z: Array
    """The z-scores, float64 [N, D], of the first rows (at most 1,024)."""


def standardise(x: Array, names: Sequence[str] = (), least_std: float = 0.0) -> Standardised:
    """The z-score of rows [N, D], a column at a time, or of images [N, C, H, W], a channel at a time, as training does
    it. least_std: a column that varies less is left out. Raises UsageError if nothing is left."""
    flat = x.reshape(len(x), -1)
    channels = x.shape[1] if x.ndim > 2 else flat.shape[1]
    owner = np.repeat(np.arange(channels), flat.shape[1] // channels)  # the channel of every number of a row
    kept = _spread(flat) >= least_std
    if len(x) < 2:
        raise UsageError(f"zscore of {len(x)} row; expected at least 2: one row has no standard deviation")
    if not kept.any():
        raise UsageError(f"--least-std {least_std:g}: no column varies as much; the most is {_spread(flat).max():.4g}")
    flat, owner = flat[:, kept], owner[kept]
    word = "channel" if x.ndim > 2 else "column"
    labels = list(names) if len(names) == channels else [f"{word} {place}" for place in range(channels)]
    ways = {name: _by_owner(flat, owner, name) for name in ("none", "unit", "zscore")}
    surfaces = [
        _describe_surface("none", "as they are", flat, *ways["none"]),
        _describe_surface("unit", f"0 to 1, each {word}", flat, *ways["unit"]),
        _describe_surface("zscore", f"one mean and std a {word}", flat, *ways["zscore"]),
    ]
    if x.ndim > 2:
        each = _by_owner(flat, np.arange(flat.shape[1]), "zscore")
        surfaces.append(_describe_surface("zscore of each column", "one mean and std a pixel", flat, *each))
    shift, scale = ways["zscore"]
    columns = [
        _describe_column(labels[own], flat[:, owner == own], shift, scale, owner == own)
        for own in sorted(set(owner.tolist()))
    ]
    z = (flat[:1024] - shift) / scale
    return Standardised(len(x), tuple(columns), int((~kept).sum()), tuple(surfaces), z)


def _spread(flat: Array) -> Array:
    """Each column's standard deviation, some columns at a time, so that no float64 copy of the whole is made."""
    return np.concatenate([flat[:, at : at + 64].std(0, dtype=np.float64) for at in range(0, flat.shape[1], 64)])


def _by_owner(flat: Array, owner: Array, normalize: str) -> tuple[Array, Array]:
    """What to subtract from each column and divide it by, where all columns of an owner share them."""
    shift, scale = np.zeros(flat.shape[1]), np.ones(flat.shape[1])
    for own in sorted(set(owner.tolist())):
        mine = owner == own
        few = flat[:, mine].reshape(len(flat), 1, 1, -1)
        a, b = statistics(few, normalize)
        shift[mine], scale[mine] = a.item(), b.item()
    return shift, scale


def _describe_column(name: str, numbers: Array, shift: Array, scale: Array, mine: Array) -> Column:
    after = (numbers - shift[mine]) / scale[mine]
    return Column(
        name,
        numbers.size,
        float(numbers.mean(dtype=np.float64)),
        float(numbers.std(dtype=np.float64)),
        float(numbers.min()),
        float(numbers.max()),
        float(after.mean()),
        float(after.std()),
    )


def _describe_surface(name: str, about: str, flat: Array, shift: Array, scale: Array) -> Surface:
    width = flat.shape[1] + 1
    moment = np.zeros((width, width))
    for start in range(0, len(flat), 1024):  # in pieces, so that no float64 copy of the whole is made
        rows = np.column_stack([(flat[start : start + 1024] - shift) / scale, np.ones(len(flat[start : start + 1024]))])
        moment += rows.T @ rows
    values = np.linalg.eigvalsh(2 * moment / len(flat))
    largest = float(values[-1])
    varying = values[values > width * np.finfo(np.float64).eps * largest]
    smallest = float(varying[0])
    condition = largest / smallest
    factor = (condition - 1) / (condition + 1)
    steps = 1 if factor < SMALLER else math.ceil(math.log(SMALLER) / (2 * math.log(factor)))
    return Surface(name, about, largest, smallest, condition, 2 / largest, steps, len(values) - len(varying))
