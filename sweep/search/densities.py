"""The densities of Optuna's TPE over many candidates: drawn to the bit as Optuna draws them, compared to a few digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers._tpe import _truncnorm as optunas
from optuna.samplers._tpe.probability_distributions import (
    _BatchedCategoricalDistributions,
    _MixtureOfProductDistribution,
)

BLOCK = 12_000
"""Numbers of a temporary array: small ones stay in the cache, and the memory that larger ones take goes back to the system
each time (10 ms instead of 0.2 for 24 candidates and 5,000 kernels).
"""

MANY = 32
"""Kernels on a grid that are looked through for equal ones."""

FAR = 16.0
"""Widths past which a kernel counts nothing beside the wide one: 1e-56, however narrow it is elsewhere."""

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Columns:
    """The columns of a space. choices, ranges: which are lists and which ranges; sizes: of the lists; smooth, stepped: which
    of the ranges are without and with a step; low, high: their ends as Optuna's kernels see them, half a step around,
    logarithms where `logs`, each [k, 1]."""

    def __init__(self, space: Sequence[BaseDistribution]) -> None:
        self.choices = [place for place, one in enumerate(space) if isinstance(one, CategoricalDistribution)]
        self.ranges = [place for place in range(len(space)) if place not in self.choices]
        self.sizes = [len(one.choices) for one in space if isinstance(one, CategoricalDistribution)]
        ranges: list[Any] = [space[place] for place in self.ranges]
        self.steps = [float(one.step or 0) for one in ranges]
        self.smooth = [k for k, step in enumerate(self.steps) if not step]
        self.stepped = [k for k, step in enumerate(self.steps) if step]
        self.logs = np.array([[one.log] for one in ranges], dtype=bool).reshape(-1, 1)
        ends = np.array(
            [(one.low - step / 2, one.high + step / 2) for one, step in zip(ranges, self.steps, strict=True)]
        )
        ends = ends.reshape(-1, 2)
        self.low, self.high = np.split(np.log(ends, out=ends, where=self.logs), 2, axis=1)

    def scaled(self, x: Numbers) -> Numbers:
        """Smooth ranges to [-1/2, 1/2], so that little is lost where squares are taken apart; [k, n]."""
        low, high = self.low[self.smooth], self.high[self.smooth]
        return np.asarray((x - (low + high) / 2) / (high - low))


@dataclass(frozen=True)
class Points:
    """Candidates as densities take them. matrix: in Optuna's numbers, [m, d]; choices: of each list, [m]; squares: of the
    smooth ranges, [m, 2k + 1]; grids: the different values of each stepped range; steps: which of them, [m]."""

    matrix: Numbers
    choices: list[Places]
    squares: Numbers
    grids: list[_Grid]
    steps: list[Places]

    @classmethod
    def of(cls, matrix: Numbers, columns: Columns) -> Points:
        """Takes candidates apart."""
        x = matrix[:, columns.ranges].T
        smooth = columns.scaled(np.log(x, out=x.copy(), where=columns.logs)[columns.smooth])
        squares = np.concatenate([smooth * smooth, smooth, np.ones((1, len(matrix)))]).T
        stepped = [np.unique(x[k], return_inverse=True) for k in columns.stepped]
        choices = [matrix[:, place].astype(np.int64) for place in columns.choices]
        grids = [_Grid.of(one, columns, k) for k, (one, _) in zip(columns.stepped, stepped, strict=True)]
        return cls(matrix, choices, squares, grids, [one for _, one in stepped])

    def __getitem__(self, rows: slice) -> Points:
        choices, steps = ([one[rows] for one in of] for of in (self.choices, self.steps))
        return Points(self.matrix[rows], choices, self.squares[rows], self.grids, steps)


@dataclass(frozen=True, eq=False)
class _Grid:
    """Values of a stepped range. ends: half a step around them, [e, 1]; low, high: which ends are each value's, [v]."""

    ends: Numbers
    low: Places
    high: Places

    @classmethod
    def of(cls, values: Numbers, columns: Columns, k: int) -> _Grid:
        """Of different values, [v]."""
        half = columns.steps[k] / 2
        ends, place = np.unique([values - half, values + half], return_inverse=True)
        low, high = place.reshape(2, -1)
        return cls((np.log(ends) if columns.logs[k] else ends)[:, np.newaxis], low, high)

    def masses(self, mu: Numbers, sigma: Numbers) -> Numbers:
        """The mass of kernels in the step around each value; mu, sigma: [n]; [v, n]. Of many, computed once for those that
        are the same: there are few different ones on a grid."""
        if len(mu) > MANY:
            _, first, column = np.unique(mu + math.pi * sigma, return_index=True, return_inverse=True)
            if (mu[first][column] == mu).all() and (sigma[first][column] == sigma).all() and len(first) < len(mu):
                return self.masses(mu[first], sigma[first])[:, column]
        z = (self.ends - mu) / sigma
        tails = _tails(z)
        return _between(z[self.low], tails[self.low], z[self.high], tails[self.high])


class Density:
    """A mixture of kernels, one for each trial and a wide one.

    factor: what a kernel counts, less what of it lies outside, [n]; mu, sigma: of the ranges, [k, n]; inside: how much of
    each lies inside, [k, n]; tables: how much a kernel counts at each choice, [choices, n]; masses: and in the step around
    each value in question, [values, n].
    """

    def __init__(
        self, columns: Columns, trials: Numbers, weights: Numbers, before: Density | None, points: Points
    ) -> None:
        """trials: in Optuna's numbers, [d, n - 1]; weights: of the kernels, [n]; before: the density of fewer trials, the
        same but for the last ones; points: what it will be asked about."""
        tables = zip(columns.choices, columns.sizes, strict=True)
        self.tables = [_choices(trials[place], size) for place, size in tables]
        mu = trials[columns.ranges]
        self.mu, self.sigma = _kernels(np.log(mu, out=mu, where=columns.logs), columns.low, columns.high)
        stale = np.ones(self.mu.shape, dtype=bool)
        if before is not None:
            size = min(before.mu.shape[1], self.mu.shape[1])
            same = before.mu[:, :size] == self.mu[:, :size]
            stale[:, :size] = ~(same & (before.sigma[:, :size] == self.sigma[:, :size]))
        self.inside = self._inside(columns, stale, before)
        self.grids, self.masses = points.grids, self._masses(columns, stale, before, points.grids)
        self.factor = weights / self.inside.prod(axis=0) / self.sigma[columns.smooth].prod(axis=0)
        width = columns.high - columns.low
        narrow, middle = (width / self.sigma)[columns.smooth] ** 2, columns.scaled(self.mu[columns.smooth])
        pull = narrow * middle
        self.squares = np.concatenate([narrow / -2, pull, (pull * middle).sum(axis=0, keepdims=True) / -2])

    def at(self, points: Points) -> Numbers:
        """The density of every candidate, but for a constant; [m]."""
        size = max(1, BLOCK // len(points.matrix))
        out = np.zeros(len(points.matrix))
        for first in range(0, len(self.factor), size):
            block = slice(first, first + size)
            kernels = np.exp(points.squares @ self.squares[:, block])  # [m, size]
            for table, rows in zip(self.tables + self.masses, points.choices + points.steps, strict=True):
                kernels *= table[:, block][rows]
            out += kernels @ self.factor[block]
        return out

    def _inside(self, columns: Columns, stale: Flags, before: Density | None) -> Numbers:
        out = np.empty_like(self.mu)
        if before is not None:
            size = min(before.mu.shape[1], self.mu.shape[1])
            out[:, :size] = before.inside[:, :size]
        row, _ = np.nonzero(stale)
        mu, sigma = self.mu[stale], self.sigma[stale]
        low, high = z = (np.array([columns.low[row, 0], columns.high[row, 0]]) - mu) / sigma
        below, above = _tails(z, 9.0)  # their middles lie inside, so that most of them does
        out[stale] = _between(low, below, high, above)
        return out

    def _masses(self, columns: Columns, stale: Flags, before: Density | None, grids: Sequence[_Grid]) -> list[Numbers]:
        out = []
        for place, (k, mine) in enumerate(zip(columns.stepped, grids, strict=True)):
            fresh, table = stale[k], np.empty((len(mine.low), self.mu.shape[1]))
            if before is not None and before.grids[place] is mine:
                size = min(before.mu.shape[1], self.mu.shape[1])
                table[:, :size] = before.masses[place][:, :size]
            else:
                fresh = np.ones(len(fresh), dtype=bool)
            table[:, fresh] = mine.masses(self.mu[k, fresh], self.sigma[k, fresh])
            out.append(table)
        return out


def _choices(column: Numbers, size: int) -> Numbers:
    """What each kernel counts at each choice: one observation more there than elsewhere, [choices, n]."""
    kernels = len(column) + 1
    table = np.full((size, kernels), 1 / kernels if len(column) else 1.0)
    table[column.astype(np.int64), np.arange(len(column))] += 1
    table /= table.sum(axis=0)
    return table


def _kernels(mu: Numbers, low: Numbers, high: Numbers) -> tuple[Numbers, Numbers]:
    """Middles and widths, each [k, n]: as wide as the larger distance to a neighbour, within limits, and one as wide as
    the range. mu: [k, n - 1]; low, high: [k, 1]."""
    count, width = mu.shape[1] + 1, high - low
    order = np.argsort(mu, axis=1)
    there = np.concatenate([low, np.take_along_axis(mu, order, axis=1), high], axis=1)
    gaps = there[:, 1:] - there[:, :-1]
    wide = np.maximum(gaps[:, :-1], gaps[:, 1:])
    if count > 2:  # at the ends, the distance to the only neighbour
        wide[:, 0], wide[:, -1] = gaps[:, 1], gaps[:, -2]
    sigma = np.empty_like(mu)
    np.put_along_axis(sigma, order, np.clip(wide, width / min(100.0, 1.0 + count), width), axis=1)
    return np.concatenate([mu, (low + high) / 2], axis=1), np.concatenate([sigma, width], axis=1)


def _tails(z: Numbers, far: float = FAR) -> Numbers:
    """The mass of the normal distribution further out than z, on its own side of the middle; none past `far`."""
    z = np.abs(z)
    tails, near = np.zeros(z.shape), z < far
    tails[near] = _each(math.erfc, z[near] / math.sqrt(2))
    return tails / 2


def _between(low: Numbers, below: Numbers, high: Numbers, above: Numbers) -> Numbers:
    """The mass between two points, by their tails: what is small is computed as a difference of what is small."""
    return np.where((low < 0) & (high > 0), 1 - below - above, np.abs(below - above))


def _each(one: Callable[[float], float], x: Numbers) -> Numbers:
    """A function of the standard library of each number; [n]. Not numpy's, whose last bit may differ from Optuna's."""
    return np.fromiter(map(one, x.tolist()), np.float64, len(x))


def _log_cdf(a: Numbers) -> Numbers:
    """log Phi(a) in the very operations of Optuna's `_log_ndtr`, which computes numbers one by one; [n]."""
    far = (a <= -20) | np.isnan(a)
    x = np.where(a > 6, -a, np.where(far, 0.0, a)) / 2**0.5
    cdf = np.empty_like(x)
    low, high = x < -1 / 2**0.5, x >= 1 / 2**0.5
    middle = ~(low | high)
    cdf[low] = 0.5 * _each(math.erfc, -x[low])
    cdf[middle] = 0.5 + 0.5 * _each(math.erf, x[middle])
    cdf[high] = 1.0 - 0.5 * _each(math.erfc, x[high])
    out = np.where(a > 6, -cdf, 0.0)
    near = ~(far | (a > 6))
    out[near] = _each(math.log, cdf[near])
    out[far] = optunas._log_ndtr(a[far])
    return out


def draw(mixture: _MixtureOfProductDistribution, rngs: Sequence[np.random.RandomState], size: int) -> Numbers:
    """What `mixture.sample(rng, size)` draws for each of the generators, in its numbers; [generators, size, d]."""
    parts: list[Any] = mixture.distributions
    choices = [place for place, part in enumerate(parts) if isinstance(part, _BatchedCategoricalDistributions)]
    ranges = [place for place in range(len(parts)) if place not in choices]
    out, kernels, quantiles = np.empty((len(rngs), size, len(parts))), [], []
    until_kernel = np.cumsum(mixture.weights)
    until_kernel /= until_kernel[-1]
    for mine, rng in zip(out, rngs, strict=True):
        kernels.append(until_kernel.searchsorted(rng.random_sample(size), side="right"))  # as `rng.choice`
        for place in choices:
            until = np.cumsum(parts[place].weights[kernels[-1]], axis=-1)
            until[:, -1] = 1
            mine[:, place] = np.sum(until < rng.rand(size)[:, np.newaxis], axis=-1)
        if ranges:
            quantiles.append(rng.uniform(low=0, high=1, size=(len(ranges), size)))
    if ranges:
        numeric = [parts[place] for place in ranges]
        mu, sigma = (np.array(columns) for columns in zip(*((one.mu, one.sigma) for one in numeric), strict=True))
        low = (np.array([[one.adapted_low] for one in numeric]) - mu) / sigma
        high = (np.array([[one.adapted_high] for one in numeric]) - mu) / sigma
        # So little lies past -19 that no bit of a sum depends on it.
        outside = np.maximum(np.where(low < 0, low, -high), -19.0)
        tables = np.array([mu, sigma, low, high, _log_inside(low, high), _log_cdf(outside.ravel()).reshape(low.shape)])
        mu, sigma, *of_kernels = tables[:, :, np.array(kernels)].swapaxes(1, 2)  # [g, k, size] each
        x = _quantiles(np.array(quantiles), *of_kernels) * sigma + mu
        for row, (place, one) in enumerate(zip(ranges, numeric, strict=True)):
            column = np.exp(x[:, row]) if one.is_log else x[:, row]
            if one.step:
                column = np.clip(one.low + np.round((column - one.low) / one.step) * one.step, one.low, one.high)
            out[:, :, place] = column
    return out


def _quantiles(q: Numbers, low: Numbers, high: Numbers, mass: Numbers, below: Numbers) -> Numbers:
    """Of normal distributions cut at low and high, as Optuna's `ppf` computes them for each [k, size] of [g, k, size].
    mass: the logarithm of what lies inside; below: of what lies past the low end, or, where that is right of the
    middle, past the high one."""
    group = np.broadcast_to(np.arange(len(q))[:, np.newaxis, np.newaxis], q.shape)
    left, out = low < 0, np.empty_like(q)
    right = ~left
    out[left] = _inverse(np.logaddexp(below[left], np.log(q[left]) + mass[left]), group[left])
    if right.any():
        logs = np.logaddexp(below[right], np.log1p(-q[right]) + mass[right])
        out[right] = -_inverse(logs, group[right])
    out[q == 0], out[q == 1] = low[q == 0], high[q == 1]
    out[low == high] = math.nan
    return out


def _log_inside(low: Numbers, high: Numbers) -> Numbers:
    """The logarithm of the normal distribution's mass between two points, as Optuna's `_log_gauss_mass` computes it."""
    around = (low <= 0) & (high > 0)
    outside = ~around
    out = np.empty_like(low)
    below, above = (0.5 + 0.5 * _each(math.erf, end[around] / 2**0.5) for end in (low, -high))
    out[around] = np.log1p(-below - above)
    if outside.any():
        out[outside] = optunas._log_gauss_mass(low[outside], high[outside])
    return out


def _inverse(y: Numbers, group: Places) -> Numbers:
    """x with log Phi(x) = y, as Optuna's `_ndtri_exp` finds it for each group: Newton's steps until a whole group is
    there, so the groups stop one by one."""
    flipped = y > -1e-2
    z = y.copy()
    z[flipped] = np.log(-np.expm1(y[flipped]))
    x = np.empty_like(y)
    small, moderate = np.nonzero(z < -5)[0], np.nonzero(z >= -5)[0]
    x[small] = -np.sqrt(-2.0 * (z[small] + optunas._norm_pdf_logC))
    x[moderate] = -optunas._ndtri_exp_approx_C * np.log(np.expm1(-z[moderate]))
    left, far = np.arange(len(x)), np.zeros(group.max(initial=0) + 1, dtype=bool)
    for _ in range(100):
        mine = x[left]
        log_cdf = _log_cdf(mine)
        log_pdf = -0.5 * mine**2 - optunas._norm_pdf_logC
        step = (log_cdf - z[left]) * np.exp(log_cdf - log_pdf)
        x[left] = mine = mine - step
        far[:] = False
        far[group[left][~(np.abs(step) < 1e-8 * np.abs(mine))]] = True
        left = left[far[group[left]]]
        if not left.size:
            break
    x[flipped] *= -1
    return x
