"""`sweep importance`: published shares, an independent two-way ANOVA, Optuna's estimates, the command."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.analysis.importance import importance
from sweep.errors import UsageError
from sweep.report.answers import importance_json, importance_sentences
from tests.tables import PROTEIN, grid, protein, table
from tests.thin import thin

needs_protein = pytest.mark.skipif(not PROTEIN.is_file(), reason="the published tables are not beside the repository")
LOG = {"init_lr": 0.4558, "lr_schedule": 0.0305, "dropout_1": 0.0214, "dropout_2": 0.0163, "n_units_2": 0.0157,
       "batch_size": 0.0121, "activation_fn_1": 0.0093, "activation_fn_2": 0.0072, "n_units_1": 0.0025}  # fmt: skip


@needs_protein
def test_the_published_shares_of_the_protein_grid_in_seconds():
    study = protein()
    start = time.perf_counter()
    found = importance(study, pairs=True)
    assert time.perf_counter() - start < 5
    assert (found.method, found.scale, found.settings, found.seeds) == ("exact", "log", 62_208, 4)
    assert found.shares.set_index("name")["share"].round(4).to_dict() == LOG
    assert found.shares["share"].sum() == pytest.approx(0.5707, abs=5e-5)
    assert len(found.pairs) == 36
    assert (found.shares["low"] <= found.shares["share"]).all()
    assert (found.shares["share"] <= found.shares["high"]).all()
    raw = importance(study, scale="raw")
    assert raw.shares["name"].iloc[0] == "init_lr"
    assert raw.shares["share"].iloc[0] == pytest.approx(0.0138, abs=5e-5)
    assert raw.shares["share"].sum() == pytest.approx(0.026, abs=5e-4)


arrays = st.lists(st.floats(0.1, 10), min_size=12, max_size=12)


@settings(max_examples=50, deadline=None)
@given(arrays)
def test_shares_are_those_of_a_two_way_anova(values):
    a = np.log(np.array(values)).reshape(3, 4)
    if a.var() < 1e-6:
        return
    study = grid({"lr": [1, 2, 3], "hidden": [1, 2, 3, 4]}, lambda s, _: values[4 * (s["lr"] - 1) + s["hidden"] - 1])
    found = importance(study, pairs=True)
    share = found.shares.set_index("name")["share"]
    total = ((a - a.mean()) ** 2).sum()
    assert share["lr"] == pytest.approx(4 * ((a.mean(1) - a.mean()) ** 2).sum() / total, abs=1e-9)
    assert share["hidden"] == pytest.approx(3 * ((a.mean(0) - a.mean()) ** 2).sum() / total, abs=1e-9)
    assert share.sum() + found.pairs["share"].sum() == pytest.approx(1)


def test_accuracies_are_taken_raw_and_losses_in_the_logarithm():
    axes = {"lr": [0.1, 0.01], "hidden": [8, 16]}
    assert importance(grid(axes, lambda s, _: s["lr"], metric="val_accuracy")).scale == "raw"
    assert importance(grid(axes, lambda s, _: s["lr"])).scale == "log"
    with pytest.raises(UsageError, match="values of 0 or less; choose raw"):
        importance(grid(axes, lambda s, _: s["lr"] - 0.05), scale="log")
    with pytest.raises(UsageError, match="choose from auto, log, raw"):
        importance(grid(axes, lambda s, _: s["lr"]), scale="row")


def test_one_seed_gives_no_interval_and_says_so():
    found = importance(grid({"lr": [0.1, 0.01], "hidden": [8, 16]}, lambda s, _: s["lr"] * s["hidden"]))
    assert found.shares["low"].isna().all()
    assert any("One seed gives no interval" in text for text in importance_sentences(found))
    assert json.dumps(importance_json(found), allow_nan=False)


@pytest.mark.long
def test_intervals_over_seeds_cover_the_true_share():
    """lr has 0.8 of the variance without noise; 5 seeds, 300 studies."""
    rng = np.random.default_rng(2)
    truth = 4.0 / (4.0 + 1.0)
    covered = 0
    study = grid({"lr": [-1, 1], "hidden": [-1, 1]}, lambda *_: 1.0, 5)
    exact = 2.0 * study.trials["lr"].astype(float) + study.trials["hidden"].astype(float)
    for _ in range(300):
        study.trials["val_loss"] = exact + rng.normal(0, 0.3, 20)
        row = importance(study, scale="raw").shares.set_index("name").loc["lr"]
        covered += row["low"] <= truth <= row["high"]
    assert covered / 300 > 0.88


def test_a_grid_with_a_diverged_setting_is_estimated_and_says_why():
    study = grid(
        {"lr": [1, 2, 3, 4], "hidden": [1, 2, 3, 4, 5]},
        lambda s, _: math.nan if s["lr"] == s["hidden"] == 4 else 10.0 ** s["lr"],
    )
    found = importance(study)
    assert found.method == "fanova"
    assert found.note.startswith("1 of 20 settings diverged")
    assert found.shares["name"].iloc[0] == "lr"
    assert found.shares["share"].iloc[0] > 0.8


@pytest.mark.parametrize(("n", "method"), thin([(80, "fanova"), (400, "ped-anova")], 2))
def test_a_search_is_estimated_by_optuna(n, method):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "lr": 10 ** rng.uniform(-4, -1, n),
            "batch_norm": rng.integers(0, 2, n).astype(bool),
            "beta1": rng.uniform(0.8, 0.99, n),
            "seed": 0,
        }
    )
    frame["val_loss"] = np.exp((np.log10(frame["lr"]) + 2.5) ** 2 + 0.2 * frame["batch_norm"])
    frame["bn_momentum"] = [0.1 if bn else None for bn in frame["batch_norm"]]
    found = importance(table(frame, ["lr", "batch_norm", "bn_momentum", "beta1"]), pairs=True)
    assert found.method == method
    assert found.shares["name"].iloc[0] == "lr"
    assert set(found.shares["name"]) == {"lr", "batch_norm", "bn_momentum", "beta1"} - (
        {"bn_momentum"} if frame["bn_momentum"].nunique(dropna=False) < 2 else set()
    )
    assert "pairs need a whole grid" in found.note
    assert found.shares["share"].between(0, 1.0001).all()


def test_too_few_settings_and_nothing_that_varies_are_errors():
    frame = pd.DataFrame({"lr": [0.1, 0.2, 0.3], "hidden": [1, 2, 1], "seed": 0, "val_loss": [1.0, 2.0, 3.0]})
    with pytest.raises(UsageError, match="3 settings are too few"):
        importance(table(frame, ["lr", "hidden"]))
    with pytest.raises(UsageError, match="1 setting is too few"):
        importance(table(frame.assign(lr=[0.1, 0.2, 0.3], val_loss=[1.0, math.nan, math.nan]), ["lr", "hidden"]))
    with pytest.raises(UsageError, match="nothing varies"):
        importance(table(frame.assign(lr=0.1, hidden=1), ["lr", "hidden"]))


def test_the_command_on_a_whole_grid_loads_neither_optuna_nor_torch(sweep, tmp_path):
    sweep("grid", "--lr", "0.1,0.01", "--batch-norm", "on,off", "--epochs", 1, "--seeds", 2, "--study", "s")
    text = sweep("importance", "s", "--pairs").stdout
    assert "exact shares of the variance of log val_loss over a whole grid" in text
    assert "Intervals (95%) are over 2 seeds (jackknife)." in text
    found = json.loads(sweep("importance", "s", "--json", "--metric", "val_accuracy").stdout)
    assert (found["method"], found["scale"]) == ("exact", "raw")
    assert sum(row["share"] for row in found["shares"]) <= 1.000001
    assert (
        "--scale: unknown scale 'lg': did you mean 'log'?" in sweep("importance", "s", "--scale", "lg", code=2).stderr
    )
    script = ("import sys; sys.argv = ['sweep', 'importance', 's']\nfrom sweep.cli import main\n"
              "try: main()\nexcept SystemExit: pass\nassert not {'optuna', 'torch'} & set(sys.modules)")  # fmt: skip
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, timeout=60)


def test_of_settings_that_were_run_again_json_names_the_seeds(sweep, tmp_path):
    rows = ["lr,hidden,seed,loss"]
    for lr, hidden in ((lr, hidden) for lr in (0.1, 0.01, 0.001) for hidden in (8, 16, 32)):
        seeds = (0, 1, 2, 3) if (lr, hidden) == (0.01, 16) else (0,)
        rows += [f"{lr},{hidden},{seed},{abs(lr - 0.01) + 1 / hidden + seed / 1000 + 0.1}" for seed in seeds]
    (tmp_path / "again.csv").write_text("\n".join(rows) + "\n")
    sweep("import", "again.csv", "--metric", "loss", "--minimize")
    found = json.loads(sweep("importance", "again", "--json").stdout)
    assert (found["selecting_seeds"], found["fresh_seeds"]) == ([0], [1, 2, 3])
