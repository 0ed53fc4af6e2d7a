"""The losses, per lane: value of every row, correct predictions, gradient by the logits. Needs torch."""

from __future__ import annotations

import torch
from torch import Tensor

from sweep.hyperparameters import SQUARED_ERROR


def targets(labels: Tensor, classes: int, smoothing: Tensor | None, dtype: torch.dtype) -> Tensor:
    """labels [L, B] int64, smoothing [L] or None for 0 -> [L, K, B]: 1 - s at the label, s / K spread over all
    classes.
    """
    one_hot = torch.zeros(labels.shape[0], classes, labels.shape[1], dtype=dtype, device=labels.device)
    one_hot.scatter_(1, labels.unsqueeze(1), 1.0)
    if smoothing is None:
        return one_hot
    s = smoothing.view(-1, 1, 1)
    return one_hot * (1 - s) + s / classes


def cross_entropy(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """logits, target [L, K, B] -> cross-entropy in nats [L, B], and the gradient of its mean over B, [L, K, B]."""
    log_p = torch.log_softmax(logits, 1)
    loss = -(target * log_p).sum(1)
    return loss, (log_p.exp_() - target).div_(logits.shape[2])


def mse(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """logits, target [L, K, B] -> mean over K of (softmax - target)^2 [L, B], and the gradient of its mean over B."""
    p = torch.softmax(logits, 1)
    difference = p - target
    by_p = difference * (2 / (logits.shape[1] * logits.shape[2]))
    gradient = p * (by_p - (by_p * p).sum(1, keepdim=True))
    return difference.square_().mean(1), gradient


def mse_logits(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """logits, target [L, K, B] -> mean over K of (logits - target)^2 [L, B], and the gradient of its mean over B
    (Hui & Belkin 2020, "Evaluation of neural architectures trained with square loss vs cross-entropy")."""
    difference = logits - target
    gradient = difference * (2 / (logits.shape[1] * logits.shape[2]))
    return difference.square_().mean(1), gradient


LOSSES = {
    "cross_entropy": cross_entropy,
    "mse": mse,
    "mse_logits": mse_logits,
    SQUARED_ERROR: mse_logits,  # of a target that is a number there is one output: [L, 1, B]
}
