"""The lane form of each kind of layer of vectors: forward and backward for L trials at once. Needs torch and products.

Layout: activations are [L, C, B], the batch innermost. So a lane is one block of memory, and reductions over a batch
run within it in an order that no neighbour can change; a channel is one run of memory for batch norm; and the L lanes
of a first linear layer that share a minibatch are one matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sweep.engine import products
from sweep.engine.parameters import Block

aten = torch.ops.aten


@dataclass(frozen=True)
class Batch:
    """The minibatches of one step, one for each run of neighbouring lanes that share it.

    spans: (first lane, one past the last); x: one [B, ...] a span. generators: each span's dropout stream.
    """

    spans: tuple[tuple[int, int], ...]
    x: tuple[Tensor, ...]
    generators: tuple[torch.Generator, ...] = ()


class Layer(Protocol):
    """A layer of L lanes: of one tensor, or in `images` of a list of them. `forward` keeps what `backward` needs;
    `backward` fills the grads of its blocks. Both may write over what they are given."""

    def forward(self, x: Any, batch: Batch, training: bool) -> Any: ...

    def backward(self, grad: Any) -> Any: ...


class Linear:
    """weight [L, out, in], bias [L, out]: [L, in, B] -> [L, out, B]. As the first layer it reads the batch itself."""

    def __init__(self, weight: Block, bias: Block | None, first: bool, low: bool = False) -> None:
        self.weight, self.bias, self.first, self.low = weight, bias, first, low

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        weight = self.weight.value
        if self.first:
            self.batch = batch
            columns = [rows.flatten(1).t() for rows in batch.x]
            if len(columns) == 1:
                y = products.multiply_shared(weight, columns[0], None, self.low, again=training)
            else:
                y = weight.new_empty(*weight.shape[:2], len(batch.x[0]))
                for (a, b), some in zip(batch.spans, columns, strict=True):
                    products.multiply_shared(weight[a:b], some, y[a:b], self.low, again=training)
        else:
            self.x = x
            y = products.multiply(weight, x, self.low)
        return y if self.bias is None else y.add_(self.bias.value.unsqueeze(2))

    def backward(self, grad: Tensor) -> Tensor:
        if self.bias is not None:
            torch.sum(grad, 2, out=_grad(self.bias))
        weight_grad = _grad(self.weight)
        if self.first:
            if len(self.batch.x) == 1 and self.weight.loose:
                self.weight.grad = products.multiply_shared(grad, self.batch.x[0].flatten(1), None, self.low)
                return grad
            for (a, b), rows in zip(self.batch.spans, self.batch.x, strict=True):
                products.multiply_shared(grad[a:b], rows.flatten(1), weight_grad[a:b], self.low)
            return grad  # nobody is before the first layer
        products.multiply(grad, self.x.transpose(1, 2), self.low, out=weight_grad)
        return products.multiply(self.weight.value.transpose(1, 2), grad, self.low)


class Input:
    """The batch itself, where no layer reads it: -> [L, in, B]."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        rows = zip(batch.x, batch.spans, strict=True)
        return torch.cat([some.flatten(1).t().expand(b - a, -1, -1) for some, (a, b) in rows])

    def backward(self, grad: Tensor) -> Tensor:
        return grad


class BatchNorm:
    """Batch norm over L x C channels (Ioffe & Szegedy 2015). scale, shift, running_mean, running_var: [L, C].

    Training normalises with the batch's statistics and moves the running ones by `momentum` (the weight of the new
    statistic, the variance unbiased); evaluation normalises with the running ones. A channel is one run of memory, so
    the statistics of the batch are those of a group norm with one channel a group, whose kernel is several times
    faster.
    """

    def __init__(
        self, scale: Block | None, shift: Block | None, mean: Block, var: Block, momentum: float, eps: float
    ) -> None:
        self.scale, self.shift, self.mean, self.var = scale, shift, mean, var
        self.momentum, self.eps = momentum, eps

    def line(self) -> tuple[Tensor, Tensor]:
        """In evaluation the norm is a * x + b: a and b, [L, C]."""
        a = (self.var.value + self.eps).sqrt_().reciprocal_()
        if self.scale is None or self.shift is None:
            return a, -(self.mean.value * a)
        a = a * self.scale.value
        return a, self.shift.value - self.mean.value * a

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        if not training:
            a, b = (value.view(*value.shape, *[1] * (x.dim() - 2)) for value in self.line())
            return torch.addcmul(b, x, a)
        lanes, width = x.shape[:2]
        channels, numbers = lanes * width, math.prod(x.shape[2:])
        self.x = x.reshape(1, channels, numbers)
        self.weight = None if self.scale is None else self.scale.value.reshape(-1)
        shift = None if self.shift is None else self.shift.value.reshape(-1)
        y, mean, self.over = aten.native_group_norm(
            self.x, self.weight, shift, 1, channels, numbers, channels, self.eps
        )
        self.batch_mean = mean
        var = self.over.square().reciprocal_().sub_(self.eps).clamp_(min=0)
        self.mean.value.lerp_(mean.view(lanes, width), self.momentum)
        self.var.value.lerp_(var.view(lanes, width) * (numbers / max(1, numbers - 1)), self.momentum)
        return y.view(x.shape)  # type: ignore[no-any-return]

    def backward(self, grad: Tensor) -> Tensor:
        affine = self.scale is not None
        result, scale, shift = aten.native_batch_norm_backward(
            grad.reshape(self.x.shape), self.x, self.weight, None, None, self.batch_mean.view(-1), self.over.view(-1),
            True, self.eps, [True, affine, affine],
        )  # fmt: skip
        if self.scale is not None and self.shift is not None:
            _grad(self.scale).copy_(scale.view(self.scale.value.shape))
            _grad(self.shift).copy_(shift.view(self.shift.value.shape))
        return result.view(grad.shape)  # type: ignore[no-any-return]


class ReLU:
    """max(x, 0)."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.y = torch.relu_(x)
        return self.y

    def backward(self, grad: Tensor) -> Tensor:
        result: Tensor = aten.threshold_backward.grad_input(grad, self.y, 0, grad_input=grad)
        return result


class Tanh:
    """The hyperbolic tangent."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.y = torch.tanh_(x)
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


@dataclass
class Rates:
    """The dropout probability of every lane, [L]; of sweep's own nets shared by all dropout layers. any: whether one is
    not 0."""

    value: Tensor
    any: bool = True
    fixed: float | None = None
    """That of every lane, where a user's network says it, not the hyperparameter."""

    def use(self, rates: Tensor) -> None:
        """Takes the lanes that there are now, by the hyperparameter of each, [L]."""
        self.value = rates if self.fixed is None else torch.full_like(rates, self.fixed)
        self.any = bool(self.value.any())


class Dropout:
    """Drops each unit with its lane's probability p [L] and scales the rest by 1 / (1 - p); draws are the seed's own,
    so lanes of one seed share them (Srivastava et al. 2014)."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.mask: Tensor | None = None
        if not training or not self.rates.any:
            return x
        p = self.rates.value.view(-1, 1, 1)
        self.mask = torch.empty_like(x)
        for (a, b), generator in zip(batch.spans, batch.generators, strict=True):
            draws = torch.rand(x.shape[1:], generator=generator).to(x.device)
            torch.ge(draws, p[a:b], out=self.mask[a:b])
        self.mask.div_(1 - p)
        return x * self.mask

    def backward(self, grad: Tensor) -> Tensor:
        return grad if self.mask is None else grad * self.mask


def _grad(block: Block) -> Tensor:
    assert block.grad is not None
    return block.grad


ACTIVATIONS: dict[type[nn.Module], type[ReLU] | type[Tanh] | type[Sigmoid] | type[GELU]] = {
    nn.ReLU: ReLU,
    nn.Tanh: Tanh,
    nn.Sigmoid: Sigmoid,
    nn.GELU: GELU,
}
