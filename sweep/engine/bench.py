"""One layer or loss on given numbers, by the lane forms that training runs: float64, one lane. Needs layers, losses.

Every function takes a batch as it is known outside, rows first, and gives plain arrays of the same layout.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweep.engine import layers, losses
from sweep.engine.parameters import Block
from sweep.engine.streams import stream
from sweep.errors import UsageError
from sweep.wording import count

Array = NDArray[np.float64]

LANE = layers.Batch(((0, 1),), ())
"""The one lane of a bench, for a layer that does not read the batch."""


def draw_normal(shape: Sequence[int], seed: int) -> Array:
    """The numbers of `torch.manual_seed(seed); torch.randn(shape)`."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double().numpy()


@dataclass(frozen=True)
class Scaled:
    """Batch norm of Wu and of c·Wu + b, the input being u and W the identity: what c and b change."""

    c: float
    b: float
    eps: float
    output: float
    """The largest difference of an output that c makes."""
    ratio: float
    """The norm of the gradient by c·W, over that of the gradient by W: 1/c where ε is 0."""
    gradient: float
    """The largest difference of c times the one gradient from the other, over the largest of the other."""
    shifted: float
    """The largest difference of an output that b makes."""


@dataclass(frozen=True)
class BatchNorm:
    """Batch norm of one batch (Ioffe & Szegedy 2015): y = γ (x - μ) / √(σ² + ε) + β, a channel at a time."""

    momentum: float
    eps: float
    gamma: Array
    beta: Array
    """γ and β, [C]."""
    numbers: int
    """m, the numbers of a channel: rows, times the places of an image."""
    mean: Array
    var: Array
    """μ and σ² with 1/m, [C]: what training normalises with."""
    var_unbiased: Array
    """With 1/(m - 1), [C]: what moves the running variance."""
    mean_before: Array
    var_before: Array
    mean_after: Array
    var_after: Array
    """Running statistics before and after the batch: after = (1 - momentum) before + momentum · the batch's."""
    normalised: Array
    """x̂ in training, before γ and β."""
    training: Array
    """y in training."""
    evaluation: Array
    """y of the same rows in evaluation, with the running statistics after the batch."""
    alone: Array
    """y of the first row alone in evaluation."""
    alone_evaluation: float
    """Its largest difference from the same row within the batch."""
    alone_training: float | None
    """The first row's largest difference in training when the batch loses its last row; None if one row is left."""
    scaled: tuple[Scaled, ...] = ()


def batch_norm(
    x: Array,
    momentum: float = 0.1,
    eps: float = 1e-5,
    gamma: Sequence[float] = (1.0,),
    beta: Sequence[float] = (0.0,),
    scale: float | None = None,
    shift: float = 0.0,
) -> BatchNorm:
    """Batch norm of rows [N, C] or images [N, C, H, W] from running statistics 0 and 1. gamma, beta: one for all
    channels, or one each. scale, shift: the c and b of `Scaled`. Raises UsageError."""
    channels = x.shape[1]
    affine = [_per_channel(values, channels, flag) for values, flag in ((gamma, "--gamma"), (beta, "--beta"))]
    numbers = x.size // channels
    if numbers < 2:
        raise UsageError(
            "batch_norm in training: one row has no variance; expected at least 2 rows (a row alone is shown in "
            "evaluation, beside a batch)"
        )

    def layer(eps: float = eps) -> layers.BatchNorm:
        scale, shift = (Block(values.clone(), torch.zeros_like(values)) for values in affine)
        mean, var = torch.zeros(1, channels).double(), torch.ones(1, channels).double()
        return layers.BatchNorm(scale, shift, Block(mean), Block(var), momentum, eps)

    norm, batch = layer(), _to_lane(x)
    before = [block.value.clone() for block in (norm.mean, norm.var)]
    training = norm.forward(batch.clone(), LANE, True)
    var = norm.over.square().reciprocal().sub(eps).clamp(min=0).flatten()
    if not eps and not bool(var.min() > 0):
        raise UsageError(f"--eps 0: channel {int(var.argmin())} does not vary, so σ² + ε is 0; expected ε above 0")
    evaluation = norm.forward(batch.clone(), LANE, False)
    alone = norm.forward(batch[:, :, :1].clone(), LANE, False)
    fewer = None
    if (numbers // len(x)) * (len(x) - 1) > 1:
        fewer = _difference(layer().forward(batch[:, :, :-1].contiguous(), LANE, True)[:, :, :1], training[:, :, :1])
    epsilons = dict.fromkeys((eps, 0.0) if bool(var.min() > 0) else (eps,))
    plain = layers.BatchNorm(None, None, Block(before[0].clone()), Block(before[1].clone()), momentum, eps)
    return BatchNorm(
        momentum=momentum,
        eps=eps,
        gamma=affine[0].flatten().numpy(),
        beta=affine[1].flatten().numpy(),
        numbers=numbers,
        mean=norm.batch_mean.flatten().numpy(),
        var=var.numpy(),
        var_unbiased=(var * numbers / (numbers - 1)).numpy(),
        mean_before=before[0].flatten().numpy(),
        var_before=before[1].flatten().numpy(),
        mean_after=norm.mean.value.flatten().numpy(),
        var_after=norm.var.value.flatten().numpy(),
        normalised=_to_rows(plain.forward(batch.clone(), LANE, True)),
        training=_to_rows(training),
        evaluation=_to_rows(evaluation),
        alone=_to_rows(alone)[0],
        alone_evaluation=_difference(alone, evaluation[:, :, :1]),
        alone_training=fewer,
        scaled=() if scale is None else tuple(_scale(batch, layer, small, scale, shift) for small in epsilons),
    )


def _scale(batch: Tensor, layer: Callable[[float], layers.BatchNorm], eps: float, scale: float, shift: float) -> Scaled:
    """What a weight matrix c times as large, or a bias b before it, changes of batch norm's output and gradient."""
    u = batch.flatten(2)
    channels = u.shape[1]
    upstream = torch.randn(u.shape, generator=torch.Generator().manual_seed(0)).double()

    def run(scale: float, shift: float) -> tuple[Tensor, Tensor]:
        weight = Block((scale * torch.eye(channels).double()).unsqueeze(0), torch.zeros(1, channels, channels).double())
        bias = Block(torch.full((1, channels), shift).double(), torch.zeros(1, channels).double())
        linear, norm = layers.Linear(weight, bias, first=False), layer(eps)
        y = norm.forward(linear.forward(u.clone(), LANE, True), LANE, True).clone()
        linear.backward(norm.backward(upstream.clone()))
        assert weight.grad is not None
        return y, weight.grad

    (y, grad), (large, large_grad), (shifted, _) = run(1.0, 0.0), run(scale, 0.0), run(1.0, shift)
    size = grad.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    return Scaled(
        scale,
        shift,
        eps,
        _difference(large, y),
        float(large_grad.norm() / grad.norm()),
        float((scale * large_grad - grad).abs().max() / size),
        _difference(shifted, y),
    )


@dataclass(frozen=True)
class Activation:
    """An activation at each number: its value and its derivative, of the input's shape."""

    value: Array
    derivative: Array


def activation(name: str, x: Array) -> Activation:
    """relu, tanh, sigmoid or gelu."""
    kinds = {kind.__name__.lower(): kind for kind in layers.ACTIVATIONS.values()}
    layer, batch = kinds[name](), _to_lane(x)
    value = layer.forward(batch.clone(), LANE, True).clone()
    return Activation(_to_rows(value), _to_rows(layer.backward(torch.ones_like(batch))))


@dataclass(frozen=True)
class Dropped:
    """Dropout of a batch (Srivastava et al. 2014)."""

    p: float
    training: Array
    """What is kept, divided by 1 - p; 0 for the rest."""
    evaluation: Array
    """The input, unchanged."""
    kept: float
    """The share of the numbers that is kept."""


def dropout(x: Array, p: float, seed: int) -> Dropped:
    """Dropout of rows [N, D] with the draws of a trial of this seed."""
    if x.ndim != 2:
        raise UsageError(f"dropout of shape {list(x.shape)}; expected rows [N, D]: it stands after layers of units")
    layer = layers.Dropout(layers.Rates(torch.tensor([p]).double(), any=p > 0))
    batch = layers.Batch(LANE.spans, (), (stream(seed, "dropout", 1),))
    training = layer.forward(_to_lane(x), batch, True)
    kept = 1.0 if layer.mask is None else float((layer.mask > 0).double().mean())
    return Dropped(p, _to_rows(training), _to_rows(layer.forward(_to_lane(x), batch, False)), kept)


@dataclass(frozen=True)
class Softmax:
    """Rows of logits as probabilities: p = exp(y) / Σ exp(y)."""

    probabilities: Array
    gap: Array
    """The largest minus the smallest logit of each row, [N]; the largest probability is exp(gap) times the smallest."""


def softmax(x: Array) -> Softmax:
    """The softmax of each row [N, K], as `mse` takes it."""
    _check_logits("softmax", x)
    return Softmax(torch.softmax(torch.from_numpy(x), 1).numpy(), x.max(1) - x.min(1))


@dataclass(frozen=True)
class Loss:
    """A loss of N rows of K logits, each by itself."""

    classes: int
    logits: Array
    """[N, K]."""
    targets: Array
    """[N, K], what a row should be: 1 at its label, or the probabilities given."""
    probabilities: Array
    """The softmax of the logits, [N, K]."""
    value: Array
    """[N]: nats for cross-entropy; the mean over the K classes for mse and mse_logits."""
    gradient: Array
    """By the row's own logits, [N, K]."""
    mean: float
    """Of the rows: the loss of the batch, whose gradient is 1/N of each row's."""
    least: int
    """The row with the least value, from 0."""


def loss(
    name: str,
    x: Array,
    labels: Sequence[int] | None = None,
    targets: Array | None = None,
    smoothing: float = 0.0,
    probabilities: bool = False,
) -> Loss:
    """cross_entropy, mse or mse_logits of logits [N, K], for a label a row, or for targets [N, K] or [1, K].
    probabilities: the rows are those instead; their logarithms are the logits. Raises UsageError."""
    _check_logits(name, x)
    rows, classes = x.shape
    if probabilities:
        if (x <= 0).any() or (abs(x.sum(1) - 1) > 1e-6).any():
            row = int(np.flatnonzero((x <= 0).any(1) | (abs(x.sum(1) - 1) > 1e-6))[0])
            raise UsageError(
                f"--probabilities: row {row + 1} is {_list(x[row])}; expected numbers above 0 with the sum 1"
            )
        x = np.log(x)
    if (labels is None) == (targets is None):
        raise UsageError(f"{name}: expected either --labels, a class a row, or --targets, a probability a class")
    if labels is not None:
        target = _label_targets(labels, rows, classes, smoothing)
    else:
        assert targets is not None
        target = _given_targets(targets, rows, classes)
    logits = torch.from_numpy(x).unsqueeze(2)  # every row is a lane of its own: [N, K, 1]
    value, gradient = losses.LOSSES[name](logits, target)
    values = value.flatten().numpy()
    return Loss(
        classes,
        x,
        target.squeeze(2).numpy(),
        torch.softmax(logits, 1).squeeze(2).numpy(),
        values,
        gradient.squeeze(2).numpy(),
        float(values.mean()),
        int(values.argmin()),
    )


def _label_targets(labels: Sequence[int], rows: int, classes: int, smoothing: float) -> Tensor:
    """[N, K, 1]; one label stands for every row."""
    if len(labels) not in (1, rows):
        raise UsageError(
            f"--labels: {count(len(labels), 'label')} for {count(rows, 'row')}; expected one a row, or one for all"
        )
    if (bad := next((label for label in labels if not 0 <= label < classes), None)) is not None:
        raise UsageError(f"--labels: {bad} is no class of {classes}; expected 0 to {classes - 1}")
    one_a_row = torch.tensor([*labels] * (rows if len(labels) == 1 else 1)).view(-1, 1)
    smooth = torch.full((rows,), smoothing, dtype=torch.float64) if smoothing else None
    return losses.targets(one_a_row, classes, smooth, torch.float64)


def _given_targets(targets: Array, rows: int, classes: int) -> Tensor:
    """[N, K, 1]; one row of targets stands for every row."""
    if targets.shape not in ((rows, classes), (1, classes)):
        raise UsageError(
            f"--targets: {list(targets.shape)} for logits {[rows, classes]}; expected {classes} numbers a row, or one "
            "row for all"
        )
    if (targets < 0).any() or (abs(targets.sum(1) - 1) > 1e-6).any():
        row = int(np.flatnonzero((targets < 0).any(1) | (abs(targets.sum(1) - 1) > 1e-6))[0])
        raise UsageError(f"--targets: row {row + 1} is {_list(targets[row])}; expected probabilities with the sum 1")
    return torch.from_numpy(np.broadcast_to(targets, (rows, classes)).copy()).unsqueeze(2)


def _check_logits(name: str, x: Array) -> None:
    if x.ndim != 2 or x.shape[1] < 2:
        raise UsageError(f"{name} of shape {list(x.shape)}; expected rows of logits [N, K], at least 2 classes")


def _per_channel(values: Sequence[float], channels: int, flag: str) -> Tensor:
    """[1, C]."""
    if len(values) not in (1, channels):
        raise UsageError(f"{flag}: {len(values)} numbers for {channels} channels; expected one, or one a channel")
    if not all(map(math.isfinite, values)):
        raise UsageError(f"{flag} {_list(values)}: expected finite numbers")
    return torch.tensor(values, dtype=torch.float64).expand(channels).clone().unsqueeze(0)


def _to_lane(x: Array) -> Tensor:
    """Rows first [N, C, ...] -> one lane, the batch after the channel: [1, C, N, ...]."""
    return torch.from_numpy(x).transpose(0, 1).unsqueeze(0).contiguous()


def _to_rows(y: Tensor) -> Array:
    """[1, C, N, ...] -> [N, C, ...]."""
    return y[0].transpose(0, 1).contiguous().numpy()


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def _list(values: Any) -> str:
    return ", ".join(f"{value:g}" for value in values)
