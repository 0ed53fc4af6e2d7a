"""`sweep model`, `predict`, `ensemble`: files against the ledger, the engine, torch.nn, onnxruntime, scikit-learn."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import sys
import zipfile

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from scipy import stats
from sklearn.metrics import accuracy_score, log_loss
from torch import nn

from sweep import models, nets
from sweep.analysis.ensembles import average_members, best_trials, paired_shares
from sweep.analysis.table import study_table
from sweep.data import load
from sweep.engine import Program, train_alone
from sweep.errors import SweepError, UsageError
from sweep.hyperparameters import restored
from sweep.ledger import FILE, Ledger
from sweep.recipe import load_recipe
from sweep.space import Trial
from sweep.study import load_source, take_model
from tests.conftest import runner
from tests.made import made
from tests.thin import thin

pytestmark = pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one")  # to 1e-8, in float32
SMALL = ("--train-size", 200, "--epochs", 2, "--hidden", 6)
NETWORKS = [
    {"model": model, "connection": connection, "batch_norm": bool(position), "bn_position": position}
    for model in ("mlp", "cnn")
    for connection in ("plain", "residual", "dense")
    for position in ("before", "after", None)
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with two studies: `nets`, of every kind of network, each beside another as a lane; `two` of two numbers
    a row. What runs commands there, and the folder."""
    folder = tmp_path_factory.mktemp("trained")
    run = runner(folder)
    kinds = ("--model", "mlp,cnn", "--connection", "plain,residual,dense", "--bn-position", "before,after")
    more = ("--batch-norm", "on,off", "--convolutions", 2, "--growth", 3, "--dropout", 0.2, "--lr", "0.01,0.003")
    run("grid", *SMALL, *kinds, *more, "--study", "nets")
    run("grid", "--data", "moons", "--epochs", 3, "--lr", "0.1,0.03,0.01", "--seeds", 3, "--study", "two")
    return run, folder


def find(folder, study, **values) -> int:
    """The number of the first trial with these values."""
    with Ledger(folder / "results") as ledger:
        trials = ledger.trials(ledger.study(study))
    for name, value in values.items():
        trials = trials[trials[name].isna() if value is None else trials[name] == value]
    return int(trials["number"].iloc[0])


def take(folder, study, number, **more):
    with Ledger(folder / "results") as ledger:
        stored = ledger.study(study)
        model = take_model(ledger, stored, number, load_source(stored), **more)
        return model, *ledger.trial(stored, number)


def name_network(values) -> str:
    return "-".join(str(value) for value in (values["model"], values["connection"], values["bn_position"] or "none"))


def plain_probabilities(model, rows):
    """By torch.nn alone, from a file's tensors: the module of a setting, standardised by hand."""
    tensors = safetensors.torch.load(models.to_bytes(model, ".safetensors"))
    shift, scale = tensors.pop("shift").numpy(), tensors.pop("scale").numpy()
    net = nets.build(restored(model.about["setting"]), model.shape, len(model.classes))
    found = net.load_state_dict({name.removeprefix("net."): value for name, value in tensors.items()}, strict=False)
    assert not found.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in found.missing_keys)
    with torch.no_grad():
        return torch.softmax(net.eval()(torch.from_numpy(((rows - shift) / scale).astype(np.float32))), 1).numpy()


@pytest.mark.parametrize("network", thin(NETWORKS, 2), ids=name_network)
def test_a_model_is_the_network_of_its_row(trained, network):
    """Its answers are the engine's, row by row, and its loss over the test rows is the ledger's."""
    folder = trained[1]
    model, row, setting = take(folder, "nets", find(folder, "nets", **network))
    source = load("digits", None, 0)
    rows, labels = source.test
    shares = model.probabilities(rows)
    assert log_loss(labels, shares, labels=range(10)) == pytest.approx(row["test_loss"], rel=1e-4)
    assert accuracy_score(labels, shares.argmax(1)) == pytest.approx(row["test_accuracy"], abs=1e-9)
    assert np.abs(shares - plain_probabilities(model, rows)).max() < 1e-6
    split = source.split(setting["normalize"], setting["train_size"])
    program, _ = train_alone(Trial(0, setting, row["seed"]), split, "float32")
    assert (program.predict(split.test.x)[0].numpy() == shares.argmax(1)).all()


LESS = [
    network if place % 5 == 1 else pytest.param(network, marks=pytest.mark.long)
    for place, network in enumerate(NETWORKS)
]


@pytest.mark.parametrize("network", LESS, ids=name_network)
def test_onnxruntime_answers_the_same_for_any_batch(trained, network):
    folder = trained[1]
    model, *_ = take(folder, "nets", find(folder, "nets", **network))
    body = models.to_bytes(model, ".onnx")
    onnx.checker.check_model(onnx.load_model_from_string(body), full_check=True)
    session = onnxruntime.InferenceSession(body)
    rows = load("digits", None, 0).test[0].astype(np.float32)
    for size in (1, 2, 7, len(rows)):
        logits, shares = session.run(["logits", "probabilities"], {"rows": rows[:size]})
        assert np.abs(shares - plain_probabilities(model, rows[:size])).max() < 1e-5
        assert np.abs(logits - model.logits(rows[:size])).max() < 1e-3


@pytest.mark.long
@pytest.mark.parametrize("network", NETWORKS[::4], ids=name_network)
def test_an_exported_program_answers_the_same_for_any_batch(trained, network):
    folder = trained[1]
    model, *_ = take(folder, "nets", find(folder, "nets", **network))
    told = {"sweep.json": ""}
    program = torch.export.load(io.BytesIO(models.to_bytes(model, ".pt2")), extra_files=told).module()
    assert json.loads(told["sweep.json"]) == model.about
    rows = torch.from_numpy(load("digits", None, 0).test[0].astype(np.float32))
    for size in (1, 2, 7):
        assert np.abs(program(rows[:size])[1].numpy() - plain_probabilities(model, rows[:size].numpy())).max() < 1e-6


@pytest.mark.long
def test_batch_norm_is_folded_in_onnx_before_the_activation_alone(trained):
    """So both ways of standing in the file are among those tested above."""
    folder = trained[1]
    kinds = {}
    for position in ("before", "after"):
        number = find(folder, "nets", model="cnn", connection="plain", bn_position=position)
        graph = onnx.load_model_from_string(models.to_bytes(take(folder, "nets", number)[0], ".onnx")).graph
        kinds[position] = {node.op_type for node in graph.node}
    assert "BatchNormalization" not in kinds["before"]
    assert "BatchNormalization" in kinds["after"]


@pytest.mark.parametrize(
    "suffix", [pytest.param(".safetensors", marks=pytest.mark.long), pytest.param(".onnx", marks=pytest.mark.slow)]
)
def test_the_bytes_are_the_same_in_every_process(trained, tmp_path, suffix):
    run, _ = trained
    digests = set()
    for seed in ("1", "2"):
        target = tmp_path / f"{seed}{suffix}"
        run("model", "two", "-o", target, env={"PYTHONHASHSEED": seed})  # as a process of its own
        digests.add(hashlib.sha256(target.read_bytes()).hexdigest())
    assert len(digests) == 1


def test_what_a_file_says_of_itself(trained, tmp_path):
    run, folder = trained
    said = json.loads(run("model", "two", 3, "-o", tmp_path / "a.safetensors", "--json").stdout)
    with safetensors.safe_open(tmp_path / "a.safetensors", "np") as file:
        about = json.loads(file.metadata()["sweep"])
        mean, deviation = file.get_tensor("shift"), file.get_tensor("scale")
        assert list(file.metadata()) == ["sweep"]
    with Ledger(folder / "results") as ledger:
        row, setting = ledger.trial(ledger.study("two"), 3)
    assert {**about, "file": str(tmp_path / "a.safetensors")} == said
    assert restored(about["setting"]) == setting
    assert (about["study"], about["trial"], about["seed"]) == ("two", 3, row["seed"])
    assert about["scores"] == {name: row[name] for name in ("val_loss", "val_accuracy")}
    assert (about["classes"], about["shape"], about["refit"]) == (["0", "1"], [2], False)
    assert about["versions"]["torch"] == torch.__version__.partition("+")[0]
    rows = load("moons", None, 0).train[0]
    assert mean == pytest.approx(rows.mean(0), rel=1e-12)
    assert deviation == pytest.approx(rows.std(0), rel=1e-12)


def test_the_selected_trial_is_the_best_seed_of_the_best_setting(trained, tmp_path):
    run, _ = trained
    run("export", "two", "-o", tmp_path / "two.csv")
    table = pd.read_csv(tmp_path / "two.csv")
    best = table.groupby("lr")["val_loss"].mean().idxmin()
    number = table[table["lr"] == best].sort_values("val_loss")["trial"].iloc[0]
    assert f"trial {number} of two (lr {best:g}," in run("model", "two", "-o", tmp_path / "a.safetensors").stdout


def test_a_trial_that_does_not_come_out_the_same_is_not_written(trained, tmp_path):
    _, folder = trained
    (tmp_path / "results").mkdir()
    for file in (folder / "results").glob(f"{FILE}*"):
        (tmp_path / "results" / file.name).write_bytes(file.read_bytes())
    here = runner(tmp_path)
    with sqlite3.connect(tmp_path / "results" / FILE) as ledger:
        (study,) = ledger.execute("SELECT id FROM studies WHERE name = 'two'").fetchone()
        (value,) = ledger.execute(
            "SELECT val_loss FROM epochs WHERE study = ? AND trial = 1 AND epoch = 2", (study,)
        ).fetchone()
        change = "UPDATE epochs SET val_loss = ? WHERE study = ? AND trial = 1 AND epoch = 2"
        ledger.execute(change, (float(np.nextafter(value, 1)), study))
        ledger.execute("UPDATE trials SET test_loss = test_loss * 1.001 WHERE study = ? AND number = 2", (study,))
    ledger.close()
    said = here("model", "two", 1, "-o", "a.safetensors", code=1).stderr
    assert "trial 1 of 'two', trained again, is not the one in the ledger: in epoch 2 val_loss was" in " ".join(
        said.split()
    )
    said = here("model", "two", 2, "-o", "a.safetensors", code=1).stderr
    assert "the network as a plain module has test_loss" in " ".join(said.split())
    assert not (tmp_path / "a.safetensors").exists()
    here("model", "two", 0, "-o", "a.safetensors")


def test_a_kept_checkpoint_needs_no_training(sweep, tmp_path, monkeypatch):
    for name, more in (("kept", ["--keep-checkpoints"]), ("lost", [])):
        sweep("grid", *SMALL, "--batch-norm", "on", "--lr", "0.1,0.01", *more, "--study", name)
    again = take(tmp_path, "kept", 1)[0]
    monkeypatch.setattr(Program, "train_step", lambda _: pytest.fail("it was trained"))
    rows = load("digits", None, 0).test[0]
    kept = take(tmp_path, "kept", 1)[0]
    assert (kept.probabilities(rows) == again.probabilities(rows)).all()
    with pytest.raises(pytest.fail.Exception):
        take(tmp_path, "lost", 1)
    for file in (tmp_path / "results" / ".checkpoints").rglob("*.safetensors"):
        file.unlink()
    monkeypatch.undo()
    assert models.to_bytes(take(tmp_path, "kept", 1)[0], ".safetensors") == models.to_bytes(kept, ".safetensors")


def test_a_pruned_trial_is_taken_where_it_stopped(sweep, tmp_path):
    flags = ("--lr", "0.0001:1:log", "--trials", 9, "--pruner", "asha", "--sampler", "random", "--epochs", 9)
    sweep("search", *flags, "--hidden", 6, "--train-size", 200, "--study", "pruned")
    number = find(tmp_path, "pruned", state="pruned")
    model, row, _ = take(tmp_path, "pruned", number)
    rows, labels = load("digits", None, 0).val
    assert row["epochs"] < 9
    assert log_loss(labels, model.probabilities(rows), labels=range(10)) == pytest.approx(row["val_loss"], rel=1e-4)


def test_refit_trains_on_training_and_validation_rows(trained, tmp_path):
    run, folder = trained
    number = find(folder, "two", lr=0.03)
    words = run("model", "two", number, "--refit", "-o", tmp_path / "a.safetensors").stdout
    assert "trained on 800 rows" in words
    assert "No score is known for it" in words
    refit = models.read(str(tmp_path / "a.safetensors"))
    assert refit.about["scores"] is None
    source = load("moons", None, 0)
    both = np.concatenate([source.train[0], source.val[0]])
    assert refit.module.shift.numpy() == pytest.approx(both.mean(0), rel=1e-12)
    _, row, setting = take(folder, "two", number)
    x = ((both - both.mean(0)) / both.std(0)).astype(np.float32)
    y = np.concatenate([source.train[1], source.val[1]]).astype(np.int64)
    part = type(source.split("zscore", "all").train)(torch.from_numpy(x), torch.from_numpy(y))
    split = type(source.split("zscore", "all"))(part, part, part, 2)
    program, _ = train_alone(Trial(0, setting, row["seed"]), split, "float32")
    assert (program.predict(part.x)[0].numpy() == refit.probabilities(both).argmax(1)).all()


def test_refit_uses_as_many_training_rows_as_the_trial(trained):
    folder = trained[1]
    model, *_ = take(folder, "nets", 0, refit=True)
    source = load("digits", None, 0)
    assert model.about["trained_rows"] == 200 + 359
    assert model.module.shift.numpy().ravel() == pytest.approx(
        np.concatenate([source.train[0][:200], source.val[0]]).mean(), rel=1e-12
    )


@pytest.mark.parametrize("normalize", ["unit", "none"])
def test_other_ways_of_standardising(sweep, tmp_path, normalize):
    sweep("grid", *SMALL, "--normalize", normalize, "--precision", "bf16", "--lr", 0.001, "--study", "s")
    sweep("model", "s", "-o", "a.safetensors")
    rows = load("digits", None, 0)
    used = rows.train[0][:200].astype(float)
    low, high = (used.min(), used.max()) if normalize == "unit" else (0, 1)
    model = models.read(str(tmp_path / "a.safetensors"))
    assert (float(model.module.shift), float(model.module.scale)) == (low, high - low)


# predict


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """A folder with a study of colour images whose classes are words, its model as both kinds of file, its data."""
    folder = tmp_path_factory.mktemp("animals")
    rng = np.random.default_rng(0)
    labels = rng.choice(["cat", "dog", "eel"], 120)
    x = rng.integers(0, 200, (120, 8, 8, 3)) + 50 * (labels == "dog")[:, None, None, None]
    x = x.astype(np.uint8)
    np.savez(folder / "d.npz", x_train=x[:90], y_train=labels[:90], x_test=x[90:], y_test=labels[90:])
    np.savez(folder / "rows.npz", x=x[90:])
    np.save(folder / "rows.npy", x[90:].transpose(0, 3, 1, 2))
    run = runner(folder)
    run("grid", "--data", "d.npz", "--model", "cnn", "--hidden", 4, "--depth", 1, "--epochs", 3, "--study", "s")
    run("model", "s", "-o", "a.safetensors")
    run("model", "s", "-o", "a.onnx")
    return run, folder


@pytest.mark.parametrize("file", ["a.safetensors", "a.onnx"])
@pytest.mark.parametrize("data", ["d.npz", "rows.npz", "rows.npy"])
def test_predictions_are_the_engines(animals, tmp_path, file, data):
    run, folder = animals
    said = run("predict", file, data, "-o", tmp_path / "preds.csv").stdout
    table = pd.read_csv(tmp_path / "preds.csv")
    shares = table[["p_cat", "p_dog", "p_eel"]].to_numpy()
    assert list(table.columns) == ["row", "prediction", "probability", "p_cat", "p_dog", "p_eel"]
    assert (table["prediction"] == np.array(["cat", "dog", "eel"])[shares.argmax(1)]).all()
    assert (table["probability"] == shares.max(1)).all()
    assert table["row"].tolist() == list(range(30))
    assert shares.sum(1) == pytest.approx(1, abs=1e-6)
    model, row, _ = take(folder, "s", 0)
    rows = np.load(folder / "rows.npy")
    assert np.abs(shares - plain_probabilities(model, rows)).max() < 1e-5
    labels = np.load(folder / "d.npz")["y_test"]
    assert log_loss(labels, shares, labels=["cat", "dog", "eel"]) == pytest.approx(row["test_loss"], rel=1e-4)
    right = int((table["prediction"] == labels).sum())
    assert right / 30 == pytest.approx(row["test_accuracy"])
    assert (f"right in {right} of 30 rows" in said) == (data == "d.npz")


def test_predict_on_a_named_set_takes_the_part_that_its_trial_had(sweep, tmp_path):
    sweep("grid", *SMALL, "--split-seeds", 2, "--study", "s")
    for number in (0, 1):
        sweep("model", "s", number, "-o", "a.safetensors")
        sweep("predict", "a.safetensors", "digits", "--part", "val", "-o", "p.csv")
        with Ledger(tmp_path / "results") as ledger:
            row, _ = ledger.trial(ledger.study("s"), number)
        _, labels = load("digits", None, 0).resplit(number).val
        shares = pd.read_csv(tmp_path / "p.csv").filter(like="p_").to_numpy()
        assert log_loss(labels, shares, labels=range(10)) == pytest.approx(row["val_loss"], rel=1e-4)
    assert row["split_seed"] == 1
    printed = sweep("predict", "a.safetensors", "digits", "-o", "-")
    assert printed.stdout.splitlines()[0] == "row,prediction,probability," + ",".join(f"p_{n}" for n in range(10))
    assert "right in" in printed.stderr


def test_rows_of_classes_with_other_names_are_not_called_wrong(animals, tmp_path):
    run, _ = animals
    np.savez(tmp_path / "other.npz", x=np.zeros((2, 3, 8, 8)), y=np.array(["violin", "flute"]))
    said = run("predict", "a.safetensors", tmp_path / "other.npz", "-o", tmp_path / "p.csv").stdout
    assert "its classes (flute, violin) are not the model's" in said
    assert "right in" not in said
    np.savez(tmp_path / "some.npz", x=np.zeros((2, 3, 8, 8)), y=np.array(["dog", "flute"]))
    said = run("predict", "a.safetensors", tmp_path / "some.npz", "-o", tmp_path / "p.csv").stdout
    assert "; 1 row of classes that it does not know (flute)" in " ".join(said.split())


def test_numbers_of_classes_stay_numbers(sweep, tmp_path):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(60) % 2, -1, 1)
    x = rng.normal(size=(60, 2)) + y[:, None]
    np.savez(tmp_path / "d.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    sweep("grid", "--data", "d.npz", "--epochs", 5, "--study", "s")
    sweep("model", "s", "-o", "a.safetensors")
    sweep("predict", "a.safetensors", "d.npz", "-o", "p.csv")
    table = pd.read_csv(tmp_path / "p.csv")
    assert list(table.columns[3:]) == ["p_-1", "p_1"]
    assert set(table["prediction"]) == {-1, 1}


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int64", "float16", "float32", ">f4", ">i2"])
@pytest.mark.long
def test_rows_of_any_type_are_answered_alike(animals, tmp_path, kind):
    run, folder = animals
    np.save(tmp_path / "r.npy", np.load(folder / "rows.npy").astype(kind))
    for file in ("a.safetensors", "a.onnx"):
        run("predict", file, tmp_path / "r.npy", "-o", tmp_path / "r.csv")
        run("predict", file, "rows.npz", "-o", tmp_path / "x.csv")
        assert (tmp_path / "r.csv").read_text() == (tmp_path / "x.csv").read_text()


# ensemble


def test_an_ensemble_is_the_mean_of_its_members_probabilities(trained, tmp_path):
    """By scikit-learn, from what `sweep predict` says of each member's file."""
    run, _ = trained
    told = json.loads(run("ensemble", "two", "--top", 3, "--json").stdout)
    run("export", "two", "-o", tmp_path / "two.csv")
    table = pd.read_csv(tmp_path / "two.csv")
    order = table.groupby("lr")["val_loss"].mean().sort_values().index
    expected = [int(table[table["lr"] == lr].sort_values("val_loss")["trial"].iloc[0]) for lr in order]
    assert [member["trial"] for member in told["members"]] == expected
    shares = []
    for number in expected:
        run("model", "two", number, "-o", tmp_path / "m.safetensors")
        run("predict", tmp_path / "m.safetensors", "moons", "-o", tmp_path / "p.csv")
        shares.append(pd.read_csv(tmp_path / "p.csv").filter(like="p_").to_numpy())
    labels = load("moons", None, 0).test[1]
    single = [(accuracy_score(labels, p.argmax(1)), log_loss(labels, p)) for p in shares]
    assert told["rows"] == 200
    assert (told["best"]["accuracy"], told["best"]["nll"]) == pytest.approx(single[0], rel=1e-5)
    assert (told["mean"]["accuracy"], told["mean"]["nll"]) == pytest.approx(np.mean(single, 0), rel=1e-5)
    for size, averaged in enumerate(told["averaged"], 2):
        together = np.mean(shares[:size], 0)
        scores = accuracy_score(labels, together.argmax(1)), log_loss(labels, together)
        assert (averaged["score"]["accuracy"], averaged["score"]["nll"]) == pytest.approx(scores, rel=1e-5)
        assert averaged["accuracy_gain"][0] == pytest.approx(scores[0] - single[0][0], abs=1e-9)
        assert averaged["nll_gain"][0] == pytest.approx(single[0][1] - scores[1], abs=1e-6)
    assert [averaged["size"] for averaged in told["averaged"]] == [2, 3]


def test_an_ensemble_of_seeds(trained):
    run, folder = trained
    result = run("ensemble", "two", "--seeds", "--top", 9)
    with Ledger(folder / "results") as ledger:
        table = study_table(ledger, ledger.study("two"))
    members = best_trials(table, seeds=True)
    rows = table.trials.set_index("number").loc[members]
    assert rows["setting"].nunique() == 1
    assert rows["val_loss"].is_monotonic_increasing
    assert "3 members, the seeds of the best setting" in result.stdout
    assert "--top 9: there are 3" in result.stderr


def test_members_are_chosen_on_validation_alone(tmp_path):
    """Test scores that say the contrary change nothing."""
    study = made(
        tmp_path, "m", {"lr": "0.1,0.2,0.3,0.4", "seeds": "2"}, lambda trial: trial.setting["lr"] + trial.seed / 99
    )
    with Ledger(tmp_path) as ledger:
        before = best_trials(study_table(ledger, study))
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("UPDATE trials SET test_loss = -number, test_accuracy = number")
    connection.close()
    with Ledger(tmp_path) as ledger:
        assert best_trials(study_table(ledger, study)) == before == [0, 2, 4, 6]


def test_the_interval_of_nll_is_a_bootstraps():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 400)
    shares = rng.dirichlet([1, 1, 1], (2, 400)) * 0.5
    shares[:, np.arange(400), labels] += 0.5
    (found,) = average_members([4, 7], shares, labels).averaged
    loss = -np.log(np.stack([shares[0], shares.mean(0)])[:, np.arange(400), labels])
    drawn = stats.bootstrap(((loss[0] - loss[1]),), np.mean, n_resamples=20_000, method="percentile", rng=rng)
    assert found.nll_gain[0] == pytest.approx((loss[0] - loss[1]).mean())
    width = drawn.confidence_interval.high - drawn.confidence_interval.low
    assert found.nll_gain[1:] == pytest.approx(tuple(drawn.confidence_interval), abs=0.05 * width)


def test_the_interval_of_accuracy_agrees_with_the_sign_test():
    """It calls no difference what the exact test gives p > .07, and every one of p < .03."""
    for won in range(25):
        for lost in range(won + 1):
            first, second = np.zeros(359), np.zeros(359)
            first[:won], second[won : won + lost] = 1, 1
            gain, low, high = paired_shares(first, second)
            p = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
            assert low <= gain <= high
            assert not (low > 0 and p > 0.07)
            assert not (low <= 0 and p < 0.03)


@pytest.mark.parametrize("better", [0.0, 0.02])
def test_the_interval_of_accuracy_covers(better):
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(2000):
        draws = rng.random(359)
        first, second = (draws < 0.03 + better).astype(float), ((draws > 0.1) & (draws < 0.13)).astype(float)
        _, low, high = paired_shares(first, second)
        held += low <= better <= high
    assert 0.94 <= held / 2000 <= 0.985


# Bad input


@pytest.fixture
def refused(sweep):
    """Runs a command that must be refused; returns the one line."""

    def run(*args: object, code: int = 2, by=sweep) -> str:
        result = by(*args, code=code)
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1, result.stderr
        return " ".join(result.stderr.removeprefix("sweep: ").split())

    return run


def test_studies_without_networks(sweep, refused, tmp_path):
    sweep("grid", "--function", "square", "--start", 3, "--lr", "0.1,0.2", "--steps", 3, "--study", "f")
    (tmp_path / "t.csv").write_text("lr,loss\n0.1,1\n0.2,2\n")
    sweep("import", "t.csv", "--metric", "loss", "--minimize", "--study", "i")
    for command in (("model", "f", "-o", "a.onnx"), ("ensemble", "f")):
        assert "study 'f' is of functions" in refused(*command)
    for command in (("model", "i", "-o", "a.onnx"), ("ensemble", "i")):
        assert "study 'i' was imported" in refused(*command)


def test_trials_without_a_network(sweep, refused, tmp_path):
    sweep("grid", *SMALL, "--lr", "0.01,1e30", "--optimizer", "sgd", "--study", "s")
    assert "trial 1 is diverged" in refused("model", "s", 1, "-o", "a.safetensors")
    assert "trial 2 does not exist" in refused("model", "s", 2, "-o", "a.safetensors")
    assert "one setting has a complete trial" in refused("ensemble", "s")
    with sqlite3.connect(tmp_path / "results" / FILE) as connection:
        connection.execute("UPDATE trials SET state = 'failed' WHERE number = 0")
    connection.close()
    assert "trial 0 is failed" in refused("model", "s", 0, "-o", "a.safetensors")
    assert "no trial is complete" in refused("model", "s", "-o", "a.safetensors")
    assert not list(tmp_path.glob("a.*"))


def test_targets_that_cannot_be(refused, animals):
    run, _ = animals
    assert "unknown suffix '.pth'" in refused("model", "s", "-o", "a.pth", by=run)
    assert "cannot be written" in refused("model", "s", "-o", "none/a.safetensors", by=run, code=1)
    assert "unknown suffix" in refused("predict", "a.safetensors", "d.npz", "-o", "p.txt", by=run)
    assert "unknown study" in refused("model", "none", "-o", "a.onnx", by=run)


def test_files_that_are_no_model(refused, animals, tmp_path):
    run, folder = animals
    whole = (folder / "a.safetensors").read_bytes()
    tensors = safetensors.numpy.load(whole)
    about = models.read(str(folder / "a.safetensors")).about

    def made_of(tensors=tensors, **changes) -> bytes:
        return safetensors.numpy.save(tensors, {"sweep": json.dumps({**about, **changes})})

    assert models.read(str(folder / "a.safetensors")).shape == (3, 8, 8)
    wrong = {
        "torn": whole[:-100],
        "empty": b"",
        "foreign": safetensors.numpy.save(tensors, {"other": "{}"}),
        "bare": safetensors.numpy.save(tensors),
        "format": made_of(format=2),
        "shape": made_of(shape=[3, 10, 10]),
        "classes": made_of(classes=["a"]),
        "data": made_of(data={}),
        "deep": made_of(setting=about["setting"] | {"depth": 10**9}),
        "wide": made_of(setting=about["setting"] | {"hidden": 10**9}),
        "setting": made_of(setting={"model": "cnn"}),
        "text": made_of(setting="text"),
        "double": made_of({**tensors, "net.0.weight": tensors["net.0.weight"].astype(float)}),
        "less": made_of({name: value for name, value in tensors.items() if name != "scale"}),
        "scale": made_of({**tensors, "scale": np.ones((8, 8))}),
    }
    for name, body in wrong.items():
        (tmp_path / f"{name}.safetensors").write_bytes(body)
        line = refused("predict", tmp_path / f"{name}.safetensors", "d.npz", "-o", tmp_path / "p.csv", by=run)
        assert "no model of sweep, or a damaged one" in line, name
    for name, body in {"torn": (folder / "a.onnx").read_bytes()[:-500], "empty": b""}.items():
        (tmp_path / f"{name}.onnx").write_bytes(body)
        line = refused("predict", tmp_path / f"{name}.onnx", "d.npz", "-o", tmp_path / "p.csv", by=run)
        assert "no model of sweep, or a damaged one" in line
    assert "No such file" in refused("predict", "none.safetensors", "d.npz", "-o", "p.csv", by=run)
    assert "unknown kind of model" in refused("predict", "a.pth", "d.npz", "-o", "p.csv", by=run)
    assert not (tmp_path / "p.csv").exists()


class Harm:
    """What writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pt2_is_never_read(animals, refused, tmp_path):
    """torch.export.load (2.14) unpickles the weights of this one, which writes a file."""
    run, folder = animals
    run("model", "s", "-o", "a.pt2")
    with zipfile.ZipFile(folder / "a.pt2") as whole:
        assert not [
            name for name in whole.namelist() if whole.read(name)[:2] in (b"PK", b"\x80\x02")
        ]  # nothing pickled
    (tmp_path / "harm.pt2").write_bytes((folder / "a.pt2").read_bytes())
    harm = io.BytesIO()
    torch.save(Harm(tmp_path / "harmed"), harm)
    with zipfile.ZipFile(tmp_path / "harm.pt2", "a") as file:
        file.writestr("archive/data/weights/model.pt", harm.getvalue())
    for name in (folder / "a.pt2", tmp_path / "harm.pt2"):
        line = refused("predict", name, "d.npz", "-o", "p.csv", by=run)
        assert "may unpickle" in line
        assert "expected a .safetensors or .onnx" in line
    assert not (tmp_path / "harmed").exists()


def test_rows_that_do_not_fit(refused, animals, tmp_path):
    run, _ = animals

    def line(name: str, *more: object, **arrays) -> str:
        np.savez(tmp_path / name, **arrays)
        return refused("predict", "a.safetensors", tmp_path / name, *more, "-o", tmp_path / "p.csv", by=run)

    assert "a row is 1 x 8 x 8; the model takes 3 x 8 x 8" in refused(
        "predict", "a.safetensors", "digits", "-o", "p.csv", by=run
    )
    assert "a row is 5; the model takes 3 x 8 x 8" in line("a.npz", x=np.zeros((4, 5)))
    assert "expected numbers" in line("b.npz", x=np.array(["a", "b"]))
    assert "row 2 holds NaN" in line(
        "c.npz", x=np.where(np.arange(4)[:, None, None, None] == 2, np.nan, np.ones((4, 3, 8, 8)))
    )
    assert "pickled" in line("d.npz", x=np.array([{}, {}], dtype=object))
    assert "no rows x; found a, b" in line("e.npz", a=np.zeros((2, 3, 8, 8)), b=np.zeros((2, 3, 8, 8)))
    assert "no rows x_val" in line("f.npz", "--part", "val", x=np.zeros((2, 3, 8, 8)))
    assert "labels are [3]" in line("g.npz", x=np.zeros((2, 3, 8, 8)), y=np.zeros(3))
    assert "unknown part 'tests'" in line("h.npz", "--part", "tests", x=np.zeros((2, 3, 8, 8)))
    assert "no such data file" in refused("predict", "a.safetensors", "none.npz", "-o", "p.csv", by=run)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    assert "was not trained on a table" in refused(
        "predict", "a.safetensors", tmp_path / "t.csv", "-o", "p.csv", by=run
    )
    assert "no images; expected files" in refused("predict", "a.safetensors", tmp_path, "-o", "p.csv", by=run)
    assert "unknown data set 'digit'" in refused("predict", "a.safetensors", "digit", "-o", "p.csv", by=run)
    (tmp_path / "z.npz").write_text("text")
    assert "not an .npz archive" in refused("predict", "a.safetensors", tmp_path / "z.npz", "-o", "p.csv", by=run)


def test_a_library_that_is_missing_is_named(animals, monkeypatch):
    _, folder = animals
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(SweepError, match=r"writing .onnx needs onnxscript.*pip install 'sweep\[onnx\]'"):
        models.check_can_write("a.onnx")
    models.check_can_write("a.safetensors")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SweepError, match=r"reading .onnx needs onnxruntime"):
        models.read(str(folder / "a.onnx"))


def test_other_data_than_the_studys(tmp_path):
    recipe = load_recipe(None, {"lr": "0.1"})
    with Ledger(tmp_path, create=True) as ledger:
        study = ledger.create("s", recipe, 1)
        ledger.use_data(study, "00000000")
        with pytest.raises(UsageError, match="was trained on other data"):
            load_source(ledger.study("s"))


def test_the_plain_module_is_an_ordinary_one():
    """What a user loads without sweep: torch.nn's layers alone, but for the blocks of residual and dense networks."""
    setting = {**load_recipe(None, {"model": "cnn", "batch_norm": "on"}).grid.settings().__next__()}
    net = nets.build(setting, (1, 8, 8), 10)
    assert {type(module).__module__.partition(".")[0] for module in net.modules()} == {"torch"}
    assert isinstance(net, nn.Sequential)
