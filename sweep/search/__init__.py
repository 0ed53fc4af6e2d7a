"""The search: settings asked of one of Optuna's samplers,
results told to it. Needs optuna, which no other package imports.

spaces    the space as Optuna sees it
samplers  one of Optuna's samplers for each asking
pruners   who stops trials early: rungs, and the losers at each
trials    a trial of Optuna's study, asked of a sampler and told
asking    the search by ask and tell, as far as the ledger's results go
drawing   settings drawn before any is trained
starting  what a search begins with: given settings, another study
forests   importance where no grid is whole
storages  a study written to one of Optuna's storages
"""

from sweep.search.asking import AGAIN, AskTell, mean_for_sampler, objectives
from sweep.search.drawing import BLIND, draw_settings
from sweep.search.pruners import FEWEST, Pruner, check_pruner
from sweep.search.samplers import check_sampler
from sweep.search.spaces import distributions, finite_grid
from sweep.search.starting import read_enqueued, warm_results
from sweep.search.storages import Exported, serve_dashboard, write_optuna

__all__ = [
    "AGAIN",
    "BLIND",
    "FEWEST",
    "AskTell",
    "Exported",
    "Pruner",
    "check_pruner",
    "check_sampler",
    "distributions",
    "draw_settings",
    "finite_grid",
    "mean_for_sampler",
    "objectives",
    "read_enqueued",
    "serve_dashboard",
    "warm_results",
    "write_optuna",
]
