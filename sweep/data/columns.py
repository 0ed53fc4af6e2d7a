"""How the columns of a table become numbers: learned of one table, then done to any other alike. Needs pandas.

Numbers stay as they are, true and false become 1 and 0, each text of a column becomes a column of its own (one-hot). A
missing number is filled with its column's median, a missing text is a text of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sweep.data.target import Array
from sweep.errors import UsageError
from sweep.wording import count, join_words

if TYPE_CHECKING:
    import pandas as pd

MOST_TEXTS = 50
"""A column of more different texts is left out: names and notes tell rows apart, not classes."""
MISSING = "(missing)"


@dataclass(frozen=True)
class Column:
    """A column that is read."""

    name: str
    texts: tuple[str, ...] = ()
    """Each becomes a column; none where it holds numbers."""
    fill: float = 0.0
    """What a missing number becomes."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are read, in order."""

    read: tuple[Column, ...]

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return sum(len(column.texts) or 1 for column in self.read)

    def to_dict(self) -> list[dict[str, Any]]:
        """As plain values; `columns_from_dict` reads them back."""
        return [
            {"name": column.name} | ({"texts": [*column.texts]} if column.texts else {"fill": column.fill})
            for column in self.read
        ]

    def encode(self, where: str, frame: pd.DataFrame) -> Array:
        """The rows of a table as numbers, float64 [N, width], NaN where one is missing. Raises UsageError for a column
        that is not there, or holds text where there were numbers."""
        missing = [column.name for column in self.read if column.name not in frame.columns]
        if missing:
            raise UsageError(f"{where}: no column {join_words(missing[:5])}; found {_list_names([*frame.columns])}")
        parts = [_encode(where, column, frame[column.name]) for column in self.read]
        x = np.concatenate(parts, axis=1)
        with np.errstate(over="ignore"):
            if not np.isfinite(x.astype(np.float32)[~np.isnan(x)]).all():
                raise UsageError(f"{where}: holds numbers that do not fit float32 (beyond 3.4e38)")
        return x

    def fill(self, x: Array) -> Array:
        """Rows [N, width] with missing numbers filled."""
        return np.where(np.isnan(x), np.array([*self._fills()]), x)

    def learn_fills(self, x: Array) -> Columns:
        """The same, missing numbers to be filled by the medians of rows [N, width]; 0 where these have none."""
        place, read = 0, []
        for column in self.read:
            known = x[:, place][~np.isnan(x[:, place])]
            filled = column.texts or not len(known)
            read.append(column if filled else replace(column, fill=float(np.median(known))))
            place += len(column.texts) or 1
        return Columns(tuple(read))

    def unknown(self, frame: pd.DataFrame) -> list[str]:
        """What a table has that the table that was learned of had not: texts, with their number of rows."""
        out = []
        for column in self.read:
            strange = ~_texts(frame[column.name]).isin(column.texts) if column.texts else np.zeros(0)
            if strange.any():
                out.append(f"{column.name} in {count(int(strange.sum()), 'row')}")
        return out

    def _fills(self) -> Iterator[float]:
        for column in self.read:
            yield from [0.0] * len(column.texts) if column.texts else [column.fill]


def learn_columns(where: str, frame: pd.DataFrame, notes: list[str]) -> Columns:
    """How the columns of a table become numbers, and notes of what is done. Raises UsageError if none can."""
    import pandas as pd

    read: list[Column] = []
    left_out, constant, gaps = [], [], []
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            values = _to_numbers(column)
            missing = np.isnan(values)
            if missing.all():
                left_out.append(name)
                continue
            gaps += [f"{name} {int(missing.sum()):,}"] if missing.any() else []
            constant += [name] if len(np.unique(values[~missing])) == 1 and not missing.any() else []
            read.append(Column(name))
            continue
        texts = sorted(_texts(column).unique())
        if len(texts) > MOST_TEXTS:
            left_out.append(name)
            continue
        constant += [name] if len(texts) == 1 else []
        read.append(Column(name, tuple(texts)))
    if not read:
        raise UsageError(f"{where}: no column of numbers, or of at most {MOST_TEXTS} texts, beside the target")
    coded = [f"{column.name} ({len(column.texts)})" for column in read if column.texts]
    notes += [f"one column for each text of {join_words(coded)}"] if coded else []
    notes += [f"{join_words(left_out)} left out: empty, or more than {MOST_TEXTS} different texts"] if left_out else []
    notes += [f"missing numbers ({', '.join(gaps)}): the median of rows that are not for testing"] if gaps else []
    vary = "never varies: it tells" if len(constant) == 1 else "never vary: they tell"
    notes += [f"{join_words(constant)} {vary} nothing"] if constant else []
    return Columns(tuple(read))


def columns_from_dict(values: Sequence[Mapping[str, Any]]) -> Columns:
    """What `Columns.to_dict` gave. Raises ValueError, TypeError or KeyError for anything else."""
    columns = Columns(
        tuple(
            Column(
                str(column["name"]),
                tuple(map(str, column["texts"])) if "texts" in column else (),
                float(column.get("fill", 0)),
            )
            for column in values
        )
    )
    if not columns.read or not all(np.isfinite(column.fill) for column in columns.read):
        raise ValueError(f"columns {values}")
    return columns


def _encode(where: str, column: Column, cells: pd.Series) -> Array:
    if column.texts:
        hot: Array = _texts(cells).to_numpy(str)[:, None] == np.array(column.texts)[None]
        return hot.astype(float)
    try:
        return _to_numbers(cells)[:, None]
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UsageError(f"{where}: column {column.name} held numbers; now it does not ({reason})") from None


def _to_numbers(cells: pd.Series) -> Array:
    values: Array = cells.to_numpy(float, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _texts(cells: pd.Series) -> pd.Series:
    return cells.astype(object).where(cells.notna(), MISSING).astype(str)


def _list_names(names: list[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"{', '.join(names[:20])}{more}"
