"""Sittings: which machine and versions trained each trial, and what is said where they are of two kinds."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sweep.data import Classes
from sweep.ledger import FILE, VERSION, Ledger, merge, place_notes
from sweep.machine import alike, facts, kind_text
from sweep.recipe import load_recipe
from sweep.report import reproduction_report
from sweep.study import Reproduction
from sweep.study.loop import mixing_note
from tests.made import made, record

AVX2 = {"torch": "2.14.1", "device": "AMD EPYC", "instructions": "AVX2", "host": "one"}
AVX512 = AVX2 | {"instructions": "AVX512", "host": "two"}
OLD = """
CREATE TABLE studies (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, recipe TEXT NOT NULL, trials INTEGER NOT NULL,
    created TEXT NOT NULL, data TEXT, finished TEXT, seconds REAL NOT NULL DEFAULT 0, versions TEXT NOT NULL,
 machine TEXT NOT NULL);
CREATE TABLE trials (study INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE, number INTEGER NOT NULL,
    setting TEXT NOT NULL, seed INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, traceback TEXT,
    epochs INTEGER NOT NULL DEFAULT 0, train_loss REAL, train_accuracy REAL, val_loss REAL, val_accuracy REAL,
    best_val_loss REAL, best_val_accuracy REAL, test_loss REAL, test_accuracy REAL, seconds REAL,
    PRIMARY KEY (study, number), UNIQUE (study, setting, seed)) WITHOUT ROWID;
CREATE TABLE epochs (study INTEGER NOT NULL, trial INTEGER NOT NULL, epoch INTEGER NOT NULL, train_loss REAL,
    train_accuracy REAL, val_loss REAL, val_accuracy REAL, grad_norm REAL, seconds REAL,
 PRIMARY KEY (study, trial, epoch),
    FOREIGN KEY (study, trial) REFERENCES trials(study, number) ON DELETE CASCADE) WITHOUT ROWID;
PRAGMA user_version = 1;
PRAGMA application_id = 1398228304;
"""
"""Schema version 1, as it was written."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with a ledger of version 1: a study with one trial trained and one that waits, and an imported one."""
    recipe = load_recipe(None, {"lr": "0.1,0.01", "epochs": "1"})
    first, second = (json.dumps(trial.setting) for trial in recipe.grid.trials())
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        file.executescript(OLD)
        versions = json.dumps({"sweep": "1", "python": "3.12.1", "torch": "2.9.1", "numpy": "2.0"})
        machine = json.dumps({"host": "h", "system": "Linux", "processor": "x86_64", "cores": 8})
        row = "INSERT INTO studies VALUES (?, ?, ?, 2, '2026-01-02T03:04:05+00:00', NULL, NULL, 0, ?, ?)"
        file.execute(row, (1, "old", json.dumps(recipe.to_dict()), versions, machine))
        file.execute(row, (2, "table", json.dumps(recipe.to_dict()), "{}", "{}"))
        trial = (
            "INSERT INTO trials (study, number, setting, seed, state, epochs, val_loss) VALUES (1, ?, ?, 0, ?, ?, ?)"
        )
        file.execute(trial, (0, first, "complete", 1, 0.5))
        file.execute(trial, (1, second, "waiting", 0, None))
        file.execute("INSERT INTO epochs VALUES (1, 0, 1, 0.4, 0.9, 0.5, 0.8, 1.0, 0.1)")
        file.commit()
    return tmp_path


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / FILE)) as file:
        return file.execute("PRAGMA user_version").fetchone()[0]


def test_each_trial_keeps_the_sitting_that_trained_it_last(tmp_path):
    study = made(tmp_path, "s", {"lr": "0.1,0.01,0.001", "epochs": "1"}, lambda _: 0.5)
    with Ledger(tmp_path) as ledger:
        assert ledger.sittings(study) == []
        assert ledger.sit(study, AVX2) == 1
        ledger.begin(study, [0, 1], 1)
        assert ledger.sit(study, AVX512) == 2
        ledger.begin(study, [1, 2], 2)
        ledger.record(study, [record(1, 1, state="complete")])
        assert [(one.number, one.trials, one.facts) for one in ledger.sittings(study)] == [(1, 1, AVX2), (2, 2, AVX512)]
        assert [ledger.trial(study, number)[0]["sitting"] for number in range(3)] == [1, 2, 2]
        assert [[one.number for one in kind] for kind in ledger.kinds(study)] == [[1], [2]]
        kinds = (
            "1 on torch 2.14.1, AMD EPYC, vector instructions AVX2; 2 on torch 2.14.1, AMD EPYC, vector instructions "
            "AVX512"
        )
        told = f"s: the trials come from 2 kinds of machines ({kinds}): their last digits may differ."
        assert ledger.mixed(study) == told
        assert place_notes(tmp_path) == [told]
        ledger.sit(study, AVX2)  # trains nothing
        ledger.begin(study, [2], 3)
        assert [[one.number for one in kind] for kind in ledger.kinds(study)] == [[1, 3], [2]]
        ledger.remove(study)
        assert ledger._read("SELECT count(*) FROM sittings") == [(0,)]


def test_json_names_the_kinds_of_machines_and_an_export_says_that_they_are_mixed(sweep, tmp_path):
    study = made(tmp_path / "results", "s", {"lr": "0.1,0.01,0.001", "epochs": "1"}, lambda _: 0.5)
    with Ledger(tmp_path / "results") as ledger:
        ledger.begin(study, [0, 1, 2], ledger.sit(study, AVX2))
        ledger.record(study, [record(number, 1, state="complete") for number in range(3)])
    kind = "torch 2.14.1, AMD EPYC, vector instructions"
    one = {"kind": f"{kind} AVX2", "torch": "2.14.1", "trials": 3}
    assert json.loads(sweep("show", "s", "--json").stdout)["machines"] == [one]
    assert sweep("export", "s", "-o", "-").stderr == ""
    with Ledger(tmp_path / "results") as ledger:
        ledger.begin(study, [2], ledger.sit(study, AVX512))
        ledger.record(study, [record(2, 1, state="complete")])
    two = [one | {"trials": 2}, {"kind": f"{kind} AVX512", "torch": "2.14.1", "trials": 1}]
    for more in ([], ["--trials"]):
        assert json.loads(sweep("show", "s", *more, "--json").stdout)["machines"] == two
    assert "the trials come from 2 kinds of machines" in sweep("export", "s", "-o", "-").stderr


def test_mixing_is_said_and_only_mixing(tmp_path):
    study = made(tmp_path, "s", {"lr": "0.1,0.01", "epochs": "1"}, lambda _: 0.5)
    with Ledger(tmp_path) as ledger:
        assert ledger.mixed(study) == mixing_note(ledger, study, AVX2) == ""
        ledger.begin(study, [0], ledger.sit(study, AVX2))
        assert mixing_note(ledger, study, AVX2 | {"host": "another of the kind"}) == ""
        assert mixing_note(ledger, study, AVX512) == (
            "s: 1 trial was trained with torch 2.14.1, AMD EPYC, vector instructions AVX2; here it is torch 2.14.1, "
            "AMD EPYC, vector instructions AVX512: last digits, and what grows out of them, may differ"
        )
        ledger.begin(study, [0], ledger.sit(study, AVX512))  # trained again: nothing of the other kind is left
        assert mixing_note(ledger, study, AVX512) == ""


@pytest.mark.parametrize("name", ["torch", "device", "instructions"])
def test_what_makes_machines_differ(name):
    assert not alike(AVX2, AVX2 | {name: "another"})
    assert alike(AVX2, {key: value for key, value in AVX2.items() if key != name})  # not known is not another
    assert alike(AVX2, AVX2 | {"host": "another"})


def test_the_facts_of_this_machine():
    found = facts({"instructions": "AVX2", "threads": 1}, "cpu")
    assert {
        "sweep",
        "python",
        "torch",
        "numpy",
        "host",
        "system",
        "processor",
        "cores",
        "instructions",
        "threads",
    } <= set(found)
    assert found["device"] == found["processor"] != ""
    assert kind_text(found) == f"torch {found['torch']}, {found['processor']}, vector instructions AVX2"


def test_an_older_ledger_is_read_as_it_is(old):
    with Ledger(old) as ledger:
        study = ledger.study("old")
        (sitting,) = ledger.sittings(study)
        assert (sitting.number, sitting.trials, sitting.kind) == (1, 1, "torch 2.9.1")
        assert [ledger.trial(study, number)[0]["sitting"] for number in (0, 1)] == [1, None]
        assert ledger.sittings(ledger.study("table")) == []
        assert ledger.trials(study)["val_loss"].tolist()[0] == 0.5
    assert version(old) == 1


def test_an_older_ledger_is_brought_forward_when_it_is_written(old):
    with Ledger(old) as ledger:
        study = ledger.study("old")
        before = ledger.sittings(study), ledger.trial(study, 0), ledger.epochs(study).to_dict()
        assert ledger.sit(study, AVX512) == 2
        assert (ledger.sittings(study)[:1], ledger.trial(study, 0), ledger.epochs(study).to_dict()) == (
            before[0], *before[1:],
        )  # fmt: skip
        ledger.begin(study, [1], 2)
        assert mixing_note(ledger, study, AVX512).startswith("old: 1 trial was trained with torch 2.9.1; here")
        assert ledger.sittings(ledger.study("table")) == []
    assert version(old) == VERSION
    with Ledger(old) as again:
        assert [one.trials for one in again.sittings(again.study("old"))] == [1, 1]


def test_a_ledger_of_version_2_gains_the_classes_when_its_data_are_loaded_again(tmp_path):
    study = made(tmp_path, "s", {"lr": "0.1,0.01", "epochs": "1"}, lambda _: 0.5)
    counts = Classes((3, 1), (1, 1), (2, 2), (0, 2))
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        file.execute("ALTER TABLE studies DROP COLUMN classes")
        file.execute("DROP TABLE readings")
        file.execute("ALTER TABLE epochs DROP COLUMN readings")
        file.execute("DROP TABLE outputs")
        file.execute("PRAGMA user_version = 2")
    with Ledger(tmp_path) as ledger:
        assert ledger.study("s").classes is None
        assert ledger.readings(study).empty
        ledger.use_data(study, "fingerprint", counts)
        assert ledger.study("s").classes == counts
        ledger.use_data(study, "fingerprint")
        assert ledger.study("s").classes == counts
    assert version(tmp_path) == VERSION
    with closing(sqlite3.connect(tmp_path / FILE)) as file:
        for damage in ('{"train": [1]}', "[", '{"train": [0], "val": [0], "test": [0], "first": [0]}'):
            with file:
                file.execute("UPDATE studies SET classes = ?", (damage,))
            with Ledger(tmp_path) as ledger:  # a count that cannot be read hides no result
                assert ledger.study("s").classes is None


def test_two_processes_bring_it_forward_once(old):
    with Ledger(old) as one, Ledger(old) as two:
        assert one.sit(one.study("old"), AVX2) == 2
        assert two.sit(two.study("old"), AVX512) == 3


def reproduced(difference: tuple | None, then: dict, now: dict) -> str:
    from rich.console import Console

    console = Console(width=200, no_color=True)
    with console.capture() as shown:
        console.print(reproduction_report(Reproduction(0, 3, difference, then, now)))
    return shown.get()


def test_reproduce_tells_the_kind_of_machine_before_it_says_different():
    changed = (1, "val_loss", 0.5, 0.25)
    other = reproduced(changed, AVX2, AVX512)
    assert other.startswith("This machine is of another kind (torch 2.14.1, AMD EPYC, vector instructions AVX512)")
    assert other.index("another kind") < other.index("different: trial 0, first in epoch 1: val_loss was 0.5, is 0.25")
    assert "torch " not in other.split("what differs")[1]  # the table has what differs alone
    same = reproduced(changed, AVX2, AVX2)
    assert same.startswith("This machine is of the kind that trained it")
    assert "what differs" not in same
    unknown = reproduced(changed, {"torch": "2.14.1"}, AVX2)
    assert unknown.startswith("Of the machine that trained it, the ledger does not know: device, instructions.")
    assert reproduced(None, AVX2, AVX2).startswith("identical: trial 0")


def test_a_ledger_of_version_1_is_merged_and_stays_as_it_is(old, tmp_path):
    out = tmp_path / "out"
    for _ in range(2):
        merge([old], out, "old")
    assert version(old) == 1
    with Ledger(out) as ledger:
        study = ledger.study("old")
        [sitting] = ledger.sittings(study)
        assert (sitting.facts["torch"], sitting.trials) == ("2.9.1", 1)
        assert ledger.counts(study)["complete"] == ledger.counts(study)["waiting"] == 1
        assert ledger.epochs(study)["val_loss"].tolist() == [0.5]
