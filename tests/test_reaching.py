"""Steps to a target: known curves, "never", pairs, bad input; MNIST as ORACLES.md has it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from sweep.analysis import study_table
from sweep.analysis.reaching import _middle_ratio, reach
from sweep.ledger import Ledger
from sweep.recipe import load_recipe
from sweep.space import Reading
from tests.conftest import SHARED
from tests.made import record

REACHED = {
    (0.1, True): (20, 30, 60),
    (0.1, False): (40, 60, None),
    (0.3, True): (10, None, None),
    (0.3, False): (None, None, 30),
}
"""The step at which each seed is at 90%, by lr and batch norm."""


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """A study whose validation accuracy is 0.5, and from a known step on 0.9, scored every 10 steps of 60."""
    recipe = load_recipe(None, {"lr": "0.1,0.3", "batch_norm": "on,off", "seeds": "3", "steps": "60"})
    with Ledger(tmp_path / "results", create=True) as ledger:
        study = ledger.create("known", recipe, 12)
        trials = list(recipe.grid.trials())
        ledger.add(study, trials)
        for trial in trials:
            step = REACHED[float(trial.setting["lr"]), bool(trial.setting["batch_norm"])][trial.seed] or 99
            for epoch in range(1, 5):
                made = [made for made in range(10, 61, 10) if 17 * (epoch - 1) < made <= min(60, 17 * epoch)]
                values = [Reading(one, "", "val_accuracy", 0.9 if one >= step else 0.5) for one in made]
                last = "complete" if epoch == 4 else None
                accuracy = 0.9 if min(60, 17 * epoch) >= step else 0.5
                told = {"val_accuracy": accuracy, "seconds": 1.7, "readings": tuple(values)}
                ledger.record(study, [record(trial.number, epoch, state=last, **told)])
    return tmp_path / "results"


def test_never_is_later_than_any_step(known):
    with Ledger(known) as ledger:
        study = ledger.study("known")
        found = reach(ledger, study, study_table(ledger, study), "val_accuracy", 0.9, "batch_norm")
        ends = reach(ledger, study, study_table(ledger, study), "train_accuracy", 0.75, None)
    steps = {(row["lr"], row["batch_norm"]): row for _, row in found.settings.iterrows()}
    for key, expected in REACHED.items():
        assert steps[key]["by_seed"] == [one or math.inf for one in expected]
        assert steps[key]["reached"] == sum(map(bool, expected))
        assert steps[key]["steps"] == sorted(one or math.inf for one in expected)[1]
    assert found.every == 10
    assert steps[0.1, True]["seconds"] == pytest.approx(1.7 + 1.7 * 13 / 17)  # 30 steps, 17 an epoch
    [one] = found.against
    assert (one.first, one.second) == (False, True)
    assert (one.both, one.only_first, one.only_second, one.neither) == (2, 1, 2, 1)
    assert one.ratio == 2.0  # of 2, 2, never / 60, never / 10, 30 / never
    assert one.cells["ratio"].tolist()[0] == 2.0  # medians 60 and 30
    assert math.isnan(one.cells["ratio"].tolist()[1])  # never and never
    assert [best["steps"] for best in one.best] == [60, 30]
    assert ends.settings["steps"].tolist() == [17] * 4  # at the end of the first epoch, where it was looked at
    assert ends.every == 0


SHORT = {64: (4, 1, None, 3), 256: (None, None, 2, None)}
"""The epoch at whose end each seed is at 90%, by batch size: of 17 steps and of 5."""


@pytest.mark.parametrize("pruned", [False, True])
def test_never_in_fewer_steps_than_the_other_took_decides_nothing(sweep, tmp_path, pruned):
    """Four epochs are 68 steps and 20: seed 0 got there at 68, the other was trained for 20. What diverged (seed 3)
    never gets there, however short it was; what was pruned might have (seed 1, then, after 5 steps of 17)."""
    recipe = load_recipe(None, {"batch_size": "64,256", "seeds": "4", "epochs": "4"})
    with Ledger(tmp_path / "results", create=True) as ledger:
        study = ledger.create("short", recipe, 8)
        trials = list(recipe.grid.trials())
        ledger.add(study, trials)
        for trial in trials:
            batch = int(trial.setting["batch_size"])
            ends = {(256, 3): "diverged", (256, 1): "pruned" if pruned else None}.get((batch, trial.seed))
            for epoch in range(1, 2 if ends else 5):
                state = ends or ("complete" if epoch == 4 else None)
                accuracy = 0.9 if epoch >= (SHORT[batch][trial.seed] or 9) else 0.5
                ledger.record(study, [record(trial.number, epoch, state=state, val_accuracy=accuracy)])
        found = reach(ledger, study, study_table(ledger, study), "val_accuracy", 0.9, "batch_size")
    [one] = found.against
    assert (one.first, one.second) == (64, 256)
    counts = (one.both, one.only_first, one.only_second, one.neither, one.undecided)
    assert counts == ((0, 1, 1, 0, 2) if pruned else (0, 2, 1, 0, 1))
    assert math.isnan(one.ratio) if pruned else one.ratio == 0
    assert math.isnan(one.cells["ratio"].item())  # medians 59.5 and never, within 20 steps
    told = " ".join(sweep("steps", "short", "--target", 0.9, "--by", "batch-size").stdout.split())
    assert f"In {2 if pruned else 1} one got there later than the other was trained: undecided" in told
    assert ("In the median pair" in told) is not pruned


def test_a_median_ratio_turns_over_with_its_ratios():
    for ratios in ([2.0, 8.0], [0.5, math.inf], [0.0, 3.0, 5.0], [0.0, 0.0], [math.inf, math.inf]):
        turned = [math.inf if ratio == 0 else 1 / ratio for ratio in ratios]
        assert _middle_ratio(ratios) * _middle_ratio(turned) == pytest.approx(1) or {
            _middle_ratio(ratios),
            _middle_ratio(turned),
        } == {0, math.inf}
    assert math.isnan(_middle_ratio([0.0, math.inf]))


@pytest.mark.usefixtures("known")
def test_the_command_says_never(sweep):
    told = sweep("steps", "known", "--target", 0.9).stdout
    assert "val_accuracy reached 90.00%, scored every 10 steps" in told
    assert "10 never never" in told
    told = sweep("steps", "known", "--target", 0.9, "--by", "batch-norm").stdout
    assert "Of 6 pairs (the same seed, all else equal) both got there in 2" in told
    read = json.loads(sweep("steps", "known", "--target", 0.9, "--json").stdout)
    assert [row["steps"] for row in read["settings"]] == [30, 60, None, None]
    one = json.loads(sweep("steps", "known", "--target", 0.9, "--where", "lr=0.1", "--json").stdout)
    assert len(one["settings"]) == 2


def test_what_diverged_reaches_nothing_and_hides_no_look(known):
    """A net whose numbers are no longer finite answers one class, which may be half of the rows."""
    with Ledger(known) as ledger:
        recipe = load_recipe(None, {"lr": "1e9,0.1", "steps": "60"})
        study = ledger.create("wild", recipe, 2)
        trials = list(recipe.grid.trials())
        ledger.add(study, trials)
        lost = {"train_loss": math.nan, "val_loss": math.nan, "val_accuracy": 0.5, "state": "diverged"}
        ledger.record(study, [record(0, 1, **lost)])
        score = Reading(10, "", "val_accuracy", 0.6)
        ledger.record(study, [record(1, 1, state="complete", val_accuracy=0.7, readings=(score,))])
        found = reach(ledger, study, study_table(ledger, study), "val_accuracy", 0.4, None)
    assert found.trials["steps"].tolist() == [math.inf, 10]
    assert found.every == 10


def test_a_study_of_functions_has_no_curves(sweep):
    sweep("grid", "--model", "function", "--function", "square", "--steps", 5, "--study", "path")
    for command in (("steps", "path", "--target", 0.1), ("plot", "path", "boundary")):
        told = sweep(*command, code=2).stderr
        assert told.startswith("sweep: study 'path' is of functions")
        assert len(told.splitlines()) == 1


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--target", 90), "--target 90: expected an accuracy above 0, up to 1"),
        (("--target", 0.9, "--metric", "test_accuracy"), "--metric test_accuracy"),
        (("--target", 0.9, "--by", "hidden"), "--by: hidden is 64 in every trial"),
        (("--target", "soon"), "valid number"),
        ((), "--target"),
    ],
)
def test_what_cannot_be_asked_is_one_line(sweep, flags, words):
    told = sweep("steps", "known", *flags, code=2).stderr
    assert words in told
    assert len(told.splitlines()) == 1


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "MNIST").exists(), reason="no real MNIST beside the repository")
def test_steps_to_90_percent_on_mnist(sweep):
    """ORACLES.md: relu at lr 0.1 takes 110, 100, 90 steps without batch norm, 80, 90, 80 with it; at 0.01 it takes
    over 350."""
    data = ["--data", "mnist", "--data-dir", SHARED, "--train-size", 10000]
    shape = ["--hidden", 100, "--depth", 3, "--batch-size", 60, "--optimizer", "sgd"]
    flags = [*data, *shape, "--lr", "0.1,0.01", "--batch-norm", "off,on", "--steps", 200, "--evaluate-every", 10]
    sweep("grid", *flags, "--study", "relu")
    rows = json.loads(sweep("steps", "relu", "--target", 0.9, "--json").stdout)["settings"]
    steps = {(row["lr"], row["batch_norm"]): row["steps"] for row in rows}
    assert 60 <= steps[0.1, False] <= 150
    assert 50 <= steps[0.1, True] <= 130
    assert steps[0.01, False] is None
    assert steps[0.01, True] is None
