"""A user's own network: what its constructor takes, as hyperparameters. Its file is read, not run. Needs networks, own.

Annotation and default give type and default; what the data decide (`in_shape`, `classes`) is filled in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sweep.errors import UsageError, unknown
from sweep.hyperparameters import NETWORK, OF_TRAINING, TABLE, Hyperparameter, Value, is_of_network, show_value
from sweep.networks import FILLED, Network, is_own
from sweep.recipe.axes import read_axis
from sweep.recipe.own import check_name, typed_by
from sweep.space import Axis

ANNOTATIONS = "float, int, bool, str, Literal[…] of text, or an Enum of the same file"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a network's constructor."""

    name: str
    row: Hyperparameter | None
    """What it is as a hyperparameter; None if it cannot be one."""
    default: Value | None
    """None if it has none that is a plain value: the constructor's own then counts, if it has one."""
    needed: bool
    """Whether it has no default at all."""
    annotation: str
    """As written; empty if it has none."""


@dataclass(frozen=True)
class Constructor:
    """What a network's constructor takes beside what is filled in."""

    network: Network
    parameters: tuple[Parameter, ...]

    @property
    def rows(self) -> dict[str, Hyperparameter]:
        """Its hyperparameters by name."""
        return {parameter.name: parameter.row for parameter in self.parameters if parameter.row is not None}

    def row(self, name: str, where: str) -> Hyperparameter:
        """The hyperparameter of a name that a recipe gives. Raises UsageError for what the constructor has not."""
        parameter = next((parameter for parameter in self.parameters if parameter.name == name), None)
        if parameter is not None and parameter.row is not None:
            return parameter.row
        if parameter is not None:
            raise UsageError(f"{_at(name, where)}: its annotation is {parameter.annotation or 'missing'}; {_EXPECTED}")
        if name in FILLED:
            raise UsageError(f"{_at(name, where)}: is filled in from the data; leave it out")
        if name in TABLE:
            has = ", ".join(self.rows) or "none"
            raise UsageError(
                f"{_at(name, where)}: is of sweep's own networks; the constructor of {self.network.text} has no "
                f"parameter of that name (it has: {has})"
            )
        raise unknown("hyperparameter", name, [*self.rows, *(row.name for row in OF_TRAINING)], where)

    def text(self) -> str:
        """Its hyperparameters in words."""
        shown = [
            f"{parameter.name} ({parameter.row.expected}{_default_text(parameter.default)})"
            for parameter in self.parameters
            if parameter.row is not None
        ]
        if not shown:
            return f"{self.network.text}: its constructor has no hyperparameters"
        return f"{self.network.text}: its constructor takes {', '.join(shown)}: --set NAME=VALUES"

    def check_given(self, given: Mapping[str, Any]) -> None:
        """Raises UsageError if the constructor needs what nobody gives."""
        for parameter in self.parameters:
            if not parameter.needed or parameter.name in given:
                continue
            needs = f"model = {self.network.text}: its constructor needs {parameter.name}, which has no default"
            if parameter.row is None and parameter.annotation:
                raise UsageError(f"{needs}, and its annotation is {parameter.annotation}; {_EXPECTED}")
            raise UsageError(f"{needs}; expected {parameter.name} in [space], or --set {parameter.name}=VALUES")


def _at(name: str, where: str) -> str:
    """A hyperparameter and where it was given; a flag of its name says both."""
    flag = f"--{name.replace('_', '-')}"
    return flag if where == f"{flag}: " else f"{where}{name}"


_EXPECTED = f"expected {ANNOTATIONS}"


def _default_text(default: Value | None) -> str:
    return "" if default is None else f"; default {show_value(default)}"


def read_constructor(network: Network) -> Constructor:
    """What the constructor of a network takes. Raises UsageError for a file or a class that is not there."""
    text, file = network.text, network.file
    try:
        tree = ast.parse(network.code(), file.name)
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"model = {text}: {file} cannot be read as Python: {error}") from None
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    if network.name not in classes:
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        if network.name in functions:
            raise UsageError(f"model = {text}: {network.name} is a function; expected a class, a torch.nn.Module")
        raise unknown("class", network.name, classes, f"model = {text}: {file}: ")
    network_class = _constructor_of(network.name, classes)
    module = _Module(tree, classes)
    return Constructor(network, tuple(_parameters(network_class, module, text)) if network_class else ())


def constructor_text(network: Network | None) -> str:
    """What the constructor of a recipe's own network takes, in words; empty where the recipe has none."""
    return read_constructor(network).text() if network else ""


def _constructor_of(name: str, classes: Mapping[str, ast.ClassDef]) -> ast.FunctionDef | None:
    """The constructor of a class, or of the first base in the same file that has one."""
    waiting, seen = [name], set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen or name not in classes:
            continue
        seen.add(name)
        for node in classes[name].body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return node
        waiting += [base.id for base in classes[name].bases if isinstance(base, ast.Name)]
    return None


class _Module:
    """What a file says of names in it: plain values, and the members of enumerations."""

    def __init__(self, tree: ast.Module, classes: Mapping[str, ast.ClassDef]) -> None:
        self.values: dict[str, Any] = {}
        for node in tree.body:
            if isinstance(node, ast.Assign):
                self.values |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.values[node.target.id] = node.value
        self.enums = {
            name: tuple(
                target.id
                for line in node.body
                if isinstance(line, ast.Assign)
                for target in line.targets
                if isinstance(target, ast.Name)
            )
            for name, node in classes.items()
            if any(_last_name(base) in ("Enum", "StrEnum", "IntEnum") for base in node.bases)
        }

    def value(self, node: ast.expr | None) -> Any:
        """The plain value of an expression; None if it has none."""
        if isinstance(node, ast.Name) and node.id in self.values:
            node = self.values[node.id]
        if isinstance(node, ast.Attribute) and _last_name(node.value) in self.enums:
            return node.attr
        try:
            return None if node is None else ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, RecursionError):
            return None


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _parameters(init: ast.FunctionDef, module: _Module, text: str) -> Iterator[Parameter]:
    args = [*init.args.posonlyargs, *init.args.args][1:]
    defaults: list[ast.expr | None] = [None] * (len(args) - len(init.args.defaults)) + [*init.args.defaults]
    keyword = zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    for arg, default in [*zip(args, defaults, strict=True), *keyword]:
        if arg.arg in FILLED:
            continue
        annotation = "" if arg.annotation is None else ast.unparse(arg.annotation).strip("\"'")
        row = _row(arg.arg, arg.annotation, default, module, text)
        value = None if row is None or default is None else module.value(default)
        if row is not None and value is not None:
            try:
                value = row.check(value)
            except UsageError as error:
                raise UsageError(f"model = {text}: its constructor: {error}, as its annotation says") from None
        yield Parameter(arg.arg, row, value, default is None, annotation)


_KINDS = {"float": "float", "int": "int", "bool": "bool"}


def _row(
    name: str, annotation: ast.expr | None, default: ast.expr | None, module: _Module, text: str
) -> Hyperparameter | None:
    """What a parameter is as a hyperparameter; None for what cannot be swept. Raises UsageError for a name that the
    training has taken."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    kind, choices = _kind(annotation, module.value(default), module)
    if kind is None:
        return None
    where = f"model = {text}: its constructor's parameter "
    if name in (row.name for row in OF_TRAINING):
        raise UsageError(f"{where}{name} is called as a hyperparameter of the training; expected another name for it")
    check_name(name, where)
    return make_row(name, kind, choices)


def make_row(name: str, kind: str, choices: tuple[str, ...] = ()) -> Hyperparameter:
    """A hyperparameter of a network's constructor."""
    text = {"read": _as_text, "form": "text"} if kind == "text" else {}
    return Hyperparameter(name, kind, 0, NETWORK, "program", "", choices=choices, **text)  # type: ignore[arg-type]


def _kind(annotation: ast.expr | None, default: Any, module: _Module) -> tuple[str | None, tuple[str, ...]]:
    """A hyperparameter's kind and choices, by the annotation or else the default."""
    if annotation is None:
        kind = {bool: "bool", int: "int", float: "float", str: "text"}.get(type(default))
        return kind, ()
    if isinstance(annotation, ast.Subscript) and _last_name(annotation.value) == "Literal":
        items = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        values = [module.value(item) for item in items]
        return ("choice", tuple(values)) if all(isinstance(item, str) for item in values) else (None, ())
    name = _last_name(annotation)
    if name in module.enums:
        return "choice", module.enums[name]
    return "text" if name == "str" else _KINDS.get(name), ()


def _as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def network_axis(name: str, value: object, where: str, constructor: Constructor | None) -> Axis:
    """The values of a hyperparameter of a user's network, as its constructor has it; or, where that is not read, typed
    by them. Raises UsageError."""
    row = typed_by(name, value, where) if constructor is None else constructor.row(name, where)
    return replace(read_axis(row, value, where), own=row)


def typed_axes(axes: Sequence[Axis], setting: Mapping[str, Value]) -> tuple[Axis, ...]:
    """Axes of settings like this one, those of a user's network typed by their values."""
    return tuple(
        replace(axis, own=_type_axis(axis)) if axis.own is None and _is_own(axis.name, setting) else axis
        for axis in axes
    )


def _is_own(name: str, setting: Mapping[str, Value]) -> bool:
    return is_of_network(name, setting) or (name == "model" and is_own(setting["model"]))


def _type_axis(axis: Axis) -> Hyperparameter:
    return MODEL if axis.name == "model" else typed_by(axis.name, list(axis.values), "")  # type: ignore[arg-type]


MODEL = make_row("model", "text")
"""What `model` is where it names a user's network."""
