"""The answer to `sweep function`: a function at points, and its shape, as tables or plain values. Needs rich."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.formulas import formula_text
from sweep.report.columns import Columns

if TYPE_CHECKING:
    from sweep.functions.looking import Look, Shape

ZERO = 1e-9
"""What rounding may leave of a curvature, or above a chord, of 0."""


def function_json(name: str, looks: Sequence[Look], shape: Shape, jensen: float | None) -> dict[str, Any]:
    """The same as plain values; numbers that are not finite are null."""
    points = [asdict(look) | {"slope": look.slope, "condition": look.condition} for look in looks]
    told = {"function": name, "formula": formula_text(name), "points": points, "jensen": jensen}
    answer: dict[str, Any] = _plain(told | {"shape": asdict(shape) | {"convex": convex(shape)}})
    return answer


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def convex(shape: Shape) -> bool:
    """Whether nothing in the box speaks against it."""
    return shape.least >= -ZERO * max(1.0, abs(shape.least)) and shape.above <= ZERO


def function_report(name: str, looks: Sequence[Look], shape: Shape, jensen: float | None) -> RenderableType:
    """A table with a row for each point, and what the function is like in its box."""
    table = Columns()
    constrained = any(look.nearest for look in looks)
    titles = ["point", "value", "gradient", "its length", "second derivative", "condition", "Newton's next"]
    titles[4] = "second derivative" if looks and len(looks[0].point) == 1 else "eigenvalues of the Hessian"
    titles += ["multiplier λ", "nearest allowed"] * constrained
    for title in titles:
        table.add_column(title, "right")
    for look in looks:
        cells = [
            _digits(*look.point),
            _digits(look.value),
            _digits(*look.gradient),
            _digits(look.slope),
            _digits(*look.eigenvalues),
        ]
        cells += ["–" if look.condition is None else _digits(look.condition), _digits(*(look.newton or ()))]
        if constrained:
            cells += ["–" if look.multiplier is None else _digits(look.multiplier), _digits(*(look.nearest or ()))]
        table.add_row(*cells)
    parts: list[RenderableType] = [Text.assemble((name, "bold"), f": {formula_text(name)}"), Text()]
    parts += [table, Text()] if looks else []
    if jensen is not None:
        parts.append(Text(f"Jensen: the mean of the values less the value at the mean point is {_digits(jensen)}"))
    return Group(*parts, *map(Text, _shape_lines(shape)))


def _shape_lines(shape: Shape) -> list[str]:
    """What a box shows, in words."""
    where = " x ".join(f"{low:g} to {high:g}" for low, high in shape.box)
    verdict = "nothing speaks against its being convex" if convex(shape) else "not convex"
    curved = f"least curvature {_digits(shape.least)}, at {_digits(*shape.least_at)}"
    first, second, share = shape.chord
    if shape.above > ZERO:
        chord = (
            f"above a chord by {_digits(shape.above)}: the one from {_digits(*second)} to {_digits(*first)}, "
            f"{share:.3g} of the way"
        )
    else:
        chord = "never above a chord"
    lines = [f"In the box {where}: {verdict}.", f"  {curved}", f"  {chord}"]
    if shape.intervals is not None:
        lines.append(f"  its sets below a value are {'all' if shape.intervals else 'not all'} intervals")
    return lines


def _digits(*numbers: float) -> str:
    """A point or a number, to seven digits."""
    if not numbers:
        return "–"
    told = ", ".join(f"{number:.7g}" if math.isfinite(number) else "–" for number in (n + 0.0 for n in numbers))
    return f"({told})" if len(numbers) > 1 else told
