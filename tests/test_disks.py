"""Disks without shared memory or locks: what is tried, what serves instead, kills there; locks by files.

A library that is loaded first makes the calls fail in one folder, for Python and SQLite alike (`disk.c`).
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from sweep.errors import SweepError
from sweep.ledger import FILE, Ledger, locks
from sweep.ledger.disk import Disk, kind_of, try_disk
from sweep.ledger.locks import OwnerFile, Taken, file_owner
from tests import test_resume
from tests.made import made

KINDS = ["mmap", "mmap,flock", "mmap,flock,records"]
SMALL = ["--lr", "0.1,0.01", "--epochs", 1]


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> Path:
    """The library, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux")
    out = tmp_path_factory.mktemp("disk") / "disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", out, Path(__file__).parent / "disk.c", "-ldl"], check=True)
    return out


def poor(library: Path, folder: Path, lacks: str) -> dict[str, str]:
    """The environment of a process for which the folder lies on a disk that lacks something."""
    return {"LD_PRELOAD": str(library), "DISK_AT": str(folder), "DISK_LACKS": lacks}


# What is tried


MOUNTS = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/a\040b rw - fuse.sshfs host: rw
32 22 0:42 / /homestead rw - xfs /dev/vdb rw
not a line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/", "ext4"), ("/home/x/y", "nfs4"), ("/home/a b/c", "fuse.sshfs"), ("/homestead/x", "xfs"), ("/hom", "ext4")],
)
def test_the_kind_of_a_disk_is_that_of_the_deepest_mount_above(tmp_path, folder, kind):
    (tmp_path / "mounts").write_text(MOUNTS)
    assert kind_of(Path(folder), tmp_path / "mounts") == kind
    assert kind_of(Path(folder), tmp_path / "none") == ""


def test_a_disk_that_other_machines_see_gets_no_write_ahead_log_though_it_could(tmp_path, monkeypatch):
    assert try_disk(tmp_path) == Disk()
    monkeypatch.setattr("sweep.ledger.disk.kind_of", lambda _: "nfs4")
    with Ledger(tmp_path, create=True) as ledger:
        assert [note.partition(": ")[2] for note in ledger.notes] == [
            "SQLite has no write-ahead log there (nfs4, which other machines may see), so it keeps a rollback journal: "
            "slower, and readers may wait; `sweep doctor` says more",
            "locks of the system do not serve there (nfs4, which other machines may see), so a file that names its "
            "owner does; `sweep doctor` says more",
        ]
        assert ledger._read("PRAGMA journal_mode") == [("delete",)]
        assert ledger._read("PRAGMA synchronous") == [(2,)]  # FULL: NORMAL is safe with a write-ahead log alone
    with Ledger(tmp_path, create=True) as again:
        assert again.notes == []  # said once
        assert len(again.place()) == 2


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_what_fails_is_told_with_its_reason(tmp_path, monkeypatch, number):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("sweep.ledger.disk.fcntl.flock", refuse)
    assert try_disk(tmp_path) == Disk(locks=os.strerror(number))
    monkeypatch.setattr("sweep.ledger.disk.mmap.mmap", refuse)
    assert try_disk(tmp_path) == Disk(log=os.strerror(number), locks=os.strerror(number))


# A lock by a file


def hold(path: Path) -> subprocess.Popen[str]:
    """A process that takes the lock of a file and keeps it."""
    text = "import sys, time; from pathlib import Path; from sweep.ledger.locks import OwnerFile\n"
    text += "OwnerFile(Path(sys.argv[1])).take(); print('held', flush=True); time.sleep(300)"
    process = subprocess.Popen([sys.executable, "-c", text, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_by_a_file_is_held_by_one_and_free_once_its_owner_was_killed(tmp_path):
    path = tmp_path / "s.owner"
    process = hold(path)
    with pytest.raises(Taken, match=f"process {process.pid} on .* since"):
        OwnerFile(path).take()
    assert f"process {process.pid}" in (file_owner(path) or "")
    process.kill()
    process.wait()
    assert file_owner(path) == ""
    begin, lock = time.monotonic(), OwnerFile(path)
    lock.take()
    assert time.monotonic() - begin < locks.SILENT / 2  # on the owner's own machine nothing is waited for
    assert lock.held()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_another_process_has_now_is_not_the_owner(tmp_path):
    path = tmp_path / "s.owner"
    lock = OwnerFile(path)
    started = locks._start(os.getpid())
    path.write_text(lock.text.replace(f" {started} ", " 1 "))
    lock.take()


def test_a_lock_of_another_machine_is_taken_over_once_it_is_silent(tmp_path, monkeypatch):
    path = tmp_path / "s.owner"
    path.write_text("process 7 on elsewhere since then\nanother-boot pid:[1] 7 99 5\n")
    monkeypatch.setattr(locks, "SILENT", 0.4)
    OwnerFile(path).take()
    path.write_text("process 7 on elsewhere since then\nanother-boot pid:[1] 7 99 5\n")
    beats = iter(range(1_000))
    look = locks._look
    monkeypatch.setattr(locks, "_look", lambda place: (look(place)[0], next(beats)))
    with pytest.raises(Taken, match="process 7 on elsewhere"):
        OwnerFile(path).take()


def test_who_was_taken_over_records_nothing_more(tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.ledger.file.try_disk", lambda _: Disk(log="none", locks="none"))
    made(tmp_path, "s", {"lr": "0.1"}, lambda _: 0.5)
    with Ledger(tmp_path, create=True) as ledger:
        study = ledger.study("s")
        with ledger.lock("s"):
            ledger.mark(study, [0], "waiting")
            (tmp_path / ".locks" / "s.owner").write_text("process 7 on elsewhere\n")
            with pytest.raises(SweepError, match="another process has taken over"):
                ledger.mark(study, [0], "failed")
        assert ledger.counts(study)["waiting"] == 1


# Real processes


@pytest.mark.long
@pytest.mark.parametrize("lacks", KINDS)
def test_a_poor_disk_serves_and_is_spoken_of_once(sweep, tmp_path, library, lacks):
    env = poor(library, tmp_path / "results", lacks)
    first = sweep("grid", *SMALL, "--study", "s", env=env).stderr
    said = {
        "records": "SQLite can lock no file there",
        "mmap": "no write-ahead log",
        "flock": "a file that names its owner",
    }
    expected = ["records", "flock"] if "records" in lacks else lacks.split(",")
    assert [word for word in said if said[word] in first] == sorted(expected, key=[*said].index)
    second = sweep("resume", "s", env=env).stderr
    assert not any(text in second for text in said.values())
    told = sweep("doctor", env=env).stdout
    assert all(said[word] in told for word in expected)
    with closing(sqlite3.connect(tmp_path / "results" / FILE)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.long
def test_a_ledger_that_comes_from_another_disk_leaves_its_log(sweep, tmp_path, library):
    folder = tmp_path / "results"
    made(folder, "s", {"lr": "0.1,0.01"}, lambda trial: trial.setting["lr"])
    with Ledger(folder) as ledger:
        assert ledger._read("PRAGMA journal_mode") == [("wal",)]
    env = poor(library, folder, KINDS[2])
    assert "0.0100" in sweep("show", "s", env=env).stdout
    with closing(sqlite3.connect(folder / FILE)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert "nothing is wrong" in sweep("doctor", env=env).stdout


def test_without_any_locks_one_process_at_a_time_has_the_results(tmp_path, monkeypatch):
    monkeypatch.setattr("sweep.ledger.file.try_disk", lambda _: Disk("none", "none", "none"))
    monkeypatch.setattr("sweep.ledger.file.PATIENCE", 0.2)
    made(tmp_path, "s", {"lr": "0.1"}, lambda _: 0.5)
    process = hold(tmp_path / ".locks" / "ledger.owner")
    with pytest.raises(SweepError, match=rf"process {process.pid} on .* one process at a time can"):
        Ledger(tmp_path)
    process.kill()
    process.wait()
    with Ledger(tmp_path) as ledger, Ledger(tmp_path) as again:  # within a process there is no other
        assert ledger.counts(ledger.study("s")) == again.counts(again.study("s"))
    assert not (tmp_path / ".locks" / "ledger.owner").exists()


@pytest.mark.slow
@pytest.mark.parametrize("lacks", KINDS)
def test_kill_campaign_on_a_poor_disk(sweep, tmp_path, library, monkeypatch, lacks, capsys):
    env = poor(library, tmp_path / "results", lacks)
    monkeypatch.setattr(test_resume, "OFTEN", test_resume.OFTEN | env)
    line = test_resume.campaign(functools.partial(sweep, env=env), tmp_path, "mlp", 2, kills=2)
    with capsys.disabled():
        print(f"\nwithout {lacks}: {line}")
    assert line.endswith("lost 0, doubled 0, differing 0")
