"""A bench: one function at points that are given. Needs typer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from sweep.cli.base import app, console, say
from sweep.errors import UsageError
from sweep.flags import Json, group_flags
from sweep.hyperparameters import TABLE, Value


def _number(name: str) -> typer.models.OptionInfo:
    row = TABLE[name]
    option: typer.models.OptionInfo = typer.Option(
        row.flag, metavar="X", help=f"{row.help} [dim]\\[default {row.default}][/]", show_default=False
    )
    return option


@dataclass(frozen=True)
class Numbers:
    """The flags that fix a function's numbers."""

    c: Annotated[str | None, _number("c")] = None
    q1: Annotated[str | None, _number("q1")] = None
    q2: Annotated[str | None, _number("q2")] = None
    q12: Annotated[str | None, _number("q12")] = None
    constraint: Annotated[str | None, _number("constraint")] = None
    penalty: Annotated[str | None, _number("penalty")] = None

    def values(self) -> dict[str, Value]:
        """Each with its default where it is not given. Raises UsageError."""
        return {
            name: TABLE[name].default if text is None else TABLE[name].parse(text) for name, text in vars(self).items()
        }


@app.command("function", rich_help_panel="Ask")
@group_flags
def function(
    *,
    name: Annotated[str, typer.Argument(metavar="FUNCTION", help="As `sweep grid --function` takes it.")],
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="POINTS", help="Points, each its numbers with : between: 4, or 1:-2,3:4."),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(
            "--box",
            metavar="ENDS",
            help="Where to look whether it is convex: LOW:HIGH for each number (-1:1, or -1:1,0:2); by default where "
            "seeds start.",
        ),
    ] = None,
    numbers: Numbers,
    as_json: Json = False,
) -> None:
    """Look at a function: value, gradient, curvature and Newton's next point at points; whether it is convex.

    With a constraint: the multiplier of Lagrange and the nearest point that is allowed. With several points: how far
    the mean of the values is above the value at the mean (Jensen).
    """
    from sweep.formulas import check_start, point_of, read_function, short_name
    from sweep.functions.looking import Formula, find_jensen, find_shape, look
    from sweep.functions.values import check_values
    from sweep.report.function import function_json, function_report

    starts = [TABLE["start"].parse(text) for text in (at or "seed").split(",")]
    full_name = read_function(name)
    if full_name is None:
        raise UsageError(f"function {name!r}: expected {TABLE['function'].expected}")
    dimension = {check_start(full_name, str(start)) for start in starts}.pop()
    points = [point for start in starts if (point := point_of(str(start))) is not None]
    check_values(full_name, (points or [(0.5,) * dimension])[0])
    formula = Formula(full_name, dimension, numbers.values())
    looks, shape = look(formula, points), find_shape(formula, _read_box(box, dimension))
    jensen = find_jensen(formula, points)
    if as_json:
        say(function_json(short_name(full_name), looks, shape, jensen))
    else:
        console().print(function_report(short_name(full_name), looks, shape, jensen), highlight=False, soft_wrap=True)


def _read_box(text: str | None, dimension: int) -> tuple[tuple[float, float], ...] | None:
    """The ends of a box. Raises UsageError."""
    if text is None:
        return None
    parts = [part.split(":") for part in text.split(",")]
    try:
        ends = tuple((float(low), float(high)) for low, high in parts)
        if len(ends) != dimension or not all(-1e100 < low < high < 1e100 for low, high in ends):
            raise ValueError
    except ValueError:
        form = ",".join(["-1:1"] * dimension)
        raise UsageError(f"--box {text}: expected LOW:HIGH for each of its numbers, such as {form}") from None
    return ends
