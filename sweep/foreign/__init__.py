"""Other tools' results: a module per tool, its files in, one common form of trials out.

trials       that form
recognizing  which tool wrote a file or a folder
texts        JSON, YAML and CSV files, nested names, numbers in all their spellings
sqlite       SQLite files
records      files of protobuf records
own          what sweep writes beside a tool's own
"""

from sweep.foreign import (
    keras_tuner,
    mlflow,
    optuna,
    ray,
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
    keras_tuner.TOOL,
    mlflow.TOOL,
    optuna.TOOL,
    ray.TOOL,
    tensorboard.TOOL,
    trackio.TOOL,
    wandb.TOOL,
)
"""By their names; a line each."""
