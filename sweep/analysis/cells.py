"""Settings as cells: which trials are of one setting, which
settings agree on everything else. Needs numpy and pandas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sweep.analysis.table import StudyTable, keep
from sweep.errors import UsageError, unknown
from sweep.hyperparameters import TABLE, show_value
from sweep.ledger import PLANNED_EPOCHS, Ledger, Study

Codes = NDArray[np.int64]
_WIDEST = 2**40
"""Codes of a combination below which they need no renumbering on the way."""
FINISHED = ("complete", "diverged")
"""The states of a trial that was trained to its end: by its epochs, or by its loss. A pruned one got less, so it is
compared with nothing; a failed one is an accident."""


def select_finished(table: StudyTable) -> pd.DataFrame:
    """The trials that were trained to their end, with `value`: the metric, NaN where it diverged."""
    trials = keep(table.trials, table.trials["state"].isin(FINISHED))
    value = trials[table.metric].astype("float64").where(trials["state"] == "complete")
    return trials.assign(value=value.where(np.isfinite(value))).reset_index(drop=True)


def comparable(table: StudyTable) -> pd.DataFrame:
    """The finished trials, as above. Raises UsageError if none of them is complete."""
    trials = select_finished(table)
    if not trials["value"].notna().any():
        raise UsageError(f"study {table.name!r}: {_why_none(table)}")
    return trials


def _why_none(table: StudyTable) -> str:
    states = table.trials["state"].value_counts().to_dict()
    states_text = ", ".join(f"{number:,} {state}" for state, number in states.items()) or "it has none"
    return f"no trial is complete with a finite {table.metric}, so there is nothing to compare ({states_text})"


def combine_codes(columns: Iterable[Codes], n: int) -> Codes:
    """One code a row for the combination of codes: equal where all are equal, from 0 without gaps. [n]"""
    out, most = np.zeros(n, np.int64), 1
    for column in columns:
        size = int(column.max(initial=0)) + 1
        if most * size >= _WIDEST:
            out, levels = pd.factorize(out)
            most = len(levels)
        out, most = out * size + column, most * size
    return np.asarray(pd.factorize(out)[0], np.int64)


def encode_levels(column: pd.Series) -> tuple[Codes, list[Any]]:
    """A column's values as codes into its levels, in a person's order: off before on, numbers by size, words as they
    come; None, where a setting does not use it, is the code -1."""
    codes, uniques = pd.factorize(column, use_na_sentinel=True)
    levels = list(uniques)
    words = any(isinstance(level, str) for level in levels)
    order = list(range(len(levels))) if words else sorted(range(len(levels)), key=levels.__getitem__)
    place = np.empty(len(levels) + 1, np.int64)
    place[order] = np.arange(len(levels))
    place[-1] = -1
    return place[codes], [plain_value(levels[i]) for i in order]


def encode_settings(trials: pd.DataFrame, names: Iterable[str]) -> dict[str, tuple[Codes, list[Any]]]:
    """The same of several hyperparameters of trials: each setting is looked at once, which many trials may share."""
    of = pd.factorize(trials["setting"])[0]
    first = np.flatnonzero(~pd.Series(of).duplicated().to_numpy())
    encoded = {name: encode_levels(trials[name].take(first)) for name in names}
    return {name: (codes[of], levels) for name, (codes, levels) in encoded.items()}


def only_at_some(present: NDArray[np.bool_], level: Codes) -> bool:
    """Whether a hyperparameter has a value at some levels and none at others, so that it cannot be matched. present:
    whether a trial has one. [n]"""
    counts = np.bincount(level, present)
    return bool((counts == 0).any() and (counts > 0).any())


def plain_value(value: Any) -> Any:
    """A value of plain Python."""
    return value.item() if isinstance(value, np.generic) else value


def column_of(table: StudyTable, name: str, where: str = "") -> str:
    """The swept column that a name means (batch-norm too, and epochs). Raises UsageError: unknown, or of one level."""
    name = name.strip().lstrip("-").replace("-", "_") if name not in table.trials else name
    column = PLANNED_EPOCHS if name == "epochs" and name not in table.swept else name
    if column in table.swept and table.trials[column].nunique() > 1:
        return column
    varying = [label_of(n) for n in table.swept if table.trials[n].nunique() > 1]
    choices = f"choose from {', '.join(varying)}" if varying else "nothing varies in it"
    if name == "seed":
        raise UsageError(f"{where}seed: seeds are averaged, not compared; {choices}")
    if column in table.swept or name in table.constant or name in TABLE:
        present = table.trials[column].dropna() if column in table.trials else pd.Series(dtype=object)
        value = present.iloc[0] if len(present) else table.constant.get(name)
        every = "every trial" + (" that has it" if 0 < len(present) < len(table.trials) else "")
        fixed = f"is {show_value(value)} in {every}" if value is not None else "has no value in any trial"
        raise UsageError(
            f"{where}{label_of(name)} {fixed} of study {table.name!r}; expected at least two levels; {choices}"
        )
    raise unknown("hyperparameter", name, varying, where)


def label_of(column: str) -> str:
    """A column's name as a person knows it."""
    return "epochs" if column == PLANNED_EPOCHS else column


def setting_texts(ledger: Ledger, study: Study, trials: pd.DataFrame) -> pd.Series:
    """The setting of each of a study's trials as it is stored, which is the same text in every study."""
    stored = {number: text for (text, _), (number, _) in ledger.known(study).items()}
    return trials["number"].map(stored)
