"""An effect in sentences: the answer, what must be known beside it, what would settle it. Needs nothing more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweep.hyperparameters import TABLE, show_value
from sweep.report.answers.equality import equal_sentences, equal_size, margin_of, what_shows_it
from sweep.report.answers.words import (
    DEPENDS,
    LEVEL,
    NOT_COMPARABLE,
    NOT_SHOWN,
    PRACTICALLY_EQUAL,
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
            f"Not comparable: {name} took so many values that hardly any "
            "two settings agree on everything else; its ranges are below."
        )
    if all(comparison.n == 0 for comparison in effect.comparisons):
        return f"Not comparable: {_explain_no_pairs(effect)}"
    return _two_levels(effect, effect.first) if len(effect.comparisons) == 1 else _many_levels(effect)


def _two_levels(effect: Effect, comparison: Comparison) -> str:
    if comparison.verdict == PRACTICALLY_EQUAL:
        here = f" in {_these(comparison)}" if comparison.unit == "seeds" else ""
        level, reference = show_value(comparison.level), show_value(comparison.reference)
        size = equal_size(effect.metric, comparison)
        return f"{effect.name} {level} and {reference} are practically equal{here}: {size}."
    a, b = (show_value(side) for side in _sides(comparison, comparison.direction))
    verdict = {
        SHOWN: f"{effect.name} {a} is better than {b}",
        SHOWN_HERE: f"{effect.name} {a} is better than {b} in {_these(comparison)}",
        DEPENDS: f"Which of {effect.name} {a} and {b} is better depends on the cell",
        TOO_FEW: f"Too few {'cells' if comparison.unit == 'cells' else 'seeds'} to tell {effect.name} {a} from {b}",
        NOT_SHOWN: f"No difference shown between {effect.name} {a} and {b}",
    }[comparison.verdict]
    diverged, won, trained = _divergence(effect, comparison), _won(comparison), _where_trained(effect, comparison)
    if not diverged:
        parts = (won, _size(effect, comparison, comparison.direction))
        return f"{verdict}: {'; '.join(part for part in parts if part)}."
    if comparison.verdict == SHOWN_HERE and comparison.p_holm > LEVEL:  # divergence alone decides
        rest = f"; {trained}, which shows no difference" if trained else ""
        return f"{effect.name} {a} is better than {b}: {diverged}{rest}."
    if comparison.verdict in (TOO_FEW, NOT_SHOWN):
        said = f"{diverged[0].upper()}{diverged[1:]}"
        if comparison.verdict == TOO_FEW:
            return f"{said}. {f'Too few cells to say more: {trained}' if trained else 'Too few trials to say more'}."
        return f"{said}. Over all cells, {verdict[0].lower()}{verdict[1:]}: {won}; {trained}."
    return f"{verdict}: {'; '.join(part for part in (diverged, won, trained) if part)}."


def _sides(comparison: Comparison, direction: int) -> tuple[Any, Any]:
    """The level that a direction favours, and the other one."""
    return (comparison.level, comparison.reference) if direction >= 0 else (comparison.reference, comparison.level)


def _these(comparison: Comparison) -> str:
    return "this cell" if comparison.n == 1 else f"these {comparison.n:,} cells"


def _won(comparison: Comparison) -> str:
    """How many cells the better level wins, and p if that is of all cells."""
    if comparison.n < 2:
        return ""
    n, direction = comparison.n, comparison.direction
    won = max(comparison.improved, comparison.worsened)
    if direction:
        won = comparison.improved if direction > 0 else comparison.worsened
    text = f"{show_value(_sides(comparison, direction)[0])} wins {won:,} of {n:,} cells ({100 * won / n:.4g}%)"
    return f"{text}, {_p(comparison)}" if comparison.unit == "cells" else text


def _p(comparison: Comparison) -> str:
    test = comparison.over_seeds if comparison.unit == "seeds" else None
    over = f" over {len(test.x)} seeds" if test is not None else ""
    return f"{equals(comparison.p_holm)}{' (Holm)' if comparison.p_holm != comparison.p else ''}{over}"


def _divergence(effect: Effect, comparison: Comparison) -> str:
    """Where which side diverged: off diverged at 2 of 5 values
    of lr (6 of 15 trials), on at none: on is better there."""
    spread = comparison.divergence
    if not spread.uneven:
        return ""
    sides = zip(spread.cells, spread.trials, (comparison.level, comparison.reference), strict=True)
    (n, lost, worse), (m, others, better) = sorted(sides, key=lambda side: -side[0])
    worse, better = show_value(worse), show_value(better)
    if comparison.n == 1:
        return (
            f"{worse} diverged on {lost:,} of {count(spread.of, 'seed')}, "
            f"{better} on {others or 'none'}: {better} is better there"
        )
    at, of = "in", count(comparison.n, "cell")
    if len(effect.others) == 1:
        at, of = "at", f"{comparison.n:,} values of {effect.others[0]}"
    trials = f" ({lost:,} of {count(spread.of, 'trial')})" if spread.of > comparison.n else ""
    if not m:
        more, none = ("", "none") if not others else (" more often", f"none more often ({others:,} of {spread.of:,})")
        return f"{worse} diverged{more} {at} {n:,} of {of}{trials}, {better} {at} {none}: {better} is better there"
    less = f"{better} {at} {m:,} ({others:,} of {spread.of:,} trials)"
    return f"{worse} diverged more often {at} {n:,} of {of}{trials}, {less}: the other one is better there"


def _where_trained(effect: Effect, comparison: Comparison) -> str:
    """Who is ahead in the cells where as many trained on both sides."""
    wins = comparison.improved - comparison.divergence.cells[1], comparison.worsened - comparison.divergence.cells[0]
    cells = comparison.n - sum(comparison.divergence.cells)
    if not cells or not comparison.pairs:
        return ""
    side = 1 if wins[0] > wins[1] else -1 if wins[0] < wins[1] else comparison.direction
    if comparison.unit == "seeds" and comparison.over_seeds is not None and comparison.over_seeds.mean:
        side = 1 if comparison.sign * comparison.over_seeds.mean < 0 else -1
    won = wins[0] if side > 0 else wins[1]
    ahead = f"{show_value(_sides(comparison, side)[0])} wins {won:,} of {cells:,}, " if cells > 1 else ""
    where = "both trained" if cells == comparison.pairs else "neither diverged more often"
    size = _size_between(effect.metric, comparison, side, _mean_there(effect, comparison))
    return f"where {where} ({cells:,} of {comparison.n:,}), {ahead}{size}"


def _mean_there(effect: Effect, comparison: Comparison) -> float:
    """The mean difference over the cells in which neither side diverged more; NaN if the means are of others."""
    cells = comparison.n - sum(comparison.divergence.cells)
    means = effect.levels.set_index("level")["mean"]
    if len(effect.comparisons) != 1 or cells != effect.common or cells == comparison.pairs:
        return math.nan
    return float(means[comparison.level] - means[comparison.reference])


def _size(effect: Effect, comparison: Comparison, side: int) -> str:
    """How far a side is ahead (1 the level, -1 the reference), with the interval of the test that judged."""
    return _size_between(effect.metric, comparison, side) if comparison.pairs else ""


def _size_between(metric: str, comparison: Comparison, side: int, there: float = math.nan) -> str:
    """there: the mean difference, level minus reference, over the cells that are spoken of, if not over all pairs."""
    a, b = map(show_value, _sides(comparison, side))
    p = f", {_p(comparison)}" if comparison.unit == "seeds" else ""
    typical, low, high = comparison.typical, comparison.low, comparison.high
    if comparison.scale == "ratio":
        typical, low, high = (typical, low, high) if side >= 0 else _inverse(comparison)
        spread = f"95%: {show_ratio(low)} to {show_ratio(high)}"
        return f"{metric} with {a} is {show_ratio(typical)} times that with {b} ({spread}{p})"
    if side < 0:
        typical, low, high = -typical, -high, -low
    how = "typically " if comparison.unit == "cells" and comparison.n > 1 else ""
    of_all_cells = comparison.unit == "cells" and comparison.divergence.uneven  # the interval is
    if not math.isfinite(typical) or of_all_cells:
        mean = comparison.mean if math.isnan(there) else there
        typical, low, high, how = (mean if side >= 0 else -mean), math.nan, math.nan, "on average "
    up = typical > 0
    ends = (low, high) if up else (-high, -low)
    inside = [f"95%: {interval(metric, *ends, False)}"] if math.isfinite(low) or math.isfinite(high) else []
    inside += [p.removeprefix(", ")] if p else []
    by = f"{show_difference(metric, abs(typical), False)}{scale(metric)[1]}"
    beside = f" ({', '.join(inside)})" if inside else ""
    return f"{metric} with {a} is {how}{'higher' if up else 'lower'} by {by}{beside}"


def compared_sizes(metric: str, comparison: Comparison) -> str:
    """The level against the reference in one clause, where nothing else is said of them: who diverged, who wins how
    many cells, by how much."""
    level, reference = show_value(comparison.level), show_value(comparison.reference)
    spread, parts = comparison.divergence, []
    if spread.uneven:
        diverged = (
            f"{spread.trials[0]:,} and {spread.trials[1]:,} of {spread.of:,} trials of {level} and {reference} diverged"
        )
        parts.append(diverged)
    parts.append(f"{level} wins {comparison.improved:,} of {comparison.n:,} and loses {comparison.worsened:,}")
    if comparison.verdict == PRACTICALLY_EQUAL:
        return "; ".join([*parts, equal_size(metric, comparison)])
    parts.append(_size_between(metric, comparison, 1) if comparison.pairs else "")
    parts.append(equals(comparison.p) if comparison.unit == "cells" else "")
    return "; ".join(part for part in parts if part)


def _inverse(comparison: Comparison) -> tuple[float, float, float]:
    """A ratio and its interval from the other side."""
    ends = (comparison.high, comparison.typical, comparison.low)
    low, typical, high = (math.inf if value == 0 else 1 / value for value in ends)
    return typical, low, high


def _many_levels(effect: Effect) -> str:
    """The reference against every other level, by verdict."""
    reference = show_value(effect.reference)
    by_verdict: dict[str, list[Comparison]] = {}
    for comparison in effect.comparisons:
        kind = comparison.verdict
        if kind in (SHOWN, SHOWN_HERE):
            kind = "better" if comparison.direction > 0 else "worse"
        by_verdict.setdefault(kind, []).append(comparison)
    here = any(comparison.verdict == SHOWN_HERE for comparison in effect.comparisons)
    here = here and all(comparison.verdict != SHOWN for comparison in effect.comparisons)
    parts = []
    if "worse" in by_verdict:
        parts.append(f"{effect.name} {reference} is better than {_name_levels(by_verdict['worse'])}")
    if "better" in by_verdict:
        levels = join_words(show_value(comparison.level) for comparison in by_verdict["better"])
        parts.append(
            f"{effect.name} {levels} {'is' if len(by_verdict['better']) == 1 else 'are'} better than {reference}"
        )
    if parts and here:
        parts[-1] += " in these cells"
    rest = {
        PRACTICALLY_EQUAL: f"practically equal to {{}} ({_within(effect)})",
        NOT_SHOWN: "no difference shown from {}",
        TOO_FEW: "too few to tell it from {}",
        DEPENDS: "against {} it depends on the cell",
        NOT_COMPARABLE: "not comparable with {}",
    }
    said = [text.format(_name_levels(by_verdict[kind], "or")) for kind, text in rest.items() if kind in by_verdict]
    if parts:
        return f"{'; '.join([*parts, *said])}."
    of = f"{effect.name} {reference}, which has {effect.why},"
    only = [kind for kind in rest if kind in by_verdict]
    levels = ", ".join(show_value(comparison.level) for comparison in effect.comparisons)
    if only == [PRACTICALLY_EQUAL]:
        within = " in these cells" if any(each.unit == "seeds" for each in effect.comparisons) else ""
        return f"{of} is practically equal to each of the others ({levels}){within}: {_within(effect)}."
    if only == [NOT_SHOWN]:
        return f"No difference shown between {of} and the others ({levels})."
    return f"Nothing is shown to be better or worse than {of.removesuffix(',')}: {'; '.join(said)}."


def _within(effect: Effect) -> str:
    return f"{effect.metric} differs by less than {margin_of(effect.metric, effect.comparisons[0])}"


def _name_levels(comparisons: Sequence[Comparison], word: str = "and") -> str:
    """Levels in a list; those that diverge more than the reference say where."""
    names = []
    for comparison in comparisons:
        n = comparison.divergence.cells[0]
        lost = f" (diverged in {n:,} of {count(comparison.n, 'cell')})" if n else ""
        ahead = comparison.improved if comparison.direction > 0 else comparison.worsened
        unanimous = comparison.unanimous and comparison.n > 1
        one_side = unanimous and comparison.verdict == TOO_FEW and comparison.direction < 0
        lost = f" (which loses all {ahead:,} cells)" if one_side and not lost else lost
        names.append(f"{show_value(comparison.level)}{lost}")
    return join_words(names, word)


def sentences(effect: Effect) -> list[str]:
    """The answer and what must be known beside it."""
    out = [headline(effect)]
    for comparison in effect.comparisons if len(effect.comparisons) == 1 else []:
        out += _beside(effect, comparison)
    if len(effect.comparisons) > 1:
        most = max(effect.comparisons, key=lambda comparison: comparison.n)
        if 0 < most.n < most.fewest:
            out.append(_too_few(most, len(effect.comparisons)))
        out += _advise_many(effect)
    return [*out, *_depends(effect)]


def _depends(effect: Effect) -> list[str]:
    """Whether the answer is another one at other values of a second hyperparameter."""
    if effect.by_comparisons:
        sides: dict[str, list[str]] = {}
        for comparison in effect.by_comparisons:
            if comparison.verdict in (SHOWN, SHOWN_HERE):
                sides.setdefault(show_value(comparison.better), []).append(show_value(comparison.at))
        lost: dict[str, list[str]] = {}
        for comparison in effect.by_comparisons:
            if not comparison.pairs and comparison.divergence.uneven and not all(comparison.divergence.trials):
                worse = comparison.level if comparison.divergence.trials[0] else comparison.reference
                lost.setdefault(show_value(worse), []).append(show_value(comparison.at))
        parts = [f"{side} is better at {join_words(dict.fromkeys(at))}" for side, at in sides.items()]
        parts += [f"{side} diverged at {join_words(dict.fromkeys(at))}" for side, at in lost.items()]
        equal = [show_value(each.at) for each in effect.by_comparisons if each.verdict == PRACTICALLY_EQUAL]
        if parts and equal and len(effect.comparisons) == 1:
            parts.append(f"they are practically equal at {join_words(equal)}")
        return [f"It depends on {effect.by}: {', '.join(parts)}."] if len(parts) > 1 else []
    if effect.splits is None:
        return []
    name, share = effect.splits
    explains = f"{name} explains {100 * share:.0f}% of how the differences vary"
    return [f"Which one is better depends on {name} ({explains}): ask again with --by {name}."]


def _beside(effect: Effect, comparison: Comparison) -> list[str]:
    out, level, reference = [], show_value(comparison.level), show_value(comparison.reference)
    spread, (a, b, both) = comparison.divergence, comparison.lost
    if comparison.n and (a or b):
        parts = [
            f"in {n:,} of {count(comparison.n, 'comparison')} {lost} diverged and {won} trained: "
            f"{'that counts' if n == 1 else 'those count'} for {won}"
            for n, lost, won in ((a, level, reference), (b, reference, level))
            if n
        ]
        text = "; ".join(parts)
        there = comparison.pairs if math.isnan(_mean_there(effect, comparison)) else effect.common
        over = "the other" if there == comparison.pairs else "those where neither diverged more often:"
        rest = f" The mean difference is over {over} {there:,}." if comparison.pairs else ""
        out.append(f"{text[0].upper()}{text[1:]}.{rest}")
    if both:
        out.append(f"In {count(both, 'cell')} both diverged: {'a tie' if both == 1 else 'ties'}.")
    if spread.shown:
        worse = reference if spread.direction > 0 else level
        out.append(
            f"In the cells in which trials diverged, {worse} is worse than chance explains, diverged trials "
            f"ranked last (exact rank test, {equals(spread.p)})."
        )
    if comparison.unmatched and comparison.n:
        verb = "has one side only and is" if comparison.unmatched == 1 else "have one side only and are"
        out.append(f"{count(comparison.unmatched, 'more cell')} {verb} not compared.")
    if comparison.unit == "seeds" and comparison.n == 1:
        out.append("There is one cell, so this is about its seeds and holds for this setting alone.")
    elif 0 < comparison.n < comparison.fewest:
        shown = comparison.verdict == PRACTICALLY_EQUAL and comparison.unit == "cells"  # a one-sided p is smaller
        out += [] if shown else [_too_few(comparison)]
    elif comparison.unit == "seeds":
        out.append(
            "The same seeds are lucky in many cells at once, so the cells are no independent sample: "
            "a difference must hold over the seeds, too, and that test judges here."
        )
    other_way = comparison.scale == "difference" and comparison.mean * comparison.typical < 0
    if comparison.unit == "cells" and comparison.pairs == comparison.n and other_way:
        out.append(
            f"A few cells pull the mean the other way: on average {effect.metric} with {level} is "
            f"{'higher' if comparison.mean > 0 else 'lower'} by "
            f"{show_difference(effect.metric, abs(comparison.mean), False)}{scale(effect.metric)[1]}."
        )
    if comparison.verdict in (NOT_SHOWN, TOO_FEW):
        out.append(_settle(comparison))
    return [*out, *equal_sentences(effect.metric, comparison)]


def _too_few(comparison: Comparison, family: int = 1) -> str:
    """That so few cells cannot show anything by the signed-rank test, and what was judged instead."""
    least = show_p(min(1.0, 2.0 ** (1 - comparison.n) * family))
    held = f" ({family} comparisons, Holm)" if family > 1 else ""
    agreed = "one cell cannot say"
    if comparison.n > 1:
        all_ = "both" if comparison.n == 2 else f"all {comparison.n}"
        agreed = f"even if {all_} agreed, p could not fall below {least}{held}"
    text = f"Too few cells to generalise: {agreed}; {comparison.fewest} cells are needed."
    if comparison.unit == "seeds" and comparison.over_seeds is not None:
        seeds = len(comparison.over_seeds.x)
        text += f" So this is judged over the {seeds} seeds, and is about {_these(comparison)} only."
    return text


def _settle(comparison: Comparison) -> str:
    """What would settle a question that is open."""
    if comparison.n < 2 and comparison.seeds < 3:
        return "A single pair of settings with so few seeds says nothing about chance: repeat with --seeds 5."
    seeds, cells = comparison.needed_seeds, comparison.needed_cells
    test = None if comparison.unit == "cells" else comparison.over_seeds
    now = comparison.seeds if test is None else len(test.x)
    if comparison.unit == "seeds" and not math.isnan(seeds):
        seeds = max(seeds, now + 1, 5)
    elif comparison.verdict == TOO_FEW and now < 3:
        return f"{count(now, 'seed')} per setting cannot say it either: repeat with --seeds 5."
    parts = [f"{seeds:,.0f} seeds per setting (you have {now})"] if seeds > now else []
    parts += [f"{max(cells, comparison.n + 1):,.0f} cells (you have {comparison.n})"] if not math.isnan(cells) else []
    if not parts:
        return "If there is a difference, it is too small or too uneven for more of the same to settle."
    return f"If this difference is real, about {' or '.join(parts)} would give an 80% chance of showing it."


def _advise_many(effect: Effect) -> list[str]:
    undecided = (NOT_SHOWN, TOO_FEW)
    open_ = [comparison for comparison in effect.comparisons if comparison.verdict in undecided and comparison.n]
    if not open_:
        return []
    nearest = min(open_, key=lambda comparison: comparison.p)
    advice = _settle(nearest)
    out = [f"{effect.name} {show_value(nearest.level)}: {advice[0].lower()}{advice[1:]}"]
    even = [comparison for comparison in open_ if not math.isnan(comparison.p_equal)]
    if even:
        nearest = min(even, key=lambda comparison: comparison.p_equal)
        name = f"{effect.name} {show_value(nearest.level)}"
        out.append(f"{name}: nor is it shown to be practically equal {what_shows_it(effect.metric, nearest)}")
    return out


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
    changed = {
        name: v for name, v in fixed.items() if name == "epochs" or name not in TABLE or not is_default(name, v, fixed)
    }
    shown = ", ".join(f"{name} {show_value(value)}" for name, value in changed.items())
    rest = len(fixed) - len(changed)
    parts = [
        *([shown] if shown else []),
        *(
            [f"{count(rest, 'other hyperparameter')} at {'its default' if rest == 1 else 'their defaults'}"]
            if rest
            else []
        ),
    ]
    return f"Holds for: {'; '.join(parts) or 'the values of this study alone'}."
