"""Where a Ray cluster is, and whether anything answers there. Needs errors."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from sweep.errors import UsageError

EXPECTED = "ray (the cluster of this machine), HOST:PORT (from one of its nodes) or ray://HOST:PORT"
CLIENT_PORT = 10001
"""Where a head node serves those who are on none of its nodes, unless it was told otherwise."""
SECONDS = 3.0
"""For a connection."""

_PLACE = re.compile(r"(ray://)?(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?")


def find_cluster(on: str) -> str:
    """What Ray calls the cluster that --on names; "local" for one that is to be started here.

    Raises UsageError for a name that is none, or where nothing answers.
    """
    if on != "ray":
        return _check_answer(on, on)
    if environment := os.environ.get("RAY_ADDRESS"):
        return environment if environment == "local" else _check_answer(environment, f"ray (RAY_ADDRESS={environment})")
    started = _started_here()
    return started if started and _answers(*_split(started, started)) is None else "local"


def _started_here() -> str:
    """The cluster that `ray start` noted on this machine, running or not; empty if there is none."""
    file = Path(os.environ.get("RAY_TMPDIR") or "/tmp") / "ray" / "ray_current_cluster"
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _check_answer(address: str, on: str) -> str:
    host, port = _split(address, on)
    if reason := _answers(host, port):
        raise UsageError(f"--on {on}: nothing answers at {host}:{port} ({reason})")
    scheme = "ray://" if address.startswith("ray://") else ""
    return f"{scheme}{host}:{port}"


def _split(address: str, on: str) -> tuple[str, int]:
    match = _PLACE.fullmatch(address)
    port = int(match[3] or (CLIENT_PORT if match[1] else 0)) if match else 0
    if match is None or not 0 < port < 65536:
        raise UsageError(f"--on {on}: expected {EXPECTED}")
    return match[2], port


def _answers(host: str, port: int) -> str | None:
    """Why nothing answers; None if something does."""
    try:
        socket.create_connection((host.strip("[]"), port), timeout=SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
