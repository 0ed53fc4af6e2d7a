"""Adam, AdamW, SGD, RMSprop and AdaGrad for L trials at once, every hyperparameter per lane; equal to torch.optim to
rounding.

State is, for each slot, one flat tensor [L, P] beside each of the parameters' own. Every lane takes the same sequence
of operations whoever its neighbours are; a hyperparameter that is 0 in a lane adds 0 or multiplies by 1 there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sweep.engine.parameters import Parameters
from sweep.hyperparameters import Setting
from sweep.space import total_steps


def column(settings: Sequence[Setting], name: str, absent: float = 0.0) -> Tensor:
    """One hyperparameter of all lanes, [L] float64; `absent` where it is inactive."""
    return torch.tensor([float(setting.get(name, absent)) for setting in settings], dtype=torch.float64)


def learning_rates(settings: Sequence[Setting], first: int, steps: int, epoch_steps: int) -> Tensor:
    """Learning rates of steps first .. first + steps - 1 (from 0), [steps, L] float64.

    Linear warm-up over `warmup_epochs`; cosine: half a cosine from there to the end (Loshchilov & Hutter 2017, without
    restarts); step: a tenth from 50% and a hundredth from 75% of all steps on (as He et al. 2015 do).
    """
    curves: dict[tuple[str, int, float], list[float]] = {}
    factors = []
    for setting in settings:
        total = total_steps(setting, epoch_steps)
        curve = str(setting["lr_schedule"]), total, float(setting["warmup_epochs"]) * epoch_steps
        if curve not in curves:
            curves[curve] = [schedule_factor(*curve, step) for step in range(first, first + steps)]
        factors.append(curves[curve])
    return torch.tensor(factors, dtype=torch.float64).t() * column(settings, "lr")


def schedule_factor(schedule: str, total: int, warmup: float, step: int) -> float:
    """What a learning rate is multiplied by at a step (from 0) of `total`."""
    if step < warmup:
        return min(1.0, (step + 1) / warmup)
    if schedule == "cosine":
        begin = min(math.ceil(warmup), total - 1)
        return 0.5 * (1 + math.cos(math.pi * (step - begin) / (total - begin)))
    if schedule == "step":
        return 0.1 ** ((step >= 0.5 * total) + (step >= 0.75 * total))
    return 1.0


class Optimizer:
    """Updates the parameters of L lanes from their gradients. `settings`: one a lane, all of the same optimizer."""

    slots: tuple[str, ...] = ()
    decoupled = False
    """Whether weight decay is no part of the gradient."""

    def __init__(self, settings: Sequence[Setting], parameters: Parameters, epoch_steps: int) -> None:
        self.parameters, self.epoch_steps = parameters, epoch_steps
        self.position: Tensor | None = None
        self._tables: dict[str, Tensor] = {}
        self.state = {slot: [torch.zeros_like(value) for value in parameters.values] for slot in self.slots}
        self.use(settings)

    def keep(self, settings: Sequence[Setting], index: Tensor) -> None:
        """Goes on with the lanes of an index only, whose settings these are; the parameters already have."""
        self.state = {slot: [tensor[index] for tensor in tensors] for slot, tensors in self.state.items()}
        self.use(settings)

    def use(self, settings: Sequence[Setting]) -> None:
        """Takes the hyperparameters of the lanes that are there now."""
        self.settings = list(settings)
        self.dtype, self.device = self.parameters.values[0].dtype, self.parameters.values[0].device
        self.weight_decay = column(settings, "weight_decay")
        self.decays = bool(self.weight_decay.any())
        self.prepare(settings)

    def begin_epoch(self, epoch: int) -> None:
        """Makes the coefficient tables of an epoch (from 1)."""
        before = (epoch - 1) * self.epoch_steps
        self.begin(before, learning_rates(self.settings, before, self.epoch_steps, self.epoch_steps))

    def begin(self, before: int, lr: Tensor) -> None:
        """Makes the coefficient tables of some steps, those after `before`. lr: [steps, L] float64."""
        self.before, self.lr = before, lr
        self.tables(lr, torch.arange(before + 1, before + len(lr) + 1, dtype=torch.float64).view(-1, 1))

    def step(self, index: int) -> None:
        """One update, the index-th of the epoch (from 0)."""
        for group, (value, grad) in enumerate(zip(self.parameters.values, self.parameters.grads, strict=True)):
            if self.decays and not self.decoupled:
                grad.addcmul_(value, self.constant(self.weight_decay))
            self.update(index, group, value, grad)

    def at(self, table: Tensor, index: int) -> Tensor:
        """A table's coefficients [L, 1] of a step. A captured step reads them where `position` says."""
        return table[index] if self.position is None else table.index_select(0, self.position)[0]

    def constant(self, values: Tensor) -> Tensor:
        """A per-lane value [L] in the form that multiplies a flat tensor, [L, 1]."""
        return values.to(self.device, self.dtype).view(-1, 1)

    def table(self, name: str, values: Tensor) -> Tensor:
        """A coefficient [steps, L] as [steps, L, 1]; where it has been made for an epoch before, in the same memory."""
        new = values.to(self.dtype).unsqueeze(2)
        old = self._tables.get(name)
        self._tables[name] = new.to(self.device) if old is None or old.shape != new.shape else old.copy_(new)
        return self._tables[name]

    def prepare(self, settings: Sequence[Setting]) -> None:
        """Makes the per-lane constants."""

    def tables(self, lr: Tensor, t: Tensor) -> None:
        """Makes the coefficient tables. lr: [steps, L]; t: the step counted from 1, [steps, 1]."""

    def update(self, index: int, group: int, value: Tensor, grad: Tensor) -> None:
        """Updates one flat tensor in place. value, grad: [L, P]; grad may be written over."""
        raise NotImplementedError


FUSED = ("cpu",)
"""Devices on which Adam goes lane by lane through torch's fused kernel, if a lane has more than one number."""


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), weight decay as an L2 penalty.

    On a CPU each lane is one call of torch's fused kernel, a single pass over its numbers, with its own
    hyperparameters; elsewhere all lanes go through each operation together.
    """

    slots: tuple[str, ...] = ("mean", "square")
    kernel = staticmethod(torch._fused_adam_)

    def prepare(self, settings: Sequence[Setting]) -> None:
        self.fused = self.device.type in FUSED and self.parameters.values[0].shape[1] > 1
        self.beta1, self.beta2, self.eps = (column(settings, name) for name in ("beta1", "beta2", "eps"))
        if not self.fused:
            self.w1, self.w2 = self.constant(1 - self.beta1), self.constant(1 - self.beta2)
            return
        kept = (_by_lane(tensors) for tensors in (self.parameters.values, self.state["mean"], self.state["square"]))
        self.grads = _by_lane(self.parameters.grads)
        names = ("beta1", "beta2", "weight_decay", "eps")
        constants = [{name: float(setting[name]) for name in names} for setting in settings]
        self.lanes = [*zip(*kept, constants, strict=True)]

    def tables(self, lr: Tensor, t: Tensor) -> None:
        if self.fused:
            self.rates = lr.tolist()
            self.count = torch.zeros((), dtype=torch.float32)
            self.counts = [self.count] * len(self.parameters.values)
            return
        bias1, bias2 = 1 - self.beta1**t, (1 - self.beta2**t).sqrt()
        # lr / bias1 * mean / (sqrt(square) / bias2 + eps), with the factors gathered so that each block is passed once
        # less
        self.add, self.times = self.table("add", self.eps * bias2), self.table("times", bias1 / (lr * bias2))
        self.shrink = self.table("shrink", 1 - lr * self.weight_decay)

    def step(self, index: int) -> None:
        if not self.fused:
            super().step(index)
            return
        self.count.fill_(self.before + index + 1)
        if self.parameters.loose:
            self.grads = _by_lane(self.parameters.grads)
        of = zip(self.lanes, self.grads, self.rates[index], strict=True)
        for (values, means, squares, constants), grads, lr in of:
            self.kernel(
                values, grads, means, squares, [], self.counts, lr=lr, amsgrad=False, maximize=False, **constants
            )  # fmt: skip

    def update(self, index: int, group: int, value: Tensor, grad: Tensor) -> None:
        mean, square = self.state["mean"][group], self.state["square"][group]
        if self.decays and self.decoupled:
            value.mul_(self.at(self.shrink, index))
        mean.lerp_(grad, self.w1)
        square.lerp_(grad * grad, self.w2)
        rate = square.sqrt().add_(self.at(self.add, index)).mul_(self.at(self.times, index))
        value.addcdiv_(mean, rate, value=-1)


def _by_lane(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Flat tensors [L, P] -> for each lane, its numbers in each."""
    return [list(lane) for lane in zip(*(tensor.unbind(0) for tensor in tensors), strict=True)]


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    kernel = staticmethod(torch._fused_adamw_)
    decoupled = True


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, plain or Nesterov's (Sutskever et al. 2013, as torch.optim writes
    it).
    """

    slots: tuple[str, ...] = ("momentum",)

    def prepare(self, settings: Sequence[Setting]) -> None:
        self.momentum = self.constant(column(settings, "momentum"))
        self.moves = bool(self.momentum.any())
        self.nesterov = bool(settings[0].get("nesterov", False))

    def tables(self, lr: Tensor, t: Tensor) -> None:
        self.rate = self.table("lr", lr)

    def update(self, index: int, group: int, value: Tensor, grad: Tensor) -> None:
        if self.moves:
            momentum = self.state["momentum"][group].mul_(self.momentum).add_(grad)
            grad = grad.addcmul_(momentum, self.momentum) if self.nesterov else momentum
        value.addcmul_(grad, self.at(self.rate, index), value=-1)


class RMSprop(SGD):
    """RMSprop (Tieleman & Hinton 2012), as torch.optim writes it; beta2 is its alpha."""

    slots = ("momentum", "square")

    def prepare(self, settings: Sequence[Setting]) -> None:
        super().prepare(settings)
        self.w2, self.eps = self.constant(1 - column(settings, "beta2")), self.constant(column(settings, "eps"))

    def update(self, index: int, group: int, value: Tensor, grad: Tensor) -> None:
        square = self.state["square"][group].lerp_(grad * grad, self.w2)
        super().update(index, group, value, grad.div_(square.sqrt().add_(self.eps)))


class AdaGrad(Optimizer):
    """AdaGrad (Duchi, Hazan & Singer 2011), as torch.optim writes it."""

    slots: tuple[str, ...] = ("sum",)

    def prepare(self, settings: Sequence[Setting]) -> None:
        self.eps = self.constant(column(settings, "eps"))

    def tables(self, lr: Tensor, t: Tensor) -> None:
        self.rate = self.table("lr", lr)

    def update(self, index: int, group: int, value: Tensor, grad: Tensor) -> None:
        squares = self.state["sum"][group].addcmul_(grad, grad)
        value.addcmul_(grad.div_(squares.sqrt().add_(self.eps)), self.at(self.rate, index), value=-1)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": AdaGrad,
}
