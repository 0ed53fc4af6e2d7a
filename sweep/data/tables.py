"""A person's own table, from a CSV, TSV or Parquet file: one column holds the classes, the others become numbers. Needs
pandas.

Numbers stay as they are, true and false become 1 and 0, each text of a column becomes a column of its own (one-hot). A
missing number is filled later, from rows that are not for testing; a missing text is a text of its own.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sweep.data.npz import Array, Arrays, brief, encode_labels, note_balance
from sweep.errors import UsageError, unknown
from sweep.wording import count, join_words

if TYPE_CHECKING:
    import pandas as pd

MOST_TEXTS = 50
"""A column of more different texts is left out: names and notes tell rows apart, not classes."""
FEWEST_ROWS = 15
MISSING = "(missing)"


def read_table(path: Path, target: str | None) -> Arrays:
    """The rows and classes of a table, as one part that is still to be split: x["train"] float64 [N, D], NaN where a
    number is missing. Raises UsageError, one line."""
    if not path.exists():
        raise UsageError(f"{path}: no such data file; expected a table with a column of classes")
    stamp = path.stat()
    return _read(path, target, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, target: str | None, _time: int, _size: int) -> Arrays:
    frame = _frame(path)
    columns = [str(name) for name in frame.columns]
    frame.columns = columns
    if target is None:
        raise UsageError(f"{path}: which column holds the classes? expected --target with one of {_listed(columns)}")
    if target not in columns:
        raise unknown("column", target, columns, f"{path}: --target: ")
    if columns.count(target) > 1:
        raise UsageError(f"{path}: --target {target}: the table has {columns.count(target)} columns of that name")
    notes: list[str] = []
    known = frame[target].notna()
    if not known.all():
        notes.append(f"{count(int((~known).sum()), 'row')} without {target} left out")
    frame = frame[known].reset_index(drop=True)
    if len(frame) < FEWEST_ROWS:
        raise UsageError(f"{path}: {count(len(frame), 'row')} with {target}; expected at least {FEWEST_ROWS}")
    labels, names = encode_labels(path, {"train": _labels(frame[target])}, notes, target)
    x = _numbers(path, frame.drop(columns=target), notes)
    note_balance(labels, len(names), notes)
    return Arrays({"train": x}, labels, x.shape[1:], len(names), tuple(notes), names)


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", low_memory=False)
    except Exception as error:  # pandas and pyarrow raise many kinds for a damaged file
        raise UsageError(f"{path}: cannot be read as a table: {brief(error)}") from None


def _listed(columns: list[str]) -> str:
    more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
    return f"{', '.join(columns[:20])}{more}"


def _labels(column: pd.Series) -> Array:
    """Whole numbers as numbers, anything else as text."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    return column.astype(str).to_numpy(str)


def _numbers(path: Path, frame: pd.DataFrame, notes: list[str]) -> Array:
    """The columns as numbers [N, D], and notes of what was done."""
    import pandas as pd

    parts: list[Array] = []
    coded, left_out, constant, gaps = [], [], [], []
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            values = column.to_numpy(float, na_value=np.nan)
            values = np.where(np.isfinite(values), values, np.nan)
            if np.isnan(values).all():
                left_out.append(name)
                continue
            if np.isnan(values).any():
                gaps.append(f"{name} {int(np.isnan(values).sum()):,}")
            constant += [name] if len(np.unique(values[~np.isnan(values)])) == 1 and not np.isnan(values).any() else []
            parts.append(values[:, None])
            continue
        texts = column.where(column.notna(), MISSING).astype(str)
        kinds = sorted(texts.unique())
        if len(kinds) > MOST_TEXTS:
            left_out.append(name)
            continue
        constant += [name] if len(kinds) == 1 else []
        coded.append(f"{name} ({len(kinds)})")
        parts.append((texts.to_numpy(str)[:, None] == np.array(kinds)[None]).astype(float))
    if not parts:
        raise UsageError(f"{path}: no column of numbers, or of at most {MOST_TEXTS} texts, beside the target")
    notes += [f"one column for each text of {join_words(coded)}"] if coded else []
    notes += [f"{join_words(left_out)} left out: empty, or more than {MOST_TEXTS} different texts"] if left_out else []
    notes += [f"missing numbers ({', '.join(gaps)}): the median of rows that are not for testing"] if gaps else []
    notes += [f"{join_words(constant)} never varies: it tells nothing"] if constant else []
    x = np.concatenate(parts, axis=1)
    with np.errstate(over="ignore"):
        if not np.isfinite(x.astype(np.float32)[~np.isnan(x)]).all():
            raise UsageError(f"{path}: holds numbers that do not fit float32 (beyond 3.4e38)")
    return x


def fill_missing(x: Array, known: Array) -> Array:
    """The rows [N, D] with missing numbers filled by the median of the rows `known` (not for testing); 0 where these
    have none."""
    if not np.isnan(x).any():
        return x
    some = x[known]
    medians = np.array(
        [np.median(column[~np.isnan(column)]) if (~np.isnan(column)).any() else 0.0 for column in some.T]
    )
    return np.where(np.isnan(x), medians, x)
