"""Long lists of cases: some of them in every run, all of them with `-m "long or not slow"`, as CI runs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def thin(cases: Iterable[Any], every: int) -> list[Any]:
    """Each so-manieth case as it is, the first of all among them; the others marked long."""
    return [case if place % every == 0 else _long(case) for place, case in enumerate(cases)]


def _long(case: Any) -> Any:
    values, marks = (case.values, case.marks) if hasattr(case, "marks") else ((case,), ())
    if isinstance(case, tuple) and not hasattr(case, "marks"):
        values = case
    return pytest.param(*values, marks=[*marks, pytest.mark.long])
