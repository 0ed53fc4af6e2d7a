"""Data sets: from files to tensors, split into train, validation and test, standardised on the training part alone.

`describe` needs numpy only, so planning stays fast; so does `Source.standardised`, so that rows are ready when torch
is.
"""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.classes import Classes, count_classes
from sweep.data.columns import Columns
from sweep.data.folders import read_folder
from sweep.data.npz import Arrays, further_parts, read_npz
from sweep.data.tables import read_table
from sweep.data.target import number_note
from sweep.data.toys import ROWS, TOYS
from sweep.data.vision import TORCHVISION, Known, read_torchvision
from sweep.dataname import ARRAYS, TABLES, is_path, options_of, path_of
from sweep.errors import UsageError, unknown
from sweep.formulas import FUNCTION_DATA
from sweep.recipe import TRAINER_DATA
from sweep.space import Shift

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]


@dataclass(frozen=True)
class DataInfo:
    """What a plan must know of a data set."""

    name: str
    shape: tuple[int, ...]
    """Of one row: (D,) or (C, H, W)."""
    classes: int
    train: int
    val: int
    test: int
    """Rows, as are `train` and `val`."""
    splits: bool = True
    """Whether its training and validation rows can be split otherwise: not where the file has validation rows of its
    own.
    """
    notes: tuple[str, ...] = ()
    """What the reader should know: how labels and channels were read, a class that is nearly everything."""
    tests: tuple[str, ...] = ()
    """Names of further test sets."""
    names: tuple[str, ...] = ()
    """What each class is called; empty where they are called 0, 1, …."""
    regression: bool = False
    """Whether what is predicted is a number; `classes` is 1 then: one number a row."""
    counts: tuple[int, ...] = ()
    """Rows of each class in all of it, where they are known without training: not of torchvision's sets."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What each class is called."""
        return self.names or tuple(map(str, range(self.classes)))


@dataclass(frozen=True)
class Part:
    """Rows with their labels. x: [N, D] or [N, C, H, W] float; y: [N] int64, of regression the standardised target,
    float32."""

    x: torch.Tensor
    y: torch.Tensor


@dataclass(frozen=True)
class Split:
    """The three parts, standardised alike. `classes` is the number of labels, 1 of regression."""

    train: Part
    val: Part
    test: Part
    classes: int
    tests: Mapping[str, Part] = field(default_factory=dict)
    """Further test sets."""
    target: tuple[float, float] | None = None
    """Of regression the mean and the standard deviation of the training rows' target, by which it is standardised."""

    def to(self, device: str) -> Split:
        """The same on a device."""

        def move(part: Part) -> Part:
            return Part(part.x.to(device), part.y.to(device))

        train, val, test = map(move, (self.train, self.val, self.test))
        tests = {name: move(part) for name, part in self.tests.items()}
        return Split(train, val, test, self.classes, tests, self.target)


KNOWN: dict[str, Known] = {
    "digits": Known((1, 8, 8), 10, 1797),
    **TORCHVISION,
    "iris": Known((4,), 3, 150),
    "wine": Known((13,), 3, 178),
    "breast-cancer": Known((30,), 2, 569),
    "diabetes": Known((10,), 1, 442, target=("progression", 25.0, 346.0)),
    **{name: Known((2,), classes, ROWS) for name, (_, classes) in TOYS.items()},
}


def describe(name: str) -> DataInfo:
    """What is known of a data set before it is loaded. Raises UsageError for one that does not exist or cannot be
    used.
    """
    if name in (FUNCTION_DATA, TRAINER_DATA):
        return DataInfo(name, (), 0, 1, 0, 0, splits=False)
    if path_of(name) in KNOWN:
        return _describe_known(name, KNOWN[path_of(name)])
    return _describe_arrays(name, _read(name, values=False))


def _describe_known(name: str, known: Known) -> DataInfo:
    shape = known.shape_of(name)
    info = replace(_info(name, shape, known.classes, known.train, known.test), names=known.names)
    if known.val:
        info = replace(info, train=known.train, val=known.val, splits=False)
    return replace(info, notes=(number_note(*known.target),), regression=True) if known.target else info


def count_rows(info: DataInfo) -> DataInfo:
    """The same with the rows of each class, also of sets that come with sweep or scikit-learn, which takes reading
    them, and of those whose makers say them."""
    known = KNOWN.get(path_of(info.name))
    if known and known.counts:
        return replace(info, counts=known.counts)
    if info.regression or not (info.name == "digits" or info.name in TOYS or info.name in _BUNDLED):
        return info
    source = load(info.name, None, 0)
    return replace(info, counts=_count(info, [labels for _, labels in (source.train, source.val, source.test)]))


def _count(info: DataInfo, labels: Iterable[Array]) -> tuple[int, ...]:
    counts = np.bincount(np.concatenate([*labels]), minlength=info.classes)
    return tuple(map(int, counts))


def is_file(name: str) -> bool:
    """Whether a data set's name is that of a file or folder, not of a set that sweep knows."""
    return name not in KNOWN and is_path(name)


def _read(name: str, values: bool) -> Arrays:
    """A person's own data, by the kind of file; without `values` only what describes them. Raises UsageError."""
    if not is_file(name):
        given = path_of(name)
        if Path(given).is_dir():
            raise UsageError(f"data: {given} is a folder here; expected {given}/ for its images")
        raise unknown("data set", name, [*KNOWN, "a file (.npz, .csv, .tsv, .parquet)", "a folder of images"], "data: ")
    path, options = Path(path_of(name)).expanduser(), options_of(name)
    suffix = path.suffix.lower()
    kind = "table" if suffix in TABLES else "arrays" if suffix in ARRAYS else "folder"
    if "task" in options and kind == "folder":
        raise UsageError(f"{path}: --task is for a table (.csv, .tsv, .parquet) or an .npz; images have classes")
    for option, of in (("target", "table"), ("image_size", "folder")):
        if option in options and kind != of:
            word = {"table": "a table (.csv, .tsv, .parquet)", "folder": "a folder of images"}[of]
            raise UsageError(f"{path}: --{option.replace('_', '-')} is for {word}")
    if kind == "table":
        return read_table(path, options.get("target"), options.get("task"))
    if kind == "folder":
        return read_folder(path, options.get("image_size"), values)
    return read_npz(path, values, options.get("task"))


def _describe_arrays(name: str, arrays: Arrays) -> DataInfo:
    rows = {part: len(labels) for part, labels in arrays.y.items()}
    info = _info(name, arrays.shape, arrays.classes, rows["train"], rows.get("test", 0))
    if "val" in rows and "test" not in rows:
        raise UsageError(f"{path_of(name)}: validation rows, and none for testing; expected both, or neither")
    if "val" in rows:
        info = replace(info, train=rows["train"], val=rows["val"], splits=False)
    tests = tuple(further_parts(rows))
    info = replace(info, notes=arrays.notes, tests=tests, names=arrays.names, regression=arrays.regression)
    if arrays.regression:
        return info
    return replace(info, counts=_count(info, arrays.y.values()))


def load(name: str, data_dir: str | None, split_seed: int) -> Source:
    """Reads a data set (downloading it on first use) and splits it. Raises UsageError, one line."""
    val: tuple[Array, Array] | None = None
    test: tuple[Array, Array] | None = None
    tests: dict[str, tuple[Array, Array]] = {}
    columns: Columns | None = None
    if name == "digits":
        x, y = _digits()
        info = describe(name)
    elif name in TOYS:
        x, y = TOYS[name][0]()
        info = describe(name)
    elif name in _BUNDLED:
        x, y = _load_bundled(name)
        info = describe(name)
    elif path_of(name) in KNOWN:
        info = describe(name)
        x, y, val, test = read_torchvision(name, info.shape, data_dir)
        info = _add_rows(info, len(y), val, test)
    else:
        arrays = _read(name, values=True)
        info = _describe_arrays(name, arrays)
        x, y = arrays.x["train"], arrays.y["train"]
        test = (arrays.x["test"], arrays.y["test"]) if "test" in arrays.x else None
        val = (arrays.x["val"], arrays.y["val"]) if "val" in arrays.x else None
        columns = arrays.columns
        tests = {named: (arrays.x[part], arrays.y[part]) for named, part in further_parts(arrays.x).items()}
    order = np.random.default_rng([split_seed, len(x)]).permutation(len(x))
    if test is None:
        rows, order = order[: info.test], order[info.test :]
        if columns is not None:
            columns = columns.learn_fills(x[order])
            x = columns.fill(x)
        test = x[rows], y[rows]
    if val is None:
        rows, order = order[: info.val], order[info.val :]
        val = x[rows], y[rows]
    return Source(info, (x[order], y[order]), val, test, split_seed, tests, columns=columns)


def _add_rows(
    info: DataInfo, train: int, val: tuple[Array, Array] | None, test: tuple[Array, Array] | None
) -> DataInfo:
    """What is known of a named set, with the rows that its files hold."""
    rows = _info(info.name, info.shape, info.classes, train, len(test[1]) if test else 0)
    if val is not None:
        rows = replace(rows, train=train, val=len(val[1]))
    return replace(info, train=rows.train, val=rows.val, test=rows.test)


@dataclass(frozen=True)
class Source:
    """A data set in memory, split but as it came: each part is (rows [N, ...], labels [N])."""

    info: DataInfo
    train: tuple[Array, Array]
    val: tuple[Array, Array]
    test: tuple[Array, Array]
    seed: int = 0
    """The seed that split it."""
    tests: Mapping[str, tuple[Array, Array]] = field(default_factory=dict)
    """Further test sets of the file."""
    shifts: tuple[Shift, ...] = ()
    """Further test sets that are made of the test part."""
    columns: Columns | None = None
    """Of a table: how its columns became numbers."""

    def fingerprint(self) -> str:
        """A checksum of every row and label of every part: the same data split the same way have the same."""
        crc = 0
        for x, y in (self.train, self.val, self.test, *self.tests.values()):
            for array in (x, y):
                crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
        return f"{crc:08x}"

    def resplit(self, number: int) -> Source:
        """The same rows, those for training and validation dealt out anew; split 0 is this one.

        The test rows stay: what selected a setting on one split has then seen no test row of another.
        """
        if not number:
            return self
        x, y = (np.concatenate([self.val[place], self.train[place]]) for place in (0, 1))
        order = np.random.default_rng([self.seed, len(x), number]).permutation(len(x))
        val, train = order[: len(self.val[1])], order[len(self.val[1]) :]
        return replace(self, train=(x[train], y[train]), val=(x[val], y[val]))

    def classes(self) -> Classes | None:
        """How many rows of each class every part has; None where the target is a number."""
        if self.info.regression:
            return None
        train, val, test = (labels.astype(np.int64) for _, labels in (self.train, self.val, self.test))
        return count_classes(train, val, test, self.info.classes)

    def split(self, normalize: str, train_size: int | str) -> Split:
        """The parts as float32 tensors. Statistics come from the first `train_size` training rows, the ones used."""
        return self.tensors(self.standardised(normalize, train_size))

    def tensors(self, parts: list[tuple[Array, Array]]) -> Split:
        """What `standardised` gave, as tensors in the same memory."""
        import torch

        train, val, test, *more = (Part(torch.from_numpy(rows), torch.from_numpy(labels)) for rows, labels in parts)
        names = [*self.tests, *(shift.name for shift in self.shifts)]
        target = self.target_scale(len(train.y)) if self.info.regression else None
        return Split(train, val, test, self.info.classes, dict(zip(names, more, strict=True)), target)

    def target_scale(self, rows: int) -> tuple[float, float]:
        """Mean and standard deviation (1 if it does not vary) of the target of the first training rows."""
        y = self.train[1][:rows]
        return float(y.mean()), float(y.std()) or 1.0

    def standardised(self, normalize: str, train_size: int | str) -> list[tuple[Array, Array]]:
        """The parts for `split`, further test sets last, without torch: rows float32, labels int64; of regression the
        target standardised by the mean and standard deviation of the training rows that are used, float32."""
        size = len(self.train[1]) if isinstance(train_size, str) else train_size
        if size > len(self.train[1]):
            raise UsageError(f"train_size = {size}: {self.info.name} has {len(self.train[1])} training rows")
        train = self.train[0][:size], self.train[1][:size]
        shift, scale = statistics(train[0], normalize)
        parts = []
        plain = [(*part, 1.0, 0.0) for part in (train, self.val, self.test, *self.tests.values())]
        for x, y, a, b in [*plain, *((*self.test, shift.scale, shift.offset) for shift in self.shifts)]:
            rows = np.empty((len(x), *self.info.shape), dtype=np.float32)
            for start in range(0, len(x), 1024):  # in pieces, so that no float64 copy of the whole is made
                piece = x[start : start + 1024]
                rows[start : start + 1024] = ((piece if (a, b) == (1, 0) else a * piece + b) - shift) / scale
            parts.append((rows, self._standardised_target(y, size)))
        return parts

    def _standardised_target(self, y: Array, size: int) -> Array:
        if not self.info.regression:
            return y.astype(np.int64)
        mean, std = self.target_scale(size)
        return ((y - mean) / std).astype(np.float32)


def _info(name: str, shape: tuple[int, ...], classes: int, train: int, test: int) -> DataInfo:
    """Row counts: a sixth of the training file is for validation; a single file gives a fifth each to test and
    validation.
    """
    if not test:
        fifth = train // 5
        return DataInfo(name, shape, classes, train - 2 * fifth, fifth, fifth)
    val = train // 6
    return DataInfo(name, shape, classes, train - val, val, test)


def statistics(x: Array, normalize: str) -> tuple[Array, Array]:
    """What to subtract and divide by, float64: one pair per channel for images, one a feature for flat rows. What does
    not vary, or by no more than rounding makes of it, is divided by 1."""
    axes = (0, 2, 3) if x.ndim == 4 else (0,)
    kept = (x.shape[1], 1, 1) if x.ndim == 4 else x.shape[1:]
    if normalize == "none":
        return np.zeros(kept), np.ones(kept)
    n = x.size / np.prod(kept)
    if normalize == "unit":
        least, most = x.min(axes).astype(np.float64).reshape(kept), x.max(axes).astype(np.float64).reshape(kept)
        shift, scale = least, most - least
        flat = scale <= 4 * _EPSILON * np.maximum(np.abs(least), np.abs(most))
    else:
        shift = x.mean(axes, dtype=np.float64).reshape(kept)
        squares = sum(np.square(x[i : i + 1024] - shift).sum(axes) for i in range(0, len(x), 1024))
        scale = np.sqrt(np.asarray(squares) / n).reshape(kept)
        # the error of a variance computed in two passes (Chan, Golub & LeVeque 1983), as scikit-learn bounds it
        flat = scale**2 <= n * _EPSILON * scale**2 + (n * shift * _EPSILON) ** 2
    return shift, np.where(flat, 1.0, scale)


_EPSILON = float(np.finfo(np.float64).eps)


def _digits() -> tuple[Array, Array]:
    """scikit-learn's bundled digits: 1,797 images of 8 by 8, values 0 to 16."""
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.submodule_search_locations
    file = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    if (
        file.exists()
    ):  # read directly: importing sklearn.datasets alone takes longer than training the quickstart's trials
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    else:
        from sklearn.datasets import load_digits

        digits = load_digits()
        table = np.column_stack([digits.data, digits.target]).astype(np.int64)
    return table[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8), table[:, -1]


_BUNDLED = ("iris", "wine", "breast-cancer", "diabetes")
"""Small tables that come with scikit-learn, some sorted by class: splitting deals their rows out."""


def _load_bundled(name: str) -> tuple[Array, Array]:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name.replace('-', '_')}")()
    kind = np.float64 if KNOWN[name].target else np.int64
    return np.asarray(bunch.data, np.float64), np.asarray(bunch.target, kind)
