"""Values of a hyperparameter that would look alike, or count as equal, told apart: 1, true and "1"; numbers that are
infinite, which JSON does not have."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from sweep.foreign import Value
from sweep.hyperparameters import show_value


def tell_apart(column: Sequence[Value | None]) -> Sequence[Value | None]:
    """A column of values in which no two that differ are equal or look the same: infinite numbers are texts; truth
    values among numbers, too; a text that looks as another value does has its quotes."""
    kinds = {type(value) for value in column}
    truths = bool in kinds and bool(kinds & {int, float})
    infinite = float in kinds and any(isinstance(value, float) and math.isinf(value) for value in column)
    if not (truths or infinite or (str in kinds and len(kinds) > 1)):
        return column
    others = {_shown(value, truths) for value in column if not isinstance(value, str)}
    return [
        (json.dumps(value) if value in others else value)
        if isinstance(value, str)
        else _shown(value, truths)
        if (truths and isinstance(value, bool)) or (isinstance(value, float) and math.isinf(value))
        else value
        for value in column
    ]


def _shown(value: Value | None, truths: bool) -> str:
    return str(value).lower() if truths and isinstance(value, bool) else show_value(value)
