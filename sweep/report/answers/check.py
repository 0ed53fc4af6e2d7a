"""The answer to `sweep check`: remarks and commands, or plain values. Needs rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.report.files import plain
from sweep.wording import join_words

if TYPE_CHECKING:
    from sweep.analysis import StudyTable
    from sweep.analysis.check import Remark


def check_report(table: StudyTable, remarks: list[Remark], unread: list[str]) -> list[RenderableType]:
    """The answer to `sweep check`, part by part; commands are texts of their own, that they can be copied whole."""
    states = table.trials["state"].value_counts()
    counts = ", ".join(f"{n:,} {state}" for state, n in states.items())
    parts: list[RenderableType] = [
        Group(Text.assemble("Study ", (table.name, "bold"), f", by {table.metric}: {counts}"))
    ]
    if not remarks:
        parts.append(Text("\nNothing stands out.", "green"))
    for remark in remarks:
        sentence = remark.text[0].upper() + remark.text[1:] + "."
        parts += [Group(Text(), Text.assemble((f"{remark.kind}  ", "bold yellow"), sentence))]
        parts += [Text(f"  {remark.command}", "cyan")] if remark.command else []
    if unread:
        parts.append(Group(Text(), Text(f"Not checked: {join_words(unread)}.", "dim")))
    return parts


def check_json(table: StudyTable, remarks: list[Remark], unread: list[str]) -> dict[str, Any]:
    """Remarks as plain values."""
    rows = [
        {
            "kind": remark.kind,
            "text": remark.text,
            "command": remark.command,
            "numbers": {
                name: plain(value) if not isinstance(value, list | dict) else value
                for name, value in remark.numbers.items()
            },
        }
        for remark in remarks
    ]
    return {
        "study": table.name,
        "metric": table.metric,
        "direction": table.direction,
        "remarks": rows,
        "unread": unread,
    }
