"""A table of results that were not trained here, as a recipe has it. Needs nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Imported:
    """The columns of a table of results that were not trained here."""

    metric: str
    """Its name in the table; the ledger keeps it in its column val_loss."""
    swept: tuple[str, ...]
    """The table's own hyperparameters that vary."""
    constant: tuple[str, ...] = ()
    """Those that do not."""
    test: str | None = None
    """The test metric, if there is one; the ledger keeps it in test_loss."""

    @property
    def test_name(self) -> str | None:
        """What the test metric is called in tables of trials: so that it is known to be one."""
        return self.test if self.test is None or self.test.startswith("test_") else f"test_{self.test}"
