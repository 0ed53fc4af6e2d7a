"""Never lose a trial, never train one twice: kills at random moments, checkpoints, growth, failures, budgets."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import resource
import signal
import time
from pathlib import Path

import pytest
import torch

from sweep import checkpoint
from sweep.engine import Saver, Training
from sweep.hyperparameters import canonical
from sweep.space import Trial, Watch
from tests.conftest import runner
from tests.processes import alive, family, finished, inject_defect, kill, numbers, query, start, table, wait_for
from tests.thin import thin

OFTEN = {"SWEEP_CHECKPOINT_SECONDS": "0.05"}
"""Checkpoints many times a second, so that kills meet them."""

SPACE = ["--lr", "1e-3:1:log", "--optimizer", "adam,sgd", "--momentum", "0:0.9", "--hidden", "8,16"]
COMMANDS = {
    "mlp": [
        "grid",
        "--lr",
        "0.1,0.01,0.001",
        "--dropout",
        "0,0.3",
        "--batch-norm",
        "on,off",
        "--hidden",
        "24",
        "--epochs",
        "40",
    ],
    "cnn": [
        "grid",
        "--model",
        "cnn",
        "--hidden",
        "4",
        "--lr",
        "0.03,0.003",
        "--dropout",
        "0,0.3",
        "--batch-norm",
        "on",
        "--epochs",
        "6",
    ],
    "epochs": [
        *["grid", "--epochs", "60,10,30", "--lr", "0.1,0.01", "--dropout", "0,0.3", "--batch-norm", "on"],
        *["--lr-schedule", "constant,cosine", "--hidden", "8"],
    ],
    "asha": [
        "search",
        *SPACE,
        *["--trials", "30", "--in-flight", "10", "--epochs", "18", "--pruner", "asha", "--seeds", "2"],
    ],
    "wilcoxon": [
        "search",
        *SPACE,
        *["--trials", "48", "--in-flight", "4", "--epochs", "6", "--pruner", "wilcoxon", "--seeds", "6"],
    ],
}
"""What is run: grids, in one of them trials that share lanes; searches that prune by epochs and by seeds."""


# The campaign


def campaign(sweep, folder: Path, what: str, jobs: int, kills: int) -> str:
    """Kills real processes at random moments, resumes, and compares with a run that nobody touched.

    A study that is finished before all kills are spent is followed by another. Returns one line with the counts.
    """
    draw = random.Random(f"{what}/{jobs}/{kills}")
    command = [*COMMANDS[what], "--jobs", jobs]
    begin = time.monotonic()
    sweep(*command, "--study", "untouched")
    span = time.monotonic() - begin
    expected = numbers(sweep, "untouched")
    total = expected[0].count("\n") - 1
    database, parts = folder / "results" / "sweep.db", folder / "results" / ".checkpoints"
    trials = lost = doubled = differing = spent = 0
    for round_ in itertools.count():
        name = f"killed-{round_}"
        while True:
            process = start(folder, *command, "--study", name, env=OFTEN)
            if spent < kills:
                if draw.random() < 0.25:  # while a checkpoint is being written
                    wait_for(lambda p=process: p.poll() is not None or any(parts.glob("*/*.part")))
                else:  # any moment of start-up, training, ledger transactions
                    moment = time.monotonic() + draw.uniform(0, 1.5 * span)
                    wait_for(lambda p=process, m=moment: p.poll() is not None or time.monotonic() >= m)
                hosts, workers = family(process)
                victims = {
                    "study": [process.pid],
                    "worker": workers[:1],
                    "host": hosts,
                    "all": [process.pid, *hosts, *workers],
                }
                for pid in victims[draw.choice(list(victims))]:
                    kill(pid)
                    spent += 1
                process.communicate(timeout=300)
                wait_for(lambda pids=(*hosts, *workers): not any(alive(pid) for pid in pids))
            process.communicate(timeout=300)
            if process.returncode == 0:
                break
        rows = query(
            database,
            f"SELECT setting, seed, state FROM trials JOIN studies ON studies.id = study WHERE name = '{name}'",
        )
        trials += len(rows)
        lost += total - len(rows) + sum(state not in ("complete", "pruned") for *_, state in rows)
        doubled += len(rows) - len({row[:2] for row in rows})
        found = numbers(sweep, name)
        differing += sum(a != b for a, b in zip(found[0].splitlines(), expected[0].splitlines(), strict=True))
        differing += sum(a != b for a, b in zip(found[1].splitlines(), expected[1].splitlines(), strict=True))
        if spent >= kills:
            return f"kills {spent}, trials {trials}, lost {lost}, doubled {doubled}, differing {differing}"


@pytest.mark.long
@pytest.mark.parametrize(
    ("what", "jobs"),
    [("mlp", 2), ("epochs", 2), pytest.param("cnn", 1, marks=pytest.mark.slow), ("asha", 2)],
)
def test_kill_campaign_short(sweep, tmp_path, what, jobs, capsys):
    line = campaign(sweep, tmp_path, what, jobs, kills=4)
    with capsys.disabled():
        print(f"\n{what}, jobs {jobs}: {line}")
    assert line.endswith("lost 0, doubled 0, differing 0")


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("what", COMMANDS)
def test_kill_campaign_full(sweep, tmp_path, what, jobs, capsys):
    line = campaign(sweep, tmp_path, what, jobs, kills=50)
    with capsys.disabled():
        print(f"\n{what}, jobs {jobs}: {line}")
    assert line.endswith("lost 0, doubled 0, differing 0")


@pytest.mark.long
def test_kills_leave_every_score_within_epochs_as_it_was(sweep, tmp_path):
    """Steps that end within an epoch, noisy labels, further tests: what was read on the way is the same, none twice."""
    flags = ["--lr", "0.1,0.01", "--batch-norm", "on,off", "--dropout", 0.2, "--label-noise", "0,0.3", "--steps", 500]
    command = ["grid", *flags, "--evaluate-every", 7, "--shift", "both=0.5x+6", "--jobs", 2]
    sweep(*command, "--study", "untouched")
    for wait in (150, 900):
        process = start(tmp_path, *command, "--study", "killed", env=OFTEN)
        wait_for(lambda p=process, n=wait: p.poll() is not None or len(readings(tmp_path, "killed")) > n)
        hosts, workers = family(process)
        for pid in (process.pid, *hosts, *workers):
            kill(pid)
        process.communicate(timeout=60)
    assert "8 complete" in sweep(*command, "--study", "killed").stderr
    assert readings(tmp_path, "killed") == readings(tmp_path, "untouched")
    assert numbers(sweep, "killed") == numbers(sweep, "untouched")


def readings(folder: Path, study: str) -> list[tuple[object, ...]]:
    """What was read of a study beside the numbers of every epoch; nothing while there is no ledger."""
    columns = "trial, epoch, step, place, quantity, value"
    asked = f"SELECT {columns} FROM readings JOIN studies ON id = study WHERE name = '{study}' ORDER BY {columns}"
    return query(folder / "results" / "sweep.db", asked)


# Checkpoints


def plain(records) -> list[dict]:
    return [{key: repr(value) for key, value in record._asdict().items() if key != "seconds"} for record in records]


@pytest.mark.parametrize(
    "shape",
    [
        {"batch_norm": True, "hidden": 9},
        {"model": "cnn", "hidden": 3, "depth": 2, "optimizer": "rmsprop"},
        {"steps": 80, "lr_schedule": "cosine"},
    ],
    ids=["mlp", "cnn", "steps"],
)
def test_a_training_stopped_at_any_step_goes_on_to_the_same_bits(digits, tmp_path, shape):
    """Stopped after a random step, taken up with some of its lanes, in another order, dropout on, looked at: no bit
    differs.
    """
    watch = Watch(("layers", "gap"), (2, 3))
    draw = random.Random(0)
    settings = [
        canonical({"lr": lr, "dropout": p, "epochs": 3, "momentum": 0.5, "batch_size": 32, "label_noise": p, **shape})
        for lr in (0.1, 0.003)
        for p in (0.0, 0.4)
    ]
    trials = [
        Trial(number, setting, seed) for number, (seed, setting) in enumerate(itertools.product((0, 1), settings))
    ]
    whole = {trial.number: [] for trial in trials}
    for records in Training(trials, digits, watch=watch):
        for record in records:
            whole[record.number] += plain([record])
    for attempt in range(4):
        calls, stop = itertools.count(), draw.randrange(1, int(settings[0]["steps"]) or 3 * 34)
        torch.manual_seed(attempt)
        training = Training(
            trials,
            digits,
            Saver(tmp_path / str(attempt), "data"),
            lambda c=calls, s=stop: "now" if next(c) >= s else "",
            watch=watch,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sweep.engine.training.ASK_SECONDS", 0.0)
            list(training)
        assert training.stopped
        [saved] = checkpoint.scan(tmp_path / str(attempt))
        members = draw.sample(trials, 5)
        resumed = {trial.number: [] for trial in members}
        for records in Training(members, digits, Saver(tmp_path / "other", "data", saved.path), watch=watch):
            for record in records:
                resumed[record.number] += plain([record])
        assert resumed == {trial.number: whole[trial.number] for trial in members}


def test_asked_between_steps_a_training_stops_at_the_end_of_its_epoch(digits):
    """The request is seen in the middle of epoch 2 and heeded at its end."""
    calls = itertools.count()
    training = Training(
        [Trial(0, canonical({"epochs": 5}), 0)], digits, None, lambda: "epoch" if next(calls) == 20 else ""
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweep.engine.training.ASK_SECONDS", 0.0)
        assert [records[0].epoch for records in training] == [1, 2]
    assert training.stopped


def interrupted_study(folder: Path, *flags: object) -> Path:
    """A study stopped in mid-training with SIGTERM after it has written a checkpoint; the checkpoint's path."""
    process = start(folder, "grid", *flags, "--study", "cut", env=OFTEN)
    files = folder / "results" / ".checkpoints"
    wait_for(lambda: any(files.glob("*/*.safetensors")), process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    found = sorted(files.glob("*/*.safetensors"))
    assert found
    return found[-1]


LONG = ["--lr", "0.1,0.01", "--dropout", 0.2, "--epochs", 150, "--jobs", 1]


@pytest.fixture(scope="module")
def long_numbers(tmp_path_factory) -> tuple[str, str]:
    """The numbers of the study LONG that nobody touched."""
    run = runner(tmp_path_factory.mktemp("untouched"))
    run("grid", *LONG, "--study", "whole")
    return numbers(run, "whole")


@pytest.mark.long
def test_resume_goes_on_from_a_checkpoint_and_cleans_up(sweep, tmp_path, long_numbers):
    interrupted_study(tmp_path, *LONG)
    before = query(tmp_path / "results" / "sweep.db", "SELECT count(*) FROM epochs")[0][0]
    assert before > 0  # what was trained is recorded
    result = sweep("resume", "cut")
    assert "0 done, 2 retried (2 from a checkpoint), 0 left, 0 duplicated" in result.stderr
    assert numbers(sweep, "cut") == long_numbers
    assert not (tmp_path / "results" / ".checkpoints").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    "harm",
    ["cut", "flipped", "foreign", *(pytest.param(harm, marks=pytest.mark.slow) for harm in ("missing", "pickle"))],
)
def test_a_bad_checkpoint_costs_time_never_a_number(sweep, tmp_path, harm, long_numbers):
    path = interrupted_study(tmp_path, *LONG)
    body = path.read_bytes()
    if harm == "cut":
        path.write_bytes(body[: len(body) // 2])
    elif harm == "flipped":
        path.write_bytes(body[:-9] + bytes([body[-9] ^ 1]) + body[-8:])
    elif harm == "missing":
        path.unlink()
    elif harm == "foreign":  # whole, but of other trials
        path.unlink()
        checkpoint.write(path.parent, "0-1-2", body.replace(b'\\"lr\\":0.1', b'\\"lr\\":0.2'))
    else:
        trap = b"cos\nsystem\n(S'touch " + str(tmp_path / "sprung").encode() + b"'\ntR."
        path.unlink()
        checkpoint.write(path.parent, "0-1-2", trap)
    sweep("resume", "cut")
    assert numbers(sweep, "cut") == long_numbers
    assert not (tmp_path / "sprung").exists()


def test_a_torn_file_is_none_and_a_whole_one_is_read(tmp_path):
    import safetensors.torch

    about = {"format": checkpoint.FORMAT, "epoch": 3, "step": 2, "trials": [["{}", 0]]}
    path = checkpoint.write(tmp_path, "x", safetensors.torch.save({"a": torch.ones(3)}, {"sweep": json.dumps(about)}))
    assert checkpoint.read(path)[1] == about
    assert [saved.position for saved in checkpoint.scan(tmp_path)] == [(3, 2)]
    body = path.read_bytes()
    for end in (0, 7, 8, 50, len(body) - 1):
        path.write_bytes(body[:end])
        assert checkpoint.read(path) is None
        assert checkpoint.scan(tmp_path) == []


# Growth


def by_setting(sweep, study: str) -> str:
    frame = table(sweep, study, "--test").drop(columns=["seconds", "rank", "trial"])
    return (
        frame.sort_values(["seed", "lr", "beta1"]).to_csv(index=False)
        if "beta1" in frame
        else frame.sort_values(["seed", "lr"]).to_csv(index=False)
    )


def test_a_study_grows_by_values_and_seeds_training_only_what_is_missing(sweep, tmp_path):
    sweep("grid", "--lr", "0.1,0.01", "--epochs", 3, "--study", "g")
    seconds = query(tmp_path / "results" / "sweep.db", "SELECT number, seconds FROM trials ORDER BY number")
    grown = sweep("grid", "--lr", "0.1,0.03,0.01", "--beta1", "0.9,0.5", "--seeds", 2, "--epochs", 3, "--study", "g")
    assert "g grows" in grown.stderr
    assert "2 done, 0 retried, 10 left, 0 duplicated" in grown.stderr
    assert query(tmp_path / "results" / "sweep.db", "SELECT number, seconds FROM trials ORDER BY number")[:2] == seconds
    sweep("grid", "--lr", "0.1,0.03,0.01", "--beta1", "0.9,0.5", "--seeds", 2, "--epochs", 3, "--study", "whole")
    assert by_setting(sweep, "g") == by_setting(sweep, "whole")


def test_epochs_that_become_a_list_leave_the_finished_ones(sweep):
    sweep("grid", "--lr", "0.1,0.01", "--epochs", 2, "--study", "g")
    grown = sweep("grid", "--lr", "0.1,0.01", "--epochs", "2,4", "--study", "g")
    assert "2 done, 0 retried, 2 left, 0 duplicated" in grown.stderr
    assert "4 done, 0 retried, 0 left" in sweep("resume", "g").stderr
    frame = table(sweep, "g")
    assert sorted(zip(frame["trial"], frame["max_epochs"], strict=True)) == [
        ("0", "2"),
        ("1", "2"),
        ("2", "4"),
        ("3", "4"),
    ]


@pytest.mark.parametrize("keep", thin([True, False], 2))
def test_more_epochs_continue_from_kept_checkpoints_or_train_again(sweep, keep):
    flags = ["--lr", "0.1,0.01", "--dropout", 0.3, "--optimizer", "sgd", "--momentum", 0.9]
    sweep("grid", *flags, "--epochs", 4, "--study", "g", *(["--keep-checkpoints"] if keep else []))
    grown = sweep("grid", *flags, "--epochs", 9, "--study", "g")
    assert f"0 done, 2 retried ({2 if keep else 0} from a checkpoint), 0 left" in grown.stderr
    sweep("grid", *flags, "--epochs", 9, "--study", "whole")
    assert numbers(sweep, "g") == numbers(sweep, "whole")


def test_more_epochs_under_a_schedule_train_again(sweep):
    """Half a cosine over 4 epochs is no beginning of half a cosine over 9."""
    flags = ["--lr", "0.1,0.01", "--lr-schedule", "cosine"]
    sweep("grid", *flags, "--epochs", 4, "--study", "g", "--keep-checkpoints")
    assert "(0 from a checkpoint)" in sweep("grid", *flags, "--epochs", 9, "--study", "g").stderr
    sweep("grid", *flags, "--epochs", 9, "--study", "whole")
    assert numbers(sweep, "g") == numbers(sweep, "whole")


def test_more_steps_train_again_from_the_start(sweep):
    """The last epoch of fewer steps ended in its middle, so nothing can go on from there."""
    sweep("grid", "--steps", 20, "--study", "grown")
    again = sweep("grid", "--steps", 30, "--study", "grown")
    assert "trained for more steps, from the start" in again.stderr
    sweep("grid", "--steps", 30, "--study", "new")
    assert numbers(sweep, "grown") == numbers(sweep, "new")
    assert "steps: 30 there, 20 here" in sweep("grid", "--steps", 20, "--study", "grown", code=2).stderr
    assert "epochs" in sweep("grid", "--epochs", 30, "--study", "grown", code=2).stderr


def test_an_incomparable_change_is_refused_with_the_difference(sweep):
    base = {"--lr": "0.1,0.01", "--epochs": 2, "--study": "g"}
    sweep("grid", *itertools.chain(*base.items()))
    for change, named in (
        (("--loss", "mse"), "loss"),
        (("--loss", "mse,cross_entropy"), "loss"),
        (("--split-seed", 1), "split_seed"),
        (("--lr", "0.1"), "lr"),
        (("--epochs", 1), "epochs"),
        (("--hidden", 8), "hidden"),
    ):
        refused = sweep("grid", *itertools.chain(*(base | dict([change])).items()), code=2)
        assert named in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_other_rows_in_the_same_file_are_refused(sweep, tmp_path):
    import numpy as np

    def write(seed: int) -> None:
        draw = np.random.default_rng(seed)
        x, y = draw.normal(size=(60, 5)), np.arange(60) % 3
        np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x[:9], y_test=y[:9])

    write(0)
    sweep("grid", "--data", "d.npz", "--epochs", 1, "--lr", 0.1, "--study", "g")
    write(1)
    refused = sweep("grid", "--data", "d.npz", "--epochs", 1, "--lr", "0.1,0.2", "--study", "g", code=2)
    assert "began with other data" in refused.stderr


# Failures


@pytest.mark.long
def test_a_trial_that_kills_its_worker_three_times_has_failed_and_the_rest_goes_on(sweep, tmp_path):
    flags = ["--lr", "0.1,0.01,0.001", "--epochs", 60, "--lanes", 1, "--jobs", 1, "--study", "k"]
    process = start(tmp_path, "grid", *flags)
    database = tmp_path / "results" / "sweep.db"
    for _ in range(3):
        wait_for(
            lambda: query(
                database, "SELECT 1 FROM epochs JOIN trials ON number = trial WHERE number = 1 AND state = 'running'"
            ),
            process,
        )
        [worker] = family(process)[1]
        kill(worker)
        wait_for(lambda w=worker: not alive(w))
        wait_for(
            lambda: not query(database, "SELECT 1 FROM trials WHERE number = 1 AND state = 'running' AND epochs > 0"),
            process,
        )
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "worker killed by SIGKILL; failed" in errors
    assert query(database, "SELECT number, state, reason FROM trials ORDER BY number") == [
        (0, "complete", None), (1, "failed", "worker killed by SIGKILL"), (2, "complete", None),
    ]  # fmt: skip
    assert "failed" in output
    assert sweep("resume", "k", code=1).stderr.count("3 done") == 1  # not retried unless asked
    sweep("resume", "k", "--retry-failed")
    sweep("grid", *flags[:-1], "whole")
    assert numbers(sweep, "k") == numbers(sweep, "whole")


@pytest.mark.long
def test_an_error_in_the_code_fails_its_trial_alone_and_keeps_the_traceback(sweep, tmp_path):
    inject_defect(tmp_path, "lr", 0.02)
    flags = ["--lr", "0.1,0.02,0.01", "--epochs", 2, "--study", "e"]
    result = sweep("grid", *flags, code=1, env={"PYTHONPATH": str(tmp_path)})
    assert "a defect in the code" in result.stderr
    states = table(sweep, "e").set_index("trial")["state"].to_dict()
    assert states == {"0": "complete", "1": "failed", "2": "complete"}
    stored = json.loads(sweep("trial", "e", 1, "--json").stdout)
    assert "ZeroDivisionError: a defect in the code" in stored["traceback"]
    assert stored["reason"] == "ZeroDivisionError: a defect in the code"
    sweep("resume", "e", "--retry-failed")
    sweep("grid", *flags[:-1], "whole")
    assert numbers(sweep, "e") == numbers(sweep, "whole")


@pytest.mark.long
def test_out_of_memory_halves_the_lanes(sweep, tmp_path):
    """Twelve lanes of a 2,500-wide net do not fit into the memory that is allowed; fewer do."""
    flags = [
        "--hidden",
        2500,
        "--depth",
        3,
        "--lr",
        "1e-4:1e-2:log:12",
        "--epochs",
        1,
        "--train-size",
        64,
        "--jobs",
        1,
    ]
    status = Path("/proc/self/status").read_text()  # torch is loaded here as in a worker
    room = int(re.search(r"VmSize:\s+(\d+)", status)[1]) * 1024 + (2 << 30)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (room, room))

    process = start(tmp_path, "grid", *flags, "--lanes", 64, "--study", "m", preexec_fn=limited)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    if "out of memory" not in errors:
        pytest.skip("this machine fits them all into the memory that was allowed")
    sweep("grid", *flags, "--lanes", 1, "--study", "lone")
    assert numbers(sweep, "m") == numbers(sweep, "lone")


# Budgets


def test_max_trials_is_a_total(sweep):
    flags = ["--lr", "0.1,0.01,0.001,0.0001", "--epochs", 2, "--study", "b"]
    first = sweep("grid", *flags, "--max-trials", 1)
    assert "1 complete of 4 trials" in first.stderr
    assert "sweep resume b" in first.stderr
    assert "3 complete of 4" in sweep("resume", "b", "--max-trials", 3).stderr
    assert "trained 0" in sweep("resume", "b", "--max-trials", 2).stderr
    sweep("resume", "b")
    sweep("grid", *flags[:-1], "whole")
    assert numbers(sweep, "b") == numbers(sweep, "whole")


@pytest.mark.long
def test_the_time_limit_stops_in_mid_training_and_resume_goes_on(sweep, tmp_path):
    """The training is too long for any machine to end it in time; what two studies have in common is compared."""
    flags = ["--lr", "0.1,0.01", "--batch-size", 4, "--hidden", 256, "--epochs", 3000, "--jobs", 1, "--lanes", 2]
    database = tmp_path / "results" / "sweep.db"
    first = train_a_while(sweep, database, "t", "grid", *flags, "--study", "t")
    assert "0 complete" in first or "none finished" in first
    assert any((tmp_path / "results" / ".checkpoints").glob("*/*.safetensors"))
    before = curves(database, "t")
    assert "(2 from a checkpoint)" in train_a_while(sweep, database, "t", "resume", "t")
    after = curves(database, "t")
    assert after.items() > before.items()
    train_a_while(sweep, database, "whole", "grid", *flags, "--study", "whole")
    untouched = curves(database, "whole")
    common = untouched.keys() & after.keys()
    assert common
    assert all(untouched[key] == after[key] for key in common)


def train_a_while(sweep, database: Path, study: str, *args: object) -> str:
    """Runs a command that takes longer than any time limit, with ever longer ones, until the study has more epochs;
    what the last run said."""
    before = len(curves(database, study))
    for seconds in (4, 8, 16, 32, 64):
        said = sweep(*args, "--time-limit", seconds).stderr
        assert "the time limit is reached" in said
        if len(curves(database, study)) > before:
            break
    return said


def curves(database: Path, study: str) -> dict[tuple[int, int], tuple[float, ...]]:
    """What a study's epochs gave, of unfinished trials too, wall-clock columns aside: by trial and epoch."""
    columns = "trial, epoch, train_loss, train_accuracy, val_loss, val_accuracy, grad_norm"
    rows = query(database, f"SELECT {columns} FROM epochs JOIN studies ON id = study WHERE name = '{study}'")
    return {(trial, epoch): tuple(values) for trial, epoch, *values in rows}


@pytest.mark.parametrize("text", ["", "0", "-5s", "soon", "5 parsecs"])
def test_a_time_limit_that_is_no_duration(sweep, text):
    assert "--time-limit" in sweep("grid", "--lr", 0.1, f"--time-limit={text}", code=2).stderr


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_to_the_whole_group_stops_in_order(tmp_path, number):
    """As `timeout`, a closed window or a terminal sends it."""
    process = start(tmp_path, "grid", *LONG, "--study", "cut", start_new_session=True)
    wait_for(lambda: query(tmp_path / "results" / "sweep.db", "SELECT 1 FROM epochs"), process)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "sweep resume cut" in errors
    assert not query(tmp_path / "results" / "sweep.db", "SELECT 1 FROM trials WHERE state = 'running'")


@pytest.mark.long
def test_results_deleted_under_a_run_are_noticed(tmp_path):
    import shutil

    process = start(tmp_path, "grid", *LONG, "--study", "cut")
    wait_for(lambda: query(tmp_path / "results" / "sweep.db", "SELECT 1 FROM epochs"), process)
    shutil.rmtree(tmp_path / "results", ignore_errors=True)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert "was removed or replaced" in errors


# Two at once


@pytest.mark.long
def test_a_second_process_on_the_study_is_told_who_has_it_and_readers_go_on(sweep, tmp_path):
    process = start(tmp_path, "grid", *LONG, "--study", "cut")
    wait_for(lambda: query(tmp_path / "results" / "sweep.db", "SELECT 1 FROM epochs"), process)
    refused = sweep("resume", "cut", code=1)
    assert f"process {process.pid} on {os.uname().nodename} since 20" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "cut" in sweep("ls").stdout
    sweep("show", "cut", "--all")
    sweep("grid", "--lr", 0.1, "--epochs", 1, "--study", "beside")  # another study at the same time
    kill(process.pid)
    process.communicate()
    sweep("resume", "cut", "--max-trials", 1)  # the lock of the dead is free at once


# Reproduce


def test_reproduce_says_identical_or_the_first_difference(sweep, tmp_path):
    import contextlib
    import sqlite3

    sweep("grid", "--lr", "0.1,0.01", "--dropout", 0.3, "--epochs", 3, "--seeds", 2, "--study", "r")
    assert sweep("reproduce", "r", 3).stdout.startswith("identical: trial 3, 3 epochs")
    with contextlib.closing(sqlite3.connect(tmp_path / "results" / "sweep.db")) as raw, raw:
        raw.execute("UPDATE epochs SET val_loss = val_loss + 1e-15 WHERE trial = 3 AND epoch = 2")
    shown = sweep("reproduce", "r", 3, code=1).stdout
    assert "first in epoch 2: val_loss was" in shown
    assert "torch" in shown
    assert json.loads(sweep("reproduce", "r", 2, "--json").stdout)["identical"] is True
    assert finished(tmp_path / "results" / "sweep.db") == 4


@pytest.mark.parametrize("every", [1, 7])
def test_scoring_within_epochs_changes_no_bit_and_outlasts_a_stop(digits, tmp_path, every):
    """Readings at every so many steps of the whole training, those at an epoch's end its own numbers, the same after a
    stop and whatever the company; without them no other number differs."""
    settings = [canonical({"lr": lr, "steps": 40, "batch_norm": True, "dropout": 0.2}) for lr in (0.003, 0.1)]
    trials = [Trial(number, setting, 3) for number, setting in enumerate(settings)]
    watched, whole = Watch(every=every), {}
    for records in Training(trials, digits, watch=watched):
        for record in records:
            whole.setdefault(record.number, []).append(record)
    alone = [record for (record,) in Training(trials[1:], digits, watch=watched)]
    assert plain(alone) == plain(whole[1])
    bare = [record for (record,) in Training(trials[1:], digits)]
    assert plain(bare) == plain([record._replace(readings=()) for record in alone])
    read = [one for record in alone for one in record.readings]
    assert [one.step for one in read[::2]] == [*range(every, 41, every)]
    if every == 1:
        losses = {one.step: one.value for one in read if one.quantity == "val_loss"}
        assert [losses[step] for step in (17, 34, 40)] == [record.val_loss for record in alone]
    calls = itertools.count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweep.engine.training.ASK_SECONDS", 0.0)
        stopped = Training(
            trials, digits, Saver(tmp_path, "data"), lambda: "now" if next(calls) > 25 else "", watch=watched
        )
        list(stopped)
    [saved] = checkpoint.scan(tmp_path)
    resumed = [
        record for (record,) in Training(trials[1:], digits, Saver(tmp_path / "b", "data", saved.path), watch=watched)
    ]
    assert plain(resumed) == plain(whole[1])
