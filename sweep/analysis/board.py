"""The leaderboard of trials: ranked, one selected. Needs pandas."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sweep.analysis.conditions import test_columns
from sweep.analysis.table import StudyTable, keep
from sweep.recipe import MEASURED

_STATE_ORDER = {"complete": 0, "pruned": 1, "diverged": 2, "failed": 3, "running": 4, "waiting": 5}


@dataclass(frozen=True)
class Board:
    """A leaderboard. table: what it is of; rows: trials in rank order with a `rank` column (empty where a trial has no
    rank); selected: the best complete trial."""

    table: StudyTable
    rows: pd.DataFrame
    selected: pd.Series | None


def leaderboard(table: StudyTable, unfinished: bool = False) -> Board:
    """Ranks a study's trials: complete ones by the metric (then by number), then
    pruned ones (those that came furthest first, among equals by it), then diverged;
    failed ones last, unranked. `unfinished` adds the trials that wait or run."""
    rows = table.trials
    rows = rows if unfinished else keep(rows, ~rows["state"].isin(["waiting", "running"]))
    order = pd.DataFrame(
        {
            "state": rows["state"].map(_STATE_ORDER),
            "trained": -rows["epochs"].where(rows["state"] == "pruned", 0),
            "value": (table.sign * rows[table.metric]).where(rows["state"].isin(["complete", "pruned"])),
            "number": rows["number"],
        }
    )
    rows = rows.loc[order.sort_values(["state", "trained", "value", "number"], na_position="last").index].reset_index(
        drop=True
    )
    ranked = rows["state"].isin(["complete", "pruned", "diverged"])
    rows.insert(0, "rank", pd.Series(range(1, len(rows) + 1), index=rows.index, dtype="Int64").where(ranked))
    rows = rows.rename(columns={"number": "trial"})
    selected = rows.iloc[0] if len(rows) and rows["state"].iloc[0] == "complete" else None
    return Board(table, rows, selected)


def csv_columns(board: Board, test: bool) -> list[str]:
    """The fixed columns of an exported leaderboard."""
    aims = [name for name in ("parameters", "front") if name in board.rows]
    measured = [*aims, *(name for name in MEASURED if name in board.rows), "epochs", "seconds", "reason"]
    if board.table.imported:
        measured = [board.table.metric, "reason"]
    elif board.table.free:
        measured = [board.table.metric, *board.table.reported, "epochs", "seconds", "reason"]
    if board.table.ends is not None:
        measured = [board.table.metric, *board.table.ends, "seconds", "reason"]
    return [
        "rank",
        "trial",
        "state",
        "seed",
        *(["split_seed"] if "split_seed" in board.rows else []),
        *board.table.swept,
        *measured,
        *([name for name in test_columns(board.rows) if name != board.table.metric] if test else []),
    ]
