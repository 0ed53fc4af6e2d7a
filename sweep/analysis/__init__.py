"""Numbers in, numbers out: what a study's trials say. Needs pandas.

board  the leaderboard of trials: ranked, filtered, one selected
table  a study as one table, which every analysis reads
settings  the leaderboard of settings: seeds averaged, ties, expected best, optimism
statistics  what the analyses share
confirming  the best settings on fresh seeds: luck, shrinkage, the first against the second
comparing  studies side by side: equal budgets, settings in common
importing  anyone's table of results, read as a study
"""

from sweep.analysis.board import RANKED_ON, Board, csv_columns, leaderboard, test_columns
from sweep.analysis.settings import Fresh, SettingsBoard, fresh_score, rank_settings, settings_table
from sweep.analysis.table import StudyTable, study_table

__all__ = [
    "RANKED_ON",
    "Board",
    "Fresh",
    "SettingsBoard",
    "StudyTable",
    "csv_columns",
    "fresh_score",
    "leaderboard",
    "rank_settings",
    "settings_table",
    "study_table",
    "test_columns",
]
