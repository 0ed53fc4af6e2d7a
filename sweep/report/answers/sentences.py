"""An effect in sentences: the answer, what must be known beside it, what would settle it. Needs nothing more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweep.hyperparameters import TABLE, show_value
from sweep.report.answers.words import (
    DEPENDS,
    LEVEL,
    NOT_COMPARABLE,
    NOT_SHOWN,
    SHOWN,
    SHOWN_HERE,
    TOO_FEW,
    equals,
    interval,
    scale,
    show_difference,
    show_p,
    show_ratio,
)
from sweep.report.tables import is_default
from sweep.wording import count, join_words

if TYPE_CHECKING:
    from sweep.analysis.effects import Effect
    from sweep.analysis.pairing import Comparison


def headline(effect: Effect) -> str:
    """The answer in one sentence."""
    name = effect.name
    if effect.bucketed or not effect.comparisons:
        return (
            f"Not comparable: {name} took so many values that hardly any two settings agree on everything else; "
            "its ranges are below."
        )
    if all(one.n == 0 for one in effect.comparisons):
        return f"Not comparable: {_explain_no_pairs(effect)}"
    return _two_levels(effect, effect.first) if len(effect.comparisons) == 1 else _many_levels(effect)


def _two_levels(effect: Effect, one: Comparison) -> str:
    a, b = (show_value(side) for side in _sides(one, one.direction))
    verdict = {
        SHOWN: f"{effect.name} {a} is better than {b}",
        SHOWN_HERE: f"{effect.name} {a} is better than {b} in {_these(one)}",
        DEPENDS: f"Which of {effect.name} {a} and {b} is better depends on the cell",
        TOO_FEW: f"Too few {'cells' if one.unit == 'cells' else 'seeds'} to tell {effect.name} {a} from {b}",
        NOT_SHOWN: f"No difference shown between {effect.name} {a} and {b}",
    }[one.verdict]
    diverged, won, trained = _divergence(effect, one), _won(one), _where_trained(effect, one)
    if not diverged:
        return f"{verdict}: {'; '.join(part for part in (won, _size(effect, one, one.direction)) if part)}."
    if one.verdict == SHOWN_HERE and one.p_holm > LEVEL:  # divergence alone decides
        rest = f"; {trained}, which shows no difference" if trained else ""
        return f"{effect.name} {a} is better than {b}: {diverged}{rest}."
    if one.verdict in (TOO_FEW, NOT_SHOWN):
        said = f"{diverged[0].upper()}{diverged[1:]}"
        if one.verdict == TOO_FEW:
            return f"{said}. {f'Too few cells to say more: {trained}' if trained else 'Too few trials to say more'}."
        return f"{said}. Over all cells, {verdict[0].lower()}{verdict[1:]}: {won}; {trained}."
    return f"{verdict}: {'; '.join(part for part in (diverged, won, trained) if part)}."


def _sides(one: Comparison, direction: int) -> tuple[Any, Any]:
    """The level that a direction favours, and the other one."""
    return (one.level, one.reference) if direction >= 0 else (one.reference, one.level)


def _these(one: Comparison) -> str:
    return "this cell" if one.n == 1 else f"these {one.n:,} cells"


def _won(one: Comparison) -> str:
    """How many cells the better level wins, and p if that is of all cells."""
    if one.n < 2:
        return ""
    won = one.improved if one.direction > 0 else one.worsened if one.direction else max(one.improved, one.worsened)
    text = f"{show_value(_sides(one, one.direction)[0])} wins {won:,} of {one.n:,} cells ({100 * won / one.n:.4g}%)"
    return f"{text}, {_p(one)}" if one.unit == "cells" else text


def _p(one: Comparison) -> str:
    over = f" over {len(one.over_seeds.x)} seeds" if one.unit == "seeds" and one.over_seeds is not None else ""
    return f"{equals(one.p_holm)}{' (Holm)' if one.p_holm != one.p else ''}{over}"


def _divergence(effect: Effect, one: Comparison) -> str:
    """Where which side diverged: off diverged at 2 of 5 values of lr (6 of 15 trials), on at none: on is better
    there.
    """
    spread = one.divergence
    if not spread.uneven:
        return ""
    sides = zip(spread.cells, spread.trials, (one.level, one.reference), strict=True)
    (n, lost, worse), (m, others, better) = sorted(sides, key=lambda side: -side[0])
    worse, better = show_value(worse), show_value(better)
    if one.n == 1:
        return (
            f"{worse} diverged on {lost:,} of {count(spread.of, 'seed')}, {better} on {others or 'none'}: {better} is "
            "better there"
        )
    at, of = "in", count(one.n, "cell")
    if len(effect.others) == 1:
        at, of = "at", f"{one.n:,} values of {effect.others[0]}"
    trials = f" ({lost:,} of {count(spread.of, 'trial')})" if spread.of > one.n else ""
    if not m:
        more, none = ("", "none") if not others else (" more often", f"none more often ({others:,} of {spread.of:,})")
        return f"{worse} diverged{more} {at} {n:,} of {of}{trials}, {better} {at} {none}: {better} is better there"
    return (
        f"{worse} diverged more often {at} {n:,} of {of}{trials}, {better} {at} "
        f"{m:,} ({others:,} of {spread.of:,} trials): "
        "the other one is better there"
    )


def _where_trained(effect: Effect, one: Comparison) -> str:
    """Who is ahead in the cells where as many trained on both sides."""
    wins = one.improved - one.divergence.cells[1], one.worsened - one.divergence.cells[0]
    cells = one.n - sum(one.divergence.cells)
    if not cells or not one.pairs:
        return ""
    side = 1 if wins[0] > wins[1] else -1 if wins[0] < wins[1] else one.direction
    if one.unit == "seeds" and one.over_seeds is not None and one.over_seeds.mean:
        side = 1 if one.sign * one.over_seeds.mean < 0 else -1
    ahead = (
        f"{show_value(_sides(one, side)[0])} wins {wins[0] if side > 0 else wins[1]:,} of {cells:,}, "
        if cells > 1
        else ""
    )
    where = "both trained" if cells == one.pairs else "neither diverged more often"
    return (
        f"where {where} ({cells:,} of {one.n:,}), "
        f"{ahead}{_size_between(effect.metric, one, side, _mean_there(effect, one))}"
    )


def _mean_there(effect: Effect, one: Comparison) -> float:
    """The mean difference over the cells in which neither side diverged more; NaN if the levels' means are not over
    those.
    """
    cells = one.n - sum(one.divergence.cells)
    means = effect.levels.set_index("level")["mean"]
    if len(effect.comparisons) != 1 or cells != effect.common or cells == one.pairs:
        return math.nan
    return float(means[one.level] - means[one.reference])


def _size(effect: Effect, one: Comparison, side: int) -> str:
    """How far a side is ahead (1 the level, -1 the reference), with the interval of the test that judged."""
    return _size_between(effect.metric, one, side) if one.pairs else ""


def _size_between(metric: str, one: Comparison, side: int, there: float = math.nan) -> str:
    """there: the mean difference, level minus reference, over the cells that are spoken of, if not over all pairs."""
    a, b = map(show_value, _sides(one, side))
    p = f", {_p(one)}" if one.unit == "seeds" else ""
    if one.scale == "ratio":
        typical, low, high = (one.typical, one.low, one.high) if side >= 0 else _inverse(one)
        spread = f"95%: {show_ratio(low)} to {show_ratio(high)}"
        return f"{metric} with {a} is {show_ratio(typical)} times that with {b} ({spread}{p})"
    typical, low, high = (one.typical, one.low, one.high) if side >= 0 else (-one.typical, -one.high, -one.low)
    how = "typically " if one.unit == "cells" and one.n > 1 else ""
    if not math.isfinite(typical) or (one.unit == "cells" and one.divergence.uneven):  # the interval is of all cells
        mean = one.mean if math.isnan(there) else there
        typical, low, high, how = (mean if side >= 0 else -mean), math.nan, math.nan, "on average "
    up = typical > 0
    ends = (low, high) if up else (-high, -low)
    inside = [f"95%: {interval(metric, *ends, False)}"] if math.isfinite(low) or math.isfinite(high) else []
    inside += [p.removeprefix(", ")] if p else []
    by = f"{show_difference(metric, abs(typical), False)}{scale(metric)[1]}"
    beside = f" ({', '.join(inside)})" if inside else ""
    return f"{metric} with {a} is {how}{'higher' if up else 'lower'} by {by}{beside}"


def compared_sizes(metric: str, one: Comparison) -> str:
    """The level against the reference in one clause, where nothing else is said of them: who diverged, who wins how
    many cells, by how much."""
    level, reference = show_value(one.level), show_value(one.reference)
    spread, parts = one.divergence, []
    if spread.uneven:
        told = (
            f"{spread.trials[0]:,} and {spread.trials[1]:,} of {spread.of:,} trials of {level} and {reference} diverged"
        )
        parts.append(told)
    parts.append(f"{level} wins {one.improved:,} of {one.n:,} and loses {one.worsened:,}")
    parts.append(_size_between(metric, one, 1) if one.pairs else "")
    return "; ".join(part for part in parts if part) + (f"; {equals(one.p)}" if one.unit == "cells" else "")


def _inverse(one: Comparison) -> tuple[float, float, float]:
    """A ratio and its interval from the other side."""
    low, typical, high = (math.inf if value == 0 else 1 / value for value in (one.high, one.typical, one.low))
    return typical, low, high


def _many_levels(effect: Effect) -> str:
    """The reference against every other level, by verdict."""
    reference = show_value(effect.reference)
    by_verdict: dict[str, list[Comparison]] = {}
    for one in effect.comparisons:
        kind = one.verdict if one.verdict not in (SHOWN, SHOWN_HERE) else "better" if one.direction > 0 else "worse"
        by_verdict.setdefault(kind, []).append(one)
    here = any(one.verdict == SHOWN_HERE for one in effect.comparisons)
    here = here and all(one.verdict != SHOWN for one in effect.comparisons)
    parts = []
    if "worse" in by_verdict:
        parts.append(f"{effect.name} {reference} is better than {_named(by_verdict['worse'])}")
    if "better" in by_verdict:
        levels = join_words(show_value(one.level) for one in by_verdict["better"])
        parts.append(
            f"{effect.name} {levels} {'is' if len(by_verdict['better']) == 1 else 'are'} better than {reference}"
        )
    if parts and here:
        parts[-1] += " in these cells"
    rest = {
        NOT_SHOWN: "no difference shown from {}",
        TOO_FEW: "too few to tell it from {}",
        DEPENDS: "against {} it depends on the cell",
        NOT_COMPARABLE: "not comparable with {}",
    }
    said = [text.format(_named(by_verdict[kind], "or")) for kind, text in rest.items() if kind in by_verdict]
    if parts:
        return f"{'; '.join([*parts, *said])}."
    of = f"{effect.name} {reference}, which has {effect.why},"
    only = [kind for kind in rest if kind in by_verdict]
    if only == [NOT_SHOWN]:
        levels = ", ".join(show_value(one.level) for one in effect.comparisons)
        return f"No difference shown between {of} and the others ({levels})."
    return f"Nothing is shown to be better or worse than {of.removesuffix(',')}: {'; '.join(said)}."


def _named(comparisons: Sequence[Comparison], word: str = "and") -> str:
    """Levels in a list; those that diverge more than the reference say where."""
    names = []
    for one in comparisons:
        n = one.divergence.cells[0]
        lost = f" (diverged in {n:,} of {count(one.n, 'cell')})" if n else ""
        ahead = one.improved if one.direction > 0 else one.worsened
        one_side = one.verdict == TOO_FEW and one.unanimous and one.direction < 0 and one.n > 1
        lost = f" (which loses all {ahead:,} cells)" if one_side and not lost else lost
        names.append(f"{show_value(one.level)}{lost}")
    return join_words(names, word)


def sentences(effect: Effect) -> list[str]:
    """The answer and what must be known beside it."""
    out = [headline(effect)]
    for one in effect.comparisons if len(effect.comparisons) == 1 else []:
        out += _beside(effect, one)
    if len(effect.comparisons) > 1:
        most = max(effect.comparisons, key=lambda one: one.n)
        if 0 < most.n < most.fewest:
            out.append(_too_few(most, len(effect.comparisons)))
        out += _advise_many(effect)
    return [*out, *_depends(effect)]


def _depends(effect: Effect) -> list[str]:
    """Whether the answer is another one at other values of a second hyperparameter."""
    if effect.by_comparisons:
        sides: dict[str, list[str]] = {}
        for one in effect.by_comparisons:
            if one.verdict in (SHOWN, SHOWN_HERE):
                sides.setdefault(show_value(one.better), []).append(show_value(one.at))
        lost: dict[str, list[str]] = {}
        for one in effect.by_comparisons:
            if not one.pairs and one.divergence.uneven and not all(one.divergence.trials):
                worse = one.level if one.divergence.trials[0] else one.reference
                lost.setdefault(show_value(worse), []).append(show_value(one.at))
        told = [f"{side} is better at {join_words(dict.fromkeys(at))}" for side, at in sides.items()]
        told += [f"{side} diverged at {join_words(dict.fromkeys(at))}" for side, at in lost.items()]
        return [f"It depends on {effect.by}: {', '.join(told)}."] if len(told) > 1 else []
    if effect.splits is None:
        return []
    name, share = effect.splits
    explains = f"{name} explains {100 * share:.0f}% of how the differences vary"
    return [f"Which one is better depends on {name} ({explains}): ask again with --by {name}."]


def _beside(effect: Effect, one: Comparison) -> list[str]:
    out, level, reference = [], show_value(one.level), show_value(one.reference)
    spread, (a, b, both) = one.divergence, one.lost
    if one.n and (a or b):
        parts = [
            f"in {n:,} of {count(one.n, 'comparison')} {lost} diverged and {won} trained: "
            f"{'that counts' if n == 1 else 'those count'} for {won}"
            for n, lost, won in ((a, level, reference), (b, reference, level))
            if n
        ]
        text = "; ".join(parts)
        there = one.pairs if math.isnan(_mean_there(effect, one)) else effect.common
        over = "the other" if there == one.pairs else "those where neither diverged more often:"
        rest = f" The mean difference is over {over} {there:,}." if one.pairs else ""
        out.append(f"{text[0].upper()}{text[1:]}.{rest}")
    if both:
        out.append(f"In {count(both, 'cell')} both diverged: {'a tie' if both == 1 else 'ties'}.")
    if spread.shown:
        worse = reference if spread.direction > 0 else level
        out.append(
            f"In the cells in which trials diverged, {worse} is worse than chance "
            "explains, diverged trials ranked last "
            f"(exact rank test, {equals(spread.p)})."
        )
    if one.unmatched and one.n:
        verb = "has one side only and is" if one.unmatched == 1 else "have one side only and are"
        out.append(f"{count(one.unmatched, 'more cell')} {verb} not compared.")
    if one.unit == "seeds" and one.n == 1:
        out.append("There is one cell, so this is about its seeds and holds for this setting alone.")
    elif 0 < one.n < one.fewest:
        out.append(_too_few(one))
    elif one.unit == "seeds":
        out.append(
            "The same seeds are lucky in many cells at once, so the cells are no independent sample: "
            "a difference must hold over the seeds, too, and that test judges here."
        )
    if one.unit == "cells" and one.pairs == one.n and one.mean * one.typical < 0:
        out.append(
            f"A few cells pull the mean the other way: on average {effect.metric} with {level} is "
            f"{'higher' if one.mean > 0 else 'lower'} by "
            f"{show_difference(effect.metric, abs(one.mean), False)}{scale(effect.metric)[1]}."
        )
    if one.verdict in (NOT_SHOWN, TOO_FEW):
        out.append(_settle(one))
    return out


def _too_few(one: Comparison, family: int = 1) -> str:
    """That so few cells cannot show anything by the signed-rank test, and what was judged instead."""
    least = show_p(min(1.0, 2.0 ** (1 - one.n) * family))
    held = f" ({family} comparisons, Holm)" if family > 1 else ""
    agreed = (
        "one cell cannot say"
        if one.n == 1
        else f"even if {'both' if one.n == 2 else f'all {one.n}'} agreed, p could not fall below {least}{held}"
    )
    text = f"Too few cells to generalise: {agreed}; {one.fewest} cells are needed."
    if one.unit == "seeds" and one.over_seeds is not None:
        text += f" So this is judged over the {len(one.over_seeds.x)} seeds, and is about {_these(one)} only."
    return text


def _settle(one: Comparison) -> str:
    """What would settle a question that is open."""
    if one.n < 2 and one.seeds < 3:
        return "A single pair of settings with so few seeds says nothing about chance: repeat with --seeds 5."
    seeds, cells = one.needed_seeds, one.needed_cells
    now = one.seeds if one.unit == "cells" or one.over_seeds is None else len(one.over_seeds.x)
    if one.unit == "seeds" and not math.isnan(seeds):
        seeds = max(seeds, now + 1, 5)
    elif one.verdict == TOO_FEW and now < 3:
        return f"{count(now, 'seed')} per setting cannot say it either: repeat with --seeds 5."
    parts = [f"{seeds:,.0f} seeds per setting (you have {now})"] if seeds > now else []
    parts += [f"{max(cells, one.n + 1):,.0f} cells (you have {one.n})"] if not math.isnan(cells) else []
    if not parts:
        return "If there is a difference, it is too small or too uneven for more of the same to settle."
    return f"If this difference is real, about {' or '.join(parts)} would give an 80% chance of showing it."


def _advise_many(effect: Effect) -> list[str]:
    open_ = [one for one in effect.comparisons if one.verdict in (NOT_SHOWN, TOO_FEW) and one.n]
    if not open_:
        return []
    one = min(open_, key=lambda one: one.p)
    return [f"{effect.name} {show_value(one.level)}: {_settle(one)[0].lower()}{_settle(one)[1:]}"]


def _explain_no_pairs(effect: Effect) -> str:
    why = f"no two of the {effect.settings:,} settings agree on everything but {effect.name}"
    return f"{why}, as in a search over ranges; a grid pairs (sweep grid), and each level's best is below."


def tuned_sentences(effect: Effect) -> list[str]:
    """What the best settings of the levels say."""
    gap = effect.gap
    out: list[str] = []
    if gap is None:
        return ["Fewer than two levels have a setting that trained."]
    a, b, metric = show_value(gap.best), show_value(gap.second), effect.metric
    rest = [*effect.others, *effect.averaged]
    tuned = f"With {join_words(rest)} tuned for each" if 0 < len(rest) <= 2 else "With the rest tuned for each"
    size = f"by {show_difference(metric, abs(gap.mean), False)}{scale(metric)[1]}"
    if math.isnan(gap.low):
        seeds = f"{count(gap.seeds, 'seed')} in common" if gap.seeds else "no seed in common"
        return [*out, f"{tuned}, {a} leads {b} {size}; with {seeds}, that may be luck.", *_unequal(effect)]
    if gap.scale == "ratio":  # second to best; told from the best's side
        low, high = (math.inf if value == 0 else 1 / value for value in (gap.high, gap.low))
        spread = (
            f"{metric} {show_ratio(1 / gap.typical)} times that of {b}; 95%: {show_ratio(low)} to {show_ratio(high)}"
        )
    else:
        ends = (gap.low, gap.high) if gap.mean > 0 else (-gap.high, -gap.low)
        spread = f"95%: {interval(metric, *ends, False)}"
    on = f"on {gap.seeds} {'fresh ' if gap.fresh else ''}seeds"
    if not gap.shown:
        out.append(f"{tuned}, no difference shown between {a} and {b} {on}: {a} leads {size} ({spread}).")
    elif gap.fresh:
        out.append(f"{tuned}, {a} leads {b} {size} {on}, which had no part in the choice ({spread}).")
    else:
        out.append(
            f"{tuned}, {a} leads {b} {size} ({spread}), but on the {gap.seeds} seeds used for tuning; "
            f"check on fresh seeds: sweep confirm {effect.study}."
        )
    return [*out, *_unequal(effect)]


def _unequal(effect: Effect) -> list[str]:
    settings = effect.tuned["settings"]
    if settings.nunique() <= 1:
        return []
    return [f"Levels were given unequal tries; expected: the best of {settings.min():,} settings drawn of each."]


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
