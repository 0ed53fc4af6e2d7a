"""The leaderboard of settings as a table for a paper: LaTeX with booktabs. Needs pandas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sweep.hyperparameters import show_value
from sweep.report.files import plain
from sweep.report.text import missing, show_metric
from sweep.space import seeds_text
from sweep.wording import count

if TYPE_CHECKING:
    from sweep.analysis import SettingsBoard

_ESCAPED = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}",
    '"': r"\textquotedbl{}", "|": r"\textbar{}",
}  # fmt: skip


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands, on one line."""
    return "".join(_ESCAPED.get(char, char) for char in " ".join(text.split()))


def latex_table(board: SettingsBoard) -> str:
    """A tabular of the settings in rank order: mean with its 95% interval over seeds,
    the first in bold, those that cannot be told from it marked. Means and intervals
    only: test scores of the selected setting stand below, unless filtered."""
    lost = [state for state in ("diverged", "pruned", "failed") if board.rows[state].any()]
    names = [*board.table.swept, board.table.metric, "95\\% interval", "seeds", *lost]
    heads = [name if "\\" in name else escape(name) for name in names]
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{{'l' * len(board.table.swept)}{'r' * (len(names) - len(board.table.swept))}}}",
        "\\toprule",
        f"{' & '.join(heads)} \\\\",
        "\\midrule",
        *(f"{' & '.join(_cells(board, row, lost, place == 0))} \\\\" for place, row in enumerate(_rows(board))),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"% {line}" for line in _below(board)),
    ]
    return "\n".join(lines) + "\n"


def _rows(board: SettingsBoard) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in board.rows.to_dict("records")]


def _cells(board: SettingsBoard, row: dict[str, Any], lost: list[str], first: bool) -> list[str]:
    best = first and board.selected is not None
    values = [escape(show_value(plain(row[name]))) for name in board.table.swept]
    mean = escape(show_metric(board.table.metric, row["mean"]))
    mark = "$^{\\approx}$" if board.tied > 1 and row["tied"] else ""
    ends = (
        "--"
        if missing(row["low"])
        else f"[{', '.join(escape(show_metric(board.table.metric, row[end])) for end in ('low', 'high'))}]"
    )
    shown = [*values, f"\\textbf{{{mean}}}{mark}" if best else f"{mean}{mark}", ends, str(row["n"])]
    return [*shown, *(str(row[state]) for state in lost)]


def _below(board: SettingsBoard) -> list[str]:
    """Comments: how to read it, what the selected setting scores on test data."""
    way = "lower" if board.table.direction == "minimize" else "higher"
    lines = [f"{board.table.metric}: mean over seeds, {way} is better; 95% bootstrap interval of the mean"]
    if board.roles is not None:
        judged, again = seeds_text(board.roles.fresh), int(board.rows["again"].sum())
        lines.append(
            f"the first {again} on {judged} alone, the others on {seeds_text(board.roles.selecting)}, which selected"
        )
    if board.tied > 1:
        lines.append(f"\\approx: {count(board.tied - 1, 'setting')} that cannot be told from the first")
    if board.selected is not None and not board.table.filtered:
        lines += [
            f"{name} of the first: {show_metric(name, mean)}" for name, (mean, _, _) in sorted(board.tests.items())
        ]
    return [" ".join(line.split()) for line in lines]
