"""The lane forms of residual and dense blocks, of vectors and of images alike. Needs what is inside them."""

from __future__ import annotations

from typing import Any

import torch

from sweep.engine.layers import Batch, Layer

Values = Any
"""What layers pass on: a tensor [L, C, B], or a list of blocks of images [B, g C, H, W]."""


class Residual:
    """branch(x) + shortcut(x). Both begin and end with layers that leave what they are given as it is, so it is given
    to both. shortcut: empty where it is the identity. first: whether both read the batch itself."""

    def __init__(self, branch: list[Layer], shortcut: list[Layer], first: bool) -> None:
        self.branch, self.shortcut, self.first = branch, shortcut, first

    def forward(self, x: Values, batch: Batch, training: bool) -> Values:
        return _sum(forward(self.branch, x, batch, training), forward(self.shortcut, x, batch, training))

    def backward(self, grad: Values) -> Values:
        down, across = backward(self.branch, grad), backward(self.shortcut, grad)
        return grad if self.first else _sum(down, across)


class Dense:
    """x and branch(x), one after the other in the axis of units or channels."""

    def __init__(self, branch: list[Layer]) -> None:
        self.branch = branch

    def forward(self, x: Values, batch: Batch, training: bool) -> Values:
        lanes = batch.spans[-1][1]
        copy = [block.clone() for block in x] if isinstance(x, list) else x.clone()
        y = forward(self.branch, copy, batch, training)
        if not isinstance(x, list):
            self.width = x.shape[1]
            return torch.cat([x, y], 1)
        self.lanes = lanes // len(x)
        self.width = x[0].shape[1] // self.lanes
        pairs = ([block.unflatten(1, (self.lanes, -1)) for block in pair] for pair in zip(x, y, strict=True))
        return [torch.cat(pair, 2).flatten(1, 2) for pair in pairs]

    def backward(self, grad: Values) -> Values:
        if not isinstance(grad, list):
            own = grad[:, self.width :].contiguous()
            return backward(self.branch, own).add_(grad[:, : self.width])
        parts = [block.unflatten(1, (self.lanes, -1)) for block in grad]
        down = backward(self.branch, [part[:, :, self.width :].flatten(1, 2).contiguous() for part in parts])
        return [slope + part[:, :, : self.width].flatten(1, 2) for slope, part in zip(down, parts, strict=True)]


def forward(net: list[Layer], x: Values, batch: Batch, training: bool) -> Values:
    """What layers make of x, one after the other."""
    for layer in net:
        x = layer.forward(x, batch, training)
    return x


def backward(net: list[Layer], grad: Values) -> Values:
    """The gradient by what they were given."""
    for layer in reversed(net):
        grad = layer.backward(grad)
    return grad


def _sum(a: Values, b: Values) -> Values:
    return [x + y for x, y in zip(a, b, strict=True)] if isinstance(a, list) else a + b
