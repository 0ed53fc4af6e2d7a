"""A confirmation and a comparison of studies as people read them. Needs rich."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.hyperparameters import show_value
from sweep.recipe import percents
from sweep.report.answers import (
    PRACTICALLY_EQUAL,
    compared_sizes,
    differs_by_less,
    equal_sentences,
    equals,
    record_comparison,
    show_margin,
)
from sweep.report.columns import Columns
from sweep.report.files import plain, records
from sweep.report.settings import show_interval
from sweep.report.tables import NUMBER_SCORES
from sweep.report.text import covers, missing, show_gap, show_metric, show_seconds, signed_gap
from sweep.space import seeds_text
from sweep.wording import count, join_words

MANY_SEEDS = 100
"""Seeds past which two settings that cannot be told apart are called equal in practice."""

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis.comparing import Common, Comparison
    from sweep.analysis.confirming import Confirmation, Duel
    from sweep.analysis.equality import Equality


def confirmation_report(confirmation: Confirmation) -> RenderableType:
    """The ranking on fresh seeds, whether the first can be told from the second, what had been luck."""
    name, seeds = confirmation.confirmation, seeds_text(confirmation.selected_on)
    where = "" if name == confirmation.study else f"{name}: "
    chosen = f"{count(len(confirmation.rows), 'setting')} of {confirmation.candidates:,}, selected on {seeds}"
    fresh = f"{count(len(confirmation.fresh), 'fresh seed')} ({seeds_text(confirmation.fresh)})"
    ranked = f"{chosen}; ranked by {confirmation.metric} on {fresh}"
    parts: list[RenderableType] = [Text.assemble((where, "bold"), ranked)]
    if confirmation.constant:
        parts.append(Text(f"all with {_settings_text(confirmation.constant)}", "dim"))
    parts += [Text(), _table(confirmation), Text()]
    lines = [say(confirmation) for say in (_order, _first_line, _luck, _left)]
    parts += [line for line in lines if line is not None]
    return Group(*parts, Text(covers(confirmation.data_splits), "dim"))


def _table(confirmation: Confirmation) -> RenderableType:
    table = Columns()
    states = [name for name in ("diverged", "pruned", "failed", "left") if confirmation.rows[name].any()]
    metric, swept = confirmation.metric, confirmation.swept
    names = ["rank", "rank before", *swept, "seeds", *states, "fresh seeds ▾", "95% interval", "when selected"]
    names.append("loss of lead (+ is worse)")
    for name in names:
        table.add_column(name, "right", folds=name in swept)
    for place, row in confirmation.rows.iterrows():
        measured = [show_metric(metric, row["mean"]), show_interval(metric, row["low"], row["high"])]
        measured += [show_metric(metric, row["selected"]), signed_gap(metric, row["shrinkage"])]
        cells = ["–" if missing(row[name]) else str(row[name]) for name in ("rank", "was")]
        cells += ["–" if missing(row[name]) else show_value(row[name]) for name in swept]
        cells += [str(row[name]) for name in ("n", *states)]
        table.add_row(*cells, *measured, style="bold" if place == 0 and row["n"] else "")
    return table


def _order(confirmation: Confirmation) -> Text | None:
    """Whether the fresh seeds gave the order that the selecting ones had."""
    if (confirmation.rows["n"] > 0).sum() < 2 or confirmation.rows["was"].isna().any():
        return None
    if confirmation.held:
        return Text("The order is the same as when selected.", "green")
    order = ", ".join(str(was) for was in confirmation.rows.loc[confirmation.rows["n"] > 0, "was"])
    return Text(f"The order changed: the former ranks are now {order}.", "yellow")


def _first_line(confirmation: Confirmation) -> Text | None:
    """The first against the second, with the test score of the one that is selected now."""
    if not (confirmation.rows["n"] > 0).any():
        return Text("No fresh trial is complete yet, so nothing is confirmed.", "yellow")
    best = confirmation.rows.iloc[0]
    line = _duel_line(confirmation, confirmation.duel) if confirmation.duel else Text()
    names = ", ".join(f"{name} {show_value(best[name])}" for name in confirmation.swept if not missing(best[name]))
    if confirmation.duel:
        line.append("\n")
    line.append("Selected on fresh seeds").append(f": {names}" if names else "", "bold")
    line.append(f"; {confirmation.metric} {show_metric(confirmation.metric, best['mean'])}")
    if best["n"] < 2:
        line.append(" (one seed: no interval)")
    words = {"test_loss": "loss"} if "test_accuracy" in confirmation.tests else NUMBER_SCORES
    scores = [
        f"{words.get(name, name.removeprefix('test_'))} {show_metric(name, mean)} ({show_interval(name, low, high)})"
        for name, (mean, low, high) in sorted(confirmation.tests.items())
    ]
    return line.append(f"; on test data {', '.join(scores)}." if scores else ".")


def _duel_line(confirmation: Confirmation, duel: Duel) -> Text:
    metric = confirmation.metric
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
    if duel.equality is not None and duel.equality.shown:
        line.append("practically equal", "bold green").append(f"; {_equal_text(metric, duel.equality)}.")
        return line.append(" That the first is better is shown, too, but by less than that." if duel.apart else "")
    if duel.apart:
        return line.append("the first is better.", "bold green")
    line.append("no difference shown", "bold yellow")
    line.append(f", allowing for {len(confirmation.rows)} settings." if duel.low > 0 else ".")
    line.append(_tell_apart(confirmation, duel))
    return line.append(_open_equality(confirmation, duel))


def _tell_apart(confirmation: Confirmation, duel: Duel) -> str:
    """How many seeds would tell the first from the second."""
    if duel.more is None:
        never = " No realistic number of seeds would tell them apart: choose on other grounds (speed, size)."
        return never if duel.pairs > 1 else ""
    needed = len(confirmation.fresh) + duel.more
    if needed > MANY_SEEDS:
        equal = ": in practice they are equal" if duel.margin is None else ""
        return f" To tell them apart would take about {needed:,} seeds{equal}."
    flag = f": --seeds {needed}" if confirmation.trained else ""
    return f" About {count(duel.more, 'more seed')} would tell them apart{flag} (Noether 1987)."


def _equal_text(metric: str, equality: Equality) -> str:
    """What is shown of two settings that are practically equal."""
    sides, ends = ("first", "second"), (equality.low, equality.high)
    p = f"{equals(equality.p)} over {count(equality.seeds, 'seed')}"
    return differs_by_less(metric, equality.margin, equality.scale, sides, ends, p)


def _open_equality(confirmation: Confirmation, duel: Duel) -> str:
    """What would show that the first and the second are practically equal, if a margin was given."""
    equality = duel.equality
    if duel.margin is None:
        return ""
    if equality is None:
        return " Too few seeds that both completed, or one of them diverged more often, to call them practically equal."
    less = show_margin(confirmation.metric, equality.margin, equality.scale)
    text = f" Nor is it shown that they are practically equal (less than {less} apart, {equals(equality.p)})"
    if math.isnan(equality.needed):
        return f"{text}, and with the difference as it is, more seeds would not show it."
    needed = int(max(equality.needed, equality.seeds + 1))
    flag = f" (--seeds {needed})" if confirmation.trained else ""
    return f"{text}; if the difference stays as it is, about {count(needed, 'seed')}{flag} would."


def _luck(confirmation: Confirmation) -> Text | None:
    """What the setting that had been first lost."""
    was = confirmation.rows[(confirmation.rows["n"] > 0) & confirmation.rows["was"].notna()].sort_values("was")
    if not len(was):
        return None
    first = was.iloc[0]
    metric = confirmation.metric
    then, now = (show_metric(metric, first[name]) for name in ("selected", "mean"))
    who = "What was first" if first["was"] == 1 else "Of these, what was first"
    rank = f"rank {first['was']:.0f} of {confirmation.candidates:,}"
    line = Text(f"{who} ({rank}) had {then} when selected, {now} on fresh seeds: ")
    way = "worse" if first["shrinkage"] > 0 else "better"
    line.append("no difference" if then == now else f"{show_gap(metric, first['shrinkage'])} {way}")
    low, high = first["shrinkage_low"], first["shrinkage_high"]
    if not missing(low):
        line.append(f" (95% interval of what it lost: {signed_gap(metric, low)} to {signed_gap(metric, high)})")
        line.append(": it had been lucky" if low > 0 else "")
    return line.append(".")


def _left(confirmation: Confirmation) -> Text | None:
    failed, left = int(confirmation.rows["failed"].sum()), int(confirmation.rows["left"].sum())
    parts = []
    if left:
        parts.append(f"{count(left, 'trial')} left: sweep resume {confirmation.confirmation}")
    if failed and confirmation.trained:
        parts.append(f"{count(failed, 'trial')} failed: sweep resume {confirmation.confirmation} --retry-failed")
    absent = int((confirmation.rows["n"] == 0).sum()) if not confirmation.trained else 0
    if absent:
        parts.append(f"{count(absent, 'setting')} without a complete trial of another seed")
    return Text("; ".join(parts), "yellow") if parts else None


def confirmation_record(confirmation: Confirmation) -> dict[str, Any]:
    """A confirmation as plain values, for `--json`."""
    best = confirmation.rows.iloc[0] if (confirmation.rows["n"] > 0).any() else None
    duel = confirmation.duel
    chosen = None
    if best is not None:
        chosen = {name: plain(best[name]) for name in (*confirmation.swept, "number", "n", "mean", "low", "high")}
        chosen |= {name: plain(mean) for name, (mean, _, _) in confirmation.tests.items()}
    return {
        "study": confirmation.study,
        "confirmation": confirmation.confirmation,
        "metric": confirmation.metric,
        "direction": confirmation.direction,
        "candidates": confirmation.candidates,
        "selected_on": confirmation.selected_on,
        "fresh": confirmation.fresh,
        "constant": {name: plain(value) for name, value in confirmation.constant.items()},
        "order_held": confirmation.held,
        "covers": covers(confirmation.data_splits),
        "settings": records(confirmation.rows),
        "first_against_second": _duel_record(duel) if duel else None,
        "selected": chosen,
    }


def _duel_record(duel: Duel) -> dict[str, Any]:
    """A duel as plain values; what is said of equality only where a margin was given."""
    out = {name: plain(value) for name, value in vars(duel).items() if name not in ("margin", "equality")}
    if duel.margin is None:
        return out
    known = duel.equality
    names = {"p": "p_equal", "needed": "needed_seeds_equal", "scale": "scale", "typical": "typical"}
    names |= {"low": "equal_low", "high": "equal_high"}
    told = {told: None if known is None else plain(getattr(known, name)) for name, told in names.items()}
    return out | {"margin": duel.margin, "verdict": duel.verdict, **told}


def _settings_text(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {show_value(value)}" for name, value in values.items())


def comparison_report(comparison: Comparison, top: int) -> RenderableType:
    """What each study cost and found, budgets, then settings in common."""
    studies, metric = comparison.studies, comparison.metric
    trained = bool(studies["epochs"].any())
    names = ["study", "trials", "settings", *(["epochs", "time"] if trained else []), f"{metric} ▾", "95% interval"]
    table = Columns()
    for name in [*names, "seeds"]:
        table.add_column(name, "left" if name == "study" else "right")
    best = studies["best"].min() if comparison.direction == "minimize" else studies["best"].max()
    for row in studies.to_dict("records"):
        cells = [f"{row['trials']:,}", f"{row['settings']:,}"]
        cells += [f"{row['epochs']:,}", show_seconds(row["seconds"])] if trained else []
        cells += [show_metric(metric, row["best"]), show_interval(metric, row["low"], row["high"])]
        table.add_row(row["study"], *cells, str(row["n"]), style="bold" if row["best"] == best else "")
    parts: list[RenderableType] = [table, Text(), Text("Best settings", "bold")]
    parts += [
        Text(f"{row['study']}: {_settings_text(row['setting']) or 'nothing varied'}")
        for row in studies.to_dict("records")
    ]
    parts += [Text(), Text(f"Best {metric} to expect from equal budgets", "bold")]
    parts.append(_budgets(comparison.by_trials, metric))
    if len(comparison.by_epochs):
        parts += [Text(), _budgets(comparison.by_epochs, metric)]
    for common in comparison.common:
        parts += [Text(), *_common(common, metric, top)]
    shared = {common.second for common in comparison.common}
    apart = [name for name in studies["study"][1:] if name not in shared]
    if apart:
        parts += [Text(), Text(f"No setting of {join_words(apart, 'or')} is in {studies['study'][0]}.", "dim")]
    notes = [f"note: {note}" for note in comparison.notes]
    if (studies["n"] > 1).any():
        notes.append(covers(comparison.data_splits))
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
    judged, decided = common.judged, common.verdict in ("first", "second")
    line.append(f"{compared_sizes(metric, judged)}: ")
    line.append(
        f"{getattr(common, common.verdict)} is better." if decided else f"{common.verdict}.",
        "bold green" if decided or common.verdict == PRACTICALLY_EQUAL else "bold yellow",
    )
    line.append("".join(f" {sentence}" for sentence in equal_sentences(metric, judged)))
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


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain values, for `--json`."""
    studies = records(comparison.studies.drop(columns="setting"))
    for record, values in zip(studies, comparison.studies["setting"], strict=True):
        record["setting"] = {name: plain(value) for name, value in values.items()}
    common = [
        {
            **{name: plain(value) for name, value in vars(pair).items() if name not in ("rows", "judged", "seeds")},
            "common_seeds": pair.seeds,
            **record_comparison(pair.judged),
            "verdict": pair.verdict,
            "rows": records(pair.rows),
        }
        for pair in comparison.common
    ]
    return {
        "metric": comparison.metric,
        "direction": comparison.direction,
        "studies": studies,
        "expected_by_trials": records(comparison.by_trials),
        "expected_by_epochs": records(comparison.by_epochs),
        "common": common,
        "notes": comparison.notes,
        "covers": covers(comparison.data_splits),
    }
