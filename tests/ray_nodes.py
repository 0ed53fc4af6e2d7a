"""A Ray cluster of real nodes on this machine, for the tests: the process that keeps it (run as a script), and what
speaks to that process. A session of its own, so that at the end whatever Ray left can be found and killed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

STORE = 100_000_000
"""Bytes of each object store, which Ray wants to lie in memory."""


class Nodes:
    """A cluster: a head without a core, and nodes of one core each."""

    def __init__(self, count: int = 2, client: bool = False) -> None:
        self.folder = tempfile.mkdtemp(prefix="sw", dir="/tmp")  # short: sockets lie in it
        env = os.environ | {"RAY_TMPDIR": self.folder, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([sys.executable, __file__], env=env, text=True, start_new_session=True, **pipes)
        try:
            self.address, self.client = self.ask("head", client=client)
        except (ValueError, OSError):
            self.close()
            raise
        for place in range(count):
            self.add(f"node{place}")

    def ask(self, what: str, **more: Any) -> Any:
        """Has the process do something."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps({"do": what} | more), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def add(self, name: str, cores: int = 1, env: dict[str, str] | None = None) -> None:
        """A further node."""
        self.ask("add", name=name, cores=cores, env=env or {})

    def pids(self, name: str) -> list[int]:
        """Ray's processes of that name, such as ray::Actor."""
        return [pid for pid in self._all() if name in _command(pid)]

    def close(self) -> None:
        """Kills all that runs in the session."""
        while pids := self._all():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self) -> list[int]:
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _session(path) == self.process.pid]


@cache
def ray_starts() -> bool:
    """Whether Ray is installed and can start a cluster on this machine at all; some containers do not let it."""
    if importlib.util.find_spec("ray") is None:
        return False
    try:
        Nodes(0).close()
    except (ValueError, OSError):  # its process ended without an answer
        return False
    return True


def _session(path: Path) -> int:
    """The session of a process that runs; 0 of one that is gone."""
    try:
        fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[3])


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _keep() -> None:
    """The process: obeys, a line of JSON at a time."""
    from ray.cluster_utils import Cluster

    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    cluster = None
    for line in sys.stdin:
        order = json.loads(line)
        answer: Any = None
        match order["do"]:
            case "head":
                port = {"ray_client_server_port": _free_port()} if order["client"] else {}
                head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE, **port}
                cluster = Cluster(initialize_head=True, head_node_args=head)
                answer = cluster.address, f"ray://127.0.0.1:{port.get('ray_client_server_port')}"
            case "add":
                assert cluster
                cluster.add_node(
                    num_cpus=order["cores"], object_store_memory=STORE, node_name=order["name"], env_vars=order["env"]
                )
            case "lose head":
                assert cluster
                cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)
        print(json.dumps(answer), file=out, flush=True)


def _free_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


if __name__ == "__main__":
    _keep()
