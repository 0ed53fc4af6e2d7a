"""Remarks on trials that did not end well: failed, left, diverged. Needs pandas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.cells import label_of, plain_value
from sweep.analysis.check.reading import Reading, Remark, is_number
from sweep.analysis.check.thresholds import BLAME, PERMUTATIONS
from sweep.hyperparameters import TABLE, show_value
from sweep.wording import count


def failed(reading: Reading) -> Iterator[Remark]:
    states, name = reading.table.trials["state"].value_counts(), reading.table.name
    failed = int(states.get("failed", 0))
    left = int(states.get("waiting", 0) + states.get("running", 0))
    if failed:
        they = "it counts" if failed == 1 else "they count"
        text = f"{count(failed, 'trial')} failed: an accident is no result, so {they} for nothing"
        retry = "" if reading.table.imported else f"sweep resume {name} --retry-failed"
        yield Remark("failed", text, {"failed": failed}, retry)
    if left:
        text = f"{count(left, 'trial')} {'is' if left == 1 else 'are'} not trained to the end yet"
        text += f" ({running})" if (running := reading.table.left_running) else ""
        command = "" if running and reading.table.owner else f"sweep resume {name}"
        yield Remark("failed", f"{text}; what follows is of the others", {"left": left}, command)


def diverged(reading: Reading) -> Iterator[Remark]:
    trials = reading.trials
    lost, total = trials["value"].isna(), len(trials)
    n = int(lost.sum())
    if not n:
        return
    text = f"{n:,} of {count(total, 'trial')} diverged ({100 * n / total:.3g}%)"
    numbers: dict[str, Any] = {"diverged": n, "trials": total}
    causes = _causes(reading, lost)
    if causes:
        name, shares = causes[0]
        shown = [f"{100 * share:.3g}% at {label}" for label, share in shares.items() if share > 0]
        none = [label for label, share in shares.items() if share == 0]
        text += f"; {label_of(name)} explains it best: {', '.join(shown)}{f'; none at {_some(none)}' if none else ''}"
        text += f" (also {' and '.join(label_of(other) for other, _ in causes[1:])})" if len(causes) > 1 else ""
        numbers["by"] = {label_of(other): levels for other, levels in causes}
    elif separated := _find_separation(reading, lost):
        name, level = separated
        text += f": all that have {label_of(name)} {level} and no other, though so few settings cannot rule out chance"
        numbers["separated"] = {label_of(name): level}
    elif most := _most_at(reading, lost):
        text += f"; most at {most}, though so few settings cannot rule out chance"
    kept = "" if reading.table.imported else f"sweep show {reading.table.name} --where state=diverged"
    yield Remark("diverged", text, numbers, kept)


def _most_at(reading: Reading, lost: pd.Series) -> str:
    """The value whose trials diverged most, beside the others:
    batch_norm off (12 of 36, else 0 of 36); empty for none."""
    candidates = []
    for name in reading.table.swept:
        column = reading.trials[name] if name in reading.trials else pd.Series(dtype=object)
        for level in column.dropna().unique() if column.nunique() <= 12 else []:
            side = (column == level).to_numpy(bool)
            a, n, b, m = int(lost[side].sum()), int(side.sum()), int(lost[~side].sum()), int((~side).sum())
            if n and m and a / n > b / m:
                words = f"{label_of(name)} {show_value(plain_value(level))} ({a:,} of {n:,}, else {b:,} of {m:,})"
                candidates.append((a / n - b / m, words))
    return max(candidates)[1] if candidates else ""


def all_diverged(reading: Reading) -> Iterator[Remark]:
    """Where nothing else finished: at which learning rates, and lower ones to try."""
    trials = reading.trials
    if trials.empty:
        return
    some = "the only trial" if len(trials) == 1 else f"all {len(trials):,} trials that finished"
    numbers: dict[str, Any] = {"diverged": len(trials), "trials": len(trials)}
    text = f"{some} diverged"
    if "epochs" in trials and trials["epochs"].notna().any() and reading.table.ends is None:
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
    """The learning rates that were tried, from the smallest; none
    where an imported study has no column of numbers `lr`."""
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
        text = (
            f"{count(pruned, 'trial')} {'was' if pruned == 1 else 'were'} "
            "pruned and none is complete, so nothing can be compared"
        )
        yield Remark("pruned", text, {"pruned": pruned}, "")


def _causes(reading: Reading, lost: pd.Series) -> list[tuple[str, dict[str, float]]]:
    """The hyperparameters that tell about divergence, the one that tells most first, each with its levels' shares.

    Settings' shares of diverged trials are permuted over the settings (a setting's seeds are not independent); p is
    corrected for the number of hyperparameters (Bonferroni). Which tells most: the adjusted share of the variance.
    """
    names = [name for name in reading.table.swept if name in reading.trials]
    shares = lost.groupby(reading.trials["setting"]).mean()
    firsts = reading.trials.drop_duplicates("setting").set_index("setting").loc[shares.index]
    y = shares.to_numpy(float) - float(shares.mean())
    total = float((y**2).sum())
    if total == 0:
        return []
    rng = np.random.default_rng(0)
    shuffled = np.vstack([y, rng.permuted(np.tile(y, (PERMUTATIONS, 1)), axis=1)])
    causes = []
    for name in names:
        labels = _levels(firsts[name])
        codes, levels = pd.factorize(labels)
        k, n = len(levels), len(y)
        if not 1 < k < n:
            continue
        member = np.eye(k)[codes]
        between = ((shuffled @ member) ** 2 / member.sum(axis=0)).sum(axis=1)
        p = float((between >= between[0] - 1e-9).mean())
        if p * len(names) <= BLAME:
            tells = 1 - (1 - between[0] / total) * (n - 1) / (n - k)
            by = lost.groupby(_levels(reading.trials[name])).mean().sort_values(ascending=False, kind="stable")
            causes.append((tells, name, {str(level): float(share) for level, share in by.items()}))
    return [(name, by) for _, name, by in sorted(causes, key=lambda cause: -cause[0])]


def _find_separation(reading: Reading, lost: pd.Series) -> tuple[str, str] | None:
    """A hyperparameter and its level, of two settings or more, at which every trial diverged and nowhere else."""
    for name in (name for name in reading.table.swept if name in reading.trials):
        levels = _levels(reading.trials[name])
        at = levels[lost].unique()
        if len(at) == 1 and lost[levels == at[0]].all() and reading.trials.loc[lost, "setting"].nunique() > 1:
            return name, str(at[0])
    return None


def _levels(column: pd.Series) -> pd.Series:
    """Each value in words, or the quarter it lies in where there are more than 12 numbers."""
    if column.nunique() <= 12 or not all(map(is_number, column)):
        return column.map(lambda value: show_value(plain_value(value)))
    parts = pd.qcut(column.astype(float), 4, labels=False, duplicates="drop")
    ends = column.astype(float).groupby(parts).agg(["min", "max"])
    return parts.map(
        {part: f"{low:.2g} to {high:.2g}" for part, (low, high) in zip(ends.index, ends.to_numpy(), strict=True)}
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{len(names)} others"
