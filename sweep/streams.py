"""Standard input, output and error that outlast whoever is at their other end, and the signals that end. Needs nothing.

A pipe's reader may go away, a terminal may close, a disk may be full, and cron may have closed all three. None of that
may end a training: what cannot be written is dropped, and the work goes on.
"""

from __future__ import annotations

import errno
import io
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that ask a command to end: all of them are told as an interrupt, exit code 130."""

_GONE = (errno.EPIPE, errno.EIO)
"""Nobody is there to be told: the pipe's reader or the terminal went away."""

_reasons: dict[int, OSError] = {}
"""Why something was dropped, by file descriptor: the first reason of each."""


class _Lasting(io.FileIO):
    """A file whose writes never fail."""

    def write(self, data: Any) -> int:
        """Bytes written, or dropped. Waits where a pipe is full,
        even one that another program has made non-blocking."""
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            _reasons.setdefault(self.fileno(), error)
            return memoryview(data).nbytes
        return written


def outlast() -> None:
    """Puts streams that never raise in the place of standard output and error, and opens what was closed on nothing.

    First of all, or a ledger or a socket would take the number of a closed stream. Streams that somebody has put in
    their place, as tests do, stay.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is sys.__stdout__:
        sys.stdout = _lasting(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(2, sys.stderr)


def _lasting(number: int, before: Any) -> io.TextIOWrapper:
    """A text stream to a file descriptor. Where the terminal has no ▾, it prints ? and goes on."""
    raw = io.BufferedWriter(_Lasting(number, "w", closefd=False))
    lines = before.line_buffering if isinstance(before, io.TextIOWrapper) else False
    return io.TextIOWrapper(raw, getattr(before, "encoding", "utf-8"), errors="replace", line_buffering=lines)


def explain_dropped() -> str:
    """Why some of standard output could not be written; empty if all was, or if nobody is there to read it any more."""
    sys.stdout.flush()
    reason = _reasons.get(1)
    return "" if reason is None or reason.errno in _GONE else reason.strerror or str(reason)


def heed(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> dict[int, Any]:
    """Installs a handler of the signals that end; returns those before. One that is ignored stays so: nohup and a
    shell's background jobs begin that way, because the run is to outlive what sends it."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows none
        return {}
    heard = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}


def quiet() -> None:
    """Keeps libraries' remarks on their own arithmetic from the terminal; python -W and PYTHONWARNINGS show them."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
