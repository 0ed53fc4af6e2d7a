"""What another tool's files hold, in one form for all tools: trials with their settings, states and curves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Value = bool | int | float | str

State = Literal["complete", "pruned", "diverged", "failed", "running"]

Curve = Sequence[tuple[int, float]]
"""(step, value) as the tool kept them, steps ascending; a value may be NaN or infinite."""


@dataclass(frozen=True)
class ForeignTrial:
    """One trial of another tool. One that was interrupted and resumed is one trial."""

    name: str
    """What the tool calls it."""
    setting: Mapping[str, Value]
    """Each active hyperparameter and its value, the seed among them; nested names are joined with dots. What is
    inactive, or is bookkeeping (ids, times, paths), is absent."""
    state: State
    """As the tool knows it: `complete` unless its files say otherwise. Who makes a study of it turns a complete trial
    whose metric is not finite into a diverged one, one that has no such metric at all into a failed one; a reader says
    `diverged` where only it can tell."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """Each reported metric by step."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Metrics of which the tool kept one number a trial; NaN where it kept that there was none. One that has a curve,
    too, is what counts, and not the curve's last value."""
    reason: str | None = None
    """Why it failed or diverged, in the tool's words, one line."""


def check(trial: ForeignTrial) -> None:
    """Raises TypeError or ValueError, in words, for what no tool means by a trial: damage that a reader overlooked."""
    names: list[Any] = [trial.name, *trial.setting, *trial.curves, *trial.values]
    _expect(trial, names, str, "name")
    texts = [*names, *(value for value in trial.setting.values() if isinstance(value, str))]
    if not all(map(str.isascii, texts)):
        "".join(texts).encode()  # half a character, as JSON's \ud800, can be stored nowhere
    _expect(trial, trial.setting.values(), bool | int | float | str, "value of a hyperparameter")
    points = [point for curve in trial.curves.values() for point in curve]
    _expect(trial, (step for step, _ in points), int, "step")
    _expect(trial, (value for _, value in points), int | float, "number")
    _expect(trial, trial.values.values(), int | float, "number")


def _expect(trial: ForeignTrial, values: Iterable[Any], kind: Any, noun: str) -> None:
    if wrong := [value for value in values if not isinstance(value, kind)]:
        raise TypeError(f"trial {trial.name}: {wrong[0]!r} is no {noun}")


@dataclass(frozen=True)
class ForeignStudy:
    """All trials of one experiment, search or project of another tool."""

    tool: str
    """As its users write it: Ray Tune, Optuna."""
    trials: Sequence[ForeignTrial]
    """In the tool's order."""
    metric: str | None = None
    """What the tool optimised, where it knows that."""
    direction: Literal["minimize", "maximize"] | None = None
    """Of its metric, where the tool knows that; never guessed."""
    version: str | None = None
    """Of the tool, where its files say it."""
    notes: Sequence[str] = ()
    """What was decided in reading that a user should know, one line each."""
    swept: Sequence[str] | None = None
    """Which hyperparameters were varied, where the tool knows that; the others have one value where they are used."""
    states_kept: bool = True
    """Whether the tool keeps how a trial ended. Where it does not, one whose curve is shorter than nearly all others
    is taken as failed."""


@dataclass(frozen=True)
class Tool:
    """A tool whose files can be read."""

    key: str
    """As --from takes it: ray, optuna."""
    name: str
    """As its users write it."""
    looks_for: str
    """What it is known by, in words: experiment_state-*.json."""
    matches: Callable[[Path], bool]
    """Whether a path, a file or a folder, is of this tool. Cheap: it looks at names and first bytes."""
    read: Callable[[Path], ForeignStudy]
    """Reads it, without the tool's package where its files allow that, and never a pickle. Raises UsageError, one line,
    for a version that is not known, a damaged file, several studies of which none was named."""
    read_named: Callable[[Path, str], ForeignStudy] | None = None
    """Reads the study of a name, where the tool's files may hold several; UsageError, with the list, for an unknown
    one."""
    beside: bool = False
    """Whether its files often lie among those of another tool, which then counts."""
