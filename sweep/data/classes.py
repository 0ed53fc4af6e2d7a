"""How many rows each class of a data set has, and what always guessing one class is worth. Needs numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOSTLY = 0.9
"""The share of one class from which on it is said: an accuracy of that much is had for nothing."""


@dataclass(frozen=True)
class Classes:
    """train, val, test: rows of each class in each part. first: the place in the training part of each class's first
    row, so that a `train_size` tells which classes it leaves out; as many as there are rows where a class has none."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    first: tuple[int, ...]

    def guessing(self) -> tuple[int, float]:
        """The most frequent class of the validation rows, and the accuracy in [0, 1] of always guessing it there."""
        most = int(np.argmax(self.val))
        return most, self.val[most] / sum(self.val)

    def missing(self, train_size: int | None = None) -> list[int]:
        """The classes that no training row has, of the first `train_size` or of all."""
        rows = sum(self.train) if train_size is None else train_size
        return [label for label, first in enumerate(self.first) if first >= rows]

    def missing_text(self, train_size: int | None = None) -> str:
        """A line about the classes that have no training row, of the first `train_size` or of all; empty where all
        have."""
        without = self.missing(train_size)
        if not without:
            return ""
        where = f"with train_size {train_size}, " if not self.missing() else ""
        shown = ", ".join(map(str, without[:5])) + (", …" if len(without) > 5 else "")
        have = "has" if len(without) == 1 else "have"
        return f"{where}{len(without):,} of {len(self.train):,} classes {have} no training row ({shown})"

    def to_dict(self) -> dict[str, Any]:
        """As plain values; `classes_from_dict` reads them back."""
        return asdict(self)

    def unscored_text(self) -> str:
        """A line about the classes that have no validation or no test row; empty where all have."""
        lines = []
        for part, word in ((self.val, "validation"), (self.test, "test")):
            without = [label for label, rows in enumerate(part) if not rows]
            shown = ", ".join(map(str, without[:5])) + (", …" if len(without) > 5 else "")
            have = "has" if len(without) == 1 else "have"
            lines += [f"{len(without):,} of {len(part):,} classes {have} no {word} row ({shown})"] if without else []
        return "; ".join(lines)


def classes_from_dict(values: dict[str, Any]) -> Classes:
    """What `Classes.to_dict` gave. Raises ValueError, TypeError or KeyError for anything else."""
    parts = [tuple(map(int, values[name])) for name in ("train", "val", "test", "first")]
    if len({len(part) for part in parts}) > 1 or not all(map(sum, parts[:3])):
        raise ValueError(f"expected rows of each class in every part, found {values}")
    return Classes(*parts)


def count_classes(train: NDArray[np.int64], val: NDArray[np.int64], test: NDArray[np.int64], classes: int) -> Classes:
    """Counts the labels of each part, 0 to `classes` - 1."""
    first = np.full(classes, len(train))
    labels, places = np.unique(train, return_index=True)
    first[labels] = places
    counts = (np.bincount(labels, minlength=classes) for labels in (train, val, test))
    return Classes(*(tuple(map(int, values)) for values in (*counts, first)))


def mostly_one(train: Sequence[int]) -> str:
    """A line where one class is nearly all of the training rows, given by class; empty where none is."""
    rows, most = sum(train), max(train)
    if most < MOSTLY * rows:
        return ""
    share = f"{100 * most / rows:.3g}% of the training rows are of class {list(train).index(most)}"
    return f"{share}: always guessing it has that accuracy"
