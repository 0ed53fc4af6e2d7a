"""The Pareto front of a study with several objectives: beside Optuna's, and on the leaderboard and in the export."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.analysis import parameter_column, pareto
from sweep.data import describe
from sweep.hyperparameters import canonical
from sweep.nets import build
from tests.processes import table

AIMS = (("a", "minimize"), ("b", "maximize"), ("c", "minimize"))
EXPORTED = ["--lr", "1e-3:0.3:log", "--hidden", "4:16:step=4", "--epochs", 4, "--trials", 24]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=25))
def test_the_front_is_optunas(points):
    frame = pd.DataFrame(points, columns=list("abc")).assign(state="complete")
    study = optuna.create_study(directions=[way for _, way in AIMS])
    study.add_trials([optuna.trial.create_trial(values=[float(value) for value in point]) for point in points])
    assert frame.index[pareto(frame, AIMS)].tolist() == [trial.number for trial in study.best_trials]


def test_only_complete_trials_with_all_numbers_are_on_the_front():
    frame = pd.DataFrame(
        {"a": [1, 0, 0, math.nan, 2], "state": ["complete", "pruned", "diverged", "complete", "complete"]}
    )
    assert pareto(frame, [("a", "minimize")]).tolist() == [True, False, False, False, False]
    assert pareto(frame.iloc[:0], [("a", "minimize")]).tolist() == []


def test_the_front_of_many_takes_no_time():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random((60_000, 2)), columns=["a", "b"])
    assert 5 < pareto(frame, [("a", "minimize"), ("b", "minimize")]).sum() < 30


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_size_of_a_network_is_torchs(model):
    data = describe("mnist")
    given = [{"model": model, "hidden": 8, "depth": 2, "batch_norm": norm, "epochs": 3} for norm in (True, False)]
    frame = pd.DataFrame(
        [{("max_epochs" if k == "epochs" else k): v for k, v in canonical(one).items()} for one in given]
    )
    nets = [build(canonical(one), data.shape, data.classes) for one in given]
    sizes = [sum(p.numel() for p in net.parameters()) for net in nets]
    assert parameter_column(frame, data).tolist() == sizes


@pytest.mark.long
def test_a_search_for_two_objectives_marks_its_front(sweep, tmp_path):
    sweep("search", *EXPORTED, "--minimize", "val_loss", "--minimize", "parameters", "--study", "s")
    frame = table(sweep, "s").astype({"val_loss": float, "parameters": int})
    front = frame[frame["front"] == "true"].sort_values("parameters")
    assert len(front) > 1
    assert front["val_loss"].is_monotonic_decreasing
    for _, one in frame[frame["front"] == "false"].iterrows():
        assert ((front["val_loss"] <= one["val_loss"]) & (front["parameters"] <= one["parameters"])).any()
    assert "●" in sweep("show", "s").stdout
    sweep("export", "s", "--optuna", f"sqlite:///{tmp_path}/o.db")
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/o.db")
    assert study.metric_names == ["val_loss", "parameters"]
    assert sorted(str(one.user_attrs["trial"]) for one in study.best_trials) == sorted(front["trial"])


@pytest.mark.long
def test_a_search_for_two_objectives_resumes_as_one_that_never_stopped(sweep):
    aims = ["--minimize", "val_loss", "--minimize", "parameters", "--in-flight", 6]
    sweep("search", *EXPORTED, *aims, "--study", "whole")
    sweep("search", *EXPORTED, *aims, "--max-trials", 9, "--study", "cut")
    sweep("resume", "cut", "--jobs", 1)
    assert [table(sweep, name).drop(columns="seconds").to_csv() for name in ("cut", "whole")] == [
        table(sweep, "whole").drop(columns="seconds").to_csv()
    ] * 2


def test_several_seeds_are_on_the_front_by_their_means(sweep):
    sweep(
        "search",
        *EXPORTED[:-1],
        16,
        "--minimize",
        "val_loss,parameters",
        "--seeds",
        2,
        "--in-flight",
        4,
        "--study",
        "s",
    )
    frame = table(sweep, "s")
    assert frame.groupby(["lr", "hidden"])["front"].nunique().eq(1).all()
    assert 0 < (frame["front"] == "true").sum() < len(frame)


def test_wall_clock_time_as_an_objective_is_said_to_vary(sweep):
    said = sweep("search", *EXPORTED[:-1], 3, "--minimize", "val_loss", "--minimize", "seconds", "--study", "s").stderr
    assert "seconds are wall-clock time" in said
