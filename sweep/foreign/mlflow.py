"""MLflow's stores: a SQLite file (mlflow.db), or the old file store (mlruns/). One run is one trial."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.choosing import choose
from sweep.foreign.own import own_study, with_facts
from sweep.foreign.sqlite import is_sqlite, rows_of, tables_of
from sweep.foreign.texts import number, parse_json, read_text, read_yaml, typed
from sweep.foreign.trials import Curve, ForeignStudy, ForeignTrial, State, Tool, Value
from sweep.wording import count

_NAME = "MLflow"
_TABLES = {"experiments", "runs", "params", "metrics", "tags"}
_STATES: dict[str, State] = {
    "FINISHED": "complete",
    "FAILED": "failed",
    "KILLED": "failed",
    "RUNNING": "running",
    "SCHEDULED": "running",
}
_STATUS_NUMBERS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""How the file store writes them."""
_NOTHING = ("none", "null", "nan", "")


@dataclass
class _Run:
    """A run as a store has it."""

    key: str
    status: str
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, list[tuple[int, int, float]]] = field(default_factory=dict)
    """(step, time, value) in any order, by name."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class _Experiment:
    """An experiment as a store has it."""

    name: str
    place: Any
    """Its number in the tables, or its folder."""
    runs: int


def matches(path: Path) -> bool:
    """Whether a file is a SQLite store, or a folder has one or is a file store."""
    if path.is_dir():
        return is_sqlite(path / "mlflow.db") or bool(_folders(path))
    return is_sqlite(path) and tables_of(path) >= _TABLES


def read(path: Path) -> ForeignStudy:
    """Reads the one experiment that has runs. Raises UsageError, one line."""
    return _read_study(path, None)


def read_named(path: Path, name: str) -> ForeignStudy:
    """Reads an experiment by its name."""
    return _read_study(path, name)


def _read_study(path: Path, name: str | None) -> ForeignStudy:
    file = path / "mlflow.db" if path.is_dir() and is_sqlite(path / "mlflow.db") else path
    if is_sqlite(file):
        query = (
            "SELECT name, experiment_id, (SELECT count(*) FROM runs r WHERE r.experiment_id = e.experiment_id AND "
            "r.lifecycle_stage = 'active') FROM experiments e WHERE lifecycle_stage = 'active' ORDER BY experiment_id"
        )
        chosen = _choose(path, [_Experiment(*row) for row in _rows(file, query)], name)
        runs, tags = _of_tables(file, chosen.place)
    else:
        chosen = _choose(path, [_experiment(folder) for folder in _folders(path)], name)
        runs, tags = [*_of_folder(chosen.place)], {}
    return _foreign(runs, tags)


def _choose(path: Path, experiments: Sequence[_Experiment], name: str | None) -> _Experiment:
    used = [experiment for experiment in experiments if experiment.runs]
    if not used:
        raise UsageError(f"{path}: an MLflow store without a run; expected at least one that has ended")
    names = [experiment.name for experiment in used]
    return used[names.index(choose(path, "experiment", names, name, runs=[each.runs for each in used]))]


def _foreign(runs: Sequence[_Run], tags: Mapping[str, str]) -> ForeignStudy:
    """An experiment in the common form. What sweep wrote says its metric, its direction, and each trial's state."""
    parents = {run.tags["mlflow.parentRunId"] for run in runs if run.tags.get("mlflow.parentRunId")}
    kept = [run for run in runs if run.key not in parents]
    notes = []
    if len(kept) < len(runs):
        notes.append(f"{count(len(runs) - len(kept), 'run')} with runs below, left out: those are the trials")
    settings = _settings(kept)
    undated = sum(_is_undated(points) for run in kept for points in run.metrics.values())
    if undated:
        notes.append("some metrics were logged without steps: they are counted in the order of time")
    trials = [_trial(run, setting) for run, setting in zip(kept, settings, strict=True)]
    facts: dict[str, object] = {name.removeprefix("sweep."): text for name, text in tags.items()}
    facts["swept"] = parse_json(tags.get("sweep.swept", "null"), "the experiment's tag sweep.swept")
    return own_study(_NAME, trials, facts, notes=notes)


def _settings(runs: Sequence[_Run]) -> list[dict[str, Value]]:
    """Each run's parameters, which MLflow keeps as text, of one type in all runs; None and the like are no value."""
    names = dict.fromkeys(name for run in runs for name in run.params)
    columns = {
        name: typed(["" if (text := run.params.get(name, "")).lower() in _NOTHING else text for run in runs])
        for name in names
    }
    return [
        {name: value for name, column in columns.items() if (value := column[place]) is not None}
        for place in range(len(runs))
    ]


def _trial(run: _Run, setting: Mapping[str, Value]) -> ForeignTrial:
    curves = {name: _curve(points) for name, points in run.metrics.items()}
    facts = {name.removeprefix("sweep."): text for name, text in run.tags.items() if name.startswith("sweep.")}
    reason = "killed" if run.status == "KILLED" else None
    name = run.tags.get("mlflow.runName") or run.key
    return with_facts(ForeignTrial(name, setting, _STATES[run.status], curves, reason=reason), facts or None)


def _is_undated(points: Sequence[tuple[int, int, float]]) -> bool:
    """Whether values were logged one after another without a step, which MLflow takes for step 0."""
    return len({step for step, _, _ in points}) == 1 < len({time for _, time, _ in points})


def _curve(points: Sequence[tuple[int, int, float]]) -> Curve:
    """A metric by step; of several values at one, the newest, and of these the largest, as MLflow itself decides."""
    order = sorted(points, key=lambda point: (*point[:2], -math.inf if point[2] != point[2] else point[2]))
    if _is_undated(points):
        return list(enumerate({time: value for _, time, value in order}.values(), 1))
    return list({step: value for step, _, value in order}.items())


def _rows(path: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    try:
        return rows_of(path, query, values)
    except sqlite3.Error as error:
        raise UsageError(f"{path}: cannot be read as an MLflow store: {error} (read: that of 3.17)") from None


def _of_tables(path: Path, experiment: int) -> tuple[list[_Run], dict[str, str]]:
    """An experiment's runs, the first first, and its tags."""
    mine = "experiment_id = ? AND lifecycle_stage = 'active'"
    listed = _rows(path, f"SELECT run_uuid, status, name FROM runs WHERE {mine} ORDER BY start_time", experiment)
    runs = {key: _Run(key, status, tags={"mlflow.runName": name or ""}) for key, status, name in listed}
    for kind, query in {
        "params": "SELECT run_uuid, key, value FROM params",
        "tags": "SELECT run_uuid, key, value FROM tags",
    }.items():
        for key, name, text in _rows(path, f"{query} JOIN runs USING (run_uuid) WHERE {mine}", experiment):
            getattr(runs[key], kind)[name] = text
    query = "SELECT run_uuid, key, step, timestamp, value, is_nan FROM metrics JOIN runs USING (run_uuid)"
    for key, name, step, time, value, nan in _rows(path, f"{query} WHERE {mine}", experiment):
        runs[key].metrics.setdefault(name, []).append((step, time, math.nan if nan else value))
    tags: dict[str, str] = {}
    if "experiment_tags" in tables_of(path):
        tags = dict(_rows(path, "SELECT key, value FROM experiment_tags WHERE experiment_id = ?", experiment))
    return list(runs.values()), tags


def _folders(path: Path) -> list[Path]:
    """The folders of experiments in a file store, or below mlruns/ beside others, or the one that the path is."""
    if _is_experiment(path):
        return [path]
    roots = [path, path / "mlruns"]
    return [folder for root in roots if root.is_dir() for folder in sorted(root.iterdir()) if _is_experiment(folder)]


def _is_experiment(folder: Path) -> bool:
    meta = folder / "meta.yaml"
    return meta.is_file() and b"artifact_location" in meta.read_bytes()[:4000]


def _experiment(folder: Path) -> _Experiment:
    return _Experiment(str(read_yaml(folder / "meta.yaml")["name"]), folder, sum(1 for _ in _run_folders(folder)))


def _run_folders(experiment: Path) -> Iterator[Path]:
    return (folder for folder in sorted(experiment.iterdir()) if (folder / "meta.yaml").is_file())


def _of_folder(experiment: Path) -> Iterator[_Run]:
    """An experiment's runs that were not deleted, the first first."""
    by_start = []
    for folder in _run_folders(experiment):
        meta = read_yaml(folder / "meta.yaml")
        if meta.get("lifecycle_stage", "active") == "active":
            status = meta.get("status")
            run = _Run(str(meta["run_id"]), _STATUS_NUMBERS.get(status, str(status)))
            run.params, run.tags = _texts(folder / "params"), _texts(folder / "tags")
            run.metrics = {name: _points(text, folder) for name, text in _texts(folder / "metrics").items()}
            by_start.append((meta.get("start_time") or 0, run.key, run))
    return (run for _, _, run in sorted(by_start, key=lambda entry: entry[:2]))


def _texts(folder: Path) -> dict[str, str]:
    """The files below a folder, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return {str(path.relative_to(folder)): read_text(path) for path in files}


def _points(text: str, folder: Path) -> list[tuple[int, int, float]]:
    """A metric's lines: time, value and, but in the oldest stores, step."""
    points = []
    for line in text.splitlines():
        parts = line.split()
        value = number(parts[1]) if len(parts) in (2, 3) else None
        if value is None:
            raise UsageError(f"{folder}: {line!r} is no line of a metric; expected time, value and step")
        points.append((int(parts[2]) if len(parts) == 3 else 0, int(parts[0]), value))
    return points


TOOL = Tool("mlflow", _NAME, "mlflow.db, or a folder mlruns of experiments with meta.yaml", matches, read, read_named)
