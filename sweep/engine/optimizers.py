"""Adam, AdamW, SGD and RMSprop for L trials at once, every hyperparameter per lane; equal to torch.optim to rounding.

State is, for each slot, one flat tensor [L, P] beside each of the parameters' own. Every lane takes the same sequence of
operations whoever its neighbours are; a hyperparameter that is 0 in a lane adds 0 or multiplies by 1 there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sweep.engine.parameters import Parameters
from sweep.hyperparameters import Setting


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
        total = int(setting["epochs"]) * epoch_steps
        curve = str(setting["lr_schedule"]), total, float(setting["warmup_epochs"]) * epoch_steps
        if curve not in curves:
            curves[curve] = [_factor(*curve, step) for step in range(first, first + steps)]
        factors.append(curves[curve])
    return torch.tensor(factors, dtype=torch.float64).t() * column(settings, "lr")


def _factor(schedule: str, total: int, warmup: float, step: int) -> float:
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

    def __init__(self, settings: Sequence[Setting], parameters: Parameters, epoch_steps: int) -> None:
        self.parameters, self.epoch_steps = parameters, epoch_steps
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
        self.before = (epoch - 1) * self.epoch_steps
        self.lr = learning_rates(self.settings, self.before, self.epoch_steps, self.epoch_steps)
        numbers = torch.arange(self.before + 1, self.before + self.epoch_steps + 1, dtype=torch.float64)
        self.tables(self.lr, numbers.view(-1, 1))

    def step(self, index: int) -> None:
        """One update, the index-th of the epoch (from 0)."""
        for group, (value, grad) in enumerate(zip(self.parameters.values, self.parameters.grads, strict=True)):
            if self.decays:
                grad.addcmul_(value, self.constant(self.weight_decay))
            self.update(index, group, value, grad)

    def constant(self, values: Tensor) -> Tensor:
        """A per-lane value [L] in the form that multiplies a flat tensor, [L, 1]."""
        return values.to(self.device, self.dtype).view(-1, 1)

    def table(self, values: Tensor) -> Tensor:
        """A coefficient [steps, L] as [steps, L, 1]."""
        return values.to(self.device, self.dtype).unsqueeze(2)

    def prepare(self, settings: Sequence[Setting]) -> None:
        """Makes the per-lane constants."""

    def tables(self, lr: Tensor, t: Tensor) -> None:
        """Makes the coefficient tables. lr: [steps, L]; t: the step counted from 1, [steps, 1]."""

    def update(self, index: int, group: int, value: Tensor, grad: Tensor) -> None:
        """Updates one flat tensor in place. value, grad: [L, P]; grad may be written over."""
        raise NotImplementedError


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), weight decay as an L2 penalty.

    On a CPU each lane is one call of torch's fused kernel, a single pass over its numbers, with its own hyperparameters.
    """

    slots: tuple[str, ...] = ("mean", "square")
    kernel = staticmethod(torch._fused_adam_)

    def prepare(self, settings: Sequence[Setting]) -> None:
        tensors = self.parameters.values, self.parameters.grads, self.state["mean"], self.state["square"]
        lanes = zip(
            *([list(rows) for rows in zip(*(x.unbind(0) for x in xs), strict=True)] for xs in tensors), strict=True
        )
        names = ("beta1", "beta2", "weight_decay", "eps")
        values = ({name: float(setting[name]) for name in names} for setting in settings)
        self.lanes = list(zip(lanes, values, strict=True))

    def tables(self, lr: Tensor, t: Tensor) -> None:
        self.rates = lr.tolist()
        self.count = torch.zeros((), dtype=torch.float32)
        self.counts = [self.count] * len(self.parameters.values)

    def step(self, index: int) -> None:
        self.count.fill_(self.before + index + 1)
        for ((values, grads, means, squares), constants), lr in zip(self.lanes, self.rates[index], strict=True):
            self.kernel(
                values,
                grads,
                means,
                squares,
                [],
                self.counts,
                lr=lr,
                amsgrad=False,
                maximize=False,
                **constants,  # type: ignore[arg-type]
            )


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    kernel = staticmethod(torch._fused_adamw_)


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, plain or Nesterov's (Sutskever et al. 2013, as torch.optim writes it)."""

    slots: tuple[str, ...] = ("momentum",)

    def prepare(self, settings: Sequence[Setting]) -> None:
        self.momentum = self.constant(column(settings, "momentum"))
        self.moves = bool(self.momentum.any())
        self.nesterov = bool(settings[0].get("nesterov", False))

    def tables(self, lr: Tensor, t: Tensor) -> None:
        self.rate = self.table(lr)

    def update(self, index: int, group: int, value: Tensor, grad: Tensor) -> None:
        if self.moves:
            momentum = self.state["momentum"][group].mul_(self.momentum).add_(grad)
            grad = grad.addcmul_(momentum, self.momentum) if self.nesterov else momentum
        value.addcmul_(grad, self.rate[index], value=-1)


class RMSprop(SGD):
    """RMSprop (Tieleman & Hinton 2012), as torch.optim writes it; beta2 is its alpha."""

    slots = ("momentum", "square")

    def prepare(self, settings: Sequence[Setting]) -> None:
        super().prepare(settings)
        self.w2, self.eps = self.constant(1 - column(settings, "beta2")), self.constant(column(settings, "eps"))

    def update(self, index: int, group: int, value: Tensor, grad: Tensor) -> None:
        square = self.state["square"][group].lerp_(grad * grad, self.w2)
        super().update(index, group, value, grad.div_(square.sqrt().add_(self.eps)))


OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "adamw": AdamW, "sgd": SGD, "rmsprop": RMSprop}
