"""A share of a recipe's trials, for one of several machines: its number and how many there are. Needs nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sweep.errors import UsageError

MOST_SHARDS = 100_000


@dataclass(frozen=True)
class Shard:
    """One of `of` shares."""

    number: int
    """From 1."""
    of: int

    @property
    def text(self) -> str:
        """As flags and the ledger write it."""
        return f"{self.number}/{self.of}"

    @property
    def words(self) -> str:
        """As a sentence says it."""
        return f"shard {self.number} of {self.of}"


def parse_shard(text: str, where: str = "--shard ") -> Shard:
    """The shard of a text such as 3/8. Raises UsageError."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= of <= MOST_SHARDS:
        raise UsageError(f"{where}{text}: expected K/N with K from 1 to N, such as 3/8: the third of eight shares")
    return Shard(number, of)
