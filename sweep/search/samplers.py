"""Optuna's samplers: which there are, what each needs, one made for each asking."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution

from sweep.errors import UsageError
from sweep.recipe import Recipe, Search
from sweep.search.spaces import Space, conditional, distributions

SEQUENCES = {"qmc": "sobol", "halton": "halton"}
"""Samplers that go through a quasi-random sequence, with Optuna's name of it."""

WITH_STATE = ("cmaes", *SEQUENCES)
"""Samplers that keep state in what they asked, so that they are rebuilt by asking them everything again."""

_NEEDED = {"cmaes": ("cmaes",), "gp": ("torch", "scipy.stats"), **dict.fromkeys(SEQUENCES, ("scipy.stats",))}
"""What each sampler imports when it is first asked. It is imported whole before that: to begin with scipy.stats.qmc
while another thread imports scipy.stats, as a run does for its leaderboard, fails in both.
"""


def check_sampler(recipe: Recipe) -> None:
    """Raises UsageError if the sampler cannot work here or cannot take the space."""
    assert recipe.search is not None
    name = recipe.search.sampler
    for module in _NEEDED.get(name, ()):
        try:
            importlib.import_module(module)
        except ImportError as error:
            package = module.partition(".")[0]
            raise UsageError(f"--sampler {name}: needs the package {package}, which cannot be used: {error}") from None
    if name == "cmaes":
        if recipe.search.objectives:
            raise UsageError("--sampler cmaes: takes one objective; choose tpe, gp, random, qmc or halton for several")
        ranges = [
            key
            for key, distribution in distributions(recipe).items()
            if not isinstance(distribution, CategoricalDistribution)
        ]
        always = [key for key in ranges if not recipe.row(key).when]
        if len(always) < 2:
            others = ", ".join(name for name in recipe.swept if name not in always)
            raise UsageError(
                "--sampler cmaes: needs at least two ranges that are always active, given "
                f"{', '.join(always) or 'none'}{f' (not {others})' if others else ''}; "
                "choose tpe for lists and conditions"
            )


def sampler_for(search: Search, number: int, grouped: bool) -> optuna.samplers.BaseSampler:
    """One of Optuna's samplers, for an asking by its number.
    Its draws come from the search's seed and that number alone.

    grouped: whether TPE is to find out which hyperparameters occur together, which `whole_space` may tell it instead.
    """
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    samplers = optuna.samplers
    other = samplers.RandomSampler(seed=seed)
    if search.sampler == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True, group=grouped, constant_liar=True)
    if search.sampler == "gp":
        return samplers.GPSampler(seed=seed, independent_sampler=other)
    if search.sampler == "cmaes":
        return samplers.CmaEsSampler(seed=seed, independent_sampler=other, warn_independent_sampling=False)
    if search.sampler in SEQUENCES:  # one sequence, scrambled by the search's seed
        return samplers.QMCSampler(
            qmc_type=SEQUENCES[search.sampler],
            seed=search.seed,
            scramble=True,
            independent_sampler=other,
            warn_independent_sampling=False,
        )
    return other


def whole_space(recipe: Recipe) -> Space | None:
    """What TPE draws together in every asking, where no hyperparameter depends on another; None where one does.

    TPE would infer the same from the study's trials, in every asking from all of them, a fifth of what asking costs.
    """
    assert recipe.search is not None
    space = distributions(recipe)
    if recipe.search.sampler != "tpe" or any(conditional(recipe, recipe.row(name)) for name in space):
        return None
    return {name: distribution for name, distribution in sorted(space.items()) if not distribution.single()}


@contextmanager
def quietly() -> Iterator[None]:
    """Without Optuna's remarks that a study is made or a feature experimental."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
