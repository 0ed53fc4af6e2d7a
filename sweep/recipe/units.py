"""What a metric is measured in, and which way it is good, told by its name: an accuracy
is a share of 1 unless it is an `InPercent`. Needs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LOSSES = (
    "loss",
    "mse",
    "rmse",
    "mae",
    "error",
    "err",
    "nll",
    "ce",
    "crossentropy",
    "perplexity",
    "ppl",
    "deviance",
    "brier",
)


class InPercent(str):
    """The name of an accuracy whose values are percents (91.5, not .915), as tables from elsewhere have them."""

    __slots__ = ()


def is_accuracy(metric: str) -> bool:
    return metric.endswith("accuracy")


def of_unit(metric: str, values: Iterable[float | None]) -> str:
    """The metric's name, as an `InPercent` if its values show that: an accuracy beyond 1, rounding aside. A share of 1
    is never that large; all of a study's values decide, so that no part of it is read otherwise."""
    if not is_accuracy(metric) or isinstance(metric, InPercent):
        return metric
    large = any(value is not None and value > 1.5 for value in values)  # NaN is not
    return InPercent(metric) if large else metric


def percents(metric: str) -> float | None:
    """What turns a metric's values into percent, and its differences into points; None for what is no accuracy."""
    if not is_accuracy(metric):
        return None
    return 1.0 if isinstance(metric, InPercent) else 100.0


def is_loss(metric: str) -> bool:
    """Whether a metric is a loss by its name: val_loss, valid_mse, error_rate, val/ce, MeanSquaredError.

    >>> is_loss("valid_mse"), is_loss("val_accuracy")
    (True, False)
    """
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", metric)
    return any(word.lower() in _LOSSES for word in words)


def direction_of(metric: str) -> str | None:
    """Which way a metric is good by its name: losses and errors are minimized, accuracies and their kin maximized;
    None where the name does not say."""
    if is_loss(metric):
        return "minimize"
    scores = re.search(r"(^|_)(acc|accuracy|auc|auroc|f1|r2)$", metric, re.IGNORECASE)
    return "maximize" if scores else None
