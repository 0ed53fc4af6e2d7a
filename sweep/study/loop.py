"""Units handed to workers, their records to the ledger."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweep import checkpoint
from sweep.courses import trial_key
from sweep.errors import SweepError
from sweep.ledger import Ledger, Study
from sweep.machine import alike, kind_text
from sweep.messages import (
    Broken,
    Died,
    Done,
    Failed,
    Left,
    Loaded,
    Measured,
    Message,
    OutOfMemory,
    Printed,
    Ready,
    Stopped,
    Trained,
    TrialFailed,
    Trouble,
)
from sweep.plan import Unit, classes_note
from sweep.space import EpochRecord, Trial
from sweep.speed import Measurement, Speeds
from sweep.study.speeds import measure_costs
from sweep.study.watching import Watcher
from sweep.wording import count
from sweep.workers import Pool

DEATHS = 20
"""Workers that die without work in hand before the run gives up: something kills them faster than they are forked."""


BATCH, MOST = 0.2, 256
"""Seconds of quick trials of a user's own code that a worker gets at a time, and how many of them at most."""

ATTEMPTS = 3
"""A lone trial whose worker died so many times has failed."""


class Loop:
    """Hands units to workers and their records to the ledger. Workers stay between windows.

    stopping: why no more units are handed out: "", "interrupted" or "time".
    """

    def __init__(
        self, ledger: Ledger, study: Study, watcher: Watcher, pool: Pool, interrupts: list[int], deadline: float | None
    ) -> None:
        self.ledger, self.study, self.watcher, self.pool = ledger, study, watcher, pool
        self.folder = checkpoints(ledger, study)
        self.interrupts, self.deadline = interrupts, deadline
        self.ready: list[int] = []
        self.busy: dict[int, Unit] = {}
        self.finished: set[int] = set()
        self.deaths = 0
        self.sat: list[tuple[Mapping[str, Any], int]] = []  # the machines of this run, and the sitting of each
        self.sittings: dict[int | None, int] = {}  # of each worker; None: of all
        self.stopping = ""
        self.changed_code = False
        self.pace: float | None = None  # seconds that a trial took lately
        self.given: dict[int, float] = {}  # when each worker got its unit

    def measure(self, wanted: list[Measurement], speeds: Speeds) -> None:
        """Has cohorts measured, adds the costs to `speeds` and remembers them."""
        if not wanted:
            return
        self.watcher.note(
            f"measuring how many trials at a time suit this machine ({count(len(wanted), 'kind')} of network)"
        )

        def stop() -> bool:
            self.watcher.tick()
            self._look_up()
            return bool(self.stopping)

        measure_costs(self.pool, wanted, speeds, self.study.recipe.data, self.ready, self._take, stop)

    def train(self, queue: list[Unit]) -> None:
        """Trains the units, or as many as the user's patience allows. Workers get the next one before the epochs of the
        last are recorded, so that they train meanwhile."""
        self.queue = queue
        self._give_out()
        while self.busy or (self.queue and not self.stopping):
            records: list[EpochRecord] = []
            for message in self.pool.messages(0.25):
                if isinstance(message, Trained):
                    records += message.records
                elif not isinstance(message, Done | Ready):  # what it does to trials comes after their epochs
                    self._record(records)
                self._take(message)
            self._give_out()
            self._record(records)
            self.watcher.tick()
            self._look_up()

    def _look_up(self) -> None:
        """Whether it is time to stop."""
        if not self.stopping and self.interrupts:
            self.stopping = "interrupted"
            self.pool.stop(now=False)
            self.watcher.note("stopping at the end of the epoch; press Ctrl-C again to stop now")
        elif not self.stopping and self.deadline is not None and time.monotonic() >= self.deadline:
            self.stopping = "time"
            self.pool.stop(now=True)
        if len(self.interrupts) > 1:
            self.stopping = "interrupted"
            self._abandon()

    def _give_out(self) -> None:
        while self.ready and self.queue and not self.stopping:
            self._give(self.ready.pop(0), self._next())

    def _next(self) -> Unit:
        """The next unit; of a user's own code, whose units are single trials, as many of them as take BATCH seconds by
        those before: a millisecond's trial would wait longer for its turn than it trains."""
        unit = self.queue.pop(0)
        if not self.study.recipe.trainer or self.pace is None or unit.attempt > 1:
            return unit
        room = min(MOST, int(BATCH / self.pace), len(self.queue) // (2 * max(1, len(self.busy) + len(self.ready))))
        more = list(itertools.takewhile(lambda other: other.attempt == 1, self.queue[:room]))
        del self.queue[: len(more)]
        return replace(unit, trials=unit.trials + tuple(trial for other in more for trial in other.trials))

    def _give(self, worker: int, unit: Unit) -> None:
        self.busy[worker], self.given[worker] = unit, time.monotonic()
        sitting = self.sittings.get(worker, self.sittings.get(None))
        self.ledger.begin(self.study, [trial.number for trial in unit.trials], sitting)
        self.pool.give(worker, unit)
        self.watcher.training(worker, unit)

    def _record(self, records: list[EpochRecord]) -> None:
        if records:
            self.ledger.record(self.study, records)
            records.clear()

    def _take(self, message: Message) -> None:
        match message:
            case Loaded():
                self._sit(message)
            case Ready(worker):
                self.ready.append(worker)
            case Trained(worker, records):
                self.finished.update(record.number for record in records if record.state)
                self.watcher.epoch(worker, self.busy[worker], records)
            case TrialFailed(worker, number, reason, traceback):
                self._lose(worker, number, reason, traceback)
            case Printed(worker, number, text):
                self.ledger.keep_output(self.study, number, text)
            case Trouble(_, text):
                self.watcher.note(text)
            case Measured():
                pass  # asked for before it was time to stop
            case Died(worker) if worker not in self.busy:
                self._count_death(message)
            case Left(worker) if worker not in self.busy:
                self.ready[:] = [other for other in self.ready if other != worker]
            case _:
                self._end(message)

    def _sit(self, message: Loaded) -> None:
        """Begins a sitting: from now on trials are trained on these data, by this machine. Another one that is all the
        same, a worker of the same node, sits with it."""
        for facts, number in self.sat:
            if facts == message.facts:
                self.sittings[message.worker] = number
                return
        before = self.study.data
        self.ledger.use_data(self.study, message.fingerprint, message.classes, self.changed_code)
        changed = self.changed_code and before not in (None, message.fingerprint)
        notes = [
            f"{self.study.name}: its code has changed; trials from now on are trained with the new one"
            if changed
            else "",
            self._node_note(message.facts) if self.sat else mixing_note(self.ledger, self.study, message.facts),
            "" if self.sat else classes_note(self.study.recipe, message.classes),
        ]
        for note in filter(None, notes):
            self.watcher.note(note)
        self.sittings[message.worker] = self.ledger.sit(self.study, message.facts)
        self.sat.append((message.facts, self.sittings[message.worker]))

    def _node_note(self, facts: Mapping[str, Any]) -> str:
        """What to say of a further machine that joins a run; empty where it is of the kind of one before."""
        if any(alike(before, facts) for before, _ in self.sat):
            return ""
        return (
            f"{facts['host']} is a machine of another kind ({kind_text(facts)}) than {self.sat[0][0]['host']} "
            f"({kind_text(self.sat[0][0])}): last digits, and what grows out of them, may differ between their trials"
        )

    def _end(self, message: Done | Stopped | Left | Broken) -> None:
        """A worker's unit ended, however; not if it was abandoned before."""
        unit = self.busy.pop(message.worker, None)
        if unit is None:
            return
        self.watcher.idle(message.worker)
        match message:
            case Done():
                self.pace = max(1e-6, (time.monotonic() - self.given[message.worker]) / len(unit.trials))
            case Stopped():
                self._put_back(unit)
            case Left():
                self._put_back(unit)
                self._queue_again(unit)
            case Failed() | OutOfMemory() | Died():
                self._again(unit, message)

    def _lose(self, worker: int, number: int, reason: str, traceback: str) -> None:
        """A trial of a user's own code failed."""
        unit = self.busy.get(worker)
        if unit is not None:
            self.finished.add(number)
            self.ledger.mark(self.study, [number], "failed", reason, traceback or None)
            failed = tuple(trial for trial in unit.trials if trial.number == number)
            self.watcher.failed(replace(unit, trials=failed), reason, False)

    def _count_death(self, message: Died) -> None:
        """A worker died that had no work. Raises SweepError if too many do."""
        self.ready[:] = [worker for worker in self.ready if worker != message.worker]
        self.deaths += 1
        if self.deaths > DEATHS:
            raise SweepError(f"idle workers die one after another ({message.how}); everything finished is recorded")

    def _list_unfinished(self, unit: Unit) -> list[Trial]:
        return [trial for trial in unit.trials if trial.number not in self.finished]

    def _put_back(self, unit: Unit) -> None:
        self.ledger.mark(self.study, [trial.number for trial in self._list_unfinished(unit)], "waiting", "interrupted")

    def _queue_again(self, unit: Unit) -> None:
        """A unit, as far as it is not finished, is trained next, from its last checkpoint."""
        left = replace(unit, trials=tuple(self._list_unfinished(unit)))
        if left.trials:
            self.queue.insert(0, replace(left, checkpoint=self._latest(left)))

    def _again(self, unit: Unit, end: Broken) -> None:
        """A unit broke off: what it had not finished is tried with fewer lanes; a lone trial fails in the end."""
        left = replace(unit, trials=tuple(self._list_unfinished(unit)), checkpoint=None)
        if not left.trials:
            return
        alone = len(left.trials) == 1
        again = not alone or (isinstance(end, Died) and unit.attempt < ATTEMPTS)
        numbers = [trial.number for trial in left.trials]
        if again:
            self.ledger.mark(self.study, numbers, "waiting", end.reason)
            # Attempts count the deaths of a lone trial; until then lanes are halved.
            halves = [replace(half, attempt=half.attempt if alone else 1) for half in left.halves()]
            self.queue[:0] = [replace(half, checkpoint=self._latest(half)) for half in halves]
        else:
            trace = end.traceback if isinstance(end, Failed) else None
            self.ledger.mark(self.study, numbers, "failed", end.reason, trace)
        self.watcher.failed(left, end.reason, again)

    def _latest(self, unit: Unit) -> Path | None:
        """The most advanced checkpoint that has all trials of a unit; its dead worker may have left one."""
        keys = {trial_key(trial) for trial in unit.trials}
        return next((saved.path for saved in checkpoint.scan(self.folder) if keys <= set(saved.keys)), None)

    def _abandon(self) -> None:
        for worker, unit in self.busy.items():
            self._put_back(unit)
            self.watcher.idle(worker)
        self.busy.clear()


def mixing_note(ledger: Ledger, study: Study, facts: Mapping[str, Any]) -> str:
    """What to say before trials of another kind of machine join those that are there; empty where none do."""
    others = [sitting for sitting in ledger.sittings(study) if sitting.trials and not alike(sitting.facts, facts)]
    if not others:
        return ""
    trials = sum(sitting.trials for sitting in others)
    kinds = " and ".join(dict.fromkeys(sitting.kind for sitting in others))
    return (
        f"{study.name}: {count(trials, 'trial')} {'was' if trials == 1 else 'were'} trained with {kinds}; "
        f"here it is {kind_text(facts)}: last digits, and what grows out of them, may differ"
    )


def checkpoints(ledger: Ledger, study: Study) -> Path:
    return ledger.path.parent / checkpoint.FOLDER / str(study.id)
