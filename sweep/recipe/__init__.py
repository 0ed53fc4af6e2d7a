"""A recipe: what to sweep, on which data, with which seeds;
from TOML, flags or the ledger. Needs hyperparameters, space.

axes      the values of one hyperparameter: one, a list, a range
listed    settings that are listed one by one
functions what a recipe is where its model is a function
imported  a table of results that were not trained here
units     what a metric is measured in
keys      the plain keys, what they may be, what checks each
network   what a user's own network takes
search    the section [search]
shard     a share of its trials, for one of several machines
race      what makes it a race
claims    what is expected to come out
equal     values that train the same, taken once
tasks     what a recipe is where its target is a number
identity  the recipe itself: which trials it has, which recipe includes which
joining   the recipe of two studies that are made one
reading   a recipe of TOML and flags, or of the ledger
"""

from sweep.recipe.axes import parse_seeds
from sweep.recipe.claims import HOW, KINDS, Claim, add_claims, fit_claims, read_claims, seeds_for
from sweep.recipe.equal import merge_equal
from sweep.recipe.identity import Recipe
from sweep.recipe.imported import Imported
from sweep.recipe.joining import join_recipes
from sweep.recipe.keys import (
    DIRECTIONS,
    MEASURED,
    METRICS,
    OF_NUMBERS,
    PRECISIONS,
    RECIPE_KEYS,
    TESTED,
    VALIDATED,
    VALUE,
    metrics_of,
)
from sweep.recipe.network import constructor_text
from sweep.recipe.own import KINDS as TRAINERS
from sweep.recipe.own import METRIC_NAME, TRAINER_DATA, Trainer, check_trainer
from sweep.recipe.race import NEWEST_RULE, Race
from sweep.recipe.reading import header_of, load_claims, load_recipe, recipe_from_dict, recipe_of
from sweep.recipe.search import OBJECTIVES, PRUNERS, SAMPLERS, Search
from sweep.recipe.shard import Shard, parse_shard
from sweep.recipe.tasks import fit_task
from sweep.recipe.units import InPercent, direction_of, is_accuracy, is_loss, of_unit, percents

__all__ = [
    "DIRECTIONS",
    "HOW",
    "KINDS",
    "MEASURED",
    "METRICS",
    "METRIC_NAME",
    "NEWEST_RULE",
    "OBJECTIVES",
    "OF_NUMBERS",
    "PRECISIONS",
    "PRUNERS",
    "RECIPE_KEYS",
    "SAMPLERS",
    "TESTED",
    "TRAINERS",
    "TRAINER_DATA",
    "VALIDATED",
    "VALUE",
    "Claim",
    "Imported",
    "InPercent",
    "Race",
    "Recipe",
    "Search",
    "Shard",
    "Trainer",
    "add_claims",
    "check_trainer",
    "constructor_text",
    "direction_of",
    "fit_claims",
    "fit_task",
    "header_of",
    "is_accuracy",
    "is_loss",
    "join_recipes",
    "load_claims",
    "load_recipe",
    "merge_equal",
    "metrics_of",
    "of_unit",
    "parse_seeds",
    "parse_shard",
    "percents",
    "read_claims",
    "recipe_from_dict",
    "recipe_of",
    "seeds_for",
]
