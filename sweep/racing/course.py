"""A race as far as its results go: who left, when and why, and what is trained next. Needs space, recipe, numpy.

All of it follows from the recorded results, from the first look on, whatever was known when they were trained. So an
interrupted race goes on as if nothing had been, and one that has grown, in settings or in seeds, decides as one that
had them from the start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sweep.hyperparameters import Setting
from sweep.racing.rule import Rule, equal, find_rule, looks, worse
from sweep.racing.scale import Floats, by_ratio, fair_scale
from sweep.recipe import Recipe
from sweep.space import Result, setting_key
from sweep.wording import count, join_words

SETTLED = ("complete", "diverged", "failed")
"""The states after which a trial is not waited for."""

ONE_LEFT, EQUAL, OUT_OF_SEEDS, ALL_OUT = "one is left", "practically equal", "out of seeds", "none is left"
"""How a race ends."""

WORSE, DIVERGED, FAILED = "worse", "diverged", "failed"
"""Why a setting leaves."""


@dataclass(frozen=True)
class Left:
    """How a setting left."""

    seeds: int
    """With how many seeds it was compared last."""
    why: str
    than: int | None = None
    """The place of the setting that was shown to be better."""


@dataclass(frozen=True)
class Look:
    """What came of a comparison."""

    seeds: int
    standing: int
    """Settings that are still in after it."""
    left: dict[str, int]
    """How many left, by why."""

    @property
    def text(self) -> str:
        gone = [f"{number:,} {_WHY[why]}" for why, number in self.left.items() if number]
        return f"after {count(self.seeds, 'seed')} {self.standing:,} still in" + (
            f" ({join_words(gone, 'and')})" if gone else ""
        )


_WHY = {WORSE: "shown to be worse", DIVERGED: "diverged", FAILED: "failed"}


@dataclass(frozen=True)
class Course:
    """A race as far as its results go. Settings are named by their places in the recipe's order, from 0."""

    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]
    """All that it may use."""
    margin: float | None
    looks: tuple[Look, ...]
    left: dict[int, Left]
    standing: tuple[int, ...]
    """Those still in, the best so far first."""
    missing: tuple[tuple[int, int], ...]
    """(setting, seed) of what is to be trained before the next look."""
    ended: str
    """How it ended; empty while it goes on."""

    @property
    def common(self) -> tuple[int, ...]:
        """The seeds that every setting trains with: those up to the first look."""
        return self.seeds[: looks(len(self.seeds))[0]]

    @property
    def most(self) -> int:
        """Trials beside those that are settled that it may take from here on: if nobody leaves any more."""
        if self.ended:
            return 0
        at = looks(len(self.seeds))[len(self.looks)]
        return len(self.missing) + len(self.standing) * (len(self.seeds) - at)

    @property
    def end(self) -> str:
        """How it ended, in words."""
        best, seeds = len(self.standing), count(self.looks[-1].seeds if self.looks else 0, "seed")
        return {
            "": "",
            ONE_LEFT: f"the race ends after {seeds}: one setting is left",
            EQUAL: f"the race ends after {seeds}: the {best:,} settings that are left are practically equal "
            f"(margin {self.margin:g})"
            if self.margin
            else "",
            OUT_OF_SEEDS: f"the race ends with {seeds}, which are all: {count(best, 'setting')} left",
            ALL_OUT: f"the race ends after {seeds}: no setting is left",
        }[self.ended]


def follow(recipe: Recipe, results: Iterable[Result]) -> Course:
    """The course of a recipe's race as far as results go."""
    assert recipe.race is not None
    settings, seeds = tuple(recipe.grid.settings()), recipe.seeds
    places = {setting_key(setting): place for place, setting in enumerate(settings)}
    columns = {seed: place for place, seed in enumerate(seeds)}
    values = np.full((len(settings), len(seeds)), math.nan)
    states = np.full((len(settings), len(seeds)), "", dtype="U8")
    for result in results:
        place, column = places.get(setting_key(result.trial.setting)), columns.get(result.trial.seed)
        if place is not None and column is not None:
            states[place, column] = result.state
            if result.state == "complete" and result.value is not None:
                values[place, column] = result.value
    sign = 1.0 if recipe.direction == "minimize" else -1.0
    return _run(recipe, settings, sign * values, states)


def _run(recipe: Recipe, settings: tuple[Setting, ...], values: Floats, states: np.ndarray) -> Course:
    """The looks, one after another, as far as everything that they compare is settled. values: less is better."""
    assert recipe.race is not None
    seeds, margin, rule = recipe.seeds, recipe.race.margin, find_rule(recipe.race.rule)
    standing, left, done, ended = np.arange(len(settings)), dict[int, Left](), list[Look](), ""
    missing: tuple[tuple[int, int], ...] = ()
    for number, n in enumerate(looks(len(seeds)), 1):
        open_ = ~np.isin(states[standing, :n], SETTLED)
        if open_.any():
            missing = tuple((int(standing[row]), seeds[column]) for row, column in zip(*np.nonzero(open_), strict=True))
            break
        here = values[standing, :n], states[standing, :n]
        gone, ended = _look(recipe.metric, *here, number, len(settings), margin, rule)
        than = {row: None if other is None else int(standing[other]) for row, (_, other) in gone.items()}
        left |= {int(standing[row]): Left(n, why, than[row]) for row, (why, _) in gone.items()}
        standing = np.delete(standing, list(gone))
        whys = [why for why, _ in gone.values()]
        done.append(Look(n, len(standing), {why: whys.count(why) for why in _WHY}))
        if ended or n == len(seeds):
            ended = ended or OUT_OF_SEEDS
            break
    best = _order(values[standing, : done[-1].seeds if done else len(seeds)])
    order = tuple(standing[best].tolist())
    return Course(settings, seeds, margin, tuple(done), left, order, missing, ended)


def _look(
    metric: str, values: Floats, states: np.ndarray, look: int, settings: int, margin: float | None, rule: Rule
) -> tuple[dict[int, tuple[str, int | None]], str]:
    """Who of those still in leaves at a look, with why and whom it lost to; and how the race ends there, if it does."""
    gone: dict[int, tuple[str, int | None]] = {}
    diverged = (states == DIVERGED).any(axis=1)
    failed = np.isnan(values).all(axis=1)  # one accident takes nobody out
    gone |= {int(row): (DIVERGED, None) for row in np.flatnonzero(diverged)}
    gone |= {int(row): (FAILED, None) for row in np.flatnonzero(failed & ~diverged)}
    rows = np.flatnonzero(~diverged & ~failed)
    if not len(rows):
        return gone, ALL_OUT
    plain = values[rows]
    fair, log = _fair(plain, metric)
    better = worse(fair, plain, look, settings, rule)
    gone |= {int(rows[row]): (WORSE, int(rows[better[row]])) for row in np.flatnonzero(better >= 0)}
    kept = better < 0
    if kept.sum() == 1:
        return gone, ONE_LEFT
    if margin is not None and equal(fair[kept], math.log1p(margin) if log else margin, look):
        return gone, EQUAL
    return gone, ""


def _fair(plain: Floats, metric: str) -> tuple[Floats, bool]:
    """Values on the scale on which they are judged, less is better; and whether that is logarithmic."""
    log = by_ratio(plain, metric)  # a loss is made small: one that is made large has a sign, and stays as it is
    return fair_scale(plain, metric), log


def _order(values: Floats) -> np.ndarray:
    """The rows by their mean over the seeds that all of them have, the best first."""
    known = ~np.isnan(values)
    n = known.sum(axis=1)
    mean = np.divide(np.where(known, values, 0.0).sum(axis=1), n, out=np.full(len(values), math.inf), where=n > 0)
    return np.argsort(mean, kind="stable")
