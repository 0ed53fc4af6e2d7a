"""Pictures: their numbers against pandas and brute force, their files, their form in the terminal."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import altair as alt
import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sweep.analysis import StudyTable, effects, pictures, study_table
from sweep.analysis.importance import importance
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.report.answers import importance_sentences
from sweep.report.plots import THEMES, chart
from sweep.report.plots.base import CROSS_SHAPE
from sweep.report.terminal import terminal
from sweep.report.terminal.rows import parallel
from tests.conftest import runner
from tests.tables import grid
from tests.thin import thin

KINDS = ("curves", "isolation", "heatmap", "parallel", "effect", "importance", "budget", "pareto")
GRID = ("--lr", "0.1,0.01,1e6", "--batch-norm", "on,off", "--optimizer", "sgd", "--epochs", 3, "--seeds", 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small study that was really trained, a third of it diverged."""
    results = tmp_path_factory.mktemp("results")
    runner(results)("grid", *GRID, "--study", "small", "--results", results)
    return results


@pytest.fixture(scope="module")
def study(folder) -> tuple[StudyTable, pd.DataFrame]:
    with Ledger(folder) as ledger:
        found = ledger.study("small")
        return study_table(ledger, found), ledger.epochs(found)


def table_of(
    values: dict[str, list], metric: list[float], direction: str = "minimize", states=None, seeds=None
) -> StudyTable:
    """A study that nobody trained."""
    n = len(metric)
    frame = pd.DataFrame(
        {
            "number": range(n),
            "seed": seeds or [0] * n,
            "state": states or ["complete"] * n,
            "reason": None,
            "epochs": 5,
            "val_loss": metric,
            "seconds": np.arange(n) + 1.0,
        }
    )
    frame = frame.assign(**{name: pd.Series(column, dtype=object) for name, column in values.items()})
    frame["setting"] = frame.groupby(list(values), sort=False, dropna=False).ngroup()
    return StudyTable("made", frame, "val_loss", direction, list(values), {"loss": "cross_entropy"})


def data(spec: dict, *columns: str) -> pd.DataFrame:
    """The rows of a specification that have these columns."""
    found = [pd.DataFrame(rows) for rows in spec["datasets"].values() if rows and set(columns) <= set(rows[0])]
    return pd.concat(found, ignore_index=True).drop_duplicates()


# Numbers


def test_curves_are_means_over_seeds_and_stop_where_a_seed_stops(study):
    table, epochs = study
    spec = chart(pictures.curves_picture(table, epochs))
    drawn = data(spec, "epoch", "low", "rank")
    trials = table.trials.set_index("number")
    merged = epochs.assign(setting=epochs["trial"].map(trials["setting"]))
    means = merged.groupby(["setting", "epoch"])["val_loss"].agg(["mean", "min", "max", "count"])
    best = drawn[drawn["rank"] == 1].set_index("epoch").sort_index()
    final = table.complete.groupby("setting")["val_loss"].mean()
    want = means.loc[final.idxmin()]
    assert best["mean"].to_numpy() == pytest.approx(want["mean"].to_numpy())
    assert best["low"].to_numpy() == pytest.approx(want["min"].to_numpy())
    assert best["high"].to_numpy() == pytest.approx(want["max"].to_numpy())
    lines = set(drawn["setting"])
    for setting, rows in drawn.groupby("setting"):  # every mark is of all seeds
        assert (means.loc[setting].loc[rows["epoch"], "count"] == 2).all()
    hurt = table.trials.loc[table.trials["state"] == "diverged", "setting"]
    assert not lines & set(hurt) or drawn.groupby("setting")["epoch"].max().loc[list(lines & set(hurt))].max() < 3


def test_isolation_marks_the_best_mean_of_each_value_and_shows_the_diverged(study):
    table, _ = study
    picture = pictures.isolation_picture(table, names=["lr"])
    means = table.complete.groupby(["lr", "batch_norm"])["val_loss"].mean()
    want = means.groupby("lr").min()
    marked = picture.marks[picture.marks["best"]].set_index("x")["mean"]
    assert marked.to_dict() == pytest.approx(want.to_dict())
    assert picture.more["buckets"].set_index("bucket").loc["1e+06", "diverged"] == 2
    spec = chart(picture)
    assert len(data(spec, "label", "state", "diverged")) <= len(picture.marks)
    assert any(row.get("text") == "2 diverged" for rows in spec["datasets"].values() for row in rows)


def test_heat_map_cells_are_the_best_setting_mean_over_seeds():
    lr, beta, hidden = [0.1, 0.01], [0.8, 0.9], [8, 16]
    grid = [(a, b, h, s) for a, b, h in itertools.product(lr, beta, hidden) for s in (0, 1)]
    rng = np.random.default_rng(0)
    metric = rng.uniform(1, 2, len(grid)).tolist()
    states = ["complete"] * len(grid)
    metric[0], states[0] = 0.001, "diverged"  # the luckiest trial's setting lost a seed
    metric[1] = 0.0001
    columns = {"lr": [g[0] for g in grid], "beta1": [g[1] for g in grid], "hidden": [g[2] for g in grid]}
    table = table_of(columns, metric, states=states, seeds=[g[3] for g in grid])
    picture = pictures.heatmap_picture(table, names=["lr", "beta1"])
    frame = table.trials.assign(
        lost=table.trials["state"].eq("diverged").groupby(table.trials["setting"]).transform("any")
    )
    want = frame[~frame["lost"]].groupby(["lr", "beta1", "hidden"])["val_loss"].mean().groupby(["lr", "beta1"]).min()
    drawn = data(chart(picture), "x", "y", "value").set_index(["x", "y"])["value"]
    assert {(float(x), float(y)): value for (x, y), value in drawn.items()} == pytest.approx(want.to_dict())
    best = picture.marks[picture.marks["best"]]
    assert best["value"].tolist() == pytest.approx([want.min()])
    assert picture.marks["diverged"].sum() == 1
    assert "× marks 1 cell" in picture.said


def test_expected_best_against_the_published_numbers():
    table = table_of({"lr": [1, 2, 3]}, [0.7, 0.8, 0.9], "maximize")
    marks = pictures.budget_picture(table).marks
    assert marks["expected"].tolist() == pytest.approx([0.8, 0.8666667, 0.9])


def test_the_band_of_the_budget_is_where_eighty_of_hundred_draws_fall():
    values = np.random.default_rng(1).normal(size=7) + 5
    marks = pictures.budget_picture(table_of({"lr": list(range(7))}, values.tolist())).marks
    for row in marks.itertuples():
        draws = sorted(min(draw) for draw in itertools.combinations(values, int(row.k)))
        for end, share in ((row.low, 0.1), (row.high, 0.9)):
            assert end == pytest.approx(draws[math.ceil(share * len(draws) - 1e-9) - 1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=30))
def test_the_front_is_what_none_beats_in_both(points):
    table = table_of({"hidden": list(range(len(points)))}, [float(b) for _, b in points])
    table.trials["seconds"] = [float(a) for a, _ in points]
    marks = pictures.pareto_picture(table, names=["seconds"]).marks
    front = {(row.x, row.mean) for row in marks[marks["front"]].itertuples()}
    want = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    assert front == want


def test_the_front_of_a_search_is_of_its_own_objectives():
    table = table_of({"hidden": [8, 16, 32]}, [0.3, 0.2, 0.1])
    table.trials["train_loss"] = [0.1, 0.3, 0.2]
    for way, front in (("minimize", {0.3, 0.1}), ("maximize", {0.2, 0.1})):
        aimed = replace(table, objectives=(("val_loss", "minimize"), ("train_loss", way)))
        picture = pictures.pareto_picture(aimed, parameters=lambda _: 1)
        assert picture.x.title.startswith("training loss")
        assert set(picture.marks.loc[picture.marks["front"], "mean"]) == front
    assert pictures.pareto_picture(table, parameters=lambda _: 1).x.title.startswith("parameters")


def test_effect_draws_what_the_analysis_says(study):
    table, _ = study
    picture = pictures.effect_picture(table, names=["batch_norm"])
    (want,) = effects(table, ["batch_norm"])
    row = picture.more["means"].iloc[0]
    assert (row["mean"], row["n"], row["verdict"]) == (want.mean, want.first.n, want.verdict)
    means = table.complete.groupby(["lr", "batch_norm"])["val_loss"].mean().unstack()
    difference = (means[True] - means[False]).dropna()
    assert sorted(picture.marks["x"]) == pytest.approx(sorted(difference))
    assert row["mean"] == pytest.approx(difference.mean())


def test_parallel_puts_the_best_on_top_and_hides_nobody(study):
    table, _ = study
    picture = pictures.parallel_picture(table)
    last = picture.marks[picture.marks["axis"] == picture.x.values[-1]].set_index("setting")
    assert last["at"].idxmax() == last["rank"].idxmin()
    assert (last.loc[last["state"] == "diverged", "at"] == 0).all()
    assert len(last) == table.trials["setting"].nunique()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_number_without_room_between_parallel_axes_loses_digits_and_not_its_exponent(width):
    values = [2.72773e-05, 3.14159e-06, 0.0001234567, 1234567.0]
    table = table_of(dict.fromkeys("abcdef", values), [0.1, 0.2, 0.3, 0.4])
    text = io.StringIO()
    Console(file=text, width=width).print(parallel(pictures.parallel_picture(table), width))
    shown = [float(word) for word in re.findall(r"(?<!\S)\d[\d.e+-]*(?!\S)", text.getvalue())]
    assert len(shown) > 24
    known = [*values, 0.1, 0.2, 0.3, 0.4, 1, 2, 3, 4]
    assert all(any(math.isclose(one, value, rel_tol=0.2) for value in known) for one in shown), shown


@pytest.mark.long
def test_a_study_of_ten_thousand_is_drawn_in_part_and_says_so():
    n = 10_000
    rng = np.random.default_rng(2)
    lr = np.exp(rng.uniform(-9, -1, n))
    loss = (np.log(lr) + 5) ** 2 + rng.exponential(size=n) + 0.1
    states = np.where(lr > 0.3, "diverged", "complete").tolist()
    table = table_of({"lr": lr.tolist(), "hidden": rng.integers(8, 64, n).tolist()}, loss.tolist(), states=states)
    epochs = pd.DataFrame({"trial": np.repeat(np.arange(n), 3), "epoch": np.tile([1, 2, 3], n)})
    epochs["val_loss"] = np.repeat(loss, 3) * np.tile([3, 2, 1], n)
    for make in (
        lambda: pictures.curves_picture(table, epochs),
        lambda: pictures.isolation_picture(table),
        lambda: pictures.parallel_picture(table),
        lambda: pictures.pareto_picture(table, names=["seconds"]),
    ):
        picture = make()
        assert len(picture.marks) < 5000
        assert "settings are" in " ".join(picture.notes)
        chart(picture)
    isolation = pictures.isolation_picture(table, names=["lr"])
    best = isolation.marks[isolation.marks["best"]]["mean"].min()
    assert best == table.complete["val_loss"].min()  # thinned, but never the best


def test_seeds_that_diverged_take_their_setting_out_of_every_best():
    table = table_of(
        {"lr": [1, 1, 2, 2]},
        [0.01, np.nan, 1.0, 1.2],
        states=["complete", "diverged", "complete", "complete"],
        seeds=[0, 1, 0, 1],
    )
    marks = pictures.isolation_picture(table).marks
    assert marks[marks["best"]]["x"].tolist() == [2.0]
    assert marks["state"].tolist() == ["diverged", "complete"]
    assert pictures.budget_picture(table).more["seen"]["best"].tolist() == pytest.approx([1.1, 1.1])


# Colours


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_read_stands_out_from_the_paper(theme):
    config = THEMES[theme]
    paper = luminance(config["background"])

    def contrast(colour: str) -> float:
        a, b = sorted([luminance(colour), paper])
        return (b + 0.05) / (a + 0.05)

    words = [
        config["text"]["color"],
        config["axis"]["labelColor"],
        *config["range"]["category"],
        config["style"]["bad"]["color"],
    ]
    assert min(map(contrast, words)) >= 4.5
    ramp = [luminance(colour) for colour in config["range"]["ramp"]]
    assert ramp in (sorted(ramp), sorted(ramp, reverse=True))  # one direction, so it reads in grey


# Through the command line


@pytest.mark.long
def test_every_kind_as_every_file_and_in_the_terminal(folder, tmp_path):
    """All of it in one real process, since most of its time is starting."""
    script = (
        "import sys, json, contextlib, io\n"
        "from sweep.cli import app\n"
        "for args in json.loads(sys.argv[1]):\n"
        "    out = io.StringIO()\n"
        "    with contextlib.redirect_stdout(out):\n"
        "        app(args, prog_name='sweep', standalone_mode=False)\n"
        "    print('=====', out.getvalue(), sep='\\n', end='')\n"
    )
    files = [["plot", "small", kind, "-o", f"{kind}.{suffix}"] for kind in KINDS for suffix in ("svg", "png", "html")]
    words = [["plot", "small", kind] for kind in KINDS]
    for args in files + words:
        args += ["--where", "lr<1"] * (args[2] == "importance")  # four settings of a whole grid
    env = os.environ | {"SWEEP_RESULTS": str(folder), "COLUMNS": "80", "TERM": "dumb"}
    command = [sys.executable, "-c", script, json.dumps(files + words)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split("=====\n")[1:]
    for kind in KINDS:
        svg = (tmp_path / f"{kind}.svg").read_text()
        assert svg.startswith("<svg")
        assert "NaN" not in svg
        assert "small" in svg  # the ground line
        assert "diverged" in svg or kind == "importance", kind
        assert (tmp_path / f"{kind}.png").read_bytes().startswith(b"\x89PNG")
        page = (tmp_path / f"{kind}.html").read_text()
        assert "Content-Security-Policy" in page
        assert not re.search(r"""(?:src|href)=["']?https?:""", page)
    for kind, text in zip(KINDS, parts[len(files) :], strict=True):
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= 80, kind
        trials = (
            "8 trials of 4 settings, 2 seeds"
            if kind == "importance"
            else "12 trials of 6 settings, 2 seeds · 4 diverged"
        )
        assert f"small · digits · {trials}" in " ".join(text.split()), kind


def test_json_of_a_picture_is_its_numbers(sweep, folder):
    told = json.loads(sweep("plot", "small", "heatmap", "lr", "batch_norm", "--json", "--results", folder).stdout)
    assert {(row["x"], row["y"]) for row in told["marks"]} == set(
        itertools.product(("0.01", "0.1", "1e+06"), ("on", "off"))
    )
    assert [row["value"] for row in told["marks"] if row["x"] == "1e+06"] == [None, None]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("curvs",), "did you mean 'curves'?"),
        (("pie",), "choose from curves, isolation, heatmap, parallel, effect, importance, budget, look, surface, "),
        (("isolation", "bacth_norm"), "did you mean 'batch_norm'?"),
        (("isolation", "hidden"), "hidden is 64 in every trial; swept: lr, batch_norm"),
        (("heatmap", "lr", "lr"), "the same hyperparameter twice"),
        (("heatmap", "lr", "batch_norm", "seed"), "unknown hyperparameter 'seed'"),
        (("curves", "lr"), "curves draws all hyperparameters; given lr"),
        (("pareto", "test_loss"), "nothing is selected on test data"),
        (("curves", "--metric", "test_loss"), "nothing is selected on test data"),
        (("curves", "-o", "x.gif"), "unknown suffix '.gif'"),
        (("curves", "-o", "x.svg", "--theme", "drak"), "did you mean 'dark'?"),
        (("curves", "--where", "lr=7"), "no trial is finished (that meets the condition), so nothing is drawn"),
        (("budget", "--where", "lr=1e6"), "no setting is complete"),
    ],
)
def test_one_clear_line_for_what_cannot_be_drawn(sweep, folder, args, says):
    told = sweep("plot", "small", *args, "--results", folder, code=2)
    assert says in told.stderr
    assert told.stderr.count("\n") == 1


@pytest.mark.long
def test_one_epoch_one_seed_one_hyperparameter(sweep):
    sweep("grid", "--lr", "0.1,0.01", "--epochs", 1, "--study", "one")
    assert "the study comes first: sweep plot one isolation" in sweep("plot", "isolation", "one", code=2).stderr
    for kind in ("curves", "isolation", "parallel", "budget", "pareto"):
        sweep("plot", "one", kind, "-o", f"{kind}.svg")
    assert (
        "heatmap needs 2 swept hyperparameters; study 'one' sweeps lr" in sweep("plot", "one", "heatmap", code=2).stderr
    )


def test_a_hyperparameter_may_have_any_name():
    table = table_of({"mean": [1, 2], "<script>": ["a", "</script>"], "n": [3, 3], "number": [1, 2]}, [0.1, 0.2])
    table = StudyTable(
        "made",
        table.trials.drop(columns="number").assign(number=[0, 1]),
        "val_loss",
        "minimize",
        ["mean", "<script>", "n"],
        {},
    )
    for make in (pictures.isolation_picture, pictures.parallel_picture):
        chart(make(table))
    picture = pictures.heatmap_picture(table, names=["mean", "<script>"])
    assert sorted(picture.marks["value"]) == [0.1, 0.2]


def test_nothing_swept_is_said():
    table = table_of({"lr": [1]}, [0.1])
    bare = StudyTable("made", table.trials, "val_loss", "minimize", [], {})
    with pytest.raises(UsageError, match="nothing is swept"):
        pictures.parallel_picture(bare)


# What may not mislead


def every_kind(table: StudyTable, epochs: pd.DataFrame | None = None) -> dict[str, pictures.Picture]:
    """Every picture of a study; without epochs no curves."""
    made = {
        "isolation": pictures.isolation_picture(table),
        "heatmap": pictures.heatmap_picture(table),
        "parallel": pictures.parallel_picture(table),
        "effect": pictures.effect_picture(table),
        "budget": pictures.budget_picture(table),
        "pareto": pictures.pareto_picture(table, "", ["lr"]),
    }
    return made | ({"curves": pictures.curves_picture(table, epochs)} if epochs is not None else {})


def drawn(picture: pictures.Picture) -> str:
    """A picture in the terminal, without colour."""
    console = Console(width=100, no_color=True, file=io.StringIO())
    with console.capture() as shown:
        console.print(terminal(picture, 100))
    return shown.get()


def squares(value, seeds=1, lrs=(0.001, 0.01, 0.1, 1.0), metric="val_loss") -> StudyTable:
    """A grid of lr and hidden; value(lr, hidden, seed), NaN where it diverged."""
    made = grid(
        {"lr": list(lrs), "hidden": [16, 32, 64]}, lambda s, seed: value(s["lr"], s["hidden"], seed), seeds, metric
    )
    return replace(made, trials=made.trials.assign(reason=None, seconds=1.0))


HUGE = squares(lambda lr, hidden, _: 1e30 * hidden if lr == 1 else lr * hidden)
LOST = squares(lambda lr, hidden, seed: math.nan if lr == 1 and hidden > 16 else 0.1 + lr * hidden + 0.01 * seed, 2)


def test_numbers_far_beyond_the_rest_do_not_make_the_axis():
    """Three of twelve settings end at 1e31: the axis is of the others, and a note says how many are not on it."""
    for kind, picture in every_kind(HUGE).items():
        json.dumps(chart(picture), allow_nan=False)
        assert drawn(picture)
        far = [note for note in picture.notes if "beyond the axis, at its edge (up to 6.4e+31)" in note]
        assert len(far) == 1, kind
        axis = picture.x if kind == "effect" else picture.y
        if kind == "heatmap":
            assert picture.more["scale"]["high"].tolist() == [6.4]
        else:
            assert max(axis.domain) < 100, kind
    assert far[0].startswith("3 settings lie")
    usual = every_kind(squares(lambda lr, hidden, _: lr * hidden))
    assert not [note for picture in usual.values() for note in picture.notes if "beyond" in note]


@pytest.mark.long
def test_numbers_that_are_all_huge_are_on_the_axis():
    for factor in (1e27, 1e-27, 1e300, 5e-324):
        for kind, picture in every_kind(squares(lambda lr, hidden, _, factor=factor: factor * lr * hidden)).items():
            json.dumps(chart(picture), allow_nan=False)
            assert not [note for note in picture.notes if "beyond" in note], kind
    low, high = pictures.isolation_picture(squares(lambda *_: 1e30)).y.domain  # a single value
    assert low < 1e30 < high


@pytest.mark.long
@given(
    st.lists(st.one_of(st.floats(1e-30, 1e30), st.floats(0, 5)), min_size=12, max_size=12),
    st.sampled_from(["val_loss", "val_accuracy"]),
)
@settings(max_examples=60, deadline=None)
def test_any_numbers_make_an_axis_that_has_the_best(values, metric):
    values = [min(value, 1.0) if metric == "val_accuracy" else value for value in values]
    left = iter(values)
    table = squares(lambda *_: next(left), metric=metric)
    best = min(values) if metric == "val_loss" else max(values)
    for picture in (pictures.isolation_picture(table), pictures.pareto_picture(table, "", ["lr"])):
        low, high = picture.y.domain
        assert 0 <= low <= best <= high
        assert low < high
        assert metric == "val_loss" or high <= 1


def test_an_accuracy_axis_ends_at_0_and_100_percent():
    for value in (lambda lr, *_: 1 - lr / 2000, lambda lr, hidden, _: lr / 2000 if hidden > 16 else 0.0):
        for kind, picture in every_kind(squares(value, metric="val_accuracy")).items():
            low, high = (picture.x if kind == "effect" else picture.y).domain or (0.0, 1.0)
            assert (-1 if kind == "effect" else 0) <= low < high <= 1, kind


def test_divergence_is_seen_in_every_picture_by_one_mark():
    for kind, picture in every_kind(LOST).items():
        spec = json.dumps(chart(picture), ensure_ascii=False)
        assert pictures.CROSS in drawn(picture), kind
        assert CROSS_SHAPE in spec or pictures.CROSS in spec, kind
    others = [
        path for path in Path(pictures.__file__).parents[2].rglob("*.py") if "✕" in path.read_text(encoding="utf-8")
    ]
    assert others == []
    lost = pictures.effect_picture(LOST, "", ["lr"]).more["lost"]
    assert lost[["left", "right"]].sum().tolist() == [0, 2]  # at lr 1 two of three cells: worse
    assert pictures.budget_picture(LOST).more["lost"]["k"].tolist() == [11, 12]
    assert pictures.pareto_picture(LOST, "", ["lr"]).more["lost"]["x"].tolist() == [1.0, 1.0]
    small = chart(pictures.heatmap_picture(LOST), 120)
    assert pictures.CROSS in json.dumps(small, ensure_ascii=False)


def test_one_of_anything_is_singular():
    one = squares(
        lambda lr, hidden, _: (
            math.nan if lr == 1 and hidden == 16 else 1e20 if lr == 1 and hidden == 32 else lr * hidden
        )
    )
    for kind, picture in every_kind(one).items():
        said = f"{picture.said} {drawn(picture)}"
        assert not re.search(
            r"(?<![\d.,])1 (settings|cells|pairs|dots|trials|seeds|comparisons|diverged settings|further)", said
        ), kind
    assert "1 setting lies beyond the axis" in pictures.isolation_picture(one).said
    assert "× 1 diverged setting counts as the worst" in pictures.budget_picture(one).said


def test_a_condition_is_in_the_title_of_the_heat_map(sweep, folder):
    told = sweep("plot", "small", "heatmap", "lr", "batch_norm", "--where", "lr<1", "--results", folder).stdout
    assert told.startswith("Validation loss by lr and batch_norm, where lr<1\n")
    assert "where lr<1 · " in sweep("plot", "small", "isolation", "--where", "lr<1", "--results", folder).stdout
    fixed = sweep("plot", "small", "isolation", "lr", "--where", "batch_norm=on", "--results", folder).stdout
    assert "of the rest" not in fixed  # the condition leaves batch_norm one value


def test_the_effect_has_a_legend_of_what_is_there():
    spec = json.dumps(chart(pictures.effect_picture(LOST)))
    for word in ("pair, better", "pair, worse or equal", "mean of pairs", "pair in which one side diverged"):
        assert word in spec
    assert "one side diverged" not in json.dumps(chart(pictures.effect_picture(HUGE)))
    assert "dot: one cell; ◆: mean, bar: 95% interval; │: no difference" in " ".join(
        drawn(pictures.effect_picture(HUGE)).split()
    )


def test_selecting_and_fresh_seeds_are_not_averaged_together():
    """Twelve settings on seed 0, of which two were run again on seeds 1 to 3, where they are far worse."""
    whole = squares(lambda lr, hidden, _: lr * hidden)
    again = squares(lambda *where: 50.0 + where[-1], 4)
    chosen = again.trials[(again.trials["setting"] < 2) & (again.trials["seed"] > 0)]
    both = pd.concat([whole.trials, chosen], ignore_index=True)
    both = both.assign(number=range(len(both)))
    mixed = replace(whole, trials=both)
    epochs = pd.DataFrame({"trial": both["number"], "epoch": 1, "val_loss": both["val_loss"]})
    alone, told = every_kind(whole, epochs.head(12)), every_kind(mixed, epochs)
    note = "all settings on seed 0 alone, which selected; 2 settings were run again on seeds 1 to 3, not drawn here"
    for kind, picture in told.items():
        assert picture.notes[-1] == note, kind
        pd.testing.assert_frame_equal(picture.marks, alone[kind].marks, obj=kind)
    found = importance(mixed)
    pd.testing.assert_frame_equal(found.shares, importance(whole).shares)
    assert importance_sentences(found)[0] == (
        "Over seed 0, which all settings share; 2 settings were run again on seeds 1 to 3, left out here."
    )
    assert pictures.importance_picture(mixed).notes == (note,)


@pytest.mark.parametrize("width", thin([840, 256], 2))
def test_charts_are_what_vega_lites_schema_wants(width):
    """Which no chart is checked against while it is made: that takes longer than all else."""
    study = squares(lambda lr, hidden, seed: hidden + seed if lr < 1 else math.nan, seeds=2)
    whole = squares(lambda lr, hidden, seed: hidden * lr + seed, seeds=2)
    made = [
        pictures.isolation_picture(study),
        pictures.heatmap_picture(study),
        pictures.parallel_picture(study),
        pictures.effect_picture(study),
        pictures.importance_picture(whole),
        pictures.budget_picture(study),
        pictures.pareto_picture(study),
    ]
    for picture in made:
        spec = chart(picture, width)
        assert alt.Chart.from_dict(spec, validate=True).to_dict(validate=True)["layer"] == spec["layer"]
    with pytest.raises(jsonschema.ValidationError):
        alt.Chart.from_dict(spec | {"layer": 1}, validate=True)
