"""`sweep check`: every remark on a study that deserves it, none on one that does not, commands that run."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sweep.analysis.check import check
from sweep.analysis.check.accidents import diverged
from sweep.analysis.check.edges import next_values
from sweep.analysis.check.reading import read
from sweep.analysis.commands import grow_command
from sweep.recipe import load_recipe
from tests.made import made
from tests.tables import PROTEIN, grid, protein

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
    assert next_values(name, levels) == pytest.approx(further)


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
        "4 of 20 trials diverged (20%): all that have lr 0.1 and no other, though so few settings cannot rule out chance"
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
        "Not checked: learning curves (2 epochs, at least 6 are needed), edges (no hyperparameter took three numbers) and the spread over seeds (there is one)."
        in text
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
