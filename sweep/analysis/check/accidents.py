"""Remarks on trials that did not end well: failed, left, diverged. Needs pandas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from sweep.analysis.check.reading import Reading, Remark, counted, is_number
from sweep.hyperparameters import TABLE, show_value


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


def all_diverged(reading: Reading) -> Iterator[Remark]:
    """Where nothing else finished: at which learning rates, and lower ones to try."""
    trials = reading.trials
    if trials.empty:
        return
    some = "the only trial" if len(trials) == 1 else f"all {len(trials):,} trials that finished"
    numbers: dict[str, Any] = {"diverged": len(trials), "trials": len(trials)}
    text = f"{some} diverged"
    if "epochs" in trials and trials["epochs"].notna().any():
        numbers["epoch"] = int(trials["epochs"].max())
        text += f", in epoch {numbers['epoch']}{'' if trials['epochs'].nunique() == 1 else ' at the latest'}"
    rates = _rates(reading)
    if rates:
        where = f"from {show_value(rates[0])} to {show_value(rates[-1])}" if len(rates) > 1 else show_value(rates[0])
        lower = _lower(rates[0])
        text += f"; lr was {where}: try lower, {' and '.join(map(show_value, lower))}"
        numbers |= {"lr": [rates[0], rates[-1]], "try": lower}
        yield Remark("diverged", text, numbers, reading.widen("lr", lower))
    else:
        yield Remark("diverged", text, numbers, "")


def _rates(reading: Reading) -> list[float]:
    """The learning rates that were tried, from the smallest; none where an imported study has no column of numbers `lr`."""
    if "lr" in reading.trials:
        return sorted({float(rate) for rate in reading.trials["lr"] if is_number(rate)})
    rate = reading.table.constant.get("lr")
    return [float(rate)] if rate is not None and is_number(rate) else []


def _lower(rate: float) -> list[float]:
    """Two learning rates below one at which all diverged: the default and a tenth of it, or if those are not far below,
    a tenth and a hundredth."""
    default = float(TABLE["lr"].default)
    first = default if default <= rate / 10 else float(f"{rate / 10:.3g}")
    return [first, float(f"{first / 10:.3g}")]


def all_pruned(reading: Reading) -> Iterator[Remark]:
    """Where nothing finished, and some trials were stopped before they could."""
    pruned = int((reading.table.trials["state"] == "pruned").sum())
    if pruned:
        text = f"{counted(pruned, 'trial')} {'was' if pruned == 1 else 'were'} pruned and none is complete, so nothing can be compared"
        yield Remark("pruned", text, {"pruned": pruned}, "")


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
