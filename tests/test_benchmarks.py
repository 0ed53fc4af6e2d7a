"""The benchmark scripts run, in a tiny form, and the peers train what the product trains. No time is asserted."""

from __future__ import annotations

import importlib.util
import json
import math
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


def script(name: str, *args: object) -> str:
    """The output of a benchmark script."""
    command = [sys.executable, str(BENCHMARKS / name), *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def module(name: str) -> Any:
    """A fixture: a benchmark's module."""

    def imported(monkeypatch):
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        return importlib.import_module(name)

    return pytest.fixture(imported)


run, peers, breakdown = (module(name) for name in ("run", "peers", "breakdown"))


def header(text: str) -> list[str]:
    """The column names of the first Markdown table."""
    return [
        cell.strip() for cell in next(line for line in text.splitlines() if line.startswith("|")).strip("|").split("|")
    ]


def columns(*peers: str) -> list[str]:
    """The first table's columns."""
    names = ("sweep", *peers)
    return [
        *("workload", "trials", *(f"{name}/min" for name in names), *(f"x {peer}" for peer in peers)),
        *(f"x bare {peer}" for peer in peers),
        *(
            "limit/min",
            "of limit",
            "took s",
            "planned s",
            *(f"best {name}" for name in names),
            "median diff",
            "largest diff",
        ),
    ]


WHERE = (
    "workload, of limit, total s, start-up s, training s, evaluating, end s, other s, lanes, step ms, "
    "products, optimizer, normalisation, activation, pooling, data movement, rest"
)


@pytest.fixture
def fewer_processes(run, peers, breakdown, monkeypatch):
    """Runs what would import torch in a process of its own within this one, all but sweep itself."""
    import torch

    outside = run.timed

    def timed(command, **environment):
        if "watched.py" in command[1]:
            return outside(command, **environment)
        begin = time.time()
        if command[1] == "-c":
            peers.main(command[3:])
        else:
            {"product_speed": breakdown.product_speed, "profile": breakdown.profile}[command[2]](command[3:])
        return begin, time.time() - begin

    monkeypatch.setattr(run, "timed", timed)
    monkeypatch.setattr(breakdown, "PRODUCTS", 3)
    monkeypatch.setattr(breakdown, "PROFILE_SECONDS", 0.01)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.long
@pytest.mark.usefixtures("fewer_processes")
def test_the_benchmark_runs_and_its_columns_agree(run, tmp_path, capsys):
    file = tmp_path / "figures.json"
    run.main(["digits-mlp", "--tiny", "--peers", "optuna", "--json", str(file)])
    text = capsys.readouterr().out
    assert header(text) == columns("optuna")
    assert f"| {WHERE.replace(', ', ' | ').replace('activation | pooling', 'activation, pooling')} |" in squeezed(text)
    assert "digits-mlp: optuna on 2 of 4 trials (sweep's best of those" in text
    [row] = json.loads(file.read_text())["workloads"]
    assert (row["trials"], row["compared"], row["trained"]) == (4, 2, {"sweep": 4, "optuna": 2})
    # Without batch norm they agree to 1e-6; under it, rounding decides the gradient of the digits' constant pixels
    assert row["largest_difference"] < 0.01
    assert row["best_val_loss"]["optuna"] == pytest.approx(row["best_of_same"]["optuna"], abs=0.01)
    assert row["best_val_loss"]["sweep"] <= row["best_of_same"]["optuna"]
    assert row["share"] == pytest.approx(row["per_minute"]["sweep"] / row["limit"])
    where = row["where"]
    parts = [where[name] for name in ("startup", "training", "end", "other")]
    assert sum(parts) == pytest.approx(where["seconds"])
    assert min(parts) >= 0
    assert where["profile"]["lanes"] >= 1
    assert row["core_gflops"] > 1
    assert sum(where["profile"]["shares"].values()) == pytest.approx(1)


def squeezed(text: str) -> str:
    """A text without the spaces that align its tables."""
    return " ".join(text.split())


@pytest.mark.slow
def test_every_peer_runs_and_agrees_with_sweep(tmp_path):
    pytest.importorskip("joblib")
    there = ["optuna", "expert", *(["ray"] if importlib.util.find_spec("ray") else [])]
    file = tmp_path / "figures.json"
    text = script("run.py", "digits-mlp", "--tiny", "--peers", "optuna,expert,ray", "--json", file)
    assert ("ray: skipped, the package ray is not installed" in text) == ("ray" not in there)
    assert header(text) == columns(*there)
    [row] = json.loads(file.read_text())["workloads"]
    assert (row["compared_with"], row["compared"]) == ("expert", 4)
    assert row["trained"] == {"sweep": 4} | {peer: 4 if peer == "expert" else 2 for peer in there}
    assert row["largest_difference"] < 0.01
    assert row["median_difference"] < 0.001
    for peer in there:
        assert row["best_val_loss"][peer] == pytest.approx(row["best_of_same"][peer], abs=0.01)
    assert row["core_gflops"] > 1
    assert row["where"]["profile"]["lanes"] >= 1


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_peers_train_what_the_engine_trains(peers, digits, model):
    import torch

    from sweep.engine import Program
    from sweep.hyperparameters import canonical
    from sweep.space import Trial

    shape = {"model": model, "hidden": 8, "batch_size": 32, "epochs": 2, "beta1": 0.8}
    trials = [Trial(number, canonical({"lr": lr, **shape}), seed=number) for number, lr in enumerate((0.01, 0.001))]
    with torch.no_grad():
        program = Program([trial.setting for trial in trials], [trial.seed for trial in trials], digits)
        *_, ours = (program.train_epoch(epoch) for epoch in (1, 2))
    for lane, trial in enumerate(trials):
        for peer in (peers.beginner_trial, peers.expert_trial):
            reported = []
            (loss, accuracy), testing = peer(
                trial, digits, lambda epoch, result, told=reported: told.append((epoch, *result))
            )
            assert [epoch for epoch, *_ in reported] == [1, 2]
            assert reported[-1][1:] == (loss, accuracy)
            assert testing > 0
            assert loss == pytest.approx(ours.val_loss[lane], rel=1e-4)
            assert accuracy == pytest.approx(ours.val_accuracy[lane], abs=0.003)


def test_a_workload_is_the_grid_it_says_and_a_fraction_of_it_covers_every_axis(run, breakdown, peers):
    for name, workload in run.WORKLOADS.items():
        recipe = run.load_recipe(None, workload.flags)
        trials = list(recipe.grid.trials())
        assert (
            len(trials)
            == {"digits-mlp": 288, "mnist-mlp64": 72, "mnist-mlp256": 72, "mnist-cnn": 18, "mixed": 216}[name]
        )
        work = [breakdown.operations(trial.setting, run.describe(recipe.data)) for trial in trials]
        for peer, every in workload.every.items():
            part = trials[::every]
            if peer == "optuna":
                part = []
                count = peers.grid_study(recipe, every, lambda trial, _, part=part: part.append(trial) or 0.0, None)
                assert len(part) == count == math.ceil(len(trials) / every)
                assert len({trial.number for trial in part}) == count
            assert all(trial == trials[trial.number] for trial in part)
            for axis, values in recipe.grid.points.items():
                assert {trial.setting[axis] for trial in part} == set(values), (name, peer, axis)
            mean = statistics.mean(work[trial.number] for trial in part)
            assert mean == pytest.approx(statistics.mean(work), rel=0.15), (name, peer)


def test_optuna_knows_no_conditions(peers):
    flags = {"data": "digits", "optimizer": "adam,sgd", "beta1": "0.8,0.9", "hidden": "4", "seeds": "2"}
    recipe = peers.load_recipe(None, flags)
    seen = []
    count = peers.grid_study(recipe, 1, lambda trial, _: seen.append(trial.number) or 0.0, None)
    assert count == 2 * 2 * 2
    # Under SGD both values of beta1 are the same trial
    assert sorted(seen) == [0, 1, 2, 3, 4, 4, 5, 5]


def test_an_extrapolated_pace_counts_start_and_end_once(run):
    results = dict.fromkeys(range(5), (0.0, 0.0))
    assert run.Run(12.5, 2.0, 0.5, results, 5, 50).minute(50) == pytest.approx(60 * 50 / (2.5 + 10 * 10))
    # A peer that would train 80 for the 50 trials of the grid
    assert run.Run(12.5, 2.0, 0.5, results, 5, 80).minute(50) == pytest.approx(60 * 50 / (2.5 + 10 * 16))
    # Two of its ten seconds went to test rows
    peer = run.Run(12.5, 2.0, 0.5, results, 5, 50, testing=2.0)
    assert peer.minute(50, testing=False) == pytest.approx(60 * 50 / (2.5 + 8 * 10))


def test_the_arithmetic_of_a_trial_by_hand(breakdown):
    from sweep.data import describe
    from sweep.hyperparameters import canonical

    digits, mnist = describe("digits"), describe("mnist")
    mlp = canonical({"hidden": 32, "depth": 2, "batch_size": 32, "epochs": 3})
    assert breakdown.multiply_adds(mlp, digits) == [64 * 32, 32 * 32, 32 * 10]
    # 1,079 training, 359 validation and 359 test rows; 2,048 + 1,024 + 320 = 3,392 multiply-adds, 1,344 after the first
    assert breakdown.operations(mlp, digits) == 2 * (3 * (1079 * (2 * 3392 + 1344) + 359 * 3392) + 359 * 3392)
    # 1,079 = 7 x 154 + 1: a last minibatch of one row is left out
    sevens = canonical({"hidden": 32, "depth": 2, "batch_size": 7, "epochs": 3})
    assert breakdown.operations(mlp, digits) - breakdown.operations(sevens, digits) == 2 * 3 * (2 * 3392 + 1344)
    assert [breakdown.minibatches(mlp, rows) for rows in (31, 32, 33, 34)] == [1, 1, 1, 2]
    cnn = canonical({"model": "cnn", "hidden": 16, "depth": 2, "train_size": 5000, "batch_size": 128, "epochs": 1})
    layers = [9 * 16 * 28 * 28, 9 * 16 * 32 * 14 * 14, 32 * 7 * 7 * 10]
    assert breakdown.multiply_adds(cnn, mnist) == layers
    total = 5000 * (2 * sum(layers) + sum(layers[1:])) + 20_000 * sum(layers)
    assert breakdown.operations(cnn, mnist) == 2 * total


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_arithmetic_of_a_trial_is_what_torch_counts(breakdown, digits, model):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from sweep import nets
    from sweep.data import describe
    from sweep.hyperparameters import canonical

    setting = canonical({"model": model, "hidden": 6, "depth": 2, "batch_norm": True, "batch_size": 64, "epochs": 2})
    net = nets.build(setting, tuple(digits.train.x.shape[1:]), digits.classes)
    with FlopCounterMode(display=False) as counted:
        for _ in range(2):
            for pick in torch.arange(len(digits.train.y)).split(64):
                torch.nn.functional.cross_entropy(net(digits.train.x[pick]), digits.train.y[pick]).backward()
            with torch.no_grad():
                net(digits.val.x)
        with torch.no_grad():
            net(digits.test.x)
    assert breakdown.operations(setting, describe("digits")) == counted.get_total_flops()


def test_a_step_is_broken_down_by_kind(breakdown, digits):
    from sweep.hyperparameters import canonical
    from sweep.space import Trial

    def shares(**values):
        trials = tuple(Trial(number, canonical(values), seed=number) for number in range(2))
        found = breakdown.step_profile(trials, digits, seconds=0.01)
        assert found["lanes"] == 2
        assert list(found["shares"]) == [*breakdown.KINDS, "rest"]
        assert sum(found["shares"].values()) == pytest.approx(1)
        return found["shares"]

    plain = shares(hidden=8, batch_size=128)
    assert plain["products"] > 0
    assert plain["optimizer"] > 0
    assert plain["normalisation"] == 0
    assert shares(hidden=8, batch_size=128, batch_norm=True)["normalisation"] > 0
    assert shares(model="cnn", hidden=2, depth=1, batch_size="full")["activation, pooling"] > 0


def test_the_outermost_known_operation_takes_the_time_within_it(breakdown):
    @dataclass
    class Event:
        name: str
        cpu_time_total: float
        self_cpu_time_total: float
        cpu_children: tuple = ()

    copy = Event("aten::copy_", 3, 3)
    events = [
        Event("aten::addmm", 10, 7, (copy,)),
        Event("my_engine::step", 9, 1, (copy, Event("aten::_foreach_lerp_", 5, 5))),
    ]
    assert breakdown.time_by_operation(events) == {
        ("products", "addmm"): 10,
        ("rest", "step"): 1,
        ("data movement", "copy"): 3,
        ("optimizer", "lerp"): 5,
    }
    names = [name for group in breakdown.KINDS.values() for name in group.split()]
    assert len(names) == len(set(names))


def test_absent_data_and_unknown_workloads_are_said(run, tmp_path, capsys):
    run.main(["mnist-cnn", "--data-dir", str(tmp_path)])
    assert "mnist-cnn: skipped, no MNIST/raw in" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        run.main(["mnist"])
    assert ended.value.code == 2
    assert "no workload mnist; expected some of digits-mlp" in capsys.readouterr().err


def test_an_unknown_peer_is_refused_and_one_that_is_not_installed_is_skipped(run, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run.main(["--peers", "optuna,wandb"])
    assert "no peer wandb; expected some of optuna, expert, ray, graph, bf16, nodes, or none" in capsys.readouterr().err
    monkeypatch.setitem(run.NEEDS, "ray", "a_package_that_is_not_there")
    run.main(["mnist-cnn", "--peers", "ray,optuna", "--data-dir", str(tmp_path)])
    assert "ray: skipped, the package a_package_that_is_not_there is not installed" in capsys.readouterr().out


def test_the_ledger_benchmark_runs():
    text = script("ledger.py", "--tiny")
    assert header(text) == ["trials", "lanes", "add ms", "running ms", "epochs ms", "close ms", "ms a trial"]
    assert len(text.strip().splitlines()) == 4


@pytest.mark.long
def test_the_merging_benchmark_runs():
    first, again = script("merging.py", "--tiny").strip().splitlines()
    assert first.startswith("first: 8 shards, 400 trials, 400 new: ")
    assert again.startswith("again: 8 shards, 400 trials, 0 new: ")


@pytest.mark.long
def test_the_growth_benchmark_runs(tmp_path):
    file = tmp_path / "figures.json"
    text = script("growth.py", "--tiny", "--json", file)
    expected = ["trials", "workers", "total s", "start-up s", "training s", "end s", "ms a trial", "peak MB"]
    assert header(text) == expected
    [found] = json.loads(file.read_text())["runs"]
    assert (found["trials"], found["workers"]) == (10, 1)
    # The study process holds no torch, whose import alone takes twice as much
    assert 20e6 < found["peak"] < 300e6
    assert found["trial_seconds"] == pytest.approx((found["seconds"] - found["startup"]) / 10)
    assert found["seconds"] > found["startup"] + found["end"]


@pytest.mark.slow
def test_whole_searches_of_two_checkouts_are_timed_and_ask_for_the_same():
    here = BENCHMARKS.parents[1]
    text = script(
        "paces.py", "--beside", here, "--data", "digits", "--spaces", "mixed", "--trials", 12, "--samplers", "tpe"
    )
    heads = [f"{name} /min (processor s)" for name in (here.name, "here")]
    assert header(text) == ["data", "space", "sampler", "trials", *heads, "same settings"]
    cells = [cell.strip() for cell in text.splitlines()[-1].strip("|").split("|")]
    assert (cells[:4], cells[-1]) == (["digits", "mixed", "tpe", "12"], "yes")
    assert all(float(cell.split(" ")[0].replace(",", "")) > 0 for cell in cells[4:6])


@pytest.mark.long
def test_the_kernels_of_products_are_compared():
    if not torch_has_onednn():
        pytest.skip("this torch has no oneDNN")
    out = script("kernels.py")
    assert out.count("| first layer, ") == 4
    assert out.count("| hidden layer, ") == 3
    assert "used for large products here: " in out


def torch_has_onednn() -> bool:
    import torch

    return torch.backends.mkldnn.is_available()


@pytest.mark.long
def test_paths_end_where_those_of_a_plain_loop_do():
    told = script("paths.py", "--paths", 200, "--loop", 5, "--repeat", 1)
    [row] = [line for line in told.splitlines() if line.startswith("| 200 ")]
    assert float(row.strip("|").split("|")[-1]) < 1e-10


@pytest.mark.long
def test_the_cost_of_own_trials_is_told():
    said = script("own.py", "--trials", "20", "--repeat", "1")
    assert [line.split(":")[0] for line in said.splitlines()] == ["by the clock", "of processors"]
    assert said.count("ms a trial") == 2
