"""Damaged ledgers: every command works or says one line, `doctor` names what is wrong, mending loses nothing else."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sweep import cli
from sweep.errors import SweepError
from sweep.ledger import FILE, Ledger, diagnose, file, mend
from tests.made import made
from tests.thin import thin

READING = [
    ("ls",), ("show", "s"), ("show", "s", "--json"), ("trial", "s", "3"), ("export", "s", "-o", "-"),
    ("effect", "s", "lr"),
    ("importance", "s"), ("check", "s"), ("compare", "s", "other"), ("doctor",),
]  # fmt: skip
MANY = int(os.environ.get("SWEEP_DAMAGE", "4"))
"""Damaged files tried; the variable asks for more."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with two studies."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("s", "other"):
        study = made(
            folder,
            name,
            {"lr": "0.1,0.01,0.001", "batch_norm": "on,off", "epochs": "2", "seeds": "2"},
            lambda t: 0.1 + t.number,
        )
        with Ledger(folder) as ledger:
            ledger.begin(study, [], ledger.sit(study, {"torch": "2.14.1"}))
    with closing(sqlite3.connect(folder / FILE)) as raw:
        raw.execute("PRAGMA journal_mode = DELETE")  # one file, so that any byte of it can be damaged
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    shutil.copy(whole / FILE, tmp_path / FILE)
    return tmp_path


def run(folder: Path, *args: str) -> object:
    """A command's exit code, in this process, with its errors told as `main` tells them."""
    before = sys.argv
    sys.argv = ["sweep", *args, "--results", str(folder)]
    try:
        return cli._run()
    finally:
        sys.argv = before


def change(folder: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(folder / FILE)) as raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        raw.execute(statement, values)
        raw.commit()


@pytest.mark.parametrize(
    ("statement", "value", "told"),
    thin([
        ("UPDATE trials SET setting = CAST(? AS TEXT) WHERE study "
            "= 1 AND number = 3", b'{"lr": \xff}', "its setting is not UTF-8"),
        ("UPDATE trials SET setting = ? WHERE study = 1 AND number = 3", '{"lr": 0.1', "its setting cannot be read"),
        ("UPDATE trials SET setting = ? WHERE study = 1 AND number = 3", "[1]", "its setting is '[1]'"),
        ("UPDATE trials SET setting = ? WHERE study = 1 AND number = 3", '{"mr": 0.1}', "its setting"),
        ("UPDATE trials SET state = ? WHERE study = 1 AND number = 3", "complexe", "its state is 'complexe'"),
        ("UPDATE trials SET val_loss = ? WHERE study = 1 AND number = 3", "low", "its val_loss is 'low'"),
        ("UPDATE trials SET epochs = ? WHERE study = 1 AND number = 3", b"\0", "its epochs is"),
    ], 2),
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_named_and_set_aside(folder, capfd, statement, value, told):
    change(folder, statement, value)
    (finding,) = diagnose(folder)
    assert f"1 row cannot be read: study 's', number 3: {told}" in finding.what
    for command in READING:
        run(folder, *command)
    assert "Traceback" not in "".join(capfd.readouterr())
    done = mend(folder)
    assert [mended for _, mended in done] == [f"set aside; the file as it was is {FILE}.damaged-1"]
    assert diagnose(folder) == []
    with closing(sqlite3.connect(folder / f"{FILE}.damaged-1")) as kept, closing(sqlite3.connect(folder / FILE)) as raw:
        assert kept.execute("SELECT count(*) FROM trials").fetchone() == (24,)
        assert [number for (number,) in raw.execute("SELECT number FROM trials WHERE study = 1 ORDER BY number")] == [
            0, 1, 2, *range(4, 12),
        ]  # fmt: skip
        assert raw.execute("SELECT count(*) FROM trials WHERE study = 2").fetchone() == (12,)


def test_a_study_that_cannot_be_read_hides_no_other(folder, capfd):
    change(folder, "UPDATE studies SET recipe = ? WHERE id = 1", '{"data": ')
    assert run(folder, "show", "other") in (None, 0)
    assert run(folder, "ls") in (None, 0)
    out, err = capfd.readouterr()
    assert "other" in out
    assert "study 's' cannot be read, its recipe is damaged; `sweep doctor --mend` sets it aside" in err
    assert run(folder, "show", "s") == 1
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("seed", range(MANY))
def test_any_damage_gets_a_line(folder, capfd, seed):
    """Bytes flipped anywhere, or the file cut; then every command that reads, and mending."""
    draw = random.Random(seed)
    path = folder / FILE
    raw = bytearray(path.read_bytes())
    if draw.random() < 0.2:
        raw = raw[: draw.randrange(len(raw))]
    else:
        used = [place for place, byte in enumerate(raw) if byte]
        for _ in range(draw.choice((1, 1, 3, 30))):
            raw[draw.choice(used)] = draw.randrange(256)
    path.write_bytes(raw)
    for command in [*draw.sample(READING, 4), ("doctor", "--mend"), ("ls",), ("show", "s"), ("doctor",)]:
        code = run(folder, *command)  # anything but an error of ours is raised, with its traceback
        assert code in (None, 0, 1, 2), command
    assert "Traceback" not in "".join(capfd.readouterr())


# The place


class _Network:
    """A connection to a file on a network file system, which has no shared memory for a write-ahead log."""

    def __init__(self, connection: sqlite3.Connection, answer: str | None) -> None:
        self.__dict__.update(connection=connection, answer=answer, asked=[])

    def execute(self, statement: str, *values: object):
        self.asked.append(statement)
        if statement == "PRAGMA journal_mode = WAL":
            if self.answer is None:
                raise sqlite3.OperationalError("locking protocol")
            return self.connection.execute("SELECT ?", (self.answer,))
        return self.connection.execute(statement, *values)

    def __getattr__(self, name: str):
        return getattr(self.connection, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.connection, name, value)


@pytest.mark.parametrize("answer", ["delete", None])
def test_without_a_write_ahead_log_a_rollback_journal_serves(tmp_path, monkeypatch, answer):
    connect = sqlite3.connect
    monkeypatch.setattr(file.sqlite3, "connect", lambda *args, **more: _Network(connect(*args, **more), answer))
    with Ledger(tmp_path, create=True) as ledger:
        (note,) = ledger.notes
        assert f"no write-ahead log there ({answer or 'locking protocol'})" in note
    monkeypatch.undo()
    with closing(connect(tmp_path / FILE)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    with Ledger(tmp_path, create=True) as ledger:
        assert ledger.studies() == []
        (told,) = ledger.place()
        assert "no write-ahead log (its journal is delete)" in told


def test_a_file_size_limit_is_told_as_one(folder):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Ledger(folder) as ledger:
        study = ledger.study("s")

        def fill() -> None:
            for _ in range(1000):
                ledger.sit(study, {"x": "y" * 10_000})

        resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / FILE).stat().st_size, hard))
        try:
            with pytest.raises(SweepError, match=r"files may not grow past [\d,]+ bytes here \(`ulimit -f`\)"):
                fill()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert len(ledger.trials(study)) == 12


def test_a_file_that_ends_in_the_middle_of_a_page_gives_no_row_that_never_was(tmp_path):
    """SQLite reads on in zeros where a file ends; a row whose end is lost must not count as recorded."""
    made(tmp_path / "whole", "s", {"lr": "0.1,0.01", "seeds": "9", "epochs": "12"}, lambda trial: 0.5 + trial.number)
    with Ledger(tmp_path / "whole") as ledger:
        known = {tuple(row) for row in ledger.epochs(ledger.study("s")).itertuples(index=False)}
    with closing(sqlite3.connect(tmp_path / "whole" / FILE)) as whole:
        whole.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = (tmp_path / "whole" / FILE).read_bytes()
    saved = 0
    for cut in range(len(content) // 2, len(content), 733):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / FILE).write_bytes(content[:cut])
        mend(folder)
        with Ledger(folder) as ledger:
            for study in ledger.studies():
                rows = {tuple(row) for row in ledger.epochs(study).itertuples(index=False)}
                saved += len(rows)
                assert rows <= known
        assert (folder / FILE).read_bytes()[:16] == b"SQLite format 3\0"
    assert saved
