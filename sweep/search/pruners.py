"""Who stops trials early: when settings are compared, and which of them are trained no further.

Each is judged against its own generation and all before it. Generations are whole: `--trials` is rounded up where there
is a pruner. So a search that grows later decides as one that had all its trials from the start.
"""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from sweep.data import DataInfo
from sweep.errors import UsageError
from sweep.plan import DECIDES_FIT, corners, epochs_of
from sweep.recipe import Recipe
from sweep.search.samplers import quietly
from sweep.space import Trial
from sweep.wording import count

FEWEST = 4
"""Pairs of seeds from which Wilcoxon's test can reach LEVEL: the smallest p of four is 1/16."""

LEVEL = 0.1
"""Of Wilcoxon's test, one-sided; Optuna's default."""

_GOLDEN = (math.sqrt(5) - 1) / 2

Values = Mapping[int, float | None]
"""A metric by trial number; None where the trial diverged, which is worse than any."""


class Pruner:
    """The pruner of a search. A setting with several seeds is judged by their mean, and its seeds leave together."""

    def __init__(self, recipe: Recipe, data: DataInfo) -> None:
        assert recipe.search is not None
        self.search, self.seeds, self.direction = recipe.search, len(recipe.seeds), recipe.direction
        self.sign = 1.0 if recipe.direction == "minimize" else -1.0
        self.data = data
        shares = _shares(recipe, data) if self.search.pruner == "hyperband" else []
        self.ends = list(itertools.accumulate(shares))[:-1]  # of the brackets, in [0, 1]
        self.past: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}  # by rung: the trials before that number

    def rungs(self, trial: Trial) -> list[int]:
        """The epochs after which a trial may be pruned: in bracket b, the first b are left out."""
        out, epochs = [], self.search.min_epochs * self.search.reduction ** self.bracket(trial.number // self.seeds)
        while epochs < epochs_of(trial.setting, self.data):
            out.append(epochs)
            epochs *= self.search.reduction
        return out

    def bracket(self, setting: int) -> int:
        """Hyperband's bracket of the setting that was asked as that number: multiples of the golden ratio fill the
        brackets evenly, each by its share, whatever the size of a generation."""
        return bisect.bisect_right(self.ends, (setting * _GOLDEN) % 1.0) if self.ends else 0

    def losers(self, numbers: Iterable[int], rung: int, first: int, values: Callable[[int], Values]) -> list[int]:
        """Those of the trials that leave at a rung, by the values of all that were trained as far. With median, what
        is worse than the median; else all but the best of each `reduction`, one at least (successive halving, Li et
        al. 2020; Hyperband, Li et al. 2018, does so in each bracket). Of equal ones the first asked is better.

        first: the generation's first trial; values: reads those of the trials from a number on. What came before the
        generation changes no more, and is read once."""
        since, *past = self.past.get(rung, (0, np.empty(0, np.int64), np.empty(0)))
        settings, scores = (np.concatenate(pair) for pair in zip(past, self._scores(values(since)), strict=True))
        before = np.searchsorted(settings, first // self.seeds)
        self.past[rung] = first - first % self.seeds, settings[:before], scores[:before]
        brackets = np.array([self.bracket(setting) for setting in settings]) if self.ends else np.zeros(len(settings))
        stay: set[int] = set()
        for bracket in set(brackets.tolist()):
            mine = brackets == bracket
            stay.update(settings[mine][self._stay(scores[mine])].tolist())
        return [number for number in numbers if number // self.seeds not in stay]

    def worse(self, settings: Iterable[int], values: Values, count: int) -> list[int]:
        """Those of the settings that are worse than the best so far on the first
        `count` seeds, by Optuna's WilcoxonPruner (signed-rank test of the seeds'
        differences); values: of all trials that were trained to their end."""
        known: dict[int, dict[int, float]] = {}
        for number, value in values.items():
            setting, seed = divmod(number, self.seeds)
            if seed < count:
                known.setdefault(setting, {})[seed] = math.inf if value is None else self.sign * value
        means = [
            (statistics.fmean(by_seed.values()), setting) for setting, by_seed in known.items() if len(by_seed) == count
        ]
        if not means:
            return []
        best = known[min(means)[1]]
        rivals = (setting for setting in settings if setting in known)
        return [setting for setting in rivals if known[setting] != best and _worse(known[setting], best)]

    def _scores(self, values: Values) -> tuple[np.ndarray, np.ndarray]:
        """The settings, by number, and what each is judged by, less is
        better: the mean over its seeds, infinite if one diverged."""
        settings = np.fromiter(values, dtype=np.int64, count=len(values)) // self.seeds
        scores = [math.inf if value is None else self.sign * value for value in values.values()]
        there, place, counts = np.unique(settings, return_inverse=True, return_counts=True)
        return there, np.bincount(place, scores, len(there)) / counts

    def _stay(self, scores: np.ndarray) -> np.ndarray:
        """The places in a bracket of those that go on; what diverged does not."""
        if self.search.pruner == "median":
            return np.flatnonzero(np.isfinite(scores) & (scores <= np.median(scores)))
        best = np.argsort(scores, kind="stable")[: max(1, len(scores) // self.search.reduction)]
        return np.asarray(best[np.isfinite(scores[best])])


def _worse(mine: Mapping[int, float], best: Mapping[int, float]) -> bool:
    """Optuna's own decision, with seeds as its steps. A diverged seed is as far behind as a number can be."""

    def freeze(values: Mapping[int, float], state: TrialState) -> optuna.trial.FrozenTrial:
        finite = {seed: min(value, 1e300) for seed, value in values.items()}
        return create_trial(state=state, value=statistics.fmean(finite.values()), intermediate_values=finite)

    with quietly():
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=LEVEL, n_startup_steps=FEWEST)
        study = optuna.create_study(direction=StudyDirection.MINIMIZE)
        study.add_trial(freeze(best, TrialState.COMPLETE))
        return pruner.prune(study, freeze(mine, TrialState.RUNNING))


def _shares(recipe: Recipe, data: DataInfo) -> list[float]:
    """The share of settings in each of Hyperband's brackets, those that are pruned from the first rung on foremost:
    so that every bracket gets about the same number of epochs."""
    assert recipe.search is not None
    least, reduction, count = recipe.search.min_epochs, recipe.search.reduction, 1
    while least * reduction**count <= most_epochs(recipe, data):
        count += 1
    budgets = [math.ceil(count * reduction**left / (left + 1)) for left in reversed(range(count))]
    return [budget / sum(budgets) for budget in budgets]


def most_epochs(recipe: Recipe, data: DataInfo) -> int:
    """The most epochs that a trial of the recipe may have."""
    if recipe.trainer:
        return max(recipe.row_ends("epochs"), default=1)
    groups = corners(recipe).grid.census.groups
    programs = (program for group in groups for program in group.programs("epochs", "steps", *DECIDES_FIT))
    return max(epochs_of(program, data) for program in programs)


def check_pruner(recipe: Recipe, data: DataInfo) -> None:
    """Raises UsageError if the pruner cannot work in this search."""
    search = recipe.search
    assert search is not None
    if search.pruner == "none":
        return
    if search.objectives:
        raise UsageError(f"--pruner {search.pruner}: compares one metric; with several objectives use none")
    if search.pruner == "wilcoxon":
        if len(recipe.seeds) <= FEWEST:
            raise UsageError(
                f"--pruner wilcoxon: compares settings over their seeds, and p < {LEVEL} takes {FEWEST} of them; given "
                f"{len(recipe.seeds)}, expected --seeds {FEWEST + 1} or more"
            )
        return
    if recipe.trainer and not recipe.row_ends("epochs"):
        raise UsageError(
            f"--pruner {search.pruner}: compares after some epochs, and how many there are only a hyperparameter "
            "epochs of whole numbers would say; expected one in the space, or --pruner none"
        )
    most = most_epochs(recipe, data)
    if search.min_epochs > most:
        raise UsageError(f"--min-epochs {search.min_epochs}: trials have {count(most, 'epoch')}; expected at most that")
