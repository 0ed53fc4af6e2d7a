"""Remarks on trials that did not end well: failed, left, diverged. Needs pandas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from sweep.analysis.check.reading import Reading, Remark, counted
from sweep.hyperparameters import show_value


def failed(reading: Reading) -> Iterator[Remark]:
    states, name = reading.table.trials["state"].value_counts(), reading.table.name
    failed = int(states.get("failed", 0))
    left = int(states.get("waiting", 0) + states.get("running", 0))
    if failed:
        text = f"{counted(failed, 'trial')} failed, by accident and not by their setting"
        yield Remark("failed", text, {"failed": failed}, f"sweep resume {name} --retry-failed")
    if left:
        text = f"{counted(left, 'trial')} {'is' if left == 1 else 'are'} not trained to the end yet; what follows is of the others"
        yield Remark("failed", text, {"left": left}, f"sweep resume {name}")


def diverged(reading: Reading) -> Iterator[Remark]:
    trials = reading.trials
    lost, total = trials["value"].isna(), len(trials)
    n = int(lost.sum())
    if not n:
        return
    text = f"{n:,} of {counted(total, 'trial')} diverged ({100 * n / total:.3g}%)"
    numbers: dict[str, Any] = {"diverged": n, "trials": total}
    if "lr" in reading.table.swept:
        rates = _by_rate(trials["lr"].astype(float), lost)
        shown = [f"{100 * share:.3g}% at {label}" for label, share in rates.items() if share > 0]
        none = [label for label, share in rates.items() if share == 0]
        text += f"; by learning rate: {', '.join(shown)}{f'; none at {_some(none)}' if none else ''}"
        numbers["by_lr"] = rates
    kept = "" if reading.table.imported else f"sweep show {reading.table.name} --where state=diverged"
    yield Remark("diverged", text, numbers, kept)


def _by_rate(rates: pd.Series, lost: pd.Series) -> dict[str, float]:
    """The share that diverged at each learning rate, or in each quarter of them if they are many; the largest first."""
    if rates.nunique() <= 12:
        shares = lost.groupby(rates).mean().sort_index(ascending=False)
        return {show_value(float(rate)): float(share) for rate, share in shares.items()}  # type: ignore[arg-type]
    parts = pd.qcut(rates, 4, labels=False, duplicates="drop")
    found = [(rates[parts == part], lost[parts == part]) for part in sorted(set(parts), reverse=True)]
    return {f"{rate.min():.2g} to {rate.max():.2g}": float(share.mean()) for rate, share in found}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[-1]} to {names[0]}"
