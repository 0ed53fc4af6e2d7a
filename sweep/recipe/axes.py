"""The values of one hyperparameter: one, a list or a range, from TOML or a flag. Needs hyperparameters, space."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sweep.errors import UsageError, unknown
from sweep.hyperparameters import TABLE, Hyperparameter, Value, show_given
from sweep.space import Axis, Range


def read_axis(row: Hyperparameter, value: object, where: str) -> Axis:
    """A hyperparameter's values, checked. Raises UsageError, beginning with `where`, for one that cannot be."""
    try:
        if isinstance(value, Range):
            return Axis(row.name, _check_range(row, value))
        if isinstance(value, Mapping):
            return Axis(row.name, _range_of(row, value))
        if isinstance(value, str) and row.name == "seed":
            return Axis(row.name, _seeds(row, value))
        if isinstance(value, str) and ":" in value and row.kind in ("int", "float"):
            return Axis(row.name, _check_range(row, _parse_range(row, value)))  # written as in a flag
        if row.kind == "text" and isinstance(value, list | tuple) and any(isinstance(point, list) for point in value):
            return Axis(row.name, tuple(row.check(point) for point in value))  # points, each a list of its numbers
        if isinstance(value, list | tuple):
            if not value:
                raise UsageError(f"{row.name} = []: the list is empty; expected at least one value, {row.expected}")
            return Axis(row.name, tuple(row.check(item) for item in value))
        return Axis(row.name, (row.check(value),))
    except UsageError as error:
        raise _place_error(error, row, where) from None


def _place_error(error: UsageError, row: Hyperparameter, where: str, flag: str = "") -> UsageError:
    """An error about a hyperparameter with the place it was given in; a flag names it already."""
    text, flag = str(error), flag or row.flag
    if where == f"{flag}: " and text.startswith((f"{row.name}: ", f"{row.name} = ")):
        return UsageError(f"{flag}{text.removeprefix(row.name)}")
    return UsageError(f"{where}{text}")


def _range_of(row: Hyperparameter, table: Mapping[str, Any]) -> Range:
    for key in table:
        if key not in ("low", "high", "log", "n", "step"):
            raise unknown(f"key of the range of {row.name}", key, ("low", "high", "log", "n", "step"))
    for key in ("low", "high"):
        if isinstance(table.get(key), bool) or not isinstance(table.get(key), int | float):
            raise UsageError(f"{row.name}: a range needs low and high, both numbers; given {show_given(dict(table))}")
    log, n = table.get("log", False), table.get("n")
    if not isinstance(log, bool):
        raise UsageError(f"{row.name}: log = {show_given(log)}: expected true or false")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int)):
        raise UsageError(f"{row.name}: n = {show_given(n)}: expected a whole number of points")
    step = table.get("step")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float)):
        raise UsageError(f"{row.name}: step = {show_given(step)}: expected a number")
    return _check_range(row, Range(table["low"], table["high"], log, n, step))


def _check_range(row: Hyperparameter, given: Range) -> Range:
    if row.kind in ("bool", "choice", "text"):
        raise UsageError(f"{row.name}: a range was given; expected {row.expected}, or a list of them")
    low, high = row.check(given.low), row.check(given.high)
    assert not isinstance(low, str)
    assert not isinstance(high, str)
    if low >= high:
        raise UsageError(f"{row.name}: range from {low:g} to {high:g}; expected low < high")
    if given.log and low <= 0:
        raise UsageError(f"{row.name}: log range from {low:g}; expected low > 0")
    if given.n is not None and not 1 <= given.n <= 1_000_000:
        raise UsageError(f"{row.name}: n = {show_given(given.n)}: expected 1 to 1000000 points")
    if given.step is not None:
        _check_step(row, given, low, high)
    return Range(low, high, given.log, given.n, given.step)


def _check_step(row: Hyperparameter, given: Range, low: float, high: float) -> None:
    assert given.step is not None
    if given.log or given.n is not None:
        other = "log" if given.log else "n"
        raise UsageError(f"{row.name}: step and {other} both given for one range; expected one of them")
    if not 0 < given.step <= high - low or (row.kind == "int" and given.step != int(given.step)):
        whole = "a whole number" if row.kind == "int" else "a number"
        # some whole numbers no float holds
        step = f"{given.step:g}" if abs(given.step) < 1e300 else show_given(given.step)
        raise UsageError(f"{row.name}: step = {step}: expected {whole} > 0 and at most high - low")
    if (high - low) / given.step > 1_000_000:
        raise UsageError(f"{row.name}: step = {given.step:g}: over 1000000 points; expected a larger step")


def parse_flag(row: Hyperparameter, text: str, flag: str = "") -> Range | list[Value]:
    """A flag's text: `0.1,0.01` is a list; `1e-4:1e-1`, `1e-4:1e-1:log`, `1e-4:1e-1:log:5`, `0:0.5:step=0.1` are
    ranges; of seeds `7-9` too. flag: what gave it, where that is not the hyperparameter's own."""
    try:
        if row.name == "seed":
            return list(_seeds(row, text))
        if ":" in text and row.kind in ("int", "float"):
            return _parse_range(row, text)
        return [row.parse(part) for part in _parts(row, text)]
    except UsageError as error:
        raise _place_error(error, row, f"{flag or row.flag}: ", flag) from None


def parse_seeds(text: str, flag: str = "--seed") -> tuple[int, ...]:
    """Seeds as every flag takes them: `7`, `7-9` or `7:9` (both ends), `0:8:step=2`, and lists of these; each once.
    Raises UsageError.
    """
    row = TABLE["seed"]
    try:
        return _seeds(row, text)
    except UsageError as error:
        said = str(error)
        raise UsageError(f"{flag}{said.removeprefix(row.name)}" if said.startswith(row.name) else said) from None


def _seeds(row: Hyperparameter, text: str) -> tuple[int, ...]:
    numbers: dict[Value, None] = {}
    for part in _parts(row, text):
        ends = re.fullmatch(r"\s*(\d{1,10})\s*-\s*(\d{1,10})\s*", part)
        if ends or ":" in part:
            span = Range(int(ends[1]), int(ends[2])) if ends else _parse_range(row, part)
            span = replace(span, step=1.0) if span.open and not span.log else span
            points = [row.check(span.low)] if span.low == span.high else _check_range(row, span).points(row)
            numbers |= dict.fromkeys(points)
        else:
            numbers[row.parse(part)] = None
    return tuple(int(seed) for seed in numbers)


def _parts(row: Hyperparameter, text: str) -> list[str]:
    """The values of a list, none of them empty."""
    parts = text.split(",")
    if any(not part.strip() for part in parts):
        raise UsageError(f"{row.name} = {show_given(text)}: an empty value; expected {row.expected}")
    return parts


def _parse_range(row: Hyperparameter, text: str) -> Range:
    low, high, *rest = (part.strip() for part in text.split(":"))
    steps = [part.removeprefix("step=") for part in rest if part.startswith("step=")]
    counts = [part.removeprefix("n=") for part in rest if part != "log" and not part.startswith("step=")]
    try:
        if len(counts) > 1 or len(steps) > 1 or rest.count("log") > 1:
            raise ValueError("given twice")
        step = float(steps[0]) if steps else None
        return Range(float(low), float(high), "log" in rest, int(counts[0]) if counts else None, step)
    except ValueError:
        form = "expected LOW:HIGH, LOW:HIGH:log, LOW:HIGH:log:N or LOW:HIGH:step=S"
        raise UsageError(f"{row.name} = {show_given(text)}: {form}") from None
