"""The study: the only loop. Asks for trials, plans them, has them trained, records. Needs plan, workers, ledger."""

from __future__ import annotations

import collections
import itertools
import json
import math
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from sweep import checkpoint
from sweep.checkpoint import Saved
from sweep.data import DataInfo
from sweep.errors import SweepError, UsageError
from sweep.ledger import FINISHED, Ledger, Study
from sweep.plan import WORTH_SECONDS, Plan, Unit, fold_text, measurements, units
from sweep.recipe import Recipe, Search
from sweep.space import EpochRecord, Grid, Trial, setting_key
from sweep.speed import Cost, Measurement, Speeds, recall, remember
from sweep.workers import DataRequest, Message, Pool

WINDOW = 20_000
"""Trials that are made, planned and trained before the next ones are looked at, so that memory stays bounded."""

DEATHS = 20
"""Workers that die without work in hand before the run gives up: something kills them faster than they are forked."""

ATTEMPTS = 3
"""A lone trial whose worker died so many times has failed."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Options:
    """How to run a study; none of it changes a number.

    devices: one for each worker process; lanes: trials of one program at most (None: the planner's choice); seconds: stop then;
    max_trials: finished trials in all after which to stop; keep: keep finished trials' checkpoints.
    """

    devices: tuple[str, ...]
    lanes: int | None = None
    retry_failed: bool = False
    seconds: float | None = None
    max_trials: int | None = None
    keep: bool = False


@dataclass(frozen=True)
class Start:
    """What a run found of its study. done: trials finished, or failed and not to be tried again; retried: begun before,
    or failed and tried again, of which `resumable` go on from a checkpoint; left: not begun yet; duplicated: rows of
    one setting and seed past the first, which the ledger never allows."""

    done: int
    retried: int
    resumable: int
    left: int
    duplicated: int
    total: int


@dataclass(frozen=True)
class Summary:
    """How a run ended: trials by state, and what stopped it early: "", "interrupted", "time" or "trials"."""

    counts: dict[str, int]
    trials: int
    seconds: float
    stopped: str

    @property
    def exit_code(self) -> int:
        """130 if interrupted, 1 if trials failed, else 0."""
        return 130 if self.stopped == "interrupted" else 1 if self.counts["failed"] else 0


class Watcher(Protocol):
    """Who is told what happens, as it happens."""

    def started(self, study: Study, start: Start) -> None:
        """The run begins."""

    def training(self, worker: int, unit: Unit) -> None:
        """A worker begins a unit."""

    def epoch(self, worker: int, unit: Unit, outcomes: tuple[EpochRecord, ...]) -> None:
        """A unit has trained an epoch."""

    def idle(self, worker: int) -> None:
        """A worker has no unit any more."""

    def failed(self, unit: Unit, reason: str, again: bool) -> None:
        """A unit broke off; `again`: it is tried once more."""

    def pruned(self, trials: int) -> None:
        """So many trials have been stopped early."""

    def note(self, text: str) -> None:
        """Something worth a line, in words."""

    def tick(self) -> None:
        """A moment has passed."""

    def close(self) -> None:
        """No more progress comes, whether the run ended well or not."""

    def ended(self, summary: Summary) -> None:
        """The run is over."""


def parse_duration(text: str) -> float:
    """Seconds of a duration such as 90, 45s, 30m, 1h30m or 2d. Raises UsageError."""
    match = re.fullmatch(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    units = (86400, 3600, 60, 1)
    seconds = (
        sum(float(part) * unit for part, unit in zip(match.groups(), units, strict=True) if part) if match else 0.0
    )
    if not 0 < seconds < 1e9:
        raise UsageError(f"--time-limit {text!r}: expected a duration such as 90s, 30m or 1h30m")
    return seconds


def check_name(name: str) -> str:
    """The name of a study. Raises UsageError unless it is letters, digits, dots, dashes and underscores."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"study name {name!r}: expected letters, digits, '.', '-' and '_' (at most 100), no path; results go to --results"
        )
    return name


def begun_with(ledger: Ledger, name: str, recipe: Recipe, enqueue: Sequence[str], warm: str | None) -> Recipe:
    """A search's recipe with what it is started with: settings to train first, and what another study found, copied so
    that nothing that happens to the other study matters later. A study that is there keeps its own where none is given.
    """
    from sweep.search import enqueued, warm_results

    assert recipe.search is not None
    there = ledger.find(name)
    search = recipe.search
    before = there.recipe.search if there else None
    if enqueue:
        search = replace(search, enqueue=enqueued(recipe, enqueue))
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
            f"study {study.name!r} was imported from {study.recipe.data}: it can be read and exported as a table, not trained; give another study"
        )


@contextmanager
def opened(ledger: Ledger, name: str, recipe: Recipe, plan: Plan, watcher: Watcher) -> Iterator[Study]:
    """The study of that name: a new one, or the one there if it is of the same recipe or one that this one includes.

    Raises UsageError, with the difference, if it is of another. A new one whose data turn out to be unreadable is
    taken back.
    """
    if plan.folded:
        watcher.note(f"folded: {fold_text(plan)}")
    study = ledger.find(name)
    if study is None:
        study = ledger.create(name, recipe, plan.trials)
        try:
            yield study
        except UsageError:  # nothing can be trained as asked
            ledger.remove(study)
            raise
        return
    check_trains(study)
    difference = study.recipe.difference(recipe)
    if difference and (recipe.search or study.recipe.search):
        raise UsageError(
            f"study {name!r} exists with another recipe ({'; '.join(difference)}); a search can grow in --trials only, "
            f"since what it asks depends on all the rest; give --study another name, or `sweep rm {name}`"
        )
    if difference and not recipe.includes(study.recipe):
        raise UsageError(
            f"study {name!r} exists with another recipe ({'; '.join(difference)}); it can grow (more values, seeds or "
            f"epochs of the same data, split and loss), not change; give --study another name, or `sweep rm {name}`"
        )
    total = max(plan.trials, ledger.rows(study)) if recipe.search else study.trials
    if total != study.trials:
        watcher.note(f"{name}: {study.trials} trials there, {total} here")
        study = ledger.grow(study, study.recipe, total)
    if difference:
        watcher.note(f"{name} grows: {'; '.join(difference)}")
        study = ledger.grow(study, recipe, plan.trials)
    yield study


def run(ledger: Ledger, study: Study, data: DataInfo, watcher: Watcher, options: Options) -> Summary:
    """Trains what is left of a study and records it. The caller holds the study's lock.

    Ends early, everything finished recorded, when the user interrupts (once to stop at the next epoch, twice at once),
    or at the time or number of trials that the options allow.
    """
    begin = time.monotonic()
    deadline = None if options.seconds is None else begin + options.seconds
    folder = _checkpoints(ledger, study)
    saved = checkpoint.scan(folder)
    known = ledger.known(study)
    start = _take_stock(ledger, study, known, saved, options.retry_failed)
    left = start.total - start.done
    room = left if options.max_trials is None else min(left, max(0, options.max_trials - start.done))
    stopped = "trials" if room < left else ""
    trains = room > 0
    with _interrupts() as interrupts, closing(watcher):
        watcher.started(study, start)
        if trains:
            windows = _generations(ledger, study, watcher)
            if not study.recipe.search:
                windows = _windows(itertools.islice(_left(study.recipe.grid, known, options.retry_failed), room))
            devices = options.devices[:room]
            if note := precision_note(study.recipe.precision, devices[0]):
                watcher.note(note)
            jobs, kind = len(devices), speed_kind(devices, study.recipe)
            speeds = recall()
            with Pool(devices, _data_request(study.recipe, folder, options.keep)) as pool:
                loop = _Loop(ledger, study, watcher, pool, interrupts, deadline)
                if options.lanes is None and not study.recipe.search:
                    loop.measure(measurements(study.recipe, data, jobs, speeds, WORTH_SECONDS, kind), speeds)
                for window in windows:
                    ledger.add(study, window)

                    def make(trials: list[Trial], saved: list[Saved] = saved) -> list[Unit]:
                        return units(trials, data, jobs, options.lanes, saved, speeds, kind)

                    if study.recipe.search and study.recipe.search.pruner != "none":
                        _halve(loop, study.recipe.search, window, make)
                        if not loop.stopping and not options.keep:
                            checkpoint.clear(folder)
                    else:
                        loop.train(make(window[:room]))
                    room -= len(window)
                    if loop.stopping or room <= 0:
                        break
                study = ledger.study(study.name)
                stopped = loop.stopping or (stopped if room <= 0 else "")
    ledger.close_run(study, time.monotonic() - begin)
    counts = ledger.counts(study)
    if trains and not options.keep and not counts["waiting"] + counts["running"]:
        checkpoint.clear(folder)
    summary = Summary(counts, study.trials, time.monotonic() - begin, stopped)
    watcher.ended(summary)
    return summary


def speed_kind(devices: Sequence[str], recipe: Recipe) -> str:
    """What speeds depend on besides the program and the number of workers: the kind of device, the precision."""
    return f"{devices[0].partition(':')[0]} {recipe.precision}"


def precision_note(precision: str, device: str) -> str:
    """What to say of a precision on a device, if anything. Raises UsageError for one that the device does not have."""
    if precision == "tf32" and not device.startswith("cuda"):
        raise UsageError(f"precision = tf32: TensorFloat-32 needs an NVIDIA GPU; expected float32 or bf16 on {device}")
    if precision == "bf16" and device == "cpu":
        with suppress(OSError):
            if "bf16" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
                return "bf16: this processor has no bfloat16 products; expect it to be slower than float32"
    return ""


def measured(recipe: Recipe, data: DataInfo, devices: Sequence[str]) -> Speeds:
    """What a plan needs to tell time: what is remembered of this machine, after measuring what was not.

    Raises DataError if the data cannot be loaded, SweepError if the workers cannot work.
    """
    speeds = recall()
    wanted = measurements(recipe, data, len(devices), speeds, kind=speed_kind(devices, recipe))
    if wanted or data.name not in speeds.start:
        with Pool(devices, _data_request(recipe, None)) as pool:
            _measure(pool, wanted, speeds, data.name)
    return speeds


def _measure(
    pool: Pool,
    wanted: list[Measurement],
    speeds: Speeds,
    data: str,
    ready: list[int] | None = None,
    other: Callable[[Message], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Has workers measure, adds what they find to `speeds` and remembers it. A measurement that breaks off is left out.

    ready: workers that are, now and afterwards; other: is given the messages that say something else; stop: ends it early.
    """
    waiting, ready = list(wanted), [] if ready is None else ready
    out, found, start = 0, dict[str, tuple[Cost, ...]](), dict[str, tuple[float, int]]()
    while (waiting or out or not (ready or found)) and not stop():
        while ready and waiting:
            pool.give(ready.pop(0), waiting.pop(0))
            out += 1
        for message in pool.messages(0.25):
            if message.kind == "measured":
                found[message.text] = message.costs
            elif message.kind == "loaded":
                start[data] = (pool.age(), message.memory)
            if message.kind in ("measured", "error", "memory", "died"):
                out -= 1
            if message.kind == "ready":
                ready.append(message.worker)
            elif message.kind != "measured":
                other(message)
    speeds.costs |= found
    speeds.start |= start
    remember(found, start)


def _take_stock(
    ledger: Ledger, study: Study, known: dict[checkpoint.Key, tuple[int, str]], saved: list[Saved], retry_failed: bool
) -> Start:
    """What there is of a study; trials that were running when their process ended wait again."""
    states = collections.Counter(state for _, state in known.values())
    failed = [number for number, state in known.values() if state == "failed" and retry_failed]
    running = [number for number, state in known.values() if state == "running"]
    ledger.mark(study, [*failed, *running], "waiting", "interrupted")
    done = sum(states[state] for state in FINISHED) + states["failed"] - len(failed)
    begun = ledger.begun(study)
    courses = {key for one in saved for key in one.keys}
    waiting = (key for key, (_, state) in known.items() if courses and state in ("running", "waiting"))
    resumable = sum(checkpoint.course(json.loads(setting), seed) in courses for setting, seed in waiting)
    return Start(done, begun, resumable, study.trials - done - begun, ledger.rows(study) - len(known), study.trials)


def _checkpoints(ledger: Ledger, study: Study) -> Path:
    return ledger.path.parent / checkpoint.FOLDER / str(study.id)


def _left(grid: Grid, known: dict[checkpoint.Key, tuple[int, str]], retry_failed: bool) -> Iterator[Trial]:
    """The trials of a grid that are to be trained, in its order. One without a row gets its place in the grid as its
    number or, in a study that has grown, where that is taken, the next that is free."""
    taken = {number for number, _ in known.values()}
    later = itertools.count(1 + max(taken, default=-1))
    places = itertools.count()
    for setting in grid.settings():
        key = setting_key(setting)
        for seed in grid.seeds:
            place = next(places)
            number, state = known.get((key, seed), (-1, "new"))
            if state == "new":
                number = place if place not in taken else next(n for n in later if n not in taken)
                taken.add(number)
            elif state in FINISHED or (state == "failed" and not retry_failed):
                continue
            yield Trial(number, setting, seed)


def _generations(ledger: Ledger, study: Study, watcher: Watcher) -> Iterator[list[Trial]]:
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


def _halve(
    loop: _Loop, search: Search, window: list[Trial], make: Callable[[list[Trial], list[Saved]], list[Unit]]
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


def _data_request(recipe: Recipe, checkpoints: Path | None, keep: bool = False) -> DataRequest:
    forms = tuple(
        (str(normalize), size if isinstance(size, str) else int(size))
        for normalize in recipe.listed("normalize")
        for size in recipe.listed("train_size")
    )
    return DataRequest(recipe.data, recipe.data_dir, recipe.split_seed, forms, checkpoints, keep, recipe.precision)


class _Loop:
    """Hands units to workers and their records to the ledger. Workers stay between windows.

    stopping: why no more units are handed out: "", "interrupted" or "time".
    """

    def __init__(
        self, ledger: Ledger, study: Study, watcher: Watcher, pool: Pool, interrupts: list[int], deadline: float | None
    ) -> None:
        self.ledger, self.study, self.watcher, self.pool = ledger, study, watcher, pool
        self.folder = _checkpoints(ledger, study)
        self.interrupts, self.deadline = interrupts, deadline
        self.ready: list[int] = []
        self.busy: dict[int, Unit] = {}
        self.finished: set[int] = set()
        self.deaths = 0
        self.stopping = ""

    def measure(self, wanted: list[Measurement], speeds: Speeds) -> None:
        """Has cohorts measured, adds the costs to `speeds` and remembers them."""
        if not wanted:
            return
        self.watcher.note(f"measuring how many lanes suit this machine: {len(wanted)} kinds of program")

        def stop() -> bool:
            self.watcher.tick()
            self._look_up()
            return bool(self.stopping)

        _measure(self.pool, wanted, speeds, self.study.recipe.data, self.ready, self._take, stop)

    def train(self, queue: list[Unit]) -> None:
        """Trains the units, or as many as the user's patience allows."""
        self.queue = queue
        while self.busy or (self.queue and not self.stopping):
            while self.ready and self.queue and not self.stopping:
                self._give(self.ready.pop(0), self.queue.pop(0))
            outcomes: list[EpochRecord] = []
            for message in self.pool.messages(0.25):
                outcomes += message.outcomes
                if message.kind != "epoch":  # what it does to trials comes after their epochs
                    self._record(outcomes)
                self._take(message)
            self._record(outcomes)
            self.watcher.tick()
            self._look_up()

    def _look_up(self) -> None:
        """Whether it is time to stop."""
        if not self.stopping and self.interrupts:
            self.stopping = "interrupted"
            self.pool.stop(now=False)
            self.watcher.note("stopping at the end of the epoch; press Ctrl-C again to stop now")
        elif not self.stopping and self.deadline is not None and time.monotonic() >= self.deadline:
            self.stopping = "time"
            self.pool.stop(now=True)
        if len(self.interrupts) > 1:
            self.stopping = "interrupted"
            self._abandon()

    def _give(self, worker: int, unit: Unit) -> None:
        self.busy[worker] = unit
        self.ledger.begin(self.study, [trial.number for trial in unit.trials])
        self.pool.give(worker, unit)
        self.watcher.training(worker, unit)

    def _record(self, outcomes: list[EpochRecord]) -> None:
        if outcomes:
            self.ledger.record(self.study, outcomes)
            outcomes.clear()

    def _take(self, message: Message) -> None:
        if message.kind == "loaded":
            self.ledger.use_data(self.study, message.text)
        elif message.kind == "trouble":
            self.watcher.note(message.text)
        elif message.kind == "ready":
            self.ready.append(message.worker)
        elif message.kind == "epoch":
            self.finished.update(outcome.number for outcome in message.outcomes if outcome.state)
            self.watcher.epoch(message.worker, self.busy[message.worker], message.outcomes)
        elif message.worker in self.busy:
            unit = self.busy.pop(message.worker)
            self.watcher.idle(message.worker)
            if message.kind == "stopped":
                self._put_back(unit)
            elif message.kind != "done":
                self._again(unit, message)
        elif message.kind == "died":
            self.ready[:] = [worker for worker in self.ready if worker != message.worker]
            self.deaths += 1
            if self.deaths > DEATHS:
                raise SweepError(
                    f"idle workers die one after another ({message.text}); everything finished is recorded"
                )

    def _unfinished(self, unit: Unit) -> list[Trial]:
        return [trial for trial in unit.trials if trial.number not in self.finished]

    def _put_back(self, unit: Unit) -> None:
        self.ledger.mark(self.study, [trial.number for trial in self._unfinished(unit)], "waiting", "interrupted")

    def _again(self, unit: Unit, message: Message) -> None:
        """A unit broke off: what it had not finished is tried with fewer lanes; a lone trial fails in the end."""
        reason = {"died": f"worker {message.text}", "memory": "out of memory"}.get(
            message.kind
        ) or message.text.strip().splitlines()[-1]
        left = replace(unit, trials=tuple(self._unfinished(unit)), checkpoint=None)
        if not left.trials:
            return
        alone = len(left.trials) == 1
        again = not alone or (message.kind == "died" and unit.attempt < ATTEMPTS)
        numbers = [trial.number for trial in left.trials]
        if again:
            self.ledger.mark(self.study, numbers, "waiting", reason)
            # Attempts count the deaths of a lone trial; until then lanes are halved.
            halves = [replace(half, attempt=half.attempt if alone else 1) for half in left.halves()]
            self.queue[:0] = [replace(half, checkpoint=self._latest(half)) for half in halves]
        else:
            self.ledger.mark(self.study, numbers, "failed", reason, message.text if message.kind == "error" else None)
        self.watcher.failed(left, reason, again)

    def _latest(self, unit: Unit) -> Path | None:
        """The most advanced checkpoint that has all trials of a unit; its dead worker may have left one."""
        keys = {checkpoint.trial_key(trial) for trial in unit.trials}
        return next((saved.path for saved in checkpoint.scan(self.folder) if keys <= set(saved.keys)), None)

    def _abandon(self) -> None:
        for worker, unit in self.busy.items():
            self._put_back(unit)
            self.watcher.idle(worker)
        self.busy.clear()


def _windows(trials: Iterable[Trial]) -> Iterator[list[Trial]]:
    iterator = iter(trials)
    while window := list(itertools.islice(iterator, WINDOW)):
        yield window


@dataclass(frozen=True)
class Reproduction:
    """A trial trained again beside what the ledger holds. difference: the first (epoch, metric, ledger's value, new
    value) that is not the same to the bit, None if all are."""

    trial: int
    epochs: int
    difference: tuple[int, str, object, object] | None


def reproduce(ledger: Ledger, study: Study, number: int) -> Reproduction:
    """Trains one finished trial again, alone, from its setting and seed in the ledger. Nothing is recorded.

    Raises UsageError if the trial has not finished or the data are not those it was trained on, SweepError if the
    training breaks off.
    """
    check_trains(study)
    row, setting = ledger.trial(study, number)
    if row["state"] not in FINISHED:
        raise UsageError(f"study {study.name!r}: trial {number} is {row['state']}; expected one that has finished")
    stored = ledger.epochs(study, number).drop(columns=["trial", "seconds"]).to_dict("records")
    records: list[EpochRecord] = []
    unit = Unit((Trial(number, setting, row["seed"]),), until=row["epochs"] if row["state"] == "pruned" else None)
    with Pool(["cpu"], _data_request(study.recipe, None)) as pool:
        while True:
            for message in pool.messages(1.0):
                records += message.outcomes
                if message.kind == "loaded" and study.data not in (None, message.text):
                    raise UsageError(
                        f"study {study.name!r} was trained on other data (fingerprint {study.data}, now {message.text})"
                    )
                if message.kind == "ready" and not records:
                    pool.give(message.worker, unit)
                elif message.kind in ("error", "memory", "died"):
                    raise SweepError(f"trial {number} broke off: {message.kind} {message.text.strip()}")
                elif message.kind in ("done", "stopped"):
                    return Reproduction(number, len(records), _first_difference(stored, records))


def export_optuna(ledger: Ledger, study: Study, url: str) -> int:
    """Writes a study to one of Optuna's storages; returns the number of trials. Raises UsageError if it cannot be."""
    from sweep.search import write_optuna

    check_trains(study)
    metric, curves = study.recipe.metric, dict[int, dict[int, float]]()
    for number, epoch, value in ledger.epochs(study)[["trial", "epoch", metric]].itertuples(index=False):
        curves.setdefault(int(number), {})[int(epoch)] = float(value)
    rows = (ledger.trial(study, result.trial.number) for result in ledger.results(study))
    return write_optuna(url, study.name, study.recipe, ({**row, "setting": setting} for row, setting in rows), curves)


def _first_difference(
    stored: Sequence[Mapping[Any, Any]], made: list[EpochRecord]
) -> tuple[int, str, object, object] | None:
    for old, new in zip(stored, made, strict=False):
        for name, value in old.items():
            again = getattr(new, name)
            # The ledger keeps no number where one was not finite.
            if value != again and not (value != value and not math.isfinite(again)):
                return new.epoch, name, value, again
    if len(stored) != len(made):
        return min(len(stored), len(made)) + 1, "epochs", len(stored), len(made)
    return None


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The signals that asked to stop so far: SIGINT, SIGTERM, SIGHUP. A run looks at them between messages; when one came,
    the process is about to end, and further ones are ignored then."""
    seen: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if seen else handler)
