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

STRIP_NUMBERS = 2**19
"""Numbers that a convolution with pooling leaves at a time in evaluation: few enough for a cache."""


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

    def __init__(self, weight: Block, bias: Block | None, first: bool, low: bool = False) -> None:
        self.weight, self.bias, self.first, self.low = weight, bias, first, low

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        weight = self.weight.value
        if self.first:
            self.batch = batch
            y = weight.new_empty(*weight.shape[:2], len(batch.x[0]))
            for (a, b), rows in zip(batch.spans, batch.x, strict=True):
                # A product with a transposed matrix is a third slower; an evaluation's few products don't repay a copy
                columns = rows.flatten(1).t()
                products.shared(weight[a:b], columns.contiguous() if training else columns, y[a:b], self.low)
        else:
            self.x = x
            y = products.batched(weight, x, self.low)
        return y if self.bias is None else y.add_(self.bias.value.unsqueeze(2))

    def backward(self, grad: Tensor) -> Tensor:
        if self.bias is not None:
            torch.sum(grad, 2, out=_grad(self.bias))
        weight_grad = _grad(self.weight)
        if self.first:
            for (a, b), rows in zip(self.batch.spans, self.batch.x, strict=True):
                products.shared(grad[a:b], rows.flatten(1), weight_grad[a:b], self.low)
            return grad  # nobody is before the first layer
        weight_grad.copy_(products.batched(grad, self.x.transpose(1, 2), self.low))
        return products.batched(self.weight.value.transpose(1, 2), grad, self.low)


class Conv2d:
    """weight [L, out, in, 3, 3], bias [L, out], padding 1: [L, in, H, W, B] -> [L, out, H, W, B], lane after lane.

    Each image row of the output is one product: the weights, [out, 9 in], with the three input rows around it in three
    copies shifted by a column, [9 in, W B], which is a view of `Frames`. In evaluation a batch norm right after it
    (`norm`) is part of its weights, and a pooling right after it (`pool`) is done here, a few image rows at a time.
    """

    def __init__(self, weight: Block, bias: Block | None, first: bool, low: bool = False) -> None:
        self.weight, self.bias, self.first, self.low = weight, bias, first, low
        self.norm: BatchNorm | None = None
        self.pool: MaxPool2d | None = None
        self.inputs, self.gradients = Frames(), Frames()

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        weight, shift = self.weight.value.permute(0, 1, 3, 4, 2), None if self.bias is None else self.bias.value
        if self.norm is not None and not training:
            scale, shift = self.norm.line()
            weight = weight * scale.view(*scale.shape, 1, 1, 1)
        if self.first:
            images = [rows.flatten(1).t().contiguous().view(1, *rows.shape[1:], len(rows)) for rows in batch.x]
            x = images[0] if len(images) == 1 else torch.cat(images)
        windows = self.inputs.windows(x)
        if self.first:
            windows = [one for one, (a, b) in zip(windows, batch.spans, strict=True) for _ in range(a, b)]
        pool = None if training else self.pool
        height, width = x.shape[2:4] if pool is None else (x.shape[2] // 2, x.shape[3] // 2)
        y = aligned_empty(weight, (weight.shape[1], height, width, x.shape[4]))
        for image, w, window in zip(y.unbind(0), weight.flatten(2).unbind(0), windows, strict=True):
            if pool is None:
                products.rows(w.expand(len(window), -1, -1), window, image.flatten(2).transpose(0, 1), self.low)
            else:
                self._pooled(image, w, window, x.shape[3])
        if shift is not None:  # a sum per channel commutes with pooling, to the bit
            y.add_(shift.view(*shift.shape, 1, 1, 1))
        self.windows = windows
        return y

    def _pooled(self, image: Tensor, weight: Tensor, windows: Tensor, width: int) -> None:
        """Fills image [out, H // 2, W // 2, B] with the pooled products of a few rows of windows [H, k, W B] at a time."""
        out, half, _, rows = image.shape
        step = max(1, STRIP_NUMBERS // (2 * out * windows.shape[2]))
        for top in range(0, half, step):
            strip = windows[2 * top : 2 * min(top + step, half)]
            z = weight.new_empty(out, len(strip), windows.shape[2])
            products.rows(weight.expand(len(strip), -1, -1), strip, z.transpose(0, 1), self.low)
            z = torch.maximum(z[:, 0::2], z[:, 1::2]).view(out, len(strip) // 2, width, rows)
            torch.maximum(z[:, :, 0 : width - 1 : 2], z[:, :, 1::2], out=image[:, top : top + step])

    def backward(self, grad: Tensor) -> Tensor:
        lanes, out, *image = grad.shape
        height, channels = image[0], self.weight.value.shape[2]
        if self.bias is not None:
            torch.sum(grad.flatten(2), 2, out=_grad(self.bias))
        sums = grad.new_empty(lanes, height, 9 * channels, out)
        for one, windows, total in zip(grad.flatten(3).unbind(0), self.windows, sums.unbind(0), strict=True):
            products.rows(windows, one.permute(1, 2, 0), total, self.low)
        _grad(self.weight).copy_(sums.sum(1).view(lanes, 3, 3, channels, out).permute(0, 4, 3, 1, 2))
        if self.first:
            return grad  # nobody is before the first layer
        # The same convolution with the weights turned round; a product for each column of them needs no copies
        weight = self.weight.value.flip(3, 4).permute(0, 4, 2, 3, 1).flatten(3)  # [L, 3, in, 3 out]
        result = aligned_empty(weight, (channels, *image))
        for lane, columns in enumerate(self.gradients.columns(grad)):
            y = result[lane].flatten(2).transpose(0, 1)
            for kx, window in enumerate(columns):
                w = weight[lane, kx].expand(height, -1, -1)
                if kx == 0:
                    products.rows(w, window, y, self.low)
                elif self.low:
                    y.add_(torch.bmm(w.bfloat16(), window.bfloat16()))
                else:
                    y.baddbmm_(w, window)
        return result


class Frames:
    """Images in frames of zeros, whose memory is kept from step to step."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], Tensor] = {}

    def windows(self, x: Tensor) -> list[Tensor]:
        """x [N, C, H, W, B] -> N of [H, 9 C, W B]: for each image row y, at (ky, kx, c), row y + ky - 1 of channel c
        shifted by kx - 1. They are valid until the next call with this shape."""
        n, channels, height, width, rows = x.shape
        flat, frame = self._frame(x, n, height + 2, 3, channels, width, rows)
        images, inside = x.transpose(1, 2), frame[:, 1:-1]
        inside[:, :, 0, :, 1:].copy_(images[:, :, :, :-1])
        inside[:, :, 1].copy_(images)
        inside[:, :, 2, :, :-1].copy_(images[:, :, :, 1:])
        line = width * rows
        return [one.as_strided((height, 9 * channels, line), (3 * channels * line, line, 1)) for one in flat.unbind(0)]

    def columns(self, x: Tensor) -> list[list[Tensor]]:
        """x [N, C, H, W, B] -> N of 3 of [H, 3 C, W B]: for each kx, at (ky, c), what `windows` has at (ky, kx, c)."""
        n, channels, height, width, rows = x.shape
        flat, frame = self._frame(x, n, height + 2, channels, width + 2, rows)
        frame[:, 1:-1, :, 1:-1].copy_(x.transpose(1, 2))
        line = (width + 2) * rows
        shape, stride = (height, 3 * channels, width * rows), (channels * line, line, 1)
        return [
            [one.as_strided(shape, stride, one.storage_offset() + kx * rows) for kx in range(3)]
            for one in flat.unbind(0)
        ]

    def _frame(self, like: Tensor, n: int, *shape: int) -> tuple[Tensor, Tensor]:
        """Zeros but for what earlier calls left, as [N, numbers], each lane aligned, and as [N, *shape]."""
        numbers = math.prod(shape)
        if (n, *shape) not in self._kept:
            self._kept[n, *shape] = like.new_zeros(n, aligned(numbers))
        flat = self._kept[n, *shape]
        return flat, flat[:, :numbers].view(n, *shape)


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
    maxima, row by row, as in torch."""

    def __init__(self) -> None:
        self.done = False
        """Whether in evaluation the convolution before has pooled already."""

    def forward(self, x: Tensor, batch: Batch, training: bool) -> Tensor:
        if self.done and not training:
            return x
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


@dataclass
class Rates:
    """The dropout probability of every lane, [L], shared by a net's dropout layers. any: whether one is not 0."""

    value: Tensor
    any: bool = True


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
    """The same layers, with what neighbours can do together: a convolution with the batch norm and the pooling right
    after it (in evaluation), and ReLU after pooling, which is the same on a quarter of the numbers: both keep the order
    of numbers, and where a square's maximum is not positive, no gradient passes."""
    out: list[Layer] = []
    for layer in net:
        if isinstance(layer, MaxPool2d) and out and isinstance(out[-1], ReLU):
            out.insert(-1, layer)
        else:
            out.append(layer)
    for conv, *rest in (out[i : i + 3] for i in range(len(out) - 2)):
        if isinstance(conv, Conv2d):
            if isinstance(rest[0], BatchNorm):
                conv.norm, rest[0].folded = rest[0], True
            pool = rest[1] if conv.norm else rest[0]
            if isinstance(pool, MaxPool2d):
                conv.pool, pool.done = pool, True
    return out
