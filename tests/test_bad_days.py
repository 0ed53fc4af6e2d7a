"""Disk full, damage, other people's files: one clear line, nothing recorded is lost, and the doctor."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from sweep.ledger import Ledger
from tests.conftest import runner
from tests.made import made
from tests.processes import family, kill, numbers, query, start, wait_for
from tests.thin import thin

GRID = ["--lr", "0.1,0.01,0.001", "--epochs", 12, "--seeds", 6, "--study", "s"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, tuple[str, str]]:
    """A finished study: its results folder, which stays as it is, and its numbers."""
    folder = tmp_path_factory.mktemp("trained")
    runner(folder)("grid", *GRID)
    return folder / "results", numbers(runner(folder), "s")


@pytest.fixture
def studied(trained, tmp_path) -> tuple[Path, tuple[str, str]]:
    """A copy of it: its ledger's path and its numbers."""
    shutil.copytree(trained[0], tmp_path / "results")
    return tmp_path / "results" / "sweep.db", trained[1]


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    return result.stderr


@pytest.mark.usefixtures("studied")
def test_nothing_wrong_is_said(sweep):
    assert sweep("doctor").stdout == "nothing is wrong\n"
    assert json.loads(sweep("doctor", "--json").stdout) == []


@pytest.mark.parametrize("part", thin([0.3, 0.0, 0.55, 0.8, 0.97], 4))
def test_a_ledger_cut_at_any_byte_is_told_and_mended(sweep, studied, part):
    """Every command gives one line; the doctor saves what can be read; the same command trains the rest again."""
    path, expected = studied
    size = path.stat().st_size
    cut = max(40_000, int(size * part)) + random.Random(part).randrange(4096)
    with open(path, "r+b") as file:
        file.truncate(cut)
    for command in (("show", "s"), ("export", "s", "-o", "-"), ("ls",)):
        result = sweep(*command, code=None)
        if result.returncode:
            assert "sweep doctor" in one_line(result)
    dry = sweep("doctor", code=1)
    assert "the file is damaged" in dry.stdout
    assert "would save every row that can be read" in dry.stdout
    assert path.stat().st_size == cut  # a dry run changes nothing
    mended = sweep("doctor", "--mend").stdout
    assert "saved" in mended
    assert path.with_name("sweep.db.damaged-1").stat().st_size == cut
    sweep("doctor")
    sweep("grid", *GRID)
    assert numbers(sweep, "s") == expected


def test_a_ledger_with_a_page_of_rubbish_is_told_and_mended(sweep, studied):
    path, expected = studied
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(random.Random(1).randbytes(4096))
    assert "the file is damaged" in sweep("doctor", code=1).stdout
    sweep("doctor", "--mend")
    sweep("grid", *GRID)
    assert numbers(sweep, "s") == expected


def test_rubbish_and_newer_ledgers_are_told_apart(sweep, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "sweep.db").write_bytes(b"not a database at all, but somebody's notes" * 100)
    assert "not a results file of sweep" in sweep("doctor", "--mend", code=1).stdout
    assert (results / "sweep.db").read_bytes().startswith(b"not a database")
    (results / "sweep.db").unlink()
    sweep("grid", "--lr", 0.1, "--epochs", 1, "--study", "s")
    with contextlib.closing(sqlite3.connect(results / "sweep.db")) as raw:
        raw.execute("PRAGMA user_version = 99")
    assert "newer sweep" in one_line(sweep("show", "s", code=1))
    assert "newer sweep" in sweep("doctor", code=1).stdout


@pytest.mark.long
def test_what_a_killed_study_leaves_is_found_and_put_right(sweep, tmp_path):
    flags = ["--lr", "0.1,0.01", "--epochs", 400, "--jobs", 1, "--study", "k"]
    process = start(tmp_path, "grid", *flags, env={"SWEEP_CHECKPOINT_SECONDS": "0.05"})
    files = tmp_path / "results" / ".checkpoints"
    wait_for(lambda: any(files.glob("*/*.safetensors")), process)
    assert "looked at when it is over" in sweep("doctor", code=1).stdout  # while it runs
    assert f"2 are being trained now by process {process.pid} on" in " ".join(sweep("show", "k").stdout.split())
    for pid in (process.pid, *(pid for pids in family(process) for pid in pids)):
        kill(pid)
    process.communicate()
    (files / "1" / "rubbish.0.safetensors").write_bytes(b"rubbish")
    (files / "77").mkdir()
    found = sweep("doctor", code=1).stdout
    assert "2 trials are marked as running, but no process trains them" in found
    assert "2 were left running by a process that ended" in " ".join(sweep("show", "k").stdout.split())
    assert "1 checkpoint file is torn" in found
    assert "77: checkpoints of a study that is gone" in found
    sweep("doctor", "--mend")
    assert sweep("doctor").stdout == "nothing is wrong\n"
    sweep("resume", "k")
    sweep("grid", *flags[:-1], "whole")
    assert numbers(sweep, "k") == numbers(sweep, "whole")


@pytest.mark.long
def test_trials_marked_as_running_are_told_from_a_killed_study_or_a_living_one(sweep, tmp_path):
    study = made(tmp_path / "results", "k", {"lr": "0.1,0.01,0.001", "epochs": "2"}, lambda _: 0.5)
    with Ledger(tmp_path / "results") as ledger:
        ledger.begin(study, [1, 2])
        with ledger.lock("k"):
            for command in ("show", "check"):
                shown = " ".join(sweep(command, "k").stdout.split())
                assert f"2 are being trained now by process {os.getpid()} on" in shown
                assert "sweep resume" not in shown
    left = "2 were left running by a process that ended in the middle (killed, or its machine stopped)"
    for command in (("show", "k"), ("show", "k", "--trials"), ("check", "k")):
        shown = " ".join(sweep(*command).stdout.split())
        assert left in shown
        assert "sweep resume k" in shown
    sweep("report", "k", "-o", "k.html")
    assert f"In no mean: 2 running of 3 trials. {left}." in (tmp_path / "k.html").read_text(encoding="utf-8")
    (tmp_path / "results" / ".locks" / "k.lock").unlink()  # nobody has it
    assert "2 were left running" in " ".join(sweep("show", "k").stdout.split())


def test_who_asks_for_a_studys_owner_keeps_nobody_from_it(tmp_path):
    made(tmp_path, "k", {"lr": "0.1", "epochs": "1"}, lambda _: 0.5)
    done = threading.Event()

    def ask():
        with Ledger(tmp_path) as other:
            while not done.is_set():
                other.owner("k")
                time.sleep(0.001)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        with Ledger(tmp_path) as ledger:
            for _ in range(300):
                with ledger.lock("k"):
                    assert ledger.owner("k").startswith(f"process {os.getpid()} on")
                assert ledger.owner("k") == ""
    finally:
        done.set()
        asking.join()


def test_a_finished_trial_without_its_epochs_is_trained_again(sweep, studied):
    path, expected = studied
    with contextlib.closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("DELETE FROM epochs WHERE trial = 4 AND epoch > 3")
    assert "1 finished trial without some epochs" in sweep("doctor", code=1).stdout
    sweep("doctor", "--mend")
    sweep("resume", "s")
    assert numbers(sweep, "s") == expected


@pytest.mark.long
def test_a_finished_trial_without_its_readings_is_trained_again(sweep, tmp_path):
    grid = ("grid", "--lr", "0.1,0.01", "--hidden", 4, "--epochs", 2, "--study", "s")
    sweep(*grid, "--max-trials", 1)
    sweep(*grid, "--look", "layers,gap")  # the first trial was trained unwatched: nothing of it is lost
    sweep("grid", "--function", "square", "--steps", 5, "--study", "f")
    database = tmp_path / "results" / "sweep.db"
    whole = query(database, "SELECT * FROM readings")
    assert sweep("doctor").returncode == 0
    for some, lost in (("study = 1 AND epoch = 2 AND quantity = 'grad_norm'", 3), ("1", len(whole) - 1)):
        with contextlib.closing(sqlite3.connect(database)) as raw, raw:
            raw.execute(f"DELETE FROM readings WHERE {some}")
        said = sweep("doctor", code=1).stdout
        assert f"study 's': 1 finished trial without {lost} readings" in said
        assert ("study 'f': 1 finished trial without 1 reading (" in said) == (lost > 3)
        sweep("doctor", "--mend")
        for study in ("s", "f"):
            sweep("resume", study)
        assert sweep("doctor").returncode == 0
        assert set(whole) <= set(query(database, "SELECT * FROM readings"))


@pytest.mark.long
def test_a_file_that_may_not_grow_is_one_line_and_resumes(sweep, tmp_path):
    """As on a full disk: writes fail past a size. What was recorded stays, and a run with room goes on."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    process = start(tmp_path, "grid", *GRID, preexec_fn=limited)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("sweep: ")
    before = len(query(tmp_path / "results" / "sweep.db", "SELECT 1 FROM trials WHERE state = 'complete'"))
    result = sweep("grid", *GRID)
    assert f"{before} done" in result.stderr or before == 0
    sweep("grid", *GRID[:-1], "whole")
    assert numbers(sweep, "s") == numbers(sweep, "whole")


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs to mount a small disk")
def test_a_full_disk_is_one_line_and_resumes(sweep, tmp_path):
    """A real one of 8 MiB."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (small / "ballast").write_bytes(b"x" * 8_100_000)
        flags = ["--lr", "0.1,0.01,0.001", "--epochs", 60, "--seeds", 6, "--study", "s"]
        result = sweep("grid", *flags, "--results", small, code=1)
        assert "MiB free on that disk" in result.stderr
        assert result.stderr.strip().splitlines()[-1].startswith("sweep: ")
        (small / "ballast").unlink()
        sweep("resume", "s", "--results", small)
        env = {"SWEEP_RESULTS": str(small)}
        found = sweep("export", "s", "-o", "-", env=env).stdout
        sweep("grid", *flags[:-1], "whole")
        expected = sweep("export", "whole", "-o", "-").stdout
        assert len(found.splitlines()) == 19
        strip = [line.split(",")[:10] for line in found.splitlines()]
        assert strip == [line.split(",")[:10] for line in expected.splitlines()]
    finally:
        subprocess.run(["umount", "-l", small], check=True)
