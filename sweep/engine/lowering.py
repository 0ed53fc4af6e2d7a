"""A one-trial network lowered to L lanes: the lane forms of its layers, every lane's own initial weights. Needs torch,
nets and the lane forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from sweep import nets
from sweep.data import Split
from sweep.engine import images, layers
from sweep.engine.blocks import Dense, Residual
from sweep.engine.layers import Layer, Rates
from sweep.engine.parameters import Block, Parameters
from sweep.engine.streams import stream
from sweep.engine.ways import Way, way_of
from sweep.engine.whole import Whole
from sweep.errors import UsageError
from sweep.hyperparameters import Setting
from sweep.networks import is_own


@dataclass
class Lowered:
    """What a program of L lanes consists of."""

    forms: list[Layer]
    """Its layers from the input on, as lanes."""
    parameters: Parameters
    buffers: dict[str, Block]
    rates: list[Rates] = field(default_factory=list)
    """Of the dropout layers."""
    whole: Whole | None = None
    """A user's network that has no lane forms, which then is the only layer."""


def lower(
    settings: Sequence[Setting],
    seeds: Sequence[int],
    split: Split,
    dtype: torch.dtype,
    device: torch.device,
    low: bool,
) -> Lowered:
    """The lanes of settings of one program, each with the initial weights of its seed."""
    shape, classes, first = tuple(split.train.x.shape[1:]), split.classes, settings[0]
    if not is_own(first["model"]):
        net = nets.build(first, shape, classes)
        form = images.form(device, dtype) if first["model"] == "cnn" else None
        if form is not None and first["connection"] == "dense":
            form = replace(form, opaque=False)  # oneDNN's layout has no concatenation
        trained = {name for name, _ in net.named_parameters()}
        stacked = _stack(_draw(net, settings, seeds), dtype, device)
        return _Lowering(stacked, trained, low).sequence(net.named_children(), form)
    way = way_of(first, shape, classes)
    if way.chain is None:
        modules = [nets.build(first, shape, classes, stream(seed, "init")) for seed in seeds]
        return lower_whole(modules, seeds, classes, way, dtype, device, low)
    drawn = {seed: nets.build(first, shape, classes, stream(seed, "init")).state_dict() for seed in {*seeds}}
    stacked = _stack([drawn[seed] for seed in seeds], dtype, device)
    trained = {f"{name}.{of}" for name, layer in way.chain for of, _ in layer.named_parameters()}
    pictures = len(shape) == 3 and not isinstance(way.chain[0][1], nn.Flatten)
    form = images.form(device, dtype) if pictures else None
    return _Lowering(stacked, trained, low, fixed=True).sequence(way.chain, form)


def _draw(net: nn.Module, settings: Sequence[Setting], seeds: Sequence[int]) -> list[dict[str, Tensor]]:
    """The initial parameters and buffers of every lane of one of sweep's own networks."""
    drawn: dict[tuple[object, ...], dict[str, Tensor]] = {}
    states = []
    for setting, seed in zip(settings, seeds, strict=True):
        key = (seed, setting["init"], setting.get("init_std"), setting.get("branch_start"))
        if key not in drawn:
            nets.initialize(net, setting, stream(seed, "init"))
            drawn[key] = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        states.append(drawn[key])
    return states


def _stack(states: Sequence[dict[str, Tensor]], dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """The numbers of all lanes by name, [L, ...]."""
    return {
        name: torch.stack([state[name] for state in states]).to(device, dtype)
        for name in states[0]
        if not name.endswith("num_batches_tracked")
    }


def lower_whole(
    modules: list[nn.Module],
    seeds: Sequence[int],
    classes: int,
    way: Way,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    low: bool = False,
) -> Lowered:
    """Lanes of whole modules, what they train as parameters, all else that they hold as buffers."""
    held = [dict([*module.named_parameters(), *module.named_buffers()]) for module in modules]
    stacked = {}
    for name in held[0]:
        values = torch.stack([tensors[name].detach() for tensors in held]).to(device)
        stacked[name] = values.to(dtype) if values.is_floating_point() else values
    trained = [name for name, parameter in modules[0].named_parameters() if parameter.requires_grad]
    if not trained:
        raise UsageError(f"{type(modules[0]).__name__} has no parameter that is trained; expected one at least")
    parameters = Parameters({name: stacked[name] for name in trained})
    buffers = {name: Block(value) for name, value in stacked.items() if name not in trained}
    whole = Whole(modules, seeds, parameters, buffers, classes, low, way)
    return Lowered([whole], parameters, buffers, [], whole)


class _Lowering:
    """Makes the lane forms of a network's layers. fixed: whether dropout layers have rates of their own."""

    def __init__(self, stacked: dict[str, Tensor], trained: set[str], low: bool, fixed: bool = False) -> None:
        self.low, self.fixed = low, fixed
        first = next(name for name in stacked if name in trained)
        alone = first if stacked[first].dim() == 3 else None
        self.parameters = Parameters({name: stacked[name] for name in stacked if name in trained}, alone=alone)
        self.buffers = {name: Block(value) for name, value in stacked.items() if name not in trained}
        self.dropout = Rates(torch.empty(0))
        self.rates = [self.dropout]

    def sequence(self, net: Iterable[tuple[str, nn.Module]], form: images.Form | None) -> Lowered:
        """The layers of a network from the input on."""
        return Lowered(self._lane_forms("", net, form, first=True), self.parameters, self.buffers, self.rates)

    def _lane_forms(
        self, path: str, net: Iterable[tuple[str, nn.Module]], form: images.Form | None, first: bool
    ) -> list[Layer]:
        """The lane forms of a sequence of layers. first: whether it reads the batch."""
        lowered: list[Layer] = []
        for name, module in net:
            reads = first and not lowered
            if reads and not isinstance(module, _READING):
                lowered.append(layers.Input() if form is None else images.Input(form))
            layer = self._lane_form(f"{path}{name}", module, form, reads)
            if layer is not None:
                lowered.append(layer)
            if isinstance(module, nn.Flatten):
                form = None
        return images.fuse(lowered)

    def _lane_form(self, name: str, module: nn.Module, form: images.Form | None, first: bool) -> Layer | None:
        """The lane form of a layer of vectors, or where `form` says how they lie in memory, of images."""
        values = self.parameters.blocks
        if isinstance(module, nets.Residual):
            branch, shortcut = (
                self._lane_forms(f"{name}.{part}.", inner.named_children(), form, first)
                for part, inner in module.named_children()
            )
            if first and not shortcut:
                shortcut = [layers.Input() if form is None else images.Input(form)]
            return Residual(branch, shortcut, first)
        if isinstance(module, nets.Dense):
            return Dense(self._lane_forms(f"{name}.branch.", module.branch.named_children(), form, first=False))
        if isinstance(module, nn.Linear):
            return layers.Linear(values[f"{name}.weight"], values.get(f"{name}.bias"), first, self.low)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            return self._norm(name, module, form)
        if isinstance(module, nn.Dropout):
            return layers.Dropout(self._rates(module))
        if isinstance(module, nn.Flatten | nn.Identity):
            return None if form is None or isinstance(module, nn.Identity) else images.Flatten(form)
        if type(module) in layers.ACTIVATIONS:
            make = layers.ACTIVATIONS[type(module)]
            return make() if form is None else images.ReLU() if make is layers.ReLU else images.Elementwise(make, form)
        assert form is not None
        if isinstance(module, nn.MaxPool2d):
            return images.MaxPool2d(form)
        if isinstance(module, nn.AvgPool2d):
            return images.AvgPool2d(form)
        if isinstance(module, nn.Conv2d):
            return images.Conv2d(values[f"{name}.weight"], values.get(f"{name}.bias"), form, first, self.low)
        raise NotImplementedError(f"no lane form for {type(module).__name__}")

    def _norm(self, name: str, module: nn.BatchNorm1d | nn.BatchNorm2d, form: images.Form | None) -> Layer:
        assert module.momentum is not None
        values = self.parameters.blocks
        affine = values.get(f"{name}.weight"), values.get(f"{name}.bias")
        running = self.buffers[f"{name}.running_mean"], self.buffers[f"{name}.running_var"]
        norm = layers.BatchNorm(*affine, *running, module.momentum, module.eps)
        return norm if form is None else images.Norm(norm, form)

    def _rates(self, module: nn.Dropout) -> Rates:
        """The rates of a dropout layer: the hyperparameter's, but for a user's own."""
        if not self.fixed:
            return self.dropout
        self.rates.append(Rates(torch.empty(0), fixed=module.p))
        return self.rates[-1]


_READING = (nn.Linear, nn.Conv2d, nn.Flatten, nn.Identity, nets.Residual)
"""What reads the batch itself, or leaves that to the layer after it."""
