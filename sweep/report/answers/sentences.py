"""An effect in sentences: the answer, what must be known beside it, what would settle it. Needs nothing more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sweep.hyperparameters import TABLE, show_value
from sweep.report.answers.words import (
    NOT_COMPARABLE,
    SHOWN,
    SHOWN_HERE,
    equals,
    interval,
    listed,
    lost_short,
    scale,
    show_difference,
    show_p,
)
from sweep.report.tables import is_default
from sweep.report.text import count

if TYPE_CHECKING:
    from sweep.analysis.effects import Effect
    from sweep.analysis.pairing import Comparison


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
        f"{name} {reference} is better than {listed(worse)}{here}"
        if worse
        else f"{name} {listed(odd)} is better than {reference}"
    )
    return text + (f"; no difference shown from {listed(open_, 'or')}." if open_ else ".")


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
    text += f" on average (95%: {interval(metric, *ends, False)})" if not math.isnan(low) else " on average"
    text += f"; it is better in {wins:,} of {count(one.n, one.unit.removesuffix('s'))} ({100 * wins / one.n:.4g}%)"
    return f"{text}, {equals(one.p_holm)}{' (Holm)' if one.p_holm != one.p else ''}" if one.n > 1 else text


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
            f"It depends on {effect.by}: {', '.join(f'{side} is better at {listed(at)}' for side, at in sides.items())}."
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
            f"{more} diverges more: in {n} cells only {more} lost a seed, in {m} only the other ({equals(one.p_diverged)})."
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
                f"({interval(effect.metric, one.seed_low, one.seed_high)}){', which covers 0' if covers else ''}."
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
        return f"no cell of {effect.name} trained on both sides ({lost_short(effect.first)} of {a + b + both} cells)."
    why = f"no two of the {effect.settings:,} settings agree on everything but {effect.name}"
    return f"{why}, as in a search over ranges; a grid pairs (sweep grid), and each level's best is below."


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
            f"Tuned, no difference shown between {a} and {b}: {size}, over {gap.seeds} seeds ({interval(metric, gap.low, gap.high)})."
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
