"""The search: settings asked of one of Optuna's samplers, results told to it. Needs optuna, which no other package imports.

spaces    the space as Optuna sees it
samplers  one of Optuna's samplers, made for each asking
pruners   who stops trials early: rungs, and the losers at each
asking    the search by ask and tell, as far as the ledger's results go
starting  what a search begins with: given settings, another study
storages  a study written to one of Optuna's storages
"""

from sweep.search.asking import AGAIN, AskTell, told
from sweep.search.pruners import check_pruner, losers, rungs
from sweep.search.samplers import check_sampler
from sweep.search.spaces import distributions, finite_grid
from sweep.search.starting import enqueued, warm_results
from sweep.search.storages import write_optuna

__all__ = [
    "AGAIN",
    "AskTell",
    "check_pruner",
    "check_sampler",
    "distributions",
    "enqueued",
    "finite_grid",
    "losers",
    "rungs",
    "told",
    "warm_results",
    "write_optuna",
]
