"""Which tool wrote a file or a folder. Needs the tools."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sweep.errors import UsageError, unknown
from sweep.foreign.sqlite import is_sqlite, rows_of
from sweep.foreign.trials import ForeignStudy, Tool, check

TABLE = "table"
"""What --from takes for a plain table."""


def recognize(path: Path, tools: Sequence[Tool], key: str | None = None) -> Tool | None:
    """The tool whose files a path has, the one of that key if given; None where no tool knows it, or for a plain table.
    Raises UsageError where there is nothing, or where several tools know it and none was given."""
    if key is not None and key not in (TABLE, *(tool.key for tool in tools)):
        raise unknown("tool", key, [*(tool.key for tool in tools), TABLE], "--from: ")
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; expected a table of results, or what another tool wrote")
    if key is not None:
        return next((tool for tool in tools if tool.key == key), None)
    matching = [tool for tool in tools if tool.matches(path)]
    known = [tool for tool in matching if not tool.beside] or matching
    if len(known) > 1:
        flags = " or ".join(f"--from {tool.key}" for tool in known)
        raise UsageError(f"{path}: may be of {' or '.join(tool.name for tool in known)}; give {flags}")
    return known[0] if known else None


def read_study(path: Path, tool: Tool, name: str | None = None) -> ForeignStudy:
    """What a tool's files hold, the study of a name where that is given. Raises UsageError, also for damage that its
    reader did not foresee."""
    if name is not None and tool.read_named is None:
        raise UsageError(f"--name {name}: {path} holds one study of {tool.name}; expected no --name")
    try:
        study = tool.read_named(path, name) if name is not None and tool.read_named else tool.read(path)
        for trial in study.trials:
            check(trial)
        return study
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: damaged, or of a version of {tool.name} that is not known: {type(error).__name__}: {error}"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None


def nothing_known(path: Path, tools: Sequence[Tool], tables: Sequence[str]) -> UsageError:
    """The error for a path that is neither a table nor of a tool: it lists what was looked for."""
    if is_sqlite(path):
        try:
            rows_of(path, "SELECT name FROM sqlite_master")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            return UsageError(f"{path}: a SQLite file that cannot be read: {error}")
    if inside := _known_inside(path, tools, tables):
        return UsageError(f"{path}: a folder of no tool that is known; in it is {'; '.join(inside)}: give that path")
    kind = "folder" if path.is_dir() else "file"
    looked = "; ".join(f"{tool.name} ({tool.looks_for})" for tool in tools)
    return UsageError(
        f"{path}: a {kind} of no tool that is known; looked for: a table ({', '.join(tables)}); {looked}; "
        "--from TOOL where it is one of these"
    )


def _known_inside(path: Path, tools: Sequence[Tool], tables: Sequence[str]) -> list[str]:
    """What lies in a folder and could be read, a few words each."""
    if not path.is_dir():
        return []
    inside = []
    try:
        entries = sorted(path.iterdir())[:MOST_LOOKED_AT]
    except OSError:
        return []
    for entry in entries:
        names = [tool.name for tool in tools if not tool.beside and tool.matches(entry)]
        names = names or ["a table"] * (entry.is_file() and entry.name.endswith(tuple(tables)))
        inside += [f"{entry.name} ({' or '.join(names)})"] if names else []
    return inside


MOST_LOOKED_AT = 200
"""Entries of a folder that are looked at for a hint."""
