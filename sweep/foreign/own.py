"""What sweep's own exports write beside a tool's own: the metric, its direction, what was swept, how trials ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from sweep.foreign.texts import curve, number
from sweep.foreign.trials import Curve, ForeignStudy, ForeignTrial, State

KEY = "sweep"
"""The name under which it stands in a configuration."""


def with_facts(trial: ForeignTrial, facts: object) -> ForeignTrial:
    """A trial as sweep knew it, where it wrote it; else as it is."""
    if not isinstance(facts, Mapping):
        return trial
    state: State = facts["state"] if facts.get("state") in get_args(State) else trial.state
    value = number(facts.get("value"))
    values = {**trial.values, str(facts.get("metric")): value} if value is not None else trial.values
    return replace(trial, state=state, reason=facts.get("reason"), values=values)


def own_study(tool: str, trials: Sequence[ForeignTrial], facts: object, **more: Any) -> ForeignStudy:
    """A study with the metric, the direction and what was swept, where sweep wrote them."""
    if not isinstance(facts, Mapping) or facts.get("direction") not in ("minimize", "maximize"):
        return ForeignStudy(tool, trials, **more)
    swept = facts.get("swept")
    known = {"metric": facts.get("metric"), "direction": facts["direction"], "states_kept": True}
    return ForeignStudy(tool, trials, swept=swept if isinstance(swept, list) else None, **{**more, **known})


def curves_of(points: Mapping[str, Mapping[int, float]]) -> dict[str, Curve]:
    """Curves, each in the order of its steps."""
    return {name: curve(values) for name, values in points.items()}
