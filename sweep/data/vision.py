"""Sets of images that torchvision reads, each by its name: what they are, and their rows. Needs torchvision, and scipy
or h5py where it does.

The small ones that everybody knows are downloaded on first use; of the others nothing is downloaded, what is missing is
said with the line that fetches it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sweep.data.folders import fit_image
from sweep.data.npz import images
from sweep.data.target import Array, brief
from sweep.dataname import options_of, path_of
from sweep.errors import UsageError

Kwargs = Mapping[str, Any]


@dataclass(frozen=True)
class Known:
    """A named data set: shape, classes, rows of the given train, test and val files (test 0: one file, split three
    ways; val 0: a sixth of the training rows)."""

    shape: tuple[int, ...]
    """Height and width 0: images of many sizes, which need `image_size`."""
    classes: int
    train: int
    test: int = 0
    val: int = 0
    torchvision: str = ""
    """Its class there."""
    files: str = ""
    names: tuple[str, ...] = ()
    target: tuple[str, float, float] | None = None
    """Of regression: what is predicted, and from where to where it goes."""
    parts: Mapping[str, Kwargs] = field(default_factory=dict)
    """What its class is called with for each part; without, with train=True and False."""
    first: int = 0
    """The least label."""
    transposed: bool = False
    """Whether its images lie on their side."""
    counts: tuple[int, ...] = ()
    """Rows of each class, in all its files together, where its makers say them."""

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a row under a name, which may have a size. Raises UsageError."""
        options, given = options_of(name), path_of(name)
        if extra := [option for option in options if option != "image_size" or not self.parts]:
            flags = ", ".join("--" + option.replace("_", "-") for option in extra)
            raise UsageError(f"{flags}: for data of your own; {given} needs none")
        if "image_size" in options:
            side = int(options["image_size"]) if options["image_size"].isdecimal() else 0
            if not 4 <= side <= 512:
                raise UsageError(f"{given}: --image-size {options['image_size']}: expected pixels, 4 to 512")
            return self.shape[0], side, side
        if not self.shape[-1]:
            raise UsageError(f"{given}: its images are of many sizes; expected --image-size N to bring them to one")
        return self.shape


def _split(train: str = "train", test: str = "test", val: str = "", **more: Any) -> dict[str, Kwargs]:
    """A set's parts by the word that its class has for each."""
    named = {"train": train, "val": val, "test": test}
    return {part: {"split": word, **more} for part, word in named.items() if word}


def _emnist(split: str, classes: int, train: int, test: int, first: int = 0) -> Known:
    parts = {"train": {"split": split, "train": True}, "test": {"split": split, "train": False}}
    files = f"EMNIST/raw/: emnist-{split}-train-images-idx3-ubyte, -labels-idx1-ubyte, and -test-"
    even = split in ("balanced", "digits", "letters", "mnist")  # as many of each class (Cohen et al. 2017)
    counts = ((train + test) // classes,) * classes if even else ()
    emnist = Known((1, 28, 28), classes, train, test, 0, "EMNIST", files, parts=parts, first=first, transposed=True)
    return replace(emnist, counts=counts)


_FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""What torchvision calls the classes."""
_MNIST = (6_903, 7_877, 6_990, 7_141, 6_824, 6_313, 6_876, 7_293, 6_825, 6_958)
_IDX = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"
_ANY = (3, 0, 0)
_WHOLE: dict[str, Kwargs] = {"train": {}}
TORCHVISION: dict[str, Known] = {
    "mnist": Known((1, 28, 28), 10, 60_000, 10_000, 0, "MNIST", f"MNIST/raw/: {_IDX}", counts=_MNIST),
    "fashion-mnist": Known(
        (1, 28, 28), 10, 60_000, 10_000, 0, "FashionMNIST", f"FashionMNIST/raw/: {_IDX}", _FASHION, counts=(7_000,) * 10
    ),
    "cifar10": Known(
        (3, 32, 32),
        10,
        50_000,
        10_000,
        0,
        "CIFAR10",
        "cifar-10-batches-py/: data_batch_1 to 5, test_batch, batches.meta",
        _CIFAR10,
        counts=(6_000,) * 10,
    ),
    "kmnist": Known((1, 28, 28), 10, 60_000, 10_000, 0, "KMNIST", f"KMNIST/raw/: {_IDX}", counts=(7_000,) * 10),
    "cifar100": Known(
        (3, 32, 32), 100, 50_000, 10_000, 0, "CIFAR100", "cifar-100-python/: train, test, meta", counts=(600,) * 100
    ),
    "usps": Known((1, 16, 16), 10, 7_291, 2_007, 0, "USPS", "usps.bz2, usps.t.bz2"),
    "emnist-letters": _emnist("letters", 26, 124_800, 20_800, first=1),
    "emnist-balanced": _emnist("balanced", 47, 112_800, 18_800),
    "emnist-digits": _emnist("digits", 10, 240_000, 40_000),
    "emnist-mnist": _emnist("mnist", 10, 60_000, 10_000),
    "emnist-bymerge": _emnist("bymerge", 47, 697_932, 116_323),
    "emnist-byclass": _emnist("byclass", 62, 697_932, 116_323),
    "qmnist": Known(
        (1, 28, 28),
        10,
        60_000,
        60_000,
        0,
        "QMNIST",
        "QMNIST/raw/: qmnist-train-images-idx3-ubyte, qmnist-train-labels-idx2-int, and qmnist-test-",
        parts={"train": {"train": True, "compat": True}, "test": {"train": False, "compat": True}},
    ),
    "svhn": Known((3, 32, 32), 10, 73_257, 26_032, 0, "SVHN", "train_32x32.mat, test_32x32.mat", parts=_split()),
    "stl10": Known(
        (3, 96, 96),
        10,
        5_000,
        8_000,
        0,
        "STL10",
        "stl10_binary/: train_X.bin, train_y.bin, test_X.bin, test_y.bin, class_names.txt",
        parts=_split(),
        counts=(1_300,) * 10,
    ),
    "flowers102": Known(
        _ANY,
        102,
        1_020,
        6_149,
        1_020,
        "Flowers102",
        "flowers-102/: jpg/, imagelabels.mat, setid.mat",
        parts=_split(val="val"),
    ),
    "gtsrb": Known(_ANY, 43, 26_640, 12_630, 0, "GTSRB", "gtsrb/: GTSRB/Training/, GTSRB/Final_Test/", parts=_split()),
    "dtd": Known(
        _ANY, 47, 1_880, 1_880, 1_880, "DTD", "dtd/dtd/: images/, labels/", parts=_split(val="val"), counts=(120,) * 47
    ),
    "food101": Known(
        _ANY, 101, 75_750, 25_250, 0, "Food101", "food-101/: images/, meta/", parts=_split(), counts=(1_000,) * 101
    ),
    "oxford-pets": Known(
        _ANY,
        37,
        3_680,
        3_669,
        0,
        "OxfordIIITPet",
        "oxford-iiit-pet/: images/, annotations/",
        parts=_split("trainval"),
    ),
    "stanford-cars": Known(
        _ANY, 196, 8_144, 8_041, 0, "StanfordCars", "stanford_cars/: cars_train/, cars_test/, devkit/", parts=_split()
    ),
    "fgvc-aircraft": Known(
        _ANY, 100, 3_334, 3_333, 3_333, "FGVCAircraft", "fgvc-aircraft-2013b/data/", parts=_split(val="val")
    ),
    "country211": Known(
        _ANY, 211, 31_650, 21_100, 10_550, "Country211", "country211/: train/, valid/, test/", parts=_split(val="valid")
    ),
    "rendered-sst2": Known(
        _ANY, 2, 6_920, 1_821, 872, "RenderedSST2", "rendered-sst2/: train/, valid/, test/", parts=_split(val="val")
    ),
    "fer2013": Known((1, 48, 48), 7, 28_709, 7_178, 0, "FER2013", "fer2013/: fer2013.csv", parts=_split()),
    "pcam": Known(
        (3, 96, 96),
        2,
        262_144,
        32_768,
        32_768,
        "PCAM",
        "pcam/: camelyonpatch_level_2_split_….h5",
        parts=_split(val="val"),
    ),
    "imagenette": Known(
        _ANY, 10, 9_469, 3_925, 0, "Imagenette", "imagenette2/: train/, val/", parts=_split(test="val")
    ),
    "eurosat": Known((3, 64, 64), 10, 27_000, 0, 0, "EuroSAT", "eurosat/2750/", parts=_WHOLE),
    "caltech101": Known(_ANY, 101, 8_677, 0, 0, "Caltech101", "caltech101/101_ObjectCategories/", parts=_WHOLE),
    "caltech256": Known(_ANY, 257, 30_607, 0, 0, "Caltech256", "caltech256/256_ObjectCategories/", parts=_WHOLE),
    "semeion": Known((1, 16, 16), 10, 1_593, 0, 0, "SEMEION", "semeion.data", parts=_WHOLE),
    "sun397": Known(_ANY, 397, 108_754, 0, 0, "SUN397", "SUN397/", parts=_WHOLE),
}
"""Those with `parts` are never downloaded. STL10's images without a label (-1) are a split of their own, left out."""

Part = tuple[Array, Array]


def read_torchvision(
    name: str, shape: tuple[int, ...], data_dir: str | None
) -> tuple[Array, Array, Part | None, Part | None]:
    """The rows [N, *shape] and labels of a set: the training file's, then the validation and test parts if it has
    them. Raises UsageError, one line."""
    known = TORCHVISION[path_of(name)]
    root = Path(data_dir) if data_dir else default_data_dir()
    if not known.parts:
        (x, y), test = _download(name, known, root)
        return x, y, None, test
    parts = {part: _read_part(path_of(name), known, kwargs, shape, root) for part, kwargs in known.parts.items()}
    return *parts["train"], parts.get("val"), parts.get("test")


def default_data_dir() -> Path:
    """Where data sets are downloaded to when `--data-dir` is not given."""
    return Path.home() / ".cache" / "sweep" / "data"


def _read_part(name: str, known: Known, kwargs: Kwargs, shape: tuple[int, ...], root: Path) -> Part:
    """A part of a set that is there already."""
    from torchvision import datasets

    kind = getattr(datasets, known.torchvision)
    never = {} if known.torchvision == "FER2013" else {"download": False}  # which cannot; SEMEION else would
    try:
        part = kind(root, **kwargs, **never)
        x, y = _arrays(part, shape)
    except Exception as error:  # torchvision, scipy and Pillow let many kinds through
        fetching = _fetching(known, root) if never else ""
        raise UsageError(
            f"{name}: cannot be read from {root} ({brief(error)}); expected {root}/{known.files} (--data-dir names "
            f"another folder). It is not downloaded unasked{fetching}"
        ) from None
    x = x.transpose(0, 1, 3, 2) if known.transposed else x
    x, y = np.ascontiguousarray(x), y - known.first
    if len(y) and not 0 <= y.min() <= y.max() < known.classes:
        raise UsageError(f"{name}: labels {y.min()} to {y.max()}; expected 0 to {known.classes - 1}")
    return x, y


def _fetching(known: Known, root: Path) -> str:
    """What somebody may type who wants a set's parts to be downloaded."""
    calls = ("".join(f", {key}={value!r}" for key, value in kwargs.items()) for kwargs in known.parts.values())
    made = "; ".join(f"D({str(root)!r}{call}, download=True)" for call in calls)
    return f'; this does it: python -c "from torchvision.datasets import {known.torchvision} as D; {made}"'


def _arrays(part: Any, shape: tuple[int, ...]) -> Part:
    """The images of one of torchvision's sets, uint8 [N, *shape], and their labels: from its arrays if it keeps such,
    else one by one."""
    kept, labels = getattr(part, "data", None), getattr(part, "targets", getattr(part, "labels", None))
    if isinstance(kept, list) or kept is None or labels is None:
        pairs = (part[row] for row in range(len(part)))
        x, y = np.empty((len(part), *shape), np.uint8), np.empty(len(part), np.int64)
        for row, (image, label) in enumerate(pairs):
            x[row], y[row] = fit_image(image, shape), label
        return x, y
    x, y = np.asarray(kept), np.asarray(labels, np.int64)
    y = y[:, 0] if y.ndim > 1 else y  # QMNIST has seven more columns
    channels = 1 if x.ndim == 3 else 3
    height, width = x.shape[2:] if x.ndim == 4 and x.shape[1] == 3 else x.shape[1:3]
    x = images(x, (channels, height, width))
    if x.shape[1:] == shape:
        return x, y
    from PIL import Image

    return np.stack([fit_image(Image.fromarray(_plain(row)), shape) for row in x]), y


def _plain(row: Array) -> Array:
    return row[0] if len(row) == 1 else row.transpose(1, 2, 0)


def _download(name: str, known: Known, root: Path) -> tuple[Part, Part]:
    """The training and test parts of a set that everybody knows, downloaded if need be."""
    if (parts := _idx_parts(root / known.torchvision / "raw")) is not None:
        return parts
    from torchvision import datasets  # importing it takes longer than reading the files, so only where it is needed

    kind = getattr(datasets, known.torchvision)
    pairs = []
    for train in (True, False):
        try:
            try:
                part = kind(root, train=train, download=False)
            except RuntimeError:  # "Dataset not found"
                part = kind(root, train=train, download=True)
        except Exception as error:  # torchvision lets many kinds through: URLError, RuntimeError, OSError, EOFError
            raise UsageError(
                f"{name}: cannot be read from {root}, nor downloaded ({brief(error)}); "
                f"expected {root}/{known.files} (--data-dir names another folder)"
            ) from None
        x = np.asarray(part.data)
        pairs.append((images(x, known.shape), np.asarray(part.targets, dtype=np.int64)))
    return pairs[0], pairs[1]


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
        parts.append((images(arrays[0], (1, *arrays[0].shape[1:])), arrays[1].astype(np.int64)))
    return parts[0], parts[1]
