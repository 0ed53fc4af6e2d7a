"""Which kernel for the engine's products: torch's own (MKL on most machines) beside oneDNN's, one core, GFLOP/s.

python tests/benchmarks/kernels.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from sweep.engine import products

BATCH, INPUTS = 128, 784
FIRST = [(18, 64), (9, 256), (12, 32), (1, 64)]
"""First layers, whose lanes share a minibatch: lanes, units."""
HIDDEN = [(9, 256), (12, 128), (18, 64)]
"""Hidden layers, each lane a product of its own: lanes, units."""
TIMES = 15


def speed(operations: int, product: Callable[[], object]) -> str:
    """GFLOP/s, the median of some."""
    product()
    seconds = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - begin)
    return f"{operations / sorted(seconds)[TIMES // 2] / 1e9:.0f}"


def pair(a: Tensor, b: Tensor) -> list[str]:
    """Both kernels on a [L, m, k] and b, [k, n] for all lanes or [L, k, n]."""
    operations = 2 * a.numel() * b.shape[-1]
    if b.dim() == 2:
        flat = a.flatten(0, 1)
        return [speed(operations, partial(kernel, flat, b)) for kernel in (torch.mm, products._onednn)]
    each = [*zip(a.unbind(0), b.unbind(0), strict=True)]
    return [
        speed(operations, lambda: torch.bmm(a, b)),
        speed(operations, lambda: [products._onednn(left, right) for left, right in each]),
    ]


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    print(
        "| lanes x units, batch 128 | forward torch | oneDNN | weights' gradient torch | oneDNN "
        "|\n|---|---:|---:|---:|---:|"
    )
    for lanes, units in FIRST:
        rows, grad = torch.rand(BATCH, INPUTS), torch.rand(lanes, units, BATCH)
        cells = [*pair(torch.rand(lanes, units, INPUTS), rows.t()), *pair(grad, rows)]
        print(f"| first layer, {lanes} x {units} | {' | '.join(cells)} |")
    for lanes, units in HIDDEN:
        x, grad = torch.rand(lanes, units, BATCH), torch.rand(lanes, units, BATCH)
        cells = [*pair(torch.rand(lanes, units, units), x), *pair(grad, x.transpose(1, 2))]
        print(f"| hidden layer, {lanes} x {units} | {' | '.join(cells)} |")
    print(f"\nused for large products here: {'oneDNN' if products._onednn_leads() else 'torch'}")


if __name__ == "__main__":
    main()
