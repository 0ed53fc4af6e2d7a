"""A picture, its axes, and a study's settings in one frame: what every kind of picture starts from. Needs pandas."""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.seeds import SeedRoles, seed_roles
from sweep.analysis.table import StudyTable, keep
from sweep.errors import UsageError, unknown
from sweep.hyperparameters import show_value
from sweep.recipe import InPercent
from sweep.space import seeds_text
from sweep.wording import count

BUCKETS = 8
"""How many buckets a hyperparameter that takes many values is cut into."""
CROSS = "×"
"""What stands for divergence, in every picture: a sign that every font has."""
FEW = 12
"""Up to so many values, each is its own bucket."""

_METRIC_WORDS = {
    "val_loss": "validation loss",
    "val_accuracy": "validation accuracy",
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "best_val_loss": "best validation loss over epochs",
    "val_mae": "validation mean absolute error",
    "val_r2": "validation R²",
    "best_val_accuracy": "best validation accuracy over epochs",
    "seconds": "training time (s)",
    "parameters": "parameters",
    "epochs": "epochs trained",
}


@dataclass(frozen=True)
class Axis:
    """What lies along one side of a picture."""

    column: str
    """Where in the marks."""
    title: str
    log: bool = False
    percent: bool = False
    values: tuple[str, ...] = ()
    """Its categories in order; none for a number."""
    ticks: tuple[float, ...] = ()
    """Where to write numbers, if it matters."""
    domain: tuple[float, float] | None = None
    """From and to, if it is narrower than the marks."""


@dataclass(frozen=True)
class Picture:
    """What a picture shows."""

    kind: str
    title: str
    subtitle: str
    ground: str
    x: Axis
    y: Axis
    marks: pd.DataFrame
    """One row per mark; the kind's function names the columns."""
    direction: str = "minimize"
    notes: tuple[str, ...] = ()
    """What the eye would miss: left out, cut off, hidden."""
    more: dict[str, pd.DataFrame] = field(default_factory=dict)
    """Further frames that a kind needs."""

    @property
    def said(self) -> str:
        """All of it in words, for who cannot see it."""
        return ". ".join([f"{self.title}: {self.subtitle}", self.ground, *self.notes]) + "."


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, each by column name."""
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def metric_title(table: StudyTable, metric: str | None = None) -> str:
    """A metric as an axis names it, with its unit: validation loss (nats)."""
    name = metric or table.metric
    words = _METRIC_WORDS.get(name, name)
    if isinstance(name, InPercent):
        return f"{words} (%)"
    nats = name.endswith("loss") and table.constant.get("loss") == "cross_entropy" and "loss" not in table.swept
    if table.regression and name.endswith("loss"):
        return f"{words} (mean squared error)"
    return f"{words} (nats)" if nats and name in _METRIC_WORDS else words


def title_metric(table: StudyTable) -> str:
    """The metric as a title begins with it; one that was imported keeps its own spelling."""
    words = metric_title(table).split(" (")[0]
    return words[:1].upper() + words[1:] if table.metric in _METRIC_WORDS else words


def is_percent(metric: str) -> bool:
    """Whether a metric is a share of 1, written in percent."""
    return metric.endswith("accuracy") and metric in _METRIC_WORDS and not isinstance(metric, InPercent)


def on_selecting_seeds(draw: Callable[..., Picture]) -> Callable[..., Picture]:
    """A picture of a study in which a few settings were run again on fresh seeds, or of a race: of the seeds that all
    settings have, with a note that says so. One mean over both would flatter whoever was chosen (see `seeds`)."""

    @functools.wraps(draw)
    def drawn(table: StudyTable, *args: Any, **more: Any) -> Picture:
        roles = seed_roles(table)
        if table.race is not None:
            picture = draw(table.even, *args, **more)
            return replace(picture, notes=(*picture.notes, table.race.note))
        if roles is None:
            return draw(table, *args, **more)
        picture = draw(roles.select(table), *args, **more)
        return replace(picture, notes=(*picture.notes, selected_note(roles)))

    return drawn


def selected_note(roles: SeedRoles) -> str:
    """What is left out of a study in which some settings were run again on fresh seeds."""
    again = f"{count(len(roles.chosen), 'setting')} {'was' if len(roles.chosen) == 1 else 'were'} run again"
    all_on = f"all settings on {seeds_text(roles.selecting)} alone, which selected"
    return f"{all_on}; {again} on {seeds_text(roles.fresh)}, not drawn here"


@dataclass(frozen=True)
class Window:
    """From and to of a metric's axis, None without a number; inner: the least and largest value with a place on it;
    beyond: values worse than it reaches, and the worst of them."""

    domain: tuple[float, float] | None
    inner: tuple[float, float] = (0.0, 1.0)
    beyond: int = 0
    worst: float = math.nan

    def notes(self, noun: str = "setting") -> list[str]:
        """What lies beyond it, in words."""
        if not self.beyond:
            return []
        lie = f"{count(self.beyond, noun)} {'lies' if self.beyond == 1 else 'lie'}"
        return [
            f"{lie} beyond the axis, at its edge ({'up' if self.worst > self.inner[0] else 'down'} to {self.worst:.3g})"
        ]


_FAR = 1000.0
"""So many times as far as is usual lies beyond an axis: a loss of 1e30 would flatten all others."""


def metric_window(table: StudyTable, values: pd.Series, log: bool, metric: str | None = None) -> Window:
    """The axis of a metric: what it can be at most (an accuracy from 0 to 1), less what is far worse than the rest."""
    finite = values[np.isfinite(values.astype("float64"))]
    if finite.empty:
        return Window(None)
    bad = table.sign * finite
    limit = _worst_drawn(bad, log)
    inside = finite[bad <= limit]
    low, high = float(inside.min()), float(inside.max())
    if log:
        domain = low / 1.15, max(high, low * 1.05) * 1.15
    else:
        pad = 0.06 * ((high - low) or abs(high) or 1.0)
        least, most = table.bounds(metric or table.metric)
        domain = max(low - pad, least), min(high + pad, most)
    domain = max(domain[0], -sys.float_info.max), min(domain[1], sys.float_info.max)
    return Window(domain, (low, high), len(finite) - len(inside), table.sign * float(bad.max()))


def _worst_drawn(bad: pd.Series, log: bool) -> float:
    """The worst of some values, less being better, that has its own place on an axis."""
    if log:
        return max(_FAR * float(bad.quantile(0.25)), 100.0) if (bad > 0).all() else math.inf
    least, middle, edge = (float(bad.quantile(share)) for share in (0.0, 0.5, 0.9))
    limits = [least + _FAR * (middle - least)] if middle > least else []
    limits += [edge + 3 * (edge - least)] if len(bad) > 8 and edge > least else []
    return min(limits, default=math.inf)


def better(direction: str) -> str:
    """Which way is good, in words."""
    return "lower is better" if direction == "minimize" else "higher is better"


def settings_of(table: StudyTable) -> pd.DataFrame:
    """One row a setting, by the number of its first trial: number, the swept hyperparameters (as `column`), n (complete
    trials), mean, low and high of the metric over them, counts of states, reached (mean metric of pruned trials, at the
    epoch they came to), seconds, and state: `diverged` if any seed of it diverged, else `pruned`, `complete`, `failed`.

    Trials that wait or run are not there. Raises UsageError if none is left.
    """
    if "settings_of" not in table.memory:
        table.memory["settings_of"] = _average_seeds(table)
    settings: pd.DataFrame = table.memory["settings_of"]
    return settings.copy(deep=False)


def _average_seeds(table: StudyTable) -> pd.DataFrame:
    trials = keep(table.trials, ~table.trials["state"].isin(["waiting", "running"]))
    if trials.empty:
        raise UsageError(f"study {table.name!r}: no trial is finished (that meets the condition), so nothing is drawn")
    group = setting_ids(trials, table.swept)
    metric = trials[table.metric].astype("float64")
    whole = metric.where(trials["state"] == "complete")
    grouped = whole.groupby(group)
    columns: dict[str, Any] = {
        "n": grouped.count(),
        "mean": grouped.mean(),
        "low": grouped.min(),
        "high": grouped.max(),
    }
    for state in ("pruned", "diverged", "failed"):
        columns[state] = (trials["state"] == state).groupby(group).sum()
    columns["reached"] = metric.where(trials["state"] == "pruned").groupby(group).mean()
    columns["epochs"] = trials["epochs"].groupby(group).max()
    columns["seconds"] = trials["seconds"].groupby(group).mean()
    first = trials.groupby(group)[["number", *table.swept]].nth(0).reset_index(drop=True)
    first = first.set_axis(["number", *map(column, table.swept)], axis=1)
    out = pd.concat([first, pd.DataFrame(columns).reset_index(drop=True)], axis=1)
    out["state"] = np.select(
        [out["diverged"] > 0, out["pruned"] > 0, out["n"] > 0], ["diverged", "pruned", "complete"], "failed"
    )
    return out


def column(name: str) -> str:
    """Where a hyperparameter stands in a frame of settings: none that was imported can cover another column."""
    return f"={name}"


def setting_ids(trials: pd.DataFrame, swept: Sequence[str]) -> pd.Series:
    """A number for each trial, equal for trials that differ in their seed alone, in the order they first appear."""
    if "setting" in trials:
        return pd.Series(pd.factorize(trials["setting"])[0], index=trials.index)
    if not swept:
        return pd.Series(0, index=trials.index)
    return trials.groupby(list(swept), sort=False, dropna=False).ngroup()


def best_first(settings: pd.DataFrame, sign: float) -> pd.DataFrame:
    """Complete settings by their mean, the best first."""
    complete = settings[settings["state"] == "complete"]
    return complete.loc[(sign * complete["mean"]).sort_values(kind="stable").index]


def setting_label(row: Any, names: Sequence[str]) -> str:
    """A setting in few words: lr 0.01, batch_norm on."""
    return (
        ", ".join(f"{name} {show_short(row[column(name)])}" for name in names if not absent(row[column(name)]))
        or "the one setting"
    )


def show_short(value: Any) -> str:
    """A value in four digits at most."""
    return f"{value:.4g}" if isinstance(value, float) else show_value(value)


def absent(value: Any) -> bool:
    """Whether a setting does not use a hyperparameter."""
    return value is None or value != value


def is_numeric(values: pd.Series) -> bool:
    """Whether a hyperparameter takes numbers alone."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.dropna().unique())


def is_log(values: Sequence[float]) -> bool:
    """Whether numbers are spread over orders of magnitude, as those of a logarithmic range are."""
    finite = [float(value) for value in values if value == value]
    if len(finite) < 2 or min(finite) <= 0 or max(finite) < 8 * min(finite):
        return False
    return float(np.median(finite)) < 0.6 * (min(finite) + max(finite)) / 2


def metric_log(values: pd.Series) -> bool:
    """Whether a metric is drawn on a logarithmic axis: positive, and over more than a factor of eight."""
    finite = values[np.isfinite(values)]
    return bool(len(finite) > 1 and finite.min() > 0 and finite.max() > 8 * finite.min())


def order_values(values: pd.Series) -> list[Any]:
    """The distinct values of a hyperparameter, numbers by size, off before on, words by name; inactive (None) last."""
    levels = list(values.dropna().unique())
    levels.sort(key=lambda value: (isinstance(value, str), value if not isinstance(value, str) else 0, str(value)))
    return [*levels, *([None] if values.isna().any() else [])]


@dataclass(frozen=True)
class Buckets:
    """A hyperparameter cut into buckets. of: each setting's bucket; labels: each bucket's name, in order; single:
    whether each bucket is one value; numeric: whether it takes numbers only; log: whether they are spread
    logarithmically."""

    of: pd.Series
    labels: list[str]
    single: bool
    numeric: bool
    log: bool


def bucket_values(values: pd.Series, most: int = BUCKETS) -> Buckets:
    """Each value its own bucket where there are few, equal widths (of the logarithm, where that is its scale) where
    there are many numbers; many words keep the most frequent ones and put the others together."""
    distinct = order_values(values)
    numeric = is_numeric(values)
    log = numeric and is_log(list(values.dropna()))
    if len(distinct) <= max(FEW, most) or not numeric:
        kept = distinct if len(distinct) <= 40 else list(values.value_counts().index[:39])
        place = {value: index for index, value in enumerate(kept) if value is not None}
        other = len(kept)
        codes, levels = pd.factorize(values)
        places = [*(place.get(value, other) for value in levels), kept.index(None) if None in kept else other]
        of = pd.Series(np.array(places)[codes], index=values.index, name=values.name)
        labels = [show_value(value) for value in kept] + (["others"] if len(kept) < len(distinct) else [])
        return Buckets(of.astype(int), labels, len(labels) == len(distinct), numeric, log)
    numbers = values.astype("float64")
    scaled: pd.Series = pd.Series(np.log(numbers)) if log else numbers
    low, high = float(scaled.min()), float(scaled.max())
    edges = np.linspace(low, high, most + 1)
    of = ((scaled - low) / (high - low) * most).clip(0, most - 1e-9)
    shown = np.exp(edges) if log else edges
    labels = [f"{_short(a)}–{_short(b)}" for a, b in itertools.pairwise(shown)]
    if numbers.isna().any():
        of, labels = of.fillna(most), [*labels, "–"]
    return Buckets(of.astype(int), labels, False, numeric, log)


def _short(value: float) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")


def influence(settings: pd.DataFrame, swept: Sequence[str], sign: float) -> dict[str, float]:
    """How much of the settings' order each hyperparameter tells on its own, the most telling first: the share of the
    variance of their ranks that lies between its buckets. Diverged settings rank last, pruned ones by the value they
    came to. Only to choose what to draw."""
    value = (sign * settings["mean"]).where(settings["state"] == "complete")
    value = value.mask(settings["state"] == "pruned", sign * settings["reached"])
    value = value.mask(settings["state"] == "diverged", math.inf)
    ranks = value.rank()
    total = float(ranks.var(ddof=0))
    shares = {}
    for name in swept:
        buckets = bucket_values(settings[column(name)])
        mean, size = ranks.groupby(buckets.of).mean(), ranks.groupby(buckets.of).count()
        spread = float((size * (mean - ranks.mean()) ** 2).sum() / max(1, size.sum()))
        shares[name] = spread / total if total > 0 else 0.0
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def most_telling(settings: pd.DataFrame, table: StudyTable) -> list[str]:
    """The swept hyperparameters, those that tell most of the order of its settings first."""
    if "most_telling" not in table.memory:
        table.memory["most_telling"] = [*influence(settings, table.swept, table.sign)]
    return [*table.memory["most_telling"]]


def choose_names(table: StudyTable, settings: pd.DataFrame, given: Sequence[str], wanted: int, kind: str) -> list[str]:
    """The hyperparameters to draw: those given, then the most telling ones. Raises UsageError if there are too few."""
    for name in given:
        if name not in table.swept:
            there = f"study {table.name!r}: "
            if name in table.constant:
                raise UsageError(
                    f"{there}{name} is {show_value(table.constant[name])} in every trial; swept: "
                    f"{', '.join(table.swept) or 'nothing'}"
                )
            raise unknown("hyperparameter", name, table.swept, there)
    if len(set(given)) < len(given):
        raise UsageError(f"{kind}: {', '.join(given)}: the same hyperparameter twice")
    if len(given) > wanted:
        raise UsageError(f"{kind} draws {wanted} hyperparameter{'s' if wanted > 1 else ''}; given {', '.join(given)}")
    names = [*given, *(name for name in most_telling(settings, table) if name not in given)][:wanted]
    if len(names) < wanted:
        raise UsageError(
            f"{kind} needs {wanted} swept hyperparameter{'s' if wanted > 1 else ''}; "
            f"study {table.name!r} sweeps {', '.join(table.swept) or 'none'}"
        )
    return names


def ground_line(table: StudyTable, settings: pd.DataFrame, data: str) -> str:
    """What stands under every picture: study, data, how many trials of what, which way is better."""
    trials = len(table.trials[~table.trials["state"].isin(["waiting", "running"])])
    seeds = int(table.trials["seed"].nunique())
    many = (
        f"{trials:,} trial{'s' if trials != 1 else ''} of {len(settings):,} setting{'s' if len(settings) != 1 else ''}"
    )
    states = [
        f"{int(settings[state].sum()):,} {state}" for state in ("diverged", "pruned", "failed") if settings[state].sum()
    ]
    seed_words = f"{seeds} seeds" if seeds > 1 else "one seed"
    return " · ".join(
        [
            table.name,
            *([data] if data else []),
            f"{many}, {seed_words}",
            *([f"where {table.where}"] if table.where else []),
            *states,
            better(table.direction),
        ]
    )
