"""What people and scripts see of the numbers: tables, curves, CSV and its kin. Needs rich; pandas for files.

text         how numbers, times and counts are written
columns      a table that cuts nothing where it is narrow
tables       the leaderboard of trials, the studies, the plan
settings     the leaderboard of settings
confirm      a confirmation, a comparison of studies
answers      effects, importance, remarks (imported when one is asked)
trial        one trial, trained again or not; what the doctor found
merging      studies that were made one (imported when some are)
layer        one layer, loss or z-score on given numbers (imported when one is asked)
models       a model that was written, its answers, an ensemble (imported when one is)
files        CSV, Parquet, JSON, Markdown
latex        a table for a paper
tensorboard  event files
elsewhere    MLflow, Weights & Biases, trackio (imported when one is written)
pictures     a picture as a file (imported when one is saved)
plots        charts (imported when one is drawn)
page         HTML (imported when one is written)
terminal     the same pictures as text (imported when one is drawn)
"""

from sweep.report.files import export_table, plain, records, to_json
from sweep.report.settings import settings_json, settings_report, show_interval, show_ranks
from sweep.report.tables import board_table, plan_table, search_plan_text, selected_line, studies_table
from sweep.report.text import show_metric, show_seconds, sparkline, tell_seconds
from sweep.report.trial import curves, findings_report, reproduction_report, trial_report

__all__ = [
    "board_table",
    "count",
    "curves",
    "export_table",
    "findings_report",
    "plain",
    "plan_table",
    "records",
    "reproduction_report",
    "search_plan_text",
    "selected_line",
    "settings_json",
    "settings_report",
    "show_interval",
    "show_metric",
    "show_ranks",
    "show_seconds",
    "sparkline",
    "studies_table",
    "tell_seconds",
    "to_json",
    "trial_report",
]
