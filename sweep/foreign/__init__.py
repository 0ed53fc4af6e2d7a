"""Other tools' results: a module per tool, its files in, one common form of trials out.

trials       that form
values       values as tools write them, in texts and nested tables
recognizing  which tool wrote a file or a folder
"""

from sweep.foreign import ray
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

TOOLS: tuple[Tool, ...] = (ray.TOOL,)
"""By their names; a line each."""
