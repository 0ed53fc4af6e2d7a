"""A function looked at: points with value, slope and curvature; whether it is convex in a box. Needs values, paths."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.formulas import Box, box_of
from sweep.functions.paths import LANES, excess, projected
from sweep.functions.values import Function, find_values, numbers_of
from sweep.hyperparameters import Value

GRID = 201
"""Points along a box of one number; a box of two has as many in all along each, those of more are drawn."""

PAIRS = 50_000
"""Pairs of points whose chords are tried."""

SHARES = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875)
"""Where along a chord."""

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """A function at one point."""

    point: tuple[float, ...]
    value: float
    """Without a penalty."""
    gradient: tuple[float, ...]
    """With the penalty, as a step sees it; so are the eigenvalues."""
    eigenvalues: tuple[float, ...]
    """Of the Hessian, the least first; of one number, the second derivative."""
    newton: tuple[float, ...] | None
    """Where Newton's method goes in one step; None where the Hessian cannot be divided by."""
    multiplier: float | None = None
    """Of Lagrange, that balances gradient and constraint best here: ∇f + λ∇h = 0."""
    nearest: tuple[float, ...] | None = None
    """The nearest point that the constraint allows."""

    @property
    def slope(self) -> float:
        """The gradient's length."""
        return math.hypot(*self.gradient)

    @property
    def condition(self) -> float | None:
        """The largest eigenvalue over the least, where the Hessian is positive."""
        return self.eigenvalues[-1] / self.eigenvalues[0] if self.eigenvalues[0] > 0 else None


@dataclass(frozen=True)
class Shape:
    """Whether a function is convex in a box: by its second derivatives, by its chords, by the sets below a value."""

    box: Box
    least: float
    """The least eigenvalue of a Hessian."""
    least_at: tuple[float, ...]
    above: float
    """By how much the function is above a chord at most; never above 0 where it is convex."""
    chord: tuple[tuple[float, ...], tuple[float, ...], float]
    """That chord: its ends, and the share of the first at the place."""
    intervals: bool | None
    """Whether all sets {x: f(x) ≤ t} are intervals; None of more than one number."""


@dataclass(frozen=True)
class Formula:
    """A function with its numbers fixed, to be asked at any points."""

    name: str
    dimension: int
    given: Mapping[str, Value]
    """Hyperparameters: the numbers of its formula, constraint, penalty."""

    def over(self, points: Points) -> tuple[Function, list[Tensor]]:
        """The function and rows for points [N, D], made up to a number of LANES by the last."""
        spare = -len(points) % LANES
        whole = torch.from_numpy(np.concatenate([points, np.repeat(points[-1:], spare, 0)]))
        lanes = len(whole)
        numbers = [torch.full((lanes,), float(self.given[name]), dtype=torch.float64) for name in numbers_of(self.name)]
        kind, weight = str(self.given.get("constraint", "none")), float(self.given.get("penalty", 0.0))
        penalty = None if kind == "none" or not weight else lambda rows: weight * excess(kind, rows) ** 2
        return Function(find_values(self.name), numbers, penalty), [row.contiguous() for row in whole.unbind(1)]

    def values(self, points: Points) -> Points:
        """Its values at points [N, D], without a penalty."""
        function, rows = self.over(points)
        with torch.no_grad():
            return function.at(rows)[: len(points)].numpy()

    def curvatures(self, points: Points) -> tuple[Points, Points]:
        """Gradients [N, D] and Hessians [N, D, D]."""
        function, rows = self.over(points)
        slopes, hessian = function.hessian(rows)
        return torch.stack(slopes, 1)[: len(points)].numpy(), hessian[: len(points)].numpy()


def look(formula: Formula, points: Sequence[tuple[float, ...]]) -> list[Look]:
    """The function at each point."""
    if not points:
        return []
    places = np.array(points, dtype=np.float64)
    values, (slopes, curved) = formula.values(places), formula.curvatures(places)
    kind = str(formula.given.get("constraint", "none"))
    out = []
    for point, value, slope, hessian in zip(points, values, slopes, curved, strict=True):
        told = (None, None) if kind == "none" else _constrained(kind, point, slope)
        finite = np.isfinite(hessian).all()
        eigen = tuple(map(float, np.linalg.eigvalsh(hessian))) if finite else (math.nan,) * len(point)
        newton = _newton(point, slope, hessian) if finite else None
        out.append(Look(point, float(value), tuple(map(float, slope)), eigen, newton, *told))
    return out


def _newton(point: Sequence[float], slope: Points, hessian: Points) -> tuple[float, ...] | None:
    try:
        target = np.asarray(point) - np.linalg.solve(hessian, slope)
    except np.linalg.LinAlgError:
        return None
    return tuple(map(float, target)) if np.isfinite(target).all() else None


def _constrained(kind: str, point: Sequence[float], slope: Points) -> tuple[float | None, tuple[float, ...]]:
    """The multiplier and the nearest point allowed. h is the sum less 1, or the squared length less 1."""
    rows = [torch.tensor([number], dtype=torch.float64) for number in point]
    away = np.ones(len(point)) if kind == "sum" else 2 * np.asarray(point)
    square = float(away @ away)
    multiplier = -float(slope @ away) / square if square else None
    return multiplier, tuple(float(row[0]) for row in projected(kind, rows))


def find_jensen(formula: Formula, points: Sequence[tuple[float, ...]]) -> float | None:
    """How far the mean of the values is above the value at the mean point; None of fewer than two points."""
    if len(points) < 2:
        return None
    places = np.array(points, dtype=np.float64)
    return float(formula.values(places).mean() - formula.values(places.mean(0, keepdims=True))[0])


def find_shape(formula: Formula, box: Box | None = None) -> Shape:
    """Looks at a grid over the box and at chords between its points."""
    c = formula.given.get("c", 1.0)
    box = box or box_of(formula.name, formula.dimension, float(c))
    points = _grid(box)
    _, curved = formula.curvatures(points)
    least = np.linalg.eigvalsh(np.where(np.isfinite(curved), curved, 0.0))[:, 0]
    values = formula.values(points)
    above, chord = _worst_chord(formula, points, values)
    lowest = int(np.argmin(least))
    intervals = _unimodal(values) if formula.dimension == 1 else None
    return Shape(box, float(least[lowest]), tuple(map(float, points[lowest])), above, chord, intervals)


def _grid(box: Box) -> Points:
    if len(box) > 2:
        low, high = np.array(box, dtype=np.float64).T
        drawn: Points = low + (high - low) * np.random.default_rng(0).random((GRID**2 // 16, len(box)))
        return drawn
    each = GRID if len(box) == 1 else GRID // 4
    return np.array([*itertools.product(*(np.linspace(low, high, each) for low, high in box))])


def _worst_chord(
    formula: Formula, points: Points, values: Points
) -> tuple[float, tuple[tuple[float, ...], tuple[float, ...], float]]:
    """The place where the function is furthest above a chord between two of the points."""
    many = len(points)
    if many**2 <= PAIRS:
        first, second = (part.ravel() for part in np.meshgrid(np.arange(many), np.arange(many)))
    else:
        first, second = np.random.default_rng(0).integers(many, size=(2, PAIRS))
    best = -math.inf, (tuple(points[0]), tuple(points[0]), 0.5)
    for share in SHARES:
        between = share * points[first] + (1 - share) * points[second]
        over = formula.values(between) - (share * values[first] + (1 - share) * values[second])
        place = int(np.nanargmax(np.where(first == second, -math.inf, over)))
        if over[place] > best[0]:
            ends = (tuple(map(float, points[first[place]])), tuple(map(float, points[second[place]])), share)
            best = float(over[place]), ends
    return best


def _unimodal(values: Points) -> bool:
    """Whether values fall to a lowest place and rise from there, so that every set below a value is an interval."""
    way = np.diff(values)
    tiny = 1e-12 * float(np.abs(values).max() or 1.0)
    down, up = np.nonzero(way < -tiny)[0], np.nonzero(way > tiny)[0]
    return not len(down) or not len(up) or bool(down.max() < up.min())
