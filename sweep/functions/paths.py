"""Points on their way down a function, L at once: optimizers, noise, constraints, bounds. Needs values and the engine's
optimizers.

A point is D rows, each [L]; to an optimizer each row is a group of parameters [L, 1], one number a lane.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.engine.optimizers import OPTIMIZERS, Optimizer, column, schedule_factor
from sweep.formulas import check_start, start_point
from sweep.functions.values import Function, find_values, numbers_of
from sweep.hyperparameters import Setting

LANES = 16
"""L is a multiple of that: two vectors of float64 at their widest."""

BOUND = 1e100
"""A path whose point has a number beyond that has left every bound."""

CHUNK = 100
"""Steps whose learning rates and noise are made at a time."""


@dataclass
class Points:
    """L points as an optimizer's parameters. values, grads: [L, 1] for each number."""

    values: list[Tensor]
    grads: list[Tensor]
    hessian: Tensor | None = None
    """[L, D, D], where the optimizer wants it."""
    loose: bool = False

    @property
    def rows(self) -> list[Tensor]:
        """The numbers, [L] each."""
        return [value.view(-1) for value in self.values]


class Newton(Optimizer):
    """Newton's method: the gradient divided by the Hessian, times `lr`, which damps it where it is below 1."""

    def tables(self, lr: Tensor, t: Tensor) -> None:
        self.rate = self.table("lr", lr)

    def step(self, index: int) -> None:
        assert isinstance(self.parameters, Points)
        assert self.parameters.hessian is not None
        decay = self.constant(self.weight_decay)
        pairs = zip(self.parameters.values, self.parameters.grads, strict=True)
        slope = torch.cat([grad + decay * value for value, grad in pairs], 1)
        curved = self.parameters.hessian + torch.diag_embed(decay.expand_as(slope))
        if slope.shape[1] == 1:
            way = slope / curved[:, 0]
        else:
            way, info = torch.linalg.solve_ex(curved, slope)
            way = torch.where(info.view(-1, 1) == 0, way, math.nan)  # a singular Hessian: nowhere to go
        for value, along in zip(self.parameters.values, way.unbind(1), strict=True):
            value.sub_(along.unsqueeze(1) * self.at(self.rate, index))


class Paths:
    """The paths of L trials of one cohort. After `go`, `rows` is where they are and `left` the step, from 1, at which
    each left every bound, 0 for those that did not.

    seeds: of the trials; they draw the start, where it is the seed's, and the noise.
    """

    def __init__(self, settings: Sequence[Setting], seeds: Sequence[int]) -> None:
        self.lanes = len(settings)
        spare = -len(settings) % LANES
        self.settings = [*settings, *[settings[-1]] * spare]
        self.seeds = [*seeds, *[seeds[-1]] * spare]
        first = self.settings[0]
        self.steps, self.step = int(first["steps"]), 0
        self.function = self._find(str(first["function"]), str(first["constraint"]))
        self.points = Points(*self._starts(str(first["function"])))
        self.left = torch.zeros(len(self.settings), dtype=torch.int64)
        self.newton = first["optimizer"] == "newton"
        kind = Newton if self.newton else OPTIMIZERS[str(first["optimizer"])]
        self.optimizer = kind(self.settings, self.points, self.steps)  # type: ignore[arg-type]
        self.limits = column(self.settings, "grad_clip")
        self.noise = self._noise_of(first)
        self.places, self.draws = self._streams() if bool(self.noise.any()) else (torch.empty(0), [])

    @property
    def rows(self) -> list[Tensor]:
        """Where the points are, [lanes] for each number."""
        return [row[: self.lanes] for row in self.points.rows]

    def values(self) -> Tensor:
        """The function where the points are, without a penalty, [lanes]."""
        return self.function.at(self.points.rows)[: self.lanes]

    def slopes(self) -> Tensor:
        """The length of the gradient where the points are, a penalty's in it, [lanes]."""
        return _length(self.function.gradient(self.points.rows))[: self.lanes]

    @torch.no_grad()
    def go(self) -> Iterator[int]:
        """Goes to the end of the paths; after each step, yields how many have been made."""
        while self.step < self.steps:
            many = min(CHUNK, self.steps - self.step)
            self.optimizer.begin(self.step, self._rates(many))
            noises = self._draw(many) if self.draws else None
            for index in range(many):
                self._slope(None if noises is None else noises[index])
                self.optimizer.step(index)
                self._project()
                self.step += 1
                self._watch()
                yield self.step

    def _slope(self, noise: Tensor | None) -> None:
        """The gradients of a step. noise: [D, L]."""
        rows = self.points.rows
        if self.newton:
            slopes, self.points.hessian = self.function.hessian(rows)
        else:
            slopes = self.function.gradient(rows)
        if noise is not None:
            slopes = [slope + draw * self.noise for slope, draw in zip(slopes, noise, strict=True)]
        if bool(self.limits.any()):
            factor = (self.limits / (_length(slopes) + 1e-6)).clamp(max=1.0)
            slopes = [torch.where(self.limits > 0, slope * factor, slope) for slope in slopes]
        for grad, slope in zip(self.points.grads, slopes, strict=True):
            grad.copy_(slope.unsqueeze(1))

    def _watch(self) -> None:
        inside = torch.stack([row.abs() <= BOUND for row in self.points.rows]).all(0)
        self.left = torch.where((self.left == 0) & ~inside, self.step, self.left)

    def _rates(self, many: int) -> Tensor:
        """The learning rates of the next steps, [many, L]."""
        kinds = [str(setting["lr_schedule"]) for setting in self.settings]
        curves = {
            kind: torch.tensor(
                [schedule_factor(kind, self.steps, 0.0, self.step + place) for place in range(many)],
                dtype=torch.float64,
            )
            for kind in set(kinds)
        }
        rate = column(self.settings, "lr")
        if len(curves) == 1:
            return curves[kinds[0]].view(-1, 1) * rate
        return torch.stack([curves[kind] for kind in kinds], 1) * rate

    def _find(self, name: str, constraint: str) -> Function:
        numbers = [column(self.settings, parameter) for parameter in numbers_of(name)]
        self.free = torch.ones(0, dtype=torch.bool)
        if constraint == "none":
            return Function(find_values(name), numbers)
        weight = column(self.settings, "penalty")
        self.free = weight > 0
        return Function(find_values(name), numbers, lambda rows: weight * excess(constraint, rows) ** 2)

    def _project(self) -> None:
        """Puts points back to where the constraint allows them, but for those that a penalty keeps there."""
        if self.function.penalty is None or bool(self.free.all()):
            return
        rows = self.points.rows
        for row, back in zip(rows, projected(str(self.settings[0]["constraint"]), rows), strict=True):
            row.copy_(torch.where(self.free, row, back))

    def _starts(self, name: str) -> tuple[list[Tensor], list[Tensor]]:
        dimension = check_start(name, str(self.settings[0]["start"]))
        known: dict[tuple[str, int, float], tuple[float, ...]] = {}
        points = []
        for setting, seed in zip(self.settings, self.seeds, strict=True):
            key = (str(setting["start"]), seed, float(setting.get("c", 1.0)))
            if key not in known:
                known[key] = start_point(name, *key, dimension)
            points.append(known[key])
        rows = [torch.tensor(row, dtype=torch.float64).view(-1, 1) for row in zip(*points, strict=True)]
        return rows, [torch.zeros_like(row) for row in rows]

    def _noise_of(self, first: Setting) -> Tensor:
        size = first.get("batch_size", 1)
        share = 0.0 if isinstance(size, str) else 1 / math.sqrt(size)  # a full batch has none
        return column(self.settings, "noise") * share

    def _streams(self) -> tuple[Tensor, list[np.random.Generator]]:
        """The stream of each lane among those of the different seeds."""
        different = {seed: place for place, seed in enumerate(dict.fromkeys(self.seeds))}
        places = torch.tensor([different[seed] for seed in self.seeds])
        return places, [np.random.default_rng([seed, 2]) for seed in different]

    def _draw(self, many: int) -> Tensor:
        """The noise of the next steps, [many, D, L], standard normal."""
        shape = many, len(self.points.values)
        drawn = torch.from_numpy(np.stack([stream.standard_normal(shape) for stream in self.draws], 2))
        return drawn[:, :, self.places]


def track(setting: Setting, seed: int, most: int) -> tuple[list[int], NDArray[Any], NDArray[Any]]:
    """One path gone again, for looking at: steps from 0, points [N, D] and values [N], about `most` of them, evenly."""
    paths = Paths([setting], [seed])
    every = max(1, -(-paths.steps // most))
    steps, points, values = [0], [torch.stack(paths.rows)[:, 0]], [paths.values()[0]]
    for step in paths.go():
        if step % every == 0 or step == paths.steps:
            steps.append(step)
            points.append(torch.stack(paths.rows)[:, 0])
            values.append(paths.values()[0])
    return steps, torch.stack(points).numpy(), torch.stack(values).numpy()


def excess(constraint: str, rows: Sequence[Tensor]) -> Tensor:
    """By how much points break a constraint, [L]: how far their sum is from 1, or their squared norm beyond it."""
    total = torch.stack(list(rows)) if constraint == "sum" else torch.stack([row * row for row in rows])
    over = sum_rows(total) - 1
    return over if constraint == "sum" else over.clamp(min=0)


def projected(constraint: str, rows: Sequence[Tensor]) -> list[Tensor]:
    """The nearest points that a constraint allows."""
    if constraint == "sum":
        share = excess("sum", rows) / len(rows)
        return [row - share for row in rows]
    length = _length(rows)
    return [torch.where(length > 1, row / length, row) for row in rows]


def sum_rows(rows: Tensor) -> Tensor:
    """[D, L] -> [L], one row after another, so that no lane's sum depends on how many there are."""
    total = rows[0]
    for row in rows[1:]:
        total = total + row
    return total


def _length(rows: Sequence[Tensor]) -> Tensor:
    """The length of L vectors, [L]."""
    return sum_rows(torch.stack([row * row for row in rows])).sqrt()
