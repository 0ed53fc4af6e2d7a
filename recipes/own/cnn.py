"""A network of yours: an ordinary torch.nn.Module. What its constructor takes can be swept."""

from typing import Literal

import torch
from torch import nn


class Net(nn.Module):
    """Two convolutions and a linear layer. in_shape and classes are filled in from the data."""

    def __init__(
        self,
        in_shape: tuple[int, int, int],
        classes: int,
        channels: int = 8,
        pooling: Literal["max", "average"] = "max",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        colours, height, width = in_shape
        self.first = nn.Conv2d(colours, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.pool = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(2 * channels * (height // 4) * (width // 4), classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.norm(self.first(x))))
        x = self.pool(torch.relu(self.second(x)))
        return self.last(self.dropout(x.flatten(1)))


class Skipping(Net):
    """The same, whose second convolution adds to what it is given, and so is no chain of layers."""

    def __init__(self, in_shape: tuple[int, int, int], classes: int, channels: int = 8) -> None:
        super().__init__(in_shape, classes, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.LazyLinear(classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.norm(self.first(x))))
        return self.last(self.pool(x + torch.relu(self.second(x))).flatten(1))
