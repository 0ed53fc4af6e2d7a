"""Remarks on the ends of the best settings' curves: improving, overfitting, noisy. Needs pandas."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from sweep.analysis.check.reading import Reading, Remark
from sweep.analysis.check.thresholds import (
    CLEAR,
    ENOUGH,
    IMPROVING,
    IMPROVING_POINTS,
    MOST,
    NOISY,
    NOISY_POINTS,
    READ,
    SHORTEST,
    WORSE,
)
from sweep.analysis.statistics import Floats
from sweep.wording import count


def curve_ends(reading: Reading) -> Iterator[Remark]:
    """What the ends of the best settings' curves say."""
    settings = reading.settings[reading.settings["mean"].notna()]
    top = settings.head(max(1, min(READ, math.ceil(len(settings) / 4))))
    numbers = reading.trials.loc[reading.trials["setting"].isin(top["code"]), "number"]
    epochs = reading.epochs
    if epochs.empty:
        return
    curves = [curve for _, curve in epochs[epochs["trial"].isin(numbers)].groupby("trial") if len(curve) >= SHORTEST]
    if not curves:
        return
    of = f"of {count(len(curves), 'trial')} of the best {count(len(top), 'setting')}"
    yield from _improving(reading, curves, of)
    yield from _overfitting(reading, curves, of)
    yield from _noisy(reading, curves, of)


def _choose_metric(reading: Reading) -> tuple[str, float]:
    """The metric whose curve is read, and its sign: 1 where less is better."""
    metric = reading.table.metric.removeprefix("best_")
    return metric, reading.table.sign


def _improving(reading: Reading, curves: list[pd.DataFrame], of: str) -> Iterator[Remark]:
    metric, sign = _choose_metric(reading)
    gains, errors = [], []
    for curve in curves:
        values = curve[metric].to_numpy(float)
        k = max(1, len(values) // 5)
        last, before = float(np.median(values[-k:])), float(np.median(values[-2 * k : -k]))
        size = 1.0 if reading.accuracy else max(abs(last), 1e-12)
        gains.append(sign * (before - last) / size)
        errors.append(_roughness(values[-max(5, 2 * k) :]) * math.sqrt(2 / k) / size)
    n, least = len(gains), IMPROVING_POINTS if reading.accuracy else IMPROVING
    error = float(np.std(gains, ddof=1)) if n >= ENOUGH else float(np.mean(errors))
    clear = float(np.mean(gains)) > CLEAR * error / math.sqrt(n)
    still = float(np.mean(np.array(gains) >= least)) if clear else 0.0
    constant = reading.table.constant.get("epochs")
    steps = reading.table.constant.get("steps")
    if still < MOST or {"max_epochs", "steps"} & {*reading.table.swept}:
        return
    gain, length = float(np.median(gains)), int(constant or max(map(len, curves)))
    text = (
        f"still improving at the last epoch: {100 * still:.3g}% {of}, by "
        f"{reading.show(gain)} over the last fifth of {length} epochs"
    )
    numbers = {"share": still, "gain": gain, "epochs": length}
    longer = {"steps": [2 * steps]} if steps else {"epochs": [2 * length]}
    yield Remark("improving", text, numbers, reading.grow(**longer))


def _overfitting(reading: Reading, curves: list[pd.DataFrame], of: str) -> Iterator[Remark]:
    turned, rises = [], []
    if (
        not {"train_loss", "val_loss"} <= {*curves[0].columns}
        or curves[0][["train_loss", "val_loss"]].isna().all().any()
    ):
        return
    for curve in curves:
        smooth = curve["val_loss"].rolling(3, center=True, min_periods=1).median().to_numpy(float)
        least = int(np.nanargmin(smooth))
        rise = smooth[-1] / max(smooth[least], 1e-12) - 1
        falls = curve["train_loss"].iloc[-1] < curve["train_loss"].iloc[least]
        noise = _roughness(curve["val_loss"].to_numpy(float)[least:]) if len(smooth) - least > 2 else math.inf
        if rise >= max(WORSE, 3 * noise / smooth[least]) and falls and least < len(smooth) - 2:
            turned.append(int(curve["epoch"].iloc[least]))
            rises.append(rise)
    share = len(turned) / len(curves)
    if share < MOST:
        return
    epoch = int(np.median(turned))
    text = (
        f"overfitting: validation loss rises from about epoch {epoch} while training loss falls, {100 * share:.3g}% "
        f"{of}; at the end it is {100 * float(np.median(rises)):.3g}% above its least"
    )
    numbers = {"share": share, "epoch": epoch, "rise": float(np.median(rises))}
    swept = reading.table.swept
    command = (
        ""
        if reading.table.free
        else reading.grow(dropout=[0.0, 0.2, 0.5])
        if "dropout" not in swept
        else f"sweep show {reading.table.name} --metric best_val_loss"
    )
    yield Remark("overfitting", text, numbers, command)


def _noisy(reading: Reading, curves: list[pd.DataFrame], of: str) -> Iterator[Remark]:
    metric, _ = _choose_metric(reading)
    spreads = []
    for curve in curves:
        values = curve[metric].to_numpy(float)[-max(5, len(curve) // 3) :]
        spread = _roughness(values)
        spreads.append(spread if reading.accuracy else spread / max(abs(float(np.median(values))), 1e-12))
    share = float(np.mean(np.array(spreads) >= (NOISY_POINTS if reading.accuracy else NOISY)))
    if share < MOST:
        return
    size = float(np.median(spreads))
    text = (
        f"the last epochs are noisy: {metric} varies by {reading.show(size)} (one standard deviation) from epoch to "
        f"epoch in {100 * share:.3g}% {of}, so the last epoch is partly luck"
    )
    schedules = set(reading.trials["lr_schedule"]) if "lr_schedule" in reading.trials else set()
    command = (
        reading.grow(lr_schedule=["constant", "cosine"]) if schedules == {"constant"} and not reading.table.free else ""
    )
    yield Remark("noisy", text, {"share": share, "spread": size}, command)


def _roughness(values: Floats) -> float:
    """The standard deviation of a curve's noise, from its bends: on a straight line they are 0, of independent noise
    their variance is 6 sd^2 (Gasser, Sroka & Jennen-Steinmetz 1986)."""
    bends = values[2:] - 2 * values[1:-1] + values[:-2]
    return math.sqrt(float((bends**2).mean()) / 6)
