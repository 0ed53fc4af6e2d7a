"""Other tools' SQLite files, read without ever being written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

MAGIC = b"SQLite format 3\x00"


def is_sqlite(path: Path) -> bool:
    """Whether a path is a SQLite file, by its first bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def tables_of(path: Path) -> set[str]:
    """The names of a file's tables; none of one that is damaged."""
    try:
        return {name for (name,) in rows_of(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.Error, UnicodeDecodeError):
        return set()


def rows_of(path: Path, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """What a query finds in a file. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query, values).fetchall()
