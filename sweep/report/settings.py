"""The leaderboard of settings: seeds averaged, who can be told from the best, what having picked costs. Needs rich."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.hyperparameters import show_value
from sweep.report.columns import Columns
from sweep.report.files import plain, records
from sweep.report.tables import board_table, constants_line, unselected, waiting_lines
from sweep.report.text import count, missing, show_metric

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis import Board, Fresh, SettingsBoard

_OPTIONAL = ("diverged", "failed", "pruned")
_SPARE = {"train_loss": 4, "best": 3, "val_loss": 2, "val_accuracy": 1}
"""What is left out where it is narrow, the largest first."""


def settings_report(
    board: SettingsBoard, trials: Board | None, top: int | None, fresh: Fresh | None = None
) -> RenderableType:
    """The board with what it means below it. Where no setting has a second trial, the trials are the settings: then
    their board, `trials`, is shown."""
    if trials is not None and len(trials.rows) == len(board.rows):
        return Group(board_table(trials, top), *_meaning(board, fresh))
    rows = board.rows if top is None else board.rows.head(top)
    parts: list[RenderableType] = [constants_line(board.table), Text(), _table(board, rows)]
    if len(board.rows) > len(rows):
        parts.append(Text(f"… and {len(board.rows) - len(rows):,} more (--top N, --all)", "dim"))
    return Group(*parts, Text(), *waiting_lines(board.table), _selected(board), *_meaning(board, fresh))


def _table(board: SettingsBoard, rows: pd.DataFrame) -> RenderableType:
    """One row a setting."""
    metric = f"{board.table.metric} ▾"
    also = [name for name in ("val_loss", "val_accuracy", "train_loss") if name in rows]
    counted = [name for name in _OPTIONAL if rows[name].any()]
    columns: dict[str, list[str]] = {"rank": [show_value(plain(value)) for value in rows["rank"]]}
    if board.tied:
        columns["≈"] = ["≈" if tied else "" for tied in rows["tied"]]
    columns |= {"trial": [str(value) for value in rows["number"]]}
    columns |= {name: [show_value(plain(value)) for value in rows[name]] for name in board.table.swept}
    columns[metric] = [show_metric(board.table.metric, value) for value in rows["mean"]]
    ends = zip(rows["low"], rows["high"], strict=True)
    columns["95% interval"] = [show_interval(board.table.metric, low, high) for low, high in ends]
    columns["seeds"] = [str(value) for value in rows["n"]]
    columns["best"] = [show_metric(board.table.metric, value) for value in rows["best"]]
    columns |= {name: [show_metric(name, value) for value in rows[name]] for name in also}
    columns |= {name: [str(value) if value else "" for value in rows[name]] for name in counted}
    table = Columns()
    for name in columns:
        style = {"diverged": "red", "failed": "red", "pruned": "yellow"}.get(name)
        table.add_column(name, "right", style, spare=_SPARE.get(name, 0), folds=name in board.table.swept)
    few = (rows["n"] < board.seeds).tolist()
    for place, cells in enumerate(zip(*columns.values(), strict=True)):
        first = board.selected is not None and place == 0
        line = [
            Text(cell, "yellow" if name == "seeds" and few[place] else "")
            for name, cell in zip(columns, cells, strict=True)
        ]
        table.add_row(*line, style="bold" if first else "")
    return table


def show_interval(metric: str, low: Any, high: Any) -> str:
    """An interval, from end to end; nothing where one seed gives none."""
    if missing(low) or missing(high):
        return "–"
    between = " to " if low < 0 else "–"
    return f"{show_metric(metric, low).removesuffix('%')}{between}{show_metric(metric, high)}"


def show_ranks(ranks: Sequence[int], runs: int = 3) -> str:
    """Ranks as runs: 1–4, 7; at most some of them."""
    found = []
    for _, group in itertools.groupby(enumerate(ranks), lambda pair: pair[1] - pair[0]):
        run = [rank for _, rank in group]
        found.append(f"{run[0]:,}" if len(run) == 1 else f"{run[0]:,}–{run[-1]:,}")
    return ", ".join(found[:runs]) + (", …" if len(found) > runs else "")


def _selected(board: SettingsBoard) -> Text:
    """Which setting was selected, on what, and its test score: the only one that is shown."""
    best = board.selected
    if best is None:
        return unselected(board.table)
    values = ", ".join(
        f"{name} {show_value(plain(best[name]))}" for name in board.table.swept if not missing(best[name])
    )
    line = Text("Selected on ").append(board.table.metric, "bold").append(f": {values or 'the one setting'}")
    line.append(f"; {board.table.metric} {show_metric(board.table.metric, best['mean'])}")
    spread = show_interval(board.table.metric, best["low"], best["high"])
    line.append(f" ({spread}, {count(int(best['n']), 'seed')})" if spread != "–" else " (one seed)")
    if board.table.filtered:  # selecting again among some would show the test score of any setting one likes
        return line.append(" (among those that meet the condition).")
    told = [_score(name, board.tests[name]) for name in sorted(board.tests)]  # accuracy before loss
    return line.append(f", on test data {', '.join(told)}." if told else ".")


def _score(name: str, score: tuple[float, float, float]) -> str:
    """A test score with its interval: an accuracy by value alone, others by name."""
    mean, low, high = score
    spread = "" if missing(low) else f" ({show_interval(name, low, high)})"
    shown = show_metric(name, mean) + spread
    return shown if name == "test_accuracy" else f"{'loss' if name == 'test_loss' else name} {shown}"


def _meaning(board: SettingsBoard, fresh: Fresh | None) -> list[RenderableType]:
    """What the ranks are worth, a line each."""
    lines = [_ties(board), _expected(board), _optimism(board, fresh)]
    return [Text(line) for line in lines if line]


def meaning(board: SettingsBoard, fresh: Fresh | None) -> list[str]:
    """What the ranks are worth, as plain sentences."""
    return [text for text in (_ties(board), _expected(board), _optimism(board, fresh)) if text]


def _ties(board: SettingsBoard) -> str:
    compared = int((board.rows["n"] > 0).sum())
    if board.selected is None or compared < 2:
        return ""
    if board.seeds < 2:
        return "One seed a setting: none can be told from another, a difference may be the seed's luck."
    fewer = int((board.rows["n"].between(1, board.seeds - 1)).sum())
    few = (
        f" {count(fewer, 'setting')} {'has' if fewer == 1 else 'have'} fewer than {board.seeds} seeds." if fewer else ""
    )
    if not board.tied:
        return f"Nothing to compare the first with: it lost a trial and no other lost as many.{few}"
    how = f"t tests paired by seed, 5% over {count(compared - 1, 'comparison')}"
    if board.tied == 1:
        return f"The first is told from every other setting ({how}).{few}"
    ranks = show_ranks([int(rank) for rank in board.rows.loc[board.rows["tied"], "rank"]])
    return f"≈ {ranks} indistinguishable: {board.tied:,} settings cannot be told from the best ({how}).{few}"


def _expected(board: SettingsBoard) -> str:
    told = " · ".join(f"{k:,}: {show_metric(board.table.metric, value)}" for k, value in board.expected)
    return f"Expected best of k settings drawn at random: {told}" if len(board.expected) > 1 else ""


def _optimism(board: SettingsBoard, fresh: Fresh | None) -> str:
    if board.selected is None:
        return ""
    name, sign = board.table.metric, 1.0 if board.table.direction == "minimize" else -1.0

    def worse(gap: float) -> str:
        shown = show_metric(name, abs(gap))
        return "no worse" if shown == show_metric(name, 0.0) else f"{shown} {'worse' if sign * gap > 0 else 'better'}"

    told = []
    if board.left_out is not None:
        claimed, held = board.left_out
        told.append(
            f"with a seed left out {show_metric(name, claimed)}, on that seed {show_metric(name, held)} ({worse(held - claimed)})"
        )
    if fresh is not None:
        mean, low, high, seeds = fresh
        spread = "" if missing(low) else f", {show_interval(name, low, high)}"
        told.append(
            f"on {count(seeds, 'fresh seed')} {show_metric(name, mean)} ({worse(mean - board.selected['mean'])}{spread})"
        )
    twin = name.replace("val_", "test_", 1)
    if twin in board.tests and not board.table.filtered:
        mean = board.tests[twin][0]
        told.append(f"on test data {show_metric(name, mean)} ({worse(mean - board.selected['mean'])})")
    compared = int((board.rows["n"] > 0).sum())
    return f"Optimism of having picked the best: {'; '.join(told)}." if told and compared > 1 else ""


def settings_json(
    board: SettingsBoard, table: pd.DataFrame, study: str, top: int | None, fresh: Fresh | None
) -> dict[str, Any]:
    """The board, and its exported `table`, as plain values; test scores of the selected setting alone, and not among
    some."""
    rows = records(table if top is None else table.head(top))
    chosen = None if board.selected is None else records(table.head(1))[0]
    if chosen is not None:
        tests = {} if board.table.filtered else board.tests
        chosen["test"] = {name: _named(of, "mean", "low", "high") for name, of in tests.items()}
    return {
        "study": study,
        "metric": board.table.metric,
        "direction": board.table.direction,
        "constant": {name: plain(value) for name, value in board.table.constant.items()},
        "seeds": board.seeds,
        "tied": board.tied,
        "selected": chosen,
        "expected_best": [{"settings": k, "value": plain(value)} for k, value in board.expected],
        "optimism": {
            "left_out": _named(board.left_out, "picked", "left_out"),
            "fresh": _named(fresh, "mean", "low", "high", "seeds"),
        },
        "settings": rows,
    }


def _named(values: Sequence[Any] | None, *names: str) -> dict[str, Any] | None:
    return None if values is None else dict(zip(names, map(plain, values), strict=True))
