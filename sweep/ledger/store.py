"""Reading and writing the ledger: studies, trials, epochs; one writer a study. Needs sqlite3 and pandas."""

from __future__ import annotations

import fcntl
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
from sweep.checkpoint import Key
from sweep.errors import SweepError, UsageError, unknown
from sweep.ledger.schema import (
    APPLICATION_ID,
    EPOCH_METRICS,
    FILE,
    FINISHED,
    MEASURES,
    PLANNED_EPOCHS,
    SCHEMA,
    STATES,
    TRIAL_COLUMNS,
    VERSION,
)
from sweep.recipe import Recipe, recipe_from_dict
from sweep.space import EpochRecord, Result, Trial, setting_key

if TYPE_CHECKING:
    import pandas as pd

LOCKS = ".locks"
"""The folder of lock files, beside the ledger."""


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
    data: str | None


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
            with self._alone(create):
                self._connection = sqlite3.connect(self._address(create), timeout=60, isolation_level=None, uri=True)
                self._open(create)
                self._inode = self.path.stat().st_ino
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from None
        except OSError as error:
            raise UsageError(f"{folder}: cannot be used as the results folder: {error.strerror or error}") from None

    def _open(self, create: bool) -> None:
        self._connection.execute("BEGIN")
        application = self._connection.execute("PRAGMA application_id").fetchone()[0]
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        empty = not self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        self._connection.execute("COMMIT")
        if empty and application == 0:
            if not create:
                raise UsageError(f"{self.path}: the file is empty, no results yet")
            self._connection.execute("PRAGMA journal_mode = WAL")
            with self._transaction():
                for statement in SCHEMA.split(";\n"):
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

    @contextmanager
    def _alone(self, create: bool) -> Iterator[None]:
        """While a ledger may have to be made, no other process makes the same one."""
        if not create:
            yield
            return
        folder = self.path.parent / LOCKS
        folder.mkdir(exist_ok=True)
        with open(folder / "new.lock", "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

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
        columns = "id, name, recipe, trials, created, finished, seconds, versions, machine, data"
        rows = self._read(f"SELECT {columns} FROM studies ORDER BY id")
        out = []
        for row in rows:
            values = dict(zip(columns.split(", "), row, strict=True))
            for name in ("recipe", "versions", "machine"):
                values[name] = json.loads(values[name])
            out.append(Study(**values | {"recipe": recipe_from_dict(values["recipe"])}))
        return out

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
        rows = dict(self._read("SELECT state, count(*) FROM trials WHERE study = ? GROUP BY state", study.id))
        made = sum(rows.values())
        return {state: rows.get(state, 0) + (study.trials - made if state == "waiting" else 0) for state in STATES}

    def known(self, study: Study) -> dict[Key, tuple[int, str]]:
        """The number and state of every trial that has a row, by setting and seed."""
        rows = self._read("SELECT setting, seed, number, state FROM trials WHERE study = ?", study.id)
        return {(setting, seed): (number, state) for setting, seed, number, state in rows}

    def results(self, study: Study, first: int = 0) -> list[Result]:
        """Every trial that has a row, from a number on, with the recipe's metric."""
        names = f"number, setting, seed, state, {study.recipe.metric_column}, epochs"
        query = f"SELECT {names} FROM trials WHERE study = ? AND number >= ? ORDER BY number"
        return [
            Result(Trial(number, json.loads(setting), seed), *rest)
            for number, setting, seed, *rest in self._read(query, study.id, first)
        ]

    def values_at(self, study: Study, epoch: int) -> dict[int, float | None]:
        """The recipe's metric of every trial that has trained that epoch, by number."""
        query = f"SELECT trial, {study.recipe.metric_column} FROM epochs WHERE study = ? AND epoch = ?"
        return dict(self._read(query, study.id, epoch))

    def begun(self, study: Study) -> int:
        """Trials that wait but had begun: something stopped them, or their epochs were raised."""
        query = (
            "SELECT count(*) FROM trials WHERE study = ? AND state = 'waiting' AND (epochs > 0 OR reason IS NOT NULL)"
        )
        return int(self._read(query, study.id)[0][0])

    def rows(self, study: Study) -> int:
        """The number of rows a study has in `trials`."""
        return int(self._read("SELECT count(*) FROM trials WHERE study = ?", study.id)[0][0])

    def torn(self, study: Study) -> list[int]:
        """Finished trials that do not have a row for each of their epochs."""
        rows = self._read(
            f"SELECT number FROM trials t WHERE study = ? AND state IN ({', '.join(map(repr, FINISHED))}) AND epochs != "
            "(SELECT count(*) FROM epochs e WHERE e.study = t.study AND e.trial = t.number)",
            study.id,
        )
        return [number for (number,) in rows]

    def overview(self, study: Study) -> dict[str, Any]:
        """A study in one row: counts, its best finished trial's metric, times."""
        counts = self.counts(study)
        recipe = study.recipe
        best = "min" if recipe.direction == "minimize" else "max"
        query = f"SELECT {best}({recipe.metric_column}) FROM trials WHERE study = ? AND state = 'complete'"
        return {
            "name": study.name,
            "data": recipe.data,
            "trials": study.trials,
            **{state: counts[state] for state in FINISHED},
            "failed": counts["failed"],
            "left": counts["waiting"] + counts["running"],
            "metric": recipe.metric,
            "best": self._read(query, study.id)[0][0],
            "seconds": study.seconds,
            "created": study.created,
            "finished": study.finished,
            "swept": list(recipe.swept),
        }

    def trial(self, study: Study, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """One trial's row and setting. Raises UsageError if it has none."""
        columns = _columns(study.recipe)
        del columns["number"], columns["setting"]
        made = 0 <= number < study.trials
        known = 0 <= number < 2**62
        query = f"SELECT number, {', '.join(columns)}, setting FROM trials WHERE study = ? AND number = ?"
        rows = self._read(query, study.id, number) if known else []
        if not rows:
            problem = "has not begun yet" if made else f"does not exist; expected 0 to {study.trials - 1}"
            raise UsageError(f"study {study.name!r}: trial {number} {problem}")
        row = rows[0]
        *values, setting = row
        return dict(zip(["trial", *columns.values()], values, strict=True)), json.loads(setting)

    def trials(self, study: Study) -> pd.DataFrame:
        """The trials that have a row, by number: one column a hyperparameter (None where inactive), then the rest.
        `setting` is a whole number, the same for trials of one setting."""
        import pandas as pd

        columns = _columns(study.recipe)
        rows = self._read(f"SELECT {', '.join(columns)} FROM trials WHERE study = ? ORDER BY number", study.id)
        frame = pd.DataFrame.from_records(rows, columns=list(columns.values()))
        codes, texts = pd.factorize(frame["setting"])
        read = json.loads(f"[{','.join(texts)}]")  # each setting once
        settings = pd.DataFrame.from_records(read, index=range(len(texts))).rename(columns={"epochs": PLANNED_EPOCHS})
        numbers = [name for column, name in columns.items() if column.endswith(("loss", "accuracy", "seconds"))]
        frame[numbers] = frame[numbers].astype("float64")
        frame["setting"] = codes
        return pd.concat([frame, settings.astype(object).take(codes).set_index(frame.index)], axis=1)

    def epochs(self, study: Study, number: int | None = None) -> pd.DataFrame:
        """The epochs of every trial, or of one, in order."""
        import pandas as pd

        names = ["trial", "epoch", *EPOCH_METRICS, "grad_norm", "seconds"]
        one, values = ("", ()) if number is None else (" AND trial = ?", (number,))
        query = f"SELECT {', '.join(names)} FROM epochs WHERE study = ?{one} ORDER BY trial, epoch"
        frame = pd.DataFrame.from_records(self._read(query, study.id, *values), columns=names)
        return frame.astype(dict.fromkeys([*EPOCH_METRICS, "grad_norm", "seconds"], "float64"))

    def _read(self, query: str, *values: object) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._trouble(error) from None

    # Writing: the study process alone, one transaction a call

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Makes this process the study's one writer. Raises SweepError, naming the other, if there is one.

        The operating system holds the lock and drops it with its process, so a dead owner never blocks.
        """
        folder = self.path.parent / LOCKS
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
                (name, json.dumps(recipe.to_dict()), trials, _now(), json.dumps(versions()), json.dumps(machine())),
            )
        return self.study(name)

    def add_results(self, name: str, recipe: Recipe, rows: Sequence[tuple[object, ...]]) -> Study:
        """Adds a study of results that were not trained here, all of it or nothing. Rows are (setting as JSON, seed,
        state, reason, metric, test metric). Its name must be new."""
        names = f"study, number, setting, seed, state, reason, {recipe.metric_column}, test_loss"
        with self._transaction():
            cursor = self._connection.execute(
                "INSERT INTO studies (name, recipe, trials, created, finished, versions, machine) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, json.dumps(recipe.to_dict()), len(rows), _now(), _now(), "{}", "{}"),
            )
            self._connection.executemany(
                f"INSERT INTO trials ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                ((cursor.lastrowid, number, *row) for number, row in enumerate(rows)),
            )
        return self.study(name)

    def add(self, study: Study, trials: Iterable[Trial]) -> None:
        """Adds trials as waiting; those that have a row keep it."""
        with self._transaction():
            self._connection.executemany(
                "INSERT OR IGNORE INTO trials (study, number, setting, seed, state) VALUES (?, ?, ?, ?, 'waiting')",
                ((study.id, trial.number, setting_key(trial.setting), trial.seed) for trial in trials),
            )

    def grow(self, study: Study, recipe: Recipe, trials: int) -> Study:
        """Gives a study a recipe that includes its own. Trials whose epochs it raises wait to be trained further; a
        diverged one stays diverged where more epochs cannot change what came before (a constant learning rate)."""
        before, after = study.recipe.fixed_epochs(), recipe.fixed_epochs()
        raised = []
        if before is not None and after is not None and before != after:
            for (setting, _), (number, state) in self.known(study).items():
                values = json.loads(setting) | {"epochs": after}
                over = state == "diverged" and values["lr_schedule"] == "constant"
                raised.append((setting_key(values), state if over else "waiting", study.id, number))
        with self._transaction():
            change = "UPDATE studies SET recipe = ?, trials = ?, finished = NULL WHERE id = ?"
            self._connection.execute(change, (json.dumps(recipe.to_dict()), trials, study.id))
            self._connection.executemany(
                "UPDATE trials SET setting = ?, state = ? WHERE study = ? AND number = ?", raised
            )
        return self.study(study.name)

    def use_data(self, study: Study, fingerprint: str) -> None:
        """Notes which data a study trains on. Raises UsageError if they are not those it began with."""
        found = self.study(study.name).data
        if found not in (None, fingerprint):
            raise UsageError(
                f"study {study.name!r} began with other data: {study.recipe.data} had fingerprint {found}, now {fingerprint}; "
                "its numbers would not compare; give --study another name"
            )
        with self._transaction():
            self._connection.execute("UPDATE studies SET data = ? WHERE id = ?", (fingerprint, study.id))

    def begin(self, study: Study, numbers: Sequence[int]) -> None:
        """Sets trials to running, without results: what an unfinished training left is dropped."""
        clear = ", ".join(f"{name} = NULL" for name in (*EPOCH_METRICS, *MEASURES, "reason", "traceback"))
        keys = [(study.id, number) for number in numbers]
        with self._transaction():
            self._connection.executemany("DELETE FROM epochs WHERE study = ? AND trial = ?", keys)
            self._connection.executemany(
                f"UPDATE trials SET state = 'running', epochs = 0, {clear} WHERE study = ? AND number = ?", keys
            )

    def mark(
        self, study: Study, numbers: Sequence[int], state: str, reason: str | None = None, traceback: str | None = None
    ) -> None:
        """Sets trials to waiting, failed or pruned; the epochs they have trained stay until they begin again."""
        with self._transaction():
            self._connection.executemany(
                "UPDATE trials SET state = ?, reason = ?, traceback = ? WHERE study = ? AND number = ?",
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
        self._check_place()
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

    def _check_place(self) -> None:
        """Raises SweepError if the file is no longer where it was opened: what is written to it now, nobody will see."""
        try:
            same = not hasattr(self, "_inode") or self.path.stat().st_ino == self._inode
        except OSError:
            same = False
        if not same:
            raise SweepError(
                f"{self.path}: the file was removed or replaced while it was in use; nothing more is recorded"
            )

    def _trouble(self, error: sqlite3.DatabaseError) -> SweepError:
        text = str(error)
        if "malformed" in text or "disk I/O" in text or "corrupt" in text:
            return SweepError(f"{self.path}: the file is damaged ({text}); `sweep doctor` says what can be mended")
        if "not a database" in text:
            return UsageError(f"{self.path}: not a results file of sweep; --results names another folder")
        if "readonly" in text or "unable to open" in text:
            return UsageError(f"{self.path.parent}: the results folder is read-only; --results names another")
        free = shutil.disk_usage(self.path.parent).free // 2**20 if self.path.parent.exists() else 0
        return SweepError(f"{self.path}: {text} ({free} MiB free on that disk); what was recorded before is kept")


def _columns(recipe: Recipe) -> dict[str, str]:
    """The columns of `trials` that a study fills, each with the name it has for readers."""
    if recipe.imported is None:
        return {name: name for name in TRIAL_COLUMNS}
    told = {name: name for name in ("number", "setting", "seed", "state", "reason", "epochs", "seconds")}
    tested = {"test_loss": recipe.imported.test_name} if recipe.imported.test_name else {}
    return told | {recipe.metric_column: recipe.metric} | tested


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """The versions that numbers depend on."""
    out = {"sweep": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = "unknown"
    return out


def machine() -> dict[str, Any]:
    """The machine that numbers are made on."""
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
