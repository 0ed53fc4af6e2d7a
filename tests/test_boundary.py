"""The picture of a decision boundary: the recorded network, trained again to the same bits."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sweep.data import load


@pytest.mark.long
@pytest.mark.parametrize("flags", [["--label-noise", 0.3], ["--batch-norm", "on", "--train-size", 100]])
def test_a_boundary_is_that_of_the_recorded_network(sweep, tmp_path, flags):
    sweep("grid", "--data", "moons", "--lr", "0.02,0.0001", "--steps", 150, *flags, "--study", "m")
    row = json.loads(sweep("trial", "m", 0, "--json").stdout)
    read = json.loads(sweep("plot", "m", "boundary", "--json").stdout)
    assert read["notes"] == []  # no bit differs
    assert read["title"] == "What trial 0 answers"  # the selected one
    held = [mark for mark in read["marks"] if mark["part"] == "validation"]
    assert np.mean([mark["right"] for mark in held]) == pytest.approx(row["val_accuracy"])
    assert row["val_accuracy"] > 0.85
    for mark in held:
        inside = [
            one["label"]
            for one in read["regions"]
            if one["x"] <= mark["x"] < one["x2"] and one["y"] <= mark["y"] < one["y2"]
        ]
        assert len(inside) == 1
    source = load("moons", None, 0)
    trained = [mark for mark in read["marks"] if mark["part"] == "training"]
    labels = [f"class {label}" for label in source.train[1][: len(trained)]]
    changed = np.mean([mark["label"] != label for mark, label in zip(trained, labels, strict=True)])
    assert changed == (pytest.approx(0.15, abs=0.05) if "--label-noise" in flags else 0)
    told = sweep("plot", "m", "boundary", "--trial", 1).stdout
    assert "What trial 1 answers" in told
    assert "·····" in told
    sweep("plot", "m", "boundary", "-o", "m.svg")
    assert "class 1" in (tmp_path / "m.svg").read_text()


def test_what_has_no_boundary_is_one_line(sweep):
    sweep("grid", "--epochs", 1, "--study", "d")
    told = sweep("plot", "d", "boundary", code=2).stderr
    assert told.startswith("sweep: rows of digits are 1 x 8 x 8 numbers; expected two")
    assert "does not exist" in sweep("plot", "d", "boundary", "--trial", 7, code=2).stderr
    assert "--trial 0: for a boundary" in sweep("plot", "d", "curves", "--trial", 0, code=2).stderr
    assert "boundary draws one trial" in sweep("plot", "d", "boundary", "lr", code=2).stderr
