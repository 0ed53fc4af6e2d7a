"""A user's own network: its class loaded from its file, constructed with a trial's seed, checked. Needs torch and
networks.

Every number that a constructor draws comes from the trial's seed: the generators of torch, numpy and random are seeded
for it, and put back. What a forward pass draws, see engine.whole.
"""

from __future__ import annotations

import enum
import importlib.util
import inspect
import random
import sys
import typing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sweep.errors import UsageError
from sweep.hyperparameters import Setting, is_of_network
from sweep.networks import Network, fill_parameters, find_network

_loaded: dict[tuple[str, str, bytes], type[nn.Module]] = {}


def load_class(network: Network) -> type[nn.Module]:
    """The class of a network; its file is run once. Raises UsageError, one line."""
    code = network.code()
    key = str(network.file), network.name, code
    if key not in _loaded:
        network_class = _run(network).get(network.name)
        if network_class is None:
            raise UsageError(f"model = {network.text}: {network.file} defines no {network.name}")
        if not isinstance(network_class, type) or not issubclass(network_class, nn.Module):
            raise UsageError(f"model = {network.text}: {network.name} is no torch.nn.Module; expected a class of one")
        _loaded[key] = network_class
    return _loaded[key]


def _run(network: Network) -> dict[str, Any]:
    """What a file defines. Files beside it can be imported there, as when Python runs it."""
    name = f"sweep_network_{len(_loaded)}"
    spec = importlib.util.spec_from_file_location(name, network.file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # typing and dataclasses look there for the names of annotations
    sys.path.insert(0, network.folder)
    try:
        with drawing(0):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"model = {network.text}: {network.file} cannot be run: {first_line(error)}") from None
    finally:
        with suppress(ValueError):
            sys.path.remove(network.folder)
    return vars(module)


def construct(setting: Setting, shape: tuple[int, ...], classes: int, draws: torch.Generator) -> nn.Module:
    """The module of a setting, its weights as its own constructor draws them from the start of `draws`. A module that
    takes its sizes from the first rows (nn.LazyLinear) has seen some."""
    network = find_network(str(setting["model"]))
    kind = load_class(network)
    given = {name: value for name, value in setting.items() if is_of_network(name, setting)}
    with drawing(draws.initial_seed()):
        net = kind(**_arguments(kind, given, shape, classes))
        if any(map(torch.nn.parameter.is_lazy, [*net.parameters(), *net.buffers()])):
            net.eval()
            with torch.no_grad():
                net(torch.zeros(2, *shape))
    return net


def _arguments(kind: type[nn.Module], given: dict[str, Any], shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """What a constructor is called with: the setting's values, members for the names of an Enum, what the data
    decide."""
    takes = inspect.signature(kind.__init__).parameters
    hints: dict[str, Any] = {}
    with suppress(Exception):  # a name that only a type checker knows
        hints = typing.get_type_hints(kind.__init__)
    for name, value in given.items():
        if isinstance(hint := hints.get(name), enum.EnumMeta):
            given[name] = hint[value]
    return {**{name: value for name, value in fill_parameters(shape, classes).items() if name in takes}, **given}


@contextmanager
def drawing(number: int) -> Iterator[None]:
    """A stretch in which everything that is drawn follows from a number; the generators are as before afterwards."""
    kept = torch.random.get_rng_state(), random.getstate(), np.random.get_state()
    torch.default_generator.manual_seed(number)
    random.seed(number)
    np.random.seed(number % 2**32)
    try:
        yield
    finally:
        torch.random.set_rng_state(kept[0])
        random.setstate(kept[1])
        np.random.set_state(kept[2])


def check_output(net: nn.Module, output: object, rows: int, classes: int) -> Tensor:
    """The logits that a network gave. Raises UsageError for anything but [rows, classes]."""
    answers = "a number each" if classes == 1 else f"{classes} classes"
    expected = f"expected a tensor of shape ({rows}, {classes}) for {rows} rows and {answers}"
    if not isinstance(output, Tensor):
        raise UsageError(f"{type(net).__name__} gives {type(output).__name__}; {expected}")
    if tuple(output.shape) != (rows, classes):
        raise UsageError(f"{type(net).__name__} gives shape {tuple(output.shape)}; {expected}")
    if not output.is_floating_point():
        raise UsageError(f"{type(net).__name__} gives {output.dtype}; expected floating point numbers")
    return output


def first_line(error: BaseException) -> str:
    """What went wrong in a user's own code, on one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]


def uses_other_generators(kind: type[nn.Module]) -> bool:
    """Whether the file of a class knows numpy's or Python's own generator."""
    module = sys.modules.get(kind.__module__)
    known = [] if module is None else vars(module).values()
    return any(value is random or value is np or getattr(value, "__module__", "") == "random" for value in known)
