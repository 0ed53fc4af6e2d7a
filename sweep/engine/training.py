"""The training of a unit of work: a program's epochs as records, divergence, checkpoints. Needs program and
checkpoint.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import safetensors.torch
import torch

from sweep import checkpoint
from sweep.courses import share_courses, trial_key
from sweep.data import Split
from sweep.engine import looking
from sweep.engine.program import Metrics, Program
from sweep.recipe import OF_NUMBERS, TESTED
from sweep.space import UNWATCHED, EpochRecord, Reading, Trial, Watch, total_epochs, total_steps

CHECKPOINT_SECONDS = float(os.environ.get("SWEEP_CHECKPOINT_SECONDS", "15"))
"""Training between two checkpoints; more where writing one takes over a fiftieth of that, up to LONGEST_SECONDS."""

LONGEST_SECONDS = 30.0
"""Training that a killed worker may lose at most."""

ASK_SECONDS = 0.1
"""How often a training looks whether it has been asked to stop."""

_FIELDS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "grad_norm", "seconds")


@dataclass(frozen=True)
class Saver:
    """Where a training keeps its checkpoints."""

    folder: Path
    data: str
    """The fingerprint of the data."""
    resume: Path | bytes | None = None
    """The file to go on from, or what it holds."""
    keep: bool = False
    """Whether to keep a last one when it is done, for training further some day."""
    kind: str = ""
    """Of machine, see machine.kind_text: no training goes on from another's, so that one trial is of one kind."""
    send: Callable[[str, bytes, str], None] | None = None
    """Where the folder is another machine's, what is told of its files: one's name and body, and which file goes."""

    def write(self, name: str, body: bytes, before: Path | None) -> Path:
        """Keeps a checkpoint, in the place of the one before. Raises OSError."""
        if self.send:
            file = self.folder / checkpoint.file_name(name, body)
            self.send(name, body, before.name if before and before != file else "")
            return file
        file = checkpoint.write(self.folder, name, body)
        if before is not None and before != file:
            before.unlink(missing_ok=True)
        return file

    def remove(self, file: Path) -> None:
        """Drops one that is needed no more."""
        if self.send:
            self.send("", b"", file.name)
        else:
            file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Tested:
    """A lane's scores on the test part, and readings of further test sets."""

    scores: dict[str, float]
    readings: list[Reading] = field(default_factory=list)


class Training:
    """The trials of one unit, trained together: those that share a course in one lane, until the last of them ends.
    Iterating yields, for each epoch, the records of the trials still in training (those of a checkpoint's epochs
    first). A trial whose loss is no longer finite has diverged: that epoch is its last.

    until: the epoch after which to stop, if not the last one.
    asked: says "" to go on, "epoch" to stop after this epoch, "now" to stop after this step. `stopped` tells
    afterwards whether it did stop early; where it stood is in a checkpoint if there is a saver.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        split: Split,
        saver: Saver | None = None,
        asked: Callable[[], str] = lambda: "",
        device: str = "cpu",
        precision: str = "float32",
        until: int | None = None,
        watch: Watch = UNWATCHED,
    ) -> None:
        self.lanes, self.split, self.saver, self.asked = share_courses(trials), split, saver, asked
        self.device, self.precision, self.watch = device, precision, watch
        self.program = self._new_program()
        self.epochs = self._end(self.lanes[0][-1])
        assert all(self._end(lane[-1]) == self.epochs for lane in self.lanes)
        self.until = min(until or self.epochs, self.epochs)
        self.history: list[list[EpochRecord]] = []
        self.stopped = False
        self.trouble = ""
        self._wish = ""
        self._readings: list[list[Reading]] = [[] for _ in self.lanes]
        self._file: Path | None = None
        self._cost = 0.0
        self._elapsed = 0.0

    @torch.no_grad()
    def __iter__(self) -> Iterator[list[EpochRecord]]:
        if self._resume():
            yield from self._replay()
        else:
            self.program.begin_epoch(1)
        self._saved = self._looked = time.perf_counter()
        while self.lanes and self.program.epoch <= self.until:
            begin = time.perf_counter() - self._elapsed
            if self._look(begin) == "now":
                self._stop(time.perf_counter() - begin)
                return
            while self.program.step < self.program.end:
                self.program.train_step()
                self._score()
                if self._pause(begin) == "now":
                    self._stop(time.perf_counter() - begin)
                    return
            records = self._end_epoch(begin)
            yield records
            self._go_on()
            if self.lanes and self.program.epoch <= self.until and self._request():
                self._stop(0.0)
                return
        if self.lanes and self.until < self.epochs:
            self._stop(0.0)
            return
        self._conclude()

    def _new_program(self) -> Program:
        """A lane's setting is that of the last trial to end: before its end nothing depends on which."""
        settings, seeds = [lane[-1].setting for lane in self.lanes], [lane[-1].seed for lane in self.lanes]
        return Program(settings, seeds, self.split, device=self.device, precision=self.precision)

    def _end(self, trial: Trial) -> int:
        """The epoch that is a trial's last."""
        return total_epochs(trial.setting, self.program.epoch_steps)

    def _look(self, begin: float) -> str:
        """At an epoch's start: what is to be seen of each lane's network then, those of a checkpoint left as they are.
        Many looks take long, so between them it pauses as it does between steps."""
        if self.program.step or not self.watch.look:
            return ""
        for lane, seen in enumerate(self._readings):
            if not seen:
                self._readings[lane] = looking.at_start(self.program, lane, self.watch)
                if self._pause(begin) == "now":
                    return "now"
        return ""

    def _score(self) -> None:
        """After a step: every so many, the validation part. A lane whose loss is not finite has no score any more."""
        made = self.program.before + self.program.step
        if not self.watch.every or made % self.watch.every:
            return
        scores = self.program.evaluate(self.split.val)
        for lane, values in enumerate(zip(*scores.values(), strict=True)):
            if all(map(math.isfinite, values)):
                self._readings[lane] += [
                    Reading(made, "", f"val_{name}", value) for name, value in zip(scores, values, strict=True)
                ]

    def _test(self) -> list[Tested]:
        """Of each lane, at the end of a trial in it: the test part, the further test sets beside it; where there is
        batch norm with each set's own statistics, too."""
        scores = self.program.evaluate(self.split.test)
        out = [Tested({name: values[lane] for name, values in scores.items()}) for lane in range(self.program.lanes)]
        program, made = self.program, self._steps_made
        for place, part in {"test": self.split.test, **self.split.tests}.items() if self.split.tests else ():
            scores = {f"test_{name}": values for name, values in program.evaluate(part).items()}
            if program.buffers:
                name = "r2" if program.regression else "accuracy"
                scores[f"test_{name}, batch statistics"] = program.evaluate_on_its_own(part)[name]
            for lane, tested in enumerate(out):
                tested.readings.extend(Reading(made, place, name, values[lane]) for name, values in scores.items())
        return out

    @property
    def _steps_made(self) -> int:
        """Steps made in all; after a last epoch, whole or not, those of the training."""
        made = self.program.before + self.program.step
        return min(made, total_steps(self.lanes[0][-1].setting, self.program.epoch_steps))

    def _end_epoch(self, begin: float) -> list[EpochRecord]:
        program = self.program
        metrics = program.end_epoch()
        if self.watch.looks("gap", program.epoch):
            for lane, gap in enumerate(looking.gaps(program, metrics)):
                self._readings[lane] += gap
        tests = self._test() if self._ends(program.epoch) else None
        seconds = (time.perf_counter() - begin) / sum(map(len, self.lanes))
        row = []
        for lane, trials in enumerate(self.lanes):
            values = {name: values[lane] for name, values in vars(metrics).items()}
            state = "diverged" if _has_diverged(metrics, lane) else None
            scores = {f"val_{name}": of_lanes[lane] for name, of_lanes in program.scores.items()}
            readings = (*self._readings[lane], *self._of_numbers(scores))
            number = trials[-1].number
            row.append(EpochRecord(number, program.epoch, **values, seconds=seconds, state=state, readings=readings))
        self.history.append(row)
        return self._records(row, tests)

    def _ends(self, epoch: int) -> bool:
        """Whether an epoch is the last of some trial."""
        return any(self._end(trial) == epoch for lane in self.lanes for trial in lane)

    def _records(self, row: list[EpochRecord], tests: list[Tested] | None) -> list[EpochRecord]:
        """An epoch of each lane as that of each trial in it; of those that end with it, with their tests."""
        records = []
        for lane, (trials, record) in enumerate(zip(self.lanes, row, strict=True)):
            for trial in trials:
                own = record._replace(number=trial.number)
                if tests and not record.state and self._end(trial) == record.epoch:
                    own = self._complete(own, tests[lane])
                records.append(own)
        return records

    def _complete(self, record: EpochRecord, tested: Tested) -> EpochRecord:
        """The record of a trial's last epoch."""
        scores = {f"test_{name}": value for name, value in tested.scores.items()}
        readings = (*record.readings, *self._of_numbers(scores), *tested.readings)
        whole = record._replace(state="complete", readings=readings)
        return whole.tested(tested.scores.get("loss"), tested.scores.get("accuracy"))

    def _of_numbers(self, scores: dict[str, float]) -> list[Reading]:
        """Of regression: what an evaluation gave beside the loss."""
        return [
            Reading(self._steps_made, "", name, value)
            for name, value in scores.items()
            if name in (*OF_NUMBERS, *TESTED)
        ]

    def _replay(self) -> Iterator[list[EpochRecord]]:
        """The records of a checkpoint's epochs. A trial that ends where it stands is tested now."""
        for row in self.history:
            last = row is self.history[-1] and self._ends(row[0].epoch)
            yield self._records(row, self._test() if last else None)
        self._leave()

    def _go_on(self) -> None:
        """Drops the lanes that have diverged and stands at the next epoch, without the trials that have ended."""
        kept = [lane for lane, record in enumerate(self.history[-1]) if record.state != "diverged"]
        self._readings = [[] for _ in kept]
        if kept and len(kept) < len(self.lanes):
            self.program.keep(kept)
        self.lanes = [self.lanes[lane] for lane in kept]
        self.history = [[row[lane] for lane in kept] for row in self.history]
        ended = self.lanes and self._ends(self.program.epoch)
        if kept:
            self.program.begin_epoch(self.program.epoch + 1)
        self._elapsed = 0.0
        self._leave()
        if ended and self.program.epoch <= self.epochs and self.saver and self.saver.keep:
            self._save(0.0)
            self._file = None  # it is kept, for those that have ended here

    def _leave(self) -> None:
        """The trials that have ended leave their lanes, but for the last of each."""
        epoch = self.program.epoch
        self.lanes = [(*(trial for trial in lane[:-1] if self._end(trial) >= epoch), lane[-1]) for lane in self.lanes]

    def _pause(self, begin: float) -> str:
        """Between two steps: a checkpoint when it is time, and what has been asked."""
        now = time.perf_counter()
        if self.saver and now - self._saved >= min(max(CHECKPOINT_SECONDS, 50 * self._cost), LONGEST_SECONDS):
            self._save(now - begin)
        if now - self._looked < ASK_SECONDS:
            return ""
        self._looked = now
        return self._request()

    def _request(self) -> str:
        """What has been asked last, now or before."""
        self._wish = self.asked() or self._wish
        return self._wish

    def _stop(self, elapsed: float) -> None:
        self.stopped = True
        if self.saver:
            self._save(elapsed)

    def _save(self, elapsed: float) -> None:
        """Writes where the training stands, then removes what it wrote before. A full disk is told, not fatal."""
        assert self.saver is not None
        begin = time.perf_counter()
        program = self.program
        about = {
            "format": checkpoint.FORMAT,
            "torch": torch.__version__,
            "kind": self.saver.kind,
            "data": self.saver.data,
            "epoch": program.epoch,
            "step": program.step,
            "seen": program.seen,
            "elapsed": elapsed,
            "trials": [trial_key(lane[-1]) for lane in self.lanes],
            "looked": self._readings,
            "readings": [[record.readings for record in row] for row in self.history],
        }
        rows = [[[getattr(record, name) for name in _FIELDS] for record in row] for row in self.history]
        history = torch.tensor(rows, dtype=torch.float64).view(-1, len(self.lanes), len(_FIELDS))
        tensors = {name: tensor.contiguous().cpu() for name, tensor in program.state().items()} | {"history": history}
        body = safetensors.torch.save(tensors, {"sweep": json.dumps(about)})
        name = f"{self.lanes[0][-1].number}-{self.lanes[-1][-1].number}-{len(self.lanes)}"
        try:
            self._file = self.saver.write(name, body, self._file)
        except OSError as error:
            self.trouble = f"checkpoint not written: {error.strerror or error}"
        self._saved = time.perf_counter()
        self._cost = self._saved - begin

    def _resume(self) -> bool:
        """Takes up the saver's checkpoint if it is whole and of these trials, this data, this torch and this kind of
        machine, and stands past the end of none.
        """
        content = checkpoint.read(self.saver.resume) if self.saver and self.saver.resume else None
        if content is None or self.saver is None:
            return False
        body, about = content
        if about["torch"] != torch.__version__ or about.get("kind", self.saver.kind) != self.saver.kind:
            return False
        first = min(self._end(lane[0]) for lane in self.lanes)
        if about["data"] != self.saver.data or (about["epoch"], about["step"]) > (first + 1, 0):
            return False
        places = {(setting, seed): lane for lane, (setting, seed) in enumerate(about["trials"])}
        try:
            lanes = [places[trial_key(lane[-1])] for lane in self.lanes]
            tensors = safetensors.torch.load(body)
            history = tensors.pop("history")[:, lanes].tolist()
            readings = [[row[lane] for lane in lanes] for row in about["readings"]]
            looked = [about["looked"][lane] for lane in lanes]
            self.program.restore(tensors, lanes, about["epoch"], about["step"], about["seen"])
        except (KeyError, IndexError, RuntimeError, ValueError, safetensors.SafetensorError):
            self.program = self._new_program()
            return False
        self.history = [
            [
                EpochRecord(
                    lane[-1].number,
                    epoch,
                    **dict(zip(_FIELDS, values, strict=True)),
                    readings=tuple(Reading(*reading) for reading in read),
                )
                for lane, values, read in zip(self.lanes, row, rows, strict=True)
            ]
            for epoch, (row, rows) in enumerate(zip(history, readings, strict=True), 1)
        ]
        self._readings = [[Reading(*reading) for reading in row_readings] for row_readings in looked]
        self._elapsed = float(about["elapsed"])
        return True

    def _conclude(self) -> None:
        """The unit is done: its checkpoint has served, or is kept."""
        if self.saver and self.saver.keep and self.lanes:
            self._save(0.0)
        elif self.saver and self._file is not None:
            self.saver.remove(self._file)


def train_alone(
    trial: Trial, split: Split, precision: str, until: int | None = None, saver: Saver | None = None
) -> tuple[Program, list[EpochRecord]]:
    """Trains one trial in this process, as a worker does; its program as it ended, and its records. saver: where it has
    a checkpoint to go on from."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    training = Training([trial], split, saver, precision=precision, until=until)
    records = [record for (record,) in training]
    return training.program, records


def _has_diverged(metrics: Metrics, lane: int) -> bool:
    return not (math.isfinite(metrics.train_loss[lane]) and math.isfinite(metrics.val_loss[lane]))
