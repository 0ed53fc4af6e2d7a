"""What is to be predicted: classes, or a number. Which of them a column or an array holds, and how it is read. Needs
numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data.classes import mostly_one
from sweep.errors import UsageError

Array = NDArray[Any]

MOST_CLASSES = 1000
FEW = 50
"""So many different whole numbers, or fewer, are taken for classes."""
FEWEST_PER_CLASS = 5
"""More of them only where they count from 0 or 1 and each has so many rows, on average: others look measured."""


def read_target(
    path: Path, y: dict[str, Array], notes: list[str], task: str | None = None, column: str = ""
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The target of each part, and what its classes are called; no names where it is a number: then float64.

    task: classification or regression, as the user says; without it numbers with fractions are numbers, and so are
    whole ones that are too many for classes. column: of a table, where they stand. What was decided is noted. Raises
    UsageError, one line.
    """
    flat = {part: values.reshape(-1) for part, values in y.items()}
    where = column or "y_train"
    if task == "classification" or (task is None and not looks_measured(flat["train"])):
        labels, names = encode_labels(path, flat, notes, column)
        if column and not task and flat["train"].dtype.kind in "iuf" and len(names) > 2:
            notes.append(f"{column} holds {len(names)} classes; with --task regression it is a number")
        return labels, names
    for part, values in flat.items():
        name = column or f"y_{part}"
        if values.dtype.kind not in "uifb":
            raise UsageError(f"{path}: {name} holds text; expected numbers, or --task classification")
        if not np.isfinite(values.astype(np.float64)).all():
            raise UsageError(f"{path}: {name} holds NaN or infinity; expected finite numbers")
    numbers = {part: values.astype(np.float64) for part, values in flat.items()}
    low, high = float(numbers["train"].min()), float(numbers["train"].max())
    if low == high:
        raise UsageError(f"{path}: {where} is {low:g} in every row; expected numbers that differ")
    if not high - low < 1e18:
        raise UsageError(f"{path}: {where} goes from {low:g} to {high:g}; expected numbers whose squares fit float32")
    whole = np.array_equal(numbers["train"], np.floor(numbers["train"]))
    else_ = "; --task classification would take its values for classes" if whole and not task else ""
    notes.append(number_note(where, low, high, else_))
    return numbers, ()


def number_note(name: str, low: float, high: float, else_: str = "") -> str:
    """That a target is a number."""
    return (
        f"{name} is a number ({low:g} to {high:g}), so this is regression: the loss is the mean squared error, in "
        f"{name}'s own units squared{else_}"
    )


def looks_measured(y: Array) -> bool:
    """Whether numbers look like a quantity: with fractions, or whole but too many for classes (see `FEW`)."""
    if y.dtype.kind not in "uif":
        return False
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        return not np.array_equal(y[np.isfinite(y)], np.floor(y[np.isfinite(y)]))
    known = np.unique(y)
    if not np.array_equal(known, np.floor(known)):
        return True
    many = len(known)
    counts = known[0] in (0, 1) and known[-1] - known[0] == many - 1
    few_rows = many > MOST_CLASSES or len(y) < FEWEST_PER_CLASS * many
    return many > FEW and (few_rows or not counts)


def encode_labels(
    path: Path, flat: dict[str, Array], notes: list[str], column: str = ""
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Labels [N] as classes 0, 1, …, in the order of their values, and what each is called; a note of what they were,
    if that is not what they were. column: of a table, where they stand."""
    name = {part: column or f"y_{part}" for part in flat}
    for part, labels in flat.items():
        if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and np.array_equal(labels, np.floor(labels))):
            raise UsageError(
                f"{path}: {name[part]} holds fractions, NaN or infinity; expected classes: whole numbers, words, or "
                "true and false"
            )
    text = {labels.dtype.kind in "US" for labels in flat.values()}
    if len(text) > 1:
        kinds = ", ".join(f"y_{part} {labels.dtype}" for part, labels in flat.items())
        raise UsageError(f"{path}: labels of different kinds ({kinds}); expected the same in every part")
    known = np.unique(flat["train"])
    if len(known) < 2:
        raise UsageError(f"{path}: {name['train']} holds one class; expected at least two")
    many, rows = len(known), len(flat["train"])
    if many > MOST_CLASSES or (many > FEW and rows < FEWEST_PER_CLASS * many):
        raise UsageError(
            f"{path}: {name['train']} holds {many:,} different values in {rows:,} rows, which looks "
            f"like a measured quantity; expected classes, at most {MOST_CLASSES:,}"
        )
    out = {}
    for part, labels in flat.items():
        strange = labels[~np.isin(labels, known)]
        if len(strange):
            raise UsageError(f"{path}: {name[part]} holds label {_show(strange[0])}, which no row of y_train has")
        out[part] = np.searchsorted(known, labels).astype(np.int64)
    if known.dtype.kind in "US" or known.dtype.kind == "b" or not np.array_equal(known, np.arange(many)):
        shown = ", ".join(_show(label) for label in known[:3]) + (f", … {_show(known[-1])}" if many > 3 else "")
        notes.append(f"labels {shown} are classes 0 to {many - 1}, in this order")
    return out, tuple(map(name_label, known))


def name_label(label: Any) -> str:
    """What a class is called: a text as it is, a number without a needless fraction."""
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def _show(label: Any) -> str:
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return repr(value) if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def note_balance(y: dict[str, Array], classes: int, notes: list[str]) -> None:
    """What would make an accuracy look like more than it is; nothing where there are no classes."""
    if not classes:
        return
    if told := mostly_one(np.bincount(y["train"], minlength=classes).tolist()):
        notes.append(told)
    for part in ("val", "test"):
        if part in y and len(np.unique(y[part])) < 2 <= len(y[part]):
            word = {"val": "validation", "test": "test"}[part]
            notes.append(f"the {word} part holds class {y[part][0]} only: its accuracy says nothing of the others")


def brief(error: BaseException) -> str:
    """An error's text on one line, not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"
