"""TPE asked for a generation at a time: the very values of Optuna's own sampler. The oracle is Optuna's TPESampler."""

from __future__ import annotations

import math
import random

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from sweep.recipe import Search
from sweep.search import samplers

tpe = pytest.importorskip("sweep.search.tpe")

WHOLE = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def suggest(trial: optuna.Trial, space: int) -> dict:
    """Spaces of every sort of distribution; in some what is asked depends on what was answered."""
    if space == 4:  # lists alone
        return {
            "a": trial.suggest_categorical("a", [0.1, 0.01, 0.001]),
            "f": trial.suggest_categorical("f", ["x", "y"]),
        }
    values: dict = {"a": trial.suggest_float("a", 1e-4, 1, log=True), "b": trial.suggest_float("b", 0.9, 0.999)}
    if space in (1, 3):
        values["c"] = trial.suggest_int("c", 16, 1024, log=True)
        values["d"] = trial.suggest_int("d", 0, 9, step=3)
        values["e"] = trial.suggest_float("e", 0.0, 0.9, step=0.1)
    if space in (2, 3):
        values["f"] = trial.suggest_categorical("f", ["x", "y", "z"])
        if values["f"] == "x":
            values["g"] = trial.suggest_float("g", -1, 1)
        elif values["f"] == "y":
            values["h"] = trial.suggest_int("h", 1, 3)
    return values


def asked(space: int, seed: int, flight: int, generations: int, plain: bool, direction: str) -> list[dict]:
    """What is asked in so many generations, each told when it is whole; the tellings are the same for the same values."""
    make = samplers.sampler_maker(Search(sampler="tpe", seed=seed, in_flight=flight))
    study, out = optuna.create_study(direction=direction), []
    told = random.Random(seed)
    for _ in range(generations):
        flying = []
        for _ in range(flight):
            number = len(out)
            drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            own = optuna.samplers.TPESampler(seed=drawn, multivariate=True, group=True, constant_liar=True)
            study.sampler = own if plain else make(number)
            if number % 7 == 3:
                study.enqueue_trial({"a": 0.01})
            assert plain or isinstance(study.sampler, tpe.GenerationTPE)
            trial = study.ask()
            out.append(suggest(trial, space))
            flying.append(trial)
        for trial in flying:
            value = round(abs(math.log(trial.params["a"]) + 3) + trial.params.get("d", 0) + told.random(), 1)
            state = told.choice(WHOLE)
            if state == TrialState.PRUNED and told.random() < 0.9:
                trial.report(value, told.choice((1, 3)))
            study.tell(trial, value if state == TrialState.COMPLETE else None, state)
    return out


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 4), st.integers(0, 2**31), st.sampled_from([1, 5, 16]), st.sampled_from(["minimize", "maximize"]))
def test_it_asks_for_the_very_values_of_optunas_own(space, seed, flight, direction):
    generations = 40 // flight + 1
    ours, theirs = (asked(space, seed, flight, generations, plain, direction) for plain in (False, True))
    assert ours == theirs


@pytest.mark.parametrize("margin", [0.0, math.inf])
def test_so_with_many_trials_whoever_adds_up(monkeypatch, margin):
    """Past 100 trials, where kernels are no narrower; with the plain sums alone, and with Optuna's alone."""
    monkeypatch.setattr(tpe, "MARGIN", margin)
    sums, whole = [], tpe.GenerationTPE._compute_acquisition_func
    monkeypatch.setattr(tpe.GenerationTPE, "_compute_acquisition_func", lambda *a: sums.append(1) or whole(*a))
    assert asked(3, 7, 20, 9, False, "minimize") == asked(3, 7, 20, 9, True, "minimize")
    assert bool(sums) == (margin > 0)


def test_logarithms_of_the_normal_distribution_are_optunas_to_the_bit():
    from optuna.samplers._tpe import _truncnorm as optunas

    from sweep.search import densities

    a = np.concatenate([np.random.default_rng(0).normal(size=3000) * size for size in (0.5, 3, 12, 40)])
    a = np.append(a, [0, -0.0, 6, -20, 1, -1, -19.999999, 6.0000001])
    assert (densities._log_cdf(a) == optunas._log_ndtr(a)).all()
    low, high = -np.abs(a[:4000]), np.abs(a[4000:8000])
    assert (
        densities._log_inside(low, high)
        == np.ravel([optunas._log_gauss_mass(*np.array([[x], [y]])) for x, y in zip(low, high, strict=True)])
    ).all()
