"""The ledger: one SQLite file per results folder, the only truth about what was trained. Needs sqlite3 and pandas.

Tables (schema version 1, in `PRAGMA user_version`; `PRAGMA application_id` marks the file as ours):

studies  one row a study: recipe as JSON, versions and machine it was started on, when, trials in all
trials   one row a trial, keyed by study and number: setting as JSON, seed, state, reason, epochs done, last and
         best metrics, test metrics (for the selected trial only, by the readers' custom), seconds
epochs   one row an epoch of a trial: losses, accuracies, gradient norm, seconds

Losses are means over rows, accuracies are in [0, 1], times are seconds, moments are ISO 8601 in UTC. A number that
was not finite is NULL in `epochs` and `trials`, with the state saying why.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep import __version__
from sweep.errors import SweepError, UsageError, unknown
from sweep.recipe import Recipe, recipe_from_dict
from sweep.space import EpochRecord, Trial, setting_key

if TYPE_CHECKING:
    import pandas as pd

FILE = "sweep.db"
APPLICATION_ID = 0x53574550  # "SWEP"
VERSION = 1
STATES = ("waiting", "running", "complete", "pruned", "diverged", "failed")
FINISHED = ("complete", "pruned", "diverged")
PLANNED_EPOCHS = "max_epochs"
"""The column of the hyperparameter `epochs` in tables of trials, where `epochs` are those trained."""
EPOCH_METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")

_MEASURES = ["best_val_loss", "best_val_accuracy", "test_loss", "test_accuracy", "seconds"]
_TRIAL_COLUMNS = ["number", "setting", "seed", "state", "reason", "traceback", "epochs", *EPOCH_METRICS, *_MEASURES]

_SCHEMA = f"""
CREATE TABLE studies (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    recipe TEXT NOT NULL,              -- JSON: data, split_seed, seeds, metric, direction, space
    trials INTEGER NOT NULL,           -- trials in all, made or not yet
    created TEXT NOT NULL,
    finished TEXT,                     -- when the last trial ended; NULL while any is left
    seconds REAL NOT NULL DEFAULT 0,   -- wall-clock time of all runs of the study
    versions TEXT NOT NULL,            -- JSON: sweep, python, torch, numpy
    machine TEXT NOT NULL              -- JSON: host, system, processor, cores
);
CREATE TABLE trials (
    study INTEGER NOT NULL REFERENCES studies(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,           -- from 0, in the grid's order
    setting TEXT NOT NULL,             -- JSON: every active hyperparameter but the seed
    seed INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ({", ".join(repr(state) for state in STATES)})),
    reason TEXT,                       -- why it diverged or failed
    traceback TEXT,                    -- of an error in the code
    epochs INTEGER NOT NULL DEFAULT 0, -- epochs trained
    train_loss REAL, train_accuracy REAL, val_loss REAL, val_accuracy REAL, -- of the last epoch
    best_val_loss REAL, best_val_accuracy REAL,                             -- over the epochs
    test_loss REAL, test_accuracy REAL,                                     -- after the last epoch
    seconds REAL,                      -- its share of its program's time
    PRIMARY KEY (study, number),
    UNIQUE (study, setting, seed)      -- a setting and seed are trained once
) WITHOUT ROWID;
CREATE TABLE epochs (
    study INTEGER NOT NULL,
    trial INTEGER NOT NULL,
    epoch INTEGER NOT NULL,            -- from 1
    train_loss REAL, train_accuracy REAL, val_loss REAL, val_accuracy REAL,
    grad_norm REAL,                    -- mean L2 norm of the gradient over every tenth step
    seconds REAL,
    PRIMARY KEY (study, trial, epoch),
    FOREIGN KEY (study, trial) REFERENCES trials(study, number) ON DELETE CASCADE
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Study:
    """A row of `studies`."""

    id: int
    name: str
    recipe: Recipe
    trials: int
    created: str
    finished: str | None
    seconds: float
    versions: dict[str, str]
    machine: dict[str, Any]


class Ledger:
    """The ledger of a results folder. Readers need nothing else; a study's one writer holds its `lock`."""

    def __init__(self, folder: Path, create: bool = False) -> None:
        """Opens `folder`/sweep.db, making it if `create`. Raises UsageError for a folder or file that cannot serve."""
        self.path = folder / FILE
        try:
            if create:
                folder.mkdir(parents=True, exist_ok=True)
            elif not self.path.exists():
                raise UsageError(
                    f"{folder}: no results there yet; `sweep grid` makes them (--results names another folder)"
                )
            if create and not os.access(folder, os.W_OK):
                raise UsageError(f"{folder}: the results folder is read-only; --results names another")
            self._connection = sqlite3.connect(self._address(create), timeout=60, isolation_level=None, uri=True)
            self._open(create)
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from None
        except OSError as error:
            raise UsageError(f"{folder}: cannot be used as the results folder: {error.strerror or error}") from None

    def _open(self, create: bool) -> None:
        application = self._connection.execute("PRAGMA application_id").fetchone()[0]
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        empty = not self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if empty and application == 0:
            if not create:
                raise UsageError(f"{self.path}: the file is empty, no results yet")
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self._transaction():
                if not self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                    for statement in _SCHEMA.split(";\n"):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    self._connection.execute(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION_ID:
            raise UsageError(f"{self.path}: not a results file of sweep; --results names another folder")
        elif version > VERSION:
            raise SweepError(
                f"{self.path}: written by a newer sweep (schema {version}, this one reads up to {VERSION}); upgrade sweep"
            )
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")

    def _address(self, create: bool) -> str:
        """The file's URI. A reader of a folder that nobody can write to takes the file as it lies."""
        frozen = (
            not create and not os.access(self.path.parent, os.W_OK) and not self.path.with_name(f"{FILE}-wal").exists()
        )
        return f"{self.path.resolve().as_uri()}{'?immutable=1' if frozen else ''}"

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading

    def studies(self) -> list[Study]:
        """Every study, the oldest first."""
        columns = "id, name, recipe, trials, created, finished, seconds, versions, machine"
        rows = self._connection.execute(f"SELECT {columns} FROM studies ORDER BY id")
        return [
            Study(
                i,
                name,
                recipe_from_dict(json.loads(recipe)),
                trials,
                created,
                finished,
                seconds,
                json.loads(versions),
                json.loads(machine),
            )
            for i, name, recipe, trials, created, finished, seconds, versions, machine in rows
        ]

    def find(self, name: str) -> Study | None:
        """The study of that name, if there is one."""
        return next((study for study in self.studies() if study.name == name), None)

    def study(self, name: str) -> Study:
        """The study of that name. Raises UsageError, with a near miss or the list, if there is none."""
        found = self.find(name)
        if found is None:
            raise unknown("study", name, [study.name for study in self.studies()], f"{self.path.parent}: ")
        return found

    def counts(self, study: Study) -> dict[str, int]:
        """How many trials are in each state; trials not made yet count as waiting."""
        rows = dict(
            self._connection.execute("SELECT state, count(*) FROM trials WHERE study = ? GROUP BY state", (study.id,))
        )
        made = sum(rows.values())
        return {state: rows.get(state, 0) + (study.trials - made if state == "waiting" else 0) for state in STATES}

    def states(self, study: Study) -> dict[int, str]:
        """The state of every trial that has a row, by number."""
        return dict(self._connection.execute("SELECT number, state FROM trials WHERE study = ?", (study.id,)))

    def overview(self, study: Study) -> dict[str, Any]:
        """A study in one row: counts, its best finished trial's metric, times."""
        counts = self.counts(study)
        recipe = study.recipe
        best = "min" if recipe.direction == "minimize" else "max"
        query = f"SELECT {best}({recipe.metric}) FROM trials WHERE study = ? AND state = 'complete'"
        return {
            "name": study.name,
            "data": recipe.data,
            "trials": study.trials,
            **{state: counts[state] for state in FINISHED},
            "failed": counts["failed"],
            "left": counts["waiting"] + counts["running"],
            "metric": recipe.metric,
            "best": self._connection.execute(query, (study.id,)).fetchone()[0],
            "seconds": study.seconds,
            "created": study.created,
            "finished": study.finished,
            "swept": list(recipe.swept),
        }

    def trial(self, study: Study, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """One trial's row and setting. Raises UsageError if it has none."""
        names = f"number, {', '.join(_TRIAL_COLUMNS[2:])}"
        row = self._connection.execute(
            f"SELECT {names}, setting FROM trials WHERE study = ? AND number = ?", (study.id, number)
        ).fetchone()
        if row is None:
            made = number < study.trials
            problem = "has not begun yet" if made else f"does not exist; expected 0 to {study.trials - 1}"
            raise UsageError(f"study {study.name!r}: trial {number} {problem}")
        *values, setting = row
        return dict(zip(["trial", *_TRIAL_COLUMNS[2:]], values, strict=True)), json.loads(setting)

    def trials(self, study: Study) -> pd.DataFrame:
        """The trials that have a row, by number: one column a hyperparameter (None where inactive), then the rest."""
        import pandas as pd

        names = list(_TRIAL_COLUMNS)
        rows = self._connection.execute(
            f"SELECT {', '.join(names)} FROM trials WHERE study = ? ORDER BY number", (study.id,)
        ).fetchall()
        frame = pd.DataFrame.from_records(rows, columns=names)
        settings = pd.DataFrame.from_records([json.loads(row[1]) for row in rows], index=frame.index)
        settings = settings.rename(columns={"epochs": PLANNED_EPOCHS})
        numbers = [name for name in names if name.endswith(("loss", "accuracy", "seconds"))]
        frame[numbers] = frame[numbers].astype("float64")
        return pd.concat([frame.drop(columns="setting"), settings.astype(object)], axis=1)

    def epochs(self, study: Study, number: int | None = None) -> pd.DataFrame:
        """The epochs of every trial, or of one, in order."""
        import pandas as pd

        names = ["trial", "epoch", *EPOCH_METRICS, "grad_norm", "seconds"]
        query = f"SELECT {', '.join(names)} FROM epochs WHERE study = ?" + (
            " AND trial = ?" if number is not None else ""
        )
        rows = self._connection.execute(
            f"{query} ORDER BY trial, epoch", (study.id, *([number] if number is not None else []))
        )
        frame = pd.DataFrame.from_records(rows.fetchall(), columns=names)
        return frame.astype(dict.fromkeys([*EPOCH_METRICS, "grad_norm", "seconds"], "float64"))

    # Writing: the study process alone, one transaction a call

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Makes this process the study's one writer. Raises SweepError, naming the other, if there is one.

        The operating system holds the lock and drops it with its process, so a dead owner never blocks.
        """
        import fcntl

        folder = self.path.parent / ".locks"
        try:
            folder.mkdir(exist_ok=True)
            file = open(folder / f"{name}.lock", "a+", encoding="utf-8")  # noqa: SIM115 (closed below)
        except OSError as error:
            raise UsageError(f"{folder}: cannot write there: {error.strerror}") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                raise SweepError(
                    f"study {name!r} is being run by another process ({file.read().strip() or 'unknown'}); wait for it or stop it"
                ) from None
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} on {socket.gethostname()} since {_now()}")
            file.flush()
            yield

    def create(self, name: str, recipe: Recipe, trials: int) -> Study:
        """Adds a study. Its name must be new."""
        with self._transaction():
            self._connection.execute(
                "INSERT INTO studies (name, recipe, trials, created, versions, machine) VALUES (?, ?, ?, ?, ?, ?)",
                (name, json.dumps(recipe.to_dict()), trials, _now(), json.dumps(_versions()), json.dumps(_machine())),
            )
        return self.study(name)

    def add(self, study: Study, trials: Iterable[Trial]) -> None:
        """Adds trials as waiting; those that have a row keep it."""
        with self._transaction():
            self._connection.executemany(
                "INSERT OR IGNORE INTO trials (study, number, setting, seed, state) VALUES (?, ?, ?, ?, 'waiting')",
                ((study.id, trial.number, setting_key(trial.setting), trial.seed) for trial in trials),
            )

    def mark(
        self, study: Study, numbers: Sequence[int], state: str, reason: str | None = None, traceback: str | None = None
    ) -> None:
        """Sets trials to waiting, running or failed, without results: what an unfinished training left is dropped."""
        with self._transaction():
            self._connection.executemany(
                "DELETE FROM epochs WHERE study = ? AND trial = ?", ((study.id, n) for n in numbers)
            )
            self._connection.executemany(
                "UPDATE trials SET state = ?, reason = ?, traceback = ?, epochs = 0, train_loss = NULL, train_accuracy = NULL, val_loss = NULL, "
                "val_accuracy = NULL, best_val_loss = NULL, best_val_accuracy = NULL, seconds = NULL WHERE study = ? AND number = ?",
                ((state, reason, traceback, study.id, number) for number in numbers),
            )

    def record(self, study: Study, outcomes: Iterable[EpochRecord]) -> None:
        """Writes a batch of epochs and what they make of their trials."""
        epochs, trials = [], []
        for o in outcomes:
            values = [_finite(value) for value in (o.train_loss, o.train_accuracy, o.val_loss, o.val_accuracy)]
            epochs.append((study.id, o.number, o.epoch, *values, _finite(o.grad_norm), o.seconds))
            reason = f"loss not finite in epoch {o.epoch}" if o.state == "diverged" else None
            best = values[2], values[2], values[3], values[3]
            tests = _finite(o.test_loss), _finite(o.test_accuracy)
            trials.append(
                (o.state or "running", reason, o.epoch, *values, *best, *tests, o.seconds, study.id, o.number)
            )
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", epochs)
            self._connection.executemany(
                "UPDATE trials SET state = ?, reason = ?, epochs = ?, train_loss = ?, train_accuracy = ?, val_loss = ?, val_accuracy = ?, "
                "best_val_loss = coalesce(min(best_val_loss, ?), best_val_loss, ?), best_val_accuracy = coalesce(max(best_val_accuracy, ?), best_val_accuracy, ?), "
                "test_loss = ?, test_accuracy = ?, seconds = coalesce(seconds, 0) + ? WHERE study = ? AND number = ?",
                trials,
            )

    def close_run(self, study: Study, seconds: float) -> None:
        """Adds a run's time to the study, and the moment it finished if nothing is left."""
        counts = self.counts(study)
        done = counts["waiting"] + counts["running"] + counts["failed"] == 0
        with self._transaction():
            self._connection.execute(
                "UPDATE studies SET seconds = seconds + ?, finished = CASE WHEN ? THEN coalesce(finished, ?) END WHERE id = ?",
                (seconds, done, _now(), study.id),
            )

    def remove(self, study: Study) -> None:
        """Deletes a study with its trials and epochs."""
        with self._transaction():
            self._connection.execute("DELETE FROM studies WHERE id = ?", (study.id,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from None

    def _trouble(self, error: sqlite3.DatabaseError) -> SweepError:
        text = str(error)
        if "not a database" in text:
            return UsageError(f"{self.path}: not a results file of sweep; --results names another folder")
        if "readonly" in text or "unable to open" in text:
            return UsageError(f"{self.path.parent}: the results folder is read-only; --results names another")
        free = shutil.disk_usage(self.path.parent).free // 2**20 if self.path.parent.exists() else 0
        return SweepError(f"{self.path}: {text} ({free} MiB free on that disk); what was recorded before is kept")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _versions() -> dict[str, str]:
    out = {"sweep": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = "unknown"
    return out


def _machine() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
