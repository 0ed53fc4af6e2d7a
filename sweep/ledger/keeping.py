"""Columns of a large study, kept in a file so that they are read once. Needs numpy and pandas.

The file is a cache: lost, damaged or of a ledger that has changed since, the ledger is read again. It is trusted only
where the ledger's files are the very ones, untouched since, and only ledgers at rest are kept: a write within the same
tick of the disk's clock as the one before would leave no trace.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep import __version__
from sweep.ledger.columns import Columns
from sweep.ledger.file import File
from sweep.speed import cache_file

FEWEST = 10_000
"""Trials from which on a study's columns are kept; fewer are read in no time."""
MOST = 20
"""Files that are kept; the one that was used longest ago makes room."""
REST = 5.0
"""Seconds for which nothing has been written to a ledger at rest: disks keep times to 2 s or better."""
_KEY = "key"
_WORDS = "words"


def kept(ledger: File, asked: Sequence[Any], read: Callable[[], Columns]) -> Columns:
    """The columns that `read` reads from a ledger; from a file where they were kept. asked: what decides them beside
    the ledger's state: the study, how many trials it has, the query."""
    study, trials, _ = asked
    before = ledger.stamps() if trials >= FEWEST else None
    file = _place(ledger.path, study)
    if before is None or file is None:
        return read()
    key = _key(ledger.path, asked, before)
    columns = _load(file, key)
    if columns is None:
        began = time.time_ns()
        columns = read()
        if began - max(stamp[-1] for stamp in before) > REST * 1e9 and ledger.stamps() == before:
            _save(file, key, columns)
    return columns


def forget(ledger: File, study: int) -> None:
    """Removes what is kept of a study."""
    file = _place(ledger.path, study)
    with suppress(OSError):
        if file is not None:
            file.unlink()


def _place(path: Path, study: int) -> Path | None:
    """Where the columns of a study are kept; None for a user without a home."""
    name = hashlib.sha256(f"{path.resolve()} {study}".encode()).hexdigest()[:16]
    with suppress(RuntimeError):
        return cache_file().parent / "columns" / f"{name}.npz"
    return None


def _key(path: Path, asked: Sequence[Any], stamps: list[list[int]]) -> bytes:
    import pandas as pd

    return json.dumps([1, __version__, pd.__version__, str(path.resolve()), *asked, stamps]).encode()


def _load(file: Path, key: bytes) -> Columns | None:
    """What a file holds, if it is whole and of that key."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            if stored[_KEY].tobytes() != key:
                return None
            names, words = json.loads(stored[_WORDS].tobytes())
            arrays = {name: _widen(stored[str(place)]) for place, name in enumerate(names)}
    except Exception:  # whatever is wrong with it: zip, numpy and json have errors of many kinds
        return None
    with suppress(OSError):
        os.utime(file)
    return Columns(arrays, words)


def _save(file: Path, key: bytes, columns: Columns) -> None:
    """Writes a file whole or not at all. One that cannot be written is no failure."""
    words = json.dumps([[*columns.arrays], columns.words])
    if repr(json.loads(words)[1]) != repr(columns.words):  # a value that JSON does not know
        return
    arrays: dict[str, Any] = {str(place): _narrow(array) for place, array in enumerate(columns.arrays.values())}
    arrays |= {_KEY: np.frombuffer(key, np.uint8), _WORDS: np.frombuffer(words.encode(), np.uint8)}
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as temporary:
            np.savez(temporary, **arrays)
        os.replace(temporary.name, file)
        for old in sorted(file.parent.iterdir(), key=lambda other: other.stat().st_mtime)[:-MOST]:
            old.unlink()


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers in as few bytes as hold them."""
    if array.dtype.kind != "i" or not len(array):
        return array
    return array.astype(np.result_type(np.min_scalar_type(array.min()), np.min_scalar_type(array.max())))


def _widen(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype("float64" if array.dtype.kind == "f" else "int64", copy=False)
