"""A study as offline runs of Weights & Biases, which `wandb sync` takes: a run a trial. Needs wandb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweep.errors import SweepError, UsageError
from sweep.report.elsewhere.trials import Elsewhere, Written


def write_wandb(study: Elsewhere, folder: str) -> int:
    """Writes FOLDER/wandb/offline-run-…; returns the number of trials. Raises UsageError where W&B is not installed;
    SweepError if it cannot be written."""
    try:
        import wandb
    except ImportError:
        raise UsageError("--wandb needs the package wandb: pip install wandb") from None
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SweepError(f"--wandb {folder}: cannot be written: {error.strerror or error}") from None
    if any(Path(folder).glob("wandb/*run-*")):
        raise UsageError(f"--wandb {folder}: has runs already; name another folder")
    quiet = wandb.Settings(
        console="off",
        silent=True,
        x_disable_stats=True,
        x_disable_meta=True,
        disable_git=True,
        save_code=False,
        disable_code=True,
    )
    for trial in study.trials:
        _write_run(wandb, quiet, study, trial, folder)
    return len(study.trials)


def _write_run(wandb: Any, settings: Any, study: Elsewhere, trial: Written, folder: str) -> None:
    config = {**trial.setting, "sweep": study.facts_of(trial)}
    run = wandb.init(mode="offline", dir=folder, project=study.name, name=trial.name, config=config, settings=settings)
    for epoch, row in trial.rows:
        run.log(dict(row), step=epoch)
    run.finish(exit_code=1 if trial.state == "failed" else 0)
