"""Results that were not trained here, a table's or another tool's, as a recipe has them. Needs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Imported:
    """What is known of results that were not trained here."""

    metric: str
    """Its name in the table; the ledger keeps it in its column val_loss."""
    swept: tuple[str, ...]
    """The table's own hyperparameters that vary."""
    constant: tuple[str, ...] = ()
    """Those that do not."""
    test: str | None = None
    """The test metric, if there is one; the ledger keeps it in test_loss."""
    tool: str | None = None
    """The tool that they were trained with, and its version; None of a plain table."""
    value: str | None = None
    """Which value of a trial's curve is its metric: `last`, or `best`, which was chosen on itself; None where there are
    no curves, or the tool kept a value beside them."""
    curves: bool = False
    """Whether trials have curves."""
    notes: tuple[str, ...] = ()
    """What was decided in reading, one line each."""

    @property
    def test_name(self) -> str | None:
        """What the test metric is called in tables of trials: so that it is known to be one."""
        return self.test if self.test is None or self.test.startswith("test_") else f"test_{self.test}"

    def to_dict(self) -> dict[str, Any]:
        """As plain values; `imported_from_dict` reads them back."""
        later = {"tool": None, "value": None, "curves": False, "notes": ()}
        return {name: value for name, value in vars(self).items() if name not in later or value != later[name]}


def imported_from_dict(read: Mapping[str, Any]) -> Imported:
    """What `Imported.to_dict` wrote, by an older sweep too."""
    return Imported(
        read["metric"],
        tuple(read["swept"]),
        tuple(read["constant"]),
        read["test"],
        read.get("tool"),
        read.get("value"),
        bool(read.get("curves")),
        tuple(read.get("notes", ())),
    )
