#!/usr/bin/env bash
# ConfigSpace 1.2.2: sampled choices that are all true/false or all numbers come back as numpy's, mixed ones as given.
#
# Expected by most: a configuration holds the very choices of the space. Seen: of [True, False] a sample holds numpy.bool, so
# that `config["batch_norm"] is True` is never so and json.dumps of the configuration is refused; of [1, 2.5] it holds
# numpy.float64(1.0) for 1; of [1, "auto"] a plain 1. The default configuration holds plain choices, so a script that is
# tried on the default first works, and fails on the first sample.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ConfigSpace==1.2.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import json

from ConfigSpace import Categorical, ConfigurationSpace

space = ConfigurationSpace(seed=0)
space.add(Categorical("batch_norm", [True, False]), Categorical("clip", [1, 2.5]), Categorical("batch", [1, "auto"]))
samples = [dict(config) for config in space.sample_configuration(20)]


def kinds(name, configs):
    return sorted({f"{type(config[name]).__module__}.{type(config[name]).__name__}" for config in configs})


default = dict(space.get_default_configuration())
for name in space:
    print(f"{name:10} default {kinds(name, [default])}, sampled {kinds(name, samples)}")
assert kinds("batch_norm", [default]) == ["builtins.bool"] and kinds("batch_norm", samples) == ["numpy.bool"]
assert kinds("clip", [default]) == ["builtins.int"] and kinds("clip", samples) == ["numpy.float64"]
assert kinds("batch", samples) == ["builtins.int", "builtins.str"]
json.dumps(default)
try:
    json.dumps(samples[0])
except TypeError as error:
    print("json.dumps of a sample:", error)
else:
    raise SystemExit("json.dumps took a sample")
PYTHON
