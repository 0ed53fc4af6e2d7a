"""The leaderboard of settings: what must never change a rank, how often a tie is denied, what is said of one seed."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.console import Console

from sweep.analysis import StudyTable, fresh_score, leaderboard, rank_settings, settings_table
from sweep.analysis.settings import _tell_from_best as judged
from sweep.recipe import of_unit
from sweep.report.latex import latex_table
from sweep.report.settings import meaning, settings_report, show_ranks
from sweep.report.text import show_gap, signed_gap


def table(values, states=None, epochs=None, direction="minimize") -> StudyTable:
    """A study of settings x = 0, 1, … from their losses [settings, seeds]; NaN where there is no trial."""
    values = np.asarray(values, float)
    count, seeds = values.shape
    trials = pd.DataFrame(
        {
            "number": np.arange(values.size),
            "setting": np.repeat(np.arange(count), seeds),
            "seed": np.tile(np.arange(seeds), count),
            "state": "complete" if states is None else np.asarray(states).ravel(),
            "reason": None,
            "epochs": 3 if epochs is None else np.asarray(epochs).ravel(),
            "val_loss": values.ravel(),
            "test_accuracy": 0.5 + values.ravel() / 1000,
            "x": np.repeat(np.arange(count), seeds).astype(object),
        }
    )
    trials = trials[trials["val_loss"].notna() | (trials["state"] != "complete")]
    return StudyTable("s", trials, "val_loss", direction, ["x"], {"lr": 0.1})


def scored(values) -> StudyTable:
    """Such a study of a metric that is no loss: it may be anything, and is judged as it is."""
    study = table(values)
    return replace(study, trials=study.trials.rename(columns={"val_loss": "score"}), metric="score")


LOSSES = arrays(
    float, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 64).map(lambda i: i / 16)
)


def order(board) -> list[int]:
    return board.rows["x"].tolist()


def test_seeds_are_averaged_and_the_best_setting_comes_first():
    board = rank_settings(table([[3.0, 5.0], [1.0, 2.0], [9.0, np.nan]]))
    assert order(board) == [1, 0, 2]
    assert board.rows["mean"].tolist() == [1.5, 4.0, 9.0]
    assert board.rows["n"].tolist() == [2, 2, 1]
    assert (board.rows["best"].tolist(), board.rows["worst"].tolist()) == ([1.0, 3.0, 9.0], [2.0, 5.0, 9.0])
    assert board.selected is not None
    assert (board.selected["number"], board.seeds) == (2, 2)
    assert board.tests["test_accuracy"][0] == pytest.approx(0.5015)
    high = rank_settings(table([[3.0, 5.0], [1.0, 2.0]], direction="maximize"))
    assert (order(high), high.rows["best"].tolist()) == ([0, 1], [5.0, 2.0])


@pytest.mark.long
@given(LOSSES, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_neither_the_order_of_rows_nor_the_names_of_seeds_matter(values, random):
    study = table(values)
    names = random.sample(range(1000), values.shape[1])
    shuffled = study.trials.sample(frac=1, random_state=random.randrange(1000))
    shuffled["seed"] = [names[seed] for seed in shuffled["seed"]]
    here, there = rank_settings(study).rows, rank_settings(replace(study, trials=shuffled)).rows
    pd.testing.assert_frame_equal(here, there)


@pytest.mark.long
@given(LOSSES, st.sampled_from([-4.0, 0.5, 1024.0]))
@settings(deadline=None, max_examples=40)
def test_a_constant_added_to_all_scores_changes_no_rank_and_no_tie(values, constant):
    here, there = (rank_settings(scored(values + shift)) for shift in (0.0, constant))
    assert order(here) == order(there)
    assert here.rows["tied"].tolist() == there.rows["tied"].tolist()
    assert there.rows["low"].to_numpy() == pytest.approx(here.rows["low"].to_numpy() + constant, nan_ok=True)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_an_interval_of_a_loss_stays_at_0_or_above_and_covers_as_often_as_it_claims(seeds):
    rng = np.random.default_rng(seeds)
    values = rng.gamma(1.0, 1.0, (4000, seeds))  # skewed, and often near 0
    study = table(values)
    bounded, free = rank_settings(study).rows, rank_settings(replace(study, imported=True)).rows
    assert bounded["low"].min() == 0.0
    assert free["low"].min() < 0
    assert bounded["high"].tolist() == free["high"].tolist()
    inside = [rows["low"].le(1.0) & rows["high"].ge(1.0) for rows in (bounded, free)]
    assert inside[0].mean() == inside[1].mean() > 0.86  # of 4,000 settings whose true mean is 1


def test_an_interval_of_an_accuracy_stays_within_0_and_1_unless_it_is_in_percent():
    for scale, most in ((1.0, 1.0), (100.0, math.inf)):
        study = table(scale * np.array([[0.90, 0.99]]))
        study = replace(study, trials=study.trials.rename(columns={"val_loss": "val_accuracy"}), metric="val_accuracy")
        row = rank_settings(study).rows.iloc[0]
        assert (row["high"] > scale) == (most == math.inf)


@pytest.mark.long
@given(LOSSES, st.data())
@settings(deadline=None, max_examples=60)
def test_a_trial_that_diverges_or_is_pruned_never_improves_its_settings_rank(values, data):
    states = data.draw(arrays(object, values.shape, elements=st.sampled_from(["complete", "pruned", "diverged"])))
    epochs = data.draw(arrays(int, values.shape, elements=st.integers(1, 3)))
    place = data.draw(st.tuples(*(st.integers(0, size - 1) for size in values.shape)))
    worse = states.copy()
    worse[place] = "pruned" if states[place] == "complete" else "diverged"
    before, after = (rank_settings(table(values, kind, epochs)) for kind in (states, worse))
    assert order(after).index(place[0]) >= order(before).index(place[0])


def test_lost_trials_come_after_whole_settings_and_are_counted():
    states = [
        ["complete"] * 2,
        ["complete", "diverged"],
        ["pruned"] * 2,
        ["pruned"] * 2,
        ["diverged"] * 2,
        ["failed"] * 2,
    ]
    values = [[9.0, 9.0], [0.1, np.nan], [0.1, 0.1], [5.0, 5.0], [np.nan] * 2, [np.nan] * 2]
    board = rank_settings(table(values, states, [[3, 3], [3, 1], [1, 1], [2, 2], [1, 1], [0, 0]]))
    assert order(board) == [0, 1, 3, 2, 4, 5]
    assert board.rows["rank"].tolist()[:5] == [1, 2, 3, 4, 5]
    assert board.rows["rank"].isna().tolist() == [False] * 5 + [True]
    assert board.rows["diverged"].tolist() == [0, 1, 0, 0, 2, 0]
    assert board.rows["pruned"].tolist() == [0, 0, 2, 2, 0, 0]
    assert board.rows["failed"].tolist() == [0, 0, 0, 0, 0, 2]
    assert not board.rows["tied"].any()


def test_a_wide_constant_gap_on_every_seed_is_never_a_tie():
    rng = np.random.default_rng(0)
    for count, seeds in [(2, 2), (2, 5), (3, 3), (20, 3), (20, 10), (500, 4)]:
        values = rng.normal(0, 0.01, (count, seeds)) + rng.normal(0, 1, seeds)
        values[1:] += 50.0
        board = rank_settings(table(values))
        assert board.tied == 1, (count, seeds)


@pytest.mark.long
@pytest.mark.parametrize(("count", "seeds"), [(2, 3), (3, 2), (5, 5), (20, 3), (100, 4)])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_settings_that_do_not_differ_are_rarely_told_from_the_best(count, seeds, spread):
    """Labels that mean nothing, noise that differs between settings: the share told from the first stays below 5%."""
    rng = np.random.default_rng(1)
    told = []
    for _ in range(60):
        noise = np.exp(spread * rng.normal(size=(count, 1)))
        values = rng.normal(size=(count, seeds)) * noise + rng.normal(size=seeds)
        told.append((count - rank_settings(table(values)).tied) / (count - 1))
    assert np.mean(told) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 60)


def test_the_best_of_two_is_the_paired_t_test():
    from scipy import stats

    rng = np.random.default_rng(3)
    for shift in (0.0, 0.5, 1.0, 2.0):
        values = rng.normal(size=(2, 6)) + rng.normal(0, 5, 6) + [[0.0], [shift]]
        assert (rank_settings(table(values)).tied == 1) == (stats.ttest_rel(*values).pvalue < 0.05)


def test_one_seed_gives_no_interval_and_judges_no_tie():
    board = rank_settings(table([[1.0], [2.0], [9.0]]))
    assert board.rows[["low", "high"]].isna().all().all()
    assert (board.tied, board.left_out, board.seeds) == (0, None, 1)


def test_expected_best_counts_diverged_settings_as_draws():
    values = [[1.0], [2.0], [3.0], [np.nan]]
    board = rank_settings(table(values, [["complete"], ["complete"], ["complete"], ["diverged"]]))
    assert board.expected[0] == (1, pytest.approx((1 + 2 + 3 + 3) / 4))


def test_leaving_a_seed_out_finds_the_optimism_of_noise():
    rng = np.random.default_rng(0)
    board = rank_settings(table(rng.normal(size=(200, 4))))
    assert board.left_out is not None
    picked, left_out = board.left_out
    assert picked < -1.0
    assert left_out == pytest.approx(0.0, abs=1.2)


def test_an_empty_study_and_one_where_all_diverged_select_nothing():
    nothing = table([[1.0]])
    empty = rank_settings(replace(nothing, trials=nothing.trials.iloc[:0]))
    assert (len(empty.rows), empty.selected) == (0, None)
    bad = rank_settings(table([[np.nan] * 2] * 2, [["diverged"] * 2] * 2))
    assert (bad.selected, bad.rows["rank"].tolist(), bad.expected) == (None, [1, 2], [])


def test_a_confirmation_counts_its_fresh_seeds_only():
    study = table([[1.0, 2.0], [5.0, 6.0]])
    again = table([[1.5, 1.7, 2.0, 2.2], [0.0, 0.0, 0.0, 0.0]])  # seeds 0 and 1 are those of the study
    board = rank_settings(study)
    found = fresh_score(board, again)
    assert found is not None
    assert (found[0], found[3]) == (pytest.approx(2.1), 2)
    assert fresh_score(board, table([[1.5, 1.7]])) is None


def test_runs_of_ranks_are_told_briefly():
    assert show_ranks([2]) == "rank 2"
    assert show_ranks([2, 3]) == "ranks 2 and 3"
    assert show_ranks([2, 3, 4, 7]) == "ranks 2–4 and 7"
    assert show_ranks([1, 2, 3, 4, 7, 9, 11, 12]) == "ranks 1–4, 7, 9 and others"


def test_the_exported_columns_are_fixed():
    columns = [
        "rank",
        "trial",
        "x",
        "n",
        "mean",
        "low",
        "high",
        "best",
        "worst",
        "diverged",
        "failed",
        "pruned",
        "tied",
    ]
    assert list(settings_table(rank_settings(table([[1.0]]))).columns) == columns


def test_show_export_and_grid_group_seeds(sweep, tmp_path):
    made = sweep("grid", "--lr", "0.01,0.0001", "--batch-norm", "on,off", "--epochs", 2, "--seeds", 3, "--study", "s")
    assert "95% interval" in made.stdout
    shown = sweep("show", "s").stdout
    for words in ("mean val_loss ▾", "3 seeds", "Had you tried only k", "How much was luck", "on test data"):
        assert words in shown
    read = json.loads(sweep("show", "s", "--json").stdout)
    assert [row["n"] for row in read["settings"]] == [3] * 4
    assert read["selected"]["low"] < read["selected"]["mean"] < read["selected"]["high"]
    assert set(read["selected"]["test"]) == {"test_loss", "test_accuracy"}
    some = json.loads(sweep("show", "s", "--json", "--where", "lr=0.0001").stdout)
    assert (len(some["settings"]), some["selected"]["test"]) == (2, {})
    sweep("export", "s", "--settings", "-o", tmp_path / "t.csv")
    csv = pd.read_csv(tmp_path / "t.csv")
    assert csv["mean"].tolist() == [row["mean"] for row in read["settings"]]
    trials = pd.DataFrame(json.loads(sweep("show", "s", "--trials", "--json").stdout)["trials"])
    best = trials[(trials["lr"] == 0.01) == (csv["lr"][0] == 0.01)]
    best = best[best["batch_norm"] == csv["batch_norm"][0]]
    assert best["val_loss"].mean() == pytest.approx(csv["mean"][0])


def test_more_epochs_say_what_becomes_of_the_numbers_there(sweep):
    grid = ("grid", "--lr", "0.1,0.01", "--hidden", 8, "--study", "s")
    sweep(*grid, "--epochs", 1)
    grown = sweep(*grid, "--epochs", 2, "--max-trials", 1, "--jobs", 1, "--lanes", 1, code=None)
    assert "s: trained for more epochs, its 2 finished trials leave the leaderboard until that is done" in grown.stderr
    text = " ".join(sweep("show", "s").stdout.split())
    assert "1 of 2 trials not trained to the end, so not ranked (1 of them with numbers at fewer epochs)" in text
    assert (
        "leave the leaderboard"
        not in sweep("grid", "--lr", "0.1,0.01", "--hidden", 8, "--study", "s", "--epochs", 2).stderr
    )
    assert "not ranked" not in sweep("show", "s").stdout


def test_one_seed_is_said_plainly(sweep):
    sweep("grid", "--lr", "0.01,0.001", "--epochs", 1, "--study", "s")
    assert "One seed per setting" in sweep("show", "s").stdout


# Who can be told from the best


def first_and_told(values, metric="val_loss", sign=1.0):
    """Who is first of complete settings [settings, seeds], and who is told from it: as a board does it, without the
    rest.
    """
    count, seeds = values.shape
    complete = pd.DataFrame(
        {
            "setting": np.repeat(np.arange(count), seeds),
            "seed": np.tile(np.arange(seeds), count),
            metric: values.ravel(),
        }
    )
    first = int((sign * values.mean(axis=1)).argmin())
    return first, judged(complete, metric, sign, pd.RangeIndex(count), first)


def noise(draw, kind, shape):
    """Standardised noise [settings, seeds] of several shapes, the skewed ones with median 0."""
    if kind == "heavy":
        return draw.standard_t(3, shape) / np.sqrt(3)
    if kind == "skewed":
        return draw.exponential(size=shape) - np.log(2)
    if kind == "now and then":
        return 0.3 * draw.normal(size=shape) + 3.0 * (draw.random(shape) < 0.1)
    return draw.normal(size=shape)


@pytest.mark.parametrize("studies", [160, pytest.param(4000, marks=pytest.mark.slow)])
def test_the_truly_best_is_among_the_marked_in_95_of_100_studies(studies):
    """Losses with skewed and unequal noise, of 3, 5 or 10 seeds: the best by median and the best by mean, which skewed
    noise can tell apart; and nobody who is worse on every seed is marked."""
    draw, many, hits, hits_by_mean, marked, seen = np.random.default_rng(0), np.random.default_rng(1), [], [], [], 0
    kinds = ("log-normal", "heavy", "skewed", "now and then")
    for study in range(studies):
        count, seeds = int(draw.integers(3, 20)), (3, 5, 10)[study % 3]
        middle = draw.normal(0, (0.2, 0.6)[study % 2], count)
        spread = draw.uniform(0.05, 0.8, (count, 1))
        logs = middle[:, None] + draw.normal(0, 0.1, seeds) + spread * noise(draw, kinds[study % 4], (count, seeds))
        values = np.exp(logs)
        first, told = first_and_told(values)
        mean = np.exp(middle) * np.exp(spread * noise(many, kinds[study % 4], (1, 2000))).mean(axis=1)
        hits.append(not told[middle.argmin()])
        hits_by_mean.append(not told[mean.argmin()])
        marked.append(1 - told.mean())
        worse = values.min(axis=1) > values[first].max()
        assert seeds < 5 or told[worse].all()
        seen += worse.sum()
    assert np.mean(hits) >= 0.95
    assert np.mean(hits_by_mean) >= 0.95
    assert np.mean(marked) < 0.75  # it says something
    assert seen > 0


def test_a_setting_that_is_worse_on_every_seed_is_told_however_noisy():
    best, noisy = [0.051, 0.055, 0.060, 0.063, 0.078], [0.16, 0.21, 0.30, 0.45, 0.97]  # as alpha x beta has them
    board = rank_settings(table([best, noisy]))
    assert (board.rows["tied"].tolist(), board.told_from_first(1)) == ([True, False], True)
    in_units = rank_settings(scored(np.array([best, noisy])))
    assert in_units.rows["tied"].tolist() == [True, False]
    few = rank_settings(scored(np.array([best, noisy])[:, [0, 1, 2, 4]]))
    assert few.rows["tied"].tolist() == [True, True]


def test_a_loss_is_judged_in_its_logarithm():
    """The ratios are the same on every seed, the differences are not: with three seeds only the former tell."""
    size = np.array([0.01, 0.1, 1.0])
    values = np.array([size, 1.5 * size])
    assert rank_settings(table(values)).tied == 1
    assert rank_settings(scored(values)).tied == 2


def test_who_is_ahead_on_that_scale_is_not_told_from_the_first():
    """The lower mean is not the lower logarithm: one seed of the second is bad, all others are far better."""
    values = np.array([[0.50, 0.51, 0.52, 0.53, 0.54], [0.01, 0.01, 0.01, 0.01, 2.9]])
    board = rank_settings(table(values))
    assert (order(board), board.rows["tied"].tolist()) == ([0, 1], [True, True])


def test_what_is_tied_behind_one_that_is_told_is_too_noisy():
    values = np.array([[1.0, 1.1, 0.9, 1.05], [2.0, 2.1, 1.9, 2.05], [0.3, 9.0, 0.8, 4.0]])
    board = rank_settings(table(values))
    assert board.rows["tied"].tolist() == [True, False, True]
    assert board.noisy.tolist() == [False, False, True]
    [line] = [line for line in meaning(board, None) if "noisy" in line]
    assert line.startswith("Rank 3 is too noisy to tell (?)")
    assert [board.told_from_first(place) for place in range(4)] == [None, True, False, None]


# Settings that were run again


def rerun() -> StudyTable:
    """Ten settings on seed 0, where luck puts 1 first; 0, 1 and 3 again on seeds 1 to 3, where 0 is best; 1 is
    lucky.
    """
    values = np.full((10, 4), np.nan)
    values[:, 0] = [0.5, 0.1, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    values[[0, 1, 3], 1:] = [[0.3, 0.31, 0.32], [0.7, 0.71, 0.72], [1.9, 2.0, 2.1]]
    return table(values)


def test_settings_run_again_are_ranked_on_the_fresh_seeds_before_the_others():
    board = rank_settings(rerun())
    assert order(board) == [0, 1, 3, 2, 4, 5, 6, 7, 8, 9]
    assert board.rows["rank"].tolist() == list(range(1, 11))
    assert board.rows["mean"].tolist()[:4] == pytest.approx([0.31, 0.71, 2.0, 0.6])
    assert board.rows["selected"].tolist()[:4] == [0.5, 0.1, 0.7, 0.6]
    assert board.rows["n"].tolist()[:4] == [3, 3, 3, 1]
    assert board.rows["again"].tolist() == [True] * 3 + [False] * 7
    assert board.rows["sd"].tolist()[:3] == pytest.approx([0.01, 0.01, 0.1])
    assert board.rows["tied"].tolist() == [True] + [False] * 9
    assert (board.selected["number"], board.seeds) == (0, 3)
    assert board.tests["test_accuracy"][0] == pytest.approx(0.50031)  # of the fresh seeds too
    assert board.expected[0] == (1, pytest.approx(0.82))  # of all settings, on the seed they share
    assert board.told_from_first(1)
    assert board.told_from_first(3) is None
    assert list(settings_table(board).columns)[-4:] == ["selected", "selected_n", "again", "sd"]


def test_what_was_done_with_settings_run_again_is_said():
    again, *_, luck, _ = meaning(rank_settings(rerun()), None)
    assert again == (
        "All settings share seed 0, which selected; 3 of 10 were run again on seeds 1 to 3: these are ranked "
        "first, on the fresh seeds alone, "
        "since the score that selected is in part luck. The others have that score only."
    )
    assert "the first has 0.5000 when selected, 0.3100 on fresh seeds (0.1900 better)" in luck


def test_a_condition_on_settings_run_again_does_not_mix_their_seeds():
    study = rerun()
    few = replace(study, trials=study.trials[study.trials["x"].isin([0, 1])], unfiltered=study.trials, filtered=True)
    assert rank_settings(few).rows["mean"].tolist() == pytest.approx([0.31, 0.71])


# Words


def test_equal_scores_do_not_differ_and_nothing_is_1e_17_better():
    values = np.array([[0.1, 0.1 + 1e-17, 0.3 - 0.2], [0.5, 0.5, 0.5]])
    [luck] = [line for line in meaning(rank_settings(table(values)), None) if line.startswith("How much was luck")]
    assert "scores 0.1000 on those and 0.1000 on the third (no difference)" in luck


def test_divergence_is_said_where_it_decides_ranks():
    states = [["complete"] * 3, ["complete", "diverged", "complete"], ["complete"] * 3]
    board = rank_settings(table([[2.0, 2.1, 2.2], [0.1, np.nan, 0.1], [3.0, 3.1, 3.2]], states))
    assert order(board) == [0, 2, 1]
    assert "1 setting diverged for some seeds: it ranks after all that never did." in meaning(board, None)


def test_a_study_without_an_ended_trial_has_no_titles_above_nothing():
    study = table([[np.nan, np.nan]], [["waiting", "running"]])
    for trials in (None, leaderboard(study)):
        text = io.StringIO()
        Console(file=text, width=100).print(settings_report(rank_settings(study), trials, 20))
        assert "rank" not in text.getvalue().replace("ranked", "")
        assert "No trial is complete yet, so nothing is selected." in text.getvalue()


@pytest.mark.parametrize(("largest", "shown", "most"), [(0.97, "97.00%", 1.0), (97.0, "97.00%", 100.0)])
def test_an_imported_accuracy_is_printed_and_bounded_by_its_unit(largest, shown, most):
    study = scored(largest * np.array([[1.0, 1.0], [0.5, 0.9]]))
    trials = study.trials.rename(columns={"score": "val_accuracy"}).assign(reason=None)
    metric = of_unit("val_accuracy", trials["val_accuracy"].tolist())
    study = replace(study, trials=trials, metric=metric, imported=True, direction="maximize")
    board = rank_settings(study)
    assert study.bounds("val_accuracy") == (0.0, most)
    assert board.rows["high"].max() <= most
    text = io.StringIO()
    Console(file=text, width=120).print(settings_report(board, None, 20))
    assert shown in text.getvalue()
    assert show_gap(metric, 0.25 * largest) == "24.25 points"
    assert signed_gap(metric, -largest / 4) == "-24.25"
    assert shown.replace("%", "\\%") in latex_table(board)
