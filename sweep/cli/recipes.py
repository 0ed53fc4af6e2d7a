"""The command that makes a recipe of another tool's search space: recipe. Needs typer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sweep.cli.base import app


@app.command("recipe", rich_help_panel="Read")
def make_recipe(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Another tool's search space: W&B's sweep.yaml, NNI's or ConfigSpace's JSON or YAML, a file "
            "with Hydra's sweeper section, an Optuna study (SQLite file or journal).",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the recipe to a new file instead of showing it."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Which study, where Optuna's file holds several.")
    ] = None,
) -> None:
    """Make a recipe of another tool's search space. What a recipe cannot say stands in a comment at its head."""
    from sweep.errors import UsageError
    from sweep.foreign.spaces import read_space, recipe_text

    text = recipe_text(read_space(file, name), file.name, output.name if output else "recipe.toml")
    if output is None:
        print(text, end="")
        return
    try:
        with output.open("x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        raise UsageError(f"-o {output}: exists; give another name") from None
    print(f"wrote {output}")
