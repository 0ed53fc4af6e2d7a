"""A user's network that has no lane forms as one layer: a module for each lane, differentiated by autograd.
Needs torch.

A lane computes as it would alone, whoever is beside it. Its parameters and buffers are views of the program's, so that
the optimizer, checkpoints and evaluation know nothing of the kind of network.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from sweep.engine.layers import Batch
from sweep.engine.parameters import Block, Parameters
from sweep.engine.streams import stream
from sweep.engine.ways import Way
from sweep.nets.own import check_output, uses_other_generators

DRAWS = 3
"""Random numbers on which vmap is compared with lanes one by one: its last digits may differ for few of them."""

_trusted: dict[tuple[object, ...], bool] = {}

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
        way: Way,
    ) -> None:
        self.way = way
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
        self.mapped: tuple[Tensor, list[Tensor]] | None = None
        self.trained: list[list[Tensor]] = []
        grads = [block.grad for block in self.parameters.blocks.values() if block.grad is not None]
        self.grads = grads, [[grad[lane] for grad in grads] for lane in range(len(self.modules))]
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
        lanes = len(self.modules)
        if lanes > 1 and self.way.maps and not self.low and (not training or batch.generators):
            rows = torch.cat(
                [some.expand(b - a, *some.shape) for (a, b), some in zip(batch.spans, batch.x, strict=True)]
            )
            if self.is_trusted(rows.shape[1:], training):
                return self._forward_mapped(rows, training)
        return self._forward_each(batch, training, numbers)

    def _forward_each(self, batch: Batch, training: bool, numbers: list[int]) -> Tensor:
        """A lane after the other. numbers: what each run of lanes draws from; none where nothing is to be dropped."""
        self.mapped = None
        self.outputs: list[Tensor] = []
        for place, ((a, b), rows) in enumerate(zip(batch.spans, batch.x, strict=True)):
            if rows.dim() == 4 and rows.shape[1] > 1:
                rows = rows.contiguous(memory_format=torch.channels_last)  # convolutions are faster so
            for lane in range(a, b):
                self._seed(numbers[place] if numbers else self.numbers[lane])
                self._set_mode(self.modules[lane], training, drops=bool(numbers))
                with torch.set_grad_enabled(training), self._round_products(rows.device.type):
                    output = self.modules[lane](rows)
                self.outputs.append(check_output(self.modules[lane], output, len(rows), self.classes))
                self._take_buffers(lane)
        return torch.stack([output.detach().t().to(batch.x[0].dtype) for output in self.outputs])

    def is_trusted(self, shape: Sequence[int], training: bool) -> bool:
        """Whether vmap gives every lane, for rows [B, ...], the bits that it has alone: measured once, on random
        numbers, on this machine."""
        key = self.way.key, len(self.modules), tuple(shape), training, self.parameters.values[0].dtype
        if key not in _trusted:
            _trusted[key] = all(self._agrees(shape, training, draw) for draw in range(DRAWS))
        return _trusted[key]

    def _agrees(self, shape: Sequence[int], training: bool, draw: int) -> bool:
        """One comparison; the program's numbers are as before afterwards."""
        if self.parameters.values[0].device.type != "cpu":
            return True  # on other devices lanes agree to a tolerance, not to the bit
        generator = torch.Generator().manual_seed(draw)
        kept = [block.value.clone() for block in [*self.parameters.blocks.values(), *self.buffers.values()]]
        grads = [grad.clone() for grad in self.parameters.grads]
        values = self.parameters.values
        for value in values:
            value.add_(0.1 * torch.randn(value.shape, generator=generator, dtype=value.dtype))
        start = [block.value.clone() for block in self.buffers.values()]
        rows = torch.randn(len(self.modules), *shape, generator=generator, dtype=values[0].dtype)
        upstream = torch.randn(len(rows), self.classes, shape[0], generator=generator, dtype=values[0].dtype)
        results = []
        for mapped in (True, False):
            for block, value in zip(self.buffers.values(), start, strict=True):
                block.value.copy_(value)
            try:
                results.append(self._try(rows, upstream, training, mapped))
            except Exception:
                if not mapped:
                    raise
                break  # vmap cannot do it
        for block, value in zip([*self.parameters.blocks.values(), *self.buffers.values()], kept, strict=True):
            block.value.copy_(value)
        for grad, value in zip(self.parameters.grads, grads, strict=True):
            grad.copy_(value)
        return len(results) == 2 and all(map(torch.equal, *results))

    def _try(self, rows: Tensor, upstream: Tensor, training: bool, mapped: bool) -> list[Tensor]:
        """Logits, gradients and buffers of a pass."""
        lanes = tuple((lane, lane + 1) for lane in range(len(rows)))
        batch = Batch(lanes, tuple(rows), ())
        logits = (
            self._forward_mapped(rows, training) if mapped else self._forward_each(batch, training, [0] * len(rows))
        )
        if training:
            self.backward(upstream.clone())
        grads = [grad.clone() for grad in self.parameters.grads] if training else []
        return [logits, *grads, *(block.value.clone() for block in self.buffers.values())]

    def _forward_mapped(self, rows: Tensor, training: bool) -> Tensor:
        """All lanes in one pass, rows [L, B, ...]: the first lane's module with every lane's numbers."""
        module = self.modules[0].train(training)
        with torch.set_grad_enabled(training):
            trained = {n: block.value.detach().requires_grad_(training) for n, block in self.parameters.blocks.items()}
            held = {name: block.value for name, block in self.buffers.items()}

            def call(trained: dict[str, Tensor], held: dict[str, Tensor], rows: Tensor) -> Tensor:
                output = torch.func.functional_call(module, (trained, held), (rows,))
                return check_output(module, output, len(rows), self.classes)

            output = torch.func.vmap(call)(trained, held, rows)
        self.mapped = output, [*trained.values()]
        return output.detach().transpose(1, 2).contiguous()

    def _round_products(self, device: str) -> AbstractContextManager[object]:
        """A stretch in which matrix products are of numbers rounded to bfloat16, where that is asked for."""
        return torch.autocast(device, torch.bfloat16) if self.low else nullcontext()

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
            for part in module.modules():
                if isinstance(part, _NORMS):
                    part.training = True

    def _take_buffers(self, lane: int) -> None:
        """What a forward pass put in place of buffers becomes their numbers."""
        for owner, name, view in self.held[lane]:
            now: Tensor | None = owner._buffers[name]
            if now is not None and id(now) != id(view):
                view.copy_(now.detach())
                owner._buffers[name] = view

    def backward(self, grad: Tensor) -> Tensor:
        if self.mapped is not None:
            output, every = self.mapped
            gradients: Sequence[Tensor | None] = torch.autograd.grad(
                output, every, grad.transpose(1, 2), allow_unused=True
            )
            self._fill(self.grads[0], gradients)
            self.mapped = None
            return grad
        for lane, (output, trained) in enumerate(zip(self.outputs, self.trained, strict=True)):
            upstream = grad[lane].t().to(output.dtype)
            gradients = torch.autograd.grad(output, trained, upstream, allow_unused=True)
            self._fill(self.grads[1][lane], gradients)
        self.outputs = []
        return grad

    @staticmethod
    def _fill(targets: list[Tensor], gradients: Sequence[Tensor | None]) -> None:
        pairs = zip(targets, gradients, strict=True)  # the network may not use some
        whole = [torch.zeros_like(target) if gradient is None else gradient for target, gradient in pairs]
        torch._foreach_copy_(targets, whole)
