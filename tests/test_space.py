"""Grids: order, folding, ranges, counting without walking; and the table of hyperparameters they are made of."""

from __future__ import annotations

import itertools
import math
import re
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sweep.data import describe
from sweep.errors import UsageError
from sweep.hyperparameters import IN_SETTING, PROGRAM, TABLE, Hyperparameter, Value, canonical
from sweep.plan import plan_grid
from sweep.recipe import Recipe
from sweep.space import Axis, Grid, Range, program_key, setting_key


def grid(seeds: tuple[int, ...] = (0,), **axes: tuple[Value, ...] | Range) -> Grid:
    return Grid(tuple(Axis(name, values) for name, values in axes.items()), seeds)


# Order


def test_the_notes_nine_settings_in_their_order():
    trials = list(grid(lr=(0.1, 0.01, 0.001), beta1=(0.8, 0.88, 0.9)).trials())
    expected = [
        [0.1, 0.8],
        [0.1, 0.88],
        [0.1, 0.9],
        [0.01, 0.8],
        [0.01, 0.88],
        [0.01, 0.9],
        [0.001, 0.8],
        [0.001, 0.88],
        [0.001, 0.9],
    ]
    assert [[trial.setting["lr"], trial.setting["beta1"]] for trial in trials] == expected
    assert [trial.number for trial in trials] == list(range(9))


def test_seeds_vary_fastest():
    trials = list(grid((0, 1, 2), lr=(0.1, 0.01), beta1=(0.8, 0.9)).trials())
    rows = [(trial.setting["lr"], trial.setting["beta1"], trial.seed) for trial in trials]
    assert rows == list(itertools.product((0.1, 0.01), (0.8, 0.9), (0, 1, 2)))
    assert [trial.number for trial in trials] == list(range(12))


def test_the_seed_is_no_part_of_a_setting():
    assert all("seed" not in trial.setting for trial in grid((4, 9), lr=(0.1,)).trials())


def test_the_order_of_values_is_kept_and_equal_ones_count_once():
    made = grid(lr=(0.1, 0.001, 0.1, 0.01), hidden=(8, 4, 8))
    assert [(s["lr"], s["hidden"]) for s in made.settings()] == list(itertools.product((0.1, 0.001, 0.01), (8, 4)))
    assert made.combinations == 6


def test_an_empty_space_is_one_setting_of_defaults():
    assert list(grid().settings()) == [canonical({})]
    assert grid().combinations == 1


# Folding


def test_beta1_is_folded_under_sgd_and_said():
    made = grid(optimizer=("adam", "sgd"), beta1=(0.8, 0.88, 0.9), lr=(0.1, 0.01))
    found = [(s["optimizer"], s.get("beta1"), s["lr"]) for s in made.settings()]
    adam = [("adam", beta1, lr) for beta1 in (0.8, 0.88, 0.9) for lr in (0.1, 0.01)]
    assert found == [*adam, ("sgd", None, 0.1), ("sgd", None, 0.01)]
    assert sorted(settings for _, settings in made.census.cohorts()) == [2, 6]
    assert made.census.folded == {"beta1": 4}


def test_a_chain_of_conditions_is_folded_whole():
    """nesterov needs momentum, momentum needs sgd or rmsprop."""
    made = grid(optimizer=("sgd", "adam"), momentum=(0.0, 0.9), nesterov=(False, True))
    found = [(s["optimizer"], s.get("momentum"), s.get("nesterov")) for s in made.settings()]
    assert found == [("sgd", 0.0, None), ("sgd", 0.9, False), ("sgd", 0.9, True), ("adam", None, None)]


# A few values of every hyperparameter, those that decide others and those that depend on others among them.
POOL: dict[str, list[Value]] = {
    "optimizer": ["adam", "adamw", "sgd", "rmsprop"],
    "lr": [0.1, 0.01, 0.001],
    "beta1": [0.8, 0.88, 0.9],
    "beta2": [0.9, 0.99, 0.999],
    "eps": [1e-8, 1e-6],
    "momentum": [0.0, 0.5, 0.9],
    "nesterov": [False, True],
    "model": ["mlp", "cnn"],
    "hidden": [4, 8, 16],
    "batch_norm": [False, True],
    "bn_position": ["before", "after"],
    "bn_momentum": [0.1, 0.3],
    "bn_affine": [True, False],
    "dropout": [0.0, 0.2],
    "init": ["kaiming", "xavier", "normal"],
    "init_std": [0.01, 0.1],
    "loss": ["cross_entropy", "mse"],
    "label_smoothing": [0.0, 0.1],
    "batch_size": [32, "full"],
    "train_size": ["all", 100],
}


@st.composite
def spaces(draw: st.DrawFn) -> Grid:
    """Small spaces over random axes, in random order, each with some of its values in random order."""
    names = draw(st.lists(st.sampled_from(sorted(POOL)), max_size=6, unique=True))
    axes = {
        name: tuple(draw(st.lists(st.sampled_from(POOL[name]), min_size=1, max_size=3, unique=True))) for name in names
    }
    return grid(tuple(range(draw(st.integers(1, 3)))), **axes)


def every_combination(made: Grid) -> Iterator[dict[str, Value]]:
    """The full product, the first axis slowest, without folding."""
    names = [axis.name for axis in made.axes]
    for combination in itertools.product(*(axis.values for axis in made.axes)):  # type: ignore[arg-type]
        yield canonical(dict(zip(names, combination, strict=True)))


@given(spaces())
@hypothesis_settings(max_examples=300, deadline=None, derandomize=True)
def test_folding_equals_brute_force(made: Grid):
    """Settings, each once and in the order in which the full product first has them; counts by cohort; folded ones."""
    combinations = [setting_key(setting) for setting in every_combination(made)]
    first_seen = list(dict.fromkeys(combinations))
    settings = list(made.settings())
    assert [setting_key(setting) for setting in settings] == first_seen

    census, folded = made.census, made.census.folded
    cohorts = {setting_key(program): number for program, number in census.cohorts()}
    assert (sum(cohorts.values()), len(cohorts)) == (census.settings, census.cohort_count)
    expected: dict[str, int] = {}
    for setting in settings:
        key = program_key(setting)
        expected[key] = expected.get(key, 0) + 1
    assert cohorts == expected
    assert made.combinations == len(combinations)
    assert sum(folded.values()) == len(combinations) - len(first_seen)
    assert all(name in made.points and len(made.points[name]) > 1 and TABLE[name].when for name in folded)


@given(spaces())
@hypothesis_settings(max_examples=100, deadline=None, derandomize=True)
def test_trials_are_unique_and_numbered(made: Grid):
    trials = list(made.trials())
    assert [trial.number for trial in trials] == list(range(len(trials)))
    identities = {(setting_key(trial.setting), trial.seed) for trial in trials}
    assert len(identities) == len(trials) == len(list(made.settings())) * len(made.seeds)


def test_trials_of_one_cohort_share_their_program():
    made = grid(lr=(0.1, 0.01), hidden=(4, 8), batch_norm=(False, True))
    cohorts = {setting_key(program): number for program, number in made.census.cohorts()}
    assert list(cohorts.values()) == [2, 2, 2, 2]
    assert set(cohorts) == {program_key(setting) for setting in made.settings()}


# Ranges


@pytest.mark.parametrize(
    ("name", "given_range", "expected"),
    [
        ("lr", Range(1e-4, 1e-1, log=True, n=4), (1e-4, 1e-3, 1e-2, 1e-1)),
        ("lr", Range(1e-6, 1e-2, log=True, n=5), (1e-6, 1e-5, 1e-4, 1e-3, 1e-2)),
        ("lr", Range(0.1, 0.5, n=5), (0.1, 0.2, 0.3, 0.4, 0.5)),
        ("dropout", Range(0.0, 0.9, n=4), (0.0, 0.3, 0.6, 0.9)),
        ("lr", Range(0.001, 0.1, n=1), (0.001,)),
        ("lr", Range(0.001, 0.1, n=2), (0.001, 0.1)),
        ("hidden", Range(16, 256, log=True, n=5), (16, 32, 64, 128, 256)),
        ("hidden", Range(10, 100, n=4), (10, 40, 70, 100)),
        ("depth", Range(1, 3, n=9), (1, 2, 3)),
        ("batch_size", Range(1, 8, log=True, n=4), (1, 2, 4, 8)),
    ],
)
def test_ranges_take_exact_points(name, given_range, expected):
    points = given_range.points(TABLE[name])
    assert points == expected
    assert all(type(point) is (int if TABLE[name].kind == "int" else float) for point in points)


@given(st.floats(1e-8, 0.5), st.floats(0.51, 1e3), st.booleans(), st.integers(2, 200))
@hypothesis_settings(max_examples=100, deadline=None, derandomize=True)
def test_ranges_stay_inside_and_even(low, high, log, n):
    points = Range(low, high, log, n).points(TABLE["lr"])
    assert len(points) == n
    assert points[0] == pytest.approx(low, rel=1e-11)
    assert points[-1] == pytest.approx(high, rel=1e-11)
    scale = [math.log(point) if log else point for point in points]  # type: ignore[arg-type]
    steps = [b - a for a, b in itertools.pairwise(scale)]
    assert min(steps) > 0
    assert max(steps) == pytest.approx(min(steps), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("beta1", 0.5, 0.99999999999999), ("beta1", 0.1234567890123456, 0.9), ("lr", 1.00000000000049e-3, 0.1)],
)
def test_the_ends_of_a_range_are_points_of_it(name, low, high):
    """Whatever digits they have."""
    points = Range(low, high, n=3).points(TABLE[name])
    assert (points[0], points[-1]) == (low, high)


def test_a_range_without_n_is_no_grid_axis():
    with pytest.raises(UsageError, match=r"lr: a grid needs the number of points.*n = "):
        grid(lr=Range(1e-4, 1e-1, log=True)).combinations  # noqa: B018


# A million points


def counted(made: Grid) -> tuple[int, float, float]:
    """Trials that a plan of the grid counts, the seconds it took, and its peak memory in MiB."""
    recipe = Recipe(made.axes, seeds=made.seeds)
    tracemalloc.start()
    begin = time.perf_counter()
    plan = plan_grid(recipe, describe("digits"))
    seconds = time.perf_counter() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return plan.trials, seconds, peak / 2**20


@pytest.mark.parametrize(
    "axes",
    [
        {
            "lr": Range(1e-5, 1.0, True, 100),
            "beta1": Range(0.1, 0.9, False, 100),
            "weight_decay": Range(1e-6, 1e-2, True, 100),
        },
        {
            "lr": Range(1e-5, 1.0, True, 1000),
            "dropout": Range(0.0, 0.9, False, 250),
            "optimizer": ("adam", "sgd"),
            "batch_norm": (False, True),
        },
        {"momentum": Range(0.0, 0.9, False, 1000), "lr": Range(1e-5, 1.0, True, 1000), "optimizer": ("sgd",)},
    ],
    ids=["three lane axes", "deciding axes beside", "momentum decides"],
)
def test_a_million_points_are_counted_not_walked(axes):
    """In well under 5 seconds, tracing memory included, and without a million of anything."""
    trials, seconds, peak = counted(grid(**axes))
    assert trials == 1_000_000
    assert seconds < 3
    assert peak < 10


@pytest.mark.long
def test_an_axis_of_a_million_points_is_counted():
    begin = time.process_time()
    plan = plan_grid(Recipe((Axis("lr", Range(1e-6, 1.0, True, 1_000_000)),)), describe("digits"))
    assert plan.trials == 1_000_000
    assert time.process_time() - begin < 20  # linear, whatever else runs beside it


def test_the_trials_of_a_vast_grid_come_lazily():
    made = grid(
        tuple(range(100)),
        lr=Range(1e-5, 1.0, True, 1000),
        beta1=Range(0.1, 0.9, False, 1000),
        dropout=Range(0.0, 0.9, False, 1000),
    )
    tracemalloc.start()
    first = list(itertools.islice(made.trials(), 250))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.combinations == 10**9
    assert first[-1].number == 249
    assert peak < 5 * 2**20


# The table


def test_every_row_depends_only_on_rows_above():
    above: set[str] = set()
    for row in TABLE.values():
        needs = {*row.when, *(name for name, _ in row.default_with)}
        assert needs <= above, f"{row.name} depends on {needs - above}"
        above.add(row.name)


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)
def test_every_row_is_whole(row: Hyperparameter):
    """Its default passes its own check, its bounds are said, its help is a sentence."""
    if not isinstance(row.default, str) or row.kind == "choice":
        assert row.check(row.default) == row.default
    assert type(row.check(row.default)) is type(row.default)
    assert row.help.endswith(".")
    assert row.flag == "--" + row.name.replace("_", "-")
    if math.isfinite(row.low) and row.open_low:
        assert f"> {row.low:g}" in row.expected
    for choice in (*row.choices, *row.words):
        assert row.check(choice) == choice
        assert choice in row.expected
    for name, condition in row.when.items():
        if not callable(condition):
            for value in condition:
                assert TABLE[name].check(value) == value


def test_the_table_has_what_the_notes_vary():
    names = """lr beta1 beta2 eps weight_decay momentum nesterov optimizer lr_schedule warmup_epochs grad_clip
        model hidden depth activation batch_norm bn_position bn_eps bn_momentum bn_affine dropout init init_std loss
        label_smoothing batch_size epochs normalize train_size seed"""
    assert set(TABLE) >= set(re.findall(r"\w+", names))


def test_the_default_of_beta2_is_rmsprops_own():
    assert canonical({"optimizer": "rmsprop"})["beta2"] == 0.99
    assert canonical({"optimizer": "adam"})["beta2"] == 0.999
    assert canonical({"optimizer": "rmsprop", "beta2": 0.999})["beta2"] == 0.999
    assert "beta2" not in canonical({"optimizer": "sgd"})


@pytest.mark.parametrize(
    ("given_values", "inactive"),
    [
        ({"optimizer": "sgd"}, {"beta1", "beta2", "eps", "nesterov"}),
        ({"optimizer": "sgd", "momentum": 0.9}, {"beta1", "beta2", "eps"}),
        ({"optimizer": "rmsprop"}, {"beta1", "nesterov"}),
        ({"optimizer": "adamw"}, {"momentum", "nesterov"}),
        ({"depth": 0}, {"activation", "batch_norm", "dropout", "connection"}),
        ({"connection": "dense"}, {"branch_start"}),
        ({"batch_norm": False}, {"bn_position", "bn_eps", "bn_momentum", "bn_affine"}),
        ({"init": "xavier"}, {"init_std"}),
        ({"loss": "mse"}, {"label_smoothing"}),
    ],
)
def test_inactive_hyperparameters_are_no_part_of_the_setting(given_values, inactive):
    dependent = {row.name for row in IN_SETTING if set(row.when) & {*given_values, "momentum"}}
    missing = {name for name in dependent if name not in canonical(given_values)}
    assert inactive <= missing
    assert canonical(
        given_values | {name: POOL.get(name, [TABLE[name].default])[-1] for name in inactive}
    ) == canonical(given_values)


@given(spaces())
@hypothesis_settings(max_examples=100, deadline=None, derandomize=True)
def test_canonical_is_idempotent_and_ordered(made: Grid):
    order = [row.name for row in IN_SETTING]
    for setting in itertools.islice(every_combination(made), 20):
        assert canonical(setting) == setting
        assert list(setting) == [name for name in order if name in setting]
        assert set(setting) >= {row.name for row in IN_SETTING if not row.when}
        assert PROGRAM & set(setting)
        assert canonical(dict(reversed(setting.items()))) == setting
