"""What is measured of a machine: chosen, remembered, told by `sweep plan`; never a number of a trial."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep import speed
from sweep.data import describe
from sweep.plan import look_measurements, makespan, measurements, plan_grid, units
from sweep.recipe import load_recipe
from sweep.speed import Cost, Speeds

FLAGS = {"lr": "0.1,0.01,0.001", "batch_norm": "on,off", "seeds": "8", "batch_size": "32"}
DIGITS = describe("digits")
KIND = "cpu float32"


def speeds_with(steps: dict[int, float]) -> Speeds:
    """Both cohorts of FLAGS with these seconds a trial and step, by lanes."""
    costs = tuple(Cost(lanes, step, step / 100, 10**7 * lanes) for lanes, step in steps.items())
    wanted = measurements(load_recipe(None, FLAGS), DIGITS, 1, Speeds())
    return Speeds({one.key: costs for one in wanted}, {"digits": (2.0, 10**8)})


@pytest.mark.parametrize(
    ("steps", "lanes"),
    [
        ({1: 1e-3, 4: 5e-4, 16: 2e-4, 24: 1e-4}, 24),
        ({1: 1e-3, 4: 5e-4, 16: 9e-4}, 4),
        ({1: 1e-3, 4: 0.97e-3, 16: 0.96e-3}, 1),  # within a twentieth: the fewest
        ({1: 1e-3, 4: 2e-3}, 1),
    ],
)
def test_the_lanes_that_were_measured_best_are_taken(steps, lanes):
    recipe = load_recipe(None, FLAGS)
    found = units(recipe.grid.trials(), DIGITS, 1, speeds=speeds_with(steps))
    assert max(len(unit.trials) for unit in found) == lanes
    assert sum(len(unit.trials) for unit in found) == 48


def test_fewer_trials_than_the_next_measured_number_still_share_a_program():
    recipe = load_recipe(None, FLAGS | {"lr": "0.1", "batch_norm": "on", "seeds": "3"})
    found = units(recipe.grid.trials(), DIGITS, 1, speeds=speeds_with({1: 1e-3, 4: 3e-4, 16: 2e-4}))
    assert [len(unit.trials) for unit in found] == [3]


def test_a_plan_adds_up_what_was_measured():
    """Two cohorts of 24 trials, 5 epochs of 34 steps and 359 validation rows, 359 test rows, on one worker."""
    planned = plan_grid(load_recipe(None, FLAGS | {"epochs": "5"}), DIGITS, 1, None, speeds_with({24: 1e-3}))
    one = 5 * (34 * 1e-3 + 359 * 1e-5) + 359 * 1e-5
    assert planned.seconds == pytest.approx(1.0 + 2.0 + 48 * one)
    assert planned.memory == 10**8 + 24 * 10**7
    assert [cohort.seconds for cohort in planned.cohorts] == pytest.approx([24 * one] * 2)
    assert plan_grid(load_recipe(None, FLAGS), DIGITS).seconds is None


def test_a_plan_adds_what_is_watched_and_tells_no_time_where_a_look_was_not_measured():
    """Looks at 2 of 5 epochs, 0.25 and 0.5 s each; the gap, 1,079 rows; a validation every 10 of 170 steps; a further
    test."""
    watched = {"look": "all", "look_epochs": "1,5,9", "evaluate_every": "10", "shift": "bright=x+6"}
    flags = FLAGS | {"epochs": "5"} | watched
    recipe, speeds = load_recipe(None, flags), speeds_with({24: 1e-3})
    assert plan_grid(recipe, DIGITS, 1, None, speeds).seconds is None
    wanted = look_measurements(recipe, DIGITS, 1, speeds, KIND)
    assert [one.look for one in wanted] == ["layers", "curvature", "noise"] * 2  # of both cohorts
    seconds = {"layers": 0.0, "curvature": 0.25, "noise": 0.5}
    speeds.costs |= {one.key: (Cost(1, seconds[one.look], 0.0, 0),) for one in wanted}
    assert look_measurements(recipe, DIGITS, 1, speeds, KIND) == []
    rows = (5 + 17) * 359 + 2 * 1079 + 2 * 359
    one = 170 * 1e-3 + rows * 1e-5 + 2 * 0.75
    assert plan_grid(recipe, DIGITS, 1, None, speeds).seconds == pytest.approx(1.0 + 2.0 + 48 * one)
    assert plan_grid(load_recipe(None, FLAGS), DIGITS, 1, None, speeds).seconds is not None


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.integers(1, 8))
def test_no_schedule_is_shorter_than_the_longest_or_the_mean_nor_longer_than_twice_that(durations, workers):
    bound = max(*durations, sum(durations) / workers) if len(durations) > 1 else durations[0]
    assert bound * (1 - 1e-9) <= makespan(durations, workers) <= 2 * bound


def test_what_is_remembered_is_recalled_and_a_damaged_file_is_as_good_as_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    costs = {"key": (Cost(1, 0.5, 0.1, 7), Cost(4, 0.25, 0.1, 9))}
    speed.remember(costs, {"digits": (1.5, 10)})
    speed.remember({"other": (Cost(1, 1.0, 1.0, 1),)}, {})
    assert speed.recall() == Speeds(costs | {"other": (Cost(1, 1.0, 1.0, 1),)}, {"digits": (1.5, 10)})
    for text in ("", "[1, 2", '{"x": 3}', json.dumps({speed._machine(): {"start": 3, "costs": []}})):
        speed.cache_file().write_text(text)
        assert speed.recall() == Speeds()
        speed.remember(costs, {})
        assert speed.recall() == Speeds(costs)


@pytest.mark.long
def test_a_plan_measures_once_and_tells_time_and_memory(sweep, tmp_path):
    flags = ["--lr", "0.1,0.01", "--hidden", 8, "--epochs", 2]
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}  # where no other test has measured
    unmeasured = json.loads(sweep("plan", *flags, "--no-measure", "--json", env=env).stdout)
    assert unmeasured["seconds"] is None
    first = json.loads(sweep("plan", *flags, "--jobs", 1, "--json", env=env).stdout)
    assert first["seconds"] > 0
    assert first["memory"] > 50e6
    assert first["cohorts"][0]["seconds"] > 0
    again = json.loads(sweep("plan", *flags, "--jobs", 1, "--no-measure", "--json", env=env).stdout)
    assert again == first  # remembered
    scored = json.loads(
        sweep("plan", *flags, "--jobs", 1, "--no-measure", "--evaluate-every", 1, "--json", env=env).stdout
    )
    assert scored["seconds"] > first["seconds"]
    looked = ["plan", *flags, "--jobs", 1, "--look", "noise", "--json"]
    assert json.loads(sweep(*looked, "--no-measure", env=env).stdout)["seconds"] is None
    sweep(*looked, env=env)  # measures; then both from what is remembered, whatever else the machine does
    plain = json.loads(sweep("plan", *flags, "--jobs", 1, "--no-measure", "--json", env=env).stdout)
    assert json.loads(sweep(*looked, "--no-measure", env=env).stdout)["seconds"] > plain["seconds"]
    assert "expected: " in sweep("plan", *flags, "--jobs", 1, env=env).stdout


def test_any_number_of_jobs_and_lanes_exports_the_same_numbers(sweep):
    """`--jobs` and `--lanes` change no number, by real processes."""
    from tests.processes import numbers

    flags = ["--lr", "0.1,0.01,0.001", "--batch-norm", "on,off", "--seeds", 3, "--epochs", 2, "--hidden", 16]
    exports = []
    for name, jobs, lanes in (("a", 1, 1), ("b", 8, 64), ("c", 2, 5)):
        sweep("grid", *flags, "--study", name, "--jobs", jobs, "--lanes", lanes)
        exports.append(numbers(sweep, name))
    assert exports[0] == exports[1] == exports[2]
