"""A search space of another tool, in one form for all tools. Needs nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Value = bool | int | float | str


@dataclass(frozen=True)
class Knob:
    """A hyperparameter with its values: some that are listed, or a range."""

    name: str
    """As the tool calls it; nested names are joined with dots."""
    values: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    lost: tuple[str, ...] = ()
    """What a recipe cannot say of it, a line each."""


@dataclass(frozen=True)
class Condition:
    """A hyperparameter that is there only beside some values of another."""

    child: str
    parent: str
    values: tuple[Value, ...]
    """Those that make it active; empty where they are none of a list."""
    text: str
    """In words."""


@dataclass(frozen=True)
class Space:
    """What was to be searched, and how."""

    tool: str
    knobs: tuple[Knob, ...]
    conditions: tuple[Condition, ...] = ()
    metric: str | None = None
    direction: Literal["minimize", "maximize"] | None = None
    program: tuple[str, ...] = ()
    """The words of the command that a trial was; empty where the tool does not know it."""
    flag: str = "--{name}={value}"
    """How the program is given a value."""
    trials: int | None = None
    sampler: str | None = None
    """None for a grid, and where the tool does not say."""
    search: Mapping[str, Value] = field(default_factory=dict)
    """Further keys of [search]."""
    lost: tuple[str, ...] = ()
    """What a recipe cannot say, a line each."""


@dataclass(frozen=True)
class SpaceReader:
    """A tool whose spaces are JSON or YAML."""

    name: str
    looks_for: str
    """What a file of it is known by, in words."""
    matches: Callable[[Any], bool]
    """Whether a file's content is a space of it."""
    read: Callable[[Any, Path], Space]
    """The space of a file's content; the path is for messages. Raises UsageError."""


def listed(name: str, values: Sequence[Any], *lost: str) -> Knob:
    """A hyperparameter of values that are listed: what is no truth, number or text becomes text."""
    kept: list[Value] = []
    for value in values:
        if value is None or isinstance(value, list | dict):
            text = "None" if value is None else json.dumps(value)
            lost = (*lost, f"{text} is text here")
            kept.append(text)
        else:
            kept.append(value if isinstance(value, bool | int | float | str) else str(value))
    truths = [value for value in kept if isinstance(value, bool)]
    if truths and len(truths) < len(kept):
        lost = (*lost, "true and false are text here, since others of its values are no truths")
        kept = [("true" if value else "false") if isinstance(value, bool) else value for value in kept]
    return Knob(name, tuple(dict.fromkeys(kept)), lost=tuple(dict.fromkeys(lost)))


def ranged(name: str, low: float, high: float, *lost: str, log: bool = False, step: float | None = None) -> Knob:
    """A hyperparameter of a range. One that is a point is that value; log and step cannot both be said."""
    if log and low <= 0:
        log, lost = False, (*lost, "its logarithm was to be uniform, though it begins at 0 or below")
    if log and step:
        if not (step == 1 and isinstance(low, int)):
            lost = (*lost, f"its values were multiples of {step:g}, log-uniformly")
        step = None
    if low >= high:
        return Knob(name, (low,), lost=lost)
    if step is not None and step > high - low:
        return Knob(name, (low,), lost=lost)
    if isinstance(low, int) != isinstance(high, int):
        low, high = float(low), float(high)
    return Knob(name, (), low, high, log, step, lost)


def normal(name: str, mu: float, sigma: float, *lost: str, log: bool = False, step: float | None = None) -> Knob:
    """A normal hyperparameter, or one whose logarithm is, as the range within three standard deviations."""
    low, high = mu - 3 * sigma, mu + 3 * sigma
    if log:
        low, high = math.exp(low), math.exp(high)
    what = f"{'log-normal' if log else 'normal'} with mean {mu:g} and standard deviation {sigma:g}"
    return ranged(name, tidy(low), tidy(high), *lost, f"was {what}: here a range of three of them", log=log, step=step)


def tidy(value: float) -> float:
    """A number to six digits: 0.0001 of e to the -9.21034037."""
    return float(f"{value:.6g}")


def in_words(value: object) -> str:
    """A value as a recipe has it: true, 0.1, adam."""
    return str(value).lower() if isinstance(value, bool) else str(value)
