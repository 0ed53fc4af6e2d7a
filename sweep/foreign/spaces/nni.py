"""NNI's search spaces: JSON or YAML of _type and _value, alone or as searchSpace of an experiment's configuration."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.errors import UsageError, unknown
from sweep.foreign.spaces.space import Condition, Knob, Space, SpaceReader, listed, normal, ranged

_SAMPLERS = {"TPE": "tpe", "Random": "random", "GP": "gp", "GridSearch": None, "Anneal": "tpe", "SMAC": "tpe"}


def _is_space(content: Any) -> bool:
    if not isinstance(content, Mapping) or not content:
        return False
    return all(isinstance(table, Mapping) and {"_type", "_value"} <= table.keys() for table in content.values())


def _matches(content: Any) -> bool:
    return _is_space(content) or (isinstance(content, Mapping) and _is_space(content.get("searchSpace")))


def _read(content: Any, path: Path) -> Space:
    alone = _is_space(content)
    config = {} if alone else content
    knobs: list[Knob] = []
    conditions: list[Condition] = []
    _collect(content if alone else content["searchSpace"], "", knobs, conditions, path)
    tuner = config.get("tuner") or {}
    mode = (tuner.get("classArgs") or {}).get("optimize_mode")
    lost = ["NNI's trials ask it for their parameters and report to it: a program that does must be changed"]
    sampler = _SAMPLERS.get(str(tuner.get("name")), "tpe") if tuner else None
    if tuner and tuner.get("name") not in _SAMPLERS:
        lost.append(f"the tuner was {tuner.get('name')}: here tpe")
    return Space(
        "NNI",
        tuple(knobs),
        tuple(conditions),
        direction=mode if mode in ("minimize", "maximize") else None,
        program=tuple(shlex.split(config.get("trialCommand") or "")),
        trials=config.get("maxTrialNumber"),
        sampler=sampler,
        lost=tuple(lost),
    )


def _collect(space: Mapping[str, Any], start: str, knobs: list[Knob], conditions: list[Condition], path: Path) -> None:
    """The hyperparameters of a space, and those of its nested choices, which depend on them."""
    for key, table in space.items():
        name, kind, given = f"{start}{key}", table["_type"], table["_value"]
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise UsageError(f"{path}: {name}: _value = {given!r}: expected a list")
        if kind == "choice" and any(isinstance(item, Mapping) and "_name" in item for item in given):
            knobs.append(listed(name, [item["_name"] if isinstance(item, Mapping) else item for item in given]))
            for item in given:
                inner = {k: v for k, v in item.items() if k != "_name"} if isinstance(item, Mapping) else {}
                before = len(knobs)
                _collect(inner, f"{name}.", knobs, conditions, path)
                new = [knob.name for knob in knobs[before:] if "." not in knob.name.removeprefix(f"{name}.")]
                conditions += [Condition(child, name, (item["_name"],), f"{name} = {item['_name']}") for child in new]
        elif kind not in _KINDS:
            raise unknown("_type", str(kind), _KINDS, f"{path}: {name}: ")
        else:
            knobs.append(_knob(name, kind, given, path))


def _knob(name: str, kind: str, given: Sequence[Any], path: Path) -> Knob:
    try:
        return _KINDS[kind](name, given)
    except (TypeError, IndexError, ValueError):
        raise UsageError(f"{path}: {name}: {kind} of {given!r}: expected numbers, as many as it takes") from None


def _read_stepped(name: str, given: Sequence[Any], log: bool = False) -> Knob:
    """A range whose values are rounded to multiples of q and then put between the ends."""
    low, high, q = given
    lost = [] if abs(low / q - round(low / q)) < 1e-9 else [f"its values were multiples of {q:g} between the ends"]
    return ranged(name, low, high, *lost, log=log, step=q)


_KINDS: dict[str, Callable[[str, Sequence[Any]], Knob]] = {
    "choice": lambda name, given: listed(name, given),
    "randint": lambda name, given: ranged(name, int(given[0]), int(given[1]) - 1),  # the upper end is none of them
    "uniform": lambda name, given: ranged(name, float(given[0]), float(given[1])),
    "quniform": _read_stepped,
    "loguniform": lambda name, given: ranged(name, float(given[0]), float(given[1]), log=True),
    "qloguniform": lambda name, given: _read_stepped(name, given, log=True),
    "normal": lambda name, given: normal(name, float(given[0]), float(given[1])),
    "qnormal": lambda name, given: normal(name, float(given[0]), float(given[1]), step=given[2]),
    "lognormal": lambda name, given: normal(name, float(given[0]), float(given[1]), log=True),
    "qlognormal": lambda name, given: normal(name, float(given[0]), float(given[1]), log=True, step=given[2]),
}

NNI = SpaceReader("NNI", "JSON or YAML of _type and _value", _matches, _read)
