"""Residual and dense networks, depth 0, squared errors: by structure, by their numbers, and what older ledgers make of
them.
"""

from __future__ import annotations

import itertools
import sqlite3

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sweep import nets
from sweep.data import describe
from sweep.engine import Program
from sweep.engine.losses import LOSSES
from sweep.hyperparameters import canonical, restored, stored
from sweep.plan.sizes import parameter_count
from sweep.space import setting_key

OLD = (
    '{"optimizer":"adam","lr":0.01,"beta1":0.9,"beta2":0.999,"eps":1e-08,"weight_decay":0.0,"lr_schedule":"constant",'
    '"warmup_epochs":0.0,"grad_clip":0.0,"model":"mlp","hidden":64,"depth":2,"activation":"relu","batch_norm":true,'
    '"bn_position":"before","bn_eps":1e-05,"bn_momentum":0.1,"bn_affine":true,"dropout":0.0,"init":"kaiming",'
    '"loss":"cross_entropy","label_smoothing":0.0,"batch_size":64,"epochs":1,"normalize":"zscore","train_size":"all"}'
)
"""A setting as it was stored before there were connections."""


def net_of(shape=(1, 8, 8), **values) -> nn.Sequential:
    return nets.build(canonical(values), shape, 10)


# Structure


def shapes(net: nn.Module) -> list[tuple[int, ...]]:
    """The weights of linear and convolution layers, in order."""
    return [tuple(layer.weight.shape) for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]


def test_a_residual_block_adds_what_two_layers_make_of_its_input_to_it():
    """He et al. 2015, equations 1 and 2: the identity where sizes agree, else a linear map; the activation comes
    last.
    """
    torch.manual_seed(0)
    net = net_of(connection="residual", depth=4, hidden=5, batch_norm=True).eval()
    assert shapes(net) == [(5, 64), (5, 5), (5, 64), (5, 5), (5, 5), (10, 5)]
    x = torch.rand(3, 1, 8, 8)
    first, second = (block for block in net if isinstance(block, nets.Residual))
    a = x.flatten(1)
    w1, norm1, _, _, w2, norm2 = first.branch
    linear, norm = first.shortcut
    y = torch.relu(norm2(w2(torch.relu(norm1(w1(a))))) + norm(linear(a)))
    w1, norm1, _, _, w2, norm2 = second.branch
    assert len(second.shortcut) == 0
    y = torch.relu(norm2(w2(torch.relu(norm1(w1(y))))) + y)
    torch.testing.assert_close(net(x), net[-1](y))


def test_a_residual_stage_widens_through_a_1x1_convolution():
    net = net_of(model="cnn", connection="residual", depth=2, convolutions=4, hidden=3)
    block = [(3, 3, 3, 3)] * 2
    first = [(3, 1, 3, 3), (3, 3, 3, 3), (3, 1, 1, 1)]
    wider = [(6, 3, 3, 3), (6, 6, 3, 3), (6, 3, 1, 1), (6, 6, 3, 3), (6, 6, 3, 3)]
    assert shapes(net) == [*first, *block, *wider, (10, 6 * 2 * 2)]


def test_a_dense_block_reads_all_that_came_before_and_adds_growth_channels():
    """Huang et al. 2017: batch norm, activation, convolution; between blocks a 1x1 convolution and average pooling."""
    net = net_of(model="cnn", connection="dense", depth=2, convolutions=3, hidden=6, growth=4, batch_norm=True)
    block = [(4, 6, 3, 3), (4, 10, 3, 3), (4, 14, 3, 3)]
    transition = (9, 18, 1, 1)  # half of 6 + 3 x 4
    later = [(4, 9, 3, 3), (4, 13, 3, 3), (4, 17, 3, 3)]
    assert shapes(net) == [(6, 1, 3, 3), *block, transition, *later, (10, 21 * 2 * 2)]
    kinds = [type(layer).__name__ for layer in net]
    between = ["BatchNorm2d", "ReLU", "Conv2d", "AvgPool2d"]
    end = ["BatchNorm2d", "ReLU", "AvgPool2d", "Flatten", "Dropout", "Linear"]
    assert kinds == ["Conv2d", *["Dense"] * 3, *between, *["Dense"] * 3, *end]
    assert [type(layer).__name__ for layer in net[1].branch] == ["BatchNorm2d", "ReLU", "Conv2d"]
    x = torch.rand(2, 6, 8, 8)
    assert torch.equal(net[1](x)[:, :6], x)
    assert shapes(net_of(connection="dense", depth=3, hidden=6, growth=4)) == [(6, 64), (4, 6), (4, 10), (10, 14)]


def test_parameters_are_counted_as_the_nets_have_them():
    data = describe("digits")
    for connection, norm, affine, hidden in itertools.product(
        ("plain", "residual", "dense"),
        ({}, {"bn_position": "before"}, {"bn_position": "after"}),
        (True, False),
        (5, 64),
    ):
        common = {
            "connection": connection,
            "hidden": hidden,
            "growth": 3,
            "batch_norm": bool(norm),
            "bn_affine": affine,
        }
        for shape in ({"depth": 0}, {"depth": 4}, {"model": "cnn", "depth": 3, "convolutions": 2}):
            setting = canonical(common | norm | shape)
            net = nets.build(setting, data.shape, data.classes)
            assert sum(p.numel() for p in net.parameters()) == parameter_count(setting, data)


# Where they start


def spread(net: nn.Sequential, width: int) -> list[float]:
    """The standard deviation of what each residual block gives, for normal inputs."""
    x = torch.randn(500, width, generator=torch.Generator().manual_seed(0))
    out = []
    for layer in net[1:-1]:
        x = layer(x)
        if isinstance(layer, nets.Residual):
            out.append(x.std().item())
    return out


@torch.no_grad()
def test_a_branch_starts_scaled_or_at_zero_or_explodes():
    """Without batch norm, under kaiming: a block doubles the variance, scaled all blocks make it e times as large at
    most.
    """
    found = {}
    for start in ("scaled", "zero", "full"):
        setting = canonical({"connection": "residual", "depth": 32, "branch_start": start})
        net = nets.build(setting, (64,), 10)
        nets.initialize(net, setting, torch.Generator().manual_seed(1))
        found[start] = spread(net, 64)
    assert len(found["full"]) == 16
    assert found["full"][-1] / found["full"][0] > 50
    assert found["scaled"][-1] / found["scaled"][0] < 2.5
    assert found["zero"][-1] == pytest.approx(found["zero"][1], rel=1e-6)  # a ReLU of what is positive


def test_the_branch_start_is_of_branches_that_no_batch_norm_ends():
    residual = {"connection": "residual", "branch_start": "zero"}
    assert canonical(residual)["branch_start"] == "zero"
    assert canonical(residual | {"batch_norm": True, "bn_position": "after"})["branch_start"] == "zero"
    assert "branch_start" not in canonical(residual | {"batch_norm": True})
    assert "branch_start" not in canonical(residual | {"connection": "dense"})


@torch.no_grad()
def test_lanes_of_several_starts_are_what_each_is_alone(digits):
    settings = [canonical({"connection": "residual", "branch_start": start}) for start in ("scaled", "zero", "full")]
    together = Program(settings, [0, 0, 0], digits)
    for lane, setting in enumerate(settings):
        alone = Program([setting], [0], digits)
        assert all(torch.equal(together.lane(lane)[name], value) for name, value in alone.lane(0).items())


@torch.no_grad()
def test_torchs_own_initial_weights_are_those_of_torch_nn():
    """By their spread: uniform within 1/sqrt(fan in), biases too."""
    setting = canonical({"init": "torch", "hidden": 400})
    net, own = nets.build(setting, (100,), 10), nets.build(setting, (100,), 10)
    nets.initialize(net, setting, torch.Generator().manual_seed(0))
    for (name, mine), theirs in zip(net.named_parameters(), own.parameters(), strict=True):
        assert mine.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.2), name
        assert mine.std().item() == pytest.approx(theirs.std().item(), rel=0.35), name
        assert mine.std() > 0


# What depth does


@pytest.mark.long
@pytest.mark.parametrize("init", ["kaiming", pytest.param("xavier", marks=pytest.mark.slow), "torch"])
def test_depth_harms_plain_nets_and_neither_residual_nor_dense_ones(sweep, tmp_path, init):
    """Digits, width 64, SGD 0.05, 15 epochs: depth x connection x batch norm. Which plain nets fail depends on the
    initial weights; that 32 layers do well with either connection does not."""
    flags = ["--optimizer", "sgd", "--lr", 0.05, "--epochs", 15, "--seeds", 2, "--metric", "val_accuracy"]
    space = ["--connection", "plain,residual,dense", "--batch-norm", "off,on", "--depth", "2,32", "--init", init]
    sweep("grid", *flags, *space, "--study", "d")
    sweep("export", "d", "-o", tmp_path / "d.csv")
    rows = pd.read_csv(tmp_path / "d.csv")
    assert (rows["state"] == "complete").all()
    mean = rows.groupby(["connection", "batch_norm", "depth"])["val_accuracy"].mean()
    for connection, norm in itertools.product(("residual", "dense"), (False, True)):
        assert mean[connection, norm, 2] > 0.93
        assert mean[connection, norm, 32] > 0.9
    for norm in (False, True):
        assert mean["plain", norm, 2] > 0.9
        assert mean["plain", norm, 32] < mean["residual", norm, 32] - 0.1


@pytest.mark.long
def test_full_branches_explode_under_kaiming(sweep, tmp_path):
    """16 layers without batch norm diverge; 2 do not."""
    flags = ["--optimizer", "sgd", "--lr", 0.05, "--epochs", 15, "--connection", "residual", "--branch-start", "full"]
    sweep("grid", *flags, "--depth", "2,16", "--study", "d")
    sweep("export", "d", "-o", tmp_path / "d.csv")
    assert dict(pd.read_csv(tmp_path / "d.csv")[["depth", "state"]].to_numpy()) == {2: "complete", 16: "diverged"}


# Depth 0


@pytest.mark.long
def test_depth_0_is_softmax_regression_and_has_one_minimum(sweep, tmp_path):
    """From four starts, full batch, with a penalty, which makes it strictly convex: the minimum that scikit-learn
    finds.
    """
    from sklearn.linear_model import LogisticRegression

    from sweep.data import load

    flags = ["--depth", 0, "--optimizer", "sgd", "--batch-size", "full", "--lr", 0.5, "--epochs", 800]
    sweep("grid", *flags, "--weight-decay", 0.1, "--init", "normal", "--init-std", "0.01,0.1,1,2", "--study", "c")
    sweep("export", "c", "-o", tmp_path / "c.csv")
    losses = pd.read_csv(tmp_path / "c.csv")["train_loss"]
    train = load("digits", None, 0).split("zscore", "all").train
    x = np.hstack([train.x.flatten(1).double().numpy(), np.ones((len(train.y), 1))])  # the penalty is on biases, too
    model = LogisticRegression(C=1 / (0.1 * len(x)), fit_intercept=False, tol=1e-10, max_iter=5000)
    p = model.fit(x, train.y.numpy()).predict_proba(x)
    expected = -np.log(p[np.arange(len(x)), train.y.numpy()]).mean()
    assert losses.tolist() == pytest.approx([expected] * 4, abs=2e-6)


def test_at_depth_0_what_is_of_hidden_layers_is_folded(sweep):
    setting = canonical({"depth": 0})
    for name in ("hidden", "activation", "batch_norm", "bn_eps", "dropout", "connection", "growth"):
        assert name not in setting
    assert "init" in setting
    out = sweep("plan", "--depth", "0,1", "--hidden", "16,64", "--activation", "relu,tanh", "--dropout", "0,0.5").stdout
    assert "9 trials" in out
    said = sweep("plan", "--depth", 0, "--hidden", 16).stderr
    assert "hidden has no effect here" in said


@pytest.mark.long
def test_a_search_over_depth_0_goes_on_as_if_it_had_not_been_interrupted(sweep):
    flags = ["--depth", "0:2", "--hidden", "4:32", "--activation", "relu,tanh", "--epochs", 1]
    sweep("search", *flags, "--trials", 40, "--study", "whole")
    for trials in (7, 16, 23, 40):
        sweep("search", *flags, "--trials", trials, "--study", "parts")
    whole, parts = (sweep("export", study, "-o", "-").stdout for study in ("whole", "parts"))
    keep = [name for name in whole.split("\n")[0].split(",") if name != "seconds"]
    frames = [pd.read_csv(pd.io.common.StringIO(text))[keep] for text in (whole, parts)]
    pd.testing.assert_frame_equal(*frames)
    assert frames[0].loc[frames[0]["depth"] == 0, "hidden"].isna().all()


# Squared errors


def test_both_squared_errors_by_hand_and_by_autograd():
    """The notes' three classes, y3 = -1000: of the softmax the sum over classes is 2 (1 - p)^2; of the logits it is
    what the logits are from 1 and 0."""
    for a, b in ((1.0, -1.0), (-1.0, 1.0), (-10.0, 10.0)):
        logits = torch.tensor([a, b, -1000.0], dtype=torch.float64).view(1, 3, 1).requires_grad_()
        target = torch.tensor([1.0, 0, 0], dtype=torch.float64).view(1, 3, 1)
        p = 1 / (1 + np.exp(b - a))
        sums = {"mse": 2 * (1 - p) ** 2, "mse_logits": (a - 1) ** 2 + b**2 + 1e6}
        given = {"mse": logits.softmax(1), "mse_logits": logits}
        for name, expected in sums.items():
            loss, gradient = LOSSES[name](logits.detach().clone(), target)
            assert 3 * loss.item() == pytest.approx(expected, rel=1e-12)
            (by_autograd,) = torch.autograd.grad((given[name] - target).square().mean(), logits)
            torch.testing.assert_close(gradient, by_autograd)
    # 2 (1 - p)^2 of (1, -1), (-1, 1), (-10, 10), as computed elsewhere
    assert [round(2 * (1 - 1 / (1 + np.exp(-d))) ** 2, 6) for d in (2, -2, -20)] == [0.028419, 1.551607, 2.0]


def test_help_says_of_what_each_squared_error_is(sweep):
    text = " ".join(sweep("grid", "--help", env={"COLUMNS": "200"}).stdout.replace("│", " ").split())
    assert "mse, the squared error of the softmax's probabilities" in text
    assert "mse_logits, that of the logits themselves" in text
    assert "means over the K classes" in text


# Refused


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ("--connection residual --depth 3", ["depth = 3", "two layers each", "expected depth = 2 or 4"]),
        ("--connection residual --depth 1", ["depth = 1", "expected depth = 2,"]),
        ("--connection residual --depth 2,5", ["depth = 5", "expected depth = 4 or 6"]),
        ("--connection residual --depth 2:4 --trials 5", ["depth = 3", "expected depth = 2 or 4"]),
        ("--model cnn --connection residual", ["convolutions = 1", "expected convolutions = 2"]),
        ("--model cnn --connection dense --depth 4", ["depth = 4", "the deepest that fits is 3"]),
        ("--model cnn --depth 0", ["depth = 0", "expected depth = 1, or model = mlp"]),
        ("--connection resnet", ["resnet", "plain, residual, dense"]),
        ("--loss mse_softmax", ["cross_entropy, mse, mse_logits"]),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(sweep, flags, parts):
    said = sweep("plan", *flags.split(), code=2).stderr
    assert all(part in said for part in parts), said


def test_other_names_lead_here(sweep):
    for given, meant in {
        "--skip-connections": "--connection",
        "--growth-rate": "--growth",
        "--convs": "--convolutions",
    }.items():
        assert f"did you mean {meant}?" in sweep("plan", given, 2, code=2).stderr


# Ledgers that are older


def test_a_setting_is_stored_as_before_and_read_as_now():
    setting = canonical({"lr": 0.01, "batch_norm": True, "epochs": 1})
    assert setting_key(setting) == OLD
    assert setting["connection"] == "plain"
    for values in ({}, {"depth": 0}, {"model": "cnn"}, {"model": "cnn", "connection": "dense", "convolutions": 3}):
        for one in (canonical(values), canonical(values | {"connection": "dense"})):
            assert list(restored(stored(one)).items()) == list(one.items())


def test_a_study_from_before_connections_goes_on_and_grows(sweep, tmp_path):
    """Nothing of it is trained again, and its trials count as plain ones."""
    flags = ["--lr", "0.01,0.1", "--batch-norm", "on", "--study", "s"]
    sweep("grid", *flags, "--epochs", 1)

    def rows() -> list[tuple]:
        with sqlite3.connect(tmp_path / "results" / "sweep.db") as file:
            return file.execute("SELECT number, setting, seed, state, val_loss, seconds FROM trials").fetchall()

    before = rows()
    assert OLD in [row[1] for row in before]
    sweep("grid", *flags, "--epochs", 1)
    assert rows() == before
    said = sweep("grid", *flags, "--epochs", 1, "--connection", "plain,dense").stderr
    assert "connection" in said
    after = rows()
    assert set(before) < set(after)
    assert len(after) == 4
    assert sum('"connection":"dense"' in row[1] for row in after) == 2
    assert sum("connection" in row[1] for row in after) == 2
    sweep("export", "s", "-o", tmp_path / "s.csv")
    assert sorted(pd.read_csv(tmp_path / "s.csv")["connection"]) == ["dense", "dense", "plain", "plain"]
    sweep("grid", *flags, "--epochs", 2, "--connection", "plain,dense")
    assert sorted(row[1].count('"epochs":2') for row in rows()) == [1, 1, 1, 1]
    assert "nothing is wrong" in sweep("doctor").stdout
