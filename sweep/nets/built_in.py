"""Sweep's own networks: ordinary modules, written for one trial. Needs torch and the table's settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sweep.hyperparameters import Setting

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}


class Residual(nn.Module):
    """branch(x) + shortcut(x) (He et al. 2015, equations 1 and 2). shortcut: empty where it is the identity."""

    def __init__(self, branch: list[nn.Module], shortcut: list[nn.Module]) -> None:
        super().__init__()
        self.branch, self.shortcut = nn.Sequential(*branch), nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + self.shortcut(x)  # type: ignore[no-any-return]

    @property
    def unnormed(self) -> nn.Linear | nn.Conv2d | None:
        """The branch's last layer, if no batch norm follows it there."""
        last = self.branch[-1]
        return last if isinstance(last, nn.Linear | nn.Conv2d) else None


class Dense(nn.Module):
    """x and branch(x), one after the other in axis 1 (Huang et al. 2017, equation 2)."""

    def __init__(self, branch: list[nn.Module]) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.branch(x)], 1)


def build(setting: Setting, shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """The network of a setting for rows of `shape`, (D,) or (C, H, W): [B, *shape] in, [B, classes] out.

    A dropout layer is always there (at 0 it does nothing), so that settings that differ in dropout share a structure.
    """
    if setting["model"] == "cnn":
        return _cnn(_Maker(setting, images=True), shape, classes)
    hidden, width = (
        _mlp(_Maker(setting, images=False), math.prod(shape)) if setting["depth"] else ([], math.prod(shape))
    )
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, classes))


@dataclass(frozen=True)
class _Maker:
    """Makes the layers of a setting's network: of vectors, or of images."""

    setting: Setting
    images: bool

    @property
    def connection(self) -> str:
        return str(self.setting["connection"])

    def count(self, name: str) -> int:
        return int(self.setting[name])

    def weights(self, width: int, out: int, side: int = 3) -> nn.Linear | nn.Conv2d:
        """A linear layer, or a convolution of side x side that keeps the size of images. Batch norm right after a layer
        subtracts its bias again, so the layer has none (Ioffe & Szegedy 2015, section 3.2)."""
        bias = not (self.setting["batch_norm"] and self.setting["bn_position"] == "before")
        if self.images:
            return nn.Conv2d(width, out, side, padding=side // 2, bias=bias)
        return nn.Linear(width, out, bias=bias)

    def dropout(self) -> nn.Dropout:
        return nn.Dropout(float(self.setting["dropout"]))

    def before(self, width: int) -> list[nn.Module]:
        """What comes between a layer and its activation."""
        return self._norm(width) if self.setting.get("bn_position") == "before" else []

    def activation(self, width: int) -> list[nn.Module]:
        """The activation, and what comes after it."""
        after = self._norm(width) if self.setting.get("bn_position") == "after" else []
        return [_ACTIVATIONS[str(self.setting["activation"])](), *after]

    def activated(self, width: int) -> list[nn.Module]:
        """All that comes after a layer."""
        return [*self.before(width), *self.activation(width)]

    def residual(self, width: int, out: int) -> list[nn.Module]:
        """A block of two layers. A shortcut between other sizes is a linear layer, or a 1x1 convolution, with the batch
        norm that the branch ends in."""
        between = [] if self.images else [self.dropout()]
        branch = [self.weights(width, out), *self.activated(out), *between, self.weights(out, out), *self.before(out)]
        shortcut = [] if width == out else [self.weights(width, out, side=1), *self.before(out)]
        return [Residual(branch, shortcut), *self.activation(out)]

    def dense(self, width: int) -> nn.Module:
        """A layer that adds `growth` to the width: batch norm and activation come before it, as in the paper."""
        end = [] if self.images else [self.dropout()]
        return Dense([*self.activated(width), self.weights(width, self.count("growth")), *end])

    def _norm(self, width: int) -> list[nn.Module]:
        setting, kind = self.setting, nn.BatchNorm2d if self.images else nn.BatchNorm1d
        eps, momentum = float(setting["bn_eps"]), float(setting["bn_momentum"])
        return [kind(width, eps=eps, momentum=momentum, affine=bool(setting["bn_affine"]))]


def _mlp(make: _Maker, width: int) -> tuple[list[nn.Module], int]:
    """The hidden layers for rows of a width, and the width of what they give. `depth` of them: all of `hidden` units;
    in a dense network the first is, and each of the others adds `growth` to all before it."""
    hidden, depth, layers = make.count("hidden"), make.count("depth"), list[nn.Module]()
    if make.connection == "dense":
        layers, width = [make.weights(width, hidden), make.dropout()], hidden
        for _ in range(depth - 1):
            layers.append(make.dense(width))
            width += make.count("growth")
        return [*layers, *make.activated(width)], width
    assert make.connection != "residual" or depth % 2 == 0
    for _ in range(depth // 2 if make.connection == "residual" else depth):
        if make.connection == "residual":
            layers += make.residual(width, hidden)
        else:
            layers += [make.weights(width, hidden), *make.activated(hidden)]
        layers.append(make.dropout())
        width = hidden
    return layers, width


def _cnn(make: _Maker, shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """`depth` stages, each of which halves the images' sides at its end."""
    channels, height, width = shape
    stages = range(make.count("depth"))
    layers: list[nn.Module] = []
    if make.connection == "dense":
        layers.append(make.weights(channels, make.count("hidden")))
        channels = make.count("hidden")
    assert make.connection != "residual" or make.count("convolutions") % 2 == 0
    for stage in stages:
        if make.connection == "dense":
            stage_layers, channels = _dense_stage(make, channels, last=stage == stages[-1])
        else:
            stage_layers, channels = _stage(make, channels, make.count("hidden") * 2**stage)
        layers += stage_layers
        height, width = height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), make.dropout(), nn.Linear(channels * height * width, classes))


def _stage(make: _Maker, channels: int, out: int) -> tuple[list[nn.Module], int]:
    """`convolutions` of `out` channels, plain or two to a residual block, and max pooling."""
    layers: list[nn.Module] = []
    for _ in range(make.count("convolutions") // (2 if make.connection == "residual" else 1)):
        if make.connection == "residual":
            layers += make.residual(channels, out)
        else:
            layers += [make.weights(channels, out), *make.activated(out)]
        channels = out
    return [*layers, nn.MaxPool2d(2)], channels


def _dense_stage(make: _Maker, channels: int, last: bool) -> tuple[list[nn.Module], int]:
    """A dense block of `convolutions`, and a transition: a 1x1 convolution that halves the channels, and average
    pooling. After the last block there is the pooling alone."""
    layers: list[nn.Module] = []
    for _ in range(make.count("convolutions")):
        layers.append(make.dense(channels))
        channels += make.count("growth")
    layers += make.activated(channels)
    if not last:
        layers.append(make.weights(channels, out := max(1, channels // 2), side=1))
        channels = out
    return [*layers, nn.AvgPool2d(2)], channels


def initialize(net: nn.Module, setting: Setting, generator: torch.Generator) -> None:
    """Draws the initial weights of linear and convolution layers, in order; biases 0, batch norm scale 1 and shift 0.

    kaiming: normal, standard deviation sqrt(2 / fan in) (He et al. 2015); xavier: uniform within sqrt(6 / (fan in + fan
    out)) (Glorot & Bengio 2010); normal: standard deviation `init_std`; torch: as torch.nn starts them, weights and
    biases uniform within sqrt(1 / fan in).

    A residual branch that no batch norm ends doubles the variance of what it is added to,
    under kaiming: after 16 blocks it is 65,536 times as large. With the last layer scaled by
    sqrt(1 / blocks) all of them together make it e times as large at most; with a last layer
    of 0 each block starts as the identity (Zhang et al. 2019, "Fixup initialization").
    """
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            if setting["init"] == "kaiming":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            elif setting["init"] == "xavier":
                nn.init.xavier_uniform_(layer.weight, generator=generator)
            elif setting["init"] == "torch":
                nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            else:
                nn.init.normal_(layer.weight, std=float(setting["init_std"]), generator=generator)
            if layer.bias is not None and setting["init"] == "torch":
                bound = layer.weight[0].numel() ** -0.5
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
            elif layer.bias is not None:
                nn.init.zeros_(layer.bias)
    ends = [block.unnormed for block in net.modules() if isinstance(block, Residual)]
    if any(end is not None for end in ends):
        factor = {"scaled": len(ends) ** -0.5, "zero": 0.0, "full": 1.0}[str(setting["branch_start"])]
        for end in ends:
            if end is not None:
                end.weight.data *= factor
