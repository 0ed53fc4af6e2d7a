"""A study by its name: made, opened, grown or refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sweep.data import is_file
from sweep.errors import UsageError
from sweep.ledger import FINISHED, Ledger, Study
from sweep.plan import Plan, fold_text
from sweep.recipe import Recipe
from sweep.space import UNWATCHED
from sweep.study.moving import same_data
from sweep.study.watching import Watcher
from sweep.wording import count

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_name(name: str) -> str:
    """The name of a study. Raises UsageError unless it is letters, digits, dots, dashes and underscores."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"study name {name!r}: expected letters, digits, '.', '-' "
            "and '_' (at most 100), no path; results go to --results"
        )
    return name


def add_start(ledger: Ledger, name: str, recipe: Recipe, enqueue: Sequence[str], warm: str | None) -> Recipe:
    """A search's recipe with what it is started with: settings to train first, and what another study found, copied so
    that nothing that happens to the other study matters later. A study that is there keeps its own where none is given.
    """
    from sweep.search import read_enqueued, warm_results

    assert recipe.search is not None
    there = ledger.find(name)
    search = recipe.search
    before = there.recipe.search if there else None
    if enqueue:
        search = replace(search, enqueue=read_enqueued(recipe, enqueue))
    elif before:
        search = replace(search, enqueue=before.enqueue)
    if warm is not None:
        other = ledger.study(warm)
        check_trains(other)
        search = replace(search, warm=warm_results(recipe, other.recipe, ledger.results(other), warm))
    elif before:
        search = replace(search, warm=before.warm)
    return replace(recipe, search=search)


def check_trains(study: Study) -> None:
    """Raises UsageError for a study that was imported: there is nothing to train it from."""
    if study.recipe.imported:
        raise UsageError(
            f"study {study.name!r} was imported from {study.recipe.data}: it can be read and exported as a table, "
            "not trained; give another study"
        )


@contextmanager
def open_study(ledger: Ledger, name: str, recipe: Recipe, plan: Plan, watcher: Watcher) -> Iterator[Study]:
    """The study of that name: a new one, or the one there if it is of the same recipe or one that this one includes.

    Raises UsageError, with the difference, if it is of another.
    A new one whose data turn out to be unreadable is taken back.
    """
    if plan.folded:
        watcher.note(fold_text(plan))
    for note in [*ledger.notes, *recipe.idle_notes()]:
        watcher.note(note)
    study = ledger.find(name)
    if study is not None and recipe.trainer and recipe.trainer.moved_from(study.recipe.trainer):
        study = ledger.move_trainer(study, recipe.trainer)  # its fingerprint says whether it is the same
    if study is not None and recipe.network and recipe.network.moved_from(study.recipe.network):
        study = ledger.move_network(study, recipe.network)
    if study is None:
        study = ledger.create(name, recipe, plan.trials)
        try:
            yield study
        except UsageError:  # nothing can be trained as asked
            ledger.remove(study)
            raise
        return
    check_trains(study)
    elsewhere = study.recipe.data != recipe.data and is_file(study.recipe.data) and is_file(recipe.data)
    if elsewhere and same_data(study, recipe.data):
        watcher.note(f"{name}: its data file is now {recipe.data}, with the same rows")
        study = ledger.move_data(study, recipe.data)
    difference = study.recipe.difference(recipe)
    if difference and (recipe.search or study.recipe.search):
        raise UsageError(
            f"study {name!r} exists with another recipe ({'; '.join(difference)}); a search can grow in --trials only, "
            f"since what it asks depends on all the rest; give --study another name, or `sweep rm {name}`"
        )
    if difference and (recipe.shard or study.recipe.shard):
        raise UsageError(
            f"study {name!r} exists with another recipe ({'; '.join(difference)}); a shard stays as it is, since all "
            "shards divide one recipe; give another --results, or merge the shards (`sweep merge`) and let that grow"
        )
    if difference and not recipe.includes(study.recipe):
        raise UsageError(
            f"study {name!r} exists with another recipe ({'; '.join(difference)}); it "
            "can grow (more values, seeds, epochs or steps of the same data, split "
            f"and loss), not change; give --study another name, or `sweep rm {name}`"
        )
    study = _state(ledger, study, recipe, watcher)
    recipe = replace(recipe, claims=study.recipe.claims, race=recipe.race and recipe.race.as_begun(study.recipe.race))
    total = max(plan.trials, ledger.rows(study)) if recipe.search else study.trials
    if total != study.trials:
        watcher.note(f"{name}: {count(study.trials, 'trial')} there, {total:,} asked for now")
        study = ledger.grow(study, study.recipe, total)
    if difference:
        if longer := _longer(ledger, study, recipe):
            watcher.note(longer)
        watcher.note(f"{name} grows: {'; '.join(difference)}")
        study = ledger.grow(study, recipe, plan.trials)
    elif recipe.watch not in (UNWATCHED, study.recipe.watch):
        study = _watch(ledger, study, recipe, watcher)
    yield study


def _state(ledger: Ledger, study: Study, recipe: Recipe, watcher: Watcher) -> Study:
    """The study with the claims that its recipe states now, marked where that comes after results."""
    before = study.recipe.claims
    if {claim.said for claim in recipe.claims} <= {claim.said for claim in before}:
        return study
    study = ledger.state(study, recipe.claims, len(recipe.seeds))
    late = sum(claim.afterwards for claim in study.recipe.claims[len(before) :])
    if late:
        watcher.note(f"{study.name}: {count(late, 'claim')} stated after results were there, and marked so")
    return study


def _watch(ledger: Ledger, study: Study, recipe: Recipe, watcher: Watcher) -> Study:
    """The study, its trials that are left watched as a recipe of the same trials says."""
    ended = sum(ledger.counts(study)[state] for state in FINISHED)
    if ended:
        watcher.note(
            f"{study.name}: {count(ended, 'finished trial')} "
            f"stay{'s' if ended == 1 else ''} as {'it was' if ended == 1 else 'they were'} "
            "watched, since nothing is trained twice; another --study watches all"
        )
    if ended == study.trials:
        return study
    return ledger.grow(study, replace(study.recipe, watch=recipe.watch), study.trials)


def _longer(ledger: Ledger, study: Study, recipe: Recipe) -> str:
    """What more epochs or steps than a study has do to the numbers that are there; empty where they touch none."""
    ended = sum(ledger.counts(study)[state] for state in FINISHED)
    before, now = study.recipe.budget(), recipe.budget()
    if not ended or before is None or now is None or now == before:
        return ""
    anew = ", from the start" if now[0] == "steps" else ""
    return (
        f"{study.name}: trained for more {now[0]}{anew}, its {count(ended, 'finished trial')} "
        f"{'leaves' if ended == 1 else 'leave'} the leaderboard until that is done; another --study keeps both"
    )
