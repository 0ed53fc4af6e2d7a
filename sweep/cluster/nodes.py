"""The nodes of a Ray cluster: what each offers, and whether it has the versions that this machine has. Needs ray,
connected.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweep.machine import versions


@dataclass(frozen=True)
class Node:
    """A node that is there. cores, gpus: as many as Ray was told, whole ones."""

    id: str
    name: str
    cores: int
    gpus: int


def list_nodes() -> dict[str, Node]:
    """The nodes that are alive, by their ids."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    return {node["NodeID"]: _node(node, node["Resources"]) for node in alive}


def _node(node: Mapping[str, Any], resources: Mapping[str, float]) -> Node:
    name = node["NodeName"] or node["NodeManagerAddress"]
    return Node(node["NodeID"], name, int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))


def pin(node: Node) -> NodeAffinitySchedulingStrategy:
    """What keeps a task or an actor on a node."""
    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def ask_versions(node: Node) -> Any:
    """A reference to the versions on a node."""
    return ray.remote(_version_task()).options(num_cpus=0, scheduling_strategy=pin(node)).remote()


def _version_task() -> Callable[[], dict[str, str]]:
    """A function that travels by value: a node that lacks sweep can run it."""

    def read_versions() -> dict[str, str]:
        import platform
        from importlib import metadata

        out = {"Python": platform.python_version()}
        try:
            import sweep

            out["sweep"] = sweep.__version__
        except ImportError:
            out["sweep"] = ""
        try:
            out["torch"] = metadata.version("torch")
        except metadata.PackageNotFoundError:
            out["torch"] = ""
        return out

    return read_versions


def version_trouble(node: Node, there: Mapping[str, str]) -> str:
    """What a node has other versions of; empty if it has the same. Python's third number and the build of torch (for a
    CPU, for a CUDA) may differ."""
    mine = versions()
    here = {"Python": platform.python_version(), "sweep": mine["sweep"], "torch": mine["torch"]}
    for name, version in here.items():
        if _matters(name, version) != _matters(name, there[name]):
            has = f"{name} {there[name]}" if there[name] else f"no {name}"
            return f"node {node.name} has {has}, and here it is {version}: all nodes need the versions of this machine"
    return ""


def _matters(name: str, version: str) -> str:
    return ".".join(version.split(".")[:2]) if name == "Python" else version.partition("+")[0]
