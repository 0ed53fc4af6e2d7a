"""Splits that vary like seeds: which rows they have, what a trial's numbers depend on, and what intervals say they
cover.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from sweep.data import load
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.recipe import load_recipe, recipe_from_dict
from tests.processes import numbers, table

GRID = ("--lr", "0.1,0.01", "--hidden", "4", "--epochs", 2)


def rows(*parts):
    """Every row of some parts with its label, in an order of its own."""
    lines = np.concatenate([np.column_stack([x.reshape(len(x), -1), y]) for x, y in parts])
    return lines[np.lexsort(lines.T)]


@pytest.mark.parametrize("seed", [0, 3])
def test_a_split_deals_out_training_and_validation_rows_and_leaves_the_test_rows(seed):
    source = load("digits", None, seed)
    again, other = source.resplit(1), source.resplit(2)
    assert source.resplit(0) is source
    for made in (again, other):
        assert [len(part[1]) for part in (made.train, made.val, made.test)] == [1079, 359, 359]
        np.testing.assert_array_equal(made.test[0], source.test[0])
        np.testing.assert_array_equal(rows(made.train, made.val), rows(source.train, source.val))
        assert not np.array_equal(made.val[1], source.val[1])
    assert not np.array_equal(again.val[1], other.val[1])
    np.testing.assert_array_equal(again.val[0], load("digits", None, seed).resplit(1).val[0])


def test_a_trial_trains_on_the_rows_of_its_split(sweep, tmp_path):
    """The same rows, handed over as a file of arrays with validation rows of its own, give the same bits."""
    sweep("grid", *GRID, "--split-seeds", 3, "--study", "s")
    source = load("digits", None, 0).resplit(2)
    order = np.argsort(np.random.default_rng([0, 1079]).permutation(1079))  # a file's training rows are shuffled, too
    train = source.train[0][order], source.train[1][order]
    arrays = {"train": train, "val": source.val, "test": source.test}
    named = {f"{kind}_{name}": part[place] for name, part in arrays.items() for place, kind in enumerate("xy")}
    np.savez(tmp_path / "split.npz", **named)
    sweep("grid", *GRID, "--seed", 2, "--data", "split.npz", "--study", "file")
    split, file = (table(sweep, study, "--test").query("seed == '2'") for study in ("s", "file"))
    measured = ["lr", "train_loss", "val_loss", "val_accuracy", "test_loss"]
    assert split[measured].to_numpy().tolist() == file[measured].to_numpy().tolist()
    line = sweep("grid", *GRID, "--split-seeds", 2, "--data", "split.npz", code=2).stderr
    assert "split.npz has validation rows of its own, so there is one split only" in line


@pytest.mark.long
def test_seed_0_on_split_0_is_the_ordinary_trial_and_company_changes_no_bit(sweep):
    sweep("grid", *GRID, "--study", "plain")
    sweep("grid", *GRID, "--split-seeds", 3, "--study", "whole")
    sweep("grid", *GRID, "--split-seeds", 3, "--lanes", 1, "--jobs", 1, "--study", "alone")
    sweep("grid", *GRID, "--split-seeds", 2, "--study", "grown")
    sweep("grid", *GRID, "--split-seeds", 3, "--study", "grown")
    assert numbers(sweep, "alone") == numbers(sweep, "whole")
    measured = ["lr", "seed", "split_seed", "val_loss"]
    whole, grown = (
        table(sweep, name)[measured].sort_values(measured).to_numpy().tolist() for name in ("whole", "grown")
    )
    assert whole == grown
    assert [row[:3] for row in whole if row[0] == "0.1"] == [["0.1", seed, seed] for seed in "012"]
    first = table(sweep, "whole").query("seed == '0'")
    assert first["val_loss"].tolist() == table(sweep, "plain")["val_loss"].tolist()
    assert "identical" in sweep("reproduce", "whole", 5).stdout
    assert "split 2" in sweep("trial", "whole", 5).stdout
    sweep("grid", *GRID, "--study", "plain", "--split-seeds", 2)  # its seed 0 has split 0 already
    line = sweep("grid", *GRID, "--seeds", 3, "--study", "whole", code=2).stderr
    assert "split_seeds: [0, 1, 2] there, not given here" in line


@pytest.mark.long
def test_a_search_gives_each_seed_its_split_and_resumes(sweep):
    flags = ["--lr", "1e-3:1:log", "--epochs", 1, "--trials", 12, "--in-flight", 2, "--split-seeds", 3]
    sweep("search", *flags, "--study", "whole")
    sweep("search", *flags, "--max-trials", 4, "--study", "cut", code=None)
    sweep("resume", "cut")
    assert numbers(sweep, "cut") == numbers(sweep, "whole")
    board = table(sweep, "whole")
    assert (board["seed"] == board["split_seed"]).all()
    assert board["seed"].nunique() == 3


@pytest.mark.long
def test_a_confirmation_has_fresh_splits(sweep, tmp_path):
    sweep("grid", *GRID, "--split-seeds", 2, "--study", "s")
    told = sweep("confirm", "s", "--seeds", 2).stdout
    assert "between seeds and between splits" in told
    sweep("confirm", "s", "--seeds", 3)
    board = table(sweep, "s-confirm")
    assert sorted(set(zip(board["seed"], board["split_seed"], strict=True))) == [("2", "2"), ("3", "3"), ("4", "4")]
    [common] = json.loads(sweep("compare", "s", "s-confirm", "--json").stdout)["common"]
    assert common["settings"] == 2
    assert all(row["low"] is None for row in common["rows"])  # no seed in common, so no paired interval
    with Ledger(tmp_path / "results") as ledger:
        recipe = ledger.study("s-confirm").recipe
    assert recipe_from_dict(recipe.to_dict()) == recipe


def test_studies_are_paired_only_on_the_same_splits(sweep):
    sweep("grid", *GRID, "--seeds", 2, "--study", "one")
    sweep("grid", *GRID, "--split-seeds", 2, "--study", "two")
    common = json.loads(sweep("compare", "one", "two", "--json").stdout)["common"][0]
    assert common["rows"][0]["difference"] == 0.0  # seed 0 on split 0 alone is in both
    assert "on one split of the data" in sweep("compare", "one", "two").stdout


@pytest.mark.long
def test_intervals_say_what_they_cover(sweep, tmp_path):
    sweep("grid", *GRID, "--seeds", 2, "--study", "seeds")
    sweep("grid", *GRID, "--split-seeds", 2, "--study", "splits")
    for command in (["show"], ["effect", "lr"], ["report"]):
        name, *more = command
        for study, words in (("seeds", "on one split of the data"), ("splits", "between seeds and between splits")):
            if name == "report":
                sweep("report", study, "-o", f"{study}.html")
                told = (tmp_path / f"{study}.html").read_text()
            else:
                told = " ".join(sweep(name, study, *more).stdout.split())
                plain = json.loads(sweep(name, study, *more, "--json").stdout)
                assert words in (plain[0] if isinstance(plain, list) else plain)["covers"]
            assert words in told
    sweep("grid", *GRID, "--study", "lone")
    assert "Intervals cover" not in sweep("show", "lone").stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"split_seeds": "3", "seeds": "2"}, ["split_seeds are 3 and seeds 2", "as many of both"]),
        ({"split_seeds": "x"}, ["--split-seeds", "how many splits"]),
        ({"split_seeds": "0"}, ["how many splits"]),
        ({"split_seeds": "-1"}, ["how many splits"]),
    ],
)
def test_splits_that_cannot_be(flags, words):
    with pytest.raises(UsageError) as caught:
        load_recipe(None, {"lr": "0.1,0.01"} | flags)
    assert all(word in str(caught.value) for word in words)


def test_a_recipe_names_its_splits(tmp_path):
    (tmp_path / "a.toml").write_text("lr = [0.1, 0.01]\nsplit_seeds = [4, 7]\nseed = [10, 11]\n")
    recipe = load_recipe(tmp_path / "a.toml", {})
    assert [recipe.split_of(seed) for seed in (10, 11)] == [4, 7]
    assert recipe_from_dict(recipe.to_dict()) == recipe
    assert load_recipe(None, {"lr": "0.1", "split_seeds": "1", "seeds": "3"}).splits == ()
