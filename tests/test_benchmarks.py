"""The benchmark scripts run, in a tiny form, and the peers train what the product trains. No time is asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


def script(name: str, *args: object) -> str:
    """The output of a benchmark script."""
    command = [sys.executable, str(BENCHMARKS / name), *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def run(monkeypatch):
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import run

    return run


def header(text: str) -> list[str]:
    """The column names of the first Markdown table."""
    return [
        cell.strip() for cell in next(line for line in text.splitlines() if line.startswith("|")).strip("|").split("|")
    ]


def test_the_benchmark_runs_and_its_columns_agree(tmp_path):
    pytest.importorskip("joblib")
    file = tmp_path / "figures.json"
    text = script("run.py", "digits-mlp", "--tiny", "--json", file)
    expected = "workload, trials, sweep/min, loop/min, expert/min, x loop, x expert, best sweep, best loop, best expert, median diff, largest diff"
    assert header(text) == expected.split(", ")
    assert "digits-mlp: loop on 2 of 4 trials" in text
    [row] = json.loads(file.read_text())["workloads"]
    assert (row["trials"], row["compared"]) == (4, 4)
    assert row["trained"] == {"sweep": 4, "loop": 2, "expert": 4}
    # Without batch norm they agree to 1e-6; under it, rounding decides the gradient of the digits' constant pixels
    assert row["largest_difference"] < 0.01
    assert row["median_difference"] < 0.001
    assert all(
        row["best_val_loss"][peer] == pytest.approx(row["best_val_loss"]["sweep"], abs=0.01)
        for peer in ("loop", "expert")
    )


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_peers_train_what_the_engine_trains(run, digits, model):
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
        for peer in (run.loop_trial, run.expert_trial):
            loss, accuracy = peer(trial, digits)
            assert loss == pytest.approx(ours.val_loss[lane], rel=1e-4)
            assert accuracy == pytest.approx(ours.val_accuracy[lane], abs=0.003)


def test_a_workload_is_the_grid_it_says_and_a_fraction_of_it_covers_every_axis(run):
    for name, workload in run.WORKLOADS.items():
        grid = run.load_recipe(None, workload.flags).grid
        trials = list(grid.trials())
        assert (
            len(trials)
            == {"digits-mlp": 288, "mnist-mlp64": 72, "mnist-mlp256": 72, "mnist-cnn": 18, "mixed": 216}[name]
        )
        for every in workload.every.values():
            for axis, values in grid.points.items():
                assert {trial.setting[axis] for trial in trials[::every]} == set(values), (name, axis)


def test_an_extrapolated_pace_counts_the_start_once(run):
    assert run.Run(12.0, 2.0, dict.fromkeys(range(5), (0.0, 0.0))).minute(50) == pytest.approx(60 * 50 / (2 + 10 * 10))


def test_absent_data_and_unknown_workloads_are_said(tmp_path):
    assert "mnist-cnn: skipped, no MNIST/raw in" in script("run.py", "mnist-cnn", "--data-dir", tmp_path)
    result = subprocess.run([sys.executable, str(BENCHMARKS / "run.py"), "mnist"], capture_output=True, text=True)
    assert result.returncode == 2
    assert "no workload mnist; expected some of digits-mlp" in result.stderr


def test_the_ledger_benchmark_runs():
    text = script("ledger.py", "--tiny")
    assert header(text) == ["trials", "lanes", "add ms", "running ms", "epochs ms", "close ms", "ms a trial"]
    assert len(text.strip().splitlines()) == 4
