"""A large study's columns are kept in a file of the user's cache: read once, and never of a ledger that has changed."""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.ledger import Ledger, keeping, reading
from sweep.ledger.columns import read_columns
from tests.made import made, record

FLAGS = {"lr": "0.1,0.01", "optimizer": "sgd,adam", "seeds": "3"}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of kept columns, which keeps those of small studies that were written a moment ago, too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(keeping, "FEWEST", 1)
    monkeypatch.setattr(keeping, "REST", 0.0)
    return tmp_path / "cache" / "sweep" / "columns"


@pytest.fixture
def folder(tmp_path):
    """A study of twelve trials, one of which diverged and one failed."""
    made(tmp_path / "results", "small", FLAGS, lambda trial: math.nan if trial.number == 3 else trial.number / 7)
    change(tmp_path / "results", "UPDATE trials SET state = 'failed', reason = 'why' WHERE number = 5")
    return tmp_path / "results"


def change(folder, statement: str) -> None:
    """Writes to the ledger as another program does, and waits until its clock has gone on."""
    with sqlite3.connect(folder / "sweep.db") as file:
        file.execute(statement)
    file.close()
    changed = (folder / "sweep.db").stat().st_ctime_ns
    while time.time_ns() <= changed:
        pass


def read(folder, name: str = "small") -> pd.DataFrame:
    with Ledger(folder) as ledger:
        return ledger.trials(ledger.study(name))


def read_anew(folder, monkeypatch, name: str = "small") -> pd.DataFrame:
    """The table as it is read where nothing is kept."""
    with monkeypatch.context() as within:
        within.setattr(keeping, "FEWEST", 10**9)
        return read(folder, name)


@pytest.fixture
def refuse(monkeypatch):
    """Lets no row of trials be read from then on."""

    def rows_are_not_read(*_: object) -> None:
        raise AssertionError("the ledger's rows were read")

    return lambda: monkeypatch.setattr(reading, "read_columns", rows_are_not_read)


def test_a_study_is_read_once(folder, cache, refuse, monkeypatch):
    expected = read_anew(folder, monkeypatch)
    assert not cache.exists()
    first = read(folder)
    assert len([*cache.iterdir()]) == 1
    refuse()
    for table in (first, read(folder)):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
        kinds = [[type(cell) for cell in table[name]] for name in table]
        assert kinds == [[type(cell) for cell in expected[name]] for name in expected]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trials SET val_loss = val_loss + 1e-15 WHERE number = 7",
        "UPDATE trials SET seed = 9 WHERE number = 2",
        "UPDATE trials SET reason = 'other' WHERE number = 5",
        "DELETE FROM trials WHERE number = 11",
        "UPDATE studies SET created = '2020'",
        "VACUUM",
    ],
)
@pytest.mark.usefixtures("cache")
def test_no_write_goes_unseen(folder, monkeypatch, statement):
    read(folder)
    change(folder, statement)
    pd.testing.assert_frame_equal(read(folder), read_anew(folder, monkeypatch), check_exact=True)


@pytest.mark.usefixtures("cache")
def test_what_the_ledger_itself_writes_is_seen_by_who_has_it_open(folder):
    with Ledger(folder) as ledger:
        study = ledger.study("small")
        before = ledger.trials(study)
        ledger.record(study, [record(0, 1, val_loss=0.125, state="complete", test_loss=1.0)])
        after = ledger.trials(study)
    assert before["val_loss"].iloc[0] == 0.0
    assert after["val_loss"].iloc[0] == 0.125
    assert read(folder)["val_loss"].iloc[0] == 0.125


@pytest.mark.usefixtures("cache")
def test_another_ledger_in_its_place_is_read(folder, tmp_path):
    read(folder)
    made(tmp_path / "other", "small", FLAGS, lambda trial: 100.0 + trial.number)
    with Ledger(folder) as ledger:
        study = ledger.study("small")
        os.replace(tmp_path / "other" / "sweep.db", folder / "sweep.db")
        assert ledger.stamps() is None  # it still reads the file that is gone
        assert ledger.trials(study)["val_loss"].iloc[-1] < 100
    assert read(folder)["val_loss"].iloc[-1] == 111.0


@pytest.mark.usefixtures("cache")
def test_a_copy_is_read_for_itself(folder, tmp_path):
    read(folder)
    shutil.copytree(folder, tmp_path / "copy")
    change(tmp_path / "copy", "UPDATE trials SET val_loss = 42 WHERE number = 0")
    assert read(tmp_path / "copy")["val_loss"].iloc[0] == 42
    assert read(folder)["val_loss"].iloc[0] == 0


def test_a_ledger_that_was_just_written_is_not_kept(folder, cache, monkeypatch):
    monkeypatch.setattr(keeping, "REST", 3600.0)
    read(folder)
    assert not cache.exists()


def test_a_small_study_is_not_kept(folder, cache, monkeypatch):
    monkeypatch.setattr(keeping, "FEWEST", 13)
    read(folder)
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "folder", "other"])
def test_a_damaged_file_is_not_trusted(folder, cache, damage):
    expected = read(folder)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    if damage == "folder":
        kept.unlink()
        kept.mkdir()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes(255 - byte for byte in whole[middle : middle + 300]) + whole[middle + 300 :]
        made_bad = {"empty": b"", "cut": whole[:middle], "flipped": flipped, "other": b"[]"}
        kept.write_bytes(made_bad[damage])
    pd.testing.assert_frame_equal(read(folder), expected, check_exact=True)


@pytest.mark.usefixtures("cache")
def test_a_cache_that_cannot_be_written_is_no_failure(folder, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert len(read(folder)) == 12


def test_only_the_last_files_are_kept(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "MOST", 2)
    for name in "abcd":
        made(tmp_path / name, "small", FLAGS, lambda trial: trial.number)
        time.sleep(0.01)
        read(tmp_path / name)
    assert len([*cache.iterdir()]) == 2


def test_a_study_that_is_removed_is_forgotten(folder, cache):
    read(folder)
    with Ledger(folder) as ledger:
        ledger.remove(ledger.study("small"))
    assert [*cache.iterdir()] == []


NAME = st.sampled_from(["lr", "a b", "x\0y", "setting", "key"])
VALUE = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**70, 0.0, -0.0, 1.0, math.inf, math.nan, "1", "", "é\0", "nan", [32, 16], []]),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(NAME, VALUE), max_size=6), st.data())
def test_any_value_comes_back_as_it_was(tmp_path_factory, given_settings, data):
    """The oracle is pandas, which makes a table of the settings at once."""
    texts = [*dict.fromkeys(map(json.dumps, given_settings))]
    of = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=8)) if texts else []
    places = [*dict.fromkeys(of)]
    rows = [(number, texts[place].encode(), b"complete") for number, place in enumerate(of)]
    columns = read_columns([rows] if rows else [], ["number", "setting", "state"], None)
    file = tmp_path_factory.mktemp("kept") / "some.npz"
    keeping._save(file, b"key", columns)
    found = keeping._load(file, b"key")
    assert found is not None
    assert keeping._load(file, b"other") is None
    whole = pd.DataFrame.from_records([json.loads(texts[place]) for place in places], index=range(len(places)))
    expected = whole.astype(object).take([places.index(place) for place in of])
    for table in (columns.settings(), found.settings()):
        assert [*table] == [*whole]
        for name in table:
            assert [*map(repr, table[name])] == [*map(repr, expected[name])]
    for name, array in columns.arrays.items():
        assert np.array_equal(found.arrays[name], array)
