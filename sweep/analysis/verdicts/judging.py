"""The verdicts on a study's claims, corrected for all of them together. Needs the evidence of every kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sweep.analysis.cells import label_of
from sweep.analysis.pairing import ALPHA
from sweep.analysis.significance import holm, holm_levels
from sweep.analysis.table import StudyTable, study_table
from sweep.analysis.verdicts.beats import weigh_bar
from sweep.analysis.verdicts.better import weigh_levels
from sweep.analysis.verdicts.depends import weigh_dependence
from sweep.analysis.verdicts.evidence import Evidence
from sweep.analysis.verdicts.sooner import weigh_targets
from sweep.analysis.verdicts.trend import weigh_trend
from sweep.analysis.verdicts.wider import weigh_ranges
from sweep.errors import UsageError
from sweep.ledger import Ledger, Study
from sweep.recipe import Claim

CONFIRMED, CONFIRMED_WHERE, CONTRADICTED, CONTRADICTED_WHERE, EQUAL, NOT_SHOWN = VERDICTS = (
    "confirmed",
    "confirmed where",
    "contradicted",
    "contradicted where",
    "equal for practical purposes",
    "not shown",
)
"""Every verdict that a claim can end in."""

Weigh = Callable[[StudyTable, Claim, float], list[Evidence]]
_WEIGH: dict[str, Weigh] = {
    "better": weigh_levels,
    "equal": weigh_levels,
    "not_worse": weigh_levels,
    "depends": weigh_dependence,
    "wider": weigh_ranges,
    "trend": weigh_trend,
    "beats": weigh_bar,
}
"""What weighs each kind; `sooner` needs the ledger, too."""

MOST_EXCEPTIONS = 12
"""Values of another hyperparameter that are looked at one by one for exceptions."""


@dataclass(frozen=True)
class Part:
    """A claim, or a claim at one value of its `by`."""

    evidence: Evidence
    verdict: str
    """Confirmed, contradicted, equal or not shown."""
    p: float
    """Of that, adjusted for all parts of all claims of the study (Holm 1979)."""
    estimate: float
    """The typical outcome, on the evidence's scale; positive is the claim's way."""
    low: float
    high: float
    """Its interval at the error at which it was judged; of what is equal, the one that lies within the margin."""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim."""

    claim: Claim
    metric: str
    verdict: str
    """One of `VERDICTS`."""
    maximized: bool = False
    """Whether more of the metric is better."""
    parts: list[Part] = field(default_factory=list)
    """One, or one for each value of the claim's `by`."""
    exceptions: list[tuple[str, Any]] = field(default_factory=list)
    """Hyperparameters and values at which the opposite is shown, of a claim that holds on the whole."""
    problem: str = ""
    """Why it cannot be judged yet; empty where it can."""
    seeds: int = 0
    """How many seeds the study is to have now."""
    left: int = 0
    """Trials of the study that are not trained yet."""

    @property
    def p(self) -> float:
        """The smallest p of its parts."""
        return min((part.p for part in self.parts), default=math.nan)

    def where(self, verdict: str) -> list[Any]:
        """The values of `by` with a verdict."""
        return [part.evidence.at for part in self.parts if part.verdict == verdict]


def judge_claims(ledger: Ledger, study: Study) -> list[Verdict]:
    """The verdicts on all claims of a study, in the order in which they were stated. Raises UsageError without any."""
    claims = study.recipe.claims
    if not claims:
        raise UsageError(
            f"study {study.name!r} states no claim; expected tables [[claim]] in "
            f"its recipe, or `sweep verdict {study.name} --claims FILE`"
        )
    tables = {metric: study_table(ledger, study, metric) for metric in {claim.metric for claim in claims}}
    evidence = [_weigh(ledger, study, tables[claim.metric], claim, 1 / len(claims)) for claim in claims]
    p = [each.p for parts, _ in evidence for each in parts]
    weights = [1 / len(parts) for parts, _ in evidence for _ in parts]
    corrected = zip(holm(p, weights), holm_levels(p, weights, ALPHA), strict=True)
    counts = ledger.counts(study)
    state: dict[str, Any] = {"seeds": len(study.recipe.seeds), "left": counts["waiting"] + counts["running"]}
    out = []
    for claim, (each, problem) in zip(claims, evidence, strict=True):
        table = tables[claim.metric]
        parts = [_judge_part(claim, part, *map(float, next(corrected))) for part in each]
        verdict = Verdict(claim, table.metric, _sum_up(parts), table.sign < 0, parts, problem=problem, **state)
        out.append(_with_exceptions(table, verdict))
    return out


def _weigh(ledger: Ledger, study: Study, table: StudyTable, claim: Claim, share: float) -> tuple[list[Evidence], str]:
    """The evidence, or why there is none."""
    try:
        if claim.kind == "sooner":
            return weigh_targets(ledger, study, table, claim, share), ""
        return _WEIGH[claim.kind](table, claim, share), ""
    except UsageError as error:
        return [], str(error)


def _judge_part(claim: Claim, evidence: Evidence, p: float, level: float) -> Part:
    within = p <= ALPHA and evidence.p_equal == evidence.p
    if p > ALPHA:
        verdict = NOT_SHOWN
    elif claim.kind == "equal":
        verdict = CONFIRMED if within else CONTRADICTED
    elif within:
        verdict = EQUAL
    else:
        verdict = CONFIRMED if evidence.p_for == evidence.p else CONTRADICTED
    return Part(evidence, verdict, p, *evidence.interval(min(1.0, 2 * level) if within else level))


def _sum_up(parts: Sequence[Part]) -> str:
    """The verdict on a claim from those on its parts."""
    verdicts = [part.verdict for part in parts]
    for verdict, qualified in ((CONFIRMED, CONFIRMED_WHERE), (CONTRADICTED, CONTRADICTED_WHERE)):
        if verdict in verdicts:
            return verdict if set(verdicts) == {verdict} else qualified
    return EQUAL if set(verdicts) == {EQUAL} else NOT_SHOWN


def _with_exceptions(table: StudyTable, verdict: Verdict) -> Verdict:
    """The verdict on a claim about all settings, qualified where the opposite is shown at some value of another
    hyperparameter. It is looked for at every value of all of them, which costs no error: it only takes away."""
    claim = verdict.claim
    whole = claim.kind == "better" and claim.how == "everywhere" and claim.by is None
    if not whole or verdict.verdict not in (CONFIRMED, CONTRADICTED):
        return verdict
    confirmed = verdict.verdict == CONFIRMED
    weighed: list[tuple[str, Evidence]] = []
    others = [name for name in table.swept if label_of(name) != claim.factor and name not in dict(claim.where)]
    for name in others:
        if 2 <= table.trials[name].nunique() <= MOST_EXCEPTIONS:
            weighed += [(name, each) for each in weigh_levels(table, replace(claim, by=name), 1.0)]
    p = holm([each.p_against if confirmed else each.p_for for _, each in weighed])
    opposite = [(label_of(name), each.at) for (name, each), value in zip(weighed, p, strict=True) if value <= ALPHA]
    if not opposite:
        return verdict
    return replace(verdict, verdict=CONFIRMED_WHERE if confirmed else CONTRADICTED_WHERE, exceptions=opposite)
