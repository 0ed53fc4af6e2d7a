"""scikit-learn's cv_results_, saved as CSV or JSON: a row for each candidate, a column of scores for each split."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sweep.errors import UsageError
from sweep.foreign.texts import curve, number, plain, read_json, read_table, typed
from sweep.foreign.trials import ForeignStudy, ForeignTrial, State, Tool, Value
from sweep.wording import count

_SCORE = re.compile(r"split(\d+)_test_(.+)")
_MARKS = ("mean_fit_time", "params", "split0_test_")


def matches(path: Path) -> bool:
    """Whether a path is a table with the columns of cv_results_."""
    if path.suffix not in (".csv", ".json") or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.readline(65536) if path.suffix == ".csv" else file.read(1 << 20)
    return all(mark.encode() in head for mark in _MARKS)


def read(path: Path) -> ForeignStudy:
    """The candidates of a search. Each split is a seed: candidates are scored on the same splits."""
    table = _table(path)
    scores: dict[str, dict[int, str]] = {}
    for column in table:
        if match := _SCORE.fullmatch(column):
            scores.setdefault(match[2], {})[int(match[1])] = column
    if not scores or "params" not in table:
        raise UsageError(f"{path}: no cv_results_; expected columns params and split0_test_score")
    settings = [_setting(table, place) for place in range(len(table["params"]))]
    trials = list(_trials(table, settings, scores))
    names = [f"test_{name}" for name in scores]
    notes = [f"each split is a seed: {count(len(next(iter(scores.values()))), 'split')}, the same for all candidates"]
    if lost := sum(trial.state == "failed" for trial in trials):
        notes.append(f"{count(lost, 'split')} without a score: scikit-learn writes its error_score where a fit raised")
    return ForeignStudy("scikit-learn", trials, names[0] if len(names) == 1 else None, "maximize", None, notes)


def _table(path: Path) -> dict[str, list[Any]]:
    """The columns: of CSV, of JSON as a table of lists, or of tables by row as pandas writes it."""
    if path.suffix == ".csv":
        rows = read_table(path)
        if not rows:
            raise UsageError(f"{path}: no candidates; expected a row for each")
        cells = {name: [row[name] for row in rows] for name in rows[0]}
        return {name: typed(column) if name.startswith("param_") else column for name, column in cells.items()}
    given = read_json(path)
    if isinstance(given, list):
        return {name: [row.get(name) for row in given] for name in given[0]} if given else {}
    return {name: list(column.values()) if isinstance(column, Mapping) else column for name, column in given.items()}


def _setting(table: Mapping[str, Sequence[Any]], place: int) -> dict[str, Value]:
    """A candidate's parameters: those of `params`, which tells a None from what the candidate does not have; if its
    text cannot be read, what its columns hold."""
    given = table["params"][place]
    if isinstance(given, str):
        try:
            given = ast.literal_eval(given)
        except (ValueError, SyntaxError):
            given = None
    if isinstance(given, Mapping):
        return {str(name): "None" if value is None else plain(value) or value for name, value in given.items()}
    columns = {name.removeprefix("param_"): cells[place] for name, cells in table.items() if name.startswith("param_")}
    return {name: value for name, cell in columns.items() if (value := plain(cell)) is not None}


def _trials(
    table: Mapping[str, Sequence[Any]], settings: list[dict[str, Value]], scores: Mapping[str, Mapping[int, str]]
) -> Iterator[ForeignTrial]:
    """A trial for each candidate and split. Of a halving search a candidate's rounds are its curve, by resources."""
    halving = "iter" in table and "n_resources" in table
    rounds: dict[str, list[int]] = {}
    for place, setting in enumerate(settings):
        rounds.setdefault(repr(sorted(setting.items(), key=str)) + ("" if halving else f" {place}"), []).append(place)
    last = max((int(float(value)) for value in table["iter"]), default=0) if halving else 0
    splits = sorted(next(iter(scores.values())))
    before: dict[str, int] = {}
    for places in rounds.values():
        setting = settings[places[0]]
        key = repr(sorted(setting.items(), key=str))
        again = before.get(key, 0)
        before[key] = again + 1
        pruned = halving and int(float(table["iter"][places[-1]])) < last
        for split in splits:
            columns = {f"test_{name}": by_split[split] for name, by_split in scores.items() if split in by_split}
            whole = {**setting, "split" if "seed" in setting else "seed": split + again * len(splits)}
            yield _trial(f"{places[0]}/{split}", whole, table, places, columns, halving, pruned)


def _trial(
    name: str,
    setting: dict[str, Value],
    table: Mapping[str, Sequence[Any]],
    places: list[int],
    columns: Mapping[str, str],
    halving: bool,
    pruned: bool,
) -> ForeignTrial:
    values = {metric: _score(table[column][places[-1]]) for metric, column in columns.items()}
    state: State = "pruned" if pruned else "complete"
    reason = None
    if all(math.isnan(value) for value in values.values()):
        state, reason, values = "failed", "no score: the fit or the scorer raised", {}
    if not halving or not values:
        return ForeignTrial(name, setting, state, {}, values, reason)
    curves = {
        metric: curve({int(float(table["n_resources"][place])): _score(table[column][place]) for place in places})
        for metric, column in columns.items()
    }
    return ForeignTrial(name, setting, state, curves, {}, reason)


def _score(cell: Any) -> float:
    value = number(cell)
    return math.nan if value is None else value


TOOL = Tool("sklearn", "scikit-learn", "cv_results_ as CSV or JSON", matches, read)
