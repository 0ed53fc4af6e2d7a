"""The plan: trials into cohorts, cohorts into units of work for workers; what they will cost. Needs space, data's
`describe` and the speeds that were measured.

sizes     a setting's network in numbers, before it is built; whether it fits the data
networks  a user's networks in numbers, asked of a process that has torch
times     what training takes, by the speeds that were measured or in multiply-adds
units     trials into cohorts, cohorts into units
sharing   what is trained as the beginning of something longer
shards    a grid's trials divided among machines
forecast  what a grid or a search would run and cost
"""

from sweep.plan.forecast import (
    WORTH_SECONDS,
    Plan,
    corners,
    fold_text,
    look_measurements,
    measurements,
    plan_grid,
    plan_search,
    plan_to_dict,
)
from sweep.plan.shards import share_of
from sweep.plan.sizes import DECIDES_FIT, classes_note, epochs_of, parameter_count
from sweep.plan.times import makespan
from sweep.plan.units import Unit, units

__all__ = [
    "DECIDES_FIT",
    "WORTH_SECONDS",
    "Plan",
    "Unit",
    "classes_note",
    "corners",
    "epochs_of",
    "fold_text",
    "look_measurements",
    "makespan",
    "measurements",
    "parameter_count",
    "plan_grid",
    "plan_search",
    "plan_to_dict",
    "share_of",
    "units",
]
