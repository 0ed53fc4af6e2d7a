"""Settings laid out: isolation, heat map, parallel coordinates. Needs pandas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sweep.analysis.pictures.base import (
    BUCKETS,
    CROSS,
    Axis,
    Buckets,
    Picture,
    Window,
    best_first,
    bucket_values,
    choose_names,
    column,
    ground_line,
    is_percent,
    metric_log,
    metric_title,
    metric_window,
    on_selecting_seeds,
    rows_of,
    setting_label,
    settings_of,
    title_metric,
)
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError
from sweep.hyperparameters import show_value
from sweep.wording import count

POINTS = 3000
"""At most so many settings are drawn one by one."""
LINES = 400
"""At most so many settings are drawn as lines of parallel coordinates."""
AXES = 8
"""At most so many hyperparameters stand side by side in parallel coordinates."""


@on_selecting_seeds
def isolation_picture(table: StudyTable, data: str = "", names: Sequence[str] = ()) -> Picture:
    """The metric against one hyperparameter, everything else varying (Godbole et al. 2023, isolation plots). marks: a
    setting each, with number, x, mean, low, high, n, state, bucket, best (whether it is its bucket's best), label.

    more["buckets"]: bucket (its label), x (where its best lies), best, number, settings, diverged.
    """
    settings = settings_of(table)
    (name,) = choose_names(table, settings, names, 1, "isolation")
    buckets = bucket_values(settings[column(name)])
    marks = settings.assign(bucket=[buckets.labels[place] for place in buckets.of], place=buckets.of)
    ranking = best_first(marks, table.sign)
    marks["best"] = marks.index.isin(ranking.drop_duplicates("place").index)
    other = varying(table, (name,))
    spread = buckets.numeric and not settings[column(name)].isna().any()
    marks["x"] = settings[column(name)].astype("float64") if spread else marks["bucket"]
    rows = _bucket_rows(marks, buckets)
    drawn, notes = thin_marks(marks, marks["best"] | (marks["state"] == "diverged"), POINTS, table.sign)
    drawn = drawn.assign(label=[setting_label(row, table.swept) for row in rows_of(drawn)])
    notes += [f"of the rest: {', '.join(other)}"] if other and len(other) <= 6 else []
    words = f"one dot per setting; rings mark the best {'at each value' if buckets.single else 'of each bucket'}"
    log = metric_log(marks["mean"]) and not is_percent(table.metric)
    window = metric_window(table, marks["mean"].where(marks["state"] == "complete"), log)
    notes += window.notes()
    values = [] if not spread else sorted({float(value) for value in settings[column(name)]})
    scale = ", log scale" if buckets.log and spread else ""
    return Picture(
        "isolation",
        f"{title_metric(table)} against {name}",
        words,
        ground_line(table, settings, data),
        Axis(
            "x",
            f"{name}{scale}",
            buckets.log and spread,
            values=() if spread else tuple(buckets.labels),
            ticks=tuple(values) if len(values) <= 8 else (),
        ),
        Axis("mean", metric_title(table), log, is_percent(table.metric), domain=window.domain),
        drawn,
        table.direction,
        tuple(notes),
        {"buckets": rows},
    )


def _bucket_rows(marks: pd.DataFrame, buckets: Buckets) -> pd.DataFrame:
    grouped = marks.groupby("place")
    best = marks[marks["best"]].set_index("place")
    rows = pd.DataFrame(
        {
            "bucket": [buckets.labels[place] for place in sorted(set(marks["place"]))],
            "settings": grouped.size(),
            "diverged": (marks["state"] == "diverged").groupby(marks["place"]).sum(),
        }
    )
    return rows.join(best[["x", "mean", "number"]].rename(columns={"mean": "best"})).reset_index(drop=True)


def thin_marks(marks: pd.DataFrame, always: pd.Series, most: int, sign: float) -> tuple[pd.DataFrame, list[str]]:
    """At most `most` marks: those that must be there as far as they fit, of the rest every so many along the
    ranking.
    """
    if len(marks) <= most:
        return marks, []
    order = marks.assign(always=always, key=sign * marks["mean"]).sort_values(
        ["always", "key"], ascending=[False, True]
    )
    first = order[order["always"]].head(most // 2)
    rest = order.drop(first.index)
    places = np.linspace(0, len(rest) - 1, most - len(first)).round().astype(int)
    kept = pd.concat([first, rest.iloc[np.unique(places)]]).drop(columns=["always", "key"])
    return kept.sort_index(), [f"{len(kept):,} of {len(marks):,} settings are drawn, evenly over the ranking"]


@on_selecting_seeds
def heatmap_picture(table: StudyTable, data: str = "", names: Sequence[str] = ()) -> Picture:
    """Two hyperparameters, a cell for each pair of values: the best setting's mean over seeds. marks: a cell each, with
    x and y (bucket labels), value, number, settings, diverged and pruned (how many settings), best (the best cell of
    all)."""
    settings = settings_of(table)
    across, down = choose_names(table, settings, names, 2, "heatmap")
    most = int(np.clip(np.sqrt(len(settings) / 2), 4, BUCKETS))
    x, y = bucket_values(settings[column(across)], most), bucket_values(settings[column(down)], most)
    frame = settings.assign(xi=x.of, yi=y.of)
    ranking = best_first(frame, table.sign).drop_duplicates(["xi", "yi"])
    cells = frame.groupby(["xi", "yi"])
    marks = pd.DataFrame({"settings": cells.size()})
    for state in ("diverged", "pruned"):
        marks[state] = (frame["state"] == state).groupby([frame["xi"], frame["yi"]]).sum()
    best = ranking.set_index(["xi", "yi"])[["mean", "number"]].rename(columns={"mean": "value"})
    marks = marks.join(best).reset_index()
    marks["best"] = marks["number"].eq(ranking["number"].iloc[0]) if len(ranking) else False
    marks["x"], marks["y"] = [x.labels[i] for i in marks["xi"]], [y.labels[i] for i in marks["yi"]]
    rest = varying(table, (across, down))
    seeds = int(table.trials["seed"].nunique())
    each = f"mean over {seeds} seeds" if seeds > 1 else "one seed"
    words = f"each cell: {each}{f', best of {_list_names(rest)}' if rest else ''}"
    log = metric_log(marks["value"]) and not is_percent(table.metric)
    window = metric_window(table, marks["value"], log)
    hurt = int((marks["diverged"] > 0).sum())
    notes: tuple[str, ...] = (f"{CROSS} marks {count(hurt, 'cell')} where settings diverged",) if hurt else ()
    empty = len(x.labels) * len(y.labels) - len(marks)
    notes += tuple(window.notes("cell"))
    notes += (f"{count(empty, 'cell')} without a trial left blank",) if empty else ()
    return Picture(
        "heatmap",
        f"{title_metric(table)} by {across} and {down}{f', where {table.where}' if table.where else ''}",
        words,
        ground_line(table, settings, data),
        Axis("x", across, values=tuple(x.labels)),
        Axis("y", down, values=tuple(y.labels)),
        marks.drop(columns=["xi", "yi"]),
        table.direction,
        notes,
        {
            "scale": pd.DataFrame(
                {
                    "title": [metric_title(table)],
                    "percent": [is_percent(table.metric)],
                    "log": [log],
                    "low": [window.inner[0]],
                    "high": [window.inner[1]],
                }
            )
        },
    )


def varying(table: StudyTable, but: Sequence[str]) -> list[str]:
    """The swept hyperparameters, less some, that take several values in these trials: a condition may leave one."""
    return [name for name in table.swept if name not in but and table.trials[name].nunique(dropna=False) > 1]


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"the {len(names)} others"


@on_selecting_seeds
def parallel_picture(table: StudyTable, data: str = "", names: Sequence[str] = ()) -> Picture:
    """A line a setting through one axis a hyperparameter and the metric's at the end, a cross where it diverged. marks:
    a setting and axis each, with setting, number, axis (its name), at (0 at the bottom to 1 at the top), value, mean,
    state, rank.

    more["ticks"]: axis, at, label. The metric's axis has the best at the top, diverged settings below its end.
    """
    settings = settings_of(table)
    if not table.swept:
        raise UsageError(f"study {table.name!r}: nothing is swept, so parallel coordinates have no axis")
    wanted = len(names) or min(AXES, len(table.swept))
    axes = choose_names(table, settings, names, max(1, wanted), "parallel")
    axes = list(names) if names else [name for name in table.swept if name in axes]
    order = best_first(settings, table.sign)
    settings["rank"] = pd.Series(range(1, len(order) + 1), index=order.index)
    drawn, notes = thin_marks(settings, settings["rank"] <= 10, LINES, table.sign)
    parts, ticks = [], []
    for name in axes:
        at, labels = _positions(settings[column(name)])
        parts.append(drawn.assign(axis=name, at=at.loc[drawn.index], value=drawn[column(name)].map(show_value)))
        ticks += [{"axis": name, "at": place, "label": label} for place, label in labels]
    last = metric_title(table).split(" (")[0]
    log = metric_log(settings["mean"]) and not is_percent(table.metric)
    window = metric_window(table, settings["mean"].where(settings["state"] == "complete"), log)
    notes += window.notes()
    at, labels = _metric_positions(settings, table, window, log)
    show = drawn["mean"].where(drawn["state"] == "complete").map(lambda value: "" if value != value else f"{value:.4g}")
    parts.append(drawn.assign(axis=last, at=at.loc[drawn.index], value=show))
    ticks += [{"axis": last, "at": place, "label": label} for place, label in labels]
    columns = ["number", "axis", "at", "value", "mean", "state", "rank"]
    marks = pd.concat(parts)[columns].sort_index(kind="stable").reset_index(names="setting")
    hidden = [name for name in table.swept if name not in axes]
    notes += [f"not drawn: {', '.join(hidden)}"] if hidden else []
    return Picture(
        "parallel",
        "Parallel coordinates",
        f"one line per setting, coloured by {metric_title(table)}; the best is at the top of the last axis",
        ground_line(table, settings, data),
        Axis("axis", "", values=(*axes, last)),
        Axis(
            "at",
            metric_title(table),
            log,
            is_percent(table.metric),
            domain=window.inner,
        ),
        marks,
        table.direction,
        tuple(notes),
        {"ticks": pd.DataFrame(ticks)},
    )


def _positions(values: pd.Series) -> tuple[pd.Series, list[tuple[float, str]]]:
    """Where each value lies on its axis, 0 to 1, and what is written there."""
    buckets = bucket_values(values)
    if not buckets.numeric or buckets.single:
        step = 1 / max(1, len(buckets.labels) - 1)
        half = 0.5 if len(buckets.labels) == 1 else 0.0
        return buckets.of * step + half, [(i * step + half, label) for i, label in enumerate(buckets.labels)]
    numbers = values.astype("float64")
    scaled: pd.Series = pd.Series(np.log(numbers)) if buckets.log else numbers
    low, high = float(scaled.min()), float(scaled.max())
    at = (0.1 + 0.9 * (scaled - low) / (high - low)) if numbers.isna().any() else (scaled - low) / (high - low)
    base = 0.1 if numbers.isna().any() else 0.0
    middle = (low + high) / 2
    written = [np.exp(v) if buckets.log else v for v in (low, middle, high)]
    labels = [(base + (1 - base) * share, f"{value:.3g}") for share, value in zip((0, 0.5, 1), written, strict=True)]
    return at.fillna(0.0), [*([(0.0, "–")] if numbers.isna().any() else []), *labels]


def _metric_positions(
    settings: pd.DataFrame, table: StudyTable, window: Window, log: bool
) -> tuple[pd.Series, list[tuple[float, str]]]:
    values = settings["mean"].where(settings["state"] == "complete").astype("float64").clip(*window.inner)
    scaled: pd.Series = pd.Series(np.log(values)) if log else values
    low, high = (float(scaled.min()), float(scaled.max())) if values.notna().any() else (0.0, 1.0)
    share = (scaled - low) / ((high - low) or 1.0)
    at = 0.12 + 0.88 * ((1 - share) if table.sign > 0 else share)
    lost = set(settings.loc[settings["state"] != "complete", "state"])
    worst = (
        f"{CROSS} diverged"
        if lost == {"diverged"}
        else f"not complete{f' ({CROSS} diverged)' if 'diverged' in lost else ''}"
    )
    ends = [(1.0, low if table.sign > 0 else high), (0.12, high if table.sign > 0 else low)]
    show = [(place, _metric_text(np.exp(value) if log else value, table)) for place, value in ends]
    show[1] = (show[1][0], f"{show[1][1]} or worse") if window.beyond else show[1]
    rest = [(0.0, worst)] if (settings["state"] != "complete").any() else []
    return at.fillna(0.0), [*rest, *show]


def _metric_text(value: float, table: StudyTable) -> str:
    return f"{100 * value:.1f}%" if is_percent(table.metric) else f"{value:.3g}"
