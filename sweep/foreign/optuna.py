"""Optuna's storages: a SQLite file of any schema since 2.4, or a journal file.

A parameter of choices is stored as the place of its value; what was not suggested is absent. A trial whose objective
returned NaN failed in Optuna's eyes, as one that raised did: its last intermediate value tells them apart.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sweep.errors import UsageError
from sweep.foreign.choosing import choose
from sweep.foreign.optuna_journal import StoredStudy, StoredTrial, read_journal
from sweep.foreign.sqlite import is_sqlite, rows_of, tables_of
from sweep.foreign.texts import plain
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool, Value
from sweep.wording import count

_NAME = "Optuna"
_TABLES = {"studies", "trials", "trial_params", "trial_values", "version_info"}
_STATES: dict[str, State] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "running",
}
_KINDS = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


def matches(path: Path) -> bool:
    """Whether a file is one of Optuna's storages."""
    if is_sqlite(path):
        return tables_of(path) >= _TABLES
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(10_000)
    return first.startswith(b"{") and b'"op_code"' in first


def read(path: Path) -> ForeignStudy:
    """Reads the one study of a storage. Raises UsageError, one line."""
    return _read_study(path, None)


def read_named(path: Path, name: str) -> ForeignStudy:
    """Reads a study of a storage."""
    return _read_study(path, name)


def _read_study(path: Path, name: str | None) -> ForeignStudy:
    if is_sqlite(path):
        names: list[str] = [row[0] for row in _rows(path, "SELECT study_name FROM studies ORDER BY study_id")]
        chosen = _choose(path, names, name)
        study, version = _of_database(path, chosen)
    else:
        studies = read_journal(path)
        chosen = _choose(path, [study.name for study in studies], name)
        study, version = next(study for study in studies if study.name == chosen), None
    return _foreign(study, version)


def _choose(path: Path, names: list[str], name: str | None) -> str:
    if not names:
        raise UsageError(f"{path}: an Optuna storage without a study; expected one")
    return choose(path, "study", names, name)


def _foreign(study: StoredStudy, version: str | None) -> ForeignStudy:
    """A study in the common form. One with several objectives has no metric that is the one."""
    given = study.system.get("study:metric_names")
    objectives = len(study.directions)
    names = given if isinstance(given, list) and len(given) == objectives else None
    names = names or (["value"] if objectives == 1 else [f"value_{place}" for place in range(objectives)])
    own = _is_ours(study)
    trials = [_trial(trial, names, own) for trial in study.trials if trial.state != "WAITING"]
    silent = sum(trial.state == "FAIL" and not trial.steps for trial in study.trials)
    notes = []
    if silent:
        notes.append(
            f"{silent:,} of the failed trials reported nothing: whether they raised or returned NaN is not kept"
        )
    nan = sum(trial.state == "diverged" for trial in trials)
    if nan:
        notes.append(f"{count(nan, 'trial')} that Optuna calls FAIL reported NaN last: diverged")
    waiting = sum(trial.state == "WAITING" for trial in study.trials)
    if waiting:
        notes.append(f"{count(waiting, 'trial')} enqueued and never run, left out")
    if objectives > 1:
        return ForeignStudy(_NAME, trials, version=version, notes=notes)
    return ForeignStudy(_NAME, trials, names[0], _DIRECTIONS.get(study.directions[0]), version, notes)


_DIRECTIONS: dict[str, Literal["minimize", "maximize"]] = {"MINIMIZE": "minimize", "MAXIMIZE": "maximize"}


def _is_ours(study: StoredStudy) -> bool:
    """Whether sweep wrote it, which keeps seeds and states as attributes."""
    return {"recipe", "metric"} <= study.user.keys()


def _trial(trial: StoredTrial, names: list[str], own: bool) -> ForeignTrial:
    setting = {name: _value(stored, distribution) for name, (stored, distribution) in trial.params.items()}
    state, reason = _STATES[trial.state], trial.system.get("fail_reason")
    values = {names[place]: value for place, value in sorted(trial.values.items()) if place < len(names)}
    steps = sorted(trial.steps.items())
    if state == "failed" and steps and not math.isfinite(steps[-1][1]):
        state = "diverged"
    if own:
        setting["seed"] = trial.user.get("seed", 0)
        state, reason = trial.user.get("state", state), trial.user.get("reason", reason)
    curves = {names[0]: steps} if steps and len(names) == 1 else {}
    kept = {name: value for name, value in setting.items() if value is not None}
    reason = str(reason) if reason is not None else None
    return ForeignTrial(str(trial.number), kept, state, curves, values, reason)


def _value(stored: Any, text: str) -> Value | None:
    """A parameter's value by its distribution."""
    whole, choices = _distribution(text)
    if choices is not None:
        return choices[int(stored)]
    return int(stored) if whole else float(stored)


@cache
def _distribution(text: str) -> tuple[bool, list[Value | None] | None]:
    """Whether a distribution is of whole numbers, and its choices, if it has some. Most trials share theirs."""
    distribution = json.loads(text)
    kind, attributes = str(distribution["name"]), distribution["attributes"]
    choices = [plain(choice) for choice in attributes["choices"]] if kind == "CategoricalDistribution" else None
    return kind.startswith("Int"), choices


def _rows(path: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    try:
        return rows_of(path, query, values)
    except sqlite3.Error as error:
        raise UsageError(
            f"{path}: cannot be read as an Optuna storage: {error} (read: those of 2.10, 4.9 and 5.0)"
        ) from None


def _of_database(path: Path, name: str) -> tuple[StoredStudy, str | None]:
    """A study of a SQLite file, and the version of Optuna that made it."""
    number = _rows(path, "SELECT study_id FROM studies WHERE study_name = ?", name)[0][0]
    directions = _rows(path, "SELECT direction FROM study_directions WHERE study_id = ? ORDER BY objective", number)
    study = StoredStudy(name, [direction for (direction,) in directions])
    for target, kind in ((study.user, "user"), (study.system, "system")):
        query = f"SELECT key, value_json FROM study_{kind}_attributes WHERE study_id = ?"
        target |= {key: json.loads(text) for key, text in _rows(path, query, number)}
    listed = _rows(path, "SELECT trial_id, number, state FROM trials WHERE study_id = ? ORDER BY number", number)
    trials = {key: StoredTrial(place, state) for key, place, state in listed}
    study.trials = list(trials.values())
    of_study = "JOIN trials USING (trial_id) WHERE study_id = ?"
    for key, param, value, text in _rows(
        path,
        f"SELECT trial_id, param_name, param_value, distribution_json FROM trial_params {of_study} ORDER BY param_id",
        number,
    ):
        trials[key].params[param] = (value, text)
    for key, objective, value in _typed_values(path, "trial_values", "objective", "value", number):
        trials[key].values[objective] = value
    for key, step, value in _typed_values(path, "trial_intermediate_values", "step", "intermediate_value", number):
        trials[key].steps[step] = value
    for kind in ("user", "system"):
        wanted = "" if kind == "user" else " AND key = 'fail_reason'"
        query = f"SELECT trial_id, key, value_json FROM trial_{kind}_attributes {of_study}{wanted}"
        for key, attribute, text in _rows(path, query, number):
            getattr(trials[key], kind)[attribute] = json.loads(text)
    version = _rows(path, "SELECT library_version FROM version_info")
    return study, str(version[0][0]) if version else None


def _typed_values(path: Path, table: str, place: str, value: str, study: int) -> Iterator[tuple[int, int, float]]:
    """Numbers with what stands beside those that are not finite; old schemas have nothing beside them."""
    columns = {row[1] for row in _rows(path, f"PRAGMA table_info({table})")}
    kind = f"{value}_type" if f"{value}_type" in columns else "'FINITE'"
    query = f"SELECT trial_id, {place}, {value}, {kind} FROM {table} JOIN trials USING (trial_id) WHERE study_id = ?"
    for key, where, number, told in _rows(path, query, study):
        yield key, int(where), _KINDS.get(told, math.nan if number is None else float(number))


TOOL = Tool("optuna", _NAME, "a SQLite file with its tables, or a journal file", matches, read, read_named)
