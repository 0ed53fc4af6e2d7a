"""The main job through real processes: train, read, export, interrupt, resume, lose a worker."""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import sqlite3
import subprocess

import pandas as pd
import pytest

from sweep.report.trial import curves as drawn_curves
from tests.conftest import RECIPES
from tests.made import made
from tests.processes import alive, family, finished, start, wait_for

TIMES = ("seconds",)


def export(sweep, study: str, *args: object) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(sweep("export", study, "-o", "-", *args).stdout))


def csv_without_times(sweep, study: str, *args: object) -> str:
    return export(sweep, study, *args).drop(columns=list(TIMES)).to_csv(index=False)


def test_the_notes_nine_settings_end_to_end(sweep):
    result = sweep("grid", RECIPES / "alpha-beta.toml", "--epochs", 2)
    assert "alpha-beta: 9 complete of 9 trials" in result.stderr
    assert "Selected on val_loss: trial" in result.stdout
    table = export(sweep, "alpha-beta")
    measured = ["train_loss", "train_accuracy", "val_loss", "val_accuracy", "epochs", "seconds", "reason"]
    assert list(table.columns) == ["rank", "trial", "state", "seed", "lr", "beta1", *measured]
    assert table["rank"].tolist() == list(range(1, 10))
    assert table["val_loss"].is_monotonic_increasing
    by_trial = table.sort_values("trial")
    assert list(zip(by_trial["lr"], by_trial["beta1"], strict=True)) == [
        (a, b) for a in (0.1, 0.01, 0.001) for b in (0.8, 0.88, 0.9)
    ]
    tested = export(sweep, "alpha-beta", "--test")
    assert list(tested.columns)[-2:] == ["test_loss", "test_accuracy"]
    assert tested["test_accuracy"].between(0, 1).all()
    curves = export(sweep, "alpha-beta", "--curves")
    assert list(curves.columns) == [
        "trial",
        "epoch",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "grad_norm",
        "seconds",
    ]
    assert len(curves) == 18
    last = curves[curves["epoch"] == 2].set_index("trial")["val_loss"]
    assert (last == by_trial.set_index("trial")["val_loss"]).all()


@pytest.mark.long
def test_company_changes_no_number(sweep):
    """Lanes, jobs, order of the grid and neighbours: the same CSV to the last digit, dropout and batch norm on."""
    flags = [
        "--lr",
        "0.03,0.003",
        "--dropout",
        "0,0.3",
        "--batch-norm",
        "on,off",
        "--epochs",
        2,
        "--seeds",
        2,
        "--hidden",
        20,
    ]
    sweep("grid", *flags, "--study", "many", "--jobs", 2)
    sweep("grid", *flags, "--study", "lone", "--jobs", 1, "--lanes", 1)
    assert csv_without_times(sweep, "many") == csv_without_times(sweep, "lone")
    sweep("grid", "--seeds", 2, *flags[2:4], "--lr", 0.003, *flags[4:8], "--hidden", 20, "--study", "half")
    many = export(sweep, "many", "--where", "lr=0.003").drop(columns=["rank", "trial", "seconds", "lr"])
    half = export(sweep, "half").drop(columns=["rank", "trial", "seconds"])
    assert many.to_csv(index=False) == half.to_csv(index=False)


def test_running_again_trains_nothing_twice(sweep):
    flags = ["--lr", "0.1,0.01", "--epochs", 1, "--study", "twice"]
    sweep("grid", *flags)
    before = sweep("export", "twice", "-o", "-").stdout
    again = sweep("grid", *flags)
    assert "2 done, 0 retried, 0 left, 0 duplicated" in again.stderr
    assert "2 done, 0 retried" in sweep("resume", "twice").stderr
    assert sweep("export", "twice", "-o", "-").stdout == before


def test_diverged_trials_are_there_and_last(sweep):
    sweep("grid", "--optimizer", "sgd", "--lr", "1e8,0.1,1e10", "--activation", "gelu", "--epochs", 3, "--study", "bad")
    table = export(sweep, "bad")
    assert table["state"].tolist() == ["complete", "diverged", "diverged"]
    assert table["rank"].tolist() == [1, 2, 3]
    assert table["reason"].str.contains("not finite in epoch").tolist()[1:] == [True, True]
    assert "diverged" in sweep("show", "bad").stdout
    shown = json.loads(sweep("show", "bad", "--json").stdout)
    assert shown["selected"]["trial"] == 1
    assert [row["diverged"] for row in shown["settings"]] == [0, 1, 1]
    trials = json.loads(sweep("show", "bad", "--trials", "--json").stdout)
    assert trials["selected"]["trial"] == 1
    assert [row["state"] for row in trials["trials"]] == table["state"].tolist()


def test_only_the_selected_trials_test_score_is_shown(sweep):
    sweep("grid", "--lr", "0.1,0.01,0.001", "--epochs", 1, "--study", "s")
    shown = json.loads(sweep("show", "s", "--trials", "--json").stdout)
    assert shown["selected"]["trial"] == shown["trials"][0]["trial"]
    assert 0 < shown["selected"]["test_accuracy"] <= 1
    assert not any(key.startswith("test") for row in shown["trials"] for key in row)
    settings = json.loads(sweep("show", "s", "--json").stdout)
    assert settings["selected"]["trial"] == shown["selected"]["trial"]
    assert settings["selected"]["test"]["test_accuracy"]["mean"] == shown["selected"]["test_accuracy"]
    assert not any(key.startswith("test") for row in settings["settings"] for key in row)
    assert "test" not in sweep("trial", "s", 0).stdout
    assert "test_loss" not in json.loads(sweep("trial", "s", 0, "--json").stdout)
    assert "on test data" in sweep("trial", "s", 0, "--test").stdout
    assert "test" not in sweep("export", "s", "-o", "-").stdout


def test_a_long_trial_says_which_epochs_its_table_leaves_out(sweep, tmp_path):
    for epochs in (12, 13, 200):
        made(tmp_path / "results", f"e{epochs}", {"lr": "0.1", "epochs": str(epochs)}, lambda _: 0.5)
        text = sweep("trial", f"e{epochs}", 0, env={"COLUMNS": "400"}).stdout
        lines = [line.split() for line in text.split("grad_norm")[1].splitlines() if " of " not in line]
        shown = {int(words[0]) for words in lines if words and words[0].isdigit()}
        told = re.search(r"([\d,]+) of \d+ epochs left out: ([^;]+);", text)
        if epochs == 12:
            assert told is None
            continue
        left = set()
        for run in re.sub(r" and .*", "", told[2]).split(", "):
            first, _, last = run.partition("–")
            left |= set(range(int(first), int(last or first) + 1))
        assert int(told[1]) == epochs - 12
        assert not left & shown
        assert len(left) == epochs - 12 or " more" in told[2]
    assert "grad_norm is the length of the whole net's gradient, the mean of every tenth step." in text
    assert "train_loss and train_accuracy are means over the epoch while it trains (dropout on)" in text


def test_the_curves_of_a_trial_are_told_apart_without_colour():
    """Alone, each is drawn as its own kind of line: one dot in four across, or every dot; the legend says which."""
    falling = [1 - place / 40 for place in range(41)]
    lines = {"a": falling, "b": [2.0, *[0.0] * 40]}
    text = drawn_curves(lines, 72).plain
    assert text.splitlines()[-1].endswith("epoch 1 to 41: · · · a (dotted), ─── b (a line)")
    gone = [math.nan] * 41

    def dots(lines):
        braille = (sign for sign in drawn_curves(lines, 72).plain if "⠀" <= sign <= "⣿")
        return sum(bin(ord(sign) - 0x2800).count("1") for sign in braille)

    assert dots({"a": gone, "b": falling}) == pytest.approx(4 * dots({"a": falling, "b": gone}), abs=4)


def test_every_format_of_export_says_the_same(sweep, tmp_path):
    sweep("grid", "--lr", "0.1,0.01", "--batch-norm", "on,off", "--epochs", 1, "--study", "s")
    for suffix in ("csv", "parquet", "json", "md"):
        sweep("export", "s", "-o", tmp_path / f"t.{suffix}")
    csv = pd.read_csv(tmp_path / "t.csv")
    parquet = pd.read_parquet(tmp_path / "t.parquet")
    listed = pd.DataFrame(json.loads((tmp_path / "t.json").read_text()))
    for other in (parquet, listed):
        assert list(other.columns) == list(csv.columns)
        for name in ("trial", "lr", "batch_norm", "val_loss"):
            assert other[name].tolist() == csv[name].tolist()
    assert len((tmp_path / "t.md").read_text().splitlines()) == 6
    with sqlite3.connect(tmp_path / "results" / "sweep.db") as raw:
        stored = dict(raw.execute("SELECT number, val_loss FROM trials"))
    assert stored == dict(zip(csv["trial"], csv["val_loss"], strict=True))


def test_plan_trains_nothing_and_counts_right(sweep, tmp_path):
    flags = ["--optimizer", "adam,sgd", "--beta1", "0.8,0.9", "--hidden", "8,16", "--seeds", 3]
    plan = json.loads(sweep("plan", *flags, "--json").stdout)
    assert (plan["combinations"], plan["settings"], plan["trials"]) == (8, 6, 18)
    assert plan["folded"] == {"beta1": 2}
    assert sum(cohort["trials"] for cohort in plan["cohorts"]) == 18
    assert plan["cohorts"][0]["parameters"] == 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10
    assert not (tmp_path / "results").exists()
    assert "2 of 8 combinations repeat others" in sweep("plan", *flags).stdout


def test_studies_are_listed_and_removed(sweep):
    sweep("grid", "--lr", "0.1,0.01", "--epochs", 1, "--study", "a")
    unnamed = sweep("grid", "--lr", 0.1, "--epochs", 1)
    name = unnamed.stderr.split(":")[0].splitlines()[-1]
    assert name.startswith("grid-")
    assert [row["name"] for row in json.loads(sweep("ls", "--json").stdout)] == ["a", name]
    sweep("rm", "a", code=1, input="n\n")
    assert "a" in sweep("ls").stdout
    sweep("rm", "a", input="y\n")
    sweep("rm", name, "--yes")
    assert json.loads(sweep("ls", "--json").stdout) == []


@pytest.mark.long
def test_interrupt_once_then_resume_equals_a_run_nobody_touched(sweep, tmp_path):
    """SIGINT to a real process after its first finished trials: exit 130, nothing recorded lost, resume finishes."""
    flags = ["--lr", "0.1,0.01,0.001,0.0001", "--beta1", "0.8,0.9", "--epochs", "60", "--lanes", "1"]
    process = start(tmp_path, "grid", *flags, "--study", "cut")
    database = tmp_path / "results" / "sweep.db"
    wait_for(lambda: database.exists() and finished(database) >= 1, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "sweep resume cut" in errors
    assert "Traceback" not in errors
    done = finished(database)
    assert 1 <= done < 8
    with sqlite3.connect(database) as raw:
        assert {state for (state,) in raw.execute("SELECT DISTINCT state FROM trials")} <= {"complete", "waiting"}
    resumed = sweep("resume", "cut")
    assert f"{done} done, " in resumed.stderr
    assert "0 duplicated" in resumed.stderr
    sweep("grid", *flags, "--study", "whole")
    assert csv_without_times(sweep, "cut") == csv_without_times(sweep, "whole")


@pytest.mark.parametrize("victim", ["study", pytest.param("worker", marks=pytest.mark.long)])
def test_kill_nine_loses_nothing(sweep, tmp_path, victim):
    """SIGKILL to the study process, then resume; or to a worker in training, which is replaced: the same numbers."""
    flags = ["--lr", "0.1,0.01,0.001,0.0001", "--epochs", "60", "--lanes", "1", "--jobs", "1"]
    process = start(tmp_path, "grid", *flags, "--study", "cut", stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    database = tmp_path / "results" / "sweep.db"
    wait_for(lambda: database.exists() and finished(database) >= 1, process)
    if victim == "study":
        hosts, workers = family(process)
        process.kill()
        process.wait()
        wait_for(lambda: not any(alive(pid) for pid in [*hosts, *workers]))
        sweep("resume", "cut")
    else:
        os.kill(family(process)[1][0], signal.SIGKILL)
        assert process.wait(timeout=120) == 0
    sweep("grid", *flags, "--study", "whole")
    assert csv_without_times(sweep, "cut") == csv_without_times(sweep, "whole")


@pytest.mark.long
def test_a_million_points_are_planned_at_once(sweep):
    plan = json.loads(
        sweep("plan", "--lr", "1e-4:1e-1:log:100", "--beta1", "0.5:0.99:100", "--hidden", "1:100:100", "--json").stdout
    )
    assert plan["trials"] == 1_000_000
    assert plan["cohort_count"] == len(plan["cohorts"]) == 100
    everywhere = ["--batch-norm", "on", "--bn-eps", "1e-6:1e-2:1000", "--bn-momentum", "0.01:1:1000"]
    plan = json.loads(sweep("plan", *everywhere, "--json").stdout)
    assert (plan["trials"], plan["cohort_count"], len(plan["cohorts"])) == (1_000_000, 1_000_000, 1000)


def test_further_tests_are_shown_and_never_ranked_on(sweep):
    flags = ["--batch-norm", "on", "--epochs", 2, "--study", "shifted"]
    sweep("grid", *flags, "--shift", "contrast=0.5x, bright=x+6", "--evaluate-every", 10)
    sweep("grid", *flags[:-1], "plain")
    told = sweep("trial", "shifted", 0, "--test").stdout
    assert re.search(r"test_accuracy_bright: \d", told)
    assert re.search(r"test_accuracy_contrast_batch_statistics: \d", told)
    assert "bright" not in sweep("trial", "shifted", 0).stdout
    heads = [sweep("export", name, "--test", "-o", "-").stdout.splitlines() for name in ("shifted", "plain")]
    assert "test_loss_contrast" in heads[0][0].split(",")
    curves = [sweep("export", name, "--curves", "-o", "-").stdout for name in ("shifted", "plain")]
    assert [re.sub(r",[^,]*$", "", line) for line in curves[0].splitlines()] == [
        re.sub(r",[^,]*$", "", line) for line in curves[1].splitlines()
    ]
    refused = sweep("show", "shifted", "--metric", "test_accuracy_bright", code=2).stderr
    assert "nothing is selected on test data" in refused
    told = sweep("grid", *flags, "--lr", 0.1, "--shift", "dark=x-6", code=2).stderr
    assert "exists with another recipe" in told
    again = sweep("grid", *flags, "--shift", "dark=x-6").stderr
    assert "1 finished trial stays as it was watched, since nothing is trained twice" in again
