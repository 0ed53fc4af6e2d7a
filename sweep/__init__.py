"""sweep: hyperparameter sweeps of small neural networks, many trials trained as one program.

errors           what a user is told when something cannot be
hyperparameters  the table that keys, flags, validation and help derive from
space            grids, ranges, canonical settings
recipe           TOML and flags to a checked recipe
checkpoint       checkpoint files: whole or none
data, nets       data sets as tensors; ordinary modules for one trial
speed            what trainings cost on this machine
plan             trials to cohorts to units of work
engine           trains a cohort as lanes of one program
host, workers    one process that holds torch and the data; its workers
ledger           the SQLite file, the only truth about what was trained
search           settings asked of Optuna's samplers
study            the loop: ask, plan, train, record, tell
analysis         numbers in, numbers out
report           tables, files, pictures, pages
progress         what is seen while a study runs
flags, cli       the command line
"""

__version__ = "0.1.0"
