"""The numbers behind every picture of a study: what is drawn, in which place, and what is said beside it. Needs pandas.

base     a picture, its axes, a study's settings in one frame
curves   learning curves: one line per setting, over its seeds
planes   isolation, heat map, parallel coordinates
tradeoffs  Pareto front, expected best against budget
boundary  what a trial's network answers over the plane
costs    what a setting's network costs
insides  what was looked at inside trials
paths    paths down a function, where every start ends
asked    effect and importance, from the analyses of those names
drawing  a picture by the name of its kind

A picture knows nothing of colours or files: `sweep.report` draws the same one as a chart and in the terminal.
"""

from sweep.analysis.pictures.asked import effect_picture, importance_picture
from sweep.analysis.pictures.base import CROSS, Axis, Picture, most_telling, rows_of, settings_of
from sweep.analysis.pictures.boundary import boundary_picture
from sweep.analysis.pictures.costs import parameter_counter
from sweep.analysis.pictures.curves import curves_picture
from sweep.analysis.pictures.drawing import draw_picture
from sweep.analysis.pictures.insides import look_picture
from sweep.analysis.pictures.paths import basins_picture, surface_picture
from sweep.analysis.pictures.planes import heatmap_picture, isolation_picture, parallel_picture
from sweep.analysis.pictures.tradeoffs import budget_picture, pareto_picture

__all__ = [
    "CROSS",
    "Axis",
    "Picture",
    "basins_picture",
    "boundary_picture",
    "budget_picture",
    "curves_picture",
    "draw_picture",
    "effect_picture",
    "heatmap_picture",
    "importance_picture",
    "isolation_picture",
    "look_picture",
    "most_telling",
    "parallel_picture",
    "parameter_counter",
    "pareto_picture",
    "rows_of",
    "settings_of",
    "surface_picture",
]
