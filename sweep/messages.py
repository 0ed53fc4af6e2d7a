"""What the processes that train say to the study's process: one class per message. Needs the records they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sweep.data import Classes
from sweep.space import EpochRecord
from sweep.speed import Cost


@dataclass(frozen=True)
class Loaded:
    """The host has the data. memory: their bytes; facts: of the
    machine; classes: rows of each class, where there are data."""

    fingerprint: str
    memory: int
    facts: Mapping[str, Any]
    classes: Classes | None
    worker: int | None = None
    """The worker that the machine is of; None where all are on it."""


@dataclass(frozen=True)
class Refused:
    """The host cannot start."""

    reason: str


@dataclass(frozen=True)
class Offered:
    """What a cluster has for workers: the device of each."""

    devices: tuple[str, ...]


@dataclass(frozen=True)
class Ready:
    """A worker wants work."""

    worker: int


@dataclass(frozen=True)
class Trained:
    """An epoch of a worker's trials."""

    worker: int
    records: tuple[EpochRecord, ...]


@dataclass(frozen=True)
class Measured:
    """The costs of the program that was measured under a key."""

    worker: int
    key: str
    costs: tuple[Cost, ...]


@dataclass(frozen=True)
class Trouble:
    """Something to tell; nothing is lost."""

    worker: int
    text: str


@dataclass(frozen=True)
class Checkpoint:
    """One of a worker that does not see the study's disk. before: the file that goes."""

    worker: int
    name: str
    """See checkpoint.write; empty where there is none to keep, since the training is done."""
    body: bytes
    before: str = ""


@dataclass(frozen=True)
class Done:
    """A unit is trained."""

    worker: int


@dataclass(frozen=True)
class Stopped:
    """A unit was left, as asked."""

    worker: int


@dataclass(frozen=True)
class Printed:
    """What a trial of a user's own code printed."""

    worker: int
    number: int
    text: str


@dataclass(frozen=True)
class TrialFailed:
    """A trial of a user's own code failed; its unit goes on."""

    worker: int
    number: int
    reason: str
    traceback: str


@dataclass(frozen=True)
class Failed:
    """A unit or a measurement raised an error."""

    worker: int
    traceback: str

    @property
    def reason(self) -> str:
        return self.traceback.strip().splitlines()[-1]


@dataclass(frozen=True)
class OutOfMemory:
    """There was no memory for a unit or a measurement."""

    worker: int
    reason = "out of memory"


@dataclass(frozen=True)
class Died:
    """A worker is gone, whatever it did; another is there in its place. how: such as "killed by SIGKILL"."""

    worker: int
    how: str

    @property
    def reason(self) -> str:
        return f"worker {self.how}"


@dataclass(frozen=True)
class Left:
    """A worker is gone with its node, which is no fault of what it trained; none is there in its place."""

    worker: int


Broken = Failed | OutOfMemory | Died
"""Ends of a unit that was not trained to its end."""

Message = Loaded | Ready | Trained | Measured | Printed | TrialFailed | Trouble | Done | Stopped | Left | Broken
"""What reaches the study; `Refused` is raised instead."""
