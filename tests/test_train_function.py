"""A user's own Python function: from flags to every answer, failures, timeouts, kills, resume, code that changes."""

from __future__ import annotations

import json
import math
import os
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.recipe import load_recipe, recipe_from_dict, recipe_of
from sweep.space import Trial, setting_key
from sweep.trainers.reports import Misreport, Reports
from tests.own import processes_in, write
from tests.processes import alive, family, kill, numbers, query, start, table, wait_for
from tests.test_cli_errors import has, refused  # noqa: F401


@pytest.fixture(autouse=True)
def _files(tmp_path):
    write(tmp_path)


def states(folder, study: str) -> dict[int, tuple[str, str | None]]:
    rows = query(
        folder / "results" / "sweep.db",
        f"SELECT number, state, reason FROM trials WHERE study = (SELECT id FROM studies WHERE name = '{study}')",
    )
    return {number: (state, reason) for number, state, reason in rows}


@pytest.mark.long
def test_a_grid_with_every_answer_downstream(sweep, tmp_path):
    grid = ("--train", "mine.py:train", "--set", "x=0.1,0.3,0.9", "--set", "kind=a,b", "--seeds", "6")
    sweep("grid", *grid, "--study", "own")
    rows = table(sweep, "own", "--test")
    assert len(rows) == 36
    assert {*rows["state"]} == {"complete"}
    assert {*zip(rows["x"], rows["kind"], strict=True)} == {(x, k) for x in ("0.1", "0.3", "0.9") for k in "ab"}
    # The last epoch's own formula, with Python's own generator seeded by the trial's seed.
    import random

    for row in rows.itertuples():
        drawn = random.Random(int(row.seed))
        noise = [drawn.random() for _ in range(4)][-1]
        x = float(row.x)
        assert float(row.val_loss) == (x - 0.3) ** 2 + noise / 10 + 1 / 4
        assert float(row.val_accuracy) == 1 - x / 4
    said = json.loads(sweep("show", "own", "--json").stdout)
    assert said["settings"][0]["x"] == 0.3
    assert "0.9 is worse" in (text := sweep("effect", "own", "x").stdout) or "better" in text
    assert "x" in sweep("importance", "own").stdout
    sweep("check", "own")
    sweep("report", "own", "-o", tmp_path / "own.html")
    sweep("plot", "own", "curves", "-o", tmp_path / "own.svg")
    assert "identical" in sweep("reproduce", "own", "3").stdout
    trial = sweep("trial", "own", "3").stdout
    assert "seed 3" in trial, "what it printed"
    again = sweep("confirm", "own", "--top", "2", "--seeds", "4").stdout
    assert "fresh seeds" in again
    assert sweep("doctor").stdout.strip() == "nothing is wrong"
    sweep("grid", *grid, "--study", "own")  # exactly once
    assert table(sweep, "own", "--test").equals(rows)


def test_values_are_typed_as_they_are_written(sweep, tmp_path):
    (tmp_path / "types.py").write_text(
        "import gc\n\n\ndef train(setting, seed, report):\n"
        "    print({name: type(value).__name__ for name, value in setting.items()}, list(setting))\n"
        "    print('collecting' if gc.isenabled() else 'hoarding')\n"
        "    report(1, val_loss=1.0)\n"
    )
    sweep(
        *("grid", "--train", "types.py:train", "--set", "i=1,2", "--set", "f=0.5,1", "--set", "b=on,off"),
        *("--set", "t=l1,l2", "--set", "w=auto,3", "--lr", "1e-3", "--set", "r=1:9:n=3", "--study", "types"),
    )
    trial = json.loads(sweep("trial", "types", "1", "--json").stdout)
    kinds = "{'i': 'int', 'f': 'float', 'b': 'bool', 't': 'str', 'w': 'str', 'r': 'int', 'lr': 'float'}"
    assert trial["printed"].splitlines()[0].startswith(kinds)
    assert trial["printed"].splitlines()[1] == "collecting", "garbage is left lying only while torch is imported"
    assert trial["setting"] == {"i": 1, "f": 0.5, "b": True, "t": "l1", "w": "auto", "lr": 0.001, "r": 5}


def test_a_recipe_with_names_and_values_of_sweeps_own_table(sweep, tmp_path):
    """`lr`, `optimizer`, `steps`, `c` mean what the function makes of them, at a default of the table's, too."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "fit.py").write_text(
        "def fit(setting, seed, report):\n"
        "    for epoch in range(setting['epochs']):\n"
        "        report(epoch, score=setting['lr'] + setting['c'] + seed)\n"
    )
    (tmp_path / "sub" / "own.toml").write_text(
        'train = "fit.py:fit"\nmetric = "score"\ndirection = "maximize"\nseeds = 2\n'
        '[space]\nlr = [100, 0.001]\noptimizer = "magic"\nsteps = 0\nc = [1.0, 2.0]\nepochs = 3\nhidden = "none"\n'
        '[[claim]]\ntext = "c"\nkind = "better"\nfactor = "c"\nlevel = 2.0\nthan = 1.0\n'
    )
    sweep("grid", "sub/own.toml")
    rows = table(sweep, "own")
    assert rows["score"].astype(float).max() == 103.0
    assert {*rows["epochs"]} == {"3"}
    shown = sweep("show", "own").stdout
    assert "optimizer magic" in shown
    assert "steps 0" in shown
    assert "default" not in shown
    assert "c" in sweep("verdict", "own").stdout
    sweep("grid", "sub/own.toml", "--set", "c=1.0,2.0,4.0")
    assert len(table(sweep, "own")) == 12
    sweep("resume", "own")


@pytest.mark.parametrize(
    ("mood", "state", "reason"),
    [
        ("nan", "diverged", "val_loss not finite in epoch 2"),
        ("inf", "diverged", "train_loss not finite in epoch 2"),
        ("raise", "failed", "ArithmeticError: too moody"),
        ("exit", "failed", "SystemExit: 3"),
        ("gone", "failed", "exit code 4: it printed nothing"),
        ("silent", "complete", None),
        ("far", "failed", f"epoch 1{'0' * 30} reported; expected at most 1,000,000,000,000"),
        ("back", "failed", "epoch 0 reported after epoch 1; expected each after the one before"),
    ],
)
def test_how_a_trial_ends(sweep, tmp_path, mood, state, reason):
    code = 1 if state == "failed" else 0
    sweep("grid", "--train", "mine.py:moody", "--set", f"mood={mood},fine", "--study", "m", code=code)
    assert states(tmp_path, "m") == {0: (state, reason), 1: ("complete", None)}
    if mood == "raise":
        trace = json.loads(sweep("trial", "m", "0", "--json").stdout)["traceback"]
        assert 'raise ArithmeticError("too moody")' in trace
        assert "sweep/trainers" not in trace
        sweep("resume", "m", "--retry-failed", code=1)


def test_the_metric_must_be_reported(sweep, tmp_path):
    result = sweep("grid", "--train", "mine.py:mute", "--set", "x=1,2", "--study", "m", code=1)
    assert states(tmp_path, "m") == {
        0: ("failed", "reported nothing; expected val_loss"),
        1: ("failed", "reported only accuracy; expected val_loss"),
    }
    assert result.stderr.count("reported nothing; expected val_loss") == 1


def test_a_timeout_ends_what_hangs_and_what_that_started(sweep, tmp_path):
    result = sweep(
        *("grid", "--train", "mine.py:moody", "--set", "mood=hang,fine", "--study", "m", "--timeout", "1"), code=1
    )
    assert "timeout: over 1 s" in result.stderr
    assert states(tmp_path, "m") == {0: ("failed", "timeout: over 1 s"), 1: ("complete", None)}
    assert processes_in(tmp_path) == []


@pytest.mark.long
@pytest.mark.parametrize("who", ["study", "host", "worker", "function"])
def test_a_kill_leaves_no_process_and_loses_no_trial(sweep, tmp_path, who):
    words = ("grid", "--train", "mine.py:waiting", "--set", "x=1,2", "--seeds", "2", "--study", "k", "--jobs", "2")
    process = start(tmp_path, *words)
    wait_for(lambda: len([*tmp_path.glob("begun-*")]) == 2, process)
    hosts, workers = family(process)
    function = int((tmp_path / "begun-1-0").read_text())
    kill({"study": process.pid, "host": hosts[0], "worker": workers[0], "function": function}[who])
    if who in ("study", "host"):
        process.wait(timeout=60)
        wait_for(lambda: not processes_in(tmp_path))
    else:
        wait_for(lambda: not alive(function) or who == "worker")
    (tmp_path / "go").touch()
    if who in ("study", "host"):
        sweep("resume", "k")
    else:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert states(tmp_path, "k") == dict.fromkeys(range(4), ("complete", None))
    wait_for(lambda: not processes_in(tmp_path))
    expected = {(f"{x}", f"{seed}"): float(x + seed) for x in (1, 2) for seed in (0, 1)}
    rows = table(sweep, "k")
    assert {(r.x, r.seed): float(r.val_loss) for r in rows.itertuples()} == expected


@pytest.mark.long
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_resume_after_a_kill_gives_the_uninterrupted_rows(sweep, tmp_path, place):
    """The property that matters: kill -9 anywhere, resume, and every row and epoch is the one that was to be."""
    words = ("--train", "mine.py:train", "--set", "x=0.0:1.0:n=300", "--set", "kind=a,b")
    sweep("grid", *words, "--study", "whole")
    database = tmp_path / "results" / "sweep.db"
    process = start(tmp_path, "grid", *words, "--study", "cut")

    def done() -> int:
        text = "SELECT count(*) FROM trials t JOIN studies s ON s.id = t.study WHERE s.name = 'cut' AND t.state = "
        return sum(count for (count,) in query(database, f"{text}'complete'"))

    wait_for(lambda: done() >= place * 600, process)
    kill(process.pid)
    process.wait()
    assert done() < 600
    sweep("resume", "cut")
    assert numbers(sweep, "cut") == numbers(sweep, "whole")


@pytest.mark.long
def test_a_diverged_trial_that_does_not_end_is_ended(sweep, tmp_path):
    sweep("grid", "--train", "mine.py:moody", "--set", "mood=stuck,fine", "--study", "m", "--jobs", "1")
    diverged = "diverged", "val_loss not finite in epoch 2"
    assert states(tmp_path, "m") == {0: diverged, 1: ("complete", None)}
    assert processes_in(tmp_path) == []


@pytest.mark.long
def test_ctrl_c_stops_at_the_next_report(tmp_path):
    process = start(tmp_path, "grid", "--train", "mine.py:long", "--set", "x=1,2,3", "--study", "l", "--jobs", "2")
    wait_for(lambda: (tmp_path / "at-1").exists() and (tmp_path / "at-2").exists(), process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert {state for state, _ in states(tmp_path, "l").values()} == {"waiting"}
    wait_for(lambda: not processes_in(tmp_path))


@pytest.mark.long
def test_limits_of_time_and_trials(sweep, tmp_path):
    sweep("grid", "--train", "mine.py:long", "--set", "x=1,2", "--study", "l", "--time-limit", "3")
    assert {state for state, _ in states(tmp_path, "l").values()} == {"waiting"}
    sweep("grid", "--train", "mine.py:trivial", "--set", "x=1,2,3,4", "--study", "t", "--max-trials", "3")
    assert sum(state == "complete" for state, _ in states(tmp_path, "t").values()) == 3
    assert processes_in(tmp_path) == []


@pytest.mark.long
def test_a_search_and_its_growth_ask_the_same(sweep):
    words = ("search", "--train", "mine.py:train", "--set", "x=0.0:1.0", "--set", "k=1:9", "--in-flight", "4")
    sweep(*words, "--trials", "12", "--study", "grown")
    sweep(*words, "--trials", "20", "--study", "grown")
    sweep(*words, "--trials", "20", "--study", "whole")
    assert numbers(sweep, "grown") == numbers(sweep, "whole")
    rows = table(sweep, "whole")
    assert len(rows) == 20
    assert abs(float(rows["x"].iloc[0]) - 0.3) < 0.25


def test_a_pruner_stops_the_worst(sweep, tmp_path):
    (tmp_path / "rungs.py").write_text(
        "def train(setting, seed, report):\n"
        "    for epoch in range(1, setting['epochs'] + 1):\n"
        "        report(epoch, val_loss=setting['x'] + 1 / epoch)\n"
    )
    words = ("--train", "rungs.py:train", "--set", "x=0.0:1.0", "--set", "epochs=9", "--pruner", "asha")
    sweep("search", *words, "--trials", "16", "--study", "p")
    rows = table(sweep, "p", "--all")
    pruned, whole = rows[rows["state"] == "pruned"], rows[rows["state"] == "complete"]
    assert len(pruned) + len(whole) == 16
    assert {*pruned["epochs"]} == {"1", "3"}
    assert {*whole["epochs"]} == {"9"}
    assert whole["x"].astype(float).max() < pruned["x"].astype(float).min()


def test_changed_code_is_refused_until_the_user_says_so(sweep, refused, tmp_path):  # noqa: F811
    words = ("grid", "--train", "mine.py:trivial", "--set", "x=1,2", "--study", "c")
    sweep(*words, "--max-trials", "1")
    with open(tmp_path / "mine.py", "a") as file:
        file.write("\n# changed\n")
    result = sweep("resume", "c", code=2)
    has(result.stderr, "began with other code", "mine.py:trivial", "--study", "--changed-code")
    result = sweep("resume", "c", "--changed-code")
    assert "its code has changed" in result.stderr
    assert len(table(sweep, "c")) == 2
    with open(tmp_path / "mine.py", "a") as file:
        file.write("\n# changed again\n")
    has(refused("reproduce", "c", "0"), "trained with other code")
    has(sweep("confirm", "c", "--top", "1", code=2).stderr, "c-confirm", "began with other code")
    assert "c-confirm" not in sweep("ls").stdout
    sweep("confirm", "c", "--top", "1", "--changed-code")
    (tmp_path / "mine.py").unlink()
    assert "no such file" in refused("resume", "c")


def test_a_study_moves_with_its_file(sweep, tmp_path):
    sweep("grid", "--train", "mine.py:trivial", "--set", "x=1,2", "--study", "m", "--max-trials", "1")
    (tmp_path / "there").mkdir()
    os.rename(tmp_path / "mine.py", tmp_path / "there" / "mine.py")
    sweep("grid", "--train", "there/mine.py:trivial", "--set", "x=1,2", "--study", "m")
    assert len(table(sweep, "m")) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--train", "gone.py:train"), ["gone.py", "no such file"]),
        (("--train", "mine.py:tran"), ["tran", "did you mean", "train"]),
        (("--train", "mine.py"), ["FILE.py:NAME"]),
        (("--train", "broken.py:train"), ["broken.py", "cannot be read as Python"]),
        (("--train", "mine.py:train", "--command", "true"), ["train and command both given"]),
        (("--train", "mine.py:train", "--metric", "odd"), ["odd", "direction"]),
        (("--train", "mine.py:train", "--metric", "test_loss"), ["nothing is selected on test data"]),
        (("--train", "mine.py:train", "--metric", "x"), ["hyperparameter", "x"]),
        (("--train", "mine.py:train", "--data", "digits"), ["data", "has its own"]),
        (("--train", "mine.py:train", "--set", "seconds=1"), ["seconds", "another name"]),
        (("--train", "mine.py:train", "--set", "y"), ["NAME=VALUES"]),
        (("--train", "mine.py:train", "--set", "y=1,,2"), ["y", "empty value"]),
        (("--train", "mine.py:train", "--set", "y=2:1:n=3"), ["low < high"]),
        (("--train", "mine.py:train", "--set", "y=0.0:1.0"), ["n = 5"]),
        (("--train", "mine.py:train", "--timeout", "0"), ["--timeout"]),
        (("--data", "digits"), ["--set", "--train"]),
    ],
)
def test_bad_input_is_one_line(refused, tmp_path, words, said):  # noqa: F811
    (tmp_path / "broken.py").write_text("def train(:\n")
    has(refused("grid", *words, "--set", "x=1,2"), *said)


def test_a_module_that_cannot_be_imported_fails_its_trials(sweep, tmp_path):
    (tmp_path / "needs.py").write_text("import not_there\ndef train(setting, seed, report): ...\n")
    result = sweep("grid", "--train", "needs.py:train", "--set", "x=1,2", "--study", "n", code=1)
    assert "ModuleNotFoundError: No module named 'not_there'" in result.stderr


# The recipe


def _range(low: int, span: int, n: int) -> dict[str, int]:
    return {"low": low, "high": low + span, "n": n}


NAMES = st.sampled_from(["lr", "optimizer", "steps", "epochs", "c", "model", "alpha", "function", "noise"])
NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)
VALUES = (
    st.lists(NUMBERS, min_size=1, max_size=4)
    | st.lists(st.booleans(), min_size=1, max_size=2)
    | st.lists(st.text("abcl12._- ", min_size=1, max_size=6), min_size=1, max_size=3)
    | st.lists(NUMBERS | st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4)
    | st.builds(
        lambda low, span, n: {"low": low, "high": low + span, "n": n},
        st.integers(0, 9),
        st.integers(1, 9),
        st.integers(1, 5),
    )
)


@given(st.dictionaries(NAMES, VALUES, max_size=3), st.integers(1, 3), st.booleans())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_recipe_survives_the_ledger_and_so_does_every_setting(space, seeds, searches):
    words = " ".join(f"{{{name}}}" for name in space)
    searches = searches and any(len(values) > 1 for values in space.values())
    recipe = recipe_of({"command": f"true {words}", "seeds": seeds, "space": space}, {} if searches else None)
    text = json.dumps(recipe.to_dict(), allow_nan=False)
    again = recipe_from_dict(json.loads(text))
    assert again == recipe
    assert json.dumps(again.to_dict()) == text
    assert again.digest() == recipe.digest()
    assert recipe.includes(again)
    grid = [*recipe.grid.settings()]
    assert len(grid) == recipe.grid.combinations == recipe.grid.census.settings
    assert [*map(setting_key, grid)] == [*map(setting_key, again.grid.settings())]
    for setting in grid:
        assert recipe.restored(json.loads(setting_key(setting))) == setting
    listed = recipe.of_settings(grid, seeds=(7,))
    assert [*recipe_from_dict(json.loads(json.dumps(listed.to_dict()))).grid.settings()] == grid


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-1, 6),
            st.dictionaries(st.sampled_from(["val_loss", "auc", "train_loss"]), st.floats()),
        ),
        max_size=12,
    ),
    st.none() | st.integers(1, 4),
)
def test_whatever_is_reported_gives_epochs_in_order_and_one_end(told, until):
    reports = Reports(Trial(5, {}, 0), "val_loss", until)
    records = []
    try:
        for epoch, values in told:
            records += reports.add(epoch, values)
        records += reports.finish()
    except Misreport:
        records += reports.left()
        assert not any(record.state for record in records)
    epochs = [record.epoch for record in records]
    assert epochs == sorted({*epochs})
    assert all(record.epoch >= 1 for record in records)
    assert [record.state for record in records[:-1]] == [None] * len(records[:-1])
    for record in records:
        if record.state == "diverged":
            assert record is records[-1]
        elif record.state == "complete":
            assert math.isfinite(record.val_loss)


def test_what_is_for_sweeps_networks_alone_says_so_in_a_line(sweep, refused, tmp_path):  # noqa: F811
    sweep("grid", "--train", "mine.py:train", "--set", "x=0.1,0.9", "--seeds", "2", "--study", "a")
    has(refused("plot", "a", "boundary", "-o", tmp_path / "b.svg"), "its own code")
    has(refused("steps", "a", "--target", "0.5"), "its own code")
    has(refused("plot", "a", "surface", "-o", tmp_path / "s.svg"), "functions")
    has(refused("show", "a", "--metric", "val_acc"), "did you mean 'val_accuracy'")
    assert "mean val_accuracy ▾" in sweep("show", "a", "--metric", "val_accuracy").stdout  # it is reported, too
    has(
        refused("search", "--train", "mine.py:train", "--set", "x=0.0:1.0", "--trials", "4", "--pruner", "asha"),
        "epochs",
    )
    has(
        refused("search", "--train", "mine.py:train", "--set", "x=0.0:1.0", "--trials", "4", "--minimize", "val_loss"),
        "metric and direction",
    )
    sweep("grid", "--train", "mine.py:trivial", "--set", "x=0.1,0.9", "--seeds", "2", "--study", "b")
    assert "code differs" in sweep("compare", "a", "b").stdout


def test_any_metric_that_is_reported_ranks(sweep, refused, tmp_path, monkeypatch):  # noqa: F811
    (tmp_path / "two.py").write_text(
        "def train(setting, seed, report):\n"
        "    report(1, val_loss=setting['x'], acc=1 / setting['x'], odd=2, test_acc=1)\n"
    )
    sweep("grid", "--train", "two.py:train", "--set", "x=4,2", "--study", "t")
    rows = json.loads(sweep("show", "t", "--metric", "acc", "--trials", "--json").stdout)["trials"]
    assert [row["acc"] for row in rows] == [0.5, 0.25]
    assert {"val_loss", "odd"} <= rows[0].keys()
    has(refused("show", "t", "--metric", "odd"), "expected --direction")
    monkeypatch.chdir(tmp_path)
    for name, way in (("acc", "maximize"), ("valid_mse", "minimize")):  # a recipe's own metric by the same rule
        recipe = load_recipe(None, {"train": "two.py:train", "set x": "1", "metric": name})
        assert (recipe.metric, recipe.direction) == (name, way)
    has(refused("show", "t", "--metric", "test_acc"), "nothing is selected on test data")
