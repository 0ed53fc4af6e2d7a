"""Other tools' results: a module per tool, its files in, one common form of trials out.

trials       that form
recognizing  which tool wrote a file or a folder
choosing     which of several studies in it is meant
texts        JSON, YAML and CSV files, nested names, numbers in all their spellings
sqlite       SQLite files
records      files of protobuf records
logs         numbers in log lines
spaces       search spaces as recipes
own          what sweep writes beside a tool's own
"""

from sweep.foreign import (
    ax,
    deepcave,
    deephyper,
    dvc,
    guild,
    hydra,
    keras_tuner,
    mlflow,
    nevergrad,
    nni,
    openbox,
    optuna,
    ray,
    sklearn,
    smac,
    syne_tune,
    tensorboard,
    trackio,
    wandb,
)
from sweep.foreign.recognizing import TABLE, nothing_known, read_study, recognize
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
    "read_study",
    "recognize",
]

TOOLS: tuple[Tool, ...] = (
    ax.TOOL,
    deepcave.TOOL,
    deephyper.TOOL,
    dvc.TOOL,
    guild.TOOL,
    hydra.TOOL,
    keras_tuner.TOOL,
    mlflow.TOOL,
    nevergrad.TOOL,
    nni.TOOL,
    openbox.TOOL,
    optuna.TOOL,
    ray.TOOL,
    sklearn.TOOL,
    smac.TOOL,
    syne_tune.TOOL,
    tensorboard.TOOL,
    trackio.TOOL,
    wandb.TOOL,
)
"""By their names; a line each."""
