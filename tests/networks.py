"""A user's own networks for the tests: files of ordinary modules."""

from __future__ import annotations

from pathlib import Path

NETWORKS = '''
from enum import Enum
from typing import Literal

import torch
from torch import nn
from torch.nn import functional


class Pool(Enum):
    MAX = 1
    AVG = 2


class Mlp(nn.Module):
    """Layers that all have lane forms."""

    def __init__(
        self,
        in_shape,
        classes,
        width: int = 16,
        act: Literal["relu", "tanh"] = "relu",
        p: float = 0.0,
        norm: bool = False,
    ):
        super().__init__()
        self.one = nn.Linear(torch.Size(in_shape).numel(), width)
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()
        self.act = nn.ReLU() if act == "relu" else nn.Tanh()
        self.drop = nn.Dropout(p)
        self.two = nn.Linear(width, classes)

    def forward(self, x):
        return self.two(self.drop(self.act(self.norm(self.one(x.flatten(1))))))


class Cnn(nn.Module):
    """The same of images, by functions and methods, too."""

    def __init__(self, in_shape, num_classes, width: int = 4, pool: Pool = Pool.MAX):
        super().__init__()
        channels, height, side = in_shape
        self.conv = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.pool = functional.max_pool2d if pool is Pool.MAX else functional.avg_pool2d
        self.last = nn.Linear(width * (height // 2) * (side // 2), num_classes)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm(self.conv(x))), 2)
        return self.last(x.view(x.size(0), -1))


class Skip(nn.Module):
    """No chain of layers, and none that draws."""

    def __init__(self, in_features, classes, width: int = 16):
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(in_features, width), nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x):
        h = self.one(x.flatten(1))
        return self.two(torch.relu(self.norm(h)) + h)


class Scales(nn.Module):
    """No chain of layers: each class is some numbers of a row, scaled; its only sums are over the batch."""

    def __init__(self, in_features, classes, by: float = 0.5):
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.rand(classes) * by), nn.Parameter(torch.zeros(classes))

    def forward(self, x):
        return x.flatten(1)[:, 20:30] * self.scale + self.shift


class Drops(nn.Module):
    """Draws masks itself, has batch norm, an average of its own, and a layer that sees no data."""

    def __init__(self, in_features, classes, width: int = 16):
        super().__init__()
        self.one, self.norm, self.two = nn.Linear(in_features, width), nn.BatchNorm1d(width), nn.LazyLinear(classes)
        self.register_buffer("seen", torch.zeros(()))
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        h = self.norm(self.one(x.flatten(1)))
        if self.training:
            self.seen = self.seen * 0.9 + h.detach().abs().mean() * 0.1
        h = functional.dropout(torch.relu(h), 0.3, self.training)
        return self.two(h) + torch.randn(h.shape[0], 1) * 0.01 + self.seen


class Needs(nn.Module):
    def __init__(self, classes, width: int, layers: list = None):
        super().__init__()


class Wrong(nn.Module):
    def __init__(self, in_features, classes, by: int = 1):
        super().__init__()
        self.one = nn.Linear(in_features, classes + by)

    def forward(self, x):
        return self.one(x.flatten(1))


class Fussy(Mlp):
    def __init__(self, in_shape, classes, width: int = 4):
        if width == 5:
            raise ArithmeticError("five will not do")
        super().__init__(in_shape, classes, width)


class Frozen(Mlp):
    def __init__(self, in_shape, classes):
        super().__init__(in_shape, classes)
        self.requires_grad_(False)


class Leaves(Mlp):
    def __init__(self, in_shape, classes, width: int = 4):
        super().__init__(in_shape, classes, width)
        self.leaves = width == 5

    def forward(self, x):
        if self.leaves:
            raise SystemExit(3)
        return super().forward(x)


class Bare:
    pass
'''


def write(folder: Path) -> Path:
    """The file of networks in a folder."""
    (folder / "nets.py").write_text(NETWORKS)
    return folder / "nets.py"
