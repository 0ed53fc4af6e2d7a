"""How the trainings of anyone's table ended: what its columns say of that, and what gaps in them mean. Needs pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.roles import far_column, tool_of
from sweep.errors import UsageError
from sweep.recipe import METRICS
from sweep.wording import count

FEW = 1 / 3
"""Share of trainings up to which those that got less far failed; of more, they were meant to differ."""

_STATES = {
    "complete": "complete completed finished done success succeeded successful terminated ok trained",
    "pruned": "pruned early_stopped early-stopped earlystopped early_stop stopped_early",
    "diverged": "diverged exploded nan",
    "failed": "fail failed failure error errored crashed crash killed aborted canceled cancelled timeout timed_out "
    "preempted preempting oom",
    "running": "running waiting pending scheduled queued paused created in_progress started not_started unfinished",
}
_STATE_OF = {word: state for state, words in _STATES.items() for word in words.split()}
_STATE_NAMES = ("state", "status", "trial_state", "trial_status", "run_state", "end_state", "final_state")


def read_ends(
    table: pd.DataFrame,
    metric: str,
    used: set[str | None],
    path: Path,
    notes: list[str],
    given: str | None,
    missing: str,
) -> tuple[pd.DataFrame, pd.Series | None, dict[str, list[str]]]:
    """The rows that have ended, without the column that says it; the state of each, None where nothing does; columns
    that sweep's own export adds, by reason. given: the column of states; missing: what a row without any metric is.
    Raises UsageError if no row has ended."""
    table = _leave_empty(table, metric, missing, notes)
    table, states, own = _deephyper(table, notes) or _read_states(table, used, path, notes, given)
    if not len(table):
        raise UsageError(f"{path}: no training has ended; expected at least one row that is not running or waiting")
    return table, _fail_empty(table, metric, states, missing), own


def fail_short(
    table: pd.DataFrame, states: pd.Series | None, used: set[str | None], notes: list[str]
) -> pd.Series | None:
    """The states, where a few trainings got less far than all others: in a tool's table without states, such as that of
    Ray Tune, these failed; of any other it is only said."""
    column = far_column(table, used)
    if column is None:
        return states
    steps = pd.to_numeric(table[column], errors="coerce").astype(float)
    short = steps < steps.max()
    if states is not None:
        short &= states == "complete"
    if not 0 < short.sum() <= FEW * len(table):
        return states
    which = f"{count(int(short.sum()), 'row')} ended before {column} {steps.max():g}, where the others did"
    tool = tool_of(table)
    if states is None and tool is not None:
        notes.append(f"{which}: taken as failed, since {tool[0]} keeps no states here (--ignore {column}: as they are)")
        return short.map({True: "failed", False: "complete"})
    notes.append(f"{which}: whether they failed or diverged is not in the table; the tool's own files may say")
    return states


def note_lost(values: np.ndarray[Any, Any], states: pd.Series | None, metric: str, notes: list[str]) -> None:
    lost = np.isnan(values)
    if states is not None:
        lost &= (states == "complete").to_numpy()
    n = int(lost.sum())
    if n:
        notes.append(
            f"{count(n, 'row')} without a finite {metric}: {'a diverged trial' if n == 1 else 'diverged trials'}"
        )


def _read_states(
    table: pd.DataFrame, used: set[str | None], path: Path, notes: list[str], given: str | None = None
) -> tuple[pd.DataFrame, pd.Series | None, dict[str, list[str]]]:
    """The rows that have ended, without the column that says it; the state of each, None where no column does; columns
    that sweep's own export adds, by reason."""
    for name in table.columns:
        words = table[name].dropna().map(lambda cell: str(cell).strip().lower().replace(" ", "_"))
        words = words.map(lambda word: word.rsplit(".", 1)[-1])  # TrialState.PRUNED
        known = words.isin(list(_STATE_OF))
        if name in used or name != (given or name) or (given is None and name.lower() not in _STATE_NAMES):
            continue
        if given is None and not known.any():
            continue
        if not known.all():
            line = known.index[~known.to_numpy()][0]
            others = f", though others there are; --ignore {name} leaves the column out" if known.any() else ""
            raise UsageError(f"{path}, line {line}: {name} = {table[name][line]!r} is no state that is known{others}")
        states = words.map(_STATE_OF).reindex(table.index).fillna("complete")
        ended = states != "running"
        counts = states.value_counts()
        counted = ", ".join(f"{n:,} {state}" for state, n in counts.items())
        left = f"; {counts['running']:,} not ended, left out" if "running" in counts else ""
        notes.append(f"{name} says how trainings ended: {counted}{left}")
        own = {"rank", "trial", "state", "reason"} <= set(table.columns)
        mine = ["rank", "trial", "reason", "epochs", "seconds", "traceback"] if own else []
        measured = [*METRICS, "best_val_loss", "best_val_accuracy", "test_loss", "test_accuracy"] if own else []
        left_out = [column for column in [*mine, *measured] if column in table and column not in used]
        gone = {"columns of sweep's own export": left_out} if left_out else {}
        return table[ended].drop(columns=[name, *left_out]), states[ended], gone
    return table, None, {}


def _deephyper(table: pd.DataFrame, notes: list[str]) -> tuple[pd.DataFrame, pd.Series, dict[str, list[str]]] | None:
    """DeepHyper's objective is F where an evaluation returned no number, F_ and a reason where it failed: the table
    without these, and states; None for any other table."""
    if not {"objective", "job_id", "job_status"} <= set(table.columns):
        return None
    lost = table["objective"].map(lambda cell: str(cell).split("_")[0] == "F")
    if not lost.any():
        return None
    states = table["objective"].map(lambda cell: "diverged" if cell == "F" else "failed").where(lost, "complete")
    counts = ", ".join(f"{n:,} {state}" for state, n in states.value_counts().items())
    notes.append(f"objective says how evaluations ended (F: lost): {counts}")
    return table.assign(objective=table["objective"].where(~lost, None)), states, {}


def _leave_empty(table: pd.DataFrame, metric: str, missing: str, notes: list[str]) -> pd.DataFrame:
    """The table without the rows that have no metric at all, where these are to be left out."""
    empty = table[metric].isna()
    if missing != "left-out" or not empty.any():
        return table
    notes.append(f"{count(int(empty.sum()), 'row')} with an empty {metric}, left out")
    return table[~empty]


def _fail_empty(table: pd.DataFrame, metric: str, states: pd.Series | None, missing: str) -> pd.Series | None:
    """The states, with rows that have no metric at all failed, where these are said to be."""
    empty = table[metric].isna()
    if missing != "failed" or not empty.any():
        return states
    states = pd.Series("complete", index=table.index, dtype=object) if states is None else states
    return states.mask(empty & (states == "complete"), "failed")
