"""How a user's network trains: in lanes by the lane forms of its layers, or as a whole. Needs nets and torch."""

from __future__ import annotations

import json
from dataclasses import dataclass

from torch import nn

from sweep import nets
from sweep.engine.streams import stream
from sweep.hyperparameters import Setting, is_of_network
from sweep.nets.tracing import Chain, NoChain, chain_of
from sweep.networks import find_network


@dataclass(frozen=True)
class Form:
    """How a network trains. It follows from its setting, its code and the data's shape, from no seed."""

    chain: Chain | None
    """Its layers, if all of them have lane forms."""
    why: str = ""
    """Why they have not, in words."""


_known: dict[str, Form] = {}


def form_of(setting: Setting, shape: tuple[int, ...], classes: int) -> Form:
    """How the network of a setting trains on rows of a shape."""
    own = {name: value for name, value in setting.items() if is_of_network(name, setting)}
    code = find_network(str(setting["model"])).fingerprint()
    key = json.dumps([setting["model"], code, own, shape, classes])
    if key not in _known:
        _known[key] = _form(setting, shape, classes)
    return _known[key]


def _form(setting: Setting, shape: tuple[int, ...], classes: int) -> Form:
    probes = [nets.build(setting, shape, classes, stream(seed, "probe")) for seed in (0, 1)]
    try:
        chain, other = (chain_of(net, shape) for net in probes)
    except NoChain as error:
        return Form(None, str(error))
    if list(map(_told, chain)) != list(map(_told, other)):
        return Form(None, "its layers depend on the seed")
    if not any(isinstance(layer, nn.Linear | nn.Conv2d) for _, layer in chain):
        return Form(None, "it has no layer of weights")
    return Form(chain)


def _told(part: tuple[str, nn.Module]) -> tuple[str, str]:
    return part[0], repr(part[1])
