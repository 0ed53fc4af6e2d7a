"""What a metric costs: the Pareto front, the best to expect against budget. Needs pandas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from sweep.analysis.pictures.base import (
    CROSS,
    Axis,
    Picture,
    absent,
    better,
    column,
    ground_line,
    is_log,
    is_percent,
    metric_log,
    metric_title,
    metric_window,
    on_selecting_seeds,
    rows_of,
    setting_ids,
    setting_label,
    settings_of,
    title_metric,
)
from sweep.analysis.pictures.planes import POINTS, thin_marks
from sweep.analysis.statistics import expected_best
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError, unknown
from sweep.recipe import MEASURED
from sweep.wording import count


@on_selecting_seeds
def pareto_picture(
    table: StudyTable,
    data: str = "",
    names: Sequence[str] = (),
    parameters: Callable[[dict[str, object]], int] | None = None,
) -> Picture:
    """The metric against what it costs: the settings that none beats in both are the front. marks: number, x (the cost,
    less is better), mean, front, state, label. more["lost"]: likewise, the settings that have no final value but a
    cost. The cost is `names[0]`: a measured column, `parameters`, or a numeric hyperparameter; by default what a search
    with several objectives sought beside the metric."""
    settings = settings_of(table)
    name, goes_up = _cost(table, settings, names, parameters)
    sign = -1.0 if goes_up else 1.0
    marks = settings[(settings["state"] == "complete") & settings["x"].notna()].copy()
    if marks.empty:
        raise UsageError(f"study {table.name!r}: no complete setting has a value of {name}, so there is no front")
    order = marks.assign(a=sign * marks["x"], b=table.sign * marks["mean"]).sort_values(["a", "b"])
    smallest = order["b"].cummin()
    marks["front"] = (order["b"] < smallest.shift(fill_value=np.inf)).reindex(marks.index)
    drawn, notes = thin_marks(marks, marks["front"], POINTS, table.sign)
    drawn = drawn.assign(label=[setting_label(row, table.swept) for row in rows_of(drawn)])
    lost = settings[(settings["state"] != "complete") & settings["x"].notna()].copy()
    lost["label"] = [setting_label(row, table.swept) for row in rows_of(lost)]
    left = len(settings) - len(marks) - len(lost)
    notes += [f"{count(left, 'setting')} without a final value not on the plane"] if left else []
    log = metric_log(marks["mean"]) and not is_percent(table.metric)
    window = metric_window(table, marks["mean"], log)
    notes += window.notes()
    log_x = is_log(list(marks["x"]))
    words = f"{metric_title(table, name)}{', log scale' if log_x else ''}"
    return Picture(
        "pareto",
        f"{title_metric(table)} against {metric_title(table, name)}",
        f"one dot per setting; the line joins the {int(marks['front'].sum())} that none beats in both ({name}: "
        f"{better('maximize' if goes_up else 'minimize')})",
        ground_line(table, settings, data),
        Axis("x", words, log_x),
        Axis("mean", metric_title(table), log, is_percent(table.metric), domain=window.domain),
        drawn,
        table.direction,
        tuple(notes),
        {"lost": lost},
    )


def _cost(
    table: StudyTable,
    settings: pd.DataFrame,
    names: Sequence[str],
    parameters: Callable[[dict[str, object]], int] | None,
) -> tuple[str, bool]:
    """Puts the cost into column x; its name, and whether more of it is better."""
    shaped = {"hidden", "depth", "model", "batch_norm", "bn_affine", "connection", "convolutions", "growth"} & {
        *table.swept
    }
    aims = {name: way for name, way in table.objectives if name != table.metric}
    aimed = next((name for name in aims if name != "parameters" or parameters is not None), None)
    name = names[0] if names else aimed or ("parameters" if shaped and parameters is not None else "seconds")
    measured = [n for n in (*MEASURED, "seconds", "epochs") if n != table.metric and n in table.trials]
    numeric = [n for n in table.swept if pd.to_numeric(settings[column(n)], errors="coerce").notna().any()]
    choices = [*measured, *(["parameters"] if parameters is not None else []), *numeric]
    if len(names) > 1:
        raise UsageError(f"pareto takes one cost beside the metric; given {', '.join(names)}")
    if name.startswith("test_"):
        raise UsageError(f"{name}: nothing is selected on test data; choose from {', '.join(choices)}")
    if name not in choices:
        raise unknown("cost", name, choices, f"study {table.name!r}: ")
    if name == "parameters":
        assert parameters is not None
        base = dict(table.constant)
        rows = rows_of(settings[[column(n) for n in table.swept]].set_axis(table.swept, axis=1))
        settings["x"] = [parameters({**base, **{k: v for k, v in row.items() if not absent(v)}}) for row in rows]
    elif name in numeric:
        settings["x"] = pd.to_numeric(settings[column(name)], errors="coerce")
    else:
        trials = table.complete
        means = trials[name].groupby(setting_ids(trials, table.swept)).transform("mean").set_axis(trials["number"])
        settings["x"] = settings["number"].map(means)
    return name, aims[name] == "maximize" if name in aims else name.endswith(("accuracy", "r2"))


@on_selecting_seeds
def budget_picture(table: StudyTable, data: str = "") -> Picture:
    """The expected best of k settings drawn at random from those of the study (Dodge et al. 2019), with the range that
    80 of 100 draws fall into. marks: k, expected, low, high. A diverged setting is a draw that is as bad as the worst.

    more["seen"]: k, best: the best so far in the order of the study; more["lost"]: k: which of them
    diverged. Settings count once, their seeds averaged.
    """
    settings = settings_of(table)
    complete = settings[settings["state"] == "complete"]
    if complete.empty:
        raise UsageError(f"study {table.name!r}: no setting is complete, so there is no best to expect")
    worst = (table.sign * complete["mean"]).max()
    cost = (table.sign * settings["mean"]).where(settings["state"] == "complete")
    cost = cost.mask(settings["state"] == "diverged", worst).dropna()
    budgets = np.unique(np.geomspace(1, len(cost), 60).round().astype(int))
    expected = table.sign * np.asarray(expected_best(cost.to_numpy(), budgets, minimize=True, replacement=False))
    values = np.sort(cost.to_numpy())
    low, high = (table.sign * _best_quantile(values, budgets, share) for share in (0.1, 0.9))
    marks = pd.DataFrame(
        {"k": budgets, "expected": expected, "low": np.minimum(low, high), "high": np.maximum(low, high)}
    )
    seen = (table.sign * cost.cummin()).reset_index(drop=True)
    diverged = (settings["state"] == "diverged").reindex(cost.index).to_numpy()
    lost = f"{CROSS} {count(int(diverged.sum()), 'diverged setting')} {'counts' if diverged.sum() == 1 else 'count'}"
    notes = [f"{lost} as the worst that finished"] if diverged.any() else []
    notes += ["pruned settings are left out: their last value is of fewer epochs"] * bool(
        (settings["state"] == "pruned").any()
    )
    log = metric_log(pd.concat([marks["expected"], marks["low"], marks["high"]])) and not is_percent(table.metric)
    window = metric_window(table, complete["mean"], log)
    notes += window.notes()
    return Picture(
        "budget",
        "Expected best against budget",
        "the best of k settings drawn at random; band: 80 of 100 draws; steps: the best so far as this study went",
        ground_line(table, settings, data),
        Axis(
            "k",
            "settings tried, k",
            len(cost) > 20,
            ticks=_budget_ticks(len(cost)),
            domain=(1.0, float(max(2, len(cost)))),
        ),
        Axis("expected", metric_title(table), log, is_percent(table.metric), domain=window.domain),
        marks,
        table.direction,
        tuple(notes),
        {
            "seen": pd.DataFrame({"k": seen.index + 1, "best": seen}),
            "lost": pd.DataFrame({"k": np.flatnonzero(diverged) + 1}),
        },
    )


def _budget_ticks(most: int) -> tuple[float, ...]:
    """Whole numbers to write along the budget."""
    if most <= 10:
        return tuple(map(float, range(1, most + 1)))
    if most <= 20:
        return (1.0, *map(float, range(2, most + 1, 2)))
    return tuple(float(k) for decade in range(7) for k in (10**decade, 2 * 10**decade, 5 * 10**decade) if k <= most)


def _best_quantile(values: np.ndarray, budgets: np.ndarray, share: float) -> np.ndarray:
    """The value that the smallest of k draws without replacement from sorted values [n] stays below with this chance,
    for each k [m]: P(min > v_i) = C(n - i - 1, k) / C(n, k)."""
    n = len(values)
    out = []
    for k in budgets:
        survive = np.cumprod(np.maximum(0.0, (n - k - np.arange(n)) / (n - np.arange(n))))
        out.append(values[int(np.argmax(1 - survive >= share - 1e-12))])
    return np.array(out)
