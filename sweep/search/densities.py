"""The densities of Optuna's TPE over many candidates: drawn to the bit as Optuna draws them, compared to a few digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
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

FAR = 16.0
"""Widths past which a kernel counts nothing beside the wide one: 1e-56, however narrow it is elsewhere."""

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """A range as Optuna's kernels see it: low and high with half a step around, logarithms where log."""

    low: float
    high: float
    log: bool
    step: float

    @classmethod
    def of(cls, one: Any) -> Axis:
        """From a distribution that is no choice."""
        half = (one.step or 0) / 2
        ends = one.low - half, one.high + half
        low, high = (math.log(end) for end in ends) if one.log else ends
        return cls(low, high, one.log, float(one.step or 0))

    def scaled(self, x: Numbers) -> Numbers:
        """To [-1/2, 1/2], so that little is lost where squares are taken apart."""
        return (x - (self.low + self.high) / 2) / (self.high - self.low)


class Density:
    """A mixture of kernels, one for each trial and a wide one.

    factor: what a kernel counts, less what of it lies outside, [n]; mu, sigma: of the ranges, [k, n]; tables: how much a
    kernel counts at each choice, [choices, n].
    """

    def __init__(
        self, columns: Numbers, space: Sequence[BaseDistribution], weights: Numbers, before: Density | None
    ) -> None:
        """columns: the trials in Optuna's numbers, [d, n - 1]; weights: of the kernels, [n]; before: the density of
        fewer trials, the same but for the last ones."""
        self.choices = [place for place, one in enumerate(space) if isinstance(one, CategoricalDistribution)]
        self.ranges = [place for place in range(len(space)) if place not in self.choices]
        self.axes = [Axis.of(space[place]) for place in self.ranges]
        self.tables = [_choices(columns[place], space[place]) for place in self.choices]
        self.factor = weights.copy()
        self.mu = self.sigma = np.empty((0, len(weights)))
        if self.ranges:
            ends = np.array([(axis.low, axis.high) for axis in self.axes])  # [k, 2]
            logs = np.array([[axis.log] for axis in self.axes])
            mu = columns[self.ranges]
            self.mu, self.sigma = _kernels(np.log(mu, out=mu, where=logs), ends)
            self.inside = self._inside(ends, before)
            self.factor /= self.inside.prod(axis=0)
            self.factor /= self.sigma[[not axis.step for axis in self.axes]].prod(axis=0)

    def at(self, matrix: Numbers) -> Numbers:
        """The density of every row, but for a constant; matrix: candidates in Optuna's numbers, [m, d]; [m]."""
        picked = [
            (table, matrix[:, place].astype(np.int64)) for place, table in zip(self.choices, self.tables, strict=True)
        ]
        smooth, stepped = [], []
        for place, axis, mu, sigma in zip(self.ranges, self.axes, self.mu, self.sigma, strict=True):
            if axis.step:
                stepped.append(_steps(matrix[:, place], axis, mu, sigma))
            else:
                smooth.append((matrix[:, place], axis, mu, sigma))
        left, right = _squares(smooth, len(matrix), len(self.factor))
        out, size = np.zeros(len(matrix)), max(1, BLOCK // len(matrix))
        for first in range(0, len(self.factor), size):
            block = slice(first, first + size)
            kernels = np.exp(left @ right[:, block])  # [m, size]
            for table, choice in picked:
                kernels *= table[:, block][choice]
            for masses, row, column in stepped:
                kernels *= masses[:, column[block]][row]
            out += kernels @ self.factor[block]
        return out

    def _inside(self, ends: Numbers, before: Density | None) -> Numbers:
        """How much of each kernel lies inside its range, [k, n]."""
        out, stale = np.empty_like(self.mu), np.ones(self.mu.shape, dtype=bool)
        if before is not None:
            size = min(before.mu.shape[1], self.mu.shape[1])
            stale[:, :size] = before.mu[:, :size] != self.mu[:, :size]
            stale[:, :size] |= before.sigma[:, :size] != self.sigma[:, :size]
            out[:, :size] = before.inside[:, :size]
        row, _ = np.nonzero(stale)
        mu, sigma = self.mu[stale], self.sigma[stale]
        out[stale] = _mass((ends[row, 0] - mu) / sigma, (ends[row, 1] - mu) / sigma)
        return out


def _choices(column: Numbers, one: BaseDistribution) -> Numbers:
    """What each kernel counts at each choice: one observation more there than elsewhere, [choices, n]."""
    assert isinstance(one, CategoricalDistribution)
    size, kernels = len(one.choices), len(column) + 1
    table = np.full((size, kernels), 1 / kernels if len(column) else 1.0)
    table[column.astype(np.int64), np.arange(len(column))] += 1
    table /= table.sum(axis=0)
    return table


def _kernels(mu: Numbers, ends: Numbers) -> tuple[Numbers, Numbers]:
    """Middles and widths, each [k, n]: as wide as the larger distance to a neighbour, within limits, and one as wide as
    the range. mu: [k, n - 1]; ends: [k, 2]."""
    low, high = ends[:, :1], ends[:, 1:]
    count, width = mu.shape[1] + 1, high - low
    order = np.argsort(mu, axis=1)
    there = np.concatenate([low, np.take_along_axis(mu, order, axis=1), high], axis=1)
    gaps = np.diff(there, axis=1)
    wide = np.maximum(gaps[:, :-1], gaps[:, 1:])
    if count > 2:  # at the ends, the distance to the only neighbour
        wide[:, 0], wide[:, -1] = gaps[:, 1], gaps[:, -2]
    sigma = np.empty_like(mu)
    np.put_along_axis(sigma, order, np.clip(wide, width / min(100.0, 1.0 + count), width), axis=1)
    return np.concatenate([mu, (low + high) / 2], axis=1), np.concatenate([sigma, width], axis=1)


def _squares(smooth: Sequence[tuple[Numbers, Axis, Numbers, Numbers]], m: int, n: int) -> tuple[Numbers, Numbers]:
    """Two matrices, [m, 2k + 1] and [2k + 1, n], whose product is -z^2 / 2, summed over k ranges, of m values and n
    kernels. smooth: the values of each range, [m], and its kernels, [n]."""
    left, right = np.ones((m, 2 * len(smooth) + 1)), np.zeros((2 * len(smooth) + 1, n))
    for k, (x, axis, mu, sigma) in enumerate(smooth):
        x, mu, narrow = (
            axis.scaled(np.log(x) if axis.log else x),
            axis.scaled(mu),
            ((axis.high - axis.low) / sigma) ** 2,
        )
        left[:, 2 * k], left[:, 2 * k + 1] = x * x, x
        right[2 * k], right[2 * k + 1] = -narrow / 2, narrow * mu
        right[-1] -= narrow * mu * mu / 2
    return left, right


def _steps(x: Numbers, axis: Axis, mu: Numbers, sigma: Numbers) -> tuple[Numbers, Places, Places]:
    """The mass of each kernel in the step around each value: of the different ones of both, and which of them they are,
    [m] and [n]. There are few different kernels on a grid."""
    values, row = np.unique(x, return_inverse=True)
    _, first, column = np.unique(mu + math.pi * sigma, return_index=True, return_inverse=True)
    if (mu[first][column] != mu).any() or (sigma[first][column] != sigma).any():
        first = column = np.arange(len(mu))
    ends = np.array([values - axis.step / 2, values + axis.step / 2])[:, :, np.newaxis]
    low, high = ((np.log(ends) if axis.log else ends) - mu[first]) / sigma[first]
    return _mass(low, high), row, column


def _mass(low: Numbers, high: Numbers) -> Numbers:
    """The normal distribution's mass between two points, computed on the side where it is small; none past FAR."""
    flip = low + high > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    mass, near = np.zeros(low.shape), high > -FAR
    mass[near] = _erfc(-high[near] / math.sqrt(2)) - _erfc(-low[near] / math.sqrt(2))
    return mass / 2


_erfc, _erf, _log = (np.frompyfunc(one, 1, 1) for one in (math.erfc, math.erf, math.log))


def _log_cdf(a: Numbers) -> Numbers:
    """log Phi(a) in the very operations of Optuna's `_log_ndtr`, which computes numbers one by one; [n]."""
    far = (a <= -20) | np.isnan(a)
    x = np.where(a > 6, -a, np.where(far, 0.0, a)) / 2**0.5
    cdf = np.empty_like(x)
    low, high = x < -1 / 2**0.5, x >= 1 / 2**0.5
    middle = ~(low | high)
    cdf[low] = 0.5 * _erfc(-x[low])
    cdf[middle] = 0.5 + 0.5 * _erf(x[middle])
    cdf[high] = 1.0 - 0.5 * _erfc(x[high])
    out = np.where(a > 6, -cdf, 0.0)
    near = ~(far | (a > 6))
    out[near] = _log(cdf[near])
    out[far] = optunas._log_ndtr(a[far])
    return out


def draw(mixture: _MixtureOfProductDistribution, rngs: Sequence[np.random.RandomState], size: int) -> Numbers:
    """What `mixture.sample(rng, size)` draws for each of the generators, in its numbers; [generators, size, d]."""
    parts: list[Any] = mixture.distributions
    choices = [place for place, part in enumerate(parts) if isinstance(part, _BatchedCategoricalDistributions)]
    ranges = [place for place in range(len(parts)) if place not in choices]
    out, kernels, quantiles = np.empty((len(rngs), size, len(parts))), [], []
    for mine, rng in zip(out, rngs, strict=True):
        kernels.append(rng.choice(len(mixture.weights), p=mixture.weights, size=size))
        for place in choices:
            until = np.cumsum(parts[place].weights[kernels[-1]], axis=-1)
            until[:, -1] = 1
            mine[:, place] = np.sum(until < rng.rand(size)[:, np.newaxis], axis=-1)
        if ranges:
            quantiles.append(rng.uniform(low=0, high=1, size=(len(ranges), size)))
    if ranges:
        numeric = [parts[place] for place in ranges]
        mu, sigma = (
            np.stack([column[kernels] for column in columns], axis=1)
            for columns in ([one.mu for one in numeric], [one.sigma for one in numeric])
        )
        low = np.array([[one.adapted_low] for one in numeric])
        high = np.array([[one.adapted_high] for one in numeric])
        x = _quantiles(np.array(quantiles), (low - mu) / sigma, (high - mu) / sigma) * sigma + mu
        for row, (place, one) in enumerate(zip(ranges, numeric, strict=True)):
            column = np.exp(x[:, row]) if one.is_log else x[:, row]
            if one.step:
                column = np.clip(one.low + np.round((column - one.low) / one.step) * one.step, one.low, one.high)
            out[:, :, place] = column
    return out


def _quantiles(q: Numbers, low: Numbers, high: Numbers) -> Numbers:
    """Of normal distributions cut at low and high, as Optuna's `ppf` computes them for each [k, size] of [g, k, size]."""
    mass = _log_inside(low, high)
    group = np.broadcast_to(np.arange(len(q))[:, np.newaxis, np.newaxis], q.shape)
    left, out = low < 0, np.empty_like(q)
    right = ~left
    below = _log_cdf(np.maximum(low[left], -19.0))  # so small there that no bit of the sum depends on it
    out[left] = _inverse(np.logaddexp(below, np.log(q[left]) + mass[left]), group[left])
    if right.any():
        logs = np.logaddexp(_log_cdf(np.maximum(-high[right], -19.0)), np.log1p(-q[right]) + mass[right])
        out[right] = -_inverse(logs, group[right])
    out[q == 0], out[q == 1] = low[q == 0], high[q == 1]
    out[low == high] = math.nan
    return out


def _log_inside(low: Numbers, high: Numbers) -> Numbers:
    """The logarithm of the normal distribution's mass between two points, as Optuna's `_log_gauss_mass` computes it."""
    around = (low <= 0) & (high > 0)
    outside = ~around
    out = np.empty_like(low)
    below, above = (0.5 + 0.5 * np.asarray(_erf(end[around] / 2**0.5), np.float64) for end in (low, -high))
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
    left = np.arange(len(x))
    for _ in range(100):
        mine = x[left]
        log_cdf = _log_cdf(mine)
        log_pdf = -0.5 * mine**2 - optunas._norm_pdf_logC
        step = (log_cdf - z[left]) * np.exp(log_cdf - log_pdf)
        x[left] = mine = mine - step
        far = group[left][~(np.abs(step) < 1e-8 * np.abs(mine))]
        left = left[np.isin(group[left], far)]
        if not left.size:
            break
    x[flipped] *= -1
    return x
