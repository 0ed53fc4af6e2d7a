"""What people and scripts see of the numbers: tables, curves, CSV and its kin, progress. Needs rich; pandas for files."""

from __future__ import annotations

import io
import json
import math
import os
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sweep.errors import SweepError, UsageError, unknown
from sweep.hyperparameters import TABLE

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis import Board
    from sweep.engine import Outcome
    from sweep.ledger import Study
    from sweep.plan import Plan, Unit
    from sweep.study import Summary

BLOCKS = "▁▂▃▄▅▆▇█"
STATE_STYLE = {"complete": "green", "diverged": "red", "failed": "bold red", "pruned": "yellow", "running": "cyan", "waiting": "dim"}
_NUMERIC = "right"


def show_value(value: Any) -> str:
    """A hyperparameter's value as a person writes it: on/off, 0.001, 1e-05, – where it is inactive."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def show_metric(name: str, value: Any) -> str:
    """A metric: accuracies in percent, losses with four digits."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{100 * value:.2f}%" if name.endswith("accuracy") else f"{value:.4g}" if abs(value) >= 1000 else f"{value:.4f}"


def show_seconds(seconds: float) -> str:
    """A length of time: 0.31 s, 12 s, 3:05, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.0f} s"
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


def board_table(board: Board, top: int | None) -> RenderableType:
    """The leaderboard: what is constant above, one row a trial, what was selected below."""
    rows = board.rows if top is None else board.rows.head(top)
    seeds = board.rows["seed"].nunique() > 1
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0), caption_justify="left")
    metrics = [board.metric] if board.metric.startswith("best") else []
    metrics += ["val_loss", "val_accuracy", "train_loss"]
    for name in ["rank", "trial", *(["seed"] if seeds else []), *board.swept, *metrics, "epochs", "seconds"]:
        table.add_column(f"{name} ▾" if name == board.metric else name, justify=_NUMERIC, no_wrap=True)
    table.add_column("state", no_wrap=True)
    for _, row in rows.iterrows():
        rank = "–" if _missing(row["rank"]) else str(row["rank"])
        cells = [rank, str(row["trial"]), *([str(row["seed"])] if seeds else []), *(show_value(row[name]) for name in board.swept)]
        cells += [show_metric(name, row[name]) for name in metrics]
        cells += [str(row["epochs"]), "–" if _missing(row["seconds"]) else f"{row['seconds']:.2f}"]
        state = Text(row["state"], STATE_STYLE[row["state"]])
        if isinstance(row["reason"], str):
            state.append(f": {row['reason']}", "dim")
        best = board.selected is not None and row["trial"] == board.selected["trial"]
        table.add_row(*cells, state, style="bold" if best else "")
    parts: list[RenderableType] = [Text(_constants(board.constant), "dim"), Text(), table]
    hidden = len(board.rows) - len(rows)
    if hidden:
        parts.append(Text(f"… and {hidden} more (--all)", "dim"))
    parts += [Text(), selected_line(board)]
    return Group(*parts)


def selected_line(board: Board) -> Text:
    """Which trial was selected, on what, and its test score: the only one that is shown."""
    best = board.selected
    if best is None:
        return Text("No trial is complete yet, so none is selected.", "yellow")
    values = ", ".join(f"{name} {show_value(best[name])}" for name in board.swept)
    line = Text("Selected on ").append(board.metric, "bold").append(f": trial {best['trial']}")
    line.append(f" ({values})" if values else "")
    line.append(f"; {board.metric} {show_metric(board.metric, best[board.metric])}")
    line.append(f", on test data {show_metric('test_accuracy', best['test_accuracy'])} (loss {show_metric('test_loss', best['test_loss'])}).")
    return line


def _constants(constant: dict[str, Any]) -> str:
    """The constant hyperparameters that are not at their default, then how many are."""
    told = {name: value for name, value in constant.items() if not _is_default(name, value, constant)}
    shown = ", ".join(f"{name} {show_value(value)}" for name, value in told.items())
    rest = len(constant) - len(told)
    return "; ".join(part for part in (shown, f"{rest} more at their defaults" if rest else "") if part)


def _is_default(name: str, value: Any, constant: dict[str, Any]) -> bool:
    row = TABLE["epochs" if name == "max_epochs" else name]
    return bool(value == row.default_for(constant))


def studies_table(rows: list[dict[str, Any]]) -> RenderableType:
    """One line a study."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("study", "data", "trials", "done", "diverged", "failed", "left"):
        table.add_column(name, justify="left" if name in ("study", "data") else _NUMERIC)
    table.add_column("best", justify=_NUMERIC)
    table.add_column("seconds", justify=_NUMERIC)
    table.add_column("created")
    for row in rows:
        best = f"{row['metric']} {show_metric(row['metric'], row['best'])}"
        cells = [row["name"], row["data"], *(str(row[name]) for name in ("trials", "complete", "diverged", "failed", "left"))]
        table.add_row(*cells, best, f"{row['seconds']:.1f}", row["created"].replace("T", " ").replace("+00:00", " UTC"))
    return table


def plan_table(plan: Plan, name: str) -> RenderableType:
    """What would run: counts, then a line a cohort."""
    data = plan.data
    shape = " x ".join(map(str, data.shape))
    lines = [
        Text.assemble((name, "bold"), f": {_count(plan.trials, 'trial')} = {_count(plan.settings, 'setting')} x {_count(plan.seeds, 'seed')}"),
        Text(f"data {data.name}: rows of {shape}, {data.classes} classes; {data.train:,} to train, {data.val:,} to validate, {data.test:,} to test"),
    ]
    if plan.folded:
        names = ", ".join(plan.folded)
        lines.append(Text(f"folded: {plan.combinations - plan.settings:,} of {plan.combinations:,} combinations differ from another only where {names} is inactive"))
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    varying = [key for key in TABLE if len({show_value(cohort.program.get(key)) for cohort in plan.cohorts}) > 1]
    for column in ("cohort", *varying, "settings", "trials", "parameters", "lanes"):
        table.add_column(column, justify=_NUMERIC)
    for number, cohort in enumerate(plan.cohorts[:40]):
        cells = [str(number), *(show_value(cohort.program.get(key)) for key in varying)]
        table.add_row(*cells, *(f"{value:,}" for value in (cohort.settings, cohort.trials, cohort.parameters, cohort.lanes)))
    more = [Text(f"… and {len(plan.cohorts) - 40} more cohorts", "dim")] if len(plan.cohorts) > 40 else []
    return Group(*lines, Text(f"{_count(len(plan.cohorts), 'cohort')}, each trained as lanes of one program:"), Text(), table, *more)


def trial_report(row: dict[str, Any], setting: dict[str, Any], epochs: pd.DataFrame, test: bool, width: int) -> RenderableType:
    """One trial: its setting, state, numbers and learning curve."""
    parts: list[RenderableType] = [Text.assemble(("trial ", "bold"), (str(row["trial"]), "bold"), f", seed {row['seed']}: ", (row["state"], STATE_STYLE[row["state"]]))]
    if row["reason"]:
        parts[0] = Text.assemble(parts[0], f" ({row['reason']})")  # type: ignore[arg-type]
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name, value in setting.items():
        default = _is_default(name, value, setting)
        grid.add_row(Text(name, "dim" if default else "bold"), Text(show_value(value), "dim" if default else "bold"))
    parts += [Text(), grid, Text()]
    if len(epochs):
        parts += [curves({name: epochs[name].tolist() for name in ("train_loss", "val_loss")}, min(width, 72)), Text()]
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        names = ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "grad_norm", "seconds"]
        for name in names:
            table.add_column(name, justify=_NUMERIC)
        for place in sorted({round(i * (len(epochs) - 1) / 11) for i in range(12)}):
            values = epochs.iloc[place]
            table.add_row(str(int(values["epoch"])), *(show_metric(name, values[name]) for name in names[1:]))
        parts.append(table)
    if test:
        parts.append(Text(f"on test data: accuracy {show_metric('test_accuracy', row['test_accuracy'])}, loss {show_metric('test_loss', row['test_loss'])}"))
    if row.get("traceback"):
        parts += [Text(), Text(str(row["traceback"]), "dim")]
    return Group(*parts)


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
                cells[y // 4, x // 2] = bits | (0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80)[(y % 4) * 2 + x % 2], style
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


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _missing(value: Any) -> bool:
    return value is None or value != value or str(value) == "<NA>"


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
    return [{name: plain(value) for name, value in zip(frame.columns, row, strict=True)} for row in frame.itertuples(index=False)]


def plain(value: Any) -> Any:
    """A cell as a plain Python value, None if missing or not finite."""
    if _missing(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _markdown(frame: pd.DataFrame) -> str:
    rows = [[("" if cell is None else show_value(cell)).replace("|", "\\|") for cell in row.values()] for row in records(frame)]
    lines = [list(frame.columns), ["---"] * len(frame.columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Booleans as true and false, which every spreadsheet and pandas read back."""
    return frame.astype(object).map(lambda cell: str(cell).lower() if isinstance(cell, bool) else cell)


# Progress


class _Progress:
    """What both watchers keep: counts, speed, the best trial so far."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def started(self, study: Study, counts: dict[str, int]) -> None:
        self.study, self.total = study, study.trials
        self.done = sum(counts[state] for state in ("complete", "pruned", "diverged", "failed"))
        self.before, self.begin = self.done, time.monotonic()
        self.best: tuple[float, int] | None = None
        self.sign = 1.0 if study.recipe.direction == "minimize" else -1.0
        if self.done:
            self.console.print(f"{study.name}: {self.done} of {self.total} trials done already, {self.total - self.done} left", highlight=False)

    def epoch(self, worker: int, unit: Unit, outcomes: tuple[Outcome, ...]) -> None:
        metric = self.study.recipe.metric
        for outcome in outcomes:
            if outcome.state:
                self.done += 1
                value = float(getattr(outcome, metric))
                if outcome.state == "complete" and (self.best is None or self.sign * value < self.sign * self.best[0]):
                    self.best = value, outcome.number

    def training(self, worker: int, unit: Unit) -> None: ...

    def idle(self, worker: int) -> None: ...

    def failed(self, unit: Unit, reason: str, again: bool) -> None:
        if not again:
            self.done += len(unit.trials)
        numbers = ", ".join(str(trial.number) for trial in unit.trials[:5]) + (", …" if len(unit.trials) > 5 else "")
        self.say(f"trial {numbers}: {reason}; {'trying again' if again else 'failed'}")

    def stopping(self) -> None:
        self.say("stopping at the end of the epoch; press Ctrl-C again to stop now")

    def tick(self) -> None: ...

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False)

    def ended(self, summary: Summary) -> None:
        trained = self.done - self.before
        rate = f", {60 * trained / summary.seconds:,.0f} trials/min" if trained and summary.seconds else ""
        counts = {state: summary.counts[state] for state in ("complete", "pruned", "diverged", "failed") if summary.counts[state]}
        told = ", ".join(f"{number} {state}" for state, number in counts.items()) or "none finished"
        self.say(f"{self.study.name}: {told} of {self.total} trials; trained {trained} in {show_seconds(summary.seconds)}{rate}")
        if summary.interrupted:
            self.say(f"interrupted; everything finished is recorded. Go on with: sweep resume {self.study.name}")

    def speed(self) -> tuple[float, float | None]:
        """Trials a minute, and seconds left (None while unknown)."""
        elapsed = time.monotonic() - self.begin
        trained = self.done - self.before
        rate = trained / elapsed if elapsed else 0.0
        return 60 * rate, (self.total - self.done) / rate if rate else None

    def best_text(self) -> str:
        if self.best is None:
            return ""
        metric = self.study.recipe.metric
        return f"best {metric} {show_metric(metric, self.best[0])} (trial {self.best[1]})"


class PlainWatcher(_Progress):
    """Progress without a terminal: a line now and then."""

    every = 5.0

    def started(self, study: Study, counts: dict[str, int]) -> None:
        super().started(study, counts)
        self.last = time.monotonic()

    def tick(self) -> None:
        if time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            rate, left = self.speed()
            parts = [f"{self.done}/{self.total} trials", f"{rate:,.0f}/min" if rate else "", f"{show_seconds(left)} left" if left else "", self.best_text()]
            self.say(", ".join(part for part in parts if part))


class LiveWatcher(_Progress):
    """Progress on a terminal: a bar, the cohorts in training with their curves, the best so far."""

    def started(self, study: Study, counts: dict[str, int]) -> None:
        super().started(study, counts)
        self.units: dict[int, tuple[Unit, int, deque[float]]] = {}
        self.live = Live(console=self.console, refresh_per_second=8, transient=True, get_renderable=self._render)
        self.live.start()

    def training(self, worker: int, unit: Unit) -> None:
        self.units[worker] = unit, 0, deque(maxlen=200)

    def epoch(self, worker: int, unit: Unit, outcomes: tuple[Outcome, ...]) -> None:
        super().epoch(worker, unit, outcomes)
        losses = self.units[worker][2]
        finite = [outcome.val_loss for outcome in outcomes if math.isfinite(outcome.val_loss)]
        if finite:
            losses.append(statistics.median(finite))
        self.units[worker] = unit, outcomes[0].epoch, losses

    def idle(self, worker: int) -> None:
        self.units.pop(worker, None)

    def ended(self, summary: Summary) -> None:
        self.live.stop()
        super().ended(summary)

    def _render(self) -> RenderableType:
        rate, left = self.speed()
        head = Table.grid(padding=(0, 2, 0, 0))
        status = [f"{self.done}/{self.total} trials", f"{rate:,.0f}/min" if rate else "starting", f"{show_seconds(left)} left" if left else "", self.best_text()]
        head.add_row(Text(self.study.name, "bold"), ProgressBar(self.total, self.done, width=30), *(Text(part) for part in status if part))
        rows = Table.grid(padding=(0, 2, 0, 0))
        for _, (unit, epoch, losses) in sorted(self.units.items()):
            setting = unit.trials[0].setting
            name = f"{setting['model']} {setting['hidden']} x {setting['depth']}{' batch norm' if setting['batch_norm'] else ''}"
            lanes = _count(len(unit.trials), "lane")
            loss = f"val_loss {show_metric('val_loss', losses[-1])}" if losses else ""
            rows.add_row(Text(f"  {name}", "cyan"), lanes, f"epoch {epoch}/{setting['epochs']}", Text(sparkline(list(losses)), "yellow"), loss)
        return Group(head, rows)


def watcher(console: Console) -> PlainWatcher | LiveWatcher:
    """The watcher that fits the console."""
    return LiveWatcher(console) if console.is_terminal else PlainWatcher(console)
