"""Paths down a function: over its curve or its contours, and where every start ends. Needs pandas; the functions' room
(which needs torch) computes curve and paths when one is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.pictures.base import (
    Axis,
    Picture,
    best_first,
    column,
    ground_line,
    setting_ids,
    setting_label,
    settings_of,
    show_short,
)
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError
from sweep.formulas import FORMULAS, Box, box_of, check_start, formula_text, short_name, start_point
from sweep.hyperparameters import Setting
from sweep.wording import count

PARTS, ACROSS = 400, 96
"""Points along a curve; cells along each side of a plane."""
MOST_STEPS = 400
"""Points of a path that are drawn: of longer ones every second step, or every third, …"""
CLUSTERS = 5
"""Ends that have a name of their own, the most frequent."""
NEAR = 0.02
"""Ends so near, as a share of the box, are one."""

_Find = Callable[[int], tuple[Setting, int]]
"""The setting and seed of a trial, by its number."""


def surface_picture(table: StudyTable, find: _Find, top: int) -> Picture:
    """A function of one number as a curve, of two as a plane with contours, and paths on it: of the best settings, one
    trial each, of diverged ones too if few settings were tried.

    Marks: path (from 1), label, step, x, y (of a curve the value), state, first, last. more["ground"]: x, y of the
    curve; or x, x2, y, y2, value and share (0 at the lowest to 1) of each cell, with more["lines"]: line, x, y.
    """
    _check_functions(table)
    settings = settings_of(table)
    setting = _find_function(table, find)
    dimension = check_start(str(setting["function"]), str(setting["start"]))
    if dimension > 2:
        raise UsageError(
            f"surface draws functions of one or two numbers; {short_name(str(setting['function']))} has more"
        )
    rows, which = _choose_trials(table, settings, top)
    marks = _paths([find(number) for number in rows["number"]])
    for name in ("label", "state"):
        marks[name] = [rows[name].iloc[path - 1] for path in marks["path"]]
    marks["last"] &= marks["state"] != "diverged"
    box = _box(setting, dimension, marks)
    more = _curve(setting, box) if dimension == 1 else _plane(setting, box)
    axes = _axes(box, dimension, more["ground"])
    left = [path for path, part in marks.groupby("path") if not _inside(part, box).all()]
    notes = [f"{count(len(left), 'path')} {'leaves' if len(left) == 1 else 'leave'} what is drawn"] if left else []
    return Picture(
        kind="surface",
        title=f"Paths down {formula_text(str(setting['function']))}{_numbers_text(setting)}",
        subtitle=f"{which}, from the ring to the dot",
        ground=ground_line(table, settings, ""),
        x=axes[0],
        y=axes[1],
        marks=marks,
        direction=table.direction,
        notes=tuple(notes),
        more=more,
    )


def _check_functions(table: StudyTable) -> None:
    if table.ends is None:
        raise UsageError(f"study {table.name!r} is of no function; surface and basins draw studies of functions")


def _find_function(table: StudyTable, find: _Find) -> Setting:
    """A setting of the function that is drawn. Raises UsageError where there are several."""
    fixed = ("function", "c", "q1", "q2", "q12")
    several = [name for name in fixed if name in table.trials and table.trials[name].nunique(dropna=False) > 1]
    if several:
        value = table.trials[several[0]].dropna().iloc[0]
        raise UsageError(
            f"the study has several functions ({', '.join(several)} varies); expected one: "
            f"--where '{several[0]}={show_short(value)}'"
        )
    return find(int(table.trials["number"].iloc[0]))[0]


def _choose_trials(table: StudyTable, settings: pd.DataFrame, top: int) -> tuple[pd.DataFrame, str]:
    """The trials whose paths are drawn, number, label and state, and which they are: each setting's first; of one
    setting alone, those of a few seeds."""
    names = [name for name in table.swept if name != "function"]
    if len(settings) == 1:
        trials = table.trials[table.trials["state"].isin(["complete", "diverged"])].head(max(top, 5))
        labels = [f"seed {seed}" for seed in trials["seed"]]
        return trials[["number", "state"]].assign(label=labels), f"{count(len(trials), 'path')} of the one setting"
    few = len(settings) <= max(top, 5)
    rows = settings.sort_values("number") if few else best_first(settings, table.sign).head(top)
    told = "a path of every setting" if few else f"a path of each of the {len(rows)} best settings of {len(settings):,}"
    return rows.assign(label=[setting_label(row, names) for _, row in rows.iterrows()]), told


def _paths(trials: Sequence[tuple[Setting, int]]) -> pd.DataFrame:
    """The points of some trials' paths, trained again: the same to the bit."""
    from sweep.functions.paths import track

    frames = []
    for path, (setting, seed) in enumerate(trials, 1):
        steps, points, values = track(setting, seed, MOST_STEPS)
        other = values if points.shape[1] == 1 else points[:, 1]
        frame = pd.DataFrame({"path": path, "step": steps, "x": points[:, 0], "y": other, "value": values})
        frame = frame[(frame[["x", "y"]].abs() < 1e12).all(axis=1)]  # nor NaN
        frame["first"], frame["last"] = frame.index == frame.index.min(), frame.index == frame.index.max()
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _box(setting: Setting, dimension: int, marks: pd.DataFrame) -> Box:
    """What is drawn: the function's box and where paths go, but no more than half as much again on each side."""
    limits = []
    for place, (low, high) in enumerate(box_of(str(setting["function"]), dimension, float(setting.get("c", 1.0)))):
        numbers = marks["x" if place == 0 else "y"].to_numpy()
        room = (high - low) / 2
        starts = marks.loc[marks["step"] == 0, "x" if place == 0 else "y"]
        low = min(low, max(float(numbers.min()), low - room), float(starts.min()))
        high = max(high, min(float(numbers.max()), high + room), float(starts.max()))
        limits.append((low, high))
    return tuple(limits)


def _inside(part: pd.DataFrame, box: Box) -> pd.Series:
    """Which points of a path are in the box."""
    inside = part["x"].between(*box[0])
    return inside if len(box) == 1 else inside & part["y"].between(*box[1])


def _formula(setting: Setting, dimension: int) -> Any:
    from sweep.functions.looking import Formula

    return Formula(str(setting["function"]), dimension, setting)


def _curve(setting: Setting, box: Box) -> dict[str, pd.DataFrame]:
    x = np.linspace(*box[0], PARTS)
    y = _formula(setting, 1).values(x[:, None])
    return {"ground": pd.DataFrame({"x": x, "y": y})[np.isfinite(y)]}


def _plane(setting: Setting, box: Box) -> dict[str, pd.DataFrame]:
    (left, right), (bottom, top) = box
    across, up = np.linspace(left, right, ACROSS + 1), np.linspace(bottom, top, ACROSS + 1)
    middle = [(edges[:-1] + edges[1:]) / 2 for edges in (across, up)]
    grid = np.stack(np.meshgrid(*middle), -1)  # rows go up
    values = _formula(setting, 2).values(grid.reshape(-1, 2)).reshape(ACROSS, ACROSS)
    share = _shares(values)
    x, y = np.meshgrid(across[:-1], up[:-1])
    ground = pd.DataFrame(
        {
            "x": x.ravel(),
            "x2": (x + (right - left) / ACROSS).ravel(),
            "y": y.ravel(),
            "y2": (y + (top - bottom) / ACROSS).ravel(),
            "value": values.ravel(),
            "share": share.ravel(),
        }
    )
    return {"ground": ground[np.isfinite(ground["value"])], "lines": _contours(middle[0], middle[1], share)}


def _shares(values: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Heights from 0 at the lowest to 1: in the logarithm above the lowest, so that valleys show beside mountains."""
    finite = values[np.isfinite(values)]
    above = values - finite.min()
    unit_ = float(np.quantile(finite - finite.min(), 0.1)) or float((finite - finite.min()).max()) / 100 or 1.0
    scaled = np.log1p(above / unit_)
    return np.asarray(scaled / (np.nanmax(scaled[np.isfinite(scaled)]) or 1.0))


LEVELS = 11
"""Contours of a plane."""


def _contours(x: Any, y: Any, share: Any) -> pd.DataFrame:
    """Pieces of the lines of equal height: marching squares (Lorensen & Cline 1987, in the plane), each cell cut into
    two triangles, which leaves no case in doubt."""
    pieces = []
    a, b, c, d = share[:-1, :-1], share[:-1, 1:], share[1:, 1:], share[1:, :-1]
    left, right = np.meshgrid(x[:-1], y[:-1]), np.meshgrid(x[1:], y[1:])
    corners = {"a": (left[0], left[1], a), "b": (right[0], left[1], b), "c": (right[0], right[1], c),
               "d": (left[0], right[1], d)}  # fmt: skip
    for level in np.arange(1, LEVELS + 1) / (LEVELS + 1):
        for triangle in ("abc", "acd"):
            pieces.append(_cut([corners[corner] for corner in triangle], float(level)))
    frame = np.concatenate(pieces)
    return pd.DataFrame(frame, columns=["x", "y", "x2", "y2"])


def _cut(corners: Sequence[Any], level: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Where a level crosses triangles: [N, 4], from and to."""
    ends: list[Any] = []
    for corner, other in ((0, 1), (1, 2), (2, 0)):
        (x0, y0, v0), (x1, y1, v1) = corners[corner], corners[other]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (level - v0) / (v1 - v0)
        crosses = (v0 < level) != (v1 < level)
        part = np.where(crosses, part, np.nan)
        ends.append(np.stack([x0 + part * (x1 - x0), y0 + part * (y1 - y0)], -1).reshape(-1, 2))
    three = np.stack(ends, 1)
    known = ~np.isnan(three[:, :, 0])
    whole = three[known.sum(1) == 2]
    segments: np.ndarray[Any, np.dtype[np.float64]] = whole[known[known.sum(1) == 2]].reshape(-1, 4)
    return segments


def _axes(box: Box, dimension: int, ground: pd.DataFrame) -> tuple[Axis, Axis]:
    if dimension == 2:
        return Axis("x", "x1", domain=box[0]), Axis("y", "x2", domain=box[1])
    low, high = float(ground["y"].min()), float(ground["y"].max())
    pad = 0.05 * ((high - low) or 1.0)
    return Axis("x", "x", domain=box[0]), Axis("y", "value", domain=(low - pad, high + pad))


def _numbers_text(setting: Setting) -> str:
    """The numbers of a formula that has some."""
    formula = FORMULAS.get(str(setting["function"]))
    names = formula.parameters if formula else ()
    told = ", ".join(f"{name} = {show_short(setting[name])}" for name in names)
    return f" with {told}" if told else ""


def basins_picture(table: StudyTable, find: _Find) -> Picture:
    """Where every start of one setting ends: a mark at each start, of the colour of the place where its path ended.

    Marks: number, x, y (of one number where it ended), end (a name, or empty where it is another), state.
    """
    _check_functions(table)
    settings = settings_of(table)
    setting = _find_function(table, find)
    name = str(setting["function"])
    dimension = check_start(name, str(setting["start"]))
    if dimension > 2:
        raise UsageError(f"basins draws functions of one or two numbers; {short_name(name)} has more")
    trials, label = _of_one_setting(table, settings)
    starts = np.array(
        [
            start_point(name, str(row["start"]), int(row["seed"]), float(setting.get("c", 1.0)), dimension)
            for row in trials.to_dict("records")
        ]
    )
    ends = trials[list(table.ends or ())].to_numpy("float64").reshape(len(trials), -1)
    box = box_of(name, dimension, float(setting.get("c", 1.0)))
    marks = pd.DataFrame({"number": trials["number"].to_numpy(), "x": starts[:, 0]})
    marks["y"] = starts[:, 1] if dimension == 2 else ends[:, 0] if ends.size else math.nan
    marks["state"] = trials["state"].to_numpy()
    marks["value"] = trials[table.metric].to_numpy("float64")
    marks["end"] = _name_ends(ends, marks, box)
    lost = int((marks["state"] != "complete").sum())
    domains = [_domain(marks[name], *ends) for name, ends in zip("xy", box, strict=False)]
    titles = ("start x1", "start x2") if dimension == 2 else ("start", "where it ends")
    return Picture(
        kind="basins",
        title=f"Where paths down {formula_text(name)}{_numbers_text(setting)} end",
        subtitle=f"each mark a start{f', {label}' if label else ''}; its colour says where the path ended",
        ground=ground_line(table, settings, ""),
        x=Axis("x", titles[0], domain=domains[0]),
        y=Axis("y", titles[1], domain=domains[1] if dimension == 2 else None),
        marks=marks,
        direction=table.direction,
        notes=(f"× marks {count(lost, 'start')} whose path left every bound",) if lost else (),
    )


def _domain(starts: pd.Series, low: float, high: float) -> tuple[float, float]:
    """The box, or as far as starts go, and a little more."""
    low, high = min(low, float(starts.min())), max(high, float(starts.max()))
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def _of_one_setting(table: StudyTable, settings: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The trials of one setting, starts aside, the best; and which that is."""
    names = [name for name in table.swept if name not in ("start", "function")]
    finished = table.trials[table.trials["state"].isin(["complete", "diverged"])]
    if not names:
        return finished, ""
    best = best_first(settings, table.sign)
    row = (best if len(best) else settings).iloc[0]
    same = pd.Series(True, index=finished.index)
    for name in names:
        wanted = row[column(name)]
        same &= finished[name].isna() if wanted is None or wanted != wanted else finished[name] == wanted
    told = setting_label(row, names)
    assert len(setting_ids(finished[same], names)) > 0
    return finished[same], f"{told} (the best; --where chooses another)"


def _name_ends(ends: Any, marks: pd.DataFrame, box: Box) -> list[str]:
    """The name of the place where each path ended: of the most frequent ones, the point and its value."""
    size = max(high - low for low, high in box)
    left = {place for place in range(len(marks)) if marks["state"].iloc[place] == "complete"}
    names = [""] * len(marks)
    order = sorted(left, key=lambda place: marks["value"].iloc[place])
    groups: list[list[int]] = []
    for place in order:  # the lowest first, and with it all that ended near
        if place not in left:
            continue
        near = [other for other in left if float(np.abs(ends[other] - ends[place]).max()) <= NEAR * size]
        left -= set(near)
        groups.append(near)
        if len(groups) > 50:
            break
    groups.sort(key=len, reverse=True)
    for near in groups[:CLUSTERS]:
        lowest = min(near, key=lambda place: marks["value"].iloc[place])
        point = ", ".join(f"{number + 0.0:.4g}" for number in ends[lowest].round(6))
        told = f"({point})" if ends.shape[1] > 1 else point
        share = f"{len(near):,} of {len(marks):,}"
        for place in near:
            names[place] = f"{told}, value {marks['value'].iloc[lowest]:.4g}: {share}"
    return names
