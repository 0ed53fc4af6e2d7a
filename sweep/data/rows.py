"""Rows for a trained network to answer: a data set by its name, or an .npz or .npy file, labels not needed. Needs
numpy.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweep.data.npz import NAMES, check_values, images
from sweep.data.sources import KNOWN, Source, load
from sweep.data.target import Array, brief, name_label
from sweep.dataname import TABLES, path_of
from sweep.errors import UsageError, unknown

ALONE = ("x", "rows", "images", "data")
"""What rows that belong to no part are called; their labels are `y` or `labels`, if there are any."""


@dataclass(frozen=True)
class Rows:
    """x: [N, D] or [N, C, H, W] as they came, not standardised; labels: what each row's class is called, or None."""

    x: Array
    labels: tuple[str, ...] | None
    where: str
    """Where they are from, in words."""


def read_rows(
    name: str, part: str | None, shape: Sequence[int], data_dir: str | None = None, seed: int = 0, number: int = 0
) -> Rows:
    """The rows of a data set or file that have a network's shape. Raises UsageError, one line.

    part: train, val or test (of a named set by default test; of a file its rows x, or its only array, or x_test).
    seed, number: which split of a named set.
    """
    if part is not None and part not in NAMES:
        raise unknown("part", part, NAMES, "--part: ")
    if name in KNOWN:
        source = load(name, data_dir, seed).resplit(number)
        rows = _named(source, part or "test")
    else:
        rows = _from_file(Path(path_of(name)).expanduser(), name, part)
    return Rows(_shaped(rows, tuple(shape)), rows.labels, rows.where)


def _named(source: Source, part: str) -> Rows:
    x, y = {"train": source.train, "val": source.val, "test": source.test}[part]
    names = source.info.class_names
    return Rows(x, tuple(names[label] for label in y), f"the {part} part of {source.info.name}")


def _from_file(path: Path, name: str, part: str | None) -> Rows:
    if path.suffix.lower() in TABLES or path.is_dir():
        raise UsageError(f"{name}: tables and folders are not read here; expected an .npz or .npy of the model's rows")
    if path.suffix.lower() not in (".npz", ".npy"):
        raise unknown("data set", name, [*KNOWN, "a file FILE.npz or FILE.npy"], "data: ")
    if not path.exists():
        raise UsageError(f"{name}: no such data file")
    try:
        if path.suffix.lower() == ".npy":
            arrays = {"x": np.load(path, allow_pickle=False)}
        elif path.is_dir() or not zipfile.is_zipfile(path):
            raise UsageError(f"{name}: not an .npz archive")
        else:
            with np.load(path, allow_pickle=False) as file:
                key = _row_key(name, file.files, part)
                label = _label_key(file.files, key)
                arrays = {"x": file[key]} | ({} if label is None else {"y": file[label]})
    except UsageError:
        raise
    except Exception as error:  # a damaged archive raises nearly anything
        reason = "it holds pickled Python objects, which are never loaded" if "pickle" in str(error) else brief(error)
        raise UsageError(f"{name}: cannot be read: {reason}") from None
    return Rows(arrays["x"], _labels(name, arrays), name)


def _row_key(name: str, there: Sequence[str], part: str | None) -> str:
    """The array that holds the rows."""
    by_word = {key.lower(): key for key in reversed(there)}
    if part is not None:
        choices = NAMES[part][0]
    elif len(there) == 1:
        return there[0]
    else:
        choices = (*ALONE, *NAMES["test"][0])
    key = next((by_word[choice] for choice in choices if choice in by_word), None)
    if key is None:
        raise UsageError(f"{name}: no rows {choices[0]}; found {', '.join(there) or 'none'} (--part says which part)")
    return key


def _label_key(there: Sequence[str], key: str) -> str | None:
    """The array that holds the labels of rows, if there is one."""
    by_word = {other.lower(): other for other in reversed(there) if other != key}
    for rows, labels in (*NAMES.values(), (ALONE, ("y", "labels"))):
        if key.lower() in rows:
            return next((by_word[choice] for choice in labels if choice in by_word), None)
    return None


def _labels(name: str, arrays: dict[str, Array]) -> tuple[str, ...] | None:
    if "y" not in arrays:
        return None
    y, rows = arrays["y"], len(arrays["x"]) if arrays["x"].ndim else 0
    if y.shape not in ((rows,), (rows, 1)):
        raise UsageError(f"{name}: labels are {list(y.shape)}; expected one for each of {rows} rows")
    return tuple(map(name_label, y.reshape(-1)))


def _shaped(rows: Rows, shape: tuple[int, ...]) -> Array:
    """The rows as [N, *shape]: grey images may come without their channel, colours last."""
    x = rows.x
    if x.dtype.kind not in "uifb" or x.ndim < 2 or not len(x):
        raise UsageError(f"{rows.where}: rows are {x.dtype} {list(x.shape)}; expected numbers, [N, {_text(shape)}]")
    known = [shape, shape[1:] if shape[0] == 1 else shape, (*shape[1:], shape[0])] if len(shape) == 3 else [shape]
    if x.shape[1:] not in known:
        raise UsageError(f"{rows.where}: a row is {_text(x.shape[1:])}; the model takes {_text(shape)}")
    check_values(rows.where, x)
    return images(x, shape) if len(shape) == 3 else x


def _text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
