"""trackio's projects: a SQLite file each, PROJECT.db, with configurations and numbers as JSON. One run is a trial.

It keeps no state: a run that raised shows in nothing but fewer rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.own import KEY, curves_of, own_study, with_facts
from sweep.foreign.sqlite import is_sqlite, rows_of, tables_of
from sweep.foreign.texts import number, parse_json, setting_of
from sweep.foreign.trials import ForeignStudy, ForeignTrial, Tool

_NAME = "trackio"
_TABLES = {"configs", "metrics", "system_metrics"}


def matches(path: Path) -> bool:
    """Whether a file is a project."""
    return is_sqlite(path) and tables_of(path) >= _TABLES


def read(path: Path) -> ForeignStudy:
    """Reads a project. Raises UsageError, one line."""
    configs = {_key(*row[:2]): _json(row[2], path) for row in _rows(path, "configs", "config", "id")}
    logged: dict[str, dict[str, dict[int, float]]] = {key: {} for key in configs}
    for run, name, blob, step in _rows(path, "metrics", "metrics", "step"):
        curves = logged.setdefault(_key(run, name), {})
        for metric, value in _numbers(_json(blob, path)).items():
            curves.setdefault(metric, {})[step] = value
    names = {_key(*row[:2]): str(row[1]) for row in _rows(path, "metrics", "metrics", "step")}
    trials = [_trial(names.get(key, key), configs.get(key, {}), logged[key]) for key in logged]
    told = next((config[KEY] for config in configs.values() if KEY in config), None)
    return own_study(_NAME, trials, told, states_kept=False)


def _key(run: str | None, name: str) -> str:
    """What tells runs apart: their id; in older files their name."""
    return run or name


def _rows(path: Path, table: str, blob: str, order: str) -> list[tuple[Any, ...]]:
    """Run id, run name, the JSON and the order of every row of a table."""
    try:
        columns = {row[1] for row in rows_of(path, f"PRAGMA table_info({table})")}
        run = "run_id" if "run_id" in columns else "NULL"
        return rows_of(path, f"SELECT {run}, run_name, {blob}, {order} FROM {table} ORDER BY {order}, id")
    except sqlite3.Error as error:
        raise UsageError(f"{path}: cannot be read as a trackio project: {error} (read: that of 0.43)") from None


def _json(blob: bytes | str, path: Path) -> Mapping[str, Any]:
    text = blob.decode("utf-8", "replace") if isinstance(blob, bytes) else blob
    read = parse_json(text, str(path))
    return read if isinstance(read, Mapping) else {}


def _numbers(logged: Mapping[str, Any]) -> dict[str, float]:
    """What is a number of a row: NaN and infinities are texts there."""
    numbers = {name: number(value) for name, value in logged.items()}
    return {name: value for name, value in numbers.items() if value is not None}


def _trial(name: str, config: Mapping[str, Any], logged: Mapping[str, Mapping[int, float]]) -> ForeignTrial:
    plain = {key: value for key, value in config.items() if not key.startswith("_") and key != KEY}
    trial = ForeignTrial(name, setting_of(plain), "complete", curves_of(logged))
    return with_facts(trial, config.get(KEY))


TOOL = Tool("trackio", _NAME, "PROJECT.db with its tables configs and metrics", matches, read)
