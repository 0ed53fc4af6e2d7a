"""The distributions of an Optuna study, from its SQLite file or its journal."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from sweep.errors import UsageError, unknown
from sweep.foreign.spaces.space import Condition, Knob, Space, in_words, listed, ranged
from sweep.foreign.sqlite import is_sqlite, rows_of, tables_of
from sweep.foreign.texts import read_lines
from sweep.wording import count

_Way = Literal["minimize", "maximize"]
_Study = tuple[list[Any], list[list[tuple[str, str, Any]]]]
"""A study's directions, and of each trial the name, the distribution and the internal value of each parameter."""

_CREATE, _TRIAL, _PARAM = 0, 4, 5
_WAYS: dict[Any, _Way] = {"MINIMIZE": "minimize", "MAXIMIZE": "maximize", 1: "minimize", 2: "maximize"}


def is_optuna(path: Path) -> bool:
    """Whether a path is a SQLite file or a journal of Optuna."""
    if is_sqlite(path):
        return {"studies", "trial_params"} <= tables_of(path)
    with path.open("rb") as file:
        return b'"op_code"' in file.readline(65536)


def read_optuna(path: Path, name: str | None) -> Space:
    """The distributions of a study, of the one if no name is given. Raises UsageError."""
    studies = _tables(path) if is_sqlite(path) else _journal(path)
    if not studies:
        raise UsageError(f"{path}: no study of Optuna in it")
    if name is None and len(studies) > 1:
        raise UsageError(f"{path}: {len(studies)} studies: {', '.join(studies)}; --name says which")
    if name is not None and name not in studies:
        raise unknown("study", name, studies, f"{path}: ")
    directions, trials = studies[name if name is not None else next(iter(studies))]
    trials = [trial for trial in trials if trial]
    if not trials:
        raise UsageError(f"{path}: no trial that has parameters: Optuna keeps no space but theirs")
    way = _WAYS.get(directions[0]) if len(directions) == 1 else None
    lost = ["several objectives"] if len(directions) > 1 else []
    knobs = tuple(_knob(name, trials) for name in dict.fromkeys(name for trial in trials for name, _, _ in trial))
    conditions = tuple(made for knob in knobs if (made := _condition(knob, knobs, trials)))
    return Space("Optuna", knobs, conditions, direction=way, trials=len(trials), lost=tuple(lost))


def _tables(path: Path) -> dict[str, _Study]:
    try:
        studies = dict(rows_of(path, "SELECT study_id, study_name FROM studies ORDER BY study_id"))
        ways = rows_of(path, "SELECT study_id, direction FROM study_directions ORDER BY study_id, objective")
        rows = rows_of(
            path,
            "SELECT t.study_id, t.trial_id, p.param_name, p.distribution_json, p.param_value FROM trial_params p "
            "JOIN trials t ON t.trial_id = p.trial_id ORDER BY t.trial_id, p.param_id",
        )
    except sqlite3.Error as error:
        raise UsageError(f"{path}: cannot be read as Optuna's database: {error}") from None
    out: dict[str, _Study] = {name: ([], []) for name in studies.values()}
    for study, way in ways:
        out[studies[study]][0].append(way)
    trials: dict[int, list[tuple[str, str, Any]]] = {}
    for study, trial, name, distribution, value in rows:
        if trial not in trials:
            trials[trial] = []
            out[studies[study]][1].append(trials[trial])
        trials[trial].append((name, distribution, value))
    return out


def _journal(path: Path) -> dict[str, _Study]:
    studies: list[tuple[str, _Study]] = []
    trials: list[list[tuple[str, str, Any]]] = []
    for line in read_lines(path):
        code = line.get("op_code") if isinstance(line, Mapping) else None
        if code == _CREATE:
            studies.append((str(line["study_name"]), (list(line.get("directions", [])), [])))
        elif code == _TRIAL:
            trials.append([])
            studies[line["study_id"]][1][1].append(trials[-1])
        elif code == _PARAM:
            trials[line["trial_id"]].append((line["param_name"], line["distribution"], line["param_value_internal"]))
    return dict(studies)


def _knob(name: str, trials: Iterable[list[tuple[str, str, Any]]]) -> Knob:
    """A parameter by the distribution of its first trial."""
    given = dict.fromkeys(text for trial in trials for own, text, _ in trial if own == name)
    first, *others = given
    lost = [f"{count(len(others), 'other distribution')} in other trials"] if others else []
    table = json.loads(first)
    kind, own = table["name"], table["attributes"]
    if kind == "CategoricalDistribution":
        return listed(name, own["choices"], *lost)
    log = bool(own.get("log")) or "LogUniform" in kind
    step = own.get("step", own.get("q"))
    ends = (int(own["low"]), int(own["high"])) if kind.startswith("Int") else (float(own["low"]), float(own["high"]))
    return ranged(name, *ends, *lost, log=log, step=None if step == 1 and kind.startswith("Int") else step)


def _condition(knob: Knob, knobs: Iterable[Knob], trials: list[list[tuple[str, str, Any]]]) -> Condition | None:
    """Where a parameter was suggested: beside some values of another that was chosen from a list, if its trials agree;
    None where every trial has it."""
    having = [any(name == knob.name for name, _, _ in trial) for trial in trials]
    if all(having):
        return None
    for parent in knobs:
        if parent.name == knob.name or not parent.values:
            continue
        with_it = {_find_choice(trial, parent) for trial, has in zip(trials, having, strict=True) if has}
        without = {_find_choice(trial, parent) for trial, has in zip(trials, having, strict=True) if not has}
        if not with_it & without and None not in with_it:
            values = tuple(value for place, value in enumerate(parent.values) if place in with_it)
            shown = " or ".join(map(in_words, values))
            return Condition(knob.name, parent.name, values, f"{parent.name} = {shown}, as all trials have it")
    return Condition(knob.name, "", (), f"{sum(having)} of {len(having)} trials have it")


def _find_choice(trial: list[tuple[str, str, Any]], parent: Knob) -> int | None:
    """Which value of a list a trial had, by its place."""
    return next((int(value) for name, _, value in trial if name == parent.name and value is not None), None)
