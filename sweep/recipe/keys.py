"""The plain keys of a recipe, what they may be, and what checks each. Needs hyperparameters, space."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.dataname import TASKS, absolute, is_path
from sweep.errors import UsageError, unknown
from sweep.hyperparameters import TABLE, show_given
from sweep.recipe.axes import read_axis
from sweep.recipe.listed import check_listed
from sweep.space import LOOKS, Grid, Shift

METRICS: dict[str, str] = {
    "val_loss": "minimize",
    "val_accuracy": "maximize",
    "train_loss": "minimize",
    "train_accuracy": "maximize",
    "val_mae": "minimize",
    "val_r2": "maximize",
}
"""The metrics a study may be ranked on, each with its direction. None of them is on test data (promise 6)."""

VALIDATED = ("val_loss", "val_accuracy", "val_mae", "val_r2")
MEASURED = ("train_loss", "train_accuracy", *VALIDATED)
"""What is measured of a trial, in the order of tables, as far as its study has it: classes have accuracies, numbers MAE
and R²."""

OF_CLASSES = ("val_accuracy", "train_accuracy")
OF_NUMBERS = ("val_mae", "val_r2")
"""The metrics that only a study of classes has, and only one whose target is a number (mean absolute error and R²)."""

TESTED = tuple(name.replace("val_", "test_") for name in OF_NUMBERS)
"""What is recorded of such a target beside the loss on the test part, with the last epoch."""


def metrics_of(regression: bool) -> dict[str, str]:
    """The metrics of a study of a target that is a number, or of classes, each with its direction."""
    others = OF_CLASSES if regression else OF_NUMBERS
    return {name: way for name, way in METRICS.items() if name not in others}


VALUE = "value"
"""The one metric of a study of functions: the function where the
path ended. It is made small, unless the recipe says otherwise."""

DIRECTIONS = ("minimize", "maximize")

PRECISIONS = ("float32", "tf32", "bf16")
"""What matrix products are made of: float32; TensorFloat-32, on GPUs that have it; bfloat16 with sums in float32."""

RECIPE_KEYS = (
    "data",
    "data_dir",
    "target",
    "task",
    "image_size",
    "split_seed",
    "split_seeds",
    "precision",
    "look",
    "look_epochs",
    "evaluate_every",
    "shift",
    "seeds",
    "metric",
    "direction",
    "settings",
    "train",
    "command",
    "space",
    "search",
    "claim",
)


def place(file: str, text: str, key: str) -> str:
    """Where a key stands in a file's text, as messages begin with it."""
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[=.\]]""", line.lstrip("[ ")):
            return f"{file}, line {number}: "
    return f"{file}: " if file else ""


def _text(key: str, value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{where}{key} = {show_given(value)}: expected text")
    if key == "data_dir":
        return str(Path(value).expanduser().absolute())  # so that a study resumes from any folder
    return absolute(value) if key == "data" and is_path(value) else value


def _pixels(key: str, value: object, where: str) -> int:
    """The side of an image."""
    pixels = int(value) if isinstance(value, str) and value.strip().isdecimal() and len(value) < 9 else value
    if isinstance(pixels, bool) or not isinstance(pixels, int) or pixels < 1:
        raise UsageError(f"{where}{key} = {show_given(value)}: expected a whole number of pixels, such as 32")
    return pixels


def one_of(choices: Sequence[str]) -> Any:
    """A check that a value is one of these."""

    def check(key: str, value: object, where: str) -> str:
        if key == "metric" and isinstance(value, str) and value.startswith("test_"):
            raise UsageError(
                f"{where}{show_given(value)}: nothing is selected on test data; choose from {', '.join(choices)}"
            )
        if value not in choices and not (key == "metric" and value == VALUE):
            raise unknown(key, str(value)[:60], choices, where)
        return str(value)

    return check


def whole(key: str, value: object, where: str) -> int:
    """The value, which must be a whole number from 0."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise UsageError(f"{where}{key} = {show_given(value)}: expected a whole number >= 0")
    return value


def _splits(key: str, value: object, where: str) -> tuple[int, ...]:
    """The splits' numbers: a count of them, or a list."""
    try:
        return _seeds(key, value, where)
    except UsageError:
        expected = f"expected how many splits, 1 to {MOST_SEEDS}, or a list of their numbers"
        raise UsageError(f"{where}{key} = {show_given(value)}: {expected}") from None


def _looks(key: str, value: object, where: str) -> tuple[str, ...]:
    """What to look at: a list, or one text with commas; "all" is everything."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not parts or not all(isinstance(part, str) for part in parts):
        raise UsageError(f"{where}{key} = {show_given(value)}: expected one or more of {', '.join(LOOKS)}, or all")
    names = [part.strip() for part in parts]
    for name in names:
        if name not in (*LOOKS, "all"):
            raise unknown(key, name[:60], (*LOOKS, "all"), where)
    return LOOKS if "all" in names else tuple(name for name in LOOKS if name in names)


def _look_epochs(key: str, value: object, where: str) -> tuple[int, ...]:
    """Epochs from 1: one, or a list of them."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    epochs: list[Any] = [int(part) if isinstance(part, str) and part.strip().isdecimal() else part for part in parts]
    if not epochs or not all(isinstance(epoch, int) and 1 <= epoch <= 1_000_000 for epoch in epochs):
        raise UsageError(f"{where}{key} = {show_given(value)}: expected epochs, from 1, such as 1,5,10")
    return tuple(sorted(set(epochs)))


def _every(key: str, value: object, where: str) -> int:
    """Training steps; 0 is never."""
    steps = int(value) if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20 else value
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps < 2**31:
        raise UsageError(f"{where}{key} = {show_given(value)}: expected a whole number of training steps, such as 10")
    return steps


_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_SHIFT = re.compile(rf"([+-]?{_NUMBER})?\s*\*?\s*x\s*([+-]\s*{_NUMBER})?", re.IGNORECASE)


def _shifts(key: str, value: object, where: str) -> tuple[Shift, ...]:
    """Further test sets: a table of names with what becomes of a number x, or as a flag has it, NAME=0.5x+6,…"""
    expected = "expected NAME=FORMULA with a formula of x, such as contrast=0.5x,bright=x+6"
    pairs = [part.partition("=")[::2] for part in value.split(",")] if isinstance(value, str) else value
    pairs = list(pairs.items()) if isinstance(pairs, Mapping) else pairs
    if not isinstance(pairs, list) or not pairs:
        raise UsageError(f"{where}{key} = {show_given(value)}: {expected}")
    shifts: dict[str, Shift] = {}
    for given, formula in pairs:
        name = str(given).strip()
        match = _SHIFT.fullmatch(formula.strip()) if isinstance(formula, str) else None
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,39}", name) or match is None or name in (*shifts, "test"):
            raise UsageError(
                f"{where}{key} = {show_given(value)}: {expected}; each name once, of letters and digits, not test"
            )
        offset = (match[2] or "0").replace(" ", "")
        shifts[name] = Shift(name, float(match[1] or 1), float(offset))
    return tuple(shifts.values())


MOST_SEEDS = 100_000


def _seeds(key: str, value: object, where: str) -> tuple[int, ...]:
    if isinstance(value, list | tuple):
        if not value:
            raise UsageError(f"{where}{key} = []: the list is empty; expected a number of seeds, or a list of them")
        axis = read_axis(TABLE["seed"], value, where)
        return Grid((axis,), ()).points["seed"]  # type: ignore[return-value]
    count = whole(key, value, where)
    if not 1 <= count <= MOST_SEEDS:
        raise UsageError(f"{where}{key} = {count}: expected 1 to {MOST_SEEDS} seeds")
    return tuple(range(count))


CHECKS = {
    "settings": check_listed,
    "data": _text,
    "target": _text,
    "task": one_of(TASKS),
    "image_size": _pixels,
    "data_dir": _text,
    "split_seed": whole,
    "split_seeds": _splits,
    "precision": one_of(PRECISIONS),
    "look": _looks,
    "look_epochs": _look_epochs,
    "evaluate_every": _every,
    "shift": _shifts,
    "seeds": _seeds,
    "metric": one_of(tuple(METRICS)),
    "direction": one_of(DIRECTIONS),
}
