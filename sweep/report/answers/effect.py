"""The answer to `sweep effect`: sentences and tables, or plain values. Needs rich."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.hyperparameters import show_value
from sweep.report.answers.sentences import headline, holds_for, sentences, tuned_sentences
from sweep.report.answers.words import (
    NOT_COMPARABLE,
    SHOWN,
    SHOWN_HERE,
    interval,
    listed,
    lost_short,
    scale,
    show_difference,
    show_p,
)
from sweep.report.columns import Columns
from sweep.report.files import plain, records
from sweep.report.text import count, missing, show_metric

if TYPE_CHECKING:
    from sweep.analysis.effects import Effect
    from sweep.analysis.pairing import Comparison


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
        parts += _over_seeds(effect)
    if effect.others or effect.averaged:
        parts += [Text(), Text("Each at its best, after tuning the rest:", "bold"), _tuned_table(effect)]
        parts += [Text(sentence) for sentence in tuned_sentences(effect)]
    return [*parts, Text(), Text(holds_for(effect), "dim")]


def _over_seeds(effect: Effect) -> list[Text]:
    """What a verdict of "here" rests on: where no p of so few cells could be small enough, intervals over seeds."""
    judged = [one for one in effect.by_comparisons if one.n < one.fewest and not math.isnan(one.seed_low)]
    if not judged:
        return []
    each = "; ".join(f"{show_value(one.at)}: {interval(effect.metric, one.seed_low, one.seed_high)}" for one in judged)
    many = f", allowing for {len(effect.by_comparisons)} comparisons" if len(effect.by_comparisons) > 1 else ""
    return [
        Text(f'"here": too few cells for a small p, so judged in these cells alone, over seeds{many}: {each}', "dim")
    ]


def _matched(effect: Effect) -> str:
    """What is compared with what, in words."""
    rest = effect.others or []
    what = f"settings that agree on {listed(rest)}" if rest else "nothing else varies"
    text = f"{count(effect.settings, 'setting')}, {count(effect.seeds, 'seed')}; a cell: {what}"
    if effect.averaged:
        text += f"; {listed(effect.averaged)}, which not every level has, averaged within it"
    if effect.left_out:
        text += f"; not compared: {', '.join(f'{n:,} {state}' for state, n in effect.left_out.items())}"
    return text


def _level_table(effect: Effect) -> Columns:
    table, frame = Columns(), effect.levels
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


def _comparison_table(effect: Effect, comparisons: list[Comparison]) -> Columns:
    table = Columns()
    at, two = any(one.at is not None for one in comparisons), len({str(one.level) for one in comparisons}) == 1
    unit = scale(effect.metric)[1].strip()
    headers = [
        *([effect.by or ""] if at else []),
        effect.name,
        f"difference{f' ({unit})' if unit else ''}",
        "95% interval",
    ]
    for name in (*headers, "better in", "p", "p Holm"):
        table.add_column(name, "right", flows=name == "95% interval")
    table.add_column("", flows=True)
    reference = show_value(effect.reference)
    for one in comparisons:
        level = show_value(one.level)
        cells = [*([show_value(one.at)] if at else []), f"{level} – {reference}" if two else level]
        cells += [show_difference(effect.metric, one.mean), interval(effect.metric, one.low, one.high)]
        cells += [f"{one.improved:,} of {one.n:,}" if one.n else "–", show_p(one.p), show_p(one.p_holm)]
        better = show_value(one.better)
        verdict = {SHOWN: f"{better} better", SHOWN_HERE: f"{better} better here", NOT_COMPARABLE: "not comparable"}
        said = [verdict.get(one.verdict, "not shown"), lost_short(one)]
        said = [part for part in said if part][-1:] if not one.pairs else [part for part in said if part]
        table.add_row(
            *cells,
            "; ".join(said),
            style="" if one.verdict in (SHOWN, SHOWN_HERE) else "dim",
        )
    return table


def _tuned_table(effect: Effect) -> Columns:
    table, frame = Columns(), effect.tuned
    if "value" not in frame:
        return table
    unequal = frame["settings"].nunique() > 1
    known = ("level", "value", "low", "high", "seeds", "settings", "expected")
    rest = [name for name in frame.columns if name not in known]
    interval = bool(frame["low"].notna().any())
    headers = [effect.name, effect.metric, *(["95% interval"] if interval else []), "seeds", "best of"]
    for name in (*headers, *(["expected"] if unequal else [])):
        table.add_column(name, "right")
    table.add_column("with", flows=True)
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
