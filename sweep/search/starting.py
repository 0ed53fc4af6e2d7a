"""What a search begins with: given settings, and what another study found."""

from __future__ import annotations

import math
from collections.abc import Iterable

from sweep.errors import UsageError
from sweep.hyperparameters import IN_SETTING, OF_TRAINING, TABLE, Hyperparameter, Value
from sweep.recipe import Recipe
from sweep.search.asking import mean_for_sampler
from sweep.search.spaces import contains, distributions, words_of
from sweep.space import Result, setting_key


def warm_results(
    recipe: Recipe, other: Recipe, results: Iterable[Result], name: str
) -> tuple[tuple[dict[str, Value], float | None], ...]:
    """What another study's finished trials say of this search's space: (values of
    what varies, metric) of each setting, the metric None where it diverged. Raises
    UsageError if it is over other hyperparameters, or nothing of it is inside."""
    if recipe.search and recipe.search.objectives:
        raise UsageError(f"--from {name}: gives a sampler one metric; with several objectives there is no such start")
    there, here = set(other.swept), set(recipe.swept)
    if there != here:
        told_apart = [f"{key} varies {'there' if key in there else 'here'} only" for key in sorted(there ^ here)]
        raise UsageError(f"--from {name}: another study's hyperparameters: {', '.join(told_apart)}")
    if (other.source, other.split_seed, other.metric) != (recipe.source, recipe.split_seed, recipe.metric):
        ours = f"{recipe.data}, split_seed {recipe.split_seed}, {recipe.metric}"
        theirs = f"{other.data}, split_seed {other.split_seed}, {other.metric}"
        raise UsageError(f"--from {name}: its numbers do not compare: {theirs} there, {ours} here")
    spread = distributions(recipe)
    fixed = {axis.name: axis.values[0] for axis in recipe.axes if not axis.swept}  # type: ignore[index]
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(setting_key(result.trial.setting), []).append(result)
    out: list[tuple[dict[str, Value], float | None]] = []
    for group in groups.values():
        setting = group[0].trial.setting
        for row in _rows(recipe):
            if row.name in setting and row.name not in spread:
                expected = fixed.get(row.name, row.default_for(setting))
                if setting[row.name] != expected:
                    raise UsageError(
                        f"--from {name}: its numbers do not compare: {row.name} "
                        f"= {setting[row.name]} there, {expected} here"
                    )
        values = {key: setting[key] for key in spread if key in setting}
        value = mean_for_sampler(group, math.inf)
        if value is not None and all(contains(spread[key], item) for key, item in values.items()):
            out.append((values, value if math.isfinite(value) else None))
    if not out:
        raise UsageError(f"--from {name}: none of its finished trials lies inside this space")
    return tuple(out)


def _rows(recipe: Recipe) -> list[Hyperparameter]:
    own = [axis.row for axis in recipe.axes if recipe.is_own(axis.name)]
    return own if recipe.trainer else [*OF_TRAINING, *own] if recipe.network else [*IN_SETTING]


def read_enqueued(recipe: Recipe, texts: Iterable[str]) -> tuple[dict[str, Value], ...]:
    """The settings of `--enqueue 'lr=0.001,beta1=0.9'`; what a
    text does not name, the sampler chooses. Raises UsageError."""
    spread = distributions(recipe)
    out = []
    for text in texts:
        values: dict[str, Value] = {}
        for part in text.split(","):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not value:
                raise UsageError(f"--enqueue {text!r}: {part.strip()!r}: expected NAME=VALUE, such as lr=0.001")
            if name not in spread:
                fixed = f"{name} does not vary in this search; " if name in TABLE else f"unknown {name!r}; "
                raise UsageError(f"--enqueue {text!r}: {fixed}choose from {', '.join(spread)}")
            try:
                values[name] = recipe.row(name).parse(value)
            except UsageError as error:
                raise UsageError(f"--enqueue {text!r}: {error}") from None
            if not contains(spread[name], values[name]):
                raise UsageError(
                    f"--enqueue {text!r}: {name} = {value} lies outside its space: {words_of(spread[name])}"
                )
        out.append(values)
    return tuple(out)
