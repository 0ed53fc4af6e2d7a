"""What a search trains: a generation at a time, from rung to rung where it prunes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from sweep import checkpoint
from sweep.checkpoint import Saved
from sweep.ledger import Ledger, Study
from sweep.plan import Unit
from sweep.recipe import Search
from sweep.space import Trial
from sweep.study.loop import Loop
from sweep.study.watching import Watcher


def generations(ledger: Ledger, study: Study, watcher: Watcher) -> Iterator[list[Trial]]:
    """The trials of a search: first those that wait in the ledger, then a generation at a time, each asked once the
    one before is trained. Where nothing new can be asked, the study has as many trials as it got."""
    waiting = [result.trial for result in ledger.results(study) if result.state == "waiting"]
    if waiting:
        yield waiting
    from sweep.search import AskTell

    asking = AskTell(study.recipe, ledger.results(study))
    while (left := study.trials - ledger.rows(study)) > 0:
        trials = asking.ask(left)
        if not trials:
            watcher.note(f"{asking.ended}; the search ends")
            ledger.grow(study, study.recipe, ledger.rows(study))
            return
        yield trials
        asking.tell(ledger.results(study, trials[0].number))


def halve(
    loop: Loop, search: Search, window: list[Trial], make: Callable[[list[Trial], list[Saved]], list[Unit]]
) -> None:
    """Trains a generation from rung to rung; at each, the pruner's losers leave. What it decides follows from the
    recorded values of this and earlier generations, so it comes out the same after an interruption."""
    from sweep.search import losers, rungs

    ledger, study = loop.ledger, loop.study
    alive, known = {trial.number: trial for trial in window}, {trial.number: rungs(search, trial) for trial in window}

    def train(numbers: list[int], until: int | None) -> bool:
        made = make([alive[number] for number in numbers], checkpoint.scan(loop.folder))
        loop.train([replace(unit, until=until) for unit in made])
        waiting = {one.trial.number for one in ledger.results(study, window[0].number) if one.state == "waiting"}
        for number in set(alive) - waiting:
            del alive[number]
        return not loop.stopping

    for rung in sorted({rung for places in known.values() for rung in places}):
        here = [number for number in alive if rung in known[number]]
        there = ledger.values_at(study, rung)
        if not train([number for number in here if number not in there], rung):
            return
        values = ledger.values_at(study, rung)
        out = losers(search, study.recipe.direction, [number for number in here if number in alive], values)
        ledger.mark(study, out, "pruned")
        loop.watcher.pruned(len(out))
        for number in out:
            del alive[number]
    train(list(alive), None)
