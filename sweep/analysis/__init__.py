"""Numbers in, numbers out: what a study's trials say. Needs pandas.

board       the leaderboard of trials: ranked, filtered, one selected
table       a study as one table, which every analysis reads
cells       which trials are of one setting
pairing     two levels compared in the cells that have both
effects     what a hyperparameter does
importance  which hyperparameters explain the metric
"""

from sweep.analysis.board import RANKED_ON, Board, csv_columns, leaderboard
from sweep.analysis.effects import Effect, effect, effects
from sweep.analysis.table import StudyTable, study_table

__all__ = [
    "RANKED_ON",
    "Board",
    "Effect",
    "StudyTable",
    "csv_columns",
    "effect",
    "effects",
    "leaderboard",
    "study_table",
]
