"""One trial: its setting, numbers and curve, trained again; and what the doctor found. Needs rich."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweep.hyperparameters import show_value
from sweep.machine import KIND, kind_text
from sweep.recipe import MEASURED, of_unit
from sweep.report.columns import Columns
from sweep.report.tables import is_default, test_scores
from sweep.report.text import STATE_STYLE, show_metric, show_runs
from sweep.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from sweep.ledger import Finding, Sitting
    from sweep.study import Reproduction


ROWS = 12
"""Epochs at most in a trial's table."""
EXPLAIN_CLASSES = (
    "train_loss and train_accuracy are means over the epoch while it trains (dropout on): "
    "they may be worse than val_….",
    "grad_norm is the length of the whole net's gradient, the mean of every tenth step.",
)
EXPLAIN_NUMBERS = (
    "Losses are mean squared errors, in the target's own units squared; train_loss is the mean over the epoch while it "
    "trains (dropout on): it may be worse than val_loss.",
    "grad_norm is the length of the whole net's gradient for the standardised target, the mean of every tenth step.",
)
LINES = {"cyan": (4, "· · ·", "dotted"), "yellow": (1, "───", "a line")}
"""How each curve is drawn: its colour; every how many dots across it has one, how that looks, and is called, so that
they can be told apart where there is no colour."""


def trial_report(
    row: dict[str, Any],
    setting: dict[str, Any],
    epochs: pd.DataFrame,
    test: bool,
    width: int,
    sitting: Sitting | None = None,
    tests: Mapping[str, float] | None = None,
    ends: pd.DataFrame | None = None,
    own: str | None = None,
    printed: str = "",
) -> RenderableType:
    """One trial: its setting, state, numbers and learning curve. tests: its scores on further test sets;
    ends: of a path down a function, where it ended; own: the metric that a user's own code reports; printed: its
    output."""
    parts: list[RenderableType] = [
        Text.assemble(
            ("trial ", "bold"),
            (str(row["trial"]), "bold"),
            f", seed {row['seed']}" + (f", split {row['split_seed']}" if "split_seed" in row else "") + ": ",
            (row["state"], STATE_STYLE[row["state"]]),
        )
    ]
    if row["reason"]:
        parts[0] = Text.assemble(parts[0], f" ({row['reason']})")  # type: ignore[arg-type]
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        grid.add_column(overflow="fold")  # else what is too long is cut
    for name, value in setting.items():
        default = is_default(name, value, setting)
        grid.add_row(Text(name, "dim" if default else "bold"), Text(show_value(value), "dim" if default else "bold"))
    parts += [Text(), grid, Text()]
    if ends is not None:
        parts += _ends(row, epochs, ends)
    elif own is not None:
        parts += _own_curve(epochs, own, width)
    elif len(epochs):
        parts += [curves({name: epochs[name].tolist() for name in ("train_loss", "val_loss")}, min(width, 72)), Text()]
        names = [name for name in (*MEASURED, "grad_norm", "seconds") if name in epochs]
        table, left_out = _epoch_table(epochs, names)
        lines = [left_out, *(EXPLAIN_CLASSES if "val_accuracy" in epochs else EXPLAIN_NUMBERS)]
        parts += [table, Text(), *(Text(line, "dim") for line in lines if line)]
    else:
        above = ("trial", "seed", "state", "reason", "traceback", "epochs", "seconds", "sitting", "split_seed")
        parts += [
            Text(f"{name} {show_metric(of_unit(name, [value]), value)}")
            for name, value in row.items()
            if name not in above and value is not None and not name.startswith("test_")
        ]
    if test:
        scores = test_scores({name: value for name, value in row.items() if name.startswith("test_")}, "")
        parts.append(Text(f"on test data: {scores or 'no score'}"))
        accuracies = {name: value for name, value in (tests or {}).items() if "accuracy" in name}
        parts += [Text(f"{name}: {show_metric('test_accuracy', value)}") for name, value in accuracies.items()]
    if sitting:
        trained = f"Trained with {sitting.kind}, in the sitting of {sitting.started}."
        parts += [Text(), Text(trained, "dim")]
    if row.get("traceback"):
        parts += [Text(), Text(str(row["traceback"]), "dim")]
    if printed:
        parts += [Text(), Text("printed:", "bold"), Text(printed.rstrip())]
    return Group(*parts)


def _own_curve(epochs: pd.DataFrame, metric: str, width: int) -> list[RenderableType]:
    """What a user's own code reported, epoch by epoch; test scores are for who asks."""
    if not len(epochs):
        return []
    others = [name for name in map(str, epochs.columns) if name not in ("epoch", metric, "seconds")]
    names = [metric, *(name for name in others if not name.startswith("test_"))]
    names += ["seconds"] if epochs["seconds"].notna().any() else []
    table, left_out = _epoch_table(epochs, names)
    curve = [curves({metric: epochs[metric].tolist()}, min(width, 72)), Text()] if len(epochs) > 1 else []
    return [*curve, table, *([Text(), Text(left_out, "dim")] if left_out else [])]


def _epoch_table(epochs: pd.DataFrame, names: Sequence[str]) -> tuple[Columns, str]:
    """Epochs with some of their numbers, of many some spread over all; and which are left out, in words."""
    table = Columns()
    for name in ("epoch", *names):
        table.add_column(name, justify="right")
    places = sorted({round(i * (len(epochs) - 1) / (ROWS - 1)) for i in range(ROWS)})
    for place in places:
        values = epochs.iloc[place]
        table.add_row(str(int(values["epoch"])), *(show_metric(name, values[name]) for name in names))
    return table, _left_out(epochs["epoch"].tolist(), places)


def _ends(row: dict[str, Any], epochs: pd.DataFrame, ends: pd.DataFrame) -> list[Text]:
    """Where a path ended: its point, the function there, the length of its slope; nothing while it has not."""
    point = zip(ends["place"], ends["value"], strict=True)
    places = [f"{place} {value:.12g}" for place, value in point if value == value]
    if not places or not len(epochs) or row["value"] is None:
        return []
    slope = epochs["grad_norm"].iloc[-1]
    return [Text(f"ended at {', '.join(places)}: value {row['value']:.12g}, slope {show_metric('grad_norm', slope)}")]


def _left_out(epochs: Sequence[int], shown: Sequence[int]) -> str:
    """Which epochs are not in a table, given the places of those that are; empty where all are."""
    there = set(shown)
    left = [int(epoch) for place, epoch in enumerate(epochs) if place not in there]
    if not left:
        return ""
    return f"{len(left):,} of {count(len(epochs), 'epoch')} left out: {show_runs(left)}; --json has all."


def reproduction_report(outcome: Reproduction) -> RenderableType:
    """Whether a trial came out the same, and on what it was trained then and now."""
    if outcome.difference is None:
        first = Text(
            f"identical: trial {outcome.trial}, {count(outcome.epochs, 'epoch')}, every metric to the bit", "green"
        )
    else:
        epoch, metric, old, new = outcome.difference
        first = Text(
            f"different: trial {outcome.trial}, first in epoch {epoch}: {metric} was {old!r}, is {new!r}", "red"
        )
    then, now = outcome.then, outcome.now
    if not outcome.alike:
        kind = f"This machine is of another kind ({kind_text(now)}) than the one that trained it ({kind_text(then)})"
        kind += ": last digits, and what grows out of them, may differ."
    elif unknown := [name for name in KIND if name not in then]:
        kind = f"Of the machine that trained it, the ledger does not know: {', '.join(unknown)}."
    elif outcome.difference:
        kind = (
            f"This machine is of the kind that trained it ({kind_text(now)}), so it should have "
            "been the same: the data set's files, sweep itself, or a library's build has changed."
        )
    else:
        kind = f"This machine is of the kind that trained it ({kind_text(now)})."
    lines = [first, Text(kind)] if outcome.difference is None else [Text(kind), Text(), first]
    parts: list[RenderableType] = [*lines]
    rows = [name for name in now if then.get(name) != now[name]]
    if rows:
        table = Columns()
        for name in ("what differs", "then", "now"):
            table.add_column(name)
        for name in rows:
            table.add_row(name, str(then.get(name, "not recorded")), str(now[name]))
        parts += [Text(), table]
    return Group(*parts)


def findings_report(findings: Sequence[tuple[Finding, str | None]]) -> Text:
    """What the doctor found, and what was or would be done."""
    if not findings:
        return Text("nothing is wrong", "green")
    lines = []
    for finding, done in findings:
        lines.append(Text(finding.what, "bold"))
        if done is not None:
            lines.append(Text(f"  {done}", "green"))
        elif finding.mending:
            lines.append(Text(f"  would {finding.mending}", "yellow"))
    if any(done is None and finding.mending for finding, done in findings):
        lines.append(Text("\nNothing was changed. `sweep doctor --mend` does it."))
    return Text("\n").join(lines)


def curves(series: dict[str, list[float]], width: int, height: int = 8) -> Text:
    """Curves over epochs as braille dots (2 x 4 a character), on one scale: at most two, each its own kind of line."""
    finite = [value for values in series.values() for value in values if math.isfinite(value)]
    if not finite:
        return Text("no finite value to draw", "dim")
    low, high = min(finite), max(finite)
    labels = [show_metric("loss", high), show_metric("loss", low)]
    margin = max(map(len, labels))
    columns = max(8, width - margin - 2)
    cells: dict[tuple[int, int], tuple[int, str]] = {}
    for values, (style, (every, _, _)) in zip(series.values(), LINES.items(), strict=False):
        for x in range(0, 2 * columns, every):
            position = x * (len(values) - 1) / (2 * columns - 1)
            a, b = values[math.floor(position)], values[math.ceil(position)]
            value = a + (b - a) * (position - math.floor(position))
            if math.isfinite(value):
                y = round((high - value) / (high - low) * (4 * height - 1)) if high > low else 4 * height - 1
                bits, _ = cells.get((y // 4, x // 2), (0, style))
                cells[y // 4, x // 2] = (
                    bits | (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)[(y % 4) * 2 + x % 2],
                    style,
                )
    text = Text()
    for line in range(height):
        label = labels[0] if line == 0 else labels[1] if line == height - 1 else ""
        text.append(f"{label:>{margin}} │", "dim")
        for column in range(columns):
            bits, style = cells.get((line, column), (0, ""))
            text.append(chr(0x2800 + bits) if bits else " ", style)
        text.append("\n")
    length = len(next(iter(series.values())))
    text.append(f"{'':>{margin}} └{'─' * columns}\n{'':>{margin}}  epoch 1 to {length}: ", "dim")
    lines = [
        (f"{look} {name} ({kind})", style)
        for name, (style, (_, look, kind)) in zip(series, LINES.items(), strict=False)
    ]
    for place, (words, style) in enumerate(lines):
        text.append(f"{', ' if place else ''}{words}", style)
    return text
