"""NNI's nni.sqlite: metrics and events of trial jobs, which are joined on the parameters that a job reported with."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from sweep.errors import UsageError
from sweep.foreign.sqlite import is_sqlite, rows_of, tables_of
from sweep.foreign.texts import curve, number, parse_json, plain
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool, Value

_STATES: dict[str, State] = {
    "SUCCEEDED": "complete",
    "FAILED": "failed",
    "EARLY_STOPPED": "pruned",
    "USER_CANCELED": "failed",
    "SYS_CANCELED": "failed",
}
_TABLES = {"ExperimentProfile", "MetricData", "TrialJobEvent"}


def _file(path: Path) -> Path:
    """The database of an experiment's folder, or the one that is given."""
    return path / "db" / "nni.sqlite" if path.is_dir() else path


def matches(path: Path) -> bool:
    """Whether a path is an experiment's folder, or a database with NNI's tables."""
    file = _file(path)
    return is_sqlite(file) and tables_of(file) >= _TABLES


def read(path: Path) -> ForeignStudy:
    """An experiment of NNI: a trial for each job."""
    file = _file(path)
    try:
        return _read(file)
    except sqlite3.Error as error:
        raise UsageError(f"{file}: cannot be read as NNI's database: {error}") from None


def _read(file: Path) -> ForeignStudy:
    parameters, states, jobs = _events(file)
    reports: dict[str, list[tuple[str, int, Any]]] = {}
    used: dict[str, str] = {}
    for job, parameter, kind, sequence, data in rows_of(
        file, "SELECT trialJobId, parameterId, type, sequence, data FROM MetricData ORDER BY timestamp, rowid"
    ):
        reports.setdefault(job, []).append((kind, sequence, _metrics(data, file)))
        used[job] = parameter
    swapped = [job for job in jobs if used.get(job, jobs[job]) != jobs[job]]
    trials = [
        _trial(job, parameters.get(used.get(job, own), {}), states.get(job), reports.get(job, []))
        for job, own in jobs.items()
    ]
    notes = []
    if swapped:
        notes.append(
            f"{', '.join(swapped)} reported with other parameters than NNI's events say; those of the reports are taken"
        )
    silent = [job for job in jobs if job not in used]
    if silent:
        notes.append(f"{', '.join(silent)} reported nothing: their parameters are those of NNI's events, if they are")
    return ForeignStudy("NNI", trials, "default", _direction(file), None, notes)


def _events(file: Path) -> tuple[dict[str, dict[str, Value]], dict[str, str], dict[str, str]]:
    """The setting of each set of parameters, the last state of each job, the parameters each job was started with."""
    parameters: dict[str, dict[str, Value]] = {}
    states: dict[str, str] = {}
    jobs: dict[str, str] = {}
    query = "SELECT trialJobId, event, data FROM TrialJobEvent ORDER BY timestamp, rowid"
    for job, event, data in rows_of(file, query):
        states[job] = event
        given = parse_json(data, f"{file}: TrialJobEvent {job}") if data else None
        if isinstance(given, Mapping) and "parameters" in given:
            key = str(given["parameter_id"])
            parameters[key] = _setting(given["parameters"])
            jobs.setdefault(job, key)
    return parameters, states, jobs


def _setting(table: Mapping[str, Any], start: str = "") -> dict[str, Value]:
    """Parameters as a setting; of a nested choice its _name, and what it has of its own behind a dot."""
    out: dict[str, Value] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            if "_name" in value:
                out[f"{start}{name}"] = str(value["_name"])
            inner = {key: item for key, item in value.items() if key != "_name"}
            out |= _setting(inner, f"{start}{name}.")
        elif (shown := plain(value)) is not None:
            out[f"{start}{name}"] = shown
    return out


def _metrics(data: str, file: Path) -> dict[str, float]:
    """What a job reported: one number, or a table in which it is called default. It is JSON in JSON."""
    value = parse_json(data, f"{file}: MetricData")
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    named = value if isinstance(value, Mapping) else {"default": value}
    read = {str(name): number(item) for name, item in named.items()}
    return {name: item for name, item in read.items() if item is not None}


def _trial(
    job: str, setting: dict[str, Value], ended: str | None, reports: list[tuple[str, int, dict[str, float]]]
) -> ForeignTrial:
    state = _STATES.get(ended or "", "running")
    reason = None if state in ("complete", "running") else str(ended).lower().replace("_", " ")
    curves: dict[str, dict[int, float]] = {}
    for kind, sequence, measured in reports:
        if kind == "PERIODICAL":
            for name, value in measured.items():
                curves.setdefault(name, {})[sequence + 1] = value
    values = {name: value for kind, _, measured in reports if kind == "FINAL" for name, value in measured.items()}
    return ForeignTrial(job, setting, state, {n: curve(points) for n, points in curves.items()}, values, reason)


def _direction(file: Path) -> Literal["minimize", "maximize"] | None:
    """What the tuner was told to do with the metric; None where it was told nothing, as a grid is."""
    profiles = rows_of(file, "SELECT params FROM ExperimentProfile ORDER BY revision DESC LIMIT 1")
    profile = parse_json(profiles[0][0], f"{file}: ExperimentProfile") if profiles else {}
    given = (profile.get("tuner") or {}).get("classArgs") or {}
    mode = given.get("optimize_mode") if isinstance(given, Mapping) else None
    return mode if mode in ("minimize", "maximize") else None


TOOL = Tool("nni", "NNI", "nni.sqlite, with a table TrialJobEvent", matches, read)
