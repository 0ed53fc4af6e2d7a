"""Optuna's journal files: a JSON entry a line, replayed into its studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.texts import read_lines

_STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")
_DIRECTIONS = ("NOT_SET", "MINIMIZE", "MAXIMIZE")


@dataclass
class StoredTrial:
    """A trial as a storage has it."""

    number: int
    state: str
    params: dict[str, tuple[Any, str]] = field(default_factory=dict)
    """The stored value and the distribution, by name."""
    values: dict[int, float] = field(default_factory=dict)
    """By objective."""
    steps: dict[int, float] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)


@dataclass
class StoredStudy:
    """A study as a storage has it."""

    name: str
    directions: list[str]
    trials: list[StoredTrial] = field(default_factory=list)
    """By their numbers."""
    user: dict[str, Any] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)


def read_journal(path: Path) -> list[StoredStudy]:
    """The studies of a journal. Raises UsageError for a line that is no entry of one."""
    journal = _Journal()
    for place, entry in enumerate(read_lines(path), 1):
        try:
            journal.replay(entry)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError):
            raise UsageError(f"{path}, line {place}: no entry of an Optuna journal (read: that of 5.0)") from None
    return [study for study in journal.studies if study is not None]


class _Journal:
    """What the entries of a journal have made so far: studies and trials by the order in which they began.

    Several processes write to one journal before they know what the others did. As in Optuna, an entry that came too
    late changes nothing and takes no number: a study of a name that there is (`load_if_exists=True` always writes one),
    a trial of a study that was deleted, whatever befalls a trial that has ended.
    """

    def __init__(self) -> None:
        self.studies: list[StoredStudy | None] = []
        self.trials: list[StoredTrial] = []

    def replay(self, entry: Mapping[str, Any]) -> None:
        """Takes an entry; the kinds that change nothing here are passed over."""
        kind = _KINDS.get(entry["op_code"])
        if kind is not None:
            getattr(self, kind)(entry)

    def create_study(self, entry: Mapping[str, Any]) -> None:
        if all(study is None or study.name != entry["study_name"] for study in self.studies):
            self.studies.append(StoredStudy(entry["study_name"], [_DIRECTIONS[way] for way in entry["directions"]]))

    def delete_study(self, entry: Mapping[str, Any]) -> None:
        self.studies[entry["study_id"]] = None

    def set_study(self, entry: Mapping[str, Any]) -> None:
        study = self.studies[entry["study_id"]]
        if study:
            study.user.update(entry.get("user_attr", {}))
            study.system.update(entry.get("system_attr", {}))

    def create_trial(self, entry: Mapping[str, Any]) -> None:
        """A trial begins, or is added as a whole."""
        study = self.studies[entry["study_id"]]
        if study is None:
            return
        trial = StoredTrial(len(study.trials), _STATES[entry.get("state", 0)])
        spread = entry.get("distributions") or {}
        trial.params = {name: (value, spread[name]) for name, value in (entry.get("params") or {}).items()}
        values = entry.get("values") or ([entry["value"]] if entry.get("value") is not None else [])
        trial.values = {place: float(value) for place, value in enumerate(values)}
        trial.steps = {int(step): float(value) for step, value in (entry.get("intermediate_values") or {}).items()}
        trial.user, trial.system = dict(entry.get("user_attrs") or {}), dict(entry.get("system_attrs") or {})
        self.trials.append(trial)
        study.trials.append(trial)

    def set_param(self, entry: Mapping[str, Any]) -> None:
        stored = entry["param_value_internal"], entry["distribution"]
        if trial := self._going(entry):
            trial.params[entry["param_name"]] = stored

    def set_state(self, entry: Mapping[str, Any]) -> None:
        if trial := self._going(entry):
            trial.state = _STATES[entry["state"]]
            trial.values = {place: float(value) for place, value in enumerate(entry["values"] or [])}

    def set_step(self, entry: Mapping[str, Any]) -> None:
        if trial := self._going(entry):
            trial.steps[int(entry["step"])] = float(entry["intermediate_value"])

    def set_trial(self, entry: Mapping[str, Any]) -> None:
        if trial := self._going(entry):
            trial.user.update(entry.get("user_attr", {}))
            trial.system.update(entry.get("system_attr", {}))

    def _going(self, entry: Mapping[str, Any]) -> StoredTrial | None:
        """The trial of an entry, None if it has ended."""
        trial = self.trials[entry["trial_id"]]
        return trial if trial.state in ("RUNNING", "WAITING") else None


_KINDS = {
    0: "create_study",
    1: "delete_study",
    2: "set_study",
    3: "set_study",
    4: "create_trial",
    5: "set_param",
    6: "set_state",
    7: "set_step",
    8: "set_trial",
    9: "set_trial",
}
"""By the op_code of an entry."""
