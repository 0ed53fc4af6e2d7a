"""What people and scripts see of the numbers: tables, curves, CSV and its kin. Needs rich; pandas for files."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweep.errors import SweepError, UsageError, unknown
from sweep.hyperparameters import PROGRAM, TABLE, show_value
from sweep.plan import fold_text

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis import Board
    from sweep.ledger import Finding
    from sweep.plan import Plan
    from sweep.study import Reproduction

BLOCKS = "▁▂▃▄▅▆▇█"
STATE_STYLE = {
    "complete": "green",
    "diverged": "red",
    "failed": "bold red",
    "pruned": "yellow",
    "running": "cyan",
    "waiting": "dim",
}


def show_metric(name: str, value: Any) -> str:
    """A metric: accuracies in percent, losses with four digits."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return (
        f"{100 * value:.2f}%" if name.endswith("accuracy") else f"{value:.4g}" if abs(value) >= 1000 else f"{value:.4f}"
    )


def show_seconds(seconds: float, whole: bool = False) -> str:
    """A length of time: 0.31 s (1 s if whole), 12 s, 3:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 9.995 and not whole else f"{math.ceil(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """The last `width` finite values as block characters, low to high."""
    finite = [value for value in values if math.isfinite(value)][-width:]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * scale)] for value in finite)


# Tables


def board_table(board: Board, top: int | None, width: int) -> RenderableType:
    """The leaderboard: what is constant above, one row a trial, what was selected below; fewer columns if narrow."""
    rows = board.rows if top is None else board.rows.head(top)
    metrics = ["val_loss", "val_accuracy", "train_loss", "epochs", "seconds", "state"]
    columns = ["rank", "trial", *(["seed"] if board.rows["seed"].nunique() > 1 else []), *board.swept]
    columns += [board.metric, *(name for name in metrics if name != board.metric)]
    cells = {name: [_board_cell(name, row) for _, row in rows.iterrows()] for name in columns}
    complete = bool((rows["state"] == "complete").all())
    for name in ("train_loss", "seconds", "epochs", *(["state"] if complete else [])):
        if sum(max(cell_len(text) for text in [column, *cells[column]]) + 2 for column in columns) > width:
            columns = [column for column in columns if column != name or name == board.metric]
    table = _table()
    for name in columns:
        table.add_column(f"{name} ▾" if name == board.metric else name, justify="left" if name == "state" else "right")
    for place, (_, row) in enumerate(rows.iterrows()):
        styles = [STATE_STYLE[row["state"]] if name == "state" else "" for name in columns]
        best = board.selected is not None and row["trial"] == board.selected["trial"]
        table.add_row(
            *(Text(cells[name][place], style) for name, style in zip(columns, styles, strict=True)),
            style="bold" if best else "",
        )
    parts: list[RenderableType] = [Text(_constants(board.constant), "dim"), Text(), table]
    hidden = len(board.rows) - len(rows)
    if hidden:
        parts.append(Text(f"… and {hidden:,} more (--top N, --all)", "dim"))
    parts += [Text(), selected_line(board)]
    return Group(*parts)


def _board_cell(name: str, row: pd.Series) -> str:
    value = row[name]
    if name == "state":
        return f"{value}: {row['reason']}" if isinstance(row["reason"], str) else str(value)
    if name.endswith(("loss", "accuracy")):
        return show_metric(name, value)
    if name == "seconds":
        return "–" if _missing(value) else f"{value:.2f}"
    return "–" if _missing(value) else show_value(value)


def _table() -> Table:
    return Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))


def selected_line(board: Board) -> Text:
    """Which trial was selected, on what, and its test score: the only one that is shown."""
    best = board.selected
    if best is None:
        why = "No trial meets the condition" if board.filtered and not len(board.rows) else "No trial is complete yet"
        return Text(f"{why}, so none is selected.", "yellow")
    names = [*(["seed"] if board.rows["seed"].nunique() > 1 else []), *board.swept]
    values = ", ".join(f"{name} {show_value(best[name])}" for name in names if not _missing(best[name]))
    line = Text("Selected on ").append(board.metric, "bold").append(f": trial {best['trial']}")
    line.append(f" ({values})" if values else "")
    line.append(f"; {board.metric} {show_metric(board.metric, best[board.metric])}")
    if board.filtered:  # selecting again among some would show the test score of any trial one likes
        return line.append(" (among those that meet the condition).")
    accuracy, loss = (show_metric(name, best[name]) for name in ("test_accuracy", "test_loss"))
    line.append(f", on test data {accuracy} (loss {loss}).")
    return line


def _constants(constant: dict[str, Any]) -> str:
    """The constant hyperparameters that are not at their default, then how many are."""
    told = {name: value for name, value in constant.items() if not _is_default(name, value, constant)}
    shown = ", ".join(f"{name} {show_value(value)}" for name, value in told.items())
    rest = f"{len(constant) - len(told)} other hyperparameters at their defaults"
    return f"{shown}; {rest}" if shown else rest


def _is_default(name: str, value: Any, constant: dict[str, Any]) -> bool:
    row = TABLE[name]
    return bool(value == row.default_for(constant))


def studies_table(rows: list[dict[str, Any]]) -> RenderableType:
    """One line a study."""
    table = _table()
    states = [
        "complete",
        *(state for state in ("pruned", "diverged", "failed", "left") if any(row[state] for row in rows)),
    ]
    for name in ("study", "data", "trials", *states, "best", "time", "created"):
        table.add_column(
            name, justify="left" if name in ("study", "data", "best", "created") else "right", no_wrap=name != "data"
        )
    for row in rows:
        best = f"{row['metric']} {show_metric(row['metric'], row['best'])}"
        counts = (str(row[name]) for name in ("trials", *states))
        table.add_row(
            row["name"], row["data"], *counts, best, show_seconds(row["seconds"]), row["created"][:16].replace("T", " ")
        )
    return table


def plan_table(plan: Plan, name: str) -> RenderableType:
    """What would run: counts, then a line a cohort."""
    data = plan.data
    shape = " x ".join(map(str, data.shape))
    lines = [
        Text.assemble(
            (name, "bold"),
            f": {count(plan.trials, 'trial')} = {count(plan.settings, 'setting')} x {count(plan.seeds, 'seed')}",
        ),
        Text(
            f"data {data.name}: rows of {shape}, {data.classes} classes; {data.train:,} to train, {data.val:,} to validate, {data.test:,} to test"
        ),
    ]
    if plan.folded:
        lines.append(Text(f"folded: {fold_text(plan)}"))
    table = _table()
    varying = [name for name in plan.swept if name in PROGRAM]
    for column in (
        "cohort",
        *varying,
        "settings",
        "trials",
        "parameters",
        "lanes",
        *["time"] * (plan.seconds is not None),
    ):
        table.add_column(column, justify="right")
    for number, cohort in enumerate(plan.cohorts[:40]):
        cells = [str(number), *(show_value(cohort.program.get(key)) for key in varying)]
        cells += [f"{value:,}" for value in (cohort.settings, cohort.trials, cohort.parameters, cohort.lanes)]
        if plan.seconds is not None:
            cells.append(show_seconds((cohort.seconds or 0.0) / plan.jobs))
        table.add_row(*cells)
    more = [Text(f"… and {plan.cohort_count - 40:,} more cohorts", "dim")] if plan.cohort_count > 40 else []
    return Group(
        *lines,
        Text(f"{count(plan.cohort_count, 'cohort')}, each trained as lanes of one program:"),
        Text(),
        table,
        *more,
        Text(),
        _expected(plan),
    )


def _expected(plan: Plan) -> Text:
    """What a run would take, in words."""
    if plan.seconds is None or plan.memory is None:
        return Text("time and memory: not measured on this machine yet", "dim")
    return Text.assemble(
        "expected: ",
        (show_seconds(plan.seconds, whole=True), "bold"),
        f" with {count(plan.jobs, 'worker')}, {plan.memory / 2**30:.1f} GiB of memory (measured on this machine)",
    )


def trial_report(
    row: dict[str, Any], setting: dict[str, Any], epochs: pd.DataFrame, test: bool, width: int
) -> RenderableType:
    """One trial: its setting, state, numbers and learning curve."""
    parts: list[RenderableType] = [
        Text.assemble(
            ("trial ", "bold"),
            (str(row["trial"]), "bold"),
            f", seed {row['seed']}: ",
            (row["state"], STATE_STYLE[row["state"]]),
        )
    ]
    if row["reason"]:
        parts[0] = Text.assemble(parts[0], f" ({row['reason']})")  # type: ignore[arg-type]
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, value in setting.items():
        default = _is_default(name, value, setting)
        grid.add_row(Text(name, "dim" if default else "bold"), Text(show_value(value), "dim" if default else "bold"))
    parts += [Text(), grid, Text()]
    if len(epochs):
        parts += [curves({name: epochs[name].tolist() for name in ("train_loss", "val_loss")}, min(width, 72)), Text()]
        table = _table()
        names = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "grad_norm", "seconds"]
        for name in names:
            table.add_column(name, justify="right")
        for place in sorted({round(i * (len(epochs) - 1) / 11) for i in range(12)}):
            values = epochs.iloc[place]
            table.add_row(str(int(values["epoch"])), *(show_metric(name, values[name]) for name in names[1:]))
        parts.append(table)
    if test:
        parts.append(
            Text(
                f"on test data: accuracy {show_metric('test_accuracy', row['test_accuracy'])}, loss {show_metric('test_loss', row['test_loss'])}"
            )
        )
    if row.get("traceback"):
        parts += [Text(), Text(str(row["traceback"]), "dim")]
    return Group(*parts)


def reproduction_report(outcome: Reproduction, then: dict[str, Any], now: dict[str, Any]) -> RenderableType:
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
    table = _table()
    for name in ("", "then", "now"):
        table.add_column(name)
    for name in now:
        same = then.get(name) == now[name]
        table.add_row(name, str(then.get(name, "–")), str(now[name]), style="dim" if same else "bold")
    return Group(first, Text(), table)


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
    """Curves over epochs as braille dots (2 x 4 a character), a colour each, on one scale."""
    finite = [value for values in series.values() for value in values if math.isfinite(value)]
    if not finite:
        return Text("no finite value to draw", "dim")
    low, high = min(finite), max(finite)
    labels = [show_metric("loss", high), show_metric("loss", low)]
    margin = max(map(len, labels))
    columns = max(8, width - margin - 2)
    cells: dict[tuple[int, int], tuple[int, str]] = {}
    for (_, values), style in zip(series.items(), ("cyan", "yellow", "magenta"), strict=False):
        for x in range(2 * columns):
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
    for name, style in zip(series, ("cyan", "yellow", "magenta"), strict=False):
        text.append(f"{name} ", style)
    return text


def count(number: int, noun: str) -> str:
    """A number with its noun: 1 trial, 1,000 trials."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _missing(value: Any) -> bool:
    return value is None or str(value) in ("<NA>", "nan", "NaT")


# Files

SUFFIXES = (".csv", ".parquet", ".json", ".md")


def export_table(frame: pd.DataFrame, target: str) -> None:
    """Writes a table as its suffix says, beside the target and then renamed; `-` is CSV on standard output."""
    if target == "-":
        sys.stdout.write(_csv(frame))
        return
    path = Path(target)
    if path.suffix not in SUFFIXES:
        raise unknown("suffix", path.suffix or target, SUFFIXES, f"-o {target}: ")
    if path.is_dir():
        raise UsageError(f"-o {target}: a folder; expected a file")
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".parquet":
            frame.to_parquet(part, index=False)
        else:
            text = {".csv": _csv, ".json": to_json, ".md": _markdown}[path.suffix](frame)
            part.write_text(text, encoding="utf-8", newline="")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None
        raise SweepError(f"-o {target}: cannot be written: {error.strerror or error}") from None


def _csv(frame: pd.DataFrame) -> str:
    """Floats in the shortest form that reads back to the same number; text that a spreadsheet would run is quoted."""
    buffer = io.StringIO()
    _plain(frame).map(_safe).to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()


def _safe(cell: Any) -> Any:
    if isinstance(cell, float) and not isinstance(cell, bool):
        return repr(float(cell)) if math.isfinite(cell) else None
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" else cell


def to_json(frame: pd.DataFrame) -> str:
    """A list of objects, one a row; what is missing is null."""
    return json.dumps(records(frame), indent=1) + "\n"


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as plain values, None where one is missing or not finite."""
    return [
        {name: plain(value) for name, value in zip(frame.columns, row, strict=True)}
        for row in frame.itertuples(index=False)
    ]


def plain(value: Any) -> Any:
    """A cell as a plain Python value, None if missing or not finite."""
    if _missing(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _markdown(frame: pd.DataFrame) -> str:
    rows = [
        [("" if cell is None else show_value(cell)).replace("|", "\\|") for cell in row.values()]
        for row in records(frame)
    ]
    lines = [list(frame.columns), ["---"] * len(frame.columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Booleans as true and false, which every spreadsheet and pandas read back."""
    return frame.astype(object).map(lambda cell: str(cell).lower() if isinstance(cell, bool) else cell)
