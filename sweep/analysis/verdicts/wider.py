"""Claims that more values of a range are usable with a level than with another. Needs the evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sweep.analysis.statistics import Floats
from sweep.analysis.table import StudyTable
from sweep.analysis.verdicts.evidence import Evidence, weigh
from sweep.analysis.verdicts.matching import Trials, check_level, choose_trials, find_column, subtract
from sweep.recipe import Claim


def weigh_ranges(table: StudyTable, claim: Claim, share: float) -> list[Evidence]:
    """The evidence that more values of a range reach what is usable; one that diverges does not."""
    column, span = (find_column(table, str(name), claim) for name in (claim.factor, claim.range))
    for level in (claim.level, claim.than):
        check_level(table, column, level, claim)
    trials = choose_trials(table, claim)
    trials = trials.keep(trials.frame[column].isin([claim.level, claim.than]) & trials.frame[span].notna())
    usable = trials.sign * trials.frame["value"] <= trials.sign * float(claim.usable or 0.0)  # NaN is not
    frame = trials.frame.assign(usable=usable.astype(float))
    trials = replace(trials, frame=frame)
    values = _shared(trials, column, span, claim)
    layout = trials.lay_out(column, span)
    counts, reached = [], []
    for level in (claim.level, claim.than):
        each = [layout.matrix((frame[column] == level) & (frame[span] == value), "usable") for value in values]
        empty = np.full((layout.cells, layout.seeds), np.nan)
        counts.append(np.sum(each, axis=0) if each else empty)
        reached.append([value for value, matrix in zip(values, each, strict=True) if _mean(matrix) > 0.5])
    facts = {"values": values, "reached": reached, "usable": claim.usable}
    sides = _mean(counts[0]), _mean(counts[1])
    return [weigh(subtract(*counts), share=share, scale="count", sides=sides, facts=facts)]


def _shared(trials: Trials, column: str, span: str, claim: Claim) -> list[Any]:
    """The values of the range that both levels have."""
    frame = trials.frame
    sides = [set(frame.loc[frame[column] == level, span]) for level in (claim.level, claim.than)]
    return [value for value in trials.levels(span) if all(value in side for side in sides)]


def _mean(matrix: Floats | pd.Series) -> float:
    known = matrix[~np.isnan(matrix)]
    return float(known.mean()) if len(known) else np.nan
