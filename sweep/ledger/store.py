"""Writing the ledger: studies, trials, epochs; one writer per study, one transaction per call."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from sweep.data import Classes
from sweep.errors import UsageError
from sweep.ledger.keeping import forget
from sweep.ledger.reading import Reader, Study
from sweep.ledger.schema import EPOCH_METRICS, MEASURES
from sweep.machine import machine, now, versions
from sweep.networks import Network, split_fingerprint
from sweep.recipe import Claim, Recipe, Trainer, add_claims
from sweep.space import EpochRecord, Trial, setting_key


@dataclass(frozen=True)
class Course:
    """How trials that were not trained here came about."""

    numbers: Sequence[int]
    """The number of each trial, in the order of the rows."""
    epochs: Sequence[tuple[int, int, float | None]] = ()
    """(number, epoch, metric)."""
    readings: Sequence[tuple[int, int, str, float | None]] = ()
    """(number, epoch, name, value) of what else was reported; in epoch 0 where trials have no epochs."""
    names: Sequence[tuple[int, str]] = ()
    """(number, what its tool calls it)."""


class Ledger(Reader):
    """The ledger of a results folder. Readers need nothing else; a study's one writer, the study process alone, holds
    its `lock`.
    """

    def create(self, name: str, recipe: Recipe, trials: int) -> Study:
        """Adds a study. Its name must be new."""
        recipe = replace(recipe, claims=add_claims((), recipe.claims, now(), len(recipe.seeds), afterwards=False))
        with self._transaction():
            self._connection.execute(
                "INSERT INTO studies (name, recipe, trials, created, versions, machine) VALUES (?, ?, ?, ?, ?, ?)",
                (name, json.dumps(recipe.to_dict()), trials, now(), json.dumps(versions()), json.dumps(machine())),
            )
        return self.study(name)

    def add_results(
        self, name: str, recipe: Recipe, rows: Sequence[tuple[object, ...]], course: Course | None = None
    ) -> Study:
        """Adds a study of results that were not trained here, all of it or nothing. Rows are (setting as JSON, seed,
        state, reason, metric, test metric), numbered from 0 where `course` does not say otherwise. Its name must be
        new."""
        names = f"study, number, setting, seed, state, reason, {recipe.metric_column}, test_loss"
        numbers = course.numbers if course else range(len(rows))
        with self._transaction():
            cursor = self._connection.execute(
                "INSERT INTO studies (name, recipe, trials, created, finished, versions, machine) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, json.dumps(recipe.to_dict()), len(rows), now(), now(), "{}", "{}"),
            )
            self._connection.executemany(
                f"INSERT INTO trials ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                ((cursor.lastrowid, number, *row) for number, row in zip(numbers, rows, strict=True)),
            )
            if course:
                self._add_course(cursor.lastrowid, recipe, course)
        return self.study(name)

    def _add_course(self, study: int | None, recipe: Recipe, course: Course) -> None:
        """Adds how results that were not trained here came about, within a transaction."""
        metric, best = recipe.metric_column, "min" if recipe.direction == "minimize" else "max"
        add = self._connection.executemany
        add(f"INSERT INTO epochs (study, trial, epoch, {metric}) VALUES (?, ?, ?, ?)", _of(study, course.epochs))
        add(
            "INSERT OR REPLACE INTO readings (study, trial, epoch, step, place, quantity, value) "
            "VALUES (?, ?, ?, 0, '', ?, ?)",
            _of(study, course.readings),
        )
        add("INSERT INTO outputs VALUES (?, ?, ?)", _of(study, course.names))
        of_trial = "FROM epochs e WHERE e.study = trials.study AND e.trial = trials.number"
        self._connection.execute(
            f"UPDATE trials SET epochs = coalesce((SELECT max(epoch) {of_trial}), 0), "
            f"best_val_loss = (SELECT {best}({metric}) {of_trial}) WHERE study = ?",
            (study,),
        )

    def add(self, study: Study, trials: Iterable[Trial]) -> None:
        """Adds trials as waiting; those that have a row keep it."""
        with self._transaction():
            self._connection.executemany(
                "INSERT OR IGNORE INTO trials (study, number, setting, seed, state) VALUES (?, ?, ?, ?, 'waiting')",
                ((study.id, number, setting, seed) for number, setting, seed in _key_trials(trials)),
            )

    def grow(self, study: Study, recipe: Recipe, trials: int) -> Study:
        """Gives a study a recipe that includes its own. Trials whose epochs or steps it raises wait to be trained
        further; a diverged one stays diverged where more epochs cannot change what came before (a constant learning
        rate)."""
        before, after = study.recipe.budget(), recipe.budget()
        raised = []
        if before is not None and after is not None and before != after:
            for (setting, _), (number, state) in self.known(study).items():
                name, end = after
                values = json.loads(setting) | {name: end}
                over = state == "diverged" and name == "epochs" and values["lr_schedule"] == "constant"
                raised.append((setting_key(values), state if over else "waiting", study.id, number))
        with self._transaction():
            change = "UPDATE studies SET recipe = ?, trials = ?, finished = NULL WHERE id = ?"
            self._connection.execute(change, (json.dumps(recipe.to_dict()), trials, study.id))
            self._connection.executemany(
                "UPDATE trials SET setting = ?, state = ? WHERE study = ? AND number = ?", raised
            )
        return self.study(study.name)

    def move_data(self, study: Study, path: str) -> Study:
        """Notes where a study's data file lies now."""
        return self._rewrite(study, replace(study.recipe, data=path))

    def state(self, study: Study, claims: Sequence[Claim], seeds: int) -> Study:
        """Notes what is claimed of a study that is to have so many seeds: what was before stays as it was, what is new
        gets the time, and whether any result was there by then."""
        trained = self._read("SELECT 1 FROM trials WHERE study = ? AND epochs > 0 LIMIT 1", study.id)
        afterwards = bool(study.recipe.imported or trained)
        claims = add_claims(study.recipe.claims, claims, now(), seeds, afterwards)
        return self._rewrite(study, replace(study.recipe, claims=claims))

    def _rewrite(self, study: Study, recipe: Recipe) -> Study:
        """Gives a study a recipe of the same trials."""
        with self._transaction():
            self._connection.execute(
                "UPDATE studies SET recipe = ? WHERE id = ?", (json.dumps(recipe.to_dict()), study.id)
            )
        return self.study(study.name)

    def move_network(self, study: Study, network: Network) -> Study:
        """Notes where the file of a study's own network lies now."""
        return self._rewrite(study, replace(study.recipe, network=network))

    def move_trainer(self, study: Study, trainer: Trainer) -> Study:
        """Notes where a study's own function or command lies now."""
        return self._rewrite(study, replace(study.recipe, trainer=trainer))

    def use_data(
        self, study: Study, fingerprint: str, classes: Classes | None = None, changed_code: bool = False
    ) -> None:
        """Notes which data a study trains on, or which code, and how many rows each class has. Raises UsageError if
        they are not those it began with, unless the user knows that the code has changed."""
        recorded = self.study(study.name).data
        if recorded not in (None, fingerprint) and _is_code(study, recorded or "", fingerprint):
            if not changed_code:
                raise UsageError(
                    f"study {study.name!r} began with other code: {study.recipe.code} had fingerprint {recorded}, now "
                    f"{fingerprint}; its numbers may not compare; give --study another name, or --changed-code to go on"
                )
        elif recorded not in (None, fingerprint):
            raise UsageError(
                f"study {study.name!r} began with other data: {study.recipe.data} had fingerprint {recorded}, now "
                f"{fingerprint}; "
                "its numbers would not compare; give --study another name"
            )
        counts = None if classes is None else json.dumps(classes.to_dict())
        with self._transaction():
            change = "UPDATE studies SET data = ?, classes = coalesce(?, classes) WHERE id = ?"
            self._connection.execute(change, (fingerprint, counts, study.id))

    def sit(self, study: Study, facts: Mapping[str, Any]) -> int:
        """Notes that a process begins to train a study, and the machine it has; returns the sitting's number."""
        with self._transaction():
            last = self._connection.execute("SELECT max(number) FROM sittings WHERE study = ?", (study.id,)).fetchone()
            number = (last[0] or 0) + 1
            values = study.id, number, now(), json.dumps(facts)
            self._connection.execute("INSERT INTO sittings (study, number, started, facts) VALUES (?, ?, ?, ?)", values)
        return number

    def begin(self, study: Study, numbers: Sequence[int], sitting: int | None = None) -> None:
        """Sets trials to running, in a sitting, without results: what an unfinished training left is dropped."""
        clear = ", ".join(f"{name} = NULL" for name in (*EPOCH_METRICS, *MEASURES, "reason", "traceback"))
        some, among = json.dumps([*numbers]), "IN (SELECT value FROM json_each(?))"
        with self._transaction():
            for table in ("epochs", "readings", "outputs"):
                self._connection.execute(f"DELETE FROM {table} WHERE study = ? AND trial {among}", (study.id, some))
            self._connection.execute(
                f"UPDATE trials SET state = 'running', epochs = 0, sitting = ?, {clear} "
                f"WHERE study = ? AND number {among}",
                (sitting, study.id, some),
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
        """Writes a batch of epochs and what they make of their trials, in the order of numbers, as the rows lie in the
        file: rows from all over it take half as long again."""
        epochs, trials, readings = [], [], []
        for number, epoch, *measured, seconds, state, test, accuracy, read, reason in sorted(outcomes, key=_number):
            place = study.id, number, epoch
            latest = {tuple(what): _to_stored(value) for *what, value in read}
            readings += [(*place, *what, value) for what, value in latest.items()]
            *values, norm = [_to_stored(value) for value in measured]
            epochs.append((*place, *values, norm, seconds, len(latest)))
            reason = (reason or f"loss not finite in epoch {epoch}") if state == "diverged" else ""
            ended = state or "running", reason, epoch
            trials.append((study.id, number, *ended, *values, _to_stored(test), _to_stored(accuracy), seconds))
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO epochs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", epochs)
            self._connection.executemany("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?, ?, ?, ?)", readings)
            self._connection.executemany(
                "UPDATE trials SET state = ?3, reason = nullif(?4, ''), epochs = ?5, "
                "train_loss = ?6, train_accuracy = ?7, val_loss = ?8, val_accuracy = ?9, "
                "best_val_loss = coalesce(min(best_val_loss, ?8), best_val_loss, ?8), "
                "best_val_accuracy = coalesce(max(best_val_accuracy, ?9), best_val_accuracy, ?9), "
                "test_loss = ?10, test_accuracy = ?11, seconds = coalesce(seconds, 0) + ?12 "
                "WHERE study = ?1 AND number = ?2",
                trials,
            )

    def keep_output(self, study: Study, number: int, text: str) -> None:
        """Keeps what a trial printed."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?)", (study.id, number, text))

    def close_run(self, study: Study, seconds: float) -> None:
        """Adds a run's time to the study, and the moment it finished if nothing is left."""
        counts = self.counts(study)
        done = counts["waiting"] + counts["running"] + counts["failed"] == 0
        with self._transaction():
            self._connection.execute(
                "UPDATE studies SET seconds = seconds + ?, finished = CASE WHEN ? THEN coalesce(finished, ?) END "
                "WHERE id = ?",
                (seconds, done, now(), study.id),
            )

    def remove(self, study: Study) -> None:
        """Deletes a study with its trials and epochs."""
        with self._transaction():
            self._connection.execute("DELETE FROM studies WHERE id = ?", (study.id,))
        forget(self, study.id)


def _key_trials(trials: Iterable[Trial]) -> Iterator[tuple[int, str, int]]:
    """Number, setting as text and seed of trials; seeds of one setting, which come one after another, share the
    text.
    """
    last, text = None, ""
    for trial in trials:
        if trial.setting is not last:
            last, text = trial.setting, setting_key(trial.setting)
        yield trial.number, text, trial.seed


def _of(study: int | None, rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
    return ((study, *row) for row in rows)


_number = attrgetter("number")


def _to_stored(value: float | None) -> float:
    """A number as it is kept: one that is not there or not finite as NaN, which SQLite makes NULL. None would be NULL
    too, but sqlite3 looks for an adapter of every None, which takes six times as long as a number."""
    return value if value is not None and value - value == 0 else math.nan


def _is_code(study: Study, before: str, now: str) -> bool:
    """Whether it is the code that has changed, of a trainer or of a user's own network, and no data."""
    same_data = split_fingerprint(before)[0] == split_fingerprint(now)[0]
    return study.recipe.trainer is not None or (study.recipe.network is not None and same_data)
