"""Numbers in, numbers out: what a study's trials say. Needs pandas.

board  the leaderboard of trials: ranked, filtered, one selected
table  a study as one table, which every analysis reads
settings  the leaderboard of settings: seeds averaged, ties, expected best, optimism
statistics  what the analyses share
importing  anyone's table of results, read as a study
cells  which trials are of one setting; pairing  two levels in the cells that have both
effects  what a hyperparameter does
importance  which hyperparameters explain the metric
check  what an experienced colleague would remark
"""

from sweep.analysis.board import RANKED_ON, Board, csv_columns, leaderboard, test_columns
from sweep.analysis.effects import Effect, effect, effects
from sweep.analysis.settings import SettingsBoard, fresh_score, rank_settings, settings_columns
from sweep.analysis.table import StudyTable, study_table

__all__ = [
    "RANKED_ON",
    "Board",
    "Effect",
    "SettingsBoard",
    "StudyTable",
    "csv_columns",
    "effect",
    "effects",
    "fresh_score",
    "leaderboard",
    "rank_settings",
    "settings_columns",
    "study_table",
    "test_columns",
]
