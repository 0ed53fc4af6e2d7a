"""The search by ask and tell, as far as the ledger's results go.

Virtual time. Settings are asked in generations of `in_flight`: what is asked as number n depends on the results of all
earlier generations, told in the order they were asked, and on the settings before it in its own, still without a
result. Each is drawn anew, seeded from (the search's seed, n). So the history in the ledger decides what comes next,
and neither workers nor interruptions do. A setting that was asked before is not trained again: its result is told
again, and the number of that asking stays without a trial.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweep.data import DataInfo
from sweep.hyperparameters import IN_SETTING, OF_TRAINING, Setting, Value
from sweep.plan import parameter_count
from sweep.recipe import Recipe
from sweep.search.samplers import SEQUENCES, WITH_STATE, check_sampler, quietly, sampler_for, whole_space
from sweep.search.spaces import conditional, distributions, finite_grid, first_of, own, round_value
from sweep.search.trials import Asked
from sweep.space import Result, Trial, setting_key

AGAIN = 20
"""Settings known before that the sampler asks in a row until,
in a finite space, the first one not yet asked is taken."""


MOST_AGAIN = 1000
"""Settings known before that the sampler asks in a row until a search in an infinite space ends."""


class AskTell:
    """A search by ask and tell, as far as the ledger's results go."""

    def __init__(self, recipe: Recipe, results: Iterable[Result] = (), data: DataInfo | None = None) -> None:
        """data: needed where the network's size is an objective."""
        assert recipe.search is not None
        check_sampler(recipe)
        self.search, self.seeds, self.metric, self.data = recipe.search, recipe.seeds, recipe.metric, data
        self.distributions = distributions(recipe)
        fixed = (axis for axis in recipe.axes if not axis.swept)
        self.fixed: dict[str, Value] = {axis.name: axis.values[0] for axis in fixed}  # type: ignore[index]
        self.setting_of = recipe.setting
        undone = [row for row in IN_SETTING if row.unless and conditional(recipe, row)]
        own = [axis.row for axis in recipe.axes if recipe.is_own(axis.name) and axis.name != "model"]
        table = [row for row in IN_SETTING if row not in undone] + undone
        if recipe.network:
            table = [row for row in table if row in OF_TRAINING]
        self.rows = own if recipe.trainer else [*table, *own]  # as they are suggested
        self.space = whole_space(recipe)
        self.grid = finite_grid(recipe)
        self.size = math.inf if self.grid is None else self.grid.census.settings
        self.aims = objectives(recipe)
        self.worst = tuple(math.inf if way == "minimize" else -math.inf for _, way in self.aims)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.storage = optuna.storages.InMemoryStorage()
        ways = [StudyDirection[way.upper()] for _, way in self.aims]
        self.study = optuna.create_study(storage=self.storage, directions=ways)
        self.number = 0  # of the next asking
        self.streak = 0  # settings asked in a row that were known before
        self.seen: set[str] = set()
        self.results: dict[str, dict[int, Result]] = {}  # by setting and seed
        self.flying: list[tuple[Asked, str]] = []  # asked in this generation, not told yet
        if self.search.sampler in SEQUENCES:  # takes its sequence's dimensions from the first trial: all that may vary
            first = {name: first_of(distribution) for name, distribution in self.distributions.items()}
            self._add(first, None, TrialState.PRUNED)
        for values, value in self.search.warm:
            self._add({**self.fixed, **values}, self.worst if value is None else (value,))
        with quietly():
            self._rebuild(list(results))

    def ask(self, trials: int) -> list[Trial]:
        """The trials to train next, at most so many settings' worth: the rest of a generation, none if `ended`."""
        self._close()
        asked: list[Trial] = []
        with quietly():
            while len(asked) < trials and not self.ended:
                number = self.number
                setting = self._ask()
                if setting is not None:
                    places = enumerate(self.seeds)
                    asked += [Trial(number * len(self.seeds) + place, setting, seed) for place, seed in places]
                if self.number % self.search.in_flight == 0:
                    if asked:
                        break
                    self._close()
        return asked

    def tell(self, results: Iterable[Result]) -> None:
        """Notes what came of trials. The sampler hears of them when its generation is whole."""
        for result in results:
            self.results.setdefault(setting_key(result.trial.setting), {})[result.trial.seed] = result

    @property
    def ended(self) -> str:
        """Why nothing more can be asked, in words; empty if it can."""
        if len(self.seen) >= self.size:
            return f"all {self.size:,} settings of the space are trained"
        if self.streak >= MOST_AGAIN:
            return f"the sampler asked for settings that are trained already, {MOST_AGAIN:,} times in a row"
        return ""

    def _rebuild(self, results: list[Result]) -> None:
        """Brings the study to where the ledger's results leave it."""
        self.tell(results)
        asked = {result.trial.number // len(self.seeds): result.trial.setting for result in results}
        total, size = max(asked, default=-1) + 1, self.search.in_flight
        for first in range(0, total, size):
            numbers = range(first, min(first + size, total))
            whole = len(numbers) == size and all(number in asked for number in numbers)
            if whole and self.search.sampler not in WITH_STATE:
                for number in numbers:
                    self._note(setting_key(asked[number]))
                    key = setting_key(asked[number])
                    self._add(asked[number], self._values(key), epochs=self._find_pruned(key))
                self.number += size
            else:
                for number in numbers:
                    self._ask(asked.get(number), again=True)
                self._close()

    def _ask(self, recorded: Setting | None = None, again: bool = False) -> Setting | None:
        """Asks for one setting; None if it was known before. again: it has been asked before this process began, with
        what was `recorded`; should the sampler answer otherwise now (another version of Optuna), the record counts."""
        number, self.number = self.number, self.number + 1
        given: Mapping[str, Value] = {}
        if number < len(self.search.enqueue):
            given = self.search.enqueue[number]
        elif self.grid is not None and self.streak >= AGAIN:
            given = next(setting for setting in self.grid.settings() if setting_key(setting) not in self.seen)
        trial = self._make_asked(number, given)
        setting = self._suggest(trial)
        key = setting_key(setting)
        if again and (setting != recorded if recorded else key not in self.seen):
            trial.tell(TrialState.FAIL)
            if recorded:
                key = setting_key(recorded)
                self._note(key)
                trial = self._make_asked(number, recorded)
                self._suggest(trial)
                self.flying.append((trial, key))
            return None
        self.flying.append((trial, key))
        return setting if self._note(key) else None

    def _make_asked(self, number: int, given: Mapping[str, Value]) -> Asked:
        """A trial of the study, of whose setting some is given."""
        sampler = sampler_for(self.search, number, grouped=self.space is None)
        return Asked(self.study, self.storage, sampler, self._params(given), self.space)

    def _note(self, key: str) -> bool:
        """Whether a setting is new; from now on it is not."""
        new = key not in self.seen
        self.streak = 0 if new else self.streak + 1
        self.seen.add(key)
        return new

    def _suggest(self, trial: Asked) -> Setting:
        """Walks the table of hyperparameters: what is inactive is never suggested."""
        setting: Setting = {}
        for row in self.rows:
            if not row.active(setting):
                continue
            distribution = self.distributions.get(row.name)
            if distribution is not None:
                setting[row.name] = row.check(round_value(distribution, trial.suggest(row.name, distribution)))
            else:
                setting[row.name] = self.fixed.get(row.name, row.default_for(setting))
        return self.setting_of(setting)  # in the table's order

    def _close(self) -> None:
        """Tells the sampler the results of the generation, in the order of asking, if all of it was asked."""
        if self.number % self.search.in_flight:
            return
        for trial, key in self.flying:
            values, epochs = self._values(key), self._find_pruned(key)
            trial.tell(_state(values, epochs), values, epochs)
        self.flying.clear()

    def _find_pruned(self, key: str) -> int:
        """The epochs after which a setting was pruned, 0 if it was not: one that only got no further seeds, or that
        diverged, is told as what it is."""
        results = self.results.get(key, {}).values()
        if any(result.state == "diverged" for result in results):
            return 0
        return max((result.epochs for result in results if result.state == "pruned"), default=0)

    def _values(self, key: str) -> tuple[float, ...] | None:
        """What the sampler is told of a setting, one number an objective."""
        results = list(self.results.get(key, {}).values())
        value = mean_for_sampler(results, self.worst[0])
        if value is None or not self.search.objectives:
            return None if value is None else (value,)
        if any(result.state == "diverged" for result in results):
            return self.worst
        return tuple(self._objective(place, results) for place in range(len(self.aims)))

    def _objective(self, place: int, results: list[Result]) -> float:
        name = self.aims[place][0]
        if name == "parameters":
            assert self.data is not None
            return float(parameter_count(results[0].trial.setting, self.data))
        values = [result.value if name == self.metric else result.others[name] for result in results]
        finite = [value for value in values if value is not None]
        return statistics.fmean(finite) if len(finite) == len(values) else self.worst[place]

    def _params(self, setting: Mapping[str, Value]) -> dict[str, Value]:
        """What varies of a setting, in the sampler's own numbers."""
        return {
            name: own(distribution, setting[name])
            for name, distribution in self.distributions.items()
            if name in setting
        }

    def _add(
        self,
        setting: Mapping[str, Value],
        values: tuple[float, ...] | None,
        state: TrialState | None = None,
        epochs: int = 0,
    ) -> None:
        """Adds a trial to the study as one of its own."""
        params = self._params(setting)
        spread = {name: self.distributions[name] for name in params}
        curve = {epochs: values[0]} if epochs and values is not None else {}
        frozen = optuna.trial.create_trial(
            state=state or _state(values, epochs),
            values=values,
            params=params,
            distributions=spread,
            intermediate_values=curve,
        )
        self.study.add_trial(frozen)


def _state(values: Sequence[float] | None, epochs: int) -> TrialState:
    """What a sampler is told that a trial came to; epochs: after which it was pruned."""
    return TrialState.FAIL if values is None else TrialState.PRUNED if epochs else TrialState.COMPLETE


def objectives(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """What a search goes by, each with its direction: its objectives if there are several, else its metric."""
    several = recipe.search.objectives if recipe.search else ()
    return several or ((recipe.metric, recipe.direction),)


def mean_for_sampler(results: Sequence[Result], worst: float) -> float | None:
    """What a sampler is told of a setting: the mean over the seeds it was trained with; `worst`, which is worse than
    anything finished, if one of them diverged; None if one of them failed."""
    begun = [result for result in results if result.epochs or result.state != "pruned"]
    if not begun or any(result.state not in ("complete", "pruned", "diverged") for result in begun):
        return None
    values = [result.value for result in begun if result.state != "diverged" and result.value is not None]
    return statistics.fmean(values) if len(values) == len(begun) else worst
