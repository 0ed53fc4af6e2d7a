"""Looks inside a trial: right by autograd, Hessians and theory; they change no number and do not depend on company."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sweep import nets
from sweep.data import Part, Split
from sweep.engine import Program, Saver, Training, looking, training
from sweep.engine.looking import largest_eigenvalue
from sweep.hyperparameters import canonical
from sweep.space import LOOKS, EpochRecord, Trial, Watch

NETS = [
    {"depth": 3, "hidden": 12, "activation": "tanh", "batch_norm": True},
    {"depth": 4, "hidden": 9, "connection": "residual", "label_smoothing": 0.1, "label_noise": 0.5},
    {"model": "cnn", "hidden": 3, "convolutions": 2, "connection": "dense", "batch_norm": True, "loss": "mse"},
]


def train(settings: list[dict], split: Split, watch: Watch, seeds: list[int]) -> list[list[EpochRecord]]:
    """Every trial's records, trained together."""
    trials = [Trial(number, setting, seed) for number, (setting, seed) in enumerate(zip(settings, seeds, strict=True))]
    out: list[list[EpochRecord]] = [[] for _ in trials]
    for records in Training(trials, split, watch=watch):
        for record in records:
            out[record.number].append(record)
    return out


def first_rows(split: Split, rows: int = 200) -> Split:
    """The same with few training rows."""
    return replace(split, train=Part(split.train.x[:rows], split.train.y[:rows]))


def values(record: EpochRecord, quantity: str) -> dict[str, float]:
    return {reading.place: reading.value for reading in record.readings if reading.quantity == quantity}


@pytest.mark.parametrize("shape", NETS, ids=["mlp", "residual", "cnn"])
def test_looking_changes_no_number_and_sees_the_same_in_any_company(digits, shape):
    digits = first_rows(digits)
    settings = [canonical({"lr": lr, "epochs": 2, "optimizer": "sgd", **shape}) for lr in (0.01, 0.1, 1e6)]
    watch = Watch(LOOKS if shape.get("model") != "cnn" else ("layers", "gap"), (2,))
    together, plain = train(settings, digits, watch, [0, 0, 3]), train(settings, digits, Watch(), [0, 0, 3])
    for looked, untouched in zip(together, plain, strict=True):
        for mine, theirs in zip(looked, untouched, strict=True):
            mine, theirs = mine._asdict(), theirs._asdict()
            for row in (mine, theirs):
                del row["seconds"], row["readings"]
            assert repr(mine) == repr(theirs)
    [alone] = train(settings[1:2], digits, watch, [0])
    assert alone[0].readings == ()
    assert {reading.step for reading in alone[1].readings} == {4, 8}
    assert repr(alone[1].readings) == repr(together[1][1].readings)


def test_a_stop_is_heard_between_looks_and_none_is_made_again(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "ASK_SECONDS", 0.0)
    looked, look = [], looking.at_start
    monkeypatch.setattr(looking, "at_start", lambda *args: looked.append(args[1]) or look(*args))
    settings = [canonical({"lr": lr, "epochs": 2, "hidden": 4}) for lr in (0.01, 0.1, 1.0)]
    trials = [Trial(number, setting, 0) for number, setting in enumerate(settings)]
    watch, split = Watch(("layers", "gap"), (1,)), first_rows(digits)
    expected = train(settings, split, watch, [0, 0, 0])
    asked = iter(["", "now"])
    stopped = Training(trials, split, Saver(tmp_path, "digits"), lambda: next(asked), watch=watch)
    assert (list(stopped), stopped.stopped) == ([], True)
    assert looked == [0, 1, 2, 0, 1, 2, 0, 1]  # two epochs, uninterrupted; then as far as it went
    [file] = tmp_path.iterdir()
    out: list[list[EpochRecord]] = [[] for _ in trials]
    for records in Training(trials, split, Saver(tmp_path, "digits", file), watch=watch):
        for record in records:
            out[record.number].append(record._replace(seconds=0.0))
    assert out == [[record._replace(seconds=0.0) for record in records] for records in expected]
    assert looked == [0, 1, 2] * 4


@pytest.mark.parametrize("shape", NETS, ids=["mlp", "residual", "cnn"])
def test_gradients_by_layer_are_those_that_the_engine_trains_with(digits, shape):
    setting = canonical({"lr": 1e-30, "epochs": 1, "optimizer": "sgd", **shape})
    [[record]] = train([setting], digits, Watch(("layers",)), [0])
    program = Program([setting], [0], digits, torch.float64)
    program.begin_epoch(1)
    program.train_step()
    net = nets.build(setting, tuple(digits.train.x.shape[1:]), digits.classes)
    norms = {
        name: math.hypot(
            *(
                float(program.parameters.blocks[f"{name}.{part}"].grad.norm())
                for part in ("weight", "bias")
                if f"{name}.{part}" in program.parameters.blocks
            )
        )
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    }
    found = values(record, "grad_norm")
    assert sorted(found.values()) == pytest.approx(sorted(norms.values()), rel=1e-4)
    assert "output" in found
    if not shape.get("batch_norm"):  # the norm over the affine parts of batch norm is in the whole alone
        assert math.hypot(*found.values()) == pytest.approx(program.norm.item(), rel=1e-4)


def test_the_largest_eigenvalue_is_numpys():
    generator = np.random.default_rng(0)
    for size in (1, 2, 40, 300):
        matrix = generator.normal(size=(size, size))
        matrix = matrix + matrix.T - 3 * np.eye(size)
        start = torch.from_numpy(generator.normal(size=size))
        found = largest_eigenvalue(torch.from_numpy(matrix).matmul, start, steps=60)
        assert found == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-4)


def test_curvature_is_the_hessians_largest_eigenvalue(digits):
    digits = first_rows(digits)
    setting = canonical({"lr": 1e-30, "epochs": 1, "hidden": 3, "depth": 1, "activation": "tanh", "optimizer": "sgd"})
    [[record]] = train([setting], digits, Watch(("curvature",)), [0])
    net = nets.build(setting, (1, 8, 8), 10).double()
    program = Program([setting], [0], digits)
    net.load_state_dict({name: value.double() for name, value in program.lane(0).items()})
    names, shapes = zip(*((name, value.shape) for name, value in net.named_parameters()), strict=True)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([shape.numel() for shape in shapes])
        state = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        logits = torch.func.functional_call(net, state, digits.train.x.double())
        return nn.functional.cross_entropy(logits, digits.train.y)

    flat = torch.cat([value.detach().reshape(-1) for value in net.parameters()])
    hessian = torch.func.hessian(loss)(flat)
    assert values(record, "curvature")[""] == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-3)


def test_noise_falls_as_theory_says(digits):
    """sigma sqrt(1/B) sqrt(1 - B/N) (ORACLES.md, Gradient noise): sigma is about the same from every batch size."""
    setting = canonical({"lr": 1e-30, "epochs": 1, "hidden": 32, "depth": 1, "optimizer": "sgd"})
    [[record]] = train([setting], digits, Watch(("noise",)), [0])
    rows = len(digits.train.y)
    found = {int(place.removeprefix("batch ")): value for place, value in values(record, "gradient_noise").items()}
    assert [*found] == [1, 4, 16, 64, 256, 1024]
    sigmas = [value / math.sqrt((1 / size) * (1 - size / rows)) for size, value in found.items()]
    assert max(sigmas) / min(sigmas) < 1.35


def test_the_gap_is_scored_after_the_epoch_without_dropout(digits):
    setting = canonical({"lr": 0.01, "epochs": 2, "hidden": 32, "dropout": 0.5})
    [records] = train([setting], digits, Watch(("gap",)), [0])
    program = Program([setting], [0], digits)
    for record in records:
        program.train_epoch(record.epoch)
        net = nets.build(setting, (1, 8, 8), 10).eval()
        net.load_state_dict(program.lane(0))
        with torch.no_grad():
            logits = net(digits.train.x)
        loss = float(nn.functional.cross_entropy(logits, digits.train.y))
        found = {reading.quantity: reading.value for reading in record.readings}
        assert found["scored_train_loss"] == pytest.approx(loss, rel=1e-5)
        assert found["gap_loss"] == record.val_loss - found["scored_train_loss"]
        assert found["gap_accuracy"] == found["scored_train_accuracy"] - record.val_accuracy
        assert record.train_loss > loss  # dropout was on, and the weights still moved


def test_looks_and_the_gap_take_the_labels_that_the_trial_trains_on(digits):
    """As two trials in company, each with its own labels, and as one trial of a data set with those labels."""
    digits = first_rows(digits)
    shape = {"lr": 0.1, "epochs": 1, "optimizer": "sgd", "hidden": 8, "depth": 1}
    noisy = [canonical(shape | {"label_noise": share}) for share in (0.0, 0.3, 1.0)]
    together = train(noisy, digits, Watch(LOOKS), [4, 4, 4])
    labels = Program(noisy, [4, 4, 4], digits).training_labels()
    wrong = [int((lane != digits.train.y).sum()) for lane in labels]
    assert wrong[0] == 0 < wrong[1] < wrong[2]
    for lane, [record] in zip(labels, together, strict=True):
        [[plain]] = train([canonical(shape)], replace(digits, train=Part(digits.train.x, lane)), Watch(LOOKS), [4])
        assert record.readings == plain.readings


def test_vanishing_and_exploding_gradients(digits):
    """ORACLES.md, Gradient norm by layer at the start, first and last hidden layer, five seeds' geometric mean."""

    def first_last(**shape) -> tuple[float, float]:
        settings = [canonical({"lr": 1e-30, "epochs": 1, "optimizer": "sgd", "batch_size": "full", **shape})] * 5
        records = train(settings, digits, Watch(("layers",)), [0, 1, 2, 3, 4])
        norms = [values(record, "grad_norm") for [record] in records]
        last = f"layer {shape['depth']}"
        return tuple(float(np.exp(np.mean([math.log(norm[place]) for norm in norms]))) for place in ("layer 1", last))

    off = first_last(depth=8, activation="sigmoid")
    assert 3e-5 < off[0] < 5e-4  # 1.4e-4
    assert 0.15 < off[1] < 0.6  # 0.29
    on = first_last(depth=8, activation="sigmoid", batch_norm=True)
    assert 0.2 < on[0] < 0.8  # 0.37
    wild = first_last(depth=8, activation="relu", init="normal", init_std=1.0)
    assert 5e5 < wild[0] < 1e7  # 2.1e6


def test_the_command_shows_layers_and_says_what_there_is(sweep, tmp_path):
    sweep(
        *[
            "grid",
            "--depth",
            "2,3",
            "--batch-norm",
            "on,off",
            "--seeds",
            "2",
            "--epochs",
            "3",
            "--look",
            "layers,gap",
            "--look-epochs",
            "1,3",
            "--study",
            "s",
        ]
    )
    listed = json.loads(sweep(*["look", "s", "--json"]).stdout)
    assert "grad_norm" in [row["quantity"] for row in listed["readings"]]
    told = json.loads(sweep(*["look", "s", "grad_norm", "--by", "depth", "--epoch", "1", "--json"]).stdout)
    assert {(row["place"], row["depth"], row["n"]) for row in told["rows"]} == {
        *((place, 2, 4) for place in ("layer 1", "layer 2", "output")),
        *((place, 3, 4) for place in ("layer 1", "layer 2", "layer 3", "output")),
    }
    shown = sweep(*["look", "s", "gap_loss", "--by", "batch_norm"]).stdout
    assert "batch_norm on" in shown
    assert "generalisation gap" in shown
    sweep(*["export", "s", "--readings", "-o", "r.csv"])
    assert (tmp_path / "r.csv").read_text().startswith("trial,epoch,step,place,quantity,value\n0,1,")
    assert ",gap_loss," in (tmp_path / "r.csv").read_text()
    assert "'" not in (tmp_path / "r.csv").read_text()  # an empty place is empty


def test_what_cannot_be_looked_at_is_one_line(sweep):
    sweep(*["grid", "--epochs", "1", "--study", "plain"])
    sweep(*["grid", "--epochs", "1", "--look", "layers", "--study", "looked"])
    for command, said in (
        ("grid --look layer --study t", "unknown look 'layer': choose from layers, curvature, noise, gap, all"),
        ("grid --look-epochs 3 --study t", "expected look, too"),
        ("grid --look all --look-epochs 0 --study t", "expected epochs, from 1, such as 1,5,10"),
        ("look plain", "nothing was looked at"),
        ("look looked grad", "unknown quantity 'grad'"),
        ("look looked grad_norm --epoch 7", "grad_norm was looked at in epoch 1"),
        ("look looked grad_norm --place layer", "unknown place 'layer'"),
        ("look looked grad_norm --by lr", "expected at least two levels"),
    ):
        answer = sweep(*command.split(), code=2)
        assert said in answer.stderr
        assert len(answer.stderr.strip().splitlines()) == 1
