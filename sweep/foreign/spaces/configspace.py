"""ConfigSpace 1.x spaces as JSON or YAML: hyperparameters, conditions, forbidden combinations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sweep.errors import UsageError, unknown
from sweep.foreign.spaces.space import Condition, Knob, Space, SpaceReader, in_words, listed, normal, ranged


def _matches(content: Any) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get("hyperparameters"), list) and "conditions" in content


def _read(content: Any, path: Path) -> Space:
    knobs = tuple(_knob(item, path) for item in content["hyperparameters"])
    lost = [f"forbidden: {_clause(item)}" for item in content.get("forbiddens") or []]
    conditions = tuple(made for item in content["conditions"] for made in _conditions(item, knobs, path))
    return Space("ConfigSpace", knobs, conditions, lost=tuple(lost))


def _knob(item: Mapping[str, Any], path: Path) -> Knob:
    kind = str(item.get("type"))
    if kind not in _KINDS:
        raise unknown("type", kind, _KINDS, f"{path}: {item.get('name')}: ")
    try:
        return _KINDS[kind](item)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: {item.get('name')}: {kind} without {error.args[0]}") from None


def _categorical(item: Mapping[str, Any]) -> Knob:
    lost = ["its choices had weights"] if item.get("weights") else []
    return listed(item["name"], item["choices"], *lost)


def _whole(item: Mapping[str, Any]) -> Knob:
    return ranged(item["name"], int(item["lower"]), int(item["upper"]), log=bool(item.get("log")))


def _number(item: Mapping[str, Any]) -> Knob:
    return ranged(item["name"], float(item["lower"]), float(item["upper"]), log=bool(item.get("log")))


def _normal(item: Mapping[str, Any]) -> Knob:
    """A normal one has ends since ConfigSpace 1.0."""
    whole = item["type"].endswith("int")
    if item.get("lower") is None or item.get("upper") is None:
        return normal(item["name"], item["mu"], item["sigma"], log=bool(item.get("log")))
    lost = f"was normal with mean {item['mu']:g} and standard deviation {item['sigma']:g} between its ends"
    ends = (item["lower"], item["upper"])
    low, high = map(int, ends) if whole else map(float, ends)
    return ranged(item["name"], low, high, lost, log=bool(item.get("log")))


def _beta(item: Mapping[str, Any]) -> Knob:
    lost = f"had a beta distribution of alpha = {item['alpha']:g} and beta = {item['beta']:g}"
    kind = int if item["type"].endswith("int") else float
    return ranged(item["name"], kind(item["lower"]), kind(item["upper"]), lost, log=bool(item.get("log")))


_KINDS: dict[str, Callable[[Mapping[str, Any]], Knob]] = {
    "categorical": _categorical,
    "ordinal": lambda item: listed(item["name"], item["sequence"]),
    "constant": lambda item: listed(item["name"], [item["value"]]),
    "uniform_int": _whole,
    "uniform_float": _number,
    "normal_int": _normal,
    "normal_float": _normal,
    "beta_int": _beta,
    "beta_float": _beta,
}


def _conditions(item: Mapping[str, Any], knobs: tuple[Knob, ...], path: Path) -> Iterator[Condition]:
    """One condition, or the parts of several that must all hold; of several of which one must, their words alone."""
    kind = str(item.get("type"))
    if kind == "AND":
        for part in item["conditions"]:
            yield from _conditions(part, knobs, path)
        return
    if kind == "OR":
        parts = [made for part in item["conditions"] for made in _conditions(part, knobs, path)]
        same = len({part.parent for part in parts}) == 1 and all(part.values for part in parts)
        values = tuple(dict.fromkeys(value for part in parts for value in part.values)) if same else ()
        yield Condition(item["child"], parts[0].parent, values, " or ".join(part.text for part in parts))
        return
    if kind not in _SIGNS:
        raise unknown("condition", kind, [*_SIGNS, "AND", "OR"], f"{path}: {item.get('child')}: ")
    parent = next((knob for knob in knobs if knob.name == item["parent"]), None)
    given = item["values"] if kind == "IN" else [item["value"]]
    shown = ", ".join(map(in_words, given))
    kept = tuple(value for value in (parent.values if parent else ()) if _MEETS[kind](value, given))
    yield Condition(item["child"], item["parent"], kept, f"{item['parent']} {_SIGNS[kind]} {shown}")


_SIGNS = {"EQ": "=", "NEQ": "other than", "IN": "one of", "LT": "<", "GT": ">"}
_MEETS: dict[str, Callable[[Any, list[Any]], bool]] = {
    "EQ": lambda value, given: value == given[0],
    "NEQ": lambda value, given: value != given[0],
    "IN": lambda value, given: value in given,
    "LT": lambda value, given: value < given[0],
    "GT": lambda value, given: value > given[0],
}


def _clause(item: Mapping[str, Any]) -> str:
    """A forbidden combination in words."""
    if "clauses" in item:
        return " and ".join(map(_clause, item["clauses"]))
    if "left" in item:
        sign = {"LT": "<", "GT": ">", "EQ": "="}.get(str(item.get("lambda", item.get("type", ""))).split("_")[-1], "?")
        return f"{item['left']} {sign} {item['right']}"
    return f"{item.get('name')} = {' or '.join(map(in_words, item.get('values', [item.get('value')])))}"


CONFIGSPACE = SpaceReader("ConfigSpace", "JSON or YAML with hyperparameters and conditions", _matches, _read)
