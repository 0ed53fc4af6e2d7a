"""The leaderboard of settings: seeds averaged, who can be told from the best, what having picked costs. Needs rich."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.analysis.statistics import by_ratio
from sweep.hyperparameters import show_value
from sweep.recipe import VALIDATED
from sweep.report.columns import Columns
from sweep.report.files import plain, records
from sweep.report.tables import NUMBER_SCORES, board_table, constants_line, unselected_text, waiting_lines
from sweep.report.text import covers, missing, show_gap, show_metric
from sweep.space import seeds_text
from sweep.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis import Board, Fresh, SettingsBoard

_OPTIONAL = ("diverged", "failed", "pruned")
_SPARE = {"train_loss": 4, "best seed": 3, "val_loss": 2, "val_accuracy": 1, "val_mae": 1, "val_r2": 1, "sd": 1}
"""What is left out where it is narrow, the largest first."""
_ORDINALS = ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def settings_report(
    board: SettingsBoard, trials: Board | None, top: int | None, fresh: Fresh | None = None
) -> RenderableType:
    """The board with what it means below it. Where no setting has a second trial, the trials are the settings: then
    their board, `trials`, is shown."""
    if trials is not None and len(trials.rows) == len(board.rows):
        return Group(board_table(trials, top), *_meaning(board, fresh))
    rows = board.rows if top is None else board.rows.head(top)
    parts: list[RenderableType] = [constants_line(board.table), Text()]
    parts += [_table(board, rows), Text()] if len(rows) else []  # titles alone would say nothing
    if len(board.rows) > len(rows):
        parts.insert(-1, Text(f"… and {len(board.rows) - len(rows):,} more (--top N, --all)", "dim"))
    return Group(*parts, *waiting_lines(board.table), _tell_selected(board), *_meaning(board, fresh))


def _table(board: SettingsBoard, rows: pd.DataFrame) -> RenderableType:
    """One row per setting."""
    counted = [name for name in _OPTIONAL if rows[name].any()]
    columns: dict[str, list[str]] = {"rank": [show_value(plain(value)) for value in rows["rank"]]}
    if board.tied > 1:
        columns["≈"] = marks(board)[: len(rows)]
    columns |= {"first trial": [str(value) for value in rows["number"]]}
    columns |= {name: [show_value(plain(value)) for value in rows[name]] for name in board.table.swept}
    columns |= show_measured(board, rows)
    columns |= {name: [str(value) if value else "" for value in rows[name]] for name in counted}
    if "left" in rows:
        columns["left the race"] = rows["left"].tolist()
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


def marks(board: SettingsBoard) -> list[str]:
    """What stands beside each rank: ≈ where it cannot be told from the first, ? where that is because it is too
    noisy."""
    pairs = zip(board.rows["tied"], board.noisy, strict=True)
    return ["?" if noisy else "≈" if tied else "" for tied, noisy in pairs]


def show_measured(board: SettingsBoard, rows: pd.DataFrame) -> dict[str, list[str]]:
    """The cells of what was measured, by title: the mean and how sure it is. Where settings were run again, of the
    fresh seeds, with the score that selected beside it; of the others that score is all there is."""
    metric = board.table.metric
    again = [True] * len(rows) if board.roles is None else rows["again"].tolist()

    def cells(name: str, of: str = metric) -> list[str]:
        shown = zip(rows[name], again, strict=True)
        return [show_metric(of, value) if mine else "–" for value, mine in shown]

    ends = zip(rows["low"], rows["high"], again, strict=True)
    intervals = [show_interval(metric, low, high) if mine else "–" for low, high, mine in ends]
    seeds = [str(n) if mine else "–" for n, mine in zip(rows["n"], again, strict=True)]
    also = [name for name in (*VALIDATED, "train_loss") if name in rows]
    more = {"best seed": cells("best")} | {name: cells(name, name) for name in also}
    if board.roles is None:
        return {f"mean {metric} ▾": cells("mean"), "95% interval": intervals, "seeds": seeds} | more
    fresh = {
        f"fresh {metric} ▾": cells("mean"),
        "95% interval": intervals,
        "sd": _deviations(metric, rows["sd"].where(rows["again"])),
    }
    selected = {"when selected": [show_metric(metric, value) for value in rows["selected"]]}
    return fresh | {"fresh seeds": seeds} | selected | more


def _deviations(metric: str, values: pd.Series) -> list[str]:
    return ["–" if missing(value) else show_gap(metric, value).removesuffix(" points") for value in values]


def show_interval(metric: str, low: Any, high: Any) -> str:
    """An interval, from end to end; nothing where one seed gives none."""
    if missing(low) or missing(high):
        return "–"
    between = " to " if low < 0 else "–"
    return f"{show_metric(metric, low).removesuffix('%')}{between}{show_metric(metric, high)}"


def show_ranks(ranks: Sequence[int], runs: int = 4) -> str:
    """Ranks in words, runs of them as such: rank 2, ranks 2–4 and 7, ranks 2, 4, 6 and others."""
    ranges = []
    for _, group in itertools.groupby(enumerate(ranks), lambda pair: pair[1] - pair[0]):
        run = [rank for _, rank in group]
        if len(run) == 2:
            ranges += [f"{run[0]:,}", f"{run[1]:,}"]
        else:
            ranges.append(f"{run[0]:,}" if len(run) == 1 else f"{run[0]:,}–{run[-1]:,}")
    if len(ranges) > runs:
        ranges = [*ranges[: runs - 1], "others"]
    listed = " and ".join([", ".join(ranges[:-1]), ranges[-1]] if len(ranges) > 1 else ranges)
    return f"{'rank' if len(ranks) == 1 else 'ranks'} {listed}"


def _tell_selected(board: SettingsBoard) -> Text:
    """Which setting was selected, on what, and its test score: the only one that is shown."""
    best = board.selected
    if best is None:
        return unselected_text(board.table)
    values = ", ".join(
        f"{name} {show_value(plain(best[name]))}" for name in board.table.swept if not missing(best[name])
    )
    line = Text("Selected on ").append(board.table.metric, "bold").append(f": {values or 'the one setting'}")
    line.append(f"; {board.table.metric} {show_metric(board.table.metric, best['mean'])}")
    spread = show_interval(board.table.metric, best["low"], best["high"])
    kind = "seed" if board.roles is None else "fresh seed"
    line.append(f" ({spread}, {count(int(best['n']), kind)})" if spread != "–" else f" (one {kind})")
    if board.table.filtered:  # selecting again among some would show the test score of any setting one likes
        return line.append(" (among those that meet the condition).")
    names = [name for name in NUMBER_SCORES if name in board.tests] if board.table.regression else sorted(board.tests)
    scores = [_score(name, board.tests[name], board.table.regression) for name in names]  # accuracy before loss
    return line.append(f", on test data {', '.join(scores)}." if scores else ".")


def _score(name: str, score: tuple[float, float, float], regression: bool) -> str:
    """A test score with its interval: an accuracy by value alone, others by name."""
    mean, low, high = score
    spread = "" if missing(low) else f" ({show_interval(name, low, high)})"
    shown = show_metric(name, mean) + spread
    words = NUMBER_SCORES if regression else {"test_loss": "loss"}
    return shown if name == "test_accuracy" else f"{words.get(name, name)} {shown}"


def _meaning(board: SettingsBoard, fresh: Fresh | None) -> list[RenderableType]:
    """What the ranks are worth, a line each."""
    return [Text(line) for line in meaning(board, fresh)]


def meaning(board: SettingsBoard, fresh: Fresh | None) -> list[str]:
    """What the ranks are worth, as plain sentences."""
    lines = [*_race(board), _again(board), _ties(board), _lost(board), _expected_text(board), _luck(board, fresh)]
    if board.seeds > 1:
        lines.append(covers(board.table.data_splits))
    return [text for text in lines if text]


def _race(board: SettingsBoard) -> list[str]:
    """How a race went, and what it is worth."""
    race = board.table.race
    if race is None:
        return []
    other = f"It was decided by {race.metric}: by {board.table.metric}, settings have unequal seeds."
    return [race.state, race.worth if board.table.raced else other] if race.course.looks else [race.state]


def _again(board: SettingsBoard) -> str:
    """That some settings were run again, and what was done with it."""
    roles = board.roles
    if roles is None:
        return ""
    there, fresh = int(board.rows["again"].sum()), seeds_text(roles.fresh)
    of = f"{there:,} of {len(board.rows):,}"
    were, these = ("was", "it is") if there == 1 else ("were", "these are")
    return (
        f"All settings share {seeds_text(roles.selecting)}, which selected; {of} {were} "
        f"run again on {fresh}: {these} ranked first, on the fresh seeds alone, since "
        "the score that selected is in part luck. The others have that score only."
    )


def _ties(board: SettingsBoard) -> str:
    rows = board.compared
    if board.selected is None or len(rows) < 2 or board.table.raced:
        return ""
    most, kind = int(rows["n"].max()), "seed" if board.roles is None else "fresh seed"
    if most < 2 and board.table.exact:
        return "No seed changes a path from a given start without noise: the ranks are exact."
    if most < 2:
        add = "" if board.table.imported or board.table.adaptive else " Add --seeds 5."
        return f"One {kind} per setting: no difference can be judged; it may be luck.{add}"
    fewer = int(rows["n"].between(1, most - 1).sum())
    few = f" {count(fewer, 'setting')} {'has' if fewer == 1 else 'have'} fewer than {most} seeds." if fewer else ""
    if not board.tied:
        return f"Nothing to compare the first with: it lost a trial and no other lost as many.{few}"
    log = by_ratio(board.table.complete[board.table.metric], board.table.metric)
    scale = f" of log {board.table.metric}" if log else ""
    how = f"t tests{scale} paired by seed, 5% over {count(len(rows) - 1, 'comparison')}"
    if board.tied == 1:
        return (
            f"The first is better than {'every other setting' if len(rows) > 2 else 'the other setting'} ({how}).{few}"
        )
    noisy = board.noisy
    parts = []
    if near := board.rows.loc[board.rows["tied"] & ~noisy, "rank"].tolist()[1:]:
        parts.append(f"≈ {show_ranks(near)} cannot be told from the best")
    if far := board.rows.loc[noisy, "rank"].tolist():
        is_ = "is" if len(far) == 1 else "are"
        parts.append(f"{show_ranks(far) if parts else show_ranks(far).capitalize()} {is_} too noisy to tell (?)")
    return f"{'; '.join(parts)} ({how}).{few}"


def _lost(board: SettingsBoard) -> str:
    """That divergence counts, where a setting diverged for a seed and not for all."""
    rows = board.compared
    lost = int((rows["diverged"] > 0).sum())
    if not lost or lost == len(rows):
        return ""
    return (
        f"{count(lost, 'setting')} diverged for some seeds: "
        f"{'it ranks' if lost == 1 else 'they rank'} after all that never did."
    )


def _expected_text(board: SettingsBoard) -> str:
    if len(board.expected) < 2:
        return ""
    averages = " · ".join(f"k={k:,} {show_metric(board.table.metric, value)}" for k, value in board.expected)
    return f"Had you tried only k of these settings, picked blindly, the best would average: {averages}"


def _luck(board: SettingsBoard, fresh: Fresh | None) -> str:
    """What picking the best flatters it by, from every side that there is."""
    best, metric = board.selected, board.table.metric
    if best is None or (board.rows["n"] > 0).sum() < 2:
        return ""
    parts = []
    if board.left_out is not None:
        seeds, (claimed, held) = int(best["n"]), board.left_out
        kind = "seeds" if board.roles is None else "fresh seeds"
        some = f"one of the 2 {kind}" if seeds == 2 else f"{seeds - 1} of the {seeds} {kind}"
        those = "it" if seeds == 2 else "those"
        left = "the other" if seeds == 2 else f"the {_ORDINALS[seeds - 3]}" if seeds <= 10 else "the one left out"
        parts.append(
            f"the setting that is best on {some} scores {show_metric(metric, claimed)} on {those} and "
            f"{show_metric(metric, held)} on {left} ({_worse(board, claimed, held)})"
        )
    first = [f"{show_metric(metric, best['mean'])} here"]
    if board.roles is not None and not missing(best["selected"]):
        then = f"{show_metric(metric, best['selected'])} when selected"
        first = [
            f"{then}, {show_metric(metric, best['mean'])} on fresh "
            f"seeds ({_worse(board, best['selected'], best['mean'])})"
        ]
    if fresh is not None:
        mean, low, high, seeds = fresh
        spread = "" if missing(low) else f", {show_interval(metric, low, high)}"
        gap = _worse(board, best["mean"], mean)
        first.append(f"{show_metric(metric, mean)} on {count(seeds, 'fresh seed')} ({gap}{spread})")
    twin = metric.replace("val_", "test_", 1)
    if twin in board.tests and not board.table.filtered:
        mean = board.tests[twin][0]
        first.append(f"{show_metric(metric, mean)} on test data ({_worse(board, best['mean'], mean)})")
    if len(first) > 1 or board.roles is not None:
        parts.append(f"the first has {', '.join(first)}")
    return f"How much was luck: {'; '.join(parts)}." if parts else ""


def _worse(board: SettingsBoard, before: float, after: float) -> str:
    """How much worse a score is than the one before, in words; what is printed alike does not differ."""
    metric = board.table.metric
    if show_metric(metric, before) == show_metric(metric, after):
        return "no difference"
    return f"{show_gap(metric, after - before)} {'worse' if board.table.sign * (after - before) > 0 else 'better'}"


def settings_json(
    board: SettingsBoard, table: pd.DataFrame, study: str, top: int | None, fresh: Fresh | None
) -> dict[str, Any]:
    """The board, and its exported `table`, as plain values; test
    scores of the selected setting alone, and not among some."""
    rows = records(table if top is None else table.head(top))
    chosen = None if board.selected is None else records(table.head(1))[0]
    if chosen is not None:
        tests = {} if board.table.filtered else board.tests
        chosen["test"] = {name: _name_values(of, "mean", "low", "high") for name, of in tests.items()}
    return {
        "study": study,
        "metric": board.table.metric,
        "direction": board.table.direction,
        "constant": {name: plain(value) for name, value in board.table.constant.items()},
        "seeds": board.seeds,
        "covers": covers(board.table.data_splits) if board.seeds > 1 else None,
        "tied": board.tied,
        "selected": chosen,
        "expected_best": [{"settings": k, "value": plain(value)} for k, value in board.expected],
        "optimism": {
            "left_out": _name_values(board.left_out, "picked", "left_out"),
            "fresh": _name_values(fresh, "mean", "low", "high", "seeds"),
        },
        "settings": rows,
    } | (
        {}
        if board.roles is None
        else {"selecting_seeds": list(board.roles.selecting), "fresh_seeds": list(board.roles.fresh)}
    )


def _name_values(values: Sequence[Any] | None, *names: str) -> dict[str, Any] | None:
    return None if values is None else dict(zip(names, map(plain, values), strict=True))
