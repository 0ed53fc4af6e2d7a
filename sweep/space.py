"""The search space: axes, ranges, grid expansion into canonical settings. Needs hyperparameters."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from sweep.errors import UsageError
from sweep.hyperparameters import IN_SETTING, PROGRAM, TABLE, Hyperparameter, Setting, Value, canonical


@dataclass(frozen=True)
class Range:
    """An interval of one numeric hyperparameter; a grid takes `n` points of it, ends included."""

    low: float
    high: float
    log: bool = False
    n: int | None = None

    def points(self, row: Hyperparameter) -> tuple[Value, ...]:
        """The `n` points, evenly spaced (in the logarithm if `log`), whole numbers for an int hyperparameter."""
        if self.n is None:
            raise UsageError(
                f"{row.name}: a grid needs the number of points of a range; give n = 5, say (or :5 in the flag)"
            )
        if self.n == 1:
            return (row.check(self.low),)
        steps = [i / (self.n - 1) for i in range(self.n)]
        if self.log:
            a, b = math.log(self.low), math.log(self.high)
            raw = [math.exp(a + (b - a) * t) for t in steps]
        else:
            raw = [self.low + (self.high - self.low) * t for t in steps]
        raw[0], raw[-1] = self.low, self.high
        tidy = [float(f"{value:.12g}") for value in raw]  # 0.001, not 0.0010000000000000002
        return tuple(dict.fromkeys(row.check(round(v) if row.kind == "int" else v) for v in tidy))


@dataclass(frozen=True)
class Axis:
    """One hyperparameter of a space with the values it takes: a tuple, or a range."""

    name: str
    values: tuple[Value, ...] | Range

    @property
    def swept(self) -> bool:
        """Whether it takes more than one value."""
        return isinstance(self.values, Range) or len(self.values) > 1


@dataclass(frozen=True)
class Trial:
    """One setting trained once with one seed; `number` is its place in the study, from 0."""

    number: int
    setting: Setting
    seed: int


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of one trial, as the engine reports and the ledger records it; `state` is set at the trial's last.

    Losses are means over rows (train_loss as minimised, over the epoch's steps), accuracies are in [0, 1], grad_norm is
    the mean L2 norm of the gradient over every tenth step, seconds the trial's share of its program's time.
    """

    number: int
    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    grad_norm: float
    seconds: float
    state: str | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None

    def tested(self, loss: float | None, accuracy: float | None) -> EpochRecord:
        """The record with the test part's loss and accuracy."""
        return replace(self, test_loss=loss, test_accuracy=accuracy)


def setting_key(setting: Setting) -> str:
    """The text by which equal settings compare equal; also the form that is stored."""
    return json.dumps(setting, separators=(",", ":"))


@dataclass(frozen=True)
class Grid:
    """The product of axes: the first-listed varies slowest, seeds fastest. A combination that differs from an
    earlier one only in inactive hyperparameters is folded into it."""

    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]

    @cached_property
    def points(self) -> dict[str, tuple[Value, ...]]:
        """Each axis's values, in the order of the axes, equal ones once."""
        out: dict[str, tuple[Value, ...]] = {}
        for axis in self.axes:
            values = axis.values.points(TABLE[axis.name]) if isinstance(axis.values, Range) else axis.values
            out[axis.name] = tuple(dict.fromkeys(values))
        return out

    @property
    def combinations(self) -> int:
        """The size of the full product, before folding and without seeds."""
        return math.prod(len(values) for values in self.points.values())

    def settings(self) -> Iterator[Setting]:
        """The settings, lazily, without repetition."""
        names = list(self.points)
        firsts = {name: values[0] for name, values in self.points.items()}
        for combination in itertools.product(*self.points.values()):
            values = dict(zip(names, combination, strict=True))
            setting = canonical(values)
            # Of the combinations that mean the same, the one with first values on all inactive axes stands for all.
            if all(name in setting or value == firsts[name] for name, value in values.items()):
                yield setting

    def trials(self) -> Iterator[Trial]:
        """The trials, lazily, numbered from 0."""
        pairs = ((setting, seed) for setting in self.settings() for seed in self.seeds)
        return (Trial(number, setting, seed) for number, (setting, seed) in enumerate(pairs))

    def census(self) -> tuple[dict[str, int], dict[str, int]]:
        """How many settings each cohort has, and how many combinations were folded for each inactive axis.

        Only the axes that decide activity or a program are walked; the others only multiply, so a grid of
        millions is counted at once. Cohorts are keyed by the program part of a setting, in order of appearance.
        """
        deciding = {name for row in IN_SETTING for name in row.when} | PROGRAM
        walked = {name: values for name, values in self.points.items() if name in deciding}
        rest = {name: values for name, values in self.points.items() if name not in deciding}
        cohorts: dict[str, int] = {}
        folded: dict[str, int] = {}
        for combination in itertools.product(*walked.values()):
            values = dict(zip(walked, combination, strict=True))
            setting = canonical(values | {name: points[0] for name, points in rest.items()})
            total = math.prod(len(points) for points in rest.values())
            idle = [name for name, value in values.items() if name not in setting and value != walked[name][0]]
            if idle:
                for name in idle[:1]:
                    folded[name] = folded.get(name, 0) + total
                continue
            kept = total
            for name, points in rest.items():
                if name not in setting and len(points) > 1:
                    folded[name] = folded.get(name, 0) + kept - kept // len(points)
                    kept //= len(points)
            key = program_key(setting)
            cohorts[key] = cohorts.get(key, 0) + kept
        return cohorts, folded


def program_key(setting: Setting) -> str:
    """The part of a setting that decides its program; trials that share it form a cohort."""
    return setting_key({name: value for name, value in setting.items() if name in PROGRAM})
