"""What numbers depend on beside the recipe: versions, the machine, the moment. Needs nothing."""

from __future__ import annotations

import os
import platform
import socket
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from sweep import __version__


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
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }


def now() -> str:
    """The moment, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
