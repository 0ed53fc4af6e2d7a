"""The errors a user may meet; each says what was given, what was expected and where. Needs synonyms."""

from __future__ import annotations

from collections.abc import Iterable

from sweep.synonyms import meant


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
    """The error for a name that does not exist: says which was meant, if one can tell, else lists the valid ones."""
    names = list(choices)
    near = " or ".join(map(repr, meant(given, names)))
    hint = f"did you mean {near}?" if near else f"choose from {', '.join(names)}" if names else "there is none yet"
    return UsageError(f"{where}unknown {kind} {given!r}: {hint}")
