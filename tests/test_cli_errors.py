"""Bad input through real processes: one line on stderr, the exit code that fits, nothing on stdout, never a
traceback.
"""

from __future__ import annotations

import contextlib
import functools
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sweep.cli import main
from sweep.ledger import FILE, Ledger
from sweep.recipe import load_recipe
from tests.made import record


@pytest.fixture
def refused(sweep):
    """Runs a command that must be refused; returns the one line."""

    def run(*args: object, code: int = 2, **kwargs) -> str:
        result = sweep(*args, code=code, **kwargs)
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("sweep: ")
        assert result.stdout == ""
        assert len(lines[0]) > len("sweep: ") + 10
        return lines[0].removeprefix("sweep: ")

    return run


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A results folder with one finished study `mine` of two trials."""
    recipe = load_recipe(None, {"lr": "0.1,0.01"})
    with Ledger(tmp_path / "results", create=True) as ledger:
        study = ledger.create("mine", recipe, 2)
        ledger.add(study, recipe.grid.trials())
        ledger.record(
            study,
            [record(n, 1, val_loss=0.5 + n, state="complete", test_loss=0.4, test_accuracy=0.8) for n in range(2)],
        )
        ledger.close_run(study, 1.0)
    return tmp_path / "results"


def has(line: str, *words: str) -> None:
    missing = [word for word in words if word not in line]
    assert not missing, line


# Commands and flags


def test_flags_and_commands_that_do_not_exist(refused):
    has(refused("grid", "--lrr", "0.1"), "--lrr", "did you mean --lr?")
    has(refused("plan", "--batchnorm", "on"), "--batchnorm", "did you mean --batch-norm?")
    has(refused("grid", "--frobnicate"), "--frobnicate", "sweep grid --help")
    has(refused("--frob"), "--frob")
    has(refused("gird"), "'gird'", "did you mean 'grid'?")
    has(refused("frobnicate"), "'frobnicate'")


def test_arguments_that_are_missing_or_too_many(refused):
    has(refused("show"), "STUDY")
    has(refused("export", "mine"), "--output")
    has(refused("plan", "a.toml", "b.toml"), "b.toml")


def test_a_flag_without_its_value_is_not_called_unknown(refused):
    line = refused("grid", "--lr")
    has(line, "--lr")
    assert "unknown" not in line
    assert not line.endswith(":")


def test_no_command_at_all_shows_the_help(sweep):
    """And no empty error after it."""
    result = sweep(code=None)
    assert "Usage" in result.stdout + result.stderr
    assert "sweep: \n" not in result.stderr
    assert not result.stderr.endswith("sweep: ")


def test_flags_of_a_wrong_kind(refused):
    has(refused("grid", "--jobs", "0"), "--jobs", "1")
    has(refused("grid", "--jobs", "many"), "--jobs", "integer")
    has(refused("show", "mine", "--top", "0"), "--top", "1")
    has(refused("grid", "--beta1", "1.0"), "--beta1", "beta1 = 1.0", "< 1")


def test_a_value_of_two_lines_is_refused_in_one(refused):
    has(refused("grid", "--optimizer", "ada\nm"), "--optimizer", "adam, adamw, sgd, rmsprop")


# Recipes


def test_recipes_that_cannot_be(refused, tmp_path):
    has(refused("grid", "none.toml"), "none.toml", "no such recipe")
    (tmp_path / "bad.toml").write_text("epochs = 3\nlr = = 1\n")
    has(refused("grid", "bad.toml"), "bad.toml", "not valid TOML", "line 2")
    (tmp_path / "unknown.toml").write_text("epochs = 3\n[space]\nbatchnorm = true\n")
    has(refused("plan", "unknown.toml"), "unknown.toml, line 3", "'batchnorm'", "did you mean 'batch_norm'?")
    (tmp_path / "range.toml").write_text("lr = { low = 1e-4, high = 1e-1, log = true }\n")
    has(refused("grid", "range.toml"), "lr", "n = ")
    assert not (tmp_path / "results").exists()


def test_a_number_that_no_float_holds(refused, tmp_path):
    (tmp_path / "huge.toml").write_text(f"hidden = 1{'0' * 400}\n")
    has(refused("grid", "huge.toml"), "huge.toml, line 1", "hidden")


# Data


def test_data_that_cannot_be(refused, tmp_path):
    has(refused("grid", "--data", "none.npz"), "none.npz", "no such data file", "x_train")
    has(refused("grid", "--data", "digit"), "'digit'", "did you mean 'digits'?")
    np.savez(tmp_path / "half.npz", x_train=np.ones((20, 3)), y_train=np.arange(20) % 2)
    has(refused("plan", "--data", "half.npz"), "half.npz", "no array x_test, y_test")
    np.savez(
        tmp_path / "pickled.npz",
        x_train=np.array([[None]] * 20),
        y_train=np.arange(20) % 2,
        x_test=np.ones((2, 1)),
        y_test=np.arange(2),
    )
    has(refused("grid", "--data", "pickled.npz"), "pickled.npz", "pickled Python objects")
    np.savez(
        tmp_path / "range.npz",
        x_train=np.ones((20, 1)),
        y_train=np.arange(20) % 2,
        x_test=np.ones((2, 1)),
        y_test=np.array([0, 7]),
    )
    has(refused("grid", "--data", "range.npz"), "range.npz", "label 7", "no row of y_train")
    has(refused("grid", "--train-size", "5000"), "train_size = 5000", "1079")


def test_rows_that_only_the_workers_see_to_be_bad(sweep, tmp_path):
    """NaN in the rows is refused when they are read. The name stays free: a study of data that cannot be read would
    stand in the way of the next attempt."""
    x = np.ones((20, 3))
    x[7, 1] = np.nan
    np.savez(tmp_path / "nan.npz", x_train=x, y_train=np.arange(20) % 2, x_test=np.ones((2, 3)), y_test=np.arange(2))
    result = sweep("grid", "--data", "nan.npz", "--study", "mine", code=2)
    lines = [line for line in result.stderr.splitlines() if line.startswith("sweep: ")]
    assert len(lines) == 1, result.stderr
    has(lines[0], "nan.npz", "x_train row", "NaN")
    assert result.stdout == ""
    if (tmp_path / "results").exists():
        with Ledger(tmp_path / "results") as ledger:
            assert ledger.find("mine") is None


def test_a_cnn_too_deep_for_its_images(refused, tmp_path):
    has(refused("grid", "--model", "cnn", "--depth", "2,4"), "depth = 4", "8 x 8", "deepest that fits is 3")
    x = np.random.default_rng(0).normal(size=(20, 5))
    np.savez(tmp_path / "flat.npz", x_train=x, y_train=np.arange(20) % 2, x_test=x, y_test=np.arange(20) % 2)
    has(refused("plan", "--model", "cnn", "--data", "flat.npz"), "flat.npz", "flat", "mlp")


# Studies


def test_study_names_that_are_paths(refused, tmp_path):
    for name in ("../mine", "a/b", "..", "", "mine\n", "x" * 101):
        has(refused("grid", "--study", name), "study name", "no path")
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("mine")
def test_a_study_of_another_recipe(refused):
    line = refused("grid", "--lr", "0.1,0.5", "--depth", "3", "--study", "mine")
    has(
        line,
        "'mine'",
        "another recipe",
        "lr: [0.1, 0.01] there, [0.1, 0.5] here",
        "depth: 2 (the default) there, 3 here",
        "--study",
        "sweep rm mine",
    )


@pytest.mark.usefixtures("mine")
def test_studies_and_trials_that_do_not_exist(refused):
    has(refused("show", "mien"), "unknown study 'mien'", "did you mean 'mine'?")
    has(refused("export", "other", "-o", "-"), "unknown study 'other'", "choose from mine")
    has(refused("resume", "other"), "unknown study 'other'")
    has(refused("rm", "other", "--yes"), "unknown study 'other'")
    has(refused("trial", "mine", "2"), "'mine'", "trial 2", "expected 0 to 1")
    has(refused("trial", "mine", "first"), "N", "integer")
    has(refused("trial", "mine", "-1"), "-1")


@pytest.mark.usefixtures("mine")
def test_a_trial_number_beyond_any_table(refused):
    has(refused("trial", "mine", "99999999999999999999"), "trial 99999999999999999999", "expected 0 to 1")


@pytest.mark.usefixtures("mine")
def test_conditions_that_are_none(refused):
    has(refused("show", "mine", "--where", "lr"), "'lr'", "NAME OPERATOR VALUE")
    has(refused("show", "mine", "--where", "lr<<3"), "--where", "lr")
    has(refused("show", "mine", "--where", "lr<0.1 or lr>1"), "--where", "lr")
    has(refused("show", "mine", "--where", "batch_nrm=on"), "'batch_nrm'", "did you mean 'batch_norm'?")
    has(refused("show", "mine", "--where", "test_loss<1"), "nothing is selected on test data")
    has(refused("export", "mine", "-o", "-", "--where", "state>complete"), "state", "= or !=")


@pytest.mark.usefixtures("mine")
def test_a_conditions_bad_value_is_blamed_on_the_condition(refused):
    has(refused("show", "mine", "--where", "batch_norm=maybe"), "--where", "batch_norm", "on or off")


@pytest.mark.usefixtures("mine")
def test_an_unknown_column_does_not_offer_test_data(refused):
    assert "test_" not in refused("show", "mine", "--where", "zzz=1")


@pytest.mark.usefixtures("mine")
def test_metrics_that_are_none(refused):
    has(refused("show", "mine", "--metric", "val_los"), "--metric", "'val_los'", "did you mean 'val_loss'?")
    has(refused("show", "mine", "--metric", "test_loss"), "--metric", "nothing is selected on test data")
    has(refused("export", "mine", "-o", "-", "--direction", "up"), "--direction", "'up'", "minimize, maximize")


@pytest.mark.usefixtures("mine")
def test_files_that_cannot_be_written(refused, tmp_path):
    has(refused("export", "mine", "-o", "board.xlsx"), "board.xlsx", "'.xlsx'", ".csv", ".parquet", ".json", ".md")
    has(refused("export", "mine", "-o", "board"), "board", ".csv")
    has(refused("export", "mine", "-o", "none/board.csv", code=1), "none/board.csv", "No such file or directory")
    (tmp_path / "folder.csv").mkdir()
    has(refused("export", "mine", "-o", "folder.csv"), "folder.csv", "folder")
    assert not list(tmp_path.glob("board*"))


def test_removing_asks_first(sweep, mine):
    """Without an answer, or with no, the study stays."""
    for answer in ("n\n", ""):
        result = sweep("rm", "mine", code=None, input=answer)
        assert result.returncode != 0
        assert "mine" in result.stdout + result.stderr
    assert "mine" in sweep("ls").stdout
    with Ledger(mine) as ledger:
        assert ledger.rows(ledger.study("mine")) == 2


# Results folders


def test_results_that_cannot_be_used(refused, tmp_path):
    has(refused("ls"), "results", "no results there yet", "sweep grid")
    has(refused("show", "mine", "--results", "none"), "none", "no results there yet")
    (tmp_path / "file").write_text("notes")
    has(refused("grid", "--results", "file"), "file", "results folder")
    has(refused("ls", "--results", "file"), "file")
    has(refused("grid", "--results", "/proc/self/none"), "/proc/self/none", "results folder")
    has(refused("grid", env={"SWEEP_RESULTS": "/proc/none"}), "/proc/none")
    assert (tmp_path / "file").read_text() == "notes"


def test_results_files_that_are_not_ours(refused, tmp_path):
    for name in ("text", "foreign", "newer"):
        (tmp_path / name).mkdir()
    (tmp_path / "text" / FILE).write_text("rank,trial\n1,0\n")
    with sqlite3.connect(tmp_path / "foreign" / FILE) as connection:
        connection.execute("CREATE TABLE studies (name TEXT)")
    connection.close()
    Ledger(tmp_path / "newer", create=True).close()
    with sqlite3.connect(tmp_path / "newer" / FILE) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    for name in ("text", "foreign"):
        for command in (("ls",), ("grid", "--study", "mine")):
            has(refused(*command, "--results", name), f"{name}/{FILE}", "not a results file of sweep")
    has(refused("ls", "--results", "newer", code=1), "newer sweep", "999", "upgrade")
    assert (tmp_path / "text" / FILE).read_text() == "rank,trial\n1,0\n"


def test_a_damaged_results_file(refused, mine):
    raw = bytearray((mine / FILE).read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    (mine / FILE).write_bytes(raw)
    for command in (("ls",), ("show", "mine"), ("grid", "--study", "mine")):
        has(refused(*command, code=1), FILE, "malformed")


def test_a_study_that_another_process_runs(refused, mine):
    code = """
import sys
from pathlib import Path
from sweep.ledger import Ledger
with Ledger(Path(sys.argv[1])) as ledger, ledger.lock("mine"):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(mine)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for command in (("grid", "--lr", "0.1,0.01", "--study", "mine"), ("resume", "mine"), ("rm", "mine", "--yes")):
            has(refused(*command, code=1), "'mine'", "another process", str(holder.pid))
    finally:
        holder.kill()
        holder.communicate()
    with Ledger(mine) as ledger:
        assert ledger.counts(ledger.study("mine"))["complete"] == 2


def test_a_reader_that_stops_reading_is_no_error(mine):
    """`sweep export mine -o - | head -0`."""
    command = [sys.executable, "-m", "sweep", "export", "mine", "-o", "-", "--results", str(mine)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()


def test_a_failed_trial_does_not_break_reading(sweep, mine):
    """It has no rank and no numbers; every reader shows it with its reason."""
    with Ledger(mine) as ledger:
        ledger.mark(ledger.study("mine"), [1], "failed", "out of memory")
    for command in (
        ("show", "mine"),
        ("show", "mine", "--trials", "--json"),
        ("trial", "mine", "1"),
        ("export", "mine", "-o", "-"),
    ):
        result = sweep(*command)
        assert "out of memory" in result.stdout, command
        assert result.stderr == ""
    has(sweep("ls").stdout, "failed")


@pytest.mark.parametrize("seconds", [0.1, 0.6])
def test_an_interrupted_command_that_reads_says_so(mine, seconds):
    """Ctrl-C comes while it imports, or while it counts; a slow machine only moves where."""
    slow = "import sys; sys.argv = ['sweep', 'show', 'mine']\nimport pandas, time\nfrom sweep.cli import main\n"
    slow += "pandas.DataFrame.drop_duplicates = lambda *_, **__: time.sleep(600)\nprint('ready', flush=True)\nmain()"
    # What starts the tests in the background may have had Ctrl-C ignored, which processes inherit.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": heed}
    process = subprocess.Popen([sys.executable, "-c", slow], cwd=mine.parent, text=True, **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "sweep: interrupted\n")


def test_an_interrupt_after_the_end_changes_nothing(mine):
    late = "import atexit, signal, sys; sys.argv = ['sweep', 'ls']\nfrom sweep.cli import main\n"
    late += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    late += "atexit.register(lambda: signal.raise_signal(signal.SIGINT))\nmain()"
    done = subprocess.run([sys.executable, "-c", late], cwd=mine.parent, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mine" in done.stdout


def test_an_interrupt_within_a_callback_is_heard(mine):
    """Imports have such callbacks, in which Python drops an interrupt."""
    slow = (
        "import sys; sys.argv = ['sweep', 'show', 'mine']\nimport pandas, signal, time, weakref\nfrom sweep.cli "
        "import main\n"
    )
    slow += (
        "held = [type('Held', (), {})()]\nback = weakref.ref(held[0], lambda _: signal.raise_signal(signal.SIGINT))\n"
    )
    slow += "pandas.DataFrame.drop_duplicates = lambda *_, **__: (held.clear(), time.sleep(600))\n"
    slow += "signal.signal(signal.SIGINT, signal.default_int_handler)\nmain()"
    done = subprocess.run([sys.executable, "-c", slow], cwd=mine.parent, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "sweep: interrupted\n")


@pytest.mark.parametrize(
    ("flag", "meant"),
    [("--layers", "--depth"), ("--learning-rate", "--lr"), ("--learning-rat", "--lr"), ("--neuorns", "--hidden"),
     ("--alpha", "--lr"), ("--lambda", "--weight-decay"),
     ("--l2", "--weight-decay"), ("--units", "--hidden"), ("--batchsize", "--batch-size"), ("--bn", "--batch-norm")],
)  # fmt: skip
def test_what_others_call_a_flag_leads_to_it(refused, flag, meant):
    has(refused("plan", flag, "1"), f"unknown flag {flag}: did you mean {meant}?")


def test_nothing_is_suggested_rather_than_a_wrong_flag(refused):
    assert "did you mean" not in refused("plan", "--resume", "1")


@pytest.mark.parametrize(
    ("words", "starts"),
    [
        ("grid --lr fast", True),
        ("resume nothing", True),
        ("grid --help", False),
        ("plan --lr fast", False),
        ("ls", False),
        ("", False),
    ],
)
def test_only_a_command_that_trains_imports_torch_ahead(words, starts, monkeypatch, tmp_path):
    begun = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sweep.host.ahead", lambda: begun.append(words))
    monkeypatch.setattr("sys.argv", ["sweep", *words.split()])
    with pytest.raises(SystemExit):
        main()
    assert begun == [words] * starts
