"""How a user's network trains: in lanes by the lane forms of its layers, or as a whole. Needs nets and torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import torch
from torch import nn

from sweep import nets
from sweep.engine.streams import stream
from sweep.hyperparameters import Setting, is_of_network
from sweep.nets.own import drawing, uses_other_generators
from sweep.nets.tracing import Chain, NoChain, chain_of
from sweep.networks import find_network


@dataclass(frozen=True)
class Way:
    """How a network trains. It follows from its setting, its code and the data's shape, from no seed."""

    chain: Chain | None
    """Its layers, if all of them have lane forms."""
    why: str = ""
    """Why they have not, in words."""
    key: str = ""
    """What stands for the network among all that were ever asked about."""
    maps: bool = False
    """Whether vmap may be tried: no numbers are drawn, and nothing is kept but weights and batch norm's averages."""


_known: dict[str, Way] = {}


def way_of(setting: Setting, shape: tuple[int, ...], classes: int) -> Way:
    """How the network of a setting trains on rows of a shape."""
    own = {name: value for name, value in setting.items() if is_of_network(name, setting)}
    code = find_network(str(setting["model"])).fingerprint()
    key = json.dumps([setting["model"], code, own, shape, classes])
    if key not in _known:
        way = _form(setting, shape, classes)
        _known[key] = replace(way, key=key)
    return _known[key]


def _form(setting: Setting, shape: tuple[int, ...], classes: int) -> Way:
    probes = [nets.build(setting, shape, classes, stream(seed, "probe")) for seed in (0, 1)]
    try:
        chain, other = (chain_of(net, shape) for net in probes)
    except NoChain as error:
        return _whole(str(error), probes, shape)
    if list(map(_describe, chain)) != list(map(_describe, other)):
        return Way(None, "its layers depend on the seed")
    if not any(isinstance(layer, nn.Linear | nn.Conv2d) for _, layer in chain):
        return Way(None, "it has no layer of weights")
    return Way(chain)


def _whole(why: str, probes: list[nn.Module], shape: tuple[int, ...]) -> Way:
    """A network that is no chain of lane forms: whether vmap may be tried, and why not."""
    first, other = ([*net.modules()] for net in probes)
    if len(first) != len(other) or not all(map(_is_plain, first, other)):
        return Way(None, f"{why}, and it holds more than weights, which vmap would mix")
    if uses_other_generators(type(probes[0])) or _draws(probes[0], shape):
        return Way(None, f"{why}, and it draws numbers, which vmap does not seed by trial")
    return Way(None, why, maps=True)


_PLAIN = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device)


def _is_plain(module: nn.Module, other: nn.Module) -> bool:
    """Whether a module is, beside its weights, the same for every seed; buffers are batch norm's alone."""
    held = (
        {name: value for name, value in vars(owner).items() if name not in _REGISTRIES} for owner in (module, other)
    )
    mine, theirs = held
    if [*module._buffers.values()] != [] and not isinstance(module, nn.modules.batchnorm._NormBase):
        return False
    return mine.keys() == theirs.keys() and all(_is_same(value, theirs[name]) for name, value in mine.items())


def _is_same(value: object, other: object) -> bool:
    if isinstance(value, tuple | list) and isinstance(other, tuple | list):
        return len(value) == len(other) and all(map(_is_same, value, other))
    if isinstance(value, _PLAIN):
        return value == other
    return (callable(value) and value is other) or (isinstance(value, dict | set) and not value and not other)


_REGISTRIES = ("_parameters", "_buffers", "_modules", "training")


def _draws(net: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether a forward pass draws from torch's generator."""
    with drawing(0), torch.no_grad():
        before = torch.random.get_rng_state()
        for training in (False, True):
            net.train(training)(torch.zeros(2, *shape))
        return not torch.equal(before, torch.random.get_rng_state())


def _describe(part: tuple[str, nn.Module]) -> tuple[str, str]:
    return part[0], repr(part[1])
