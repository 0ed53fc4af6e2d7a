"""Rows that cannot be read: found, named, set aside. Needs sqlite3."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.errors import SweepError
from sweep.hyperparameters import canonical, stored
from sweep.ledger.disk import address
from sweep.ledger.schema import STATES
from sweep.recipe import recipe_from_dict

ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What sqlite3 raises on a damaged file: its messages quote the file, so they may not be UTF-8 either."""
_KEYS = {
    "studies": ("id",),
    "trials": ("study", "number"),
    "sittings": ("study", "number"),
    "epochs": ("study", "trial", "epoch"),
    "readings": ("study", "trial", "epoch", "step", "place", "quantity"),
    "outputs": ("study", "trial"),
}
_WHOLE = {"id", "trials", "study", "number", "seed", "epochs", "epoch", "trial", "sitting", "step"}
_TEXT = {"name", "recipe", "created", "versions", "machine", "setting", "state", "started", "facts"}
_TEXT |= {"place", "quantity", "text"}
_PERHAPS = {"data", "classes", "finished", "reason", "traceback"}


@dataclass(frozen=True)
class Unreadable:
    """A row that cannot be read. key: its columns; what: which row, and what is wrong with it."""

    table: str
    key: tuple[object, ...]
    what: str


def unreadable(path: Path) -> list[Unreadable]:
    """Every row of a ledger that no command could use. Raises one of ERRORS where the file itself cannot be read."""
    frozen = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    there = address(path, "mode=ro", "immutable=1" if frozen else "")
    with closing(sqlite3.connect(there, uri=True, timeout=60)) as file:
        file.text_factory = _text
        return list(_find_unreadable(file))


def set_aside(path: Path, rows: list[Unreadable]) -> str:
    """Takes rows out of a ledger, with what belongs to them; a copy of the file as it was stays beside it. Returns its
    name.
    """
    place = next(n for n in range(1, 10_000) if not path.with_name(f"{path.name}.damaged-{n}").exists())
    kept = path.with_name(f"{path.name}.damaged-{place}")
    with closing(sqlite3.connect(address(path), uri=True, isolation_level=None, timeout=60)) as file:
        with closing(sqlite3.connect(address(kept), uri=True)) as copy:
            file.backup(copy)
        file.execute("PRAGMA foreign_keys = ON")
        file.execute("BEGIN IMMEDIATE")
        for row in rows:
            where = " AND ".join(f"{name} IS ?" for name in _KEYS[row.table])
            file.execute(f"DELETE FROM {row.table} WHERE {where}", row.key)
        file.execute("COMMIT")
    return kept.name


def _find_unreadable(file: sqlite3.Connection) -> Iterator[Unreadable]:
    there = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    names: dict[object, str] = {}
    free: set[object] = set()
    for table, key in _KEYS.items():
        if table not in there:
            continue
        cursor = file.execute(f"SELECT * FROM {table}")
        columns = [str(column[0]) for column in cursor.description]
        for values in cursor:
            row = dict(zip(columns, values, strict=True))
            problem = _problem(table, row, free)
            if table == "studies":
                names[row["id"]] = repr(row["name"]) if isinstance(row["name"], str) else f"number {row['id']}"
                if not problem and recipe_from_dict(json.loads(row["recipe"])).free:
                    free.add(row["id"])
            if problem:
                own = "" if table == "studies" else "".join(f", {name} {row[name]!r}" for name in key[1:])
                study = row["id" if table == "studies" else "study"]
                what = f"study {names.get(study, f'number {study}')}{own}: {problem}"
                yield Unreadable(table, tuple(row[name] for name in key), what)


def _problem(table: str, row: Mapping[str, Any], free: set[object]) -> str:
    """What is wrong with a row; empty where nothing is."""
    for name, value in row.items():
        if isinstance(value, _Torn):
            return f"its {name} is not UTF-8"
        if name in _TEXT:
            right = isinstance(value, str)
        elif name in _PERHAPS:
            right = value is None or isinstance(value, str)
        elif name in _WHOLE:
            any_sign = name == "seed" and row["study"] in free  # another tool's trainings may have any seed
            right = (isinstance(value, int) and (value >= 0 or any_sign)) or (name == "sitting" and value is None)
        else:
            right = value is None or isinstance(value, int | float)
        if not right:
            return f"its {name} is {str(value)[:40]!r}"
    try:
        for name in {"recipe", "versions", "machine", "setting", "facts"} & set(row):
            read = json.loads(row[name])
            if not isinstance(read, dict):
                return f"its {name} is {str(row[name])[:40]!r}"
            if name == "recipe":
                recipe_from_dict(read)
            if name == "setting" and row["study"] not in free and stored(canonical(read)) != stored(read):
                return "its setting is none"
    except (SweepError, ValueError, TypeError, KeyError, AttributeError, RecursionError, AssertionError) as error:
        return f"its {name} cannot be read ({type(error).__name__})"
    if table == "trials" and row["state"] not in STATES:
        return f"its state is {row['state'][:40]!r}"
    return ""


class _Torn(str):
    """Text that is not UTF-8, as far as it can be shown."""


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _Torn(raw.decode(errors="replace"))


def lenient(raw: bytes) -> str:
    """A text of the ledger, whatever its bytes: `unreadable` names those that are not UTF-8."""
    return raw.decode(errors="replace")


def first_line(path: Path) -> str:
    """A line about the rows of a ledger that cannot be read; empty where all can."""
    try:
        rows = unreadable(path)
    except (*ERRORS, OverflowError) as error:
        return f"{path}: the file is damaged ({type(error).__name__}); `sweep doctor` says what can be mended"
    if not rows:
        return ""
    more = f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
    return f"{path}: damaged: {rows[0].what}{more}; `sweep doctor --mend` sets such rows aside"
