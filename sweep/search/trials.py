"""A trial of Optuna's study, asked of a sampler by the interface that samplers have for it, and told.

`Study.ask`, `Trial.suggest_float` and `Study.tell` come to the same, with copies and checks at every step that cost more than
drawing a setting at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from sweep.hyperparameters import Value
from sweep.search.spaces import first_of


class Memory(optuna.storages.InMemoryStorage):
    """Optuna's storage in memory, for a study that one thread asks: what is set is set in place, without copies."""

    def set_trial_param(self, trial_id: int, param_name: str, param_value_internal: float, distribution: Any) -> None:
        trial = self.get_trial(trial_id)
        trial.params[param_name] = distribution.to_external_repr(param_value_internal)
        trial.distributions[param_name] = distribution

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.get_trial(trial_id).system_attrs[key] = value

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.get_trial(trial_id).intermediate_values[step] = intermediate_value


class Asked:
    """A trial without a result. Its values are suggested one by one; the sampler is not asked for those that are given."""

    def __init__(self, study: optuna.Study, sampler: BaseSampler, given: Mapping[str, Value]) -> None:
        self._storage, self._sampler, self._given = study._storage, sampler, given
        self._study = optuna.load_study(  # Optuna's cache of trials is a study object's, and begins empty
            study_name=study.study_name, storage=self._storage, sampler=sampler, pruner=study.pruner
        )
        self._id = self._storage.create_new_trial(study._study_id)
        self._together: dict[str, Any] | None = None  # what the sampler draws together, once it was asked
        sampler.before_trial(self._study, self._trial)

    def suggest(self, name: str, distribution: BaseDistribution) -> Value:
        """The value of a hyperparameter."""
        value = distribution.to_internal_repr(self._value(name, distribution))
        self._storage.set_trial_param(self._id, name, value, distribution)
        return distribution.to_external_repr(value)  # type: ignore[no-any-return]

    def tell(self, state: TrialState, values: Sequence[float] | None = None, epochs: int = 0) -> None:
        """Ends the trial. epochs: after which it was pruned, 0 if it was not."""
        if epochs and values:
            self._storage.set_trial_intermediate_value(self._id, epochs, values[0])
        told = None if values is None else list(values)
        self._sampler.after_trial(self._study, self._trial, state, told)
        self._storage.set_trial_state_values(self._id, state, told)

    @property
    def _trial(self) -> FrozenTrial:
        """As it is now."""
        return self._storage.get_trial(self._id)

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self._given:
            return self._given[name]
        if distribution.single():
            return first_of(distribution)
        if self._together is None:
            space = self._sampler.infer_relative_search_space(self._study, self._trial)
            self._together = self._sampler.sample_relative(self._study, self._trial, space)
        if name in self._together:
            return self._together[name]
        return self._sampler.sample_independent(self._study, self._trial, name, distribution)
