"""sweep: hyperparameter sweeps of small neural networks, many trials trained as one program.

errors           what a user is told when something cannot be
hyperparameters  the table that keys, flags, validation and help derive from
space            grids, ranges, canonical settings
recipe           TOML and flags to a checked recipe
checkpoint       checkpoint files: whole or none
data, nets       data sets as tensors; ordinary modules for one trial
speed            what trainings cost on this machine
plan             trials to cohorts to units of work
trainers         a user's own function or command, trained with
engine           trains a cohort as lanes of one program
host, workers    one process that holds torch and the data; its workers
cluster          workers in a Ray cluster
ledger           the SQLite file, the only truth about what was trained
search           settings asked of Optuna's samplers
study            the loop: ask, plan, train, record, tell
analysis         numbers in, numbers out
report           tables, files, pictures, pages
api              all of that from Python; the command line uses it, too
progress         what is seen while a study runs
flags, cli       the command line
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweep.api import Results, StudyResults, open_results, run
    from sweep.errors import SweepError, UsageError

__version__ = "0.1.0"

__all__ = ["Results", "StudyResults", "SweepError", "UsageError", "__version__", "open_results", "run"]


def __getattr__(name: str) -> Any:
    """What the library has, imported when it is used: the command line's quick commands need none of it."""
    from importlib import import_module

    if name in ("SweepError", "UsageError"):
        return getattr(import_module("sweep.errors"), name)
    if name in __all__:
        return getattr(import_module("sweep.api"), name)
    raise AttributeError(f"module 'sweep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
