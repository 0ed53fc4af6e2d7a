"""Values that mean the same training are trained once: near-equal
numbers, sizes that are the whole part. Needs space."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sweep.errors import UsageError
from sweep.hyperparameters import Value, show_value
from sweep.recipe.identity import Recipe
from sweep.space import Axis, Range

if TYPE_CHECKING:
    from sweep.data import DataInfo

SAME = 1e-9
"""Numbers that differ by less than this share are one: 0.3
and 0.30000000000000004. Imported tables are read so, too."""


def merge_equal(recipe: Recipe, data: DataInfo) -> Recipe:
    """The recipe with one of each group of values that train the same, and a note for each that was left out.

    Raises UsageError where splits vary and the data's cannot.
    """
    if recipe.splits and not data.splits:
        raise UsageError(f"split_seeds: {data.name} has validation rows of its own, so there is one split only")
    if twice := [shift.name for shift in recipe.watch.shifts if shift.name in data.tests]:
        raise UsageError(f"shift: {data.name} has a test set {twice[0]} of its own; expected another name")
    if recipe.settings or recipe.imported or recipe.trainer:
        return recipe
    notes: list[str] = []
    axes = tuple(_merge_numbers(axis, notes) for axis in recipe.axes)
    sizes = () if recipe.of_function else _values(axes, "train_size") or ("all",)
    axes = tuple(_merge_whole(axis, data.train, "all", notes) if axis.name == "train_size" else axis for axis in axes)
    if len(sizes) == 1:
        rows = data.train if isinstance(sizes[0], str) else int(sizes[0])
        axes = tuple(_merge_whole(axis, rows, "full", notes) if axis.name == "batch_size" else axis for axis in axes)
        notes += _larger_batches(axes, rows)
    return replace(recipe, axes=axes, notes=tuple(notes)) if notes else recipe


def _larger_batches(axes: tuple[Axis, ...], rows: int) -> list[str]:
    """A note of minibatches that are larger than the training part."""
    sizes = [size for size in _values(axes, "batch_size") if not isinstance(size, str) and size > rows]
    given = ", ".join(map(show_value, sizes))
    return [f"batch_size {given}: there are {rows:,} training rows, so each step takes all of them"] if sizes else []


def _values(axes: tuple[Axis, ...], name: str) -> tuple[Value, ...]:
    axis = next((axis for axis in axes if axis.name == name), None)
    return () if axis is None or isinstance(axis.values, Range) else axis.values


def _merge_numbers(axis: Axis, notes: list[str]) -> Axis:
    if isinstance(axis.values, Range):
        return axis
    kept: list[Value] = []
    for value in axis.values:
        twin = next((other for other in kept if value != other and _near(value, other)), None)
        if twin is None:
            kept.append(value)
            continue
        shortest = min(value, twin, key=lambda number: len(repr(number)))
        kept[kept.index(twin)] = shortest
        notes.append(f"{axis.name} {value!r} and {twin!r} are one value to nine digits: trained once, as {shortest!r}")
    return axis if len(kept) == len(axis.values) else replace(axis, values=tuple(kept))


def _near(a: Value, b: Value) -> bool:
    if not (isinstance(a, float) and isinstance(b, float)):
        return False
    return abs(a - b) <= SAME * max(abs(a), abs(b))


def _merge_whole(axis: Axis, rows: int, word: str, notes: list[str]) -> Axis:
    """Values of a size from the whole part on, and the word for it, are one."""
    if isinstance(axis.values, Range):
        return axis
    whole = [v for v in dict.fromkeys(axis.values) if v == word or (isinstance(v, int | float) and v >= rows)]
    if len(whole) < 2:
        return axis
    kept = word if word in whole else whole[0]
    sizes = " and ".join(show_value(value) for value in whole)
    notes.append(
        f"{axis.name} {sizes} are the same here, all {rows:,} training rows: trained once, as {show_value(kept)}"
    )
    return replace(axis, values=tuple(v for v in axis.values if v not in whole or v == kept))
