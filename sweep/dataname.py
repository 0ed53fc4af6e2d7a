"""What a study calls its data: a set that sweep knows, or a file or folder, with what to read of it. Needs nothing.

`--data wine.csv --target cultivar` is kept as one name, wine.csv#target=cultivar: so data have one name everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

ARRAYS = (".npz",)
TABLES = (".csv", ".tsv", ".parquet")
OPTIONS = ("target", "task", "image_size")
"""What may be said of a file beside its path: the column of a table that is to be predicted; whether that holds classes
or numbers; the side, in pixels, that all images of a folder are brought to."""
TASKS = ("classification", "regression")

_OPTION = re.compile(rf"#({'|'.join(OPTIONS)})=")


def path_of(name: str) -> str:
    """A name's path, without options."""
    return _OPTION.split(name, maxsplit=1)[0]


def options_of(name: str) -> dict[str, str]:
    """A name's options.

    >>> options_of("wine.csv#target=cultivar"), options_of("digits")
    ({'target': 'cultivar'}, {})
    """
    parts = _OPTION.split(name)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def with_options(path: str, options: Mapping[str, object]) -> str:
    """The name of a path with options.

    >>> with_options("wine.csv", {"target": "cultivar"})
    'wine.csv#target=cultivar'
    """
    return path + "".join(f"#{key}={value}" for key, value in options.items())


def is_path(name: str) -> bool:
    """Whether a name is that of a file by its suffix, or of a folder: with a slash in it."""
    path = path_of(name)
    return path.lower().endswith((*ARRAYS, *TABLES)) or "/" in path or "\\" in path


def absolute(name: str) -> str:
    """The name with its path made absolute, so that a study resumes from any folder."""
    return with_options(str(Path(path_of(name)).expanduser().absolute()), options_of(name))
