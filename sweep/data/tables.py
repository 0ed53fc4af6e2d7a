"""A person's own table, from a CSV, TSV or Parquet file: one column is the target, the others become numbers. Needs
pandas, and how columns are read (see `columns`).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.data.columns import learn_columns
from sweep.data.npz import Arrays
from sweep.data.target import Array, brief, note_balance, read_target
from sweep.errors import UsageError, unknown
from sweep.wording import count

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ROWS = 15


def read_table(path: Path, target: str | None, task: str | None = None) -> Arrays:
    """The rows and the target of a table, as one part that is still to be split: x["train"] float64 [N, D], NaN where a
    number is missing. task: see `read_target`. Raises UsageError, one line."""
    if not path.exists():
        raise UsageError(f"{path}: no such data file; expected a table with a column to predict")
    stamp = path.stat()
    return _read(path, target, task, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, target: str | None, task: str | None, _time: int, _size: int) -> Arrays:
    frame = read_frame(path)
    columns = [*frame.columns]
    if target is None:
        raise UsageError(
            f"{path}: which column is to be predicted? expected --target with one of {_list_names(columns)}"
        )
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
    y, names = read_target(path, {"train": labels_of(frame[target])}, notes, task, target)
    frame = frame.drop(columns=target)
    read = learn_columns(str(path), frame, notes)
    x = read.encode(str(path), frame)
    note_balance(y, len(names), notes)
    return Arrays({"train": x}, y, x.shape[1:], len(names) or 1, tuple(notes), names, not names, read)


def read_frame(path: Path) -> pd.DataFrame:
    """A file's table, its columns called by texts. Raises UsageError, one line."""
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",", low_memory=False)
    except Exception as error:  # pandas and pyarrow raise many kinds for a damaged file
        raise UsageError(f"{path}: cannot be read as a table: {brief(error)}") from None
    frame.columns = [str(name) for name in frame.columns]
    return frame


def _list_names(columns: list[str]) -> str:
    more = f" and {len(columns) - 20} more" if len(columns) > 20 else ""
    return f"{', '.join(columns[:20])}{more}"


def labels_of(column: pd.Series) -> Array:
    """Whole numbers as numbers, anything else as text."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    return column.astype(str).to_numpy(str)
