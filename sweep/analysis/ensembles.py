"""Members of an ensemble, chosen on validation, and what averaging their probabilities, or numbers, gives on test.
Needs statistics and settings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweep.analysis.settings import SettingsBoard, rank_settings
from sweep.analysis.statistics import Floats, bootstrap_mean
from sweep.analysis.table import StudyTable
from sweep.errors import UsageError

Z = 1.959964
"""The normal distribution's quantile of a 95% interval."""

LEAST = float(np.finfo(np.float64).tiny)
"""A probability below this counts as this much in a logarithm."""


@dataclass(frozen=True)
class Score:
    """Accuracy in [0, 1] and negative log-likelihood in nats, means over test rows."""

    accuracy: float
    nll: float


@dataclass(frozen=True)
class Averaged:
    """An ensemble of the first `size` members beside the first alone."""

    size: int
    score: Score
    accuracy_gain: tuple[float, float, float]
    """Its accuracy less the best member's, with the ends of the 95% interval over test rows."""
    nll_gain: tuple[float, float, float]
    """The best member's nll less its own: above 0 it is better, too."""


@dataclass(frozen=True)
class NumberScore:
    """Of numbers: mean absolute error, mean squared error and R² over test rows, in the target's own units."""

    mae: float
    mse: float
    r2: float


@dataclass(frozen=True)
class NumbersAveraged:
    """An ensemble of the first `size` members beside the first alone, of numbers."""

    size: int
    score: NumberScore
    mae_gain: tuple[float, float, float]
    """The best member's mean absolute error less its own, with the ends of the 95% interval over test rows."""
    mse_gain: tuple[float, float, float]
    """The same of the mean squared error."""


@dataclass(frozen=True)
class Ensemble:
    """What averaging gives."""

    members: tuple[int, ...]
    """Trials, the best on validation first."""
    rows: int
    """Test rows."""
    best: Score | NumberScore
    """Of the first member alone."""
    mean: Score | NumberScore
    """The mean member's."""
    averaged: tuple[Averaged | NumbersAveraged, ...]
    """Of the first 2, 3, … members."""


def best_trials(table: StudyTable, seeds: bool = False) -> list[int]:
    """The numbers of a study's complete trials, each the best seed of its setting on validation, settings in the order
    of `sweep show`; or with `seeds` every seed of the best setting, best first. Raises UsageError where there is none.
    """
    board = rank_settings(table)
    complete = table.complete.assign(_value=table.sign * table.complete[table.metric])
    ordered = complete.sort_values(["_value", "number"])
    if board.selected is None or not len(ordered):
        raise UsageError(f"study {table.name!r}: no trial is complete")
    codes = _codes(table, board)
    if seeds:
        return [int(number) for number in ordered.loc[ordered["setting"] == codes[0], "number"]]
    best = ordered.drop_duplicates("setting").set_index("setting")["number"]
    return [int(best[code]) for code in codes if code in best.index]


def _codes(table: StudyTable, board: SettingsBoard) -> list[Any]:
    """The codes of the settings on a board, in its order."""
    trials = table.trials.set_index("number")["setting"]
    return [trials[number] for number in board.rows["number"]]


def average_members(members: Sequence[int], probabilities: Floats, labels: NDArray[np.int64]) -> Ensemble:
    """What averaging gives: probabilities [K, N, classes] of the members, the best first, and the rows' labels [N].

    The interval of a gain is over test rows, of the paired difference: of nll the bootstrap's, of accuracy see
    `paired_shares`. It covers other test rows of the same kind, for the same trained networks, and says nothing of
    other seeds or splits.
    """
    labels = labels.astype(np.int64)
    right, nll = _by_row(probabilities, labels)
    running = np.cumsum(probabilities, axis=0) / np.arange(1, len(members) + 1)[:, None, None]
    together_right, together_nll = _by_row(running, labels)
    averaged = []
    for place in range(1, len(members)):
        score = Score(float(together_right[place].mean()), float(together_nll[place].mean()))
        loss = nll[0] - together_nll[place]
        gain = float(loss.mean()), *bootstrap_mean(loss)
        averaged.append(Averaged(place + 1, score, paired_shares(together_right[place], right[0]), gain))
    best = Score(float(right[0].mean()), float(nll[0].mean()))
    mean = Score(float(right.mean()), float(nll.mean()))
    return Ensemble(tuple(members), len(labels), best, mean, tuple(averaged))


def average_numbers(members: Sequence[int], numbers: Floats, target: Floats) -> Ensemble:
    """The same of regression: numbers [K, N] of the members, the best first, and the rows' target [N]. Intervals are
    the bootstrap's, of the paired difference."""
    running = np.cumsum(numbers, axis=0) / np.arange(1, len(members) + 1)[:, None]
    variance = float(np.var(target))

    def score(answers: Floats) -> NumberScore:
        mae, mse = float(np.abs(answers - target).mean()), float(np.square(answers - target).mean())
        return NumberScore(mae, mse, 1 - mse / variance if variance else math.nan)

    def gain(answers: Floats, error: Callable[[Floats], Floats]) -> tuple[float, float, float]:
        less = error(numbers[0] - target) - error(answers - target)
        return float(less.mean()), *bootstrap_mean(less)

    averaged = tuple(
        NumbersAveraged(size, score(answers), gain(answers, np.abs), gain(answers, np.square))
        for size, answers in enumerate(running[1:], 2)
    )
    return Ensemble(tuple(members), len(target), score(numbers[0]), score(numbers), averaged)


def _by_row(probabilities: Floats, labels: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Whether each row [K, N] is answered right, 0 or 1, and its negative log-likelihood."""
    of_label = np.take_along_axis(probabilities, labels[None, :, None], axis=2)[:, :, 0]
    right = (probabilities.argmax(2) == labels).astype(float)
    return right, -np.log(np.maximum(of_label, LEAST))


def paired_shares(first: Floats, second: Floats) -> tuple[float, float, float]:
    """The difference of two shares of the same rows [N], each 0 or 1, with the ends of its 95% interval.

    Rows that differ are few, four of hundreds, say: the bootstrap would then call four against none a difference,
    which is nothing yet (sign test, p = .125). This is the Wald interval with one row more for either side (Bonett &
    Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data").

    >>> [round(end, 4) for end in paired_shares(np.array([1.0] * 6 + [0.0] * 94), np.zeros(100))]
    [0.06, 0.0057, 0.112]
    """
    n = len(first) + 2
    won, lost = (float((gap == 1).sum() + 1) / n for gap in (first - second, second - first))
    middle, half = won - lost, Z * math.sqrt((won + lost - (won - lost) ** 2) / n)
    return float((first - second).mean()), max(-1.0, middle - half), min(1.0, middle + half)
