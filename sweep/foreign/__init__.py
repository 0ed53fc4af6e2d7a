"""Other tools' results: a module per tool, its files in, one common form of trials out.

trials       that form
recognizing  which tool wrote a file or a folder
texts        JSON, YAML and CSV files, nested names, numbers in all their spellings
sqlite       SQLite files
records      files of protobuf records
"""

from sweep.foreign import (
    mlflow,
    optuna,
    ray,
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
    mlflow.TOOL,
    optuna.TOOL,
    ray.TOOL,
)
"""By their names; a line each."""
