"""`sweep` commands as forks of one process that has imported everything: as real as a new process, without its seconds.

A fork has its own memory, arguments, environment, working folder, standard streams, signals and exit code. The host
that a training starts is a fork of the same process. What a new process alone can show (how Python starts, what an
environment variable does at import, what signals meet) stays with `processes.start`.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

MAY_DIFFER = {"COLUMNS", "SWEEP_RESULTS", "TERM", "NO_COLOR"}
"""Environment variables that `sweep` reads while it runs; any other may matter at import, which a fork has behind
it.
"""


class Forks:
    """The process that is forked, and the line to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        command = [sys.executable, "-m", "tests.forks", str(theirs.fileno())]
        where = Path(__file__).resolve().parents[1]
        self._process = subprocess.Popen(command, cwd=where, pass_fds=[theirs.fileno()], env=os.environ | threads)
        theirs.close()
        self._line = ours
        assert self._line.recv(64) == b"ready"  # so that no test's clock runs while it imports

    def run(
        self, args: list[str], folder: Path, env: Mapping[str, str], text: str | None, seconds: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """What `sweep ARGS...` prints and its exit code, run in a folder. Raises TimeoutExpired."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write((text or "").encode())
            given.seek(0)
            request = json.dumps({"args": args, "folder": str(folder), "env": dict(env)}).encode()
            self._send(request, [given, out, err])
            self._line.settimeout(seconds)
            try:
                code = int(self._line.recv(64))
            except TimeoutError:
                raise subprocess.TimeoutExpired(args, seconds) from None
            return subprocess.CompletedProcess([sys.executable, "-m", "sweep", *args], code, _read(out), _read(err))

    def close(self) -> None:
        """Ends the process."""
        self._line.close()
        self._process.wait(timeout=30)

    def kill(self) -> None:
        """Ends it at once; a command that still runs goes on by itself."""
        self._process.kill()
        self.close()

    def _send(self, request: bytes, files: list[IO[bytes]]) -> None:
        rights = array.array("i", [file.fileno() for file in files])
        self._line.sendall(len(request).to_bytes(8, "big"))
        self._line.sendmsg([request[:1]], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        self._line.sendall(request[1:])


def _read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _serve(line: socket.socket) -> None:
    """Forks once for each request, until the other end closes."""
    _import_everything()
    line.sendall(b"ready")
    while length := line.recv(8, socket.MSG_WAITALL):
        first, rights, _, _ = line.recvmsg(1, socket.CMSG_SPACE(3 * 4))
        rest = line.recv(int.from_bytes(length, "big") - 1, socket.MSG_WAITALL)
        files = array.array("i", rights[0][2])
        pid = os.fork()
        if pid == 0:
            line.close()
            _command(json.loads(first + rest), files)
        for file in files:
            os.close(file)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):  # who asked may have given up waiting
            line.sendall(str(code).encode())


_USED = ("torch", "optuna", "pandas", "pyarrow.parquet", "pyarrow.pandas_compat", "rich.progress", "rich.table",
         "pydantic.fields", "typer.rich_utils", "typer._adapters", "sklearn.datasets")  # fmt: skip
"""What commands import of other packages when they use it."""


def _import_everything() -> None:
    """Every module of `sweep` and what they use; the application is built once."""
    import sweep

    for module in pkgutil.walk_packages(sweep.__path__, "sweep."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _USED:
        with contextlib.suppress(ImportError):  # another release may keep it elsewhere
            importlib.import_module(name)
    import torch
    import typer.main

    torch.set_num_threads(1)
    built = typer.main.get_command(importlib.import_module("sweep.cli").app)
    typer.main.get_command = lambda _: built
    gc.collect()
    gc.freeze()  # a fork's garbage collection leaves alone, and so shares, what was here before it


def _command(request: dict, files: array.array) -> NoReturn:
    """In a fork: the command, and nothing of the tests' own ending after it."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["folder"])
        sys.argv = ["sweep", *request["args"]]
        sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = sys.__stderr__ = open(2, "w", closefd=False)  # noqa: SIM115
        from sweep import host
        from sweep.cli import main

        host.subprocess = _HostsAsForks  # type: ignore[assignment]
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        from sweep import host

        host._end()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)


class _Host:
    """A forked host, with what `sweep.host` and `sweep.workers` use of `subprocess.Popen`."""

    def __init__(self, args: list[str], pass_fds: list[int], stdin: int, env: Mapping[str, str]) -> None:
        self.pid = os.fork()
        self.returncode: int | None = None
        if self.pid == 0:
            self._host(int(args[-1]), env)

    @staticmethod
    def _host(line: int, env: Mapping[str, str]) -> NoReturn:
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.closerange(3, line)
            os.closerange(line + 1, 1024)
            os.environ.clear()
            os.environ.update(env)
            sys.argv = ["-c", str(line)]
            from sweep.workers import host

            host()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; a host ends by itself once its line is closed."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def kill(self) -> None:
        """SIGKILL."""
        if self.returncode is None:
            os.kill(self.pid, signal.SIGKILL)


def _start(args: list[str], start_new_session: bool, **more: Any) -> _Host | subprocess.Popen[bytes]:
    """A host as a fork; what is started apart, Ray's driver, as the process that it is."""
    return subprocess.Popen(args, start_new_session=True, **more) if start_new_session else _Host(args, **more)


class _HostsAsForks:
    """Stands where `sweep.host` has the module `subprocess`."""

    Popen = staticmethod(_start)
    DEVNULL = subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
