"""Practically equal: two one-sided tests as scipy makes them, made-up studies at the margin, and real processes."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import sweep as library
from sweep.analysis.comparing import compare_studies
from sweep.analysis.confirming import split_by_seed
from sweep.analysis.effects import effect, effects
from sweep.analysis.equality import check_margin, judge_with_margin
from sweep.analysis.pairing import Comparison, Sides, compare
from sweep.analysis.significance import holm
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.recipe import load_recipe
from sweep.report.answers import effect_json, headline, sentences
from tests.made import made
from tests.tables import grid
from tests.test_confirm import simulated

EQUAL = "practically equal"


def family(x: np.ndarray, metric: str = "score") -> list[Comparison]:
    """The comparisons of every level with the first, of values [cells, seeds, levels]."""
    cell, seed, level = (axis.ravel() for axis in np.indices(x.shape))
    log = metric.endswith("loss")
    sides = Sides(cell, level, seed, x.ravel(), np.log(x.ravel()) if log else x.ravel())
    levels = range(x.shape[2])
    return [compare(sides, other, 0, levels, 1.0, log)[0] for other in levels[1:]]


def ask(x: np.ndarray, margin: float, metric: str = "score") -> Comparison:
    return judge_with_margin(family(x, metric), margin)[0]


# The oracle


@pytest.mark.parametrize("seeds", [3, 5, 12])
@pytest.mark.parametrize("metric", ["score", "val_loss"])
def test_over_seeds_it_is_two_one_sided_t_tests(seeds, metric):
    x = np.exp(0.1 * np.random.default_rng(seeds).normal(size=(1, seeds, 2)))
    fair = np.log(x) if metric == "val_loss" else x
    d, reach = fair[0, :, 1] - fair[0, :, 0], math.log(1.4) if metric == "val_loss" else 0.4
    made = ask(x, 0.4, metric)
    below = stats.ttest_1samp(d, reach, alternative="less").pvalue
    above = stats.ttest_1samp(d, -reach, alternative="greater").pvalue
    assert made.p_equal == pytest.approx(max(below, above))
    assert (made.verdict == EQUAL) == (made.p_equal <= 0.05)
    if made.verdict == EQUAL:
        ends = stats.ttest_1samp(d, 0).confidence_interval(0.90)
        ends = np.exp(ends) if metric == "val_loss" else ends
        assert (made.low, made.high) == pytest.approx(tuple(ends))
        assert made.scale == ("ratio" if metric == "val_loss" else "difference")


@pytest.mark.parametrize("cells", [7, 12, 60])
@pytest.mark.parametrize("metric", ["score", "val_loss"])
def test_over_cells_it_is_two_one_sided_signed_ranks(cells, metric):
    """And the ends of the interval are where these tests turn."""
    x = np.exp(0.05 * np.random.default_rng(cells).normal(size=(cells, 1, 2)) + 0.3 * np.arange(cells)[:, None, None])
    if metric == "score":
        x = np.log(x)
    a, b, m = x[:, 0, 1], x[:, 0, 0], 0.1

    def shifted(low, high):
        return (a - low * b, a - high * b) if metric == "val_loss" else (a - b - low, a - b - high)

    def p(low, high):
        method = "exact" if cells < 50 else "asymptotic"
        first, second = shifted(low, high)
        above = stats.wilcoxon(first, alternative="greater", method=method, correction=False).pvalue
        below = stats.wilcoxon(second, alternative="less", method=method, correction=False).pvalue
        return above, below

    made = ask(x, m, metric)
    limits = (1 / (1 + m), 1 + m) if metric == "val_loss" else (-m, m)
    assert made.p_equal == pytest.approx(max(p(*limits)), rel=1e-6)
    assert (made.verdict, made.unit) == (EQUAL, "cells")
    assert limits[0] < made.low < made.typical < made.high < limits[1]
    tiny = 1e-6
    assert max(p(made.low - tiny, made.high + tiny)) <= 0.05
    if cells < 50:  # beyond, the count from the ends is rounded towards the wider interval
        assert min(p(made.low + tiny, made.high - tiny)) > 0.05


def test_the_comparisons_of_a_family_share_the_error():
    x = np.random.default_rng(4).normal(size=(9, 3, 4))
    found = judge_with_margin(family(x), 0.9)
    p = [comparison.p_equal for comparison in found]
    assert [comparison.p_equal_holm for comparison in found] == pytest.approx(list(holm(p)))
    assert [comparison.verdict == EQUAL for comparison in found] == [held <= 0.05 for held in holm(p)]


# Error and power


@pytest.mark.long
def test_at_the_margin_equal_is_said_in_at_most_5_percent_of_studies():
    """1,000 studies whose levels differ by exactly the margin: few cells and seeds, many cells, several levels, luck
    that cells share where there are seeds enough to see it."""
    rng, wrong = np.random.default_rng(8), 0
    shapes = [(1, 3, 2), (1, 8, 2), (3, 5, 2), (9, 2, 2), (12, 1, 2), (8, 5, 3)]
    for study in range(1000):
        cells, seeds, levels = shapes[study % len(shapes)]
        luck = (seeds >= 5) * rng.choice([0, 1]) * rng.normal(size=(1, seeds, levels))
        x = rng.normal(size=(cells, 1, 1)) + 0.3 * (luck + rng.normal(size=(cells, seeds, levels)))
        x += 0.5 * rng.choice([-1, 1]) * (np.arange(levels) > 0)
        wrong += any(comparison.verdict == EQUAL for comparison in judge_with_margin(family(x), 0.5))
    error = 3 * math.sqrt(0.05 * 0.95 / 1000)
    assert 0.01 <= wrong / 1000 <= 0.05 + error


@pytest.mark.parametrize(("cells", "seeds", "least", "most"), [(1, 4, 0.0, 0.4), (1, 30, 0.9, 1.0), (20, 2, 0.9, 1.0)])
def test_equals_are_equal_with_enough_seeds_or_cells(cells, seeds, least, most):
    rng = np.random.default_rng(9)
    equal = [ask(0.3 * rng.normal(size=(cells, seeds, 2)), 0.3).verdict == EQUAL for _ in range(100)]
    assert least <= np.mean(equal) <= most


@pytest.mark.slow
@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_as_many_seeds_as_said_show_it_four_times_in_five(gap):
    rng = np.random.default_rng(10)
    d = stats.zscore(rng.normal(size=12), ddof=1) * 0.5 + gap  # twelve seeds do not show it
    first = ask(np.stack([np.zeros(12), d], axis=-1)[None], 0.25)
    assert first.verdict != EQUAL
    n = int(first.needed_seeds_equal)
    studies = np.stack([np.zeros((300, n)), rng.normal(gap, 0.5, (300, n))], axis=-1)
    equal = [ask(study[None], 0.25).verdict == EQUAL for study in studies]
    assert 0.74 < np.mean(equal) < 0.88


@pytest.mark.slow
def test_of_two_picked_from_many_settings_equal_is_rarely_said_at_the_margin():
    """The best of six is better by the margin than all others; the second is the luckiest of these."""
    rng, wrong = np.random.default_rng(12), 0
    for _ in range(150):
        values = rng.normal(size=(6, 9)) + 2.0 * (np.arange(6)[:, None] > 0)
        wrong += split_by_seed(simulated(values), top=6, selected_on="0", margin=2.0).duel.verdict == EQUAL
    assert wrong / 150 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)


# What is said


def alike(gap=0.0, noise=0.01, seeds=5, metric="val_accuracy", cells=8, lost=()):
    """Batch norm on and off that differ by `gap` in every cell; cells of `lost` diverged with batch norm on."""
    rng = np.random.default_rng(1)

    def value(setting, _):
        if setting["hidden"] in lost and setting["batch_norm"]:
            return math.nan
        return 0.9 - 0.01 * setting["hidden"] + gap * setting["batch_norm"] + noise * rng.normal()

    return grid({"batch_norm": [False, True], "hidden": list(range(cells))}, value, seeds, metric)


def test_equal_is_said_with_the_margin_and_the_interval_within():
    found = effect(alike(), "batch_norm", margin=0.02)
    assert found.verdict == EQUAL
    assert -0.02 < found.low <= found.high < 0.02
    low, high = (f"{100 * end:+.2f}" for end in (found.low, found.high))
    assert headline(found) == (
        "batch_norm on and off are practically equal: val_accuracy typically differs by less than 2.00 points "
        f"(on – off, 90%: {low} to {high}, p = .0039)."
    )
    loss = effect(alike(metric="val_loss", cells=2), "batch_norm", margin=0.1)
    assert headline(loss).startswith(
        "batch_norm on and off are practically equal in these 2 cells: val_loss differs by less than 10% "
        "(on / off, 90%: ×"
    )


def test_a_small_difference_that_is_shown_is_equal_all_the_same_and_said():
    plain, found = (effect(alike(gap=0.01, noise=0.001), "batch_norm", margin=margin) for margin in (None, 0.02))
    assert (plain.verdict, found.verdict) == ("shown", EQUAL)
    assert found.p == plain.p
    assert "That on is better is shown, too (p = .0078), but by less than 2.00 points." in sentences(found)


def test_what_is_not_shown_either_way_says_what_would_settle_it():
    found = effect(alike(noise=0.05, cells=1), "batch_norm", margin=0.01)
    assert found.verdict == "no difference shown"
    said = next(text for text in sentences(found) if text.startswith("Nor is it shown"))
    seeds = int(found.first.needed_seeds_equal)
    p = f"{found.first.p_equal:.4f}".removeprefix("0")
    assert f"(less than 1.00 points apart, p = {p})" in said
    assert f"about {seeds} seeds per setting (you have 5) would give an 80% chance of showing it." in said
    far = effect(alike(gap=0.04, noise=0.05, cells=1), "batch_norm", margin=0.001)
    assert any("more of the same would not show it" in text for text in sentences(far))


def test_uneven_divergence_is_never_equal():
    found = effect(alike(lost=(3,)), "batch_norm", margin=0.5).first
    assert found.verdict != EQUAL
    assert math.isnan(found.p_equal)
    assert math.isnan(found.p_equal_holm)


def test_many_levels_are_told_apart_or_equal():
    rng = np.random.default_rng(2)
    study = grid(
        {"lr": [0.1, 0.2, 0.3], "hidden": list(range(9))},
        lambda s, _: 1 + 0.1 * s["hidden"] + 0.5 * (s["lr"] > 0.25) + 0.001 * rng.normal(),
        2,
    )
    found = effect(study, "lr", "hidden", margin=0.05)
    reference = found.reference
    other = {0.1: 0.2, 0.2: 0.1}[reference]
    assert {comparison.level: comparison.verdict for comparison in found.comparisons} == {0.3: "shown", other: EQUAL}
    assert headline(found) == (
        f"lr {reference} is better than 0.3; practically equal to {other} (val_loss differs by less than 5%)."
    )


def test_without_a_margin_nothing_changes_and_an_idle_margin_changes_no_number():
    study = alike(noise=0.05)
    plain, idle = (effect_json(effect(study, "batch_norm", "hidden", margin)) for margin in (None, 1e-6))
    fields = {"margin", "p_equal", "p_equal_holm", "needed_seeds_equal", "needed_cells_equal"}
    for before, after in zip(
        plain["comparisons"] + plain["by_comparisons"], idle["comparisons"] + idle["by_comparisons"], strict=True
    ):
        assert after.keys() - before.keys() == fields
        assert before == {name: value for name, value in after.items() if name not in fields}


@pytest.mark.parametrize(
    ("metric", "margin", "said"),
    [
        ("val_accuracy", 0.0, "--margin 0: expected a number above 0 and below 1; of val_accuracy 0.005 is half"),
        ("val_accuracy", 1.0, "--margin 1: expected a number above 0 and below 1"),
        ("val_accuracy", math.nan, "--margin nan: expected a number above 0 and below 1"),
        ("val_loss", -0.1, "--margin -0.1: expected a number above 0; of a loss 0.1 is a tenth of it"),
        ("score", math.inf, "--margin inf: expected a number above 0"),
    ],
)
def test_what_is_no_margin(metric, margin, said):
    with pytest.raises(UsageError, match=said):
        check_margin(metric, margin)
    check_margin(metric, 0.005)


# Real processes


@pytest.fixture
def studies(tmp_path):
    """Two studies whose settings differ by little, the first with two levels that differ by little."""
    flags = {"lr": "0.3,0.1,0.03,0.01,0.003,0.001", "batch_norm": "on,off", "epochs": "2", "seeds": "5"}
    for place, name in enumerate(("a", "b")):
        rng = np.random.default_rng(place)
        made(tmp_path / "results", name, flags, lambda t, rng=rng: 0.5 + t.setting["lr"] + 0.01 * rng.normal())


@pytest.mark.usefixtures("studies")
def test_effect_and_compare_say_it(sweep):
    plain = json.loads(sweep("effect", "a", "batch_norm", "--json").stdout)[0]
    found = json.loads(sweep("effect", "a", "batch_norm", "--by", "lr", "--margin", 0.1, "--json").stdout)[0]
    assert found["verdict"] == found["comparisons"][0]["verdict"] == EQUAL
    assert found["comparisons"][0]["margin"] == 0.1
    assert found["comparisons"][0]["p_equal_holm"] <= 0.05
    assert 1 / 1.1 < found["comparisons"][0]["low"] < found["comparisons"][0]["high"] < 1.1
    assert "p_equal" not in plain["comparisons"][0]
    text = sweep("effect", "a", "batch_norm", "--by", "lr", "--margin", 0.1, env={"COLUMNS": "100"}).stdout
    assert "batch_norm on and off are practically equal" in " ".join(text.split())
    assert "p equal" in text
    assert "90%: ×" in text
    assert "practically equal here" in text
    text = " ".join(sweep("compare", "a", "b", "--margin", 0.1).stdout.split())
    assert "val_loss typically differs by less than 10% (b / a, 90%: ×" in text
    assert "practically equal." in text
    pair = json.loads(sweep("compare", "a", "b", "--margin", 0.1, "--json").stdout)["common"][0]
    assert (pair["verdict"], pair["margin"]) == (EQUAL, 0.1)
    assert "Nor is it shown that they are practically equal" in sweep("compare", "a", "b", "--margin", 1e-5).stdout
    assert "equal" not in sweep("compare", "a", "b").stdout.replace("equal budgets", "")


@pytest.mark.usefixtures("studies")
def test_a_confirmation_that_is_there_is_asked_with_a_margin(sweep, tmp_path):
    recipe = load_recipe(None, {"lr": "0.001", "batch_norm": "on,off", "epochs": "2", "seed": "7-16"})
    rng = np.random.default_rng(3)
    listed = replace(recipe.of_settings([*recipe.grid.settings()]), confirms="a")
    made(tmp_path / "results", "a-confirm", {}, lambda _: 0.5 + 0.01 * rng.normal(), listed)
    ran = sweep("confirm", "a", "--margin", 0.1)
    assert "trained 0" in ran.stderr
    text = " ".join(ran.stdout.split())
    assert "practically equal; val_loss differs by less than 10% (first / second, 90%: ×" in text
    assert "over 10 seeds)." in text
    duel = json.loads(sweep("confirm", "a", "--margin", 0.1, "--json").stdout)["first_against_second"]
    assert (duel["verdict"], duel["margin"], duel["scale"]) == (EQUAL, 0.1, "ratio")
    assert 1 / 1.1 < duel["equal_low"] < duel["equal_high"] < 1.1
    assert "margin" not in json.loads(sweep("confirm", "a", "--json").stdout)["first_against_second"]
    tight = " ".join(sweep("confirm", "a", "--margin", 0.001).stdout.split())
    assert "Nor is it shown that they are practically equal (less than 0.1% apart, p = " in tight
    with library.open_results(tmp_path / "results") as results:
        assert results.study("a").confirmation(margin=0.1).duel.verdict == EQUAL
        assert results.study("a").confirm(margin=0.1).duel.verdict == EQUAL
        assert results.study("a").effect("batch_norm", margin=0.1).verdict == EQUAL
        with pytest.raises(UsageError, match="--margin 0: expected"):
            results.study("a").confirm(margin=0)


@pytest.mark.usefixtures("studies")
def test_a_bad_margin_is_one_line_and_trains_nothing(sweep, tmp_path):
    accuracy = ("--metric", "val_accuracy")
    for command in (("effect", "a", "batch_norm"), ("compare", "a", "b"), ("confirm", "a")):
        for margin, more, said in (
            ("0", (), "--margin 0: expected a number above 0"),
            ("-1", (), "--margin -1: expected"),
            ("nan", (), "--margin nan: expected"),
            ("5", accuracy, "--margin 5: expected a number above 0 and below 1; of val_accuracy 0.005 is half a point"),
            ("much", (), "--margin"),
        ):
            refused = sweep(*command, f"--margin={margin}", *more, code=2)
            assert said in refused.stderr, command
            assert len(refused.stderr.splitlines()) == 1
    with Ledger(tmp_path / "results") as ledger:
        assert [study.name for study in ledger.studies()] == ["a", "b"]
        assert compare_studies(ledger, ledger.studies(), margin=0.1).common[0].verdict == EQUAL


def test_of_seeds_that_diverged_on_one_side_alone_a_duel_is_not_equal():
    values = np.random.default_rng(0).normal(size=(2, 9)) * 0.01
    assert split_by_seed(simulated(values), top=2, selected_on="0", margin=1.0).duel.verdict == EQUAL
    values[1, 4] = np.nan
    assert split_by_seed(simulated(values), top=2, selected_on="0", margin=1.0).duel.equality is None


def test_several_hyperparameters_share_one_error():
    rng = np.random.default_rng(6)
    study = grid({"batch_norm": [False, True], "lr": [0.1, 0.2], "hidden": list(range(8))}, lambda *_: rng.normal())
    alone = [effect(study, name, margin=1.0).first for name in ("lr", "batch_norm")]
    both = [found.first for found in effects(study, ["lr", "batch_norm"], margin=1.0)]
    p = [comparison.p_equal for comparison in both]
    assert [comparison.p_equal_holm for comparison in alone] == p
    assert [comparison.p_equal_holm for comparison in both] == pytest.approx(list(holm(p)))
    assert list(holm(p)) != p
