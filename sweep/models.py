"""A trained network to a file and back: safetensors, ONNX, torch.export. Needs torch, safetensors and nets; onnxscript
or onnxruntime only where such a file is made or read.

A file holds all that is needed to use it: raw rows in, standardising is part of the model, logits and probabilities
out; of regression numbers, in the target's own units. What it says of itself is one JSON text. No file is ever
unpickled.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import math
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from sweep import nets
from sweep.data import Array, Part, Takes, columns_from_dict
from sweep.dataname import is_path, options_of
from sweep.engine.streams import stream
from sweep.errors import SweepError, UsageError, unknown
from sweep.hyperparameters import SQUARED_ERROR, Setting, restored
from sweep.networks import is_own, note_network, read_network

SUFFIXES = (".safetensors", ".onnx", ".pt2")
FORMAT = 1
KEY = "sweep"
"""Where a file keeps what it says of itself."""

ONNX_WITHIN = 1e-3
"""How far probabilities of onnxruntime, which folds batch norm into weights and sums in another order, may be from the
network's."""

ROWS_AT_ONCE = 500
"""Rows that a network answers at a time."""


class Usable(nn.Module):
    """A network with its standardising: raw rows [B, *shape] -> logits and probabilities, both [B, classes]; of
    regression numbers [B], in the target's own units."""

    shift: Tensor
    scale: Tensor

    def __init__(self, net: nn.Module, shift: Tensor, scale: Tensor, target: tuple[float, float] | None = None) -> None:
        """shift, scale: float64, one number a channel [C, 1, 1] or a column [D]. target: of regression its mean and
        standard deviation."""
        super().__init__()
        self.net, self.target = net, target
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)
        self.requires_grad_(False)
        self.eval()

    def forward(self, rows: Tensor) -> tuple[Tensor, ...]:
        """In float64 up to the network, as training standardises; and after it, where its output is a number."""
        logits = self.net(((rows.double() - self.shift) / self.scale).float())
        if self.target is not None:
            mean, std = self.target
            return ((logits[:, 0].double() * std + mean).float(),)
        return logits, torch.softmax(logits, 1)


@dataclass(frozen=True)
class _Described:
    """about: what a file says of itself: shape, classes, setting, seed, study, data, scores, versions."""

    about: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """What each class is called."""
        return tuple(map(str, self.about["classes"]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a row: (D,) or (C, H, W)."""
        return tuple(map(int, self.about["shape"]))

    @property
    def target(self) -> tuple[float, float] | None:
        """Of regression the mean and the standard deviation of its training rows' target."""
        scale = self.about.get("target")
        return None if scale is None else (float(scale["mean"]), float(scale["std"]))

    def takes(self, data: str) -> Takes:
        """What rows it takes of some data, and how its study split these, if they are its study's."""
        about = self.about["data"]
        columns = columns_from_dict(about["columns"]) if about.get("columns") else None
        split = (about["split_seed"], about["split"]) if about["name"] == data or is_path(data) else (0, 0)
        return Takes(self.shape, columns, options_of(about["name"]), about.get("fingerprint"), split)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What comes out of it."""
        return ("logits", "probabilities") if self.target is None else ("prediction",)


@dataclass(frozen=True)
class Model(_Described):
    """A network that can be used."""

    module: Usable

    def probabilities(self, rows: Array) -> Array:
        """Of each class, [N, classes], for raw rows [N, *shape]."""
        return _softmax(self.logits(rows))

    def answers(self, rows: Array) -> Array:
        """What it answers raw rows [N, *shape]: the probability of each class, [N, classes], or numbers, [N]."""
        return self.probabilities(rows) if self.target is None else self.logits(rows).astype(np.float64)

    def logits(self, rows: Array) -> Array:
        """[N, classes] float32, for raw rows [N, *shape]; of regression the numbers themselves, [N]."""
        starts = range(0, len(rows), ROWS_AT_ONCE)
        pieces = (torch.from_numpy(rows[start : start + ROWS_AT_ONCE].astype(np.float64)) for start in starts)
        with torch.no_grad():
            answers: Array = torch.cat([self.module(piece)[0] for piece in pieces]).numpy()
        return answers


@dataclass(frozen=True)
class OnnxModel(_Described):
    """A network that onnxruntime runs; see `Model`."""

    session: Any

    def answers(self, rows: Array) -> Array:
        """As `Model.answers`."""
        return self.probabilities(rows)

    def probabilities(self, rows: Array) -> Array:
        """Of each class, [N, classes], for raw rows [N, *shape]; of regression the numbers, [N]."""
        starts = range(0, len(rows), ROWS_AT_ONCE)
        pieces = [rows[start : start + ROWS_AT_ONCE].astype(np.float32) for start in starts]
        return np.concatenate([self.session.run([self.outputs[-1]], {"rows": piece})[0] for piece in pieces])


def make(setting: Setting, state: Mapping[str, Tensor], shift: Array, scale: Array, about: Mapping[str, Any]) -> Model:
    """The model of a network's parameters and buffers, by their names in the module that `nets.build` makes of a
    setting. Raises RuntimeError if they are not those of such a module."""
    own = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
    classes = len(about["classes"]) or 1
    if is_own(setting["model"]):  # built with its numbers, as a constructor may hold some that no state has
        net = nets.build(setting, tuple(about["shape"]), classes, stream(about["seed"], "init"))
    else:
        with torch.device("meta"):
            net = nets.build(setting, tuple(about["shape"]), classes)
    names = net.state_dict().keys()
    counts = {name: torch.zeros((), dtype=torch.int64) for name in names if name.endswith(_COUNT)}
    net.load_state_dict(counts | {name: tensor for name, tensor in own.items() if name in names}, assign=True)
    by = torch.from_numpy(np.array(shift)), torch.from_numpy(np.array(scale))
    return Model(dict(about), Usable(net, *by, _Described(about).target))


_COUNT = "num_batches_tracked"
"""What batch norm counts and only a momentum of None uses; no file holds it."""


def score(model: Model, part: Part, loss: str) -> tuple[float, float]:
    """Mean loss and accuracy of the network itself on standardised rows, by torch.nn and autograd's functions; of
    regression the mean squared error in the target's own units, and NaN."""
    pieces = zip(torch.split(part.x, ROWS_AT_ONCE), torch.split(part.y, ROWS_AT_ONCE), strict=True)
    total, right = 0.0, 0
    with torch.no_grad():
        for x, y in pieces:
            logits = model.module.net(x).double()
            total += float(_LOSSES[loss](logits, y))
            right += int((logits.argmax(1) == y).sum())
    if model.target is not None:
        return total / len(part.y) * model.target[1] ** 2, math.nan
    return total / len(part.y), right / len(part.y)


def _squares(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - nn.functional.one_hot(y, outputs.shape[1])).square().mean(1).sum()


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": lambda logits, y: nn.functional.cross_entropy(logits, y, reduction="sum"),
    "mse": lambda logits, y: _squares(torch.softmax(logits, 1), y),
    "mse_logits": _squares,
    SQUARED_ERROR: lambda outputs, y: (outputs[:, 0] - y).square().sum(),
}
"""A row's loss without smoothing, summed over rows."""


def check_can_write(target: str) -> None:
    """Raises UsageError, before anything is trained, where a library for a kind of file is missing."""
    if Path(target).suffix.lower() == ".onnx":
        for name in ("onnx", "onnxscript"):
            _library(name, "writing")


def to_bytes(model: Model, suffix: str) -> bytes:
    """A model as a file's bytes. Of a .safetensors the same in every process."""
    return {".safetensors": _to_safetensors, ".onnx": _to_onnx, ".pt2": _to_pt2}[suffix](model)


def read(path: str, network: str | None = None) -> Model | OnnxModel:
    """The model of a file, .safetensors or .onnx. network: the FILE.py:NAME of a user's own network, whose code no file
    of a model holds; it is run only if it is named here. Raises UsageError, one line."""
    file = Path(path).expanduser()
    suffix = file.suffix.lower()
    if suffix == ".pt2":
        raise UsageError(
            f"{path}: torch.export.load may unpickle what is in a .pt2, so sweep reads none; expected a .safetensors "
            "or .onnx file of `sweep model`"
        )
    if suffix not in SUFFIXES:
        raise unknown("kind of model", file.suffix or path, SUFFIXES[:2], f"{path}: ")
    try:
        body = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; expected a file of `sweep model`") from None
    return _read_safetensors(path, body, network) if suffix == ".safetensors" else _read_onnx(path, body)


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, sort_keys=True, ensure_ascii=False)


def _to_safetensors(model: Model) -> bytes:
    # One key: safetensors writes several in another order in every process.
    tensors = {name: value.contiguous() for name, value in model.module.state_dict().items() if _COUNT not in name}
    return safetensors.torch.save(tensors, {KEY: _text(model.about)})


def _with_network(path: str, about: Mapping[str, Any], given: str | None) -> dict[str, Any]:
    """A file's setting, its network's code where the user says. Raises UsageError if that is needed and not said, or is
    another's."""
    wanted = about["setting"]["model"]
    if not is_own(wanted):
        if given is not None:
            raise UsageError(f"--model {given}: {path} is of sweep's own network {wanted}, which needs no code")
        return dict(about["setting"])
    if given is None:
        raise UsageError(
            f"{path}: is of a network of your own, {wanted}, and no file is run that you do not name; expected --model "
            f"{wanted}, with its folder (or a .onnx file, which needs no code)"
        )
    name = wanted.rpartition(":")[2]
    if not is_own(given) or (network := read_network(given, Path())).name != name:
        raise UsageError(f"--model {given}: {path} is of {wanted}; expected FILE.py:{name}")
    code, now = about["network"], network.fingerprint()
    if now != code:
        raise UsageError(
            f"--model {given}: other code than {path} was trained with (fingerprint {code}, now {now}); expected the "
            "file as it was then"
        )
    note_network(network)
    return {**about["setting"], "model": network.text}


def _read_safetensors(path: str, body: bytes, network: str | None) -> Model:
    try:
        (length,) = struct.unpack("<Q", body[:8])
        about = _check_about(json.loads(json.loads(body[8 : 8 + length])["__metadata__"][KEY]))
        tensors = safetensors.torch.load(body)
        setting = restored(_with_network(path, about, network))
        _check_tensors(about, tensors)
        shift, scale = (tensors.pop(name).numpy() for name in ("shift", "scale"))
        state = {name.removeprefix("net."): tensor for name, tensor in tensors.items()}
        return make(setting, state, shift, scale, about)
    except UsageError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, RecursionError, OverflowError) as error:
        raise _foreign(path, error) from None
    except (struct.error, safetensors.SafetensorError, AssertionError, ZeroDivisionError) as error:
        raise _foreign(path, error) from None


def _check_about(about: Any) -> Mapping[str, Any]:
    """What a file says of itself. Raises ValueError, TypeError or KeyError for anything else."""
    if about["format"] != FORMAT:
        raise ValueError(f"format {about['format']}, expected {FORMAT}")
    if not all(isinstance(size, int) and size > 0 for size in about["shape"]) or len(about["shape"]) not in (1, 3):
        raise ValueError(f"shape {about['shape']}")
    target = about.get("target")
    if target is not None and not (math.isfinite(target["mean"]) and 0 < target["std"] < math.inf):
        raise ValueError(f"target {target}")
    least = 2 if target is None else 0
    if not all(isinstance(name, str) for name in about["classes"]) or (len(about["classes"]) or 0) < least:
        raise ValueError(f"classes {about['classes']}")
    data = about["data"]
    if data.get("columns") is not None and columns_from_dict(data["columns"]).width != about["shape"][0]:
        raise ValueError("columns that are not those of its rows")
    if not isinstance(data["name"], str) or not all(isinstance(data[name], int) for name in ("split_seed", "split")):
        raise ValueError(f"data {data}")
    return dict(about)


def _check_tensors(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Raises ValueError for tensors that are of no such network, before one is built."""
    setting, shape = about["setting"], tuple(about["shape"])
    if not is_own(setting["model"]) and int(setting["depth"]) * int(setting.get("convolutions", 1)) > len(tensors):
        raise ValueError("fewer tensors than layers")
    for name, tensor in tensors.items():
        standardises = name in ("shift", "scale")
        kind = torch.float64 if standardises else tensor.dtype if is_own(setting["model"]) else torch.float32
        if tensor.dtype != kind or (standardises and tensor.shape != (shape if len(shape) == 1 else (shape[0], 1, 1))):
            raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)}")


def _foreign(path: str, error: BaseException) -> UsageError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return UsageError(f"{path}: no model of sweep, or a damaged one ({reason}); expected a file of `sweep model`")


def _to_onnx(model: Model) -> bytes:
    """One file, opset 20: rows (float32, any number) in, logits and probabilities out."""
    with _hush():
        program = torch.onnx.export(
            model.module,
            (_example(model),),
            dynamo=True,
            external_data=False,
            optimize=True,
            opset_version=20,
            verbose=False,
            dynamic_shapes=_any_batch(),
            input_names=["rows"],
            output_names=[*model.outputs],
        )
    assert program is not None
    proto = program.model_proto
    for place in (proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        del place.metadata_props[:]  # where in whose files each layer was written
    proto.metadata_props.add(key=KEY, value=_text(model.about))
    body = bytes(proto.SerializeToString(deterministic=True))
    _check_onnx(model, body)
    return body


def _check_onnx(model: Model, body: bytes) -> None:
    """Raises SweepError if onnxruntime, where it is installed, answers otherwise than the network on some rows."""
    if importlib.util.find_spec("onnxruntime") is None:
        return
    draws = torch.randn(3, *model.shape, generator=torch.Generator().manual_seed(0))
    rows = (model.module.shift + model.module.scale * draws).float().numpy()
    apart = np.abs(_read_onnx("the ONNX file", body).answers(rows) - model.answers(rows)).max()
    what, size = ("probabilities", 1.0) if model.target is None else ("numbers", model.target[1])
    if not apart <= ONNX_WITHIN * size:
        raise SweepError(f"onnxruntime's {what} differ from the network's by {apart:.2g}; nothing is written")


def _read_onnx(path: str, body: bytes) -> OnnxModel:
    runtime = _library("onnxruntime", "reading")
    try:
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        session = runtime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
        about = _check_about(json.loads(session.get_modelmeta().custom_metadata_map[KEY]))
        model = OnnxModel(about, session)
        answers = model.answers(np.zeros((2, *model.shape))).shape
        if answers != ((2, len(model.classes)) if model.target is None else (2,)):
            raise ValueError(f"answers are {list(answers)}")
        return model
    except Exception as error:  # onnxruntime has a class of error of its own for each kind of damage
        raise _foreign(path, error) from None


def _to_pt2(model: Model) -> bytes:
    with _hush():
        program = torch.export.export(model.module, (_example(model),), dynamic_shapes=_any_batch())
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)
        program.example_inputs = None  # they would be pickled
        buffer = io.BytesIO()
        torch.export.save(program, buffer, extra_files={f"{KEY}.json": _text(model.about)})
    return buffer.getvalue()


def _example(model: Model) -> Tensor:
    return torch.zeros(2, *model.shape)


def _any_batch() -> dict[str, Any]:
    return {"rows": {0: torch.export.Dim("batch")}}


def _library(name: str, doing: str) -> Any:
    """A library of the extra `onnx`. Raises SweepError, with what to install, where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise SweepError(f"{doing} .onnx needs {name}, which is not installed: pip install 'sweep[onnx]'") from None


@contextlib.contextmanager
def _hush() -> Iterator[None]:
    """Exporters talk of versions and passes, on both streams."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))
