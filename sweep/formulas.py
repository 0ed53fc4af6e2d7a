"""The functions that a point can go down: names, formulas, boxes; a user's own in FILE.py. Needs errors.

Only words and numbers: what computes them is in `functions`.
"""

from __future__ import annotations

import ast
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sweep.errors import UsageError, unknown

FUNCTION_DATA = "function"
"""What stands for the data's name where the model is a function."""

Box = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Formula:
    """A function of one or more numbers x, or x1, x2."""

    text: str
    dimension: int
    box: Box
    """Where it is drawn and where seeds start, the ends of each number; in units of 1/c where it has a c."""
    parameters: tuple[str, ...] = ()
    """The hyperparameters that are numbers of its formula."""

    def box_at(self, c: float = 1.0) -> Box:
        """The box of the function with that c."""
        scale = 1.0 / c if "c" in self.parameters else 1.0
        return tuple((low * scale, high * scale) for low, high in self.box)


def _square(low: float, high: float) -> Box:
    return ((low, high),) * 2


FORMULAS: Mapping[str, Formula] = {
    "square": Formula("x²", 1, ((-11, 11),)),
    "x_cos": Formula("x·cos(c·πx)", 1, ((-1.6, 1.6),), ("c",)),
    "cosine": Formula("cos(c·πx)", 1, ((-1.6, 1.6),), ("c",)),
    "cube": Formula("x³", 1, ((-2, 2),)),
    "tanh": Formula("tanh x", 1, ((-2, 5),)),
    "sigmoid": Formula("1/(1 + exp(−x))", 1, ((-8, 8),)),
    "cosh": Formula("cosh(c·x)", 1, ((-5.5, 5.5),), ("c",)),
    "root": Formula("√|x|", 1, ((-2, 2),)),
    "quadratic": Formula("q1·x1² + q2·x2² + q12·x1x2", 2, _square(-6, 6), ("q1", "q2", "q12")),
    "saddle": Formula("x1² − x2²", 2, _square(-2, 2)),
    "rosenbrock": Formula("(1 − x1)² + 100(x2 − x1²)²", 2, ((-2, 2), (-1, 3))),
    "beale": Formula("(1.5 − x1 + x1x2)² + (2.25 − x1 + x1x2²)² + (2.625 − x1 + x1x2³)²", 2, _square(-4.5, 4.5)),
    "softmax_mse": Formula("Σ(p − t)²", 2, _square(-12, 12)),
    "softmax_cross_entropy": Formula("−ln p of class 1", 2, _square(-12, 12)),
}
"""The built-in functions. Of the last two, p is the softmax of (x1, x2, −1000), t = (1, 0, 0): class 1 is right."""

OWN_BOX = (-5.0, 5.0)
"""Where seeds start a user's own function, in every number."""

_OWN = re.compile(r"(.+\.py):([A-Za-z_]\w*)")


def read_function(text: object) -> str | None:
    """The name of a function as settings have it, the file of a user's own by its whole path; None for what is none."""
    if not isinstance(text, str):
        return None
    if match := _OWN.fullmatch(text):
        return f"{os.path.abspath(os.path.expanduser(match[1]))}:{match[2]}"
    return text if text in FORMULAS else None


def read_start(given: object) -> str | None:
    """A start as settings have it: "seed", or the point's numbers with : between them; None for what is none."""
    if given == "seed":
        return "seed"
    parts: Any = given.split(":") if isinstance(given, str) else given if isinstance(given, list | tuple) else [given]
    try:
        if not parts or any(isinstance(part, bool) or not abs(float(part)) < 1e100 for part in parts):
            return None
    except (TypeError, ValueError, OverflowError):
        return None
    return ":".join(repr(float(part) + 0.0).removesuffix(".0") for part in parts)


def point_of(start: str) -> tuple[float, ...] | None:
    """The numbers of a start; None where the seed draws them."""
    return None if start == "seed" else tuple(map(float, start.split(":")))


def start_point(name: str, start: str, seed: int, c: float, dimension: int) -> tuple[float, ...]:
    """Where a path begins: as given, or drawn evenly from the function's box."""
    point = point_of(start)
    if point is not None:
        return point
    import numpy as np

    box = box_of(name, dimension, c)
    shares = np.random.default_rng([seed, 1]).random(dimension)
    return tuple(float(low + (high - low) * share) for (low, high), share in zip(box, shares, strict=True))


def box_of(name: str, dimension: int, c: float = 1.0) -> Box:
    """Where seeds start a function."""
    return FORMULAS[name].box_at(c) if name in FORMULAS else (OWN_BOX,) * dimension


def own_parts(name: str) -> tuple[Path, str] | None:
    """The file of a user's own function and its name there; None for a built-in."""
    match = _OWN.fullmatch(name)
    return (Path(match[1]), match[2]) if match else None


def short_name(name: str) -> str:
    """A function's name without the folder of its file."""
    own = own_parts(name)
    return f"{own[0].name}:{own[1]}" if own else name


def formula_text(name: str) -> str:
    """What a function computes, in words that fit a title."""
    return FORMULAS[name].text if name in FORMULAS else short_name(name)


@cache
def dimension_of(name: str) -> int | None:
    """How many numbers a function takes; None if any number, as `def f(*x)` does.

    A user's own is read, not run. Raises UsageError for a file or a function that is not there.
    """
    own = own_parts(name)
    if own is None:
        return FORMULAS[name].dimension
    file, wanted = own
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"function = {name}: no such file; expected FILE.py:NAME") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"function = {name}: {file.name} cannot be read as Python: {error}") from None
    definitions: dict[str, ast.arguments] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            definitions[node.name] = node.args
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            definitions |= {target.id: node.value.args for target in node.targets if isinstance(target, ast.Name)}
    if wanted not in definitions:
        raise unknown("function", wanted, definitions, f"{file}: ")
    args = definitions[wanted]
    numbers = len(args.posonlyargs) + len(args.args) - len(args.defaults)
    if args.vararg is None and not numbers:
        raise UsageError(f"function = {name}: takes no number; expected one parameter for each number of a point")
    return None if args.vararg is not None else numbers


def check_start(name: str, start: str) -> int:
    """How many numbers the paths of a function have. Raises UsageError for a start of another number of them."""
    wanted, point = dimension_of(name), point_of(start)
    if wanted is None and point is None:
        raise UsageError(f"start = seed: {short_name(name)} takes any number of numbers; expected a start such as 1:1")
    if wanted is not None and point is not None and len(point) != wanted:
        form = ":".join(["1"] * wanted)
        raise UsageError(
            f"start = {start}: {_numbers(len(point))}, but {short_name(name)} takes {_numbers(wanted)}; "
            f"expected a start such as {form}"
        )
    return wanted if wanted is not None else len(point or ())


def _numbers(many: int) -> str:
    return "one number" if many == 1 else f"{many} numbers"


def fingerprint(names: Iterable[str]) -> str:
    """What stands for a checksum of the data: of the files of a user's own functions, and of what the others are."""
    crc = 0
    for name in names:
        own = own_parts(name)
        crc = zlib.crc32(own[0].read_bytes() if own else FORMULAS[name].text.encode(), crc)
    return f"{crc:08x}"
