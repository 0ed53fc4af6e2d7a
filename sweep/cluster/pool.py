"""The study's handle on a Ray cluster's workers: the pool of one machine, but that its host is Ray's driver. Needs
workers.

Ray runs in a process of its own: what it prints, the signals it takes and the way it ends when its head node is lost
(it aborts) are none of the study's.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
from functools import cached_property

from sweep.cluster.address import find_cluster
from sweep.errors import UsageError
from sweep.host import launch
from sweep.messages import Offered, Refused
from sweep.workers import DataRequest, Pool

_ENVIRONMENT = {
    "RAY_worker_niceness": "0",  # not 15, in a cluster that is started here
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",  # not 60: without its head a cluster is lost
    "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "20",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
"""What Ray is told, unless the user has told it otherwise."""

CONNECTING = 120.0
"""Seconds that a cluster may take to answer, or to start here."""


class Cluster:
    """A Ray cluster, being connected to. Raises UsageError if Ray is not installed or there is no cluster."""

    def __init__(self, on: str, device: str, jobs: int | None) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UsageError(f'--on {on}: Ray is not installed; pip install "sweep[ray]"')
        if device not in ("auto", "cpu", "cuda"):
            raise UsageError(f"--device {device}: expected auto, cpu or cuda (one GPU a worker) with --on")
        self.on, self.jobs = on, jobs
        address = find_cluster(on)
        told = {name: os.environ.get(name, value) for name, value in _ENVIRONMENT.items()}
        self.driver, self.connection = launch("from sweep.cluster.driver import drive; drive()", told, apart=True)
        atexit.register(self.close)
        self.connection.send((address, device, jobs))
        self.connected = False

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """What it has for workers now, one for each core or GPU, at most `jobs`; waits until it is connected. Raises
        UsageError if it cannot be, or nothing in it can train."""
        try:
            answer = self.connection.recv() if self.connection.poll(CONNECTING) else None
        except (EOFError, OSError):
            answer = Refused(f"Ray ended before it was connected (exit code {self.driver.wait()})")
        if isinstance(answer, Offered):
            self.connected = True
            return answer.devices[: self.jobs]
        self.close()
        reason = answer.reason if answer else f"no answer as of a Ray cluster in {CONNECTING:g} s"
        raise UsageError(f"--on {self.on}: {reason}")

    def close(self) -> None:
        """Ends the driver, unless a pool has done so. One that is still connecting sees it, and ends, once it is."""
        self.connection.close()
        if self.connected:
            self.driver.wait()


class RayPool(Pool):
    """Workers that are actors in a Ray cluster. most: how many at a time, at most; fewer while the cluster has less."""

    patience = 15.0

    def __init__(self, cluster: Cluster, most: int, data: DataRequest) -> None:
        self.cluster = cluster
        self.place = f"{cluster.on} "
        self._open(cluster.driver, cluster.connection, (min(most, cluster.jobs or most), data))

    def _explain_end(self, code: int) -> str:
        return f"the Ray cluster (--on {self.cluster.on}) is lost: its head node does not answer any more"

    def close(self) -> None:
        super().close()
        atexit.unregister(self.cluster.close)
