"""DeepCAVE's pair of files, trials.csv and configspace.csv: its own form for anyone's runs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sweep.errors import UsageError
from sweep.foreign.texts import curve, number, read_table, typed
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool, Value

_METRIC = re.compile(r"metric:(.+?)\s*\[[^\]]*\]\s*\((minimize|maximize)\)")
_STATES: dict[str, State] = {
    "success": "complete",
    "timeout": "failed",
    "memoryout": "failed",
    "crashed": "failed",
    "aborted": "failed",
    "unknown": "failed",
    "running": "running",
    "not_evaluated": "running",
}


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def matches(path: Path) -> bool:
    """Whether a path is a folder with the pair of files, or one of them."""
    if not path.is_dir() and path.name not in ("trials.csv", "configspace.csv"):
        return False
    return all((_folder(path) / name).is_file() for name in ("trials.csv", "configspace.csv"))


def read(path: Path) -> ForeignStudy:
    """A run: a trial for each configuration and seed; budgets are its curve."""
    folder = _folder(path)
    file, there = folder / "trials.csv", folder / "configspace.csv"
    rows, space = read_table(file), read_table(there)
    if not rows:
        raise UsageError(f"{file}: no trials; expected a row for each")
    names = [row.get("name", "") for row in space]
    if missing := [name for name in [*names, "status"] if name not in rows[0]]:
        raise UsageError(f"{file}: no column {missing[0]!r}; expected status, and each name of {there.name}")
    metrics = {column: match for column in rows[0] if (match := _METRIC.fullmatch(column.strip()))}
    if not metrics:
        raise UsageError(f"{file}: no metric; expected a column such as 'metric:loss [0; 1] (minimize)'")
    columns = {name: _values([row[name] for row in rows]) for name in names}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        setting = tuple((name, values[place]) for name, values in columns.items() if values[place] is not None)
        groups.setdefault((setting, row.get("seed", "")), []).append(place)
    trials = [_trial(dict(s), seed, [rows[place] for place in places], metrics) for (s, seed), places in groups.items()]
    only = next(iter(metrics.values())) if len(metrics) == 1 else None
    direction: Literal["minimize", "maximize"] | None = None
    if only:
        direction = "minimize" if only[2] == "minimize" else "maximize"
    return ForeignStudy("DeepCAVE", trials, only[1] if only else None, direction)


def _values(cells: Sequence[str]) -> list[Value | None]:
    """A hyperparameter's values; a cell of NaN is one where it is inactive."""
    return typed(["" if cell.strip().lower() == "nan" else cell for cell in cells])


def _trial(
    setting: dict[str, Value], seed: str, rows: list[dict[str, str]], metrics: Mapping[str, re.Match[str]]
) -> ForeignTrial:
    """One configuration and seed; several rows are its budgets."""
    rows.sort(key=lambda row: number(row.get("budget", "")) or 0.0)
    last = rows[-1]
    said = last["status"].strip().lower()
    state = _STATES.get(said, "failed")
    reason = None if state in ("complete", "running") else said
    if seed.strip() and (number(seed) or 0) >= 0:
        setting = {**setting, "run_seed" if "seed" in setting else "seed": int(float(seed))}
    ended = [row for row in rows if _STATES.get(row["status"].strip().lower()) == "complete"]
    name = last.get("config_id") or str(setting)
    if not any(row.get("budget", "").strip() for row in rows):
        values = {match[1]: _cost(last[column]) for column, match in metrics.items()} if last in ended else {}
        return ForeignTrial(name, setting, state, {}, values, reason)
    curves = {
        match[1]: curve({int(float(row["budget"])): _cost(row[column]) for row in ended if row["budget"].strip()})
        for column, match in metrics.items()
    }
    return ForeignTrial(name, setting, state, curves, {}, reason)


def _cost(cell: str) -> float:
    value = number(cell)
    return math.nan if value is None else value


TOOL = Tool("deepcave", "DeepCAVE", "trials.csv beside configspace.csv", matches, read)
