"""A user's own networks by their names in settings, FILE.py:NAME: where each file lies, and its fingerprint. Needs
errors.

Only words: what a constructor takes is read in `recipe`, the class itself is loaded by `nets`.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from sweep.errors import UsageError


def fill_parameters(shape: tuple[int, ...], classes: int) -> dict[str, object]:
    """What the data decide of a constructor's parameters, by the names that these may have: a row's shape, its channels
    or numbers; how many classes there are."""
    return {
        **dict.fromkeys(("in_shape", "input_shape"), shape),
        "in_channels": shape[0],
        "in_features": math.prod(shape),
        **dict.fromkeys(("classes", "num_classes", "n_classes"), classes),
    }


FILLED = tuple(fill_parameters((1,), 1))
"""The names of those parameters."""

_OWN = re.compile(r"(.*\.py):([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Network:
    """A class in a user's file."""

    text: str
    """FILE.py:NAME as settings have it, the file without its folder."""
    folder: str
    """Where the file lies."""

    @property
    def file(self) -> Path:
        """The file of the class."""
        return Path(self.folder) / self.text.rpartition(":")[0]

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.text.rpartition(":")[2]

    def moved_from(self, other: Network | None) -> bool:
        """Whether another is of the same name in another folder."""
        return other is not None and other != self and other.text == self.text

    def fingerprint(self) -> str:
        """A checksum of its file. Raises UsageError if it cannot be read."""
        return hashlib.sha256(self.code()).hexdigest()[:8]

    def code(self) -> bytes:
        """Its file. Raises UsageError if it cannot be read."""
        try:
            return self.file.read_bytes()
        except FileNotFoundError:
            raise UsageError(f"model = {self.text}: no such file {self.file}") from None
        except OSError as error:
            raise UsageError(f"model = {self.text}: {self.file}: {error.strerror}") from None


def is_own(model: object) -> bool:
    """Whether a setting's `model` names a user's own network."""
    return isinstance(model, str) and _OWN.fullmatch(model) is not None


def read_network(text: str, folder: Path) -> Network:
    """The network that FILE.py:NAME names; a relative path is from `folder`."""
    match = _OWN.fullmatch(text)
    assert match is not None
    path = Path(os.path.abspath(folder / Path(match[1]).expanduser()))
    return Network(f"{path.name}:{match[2]}", str(path.parent))


_noted: dict[str, Network] = {}


def note_network(network: Network) -> None:
    """Says where the file of a network lies, for the settings that name it in this process."""
    _noted[network.text] = network


def find_network(text: str) -> Network:
    """The network that a setting names. Raises UsageError if nobody said where it lies."""
    if text not in _noted:
        raise UsageError(f"model = {text}: nobody said where its file lies; expected --model FILE.py:NAME")
    return _noted[text]


def both_fingerprints(data: str, code: str) -> str:
    """What stands for data and, where there is a user's own network, its code."""
    return f"{data}+{code}" if code else data


def split_fingerprint(both: str) -> tuple[str, str]:
    """The data's and the code's; empty where there is no network of a user's own."""
    data, _, code = both.partition("+")
    return data, code
