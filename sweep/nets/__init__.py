"""The networks: ordinary modules, written for one trial. Needs torch, networks and the hyperparameter table's settings.

built_in  sweep's own: mlp and cnn, plain, residual or dense
own       a user's class: loaded from its file, constructed with a trial's seed, checked
tracing   a user's network as a chain of layers, where it is one
"""

from __future__ import annotations

import torch
from torch import nn

from sweep.hyperparameters import Setting
from sweep.nets import built_in, own
from sweep.nets.built_in import Dense, Residual, initialize
from sweep.networks import is_own

__all__ = ["Dense", "Residual", "build", "initialize"]


def build(setting: Setting, shape: tuple[int, ...], classes: int, draws: torch.Generator | None = None) -> nn.Module:
    """The network of a setting for rows of `shape`, (D,) or (C, H, W): [B, *shape] in, [B, classes] out. draws: what
    the initial weights of a user's come from; those of sweep's own are for `initialize`."""
    if is_own(setting["model"]):
        return own.construct(setting, shape, classes, draws or torch.Generator())
    return built_in.build(setting, shape, classes)
