"""What other tools left on disk is read as it was: the truth about the samples is that of their README, not of their
readers. Small parts of the samples lie in tests/foreign and are always read."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from sweep.analysis.adopting import Wishes, adopt
from sweep.errors import UsageError
from sweep.foreign import TOOLS, recognize
from tests.conftest import SHARED

SAMPLES = SHARED / "foreign"
PARTS = Path(__file__).parent / "foreign"

BASE = {(0.1, True): 0.30, (0.1, False): 0.55, (0.01, True): 0.20, (0.01, False): 0.35}
TRUTH = {(lr, bn, seed): base + 0.01 * seed for (lr, bn), base in BASE.items() for seed in (0, 1)}
"""The best val_loss of the eight trials; the last is 0.1 more."""
FAILED, DIVERGED = (0.1, True, 1), (0.1, False, 1)


def sample(*parts):
    """A sample's path; skips where the samples are not there."""
    path = SAMPLES.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {path.relative_to(SAMPLES)} beside the repository")
    return path


def dumped(path, tmp_path):
    """A SQLite file of a dump."""
    made = tmp_path / "made.sqlite"
    connection = sqlite3.connect(made)
    connection.executescript(path.read_text())
    connection.close()
    return made


def read(path, key):
    """What the one tool that knows a path reads of it."""
    tool = recognize(path, TOOLS)
    assert tool is not None
    assert tool.key == key
    return tool.read(path)


def key_of(trial, lr="lr", bn="batch_norm", seed="seed", of_seed=int):
    setting = trial.setting
    assert isinstance(setting[bn], bool)
    return setting[lr], setting[bn], of_seed(setting[seed])


def state_of(trial, metric):
    """How a trial ended, as the core sees it: a complete one without a finite number diverged."""
    if trial.state != "complete":
        return trial.state
    last = trial.values[metric] if metric in trial.values else trial.curves[metric][-1][1]
    return "complete" if math.isfinite(last) else "diverged"


def settled(study, metric="val_loss"):
    """The study with the states that its import gives, where the tool keeps none."""
    rows = adopt(study, "its files", Wishes(metric, "minimize")).rows
    assert len(rows) == len(study.trials)
    trials = [replace(trial, state=row[2]) for trial, row in zip(study.trials, rows, strict=True)]
    return replace(study, trials=trials)


def check_eight(study, metric="val_loss", only=None, **names):
    """Each trial of the truth with its curve; bn_momentum aside."""
    trials = {key_of(trial, **names): trial for trial in study.trials}
    assert len(trials) == len(study.trials)
    assert set(trials) == set(only or TRUTH)
    for key, trial in trials.items():
        best = TRUTH[key]
        steps = {1: best + 0.3, 2: best, 3: best + 0.1}
        if key == FAILED:
            del steps[3]
        if key == DIVERGED:
            steps |= {2: math.nan, 3: math.nan}
        assert [step for step, _ in trial.curves[metric]] == [*steps]
        assert [value for _, value in trial.curves[metric]] == pytest.approx([*steps.values()], abs=1e-9, nan_ok=True)
        expected = {FAILED: "failed", DIVERGED: "diverged"}.get(key, "complete")
        assert state_of(trial, metric) == expected


def check_final(study, metric, **names):
    """Each trial's last value by the truth, and how it ended; combinations may be there several times, or not."""
    for trial in study.trials:
        key = key_of(trial, **names)
        assert state_of(trial, metric) == {FAILED: "failed", DIVERGED: "diverged"}.get(key, "complete"), trial
        if key not in (FAILED, DIVERGED):
            assert trial.values[metric] == pytest.approx(TRUTH[key] + 0.1)


def names_of(study):
    return {name for trial in study.trials for name in trial.setting}


def test_hydra_multirun():
    study = read(sample("hydra-1.3.8", "multirun"), "hydra")
    check_eight(settled(study))
    assert names_of(study) == {"lr", "batch_norm", "seed"}
    assert (study.metric, study.direction, study.version) == ("val_loss", None, "1.3.8")
    assert not study.states_kept


def test_hydra_on_and_off_are_texts():
    study = read(sample("hydra-1.3.8", "on-off"), "hydra")
    assert [trial.setting for trial in study.trials] == [{"batch_norm": "on"}, {"batch_norm": "off"}]
    assert study.metric is None
    assert any("are texts" in note and "true" in note for note in study.notes)


def test_hydra_optuna_sweeper():
    study = read(sample("hydra-optuna-sweeper-1.3.0", "sweep"), "hydra")
    assert study.direction == "minimize"
    assert [trial.setting["lr"] for trial in study.trials] == [0.01] * 3
    assert [trial.setting["model.hidden"] for trial in study.trials] == [32, 59, 22]
    assert study.trials[0].setting["mom"] == 0.017055648903289984
    assert names_of(study) == {"lr", "model.hidden", "mom"}
    assert [trial.curves["val_loss"][-1] for trial in study.trials] == [(3, 0.3)] * 3


def test_hydra_optuna_sweeper_that_a_nan_ended():
    study = read(sample("hydra-optuna-sweeper-1.3.0", "ended-by-nan"), "hydra")
    assert [trial.state for trial in settled(study).trials] == ["complete", "failed", "diverged"]
    assert study.trials[0].curves["val_loss"][-1] == (3, 0.45)


def test_hydra_several_sweeps_are_told_apart_by_name(tmp_path):
    for name in ("first", "second"):
        shutil.copytree(PARTS / "hydra", tmp_path / name)
    tool = next(tool for tool in TOOLS if tool.key == "hydra")
    with pytest.raises(UsageError, match="holds 2 sweeps; give --name or its folder, one of first, second"):
        tool.read(tmp_path)
    assert len(tool.read_named(tmp_path, "second").trials) == 4
    with pytest.raises(UsageError, match="unknown sweep 'secnd': did you mean 'second'"):
        tool.read_named(tmp_path, "secnd")


def test_hydra_metric_of_several_is_the_sweepers_best(tmp_path):
    shutil.copytree(PARTS / "hydra", tmp_path / "sweep")
    for job, (loss, other) in {"0": (0.5, 0.7), "1": (0.4, 0.9), "3": (0.6, 0.4), "6": (0.9, 0.4)}.items():
        (tmp_path / "sweep" / job / "app.log").write_text(f"[x][y] - epoch=1, loss: {loss} | gain = {other}\n")
    assert read(tmp_path / "sweep", "hydra").metric is None
    best = "name: optuna\nbest_params:\n  lr: 0.1\n  batch_norm: true\n  seed: 1\nbest_value: 0.4\n"
    (tmp_path / "sweep" / "optimization_results.yaml").write_text(best.replace("true", "'True'"))
    assert read(tmp_path / "sweep", "hydra").metric == "loss"


def test_hydra_values_have_the_types_of_the_config(tmp_path):
    """Groups are their choice, +name and ++name are name, what was deleted is none, 1e-3 is a number."""
    job = tmp_path / "0" / ".hydra"
    job.mkdir(parents=True)
    job.joinpath("overrides.yaml").write_text(
        "- model=cnn\n- lr=1e-3\n- ++opt.name=adam\n- ~drop\n- opt.nesterov=null\n- steps=10\n- layers=[32,32]\n"
    )
    job.joinpath("config.yaml").write_text(
        "lr: 1e-3\nmodel:\n  width: 8\nopt:\n  name: adam\n  nesterov: null\nsteps: 10\nlayers:\n- 32\n- 32\n"
    )
    (tmp_path / "0" / "main.log").write_text("step 10: loss=1e-2\n")
    [trial] = read(tmp_path, "hydra").trials
    assert trial.setting == {"model": "cnn", "lr": 0.001, "opt.name": "adam", "steps": 10, "layers": "[32, 32]"}
    assert dict(trial.curves) == {"loss": [(10, 0.01)]}


def test_guild():
    study = read(sample("guildai-0.9.0", "runs"), "guild")
    check_eight(study)
    assert all(trial.setting["bn_momentum"] == 0.2 for trial in study.trials)
    assert names_of(study) == {"lr", "batch_norm", "seed", "bn_momentum"}
    assert study.trials[0].name == "3b006011"
    assert next(trial for trial in study.trials if trial.state == "failed").reason == "RuntimeError: toy failure"


def test_guild_several_operations_are_told_apart_by_name(tmp_path):
    shutil.copytree(PARTS / "guild", tmp_path / "runs")
    first, *_ = sorted((tmp_path / "runs").iterdir())
    (first / ".guild" / "opref").write_text("script:/data '' '' other.py")
    tool = next(tool for tool in TOOLS if tool.key == "guild")
    with pytest.raises(
        UsageError, match=r"holds 2 operations; give --name, one of other.py \(1 run\), train.py \(2 runs\)"
    ):
        tool.read(tmp_path)
    assert len(tool.read_named(tmp_path, "train.py").trials) == 2


def test_guild_a_run_without_exit_status_is_running_only_while_it_is_locked(tmp_path):
    shutil.copytree(PARTS / "guild", tmp_path / "runs")
    first, second, _ = sorted((tmp_path / "runs").iterdir())
    for run in (first, second):
        (run / ".guild" / "attrs" / "exit_status").unlink()
    (first / ".guild" / "LOCK").write_text("123")
    states = {trial.name: trial.state for trial in read(tmp_path / "runs", "guild").trials}
    assert (states[first.name[:8]], states[second.name[:8]]) == ("running", "failed")


def test_syne_tune():
    study = read(sample("syne-tune-0.16.0", "toy"), "syne-tune")
    check_eight(study)
    assert [trial.name for trial in study.trials] == list("01234567")
    assert (study.metric, study.direction) == ("val_loss", "minimize")
    assert names_of(study) == {"lr", "batch_norm", "seed"}
    diverged = study.trials[5]
    assert math.isnan(diverged.curves["acc"][-1][1])  # an empty cell of the table, NaN in what was printed
    assert study.trials[4].reason == "RuntimeError: toy failure"


def test_syne_tune_table_leads_to_its_folder():
    path = sample("syne-tune-0.16.0", "toy", "results.csv.zip")
    assert len(read(path, "syne-tune").trials) == 8


def test_syne_tune_table_alone_says_what_is_not_known(tmp_path):
    for name in ("results.csv.zip", "metadata.json"):
        shutil.copy(PARTS / "syne-tune" / name, tmp_path)
    study = read(tmp_path, "syne-tune")
    assert study.trials[0].setting == {"lr": 0.1, "batch_norm": True, "seed": 0}
    assert not study.states_kept
    assert [trial.state for trial in settled(study).trials] == ["complete", "failed", "diverged"]


def test_smac():
    study = read(sample("smac-2.4.1", "toy", "0"), "smac")
    assert (study.metric, study.direction, study.version, len(study.trials)) == ("cost", "minimize", "2.4.1", 12)
    check_final(study, "cost", seed="hidden", of_seed=lambda hidden: int(hidden > 40))
    assert all(("bn_momentum" in trial.setting) == trial.setting["batch_norm"] for trial in study.trials)
    assert names_of(study) == {"batch_norm", "hidden", "lr", "bn_momentum"}


def test_smac_several_seeds():
    study = read(sample("smac-2.4.1", "several-seeds", "3"), "smac")
    settings = {}
    for trial in study.trials:
        key = tuple((name, value) for name, value in trial.setting.items() if name != "seed")
        settings.setdefault(key, []).append(trial.setting["seed"])
    assert (len(study.trials), len(settings)) == (12, 9)
    assert [len(seeds) for seeds in settings.values()][:2] == [2, 3]
    assert study.trials[0].values == {"cost": 0.5718175338}


def test_smac_runs_of_several_seeds_are_told_apart_by_their_folders(tmp_path):
    shutil.copytree(PARTS / "smac", tmp_path / "0")
    assert len(read(tmp_path, "smac").trials) == 4
    shutil.copytree(PARTS / "smac", tmp_path / "1")
    tool = next(tool for tool in TOOLS if tool.key == "smac")
    with pytest.raises(UsageError, match="holds 2 runs; give --name, one of 0, 1"):
        tool.read(tmp_path)
    assert len(tool.read_named(tmp_path, "1").trials) == 4
    with pytest.raises(UsageError, match="unknown run '2'"):
        tool.read_named(tmp_path, "2")


def test_smac_budgets_are_a_curve_and_what_stopped_early_is_pruned(tmp_path):
    row = {"instance": None, "seed": 1, "time": 0.0, "starttime": 0, "endtime": 0, "additional_info": {}}
    runs = [(1, 1.0, 0.5), (2, 1.0, 0.9), (1, 9.0, 0.2)]
    data = [{**row, "config_id": i, "budget": budget, "cost": cost, "status": 1} for i, budget, cost in runs]
    (tmp_path / "runhistory.json").write_text(json.dumps({"data": data, "configs": {"1": {"x": 1}, "2": {"x": 2}}}))
    scenario = {"deterministic": False, "objectives": "cost", "max_budget": 9}
    (tmp_path / "scenario.json").write_text(json.dumps(scenario))
    first, second = read(tmp_path, "smac").trials
    assert (first.state, first.curves) == ("complete", {"cost": [(1, 0.5), (9, 0.2)]})
    assert (second.state, second.curves) == ("pruned", {"cost": [(1, 0.9)]})


def test_smac_rows_may_be_lists_as_before_and_others_are_named(tmp_path):
    rows = [[1, None, 0, None, 0.5, 0.1, 1, 0.0, 0.1, {}], [2, None, 0, None, 1e9, 0.1, 2, 0.0, 0.1, {"error": "x"}]]
    there = tmp_path / "runhistory.json"
    there.write_text(json.dumps({"data": rows, "configs": {"1": {"x": 1}, "2": {"x": 2}}}))
    good, bad = read(tmp_path, "smac").trials
    assert (good.values, bad.state, dict(bad.values)) == ({"cost": 0.5}, "failed", {})
    there.write_text(json.dumps({"data": [[[1, None, 0, 0.0], [0.5, 0.1, {}]]], "configs": {}}))
    with pytest.raises(UsageError, match=r"version of SMAC that is not known; known are 2\.0 to 2\.4"):
        read(tmp_path, "smac")


def test_nni(tmp_path):
    study = read(dumped(sample("nni-3.0", "nni.sql"), tmp_path), "nni")
    check_eight(study, "default")
    by_name = {trial.name: trial for trial in study.trials}
    assert key_of(by_name["SqfUJ"]) == (0.1, True, 0)
    assert key_of(by_name["qvC0Q"]) == FAILED
    assert study.direction is None  # a grid was told none
    assert any("SqfUJ" in note and "qvC0Q" in note for note in study.notes)


def test_nni_direction_is_that_of_the_tuner(tmp_path):
    path = dumped(PARTS / "nni" / "nni.sql", tmp_path)
    connection = sqlite3.connect(path)
    with connection:
        change = "UPDATE ExperimentProfile SET params = replace(params, '\"classArgs\":{}', ?)"
        connection.execute(change, ('"classArgs":{"optimize_mode":"minimize"}',))
    connection.close()
    assert read(path, "nni").direction == "minimize"


def test_nni_nested_choice_has_its_own_hyperparameters(tmp_path):
    path = dumped(PARTS / "nni" / "nni.sql", tmp_path)
    given = {"layer": {"_name": "conv", "size": 3}, "lr": 0.1}
    connection = sqlite3.connect(path)
    with connection:
        data = json.dumps({"parameter_id": 3, "parameters": given})
        connection.execute("UPDATE TrialJobEvent SET data = ? WHERE trialJobId = 'scpGf' AND data IS NOT NULL", (data,))
    connection.close()
    trial = next(trial for trial in read(path, "nni").trials if trial.name == "scpGf")
    assert trial.setting == {"layer": "conv", "layer.size": 3, "lr": 0.1}


def test_dvc():
    study = read(sample("dvc-3.67.1", "exp_show.json"), "dvc")
    assert len(study.trials) == 8
    check_final(study, "val_loss", bn="model.batch_norm")
    assert names_of(study) == {"lr", "seed", "model.batch_norm", "model.bn_momentum"}
    assert {name for trial in study.trials for name in trial.values} == {"val_loss"}
    assert (study.metric, study.direction) == ("val_loss", None)
    assert next(trial.name for trial in study.trials if trial.state == "failed") == "dopey-gobs"


def test_ax():
    study = read(sample("ax-1.3.1", "snapshot.json"), "ax")
    check_eight(study, seed="hidden", of_seed=lambda hidden: hidden - 16)
    assert (study.metric, study.direction) == ("val_loss", "minimize")


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ({"expression": "accuracy"}, ("accuracy", "maximize")),
        ({"expression": "-val_loss"}, ("val_loss", "minimize")),
        ({"expression": "accuracy - 2*cost"}, (None, None)),
        ({"metric": {"name": "loss"}, "minimize": True}, ("loss", "minimize")),
    ],
)
def test_ax_direction_is_that_of_the_objective(objective, expected, tmp_path):
    snapshot = json.loads((PARTS / "ax" / "snapshot.json").read_text())
    snapshot["experiment"]["optimization_config"]["objective"] = objective
    (tmp_path / "snapshot.json").write_text(json.dumps(snapshot))
    study = read(tmp_path / "snapshot.json", "ax")
    assert (study.metric, study.direction) == expected


def test_deephyper():
    study = read(sample("deephyper-0.13.2", "results.csv"), "deephyper")
    assert (study.metric, study.direction, len(study.trials)) == ("objective", "maximize", 14)
    check_final(study, "val_loss")
    assert [(trial.name, trial.state) for trial in study.trials if trial.state != "complete"] == [
        ("0", "diverged"),
        ("8", "failed"),
    ]
    assert all(("bn_momentum" in trial.setting) == trial.setting["batch_norm"] for trial in study.trials)
    assert names_of(study) == {"batch_norm", "lr", "seed", "bn_momentum"}
    assert {name for trial in study.trials for name in trial.values} == {"objective", "val_loss"}


def test_openbox():
    study = read(sample("openbox-0.9.0", "history.json"), "openbox")
    assert (study.metric, study.direction, len(study.trials)) == ("objective", "minimize", 20)
    check_final(study, "objective")
    assert any("9 was returned 2 times" in note for note in study.notes)


def test_openbox_a_large_objective_is_not_taken_for_a_penalty(tmp_path):
    history = json.loads((PARTS / "openbox" / "history.json").read_text())
    once = [item for item in history["observations"] if item["objectives"] == [9.0]]
    once[0]["objectives"] = [8.5]  # now 9.0 is there once
    (tmp_path / "history.json").write_text(json.dumps(history))
    states = {trial.state for trial in read(tmp_path / "history.json", "openbox").trials}
    assert states == {"complete", "failed"}


def test_nevergrad():
    study = read(sample("nevergrad-1.0.12", "log.json"), "nevergrad")
    assert (study.metric, study.direction, len(study.trials)) == ("loss", "minimize", 15)
    check_final(study, "loss")
    assert sum(trial.state == "diverged" for trial in study.trials) == 4
    assert names_of(study) == {"batch_norm", "hidden", "lr", "seed"}
    assert any("16 settings were asked for and 15 told" in note for note in study.notes)


def test_deepcave(tmp_path):
    """Written after DeepCAVE's own reader of such a pair, deepcave/runs/converters/dataframe.py."""
    space = "name,type,lower,upper,log,default\nlr,float,0.001,1,True,0.01\nmomentum,float,0,1,False,0.5\n"
    (tmp_path / "configspace.csv").write_text(space)
    with (tmp_path / "trials.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        header = ["config_id", "metric:loss [0; +inf] (minimize)", "start_time", "end_time", "status", "seed", "lr"]
        writer.writerow([*header, "momentum", "note"])
        writer.writerow([0, 0.5, 0, 1, "success", 7, 0.1, 0.9, "x"])
        writer.writerow([0, 0.6, 0, 1, "SUCCESS", 8, 0.1, 0.9, "x"])
        writer.writerow([1, "nan", 0, 1, "success", 7, 0.01, "nan", "x"])
        writer.writerow([2, "", 0, 1, "memoryout", 7, 0.5, 0.9, "x"])
    study = read(tmp_path, "deepcave")
    assert (study.metric, study.direction) == ("loss", "minimize")
    assert [trial.setting for trial in study.trials] == [
        {"lr": 0.1, "momentum": 0.9, "seed": 7},
        {"lr": 0.1, "momentum": 0.9, "seed": 8},
        {"lr": 0.01, "seed": 7},
        {"lr": 0.5, "momentum": 0.9, "seed": 7},
    ]
    assert [state_of(trial, "loss") for trial in study.trials] == ["complete", "complete", "diverged", "failed"]
    assert [trial.values.get("loss") for trial in study.trials[:2]] == [0.5, 0.6]


@pytest.fixture(scope="module")
def searched():
    """cv_results_ of scikit-learn's own search, in which one candidate cannot be fitted."""
    import pandas as pd
    from sklearn.datasets import load_iris
    from sklearn.exceptions import FitFailedWarning
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    grid = [{"max_depth": [None, 1]}, {"min_samples_leaf": [-1], "splitter": ["best"]}]
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), grid, cv=3)
    with pytest.warns(FitFailedWarning), pytest.warns(UserWarning, match="non-finite"):
        search.fit(*load_iris(return_X_y=True))
    return pd.DataFrame(search.cv_results_), search.cv_results_


@pytest.mark.long
@pytest.mark.parametrize("form", ["csv", "json"])
def test_sklearn(form, searched, tmp_path):
    frame, results = searched
    path = tmp_path / f"results.{form}"
    frame.to_csv(path) if form == "csv" else frame.to_json(path)
    study = read(path, "sklearn")
    assert (study.metric, study.direction, len(study.trials)) == ("test_score", "maximize", 9)
    assert [trial.setting for trial in study.trials[:4]] == [
        {"max_depth": "None", "seed": 0},
        {"max_depth": "None", "seed": 1},
        {"max_depth": "None", "seed": 2},
        {"max_depth": 1, "seed": 0},
    ]
    scores = [trial.values["test_score"] for trial in study.trials[:6]]
    assert scores == pytest.approx(
        [results[f"split{split}_test_score"][place] for place in (0, 1) for split in range(3)]
    )


def test_sklearn_a_candidate_that_cannot_be_fitted_failed(tmp_path):
    path = tmp_path / "results.csv"
    head = ",mean_fit_time,param_C,params,split0_test_score,split1_test_score\n"
    path.write_text(head + "0,0.1,1,{'C': 1},0.5,0.6\n1,0.1,-1,{'C': -1},,\n2,0.1,1,{'C': 1},0.7,0.8\n")
    study = read(path, "sklearn")
    assert [trial.state for trial in study.trials] == ["complete"] * 2 + ["failed"] * 2 + ["complete"] * 2
    assert [trial.setting["seed"] for trial in study.trials] == [0, 1, 0, 1, 2, 3]  # C = 1 was drawn twice


PART_STATES = {
    "ax/snapshot.json": ["complete", "failed", "diverged"],
    "dvc/exp_show.json": ["complete", "diverged", "failed"],
    "guild": ["complete", "failed", "diverged"],
    "hydra": ["complete", "failed", "diverged", "complete"],
    "nevergrad/log.json": ["complete", "diverged", "diverged"],
    "openbox/history.json": ["complete", "complete", "diverged", "failed", "complete", "diverged"],
    "smac": ["complete", "failed", "complete", "diverged"],
    "syne-tune": ["complete", "failed", "diverged"],
}
METRICS = {"nevergrad": "loss", "openbox": "objective", "smac": "cost"}


@pytest.mark.parametrize("part", PART_STATES)
def test_parts_of_the_samples(part):
    key = part.partition("/")[0]
    study = read(PARTS / part, key)
    study = study if study.states_kept else settled(study)
    assert [state_of(trial, METRICS.get(key, "val_loss")) for trial in study.trials] == PART_STATES[part]


def test_part_of_nni(tmp_path):
    study = read(dumped(PARTS / "nni" / "nni.sql", tmp_path), "nni")
    assert [state_of(trial, "default") for trial in study.trials] == ["failed", "complete", "diverged"]


DAMAGED = ["ax/snapshot.json", "dvc/exp_show.json", "openbox/history.json", "smac/runhistory.json"]


@pytest.mark.parametrize("part", DAMAGED)
def test_a_damaged_file_is_said_in_one_line(part, tmp_path):
    there = tmp_path / Path(part).name
    there.write_text((PARTS / part).read_text()[:-20])
    tool = next(tool for tool in TOOLS if tool.key == part.partition("/")[0])
    assert tool.matches(there)
    with pytest.raises(UsageError, match=f"{there.name}.*damaged") as raised:
        tool.read(there)
    assert "\n" not in str(raised.value)


def test_a_zip_that_was_cut_off_is_said(tmp_path):
    shutil.copy(PARTS / "syne-tune" / "metadata.json", tmp_path)
    (tmp_path / "results.csv.zip").write_bytes((PARTS / "syne-tune" / "results.csv.zip").read_bytes()[:100])
    with pytest.raises(UsageError, match=r"results.csv.zip: damaged"):
        read(tmp_path, "syne-tune")


def test_nothing_is_known_of_what_no_tool_wrote(tmp_path):
    (tmp_path / "data.json").write_text("[1, 2]")
    (tmp_path / "results.csv").write_text("lr,loss\n0.1,0.2\n")
    (tmp_path / "db.sqlite").write_bytes(b"SQLite format 3\x00" + b"x" * 90)
    paths = [tmp_path, *tmp_path.iterdir(), tmp_path / "nothing"]
    assert not [tool.key for path in paths for tool in TOOLS if tool.matches(path)]


IMPORTED = {
    "ax/snapshot.json": ([], {"complete": 1, "failed": 1, "diverged": 1}),
    "deephyper/results.csv": (["--metric", "val_loss", "--minimize"], {"complete": 12, "failed": 1, "diverged": 1}),
    "dvc/exp_show.json": (["--minimize"], {"complete": 1, "failed": 1, "diverged": 1}),
    "guild": (["--metric", "val_loss", "--minimize"], {"complete": 1, "failed": 1, "diverged": 1}),
    "hydra": (["--minimize"], {"complete": 2, "failed": 1, "diverged": 1}),
    "nevergrad/log.json": ([], {"complete": 1, "diverged": 2}),
    "openbox/history.json": ([], {"complete": 3, "failed": 1, "diverged": 2}),
    "smac": ([], {"complete": 2, "failed": 1, "diverged": 1}),
    "syne-tune": ([], {"complete": 1, "failed": 1, "diverged": 1}),
}


@pytest.mark.parametrize("part", IMPORTED)
def test_import_makes_a_study_of_each(part, sweep, tmp_path):
    """From the files to the board, by the command line alone; what the tool knows need not be said."""
    flags, states = IMPORTED[part]
    sweep("import", PARTS / part, "--study", "theirs", *flags)
    sweep("export", "theirs", "-o", "theirs.csv")
    with (tmp_path / "theirs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {state: sum(row["state"] == state for row in rows) for state in states} == states
    assert sum(states.values()) == len(rows)


def test_import_takes_what_is_there_twice_once(sweep, tmp_path):
    """A search that drew a setting and its seed again, and measured the same; other numbers are an error."""
    lines = (PARTS / "nevergrad" / "log.json").read_text().splitlines()
    log = tmp_path / "log.json"
    log.write_text("\n".join([lines[0], lines[0]]) + "\n")
    result = sweep("import", log, "--study", "once")
    assert "imported 1 trial " in result.stdout
    assert "1 trial with the setting, seed and numbers of another, taken once" in result.stderr
    assert "imported 2 trials of 1 setting" in sweep("import", log, "--seed", "rows", "--study", "twice").stdout
    log.write_text(lines[0] + "\n" + lines[0].replace('"#loss": 0.', '"#loss": 0.9') + "\n")
    assert "have the same setting and seed" in sweep("import", log, "--study", "other", code=2).stderr
