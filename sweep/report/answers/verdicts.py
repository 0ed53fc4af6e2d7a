"""The answer to `sweep verdict`: what became of each claim, in a sentence with its numbers, or as plain values. Needs
rich."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from sweep.hyperparameters import show_value
from sweep.recipe import KINDS, VALUE, Claim
from sweep.report.answers.words import equals, interval, scale, show_difference, show_p, show_ratio
from sweep.report.files import plain
from sweep.report.text import show_metric
from sweep.wording import count, join_words

if TYPE_CHECKING:
    from sweep.analysis.verdicts import Evidence, Part, Verdict

STYLES = {
    "confirmed": "bold green",
    "confirmed where": "bold yellow",
    "contradicted": "bold red",
    "contradicted where": "bold yellow",
    "equal for practical purposes": "bold cyan",
    "not shown": "bold",
}


def verdicts_report(study: str, verdicts: Sequence[Verdict]) -> RenderableType:
    """What became of a study's claims, one after another."""
    ended = count(len(verdicts), "claim")
    head = Text.assemble("Study ", (study, "bold"), f": {ended}, judged together (Holm)")
    parts: list[RenderableType] = [head]
    for verdict in verdicts:
        style = STYLES[verdict.verdict]
        parts += [Text(), Text(verdict.claim.text, "bold")]
        lines = [Text(headline(verdict), style), *map(Text, sentences(verdict))]
        lines += [Text(caveat, "yellow") for caveat in caveats(verdict)]
        lines.append(Text(draw_command(study, verdict), "cyan"))
        parts += [Padding(line, (0, 0, 0, 2)) for line in lines]
    return Group(*parts)


def caveats(verdict: Verdict) -> list[str]:
    """What takes from a verdict: that the claim was stated, or seeds were added, when results were there."""
    claim, out = verdict.claim, []
    if claim.afterwards:
        out.append(f"Stated afterwards ({(claim.stated or '')[:10]}), when results were there: it predicted nothing.")
    if claim.seeds is not None and verdict.seeds > claim.seeds:
        out.append(
            f"Planned with {count(claim.seeds, 'seed')}, judged with {verdict.seeds}: seeds that "
            "are added until a claim comes true make it come true too often."
        )
    if verdict.left:
        out.append(
            f"{count(verdict.left, 'trial')} of the study {'is' if verdict.left == 1 else 'are'} not trained yet."
        )
    return out


def headline(verdict: Verdict) -> str:
    """The verdict, with where it holds."""
    claim, parts = verdict.claim, []
    if claim.by is None and verdict.exceptions:
        names: dict[str, list[str]] = {}
        for name, value in verdict.exceptions:
            names.setdefault(name, []).append(show_value(value))
        but = [f"{name} is not {join_words(values, 'or')}" for name, values in names.items()]
        return f"{verdict.verdict} {' and '.join(but)}"
    if not verdict.verdict.endswith("where"):
        return verdict.verdict
    for word in ("confirmed", "contradicted"):
        if values := verdict.where(word):
            parts.append(f"{word} where {claim.by} is {join_words(map(show_value, values), 'or')}")
    return "; ".join(parts)


def sentences(verdict: Verdict) -> list[str]:
    """The numbers behind a verdict: one sentence, or one for each value of the claim's `by`."""
    if verdict.problem:
        return [f"It cannot be judged: {verdict.problem}."]
    out = [_sentence(verdict, part) for part in verdict.parts]
    if verdict.exceptions:
        at = join_words(f"{name} {show_value(value)}" for name, value in verdict.exceptions)
        out.append(f"That is over all settings; at {at} the opposite is shown.")
    return out


def _sentence(verdict: Verdict, part: Part) -> str:
    claim, evidence = verdict.claim, part.evidence
    at = f"{claim.by} {show_value(evidence.at)}: " if claim.by is not None else ""
    said = part.verdict if claim.by is not None else ""
    if not evidence.n:
        return f"{at}no two trials to compare: that takes a grid, with settings that differ in one thing, and seeds."
    body = _BODIES[claim.kind](verdict, part)
    ends = [body, _count_text(claim, evidence), f"{equals(part.p)}{f', {said}' if said else ''}"]
    text = f"{at}{'; '.join(end for end in ends if end)}."
    text += " A few pull the mean the other way." if evidence.pulled and part.verdict != "not shown" else ""
    return f"{text} {_settle(claim, part)}" if part.verdict == "not shown" else text


def _count_text(claim: Claim, evidence: Evidence) -> str:
    """In how many settings or seeds it is the claim's way."""
    of = count(evidence.n, "seed" if evidence.unit == "seeds" else "setting")
    over = f" (over {evidence.cells:,} settings each)" if evidence.unit == "seeds" and evidence.cells > 1 else ""
    if claim.kind == "equal":
        return f"{of}{over}"
    even = evidence.n - evidence.wins - evidence.losses
    return f"so in {evidence.wins} of {of}{over}{f', even in {even}' if even else ''}"


def _levels(verdict: Verdict, part: Part) -> str:
    """One level against another."""
    claim, evidence, metric = verdict.claim, part.evidence, verdict.metric
    a, b = f"{claim.factor} {show_value(claim.level)}", show_value(claim.than)
    tuned = ", each tuned" if claim.how == "tuned" else ""
    means = [show_metric(metric, value) for value in evidence.sides]
    text = f"{metric} {means[0]} with {a} and {means[1]} with {b}{tuned}"
    lost = evidence.facts.get("lost", [0, 0])
    if any(lost):
        sides = [
            f"{n} of {of} diverged with {level}"
            for n, of, level in zip(lost, evidence.facts["of"], (show_value(claim.level), b), strict=True)
            if n
        ]
        text += f" ({join_words(sides)})"
    return f"{text}: {_size(verdict, part)}{_beside_margin(claim, evidence, metric)}"


def _size(verdict: Verdict, part: Part) -> str:
    """The typical difference with its interval; of a loss the ratio."""
    evidence, metric = part.evidence, verdict.metric
    if not math.isfinite(part.estimate):
        return "diverging decides"
    level = "90%" if verdict.claim.kind == "equal" or part.verdict == "equal for practical purposes" else "95%"
    open_ = math.isinf(part.low) and math.isinf(part.high)
    if evidence.scale == "log ratio":
        ratio, low, high = (math.exp(min(700.0, -end)) for end in (part.estimate, part.high, part.low))
        spread = "" if open_ else f" ({level}: {show_ratio(low)} to {show_ratio(high)})"
        return f"typically {show_ratio(ratio)} times as much{spread}"
    sign = -1.0 if _less_is_better(verdict) else 1.0
    low, high = sorted((sign * part.low, sign * part.high))
    spread = "" if open_ else f" ({level}: {interval(metric, low, high)})"
    return f"typically {show_difference(metric, sign * part.estimate)}{scale(metric)[1]}{spread}"


def _less_is_better(verdict: Verdict) -> bool:
    return not verdict.metric.endswith("accuracy") and not verdict.maximized


def _beside_margin(claim: Claim, evidence: Evidence, metric: str) -> str:
    if claim.margin is None:
        return ""
    if evidence.scale == "log ratio":
        return f"; up to {100 * claim.margin:g} % do not matter"
    return f"; up to {show_difference(metric, claim.margin, False)}{scale(metric)[1]} do not matter"


def _dependence(verdict: Verdict, part: Part) -> str:
    claim, evidence, metric = verdict.claim, part.evidence, verdict.metric
    at = [show_value(value) for value in evidence.facts["at"]]
    gains = [_gain(metric, evidence, gain) for gain in evidence.sides]
    a, b = show_value(claim.level), show_value(claim.than)
    return (
        f"{claim.factor} {a} gains {gains[0]} over {b} where {claim.on} is {at[0]}, and {gains[1]} where it is {at[1]}"
    )


def _gain(metric: str, evidence: Evidence, gain: float) -> str:
    if math.isinf(gain):
        return "everything (the other diverges)" if gain > 0 else "nothing (it diverges)"
    if evidence.scale == "log ratio":
        return f"a factor of {show_ratio(math.exp(min(700.0, gain)))}"
    return f"{show_difference(metric, gain)}{scale(metric)[1]}"


def _ranges(verdict: Verdict, part: Part) -> str:
    claim, evidence = verdict.claim, part.evidence
    texts = []
    for level, mean, values in zip((claim.level, claim.than), evidence.sides, evidence.facts["reached"], strict=True):
        ends = [f"{value:.3g}" if isinstance(value, float) else show_value(value) for value in values]
        which = f" ({' to '.join(dict.fromkeys((ends[0], ends[-1])))})" if ends else ""
        texts.append(f"{mean:.1f} with {show_value(level)}{which}")
    usable = show_metric(verdict.metric, claim.usable)
    bound = "at most" if _less_is_better(verdict) else "at least"
    of = count(len(evidence.facts["values"]), "value")
    return f"of {of} of {claim.range}, {verdict.metric} is {bound} {usable} at so many: {texts[0]}, {texts[1]}"


def _steps(verdict: Verdict, part: Part) -> str:
    claim, evidence, facts = verdict.claim, part.evidence, part.evidence.facts
    target = show_metric(verdict.metric, claim.target)
    texts = []
    for level, steps, reached in zip((claim.level, claim.than), evidence.sides, facts["reached"], strict=True):
        when = "never" if math.isinf(steps) else f"typically after {steps:,.0f} steps"
        texts.append(f"{when} with {show_value(level)} ({reached} of {facts['of']} got there)")
    ratio = facts["ratio"]
    if not (math.isfinite(ratio) and ratio > 0) or all(map(math.isinf, evidence.sides)):
        times = ""
    elif f"{ratio:.2g}" == "1":
        times = "; in pairs as soon"
    else:
        times = f"; in pairs typically {'at least ' if facts['at_least'] else ''}{max(ratio, 1 / ratio):.2g} times "
        times += "sooner" if ratio > 1 else "later"
    return f"{verdict.metric} {target} {texts[0]} and {texts[1]}{times}"


def _trend(verdict: Verdict, part: Part) -> str:
    claim, evidence = verdict.claim, part.evidence
    pairs = zip(evidence.facts["levels"], evidence.facts["means"], strict=True)
    listed = ", ".join(f"{show_metric(verdict.metric, mean)} at {show_value(level)}" for level, mean in pairs)
    rho = part.estimate if claim.direction == "rises" else -part.estimate
    return f"{verdict.metric} is {listed}; rank correlation with {claim.factor} {rho:+.2f}"


def _bar(verdict: Verdict, part: Part) -> str:
    evidence, metric = part.evidence, verdict.metric
    mean, bar = (show_metric(metric, value) for value in evidence.sides)
    facts = evidence.facts
    chose = (
        f"the best of {facts['settings']} settings, chosen on {count(facts['chose'], 'seed')}, has"
        if facts["chose"]
        else "it has"
    )
    lost = f", {facts['lost'][0]} diverged" if facts["lost"][0] else ""
    return f"{chose} {metric} {mean} on {count(facts['of'][0], 'seed')}{lost}; the bar is {bar}"


_BODIES = {
    "better": _levels,
    "equal": _levels,
    "not_worse": _levels,
    "depends": _dependence,
    "wider": _ranges,
    "sooner": _steps,
    "trend": _trend,
    "beats": _bar,
}


def _settle(claim: Claim, part: Part) -> str:
    """What would settle a claim that is not shown."""
    evidence, n = part.evidence, part.evidence.n
    leans = "It is better, but not shown to be by more than the margin. " if evidence.margin and part.low > 0 else ""
    held_back = evidence.facts.get("chose", 0)  # seeds that chose and do not judge
    needed, fewest = (_whole(number) * (n + held_back) // n for number in (evidence.needed, evidence.fewest))
    if n < evidence.fewest:
        few = f"Of {count(n, 'seed')} even the clearest p is {show_p(2.0 ** (1 - n))}; beside the other claims"
        more = f", and about {needed:,} for what is seen" if needed > fewest else ""
        return f"{leans}{few} it takes {fewest} seeds in all{more}."
    if evidence.unit == "cells":
        where = ": a claim with by = … would say where" if "by" in KINDS[claim.kind].may else ""
        return f"{leans}It differs from setting to setting{where}."
    if not needed:
        return f"{leans}If there is a difference, no number of seeds is likely to show it."
    return f"{leans}About {max(needed, n + held_back + 1):,} seeds would settle it (there are {n + held_back})."


def _whole(number: float) -> int:
    return 0 if math.isnan(number) else int(number)


def draw_command(study: str, verdict: Verdict) -> str:
    """The command that draws what a claim is about."""
    claim = verdict.claim
    kind, names = picture_of(verdict)
    words = ["sweep", "plot", study, kind, *names, *(["--metric", claim.metric] if claim.metric else [])]
    condition = condition_of(claim)
    return shlex.join([*words, *(["--where", condition] if condition else [])])


def condition_of(claim: Claim) -> str:
    """The condition that a claim's trials meet, as `--where` takes it: of hyperparameters with one value."""
    return ", ".join(f"{name}={show_value(values[0])}" for name, values in claim.where if len(values) == 1)


def picture_of(verdict: Verdict) -> tuple[str, list[str]]:
    """The kind of picture to look at, and the hyperparameters in it."""
    claim, factor = verdict.claim, str(verdict.claim.factor)
    if claim.kind in ("beats", "sooner"):
        return ("surface" if verdict.metric == VALUE else "curves"), []
    other = claim.on or claim.range or claim.by
    if other is not None:
        return "heatmap", [other, factor]
    return ("isolation", [factor]) if claim.kind == "trend" or claim.how == "tuned" else ("effect", [factor])


def verdicts_json(study: str, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Verdicts as plain values."""
    return {"study": study, "claims": [_record(study, verdict) for verdict in verdicts]}


def _record(study: str, verdict: Verdict) -> dict[str, Any]:
    return {
        **verdict.claim.to_dict(),
        "metric": verdict.metric,
        "afterwards": verdict.claim.afterwards,
        "verdict": verdict.verdict,
        "headline": headline(verdict),
        "sentences": sentences(verdict),
        "p": plain(verdict.p),
        "parts": [_record_part(part) for part in verdict.parts],
        "exceptions": [{"name": name, "value": plain(value)} for name, value in verdict.exceptions],
        "problem": verdict.problem,
        "caveats": caveats(verdict),
        "command": draw_command(study, verdict),
    }


def _record_part(part: Part) -> dict[str, Any]:
    evidence = part.evidence
    names = ("at", "unit", "n", "cells", "seeds", "wins", "losses", "scale", "margin", "fewest", "needed")
    raw = {name: plain(getattr(evidence, name)) for name in names}
    ps = {name: plain(getattr(evidence, name)) for name in ("p_for", "p_against", "p_equal")}
    ends = {name: plain(getattr(part, name)) for name in ("verdict", "p", "estimate", "low", "high")}
    facts = {name: _plain(value) for name, value in evidence.facts.items()}
    return {**raw, **ps, **ends, "sides": [plain(side) for side in evidence.sides], "facts": facts}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list) else plain(value)
