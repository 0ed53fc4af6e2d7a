"""Reading the ledger: studies, trials, epochs. Needs pandas."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.courses import Key
from sweep.data import Classes, classes_from_dict
from sweep.errors import SweepError, UsageError, unknown
from sweep.hyperparameters import restored
from sweep.ledger.columns import numbers_of, read_columns, selected
from sweep.ledger.file import File
from sweep.ledger.keeping import kept
from sweep.ledger.numbers import by_epoch, of_epochs, of_trials, without_accuracies
from sweep.ledger.schema import EPOCH_METRICS, FINISHED, PLANNED_EPOCHS, STATES, TRIAL_COLUMNS
from sweep.machine import alike, kind_text
from sweep.recipe import OF_NUMBERS, TESTED, Recipe, recipe_from_dict
from sweep.space import Result, Trial

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Sitting:
    """One time that a process trained a study."""

    number: int
    """From 1, in the study."""
    started: str
    """ISO 8601, UTC."""
    facts: dict[str, Any]
    """The versions and the machine that it had (see `machine.facts`)."""
    trials: int
    """How many it trained last."""

    @property
    def kind(self) -> str:
        """What makes two machines' numbers differ in their last digits, in words."""
        return kind_text(self.facts)


@dataclass(frozen=True)
class Study:
    """A row of `studies`."""

    id: int
    name: str
    recipe: Recipe
    trials: int
    """Trials in all, made or not yet."""
    created: str
    finished: str | None
    """When the last trial ended; None while any is left."""
    seconds: float
    """Wall-clock time of all its runs."""
    versions: dict[str, str]
    machine: dict[str, Any]
    """What it was started on."""
    data: str | None
    """Fingerprint of the data, once they were loaded."""
    classes: Classes | None = None
    """Rows of each class, once the data were loaded."""


class Reader(File):
    """What a ledger says. Readers need nothing else."""

    def studies(self) -> list[Study]:
        """Every study, the oldest first."""
        columns = "id, name, recipe, trials, created, finished, seconds, versions, machine, data, classes"
        kept = columns if self._version >= 3 else columns.replace("classes", "NULL")
        rows = self._read(f"SELECT {kept} FROM studies ORDER BY id")
        out = []
        for row in rows:
            values = dict(zip(columns.split(", "), row, strict=True))
            try:
                for name in ("recipe", "versions", "machine"):
                    values[name] = json.loads(values[name])
                values["classes"] = _classes(values["classes"])
                out.append(Study(**values | {"recipe": recipe_from_dict(values["recipe"])}))
            except (SweepError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
                self.damaged[str(values["name"])] = (  # it hides no other
                    f"{self.path}: study {values['name']!r} cannot be read, its {name} is damaged; "
                    "`sweep doctor --mend` sets it aside"
                )
        return out

    def find(self, name: str) -> Study | None:
        """The study of that name, if there is one."""
        match = next((study for study in self.studies() if study.name == name), None)
        if match is None and name in self.damaged:
            raise SweepError(self.damaged[name])
        return match

    def study(self, name: str) -> Study:
        """The study of that name. Raises UsageError, with a near miss or the list, if there is none."""
        match = self.find(name)
        if match is None:
            raise unknown("study", name, [study.name for study in self.studies()], f"{self.path.parent}: ")
        return match

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
        """Every trial that has a row, from a number on, with the recipe's metric and, of a search with several
        objectives, what was measured of those."""
        search = study.recipe.search
        others = [name for name, _ in search.objectives if name != "parameters"] if search else []
        wanted = (of_trials(study.recipe, name) for name in (study.recipe.metric_column, "epochs", *others))
        names = ", ".join(["number", "setting", "seed", "state", *wanted])
        query = f"SELECT {names} FROM trials WHERE study = ? AND number >= ? ORDER BY number"
        out = []
        for number, setting, seed, state, value, epochs, *measured in self._read(query, study.id, first):
            reported = dict(zip(others, measured, strict=True))
            trial = Trial(number, study.recipe.restored(json.loads(setting)), seed)
            out.append(Result(trial, state, value, epochs, reported))
        return out

    def values_at(self, study: Study, epoch: int | None = None, first: int = 0) -> dict[int, float | None]:
        """The recipe's metric of every trial, from a number on, that was trained to that epoch, or to its end, by
        number; None of one that diverged by then."""
        metric, since = of_trials(study.recipe, study.recipe.metric_column), (study.id, first)
        diverged = "SELECT number, NULL FROM trials WHERE study = ? AND number >= ? AND state = 'diverged'"
        if epoch is None:
            query = f"SELECT number, {metric} FROM trials WHERE study = ? AND number >= ? AND state = 'complete'"
            return dict(self._read(query, *since) + self._read(diverged, *since))
        metric = of_epochs(study.recipe, study.recipe.metric_column)
        query = f"SELECT trial, {metric} FROM epochs WHERE study = ? AND trial >= ? AND epoch = ?"
        return dict(self._read(query, *since, epoch) + self._read(f"{diverged} AND epochs <= ?", *since, epoch))

    def begun(self, study: Study) -> int:
        """Trials that wait but had begun: something stopped them, or their epochs were raised."""
        query = (
            "SELECT count(*) FROM trials WHERE study = ? AND state = 'waiting' AND (epochs > 0 OR reason IS NOT NULL)"
        )
        return int(self._read(query, study.id)[0][0])

    def rows(self, study: Study) -> int:
        """The number of rows a study has in `trials`."""
        return int(self._read("SELECT count(*) FROM trials WHERE study = ?", study.id)[0][0])

    def sittings(self, study: Study) -> list[Sitting]:
        """Every time that a process trained the study, the first one first."""
        if self._version < 2:  # it knew how a study was started, and no more
            facts = {name: value for name, value in (study.versions | study.machine).items() if name != "processor"}
            query = "SELECT count(*) FROM trials WHERE study = ? AND epochs > 0"
            return [Sitting(1, study.created, facts, self._read(query, study.id)[0][0])] if facts else []
        rows = self._read(
            "SELECT number, started, facts, (SELECT count(*) FROM trials t WHERE t.study = "
            "s.study AND t.sitting = s.number) "
            "FROM sittings s WHERE study = ? ORDER BY number",
            study.id,
        )
        return [Sitting(number, started, json.loads(facts), trials) for number, started, facts, trials in rows]

    def kinds(self, *studies: Study) -> list[list[Sitting]]:
        """The sittings that trained trials, by kind of machine, of some studies: more than one, and last digits may
        differ.
        """
        kinds: list[list[Sitting]] = []
        for sitting in (sitting for study in studies for sitting in self.sittings(study)):
            if sitting.trials:
                same = next((kind for kind in kinds if alike(kind[0].facts, sitting.facts)), None)
                kinds.append([sitting]) if same is None else same.append(sitting)
        return kinds

    def mixed(self, *studies: Study) -> str:
        """A line where the trials of studies come from several kinds of machines; empty where they do not."""
        kinds = self.kinds(*studies)
        if len(kinds) < 2:
            return ""
        return f"{', '.join(study.name for study in studies)}: {mixing(kinds)}."

    def torn(self, study: Study) -> list[int]:
        """Finished trials without a row for each of their epochs; of own code or of an import, for the last one."""
        there = "max(epoch)" if study.recipe.free else "count(*)"
        rows = self._read(
            "SELECT number FROM trials t WHERE study = ? AND "
            f"state IN ({', '.join(map(repr, FINISHED))}) AND epochs != "
            f"(SELECT {there} FROM epochs e WHERE e.study = t.study AND e.trial = t.number)",
            study.id,
        )
        return [number for (number,) in rows]

    def lost_readings(self, study: Study) -> dict[int, int]:
        """Finished trials that lack readings which were recorded with their epochs: how many of each."""
        if self._version < 5:  # nobody counted them
            return {}
        rows = self._read(
            "SELECT trial, sum(lost) FROM (SELECT trial, readings - "
            "(SELECT count(*) FROM readings r WHERE r.study = e.study AND r.trial = e.trial AND r.epoch = e.epoch) "
            "AS lost FROM epochs e WHERE study = ? AND readings > 0) JOIN trials ON number = trial "
            f"WHERE study = ? AND lost > 0 AND state IN ({', '.join(map(repr, FINISHED))}) GROUP BY trial",
            study.id,
            study.id,
        )
        return dict(rows)

    def overview(self, study: Study) -> dict[str, Any]:
        """A study in one row: counts, its best finished trial's metric, times."""
        counts = self.counts(study)
        recipe = study.recipe
        best = "min" if recipe.direction == "minimize" else "max"
        metric = of_trials(recipe, recipe.metric_column)
        query = f"SELECT {best}({metric}) FROM trials WHERE study = ? AND state = 'complete'"
        return {
            "name": study.name,
            "data": recipe.source,
            "shard": recipe.shard.text if recipe.shard else None,
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
        if not study.recipe.imported:
            columns["sitting" if self._version >= 2 else "CASE WHEN epochs > 0 THEN 1 END"] = "sitting"
        query = f"SELECT number, {', '.join(columns)}, setting FROM trials WHERE study = ? AND number = ?"
        rows = self._read(query, study.id, number) if known else []
        if not rows:
            shard = study.recipe.shard
            problem = "has not begun yet" if made and not shard else f"does not exist; expected 0 to {study.trials - 1}"
            problem = f"is not in {shard.words}, or has not begun yet" if shard else problem
            raise UsageError(f"study {study.name!r}: trial {number} {problem}")
        row = rows[0]
        *values, setting = row
        trial_row = dict(zip(["trial", *columns.values()], values, strict=True))
        if study.recipe.splits:
            trial_row["split_seed"] = study.recipe.split_of(trial_row["seed"])
        if study.recipe.free:
            last = self.readings(study, number)
            last = last[last["epoch"] == trial_row["epochs"]]
            reported = zip(last["quantity"], last["value"], strict=True)
            trial_row |= {name: value for name, value in reported if name not in trial_row}
        return trial_row, study.recipe.restored(json.loads(setting))

    def trials(self, study: Study) -> pd.DataFrame:
        """The trials that have a row, by number: one column per hyperparameter (None where inactive), then the rest.
        `setting` is a whole number, the same for trials of one setting."""
        import pandas as pd

        columns = _columns(study.recipe)
        query = f"SELECT {selected(columns)} FROM trials WHERE study = ? ORDER BY number"
        restore = None if study.recipe.free else restored
        stored = kept(
            self, (study.id, study.trials, query), lambda: read_columns(self._rows(query, study.id), columns, restore)
        )
        frame = stored.frame(columns)
        settings = stored.settings().rename(columns={"epochs": PLANNED_EPOCHS})
        kinds = ("loss", "accuracy", "seconds", *OF_NUMBERS, *TESTED)
        numbers = [name for column, name in columns.items() if column.endswith(kinds) or name in kinds]
        frame[numbers] = frame[numbers].astype("float64")
        if study.recipe.splits:
            frame.insert([*frame.columns].index("seed") + 1, "split_seed", frame["seed"].map(study.recipe.split_of))
        parts = [frame, settings]
        if study.recipe.of_function:
            parts.append(self._ends(study, frame["number"]))
        elif study.recipe.free:
            parts.append(self._read_reported(study, frame, {*frame.columns, *settings.columns}))
        whole = pd.concat(parts, axis=1)
        if study.recipe.free:
            whole.attrs["reported"] = [*parts[-1].columns]
        return whole

    def _read_reported(self, study: Study, trials: pd.DataFrame, taken: set[str]) -> pd.DataFrame:
        """What trials of a user's own code, or another tool, reported last beside their metric: a column for each name
        that is free."""
        import pandas as pd

        read = self.readings(study).rename(columns={"trial": "number"})
        if read.empty:
            return pd.DataFrame(index=trials.index)
        last = read.merge(trials[["number", "epochs"]], left_on=["number", "epoch"], right_on=["number", "epochs"])
        wide = last[~last["quantity"].isin(taken)].pivot_table("value", "number", "quantity", sort=False)
        return wide.rename_axis(columns=None).reindex(trials["number"]).set_index(trials.index)

    def _ends(self, study: Study, numbers: pd.Series) -> pd.DataFrame:
        """Where the paths of a study of functions ended: a column for each number of their points."""
        import pandas as pd

        ends = "FROM readings WHERE study = ? AND quantity = 'end'"
        first = f"SELECT place {ends} AND trial = (SELECT min(trial) {ends})"
        columns = {}
        for (place,) in self._read(first, study.id, study.id):
            values = dict(self._read(f"SELECT trial, value {ends} AND place = ?", study.id, place))
            columns[place] = pd.Series([values.get(number) for number in numbers], numbers.index, "float64")
        return pd.DataFrame(columns, index=numbers.index)

    def epochs(self, study: Study, number: int | None = None) -> pd.DataFrame:
        """The epochs of every trial, or of one, in order."""
        regression = study.recipe.regression
        measured = [*(without_accuracies([*EPOCH_METRICS]) if regression else EPOCH_METRICS), "grad_norm", "seconds"]
        names = ["trial", "epoch", *measured]
        condition, values = ("", ()) if number is None else (" AND trial = ?", (number,))
        query = f"SELECT {', '.join(names)} FROM epochs WHERE study = ?{condition} ORDER BY trial, epoch"
        frame = numbers_of(self._rows(query, study.id, *values), names)
        if study.recipe.free:
            return self._own_epochs(study, number, frame)
        return frame.join(by_epoch(self.readings(study, number)), on=["trial", "epoch"]) if regression else frame

    def _own_epochs(self, study: Study, number: int | None, frame: pd.DataFrame) -> pd.DataFrame:
        """The same of a user's own code, or another tool: its metric, and whatever else was reported."""
        metric = study.recipe.metric
        own = frame[["trial", "epoch", study.recipe.metric_column, "seconds"]].astype({"seconds": "float64"})
        own = own.rename(columns={study.recipe.metric_column: metric}).astype({metric: "float64"})
        read = self.readings(study, number)
        read = read[~read["quantity"].isin(own.columns)]
        wide = read.pivot_table("value", ["trial", "epoch"], "quantity", sort=False).rename_axis(columns=None)
        return own.join(wide, on=["trial", "epoch"])

    def output(self, study: Study, number: int) -> str:
        """What a trial of a user's own code printed; of an imported one, what its tool calls it."""
        query = "SELECT text FROM outputs WHERE study = ? AND trial = ?"
        rows = self._read(query, study.id, number) if self._version >= 6 else []
        return str(rows[0][0]) if rows else ""

    def readings(self, study: Study, number: int | None = None) -> pd.DataFrame:
        """What was measured beside the epochs' numbers (see `space.Reading`), of every trial or of one: columns trial,
        epoch, step, place, quantity, value; NaN where a value was not finite."""
        import pandas as pd

        names = ["trial", "epoch", "step", "place", "quantity", "value"]
        condition, values = ("", ()) if number is None else (" AND trial = ?", (number,))
        query = f"SELECT {', '.join(names)} FROM readings WHERE study = ?{condition} ORDER BY trial, epoch, step"
        rows = self._read(query, study.id, *values) if self._version >= 4 else []
        return pd.DataFrame.from_records(rows, columns=names).astype({"value": "float64"})


def mixing(kinds: Sequence[Sequence[Sitting]]) -> str:
    """That trials come from several kinds of machines (see `Reader.kinds`), in words."""
    told = "; ".join(f"{sum(sitting.trials for sitting in kind):,} on {kind[0].kind}" for kind in kinds)
    return f"the trials come from {len(kinds)} kinds of machines ({told}): their last digits may differ"


def _classes(text: str | None) -> Classes | None:
    """The rows of each class as they were stored; None where they cannot be read, which hides no result."""
    try:
        return None if text is None else classes_from_dict(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _columns(recipe: Recipe) -> dict[str, str]:
    """The columns of `trials` that a study fills, each with the name it has for readers."""
    if recipe.regression:
        numbers = {of_trials(recipe, name): name for name in (*OF_NUMBERS, *TESTED)}
        return {name: name for name in without_accuracies(TRIAL_COLUMNS)} | numbers
    if not recipe.one_metric:
        return {name: name for name in TRIAL_COLUMNS}
    told = {name: name for name in ("number", "setting", "seed", "state", "reason", "epochs", "seconds")}
    if recipe.imported is None:
        return told | {"traceback": "traceback", recipe.metric_column: recipe.metric}
    tested = {"test_loss": recipe.imported.test_name} if recipe.imported.test_name else {}
    return told | {recipe.metric_column: recipe.metric} | tested
