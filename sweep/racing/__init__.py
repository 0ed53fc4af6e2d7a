"""The race: which settings are trained with further seeds, decided by what their seeds so far have shown. Numbers in,
decision out; the study asks it what to train next, the analyses what became of each setting. Needs space, recipe.

scale   the scale on which values are judged, variances that borrow from each other
rule    who is shown to be worse at a look, who is practically equal
course  a race as far as its results go: who left, when and why, what is trained next
"""

from sweep.racing.course import ALL_OUT, EQUAL, ONE_LEFT, OUT_OF_SEEDS, Course, Left, Look, follow
from sweep.racing.rule import ALPHA, FIRST, looks

__all__ = [
    "ALL_OUT",
    "ALPHA",
    "EQUAL",
    "FIRST",
    "ONE_LEFT",
    "OUT_OF_SEEDS",
    "Course",
    "Left",
    "Look",
    "follow",
    "looks",
]
