"""Optuna's TPE, made to ask for the very values that Optuna's own asks for without doing again what cannot have changed.

Optuna's sampler reads its whole study for every value: it splits the trials into good ones and the rest, turns each into
numbers and builds a density of both. Within a generation only trials without a result are added. So here finished trials
are read once, and the good ones' density is built once. Candidates are drawn by Optuna's code from Optuna's density. Which
of them is best are two sums that matter to a few digits only: they are computed plainly, and by Optuna itself where two
candidates come closer than MARGIN. Reaches into Optuna's insides, so it is used with versions that it is tested with.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.samplers._tpe.probability_distributions import (
    _BatchedCategoricalDistributions,
    _MixtureOfProductDistribution,
)
from optuna.samplers._tpe.sampler import default_gamma
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

MARGIN = 1e-9
"""Of two candidates' scores, which are logarithms: closer than this, Optuna's own sums decide."""

Numbers = NDArray[np.float64]


class GenerationTPE(TPESampler):
    """TPE for a study that is asked for many trials before it is told of one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._past = _Past()
        self._space: dict[str, BaseDistribution] = {}
        self._halves: dict[tuple[str, ...], _Halves] = {}

    def reseeded(self, seed: int) -> GenerationTPE:
        """This sampler, which draws from now on as one that was made with that seed."""
        self._rng.rng.seed(seed)
        self._random_sampler._rng.rng.seed(seed)
        return self

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As Optuna's: trials with the same hyperparameters as one before them divide the space no further."""
        self._past.read(study)
        assert self._group_decomposed_search_space is not None
        groups = self._group_decomposed_search_space._search_space
        if self._past.spaces or self._search_space_group is None:
            while self._past.spaces:
                groups.add_distributions(self._past.spaces.pop(0))
            self._search_space_group = copy.deepcopy(groups)
            pairs = (pair for space in groups.search_spaces for pair in sorted(space.items()))
            self._space = {name: one for name, one in pairs if not one.single()}
        return self._space

    def _sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space or self._past.count < self._n_startup_trials:
            return {}
        return self._sample(study, trial, search_space)

    def _sample(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        liars = self._past.read(study)
        if liars is None or len(study.directions) > 1:
            return super()._sample(study, trial, search_space)
        key = tuple(search_space)
        halves = self._halves.get(key)
        if halves is None or halves.finished != self._past.count:
            halves = self._halves[key] = self._split(study, search_space)
        params = [self._get_params(one, study) for one in liars if one.number != trial.number]
        params = [one for one in params if search_space.keys() <= one.keys()]
        rest = {
            name: np.append(halves.rest[name], [spread.to_internal_repr(one[name]) for one in params])
            for name, spread in search_space.items()
        }
        above = self._estimator(rest, search_space)
        halves.above = _Density(above._mixture_distribution, halves.above)
        samples = halves.below.sample(self._rng.rng, self._n_ei_candidates)
        matrix = halves.below._transform(samples)
        scores = np.log(halves.good.at(matrix)) - np.log(halves.above.at(matrix))
        best = int(np.argmax(scores))
        near = ~(scores < scores[best] - MARGIN)
        if (matrix[near] != matrix[best]).any():
            best = int(np.argmax(self._compute_acquisition_func(samples, halves.below, above)))
        return {name: one.to_external_repr(samples[name][best].item()) for name, one in search_space.items()}

    def _split(self, study: Study, space: dict[str, BaseDistribution]) -> _Halves:
        """The finished trials that have all hyperparameters of a space, as good ones and the rest."""
        gamma = self._gamma or default_gamma
        columns = {name: self._past.column(name) for name in space}
        whole = ~np.isnan(list(columns.values())).any(axis=0)
        ranked = self._past.ranked(-1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0)
        good, rest = (np.sort(half) for half in np.split(ranked, [gamma(len(ranked))]))
        good, rest = (half[whole[half]] for half in (good, rest))
        below = self._estimator({name: column[good] for name, column in columns.items()}, space)
        return _Halves(
            self._past.count,
            below,
            _Density(below._mixture_distribution),
            {name: column[rest] for name, column in columns.items()},
        )

    def _estimator(self, columns: dict[str, Numbers], space: dict[str, BaseDistribution]) -> _ParzenEstimator:
        return _ParzenEstimator(columns, space, self._parzen_estimator_parameters)


@dataclass
class _Halves:
    """Of one space, for one generation. finished: trials that were finished; below: Optuna's density of the good ones,
    good: the same here; rest: the numbers of the others, [n] each; above: their density for the last value asked."""

    finished: int
    below: _ParzenEstimator
    good: _Density
    rest: dict[str, Numbers]
    above: _Density | None = None


class _Past:
    """The finished trials of a study that count, as numbers. count: how many; spaces: distributions of trials that are
    unlike those before, for the sampler to take."""

    def __init__(self) -> None:
        self.count = self.seen = 0
        self.spaces: list[dict[str, BaseDistribution]] = []
        self.kinds: set[frozenset[str]] = set()
        self.columns: dict[str, list[float]] = {}
        self.ranks: list[tuple[float, float, float]] = []

    def read(self, study: Study) -> list[FrozenTrial] | None:
        """Takes in what has finished; returns the trials that run, None if one after them has finished."""
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        while self.seen < len(trials) and trials[self.seen].state.is_finished():
            if trials[self.seen].state in (TrialState.COMPLETE, TrialState.PRUNED):
                self._take(trials[self.seen])
            self.seen += 1
        open_ = [trial for trial in trials[self.seen :] if trial.state != TrialState.FAIL]
        return open_ if all(trial.state == TrialState.RUNNING for trial in open_) else None

    def column(self, name: str) -> Numbers:
        """A hyperparameter of every trial in Optuna's numbers, NaN where it has none."""
        return np.array(self.columns.get(name, [math.nan] * self.count))

    def ranked(self, sign: float) -> NDArray[np.int64]:
        """The trials from the best to the worst: complete ones, then pruned ones, the further they got."""
        kind, step, value = np.array(self.ranks).T
        return np.lexsort((sign * value, step, kind))

    def _take(self, trial: FrozenTrial) -> None:
        kind = frozenset(trial.distributions)
        if kind not in self.kinds:
            self.kinds.add(kind)
            self.spaces.append(trial.distributions)
        for name in kind - self.columns.keys():
            self.columns[name] = [math.nan] * self.count
        for name, column in self.columns.items():
            one = trial.distributions.get(name)
            column.append(math.nan if one is None else one.to_internal_repr(trial.params[name]))
        self.count += 1
        if trial.state == TrialState.COMPLETE:
            self.ranks.append((0.0, 0.0, trial.values[0]))
        else:
            step, value = max(trial.intermediate_values.items(), default=(-1, 0.0))
            self.ranks.append((1.0, -step, value))


class _Density:
    """A mixture of products as Optuna's estimator has it, for sums to a few digits."""

    def __init__(self, mixture: _MixtureOfProductDistribution, before: _Density | None = None) -> None:
        """before: the density of one trial less, whose kernels' masses are those of most here."""
        self.parts = mixture.distributions
        self.factor = mixture.weights.copy()  # [n]
        self.masses: list[Numbers | None] = []
        for place, part in enumerate(self.parts):
            mass = None
            if not isinstance(part, _BatchedCategoricalDistributions):
                mass = self._mass_inside(part, before, place)
                self.factor /= mass if part.step else mass * part.sigma
            self.masses.append(mass)

    def at(self, matrix: Numbers) -> Numbers:
        """The density of every row but for a constant; matrix: candidates in Optuna's numbers, [m, d]; [m]."""
        product = np.repeat(self.factor[np.newaxis], len(matrix), axis=0)  # [m, n]
        square = np.zeros_like(product)
        for part, x in zip(self.parts, matrix.T, strict=True):
            if isinstance(part, _BatchedCategoricalDistributions):
                product *= np.ascontiguousarray(part.weights.T)[x.astype(np.int64)]
            elif part.step:
                product *= _bins(part, x)
            else:
                z = ((np.log(x) if part.is_log else x)[:, np.newaxis] - part.mu) / part.sigma
                square += z * z
        return np.einsum("mn,mn->m", product, np.exp(-0.5 * square))

    def _mass_inside(self, part: Any, before: _Density | None, place: int) -> Numbers:
        """How much of each kernel lies inside the range, [n]."""
        mass, stale = np.empty(len(part.mu)), np.ones(len(part.mu), dtype=bool)
        if before is not None:
            old = before.parts[place]
            size = min(len(old.mu), len(part.mu))
            stale[:size] = (old.mu[:size] != part.mu[:size]) | (old.sigma[:size] != part.sigma[:size])
            mass[:size] = before.masses[place][:size]
        mu, sigma = part.mu[stale], part.sigma[stale]
        mass[stale] = _mass((part.adapted_low - mu) / sigma, (part.adapted_high - mu) / sigma)
        return mass


def _bins(part: Any, x: Numbers) -> Numbers:
    """The mass of each kernel in the step around each value, [m, n]."""
    values, row = np.unique(x, return_inverse=True)
    kernels, column = np.unique(part.mu + 1j * part.sigma, return_inverse=True)
    ends = np.array([values - part.step / 2, values + part.step / 2])[:, :, np.newaxis]
    low, high = ((np.log(ends) if part.is_log else ends) - kernels.real) / kernels.imag
    return _mass(low, high)[row][:, column]


def _mass(low: Numbers, high: Numbers) -> Numbers:
    """The normal distribution's mass between two points, computed on the side where it is small."""
    flip = low + high > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    return 0.5 * (_erfc(-high / math.sqrt(2)) - _erfc(-low / math.sqrt(2))).astype(np.float64)


_erfc = np.frompyfunc(math.erfc, 1, 1)
