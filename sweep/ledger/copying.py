"""Trials with all that belongs to them, read from a ledger of any version and written into another."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sweep import checkpoint
from sweep.ledger.damage import ERRORS
from sweep.ledger.reading import Sitting, Study
from sweep.ledger.schema import EPOCH_METRICS, MEASURES
from sweep.ledger.store import Ledger
from sweep.recipe import Recipe
from sweep.space import Trial, setting_key

CHUNK = 5_000
"""Trials that are read at a time, with their epochs."""

CACHE = 65_536
"""KiB of the ledger's file that are kept in memory while it is written."""

TRIAL = ("setting", "seed", "state", "reason", "traceback", "epochs", *EPOCH_METRICS, *MEASURES, "sitting")
CHILDREN = {
    "epochs": ("epoch", *EPOCH_METRICS, "grad_norm", "seconds", "readings"),
    "readings": ("epoch", "step", "place", "quantity", "value"),
    "outputs": ("text",),
}
"""The tables of what belongs to a trial, and their columns beside study and trial."""
_SINCE = {("trials", "sitting"): 2, ("readings", ""): 4, ("epochs", "readings"): 5, ("outputs", ""): 6}
"""The schema version that brought a column, or a table."""

Row = Mapping[str, Any]
"""A trial: its columns but study and number, by name."""


class Copier(Ledger):
    """A ledger that others' trials are copied from, or to."""

    @property
    def folder(self) -> Path:
        """The results folder."""
        return self.path.parent

    @contextmanager
    def as_it_is(self) -> Iterator[None]:
        """All that is read within is of one moment, whatever a training writes meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """All that is written within is written whole, or not at all. Whoever writes cares for foreign keys: checking
        each row takes a third of the time."""
        self._connection.execute("PRAGMA foreign_keys = OFF")
        self._connection.execute(f"PRAGMA cache_size = -{CACHE}")
        try:
            with self._transaction():
                yield
        finally:
            self._connection.execute("PRAGMA foreign_keys = ON")

    # What is copied

    def chunks(self, study: Study) -> Iterator[dict[int, Row]]:
        """The trials of a study by number, some at a time."""
        last = -1
        while True:
            query = f"SELECT number, {self._names('trials', TRIAL)} FROM trials WHERE study = ? AND number > ?"
            rows = self._read(f"{query} ORDER BY number LIMIT {CHUNK}", study.id, last)
            if not rows:
                return
            yield {number: dict(zip(TRIAL, values, strict=True)) for number, *values in rows}
            last = rows[-1][0]

    def rows_of(self, study: Study, numbers: Collection[int]) -> dict[int, Row]:
        """Some trials by number."""
        query = f"SELECT number, {self._names('trials', TRIAL)} FROM trials WHERE study = ?"
        some = f"{query} AND number IN (SELECT value FROM json_each(?))"
        rows = self._read(some, study.id, json.dumps([*numbers]))
        return {number: dict(zip(TRIAL, values, strict=True)) for number, *values in rows}

    def children(
        self, study: Study, table: str, numbers: Mapping[int, int], names: Sequence[str] = ()
    ) -> Iterator[tuple[Any, ...]]:
        """The rows of a table that belong to some trials: the number that each trial is to have, then the table's
        columns, or those named."""
        if self._version < _SINCE.get((table, ""), 1):
            return
        try:
            self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS moved (number INTEGER PRIMARY KEY, here INTEGER)")
            self._connection.execute("DELETE FROM moved")
            self._connection.executemany("INSERT INTO moved VALUES (?, ?)", numbers.items())
            columns = self._names(table, names or CHILDREN[table])
            query = f"SELECT here, {columns} FROM moved CROSS JOIN {table} ON study = ? AND trial = number"
            yield from self._connection.execute(query, (study.id,))
        except ERRORS as error:
            raise self._trouble(error) from None

    def trained_seconds(self, study: Study) -> float:
        """What all trials of a study took, in seconds."""
        return float(self._read("SELECT total(seconds) FROM trials WHERE study = ?", study.id)[0][0])

    def _names(self, table: str, names: Sequence[str]) -> str:
        """Columns as a ledger of this version has them, or what stands for them."""
        older = {"sitting": "CASE WHEN epochs > 0 THEN 1 END", "readings": "NULL"}
        return ", ".join(name if self._version >= _SINCE.get((table, name), 1) else older[name] for name in names)

    # What is written

    def make_like(self, part: Study) -> Study:
        """Adds a study as another ledger has it, without its trials."""
        columns = "name, recipe, trials, created, data, classes, versions, machine"
        values = part.name, json.dumps(part.recipe.to_dict()), part.trials, part.created, part.data, _classes(part)
        marks = ", ".join("?" * 8)
        self._connection.execute(
            f"INSERT INTO studies ({columns}) VALUES ({marks})",
            (*values, json.dumps(part.versions), json.dumps(part.machine)),
        )
        return self.study(part.name)

    def join_study(self, study: Study, part: Study, recipe: Recipe, trials: int) -> Study:
        """Gives a study a recipe, and what it does not know yet of its data and of its beginning."""
        change = "UPDATE studies SET recipe = ?, trials = ?, data = coalesce(data, ?), classes = coalesce(classes, ?)"
        values = json.dumps(recipe.to_dict()), trials, part.data, _classes(part)
        self._connection.execute(f"{change} WHERE id = ?", (*values, study.id))
        if part.created < study.created:
            begin = part.created, json.dumps(part.versions), json.dumps(part.machine)
            change = "UPDATE studies SET created = ?, versions = ?, machine = ? WHERE id = ?"
            self._connection.execute(change, (*begin, study.id))
        return self.study(study.name)

    def seat(self, study: Study, number: int, started: str, facts: str) -> None:
        """Adds a sitting."""
        text = "INSERT INTO sittings (study, number, started, facts) VALUES (?, ?, ?, ?)"
        self._connection.execute(text, (study.id, number, started, facts))

    def put_trials(self, study: Study, trials: Mapping[int, Row]) -> None:
        """Writes trials, in place of those of the same number and of all that belonged to them."""
        for table, key in (("trials", "number"), *((table, "trial") for table in CHILDREN)):
            some = f"DELETE FROM {table} WHERE study = ? AND {key} IN (SELECT value FROM json_each(?))"
            self._connection.execute(some, (study.id, json.dumps([*trials])))
        marks = ", ".join("?" * (2 + len(TRIAL)))
        rows = ((study.id, number, *(row[name] for name in TRIAL)) for number, row in trials.items())
        self._write(f"INSERT INTO trials (study, number, {', '.join(TRIAL)}) VALUES ({marks})", rows)

    def put_waiting(self, study: Study, trials: Iterable[Trial]) -> None:
        """Adds trials that have not begun."""
        rows = ((study.id, trial.number, setting_key(trial.setting), trial.seed) for trial in trials)
        self._write("INSERT INTO trials (study, number, setting, seed, state) VALUES (?, ?, ?, ?, 'waiting')", rows)

    def put_children(self, study: Study, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Writes rows of a table: the trial's number, then the table's columns."""
        marks = ", ".join("?" * (1 + len(CHILDREN[table])))
        names = ", ".join(CHILDREN[table])
        self._write(f"INSERT INTO {table} (study, trial, {names}) VALUES ({study.id}, {marks})", rows)

    def end_study(self, study: Study, finished: str | None, seconds: float) -> None:
        """Adds wall-clock time to a study, and notes when it finished."""
        change = "UPDATE studies SET seconds = seconds + ?, finished = ? WHERE id = ?"
        self._connection.execute(change, (seconds, finished, study.id))

    def _write(self, text: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(text, rows)


class Sittings:
    """The numbers that a source's sittings have in the target, which gets those that trained a trial it takes over."""

    def __init__(self, target: Copier, study: Study, source: Copier, part: Study) -> None:
        self.target, self.study = target, study
        self.theirs = {sitting.number: _identity(sitting) for sitting in source.sittings(part)}
        mine = target.sittings(study)
        self.mine = {_identity(sitting): sitting.number for sitting in mine}
        self.last = max((sitting.number for sitting in mine), default=0)

    def number(self, theirs: int | None) -> int | None:
        """The number here of a source's sitting."""
        sitting = self.theirs.get(theirs or 0)
        if sitting is not None and sitting not in self.mine:
            self.last += 1
            self.mine[sitting] = self.last
            self.target.seat(self.study, self.last, *sitting)
        return None if sitting is None else self.mine[sitting]


def _identity(sitting: Sitting) -> tuple[str, str]:
    """When it began and on what: alike in every copy of a study."""
    return sitting.started, json.dumps(sitting.facts)


def copy_checkpoints(source: Copier, part: Study, target: Copier, study: Study) -> None:
    """Copies what unfinished trainings can go on from, and states that were kept. They only save time."""
    place = target.folder / checkpoint.FOLDER / str(study.id)
    for path in (source.folder / checkpoint.FOLDER / str(part.id)).glob("*.safetensors"):
        with suppress(OSError):  # a training may be clearing them away
            place.mkdir(parents=True, exist_ok=True)
            if not (place / path.name).exists():
                shutil.copyfile(path, half := place / f"{path.name}.part")
                os.replace(half, place / path.name)


def _classes(study: Study) -> str | None:
    return json.dumps(study.classes.to_dict()) if study.classes else None
