"""A look inside a lane's network: each layer's gradient, activations and batch norm, the loss's curvature, the
gradient's noise, the generalisation gap. Needs program.

A look never touches the program: it runs the plain one-trial module of `nets` with the lane's numbers, by autograd on
the CPU, in float64 (an mlp's) or float32 (a cnn's), dropout off and batch norm on the batch's own statistics, as in
training. So it changes no number of the training, and what it finds of a lane does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from sweep import nets
from sweep.engine.program import Metrics, Program
from sweep.engine.streams import stream
from sweep.hyperparameters import SQUARED_ERROR
from sweep.nets.own import drawing
from sweep.networks import is_own
from sweep.space import Reading, Watch

LOOK_ROWS = {"mlp": 2_000, "cnn": 500}
"""Training rows that stand for the training part in curvature and noise: the first so many."""

LOOK_DTYPE = {"mlp": torch.float64, "cnn": torch.float32}
"""What a look computes in: convolutions in float64 take five times as long where they are differentiated twice."""

LANCZOS_STEPS = 30
"""Products with the Hessian for its largest eigenvalue, at most: ample for that one (Ghorbani et al. 2019)."""

SETTLED = 1e-5
"""Relative change of that eigenvalue in a step, below which it is found."""

NOISE_SIZES = (1, 4, 16, 64, 256, 1024)
"""Rows of the minibatches whose gradients are compared with that of all rows."""

NOISE_DRAWS = 32
"""Minibatches of each size."""

_ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU)


def at_start(program: Program, lane: int, watch: Watch) -> list[Reading]:
    """What is to be seen of a lane at the start of the program's epoch, before its first step."""
    wanted = [look for name, look in _LOOKS.items() if watch.looks(name, program.epoch)]
    if not wanted:
        return []
    net = _Net(program, lane)
    with torch.enable_grad(), drawing(stream(net.seed, "look", net.epoch).initial_seed()):
        return [reading for look in wanted for reading in look(net)]


def gaps(program: Program, metrics: Metrics) -> Iterator[list[Reading]]:
    """Of each lane, the training part scored after the epoch, in evaluation mode, by the labels it was trained on, and
    how much worse the validation part is: gap_loss = validation - training loss, gap_accuracy = training - validation
    accuracy, of regression gap_r2."""
    step = program.before + program.step
    scores = program.evaluate(program.split.train, labels=program.training_labels())
    more = "r2" if program.regression else "accuracy"
    for lane, (loss, better) in enumerate(zip(scores["loss"], scores[more], strict=True)):
        differences = {
            "scored_train_loss": loss,
            f"scored_train_{more}": better,
            "gap_loss": metrics.val_loss[lane] - loss,
            f"gap_{more}": better - program.scores[more][lane],
        }
        yield [Reading(step, "", name, value) for name, value in differences.items()]


class _Net:
    """A lane's network as a plain module."""

    def __init__(self, program: Program, lane: int) -> None:
        self.setting, self.seed, self.epoch = program.settings[lane], program.seeds[lane], program.epoch
        self.step = program.before
        train = program.split.train
        self.module = nets.build(self.setting, tuple(train.x.shape[1:]), program.split.classes)
        self.module.load_state_dict({name: tensor.cpu() for name, tensor in program.lane(lane).items()}, strict=False)
        own = is_own(self.setting["model"])  # whose own tensors may be of float32
        kind = "cnn" if own and train.x.dim() == 4 else "mlp" if own else str(self.setting["model"])
        dtype = torch.float32 if own else LOOK_DTYPE[kind]
        self.module.to(dtype).train()
        for module in self.module.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.momentum = 0.0  # what is looked at stays as it is
        self.parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        first = program.orders[program.run_of(lane)][: program.batch_size]
        rows = torch.arange(min(LOOK_ROWS[kind], len(train.y)))
        self.first, self.rows = (
            (train.x[pick.to(train.x.device)].cpu().to(dtype), program.lane_labels(lane, pick))
            for pick in (first, rows)
        )
        self.norm = any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in self.module.modules())

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean loss over rows, as training minimises it."""
        smoothing = float(self.setting.get("label_smoothing", 0.0))
        return _LOSSES[str(self.setting["loss"])](self.module(x), y, smoothing)

    def gradient(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """The loss's gradient by every parameter."""
        return list(torch.autograd.grad(self.loss(x, y), self.parameters, materialize_grads=True))

    def reading(self, place: str, quantity: str, value: float) -> Reading:
        return Reading(self.step, place, quantity, value)

    def spread(self, place: str, name: str, values: Tensor) -> Iterator[Reading]:
        """Mean and standard deviation of some values."""
        yield self.reading(place, f"{name}_mean", float(values.mean()))
        yield self.reading(place, f"{name}_sd", float(values.std(correction=0)))


def _squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - functional.one_hot(y, outputs.shape[1])).square().mean(1).mean()


_LOSSES: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "cross_entropy": lambda logits, y, smoothing: functional.cross_entropy(logits, y, label_smoothing=smoothing),
    "mse": lambda logits, y, _: _squared_error(torch.softmax(logits, 1), y),
    "mse_logits": lambda logits, y, _: _squared_error(logits, y),
    SQUARED_ERROR: lambda outputs, y, _: (outputs[:, 0] - y.to(outputs.dtype)).square().mean(),
}
"""The losses of `losses`, in a form that can be differentiated twice."""


def _places(module: nn.Module, count: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a network, each with its place: the weight layers are numbered from the input on, and what follows
    one is at its place; the layer of a shortcut has that of its block's last."""
    for child in module.children():
        if not isinstance(child, nets.Residual | nets.Dense) and [*child.children()]:  # of a user's own network
            for place, layer in _places(child, count):
                count = int(place.removeprefix("layer "))
                yield place, layer
            continue
        if isinstance(child, nets.Residual | nets.Dense):
            for place, layer in _places(child.branch, count):
                count = int(place.removeprefix("layer "))
                yield place, layer
            if isinstance(child, nets.Residual):
                for layer in child.shortcut:
                    yield f"shortcut {count}", layer
            continue
        count += isinstance(child, nn.Linear | nn.Conv2d)
        yield f"layer {count}", child


def _look_at_layers(net: _Net) -> Iterator[Reading]:
    """By layer, on the epoch's first minibatch: the gradient's L2 norm (weights and bias); mean and deviation of what
    the activation reads and gives; mean and deviation over units of batch norm's scale and shift, and the means of
    its moving averages."""
    *layers, (_, last) = _places(net.module)
    layers.append(("output", last))
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[module] = inputs[0].detach(), output.detach()

    hooks = [module.register_forward_hook(keep) for _, module in layers if isinstance(module, _ACTIVATIONS)]
    gradients = dict(zip(map(id, net.parameters), net.gradient(*net.first), strict=True))
    for hook in hooks:
        hook.remove()
    for place, module in layers:
        if isinstance(module, nn.Linear | nn.Conv2d):
            squares = sum(float(gradients[id(tensor)].square().sum()) for tensor in module.parameters())
            yield net.reading(place, "grad_norm", math.sqrt(squares))
        elif isinstance(module, _ACTIVATIONS):
            for name, values in zip(("preactivation", "activation"), seen[module], strict=True):
                yield from net.spread(place, name, values)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for name, values in (("gamma", module.weight), ("beta", module.bias)):
                if values is not None:
                    yield from net.spread(place, name, values.detach())
            assert module.running_mean is not None
            assert module.running_var is not None
            yield net.reading(place, "running_mean", float(module.running_mean.mean()))
            yield net.reading(place, "running_var", float(module.running_var.mean()))


def _look_at_curvature(net: _Net) -> Iterator[Reading]:
    """The largest eigenvalue of the loss's Hessian over the training rows: gradient descent is stable below 2 / it."""
    gradient = torch.autograd.grad(net.loss(*net.rows), net.parameters, create_graph=True)
    flat = torch.cat([part.reshape(-1) for part in gradient])

    def product(vector: Tensor) -> Tensor:
        parts = torch.autograd.grad(flat @ vector.to(flat.dtype), net.parameters, retain_graph=True)
        return torch.cat([part.reshape(-1) for part in parts]).double()

    start = torch.randn(len(flat), dtype=torch.float64, generator=stream(net.seed, "look", net.epoch))
    yield net.reading("", "curvature", largest_eigenvalue(product, start))


def largest_eigenvalue(product: Callable[[Tensor], Tensor], start: Tensor, steps: int = LANCZOS_STEPS) -> float:
    """The largest eigenvalue of a symmetric matrix that is known by its products with vectors [P], by Lanczos'
    iteration with full orthogonalisation (Golub & Van Loan, Matrix Computations, 10.1), until two steps have changed
    it by less than SETTLED. NaN where a product is not finite."""
    basis, diagonal, beside = [start / start.norm()], list[float](), list[float]()
    largest = [math.inf, math.inf]
    for _ in range(min(steps, len(start))):
        vector = product(basis[-1])
        if not bool(vector.isfinite().all()):
            return math.nan
        diagonal.append(float(vector @ basis[-1]))
        small = torch.diag(torch.tensor(diagonal, dtype=start.dtype))
        for place, value in enumerate(beside):
            small[place, place + 1] = small[place + 1, place] = value
        largest.append(float(torch.linalg.eigvalsh(small)[-1]))
        if all(abs(largest[-1] - before) <= SETTLED * abs(largest[-1]) for before in largest[-3:-1]):
            break
        known = torch.stack(basis)
        for _ in range(2):  # once leaves rounding behind
            vector = vector - known.T @ (known @ vector)
        length = float(vector.norm())
        if length <= 1e-10 * max(map(abs, diagonal)):
            break
        beside.append(length)
        basis.append(vector / length)
    return largest[-1]


def _look_at_noise(net: _Net) -> Iterator[Reading]:
    """By batch size B, the root mean square over minibatches of the distance between their gradient and that of all
    N rows: sigma sqrt(1/B) sqrt(1 - B/N) for rows drawn without repetition."""
    x, y = net.rows
    whole = net.gradient(x, y)
    generator = stream(net.seed, "look", net.epoch)
    for size in NOISE_SIZES:
        if size > len(y) or (size == 1 and net.norm):
            continue
        squares = 0.0
        for _ in range(NOISE_DRAWS):
            pick = torch.randperm(len(y), generator=generator)[:size]
            pairs = zip(net.gradient(x[pick], y[pick]), whole, strict=True)
            squares += sum(float((part - all_).square().sum()) for part, all_ in pairs)
        yield net.reading(f"batch {size}", "gradient_noise", math.sqrt(squares / NOISE_DRAWS))


_LOOKS = {"layers": _look_at_layers, "curvature": _look_at_curvature, "noise": _look_at_noise}
"""What may be looked at when an epoch begins, see `space.LOOKS`."""
