"""The process that a command is: started for each trial, its output read line by line. Needs processes, lines."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

from sweep.recipe import Trainer
from sweep.space import Trial
from sweep.trainers.lines import Report, read_line
from sweep.trainers.output import Output
from sweep.trainers.processes import end_group, end_orphans, exit_handles, hear_signals, read_some, tie_to


class Command:
    """A program that trains one trial at a time, in a group of its own."""

    patient = False
    """Whether it is left to end in its own time when the user interrupts."""

    stopped = True
    """Whether it ended because it was asked to, if it was; nobody can tell."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def begin(self, trial: Trial) -> None:
        """Starts it. Raises OSError if it cannot be."""
        worker = os.getpid()

        def prepare() -> None:
            tie_to(worker)
            hear_signals()

        words = self.trainer.arguments(trial.setting, trial.seed)
        self.output = Output()
        here = os.path.dirname(sys.executable)  # so that `python` is the one that runs sweep
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}
        self.process = subprocess.Popen(
            [shutil.which(words[0], path=env["PATH"]) or words[0], *words[1:]],
            cwd=self.trainer.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=prepare,
            env=env,
        )
        assert self.process.stdout is not None
        self.pipe = self.process.stdout.fileno()
        os.set_blocking(self.pipe, False)
        self.handles = exit_handles(self.process.pid)
        self.waits = [self.pipe, *self.handles]
        self.failure = ""

    @property
    def code(self) -> int | None:
        """How it ended, as a process does; None while it runs."""
        return self.process.poll()

    def read(self) -> list[Report]:
        """What it reported since the last time."""
        lines: list[str] = []
        ended = self.code is not None  # before the last look: what it printed is there then
        for data in read_some(self.pipe):
            lines += self.output.add(data)
            if not data and self.pipe in self.waits:  # it has closed its output, and may go on
                self.waits.remove(self.pipe)
        if ended:
            lines += self.output.close()
        return [report for report in map(read_line, lines) if report is not None]

    def ask_stop(self) -> None:
        """Asks it to end."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGTERM)

    def end(self) -> None:
        """Leaves nothing of it behind."""
        end_group(self.process.pid)
        self.process.wait()
        end_orphans()
        for handle in self.handles:
            os.close(handle)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def kill(self) -> None:
        """Ends it at once."""
        end_group(self.process.pid)

    def close(self) -> None:
        """There is nothing between trials."""
