"""A few numbers that somebody types or has in a file: rows of text, .csv, .json, .npy and .npz. Needs numpy."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.target import brief
from sweep.errors import UsageError, unknown

EXPECTED = ".csv, .json, .npy or .npz of numbers"


@dataclass(frozen=True)
class Numbers:
    """A tensor that was given."""

    values: NDArray[np.float64]
    """[N, D], [N, C, L] or [N, C, H, W]."""
    columns: tuple[str, ...] = ()
    """The names of D columns, where the file has them."""


def parse_rows(text: str, flag: str = "--rows") -> NDArray[np.float64]:
    """The rows of a text: numbers with commas between, rows with semicolons. Raises UsageError."""
    try:
        rows = [[float(cell) for cell in row.split(",")] for row in text.strip().strip(";").split(";")]
    except ValueError:
        raise UsageError(f'{flag} {text}: expected numbers, such as "1,2;3,4" for two rows') from None
    return _check(_stack(rows, f"{flag} {text}"), f"{flag} {text}")


def parse_shape(text: str, flag: str = "--randn") -> tuple[int, ...]:
    """A shape such as 5x5 or 1x2x5x5. Raises UsageError."""
    sizes = text.lower().split("x")
    if not all(size.isdecimal() and 0 < int(size) <= 10**6 for size in sizes) or not 2 <= len(sizes) <= 4:
        raise UsageError(f"{flag} {text}: expected a shape of two to four whole numbers, such as 5x5 or 1x2x5x5")
    shape = tuple(map(int, sizes))
    if np.prod(shape, dtype=float) > 1e7:
        raise UsageError(f"{flag} {text}: expected at most 10,000,000 numbers")
    return shape


def read_numbers(file: str, array: str | None = None) -> Numbers:
    """The numbers of a file; array: which, where it has several. Nothing pickled is read. Raises UsageError."""
    path = Path(file).expanduser()
    readers = {".csv": _read_csv, ".json": _read_json, ".npy": _read_npy, ".npz": _read_npy}
    if path.suffix.lower() not in readers:
        raise unknown("suffix", path.suffix or file, readers, f"{file}: ")
    if not path.is_file():
        raise UsageError(f"{file}: no such file; expected a {EXPECTED}")
    try:
        content = readers[path.suffix.lower()](path)
    except UsageError:
        raise
    except Exception as error:  # a damaged archive raises nearly anything: zlib.error, MemoryError, RecursionError
        reason = "it holds pickled Python objects, which are never loaded" if "pickle" in str(error) else brief(error)
        raise UsageError(f"{file}: cannot be read: {reason}; expected a {EXPECTED}") from None
    columns: tuple[str, ...] = ()
    if isinstance(content, Numbers):
        values, columns = content.values, content.columns
    elif isinstance(content, dict):
        values = np.asarray(_choose(content, file, array))
    else:
        values = np.asarray(content)
    if array is not None and not isinstance(content, dict):
        raise UsageError(f"--array {array}: {file} holds one array without a name; leave the flag out")
    return Numbers(_check(values, file), columns)


def _choose(arrays: dict[str, Any], file: str, array: str | None) -> Any:
    """The array of a file with names."""
    if array is not None:
        if array not in arrays:
            raise unknown("array", array, arrays, f"{file}: ")
        return arrays[array]
    if len(arrays) != 1:
        raise UsageError(f"{file}: holds {', '.join(arrays) or 'nothing'}; expected one array, or --array NAME")
    return next(iter(arrays.values()))


def _read_npy(path: Path) -> Any:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        return {name: loaded[name] for name in loaded.files}


def _read_json(path: Path) -> Any:
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        return {name: _stack(value, f"{path}: {name}") for name, value in content.items()}
    return _stack(content, str(path))


def _read_csv(path: Path) -> Numbers:
    """Rows of numbers below a line of names or none."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = [row for row in csv.reader(lines) if any(cell.strip() for cell in row)]
    if not rows:
        raise UsageError(f"{path}: empty; expected rows of numbers")
    names: tuple[str, ...] = ()
    if not any(_is_number(cell) for cell in rows[0]):
        names, rows = tuple(cell.strip() for cell in rows[0]), rows[1:]
    for place, row in enumerate(rows, 2 if names else 1):
        if (bad := next((cell for cell in row if not _is_number(cell)), None)) is not None:
            raise UsageError(f"{path}: line {place} holds {bad!r}; expected numbers below at most one line of names")
    values = _stack([[float(cell) for cell in row] for row in rows], str(path))
    if names and values.shape[1:] != (len(names),):
        raise UsageError(f"{path}: {len(names)} names above rows of {list(values.shape[1:])}; expected a name a column")
    return Numbers(values, names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _stack(rows: Any, where: str) -> NDArray[Any]:
    """Nested lists as an array. Raises UsageError if rows are not alike."""
    try:
        return np.asarray(rows)
    except ValueError:
        lengths = sorted({len(row) for row in rows if isinstance(row, Sequence)})
        shape = f"rows of {' and '.join(map(str, lengths))} numbers" if len(lengths) > 1 else "rows that differ"
        raise UsageError(f"{where}: {shape}; expected rows of one length") from None


def _check(values: NDArray[Any], where: str) -> NDArray[np.float64]:
    """The array as float64, one row a row of a batch."""
    if values.dtype.kind not in "uifb":
        raise UsageError(f"{where}: holds {values.dtype}; expected numbers")
    if not 2 <= values.ndim <= 4 or 0 in values.shape:
        raise UsageError(
            f"{where}: shape {list(values.shape)}; expected rows: [N, D], [N, C, L] or [N, C, H, W], none empty"
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0]) + 1
        raise UsageError(f"{where}: row {row} holds NaN or infinity; expected finite numbers")
    return values
