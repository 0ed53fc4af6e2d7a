"""DVC's `exp show --json`: experiments with their params and metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.texts import EPOCHS, flat, number, read_json, setting_of
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool, Value

_STATES: dict[str, State] = {"success": "complete", "failed": "failed", "queued": "running", "running": "running"}


def matches(path: Path) -> bool:
    """Whether a path is the JSON of `dvc exp show`."""
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(8192)
    return head.lstrip().startswith(b"[") and b'"rev"' in head and b'"experiments"' in head


def read(path: Path) -> ForeignStudy:
    """What `dvc exp show --json` printed: each experiment is a trial, a workspace or branch none."""
    table = read_json(path)
    if not isinstance(table, list) or not all(isinstance(item, Mapping) and "rev" in item for item in table):
        raise UsageError(f"{path}: not what `dvc exp show --json` prints; expected a list of revisions")
    experiments = [experiment for baseline in table for experiment in baseline.get("experiments") or []]
    trials = [_trial(item) for item in experiments]
    names = {name for trial in trials for name in trial.values}
    metric = names.pop() if len(names) == 1 else None
    notes = [f"{len(table)} revisions of the workspace and branches are no trials: left out"]
    return ForeignStudy("DVC", trials, metric, None, None, notes)


def _trial(item: Mapping[str, Any]) -> ForeignTrial:
    """An experiment; of its revisions the last, which comes first."""
    revision = item["revs"][0]
    data = revision.get("data") or {}
    executor = item.get("executor") or {}
    said = str(executor.get("state") or ("failed" if revision.get("error") else "success")).lower()
    error = revision.get("error") or data.get("error")
    reason = error.get("msg") if isinstance(error, Mapping) else None
    values = dict(_metrics(data.get("metrics") or {}))
    state = _STATES.get(said, "running")
    name = str(item.get("name") or revision["rev"][:7])
    return ForeignTrial(name, _setting(data.get("params") or {}), state, {}, values, reason)


def _setting(files: Mapping[str, Any]) -> dict[str, Value]:
    """Params of all files; a name that two files have is told apart by its file, as DVC does."""
    tables = {file: setting_of(content.get("data") or {}) for file, content in files.items()}
    names = [name for table in tables.values() for name in table]
    return {
        name if names.count(name) == 1 else f"{file}:{name}": value
        for file, table in tables.items()
        for name, value in table.items()
    }


def _metrics(files: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of all metrics files, but how far a training was."""
    for content in files.values():
        data = content.get("data")
        if isinstance(data, Mapping):
            for name, value in flat(data).items():
                measured = number(value)
                if measured is not None and name.rsplit(".", 1)[-1].lower() not in EPOCHS:
                    yield name, measured


TOOL = Tool("dvc", "DVC", "what `dvc exp show --json` prints", matches, read)
