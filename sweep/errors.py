"""The errors a user may meet; each says what was given, what was expected and where. Needs nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SweepError(Exception):
    """Something went wrong while working; the command ends with exit code 1."""

    exit_code = 1


class UsageError(SweepError):
    """What the user gave cannot be used as it stands; the command ends with exit code 2."""

    exit_code = 2


class DataError(UsageError):
    """The data set cannot be read, so nothing can be trained."""


class Interrupted(SweepError):
    """The user stopped the run; everything that finished is recorded."""

    exit_code = 130


def unknown(kind: str, given: str, choices: Iterable[str], where: str = "") -> UsageError:
    """The error for a name that does not exist: lists the valid ones, and says which is a near miss."""
    names = list(choices)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}" if names else "there is none yet"
    return UsageError(f"{where}unknown {kind} {given!r}: {hint}")
