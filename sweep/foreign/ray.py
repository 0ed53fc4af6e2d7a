"""Ray Tune's experiment folders: the newest experiment_state-*.json, and each trial's result.json.

The state file says which trials there are, how they ended and where their folders are; what Ray pickled into it is not
read. A trial that was resumed adds lines to the same result.json: those of its last time count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.texts import last_line, number, read_json, setting_of
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool

_NAME = "Ray Tune"
_STATES: dict[str, State] = {
    "TERMINATED": "complete",
    "ERROR": "failed",
    "PENDING": "running",
    "RUNNING": "running",
    "PAUSED": "running",
}
_NAN = "null"
"""What Ray writes for a NaN of NumPy's."""
_BOOKKEEPING = frozenset(
    [
        "timestamp",
        "checkpoint_dir_name",
        "done",
        "training_iteration",
        "trial_id",
        "date",
        "time_this_iter_s",
        "time_total_s",
        "pid",
        "hostname",
        "node_ip",
        "config",
        "time_since_restore",
        "iterations_since_restore",
        "experiment_tag",
        "should_checkpoint",
        "experiment_id",
        "timesteps_total",
        "episodes_total",
        "timesteps_since_restore",
        "warmup_time",
    ]
)


def matches(path: Path) -> bool:
    """Whether a folder has an experiment's state, or is that file."""
    return bool(_states(path)) if path.is_dir() else path.name.startswith("experiment_state-")


def read(path: Path) -> ForeignStudy:
    """Reads an experiment's folder. Raises UsageError, one line."""
    states = _states(path) if path.is_dir() else [path]
    if not states:
        raise UsageError(f"{path}: no experiment_state-*.json; expected the folder of one Ray Tune experiment")
    newest = states[-1]
    folder = newest.parent
    entries = _entries(newest)
    numbered = sorted((_trial(folder, entry, newest) for entry in entries), key=lambda pair: pair[0])
    trials = [trial for _, trial in numbered]
    folders = sum(1 for child in folder.iterdir() if (child / "params.json").is_file())
    notes = []
    if len(states) > 1:
        notes.append(f"{len(states)} states of the experiment: the last counts, {newest.name}")
    if folders > len(trials):
        notes.append(f"{folders - len(trials):,} of {folders:,} folders are of earlier tries, left out")
    resumed = sum(restarts for (_, _, restarts), _ in numbered)
    if resumed:
        notes.append(f"{resumed:,} trials were resumed from an earlier epoch: the last time counts")
    return ForeignStudy(_NAME, trials, notes=notes)


def _states(folder: Path) -> list[Path]:
    """The states that were saved, the last one last: their names have the time."""
    return sorted(folder.glob("experiment_state-*.json"))


def _entries(path: Path) -> list[Mapping[str, Any]]:
    """Each trial of a state: what it is, and how it ended. Raises UsageError."""
    state = read_json(path)
    try:
        trials = [json.loads(pair[0]) if isinstance(pair[0], str) else pair[0] for pair in state["trial_data"]]
        if all({"status", "config", "trial_id"} <= trial.keys() for trial in trials):
            return trials
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        pass
    raise UsageError(f"{path}: of a version that is not known; expected the trial_data of Ray 2 (seen: 2.60.0)")


def _trial(folder: Path, what: Mapping[str, Any], source: Path) -> tuple[tuple[int, str, int], ForeignTrial]:
    """A trial with its place in the experiment and whether it was resumed."""
    name, status = str(what["trial_id"]), str(what["status"])
    if status not in _STATES:
        raise UsageError(f"{source}: trial {name} has status {status!r}; expected {', '.join(_STATES)}")
    own = folder / str(what.get("relative_logdir") or "")
    curves, restarts = _curves(own / "result.json")
    state, error = _STATES[status], own / "error.txt"
    reason = _error(error) if state == "failed" and error.is_file() else None
    tag = str(what.get("experiment_tag", "")).partition("_")[0]
    place = (int(tag) if tag.isdigit() else 10**9, name, restarts)
    return place, ForeignTrial(name, setting_of(what["config"]), state, curves, reason=reason)


def _curves(path: Path) -> tuple[dict[str, list[tuple[int, float]]], int]:
    """Each metric by iteration, and 1 if the trial began again from an earlier one, else 0. Raises UsageError."""
    if not path.is_file():
        return {}, 0
    curves: dict[str, list[tuple[int, float]]] = {}
    last = restarts = 0
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for place, line in enumerate(lines, 1):
        try:
            result = json.loads(line)
            step = int(result.get("training_iteration", last + 1))
        except (ValueError, AttributeError, TypeError):
            if place == len(lines):  # cut off while it was written
                break
            raise UsageError(f"{path}, line {place}: damaged, not a result as JSON") from None
        if step <= last:
            restarts = 1
            curves = {name: [point for point in curve if point[0] < step] for name, curve in curves.items()}
        last = step
        for name, value in _metrics(result).items():
            curves.setdefault(name, []).append((step, value))
    return {name: curve for name, curve in curves.items() if curve}, restarts


def _metrics(result: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """A result's numbers, nested names joined with / as Ray does; NaN in any spelling, such as the text null."""
    out: dict[str, float] = {}
    for name, value in result.items():
        if not above and name in _BOOKKEEPING:
            continue
        if isinstance(value, Mapping):
            out |= _metrics(value, f"{above}{name}/")
        elif (measured := number("nan" if value == _NAN else value)) is not None:
            out[f"{above}{name}"] = measured
    return out


def _error(path: Path) -> str | None:
    """The last line of an error: its kind and text."""
    return last_line(path.read_text(encoding="utf-8", errors="replace")) or None


TOOL = Tool("ray", _NAME, "a folder with experiment_state-*.json", matches, read)
