"""The trained numbers of L lanes, in one or two flat tensors that an optimizer passes over once. Needs torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ALIGNMENT = 16
"""Every lane and block begins at a multiple of so many numbers (64 bytes of float32): products of unaligned memory
may round differently, see products."""


LOOSE = 2**14
"""Numbers of a lane from which on a gradient is better put in place than copied."""


@dataclass
class Block:
    """One parameter or buffer of all lanes. value: [L, ...]; grad: [L, ...] of the same shape, or None for a buffer.

    loose: whether a gradient may be put in place of `grad`, instead of being copied into it.
    """

    value: Tensor
    grad: Tensor | None = None
    loose: bool = False


class Parameters:
    """The parameters of L lanes, each a `Block` of `blocks` by its name in the one-trial module.

    values, grads: the same numbers as flat tensors [L, P], zeros between blocks. A parameter `alone` has a tensor of
    its own, so that its lanes, one after another in memory, are one big matrix; on a CPU its gradient, if it is large,
    is loose.
    """

    def __init__(self, initial: Mapping[str, Tensor], alone: str | None = None) -> None:
        lanes = len(next(iter(initial.values())))
        groups = [[alone], [name for name in initial if name != alone]] if alone else [list(initial)]
        self._places: list[list[tuple[str, int, torch.Size]]] = []
        self.values: list[Tensor] = []
        self.blocks: dict[str, Block] = {}
        for names in groups:
            places, end = [], 0
            for name in names:
                places.append((name, end, initial[name].shape[1:]))
                end += align(initial[name][0].numel())
            self._places.append(places)
            self.values.append(next(iter(initial.values())).new_zeros(lanes, end))
        self._look()
        for name, block in self.blocks.items():
            block.value.copy_(initial[name])
        self.loose = False
        if alone and self.values[0].device.type == "cpu":
            numbers = self.blocks[alone].value[0].numel()
            self.loose = self.blocks[alone].loose = LOOSE <= numbers == self.values[0].shape[1]

    @property
    def grads(self) -> list[Tensor]:
        """The gradients as flat tensors [L, P]."""
        return [
            block.grad.flatten(1) if (block := self.blocks[places[0][0]]).loose and block.grad is not None else grad
            for places, grad in zip(self._places, self._grads, strict=True)
        ]

    def keep(self, index: Tensor) -> None:
        """Goes on with these lanes only. The blocks stay the same objects."""
        self.values = [value[index] for value in self.values]
        self._look()

    def _look(self) -> None:
        """Makes the blocks views of the flat tensors."""
        self._grads = [torch.zeros_like(value) for value in self.values]
        for places, value, grad in zip(self._places, self.values, self._grads, strict=True):
            for name, start, shape in places:
                block = self.blocks.setdefault(name, Block(value))
                block.value, block.grad = _view(value, start, shape), _view(grad, start, shape)


def _view(flat: Tensor, start: int, shape: Sequence[int]) -> Tensor:
    """The block [L, *shape] that begins at column `start`."""
    return flat[:, start : start + math.prod(shape)].view(-1, *shape)


def align(numbers: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-numbers // ALIGNMENT) * ALIGNMENT
