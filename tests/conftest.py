"""Shared by the tests: single-thread torch, the real digits, a way to run the command line as a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.forks import MAY_DIFFER, Forks

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real data sets that may lie beside the repository; tests that need them skip where they do not."""

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


@pytest.fixture(scope="session", autouse=True)
def _nothing_remembered(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What this machine's user has measured does not matter here, and is not written over."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("SWEEP_RESULTS", None)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _small_numbers_stay() -> Iterator[None]:
    """A training in this process makes it take the smallest numbers for 0, which no other test should meet."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits, z-scored, split by seed 0."""
    from sweep.data import load

    return load("digits", None, 0).split("zscore", "all")


Run = Callable[..., "subprocess.CompletedProcess[str]"]

_forks: list[Forks] = []
"""What commands are forked from, started by the first that is wanted."""


@pytest.fixture(scope="session", autouse=True)
def _forks_end() -> Iterator[None]:
    yield
    while _forks:
        _forks.pop().close()


@pytest.fixture
def sweep(tmp_path: Path) -> Run:
    """Runs `sweep ARGS...` in an empty folder, with results there."""
    if not _forks:
        _forks.append(Forks())
    return runner(tmp_path)


def runner(folder: Path) -> Run:
    """What runs `sweep ARGS...` in a folder, with results there, as a fork or, where that may matter, as a new
    process.
    """

    def run(
        *args: object, code: int | None = 0, env: dict[str, str] | None = None, cwd: Path = folder, **kwargs
    ) -> subprocess.CompletedProcess[str]:
        mine = {"COLUMNS": "120", "SWEEP_RESULTS": str(folder / "results")} | (env or {})
        words = list(map(str, args))
        if mine.keys() <= MAY_DIFFER and kwargs.keys() <= {"input"} and Path(cwd).is_dir():
            result = forked(words, Path(cwd), os.environ | mine, kwargs.get("input"))
        else:
            command = [sys.executable, "-m", "sweep", *words]
            kept = {"capture_output": True, "text": True, "timeout": 300}
            result = subprocess.run(command, cwd=cwd, env=os.environ | mine, **kept, **kwargs)
        assert "Traceback" not in result.stderr, result.stderr
        assert code is None or result.returncode == code, f"exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    return run


def forked(words: list[str], folder: Path, env: dict[str, str], text: str | None) -> subprocess.CompletedProcess[str]:
    """A command as a fork."""
    if not _forks:
        _forks.append(Forks())
    try:
        return _forks[0].run(words, folder, env, text)
    except subprocess.TimeoutExpired:
        _forks.pop().kill()  # or the next command would get this one's answer
        raise
