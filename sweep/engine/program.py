"""A cohort's program: a one-trial net lowered to L lanes, trained epoch by epoch. Needs torch, nets and a data
split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from sweep.data import Part, Split
from sweep.engine import blocks
from sweep.engine.graphs import StepGraph
from sweep.engine.layers import Batch
from sweep.engine.losses import LOSSES, targets
from sweep.engine.lowering import lower
from sweep.engine.noise import Noise
from sweep.engine.optimizers import OPTIMIZERS, column
from sweep.engine.streams import stream
from sweep.hyperparameters import Setting
from sweep.networks import is_own
from sweep.space import epoch_steps

EVALUATION_ROWS = 500
"""Rows of one piece of an mlp's evaluation; no sum may depend on the number of lanes, so it is a constant."""

EVALUATION_PIXELS = 2**16
"""The same for a cnn, in pixels of one channel: so that what the layers leave stays near the cache."""

GATHERED_NUMBERS = 2**16
"""Numbers of the training rows that are gathered at a time, ahead of their steps, but one minibatch at least."""

NORM_EVERY = 10
"""The gradient's norm is taken at the first step of an epoch and every so many after it."""


@dataclass(frozen=True)
class Metrics:
    """What one epoch gave, by lane. Losses are means over rows; accuracies are in [0, 1], of regression NaN."""

    train_loss: list[float]
    train_accuracy: list[float]
    val_loss: list[float]
    val_accuracy: list[float]
    grad_norm: list[float]


Scores = dict[str, list[float]]
"""Of a part, by name, one entry a lane: loss and accuracy; of regression loss, mae and r2 (see `scores`)."""


class Program:
    """L trials of one cohort. Lanes are in the order given; neighbours of one seed share each minibatch.

    State: every parameter is a `Block` of `parameters`, every buffer one of `buffers`, by its name in the one-trial
    module, with a leading lane axis.
    """

    def __init__(
        self,
        settings: Sequence[Setting],
        seeds: Sequence[int],
        split: Split,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        precision: str = "float32",
    ) -> None:
        self.settings, self.seeds = list(settings), list(seeds)
        self.split, self.dtype, self.device, self.low = split, dtype, torch.device(device), precision == "bf16"
        self.graph: StepGraph | None = None
        first = self.settings[0]
        rows = len(split.train.y)
        self.batch_size = rows if first["batch_size"] == "full" else min(int(first["batch_size"]), rows)
        self.loss = LOSSES[str(first["loss"])]
        self.regression = split.target is not None
        self.std = split.target[1] if split.target else 1.0  # errors are told in the target's own units
        self.evaluation_rows = _evaluation_rows(first, tuple(split.train.x.shape[1:]))
        lowered = lower(self.settings, self.seeds, split, self.dtype, self.device, self.low)
        self.layers, self.parameters, self.buffers = lowered.forms, lowered.parameters, lowered.buffers
        self.rates, self.whole = lowered.rates, lowered.whole
        self.epoch_steps = epoch_steps(rows, self.batch_size)
        self.optimizer = OPTIMIZERS[str(first["optimizer"])](self.settings, self.parameters, self.epoch_steps)
        self._use_lanes()

    @property
    def lanes(self) -> int:
        """The number of lanes, L."""
        return len(self.settings)

    @property
    def before(self) -> int:
        """Steps made before this epoch."""
        return (self.epoch - 1) * self.epoch_steps

    def lane(self, index: int) -> dict[str, Tensor]:
        """One lane's parameters and buffers, by their names in the one-trial module."""
        return {name: block.value[index] for name, block in (self.parameters.blocks | self.buffers).items()}

    def train_epoch(self, epoch: int) -> Metrics:
        """Trains epoch `epoch` (from 1) and evaluates on the validation part."""
        self.begin_epoch(epoch)
        while self.step < self.end:
            self.train_step()
        return self.end_epoch()

    def begin_epoch(self, epoch: int) -> None:
        """Stands at the first step of an epoch (from 1)."""
        self.epoch, self.step, self.seen = epoch, 0, 0
        left = int(self.settings[0].get("steps", 0)) - self.before
        self.end = left if 0 < left < self.epoch_steps else self.epoch_steps  # the steps of this epoch
        for total in self.sums.values():
            total.zero_()
        self.dropouts = [stream(seed, "dropout", epoch) for _, seed in self.runs]
        self._open_epoch()

    def _open_epoch(self) -> None:
        """What a position in an epoch implies: the order of the rows, the optimizer's tables."""
        rows = len(self.split.train.y)
        self.orders = [torch.randperm(rows, generator=stream(seed, "order", self.epoch)) for _, seed in self.runs]
        self.gathered = range(0)
        self.optimizer.begin_epoch(self.epoch)

    def train_step(self) -> None:
        """Trains one minibatch."""
        batch, labels = self._minibatch()
        measured = self.step % NORM_EVERY == 0
        if self._captures(labels):
            if self.graph is None:
                position = self.optimizer.position = torch.zeros(1, dtype=torch.int64, device=self.device)
                self.graph = StepGraph(self._compute, batch, labels, position, self.state)
            self.graph.replay(batch, labels, self.step)
        else:
            if self.optimizer.position is not None:
                self.optimizer.position.fill_(self.step)
            self._compute(batch, labels, measured)
        if measured:
            self.sums["norm"] += self.norm
        self.seen += labels.shape[1]
        self.step += 1

    def _captures(self, labels: Tensor) -> bool:
        """Whether this step is replayed from a graph: on a GPU, a whole minibatch; dropout draws on the CPU."""
        whole = labels.shape[1] == self.batch_size
        return self.device.type == "cuda" and whole and not self.drops and self.whole is None

    def _compute(self, batch: Batch, labels: Tensor, measured: bool = True) -> None:
        """The arithmetic of a step. It changes tensors in place only, so that it can be captured."""
        logits = self._forward(batch, training=True)
        if not self.regression:
            self.sums["correct"] += (logits.max(1).indices == labels).sum(1)
        row_loss, grad = self.loss(logits, self._targets(labels, self.smoothing))
        blocks.backward(self.layers, grad)
        if self.clips or measured:
            self.norm.copy_(self._clip())
        self.optimizer.step(self.step)
        self.sums["loss"] += row_loss.sum(1)

    def wait(self) -> None:
        """Returns when everything asked of the device is done; for timing."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def _minibatch(self) -> tuple[Batch, Tensor]:
        """The rows of this step and their labels, [L, B]. Rows are gathered for several steps at a time."""
        if self.step not in self.gathered:
            numbers = self.batch_size * self.split.train.x[0].numel()
            end = min(self.step + max(1, GATHERED_NUMBERS // numbers), self.epoch_steps)
            self.gathered = range(self.step, end)
            rows = slice(self.step * self.batch_size, end * self.batch_size)
            picks = [order[rows].to(self.split.train.x.device) for order in self.orders]
            self.rows = [self._rows(self.split.train.x.index_select(0, pick)) for pick in picks]
            self.labels = self._labels(picks)
        start = (self.step - self.gathered.start) * self.batch_size
        piece = slice(start, start + self.batch_size)
        spans = tuple(span for span, _ in self.runs)
        return Batch(spans, tuple(rows[piece] for rows in self.rows), tuple(self.dropouts)), self.labels[:, piece]

    def end_epoch(self) -> Metrics:
        """What the epoch's steps gave, and an evaluation on the validation part."""
        loss, correct = self.sums["loss"] / self.seen * self.std**2, self.sums["correct"] / self.seen
        norm = self.sums["norm"] / math.ceil(self.end / NORM_EVERY)
        self.scores = self.evaluate(self.split.val)
        none = [math.nan] * self.lanes
        right = none if self.regression else correct.tolist()
        accuracy = self.scores.get("accuracy", none)
        return Metrics(loss.tolist(), right, self.scores["loss"], accuracy, norm.tolist())

    def evaluate_on_its_own(self, part: Part) -> Scores:
        """As `evaluate`, but batch norm uses the statistics of each piece itself; its moving averages stay."""
        kept, drops = {name: block.value.clone() for name, block in self.buffers.items()}, self.drops
        self._drop(False)
        scores = self.evaluate(part, training=True)
        self._drop(drops)
        for name, block in self.buffers.items():
            block.value.copy_(kept[name])
        return scores

    def evaluate(self, part: Part, training: bool = False, labels: Tensor | None = None) -> Scores:
        """Loss (without smoothing) and accuracy of every lane on a part, in evaluation mode (or training mode). labels:
        of each lane, [L, N], where they are not the part's own. Of regression the mean squared error (the loss) and
        the mean absolute error in the target's own units, and R² = 1 - squared error / variance of the part's
        target."""
        every = part.y.expand(self.lanes, -1) if labels is None else labels
        loss, beside = 0.0 * self.zeros, 0.0 * self.zeros  # right answers; of regression absolute errors
        for start in range(0, len(part.y), self.evaluation_rows):
            piece = slice(start, start + self.evaluation_rows)
            right = every[:, piece].to(self.device)
            rows = self._rows(part.x[piece])
            batch = Batch(((0, self.lanes),), (rows.clone() if training else rows,))  # training may write over it
            logits = self._forward(batch, training)
            target = self._targets(right, None)
            row_loss, _ = self.loss(logits, target)
            loss += row_loss.sum(1)
            each = (logits - target).abs()[:, 0] if self.regression else logits.max(1).indices == right
            beside += each.sum(1)
        loss, beside = loss / len(part.y), beside / len(part.y)
        if not self.regression:
            return {"loss": loss.tolist(), "accuracy": beside.tolist()}
        variance = float(part.y.cpu().double().var(correction=0))
        r2 = 1 - loss / variance if variance else loss * math.nan
        return {"loss": (loss * self.std**2).tolist(), "mae": (beside * self.std).tolist(), "r2": r2.tolist()}

    def _targets(self, labels: Tensor, smoothing: Tensor | None) -> Tensor:
        """labels [L, B] -> what the outputs are to be, [L, K, B]."""
        if self.regression:
            return labels.unsqueeze(1).to(self.dtype)
        return targets(labels, self.split.classes, smoothing, self.dtype)

    def predict(self, x: Tensor) -> Tensor:
        """The class that every lane answers for rows [N, ...], in evaluation mode, [L, N]."""
        pieces = [self._rows(piece) for piece in torch.split(x, self.evaluation_rows)]
        logits = [self._forward(Batch(((0, self.lanes),), (rows,)), training=False) for rows in pieces]
        return torch.cat([some.max(1).indices for some in logits], 1).cpu()

    def training_labels(self) -> Tensor:
        """The label of every training row as each lane has it, [L, N]."""
        return self._labels([torch.arange(len(self.split.train.y))] * len(self.runs)).cpu()

    def run_of(self, lane: int) -> int:
        """Which of the runs of lanes of one seed a lane is in."""
        return next(place for place, ((_, end), _) in enumerate(self.runs) if lane < end)

    def lane_labels(self, lane: int, pick: Tensor) -> Tensor:
        """The labels of the picked training rows [B] as a lane has them, on the CPU."""
        pick = pick.to(self.split.train.y.device)
        labels, run = self.split.train.y[pick], self.run_of(lane)
        if self.noises:
            labels = self.noises[run].put(labels, pick)[lane - self.runs[run][0][0]]
        return labels.cpu()

    def state(self) -> dict[str, Tensor]:
        """Everything that steps change, by name: tensors [L, ...], and one dropout stream a seed."""
        out = {f"buffer.{name}": block.value for name, block in self.buffers.items()}
        for slot, tensors in {"value": self.parameters.values, **self.optimizer.state}.items():
            out |= {f"{slot}.{group}": tensor for group, tensor in enumerate(tensors)}
        out |= {f"sum.{name}": tensor for name, tensor in self.sums.items()}
        streams = zip(self.runs, self.dropouts, strict=True)  # runs of one seed have drawn the same numbers
        return out | {f"dropout.{seed}": generator.get_state() for (_, seed), generator in streams}

    def restore(self, state: Mapping[str, Tensor], lanes: Sequence[int], epoch: int, step: int, seen: int) -> None:
        """Takes up the state that `lanes` of another program of this cohort had; its own lanes are those trials.

        Raises KeyError or RuntimeError if the state is not of such a program.
        """
        self.begin_epoch(epoch)
        self.step, self.seen = step, seen
        for (_, seed), generator in zip(self.runs, self.dropouts, strict=True):
            generator.set_state(state[f"dropout.{seed}"])
        for name, tensor in self.state().items():
            if not name.startswith("dropout."):
                tensor.copy_(state[name][list(lanes)])

    def keep(self, lanes: Sequence[int]) -> None:
        """Goes on with these lanes only; their numbers do not change by a bit."""
        index = torch.tensor(lanes, device=self.device)
        for block in self.buffers.values():
            block.value = block.value[index]
        self.parameters.keep(index)
        if self.whole is not None:
            self.whole.keep(lanes)
        self.settings = [self.settings[lane] for lane in lanes]
        self.seeds = [self.seeds[lane] for lane in lanes]
        self.optimizer.keep(self.settings, index)
        self._use_lanes()

    def _use_lanes(self) -> None:
        """What derives from the lanes' settings and seeds."""
        wide = torch.float32 if self.device.type == "mps" else torch.float64  # mps has no float64
        self.zeros = torch.zeros(self.lanes, dtype=wide, device=self.device)
        self.sums = {name: torch.zeros_like(self.zeros) for name in ("loss", "correct", "norm")}
        self.norm = torch.zeros_like(self.zeros)
        self.graph = None
        self.optimizer.position = None
        smoothing = column(self.settings, "label_smoothing").to(self.device, self.dtype)
        self.smoothing = smoothing if bool(smoothing.any()) else None
        limits = column(self.settings, "grad_clip").to(self.device, self.dtype)
        self.clips = bool(limits.any())
        self.limits = torch.where(limits > 0, limits, torch.inf)
        own = is_own(self.settings[0]["model"])
        dropout = torch.zeros(self.lanes) if own else column(self.settings, "dropout")
        for rates in self.rates:
            rates.use(dropout.to(self.device, self.dtype))
        self.runs: list[tuple[tuple[int, int], int]] = []
        for seed, run in groupby(range(self.lanes), key=lambda lane: self.seeds[lane]):
            members = list(run)
            self.runs.append(((members[0], members[-1] + 1), seed))
        shares = column(self.settings, "label_noise").tolist()
        self.noises: list[Noise] = []
        if any(shares):
            labels, classes = self.split.train.y, self.split.classes
            self.noises = [Noise(seed, shares[a:b], labels, classes) for (a, b), seed in self.runs]

    @property
    def drops(self) -> bool:
        """Whether a lane has dropout."""
        return any(rates.any for rates in self.rates)

    def _drop(self, drops: bool) -> None:
        for rates in self.rates:
            rates.any = drops and bool(rates.value.any())

    def _forward(self, batch: Batch, training: bool) -> Tensor:
        """The logits, [L, K, B]."""
        logits: Tensor = blocks.forward(self.layers, batch.x[0], batch, training)
        return logits

    def _rows(self, x: Tensor) -> Tensor:
        return x.to(self.device, self.dtype)

    def _labels(self, picks: list[Tensor]) -> Tensor:
        """The labels of the rows [B] picked for each run of lanes -> [L, B]."""
        rows = [self.split.train.y[pick].expand(b - a, -1) for ((a, b), _), pick in zip(self.runs, picks, strict=True)]
        if self.noises:
            rows = [noise.put(y, pick) for noise, y, pick in zip(self.noises, rows, picks, strict=True)]
        return torch.cat(rows).to(self.device)

    def _clip(self) -> Tensor:
        """The L2 norm of each lane's gradient, [L], before it is clipped to the lane's limit."""
        gradients = self.parameters.grads
        norms = torch.stack([torch.linalg.vector_norm(grad, dim=1) for grad in gradients], 1)
        norm = norms.square().sum(1).sqrt()
        if self.clips:
            factor = (self.limits / (norm + 1e-6)).clamp(max=1.0)
            for grad in gradients:
                grad.mul_(factor.view(-1, 1))
        return norm


def _evaluation_rows(setting: Setting, shape: tuple[int, ...]) -> int:
    """Rows of one piece of an evaluation."""
    if setting["model"] == "mlp" or len(shape) == 1:
        return EVALUATION_ROWS
    return max(8, EVALUATION_PIXELS // math.prod(shape[1:]) // 8 * 8)
