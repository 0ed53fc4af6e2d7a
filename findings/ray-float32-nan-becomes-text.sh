#!/usr/bin/env bash
# Ray Tune 2.60.0: a metric of numpy.float32 that is NaN is written as the text "null", one of Python's float as NaN.
#
# Expected by most: both are NaN in result.json and in get_dataframe. Seen: for float and numpy.float64 the file holds a bare
# NaN; for numpy.float32, which most losses are, it holds the text "null", and infinity as float32 stays Infinity. The column
# of ResultGrid.get_dataframe then mixes numbers and text: its minimum raises a TypeError, and isna() does not see the trial
# that diverged.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ray[tune]==2.60.0" numpy==2.4.6 pandas==3.1.1
HOME=$folder "$folder/venv/bin/python" - "$folder/results" <<'PYTHON' 2> "$folder/log" | grep -E "^(float|finite|the column)"
import glob
import json
import sys

import numpy
import ray
from ray import tune

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
LOSSES = {"float": float("nan"), "float64": numpy.float64("nan"), "float32": numpy.float32("nan"), "finite": 0.5}


def train(config):
    tune.report({"loss": LOSSES[config["kind"]]})


tuner = tune.Tuner(
    train,
    param_space={"kind": tune.grid_search(list(LOSSES))},
    run_config=tune.RunConfig(storage_path=sys.argv[1], name="nans", verbose=0),
)
table = tuner.fit().get_dataframe()
written = {}
for path in glob.glob(f"{sys.argv[1]}/nans/*/result.json"):
    with open(path) as file:
        row = json.loads(file.readline())
    written[row["config"]["kind"]] = repr(row["loss"])
missing = dict(zip(table["config/kind"], table["loss"].isna(), strict=True))
for kind in LOSSES:
    print(f"{kind:8} result.json {written[kind]:7} get_dataframe().loss.isna() {bool(missing[kind])}")
assert written == {"float": "nan", "float64": "nan", "float32": "'null'", "finite": "0.5"}
assert missing["float"] and missing["float64"] and not missing["float32"]
try:
    table["loss"].min()
except TypeError as error:
    print("the column's minimum:", error)
else:
    raise SystemExit("the column has a minimum")
PYTHON
