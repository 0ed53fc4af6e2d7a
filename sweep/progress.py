"""Progress of a run: lines, or a live display on a terminal. Needs rich and report."""

from __future__ import annotations

import importlib
import math
import statistics
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.formulas import short_name
from sweep.hyperparameters import Setting, is_of_network, show_value
from sweep.networks import is_own
from sweep.report import show_metric, sparkline, tell_seconds
from sweep.space import EpochRecord
from sweep.wording import count

if TYPE_CHECKING:
    from sweep.ledger import Study
    from sweep.plan import Unit
    from sweep.racing import Course
    from sweep.study import Start, Summary


SHOWN = 5
"""Settings of a race that are named while they are still in it."""


class _Progress:
    """What both watchers keep: counts, speed, the best trial so far."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def started(self, study: Study, start: Start) -> None:
        # The leaderboard at the end needs them; importing them takes as long as the workers take to start, so now.
        needed = ("sweep.analysis", "scipy.stats")
        threading.Thread(target=lambda: [importlib.import_module(name) for name in needed], daemon=True).start()
        self.study, self.total = study, start.total
        self.done = start.done
        self.before, self.begin = self.done, time.monotonic()
        self.best: tuple[float, int] | None = None
        self.part: dict[int, float] = {}  # trials' worth of epochs in the units that are in training
        self.early: dict[int, int] = {}  # trials of those units that have ended while their lanes go on
        self.race: Course | None = None
        self.sign = 1.0 if study.recipe.direction == "minimize" else -1.0
        if start.done or start.retried:
            resumed = f" ({start.resumable} from a checkpoint)" if start.retried else ""
            state = (
                f"{start.done} done, {start.retried} retried{resumed}, {start.left} left, {start.duplicated} duplicated"
            )
            self.note(f"{study.name}: {state}")

    def epoch(self, worker: int, unit: Unit, outcomes: tuple[EpochRecord, ...]) -> None:
        latest = {outcome.number: outcome for outcome in outcomes}  # of a user's own code, some epochs may come at once
        running = sum(not outcome.state for outcome in latest.values())
        ended = sum(outcome.state == "complete" for outcome in outcomes)
        early = self.early.get(worker, 0) + (0 if self.study.recipe.trainer else ended)
        self.early[worker] = early  # each is done, but what is left of its lane is not: the unit's share is what counts
        self.part[worker] = (running + early) * min(1.0, outcomes[-1].epoch / unit.epochs) - early
        column = self.study.recipe.metric_column
        for outcome in outcomes:
            if outcome.state:
                self.done += 1
                value = outcome.measured(column)
                if outcome.state == "complete" and (self.best is None or self.sign * value < self.sign * self.best[0]):
                    self.best = value, outcome.number

    def training(self, worker: int, unit: Unit) -> None: ...

    def idle(self, worker: int) -> None:
        self.part.pop(worker, None)
        self.early.pop(worker, None)

    def failed(self, unit: Unit, reason: str, again: bool) -> None:
        if not again:
            self.done += len(unit.trials)
        numbers = ", ".join(str(trial.number) for trial in unit.trials[:5]) + (", …" if len(unit.trials) > 5 else "")
        self.note(f"trial {numbers}: {reason}; {'trying again' if again else 'failed'}")

    def pruned(self, trials: int) -> None:
        self.done += trials

    def raced(self, course: Course, most: int) -> None:
        told = len(self.race.looks) if self.race else 0
        self.race, self.total = course, most
        for look in course.looks[told:]:
            self.note(f"{self.study.name}: {look.text}")
        if course.ended:
            self.note(f"{self.study.name}: {course.end}")

    def tick(self) -> None: ...

    def close(self) -> None: ...

    def note(self, text: str) -> None:
        self.console.print(text, highlight=False)

    def ended(self, summary: Summary) -> None:
        trained = self.done - self.before
        rate = f" ({_per_minute(60 * trained / summary.seconds)})" if trained and summary.seconds else ""
        counts = {
            state: summary.counts[state]
            for state in ("complete", "pruned", "diverged", "failed")
            if summary.counts[state]
        }
        counts_text = ", ".join(f"{number} {state}" for state, number in counts.items()) or "none finished"
        self.note(
            f"{self.study.name}: {counts_text} of {count(self.total, 'trial')}; trained {trained:,} in "
            f"{tell_seconds(summary.seconds)}{rate}"
        )
        why = {
            "interrupted": "interrupted; everything finished is recorded",
            "time": "the time limit is reached; everything finished is recorded",
            "trials": "the number of trials asked for is reached",
        }
        if summary.stopped:
            self.note(f"{why[summary.stopped]}. Go on with: sweep resume {self.study.name}")

    def speed(self) -> tuple[float, float | None]:
        """Trials a minute, and seconds left (None while unknown). A trial half trained counts as half of one."""
        elapsed = time.monotonic() - self.begin
        done = self.done + sum(self.part.values())
        rate = (done - self.before) / elapsed if elapsed else 0.0
        return 60 * rate, (self.total - done) / rate if rate else None

    def status(self, waiting: str = "") -> list[str]:
        """How far the run is: trials done, how much of the training,
        speed (or `waiting`), what is left, the best so far."""
        rate, left = self.speed()
        share = 100 * (self.done + sum(self.part.values())) / self.total if self.total else 100.0
        most = "at most " if self.race and not self.race.ended else ""
        parts = [
            f"{self.done:,} of {most}{count(self.total, 'trial')} done ({share:.0f}% of the training)",
            f"{len(self.race.standing):,} of {count(len(self.race.settings), 'setting')} still in" if self.race else "",
            _per_minute(rate) if rate else waiting,
            f"{most}{tell_seconds(left, whole=True)} left" if left else "",
            self.best_text(),
        ]
        return [part for part in parts if part]

    def best_text(self) -> str:
        if self.best is None:
            return ""
        metric = self.study.recipe.metric
        return f"best {metric} {show_metric(metric, self.best[0])} (trial {self.best[1]})"


class PlainWatcher(_Progress):
    """Progress without a terminal: a line now and then."""

    every = 5.0

    def started(self, study: Study, start: Start) -> None:
        super().started(study, start)
        self.last = time.monotonic()

    def tick(self) -> None:
        if time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            self.note(", ".join(self.status()))


class LiveWatcher(_Progress):
    """Progress on a terminal: a bar, the cohorts in training with their curves, the best so far."""

    def started(self, study: Study, start: Start) -> None:
        super().started(study, start)
        self.units: dict[int, tuple[Unit, int, deque[float]]] = {}
        self.live = Live(console=self.console, refresh_per_second=8, transient=True, get_renderable=self._render)
        self.live.start()

    def training(self, worker: int, unit: Unit) -> None:
        self.units[worker] = unit, 0, deque(maxlen=200)

    def epoch(self, worker: int, unit: Unit, outcomes: tuple[EpochRecord, ...]) -> None:
        super().epoch(worker, unit, outcomes)
        losses = self.units[worker][2]
        finite = [outcome.val_loss for outcome in outcomes if math.isfinite(outcome.val_loss)]
        if finite:
            losses.append(statistics.median(finite))
        self.units[worker] = unit, outcomes[0].epoch, losses

    def idle(self, worker: int) -> None:
        super().idle(worker)
        self.units.pop(worker, None)

    def close(self) -> None:
        self.live.stop()

    def _render(self) -> RenderableType:
        head = Table.grid(padding=(0, 2, 0, 0))
        head.add_row(
            Text(self.study.name, "bold"),
            ProgressBar(self.total, self.done, width=30),
            *(Text(part) for part in self.status("starting")),
        )
        rows = Table.grid(padding=(0, 2, 0, 0))
        for _, (unit, epoch, losses) in sorted(self.units.items()):
            setting = unit.trials[0].setting
            name = _program_name(setting)
            trials = count(len(unit.trials), "trial")
            loss = f"val_loss {show_metric('val_loss', losses[-1])}" if losses else ""
            rows.add_row(
                Text(f"  {name}", "cyan"),
                trials,
                f"epoch {epoch} of {unit.epochs}",
                Text(sparkline(list(losses)), "yellow"),
                loss,
            )
        return Group(head, rows, *self._still_in())

    def _still_in(self) -> list[RenderableType]:
        """Who is still in a race, the best so far first, once somebody has left."""
        if self.race is None or not self.race.looks:
            return []
        names = self.study.recipe.swept
        settings = [self.race.settings[place] for place in self.race.standing[:SHOWN]]
        texts = [", ".join(f"{name} {show_value(of[name])}" for name in names if name in of) for of in settings]
        more = len(self.race.standing) - len(texts)
        last = [Text(f"  and {more:,} more", "green")] if more else []
        return [*(Text(f"  still in: {text}", "green") for text in texts), *last]


def _program_name(setting: Setting) -> str:
    if setting["model"] == "function":
        return f"{setting['optimizer']} on {short_name(str(setting['function']))}"
    if is_own(setting["model"]):
        own = ", ".join(
            f"{name} {show_value(value)}" for name, value in setting.items() if is_of_network(name, setting)
        )
        return f"{setting['model']} {own}"[:60]
    norm = " batch norm" if setting.get("batch_norm") else ""
    return f"{setting['model']} {setting.get('hidden', '–')} x {setting['depth']}{norm}"


def _per_minute(rate: float) -> str:
    """A speed: 152 trials per minute, 1.5 trials per minute, 12 trials per hour."""
    rate, unit = (rate, "minute") if rate >= 0.95 else (60 * rate, "hour")
    number = f"{rate:,.0f}" if rate >= 9.5 else f"{rate:.2g}"
    return f"{number} {'trial' if number == '1' else 'trials'} per {unit}"


def watcher(console: Console) -> PlainWatcher | LiveWatcher:
    """The watcher that fits the console."""
    return LiveWatcher(console) if console.is_terminal else PlainWatcher(console)
