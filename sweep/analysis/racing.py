"""What became of a race's settings, for whoever reads its study: who is still in, who left when and why. Needs pandas.

Settings that left have fewer seeds than those that are in. A mean over more seeds is no better or worse for that, but
which seeds it is over was decided by their results; so where settings are compared by what they have in common, as
effects and importance do, only the seeds of the first look count, which all settings trained with before anybody left.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from sweep.ledger import Ledger, Study
from sweep.racing import ALPHA, Course, Left, follow
from sweep.recipe import NEWEST_RULE
from sweep.space import seeds_text, setting_key
from sweep.wording import count


@dataclass(frozen=True)
class Racing:
    """A race by the codes of its settings, as a table of trials has them."""

    course: Course
    metric: str
    direction: str
    """What it is decided by."""
    standing: frozenset[int]
    """Those still in."""
    left: dict[int, Left]
    rule: int
    """By which of the rules it judges."""

    def out(self, code: int) -> str:
        """Why a setting is no longer in, in a few words; empty if it is."""
        left = self.left.get(code)
        return "" if left is None else f"{left.why} after {count(left.seeds, 'seed')}"

    def seeds(self, code: int) -> int:
        """With how many seeds a setting was compared last; of those in, all that a race may have."""
        left = self.left.get(code)
        return len(self.course.seeds) if left is None else left.seeds

    @property
    def state(self) -> str:
        """How far it is, in a sentence."""
        course = self.course
        seeds, settings = len(course.seeds), len(course.settings)
        if not course.looks:
            return f"A race over {seeds:,} seeds: nothing is compared yet."
        came = f"A race of {settings:,} settings over at most {count(seeds, 'seed')}: " + ", then ".join(
            look.text for look in course.looks if any(look.left.values()) or look is course.looks[-1]
        )
        return f"{came}; {course.end or 'it goes on'}."

    @property
    def worth(self) -> str:
        """What it claims, in a sentence."""
        several = len(self.course.settings) - len(self.left) > 1
        return (
            f"The truly best setting was dropped with a chance of {100 * ALPHA:.0f}% at most, over all looks and "
            f"comparisons together{'; those still in cannot be told from the best' if several else ''}."
            + (f" It goes by rule {self.rule}, with which it began." if self.rule != NEWEST_RULE else "")
        )

    @property
    def note(self) -> str:
        """Which seeds are compared where settings are, in a sentence."""
        return (
            f"This was a race, so settings have unequal seeds: compared here on {seeds_text(self.course.common)}, "
            "which all of them have."
        )


def read_racing(ledger: Ledger, study: Study, trials: pd.DataFrame) -> Racing | None:
    """The race of a study, by the codes of its table of trials; None if it is none."""
    recipe = study.recipe
    if recipe.race is None:
        return None
    results = ledger.results(study)
    course = follow(recipe, results)
    code_of = dict(zip(trials["number"], trials["setting"], strict=True))
    codes = {setting_key(result.trial.setting): int(code_of[result.trial.number]) for result in results}
    by_place = {place: codes.get(setting_key(setting)) for place, setting in enumerate(course.settings)}
    standing = frozenset(code for place in course.standing if (code := by_place[place]) is not None)
    left = {code: how for place, how in course.left.items() if (code := by_place[place]) is not None}
    return Racing(course, recipe.metric, recipe.direction, standing, left, recipe.race.rule)
