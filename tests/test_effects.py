"""`sweep effect`: published oracles, scipy, permuted labels, what is lost, and the command through real processes."""

from __future__ import annotations

import io
import itertools
import json
import math
import re
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import stats

from sweep.analysis.effects import effect, effects
from sweep.analysis.pairing import Sides, compare, judge
from sweep.analysis.significance import holm
from sweep.errors import UsageError
from sweep.report.answers import effect_json, effect_report, headline, sentences
from tests.tables import PROTEIN, grid, protein, table

needs_protein = pytest.mark.skipif(not PROTEIN.is_file(), reason="the published tables are not beside the repository")
LRS = [0.1, 0.03, 0.01, 0.003, 0.001]
BETAS = [0.8, 0.88, 0.9]


def two_levels(differences, noise=0.0, seeds=1, metric="val_loss"):
    """Cells 0, 1, … with a base value each, and `on` that much above `off`."""
    rng = np.random.default_rng(1)
    shift = dict(enumerate(differences))
    return grid(
        {"batch_norm": [False, True], "hidden": list(shift)},
        lambda s, _: 1 + 0.1 * s["hidden"] + shift[s["hidden"]] * s["batch_norm"] + noise * rng.normal(),
        seeds,
        metric,
    )


def test_the_published_signed_rank_example():
    """Darwin's maize: W = 24, p = .041260."""
    d = np.array([6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]) / 1000
    found = effect(two_levels(d), "batch_norm")
    assert found.p == pytest.approx(0.041260, abs=1e-6)
    assert found.mean == pytest.approx(d.mean())
    assert (found.improved, found.first.worsened, found.first.n) == (2, 13, 15)
    assert found.verdict == "shown"
    assert found.first.better is False  # off: the loss is lower
    assert headline(found).startswith(
        "batch_norm off is better than on: off wins 13 of 15 cells (86.67%), p = .0413; "
        "val_loss with off is typically lower by 0.0250 (95%: 0.0040 to 0.0415)."
    )


def test_five_cells_of_one_sign_show_nothing_beyond_themselves_and_say_so():
    found = effect(two_levels([0.1, 0.2, 0.3, 0.4, 0.5]), "batch_norm")
    assert found.p == pytest.approx(0.0625)
    assert found.verdict == "too few to tell"
    said = "Too few cells to generalise: even if all 5 agreed, p could not fall below .0625; 6 cells are needed."
    assert said in sentences(found)


def test_a_few_cells_with_seeds_show_a_difference_in_these_cells():
    found = effect(two_levels([0.5, 0.6], noise=0.02, seeds=5), "batch_norm")
    assert found.verdict == "shown in these cells"
    assert headline(found).startswith("batch_norm off is better than on in these 2 cells: off wins 2 of 2 cells")
    assert effect(two_levels([0.0, 0.0], noise=0.2, seeds=5), "batch_norm").verdict == "no difference shown"


@needs_protein
def test_cosine_beats_constant_in_78_28_percent_of_the_matched_cells_in_seconds():
    study = protein()
    start = time.perf_counter()
    found = effect(study, "lr_schedule", "batch_size")
    assert time.perf_counter() - start < 5
    one = found.first
    assert one.pairs == one.n == 31_104
    assert (one.better, one.worsened) == ("cosine", 24_349)
    assert 100 * one.worsened / one.n == pytest.approx(78.28, abs=0.005)
    assert len(found.by_comparisons) == 4
    assert sum(each.pairs for each in found.by_comparisons) == 31_104
    assert found.tuned["value"].min() == pytest.approx(0.221379, abs=1e-6)
    mean = study.trials.groupby([*study.swept])["valid_mse"].mean().unstack("lr_schedule")
    assert one.mean == pytest.approx((mean["const"] - mean["cosine"]).mean())


@needs_protein
def test_the_reference_of_many_levels_is_the_best_on_average():
    found = effect(protein(), "init_lr")
    assert found.reference == 0.001
    assert [one.level for one in found.comparisons] == [0.0005, 0.005, 0.01, 0.05, 0.1]
    assert all(one.better == 0.001 for one in found.comparisons)
    assert found.first.level == 0.0005  # the next best on average


def test_numbers_agree_with_scipy_on_seed_means():
    rng = np.random.default_rng(3)
    values = {
        (lr, beta, bn, seed): rng.normal(1 + bn * 0.2, 0.3)
        for lr in LRS
        for beta in BETAS
        for bn in (False, True)
        for seed in range(2)
    }
    study = grid(
        {"lr": LRS, "beta1": BETAS, "batch_norm": [False, True]}, lambda s, seed: values[(*s.values(), seed)], 2
    )
    frame = study.trials.groupby(["lr", "beta1", "batch_norm"])["val_loss"].mean().unstack("batch_norm")
    d = (frame[True] - frame[False]).to_numpy(float)
    found = effect(study, "batch_norm")
    assert found.mean == pytest.approx(d.mean())
    assert found.p == pytest.approx(stats.wilcoxon(d).pvalue)
    assert found.first.sd == pytest.approx(d.std(ddof=1))
    assert found.low < d.mean() < found.high


def test_only_seeds_that_both_sides_have_are_compared():
    study = two_levels([0.1] * 6, seeds=3)
    frame = study.trials
    frame.loc[(frame["batch_norm"] == True) & (frame["seed"] == 2), "val_loss"] = 100.0  # noqa: E712
    kept = frame[~((frame["batch_norm"] == False) & (frame["seed"] == 2))]  # noqa: E712
    found = effect(table(kept.drop(columns=["number", "epochs"]), study.swept), "batch_norm")
    assert found.mean == pytest.approx(0.1)
    assert set(found.differences["seeds"]) == {2}


def test_a_pair_lost_to_divergence_is_counted_and_said():
    d = dict(enumerate([-0.1] * 8 + [math.nan]))
    study = grid(
        {"batch_norm": [False, True], "hidden": list(d)}, lambda s, _: 1 + (0 if s["batch_norm"] else d[s["hidden"]])
    )
    found = effect(study, "batch_norm")
    assert (found.first.pairs, found.first.lost) == (8, (0, 1, 0))
    assert (found.first.n, found.improved, found.first.worsened) == (9, 1, 8)
    said = (
        "In 1 of 9 comparisons off diverged and on trained: that counts for on. The mean difference is over the "
        "other 8."
    )
    assert said in sentences(found)


def test_divergence_of_one_level_alone_is_a_result():
    study = grid(
        {"batch_norm": [False, True], "hidden": list(range(12))},
        lambda s, _: 1.0 if s["batch_norm"] or s["hidden"] < 4 else math.nan,
    )
    found = effect(study, "batch_norm")
    assert found.first.lost == (0, 8, 0)
    assert found.verdict == "shown"
    assert headline(found).startswith(
        "batch_norm on is better than off: off diverged at 8 of 12 values of hidden, on at none"
    )
    assert any(
        s.startswith("In the cells in which trials diverged, off is worse than chance explains")
        for s in sentences(found)
    )


def test_pruned_and_failed_trials_are_compared_with_nothing():
    study = two_levels([0.1] * 8)
    study.trials.loc[0, "state"], study.trials.loc[1, "state"] = "pruned", "failed"
    found = effect(study, "batch_norm")
    assert found.first.pairs == 6
    assert found.left_out == {"pruned": 1, "failed": 1}


def test_what_exists_at_one_level_only_is_averaged_within_the_cell():
    rows = [{"batch_norm": False, "bn_momentum": None, "lr": lr, "seed": 0, "val_loss": 1.0} for lr in range(1, 9)]
    rows += [
        {"batch_norm": True, "bn_momentum": m, "lr": lr, "seed": 0, "val_loss": 0.9 + m}
        for lr in range(1, 9)
        for m in (0.1, 0.3)
    ]
    found = effect(table(pd.DataFrame(rows), ["lr", "batch_norm", "bn_momentum"]), "batch_norm")
    assert found.averaged == ["bn_momentum"]
    assert found.first.pairs == 8
    assert found.mean == pytest.approx(0.1)
    assert found.tuned.set_index("level")["settings"].to_dict() == {False: 8, True: 16}
    assert found.tuned.set_index("level")["expected"][True] < 1.1
    momentum = effect(table(pd.DataFrame(rows), ["lr", "batch_norm", "bn_momentum"]), "bn_momentum")
    assert momentum.first.pairs == 8  # among the settings that use it


def test_split_by_another_hyperparameter():
    study = grid({"batch_norm": [False, True], "lr": [0.1, 0.01], "hidden": list(range(8))},
                 lambda s, _: 1 + 0.001 * s["hidden"]
                 + (0.2 if s["lr"] == 0.1 else -0.2) * s["batch_norm"] * (1 + 0.01 * s["hidden"]))  # fmt: skip
    plain, split = effect(study, "batch_norm"), effect(study, "batch_norm", "lr")
    assert plain.verdict == "no difference shown"
    assert plain.splits is not None
    assert plain.splits[0] == "lr"
    assert {one.at: one.better for one in split.by_comparisons} == {0.01: True, 0.1: False}
    assert all(one.verdict == "shown" for one in split.by_comparisons)
    assert any(s.startswith("It depends on lr: on is better at 0.01, off is better at 0.1") for s in sentences(split))


def test_holm_counts_every_comparison_of_a_command():
    study = grid({"batch_norm": [False, True], "hidden": list(range(8)), "lr": [0.1, 0.2, 0.3]},
                 lambda s, _: 1 + s["lr"] + 0.01 * s["hidden"] - 0.1 * s["batch_norm"])  # fmt: skip
    alone, both = effect(study, "batch_norm"), effects(study, ["batch_norm", "lr"])
    assert alone.p_holm == alone.p
    p = [one.p for each in both for one in each.comparisons]
    assert len(p) == 3
    assert [one.p_holm for each in both for one in each.comparisons] == pytest.approx(list(holm(p)))
    assert [one.p_bh for each in both for one in each.comparisons] == pytest.approx(stats.false_discovery_control(p))


def test_a_search_does_not_pair_and_says_so():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"lr": rng.uniform(0, 1, 60), "batch_norm": rng.integers(0, 2, 60).astype(bool), "seed": 0})
    frame["val_loss"] = 1 + frame["lr"]
    found, rates = effects(table(frame, ["lr", "batch_norm"]), ["batch_norm", "lr"])
    assert found.verdict == rates.verdict == "not comparable"
    assert headline(found).startswith("Not comparable: no two of the 60 settings agree on everything but batch_norm")
    assert rates.bucketed
    assert rates.tuned["value"].is_monotonic_increasing
    assert len(rates.tuned) == 4


def test_accuracies_are_told_in_points_and_more_is_better():
    found = effect(two_levels([0.05] * 8, metric="val_accuracy"), "batch_norm")
    assert headline(found).endswith("val_accuracy with on is typically higher by 5.00 points (95%: 5.00 to 5.00).")
    assert found.improved == 8


def test_one_cell_is_compared_over_seeds_and_one_pair_says_nothing():
    rng = np.random.default_rng(0)
    found = effect(
        grid({"batch_norm": [False, True]}, lambda s, _: 1 + s["batch_norm"] + 0.1 * rng.normal(), 8), "batch_norm"
    )
    assert (found.first.unit, found.first.n, found.verdict) == ("seeds", 1, "shown in these cells")
    single = effect(grid({"batch_norm": [False, True]}, lambda s, _: 1.0 + s["batch_norm"]), "batch_norm")
    assert single.verdict == "too few to tell"
    assert (single.low, single.high) == (-math.inf, math.inf)
    assert any("says nothing about chance" in s for s in sentences(single))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("batch_nrm", "did you mean 'batch_norm'"),
        ("seed", "seeds are averaged, not compared"),
        (
            "depth",
            "depth is 2 in every trial of study 'made'; expected at least two levels; choose from batch_norm, hidden",
        ),
    ],
)
def test_a_name_that_cannot_be_compared(name, said):
    study = grid({"batch_norm": [False, True], "hidden": [1, 2]}, lambda *_: 1.0, constant={"depth": 2})
    with pytest.raises(UsageError, match=said):
        effect(study, name)


def test_nothing_complete_is_an_error():
    with pytest.raises(UsageError, match=r"no trial is complete with a finite val_loss.*4 diverged"):
        effect(grid({"batch_norm": [False, True], "hidden": [1, 2]}, lambda *_: math.nan), "batch_norm")


def test_needed_seeds_and_cells_settle_it():
    """With as many cells as said, simulated studies show the difference about four times in five."""
    rng = np.random.default_rng(5)
    first = effect(two_levels(0.1 + 0.3 * rng.normal(size=12)), "batch_norm").first
    n, mean, sd = int(first.needed_cells), first.mean, first.sd
    shown = [stats.ttest_1samp(rng.normal(mean, sd, n), 0).pvalue < 0.05 for _ in range(500)]
    assert 0.70 < np.mean(shown) < 0.92


@pytest.mark.long
@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_permuted_labels_are_shown_as_rarely_as_the_level_says(count):
    """Studies in which batch norm does nothing: shown at most 5% of the time, and intervals cover 0 at least 95% of it
    (within three standard errors of that). Seeds that may be lucky in many cells make it rarer, but not never."""
    rng = np.random.default_rng(11)
    shown, covered, seeds = 0, 0, 2
    study = grid({"batch_norm": [False, True], "lr": LRS, "beta1": BETAS}, lambda *_: 1.0, seeds)
    for _ in range(count):
        base = np.repeat(rng.normal(0, 1, 15), seeds)
        study.trials["val_loss"] = np.concatenate([base, base]) + rng.normal(0, 0.3, 30 * seeds)
        found = effect(study, "batch_norm")
        shown += found.verdict == "shown"
        covered += found.low <= 0 <= found.high
    error = 3 * math.sqrt(0.05 * 0.95 / count)
    assert 0.01 <= shown / count <= 0.05 + error
    assert covered / count >= 0.95 - error


values = st.lists(st.floats(-1, 1).map(lambda v: round(v, 3)), min_size=6, max_size=12)


@settings(max_examples=25, deadline=None)
@given(values, st.integers(-5, 5))
@pytest.mark.long
def test_a_constant_added_to_all_losses_changes_nothing(d, constant):
    study = two_levels(d)
    moved = two_levels(d)
    moved.trials["val_loss"] += constant
    a, b = effect(study, "batch_norm"), effect(moved, "batch_norm")
    assert a.p == pytest.approx(b.p)
    assert a.mean == pytest.approx(b.mean, abs=1e-9)
    assert (a.verdict, a.improved, a.first.direction) == (b.verdict, b.improved, b.first.direction)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(values, st.randoms())
def test_neither_the_order_of_trials_nor_the_sign_of_the_metric_matters(d, random):
    study = two_levels(d)
    order = list(range(len(study.trials)))
    random.shuffle(order)
    shuffled = table(study.trials.iloc[order].drop(columns=["number", "epochs"]), study.swept)
    gain = study.trials.rename(columns={"val_loss": "val_accuracy"}).drop(columns=["number", "epochs"])
    gain["val_accuracy"] *= -1
    a, b, c = (effect(one, "batch_norm") for one in (study, shuffled, table(gain, study.swept, "val_accuracy")))
    assert a.first.p == b.first.p == c.first.p
    assert a.first.better is b.first.better
    assert a.first.better is c.first.better
    assert a.mean == pytest.approx(b.mean, abs=1e-12)
    assert a.mean == pytest.approx(-c.mean, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(values)
def test_a_diverged_trial_improves_nobody(d):
    study, worse = two_levels(d), two_levels(d)
    best = worse.trials.query("batch_norm == True")["val_loss"].idxmin()
    worse.trials.loc[best, ["val_loss", "state"]] = [math.nan, "diverged"]
    if worse.trials.query("batch_norm == True")["state"].eq("complete").any():
        before, after = (effect(one, "batch_norm").tuned.set_index("level")["value"][True] for one in (study, worse))
        assert after >= before


RATES = [0.01, 0.1, 0.3, 1, 3]


def batch_norm_by_lr(lost, gain=0.0, seeds=3, noise=0.05):
    """Batch norm x learning rate: off diverges at the rates `lost`; where both train, on has exp(gain) times its
    loss.
    """
    rng = np.random.default_rng(2)

    def value(setting, _):
        noisy = math.exp(noise * rng.normal() + gain * setting["batch_norm"])
        return math.nan if setting["lr"] in lost and not setting["batch_norm"] else noisy * (0.2 + setting["lr"] / 9)

    return grid({"lr": RATES, "batch_norm": [False, True]}, value, seeds)


def test_divergence_that_decides_is_in_the_first_sentence():
    found = effect(batch_norm_by_lr([1, 3]), "batch_norm")
    first = found.first
    assert (first.n, first.pairs, first.divergence.cells, first.divergence.trials) == (5, 3, (0, 2), (0, 6))
    assert first.divergence.p == pytest.approx(2 / 20**2)  # all six of twelve trials in two cells on one side
    assert (found.verdict, first.better) == ("shown in these cells", True)
    assert headline(found).startswith(
        "batch_norm on is better than off: off diverged at 2 of 5 values of lr (6 of 15 trials), "
        "on at none: on is better there; where both trained (3 of 5), "
    )
    assert found.common == 3
    kept = batch_norm_by_lr([1, 3]).complete
    means = kept[kept["lr"].isin(RATES[:3])].groupby("batch_norm")["val_loss"].mean()
    assert found.levels.set_index("level")["mean"].to_dict() == pytest.approx(means.to_dict())


def test_the_headlines_difference_is_that_of_the_table_above_it():
    """Where off lost one seed of a cell, its other seeds are in no mean: not the table's, not the sentence's."""

    def value(setting, seed):
        lost = not setting["batch_norm"] and (setting["lr"] == 3 or (setting["lr"] == 1 and seed == 0))
        return math.nan if lost else setting["lr"] * (0.1 if setting["batch_norm"] else 0.3 - 0.25 * setting["lr"])

    found = effect(grid({"lr": [*RATES, 0.03], "batch_norm": [False, True]}, value, 3), "batch_norm")
    means = found.levels.set_index("level")["mean"]
    assert (found.common, found.first.pairs) == (4, 5)
    way = "higher" if means[True] > means[False] else "lower"
    assert f"on average {way} by {abs(means[True] - means[False]):.4f}" in headline(found)
    assert "those where neither diverged more often: 4." in " ".join(sentences(found))


def test_one_seed_cannot_show_it_and_divergence_is_still_said_first():
    found = effect(batch_norm_by_lr([1, 3], seeds=1), "batch_norm")
    assert found.verdict == "too few to tell"
    assert headline(found).startswith(
        "Off diverged at 2 of 5 values of lr, on at none: on is better there. Too few cells"
    )


def test_where_divergence_and_the_metric_disagree_it_depends():
    found = effect(batch_norm_by_lr([1, 3], gain=0.5), "batch_norm")
    assert found.verdict == "depends on the cell"
    text = headline(found)
    assert "off diverged at 2 of 5 values of lr" in text
    assert "where both trained (3 of 5), off wins 3 of 3" in text


def test_a_cell_in_which_one_side_lost_a_seed_is_won_by_the_other():
    study = grid(
        {"batch_norm": [False, True], "hidden": list(range(8))},
        lambda s, seed: math.nan if s["batch_norm"] and seed == s["hidden"] % 3 else 1.0 - 0.5 * s["batch_norm"],
        3,
    )
    first = effect(study, "batch_norm").first
    assert (first.improved, first.worsened, first.pairs) == (0, 8, 8)
    assert first.p == pytest.approx(2 / 2**8)
    assert first.better is False


def test_a_level_that_is_far_worse_is_never_told_as_no_difference():
    """Depth 32 in few cells, one of them diverged; and a learning rate of pure chance, on three seeds."""
    rng = np.random.default_rng(4)
    level = {2: 0.95, 8: 0.93, 16: 0.9, 32: 0.3}

    def accuracy(setting, _):
        if setting["depth"] == 32 and setting["hidden"] == 1:
            return math.nan
        return level[setting["depth"]] + 0.02 * rng.normal()

    found = effect(grid({"depth": list(level), "hidden": [1, 2, 3]}, accuracy, 3, "val_accuracy"), "depth")
    by_level = {one.level: one for one in found.comparisons}
    assert found.reference == 2
    assert by_level[32].verdict == "shown in these cells"
    assert by_level[32].worsened == 3
    assert "32 (diverged in 1 of 3 cells)" in headline(found)
    wild = grid({"lr": [0.1, 30], "hidden": [1, 2]}, lambda s, _: math.exp((s["lr"] > 1) * (3 + 5 * rng.random())), 5)
    assert effect(wild, "lr").verdict == "shown in these cells"
    single = effect(grid({"lr": [0.1, 30], "hidden": [1, 2]}, lambda s, _: s["lr"] + 0.1, 1), "lr")
    assert single.verdict == "too few to tell"
    assert "0.1 wins 2 of 2 cells" in headline(single)


def simulated(rng, cells, seeds, levels, lost, shared, metric):
    """A study in which no level does anything: noise of unequal size, skewed, in part the seed's; some cells
    diverge.
    """
    size = 0.3 * np.exp(0.5 * rng.normal(size=(cells, 1, 1)))
    luck = math.sqrt(shared) * rng.normal(size=(1, seeds, levels))
    noise = luck + math.sqrt(1 - shared) * (np.exp(rng.normal(size=(cells, seeds, levels))) - 1.65)
    values = rng.normal(size=(cells, 1, 1)) + size * (0.5 * rng.normal(size=(1, seeds, 1)) + noise)
    chance = rng.choice([0, lost], size=(cells, 1, 1))
    gone = rng.random((cells, seeds, levels)) < chance
    fair = np.where(gone, np.nan, values).ravel()
    value = np.exp(fair) if metric == "val_loss" else 1 / (1 + np.exp(-fair))
    cell, seed, level = (axis.ravel() for axis in np.indices((cells, seeds, levels)))
    return Sides(cell, level, seed, value, fair if metric == "val_loss" else value)


@pytest.mark.long
@pytest.mark.parametrize(
    ("cells", "seeds", "levels"), [(1, 3, 2), (2, 5, 3), (4, 3, 2), (5, 1, 2), (7, 3, 2), (12, 5, 2), (9, 10, 4)]
)
@pytest.mark.parametrize("many", [60, pytest.param(600, marks=pytest.mark.slow)])
def test_wrong_calls_are_rare_and_intervals_say_what_verdicts_say(cells, seeds, levels, many):
    """Any verdict but "no difference" or "too few" is wrong here: at most 5% of studies, whatever diverges and however
    the cells share their seeds' luck (within three standard errors); and no interval contradicts its p."""
    rng, wrong, n = np.random.default_rng(7), 0, 0
    for lost, shared, metric in itertools.product((0, 0.15, 0.5), (0, 0.6), ("val_loss", "val_accuracy")):
        if shared and seeds < 3:
            continue  # with fewer seeds nobody can know
        for _ in range(many // 12 + 1):
            sides = simulated(rng, cells, seeds, levels, lost, shared, metric)
            sign = 1.0 if metric == "val_loss" else -1.0
            family = [compare(sides, level, 0, range(levels), sign, sign > 0)[0] for level in range(1, levels)]
            judged, n = judge(family), n + 1
            wrong += any(
                one.verdict not in ("no difference shown", "too few to tell", "not comparable") for one in judged
            )
            for one in judged:
                same = 1.0 if one.scale == "ratio" else 0.0
                assert (one.p_holm <= 0.05) == (not one.low <= same <= one.high), one
                if metric == "val_accuracy" and math.isfinite(one.low + one.high) and one.unit == "cells":
                    assert -1 <= one.low <= one.high <= 1
    assert wrong / n <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)


ODD = [0.1, 0.2, 1e300, 1e-300, 0.0, -1.0, 5.0, math.nan, 1e-12]


@pytest.mark.filterwarnings("error")
@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 3), st.integers(1, 7), st.integers(1, 6), st.lists(st.sampled_from(ODD), min_size=1), st.randoms()
)
def test_whatever_the_numbers_are_there_is_an_answer(levels, cells, seeds, pool, random):
    study = grid(
        {"a": range(levels), "b": range(cells)}, lambda *_: random.choice(pool) * random.choice([1, 1.01]), seeds
    )
    try:
        found = [
            answer for margin in (None, 0.3) for answer in effects(study, ["a"], "b" if cells > 1 else None, margin)
        ]
    except UsageError:  # everything diverged
        assert study.complete.empty or study.complete["a"].nunique() < 2
        return
    json.dumps([effect_json(one) for one in found], allow_nan=False)
    out = io.StringIO()
    Console(file=out, width=60).print(effect_report(found))
    assert " nan" not in out.getvalue()
    assert "-0.0000 " not in out.getvalue()


def test_everything_said_is_plain_json():
    found = effects(two_levels([0.1, -0.2, 0.3, 0.1, 0.2, 0.4], seeds=2), ["batch_norm", "hidden"])
    assert json.loads(json.dumps([effect_json(one) for one in found], allow_nan=False))[0]["comparisons"][0]["n"] == 6


def test_the_command_on_a_real_study(sweep):
    sweep(
        "grid",
        "--lr",
        "0.1,0.01,0.001",
        "--beta1",
        "0.8,0.9",
        "--batch-norm",
        "on,off",
        "--epochs",
        2,
        "--seeds",
        2,
        "--study",
        "s",
    )
    text = sweep("effect", "s", "batch-norm", "--by", "lr").stdout
    assert "each comparison (a “cell”) is between settings with the same lr and beta1" in " ".join(text.split())
    assert "At each lr:" in text
    assert re.search(r"Holds for: epochs 2; \d+ other hyperparameters at their defaults\.", " ".join(text.split()))
    found = json.loads(sweep("effect", "s", "batch_norm", "lr", "--json", "--metric", "val_accuracy").stdout)
    assert [(one["name"], one["metric"], one["comparisons"][0]["pairs"]) for one in found] == [
        ("batch_norm", "val_accuracy", 6),
        ("lr", "val_accuracy", 4),
    ]
    assert sweep("effect", "s", "batch_norm", "--where", "lr<0.05", "--json").stdout.count('"pairs": 4') == 1
    for words, said in ((("hidden",), "hidden is 64 in every trial"), (("lrr",), "did you mean 'lr'"),
                        (("lr", "--by", "lr"), "split by another one"),
                        (("lr", "--metric", "test_loss"), "nothing is selected on "
                            "test data"), (("lr", "--where", "lr>9"), "no trial is complete")):  # fmt: skip
        assert said in sweep("effect", "s", *words, code=2).stderr
    narrow = sweep("effect", "s", "batch_norm", "lr", "--by", "beta1", env={"COLUMNS": "80"}).stdout
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow


@pytest.mark.long
@needs_protein
def test_the_imported_grid_answers_with_the_published_share(sweep):
    sweep("import", PROTEIN, "--metric", "valid_mse", "--minimize", "--seed", "seed", "--study", "protein")
    text = " ".join(sweep("effect", "protein", "lr_schedule").stdout.split())
    assert "cosine is better than const" in text
    assert "cosine wins 24,349 of 31,104 cells (78.28%)" in text


def test_metrics_of_different_losses_are_not_compared(sweep):
    sweep("grid", "--loss", "cross_entropy,mse", "--lr", "0.1,0.01", "--epochs", 1, "--study", "s")
    for command in (
        ("effect", "s", "loss"),
        ("show", "s"),
        ("effect", "s", "lr"),
        ("importance", "s"),
        ("plot", "s", "heatmap"),
    ):
        said = sweep(*command, "--metric", "val_loss", code=2).stderr
        assert "val_loss of loss cross_entropy is in other units than that of mse" in " ".join(said.split())
        assert "--metric val_accuracy" in said
    sweep("effect", "s", "lr", "--metric", "val_loss", "--where", "loss=mse")
    assert json.loads(sweep("effect", "s", "loss", "--json").stdout)[0]["metric"] == "val_accuracy"
