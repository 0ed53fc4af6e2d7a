"""Searches: what is asked depends on the history alone, stays inside the space, and is never trained twice."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import statistics
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState

from sweep.data import describe
from sweep.errors import UsageError
from sweep.hyperparameters import IN_SETTING, TABLE, Setting, Value, canonical
from sweep.ledger import Ledger, doctor
from sweep.plan import parameter_count
from sweep.recipe import SAMPLERS, Recipe, load_recipe, recipe_from_dict
from sweep.search import (
    AGAIN,
    FEWEST,
    AskTell,
    Pruner,
    check_sampler,
    distributions,
    finite_grid,
    read_enqueued,
    warm_results,
)
from sweep.space import Result, Trial, setting_key
from tests.processes import family, inject_defect, kill, numbers, query, start, table, wait_for

MIXED = {
    "optimizer": "adam,sgd",
    "lr": "1e-4:1:log",
    "beta1": "0.8:0.95",
    "momentum": "0:0.9:step=0.3",
    "batch_norm": "on,off",
    "bn_momentum": "0.01:0.5:log",
    "hidden": "4:16:step=4",
    "batch_size": "16,32,full",
}
RANGES = {"lr": "1e-4:1:log", "dropout": "0:0.5:step=0.1", "hidden": "4:64:log"}
SPACES = {"tpe": MIXED, "random": MIXED, "qmc": MIXED, "halton": MIXED, "cmaes": RANGES, "gp": RANGES}


def recipe(flags: dict[str, str], sampler: str = "tpe", in_flight: int = 4, **search) -> Recipe:
    return load_recipe(None, flags, {"sampler": sampler, "in_flight": in_flight, **search})


def loss(setting: Setting) -> float:
    """Something smooth to minimise in place of a training."""
    return (math.log10(setting["lr"]) + 2) ** 2 + setting["hidden"] / 64 + setting.get("dropout", 0.0)


def outcome(trial: Trial) -> Result:
    state = "diverged" if trial.setting["lr"] > 0.3 else "complete"
    return Result(trial, state, loss(trial.setting) if state == "complete" else None)


def trained(
    asking: AskTell, total: int, results: Sequence[Result] = (), train: Callable[[Trial], Result] = outcome
) -> list[Result]:
    """The results of a whole search, asked and told as the study does."""
    results = list(results)
    while len(results) < total:
        trials = asking.ask(total - len(results))
        if not trials:
            break
        made = [train(trial) for trial in trials]
        asking.tell(made)
        results += made
    return results


# What is asked


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["tpe", "random", "qmc", "halton"]), st.integers(0, 2**31 - 1), st.integers(1, 7))
def test_settings_are_canonical_and_inside_the_space(sampler, seed, in_flight):
    asked = [result.trial.setting for result in trained(AskTell(recipe(MIXED, sampler, in_flight, seed=seed)), 14)]
    assert len({setting_key(setting) for setting in asked}) == 14
    for setting in asked:
        assert setting == canonical(setting)
        assert all(TABLE[name].check(value) == value for name, value in setting.items())
        assert 1e-4 <= setting["lr"] <= 1
        assert setting["hidden"] in (4, 8, 12, 16)
        assert setting["batch_size"] in (16, 32, "full")
        assert ("beta1" in setting) == (setting["optimizer"] == "adam")
        assert ("bn_momentum" in setting) == setting["batch_norm"]
        if setting["optimizer"] == "sgd":
            assert setting["momentum"] in (0.0, 0.3, 0.6, 0.9)


def test_the_sampler_sees_inactive_hyperparameters_as_conditional():
    asking = AskTell(recipe(MIXED))
    trained(asking, 12)
    asking.ask(1)
    complete = asking.study.get_trials(states=[TrialState.COMPLETE])
    assert {"adam", "sgd"} == {trial.params["optimizer"] for trial in complete}
    for trial in complete:
        assert ("beta1" in trial.params) == (trial.params["optimizer"] == "adam")
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")


@pytest.mark.long
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_rebuilt_search_goes_on_as_one_that_never_stopped(sampler):
    """Rebuilt after every number of trials, in the middle of generations too; to the last bit."""
    one, total = recipe(SPACES[sampler], sampler), 16 if sampler == "gp" else 18
    whole = trained(AskTell(one), total)
    assert [result.trial.number for result in whole] == list(range(total))
    for cut in range(1, total, 5 if sampler == "gp" else 1):
        rest = trained(AskTell(one, whole[:cut]), total, whole[:cut])
        assert rest == whole, cut


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_what_is_asked_depends_on_seed_and_on_results_of_earlier_generations_only(sampler):
    one = recipe(SPACES[sampler], sampler)
    whole = trained(AskTell(one), 24)
    other = trained(AskTell(one), 24, train=lambda trial: Result(trial, "complete", -loss(trial.setting)))
    settings_of = [[result.trial.setting for result in results] for results in (whole, other)]
    assert settings_of[0][:4] == settings_of[1][:4]
    assert settings_of[0][4:] != settings_of[1][4:]
    seeded = trained(AskTell(recipe(SPACES[sampler], sampler, seed=1)), 12)
    assert [result.trial.setting for result in seeded][:4] != settings_of[0][:4]


def suggested(trial: optuna.Trial, name: str, one: BaseDistribution) -> Value:
    """A value by Optuna's own calls, as a setting has it."""
    if isinstance(one, CategoricalDistribution):
        return trial.suggest_categorical(name, one.choices)
    suggest = trial.suggest_int if isinstance(one, IntDistribution) else trial.suggest_float
    value = suggest(name, one.low, one.high, step=one.step, log=one.log)
    return value if one.step is None else TABLE[name].check(round(value, 9))  # 0.30000000000000004


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(("space", "aims"), [(RANGES, {}), (MIXED, {}), (RANGES, {"minimize": ["val_loss,seconds"]})])
def test_tpe_asks_for_what_optunas_own_loop_asks_for(space, aims):
    """The oracle is `Study.ask` and `Study.tell`, with a TPE made anew for every asking that finds its groups
    itself.
    """
    first_values = {"lr": 0.01, "hidden": 8}
    one = recipe(space, in_flight=5, enqueue=[first_values], seed=3, **aims)
    spread = distributions(one)

    def train(trial: Trial) -> Result:
        value = loss(trial.setting)
        return Result(trial, "complete", value, 1, {"val_loss": value, "seconds": trial.setting["hidden"]})

    whole = trained(AskTell(one), 40, train=train)
    assert [result.trial.number for result in whole] == list(range(40))  # nothing was asked twice
    study = optuna.create_study(directions=["minimize"] * (2 if aims else 1))
    study.enqueue_trial(first_values)
    for first in range(0, 40, 5):
        asked = []
        for number in range(first, first + 5):
            seed = int(np.random.SeedSequence([3, number]).generate_state(1)[0])
            study.sampler = TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
            trial, setting = study.ask(), {}
            for row in IN_SETTING:
                if row.active(setting):
                    one = spread.get(row.name)
                    setting[row.name] = suggested(trial, row.name, one) if one else row.default_for(setting)
            asked.append((trial, setting))
        for (trial, setting), result in zip(asked, whole[first : first + 5], strict=True):
            assert setting == result.trial.setting
            study.tell(trial, list(result.others.values()) if aims else result.value)


def test_a_sampler_that_learns_beats_chance():
    best = {
        sampler: sorted(
            min(result.value for result in trained(AskTell(recipe(RANGES, sampler, seed=seed)), 60) if result.value)
            for seed in range(5)
        )[2]
        for sampler in ("tpe", "random")
    }
    assert best["tpe"] < 0.7 * best["random"]


# Asked twice


def test_a_setting_asked_twice_is_told_again_and_not_trained_again():
    one = recipe({"lr": "0.1,0.03,0.01,0.001", "hidden": "4,8,16"}, "random", in_flight=3)
    asking = AskTell(one)
    results = trained(asking, 12)
    keys = [setting_key(result.trial.setting) for result in results]
    assert len(set(keys)) == len(keys) == 12
    values = {tuple(trial.params.values()): set() for trial in asking.study.get_trials()}
    assert results[-1].trial.number > 14
    told = asking.study.get_trials(states=[TrialState.COMPLETE])
    assert len(told) == results[-1].trial.number // 3 * 3
    for trial in told:
        values[tuple(trial.params.values())].add(trial.value)
    assert all(len(found) <= 1 for found in values.values())
    assert len({tuple(trial.params.values()) for trial in told}) < len(told)
    for cut in range(1, 12):  # the numbers that have no trial are asked again when it is rebuilt
        assert trained(AskTell(one, results[:cut]), 12, results[:cut]) == results


@pytest.mark.long
@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp"])
def test_a_finite_space_is_exhausted_and_said_so(sampler):
    one = recipe({"lr": "0.1,0.01,0.001", "optimizer": "adam,sgd", "beta1": "0.8,0.9"}, sampler)
    asking = AskTell(one)
    results = trained(asking, 50)
    assert len(results) == finite_grid(one).census.settings == 9
    assert asking.ended == "all 9 settings of the space are trained"
    assert max(result.trial.number for result in results) < 9 * (AGAIN + 1)
    again = AskTell(one, results)
    assert again.ask(1) == []


def test_a_range_that_no_setting_uses_makes_no_space_infinite(sweep):
    one = recipe({"lr": "0.1,0.01", "momentum": "0:0.99"})  # of SGD
    asking = AskTell(one)
    assert len(trained(asking, 50)) == finite_grid(one).census.settings == 2
    assert asking.ended == "all 2 settings of the space are trained"
    done = sweep("search", "--lr", "0.1,0.01", "--momentum", "0:0.99", "--epochs", 1, "--trials", 5)
    assert "momentum has no effect here: it is for optimizer sgd or rmsprop" in done.stderr


# Told


def test_diverged_is_told_as_worse_than_anything_finished_and_left():
    """Every lr above 0.3 diverges: a third of a decade in four; later trials concentrate below."""
    results = trained(AskTell(recipe({"lr": "1e-2:100:log", "hidden": "4:64:log"}, in_flight=5)), 60)
    early, late = results[:20], results[-20:]
    assert sum(result.state == "diverged" for result in early) >= 8
    assert sum(result.state == "diverged" for result in late) <= 4


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_states_are_told_as_what_they_mean(direction):
    flags = {"lr": "1e-4:1:log", "metric": "val_loss" if direction == "minimize" else "val_accuracy"}
    asking = AskTell(recipe(flags, in_flight=3))
    first = asking.ask(3)
    asking.tell(
        [Result(first[0], "complete", 0.5), Result(first[1], "diverged", 0.9), Result(first[2], "failed", None)]
    )
    asking.ask(1)
    trials = asking.study.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "FAIL", "RUNNING"]
    assert trials[1].value == (math.inf if direction == "minimize" else -math.inf)
    assert asking.study.best_trial.number == 0


def test_several_objectives_are_told_together_and_what_diverges_is_worst_in_all():
    two = load_recipe(
        None, {"lr": "1e-4:1:log", "hidden": "4:64"}, {"in_flight": 3, "minimize": ["val_loss", "parameters"]}
    )
    assert (two.metric, two.direction) == ("val_loss", "minimize")
    data = describe("digits")
    asking = AskTell(two, data=data)
    first = asking.ask(3)
    results = [Result(first[0], "complete", 0.5), Result(first[1], "diverged", 0.9), Result(first[2], "failed", None)]
    asking.tell(results)
    asked = asking.ask(3)
    trials = asking.study.get_trials()
    assert trials[0].values == [0.5, parameter_count(first[0].setting, data)]
    assert trials[1].values == [math.inf, math.inf]
    assert trials[2].state == TrialState.FAIL
    assert [trial.number for trial in asking.study.best_trials] == [0]
    assert AskTell(two, results, data).ask(3) == asked


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random", "qmc"])
def test_a_search_for_several_objectives_goes_on_as_one_that_never_stopped(sampler):
    aims = {"minimize": ["val_loss", "train_loss"], "maximize": ["val_accuracy"]}
    one = recipe(RANGES, sampler, **aims)

    def train(trial: Trial) -> Result:
        made = outcome(trial)
        return Result(
            trial,
            made.state,
            made.value,
            10,
            {"val_loss": made.value, "train_loss": trial.setting["lr"], "val_accuracy": 0.5},
        )

    whole = trained(AskTell(one), 12, train=train)
    for cut in (1, 4, 7, 10):
        assert trained(AskTell(one, whole[:cut]), 12, whole[:cut], train) == whole, cut


def test_one_objective_is_the_metric():
    one = load_recipe(None, {"lr": "0.1:1"}, {"maximize": ["val_accuracy"]})
    assert (one.metric, one.direction, one.search.objectives) == ("val_accuracy", "maximize", ())
    assert recipe_from_dict(one.to_dict()) == one
    two = load_recipe(None, {"lr": "0.1:1"}, {"maximize": ["val_accuracy"], "minimize": ["seconds,parameters"]})
    assert two.search.objectives == (("seconds", "minimize"), ("parameters", "minimize"), ("val_accuracy", "maximize"))
    assert (two.metric, two.direction) == ("val_accuracy", "maximize")
    assert recipe_from_dict(two.to_dict()) == two


def test_seeds_are_told_as_their_mean():
    asking = AskTell(load_recipe(None, {"lr": "1e-4:1:log", "seeds": "2"}, {"in_flight": 2}))
    trials = asking.ask(4)
    assert [(trial.number, trial.seed) for trial in trials] == [(0, 0), (1, 1), (2, 0), (3, 1)]
    assert trials[0].setting == trials[1].setting != trials[2].setting
    asking.tell([Result(trial, "complete", float(trial.number)) for trial in trials])
    assert [trial.number for trial in asking.ask(2)] == [4, 5]
    assert [trial.value for trial in asking.study.get_trials()[:2]] == [0.5, 2.5]


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "qmc"])
def test_where_the_sampler_would_answer_otherwise_now_the_record_counts(sampler):
    """A failed trial that was retried since, rows of another version of Optuna: the search goes on from what is
    there.
    """
    one = recipe(RANGES, sampler)
    results = trained(AskTell(one), 13, train=lambda t: Result(t, "failed", None) if t.number == 1 else outcome(t))
    retried = [outcome(result.trial) for result in results]
    other = [outcome(result.trial) for result in trained(AskTell(recipe(RANGES, sampler, seed=9)), 13)]
    for recorded in (retried, other):
        asking = AskTell(one, recorded)
        asked = asking.ask(4)
        assert [trial.number for trial in asked] == [13, 14, 15]
        first = 1 if sampler == "qmc" else 0  # the trial that gives qmc its dimensions
        kept = [trial for trial in asking.study.get_trials()[first:] if trial.state.name in ("COMPLETE", "RUNNING")]
        for result, trial in zip(recorded, kept, strict=False):
            assert trial.params == pytest.approx({name: result.trial.setting[name] for name in trial.params})
        assert AskTell(one, recorded).ask(4) == asked


# Begun with


def test_enqueued_settings_come_first_and_the_sampler_adds_the_rest():
    one = recipe(MIXED)
    texts = ["lr=0.001,optimizer=adam,beta1=0.9", "lr=0.01,optimizer=sgd,momentum=0.3", "hidden=8"]
    one = recipe(MIXED, enqueue=read_enqueued(one, texts))
    whole = trained(AskTell(one), 9)
    first, second, third = (result.trial.setting for result in whole[:3])
    assert (first["lr"], first["beta1"]) == (0.001, 0.9)
    assert (second["lr"], second["momentum"]) == (0.01, 0.3)
    assert third["hidden"] == 8
    for cut in range(1, 9):
        assert trained(AskTell(one, whole[:cut]), 9, whole[:cut]) == whole


def test_a_warm_start_knows_where_to_look():
    space = {"lr": "1e-4:1:log", "hidden": "4:64:log"}
    grid = load_recipe(None, {"lr": "1e-4:1:log:9", "hidden": "4,16,64"})
    found = [outcome(trial) for trial in grid.grid.trials()]
    warm = warm_results(recipe(space), grid, found, "g")
    assert len(warm) == 27
    assert sum(value is None for _, value in warm) == sum(result.state == "diverged" for result in found) > 0
    sums = [
        sum(result.value or 9 for seed in range(6) for result in trained(AskTell(recipe(space, seed=seed, **how)), 8))
        for how in ({"warm": warm}, {})
    ]
    assert sums[0] < 0.7 * sums[1]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"lr": "1e-4:1:log"}, ["--from g", "hidden varies there only"]),
        ({"lr": "1e-4:1:log", "hidden": "4:64", "depth": "1:3"}, ["depth varies here only"]),
        ({"lr": "1e-4:1:log", "hidden": "4:64", "epochs": "3"}, ["epochs = 10 there, 3 here"]),
        ({"lr": "1e-4:1:log", "hidden": "4:64", "data": "mnist"}, ["do not compare", "digits", "mnist"]),
        ({"lr": "2:3", "hidden": "4:64"}, ["none of its finished trials"]),
    ],
)
def test_a_warm_start_from_other_hyperparameters_is_refused(flags, words):
    grid = load_recipe(None, {"lr": "0.1,0.01", "hidden": "4,16"})
    with pytest.raises(UsageError) as caught:
        warm_results(recipe(flags), grid, [outcome(trial) for trial in grid.grid.trials()], "g")
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr", ["expected NAME=VALUE"]),
        ("lr=", ["expected NAME=VALUE"]),
        ("lrr=0.1", ["unknown 'lrr'", "optimizer, lr"]),
        ("depth=3", ["depth does not vary"]),
        ("lr=fast", ["lr = ", "number"]),
        ("lr=2", ["lr = 2 lies outside", "0.0001 to 1"]),
        ("hidden=6", ["hidden = 6 lies outside", "in steps of 4"]),
        ("batch_size=64", ["batch_size = 64 lies outside", '16, 32, "full"']),
    ],
)
def test_an_enqueued_setting_that_cannot_be(text, words):
    with pytest.raises(UsageError) as caught:
        read_enqueued(recipe(MIXED), [text])
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


@pytest.mark.parametrize(
    "flags", [{"lr": "1e-4:1:log"}, {"lr": "0.1,0.2", "hidden": "4,8"}, {"lr": "1e-4:1", "beta1": "0.8:0.9"}]
)
def test_cmaes_needs_two_ranges_that_are_always_active(flags):
    with pytest.raises(UsageError, match="two ranges that are always active"):
        check_sampler(recipe(flags, "cmaes"))


def test_a_sampler_whose_library_is_missing_is_refused(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cmaes", None)
    with pytest.raises(UsageError, match="--sampler cmaes: needs the package cmaes"):
        check_sampler(recipe(RANGES, "cmaes"))


# Through the command line

BOTH = ["--minimize", "val_loss", "--minimize", "parameters"]
SEARCH = [
    *("--lr", "1e-3:1:log", "--optimizer", "adam,sgd", "--beta1", "0.8:0.95", "--hidden", "4:16:step=4"),
    *("--epochs", 12, "--in-flight", 6),
]


@pytest.mark.long
def test_killed_and_resumed_a_search_equals_one_that_was_left_alone(sweep, tmp_path):
    """kill -9 of the study and all its workers in two generations, two jobs and one, another number of lanes."""
    sweep("search", *SEARCH, "--trials", 20, "--jobs", 1, "--study", "whole")
    database = tmp_path / "results" / "sweep.db"
    done = "SELECT count(*) FROM trials JOIN studies ON id = study WHERE name = 'cut' AND state = 'complete'"
    some = "SELECT count(*) FROM epochs JOIN studies ON id = study WHERE name = 'cut'"
    process = start(tmp_path, "search", *SEARCH, "--trials", 20, "--jobs", 2, "--study", "cut")
    wait_for(lambda: query(database, some) > [(10,)], process)
    for _ in range(2):
        hosts, workers = family(process)
        for pid in (process.pid, *hosts, *workers):
            kill(pid)
        process.communicate(timeout=60)
        before = query(database, done)[0][0]
        process = start(tmp_path, "resume", "cut", "--jobs", 2)
        wait_for(lambda b=before: query(database, done)[0][0] >= min(20, b + 6))
    process.communicate(timeout=60)
    sweep("resume", "cut", "--jobs", 1, "--lanes", 2)
    assert numbers(sweep, "cut") == numbers(sweep, "whole")
    assert query(database, "SELECT count(*) FROM trials") == [(40,)]


@pytest.mark.parametrize("sampler", ["qmc", "halton", "gp"])
@pytest.mark.long
def test_a_sampler_finds_scipy_whole_while_a_run_imports_it_for_its_leaderboard(sweep, sampler):
    """Two threads that begin with different parts of scipy.stats fail both."""
    flags = ["--lr", "1e-3:0.1:log", "--epochs", 1, "--in-flight", 12, "--sampler", sampler]
    done = sweep("search", *flags, "--trials", 13, "--study", "s")
    assert "13 complete of 13 trials" in done.stderr


def test_trials_are_a_total_that_may_grow_and_budgets_hold(sweep):
    flags = [*SEARCH[:-4], "--epochs", 2, "--in-flight", 6]
    sweep("search", *flags, "--trials", 13, "--study", "whole")
    first = sweep("search", *flags, "--trials", 13, "--max-trials", 4, "--study", "grown")
    assert "4 complete of 13 trials" in first.stderr
    assert "sweep resume grown" in first.stderr
    assert "8 complete of 8" in sweep("search", *flags, "--trials", 8, "--study", "grown").stderr
    grown = sweep("search", *flags, "--trials", 13, "--study", "grown")
    assert "grown: 8 trials there, 13 asked for now" in grown.stderr
    assert "8 done, 0 retried, 5 left, 0 duplicated" in grown.stderr
    assert numbers(sweep, "grown") == numbers(sweep, "whole")
    assert "identical" in sweep("reproduce", "grown", 12).stdout


def test_a_finite_space_ends_before_its_trials(sweep):
    result = sweep("search", "--lr", "0.1,0.01,0.001", "--hidden", "4,8", "--epochs", 1, "--trials", 20, "--study", "f")
    assert "all 6 settings of the space are trained; the search ends" in result.stderr
    assert "6 complete of 6" in result.stderr or "6 complete" in result.stderr
    assert len(table(sweep, "f")) == 6
    assert "6 done, 0 retried, 0 left" in sweep("resume", "f").stderr


def test_real_divergence_is_left_behind(sweep):
    """SGD at a large learning rate without batch norm does not stay finite."""
    flags = ["--optimizer", "sgd", "--activation", "relu", "--depth", 6, "--lr", "1e-2:1e5:log", "--epochs", 3]
    sweep("search", *flags, "--trials", 40, "--in-flight", 8, "--study", "d")
    frame = table(sweep, "d").assign(trial=lambda f: f["trial"].astype(int)).sort_values("trial")
    states = frame["state"].tolist()
    assert states[:16].count("diverged") >= 5
    assert states[-16:].count("diverged") < states[:16].count("diverged")


def test_begun_with_a_grid_and_a_setting(sweep):
    sweep("grid", "--lr", "0.1,0.01,0.001", "--hidden", "4,16", "--epochs", 1, "--study", "g")
    flags = ["--lr", "1e-4:1:log", "--hidden", "4:32", "--epochs", 1, "--in-flight", 3, "--study", "w"]
    start_with = ["--from", "g", "--enqueue", "lr=0.02,hidden=9", "--enqueue", "hidden=11"]
    sweep("search", *flags, *start_with, "--trials", 4)
    sweep("rm", "g", "--yes")  # what it gave is kept with the search
    sweep("search", *flags, "--trials", 7)
    frame = table(sweep, "w").set_index("trial")
    assert (frame.loc["0", "lr"], frame.loc["0", "hidden"], frame.loc["1", "hidden"]) == ("0.02", "9", "11")
    assert len(frame) == 7
    refused = sweep("search", *flags, "--enqueue", "hidden=12", "--trials", 7, code=2)
    assert "search.enqueue" in refused.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--lr", "0.1:1"], ["--trials"]),
        (["--lr", "0.1:1", "--trials", 0], ["--trials", "1"]),
        (["--trials", 5], ["something to vary"]),
        (["--lr", "0.1:1", "--trials", 5, "--sampler", "tpee"], ["--sampler", "did you mean 'tpe'?"]),
        (["--lr", "0.1:1", "--trials", 5, "--sampler", "x"], ["--sampler", "tpe, gp, cmaes, random, qmc, halton"]),
        (["--lr", "0.1:1", "--trials", 5, "--sampler", "cmaes"], ["--sampler cmaes", "two ranges"]),
        (["--lr", "0.1:1", "--trials", 5, "--in-flight", 0], ["--in-flight", "1 to 100000"]),
        (["--lr", "0.1:1:log:step=0.1", "--trials", 5], ["--lr", "step and log"]),
        (["--optimizer", "adam:sgd", "--trials", 5], ["--optimizer", "adam, adamw, sgd, rmsprop"]),
        (["--lr", "0.1:1", "--seeds", 2, "--trials", 5], ["--trials 5", "2 seeds", "multiple"]),
        (["--model", "cnn", "--depth", "1:4", "--trials", 5], ["depth = 4", "too deep"]),
        (["--lr", "0.1:1", "--trials", 5, "--from", "nobody"], ["nobody"]),
        (["--lr", "0.1:1", "--trials", 5, "--pruner", "x"], ["--pruner", "none, median, asha, hyperband, wilcoxon"]),
        (
            ["--lr", "0.1:1", "--trials", 5, "--pruner", "asha", "--reduction", 1],
            ["--reduction", "reduction = 1", ">= 2"],
        ),
        (["--lr", "0.1:1", "--trials", 5, "--pruner", "asha", "--min-epochs", 11], ["--min-epochs 11", "10 epochs"]),
        (["--lr", "0.1:1", "--trials", 8, "--pruner", "wilcoxon", "--seeds", 4], ["--pruner wilcoxon", "--seeds 5"]),
        (["--lr", "0.1:1", "--trials", 5, *BOTH, "--pruner", "asha"], ["--pruner asha", "several objectives"]),
        (["--lr", "0.1:1", "--beta1", "0.8:0.9", "--trials", 5, *BOTH, "--sampler", "cmaes"], ["takes one objective"]),
        (["--lr", "0.1:1", "--trials", 5, "--minimize", "parameters"], ["parameters", "val_loss, val_accuracy"]),
        (["--lr", "0.1:1", "--trials", 5, "--minimize", "los"], ["--minimize", "objective 'los'", "val_loss"]),
        (["--lr", "0.1:1", "--trials", 5, "--minimize", "test_loss"], ["--minimize", "test data"]),
        (["--lr", "0.1:1", "--trials", 5, *BOTH, "--maximize", "val_loss"], ["val_loss", "given twice"]),
        (
            ["--lr", "0.1:1", "--trials", 5, *BOTH, "--metric", "val_accuracy"],
            ["metric = val_accuracy", "minimize val_loss"],
        ),
        (
            ["--lr", "0.1:1", "--trials", 5, *BOTH, "--direction", "maximize"],
            ["direction = maximize", "minimize val_loss"],
        ),
        (["--lr", "0.1:1", "--trials", 5, "--enqueue", "lr=2"], ["--enqueue", "outside"]),
    ],
)
def test_a_search_that_cannot_be_gets_one_clear_line(sweep, args, words):
    result = sweep("search", *args, code=2)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert not [word for word in words if word not in result.stderr], result.stderr


def test_a_study_of_a_search_keeps_its_sampler(sweep):
    flags = ["--lr", "0.01:1", "--epochs", 1, "--trials", 3, "--study", "k"]
    sweep("search", *flags, "--sampler", "random")
    refused = sweep("search", *flags, "--sampler", "tpe", code=2)
    assert 'search.sampler: "random" there, "tpe" here' in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "another recipe" in sweep("grid", "--lr", "0.01:1:3", "--epochs", 1, "--study", "k", code=2).stderr


def test_the_plan_of_a_search_says_what_it_asks_and_expects(sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # where no other test has measured
    flags = ["--lr", "1e-3:1:log", "--hidden", "4:16", "--epochs", "3:9", "--trials", 40, "--in-flight", 12]
    said = sweep("plan", *flags, "--no-measure").stdout
    assert "40 trials = 40 settings x 1 seed, asked of tpe in 4 generations of 12" in said
    assert "at most 360 epochs" in said
    assert "not measured" in said
    pruned = json.loads(sweep("plan", *flags, "--pruner", "asha", "--jobs", 2, "--json").stdout)
    assert pruned["trials"] == 48  # whole generations
    assert 1 < pruned["seconds"] < 120
    assert "too deep" in sweep("plan", "--model", "cnn", "--depth", "1:4", "--trials", 5, code=2).stderr


# Optuna's world


@pytest.mark.long
def test_an_export_opens_in_optuna(sweep, tmp_path, monkeypatch):
    flags = ["--lr", "1e-3:10:log", "--optimizer", "adam,sgd", "--momentum", "0:0.9:step=0.3", "--epochs", 2]
    sweep("search", *flags, "--depth", 6, "--trials", 8, "--study", "s")
    for storage in ("sqlite:///o.db", "o.log"):
        assert "wrote 8 trials" in sweep("export", "s", "--optuna", storage).stdout
    monkeypatch.chdir(tmp_path)
    journal = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("o.log"))
    study = optuna.load_study(study_name="s", storage="sqlite:///o.db")
    assert [t.params for t in optuna.load_study(study_name="s", storage=journal).trials] == [
        t.params for t in study.trials
    ]
    board, curves = table(sweep, "s"), table(sweep, "s", "--curves")
    frame = board.set_index("trial")
    assert study.user_attrs["metric"] == "val_loss"
    assert len(study.trials) == len(frame) == 8
    for trial in study.trials:
        row = frame.loc[str(trial.user_attrs["trial"])]
        assert trial.params["lr"] == float(row["lr"])
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")
        assert trial.distributions["optimizer"].choices == ("adam", "sgd")
        assert trial.value == (float(row["val_loss"]) if row["state"] == "complete" else math.inf)
        assert trial.user_attrs["state"] == row["state"]
        mine = curves[curves["trial"] == str(trial.user_attrs["trial"])]
        assert [str(epoch) for epoch in trial.intermediate_values] == mine["epoch"].tolist()
        assert not any("test" in name for name in trial.user_attrs)
    assert study.best_trial.user_attrs["trial"] == int(board["trial"][0])
    assert optuna.importance.get_param_importances(study, params=["lr"]) == {"lr": 1.0}
    assert "has a study 's' already" in sweep("export", "s", "--optuna", "sqlite:///o.db", code=2).stderr


@pytest.mark.parametrize("storage", ["nowhere.txt", "sqlite:////no/such/folder/o.db", "martian://x"])
def test_a_storage_that_cannot_be_gets_one_clear_line(sweep, storage):
    sweep("grid", "--lr", "0.1", "--epochs", 1, "--study", "g")
    refused = sweep("export", "g", "--optuna", storage, code=2).stderr
    assert f"--optuna {storage}: cannot be written" in refused
    assert len(refused.splitlines()) == 1


@pytest.mark.long
def test_the_dashboard_is_served_until_ctrl_c(sweep, tmp_path):
    """The real optuna-dashboard, asked over HTTP for what it knows of the study."""
    pytest.importorskip("optuna_dashboard")
    sweep("grid", "--lr", "0.1,0.01", "--epochs", 2, "--study", "g")
    process = start(tmp_path, "dashboard", "g", "--port", 0, env={"PYTHONUNBUFFERED": "1"})
    url = re.search(r"http://\S+", process.stdout.readline())[0]
    assert b"<title>Optuna Dashboard</title>" in urllib.request.urlopen(f"{url}dashboard").read()
    studies = json.load(urllib.request.urlopen(f"{url}api/studies"))["study_summaries"]
    assert [study["study_name"] for study in studies] == ["g"]
    detail = json.load(urllib.request.urlopen(f"{url}api/studies/{studies[0]['study_id']}"))
    assert [len(trial["intermediate_values"]) for trial in detail["trials"]] == [2, 2]
    taken = sweep("dashboard", "g", "--port", url.rsplit(":", 1)[1].strip("/"), code=2).stderr
    assert "choose another --port" in taken
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, "", "")


def test_without_optuna_dashboard_the_command_says_how_to_get_it(sweep, tmp_path):
    sweep("grid", "--lr", "0.1", "--epochs", 1, "--study", "g")
    (tmp_path / "optuna_dashboard.py").write_text("raise ImportError")
    refused = sweep(
        "dashboard", "g", code=2, env={"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    ).stderr
    assert "pip install optuna-dashboard" in refused
    assert len(refused.splitlines()) == 1


# Pruning


def pruner(name: str, seeds: int = 1, direction: str = "minimize", epochs: int = 9, **search) -> Pruner:
    flags = {"lr": "1e-4:1:log", "seeds": str(seeds), "epochs": str(epochs), "direction": direction}
    return Pruner(load_recipe(None, flags, {"pruner": name, **search}), describe("digits"))


def losers(one: Pruner, numbers: Iterable[int], values: dict[int, float | None]) -> list[int]:
    """Who leaves at the first rung, where all values belong to one generation."""
    return one.losers(numbers, 1, 0, lambda _: values)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_losers_at_a_rung(direction):
    sign = 1 if direction == "minimize" else -1
    values = {0: 0.5 * sign, 1: None, 2: 0.1 * sign, 3: 0.1 * sign, 4: 0.9 * sign, 5: 0.3 * sign, 6: 0.7 * sign}
    asha, median = pruner("asha", direction=direction), pruner("median", direction=direction)
    assert losers(asha, [4, 5, 6], values) == [4, 5, 6]  # of seven so far the best two are 2 and 3
    assert losers(asha, [0, 1, 2, 3], values) == [0, 1]
    assert losers(asha, [0], {0: 0.5}) == []
    assert losers(median, [0, 1, 2, 4, 5], values) == [1, 4]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["asha", "median", "hyperband"]), st.integers(1, 3))
def test_what_a_pruner_has_read_before_changes_no_decision(data, name, seeds):
    """One pruner through all generations, and another one at each, as after an interruption."""
    one, values = pruner(name, seeds), {}

    def since(first: int) -> dict:
        return {number: value for number, value in values.items() if number >= first}

    for generation in range(4):
        first = generation * 4 * seeds
        there = data.draw(st.lists(st.booleans(), min_size=4 * seeds, max_size=4 * seeds))
        mine = [first + place for place, is_there in enumerate(there) if is_there]
        values |= {number: data.draw(st.floats(0, 9) | st.none()) for number in mine}
        alone = losers(pruner(name, seeds), mine, values)
        assert one.losers(mine, 1, first, since) == alone


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(["asha", "median", "hyperband"]), st.integers(1, 3), st.integers(2, 4))
def test_seeds_leave_together_by_their_mean_and_no_better_setting_leaves_before_a_worse(data, name, seeds, reduction):
    one = pruner(name, seeds, reduction=reduction, epochs=12)
    numbers = st.floats(0, 9) | st.none()
    values = dict(enumerate(data.draw(st.lists(numbers, min_size=8 * seeds, max_size=8 * seeds))))
    lost = {number // seeds for number in losers(one, values, values)}
    assert losers(one, values, values) == [number for number in values if number // seeds in lost]
    for bracket in range(3):
        means = {}
        for setting in range(8):
            mine = [values[setting * seeds + seed] for seed in range(seeds)]
            if one.bracket(setting) == bracket:
                means[setting] = math.inf if None in mine else statistics.fmean(mine)
        finite = {setting: mean for setting, mean in means.items() if math.isfinite(mean)}
        assert set(means) - set(finite) <= lost
        assert all(finite[a] <= finite[b] for a in finite for b in finite if a not in lost and b in lost)
        assert not finite or set(finite) - lost or name == "median"


def test_rungs_grow_by_the_reduction_and_brackets_leave_out_the_first():
    trials = [Trial(number, canonical({"epochs": 10}), 0) for number in range(200)]
    assert pruner("asha", reduction=3).rungs(trials[0]) == [1, 3, 9]
    assert pruner("asha", min_epochs=4, reduction=2, epochs=16).rungs(Trial(0, canonical({"epochs": 16}), 0)) == [4, 8]
    band = pruner("hyperband", reduction=3)
    assert {tuple(band.rungs(one)) for one in trials} == {(1, 3, 9), (3, 9), (9,)}
    counts = [sum(band.bracket(number) == bracket for number in range(200)) for bracket in range(3)]
    study = optuna.create_study()
    theirs = optuna.pruners.HyperbandPruner(1, 9, 3)
    trial = study.ask()
    trial.report(1.0, 1)
    theirs.prune(study, study.get_trials()[0])
    shares = [budget / sum(theirs._trial_allocation_budgets) for budget in theirs._trial_allocation_budgets]
    assert counts == pytest.approx([200 * share for share in shares], abs=2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(0.01, 9), min_size=8, max_size=8), min_size=2, max_size=6), st.integers(FEWEST, 8))
def test_wilcoxon_decides_as_optuna_does(rows, count):
    """Beside Optuna's pruner in a study of Optuna's own, whose trials were told in that order."""
    one = pruner("wilcoxon", seeds=8)
    values = {place * 8 + seed: value for place, row in enumerate(rows) for seed, value in enumerate(row[:count])}
    best = min(range(len(rows)), key=lambda place: (sum(rows[place][:count]), place))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=FEWEST)
    study = optuna.create_study(pruner=theirs)
    for place in (best, len(rows) - 1):
        trial = study.ask()
        for seed, value in enumerate(rows[place][:count]):
            trial.report(value, seed)
        if place != best:
            assert one.worse([place], values, count) == [place] * trial.should_prune()
        study.tell(trial, sum(rows[place][:count]) / count)


def test_wilcoxon_gives_up_what_diverges_and_keeps_what_cannot_be_told():
    one = pruner("wilcoxon", seeds=6)
    rows = [[0.5, 0.6, 0.4, 0.5], [0.6, 0.7, 0.5, 0.6], [None] * 4, [0.4, 0.7, 0.5, 0.4], [0.5, 0.6, 0.4, 0.5]]
    values = {6 * place + seed: value for place, row in enumerate(rows) for seed, value in enumerate(row)}
    assert one.worse(range(5), values, 4) == [1, 2]


def test_pruned_is_told_with_its_epochs():
    one = recipe({"lr": "1e-4:1:log"}, in_flight=2, pruner="asha")
    asking = AskTell(one)
    first, second = asking.ask(2)
    results = [Result(first, "pruned", 0.5, 3), Result(second, "complete", 0.1, 10)]
    asking.tell(results)
    asked = asking.ask(2)
    for study in (asking.study, AskTell(one, results).study):
        assert [trial.state.name for trial in study.get_trials()[:2]] == ["PRUNED", "COMPLETE"]
        assert study.get_trials()[0].intermediate_values == {3: 0.5}
    assert AskTell(one, results).ask(2) == asked


PRUNED = [*SEARCH[:-4], "--epochs", 12, "--in-flight", 6, "--trials", 18, "--pruner", "asha", "--reduction", 2]


@pytest.mark.long
def test_pruning_changes_no_bit_of_those_that_stay_and_resumes_after_a_kill(sweep, tmp_path):
    """Trained again alone, complete and pruned trials are the same to the bit; an interrupted search equals one that
    was left alone, at any number of workers."""
    sweep("search", *PRUNED, "--jobs", 1, "--study", "whole")
    database = tmp_path / "results" / "sweep.db"
    states = query(database, "SELECT state, epochs FROM trials ORDER BY number")
    assert len(states) == 18
    assert {epochs for state, epochs in states if state == "pruned"} >= {1, 2}
    assert {epochs for state, epochs in states if state == "complete"} == {12}
    assert sum(epochs for _, epochs in states) < 0.6 * 18 * 12
    process = start(tmp_path, "search", *PRUNED, "--jobs", 2, "--study", "cut")
    gone = "SELECT count(*) FROM trials JOIN studies ON id = study WHERE name = 'cut' AND state = 'pruned'"
    for limit in (0, 4):
        wait_for(lambda n=limit: query(database, gone) > [(n,)], process)
        hosts, workers = family(process)
        for pid in (process.pid, *hosts, *workers):
            kill(pid)
        process.communicate(timeout=60)
        process = start(tmp_path, "resume", "cut", "--jobs", 2)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert numbers(sweep, "cut") == numbers(sweep, "whole")
    board = table(sweep, "whole")
    kinds = board["state"].tolist()
    assert kinds == sorted(kinds)  # complete, then pruned
    stopped = board[board["state"] == "pruned"].astype({"epochs": int, "val_loss": float})
    assert list(stopped.index) == list(stopped.sort_values(["epochs", "val_loss"], ascending=[False, True]).index)
    complete = board["trial"][kinds.index("complete")]
    number = board["trial"][kinds.index("pruned")]
    assert "identical" in sweep("reproduce", "whole", complete).stdout
    assert "identical" in sweep("reproduce", "whole", number).stdout


def states(database, study: str) -> list[tuple]:
    joined = "trials t JOIN studies s ON s.id = t.study"
    return query(
        database, f"SELECT number, state, t.epochs, setting, seed FROM {joined} WHERE name = '{study}' ORDER BY number"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    "how",
    [
        ["--pruner", "asha", "--reduction", 2],
        pytest.param(["--pruner", "hyperband", "--reduction", 2], marks=pytest.mark.slow),
        ["--pruner", "median", "--seeds", 2],
    ],
    ids=lambda how: how[1],
)
def test_a_pruned_search_that_grows_equals_one_that_was_as_large_from_the_start(sweep, tmp_path, how):
    """Generations are judged whole, so a total is rounded up to whole ones; an interruption changes nothing either."""
    flags = [*SEARCH[:-4], "--epochs", 9, "--in-flight", 6, *how]
    seeds = 2 if "--seeds" in how else 1
    said = sweep("search", *flags, "--trials", 8, "--study", "grown").stderr
    assert "12 trials instead of 8" in said
    sweep("search", *flags, "--trials", 24 * seeds, "--study", "grown", "--max-trials", 16)
    sweep("resume", "grown", "--jobs", 1)
    sweep("search", *flags, "--trials", 24 * seeds, "--study", "whole")
    found = states(tmp_path / "results" / "sweep.db", "whole")
    assert len(found) == 24 * seeds
    assert 4 < sum(state == "pruned" for _, state, *_ in found) < len(found)
    assert numbers(sweep, "grown") == numbers(sweep, "whole")
    pruned = {(number // seeds, state, epochs) for number, state, epochs, *_ in found if state == "pruned"}
    assert len({place for place, *_ in pruned}) == len(pruned)  # the seeds of a setting leave together


@pytest.mark.long
def test_wilcoxon_gives_no_more_seeds_to_what_is_worse_and_tells_its_mean(sweep, tmp_path):
    flags = [
        "--lr",
        "1e-4:1:log",
        "--epochs",
        4,
        "--in-flight",
        4,
        "--trials",
        48,
        "--seeds",
        6,
        "--pruner",
        "wilcoxon",
    ]
    sweep("search", *flags, "--study", "whole")
    database = tmp_path / "results" / "sweep.db"
    found = states(database, "whole")
    assert {(state, epochs) for _, state, epochs, *_ in found} == {("complete", 4), ("pruned", 0)}
    assert all(seed >= 4 for _, state, _, _, seed in found if state == "pruned")
    best = int(table(sweep, "whole")["trial"][0]) // 6
    assert all(state == "complete" for number, state, *_ in found if number // 6 == best)
    sweep("search", *flags, "--study", "cut", "--max-trials", 10)
    assert "study created" not in sweep("resume", "cut", "--jobs", 1).stderr
    assert numbers(sweep, "cut") == numbers(sweep, "whole")
    gone = next(number for number, state, *_ in found if state == "pruned")
    assert "worse than the best on" in sweep("trial", "whole", gone).stdout
    assert "pruned before it began" in sweep("reproduce", "whole", gone, code=2).stderr
    assert "wrote 48 trials" in sweep("export", "whole", "--optuna", "w.log").stdout
    with Ledger(tmp_path / "results") as ledger:
        study = ledger.study("whole")
        asking = AskTell(study.recipe, ledger.results(study))
    frame = table(sweep, "whole").astype({"val_loss": float, "trial": int})
    told = [trial for trial in asking.study.get_trials() if trial.state == TrialState.COMPLETE]
    means = frame.dropna(subset="val_loss").groupby(frame["trial"] // 6)["val_loss"].mean()
    assert [trial.value for trial in told] == pytest.approx(means.tolist())


@pytest.mark.long
def test_failed_trials_of_a_search_are_retried_on_request_and_gaps_in_numbers_are_no_finding(
    sweep, tmp_path, monkeypatch
):
    """The space has eight settings, so that some are asked twice and their numbers have no trial."""
    inject_defect(tmp_path, "hidden", 8)
    flags = ["--lr", "0.1,0.03,0.01,0.001", "--hidden", "4,8", "--epochs", 1, "--in-flight", 3, "--trials", 8]
    sweep(
        "search", *flags, "--study", "s", code=1, env={"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    )
    database = tmp_path / "results" / "sweep.db"
    assert sorted(state for _, state, *_ in states(database, "s")) == ["complete"] * 4 + ["failed"] * 4
    assert "8 done, 0 retried, 0 left" in sweep("resume", "s", code=1).stderr
    assert "4 done, 4 retried (0 from a checkpoint), 0 left" in sweep("resume", "s", "--retry-failed").stderr
    found = states(database, "s")
    assert {state for _, state, *_ in found} == {"complete"}
    assert max(number for number, *_ in found) > 7
    assert "nothing" in sweep("doctor").stdout
    whole = doctor._copy

    def damaged(old, new, name: str, where: str) -> bool:
        """As if trials and epochs could only be read one by one."""
        return whole(old, new, name, where) if name == "studies" or where != "1" else False

    monkeypatch.setattr(doctor, "_copy", damaged)
    assert "8 trials, 8 epochs" in doctor._salvage(database)
    assert states(database, "s") == found
