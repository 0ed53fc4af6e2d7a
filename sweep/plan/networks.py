"""A user's networks in numbers: asked of a process that has torch, and remembered in a file. Needs networks, speed.

The file is a cache: lost or damaged, they are asked again. No number of a trial depends on it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sweep.data import DataInfo
from sweep.errors import SweepError, UsageError
from sweep.hyperparameters import Setting, is_of_network
from sweep.networks import find_network
from sweep.speed import cache_file, torch_version, write_cache


@dataclass(frozen=True)
class NetSize:
    """A user's network in numbers."""

    parameters: int = 0
    """Trained ones."""
    activations: int = 0
    """Numbers that a row's forward pass leaves."""
    work: int = 1
    """Multiply-adds of a row."""
    way: str = "alone"
    """How it trains: in "lanes" by the lane forms of its layers, in lanes by "vmap", or "alone", a trial a program."""
    why: str = ""
    """Why not in lanes by lane forms."""
    norm: bool = False
    """Whether it has batch norm of rows of numbers."""
    error: str = ""
    """Why there is no such network; empty if there is."""


def way_text(size: NetSize) -> str:
    """How a network trains, in words."""
    if size.error:
        return f"no such network, so its trials will fail: {size.error}"
    if size.way == "lanes":
        return "trains in lanes: all its layers have lane forms"
    if size.way == "vmap":
        return f"trains in lanes by vmap, which gives the bits of a trial alone: {size.why}"
    return f"trains one trial per program: {size.why}"


_known: dict[str, NetSize] = {}


def size_of(program: Setting, data: DataInfo) -> NetSize:
    """The network of a setting, for rows of these data. Raises UsageError if its file cannot be loaded."""
    key = _key(program, data)
    if key not in _known:
        learn([program], data)
    return _known[key]


def learn(programs: Iterable[Setting], data: DataInfo) -> None:
    """Asks for the networks of some settings, all of one class, those that are not known yet. Raises UsageError."""
    missing = {_key(program, data): program for program in programs}
    if missing and not _known:
        _known.update(_recall())
    missing = {key: program for key, program in missing.items() if key not in _known}
    if not missing:
        return
    network = find_network(str(next(iter(missing.values()))["model"]))
    question = {"network": network.text, "folder": network.folder, "shape": data.shape, "classes": data.classes}
    answer = _ask(question | {"settings": [*missing.values()]})
    if "refused" in answer:
        raise UsageError(answer["refused"])
    _known.update({key: NetSize(**size) for key, size in zip(missing, answer["sizes"], strict=True)})
    _remember([key for key in missing if not _known[key].error])


def _key(program: Setting, data: DataInfo) -> str:
    own = sorted((name, value) for name, value in program.items() if is_of_network(name, program))
    code = find_network(str(program["model"])).fingerprint()
    return json.dumps([3, torch_version(), code, program["model"], own, [*data.shape], data.classes])


_process: list[subprocess.Popen[str]] = []


def _ask(question: dict[str, Any]) -> dict[str, Any]:
    """Asks the process that has torch, which stays until this one ends."""
    if not _process:
        script = "from sweep.engine.sizing import serve; serve()"
        pipe, none = subprocess.PIPE, subprocess.DEVNULL
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        command, place = [sys.executable, "-c", script], {**os.environ, **threads}
        _process.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=none, text=True, env=place))
        atexit.register(_end)
    asked, answered = _process[0].stdin, _process[0].stdout
    assert asked is not None
    assert answered is not None
    with suppress(BrokenPipeError):
        asked.write(json.dumps(question) + "\n")
        asked.flush()
    line = answered.readline()
    if not line:
        code = _process.pop().wait()
        raise SweepError(f"model = {question['network']}: the process that constructs it ended (exit code {code})")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _end() -> None:
    for process in _process:
        process.kill()
        process.wait()


def _file() -> Path:
    return cache_file().with_name("networks.json")


def _recall() -> dict[str, NetSize]:
    try:
        known = json.loads(_file().read_text(encoding="utf-8"))
        return {str(key): NetSize(**size) for key, size in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(keys: list[str]) -> None:
    """Adds to the file."""
    known = {**_recall(), **{key: _known[key] for key in keys}}
    write_cache(_file(), {key: vars(size) for key, size in known.items()})
