"""The process that runs a user's Python function: one trial after another, each told and reported as a line of JSON.

Needs processes. It is a fork of its worker, which reads text from it and nothing else.
"""

from __future__ import annotations

import importlib.util
import io
import json
import operator
import os
import random
import re
import select
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sweep.recipe import METRIC_NAME, Trainer
from sweep.space import Trial
from sweep.trainers.lines import Report
from sweep.trainers.output import Output
from sweep.trainers.processes import end_group, end_orphans, exit_handles, hear_signals, read_some, tie_to


class Stop(BaseException):
    """Raised by `report` where the trial is to be trained no further. No `except Exception` catches it."""


class Function:
    """A process that runs a function. It stays for the next trial, and is made anew if it ended."""

    patient = True
    """Whether it is left to end in its own time when the user interrupts: its next report says stop."""

    def __init__(self, trainer: Trainer, shut: list[int]) -> None:
        """shut: what is open in this process that is none of the function's business."""
        self.trainer, self.shut = trainer, shut
        self.pid = 0

    def begin(self, trial: Trial) -> None:
        """Gives it a trial."""
        self.output = Output()
        self.failure, self.stopped = "", False
        self.code: int | None = None
        if not self.pid:
            self._start()
        self._tell({"setting": trial.setting, "seed": trial.seed})

    def read(self) -> list[Report]:
        """What it reported since the last time."""
        if not self.pid:
            return []
        gone, status = os.waitpid(self.pid, os.WNOHANG)
        self._drain()
        reports = []
        for line in self._lines():
            match json.loads(line):
                case ["report", int(epoch), dict(values)]:
                    reports.append(Report(epoch, {name: float(value) for name, value in values.items()}))
                case ["end", str(failure), bool(stopped)]:
                    self._drain()
                    self.code, self.failure, self.stopped = (1 if failure else 0), failure, stopped
        if gone and self.code is not None:
            self._forget()
        elif gone:
            self.code = os.waitstatus_to_exitcode(status) or 1  # it ended in the middle, however
            self._forget()
        return reports

    def ask_stop(self) -> None:
        """Has its next report say stop."""
        self._tell("stop")

    def end(self) -> None:
        """Leaves nothing of a trial behind: not the process, if that still trains it."""
        if self.code is None:
            self.close()
        elif self.pid:
            end_orphans([self.pid])

    def kill(self) -> None:
        """Ends it at once."""
        end_group(self.pid)

    def close(self) -> None:
        """Ends the process."""
        if self.pid:
            end_group(self.pid)
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self._forget()

    def _forget(self) -> None:
        end_group(self.pid)
        end_orphans()
        for pipe in (self.tasks, self.reports, self.printed, *self.handles):
            os.close(pipe)
        self.pid = 0

    def _start(self) -> None:
        theirs, self.tasks = os.pipe()
        self.reports, say = os.pipe()
        self.printed, out = os.pipe()
        worker = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                tie_to(worker)
                hear_signals()
                for pipe in (self.tasks, self.reports, self.printed, *self.shut):
                    os.close(pipe)
                _serve(self.trainer, theirs, say, out)
                code = 0
            finally:
                os._exit(code)
        for pipe in (theirs, say, out):
            os.close(pipe)
        os.set_blocking(self.reports, False)
        os.set_blocking(self.printed, False)
        self.handles = exit_handles(self.pid)
        self.waits = [self.reports, self.printed, *self.handles]
        self.rest = b""

    def _tell(self, what: object) -> None:
        with suppress(OSError):  # if it has just ended, its handle says so
            os.write(self.tasks, json.dumps(what).encode() + b"\n")

    def _lines(self) -> list[bytes]:
        self.rest += b"".join(read_some(self.reports))
        *whole, self.rest = self.rest.split(b"\n")
        return whole

    def _drain(self) -> None:
        for data in read_some(self.printed):
            self.output.add(data)


def _serve(trainer: Trainer, tasks: int, reports: int, out: int) -> None:
    """In the new process: runs the function for every trial that it is given, until there are no more."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for theirs, ours in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(theirs, ours)
    os.close(out)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", 0), write_through=True)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", 0), write_through=True)
    report = _reporter(tasks, reports)
    function: Callable[..., Any] | None = None
    with os.fdopen(tasks, "rb", closefd=False) as lines:
        for line in lines:
            task = json.loads(line)
            if task == "stop":  # the trial it was for has ended
                continue
            failure, stopped = "", False
            try:
                function = function or _load(trainer)
                _seed(task["seed"])
                function(task["setting"], task["seed"], report)
            except Stop:
                stopped = True
            except BaseException as error:
                failure = _trace(error)
            os.write(reports, json.dumps(["end", failure, stopped]).encode() + b"\n")


def _reporter(tasks: int, reports: int) -> Callable[..., None]:
    def report(epoch: int, **metrics: float) -> None:
        """Tells of an epoch: report(3, val_loss=0.2). Does not return where the trial is to stop."""
        if not metrics:
            raise TypeError("report(epoch, **metrics): no metric given; expected such as report(3, val_loss=0.2)")
        for name in metrics:
            if not re.fullmatch(METRIC_NAME, name):
                raise ValueError(f"report: {name!r} is no name of a metric")
        values = {name: float(value) for name, value in metrics.items()}
        os.write(reports, json.dumps(["report", operator.index(epoch), values]).encode() + b"\n")
        if select.select([tasks], [], [], 0)[0]:
            raise Stop

    return report


def _load(trainer: Trainer) -> Callable[..., Any]:
    """The function, its file run once. Its neighbours can be imported as from a script."""
    sys.path.insert(0, trainer.folder)
    name = trainer.file.stem
    spec = importlib.util.spec_from_file_location(name, trainer.file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    function = getattr(module, trainer.function, None)
    if not callable(function):
        raise TypeError(f"{trainer.text} is no function")
    return function  # type: ignore[no-any-return]


def _seed(seed: int) -> None:
    """Seeds the generators that belong to no one, so that no trial depends on those before it in this process."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _trace(error: BaseException) -> str:
    """An error as Python shows it, from the user's own lines on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in (
        __file__,
        "<frozen importlib._bootstrap_external>",
    ):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).strip()
