"""Claims that a target is reached in fewer steps with a level. Needs the evidence, and the steps to a target.

A trial that never got there is censored: it would have needed more steps than it was given, nobody knows how many. It
counts as later than any that got there, whatever that took; a ratio to it is only known to be at least so large.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from sweep.analysis.cells import combine_codes, encode_levels
from sweep.analysis.reaching import Reaching, reach
from sweep.analysis.statistics import Floats
from sweep.analysis.table import StudyTable
from sweep.analysis.verdicts.evidence import Evidence, weigh
from sweep.analysis.verdicts.matching import check_level, find_column
from sweep.ledger import Ledger, Study
from sweep.recipe import Claim


def weigh_targets(ledger: Ledger, study: Study, table: StudyTable, claim: Claim, share: float) -> list[Evidence]:
    """The evidence for fewer steps to a target: one for each value of `by`."""
    column = find_column(table, str(claim.factor), claim)
    for level in (claim.level, claim.than):
        check_level(table, column, level, claim)
    by = find_column(table, claim.by, claim) if claim.by else None
    reached = reach(ledger, study, table, table.metric, float(claim.target or 0.0), None)
    trials = reached.trials
    for name, values in claim.where:
        trials = trials[trials[find_column(table, name, claim)].isin(values)]
    parts = (
        [(None, trials)]
        if by is None
        else [(value, trials[trials[by] == value]) for value in encode_levels(trials[by])[1]]
    )
    return [_compare(reached, part, column, claim, share / len(parts), at, by) for at, part in parts]


def _compare(
    reached: Reaching, trials: pd.DataFrame, column: str, claim: Claim, share: float, at: object, by: str | None
) -> Evidence:
    trials = trials[trials[column].isin([claim.level, claim.than])].reset_index(drop=True)
    others = [name for name in reached.swept if name not in (column, by)]
    cell = combine_codes([encode_levels(trials[name])[0] + 1 for name in others], len(trials))
    seed, seeds = encode_levels(trials["seed"])
    shape = int(cell.max(initial=-1)) + 1, len(seeds)
    sides = []
    for level in (claim.level, claim.than):
        mine = (trials[column] == level).to_numpy(bool)
        steps, known = np.full(shape, np.nan), np.full(shape, np.nan)
        steps[cell[mine], seed[mine]] = trials.loc[mine, "steps"]
        known[cell[mine], seed[mine]] = trials.loc[mine, "known"]
        sides.append((steps, known))
    (x, x_known), (y, y_known) = sides
    d, bounds = _compare_steps(x, x_known, y, y_known, claim.times)
    both = ~np.isnan(x) & ~np.isnan(y)
    decided = both & (np.isfinite(x) | np.isfinite(y))
    ratio = _middle(bounds[decided])
    facts = {
        "reached": [int(np.isfinite(side[both]).sum()) for side in (x, y)],
        "of": int(both.sum()),
        "target": claim.target,
        "made": int(trials["made"].max()) if len(trials) else 0,
        "ratio": ratio,
        "at_least": bool(np.isinf((y if ratio >= 1 else x)[decided]).any()),
    }
    medians = _middle(x[both]), _middle(y[both])
    return weigh(d, 0.0, share, at=at, scale="log ratio", sides=medians, facts=facts)


def _compare_steps(x: Floats, x_known: Floats, y: Floats, y_known: Floats, times: float) -> tuple[Floats, Floats]:
    """The logarithm of how many times sooner the first side was, less that of `times`; infinite where one side alone
    got there, 0 where that does not decide. And the ratios, of a side that never got there what is known."""
    with np.errstate(all="ignore"):
        log = np.log(y / x) - math.log(times)
        d = np.where(np.isfinite(x) & np.isfinite(y), log, 0.0)
        lasted, gave_up = np.where(np.isfinite(y), y, y_known), np.where(np.isfinite(x), x, x_known)
        d = np.where(np.isfinite(x) & np.isinf(y) & (lasted >= times * x), np.inf, d)
        d = np.where(np.isinf(x) & np.isfinite(y) & (times * gave_up >= y), -np.inf, d)
        ratio = np.where(np.isinf(x) & np.isinf(y), 1.0, lasted / gave_up)
    missing = np.isnan(x) | np.isnan(y)
    return np.where(missing, np.nan, d), np.where(missing, np.nan, ratio)


def _middle(values: Floats) -> float:
    """The median, of an even number the lower of the two in the middle: never made up of a number and of never."""
    ordered = np.sort(values[~np.isnan(values)])
    return float(ordered[(len(ordered) - 1) // 2]) if len(ordered) else math.nan
