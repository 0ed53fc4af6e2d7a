#!/usr/bin/env bash
# DeepHyper 0.13.2: a conditional hyperparameter that is not active is written at its lower bound, like a value that was tried.
#
# Expected by most: an inactive hyperparameter is empty in results.csv, as it is absent in ConfigSpace's configuration. Seen:
# where batch_norm is False, momentum is not part of the model, and every such row reads 0.1, momentum's lower bound. Nothing
# in the table tells these rows from trainings with a momentum of 0.1, so that an analysis of momentum sees a
# crowd of results at its lower end that have no momentum at all.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check deephyper==0.13.2 ConfigSpace==1.2.2 numpy==2.4.6
cd "$folder"
HOME=$folder "$folder/venv/bin/python" - <<'PYTHON' 2> "$folder/log"
from ConfigSpace import EqualsCondition
from deephyper.hpo import CBO, HpProblem

problem = HpProblem()
problem.add_hyperparameter([True, False], "batch_norm")
momentum = problem.add_hyperparameter((0.1, 0.9), "momentum")
problem.add_condition(EqualsCondition(momentum, problem.space["batch_norm"], True))


def train(job):
    return 0.5 if job.parameters["batch_norm"] else 1.0


search = CBO(problem, random_state=0, log_dir="search", verbose=0)
table = search.search(train, max_evals=16)
inactive = table[~table["p:batch_norm"]]["p:momentum"]
active = table[table["p:batch_norm"]]["p:momentum"]
print("without batch norm, momentum reads", sorted(set(inactive)), f"in {len(inactive)} rows")
print("with batch norm it reads", len(set(active)), f"values in {len(active)} rows")
assert len(inactive) and set(inactive) == {0.1} and len(set(active)) == len(active)
PYTHON
