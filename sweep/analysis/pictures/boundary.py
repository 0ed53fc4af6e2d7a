"""The decision boundary of a trial's network over data of two columns. Needs numpy, pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sweep.analysis.pictures.base import Axis, Picture, show_short
from sweep.analysis.table import StudyTable

if TYPE_CHECKING:
    from sweep.study.boundary import Plane


def boundary_picture(table: StudyTable, data: str, plane: Plane) -> Picture:
    """Marks: one row per data row: x, y, label (class 0, …), part ("training" or "validation"), right (whether the
    network says so). more: `regions`, rectangles of one answer each: x, x2, y, y2, label."""
    trial = table.trials[table.trials["number"] == plane.trial].iloc[0]
    setting = ", ".join(f"{name} {show_short(trial[name])}" for name in table.swept if trial[name] is not None)
    part = np.where(np.arange(len(plane.labels)) < plane.trained, "training", "validation")
    marks = pd.DataFrame(
        {
            "x": plane.rows[:, 0],
            "y": plane.rows[:, 1],
            "label": [f"class {label}" for label in plane.labels],
            "part": part,
            "right": plane.right,
        }
    )
    wrong = int((~plane.right[plane.trained :]).sum())
    rows = len(plane.labels) - plane.trained
    notes = (
        []
        if plane.same
        else [
            "trained again here its val_loss is not the recorded one to the bit: another machine or device trained it"
        ]
    )
    return Picture(
        "boundary",
        f"What trial {plane.trial} answers",
        f"areas: the class it answers; dots: rows by their class, the {rows:,} validation rows ringed; "
        f"×: {wrong:,} of these are wrong",
        " · ".join([*dict.fromkeys([table.name, data]), setting or "one setting", f"seed {plane.seed}"]),
        Axis("x", "first column", domain=(float(plane.x[0]), float(plane.x[-1]))),
        Axis("y", "second column", domain=(float(plane.y[0]), float(plane.y[-1]))),
        marks,
        notes=tuple(notes),
        more={"regions": _regions(plane)},
    )


def _regions(plane: Plane) -> pd.DataFrame:
    """The answers as rectangles, each as wide as they are the same."""
    across, up = ((side[1] - side[0]) / 2 for side in (plane.x, plane.y))
    rows: list[tuple[Any, ...]] = []
    for y, answers in zip(plane.y, plane.answers, strict=True):
        ends = [*np.flatnonzero(np.diff(answers)), len(answers) - 1]
        start = 0
        for end in ends:
            box = plane.x[start] - across, plane.x[end] + across, y - up, y + up
            rows.append((*map(float, box), f"class {answers[start]}"))
            start = end + 1
    return pd.DataFrame(rows, columns=["x", "x2", "y", "y2", "label"])
