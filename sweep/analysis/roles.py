"""What each column of anyone's table is: a hyperparameter, a
run's name, a time, a result, how far a run got. Needs pandas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

_Codes = np.ndarray[Any, np.dtype[Any]]

SEED_NAMES = ("seed", "random_seed", "random_state")

TOOLS = (
    ("Optuna", "params_", "number"),
    ("MLflow", "params.", "run_id"),
    ("Ray Tune", "config/", "trial_id"),
    ("Syne Tune", "config_", "st_status"),
    ("DeepHyper", "p:", "job_id"),
    ("scikit-learn", "param_", "params"),
)
"""Tools whose tables begin the names of hyperparameters alike, and a column by which such a table is known."""

EPOCH_NAMES = (
    "epoch",
    "training_iteration",
    "iteration",
    "step",
    "global_step",
    "_step",
    "iter",
    "iterations_since_restore",
    "st_worker_iter",
)
_RUN_NAMES = ("trial_id", "run_id", "id", "trial", "run")
_NAMES_OF_RUNS = frozenset(
    [
        "id",
        "trial_id",
        "run_id",
        "trial",
        "number",
        "run",
        "uuid",
        "name",
        "run_name",
        "trial_name",
        "experiment_id",
        "experiment",
        "_id",
        "trial_number",
        "trial_index",
        "arm_name",
        "run_uuid",
        "job_id",
        "index",
        "user",
        "notes",
        "tags",
        "sweep",
        "created",
        "hostname",
        "host",
        "node_ip",
        "pid",
        "logdir",
        "experiment_tag",
        "path",
        "checkpoint",
        "checkpoint_dir_name",
        "artifact_uri",
        "label",
        "operation",
        "rev",
        "typ",
        "parent",
        "executor",
    ]
)
_OFTEN_ONE = ("user", "notes", "tags", "sweep", "created", "typ", "parent", "executor")
"""Names of runs that many runs share."""
_TIMES = re.compile(
    r"(^|[^a-z])(durations?|runtimes?|run_time|walltime|wall_time|elapsed|time_total|training_time|train_time|"
    r"time_this_iter|fit_time|score_time|timestamps?|datetime|date|created_at|started_at|start_time|end_time|ended_at|"
    r"finished_at|time_since_restore|worker_time|tuner_time)([^a-z]|$)|^(time|started|stopped|ended|finished)$",
)
_HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}")
_MEASURES = frozenset(
    [
        "loss",
        "acc",
        "accuracy",
        "err",
        "error",
        "mse",
        "rmse",
        "mae",
        "nll",
        "auc",
        "auroc",
        "f1",
        "score",
        "perplexity",
        "ppl",
        "bleu",
        "reward",
        "r2",
        "top1",
        "top5",
    ]
)
_MOSTLY = 0.8
"""Share of its cells in which a column must differ for its name to make it a result."""

TEST, NAMES, TIMES, HASHES = "scores on test data (--test keeps one)", "names of runs", "times", "hashes"
MEASURED, FAR, EMPTY, FLAGS = "measured", "how far a run got", "empty", "flags of a run's end"


@dataclass
class Roles:
    """The hyperparameters, and by reason what is none of them, in the table's order."""

    hyperparameters: list[str]
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, reason: str, columns: Sequence[str]) -> None:
        """Takes columns from the hyperparameters."""
        if columns:
            self.left_out.setdefault(reason, []).extend(columns)
        self.hyperparameters = [name for name in self.hyperparameters if name not in columns]


def tool_of(table: pd.DataFrame) -> tuple[str, str] | None:
    """The tool that wrote a table and how it begins the names of
    hyperparameters; None if it is of no tool that is known."""
    for tool, prefix, mark in TOOLS:
        if mark in table and any(str(name).startswith(prefix) for name in table):
            return tool, prefix
    return None


def seed_column(table: pd.DataFrame, taken: str) -> str | None:
    """The column of seeds, by its name: seed, or what a tool makes of it (params_seed, config/seed)."""
    tool, names = tool_of(table), [str(name) for name in table]
    for start in ["", *([tool[1]] if tool else [])]:
        for seed in SEED_NAMES:
            if name := next((name for name in names if name.lower() == start + seed and name != taken), None):
                return name
    return None


def sort_columns(table: pd.DataFrame, names: Sequence[str]) -> Roles:
    """Which of some columns may be hyperparameters: not what is empty, names a run, tells its time, measures it, or
    stands beside the columns in which a tool keeps them."""
    roles = Roles(list(names))
    roles.leave_out(EMPTY, [name for name in names if table[name].isna().all()])
    if tool := tool_of(table[[*names]]) or tool_of(table):
        rest = [name for name in roles.hyperparameters if not name.startswith(tool[1])]
        if len(rest) < len(roles.hyperparameters):
            roles.leave_out(f"not {tool[1]}…, where {tool[0]} has hyperparameters", rest)
    for name in list(roles.hyperparameters):
        kept = tool is not None and name.startswith(tool[1])  # where the tool has hyperparameters alone
        if not kept and (reason := _reason(table[name])):
            roles.leave_out(reason, [name])
    return roles


def _reason(column: pd.Series) -> str:
    """Why a column is no hyperparameter, by its name and whether it differs in most rows; empty if it may be one."""
    name, cells = str(column.name).lower(), column.dropna()
    last, word = re.split(r"[/.]", name)[-1], re.split(r"[^a-z0-9]+", name)[-1]
    distinct, kinds = cells.nunique(), set(map(type, cells))
    many = distinct > 1 and 2 * distinct >= len(column)
    if name.startswith("test_"):
        return TEST
    if last in _NAMES_OF_RUNS and (many or distinct <= 1 or name in _OFTEN_ONE):
        return NAMES
    if kinds == {str} and all(map(_HASH.fullmatch, cells)):
        return HASHES
    if _TIMES.search(name) and bool not in kinds:
        return TIMES
    if word in _MEASURES and kinds <= {float} and len(cells) > 3 and distinct >= _MOSTLY * len(cells):
        return MEASURED
    return ""


def last_epochs(
    table: pd.DataFrame, roles: Roles, used: set[str | None], seed: str | None, notes: list[str]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which rows [rows] are the last of their training; all in a table that has not one row per epoch. used: columns
    that are named by flags."""
    names = [str(name) for name in table]
    far = [name for name in names if name.lower() in EPOCH_NAMES and name not in used and _numeric(table[name])]
    rest = [name for name in roles.hyperparameters if name not in far and not set(map(type, table[name])) <= {bool}]
    if not far:
        return np.ones(len(table), bool)
    epoch = min(far, key=lambda name: EPOCH_NAMES.index(name.lower()))
    run = next((name for name in names if name.lower() in _RUN_NAMES and name not in used), None)
    trainings = _trainings(table, [run], epoch) if run else _trainings_by_setting(table, rest, seed, epoch)
    if trainings is None:
        roles.leave_out(FAR, [n for n in far if n in roles.hyperparameters and table[n].nunique(dropna=False) > 1])
        return np.ones(len(table), bool)
    codes, measured = trainings
    if run:
        measured = [name for name in rest if (table[name].map(repr).groupby(codes).nunique() > 1).any()]
    last = (table[epoch].groupby(codes).transform("max") == table[epoch]).to_numpy(bool)
    notes.append(f"one row per {epoch}: the last of each training is taken, {int(last.sum()):,} of {len(table):,} rows")
    roles.leave_out(FAR, [name for name in far if name in roles.hyperparameters])
    roles.leave_out(f"{MEASURED} in every {epoch}", measured)
    roles.leave_out(FLAGS, [n for n in roles.hyperparameters if n.lower() in ("done", "should_checkpoint")])
    return last


def far_column(table: pd.DataFrame, used: set[str | None]) -> str | None:
    """The column that says how far a training got: epoch, training_iteration, step and the like."""
    names = [str(name) for name in table]
    far = [name for name in names if name.lower() in EPOCH_NAMES and name not in used and _numeric(table[name])]
    return min(far, key=lambda name: EPOCH_NAMES.index(name.lower())) if far else None


def _trainings(
    table: pd.DataFrame, names: Sequence[str | None], epoch: str, first: bool = False
) -> tuple[_Codes, list[str]] | None:
    """Which training each row is of, if rows that agree in some columns are the epochs of one; first: each must have
    the first epoch of all."""
    keys = [name for name in names if name is not None]
    if not keys:
        return None
    codes = table.groupby([table[name].map(repr) for name in keys], sort=False).ngroup().to_numpy("int64")
    groups = table[epoch].groupby(codes)
    if groups.ngroups == len(table) or table[epoch].isna().any() or (groups.nunique() < groups.size()).any():
        return None
    if first and (groups.min() > table[epoch].min()).any():
        return None
    return codes, []


def _trainings_by_setting(
    table: pd.DataFrame, names: Sequence[str], seed: str | None, epoch: str
) -> tuple[_Codes, list[str]] | None:
    """Which training each row is of, by its setting and seed, and which columns were measured in every epoch: those
    without which every training has all epochs from the first on."""
    numbers = [name for name in names if _numeric(table[name])]
    numbers.sort(key=lambda name: -table[name].nunique())
    for dropped in range(len(numbers) + 1):
        measured = numbers[:dropped]
        kept = [name for name in names if name not in measured]
        if trainings := _trainings(table, [*kept, seed], epoch, first=True):
            return trainings[0], measured
    return _trainings(table, [*names, seed], epoch)


def _numeric(column: pd.Series) -> bool:
    return all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in column.dropna())
