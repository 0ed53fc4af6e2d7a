"""OpenBox's history.json: observations with their objectives, which it always minimises."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.texts import number, read_json, setting_of
from sweep.foreign.trials import ForeignStudy, ForeignTrial, Tool

_SUCCESS = 0
_REASONS = {1: "the function raised", 2: "out of time", 3: "out of memory"}

FAR = 10
"""A penalty is at least so many times as large as any other objective."""


def matches(path: Path) -> bool:
    """Whether a path is a JSON file of observations."""
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(4096)
    return b'"observations"' in head and b'"num_objectives"' in head


def read(path: Path) -> ForeignStudy:
    """A history of OpenBox."""
    history = read_json(path)
    observations = history.get("observations") if isinstance(history, Mapping) else None
    if not isinstance(observations, list):
        raise UsageError(f"{path}: no history of OpenBox; expected a list of observations")
    several = history.get("num_objectives", 1) > 1
    trials = [_trial(str(place), item, several) for place, item in enumerate(observations)]
    notes = ["OpenBox writes infinity for a run that raised"] if any(t.state == "failed" for t in trials) else []
    penalty = None if several else _penalty(trials)
    if penalty is not None:
        trials = [_without(trial, penalty) for trial in trials]
        count = sum(trial.state == "diverged" for trial in trials)
        notes.append(
            f"{penalty:g} was returned {count} times, at least {FAR} times any other objective: a number in place of "
            "NaN, which OpenBox does not take; these diverged"
        )
    return ForeignStudy("OpenBox", trials, None if several else "objective", "minimize", None, notes)


def _trial(name: str, item: Mapping[str, Any], several: bool) -> ForeignTrial:
    setting, state = setting_of(item["config"]), item["trial_state"]
    if state != _SUCCESS:
        return ForeignTrial(name, setting, "failed", reason=_REASONS.get(state, f"trial_state {state}"))
    measured = [number(value) for value in item["objectives"] or []]
    names = [f"objective_{place}" for place in range(len(measured))] if several else ["objective"]
    values = {key: value for key, value in zip(names, measured, strict=False) if value is not None}
    return ForeignTrial(name, setting, "complete", values=values)


def _penalty(trials: list[ForeignTrial]) -> float | None:
    """The number that stands for NaN: whole, the worst, of several settings, far from all else. None if there is
    none. OpenBox ends at a NaN, so whoever has one must return a number in its place."""
    values = sorted(trial.values["objective"] for trial in trials if "objective" in trial.values)
    if not values or not values[-1].is_integer():
        return None
    worst = values[-1]
    rest = [abs(value) for value in values if value < worst]
    enough = values.count(worst) > 1 and len(rest) > 1
    return worst if enough and max(rest) > 0 and worst >= FAR * max(rest) else None


def _without(trial: ForeignTrial, penalty: float) -> ForeignTrial:
    if trial.values.get("objective") != penalty:
        return trial
    reason = f"returned {penalty:g} in place of NaN"
    return ForeignTrial(trial.name, trial.setting, "diverged", reason=reason)


TOOL = Tool("openbox", "OpenBox", "history.json with observations", matches, read)
