"""Effect and importance as pictures, from the analyses of those names. Needs pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.effects import Effect, effects
from sweep.analysis.importance import Importance, importance
from sweep.analysis.pictures.base import (
    Axis,
    Picture,
    better,
    ground_line,
    is_percent,
    metric_title,
    on_selecting_seeds,
    rows_of,
    settings_of,
    show_short,
)
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError
from sweep.hyperparameters import show_value
from sweep.recipe import InPercent
from sweep.wording import count

DOTS = 400
"""At most so many cells of a comparison are drawn; its mean and interval are of all."""
ROWS = 16
"""At most so many comparisons are drawn, unless they are asked for by name."""
_BINS = 48


@on_selecting_seeds
def effect_picture(
    table: StudyTable, data: str = "", names: Sequence[str] = (), known: Sequence[Effect] = ()
) -> Picture:
    """Paired cells: a dot each, at the difference that a level makes against the reference. marks: row (number of the
    comparison), x (difference), lift (-1 to 1, so that no dot covers another), setting, level_mean, reference_mean,
    seeds.

    more["lost"]: row, left, right: cells in which one side diverged for more seeds, so that the difference has no
    end that way.
    more["means"]: row, label, said, mean, low, high, n, improved, verdict. Without names, every comparable one.

    known: the effects of the names, where they have been asked for already.
    """
    effects, notes = (list(known), []) if known else _find_effects(table, names)
    settings = settings_of(table)
    marks: list[pd.DataFrame] = []
    means: list[dict[str, Any]] = []
    lost: list[dict[str, int]] = []
    for effect in effects:
        alone = [comparison.level for comparison in effect.comparisons if not comparison.pairs]
        if alone or not effect.comparisons:
            levels = len(alone) + sum(1 for comparison in effect.comparisons if comparison.pairs)
            where = f" at {len(alone)} of {levels} levels" if alone else ""
            notes.append(f"{effect.name}: not comparable{where}")
        frame = effect.differences
        for comparison in effect.comparisons:
            if not comparison.pairs:
                continue
            row = len(means)
            mine = frame[(frame["level"] == comparison.level) & (frame["reference"] == comparison.reference)]
            lost.append({"row": row} | _one_sided(mine, table.sign))
            mine = mine[mine["difference"].notna()]
            marks.append(_dots(mine, row, effect.others))
            label = f"{effect.name}: {show_value(comparison.level)} – {show_value(comparison.reference)}"
            over_cells = comparison.scale == "difference"
            drawn = (comparison.low, comparison.high) if over_cells else (np.nan, np.nan)
            judged = {
                "mean": comparison.mean,
                "low": drawn[0],
                "high": drawn[1],
                "n": comparison.n,
                "improved": comparison.improved,
            }
            means.append(
                {
                    "row": row,
                    "label": label,
                    "name": effect.name,
                    "verdict": comparison.verdict,
                    "p": comparison.p_holm,
                    "unit": comparison.unit,
                    **judged,
                }
            )
    if not means:
        raise UsageError(
            f"study {table.name!r}: nothing is comparable: "
            f"{'; '.join(notes) or 'no two settings agree on everything else'}"
        )
    kept = len(means) if names else min(len(means), ROWS)
    if kept < len(means):
        notes.append(
            f"{count(len(means) - kept, 'further comparison')} not drawn; name a hyperparameter to see its own"
        )
    points = pd.concat(marks[:kept], ignore_index=True)
    board = pd.DataFrame(means[:kept])
    away = pd.DataFrame(lost[:kept])
    board["said"] = [_said(row, is_percent(table.metric)) for row in rows_of(board)]
    domain, beyond = _span(points, board, table)
    notes += beyond
    board.loc[np.isinf(board["low"]) & np.isinf(board["high"]), ["low", "high"]] = np.nan
    board[["low", "high"]] = board[["low", "high"]].clip(*domain)  # where divergence decides it may have no end
    one_name = effects[0].name if len({row["name"] for row in means}) == 1 else "each hyperparameter"
    if len(points) >= 200:
        notes.append("dots at the edges lie beyond them")
    accuracy = is_percent(table.metric) or isinstance(table.metric, InPercent)
    unit = " (points)" if accuracy else f" ({_unit(table)})" if _unit(table) else ""
    words = metric_title(table).split(" (")[0]
    side = "better" if table.sign > 0 else "worse"
    return Picture(
        "effect",
        f"Effect of {one_name} on {words}",
        f"one dot per pair of settings that differ in it alone, seeds averaged; left of 0 is {side}",
        ground_line(table, settings, data),
        Axis("x", f"difference of {words}{unit}", percent=is_percent(table.metric), domain=domain),
        Axis("row", ""),
        points,
        table.direction,
        tuple(notes),
        {"means": board, "lost": away},
    )


def _one_sided(cells: pd.DataFrame, sign: float) -> dict[str, int]:
    """The cells in which one side diverged for more seeds: how many are decided for a difference below 0, and above."""
    worse = np.sign(cells["level_lost"] - cells["reference_lost"]) * sign
    return {"left": int((worse < 0).sum()), "right": int((worse > 0).sum())}


def _unit(table: StudyTable) -> str:
    return "nats" if "(nats)" in metric_title(table) else ""


def _find_effects(table: StudyTable, names: Sequence[str]) -> tuple[list[Effect], list[str]]:
    """The effects of what was asked for, or of everything that can be compared; why others cannot."""
    if names:
        return effects(table, names), []
    if not table.swept:
        raise UsageError(f"study {table.name!r} sweeps nothing, so there is no effect to draw")
    try:
        return effects(table, table.swept), []  # mostly all can be compared, and asking once is faster
    except UsageError:
        good, notes = [], []
    for name in table.swept:
        try:
            effects(table, [name])
        except UsageError as error:
            notes.append(str(error))
        else:
            good.append(name)
    if not good:
        raise UsageError(notes[0])
    return effects(table, good), notes


def _dots(frame: pd.DataFrame, row: int, others: Sequence[str]) -> pd.DataFrame:
    """The cells of one comparison, those that would cover each other lifted apart."""
    frame = frame[frame["difference"].notna()].sort_values("difference", kind="stable")
    if len(frame) > DOTS:
        frame = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, DOTS).round().astype(int))]
    x = frame["difference"].to_numpy(float)
    names = [name for name in others if name in frame]
    said = [
        ", ".join(f"{name} {show_short(value)}" for name, value in zip(names, cell, strict=True))
        for cell in frame[names].itertuples(index=False)
    ]
    out = pd.DataFrame({"row": row, "x": x, "setting": said or [""] * len(x)})
    out["level_mean"], out["reference_mean"], out["seeds"] = (
        frame[name].to_numpy() for name in ("level_mean", "reference_mean", "seeds")
    )
    out["lift"] = _lifts(x)
    return out


def _lifts(x: np.ndarray) -> np.ndarray:
    """How far each of some sorted values [n] is lifted, -1 to 1: a few are stacked, many spread as wide as they lie
    dense.
    """
    if not len(x):
        return x
    low, high = np.quantile(x, [0.02, 0.98])
    places = np.clip(np.floor((x - low) / ((high - low) or 1.0) * _BINS), 0, _BINS - 1).astype(int)
    if len(x) > 60:
        dense = np.bincount(places, minlength=_BINS)[places]
        golden = np.arange(len(x)) * 0.6180339887 % 1
        return np.asarray((2 * golden - 1) * np.sqrt(dense / dense.max()))
    nth = pd.Series(places).groupby(places).cumcount().to_numpy()
    return np.asarray(np.where(nth % 2 == 0, 1, -1) * np.ceil(nth / 2) * 2 / max(4, int(nth.max())))


def _span(points: pd.DataFrame, board: pd.DataFrame, table: StudyTable) -> tuple[tuple[float, float], list[str]]:
    """From and to, 0 within, and what lies beyond: of many dots the outermost twelfth, which would flatten the others,
    and what is a thousand times as far as usual. Differences of accuracies end at 100 points."""
    values = points["x"]
    usual = values.abs()[values != 0].median()
    far = values.abs() / 1000 > usual
    notes = (
        [f"{count(int(far.sum()), 'dot')} beyond the axis, at its edge (up to {values.abs().max():.3g})"]
        if far.any()
        else []
    )
    values = values[~far]
    inner = values if len(values) < 200 else values[values.between(values.quantile(0.04), values.quantile(0.96))]
    low, high = min(0.0, float(inner.min())), max(0.0, float(inner.max()))
    reach = 0.75 * (high - low)  # an interval of few cells may be many times as wide as they lie
    ends = board[["low", "high"]].where(np.isfinite(board[["low", "high"]].astype("float64")))
    low = max(min(low, float(ends["low"].min())), low - reach) if ends["low"].notna().any() else low
    high = min(max(high, float(ends["high"].max())), high + reach) if ends["high"].notna().any() else high
    pad = 0.06 * ((high - low) or 1.0)
    least, most = table.bounds(table.metric)
    reach = most - least  # infinite of a loss
    return (max(low - pad, -reach), min(high + pad, reach)), notes


def _said(row: dict[str, Any], percent: bool) -> str:
    mean, low, high = (float(row[name]) for name in ("mean", "low", "high"))
    shown = f"{100 * mean:+.2f} points" if percent else f"{mean:+.3g}"
    ends = f" [{_end(low, percent)}, {_end(high, percent)}]" if np.isfinite(low) or np.isfinite(high) else ""
    return f"{shown}{ends}; better in {row['improved']} of {row['n']} {row['unit']}; {row['verdict']}"


def _end(value: float, percent: bool) -> str:
    if not np.isfinite(value):
        return "–∞" if value < 0 else "∞"
    return f"{100 * value:+.2f}" if percent else f"{value:+.3g}"


@on_selecting_seeds
def importance_picture(table: StudyTable, data: str = "", answer: Importance | None = None) -> Picture:
    """Each hyperparameter's share of the variance of the metric. marks: name, share, low, high, in order."""
    answer = importance(table) if answer is None else answer
    shares = answer.shares[["name", "share", "low", "high"]].sort_values("share", ascending=False, kind="stable")
    settings = settings_of(table)
    scale = f"{'log ' if answer.scale == 'log' else ''}{metric_title(table).split(' (')[0]}"
    interval = ", bar: 95% interval" if shares["low"].notna().any() else ""
    words = f"share of the variance of {scale} that it explains on its own{interval} ({answer.method})"
    if answer.method == "ped-anova":
        words = f"what sets the best tenth apart{interval} (PED-ANOVA, as shares of 1)"
    return Picture(
        "importance",
        "Importance of each hyperparameter",
        words,
        ground_line(table, settings, data).replace(f" · {better(table.direction)}", ""),
        Axis(
            "share",
            "share of variance",
            percent=True,
            domain=(0.0, max(0.05, min(1.0, 1.05 * float(np.nanmax(shares[["share", "high"]].to_numpy(float)))))),
        ),
        Axis("name", "", values=tuple(map(str, shares["name"]))),
        shares.reset_index(drop=True),
        table.direction,
    )
