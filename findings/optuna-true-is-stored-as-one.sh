#!/usr/bin/env bash
# Optuna 5.0.0: a categorical parameter with the choices 1 and True gives the objective True and stores 1.
#
# Expected by most: trial.params holds what suggest_categorical returned. Seen: Python's 1 == True decides which choice is
# stored, so that each trial that ran with True reads 1 afterwards (and False reads 0), in the study and in every storage.
# The choice True looks as if it had never been tried, and its results count as those of 1. A space such as
# clip = off, 1, 5 with False for "off" is safe only while it has no 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check optuna==5.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
ran = []
for _ in range(40):
    trial = study.ask()
    ran.append(trial.suggest_categorical("clip", [0, 1, False, True]))
    study.tell(trial, 1.0 if ran[-1] is True else 0.0)
stored = [trial.params["clip"] for trial in study.trials]
for choice in (0, 1, False, True):
    run, kept = (sum(value is choice for value in values) for values in (ran, stored))
    print(f"{choice!s:>5}: ran {run:2} times, stored {kept:2} times")
assert any(value is True for value in ran) and any(value is False for value in ran)
assert not any(isinstance(value, bool) for value in stored)
assert ran == stored  # for Python they are equal, so a test that compares them passes
PYTHON
