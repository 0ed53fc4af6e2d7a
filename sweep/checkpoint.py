"""Checkpoint files: where an unfinished unit of work stands, so that little is trained again. Needs safetensors
and courses.

They only save time: every number comes from the ledger or from training again. A file is ordinary safetensors, never
pickle, written beside its place and renamed into it, with its checksum in its name; one that is torn, foreign or
unreadable is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.courses import Key

FOLDER = ".checkpoints"
FORMAT = 3
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was found. keys: the courses in it; position: the epoch and step where it stands, for
    comparing."""

    path: Path
    keys: tuple[Key, ...]
    position: tuple[int, int]


def write(folder: Path, name: str, body: bytes) -> Path:
    """Writes a checkpoint whole or not at all; returns its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(name, body)
    part = path.with_suffix(".part")
    try:
        part.write_bytes(body)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return path


def file_name(name: str, body: bytes) -> str:
    """The name of a checkpoint's file: what it is called, and its checksum."""
    return f"{name}.{_digest(body)}{_SUFFIX}"


def read(place: Path | bytes) -> tuple[bytes, Mapping[str, Any]] | None:
    """The body of a checkpoint, a file or what one held, and what it says of itself; None if it is not whole or not one
    of this format."""
    try:
        body = place.read_bytes() if isinstance(place, Path) else place
        if isinstance(place, Path) and place.name.removesuffix(_SUFFIX).rpartition(".")[2] != _digest(body):
            return None
        (length,) = struct.unpack("<Q", body[:8])
        about = json.loads(json.loads(body[8 : 8 + length])["__metadata__"]["sweep"])
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None
    return (body, about) if isinstance(about, dict) and about.get("format") == FORMAT else None


def scan(folder: Path) -> list[Saved]:
    """The usable checkpoints of a study, the most advanced first."""
    usable = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        content = read(path)
        if content is not None:
            about = content[1]
            keys = tuple((str(setting), int(seed)) for setting, seed in about["trials"])
            usable.append(Saved(path, keys, (int(about["epoch"]), int(about["step"]))))
    return sorted(usable, key=lambda saved: saved.position, reverse=True)


def clear(folder: Path) -> None:
    """Removes every checkpoint of a study, and the folders if nothing else is in them."""
    for pattern in (f"*{_SUFFIX}", "*.part"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    for empty in (folder, folder.parent):
        try:
            empty.rmdir()
        except OSError:
            return


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]
