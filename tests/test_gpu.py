"""On a GPU: lanes agree with a solo run and with the CPU to rounding, replayed steps with plain ones. Skipped without
one.
"""

from __future__ import annotations

import pytest
import torch

from sweep.data import Part, Split
from sweep.engine import Program
from sweep.hyperparameters import canonical

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

TOLERANCE = 2e-3
"""Relative difference of a validation loss after two epochs at a small learning rate."""


def losses(settings: list[dict], split: Split, device: str, graph: bool = True) -> list[float]:
    with torch.no_grad():
        program = Program(settings, [0] * len(settings), split.to(device), device=device)
        if not graph:
            program._captures = lambda _: False  # type: ignore[method-assign]
        program.train_epoch(1)
        return program.train_epoch(2).val_loss


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_lanes_on_a_gpu_agree_with_one_alone_with_the_cpu_and_without_a_graph(digits, model, optimizer):
    part = Part(digits.train.x[:300], digits.train.y[:300])  # the last minibatch is not a whole one
    split = Split(part, digits.val, digits.test, digits.classes)
    base = {"model": model, "hidden": 8, "batch_norm": True, "optimizer": optimizer, "epochs": 2, "weight_decay": 0.01}
    settings = [canonical(base | {"lr": lr}) for lr in (1e-3, 3e-4, 1e-4)]
    together = losses(settings, split, "cuda")
    assert together[1] == pytest.approx(losses(settings[1:2], split, "cuda")[0], rel=TOLERANCE)
    assert together == pytest.approx(losses(settings, split, "cuda", graph=False), rel=TOLERANCE)
    assert together == pytest.approx(losses(settings, split, "cpu"), rel=TOLERANCE)


def test_a_diverging_lane_on_a_gpu_leaves_its_neighbours_alone(digits):
    settings = [canonical({"optimizer": "sgd", "lr": lr, "activation": "gelu"}) for lr in (0.01, 1e6, 0.02)]
    found = losses(settings, digits, "cuda")
    assert found[0] == pytest.approx(losses(settings[:1], digits, "cuda")[0], rel=TOLERANCE)
    assert found[2] == pytest.approx(losses(settings[2:], digits, "cuda")[0], rel=TOLERANCE)
