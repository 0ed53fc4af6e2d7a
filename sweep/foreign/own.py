"""What sweep's own exports write beside a tool's own: the metric, its direction, what was swept, how trials ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from sweep.foreign.texts import curve, number
from sweep.foreign.trials import Curve, ForeignStudy, ForeignTrial, State

KEY = "sweep"
"""The name under which it stands in a configuration."""


def with_told(trial: ForeignTrial, told: object) -> ForeignTrial:
    """A trial as sweep knew it, where it wrote it; else as it is."""
    if not isinstance(told, Mapping):
        return trial
    state: State = told["state"] if told.get("state") in get_args(State) else trial.state
    value = number(told.get("value"))
    values = {**trial.values, str(told.get("metric")): value} if value is not None else trial.values
    return replace(trial, state=state, reason=told.get("reason"), values=values)


def own_study(tool: str, trials: Sequence[ForeignTrial], told: object, **more: Any) -> ForeignStudy:
    """A study with the metric, the direction and what was swept, where sweep wrote them."""
    if not isinstance(told, Mapping) or told.get("direction") not in ("minimize", "maximize"):
        return ForeignStudy(tool, trials, **more)
    swept = told.get("swept")
    known = {"metric": told.get("metric"), "direction": told["direction"], "states_kept": True}
    return ForeignStudy(tool, trials, swept=swept if isinstance(swept, list) else None, **{**more, **known})


def curves_of(points: Mapping[str, Mapping[int, float]]) -> dict[str, Curve]:
    """Curves, each in the order of its steps."""
    return {name: curve(values) for name, values in points.items()}
