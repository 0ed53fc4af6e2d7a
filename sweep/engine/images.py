"""The lane forms of a cnn's image layers: forward and backward on lists of images. Needs torch and layers' elementwise
ones.

Layout: images are a list of blocks [B, g C, H, W], each of g neighbouring lanes. On a CPU every lane is a block of its
own, so that nothing of it depends on its neighbours (a grouped convolution rounds otherwise than a lone one); on other
devices all lanes are one block. Blocks are in oneDNN's own layout where torch can train in it (float32 on most CPUs):
its pooling and batch norm are several times faster than those on plain tensors, and nothing is reordered between
layers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sweep.engine.layers import Batch, BatchNorm, Layer
from sweep.engine.parameters import Block

aten = torch.ops.aten
Images = list[Tensor]


@dataclass(frozen=True)
class Form:
    """How images lie in memory. together: all lanes in one block; opaque: in oneDNN's own layout."""

    together: bool
    opaque: bool

    def pack(self, x: Tensor) -> Tensor:
        """A plain block in this form."""
        return x.to_mkldnn() if self.opaque else x

    def split(self, value: Tensor) -> list[Tensor]:
        """A parameter or buffer [L, n, ...] -> for each block [g n, ...]."""
        return [value.flatten(0, 1)] if self.together else list(value.unbind(0))

    def store(self, block: Block, grads: list[Tensor]) -> None:
        """Fills a block's gradient with what each block of lanes has of it."""
        assert block.grad is not None
        for place, grad in enumerate(grads):
            target = block.grad if self.together else block.grad[place]
            target.copy_(grad.view(target.shape))


def form(device: torch.device, dtype: torch.dtype) -> Form:
    """The form for numbers of this type on this device."""
    together = device.type != "cpu"
    return Form(together, not together and dtype == torch.float32 and _opaque_trains())


@cache
def _opaque_trains() -> bool:
    """Whether this torch, on this processor, has every operation here in oneDNN's layout."""
    try:
        x, weight, ones = torch.rand(2, 1, 4, 4).to_mkldnn(), torch.rand(2, 1, 3, 3), torch.ones(2)
        y = torch.conv2d(x, weight, ones, padding=1)
        z, mean, var = aten.native_batch_norm(y, ones, ones, ones.clone(), ones.clone(), True, 0.1, 1e-5)
        pooled = _pool(z)
        grad = aten.threshold_backward(pooled, torch.relu_(pooled.clone()), 0)
        grad = aten.mkldnn_max_pool2d_backward(grad, pooled, z, [2, 2], [2, 2], [0, 0], [1, 1])
        grad, *_ = aten.native_batch_norm_backward(grad, y, ones, ones, ones, mean, var, True, 1e-5, [True] * 3)
        _conv_backward(torch.add(grad, grad.clone()), x, weight, 1, 1, [True, True, True])
    except (RuntimeError, NotImplementedError, AttributeError):
        return False
    return True


class Conv2d:
    """weight [L, out, in, k, k], k odd, bias [L, out], padding k // 2: blocks [B, g in, H, W] -> [B, g out, H, W].

    As the first layer it reads the batch itself. In evaluation a batch norm right after it (`norm`) is part of its
    weights.
    """

    def __init__(self, weight: Block, bias: Block | None, form: Form, first: bool, low: bool = False) -> None:
        self.weight, self.bias, self.form, self.first, self.low = weight, bias, form, first, low
        self.padding = weight.value.shape[-1] // 2
        self.norm: Norm | None = None

    def forward(self, images: Images, batch: Batch, training: bool) -> Images:
        weight, shift = self.weight.value, None if self.bias is None else self.bias.value
        if self.norm is not None and not training:
            scale, line = self.norm.inner.line()
            shift = line if shift is None else torch.addcmul(line, scale, shift)
            weight = weight * scale.view(*scale.shape, 1, 1, 1)
        if self.first:
            images = spread(batch, self.form)
        self.images = images if training else []
        weights = self.form.split(weight)
        shifts = [None] * len(weights) if shift is None else self.form.split(shift)
        groups = len(weight) // len(weights)
        if self.low:
            products = [
                torch.conv2d(_round(x), w.bfloat16(), padding=self.padding, groups=groups).float()
                for x, w in zip(images, weights, strict=True)
            ]
            return [
                self.form.pack(y if b is None else y.add_(b.view(-1, 1, 1)))
                for y, b in zip(products, shifts, strict=True)
            ]
        return [
            torch.conv2d(x, w, b, padding=self.padding, groups=groups)
            for x, w, b in zip(images, weights, shifts, strict=True)
        ]  # fmt: skip

    def backward(self, grads: Images) -> Images:
        weights = self.form.split(self.weight.value)
        groups = len(self.weight.value) // len(weights)
        wanted = [not self.first, True, self.bias is not None and not self.low]
        results = []
        for grad, x, weight in zip(grads, self.images, weights, strict=True):
            if self.low:
                down, of_weight, _ = _conv_backward(
                    _round(grad), _round(x), weight.bfloat16(), self.padding, groups, wanted
                )
                down = None if down is None else self.form.pack(down.float())
                of_bias = None if self.bias is None else _plain(grad).sum((0, 2, 3))
            else:
                down, of_weight, of_bias = _conv_backward(grad, x, weight, self.padding, groups, wanted)
            results.append([down, of_weight, of_bias])
        self.form.store(self.weight, [of_weight for _, of_weight, _ in results])
        if self.bias is not None:
            self.form.store(self.bias, [of_bias for _, _, of_bias in results])
        return grads if self.first else [down for down, _, _ in results]


class Norm:
    """Batch norm of images: what `layers.BatchNorm` (inner) is for vectors."""

    def __init__(self, inner: BatchNorm, form: Form) -> None:
        self.inner, self.form = inner, form
        self.folded = False
        """Whether in evaluation the layer before does all the work."""

    def forward(self, images: Images, batch: Batch, training: bool) -> Images:
        if self.folded and not training:
            return images
        inner = self.inner
        scale, shift = (torch.ones_like(inner.mean.value), torch.zeros_like(inner.mean.value))
        if inner.scale is not None and inner.shift is not None:
            scale, shift = inner.scale.value, inner.shift.value
        self.scales = self.form.split(scale)
        self.stats = [*zip(self.form.split(inner.mean.value), self.form.split(inner.var.value), strict=True)]
        of = zip(images, self.scales, self.form.split(shift), self.stats, strict=True)
        results = [
            aten.native_batch_norm(x, a, b, mean, var, training, inner.momentum, inner.eps)
            for x, a, b, (mean, var) in of
        ]
        self.images, self.saved = images if training else [], [(mean, var) for _, mean, var in results]
        return [y for y, _, _ in results]

    def backward(self, grads: Images) -> Images:
        of = zip(grads, self.images, self.scales, self.stats, self.saved, strict=True)
        results = [
            aten.native_batch_norm_backward(grad, x, a, *stats, *saved, True, self.inner.eps, [True, True, True])
            for grad, x, a, stats, saved in of
        ]
        if self.inner.scale is not None and self.inner.shift is not None:
            self.form.store(self.inner.scale, [of_scale for _, of_scale, _ in results])
            self.form.store(self.inner.shift, [of_shift for _, _, of_shift in results])
        return [down for down, _, _ in results]


class MaxPool2d:
    """2 x 2 max pooling, stride 2. The gradient goes to the first of equal maxima, row by row, as in torch."""

    def __init__(self, form: Form) -> None:
        self.form = form

    def forward(self, images: Images, batch: Batch, training: bool) -> Images:
        self.images = images if training else []  # memory that is given back now is still in the cache
        if self.form.opaque:
            if not training:
                return [torch.mkldnn_max_pool2d(x, 2) for x in images]
            self.pooled = [_pool(x) for x in images]
            return list(self.pooled)
        pairs = [aten.max_pool2d_with_indices(x, [2, 2]) for x in images]
        self.indices = [indices for _, indices in pairs]
        return [y for y, _ in pairs]

    def backward(self, grads: Images) -> Images:
        shape = [2, 2], [2, 2], [0, 0], [1, 1]
        if self.form.opaque:
            of = zip(grads, self.pooled, self.images, strict=True)
            return [aten.mkldnn_max_pool2d_backward(grad, y, x, *shape) for grad, y, x in of]
        taken = zip(grads, self.images, self.indices, strict=True)
        return [
            aten.max_pool2d_with_indices_backward(grad, x, *shape, False, indices)
            for grad, x, indices in taken
        ]  # fmt: skip


class AvgPool2d:
    """2 x 2 average pooling, stride 2, on plain numbers."""

    def __init__(self, form: Form) -> None:
        self.form = form

    def forward(self, images: Images, batch: Batch, training: bool) -> Images:
        self.images = images if training else []
        return [self.form.pack(aten.avg_pool2d(_plain(x), [2, 2])) for x in images]

    def backward(self, grads: Images) -> Images:
        shape = [2, 2], [2, 2], [0, 0], False, True, None
        of = zip(grads, self.images, strict=True)
        return [self.form.pack(aten.avg_pool2d_backward(_plain(grad), _plain(x), *shape)) for grad, x in of]


class Input:
    """The batch itself as images, where no convolution reads it."""

    def __init__(self, form: Form) -> None:
        self.form = form

    def forward(self, images: Images, batch: Batch, training: bool) -> Images:
        return spread(batch, self.form)

    def backward(self, grads: Images) -> Images:
        return grads


class ReLU:
    """max(x, 0)."""

    def forward(self, images: Images, batch: Batch, training: bool) -> Images:
        rectified = [torch.relu_(x) for x in images]
        self.images = rectified if training else []
        return rectified

    def backward(self, grads: Images) -> Images:
        return [aten.threshold_backward(grad, y, 0) for grad, y in zip(grads, self.images, strict=True)]


class Elementwise:
    """Another activation, of layers, on plain numbers."""

    def __init__(self, make: Callable[[], Layer], form: Form) -> None:
        self.make, self.form = make, form

    def forward(self, images: Images, batch: Batch, training: bool) -> Images:
        self.parts = [self.make() for _ in images]
        of = zip(self.parts, images, strict=True)
        return [self.form.pack(part.forward(_plain(x), batch, training)) for part, x in of]

    def backward(self, grads: Images) -> Images:
        return [self.form.pack(part.backward(_plain(grad))) for part, grad in zip(self.parts, grads, strict=True)]


class Flatten:
    """Blocks [B, g C, H, W] -> [L, C H W, B], what the layers of vectors read."""

    def __init__(self, form: Form) -> None:
        self.form = form

    def forward(self, images: Images, batch: Batch, training: bool) -> Tensor:
        lanes = batch.spans[-1][1]
        self.shape = images[0].shape
        rows = [_plain(x).reshape(self.shape[0], lanes // len(images), -1) for x in images]
        return torch.cat([x.permute(1, 2, 0) for x in rows]).contiguous()

    def backward(self, grad: Tensor) -> Images:
        blocks = [grad] if self.form.together else [x.unsqueeze(0) for x in grad.unbind(0)]
        return [self.form.pack(x.permute(2, 0, 1).reshape(self.shape)) for x in blocks]


def spread(batch: Batch, form: Form) -> Images:
    """The minibatches of the lanes' runs as blocks."""
    if not form.together:
        packed = [form.pack(rows) for rows in batch.x]
        return [x for x, (a, b) in zip(packed, batch.spans, strict=True) for _ in range(a, b)]
    return [torch.cat([x.repeat(1, b - a, 1, 1) for x, (a, b) in zip(batch.x, batch.spans, strict=True)], 1)]


def fuse(net: list[Layer]) -> list[Layer]:
    """The same layers, with what neighbours can do together: a convolution with the batch norm right after it (in
    evaluation), and ReLU after pooling, which is the same on a quarter of the numbers: both keep the order of numbers,
    and where a square's maximum is not positive, no gradient passes."""
    out: list[Layer] = []
    for layer in net:
        if isinstance(layer, MaxPool2d) and out and isinstance(out[-1], ReLU):
            out.insert(-1, layer)
        else:
            out.append(layer)
    for conv, norm in pairwise(out):
        if isinstance(conv, Conv2d) and isinstance(norm, Norm):
            conv.norm, norm.folded = norm, True
    return out


def _pool(x: Tensor) -> Tensor:
    """x pooled, in oneDNN's layout, with the places of the maxima, which it keeps for a backward pass only where torch
    thinks that it differentiates."""
    with torch.enable_grad():
        return torch.mkldnn_max_pool2d(x.detach().requires_grad_(), 2).detach()


def _conv_backward(grad: Tensor, x: Tensor, weight: Tensor, padding: int, groups: int, wanted: list[bool]) -> list[Any]:
    """The gradients of a convolution's input, weight and bias; None where not wanted."""
    down, of_weight, of_bias = aten.convolution_backward(
        grad, x, weight, [len(weight)], [1, 1], [padding] * 2, [1, 1], False, [0, 0], groups, wanted
    )
    return [down, of_weight, of_bias]


def _plain(x: Tensor) -> Tensor:
    return x.to_dense() if x.layout != torch.strided else x


def _round(x: Tensor) -> Tensor:
    """Plain numbers rounded to bfloat16, channels last, as its convolutions like them."""
    return _plain(x).bfloat16().contiguous(memory_format=torch.channels_last)
