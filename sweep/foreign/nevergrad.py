"""Nevergrad's log: a JSON line for each loss that its optimizer was told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.texts import number, plain, read_lines
from sweep.foreign.trials import ForeignStudy, ForeignTrial, Tool, Value
from sweep.wording import count

CLIPPED = 5e20
"""What Nevergrad puts in place of a loss that is NaN, infinite or larger."""


def matches(path: Path) -> bool:
    """Whether a path is a file whose first line has a parametrization and a loss."""
    if path.suffix not in (".json", ".jsonl", ".log", ".txt") or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.readline(65536)
    return head.startswith(b"{") and b'"#parametrization"' in head and b'"#loss"' in head


def read(path: Path) -> ForeignStudy:
    """A log of ParametersLogger."""
    rows = list(read_lines(path))
    if not all(isinstance(row, Mapping) and "#loss" in row for row in rows):
        raise UsageError(f"{path}: damaged: a line without #loss; expected one for each loss that was told")
    trials = [_trial(row, place) for place, row in enumerate(rows)]
    return ForeignStudy("Nevergrad", trials, "loss", "minimize", None, _notes(rows, trials))


def _trial(row: Mapping[str, Any], place: int) -> ForeignTrial:
    loss = number(row["#loss"])
    lost = loss is None or not abs(loss) < CLIPPED
    reason = f"a loss that was not finite, for which Nevergrad writes {CLIPPED:g}" if lost else None
    values = {"loss": math.nan if lost or loss is None else loss}
    name = str(row.get("#uid", place))
    return ForeignTrial(name, _setting(row), "diverged" if lost else "complete", values=values, reason=reason)


def _setting(row: Mapping[str, Any]) -> dict[str, Value]:
    """The arguments: without what describes the optimizer, a mutation's width, which choice was taken."""
    kept = (name for name in row if "#" not in name and not name.endswith((".indices", ".weights")))
    values = ((name, plain(row[name])) for name in kept)
    return {name: value for name, value in values if value is not None}


def _notes(rows: list[Mapping[str, Any]], trials: list[ForeignTrial]) -> list[str]:
    notes = []
    if lost := sum(trial.state == "diverged" for trial in trials):
        notes.append(f"{count(lost, 'loss')} of {CLIPPED:g}, which Nevergrad writes for NaN and infinity: diverged")
    asked: dict[Any, int] = {}
    for row in rows:
        session = (row.get("#session"), row.get("#optimizer"))
        asked[session] = max(asked.get(session, 0), int(row.get("#num-ask", 0)))
    if (untold := sum(asked.values()) - len(rows)) > 0:
        notes.append(
            f"{sum(asked.values()):,} settings were asked for and {len(rows):,} told: {count(untold, 'training')} "
            "raised or did not end; Nevergrad keeps nothing of these"
        )
    return notes


TOOL = Tool("nevergrad", "Nevergrad", "JSON lines with #parametrization and #loss", matches, read)
