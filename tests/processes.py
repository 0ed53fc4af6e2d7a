"""Real `sweep` processes for the tests: started, watched, killed; their exports compared."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd


def start(folder: Path, *args: object, env: Mapping[str, str] | None = None, **kwargs) -> subprocess.Popen[str]:
    """`sweep ARGS...` in a folder, its output captured; it hears Ctrl-C, whatever started the tests."""
    command = [sys.executable, "-m", "sweep", *map(str, args)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    heed = {"preexec_fn": functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)}
    return subprocess.Popen(command, cwd=folder, text=True, env=os.environ | dict(env or {}), **pipes | heed | kwargs)


def table(sweep: Callable[..., subprocess.CompletedProcess[str]], study: str, *args: object) -> pd.DataFrame:
    """A study's export as a frame."""
    return pd.read_csv(io.StringIO(sweep("export", study, "-o", "-", *args).stdout), dtype=str)


def numbers(sweep: Callable[..., subprocess.CompletedProcess[str]], study: str) -> tuple[str, str]:
    """A study's leaderboard and curves as exported, to the last digit, wall-clock columns aside."""
    board, curves = table(sweep, study, "--test"), table(sweep, study, "--curves")
    return board.drop(columns="seconds").to_csv(index=False), curves.drop(columns="seconds").to_csv(index=False)


def query(database: Path, text: str) -> list[tuple]:
    """What SQLite says, while a study may be writing; nothing while the tables are not there."""
    if not database.exists():
        return []
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=10)) as raw:
            return raw.execute(text).fetchall()
    except sqlite3.OperationalError:
        return []


def finished(database: Path) -> int:
    """Trials complete so far."""
    return len(query(database, "SELECT 1 FROM trials WHERE state = 'complete'"))


def children(pid: int) -> list[int]:
    """Process ids of a process's children."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def family(process: subprocess.Popen[str]) -> tuple[list[int], list[int]]:
    """The host processes and the workers of a running study."""
    hosts = children(process.pid)
    return hosts, [worker for host in hosts for worker in children(host)]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(pid: int) -> None:
    """SIGKILL, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_for(
    condition: Callable[[], object], process: subprocess.Popen[str] | None = None, seconds: float = 60
) -> None:
    """Polls until the condition holds; fails if the process ends or the time passes first."""
    limit = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, "the process ended before the condition held"
        assert time.monotonic() < limit, f"the condition did not hold within {seconds:.0f} s"
        time.sleep(0.005)


def inject_defect(folder: Path, name: str, value: float) -> None:
    """Makes trainings of settings with that value fail, of a `sweep` whose PYTHONPATH is the folder."""
    (folder / "sitecustomize.py").write_text(f"""
import sys
if "host()" in " ".join(sys.orig_argv):
    import sweep.engine.program as program
    sound = program.Program.train_step
    def train_step(self):
        if any(setting[{name!r}] == {value!r} for setting in self.settings):
            raise ZeroDivisionError("a defect in the code")
        sound(self)
    program.Program.train_step = train_step
""")
