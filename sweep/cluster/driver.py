"""The process that is Ray's driver, between a study and its workers: an actor for each core or GPU that the cluster's
nodes offer, as these come and go. Needs ray, workers.

To the study it is what `workers.host` is: it gets units, and sends what workers say. A worker's number is never used
again, so that nothing meant for one that has died reaches another. Whatever else goes wrong ends the process.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError

from sweep import checkpoint
from sweep.cluster.actor import LISTEN, Actor
from sweep.cluster.nodes import Node, ask_versions, list_nodes, pin, version_trouble
from sweep.cores import cores
from sweep.data import Source, load
from sweep.errors import SweepError, UsageError
from sweep.messages import Checkpoint, Died, Left, Loaded, Message, Offered, Refused, Trouble
from sweep.plan import Unit
from sweep.speed import Measurement
from sweep.streams import quiet
from sweep.wording import count
from sweep.workers import DataRequest

LOOK = 1.0
"""Seconds between two looks at the cluster's nodes."""

PROBING = 60.0
"""Seconds that a node may take to say which versions it has."""

PATIENCE = 15.0
"""Seconds without any worker after which the study is told what it waits for."""


def drive() -> None:
    """The process: connects, has actors train, until the study's process closes the connection."""
    quiet()
    study = Connection(int(sys.argv[1]))
    _mute()
    with suppress(EOFError, OSError):  # the study is gone, so there is nothing left to do
        _serve(study)
    ray.shutdown()
    os._exit(0)


def _mute() -> None:
    """Keeps what Ray says off the user's terminal."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(nothing, number)
    logging.disable(logging.CRITICAL)


def _serve(study: Connection) -> None:
    address, device, jobs = study.recv()
    try:
        nodes = _connect(address)
        offer = _Offer(_choose_kind(device, nodes))
    except SweepError as error:
        study.send(Refused(str(error)))
        return
    offered = sum(map(offer.of, nodes))
    crew = _Crew(study, nodes, offer, min(offered, jobs or offered))
    study.send(Offered((offer.device,) * offered))
    most, request = study.recv()
    try:
        crew.begin(request, most)
    except SweepError as error:
        study.send(Refused(str(error)))
        return
    except Exception:
        study.send(Refused(f"{request.name}: cannot be loaded: {traceback.format_exc().strip().splitlines()[-1]}"))
        return
    threading.Thread(target=crew.listen, daemon=True).start()
    while True:
        crew.pass_on(*study.recv())


def _connect(address: str) -> list[Node]:
    """The nodes of a cluster, once Ray is connected to it. Raises UsageError if that cannot be, or one has other
    versions than this machine."""
    mine: dict[str, Any] = {"num_cpus": cores(), "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address, namespace="sweep", log_to_driver=False, logging_level=logging.CRITICAL, **mine)
        nodes = [*list_nodes().values()]
        answers = ray.get([ask_versions(node) for node in nodes], timeout=PROBING)
    except Exception as error:
        raise UsageError(_explain(address, error)) from None
    for node, answer in zip(nodes, answers, strict=True):
        if trouble := version_trouble(node, answer):
            raise UsageError(trouble)
    return nodes


def _explain(address: str, error: Exception) -> str:
    """What Ray says when it cannot be connected, in a line."""
    said = " ".join(str(error).split()) or type(error).__name__
    far = "" if address == "local" or "://" in address else " (on a machine that is none of its nodes: ray://HOST:PORT)"
    return f"Ray cannot be connected: {said}{far}"


def _choose_kind(device: str, nodes: list[Node]) -> str:
    """cpu or cuda:0, an actor's only GPU. Raises UsageError where the cluster has none."""
    gpus, cpus = sum(node.gpus for node in nodes), sum(node.cores for node in nodes)
    if device == "cuda" and not gpus:
        raise UsageError(f"the cluster has no GPU (--device cuda); it has {count(cpus, 'core')}")
    if device != "cpu" and gpus:
        return "cuda:0"
    if not cpus:
        raise UsageError(f"the cluster offers no core ({count(len(nodes), 'node')}, all with 0 CPUs)")
    return "cpu"


@dataclass(frozen=True)
class _Offer:
    """What a worker takes of a node."""

    device: str

    def of(self, node: Node) -> int:
        """How many workers a node has room for."""
        return node.cores if self.device == "cpu" else node.gpus

    def claim(self, node: Node) -> dict[str, float]:
        """What Ray is to keep for one."""
        if self.device == "cpu":
            return {"num_cpus": 1}
        return {"num_gpus": 1, "num_cpus": min(1.0, node.cores / node.gpus)}


@dataclass(frozen=True)
class _Worker:
    actor: Any
    node: Node


class _Crew:
    """The workers in the cluster, at most so many. `pass_on` is called by one thread, while another listens."""

    def __init__(self, study: Connection, nodes: list[Node], offer: _Offer, most: int) -> None:
        self.study, self.offer, self.most = study, offer, most
        self.request: DataRequest | None = None
        self.source: Any = None
        self.nodes = {node.id: node for node in nodes}  # those that may train
        self.refused: set[str] = set()
        self.probes: dict[Any, Node] = {}
        self.workers: dict[int, _Worker] = {}
        self.asked: dict[Any, int] = {}  # the worker whose messages are awaited
        self.next, self.fingerprint = 0, ""
        self.alone_since: float | None = time.monotonic()
        self.loaded: set[int] = set()
        self._staff()

    def begin(self, request: DataRequest, most: int) -> None:
        """Has those that are there get ready for a study, at most so many. Raises SweepError if its data cannot be
        loaded."""
        self.source = ray.put(_load(request))
        self.request, self.most = replace(request, data_dir=None, send=True), most
        for number in [*self.workers][most:]:
            self._dismiss(number)
        for number in self.workers:
            self._begin(number)

    def pass_on(self, number: int, what: Unit | Measurement | str) -> None:
        """Hands something to a worker, or to all of them (−1); not to one that is gone, which the study is told."""
        if isinstance(what, str):
            for worker in [*self.workers.values()]:
                worker.actor.stop.remote(what == "now")
        elif number in self.workers:
            if isinstance(what, Unit) and isinstance(what.checkpoint, Path):
                content = checkpoint.read(what.checkpoint)
                what = replace(what, checkpoint=content[0] if content else None)
            self.workers[number].actor.give.remote(what)

    def listen(self) -> None:
        """Passes on what workers say, and looks who is there, for ever."""
        try:
            look = 0.0
            while True:
                if time.monotonic() >= look:
                    self._look()
                    look = time.monotonic() + LOOK
                if waiting := [*self.asked, *self.probes]:
                    for ref in ray.wait(waiting, timeout=LOOK / 2)[0]:
                        self._hear(ref)
                else:
                    time.sleep(LOOK / 2)
        finally:
            os._exit(1)

    def _look(self) -> None:
        """Drops nodes that are gone, asks those that are new, and fills what is free."""
        alive = list_nodes()
        for node in [node for node in self.nodes.values() if node.id not in alive]:
            self._drop(node, f"node {node.name} has left the cluster")
        known = self.nodes.keys() | self.refused | {node.id for node in self.probes.values()}
        for node in alive.values():
            if node.id not in known and self.offer.of(node):
                self.probes[ask_versions(node)] = node
        self._staff()
        self._tell_waiting()

    def _staff(self) -> None:
        """An actor for every core that has none, on the emptiest node first."""
        while len(self.workers) < self.most:
            taken = [worker.node.id for worker in self.workers.values()]
            free = [node for node in self.nodes.values() if taken.count(node.id) < self.offer.of(node)]
            if not free:
                return
            self._hire(min(free, key=lambda node: taken.count(node.id)))

    def _hire(self, node: Node) -> None:
        number, self.next = self.next, self.next + 1
        kind = ray.remote(concurrency_groups={LISTEN: 1})(Actor)
        how = kind.options(scheduling_strategy=pin(node), max_restarts=0, **self.offer.claim(node))
        told = {name: value for name, value in os.environ.items() if name.startswith("SWEEP_")}
        self.workers[number] = _Worker(how.remote(number, self.offer.device, told), node)
        if self.request:
            self._begin(number)

    def _begin(self, number: int) -> None:
        self.workers[number].actor.begin.remote(self.request, self.source)
        self._ask(number)

    def _ask(self, number: int) -> None:
        self.asked[self.workers[number].actor.messages.remote()] = number

    def _hear(self, ref: Any) -> None:
        if ref in self.probes:
            self._admit(self.probes.pop(ref), ref)
            return
        number = self.asked.pop(ref)
        if number not in self.workers:
            return  # of a node that was dropped
        try:
            messages = ray.get(ref)
        except RayError as error:
            self._lose(number, error)
            return
        for message in messages:
            if number in self.workers:
                self._tell(number, message)
        if number in self.workers:
            self._ask(number)

    def _admit(self, node: Node, ref: Any) -> None:
        """A node that has come since the study began: it trains, or it is told why not."""
        try:
            trouble = version_trouble(node, ray.get(ref))
        except RayError:
            return  # gone again; if it is not, it is asked again
        if trouble:
            self._drop(node, f"{trouble}; it is left out")
        else:
            self.nodes[node.id] = node
            self._staff()

    def _tell(self, number: int, message: Message | Checkpoint | Refused) -> None:
        """Passes a worker's message on, but for what is settled here."""
        node = self.workers[number].node
        match message:
            case Checkpoint():
                self._keep(message)
            case Refused(reason):
                self._refuse(node, reason)
            case Loaded():
                self._welcome(number, node, message)
            case _:
                self.study.send(message)

    def _welcome(self, number: int, node: Node, message: Loaded) -> None:
        """A worker has the data, or, of a user's own code, what lies on its node under the same name."""
        self.fingerprint = self.fingerprint or message.fingerprint
        if message.fingerprint != self.fingerprint:
            self._refuse(node, f"its data or code have the fingerprint {message.fingerprint}, not {self.fingerprint}")
        else:
            self.loaded.add(number)
            self.study.send(replace(message, facts={**message.facts, "node": node.name}))

    def _refuse(self, node: Node, reason: str) -> None:
        """A node cannot train: where none has begun yet, that ends the study, or else the node is left out."""
        if not self.fingerprint:
            self.study.send(Refused(f"node {node.name}: {reason}"))
        self._drop(node, f"node {node.name} is left out: {reason}")

    def _lose(self, number: int, error: RayError) -> None:
        """A worker's actor is gone, alone or with its node."""
        worker = self._dismiss(number)
        if isinstance(error, ActorUnavailableError) or worker.node.id not in list_nodes():
            self.study.send(Left(number))
        else:
            self.study.send(Died(number, f"gone: its Ray actor on node {worker.node.name} died"))
        self._look()

    def _drop(self, node: Node, why: str) -> None:
        """A node trains no more."""
        self.nodes.pop(node.id, None)
        self.refused.add(node.id)
        self.study.send(Trouble(-1, why))
        for number in [number for number, worker in self.workers.items() if worker.node.id == node.id]:
            self._dismiss(number)
            self.study.send(Left(number))

    def _dismiss(self, number: int) -> _Worker:
        worker = self.workers.pop(number)
        self.loaded.discard(number)
        with suppress(RayError, ValueError):
            ray.kill(worker.actor)
        return worker

    def _keep(self, message: Checkpoint) -> None:
        """Keeps a checkpoint in the study's folder."""
        assert self.request
        folder = self.request.checkpoints
        assert folder is not None
        try:
            if message.name:
                checkpoint.write(folder, message.name, message.body)
            if message.before:
                (folder / message.before).unlink(missing_ok=True)
        except OSError as error:
            self.study.send(Trouble(message.worker, f"checkpoint not written: {error.strerror or error}"))

    def _tell_waiting(self) -> None:
        """Says, once for each time, that there has been no worker for a while, and why."""
        if self.loaded:
            self.alone_since = time.monotonic()
        elif self.alone_since is not None and time.monotonic() > self.alone_since + PATIENCE:
            self.alone_since = None
            why = "all cores are taken by other Ray jobs" if self.nodes else "no node that can train is left"
            self.study.send(Trouble(-1, f"waiting for the Ray cluster: {why}; Ctrl-C ends the run, it can be resumed"))


def _load(request: DataRequest) -> Source | None:
    """The data, where a study has some."""
    if request.trainer or request.functions:
        return None
    return load(request.name, request.data_dir, request.split_seed)
