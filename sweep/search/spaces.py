"""The space as Optuna sees it: distributions, values inside them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweep.hyperparameters import TABLE, Hyperparameter, Value
from sweep.recipe import Recipe
from sweep.space import Axis, Grid, Range

Space = dict[str, BaseDistribution]

FINITE = 1_000_000
"""Points of one range past which it counts as infinite."""


def distributions(recipe: Recipe) -> Space:
    """Optuna's distribution of every hyperparameter that varies: categorical for a list, or a range with n points."""
    return {axis.name: _distribution(axis) for axis in recipe.axes if axis.swept}


def conditional(recipe: Recipe, row: Hyperparameter) -> bool:
    """Whether a hyperparameter is inactive in some setting of this space, or in all."""
    return any(
        conditional(recipe, recipe.row(name)) or not all(row.allows(name, value) for value in _probes(recipe, name))
        for name in (*row.when, *row.unless)
    )


def _probes(recipe: Recipe, name: str) -> tuple[Value, ...]:
    """The values of a hyperparameter, or the ends of its range."""
    axis = next((axis for axis in recipe.axes if axis.name == name), None)
    if axis is None:
        return (TABLE[name].default,)
    return (axis.values.low, axis.values.high) if isinstance(axis.values, Range) else axis.values


def finite_grid(recipe: Recipe) -> Grid | None:
    """All settings of a space as a grid; None if there is no end of them."""
    axes, idle = [], recipe.idle()
    for axis in recipe.axes:
        if axis.name in idle:
            continue
        distribution = _distribution(axis)
        if isinstance(distribution, IntDistribution):
            values = range(distribution.low, distribution.high + 1, distribution.step)
            if len(values) > FINITE:
                return None
            axes.append(replace(axis, values=tuple(values)))
        elif isinstance(distribution, FloatDistribution):
            assert isinstance(axis.values, Range)
            if distribution.step is None:
                return None
            axes.append(replace(axis, values=axis.values.points(axis.row)))
        else:
            axes.append(axis)
    return Grid(tuple(axes), (0,), own=recipe.trainer is not None)


def _distribution(axis: Axis) -> BaseDistribution:
    values, row = axis.values, axis.row
    if not isinstance(values, Range):
        return CategoricalDistribution(tuple(dict.fromkeys(values)))
    if values.n is not None:
        return CategoricalDistribution(values.points(row))
    if row.kind == "int":
        low, high, step = int(values.low), int(values.high), int(values.step or 1)
        return IntDistribution(low, high - (high - low) % step, values.log, step)
    return FloatDistribution(values.low, values.high, values.log, values.step)


def first_of(distribution: BaseDistribution) -> Value:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]  # type: ignore[return-value]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low


def contains(distribution: BaseDistribution, value: Value) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    if isinstance(value, str):
        return False
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low <= value <= distribution.high and math.isclose(value, own(distribution, value))


def own(distribution: BaseDistribution, value: Any) -> Any:
    """A value as Optuna computes it: 0.1 + 2 x 0.1 is 0.30000000000000004 there, and 0.3 in a setting."""
    if isinstance(distribution, CategoricalDistribution) or isinstance(value, str):
        return value
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if distribution.step is None:
        return value
    return distribution.low + round((value - distribution.low) / distribution.step) * distribution.step


def words_of(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(json.dumps(choice) for choice in distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    step = f" in steps of {distribution.step}" if distribution.step not in (None, 1) else ""
    return f"{distribution.low} to {distribution.high}{step}"


def round_value(distribution: BaseDistribution, value: Value) -> Value:
    """A value as a setting has it, of one that Optuna computed: 0.3, not 0.30000000000000004."""
    stepped = isinstance(distribution, FloatDistribution) and distribution.step is not None
    return float(f"{value:.12g}") if stepped else value
