"""What a race trains: a block of seeds at a time, with those settings that are still in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from sweep.ledger import FINISHED, Ledger, Study
from sweep.racing import Course, follow
from sweep.space import Result, Trial, setting_key
from sweep.study.watching import Watcher


def rounds(ledger: Ledger, study: Study, watcher: Watcher) -> Iterator[list[Trial]]:
    """The trials of a race: first those that wait in the ledger, then what each look needs, once the one before is
    trained. Who leaves follows from recorded values alone, so it comes out the same after an interruption. As long as
    it lasts, the study has as many trials as the race may take; then as many as it took."""
    results = ledger.results(study)
    if waiting := [result.trial for result in results if result.state == "waiting"]:
        yield waiting
    while True:
        results = ledger.results(study)
        course = follow(study.recipe, results)
        most = sum(result.state in (*FINISHED, "failed") for result in results) + course.most
        if most != ledger.study(study.name).trials:
            ledger.grow(study, study.recipe, most)
        watcher.raced(course, most)
        if course.ended:
            return
        yield _trials(course, results)


def _trials(course: Course, results: list[Result]) -> list[Trial]:
    """What is missing for the next look: trials that have a row keep their number, others get the next ones."""
    known = {(setting_key(result.trial.setting), result.trial.seed): result.trial for result in results}
    numbers = itertools.count(1 + max((trial.number for trial in known.values()), default=-1))
    keys = {place: setting_key(course.settings[place]) for place, _ in course.missing}
    return [
        known.get((keys[place], seed)) or Trial(next(numbers), course.settings[place], seed)
        for place, seed in course.missing
    ]
