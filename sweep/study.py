"""The study: the only loop. Asks for trials, plans them, has them trained, records. Needs plan, workers, ledger."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import FrameType
from typing import Protocol

from sweep.data import DataInfo
from sweep.errors import DataError, UsageError
from sweep.ledger import FINISHED, Ledger, Study
from sweep.plan import Plan, Unit, units
from sweep.recipe import Recipe
from sweep.space import EpochRecord, Trial
from sweep.workers import DataRequest, Message, Pool

WINDOW = 20_000
"""Trials that are made, planned and trained before the next ones are looked at, so that memory stays bounded."""

ATTEMPTS = 3
"""A lone trial whose worker died so many times has failed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Summary:
    """How a run ended: trials by state, and whether the user stopped it."""

    counts: dict[str, int]
    trials: int
    seconds: float
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """130 if interrupted, 1 if trials failed, else 0."""
        return 130 if self.interrupted else 1 if self.counts["failed"] else 0


class Watcher(Protocol):
    """Who is told what happens, as it happens."""

    def started(self, study: Study, counts: dict[str, int]) -> None:
        """The run begins with these trials done already."""

    def training(self, worker: int, unit: Unit) -> None:
        """A worker begins a unit."""

    def epoch(self, worker: int, unit: Unit, outcomes: tuple[EpochRecord, ...]) -> None:
        """A unit has trained an epoch."""

    def idle(self, worker: int) -> None:
        """A worker has no unit any more."""

    def failed(self, unit: Unit, reason: str, again: bool) -> None:
        """A unit broke off; `again`: it is tried once more."""

    def stopping(self) -> None:
        """The user asked to stop; workers finish their epoch."""

    def tick(self) -> None:
        """A moment has passed."""

    def ended(self, summary: Summary) -> None:
        """The run is over."""


def check_name(name: str) -> str:
    """The name of a study. Raises UsageError unless it is letters, digits, dots, dashes and underscores."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"study name {name!r}: expected letters, digits, '.', '-' and '_' (at most 100), no path; results go to --results"
        )
    return name


@contextmanager
def opened(ledger: Ledger, name: str, recipe: Recipe, plan: Plan) -> Iterator[Study]:
    """The study of that name: a new one, or the one there if it is of the same recipe.

    Raises UsageError, with the difference, if it is of another. A new one whose data turn out to be unreadable is
    taken back.
    """
    study = ledger.find(name)
    if study is not None:
        difference = study.recipe.difference(recipe)
        if difference:
            raise UsageError(
                f"study {name!r} exists with another recipe ({'; '.join(difference)}); "
                f"give --study another name, or `sweep rm {name}`"
            )
        yield study
        return
    study = ledger.create(name, recipe, plan.trials)
    try:
        yield study
    except DataError:
        ledger.remove(study)
        raise


def run(
    ledger: Ledger, study: Study, data: DataInfo, watcher: Watcher, jobs: int, lanes: int | None, retry_failed: bool
) -> Summary:
    """Trains what is left of a study and records it. The caller holds the study's lock.

    Ends early, everything finished recorded, when the user interrupts: once to stop at the next epoch, twice at once.
    """
    begin = time.perf_counter()
    states = ledger.states(study)
    unfinished = [
        number for number, state in states.items() if state == "running" or (retry_failed and state == "failed")
    ]
    ledger.mark(study, unfinished, "waiting")
    settled = {
        number for number, state in states.items() if state in FINISHED or (state == "failed" and not retry_failed)
    }
    watcher.started(study, ledger.counts(study))
    interrupted = False
    with _interrupts() as interrupts:
        if len(settled) < study.trials:
            interrupted = _train_all(ledger, study, data, watcher, jobs, lanes, settled, interrupts)
    ledger.close_run(study, time.perf_counter() - begin)
    summary = Summary(ledger.counts(study), study.trials, time.perf_counter() - begin, interrupted)
    watcher.ended(summary)
    return summary


def _train_all(
    ledger: Ledger,
    study: Study,
    data: DataInfo,
    watcher: Watcher,
    jobs: int,
    lanes: int | None,
    settled: set[int],
    interrupts: list[int],
) -> bool:
    """Trains every trial that is not settled, a window at a time. True if the user interrupted."""
    recipe = study.recipe
    left = (trial for trial in recipe.grid.trials() if trial.number not in settled)
    points = recipe.grid.points
    forms = tuple((str(a), b) for a in points.get("normalize", ("zscore",)) for b in points.get("train_size", ("all",)))
    request = DataRequest(recipe.data, recipe.data_dir, recipe.split_seed, forms)  # type: ignore[arg-type]
    jobs = min(jobs, study.trials - len(settled))
    with Pool(jobs, request) as pool:
        loop = _Loop(ledger, study, watcher, pool, interrupts)
        for window in _windows(left):
            ledger.add(study, window)
            loop.train(units(window, data, jobs, lanes))
            if interrupts:
                return True
    return False


class _Loop:
    """Hands units to workers and their records to the ledger. Workers stay between windows."""

    def __init__(self, ledger: Ledger, study: Study, watcher: Watcher, pool: Pool, interrupts: list[int]) -> None:
        self.ledger, self.study, self.watcher, self.pool, self.interrupts = ledger, study, watcher, pool, interrupts
        self.ready: list[int] = []
        self.busy: dict[int, Unit] = {}
        self.finished: set[int] = set()
        self.asked_to_stop = False

    def train(self, queue: list[Unit]) -> None:
        """Trains the units, or as many as the user's patience allows."""
        self.queue = queue
        while self.busy or (self.queue and not self.interrupts):
            while self.ready and self.queue and not self.interrupts:
                self._give(self.ready.pop(0), self.queue.pop(0))
            outcomes: list[EpochRecord] = []
            for message in self.pool.messages(0.25):
                outcomes += message.outcomes
                if message.kind in ("error", "memory", "died"):
                    self._record(outcomes)
                self._take(message)
            self._record(outcomes)
            self.watcher.tick()
            if self.interrupts and not self.asked_to_stop:
                self.asked_to_stop = True
                self.pool.stop_soon()
                self.watcher.stopping()
            if len(self.interrupts) > 1:
                self._abandon()

    def _give(self, worker: int, unit: Unit) -> None:
        self.busy[worker] = unit
        self.ledger.mark(self.study, [trial.number for trial in unit.trials], "running")
        self.pool.give(worker, unit)
        self.watcher.training(worker, unit)

    def _record(self, outcomes: list[EpochRecord]) -> None:
        if outcomes:
            self.ledger.record(self.study, outcomes)
            outcomes.clear()

    def _take(self, message: Message) -> None:
        if message.kind == "ready":
            self.ready.append(message.worker)
        elif message.kind == "epoch":
            self.finished.update(outcome.number for outcome in message.outcomes if outcome.state)
            self.watcher.epoch(message.worker, self.busy[message.worker], message.outcomes)
        elif message.worker in self.busy:
            unit = self.busy.pop(message.worker)
            self.watcher.idle(message.worker)
            if message.kind == "stopped":
                self._put_back(unit)
            elif message.kind != "done":
                self._again(unit, message)
        elif message.kind == "died" and message.worker in self.ready:
            self.ready.remove(message.worker)

    def _unfinished(self, unit: Unit) -> list[Trial]:
        return [trial for trial in unit.trials if trial.number not in self.finished]

    def _put_back(self, unit: Unit) -> None:
        self.ledger.mark(self.study, [trial.number for trial in self._unfinished(unit)], "waiting")

    def _again(self, unit: Unit, message: Message) -> None:
        """A unit broke off: what it had not finished is tried with fewer lanes; a lone trial fails in the end."""
        reason = {"died": f"worker {message.text}", "memory": "out of memory"}.get(
            message.kind
        ) or message.text.strip().splitlines()[-1]
        left = Unit(tuple(self._unfinished(unit)), unit.attempt)
        if not left.trials:
            return
        again = len(left.trials) > 1 or (message.kind == "died" and unit.attempt < ATTEMPTS)
        numbers = [trial.number for trial in left.trials]
        if again:
            self.ledger.mark(self.study, numbers, "waiting")
            # Attempts count the deaths of a lone trial; until then lanes are halved.
            halves = left.halves() if len(left.trials) == 1 else [Unit(half.trials, 1) for half in left.halves()]
            self.queue[:0] = halves
        else:
            self.ledger.mark(self.study, numbers, "failed", reason, message.text if message.kind == "error" else None)
        self.watcher.failed(left, reason, again)

    def _abandon(self) -> None:
        for worker, unit in self.busy.items():
            self._put_back(unit)
            self.watcher.idle(worker)
        self.busy.clear()


def _windows(trials: Iterable[Trial]) -> Iterator[list[Trial]]:
    iterator = iter(trials)
    while window := list(islice(iterator, WINDOW)):
        yield window


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The signals that asked to stop so far, SIGINT and SIGTERM; a run looks at them between messages."""
    seen: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
