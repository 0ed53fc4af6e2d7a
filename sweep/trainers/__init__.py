"""A user's own training: a Python function, or a command, one trial at a time in a process of its own. Needs recipe.

lines      what a trial reports, as lines of text
output     what it printed, as much of it as is kept
reports    what it reported, as records of epochs
processes  processes that end with the one that needs them
function   the process that runs a Python function
command    the process that a command is
training   a trial trained by either, watched until it ends
telling    a unit of such trials, and what the study is told of them
"""

from sweep.trainers.processes import adopt_orphans, end_orphans
from sweep.trainers.telling import train_own
from sweep.trainers.training import code_fingerprint, make_trainer

__all__ = ["adopt_orphans", "code_fingerprint", "end_orphans", "make_trainer", "train_own"]
