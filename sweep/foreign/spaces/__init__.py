"""Other tools' search spaces as recipes: a module per tool, its file in, one form of spaces out.

space    that form
writing  a space as a recipe's text
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.spaces.configspace import CONFIGSPACE
from sweep.foreign.spaces.hydra import HYDRA
from sweep.foreign.spaces.nni import NNI
from sweep.foreign.spaces.optuna import is_optuna, read_optuna
from sweep.foreign.spaces.space import Space, SpaceReader
from sweep.foreign.spaces.wandb import WANDB
from sweep.foreign.spaces.writing import recipe_text
from sweep.foreign.texts import read_json, read_yaml

__all__ = ["READERS", "Space", "read_space", "recipe_text"]

READERS = (CONFIGSPACE, HYDRA, NNI, WANDB)
"""Those of JSON and YAML, by their names."""


def read_space(path: Path, name: str | None = None) -> Space:
    """The space that a file holds. name: of the study, where there are several. Raises UsageError."""
    if path.is_dir():
        raise UsageError(f"{path}: a folder; expected a file with a search space")
    if not path.exists():
        raise UsageError(f"{path}: no such file; expected a search space")
    if is_optuna(path):
        return read_optuna(path, name)
    if name is not None:
        raise UsageError(f"--name {name}: is for a study of Optuna; {path} is none")
    content = _content(path)
    for reader in READERS:
        if reader.matches(content):
            return _read(reader, content, path)
    looked = "; ".join(
        [*(f"{reader.name} ({reader.looks_for})" for reader in READERS), "Optuna (SQLite file, journal)"]
    )
    raise UsageError(f"{path}: no search space that is known; looked for: {looked}")


def _read(reader: SpaceReader, content: Any, path: Path) -> Space:
    try:
        space = reader.read(content, path)
        names = [knob.name for knob in space.knobs] + [condition.child for condition in space.conditions]
        if not isinstance(space.metric, str | None) or not all(name and isinstance(name, str) for name in names):
            raise TypeError("a name that is no text")
        return space
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise UsageError(f"{path}: not a space as {reader.name} writes it: {type(error).__name__}: {error}") from None


def _content(path: Path) -> Any:
    return read_json(path) if path.suffix == ".json" else read_yaml(path)
