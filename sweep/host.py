"""The process that holds torch and the data and forks the workers: how it is started. Needs nothing.

Importing torch takes it seconds, so a command that is about to train starts it first of all, with `ahead`; it imports
torch while the command reads the recipe, opens the ledger and plans.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection

_DEAF = (
    "from signal import SIG_IGN, SIGHUP, SIGINT, SIGTERM, signal; [signal(n, SIG_IGN) for n in (SIGINT, SIGTERM, "
    "SIGHUP)]"
)
"""Before its imports, during which Ctrl-C would leave a traceback: signals reach the whole group, and the study process
decides what they mean."""

_waiting: list[tuple[subprocess.Popen[bytes], Connection]] = []


def ahead() -> None:
    """Starts a host for the next `start`. If none comes, it is ended with this process."""
    if not _waiting:
        _waiting.append(start())
        atexit.register(_end)


def start() -> tuple[subprocess.Popen[bytes], Connection]:
    """A host, one that was started ahead if there is, and the connection to it."""
    if _waiting:
        return _waiting.pop()
    ours, theirs = socket.socketpair()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    # glibc: keep freed memory instead of giving it back to the system and faulting it in again at every step
    memory = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**29)}
    cuda = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}  # the host must not start CUDA: its forks could not use it then
    host = subprocess.Popen(
        [sys.executable, "-c", f"{_DEAF}; from sweep.workers import host; host()", str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **threads, **memory, **cuda},
    )
    theirs.close()
    return host, Connection(ours.detach())


def _end() -> None:
    for host, connection in _waiting:
        connection.close()
        host.kill()
        host.wait()
