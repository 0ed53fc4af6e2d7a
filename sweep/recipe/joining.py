"""The recipe of two studies that are made one: what both say, and the seeds or values of either. Needs identity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sweep.errors import UsageError
from sweep.recipe.claims import Claim
from sweep.recipe.identity import Recipe
from sweep.space import Axis


def join_recipes(mine: Recipe, theirs: Recipe) -> Recipe:
    """The recipe that has the trials of both, and no others but those that its shards or either recipe have left out.

    Two shares of one recipe make all of it. Recipes may differ in their seeds or in the values of one hyperparameter.
    Raises UsageError, which says in what they differ, where they cannot be one.
    """
    claims = _join_claims(mine.claims, theirs.claims)
    shard = mine.shard if mine.shard == theirs.shard and not mine.difference(theirs) else None
    first, second = (replace(recipe, shard=None, claims=()) for recipe in (mine, theirs))
    for joined in (first, second, *_unions(first, second)):
        if _holds(joined, first) and _holds(joined, second):
            return replace(joined, shard=shard, claims=claims)
    may = "recipes that differ in their seeds, or in the values of one hyperparameter"
    if first.search or first.imported:
        may = f"the same {'search' if first.search else 'import'}, since it is no grid"
    raise UsageError(f"of another recipe ({'; '.join(first.difference(second))}); expected {may}")


def _holds(joined: Recipe, part: Recipe) -> bool:
    """Whether a study of `part` is there, as it is, in one of `joined`."""
    return not joined.difference(part) or (joined.budget() == part.budget() and joined.includes(part))


def _unions(first: Recipe, second: Recipe) -> Iterator[Recipe]:
    """Recipes with the seeds of both, or with the values that both have of one hyperparameter."""
    if first.search or second.search or first.imported or second.imported:
        return
    seeds = tuple(dict.fromkeys((*first.seeds, *second.seeds)))
    splits = tuple(first.split_of(seed) if seed in first.seeds else second.split_of(seed) for seed in seeds)
    if len(seeds) > len(first.seeds):
        yield replace(first, seeds=seeds, splits=splits if any(splits) else ())
    if first.settings and second.settings:
        more = tuple(setting for setting in second.settings if setting not in first.settings)
        yield first.of_settings((*first.settings, *more))
    elif not first.settings and not second.settings:
        mine, theirs = first.grid.points, second.grid.points
        for axis in first.axes:
            values = tuple(dict.fromkeys((*mine[axis.name], *theirs.get(axis.name, ()))))
            grown = Axis(axis.name, values, axis.own)
            yield replace(first, axes=tuple(grown if other == axis else other for other in first.axes))


def _join_claims(mine: tuple[Claim, ...], theirs: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """The claims of both, each once. One that either study got after results came after results."""
    late = {claim.said for claim in (*mine, *theirs) if claim.afterwards}
    once = {claim.said: claim for claim in (*theirs, *mine)}
    ordered = dict.fromkeys(claim.said for claim in (*mine, *theirs))
    return tuple(replace(once[said], afterwards=said in late) for said in ordered)
