"""Who is told what a run does, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sweep.ledger import Study
from sweep.plan import Unit
from sweep.racing import Course
from sweep.space import EpochRecord


@dataclass(frozen=True)
class Start:
    """What a run found of its study."""

    done: int
    """Trials finished, or failed and not to be tried again."""
    retried: int
    """Begun before, or failed and tried again."""
    resumable: int
    """Those of them that go on from a checkpoint."""
    left: int
    """Not begun yet."""
    duplicated: int
    """Rows of one setting and seed past the first, which the ledger never allows."""
    total: int


@dataclass(frozen=True)
class Summary:
    """How a run ended."""

    counts: dict[str, int]
    """Trials by state."""
    trials: int
    seconds: float
    stopped: str
    """What stopped it early: "", "interrupted", "time" or "trials"."""

    @property
    def exit_code(self) -> int:
        """130 if interrupted, 1 if trials failed, else 0."""
        return 130 if self.stopped == "interrupted" else 1 if self.counts["failed"] else 0


class Watcher(Protocol):
    """Who is told what happens, as it happens."""

    def started(self, study: Study, start: Start) -> None:
        """The run begins."""

    def training(self, worker: int, unit: Unit) -> None:
        """A worker begins a unit."""

    def epoch(self, worker: int, unit: Unit, outcomes: tuple[EpochRecord, ...]) -> None:
        """A unit has trained an epoch."""

    def idle(self, worker: int) -> None:
        """A worker has no unit any more."""

    def failed(self, unit: Unit, reason: str, again: bool) -> None:
        """A unit broke off; `again`: it is tried once more."""

    def pruned(self, trials: int) -> None:
        """So many trials have been stopped early."""

    def raced(self, course: Course, most: int) -> None:
        """A race has come so far; most: trials that it has and may still take."""

    def note(self, text: str) -> None:
        """Something worth a line, in words."""

    def tick(self) -> None:
        """A moment has passed."""

    def close(self) -> None:
        """No more progress comes, whether the run ended well or not."""

    def ended(self, summary: Summary) -> None:
        """The run is over."""


class Quiet:
    """A watcher that says nothing."""

    def started(self, study: Study, start: Start) -> None:
        pass

    def training(self, worker: int, unit: Unit) -> None:
        pass

    def epoch(self, worker: int, unit: Unit, outcomes: tuple[EpochRecord, ...]) -> None:
        pass

    def idle(self, worker: int) -> None:
        pass

    def failed(self, unit: Unit, reason: str, again: bool) -> None:
        pass

    def pruned(self, trials: int) -> None:
        pass

    def raced(self, course: Course, most: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass

    def ended(self, summary: Summary) -> None:
        pass
