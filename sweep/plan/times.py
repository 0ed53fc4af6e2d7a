"""What training takes: by the speeds that were measured, or in multiply-adds."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from sweep.data import DataInfo
from sweep.hyperparameters import Setting
from sweep.plan.sizes import epoch_steps_of, epochs_of, rows_of, work_of
from sweep.space import UNWATCHED, Watch, total_steps
from sweep.speed import Cost

MULTIPLY_ADDS = 10e9
"""Multiply-adds a second of one worker, to guess by where nothing was measured."""


PATH_STEP = 5_000.0
"""The same for a step of one path among thousands."""


def trial_seconds(program: Setting, data: DataInfo, cost: Cost, watch: Watch = UNWATCHED, looks: float = 0.0) -> float:
    """What one trial takes a worker: its steps, a validation after each epoch, the tests; what is watched beside.
    looks: seconds of an epoch's looks at its start."""
    steps, epochs = total_steps(program, epoch_steps_of(program, data)), epochs_of(program, data)
    looked = sum(epoch <= epochs for epoch in watch.epochs) if watch.epochs else epochs
    scored = data.val * (epochs + (steps // watch.every if watch.every else 0))
    scored += data.test * (1 + len(watch.shifts))
    scored += rows_of(program, data)[0] * looked * ("gap" in watch.look)
    return steps * cost.step + scored * cost.row + looked * looks


def makespan(durations: Iterable[float], workers: int) -> float:
    """Seconds until all are done, the longest first, each by the worker that is free first."""
    free = [0.0] * workers
    for seconds in sorted(durations, reverse=True):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def relative_cost(program: Setting, data: DataInfo) -> float:
    """Multiply-adds of one trial, plus a fixed share for each step; for ordering work, not for telling time."""
    if program["model"] == "function":
        return float(program["steps"]) * PATH_STEP
    work = work_of(program, data)
    steps = total_steps(program, epoch_steps_of(program, data))
    return steps * (3.0 * rows_of(program, data)[1] * work + 500_000)
