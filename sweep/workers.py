"""Workers: one single-thread process a core, supervised. Needs data and engine, in its own processes only.

The study process talks to one host process; the host imports torch, loads the data and forks the workers, which
share both with it. A worker that dies is reported and replaced by another fork. Everything ends with the study
process: the host when its connection closes, a worker when the host is gone.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sweep.cores import cores
from sweep.data import Array, load
from sweep.errors import DataError, SweepError, UsageError
from sweep.formulas import fingerprint
from sweep.host import start
from sweep.machine import facts, kind_text
from sweep.messages import (
    Checkpoint,
    Died,
    Done,
    Failed,
    Loaded,
    Measured,
    Message,
    OutOfMemory,
    Ready,
    Refused,
    Stopped,
    Trained,
    Trouble,
)
from sweep.networks import Network, both_fingerprints, note_network
from sweep.plan import Unit
from sweep.recipe import Trainer
from sweep.space import UNWATCHED, Watch
from sweep.speed import Measurement
from sweep.streams import quiet
from sweep.trainers import adopt_orphans, code_fingerprint, end_orphans, make_trainer, train_own

if TYPE_CHECKING:
    from sweep.data import Source, Split
    from sweep.hyperparameters import Setting


@dataclass(frozen=True)
class DataRequest:
    """The data that a host loads."""

    name: str
    data_dir: str | None
    split_seed: int
    forms: tuple[tuple[str, int | str], ...]
    """(normalize, train_size) that workers will ask for."""
    checkpoints: Path | None = None
    """The folder where workers keep theirs, or None for none."""
    keep: bool = False
    """Whether to keep those of finished trials."""
    precision: str = "float32"
    """Of matrix products; see recipe.PRECISIONS."""
    splits: tuple[int, ...] = (0,)
    """Numbers of the splits that workers will ask for."""
    watch: Watch = UNWATCHED
    functions: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """What points go down, where there are no data: each function with a point of it."""
    trainer: Trainer | None = None
    """A user's own function or command, where that trains."""
    network: Network | None = None
    """A user's own network."""
    metric: str = "val_loss"
    """What it reports."""
    timeout: float | None = None
    """Seconds that a trial of it may take."""
    source: Source | None = None
    """The data themselves, where another machine has loaded them."""
    send: bool = False
    """Whether workers send checkpoints, since their folder is another machine's."""


_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def choose_devices(name: str, jobs: int | None) -> tuple[str, ...]:
    """The device of each worker. auto: every GPU of NVIDIA's, or else the CPU; jobs: by default one a core or a GPU.

    Raises UsageError for a name that is none, or a GPU that is not there.
    """
    if not _DEVICE.fullmatch(name):
        raise UsageError(f"--device {name}: expected auto, cpu, cuda, cuda:N or mps")
    gpus = _gpus()
    if name == "cpu" or (name == "auto" and not gpus):
        return ("cpu",) * (jobs or cores())
    places = ["mps"] if name == "mps" else [f"cuda:{place}" for place in range(gpus)]
    if ":" in name:
        places = [place for place in places if place == name]
    if not places:
        raise UsageError(
            f"--device {name}: this machine has {gpus or 'no'} NVIDIA GPU{'s' * (gpus > 1)}; expected cpu or auto"
        )
    return tuple(places[worker % len(places)] for worker in range(jobs or len(places)))


def _gpus() -> int:
    """NVIDIA GPUs that this process may use, without asking torch, which takes seconds to import."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() not in ("", "-1")])
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


class Pool:
    """The study's handle on its workers. Use as a context manager; leaving it ends every process."""

    place = ""
    """Where they are, in the names of what is remembered of their speed; empty for this machine."""
    patience = 5.0
    """Seconds that all of it may take to end."""

    def __init__(self, devices: Sequence[str], data: DataRequest) -> None:
        """devices: one for each worker."""
        self._open(*start(), (tuple(devices), data))

    def _open(self, host: subprocess.Popen[bytes], connection: Connection, asked: tuple[object, DataRequest]) -> None:
        self._host, self._connection = host, connection
        self._send(asked)
        self._begin = time.monotonic()

    def age(self) -> float:
        """Seconds since the workers were called for."""
        return time.monotonic() - self._begin

    def give(self, worker: int, unit: Unit | Measurement) -> None:
        """Hands a worker that is ready what to train, or to measure, next."""
        self._send((worker, unit))

    def stop(self, now: bool) -> None:
        """Asks every worker to stop: at the end of its epoch, or after its step."""
        self._send((-1, "now" if now else "epoch"))

    def messages(self, seconds: float) -> list[Message]:
        """What has come in, waiting at most so long for the first. Raises DataError if the host refused, SweepError if
        it is gone.
        """
        out: list[Message] = []
        try:
            while self._connection.poll(0 if out else seconds):
                message = self._connection.recv()
                if isinstance(message, Refused):
                    raise DataError(message.reason)
                out.append(message)
        except (EOFError, OSError):
            if out:
                return out
            raise SweepError(f"{self._explain_end(self._host.wait())}; everything finished is recorded") from None
        return out

    def _explain_end(self, code: int) -> str:
        """What it means that the host process has ended."""
        return f"the workers' host process ended ({_ending(code)})"

    def close(self) -> None:
        """Ends every process: the host, once it sees its connection closed, kills its workers."""
        self._connection.close()
        try:
            self._host.wait(timeout=self.patience)
        except subprocess.TimeoutExpired:
            self._host.kill()
            self._host.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, what: tuple[object, Unit | Measurement | str | DataRequest]) -> None:
        with suppress(OSError):  # if the host is gone, `messages` says so
            self._connection.send(what)


def host() -> None:
    """The host process: loads the data, forks the workers, passes messages on, replaces the dead."""
    quiet()
    gc.disable()  # nothing of what torch imports is garbage: to look through it takes a seventh of the import
    with suppress(EOFError, OSError):  # the study is gone, so there is nothing left to do
        _serve(Connection(int(sys.argv[1])))
        os._exit(0)  # taking torch down in order takes over half a second, and the study waits


def _serve(study: Connection) -> None:
    requests: list[DataRequest] = []
    try:
        stock = _Stock(study, requests)
    except EOFError:
        return  # nobody wanted a host after all
    except SweepError as error:
        study.send(Refused(str(error)))
        return
    except Exception:
        name = requests[0].name if requests else "host"
        last = traceback.format_exc().strip().splitlines()[-1]
        study.send(Refused(f"{name}: cannot be loaded: {last}"))
        return
    gc.freeze()  # what is imported stays; collections, from here on, need not look at it, nor unshare its memory
    gc.enable()
    devices = stock.devices
    study.send(Loaded(stock.fingerprint, stock.memory, stock.facts, stock.classes))
    workers: dict[int, tuple[int, Connection]] = {}
    for worker in range(len(devices)):
        workers[worker] = _fork(worker, stock, [study, *(pipe for _, pipe in workers.values())])
    try:
        _relay(study, workers, stock)
    finally:
        for pid, _ in workers.values():
            os.kill(pid, signal.SIGKILL)
        if stock.trainer:
            end_orphans()  # the workers, and then what they leave behind


def _relay(study: Connection, workers: dict[int, tuple[int, Connection]], stock: _Stock) -> None:
    """Passes messages between the study and the workers until the study is gone."""
    while True:
        owners = {pipe: worker for worker, (_, pipe) in workers.items()}
        for ready in wait([study, *owners]):
            assert isinstance(ready, Connection)
            if ready is study:
                try:
                    worker, unit = study.recv()
                except (EOFError, OSError):
                    return
                for _, pipe in workers.values() if worker < 0 else [workers[worker]]:
                    with suppress(OSError):  # if it has just died, its closed pipe is reported below
                        pipe.send(unit)
                continue
            worker = owners[ready]
            try:
                message = ready.recv_bytes()
            except Exception:  # EOF, a reset if it left something unread, or a message torn by the worker's death
                pid, pipe = workers.pop(worker)
                pipe.close()
                _, status = os.waitpid(pid, 0)
                if stock.trainer:
                    end_orphans([other for other, _ in workers.values()])
                study.send(Died(worker, _ending(os.waitstatus_to_exitcode(status))))
                workers[worker] = _fork(worker, stock, [study, *(other for _, other in workers.values())])
            else:
                study.send_bytes(message)


SPLITS_BYTES = 2**30
"""Bytes of data in memory up to which the host makes all splits ready; past it, workers make those that they train
on.
"""


class _Stock:
    """What every worker inherits: torch, the engine, the data. Loaded once, in the host."""

    def __init__(self, study: Connection, requests: list[DataRequest]) -> None:
        """Waits for the study's request, which goes to `requests`, and loads its data while torch is imported."""

        def prepare() -> tuple[str, dict[tuple[str, int | str, int], tuple[Source, list[tuple[Array, Array]]]]]:
            self.devices, request = study.recv()
            requests.append(request)
            if request.trainer:
                return code_fingerprint(request.trainer), {}
            if request.functions:
                return fingerprint(name for name, _ in request.functions), {}
            code = ""
            if request.network:
                note_network(request.network)
                code = request.network.fingerprint()
            loaded = request.source or load(request.name, request.data_dir, request.split_seed)
            self.source = replace(loaded, shifts=request.watch.shifts)
            first = request.splits[0]
            source = self.source
            tests = [source.test] * (1 + len(source.shifts)) + list(source.tests.values())
            bytes_each = sum(4 * math.prod(part[0].shape) for part in (source.train, source.val, *tests))
            room = max(1, SPLITS_BYTES // bytes_each)
            wanted = [(form, split) for form in request.forms for split in request.splits]
            ready = [pair for place, pair in enumerate(wanted) if pair[1] == first or place < room]
            made = {split: self.source.resplit(split) for split in {split for _, split in ready}}
            each = ((form, split, made[split]) for form, split in ready)
            forms = {(*form, split): (source, source.standardised(*form)) for form, split, source in each}
            return both_fingerprints(self.source.fingerprint(), code), forms

        with ThreadPoolExecutor(1) as aside:
            prepared = aside.submit(prepare)
            import torch

            import sweep.engine  # so that no fork has to
            import sweep.functions.training
            import sweep.functions.values

            torch.set_num_threads(1)
            asked = {"instructions": _instructions(), "threads": torch.get_num_threads()}
            self.fingerprint, forms = prepared.result()
        request = requests[0]
        self.functions = request.functions
        self.trainer, self.metric, self.timeout = request.trainer, request.metric, request.timeout
        if self.trainer:
            adopt_orphans()
        for name, point in request.functions:
            sweep.functions.values.check_values(name, point)
        self.classes = None if request.functions or request.trainer else self.source.classes()
        self.facts = facts(asked, self.devices[0])
        self.precision, self.checkpoints, self.keep = request.precision, request.checkpoints, request.keep
        self.send = request.send
        self.watch = request.watch
        if any(device.startswith("cuda") for device in self.devices) and not torch.cuda.is_available():
            raise SweepError("torch finds no GPU that it can use here; --device cpu trains on the CPU")
        if "mps" in self.devices and not torch.backends.mps.is_available():
            raise SweepError("torch has no mps device here; --device cpu trains on the CPU")
        self.splits = {form: source.tensors(parts) for form, (source, parts) in forms.items()}
        self.made: tuple[tuple[str, int | str, int], Split] | None = None
        self.memory = sweep.engine.resident_memory()

    def split(self, setting: Setting, number: int = 0) -> Split:
        """The data in the form of a setting and a split; made now if the host did not, and the last of these kept."""
        size = setting["train_size"]
        form = str(setting["normalize"]), size if isinstance(size, str) else int(size)
        key = *form, number
        if key in self.splits:
            return self.splits[key]
        if self.made is None or self.made[0] != key:
            self.made = key, self.source.resplit(number).split(*form).to(self.device)
        return self.made[1]

    def use(self, worker: int) -> None:
        """In a worker: takes its device and precision. The data go there once."""
        import torch

        self.device = self.devices[worker]
        if self.trainer:
            _show_gpu(self.device)  # CUDA must not start here: the function's process is a fork
            return
        tf32 = self.precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        if self.device != "cpu":
            if self.device.startswith("cuda"):
                torch.cuda.set_device(self.device)
            self.splits = {form: split.to(self.device) for form, split in self.splits.items()}


def _show_gpu(device: str) -> None:
    """Has what this process starts see no other GPU than its own."""
    if device.startswith("cuda:"):
        place, visible = int(device.partition(":")[2]), os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[place] if visible else str(place)


_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE")
"""Variables that keep torch's libraries to other instructions than torch tells of."""


def _instructions() -> str:
    """The vector instructions that torch uses here, with what is asked of its libraries: initial weights depend on
    them.
    """
    import torch

    limits = [f"{name}={os.environ[name]}" for name in _LIMITS if os.environ.get(name)]
    return " ".join([torch.backends.cpu.get_cpu_capability(), *limits])


def _fork(worker: int, stock: _Stock, inherited: Sequence[Connection]) -> tuple[int, Connection]:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            for pipe in inherited:
                pipe.close()
            _work(worker, Connection(theirs.detach()), stock)
        finally:
            os._exit(0)
    theirs.close()
    return pid, Connection(ours.detach())


def _work(worker: int, pipe: Connection, stock: _Stock) -> None:
    """A worker: trains one unit after another until its pipe closes."""
    if stock.trainer:  # it sees its pipe closed, and ends what it started before it goes
        adopt_orphans()
    elif sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no worker outlives its host, however it died
    import torch

    from sweep.engine import measure

    # Denormal numbers (in Adam's moments of a dead unit, say) are up to a hundred times slower and mean 0 here, but for
    # a path, whose numbers are all there is to see.
    torch.set_flush_denormal(not (stock.functions or stock.trainer))
    stock.use(worker)
    own = make_trainer(stock.trainer, [pipe.fileno()]) if stock.trainer else None
    try:
        while True:
            pipe.send(Ready(worker))
            while isinstance(unit := pipe.recv(), str):
                pass  # asked to stop while it had nothing to do
            end: Message
            try:
                if isinstance(unit, Measurement):
                    costs = measure(unit, stock.split(unit.setting), stock.device, stock.precision)
                    end = Measured(worker, unit.key, tuple(costs))
                elif own:
                    end = train_own(worker, pipe, unit, own, stock.metric, stock.timeout)
                else:
                    end = _train(worker, pipe, unit, stock)
            except (EOFError, BrokenPipeError, ConnectionError):
                return
            except SweepError as error:
                end = Failed(worker, str(error))
            except Exception as error:
                full = isinstance(error, MemoryError) or ("alloc" in str(error) and "memory" in str(error))
                end = OutOfMemory(worker) if full else Failed(worker, traceback.format_exc())
            if isinstance(end, OutOfMemory) and stock.device.startswith("cuda"):
                torch.cuda.empty_cache()
            pipe.send(end)
    except (EOFError, OSError):
        return
    finally:
        if own:
            own.close()


def _train(worker: int, pipe: Connection, unit: Unit, stock: _Stock) -> Stopped | Done:
    from sweep.engine import Saver, Training
    from sweep.functions.training import PathTraining

    def asked() -> str:
        return pipe.recv() if pipe.poll() else ""

    if stock.functions:
        paths = PathTraining(unit.trials, asked)
        for records in paths:
            pipe.send(Trained(worker, tuple(records)))
        return Stopped(worker) if paths.stopped else Done(worker)
    kind = kind_text(stock.facts)
    saver = None
    if stock.checkpoints:
        send = partial(_send_checkpoint, worker, pipe) if stock.send else None
        saver = Saver(stock.checkpoints, stock.fingerprint, unit.checkpoint, stock.keep, kind, send)
    split = stock.split(unit.trials[0].setting, unit.split)
    training = Training(unit.trials, split, saver, asked, stock.device, stock.precision, unit.until, stock.watch)
    for records in training:
        pipe.send(Trained(worker, tuple(records)))
        if training.trouble:
            pipe.send(Trouble(worker, training.trouble))
            training.trouble = ""
    return Stopped(worker) if training.stopped else Done(worker)


def _send_checkpoint(worker: int, pipe: Connection, name: str, body: bytes, before: str) -> None:
    pipe.send(Checkpoint(worker, name, body, before))


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
