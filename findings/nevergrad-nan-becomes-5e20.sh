#!/usr/bin/env bash
# Nevergrad 1.0.12: a loss of NaN or infinity is kept as 5e20, in the optimizer and in its log.
#
# Expected by most: a training that diverged stays NaN in the record. Seen: `tell` with NaN or infinity warns once of a "very
# high value" and stores 5e20, a finite number; ParametersLogger writes the same into its JSON lines. Means over the log are
# then about 1e20, and NaN, infinity and a real loss of 1e25 cannot be told apart.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check nevergrad==1.0.12 numpy==2.4.6
"$folder/venv/bin/python" - "$folder/log.json" <<'PYTHON'
import json
import math
import sys
import warnings

import nevergrad

warnings.simplefilter("ignore")
space = nevergrad.p.Instrumentation(lr=nevergrad.p.Log(lower=1e-3, upper=1.0))
optimizer = nevergrad.optimizers.RandomSearch(space, budget=4)
optimizer.register_callback("tell", nevergrad.callbacks.ParametersLogger(sys.argv[1]))
for loss in (0.5, math.nan, math.inf, 1e25):
    optimizer.tell(optimizer.ask(), loss)
with open(sys.argv[1]) as log:
    logged = [json.loads(line)["#loss"] for line in log]
print("told:   0.5, nan, inf, 1e+25")
print("logged:", ", ".join(map(str, logged)))
assert logged == [0.5, 5e20, 5e20, 5e20]
PYTHON
