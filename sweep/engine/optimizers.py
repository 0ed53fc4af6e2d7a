"""Adam, AdamW, SGD and RMSprop for L trials at once, every hyperparameter per lane; equal to torch.optim to rounding.

State is a dict of tensors [L, p] for each block; coefficients are tables [steps, L], made for an epoch at a time.
Every lane takes the same sequence of operations whoever its neighbours are; a hyperparameter that is 0 in a lane
adds 0 or multiplies by 1 there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sweep.engine.layers import Block
from sweep.hyperparameters import Setting


def column(settings: Sequence[Setting], name: str, absent: float = 0.0) -> Tensor:
    """One hyperparameter of all lanes, [L] float64; `absent` where it is inactive."""
    return torch.tensor([float(setting.get(name, absent)) for setting in settings], dtype=torch.float64)


def learning_rates(settings: Sequence[Setting], first: int, steps: int, epoch_steps: int) -> Tensor:
    """Learning rates of steps first .. first + steps - 1 (from 0), [steps, L] float64.

    Linear warm-up over `warmup_epochs`; cosine: half a cosine from there to the end (Loshchilov & Hutter 2017, without
    restarts); step: a tenth from 50% and a hundredth from 75% of all steps on (as He et al. 2015 do).
    """
    factors = []
    for setting in settings:
        total = int(setting["epochs"]) * epoch_steps
        warmup = float(setting["warmup_epochs"]) * epoch_steps
        factors.append(
            [_factor(str(setting["lr_schedule"]), step, total, warmup) for step in range(first, first + steps)]
        )
    return torch.tensor(factors, dtype=torch.float64).t() * column(settings, "lr")


def _factor(schedule: str, step: int, total: int, warmup: float) -> float:
    if step < warmup:
        return min(1.0, (step + 1) / warmup)
    if schedule == "cosine":
        begin = min(math.ceil(warmup), total - 1)
        return 0.5 * (1 + math.cos(math.pi * (step - begin) / (total - begin)))
    if schedule == "step":
        return 0.1 ** ((step >= 0.5 * total) + (step >= 0.75 * total))
    return 1.0


class Optimizer:
    """Updates the blocks of L lanes from their gradients. `settings`: one a lane, all of the same optimizer."""

    slots: tuple[str, ...] = ()

    def __init__(self, settings: Sequence[Setting], blocks: dict[str, Block], epoch_steps: int) -> None:
        self.blocks, self.epoch_steps = blocks, epoch_steps
        self.state: dict[str, dict[str, Tensor]] = {
            slot: {name: torch.zeros_like(block.value).flatten(1) for name, block in blocks.items()}
            for slot in self.slots
        }
        self.use(settings)

    def use(self, settings: Sequence[Setting]) -> None:
        """Takes the hyperparameters of the lanes that are there now."""
        self.settings = list(settings)
        value = next(iter(self.blocks.values())).value
        self.dtype, self.device = value.dtype, value.device
        self.weight_decay = column(settings, "weight_decay")
        self.decays = bool(self.weight_decay.any())
        self.prepare(settings)

    def begin_epoch(self, epoch: int) -> None:
        """Makes the coefficient tables of an epoch (from 1)."""
        first = (epoch - 1) * self.epoch_steps
        self.lr = learning_rates(self.settings, first, self.epoch_steps, self.epoch_steps)
        self.tables(self.lr, torch.arange(first + 1, first + self.epoch_steps + 1, dtype=torch.float64).view(-1, 1))

    def step(self, index: int) -> None:
        """One update, the index-th of the epoch (from 0)."""
        for name, block in self.blocks.items():
            assert block.grad is not None
            value, grad = block.value.flatten(1), block.grad.flatten(1)
            if self.decays and not isinstance(self, AdamW):
                grad = grad + value * self.constant(self.weight_decay)
            self.update(index, name, value, grad)

    def constant(self, values: Tensor) -> Tensor:
        """A per-lane value [L] in the form that multiplies a block, [L, 1]."""
        return values.to(self.device, self.dtype).view(-1, 1)

    def table(self, values: Tensor) -> Tensor:
        """A coefficient [steps, L] as [steps, L, 1]."""
        return values.to(self.device, self.dtype).unsqueeze(2)

    def prepare(self, settings: Sequence[Setting]) -> None:
        """Makes the per-lane constants."""

    def tables(self, lr: Tensor, t: Tensor) -> None:
        """Makes the coefficient tables. lr: [steps, L]; t: the step counted from 1, [steps, 1]."""

    def update(self, index: int, name: str, value: Tensor, grad: Tensor) -> None:
        """Updates one block in place. value, grad: [L, p]."""
        raise NotImplementedError


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), weight decay as an L2 penalty."""

    slots = ("mean", "square")

    def prepare(self, settings: Sequence[Setting]) -> None:
        self.beta1, self.beta2, self.eps = (column(settings, name) for name in ("beta1", "beta2", "eps"))
        self.w1, self.w2 = self.constant(1 - self.beta1), self.constant(1 - self.beta2)

    def tables(self, lr: Tensor, t: Tensor) -> None:
        bias1, bias2 = 1 - self.beta1**t, (1 - self.beta2**t).sqrt()
        # lr / bias1 * mean / (sqrt(square) / bias2 + eps), with the factors gathered so that each block is passed once less
        self.add, self.times = self.table(self.eps * bias2), self.table(bias1 / (lr * bias2))

    def update(self, index: int, name: str, value: Tensor, grad: Tensor) -> None:
        mean, square = self.state["mean"][name], self.state["square"][name]
        mean.lerp_(grad, self.w1)
        square.lerp_(grad * grad, self.w2)
        value.addcdiv_(mean, square.sqrt().add_(self.add[index]).mul_(self.times[index]), value=-1)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    def tables(self, lr: Tensor, t: Tensor) -> None:
        super().tables(lr, t)
        self.shrink = self.table(1 - lr * self.weight_decay)

    def update(self, index: int, name: str, value: Tensor, grad: Tensor) -> None:
        if self.decays:
            value.mul_(self.shrink[index])
        super().update(index, name, value, grad)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, plain or Nesterov's (Sutskever et al. 2013, as torch.optim writes it)."""

    slots: tuple[str, ...] = ("momentum",)

    def prepare(self, settings: Sequence[Setting]) -> None:
        self.momentum = self.constant(column(settings, "momentum"))
        self.moves = bool(self.momentum.any())
        self.nesterov = bool(settings[0].get("nesterov", False))

    def tables(self, lr: Tensor, t: Tensor) -> None:
        self.rate = self.table(lr)

    def update(self, index: int, name: str, value: Tensor, grad: Tensor) -> None:
        if self.moves:
            momentum = self.state["momentum"][name].mul_(self.momentum).add_(grad)
            grad = grad + momentum * self.momentum if self.nesterov else momentum
        value.sub_(grad * self.rate[index])


class RMSprop(SGD):
    """RMSprop (Tieleman & Hinton 2012), as torch.optim writes it; beta2 is its alpha."""

    slots = ("momentum", "square")

    def prepare(self, settings: Sequence[Setting]) -> None:
        super().prepare(settings)
        self.w2, self.eps = self.constant(1 - column(settings, "beta2")), self.constant(column(settings, "eps"))

    def update(self, index: int, name: str, value: Tensor, grad: Tensor) -> None:
        square = self.state["square"][name].lerp_(grad * grad, self.w2)
        super().update(index, name, value, grad / square.sqrt().add_(self.eps))


OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "adamw": AdamW, "sgd": SGD, "rmsprop": RMSprop}
