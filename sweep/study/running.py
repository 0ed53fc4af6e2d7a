"""One run of a study: take stock, ask, plan, train, record, tell."""

from __future__ import annotations

import collections
import itertools
import json
import re
import signal
import time
from collections.abc import Container, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import FrameType

from sweep import checkpoint
from sweep.checkpoint import Saved
from sweep.cluster import Cluster, RayPool
from sweep.courses import Key, course
from sweep.data import DataInfo
from sweep.errors import UsageError
from sweep.ledger import FINISHED, Ledger, Study
from sweep.plan import WORTH_SECONDS, Unit, measurements, share_of, units
from sweep.space import Grid, Trial, setting_key
from sweep.speed import recall
from sweep.streams import heed
from sweep.study.generations import generations, make_pruned_training
from sweep.study.loop import Loop, checkpoints
from sweep.study.race import rounds
from sweep.study.speeds import data_request, precision_note, speed_kind
from sweep.study.watching import Start, Summary, Watcher
from sweep.workers import Pool

WINDOW = 100_000
"""Trials that are made, planned and trained before the next ones are looked at, so that memory stays bounded."""


@dataclass(frozen=True)
class Options:
    """How to run a study; none of it changes a number."""

    devices: tuple[str, ...]
    """One for each worker process."""
    lanes: int | None = None
    """Trials of one program at most; None is the planner's choice."""
    retry_failed: bool = False
    seconds: float | None = None
    """After which to stop."""
    max_trials: int | None = None
    """Finished trials in all after which to stop."""
    keep: bool = False
    """Whether to keep finished trials' checkpoints."""
    timeout: float | None = None
    """Seconds that a trial of a user's own code may take."""
    changed_code: bool = False
    """Whether to go on with a user's own code that has changed since the study began."""
    cluster: Cluster | None = None
    """Where workers are, if not on this machine."""


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


def check_timeout(seconds: float | None) -> float | None:
    """The seconds that a trial may take. Raises UsageError."""
    if seconds is not None and not 0 < seconds < 1e9:
        raise UsageError(f"--timeout {seconds:g}: expected seconds > 0")
    return seconds


def run(ledger: Ledger, study: Study, data: DataInfo, watcher: Watcher, options: Options) -> Summary:
    """Trains what is left of a study and records it. The caller holds the study's lock.

    Ends early, everything finished recorded, when the user interrupts (once to stop at the next epoch, twice at once),
    or at the time or number of trials that the options allow.
    """
    begin = time.monotonic()
    deadline = None if options.seconds is None else begin + options.seconds
    folder = checkpoints(ledger, study)
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
            windows = generations(ledger, study, data, watcher)
            if study.recipe.race:
                windows = rounds(ledger, study, watcher)
            elif not study.recipe.search:
                share = share_of(study.recipe, data) if study.recipe.shard else None
                windows = _windows(itertools.islice(_left(study.recipe.grid, known, options.retry_failed, share), room))
            devices = options.devices[:room]
            if note := precision_note(study.recipe.precision, devices[0]):
                watcher.note(note)
            jobs, speeds = len(devices), recall()
            request = data_request(study.recipe, folder, options.keep, options.timeout)
            with RayPool(options.cluster, room, request) if options.cluster else Pool(devices, request) as pool:
                kind = speed_kind(devices, study.recipe, pool.place)
                loop = Loop(ledger, study, watcher, pool, interrupts, deadline)
                loop.changed_code = options.changed_code
                prunes = study.recipe.search is not None and study.recipe.search.pruner != "none"
                train = make_pruned_training(loop, data) if prunes else None
                if options.lanes is None and not study.recipe.search:
                    loop.measure(measurements(study.recipe, data, jobs, speeds, WORTH_SECONDS, kind), speeds)
                for window in windows:
                    ledger.add(study, window)

                    def make(trials: list[Trial], saved: list[Saved] = saved) -> list[Unit]:
                        recipe = study.recipe
                        whole = recipe.race is not None
                        return units(trials, data, jobs, options.lanes, saved, speeds, kind, recipe.split_of, whole)

                    if train is not None:
                        train(window, make)
                        if not loop.stopping and not options.keep:
                            checkpoint.clear(folder)
                    else:
                        loop.train(make(window[:room]))
                    room -= len(window)
                    if loop.stopping or (options.max_trials is not None and room <= 0):
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


def _take_stock(
    ledger: Ledger, study: Study, known: dict[Key, tuple[int, str]], saved: list[Saved], retry_failed: bool
) -> Start:
    """What there is of a study; trials that were running when their process ended wait again."""
    states = collections.Counter(state for _, state in known.values())
    failed = [number for number, state in known.values() if state == "failed" and retry_failed]
    running = [number for number, state in known.values() if state == "running"]
    ledger.mark(study, [*failed, *running], "waiting", "interrupted")
    done = sum(states[state] for state in FINISHED) + states["failed"] - len(failed)
    begun = ledger.begun(study)
    courses = {key for file in saved for key in file.keys}
    waiting = (key for key, (_, state) in known.items() if courses and state in ("running", "waiting"))
    resumable = sum(course(json.loads(setting), seed) in courses for setting, seed in waiting)
    return Start(done, begun, resumable, study.trials - done - begun, ledger.rows(study) - len(known), study.trials)


def _left(
    grid: Grid, known: dict[Key, tuple[int, str]], retry_failed: bool, share: Container[int] | None = None
) -> Iterator[Trial]:
    """The trials of a grid that are to be trained, in its order; of a share, those at its places. One without a
    row gets its place in the grid as its number or, in a study that has grown, where that is taken, the next that is
    free."""
    taken = {number for number, _ in known.values()}
    later = itertools.count(1 + max(taken, default=-1))
    places = itertools.count()
    for setting in grid.settings():
        key = setting_key(setting)
        for seed in grid.seeds:
            place = next(places)
            if share is not None and place not in share:
                continue
            number, state = known.get((key, seed), (-1, "new"))
            if state == "new":
                number = place if place not in taken else next(n for n in later if n not in taken)
                taken.add(number)
            elif state in FINISHED or (state == "failed" and not retry_failed):
                continue
            yield Trial(number, setting, seed)


def _windows(trials: Iterable[Trial]) -> Iterator[list[Trial]]:
    iterator = iter(trials)
    while window := list(itertools.islice(iterator, WINDOW)):
        yield window


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The signals that asked to stop so far: SIGINT, SIGTERM, SIGHUP, without those that were ignored before. A run
    looks at them between messages; when one came, the process is about to end, and further ones are ignored then."""
    seen: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        seen.append(number)

    before = heed(note)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if seen else handler)
