"""A confirmation and a comparison of studies as people read them. Needs rich."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.hyperparameters import show_value
from sweep.recipe import percents
from sweep.report.answers import compared_sizes, record_comparison
from sweep.report.columns import Columns
from sweep.report.files import plain, records
from sweep.report.settings import show_interval
from sweep.report.text import covers, missing, show_gap, show_metric, show_seconds, signed_gap
from sweep.space import seeds_text
from sweep.wording import count, join_words

MANY_SEEDS = 100
"""Seeds past which two settings that cannot be told apart are called equal in practice."""

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis.comparing import Common, Comparison
    from sweep.analysis.confirming import Confirmation, Duel


def confirmation_report(made: Confirmation) -> RenderableType:
    """The ranking on fresh seeds, whether the first can be told from the second, what had been luck."""
    where = "" if made.confirmation == made.study else f"{made.confirmation}: "
    chosen = f"{count(len(made.rows), 'setting')} of {made.candidates:,}, selected on {seeds_text(made.selected_on)}"
    fresh = f"{count(len(made.fresh), 'fresh seed')} ({seeds_text(made.fresh)})"
    parts: list[RenderableType] = [Text.assemble((where, "bold"), f"{chosen}; ranked by {made.metric} on {fresh}")]
    if made.constant:
        parts.append(Text(f"all with {_settings_text(made.constant)}", "dim"))
    parts += [Text(), _table(made), Text()]
    parts += [line for line in (_order(made), _first_line(made), _luck(made), _left(made)) if line is not None]
    return Group(*parts, Text(covers(made.data_splits), "dim"))


def _table(made: Confirmation) -> RenderableType:
    table = Columns()
    states = [name for name in ("diverged", "pruned", "failed", "left") if made.rows[name].any()]
    names = ["rank", "rank before", *made.swept, "seeds", *states, "fresh seeds ▾", "95% interval", "when selected"]
    names.append("loss of lead (+ is worse)")
    for name in names:
        table.add_column(name, "right", folds=name in made.swept)
    for place, row in made.rows.iterrows():
        metric = [show_metric(made.metric, row["mean"]), show_interval(made.metric, row["low"], row["high"])]
        metric += [show_metric(made.metric, row["selected"]), signed_gap(made.metric, row["shrinkage"])]
        cells = ["–" if missing(row[name]) else str(row[name]) for name in ("rank", "was")]
        cells += ["–" if missing(row[name]) else show_value(row[name]) for name in made.swept]
        cells += [str(row[name]) for name in ("n", *states)]
        table.add_row(*cells, *metric, style="bold" if place == 0 and row["n"] else "")
    return table


def _order(made: Confirmation) -> Text | None:
    """Whether the fresh seeds gave the order that the selecting ones had."""
    if (made.rows["n"] > 0).sum() < 2 or made.rows["was"].isna().any():
        return None
    if made.held:
        return Text("The order is the same as when selected.", "green")
    order = ", ".join(str(was) for was in made.rows.loc[made.rows["n"] > 0, "was"])
    return Text(f"The order changed: the former ranks are now {order}.", "yellow")


def _first_line(made: Confirmation) -> Text | None:
    """The first against the second, with the test score of the one that is selected now."""
    if not (made.rows["n"] > 0).any():
        return Text("No fresh trial is complete yet, so nothing is confirmed.", "yellow")
    best = made.rows.iloc[0]
    line = _duel_line(made, made.duel) if made.duel else Text()
    names = ", ".join(f"{name} {show_value(best[name])}" for name in made.swept if not missing(best[name]))
    if made.duel:
        line.append("\n")
    line.append("Selected on fresh seeds").append(f": {names}" if names else "", "bold")
    line.append(f"; {made.metric} {show_metric(made.metric, best['mean'])}")
    if best["n"] < 2:
        line.append(" (one seed: no interval)")
    told = [
        f"{name.removeprefix('test_')} {show_metric(name, mean)} ({show_interval(name, low, high)})"
        for name, (mean, low, high) in sorted(made.tests.items())
    ]
    return line.append(f"; on test data {', '.join(told)}." if told else ".")


def _duel_line(made: Confirmation, duel: Duel) -> Text:
    metric = made.metric
    line = Text("First against second: ")
    if duel.difference == 0:
        line.append("equal on average")
    else:
        line.append(f"{show_gap(metric, duel.difference)} {'better' if duel.difference > 0 else 'worse'} on average")
    if not math.isnan(duel.low):
        low, high = signed_gap(metric, duel.low), signed_gap(metric, duel.high)
        line.append(f" (95% interval {low} to {high}{' points' if percents(metric) else ''})")
    if duel.seeds:
        equal = f", equal on {duel.equal}" if duel.equal else ""
        line.append(f", better on {duel.better} of {count(duel.seeds, 'seed')}{equal}")
    line.append(f"; one run of the first beats one run of the second with probability {duel.improvement:.2f}: ")
    if duel.apart:
        return line.append("the first is better.", "bold green")
    line.append("no difference shown", "bold yellow")
    line.append(f", allowing for {len(made.rows)} settings." if duel.low > 0 else ".")
    if duel.more is None:
        return (
            line.append(" No realistic number of seeds would tell them apart: choose on other grounds (speed, size).")
            if duel.pairs > 1
            else line
        )
    needed = len(made.fresh) + duel.more
    if needed > MANY_SEEDS:
        return line.append(f" To tell them apart would take about {needed:,} seeds: in practice they are equal.")
    flag = f": --seeds {needed}" if made.trained else ""
    return line.append(f" About {count(duel.more, 'more seed')} would tell them apart{flag} (Noether 1987).")


def _luck(made: Confirmation) -> Text | None:
    """What the setting that had been first lost."""
    was = made.rows[(made.rows["n"] > 0) & made.rows["was"].notna()].sort_values("was")
    if not len(was):
        return None
    first = was.iloc[0]
    then, now = (show_metric(made.metric, first[name]) for name in ("selected", "mean"))
    who = "What was first" if first["was"] == 1 else "Of these, what was first"
    line = Text(
        f"{who} (rank {first['was']:.0f} of {made.candidates:,}) had {then} when selected, {now} on fresh seeds: "
    )
    way = "worse" if first["shrinkage"] > 0 else "better"
    line.append("no difference" if then == now else f"{show_gap(made.metric, first['shrinkage'])} {way}")
    low, high = first["shrinkage_low"], first["shrinkage_high"]
    if not missing(low):
        line.append(
            f" (95% interval of what it lost: {signed_gap(made.metric, low)} to {signed_gap(made.metric, high)})"
        )
        line.append(": it had been lucky" if low > 0 else "")
    return line.append(".")


def _left(made: Confirmation) -> Text | None:
    failed, left = int(made.rows["failed"].sum()), int(made.rows["left"].sum())
    told = []
    if left:
        told.append(f"{count(left, 'trial')} left: sweep resume {made.confirmation}")
    if failed and made.trained:
        told.append(f"{count(failed, 'trial')} failed: sweep resume {made.confirmation} --retry-failed")
    absent = int((made.rows["n"] == 0).sum()) if not made.trained else 0
    if absent:
        told.append(f"{count(absent, 'setting')} without a complete trial of another seed")
    return Text("; ".join(told), "yellow") if told else None


def confirmation_record(made: Confirmation) -> dict[str, Any]:
    """A confirmation as plain values, for `--json`."""
    best = made.rows.iloc[0] if (made.rows["n"] > 0).any() else None
    chosen = None
    if best is not None:
        chosen = {name: plain(best[name]) for name in (*made.swept, "number", "n", "mean", "low", "high")}
        chosen |= {name: plain(mean) for name, (mean, _, _) in made.tests.items()}
    return {
        "study": made.study,
        "confirmation": made.confirmation,
        "metric": made.metric,
        "direction": made.direction,
        "candidates": made.candidates,
        "selected_on": made.selected_on,
        "fresh": made.fresh,
        "constant": {name: plain(value) for name, value in made.constant.items()},
        "order_held": made.held,
        "covers": covers(made.data_splits),
        "settings": records(made.rows),
        "first_against_second": {name: plain(value) for name, value in vars(made.duel).items()} if made.duel else None,
        "selected": chosen,
    }


def _settings_text(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {show_value(value)}" for name, value in values.items())


def comparison_report(made: Comparison, top: int) -> RenderableType:
    """What each study cost and found, budgets, then settings in common."""
    trained = bool(made.studies["epochs"].any())
    names = [
        "study",
        "trials",
        "settings",
        *(["epochs", "time"] if trained else []),
        f"{made.metric} ▾",
        "95% interval",
    ]
    table = Columns()
    for name in [*names, "seeds"]:
        table.add_column(name, "left" if name == "study" else "right")
    best = made.studies["best"].min() if made.direction == "minimize" else made.studies["best"].max()
    for row in made.studies.to_dict("records"):
        told = [f"{row['trials']:,}", f"{row['settings']:,}"]
        told += [f"{row['epochs']:,}", show_seconds(row["seconds"])] if trained else []
        told += [show_metric(made.metric, row["best"]), show_interval(made.metric, row["low"], row["high"])]
        table.add_row(row["study"], *told, str(row["n"]), style="bold" if row["best"] == best else "")
    parts: list[RenderableType] = [table, Text(), Text("Best settings", "bold")]
    parts += [
        Text(f"{row['study']}: {_settings_text(row['setting']) or 'nothing varied'}")
        for row in made.studies.to_dict("records")
    ]
    parts += [
        Text(),
        Text(f"Best {made.metric} to expect from equal budgets", "bold"),
        _budgets(made.by_trials, made.metric),
    ]
    if len(made.by_epochs):
        parts += [Text(), _budgets(made.by_epochs, made.metric)]
    for common in made.common:
        parts += [Text(), *_common(common, made.metric, top)]
    missing_ = [name for name in made.studies["study"][1:] if name not in {common.second for common in made.common}]
    if missing_:
        parts += [Text(), Text(f"No setting of {join_words(missing_, 'or')} is in {made.studies['study'][0]}.", "dim")]
    notes = [f"note: {note}" for note in made.notes]
    if (made.studies["n"] > 1).any():
        notes.append(covers(made.data_splits))
    return Group(*parts, *(Text(note, "dim") for note in notes))


def _budgets(frame: pd.DataFrame, metric: str) -> RenderableType:
    table = Columns()
    for name in frame:
        table.add_column(str(name), justify="right")
    for budget, *values in frame.itertuples(index=False):
        table.add_row(f"{budget:,}", *(show_metric(metric, value) for value in values))
    return table


def _common(common: Common, metric: str, top: int) -> list[RenderableType]:
    """One pair of studies: the verdict, then the settings that differ most."""
    seeds = "the same seeds" if common.seeds else "other seeds"
    line = Text(
        f"{count(common.settings, 'setting')} of {common.first} {'is' if common.settings == 1 else 'are'} in "
        f"{common.second} too, on {seeds}: "
    )
    if common.verdict == "identical":
        return [line.append("identical to the last digit.", "bold green")]
    one, decided = common.judged, common.verdict in ("first", "second")
    line.append(f"{compared_sizes(metric, one)}: ")
    line.append(
        f"{getattr(common, common.verdict)} is better." if decided else f"{common.verdict}.",
        "bold green" if decided else "bold yellow",
    )
    if not top:
        return [line]
    rows = common.rows.reindex(common.rows["difference"].abs().sort_values(ascending=False, kind="stable").index)
    swept = [name for name in rows.columns[1 : rows.columns.get_loc("second")] if rows[name].nunique(dropna=False) > 1]
    table = Columns()
    for name in (*swept, common.first, common.second, f"{common.second} better by", "95% interval"):
        table.add_column(name, "right", folds=name in swept)
    for row in rows.head(top).to_dict("records"):
        cells = ["–" if missing(row[name]) else show_value(row[name]) for name in swept]
        interval = (
            "–" if missing(row["low"]) else f"{signed_gap(metric, row['low'])} to {signed_gap(metric, row['high'])}"
        )
        cells += [_mean_or_lost(metric, row[common.first], row["first_diverged"])]
        cells += [_mean_or_lost(metric, row[common.second], row["second_diverged"])]
        table.add_row(*cells, signed_gap(metric, row["difference"]), interval)
    more = [Text(f"… and {len(rows) - top:,} more that differ less (--top N)", "dim")] if len(rows) > top else []
    return [line, table, *more]


def _mean_or_lost(metric: str, mean: float, diverged: int) -> str:
    """A mean with the number of trials that diverged."""
    if not diverged:
        return show_metric(metric, mean)
    return "diverged" if missing(mean) else f"{show_metric(metric, mean)} ({diverged} diverged)"


def comparison_record(made: Comparison) -> dict[str, Any]:
    """A comparison as plain values, for `--json`."""
    studies = records(made.studies.drop(columns="setting"))
    for told, values in zip(studies, made.studies["setting"], strict=True):
        told["setting"] = {name: plain(value) for name, value in values.items()}
    common = [
        {
            **{name: plain(value) for name, value in vars(one).items() if name not in ("rows", "judged")},
            **record_comparison(one.judged),
            "verdict": one.verdict,
            "rows": records(one.rows),
        }
        for one in made.common
    ]
    return {
        "metric": made.metric,
        "direction": made.direction,
        "studies": studies,
        "expected_by_trials": records(made.by_trials),
        "expected_by_epochs": records(made.by_epochs),
        "common": common,
        "notes": made.notes,
        "covers": covers(made.data_splits),
    }
