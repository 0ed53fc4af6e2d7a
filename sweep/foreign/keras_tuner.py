"""Keras Tuner's projects: oracle.json, and a trial.json in the folder of each trial.

A trial keeps one number of each metric, that of its best epoch (a mean over executions), and no curve. FAILED is what
raised and what scored NaN; a message or a score that is null tells the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sweep.errors import UsageError
from sweep.foreign.texts import last_line, number, read_json, setting_of
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool
from sweep.wording import count

_NAME = "Keras Tuner"
_STATES: dict[str, State] = {
    "COMPLETED": "complete",
    "FAILED": "failed",
    "INVALID": "failed",
    "STOPPED": "pruned",
    "RUNNING": "running",
    "IDLE": "running",
}
_DIRECTIONS: dict[str, Literal["minimize", "maximize"]] = {"min": "minimize", "max": "maximize"}
_BLOWN_UP = 1e15
"""A loss from this size on, and best at the first epoch, is of a training that overflowed after it."""


def matches(path: Path) -> bool:
    """Whether a folder is a project, or its parent where there is one alone."""
    return _project(path) is not None


def read(path: Path) -> ForeignStudy:
    """Reads a project. Raises UsageError, one line."""
    project = _project(path)
    if project is None:
        raise UsageError(f"{path}: no oracle.json; expected the folder of a Keras Tuner project")
    files = sorted(project.glob("trial_*/trial.json"))
    kept = [read_json(file) for file in files]
    trials = [_trial(trial, file) for trial, file in zip(kept, files, strict=True)]
    metric, direction = _objective(kept)
    blown = sum(trial.state == "diverged" and bool(trial.reason) for trial in trials)
    notes = [
        "one number a trial, no curve: that of its best epoch, chosen on itself, unless fit() returned it; of several "
        "executions the mean"
    ]
    if blown:
        notes.append(f"{count(blown, 'trial')} beyond {_BLOWN_UP:g} and best in the first epoch, taken as diverged")
    return ForeignStudy(_NAME, trials, metric, direction, notes=notes)


def _project(path: Path) -> Path | None:
    if (path / "oracle.json").is_file():
        return path
    below = [folder for folder in path.glob("*") if (folder / "oracle.json").is_file()] if path.is_dir() else []
    return below[0] if len(below) == 1 else None


def _trial(kept: Mapping[str, Any], source: Path) -> ForeignTrial:
    """A trial of its file. Raises UsageError."""
    try:
        status, score, message = str(kept["status"]), number(kept["score"]), kept.get("message")
        values = {name: _value(metric) for name, metric in kept["metrics"]["metrics"].items()}
        setting, name = setting_of(kept["hyperparameters"]["values"]), str(kept["trial_id"])
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f"{source}: no trial of a version that is known (read: 1.4.8)") from None
    if status not in _STATES:
        raise UsageError(f"{source}: status {status!r}; expected {', '.join(_STATES)}")
    state, reason = _STATES[status], last_line(message) if message else None
    if state == "failed" and not message and score is not None:
        state = "diverged"
    first = kept.get("best_step") == 0
    if state == "complete" and first and score is not None and _BLOWN_UP <= abs(score) < math.inf:
        state, reason = "diverged", f"{score:.3g} in its best epoch, the first"
    setting = {key: value for key, value in setting.items() if not key.startswith("tuner/")}
    return ForeignTrial(name, setting, state, {}, {key: v for key, v in values.items() if v is not None}, reason)


def _value(metric: Mapping[str, Any]) -> float | None:
    """A metric's last observation: the mean over executions."""
    observations = metric.get("observations") or []
    values = [value for value in map(number, observations[-1]["value"]) if value is not None] if observations else []
    return sum(values) / len(values) if values else None


def _objective(
    trials: list[Mapping[str, Any]],
) -> tuple[str | None, Literal["minimize", "maximize"] | None]:
    """The metric that is the score of every trial, and its direction; None where several are, or none."""
    directions: dict[str, str] = {}
    names: set[str] | None = None
    for trial in trials:
        metrics, score = trial["metrics"]["metrics"], number(trial["score"])
        directions |= {name: str(metric.get("direction")) for name, metric in metrics.items()}
        if score is not None and math.isfinite(score):
            same = {name for name, metric in metrics.items() if _value(metric) == score}
            names = same if names is None else names & same
    metric = next(iter(names)) if names and len(names) == 1 else None
    return metric, _DIRECTIONS.get(directions.get(metric, "")) if metric else None


TOOL = Tool("keras-tuner", _NAME, "a project's folder with oracle.json", matches, read)
