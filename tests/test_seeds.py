"""Which seeds selected and which are fresh: published figures, shuffled and harder tables, and what only looks like
it.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sweep.analysis import rank_settings
from sweep.analysis.comparing import _check, _expect_best
from sweep.analysis.seeds import seed_roles
from sweep.errors import UsageError
from sweep.recipe import of_unit
from tests.conftest import SHARED
from tests.tables import table

DEEPOBS = SHARED / "hpo-tables" / "deepobs-cifar10_3c3d.csv"


def runs(rows: list[tuple[int, int]], where: str = ""):
    """A study of (x, seed) pairs, one setting an x; smaller x are better. where: a condition on x."""
    frame = pd.DataFrame(rows, columns=["x", "seed"])
    frame["val_loss"] = 1.0 + frame["x"]
    frame["setting"] = frame["x"]
    whole = table(frame, ["x"])
    return replace(whole, trials=whole.trials.query(where), unfiltered=whole.trials) if where else whole


def grid(settings: int, seeds: int) -> list[tuple[int, int]]:
    return [(x, seed) for x in range(settings) for seed in range(seeds)]


def again(settings, seeds) -> list[tuple[int, int]]:
    return [(x, seed) for x in settings for seed in seeds]


def deepobs():
    if not DEEPOBS.exists():
        pytest.skip("the published table is not here")
    frame = pd.read_csv(DEEPOBS)
    frame["lr"] = [float(f"{lr:.9g}") for lr in frame["lr"]]
    frame["setting"] = frame.groupby(["optimizer", "lr"]).ngroup()
    return replace(table(frame, ["optimizer", "lr"], "final_test_acc"), direction="maximize")


def test_the_published_fresh_figures_come_out():
    study = deepobs()
    roles = seed_roles(study)
    assert (roles.selecting, roles.fresh, len(roles.chosen)) == ((42,), tuple(range(43, 52)), 3)
    by = roles.judge(study).complete.groupby("optimizer")["final_test_acc"]
    found = {name: (round(values.mean(), 4), round(values.std(), 4)) for name, values in by}
    assert found == {
        "AdamOptimizer": (0.8472, 0.0036),
        "MomentumOptimizer": (0.8438, 0.0067),
        "GradientDescentOptimizer": (0.8369, 0.0129),
    }
    assert len(roles.select(study).trials) == 108


def test_the_published_board_ranks_the_three_on_fresh_seeds_with_the_selecting_score_beside():
    board = rank_settings(deepobs())
    top = board.rows.head(3)
    assert top["optimizer"].tolist() == ["AdamOptimizer", "MomentumOptimizer", "GradientDescentOptimizer"]
    assert top["mean"].round(4).tolist() == [0.8472, 0.8438, 0.8369]
    assert top["sd"].round(4).tolist() == [0.0036, 0.0067, 0.0129]
    assert top["selected"].round(4).tolist() == [0.8504, 0.8469, 0.8382]
    assert (len(board.rows), board.rows["n"].tolist()[:5], board.tied) == (108, [9, 9, 9, 1, 1], 3)


RECOGNISED = {
    "one selecting seed": grid(10, 1) + again([0, 1, 4], range(1, 6)),
    "two selecting seeds": grid(10, 2) + again([0, 1, 4], range(2, 6)),
    "each its own fresh seeds": grid(10, 1) + again([0], [1, 2, 3]) + again([5], [7, 8, 9]),
    "a selecting trial lost": grid(30, 1)[:-1] + again([0], range(1, 6)),
    "one fresh seed, of the best": grid(10, 1) + again([0, 1], [1]),
    "far seeds": grid(10, 1) + again([0, 3], [2**62, -5]),
}


@pytest.mark.parametrize("rows", RECOGNISED.values(), ids=RECOGNISED)
def test_the_chosen_and_their_fresh_seeds_are_recognised_in_any_order_of_rows(rows):
    draw = np.random.default_rng(0)
    selecting = {seed for x, seed in rows if x == 9}
    for _ in range(3):
        study = runs([rows[place] for place in draw.permutation(len(rows))])
        roles = seed_roles(study)
        assert roles is not None
        assert set(roles.selecting) == selecting
        assert set(roles.fresh) == {seed for _, seed in rows} - selecting
        chosen = study.trials.loc[study.trials["setting"].isin(roles.chosen), "x"]
        assert set(chosen) == {x for x, seed in rows if seed not in selecting}


OTHERWISE = {
    "all share their seeds": grid(10, 3),
    "one setting": grid(1, 10),
    "an interrupted grid, setting by setting": grid(10, 5)[:-2],
    "an interrupted grid, seed by seed": grid(10, 2) + again([0, 4, 9], [2]),
    "some lack seeds": grid(7, 3) + [(x, seed) for x in (7, 8, 9) for seed in (0, 1)],
    "no common seed": [(x, 100 + x) for x in range(10)],
    "half of them again": grid(4, 1) + again([0, 1], range(1, 9)),
    "others with other seeds": grid(30, 1) + again([30], range(1, 9)),
    "a race, seed by seed": [(x, seed) for x in range(10) for seed in range(10 - x)],
}


@pytest.mark.parametrize("rows", OTHERWISE.values(), ids=OTHERWISE)
def test_what_only_looks_like_it_is_left_alone(rows):
    assert seed_roles(runs(rows)) is None


def test_a_condition_does_not_hide_which_seeds_selected():
    rows = grid(10, 1) + again([0, 1], range(1, 6))
    few = runs(rows, where="x < 2")
    roles = seed_roles(few)
    assert roles.selecting == (0,)
    assert len(roles.judge(few).trials) == 10
    assert seed_roles(runs(rows, where="seed > 0")) is None
    assert seed_roles(runs(rows, where="x > 1")) is None


def test_pruned_and_diverged_trials_count_as_had():
    """A search that prunes by Wilcoxon's test records every seed of every setting; so does a grid that waits."""
    study = runs(grid(10, 8))
    gone = (study.trials["x"] > 2) & (study.trials["seed"] > 4)
    for state in ("pruned", "waiting", "diverged"):
        trials = study.trials.assign(state=np.where(gone, state, "complete"))
        trials.loc[gone, "val_loss"] = np.nan
        assert seed_roles(replace(study, trials=trials)) is None


def test_budgets_of_a_table_run_again_draw_from_what_selected():
    study = runs(grid(10, 1) + again([0, 1, 4], range(1, 6)))
    recipe = SimpleNamespace(search=None)
    assert _expect_best(SimpleNamespace(recipe=recipe), study, [1]).tolist() == [pytest.approx(5.5)]


def test_an_accuracy_in_percent_is_not_compared_with_a_share():
    tables = []
    for name, values in (("share", [0.5, 0.9]), ("percent", [50.0, 90.0])):
        frame = pd.DataFrame({"x": [0, 1], "seed": 0, "val_accuracy": values})
        metric = of_unit("val_accuracy", values)
        tables.append(replace(table(frame, ["x"], "val_accuracy"), metric=metric, imported=True, name=name))
    studies = [SimpleNamespace(name=one.name, recipe=None, data=None) for one in tables]
    with pytest.raises(UsageError, match="the unit of the accuracy a share of 1 there, in percent here"):
        _check(studies[0], tables[0], studies[1], tables[1])
