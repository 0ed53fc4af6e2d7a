#!/usr/bin/env bash
# Keras Tuner 1.4.8 (Keras 3.15.1): three settings in a row that give NaN end the whole search; infinity never does.
#
# Expected by most: a training that diverged is a bad result, and the search goes on to its max_trials. Seen: a NaN is
# a failed trial, and after three failures one after another search() raises a RuntimeError, the trials that were left never
# run. A loss of infinity is a completed trial, so that ten of them change nothing. A grid that begins with the largest
# learning rates ends at once. (The package also needs six, which it does not ask for.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras-tuner==1.4.8 keras==3.15.1 numpy==2.4.6 jax==0.10.2 six==1.17.0
HOME=$folder KERAS_BACKEND=jax "$folder/venv/bin/python" - "$folder" <<'PYTHON' 2> "$folder/log"
import contextlib
import io
import math
import sys

import keras_tuner


def search(lost):
    """How many of ten trials run, and what the search ends with, where the first four lose as told."""

    class Tuner(keras_tuner.GridSearch):
        def run_trial(self, trial, *args, **kwargs):
            return lost if trial.hyperparameters.Int("place", 1, 10) <= 4 else 0.5

    objective = keras_tuner.Objective("val_loss", "min")
    tuner = Tuner(objective=objective, max_trials=10, directory=sys.argv[1], project_name=f"with-{lost}")
    end = "its end"
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            tuner.search()
        except RuntimeError as error:
            end = str(error).splitlines()[0]
    states = [trial.status for trial in tuner.oracle.trials.values()]
    return len(states), states.count("FAILED"), end


LIMIT = "Number of consecutive failures exceeded the limit of 3."
for lost, seen in ((math.nan, (3, 3, LIMIT)), (math.inf, (10, 0, "its end"))):
    ran, failed, end = search(lost)
    print(f"four settings give {lost}: {ran} of 10 trials ran, {failed} failed, ended with: {end}")
    assert (ran, failed, end) == seen
PYTHON
