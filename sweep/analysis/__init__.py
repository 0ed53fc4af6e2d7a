"""Numbers in, numbers out: what a study's trials say. Needs pandas.

board  the leaderboard of trials: ranked, filtered, one selected
front  the Pareto front of several objectives
table  a study as one table, which every analysis reads
"""

from sweep.analysis.board import RANKED_ON, Board, csv_columns, leaderboard
from sweep.analysis.front import parameter_column, pareto
from sweep.analysis.table import StudyTable, study_table

__all__ = [
    "RANKED_ON",
    "Board",
    "StudyTable",
    "csv_columns",
    "leaderboard",
    "parameter_column",
    "pareto",
    "study_table",
]
