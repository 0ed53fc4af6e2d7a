"""Answers in words and tables: effects, importance, remarks. Needs rich."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweep.hyperparameters import TABLE, show_value
from sweep.report.files import plain, records
from sweep.report.tables import is_default
from sweep.report.text import count, missing, plain_table, show_metric

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis import StudyTable
    from sweep.analysis.check import Remark
    from sweep.analysis.effects import Effect
    from sweep.analysis.importance import Importance
    from sweep.analysis.pairing import Comparison

SHOWN, SHOWN_HERE, NOT_COMPARABLE = "shown", "shown in these cells", "not comparable"


def scale(metric: str) -> tuple[float, str]:
    """What a metric's differences are multiplied by, and their unit: accuracies are told in points."""
    return (100.0, " points") if metric.endswith("accuracy") else (1.0, "")


def show_difference(metric: str, value: float, signed: bool = True, beside: float = 0.0) -> str:
    """A difference of a metric: +0.0123, accuracies in points: -1.23; with as many digits as one `beside` it needs."""
    if math.isnan(value):
        return "–"
    factor, unit = scale(metric)
    size = max(abs(value), abs(beside))
    digits = 2 if unit else 4 if size >= 0.001 or size == 0 else 6
    return f"{factor * value:{'+' if signed else ''}.{digits}f}"


def show_p(p: float) -> str:
    """A p value as papers print it: .0412, < .0001."""
    if math.isnan(p):
        return "–"
    return "< .0001" if p < 0.0001 else "1" if p > 0.99995 else f"{p:.4f}".removeprefix("0")


def _equals(p: float) -> str:
    text = show_p(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _interval(metric: str, low: float, high: float, signed: bool = True) -> str:
    if math.isnan(low):
        return "–"
    return f"{show_difference(metric, low, signed, high)} to {show_difference(metric, high, signed, low)}"


# Effects


def effect_report(effects: Iterable[Effect]) -> RenderableType:
    """The answers to `sweep effect`, one after another."""
    parts: list[RenderableType] = []
    for effect in effects:
        parts += [Text(), *_effect_parts(effect)]
    return Group(*parts[1:])


def _effect_parts(effect: Effect) -> list[RenderableType]:
    way = "less" if effect.direction == "minimize" else "more"
    head = Text.assemble(
        ("Effect of "), (effect.name, "bold"), f" on {effect.metric} ({way} is better), study {effect.study}"
    )
    parts: list[RenderableType] = [head, Text(_matched(effect), "dim"), Text(), _level_table(effect), Text()]
    for sentence in sentences(effect):
        parts.append(Text(sentence, "bold" if sentence == headline(effect) else ""))
    if len(effect.comparisons) > 1:
        parts += [
            Text(),
            Text(f"Against {show_value(effect.reference)}:", "bold"),
            _comparison_table(effect, effect.comparisons),
        ]
    if effect.by_comparisons:
        parts += [Text(), Text(f"At each {effect.by}:", "bold"), _comparison_table(effect, effect.by_comparisons)]
    if effect.others or effect.averaged:
        parts += [Text(), Text("Each at its best, after tuning the rest:", "bold"), _tuned_table(effect)]
        parts += [Text(sentence) for sentence in tuned_sentences(effect)]
    return [*parts, Text(), Text(holds_for(effect), "dim")]


def _matched(effect: Effect) -> str:
    """What is compared with what, in words."""
    rest = effect.others or []
    what = f"settings that agree on {_and(rest)}" if rest else "nothing else varies"
    text = f"{count(effect.settings, 'setting')}, {count(effect.seeds, 'seed')}; a cell: {what}"
    if effect.averaged:
        text += f"; {_and(effect.averaged)}, which not every level has, averaged within it"
    if effect.left_out:
        text += f"; not compared: {', '.join(f'{n:,} {state}' for state, n in effect.left_out.items())}"
    return text


def _level_table(effect: Effect) -> Table:
    table, frame = plain_table(), effect.levels
    diverged, ranked = bool(frame["diverged"].any()), bool(frame["rank"].notna().any())
    names = ["trials", *(["diverged"] if diverged else []), "cells", "mean", *(["mean place"] if ranked else [])]
    for name in (effect.name, *names):
        table.add_column(name, justify="right")
    for row in frame.to_dict("records"):
        cells = [show_value(row["level"]), f"{row['trials']:,}"]
        cells += [f"{row['diverged']:,}"] if diverged else []
        cells += [f"{row['cells']:,}", show_metric(effect.metric, row["mean"])]
        cells += [f"{row['rank']:.2f}" if not missing(row["rank"]) else "–"] if ranked else []
        table.add_row(*cells, style="bold" if row["level"] == effect.reference and len(frame) > 2 else "")
    return table


def _comparison_table(effect: Effect, comparisons: list[Comparison]) -> Table:
    table = plain_table()
    at, two = any(one.at is not None for one in comparisons), len({str(one.level) for one in comparisons}) == 1
    unit = scale(effect.metric)[1].strip()
    headers = [
        *([effect.by or ""] if at else []),
        effect.name,
        f"difference{f' ({unit})' if unit else ''}",
        "95% interval",
    ]
    for name in (*headers, "better in", "p", "p Holm"):
        table.add_column(name, justify="right", no_wrap=name != "95% interval")  # what gives way where it is narrow
    table.add_column("")
    reference = show_value(effect.reference)
    for one in comparisons:
        level = show_value(one.level)
        cells = [*([show_value(one.at)] if at else []), f"{level} – {reference}" if two else level]
        cells += [show_difference(effect.metric, one.mean), _interval(effect.metric, one.low, one.high)]
        cells += [f"{one.improved:,} of {one.n:,}" if one.n else "–", show_p(one.p), show_p(one.p_holm)]
        better = show_value(one.better)
        verdict = {SHOWN: f"{better} better", SHOWN_HERE: f"{better} better here", NOT_COMPARABLE: "not comparable"}
        said = [verdict.get(one.verdict, "not shown"), _lost_short(one)]
        said = [part for part in said if part][-1:] if not one.pairs else [part for part in said if part]
        table.add_row(
            *cells,
            "; ".join(said),
            style="" if one.verdict in (SHOWN, SHOWN_HERE) else "dim",
        )
    return table


def _lost_short(one: Comparison) -> str:
    a, b, both = one.lost
    parts = [f"{n} {show_value(side)}" for n, side in ((a, one.level), (b, one.reference)) if n]
    parts += [f"{both} both"] if both else []
    return f"diverged: {', '.join(parts)}" if parts else ""


def headline(effect: Effect) -> str:
    """The answer in one sentence."""
    name, one = effect.name, effect.first
    if effect.bucketed or not effect.comparisons:
        return f"Not comparable: {name} took so many values that hardly any two settings agree on everything else; its ranges are below."
    if one.pairs == 0 and all(other.pairs == 0 for other in effect.comparisons):
        return f"Not comparable: {_why_no_pairs(effect)}"
    if len(effect.comparisons) == 1:
        return _two_levels(effect, one)
    reference = show_value(effect.reference)
    worse = [show_value(o.level) for o in effect.comparisons if o.verdict in (SHOWN, SHOWN_HERE) and o.direction < 0]
    odd = [show_value(o.level) for o in effect.comparisons if o.verdict in (SHOWN, SHOWN_HERE) and o.direction > 0]
    open_ = [show_value(o.level) for o in effect.comparisons if o.verdict not in (SHOWN, SHOWN_HERE)]
    if not worse and not odd:
        return f"No difference shown between {name} {reference}, which has {effect.why}, and the others ({', '.join(open_)})."
    here = " in these cells" if all(o.verdict != SHOWN for o in effect.comparisons) else ""
    text = (
        f"{name} {reference} is better than {_and(worse)}{here}"
        if worse
        else f"{name} {_and(odd)} is better than {reference}"
    )
    return text + (f"; no difference shown from {_and(open_, 'or')}." if open_ else ".")


def _two_levels(effect: Effect, one: Comparison) -> str:
    better, worse = (one.level, one.reference) if one.direction >= 0 else (one.reference, one.level)
    a, b = show_value(better), show_value(worse)
    if one.verdict in (SHOWN, SHOWN_HERE):
        here = " in these cells" if one.verdict == SHOWN_HERE else ""
        return f"{effect.name} {a} is better than {b}{here}: {_by_how_much(effect, one)}."
    return f"No difference shown between {effect.name} {a} and {b}: {_by_how_much(effect, one)}."


def _by_how_much(effect: Effect, one: Comparison) -> str:
    """The mean difference from the side of the level that is better, its interval, the share of pairs, p."""
    metric = effect.metric
    up = one.mean > 0
    of = one.level if one.direction >= 0 else one.reference
    mean, low, high = (one.mean, one.low, one.high) if one.direction >= 0 else (-one.mean, -one.high, -one.low)
    wins = one.improved if one.direction >= 0 else one.worsened
    up = mean > 0
    ends = (low, high) if up else (-high, -low)
    text = f"{metric} with {show_value(of)} is {'higher' if up else 'lower'} by {show_difference(metric, abs(mean), False)}{scale(metric)[1]}"
    text += f" on average (95%: {_interval(metric, *ends, False)})" if not math.isnan(low) else " on average"
    text += f"; it is better in {wins:,} of {count(one.n, one.unit.removesuffix('s'))} ({100 * wins / one.n:.4g}%)"
    return f"{text}, {_equals(one.p_holm)}{' (Holm)' if one.p_holm != one.p else ''}" if one.n > 1 else text


def sentences(effect: Effect) -> list[str]:
    """The answer and what must be known beside it."""
    out = [headline(effect)]
    for one in effect.comparisons if len(effect.comparisons) == 1 else []:
        out += _beside(effect, one)
    if len(effect.comparisons) > 1:
        most = max(effect.comparisons, key=lambda one: one.n)
        if 0 < most.n < most.fewest:
            out.append(_too_few(most, len(effect.comparisons)))
        out += _advice_many(effect)
    return [*out, *_depends(effect)]


def _depends(effect: Effect) -> list[str]:
    """Whether the answer is another one at other values of a second hyperparameter."""
    if effect.by_comparisons:
        sides: dict[str, list[str]] = {}
        for one in effect.by_comparisons:
            if one.verdict in (SHOWN, SHOWN_HERE):
                sides.setdefault(show_value(one.better), []).append(show_value(one.at))
        if len(sides) < 2:
            return []
        return [
            f"It depends on {effect.by}: {', '.join(f'{side} is better at {_and(at)}' for side, at in sides.items())}."
        ]
    if effect.splits is None:
        return []
    name, share = effect.splits
    return [
        f"The sign changes with {name}, which tells {100 * share:.0f}% of the differences' spread: ask again with --by {name}."
    ]


def _beside(effect: Effect, one: Comparison) -> list[str]:
    out, level, reference = [], show_value(one.level), show_value(one.reference)
    a, b, both = one.lost
    if a or b or both:
        total = one.pairs + a + b + both
        parts = [f"in {n} only {side} diverged" for n, side in ((a, level), (b, reference)) if n]
        parts += [f"in {both} both diverged"] if both else []
        out.append(
            f"{one.pairs:,} of {total:,} pairs have numbers; {', '.join(parts)}. The mean is over the others, where both trained."
        )
    if one.p_diverged <= 0.05:
        more, n, m = (level, *one.diverged) if one.diverged[0] > one.diverged[1] else (reference, *one.diverged[::-1])
        out.append(
            f"{more} diverges more: in {n} cells only {more} lost a seed, in {m} only the other ({_equals(one.p_diverged)})."
        )
    if one.unmatched and one.pairs:
        out.append(
            f"{count(one.unmatched, 'more cell')} {'has' if one.unmatched == 1 else 'have'} one side only and {'is' if one.unmatched == 1 else 'are'} not compared."
        )
    if one.unit == "seeds":
        out.append(f"There is one cell, so this is over its {count(one.n, 'seed')} and holds for this setting alone.")
    elif 0 < one.n < one.fewest:
        out.append(_too_few(one))
        if not math.isnan(one.seed_low):
            covers = one.seed_low <= 0 <= one.seed_high
            out.append(
                f"Over {len(one.by_seed)} seeds, for {'this cell' if one.n == 1 else f'these {one.n} cells'} alone: {level} – {reference} is "
                f"{show_difference(effect.metric, sum(one.by_seed) / len(one.by_seed))}{scale(effect.metric)[1]} "
                f"({_interval(effect.metric, one.seed_low, one.seed_high)}){', which covers 0' if covers else ''}."
            )
    if one.verdict == SHOWN and (one.mean * one.median < 0 or one.low <= 0 <= one.high):
        out.append(
            f"Few {one.unit} pull the mean: the median difference is {show_difference(effect.metric, one.median)}{scale(effect.metric)[1]} ({level} – {reference})."
        )
    if one.verdict not in (SHOWN, NOT_COMPARABLE):
        out.append(_settle(one))
    return out


def _too_few(one: Comparison, family: int = 1) -> str:
    """That so few pairs cannot show anything by the signed-rank test."""
    least = show_p(min(1.0, 2.0 ** (1 - one.n) * family))
    what = f"{count(one.n, one.unit.removesuffix('s'))} cannot show a difference beyond {'itself' if one.n == 1 else 'themselves'}"
    held = f" for {family} comparisons" if family > 1 else ""
    return f"{what}: with all on one side p is {least}{held}; {one.fewest} could."


def _settle(one: Comparison) -> str:
    """What would settle a question that is open."""
    if one.n < 2:
        return "One pair of single trials says nothing about chance: repeat with --seeds 10."
    seeds, cells = one.needed_seeds, one.needed_cells
    now = one.seeds if one.unit == "cells" else one.n
    if one.unit == "seeds" and not math.isnan(seeds):
        seeds = max(seeds, now + 1)
    parts = [f"{seeds:,.0f} seeds a setting (now {now})"] if seeds > now else []
    parts += [f"{max(cells, one.n + 1):,.0f} cells (now {one.n})"] if not math.isnan(cells) else []
    if not parts:
        return "If there is a difference, it is too small or too uneven for more of the same to settle."
    return f"If the difference is as large as it looks, about {' or '.join(parts)} would show it four times in five."


def _advice_many(effect: Effect) -> list[str]:
    open_ = [one for one in effect.comparisons if one.verdict not in (SHOWN, SHOWN_HERE) and one.pairs]
    if not open_:
        return []
    one = min(open_, key=lambda one: abs(one.p))
    return [f"Of {show_value(one.level)}: {_settle(one)[0].lower()}{_settle(one)[1:]}"]


def _why_no_pairs(effect: Effect) -> str:
    a, b, both = (sum(one.lost[i] for one in effect.comparisons) for i in range(3))
    if a + b + both:
        return f"no cell of {effect.name} trained on both sides ({_lost_short(effect.first)} of {a + b + both} cells)."
    why = f"no two of the {effect.settings:,} settings agree on everything but {effect.name}"
    return f"{why}, as in a search over ranges; a grid pairs (sweep grid), and each level's best is below."


def _tuned_table(effect: Effect) -> Table:
    table, frame = plain_table(), effect.tuned
    if "value" not in frame:
        return table
    unequal = frame["settings"].nunique() > 1
    known = ("level", "value", "low", "high", "seeds", "settings", "expected")
    rest = [name for name in frame.columns if name not in known]
    interval = bool(frame["low"].notna().any())
    headers = [effect.name, effect.metric, *(["95% interval"] if interval else []), "seeds", "best of"]
    for name in (*headers, *(["expected"] if unequal else [])):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("with")
    for row in frame.to_dict("records"):
        if missing(row["value"]):
            table.add_row(show_value(row["level"]), "diverged", *([""] if interval else []), "", f"{row['settings']:,}")
            continue
        cells = [show_value(row["level"]), show_metric(effect.metric, row["value"])]
        if interval:
            ends = (show_metric(effect.metric, row[end]) for end in ("low", "high"))
            cells.append("–" if missing(row["low"]) else " to ".join(ends))
        cells += [f"{row['seeds']:.0f}", f"{row['settings']:,}"]
        cells += [show_metric(effect.metric, row["expected"])] if unequal else []
        table.add_row(*cells, ", ".join(f"{name} {show_value(row[name])}" for name in rest if not missing(row[name])))
    return table


def tuned_sentences(effect: Effect) -> list[str]:
    """What the best settings of the levels say."""
    gap, out = effect.gap, []
    if gap is None:
        return ["Fewer than two levels have a setting that trained."]
    a, b, metric = show_value(gap.best), show_value(gap.second), effect.metric
    size = f"{show_difference(metric, abs(gap.mean), False)}{scale(metric)[1]}"
    if math.isnan(gap.low):
        out.append(f"Tuned, {a} is ahead of {b} by {size}; with one seed in common, luck can't be told from it.")
    elif gap.low <= 0 <= gap.high:
        out.append(
            f"Tuned, no difference shown between {a} and {b}: {size}, over {gap.seeds} seeds ({_interval(metric, gap.low, gap.high)})."
        )
    else:
        out.append(
            f"Tuned, {a} is ahead of {b} by {size} over the {gap.seeds} seeds it was chosen on; fresh seeds would confirm it (sweep confirm {effect.study})."
        )
    settings = effect.tuned["settings"]
    if settings.nunique() > 1:
        out.append(f"Levels were given unequal tries; expected: the best of {settings.min():,} settings drawn of each.")
    return out


def holds_for(effect: Effect) -> str:
    """What was fixed: the answer says nothing beyond it."""
    fixed = effect.fixed
    told = {
        name: v for name, v in fixed.items() if name == "epochs" or name not in TABLE or not is_default(name, v, fixed)
    }
    shown = ", ".join(f"{name} {show_value(value)}" for name, value in told.items())
    rest = len(fixed) - len(told)
    parts = [
        *([shown] if shown else []),
        *(
            [f"{count(rest, 'other hyperparameter')} at {'its default' if rest == 1 else 'their defaults'}"]
            if rest
            else []
        ),
    ]
    return f"Holds for: {'; '.join(parts) or 'the values of this study alone'}."


def _and(names: Iterable[str], word: str = "and") -> str:
    names = list(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else "".join(names)


def effect_json(effect: Effect) -> dict[str, Any]:
    """An effect as plain values."""
    return {
        "study": effect.study,
        "name": effect.name,
        "metric": effect.metric,
        "direction": effect.direction,
        "verdict": effect.verdict,
        "text": [*sentences(effect), *tuned_sentences(effect), holds_for(effect)],
        "reference": plain(effect.reference),
        "why": effect.why,
        "matched": effect.others,
        "averaged": effect.averaged,
        "levels": records(effect.levels),
        "comparisons": [_comparison_json(one) for one in effect.comparisons],
        "by": effect.by,
        "by_comparisons": [_comparison_json(one) for one in effect.by_comparisons],
        "tuned": records(effect.tuned),
        "gap": None if effect.gap is None else {name: plain(value) for name, value in vars(effect.gap).items()},
        "fixed": {name: plain(value) for name, value in effect.fixed.items()},
    }


def _comparison_json(one: Comparison) -> dict[str, Any]:
    out: dict[str, Any] = {
        name: plain(value) for name, value in vars(one).items() if name not in ("lost", "diverged", "by_seed")
    }
    sides = ("level", "reference", "both")
    out["share_improved"] = one.improved / one.n if one.n else None
    out["better"] = plain(one.better)
    out["lost"] = dict(zip(sides, one.lost, strict=True))
    out["diverged"] = dict(zip(sides, one.diverged, strict=False))
    out["by_seed"] = list(one.by_seed)
    return out


# Importance


def importance_report(found: Importance) -> RenderableType:
    """The answer to `sweep importance`."""
    over = f"{count(found.settings, 'setting')}" + (
        f" x {count(found.seeds, 'seed')}" if found.method == "exact" else ""
    )
    head = Text.assemble("What explains ", (found.metric, "bold"), f" in study {found.study}, {over}")
    parts: list[RenderableType] = [
        head,
        Text(importance_method(found), "dim"),
        Text(),
        _share_table(found.shares, ["name"]),
    ]
    if len(found.pairs):
        parts += [
            Text(),
            Text("Two together, beyond each alone:", "bold"),
            _share_table(found.pairs, ["first", "second"]),
        ]
    return Group(*parts, Text(), *(Text(sentence) for sentence in importance_sentences(found)))


def importance_method(found: Importance) -> str:
    """How it was found, in words."""
    of = f"{'log ' if found.scale == 'log' else ''}{found.metric}"
    if found.method == "exact":
        return f"exact shares of the variance of {of} over a whole grid of seed means (functional ANOVA)"
    if found.method == "fanova":
        return f"estimated shares of the variance of {of} (fANOVA of a random forest), since {found.note}"
    return f"what sets the best tenth by {found.metric} apart (PED-ANOVA, as shares of 1), since {found.note}"


def importance_sentences(found: Importance) -> list[str]:
    """What must be known beside the shares."""
    out = []
    if not math.isnan(found.interactions):
        noise = f"; the seeds' noise is {found.noise:.4f} of all" if not math.isnan(found.noise) else ""
        out.append(
            f"Each alone: {1 - found.interactions:.4f} in all; left to interactions: {max(found.interactions, 0.0):.4f}{noise}."
        )
    out.append(
        f"Intervals (95%) are over {found.interval}."
        if found.interval
        else "One seed gives no interval: --seeds 3 would."
    )
    if len(found.shares) == 1:
        out.append(
            f"{found.shares['name'].iloc[0]} alone varies, so all of it is its share; sweep effect says which value is better."
        )
    out.append("A share is of the ranges that were swept: the wider a range, the larger.")
    return out


def _share_table(frame: pd.DataFrame, names: list[str]) -> Table:
    table = plain_table()
    for name in names:
        table.add_column("hyperparameter" if name == "name" else name)
    interval = bool(frame["low"].notna().any())
    table.add_column("share", justify="right")
    if interval:
        table.add_column("95% interval", justify="right")
    table.add_column("")
    largest = max(float(frame["share"].max()), 1e-12)
    for row in frame.head(40).to_dict("records"):
        cells = [str(row[name]) for name in names] + [f"{row['share']:.4f}"]
        cells += [f"{row['low']:.4f} to {row['high']:.4f}"] if interval else []
        table.add_row(*cells, Text("█" * round(24 * max(row["share"], 0.0) / largest), "cyan"))
    return table


def importance_json(found: Importance) -> dict[str, Any]:
    """An importance as plain values."""
    frames = {"shares": records(found.shares), "pairs": records(found.pairs)}
    rest = {name: plain(value) for name, value in vars(found).items() if name not in frames}
    return rest | frames | {"text": [importance_method(found), *importance_sentences(found)]}


# Remarks


def check_report(table: StudyTable, remarks: list[Remark], unread: list[str]) -> list[RenderableType]:
    """The answer to `sweep check`, part by part; commands are texts of their own, that they can be copied whole."""
    states = table.trials["state"].value_counts()
    counts = ", ".join(f"{n:,} {state}" for state, n in states.items())
    parts: list[RenderableType] = [
        Group(Text.assemble("Study ", (table.name, "bold"), f", by {table.metric}: {counts}"))
    ]
    if not remarks:
        parts.append(Text("\nNothing to remark.", "green"))
    for remark in remarks:
        sentence = remark.text[0].upper() + remark.text[1:] + "."
        parts += [Group(Text(), Text.assemble((f"{remark.kind}  ", "bold yellow"), sentence))]
        parts += [Text(f"  {remark.command}", "cyan")] if remark.command else []
    if unread:
        parts.append(Group(Text(), Text(f"Not read: {_and(unread)}.", "dim")))
    return parts


def check_json(table: StudyTable, remarks: list[Remark], unread: list[str]) -> dict[str, Any]:
    """Remarks as plain values."""
    rows = [
        {
            "kind": remark.kind,
            "text": remark.text,
            "command": remark.command,
            "numbers": {
                name: plain(value) if not isinstance(value, list | dict) else value
                for name, value in remark.numbers.items()
            },
        }
        for remark in remarks
    ]
    return {
        "study": table.name,
        "metric": table.metric,
        "direction": table.direction,
        "remarks": rows,
        "unread": unread,
    }
