"""A study as a project of trackio, in the folder where it keeps them (TRACKIO_DIR): a run a trial. Needs trackio."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from sweep.errors import SweepError, UsageError
from sweep.report.elsewhere.trials import Elsewhere


def write_trackio(study: Elsewhere) -> tuple[int, Path]:
    """Writes a project; returns the number of trials and its file. Raises UsageError where trackio is not installed or
    has such a project; SweepError if it cannot be written."""
    try:
        import trackio
        from trackio.utils import TRACKIO_DIR
    except ImportError:
        raise UsageError("--trackio needs the package trackio: pip install trackio") from None
    file = Path(TRACKIO_DIR) / f"{study.name}.db"
    if file.exists():
        raise UsageError(f"--trackio: {file} is there already; remove it, or set TRACKIO_DIR to another folder")
    own: dict[str, Any] = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
    library: Any = trackio
    try:
        with redirect_stdout(io.StringIO()):  # it tells of every run
            for trial in study.trials:
                config = {**trial.setting, "sweep": study.facts_of(trial)}
                library.init(project=study.name, name=trial.name, config=config, **own)
                for epoch, row in trial.rows:
                    library.log(dict(row), step=epoch)
                library.finish()
    except (OSError, RuntimeError) as error:
        raise SweepError(f"--trackio: {file} cannot be written: {error}") from None
    return len(study.trials), file
