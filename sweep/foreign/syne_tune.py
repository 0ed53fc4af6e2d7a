"""Syne Tune's experiments: a row for each report, and a folder for each trial, which alone shows how it ended."""

from __future__ import annotations

import math
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sweep.errors import UsageError
from sweep.foreign.texts import (
    EPOCHS,
    curve,
    last_line,
    number,
    parse_json,
    parse_table,
    plain,
    read_json,
    read_text,
    typed,
)
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool, Value

_TABLES = ("results.csv.zip", "results.csv")
_OWN = ("trial_id", "st_")
_STOPPED = ("STOP", "PAUSE")
_REPORT = "[tune-metric]: "
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Warning)\b")


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def matches(path: Path) -> bool:
    """Whether a path is an experiment's folder, or the table of results in it."""
    if not path.is_dir() and path.name not in _TABLES:
        return False
    folder = _folder(path)
    there = folder / "metadata.json"
    if not there.is_file() or not any((folder / name).is_file() for name in _TABLES):
        return False
    return '"metric_names"' in there.read_text(encoding="utf-8", errors="replace")


def read(path: Path) -> ForeignStudy:
    """An experiment of Syne Tune. A trial that never reported is one only if it raised."""
    folder = _folder(path)
    metadata = read_json(folder / "metadata.json")
    rows = _rows(folder)
    names, modes = metadata.get("metric_names") or [], metadata.get("metric_mode")
    modes = [modes] * len(names) if isinstance(modes, str) else list(modes or [])
    columns = (
        {name: typed([row[name] for row in rows]) for name in rows[0] if name.startswith("config_")} if rows else {}
    )
    reports: dict[str, list[tuple[dict[str, str], dict[str, Value]]]] = {}
    for place, row in enumerate(rows):
        setting = {name.removeprefix("config_"): v[place] for name, v in columns.items() if v[place] is not None}
        reports.setdefault(row["trial_id"], []).append((row, setting))  # type: ignore[arg-type]
    folders = {there.parent.name: there.parent for there in folder.glob("*/config.json")}
    keys = sorted({*reports, *folders}, key=lambda key: (0, int(key), "") if key.isdecimal() else (1, 0, key))
    trials = [_trial(key, reports.get(key, []), folders.get(key), names) for key in keys]
    kept = [trial for trial in trials if trial is not None]
    single = len(names) == 1
    return ForeignStudy(
        "Syne Tune",
        kept,
        names[0] if single else None,
        _way(modes[0]) if single and modes else None,
        None,
        _notes(len(trials) - len(kept), bool(folders)),
        states_kept=bool(folders),
    )


def _way(mode: str) -> Literal["minimize", "maximize"] | None:
    return {"min": "minimize", "max": "maximize"}.get(mode)  # type: ignore[return-value]


def _notes(left: int, folders: bool) -> list[str]:
    notes = []
    if left:
        notes.append(f"{left} {'trial was' if left == 1 else 'trials were'} ended before any report: no trials")
    if not folders:
        notes.append("no folders of trials beside the table, which alone show which failed: st_status does not")
    return notes


def _rows(folder: Path) -> list[dict[str, str]]:
    """The table of reports."""
    file = next(folder / name for name in _TABLES if (folder / name).is_file())
    if file.suffix != ".zip":
        return parse_table(read_text(file), file)
    try:
        with zipfile.ZipFile(file) as archive:
            text = archive.read(archive.namelist()[0]).decode()
    except (zipfile.BadZipFile, zlib.error, IndexError, OSError, UnicodeDecodeError, EOFError) as error:
        raise UsageError(f"{file}: damaged: {error}") from None
    return parse_table(text, file)


def _trial(
    key: str,
    reports: Sequence[tuple[Mapping[str, str], dict[str, Value]]],
    folder: Path | None,
    metrics: Sequence[str],
) -> ForeignTrial | None:
    raised = _raised(folder) if folder else None
    if not reports and raised is None:
        return None
    setting = _config(folder) if folder else reports[0][1]
    state, reason = _state([row for row, _ in reports], raised, folder)
    return ForeignTrial(
        key,
        setting,
        state,
        _curves([row for row, _ in reports], _printed(folder) if folder else [], metrics),
        {},
        reason,
    )


def _config(folder: Path) -> dict[str, Value]:
    table = read_json(folder / "config.json")
    values = ((name, plain(value)) for name, value in table.items())
    return {name: value for name, value in values if value is not None}


def _raised(folder: Path) -> str | None:
    """The error that a trial's standard error ends with."""
    there = folder / "std.err"
    text = there.read_text(encoding="utf-8", errors="replace") if there.is_file() else ""
    last = last_line(text)
    return last if "Traceback (most recent call last)" in text and _RAISED.match(last) else None


def _state(rows: Sequence[Mapping[str, str]], raised: str | None, folder: Path | None) -> tuple[State, str | None]:
    """How a trial ended: st_status is what it was when it reported, and says nothing of that."""
    decision = rows[-1].get("st_decision", "") if rows else ""
    if decision in _STOPPED:
        return "pruned", f"the scheduler's decision: {decision}"
    if raised:
        return "failed", raised
    if folder and (folder / "stop").exists() and not (folder / "end").exists():
        return "running", "stopped with the experiment"
    return "complete", None


def _printed(folder: Path) -> list[dict[str, Any]]:
    """The reports of a trial as it printed them, which tell NaN from what was not reported."""
    there = folder / "std.out"
    text = there.read_text(encoding="utf-8", errors="replace") if there.is_file() else ""
    lines = [line.partition(_REPORT)[2] for line in text.splitlines() if line.startswith(_REPORT)]
    return [report for line in lines if isinstance(report := parse_json(line, str(there)), dict)]


def _curves(
    rows: Sequence[Mapping[str, str]], printed: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> dict[str, Any]:
    """Every number that was reported, by epoch where one was reported; an empty cell of what was reported is NaN."""
    names = [name for name in (rows[0] if rows else ()) if not name.startswith((*_OWN, "config_"))]
    step = next((name for name in names if name.lower() in EPOCHS and all(row[name] for row in rows)), None)
    points: dict[str, dict[int, float]] = {}
    said = printed if len(printed) == len(rows) else [{}] * len(rows)
    for place, (row, report) in enumerate(zip(rows, said, strict=True), 1):
        at = int(float(row[step])) if step else place
        for name in names:
            empty = math.nan if name in metrics or name in report else None
            value = number(row[name]) if row[name] else empty
            if value is not None and name.lower() not in EPOCHS:
                points.setdefault(name, {})[at] = value
    return {name: curve(steps) for name, steps in points.items()}


TOOL = Tool("syne-tune", "Syne Tune", "metadata.json beside results.csv.zip", matches, read)
