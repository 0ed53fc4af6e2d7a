"""Which of several studies in a tool's files is meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sweep.errors import UsageError, unknown
from sweep.wording import count

_LISTED = 30


def choose(
    path: Path, noun: str, names: Sequence[str], name: str | None, hint: str = "", runs: Sequence[int] = ()
) -> str:
    """The one that `--name` gives, or the only one. noun: what the tool calls it; runs: how many each has.

    Raises UsageError, with the list, where there are several and none was given, or none is called so."""
    if name is not None and name not in names:
        raise unknown(noun, name, names, f"{path}: --name: ")
    if name is None and len(names) != 1:
        shown = [f"{each} ({count(n, 'run')})" for each, n in zip(names, runs, strict=True)] if runs else names
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        listed = ", ".join(shown[:_LISTED])
        raise UsageError(f"{path}: holds {count(len(names), noun)}; give --name{hint}, one of {listed}{more}")
    return names[0] if name is None else name
