"""A user's own program: what it reports, how it ends, what is kept of its output, what is left of it after kills."""

from __future__ import annotations

import json
import math
import shutil
import signal
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.trainers.lines import Report, read_line
from sweep.trainers.output import HEAD, TAIL, Output
from tests.conftest import RECIPES
from tests.own import processes_in, write
from tests.processes import alive, family, kill, numbers, start, table, wait_for
from tests.test_cli_errors import has, refused  # noqa: F401
from tests.test_train_function import states

RUN = f"{sys.executable} script.py {{x}} {{seed}} {{how}}"


@pytest.fixture(autouse=True)
def _files(tmp_path):
    write(tmp_path)


def test_a_grid_that_reports_json_or_pairs(sweep, tmp_path):
    sweep("grid", "--command", RUN, "--set", "x=1.5,2.5", "--set", "how=json,pairs", "--seeds", "2", "--study", "c")
    rows = table(sweep, "c", "--test")
    assert {*rows["state"]} == {"complete"}
    assert {*rows["epochs"]} == {"3"}
    for row in rows.itertuples():
        assert float(row.val_loss) == float(row.x) + int(row.seed) + 1 / 3
        assert float(row.test_accuracy) == 0.25
    trial = json.loads(sweep("trial", "c", "1", "--json").stdout)
    assert trial["printed"].startswith("begins with 1.5\n")
    assert trial["printed"].endswith("test_accuracy=0.25\n")
    assert "begins with 1.5" in sweep("trial", "c", "1").stdout
    assert "how" in sweep("effect", "c", "x").stdout
    sweep("check", "c")
    assert "identical" in sweep("reproduce", "c", "3").stdout
    assert processes_in(tmp_path) == []


@pytest.mark.parametrize(
    ("how", "state", "reason"),
    [
        ("nan", "diverged", "val_loss not finite in epoch 2"),
        ("fail", "failed", "exit code 7: it cannot work"),
        ("silent", "failed", "reported only test_accuracy; expected val_loss"),
        ("killed", "failed", "worker killed by SIGKILL"),
        ("left", "complete", None),
    ],
)
def test_how_a_trial_ends(sweep, tmp_path, how, state, reason):
    code = 1 if state == "failed" else 0
    result = sweep("grid", "--command", RUN, "--set", "x=1", "--set", f"how={how},json", "--study", "c", code=code)
    assert states(tmp_path, "c") == {0: (state, reason), 1: ("complete", None)}
    if how == "killed":
        assert result.stderr.count("trying again") == 2
    if how == "left":
        assert not alive(int((tmp_path / "left-1.0").read_text()))
    assert processes_in(tmp_path) == []


def test_a_timeout_ends_what_hangs(sweep, tmp_path):
    words = ("grid", "--command", RUN, "--set", "x=1", "--set", "how=hang,json", "--study", "c", "--timeout", "3")
    sweep(*words, code=1)
    assert states(tmp_path, "c") == {0: ("failed", "timeout: over 3 s"), 1: ("complete", None)}
    assert processes_in(tmp_path) == []


@pytest.mark.long
def test_a_flood_of_output_is_cut_and_ended_in_time(sweep, tmp_path):
    sweep("grid", "--command", RUN, "--set", "x=1", "--set", "how=flood", "--study", "c", "--timeout", "2", code=1)
    assert states(tmp_path, "c") == {0: ("failed", "timeout: over 2 s")}
    printed = json.loads(sweep("trial", "c", "0", "--json").stdout)["printed"]
    assert printed.startswith("begins with 1.0\nyyyy")
    assert len(printed) < HEAD + TAIL + 2000


def test_seeds_that_a_command_does_not_use_are_told(sweep):
    result = sweep("grid", "--command", "echo val_loss={x}", "--set", "x=1,2", "--seeds", "2", "--study", "c")
    assert "all 2 seeds run the same command: it does not use {seed}" in result.stderr


@pytest.mark.long
@pytest.mark.parametrize("who", ["study", "host", "worker", "command"])
def test_a_kill_leaves_no_process_and_loses_no_trial(sweep, tmp_path, who):
    words = ("grid", "--command", RUN, "--set", "x=1,2", "--set", "how=wait", "--seeds", "2", "--study", "k")
    process = start(tmp_path, *words, "--jobs", "2")
    wait_for(lambda: len([*tmp_path.glob("begun-*")]) == 2, process)
    hosts, workers = family(process)
    command, child = map(int, (tmp_path / "begun-1.0-0").read_text().split())
    kill({"study": process.pid, "host": hosts[0], "worker": workers[0], "command": command}[who])
    if who in ("study", "host"):
        process.wait(timeout=60)
        wait_for(lambda: not processes_in(tmp_path))
    elif who == "command":
        wait_for(lambda: not alive(command) and not alive(child))
    (tmp_path / "go").touch()
    if who in ("study", "host"):
        sweep("resume", "k")
    else:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert states(tmp_path, "k") == dict.fromkeys(range(4), ("complete", None))
    wait_for(lambda: not processes_in(tmp_path))


@pytest.mark.long
def test_ctrl_c_is_sigterm_for_a_command(sweep, tmp_path):
    words = ("grid", "--command", RUN, "--set", "x=1,2,3", "--set", "how=term", "--study", "k", "--jobs", "2")
    process = start(tmp_path, *words)
    wait_for(lambda: len([*tmp_path.glob("begun-*")]) == 2, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert [path.read_text() for path in tmp_path.glob("heard-*")] == ["SIGTERM", "SIGTERM"]
    assert {state for state, _ in states(tmp_path, "k").values()} == {"waiting"}
    wait_for(lambda: not processes_in(tmp_path))
    (tmp_path / "go").touch()
    sweep("resume", "k")
    assert states(tmp_path, "k") == dict.fromkeys(range(3), ("complete", None))


@pytest.mark.long
def test_a_command_that_ignores_sigterm_is_killed(tmp_path):
    process = start(tmp_path, "grid", "--command", RUN, "--set", "x=1", "--set", "how=stubborn", "--study", "k")
    wait_for(lambda: [*tmp_path.glob("begun-*")], process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert states(tmp_path, "k") == {0: ("waiting", "interrupted")}
    wait_for(lambda: not processes_in(tmp_path))


@pytest.mark.long
def test_a_resume_after_a_kill_gives_the_uninterrupted_rows(sweep, tmp_path):
    words = ("--command", RUN, "--set", "x=0.0:9.0:n=10", "--set", "how=json,pairs", "--seeds", "2")
    sweep("grid", *words, "--study", "whole")
    process = start(tmp_path, "grid", *words, "--study", "cut")
    wait_for(lambda: sum(s == "complete" for s, _ in states(tmp_path, "cut").values()) >= 10, process)
    kill(process.pid)
    process.wait()
    assert sum(s == "complete" for s, _ in states(tmp_path, "cut").values()) < 40
    sweep("resume", "cut")
    assert numbers(sweep, "cut") == numbers(sweep, "whole")


def test_a_changed_script_is_refused_until_the_user_says_so(sweep, tmp_path):
    words = ("grid", "--command", RUN, "--set", "x=1,2", "--set", "how=json", "--study", "c")
    sweep(*words, "--max-trials", "1")
    with open(tmp_path / "script.py", "a") as file:
        file.write("\n# changed\n")
    has(sweep("resume", "c", code=2).stderr, "began with other code", "--changed-code")
    sweep(*words, "--changed-code")
    assert len(table(sweep, "c")) == 2


def test_values_reach_a_command_as_words_and_no_shell(sweep, tmp_path):
    (tmp_path / "echo.py").write_text("import sys, json\nprint(json.dumps(sys.argv[1:]))\nprint('val_loss=1')\n")
    (tmp_path / "own.toml").write_text(
        f"command = '{sys.executable} echo.py --a={{a}} {{b}} {{c}} $(touch hacked) {{{{x}}}}'\n"
        '[space]\na = [1e-3]\nb = "x y; touch hacked"\nc = true\n'
    )
    has(sweep("grid", "own.toml", code=2).stderr, "x", "hyperparameter")
    text = (tmp_path / "own.toml").read_text().replace(" {{x}}", "")
    (tmp_path / "own.toml").write_text(text)
    sweep("grid", "own.toml")
    printed = json.loads(sweep("trial", "own", "0", "--json").stdout)["printed"]
    assert json.loads(printed.splitlines()[0]) == ["--a=0.001", "x y; touch hacked", "true", "$(touch", "hacked)"]
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--command", "python x.py {y}"), ["y", "hyperparameter"]),
        (("--command", "python x.py"), ["does not use x", "{x}"]),
        (("--command", "python 'x.py {x}"), ["No closing quotation"]),
        (("--command", " "), ["expected a command"]),
    ],
)
def test_bad_input_is_one_line(refused, words, said):  # noqa: F811
    has(refused("grid", *words, "--set", "x=1,2"), *said)


def test_a_pruner_stops_the_worst_commands(sweep, tmp_path):
    (tmp_path / "rungs.py").write_text(
        "import sys\nx, epochs = float(sys.argv[1]), int(sys.argv[2])\n"
        "for epoch in range(1, epochs + 1):\n    print(f'epoch={epoch} val_loss={x + 1 / epoch}')\n"
    )
    run = f"{sys.executable} rungs.py {{x}} {{epochs}}"
    space = ("--set", "x=0.0:1.0", "--set", "epochs=9")
    sweep("search", "--command", run, *space, "--pruner", "asha", "--trials", "16", "--study", "p")
    rows = table(sweep, "p", "--all")
    pruned, whole = rows[rows["state"] == "pruned"], rows[rows["state"] == "complete"]
    assert len(pruned) + len(whole) == 16
    assert {*pruned["epochs"]} == {"1", "3"}
    assert {*whole["epochs"]} == {"9"}
    assert whole["x"].astype(float).max() < pruned["x"].astype(float).min()


def test_a_program_that_is_not_there_fails_its_trials(sweep, tmp_path):
    sweep("grid", "--command", "no-such-program {x}", "--set", "x=1,2", "--study", "c", code=1)
    assert {reason for _, reason in states(tmp_path, "c").values()} == {
        "cannot be started: [Errno 2] No such file or directory: 'no-such-program'"
    }


# Lines


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ('{"epoch": 3, "val_loss": 0.2}', Report(3, {"val_loss": 0.2})),
        ('  {"val_loss": 1, "note": "x", "ok": true}\n', Report(None, {"val_loss": 1.0})),
        ("val_loss=0.2", Report(None, {"val_loss": 0.2})),
        ("epoch=3, val_loss = 2e-1; val/acc=.5", Report(3, {"val_loss": 0.2, "val/acc": 0.5})),
        ("epoch: 3 val_loss: -1", Report(3, {"val_loss": -1.0})),
        ("val_loss=inf", Report(None, {"val_loss": math.inf})),
        ('{"epoch": 1.5, "val_loss": 0.2}', None),
        ('{"epoch": 1}', None),
        ("loading a=1 from disk", None),
        ("val_loss=0.2abc", None),
        ('{"val_loss": "0.2"}', None),
        ("[1, 2]", None),
        ("{", None),
        ("", None),
    ],
)
def test_what_a_line_says(line, report):
    assert read_line(line) == report


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_no_line_breaks_the_reader(line):
    report = read_line(line)
    assert report is None or all(isinstance(value, float) for value in report.values.values())


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_output_cut_anywhere_gives_the_same_lines(chunks):
    whole, parts = Output(), Output()
    lines = whole.add(b"".join(chunks)) + whole.close()
    assert [line for chunk in chunks for line in parts.add(chunk)] + parts.close() == lines
    assert whole.text == parts.text


def test_of_much_output_the_beginning_and_the_end_are_kept():
    output = Output()
    for number in range(100_000):
        output.add(f"line {number}\n".encode())
    assert output.text.startswith("line 0\n")
    assert output.text.endswith("line 99999\n")
    assert "left out" in output.text
    assert len(output.text) < HEAD + TAIL + 100
    output = Output()
    output.add(b"\x1b[31mred\x1b[0m\x07\n")
    assert output.text == "red\n"


# The worked example


@pytest.mark.long
def test_the_example_is_scikit_learns_own_and_the_same_as_function_and_as_command(sweep, tmp_path):
    import importlib.util

    shutil.copytree(RECIPES, tmp_path / "recipes")
    sweep("grid", "recipes/own/sgd-command.toml")
    words = ("--set", "loss=hinge,log_loss", "--set", "alpha=1e-4", "--set", "eta0=0.1,0.01")
    sweep("grid", "--train", "recipes/own/sgd.py:train", *words, "--metric", "val_accuracy", "--study", "function")
    command, function = numbers(sweep, "sgd-command"), numbers(sweep, "function")
    assert command == function
    spec = importlib.util.spec_from_file_location("sgd", RECIPES / "own" / "sgd.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for row in table(sweep, "function").itertuples():
        told = []
        setting = {"loss": row.loss, "alpha": 1e-4, "eta0": float(row.eta0)}
        module.train(setting, int(row.seed), lambda *epoch, told=told, **metrics: told.append((epoch, metrics)))
        assert [epoch for epoch, _ in told] == [(number,) for number in range(1, 11)]
        assert float(row.val_accuracy) == told[-1][1]["val_accuracy"]


def test_the_examples_recipe_trains(sweep, tmp_path):
    shutil.copytree(RECIPES, tmp_path / "recipes")
    sweep("grid", "recipes/own/sgd-function.toml")
    rows = table(sweep, "sgd-function")
    assert len(rows) == 24
    assert rows["val_accuracy"].astype(float).max() > 0.9
