"""What numbers depend on beside the recipe: versions, the machine, the moment. Needs nothing."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from sweep import __version__

KIND = {"torch": "torch {}", "device": "{}", "instructions": "vector instructions {}"}
"""What makes machines alike, to the last bit of a number: facts, and how each is told."""


def versions() -> dict[str, str]:
    """The versions that numbers depend on."""
    out = {"sweep": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy"):
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = "unknown"
    return out


def machine() -> dict[str, Any]:
    """The machine that numbers are made on."""
    return {
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": _model(),
        "cores": os.cpu_count(),
    }


def facts(asked: Mapping[str, Any], device: str) -> dict[str, Any]:
    """All that numbers depend on beside the recipe. asked: what only a process with torch knows (instructions,
    threads); device: what trains, such as cpu or cuda:0."""
    known = versions() | machine() | dict(asked)
    return known | {"device": known["processor"] if device == "cpu" else _gpu(device)}


def alike(first: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two machines make the same numbers, as far as both are known."""
    return all(first[name] == other[name] for name in KIND if name in first and name in other)


def kind_text(facts: Mapping[str, Any]) -> str:
    """The kind of a machine, in words: torch, the processor or GPU, its vector instructions."""
    parts = [wording.format(facts[name]) for name, wording in KIND.items() if name in facts]
    return ", ".join(parts) or "unknown"


def _model() -> str:
    """The processor's model, as the system names it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _gpu(device: str) -> str:
    """The models of NVIDIA's GPUs here, without asking torch; the device's name where the system does not tell."""
    models: set[str] = set()
    for path in Path("/proc/driver/nvidia/gpus").glob("*/information"):
        with suppress(OSError):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            models.update(line.split(":", 1)[1].strip() for line in lines if line.startswith("Model"))
    return " and ".join(sorted(models)) or device.partition(":")[0]


def now() -> str:
    """The moment, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
