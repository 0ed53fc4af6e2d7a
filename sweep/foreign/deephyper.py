"""DeepHyper's results.csv: objectives, which it makes large, with F where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from sweep.errors import UsageError
from sweep.foreign.texts import EPOCHS, number, read_table, typed
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool, Value

ENOUGH = 3
"""So many rows must agree before a hyperparameter counts as unused in them."""


def _file(path: Path) -> Path:
    return path / "results.csv" if path.is_dir() else path


def matches(path: Path) -> bool:
    """Whether a path is a CSV file, or has a results.csv, with DeepHyper's columns."""
    file = _file(path)
    if file.suffix != ".csv" or not file.is_file():
        return False
    with file.open("rb") as opened:
        header = opened.readline(65536).decode("utf-8", "replace").strip().split(",")
    return {"job_id"} <= {*header} and any(name.startswith("p:") for name in header) and _objectives(header) != []


def _objectives(names: Sequence[str]) -> list[str]:
    return [name for name in names if name == "objective" or name.startswith("objective_")]


def read(path: Path) -> ForeignStudy:
    """The evaluations of a search."""
    file = _file(path)
    rows = read_table(file)
    if not rows:
        raise UsageError(f"{file}: no evaluations; expected a row for each")
    objectives = _objectives([*rows[0]])
    parameters = {
        name.removeprefix("p:"): typed(["" if row[name] == "nan" else row[name] for row in rows])
        for name in rows[0]
        if name.startswith("p:")
    }
    unused, notes = _find_unused(parameters)
    trials = []
    for place, row in enumerate(rows):
        setting = {n: v[place] for n, v in parameters.items() if (n, place) not in unused}
        trials.append(_trial(row, {n: v for n, v in setting.items() if v is not None}, objectives))
    empty = {
        n for n in {n for t in trials for n in t.values} if all(math.isnan(t.values.get(n, math.nan)) for t in trials)
    }
    trials = [_keep(trial, empty) for trial in trials]
    single = len(objectives) == 1
    return ForeignStudy(
        "DeepHyper", trials, objectives[0] if single else None, "maximize" if single else None, None, notes
    )


def _keep(trial: ForeignTrial, without: set[str]) -> ForeignTrial:
    values = {name: value for name, value in trial.values.items() if name not in without}
    return ForeignTrial(trial.name, trial.setting, trial.state, {}, values, trial.reason)


def _trial(row: Mapping[str, str], setting: dict[str, Value], objectives: list[str]) -> ForeignTrial:
    name = row["job_id"]
    state, reason = _state(row, objectives)
    values = {}
    for column in row:
        own = column.removeprefix("m:")
        if column in objectives or (column != own and not own.startswith("timestamp") and own.lower() not in EPOCHS):
            value = number(row[column])
            if value is not None:
                values[own] = value
    return ForeignTrial(name, setting, state, {}, values if state == "complete" else {}, reason)


def _state(row: Mapping[str, str], objectives: list[str]) -> tuple[State, str | None]:
    """F alone stands for a number that was not finite, F_ and a word for a failure."""
    words = [row[name] for name in objectives]
    lost = next((word for word in words if word.split("_")[0] == "F"), None)
    if lost is not None:
        reason = lost.partition("_")[2]
        return ("failed", reason) if reason else ("diverged", "the objective was not finite: F")
    if any(not word for word in words):
        return "running", None
    return "complete", None


def _find_unused(parameters: Mapping[str, Sequence[Value | None]]) -> tuple[set[tuple[str, int]], list[str]]:
    """Where a hyperparameter stands at its lower end only because another has a value that makes it mean nothing:
    DeepHyper fills it in. It then is the same in all rows of that value, and in the others it is not."""
    unused: set[tuple[str, int]] = set()
    notes = []
    for name, values in parameters.items():
        if not all(isinstance(value, float) for value in values):
            continue
        lowest = min(value for value in values if isinstance(value, float))
        for other, levels in parameters.items():
            if other == name or not all(isinstance(level, bool | str) for level in levels):
                continue
            for level, rows in _rows_of(levels).items():
                rest = {value for value, given in zip(values, levels, strict=True) if given != level}
                if len(rows) >= ENOUGH and len(rest) >= ENOUGH and all(values[place] == lowest for place in rows):
                    unused |= {(name, place) for place in rows}
                    notes.append(
                        f"{name} is {lowest:g}, its least, wherever {other} is {level}: taken as unused there, where "
                        "DeepHyper fills in the lower end"
                    )
    return unused, notes


def _rows_of(levels: Sequence[Value | None]) -> dict[Value | None, list[int]]:
    """The rows of each level, by their place."""
    rows: dict[Value | None, list[int]] = {}
    for place, level in enumerate(levels):
        rows.setdefault(level, []).append(place)
    return rows


TOOL = Tool("deephyper", "DeepHyper", "results.csv with columns p:… and objective", matches, read)
