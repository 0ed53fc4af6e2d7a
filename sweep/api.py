"""`sweep` from Python: train a recipe, open a results folder, ask. The command line uses the same functions.

Needs study, analysis. `import sweep` imports none of it until it is used.

    import sweep

    study = sweep.run({"lr": [0.1, 0.01], "batch_norm": [True, False], "seeds": 3}, study="bn", results="results")
    study.trials()                     # a frame: one row per trial
    study.leaderboard()                # a frame: one row per setting, best first
    study.effect("batch_norm").verdict
    study.confirm(seeds=10).rows       # the best settings again, on fresh seeds
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sweep.data import DataInfo, describe
from sweep.errors import SweepError, UsageError
from sweep.ledger import FINISHED, Ledger
from sweep.ledger import Study as Record
from sweep.plan import Plan, plan_grid, plan_search, share_of
from sweep.racing import FIRST
from sweep.recipe import (
    Race,
    Recipe,
    check_trainer,
    fit_claims,
    fit_task,
    load_claims,
    load_recipe,
    merge_equal,
    recipe_of,
)
from sweep.streams import ENDING
from sweep.study import (
    Options,
    Quiet,
    Summary,
    Watcher,
    add_start,
    check_name,
    check_trains,
    open_study,
    parse_duration,
)
from sweep.study import (
    run as run_study,
)
from sweep.wording import count
from sweep.workers import choose_devices

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis import Effect, SettingsBoard, StudyTable
    from sweep.analysis.confirming import Confirmation
    from sweep.analysis.verdicts import Verdict
    from sweep.report.page.notes import Note


def run(
    recipe: str | Path | Mapping[str, Any],
    *,
    study: str | None = None,
    results: str | Path = "results",
    trials: int | None = None,
    jobs: int | None = None,
    device: str = "auto",
    lanes: int | None = None,
    time_limit: str | None = None,
    watcher: Watcher | None = None,
) -> StudyResults:
    """Trains what a recipe asks for, as far as the results folder does not have it yet, and returns the study.

    recipe: a TOML file, or its content as a mapping. study: its name; by default the file's, or one made of the recipe.
    trials: asks a sampler for so many settings' trials, instead of training the whole grid. time_limit: such as "30m",
    after which it stops; called again it goes on. watcher: is told what happens; by default nothing is printed.

    Ctrl-C stops at the end of an epoch; everything finished is recorded, and KeyboardInterrupt is raised. Raises
    UsageError, one line, for a recipe, a study or a device that cannot be.
    """
    search: dict[str, Any] | None = None if trials is None else {}
    if isinstance(recipe, Mapping):
        loaded = recipe_of(recipe, search)
    else:
        loaded = load_recipe(Path(recipe), {}, search)
        study = Path(recipe).stem if study is None else study
    name = name_study(loaded, study)
    seconds = None if time_limit is None else parse_duration(time_limit)
    options = Options(choose_devices(device, jobs), lanes, seconds=seconds)
    with _keep_handlers():
        summary = train(loaded, name, Path(results), options, watcher or Quiet(), trials)
    if summary.stopped == "interrupted":
        raise KeyboardInterrupt
    return open_results(results).study(name)


def open_results(folder: str | Path = "results") -> Results:
    """The studies of a results folder, to read. Raises UsageError if there are none."""
    return Results(Path(folder))


class Results:
    """A results folder, open to read; a context manager, or `close` it."""

    def __init__(self, folder: Path) -> None:
        self._ledger = Ledger(folder)

    @property
    def names(self) -> list[str]:
        """The studies' names, in the order in which they were made."""
        return [study.name for study in self._ledger.studies()]

    def study(self, name: str) -> StudyResults:
        """A study. Raises UsageError if there is none of that name."""
        return StudyResults(self._ledger, self._ledger.study(name))

    def close(self) -> None:
        """Ends reading."""
        self._ledger.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class StudyResults:
    """A study's results, as they are in the ledger now.

    Every question takes `metric` (by default the recipe's), `direction` ("minimize" or "maximize") and `where`, a
    condition such as "lr<0.01, batch_norm=on" that trials must meet; each raises UsageError for what cannot be.
    """

    def __init__(self, ledger: Ledger, record: Record) -> None:
        self._ledger, self._record = ledger, record

    @property
    def name(self) -> str:
        """The study's name."""
        return self._record.name

    @property
    def recipe(self) -> Recipe:
        """What was asked for."""
        return self._record.recipe

    def table(self, metric: str | None = None, direction: str | None = None, where: str = "") -> StudyTable:
        """What every analysis reads: the trials' frame, what they are ranked on, what varies."""
        from sweep.analysis import study_table

        return study_table(self._ledger, self._record, metric, direction, where)

    def trials(self) -> pd.DataFrame:
        """One row per trial: number, seed, state, last and best metrics (losses are means over rows, accuracies in [0,
        1]), seconds, and one column for each hyperparameter (None where a setting does not use it)."""
        return self.table().trials

    def epochs(self) -> pd.DataFrame:
        """One row per epoch of each trial: trial, epoch (from 1), losses, accuracies, grad_norm, seconds."""
        return self._ledger.epochs(self._record)

    def board(self, metric: str | None = None, direction: str | None = None, where: str = "") -> SettingsBoard:
        """The leaderboard with all that `sweep show` says of it: ties, expected best, optimism."""
        from sweep.analysis import rank_settings

        return rank_settings(self.table(metric, direction, where))

    def leaderboard(self, metric: str | None = None, direction: str | None = None, where: str = "") -> pd.DataFrame:
        """One row per setting, best first, with the columns of `sweep export --settings`: mean over seeds, its 95%
        interval (low, high), best, worst, and tied: whether it cannot be told from the first."""
        from sweep.analysis import settings_table

        return settings_table(self.board(metric, direction, where))

    def effect(
        self,
        name: str,
        by: str | None = None,
        metric: str | None = None,
        direction: str | None = None,
        where: str = "",
        margin: float | None = None,
    ) -> Effect:
        """What one hyperparameter does, by settings that differ in it alone; `by`: asked at each value of another;
        margin: which difference does not matter (of an accuracy 0.005 is half a point, of a loss 0.1 a tenth of it)."""
        from sweep.analysis.effects import effects

        return effects(self.table(metric, direction, where), [name], by, margin)[0]

    def verdicts(self) -> list[Verdict]:
        """What became of each claim that the recipe states in tables [[claim]]. Raises UsageError if it states none."""
        from sweep.analysis.verdicts import judge_claims

        return judge_claims(self._ledger, self._record)

    def confirm(
        self,
        seeds: int | None = None,
        top: int | None = None,
        per: str | None = None,
        study: str | None = None,
        jobs: int | None = None,
        device: str = "auto",
        watcher: Watcher | None = None,
        margin: float | None = None,
    ) -> Confirmation:
        """Trains the best settings on fresh seeds, as far as that is not done, and says what is left of their lead.

        seeds: how many fresh ones; top: how many settings; per: the best of each value of that hyperparameter; study:
        the confirmation's name, by default this one's with -confirm; margin: which difference does not matter.
        """
        from sweep.analysis.equality import check_margin

        check_margin(self.table().metric, margin)
        name = check_name(study or f"{self.name}-confirm")
        options = Options(choose_devices(device, jobs))
        opening = open_confirmation(self._ledger, self._record, name, watcher or Quiet(), seeds, top, per)
        with _keep_handlers(), opening as again:
            summary = train_rest(self._ledger, again, watcher or Quiet(), options)
        if summary.stopped == "interrupted":
            raise KeyboardInterrupt
        return self.confirmation(name, margin)

    def confirmation(self, study: str | None = None, margin: float | None = None) -> Confirmation:
        """What a confirmation that was trained says. Raises UsageError if there is none."""
        from sweep.analysis.confirming import read_confirmation

        again = self._ledger.study(study or f"{self.name}-confirm")
        return read_confirmation(self._ledger, self._record, again, margin=margin)


@contextmanager
def _keep_handlers() -> Iterator[None]:
    """Puts back what signals did before: after an interruption a run leaves them ignored, since a command then ends."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def name_study(recipe: Recipe, given: str | None) -> str:
    """A study's name: as given, else by the recipe's digest. Raises UsageError for one that no study can have."""
    kind = "race" if recipe.race else "grid" if recipe.search is None else "search"
    return check_name(f"{kind}-{recipe.digest()}" if given is None else given)


def make_race(
    recipe: Recipe, margin: float | None = None, draw: int | None = None, how: Mapping[str, Any] | None = None
) -> Recipe:
    """The recipe as a race: of its grid or listed settings, or of so many that a sampler draws of its space. margin:
    which difference does not matter; how: what was said of drawing them. Raises UsageError."""
    from sweep.analysis.equality import check_margin

    check_margin(recipe.metric, margin)
    if len(recipe.seeds) <= FIRST:
        raise UsageError(
            f"a race compares settings over their seeds, first with {FIRST}: given {count(len(recipe.seeds), 'seed')}; "
            "expected more, such as --seeds 20"
        )
    if draw is None and how:
        raise UsageError(
            f"--{next(iter(how)).replace('seed', 'search-seed')}: says how settings are drawn; expected --draw N, too"
        )
    drawn = ""
    if draw is not None:
        from sweep.search import draw_settings

        assert recipe.search is not None
        drawn = f"drawn by {recipe.search.sampler}, search seed {recipe.search.seed}"
        settings = draw_settings(fit(recipe)[0], draw)
        recipe = recipe.of_settings(settings, claims=recipe.claims)
    return replace(recipe, race=Race(margin, drawn))


def fit(recipe: Recipe) -> tuple[Recipe, DataInfo]:
    """The recipe with values that mean the same beside its data taken once, and these data in a few figures."""
    data = describe(recipe.data)
    return merge_equal(fit_task(recipe, data), data), data


def train(
    recipe: Recipe,
    name: str,
    results: Path,
    options: Options,
    watcher: Watcher,
    trials: int | None = None,
    enqueue: Sequence[str] = (),
    warm: str | None = None,
) -> Summary:
    """Trains what is missing of a recipe's study: a grid, or with `trials` a search (enqueue, warm: what it is started
    with, see `add_start`). The watcher is told what the reader should know first. Raises UsageError."""
    recipe, data = fit(recipe)
    if trials is None:
        plan, notes = plan_grid(recipe, data), []
        if recipe.shard:
            plan = replace(plan, trials=len(share_of(recipe, data)))
        if recipe.race and plan.settings < 2:
            raise UsageError(
                "a race needs settings to compare: given 1; expected a list (--lr 0.1,0.01), or a space and --draw N"
            )
    else:
        from sweep.search import check_pruner, check_sampler

        plan = plan_search(recipe, data, trials)
        check_sampler(recipe)
        check_pruner(recipe, data)
        notes = _search_notes(recipe, plan, trials)
    for note in [*(f"data: {note}" for note in data.notes), *notes]:
        watcher.note(note)
    with Ledger(results, create=True) as ledger, ledger.lock(name):
        if trials is not None:
            recipe = add_start(ledger, name, recipe, enqueue, warm)
        with open_study(ledger, name, recipe, plan, watcher) as study:
            return train_rest(ledger, study, watcher, options)


def train_rest(ledger: Ledger, study: Record, watcher: Watcher, options: Options) -> Summary:
    """Trains what is left of a study that the caller has locked. Raises UsageError for one that was imported."""
    check_trains(study)
    if study.recipe.trainer:
        check_trainer(study.recipe.trainer, [axis.name for axis in study.recipe.axes])
    return run_study(ledger, study, describe(study.recipe.data), watcher, options)


def state_claims(ledger: Ledger, study: Record, file: Path) -> Record:
    """The study, which the caller has locked, with the claims of a TOML file beside its own. Raises UsageError for what
    the study cannot be asked."""
    from sweep.analysis import study_table
    from sweep.analysis.verdicts import check_claim

    claims = fit_claims(load_claims(file), study.recipe)
    for claim in claims:
        check_claim(study_table(ledger, study, claim.metric), claim)
    return ledger.state(study, claims, len(study.recipe.seeds))


def judge_recipe(file: Path, name: str, results: Path) -> Note:
    """What became of the claims of a recipe's study, which was trained, with the picture of each that can be drawn."""
    from sweep.analysis import study_table
    from sweep.analysis.pictures import Picture, draw_picture
    from sweep.analysis.verdicts import judge_claims
    from sweep.recipe import header_of
    from sweep.report.answers.verdicts import condition_of, picture_of
    from sweep.report.page.notes import Note

    with Ledger(results) as ledger:
        study = ledger.study(name)
        verdicts = judge_claims(ledger, study)
        pictures: list[Picture | None] = []
        for verdict in verdicts:
            kind, names = picture_of(verdict)
            try:
                table = study_table(ledger, study, verdict.claim.metric, where=condition_of(verdict.claim))
                pictures.append(draw_picture(ledger, study, table, kind, names))
            except SweepError:
                pictures.append(None)
    return Note(str(file), study, header_of(file), verdicts, pictures)


def _search_notes(recipe: Recipe, plan: Plan, trials: int) -> list[str]:
    """What is surprising in a search of so many trials."""
    notes = []
    if plan.trials != trials:
        notes.append(f"{plan.trials:,} trials instead of {trials:,}: a pruner compares whole generations")
    if recipe.search and "seconds" in dict(recipe.search.objectives):
        notes.append(
            "seconds are wall-clock time: what is asked then differs from run to run, after an interruption too"
        )
    return notes


@contextmanager
def open_confirmation(
    ledger: Ledger,
    study: Record,
    name: str,
    watcher: Watcher,
    seeds: int | None = None,
    top: int | None = None,
    per: str | None = None,
    seed: str | None = None,
    asked: tuple[str | None, str | None, str] = (None, None, ""),
    here: bool = True,
) -> Iterator[Record]:
    """The confirmation of a study, locked and ready to be trained. asked: metric, direction and condition that select;
    here: whether on this machine.

    Raises UsageError for a study that was imported, or has nothing to confirm.
    """
    from sweep.analysis.confirming import confirmation_recipe
    from sweep.host import ahead

    check_trains(study)
    with ledger.lock(name):
        recipe = confirmation_recipe(ledger, study, name, top, per, seeds, seed, *asked)
        plan = plan_grid(recipe, describe(recipe.data))
        there = ledger.find(name)
        if here and (there is None or sum(ledger.counts(there)[state] for state in FINISHED) < plan.trials):
            ahead()
        with open_study(ledger, name, recipe, plan, watcher) as again:
            if study.recipe.trainer and study.data and again.data is None:
                ledger.use_data(again, study.data)  # the code that selected is the one that confirms
            yield again
