"""Rows of `trials` and `epochs` as the columns of a table, a part at a time. Needs numpy and pandas.

A study of a quarter of a million trials has few distinct settings and states: each of these texts is decoded once, and
no more rows are held than were just read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

REPEATED = ("setting", "state")
"""Columns of texts that many rows share."""
_WHOLE = ("number", "seed", "epochs", "trial", "epoch")
_TEXTS = ("reason", "traceback")
_OF_SETTINGS = "="
"""What the name of a hyperparameter's column begins with: none that was imported covers another."""


@dataclass(frozen=True)
class Columns:
    """Trials by column. A column of numbers is as it was read, NaN where NULL; of any other one there are codes."""

    arrays: dict[str, NDArray[Any]]
    """A number or a code for each trial; of a hyperparameter (`=lr`), for each distinct setting."""
    words: dict[str, list[Any]]
    """What the codes of a column stand for."""

    def frame(self, names: dict[str, str]) -> pd.DataFrame:
        """The table of columns, each by the name it is to have. A setting is its code."""
        import pandas as pd

        whole = {name: self._whole(name) for name in names}
        return pd.DataFrame(dict(zip(names.values(), whole.values(), strict=True)), copy=False)

    def _whole(self, name: str) -> Any:
        import pandas as pd

        if name not in self.words:
            return self.arrays[name]
        words = pd.DataFrame.from_records([(word,) for word in self.words[name]], columns=[name])[name].array
        return words.take(self.arrays[name])

    def settings(self) -> pd.DataFrame:
        """The hyperparameters of each trial, as objects, in the order in which settings have them."""
        import pandas as pd

        of, out = self.arrays["setting"], {}
        for name in (name for name in self.words if name.startswith(_OF_SETTINGS)):
            values = np.fromiter(self.words[name], object, len(self.words[name]))
            out[name.removeprefix(_OF_SETTINGS)] = values.take(self.arrays[name].take(of))
        return pd.DataFrame(out, index=range(len(of)), dtype=object)


def selected(columns: Iterable[str]) -> str:
    """What to select so that `read_columns` can read it: of repeated texts the bytes, which cost no call of Python
    each."""
    return ", ".join(f"CAST({name} AS BLOB)" if name in REPEATED else name for name in columns)


def read_columns(parts: Iterable[list[Any]], names: Iterable[str], restore: Callable[[Any], Any] | None) -> Columns:
    """The columns of rows that come in parts. restore: what a setting is that was stored, if it is not that itself."""
    distinct: dict[str, dict[Any, int]] = {name: {} for name in (*REPEATED, *_TEXTS)}
    read: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    for rows in parts:
        for name, cells in zip(read, zip(*rows, strict=True), strict=True):
            read[name].append(_column(name, cells, distinct))
    arrays = {name: _join(name, read.pop(name)) for name in [*read]}
    settings = [text.decode(errors="replace") for text in distinct.pop("setting")]
    words: dict[str, list[Any]] = {name: [*codes] for name, codes in distinct.items() if name in arrays}
    words["state"] = [text.decode(errors="replace") for text in words["state"]]
    for name, (codes, values) in _hyperparameters(settings, restore).items():
        arrays[name], words[name] = codes, values
    return Columns(arrays, words)


def _hyperparameters(
    texts: list[str], restore: Callable[[Any], Any] | None
) -> dict[str, tuple[NDArray[np.int64], list[Any]]]:
    """Of each hyperparameter, the codes of settings and what they stand for."""
    import pandas as pd

    settings = json.loads(f"[{','.join(texts)}]")
    if restore is not None:
        settings = [restore(setting) for setting in settings]
    frame = pd.DataFrame.from_records(settings, index=range(len(texts)))
    return {f"{_OF_SETTINGS}{name}": _encode(frame[name]) for name in frame}


def _encode(column: pd.Series) -> tuple[NDArray[np.int64], list[Any]]:
    """A column's cells as codes, and the cells that they stand for: 1, 1.0 and True are three, as are 0.0 and -0.0."""
    import pandas as pd

    if column.dtype in ("int64", "float64"):
        codes, bits = pd.factorize(column.to_numpy().view(np.int64))
        return codes, bits.view(column.dtype).tolist()
    cells = column.astype(object).tolist()
    codes, _ = pd.factorize(np.array([*map(repr, cells)], object))
    return codes, [cells[place] for place in np.unique(codes, return_index=True)[1]]


def numbers_of(parts: Iterable[list[Any]], names: list[str]) -> pd.DataFrame:
    """The table of rows of numbers alone, as those of epochs are."""
    import pandas as pd

    read: dict[str, list[Any]] = {name: [] for name in names}
    for rows in parts:
        for name, cells in zip(names, zip(*rows, strict=True), strict=True):
            read[name].append(_column(name, cells, {}))
    return pd.DataFrame({name: _join(name, read.pop(name)) for name in names}, copy=False)


def _column(name: str, cells: tuple[Any, ...], distinct: dict[str, dict[Any, int]]) -> NDArray[Any]:
    codes = distinct.get(name)
    if codes is not None:
        for cell in dict.fromkeys(cells):
            codes.setdefault(cell, len(codes))
        return np.fromiter(map(codes.__getitem__, cells), np.int64, len(cells))
    return np.array(cells, np.int64 if name in _WHOLE else float)


def _join(name: str, parts: list[NDArray[Any]]) -> NDArray[Any]:
    kind = np.int64 if name in (*_WHOLE, *REPEATED, *_TEXTS) else float
    return np.concatenate(parts) if parts else np.empty(0, kind)
