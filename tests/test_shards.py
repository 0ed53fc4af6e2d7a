"""Shards of a grid and studies merged: every trial once, whatever is divided, copied, grown, or differs."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.data import describe
from sweep.errors import SweepError, UsageError
from sweep.ledger import Ledger, merge
from sweep.plan import share_of, units
from sweep.plan.shards import divide
from sweep.recipe import Recipe, Shard, load_recipe, parse_shard
from sweep.space import EpochRecord
from tests.made import made, record
from tests.processes import numbers, query

GRID = ["--lr", "0.1,0.01", "--batch-norm", "on,off", "--hidden", "8,16", "--seeds", 2, "--epochs", 2]


def shard(folder: Path, number: int, of: int, flags: dict[str, str], name: str = "s") -> Path:
    """A results folder with one shard of a recipe, its val_loss made of the setting and seed."""
    recipe = replace(load_recipe(None, flags), shard=Shard(number, of))
    mine = share_of(recipe, describe("digits"))
    place = folder / f"{number}-{of}"
    with Ledger(place, create=True) as ledger:
        study = ledger.create(name, recipe, len(mine))
        trials = [trial for trial in recipe.grid.trials() if trial.number in mine]
        ledger.add(study, trials)
        ledger.record(study, [made_record(trial.number, 0.1 + trial.number / 100) for trial in trials])
        ledger.close_run(study, 60.0)
    return place


def made_record(number: int, loss: float) -> EpochRecord:
    return record(number, 1, val_loss=loss, state="complete", test_loss=loss, test_accuracy=0.5)


def copy(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.parent / name))


def change(folder: Path, text: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "sweep.db")) as raw, raw:
        raw.execute(text)


def rows(folder: Path, columns: str = "number, setting, seed, state, val_loss") -> list[tuple]:
    return sorted(query(folder / "sweep.db", f"SELECT {columns} FROM trials"))


# The division


@given(
    st.lists(st.tuples(st.floats(1.0, 1e6), st.integers(1, 40)), min_size=1, max_size=30),
    st.integers(1, 12),
)
@settings(deadline=None, max_examples=150)
def test_every_trial_is_in_one_share_and_none_costs_much_more_than_the_mean(cohorts, shards):
    places = iter(range(10_000))
    pieces = [(cost, [next(places) for _ in range(trials)]) for cost, trials in cohorts]
    total = sum(trials for _, trials in cohorts)
    cost_of = {place: cost for cost, members in pieces for place in members}
    shares = divide(pieces, shards)
    assert sorted(place for share in shares for place in share) == list(range(total))
    loads = [sum(cost_of[place] for place in share) for share in shares]
    mean, largest = sum(loads) / shards, max(cost_of.values())
    # Graham's bound for pieces of one trial, or the limit that stops the cutting before that.
    assert max(loads) <= max(1.05 * mean, mean + largest) * (1 + 1e-9)
    if total >= shards:
        assert all(shares)


def test_cohorts_stay_whole_where_shares_come_out_even():
    recipe = load_recipe(None, {"hidden": "8,8,16,24,32,40,48,56,64", "lr": "0.1,0.01", "seeds": "3"})
    data, shares = describe("digits"), []
    for number in (1, 2):
        mine = share_of(replace(recipe, shard=Shard(number, 2)), data)
        shares.append({trial.setting["hidden"] for trial in recipe.grid.trials() if trial.number in mine})
    assert not shares[0] & shares[1]
    assert shares[0] | shares[1] == {8, 16, 24, 32, 40, 48, 56, 64}


def test_a_cut_cohort_keeps_the_trials_of_a_seed_together():
    """They share minibatches: the programs of a shard then have lanes of as few seeds as can be."""
    recipe = load_recipe(None, {"lr": "1e-3:1e-1:log:16", "seeds": "4"})
    data = describe("digits")
    for number in (1, 2, 3, 4):
        mine = share_of(replace(recipe, shard=Shard(number, 4)), data)
        trials = [trial for trial in recipe.grid.trials() if trial.number in mine]
        assert {trial.seed for trial in trials} == {number - 1}
        assert len(units(trials, data, 1)) == 1


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "3/", "/8", "a/b", "-1/8", "1/0", "", "1/1000000"])
def test_what_is_no_shard_is_said_in_a_line(text):
    with pytest.raises(UsageError, match=r"expected K/N with K from 1 to N, such as 3/8"):
        parse_shard(text)


def test_more_shards_than_trials_are_refused():
    with pytest.raises(UsageError, match="the grid has 2 trials; expected at most 2 shards"):
        share_of(replace(load_recipe(None, {"lr": "0.1,0.01"}), shard=Shard(1, 3)), describe("digits"))


# Trained


def test_shards_make_the_whole_study_to_the_bit(sweep, tmp_path):
    sweep("grid", *GRID, "--study", "s")
    whole = numbers(sweep, "s")
    for number in (1, 2):
        sweep("grid", *GRID, "--study", "s", "--shard", f"{number}/2", "--results", tmp_path / f"{number}")
    shown = sweep("show", "s", "--results", tmp_path / "1").stdout
    assert shown.startswith("shard 1 of 2")
    refused = sweep("grid", *GRID, "--study", "s", "--results", tmp_path / "1", code=2).stderr
    assert 'shard: "1/2" there, not given here' in refused
    said = sweep("merge", tmp_path / "2", tmp_path / "1", "--results", tmp_path / "all").stdout
    assert said.splitlines()[0] == "s: 16 trials added from 2 folders; 16 in all, 0 left"
    os_results = {"SWEEP_RESULTS": str(tmp_path / "all")}
    assert numbers(lambda *args: sweep(*args, env=os_results), "s") == whole
    assert "shard" not in sweep("show", "s", env=os_results).stdout


def test_a_shard_stopped_is_finished_by_resume_and_a_merge_before_goes_on(sweep, tmp_path):
    one, two, out = ({"SWEEP_RESULTS": str(tmp_path / name)} for name in ("1", "2", "all"))
    sweep("grid", *GRID, "--study", "s", "--shard", "1/2", "--max-trials", 3, env=one)
    sweep("merge", tmp_path / "1", "--results", tmp_path / "all")
    assert "shard 1 of 2" in sweep("show", "s", env=out).stdout  # a copy of a shard is one
    sweep("resume", "s", env=one)
    assert len(rows(tmp_path / "1")) == 8
    sweep("grid", *GRID, "--study", "s", "--shard", "2/2", "--max-trials", 5, env=two)
    said = sweep("merge", tmp_path / "1", tmp_path / "2", env=out).stdout
    assert "s: 10 trials added from 2 folders, 3 there already; 16 in all, 3 left" in said
    assert "3 of 16 trials not trained to the end" in sweep("show", "s", env=out).stdout
    sweep("resume", "s", env=out)
    sweep("grid", *GRID, "--study", "s")
    assert numbers(lambda *args: sweep(*args, env=out), "s") == numbers(sweep, "s")


# Merged


FLAGS = {"lr": "0.1,0.01,0.001", "hidden": "8,16", "seeds": "2"}


def whole(folder: Path, flags: dict[str, str] = FLAGS, name: str = "s", of: Recipe | None = None) -> Path:
    made(folder, name, {}, lambda trial: 0.2 + trial.setting["lr"] + trial.seed / 8, of or load_recipe(None, flags))
    change(folder, "UPDATE trials SET test_loss = val_loss")  # not the number, which is a study's own
    return folder


def test_merging_again_and_in_any_order_changes_nothing(tmp_path):
    folders = [shard(tmp_path, number, 4, FLAGS) for number in (1, 2, 3, 4)]
    merge(folders, tmp_path / "a")
    merge(folders[::-1], tmp_path / "b")
    for folder in (*folders, folders[2]):
        merge([folder], tmp_path / "c")
    assert rows(tmp_path / "a") == rows(tmp_path / "b") == rows(tmp_path / "c")
    before = rows(tmp_path / "a", "*")
    [told] = merge([*folders, tmp_path / "a"], tmp_path / "a")
    assert (told.new, told.known, told.left) == (0, 12, 0)
    assert rows(tmp_path / "a", "*") == before
    with Ledger(tmp_path / "a") as ledger:
        study = ledger.study("s")
        assert study.seconds == pytest.approx(240)  # of four runs of a minute, each counted once
        assert study.recipe == load_recipe(None, FLAGS)
        assert study.finished


def test_everything_that_belongs_to_a_trial_comes_with_it(tmp_path):
    claim = [{"text": "larger is better", "kind": "better", "factor": "hidden", "level": 16}]
    from sweep.recipe import recipe_of

    recipe = recipe_of({"space": {"hidden": [8, 16], "lr": [0.1]}, "seeds": 2, "claim": claim})
    whole(tmp_path / "a", of=recipe)
    place = tmp_path / "a"
    with Ledger(place) as ledger:
        study = ledger.study("s")
        number = ledger.sit(study, {"torch": "2.99", "device": "abacus", "instructions": "beads"})
        ledger.use_data(study, "abc")
        ledger.keep_output(study, 1, "a word")
    change(place, f"UPDATE trials SET sitting = {number} WHERE number < 3")
    change(place, "INSERT INTO readings VALUES (1, 2, 1, 17, 'fc', 'grad_norm', 0.5)")
    whole(tmp_path / "out", name="other")
    merge([place], tmp_path / "out")
    with Ledger(place) as there, Ledger(tmp_path / "out") as here:
        old, new = there.study("s"), here.study("s")
        assert new.id != old.id
        for read in ("trials", "epochs", "readings"):
            assert getattr(there, read)(old).equals(getattr(here, read)(new)), read
        assert here.output(new, 1) == "a word"
        assert new.recipe.claims == old.recipe.claims
        assert new.data == "abc"
        [[sitting]] = here.kinds(new)
        assert (sitting.kind, sitting.trials) == ("torch 2.99, abacus, vector instructions beads", 3)


def test_a_trial_with_other_numbers_is_refused_with_both(tmp_path):
    first = whole(tmp_path / "first")
    for place, (text, what) in enumerate(
        [
            ("UPDATE epochs SET val_loss = val_loss + 1e-15 WHERE trial = 3", "val_loss of epoch 1"),
            ("UPDATE trials SET test_loss = 17 WHERE number = 3", "test_loss"),
            ("UPDATE trials SET state = 'diverged' WHERE number = 3", "state"),
        ]
    ):
        other = copy(first, f"other-{place}")
        change(other, text)
        out = tmp_path / f"out-{place}"
        with pytest.raises(SweepError) as caught:
            merge([first, other], out)
        said = str(caught.value)
        assert "lr 0.1, hidden 16, seed 1" in said
        assert str(other) in said
        assert str(first) in said
        assert what in said
        assert "\n" not in said
        assert rows(out) == []  # nothing of the first either
    seconds = copy(first, "slower")
    change(seconds, "UPDATE trials SET seconds = 99")
    merge([first, seconds], tmp_path / "out")  # time is no number of a trial


def test_copies_that_grew_apart_in_seeds_or_values_become_one(tmp_path):
    first = whole(tmp_path / "first")
    whole(tmp_path / "seeds", FLAGS | {"seeds": "4"})
    whole(tmp_path / "others", {name: text for name, text in FLAGS.items() if name != "seeds"} | {"seed": "7,8"})
    whole(tmp_path / "values", FLAGS | {"lr": "0.5,0.01"})
    for place, trials in (("seeds", 24), ("others", 24), ("values", 16)):
        out = tmp_path / f"with-{place}"
        [told] = merge([first, tmp_path / place], out)
        assert told.trials == trials
        assert told.left == 0
        with Ledger(out) as ledger:
            board = ledger.trials(ledger.study("s"))
        assert len(board.groupby(["setting", "seed"])) == len(board) == told.trials
        assert (board["val_loss"] == 0.2 + board["lr"].astype(float) + board["seed"] / 8).all()
        assert list(board["number"]) == list(range(told.trials))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"lr": "0.5", "hidden": "32"}, "lr: [0.1, 0.01, 0.001] there, 0.5 here; hidden: [8, 16] there, 32 here"),
        ({"epochs": "20"}, "epochs: 10 (the default) there, 20 here"),
        ({"data": "iris"}, 'data: "digits" there, "iris" here'),
        ({"optimizer": "sgd"}, "optimizer: adam (the default) there, sgd here"),
    ],
)
def test_studies_of_other_recipes_are_refused_in_a_line(tmp_path, flags, said):
    whole(tmp_path / "a")
    whole(tmp_path / "b", FLAGS | flags)
    with pytest.raises(UsageError) as caught:
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert said in str(caught.value)
    assert "study 's'" in str(caught.value)


def test_studies_of_other_data_are_refused(tmp_path):
    for name in ("a", "b"):
        whole(tmp_path / name)
        change(tmp_path / name, f"UPDATE studies SET data = '{name * 8}'")
    with pytest.raises(UsageError, match=r"are of other data \(digits with fingerprint b{8}, digits with a{8}\)"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_what_is_done_wins_over_what_failed_or_waits(tmp_path):
    first = whole(tmp_path / "first")
    failed, waits = copy(first, "failed"), copy(first, "waits")
    change(failed, "UPDATE trials SET state = 'failed', reason = 'worker killed' WHERE number = 2")
    change(waits, "UPDATE trials SET state = 'running' WHERE number = 2")
    for order in ([waits, failed, first], [first, failed, waits], [failed, first]):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        merge(order, tmp_path / "out")
        assert rows(tmp_path / "out") == rows(first)
    shutil.rmtree(tmp_path / "out")
    [told] = merge([waits, failed], tmp_path / "out")
    assert (told.failed, told.left) == (1, 0)


def test_ledgers_that_cannot_be_read_are_named_and_nothing_is_made(sweep, tmp_path):
    good = whole(tmp_path / "good")
    torn = copy(good, "torn")
    change(torn, "UPDATE studies SET recipe = 'none'")
    for name in ("junk", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "junk" / "sweep.db").write_bytes(b"no ledger" * 999)
    expected = {"torn": "its recipe is damaged", "junk": "not a results file", "empty": "no results there"}
    for name, said in expected.items():
        refused = sweep("merge", good, tmp_path / name, "--results", tmp_path / "out", code=None)
        assert refused.returncode in (1, 2)
        assert said in refused.stderr
        assert name in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert "unknown study 'x'" in sweep("merge", good, "--study", "x", "--results", tmp_path / "out", code=2).stderr


def test_a_study_that_is_trained_now_is_not_merged_into(sweep, tmp_path):
    good = whole(tmp_path / "good")
    whole(tmp_path / "out")
    with Ledger(tmp_path / "out") as ledger, ledger.lock("s"):
        refused = sweep("merge", good, "--results", tmp_path / "out", code=1)
    assert "is being run by another process" in refused.stderr


def test_searches_and_imported_tables_merge_where_their_recipe_is_one(sweep, tmp_path):
    command = ["search", "--lr", "1e-3:1e-1:log", "--epochs", 1, "--in-flight", 2, "--study", "q"]
    sweep(*command, "--trials", 4)
    copy(tmp_path / "results", "copy")
    sweep(*command, "--trials", 6, env={"SWEEP_RESULTS": str(tmp_path / "copy")})
    [told] = merge([tmp_path / "results", tmp_path / "copy"], tmp_path / "out")
    assert (told.new, told.known, told.trials, told.left) == (6, 4, 6, 0)
    assert rows(tmp_path / "out") == rows(tmp_path / "copy")


def test_a_race_that_is_merged_keeps_to_those_still_in(sweep, tmp_path):
    race = ("--lr", "0.1,0.01,0.0001", "--epochs", 2, "--seeds", 4, "--study", "r")
    sweep("race", *race, "--results", "a")
    sweep("race", *race)
    ended = numbers(sweep, "r")
    shutil.copytree(tmp_path / "results", tmp_path / "b")
    shutil.rmtree(tmp_path / "results")
    assert "in all, 0 left" in sweep("merge", "a", "b", "--results", "results").stdout
    assert numbers(sweep, "r") == ended
    assert "0 left" in sweep("resume", "r").stderr
    assert numbers(sweep, "r") == ended
