"""The race over seeds: who leaves and why, at what chance of an error, and a study like any other."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import signal
import sqlite3
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sweep.ledger import Ledger
from sweep.racing import ALPHA, Course, Left, follow, looks
from sweep.racing.rule import RULES, equal, level, worse
from sweep.recipe import Race, load_recipe, recipe_from_dict
from sweep.space import Result, Trial
from tests.conftest import runner
from tests.processes import finished, numbers, query, start, table, wait_for

FAST = ["--epochs", "2", "--hidden", "8", "--train-size", "100"]
SPACE = ["--lr", "0.1,0.01,0.001,0.0001", "--beta1", "0.5,0.9", *FAST]


def raced(values: np.ndarray, margin: float | None = None, states: dict | None = None, rule: int = 2) -> Course:
    """The race of settings with these losses [settings, seeds]; states: other than complete, by (setting, seed); a
    state None is a trial that is not there."""
    recipe = load_recipe(None, {"lr": ",".join(f"{1 + place}e-4" for place in range(len(values)))})
    recipe = replace(recipe, seeds=tuple(range(values.shape[1])), race=Race(margin, rule=rule))
    results, states = [], states or {}
    for place, setting in enumerate(recipe.grid.settings()):
        for seed in recipe.seeds:
            state = states.get((place, seed), "complete")
            if state is not None:
                results.append(Result(Trial(len(results), setting, seed), state, float(values[place, seed])))
    return follow(recipe, results)


def test_looks_come_at_the_same_seeds_however_many_there_may_be():
    assert looks(20) == [2, 4, 8, 16, 20]
    for more in range(21, 60):
        assert looks(more)[:4] == looks(20)[:4]
        assert looks(more)[-1] == more


def test_all_looks_together_spend_no_more_than_the_error():
    assert sum(level(look) for look in range(1, 1000)) < ALPHA
    assert level(1) == ALPHA / 2


def test_of_two_settings_the_first_look_is_two_t_tests_by_scipy():
    """With one rival nothing is borrowed: the race's decision is scipy's one-sided paired t test at the look's level,
    just below and just above the difference where that is reached."""
    noise = np.array([[0.0, 0.0, 0.0, 0.0, 0.0], [0.3, -0.1, 0.2, 0.05, -0.45]])
    for shift in np.linspace(0.1, 1.5, 57):
        fair = noise + np.array([[0.0], [shift]])
        p = stats.ttest_rel(fair[1], fair[0], alternative="greater").pvalue
        assert (worse(fair, fair, 3, 2)[1] == 0) == (p <= level(3)), shift


def test_practically_equal_is_schuirmanns_two_one_sided_tests_by_scipy():
    values = np.array([[0.0, 0.01, -0.01, 0.02, 0.0, 0.01], [0.01, 0.0, 0.01, 0.03, -0.01, 0.02]])
    apart = values[1] - values[0]
    for reach in np.linspace(0.005, 0.2, 40):
        low = stats.ttest_1samp(apart, -reach, alternative="greater").pvalue
        high = stats.ttest_1samp(apart, reach, alternative="less").pvalue
        assert equal(values, reach, 3) == (max(low, high) <= level(3) / 2), reach


def test_who_is_worse_leaves_and_the_race_ends_with_the_one_left():
    values = np.array([[1.0, 1.02, 0.98, 1.01], [5.0, 5.1, 4.9, 5.0], [5.0, 5.2, 4.9, 5.1], [9.0, 9.1, 8.8, 9.0]])
    course = raced(values)
    assert (course.standing, course.ended, course.looks[0].seeds) == ((0,), "one is left", 2)
    assert course.left == dict.fromkeys((1, 2, 3), Left(2, "worse", 0))
    assert course.most == 0


def test_nobody_leaves_where_nothing_differs_and_it_ends_with_the_seeds():
    values = np.exp(np.random.default_rng(0).normal(size=(6, 20)))
    course = raced(values)
    assert (len(course.standing), course.ended, [look.seeds for look in course.looks]) == (6, "out of seeds", looks(20))
    assert [*course.standing] == np.argsort(values.mean(axis=1)).tolist()


def test_a_setting_that_diverged_leaves_at_the_next_look_however_good():
    values = np.array([[0.9, 1.0, 0.5, 0.9, 0.9], [1.0, 1.1, 0.9, 1.0, 1.0], [1.0, 0.9, 1.1, 1.0, 1.05]])
    course = raced(values, states={(0, 2): "diverged"})
    assert (course.left[0].why, course.left[0].seeds) == ("diverged", 4)
    assert 0 not in course.standing
    alone = raced(values[:2], states={(0, 0): "diverged", (1, 1): "diverged"})
    assert (alone.ended, alone.standing) == ("none is left", ())


def test_a_failed_trial_is_an_accident_that_takes_nobody_out():
    values = np.exp(0.01 * np.random.default_rng(2).normal(size=(3, 8)))
    course = raced(values, states={(0, 0): "failed", (1, 3): "failed"})
    assert len(course.standing) == 3
    gone = raced(values, states={(0, seed): "failed" for seed in range(8)})
    assert (gone.left[0].why, len(gone.standing)) == ("failed", 2)


def test_it_waits_for_everything_that_a_look_compares():
    values = np.array([[1.0, 1.02, 0.98, 1.01], [5.0, 5.1, 4.9, 5.0]])
    course = raced(values, states={(1, 1): None, (0, 1): "waiting", (0, 3): None})
    assert (course.missing, course.looks, course.ended) == (((0, 1), (1, 1)), (), "")
    assert course.most == 2 + 2 * 2


def test_those_left_that_differ_by_less_than_the_margin_end_it():
    values = np.exp(0.01 * np.random.default_rng(3).normal(size=(3, 20)))
    assert raced(values).ended == "out of seeds"
    course = raced(values, margin=0.1)
    assert (course.ended, len(course.standing)) == ("practically equal", 3)
    assert course.looks[-1].seeds < 20


def test_a_race_that_grew_decides_as_one_that_had_all_from_the_start():
    """What a smaller race trained decides nothing: more seeds come to the same looks, more settings are judged among
    all of them from the first look on."""
    draw = np.random.default_rng(3)
    values = np.exp(draw.normal(size=(12, 1)) + 0.3 * draw.normal(size=(12, 34)))
    few, many = raced(values[:, :16]), raced(values)
    assert few.looks[:4] == many.looks[:4]
    recipe = load_recipe(None, {"lr": ",".join(f"{1 + place}e-4" for place in range(12))})
    recipe = replace(recipe, seeds=tuple(range(34)), race=Race())
    settings = list(recipe.grid.settings())
    known = [
        Result(Trial(place * 34 + seed, setting, seed), "complete", float(values[place, seed]))
        for place, setting in enumerate(settings)
        for seed in range(16 if place in few.standing else few.left[place].seeds)
    ]
    while missing := (grown := follow(recipe, known)).missing:
        known += [
            Result(Trial(10_000 + len(known), settings[place], seed), "complete", float(values[place, seed]))
            for place, seed in missing
        ]
    assert (grown.looks, grown.left, grown.standing) == (many.looks, many.left, many.standing)


def test_two_differences_by_the_same_are_no_proof_where_others_vary():
    """Wrong answers of a hundred: that two settings were behind by the same twice may be chance."""
    values = np.array([[4.0, 8.0], [7.0, 11.0], [6.0, 10.0], [5.0, 12.0]])
    assert worse(values, values, 1, 4).tolist() == [-1, -1, -1, -1]
    assert worse(values, values, 1, 4, RULES[1]).tolist() == [-1, 0, 0, -1]
    sure = np.repeat([[1.0], [2.0], [3.0]], 2, axis=1)
    assert worse(sure, sure, 1, 3).tolist() == [-1, 0, 0]


def test_a_race_keeps_the_rule_that_it_began_with():
    """Two seeds, differences of 10 times their noise: the first rule asks for 12.7 times each one's own, too."""
    draw = np.random.default_rng(0)
    values = np.exp(np.repeat([[0.0], [1.0]], [4, 20], axis=0) + 0.1 * draw.normal(size=(24, 8)))
    first, second = (raced(values, rule=rule).looks[0].standing for rule in (1, 2))
    assert second == 4 < first
    recipe = load_recipe(None, {"lr": "0.1,0.01"})
    old, new = replace(recipe, race=Race(0.1, rule=1)), replace(recipe, race=Race(0.1))
    assert old.to_dict()["race"] == {"margin": 0.1}  # as it was written before rules had numbers
    assert recipe_from_dict(old.to_dict()).race == old.race
    assert recipe_from_dict(new.to_dict()).race == new.race
    assert (old.digest(), old.difference(new)) == (new.digest(), [])


def test_a_race_of_an_earlier_version_goes_on_and_grows_by_its_rule(sweep, tmp_path):
    database = tmp_path / "results" / "sweep.db"
    assert sweep("race", *SPACE, "--seeds", "4", "--max-trials", "9", "--study", "r").returncode == 0
    change_recipe(database, lambda recipe: recipe["race"].pop("rule"))
    for seeds in ("4", "6"):
        out = sweep("race", *SPACE, "--seeds", seeds, "--study", "r")
        assert out.returncode == 0, out.stderr
        with Ledger(tmp_path / "results") as ledger:
            assert ledger.study("r").recipe.race == Race(rule=1)
    assert "It goes by rule 1, with which it began" in shown(sweep("show", "r"))
    change_recipe(database, lambda recipe: recipe["race"].update(rule=9))
    refused = sweep("show", "r", code=1)
    assert refused.stderr.count("\n") == 1, refused.stderr
    assert "rule 9: this version of sweep knows rules 1 to 2" in refused.stderr


def change_recipe(database, change):
    """Changes the one recipe of a ledger, as another version would have written it."""
    with contextlib.closing(sqlite3.connect(database)) as raw:
        (text,) = raw.execute("SELECT recipe FROM studies").fetchone()
        recipe = json.loads(text)
        change(recipe)
        raw.execute("UPDATE studies SET recipe = ?", (json.dumps(recipe),))
        raw.commit()


def noise(draw, kind, shape):
    """Standardised noise [settings, seeds] with mean 0."""
    if kind == "skewed":
        return draw.exponential(size=shape) - 1.0
    if kind == "log-normal":
        return (np.exp(draw.normal(size=shape)) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)
    if kind == "now and then":
        return ((draw.random(shape) < 0.1) - 0.1) / 0.3
    return draw.normal(size=shape)


@pytest.mark.parametrize("studies", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_truly_best_is_among_those_left_in_95_of_100_studies(studies):
    """Skewed noise of unequal size, in part the seed's; the others are a little worse, or much. `score` is no loss, so
    that the best by its mean is the best on the scale on which it is judged."""
    draw, hits, used = np.random.default_rng(0), [], []
    kinds = ("normal", "skewed", "log-normal", "now and then")
    for study in range(studies):
        count = int(draw.integers(4, 40))
        gap = draw.exponential((0.5, 4.0)[study % 2], count)
        gap[0] = 0.0
        spread = np.exp(0.4 * draw.normal(size=(count, 1)))
        values = gap[:, None] + draw.normal(0, 1, 20) + spread * noise(draw, kinds[study % 4], (count, 20))
        left, prev, cost = np.arange(count), 0, 0
        for look, n in enumerate(looks(20), 1):
            cost, prev = cost + len(left) * (n - prev), n
            left = left[worse(values[left, :n], values[left, :n], look, count) < 0]
        hits.append(0 in left)
        used.append(cost / values.size)
    assert np.mean(hits) >= 0.95
    assert np.mean(used) < 0.75  # it drops somebody


def shown(result) -> str:
    return re.sub(r"\s+", " ", result.stdout)


def board(sweep, study):
    """A race's exported board, its numbers as such."""
    return pd.read_csv(io.StringIO(sweep("export", study, "--settings", "-o", "-").stdout))


def test_a_race_is_a_study_that_tells_who_left_and_why(sweep):
    out = sweep("race", *SPACE, "--seeds", "5", "--study", "r")
    assert out.returncode == 0, out.stderr
    assert "still in" in out.stderr
    left = board(sweep, "r")
    standing = left[left["left"].isna()]
    gone = left[left["left"].notna()]
    assert left["rank"].tolist() == [*range(1, 9)]
    assert standing["rank"].max() < gone["rank"].min()
    assert set(standing["tied"]) == {True}
    assert set(gone["tied"]) == {False}
    seeds = gone["left"].str.extract(r"after (\d+) seed")[0].astype(int)
    assert (gone["n"] == seeds).all()
    assert "A race of 8 settings over at most 5 seeds" in shown(sweep("show", "r"))
    said = json.loads(sweep("show", "r", "--json").stdout)
    assert said["settings"][-1]["left"].startswith("worse after")
    effect = shown(sweep("effect", "r", "lr"))
    assert "settings have unequal seeds: compared here on seeds 0 to 1, which all of them have" in effect
    assert "This was a race" in shown(sweep("importance", "r"))
    assert sweep("check", "r").returncode == 0
    sweep("grid", *SPACE, "--seeds", "2", "--study", "g")
    assert "r is a race" in shown(sweep("compare", "r", "g"))


def test_a_setting_that_diverged_stays_on_the_board(sweep):
    out = sweep("race", "--lr", "1e30,0.01", "--optimizer", "sgd", *FAST, "--seeds", "4", "--study", "r")
    assert out.returncode == 0, out.stderr
    left = board(sweep, "r").set_index("lr")["left"]
    assert left[1e30] == "diverged after 2 seeds"
    assert "one setting is left" in out.stderr


def test_a_race_has_the_same_bits_with_any_workers_and_after_an_interruption(sweep):
    whole = ["race", *SPACE, "--seeds", "5"]
    assert sweep(*whole, "--study", "a", "--jobs", "1").returncode == 0
    assert sweep(*whole, "--study", "b", "--jobs", "2", "--lanes", "1", "--max-trials", "7").returncode == 0
    assert sweep("resume", "b", "--max-trials", "18").returncode == 0
    assert sweep(*whole, "--study", "b").returncode == 0
    assert numbers(sweep, "a") == numbers(sweep, "b")
    again = sweep(*whole, "--study", "b")
    assert "trained 0" in again.stderr


def test_a_race_grows_in_seeds_and_settings(sweep):
    assert sweep("race", *SPACE, "--seeds", "3", "--study", "r").returncode == 0
    assert (
        sweep("race", "--lr", "0.1,0.03,0.01,0.001,0.0001", *SPACE[2:], "--seeds", "5", "--study", "r").returncode == 0
    )
    fresh = sweep("race", "--lr", "0.1,0.03,0.01,0.001,0.0001", *SPACE[2:], "--seeds", "5", "--study", "f")
    assert fresh.returncode == 0
    grown, new = (board(sweep, name).set_index(["lr", "beta1"]) for name in ("r", "f"))
    assert grown["left"].fillna("").to_dict() == new["left"].fillna("").to_dict()
    standing = new[new["left"].isna()]
    assert grown.loc[standing.index, "mean"].tolist() == standing["mean"].tolist()


def test_settings_are_drawn_once_and_more_of_them_begin_with_these(sweep):
    space = ["--lr", "1e-4:1e-1:log", *FAST, "--seeds", "3"]
    assert sweep("race", *space, "--draw", "4", "--study", "r").returncode == 0
    first = set(table(sweep, "r")["lr"])
    assert len(first) == 4
    assert sweep("race", *space, "--draw", "6", "--study", "r").returncode == 0
    assert first < set(table(sweep, "r")["lr"])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--lr", "0.1,0.01"], "a race compares settings over their seeds"),
        (["--lr", "0.1", "--seeds", "5"], "a race needs settings to compare"),
        (["--lr", "0.1,0.01", "--seeds", "5", "--margin", "-1"], "--margin -1"),
        (["--lr", "0.1,0.01", "--seeds", "5", "--sampler", "qmc"], "expected --draw N, too"),
        (["--lr", "1e-3:0.1", "--seeds", "5", "--draw", "4", "--sampler", "tpe"], "learns from results"),
        (["--lr", "1e-3:0.1", "--seeds", "5"], "n"),
    ],
)
def test_what_cannot_be_raced_is_one_line(sweep, flags, said):
    out = sweep("race", *flags, code=2)
    assert out.stderr.count("\n") == 1, out.stderr
    assert said in out.stderr


def test_where_none_is_left_no_one_is_said_to_be_still_in(sweep):
    out = sweep("race", "--lr", "1e20,1e30", "--optimizer", "sgd", *FAST, "--seeds", "3", "--study", "gone").stdout
    assert "no setting is left" in " ".join(out.split())
    assert "still in cannot" not in " ".join(out.split())


def test_a_grid_is_no_race_and_no_race_a_grid(sweep):
    assert sweep("race", "--lr", "0.1,0.01", *FAST, "--seeds", "3", "--study", "r").returncode == 0
    refused = sweep("grid", "--lr", "0.1,0.01", *FAST, "--seeds", "3", "--study", "r", code=2)
    assert "race: true there, not given here" in refused.stderr
    refused = sweep("race", "--lr", "0.1,0.01", *FAST, "--seeds", "3", "--margin", "0.5", "--study", "r", code=2)
    assert "race.margin: not given there, 0.5 here" in refused.stderr  # it is chosen before there are results


@pytest.mark.long
def test_a_race_that_is_killed_goes_on_to_the_same_bits(sweep, tmp_path):
    whole = ["race", *SPACE[:4], *FAST[2:], "--epochs", "20", "--seeds", "8"]
    assert sweep(*whole, "--study", "whole").returncode == 0
    rows = query(tmp_path / "results" / "sweep.db", "SELECT count(*) FROM trials")[0][0]
    other = tmp_path / "other"
    other.mkdir()
    database = other / "results" / "sweep.db"

    def far(share, process):
        return finished(database) >= share * rows or process.poll() is not None

    for share in (0.2, 0.5, 0.8):
        process = start(other, *whole, "--study", "whole")
        wait_for(partial(far, share, process))
        process.send_signal(signal.SIGKILL)
        process.wait()
    again = runner(other)
    assert again(*whole, "--study", "whole").returncode == 0
    assert numbers(sweep, "whole") == numbers(again, "whole")
    with Ledger(other / "results") as ledger:
        assert ledger.counts(ledger.study("whole"))["complete"] == rows
