"""Files that scripts and papers read: CSV, Parquet, JSON, Markdown. Needs pandas."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.errors import SweepError, UsageError, unknown
from sweep.hyperparameters import show_value
from sweep.report.text import missing

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis.pictures import Picture

SUFFIXES = (".csv", ".parquet", ".json", ".md", ".tex")


def export_table(frame: pd.DataFrame, target: str) -> None:
    """Writes a table as its suffix says, beside the target and then renamed; `-` is CSV on standard output."""
    if target == "-":
        sys.stdout.write(_csv(frame))
        return
    path = check_target(target, SUFFIXES)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        buffer = io.BytesIO()
        one_kind_a_column(frame).to_parquet(buffer, index=False)
        write(path, target, buffer.getvalue())
        return
    save_text({".csv": _csv, ".json": to_json, ".md": _markdown}[suffix](frame), target)


def save_text(text: str, target: str) -> None:
    """Writes a text file, beside the target and then renamed. Raises UsageError, SweepError."""
    write(check_target(target, SUFFIXES), target, text.encode())


def check_target(target: str, suffixes: tuple[str, ...]) -> Path:
    """The path of an output file. Raises UsageError for a suffix that is not among those, in small letters or
    capitals, or a folder."""
    path = Path(target)
    if path.suffix.lower() not in suffixes:
        raise unknown("suffix", path.suffix or target, suffixes, f"-o {target}: ")
    if path.is_dir():
        raise UsageError(f"-o {target}: a folder; expected a file")
    return path


def write(path: Path, target: str, content: bytes) -> None:
    """Writes a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None
        raise SweepError(f"-o {target}: cannot be written: {error.strerror or error}") from None


def one_kind_a_column(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as Parquet can hold it: a column of several kinds
    (32 and "full"), or of numbers too long for it, as text."""

    def text(cell: Any) -> Any:
        return None if missing(cell) else cell if isinstance(cell, str) else str(plain(cell))

    mixed = []
    for name in (str(name) for name, kind in frame.dtypes.items() if kind.name == "object"):
        kinds = {type(plain(cell)) for cell in frame[name] if not missing(cell)}
        long = int in kinds and any(isinstance(cell, int) and not -(2**63) <= cell < 2**63 for cell in frame[name])
        if long or (len(kinds) > 1 and kinds != {int, float}):
            mixed.append(name)
    return frame.assign(**{name: frame[name].map(text) for name in mixed}) if mixed else frame


def _csv(frame: pd.DataFrame) -> str:
    """Floats in the shortest form that reads back to the same number; text that a spreadsheet would run is quoted."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(frame.columns)
    for start in range(0, len(frame), _ROWS):
        part = frame.iloc[start : start + _ROWS]
        writer.writerows(zip(*(_texts(part.iloc[:, place]) for place in range(part.shape[1])), strict=True))
    return buffer.getvalue()


def _texts(column: pd.Series) -> list[Any]:
    """A column's cells as they are written: booleans as true and false, which every spreadsheet and pandas read
    back."""
    if column.dtype == "float64":
        return [repr(cell) if math.isfinite(cell) else None for cell in column.tolist()]
    if column.dtype == "int64":
        return column.tolist()
    cells = column.astype(object).tolist()
    texts = {place: _safe(cell) for place, cell in dict(zip(map(id, cells), cells, strict=True)).items()}
    return [texts[place] for place in map(id, cells)]  # few values stand in many rows


def _safe(cell: Any) -> Any:
    if type(cell) is str:
        return f"'{cell}" if cell.startswith(_RUN) else cell
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return repr(float(cell)) if math.isfinite(cell) else None
    return None if missing(cell) else cell


_ROWS = 20_000
"""Rows that are made text at a time."""

_RUN = tuple("=+-@\t\r")
"""What text begins with that a spreadsheet would run."""


def to_json(frame: pd.DataFrame) -> str:
    """A list of objects, one a row; what is missing is null."""
    return json.dumps(records(frame), indent=1) + "\n"


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain values, None where one is missing or not finite."""
    return [
        {name: plain(value) for name, value in zip(frame.columns, row, strict=True)}
        for row in frame.itertuples(index=False)
    ]


def picture_records(picture: Picture) -> dict[str, Any]:
    """A picture's words and marks as plain values."""
    words = {name: getattr(picture, name) for name in ("kind", "title", "subtitle", "ground", "direction")}
    more = {name: records(frame) for name, frame in picture.more.items()}
    return words | {"notes": list(picture.notes), "marks": records(picture.marks), **more}


def plain(value: Any) -> Any:
    """A cell as a plain Python value, None if missing or not finite."""
    if missing(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _markdown(frame: pd.DataFrame) -> str:
    rows = [
        [("" if cell is None else show_value(cell)).replace("|", "\\|") for cell in row.values()]
        for row in records(frame)
    ]
    lines = [list(frame.columns), ["---"] * len(frame.columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
