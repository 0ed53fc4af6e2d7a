"""A trial trained by a user's own function or command, watched until it ends. Needs every other module here."""

from __future__ import annotations

import hashlib
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import Literal

from sweep.errors import UsageError
from sweep.recipe import Trainer
from sweep.space import EpochRecord, Trial
from sweep.trainers.command import Command
from sweep.trainers.function import Function
from sweep.trainers.output import Output
from sweep.trainers.reports import Misreport, Reports

GRACE = 5.0
"""Seconds that a trial has to end once it was asked to, before it is killed."""


class Broken(Exception):
    """A trial went wrong; `trace` is what it said last."""

    def __init__(self, reason: str, trace: str) -> None:
        super().__init__(reason)
        self.trace = trace


class Killed(Exception):
    """Something killed a trial's process: an accident, and not of its own making."""


class OwnTraining:
    """One trial. Iterating yields its records, some at a time.

    pipe: says "epoch" or "now" where the trial is to stop; `stopped` tells afterwards that nothing came of it, or that
    it was trained to `until` only. Raises Broken, Killed; EOFError if who wants the trial is gone.
    """

    def __init__(
        self,
        trial: Trial,
        trains: Command | Function,
        metric: str,
        pipe: Connection,
        timeout: float | None,
        until: int | None,
    ) -> None:
        self.trial, self.trains, self.pipe, self.timeout = trial, trains, pipe, timeout
        self.reports = Reports(trial, metric, until)
        self.stopped = False
        self.asked: Literal["", "epoch", "now"] = ""
        self.kill_at: float | None = None
        self.killed = False
        self.output = Output()

    @property
    def printed(self) -> str:
        """What it printed, as far as that is kept."""
        return self.output.text

    def __iter__(self) -> Iterator[list[EpochRecord]]:
        try:
            self.trains.begin(self.trial)
            self.output = self.trains.output
        except OSError as error:
            raise Broken(f"cannot be started: {error}", "") from None
        self.begin = time.monotonic()
        try:
            while self.trains.code is None:
                self._wait()
                yield from self._records()
            yield from self._records()
            yield from self._outcome()
        except Broken:
            yield from filter(None, [self.reports.left()])
            raise
        finally:
            self.trains.end()

    def _wait(self) -> None:
        """Until something happens: a report, the end, a request to stop, or that it takes too long."""
        ends = [self.kill_at, None if self.timeout is None else self.begin + self.timeout]
        left = [end - time.monotonic() for end in ends if end is not None]
        left += [] if self.trains.handles else [0.05]  # where no descriptor tells of the end
        ready = wait([*self.trains.waits, self.pipe], max(0.0, min(left)) if left else None)
        if self.pipe in ready:
            self._stop(self.pipe.recv())
        now = time.monotonic()
        if self.kill_at is not None and now >= self.kill_at:
            self.killed, self.kill_at = True, None
            self.trains.kill()
        if self.timeout is not None and now >= self.begin + self.timeout and self.trains.code is None:
            raise Broken(f"timeout: over {self.timeout:g} s", self.output.last())

    def _stop(self, how: str) -> None:
        """The study wants no more of it: at its next report, or now."""
        patient = self.trains.patient and how == "epoch"
        if not self.asked:
            self.trains.ask_stop()
        self.asked = "epoch" if how == "epoch" else "now"
        if not patient:
            self.kill_at = time.monotonic() + (0.0 if self.trains.patient else GRACE)

    def _records(self) -> Iterator[list[EpochRecord]]:
        for report in self.trains.read():
            ended = self.reports.is_ended()
            try:
                if records := self.reports.add(*report):
                    yield records
            except Misreport as error:
                raise Broken(str(error), self.output.last()) from None
            if self.reports.is_ended() and not ended:
                self.trains.ask_stop()
                self.kill_at = time.monotonic() + GRACE

    def _outcome(self) -> Iterator[list[EpochRecord]]:
        """What its end means."""
        code, failure = self.trains.code, self.trains.failure
        assert code is not None
        if self.reports.is_ended():
            self.stopped = self.reports.reached
        elif self.killed or (self.asked and (not self.trains.patient or self.trains.stopped)):
            self.stopped = True
        elif code < 0:
            raise Killed(f"killed by {signal.Signals(-code).name}")
        elif code:
            last = (failure or self.output.last()).strip().splitlines()
            said = last[-1] if last else "it printed nothing"
            raise Broken(said if failure else f"exit code {code}: {said}", failure or self.output.last())
        else:
            try:
                yield self.reports.finish()
            except Misreport as error:
                raise Broken(str(error), self.output.last()) from None


def make_trainer(trainer: Trainer, shut: list[int]) -> Command | Function:
    """What trains trials in this process, one at a time. shut: what is open here that is none of its business."""
    return Command(trainer) if trainer.kind == "command" else Function(trainer, shut)


def code_fingerprint(trainer: Trainer) -> str:
    """A checksum of a function's file, or of the command and the files that it names. Raises UsageError."""
    digest = hashlib.sha256(b"" if trainer.kind == "train" else trainer.text.encode())
    for path in trainer.files():
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise UsageError(f"{trainer.kind} = {trainer.text}: {path}: {error.strerror}") from None
    return digest.hexdigest()[:8]
