"""Other tools' results: a module per tool, its files in, one common form of trials out (`trials.py`)."""

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
    sklearn,
    smac,
    syne_tune,
)
from sweep.foreign.trials import Tool

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
    sklearn.TOOL,
    smac.TOOL,
    syne_tune.TOOL,
)
"""By their names; a line each."""
