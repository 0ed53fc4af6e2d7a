"""A user's own torch.nn.Module: hyperparameters by its constructor, lanes or alone, to the same bits; bad input."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from sweep.engine import Program, Saver, Training
from sweep.engine.streams import stream
from sweep.engine.ways import way_of
from sweep.hyperparameters import canonical, restored, stored
from sweep.recipe import load_recipe, recipe_from_dict
from sweep.space import Watch, program_key, setting_key
from tests.networks import write
from tests.processes import finished, kill, numbers, query, start, table, wait_for
from tests.test_cli_errors import refused  # noqa: F401


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The user's file, as Python itself imports it; the current folder is where it lies."""
    file = write(tmp_path)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("users_nets", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recipe_of(name: str, **flags: str):
    """A recipe of a network; names that are not sweep's are the constructor's."""
    given = {key.replace("set_", "set "): text for key, text in flags.items()}
    return load_recipe(None, {"model": f"nets.py:{name}", **given})


@pytest.mark.usefixtures("nets")
def test_a_constructor_says_what_can_be_swept():
    recipe = recipe_of("Mlp", set_width="8,16", set_act="relu,tanh", optimizer="adam,sgd", beta1="0.8,0.9")
    census = recipe.grid.census
    assert (census.settings, census.cohort_count) == (4 * 3, 4 * 2)  # beta1 means nothing to sgd, and decides no shape
    setting = next(recipe.grid.settings())
    assert [*setting.items()][-4:] == [("act", "relu"), ("norm", False), ("p", 0.0), ("width", 8)]
    assert not {"hidden", "depth", "batch_norm", "init", "dropout"} & setting.keys()
    assert "in_shape" not in setting
    assert restored(json.loads(setting_key(setting))) == setting
    assert [*restored(stored(setting))] == [*setting]
    assert setting_key(canonical(dict(reversed([*setting.items()])))) == setting_key(setting)
    by_default = next(recipe_of("Mlp", set_width="8").grid.settings())
    assert by_default == next(recipe_of("Mlp", set_p="0", set_width="8", set_norm="off").grid.settings())
    assert program_key(setting) != program_key(setting | {"p": 0.5})
    assert program_key(setting) == program_key(setting | {"lr": 0.5})
    again = recipe_from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert [*again.grid.settings()] == [*recipe.grid.settings()]
    assert again.identity() == recipe.identity()
    ranged = recipe_of("Mlp", set_width="4:8:step=2", set_p="0:0.5:3", set_norm="on,off")
    assert len([*ranged.grid.settings()]) == 3 * 3 * 2


def test_names_of_the_built_in_nets_are_the_users_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    init = "def __init__(self, depth: float = 0.0, dropout: str = 'a', growth: int = 16): ..."
    (tmp_path / "other.py").write_text(f"class Net:\n    {init}\n")
    recipe = load_recipe(None, {"model": "other.py:Net", "depth": "0,1.5", "dropout": "a,b"})
    settings = [*recipe.grid.settings()]
    assert [(one["depth"], one["dropout"], one["growth"]) for one in settings] == [
        (depth, dropout, 16) for depth in (0.0, 1.5) for dropout in "ab"
    ]
    assert [restored(json.loads(setting_key(one))) for one in settings] == settings
    assert recipe.grid.census.cohort_count == 4


def plain_loop(net: torch.nn.Module, split, setting, seed: int) -> list[tuple[float, float]]:
    """torch's own training: training and validation loss of each epoch."""
    optimizer = torch.optim.Adam(net.parameters(), lr=setting["lr"], weight_decay=setting["weight_decay"])
    out = []
    for epoch in range(1, setting["epochs"] + 1):
        net.train()
        order = torch.randperm(len(split.train.y), generator=stream(seed, "order", epoch))
        total = 0.0
        for rows in torch.split(order, setting["batch_size"]):
            loss = functional.cross_entropy(net(split.train.x[rows]), split.train.y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        net.eval()
        with torch.no_grad():
            val = float(functional.cross_entropy(net(split.val.x), split.val.y))
        out.append((total / len(order), val))
    return out


CASES = {
    "Mlp": ("lanes", {"set_act": "tanh", "set_norm": "on"}),
    "Cnn": ("lanes", {"set_pool": "AVG"}),
    "Skip": ("alone", {}),
}


@pytest.mark.parametrize("name", CASES)
def test_lanes_train_as_torch_does(nets, digits, name):
    form, flags = CASES[name]
    recipe = recipe_of(name, lr="0.01,0.003", seeds="2", epochs="2", weight_decay="0.01", **flags)
    trials = [*recipe.grid.trials()]
    shape = tuple(digits.train.x.shape[1:])
    assert (way_of(trials[0].setting, shape, 10).chain is not None) == (form == "lanes")
    epochs = [*Training(trials, digits)]
    for lane, trial in enumerate(trials):
        torch.manual_seed(stream(trial.seed, "init").initial_seed())
        values = {"act": "tanh", "norm": True, "pool": nets.Pool.AVG}
        own = {key.removeprefix("set_"): values[key.removeprefix("set_")] for key in flags}
        shaped = {"in_shape": shape} if form == "lanes" else {"in_features": 64}
        counted = {"num_classes": 10} if name == "Cnn" else {"classes": 10}
        expected = plain_loop(getattr(nets, name)(**shaped, **counted, **own), digits, trial.setting, trial.seed)
        for records, (train_loss, val_loss) in zip(epochs, expected, strict=True):
            assert records[lane].train_loss == pytest.approx(train_loss, rel=2e-4)
            assert records[lane].val_loss == pytest.approx(val_loss, rel=2e-4)


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("name", ["Mlp", "Cnn", "Skip", "Scales", "Drops"])
def test_a_trial_has_the_same_bits_alone_in_lanes_and_resumed(digits, name, tmp_path):
    flags = {"set_p": "0.3", "set_norm": "on"} if name == "Mlp" else {}
    trials = [*recipe_of(name, lr="0.01,0.003", seeds="2", epochs="2", batch_size="256", **flags).grid.trials()]
    small = replace(digits, train=replace(digits.train, x=digits.train.x[:600], y=digits.train.y[:600]))
    torch.manual_seed(1)  # what the process draws otherwise does not matter
    together = [[record._replace(seconds=0) for record in records] for records in Training(trials, small)]
    torch.manual_seed(2)
    for lane in (0, 3):
        alone = [records[0]._replace(seconds=0) for records in Training([trials[lane]], small)]
        assert alone == [records[lane] for records in together]
    saver = Saver(tmp_path, "data")
    for step in (1, 4):  # in the middle of an epoch, each time in a new program, and of other lanes
        begun = Training(trials, small, saver, asked=iter([""] * step + ["now"] * 9).__next__)
        begun._pause = lambda _, training=begun: training.asked()
        for _ in begun:
            pass
        assert begun.stopped
        file = next(tmp_path.glob("*.safetensors"))
        resumed = Training([trials[3], trials[1]], small, Saver(tmp_path, "data", file))
        for records, expected in zip(resumed, together, strict=True):
            assert [record._replace(seconds=0) for record in records] == [expected[3], expected[1]]


@pytest.mark.usefixtures("nets")
def test_vmap_is_tried_only_where_it_can_tell_trials_apart_and_used_only_where_it_has_their_bits(digits):
    def form(name: str):
        return way_of(next(recipe_of(name).grid.settings()), (1, 8, 8), 10)

    assert (form("Scales").chain, form("Scales").maps) == (None, True)
    assert (form("Skip").maps, form("Drops").maps, form("Mlp").maps) == (True, False, False)
    trials = [*recipe_of("Scales", lr="0.01,0.003", seeds="2").grid.trials()]
    whole = Program([trial.setting for trial in trials], [trial.seed for trial in trials], digits).whole
    rows = torch.randn(4, 32, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    kept = [block.value.clone() for block in whole.parameters.blocks.values()]
    trusted = whole.is_trusted(rows.shape[1:], True)
    assert all(map(torch.equal, kept, [block.value for block in whole.parameters.blocks.values()]))
    upstream = torch.randn(4, 10, 32, generator=torch.Generator().manual_seed(2))
    mapped, each = (whole._try(rows, upstream, True, mapped) for mapped in (True, False))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(mapped, each, strict=True))
    assert not trusted or all(map(torch.equal, mapped, each))


@pytest.mark.usefixtures("nets")
def test_lanes_that_end_leave_the_others_as_they_were(digits):
    trials = [*recipe_of("Drops", lr="1e30,0.01", epochs="2", batch_size="full").grid.trials()]
    both, (good,) = [*Training(trials, digits)], [[*Training(trials[1:], digits)]]
    assert both[0][0].state == "diverged"
    assert [both[0][1].val_loss, both[1][0].val_loss] == [records[0].val_loss for records in good]


@pytest.mark.usefixtures("nets")
def test_nothing_is_drawn_from_the_processs_generators(digits):
    import random

    import numpy as np

    trial = next(recipe_of("Skip").grid.trials())
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    Program([trial.setting], [trial.seed], digits)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())


BAD_INPUT = {
    "no such file": ("none.py:Mlp",),
    "did you mean 'Mlp'": ("nets.py:Mpl",),
    "needs width, which has no default; expected width in [space], or --set width=": ("nets.py:Needs",),
    "gives shape (2, 11); expected a tensor of shape (2, 10)": ("nets.py:Wrong",),
    '--set act = "gelu": expected one of relu, tanh': ("nets.py:Mlp", "--set", "act=gelu"),
}
FURTHER_BAD_INPUT = {
    "is no torch.nn.Module": ("nets.py:Bare",),
    "No module named 'nothing_of_this_name'": ("broken.py:Net",),
    "its annotation is list; expected float, int": ("nets.py:Needs", "--set", "width=1", "--set", "layers=1"),
    "--hidden: is of sweep's own networks; the constructor of nets.py:Mlp has no parameter of that name (it has: "
    "width, act, p, norm)": ("nets.py:Mlp", "--hidden", 3),
    "or --set width=… for a hyperparameter of your own": ("nets.py:Mlp", "--width", 3),
    "Frozen has no parameters to train": ("nets.py:Frozen",),
    "SystemExit: 3": ("nets.py:Leaves", "--set", "width=5"),
    "is filled in from the data": ("nets.py:Mlp", "--set", "classes=3"),
    "did you mean 'width'": ("nets.py:Mlp", "--set", "wdth=3"),
    "stands alone": ("nets.py:Mlp,mlp",),
    "expected one of mlp, cnn, function, FILE.py:NAME": ("nets.py",),
    "no variance of one row": ("nets.py:Mlp", "--set", "norm=on", "--batch-size", 1),
}


@pytest.mark.parametrize("cases", [BAD_INPUT, pytest.param(FURTHER_BAD_INPUT, marks=pytest.mark.long)])
def test_bad_input_is_one_line(refused, tmp_path, cases):  # noqa: F811
    write(tmp_path)
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n\nclass Net:\n    pass\n")
    for said, words in cases.items():
        assert said in refused("plan", "--model", *words)


def test_a_plan_lists_what_the_constructor_takes(sweep, tmp_path):
    write(tmp_path)
    said = sweep("plan", "--model", "nets.py:Fussy", "--no-measure").stderr
    assert said == ("nets.py:Fussy: its constructor takes width (a whole number; default 4): --set NAME=VALUES\n")


def test_one_who_answers_a_number_is_told_of_numbers(refused, tmp_path):  # noqa: F811
    write(tmp_path)
    said = refused("plan", "--model", "nets.py:Wrong", "--data", "diabetes")
    assert "gives shape (2, 2); expected a tensor of shape (2, 1) for 2 rows and a number each" in said


@pytest.mark.long
def test_a_study_from_flags_to_every_answer(sweep, tmp_path):
    write(tmp_path)
    plan = sweep("plan", "--model", "nets.py:Skip").stdout
    assert "trains one trial per program: LayerNorm (norm) has no lane form" in plan
    grid = ("--model", "nets.py:Mlp", "--set", "width=4,8,16", "--lr", "0.01,0.001", "--seeds", 2, "--epochs", 6)
    planned = sweep("plan", *grid).stdout
    assert "trains in lanes: all its layers have lane forms" in planned
    assert "     2     16         2       4       1,210 " in planned  # 64 * 16 + 16 + 16 * 10 + 10
    sweep("grid", *grid, "--study", "own")
    rows = table(sweep, "own", "--test")
    assert {*rows["state"]} == {"complete"}
    assert len({*zip(rows["width"], rows["lr"], rows["seed"], strict=True)}) == len(rows) == 12
    assert "12 complete" in sweep("check", "own").stdout
    assert "width" in sweep("effect", "own", "width").stdout
    assert "model nets.py:Mlp" in sweep("show", "own", "--where", "width<16, act=relu").stdout
    assert "identical" in sweep("reproduce", "own", 3).stdout
    sweep("report", "own", "-o", tmp_path / "own.html")
    sweep("plot", "own", "pareto", "parameters", "-o", tmp_path / "own.svg")
    sweep("confirm", "own", "--seeds", 2, "--top", 1)
    assert "0 trained" not in sweep("grid", *grid, "--set", "p=0", "--study", "own").stdout  # the same, said more
    search = (
        "search",
        "--model",
        "nets.py:Mlp",
        "--set",
        "width=4:8",
        "--set",
        "act=relu,tanh",
        "--lr",
        "1e-3:1e-1:log",
    )
    sweep(*search, "--trials", 6, "--in-flight", 3, "--epochs", 1, "--study", "asked")
    assert {*table(sweep, "asked")["width"]} <= {*map(str, range(4, 9))}
    aims = ("--minimize", "val_loss", "--minimize", "parameters")
    sweep(*search, *aims, "--trials", 6, "--in-flight", 3, "--epochs", 1, "--study", "aims")
    counted = table(sweep, "aims")
    assert [*counted["parameters"].astype(int)] == [75 * int(width) + 10 for width in counted["width"]]


@pytest.mark.long
def test_a_setting_that_cannot_be_constructed_fails_alone(sweep, tmp_path):
    write(tmp_path)
    grid = ("--model", "nets.py:Fussy", "--set", "width=4,5,6", "--seeds", 2, "--epochs", 1)
    plan = sweep("plan", *grid).stdout
    assert "no such network, so its trials will fail: ArithmeticError: five will not do (1 cohort)" in plan
    sweep("grid", *grid, "--study", "fussy", code=1)
    states = query(tmp_path / "results" / "sweep.db", "SELECT setting, state, reason FROM trials")
    assert [(json.loads(setting)["width"], state) for setting, state, _ in sorted(states)] == [
        *[(4, "complete")] * 2,
        *[(5, "failed")] * 2,
        *[(6, "complete")] * 2,
    ]
    assert {reason for _, state, reason in states if state == "failed"} == {"ArithmeticError: five will not do"}


@pytest.mark.long
def test_killed_resumed_and_with_code_that_has_changed(sweep, tmp_path):
    file = write(tmp_path)
    grid = ("grid", "--model", "nets.py:Drops", "--lr", "0.01,0.001", "--seeds", 3, "--epochs", 12, "--batch-size", 32)
    sweep(*grid, "--study", "whole", "--jobs", 1)
    env = {"SWEEP_CHECKPOINT_SECONDS": "0.05", "SWEEP_RESULTS": str(tmp_path / "results")}
    database = tmp_path / "results" / "sweep.db"
    done = finished(database)
    process = start(tmp_path, *grid, "--study", "killed", "--jobs", 2, env=os.environ | env)
    wait_for(lambda: finished(database) > done, process)
    kill(process.pid)
    process.communicate()
    sweep("resume", "killed", "--lanes", 3)
    assert numbers(sweep, "killed") == numbers(sweep, "whole")
    file.write_text(file.read_text() + "\n# changed\n")
    longer = (*grid[:-3], 13, *grid[-2:])
    said = sweep(*longer, "--study", "whole", code=2).stderr
    assert "began with other code: nets.py:Drops had fingerprint" in said
    assert "--changed-code" in said
    assert "its code has changed" in sweep(*longer, "--study", "whole", "--changed-code").stderr
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "nets.py").write_text(file.read_text())
    file.unlink()
    assert "no such file" in sweep("reproduce", "whole", 0, code=2).stderr
    assert "0 left" in sweep(*longer, "--study", "whole", cwd=moved).stderr
    assert "identical" in sweep("reproduce", "whole", 0).stdout


@pytest.mark.long
def test_a_model_is_taken_away_and_used_with_the_code_that_is_named(sweep, tmp_path):
    file = write(tmp_path)
    sweep("grid", "--model", "nets.py:Skip", "--lr", "0.01,0.02", "--epochs", 2, "--study", "own")
    sweep("model", "own", "-o", "m.safetensors")
    sweep("model", "own", "-o", "m.pt2")
    said = sweep("predict", "m.safetensors", "digits", "-o", "no.csv", code=2).stderr
    assert "no file is run that you do not name; expected --model nets.py:Skip" in said
    right = sweep("predict", "m.safetensors", "digits", "-o", "a.csv", "--model", "nets.py:Skip").stdout
    assert "right in" in right
    sweep("predict", "m.safetensors", "digits", "-o", "b.csv", "--model", "nets.py:Mlp", code=2)
    assert "average" in sweep("ensemble", "own", "--top", 2).stdout.lower()
    if importlib.util.find_spec("onnxruntime"):
        sweep("model", "own", "-o", "m.onnx")
        assert sweep("predict", "m.onnx", "digits", "-o", "c.csv").stdout.split("right")[1] == right.split("right")[1]
    file.write_text(file.read_text() + "# changed\n")
    said = sweep("predict", "m.safetensors", "digits", "-o", "b.csv", "--model", "nets.py:Skip", code=2).stderr
    assert "other code than m.safetensors was trained with" in said


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("name", ["Mlp", "Drops"])
def test_looks_change_no_number(digits, name):
    (trial,) = recipe_of(name, epochs="2", batch_size="256").grid.trials()
    plain = [*Training([trial], digits)]
    looked = [*Training([trial], digits, watch=Watch(("layers", "noise")))]
    assert [one.val_loss for (one,) in plain] == [one.val_loss for (one,) in looked]
    assert {"grad_norm", "gradient_noise"} <= {reading.quantity for reading in looked[0][0].readings}
