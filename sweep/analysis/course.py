"""How another tool's trials came about, as the ledger keeps it: numbers, epochs, what was reported, names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sweep.analysis.importing import INFINITE
from sweep.analysis.roles import EPOCH_NAMES
from sweep.errors import UsageError
from sweep.foreign import Curve, ForeignTrial
from sweep.ledger import Course


def shift_of(trials: Sequence[ForeignTrial], metric: str) -> int:
    """What is added to steps, so that the first is 1 where the tool counts from 0. Raises UsageError for a step that no
    training gets to."""
    curves = [(trial.name, curve) for trial in trials if (curve := trial.curves.get(metric))]
    shift = max(0, 1 - min((curve[0][0] for _, curve in curves), default=1))
    name, last = max(((name, curve[-1][0]) for name, curve in curves), key=lambda end: end[1], default=("", 0))
    if last + shift > _MOST_STEPS:
        far = last if last > _MOST_STEPS else -shift
        raise UsageError(f"trial {name}: {metric} at step {far}: damaged; expected at most {_MOST_STEPS:,} steps")
    return shift


_MOST_STEPS = 10**15


def finite(value: float) -> float | None:
    """A number, None if it is not finite; vast ones stand for infinity."""
    return float(value) if abs(value) < INFINITE else None


def course_of(trials: Sequence[ForeignTrial], metric: str, test: str | None, shift: int) -> Course:
    """Numbers, curves and names for the ledger. Other metrics stand at the metric's epochs: what was reported since the
    one before, or after the last."""
    numbers = _numbers(trials)
    epochs: list[tuple[int, int, float | None]] = []
    readings: list[tuple[int, int, str, float | None]] = []
    for number, trial in zip(numbers, trials, strict=True):
        curve = trial.curves.get(metric, ())
        epochs += [(number, step + shift, finite(value)) for step, value in curve]
        steps = [step for step, _ in curve]
        for name, other in trial.curves.items():
            if name not in (metric, test) and name.lower() not in EPOCH_NAMES and steps:
                readings += [(number, step + shift, name, value) for step, value in _at(other, steps)]
        end = steps[-1] + shift if steps else 0
        for name, value in trial.values.items():
            if name not in (metric, test) and name not in trial.curves:
                readings.append((number, end, name, finite(value)))
    names = [(number, trial.name) for number, trial in zip(numbers, trials, strict=True)]
    return Course(numbers, epochs, readings, [] if all(str(n) == name for n, name in names) else names)


def _at(curve: Curve, steps: Sequence[int]) -> Iterator[tuple[int, float | None]]:
    """A curve's values at the steps of another."""
    place, last = 0, len(steps) - 1
    for step, value in curve:
        while place < last and steps[place] < step:
            place += 1
        yield steps[place], finite(value)


def _numbers(trials: Sequence[ForeignTrial]) -> Sequence[int]:
    """The trials' own numbers, where their names are numbers; else from 0."""
    names = [trial.name.removeprefix("trial-") for trial in trials]  # as sweep's own exports call them
    if all(name.isascii() and name.isdigit() and len(name) < 10 for name in names):
        own = [int(name) for name in names]
        if len(set(own)) == len(own):
            return own
    return range(len(trials))
