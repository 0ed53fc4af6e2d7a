"""Rows for a trained network to answer: a data set by its name, a file of arrays, a table, images; what is to be
predicted need not be there. Needs numpy.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sweep.data.columns import Columns
from sweep.data.folders import SUFFIXES, read_images
from sweep.data.npz import NAMES, check_values, images
from sweep.data.sources import KNOWN, Source, load
from sweep.data.tables import read_frame
from sweep.data.target import Array, brief, name_label
from sweep.dataname import TABLES, path_of, with_options
from sweep.errors import UsageError, unknown
from sweep.wording import count, join_words

ALONE = ("x", "rows", "images", "data")
"""What rows that belong to no part are called; their labels are `y` or `labels`, if there are any."""


@dataclass(frozen=True)
class Takes:
    """What a model takes, and the data that it was trained on."""

    shape: tuple[int, ...]
    """Of a row."""
    columns: Columns | None = None
    """How the columns of a table become a row."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What its study said of its file: the target's column, the images' size."""
    fingerprint: str | None = None
    """Of its data."""
    split: tuple[int, int] = (0, 0)
    """The seed that split them, and the number of the split."""


@dataclass(frozen=True)
class Rows:
    """x: [N, D] or [N, C, H, W] as they came, not standardised; y: what is to be predicted of each row, names of
    classes or numbers, None where a row has none; None where no row has."""

    x: Array
    y: Array | None
    where: str
    """Where they are from, in words."""
    files: tuple[str, ...] = ()
    """Of images: each one's file, within its folder."""
    notes: tuple[str, ...] = ()
    """What the reader should know."""

    @property
    def labels(self) -> tuple[str | None, ...] | None:
        """What each row's class is called."""
        return None if self.y is None else tuple(None if _absent(label) else name_label(label) for label in self.y)

    @property
    def numbers(self) -> Array | None:
        """The target of each row as a number, float64, NaN where a row has none; None where it is no number."""
        if self.y is None:
            return None
        try:
            return np.array([np.nan if _absent(value) else float(value) for value in self.y])
        except (TypeError, ValueError):
            return None


def read_rows(name: str, part: str | None, takes: Takes, data_dir: str | None = None) -> Rows:
    """The rows of a data set, file or folder that have a network's shape. Raises UsageError, one line.

    part: train, val or test. By default of a named set test; of a file its rows x, or its only array, or x_test; of a
    table all rows; of a folder its folder test, or all. A table and a folder have the parts that the model's study
    gave them.
    """
    if part is not None and part not in NAMES:
        raise unknown("part", part, NAMES, "--part: ")
    path = Path(path_of(name)).expanduser()
    suffix = path.suffix.lower()
    if path_of(name) in KNOWN:
        rows = _of_part(load(name, data_dir, takes.split[0]).resplit(takes.split[1]), part or "test")
    elif suffix not in TABLES and suffix not in SUFFIXES and not path.is_dir() and not name.endswith(("/", "\\")):
        rows = _from_file(path, name, part)
    elif not path.exists():
        raise UsageError(f"{name}: no such data file")
    elif part is not None:
        rows = _of_trained(path, part, takes)
    else:
        rows = _of_table(path, takes) if suffix in TABLES else _of_images(path, takes)
    return replace(rows, x=_shape_rows(rows, takes.shape))


def _of_part(source: Source, part: str) -> Rows:
    x, y = {"train": source.train, "val": source.val, "test": source.test}[part]
    names = np.array(source.info.class_names, dtype=object)
    return Rows(x, y if source.info.regression else names[y], f"the {part} part of {path_of(source.info.name)}")


def _of_trained(path: Path, part: str, takes: Takes) -> Rows:
    """A part of the table or folder that a model was trained on, as its study split it."""
    source = load(with_options(str(path.absolute()), takes.options), None, takes.split[0])
    if source.fingerprint() != takes.fingerprint:
        raise UsageError(
            f"{path}: --part {part}: these are not the data that the model was trained on, which alone have such a "
            "part; without --part all rows are answered"
        )
    return _of_part(source.resplit(takes.split[1]), part)


def _of_table(path: Path, takes: Takes) -> Rows:
    if takes.columns is None:
        raise UsageError(f"{path}: the model was not trained on a table; it takes rows of {_text(takes.shape)}")
    frame = read_frame(path)
    if frame.empty:
        raise UsageError(f"{path}: no rows")
    x = takes.columns.encode(str(path), frame)
    gaps, strange = int(np.isnan(x).any(axis=1).sum()), takes.columns.unknown(frame)
    notes = [f"{count(gaps, 'row')} with missing numbers: filled as in training"] if gaps else []
    notes += [f"texts that were not there in training: {join_words(strange)}"] if strange else []
    target = takes.options.get("target")
    y = frame[target].to_numpy(object) if target in frame.columns else None
    return Rows(takes.columns.fill(x), y, str(path), notes=tuple(notes))


def _of_images(path: Path, takes: Takes) -> Rows:
    if len(takes.shape) != 3:
        raise UsageError(f"{path}: the model takes rows of {_text(takes.shape)} numbers, no images")
    x, labels, files, where = read_images(path, takes.shape)
    return Rows(x, None if labels is None else np.array(labels, dtype=object), str(where), files)


def _absent(value: object) -> bool:
    return value is None or value != value or str(value) in ("<NA>", "NaT")


def _from_file(path: Path, name: str, part: str | None) -> Rows:
    if path.suffix.lower() not in (".npz", ".npy"):
        files = "a file (.npz, .npy, .csv, .tsv, .parquet, an image)"
        raise unknown("data set", name, [*KNOWN, files, "a folder of images"], "data: ")
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
    return Rows(arrays["x"], _target(name, arrays), name)


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


def _target(name: str, arrays: dict[str, Array]) -> Array | None:
    if "y" not in arrays:
        return None
    y, rows = arrays["y"], len(arrays["x"]) if arrays["x"].ndim else 0
    if y.shape not in ((rows,), (rows, 1)):
        raise UsageError(f"{name}: labels are {list(y.shape)}; expected one for each of {rows} rows")
    return y.reshape(-1)


def _shape_rows(rows: Rows, shape: tuple[int, ...]) -> Array:
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
