"""The search: settings asked of one of Optuna's samplers, results told to it. Needs optuna, which no other module imports.

Virtual time. Settings are asked in generations of `in_flight`: what is asked as number n depends on the results of all
earlier generations, told in the order they were asked, and on the settings before it in its own, still without a result.
The sampler is made anew for each, seeded from (the search's seed, n). So the history in the ledger decides what comes
next, and neither workers nor interruptions do. A setting that was asked before is not trained again: its result is told
again, and the number of that asking stays without a trial.
"""

from __future__ import annotations

import json
import math
import statistics
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweep.errors import UsageError
from sweep.hyperparameters import IN_SETTING, TABLE, Setting, Value
from sweep.recipe import Recipe, Search
from sweep.space import Axis, Grid, Range, Result, Trial, setting_key

AGAIN = 20
"""Settings known before that the sampler asks in a row until, in a finite space, the first one not yet asked is taken."""

MOST_AGAIN = 1000
"""Settings known before that the sampler asks in a row until a search in an infinite space ends."""

FINITE = 1_000_000
"""Points of one range past which it counts as infinite."""

_WITH_STATE = ("cmaes", "qmc")
"""Samplers that keep state in what they asked, so that they are rebuilt by asking them everything again."""


class AskTell:
    """A search by ask and tell, as far as the ledger's results go."""

    def __init__(self, recipe: Recipe, results: Iterable[Result] = ()) -> None:
        assert recipe.search is not None
        check_sampler(recipe)
        self.search, self.seeds = recipe.search, recipe.seeds
        self.distributions = distributions(recipe)
        self.fixed: dict[str, Value] = {axis.name: axis.values[0] for axis in recipe.axes if not axis.swept}  # type: ignore[index]
        self.grid = finite_grid(recipe)
        self.size = math.inf if self.grid is None else self.grid.census.settings
        self.worst = math.inf if recipe.direction == "minimize" else -math.inf
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.study = optuna.create_study(direction=StudyDirection[recipe.direction.upper()])
        self.number = 0  # of the next asking
        self.streak = 0  # settings asked in a row that were known before
        self.seen: set[str] = set()
        self.results: dict[str, dict[int, Result]] = {}  # by setting and seed
        self.flying: list[tuple[optuna.Trial | int, str]] = []  # asked in this generation, not told yet
        if self.search.sampler == "qmc":  # takes its sequence's dimensions from the first trial: all that may vary
            first = {name: _first(one) for name, one in self.distributions.items()}
            self._add(first, None, TrialState.PRUNED)
        for values, value in self.search.warm:
            self._add({**self.fixed, **values}, value if value is not None else self.worst)
        self._rebuild(list(results))

    def ask(self, trials: int) -> list[Trial]:
        """The trials to train next, at most so many settings' worth: the rest of a generation, none if `ended`."""
        self._close()
        asked: list[Trial] = []
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
            if whole and self.search.sampler not in _WITH_STATE:
                for number in numbers:
                    self._note(setting_key(asked[number]))
                    key = setting_key(asked[number])
                    self._add(asked[number], self._value(key), epochs=self._pruned(key))
                self.number += size
            else:
                for number in numbers:
                    self._ask(asked.get(number), again=True)
                self._close()

    def _ask(self, recorded: Setting | None = None, again: bool = False) -> Setting | None:
        """Asks for one setting; None if it was known before. again: it has been asked before this process began, with
        what was `recorded`; should the sampler answer otherwise now (another version of Optuna), the record counts."""
        number, self.number = self.number, self.number + 1
        with _quietly():
            self.study.sampler = _sampler(self.search, number)
            if number < len(self.search.enqueue):
                self.study.enqueue_trial(self._params(self.search.enqueue[number]))
            elif self.grid is not None and self.streak >= AGAIN:
                fresh = next(setting for setting in self.grid.settings() if setting_key(setting) not in self.seen)
                self.study.enqueue_trial(self._params(fresh))
            trial = self.study.ask()
            setting = self._suggest(trial)
        key = setting_key(setting)
        if again and (setting != recorded if recorded else key not in self.seen):
            self.study.tell(trial, state=TrialState.FAIL)
            if recorded:
                key = setting_key(recorded)
                self._note(key)
                self.flying.append((self._add(recorded, None, TrialState.RUNNING), key))
            return None
        self.flying.append((trial, key))
        return setting if self._note(key) else None

    def _note(self, key: str) -> bool:
        """Whether a setting is new; from now on it is not."""
        new = key not in self.seen
        self.streak = 0 if new else self.streak + 1
        self.seen.add(key)
        return new

    def _suggest(self, trial: optuna.Trial) -> Setting:
        """Walks the table of hyperparameters: what is inactive is never suggested."""
        setting: Setting = {}
        for row in IN_SETTING:
            if not row.active(setting):
                continue
            if row.name in self.distributions:
                setting[row.name] = row.check(_draw(trial, row.name, self.distributions[row.name]))
            else:
                setting[row.name] = self.fixed.get(row.name, row.default_for(setting))
        return setting

    def _close(self) -> None:
        """Tells the sampler the results of the generation, in the order of asking, if all of it was asked."""
        if self.number % self.search.in_flight:
            return
        for trial, key in self.flying:
            value, epochs = self._value(key), self._pruned(key)
            if epochs and value is not None:
                if isinstance(trial, optuna.Trial):
                    trial.report(value, epochs)
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                self.study.tell(trial, value, TrialState.FAIL if value is None else TrialState.COMPLETE)
        self.flying.clear()

    def _pruned(self, key: str) -> int:
        """The epochs after which a setting was pruned, 0 if it was not."""
        return max((one.epochs for one in self.results.get(key, {}).values() if one.state == "pruned"), default=0)

    def _value(self, key: str) -> float | None:
        return told(list(self.results.get(key, {}).values()), self.worst)

    def _params(self, setting: Mapping[str, Value]) -> dict[str, Value]:
        """What varies of a setting, in the sampler's own numbers."""
        return {name: _own(one, setting[name]) for name, one in self.distributions.items() if name in setting}

    def _add(
        self, setting: Mapping[str, Value], value: float | None, state: TrialState | None = None, epochs: int = 0
    ) -> int:
        """Adds a trial to the study as one of its own; returns its number there."""
        if state is None:
            state = TrialState.FAIL if value is None else TrialState.PRUNED if epochs else TrialState.COMPLETE
        params = self._params(setting)
        spread = {name: self.distributions[name] for name in params}
        curve = {epochs: value} if epochs and value is not None else {}
        frozen = optuna.trial.create_trial(
            state=state, value=value, params=params, distributions=spread, intermediate_values=curve
        )
        self.study.add_trial(frozen)
        return len(self.study.get_trials(deepcopy=False)) - 1


def told(results: Sequence[Result], worst: float) -> float | None:
    """What a sampler is told of a setting: the mean over its seeds; `worst`, which is worse than anything finished, if
    one of them diverged; None if one of them failed."""
    if not results or any(result.state not in ("complete", "pruned", "diverged") for result in results):
        return None
    values = [result.value for result in results if result.state != "diverged" and result.value is not None]
    return statistics.fmean(values) if len(values) == len(results) else worst


def rungs(search: Search, trial: Trial) -> list[int]:
    """The epochs after which a trial may be pruned."""
    out, epochs = [], search.min_epochs
    while epochs < int(trial.setting["epochs"]):
        out.append(epochs)
        epochs *= search.reduction
    return out


def losers(search: Search, direction: str, numbers: Sequence[int], values: Mapping[int, float | None]) -> list[int]:
    """Those of the trials that are pruned, by the values of all trials that were trained to that epoch so far (None is
    worse than any): with median, what is worse than the median; else all but the best of each `reduction`, one at
    least (ASHA, Li et al. 2020, a generation at a time). Equal ones by their number."""
    sign = 1.0 if direction == "minimize" else -1.0
    score = {number: math.inf if value is None else sign * value for number, value in values.items()}
    if search.pruner == "median":
        middle = statistics.median(score.values()) if score else 0.0
        return [number for number in numbers if score[number] > middle]
    best = sorted(score, key=lambda number: (score[number], number))[: max(1, len(score) // search.reduction)]
    return [number for number in numbers if number not in best]


def check_pruner(recipe: Recipe) -> None:
    """Raises UsageError if the pruner cannot work in this search."""
    assert recipe.search is not None
    if recipe.search.pruner == "none":
        return
    axis = next((axis for axis in recipe.axes if axis.name == "epochs"), None)
    values = (TABLE["epochs"].default,) if axis is None else axis.values
    most = int(values.high) if isinstance(values, Range) else max(int(value) for value in values)
    if recipe.search.min_epochs > most:
        raise UsageError(f"--min-epochs {recipe.search.min_epochs}: trials have {most} epochs; expected at most that")
    if len(recipe.seeds) > 1:
        raise UsageError(f"--pruner {recipe.search.pruner}: compares settings of one seed; given {len(recipe.seeds)}")


def distributions(recipe: Recipe) -> dict[str, BaseDistribution]:
    """Optuna's distribution of every hyperparameter that varies: categorical for a list, or a range with n points."""
    return {axis.name: _distribution(axis) for axis in recipe.axes if axis.swept}


def finite_grid(recipe: Recipe) -> Grid | None:
    """All settings of a space as a grid; None if there is no end of them."""
    axes = []
    for axis in recipe.axes:
        distribution = _distribution(axis)
        if isinstance(distribution, IntDistribution):
            values = range(distribution.low, distribution.high + 1, distribution.step)
            if len(values) > FINITE:
                return None
            axes.append(Axis(axis.name, tuple(values)))
        elif isinstance(distribution, FloatDistribution):
            assert isinstance(axis.values, Range)
            if distribution.step is None:
                return None
            axes.append(Axis(axis.name, axis.values.points(TABLE[axis.name])))
        else:
            axes.append(axis)
    return Grid(tuple(axes), (0,))


def check_sampler(recipe: Recipe) -> None:
    """Raises UsageError if the sampler cannot work here or cannot take the space."""
    assert recipe.search is not None
    name = recipe.search.sampler
    needed = {"cmaes": ("cmaes", "cmaes"), "gp": ("torch", "torch"), "qmc": ("scipy", "scipy")}
    if name in needed:
        module, package = needed[name]
        try:
            __import__(module)
        except ImportError as error:
            raise UsageError(f"--sampler {name}: needs the package {package}, which cannot be used: {error}") from None
    if name == "cmaes":
        ranges = [key for key, one in distributions(recipe).items() if not isinstance(one, CategoricalDistribution)]
        always = [key for key in ranges if not TABLE[key].when]
        if len(always) < 2:
            others = ", ".join(name for name in recipe.swept if name not in always)
            raise UsageError(
                f"--sampler cmaes: needs at least two ranges that are always active, given {', '.join(always) or 'none'}"
                f"{f' (not {others})' if others else ''}; choose tpe for lists and conditions"
            )


def warm_results(
    recipe: Recipe, other: Recipe, results: Iterable[Result], name: str
) -> tuple[tuple[dict[str, Value], float | None], ...]:
    """What another study's finished trials say of this search's space: (values of what varies, metric) of each setting,
    the metric None where it diverged. Raises UsageError if it is over other hyperparameters, or nothing of it is inside.
    """
    there, here = set(other.swept), set(recipe.swept)
    if there != here:
        told_apart = [f"{key} varies {'there' if key in there else 'here'} only" for key in sorted(there ^ here)]
        raise UsageError(f"--from {name}: another study's hyperparameters: {', '.join(told_apart)}")
    if (other.data, other.split_seed, other.metric) != (recipe.data, recipe.split_seed, recipe.metric):
        ours = f"{recipe.data}, split_seed {recipe.split_seed}, {recipe.metric}"
        theirs = f"{other.data}, split_seed {other.split_seed}, {other.metric}"
        raise UsageError(f"--from {name}: its numbers do not compare: {theirs} there, {ours} here")
    spread = distributions(recipe)
    fixed = {axis.name: axis.values[0] for axis in recipe.axes if not axis.swept}  # type: ignore[index]
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(setting_key(result.trial.setting), []).append(result)
    out: list[tuple[dict[str, Value], float | None]] = []
    for group in groups.values():
        setting = group[0].trial.setting
        for row in IN_SETTING:
            if row.name in setting and row.name not in spread:
                expected = fixed.get(row.name, row.default_for(setting))
                if setting[row.name] != expected:
                    raise UsageError(
                        f"--from {name}: its numbers do not compare: {row.name} = {setting[row.name]} there, {expected} here"
                    )
        values = {key: setting[key] for key in spread if key in setting}
        value = told(group, math.inf)
        if value is not None and all(_contains(spread[key], item) for key, item in values.items()):
            out.append((values, value if math.isfinite(value) else None))
    if not out:
        raise UsageError(f"--from {name}: none of its finished trials lies inside this space")
    return tuple(out)


def enqueued(recipe: Recipe, texts: Iterable[str]) -> tuple[dict[str, Value], ...]:
    """The settings of `--enqueue 'lr=0.001,beta1=0.9'`; what a text does not name, the sampler chooses. Raises UsageError."""
    spread = distributions(recipe)
    out = []
    for text in texts:
        values: dict[str, Value] = {}
        for part in text.split(","):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not value:
                raise UsageError(f"--enqueue {text!r}: {part.strip()!r}: expected NAME=VALUE, such as lr=0.001")
            if name not in spread:
                fixed = f"{name} does not vary in this search; " if name in TABLE else f"unknown {name!r}; "
                raise UsageError(f"--enqueue {text!r}: {fixed}choose from {', '.join(spread)}")
            try:
                values[name] = TABLE[name].parse(value)
            except UsageError as error:
                raise UsageError(f"--enqueue {text!r}: {error}") from None
            if not _contains(spread[name], values[name]):
                raise UsageError(f"--enqueue {text!r}: {name} = {value} lies outside its space: {_words(spread[name])}")
        out.append(values)
    return tuple(out)


def write_optuna(
    url: str, name: str, recipe: Recipe, trials: Iterable[Mapping[str, Any]], curves: Mapping[int, Mapping[int, float]]
) -> int:
    """Writes a study for Optuna's own tools: distributions, states, attributes; returns the number of its trials.

    trials: rows of the ledger with their setting; those that wait or run are left out. curves: each trial's metric by
    epoch. Diverged trials are complete there with an infinite value, as a sampler is told. Raises UsageError.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spread, worst = distributions(recipe), math.inf if recipe.direction == "minimize" else -math.inf
    states = {"complete": TrialState.COMPLETE, "diverged": TrialState.COMPLETE, "failed": TrialState.FAIL}
    frozen = []
    for row in trials:
        if row["state"] not in (*states, "pruned"):
            continue
        params = {key: row["setting"][key] for key in spread if key in row["setting"]}
        attributes = {key: row[key] for key in ("trial", "seed", "state", "epochs", "seconds", "reason")}
        measured = {key: row[key] for key in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")}
        frozen.append(
            optuna.trial.create_trial(
                state=states.get(row["state"], TrialState.PRUNED),
                value=worst if row["state"] == "diverged" else row[recipe.metric] if row["state"] != "failed" else None,
                params=params,
                distributions={key: spread[key] for key in params},
                user_attrs={key: value for key, value in (attributes | measured).items() if value is not None},
                intermediate_values=dict(curves.get(row["trial"], {})),
            )
        )
    try:
        with _quietly():
            direction = StudyDirection[recipe.direction.upper()]
            study = optuna.create_study(storage=_storage(url), study_name=name, direction=direction)
            study.set_user_attr("metric", recipe.metric)
            study.set_user_attr("recipe", json.dumps(recipe.to_dict()))
            study.add_trials(frozen)
    except optuna.exceptions.DuplicatedStudyError:
        raise UsageError(f"--optuna {url}: has a study {name!r} already; name another storage") from None
    except Exception as error:  # SQLAlchemy's and the operating system's
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"--optuna {url}: cannot be written: {reason}; expected sqlite:///FILE.db or a journal FILE.log"
        ) from None
    return len(frozen)


def _storage(url: str) -> Any:
    if "://" in url:
        return url
    if not url.endswith((".log", ".journal")):
        raise ValueError("not a storage")
    from optuna.storages.journal import JournalFileBackend

    return optuna.storages.JournalStorage(JournalFileBackend(url))


def _distribution(axis: Axis) -> BaseDistribution:
    values, row = axis.values, TABLE[axis.name]
    if not isinstance(values, Range):
        return CategoricalDistribution(tuple(dict.fromkeys(values)))
    if values.n is not None:
        return CategoricalDistribution(values.points(row))
    if row.kind == "int":
        low, high, step = int(values.low), int(values.high), int(values.step or 1)
        return IntDistribution(low, high - (high - low) % step, values.log, step)
    return FloatDistribution(values.low, values.high, values.log, values.step)


def _first(distribution: BaseDistribution) -> Value:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]  # type: ignore[return-value]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low


def _contains(distribution: BaseDistribution, value: Value) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    if isinstance(value, str):
        return False
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low <= value <= distribution.high and math.isclose(value, _own(distribution, value))


def _own(distribution: BaseDistribution, value: Any) -> Any:
    """A value as Optuna computes it: 0.1 + 2 x 0.1 is 0.30000000000000004 there, and 0.3 in a setting."""
    if isinstance(distribution, CategoricalDistribution) or isinstance(value, str):
        return value
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is None:
        return value
    return distribution.low + round((value - distribution.low) / distribution.step) * distribution.step


def _words(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(json.dumps(choice) for choice in distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    step = f" in steps of {distribution.step}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low} to {distribution.high}{step}"


def _draw(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> object:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, FloatDistribution)
    value = trial.suggest_float(name, distribution.low, distribution.high, step=distribution.step, log=distribution.log)
    return value if distribution.step is None else float(f"{value:.12g}")


def _sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """The sampler for one asking: its draws come from the search's seed and the asking's number."""
    samplers = optuna.samplers
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    other = samplers.RandomSampler(seed=seed)
    if search.sampler == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    if search.sampler == "gp":
        return samplers.GPSampler(seed=seed, independent_sampler=other)
    if search.sampler == "cmaes":
        return samplers.CmaEsSampler(seed=seed, independent_sampler=other, warn_independent_sampling=False)
    if search.sampler == "qmc":  # one sequence, scrambled by the search's seed
        return samplers.QMCSampler(
            seed=search.seed, scramble=True, independent_sampler=other, warn_independent_sampling=False
        )
    return other


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Optuna's remarks that a feature is experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
