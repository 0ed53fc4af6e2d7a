"""A training step on a CUDA device as one graph: captured once, replayed for every minibatch. Needs program's parts.

A step of small nets is hundreds of kernels of a few microseconds each, and launching them one by one from Python takes
longer than running them. A graph launches them all at once. Its tensors stay where they were at the capture, so what
changes from step to step is copied in: the minibatch, the labels, the position in the optimizer's tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sweep.engine.layers import Batch

Compute = Callable[[Batch, Tensor], None]


class StepGraph:
    """The captured form of `compute(batch, labels)`, which may change nothing but the tensors of `state()` in place.

    position: the step of the epoch that the optimizer's tables are read at, int64 [1] on the device.
    """

    def __init__(
        self,
        compute: Compute,
        batch: Batch,
        labels: Tensor,
        position: Tensor,
        state: Callable[[], Mapping[str, Tensor]],
    ) -> None:
        self.position = position
        self.batch = Batch(batch.spans, tuple(rows.clone() for rows in batch.x), batch.generators)
        self.labels = labels.clone()
        before = {name: tensor.clone() for name, tensor in state().items()}
        side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # libraries choose their kernels and make their workspaces before the capture
                compute(self.batch, self.labels)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            compute(self.batch, self.labels)
        for name, tensor in state().items():  # the warm-up has trained; the capture has not run
            tensor.copy_(before[name])

    def replay(self, batch: Batch, labels: Tensor, step: int) -> None:
        """The step for another minibatch of the same shape."""
        for kept, rows in zip(self.batch.x, batch.x, strict=True):
            kept.copy_(rows)
        self.labels.copy_(labels)
        self.position.fill_(step)
        self.graph.replay()
