"""Anyone's table of results as typed columns: every cell is read
as it was written, each column has one type. Needs pandas."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sweep.errors import UsageError, unknown
from sweep.wording import count

SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".tsv", ".tsv.gz", ".tsv.zip", ".parquet")
_WHOLE = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Typed:
    """A table with one type a column. frame: columns of plain Python values (bool, int of any size, float, str), None
    where a cell is empty; the index is the line of the file. notes: what was decided in reading."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


def read_table(path: Path) -> Typed:
    """Reads a CSV, TSV or Parquet file. Words such as None, NA or null are text like any other, only an empty cell is
    empty; a line of nothing but empty cells is no row. Raises UsageError, with the line where it can."""
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            return _parquet(path)
        if not name.endswith(SUFFIXES):
            raise unknown("suffix", "".join(path.suffixes[-2:]) or path.name, SUFFIXES, f"{path}: ")
        return _text(path, name)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; expected a table of results ({', '.join(SUFFIXES)})") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: a folder; expected a table of results ({', '.join(SUFFIXES)})") from None
    except pd.errors.EmptyDataError:
        raise UsageError(f"{path}: the file is empty; expected a header and one row per training") from None
    except UsageError:
        raise
    except Exception as error:  # pandas, pyarrow and gzip have a dozen kinds; each says in its text what is wrong
        reason = (
            str(error).splitlines()[0].removeprefix("Error tokenizing data. C error: ").strip() if str(error) else ""
        )
        raise UsageError(f"{path}: cannot be read as a table of results: {reason or type(error).__name__}") from None


def _text(path: Path, name: str) -> Typed:
    notes: list[str] = []
    options: dict[str, Any] = {"header": None, "dtype": str, "encoding": "utf-8-sig", "keep_default_na": False}
    sep = "\t" if name.endswith((".tsv", ".tsv.gz", ".tsv.zip")) else ","
    first = pd.read_csv(path, nrows=1, sep=sep, **options)
    for other, noun in _SEPARATORS.items():
        if sep == "," and other in str(first.iloc[0, 0]):
            parts = pd.read_csv(path, nrows=1, sep=other, **options)
            if parts.shape[1] > first.shape[1]:
                sep, first = other, parts
                decimals = "; 0,5 is read as 0.5" if other == ";" else ""
                notes.append(f"fields are separated by {noun}{decimals}")
    _check_end(path, sep, first.shape[1])
    header = [str(cell).strip() for cell in first.iloc[0]]
    while header and not header[-1]:
        header.pop()  # a separator at the end of the line
    doubled = [cell for place, cell in enumerate(header) if cell and cell in header[:place]]
    if doubled:
        raise UsageError(f"{path}, line 1: two columns are called {doubled[0]!r}")
    rest: dict[str, Any] = {"sep": sep, "skiprows": 1, "skip_blank_lines": False} | options
    try:
        width = max(first.shape[1], pd.read_csv(path, nrows=1, **rest).shape[1])  # else the first row's
        table = pd.read_csv(path, names=range(width), **rest)
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    extra = table.iloc[:, len(header) :] if table.shape[1] > len(header) else pd.DataFrame(index=table.index)
    filled = (extra != "") & extra.notna()
    if filled.to_numpy().any():
        place = int(filled.any(axis=1).to_numpy().argmax())
        raise UsageError(f"{path}, line {place + 2}: more fields than the header's {len(header)}; expected as many")
    table = table.iloc[:, : len(header)].reindex(columns=range(len(header)))
    table.index = _lines(table)
    cells = table.astype(object).fillna("")
    blank = (
        pd.concat([cells[place].map(lambda cell: not cell.strip()) for place in cells], axis=1).all(axis=1)
        if len(header)
        else None
    )
    cells = cells if blank is None else cells[~blank]
    if {"rev", "typ"} <= set(header):  # of `dvc exp show --csv`
        cells = _dvc(cells, header.index("typ"), notes)
    unnamed = [place for place, cell in enumerate(header) if not cell]
    if unnamed:
        notes.append("a column without a name is left out, as an index of rows")
    columns = {name: _type_column(cells[place], comma=sep == ";") for place, name in enumerate(header) if name}
    return Typed(_frame(columns, cells.index), tuple(notes))


_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def _check_end(path: Path, sep: str, width: int) -> None:
    """Raises UsageError for a last line that was cut off, so that its empty cells are not taken for a result."""
    if not path.name.lower().endswith((".csv", ".tsv")):
        return  # what was packed has a checksum
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1_000_000))
        last = file.read().decode("utf-8", "replace").replace("\r", "\n").rpartition("\n")[2]
    if last and '"' not in last and last.count(sep) + 1 < width:
        has = count(last.count(sep) + 1, "field")
        raise UsageError(f"{path}: cut off: its last line has {has}, and no end; expected {width} fields")


def _lines(table: pd.DataFrame) -> pd.Index:
    """The line of the file on which each row begins: a field in quotes may go over several."""
    breaks = np.zeros(len(table) + 1, np.int64)
    for place in table:
        codes, words = pd.factorize(table[place])
        more = np.array([*(str(word).count("\n") for word in words), 0])
        breaks[1:] += more[codes]
    lines: pd.Index = pd.Index(2 + np.arange(len(table)) + np.cumsum(breaks)[:-1])
    return lines


def _dvc(cells: pd.DataFrame, kind: int, notes: list[str]) -> pd.DataFrame:
    """DVC's rows that are experiments; its ! means that there is
    no such file. kind: the column that says what a row is."""
    baseline = cells[kind] == "baseline"
    if baseline.any():
        notes.append(f"{count(int(baseline.sum()), 'row')} of DVC's workspace and branches, no trainings: left out")
    return cells[~baseline].replace("!", "")


def _frame(columns: dict[str, list[Any]], index: pd.Index) -> pd.DataFrame:
    frame = pd.DataFrame(index=index)
    parts = {name: pd.Series(cells, index=index, dtype=object, name=name) for name, cells in columns.items()}
    return pd.concat([frame, *parts.values()], axis=1) if parts else frame


def _type_column(column: pd.Series, comma: bool = False) -> list[Any]:
    """Cells of text as one type: truth values, whole numbers, numbers, or as they are; None where one is empty."""
    codes, distinct = pd.factorize(column)  # each text is looked at once
    texts = [str(text).strip() for text in distinct]
    words = [text for text in texts if text]
    if comma and any(_COMMA.fullmatch(word) for word in words):
        dotted = [word.replace(",", ".") if _COMMA.fullmatch(word) else word for word in words]
        if all(_NUMBER.fullmatch(word) for word in dotted):
            texts = [text.replace(",", ".") for text in texts]
            words = dotted
    kind: Callable[[str], Any] = str
    if words and all(word.lower() in _TRUTH for word in words):
        kind = lambda text: _TRUTH[text.lower()]  # noqa: E731
    elif words and all(_WHOLE.fullmatch(word) and len(word) < 4000 for word in words):
        kind = int
    elif words and all(_NUMBER.fullmatch(word) for word in words):
        kind = float
    values = np.empty(len(texts), object)
    values[:] = [kind(text) if text else None for text in texts]
    cells: list[Any] = values[codes].tolist()
    return cells


def _parquet(path: Path) -> Typed:
    import pyarrow.parquet as parquet

    table = parquet.read_table(path)
    notes, columns = [], {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        flat = _flat_name(name)
        if flat in columns:
            raise UsageError(f"{path}: two columns are called {flat!r}")
        cells = [_scalar(cell) for cell in column.to_pylist()]
        if any(
            isinstance(cell, str) and not isinstance(raw, str)
            for cell, raw in zip(cells, column.to_pylist(), strict=True)
            if isinstance(raw, list | dict)
        ):
            notes.append(f"{flat} holds lists or tables: each is taken as its text")
        columns[flat] = _unify_types(cells)
    columns = {name: cells for name, cells in columns.items() if not name.startswith("__index_level_")}
    return Typed(_frame(columns, pd.RangeIndex(2, table.num_rows + 2, name="line")), tuple(notes))


def _flat_name(name: str) -> str:
    """A column's name; of several levels, which pandas writes as the text of a tuple, joined."""
    parts = re.findall(r"'((?:[^'\\]|\\.)*)'", name) if name.startswith("('") and name.endswith(")") else []
    return "_".join(part for part in parts if part) if parts else name.strip()


def _scalar(value: Any) -> Any:
    """A cell as bool, int, float, text or None."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list | dict):
        return json.dumps(value, default=str)
    if isinstance(value, date | timedelta):
        return str(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _unify_types(cells: Sequence[Any]) -> list[Any]:
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds <= {int, float} and float in kinds:
        return [None if cell is None else float(cell) for cell in cells]
    if len(kinds) > 1:
        return [None if cell is None else str(cell) for cell in cells]
    return list(cells)
