"""Effect and importance as pictures, from the analyses of those names. Needs pandas."""

from __future__ import annotations

from typing import Any

from sweep.analysis.pictures.base import Picture
from sweep.errors import SweepError


def effect_picture(*args: Any) -> Picture:
    raise SweepError("not there yet")


def importance_picture(*args: Any) -> Picture:
    raise SweepError("not there yet")
