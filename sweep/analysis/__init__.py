"""Numbers in, numbers out: what a study's trials say. Needs pandas and scipy.

table         a study as one table, which every analysis reads
conditions    the trials that meet a condition
board         the leaderboard of trials: ranked, one selected
settings      the leaderboard of settings: seeds averaged, ties, expected best, optimism
seeds         which seeds selected, which are fresh
front         the Pareto front of several objectives
statistics    means, scales and intervals that the analyses share
significance  tests that they share, and corrections for many
cells         which trials are of one setting
pairing       two levels compared in the cells that have both
equality      whether two differ by less than a margin
effects       what a hyperparameter does
looks         what was looked at inside trials
importance    which hyperparameters explain the metric
reaching      steps until a target, or never
check         what an experienced colleague would remark
pictures      the numbers behind every picture
commands      commands to run next, as one would type them
ensembles     members chosen on validation, and what averaging them gives
confirming    settings on fresh seeds
comparing     studies side by side
roles         what each column of anyone's table is
importing     anyone's table of results, read as a study
adopting      another tool's trials as a study
alike         values that would look alike or count as equal, told apart
course        how such trials came about: their epochs
ends          how the trainings of a table ended
"""

from sweep.analysis.board import Board, csv_columns, leaderboard
from sweep.analysis.conditions import further_tests, test_columns
from sweep.analysis.effects import Effect, effect, effects
from sweep.analysis.front import parameter_column, pareto
from sweep.analysis.settings import Fresh, SettingsBoard, fresh_score, rank_settings, settings_table
from sweep.analysis.table import RANKED_ON, StudyTable, study_table

__all__ = [
    "RANKED_ON",
    "Board",
    "Effect",
    "Fresh",
    "SettingsBoard",
    "StudyTable",
    "csv_columns",
    "effect",
    "effects",
    "fresh_score",
    "further_tests",
    "leaderboard",
    "parameter_column",
    "pareto",
    "rank_settings",
    "settings_table",
    "study_table",
    "test_columns",
]
