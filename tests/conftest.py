"""Shared by the tests: single-thread torch, the real digits, a way to run the command line as a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits, z-scored, split by seed 0."""
    from sweep.data import load

    return load("digits", None, 0).split("zscore", "all")


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sweep(tmp_path: Path) -> Run:
    """Runs `sweep ARGS...` as a real process in an empty folder, with results there."""
    return runner(tmp_path)


def runner(folder: Path) -> Run:
    """What runs `sweep ARGS...` as a real process in a folder, with results there."""

    def run(
        *args: object, code: int | None = 0, env: dict[str, str] | None = None, cwd: Path = folder, **kwargs
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sweep", *map(str, args)]
        mine = {"COLUMNS": "120", "SWEEP_RESULTS": str(folder / "results")}
        settings = os.environ | mine | (env or {})
        result = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=settings, timeout=300, **kwargs)
        assert "Traceback" not in result.stderr, result.stderr
        assert code is None or result.returncode == code, f"exit {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    return run
