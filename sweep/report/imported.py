"""What was made of results from elsewhere, in words. Needs rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from sweep.hyperparameters import show_value

if TYPE_CHECKING:
    from sweep.analysis.importing import Results
    from sweep.recipe import Recipe


def import_report(read: Results) -> Table:
    """What each column of a table was taken as: a title and words each."""
    recipe = read.recipe
    imported = recipe.imported
    assert imported is not None
    way = "less" if recipe.direction == "minimize" else "more"
    lines = [
        ("from", imported.tool or ""),
        ("metric", f"{recipe.metric}{_VALUE[imported.value]}, {way} is better"),
        ("test metric", imported.test or ""),
        ("curves", _curves(read)),
        ("seeds", read.seed or f"no {'hyperparameter' if imported.tool else 'column'}: {_NUMBERED}"),
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


_VALUE = {None: "", "last": " of each trial's last epoch", "best": " of each trial's best epoch (chosen on itself)"}
_NUMBERED = "trials of one setting are numbered as they come"


def _curves(read: Results) -> str:
    """How far curves go, and what they hold beside the metric."""
    if read.course is None or not read.course.epochs:
        return ""
    others = dict.fromkeys(name for _, epoch, name, _ in read.course.readings if epoch)
    beside = f"; beside it {', '.join(others)}" if others else ""
    return f"up to epoch {max(epoch for _, epoch, _ in read.course.epochs):,}{beside}"


def import_line(recipe: Recipe) -> str:
    """Where a study's results are from, and what its metric is of each trial, in a line; empty of a plain table and of
    what was trained here."""
    imported = recipe.imported
    if imported is None or imported.tool is None:
        return ""
    line = f"Imported from {imported.tool} ({recipe.data})"
    if imported.value == "best":
        return (
            f"{line}: {recipe.metric} is of each trial's best epoch, chosen on itself: in part luck, more so where "
            "curves are noisy or long; sweep import --value last takes the last."
        )
    return f"{line}{f': {recipe.metric} of the last epoch' if imported.value == 'last' else ''}."


def imported_json(recipe: Recipe) -> dict[str, Any]:
    """The same and how it was read, as plain values; nothing of what was trained here."""
    if recipe.imported is None:
        return {}
    kept = recipe.imported
    return {"imported": {"from": kept.tool, "source": recipe.data, "value": kept.value, "notes": [*kept.notes]}}
