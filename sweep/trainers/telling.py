"""A unit of a user's own trials, and what the study is told of them. Needs messages, training."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection

from sweep.messages import Died, Done, Printed, Stopped, Trained, TrialFailed
from sweep.plan import Unit
from sweep.space import EpochRecord
from sweep.trainers.command import Command
from sweep.trainers.function import Function
from sweep.trainers.training import Broken, Killed, OwnTraining


def train_own(
    worker: int, pipe: Connection, unit: Unit, trains: Command | Function, metric: str, timeout: float | None
) -> Done | Stopped | Died:
    """Has a user's own code train trials, one after another; how each went is told, of quick ones some at a time."""
    telling = _Telling(worker, pipe)
    for trial in unit.trials:
        training = OwnTraining(trial, trains, metric, pipe, timeout, unit.until)
        failed: TrialFailed | None = None
        try:
            for records in training:
                telling.add(records)
        except Broken as error:
            failed = TrialFailed(worker, trial.number, str(error), error.trace)
        except Killed as error:
            telling.flush()
            return Died(worker, str(error))
        if failed or training.printed:
            telling.flush()
        if failed:
            pipe.send(failed)
        if training.printed:
            pipe.send(Printed(worker, trial.number, training.printed))
        if training.asked:
            telling.flush()
            return Stopped(worker)
    telling.flush()
    return Stopped(worker) if unit.until is not None else Done(worker)


class _Telling:
    """Tells the study of records: at once, but for those that come faster than it would read them."""

    EVERY = 0.05
    """Seconds."""

    def __init__(self, worker: int, pipe: Connection) -> None:
        self.worker, self.pipe = worker, pipe
        self.records: list[EpochRecord] = []
        self.last = 0.0

    def add(self, records: list[EpochRecord]) -> None:
        self.records += records
        if time.monotonic() >= self.last + self.EVERY:
            self.flush()

    def flush(self) -> None:
        if self.records:
            self.pipe.send(Trained(self.worker, tuple(self.records)))
            self.records = []
        self.last = time.monotonic()
