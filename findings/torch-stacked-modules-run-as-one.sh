#!/usr/bin/env bash
# torch 2.14.1: stack_module_state stacks modules of different activations and dropout without complaint; all run as the first.
#
# Expected by most: an ensemble of unlike modules is refused, as one of unlike shapes is, or each member keeps its own
# activation. Seen: stack_module_state takes parameters and buffers alone, so that a Tanh network in a stack with a ReLU network
# answers as a ReLU network with the Tanh network's weights. Nothing warns; in a sweep over activations every lane would be the
# first setting under another's name.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import copy
import warnings

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

warnings.simplefilter("error")
torch.manual_seed(0)
networks = [nn.Sequential(nn.Linear(4, 3), activation) for activation in (nn.ReLU(), nn.Tanh())]
parameters, buffers = stack_module_state(networks)
skeleton = copy.deepcopy(networks[0]).to("meta")
rows = torch.randn(5, 4)


def answer(parameters, buffers, rows):
    return functional_call(skeleton, (parameters, buffers), (rows,))


_, second = vmap(answer, (0, 0, None))(parameters, buffers, rows)
as_itself = torch.allclose(second, networks[1](rows))
as_first = torch.allclose(second, torch.relu(networks[1][0](rows)))
print("the Tanh network of the stack answers as itself:", as_itself, "- as a ReLU network:", as_first)
assert as_first and not as_itself
PYTHON
