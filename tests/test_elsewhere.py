"""`sweep export` to MLflow, W&B, trackio, TensorBoard and Optuna: what a tool's own reader finds is what was trained,
and `sweep import` gives the same board back."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from tests.made import made
from tests.test_foreign_a import LOSS, TRUTH, sample

pytestmark = pytest.mark.long


def board(sweep, name: str) -> list[dict]:
    """A study's trials, as its leaderboard has them."""
    rows = json.loads(sweep("show", name, "--trials", "--all", "--json").stdout)["trials"]
    kept = ("trial", "seed", "state", "lr", "batch_norm", "bn_momentum", "val_loss", "rank")
    return [{key: row[key] for key in kept if key in row} for row in rows]


def curves(sweep, name: str, folder: Path) -> list[list[str]]:
    """Every trial's epochs."""
    sweep("export", name, "--curves", "-o", folder / f"{name}.csv")
    table = pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False)
    return sorted(table[["trial", "epoch", "val_loss"]].to_numpy().tolist())


@pytest.fixture
def toy(sweep, tmp_path):
    """The toy, imported from W&B: complete, failed and diverged trials with curves, two seeds, and a conditional
    hyperparameter."""
    flags = ("--metric", LOSS["metric"], "--minimize")
    sweep("import", sample("wandb-0.31.0/wandb", tmp_path), *flags, "--study", "toy")
    return board(sweep, "toy")


def again(sweep, toy, folder: Path, path: object, *flags: object) -> None:
    """The export of a path gives the same board, and the same curves."""
    said = sweep("import", path, *flags, "--study", "again")
    assert "imported 8 trials of 4 settings, 2 seeds" in said.stdout
    assert board(sweep, "again") == toy
    assert curves(sweep, "again", folder) == curves(sweep, "toy", folder)


def test_out_to_mlflow_and_in_again(sweep, toy, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/runs.db"
    assert "wrote 8 trials" in sweep("export", "toy", "--mlflow", uri).stdout
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("toy")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FAILED"] + ["FINISHED"] * 7
    got = {}
    for run in runs:
        params = run.data.params
        history = client.get_metric_history(run.info.run_id, "val_loss")
        got[float(params["lr"]), params["batch_norm"] == "True", int(params["seed"])] = (
            len(history),
            min(point.value for point in history if not math.isnan(point.value)),
        )
    assert got == {key: (length, best) for key, (_, length, _, best) in TRUTH.items()}
    again(sweep, toy, tmp_path, tmp_path / "runs.db")
    assert "has an experiment 'toy' already" in sweep("export", "toy", "--mlflow", uri, code=2).stderr


def test_out_to_wandb_and_in_again(sweep, toy, tmp_path):
    pytest.importorskip("wandb")
    assert "wandb sync" in sweep("export", "toy", "--wandb", tmp_path / "w").stdout
    again(sweep, toy, tmp_path, tmp_path / "w")
    assert "has runs already" in sweep("export", "toy", "--wandb", tmp_path / "w", code=2).stderr


def test_out_to_trackio_and_in_again(sweep, toy, tmp_path):
    pytest.importorskip("trackio")
    env = {"TRACKIO_DIR": str(tmp_path / "projects")}
    assert "wrote 8 trials" in sweep("export", "toy", "--trackio", env=env).stdout
    again(sweep, toy, tmp_path, tmp_path / "projects" / "toy.db")
    assert "is there already" in sweep("export", "toy", "--trackio", env=env, code=2).stderr


def test_out_to_tensorboard_and_in_again(sweep, toy, tmp_path):
    pytest.importorskip("tensorboard")
    sweep("export", "toy", "--tensorboard", tmp_path / "tb")
    again(sweep, toy, tmp_path, tmp_path / "tb" / "toy", "--metric", "val_loss", "--minimize")


@pytest.mark.parametrize("storage", ["sqlite:///{}/o.db", "{}/o.log"])
def test_out_to_optuna_and_in_again(sweep, tmp_path, storage):
    def value(trial):
        return math.nan if (trial.setting["lr"], trial.seed) == (0.1, 1) else trial.setting["lr"] + trial.seed / 8

    made(tmp_path / "results", "own", {"lr": "0.1,0.01", "epochs": "2", "seeds": "2"}, value)
    where = storage.format(tmp_path)
    sweep("export", "own", "--optuna", where)
    sweep("import", where, "--study", "again")
    assert board(sweep, "again") == board(sweep, "own")


def test_a_study_of_ones_own_comes_back_from_mlflow(sweep, tmp_path):
    pytest.importorskip("mlflow")
    flags = {"lr": "0.1,0.01", "batch_norm": "on,off", "epochs": "2", "seeds": "2"}
    made(tmp_path / "results", "own", flags, lambda trial: trial.setting["lr"] + trial.seed / 8)
    sweep("export", "own", "--mlflow", f"sqlite:///{tmp_path}/runs.db")
    sweep("import", tmp_path / "runs.db", "--study", "again")
    assert board(sweep, "again") == board(sweep, "own")


@pytest.mark.parametrize("flag", ["--mlflow", "--wandb", "--trackio"])
@pytest.mark.usefixtures("toy")
def test_a_package_that_is_not_installed_is_one_line(sweep, tmp_path, flag):
    package = flag.removeprefix("--")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / f"{package}.py").write_text("raise ImportError\n")
    where = [] if flag == "--trackio" else [str(tmp_path / "x")]
    refused = sweep("export", "toy", flag, *where, code=2, env={"PYTHONPATH": str(tmp_path / "none")}).stderr
    assert refused == f"sweep: {flag} needs the package {package}: pip install {package}\n"
    assert not Path(tmp_path / "x").exists()


def test_a_table_without_curves_goes_out_to_tensorboard_and_in_again(sweep, tmp_path):
    """Its trials had no metric there."""
    (tmp_path / "flat.csv").write_text("lr,seed,mse\n0.1,0,0.5\n0.1,1,\n0.2,0,0.25\n0.2,1,0.75\n")
    sweep("import", tmp_path / "flat.csv", "--metric", "mse", "--minimize")
    assert "wrote 4 trials" in sweep("export", "flat", "--tensorboard", tmp_path / "board").stdout
    sweep("import", tmp_path / "board" / "flat", "--minimize", "--metric", "mse", "--study", "again")
    flat, again = (json.loads(sweep("show", name, "--trials", "--json").stdout)["trials"] for name in ("flat", "again"))
    assert [(row["lr"], row["seed"], row["mse"], row["state"]) for row in again] == [
        (row["lr"], row["seed"], row["mse"], row["state"]) for row in flat
    ]


@pytest.mark.usefixtures("toy")
def test_nowhere_is_refused(sweep):
    assert "--mlflow: is empty" in sweep("export", "toy", "--mlflow", "", code=2).stderr
