"""Other tools' results: a module per tool, its files in, one common form of trials out.

trials       that form
values       values as tools write them, in texts and nested tables
texts        JSON, YAML and CSV files
records      TensorBoard's and W&B's files of records
sqlite       SQLite files, read only
logs         numbers in log lines
recognizing  which tool wrote a file or a folder
"""

from sweep.foreign import (
    ax,
    deepcave,
    deephyper,
    dvc,
    guild,
    hydra,
    nevergrad,
    nni,
    openbox,
    ray,
    sklearn,
    smac,
    syne_tune,
)
from sweep.foreign.recognizing import TABLE, nothing_known, recognize
from sweep.foreign.trials import Curve, ForeignStudy, ForeignTrial, State, Tool, Value

__all__ = [
    "TABLE",
    "TOOLS",
    "Curve",
    "ForeignStudy",
    "ForeignTrial",
    "State",
    "Tool",
    "Value",
    "nothing_known",
    "recognize",
]

TOOLS: tuple[Tool, ...] = (
    ax.TOOL,
    deepcave.TOOL,
    deephyper.TOOL,
    dvc.TOOL,
    guild.TOOL,
    hydra.TOOL,
    nevergrad.TOOL,
    nni.TOOL,
    openbox.TOOL,
    ray.TOOL,
    sklearn.TOOL,
    smac.TOOL,
    syne_tune.TOOL,
)
"""By their names; a line each."""
