#!/usr/bin/env bash
# hydra-optuna-sweeper 1.3.0 (Hydra 1.3.8, Optuna 2.10.1): one job that returns NaN ends the sweep, and no result is written.
#
# Expected by most: a job that diverged counts as failed, as a NaN does in Optuna itself, and max_failure_rate=1.0 lets any
# number fail. Seen: the first NaN ends the multirun with exit code 1 after its batch of jobs; optimization_results.yaml is not
# written, and the values that the jobs before returned are in no file. A job that raises instead is counted as failed, and the
# sweep goes on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hydra-optuna-sweeper==1.3.0 hydra-core==1.3.8 omegaconf==2.3.1 \
    optuna==2.10.1 numpy==2.4.6 sqlalchemy==2.1.9
cat > "$folder/app.py" <<'PYTHON'
import math

import hydra


@hydra.main(version_base=None, config_path=None)
def main(cfg):
    if cfg.lr == 2 and cfg.how == "raises":
        raise RuntimeError("diverged")
    return math.nan if cfg.lr == 2 else cfg.lr / 10


main()
PYTHON
cd "$folder"
search() {
    code=0
    "$folder/venv/bin/python" app.py --multirun hydra/sweeper=optuna hydra/sweeper/sampler=random hydra.sweeper.sampler.seed=0 hydra.sweeper.n_trials=8 \
        hydra.sweeper.n_jobs=1 hydra.sweeper.max_failure_rate=1.0 hydra.sweep.dir="$1" +how="$1" \
        "+lr=choice(1,2,3,4)" > "$1.log" 2>&1 || code=$?
    jobs=$(find "$1" -name .hydra | wc -l)
    written=no
    if [ -e "$1/optimization_results.yaml" ]; then written=yes; fi
    echo "$1: exit code $code, $jobs jobs ran, results written: $written"
}
search raises | tee seen
search returns | tee -a seen
grep -qx "raises: exit code 0, 8 jobs ran, results written: yes" seen
grep -Eqx "returns: exit code 1, [1-7] jobs ran, results written: no" seen
