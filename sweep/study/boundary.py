"""What a trial's network answers over the plane of a data set of two columns; the trial is trained again for it. Needs
engine, but not before it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.data import load
from sweep.errors import UsageError
from sweep.ledger import Ledger, Study
from sweep.space import Trial
from sweep.study.moving import fingerprint_of
from sweep.study.opening import check_trains

COLUMNS = 400
"""Points across and down at which the network is asked."""

MARGIN = 0.08
"""Of the rows' range, beyond it on every side."""


@dataclass(frozen=True)
class Plane:
    """A network's answers over the plane, and the rows that it was trained and validated on."""

    trial: int
    seed: int
    x: NDArray[np.float64]
    """Where it was asked, across, in the data's own units, [W]."""
    y: NDArray[np.float64]
    """The same upwards, [H]."""
    answers: NDArray[np.int64]
    """The class at each of these, [H, W]."""
    rows: NDArray[np.float64]
    """Training rows, then validation rows, [N, 2]."""
    labels: NDArray[np.int64]
    """Of each row, [N]; of training rows, as it was trained with them."""
    right: NDArray[np.bool_]
    """Whether the network answers them so, [N]."""
    trained: int
    """How many of the rows are training rows."""
    val_accuracy: float
    same: bool
    """Whether the last val_loss is the recorded one, to the bit."""


def answer_plane(ledger: Ledger, study: Study, number: int) -> Plane:
    """Trains a trial again, alone in this process, and asks its network over the plane. Raises UsageError for data that
    are not of two columns, or not those of the study, and for a trial that has no network."""
    check_trains(study)
    row, setting = ledger.trial(study, number)
    if row["state"] not in ("complete", "pruned") or not row["epochs"]:
        raise UsageError(f"study {study.name!r}: trial {number} is {row['state']}; expected one that is complete")
    recipe = study.recipe
    if recipe.trainer:
        raise UsageError(f"study {study.name!r} is trained by its own code; expected a study of sweep's networks")
    if recipe.of_function:
        raise UsageError(
            f"study {study.name!r} is of functions, which answer no class; `sweep plot {study.name} surface` draws them"
        )
    if recipe.regression:
        raise UsageError(f"study {study.name!r} predicts a number, which has no areas of classes to draw")
    source = load(recipe.data, recipe.data_dir, recipe.split_seed)
    if source.info.shape != (2,):
        shape = " x ".join(map(str, source.info.shape))
        raise UsageError(
            f"rows of {recipe.data} are {shape} numbers; expected two, which have a plane: moons, circles, spirals, "
            "gaussians, or an .npz of rows [N, 2]"
        )
    if study.data not in (None, fingerprint_of(recipe, source)):
        raise UsageError(f"study {study.name!r} was trained on other data than {recipe.data} holds now")
    source = source.resplit(recipe.split_of(row["seed"]))
    size = setting["train_size"]
    used = len(source.train[1]) if isinstance(size, str) else int(size)
    rows = np.concatenate([source.train[0][:used], source.val[0]]).astype(np.float64)
    low, high = rows.min(0), rows.max(0)
    margin = MARGIN * np.where(high > low, high - low, 1.0)
    x, y = (np.linspace(low[place] - margin[place], high[place] + margin[place], COLUMNS) for place in (0, 1))
    asked = np.concatenate([np.stack(np.meshgrid(x, y), -1).reshape(-1, 2), rows])
    form = str(setting["normalize"]), size if isinstance(size, str) else int(size)
    parts = replace(source, tests={"asked": (asked, np.zeros(len(asked), np.int64))}, shifts=()).split(*form)

    from sweep.engine import train_alone

    until = row["epochs"] if row["state"] == "pruned" else None
    split = replace(parts, tests={})
    program, records = train_alone(Trial(number, setting, row["seed"]), split, recipe.precision, until)
    answers: NDArray[Any] = program.predict(parts.tests["asked"].x)[0].numpy()
    trained: NDArray[Any] = program.training_labels()[0].numpy()
    labels = np.concatenate([trained, source.val[1].astype(np.int64)])
    return Plane(
        trial=number,
        seed=row["seed"],
        x=x,
        y=y,
        answers=answers[: COLUMNS**2].reshape(COLUMNS, COLUMNS),
        rows=rows,
        labels=labels,
        right=answers[COLUMNS**2 :] == labels,
        trained=used,
        val_accuracy=records[-1].val_accuracy,
        same=records[-1].val_loss == row["val_loss"],
    )
