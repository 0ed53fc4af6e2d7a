"""The lane form of each kind of layer: forward and backward for L trials at once. Needs torch and products.

Layout: after a linear layer activations are [L, C, B] (batch innermost), after a convolution [L, B, C, H, W] with
the channels innermost in memory. Either way a lane is one block of memory, so that reductions over a batch run
within a lane, in an order that no neighbour can change, and the L lanes of a first layer that share a minibatch
are one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from sweep.engine import products

aten = torch.ops.aten


@dataclass
class Block:
    """One parameter or buffer of all lanes. value: [L, ...]; grad: [L, ...] of the same shape, or None for a buffer."""

    value: Tensor
    grad: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """The minibatches of one step, one for each run of neighbouring lanes that share it.

    spans: (first lane, one past the last); x: one [B, ...] a span. generators: each span's dropout stream.
    """

    spans: tuple[tuple[int, int], ...]
    x: tuple[Tensor, ...]
    generators: tuple[torch.Generator, ...] = ()


class Layer(Protocol):
    """A layer of L lanes. `forward` keeps what `backward` needs; `backward` fills the grads of its blocks."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor: ...

    def backward(self, grad: Tensor) -> Tensor: ...


class Linear:
    """weight [L, out, in], bias [L, out]: [L, in, B] -> [L, out, B]. As the first layer it reads the batch itself."""

    def __init__(self, weight: Block, bias: Block | None, first: bool) -> None:
        self.weight, self.bias, self.first = weight, bias, first

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        weight = self.weight.value
        if self.first:
            self.batch = batch
            pieces = [
                products.shared(weight[a:b], rows.flatten(1).t())
                for (a, b), rows in zip(batch.spans, batch.x, strict=True)
            ]
            y = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        else:
            self.x = x
            y = products.batched(weight, x)
        return y if self.bias is None else y.add_(self.bias.value.unsqueeze(2))

    def backward(self, grad: Tensor) -> Tensor:
        if self.bias is not None:
            self.bias.grad = grad.sum(2)
        if self.first:
            pieces = [
                products.shared(grad[a:b], rows.flatten(1))
                for (a, b), rows in zip(self.batch.spans, self.batch.x, strict=True)
            ]
            self.weight.grad = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
            return grad  # nobody is before the first layer
        self.weight.grad = products.batched(grad, self.x.transpose(1, 2))
        return products.batched(self.weight.value.transpose(1, 2), grad)


class Conv2d:
    """weight [L, out, in, 3, 3], bias [L, out], padding 1: [L, B, in, H, W] -> [L, B, out, H, W], lane after lane."""

    def __init__(self, weight: Block, bias: Block | None, padding: tuple[int, int], first: bool) -> None:
        self.weight, self.bias, self.padding, self.first = weight, bias, padding, first

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        if self.first:
            self.inputs = [
                channels_last(rows) for (a, b), rows in zip(batch.spans, batch.x, strict=True) for _ in range(a, b)
            ]
        else:
            self.inputs = list(x.unbind(0))
        weight = self.weight.value
        biases = [None] * len(weight) if self.bias is None else self.bias.value.unbind(0)
        return stack(
            [
                torch.conv2d(rows, w, bias, padding=self.padding)
                for rows, w, bias in zip(self.inputs, weight.unbind(0), biases, strict=True)
            ]
        )

    def backward(self, grad: Tensor) -> Tensor:
        out = grad.shape[2]
        mask = [not self.first, True, self.bias is not None]
        results = [
            aten.convolution_backward(g, rows, w, [out], [1, 1], self.padding, [1, 1], False, [0, 0], 1, mask)
            for g, rows, w in zip(grad.unbind(0), self.inputs, self.weight.value.unbind(0), strict=True)
        ]
        self.weight.grad = torch.stack([weight.contiguous() for _, weight, _ in results])
        if self.bias is not None:
            self.bias.grad = torch.stack([bias for _, _, bias in results])
        return grad if self.first else stack([channels_last(gx) for gx, _, _ in results])


class BatchNorm:
    """Batch norm over L x C channels (Ioffe & Szegedy 2015). scale, shift, running_mean, running_var: [L, C].

    Training normalises with the batch's statistics and moves the running ones by `momentum` (the weight of the new
    statistic, the variance unbiased); evaluation normalises with the running ones.
    """

    def __init__(
        self, scale: Block | None, shift: Block | None, mean: Block, var: Block, momentum: float, eps: float
    ) -> None:
        self.scale, self.shift, self.mean, self.var = scale, shift, mean, var
        self.momentum, self.eps = momentum, eps

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.shape = x.shape
        # Per row of: one [1, L*C, B] for linear activations, each lane's [B, C, H, W] for images
        self.inputs = [x.reshape(1, -1, x.shape[2])] if x.dim() == 3 else list(x.unbind(0))
        self.saved = [
            aten.native_batch_norm(part, *state, training, self.momentum, self.eps)
            for part, state in zip(self.inputs, self._states(), strict=True)
        ]
        outputs = [saved[0] for saved in self.saved]
        return outputs[0].view(self.shape) if x.dim() == 3 else stack(outputs)

    def backward(self, grad: Tensor) -> Tensor:
        parts = [grad.reshape(self.inputs[0].shape)] if grad.dim() == 3 else list(grad.unbind(0))
        affine = self.scale is not None
        results = [
            aten.native_batch_norm_backward(
                g, x, state[0], *state[2:], *saved[1:], True, self.eps, [True, affine, affine]
            )
            for g, x, state, saved in zip(parts, self.inputs, self._states(), self.saved, strict=True)
        ]
        if self.scale is not None and self.shift is not None:
            self.scale.grad = torch.cat([scale for _, scale, _ in results]).view(self.scale.value.shape)
            self.shift.grad = torch.cat([shift for _, _, shift in results]).view(self.shift.value.shape)
        gradients = [gx for gx, _, _ in results]
        return gradients[0].view(self.shape) if grad.dim() == 3 else stack(gradients)

    def _states(self) -> list[list[Tensor | None]]:
        """Scale, shift and running statistics for each input: all lanes' in one row, or a lane's each."""
        blocks = [block.value if block else None for block in (self.scale, self.shift, self.mean, self.var)]
        if len(self.inputs) == 1:
            return [[None if value is None else value.view(-1) for value in blocks]]
        return [[None if value is None else value[lane] for value in blocks] for lane in range(len(self.inputs))]


class ReLU:
    """max(x, 0)."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.y = torch.relu(x)
        return self.y

    def backward(self, grad: Tensor) -> Tensor:
        result: Tensor = aten.threshold_backward(grad, self.y, 0)
        return result


class Tanh:
    """The hyperbolic tangent."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.y = torch.tanh(x)
        return self.y

    def backward(self, grad: Tensor) -> Tensor:
        result: Tensor = aten.tanh_backward(grad, self.y)
        return result


class Sigmoid:
    """1 / (1 + exp(-x)), composed: torch.sigmoid rounds the last elements of an array differently from the others."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.y = torch.neg(x).exp_().add_(1).reciprocal_()
        return self.y

    def backward(self, grad: Tensor) -> Tensor:
        result: Tensor = aten.sigmoid_backward(grad, self.y)
        return result


class GELU:
    """x times the normal distribution function (Hendrycks & Gimpel 2016), exact form."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.x = x
        return torch.nn.functional.gelu(x)

    def backward(self, grad: Tensor) -> Tensor:
        result: Tensor = aten.gelu_backward(grad, self.x)
        return result


class MaxPool2d:
    """2 x 2 max pooling, stride 2: [L, B, C, H, W] -> [L, B, C, H // 2, W // 2]."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.x = x.flatten(0, 1)
        y, self.indices = aten.max_pool2d_with_indices(self.x, [2, 2], [2, 2])
        return y.unflatten(0, x.shape[:2])  # type: ignore[no-any-return]

    def backward(self, grad: Tensor) -> Tensor:
        flat = aten.max_pool2d_with_indices_backward(
            grad.flatten(0, 1), self.x, [2, 2], [2, 2], [0, 0], [1, 1], False, self.indices
        )
        return flat.unflatten(0, grad.shape[:2])  # type: ignore[no-any-return]


class Flatten:
    """[L, B, C, H, W] -> [L, C*H*W, B]."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.shape = x.shape
        return x.permute(0, 2, 3, 4, 1).reshape(x.shape[0], -1, x.shape[1])

    def backward(self, grad: Tensor) -> Tensor:
        lanes, rows, channels, height, width = self.shape
        out = grad.new_empty(lanes, rows, height, width, channels).permute(0, 1, 4, 2, 3)
        return out.copy_(grad.view(lanes, channels, height, width, rows).permute(0, 4, 1, 2, 3))


class Dropout:
    """Drops each unit with its lane's probability p [L] and scales the rest by 1 / (1 - p); draws are the seed's own,
    so lanes of one seed share them (Srivastava et al. 2014)."""

    def __init__(self, p: Block) -> None:
        self.p = p

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.mask: Tensor | None = None
        p = self.p.value.view(-1, 1, 1)
        if not training or not bool(p.any()):
            return x
        self.mask = torch.empty_like(x)
        for (a, b), generator in zip(batch.spans, batch.generators, strict=True):
            draws = torch.rand(x.shape[1:], generator=generator).to(x.device)
            torch.ge(draws, p[a:b], out=self.mask[a:b])
        self.mask.div_(1 - p)
        return x * self.mask

    def backward(self, grad: Tensor) -> Tensor:
        return grad if self.mask is None else grad * self.mask


def channels_last(x: Tensor) -> Tensor:
    """[B, C, H, W] with the channels innermost in memory."""
    return x.contiguous(memory_format=torch.channels_last)


def stack(parts: list[Tensor]) -> Tensor:
    """L tensors [B, C, H, W] as one [L, B, C, H, W], channels innermost in memory."""
    if len(parts) == 1:
        return channels_last(parts[0]).unsqueeze(0)
    batch, channels, height, width = parts[0].shape
    out = parts[0].new_empty(len(parts), batch, height, width, channels).permute(0, 1, 4, 2, 3)
    for lane, part in enumerate(parts):
        out[lane].copy_(part)
    return out


ACTIVATIONS: dict[type[nn.Module], type[ReLU] | type[Tanh] | type[Sigmoid] | type[GELU]] = {
    nn.ReLU: ReLU,
    nn.Tanh: Tanh,
    nn.Sigmoid: Sigmoid,
    nn.GELU: GELU,
}
