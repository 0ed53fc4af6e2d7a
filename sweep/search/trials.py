"""A trial of Optuna's study, asked of a sampler by the interface that samplers have for it, and told.

`Study.ask`, `Trial.suggest_float` and `Study.tell` come to the same, with copies and checks at every step that cost
more than drawing a setting at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from sweep.hyperparameters import Value
from sweep.search.spaces import Space, first_of


class Asked:
    """A trial without a result. Its values are suggested one by
    one; the sampler is not asked for those that are given."""

    def __init__(
        self,
        study: optuna.Study,
        storage: BaseStorage,
        sampler: BaseSampler,
        given: Mapping[str, Value],
        space: Space | None = None,
    ) -> None:
        """space: what the sampler draws together, if it is not to infer that from the study."""
        self._storage, self._sampler, self._given, self._space = storage, sampler, given, space
        self._study = optuna.load_study(  # Optuna's cache of trials is a study object's, and begins empty
            study_name=study.study_name, storage=storage, sampler=sampler, pruner=study.pruner
        )
        self._id = storage.create_new_trial(storage.get_study_id_from_name(study.study_name))
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
        objective_values = None if values is None else list(values)
        self._sampler.after_trial(self._study, self._trial, state, objective_values)
        self._storage.set_trial_state_values(self._id, state, objective_values)

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
            space = self._space
            if space is None:
                space = self._sampler.infer_relative_search_space(self._study, self._trial)
            self._together = self._sampler.sample_relative(self._study, self._trial, space)
        if name in self._together:
            return self._together[name]
        return self._sampler.sample_independent(self._study, self._trial, name, distribution)
