"""Ax's snapshots: JSON of an experiment with its trials, arms and data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from sweep.errors import UsageError
from sweep.foreign.texts import curve, number, parse_json, read_json, setting_of
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool

_STATES: dict[str, State] = {
    "COMPLETED": "complete",
    "EARLY_STOPPED": "pruned",
    "FAILED": "failed",
    "ABANDONED": "failed",
    "RUNNING": "running",
    "STAGED": "running",
    "CANDIDATE": "running",
    "DISPATCHED": "running",
}

_Way = Literal["minimize", "maximize"]


def matches(path: Path) -> bool:
    """Whether a path is a JSON file of Ax's Client, AxClient or Experiment."""
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(2048)
    return re.search(rb'"_{1,2}type":\s*"(Client|AxClient|Experiment|MultiTypeExperiment)"', head) is not None


def read(path: Path) -> ForeignStudy:
    """A snapshot of Ax: a trial for each arm."""
    snapshot = read_json(path)
    experiment = snapshot.get("experiment", snapshot) if isinstance(snapshot, Mapping) else {}
    if not isinstance(experiment, Mapping) or "trials" not in experiment:
        raise UsageError(f"{path}: no snapshot of Ax; expected an experiment with trials")
    data = experiment.get("data_by_trial") or {}
    data = data.get("value", data) if data.get("__type") else data
    entries = dict(data) if isinstance(data, Mapping) else dict(data or [])
    measured = {str(index): list(_rows(entry, path)) for index, entry in entries.items()}
    trials = [
        made for index, trial in experiment["trials"].items() for made in _trials(trial, measured.get(str(index), []))
    ]
    metric, direction = _objective(experiment.get("optimization_config"))
    return ForeignStudy("Ax", trials, metric, direction)


def _rows(entry: Any, path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a trial's data, oldest first: tables of columns, kept as text."""
    by_time = entry.get("value", []) if isinstance(entry, Mapping) else entry
    for _, data in by_time:
        text = data["df"]["value"]
        table = parse_json(text, f"{path}: data") if isinstance(text, str) else text
        for place in table.get("trial_index", {}):
            yield {name: column.get(place) for name, column in table.items()}


def _trials(trial: Mapping[str, Any], rows: list[dict[str, Any]]) -> Iterator[ForeignTrial]:
    """Each arm of a trial, which has one, or of a batch."""
    said = trial["status"]["name"] if isinstance(trial["status"], Mapping) else str(trial["status"])
    runs = trial.get("generator_runs") or [trial.get("generator_run")]
    arms = [arm for run in runs if isinstance(run, Mapping) for arm in run["arms"]]
    for arm in arms:
        own = [row for row in rows if row.get("arm_name") in (None, arm["name"])]
        reason = trial.get("status_reason") or (said.lower() if said == "ABANDONED" else None)
        curves, values = _split_metrics(own)
        state = _STATES.get(said, "running")
        yield ForeignTrial(str(arm["name"]), setting_of(arm["parameters"]), state, curves, values, reason)


def _split_metrics(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, float]]:
    """Curves of the metrics that have steps, numbers of the others; an empty mean is NaN, which JSON cannot hold."""
    points: dict[str, dict[int, float]] = {}
    values: dict[str, float] = {}
    for row in rows:
        name, mean, step = str(row["metric_name"]), number(row.get("mean")), number(row.get("step"))
        value = math.nan if mean is None else mean
        if step is None or math.isnan(step):
            values[name] = value
        else:
            points.setdefault(name, {})[int(step)] = value
    return {name: curve(steps) for name, steps in points.items()}, values


def _objective(config: Any) -> tuple[str | None, _Way | None]:
    """The one metric and its direction; neither where there are several, or a formula."""
    objective = (config or {}).get("objective") or {}
    if "metric" in objective:  # as AxClient has it
        return objective["metric"]["name"], "minimize" if objective.get("minimize") else "maximize"
    match = re.fullmatch(r"\s*(-?)\s*([A-Za-z_][\w./:]*)\s*", str(objective.get("expression", "")))
    return (match[2], "minimize" if match[1] else "maximize") if match else (None, None)


TOOL = Tool("ax", "Ax", "JSON with an Experiment of Ax", matches, read)
