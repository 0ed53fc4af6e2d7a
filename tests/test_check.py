"""`sweep check`: every remark on a study that deserves it, none on one that does not, commands that run."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sweep.analysis.check import check
from sweep.analysis.check.accidents import diverged
from sweep.analysis.check.edges import _chance, edges, next_values
from sweep.analysis.check.reading import read
from sweep.analysis.commands import grow_command
from sweep.analysis.settings import rank_settings
from sweep.data import Classes, load
from sweep.hyperparameters import TABLE
from sweep.ledger import Ledger
from sweep.recipe import load_recipe
from tests.made import made
from tests.tables import PROTEIN, grid, protein, table

needs_protein = pytest.mark.skipif(not PROTEIN.is_file(), reason="the published tables are not beside the repository")
NONE = pd.DataFrame()
LRS = [0.1, 0.03, 0.01, 0.003, 0.001]


def kinds(remarks):
    return [remark.kind for remark in remarks]


def bowl(lr, best, noise=0.0, rng=None):
    """A loss with its least at a learning rate."""
    return 0.1 + 0.05 * math.log10(lr / best) ** 2 + (noise * rng.normal() if rng else 0.0)


def curves(study, shape, epochs=20):
    """The same curve for every trial: shape(epoch) -> (train_loss, val_loss)."""
    rows = []
    for number in study.trials["number"]:
        for epoch in range(1, epochs + 1):
            train, val = shape(epoch, number)
            rows.append(
                {
                    "trial": number,
                    "epoch": epoch,
                    "train_loss": train,
                    "val_loss": val,
                    "train_accuracy": 0.9,
                    "val_accuracy": 0.9,
                }
            )
    return pd.DataFrame(rows)


def settled(epoch, _):
    return 0.05 + 0.5**epoch, 0.1 + 0.5**epoch


def healthy():
    rng = np.random.default_rng(0)
    value = lambda s, _: bowl(s["lr"], 0.01, noise=0.001, rng=rng) + 0.03 * s["batch_norm"]  # noqa: E731
    return grid({"lr": LRS, "batch_norm": [False, True]}, value, 5, constant={"epochs": 20})


def test_a_healthy_study_has_nothing_to_remark():
    study = healthy()
    assert check(study, curves(study, settled)) == []


def test_the_best_at_the_edge_of_a_range():
    rng = np.random.default_rng(0)
    study = grid(
        {"lr": LRS, "batch_norm": [False, True]},
        lambda s, _: bowl(s["lr"], 1e-4, noise=0.001, rng=rng) + 0.03 * s["batch_norm"],
        5,
    )
    found = check(study, NONE)
    assert kinds(found) == ["edge"]
    assert found[0].numbers["value"] == 0.001
    assert found[0].numbers["try"] == [0.000333, 0.000111]
    assert "the best lr, 0.001, is the lowest that was tried" in found[0].text


@pytest.mark.long
def test_no_edge_by_chance():
    """The best of three values that do the same lies at an end two times in three; that is no finding."""
    rng = np.random.default_rng(4)
    edges = 0
    for _ in range(60):
        study = grid({"beta1": [0.8, 0.88, 0.9], "lr": LRS}, lambda s, _: bowl(s["lr"], 0.01, noise=0.01, rng=rng), 3)
        edges += "edge" in kinds(check(study, NONE))
    assert edges <= 3


@pytest.mark.long
@needs_protein
def test_the_published_grid_has_its_best_learning_rate_at_the_edge():
    found = {remark.numbers["name"]: remark for remark in check(protein(), NONE) if remark.kind == "edge"}
    assert found["init_lr"].numbers["value"] == 0.0005
    assert found["init_lr"].numbers["try"] == [0.00025, 0.000125]
    assert "dropout_1" not in found  # nothing lies below 0


@pytest.mark.parametrize(
    ("name", "levels", "further"),
    [
        ("lr", [0.1, 0.01, 0.001], [0.0001, 0.00001]),
        ("lr", [0.001, 0.01, 0.1], [1.0, 10.0]),
        ("beta1", [0.8, 0.85, 0.9], [0.95, 0.975]),
        ("beta2", [0.99, 0.999, 0.9999], [0.99995, 0.999975]),
        ("dropout", [0.5, 0.2, 0.0], []),
        ("dropout", [0.5, 0.3, 0.2], [0.1, 0.0]),
        ("hidden", [16, 32, 64], [128, 256]),
        ("n_units", [128, 256, 512], [1024, 2048]),
        ("depth", [4, 3, 2], [1]),
        ("depth", [3, 2, 1], []),
        ("width_of_another", [0.6, 0.3, 0.0], []),
    ],
)
def test_the_range_to_try_next(name, levels, further):
    assert next_values(TABLE.get(name), levels) == pytest.approx(further)


def test_still_improving_overfitting_and_noise_are_read_off_the_best_curves():
    study = healthy()
    rng = np.random.default_rng(0)
    steady = check(study, curves(study, lambda e, _: (1 / e, 2 / e)))
    assert kinds(steady) == ["improving"]
    over = check(study, curves(study, lambda e, _: (1 / e, 0.2 + 0.02 * abs(e - 8))))
    assert kinds(over) == ["overfitting"]
    assert over[0].numbers["epoch"] in (7, 8)
    loud = check(study, curves(study, lambda *_: (0.1, 0.2 + 0.06 * rng.normal())))
    assert kinds(loud) == ["noisy"]
    shaky = curves(study, lambda e, _: (1 / e, 0.2 + 0.02 * rng.normal()))
    assert "overfitting" not in kinds(check(study, shaky))
    trembling = curves(study, lambda e, _: (0.1, 0.2 + 0.5**e + 0.008 * rng.normal()))
    assert check(study, trembling) == []


def test_divergence_is_told_by_what_tells_most_and_not_by_lr():
    """Half of the settings with the widest initial weights diverged, all without batch norm, at every learning rate."""
    lost = {(1.0, lr) for lr in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)} | {(0.1, 0.01), (0.1, 0.3)}
    study = grid(
        {"lr": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3], "batch_norm": [False, True], "init_std": [0.001, 0.01, 0.1, 1.0]},
        lambda s, _: math.nan if not s["batch_norm"] and (s["init_std"], s["lr"]) in lost else 0.1 + bowl(s["lr"], 0.1),
        3,
    )
    found = next(one for one in check(study, NONE) if one.kind == "diverged")
    assert found.numbers["diverged"] == 24
    assert "lr" not in found.numbers["by"]
    assert set(found.numbers["by"]) == {"batch_norm", "init_std"}
    assert found.numbers["by"]["batch_norm"] == {"off": 1 / 3, "on": 0.0}
    assert found.numbers["by"]["init_std"]["1"] == 0.5


@pytest.mark.long
def test_divergence_by_chance_blames_nothing():
    """Independent of every hyperparameter: one is named in at most 5 % of studies (and some margin for 200 of them)."""
    rng, named = np.random.default_rng(5), 0
    for _ in range(200):
        lost = iter(np.repeat(rng.random(24) < 0.2, 2))
        study = grid(
            {"lr": [0.001, 0.01, 0.1, 1.0], "batch_norm": [False, True], "dropout": [0.0, 0.2, 0.5]},
            lambda _s, _, lost=lost: math.nan if next(lost) else 0.1,
            2,
        )
        named += any("by" in one.numbers for one in diverged(read(study, NONE, None)))
    assert named <= 18


def test_divergence_by_learning_rate():
    study = grid(
        {"lr": LRS, "batch_norm": [False, True]},
        lambda s, _: math.nan if s["lr"] == 0.1 else bowl(s["lr"], 0.01) + 0.03 * s["batch_norm"],
        2,
    )
    found = check(study, NONE)
    assert kinds(found) == ["diverged"]
    assert found[0].text == (
        "4 of 20 trials diverged (20%): all that have lr 0.1 and no other, though so "
        "few settings cannot rule out chance"
    )
    assert found[0].command == "sweep show made --where state=diverged"


def test_too_few_seeds_for_the_gap():
    rng = np.random.default_rng(0)
    near = grid({"batch_norm": [False, True]}, lambda s, _: 0.1 + 0.002 * s["batch_norm"] + 0.003 * rng.normal(), 3)
    found = check(near, NONE)
    assert kinds(found) == ["seeds"]
    assert found[0].command.startswith("sweep confirm made --top 3 --seeds ") or "no realistic number" in found[0].text
    one = check(grid({"batch_norm": [False, True]}, lambda s, _: 0.1 + 0.002 * s["batch_norm"]), NONE)
    assert kinds(one) == ["seeds"]
    assert one[0].text.startswith("one seed: the first setting is ahead of the second by 2%")


def test_what_did_nothing_is_named_and_what_did_is_not():
    rng = np.random.default_rng(0)
    study = grid({"lr": LRS, "beta1": [0.8, 0.9], "batch_norm": [False, True]},
                 lambda s, _: bowl(s["lr"], 0.01, noise=0.0001, rng=rng) + 0.05 * s["batch_norm"], 2)  # fmt: skip
    found = [remark for remark in check(study, NONE) if remark.kind == "nothing"]
    assert [remark.numbers["name"] for remark in found] == ["beta1"]
    assert found[0].command == "sweep effect made beta1"
    assert abs(found[0].numbers["low"]) <= found[0].numbers["band"]


def test_the_commands_of_a_real_study_run_and_grow_it(sweep):
    sweep("grid", "--lr", "0.0001,0.0003,0.001", "--batch-norm", "on,off", "--epochs", 6, "--seeds", 2, "--study", "s")
    found = json.loads(sweep("check", "s", "--json").stdout)
    by_kind = {remark["kind"]: remark for remark in found["remarks"]}
    assert {"edge", "improving"} <= set(by_kind)
    assert by_kind["edge"]["numbers"]["value"] == 0.001
    text = " ".join(sweep("check", "s", env={"COLUMNS": "80"}).stdout.split())
    assert by_kind["edge"]["command"] in text
    words = shlex.split(by_kind["edge"]["command"])
    assert words[:2] == ["sweep", "grid"]
    assert "20 complete of 20 trials; trained 8" in sweep(*words[1:]).stderr
    words = shlex.split(by_kind["improving"]["command"])
    assert "--epochs 12" in by_kind["improving"]["command"]
    sweep("plan", *words[2:])
    assert "unknown study 'q'" in sweep("check", "q", code=2).stderr


def test_a_study_without_curves_says_what_it_did_not_read(sweep):
    sweep("grid", "--lr", "0.1,0.0001", "--epochs", 2, "--study", "s")
    text = " ".join(sweep("check", "s").stdout.split())
    assert "Nothing stands out." in text
    assert (
        "Not checked: learning curves (2 epochs, at least 6 are needed), edges (no hyperparameter took three "
        "numbers) and the spread over seeds (there is one)." in text
    )


def test_a_search_whose_best_lie_at_the_end_of_a_range(sweep):
    sweep("search", "--lr", "1e-5:3e-3:log", "--hidden", "16:64", "--epochs", 2, "--trials", 24, "--study", "s")
    remarks = json.loads(sweep("check", "s", "--json").stdout)["remarks"]
    edge = next(remark for remark in remarks if remark["kind"] == "edge")
    assert (edge["numbers"]["name"], edge["numbers"]["edge"], edge["numbers"]["try"]) == ("lr", "upper", [0.03])
    assert edge["command"] == "sweep search --lr 1e-05:0.03:log --hidden 16:64 --epochs 2 --trials 24 --study s-2"
    assert "24 complete of 24 trials" in sweep(*shlex.split(edge["command"])[1:]).stderr


def test_a_study_of_which_everything_diverged_says_what_to_try(sweep, tmp_path):
    made(tmp_path / "results", "bad", {"lr": "10,100", "seeds": "2", "epochs": "3"}, lambda _: math.nan)
    remark = json.loads(sweep("check", "bad", "--json").stdout)["remarks"][0]
    assert remark["kind"] == "diverged"
    assert "all 4 trials that finished diverged" in remark["text"]
    assert "lr was from 10 to 100: try lower, 0.001 and 0.0001" in remark["text"]
    assert remark["command"] == "sweep grid --lr 10.0,100.0,0.001,0.0001 --epochs 3 --seeds 2 --study bad"
    assert "4 complete, 4 diverged of 8 trials; trained 4" in sweep(*shlex.split(remark["command"])[1:]).stderr

    def last(name):
        return " ".join(sweep("show", name).stdout.split()[-14:])

    made(tmp_path / "results", "dead", {"lr": "1e-3,1e-2"}, lambda _: math.nan)
    assert "Both trials diverged, so nothing is selected. What to try: sweep check dead" in last("dead")
    assert "try lower, 0.0001 and 1e-05" in " ".join(sweep("check", "dead").stdout.split())
    assert "nothing to compare (2 diverged)" in sweep("effect", "dead", "lr", code=2).stderr
    assert "no trial meets the condition" in sweep("check", "dead", "--where", "lr>5", code=2).stderr


def test_of_a_study_that_is_pruned_or_waits_check_says_so():
    study = grid({"lr": LRS}, lambda *_: 0.5)
    pruned = check(replace(study, trials=study.trials.assign(state="pruned")), NONE)
    assert [remark.text for remark in pruned] == [
        "5 trials were pruned and none is complete, so nothing can be compared"
    ]
    waiting = check(replace(study, trials=study.trials.assign(state="waiting")), NONE)
    assert [remark.command for remark in waiting] == ["sweep resume made"]


def test_the_command_for_more_of_a_search_asks_as_the_search_did():
    search = {"sampler": "random", "pruner": "asha", "min_epochs": 2, "minimize": ["val_loss", "parameters"]}
    recipe = load_recipe(None, {"lr": "1e-4:1e-1:log", "epochs": "4"}, search)
    assert grow_command("s", recipe, {"epochs": [8]}, 30) == (
        "sweep search --lr 0.0001:0.1:log --epochs 8 --trials 30 --sampler random --pruner asha --min-epochs 2 "
        "--minimize val_loss --minimize parameters --study s-2"
    )
    upward = load_recipe(None, {"lr": "1,2", "direction": "maximize"})
    assert " --direction maximize " in grow_command("s", upward, {}, 0)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [1, 3])
def test_noise_has_no_edges(seeds):
    """Studies in which nothing matters: at most 5% have an edge remarked on (within three standard errors)."""
    rng, found, count = np.random.default_rng(3), 0, 30
    curves = pd.DataFrame(columns=["trial", "epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy"])
    for _ in range(count):
        study = grid({"a": [1, 2, 3], "b": [1, 2, 3], "c": [1, 2, 3]}, lambda *_: float(rng.lognormal(0, 0.3)), seeds)
        found += any(remark.kind == "edge" for remark in check(study, curves))
    assert found / count <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / count)


def test_each_level_of_a_factor_has_an_edge_of_its_own():
    """Under mse the best learning rate is the highest that was tried; under cross-entropy it is not."""
    rng = np.random.default_rng(0)
    losses = {"ce": {0.1: 0.5, 0.01: 0.3, 0.001: 0.6}, "mse": {0.1: 0.4, 0.01: 0.8, 0.001: 1.5}}
    study = grid(
        {"lr": [0.1, 0.01, 0.001], "kind": list(losses)},
        lambda s, _: losses[s["kind"]][s["lr"]] * math.exp(0.02 * rng.normal()),
        3,
    )
    curves = pd.DataFrame(columns=["trial", "epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy"])
    edges = [remark for remark in check(study, curves) if remark.kind == "edge"]
    assert [(remark.numbers["name"], remark.numbers["among"]) for remark in edges] == [("lr", {"kind": "mse"})]
    assert edges[0].text.startswith("the best lr with kind mse, 0.1, is the highest that was tried")


RANGES = {"lr": "1e-5:1e-1:log", "depth": "1:4", "dropout": "0:0.5", "hidden": "16:256:log", "beta1": "0.8:0.99"}


def searched(rng, count, value, sampler="random"):
    """A search that asked everywhere alike: its table and its recipe."""
    recipe = load_recipe(None, RANGES, {"sampler": sampler})
    rows = []
    for _ in range(count):
        setting = {}
        for axis in (axis for axis in recipe.axes if axis.name in RANGES):
            one, whole = axis.values, axis.name in ("depth", "hidden")
            low, high = (one.low - 0.5, one.high + 0.5) if whole else (one.low, one.high)
            place = rng.random()
            drawn = low * (high / low) ** place if one.log else low + place * (high - low)
            setting[axis.name] = round(drawn) if whole else drawn
        rows.append(setting | {"seed": 0, "val_loss": value(setting)})
    return replace(table(pd.DataFrame(rows), list(RANGES)), adaptive=sampler == "tpe"), recipe


@pytest.mark.long
def test_a_search_of_noise_has_no_edges():
    """Forty trials, five ranges, nothing matters: at most 5% of 200 studies have an edge remarked on."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(200):
        study, recipe = searched(rng, 40, lambda _: float(rng.lognormal(0, 0.3)))
        found += any(True for _ in edges(read(study, NONE, recipe)))
    assert found <= 10


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_that_gets_better_to_the_end_of_a_range_has_an_edge(sampler):
    rng = np.random.default_rng(1)
    for _ in range(10):
        study, recipe = searched(rng, 100, lambda s: bowl(s["lr"], 10.0, 0.002, rng), sampler)
        found = [remark.numbers for remark in edges(read(study, NONE, recipe))]
        assert [(one["name"], one["edge"]) for one in found] == [("lr", "upper")]


DIGITS = Classes((110,) * 10, (30,) * 9 + (90,), (36,) * 10, tuple(range(10)))
"""Ten classes, of which the last is a quarter of the validation rows."""


def accurate(*values):
    """A study of one seed a setting with these accuracies."""
    values = dict(zip(LRS, values, strict=False))
    return grid({"lr": list(values)}, lambda s, _: values[s["lr"]], metric="val_accuracy")


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        ((0.25, 0.11, 0.2), "above guessing: the highest val_accuracy of a setting is 25.0%, always saying class 9"),
        ((0.26, 0.11, 0.2), "clearly above guessing: the highest val_accuracy of a setting is 26.0%"),
        ((0.40, 0.11, 0.2), ""),
    ],
)
def test_accuracy_no_better_than_guessing(accuracies, words):
    """Of 360 rows at a chance of .25, 26% are no more than luck (the standard deviation is 2.3 points), 40% are."""
    found = [one for one in check(accurate(*accuracies), NONE, classes=DIGITS) if one.kind == "guessing"]
    assert len(found) == bool(words)
    if words:
        assert words in found[0].text
        assert (found[0].numbers["guessing"], found[0].numbers["class"]) == (0.25, 9)
    assert "guessing" not in kinds(check(accurate(*accuracies), NONE))  # of an imported study nothing is known


def test_one_class_is_nearly_everything_and_classes_without_rows():
    one = Classes((950, 50), (97, 3), (10, 1), (0, 7))
    found = [remark for remark in check(accurate(0.999, 0.9), NONE, classes=one) if remark.kind == "classes"]
    assert found[0].text.startswith(
        "95% of the training rows are of class 0: always guessing it has that accuracy, 97.0% on the validation rows"
    )
    assert found[0].command == "sweep show made --metric val_loss"
    gone = Classes((90, 0, 10), (8, 1, 1), (1, 1, 1), (0, 100, 60))
    study = accurate(0.999, 0.9)
    sizes = replace(study, trials=study.trials.assign(train_size=["all", 50]))
    told = [remark.text for remark in check(sizes, NONE, classes=gone) if remark.kind == "classes"]
    assert told[-1] == (
        "2 of 3 classes have no training row (1, 2): the 20.0% of the validation rows "
        "that are of them cannot be learned"
    )
    sized = replace(study, trials=study.trials.assign(train_size=[1, "all"]))
    text = check(sized, NONE, classes=replace(gone, train=(50, 40, 10), first=(0, 1, 2)))[-1].text
    assert text.startswith("with train_size 1, 2 of 3 classes have no training row (1, 2)")


def test_what_a_real_study_was_trained_on_and_with_is_read(sweep, tmp_path):
    """An untrained net, a train_size that leaves a class out, a warm-up past the end, another processor half way."""
    sweep("grid", "--lr", "1e-8", "--train-size", "20,all", "--warmup-epochs", "0,3", "--epochs", 2, "--study", "s")
    with Ledger(tmp_path / "results") as ledger:
        study = ledger.study("s")
        facts = ledger.sittings(study)[0].facts
        ledger._connection.execute(
            "UPDATE trials SET sitting = ? WHERE number < 1", [ledger.sit(study, facts | {"torch": "1.0"})]
        )
        labels = load("digits", None, study.recipe.split_seed).train[1]
    remarks = {one["kind"]: one for one in json.loads(sweep("check", "s", "--json").stdout)["remarks"]}
    assert {"guessing", "classes", "warmup", "machines"} <= set(remarks)
    assert remarks["classes"]["numbers"]["without"] == sorted(set(range(10)) - set(labels[:20].tolist())) != []
    assert remarks["warmup"]["text"].startswith("a warm-up of 3 epochs is longer than a training of 2")
    assert remarks["warmup"]["text"].endswith("(2 of 4 trials)")
    assert sorted(remarks["machines"]["numbers"]["kinds"].values()) == [1, 3]
    assert "the trials come from 2 kinds of machines (" in remarks["machines"]["text"]
    sweep(*shlex.split(remarks["guessing"]["command"])[1:])


@pytest.mark.long
def test_check_and_show_judge_the_first_alike():
    """Where the board has ≈ beside the second setting, check says that seeds are too few, and nowhere else."""
    rng, seen = np.random.default_rng(7), set()
    for gap in np.linspace(0, 0.02, 40):
        study = grid({"lr": LRS}, lambda s, _, gap=gap: 0.1 + gap * LRS.index(s["lr"]) + 0.004 * rng.normal(), 4)
        told = rank_settings(study).told_from_first(1)
        found = [one for one in check(study, NONE) if one.kind == "seeds"]
        assert len(found) == (not told)
        seen.add(told)
    assert seen == {True, False}


def test_check_compares_on_fresh_seeds_where_there_are_some():
    """The score that selected is not averaged with that of fresh seeds: here they say the contrary."""
    rng = np.random.default_rng(0)
    rows = [{"lr": 0.1 / (i + 1), "seed": 0, "val_loss": 0.1 + 0.01 * i + 0.001 * rng.normal()} for i in range(12)]
    fresh = {0: 0.5, 1: 0.2}
    rows += [
        {"lr": 0.1 / (i + 1), "seed": seed, "val_loss": mean + 0.01 * rng.normal()}
        for i, mean in fresh.items()
        for seed in range(1, 7)
    ]
    study = table(pd.DataFrame(rows), ["lr"])
    assert rank_settings(study).roles is not None
    found = check(study, NONE)
    assert "seeds" not in kinds(found)
    first = table(pd.DataFrame(rows[:12]), ["lr"])  # what compares all settings reads the seed that all have
    edge = [one for one in check(first, NONE) if one.kind == "edge"]
    assert len(edge) == 1
    assert [one.text for one in found if one.kind == "edge"] == [edge[0].text]


def test_a_plan_and_a_run_say_what_a_small_training_part_leaves_out(sweep):
    """digits' first 8 training rows (split seed 0) have 6 of the classes, its first 100 all."""
    said = "with train_size 8, 4 of 10 classes have no training row (1, 3, 4, 9)"
    for command in (("plan",), ("grid", "--epochs", 1, "--study", "s")):
        assert sweep(*command, "--train-size", "8,100").stderr.count(said) == 1
    assert "no training row" not in sweep("plan", "--train-size", "100").stderr


@given(st.data(), st.integers(1, 5000))
def test_the_chance_of_so_many_at_the_end_is_scipys(data, settings):
    having, top = (data.draw(st.integers(0, settings)) for _ in range(2))
    there = data.draw(st.integers(0, top + 1))
    expected = float(stats.hypergeom(settings, having, top).sf(there - 1))
    assert _chance(there, settings, having, top) == pytest.approx(expected, rel=1e-9)
