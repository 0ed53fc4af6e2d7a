"""The ledger's file: opened or made, its transactions, a study's lock, what its errors mean. Needs sqlite3."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar, Self

from sweep.errors import SweepError, UsageError
from sweep.ledger.damage import ERRORS, lenient
from sweep.ledger.schema import APPLICATION_ID, FILE, SCHEMA, UPGRADE, VERSION
from sweep.machine import now

LOCKS = ".locks"
"""The folder of lock files, beside the ledger."""
ATTEMPTS = 5
"""Times that a lock is asked for, 20 ms apart, before another process is said to have it."""
LOG_PAGES = 10_000
"""Pages of the write-ahead log, 40 MB, before it is taken into the file: with SQLite's 1,000 a study of 100,000 trials
writes the same pages many times."""
_HELD = (errno.EAGAIN, errno.EACCES)


class File:
    """The SQLite file of a results folder; what it holds is read and written by its heirs.

    opened: the last one, for whoever has to tell what went wrong; notes: what is to be said of its place; damaged: a
    line about each study that was met and cannot be read, by name.
    """

    opened: ClassVar[Path | None] = None

    def __init__(self, folder: Path, create: bool = False) -> None:
        """Opens `folder`/sweep.db, making it if `create`. Raises UsageError for a folder or file that cannot serve."""
        self.path = folder / FILE
        self.notes: list[str] = []
        self.damaged: dict[str, str] = {}
        try:
            if create:
                folder.mkdir(parents=True, exist_ok=True)
            elif not self.path.exists():
                raise UsageError(
                    f"{folder}: no results there yet; `sweep grid` makes them (--results names another folder)"
                )
            if create and not os.access(folder, os.W_OK):
                raise UsageError(f"{folder}: the results folder is read-only; --results names another")
            with self._alone(create):
                # several threads may read: SQLite is built to be called from any (sqlite3.threadsafety is 3)
                threads = {"check_same_thread": sqlite3.threadsafety < 3}
                self._connection = sqlite3.connect(
                    self._address(create), timeout=60, isolation_level=None, uri=True, **threads
                )
                self._connection.text_factory = lenient
                self._open(create)
                File.opened = self.path
                self._inode = self.path.stat().st_ino
        except ERRORS as error:
            raise self._trouble(error) from None
        except OSError as error:
            raise UsageError(f"{folder}: cannot be used as the results folder: {error.strerror or error}") from None

    def _open(self, create: bool) -> None:
        self._version = VERSION
        self._connection.execute("BEGIN")
        application = self._connection.execute("PRAGMA application_id").fetchone()[0]
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        empty = not self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        self._connection.execute("COMMIT")
        if empty and application == 0:
            if not create:
                raise UsageError(f"{self.path}: the file is empty, no results yet")
            self._choose_journal()
            with self._transaction():
                for statement in SCHEMA.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION_ID:
            raise UsageError(f"{self.path}: not a results file of sweep; --results names another folder")
        elif version > VERSION:
            raise SweepError(
                f"{self.path}: written by a newer sweep (schema {version}, this one reads up to {VERSION}); "
                "upgrade sweep"
            )
        else:
            self._version = version
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        self._connection.execute("PRAGMA foreign_keys = ON")

    def _choose_journal(self) -> None:
        """A write-ahead log, so that readers and the writer do not wait for one another; it needs shared memory, which
        network file systems do not have. There, a rollback journal serves."""
        try:
            answer = self._connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            answer = str(error)
        if answer != "wal":
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self.notes.append(
                f"{self.path.parent}: SQLite has no write-ahead log on this file system ({answer}), "
                "so it keeps a rollback "
                "journal: slower, and readers may wait; a --results on a local disk avoids that"
            )

    @contextmanager
    def _alone(self, create: bool) -> Iterator[None]:
        """While a ledger may have to be made, no other process makes the same one."""
        if not create:
            yield
            return
        folder = self.path.parent / LOCKS
        folder.mkdir(exist_ok=True)
        with open(folder / "new.lock", "a", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                raise _no_locks(folder, error) from None
            yield

    def _address(self, create: bool) -> str:
        """The file's URI. A reader of a folder that nobody can write to takes the file as it lies."""
        frozen = (
            not create and not os.access(self.path.parent, os.W_OK) and not self.path.with_name(f"{FILE}-wal").exists()
        )
        return f"{self.path.resolve().as_uri()}{'?immutable=1' if frozen else ''}"

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, query: str, *values: object) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except ERRORS as error:
            raise self._trouble(error) from None

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Makes this process the study's one writer. Raises SweepError, naming the other, if there is one.

        The operating system holds the lock and drops it with its process, so a dead owner never blocks.
        """
        folder = self.path.parent / LOCKS
        try:
            folder.mkdir(exist_ok=True)
            file = open(folder / f"{name}.lock", "a+", encoding="utf-8")  # noqa: SIM115 (closed below)
        except OSError as error:
            raise UsageError(f"{folder}: cannot write there: {error.strerror}") from None
        with file:
            try:
                _take(file)
            except OSError as error:
                if error.errno not in _HELD:
                    raise _no_locks(folder, error) from None
                file.seek(0)
                raise SweepError(
                    f"study {name!r} is being run by another process ({file.read().strip() or 'unknown'}); wait "
                    "for it or stop it"
                ) from None
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {now()}")
            file.flush()
            yield

    def owner(self, name: str) -> str | None:
        """Which process runs a study now, in words; empty if none does, None if that cannot be told here."""
        try:
            with open(self.path.parent / LOCKS / f"{name}.lock", encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # beside other readers; dropped on closing
                except OSError as error:
                    return (file.read().strip() or "another process") if error.errno in _HELD else None
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError):
            return None
        return ""

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._check_place()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._upgrade()
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except ERRORS as error:
            raise self._trouble(error) from None

    def _upgrade(self) -> None:
        """Brings an older ledger to this schema, within the transaction that first writes to it. Readers leave it
        alone.
        """
        if self._version < VERSION:
            found = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if found and found < VERSION:  # no other process has done it meanwhile
                for version in range(found, VERSION):
                    for statement in UPGRADE[version]:
                        self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
            self._version = VERSION

    def _check_place(self) -> None:
        """Raises SweepError if the file is no longer where it was opened: what is written to it now, nobody will
        see.
        """
        try:
            same = not hasattr(self, "_inode") or self.path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise SweepError(
                f"{self.path}: the file was removed or replaced while it was in use; nothing more is recorded"
            )

    def place(self) -> list[str]:
        """What the file's place lacks: a write-ahead log, locks. Tries both, and leaves nothing there."""
        out = []
        answer = self._read("PRAGMA journal_mode")[0][0]
        if answer != "wal":
            out.append(f"{self.path}: no write-ahead log (its journal is {answer}): slower, and readers may wait.")
        if os.access(self.path.parent, os.W_OK):
            with tempfile.TemporaryFile(dir=self.path.parent) as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    out.append(str(_no_locks(self.path.parent / LOCKS, error)))
        return out

    def _size_limit(self) -> int | None:
        """The most bytes that this process may make a file of, where the ledger's files have come up to it."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        beside = (self.path.with_name(f"{FILE}{suffix}") for suffix in ("", "-wal", "-shm", "-journal"))
        largest = max((path.stat().st_size for path in beside if path.exists()), default=0)
        return limit if largest + 2**16 >= limit else None

    def _trouble(self, error: Exception) -> SweepError:
        text = "text that is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        if (limit := self._size_limit()) is not None:
            return SweepError(
                f"{self.path}: {text}: files may not grow past {limit:,} bytes here (`ulimit -f`); "
                "what was recorded before is kept"
            )
        damaged = (
            "malformed",
            "disk I/O",
            "corrupt",
            "UTF-8",
            "no such table",
            "no such column",
            "unsupported file format",
        )
        if any(sign in text for sign in damaged):
            return SweepError(f"{self.path}: the file is damaged ({text}); `sweep doctor` says what can be mended")
        if "not a database" in text:
            return UsageError(f"{self.path}: not a results file of sweep; --results names another folder")
        if "readonly" in text or "unable to open" in text:
            return UsageError(f"{self.path.parent}: the results folder is read-only; --results names another")
        free = shutil.disk_usage(self.path.parent).free // 2**20 if self.path.parent.exists() else 0
        return SweepError(f"{self.path}: {text} ({free} MiB free on that disk); what was recorded before is kept")


def _take(file: IO[str]) -> None:
    """Locks a file for this process alone. A reader that asks who has it holds it for a moment: that is waited for."""
    for attempt in range(ATTEMPTS):
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD or attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.02)


def _no_locks(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{folder.parent}: no file can be locked there ({error.strerror}), so two processes "
        "might train one study at once; "
        "give a --results on a local disk"
    )
