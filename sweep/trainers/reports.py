"""What a trial reported, as records of its epochs. Needs space."""

from __future__ import annotations

import math
import time

from sweep.space import EpochRecord, Reading, Trial

LAST_EPOCH = 10**12
"""No trial has more; a ledger keeps whole numbers up to 9e18."""


class Misreport(Exception):
    """A trial reported what makes no sense; the text says what, and what was expected."""


class Reports:
    """The records of one trial. The newest is held back until it is known whether it is the last.

    until: the epoch after which to stop, if not at its own end. `is_ended` says that nothing more is taken; `diverged`,
    that a number was not finite; `reached`, that it was trained until there.
    """

    def __init__(self, trial: Trial, metric: str, until: int | None = None) -> None:
        self.trial, self.metric, self.until = trial, metric, until
        self.diverged = self.reached = False
        self.seen: set[str] = set()
        self._held: EpochRecord | None = None
        self._pending: dict[str, float] = {}
        self._shift = 0
        self._since = time.perf_counter()

    def is_ended(self) -> bool:
        """Whether the trial is to stop."""
        return self.diverged or self.reached

    def add(self, epoch: int | None, values: dict[str, float]) -> list[EpochRecord]:
        """Takes a report; the records that are whole by now. Without the metric it waits for the report that has it.

        Epochs that begin at 0 are counted from 1. Raises Misreport for an epoch that was before the last.
        """
        if self.is_ended():
            return []
        self.seen.update(values)
        bad = next((name for name, value in values.items() if _breaks(name, value, self.metric)), None)
        if self.metric not in values and bad is None:
            self._pending |= values
            return []
        last = self._held.epoch if self._held else 0
        number = self._number(epoch)
        if number < last:
            raise Misreport(f"epoch {number} reported after epoch {last}; expected each after the one before")
        out = [self._held] if self._held and number > last else []
        self._held = self._record(number, self._pending | values)
        self._pending = {}
        if bad is not None:
            self.diverged = True
            self._held = self._held._replace(state="diverged", reason=f"{bad} not finite in epoch {number}")
        self.reached = self.until is not None and number >= self.until and not self.diverged
        if self.is_ended():
            out.append(self._held)
            self._held = None
        return out

    def finish(self) -> list[EpochRecord]:
        """The last record, of a trial that ended by itself. Raises Misreport if it has none."""
        if self.is_ended():
            return []
        if self._held is None:
            names = f"only {', '.join(sorted(self.seen)[:8])}" if self.seen else "nothing"
            raise Misreport(f"reported {names}; expected {self.metric}")
        late = tuple(Reading(0, "", name, value) for name, value in self._pending.items())
        kept = [reading for reading in self._held.readings if reading.quantity not in self._pending]
        return [self._held._replace(state="complete", readings=(*kept, *late))]

    def left(self) -> list[EpochRecord]:
        """The record that was held back, of a trial that broke off."""
        return [self._held] if self._held else []

    def _number(self, epoch: int | None) -> int:
        """The epoch from 1; without one, the next."""
        if epoch is None:
            return self._held.epoch + 1 if self._held else 1
        if epoch == 0 and self._held is None:
            self._shift = 1
        if epoch + self._shift < 1 and self._held is None:
            raise Misreport(f"epoch {epoch} reported; expected 0, 1, 2, …")
        if epoch > LAST_EPOCH:
            raise Misreport(f"epoch {epoch} reported; expected at most {LAST_EPOCH:,}")
        return epoch + self._shift

    def _record(self, number: int, values: dict[str, float]) -> EpochRecord:
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        if self._held and self._held.epoch == number:  # said again, or more of it
            earlier = {reading.quantity: reading.value for reading in self._held.readings}
            values, seconds = earlier | values, seconds + self._held.seconds
        readings = tuple(Reading(0, "", name, value) for name, value in values.items() if name != self.metric)
        metric = values.get(self.metric, math.nan)
        nan = math.nan
        return EpochRecord(self.trial.number, number, nan, nan, metric, nan, nan, seconds, readings=readings)


def _breaks(name: str, value: float, metric: str) -> bool:
    """Whether a number says that its trial diverged: the metric, or any loss, is not finite."""
    return (name == metric or name.endswith("loss")) and not math.isfinite(value)
