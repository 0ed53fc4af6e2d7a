#!/usr/bin/env bash
# torch 2.14.1: vmap's chunk_size changes what a network with two dropout layers computes, and not one with a single layer.
#
# Expected by most: chunk_size trades memory for speed and leaves the numbers alone, at least under one seed. Seen, with
# randomness="different" and the same seed: with one dropout layer all chunk sizes give the same masks; with two, each chunk
# draws both its layers' masks before the next chunk begins, so that every chunk size gives other masks. A test on one dropout
# layer does not show it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torch import nn
from torch.func import vmap


def same(network):
    """Whether chunk sizes 6 (all), 3, 2 and 1 give the numbers that no chunk size gives."""

    def run(size):
        torch.manual_seed(0)
        return vmap(network, randomness="different", chunk_size=size)(torch.ones(6, 8))

    return [torch.equal(run(None), run(size)) for size in (6, 3, 2, 1)]


one = same(nn.Dropout(0.5))
two = same(nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)))
print("chunk size       6, 3, 2, 1")
print("one dropout:    ", one)
print("two dropouts:   ", two)
assert one == [True, True, True, True] and two == [True, False, False, False]
PYTHON
