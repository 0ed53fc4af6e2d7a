"""Label noise: which training rows get which random label. Needs streams."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sweep.engine.streams import stream


class Noise:
    """The noise of lanes of one seed. shares: of each lane, the rows whose label is drawn anew, in [0, 1].

    The seed puts the rows in an order and draws one label for each; a lane replaces the first of them.
    """

    def __init__(self, seed: int, shares: Sequence[float], labels: Tensor, classes: int) -> None:
        """labels: of all training rows, [N]."""
        draw, rows = stream(seed, "labels"), len(labels)
        place = torch.randperm(rows, generator=draw)
        drawn = torch.randint(classes, (rows,), generator=draw)
        self.place, self.drawn = place.to(labels.device), drawn.to(labels.device)
        self.counts = torch.tensor([[round(share * rows)] for share in shares], device=labels.device)  # [L, 1]

    def put(self, labels: Tensor, pick: Tensor) -> Tensor:
        """The labels of the picked rows [B] as each lane has them, [L, B]."""
        return torch.where(self.place[pick] < self.counts, self.drawn[pick], labels)
