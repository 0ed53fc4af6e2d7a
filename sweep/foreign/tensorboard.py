"""TensorBoard's logs with HParams, read without its package: folders of event files. A session of HParams is a trial.

torch's add_hparams writes each session into a folder of its own below that of the run's scalars, and always with the
status success; others write both into one folder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from sweep.errors import UsageError
from sweep.foreign.records import event_scalars, fields, tfrecords
from sweep.foreign.trials import Curve, ForeignStudy, ForeignTrial, State, Tool, Value
from sweep.wording import count

_NAME = "TensorBoard"
_PATTERN = "*tfevents*"
_LOOKED = 10_000
"""Entries of a folder's tree that are looked at to see whether there are logs."""
_START, _END = "_hparams_/session_start_info", "_hparams_/session_end_info"
_SUCCESS, _FAILURE = 1, 2
"""A session's status."""


@dataclass
class _Folder:
    """What the event files of a folder hold."""

    path: Path
    curves: dict[str, dict[int, float]] = field(default_factory=dict)
    setting: dict[str, Value] | None = None
    """Where it has a session."""
    status: int | None = None
    started: float = 0.0


def matches(path: Path) -> bool:
    """Whether a file is an event file, or a folder has some."""
    if path.is_file():
        return "tfevents" in path.name
    return any("tfevents" in inside.name for inside in islice(path.rglob("*"), _LOOKED))


def read(path: Path) -> ForeignStudy:
    """Reads a log's folder. Raises UsageError, one line."""
    root = path.parent if path.is_file() else path
    files = [path] if path.is_file() else sorted(path.rglob(_PATTERN))
    folders: dict[Path, _Folder] = {}
    for file in files:
        _take(folders.setdefault(file.parent, _Folder(file.parent)), file)
    sessions = [folder for folder in folders.values() if folder.setting]
    if not sessions:
        raise UsageError(
            f"{path}: {count(len(files), 'event file')} without HParams, so no setting is known; expected those of "
            "add_hparams or hp.hparams"
        )
    trials, again = _trials(sessions, folders, root)
    notes = [f"{count(again, 'session')} of a run that was logged again: the newest counts"] if again else []
    kept = not all(session.status == _SUCCESS for session in sessions)
    return ForeignStudy(_NAME, trials, notes=notes, states_kept=kept)


def _take(folder: _Folder, file: Path) -> None:
    """Adds a file to what its folder holds; the steps of a newer file replace those that it repeats."""
    curves: dict[str, dict[int, float]] = {}
    try:
        for event in tfrecords(file):
            for scalar in event_scalars(event):
                curves.setdefault(scalar.tag, {})[scalar.step] = scalar.value
            for tag, content, seconds in _plugin_data(event):
                if tag == _START:
                    folder.setting, folder.status, folder.started = _setting(content), None, seconds
                elif tag == _END:
                    folder.status = _status(content)
    except (ValueError, struct.error):
        raise UsageError(f"{file}: damaged: a record in it is no event of TensorBoard") from None
    for tag, points in curves.items():
        before = {step: value for step, value in folder.curves.get(tag, {}).items() if step < min(points)}
        folder.curves[tag] = before | points


def _plugin_data(event: bytes) -> Iterator[tuple[str, bytes, float]]:
    """(tag, content, time) of each summary that belongs to HParams."""
    parts = dict(fields(event))
    time, summary = parts.get(1), parts.get(5)
    seconds = struct.unpack("<d", time)[0] if isinstance(time, bytes) else 0.0
    for kind, value in fields(summary) if isinstance(summary, bytes) else ():
        inner = dict(fields(value)) if kind == 1 and isinstance(value, bytes) else {}
        tag, metadata = inner.get(1), inner.get(9)
        if isinstance(tag, bytes) and tag.startswith(b"_hparams_/") and isinstance(metadata, bytes):
            plugin = dict(fields(metadata)).get(1)
            content = dict(fields(plugin)).get(2) if isinstance(plugin, bytes) else None
            if isinstance(content, bytes):
                yield tag.decode(), content, seconds


def _setting(content: bytes) -> dict[str, Value]:
    """The hyperparameters with which a session began, by name."""
    out: dict[str, Value] = {}
    start = dict(fields(content)).get(3)
    for kind, entry in fields(start) if isinstance(start, bytes) else ():
        if kind == 1 and isinstance(entry, bytes):
            pair = dict(fields(entry))
            name, value = pair.get(1), _value(pair.get(2, b""))
            if isinstance(name, bytes) and value is not None:
                out[name.decode()] = value
    return dict(sorted(out.items()))


def _value(message: int | bytes) -> Value | None:
    """A google.protobuf.Value: a number, a text or a truth; None of null."""
    for kind, value in fields(message) if isinstance(message, bytes) else ():
        if kind == 2 and isinstance(value, bytes):
            return float(struct.unpack("<d", value)[0])
        if kind == 3 and isinstance(value, bytes):
            return value.decode()
        if kind == 4:
            return bool(value)
    return None


def _status(content: bytes) -> int:
    end = dict(fields(content)).get(4)
    status = dict(fields(end)).get(1, 0) if isinstance(end, bytes) else 0
    return status if isinstance(status, int) else 0


def _trials(sessions: Sequence[_Folder], folders: dict[Path, _Folder], root: Path) -> tuple[list[ForeignTrial], int]:
    """A trial of each session, with the curves of the folder above where those are there; and how many sessions are
    older ones of the same run."""
    ended = any(session.status is not None for session in sessions)
    newest: dict[tuple[Path, str], _Folder] = {}
    for session in sorted(sessions, key=lambda session: session.started):
        newest[_run(session, folders), repr(session.setting)] = session
    runs = [run for run, _ in newest]
    trials = []
    for (run, _), session in sorted(newest.items(), key=lambda entry: _natural(entry[0][0])):
        alone = runs.count(run) == 1  # else one writer has logged several settings: its curves are of no one of them
        curves = folders[run].curves if alone or run == session.path else {}
        values = {} if run == session.path else {tag: [*points.values()][-1] for tag, points in session.curves.items()}
        where = session.path if not alone else run
        name = str(where.relative_to(root)) if where != root else root.absolute().name
        ordered: dict[str, Curve] = {tag: sorted(points.items()) for tag, points in curves.items()}
        trials.append(ForeignTrial(name, session.setting or {}, _state(session, ordered, ended), ordered, values))
    return trials, len(sessions) - len(newest)


def _run(session: _Folder, folders: dict[Path, _Folder]) -> Path:
    """The folder of a session's scalars: the one above it where that has scalars and no session of its own."""
    above = folders.get(session.path.parent)
    return above.path if above and above.curves and not above.setting else session.path


def _natural(path: Path) -> list[tuple[int, str]]:
    """A path in an order in which trial-10 comes after trial-9."""
    digits = "".join(char if char.isdigit() else " " for char in str(path)).split()
    return [(int(number), "") for number in digits] + [(0, str(path))]


def _state(session: _Folder, curves: dict[str, Curve], ended: bool) -> State:
    """How a session ended. Where only some have an end, the others were cut off; one that failed with NaN diverged."""
    if session.status == _FAILURE:
        lost = any(curve[-1][1] != curve[-1][1] for curve in curves.values())
        return "diverged" if lost else "failed"
    return "failed" if session.status is None and ended else "complete"


TOOL = Tool("tensorboard", _NAME, "event files *tfevents* with HParams", matches, read, beside=True)
