"""The command that grows a study: its recipe as flags, with more values. Needs hyperparameters, recipe."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence

from sweep.hyperparameters import TABLE, Value, show_value
from sweep.recipe import METRICS, Recipe, Search
from sweep.space import Axis, Range


def grow_command(study: str, recipe: Recipe | None, more: Mapping[str, Sequence[Value]], trials: int) -> str:
    """`sweep grid …`, or `sweep race …`, with every flag of the study, the axes of `more` replaced or added, in one
    line: run in the same results folder it trains what is missing. Empty for a study that was not trained here, and a
    race whose settings were drawn; a search gets a new name, and asks in its own way for as many `trials`."""
    if recipe is None or recipe.imported is not None or (recipe.race and recipe.race.drawn):
        return ""
    values = {axis.name: _axis(axis) for axis in recipe.axes}
    if recipe.trainer:
        if any(not {*new} >= {*recipe.listed(name)} or name not in values for name, new in more.items()):
            return ""
        values |= {name: ",".join(map(_value, new)) for name, new in more.items()}
        where = recipe.trainer.folder if recipe.trainer.kind == "train" else ""
        flags = [_flag(f"--{recipe.trainer.kind}", os.path.join(where, recipe.trainer.text))]
        flags += [f"--set {shlex.quote(f'{name}={text}')}" for name, text in values.items()]
    else:
        values |= {name: ",".join(map(_value, new)) for name, new in more.items()}
        flags = [_flag_of(recipe, name, text) for name, text in values.items()]
    grid = "race" if recipe.race else "grid"
    command, name = (grid, study) if recipe.search is None else ("search", f"{study}-2")
    if recipe.data != "digits" and not recipe.of_function and not recipe.trainer:
        flags.append(f"--data {shlex.quote(recipe.data)}")
    if recipe.data_dir:
        flags.append(f"--data-dir {shlex.quote(recipe.data_dir)}")
    metric = "value" if recipe.of_function else "val_loss"
    for key, default in (("split_seed", 0), ("precision", "float32"), ("metric", metric)):
        if getattr(recipe, key) != default:
            flags.append(f"--{key.replace('_', '-')} {getattr(recipe, key)}")
    if recipe.seeds != (0,):
        first = recipe.seeds == tuple(range(len(recipe.seeds)))
        flags.append(f"--seeds {len(recipe.seeds)}" if first else f"--seed {','.join(map(str, recipe.seeds))}")
    if recipe.splits:
        first = recipe.splits == tuple(range(len(recipe.splits)))
        flags.append(f"--split-seeds {len(recipe.splits) if first else ','.join(map(str, recipe.splits))}")
    usual = METRICS.get(recipe.metric, "minimize")
    named = recipe.trainer and recipe.metric not in METRICS
    if (recipe.direction != usual or named) and (recipe.search is None or not recipe.search.objectives):
        flags.append(f"--direction {recipe.direction}")
    if recipe.race is not None and recipe.race.margin is not None:
        flags.append(f"--margin {recipe.race.margin!r}")
    if recipe.search is not None:
        flags += [f"--trials {trials}", *_asking(recipe.search)]
    return f"sweep {command} {' '.join(flags)} --study {name}"


def _flag_of(recipe: Recipe, name: str, text: str) -> str:
    """A hyperparameter's flag, of a user's own network too."""
    if recipe.network is None or not recipe.is_own(name):
        return _flag(TABLE[name].flag, text)
    if name == "model":
        return _flag("--model", os.path.join(recipe.network.folder, text))
    return f"--set {shlex.quote(f'{name}={text}')}"


def _flag(flag: str, text: str) -> str:
    """A flag with its value, which may begin with a minus."""
    return f"{flag}{'=' if text.startswith('-') else ' '}{shlex.quote(text)}"


def _asking(search: Search) -> list[str]:
    """How a search asks, as flags: what is not the default. What it was started with is trained already."""
    plain = Search()
    names = ("sampler", "in_flight", "pruner", "min_epochs", "reduction")
    given = {name: getattr(search, name) for name in names if getattr(search, name) != getattr(plain, name)}
    given |= {"search_seed": search.seed} if search.seed != plain.seed else {}
    flags = [f"--{name.replace('_', '-')} {value}" for name, value in given.items()]
    return flags + [f"--{way} {name}" for name, way in search.objectives]


def _axis(axis: Axis) -> str:
    """An axis as its flag takes it."""
    if not isinstance(axis.values, Range):
        return ",".join(map(_value, axis.values))
    span = axis.values
    text = f"{span.low!r}:{span.high!r}{':log' if span.log else ''}"
    if span.n is not None:
        return f"{text}:{span.n}"
    return text if span.step is None else f"{text}:step={span.step!r}"


def _value(value: Value) -> str:
    """A value as a flag takes it, to its last digit."""
    return repr(value) if isinstance(value, float) else show_value(value)
