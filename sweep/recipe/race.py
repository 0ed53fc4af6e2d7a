"""What makes a recipe a race: settings that are trained with further seeds as long as they may be the best. Needs no
other module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

OLDEST_RULE, NEWEST_RULE = 1, 2
"""The rule of races that were begun before rules had numbers, and that of a race that begins now."""


@dataclass(frozen=True)
class Race:
    """How a race decides; with the recipe's seeds and metric, all that it goes by."""

    margin: float | None = None
    """Which difference does not matter: it ends when those left are shown to differ by less."""
    drawn: str = ""
    """Who drew the settings, in words, where they are not a grid and not listed by hand."""
    rule: int = NEWEST_RULE
    """By which of the rules it judges: that of its beginning, whatever is newest later."""

    def as_begun(self, before: Race | None) -> Race:
        """This race, judged as one that is there began to judge."""
        return self if before is None else replace(self, rule=before.rule)

    def to_dict(self) -> dict[str, Any]:
        """It as plain values; `read_race` reads it back."""
        rule = {} if self.rule == OLDEST_RULE else {"rule": self.rule}
        return self.asked() | rule

    def asked(self) -> dict[str, Any]:
        """What of it a user asks for, as plain values: all but the rule."""
        margin = {} if self.margin is None else {"margin": self.margin}
        return margin | ({"drawn": self.drawn} if self.drawn else {})


def read_race(kept: Mapping[str, Any] | None) -> Race | None:
    """The race that `Race.to_dict` wrote."""
    return None if kept is None else Race(**{"rule": OLDEST_RULE, **kept})
