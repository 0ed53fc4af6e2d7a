"""Studies of several results folders made one: shards, or copies that have grown apart.

A trial is known by its setting and seed. The first that has finished is taken, with its curve, its readings, what it
printed and the machine that trained it; a further one must have the same numbers. Nothing is written unless everything
can be, and what is there already stays as it is, so merging again changes nothing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from sweep.courses import Key
from sweep.data import is_file
from sweep.errors import SweepError, UsageError, unknown
from sweep.hyperparameters import show_value
from sweep.ledger.copying import CHILDREN, Copier, Row, Sittings, copy_checkpoints
from sweep.ledger.damage import first_line
from sweep.ledger.reading import Study
from sweep.ledger.schema import EPOCH_METRICS, FILE, FINISHED, MEASURES
from sweep.recipe import Recipe, join_recipes
from sweep.space import setting_key

SAME = ("state", "epochs", *EPOCH_METRICS, *(name for name in MEASURES if name != "seconds"))
"""What two trainings of one trial must agree in, beside its epochs."""

Difference = tuple[int, str, object, object]
"""A trial's number in the source, what differs, what it is here, what there."""


@dataclass
class Merged:
    """What became of one study."""

    study: str
    folders: int
    """How many of the folders have it."""
    new: int = 0
    """Trials that it got, finished or failed."""
    known: int = 0
    """Finished trials that it had already, with the same numbers."""
    trials: int = 0
    """In all, by its recipe."""
    left: int = 0
    """Those not finished in any folder."""
    failed: int = 0
    shard: str = ""
    """Which share of a grid it still is."""
    grown: tuple[str, ...] = ()
    """What its recipe has got, a line each."""


def merge(folders: Sequence[Path], out: Path, name: str | None = None) -> list[Merged]:
    """Adds the studies of results folders, or the one of that name, to those of `out`, which is made if need be.

    Raises UsageError for a folder without results and for studies that cannot be one, SweepError for a ledger that
    cannot be read and for a trial whose numbers differ; then nothing has been written.
    """
    with ExitStack() as stack:
        places = dict.fromkeys((folder.parent if folder.name == FILE else folder).resolve() for folder in folders)
        sources = [stack.enter_context(Copier(_as_given(place, folders))) for place in places if place != out.resolve()]
        for source in sources:
            stack.enter_context(source.as_it_is())
        copies = _studies(sources, name)
        target = stack.enter_context(Copier(out, create=True))
        for study in copies:
            stack.enter_context(target.lock(study))
        with target.at_once():
            joins = [_join(target, study, parts) for study, parts in copies.items()]
        for join in joins:
            for source, part in copies[join.outcome.study]:
                copy_checkpoints(source, part, target, join.study)
        return [join.outcome for join in joins]


def _as_given(place: Path, folders: Sequence[Path]) -> Path:
    """A folder as it was given, for messages."""
    given = ((folder.parent if folder.name == FILE else folder) for folder in folders)
    return next(folder for folder in given if folder.resolve() == place)


def _studies(sources: Sequence[Copier], name: str | None) -> dict[str, list[tuple[Copier, Study]]]:
    """The studies to merge, by name, each with the ledgers that have it."""
    copies: dict[str, list[tuple[Copier, Study]]] = {}
    for source in sources:
        for study in source.studies():
            copies.setdefault(study.name, []).append((source, study))
        for other, line in source.damaged.items():
            if name in (None, other):
                raise SweepError(line)
    if name is not None and name not in copies:
        where = ", ".join(str(source.folder) for source in sources)
        raise unknown("study", name, copies, f"{where}: ")
    return copies if name is None else {name: copies[name]}


def _join(target: Copier, name: str, parts: Sequence[tuple[Copier, Study]]) -> _Join:
    """Adds all parts of a study to the target."""
    there = target.find(name)
    first = parts[0][0].folder if there is None else target.folder
    join = _Join(target, there or target.make_like(parts[0][1]), first, len(parts))
    for source, part in parts:
        try:
            join.add(source, part)
        except (ValueError, TypeError, KeyError, AttributeError):
            if line := first_line(source.path):
                raise SweepError(line) from None
            raise
    join.close()
    return join


class _Join:
    """A study that others become part of, within a transaction. first: the folder that its recipe is from."""

    def __init__(self, target: Copier, study: Study, first: Path, folders: int) -> None:
        self.target, self.study, self.first = target, study, first
        self.outcome = Merged(study.name, folders)
        self.known = target.known(study)
        self.taken = {number for number, _ in self.known.values()}
        self.later = itertools.count(1 + max(self.taken, default=-1))
        self.origin: dict[int, Path] = {}
        self.finished = study.finished
        self.seconds = 0.0

    def add(self, source: Copier, part: Study) -> None:
        """Takes over what a source's study has more."""
        self._agree(source, part)
        places = self._places(part)
        sittings = Sittings(self.target, self.study, source, part)
        seconds, total = 0.0, source.trained_seconds(part)
        for rows in source.chunks(part):
            take, same = self._sort(rows, places)
            self.origin.update(dict.fromkeys(take.values(), source.folder))
            self._compare(source, part, rows, same)
            seconds += self._take(source, part, rows, take, sittings)
        if total:  # of its wall-clock time, what was spent on the trials that were taken over
            self.seconds += part.seconds * seconds / total
        self.finished = max(filter(None, (self.finished, part.finished)), default=None)

    def close(self) -> None:
        """Adds the trials that no part has, and sets what follows from all."""
        self._wait_for_rest()
        counts = self.target.counts(self.study)
        self.outcome.trials, self.outcome.failed = self.study.trials, counts["failed"]
        self.outcome.left = counts["waiting"] + counts["running"]
        self.outcome.shard = self.study.recipe.shard.words if self.study.recipe.shard else ""
        done = self.outcome.left + self.outcome.failed == 0
        self.target.end_study(self.study, self.finished if done else None, self.seconds)

    def _wait_for_rest(self) -> None:
        """Adds what is missing of a whole grid as trials that wait."""
        recipe = self.study.recipe
        if not recipe.planned or recipe.shard or len(self.known) == self.study.trials:
            return
        rest = (trial for trial in recipe.grid.trials() if (setting_key(trial.setting), trial.seed) not in self.known)
        self.target.put_waiting(self.study, (trial._replace(number=self._number(trial.number)) for trial in rest))

    def _agree(self, source: Copier, part: Study) -> None:
        """Has the study's recipe grow by a source's. Raises UsageError where the two cannot be one."""
        there = self.study
        who = f"study {part.name!r}: {source.folder} and {self.first} are"
        if None not in (part.data, there.data) and part.data != there.data:
            what = "trained by other code" if part.recipe.trainer else "of other data"
            raise UsageError(
                f"{who} {what} ({part.recipe.source} with fingerprint {part.data}, {there.recipe.source} with "
                f"{there.data}): their numbers do not compare"
            )
        moved = is_file(part.recipe.data) and is_file(there.recipe.data)
        theirs = replace(part.recipe, data=there.recipe.data) if moved else part.recipe
        try:
            recipe = join_recipes(there.recipe, theirs)
        except UsageError as error:
            raise UsageError(f"{who} {error}") from None
        whole = replace(recipe, shard=None)
        self.outcome.grown += tuple(replace(there.recipe, shard=None).difference(whole))
        self.study = self.target.join_study(there, part, recipe, _trials(recipe, there, part))

    def _places(self, part: Study) -> Mapping[Key, int]:
        """The place of each trial in the grid, where a source's numbers do not tell it."""
        recipe = self.study.recipe
        if not recipe.planned or recipe.grid == part.recipe.grid:
            return {}
        pairs = ((setting_key(setting), seed) for setting in recipe.grid.settings() for seed in recipe.seeds)
        return {key: place for place, key in enumerate(pairs)}

    def _sort(self, rows: Mapping[int, Row], places: Mapping[Key, int]) -> tuple[dict[int, int], dict[int, int]]:
        """Which of a source's trials are taken over, and which compared: their numbers there and here."""
        take: dict[int, int] = {}
        same: dict[int, int] = {}
        for number, row in rows.items():
            key = row["setting"], row["seed"]
            here, state = self.known.get(key, (-1, "new"))
            if _rank(row["state"]) > _rank(state):
                take[number] = self._number(places.get(key, number)) if state == "new" else here
                self.known[key] = take[number], row["state"]
            elif state in FINISHED and row["state"] in FINISHED:
                same[number] = here
        return take, same

    def _number(self, place: int) -> int:
        """A new trial's number: its place in the grid or, where that is taken, the next that is free."""
        number = place if place not in self.taken else next(n for n in self.later if n not in self.taken)
        self.taken.add(number)
        return number

    def _take(
        self, source: Copier, part: Study, rows: Mapping[int, Row], take: Mapping[int, int], sittings: Sittings
    ) -> float:
        """Writes trials with all that belongs to them; returns the seconds that they took."""
        ended = {number: here for number, here in take.items() if rows[number]["state"] in (*FINISHED, "failed")}
        fresh = {}
        for number, here in take.items():
            row = rows[number]
            fresh[here] = {**row, "sitting": sittings.number(row["sitting"])} if number in ended else _waiting(row)
        self.target.put_trials(self.study, fresh)
        for table in CHILDREN if ended else ():
            self.target.put_children(self.study, table, source.children(part, table, ended))
        self.outcome.new += len(ended)
        return float(sum(rows[number]["seconds"] or 0.0 for number in ended))

    def _compare(self, source: Copier, part: Study, rows: Mapping[int, Row], same: Mapping[int, int]) -> None:
        """Raises SweepError where a trial that is here and there does not have the same numbers."""
        self.outcome.known += len(same)
        difference = self._difference(source, part, rows, same) if same else None
        if difference is None:
            return
        number, what, mine, theirs = difference
        setting = json.loads(rows[number]["setting"])
        values = [f"{name} {show_value(setting[name])}" for name in part.recipe.swept if name in setting]
        trial = ", ".join([*values, f"seed {rows[number]['seed']}"])
        first = self.origin.get(same[number], self.target.folder)
        raise SweepError(
            f"study {part.name!r}: the trial of {trial} has other numbers in {source.folder} "
            f"than in {first}: its {what} is {theirs!r}, not {mine!r}; nothing is merged "
            f"(`sweep reproduce {part.name} N` says which of them this machine makes)"
        )

    def _difference(
        self, source: Copier, part: Study, rows: Mapping[int, Row], same: Mapping[int, int]
    ) -> Difference | None:
        """The first difference of trials here and there; wall-clock time is none."""
        mine = self.target.rows_of(self.study, same.values())
        for number, here in same.items():
            for name in SAME:
                if rows[number][name] != mine[here][name]:
                    return number, name, mine[here][name], rows[number][name]
        return _differing_epoch(self.target, self.study, source, part, same) or (
            None if part.recipe.trainer else _differing_reading(self.target, self.study, source, part, same)
        )


def _differing_epoch(
    target: Copier, study: Study, source: Copier, part: Study, same: Mapping[int, int]
) -> Difference | None:
    """The first epoch that both have and that differs."""
    names = ("epoch", *EPOCH_METRICS, "grad_norm")
    ours = sorted(target.children(study, "epochs", {here: here for here in same.values()}, names))
    theirs = sorted(source.children(part, "epochs", same, names))
    if ours == theirs:
        return None
    there = {(here, epoch): values for here, epoch, *values in ours}
    numbers = {here: number for number, here in same.items()}
    for here, epoch, *values in theirs:
        for name, mine, other in zip(names[1:], there.get((here, epoch), ()), values, strict=False):
            if mine != other:
                return numbers[here], f"{name} of epoch {epoch}", mine, other
    return None


def _differing_reading(
    target: Copier, study: Study, source: Copier, part: Study, same: Mapping[int, int]
) -> Difference | None:
    """The first reading that both have and that differs; what was watched may differ."""
    theirs = list(source.children(part, "readings", same))
    ours = target.children(study, "readings", {here: here for here in same.values()}) if theirs else ()
    there = {tuple(place): value for *place, value in ours}
    numbers = {here: number for number, here in same.items()}
    for here, epoch, step, place, quantity, value in theirs:
        mine = there.get((here, epoch, step, place, quantity), value)
        if mine != value:
            return numbers[here], f"{quantity}{f' of {place}' if place else ''} at step {step}", mine, value
    return None


def _rank(state: str) -> int:
    """How much is known of a trial."""
    return 3 if state in FINISHED else {"new": 0, "waiting": 1, "running": 1, "failed": 2}[state]


def _waiting(row: Row) -> Row:
    """A trial as one that waits: what an unfinished training recorded is of no use without its process."""
    return {**dict.fromkeys(row), "setting": row["setting"], "seed": row["seed"], "state": "waiting", "epochs": 0}


def _trials(recipe: Recipe, there: Study, part: Study) -> int:
    """How many trials a study of a joined recipe has."""
    if not recipe.planned or recipe.shard:
        return max(there.trials, part.trials)
    return recipe.grid.census.settings * len(recipe.seeds)
