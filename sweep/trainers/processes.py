"""Processes that end with the one that needs them, and all that they started with them. Needs the system alone.

On Linux a process whose parent is gone falls to the nearest ancestor that asked for orphans, which ends it; elsewhere
only a process's own group is ended.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

_PDEATHSIG, _SUBREAPER = 1, 36
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def adopt_orphans() -> None:
    """From now on, what this process's descendants leave behind falls to it."""
    if _LIBC is not None:
        _LIBC.prctl(_SUBREAPER, 1, 0, 0, 0)


def tie_to(parent: int) -> None:
    """In a new process: it is to be killed when its parent ends, however that comes."""
    if _LIBC is not None:
        _LIBC.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before that
            os._exit(1)


def hear_signals() -> None:
    """In a new process: signals that its parent ignores mean again what they mean to any program."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def end_group(pid: int) -> None:
    """Kills the group that a process leads."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_orphans(keep: Collection[int] = ()) -> None:
    """Kills and reaps the children of this process but those to keep, and what falls to it by that."""
    while others := [pid for pid in _children() if pid not in keep]:
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in others:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    """This process's children; none where the system does not tell."""
    children = []
    for task in Path("/proc/self/task").glob("*"):
        with suppress(OSError, ValueError):
            children += [int(pid) for pid in (task / "children").read_text().split()]
    return children


MOST_READS = 100
"""Reads of a pipe at a time, so that who writes without end does not keep its reader from everything else."""


def read_some(pipe: int) -> Iterator[bytes]:
    """What is there to be read of a pipe that does not block; nothing, as bytes, at its end."""
    for _ in range(MOST_READS):
        try:
            data = os.read(pipe, 65536)
        except BlockingIOError:
            return
        yield data
        if not data:
            return


def exit_handles(pid: int) -> list[int]:
    """A descriptor that is ready to be read once a child has ended; none where the system has no such thing."""
    return [os.pidfd_open(pid)] if hasattr(os, "pidfd_open") else []
