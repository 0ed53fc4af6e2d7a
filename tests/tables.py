"""Tables of trials made by the tests: a study without training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis import StudyTable
from tests.conftest import SHARED

PROTEIN = SHARED / "hpo-tables" / "fcnet-protein.csv.gz"


def grid(
    axes: Mapping[str, Sequence[Any]],
    value: Callable[[dict[str, Any], int], float],
    seeds: int = 1,
    metric: str = "val_loss",
    constant: Mapping[str, Any] | None = None,
) -> StudyTable:
    """A whole grid; value(setting, seed) is the metric, NaN where it diverged."""
    rows = []
    for combination in itertools.product(*axes.values()):
        setting = dict(zip(axes, combination, strict=True))
        for seed in range(seeds):
            rows.append(setting | {"seed": seed, metric: value(setting, seed)})
    return table(pd.DataFrame(rows), list(axes), metric, constant or {})


def table(
    frame: pd.DataFrame, swept: list[str], metric: str = "val_loss", constant: Mapping[str, Any] = {}
) -> StudyTable:
    """A frame of settings, seeds and a metric as a study."""
    frame = frame.astype(dict.fromkeys(swept, object)).reset_index(drop=True)
    if "state" not in frame:
        frame["state"] = np.where(frame[metric].notna(), "complete", "diverged")
    frame["number"], frame["epochs"] = range(len(frame)), 10
    frame["setting"] = frame.groupby(swept, sort=False, dropna=False).ngroup() if swept else 0
    direction = "maximize" if metric.endswith("accuracy") else "minimize"
    return StudyTable("made", frame, metric, direction, swept, dict(constant))


def protein() -> StudyTable:
    """The published grid of 62,208 settings x 4 seeds."""
    frame = pd.read_csv(PROTEIN)
    return table(frame, [name for name in frame if name not in ("seed", "valid_mse")], "valid_mse")
