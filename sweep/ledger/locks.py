"""Locks on files: the system's, and where a disk has none, a file that names its owner. Needs machine.

The system drops its lock with the process. A file outlasts it, so it names the process: on its machine, whether that
lives can be seen; from another machine, a lock whose owner gave no sign of life for `SILENT` seconds is taken over.
Before each transaction the owner looks whether the lock is still its own.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sweep.machine import now

MOMENT = 0.1
"""Seconds for which a lock is asked for before another process is said to have it."""
BEAT = 2.0
"""Seconds between two signs of life of a lock file's owner."""
SILENT = 30.0
"""Seconds without one after which a lock file of another machine is nobody's."""
HELD = (errno.EAGAIN, errno.EACCES)


class Taken(Exception):
    """Another process has the lock; the text says which."""


def describe_owner() -> str:
    """This process, as others are told of it."""
    return f"process {os.getpid()} on {socket.gethostname()} since {now()}"


@contextmanager
def system_lock(path: Path, patience: float = 0.0) -> Iterator[None]:
    """Holds the system's lock on a file, waiting so many seconds for whoever has it. Raises Taken, or OSError where
    there are no such locks."""
    with open(path, "a+", encoding="utf-8") as file:
        try:
            _take(file, patience)
        except OSError as error:
            if error.errno not in HELD:
                raise
            file.seek(0)
            raise Taken(file.read().strip() or "unknown") from None
        file.seek(0)
        file.truncate()
        file.write(describe_owner())
        file.flush()
        yield


def system_owner(path: Path) -> str | None:
    """Who holds the system's lock on a file; empty if nobody does, None if that cannot be told here."""
    with open(path, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # beside other readers; dropped on closing
        except OSError as error:
            return (file.read().strip() or "another process") if error.errno in HELD else None
    return ""


def _take(file: IO[str], patience: float) -> None:
    """Locks a file for this process alone. A reader that asks who has it holds it for a moment: that is waited for."""
    end = time.monotonic() + max(patience, MOMENT)
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in HELD or time.monotonic() >= end:
                raise
            time.sleep(0.02)


class OwnerFile:
    """A file that is a lock by being there. Its second line tells a process from every other of its machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = f"{describe_owner()}\n{_identity(os.getpid())} {time.monotonic_ns()}\n"
        self._over = threading.Event()

    def take(self, patience: float = 0.0) -> None:
        """Takes it, waiting so long, in seconds, for an owner that lives. Raises Taken."""
        begin = since = time.monotonic()
        last, beats = ("", 0), 0
        while not self._make():
            sign = _look(self.path)
            if sign != last:
                beats = beats + 1 if sign[0] == last[0] else 0
                last, since = sign, time.monotonic()
            lives = _lives(sign[0])
            if lives is False or (lives is None and time.monotonic() - since > SILENT):
                self._clear(sign[0])
            elif (lives or beats) and time.monotonic() - begin >= patience:
                raise Taken(sign[0].partition("\n")[0] or "unknown")
            time.sleep(0.02)
        threading.Thread(target=self._beat, daemon=True).start()
        atexit.register(self.release)

    def held(self) -> bool:
        """Whether it is still this one's."""
        return _look(self.path)[0] == self.text

    def release(self) -> None:
        """Gives it up."""
        self._over.set()
        atexit.unregister(self.release)
        if self.held():
            self.path.unlink(missing_ok=True)

    def _make(self) -> bool:
        """Makes the file, whole, unless it is there."""
        half = self.path.with_name(f"{self.path.name}.{socket.gethostname()}.{os.getpid()}")
        half.write_text(self.text, encoding="utf-8")
        try:
            os.link(half, self.path)
        except FileExistsError:
            return False
        finally:
            half.unlink()
        return True

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with suppress(OSError):
                if self.held():
                    os.utime(self.path)

    def _clear(self, text: str) -> None:
        """Removes the file of an owner that is gone. One process at a time clears, so that none removes what another
        has just made."""
        guard = self.path.with_name(f"{self.path.name}.clearing")
        try:
            guard.mkdir()
        except FileExistsError:
            with suppress(OSError):
                if time.time() - guard.stat().st_mtime > SILENT:
                    guard.rmdir()
            return
        try:
            if _look(self.path)[0] == text:
                self.path.unlink(missing_ok=True)
        finally:
            guard.rmdir()


def file_owner(path: Path) -> str | None:
    """Who holds a lock by a file, in words; empty if nobody that lives, None if that cannot be told here."""
    text = _look(path)[0]
    return text.partition("\n")[0] if text and _lives(text) is not False else ""


_mine: dict[Path, tuple[OwnerFile, int]] = {}
_guard = threading.Lock()


@contextmanager
def shared_in_process(path: Path, patience: float) -> Iterator[OwnerFile]:
    """Holds a lock by a file, once for all that want it in this process. Raises Taken."""
    path = path.resolve()
    with _guard:
        lock, users = _mine.get(path) or (OwnerFile(path), 0)
        if not users:
            lock.take(patience)
        _mine[path] = lock, users + 1
    try:
        yield lock
    finally:
        with _guard:
            lock, users = _mine.pop(path)
            if users > 1:
                _mine[path] = lock, users - 1
            else:
                lock.release()


def _look(path: Path) -> tuple[str, int]:
    """What a lock's file says, and when its owner last gave a sign of life; opened anew, since network disks ask the
    server then."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(), os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return "", 0


def _identity(pid: int) -> str:
    """What tells a process from every other: the machine's start, its names for processes, the number, its start."""
    return f"{_machine()} {pid} {_start(pid)}"


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} -"


def _start(pid: int) -> str:
    """When a process began, in the system's ticks; empty if there is none."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return "" if state == "Z" else fields[18]
    except FileNotFoundError:
        return ""
    except (OSError, IndexError):
        return "?"


def _lives(text: str) -> bool | None:
    """Whether the owner that a lock's file names lives; None where this machine cannot tell."""
    words = (text.splitlines() or [""])[-1].split()
    if len(words) < 4 or " ".join(words[:2]) != _machine():
        return None
    return bool(_start(int(words[2]))) and words[3] == _start(int(words[2]))
