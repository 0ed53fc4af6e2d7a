"""Answers in words and tables: effects, importance, remarks. Needs rich.

words       how differences, intervals and p values are written
sentences   an effect in sentences
equality    practically equal, in words
effect      the answer to `sweep effect`
importance  the answer to `sweep importance`
check       the answer to `sweep check`
reaching    the answer to `sweep steps`
"""

from sweep.report.answers.check import check_json, check_report
from sweep.report.answers.effect import effect_json, effect_report, footnote, record_comparison
from sweep.report.answers.equality import differs_by_less, equal_sentences, show_margin
from sweep.report.answers.importance import importance_json, importance_method, importance_report, importance_sentences
from sweep.report.answers.reaching import reaching_json, reaching_report
from sweep.report.answers.sentences import compared_sizes, headline, holds_for, sentences, tuned_sentences
from sweep.report.answers.words import PRACTICALLY_EQUAL, equals, scale, show_difference, show_p

__all__ = [
    "PRACTICALLY_EQUAL",
    "check_json",
    "check_report",
    "compared_sizes",
    "differs_by_less",
    "effect_json",
    "effect_report",
    "equal_sentences",
    "equals",
    "footnote",
    "headline",
    "holds_for",
    "importance_json",
    "importance_method",
    "importance_report",
    "importance_sentences",
    "reaching_json",
    "reaching_report",
    "record_comparison",
    "scale",
    "sentences",
    "show_difference",
    "show_margin",
    "show_p",
    "tuned_sentences",
]
