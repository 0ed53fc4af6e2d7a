"""The answer to `sweep effect`: sentences and tables, or plain values. Needs rich."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.hyperparameters import show_value
from sweep.report.answers.equality import margin_of
from sweep.report.answers.sentences import headline, holds_for, sentences, tuned_sentences
from sweep.report.answers.words import (
    DEPENDS,
    NOT_COMPARABLE,
    PRACTICALLY_EQUAL,
    SHOWN,
    SHOWN_HERE,
    TOO_FEW,
    lost_short,
    scale,
    show_p,
    show_size,
    show_sizes,
)
from sweep.report.columns import Columns
from sweep.report.files import plain, records
from sweep.report.text import covers, missing, show_metric
from sweep.wording import count, join_words

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
    parts: list[RenderableType] = [
        head,
        Text(_explain_matching(effect), "dim"),
        *([Text(effect.race, "dim")] if effect.race else []),
        Text(),
        _level_table(effect),
        Text(),
    ]
    tuned = effect.others or effect.averaged
    for sentence in sentences(effect):
        parts.append(Text(sentence, "bold" if sentence == headline(effect) else ""))
    parts += [Text(sentence) for sentence in tuned_sentences(effect)] if tuned else []
    if len(effect.comparisons) > 1:
        title = f"Against {effect.name} {show_value(effect.reference)}, which has {effect.why}:"
        parts += [Text(), Text(title, "bold"), _comparison_table(effect, effect.comparisons)]
        parts += _legend(effect, effect.comparisons)
    if effect.by_comparisons:
        parts += [Text(), Text(f"At each {effect.by}:", "bold"), _comparison_table(effect, effect.by_comparisons)]
        parts += _legend(effect, effect.by_comparisons)
    if tuned:
        parts += [Text(), Text("Each at its best, after tuning the rest:", "bold"), _tuned_table(effect)]
    return [*parts, Text(), Text(footnote(effect), "dim")]


def footnote(effect: Effect) -> str:
    """What it holds for, and what its intervals cover."""
    return " ".join([holds_for(effect), *([covers(effect.data_splits)] if effect.seeds > 1 else [])])


def _legend(effect: Effect, comparisons: list[Comparison]) -> list[Text]:
    """What the signs in a table of comparisons mean."""
    out = []
    if any(comparison.scale == "ratio" for comparison in comparisons):
        out.append(f"×0.5: half the {effect.metric} of {show_value(effect.reference)}.")
    if any(comparison.verdict == SHOWN_HERE or comparison.unit == "seeds" for comparison in comparisons):
        out.append(
            "Where there are too few cells for a small p, seeds are compared, and “here” is about these cells only."
        )
    equal = [comparison for comparison in comparisons if comparison.verdict == PRACTICALLY_EQUAL]
    if equal:
        out.append(
            f"Practically equal: {effect.metric} differs by less than {margin_of(effect.metric, equal[0])}, as two "
            "one-sided tests show (p equal), whose interval is the 90% one."
        )
    if len(comparisons) > 1:
        out.append("p and intervals allow for all comparisons of this table (Holm).")
    return [Text(" ".join(out), "dim")] if out else []


def _explain_matching(effect: Effect) -> str:
    """What is compared with what, in words."""
    rest = effect.others or []
    pairs = f"each comparison (a “cell”) is between settings with the same {join_words(rest)}"
    what = pairs if rest else "nothing else varies"
    text = f"{count(effect.settings, 'setting')}, {count(effect.seeds, 'seed')}; {what}"
    if effect.averaged:
        text += f"; {join_words(effect.averaged)}, which not every level has, averaged within it"
    if effect.left_out:
        text += f"; not compared: {', '.join(f'{n:,} {state}' for state, n in effect.left_out.items())}"
    return text


def _level_table(effect: Effect) -> Columns:
    table, frame = Columns(), effect.levels
    diverged, ranked = bool(frame["diverged"].any()), bool(frame["rank"].notna().any())
    over = f"over {count(effect.common, 'cell')}" if effect.common else "over its own cells"
    names = ["trials", *(["diverged"] if diverged else []), "cells", f"mean {over}"]
    names += ["average rank (0 best, 1 worst)"] if ranked else []
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
    at = any(comparison.at is not None for comparison in comparisons)
    two = len({str(comparison.level) for comparison in comparisons}) == 1
    unit = scale(effect.metric)[1].strip()
    margin = any(comparison.margin is not None for comparison in comparisons)
    headers = [
        *([effect.by or ""] if at else []),
        effect.name,
        f"difference{f' ({unit})' if unit else ''}",
        "95% interval",
        "over",
        "wins (cells)",
        "p",
        *(["p equal"] if margin else []),
    ]
    for name in headers:
        table.add_column(name, "right", flows=name == "95% interval")
    table.add_column("", flows=True)
    reference = show_value(effect.reference)
    for comparison in comparisons:
        level = show_value(comparison.level)
        cells = [*([show_value(comparison.at)] if at else []), f"{level} – {reference}" if two else level]
        finite = math.isfinite(comparison.typical)
        size = (comparison.scale, comparison.typical) if finite else ("difference", comparison.mean)
        cells.append(show_size(effect.metric, *size))
        bounded = math.isfinite(comparison.low) or math.isfinite(comparison.high)
        ends = show_sizes(effect.metric, comparison.scale, comparison.low, comparison.high) if bounded else "–"
        cells.append(f"90%: {ends}" if comparison.verdict == PRACTICALLY_EQUAL else ends)
        cells.append(_over(comparison))
        cells += [f"{comparison.improved:,} of {comparison.n:,}" if comparison.n else "–", show_p(comparison.p_holm)]
        cells += [show_p(comparison.p_equal_holm)] if margin else []
        better = show_value(comparison.better)
        verdict = {
            SHOWN: f"{better} better",
            SHOWN_HERE: f"{better} better here",
            DEPENDS: "depends on the cell",
            TOO_FEW: "too few to tell",
            NOT_COMPARABLE: "not comparable",
            PRACTICALLY_EQUAL: f"practically equal{' here' if comparison.unit == 'seeds' else ''}",
        }
        said = [verdict.get(comparison.verdict, "not shown"), lost_short(comparison)]
        said = said[1:] if comparison.verdict == TOO_FEW and not comparison.pairs and comparison.n else said
        decided = comparison.verdict in (SHOWN, SHOWN_HERE, PRACTICALLY_EQUAL)
        table.add_row(*cells, "; ".join(part for part in said if part), style="" if decided else "dim")
    return table


def _over(comparison: Comparison) -> str:
    """What a comparison was judged over."""
    if comparison.unit == "seeds" and comparison.over_seeds is not None:
        return count(len(comparison.over_seeds.x), "seed")
    return count(comparison.n, "cell") if comparison.n else "–"


def _tuned_table(effect: Effect) -> Columns:
    table, frame = Columns(), effect.tuned
    if "value" not in frame:
        return table
    unequal, fresh = frame["settings"].nunique() > 1, "selected" in frame
    known = ("level", "value", "low", "high", "seeds", "settings", "expected", "selected")
    rest = [name for name in frame.columns if name not in known]
    judged = bool(frame["low"].notna().any())
    headers = [effect.name, effect.metric, *(["95% over seeds"] if judged else []), "seeds", "best of"]
    if fresh:
        headers = [name.replace("seeds", "fresh seeds") for name in headers]
        headers.insert(1, "when selected")
    for name in (*headers, *(["expected"] if unequal else [])):
        table.add_column(name, "right")
    table.add_column("with", flows=True)
    for row in frame.to_dict("records"):
        if missing(row["value"]):
            selected = [show_metric(effect.metric, row["selected"])] if fresh else []
            blank = [""] if judged else []
            table.add_row(show_value(row["level"]), *selected, "diverged", *blank, "", f"{row['settings']:,}")
            continue
        cells = [show_value(row["level"]), *([show_metric(effect.metric, row["selected"])] if fresh else [])]
        cells.append(show_metric(effect.metric, row["value"]))
        if judged:
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
        "text": [*sentences(effect), *tuned_sentences(effect), holds_for(effect), *filter(None, [effect.race])],
        "common_cells": effect.common,
        "reference": plain(effect.reference),
        "why": effect.why,
        "matched": effect.others,
        "averaged": effect.averaged,
        "levels": records(effect.levels),
        "comparisons": [record_comparison(comparison) for comparison in effect.comparisons],
        "by": effect.by,
        "by_comparisons": [record_comparison(comparison) for comparison in effect.by_comparisons],
        "tuned": records(effect.tuned),
        "gap": None if effect.gap is None else {name: plain(value) for name, value in vars(effect.gap).items()},
        "covers": covers(effect.data_splits) if effect.seeds > 1 else None,
        "fixed": {name: plain(value) for name, value in effect.fixed.items()},
    }


def record_comparison(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain values; an end that is open is null."""
    left_out = ["divergence", "lost", "outcomes", "means", "over_seeds", "sign", "log"]
    if comparison.margin is None:
        left_out += ["margin", "p_equal", "p_equal_holm", "needed_seeds_equal", "needed_cells_equal"]
    out: dict[str, Any] = {name: plain(value) for name, value in vars(comparison).items() if name not in left_out}
    sides, spread = ("level", "reference", "both"), comparison.divergence
    out["share_improved"] = comparison.improved / comparison.n if comparison.n else None
    out["better"] = plain(comparison.better)
    out["lost"] = dict(zip(sides, comparison.lost, strict=True))
    out["diverged"] = {
        "cells": dict(zip(sides, spread.cells, strict=False)),
        "trials": dict(zip(sides, spread.trials, strict=False)),
        "of": spread.of,
        "p": plain(spread.p),
        "shown": spread.shown,
    }
    out["over"] = _over(comparison)
    return out
