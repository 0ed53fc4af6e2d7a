"""The networks: ordinary modules, written for one trial. Needs torch and the hyperparameter table's settings."""

from __future__ import annotations

import math

import torch
from torch import nn

from sweep.hyperparameters import Setting

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}


def build(setting: Setting, shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """The network of a setting for rows of `shape`, (D,) or (C, H, W): [B, *shape] in, [B, classes] out.

    A dropout layer is always there (at 0 it does nothing), so that settings that differ in dropout share a structure.
    """
    return _mlp(setting, math.prod(shape), classes) if setting["model"] == "mlp" else _cnn(setting, shape, classes)


def _mlp(setting: Setting, width: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    hidden = int(setting["hidden"])
    for _ in range(int(setting["depth"])):
        layers += [nn.Linear(width, hidden, bias=_bias(setting)), *_activated(setting, nn.BatchNorm1d, hidden)]
        layers.append(nn.Dropout(float(setting["dropout"])))
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, classes))


def _cnn(setting: Setting, shape: tuple[int, ...], classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels, height, width = shape
    for stage in range(int(setting["depth"])):
        out = int(setting["hidden"]) * 2**stage
        layers += [
            nn.Conv2d(channels, out, 3, padding=1, bias=_bias(setting)),
            *_activated(setting, nn.BatchNorm2d, out),
            nn.MaxPool2d(2),
        ]
        channels, height, width = out, height // 2, width // 2
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(float(setting["dropout"])), nn.Linear(channels * height * width, classes)
    )


def _bias(setting: Setting) -> bool:
    """Batch norm right after a layer subtracts its bias again, so the layer has none (Ioffe & Szegedy 2015, section 3.2)."""
    return not (setting["batch_norm"] and setting["bn_position"] == "before")


def _activated(setting: Setting, norm: type[nn.BatchNorm1d] | type[nn.BatchNorm2d], width: int) -> list[nn.Module]:
    activation = _ACTIVATIONS[str(setting["activation"])]()
    if not setting["batch_norm"]:
        return [activation]
    layer = norm(
        width, eps=float(setting["bn_eps"]), momentum=float(setting["bn_momentum"]), affine=bool(setting["bn_affine"])
    )
    return [layer, activation] if setting["bn_position"] == "before" else [activation, layer]


def initialize(net: nn.Module, setting: Setting, generator: torch.Generator) -> None:
    """Draws the initial weights of linear and convolution layers, in order; biases 0, batch norm scale 1 and shift 0.

    kaiming: normal, standard deviation sqrt(2 / fan in) (He et al. 2015); xavier: uniform within
    sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010); normal: standard deviation `init_std`.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            if setting["init"] == "kaiming":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            elif setting["init"] == "xavier":
                nn.init.xavier_uniform_(layer.weight, generator=generator)
            else:
                nn.init.normal_(layer.weight, std=float(setting["init_std"]), generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
