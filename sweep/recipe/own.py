"""Studies that train with a user's own function or command, and the hyperparameters that such a recipe names itself.

Needs the values of one hyperparameter.
"""

from __future__ import annotations

import ast
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sweep.errors import UsageError, unknown
from sweep.hyperparameters import Hyperparameter, OwnSetting, Setting, Value, show_given
from sweep.recipe.axes import read_axis
from sweep.recipe.keys import METRICS
from sweep.recipe.units import direction_of
from sweep.space import Axis, Range

TRAINER_DATA = "own"
"""What stands for the name of the data, which the function or the command has itself."""

KINDS = ("train", "command")

METRIC_NAME = r"[A-Za-z_][\w./-]{0,63}"
"""What a metric that own code reports may be called."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TAKEN = ("seed", "seeds", "trial", "number", "state", "reason", "traceback", "setting", "seconds", "sitting", "rank")
"""Names that mean something else in tables of trials, and in commands."""


@dataclass(frozen=True)
class Trainer:
    """What trains a trial in place of sweep's own networks."""

    kind: Literal["train", "command"]
    """A Python function, or any program."""
    text: str
    """FILE.py:NAME, the file without its folder; or the command, with {NAME} for a hyperparameter's value."""
    folder: str
    """Where the file lies, or where the command runs."""

    def moved_from(self, other: Trainer | None) -> bool:
        """Whether another is of the same name in another folder."""
        return other is not None and other != self and (other.kind, other.text) == (self.kind, self.text)

    @property
    def file(self) -> Path:
        """A function's file."""
        return Path(self.folder) / self.text.rpartition(":")[0]

    @property
    def function(self) -> str:
        """A function's name."""
        return self.text.rpartition(":")[2]

    def arguments(self, setting: Mapping[str, Value], seed: int) -> list[str]:
        """A command's words for a trial. Values are put into words, never into a shell."""
        values = {**setting, "seed": seed}

        def show(match: re.Match[str]) -> str:
            value = values[match[1]]
            return ("true" if value else "false") if isinstance(value, bool) else str(value)

        return [_PLACE.sub(show, word) for word in shlex.split(self.text)]

    def files(self) -> list[Path]:
        """The code that it is: a function's file; of a command those that it names, if they are not large."""
        if self.kind == "train":
            return [self.file]
        named = (Path(self.folder) / word for word in shlex.split(self.text))
        return [path for path in named if path.is_file() and path.stat().st_size <= LARGEST_CODE]


LARGEST_CODE = 1_000_000
"""Bytes up to which a file that a command names counts as its code."""

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def read_trainer(given: Mapping[str, tuple[Any, str]], folder: Path) -> Trainer:
    """The trainer of a recipe's entries, which have one; a relative path is from `folder`. Raises UsageError."""
    kinds = [kind for kind in KINDS if kind in given]
    if len(kinds) > 1:
        raise UsageError(f"{given['command'][1]}train and command both given; expected one of them")
    kind = kinds[0]
    value, where = given[kind]
    if not isinstance(value, str) or not value.strip():
        expected = "FILE.py:NAME" if kind == "train" else "a command, such as 'python train.py --lr {lr}'"
        raise UsageError(f"{where}{kind} = {show_given(value)}: expected {expected}")
    if kind == "train":
        return _read_function(value, where, folder)
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise UsageError(f"{where}command = {show_given(value)}: {error}") from None
    if not words:
        raise UsageError(f"{where}command = {show_given(value)}: expected a program to run")
    return Trainer("command", value, str(folder.absolute()))


def _read_function(value: str, where: str, folder: Path) -> Trainer:
    named, colon, function = value.rpartition(":")
    if not colon or not named.endswith(".py") or not function.isidentifier():
        raise UsageError(f"{where}train = {show_given(value)}: expected FILE.py:NAME, the file and its function")
    path = (folder / Path(named).expanduser()).absolute()
    return Trainer("train", f"{path.name}:{function}", str(path.parent))


def check_trainer(trainer: Trainer, names: Sequence[str]) -> None:
    """Raises UsageError for a function that is not there, or a command that wants what the recipe does not name."""
    if trainer.kind == "command":
        for name in _PLACE.findall(trainer.text):
            if name not in (*names, "seed"):
                raise unknown("hyperparameter", name, (*names, "seed"), "command: ")
        unused = [name for name in names if f"{{{name}}}" not in trainer.text]
        if unused:
            raise UsageError(f"command: does not use {', '.join(unused)}; expected {{{unused[0]}}} in it")
        if not Path(trainer.folder).is_dir():
            raise UsageError(f"command: its folder {trainer.folder} is gone")
        return
    file = trainer.file
    try:
        tree = ast.parse(file.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"train = {trainer.text}: no such file {file}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"train = {trainer.text}: {file} cannot be read as Python: {error}") from None
    defined = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assigned = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    imported = [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import)
        for alias in node.names
    ]
    if trainer.function not in (*defined, *assigned, *imported) and "*" not in imported:
        raise unknown("function", trainer.function, defined, f"{file}: ")


def check_name(name: str, where: str) -> None:
    """Raises UsageError for what no hyperparameter can be called."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}{show_given(name)}: expected a name of letters, digits and _, such as learning_rate")
    if name in _TAKEN or name.startswith(("test_", "best_")):
        raise UsageError(f"{where}{name}: means something else here; expected another name")


def read_own_axis(name: str, value: object, where: str) -> Axis:
    """The values of a hyperparameter that the recipe names itself, typed by them. Raises UsageError."""
    check_name(name, where)
    row = typed_by(name, value, where)
    return replace(read_axis(row, value, where), own=row)


def typed_by(name: str, value: object, where: str) -> Hyperparameter:
    """What a hyperparameter is by its values: numbers (with words among them), text, or on and off."""
    if isinstance(value, Range | Mapping):
        low, high, step = (value.low, value.high, value.step) if isinstance(value, Range) else map(value.get, _ENDS)
        whole = isinstance(low, int) and isinstance(high, int) and (step is None or step == int(step))
        return _make(name, "int" if whole else "float")
    values = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(item, bool) for item in values):
        return _make(name, "bool")
    words = tuple(dict.fromkeys(item for item in values if isinstance(item, str)))
    numbers = [item for item in values if not isinstance(item, str)]
    if any(isinstance(item, bool) or not isinstance(item, int | float) for item in numbers):
        raise UsageError(f"{where}{name} = {show_given(value)}: expected numbers, text, or true and false")
    if not numbers:
        return _make(name, "choice", choices=words)
    return _make(name, "int" if all(isinstance(item, int) for item in numbers) else "float", words=words)


_ENDS = ("low", "high", "step")


def _make(name: str, kind: Any, **more: tuple[str, ...]) -> Hyperparameter:
    return Hyperparameter(name, kind, 0, "", "program", "", **more)  # type: ignore[arg-type]


_ON = {"on": True, "true": True, "off": False, "false": False}


def parse_own(name: str, text: str, where: str) -> Range | list[Value]:
    """A flag's text, typed: 0.1,0.01 or hinge,log or on,off, or a range 1e-4:1e-1:log:4."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{where}{name} = {show_given(text)}: an empty value; expected one or more, with commas")
    ends = [part.strip() for part in text.split(":")]
    if len(parts) == 1 and len(ends) > 1 and all(not isinstance(_read_value(end), str) for end in ends[:2]):
        numbers = [_read_value(end.removeprefix("step=")) for end in ends if end.startswith("step=")]
        whole = all(isinstance(number, int) for number in [*map(_read_value, ends[:2]), *numbers])
        axis = read_axis(_make(name, "int" if whole else "float"), text, where)
        assert isinstance(axis.values, Range)
        return axis.values
    if all(part.lower() in _ON for part in parts):
        return [_ON[part.lower()] for part in parts]
    return [_read_value(part) for part in parts]


def _read_value(text: str) -> Value:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text


def own_settings(listed: object, axes: Sequence[Axis], where: str) -> tuple[tuple[Setting, ...], tuple[Axis, ...]]:
    """Settings that are listed one by one, each with what is fixed for all of them; and the values that occur."""
    if not isinstance(listed, list | tuple) or not listed or not all(isinstance(item, Mapping) for item in listed):
        raise UsageError(f"{where}settings = {show_given(listed)}: expected a list of tables, such as [{{ lr = 0.1 }}]")
    if swept := [axis.name for axis in axes if axis.swept]:
        raise UsageError(f"{where}settings are listed one by one, so {swept[0]} cannot be swept beside them")
    fixed = {axis.name: axis.values[0] for axis in axes}  # type: ignore[index]
    names = [*fixed, *dict.fromkeys(name for values in listed for name in values if name not in fixed)]
    whole = [{**fixed, **values} for values in listed]
    if missing := [name for values in whole for name in names if name not in values]:
        raise UsageError(f"{where}settings: one of them lacks {missing[0]}; expected the same names in each")
    axes = own_axes(whole, where)
    settings = (OwnSetting((axis.name, axis.row.check(values[axis.name])) for axis in axes) for values in whole)
    return tuple({tuple(setting.values()): setting for setting in settings}.values()), axes


def own_axes(settings: Sequence[Mapping[str, Value]], where: str = "") -> tuple[Axis, ...]:
    """Each hyperparameter of some settings with the values that occur."""
    return tuple(
        read_own_axis(name, list(dict.fromkeys(setting[name] for setting in settings)), where)
        for name in (settings[0] if settings else ())
    )


_FOREIGN = (
    *("data", "data_dir", "split_seed", "split_seeds", "precision"),
    *("look", "look_epochs", "evaluate_every", "shift"),
)
"""Keys that are for sweep's own networks and data."""


def fit_own(trainer: Trainer, names: Sequence[str], plain: dict[str, Any], where: str) -> dict[str, Any]:
    """A recipe's plain keys with what follows from its trainer. Raises UsageError for what it cannot have."""
    for key in _FOREIGN:
        if key in plain:
            raise UsageError(f"{key}: is for sweep's own networks and data; a {_WORDS[trainer.kind]} has its own")
    metric = plain.get("metric", "val_loss")
    if metric in names:
        raise UsageError(f"{where}metric = {metric}: is a hyperparameter of the space, too; expected another name")
    if "direction" not in plain and metric not in METRICS:
        if (by_name := direction_of(metric)) is None:
            at = where if where == "--metric: " else f"{where}metric = "
            raise UsageError(f"{at}{metric}: expected direction, too (--direction): minimize or maximize")
        plain = plain | {"direction": by_name}
    return plain | {"trainer": trainer, "data": TRAINER_DATA, "metric": metric}


_WORDS = {"train": "function", "command": "command"}


def check_metric(key: str, value: object, where: str) -> str:
    """The name of the metric that a trainer reports. Raises UsageError."""
    if not isinstance(value, str) or not re.fullmatch(METRIC_NAME, value):
        raise UsageError(f"{where}{key} = {show_given(value)}: expected a name that is reported, such as val_loss")
    if value.startswith("test_"):
        raise UsageError(f"{where}{show_given(value)}: nothing is selected on test data; expected another metric")
    if value in (*_TAKEN, "epoch", "epochs"):
        raise UsageError(f"{where}{value}: means something else here; expected another name")
    return value
