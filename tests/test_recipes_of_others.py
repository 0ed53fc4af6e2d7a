"""Other tools' search spaces become recipes that `sweep plan` takes; what a recipe cannot say stands in its head."""

from __future__ import annotations

import json
import math
import sqlite3
import tomllib

import pytest

from sweep.errors import UsageError
from sweep.foreign.spaces import read_space, recipe_text
from sweep.recipe import recipe_of
from tests.test_foreign_b import dumped, sample

WANDB = """
program: train.py
method: random
metric: {name: val_loss, goal: minimize}
run_cap: 12
early_terminate: {type: hyperband, min_iter: 3, eta: 2, s: 2}
command: ["${env}", "${interpreter}", "${program}", "--fast", "${args}"]
parameters:
  lr: {distribution: log_uniform_values, min: 1e-4, max: 0.1}
  wd: {distribution: log_uniform, min: -9.21034037, max: -2.30258509}
  batch_norm: {values: [true, false]}
  opt:
    parameters:
      name: {values: [adam, sgd]}
      eps: {value: 1e-8}
  hidden: {min: 16, max: 128}
  dropout: {distribution: q_uniform, min: 0, max: 0.5, q: 0.1}
  noise: {distribution: normal, mu: 0, sigma: 1}
  mix: {values: [1, none, null]}
  seed: {values: [0, 1]}
"""

NNI = {
    "lr": {"_type": "loguniform", "_value": [1e-4, 0.1]},
    "hidden": {"_type": "randint", "_value": [16, 65]},
    "layer": {
        "_type": "choice",
        "_value": [{"_name": "conv", "size": {"_type": "choice", "_value": [3, 5]}}, {"_name": "pool"}],
    },
    "q": {"_type": "quniform", "_value": [0, 1, 0.25]},
}

HYDRA = """
hydra:
  sweeper:
    _target_: hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper
    sampler: {_target_: optuna.samplers.RandomSampler}
    direction: maximize
    n_trials: 30
    params:
      lr: tag(log, interval(1e-4, 1e-1))
      model.hidden: int(interval(16, 64))
      optimizer: choice(adam, 'sgd')
      batch_norm: on,off
      x: range(1, 10, 3)
      +mom: interval(0, 0.9)
"""

CONFIGSPACE = {
    "hyperparameters": [
        {"type": "categorical", "name": "optimizer", "choices": ["adam", "sgd"], "weights": None},
        {"type": "uniform_float", "name": "lr", "lower": 1e-4, "upper": 0.1, "log": True},
        {"type": "uniform_int", "name": "hidden", "lower": 16, "upper": 64, "log": False},
        {"type": "uniform_float", "name": "beta1", "lower": 0.8, "upper": 0.95, "log": False},
        {"type": "uniform_float", "name": "momentum", "lower": 0.0, "upper": 0.9, "log": False},
        {"type": "uniform_float", "name": "dropout", "lower": 0.0, "upper": 0.5, "log": False},
    ],
    "conditions": [
        {"type": "EQ", "child": "beta1", "parent": "optimizer", "value": "adam"},
        {"type": "EQ", "child": "dropout", "parent": "optimizer", "value": "adam"},
    ],
    "forbiddens": [{"type": "EQUALS", "name": "hidden", "value": 17}],
    "format_version": 0.4,
}


def made(path, name=None):
    """A file's recipe: its table, and its comment in one line."""
    text = recipe_text(read_space(path, name), path.name)
    head = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    return tomllib.loads(text), head


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_wandb(tmp_path):
    table, head = made(written(tmp_path, "sweep.yaml", WANDB))
    assert table["space"] == {
        "lr": {"low": 1e-4, "high": 0.1, "log": True},
        "wd": {"low": 1e-4, "high": 0.1, "log": True},  # exponents of e
        "batch_norm": [True, False],
        "opt_name": ["adam", "sgd"],
        "opt_eps": 1e-8,
        "hidden": {"low": 16, "high": 128},
        "dropout": {"low": 0.0, "high": 0.5, "step": 0.1},
        "noise": {"low": -3.0, "high": 3.0},
        "mix": [1, "none", "None"],
    }
    assert (table["metric"], table["seeds"]) == ("val_loss", [0, 1])
    assert table["search"] == {"sampler": "random", "pruner": "hyperband", "min_epochs": 3, "reduction": 2}
    assert table["command"].startswith("python train.py --fast --lr={lr} ")
    assert "--opt.name={opt_name}" in table["command"]
    assert "--seed={seed}" in table["command"]
    for said in (
        "sweep search recipe.toml --trials 12",
        "early_terminate: s",
        "normal with mean 0",
        "None is text here",
    ):
        assert said in head


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("{min: 0, max: 1.0}", {"low": 0.0, "high": 1.0}),
        ("{distribution: q_uniform, min: 3, max: 11, q: 4}", {"low": 4, "high": 12, "step": 4}),
        ("{distribution: q_log_uniform_values, min: 8, max: 64, q: 8}", {"low": 8.0, "high": 64.0, "log": True}),
        ("{distribution: log_normal, mu: 0, sigma: 1}", {"low": 0.0497871, "high": 20.0855, "log": True}),
        ("{distribution: beta, a: 1, b: 2}", {"low": 0.0, "high": 1.0}),
        ("{values: [0.1, 0.2], probabilities: [0.3, 0.7]}", [0.1, 0.2]),
        ("{value: on}", True),
    ],
)
def test_wandb_distributions(parameter, expected, tmp_path):
    text = f"method: random\nprogram: t.py\nparameters:\n  x: {parameter}\n  y: {{values: [1, 2]}}\n"
    table, _ = made(written(tmp_path, "sweep.yaml", text))
    assert table["space"]["x"] == expected


def test_nni(tmp_path):
    table, head = made(written(tmp_path, "space.json", NNI))
    assert table["space"] == {
        "lr": {"low": 1e-4, "high": 0.1, "log": True},
        "hidden": {"low": 16, "high": 64},  # 65 is none of them
        "layer": ["conv", "pool"],
        "layer_size": [3, 5],
        "q": {"low": 0, "high": 1, "step": 0.25},
    }
    assert "layer.size only with layer = conv: here it is in every setting" in head
    assert "NNI does not know the program" in head


def test_nni_configuration_has_the_program(tmp_path):
    config = {
        "searchSpace": NNI,
        "trialCommand": "python3 trial.py",
        "maxTrialNumber": 9,
        "tuner": {"name": "TPE", "classArgs": {"optimize_mode": "maximize"}},
    }
    table, head = made(written(tmp_path, "config.yaml", config))
    assert table["command"].startswith("python3 trial.py --lr={lr}")
    assert table["search"] == {"sampler": "tpe"}
    assert (table["metric"], "direction" in table) == ("val_accuracy", False)  # which is maximised anyway
    assert "--trials 9" in head


def test_hydra(tmp_path):
    table, head = made(written(tmp_path, "config.yaml", HYDRA))
    assert table["space"] == {
        "lr": {"low": 1e-4, "high": 0.1, "log": True},
        "model_hidden": {"low": 16, "high": 64},
        "optimizer": ["adam", "sgd"],
        "batch_norm": ["on", "off"],
        "x": [1, 4, 7],
        "mom": {"low": 0.0, "high": 0.9},
    }
    assert table["command"] == (
        "python my_app.py lr={lr} model.hidden={model_hidden} optimizer={optimizer} batch_norm={batch_norm} x={x} "
        "mom={mom}"
    )
    assert (table["metric"], table["search"]) == ("val_accuracy", {"sampler": "random"})
    assert "--trials 30" in head


def test_hydra_multirun_has_the_overrides_of_the_command_line():
    table, head = made(sample("hydra-1.3.8", "on-off", "multirun.yaml"))
    assert table["space"] == {"batch_norm": ["on", "off"]}
    assert table["command"] == "python app4.py batch_norm={batch_norm}"
    assert "sweep grid recipe.toml" in head


def test_configspace_keeps_the_conditions_that_sweep_has(tmp_path):
    table, head = made(written(tmp_path, "space.json", CONFIGSPACE))
    assert table["data"] == "digits"
    assert table["space"]["beta1"] == {"low": 0.8, "high": 0.95}
    assert "beta1 only with optimizer = adam: kept" in head
    assert "dropout only with optimizer = adam: here it is in every setting" in head
    assert "forbidden: hidden = 17" in head


def test_configspace_of_smac():
    table, head = made(sample("smac-2.4.1", "toy", "0", "configspace.json"))
    assert table["space"] == {
        "batch_norm": [True, False],
        "hidden": {"low": 16, "high": 64, "log": True},
        "lr": [0.1, 0.01],
        "bn_momentum": {"low": 0.1, "high": 0.3},
    }
    assert "bn_momentum only with batch_norm = true: kept" in head


def test_configspace_conditions_of_several_values(tmp_path):
    space = json.loads(json.dumps(CONFIGSPACE))
    space["hyperparameters"][0]["choices"] = ["adam", "adamw", "sgd"]
    space["conditions"] = [{"type": "IN", "child": "beta1", "parent": "optimizer", "values": ["adam", "adamw"]}]
    assert "beta1 only with optimizer one of adam, adamw: kept" in made(written(tmp_path, "a.json", space))[1]
    space["conditions"] = [{"type": "NEQ", "child": "beta1", "parent": "optimizer", "value": "sgd"}]
    assert "beta1 only with optimizer other than sgd: kept" in made(written(tmp_path, "b.json", space))[1]
    space["conditions"] = [{"type": "NEQ", "child": "beta1", "parent": "optimizer", "value": "adam"}]
    assert "other than adam: here it is in every setting" in made(written(tmp_path, "c.json", space))[1]


@pytest.mark.parametrize("form", ["toy.sql", "toy.log"])
def test_optuna(form, tmp_path):
    path = sample("optuna-5.0.0", form)
    table, head = made(dumped(path, tmp_path) if form.endswith("sql") else path)
    assert table["space"] == {"lr": [0.1, 0.01], "batch_norm": [True, False], "bn_momentum": 0.2}
    assert table["seeds"] == [0, 1]
    assert "bn_momentum only with batch_norm = true, as all trials have it: kept" in head


@pytest.mark.long
def test_optuna_distributions_of_all_kinds(tmp_path):
    """A journal and a database of Optuna's own, with what it does not name itself kept as it is."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{tmp_path / 'o.db'}"
    for name in ("first", "second"):
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
        trial = study.ask()
        trial.suggest_float("lr rate", 1e-4, 0.1, log=True)
        trial.suggest_float("keep", 0.0, 1.0, step=0.25)
        trial.suggest_int("width", 16, 64, step=16)
        trial.suggest_int("state", 1, 9)
        trial.suggest_categorical("kind", ["a", None, 3])
        study.tell(trial, 1.0)
    with pytest.raises(UsageError, match="2 studies: first, second; --name says which"):
        read_space(tmp_path / "o.db")
    table, head = made(tmp_path / "o.db", "second")
    assert table["space"] == {
        "lr_rate": {"low": 1e-4, "high": 0.1, "log": True},
        "keep": {"low": 0.0, "high": 1.0, "step": 0.25},
        "width": {"low": 16, "high": 64, "step": 16},
        "state_": {"low": 1, "high": 9},
        "kind": ["a", "None", 3],
    }
    assert "'--lr rate={lr_rate}'" in table["command"]
    assert "state is called state_ here" in head
    with pytest.raises(UsageError, match="unknown study 'third'"):
        read_space(tmp_path / "o.db", "third")


FILES = {
    "sweep.yaml": WANDB,
    "space.json": NNI,
    "config.yaml": HYDRA,
    "configspace.json": CONFIGSPACE,
    "grid.yaml": "method: grid\nprogram: t.py\nparameters:\n  a: {values: [1, 2]}\n  b: {value: x y}\n",
    "bare.yaml": "method: random\nparameters:\n  test_loss: {values: [a, b]}\n  1x.y: {min: 1, max: 9}\n",
}


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_each_recipe_is_planned(name, sweep, tmp_path):
    """By the command that stands in its head."""
    source = written(tmp_path, name, FILES[name])
    assert "wrote own.toml" in sweep("recipe", source, "-o", "own.toml").stdout
    text = (tmp_path / "own.toml").read_text()
    assert sweep("recipe", source).stdout == text.replace("own.toml", "recipe.toml")
    plan = next(line.split()[2:] for line in text.splitlines() if line.startswith("#   sweep plan"))
    assert "trials" in sweep(*plan, "--no-measure").stdout
    assert sweep("recipe", source, "-o", "own.toml", code=2).stderr == "sweep: -o own.toml: exists; give another name\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [1, 2", "not valid YAML"),
        ("a: 1\n", "no search space that is known; looked for: ConfigSpace"),
        ("method: odd\nparameters: {x: {values: [1]}}\n", "unknown method 'odd'"),
        ("method: grid\nparameters: {x: {values: []}}\n", "expected a list"),
        ("method: grid\nparameters: {x: {min: 1}}\n", "without max"),
        ("method: grid\nparameters: {x: {min: a, max: b}}\n", "not a space as Weights & Biases writes it"),
        ("method: grid\nparameters: {x: 3}\n", "expected value, values, or min and max"),
        ("method: grid\nparameters: {seed: {values: [1, 2]}}\n", "no hyperparameter but the seed"),
        ("method: grid\nparameters: {x: {values: [.inf, 1]}}\n", "cannot be a recipe: x = "),
        ("x: {_type: odd, _value: [1]}\n", "unknown _type 'odd'"),
        ("x: {_type: uniform, _value: [a, b]}\n", "expected numbers"),
        ("hydra: {sweeper: {params: {x: 'glob(*)'}}}\n", "glob"),
        ("hydra: {sweeper: {params: {x: 'range(a)'}}}\n", "expected numbers"),
        ("hydra: {sweeper: {params: {x: 'interval(1)'}}}\n", "expected two numbers"),
        ("hyperparameters: [{type: odd, name: x}]\nconditions: []\n", "unknown type 'odd'"),
        ("hyperparameters: [{type: uniform_int, name: x}]\nconditions: []\n", "without lower"),
    ],
)
def test_a_space_that_is_none_is_said_in_one_line(content, said, sweep, tmp_path):
    result = sweep("recipe", written(tmp_path, "space.yaml", content), code=2)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there_or_a_folder(sweep, tmp_path):
    assert "no such file" in sweep("recipe", "none.yaml", code=2).stderr
    assert "a folder" in sweep("recipe", tmp_path, code=2).stderr
    named = sweep("recipe", written(tmp_path, "s.yaml", WANDB), "--name", "x", code=2).stderr
    assert "is for a study of Optuna" in named


def test_a_database_without_trials_is_said(tmp_path):
    connection = sqlite3.connect(tmp_path / "o.db")
    connection.executescript(
        "CREATE TABLE studies (study_id, study_name); CREATE TABLE study_directions (study_id, direction, objective);"
        "CREATE TABLE trials (trial_id, study_id); INSERT INTO studies VALUES (1, 's');"
        "CREATE TABLE trial_params (param_id, trial_id, param_name, param_value, distribution_json)"
    )
    connection.close()
    with pytest.raises(UsageError, match="no trial that has parameters"):
        read_space(tmp_path / "o.db")


def test_ranges_of_recipes_are_what_the_spaces_say(tmp_path):
    """The recipe's own reader takes what was written, with the ends that it says."""
    table, _ = made(written(tmp_path, "sweep.yaml", WANDB))
    axes = {axis.name: axis.values for axis in recipe_of(table, {}).axes}
    assert (axes["lr"].low, axes["lr"].high, axes["lr"].log) == (1e-4, 0.1, True)
    assert math.isclose(axes["dropout"].step, 0.1)
