"""What makes a recipe a race: settings that are trained with further seeds as long as they may be the best. Needs no
other module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Race:
    """How a race decides; with the recipe's seeds and metric, all that it goes by."""

    margin: float | None = None
    """Which difference does not matter: it ends when those left are shown to differ by less."""
    drawn: str = ""
    """Who drew the settings, in words, where they are not a grid and not listed by hand."""

    def to_dict(self) -> dict[str, Any]:
        """It as plain values; `read_race` reads it back."""
        margin = {} if self.margin is None else {"margin": self.margin}
        return margin | ({"drawn": self.drawn} if self.drawn else {})


def read_race(kept: Mapping[str, Any] | None) -> Race | None:
    """The race that `Race.to_dict` wrote."""
    return None if kept is None else Race(**kept)
