"""The ledger: each trial once, its states, plain SQLite to anyone, one writer, and files that are not ours."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sweep.errors import SweepError, UsageError
from sweep.ledger import APPLICATION_ID, FILE, STATES, VERSION, Ledger, Study
from sweep.recipe import load_recipe
from sweep.space import Reading, Trial
from tests.made import record

RECIPE = load_recipe(None, {"lr": "0.1,0.01,0.001", "beta1": "0.8,0.9", "epochs": "3"})


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger(tmp_path, create=True) as opened:
        yield opened


@pytest.fixture
def study(ledger: Ledger) -> Study:
    """Six trials of one seed, all of them waiting."""
    made = ledger.create("mine", RECIPE, 6)
    ledger.add(made, RECIPE.grid.trials())
    return made


@pytest.fixture
def plain(tmp_path: Path):
    """The file through plain sqlite3, as anyone would open it."""
    connection = sqlite3.connect(tmp_path / FILE)
    yield connection
    connection.close()


def row(ledger: Ledger, study: Study, number: int) -> dict:
    return ledger.trial(study, number)[0]


# Exactly once


def test_a_setting_and_seed_have_one_row_ever(ledger, study, plain):
    ledger.add(study, RECIPE.grid.trials())
    again = [Trial(trial.number + 100, trial.setting, trial.seed) for trial in RECIPE.grid.trials()]
    ledger.add(study, again)  # other numbers, the same settings and seeds
    assert plain.execute("SELECT count(*), count(DISTINCT setting || seed), max(number) FROM trials").fetchone() == (
        6,
        6,
        5,
    )
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        plain.execute(
            "INSERT INTO trials (study, number, setting, seed, state) SELECT study, 77, setting, seed, 'waiting' "
            "FROM trials LIMIT 1"
        )


def test_adding_again_keeps_what_was_trained(ledger, study):
    ledger.record(study, [record(2, 1), record(2, 2, state="complete", test_loss=0.4, test_accuracy=0.8)])
    before = row(ledger, study, 2)
    ledger.add(study, RECIPE.grid.trials())
    assert row(ledger, study, 2) == before
    assert before["state"] == "complete"


def test_other_seeds_and_other_studies_are_other_trials(ledger, study):
    ledger.add(study, [Trial(6, next(RECIPE.grid.settings()), 1)])
    other = ledger.create("other", RECIPE, 6)
    ledger.add(other, RECIPE.grid.trials())
    assert ledger.rows(study) == len(ledger.known(study)) == 7
    assert ledger.rows(other) == 6


@pytest.mark.usefixtures("study")
def test_a_name_is_given_once(ledger):
    with pytest.raises(SweepError, match="UNIQUE"):
        ledger.create("mine", RECIPE, 6)
    assert [found.name for found in ledger.studies()] == ["mine"]


def test_recording_an_epoch_again_replaces_it(ledger, study):
    ledger.record(study, [record(0, 1, val_loss=9.0)])
    ledger.begin(study, [0])
    ledger.record(study, [record(0, 1, val_loss=0.3)])
    assert ledger.epochs(study, 0)["val_loss"].tolist() == [0.3]


def test_readings_live_with_their_epoch(ledger, study):
    first = Reading(0, "hidden 1", "grad_norm", 0.1), Reading(0, "hidden 2", "grad_norm", math.inf)
    ledger.record(study, [record(0, 1, readings=first), record(1, 1, readings=first[:1])])
    ledger.record(study, [record(0, 1, readings=first)])
    found = ledger.readings(study, 0)
    assert found["place"].tolist() == ["hidden 1", "hidden 2"]
    assert found["value"].tolist()[0] == 0.1
    assert math.isnan(found["value"][1])
    assert len(ledger.readings(study)) == 3
    ledger.begin(study, [0])
    assert ledger.readings(study)["trial"].tolist() == [1]
    ledger.remove(study)
    assert ledger.readings(study).empty


# States


def test_the_life_of_a_trial(ledger, study):
    assert row(ledger, study, 1)["state"] == "waiting"
    ledger.begin(study, [1])
    assert row(ledger, study, 1)["state"] == "running"
    ledger.record(study, [record(1, 1, val_loss=0.9, val_accuracy=0.5)])
    ledger.record(study, [record(1, 2, val_loss=0.4, val_accuracy=0.8)])
    assert row(ledger, study, 1)["state"] == "running"
    ledger.record(
        study, [record(1, 3, val_loss=0.5, val_accuracy=0.6, state="complete", test_loss=0.55, test_accuracy=0.61)]
    )
    done = row(ledger, study, 1)
    expected = {
        "state": "complete",
        "epochs": 3,
        "reason": None,
        "val_loss": 0.5,
        "val_accuracy": 0.6,
        "best_val_loss": 0.4,
        "best_val_accuracy": 0.8,
    }
    assert {name: done[name] for name in expected} == expected
    assert (done["test_loss"], done["test_accuracy"], done["seconds"]) == (0.55, 0.61, 0.75)
    assert ledger.epochs(study, 1)["epoch"].tolist() == [1, 2, 3]


def test_an_interrupted_trial_starts_from_nothing(ledger, study):
    """What it left would otherwise mix with the numbers of its second training."""
    ledger.record(study, [record(0, 1, val_loss=0.01), record(0, 2), record(1, 1)])
    ledger.mark(study, [0], "waiting", "interrupted")
    assert (row(ledger, study, 0)["state"], row(ledger, study, 0)["epochs"], ledger.begun(study)) == ("waiting", 2, 1)
    ledger.begin(study, [0])
    left = row(ledger, study, 0)
    assert left["state"] == "running"
    assert left["epochs"] == 0
    assert all(
        left[name] is None for name in left if name.endswith(("loss", "accuracy", "seconds", "reason", "traceback"))
    )
    assert len(ledger.epochs(study, 0)) == 0
    assert len(ledger.epochs(study, 1)) == 1
    ledger.record(study, [record(0, 1, val_loss=0.9, state="complete")])
    assert row(ledger, study, 0)["best_val_loss"] == 0.9
    assert row(ledger, study, 0)["seconds"] == 0.25


def test_a_failed_trial_keeps_its_reason_until_it_is_retried(ledger, study):
    ledger.mark(study, [3], "failed", "out of memory", "Traceback ...")
    assert {name: row(ledger, study, 3)[name] for name in ("state", "reason", "traceback")} == {
        "state": "failed", "reason": "out of memory", "traceback": "Traceback ...",
    }  # fmt: skip
    ledger.mark(study, [3], "waiting")
    assert row(ledger, study, 3)["reason"] is None
    assert row(ledger, study, 3)["traceback"] is None


def test_a_diverged_trial_says_in_which_epoch(ledger, study):
    ledger.record(
        study,
        [record(4, 1), record(4, 2, train_loss=math.nan, val_loss=math.inf, val_accuracy=math.nan, state="diverged")],
    )
    found = row(ledger, study, 4)
    assert found["state"] == "diverged"
    assert "epoch 2" in found["reason"]
    assert found["val_loss"] is None
    assert found["best_val_loss"] == 0.6


@pytest.mark.parametrize("state", ["done", "", "Complete"])
def test_there_are_no_other_states(ledger, study, plain, state):
    with pytest.raises(SweepError):
        ledger.mark(study, [0], state)
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        plain.execute("UPDATE trials SET state = ?", (state,))
    assert row(ledger, study, 0)["state"] == "waiting"


def test_counts_include_trials_that_are_not_made_yet(ledger):
    study = ledger.create("large", RECIPE, 1_000_000)
    ledger.add(study, RECIPE.grid.trials())
    ledger.begin(study, [0])
    ledger.record(study, [record(1, 1, state="complete"), record(2, 1, state="diverged")])
    ledger.mark(study, [3], "failed", "error")
    assert ledger.counts(study) == {
        "waiting": 999_996,
        "running": 1,
        "complete": 1,
        "pruned": 0,
        "diverged": 1,
        "failed": 1,
    }
    overview = ledger.overview(study)
    assert (overview["left"], overview["complete"], overview["failed"], overview["best"]) == (999_997, 1, 1, 0.6)


def test_a_study_is_finished_when_nothing_is_left(ledger, study):
    ledger.record(study, [record(number, 1, state="complete") for number in range(5)])
    ledger.close_run(study, 2.0)
    assert ledger.study("mine").finished is None
    ledger.mark(study, [5], "failed", "error")
    ledger.close_run(study, 1.0)
    assert ledger.study("mine").finished is None
    ledger.record(study, [record(5, 1, state="diverged")])
    ledger.close_run(study, 0.5)
    first = ledger.study("mine")
    assert first.finished is not None
    assert first.seconds == 3.5


def test_a_batch_of_records_is_all_or_nothing(ledger, study):
    with pytest.raises(SweepError):
        ledger.record(study, [record(0, 1), record(99, 1)])  # there is no trial 99
    assert len(ledger.epochs(study)) == 0
    assert row(ledger, study, 0)["epochs"] == 0


def test_removing_a_study_removes_its_rows_alone(ledger, study, plain):
    other = ledger.create("other", RECIPE, 6)
    ledger.add(other, RECIPE.grid.trials())
    ledger.record(study, [record(0, 1)])
    ledger.record(other, [record(0, 1)])
    ledger.remove(study)
    assert [found.name for found in ledger.studies()] == ["other"]
    for table in ("trials", "epochs"):
        assert plain.execute(f"SELECT DISTINCT study FROM {table}").fetchall() == [(other.id,)]


def test_reading_a_study_back(ledger, study):
    found = ledger.study("mine")
    assert found.recipe == RECIPE
    assert found.trials == 6
    assert {"sweep", "python", "torch", "numpy"} <= set(found.versions)
    assert {"host", "system", "processor", "cores"} <= set(found.machine)
    assert pd.Timestamp(found.created).tzinfo is not None
    assert [ledger.trial(study, trial.number)[1] for trial in RECIPE.grid.trials()] == list(RECIPE.grid.settings())
    with pytest.raises(UsageError, match="did you mean 'mine'"):
        ledger.study("mien")
    with pytest.raises(UsageError, match="trial 6 does not exist; expected 0 to 5"):
        ledger.trial(study, 6)


@pytest.mark.parametrize("number", [-1, 2**63, 10**30])
def test_a_trial_number_out_of_any_range(ledger, study, number):
    with pytest.raises(UsageError, match=f"trial {number} does not exist; expected 0 to 5"):
        ledger.trial(study, number)


# The file, to others


@pytest.mark.usefixtures("study")
def test_the_file_says_whose_it_is(plain):
    assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert plain.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert plain.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert APPLICATION_ID.to_bytes(4, "big") == b"SWEP"
    assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.usefixtures("study")
def test_the_documented_columns(plain):
    columns = {
        table: [name for _, name, *_ in plain.execute(f"PRAGMA table_info({table})")]
        for table in ("studies", "trials", "epochs", "readings")
    }
    assert columns["studies"] == [
        "id",
        "name",
        "recipe",
        "trials",
        "created",
        "data",
        "classes",
        "finished",
        "seconds",
        "versions",
        "machine",
    ]
    assert {"number", "setting", "seed", "state", "reason", "epochs", "seconds"} <= set(columns["trials"])
    curve = ["train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert {*curve, "best_val_loss", "best_val_accuracy", "test_loss", "test_accuracy"} <= set(columns["trials"])
    assert columns["epochs"] == ["study", "trial", "epoch", *curve, "grad_norm", "seconds", "readings"]
    assert columns["readings"] == ["study", "trial", "epoch", "step", "place", "quantity", "value"]
    assert set(STATES) == {"waiting", "running", "complete", "pruned", "diverged", "failed"}


def test_plain_sqlite3_and_pandas_read_it(ledger, study, plain):
    ledger.record(study, [record(0, 1), record(0, 2, val_loss=0.1, state="complete", test_loss=0.2, test_accuracy=0.9)])
    frame = pd.read_sql(
        "SELECT t.number, t.state, t.val_loss, t.setting ->> 'lr' AS lr FROM trials t JOIN studies s ON s.id = "
        "t.study WHERE s.name = 'mine'",
        plain,
    )
    assert frame["number"].tolist() == list(range(6))
    assert frame["lr"].tolist() == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert frame["val_loss"].tolist()[0] == 0.1
    assert frame["val_loss"].isna().sum() == 5
    curve = pd.read_sql("SELECT * FROM epochs ORDER BY trial, epoch", plain)
    assert curve["val_loss"].tolist() == [0.6, 0.1]
    assert curve["seconds"].dtype == "float64"
    assert json.loads(plain.execute("SELECT recipe FROM studies").fetchone()[0])["space"]["lr"] == [0.1, 0.01, 0.001]


def test_not_finite_is_null(ledger, study, plain):
    losses = {"train_loss": math.nan, "val_loss": math.inf, "grad_norm": math.nan, "test_loss": math.nan}
    accuracies = {"train_accuracy": math.nan, "val_accuracy": -math.inf, "test_accuracy": math.nan}
    ledger.record(study, [record(0, state="diverged", seconds=0.1, **losses, **accuracies)])
    assert plain.execute(
        "SELECT train_loss, train_accuracy, val_loss, val_accuracy, grad_norm, seconds FROM epochs"
    ).fetchall() == [(None,) * 5 + (0.1,)]
    query = (
        "SELECT state, train_loss, val_loss, val_accuracy, best_val_loss, best_val_accuracy, test_loss, "
        "test_accuracy FROM trials WHERE number = 0"
    )
    assert plain.execute(query).fetchone() == ("diverged",) + (None,) * 7


def test_the_best_skips_what_is_not_finite(ledger, study):
    for epoch, loss in enumerate((math.nan, 0.7, math.inf, 0.8), 1):
        ledger.record(study, [record(0, epoch, val_loss=loss, val_accuracy=1 - loss)])
    assert row(ledger, study, 0)["best_val_loss"] == 0.7
    assert row(ledger, study, 0)["best_val_accuracy"] == pytest.approx(0.3)


def test_numbers_come_back_to_the_last_bit(ledger, study):
    names = ["train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    values = [1 / 3, 0.1 + 0.2, 5e-324, 1.7976931348623157e308]
    ledger.record(study, [record(0, **dict(zip(names, values, strict=True)))])
    assert ledger.epochs(study, 0).iloc[0][names].tolist() == values


def test_the_table_of_trials(ledger, study):
    ledger.record(study, [record(0, 1, val_loss=math.nan, state="diverged"), record(1, 1, state="complete")])
    frame = ledger.trials(study)
    assert frame["number"].tolist() == list(range(6))
    assert frame["lr"].tolist() == [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert frame["beta1"].tolist() == [0.8, 0.9] * 3
    assert frame["max_epochs"].tolist() == [3] * 6
    assert frame["epochs"].tolist() == [1, 1, 0, 0, 0, 0]
    assert frame["val_loss"].dtype == "float64"
    assert frame["val_loss"].isna().tolist() == [True, False, True, True, True, True]


def test_a_study_without_rows_can_be_read(ledger):
    study = ledger.create("empty", RECIPE, 6)
    assert len(ledger.trials(study)) == 0
    assert len(ledger.epochs(study)) == 0
    assert ledger.known(study) == {}
    assert ledger.counts(study)["waiting"] == 6
    assert ledger.overview(study)["best"] is None
    with pytest.raises(UsageError, match="trial 0 has not begun"):
        ledger.trial(study, 0)


# Files that are not ours


def refused(folder: Path, create: bool, kind: type[SweepError] = UsageError) -> str:
    with pytest.raises(kind) as caught:
        Ledger(folder, create=create)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("create", [False, True])
def test_a_newer_schema_is_refused(tmp_path, create):
    Ledger(tmp_path, create=True).close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    message = refused(tmp_path, create, SweepError)
    assert f"schema {VERSION + 1}" in message
    assert "upgrade" in message


@pytest.mark.parametrize("create", [False, True])
def test_a_foreign_database_is_refused_and_left_alone(tmp_path, create):
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE trials (name TEXT)")
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    assert "not a results file of sweep" in refused(tmp_path, create)
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("create", [False, True])
def test_another_applications_empty_database_is_refused(tmp_path, create):
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA application_id = 252006674")  # Fossil's
    connection.close()
    assert "not a results file of sweep" in refused(tmp_path, create)


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("raw", [b"rank,trial\n1,2\n" * 200, b"hello", b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path, create, raw):
    (tmp_path / FILE).write_bytes(raw)
    assert "not a results file of sweep" in refused(tmp_path, create)
    assert (tmp_path / FILE).read_bytes() == raw


def test_a_folder_in_the_files_place_is_refused(tmp_path):
    (tmp_path / FILE).mkdir()
    for create in (False, True):
        refused(tmp_path, create)


def test_a_results_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "results").write_text("notes")
    for folder in (tmp_path / "results", tmp_path / "results" / "deeper"):
        refused(folder, create=True)
        refused(folder, create=False)
    assert (tmp_path / "results").read_text() == "notes"


def test_reading_makes_nothing(tmp_path):
    assert "no results there yet" in refused(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()
    (tmp_path / FILE).write_bytes(b"")
    assert "no results yet" in refused(tmp_path, create=False)
    assert (tmp_path / FILE).read_bytes() == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_read_but_not_written(tmp_path):
    with Ledger(tmp_path, create=True) as ledger:
        ledger.create("mine", RECIPE, 6)
    tmp_path.chmod(0o555)
    try:
        assert "read-only" in refused(tmp_path, create=True)
        with Ledger(tmp_path) as ledger:
            assert [study.name for study in ledger.studies()] == ["mine"]
    finally:
        tmp_path.chmod(0o755)


def test_a_damaged_file_gets_one_line(tmp_path):
    """Ours by its first page, rubbish after it."""
    with Ledger(tmp_path, create=True) as ledger:
        study = ledger.create("mine", RECIPE, 6)
        ledger.add(study, RECIPE.grid.trials())
    raw = bytearray((tmp_path / FILE).read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    (tmp_path / FILE).write_bytes(raw)
    with pytest.raises(SweepError) as caught, Ledger(tmp_path) as ledger:
        ledger.studies()
    assert FILE in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["with space", "ques?tion", "per%20cent", "ha#sh", "ünï"])
def test_any_folder_name_serves(tmp_path, folder):
    with Ledger(tmp_path / folder, create=True) as ledger:
        ledger.create("mine", RECIPE, 6)
    assert (tmp_path / folder / FILE).exists()
    with Ledger(tmp_path / folder) as ledger:
        assert ledger.study("mine").trials == 6


# One writer, many readers

HOLDER = """
import sys
from pathlib import Path
from sweep.ledger import Ledger
with Ledger(Path(sys.argv[1]), create=True) as ledger, ledger.lock("mine"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the lock of study `mine` until its input closes."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_gets_a_clear_error(ledger, holder):
    with pytest.raises(SweepError) as caught, ledger.lock("mine"):
        pass
    message = str(caught.value)
    assert "'mine'" in message
    assert f"process {holder.pid}" in message
    assert "\n" not in message
    with ledger.lock("other"):  # another study of the same folder is free
        pass


def test_the_lock_is_freed_by_its_end(ledger, holder):
    holder.communicate()
    with ledger.lock("mine"), pytest.raises(SweepError, match=f"process {os.getpid()}"), ledger.lock("mine"):
        pass


def test_the_lock_dies_with_its_process(ledger, holder):
    holder.send_signal(signal.SIGKILL)
    assert holder.wait() == -signal.SIGKILL
    with ledger.lock("mine"):
        pass


def test_an_error_frees_the_lock(ledger):
    with pytest.raises(ZeroDivisionError), ledger.lock("mine"):
        raise ZeroDivisionError
    with ledger.lock("mine"):
        pass


def test_readers_see_the_last_commit_while_a_writer_writes(ledger, study, tmp_path, plain):
    """An open transaction of the writer neither blocks nor shows."""
    ledger.record(study, [record(0, 1, val_loss=0.5)])
    plain.isolation_level = None
    plain.execute("BEGIN IMMEDIATE")
    plain.execute("UPDATE trials SET val_loss = 0.125, epochs = 7 WHERE number = 0")
    with Ledger(tmp_path) as reader:
        found = reader.study("mine")
        assert row(reader, found, 0)["val_loss"] == 0.5
        assert len(reader.trials(found)) == 6
        plain.execute("COMMIT")
        assert row(reader, found, 0)["val_loss"] == 0.125


def test_a_reader_does_not_stop_the_writer(ledger, study, plain):
    plain.isolation_level = None
    plain.execute("BEGIN")
    assert plain.execute("SELECT count(*) FROM epochs").fetchone() == (0,)
    ledger.record(study, [record(0, 1)])
    assert plain.execute("SELECT count(*) FROM epochs").fetchone() == (0,)
    plain.execute("COMMIT")
    assert plain.execute("SELECT count(*) FROM epochs").fetchone() == (1,)


def test_what_was_committed_survives_a_kill(tmp_path):
    """The process dies with a transaction open; the ledger holds what came before it."""
    code = """
import os, signal, sys
from pathlib import Path
from tests.made import record
from tests.test_ledger import RECIPE
from sweep.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), create=True)
study = ledger.create("mine", RECIPE, 6)
ledger.add(study, RECIPE.grid.trials())
ledger.record(study, [record(0, 1), record(1, 1, state="complete")])
ledger._connection.execute("BEGIN IMMEDIATE")
ledger._connection.execute("DELETE FROM trials")
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Ledger(tmp_path) as ledger:
        study = ledger.study("mine")
        assert dict(ledger.known(study).values()) == {
            0: "running",
            1: "complete",
            **dict.fromkeys(range(2, 6), "waiting"),
        }
        assert len(ledger.epochs(study)) == 2


def test_opening_at_once_makes_one_ledger(tmp_path):
    """Six processes make the same results folder at the same moment."""
    code = """
import sys
from pathlib import Path
from sweep.ledger import Ledger
from sweep.recipe import Recipe
print("ready", flush=True)
sys.stdin.readline()
with Ledger(Path(sys.argv[1]), create=True) as ledger:
    ledger.create(sys.argv[2], Recipe(), 1)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "results")]
    processes = [
        subprocess.Popen(
            [*command, f"s{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for n in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in processes]
    assert errors == [""] * 6
    with Ledger(tmp_path / "results") as ledger:
        assert sorted(study.name for study in ledger.studies()) == [f"s{n}" for n in range(6)]
