"""The library: what Python code gets is what the command line tells, and nothing is imported before it is used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pandas as pd
import pytest

import sweep as library
import sweep.api as api
from tests.processes import table

RECIPE = {"lr": [0.1, 0.01], "batch_norm": [True, False], "seeds": 2, "epochs": 1, "hidden": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("library")
    library.run(RECIPE, study="bn", results=place / "results", jobs=1)
    return place


@pytest.mark.long
def test_the_example_of_the_module(tmp_path, monkeypatch):
    """Its lines run as they stand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sweep.workers.cores", lambda: 2)
    lines = api.__doc__.split("    import sweep\n", 1)[1].splitlines()
    names: dict[str, object] = {}
    exec("import sweep\n" + "\n".join(line.strip() for line in lines), names)
    study = names["study"]
    assert len(study.trials()) == 12
    assert study.leaderboard()["mean"].is_monotonic_increasing
    assert set(study.confirm(seeds=10).rows["n"]) == {10}


@pytest.mark.long
def test_numbers_are_those_of_the_command_line(folder, tmp_path, sweep):
    flags = ["--lr", "0.1,0.01", "--batch-norm", "on,off", "--seeds", 2, "--epochs", 1, "--hidden", 4]
    sweep("grid", *flags, "--study", "bn")
    with library.open_results(folder / "results") as results:
        assert results.names == ["bn"]
        study = results.study("bn")
        told = table(sweep, "bn").astype({"trial": int, "val_loss": float}).set_index("trial")["val_loss"]
        mine = study.trials().set_index("number")["val_loss"]
        pd.testing.assert_series_equal(told.sort_index(), mine, check_names=False, check_exact=True)
        board = pd.read_csv(tmp_path / "b.csv") if sweep("export", "bn", "--settings", "-o", "b.csv") else None
        assert study.leaderboard()["mean"].tolist() == board["mean"].tolist()
        assert study.effect("batch_norm").first.n == 2
        assert study.epochs()["trial"].nunique() == 8
        assert study.recipe.swept == ("lr", "batch_norm")


@pytest.mark.long
def test_a_second_run_trains_nothing_and_a_larger_one_only_the_rest(folder):
    trained = []

    class Counting(api.Quiet):
        def epoch(self, worker, unit, outcomes):
            trained.extend(outcomes)

    library.run(RECIPE, study="bn", results=folder / "results", watcher=Counting())
    assert trained == []
    grown = library.run(RECIPE | {"seeds": 3}, study="bn", results=folder / "results", watcher=Counting())
    assert (len(trained), len(grown.trials())) == (4, 12)


def test_a_search(tmp_path):
    recipe = {"lr": {"low": 1e-3, "high": 1.0, "log": True}, "epochs": 1, "hidden": 4}
    study = library.run(recipe, results=tmp_path, trials=4, jobs=1)
    assert study.name.startswith("search-")
    assert len(study.trials()) == 4


def test_what_cannot_be_is_one_line(folder):
    with pytest.raises(library.UsageError, match="did you mean 'lr'"):
        library.run({"lrr": 0.1}, results=folder / "results")
    with pytest.raises(library.UsageError, match="unknown study 'b'"):
        library.open_results(folder / "results").study("b")
    with pytest.raises(library.UsageError, match="no results there yet"):
        library.open_results(folder / "none")
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        _ = library.runn


@pytest.mark.long
def test_a_thread_may_run_it_and_ctrl_c_works_afterwards(tmp_path):
    found = []
    run = {"target": lambda: found.append(library.run({"lr": 0.1, "epochs": 1, "hidden": 4}, results=tmp_path))}
    thread = threading.Thread(**run)
    thread.start()
    thread.join()
    assert len(found[0].trials()) == 1
    handler = signal.getsignal(signal.SIGINT)

    class Interrupting(api.Quiet):
        def epoch(self, worker, unit, outcomes):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        library.run({"lr": 0.1, "epochs": 200, "hidden": 4}, study="long", results=tmp_path, watcher=Interrupting())
    assert signal.getsignal(signal.SIGINT) is handler
    assert library.open_results(tmp_path).study("long").trials()["state"].tolist() == ["waiting"]


def test_importing_it_imports_nothing_heavy():
    code = (
        "import sys, sweep; dir(sweep); print([name for name in ('torch', 'pandas', 'optuna', 'numpy') if name in "
        "sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
