"""What is wrong with a results folder, and how to mend it. Needs sqlite3 and checkpoint."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sweep import checkpoint
from sweep.errors import SweepError
from sweep.ledger.damage import ERRORS, lenient, set_aside, unreadable
from sweep.ledger.disk import address, try_disk
from sweep.ledger.file import turn
from sweep.ledger.reading import Study
from sweep.ledger.schema import APPLICATION_ID, FILE, SCHEMA, VERSION
from sweep.ledger.store import Ledger
from sweep.wording import count

LOW_DISK = 100 * 2**20
"""Bytes that should be free: a ledger's transactions and checkpoints need some."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong. mending: what would be done about it, None where nothing can; mend: does it."""

    what: str
    mending: str | None = None
    mend: Callable[[], str] | None = None


def diagnose(folder: Path) -> list[Finding]:
    """Everything that is wrong with a results folder; nothing is changed. Findings are to be mended in order."""
    if not (folder / FILE).exists():
        return [Finding(f"{folder}: no results there ({FILE} does not exist)")]
    with turn(folder):
        return _diagnose(folder)


def _diagnose(folder: Path) -> list[Finding]:
    path = folder / FILE
    findings = []
    writable = os.access(folder, os.W_OK)
    if not writable:
        findings.append(Finding(f"{folder}: read-only; nothing can be trained into it, or mended"))
    free = shutil.disk_usage(folder).free
    if free < LOW_DISK:
        findings.append(Finding(f"{folder}: only {free // 2**20} MiB free on its disk"))
    damage = _damage(path, writable)
    if damage is not None or not writable:
        return [*findings, *([damage] if damage else [])]
    if torn := unreadable(path):
        what = f"{path}: {count(len(torn), 'row')} cannot be read: " + "; ".join(row.what for row in torn[:5])
        mending = "set them aside, with what belongs to them; the file as it was is kept beside it"
        return [*findings, Finding(what, mending, lambda: f"set aside; the file as it was is {set_aside(path, torn)}")]
    with Ledger(folder) as ledger:
        for study in ledger.studies():
            findings += _study(ledger, study)
        findings += _leftovers(folder, ledger.studies())
    return findings


def place_notes(folder: Path) -> list[str]:
    """What is no fault, but worth knowing: how the ledger's place serves, studies trained on several kinds of
    machines.
    """
    if not (folder / FILE).exists():
        return []
    try:
        with Ledger(folder) as ledger:
            return [*ledger.place(), *filter(None, (ledger.mixed(study) for study in ledger.studies()))]
    except (SweepError, ValueError):  # told as a finding
        return []


def mend(folder: Path) -> list[tuple[Finding, str | None]]:
    """Mends what can be mended; every finding with what was done about it. What mending uncovers is mended too."""
    done: list[tuple[Finding, str | None]] = []
    with ExitStack() as stack:
        if (folder / FILE).exists():
            stack.enter_context(turn(folder))
        _mend(folder, done)
    return done


def _mend(folder: Path, done: list[tuple[Finding, str | None]]) -> None:
    for _ in range(3):
        findings = diagnose(folder)
        told = {finding.what for finding, _ in done}
        fresh = [finding for finding in findings if finding.what not in told]
        if not fresh:
            break
        done += [(finding, finding.mend() if finding.mend else None) for finding in fresh]


def _damage(path: Path, writable: bool) -> Finding | None:
    """The file itself: whether it is ours, readable and whole."""
    try:
        with closing(sqlite3.connect(address(path, "mode=rw" if writable else "immutable=1"), uri=True)) as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if application != APPLICATION_ID:
                return Finding(f"{path}: not a results file of sweep; --results names another folder")
            if version > VERSION:
                return Finding(f"{path}: written by a newer sweep (schema {version}); upgrade sweep")
            connection.text_factory = lenient
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(100)")]
            problems = [told for told in problems if "CHECK constraint" not in told] or [
                "ok"
            ]  # `unreadable` names the row
            for table in ("studies", "trials", "epochs"):
                connection.execute(f"SELECT * FROM {table} LIMIT 1")
            if problems == ["ok"]:
                return None
            problem = problems[0].splitlines()[-1]
    except ERRORS as error:
        problem = "text that is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        if path.read_bytes()[:16] != b"SQLite format 3\0":
            return Finding(
                f"{path}: not a results file of sweep ({problem}); move it away, or --results another folder"
            )
    if not writable:
        return Finding(f"{path}: the file is damaged ({problem})")
    return Finding(
        f"{path}: the file is damaged ({problem})",
        "save every row that can be read into a new file; the damaged one is kept beside it",
        lambda: _salvage(path),
    )


def _study(ledger: Ledger, study: Study) -> Iterator[Finding]:
    """Trials that no process is training, and finished ones whose epochs or readings are not all there."""
    try:
        with ledger.lock(study.name):
            stuck = [number for number, state in ledger.known(study).values() if state == "running"]
            torn = ledger.torn(study)
            unread = {number: lost for number, lost in ledger.lost_readings(study).items() if number not in torn}
    except SweepError as error:
        yield Finding(str(error).replace("; wait for it or stop it", ": looked at when it is over"))
        return

    def put_back(numbers: list[int]) -> Callable[[], str]:
        def mend() -> str:
            with Ledger(ledger.path.parent) as again, again.lock(study.name):
                again.mark(study, numbers, "waiting")
            return f"set to waiting; `sweep resume {study.name}` trains them"

        return mend

    if stuck:
        trials = f"{count(len(stuck), 'trial')} {'is' if len(stuck) == 1 else 'are'}"
        what = f"study {study.name!r}: {trials} marked as running, but no process trains them"
        yield Finding(what, "set them to waiting", put_back(stuck))
    if torn:
        what = f"study {study.name!r}: {count(len(torn), 'finished trial')} without some epochs"
        yield Finding(what, "set them to waiting, so that they are trained again", put_back(torn))
    if unread:
        lost = (
            f"{count(sum(unread.values()), 'reading')} (what `sweep look` shows, scores within epochs, further tests)"
        )
        what = f"study {study.name!r}: {count(len(unread), 'finished trial')} without {lost}; their other numbers stand"
        yield Finding(
            what, "set them to waiting, so that they are trained again, readings and all", put_back([*unread])
        )


def _leftovers(folder: Path, studies: list[Study]) -> Iterator[Finding]:
    """Checkpoints that nobody will use."""
    owners = {str(study.id) for study in studies}
    for place in sorted((folder / checkpoint.FOLDER).glob("*")):
        if place.name not in owners:
            yield Finding(f"{place}: checkpoints of a study that is gone", "remove them", _remover(place))
            continue
        usable = {saved.path for saved in checkpoint.scan(place)}
        broken = [path for path in place.iterdir() if path not in usable]
        if broken:
            files = f"{count(len(broken), 'checkpoint file')} {'is' if len(broken) == 1 else 'are'}"
            what = f"{place}: {files} torn or of another version"
            yield Finding(what, "remove them (that costs time, no number)", _unlinker(broken))


def _remover(place: Path) -> Callable[[], str]:
    def mend() -> str:
        shutil.rmtree(place)
        return "removed"

    return mend


def _unlinker(paths: list[Path]) -> Callable[[], str]:
    def mend() -> str:
        for path in paths:
            path.unlink(missing_ok=True)
        return "removed"

    return mend


def _salvage(path: Path) -> str:
    """Copies every readable row into a new ledger and puts it in the damaged one's place."""
    place = next(n for n in range(1, 10_000) if not path.with_name(f"{FILE}.damaged-{n}").exists())
    fresh = path.with_name(f"{FILE}.salvaged")
    fresh.unlink(missing_ok=True)
    with (
        _whole_pages(path) as readable,
        closing(sqlite3.connect(address(readable), uri=True, isolation_level=None)) as old,
        closing(sqlite3.connect(address(fresh), uri=True)) as new,
    ):
        for statement in SCHEMA.split(";\n"):
            new.execute(statement)
        new.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        new.execute(f"PRAGMA user_version = {VERSION}")
        old.execute(
            "PRAGMA writable_schema = ON"
        )  # without it, SQLite refuses a file that is shorter than it should be
        old.text_factory = lenient
        _copy(old, new, "studies", "1")
        _copy(old, new, "sittings", "1")
        trials = new.execute("SELECT id, trials FROM studies").fetchall()
        for table, key in (("trials", "number"), ("epochs", "trial"), ("readings", "trial"), ("outputs", "trial")):
            if not _copy(old, new, table, "1"):  # trial by trial, so that what cannot be read costs little else
                for study, total in trials:
                    for number in range(_past_last(old, study, total)):
                        _copy(old, new, table, f"study = {study} AND {key} = {number}")
        tables = ("studies", "trials", "epochs")
        counts = {table: new.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
        new.execute("DELETE FROM trials WHERE study NOT IN (SELECT id FROM studies)")
        for table in ("epochs", "readings", "outputs"):
            new.execute(f"DELETE FROM {table} WHERE (study, trial) NOT IN (SELECT study, number FROM trials)")
        new.execute(
            "UPDATE trials SET state = 'waiting' WHERE state IN ('complete', "
            "'pruned', 'diverged', 'running') AND epochs != "
            "(SELECT count(*) FROM epochs WHERE epochs.study = trials.study AND epochs.trial = trials.number)"
        )
        new.execute("UPDATE trials SET state = 'waiting' WHERE state = 'running'")
        new.commit()
        if not try_disk(path.parent).log:
            new.execute("PRAGMA journal_mode = WAL")
    kept = path.with_name(f"{FILE}.damaged-{place}")
    os.replace(path, kept)
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(f"{FILE}{suffix}")
        if beside.exists():
            os.replace(beside, kept.with_name(f"{kept.name}{suffix}"))
    os.replace(fresh, path)
    told = ", ".join(f"{count} {table}" for table, count in counts.items())
    return (
        f"saved {told}; the damaged file is {kept.name}. `sweep resume STUDY`, or the command that made it, trains "
        "what is missing"
    )


@contextmanager
def _whole_pages(path: Path) -> Iterator[Path]:
    """The file, or where it ends in the middle of a page, a copy without that page: SQLite would read on in zeros, and
    a row whose end is lost would count as one that was recorded."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(18)[16:], "big") or 4096
    torn = path.stat().st_size % (65_536 if size == 1 else size)
    if not torn:
        yield path
        return
    copy = path.with_name(f"{FILE}.whole")
    try:
        shutil.copyfile(path, copy)
        os.truncate(copy, path.stat().st_size - torn)
        log = path.with_name(f"{FILE}-wal")
        if log.exists():
            shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
        yield copy
    finally:
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(f"{copy.name}{suffix}").unlink(missing_ok=True)


def _past_last(old: sqlite3.Connection, study: int, total: int) -> int:
    """One more than a study's last number: in a search, some have no trial, so it may be more than its trials. Where it
    cannot be read, far more than a search leaves out."""
    with suppress(*ERRORS, TypeError, ValueError):
        last = old.execute("SELECT max(number) FROM trials WHERE study = ?", (study,)).fetchone()[0]
        return max(total, 0 if last is None else int(last) + 1)
    return 20 * total


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str, where: str) -> bool:
    """Copies the rows that meet a condition, as far as they can be read; whether all could."""
    try:
        cursor = old.execute(f"SELECT * FROM {table} WHERE {where}")
        names = ", ".join(column[0] for column in cursor.description)
        for row in cursor:
            with suppress(sqlite3.IntegrityError):  # a state that is none, say
                new.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", row)
    except ERRORS:
        return False
    return True
