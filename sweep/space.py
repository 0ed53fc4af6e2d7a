"""The search space: axes, ranges, grid expansion into canonical settings. Needs hyperparameters."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from sweep.errors import UsageError
from sweep.hyperparameters import (
    IN_SETTING,
    TABLE,
    Hyperparameter,
    OwnSetting,
    Setting,
    Value,
    canonical,
    decides_program,
    in_order,
    program_of,
    show_value,
    stored,
)

DECIDING = frozenset(
    name for row in IN_SETTING for name in (*row.when, *row.unless, *(name for name, _ in row.default_with))
)
"""The hyperparameters whose values decide which others are active, or their defaults."""


@dataclass(frozen=True)
class Range:
    """An interval of one numeric hyperparameter. A grid takes `n` points of it, ends included, or one every `step`;
    a search takes any value in it, or of those points."""

    low: float
    high: float
    log: bool = False
    n: int | None = None
    step: float | None = None

    @property
    def open(self) -> bool:
        """Whether it names no points, which only a search can take."""
        return self.n is None and self.step is None

    @property
    def _steps(self) -> int:
        assert self.step is not None
        return math.floor((self.high - self.low) / self.step + 1e-8)

    def _value_at(self, place: int) -> float:
        assert self.step is not None
        return float(f"{self.low + place * self.step:.12g}")

    def surprise(self, row: Hyperparameter) -> str | None:
        """What a person who wrote this range may not expect of its points: an end that is not among them, or fewer than
        were asked for. None if they are as written, or it has none."""
        written = f"{row.name} from {show_value(self.low)} to {show_value(self.high)}"
        if self.step is not None:
            last = self._value_at(self._steps)
            if math.isclose(last, self.high, rel_tol=1e-9, abs_tol=1e-6 * self.step):
                return None
            step, last_shown = show_value(float(self.step)), show_value(last)
            return f"{written} in steps of {step} ends at {last_shown}; {show_value(self.high)} is not among its points"
        if self.n is None:
            return None
        if self.n == 1:
            return f"{written} with one point is {show_value(self.low)} alone"
        count = len(self.points(row))
        if count == self.n:
            return None
        why = "points that round to the same whole number" if row.kind == "int" else "points equal to 12 digits"
        return f"{written}: {self.n:,} points asked for, {count:,} taken; {why} are one"

    def points(self, row: Hyperparameter) -> tuple[Value, ...]:
        """The `n` points, evenly spaced (in the logarithm if `log`), whole numbers for an int hyperparameter; or those
        every `step` from `low`."""
        if self.step is not None:
            return tuple(row.check(self._value_at(place)) for place in range(self._steps + 1))
        if self.n is None:
            raise UsageError(
                f"{row.name}: a grid needs the number of points of a range; give n = 5, say (or :5 in the flag); a "
                "search, with --trials, needs none"
            )
        if self.n == 1:
            return (row.check(self.low),)
        steps = [i / (self.n - 1) for i in range(self.n)]
        if self.log:
            a, b = math.log(self.low), math.log(self.high)
            raw = [math.exp(a + (b - a) * t) for t in steps]
        else:
            raw = [self.low + (self.high - self.low) * t for t in steps]
        tidy = [float(f"{value:.12g}") for value in raw]  # 0.001, not 0.0010000000000000002
        tidy[0], tidy[-1] = self.low, self.high
        return tuple(dict.fromkeys(row.check(round(v) if row.kind == "int" else v) for v in tidy))


@dataclass(frozen=True)
class Axis:
    """One hyperparameter of a space with the values it takes: a tuple, or a range."""

    name: str
    values: tuple[Value, ...] | Range
    own: Hyperparameter | None = field(default=None, compare=False)
    """What it is where the recipe names it itself; else the table knows."""

    @property
    def row(self) -> Hyperparameter:
        """What the hyperparameter is."""
        return self.own or TABLE[self.name]

    @property
    def swept(self) -> bool:
        """Whether it takes more than one value."""
        return isinstance(self.values, Range) or len(self.values) > 1


class Trial(NamedTuple):
    """One setting trained once with one seed; `number` is its place in the study, from 0."""

    number: int
    setting: Setting
    seed: int


@dataclass(frozen=True)
class Result:
    """What the ledger holds of a trial."""

    trial: Trial
    state: str
    value: float | None
    """The metric it is ranked on; None where it is not finite."""
    epochs: int = 0
    """How many it was trained."""
    others: Mapping[str, float | None] = field(default_factory=dict)
    """Where there are several objectives, those that are measured, by name."""


LOOKS = ("layers", "curvature", "noise", "gap")
"""What may be looked at while a network trains (see `Watch.look`)."""


@dataclass(frozen=True)
class Shift:
    """A further test set: the rows of the test part as scale * x + offset, before they are standardised."""

    name: str
    scale: float
    offset: float

    @property
    def text(self) -> str:
        """As it is written: 0.5x+6."""
        return f"{self.scale!r}x{self.offset:+}"


@dataclass(frozen=True)
class Watch:
    """What is measured while trials train, beside the numbers of every epoch. It changes none of them."""

    look: tuple[str, ...] = ()
    """Of `LOOKS`: each layer's gradient norm, activations and batch norm; the curvature of the loss; the gradient's
    noise; the gap between training and validation part."""
    epochs: tuple[int, ...] = ()
    """At which epochs to look; empty: at each."""
    every: int = 0
    """Training steps after which the validation part is scored, again and again; 0: at the end of an epoch alone."""
    shifts: tuple[Shift, ...] = ()
    """Further test sets, scored when the test part is."""

    def looks(self, name: str, epoch: int) -> bool:
        """Whether to look at something at an epoch."""
        return name in self.look and (not self.epochs or epoch in self.epochs)


UNWATCHED = Watch()


class Reading(NamedTuple):
    """A number that was asked for beside those of every epoch."""

    step: int
    """Training steps that the trial had made, in all."""
    place: str
    """What was looked at: a layer, a test set; empty for the whole."""
    quantity: str
    """What was measured there."""
    value: float


class EpochRecord(NamedTuple):
    """One epoch of one trial, as the engine reports and the ledger records it. Losses are means over rows, accuracies
    are in [0, 1]. A tuple, as are trials and readings: processes send one another hundreds of thousands, and tuples
    are read in half the time."""

    number: int
    epoch: int
    """From 1."""
    train_loss: float
    """As minimised, over the epoch's steps."""
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    grad_norm: float
    """Mean L2 norm of the gradient over every tenth step."""
    seconds: float
    """The trial's share of its program's time."""
    state: str | None = None
    """Set at the trial's last epoch."""
    test_loss: float | None = None
    test_accuracy: float | None = None
    """Measured after the last epoch, as is `test_loss`."""
    readings: tuple[Reading, ...] = ()
    reason: str | None = None
    """Why it diverged, if there is more to say than that its loss is not finite."""

    def measured(self, name: str) -> float:
        """A metric by its name: a field, or the last of the readings of the whole that is called so; NaN without."""
        if name in self._fields:
            return float(getattr(self, name))
        return next(
            (read.value for read in reversed(self.readings) if (read.place, read.quantity) == ("", name)), math.nan
        )

    def tested(self, loss: float | None, accuracy: float | None) -> EpochRecord:
        """The record with the test part's loss and accuracy."""
        return self._replace(test_loss=loss, test_accuracy=accuracy)


def epoch_steps(rows: int, batch_size: int) -> int:
    """Training steps of a pass over so many rows. A last minibatch of one row is left out, with batch norm or without:
    it has no variance of one row."""
    return rows // batch_size + (rows % batch_size > 1)


def used_rows(train_size: Value, batch_size: Value, rows: int) -> tuple[int, int]:
    """Training rows, and those of a minibatch, where the training part has so many `rows`."""
    used = rows if isinstance(train_size, str) else int(train_size)
    return used, used if isinstance(batch_size, str) else min(int(batch_size), used)


def total_steps(setting: Setting, each: int) -> int:
    """Training steps of a trial, where an epoch has `each`: its `steps`, or those of its epochs."""
    return int(setting.get("steps", 0)) or int(setting["epochs"]) * each


def total_epochs(setting: Setting, each: int) -> int:
    """Epochs of a trial, where one has `each` steps; the last ends with the last step, in its middle perhaps."""
    return -(-total_steps(setting, each) // each)


_COMPACT = json.JSONEncoder(separators=(",", ":"))


def setting_key(setting: Setting) -> str:
    """The text by which equal settings compare equal; also the form that is stored."""
    return _COMPACT.encode(stored(setting))


def seeds_text(seeds: Sequence[int]) -> str:
    """Seeds in words: seed 42, seeds 0 to 9, seeds 1, 5, 7."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    seeds = sorted(seeds)
    if seeds and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds[:10]))}{', …' if len(seeds) > 10 else ''}"


@dataclass(frozen=True)
class Grid:
    """The product of axes: the first-listed varies slowest, seeds fastest. A combination that differs from an earlier
    one only in inactive hyperparameters is folded into it. chosen: of all settings these alone, in this order; own:
    the recipe names the hyperparameters itself, and every combination is a setting."""

    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]
    chosen: tuple[Setting, ...] = ()
    own: bool = False

    @cached_property
    def points(self) -> dict[str, tuple[Value, ...]]:
        """Each axis's values, in the order of the axes, equal ones once."""
        out: dict[str, tuple[Value, ...]] = {}
        for axis in self.axes:
            values = axis.values.points(axis.row) if isinstance(axis.values, Range) else axis.values
            out[axis.name] = tuple(dict.fromkeys(values))
        return out

    @property
    def combinations(self) -> int:
        """The size of the full product, before folding and without seeds; of what is chosen of it."""
        return len(self.chosen) or math.prod(len(values) for values in self.points.values())

    def settings(self) -> Iterator[Setting]:
        """The settings, lazily, without repetition."""
        if self.chosen:
            yield from self.chosen
            return
        if self.own:
            for combination in itertools.product(*self.points.values()):
                yield OwnSetting(zip(self.points, combination, strict=True))
            return
        names, firsts = list(self.points), [values[0] for values in self.points.values()]
        deciding = [place for place, name in enumerate(names) if name in DECIDING]
        # Which hyperparameters are active, and the defaults, follow from the deciding axes: looked up once for each
        # combination of those. For each active name: its place among the axes, or its default.
        forms: dict[tuple[Value, ...], tuple[list[tuple[str, int, Value]], list[int]]] = {}
        for combination in itertools.product(*self.points.values()):
            key = tuple(combination[place] for place in deciding)
            if key not in forms:
                setting = canonical(dict(zip(names, combination, strict=True)))
                parts = [(name, names.index(name) if name in names else -1, value) for name, value in setting.items()]
                forms[key] = parts, [place for place, name in enumerate(names) if name not in setting]
            parts, idle = forms[key]
            # Of the combinations that mean the same, the one with first values on all inactive axes stands for all.
            if all(combination[place] == firsts[place] for place in idle):
                yield {name: combination[place] if place >= 0 else value for name, place, value in parts}

    def trials(self) -> Iterator[Trial]:
        """The trials, lazily, numbered from 0."""
        pairs = ((setting, seed) for setting in self.settings() for seed in self.seeds)
        return (Trial(number, setting, seed) for number, (setting, seed) in enumerate(pairs))

    @cached_property
    def census(self) -> Census:
        """Counts settings, cohorts and what is folded.

        Only the axes that decide which others are active are walked; all others only multiply, so that a grid of
        millions is counted at once.
        """
        if self.own:
            return Census([Group({}, {}, self.combinations)], {})
        if self.chosen:
            return _census(self.chosen)
        walked = {name: values for name, values in self.points.items() if name in DECIDING}
        rest = {name: values for name, values in self.points.items() if name not in DECIDING}
        total = math.prod(len(points) for points in rest.values())
        groups: dict[str, Group] = {}
        folded: Counter[str] = Counter()
        for combination in itertools.product(*walked.values()):
            values = dict(zip(walked, combination, strict=True))
            setting = canonical(values | {name: points[0] for name, points in rest.items()})
            idle = [name for name, value in values.items() if name not in setting and value != walked[name][0]]
            if idle:
                folded[idle[0]] += total
                continue
            kept = total
            for name, points in rest.items():
                if name not in setting:
                    folded[name] += kept - kept // len(points)
                    kept //= len(points)
            decides = {name for name in setting if decides_program(name, setting)}
            axes = {name: points for name, points in rest.items() if name in decides}
            fixed = {name: value for name, value in setting.items() if name in decides and name not in axes}
            group = groups.setdefault(setting_key(fixed), Group(fixed, axes))
            group.settings += kept
        return Census(list(groups.values()), {name: number for name, number in folded.items() if number})


@dataclass
class Group:
    """Cohorts that differ only in `axes`; `fixed` is the rest of their program. settings: of all of them together."""

    fixed: Setting
    axes: dict[str, tuple[Value, ...]]
    settings: int = 0

    @property
    def cohorts(self) -> int:
        """How many cohorts there are."""
        return math.prod(len(values) for values in self.axes.values())

    def programs(self, *names: str) -> Iterator[Setting]:
        """The program of each cohort, lazily; with names, only as far as the axes of those names tell them apart."""
        axes = {name: values if not names or name in names else values[:1] for name, values in self.axes.items()}
        for combination in itertools.product(*axes.values()):
            yield in_order(self.fixed | dict(zip(axes, combination, strict=True)))


@dataclass(frozen=True)
class Census:
    """A grid in numbers. folded: combinations that differ from another only in that axis, where it is inactive."""

    groups: list[Group]
    folded: dict[str, int]

    @property
    def settings(self) -> int:
        """How many settings there are."""
        return sum(group.settings for group in self.groups)

    @property
    def cohort_count(self) -> int:
        """How many cohorts there are."""
        return sum(group.cohorts for group in self.groups)

    def cohorts(self) -> Iterator[tuple[Setting, int]]:
        """Each cohort's program with its number of settings, lazily."""
        return ((program, group.settings // group.cohorts) for group in self.groups for program in group.programs())


def _census(settings: tuple[Setting, ...]) -> Census:
    groups: dict[str, Group] = {}
    for setting in settings:
        fixed = program_of(setting)
        groups.setdefault(setting_key(fixed), Group(fixed, {})).settings += 1
    return Census(list(groups.values()), {})


def program_key(setting: Setting) -> str:
    """The part of a setting that decides its program; trials that share it form a cohort."""
    return setting_key(program_of(setting))
