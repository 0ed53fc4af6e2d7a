"""The Pareto front: trials that no other beats in one objective without losing in another. Needs numpy and pandas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sweep.data import DataInfo
from sweep.hyperparameters import IN_SETTING, canonical
from sweep.ledger import PLANNED_EPOCHS
from sweep.plan import DECIDES_FIT, parameter_count

Objectives = Sequence[tuple[str, str]]
"""Columns, each with minimize or maximize."""


def pareto(frame: pd.DataFrame, objectives: Objectives) -> pd.Series:
    """Whether each row is on the front: complete, with a number in every objective, and dominated by none (another that
    is at least as good in all of them and better in one). Equal rows are on it together."""
    signs = [1.0 if way == "minimize" else -1.0 for _, way in objectives]
    points = frame[[name for name, _ in objectives]].to_numpy(dtype=float, na_value=np.nan) * signs  # [n, objectives]
    candidates = np.isfinite(points).all(axis=1)
    if "state" in frame:
        candidates &= (frame["state"] == "complete").to_numpy()
    on = np.zeros(len(frame), dtype=bool)
    on[candidates] = _find_undominated(points[candidates])
    return pd.Series(on, index=frame.index, name="front")


def _find_undominated(points: np.ndarray) -> np.ndarray:
    """Rows, all to be made small, that no other dominates. In lexicographic order only a row before, and of those only
    one on the front, can dominate."""
    out = np.zeros(len(points), dtype=bool)
    front = np.empty((0, points.shape[1] if len(points) else 0))
    for place in np.lexsort(points.T[::-1]):
        point = points[place]
        beaten = (front <= point).all(axis=1) & (front < point).any(axis=1)
        if not beaten.any():
            out[place] = True
            front = np.vstack([front, point])
    return out


def parameter_column(trials: pd.DataFrame, data: DataInfo, own: Sequence[str] = ()) -> pd.Series:
    """The network's size of each trial, from its setting alone; trials: with one column per hyperparameter. own: names
    of those of a user's own network."""
    listed = list(dict.fromkeys([*(row.name for row in IN_SETTING), *own]))
    names = {name: PLANNED_EPOCHS if name == "epochs" else name for name in listed}
    there = {name: column for name, column in names.items() if column in trials}
    shape = [there[name] for name in dict.fromkeys((*DECIDES_FIT, "bn_position", "bn_affine", *own)) if name in there]
    sizes: dict[tuple[object, ...], int] = {}
    out = []
    rows = trials[list(there.values())]
    for key, values in zip(
        trials[shape].itertuples(index=False, name=None), rows.itertuples(index=False, name=None), strict=True
    ):
        if key not in sizes:
            given = {
                name: value for name, value in zip(there, values, strict=True) if value is not None and value == value
            }
            sizes[key] = parameter_count(canonical(given), data)
        out.append(sizes[key])
    return pd.Series(out, index=trials.index, name="parameters", dtype="int64")


def with_front(
    trials: pd.DataFrame, swept: Sequence[str], objectives: Objectives, data: DataInfo | None, own: Sequence[str] = ()
) -> pd.DataFrame:
    """Trials with a column `front`, and `parameters` where that is an objective (nothing
    in it where the data, which the network's size depends on, are not there). Settings
    with several seeds are on the front by their means, if all seeds are complete."""
    out = trials
    if "parameters" in dict(objectives):
        out = out.assign(parameters=np.nan if data is None else parameter_column(trials, data, own))
    names = [name for name, _ in objectives]
    group = out.groupby(
        [out[name].astype(object).where(out[name].notna(), None) for name in swept], dropna=False
    ).ngroup()
    means = out[names].groupby(group).mean()
    complete = (out["state"] == "complete").groupby(group).all()
    on = pareto(means.assign(state=complete.map({True: "complete", False: "part"})), objectives)
    return out.assign(front=group.map(on).astype(bool))
