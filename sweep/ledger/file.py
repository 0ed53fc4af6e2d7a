"""The ledger's file: opened or made, its transactions, a study's lock, what its errors mean. Needs sqlite3."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

from sweep.errors import SweepError, UsageError
from sweep.ledger.damage import ERRORS, lenient
from sweep.ledger.disk import Disk, try_disk
from sweep.ledger.locks import OwnerFile, Taken, file_owner, shared_in_process, system_lock, system_owner
from sweep.ledger.schema import APPLICATION_ID, FILE, SCHEMA, UPGRADE, VERSION

LOCKS = ".locks"
"""The folder of lock files, beside the ledger."""
PATIENCE = 20.0
"""Seconds that a process waits for another's turn with results that one at a time can open."""
ROWS = 10_000
"""Rows that are read at a time where there may be many."""
LOG_PAGES = 10_000
"""Pages of the write-ahead log, 40 MB, before it is taken into the file: with SQLite's 1,000 a study of 100,000 trials
writes the same pages many times."""


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
        self._held = ExitStack()
        self._files: list[OwnerFile] = []
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
            self.disk = try_disk(folder)
            self._take_turn()
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
            self._held.close()
            raise self._trouble(error) from None
        except SweepError:
            self._held.close()
            raise
        except OSError as error:
            self._held.close()
            raise UsageError(f"{folder}: cannot be used as the results folder: {error.strerror or error}") from None

    def _open(self, create: bool) -> None:
        self._version = VERSION
        if self.disk.log:
            self._leave_log()
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
        logs = self._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        self._connection.execute(f"PRAGMA synchronous = {'NORMAL' if logs else 'FULL'}")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        self._connection.execute("PRAGMA foreign_keys = ON")

    def _choose_journal(self) -> None:
        """A write-ahead log, so that readers and the writer do not wait for one another; where the disk has none, a
        rollback journal."""
        try:
            wanted = "DELETE" if self.disk.log else "WAL"
            answer = self._connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0]
        except sqlite3.OperationalError as error:
            answer = str(error)
        if answer != "wal" and not self.disk.log:
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self.disk = replace(self.disk, log=answer)
        self.notes += [f"{self.path.parent}: {note}; `sweep doctor` says more" for note in self.disk.notes]

    def _leave_log(self) -> None:
        """Takes a ledger that has come here from another disk out of its write-ahead log, which this one does not have:
        while no other process can open it, SQLite needs no shared memory for that."""
        run = self._connection.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        if run("PRAGMA journal_mode").fetchone()[0] == "wal":
            run("PRAGMA journal_mode = DELETE")
            self.notes += [f"{self.path.parent}: {note}; `sweep doctor` says more" for note in self.disk.notes]
        run("PRAGMA locking_mode = NORMAL")
        run("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()  # which gives the lock back

    def _take_turn(self) -> None:
        """Where SQLite can lock nothing, has this process alone open the ledger until it closes it."""
        lock = self._held.enter_context(turn(self.path.parent, self.disk))
        self._files += [lock] if lock else []

    @contextmanager
    def _alone(self, create: bool) -> Iterator[None]:
        """While a ledger may have to be made, no other process makes the same one."""
        if not create:
            yield
            return
        (self.path.parent / LOCKS).mkdir(exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(self._hold_lock("new", PATIENCE))
            except Taken as other:
                raise SweepError(f"{self.path.parent}: {other} is making the results there; try again") from None
            yield

    @contextmanager
    def _hold_lock(self, name: str, patience: float) -> Iterator[None]:
        """Holds a lock, by the system or by a file, waiting for whoever has it now. Raises Taken."""
        folder = self.path.parent / LOCKS
        if self.disk.locks:
            lock = OwnerFile(folder / f"{name}.owner")
            lock.take(patience)
            self._files.append(lock)
            try:
                yield
            finally:
                self._files.remove(lock)
                lock.release()
            return
        with system_lock(folder / f"{name}.lock", patience):
            yield

    def _address(self, create: bool) -> str:
        """The file's URI. A reader of a folder that nobody can write to takes the file as it lies."""
        frozen = (
            not create and not os.access(self.path.parent, os.W_OK) and not self.path.with_name(f"{FILE}-wal").exists()
        )
        how = "immutable=1" if frozen else self.disk.vfs
        return f"{self.path.resolve().as_uri()}{f'?{how}' if how else ''}"

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stamps(self) -> list[list[int]] | None:
        """What no write to the ledger leaves as it is: of the file and its logs, which it is, its size, when it was
        changed. None where that is not sure: within a transaction, on a disk that lacks something, of a file that was
        replaced since it was opened."""
        if self._connection.in_transaction or self.disk.notes:
            return None
        beside = (self.path.with_name(f"{FILE}{suffix}") for suffix in ("", "-wal", "-journal"))
        files = [path.stat() for path in beside if path.exists()]
        if not files or files[0].st_ino != self._inode:
            return None
        return [[at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns] for at in files if at.st_size]

    def _read(self, query: str, *values: object) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except ERRORS as error:
            raise self._trouble(error) from None

    def _rows(self, query: str, *values: object) -> Iterator[list[Any]]:
        """The same, some thousand rows at a time, so that a large study is never held as rows."""
        try:
            cursor = self._connection.execute(query, values)
            while rows := cursor.fetchmany(ROWS):
                yield rows
        except ERRORS as error:
            raise self._trouble(error) from None

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Makes this process the study's one writer. Raises SweepError, naming the other, if there is one.

        The operating system holds the lock and drops it with its process, so a dead owner never blocks.
        """
        folder = self.path.parent / LOCKS
        with ExitStack() as stack:
            try:
                folder.mkdir(exist_ok=True)
                stack.enter_context(self._hold_lock(name, 0.0))
            except Taken as other:
                raise SweepError(
                    f"study {name!r} is being run by another process ({other}); wait for it or stop it"
                ) from None
            except OSError as error:
                raise UsageError(f"{folder}: cannot write there: {error.strerror}") from None
            yield

    def owner(self, name: str) -> str | None:
        """Which process runs a study now, in words; empty if none does, None if that cannot be told here."""
        folder = self.path.parent / LOCKS
        if self.disk.locks:
            return file_owner(folder / f"{name}.owner")
        try:
            return system_owner(folder / f"{name}.lock")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError):
            return None

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
            version_there = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version_there and version_there < VERSION:  # no other process has done it meanwhile
                for version in range(version_there, VERSION):
                    for statement in UPGRADE[version]:
                        self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
            self._version = VERSION

    def _check_place(self) -> None:
        """Raises SweepError if the file is no longer where it was opened, so that nobody would see what is written, or
        if its lock is another's by now."""
        try:
            same = not hasattr(self, "_inode") or self.path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise SweepError(
                f"{self.path}: the file was removed or replaced while it was in use; nothing more is recorded"
            )
        if not all(lock.held() for lock in self._files):
            raise SweepError(
                f"{self.path.parent}: another process has taken over, since this one gave no sign of life; "
                "nothing more is recorded"
            )

    def place(self) -> list[str]:
        """What the file's place lacks, and what serves instead."""
        out = [f"{self.path.parent}: {note}." for note in self.disk.notes]
        answer = self._read("PRAGMA journal_mode")[0][0]
        if answer != "wal" and not self.disk.log:
            out.append(f"{self.path}: no write-ahead log (its journal is {answer}): slower, and readers may wait.")
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


@contextmanager
def turn(folder: Path, disk: Disk | None = None) -> Iterator[OwnerFile | None]:
    """Where SQLite can lock nothing, has this process alone open the ledger of a folder, and waits for whoever has."""
    if not (disk or try_disk(folder)).records:
        yield None
        return
    with ExitStack() as stack:
        try:
            (folder / LOCKS).mkdir(exist_ok=True)
            lock = stack.enter_context(shared_in_process(folder / LOCKS / "ledger.owner", PATIENCE))
        except Taken as other:
            raise SweepError(
                f"{folder}: {other} has the results open, and on this disk one process at a time can; wait for it, or "
                "give a --results on a local disk"
            ) from None
        yield lock
