"""Matrix products over lanes that give each lane, to the last bit, what it would get alone. Needs torch.

BLAS promises nothing of the kind: one big product, a batch of products and a single one may sum in different orders,
depending on shapes, on where matrices lie in memory and on the processor. Measured: for most shapes they agree; for a
single row or column, or where a lane is no multiple of 64 bytes, they often do not. So the fast form of each shape and
place is compared once, on random numbers, with the product of each lane alone; where it differs, lanes go one by one,
each in memory of its own, which begins at a multiple of 64 bytes as that of a lone trial does.

There are two kernels: torch's own, which is MKL on most machines, and oneDNN's. MKL keeps to AVX2 on processors that
are not Intel's; where those have AVX-512, oneDNN is twice as fast (`tests/benchmarks/README.md`), but takes longer to
begin. Which one is used follows from the processor and the sizes of one lane's product, so that no bit depends on
company.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache

import torch
from torch import Tensor

from sweep.speed import processor

Layout = tuple[tuple[int, ...], tuple[int, ...], int]
"""A tensor's shape, its strides, and how many numbers it begins after a multiple of 64 bytes."""

Kernel = Callable[[Tensor, Tensor], Tensor]
"""a [m, k], b [k, n] -> their product [m, n]."""

WORTH_SHARED = 2**20
"""Multiply-adds of a lane's product from which on oneDNN's kernel is worth its beginning, where lanes begin
together.
"""

WORTH_ALONE = 2**22
"""The same where each lane has a call of its own."""


def multiply(a: Tensor, b: Tensor, low: bool = False, out: Tensor | None = None) -> Tensor:
    """a [L, m, k] @ b [L, k, n] -> [L, m, n], in `out` if given. low: of numbers rounded to bfloat16."""
    if low:
        result = multiply(a.bfloat16(), b.bfloat16()).to(a.dtype)
    elif (kernel := kernel_for(a, b, WORTH_ALONE)) is not torch.mm:
        if len(a) > 1 and _is_trusted(_each, kernel, _layout(a), _layout(b), a.dtype, a.device):
            return _each(a, b, kernel, out)
        result = _multiply_one_by_one(a, b, kernel)
    elif len(a) > 1 and _is_trusted(_bmm, kernel, _layout(a), _layout(b), a.dtype, a.device):
        result = torch.bmm(a, b)
    else:
        result = _multiply_one_by_one(a, b, kernel)
    return result if out is None else out.copy_(result)


def multiply_shared(a: Tensor, b: Tensor, out: Tensor | None = None, low: bool = False, again: bool = False) -> Tensor:
    """a [L, m, k] @ b [k, n], the same b for every lane -> [L, m, n], as one big product, in `out` if given.

    low: as in `batched`; again: whether there are many products of this shape, so that a transposed b is worth a copy:
    with MKL on Intel's processors its product takes a third longer.
    """
    if low:
        result = multiply_shared(a.bfloat16(), b.bfloat16(), again=again)
        return result.to(a.dtype) if out is None else out.copy_(result)
    kernel = kernel_for(a, b, WORTH_SHARED)
    if again and kernel is torch.mm:
        b = b.contiguous()
    big = len(a) > 1 and _is_trusted(_big, kernel, _layout(a), _layout(b), a.dtype, a.device)
    if kernel is torch.mm and (big or len(a) == 1) and out is not None and out.is_contiguous() and _is_aligned(out):
        torch.mm(_flat(a) if big else _own(a[0]), b, out=out.flatten(0, 1))
        return out
    result = _big(a, b, kernel) if big else _multiply_one_by_one(a, b, kernel)
    return result if out is None else out.copy_(result)


def kernel_for(a: Tensor, b: Tensor, worth: int = WORTH_SHARED) -> Kernel:
    """The kernel for lanes' products a [L, m, k] @ b [..., k, n]."""
    if a.dtype == torch.float32 and a.device.type == "cpu" and a[0].numel() * b.shape[-1] >= worth and _onednn_leads():
        return _onednn
    return torch.mm


@cache
def _onednn_leads() -> bool:
    """Whether this processor has AVX-512, is not Intel's, and torch has oneDNN."""
    there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not there:
        return False
    with suppress(AttributeError, RuntimeError):
        _onednn(torch.ones(2, 2), torch.ones(2, 2))
        return (said := processor()) != "" and "GenuineIntel" not in said
    return False


def _onednn(a: Tensor, b: Tensor) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b.t(), None, "none", [], "")
    return product


def _bmm(a: Tensor, b: Tensor, _: Kernel) -> Tensor:
    return torch.bmm(a, b)


def _each(a: Tensor, b: Tensor, kernel: Kernel, out: Tensor | None = None) -> Tensor:
    out = a.new_empty(*a.shape[:2], b.shape[2]) if out is None else out
    for left, right, result in zip(a.unbind(0), b.unbind(0), out.unbind(0), strict=True):
        result.copy_(kernel(left, right))
    return out


def _big(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    return kernel(_flat(a), b).view(*a.shape[:2], b.shape[1])


def _flat(a: Tensor) -> Tensor:
    return a.reshape(-1, a.shape[2])


def _multiply_one_by_one(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    """The reference."""
    if len(a) == 1:
        return kernel(_own(a[0]), _own(b[0]) if b.dim() == 3 else b).unsqueeze(0)
    return torch.stack([kernel(a[lane].clone(), b[lane].clone() if b.dim() == 3 else b) for lane in range(len(a))])


def _own(x: Tensor) -> Tensor:
    """x in memory that begins at a multiple of 64 bytes."""
    return x if _is_aligned(x) else x.clone()


def _is_aligned(x: Tensor) -> bool:
    return x.data_ptr() % 64 == 0


def _layout(x: Tensor) -> Layout:
    return tuple(x.shape), x.stride(), x.data_ptr() % 64 // x.element_size()


@cache
def _is_trusted(
    fast: Callable[[Tensor, Tensor, Kernel], Tensor],
    kernel: Kernel,
    a: Layout,
    b: Layout,
    dtype: torch.dtype,
    device: torch.device,
) -> bool:
    """Whether the fast form for matrices that lie so equals the reference in every bit of every lane, on this
    machine.
    """
    if device.type != "cpu":
        return True  # on other devices lanes agree to a tolerance, not to the bit
    generator = torch.Generator().manual_seed(sum(a[0]) + sum(b[0]))

    def draw(layout: Layout) -> Tensor:
        shape, strides, start = layout
        numbers = start + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) + 1
        return (torch.rand(numbers, dtype=dtype, generator=generator) - 0.5).as_strided(shape, strides, start)

    left, right = draw(a), draw(b)
    return torch.equal(fast(left, right, kernel), _multiply_one_by_one(left, right, kernel))
