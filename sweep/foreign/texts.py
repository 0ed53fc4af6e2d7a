"""Other tools' texts as values: JSON, YAML and CSV files, nested names, numbers in all their spellings."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.trials import Curve, Value

EPOCHS = ("epoch", "epochs", "step", "global_step", "iteration", "iter", "training_iteration", "batch")
"""What tools and people call how far a training is."""


def read_text(path: Path) -> str:
    """A file's text. Raises UsageError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None


def read_json(path: Path) -> Any:
    """A JSON file, with NaN and Infinity as Python writes them. Raises UsageError."""
    return parse_json(read_text(path), str(path))


def read_lines(path: Path) -> Iterator[Any]:
    """A file with a JSON value a line. A last line that was cut off is none. Raises UsageError."""
    text = read_text(path)
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not text.endswith("\n") and not _is_json(line):
            return
        if line.strip():
            yield parse_json(line, f"{path}, line {number}")


def parse_json(text: str, where: str) -> Any:
    """The value of a text. Raises UsageError, beginning with `where`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: damaged: not valid JSON: {error}") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def read_yaml(path: Path) -> Any:
    """A YAML file, in which 1e-3 is a number, as its writers meant it. Raises UsageError."""
    return parse_yaml(read_text(path), str(path))


def parse_yaml(text: str, where: str) -> Any:
    """The value of a text. Raises UsageError, beginning with `where`."""
    import yaml

    try:
        return yaml.load(text, _loader())
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{where}{place}: damaged: not valid YAML: {first}") from None


@cache
def _loader() -> Any:
    """PyYAML's safe loader, and numbers without a dot: YAML 1.1, which PyYAML reads, takes 1e-3 for text."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where libyaml is there: ten times as fast

    class Loader(base):  # type: ignore[misc]
        pass

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", EXPONENT, list("-+0123456789."))
    return Loader


EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z")
"""A number that YAML 1.1 may take for text."""


def read_table(path: Path) -> list[dict[str, str]]:
    """A CSV file's rows, each cell as it is written. Raises UsageError."""
    return parse_table(read_text(path), path)


def parse_table(text: str, path: Path) -> list[dict[str, str]]:
    """The rows of CSV text. Raises UsageError, with the line, for a row of another length."""
    rows = csv.reader(text.splitlines(keepends=True))
    try:
        header = next(rows, [])
        out = []
        for row in rows:
            if row and len(row) != len(header):
                raise UsageError(f"{path}, line {rows.line_num}: {len(row)} fields; expected {len(header)}")
            if row:
                out.append(dict(zip(header, row, strict=True)))
        return out
    except csv.Error as error:
        raise UsageError(f"{path}, line {rows.line_num}: {error}") from None


def typed(cells: Sequence[str]) -> list[Value | None]:
    """A column's cells as one type: truth values, whole numbers, numbers or text; None where one is empty."""
    words = {cell for cell in cells if cell}
    kinds: list[Any] = [_truth, _whole, number]
    for kind in kinds:
        values = {word: kind(word) for word in words}
        if None not in values.values():
            return [values.get(cell) for cell in cells]
    return [cell or None for cell in cells]


def _truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?\d{1,400}", text) else None


_WORDS = {
    "nan": math.nan,
    "inf": math.inf,
    "infinity": math.inf,
    "+inf": math.inf,
    "+infinity": math.inf,
    "-inf": -math.inf,
    "-infinity": -math.inf,
}


def number(value: object) -> float | None:
    """What was measured, as a number: NaN and infinity in all their spellings; None for what is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _float(value)
    if not isinstance(value, str):
        return None
    word = value.strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    return _float(word) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", word) else None


def _float(value: float | str) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def flat(table: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """A nested table with the names joined by dots. An empty one stays, as what it is."""
    out: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{start}{key}"
        if isinstance(value, Mapping) and value:
            out |= flat(value, f"{name}.")
        else:
            out[name] = value
    return out


def plain(value: object) -> Value | None:
    """A hyperparameter's value: truth, number or text as it is, a list or table as its JSON; None for none, and NaN."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return json.dumps(value, default=str)


def setting_of(table: Mapping[str, Any]) -> dict[str, Value]:
    """A nested table of values as a setting, without what is null."""
    values = ((name, plain(value)) for name, value in flat(table).items())
    return {name: value for name, value in values if value is not None}


def curve(points: Mapping[int, float]) -> Curve:
    """A curve of steps and values, in the order of the steps."""
    return sorted(points.items())


def last_line(text: str) -> str:
    """A text's last line that is not empty, such as what a traceback ends with."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
