"""Guild AI's runs: a folder each, with flags, an exit status, scalars and what was printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sweep.errors import UsageError
from sweep.foreign.choosing import choose
from sweep.foreign.records import scalars
from sweep.foreign.texts import curve, last_line, number, read_yaml, setting_of
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool
from sweep.wording import count

_LINE = re.compile(r"([^\s:]+):\s+(\S+)")
"""How Guild takes a scalar of what is printed, unless it is told otherwise."""

_Points = dict[str, dict[int, float]]


def _runs(path: Path) -> list[Path]:
    """The runs in a folder of runs, or in Guild's home; the run itself."""
    for place in (path, path / "runs", path / ".guild" / "runs"):
        if folders := sorted(there.parent.parent for there in place.glob("*/.guild/attrs")):
            return folders
    return [path] if (path / ".guild" / "attrs").is_dir() else []


def matches(path: Path) -> bool:
    """Whether a path is a folder of Guild's runs."""
    return path.is_dir() and bool(_runs(path))


def read(path: Path) -> ForeignStudy:
    """The runs of the one operation, oldest first."""
    operations = _operations(path)
    runs = [len(runs) for runs in operations.values()]
    return _read(operations[choose(path, "operation", [*operations], None, runs=runs)])


def read_named(path: Path, name: str) -> ForeignStudy:
    """The runs of an operation."""
    operations = _operations(path)
    return _read(operations[choose(path, "operation", [*operations], name)])


def _operations(path: Path) -> dict[str, list[Path]]:
    """The runs of each operation, oldest first. A batch, which only starts others, is no trial."""
    runs = [run for run in _runs(path) if not (run / ".guild" / "proto").exists()]
    operations: dict[str, list[Path]] = {}
    for run in sorted(runs, key=_find_start):
        operations.setdefault(_operation(run), []).append(run)
    if not operations:
        raise UsageError(f"{path}: no runs; expected folders with .guild/attrs")
    return operations


def _read(runs: list[Path]) -> ForeignStudy:
    notes = ["Guild keeps scalars as float32: each is taken as the shortest decimal of it"]
    trials, lost = [], 0
    for run in runs:
        trial, unrecorded = _trial(run)
        trials.append(trial)
        lost += unrecorded
    if lost:
        notes.append(
            f"{count(lost, 'run')} printed nan or inf, which Guild does not record; they are taken from its output"
        )
    return ForeignStudy("Guild AI", trials, notes=notes)


def _operation(run: Path) -> str:
    """The operation's name, the last word of the reference."""
    there = run / ".guild" / "opref"
    words = there.read_text(encoding="utf-8", errors="replace").split() if there.is_file() else []
    return words[-1] if words else "an operation without a name"


def _find_start(run: Path) -> tuple[int, str]:
    value = _attribute(run, "started") or _attribute(run, "initialized")
    return (value if isinstance(value, int) else 0), run.name


def _attribute(run: Path, name: str) -> object:
    there = run / ".guild" / "attrs" / name
    return read_yaml(there) if there.is_file() else None


def _trial(run: Path) -> tuple[ForeignTrial, bool]:
    """A run, and whether it printed numbers that Guild did not record."""
    flags = _attribute(run, "flags")
    setting = setting_of(flags) if isinstance(flags, Mapping) else {}
    state, reason = _state(run)
    points, order = _read_scalars(run)
    lost = _read_printed(run, points)
    for name, steps in lost.items():
        points.setdefault(name, {}).update(steps)
    curves = {name: curve(points[name]) for name in [*order, *(name for name in points if name not in order)]}
    return ForeignTrial(run.name[:8], setting, state, curves, {}, reason), bool(lost)


def _state(run: Path) -> tuple[State, str | None]:
    status = _attribute(run, "exit_status")
    if status is None:
        alive = any((run / ".guild" / name).exists() for name in ("LOCK", "PENDING", "STAGED"))
        return ("running", None) if alive else ("failed", "ended without an exit status")
    if status == 0:
        return "complete", None
    there = run / ".guild" / "output"
    last = last_line(there.read_text(encoding="utf-8", errors="replace")) if there.is_file() else ""
    return "failed", last or f"exit status {status}"


def _read_scalars(run: Path) -> tuple[_Points, list[str]]:
    """The scalars of a run, by name and step, and their names in order; of other folders than Guild's own with it."""
    points: _Points = {}
    for file in sorted(run.rglob("*tfevents*")):
        place = file.parent.relative_to(run).as_posix()
        start = "" if place in (".", ".guild") else f"{place}#"
        for scalar in scalars(file):
            points.setdefault(start + scalar.tag, {})[scalar.step] = scalar.value
    return points, [*points]


def _read_printed(run: Path, points: _Points) -> _Points:
    """The scalars that were printed and are not finite: Guild's patterns take finite numbers alone."""
    there = run / ".guild" / "output"
    lost: _Points = {}
    step = 0
    for line in there.read_text(encoding="utf-8", errors="replace").splitlines() if there.is_file() else ():
        match = _LINE.fullmatch(line.strip())
        value = number(match[2]) if match else None
        if match is None or value is None:
            continue
        if match[1] == "step":
            step = int(value)
        elif not abs(value) < float("inf") and step not in points.get(match[1], {}):
            lost.setdefault(match[1], {})[step] = value
    return lost


TOOL = Tool("guild", "Guild AI", "folders with .guild/attrs", matches, read, read_named)
