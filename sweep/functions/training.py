"""A unit of work whose trials are paths: one record each, when they have ended. Needs paths."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch

from sweep.functions.paths import CHUNK, Paths
from sweep.space import EpochRecord, Reading, Trial


class PathTraining:
    """Paths of one unit, trained together. Iterating yields their records, once: a path has no epochs.

    A record's losses are the function's value at the path's end, its gradient norm the slope's length there; where the
    path ended are its readings. A path that left every bound has diverged.

    asked: says "" to go on; anything else stops it, and nothing of it is recorded. `stopped` tells afterwards.
    """

    trouble = ""

    def __init__(self, trials: Sequence[Trial], asked: Callable[[], str] = lambda: "") -> None:
        self.trials, self.asked = trials, asked
        self.stopped = False

    def __iter__(self) -> Iterator[list[EpochRecord]]:
        begin = time.perf_counter()
        paths = Paths([trial.setting for trial in self.trials], [trial.seed for trial in self.trials])
        for step in paths.go():
            if step % CHUNK == 0 and step < paths.steps and self.asked():
                self.stopped = True
                return
        seconds = time.perf_counter() - begin
        yield self._records(paths, seconds / len(self.trials))

    def _records(self, paths: Paths, seconds: float) -> list[EpochRecord]:
        """What is to be kept of paths that have ended."""
        values, slopes = paths.values().tolist(), paths.slopes().tolist()
        ends, left = torch.stack(paths.rows, 1).tolist(), paths.left.tolist()
        names = place_names(len(paths.rows))
        records = []
        for lane, trial in enumerate(self.trials):
            value, gone = values[lane], left[lane] or (0 if math.isfinite(values[lane]) else paths.steps)
            point = zip(names, ends[lane], strict=True)
            readings = tuple(Reading(paths.steps, name, "end", math.nan if gone else end) for name, end in point)
            state, reason = ("diverged", f"left every bound at step {gone:,}") if gone else ("complete", None)
            value = math.nan if gone else value
            records.append(
                EpochRecord(
                    trial.number, 1, value, math.nan, value, math.nan, slopes[lane], seconds, state,
                    readings=readings, reason=reason,
                )
            )  # fmt: skip
        return records


def place_names(dimension: int) -> list[str]:
    """What the numbers of a point are called."""
    return ["x"] if dimension == 1 else [f"x{place + 1}" for place in range(dimension)]
