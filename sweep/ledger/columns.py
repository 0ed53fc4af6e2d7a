"""Rows of `trials` and `epochs` as the columns of a table, a part at a time. Needs numpy and pandas.

A study of a quarter of a million trials has few distinct settings and states: each of these texts is decoded once, and
no more rows are held than were just read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

REPEATED = ("setting", "state")
"""Columns of texts that many rows share."""
_WHOLE = ("number", "seed", "epochs", "trial", "epoch")
_TEXTS = ("reason", "traceback")


def selected(columns: Iterable[str]) -> str:
    """What to select so that `frame_of` can read it: of repeated texts the bytes, which cost no call of Python each."""
    return ", ".join(f"CAST({name} AS BLOB)" if name in REPEATED else name for name in columns)


def frame_of(parts: Iterable[list[Any]], columns: dict[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """The table of rows that come in parts, and the distinct settings in the order in which they come. columns: each by
    the name it is to have. In the table a setting is its place among those; numbers are floats, NaN where NULL."""
    import pandas as pd

    distinct: dict[str, dict[bytes, int]] = {name: {} for name in REPEATED}
    read: dict[str, list[Any]] = {name: [] for name in columns}
    for rows in parts:
        for name, cells in zip(columns, zip(*rows, strict=True), strict=True):
            read[name].append(_column(name, cells, distinct))
    texts = {name: [text.decode(errors="replace") for text in codes] for name, codes in distinct.items()}
    whole = {name: _joined(name, read.pop(name)) for name in columns}
    if len(whole["state"]):
        whole["state"] = pd.Series(texts["state"]).take(whole["state"]).array
    frame = pd.DataFrame(dict(zip(columns.values(), whole.values(), strict=True)), copy=False)
    return frame, texts["setting"]


def numbers_of(parts: Iterable[list[Any]], names: list[str]) -> pd.DataFrame:
    """The table of rows of numbers alone, as those of epochs are."""
    import pandas as pd

    read: dict[str, list[Any]] = {name: [] for name in names}
    for rows in parts:
        for name, cells in zip(names, zip(*rows, strict=True), strict=True):
            read[name].append(_column(name, cells, {}))
    return pd.DataFrame({name: _joined(name, read.pop(name)) for name in names}, copy=False)


def _column(name: str, cells: tuple[Any, ...], distinct: dict[str, dict[bytes, int]]) -> Any:
    if name in REPEATED:
        codes = distinct[name]
        return np.array([codes.setdefault(cell, len(codes)) for cell in cells], np.int64)
    if name in _TEXTS:
        return list(cells)
    return np.array(cells, np.int64 if name in _WHOLE else float)


def _joined(name: str, parts: list[Any]) -> Any:
    import pandas as pd

    if name in _TEXTS:
        cells = [(cell,) for part in parts for cell in part]
        return pd.DataFrame.from_records(cells, columns=[name])[name].array
    kind = np.int64 if name in (*_WHOLE, *REPEATED) else float
    return np.concatenate(parts) if parts else np.empty(0, kind)
