"""Which seeds selected and which judge: the commonest table has every setting on a few seeds, the chosen few on more.
Needs pandas.

A score that a setting was chosen for is in part luck (the winner's curse), so it says nothing about the setting that
fresh seeds do not say better, and averaging it into them would flatter whoever was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sweep.analysis.table import StudyTable

NEARLY_ALL = 0.9
"""A seed selects if at least this share of the settings has it: single trials may have been lost."""
MINORITY = 0.5
"""A seed is fresh if less than this share of the settings has it; a seed in between fits no pattern."""
AHEAD = 0.25
"""Where there is one fresh seed only, the mean place (0 best, 1 worst) that its settings must have on the selecting
ones: else an interrupted grid, which stops in the middle of a seed, would look chosen."""


@dataclass(frozen=True)
class SeedRoles:
    """selecting: the seeds that (nearly) every setting has; fresh: those that only the settings run again have;
    chosen: these settings, by their codes."""

    selecting: tuple[int, ...]
    fresh: tuple[int, ...]
    chosen: frozenset[int]

    def select(self, table: StudyTable) -> StudyTable:
        """The study as it was selected from: every setting, on the selecting seeds alone."""
        trials = table.trials[table.trials["seed"].isin(self.selecting)]
        return replace(table, trials=trials, unfiltered=None)

    def judge(self, table: StudyTable) -> StudyTable:
        """What judges: the settings that were run again, on the fresh seeds alone."""
        mine = table.trials["seed"].isin(self.fresh) & table.trials["setting"].isin(self.chosen)
        return replace(table, trials=table.trials[mine], unfiltered=None)


def seed_roles(table: StudyTable) -> SeedRoles | None:
    """Tells selecting seeds from fresh ones, whatever condition the table meets: by all trials
    of its study, in whatever state. None where all settings share their seeds or the pattern
    is another: no common seed, settings that lack seeds (an interrupted grid), half of the
    settings on more seeds; or where the table has no number on one of the two sides; nor in
    a race, which says itself who got more seeds, and why."""
    if table.race is not None:  # its later seeds select, too
        return None
    trials = table.trials if table.unfiltered is None else table.unfiltered
    there = trials[["setting", "seed"]].drop_duplicates()
    settings = there["setting"].nunique()
    having = there["seed"].value_counts() / max(settings, 1)  # by seed, the share of settings
    selecting, fresh = having.index[having >= NEARLY_ALL], having.index[having < MINORITY]
    if not len(selecting) or not len(fresh) or len(selecting) + len(fresh) < len(having):
        return None
    chosen = frozenset(there.loc[there["seed"].isin(fresh), "setting"].tolist())
    selected_from = frozenset(there.loc[there["seed"].isin(selecting), "setting"].tolist())
    if len(chosen) >= MINORITY * settings or not chosen <= selected_from:
        return None
    roles = SeedRoles(
        tuple(sorted(int(seed) for seed in selecting)), tuple(sorted(int(seed) for seed in fresh)), chosen
    )
    whole = replace(table, trials=trials, unfiltered=None)
    if len(fresh) == 1 and _place(roles, whole) > AHEAD:
        return None
    if roles.select(table).complete.empty or roles.judge(table).complete.empty:
        return None
    return roles


def _place(roles: SeedRoles, whole: StudyTable) -> float:
    """The mean place of the chosen settings on the selecting
    seeds, from 0 (best) to 1; one without a number is last."""
    selected = roles.select(whole)
    means = (whole.sign * selected.complete.groupby("setting")[whole.metric].mean()).reindex(
        selected.trials["setting"].unique()
    )
    ranks = means.fillna(np.inf).rank()
    return float((ranks[list(roles.chosen)].mean() - 1) / max(len(ranks) - 1, 1))
