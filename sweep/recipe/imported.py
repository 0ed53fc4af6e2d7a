"""A table of results that were not trained here, as a recipe has it. Needs nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Imported:
    """The columns of a table of results that were not trained here. The ledger keeps the metric in its column val_loss
    and the test metric, if there is one, in test_loss; swept and constant are the table's own hyperparameters."""

    metric: str
    swept: tuple[str, ...]
    constant: tuple[str, ...] = ()
    test: str | None = None

    @property
    def test_name(self) -> str | None:
        """What the test metric is called in tables of trials: so that it is known to be one."""
        return self.test if self.test is None or self.test.startswith("test_") else f"test_{self.test}"
