"""Statistics against scipy and the figures of the papers they come from."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from sweep.analysis import significance, statistics
from sweep.analysis.significance import (
    benjamini_hochberg,
    compare_seeds,
    holm,
    holm_levels,
    probability_of_improvement,
    seeds_needed,
    signed_rank,
    signed_rank_interval,
    worst_rank_test,
)
from sweep.analysis.statistics import (
    MANY,
    bootstrap_mean,
    bootstrap_means,
    expected_best,
    fair_scale,
    interquartile_mean,
)
from sweep.recipe import is_loss

WIDEN = {n: np.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1) / stats.norm.ppf(0.975) for n in range(2, 5001)}


@pytest.mark.parametrize("n", [30, 200, 1500])
def test_the_interval_is_scipys_percentile_bootstrap_widened(n):
    values = np.random.default_rng(n).lognormal(size=n)
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    middle = values.mean()
    low, high = (middle + WIDEN[n] * (end - middle) for end in expected)
    assert bootstrap_mean(values, resamples=20_000) == pytest.approx((low, high), abs=0.04 * (high - low))


@pytest.mark.parametrize("n", [3, 4, 6])
def test_few_values_have_all_their_resamples_counted(n):
    values = np.random.default_rng(n).normal(size=n)
    means = np.array(np.meshgrid(*[values] * n)).reshape(n, -1).mean(axis=0)
    ends = np.quantile(means, [0.025, 0.975], method="inverted_cdf")
    expected = values.mean() + WIDEN[n] * (ends - values.mean())
    assert bootstrap_mean(values) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("n", [3, 4, 5, 10, 30])
def test_intervals_cover_the_truth_at_about_the_stated_rate(n):
    values = np.random.default_rng(0).normal(size=(2000, n))
    low, high = bootstrap_means(values, resamples=1000).T
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.95, abs=0.025)


def test_one_value_has_no_interval_and_missing_ones_do_not_count():
    assert np.isnan(bootstrap_mean([1.0])).all()
    assert np.isnan(bootstrap_mean([])).all()
    rows = bootstrap_means([[1.0, 2.0, np.nan, 3.0], [np.nan, 5.0, np.nan, np.nan]])
    assert rows[0] == pytest.approx(bootstrap_mean([1.0, 2.0, 3.0]))
    assert np.isnan(rows[1]).all()


def test_many_values_are_answered_at_once():
    values = np.random.default_rng(0).normal(size=(60_000, 4))
    intervals = bootstrap_means(values)
    assert (intervals[:, 0] < values.mean(axis=1)).all()
    assert bootstrap_mean(values[:, 0])[1] - bootstrap_mean(values[:, 0])[0] < 0.02
    assert values.shape[0] > MANY


def test_expected_best_of_dodge_et_al():
    values = [0.7, 0.8, 0.9]
    assert expected_best(values, [1, 2, 3], minimize=False) == pytest.approx([0.8, 0.84444, 0.86667], abs=1e-5)
    without = expected_best(values, [1, 2, 3, 4], minimize=False, replacement=False)
    assert without == pytest.approx([0.8, 0.86667, 0.9, np.nan], abs=1e-5, nan_ok=True)
    assert expected_best(values, [1, 2, 3]) == pytest.approx([0.8, 1.6 - 0.84444, 1.6 - 0.86667], abs=1e-5)


def test_expected_best_of_normal_values_is_the_winners_curse():
    quantiles = stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    best = expected_best(quantiles, [2, 5, 9, 36, 100], minimize=False)
    assert best == pytest.approx([0.5642, 1.1630, 1.4850, 2.1181, 2.5076], abs=2e-4)


def test_many_p_values_at_once():
    p = [0.01, 0.02, 0.03, 0.04]
    assert holm(p) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert benjamini_hochberg(p) == pytest.approx([0.04] * 4)
    assert holm([0.04, np.nan, 0.01]) == pytest.approx([0.04, np.nan, 0.02], nan_ok=True)
    assert holm([]).shape == (0,)


@given(arrays(float, st.integers(1, 12), elements=st.floats(0, 1)))
def test_benjamini_hochberg_is_scipys(p):
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))


def test_signed_rank_of_darwins_maize():
    d = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
    assert signed_rank(d) == pytest.approx((24.0, 0.041260), abs=1e-6)
    assert signed_rank([1, 2, 3, 4, 5]) == pytest.approx((0.0, 0.0625))
    assert signed_rank([]) == signed_rank([0.0, 0.0]) == (0.0, 1.0)


@given(arrays(float, st.integers(1, 12), elements=st.integers(-6, 6).map(float)).filter(np.any))
@settings(deadline=None, max_examples=50)
def test_signed_rank_with_ties_is_the_permutation_test(d):
    d = d[d != 0]
    ranks = stats.rankdata(np.abs(d))
    signs = np.array(np.meshgrid(*[[0, 1]] * len(d))).reshape(len(d), -1)
    sums, total = ranks @ signs, ranks.sum()
    w = min(ranks[d > 0].sum(), ranks[d < 0].sum())
    expected = np.mean(np.minimum(sums, total - sums) <= w + 1e-9)
    assert signed_rank(d) == pytest.approx((w, expected))


def test_signed_rank_of_many_is_scipys():
    d = np.random.default_rng(0).normal(0.1, 1, 300)
    found = stats.wilcoxon(d, correction=False, method="asymptotic")
    assert signed_rank(d) == pytest.approx((found.statistic, found.pvalue))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [1_600, 4_001])
def test_averages_of_many_pairs_are_counted_in_on(n, ties):
    """The oracle writes all of them down."""
    d = np.random.default_rng(n).normal(0.1, 1, n)
    d = d.round(1) if ties else d
    rows, columns = np.triu_indices(n)
    averages = np.sort((d[rows] + d[columns]) / 2)
    total = len(averages)
    places = [0, total // 7, (total - 1) // 2, total // 2, total - 1]
    assert significance._walsh(d, places) == pytest.approx(averages[places], rel=1e-8, abs=1e-11)


@given(arrays(float, st.integers(1, 12), elements=st.integers(-2, 2).map(float)))
def test_ranks_are_scipys(values):
    ranks, ties = significance._midranks(values)
    assert ranks.tolist() == stats.rankdata(values).tolist()
    assert ties.tolist() == np.unique(values, return_counts=True)[1].tolist()


@given(arrays(float, st.integers(2, 40), elements=st.integers(-1000, 1000).map(lambda i: i / 100)), st.floats(0.1, 50))
def test_rounding_in_the_scale_of_differences_changes_no_p(d, scale):
    assert signed_rank(d * scale)[1] == pytest.approx(signed_rank(d)[1])


def test_rliables_own_example():
    x, y = [[1, 2], [2, 2], [1, 1], [2, 1]], [[1, 1], [2, 2], [3, 3]]
    assert probability_of_improvement(x, y) == pytest.approx(1 / 3)
    assert (interquartile_mean(x), interquartile_mean(y)) == (1.5, 2)


SCORES = st.lists(st.sampled_from([0.0, 0.5, 0.6, 1.0, math.inf]), max_size=6)


@given(SCORES, SCORES)
def test_the_probability_of_improvement_is_a_count_of_pairs(x, y):
    better = [(a > b) + (a == b) / 2 for a in x for b in y]
    expected = sum(better) / len(better) if better else math.nan
    assert probability_of_improvement(x, y) == pytest.approx(expected, nan_ok=True)


def test_seeds_needed_of_bouthillier_et_al():
    assert seeds_needed(0.75) == 29
    assert seeds_needed(0.6) > 150


def test_losses_are_judged_on_the_logarithm_and_everything_else_as_it_is():
    losses = np.array([[1.0, math.e], [np.nan, 0.1]])
    assert fair_scale(losses, "val_loss") == pytest.approx(np.log(losses), nan_ok=True)
    assert fair_scale([0.0, 2.0], "valid_mse") == pytest.approx([0.0, math.log(2)])  # 0 counts as 1
    for values, metric in (([-1.0, 2.0], "val_loss"), ([0.5, 0.9], "val_accuracy"), ([0.0, 0.0], "loss"), ([], "loss")):
        assert fair_scale(values, metric).tolist() == values
    names = ["val_loss", "valid_mse", "error_rate", "val/ce", "MeanSquaredError", "RMSE", "best_val_loss"]
    assert all(map(is_loss, names))
    assert not any(map(is_loss, ["score", "val_accuracy", "final_test_acc", "lossless", "seconds", "reward"]))


def test_worst_ranks_within_cells():
    """One cell: Mann and Whitney's exact p. One trial a side: the sign test. Whole sides that diverged: Fisher's p,
    multiplied over two cells. Divergence that both sides share decides nothing."""
    nan = math.nan
    x, y = [nan, 3.0, 5.0, 4.0], [1.0, 2.0, 6.0, 0.5]
    ranked = stats.mannwhitneyu([9.0, 3.0, 5.0, 4.0], y, method="exact")
    assert worst_rank_test(x, y, [0] * 4) == (pytest.approx(ranked.pvalue), 1)
    assert worst_rank_test([nan] * 6, [1.0] * 6, range(6)) == (pytest.approx(stats.binomtest(6, 6).pvalue), 1)
    assert worst_rank_test([1.0] * 6, [nan] * 6, [0, 0, 0, 1, 1, 1]) == (pytest.approx(2 / 20**2), -1)
    assert worst_rank_test([nan, nan], [nan, nan], [0, 0]) == (1.0, 0)
    assert math.isnan(worst_rank_test([1.0, 2.0], [3.0, 4.0], [0, 0])[0])


@pytest.mark.parametrize("level", [0.05, 0.01])
def test_the_signed_ranks_interval_agrees_with_its_p_and_with_hollander_and_wolfe(level):
    """Depression scores of Hollander and Wolfe (1999), example 3.1: estimate -.46, 96% interval (-.786, -.010)."""
    d = np.array([-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010])
    middle, low, high = signed_rank_interval(d, 0.04, signed_rank(d)[1])
    assert (middle, low, high) == (pytest.approx(-0.46), pytest.approx(-0.786), pytest.approx(-0.010))
    rng = np.random.default_rng(0)
    for n in [*range(2, 20), 60, 1600]:
        x = rng.normal(rng.choice([0, 0.5]), 1, n).round(rng.choice([1, 6]))
        x[rng.random(n) < 0.1] = math.inf
        p = signed_rank(x)[1]
        middle, low, high = signed_rank_interval(x, level, p)
        assert (p <= level) == (not low <= 0 <= high)
        assert low <= middle <= high


def test_seeds_are_told_apart_by_pairs_or_by_ranks():
    x, y = np.array([1.0, 1.2, 0.9]), np.array([0.5, 0.6, 0.45])
    test = compare_seeds(x, y)
    assert test.p == pytest.approx(stats.ttest_rel(x, y).pvalue)
    assert test.interval(0.05) == pytest.approx(tuple(stats.ttest_rel(x, y).confidence_interval(0.95)))
    wild = np.array([3.0, 8.0, 60.0, 4.0, 5.0]), np.array([-3.0, -2.9, -3.1, -3.0, -2.8])
    assert stats.ttest_rel(*wild).pvalue > 0.05
    ranked = compare_seeds(*wild)
    assert (ranked.by_rank, ranked.p) == (True, pytest.approx(2 * 2 / 252))  # the smaller of two p, counted twice
    assert ranked.interval(0.05)[0] > 0


def test_holms_weights_and_the_levels_that_go_with_them():
    p, weights = [0.01, 0.04, 0.2], [0.8, 1.0, 0.2]
    assert holm(p, weights) == pytest.approx([0.01 / 0.8 * 2, 0.04 * 1.2, 0.2])
    levels = holm_levels(p, weights, 0.05)
    assert levels == pytest.approx([0.05 * 0.8 / 2, 0.05 / 1.2, 0.05])
    assert [a <= b for a, b in zip(p, levels, strict=True)] == [a <= 0.05 for a in holm(p, weights)]


def test_the_examples_of_the_docstrings():
    results = [doctest.testmod(room) for room in (statistics, significance)]
    assert [result.failed for result in results] == [0, 0]
    assert sum(result.attempted for result in results) > 15
