"""A target that is a number: training as torch.optim does it, scores as scikit-learn has them, in every command."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from sweep import nets
from sweep.analysis import study_table
from sweep.data import describe, load
from sweep.data.target import looks_measured
from sweep.engine import Program, Training
from sweep.engine.streams import stream
from sweep.errors import UsageError
from sweep.hyperparameters import SQUARED_ERROR, canonical
from sweep.ledger import Ledger
from sweep.recipe import fit_task, load_recipe
from sweep.space import Trial, Watch


@pytest.fixture(scope="module")
def source():
    return load("diabetes", None, 0)


def settings_of(*some: dict, **common) -> list[dict]:
    return [canonical({"loss": SQUARED_ERROR, "hidden": 8, "depth": 1} | common | one) for one in some]


def trained_alone(setting: dict, split, seed: int, epochs: int) -> torch.nn.Module:
    """By torch.optim, in float64."""
    net = nets.build(setting, tuple(split.train.x.shape[1:]), 1)
    nets.initialize(net, setting, stream(seed, "init"))
    net = net.double()
    optimizer = torch.optim.Adam(net.parameters(), lr=setting["lr"])
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(split.train.y), generator=stream(seed, "order", epoch))
        for pick in torch.split(order, setting["batch_size"]):
            if len(pick) > 1:
                loss = torch.nn.functional.mse_loss(
                    net(split.train.x[pick].double())[:, 0], split.train.y[pick].double()
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return net


@pytest.mark.parametrize("normalize", ["zscore", "none"])
def test_lanes_are_torch_optim_and_scores_are_sklearn(source, normalize):
    settings = settings_of({"lr": 0.01}, {"lr": 0.1}, normalize=normalize, train_size=200)
    split = source.split(normalize, 200)
    program = Program(settings, [3, 3], split, dtype=torch.float64)
    for epoch in (1, 2):
        metrics = program.train_epoch(epoch)
    target = source.train[1][:200]
    assert split.target == (target.mean(), target.std())
    for lane, setting in enumerate(settings):
        net = trained_alone(setting, split, 3, 2)
        for part, (_, y) in ((split.val, source.val), (split.test, source.test)):
            scores = {name: values[lane] for name, values in program.evaluate(part).items()}
            with torch.no_grad():
                answers = net(part.x.double())[:, 0].numpy() * target.std() + target.mean()
            assert scores["loss"] == pytest.approx(mean_squared_error(y, answers), rel=1e-6)  # rows are float32
            assert scores["mae"] == pytest.approx(mean_absolute_error(y, answers), rel=1e-6)
            assert scores["r2"] == pytest.approx(r2_score(y, answers), rel=1e-5)
        assert metrics.val_loss[lane] == program.evaluate(split.val)["loss"][lane]
    assert np.isnan(metrics.val_accuracy).all()


def test_a_trial_has_the_same_bits_alone_and_in_company(source):
    split = source.split("zscore", "all")
    settings = settings_of(*({"lr": lr} for lr in (0.1, 0.01, 0.001)), epochs=3, batch_norm=True, dropout=0.2)
    trials = [Trial(number, setting, number % 2) for number, setting in enumerate(settings)]

    def numbers(*some):
        rows = [record for records in Training(list(some), split, watch=Watch(every=3)) for record in records]
        return [repr(record._replace(seconds=0.0)) for record in rows if record.number == 1]

    assert numbers(trials[1]) == numbers(*trials) == numbers(*trials[::-1])
    assert all(name in numbers(trials[1])[-1] for name in ("val_mae", "val_r2", "test_mae", "test_r2"))


@pytest.mark.parametrize(
    ("y", "measured"),
    [
        ([0.5, 1.0] * 20, True),
        (list(range(40)), False),  # few enough
        (list(range(60)), True),  # a row each
        (list(range(60)) * 5, False),  # counted from 0, five rows each
        (list(range(1, 61)) * 5, False),
        (list(range(20, 80)) * 5, True),  # ages, say
        ([float(value) for value in range(3)] * 9, False),
        (["a", "b"] * 9, False),
        ([True, False] * 9, False),
    ],
)
def test_what_looks_like_a_number_to_predict(y, measured):
    assert looks_measured(np.array(y)) is measured


def test_diabetes_is_sklearns(source):
    bunch = load_diabetes()
    assert sorted(np.concatenate([part[1] for part in (source.train, source.val, source.test)])) == sorted(bunch.target)
    info = describe("diabetes")
    assert (info.shape, info.regression, info.classes) == ((10,), True, 1)
    assert "progression is a number (25 to 346), so this is regression" in info.notes[0]
    assert (bunch.target.min(), bunch.target.max()) == (25, 346)


def test_the_task_is_decided_said_and_overruled(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 3))
    arrays = {"x": rows, "y": np.arange(60) % 4}
    np.savez(tmp_path / "few.npz", **arrays)
    name = str(tmp_path / "few.npz")
    assert (describe(name).regression, describe(name).classes) == (False, 4)
    numbers = load(f"{name}#task=regression", None, 0)
    assert numbers.info.regression
    assert numbers.train[1].dtype == np.float64
    np.savez(tmp_path / "many.npz", **arrays | {"y": rows[:, 0].astype(np.float32)})
    assert describe(str(tmp_path / "many.npz")).notes == (
        f"y_train is a number ({np.float32(rows[:, 0].min()):g} to {np.float32(rows[:, 0].max()):g}), so this is "
        "regression: the loss is the mean squared error, in y_train's own units squared",
    )
    pd.DataFrame(rows).assign(t=np.arange(60) % 4).to_csv(tmp_path / "t.csv")
    info = describe(f"{tmp_path / 't.csv'}#target=t")
    assert not info.regression
    assert "t holds 4 classes; with --task regression it is a number" in info.notes


BAD = {
    "loss": ({"data": "diabetes", "loss": "mse"}, "loss = mse: is for classes, and the target of diabetes is a number"),
    "metric": ({"data": "diabetes", "metric": "val_accuracy"}, "diabetes has a target that is a number; expected one"),
    "classes": ({"data": "iris", "metric": "val_r2"}, "iris has classes; expected one of val_loss, val_accuracy"),
    "of classes": ({"data": "iris", "loss": SQUARED_ERROR}, "is for a target that is a number; iris has classes"),
}


@pytest.mark.parametrize(("flags", "words"), BAD.values(), ids=BAD)
def test_what_is_of_the_other_task_is_refused(flags, words):
    recipe = load_recipe(None, flags)
    with pytest.raises(UsageError) as caught:
        fit_task(recipe, describe(recipe.data))
    assert words in str(caught.value)


def test_a_target_that_never_varies_is_refused(tmp_path):
    np.savez(tmp_path / "flat.npz", x=np.ones((30, 2)), y=np.full(30, 0.5))
    with pytest.raises(UsageError, match=r"y_train is 0\.5 in every row"):
        describe(str(tmp_path / "flat.npz"))


def test_a_study_of_a_number_in_the_commands(sweep, tmp_path):
    sweep("grid", "--data", "diabetes", "--lr", "0.1,0.01", "--hidden", 8, "--epochs", 6, "--seeds", 2, "--study", "d")
    board = {metric: sweep("show", "d", "--metric", metric, "--json") for metric in ("val_loss", "val_mae", "val_r2")}
    shown = {metric: json.loads(result.stdout)["settings"] for metric, result in board.items()}
    for metric, rows in shown.items():
        means = [row["mean"] for row in rows]
        assert means == sorted(means, reverse=metric == "val_r2")
    trial = json.loads(sweep("trial", "d", 0, "--test", "--json").stdout)
    assert {"val_mae", "val_r2", "test_loss", "test_mae", "test_r2"} <= trial.keys()
    variance = np.var(load("diabetes", None, 0).test[1])
    assert trial["test_r2"] == pytest.approx(1 - trial["test_loss"] / variance)
    assert trial["curve"][-1]["val_r2"] == trial["val_r2"]
    with Ledger(tmp_path / "results") as ledger:
        bounds = study_table(ledger, ledger.study("d")).bounds
    ends = {"val_r2": (-np.inf, 1), "test_r2": (-np.inf, 1), "val_mae": (0, np.inf), "test_mae": (0, np.inf)}
    assert {name: bounds(name) for name in ends} == ends
    texts = [
        sweep(*words).stdout for words in (["show", "d"], ["trial", "d", 0], ["check", "d"], ["effect", "d", "lr"])
    ]
    texts += [sweep(*words).stdout for words in (["plot", "d", "curves"], ["steps", "d", "--target", 4000], ["ls"])]
    texts.append(sweep("export", "d", "-o", "-", "--test").stdout)
    assert not [text for text in texts if "accuracy" in text or "guessing" in text or "nan" in text]
    assert "identical: trial 1" in sweep("reproduce", "d", 1).stdout
    assert "choose from val_loss" in sweep("show", "d", "--metric", "val_accuracy", code=2).stderr
    assert "no areas of classes" in sweep("plot", "d", "boundary", code=2).stderr
