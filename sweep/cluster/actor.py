"""An actor on a node of a Ray cluster: a local pool of one worker, as on the study's machine. Needs ray,
workers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import ray

from sweep.data import Source
from sweep.errors import DataError
from sweep.host import ahead
from sweep.messages import Message, Refused, Trained
from sweep.plan import Unit
from sweep.speed import Measurement
from sweep.workers import DataRequest, Pool

LISTEN = "listen"
"""The thread that waits for messages, while another takes what is given, in order."""

WAIT = 10.0
"""Seconds that a question for messages waits for the first."""

GATHER = 0.05
"""Seconds that records of epochs wait for more, since every answer costs the driver a millisecond."""


class Actor:
    """One worker, by its number in the study. Its process is a child of the actor's."""

    def __init__(self, number: int, device: str, told: Mapping[str, str]) -> None:
        """told: what the study's environment tells sweep. The worker's host imports torch from now on."""
        _undo_niceness()
        os.environ.update(told)
        self.number, self.device = number, device
        self.pool: Pool | None = None
        ahead()

    @ray.method(concurrency_group=LISTEN)  # type: ignore[untyped-decorator]
    def begin(self, request: DataRequest, source: Source | None) -> None:
        """Has the worker get ready for a study. source: the data, if it has some."""
        self.pool = Pool([self.device], replace(request, source=source))

    @ray.method(concurrency_group=LISTEN)  # type: ignore[untyped-decorator]
    def messages(self) -> list[Message | Refused]:
        """What the worker said since it was last asked."""
        assert self.pool
        try:
            out = self.pool.messages(WAIT)
            end = time.monotonic() + GATHER
            while out and isinstance(out[-1], Trained) and (left := end - time.monotonic()) > 0:
                out += self.pool.messages(left)
        except DataError as error:
            return [Refused(str(error))]
        return [replace(message, worker=self.number) for message in out]

    def give(self, unit: Unit | Measurement) -> None:
        """Hands the worker what to train, or to measure, next."""
        assert self.pool
        self.pool.give(0, unit)

    def stop(self, now: bool) -> None:
        """Asks the worker to stop: at the end of its epoch, or after its step."""
        if self.pool:
            self.pool.stop(now)


def _undo_niceness() -> None:
    """Takes the niceness that Ray gives its workers (15) back to that of its node, where the system allows it."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, os.getppid()))
