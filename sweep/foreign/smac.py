"""SMAC's folders: what runhistory.json holds of each configuration, seed and budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.choosing import choose
from sweep.foreign.texts import curve, number, read_json, setting_of
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool

_HISTORY = "runhistory.json"

_TEN = ("config_id", "instance", "seed", "budget", "cost", "time", "status", "starttime", "endtime", "additional_info")
_ROWS = {10: _TEN, 11: (*_TEN[:6], "cpu_time", *_TEN[6:])}
"""What a row is made of where it is a list, as SMAC 2.0 to 2.2 wrote it; by its length."""

_RUNNING, _SUCCESS, _CRASHED, _TIMEOUT, _MEMORY = range(5)


def matches(path: Path) -> bool:
    """Whether a path is a folder with a runhistory.json, in it or in its folders, or that file."""
    return bool(_files(path))


def _files(path: Path) -> dict[str, Path]:
    """The histories of a path by their folders' names: SMAC makes a folder for each of its seeds."""
    if not path.is_dir():
        return {path.parent.name: path} if path.name == _HISTORY and path.is_file() else {}
    if (path / _HISTORY).is_file():
        return {path.name: path / _HISTORY}
    return {file.parent.name: file for file in sorted(path.glob(f"*/{_HISTORY}"))}


def read(path: Path) -> ForeignStudy:
    """The one run of SMAC 2 that a path has."""
    files = _files(path)
    return _read(files[choose(path, "run", [*files], None)])


def read_named(path: Path, name: str) -> ForeignStudy:
    """The run of a folder's name."""
    files = _files(path)
    return _read(files[choose(path, "run", [*files], name)])


def _read(file: Path) -> ForeignStudy:
    """A trial for each configuration, instance and seed; budgets are its curve."""
    history = read_json(file)
    if not isinstance(history, Mapping) or not {"data", "configs"} <= history.keys():
        raise UsageError(f"{file}: no history of SMAC 2; expected the keys data and configs")
    there = file.with_name("scenario.json")
    scenario = read_json(there) if there.exists() else {}
    rows = [_row(item, file) for item in history["data"]]
    objectives = scenario.get("objectives", "cost")
    names = [objectives] if isinstance(objectives, str) else list(objectives)
    seeded = not scenario.get("deterministic", len({row["seed"] for row in rows}) < 2)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["config_id"], row["instance"], row["seed"]), []).append(row)
    top = scenario.get("max_budget")
    trials = [
        _trial(key, _setting(history["configs"], group[0], seeded, file), group, names, top)
        for key, group in groups.items()
        if any(row["status"] != _RUNNING for row in group)
    ]
    notes = [] if seeded else ["SMAC was told that the function is deterministic: its seed is none of the trials"]
    version = scenario.get("_meta", {}).get("version")
    metric = names[0] if len(names) == 1 else None
    return ForeignStudy("SMAC", trials, metric, "minimize", version, notes)


def _row(item: Any, file: Path) -> dict[str, Any]:
    if isinstance(item, Mapping) and set(_TEN) <= item.keys():
        return dict(item)
    if isinstance(item, Sequence) and len(item) in _ROWS:
        return dict(zip(_ROWS[len(item)], item, strict=True))
    raise UsageError(f"{file}: rows of a version of SMAC that is not known; known are 2.0 to 2.4")


def _setting(configs: Mapping[str, Any], row: Mapping[str, Any], seeded: bool, file: Path) -> dict[str, Any]:
    if str(row["config_id"]) not in configs:
        raise UsageError(f"{file}: damaged: configuration {row['config_id']!r} has a run, but no values")
    setting = setting_of(configs[str(row["config_id"])])
    beside = {"instance": row["instance"], "run_seed" if "seed" in setting else "seed": row["seed"] if seeded else None}
    return setting | setting_of(beside)


def _trial(
    key: tuple[Any, ...], setting: dict[str, Any], rows: list[dict[str, Any]], names: list[str], top: float | None
) -> ForeignTrial:
    """A configuration's runs with one instance and seed, of which each budget has one."""
    ended = [row for row in rows if row["status"] != _RUNNING]
    ended.sort(key=lambda row: row["budget"] or 0)
    last = ended[-1]
    state, reason = _state(last, top)
    name = "/".join(str(part) for part in key if part is not None)
    measured = [row for row in ended if _state(row, None)[0] in ("complete", "diverged")]
    if all(row["budget"] is None for row in ended):
        values = _costs(last, names) if last in measured else {}
        return ForeignTrial(name, setting, state, {}, values, reason)
    whole = all(float(row["budget"] or 0).is_integer() for row in ended)
    steps = {id(row): int(row["budget"] or 0) if whole else place for place, row in enumerate(ended, 1)}
    costs = [(steps[id(row)], _costs(row, names)) for row in measured]
    curves = {objective: curve({step: cost[objective] for step, cost in costs}) for objective in names if costs}
    return ForeignTrial(name, setting, state, curves, {}, reason)


def _state(row: Mapping[str, Any], top: float | None) -> tuple[State, str | None]:
    """How a run ended. SMAC writes a crash for a function that returned NaN, too, but then has no error."""
    info, status = row["additional_info"] or {}, row["status"]
    if status == _SUCCESS:
        budget = row["budget"]
        stopped = top is not None and budget is not None and budget < top
        return ("pruned" if stopped else "complete"), None
    if status in (_TIMEOUT, _MEMORY):
        return "failed", "out of time" if status == _TIMEOUT else "out of memory"
    if "error" in info or "traceback" in info:
        return "failed", str(info.get("error", "crashed")).splitlines()[0]
    return "diverged", "no finite cost was returned"


def _costs(row: Mapping[str, Any], names: list[str]) -> dict[str, float]:
    """Each objective of a run; NaN where the run crashed, for which SMAC writes its crash cost."""
    costs = row["cost"] if isinstance(row["cost"], list) else [row["cost"]]
    values = [number(cost) if row["status"] == _SUCCESS else math.nan for cost in costs]
    return {name: math.nan if value is None else value for name, value in zip(names, values, strict=False)}


TOOL = Tool("smac", "SMAC", _HISTORY, matches, read, read_named)
