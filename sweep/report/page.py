"""The HTML report."""
from __future__ import annotations
from collections.abc import Callable
from functools import lru_cache
from typing import Any


def parameter_counter(data: str) -> Callable[[dict[str, Any]], int] | None:
    """What counts a setting's parameters; None where the data set's shape is not known here."""
    from sweep.data import describe
    from sweep.errors import SweepError
    from sweep.hyperparameters import PROGRAM, canonical
    from sweep.plan import parameter_count

    try:
        info = describe(data)
    except SweepError:
        return None

    @lru_cache(maxsize=None)
    def counted(program: tuple[tuple[str, Any], ...]) -> int:
        return parameter_count(canonical(dict(program)), info)

    return lambda setting: counted(tuple((name, value) for name, value in setting.items() if name in PROGRAM))
