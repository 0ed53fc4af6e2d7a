"""Values as other tools write them, in texts and nested tables, as a setting or a curve has them. Needs nothing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from sweep.foreign.trials import Value

_WHOLE = re.compile(r"[+-]?\d{1,30}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_TRUTH = {"true": True, "false": False}
_NOTHING = frozenset(["", "none", "null", "nan", "<na>", "n/a"])
_NOT_FINITE = {
    **dict.fromkeys(["nan", "none", "null", "na", "<na>", "n/a", "-nan", "+nan"], math.nan),
    **dict.fromkeys(["inf", "+inf", "infinity", "+infinity"], math.inf),
    **dict.fromkeys(["-inf", "-infinity"], -math.inf),
}


def typed(text: str) -> Value | None:
    """What a hyperparameter's value is that was written as text: a truth (True, false), a number, None where it says
    that there is none, else the text."""
    plain = text.strip()
    if plain.lower() in _NOTHING:
        return None
    if plain.lower() in _TRUTH:
        return _TRUTH[plain.lower()]
    if _WHOLE.fullmatch(plain):
        return int(plain)
    return float(plain) if _NUMBER.fullmatch(plain) else text


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, Value]:
    """A nested table of hyperparameters as one: names joined with dots, lists as their JSON text, what is None or NaN
    left out."""
    out: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            out |= flat(value, f"{above}{name}.")
        elif isinstance(value, list | tuple):
            out[f"{above}{name}"] = json.dumps(value)
        elif value is not None and value == value:
            out[f"{above}{name}"] = value if isinstance(value, bool | int | float) else str(value)
    return out


def measured(value: Any) -> float | None:
    """A metric's number, NaN or infinite in any spelling; None for what is no number."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if isinstance(value, str):
        plain = value.strip().lower()
        return _NOT_FINITE.get(plain, float(plain) if _NUMBER.fullmatch(plain) else None)
    return None
