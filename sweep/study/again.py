"""A finished trial trained again, beside what the ledger holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweep.errors import SweepError, UsageError
from sweep.ledger import FINISHED, Ledger, Study
from sweep.machine import alike
from sweep.messages import Died, Done, Failed, Loaded, OutOfMemory, Ready, Stopped, Trained
from sweep.networks import split_fingerprint
from sweep.plan import Unit
from sweep.space import EpochRecord, Trial
from sweep.study.opening import check_trains
from sweep.study.speeds import data_request
from sweep.workers import Pool


@dataclass(frozen=True)
class Reproduction:
    """A trial trained again beside what the ledger holds."""

    trial: int
    epochs: int
    difference: tuple[int, str, object, object] | None
    """The first (epoch, metric, ledger's value, new value) that is not the same to the bit; None if all are."""
    then: dict[str, Any]
    """The machine that trained it (see `machine.facts`)."""
    now: dict[str, Any]
    """This one."""

    @property
    def alike(self) -> bool:
        return alike(self.then, self.now)


def reproduce(ledger: Ledger, study: Study, number: int) -> Reproduction:
    """Trains one finished trial again, alone, from its setting and seed in the ledger. Nothing is recorded.

    Raises UsageError if the trial has not finished or the data are not
    those it was trained on, SweepError if the training breaks off.
    """
    check_trains(study)
    row, setting = ledger.trial(study, number)
    if row["state"] not in FINISHED:
        raise UsageError(f"study {study.name!r}: trial {number} is {row['state']}; expected one that has finished")
    if not row["epochs"]:
        raise UsageError(
            f"study {study.name!r}: trial {number} was pruned before it began; there is nothing to compare"
        )
    stored = stored_epochs(ledger, study, number)
    then = next((sitting.facts for sitting in ledger.sittings(study) if sitting.number == row["sitting"]), {})
    now: dict[str, Any] = {}
    records: list[EpochRecord] = []
    until = row["epochs"] if row["state"] == "pruned" else None
    unit = Unit((Trial(number, setting, row["seed"]),), study.recipe.split_of(row["seed"]), until=until)
    with Pool(["cpu"], data_request(study.recipe, None)) as pool:
        while True:
            for message in pool.messages(1.0):
                match message:
                    case Loaded():
                        check_data(study, message.fingerprint)
                        now = dict(message.facts)
                    case Ready(worker) if not records:
                        pool.give(worker, unit)
                    case Trained(_, trained):
                        records += trained
                    case Failed() | OutOfMemory() | Died():
                        raise SweepError(f"trial {number} broke off: {message.reason}")
                    case Done() | Stopped():
                        return Reproduction(number, len(records), first_difference(stored, records), then, now)


def check_data(study: Study, fingerprint: str) -> None:
    """Raises UsageError if a study was trained on other data."""
    if study.data not in (None, fingerprint):
        network = study.recipe.network and split_fingerprint(study.data)[0] == split_fingerprint(fingerprint)[0]
        what = "with other code" if study.recipe.trainer or network else "on other data"
        raise UsageError(f"study {study.name!r} was trained {what} (fingerprint {study.data}, now {fingerprint})")


def stored_epochs(ledger: Ledger, study: Study, number: int) -> list[dict[Any, Any]]:
    """What the ledger holds of a trial's epochs, without what no training repeats."""
    stored = ledger.epochs(study, number).drop(columns=["trial", "seconds"]).to_dict("records")
    if study.recipe.trainer:
        column, metric = study.recipe.metric_column, study.recipe.curve_metric
        return [{"epoch": old["epoch"], column: old[metric]} for old in stored]
    return stored


def first_difference(
    stored: Sequence[Mapping[Any, Any]], trained: list[EpochRecord]
) -> tuple[int, str, object, object] | None:
    """The first (epoch, metric, ledger's value, new value) that is not the same to the bit; None if all are."""
    for old, new in zip(stored, trained, strict=False):
        for name, value in old.items():
            again = new.measured(name)
            # The ledger keeps no number where one was not finite.
            if value != again and not (value != value and not math.isfinite(again)):
                return new.epoch, name, value, again
    if len(stored) != len(trained):
        return min(len(stored), len(trained)) + 1, "epochs", len(stored), len(trained)
    return None
