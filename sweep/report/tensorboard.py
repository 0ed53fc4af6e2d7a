"""A study as TensorBoard reads it: one run per trial, its epochs as scalars, its setting as HParams. Needs tensorboard.

The package is an extra (`pip install tensorboard`); its protocol buffers are written as they are, without torch.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sweep.errors import SweepError, UsageError
from sweep.recipe import VALIDATED
from sweep.report.files import plain

if TYPE_CHECKING:
    from sweep.analysis import Board
    from sweep.ledger import Study

_STATUS = {
    "complete": "STATUS_SUCCESS",
    "pruned": "STATUS_SUCCESS",
    "running": "STATUS_RUNNING",
    "waiting": "STATUS_UNKNOWN",
}
_NO_SCALARS = ("trial", "epoch", "seconds")


def export_tensorboard(study: Study, board: Board, epochs: pd.DataFrame, target: str) -> int:
    """Writes TARGET/STUDY with a folder a trial, whole or not at all; returns how many. Raises UsageError if it is
    there already, or where TensorBoard is not installed; SweepError if it cannot be written."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise UsageError("--tensorboard needs the package tensorboard: pip install tensorboard") from None
    folder = Path(target) / study.name
    if folder.exists():
        raise UsageError(f"--tensorboard {target}: {folder} is there already; remove it or name another folder")
    part = folder.with_name(f".{study.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        written = _write(study, board, epochs, part)
        os.replace(part, folder)
    except OSError as error:
        raise SweepError(f"--tensorboard {target}: cannot be written: {error.strerror or error}") from None
    return written


def _write(study: Study, board: Board, epochs: pd.DataFrame, folder: Path) -> int:
    names = [*board.table.swept, *(["seed"] if board.rows["seed"].nunique() > 1 else [])]
    start = datetime.fromisoformat(study.created).timestamp()
    _events(folder, [(start, 0, _experiment(board, names))])
    by_trial = dict(tuple(epochs.groupby("trial", sort=False)))
    width = len(str(max(0, len(board.rows) - 1)))
    final = pd.to_numeric(board.rows[board.table.metric]).astype(float)
    for row, last in zip(board.rows[["trial", "state", *names]].itertuples(index=False, name=None), final, strict=True):
        number, state, *values = row
        run = f"trial-{number:0{width}}"
        setting = {name: kept for name, value in zip(names, values, strict=True) if (kept := plain(value)) is not None}
        curve = by_trial.get(number, _one_point(board.table.metric, state, last))
        lost = board.table.metric if state == "diverged" else ""
        _events(folder / run, _trial(run, state, setting, curve, start, lost))
    return len(board.rows)


def _one_point(metric: str, state: str, value: float) -> pd.DataFrame | None:
    """What stands for the curve of a trial without one, as those of imported tables: its value, NaN if it diverged."""
    if state not in ("complete", "diverged"):
        return None
    return pd.DataFrame({"epoch": [1], "seconds": [0.0], metric: [value]})


def _trial(
    run: str, state: str, setting: dict[str, Any], curve: pd.DataFrame | None, start: float, lost: str
) -> list[tuple[float, int, Any]]:
    """A run's events: (time, step, summary). lost: the metric of which NaN is written, too, for it says that the trial
    diverged."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2, summary_v2
    from tensorboard.plugins.hparams.metadata import NULL_TENSOR, SESSION_END_INFO_TAG, create_summary_metadata

    events = [(start, 0, summary_v2.hparams_pb(setting, trial_id=run, start_time_secs=start))]
    now = start
    for row in [] if curve is None else curve.to_dict("records"):
        now += float(row["seconds"]) if row["seconds"] == row["seconds"] else 0.0
        values = [
            Summary.Value(tag=name, simple_value=row[name])
            for name in row
            if name not in _NO_SCALARS and (row[name] == row[name] or name == lost)
        ]
        events.append((now, int(row["epoch"]), Summary(value=values)))
    end = plugin_data_pb2.SessionEndInfo(
        status=getattr(api_pb2, _STATUS.get(state, "STATUS_FAILURE")), end_time_secs=now
    )
    metadata = create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    return [
        *events,
        (now, 0, Summary(value=[Summary.Value(tag=SESSION_END_INFO_TAG, metadata=metadata, tensor=NULL_TENSOR)])),
    ]


def _experiment(board: Board, names: list[str]) -> Any:
    """What the HParams view shows: the hyperparameters with their values, the metrics with the ranked one first."""
    from tensorboard.plugins.hparams import summary_v2

    hparams = []
    for name in names:
        values = [plain(value) for value in board.rows[name].dropna().unique()]
        hparams.append(summary_v2.HParam(name, _domain(values)))
    metric = board.table.metric.removeprefix("best_")
    metrics = [summary_v2.Metric(name) for name in dict.fromkeys([metric, *_beside(board)])]
    return summary_v2.hparams_config_pb(hparams, metrics)


def _beside(board: Board) -> tuple[str, ...]:
    """The metrics that stand beside the one that is ranked on."""
    if board.table.free:
        return board.table.reported
    return tuple(name for name in VALIDATED if name in board.rows)


def _domain(values: list[Any]) -> Any:
    from tensorboard.plugins.hparams import summary_v2

    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) and len(values) > 20:
        return summary_v2.RealInterval(float(min(values)), float(max(values)))
    if len({type(value) for value in values}) > 1:
        numeric = all(isinstance(value, int | float) for value in values)
        values = [float(value) if numeric else str(value) for value in values]
    return summary_v2.Discrete(values) if 0 < len(values) <= 20 else None


def _events(folder: Path, events: list[tuple[float, int, Any]]) -> None:
    """One event file."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(exist_ok=True)
    with open(folder / f"events.out.tfevents.{int(events[0][0]):010d}.sweep", "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=events[0][0], file_version="brain.Event:2").SerializeToString())
        for time, step, summary in events:
            writer.write(Event(wall_time=time, step=step, summary=summary).SerializeToString())
