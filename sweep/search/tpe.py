"""Optuna's TPE, made to ask for the very values that Optuna's own asks for without doing again what cannot have changed.

Optuna's sampler reads its whole study for every value: it splits the trials into good ones and the rest, turns each into
numbers and builds a density of both. Within a generation only trials without a result are added. So here finished trials
are read once; the good ones' density is built once, by Optuna, and the candidates of the whole generation are drawn from
it together. Which candidate is best are two sums that matter to a few digits only: they are computed plainly, and by
Optuna where two candidates come closer than MARGIN. Reaches into Optuna's insides, so it is used with versions that it is
tested with.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.samplers._tpe.sampler import default_gamma
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweep.search.densities import Columns, Density, Numbers, Places, Points, draw

MARGIN = 1e-9
"""Of two candidates' scores, which are logarithms: closer than this, Optuna's own sums decide."""

Space = dict[str, BaseDistribution]


class GenerationTPE(TPESampler):
    """TPE for a study that is asked for many trials before it is told of one."""

    def __init__(self, seeded: Callable[[int], int], in_flight: int, **options: Any) -> None:
        """seeded: the seed that an asking draws from, by its number."""
        super().__init__(**options)
        self._seeded, self._in_flight, self._asking = seeded, in_flight, 0
        self._past = _Past()
        self._space: Space = {}
        self._halves: dict[tuple[str, ...], _Half] = {}
        self._drawn: dict[int, _Drawn] = {}
        # Made once: that takes longer than their draws.
        self._rngs = [np.random.RandomState() for _ in range(in_flight)]

    def for_asking(self, number: int) -> GenerationTPE:
        """This sampler, which draws from now on as one that was made with the asking's seed."""
        self._asking, seed = number, self._seeded(number)
        self._rng.rng.seed(seed)
        self._random_sampler._rng.rng.seed(seed)
        return self

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Space:
        """As Optuna's: trials with the same hyperparameters as one before them divide the space no further."""
        self._past.read(study)
        assert self._group_decomposed_search_space is not None
        groups = self._group_decomposed_search_space._search_space
        if self._past.spaces or self._search_space_group is None:
            while self._past.spaces:
                groups.add_distributions(self._past.spaces.pop(0))
            self._search_space_group = copy.deepcopy(groups)
            self._space = {name: one for space in self._parts() for name, one in space.items()}
        return self._space

    def _parts(self) -> list[Space]:
        """The spaces whose hyperparameters are drawn together, in Optuna's order."""
        assert self._search_space_group is not None
        spaces = self._search_space_group.search_spaces
        return [{name: one for name, one in sorted(space.items()) if not one.single()} for space in spaces]

    def _sample_relative(self, study: Study, trial: FrozenTrial, search_space: Space) -> dict[str, Any]:
        if not search_space or self._past.count < self._n_startup_trials:
            return {}
        if len(study.directions) > 1:
            return super()._sample(study, trial, search_space)
        drawn = self._drawn.get(self._asking)
        if drawn is None or drawn.finished != self._past.count:
            self._draw_generation(study)
            drawn = self._drawn[self._asking]
        self._rng._rng = drawn.rng
        return self._best(study, trial, self._half(study, search_space), drawn.candidates[tuple(search_space)])

    def _sample(self, study: Study, trial: FrozenTrial, search_space: Space) -> dict[str, Any]:
        """One hyperparameter that no space above has, or all of a search with several objectives."""
        self._past.read(study)
        if len(study.directions) > 1:
            return super()._sample(study, trial, search_space)
        half = self._half(study, search_space)
        return self._best(study, trial, half, half.draw([self._rng.rng], self._n_ei_candidates)[0])

    def _draw_generation(self, study: Study) -> None:
        """Draws the candidates of this asking and those that follow in its generation."""
        numbers = range(self._asking, (self._asking // self._in_flight + 1) * self._in_flight)
        found = [_Drawn(self._past.count, rng, {}) for rng in self._rngs[: len(numbers)]]
        for one, number in zip(found, numbers, strict=True):
            one.rng.seed(self._seeded(number))
        for space in filter(None, self._parts()):
            drawn = self._half(study, space).draw([one.rng for one in found], self._n_ei_candidates)
            for one, candidates in zip(found, drawn, strict=True):
                one.candidates[tuple(space)] = candidates
        self._drawn = dict(zip(numbers, found, strict=True))

    def _best(self, study: Study, trial: FrozenTrial, half: _Half, candidates: _Candidates) -> dict[str, Any]:
        """The candidate that is likelier among the good ones than among the rest, by the most."""
        liars = [one for one in self._past.running if one.number != trial.number]
        columns = half.with_running(liars, lambda one: self._get_params(one, study))
        weights = self._parzen_estimator_parameters.weights(len(columns[0]))
        points = candidates.points
        half.others = Density(half.columns, columns, _with_prior(weights), half.others, points)
        scores = candidates.scores - np.log(half.others.at(points))
        best = int(np.argmax(scores))
        near = ~(scores < scores[best] - MARGIN)
        if (points.matrix[near] != points.matrix[best]).any():
            above = self._estimator(half.space, columns)
            samples = half.below._untransform(points.matrix)
            best = int(np.argmax(self._compute_acquisition_func(samples, half.below, above)))
        row = points.matrix[best].tolist()
        return {name: one.to_external_repr(x) for (name, one), x in zip(half.space.items(), row, strict=True)}

    def _half(self, study: Study, space: Space) -> _Half:
        """The finished trials that have all hyperparameters of a space, as good ones and the rest."""
        half = self._halves.get(tuple(space))
        if half is None or half.finished != self._past.count:
            split = self._past.split(study.direction, (self._gamma or default_gamma)(self._past.count))
            columns, rest = (self._past.columns(space, places) for places in split)
            weights = _with_prior(self._parzen_estimator_parameters.weights(len(columns[0])))
            below = self._estimator(space, columns)
            half = _Half(self._past.count, space, Columns(list(space.values())), below, columns, weights, rest)
            self._halves[tuple(space)] = half
        return half

    def _estimator(self, space: Space, columns: Numbers) -> _ParzenEstimator:
        """Optuna's own density."""
        observed = dict(zip(space, columns, strict=True))
        return _ParzenEstimator(observed, space, self._parzen_estimator_parameters)


def _with_prior(weights: Numbers) -> Numbers:
    """The weights of the trials' kernels and the wide one's, [n]."""
    whole: Numbers = np.append(weights, 1.0)
    whole /= whole.sum()
    return whole


@dataclass
class _Candidates:
    """scores: the logarithm of their density among the good ones, [m]."""

    points: Points
    scores: Numbers


@dataclass
class _Drawn:
    """What one asking draws, while so many trials are finished: candidates by the names of their hyperparameters, and
    its generator after it."""

    finished: int
    rng: np.random.RandomState
    candidates: dict[tuple[str, ...], _Candidates]


@dataclass
class _Half:
    """The finished trials as good ones and the rest, for the hyperparameters of one space. below: Optuna's density of
    the good ones; good, rest: both in Optuna's numbers, [d, n]; weights: of the good ones' kernels; others: the density
    of the rest at the last asking; running: the numbers of trials without a result, None of those without these
    hyperparameters."""

    finished: int
    space: Space
    columns: Columns
    below: _ParzenEstimator
    good: Numbers
    weights: Numbers
    rest: Numbers
    others: Density | None = None
    running: dict[int, list[float] | None] = field(default_factory=dict)

    def draw(self, rngs: list[np.random.RandomState], size: int) -> list[_Candidates]:
        """The candidates of each generator."""
        drawn = draw(self.below._mixture_distribution, rngs, size)
        points = Points.of(drawn.reshape(-1, drawn.shape[-1]), self.columns)
        scores = np.log(Density(self.columns, self.good, self.weights, None, points).at(points))
        places = [slice(first, first + size) for first in range(0, len(scores), size)]
        return [_Candidates(points[mine], scores[mine]) for mine in places]

    def with_running(self, trials: list[FrozenTrial], params: Callable[[FrozenTrial], dict[str, Any]]) -> Numbers:
        """The rest and the trials that run: of those too, the ones that have all hyperparameters; [d, n]."""
        for trial in trials:
            if trial.number not in self.running:
                known = params(trial)
                whole = self.space.keys() <= known.keys()
                row = [one.to_internal_repr(known[name]) for name, one in self.space.items()] if whole else None
                self.running[trial.number] = row
        rows = [row for trial in trials if (row := self.running[trial.number])]
        return np.concatenate([self.rest, np.array(rows, dtype=np.float64).reshape(-1, len(self.space)).T], axis=1)


class _Past:
    """The finished trials of a study that count, as numbers. count: how many; running: those without a result; spaces:
    distributions of trials that are unlike those before, for the sampler to take."""

    def __init__(self) -> None:
        self.count = self.seen = 0
        self.running: list[FrozenTrial] = []
        self.spaces: list[Space] = []
        self.kinds: set[frozenset[str]] = set()
        self.values: dict[str, list[float]] = {}  # NaN where a trial has none
        self.ranks: list[tuple[float, float, float]] = []

    def read(self, study: Study) -> None:
        """Takes in what has finished."""
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        while self.seen < len(trials) and trials[self.seen].state.is_finished():
            if trials[self.seen].state in (TrialState.COMPLETE, TrialState.PRUNED):
                self._take(trials[self.seen])
            self.seen += 1
        self.running = [trial for trial in trials[self.seen :] if trial.state != TrialState.FAIL]
        assert all(trial.state == TrialState.RUNNING for trial in self.running), "told before its generation was whole"

    def split(self, direction: StudyDirection, good: int) -> tuple[Places, Places]:
        """The best trials and the rest, in the order of asking: complete ones, then pruned ones, the further they got."""
        kind, step, value = np.array(self.ranks).T
        ranked = np.lexsort((-value if direction == StudyDirection.MAXIMIZE else value, step, kind))
        return np.sort(ranked[:good]), np.sort(ranked[good:])

    def columns(self, space: Space, places: Places) -> Numbers:
        """Those of the trials that have all hyperparameters of a space, in Optuna's numbers, [d, n]."""
        table = np.array([self.values.get(name, [math.nan] * self.count) for name in space], dtype=np.float64)[
            :, places
        ]
        return np.asarray(table[:, ~np.isnan(table).any(axis=0)])

    def _take(self, trial: FrozenTrial) -> None:
        kind = frozenset(trial.distributions)
        if kind not in self.kinds:
            self.kinds.add(kind)
            self.spaces.append(trial.distributions)
        for name in kind - self.values.keys():
            self.values[name] = [math.nan] * self.count
        for name, column in self.values.items():
            one = trial.distributions.get(name)
            column.append(math.nan if one is None else one.to_internal_repr(trial.params[name]))
        self.count += 1
        if trial.state == TrialState.COMPLETE:
            self.ranks.append((0.0, 0.0, trial.values[0]))
        else:
            step, value = max(trial.intermediate_values.items(), default=(-1, 0.0))
            self.ranks.append((1.0, -step, value))
