"""What a recipe is where its model is a function: no data, one metric,
steps instead of epochs. Needs hyperparameters, the plain keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sweep.errors import UsageError, unknown
from sweep.formulas import FUNCTION_DATA
from sweep.hyperparameters import TABLE, show_value
from sweep.recipe.keys import METRICS, VALUE
from sweep.space import Axis, Range

_OF_DATA: dict[str, Any] = {
    "data": FUNCTION_DATA,
    "data_dir": None,
    "split_seed": 0,
    "split_seeds": (0,),
    "precision": "float32",
}
"""Keys that mean nothing without data, each with the value that it may have all the same."""

_OF_NETWORKS = ("look", "look_epochs", "evaluate_every", "shift")
"""Keys that mean nothing without a network."""


def fit_functions(axes: Sequence[Axis], plain: dict[str, Any]) -> tuple[list[Axis], dict[str, Any]]:
    """A recipe's axes and plain keys, those of a function made whole: naming a function is enough to mean one.

    Raises UsageError for what functions do not have, and for networks beside them.
    """
    by_name = {axis.name: axis for axis in axes}
    out = list(axes)
    if "function" in by_name and "model" not in by_name:
        out.insert(0, Axis("model", ("function",)))
    models = next((axis.values for axis in out if axis.name == "model"), (TABLE["model"].default,))
    assert not isinstance(models, Range)
    if "function" not in models:
        _check_networks(plain)
        return out, plain
    if len(set(models)) > 1:
        named = ", ".join(map(str, models))
        raise UsageError(f"model = {named}: a function has no data to learn; expected model = function alone")
    values = by_name["function"].values if "function" in by_name else ()
    assert not isinstance(values, Range)
    if len(set(values)) > 1:
        named = ", ".join(map(str, values))
        raise UsageError(f"function = {named}: their values cannot be ranked together; expected one function a study")
    for key, usual in _OF_DATA.items():
        if plain.get(key, usual) != usual:
            raise UsageError(f"{key} = {plain[key]}: a function has no data and is float64 always; leave {key} out")
    for key in _OF_NETWORKS:
        if plain.get(key):
            raise UsageError(f"{key}: is for networks; of a function, `sweep function` tells slope and curvature")
    if "epochs" in by_name:
        raise UsageError("epochs: a function has no epochs; expected steps, of which it makes 100 by default")
    if plain.get("metric", VALUE) != VALUE:
        raise UsageError(f"metric = {plain['metric']}: a function has its value alone; expected metric = {VALUE}")
    if "steps" not in by_name:
        out.append(Axis("steps", (TABLE["steps"].default_for({"model": "function"}),)))
    kept = {key: value for key, value in plain.items() if key not in ("precision", "split_seeds")}
    return out, kept | {"data": FUNCTION_DATA, "metric": VALUE}


def _check_networks(plain: dict[str, Any]) -> None:
    if plain.get("data") == FUNCTION_DATA:
        given = show_value(TABLE["model"].default)
        raise UsageError(f"data = {FUNCTION_DATA}: model = {given} learns data; expected a data set, or a function")
    if plain.get("metric") == VALUE:
        raise unknown("metric", VALUE, METRICS)
