"""The study: the only loop. Asks for trials, plans them, has
them trained, records. Needs plan, workers, ledger, search.

watching     who is told what a run does
opening      a study by its name: made, opened, grown or refused
speeds       how fast this machine is
loop         units handed to workers, their records to the ledger
generations  what a search trains: a generation at a time, from rung to rung
race         what a race trains: block by block, who is still in
running      one run: take stock, ask, plan, train, record, tell
again        a finished trial trained again
taking       a trial's network as a model, checked against the ledger
boundary     what a trial's network answers over data of two columns
exporting    a study for Optuna's own tools
"""

from sweep.study.again import Reproduction, reproduce
from sweep.study.boundary import answer_plane
from sweep.study.exporting import dashboard, export_optuna
from sweep.study.moving import follow_data
from sweep.study.opening import add_start, check_name, check_trains, open_study
from sweep.study.running import Options, check_timeout, parse_duration, run
from sweep.study.speeds import measure_speeds, missing_classes, precision_note, speed_kind
from sweep.study.taking import check_networks, load_source, take_model
from sweep.study.watching import Quiet, Start, Summary, Watcher

__all__ = [
    "Options",
    "Quiet",
    "Reproduction",
    "Start",
    "Summary",
    "Watcher",
    "add_start",
    "answer_plane",
    "check_name",
    "check_networks",
    "check_timeout",
    "check_trains",
    "dashboard",
    "export_optuna",
    "follow_data",
    "load_source",
    "measure_speeds",
    "missing_classes",
    "open_study",
    "parse_duration",
    "precision_note",
    "reproduce",
    "run",
    "speed_kind",
    "take_model",
]
