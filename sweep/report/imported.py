"""What was made of a table from elsewhere, in words. Needs rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from sweep.hyperparameters import show_value

if TYPE_CHECKING:
    from sweep.analysis.importing import Results


def import_report(read: Results) -> Table:
    """What each column of a table was taken as: a title and words each."""
    recipe = read.recipe
    imported = recipe.imported
    assert imported is not None
    lines = [
        ("metric", f"{recipe.metric}, {'less' if recipe.direction == 'minimize' else 'more'} is better"),
        ("test metric", imported.test or ""),
        ("seeds", read.seed or "no column: trials of one setting are numbered as they come"),
        ("hyperparameters", ", ".join(imported.swept) or "none varies"),
        ("constant", ", ".join(f"{name} {show_value(value)}" for name, value in read.constant.items())),
        *(
            ("left out" if n == 0 else "", f"{reason}: {', '.join(names)}")
            for n, (reason, names) in enumerate(read.left_out.items())
        ),
    ]
    if read.left_out:
        lines.append(("", "--columns a,b names the hyperparameters, --ignore a,b what is none"))
    table = Table.grid(padding=(0, 2, 0, 0))
    for title, words in lines:
        if words:
            table.add_row(Text(title, "dim"), Text(words))
    return table
