"""Matrix products over lanes that give each lane, to the last bit, what it would get alone. Needs torch.

BLAS promises nothing of the kind: one big product, a batch of products and a single one may sum in different
orders, depending on shapes, alignment and the processor. Measured: for most shapes they agree, for a single row
or column, or where a lane is no multiple of 64 bytes, they often do not. So the fast form of each shape is
compared once, on random numbers, with the product of each lane alone; where it differs, lanes go one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor


def batched(a: Tensor, b: Tensor, low: bool = False) -> Tensor:
    """a [L, m, k] @ b [L, k, n] -> [L, m, n]. low: of numbers rounded to bfloat16."""
    if low:
        return batched(a.bfloat16(), b.bfloat16()).to(a.dtype)
    lanes, m, k = a.shape
    if lanes > 1 and _trusted(torch.bmm, lanes, m, k, b.shape[2], _flipped(a), _flipped(b), False, a.dtype, a.device):
        return torch.bmm(a, b)
    return _one_by_one(a, b)


def shared(a: Tensor, b: Tensor, out: Tensor, low: bool = False) -> Tensor:
    """a [L, m, k] @ b [k, n], the same b for every lane -> out [L, m, n], as one big product. low: as in `batched`."""
    if low:
        a, b = a.bfloat16(), b.bfloat16()
        return out.copy_(shared(a, b, out.new_empty(out.shape, dtype=a.dtype)))
    lanes, m, k = a.shape
    n = b.shape[1]
    if lanes > 1 and _trusted(_big, lanes, m, k, n, False, _flipped(b), True, a.dtype, a.device):
        if not out.is_contiguous():
            return out.copy_(_big(a, b))
        torch.mm(a.reshape(lanes * m, k), b, out=out.view(lanes * m, n))
        return out
    if lanes == 1 and out.is_contiguous():
        torch.mm(a[0], b, out=out[0])
        return out
    return out.copy_(_one_by_one(a, b))


def rows(a: Tensor, b: Tensor, out: Tensor, low: bool = False) -> None:
    """One lane's a [H, m, k] @ b [H, k, n] -> out [H, m, n]."""
    if low:
        out.copy_(torch.bmm(a.bfloat16(), b.bfloat16()))
    else:
        torch.bmm(a, b, out=out)


def _big(a: Tensor, b: Tensor) -> Tensor:
    lanes, m, k = a.shape
    return torch.mm(a.reshape(lanes * m, k), b).view(lanes, m, b.shape[1])


def _one_by_one(a: Tensor, b: Tensor) -> Tensor:
    """The reference. Lanes are copied first: memory of their own is aligned, as that of a lone trial is."""
    lanes = a.shape[0]
    if lanes == 1:
        return torch.mm(a[0], b[0] if b.dim() == 3 else b).unsqueeze(0)
    return torch.stack([torch.mm(a[lane].clone(), b[lane].clone() if b.dim() == 3 else b) for lane in range(lanes)])


def _flipped(x: Tensor) -> bool:
    """Whether the last two axes lie transposed in memory."""
    return x.stride(-1) != 1


@cache
def _trusted(
    fast: Callable[[Tensor, Tensor], Tensor],
    lanes: int,
    m: int,
    k: int,
    n: int,
    a_flipped: bool,
    b_flipped: bool,
    b_shared: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> bool:
    """Whether the fast form of this shape equals the reference in every bit of every lane, on this machine."""
    if device.type != "cpu":
        return True  # on other devices lanes agree to a tolerance, not to the bit
    generator = torch.Generator().manual_seed(lanes * m * k * n)

    def draw(rows: int, columns: int, flipped: bool, lane: bool) -> Tensor:
        shape = ((lanes,) if lane else ()) + ((columns, rows) if flipped else (rows, columns))
        x = torch.rand(shape, dtype=dtype, generator=generator) - 0.5
        return x.transpose(-1, -2) if flipped else x

    a, b = draw(m, k, a_flipped, True), draw(k, n, b_flipped, not b_shared)
    return torch.equal(fast(a, b), _one_by_one(a, b))
