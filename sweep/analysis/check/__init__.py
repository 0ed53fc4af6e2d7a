"""A study read as an experienced colleague would: what to remark, on which numbers, and what to run next. Needs pandas.

thresholds  when each remark is made, in one table
reading     what every remark reads
accidents   trials that failed or diverged
edges       the best setting at the edge of a range
curves      the ends of the best settings' curves
training    what trials were trained on and with: classes, warm-ups, machines
luck        what seeds cannot tell apart
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pandas as pd

from sweep.analysis.check.accidents import all_diverged, all_pruned, diverged, failed
from sweep.analysis.check.curves import curve_ends
from sweep.analysis.check.edges import edges
from sweep.analysis.check.luck import did_nothing, too_few_seeds
from sweep.analysis.check.reading import Reading, Remark, is_number, read
from sweep.analysis.check.thresholds import SHORTEST
from sweep.analysis.check.training import guessing, guessing_the_mean, machines, no_rows, one_class, warm_ups
from sweep.analysis.seeds import seed_roles
from sweep.analysis.table import StudyTable
from sweep.data import Classes
from sweep.errors import UsageError
from sweep.ledger import Sitting
from sweep.recipe import Recipe
from sweep.wording import count

__all__ = ["Remark", "check", "unread"]

_Finder = Callable[[Reading], Iterator[Remark]]
ON_SELECTING_SEEDS: tuple[_Finder, ...] = (edges, curve_ends, did_nothing)
"""What compares all settings with one another: where some were run
again, on the seeds that all have (see sweep.analysis.seeds)."""


def check(
    table: StudyTable,
    epochs: pd.DataFrame,
    recipe: Recipe | None = None,
    classes: Classes | None = None,
    kinds: Sequence[Sequence[Sitting]] = (),
) -> list[Remark]:
    """What there is to remark, the gravest first; empty if nothing is. epochs: the study's, with `trial`, `epoch` and
    the metrics (empty for a study without curves). recipe: for the commands; classes: the rows of each class, if they
    are known; kinds: its sittings by kind of machine. Raises UsageError if it has no trial."""
    if table.trials.empty:
        raise UsageError(f"study {table.name!r}: no trial {'meets the condition' if table.filtered else 'is in it'}")
    reading = replace(read(table, epochs, recipe), classes=classes, kinds=kinds)
    roles = seed_roles(table)
    of_all = reading if roles is None else read(roles.select(table), epochs, recipe)
    finders: tuple[_Finder, ...]
    if reading.trials["value"].notna().any():
        finders = (
            failed,
            guessing,
            guessing_the_mean,
            diverged,
            one_class,
            no_rows,
            warm_ups,
            edges,
            curve_ends,
            too_few_seeds,
            did_nothing,
            machines,
        )
    else:
        finders = (failed, all_diverged, all_pruned, one_class, no_rows, warm_ups, machines)
    return [remark for find in finders for remark in find(of_all if find in ON_SELECTING_SEEDS else reading)]


def unread(table: StudyTable, epochs: pd.DataFrame, classes: Classes | None = None) -> list[str]:
    """What a study has too little of to be read, in words."""
    out = []
    length = 0 if epochs.empty else int(epochs["epoch"].max())
    if length < SHORTEST and table.ends is None:
        length_text = f"{count(length, 'epoch')}, at least {SHORTEST} are needed" if length else "there are none"
        out.append(f"learning curves ({length_text})")
    if not any(_numbers_of(table.trials[name]) >= 3 for name in table.swept if name in table.trials):
        out.append("edges (no hyperparameter took three numbers)")
    if table.trials["seed"].nunique() < 2 and not table.exact:
        out.append("the spread over seeds (there is one)")
    if classes is None and not table.free and table.ends is None and not table.regression:
        out.append("accuracy against guessing (the classes were not counted when its data were last loaded)")
    return out


def _numbers_of(column: pd.Series) -> int:
    levels = column.dropna().unique()
    return len(levels) if all(is_number(level) for level in levels) else 0
