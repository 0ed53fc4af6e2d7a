"""A user's network that has no lane forms as one layer: a module for each lane, differentiated by autograd.
Needs torch.

A lane computes as it would alone, whoever is beside it. Its parameters and buffers are views of the program's, so that
the optimizer, checkpoints and evaluation know nothing of the kind of network.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sweep.engine.layers import Batch
from sweep.engine.parameters import Block, Parameters
from sweep.engine.streams import stream
from sweep.nets.own import check_output, uses_other_generators

_NORMS = nn.modules.batchnorm._NormBase


class Whole:
    """Whole modules of L lanes: the batch itself -> logits [L, K, B].

    What a forward pass draws comes, in training, from its seed's dropout stream: one number a step, which seeds torch's
    own generator. In evaluation that number follows from the seed alone.
    """

    def __init__(
        self,
        modules: list[nn.Module],
        seeds: Sequence[int],
        parameters: Parameters,
        buffers: dict[str, Block],
        classes: int,
        low: bool,
    ) -> None:
        self.modules, self.parameters, self.buffers, self.classes, self.low = modules, parameters, buffers, classes, low
        self.numbers = [stream(seed, "evaluation").initial_seed() for seed in seeds]
        self.others = uses_other_generators(type(modules[0]))
        self._bind()

    def keep(self, lanes: Sequence[int]) -> None:
        """Goes on with these lanes only, after the parameters and buffers have."""
        self.modules, self.numbers = [self.modules[lane] for lane in lanes], [self.numbers[lane] for lane in lanes]
        self._bind()

    def _bind(self) -> None:
        """Makes what the modules hold views of the program's numbers."""
        self.trained: list[list[Tensor]] = []
        self.held: list[list[tuple[nn.Module, str, Tensor]]] = []
        for lane, module in enumerate(self.modules):
            trained, held = {}, []
            for path, owner in module.named_modules():
                for name, parameter in owner._parameters.items():
                    full = f"{path}.{name}".lstrip(".")
                    if parameter is not None and full in self.parameters.blocks:
                        parameter.data = self.parameters.blocks[full].value[lane]
                        trained[full] = parameter
                    elif parameter is not None and full in self.buffers:
                        parameter.data = self.buffers[full].value[lane]
                for name, buffer in owner._buffers.items():
                    full = f"{path}.{name}".lstrip(".")
                    if buffer is not None and full in self.buffers:
                        view = self.buffers[full].value[lane]
                        owner._buffers[name] = view
                        held.append((owner, name, view))
            self.trained.append([trained[name] for name in self.parameters.blocks])
            self.held.append(held)

    def forward(self, _: Tensor, batch: Batch, training: bool) -> Tensor:
        numbers = [int(torch.randint(2**62, (), generator=draws)) for draws in batch.generators]
        self.outputs: list[Tensor] = []
        for place, ((a, b), rows) in enumerate(zip(batch.spans, batch.x, strict=True)):
            if rows.dim() == 4 and rows.shape[1] > 1:
                rows = rows.contiguous(memory_format=torch.channels_last)  # convolutions are faster so
            for lane in range(a, b):
                self._seed(numbers[place] if numbers else self.numbers[lane])
                self._set_mode(self.modules[lane], training, drops=bool(numbers))
                with torch.set_grad_enabled(training), torch.autocast(rows.device.type, torch.bfloat16, self.low):
                    output = self.modules[lane](rows)
                self.outputs.append(check_output(self.modules[lane], output, len(rows), self.classes))
                self._take_buffers(lane)
        return torch.stack([output.detach().t().to(batch.x[0].dtype) for output in self.outputs])

    def _seed(self, number: int) -> None:
        torch.default_generator.manual_seed(number)
        if self.others:
            random.seed(number)
            np.random.seed(number % 2**32)

    @staticmethod
    def _set_mode(module: nn.Module, training: bool, drops: bool) -> None:
        """training without drops: batch norm on the batch's own statistics, all else as in evaluation."""
        if module.training != (training and drops):
            module.train(training and drops)
        if training and not drops:
            for one in module.modules():
                if isinstance(one, _NORMS):
                    one.training = True

    def _take_buffers(self, lane: int) -> None:
        """What a forward pass put in place of buffers becomes their numbers."""
        for owner, name, view in self.held[lane]:
            now: Tensor | None = owner._buffers[name]
            if now is not None and id(now) != id(view):
                view.copy_(now.detach())
                owner._buffers[name] = view

    def backward(self, grad: Tensor) -> Tensor:
        for lane, (output, trained) in enumerate(zip(self.outputs, self.trained, strict=True)):
            upstream = grad[lane].t().to(output.dtype)
            found: Sequence[Tensor | None] = torch.autograd.grad(output, trained, upstream, allow_unused=True)
            targets = [block.grad[lane] for block in self.parameters.blocks.values() if block.grad is not None]
            for target, one in zip(targets, found, strict=True):
                if one is None:  # the network does not use it
                    target.zero_()
                else:
                    target.copy_(one)
        self.outputs = []
        return grad
