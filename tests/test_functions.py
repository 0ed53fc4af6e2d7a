"""Points that go down functions: ORACLES.md's numbers, torch.optim, bits alone and in company, studies, bad input."""

from __future__ import annotations

import itertools
import json
import math
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sweep.formulas import FORMULAS
from sweep.functions.paths import Paths
from sweep.functions.training import PathTraining
from sweep.functions.values import VALUES, Function, find_values, numbers_of
from sweep.hyperparameters import canonical
from sweep.space import Trial
from tests.processes import kill, numbers, query, start, wait_for
from tests.test_cli_errors import refused  # noqa: F401
from tests.thin import thin


def paths_of(*given: dict, seeds: list[int] | None = None) -> Paths:
    """Paths at their end."""
    settings = [canonical({"model": "function", "optimizer": "sgd", **one}) for one in given]
    paths = Paths(settings, seeds or [0] * len(settings))
    for _ in paths.go():
        pass
    return paths


def end_of(**given: object) -> list[float]:
    """Where one path ends."""
    return [float(row[0]) for row in paths_of(given).rows]


ILL = {"function": "quadratic", "start": "-5:-2", "steps": 20}
"""d2l's ill-conditioned 0.1x₁² + 2x₂²."""
D2L = [
    ({"function": "square", "lr": 0.2}, [0.06046617599999997]),
    ({"function": "square", "lr": 0.05}, [3.4867844009999995]),
    ({"function": "square", "lr": 1.1}, [61.917364224000096]),
    ({"function": "square", "lr": 0.5}, [0.0]),
    ({"function": "square", "lr": 0.9}, [1.073741824]),
    ({"function": "square", "lr": 1.0}, [10.0]),
    ({"function": "x_cos", "c": 0.15, "lr": 2.0}, [-1.528165927635083]),
    ({"function": "cosh", "c": 0.5, "optimizer": "newton"}, [0.0]),
    ({"function": "x_cos", "c": 0.15, "optimizer": "newton"}, [26.83413291324767]),
    ({"function": "x_cos", "c": 0.15, "optimizer": "newton", "lr": 0.5}, [7.269860168684531]),
]


@pytest.mark.parametrize(("given", "end"), D2L)
def test_d2l_from_10_in_ten_steps(given, end):
    assert end_of(start="10", steps=10, **given) == pytest.approx(end, abs=1e-10)


ROUNDED = [
    ({"q1": 1.0, "lr": 0.1}, (-0.057646075, -7.3123e-05), 5e-10),
    ({"lr": 0.4}, (-0.943467, -7.312e-05), 5e-7),
    ({"lr": 0.5}, (-0.607883, -2.0), 5e-7),
    ({"lr": 0.6}, (-0.387814, -1673.365109), 5e-7),
    ({"lr": 0.6, "momentum": 0.5}, (0.007188, 0.002553), 5e-7),
    ({"lr": 0.6, "momentum": 0.25}, (-0.126340, -0.186632), 5e-7),
    ({"lr": 0.4, "momentum": 0.5}, (-0.062843, 0.001202), 5e-7),
    # d2l has eps inside the root, torch.optim (and so sweep) beside it: five digits agree
    ({"optimizer": "adagrad", "eps": 1e-6, "lr": 0.4}, (-2.382563, -0.158591), 1e-6),
    ({"optimizer": "adagrad", "eps": 1e-6, "lr": 2.0}, (-0.002295, 0), 5e-7),
    ({"optimizer": "rmsprop", "eps": 1e-6, "beta2": 0.9, "lr": 0.4}, (-0.010599, 1e-14), 1e-6),
]
"""As far as the digits go that are printed."""


@pytest.mark.parametrize(("given", "end", "digits"), ROUNDED)
def test_d2l_on_quadratics_in_twenty_steps(given, end, digits):
    assert end_of(**{**ILL, **given}) == pytest.approx(list(end), abs=digits)


def test_minima_saddles_and_flat_places():
    """Statements 58 to 60, 69: local minima, a saddle that noise alone leaves, Newton on a saddle and a maximum."""
    cos = {"function": "x_cos", "lr": 0.02, "steps": 500}
    assert end_of(start="-0.5", **cos) == pytest.approx([-0.273853], abs=5e-7)
    assert end_of(start="0.5", **cos) == pytest.approx([1.090408], abs=5e-7)
    assert end_of(function="x_cos", optimizer="newton", start="0.5", steps=20) == pytest.approx([0.273853], abs=5e-7)
    assert paths_of({"function": "x_cos", "optimizer": "newton", "start": "0"}).left.tolist()[0] == 1  # f″(0) = 0
    saddle = {"function": "saddle", "lr": 0.1, "steps": 50}
    assert end_of(start="1:0.001", **saddle)[1] == pytest.approx(9.10, abs=0.005)
    assert end_of(start="1:0", **saddle)[1] == 0
    assert end_of(function="saddle", start="1:0.001", optimizer="newton", steps=1) == [0, 0]
    cube = {"function": "cube", "start": "1", "lr": 0.1}
    assert end_of(steps=100, **cube) == pytest.approx([0.0312], abs=5e-5)
    assert end_of(steps=1000, **cube) == pytest.approx([0.0033], abs=5e-5)


THREE = {
    # start: MSE, the length of its gradient, cross-entropy, the length of its gradient
    10: (8.5e-18, 2.4e-17, 2.06e-9, 2.9e-9),
    1: (0.028419, 0.0708, 0.126928, 0.1686),
    0: (0.5, 0.7071, 0.693147, 0.7071),
    -1: (1.551607, 0.5231, 2.126928, 1.246),
    -2: (1.928702, 0.09812, 4.018150, 1.389),
    -5: (1.999818, 2.568e-4, 10.000045, 1.414),
    -10: (2.0, 1.166e-8, 20.0, 1.414),
}


@pytest.mark.parametrize("start", THREE)
def test_the_three_classes(start):
    """The notes' table, and its closed forms 2(1 − p)² and −ln p with their slopes, to 1e-10."""
    wrong, right = 1 / (1 + math.exp(2 * start)), 1 / (1 + math.exp(-2 * start))
    exact = (2 * wrong**2, math.sqrt(2) * 4 * wrong**2 * right, math.log1p(math.exp(-2 * start)), math.sqrt(2) * wrong)
    found = []
    for name in ("softmax_mse", "softmax_cross_entropy"):
        paths = Paths([canonical({"model": "function", "function": name, "start": f"{start}:{-start}"})], [0])
        found += [float(paths.values()[0]), float(paths.slopes()[0])]
    assert found == pytest.approx(THREE[start], rel=2e-2, abs=1e-12)
    assert found == pytest.approx(exact, rel=1e-10)


STEPS = [
    ("softmax_cross_entropy", "-2:2", "sgd", 0.1, 75),
    ("softmax_cross_entropy", "-10:10", "sgd", 0.1, 155),
    ("softmax_cross_entropy", "-10:10", "sgd", 1.0, 15),
    ("softmax_cross_entropy", "-15:15", "adam", 0.1, 175),
    ("softmax_mse", "-5:5", "sgd", 1.0, 2769),
    ("softmax_mse", "-10:10", "sgd", 1.0, None),
    ("softmax_mse", "-10:10", "adam", 0.1, 87),
    ("softmax_mse", "-10:10", "adam", 1.0, 18),
    ("softmax_mse", "-15:15", "adam", 0.1, None),
]


@pytest.mark.parametrize(("name", "start", "optimizer", "lr", "steps"), thin(STEPS, 3))
def test_steps_until_the_right_class_has_nine_tenths(name, start, optimizer, lr, steps):
    limit = 0.02 if name == "softmax_mse" else -math.log(0.9)
    given = {"function": name, "start": start, "optimizer": optimizer, "lr": lr, "steps": 3000}
    paths = Paths([canonical({"model": "function", **given})], [0])
    reached = next((step for step in paths.go() if float(paths.values()[0]) < limit), None)
    assert reached == steps


def test_constraints_by_penalty_and_by_projection():
    """Statements 64 to 66: min x² + y² where x + y = 1."""
    bowl = {"function": "quadratic", "q1": 1.0, "q2": 1.0, "start": "2:-1", "constraint": "sum"}
    for penalty in (1.0, 10.0, 100.0, 1000.0):
        found = end_of(**bowl, penalty=penalty, optimizer="newton", steps=2)
        assert found == pytest.approx([penalty / (1 + 2 * penalty)] * 2, abs=1e-10)
    for steps, end in ((1, (1.7, -0.7)), (2, (1.46, -0.46)), (3, (1.268, -0.268)), (200, (0.5, 0.5))):
        assert end_of(**bowl, lr=0.1, steps=steps) == pytest.approx(end, abs=1e-10)
    ball = {"function": "quadratic", "q1": 0.0, "q2": 0.0, "start": "3:4", "constraint": "ball", "steps": 1, "lr": 0.1}
    assert end_of(**ball) == pytest.approx([0.6, 0.8], abs=1e-10)


def test_noise_falls_as_one_over_the_root_of_the_batch():
    """x₁² + 2x₂², lr 0.1, N(0, 1) noise: the variance is lr/(2a(2 - 2a·lr)) = .02778, .01563; at batch 16 a 16th."""
    bowl = {"function": "quadratic", "q1": 1.0, "q2": 2.0, "start": "0:0", "lr": 0.1, "noise": 1.0, "steps": 200}
    for batch in (1, 16):
        paths = paths_of(*[{**bowl, "batch_size": batch}] * 4000, seeds=[*range(4000)])
        variance = [float(row.var()) * batch for row in paths.rows]
        assert variance == pytest.approx([0.02778, 0.01563], rel=0.08)
    assert end_of(**{**bowl, "batch_size": "full"}) == [0, 0]


OPTIMIZERS = {
    "sgd": (lambda p, s: torch.optim.SGD(p, s["lr"], s["momentum"], weight_decay=s["weight_decay"])),
    "nesterov": (lambda p, s: torch.optim.SGD(p, s["lr"], 0.9, nesterov=True)),
    "adam": (lambda p, s: torch.optim.Adam(p, s["lr"], (s["beta1"], s["beta2"]), s["eps"], s["weight_decay"])),
    "adamw": (lambda p, s: torch.optim.AdamW(p, s["lr"], (s["beta1"], s["beta2"]), s["eps"], s["weight_decay"])),
    "rmsprop": (lambda p, s: torch.optim.RMSprop(p, s["lr"], s["beta2"], s["eps"], s["weight_decay"], s["momentum"])),
    "adagrad": (lambda p, s: torch.optim.Adagrad(p, s["lr"], weight_decay=s["weight_decay"], eps=s["eps"])),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_paths_are_those_of_torch_optim(name):
    """On Rosenbrock's function, lanes of different settings together, 200 steps."""
    kind = {"optimizer": "sgd", "nesterov": True} if name == "nesterov" else {"optimizer": name}
    varied = [
        {"lr": 1e-3, "momentum": 0.9, "beta1": 0.9, "beta2": 0.99},
        {"lr": 3e-4, "momentum": 0.9, "beta1": 0.5, "beta2": 0.9, "eps": 1e-3},
        {"lr": 1e-4, "momentum": 0.9, "grad_clip": 2.0, "lr_schedule": "cosine"},
        {"lr": 2e-4, "momentum": 0.9, "weight_decay": 0.1 * (name != "nesterov"), "lr_schedule": "step"},
    ]
    common = {"function": "rosenbrock", "start": "-1.2:1", "steps": 200, **kind}
    paths = paths_of(*[common | one for one in varied])
    for lane, setting in enumerate(paths.settings[: len(varied)]):
        point = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
        optimizer = OPTIMIZERS[name]([point], setting)
        schedule = {
            "constant": lambda _: 1.0,
            "cosine": lambda step: 0.5 * (1 + math.cos(math.pi * step / 200)),
            "step": lambda step: 0.1 ** ((step >= 100) + (step >= 150)),
        }[setting["lr_schedule"]]
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        for _ in range(200):
            optimizer.zero_grad()
            ((1 - point[0]) ** 2 + 100 * (point[1] - point[0] ** 2) ** 2).backward()
            if setting["grad_clip"]:
                torch.nn.utils.clip_grad_norm_([point], setting["grad_clip"])
            optimizer.step()
            scheduler.step()
        assert [float(row[lane]) for row in paths.rows] == pytest.approx(point.tolist(), abs=1e-10)


@pytest.mark.parametrize("name", FORMULAS)
def test_slopes_and_curvatures_are_those_of_differences(name):
    """Against differences of the function itself, and every formula has its function."""
    assert FORMULAS.keys() == VALUES.keys()
    dimension, random = FORMULAS[name].dimension, np.random.default_rng(0)
    points = torch.from_numpy(random.uniform(0.2, 1.2, (dimension, 16)))
    function = Function(find_values(name), [torch.full((16,), 0.7, dtype=torch.float64) for _ in numbers_of(name)])
    slopes, curved = function.hessian(points)
    for one, other in itertools.product(range(dimension), repeat=2):
        a, b = (1e-4 * torch.eye(dimension, dtype=torch.float64)[:, place : place + 1] for place in (one, other))
        first = (function.at(points + a) - function.at(points - a)) / 2e-4
        second = (
            function.at(points + a + b) - function.at(points + a - b)
            - function.at(points - a + b) + function.at(points - a - b)
        ) / 4e-8  # fmt: skip
        assert slopes[one].numpy() == pytest.approx(first.numpy(), rel=1e-4, abs=1e-6)
        assert curved[:, one, other].numpy() == pytest.approx(second.numpy(), rel=2e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        *itertools.product([*FORMULAS, "own"], ["adam"]),
        *itertools.product(["x_cos", "beale"], ["sgd", "adamw", "rmsprop", "adagrad", "newton"]),
    ],
)
def test_a_path_alone_has_its_bits_in_company(name, optimizer, tmp_path):
    """Neighbours that diverge included; noise and starts are the seed's."""
    if name == "own":
        (tmp_path / "mine.py").write_text("import torch\ndef f(x, y):\n    return torch.sin(x) * torch.exp(y / 3)\n")
        name = f"{tmp_path}/mine.py:f"
    common = {"function": name, "optimizer": optimizer, "noise": 0.3, "steps": 30, "momentum": 0.9}
    many = [{**common, "lr": lr} for lr in (0.01, 1e90, 0.003, 0.1)] * 9
    seeds = [place // 4 for place in range(len(many))]
    together = paths_of(*many, seeds=seeds)
    for lane in (0, 3, 17, 35):
        alone = paths_of(many[lane], seeds=[seeds[lane]])
        for one, all_ in zip(alone.rows, together.rows, strict=True):
            assert one[0] == all_[lane] or (one[0].isnan() and all_[lane].isnan())


def test_a_path_that_leaves_every_bound_is_told_with_its_step():
    """x² with lr 3 goes from 10 to (−5)ⁿ·10: beyond 1e100 at step 142."""
    given = {"model": "function", "optimizer": "sgd", "start": "10", "steps": 1000}
    trials = [Trial(place, canonical({**given, "lr": lr}), 0) for place, lr in enumerate((0.1, 3.0))]
    (records,) = list(PathTraining(trials))
    assert [record.state for record in records] == ["complete", "diverged"]
    assert records[1].reason == "left every bound at step 142"


@pytest.mark.long
def test_a_path_needs_no_sympy():
    """Which takes half a second to import, in each worker; torch's `grad` asks for it where it is given slopes."""
    code = """
import sys
from sweep.functions.training import PathTraining
from sweep.hyperparameters import canonical
from sweep.space import Trial

setting = canonical({"model": "function", "function": "rosenbrock", "optimizer": "adam", "steps": 2})
((record,),) = PathTraining([Trial(0, setting, 0)])
print(record.state, "sympy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "complete False\n", done.stderr


# Pictures


@pytest.mark.long
def test_pictures_of_paths_and_of_basins(sweep, tmp_path):
    sweep("grid", "--function", "x_cos", "--optimizer", "sgd", "--lr", "0.02", "--seeds", 60, "--study", "cos")
    basins = json.loads(sweep("plot", "cos", "basins", "--json").stdout)
    for mark in basins["marks"]:
        nearest = min((-2.0493, -0.273853, 1.090408), key=lambda end: abs(end - mark["y"]))
        assert mark["y"] == pytest.approx(nearest, abs=1e-2)
        assert (mark["x"] < 0.273853) == (mark["y"] < 0.5)  # the maximum parts the basins
    assert len({mark["end"] for mark in basins["marks"]}) == 3
    assert "value -1.047" in sweep("plot", "cos", "basins").stdout
    sweep("grid", *ILL_FLAGS, "--study", "ill")
    surface = json.loads(sweep("plot", "ill", "surface", "--json").stdout)
    paths = {mark["label"]: (mark["x"], mark["y"]) for mark in surface["marks"] if mark["step"] == 20}
    assert paths["lr 0.4"] == pytest.approx((-0.943467, -7.312e-05), abs=5e-7)
    lines = np.array([[line["x"], line["y"]] for line in surface["lines"]])
    heights = 0.1 * lines[:, 0] ** 2 + 2 * lines[:, 1] ** 2
    assert len(np.unique(heights.round(0))) < 60  # points of a few ellipses
    for picture in ("surface", "basins"):
        sweep("plot", "ill", picture, "-o", "drawn.svg")
        assert "<svg" in (tmp_path / "drawn.svg").read_text()
    assert "1 lr 0.4: value 0.08901" in sweep("plot", "ill", "surface").stdout


ILL_FLAGS = ("--function", "quadratic", "--optimizer", "sgd", "--lr", "0.4,0.6", "--start=-5:-2", "--steps", 20)


def test_pictures_that_cannot_be(sweep, refused):  # noqa: F811
    sweep("grid", "--epochs", 1, "--lr", "0.1", "--study", "net")
    assert "is of no function" in refused("plot", "net", "basins")


# sweep function


def looked(sweep, *args: object) -> dict:
    return json.loads(sweep("function", *args, "--json").stdout)


@pytest.mark.long
def test_a_function_is_looked_at(sweep):
    """Statements 47 to 51, 60, 62 to 65."""
    (tanh,) = looked(sweep, "tanh", "--at", "4")["points"]
    assert tanh["gradient"] == pytest.approx([1 - math.tanh(4) ** 2], abs=1e-12)
    assert looked(sweep, "sigmoid")["shape"]["least"] < 0
    square = looked(sweep, "square", "--at", "4,-1,0")
    assert square["jensen"] == pytest.approx(np.var([4, -1, 0]), abs=1e-12)
    assert square["shape"]["convex"]
    cosine = looked(sweep, "cosine", "--box=-1:1")["shape"]
    assert (cosine["least"], cosine["above"]) == pytest.approx((-(math.pi**2), 2.0), abs=1e-9)
    root = looked(sweep, "root", "--box=-1:1")["shape"]
    assert root["intervals"]
    assert not root["convex"]
    assert root["above"] == pytest.approx(0.25, abs=1e-3)
    mse, entropy = (looked(sweep, f"softmax_{loss}", "--box=-3:3,-3:3")["shape"] for loss in ("mse", "cross_entropy"))
    assert mse["least"] < -0.4
    assert entropy["least"] > -1e-9
    assert entropy["convex"]
    bowl = ("quadratic", "--q1", 1, "--q2", 1, "--at", "0.5:0.5", "--constraint", "sum")
    assert looked(sweep, *bowl)["points"][0]["multiplier"] == -1
    (point,) = looked(sweep, *bowl, "--penalty", 100)["points"]
    assert point["condition"] == pytest.approx(201)
    assert point["newton"] == pytest.approx([100 / 201] * 2, abs=1e-10)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("squre",), ["'squre'", "FILE.py:NAME"]),
        (("beale", "--at", "1"), ["start = 1", "beale takes 2 numbers"]),
        (("square", "--box", "2:1"), ["--box 2:1", "LOW:HIGH"]),
        (("square", "--c", "0"), ["c = 0", "> 0"]),
    ],
)
def test_looking_refuses_in_one_line(refused, args, words):  # noqa: F811
    line = refused("function", *args)
    for word in words:
        assert word in line


# Studies

GRID = ("--function", "square", "--optimizer", "sgd", "--lr", "0.05,0.2,1.1,1e20", "--start", "10,-5", "--steps", 10)


def test_a_study_of_functions_reads_like_any_other(sweep, tmp_path):
    done = sweep("grid", *GRID, "--study", "f")
    assert "6 complete, 2 diverged of 8 trials" in done.stderr
    rows = query(tmp_path / "results/sweep.db", "SELECT number, val_loss, state, reason, epochs FROM trials")
    assert rows[2][1] == pytest.approx(0.06046617599999997**2, abs=1e-12)
    assert rows[6][2:] == ("diverged", "left every bound at step 5", 1)
    shown = sweep("show", "f", "--trials").stdout
    assert "0.060466" in shown
    assert "Selected on value" in shown
    assert "ended at x 0.060466176" in sweep("trial", "f", 2).stdout
    board = sweep("export", "f", "-o", "-", "--where", "x<0").stdout.splitlines()
    assert len(board) == 4
    assert board[0].startswith("rank,trial,state,seed,lr,start,value,x,")
    for question in (("effect", "f", "lr"), ("check", "f"), ("reproduce", "f", 0), ("plot", "f", "isolation", "lr")):
        sweep(*question)


@pytest.mark.long
def test_every_reader_knows_a_function(sweep, tmp_path):
    """What to run next is a command that runs; Optuna gets the value; seeds that change nothing are told."""
    told = sweep("grid", "--function", "quadratic", "--optimizer", "sgd", "--lr", 10, "--start=-5:-2", "--steps", 500,
                 "--seeds", 2, "--study", "d")  # fmt: skip
    assert "all 2 seeds give the same path" in told.stderr
    answer = sweep("check", "d").stdout
    assert "epoch" not in answer
    [command] = [line.strip() for line in answer.splitlines() if line.strip().startswith("sweep grid")]
    assert sweep(*shlex.split(command)[1:], "--results", tmp_path / "again").returncode == 0
    sweep("export", "d", "--optuna", "journal.log")


@pytest.mark.parametrize(
    ("flags", "lucky"), [(["--start", 10], False), (["--start", 10, "--noise", 1], True), ([], True)]
)
def test_no_more_seeds_are_asked_for_where_they_change_nothing(sweep, flags, lucky):
    sweep("grid", "--function", "square", "--lr", "0.1,0.1000001", "--steps", 3, "--study", "s", *flags)
    checked, shown = sweep("check", "s").stdout, sweep("show", "s").stdout
    assert ("may be luck" in checked, "spread over seeds" in checked, "Add --seeds" in shown) == (lucky,) * 3
    assert ("the ranks are exact" in shown) != lucky


def test_seeds_draw_starts_from_the_box_alike_for_every_setting(sweep, tmp_path):
    sweep("grid", "--function", "beale", "--lr", "1e-9,2e-9", "--steps", 1, "--seeds", 4, "--study", "s")
    ends = query(tmp_path / "results/sweep.db", "SELECT trial, place, value FROM readings ORDER BY trial, place")
    points = np.array([value for *_, value in ends]).reshape(2, 4, 2)
    assert np.abs(points).max() <= 4.5
    assert points[0] == pytest.approx(points[1], abs=1e-7)
    assert len(np.unique(points[0].round(6))) == 8


@pytest.mark.long
def test_killed_in_the_middle_and_resumed_it_is_as_if_never_interrupted(sweep, tmp_path):
    space = ("--function", "rosenbrock", "--lr", "1e-4:1:log:20", "--noise", 0.1, "--seeds", 5, "--steps", 1000)
    sweep("grid", *space, "--study", "whole", "--jobs", 1, "--lanes", 7)
    process = start(tmp_path, "grid", *space, "--study", "cut", "--jobs", 2, "--lanes", 5)
    database = tmp_path / "results/sweep.db"
    done = "SELECT count(*) FROM trials t JOIN studies s ON t.study = s.id WHERE s.name = 'cut' AND state = 'complete'"
    wait_for(lambda: (query(database, done) or [(0,)])[0][0] > 10)
    kill(process.pid)
    process.wait()
    sweep("resume", "cut")
    whole, cut = (numbers(sweep, name)[0] for name in ("whole", "cut"))
    assert whole == cut


def test_a_function_of_ones_own(sweep, tmp_path):
    (tmp_path / "mine.py").write_text("import torch\n\n\ndef bowl(x, y):\n    return (x - 1) ** 2 + torch.cosh(y)\n")
    sweep("grid", "--function", "mine.py:bowl", "--optimizer", "newton", "--start", "3:2", "--study", "own")
    assert "x1 1, x2 0" in sweep("trial", "own", 0).stdout.replace("x2 -0", "x2 0")
    (tmp_path / "mine.py").write_text("def bowl(x, y):\n    return x * y\n")
    again = sweep("grid", "--function", "mine.py:bowl", "--optimizer", "newton", "--start", "3:2,1:1", "--study", "own",
                  code=2)  # fmt: skip
    assert "began with other data" in again.stderr


BAD = [
    (("--optimizer", "newton"), ["optimizer = newton", "second derivatives", "model = function"]),
    (("--function", "square", "--data", "digits"), ["data = digits", "a function has no data"]),
    (("--function", "square", "--start", "1:2"), ["start = 1:2", "2 numbers", "square takes one number"]),
    (("--function", "beale", "--start", "1"), ["one number", "beale takes 2 numbers", "1:1"]),
    (("--function", "square", "--start", "here"), ["--start", "here", "its numbers with : between"]),
    (("--function", "squre"), ["--function", "squre", "FILE.py:NAME"]),
    (("--function", "none.py:f"), ["none.py:f", "no such file"]),
    (("--function", "mine.py:g"), ["unknown function 'g'", "text"]),
    (("--function", "mine.py:text", "--start", "1"), ["mine.py:text", "str", "one number for each point"]),
    (("--function", "mine.py:branch", "--start", "1"), ["mine.py:branch", "torch.where"]),
    (("--function", "mine.py:pair", "--start", "1"), ["mine.py:pair", "shape (2,)"]),
    (("--function", "mine.py:many"), ["start = seed", "any number of numbers"]),
    (("--function", "square", "--epochs", 3), ["epochs", "steps"]),
    (("--function", "square", "--steps", 0), ["steps = 0", "steps >= 1"]),
    (("--function", "square", "--metric", "val_loss"), ["metric = val_loss", "metric = value"]),
    (("--metric", "value"), ["metric", "value", "val_loss"]),
    (("--function", "square", "--model", "mlp,function"), ["model = mlp, function", "alone"]),
    (("--function", "square,cube"), ["function = square, cube", "one function a study"]),
]


@pytest.mark.parametrize(("flags", "words"), BAD)
def test_bad_input_is_one_line(refused, tmp_path: Path, flags, words):  # noqa: F811
    (tmp_path / "mine.py").write_text(
        "import torch\n\n\ndef text(x):\n    return 'two'\n\n\ndef branch(x):\n    return x if x > 0 else -x\n\n\n"
        "def pair(x):\n    return torch.stack([x, x])\n\n\ndef many(*x):\n    return sum(x)\n"
    )
    line = refused("grid", *flags)
    for word in words:
        assert str(word) in line
