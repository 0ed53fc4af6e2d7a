"""Learning curves: one line per setting, its mean over seeds, the best ones told apart. Needs pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sweep.analysis.pictures.base import (
    CROSS,
    Axis,
    Picture,
    Window,
    best_first,
    column,
    ground_line,
    is_percent,
    metric_log,
    metric_title,
    metric_window,
    on_selecting_seeds,
    setting_ids,
    setting_label,
    settings_of,
)
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError
from sweep.wording import count

OTHERS = 300
"""At most so many lines stand behind the best ones."""


@on_selecting_seeds
def curves_picture(table: StudyTable, epochs: pd.DataFrame, data: str = "", top: int = 5) -> Picture:
    """The metric of each epoch. marks: setting, number, rank (0: not among the best), epoch, mean, low, high (over
    seeds), state. A line goes as far as every seed of its setting has a finite value, so that no mean is of the
    survivors alone.

    more["ends"]: the last mark of each line, with a label where it is among the best. `epochs`: as `Ledger.epochs`.
    """
    metric = table.metric.removeprefix("best_")
    settings = settings_of(table)
    if epochs.empty or metric not in epochs or epochs[metric].notna().sum() == 0:
        raise UsageError(f"study {table.name!r}: no epochs are recorded of {metric}, so there are no curves to draw")
    lines = _lines(table, epochs, metric)
    settings = settings.reset_index(names="setting")
    ranking = best_first(settings, table.sign)
    ranks = {int(setting): place for place, setting in enumerate(ranking["setting"][:top], 1)}
    kept, left_out = _choose_settings(settings, ranking, ranks)
    lines = lines[lines["setting"].isin(kept)].merge(settings[["setting", "number", "state"]], on="setting")
    if lines.empty:
        raise UsageError(
            f"study {table.name!r}: no setting has a finite {metric} in its first epoch, so there are no curves"
        )
    lines["rank"] = lines["setting"].map(ranks).fillna(0).astype(int)
    ends = lines.loc[lines.groupby("setting")["epoch"].idxmax()].copy()
    best = settings.set_index("setting").loc[list(ranks)]
    telling = [name for name in table.swept if best[column(name)].map(str).nunique() > 1]
    names = telling or table.swept
    ends["label"] = [setting_label(best.loc[s], names) if s in ranks else "" for s in ends["setting"]]
    shared = setting_label(best.iloc[0], [n for n in table.swept if n not in names]) if len(best) and telling else ""
    notes = _notes(shared if telling != table.swept else "", len(ranks), left_out, ends)
    log = metric_log(lines["mean"]) and not is_percent(metric)
    window = _window(table, lines, ends, log, metric)
    notes = (*notes, *window.notes())
    return Picture(
        "curves",
        "Learning curves",
        _subtitle(table, len(ranks)),
        ground_line(table, settings, data),
        Axis("epoch", "epoch"),
        Axis("mean", metric_title(table, metric), log, is_percent(metric), domain=window.domain),
        lines.sort_values(["rank", "setting", "epoch"], ignore_index=True),
        table.direction,
        notes,
        {"ends": ends.sort_values(["rank", "setting"], ignore_index=True)},
    )


def _lines(table: StudyTable, epochs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row a setting and epoch that all its finished seeds have reached with a finite value."""
    trials = table.trials[~table.trials["state"].isin(["waiting", "running", "failed"])]
    whole = table.trials[~table.trials["state"].isin(["waiting", "running"])]
    of = pd.Series(setting_ids(whole, table.swept).to_numpy(), index=whole["number"])
    of = of[of.index.isin(trials["number"])]
    seeds = of.value_counts()
    rows = epochs[epochs["trial"].isin(of.index)]
    frame = pd.DataFrame({"setting": rows["trial"].map(of), "epoch": rows["epoch"], "value": rows[metric]})
    grouped = frame.groupby(["setting", "epoch"])["value"]
    out = grouped.agg(["count", "mean", "min", "max"]).reset_index()
    out = out[out["count"] == out["setting"].map(seeds)].rename(columns={"min": "low", "max": "high"})
    return out.astype({"setting": int, "epoch": int})


def _choose_settings(settings: pd.DataFrame, ranking: pd.DataFrame, ranks: dict[int, int]) -> tuple[set[int], int]:
    """Which settings are drawn: the best, and of the others at most OTHERS, spread evenly over the ranking; how many
    not.
    """
    order = [*ranking["setting"], *settings.loc[~settings["setting"].isin(ranking["setting"]), "setting"]]
    others = [setting for setting in order if setting not in ranks]
    if len(others) <= OTHERS:
        return {int(setting) for setting in order}, 0
    places = np.linspace(0, len(others) - 1, OTHERS).round().astype(int)
    return {*ranks, *(int(others[place]) for place in places)}, len(others) - OTHERS


def _subtitle(table: StudyTable, best: int) -> str:
    seeds = int(table.trials["seed"].nunique())
    over = f"mean over {seeds} seeds, band from lowest to highest" if seeds > 1 else "one seed, so no band"
    named = f"the best {best} named" if best > 1 else "the best named" if best else "no setting is complete"
    return f"one line per setting, {over}; {named}"


def _notes(shared: str, best: int, left_out: int, ends: pd.DataFrame) -> tuple[str, ...]:
    notes = [f"all of the best {best}: {shared}"] if shared and best > 1 else []
    if left_out:
        notes.append(
            f"{count(left_out, 'further setting')} {'is' if left_out == 1 else 'are'} not drawn; "
            "those that are lie evenly over the ranking"
        )
    stopped = [
        f"{int((ends['state'] == state).sum()):,} {state}"
        for state in ("diverged", "pruned")
        if (ends["state"] == state).any()
    ]
    if stopped:
        notes.append(f"lines that end early are marked, {CROSS} diverged and – pruned: {', '.join(stopped)}")
    return tuple(notes)


def _window(table: StudyTable, lines: pd.DataFrame, ends: pd.DataFrame, log: bool, metric: str) -> Window:
    """The axis of the metric, less the worst twentieth of all epochs, which would flatten the rest; beyond it lie the
    settings that end there."""
    window = metric_window(table, lines["mean"], log, metric)
    if window.domain is None:
        return window
    low, high = window.domain
    if table.sign > 0:
        edge = float(lines["mean"].quantile(0.95))
        high = max(min(high, edge * 4 if log else edge + (edge - low)), low * 1.2 if log else low)
    outside = ends[(ends["mean"] > high) if table.sign > 0 else (ends["mean"] < low)]
    worst = (outside["mean"] * table.sign).max() * table.sign
    return Window((low, high), window.inner, len(outside), float(worst))
