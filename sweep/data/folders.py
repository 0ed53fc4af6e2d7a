"""A person's own images, from a folder: one subfolder per class, as torchvision's ImageFolder reads it. Needs Pillow.

Every image is brought to one mode and orientation: turned as its camera says (EXIF), 16-bit grey scaled to 8 bits and
not cut off, one channel where all are grey, else red, green and blue.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sweep.data.npz import Arrays
from sweep.data.target import Array, brief, note_balance
from sweep.errors import UsageError
from sweep.wording import count, join_words

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""What torchvision's ImageFolder takes for an image."""
PARTS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""What the folders of parts are called."""
GREY = ("1", "L", "I", "I;16", "I;16B", "I;16L", "F")
FEWEST_ROWS = 15
LARGEST = 512
"""Pixels of a side; a small network on a CPU gets no further."""


def read_folder(root: Path, size: str | None, values: bool) -> Arrays:
    """The images of a folder by part (train, and test and val if it has them), uint8 [N, C, H, W]; without `values`
    placeholders of that shape. Raises UsageError, one line, which names an image that cannot be read."""
    side = _side(root, size)
    parts = _parts(root)
    classes = sorted(folder.name for folder in parts["train"].iterdir() if folder.is_dir())
    files = {part: list(_files(folder, classes)) for part, folder in parts.items()}
    labels = {part: np.array([label for _, label in listed], np.int64) for part, listed in files.items()}
    _check(root, parts, classes, labels)
    heads = [(path, *_head(path, path.stat().st_mtime_ns)) for listed in files.values() for path, _ in listed]
    grey, sizes = all(mode in GREY for _, mode, _ in heads), {size for *_, size in heads}
    if side is None and len(sizes) > 1:
        small, large = min(sizes), max(sizes)
        raise UsageError(
            f"{root}: images of {len(sizes)} sizes ({small[0]}x{small[1]} to "
            f"{large[0]}x{large[1]}); expected --image-size N to bring them to one"
        )
    width, height = (side, side) if side else next(iter(sizes))
    if max(width, height) > LARGEST:
        raise UsageError(f"{root}: images of {width}x{height} pixels; expected --image-size N, at most {LARGEST}")
    shape = (1 if grey else 3, height, width)
    notes = [f"classes {', '.join(classes[:5])}{' …' if len(classes) > 5 else ''} in this order"]
    modes = sorted({mode for _, mode, _ in heads})
    if len(modes) > 1 or modes[0] not in ("L", "RGB"):
        notes.append(f"images of mode {join_words(modes)} are read as {'grey' if grey else 'red, green and blue'}")
    if side and sizes != {(side, side)}:
        notes.append(f"images are scaled to {side}x{side}, cropped where they are not square")
    x = {part: _stack(listed, shape, values) for part, listed in files.items()}
    note_balance(labels, len(classes), notes)
    return Arrays(x, labels, shape, len(classes), tuple(notes), tuple(classes))


def read_images(root: Path, shape: tuple[int, ...]) -> tuple[Array, tuple[str, ...] | None, tuple[str, ...], Path]:
    """Images for a network to answer, uint8 [N, *shape], from a folder (its folder of test images, if it has one) or
    one file; the folder in which each lies, if all lie in one; their files; where these are. Raises UsageError."""
    if root.is_dir():
        parts = {folder.name.lower(): folder for folder in root.iterdir() if folder.is_dir()}
        folder = next((parts[name] for name in PARTS["test"] if name in parts), root)
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    else:
        folder, paths = root.parent, [root]
    if not paths:
        raise UsageError(f"{root}: no images; expected files ending in {', '.join(SUFFIXES)}")
    files = [path.relative_to(folder) for path in paths]
    labels = tuple(file.parts[0] for file in files) if all(len(file.parts) > 1 for file in files) else None
    x = _stack([(path, 0) for path in paths], shape, True)
    return x, labels, tuple(file.as_posix() for file in files), folder if root.is_dir() else root


def _side(root: Path, size: str | None) -> int | None:
    if size is None:
        return None
    if not size.isdecimal() or not 4 <= int(size) <= LARGEST:
        raise UsageError(f"{root}: --image-size {size}: expected pixels, 4 to {LARGEST}")
    return int(size)


def _parts(root: Path) -> dict[str, Path]:
    """The folder of each part; the whole folder where it has no folder of training images."""
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder; expected one with a folder of images for each class")
    named = {folder.name.lower(): folder for folder in root.iterdir() if folder.is_dir()}
    parts = {part: named[name] for part, names in PARTS.items() for name in names if name in named}
    if "train" not in parts:
        return {"train": root}
    return {part: parts[part] for part in ("train", "val", "test") if part in parts}


def _files(folder: Path, classes: list[str]) -> Iterator[tuple[Path, int]]:
    """The images of a part with their classes, in the order of their names."""
    for label, name in enumerate(classes):
        for path in sorted((folder / name).rglob("*")) if (folder / name).is_dir() else []:
            if path.suffix.lower() in SUFFIXES and path.is_file():
                yield path, label


def _check(root: Path, parts: dict[str, Path], classes: list[str], labels: dict[str, Array]) -> None:
    if len(classes) < 2:
        raise UsageError(f"{root}: {count(len(classes), 'folder')} of images; expected one for each class, two or more")
    for folder in parts.values():
        strange = sorted({f.name for f in folder.iterdir() if f.is_dir()} - set(classes))
        if strange:
            raise UsageError(f"{folder}: class {strange[0]!r} has no folder in {parts['train']}")
    fewest = np.bincount(labels["train"], minlength=len(classes))
    if not fewest.all():
        empty = classes[int(np.argmin(fewest))]
        raise UsageError(
            f"{parts['train']}: no image of class {empty!r}; expected files ending in {', '.join(SUFFIXES)}"
        )
    if len(labels["train"]) < FEWEST_ROWS:
        raise UsageError(f"{parts['train']}: {count(len(labels['train']), 'image')}; expected at least {FEWEST_ROWS}")
    for part in ("val", "test"):
        if part in labels and not len(labels[part]):
            raise UsageError(f"{parts[part]}: no images; expected some, or no such folder")


@lru_cache(maxsize=200_000)
def _head(path: Path, _time: int) -> tuple[str, tuple[int, int]]:
    """An image's mode and size (width, height), upright, without reading its pixels."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # orientation: lying on its side
            width, height = image.size
            return image.mode, (height, width) if turned else (width, height)
    except Exception as error:  # Pillow raises many kinds for what is no image
        raise UsageError(f"{path}: cannot be read as an image: {brief(error)}") from None


def _stack(files: list[tuple[Path, int]], shape: tuple[int, ...], values: bool) -> Array:
    if not values:
        return np.broadcast_to(np.zeros((), np.uint8), (len(files), *shape))
    out = np.empty((len(files), *shape), np.uint8)
    for row, (path, _) in enumerate(files):
        out[row] = _pixels(path, shape)
    return out


def fit_image(image: Any, shape: tuple[int, ...]) -> Array:
    """An image of Pillow's, upright, of one mode and size: uint8 [C, H, W]."""
    from PIL import Image, ImageOps

    plain = _to_eight_bits(ImageOps.exif_transpose(image)).convert("L" if shape[0] == 1 else "RGB")
    if plain.size != (shape[2], shape[1]):
        plain = ImageOps.fit(plain, (shape[2], shape[1]), Image.Resampling.BILINEAR)
    pixels = np.asarray(plain)
    return pixels[None] if shape[0] == 1 else pixels.transpose(2, 0, 1)


def _pixels(path: Path, shape: tuple[int, ...]) -> Array:
    """An image of a file as uint8 [C, H, W]."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return fit_image(image, shape)
    except Exception as error:
        raise UsageError(f"{path}: cannot be read as an image: {brief(error)}") from None


def _to_eight_bits(image: Any) -> Any:
    """16-bit and floating grey scaled to 0 to 255, where Pillow's own conversion cuts off at 255."""
    from PIL import Image

    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    values = np.asarray(image, np.float64)
    top = 65535.0 if image.mode.startswith("I") else 1.0 if values.max(initial=0.0) <= 1 else 255.0
    return Image.fromarray(np.clip(np.rint(values * 255.0 / top), 0, 255).astype(np.uint8))
