"""Data sets: from files to tensors, split into train, validation and test, standardised on the training part alone.

`describe` needs numpy only, so planning stays fast; so does `Source.standardised`, so that rows are ready when torch is.
"""

from __future__ import annotations

import importlib.util
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweep.errors import UsageError, unknown

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]


@dataclass(frozen=True)
class DataInfo:
    """What a plan must know of a data set: `shape` of one row, (D,) or (C, H, W); classes; rows of each part."""

    name: str
    shape: tuple[int, ...]
    classes: int
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class Part:
    """Rows with their labels. x: [N, D] or [N, C, H, W] float; y: [N] int64."""

    x: torch.Tensor
    y: torch.Tensor


@dataclass(frozen=True)
class Split:
    """The three parts, standardised alike. `classes` is the number of labels."""

    train: Part
    val: Part
    test: Part
    classes: int

    def to(self, device: str) -> Split:
        """The same on a device."""
        train, val, test = (Part(part.x.to(device), part.y.to(device)) for part in (self.train, self.val, self.test))
        return Split(train, val, test, self.classes)


@dataclass(frozen=True)
class _Known:
    """A named data set: shape, classes, rows of the given train and test files (test 0: one file, split three ways)."""

    shape: tuple[int, ...]
    classes: int
    train: int
    test: int
    torchvision: str = ""
    files: str = ""


_IDX = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
KNOWN: dict[str, _Known] = {
    "digits": _Known((1, 8, 8), 10, 1797, 0),
    "mnist": _Known((1, 28, 28), 10, 60_000, 10_000, "MNIST", f"MNIST/raw/: {_IDX}"),
    "fashion-mnist": _Known((1, 28, 28), 10, 60_000, 10_000, "FashionMNIST", f"FashionMNIST/raw/: {_IDX}"),
    "cifar10": _Known(
        (3, 32, 32), 10, 50_000, 10_000, "CIFAR10", "cifar-10-batches-py/: data_batch_1 to 5, test_batch, batches.meta"
    ),
}
NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def default_data_dir() -> Path:
    """Where data sets are downloaded to when `--data-dir` is not given."""
    return Path.home() / ".cache" / "sweep" / "data"


def describe(name: str) -> DataInfo:
    """What is known of a data set before it is loaded. Raises UsageError for one that does not exist or cannot be used."""
    if name in KNOWN:
        known = KNOWN[name]
        return _info(name, known.shape, known.classes, known.train, known.test)
    if not name.endswith(".npz"):
        raise unknown("data set", name, [*KNOWN, "a file FILE.npz"], "data: ")
    arrays = _read_npz(Path(name), values=False)
    shape = _row_shape(arrays["x_train"].shape)
    return _info(name, shape, int(arrays["y_train"].max()) + 1, len(arrays["y_train"]), len(arrays["y_test"]))


def load(name: str, data_dir: str | None, split_seed: int) -> Source:
    """Reads a data set (downloading it on first use) and splits it. Raises UsageError, one line."""
    if name == "digits":
        x, y = _digits()
        test: tuple[Array, Array] | None = None
    elif name in KNOWN:
        (x, y), test = _torchvision(name, data_dir)
    else:
        describe(name)
        arrays = _read_npz(Path(name), values=True)
        x, y = arrays["x_train"], arrays["y_train"]
        test = arrays["x_test"], arrays["y_test"]
    info = describe(name)
    order = np.random.default_rng([split_seed, len(x)]).permutation(len(x))
    if test is None:
        rows, order = order[: info.test], order[info.test :]
        test = x[rows], y[rows]
    val, train = order[: info.val], order[info.val :]
    return Source(info, (x[train], y[train]), (x[val], y[val]), test)


@dataclass(frozen=True)
class Source:
    """A data set in memory, split but as it came: each part is (rows [N, ...], labels [N])."""

    info: DataInfo
    train: tuple[Array, Array]
    val: tuple[Array, Array]
    test: tuple[Array, Array]

    def fingerprint(self) -> str:
        """A checksum of every row and label of every part: the same data split the same way have the same."""
        crc = 0
        for x, y in (self.train, self.val, self.test):
            for array in (x, y):
                crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
        return f"{crc:08x}"

    def split(self, normalize: str, train_size: int | str) -> Split:
        """The parts as float32 tensors. Statistics come from the first `train_size` training rows, the ones used."""
        return self.tensors(self.standardised(normalize, train_size))

    def tensors(self, parts: list[tuple[Array, Array]]) -> Split:
        """What `standardised` gave, as tensors in the same memory."""
        import torch

        train, val, test = (Part(torch.from_numpy(rows), torch.from_numpy(labels)) for rows, labels in parts)
        return Split(train, val, test, self.info.classes)

    def standardised(self, normalize: str, train_size: int | str) -> list[tuple[Array, Array]]:
        """The parts for `split`, without torch: rows float32, labels int64."""
        size = len(self.train[1]) if isinstance(train_size, str) else train_size
        if size > len(self.train[1]):
            raise UsageError(f"train_size = {size}: {self.info.name} has {len(self.train[1])} training rows")
        train = self.train[0][:size], self.train[1][:size]
        shift, scale = _statistics(train[0], normalize)
        parts = []
        for x, y in (train, self.val, self.test):
            rows = np.empty((len(x), *self.info.shape), dtype=np.float32)
            for start in range(0, len(x), 1024):  # in pieces, so that no float64 copy of the whole is made
                rows[start : start + 1024] = (x[start : start + 1024] - shift) / scale
            parts.append((rows, y.astype(np.int64)))
        return parts


def _info(name: str, shape: tuple[int, ...], classes: int, train: int, test: int) -> DataInfo:
    """Row counts: a sixth of the training file is for validation; a single file gives a fifth each to test and validation."""
    if not test:
        fifth = train // 5
        return DataInfo(name, shape, classes, train - 2 * fifth, fifth, fifth)
    val = train // 6
    return DataInfo(name, shape, classes, train - val, val, test)


def _statistics(x: Array, normalize: str) -> tuple[Array, Array]:
    """What to subtract and divide by, float64: one pair a channel for images, one a feature for flat rows."""
    axes = (0, 2, 3) if x.ndim == 4 else (0,)
    kept = (x.shape[1], 1, 1) if x.ndim == 4 else x.shape[1:]
    if normalize == "none":
        return np.zeros(kept), np.ones(kept)
    if normalize == "unit":
        shift = x.min(axes).astype(np.float64).reshape(kept)
        scale = x.max(axes).astype(np.float64).reshape(kept) - shift
    else:
        shift = x.mean(axes, dtype=np.float64).reshape(kept)
        squares = sum(np.square(x[i : i + 1024] - shift).sum(axes) for i in range(0, len(x), 1024))
        scale = np.sqrt(np.asarray(squares) / (x.size / np.prod(kept))).reshape(kept)
    return shift, np.where(scale == 0, 1.0, scale)


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


def _torchvision(name: str, data_dir: str | None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    known = KNOWN[name]
    root = Path(data_dir) if data_dir else default_data_dir()
    if (parts := _idx_parts(root / known.torchvision / "raw")) is not None:
        return parts
    from torchvision import datasets  # importing it takes longer than reading the files, so only where it is needed

    kind = getattr(datasets, known.torchvision)
    found = []
    for train in (True, False):
        try:
            try:
                part = kind(root, train=train, download=False)
            except RuntimeError:  # "Dataset not found"
                part = kind(root, train=train, download=True)
        except Exception as error:  # torchvision lets many kinds through: URLError, RuntimeError, OSError, EOFError
            raise UsageError(
                f"{name}: cannot be read from {root}, nor downloaded ({_brief(error)}); "
                f"expected {root}/{known.files} (--data-dir names another folder)"
            ) from None
        x = np.asarray(part.data)
        found.append((_images(x), np.asarray(part.targets, dtype=np.int64)))
    return found[0], found[1]


def _idx_parts(folder: Path) -> tuple[tuple[Array, Array], tuple[Array, Array]] | None:
    """The training and test parts of an MNIST-like folder, or None if it does not hold all four files, whole.

    IDX (Y. LeCun): two zero bytes, 8 for unsigned bytes, the number of axes, each axis' size in four bytes, the bytes.
    """
    parts = []
    for name in ("train", "t10k"):
        arrays = []
        for kind, axes in (("images-idx3", 3), ("labels-idx1", 1)):
            try:
                content = (folder / f"{name}-{kind}-ubyte").read_bytes()
            except OSError:
                return None
            shape = (
                np.frombuffer(content, ">u4", axes, offset=4) if len(content) >= 4 + 4 * axes else np.zeros(axes, int)
            )
            if content[:4] != bytes((0, 0, 8, axes)) or len(content) != 4 + 4 * axes + math.prod(map(int, shape)):
                return None
            arrays.append(np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape))
        if len(arrays[0]) != len(arrays[1]):
            return None
        parts.append((_images(arrays[0]), arrays[1].astype(np.int64)))
    return parts[0], parts[1]


def _read_npz(path: Path, values: bool) -> dict[str, Array]:
    """The four arrays of an .npz, checked. Without `values`, the x arrays are placeholders of the right shape."""
    expected = f"expected arrays {', '.join(NPZ_ARRAYS)}"
    if not path.exists():
        raise UsageError(f"{path}: no such data file; {expected}")
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path}: not an .npz archive; {expected}")
    try:
        file = np.load(path, allow_pickle=False)
        with file:
            missing = [key for key in NPZ_ARRAYS if key not in file.files]
            if missing:
                raise UsageError(
                    f"{path}: no array {', '.join(missing)}; {expected}, found {', '.join(file.files) or 'none'}"
                )
            arrays = {
                key: file[key] if values or key.startswith("y") else _placeholder(file, key) for key in NPZ_ARRAYS
            }
    except UsageError:
        raise
    except Exception as error:  # a damaged archive raises nearly anything: zlib.error, MemoryError, NotImplementedError
        reason = "it holds pickled Python objects, which are never loaded" if "pickle" in str(error) else _brief(error)
        raise UsageError(f"{path}: cannot be read: {reason}; {expected} of numbers") from None
    _check_arrays(path, arrays, values)
    for part in ("train", "test"):
        arrays[f"y_{part}"] = arrays[f"y_{part}"].astype(np.int64)
        if values:
            arrays[f"x_{part}"] = _images(arrays[f"x_{part}"])
    return arrays


def _check_arrays(path: Path, arrays: dict[str, Array], values: bool) -> None:
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
            raise UsageError(f"{path}: x_{part} or y_{part} is no array; expected arrays of numbers")
        if x.dtype.kind not in "uifb" or x.ndim not in (2, 3, 4):
            raise UsageError(
                f"{path}: x_{part} is {x.dtype} {list(x.shape)}; expected numbers [N, D], [N, H, W], [N, C, H, W] or [N, H, W, C]"
            )
        if y.ndim != 1 or y.dtype.kind not in "uif" or len(y) != len(x):
            raise UsageError(
                f"{path}: y_{part} is {y.dtype} {list(y.shape)}; expected {len(x)} whole-number labels, one for each row of x_{part}"
            )
        if len(y) < (12 if part == "train" else 1) or 0 in x.shape:
            raise UsageError(
                f"{path}: x_{part} is {list(x.shape)}; expected at least {12 if part == 'train' else 1} rows, none empty"
            )
        if y.dtype.kind == "f" and not (np.isfinite(y).all() and np.array_equal(y, np.floor(y))):
            raise UsageError(f"{path}: y_{part} holds fractions, NaN or infinity; expected whole-number labels from 0")
        if y.min() < 0:
            raise UsageError(f"{path}: y_{part} holds label {int(y.min())}; expected labels from 0")
        if values and x.dtype.kind == "f" and not np.isfinite(x).all():
            row = int(np.argwhere(~np.isfinite(x))[0][0])
            raise UsageError(f"{path}: x_{part} row {row} holds NaN or infinity; expected finite numbers")
    if arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        raise UsageError(
            f"{path}: rows of x_train are {list(arrays['x_train'].shape[1:])}, of x_test {list(arrays['x_test'].shape[1:])}; expected the same"
        )
    classes = int(arrays["y_train"].max()) + 1
    if classes < 2:
        raise UsageError(f"{path}: y_train holds one class; expected at least two")
    if classes > max(1000, len(arrays["y_train"])):
        raise UsageError(
            f"{path}: y_train holds label {classes - 1}; expected labels from 0 to the number of classes - 1"
        )
    if arrays["y_test"].max() >= classes:
        raise UsageError(
            f"{path}: y_test holds label {int(arrays['y_test'].max())}, out of range; y_train has labels 0 to {classes - 1}"
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


def _row_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(D,) or (C, H, W) of the rows of an array [N, D], [N, H, W], [N, C, H, W] or [N, H, W, C]."""
    if len(shape) == 4 and shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4):
        return shape[3], shape[1], shape[2]
    return (1, *shape[1:]) if len(shape) == 3 else tuple(shape[1:])


def _images(x: Array) -> Array:
    """The array as [N, D] or [N, C, H, W]."""
    shape = _row_shape(x.shape)
    if x.ndim == 4 and shape != x.shape[1:]:
        x = x.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(x.reshape(len(x), *shape))


def _brief(error: BaseException) -> str:
    """An error's text on one line, not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"
