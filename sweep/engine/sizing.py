"""A user's network in numbers, and how it trains: what a plan wants to know. Needs torch, nets and ways.

The process that plans does not load torch: it asks `serve`, in a process of its own, in lines of JSON.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sweep import nets
from sweep.engine.lowering import lower_whole
from sweep.engine.streams import stream
from sweep.engine.ways import Way, way_of
from sweep.errors import SweepError
from sweep.hyperparameters import Setting
from sweep.nets.own import check_output, first_line, load_class
from sweep.networks import Network, find_network, note_network

ROWS = 2
"""Rows of the pass that counts."""


def serve() -> None:
    """Answers one question a line until nobody asks any more. A question: text and folder of a network, settings, shape
    and classes; an answer: `sizes`, or `refused` where the network cannot be loaded."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), file=sys.__stdout__, flush=True)


def _answer(asked: Mapping[str, Any]) -> dict[str, Any]:
    note_network(Network(asked["network"], asked["folder"]))
    sys.stdout = sys.stderr  # what the user's code prints is no answer
    try:
        load_class(find_network(asked["network"]))
    except SweepError as error:
        return {"refused": str(error)}
    return {"sizes": [size_of(setting, tuple(asked["shape"]), asked["classes"]) for setting in asked["settings"]]}


def size_of(setting: Setting, shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """Parameters, and one row's activations and multiply-adds, of the network of a setting; how it trains, and why so;
    or why there is no such network."""
    try:
        net = nets.build(setting, shape, classes, stream(0, "probe"))
        trained = [parameter.numel() for parameter in net.parameters() if parameter.requires_grad]
        if not trained:
            return {"error": f"{type(net).__name__} has no parameters to train"}
        count = _Count(net)
        with torch.no_grad():
            check_output(net, net.eval()(torch.zeros(ROWS, *shape)), ROWS, classes)
        way = way_of(setting, shape, classes)
    except SweepError as error:
        return {"error": str(error)}
    except (Exception, SystemExit) as error:
        return {"error": first_line(error)}
    how, why = "lanes" if way.chain is not None else "alone", way.why
    if way.maps:
        how = "vmap" if _maps(setting, shape, classes, way) else how
        why += ", and vmap does not give it the bits of a trial alone" if how == "alone" else ""
    return {
        "parameters": sum(trained),
        "activations": count.activations // ROWS,
        "work": max(count.work // ROWS, sum(trained)),
        "way": how,
        "why": why,
        "norm": any(isinstance(layer, nn.BatchNorm1d) for layer in net.modules()),
    }


def _maps(setting: Setting, shape: tuple[int, ...], classes: int, way: Way) -> bool:
    """Whether vmap over a few lanes gives the bits that each has alone."""
    seeds = range(LANES)
    modules = [nets.build(setting, shape, classes, stream(seed, "probe")) for seed in seeds]
    whole = lower_whole(modules, seeds, classes, way).whole
    assert whole is not None
    return all(whole.is_trusted((BATCH, *shape), training) for training in (True, False))


LANES, BATCH = 4, 32
"""On which vmap is tried."""


class _Count:
    """Counts what the layers of a network do in a pass."""

    def __init__(self, net: nn.Module) -> None:
        self.activations = self.work = 0
        for layer in net.modules():
            if not [*layer.children()]:
                layer.register_forward_hook(self._see)

    def _see(self, layer: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            self.activations += output.numel()
            weight = getattr(layer, "weight", None)
            if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd) and isinstance(weight, Tensor):
                self.work += output.numel() * math.prod(weight.shape[1:])
