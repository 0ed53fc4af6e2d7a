"""Sentences count as people do: a noun follows its number, a running study says how far it is and what is left."""

from __future__ import annotations

import io
import math
import re
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from sweep.plan import fold_text
from sweep.progress import PlainWatcher
from sweep.recipe import Recipe, load_recipe
from sweep.report import tell_seconds
from sweep.wording import count, join_words
from tests.made import made, record
from tests.thin import thin

ONE_OF_MANY = re.compile(
    r"(?<![\d.,=–-])1 (?:(?!of |diverged |in |more )\w+ ){0,2}?"
    r"(trials|settings|seeds|cells|kinds|cohorts|groups|epochs|rows|lanes|workers|classes)\b"
)


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (1, "trial", "1 trial"),
        (0, "trial", "0 trials"),
        (1000, "trial", "1,000 trials"),
        (10, "class", "10 classes"),
        (2, "study", "2 studies"),
        (2, "day", "2 days"),
        (2, "batch", "2 batches"),
        (2, "epoch", "2 epochs"),
    ],
)
def test_a_noun_follows_its_number(number, noun, said):
    assert count(number, noun) == said


def test_names_are_listed_as_in_a_sentence():
    assert [join_words("abc"[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert join_words("ab", "or") == "a or b"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.314, "0.31 s"), (12.1, "13 s"), (59.6, "1 min"), (160, "2 min 40 s"), (3600, "1 h"), (3900.4, "1 h 5 min")],
)
def test_lengths_of_time_have_units(seconds, said):
    assert tell_seconds(seconds) == said


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            {"batch_norm": "on,off", "bn_affine": "on,off", "bn_position": "before,after"},
            "3 of 8 combinations repeat others and are not trained again "
            "(bn_affine and bn_position do nothing without batch_norm on)",
        ),
        (
            {"optimizer": "sgd,adam", "beta1": "0.8,0.9"},
            "1 of 4 combinations repeats another and is not trained again "
            "(beta1 does nothing without optimizer adam or adamw)",
        ),
    ],
)
def test_folded_combinations_are_told_with_the_reason(flags, said):
    grid = load_recipe(None, flags).grid
    census = grid.census
    plan = SimpleNamespace(combinations=grid.combinations, settings=census.settings, folded=census.folded)
    assert fold_text(plan) == said


def watched(done, total, trained, seconds, monkeypatch):
    """What the line of a run says that began with none done and has `done` of `total` trials after so many seconds;
    trained: the epochs of 10 that the unit in training, of four trials, has behind it."""
    out = io.StringIO()
    watcher = PlainWatcher(Console(file=out, width=200))
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now)
    study = SimpleNamespace(name="s", recipe=Recipe())
    watcher.started(study, SimpleNamespace(total=total, done=0, retried=0))
    unit = SimpleNamespace(trials=[None] * 4, epochs=10)
    watcher.epoch(0, unit, tuple(record(n, trained) for n in range(4)))
    watcher.done = done
    monkeypatch.setattr("time.monotonic", lambda: now + seconds)
    watcher.tick()
    return out.getvalue().strip()


def test_trials_that_end_before_their_lanes_are_done_but_not_the_training():
    """Two of four end at epoch 2 of 10, one diverges at 5: nothing more will be trained of that."""
    watcher = PlainWatcher(Console(file=io.StringIO()))
    watcher.started(SimpleNamespace(name="s", recipe=Recipe()), SimpleNamespace(total=8, done=0, retried=0))
    unit = SimpleNamespace(trials=[None] * 4, epochs=10)
    shares = []
    for epoch, states in [(2, ["complete", "complete", None, None]), (5, ["diverged", None]), (10, ["complete"])]:
        watcher.epoch(0, unit, tuple(record(n, epoch, state=state) for n, state in enumerate(states)))
        shares.append((watcher.done, watcher.status()[0]))
    assert [done for done, _ in shares] == [2, 3, 4]
    assert [text.partition(" (")[2] for _, text in shares] == [
        f"{share}% of the training)" for share in (10, 31, 50)
    ]  # 4 x 0.2 of 8; 1 + 3 x 0.5; 4


def test_a_running_study_says_how_far_it_is(monkeypatch):
    assert watched(0, 8, 5, 60, monkeypatch) == (
        "0 of 8 trials done (25% of the training), 2 trials per minute, 3 min left"
    )
    assert watched(10, 120, 5, 12, monkeypatch) == (
        "10 of 120 trials done (10% of the training), 60 trials per minute, 1 min 48 s left"
    )
    assert watched(0, 4, 5, 3600, monkeypatch) == (
        "0 of 4 trials done (50% of the training), 2 trials per hour, 1 h left"
    )


@pytest.mark.parametrize(
    "flags",
    thin(
        [{"lr": "0.1"}, {"lr": "0.1,0.01"}, {"lr": "0.1,0.01", "batch_norm": "on,off"}, {"lr": "0.1", "seeds": "2"}], 2
    ),
    ids=str,
)
def test_nothing_says_one_of_many(sweep, tmp_path, flags):
    """No command says "1 trials", of a study with one of everything or with one that diverged."""
    made(tmp_path / "results", "s", flags | {"epochs": "1"}, lambda t: math.inf if t.number == 1 else 0.5 + t.number)
    made(tmp_path / "results", "t", flags | {"epochs": "1", "hidden": "8"}, lambda _: 0.5)
    for command in (
        "show s", "show s --trials", "ls", "trial s 0", "check s", "effect s lr", "importance s --pairs", "compare s t",
        "plot s isolation", "plot s curves", "confirm s --top 1 --selected-on 0", "plan --lr 0.1",
        "export s --tensorboard tb", "doctor",
    ):  # fmt: skip
        ran = sweep(*command.split(), code=None)
        said = " ".join(f"{ran.stdout}\n\n{ran.stderr}".replace("\n\n", " . ").split())
        assert not ONE_OF_MANY.search(said), (command, ONE_OF_MANY.search(said))
        assert "-0.0000" not in said
