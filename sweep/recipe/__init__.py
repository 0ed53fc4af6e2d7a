"""A recipe: what to sweep, on which data, with which seeds; from TOML, flags or the ledger. Needs hyperparameters, space.

axes      the values of one hyperparameter: one, a list, a range
listed    settings that are listed one by one
imported  a table of results that were not trained here
keys      the plain keys, what they may be, what checks each
search    the section [search]
identity  the recipe itself: which trials it has, which recipe includes which
reading   a recipe of TOML and flags, or of the ledger
"""

from sweep.recipe.axes import parse_seeds
from sweep.recipe.identity import Recipe
from sweep.recipe.imported import Imported
from sweep.recipe.keys import DIRECTIONS, METRICS, PRECISIONS, RECIPE_KEYS
from sweep.recipe.reading import load_recipe, recipe_from_dict
from sweep.recipe.search import OBJECTIVES, PRUNERS, SAMPLERS, Search

__all__ = [
    "DIRECTIONS",
    "METRICS",
    "OBJECTIVES",
    "PRECISIONS",
    "PRUNERS",
    "RECIPE_KEYS",
    "SAMPLERS",
    "Imported",
    "Recipe",
    "Search",
    "load_recipe",
    "parse_seeds",
    "recipe_from_dict",
]
