"""Tables of many: the leaderboard, the studies, the plan. Needs rich."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from sweep.hyperparameters import TABLE, OwnSetting, decides_program, is_of_network, show_value
from sweep.networks import is_own
from sweep.plan import epochs_of, fold_text
from sweep.recipe import TRAINER_DATA, VALIDATED, of_unit
from sweep.report.columns import Columns
from sweep.report.text import (
    STATE_STYLE,
    explain_nothing_selected,
    missing,
    short,
    show_metric,
    show_seconds,
    tell_seconds,
)
from sweep.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from sweep.analysis import Board, StudyTable
    from sweep.data import DataInfo
    from sweep.plan import Plan
    from sweep.recipe import Recipe


NUMBER_SCORES = {"test_r2": "R²", "test_mae": "MAE", "test_loss": "MSE"}
"""What scores of regression on test data are called, in this order."""
_SPARE = {"train_loss": 4, "seconds": 3, "epochs": 2}
"""What is left out where it is narrow, the largest first."""


def board_table(board: Board, top: int | None) -> RenderableType:
    """The leaderboard: what is constant above, one row per trial, what was selected below."""
    rows = board.rows if top is None else board.rows.head(top)
    measured = (name for name in (*VALIDATED, "train_loss") if name in board.rows)
    metrics = [*measured, "epochs", "seconds", "state"]
    metrics = metrics if not board.table.imported else ["state"]
    metrics = metrics if board.table.imported or not board.table.free else ["epochs", "seconds", "state"]
    metrics = metrics if board.table.ends is None else [*board.table.ends, "seconds", "state"]
    columns = ["rank", "trial", *(["seed"] if board.rows["seed"].nunique() > 1 else []), *board.table.swept]
    columns += [name for name in ("front", "parameters") if name in board.rows]
    columns += [board.table.metric, *(name for name in metrics if name != board.table.metric)]
    cells = {name: [_board_cell(board.table, name, row) for _, row in rows.iterrows()] for name in columns}
    spare = dict(_SPARE) | ({"state": 1} if (rows["state"] == "complete").all() else {}) | {board.table.metric: 0}
    table = Columns()
    for name in columns:
        title = f"{name} ▾" if name == board.table.metric else name
        way = "left" if name == "state" else "right"
        table.add_column(title, way, spare=spare.get(name, 0), folds=name in board.table.swept, flows=name == "state")
    for place, (_, row) in enumerate(rows.iterrows()):
        styles = [STATE_STYLE[row["state"]] if name == "state" else "" for name in columns]
        best = board.selected is not None and row["trial"] == board.selected["trial"]
        table.add_row(
            *(Text(cells[name][place], style) for name, style in zip(columns, styles, strict=True)),
            style="bold" if best else "",
        )
    parts: list[RenderableType] = [constants_line(board.table), Text()]
    parts += [table, Text()] if len(rows) else []  # titles alone would say nothing
    hidden = len(board.rows) - len(rows)
    if hidden:
        parts.insert(-1, Text(f"… and {hidden:,} more (--top N, --all)", "dim"))
    parts += [*waiting_lines(board.table), selected_line(board)]
    return Group(*parts)


def _board_cell(table: StudyTable, name: str, row: pd.Series) -> str:
    value = row[name]
    if name == "state":
        return f"{value}: {row['reason']}" if isinstance(row["reason"], str) else str(value)
    if name == table.metric:
        return show_metric(table.metric, value)
    if name in table.swept:
        return "–" if missing(value) else show_value(value)
    if name.endswith(("loss", "accuracy", "val_mae", "val_r2")):
        return show_metric(name, value)
    if table.ends is not None and name in table.ends:
        return "–" if missing(value) else short(value, digits=6)
    if name == "front":
        return "●" if value else ""
    if name == "parameters":
        return "–" if missing(value) else f"{int(value):,}"
    if name == "seconds":
        return "–" if missing(value) else f"{value:.2f}"
    return "–" if missing(value) else show_value(value)


def selected_line(board: Board) -> Text:
    """Which trial was selected, on what, and its test score: the only one that is shown."""
    best = board.selected
    if best is None:
        return unselected_text(board.table)
    names = [*(["seed"] if board.rows["seed"].nunique() > 1 else []), *board.table.swept]
    values = ", ".join(f"{name} {show_value(best[name])}" for name in names if not missing(best[name]))
    line = Text("Selected on ").append(board.table.metric, "bold").append(f": trial {best['trial']}")
    line.append(f" ({values})" if values else "")
    line.append(f"; {board.table.metric} {show_metric(board.table.metric, best[board.table.metric])}")
    if board.table.filtered:  # selecting again among some would show the test score of any trial one likes
        return line.append(" (among those that meet the condition).")
    names = [name for name in best.index if str(name).startswith("test_")]
    scores = test_scores({board.table.named(name): best[name] for name in names}, board.table.metric)
    return line.append(f", on test data {scores}." if scores else ".")


def unselected_text(study: StudyTable) -> Text:
    """Why nothing is selected, and where all have ended, what says more."""
    line = Text(explain_nothing_selected(study), "yellow")
    ended = len(study.trials) and not study.trials["state"].isin(["waiting", "running"]).any()
    return line.append(f" What to try: sweep check {study.name}") if ended else line


def waiting_lines(study: StudyTable) -> list[Text]:
    """How many trials are not on the board, since they are not trained
    to their end; those that had come to an earlier one too."""
    waiting = study.trials[study.trials["state"].isin(["waiting", "running"])]
    if not len(waiting):
        return []
    begun = int((waiting["epochs"].fillna(0) > 0).sum())
    line = f"{len(waiting):,} of {count(len(study.trials), 'trial')} not trained to the end, so not ranked"
    line += f" ({begun:,} of them with numbers at fewer epochs)" if begun else ""
    running = study.left_running
    if study.owner and running:
        return [Text(f"{line}; {running}.", "yellow")]
    line += f"; {running}" if running else ""
    return [Text(f"{line}. Go on with: sweep resume {study.name}", "yellow")]


def test_scores(scores: dict[str, Any], metric: str) -> str:
    """Scores on test data: accuracy first and by value alone, others by name; of regression R², MAE and MSE."""
    if "test_mae" in scores and not missing(scores["test_mae"]):
        return ", ".join(f"{word} {show_metric(name, scores[name])}" for name, word in NUMBER_SCORES.items())
    if "test_accuracy" in scores and "test_loss" in scores:
        loss = show_metric("test_loss", scores["test_loss"])
        name = next(name for name in scores if name == "test_accuracy")
        return f"{show_metric(name, scores[name])} (loss {loss})"
    return ", ".join(f"{name} {show_metric(name, value)}" for name, value in scores.items() if name != metric)


def constants_line(study: StudyTable) -> Text:
    """The constant hyperparameters that are not at their default, then how many are; of an imported study all. Before
    them, which share of a grid this is."""
    changed = {
        name: value
        for name, value in study.constant.items()
        if study.free or not is_default(name, value, study.constant)
    }
    shown = ", ".join(f"{name} {show_value(value)}" for name, value in changed.items())
    rest = f"{len(study.constant) - len(changed)} other hyperparameters at their defaults"
    parts = [part for part in (shown, rest if study.constant and not study.free else "") if part]
    shard = f"{study.shard} (`sweep merge` makes one study of all); " if study.shard else ""
    return Text(shard + ("; ".join(parts) or "no hyperparameter is constant"), "dim")


def is_default(name: str, value: Any, constant: dict[str, Any]) -> bool:
    """Whether a hyperparameter has its default, given the others; one that is not sweep's own has none."""
    of_own = is_of_network(name, constant) or (name == "model" and is_own(constant["model"]))
    row = None if of_own else TABLE.get(name)
    return row is not None and not isinstance(constant, OwnSetting) and bool(value == row.default_for(constant))


def studies_table(rows: list[dict[str, Any]]) -> RenderableType:
    """One line per study."""
    table = Columns()
    states = [
        "complete",
        *(state for state in ("pruned", "diverged", "failed", "left") if any(row[state] for row in rows)),
    ]
    for name in ("study", "data", "trials", *states, "best", "time", "created"):
        way = "left" if name in ("study", "data", "best", "created") else "right"
        table.add_column(name, way, spare={"created": 2, "data": 1}.get(name, 0), folds=name in states)
    for row in rows:
        best = f"{row['metric']} {show_metric(of_unit(row['metric'], [row['best']]), row['best'])}"
        counts = (str(row[name]) for name in ("trials", *states))
        table.add_row(
            row["name"] + (f" (shard {row['shard']})" if row["shard"] else ""),
            row["data"],
            *counts,
            best,
            show_seconds(row["seconds"]),
            row["created"][:16].replace("T", " "),
        )
    return table


def _class_counts(data: DataInfo) -> str:
    """How many rows each class has, of many the fewest and the most."""
    pairs = list(zip(data.class_names, data.counts, strict=True))
    if len(pairs) <= 10:
        return "; ".join(f"{name}: {rows:,}" for name, rows in pairs)
    if len(set(data.counts)) == 1:
        return f"{data.counts[0]:,}"
    few, most = (pick(pairs, key=lambda pair: pair[1]) for pick in (min, max))
    return f"from {few[1]:,} ({few[0]}) to {most[1]:,} ({most[0]})"


_SHARED = "settings that differ in epochs alone train once, up to where each ends (below: –)"


def plan_table(plan: Plan, name: str) -> RenderableType:
    """What would run: counts, then one line per cohort."""
    data = plan.data
    shape = " x ".join(map(str, data.shape))
    answers = "a number to predict" if data.regression else count(data.classes, "class")
    rows = (
        f"data {data.name}: rows of {shape}, {answers}; {data.train:,} to train, "
        f"{data.val:,} to validate, {data.test:,} to test"
    )
    lines = [
        Text.assemble(
            (name, "bold"),
            f": {count(plan.trials, 'trial')} = {count(plan.settings, 'setting')} x {count(plan.seeds, 'seed')}",
            ", each on its own split" if plan.splits > 1 else "",
        ),
        Text(rows if data.classes else "no data: points go down a function"),
    ]
    if data.counts:
        lines.append(Text(f"rows of each class, in all: {_class_counts(data)}"))
    if data.name == TRAINER_DATA:
        return Group(lines[0], Text(_own_text(plan)))
    if plan.folded:
        lines.append(Text(fold_text(plan)))
    table = Columns()
    lines += [Text(way) for way in plan.ways]
    trained, asked = plan.epochs
    if trained < asked:
        lines.append(Text(f"{_SHARED}: {trained:,} epochs and not {asked:,}"))
    varying = [name for name in plan.swept if any(decides_program(name, cohort.program) for cohort in plan.cohorts)]
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
        cells += [f"{value:,}" for value in (cohort.settings, cohort.trials, cohort.parameters)]
        cells.append(f"{cohort.lanes:,}" if cohort.lanes else "–")
        if plan.seconds is not None:
            cells.append(show_seconds((cohort.seconds or 0.0) / plan.jobs) if cohort.lanes else "–")
        table.add_row(*cells)
    more = [Text(f"… and {plan.cohort_count - 40:,} more cohorts", "dim")] if plan.cohort_count > 40 else []
    return Group(
        *lines,
        Text(_groups(plan.cohort_count)),
        Text(),
        table,
        *more,
        Text(),
        _expected_text(plan),
    )


def _own_text(plan: Plan) -> str:
    """What can be said before of a user's own code."""
    return f"one trial at a time in each of {count(plan.jobs, 'worker')}; what one costs, running it will show"


def search_plan_text(plan: Plan, recipe: Recipe, name: str) -> RenderableType:
    """What a search would ask and train, in words: what it asks is not known before."""
    search = recipe.search
    assert search is not None
    most = max((epochs_of(cohort.program, plan.data) for cohort in plan.cohorts), default=0) * plan.trials
    size = search.in_flight * plan.seeds
    lines = [
        f": {count(plan.trials, 'trial')} = {count(plan.settings, 'setting')} x {count(plan.seeds, 'seed')}, asked of "
        f"{search.sampler} in {count(math.ceil(plan.trials / size), 'generation')} of {size:,}",
        f"at most {count(most, 'epoch')}"
        + ("" if search.pruner == "none" else f"; {search.pruner} prunes after {search.min_epochs} and more"),
        f"{count(plan.cohort_count, 'group')} of trials that train side by side (cohorts) at the "
        f"ends of the space: a generation has about {count(plan.cohorts[0].trials, 'trial')} of each",
    ]
    if recipe.trainer:
        lines[1:] = lines[1:2] if search.pruner != "none" else []
        return Group(Text.assemble((name, "bold"), lines[0]), *map(Text, lines[1:]), Text(_own_text(plan)))
    return Group(Text.assemble((name, "bold"), lines[0]), *map(Text, lines[1:]), Text(), _expected_text(plan))


def _groups(cohorts: int) -> str:
    """What a cohort and its lanes are, before the table that has a line for each."""
    called = "a cohort" if cohorts == 1 else "cohorts"
    return f"{count(cohorts, 'group')} of trials that train side by side ({called}), as many at a time as it has lanes:"


def _expected_text(plan: Plan) -> Text:
    """What a run would take, in words."""
    if plan.seconds is None or plan.memory is None:
        return Text("time and memory: not measured on this machine yet", "dim")
    return Text.assemble(
        "expected: ",
        (tell_seconds(plan.seconds, whole=True), "bold"),
        f" with {count(plan.jobs, 'worker')}, {plan.memory / 2**30:.1f} GiB of memory (measured on this machine)",
    )
