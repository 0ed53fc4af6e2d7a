"""Trials that differ in epochs alone are trained once, up to where each ends, to the bits that each has alone."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from sweep import checkpoint
from sweep.courses import share_courses
from sweep.data import Part, Split, describe, load
from sweep.engine import Program, Saver, Training
from sweep.hyperparameters import SQUARED_ERROR, canonical
from sweep.plan import plan_grid, share_of, units
from sweep.recipe import Shard, load_recipe
from sweep.space import Trial, Watch
from tests.networks import write
from tests.processes import table
from tests.thin import thin

ENDS = (4, 1, 2)


def trials_of(**shape) -> list[Trial]:
    """Of every end: two seeds of settings that differ in what lanes may differ in, two of them under schedules."""
    varied = [
        {"lr": 0.01, "beta1": 0.8, "momentum": 0.5},
        {"lr": 0.003, "dropout": 0.3, "warmup_epochs": 2.5, "label_noise": 0.2},
        {"lr": 0.003, "lr_schedule": "cosine"},
        {"lr": 0.01, "lr_schedule": "step", "grad_clip": 0.5},
    ]
    of = itertools.product(ENDS, varied, (5, 3))
    settings = [(canonical({"epochs": end} | one | shape), seed) for end, one, seed in of]
    return [Trial(number, setting, seed) for number, (setting, seed) in enumerate(settings)]


def plain(record) -> dict[str, str]:
    return {key: repr(value) for key, value in record._asdict().items() if key != "seconds"}  # repr: NaN equals NaN


def trained(trials: list[Trial], split, *args, **kwargs) -> dict[int, list[dict[str, str]]]:
    """Each trial's records, wall-clock aside, trained together."""
    out: dict[int, list[dict[str, str]]] = {trial.number: [] for trial in trials}
    for records in Training(trials, split, *args, **kwargs):
        for record in records:
            out[record.number].append(plain(record))
    return out


def units_of(trials: list[Trial], info) -> list[list[Trial]]:
    """The trials as they are handed out, those of a unit together."""
    return [list(unit.trials) for unit in units(trials, info, 1, lanes=8)]


@pytest.fixture
def epochs(monkeypatch) -> list[int]:
    """How many lanes each epoch had that was trained."""
    lanes: list[int] = []
    end = Program.end_epoch
    monkeypatch.setattr(Program, "end_epoch", lambda program: (lanes.append(program.lanes), end(program))[1])
    return lanes


SHAPES = {
    "mlp": {"hidden": 9},
    "batch norm": {"hidden": 16, "batch_norm": True, "optimizer": "rmsprop"},
    "adamw": {"hidden": 5, "depth": 1, "optimizer": "adamw", "weight_decay": 0.1, "batch_size": 33},
    "sgd": {"hidden": 8, "optimizer": "sgd", "nesterov": True, "batch_size": 100, "loss": "mse"},
    "residual": {"hidden": 8, "connection": "residual", "optimizer": "adagrad"},
    "cnn": {"model": "cnn", "hidden": 3, "depth": 1, "batch_norm": True, "batch_size": 50},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_trial_has_the_bits_it_has_alone(digits, shape, epochs):
    small = Split(*(Part(part.x[:300], part.y[:300]) for part in (digits.train, digits.val, digits.test)), 10)
    check(trials_of(**shape), small, epochs, "digits")


def check(trials: list[Trial], split, epochs: list[int], data: str, **kwargs) -> None:
    """Together as they are handed out, and some of them alone: the same bits; and those without a schedule took the
    longest's epochs, where alone each takes its own."""
    together = {}
    for members in units_of(trials, describe(data)):
        together |= trained(members, split, **kwargs)
    constant = len({trial.setting["lr"] for trial in trials if trial.setting["lr_schedule"] == "constant"}) * 2
    schedules = len(trials) // len(ENDS) - constant
    assert sum(epochs) == constant * max(ENDS) + schedules * sum(ENDS)
    for trial in trials:
        assert together[trial.number][-1]["state"] == "'complete'"
        assert len(together[trial.number]) == trial.setting["epochs"]
    for trial in random.Random(data).sample(trials, min(8, len(trials))):
        assert together[trial.number] == trained([trial], split, **kwargs)[trial.number]


def test_regression_further_tests_and_looks_have_them_too(epochs):
    source = load("diabetes", None, 0)
    trials = trials_of(loss=SQUARED_ERROR, hidden=6, batch_norm=True, label_noise=0.0)
    split = source.split("zscore", 100)
    split = replace(split, tests={"again": split.val})
    check(trials, split, epochs, "diabetes", watch=Watch(("layers", "gap"), (1, 2, 4), every=3))


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize("name", thin(["Skip", "Mlp", "Scales", "Drops"], 4))
def test_a_users_own_network_has_them_too(digits, name, epochs):
    flags = {"set p": "0.3", "set norm": "on"} if name == "Mlp" else {}
    given = {"model": f"nets.py:{name}", "lr": "0.01,0.003", "epochs": "4,1,2", "seeds": "2", "batch_size": "256"}
    trials = [*load_recipe(None, given | flags).grid.trials()]
    small = replace(digits, train=Part(digits.train.x[:600], digits.train.y[:600]))
    check(trials, small, epochs, "digits")


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The folder where the user's file lies, which is the current one."""
    write(tmp_path)
    monkeypatch.chdir(tmp_path)


def test_a_trial_that_diverges_leaves_those_that_ended_before_it(digits):
    """And takes those with it that were to end later, at the epoch in which each diverges alone."""
    shape = {"depth": 0, "loss": "mse_logits", "optimizer": "sgd", "momentum": 0.0}
    trials = [
        Trial(number, canonical(shape | {"lr": lr, "epochs": end}), 1)
        for number, (lr, end) in enumerate(itertools.product((2.0, 0.5, 0.1), (1, 3, 8)))
    ]
    together = trained(trials, digits)
    ends = [(len(records), records[-1]["state"]) for records in together.values()]
    assert ends[:3] == [(1, "'diverged'")] * 3
    assert ends[3:6] == [(1, "'complete'"), (3, "'complete'"), (4, "'diverged'")]
    assert ends[6:] == [(1, "'complete'"), (3, "'complete'"), (8, "'complete'")]
    for trial in trials:
        assert together[trial.number] == trained([trial], digits)[trial.number]


@pytest.mark.parametrize("keep", [False, True])
def test_stopped_at_any_step_it_goes_on_to_the_same_bits(digits, tmp_path, keep, monkeypatch):
    """Those that had ended are recorded by then; the others go on, whichever of them are left."""
    monkeypatch.setattr("sweep.engine.training.ASK_SECONDS", 0.0)
    trials = [trial for trial in trials_of(batch_norm=True, hidden=7) if trial.setting["lr_schedule"] == "constant"]
    whole, draw = trained(trials, digits), random.Random(0)
    steps = len(digits.train.y) // 64 + 1
    for attempt, stop in enumerate([1, steps + 1, *draw.sample(range(2 * steps, 4 * steps), 2)]):
        calls, folder = itertools.count(), tmp_path / str(attempt)
        saver = Saver(folder, "data", keep=keep)
        asked = lambda c=calls, s=stop: "now" if next(c) >= s else ""  # noqa: E731
        got = trained(trials, digits, saver, asked)
        left = [trial for trial in trials if not got[trial.number] or got[trial.number][-1]["state"] == "None"]
        saved = checkpoint.scan(folder)[0]
        draw.shuffle(left)
        left.sort(key=lambda trial: trial.seed)
        again = trained(left, digits, Saver(tmp_path / "other", "data", saved.path))
        assert again == {trial.number: whole[trial.number] for trial in left}


def test_a_trial_is_tested_where_a_checkpoint_stands_at_its_end(digits, tmp_path):
    """As when a study is interrupted there, and then is to have a trial that ends there."""
    long, short = (Trial(number, canonical({"epochs": end, "lr": 0.01}), 0) for number, end in enumerate((5, 2)))
    training = Training([long], digits, Saver(tmp_path, "data"), until=2)
    assert len([*training]) == 2
    [saved] = checkpoint.scan(tmp_path)
    both = trained([long, short], digits, Saver(tmp_path / "other", "data", saved.path))
    assert both == trained([long], digits) | trained([short], digits)


def test_a_checkpoint_past_the_end_of_one_is_for_the_others(digits, tmp_path):
    long, short = (Trial(number, canonical({"epochs": end, "lr": 0.01}), 0) for number, end in enumerate((5, 2)))
    [*Training([long], digits, Saver(tmp_path, "data"), until=3)]
    saved = checkpoint.scan(tmp_path)
    places = {
        unit.trials[0].number: unit.checkpoint for unit in units([long, short], describe("digits"), 1, saved=saved)
    }
    assert places == {0: saved[0].path, 1: None}
    anew = trained([long, short], digits, Saver(tmp_path / "other", "data", saved[0].path))  # whoever hands it out
    assert anew == trained([long], digits) | trained([short], digits)


def test_each_is_kept_where_it_ends(digits, tmp_path, epochs):
    trials = [Trial(number, canonical({"epochs": end, "lr": 0.01}), 0) for number, end in enumerate(ENDS)]
    whole = trained(trials, digits, Saver(tmp_path, "data", keep=True))
    saved = checkpoint.scan(tmp_path)
    assert [file.position for file in saved] == [(5, 0), (3, 0), (2, 0)]
    epochs.clear()
    for trial, file in zip((trials[0], trials[2], trials[1]), saved, strict=True):
        assert trained([trial], digits, Saver(tmp_path, "data", file.path)) == {trial.number: whole[trial.number]}
    assert epochs == []
    longer = Trial(3, canonical({"epochs": 6, "lr": 0.01}), 0)
    [unit] = units([longer], describe("digits"), 1, saved=saved)
    trained([longer], digits, Saver(tmp_path / "other", "data", unit.checkpoint))
    assert epochs == [1, 1]


def test_seconds_of_a_lane_are_shared_among_its_trials(digits):
    """So that they add up to what the processor did."""
    trials = [Trial(number, canonical({"epochs": end}), 0) for number, end in enumerate((1, 2))]
    first, second = [*Training(trials, digits)]
    assert [record.seconds for record in first] == [first[0].seconds] * 2
    assert [record.number for record in second] == [1]


# Units, plans, shards


def test_what_shares_no_course_is_trained_by_itself():
    fixed = {"lr": 0.1, "epochs": 3}
    others = [{"lr_schedule": "cosine"}, {"lr_schedule": "step"}, {"lr": 0.2}, {"warmup_epochs": 1.0}, {"steps": 50}]
    settings = [fixed, *(fixed | other for other in others), *(fixed | other | {"epochs": 5} for other in others[:-1])]
    trials = [Trial(number, canonical(setting), 0) for number, setting in enumerate(settings)]
    trials.append(Trial(len(trials), canonical(fixed | {"epochs": 7}), 1))
    assert [[trial.number for trial in lane] for lane in share_courses(trials)] == [
        [0], [1], [2], [3, 8], [4, 9], [5], [6], [7], [10]
    ]  # fmt: skip


def test_half_a_unit_has_half_of_its_lanes():
    trials = [*load_recipe(None, {"lr": "0.1,0.01,0.001", "epochs": "2,4"}).grid.trials()]
    [unit] = units(trials, describe("digits"), 1)
    assert (len(unit.trials), unit.epochs) == (6, 4)
    first, second = unit.halves()
    assert [len({trial.setting["lr"] for trial in half.trials}) for half in (first, second)] == [2, 1]
    assert [len(half.trials) for half in second.halves()] == [1, 1]


PLANNED = [
    ({"epochs": "5,10,20"}, (40, 70)),
    ({"epochs": "5,10,20", "lr_schedule": "cosine"}, (70, 70)),
    ({"epochs": "5,10,20", "lr_schedule": "step,constant"}, (110, 140)),
    ({"epochs": "20"}, (40, 40)),
    ({"steps": "20,40"}, (10, 10)),
]


@pytest.mark.parametrize(("flags", "epochs"), PLANNED)
def test_a_plan_counts_the_epochs_that_are_trained(flags, epochs):
    recipe = load_recipe(None, {"lr": "0.1,0.01", **flags})
    plan = plan_grid(recipe, describe("digits"))
    assert plan.epochs == epochs
    trials = [*recipe.grid.trials()]
    planned = units(trials, describe("digits"), 1)
    assert sum(len(share_courses(unit.trials)) * unit.epochs for unit in planned) == epochs[0]
    listed = replace(recipe, settings=tuple(recipe.grid.settings()))
    assert plan_grid(listed, describe("digits")).epochs == epochs


def test_shards_keep_a_course_together():
    recipe = load_recipe(None, {"lr": "1e-3:1e-1:log:8", "epochs": "5,10,20", "seeds": "2"})
    data = describe("digits")
    for number in (1, 2):
        mine = share_of(replace(recipe, shard=Shard(number, 2)), data)
        trials = [trial for trial in recipe.grid.trials() if trial.number in mine]
        assert len(trials) == 24
        assert {len(lane) for lane in share_courses(trials)} == {3}


# Studies

GRID = ["--epochs", "5,2", "--lr", "0.1,0.01", "--dropout", "0,0.3", "--hidden", 8]


def curves_of(sweep, study: str, **fixed: str) -> dict[tuple[str, ...], list[str]]:
    """The validation losses of each trial of a study, by its setting."""
    board, curves = table(sweep, study), table(sweep, study, "--curves")
    names = ("max_epochs", "lr", "dropout")
    keys = {row["trial"]: tuple(fixed.get(name) or row[name] for name in names) for _, row in board.iterrows()}
    return {keys[trial]: rows["val_loss"].to_list() for trial, rows in curves.groupby("trial")}


def test_a_trial_of_a_grid_is_reproduced_alone(sweep):
    sweep("grid", *GRID, "--study", "s", "--jobs", 2)
    [number] = table(sweep, "s").query("max_epochs == '2' and lr == '0.1' and dropout == '0.3'")["trial"]
    assert sweep("reproduce", "s", number).stdout.startswith(f"identical: trial {number}, 2 epochs")


@pytest.mark.long
def test_a_grid_is_what_its_trials_are_alone(sweep):
    sweep("grid", *GRID, "--study", "s", "--jobs", 2)
    together, alone = curves_of(sweep, "s"), {}
    assert "8 done, 0 retried, 0 left, 0 duplicated" in sweep("resume", "s").stderr
    for end in ("2", "5"):
        sweep("grid", "--epochs", end, *GRID[2:], "--study", f"s{end}", "--jobs", 1)
        alone |= curves_of(sweep, f"s{end}", max_epochs=end)
    assert len(together) == 8
    assert together == alone


@pytest.mark.long
def test_a_search_over_epochs_finishes_what_goes_on_from_a_longer_ones_checkpoint(sweep):
    """A longer trial that was pruned or paused where a shorter one ends left it nothing to train, only to be tested."""
    space = ["--epochs", "4,8", "--lr", "0.01,0.001", "--hidden", 8, "--trials", 8, "--in-flight", 8]
    sweep("search", *space, "--sampler", "random", "--pruner", "asha", "--min-epochs", 2, "--study", "q")
    states = table(sweep, "q")["state"].to_list()
    assert len(states) == 4
    assert {*states} <= {"complete", "pruned"}
    sweep("grid", *space[:6], "--study", "g")
    losses = table(sweep, "g").set_index(["max_epochs", "lr"])["val_loss"]
    ended = table(sweep, "q").query("state == 'complete'").set_index(["max_epochs", "lr"])["val_loss"]
    assert ended.to_dict() == losses[ended.index].to_dict()
