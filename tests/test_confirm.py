"""sweep confirm: fresh seeds, luck measured against its theory, killed and resumed like any study; published tables."""

from __future__ import annotations

import io
import json
import random
import re
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from sweep.analysis.confirming import confirmation_recipe, fresh_seeds, read_confirmation, split_by_seed
from sweep.analysis.table import StudyTable
from sweep.cli import main
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.recipe import load_recipe
from sweep.report.confirm import confirmation_report
from tests.conftest import SHARED
from tests.made import made
from tests.processes import alive, family, inject_defect, kill, numbers, query, start, table, wait_for

GRID = ["--lr", "0.1,0.03,0.01", "--batch-norm", "on,off", "--epochs", 3]


def simulated(values: np.ndarray, direction: str = "minimize") -> StudyTable:
    """A study of settings x seeds whose metric is known."""
    seeds = values.shape[1]
    number = np.arange(values.size)
    trials = pd.DataFrame(
        {
            "number": number,
            "setting": number // seeds,
            "seed": number % seeds,
            "state": np.where(np.isfinite(values.ravel()), "complete", "diverged"),
            "reason": None,
            "epochs": 1,
            "score": np.where(np.isfinite(values.ravel()), values.ravel(), np.nan),
            "lr": (number // seeds).astype(float),
        }
    )
    return StudyTable("simulated", trials, "score", direction, ["lr"], {})


# Luck


@pytest.mark.parametrize(("n", "expected"), [(2, 0.5642), (9, 1.4850), (36, 2.1181)])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_of_n_equals_loses_the_expectation_of_their_maximum(n, expected, direction):
    """E[max of n standard normals], the oracle; all of it is luck, so the confirmed mean is 0. The best of each of 400
    groups of n equals, on one seed; four others confirm."""
    groups = 400
    study = simulated(np.random.default_rng(n).normal(size=(groups * n, 5)), direction)
    study.trials["group"] = study.trials["setting"] // n
    rows = split_by_seed(replace(study, swept=["lr", "group"]), per="group", selected_on="0").rows
    assert len(rows) == groups
    assert abs(rows["shrinkage"].mean() - expected) < 4 * rows["shrinkage"].std() / np.sqrt(groups)
    assert abs(rows["mean"].mean()) < 4 * 0.5 / np.sqrt(groups)
    covered = (rows["low"] < 0) & (rows["high"] > 0)
    assert 0.90 < covered.mean() < 0.99


@pytest.mark.long
def test_equals_are_rarely_told_apart_and_unequals_are():
    draw = np.random.default_rng(0)
    told = [split_by_seed(simulated(draw.normal(size=(6, 11))), top=3, selected_on="0").duel.apart for _ in range(80)]
    assert np.mean(told) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / len(told))
    values = draw.normal(size=(3, 11)) + np.array([[0.0], [4.0], [8.0]])
    apart = split_by_seed(simulated(values), top=2, selected_on="0").duel
    assert apart.apart
    assert apart.more is None
    assert apart.improvement > 0.9


def test_the_first_against_the_second_by_hand():
    """Pairs on common seeds; Noether for the normal with the gaps' mean and spread."""
    made = split_by_seed(simulated(np.array([[0.0, 1, 2, 3, 4], [1.0, 2, 1, 5, 4]])), selected_on="0", top=2)
    duel = made.duel
    assert (duel.pairs, duel.difference) == (4, 0.5)  # gaps 1, -1, 2, 0
    assert duel.share == (2 + 0.5) / 4
    # of 16 pairs: 1<2 1=1 1<5 1<4, 2=2 2>1 2<5 2<4, 3>2 3>1 3<5 3<4, 4>2 4>1 4<5 4=4
    assert duel.improvement == (3 + 0.5 + 2 + 0.5 + 2 + 1 + 0.5) / 16
    assert not duel.apart
    assert duel.more == 80 - 4  # gamma = Phi(0.5 / 1.291) = 0.6507; (2 * 1.645 / (0.5 - gamma)) ** 2 / 6 = 79.4
    assert made.rows["shrinkage"].tolist() == [2.5, 2.0]


def test_a_diverged_run_loses_to_every_other_and_its_setting_ranks_last():
    made = split_by_seed(simulated(np.array([[0.0, np.nan, 0.0, 0.1], [1.0, 2, 3, 2]])), selected_on="0", top=2)
    assert made.rows["was"].tolist() == [2, 1]
    assert made.rows["diverged"].tolist() == [0, 1]
    assert not made.held
    assert made.duel.share == 1 / 3


def test_adding_a_constant_changes_no_rank_and_no_gap():
    values = np.random.default_rng(1).normal(size=(5, 6))
    a, b = (split_by_seed(simulated(values + shift), top=4, selected_on="0,1") for shift in (0.0, 100.0))
    assert a.rows["lr"].tolist() == b.rows["lr"].tolist()
    assert np.allclose(a.rows["shrinkage"], b.rows["shrinkage"])
    assert np.isclose(a.duel.p, b.duel.p)
    assert a.duel.more == b.duel.more


def test_permuted_labels_confirm_at_chance(sweep, tmp_path):
    draw = np.random.default_rng(3)
    x, y = draw.normal(size=(600, 6)), np.arange(600) % 3
    draw.shuffle(y)
    np.savez(tmp_path / "noise.npz", x_train=x, y_train=y, x_test=x[:60], y_test=y[:60])
    flags = ["--data", "noise.npz", "--lr", "0.1,0.03,0.01,0.003", "--hidden", "8,16,24", "--epochs", 2]
    sweep("grid", *flags, "--metric", "val_accuracy", "--study", "n")
    made = json.loads(sweep("confirm", "n", "--top", 2, "--seeds", 8, "--json").stdout)
    best = made["settings"][0]
    assert abs(best["mean"] - 1 / 3) < 4 * np.sqrt(2 / 9 / 120)  # 120 rows to validate, the same for every seed
    luckiest = min(made["settings"], key=lambda row: row["was"])
    assert luckiest["shrinkage"] > 0
    assert made["metric"] == "val_accuracy"


# Seeds


def test_fresh_seeds_follow_the_largest_and_what_is_there_stays():
    assert fresh_seeds((0, 1, 2), (), 3, None) == (3, 4, 5)
    assert fresh_seeds((0, 7), (8, 9), 4, None) == (8, 9, 10, 11)
    assert fresh_seeds((0, 7), (8, 9), None, None) == (8, 9)
    assert fresh_seeds((0,), (), None, None) == tuple(range(1, 11))
    assert fresh_seeds((0, 2**31 - 1), (), 2, None) == (1, 2)
    assert fresh_seeds((0,), (5,), None, "100,5,101") == (5, 100, 101)
    with pytest.raises(UsageError, match="the study used this seed"):
        fresh_seeds((0, 1), (), None, "1,2")


def test_a_study_that_grows_into_the_fresh_seeds_is_not_selected_on_them(tmp_path):
    flags = {"lr": "0.1,0.03,0.01"}
    made(tmp_path, "g", flags | {"seeds": "3"}, lambda trial: trial.seed + trial.setting["lr"])
    recipe = load_recipe(None, flags | {"seed": "1,2"})
    listed = replace(recipe.of_settings([*recipe.grid.settings()][1:]), confirms="g")
    again = made(tmp_path, "g-confirm", {}, lambda trial: trial.seed + trial.setting["lr"], listed)
    with Ledger(tmp_path) as ledger:
        found = read_confirmation(ledger, ledger.study("g"), again)
        grown = confirmation_recipe(ledger, ledger.study("g"), "g-confirm", top=3, seeds=4)
    assert (found.selected_on, found.fresh, found.candidates) == ([0], [1, 2], 3)
    assert np.allclose(found.rows["shrinkage"], 1.5)  # seed 0 is better by that than 1 and 2
    assert found.rows["was"].tolist() == [1, 2]
    assert grown.seeds == (1, 2, 3, 4)
    assert [setting["lr"] for setting in grown.settings] == [0.03, 0.01, 0.1]


# As a study


@pytest.fixture
def study_s(tmp_path):
    """A study as `sweep grid --lr 0.1,0.03,0.01 --batch-norm on,off --epochs 3` leaves it, its numbers made up."""
    flags = {"lr": "0.1,0.03,0.01", "batch_norm": "on,off", "epochs": "3"}
    made(tmp_path / "results", "s", flags, lambda trial: 1.0 / (1 + trial.number))


@pytest.mark.long
@pytest.mark.usefixtures("study_s")
def test_kills_and_resumes_end_in_what_nobody_touched(sweep, tmp_path):
    """SIGKILL at random moments, then the same command or resume: every number as in an untouched confirmation."""
    draw = random.Random(4)
    flags = ["confirm", "s", "--top", 3, "--seeds", 6, "--jobs", 2, "--lanes", 2]
    begin = time.monotonic()
    whole = sweep(*flags, "--study", "whole", "--json")
    span = time.monotonic() - begin
    database, kills = tmp_path / "results" / "sweep.db", 0
    again: tuple = tuple(flags)
    for _ in range(12):
        process = start(tmp_path, *again, env={"SWEEP_CHECKPOINT_SECONDS": "0.05"})
        moment = time.monotonic() + draw.uniform(0.3, 0.9) * span
        wait_for(lambda p=process, m=moment: p.poll() is not None or time.monotonic() >= m)
        if kills < 4 and process.poll() is None:
            hosts, workers = family(process)
            for pid in draw.choice([[process.pid], workers[:1], [process.pid, *hosts, *workers]]):
                kill(pid)
            kills += 1
            process.communicate(timeout=120)
            wait_for(lambda pids=(*hosts, *workers): not any(alive(pid) for pid in pids))
            there = query(database, "SELECT 1 FROM studies WHERE name = 's-confirm'")
            again = ("resume", "s-confirm") if there and kills % 2 else tuple(flags)
            continue
        process.communicate(timeout=120)
        assert process.returncode == 0
        break
    assert kills
    made = sweep(*flags, "--json")
    assert numbers(sweep, "s-confirm") == numbers(sweep, "whole")
    first, second = json.loads(whole.stdout), json.loads(made.stdout)
    assert first | {"confirmation": "s-confirm"} == second
    rows = query(database, "SELECT setting, seed FROM trials JOIN studies ON id = study WHERE name = 's-confirm'")
    assert len(rows) == len(set(rows)) == 18
    assert sweep("reproduce", "s-confirm", 4).stdout.startswith("identical")


def by_setting(sweep, study: str) -> list[tuple]:
    frame = table(sweep, study, "--test").drop(columns=["seconds", "rank", "trial"])
    return sorted(map(tuple, frame.fillna("").itertuples(index=False)))


@pytest.mark.usefixtures("study_s")
@pytest.mark.long
def test_it_grows_by_seeds_and_settings_and_keeps_what_it_has(sweep):
    sweep("confirm", "s", "--top", 2, "--seeds", 2)
    more = sweep("confirm", "s", "--top", 3, "--seeds", 4)
    assert "4 done, 0 retried, 8 left, 0 duplicated" in more.stderr
    sweep("confirm", "s", "--top", 3, "--seeds", 4, "--study", "whole")
    assert by_setting(sweep, "s-confirm") == by_setting(sweep, "whole")
    kept = sweep("confirm", "s", "--top", 1, "--seeds", 1)
    assert "trained 0" in kept.stderr
    assert "3 settings of 6" in kept.stdout


def test_the_confirmation_is_trained_as_the_study_was(sweep, tmp_path):
    sweep("grid", *GRID, "--split-seed", 3, "--precision", "bf16", "--metric", "val_accuracy", "--study", "s")
    sweep("confirm", "s", "--top", 1, "--seeds", 2)
    [[text]] = query(tmp_path / "results" / "sweep.db", "SELECT recipe FROM studies WHERE name = 's-confirm'")
    recipe = json.loads(text)
    assert recipe["confirms"] == "s"
    assert (recipe["split_seed"], recipe["precision"], recipe["metric"]) == (3, "bf16", "val_accuracy")
    assert recipe["settings"][0]["epochs"] == 3
    # Retrained on the study's own seed, its best setting has the study's number to the last bit.
    sweep("confirm", "s", "--top", 1, "--seeds", 2, "--seed", "1,2", "--study", "other")
    assert by_setting(sweep, "other") == by_setting(sweep, "s-confirm")


def test_a_search_is_confirmed_too(sweep):
    sweep("search", "--lr", "1e-4:1e-1:log", "--optimizer", "adam,sgd", "--epochs", 2, "--trials", 6, "--study", "q")
    made = json.loads(sweep("confirm", "q", "--per", "optimizer", "--seeds", 2, "--json").stdout)
    assert [row["n"] for row in made["settings"]] == [2, 2]
    assert {row["optimizer"] for row in made["settings"]} == {"adam", "sgd"}


@pytest.mark.usefixtures("study_s")
def test_the_report_names_the_test_score_of_the_selected_one_alone(sweep):
    result = sweep("confirm", "s", "--top", 2, "--seeds", 3)
    assert result.stdout.count("test data") == 1
    assert "First against second" in result.stdout
    assert "test data" not in sweep("confirm", "s", "--where", "lr=0.01").stdout  # would show that of any
    assert "test" not in json.dumps(json.loads(sweep("confirm", "s", "--json").stdout)["settings"])
    one = sweep("confirm", "s", "--top", 1, "--seeds", 1, "--study", "one").stdout
    assert "one seed: no interval" in one


@pytest.mark.long
@pytest.mark.usefixtures("study_s")
def test_failed_trials_are_said_and_retried(sweep, tmp_path):
    inject_defect(tmp_path, "lr", 0.01)
    flags = ["confirm", "s", "--top", 6, "--seeds", 2]
    result = sweep(*flags, code=1, env={"PYTHONPATH": str(tmp_path)})
    assert "4 trials failed: sweep resume s-confirm --retry-failed" in " ".join(result.stdout.split())
    sweep("resume", "s-confirm", "--retry-failed")
    sweep(*flags, "--study", "whole")
    assert numbers(sweep, "s-confirm") == numbers(sweep, "whole")


def test_by_default_the_best_three_or_all_where_there_are_fewer():
    values = np.random.default_rng(0).normal(size=(5, 4))
    assert [len(split_by_seed(simulated(values[:n]), selected_on="0").rows) for n in (1, 2, 5)] == [1, 2, 3]
    with pytest.raises(UsageError, match="--top 2: study 'simulated' has 1 setting with a complete trial"):
        split_by_seed(simulated(values[:1]), top=2, selected_on="0")


def test_what_was_first_is_not_said_of_another():
    values = np.array([[0.0, np.nan], [1.0, 2.0]])
    frame = simulated(values)
    frame = replace(frame, trials=frame.trials.drop(index=1))  # the first has no fresh seed
    said = confirmation_report(split_by_seed(frame, selected_on="0"))
    text = io.StringIO()
    Console(file=text, width=120).print(said)
    assert "Of these, what was first (rank 2 of 2) had 1.0000" in text.getvalue()


BAD = [
    (["nothing"], "unknown study 'nothing'"),
    (["s", "--top", 7], "--top 7: study 's' has 6 settings with a complete trial"),
    (["s", "--per", "batch_nrom"], "did you mean 'batch_norm'?"),
    (["s", "--per", "hidden"], "unknown swept hyperparameter 'hidden'"),
    (["s", "--seed", "0,5"], "the study used this seed"),
    (["s", "--seed", "five"], "seed"),
    (["s", "--metric", "test_loss"], "nothing is selected on test data"),
    (["s", "--where", "lr>5"], "no complete trial"),
    (["s", "--seed", "0-5"], "the study used this seed"),
    (["s", "--seed", "9-5"], "range from 9 to 5"),
    (["s", "--selected-on", "0"], "has no other seed"),
    (["s", "--selected-on", "3"], "has no such seed"),
    (["s", "--selected-on", "0", "--seeds", 3], "nothing is trained here"),
    (["s", "--study", "s"], "is no confirmation of 's'"),
    (["s", "--study", "a/b"], "study name"),
]


def test_what_cannot_be_confirmed_gets_one_line(tmp_path, monkeypatch, capsys):
    made(tmp_path / "results", "s", {"lr": "0.1,0.03,0.01", "batch_norm": "on,off"}, lambda trial: trial.number + 1.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for flags, told in BAD:
        monkeypatch.setattr("sys.argv", ["sweep", "confirm", *map(str, flags)])
        with pytest.raises(SystemExit) as ended:
            main()
        errors = capsys.readouterr().err
        assert ended.value.code == 2, flags
        assert told in errors, flags
        assert len(errors.splitlines()) == 1


# Published results


def test_the_published_order_of_optimizers_holds_on_fresh_seeds(sweep):
    path = SHARED / "hpo-tables" / "deepobs-cifar10_3c3d.csv"
    if not path.exists():
        pytest.skip("the published table is not here")
    ignored = "problem,epochs_run,epochs,best_test_acc,best_epoch,final_train_loss,final_test_loss"
    sweep("import", path, "--metric", "final_test_acc", "--maximize", "--ignore", ignored, "--study", "d")
    made = json.loads(sweep("confirm", "d", "--per", "optimizer", "--json").stdout)
    assert made["selected_on"] == [42]
    assert made["fresh"] == list(range(43, 52))
    assert made["order_held"]
    found = {row["optimizer"]: [round(row[name], 4) for name in ("selected", "mean", "sd")] for row in made["settings"]}
    assert found == {  # DeepOBS: best at seed 42, mean and standard deviation on fresh seeds
        "AdamOptimizer": [0.8504, 0.8472, 0.0036],
        "MomentumOptimizer": [0.8469, 0.8438, 0.0067],
        "GradientDescentOptimizer": [0.8382, 0.8369, 0.0129],
    }
    text = sweep("confirm", "d", "--per", "optimizer").stdout
    assert "The order is the same as when selected." in text
    assert "no difference shown" in text


def test_an_imported_order_that_reverses_is_exposed(sweep, tmp_path):
    rows = [("a", seed, 0.9 if seed == 0 else 0.5) for seed in range(6)] + [("b", seed, 0.8) for seed in range(6)]
    rows += [("c", 0, 0.1)]
    draw = np.random.default_rng(0)
    text = "".join(f"{name},{seed},{value + 0.01 * draw.normal()}\n" for name, seed, value in rows)
    (tmp_path / "t.csv").write_text("method,seed,score\n" + text)
    sweep("import", tmp_path / "t.csv", "--metric", "score", "--maximize", "--study", "t")
    shown = sweep("confirm", "t", "--top", 2).stdout
    assert "The order changed: the former ranks are now 2, 1." in shown
    assert "the first is better" in shown
    assert re.search(r"0\.3\d+ to 0\.4\d+", shown) or "it had been lucky" in shown


# Recipes that list settings


def test_a_recipe_may_list_settings(sweep, tmp_path):
    (tmp_path / "l.toml").write_text(
        "epochs = 2\nseeds = 2\nsettings = [{ lr = 0.1 }, { lr = 0.01, beta1 = 0.8 }, "
        '{ lr = 0.1 }, { optimizer = "sgd" }]\n'
    )
    assert "3 settings x 2 seeds" in sweep("plan", "l.toml", "--no-measure").stdout
    sweep("grid", "l.toml")
    assert len(table(sweep, "l")) == 6
    assert "6 done" in sweep("resume", "l").stderr


LISTS = [
    ("settings = []", "expected a list of tables"),
    ("settings = [1]", "expected a list of tables"),
    ("settings = [{ lrr = 0.1 }]", "did you mean 'lr'?"),
    ("settings = [{ lr = -1 }]", "expected a number > 0"),
    ("settings = [{ seed = 1 }]", "unknown hyperparameter 'seed'"),
    ("lr = [0.1, 0.2]\nsettings = [{ hidden = 8 }]", "lr cannot be swept beside them"),
    ("lr = 0.1\nsettings = [{ lr = 0.2 }]", "give it once"),
]


def test_a_bad_list_of_settings_gets_one_line(tmp_path):
    for text, told in LISTS:
        (tmp_path / "l.toml").write_text(text)
        with pytest.raises(UsageError, match="line") as refused:
            load_recipe(tmp_path / "l.toml", {})
        assert told in str(refused.value)
