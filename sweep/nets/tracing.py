"""A user's network as a chain of torch's own layers, where its forward pass is one. Needs torch.

It is traced in training and in evaluation mode, and run on a few rows to see what shapes its layers get: a layer that
the engine knows for rows of numbers, or for images, may get something else here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

Chain = list[tuple[str, nn.Module]]
"""Layers in order, each with its path in the network; those that a function stands for have a path of their own."""


class NoChain(Exception):
    """A network is no chain of layers with lane forms; the text says why, naming the layer."""


def chain_of(net: nn.Module, shape: tuple[int, ...]) -> Chain:
    """The layers of a network for rows of a shape. Raises NoChain."""
    _check_weights(net)
    graphs = [_trace(net, training) for training in (True, False)]
    pairs = list(zip(*(graph.nodes for graph in graphs), strict=False))
    if len({len(graph.nodes) for graph in graphs}) > 1 or any(a.target != b.target for a, b in pairs):
        raise NoChain("its forward pass does otherwise in evaluation")
    shapes = [_shapes(net, graphs[1], torch.zeros(rows, *shape)) for rows in (2, 3)]
    chain: Chain = []
    last: fx.Node | None = None
    seen: set[str] = set()
    for node, evaluated in pairs:
        if evaluated.name not in shapes[0]:
            continue  # no tensor: a size
        if node.op == "output":
            if node.args != (last,):
                raise NoChain("it gives more than the last layer's output")
            break
        if node.op == "placeholder":
            if last is not None:
                raise NoChain("its forward pass takes more than one argument")
            last = node
            continue
        if node.op == "get_attr":
            raise NoChain(f"its forward pass reads {node.target} itself")
        before = [source for source in node.all_input_nodes if _name_in(source, pairs) in shapes[0]]
        if before != [last]:
            raise NoChain(f"{_describe(net, node)} reads more than the layer before it")
        sizes = [(known[_name_in(before[0], pairs)], known[evaluated.name]) for known in shapes]
        layer = _layer(net, node, evaluated, sizes)
        path = str(node.target) if node.op == "call_module" else f"{node.name} ({node.op})"
        if path in seen and [*layer.parameters()]:
            raise NoChain(f"{_describe(net, node)} is used twice")
        seen.add(path)
        chain.append((path, layer))
        last = node
    unused = [name for name, _ in net.named_parameters() if name.rpartition(".")[0] not in seen]
    if unused:
        raise NoChain(f"{unused[0]} belongs to no layer of torch.nn")
    return chain


def _check_weights(net: nn.Module) -> None:
    """Raises NoChain for weights that are not trained, each by itself, in float32."""
    for name, tensor in net.named_parameters():
        if not tensor.requires_grad:
            raise NoChain(f"{name} is not trained")
        if tensor.dtype != torch.float32:
            raise NoChain(f"{name} is {tensor.dtype}")
    if len([*net.named_parameters(remove_duplicate=False)]) > len([*net.named_parameters()]):
        raise NoChain("layers share weights")


def _trace(net: nn.Module, training: bool) -> fx.Graph:
    was = net.training
    net.train(training)
    try:
        return fx.Tracer().trace(net)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:100]
        raise NoChain(f"its forward pass cannot be traced ({type(error).__name__}: {first})") from None
    finally:
        net.train(was)


class _Seen(fx.Interpreter):
    """Runs a graph and keeps the shapes of the tensors in it, by the names of their nodes."""

    def __init__(self, net: nn.Module, graph: fx.Graph) -> None:
        super().__init__(net, graph=graph)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n.name] = tuple(result.shape)
        return result


def _shapes(net: nn.Module, graph: fx.Graph, rows: Tensor) -> dict[str, tuple[int, ...]]:
    net.eval()
    seen = _Seen(net, graph)
    with torch.no_grad():
        seen.run(rows)
    return seen.shapes


def _name_in(node: fx.Node, pairs: list[tuple[fx.Node, fx.Node]]) -> str:
    return next(b.name for a, b in pairs if a is node)


def _describe(net: nn.Module, node: fx.Node) -> str:
    """A node in words: the layer and its path, or the function."""
    if node.op == "call_module":
        return f"{type(net.get_submodule(str(node.target))).__name__} ({node.target})"
    return str(node.target) if node.op in ("call_method", "get_attr") else getattr(node.target, "__name__", node.name)


Sizes = list[tuple[tuple[int, ...], tuple[int, ...]]]
"""What a layer got and gave, for 2 rows and for 3."""


def _layer(net: nn.Module, node: fx.Node, evaluated: fx.Node, sizes: Sizes) -> nn.Module:
    """The layer of torch.nn that a node is. Raises NoChain if the engine has none for it."""
    layer = net.get_submodule(str(node.target)) if node.op == "call_module" else _layer_for(node, evaluated, sizes)
    if layer is None or not _fits(layer, sizes):
        here = type(layer) in (*_CHECKS, *_ANYWHERE)
        raise NoChain(f"{_describe(net, node)} has no lane form{' as it is used here' if here else ''}")
    return layer


def _layer_for(node: fx.Node, evaluated: fx.Node, sizes: Sizes) -> nn.Module | None:
    """The layer that a function or a method stands for."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    kind = _FUNCTIONS.get(node.target if callable(node.target) else name)
    if kind is not None:
        return _activation(kind, node)
    if name in ("flatten", "view", "reshape"):
        return nn.Flatten() if all(_flattens(a, b) for a, b in sizes) else None
    if name in ("contiguous", "float"):
        return nn.Identity()
    if node.target in _POOLS:
        return _pooling(node)
    if node.target is functional.dropout:
        return _dropout(node, evaluated)
    return None


def _activation(kind: type[nn.Module], node: fx.Node) -> nn.Module | None:
    given = {name: value for name, value in node.kwargs.items() if name not in ("inplace", "input")}
    plain = all(isinstance(value, bool) for value in node.args[1:])
    return kind() if plain and given in ({}, {"approximate": "none"}) else None


_FUNCTIONS: dict[Any, type[nn.Module]] = {
    **dict.fromkeys((functional.relu, functional.relu_, torch.relu, torch.relu_, "relu", "relu_"), nn.ReLU),
    **dict.fromkeys((functional.tanh, torch.tanh, "tanh"), nn.Tanh),
    **dict.fromkeys((functional.sigmoid, torch.sigmoid, "sigmoid"), nn.Sigmoid),
    functional.gelu: nn.GELU,
}


def _flattens(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    return len(after) == 2 and after[0] == before[0]


_POOLS: dict[Any, Callable[..., nn.Module]] = {
    functional.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
}


def _pooling(node: fx.Node) -> nn.Module:
    kwargs = {name: value for name, value in node.kwargs.items() if name != "input"}
    return _POOLS[node.target](*node.args[1:], **kwargs)


def _dropout(node: fx.Node, evaluated: fx.Node) -> nn.Module | None:
    """Dropout that ends with the training; without an argument F.dropout goes on in evaluation."""
    names = "input", "p", "training", "inplace"
    given = [dict(zip(names, call.args, strict=False)) | call.kwargs for call in (node, evaluated)]
    on = [call.get("training", True) for call in given]
    p = given[0].get("p", 0.5)
    return nn.Dropout(p) if on == [True, False] and isinstance(p, int | float) else None


def _fits(layer: nn.Module, sizes: Sizes) -> bool:
    """Whether the engine's lane form of a layer does what the layer does, for the shapes that it gets."""
    if layer._forward_hooks or layer._forward_pre_hooks:
        return False
    kind, axes = type(layer), len(sizes[0][0])
    if kind in _ANYWHERE:
        return axes in (2, 4)
    check = _CHECKS.get(kind)
    return check is not None and axes in check[0] and check[1](layer)


_ANYWHERE = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity)


def _square(value: Any, size: int) -> bool:
    return value in (size, (size, size))


def _is_conv(layer: Any) -> bool:
    side = layer.kernel_size[0]
    padding = {"same": side // 2, "valid": 0}.get(layer.padding, layer.padding)
    return (
        side % 2 == 1
        and _square(layer.kernel_size, side)
        and _square(layer.stride, 1)
        and _square(padding, side // 2)
        and _square(layer.dilation, 1)
        and layer.groups == 1
        and layer.padding_mode == "zeros"
    )


def _is_pool(layer: Any) -> bool:
    plain = _square(layer.kernel_size, 2) and _square(layer.stride, 2) and _square(layer.padding, 0)
    return plain and not layer.ceil_mode and getattr(layer, "divisor_override", None) is None


def _is_max_pool(layer: Any) -> bool:
    return _is_pool(layer) and _square(layer.dilation, 1) and not layer.return_indices


def _is_norm(layer: Any) -> bool:
    return layer.momentum is not None and layer.track_running_stats and layer.eps > 0


_CHECKS: dict[type[nn.Module], tuple[tuple[int, ...], Callable[[Any], bool]]] = {
    nn.Linear: ((2,), lambda layer: layer.in_features > 0),
    nn.Conv2d: ((4,), _is_conv),
    nn.BatchNorm1d: ((2,), _is_norm),
    nn.BatchNorm2d: ((4,), _is_norm),
    nn.MaxPool2d: ((4,), _is_max_pool),
    nn.AvgPool2d: ((4,), _is_pool),
    nn.Flatten: ((2, 4), lambda layer: layer.start_dim == 1 and layer.end_dim in (-1, 3)),
    nn.Dropout: ((2,), lambda layer: 0 <= layer.p < 1),
    nn.GELU: ((2, 4), lambda layer: layer.approximate == "none"),
}
"""For how many axes a layer has a lane form, and of which arguments."""
