"""What a search trains: a generation of settings at a time, from one comparison to the next where it prunes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sweep import checkpoint
from sweep.checkpoint import Saved
from sweep.data import DataInfo
from sweep.ledger import Ledger, Study
from sweep.plan import Unit
from sweep.space import Trial
from sweep.study.loop import Loop
from sweep.study.watching import Watcher
from sweep.wording import count

if TYPE_CHECKING:
    from sweep.search import Pruner

Make = Callable[[list[Trial], list[Saved]], list[Unit]]


def generations(ledger: Ledger, study: Study, data: DataInfo, watcher: Watcher) -> Iterator[list[Trial]]:
    """The trials of a search: first those that wait in the ledger, then a generation at a time, each asked once the
    one before is trained. Where nothing new can be asked, the study has as many trials as it got. With a pruner, which
    compares whole generations, it may get a few more than it was to have."""
    waiting = [result.trial for result in ledger.results(study) if result.state == "waiting"]
    if waiting:
        yield waiting
    from sweep.search import AskTell

    asking = AskTell(study.recipe, ledger.results(study), data)
    whole = asking.search.pruner != "none"
    while (left := study.trials - (rows := ledger.rows(study))) > 0:
        trials = asking.ask(asking.search.in_flight * len(study.recipe.seeds) if whole else left)
        if not trials:
            watcher.note(f"{asking.ended}; the search ends")
            ledger.grow(study, study.recipe, ledger.rows(study))
            return
        if len(trials) > left:
            ledger.grow(study, study.recipe, rows + len(trials))
        yield trials
        asking.tell(ledger.results(study, trials[0].number))


def make_pruned_training(loop: Loop, data: DataInfo) -> Callable[[list[Trial], Make], None]:
    """What trains a generation from one comparison to the next; at each, the pruner's losers leave, and those that stay
    are planned anew. What it decides follows from recorded values alone, so it comes out the same after an
    interruption.
    """
    from sweep.search import Pruner

    pruner = Pruner(loop.study.recipe, data)
    way = _seed_by_seed if pruner.search.pruner == "wilcoxon" else _rung_by_rung
    return lambda window, make: way(_Generation(loop, window, make), pruner)


class _Generation:
    """The trials of a generation that are still trained. alive: by number."""

    def __init__(self, loop: Loop, window: list[Trial], make: Make) -> None:
        self.loop, self.make, self.first = loop, make, window[0].number
        self.alive = {trial.number: trial for trial in window}

    def train(self, numbers: Iterable[int], until: int | None = None) -> bool:
        """Trains some of them, at most `until` an epoch; whether to go on."""
        loop = self.loop
        made = self.make([self.alive[number] for number in numbers], checkpoint.scan(loop.folder))
        loop.train([replace(unit, until=until) for unit in made])
        results = loop.ledger.results(loop.study, self.first)
        waiting = {one.trial.number for one in results if one.state == "waiting"}
        self.alive = {number: trial for number, trial in self.alive.items() if number in waiting}
        return not loop.stopping

    def prune(self, numbers: list[int], reason: str | None = None) -> None:
        """Has some of them leave."""
        self.loop.ledger.mark(self.loop.study, numbers, "pruned", reason)
        self.loop.watcher.pruned(len(numbers))
        for number in numbers:
            del self.alive[number]


def _rung_by_rung(generation: _Generation, pruner: Pruner) -> None:
    ledger, study = generation.loop.ledger, generation.loop.study
    known = {number: pruner.rungs(trial) for number, trial in generation.alive.items()}
    for rung in sorted({rung for places in known.values() for rung in places}):
        values = partial(ledger.values_at, study, rung)
        there = values(generation.first)
        here = [number for number in generation.alive if rung in known[number]]
        if not generation.train([number for number in here if number not in there], rung):
            return
        still = [number for number in here if number in generation.alive]
        generation.prune(pruner.losers(still, rung, generation.first, values))
    generation.train(generation.alive)


def _seed_by_seed(generation: _Generation, pruner: Pruner) -> None:
    """Each setting is trained with the fewest seeds that can tell, then with one more at a time."""
    from sweep.search import FEWEST

    ledger, study, seeds = generation.loop.ledger, generation.loop.study, pruner.seeds
    for few in range(FEWEST, seeds):
        if not generation.train([number for number in generation.alive if number % seeds < few]):
            return
        open_ = sorted({number // seeds for number in generation.alive})
        out = set(pruner.worse(open_, ledger.values_at(study), few))
        gone = [number for number in generation.alive if number // seeds in out]
        generation.prune(gone, f"worse than the best on {count(few, 'seed')}")
    generation.train(generation.alive)
