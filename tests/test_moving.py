"""A data file that moves, values that mean the same, flags given twice: through the command line."""

from __future__ import annotations

import numpy as np
import pytest

from sweep.data import DataInfo
from sweep.ledger import Ledger
from sweep.recipe import load_recipe, merge_equal

DIGITS = DataInfo("digits", (1, 8, 8), 10, 1079, 359, 359)


@pytest.fixture
def rows(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.random((60, 5)), "y_train": np.arange(60) % 3}
    arrays |= {"x_test": rng.random((20, 5)), "y_test": np.arange(20) % 3}
    np.savez(tmp_path / "d.npz", **arrays)
    return arrays


def test_a_study_follows_its_data_file_by_the_fingerprint(sweep, tmp_path, rows):
    recipe = tmp_path / "recipes" / "r.toml"
    recipe.parent.mkdir()
    (tmp_path / "d.npz").rename(recipe.parent / "d.npz")
    recipe.write_text('data = "d.npz"\nepochs = 1\nlr = [0.1, 0.01]\n')
    sweep("grid", recipe, "--study", "s", "--max-trials", 1, "--lanes", 1, "--jobs", 1)  # found beside the recipe
    moved = tmp_path / "elsewhere.npz"
    (recipe.parent / "d.npz").rename(moved)
    said = sweep("resume", "s", code=2).stderr
    assert "is gone; if it has moved, --data FILE says where it is now" in " ".join(said.split())
    np.savez(tmp_path / "other.npz", **rows | {"x_train": rows["x_train"] + 1})
    assert "other data than those of study 's'" in sweep("resume", "s", "--data", "other.npz", code=2).stderr
    sweep("resume", "s", "--data", "elsewhere.npz")
    with Ledger(tmp_path / "results") as ledger:
        assert ledger.study("s").recipe.data == str(moved)
    sweep("reproduce", "s", 0)
    moved.rename(tmp_path / "third.npz")
    grown = sweep("grid", "--data", "third.npz", "--epochs", 1, "--lr", "0.1,0.01,0.001", "--study", "s")
    assert "its data file is now" in grown.stderr
    assert "s: 3 complete of 3 trials" in grown.stdout + grown.stderr


def merged(**flags: str):
    recipe = merge_equal(load_recipe(None, flags), DIGITS)
    return {axis.name: axis.values for axis in recipe.axes}, recipe.notes


@pytest.mark.parametrize(
    ("flags", "kept", "said"),
    [
        (
            {"batch_size": "2000,full"},
            {"batch_size": ("full",)},
            "batch_size 2000 and full are the same here, all 1,079",
        ),
        ({"batch_size": "32,2000,3000"}, {"batch_size": (32, 2000)}, "trained once, as 2000"),
        ({"train_size": "1079,all,500"}, {"train_size": ("all", 500)}, "train_size 1079 and all are the same here"),
        ({"batch_size": "500,full", "train_size": "500"}, {"batch_size": ("full",), "train_size": (500,)}, "all 500"),
        ({"dropout": "0.3,0.30000000000000004"}, {"dropout": (0.3,)}, "one value to nine digits"),
    ],
)
def test_values_that_train_the_same_are_trained_once(flags, kept, said):
    values, notes = merged(**flags)
    assert values == kept
    assert any(said in note for note in notes)


def test_values_that_train_differently_are_left_alone():
    for flags in (
        {"batch_size": "32,full"},
        {"batch_size": "500,full", "train_size": "500,all"},
        {"lr": "0.1,0.1000001"},
    ):
        assert merged(**flags)[1] == ()


def test_a_flag_given_twice_is_refused_with_the_way_out(sweep):
    said = sweep("plan", "--train-size", 1000, "--lr", "0.1", "--train-size", 300, code=2).stderr
    assert "--train-size is given 2 times; expected once: --train-size 1000,300" in said
