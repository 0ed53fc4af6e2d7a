"""The lane form of each kind of layer: forward and backward for L trials at once. Needs torch and products.

Layout: activations are [L, C, B] after a linear layer and [L, C, H, W, B] after a convolution, the batch innermost. So
a lane is one block of memory, and reductions over a batch run within it in an order that no neighbour can change; a
channel is one run of memory for batch norm; a convolution is a matrix product on shifted copies of its input; pooling
and padding move whole rows; and the L lanes of a first linear layer that share a minibatch are one matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from sweep.engine import products
from sweep.engine.parameters import Block, aligned

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
    """A layer of L lanes. `forward` keeps what `backward` needs; `backward` fills the grads of its blocks. Both may
    write over what they are given."""

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
            y = weight.new_empty(*weight.shape[:2], len(batch.x[0]))
            for (a, b), rows in zip(batch.spans, batch.x, strict=True):
                products.shared(weight[a:b], rows.flatten(1).t(), out=y[a:b])
        else:
            self.x = x
            y = products.batched(weight, x)
        return y if self.bias is None else y.add_(self.bias.value.unsqueeze(2))

    def backward(self, grad: Tensor) -> Tensor:
        if self.bias is not None:
            torch.sum(grad, 2, out=_grad(self.bias))
        weight_grad = _grad(self.weight)
        if self.first:
            for (a, b), rows in zip(self.batch.spans, self.batch.x, strict=True):
                products.shared(grad[a:b], rows.flatten(1), out=weight_grad[a:b])
            return grad  # nobody is before the first layer
        weight_grad.copy_(products.batched(grad, self.x.transpose(1, 2)))
        return products.batched(self.weight.value.transpose(1, 2), grad)


class Conv2d:
    """weight [L, out, in, 3, 3], bias [L, out], padding 1: [L, in, H, W, B] -> [L, out, H, W, B], lane after lane.

    Each image row of the output is one product: the weights, [out, 9 in], with the three input rows around it in three
    copies shifted by a column, [9 in, W B], which is a view of `Frames`. In evaluation a batch norm right after it
    (`norm`) is part of its weights, and what is added per channel waits for a pooling right after (`pooled`).
    """

    def __init__(self, weight: Block, bias: Block | None, first: bool) -> None:
        self.weight, self.bias, self.first = weight, bias, first
        self.norm: BatchNorm | None = None
        self.pooled = False
        self.shift: Tensor | None = None
        self.inputs, self.gradients = Frames(), Frames()

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        weight, shift = self.weight.value.permute(0, 1, 3, 4, 2), None if self.bias is None else self.bias.value
        if self.norm is not None and not training:
            scale, shift = self.norm.line()
            weight = weight * scale.view(*scale.shape, 1, 1, 1)
        if self.first:
            x = torch.stack([rows.flatten(1).t().reshape(*rows.shape[1:], len(rows)) for rows in batch.x])
        self.windows = self.inputs.windows(x)
        if self.first:
            spans = zip(self.windows, batch.spans, strict=True)
            self.windows = [window for window, (a, b) in spans for _ in range(a, b)]
        y = aligned_empty(weight, (weight.shape[1], *x.shape[2:]))
        self._rows_of(y, weight.flatten(2), self.windows)
        if shift is not None and (training or not self.pooled):
            y.add_(shift.view(*shift.shape, 1, 1, 1))
        self.shift = shift
        return y

    def backward(self, grad: Tensor) -> Tensor:
        lanes, out, *image = grad.shape
        channels = self.weight.value.shape[2]
        if self.bias is not None:
            torch.sum(grad.flatten(2), 2, out=_grad(self.bias))
        height = image[0]
        sums = grad.new_empty(lanes, height, 9 * channels, out)
        for lane, windows in enumerate(self.windows):
            rows = grad[lane].flatten(2).transpose(0, 1)
            torch.bmm(windows, rows.transpose(1, 2), out=sums[lane])
        _grad(self.weight).copy_(sums.sum(1).view(lanes, 3, 3, channels, out).permute(0, 4, 3, 1, 2))
        if self.first:
            return grad  # nobody is before the first layer
        weight = self.weight.value.flip(3, 4).permute(0, 2, 3, 4, 1)  # [L, in, 3, 3, out]
        result = aligned_empty(weight, (channels, *image))
        for lane in range(lanes):  # one lane's frame at a time: it is needed once
            windows = self.gradients.windows(grad[lane : lane + 1])
            self._rows_of(result[lane : lane + 1], weight[lane : lane + 1].flatten(2), windows)
        return result

    @staticmethod
    def _rows_of(y: Tensor, weight: Tensor, windows: list[Tensor]) -> None:
        """Fills y [L, C, H, W, B] with weight [L, C, k] @ windows, L of [H, k, W B]."""
        for image, w, window in zip(y.unbind(0), weight.unbind(0), windows, strict=True):
            torch.bmm(w.expand(len(window), -1, -1), window, out=image.flatten(2).transpose(0, 1))


class Frames:
    """Images in frames of zeros, thrice: as they are, and shifted by a column to either side. Kept from step to step."""

    def __init__(self) -> None:
        self._kept: dict[torch.Size, Tensor] = {}

    def windows(self, x: Tensor) -> list[Tensor]:
        """x [N, C, H, W, B] -> N of [H, 9 C, W B]: for each image row y, at (ky, kx, c), row y + ky - 1 of channel c
        shifted by kx - 1. They are valid until the next call with this shape."""
        n, channels, height, width, rows = x.shape
        flat = self._kept.get(x.shape)
        if flat is None:
            flat = x.new_zeros(n, aligned((height + 2) * 3 * channels * width * rows))
            self._kept[x.shape] = flat
        size = (height + 2) * 3 * channels * width * rows
        frame = flat[:, :size].view(n, height + 2, 3, channels, width, rows)
        images, inside = x.transpose(1, 2), frame[:, 1:-1]
        inside[:, :, 0, :, 1:].copy_(images[:, :, :, :-1])
        inside[:, :, 1].copy_(images)
        inside[:, :, 2, :, :-1].copy_(images[:, :, :, 1:])
        line = width * rows
        return [one.as_strided((height, 9 * channels, line), (3 * channels * line, line, 1)) for one in flat.unbind(0)]


class BatchNorm:
    """Batch norm over L x C channels (Ioffe & Szegedy 2015). scale, shift, running_mean, running_var: [L, C].

    Training normalises with the batch's statistics and moves the running ones by `momentum` (the weight of the new
    statistic, the variance unbiased); evaluation normalises with the running ones. A channel is one run of memory, so
    the statistics of the batch are those of a group norm with one channel a group, whose kernel is several times faster.
    """

    def __init__(
        self, scale: Block | None, shift: Block | None, mean: Block, var: Block, momentum: float, eps: float
    ) -> None:
        self.scale, self.shift, self.mean, self.var = scale, shift, mean, var
        self.momentum, self.eps = momentum, eps
        self.folded = False
        """Whether in evaluation the layer before does all the work."""

    def line(self) -> tuple[Tensor, Tensor]:
        """In evaluation the norm is a * x + b: a and b, [L, C]."""
        a = (self.var.value + self.eps).sqrt_().reciprocal_()
        if self.scale is None or self.shift is None:
            return a, -(self.mean.value * a)
        a = a * self.scale.value
        return a, self.shift.value - self.mean.value * a

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        if not training:
            if self.folded:
                return x
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


class MaxPool2d:
    """2 x 2 max pooling, stride 2: [L, C, H, W, B] -> [L, C, H // 2, W // 2, B]. The gradient goes to the first of equal
    maxima, row by row, as in torch. In evaluation it adds what the convolution before it left to it (`source`)."""

    def __init__(self) -> None:
        self.source: Conv2d | None = None

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.shape = x.shape
        (a, b), (c, d) = self._quarters(x)
        top, bottom = torch.maximum(a, b), torch.maximum(c, d)
        y = torch.maximum(top, bottom)
        if training:
            masks = [torch.empty_like(y) for _ in range(3)]
            self.masks = [
                torch.ge(one, other, out=mask)
                for one, other, mask in zip((a, c, top), (b, d, bottom), masks, strict=True)
            ]
        elif self.source is not None and self.source.shift is not None:
            shift = self.source.shift
            y.add_(shift.view(*shift.shape, 1, 1, 1))
        return y

    def backward(self, grad: Tensor) -> Tensor:
        height, width = self.shape[2:4]
        out = grad.new_empty(self.shape)
        out[:, :, height // 2 * 2 :].zero_()
        out[:, :, :, width // 2 * 2 :].zero_()
        above = grad * self.masks[2]
        for rows, mask, (left, right) in zip((above, grad - above), self.masks, self._quarters(out), strict=False):
            torch.mul(rows, mask, out=left)
            torch.sub(rows, left, out=right)
        return out

    @staticmethod
    def _quarters(x: Tensor) -> list[list[Tensor]]:
        """The four places of each 2 x 2 square, [[upper left, upper right], [lower left, lower right]]."""
        height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
        return [[x[:, :, i:height:2, j:width:2] for j in (0, 1)] for i in (0, 1)]


class Flatten:
    """[L, C, H, W, B] -> [L, C*H*W, B]."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        self.shape = x.shape
        return x.reshape(x.shape[0], -1, x.shape[-1])

    def backward(self, grad: Tensor) -> Tensor:
        return grad.reshape(self.shape)


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


def _grad(block: Block) -> Tensor:
    assert block.grad is not None
    return block.grad


def aligned_empty(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """[L, *shape] for as many lanes as `like` has, each lane aligned as a tensor of its own would be."""
    numbers = math.prod(shape)
    return like.new_empty(len(like), aligned(numbers))[:, :numbers].view(-1, *shape)


ACTIVATIONS: dict[type[nn.Module], type[ReLU] | type[Tanh] | type[Sigmoid] | type[GELU]] = {
    nn.ReLU: ReLU,
    nn.Tanh: Tanh,
    nn.Sigmoid: Sigmoid,
    nn.GELU: GELU,
}


def fuse(net: list[Layer]) -> list[Layer]:
    """The same layers, with what neighbours can do together: batch norm into a convolution's weights and the sum per
    channel after the pooling (both in evaluation only), and ReLU after pooling, which is the same on a quarter of the
    numbers: both keep the order of numbers, and where a square's maximum is not positive, no gradient passes."""
    out: list[Layer] = []
    for layer in net:
        before = out[-1] if out else None
        if isinstance(layer, BatchNorm) and isinstance(before, Conv2d):
            before.norm, layer.folded = layer, True
        if isinstance(layer, MaxPool2d) and isinstance(before, ReLU):
            out.insert(-1, layer)
        else:
            out.append(layer)
    for conv, *rest in (out[i:] for i in range(len(out))):
        if isinstance(conv, Conv2d):
            after = next((layer for layer in rest if not (isinstance(layer, BatchNorm) and layer is conv.norm)), None)
            if isinstance(after, MaxPool2d):
                conv.pooled, after.source = True, conv
    return out
