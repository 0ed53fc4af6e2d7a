"""What functions compute, for L points at once: values, gradients, Hessians in float64. Needs torch, formulas."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sweep.errors import UsageError
from sweep.formulas import FORMULAS, own_parts, short_name

THIRD = -1000.0
"""The third number of the two softmax functions, whose probability is 0."""


def _beale(x: Tensor, y: Tensor) -> Tensor:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y * y) ** 2 + (2.625 - x + x * y * y * y) ** 2


def _quadratic(x: Tensor, y: Tensor, q1: Tensor, q2: Tensor, q12: Tensor) -> Tensor:
    return q1 * (x * x) + q2 * (y * y) + q12 * (x * y)


def _behind(x: Tensor, y: Tensor) -> Tensor:
    """How far the wrong classes are ahead of the right one: p₁ is the sigmoid of minus that."""
    return torch.logaddexp(y, torch.full_like(y, THIRD)) - x


def _softmax_mse(x: Tensor, y: Tensor) -> Tensor:
    """Without a difference of numbers near 1, which would lose the digits where the right class is sure."""
    wrong = torch.sigmoid(_behind(x, y))
    second, third = wrong * torch.sigmoid(y - THIRD), wrong * torch.sigmoid(THIRD - y)
    return wrong * wrong + second * second + third * third


def _softmax_cross_entropy(x: Tensor, y: Tensor) -> Tensor:
    return torch.logaddexp(_behind(x, y), torch.zeros_like(x))


VALUES: dict[str, Callable[..., Tensor]] = {
    "square": lambda x: x * x,
    "x_cos": lambda x, c: x * torch.cos(math.pi * c * x),
    "cosine": lambda x, c: torch.cos(math.pi * c * x),
    "cube": lambda x: x * x * x,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "cosh": lambda x, c: torch.cosh(c * x),
    "root": lambda x: x.abs().sqrt(),
    "quadratic": _quadratic,
    "saddle": lambda x, y: x * x - y * y,
    "rosenbrock": lambda x, y: (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    "beale": _beale,
    "softmax_mse": _softmax_mse,
    "softmax_cross_entropy": _softmax_cross_entropy,
}
"""What each built-in computes, number by number, of its point's numbers and its parameters."""


@dataclass(frozen=True)
class Function:
    """A function, with the constraint's penalty if it has one. Points are rows: one tensor [L] for each number."""

    values: Callable[..., Tensor]
    """Of the rows and then the parameters' numbers."""
    numbers: Sequence[Tensor] = ()
    """[L] for each parameter."""
    penalty: Callable[[Sequence[Tensor]], Tensor] | None = None
    """Added to it, [L]."""

    def at(self, rows: Sequence[Tensor]) -> Tensor:
        """Its values alone, [L]."""
        return self.values(*rows, *self.numbers)

    def gradient(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """The slope in each number, [L] each, the penalty's too."""
        return _slopes(*self._open(rows))

    def hessian(self, rows: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """The slopes, and the second derivatives [L, D, D]."""
        value, inputs = self._open(rows)
        slopes = _slopes(value, inputs, keep=True)
        second = [torch.stack(_slopes(slope, inputs, keep=True), 1) for slope in slopes]
        return [slope.detach() for slope in slopes], torch.stack(second, 1).detach()

    def _open(self, rows: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        with torch.enable_grad():
            inputs = [row.detach().requires_grad_() for row in rows]
            value = self.at(inputs)
            return value if self.penalty is None else value + self.penalty(inputs), inputs


def _slopes(value: Tensor, inputs: Sequence[Tensor], keep: bool = False) -> list[Tensor]:
    """The derivatives of L values, each of its own point alone: of their sum, since torch imports sympy, half a second,
    to look at slopes that it is given to begin with."""
    if not value.requires_grad:
        return [torch.zeros_like(variable) for variable in inputs]
    with torch.enable_grad():
        slopes = torch.autograd.grad(value.sum(), inputs, create_graph=keep, retain_graph=keep, allow_unused=True)
    return [torch.zeros_like(at) if slope is None else slope for slope, at in zip(slopes, inputs, strict=True)]


def find_values(name: str) -> Callable[..., Tensor]:
    """What computes a function, by its name in settings. Raises UsageError for a user's own that cannot be read."""
    return VALUES[name] if name in VALUES else torch.func.vmap(_own(name))


_loaded: dict[str, Callable[..., Any]] = {}


def _own(name: str) -> Callable[..., Any]:
    """A user's own function, run once."""
    if name not in _loaded:
        parts = own_parts(name)
        assert parts is not None
        file, wanted = parts
        spec = importlib.util.spec_from_file_location(f"sweep_function_{len(_loaded)}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
            _loaded[name] = getattr(module, wanted)
        except Exception as error:
            raise UsageError(f"function = {name}: {file.name} cannot be run: {_first_line(error)}") from None
    return _loaded[name]


def check_values(name: str, point: Sequence[float]) -> None:
    """Raises UsageError if a function does not give one number of a point, with a slope."""
    if name in VALUES:
        return
    rows = [torch.full((2,), number, dtype=torch.float64) for number in point]
    what = "one number for each point, made with torch's functions (torch.cos, and torch.where in place of if)"
    try:
        value = Function(find_values(name)).at(rows)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"function = {short_name(name)}: {_first_line(error)}; expected {what}") from None
    if not isinstance(value, Tensor) or value.shape != (2,) or not value.is_floating_point():
        given = f"a tensor of shape {tuple(value.shape[1:])}" if isinstance(value, Tensor) else type(value).__name__
        raise UsageError(f"function = {short_name(name)}: gives {given}; expected {what}")


def _first_line(error: Exception) -> str:
    """What went wrong in a user's own code, and where its text is long, the first line of it."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]


def numbers_of(name: str) -> tuple[str, ...]:
    """The hyperparameters that are numbers of a function's formula."""
    return FORMULAS[name].parameters if name in FORMULAS else ()
