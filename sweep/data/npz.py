"""A person's own arrays, from an .npz file: found by their names, checked, brought to one layout. Needs numpy."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sweep.data.columns import Columns
from sweep.data.target import Array, brief, note_balance, read_target
from sweep.errors import UsageError

NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (("x_train", "train_x", "train_images", "train_data"), ("y_train", "train_y", "train_labels")),
    "val": (
        ("x_val", "x_valid", "x_validation", "val_x", "val_images", "val_data", "valid_x"),
        ("y_val", "y_valid", "y_validation", "val_y", "val_labels", "valid_y"),
    ),
    "test": (("x_test", "test_x", "test_images", "test_data"), ("y_test", "test_y", "test_labels")),
}
"""What rows and labels of each part are called: sweep's and Keras's names, MedMNIST's, and their kin; in any case."""
ALONE = (("x", "data", "images", "features"), ("y", "labels", "label", "target", "targets"))
"""What rows and labels are called where a file has one pair, which then is split three ways."""
EXPECTED = (
    "expected arrays x_train, y_train, x_test, y_test (and x_val, y_val if you have a validation part; x_test_NAME, "
    "y_test_NAME for a further test set)"
)
FEWEST = {"train": 12, "val": 2, "test": 1}
"""Rows that a part must have: one of everything that is split from the training rows."""
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class Arrays:
    """Rows and labels of a file, by part: train, test, and val if the file has one."""

    x: dict[str, Array]
    """[N, D] or [N, C, H, W]; placeholders of that shape if values were not read."""
    y: dict[str, Array]
    """Labels, 0 to classes - 1, int64 [N]; of regression the numbers to be predicted, float64 [N]."""
    shape: tuple[int, ...]
    classes: int
    """1 of regression: the one number that a network answers."""
    notes: tuple[str, ...] = field(default=())
    """What was decided."""
    names: tuple[str, ...] = ()
    """What each class is called in the file; empty of regression."""
    regression: bool = False
    """Whether the target is a number."""
    columns: Columns | None = None
    """How the columns of a table became numbers."""


def read_npz(path: Path, values: bool, task: str | None = None) -> Arrays:
    """The arrays of a file. task: see `read_target`. Raises UsageError, one line, where they are not there or not as
    they must be."""
    x, y = _load(path, values)
    for part in x:
        _check_part(path, part, x[part], y[part], values)
    notes: list[str] = []
    shape = _row_shape(x["train"].shape, notes)
    for part, rows in x.items():
        if rows.shape[1:] != x["train"].shape[1:]:
            own, other = list(x["train"].shape[1:]), list(rows.shape[1:])
            raise UsageError(f"{path}: rows of x_train are {own}, of x_{part} {other}; expected the same")
    x = {part: images(rows, shape) for part, rows in x.items()} if values else x
    target, names = read_target(path, y, notes, task)
    note_balance(target, len(names), notes)
    return Arrays(x, target, shape, len(names) or 1, tuple(notes), names, not names)


def _load(path: Path, values: bool) -> tuple[dict[str, Array], dict[str, Array]]:
    if not path.exists():
        raise UsageError(f"{path}: no such data file; {EXPECTED}")
    if path.is_dir() or not zipfile.is_zipfile(path):
        raise UsageError(f"{path}: not an .npz archive; {EXPECTED}")
    try:
        with np.load(path, allow_pickle=False) as file:
            x_names, y_names = _find_names(path, file.files)
            x = {part: file[name] if values else _placeholder(file, name) for part, name in x_names.items()}
            return x, {part: file[name] for part, name in y_names.items()}
    except UsageError:
        raise
    except Exception as error:  # a damaged archive raises nearly anything: zlib.error, MemoryError, NotImplementedError
        reason = "it holds pickled Python objects, which are never loaded" if "pickle" in str(error) else brief(error)
        raise UsageError(f"{path}: cannot be read: {reason}; {EXPECTED} of numbers") from None


def further_parts(parts: Iterable[str]) -> dict[str, str]:
    """The further test sets among parts, each part by its set's name."""
    return {part.removeprefix("test_"): part for part in parts if part.startswith("test_")}


def _find_names(path: Path, there: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The names of rows and labels of each part that the file has; test_NAME is a further test set."""
    by_word = {name.lower(): name for name in reversed(there)}
    by_part: list[dict[str, str]] = [{}, {}]
    for part, names in NAMES.items():
        for kind, choices in enumerate(names):
            name = next((by_word[choice] for choice in choices if choice in by_word), None)
            if name is not None:
                by_part[kind][part] = name
    for name in there:
        further = re.fullmatch(r"([xy])_(test_[A-Za-z0-9_-]{1,40})", name)
        if further:
            by_part["xy".index(further[1])][further[2]] = name
    pair = [next((by_word[choice] for choice in choices if choice in by_word), None) for choices in ALONE]
    if not by_part[0] and not by_part[1] and all(pair):
        return {"train": str(pair[0])}, {"train": str(pair[1])}
    missing = [
        f"{kind}_{part}" for part in ("train", "test") for kind, at in zip("xy", by_part, strict=True) if part not in at
    ]
    if ("val" in by_part[0]) != ("val" in by_part[1]):
        missing.append(f"{'y' if 'val' in by_part[0] else 'x'}_val")
    alone = further_parts(sorted(by_part[0].keys() ^ by_part[1].keys())).values()
    missing += [f"{'y' if part in by_part[0] else 'x'}_{part}" for part in alone]
    if missing:
        raise UsageError(f"{path}: no array {', '.join(missing)}; {EXPECTED}, found {', '.join(there) or 'none'}")
    return by_part[0], by_part[1]


def _check_part(path: Path, part: str, x: Array, y: Array, values: bool) -> None:
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        raise UsageError(f"{path}: x_{part} or y_{part} is no array; expected arrays of numbers")
    if x.dtype.kind not in "uifb" or x.ndim not in (2, 3, 4):
        raise UsageError(
            f"{path}: x_{part} is {x.dtype} {list(x.shape)}; expected numbers [N, D], [N, H, W], [N, C, H, W] or "
            "[N, H, W, C]"
        )
    fewest = FEWEST[part.partition("_")[0]]
    if len(x) < fewest or 0 in x.shape:
        raise UsageError(f"{path}: x_{part} is {list(x.shape)}; expected at least {fewest} rows, none empty")
    if y.shape not in ((len(x),), (len(x), 1)) or y.dtype.kind not in "uifbUS":
        hint = (
            "; one column per class (one-hot): give the number of the class, y.argmax(1)" if _one_hot(y, len(x)) else ""
        )
        raise UsageError(
            f"{path}: y_{part} is {y.dtype} {list(y.shape)}; expected {len(x)} labels, one for each row of "
            f"x_{part}{hint}"
        )
    if values:
        check_values(f"{path}: x_{part}", x)


def check_values(where: str, x: Array) -> None:
    """Raises UsageError if a row holds a number that is not finite, or too large for float32."""
    if x.dtype.kind != "f":
        return
    bad = ~np.isfinite(x)
    if bad.any():
        raise UsageError(f"{where} row {int(np.argwhere(bad)[0][0])} holds NaN or infinity; expected finite numbers")
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(x.astype(np.float32))
    if bad.any():
        raise UsageError(
            f"{where} row {int(np.argwhere(bad)[0][0])} holds {x[bad][0]:.3g}; expected numbers that fit "
            "float32 (below 3.4e38)"
        )


def _one_hot(y: Array, rows: int) -> bool:
    return (
        y.ndim == 2
        and len(y) == rows
        and y.shape[1] > 1
        and y.dtype.kind in "uifb"
        and bool((y.sum(axis=1) == 1).all())
    )


def _placeholder(file: Any, key: str) -> Array:
    """An array of the stored shape and type that takes no memory, from the header alone."""
    with file.zip.open(f"{key}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
    if dtype.hasobject:
        raise ValueError("pickled")
    return np.broadcast_to(np.zeros((), dtype), shape)


def _row_shape(shape: tuple[int, ...], notes: list[str]) -> tuple[int, ...]:
    """(D,) or (C, H, W) of the rows of an array [N, D], [N, H, W], [N, C, H, W] or [N, H, W, C]; where the channels
    are, is said if it is not plain."""
    if len(shape) < 4:
        return (1, *shape[1:]) if len(shape) == 3 else tuple(shape[1:])
    _, a, b, c = shape
    last = c in _CHANNELS and a not in _CHANNELS
    if a not in _CHANNELS and c not in _CHANNELS:
        last = (a == b != c) or (a != b and b != c and c < a)  # the two equal axes are height and width
        way = "last" if last else "first"
        notes.append(f"rows of {a} x {b} x {c} are read as {c if last else a} channels (channels {way})")
    return (c, a, b) if last else (a, b, c)


def images(x: Array, shape: tuple[int, ...]) -> Array:
    """The array as [N, *shape], channels before height and width."""
    if x.ndim == 4 and x.shape[1:] != shape:
        x = x.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x.reshape(len(x), *shape))
