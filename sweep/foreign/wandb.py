"""Weights & Biases' offline runs: run-*.wandb, a log of protobuf records, read without its package. A run is a trial.

The numbers of the fields are those of wandb_internal.proto, which W&B keeps as they are from version to version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.own import KEY, curves_of, own_study, with_facts
from sweep.foreign.records import fields, log_records
from sweep.foreign.texts import number, setting_of
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool
from sweep.wording import count

_NAME = "Weights & Biases"
_HEADER = b":W&B"
_HEADER_BYTES = 7
_HISTORY, _SUMMARY, _CONFIG, _EXIT, _HEAD, _RUN = 2, 3, 5, 18, 16, 17
"""Fields of a record."""
_INTERNAL = "_"
"""What W&B's own names begin with: _step, _runtime, _wandb."""
_STOPPED = 255
"""The exit code of a run that was interrupted (Ctrl-C)."""


@dataclass
class _Run:
    """A run as its file has it."""

    key: str = ""
    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None


def matches(path: Path) -> bool:
    """Whether a file is a run, or a folder has some."""
    return any(_files(path))


def read(path: Path) -> ForeignStudy:
    """Reads the runs of a file or a folder. Raises UsageError, one line."""
    files = sorted(_files(path))
    if not files:
        raise UsageError(f"{path}: no run-*.wandb; expected the folder wandb/ of offline runs, or one of its runs")
    runs = [_run(file) for file in files]
    merged: dict[str, _Run] = {}
    for run in runs:  # one that was resumed has a file for each time
        first = merged.setdefault(run.key, run)
        if first is not run:
            first.config |= run.config
            first.history += run.history
            first.summary |= run.summary
            first.exit_code = run.exit_code
    notes = []
    if len(merged) < len(runs):
        notes.append(f"{count(len(runs) - len(merged), 'file')} of runs that were resumed, joined with the first")
    cut = sum(run.exit_code is None for run in merged.values())
    if cut:
        notes.append(f"{count(cut, 'run')} without an end: killed, or still running; taken as failed")
    told = next((run.config[KEY] for run in merged.values() if KEY in run.config), None)
    trials = [_trial(run) for run in merged.values()]
    return own_study(_NAME, trials, told, version=_version(files[0]), notes=notes)


def _files(path: Path) -> Iterator[Path]:
    """The files of runs: in the folder of a run, of all runs, or beside wandb/. A link to the latest is none."""
    if path.is_file():
        if path.suffix == ".wandb":
            yield path
        return
    for pattern in ("run-*.wandb", "*run-*/run-*.wandb", "wandb/*run-*/run-*.wandb"):
        yield from (file for file in path.glob(pattern) if not file.parent.is_symlink())


def _run(path: Path) -> _Run:
    """Reads a file. A record that was cut off is none. Raises UsageError."""
    _check_head(path)
    run = _Run(path.stem.removeprefix("run-"))
    try:
        for record in log_records(path, _HEADER_BYTES):
            for kind, value in fields(record):
                if isinstance(value, bytes):
                    _take(run, kind, value)
    except (ValueError, UnicodeDecodeError):
        raise UsageError(f"{path}: damaged: a record in it is none of W&B's (read: those of 0.31)") from None
    return run


def _check_head(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if not head.startswith(_HEADER):
        raise UsageError(f"{path}: does not begin with {_HEADER.decode()}: no run of W&B, or an empty one")
    if head[4:] != b"\xe1\xbe\x00":
        raise UsageError(f"{path}: a log of version {head[6]}; expected 0, as W&B 0.31 writes it")


def _take(run: _Run, kind: int, message: bytes) -> None:
    """Adds what a record says."""
    if kind == _RUN:
        for number_, value in fields(message):
            if number_ == 1 and isinstance(value, bytes):
                run.key = value.decode()
            elif number_ == 8 and isinstance(value, bytes):
                run.name = value.decode()
            elif number_ == 4 and isinstance(value, bytes):
                _update(run.config, value)
    elif kind == _CONFIG:
        _update(run.config, message)
    elif kind == _HISTORY:
        run.history.append(dict(_items(message)))
    elif kind == _SUMMARY:
        _update(run.summary, message)
    elif kind == _EXIT:
        code = next((value for number_, value in fields(message) if number_ == 1), 0)
        run.exit_code = code if isinstance(code, int) else 0


def _update(table: dict[str, Any], message: bytes) -> None:
    """What is set and what is removed, of a configuration or a summary."""
    for kind, value in fields(message):
        if kind == 1 and isinstance(value, bytes):
            name, read = _item(value)
            table[name] = read
        elif kind == 2 and isinstance(value, bytes):
            table.pop(_item(value)[0], None)


def _items(history: bytes) -> Iterator[tuple[str, Any]]:
    return (_item(value) for kind, value in fields(history) if kind == 1 and isinstance(value, bytes))


def _item(message: bytes) -> tuple[str, Any]:
    """A name (or the parts of a nested one) and its value, which is JSON."""
    key, nested, value = "", list[str](), None
    for kind, part in fields(message):
        if not isinstance(part, bytes):
            continue
        if kind == 1:
            key = part.decode()
        elif kind == 2:
            nested.append(part.decode())
        elif kind == 16:
            value = json.loads(part)
    return key or ".".join(nested), value


def _trial(run: _Run) -> ForeignTrial:
    config = {name: value for name, value in run.config.items() if not name.startswith(_INTERNAL) and name != KEY}
    state: State = "complete" if run.exit_code == 0 else "failed"
    reason = None if run.exit_code in (0, None) else f"exit code {run.exit_code}"
    reason = "interrupted" if run.exit_code == _STOPPED else "no end recorded" if run.exit_code is None else reason
    curves: dict[str, dict[int, float]] = {}
    for place, row in enumerate(run.history):
        step = row.get("_step", place)
        for name, value in _numbers(row).items():
            curves.setdefault(name, {})[int(step)] = value
    values = {name: value for name, value in _numbers(run.summary).items() if name not in curves}
    trial = ForeignTrial(run.name or run.key, setting_of(config), state, curves_of(curves), values, reason)
    return with_facts(trial, run.config.get(KEY))


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """What is a number of a row, but for W&B's own; NaN is bare or a text."""
    numbers = {name: number(value) for name, value in row.items() if not name.startswith(_INTERNAL)}
    return {name: value for name, value in numbers.items() if value is not None}


def _version(path: Path) -> str | None:
    """The version that wrote a file: its first record begins with it."""
    for record in log_records(path, _HEADER_BYTES):
        for kind, head in fields(record):
            if isinstance(head, bytes) and kind == 21:
                texts = [value for number_, value in fields(head) if number_ == 1 and isinstance(value, bytes)]
                inner = [v for number_, v in fields(texts[0]) if number_ == 1 and isinstance(v, bytes)] if texts else []
                return inner[0].decode().partition("+")[0] if inner else None
    return None


TOOL = Tool("wandb", _NAME, "a folder wandb/ with run-*.wandb, or such a file", matches, read)
