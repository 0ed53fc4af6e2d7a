"""Toy data in the plane, two numbers a row, the same rows every time: what a decision boundary can be drawn of. Needs
numpy.

The rows are scikit-learn's, to the bit, where it makes such a set; importing it takes longer than training on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ROWS = 1000
_HALF = ROWS // 2


def circles() -> tuple[Array, Array]:
    """A circle around another of half its radius: make_circles(1000, noise=0.1, factor=0.5, random_state=0,
    shuffle=False)."""
    angle = np.linspace(0, 2 * np.pi, _HALF, endpoint=False)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    return _noisy([ring, 0.5 * ring], 0.1)


def moons() -> tuple[Array, Array]:
    """Two half circles that interlock: make_moons(1000, noise=0.2, random_state=0, shuffle=False)."""
    angle = np.linspace(0, np.pi, _HALF)
    upper, lower = (np.cos(angle), np.sin(angle)), (1 - np.cos(angle), 1 - np.sin(angle) - 0.5)
    return _noisy([np.column_stack(upper), np.column_stack(lower)], 0.2)


def spirals() -> tuple[Array, Array]:
    """Two arms of one and a half turns, with noise along the turn (as in Stanford's CS231n, which has three arms)."""
    noise = np.random.RandomState(0).normal(scale=0.2, size=(2, _HALF))
    radius = np.linspace(0.02, 1, _HALF)
    arms = [np.pi * arm + 3 * np.pi * radius + noise[arm] for arm in (0, 1)]
    rows = np.concatenate([np.column_stack([radius * np.cos(turn), radius * np.sin(turn)]) for turn in arms])
    return rows, np.repeat([0, 1], _HALF)


CENTRES = np.array([[-2.0, -1.0], [2.0, -1.0], [0.0, 2.0]])


def gaussians() -> tuple[Array, Array]:
    """Three clouds that overlap a little: make_blobs(1000, centers=CENTRES, cluster_std=1.0, random_state=0,
    shuffle=False)."""
    draw = np.random.RandomState(0)
    sizes = [ROWS // 3 + (label < ROWS % 3) for label in range(3)]
    clouds = [draw.normal(centre, 1.0, size=(size, 2)) for centre, size in zip(CENTRES, sizes, strict=True)]
    return np.concatenate(clouds), np.repeat(range(3), sizes)


def _noisy(shapes: list[Array], noise: float) -> tuple[Array, Array]:
    rows = np.concatenate(shapes)
    rows += np.random.RandomState(0).normal(scale=noise, size=rows.shape)
    return rows, np.repeat(range(len(shapes)), [len(shape) for shape in shapes])


TOYS: dict[str, tuple[Callable[[], tuple[Array, Array]], int]] = {
    "circles": (circles, 2),
    "moons": (moons, 2),
    "spirals": (spirals, 2),
    "gaussians": (gaussians, 3),
}
"""Each by its name, with its number of classes."""
