"""Matrix products over lanes that give each lane, to the last bit, what it would get alone. Needs torch.

BLAS promises nothing of the kind: one big product, a batch of products and a single one may sum in different
orders, depending on shapes, on where matrices lie in memory and on the processor. Measured: for most shapes they agree;
for a single row or column, or where a lane is no multiple of 64 bytes, they often do not. So the fast form of each shape
and place is compared once, on random numbers, with the product of each lane alone; where it differs, lanes go one by
one, each in memory of its own, which begins at a multiple of 64 bytes as that of a lone trial does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

Layout = tuple[tuple[int, ...], tuple[int, ...], int]
"""A tensor's shape, its strides, and how many numbers it begins after a multiple of 64 bytes."""


def batched(a: Tensor, b: Tensor, low: bool = False) -> Tensor:
    """a [L, m, k] @ b [L, k, n] -> [L, m, n]. low: of numbers rounded to bfloat16."""
    if low:
        return batched(a.bfloat16(), b.bfloat16()).to(a.dtype)
    if len(a) > 1 and _trusted(torch.bmm, _layout(a), _layout(b), a.dtype, a.device):
        return torch.bmm(a, b)
    return _one_by_one(a, b)


def shared(a: Tensor, b: Tensor, out: Tensor, low: bool = False) -> Tensor:
    """a [L, m, k] @ b [k, n], the same b for every lane -> out [L, m, n], as one big product. low: as in `batched`."""
    if low:
        a, b = a.bfloat16(), b.bfloat16()
        return out.copy_(shared(a, b, out.new_empty(out.shape, dtype=a.dtype)))
    if len(a) > 1 and not _trusted(_big, _layout(a), _layout(b), a.dtype, a.device):
        return out.copy_(_one_by_one(a, b))
    if not out.is_contiguous() or not _aligned(out):
        return out.copy_(_big(a, b) if len(a) > 1 else _one_by_one(a, b))
    torch.mm(_flat(a) if len(a) > 1 else _own(a[0]), b, out=out.flatten(0, 1))
    return out


def _big(a: Tensor, b: Tensor) -> Tensor:
    return torch.mm(_flat(a), b).view(*a.shape[:2], b.shape[1])


def _flat(a: Tensor) -> Tensor:
    return a.reshape(-1, a.shape[2])


def _one_by_one(a: Tensor, b: Tensor) -> Tensor:
    """The reference."""
    if len(a) == 1:
        return torch.mm(_own(a[0]), _own(b[0]) if b.dim() == 3 else b).unsqueeze(0)
    return torch.stack([torch.mm(a[lane].clone(), b[lane].clone() if b.dim() == 3 else b) for lane in range(len(a))])


def _own(x: Tensor) -> Tensor:
    """x in memory that begins at a multiple of 64 bytes."""
    return x if _aligned(x) else x.clone()


def _aligned(x: Tensor) -> bool:
    return x.data_ptr() % 64 == 0


def _layout(x: Tensor) -> Layout:
    return tuple(x.shape), x.stride(), x.data_ptr() % 64 // x.element_size()


@cache
def _trusted(
    fast: Callable[[Tensor, Tensor], Tensor], a: Layout, b: Layout, dtype: torch.dtype, device: torch.device
) -> bool:
    """Whether the fast form for matrices that lie so equals the reference in every bit of every lane, on this machine."""
    if device.type != "cpu":
        return True  # on other devices lanes agree to a tolerance, not to the bit
    generator = torch.Generator().manual_seed(sum(a[0]) + sum(b[0]))

    def draw(layout: Layout) -> Tensor:
        shape, strides, start = layout
        numbers = start + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) + 1
        return (torch.rand(numbers, dtype=dtype, generator=generator) - 0.5).as_strided(shape, strides, start)

    left, right = draw(a), draw(b)
    return torch.equal(fast(left, right), _one_by_one(left, right))
