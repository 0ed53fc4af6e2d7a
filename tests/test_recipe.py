"""Recipes: what TOML and flags mean together, and that everything bad in them gets one clear line."""

from __future__ import annotations

import json
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.analysis.confirming import fresh_seeds
from sweep.errors import UsageError
from sweep.hyperparameters import TABLE
from sweep.recipe import METRICS, Recipe, load_recipe, parse_seeds, recipe_from_dict
from sweep.space import Axis, Range
from tests.conftest import RECIPES


@pytest.fixture
def read(tmp_path: Path):
    """The recipe of a TOML text with flags."""

    def read(text: str, **flags: str) -> Recipe:
        file = tmp_path / "r.toml"
        file.write_text(text, encoding="utf-8")
        return load_recipe(file, flags)

    return read


def refusal(call, *args: object, **kwargs: object) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(UsageError) as caught:
        call(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text, text
    assert caught.value.exit_code == 2
    return text


# What a recipe means


def test_scalar_list_and_table(read):
    recipe = read(
        'data = "digits"\nepochs = 3\n[space]\nlr = [0.1, 0.01]\nbeta1 = 0.8\nweight_decay = { low = 1e-6, high = '
        "1e-2, log = true, n = 5 }\nhidden = {low = 4, high = 64}"
    )
    assert recipe.axes == (
        Axis("epochs", (3,)),
        Axis("lr", (0.1, 0.01)),
        Axis("beta1", (0.8,)),
        Axis("weight_decay", Range(1e-6, 1e-2, True, 5)),
        Axis("hidden", Range(4, 64, False, None)),
    )
    assert recipe.swept == ("lr", "weight_decay", "hidden")
    assert recipe == Recipe(recipe.axes)  # everything else at its default


def test_every_hyperparameter_is_a_key_and_a_flag(read):
    for name, row in TABLE.items():
        value = row.default
        text = json.dumps(value)
        word = ("on" if value else "off") if isinstance(value, bool) else str(value)
        from_file, from_flag = read(f"[space]\n{name} = {text}"), load_recipe(None, {name: word})
        assert from_file == from_flag
        if name != "function":  # which says more: see test_functions
            assert from_file == (Recipe(seeds=(0,)) if name == "seed" else Recipe((Axis(name, (value,)),)))


def test_no_recipe_at_all_is_every_default():
    assert load_recipe(None, {}) == Recipe()


@pytest.mark.parametrize(
    "text",
    [
        "seeds = 3",
        "seed = [0, 1, 2]",
        "seeds = [0, 1, 2]",
        "[space]\nseed = [0, 1, 2]",
        "seed = {low = 0, high = 2, n = 3}",
    ],
)
def test_seeds_and_seed(read, text):
    assert read(text).seeds == (0, 1, 2)
    assert read(text).axes == ()


def test_the_seed_flag_wins_over_seeds_and_the_reverse(read):
    assert read("seeds = 3", seed="7").seeds == (7,)
    assert read("seed = 5", seeds="2").seeds == (0, 1)


def test_equal_values_written_differently_are_one_recipe(read):
    one = read("lr = [1, 0.1]\nhidden = 64\ndropout = 0")
    assert one == read("lr = [1.0, 1e-1]\nhidden = 64.0\ndropout = -0.0")
    assert json.dumps(one.to_dict()) == json.dumps(read("lr = [1.0, 1e-1]\nhidden = 64.0\ndropout = -0.0").to_dict())


def test_flags_win_and_keep_the_recipes_order(read):
    """A flag for a key of the recipe takes its place; new flags follow in the order they were typed."""
    recipe = read("[space]\nlr = [0.1, 0.01]\nhidden = [4, 8]", momentum="0.5,0.9", lr="0.3", depth="1,2")
    assert recipe.axes == (
        Axis("lr", (0.3,)),
        Axis("hidden", (4, 8)),
        Axis("momentum", (0.5, 0.9)),
        Axis("depth", (1, 2)),
    )


def test_flags_alone_keep_the_order_they_were_typed_in():
    recipe = load_recipe(None, {"hidden": "8,4", "lr": "0.1,0.2", "batch_norm": "on,off"})
    assert [axis.name for axis in recipe.axes] == ["hidden", "lr", "batch_norm"]
    assert recipe.axes[2].values == (True, False)


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("lr", "0.1", (0.1,)),
        ("lr", "0.1, 0.01 ,1e-3", (0.1, 0.01, 0.001)),
        ("hidden", "64,128", (64, 128)),
        ("hidden", "1e2", (100,)),
        ("batch_norm", "on,off", (True, False)),
        ("batch_norm", "true,False,yes,no,1,0", (True, False, True, False, True, False)),
        ("batch_size", "32,full", (32, "full")),
        ("train_size", "all", ("all",)),
        ("optimizer", "adam, sgd", ("adam", "sgd")),
        ("lr", "1e-4:1e-1", Range(1e-4, 1e-1)),
        ("lr", "1e-4:1e-1:log", Range(1e-4, 1e-1, True)),
        ("lr", "1e-4:1e-1:log:4", Range(1e-4, 1e-1, True, 4)),
        ("lr", "1e-4:1e-1:5", Range(1e-4, 1e-1, False, 5)),
        ("hidden", "16:64:3", Range(16, 64, False, 3)),
    ],
)
def test_the_grammar_of_a_flag(name, text, values):
    assert load_recipe(None, {name: text}).axes == (Axis(name, values),)


def test_recipe_keys_as_flags(read):
    recipe = read(
        'data = "mnist"\nsplit_seed = 1\nmetric = "val_loss"',
        data="digits",
        split_seed="4",
        metric="val_accuracy",
        data_dir="/somewhere",
    )
    assert recipe == Recipe(split_seed=4, metric="val_accuracy", direction="maximize", data_dir="/somewhere")


def test_the_metric_decides_the_direction_unless_it_is_given(read):
    for metric, direction in METRICS.items():
        assert read(f'metric = "{metric}"').direction == direction
    assert read('metric = "val_loss"\ndirection = "maximize"').direction == "maximize"
    assert (read("").metric, read("").direction) == ("val_loss", "minimize")


def test_different_losses_are_ranked_on_accuracy(read):
    recipe = read('loss = ["cross_entropy", "mse"]')
    assert (recipe.metric, recipe.direction) == ("val_accuracy", "maximize")
    assert read('loss = "mse"').metric == "val_loss"


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.toml")), ids=lambda file: file.stem)
def test_the_shipped_recipes_are_read(file):
    recipe = load_recipe(file, {})
    assert recipe.swept
    if file.stem == "search":  # its ranges have no points
        assert load_recipe(file, {}, {}).search.sampler == "tpe"
    else:
        assert recipe.grid.combinations > 1


# What is wrong with a recipe: what was given, what was expected, where

BAD = {
    # unknown keys, with a near miss or the list
    "lr = 0.1\nbatchnorm = true": ["r.toml, line 2", "unknown key 'batchnorm'", "did you mean 'batch_norm'?"],
    "[space]\n\nlearning = 1": [
        "r.toml, line 3",
        "unknown hyperparameter 'learning'",
        "choose from",
        "optimizer",
        "lr",
    ],
    "[space]\nlrr = 1": ["line 2", "'lrr'", "did you mean 'lr'?"],
    "[space]\ndata = 'digits'": ["line 2", "unknown hyperparameter 'data'"],
    "seed_s = 1": ["line 1", "did you mean 'seeds'?"],
    "[spaces]\nlr = 1": ["line 1", "'spaces'", "did you mean 'space'?"],
    "lr = { low = 0.1, hihg = 1 }": ["line 1", "'hihg'", "did you mean 'high'?"],
    # wrong types
    "lr = true": ["line 1", "lr = true", "expected a number > 0"],
    "epochs = 1\n\nlr = '0.1'": ["line 3", 'lr = "0.1"', "expected a number > 0"],
    "lr = 1979-05-27": ["line 1", "lr = 1979-05-27", "expected a number > 0"],
    "lr = [0.1, [0.2]]": ["line 1", "lr = [0.2]", "expected a number > 0"],
    "hidden = 64.5": ["line 1", "hidden = 64.5", "whole number"],
    "hidden = 'wide'": ["line 1", 'hidden = "wide"', "whole number"],
    "batch_norm = 1": ["line 1", "batch_norm = 1", "expected on or off"],
    "nesterov = [true, 'no']": ["line 1", 'nesterov = "no"'],
    "optimizer = 'adadelta'": ["line 1", 'optimizer = "adadelta"', "adam, adamw, sgd, rmsprop"],
    "optimizer = 1": ["line 1", "optimizer = 1", "adam, adamw, sgd, rmsprop"],
    "batch_size = 'half'": ["line 1", 'batch_size = "half"', '"full"'],
    "train_size = 'full'": ["line 1", 'train_size = "full"', '"all"'],
    "data = 5": ["line 1", "data = 5", "expected text"],
    "data = ''": ["line 1", "data", "expected text"],
    "data_dir = ['a']": ["line 1", "data_dir", "expected text"],
    "split_seed = 1.5": ["line 1", "split_seed = 1.5", "whole number >= 0"],
    "split_seed = true": ["line 1", "split_seed = true", "whole number >= 0"],
    "space = 3": ["line 1", "space = 3", "expected a table"],
    "[[space]]\nlr = 1": ["line 1", "space", "expected a table"],
    # out of range
    "beta1 = 1.0": ["line 1", "beta1 = 1.0", "expected a number >= 0 and < 1"],
    "beta1 = [0.9, 1]": ["line 1", "beta1 = 1", "expected a number >= 0 and < 1"],
    "beta2 = -0.1": ["line 1", "beta2 = -0.1", ">= 0 and < 1"],
    "lr = -1": ["line 1", "lr = -1", "expected a number > 0"],
    "lr = 0": ["line 1", "lr = 0", "expected a number > 0"],
    "epochs = 0": ["line 1", "epochs = 0", "expected a whole number >= 1"],
    "depth = -1": ["line 1", "depth = -1", ">= 0"],
    "dropout = 1.0": ["line 1", "dropout = 1.0", ">= 0 and < 1"],
    "bn_momentum = 0": ["line 1", "bn_momentum = 0", "> 0 and <= 1"],
    "batch_size = 0": ["line 1", "batch_size = 0", ">= 1"],
    "train_size = 1": ["line 1", "train_size = 1", ">= 2"],
    "seed = -1": ["line 1", "seed = -1", ">= 0"],
    "seeds = 0": ["line 1", "seeds = 0", "expected 1 to 100000"],
    "seeds = -3": ["line 1", "seeds = -3", "whole number"],
    "split_seed = -1": ["line 1", "split_seed = -1", ">= 0"],
    "label_smoothing = 1": ["line 1", "label_smoothing = 1", "< 1"],
    # NaN, infinity, numbers no float holds
    "lr = nan": ["line 1", "lr = nan", "expected a number > 0"],
    "lr = [0.1, inf]": ["line 1", "lr = inf", "expected a number > 0"],
    "weight_decay = -inf": ["line 1", "weight_decay = -inf"],
    "hidden = nan": ["line 1", "hidden = nan", "whole number"],
    "lr = { low = nan, high = 1 }": ["line 1", "lr", "nan", "number"],
    f"hidden = 1{'0' * 400}": ["line 1", "hidden", "whole number"],
    f"lr = 1{'0' * 400}": ["line 1", "lr", "expected a number > 0"],
    f"lr = {{ low = 0.1, high = 1{'0' * 400} }}": ["line 1", "lr", "number"],
    f"split_seed = 1{'0' * 400}": ["line 1", "split_seed", "whole number"],
    # empty
    "lr = []": ["line 1", "lr = []", "empty", "at least one value"],
    "[space]\nseed = []": ["line 2", "seed = []", "empty"],
    "seeds = []": ["line 1", "seeds = []", "empty"],
    # ranges
    "lr = {}": ["line 1", "lr", "low and high"],
    "lr = { low = 0.1 }": ["line 1", "lr", "low and high"],
    "lr = { low = '0.1', high = 1 }": ["line 1", "lr", "low and high"],
    "lr = { low = true, high = 1 }": ["line 1", "lr", "low and high"],
    "lr = { low = 1, high = 0.1 }": ["line 1", "lr", "from 1 to 0.1", "low < high"],
    "lr = { low = 1, high = 1 }": ["line 1", "lr", "low < high"],
    "lr = { low = 0, high = 1 }": ["line 1", "lr = 0", "> 0"],
    "dropout = { low = 0, high = 0.5, log = true }": ["line 1", "dropout", "log range from 0", "low > 0"],
    "lr = { low = 0.1, high = 1, log = 1 }": ["line 1", "lr", "log = 1", "true or false"],
    "lr = { low = 0.1, high = 1, n = 2.5 }": ["line 1", "lr", "n = 2.5", "whole number"],
    "lr = { low = 0.1, high = 1, n = 0 }": ["line 1", "lr", "n = 0"],
    "lr = { low = 0.1, high = 1, n = true }": ["line 1", "lr", "n = true", "whole number"],
    "lr = { low = 0.1, high = 1, n = 100000000 }": ["line 1", "lr", "n = 100000000", "1000000"],
    "beta1 = { low = 0.5, high = 1, n = 3 }": ["line 1", "beta1 = 1", "< 1"],
    "hidden = { low = 4.5, high = 8 }": ["line 1", "hidden = 4.5", "whole number"],
    f"lr = {{ low = 0.1, high = 1, step = 1{'0' * 400} }}": ["line 1", "lr: step = 1000", "…", "number > 0"],
    f"lr = {{ low = 0.1, high = 1, step = -1{'0' * 400} }}": ["line 1", "lr: step = -1000", "…", "number > 0"],
    f"hidden = {{ low = 1, high = 9, n = 1{'0' * 400} }}": ["line 1", "hidden: n = 1000", "1000000"],
    "lr = { low = 0.1, high = 1, step = 1e400 }": ["line 1", "lr: step = inf", "number > 0"],
    "lr = { low = 0.1, high = 1, step = nan }": ["line 1", "lr: step = nan", "number > 0"],
    "lr = { low = 0.1, high = 1, step = 5e-324 }": ["line 1", "lr: step = ", "larger step"],
    "optimizer = { low = 1, high = 2 }": ["line 1", "optimizer", "range", "adam, adamw"],
    "batch_norm = { low = 0, high = 1 }": ["line 1", "batch_norm", "range", "on or off"],
    # given twice
    "seeds = 3\nseed = [1, 2]": ["seeds and seed both given", "line 1"],
    "lr = 0.1\n[space]\nlr = 0.2": ["lr", "both at the top and in [space]"],
    # metric and direction
    "metric = 'test_loss'": ["line 1", "test_loss", "nothing is selected on test data", "val_loss"],
    "metric = 'test_accuracy'": ["line 1", "test_accuracy", "nothing is selected on test data"],
    "metric = 'val_acuracy'": ["line 1", "metric 'val_acuracy'", "did you mean 'val_accuracy'?"],
    "metric = 3": ["line 1", "metric '3'", "val_loss"],
    "metric = ['val_loss']": ["line 1", "metric", "val_loss"],
    "direction = 'up'": ["line 1", "direction 'up'", "minimize, maximize"],
    "direction = 'minimise'": ["line 1", "did you mean 'minimize'?"],
    # not TOML
    "lr = 0.1\nhidden = = 3": ["r.toml", "not valid TOML", "line 2"],
    "lr = [0.1,\n0.2": ["r.toml", "not valid TOML", "end of document"],
    "lr: 0.1": ["r.toml", "not valid TOML", "line 1"],
    "lr = 1\nlr = 2\nhidden = 3": ["r.toml", "not valid TOML", "line 2"],
    f"lr = 1{'0' * 5000}": ["r.toml"],
    f"lr = {'[' * 5000}{']' * 5000}": ["r.toml"],
}


@pytest.mark.parametrize(
    ("text", "words"), BAD.items(), ids=lambda value: value[:40].replace("\n", "⏎") if isinstance(value, str) else ""
)
def test_a_bad_recipe_is_refused(read, text, words):
    message = refusal(read, text)
    missing = [word for word in words if word not in message]
    assert not missing, message
    assert len(message) < 600


BAD_FLAGS = [
    ({"lr": "fast"}, ["--lr", 'lr = "fast"', "expected a number > 0"]),
    ({"lr": "0.1,-1"}, ["--lr", "lr = -1", "expected a number > 0"]),
    ({"lr": ""}, ["--lr", "empty", "expected a number"]),
    ({"lr": "0.1,,0.2"}, ["--lr", "empty"]),
    ({"lr": "0.1,"}, ["--lr", "empty"]),
    ({"lr": "nan"}, ["--lr", "lr = nan", "expected a number > 0"]),
    ({"lr": "inf"}, ["--lr", "lr = inf"]),
    ({"beta1": "1.0"}, ["--beta1", "beta1 = 1.0", "< 1"]),
    ({"epochs": "0"}, ["--epochs", "epochs = 0", ">= 1"]),
    ({"epochs": "1.5"}, ["--epochs", "epochs = 1.5", "whole number"]),
    ({"batch_norm": "maybe"}, ['--batch-norm = "maybe"', "on or off"]),
    ({"optimizer": "Adam"}, ["--optimizer", "adam, adamw, sgd, rmsprop"]),
    ({"batch_size": "ful"}, ["--batch-size", '"full"']),
    ({"hidden": "1" + "0" * 400}, ["--hidden", "whole number"]),
    ({"hidden": "1" + "0" * 5000}, ["--hidden", "whole number"]),
    ({"lr": "1:"}, ["--lr", "LOW:HIGH"]),
    ({"lr": ":"}, ["--lr", "LOW:HIGH"]),
    ({"lr": "1e-4:1e-1:logg"}, ["--lr", "LOW:HIGH:log"]),
    ({"lr": "1e-4:1e-1:log:many"}, ["--lr", "LOW:HIGH:log:N"]),
    ({"lr": "1e-4:1e-1:3:4"}, ["--lr", "LOW:HIGH:log:N"]),
    ({"lr": "1e-4:1e-1:log:log"}, ["--lr", "LOW:HIGH:log:N"]),
    ({"lr": "1:0.1:3"}, ["--lr: range", "low < high"]),
    ({"lr": "0.1:nan"}, ["--lr", "nan"]),
    ({"dropout": "0:0.5:log:3"}, ["--dropout", "low > 0"]),
    ({"batch_norm": "off:on"}, ["--batch-norm"]),
    ({"optimizer": "1:2"}, ["--optimizer", "adam, adamw, sgd, rmsprop"]),
    ({"seeds": "0"}, ["--seeds", "1 to 100000"]),
    ({"seeds": "three"}, ["--seeds", "whole number"]),
    ({"seeds": "1" + "0" * 5000}, ["--seeds"]),
    ({"seed": "-1"}, ["--seed", "seed = -1", ">= 0"]),
    ({"seed": "9-7"}, ["--seed: range from 9 to 7; expected low < high"]),
    ({"seed": "1-x"}, ['--seed = "1-x"', "whole number"]),
    ({"seed": "0-99999999999"}, ["--seed", "2147483647"]),
    ({"split_seed": "x"}, ["--split-seed", "whole number"]),
    ({"data": ""}, ["--data", "expected text"]),
    ({"metric": "test_accuracy"}, ["--metric", "nothing is selected on test data"]),
    ({"metric": "val_los"}, ["--metric", "did you mean 'val_loss'?"]),
    ({"direction": "down"}, ["--direction", "minimize, maximize"]),
    ({"seed": "5", "seeds": "3"}, ["seeds and seed both given"]),
    ({"optimizer": "ada\nm"}, ["--optimizer", "adam, adamw, sgd, rmsprop"]),
]


@pytest.mark.parametrize(
    ("flags", "words"),
    BAD_FLAGS,
    ids=lambda value: " ".join(f"{k}={v[:20]!r}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_bad_flag_is_refused(flags, words):
    message = refusal(load_recipe, None, flags)
    missing = [word for word in words if word not in message]
    assert not missing, message
    assert len(message) < 600


def test_a_bad_flag_is_named_once():
    assert (
        refusal(load_recipe, None, {"lr": "0.1:0.001:log:40"}) == "--lr: range from 0.1 to 0.001; expected low < high"
    )
    assert refusal(load_recipe, None, {"batch_norm": "x"}).startswith('--batch-norm = "x": expected')


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("7-9", (7, 8, 9)), ("7:9", (7, 8, 9)), ("3,7-9,8", (3, 7, 8, 9)), ("0:8:step=4", (0, 4, 8)), ("5-5", (5,))],
)
def test_seeds_are_written_alike_everywhere(text, seeds):
    assert load_recipe(None, {"seed": text}).seeds == seeds
    assert parse_seeds(text) == seeds
    assert fresh_seeds((1, 2), (), None, text) == seeds  # sweep confirm


def test_a_bad_flag_is_blamed_not_the_recipe(read):
    assert "r.toml" not in refusal(read, "lr = 0.1", lr="-1")


@pytest.mark.parametrize("text", ["lr = { low = 1e-4, high = 1e-1, log = true }", "seed = { low = 0, high = 9 }"])
def test_a_range_without_n_is_refused_by_a_grid(read, text):
    name = text.split()[0]
    message = refusal(lambda: read(text).grid.combinations)
    assert message.count(name)
    assert "n = " in message


def test_a_missing_recipe(tmp_path):
    message = refusal(load_recipe, tmp_path / "none.toml", {})
    assert "none.toml" in message
    assert "no such recipe" in message


def test_recipes_that_are_no_text(tmp_path):
    assert str(tmp_path) in refusal(load_recipe, tmp_path, {})
    (tmp_path / "b.toml").write_bytes(b"lr = \xff\xfe")
    assert "b.toml" in refusal(load_recipe, tmp_path / "b.toml", {})


# Whatever is given: a recipe, or one line

WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "0.1,0.2",
            "1:2",
            "1:2:log:3",
            "on,off",
            "full",
            "all",
            "nan",
            "-inf",
            "1e999",
            "0x10",
            "1_0",
            "٣",
            "²",
            "1:2:3:log",
            "adam,sgd",
            "::",
            ",",
            "1" * 500,
        ]
    ),
    st.from_regex(r"[-+0-9.e:,ln]{1,12}", fullmatch=True),
)


def taken_or_refused(call) -> None:
    """A recipe that survives the ledger, or a refusal of one line; nothing else."""
    try:
        recipe, refused = call(), ""
    except UsageError as error:
        recipe, refused = None, str(error)
    if recipe is None:
        assert refused
        assert "\n" not in refused
    else:
        assert recipe_from_dict(recipe.to_dict()) == recipe


@pytest.mark.long
@given(st.sampled_from([*TABLE, "data", "data_dir", "split_seed", "seeds", "metric", "direction"]), WORDS)
@settings(max_examples=1000, deadline=None, derandomize=True)
def test_any_flag_is_a_recipe_or_one_line(name, text):
    taken_or_refused(lambda: load_recipe(None, {name: text}))


PLAIN = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(10**400))
ANYTHING = st.one_of(
    PLAIN,
    st.lists(PLAIN, max_size=3),
    st.dictionaries(st.sampled_from(["low", "high", "log", "n", "step", "x"]), PLAIN, max_size=4),
)


@given(
    st.sampled_from([*TABLE, "data", "data_dir", "split_seed", "seeds", "metric", "direction", "space", "spce"]),
    ANYTHING,
)
@settings(max_examples=1000, deadline=None, derandomize=True)
def test_any_value_is_a_recipe_or_one_line(name, value):
    taken_or_refused(lambda: recipe_from_dict({name: value}))


WRITTEN = """data = "digits"
seeds = 2
metric = "val_accuracy"
[space]
lr = { low = 0.01, high = 1, log = true, n = 3 }
dropout = { low = 0, high = 0.5, step = 0.1 }
hidden = [16, 32]
batch_norm = [true, false]
batch_size = "full"
warmup_epochs = 1.5
[search]
sampler = "tpe"
in_flight = 4
minimize = ["val_loss", "seconds"]
"""

PIECES = [
    "",
    "-",
    "1e400",
    "nan",
    "true",
    "[]",
    "{}",
    "0" * 400,
    '"',
    "\ufeff",
    "\0",
    "\n",
    "step",
    "=",
    "low = 1,",
    "٣",
]


@given(
    st.lists(
        st.tuples(st.integers(0, len(WRITTEN)), st.integers(0, 8), st.sampled_from(PIECES)), min_size=1, max_size=3
    )
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_mutated_recipe_is_a_recipe_or_one_line(changes):
    text = WRITTEN
    for place, length, piece in changes:
        text = text[:place] + piece + text[place + length :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "r.toml")
        path.write_text(text, encoding="utf-8")
        taken_or_refused(lambda: load_recipe(path, {}, {}))


def test_a_recipe_begins_with_a_byte_order_mark_and_ends_in_capitals(tmp_path):
    file = tmp_path / "R.TOML"
    file.write_bytes(b"\xef\xbb\xbflr=[0.1,0.01]\r\nepochs=2\r\n")
    assert load_recipe(file, {}) == load_recipe(None, {"lr": "0.1,0.01", "epochs": "2"})


# To the ledger and back


def values_of(name: str) -> st.SearchStrategy:
    row = TABLE[name]
    if row.kind == "bool":
        return st.booleans()
    if row.kind == "choice":
        return st.sampled_from([choice for choice in row.choices if choice != "function"])  # it decides on other keys
    if name == "start":
        return st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=3).map(row.check)
    low, high = max(row.low, -1e12), min(row.high, 1e12)
    numbers = (
        st.integers(int(low), int(high))
        if row.kind == "int"
        else st.floats(low, high, exclude_min=row.open_low, exclude_max=row.open_high).map(lambda v: v + 0.0)
    )
    return st.one_of(numbers, st.sampled_from(row.words)) if row.words else numbers


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    axes = []
    for name in draw(
        st.lists(
            st.sampled_from([name for name in TABLE if name not in ("seed", "function")]), max_size=5, unique=True
        ).filter(lambda names: not {"steps", "epochs"} <= {*names})  # one of them decides
    ):
        row = TABLE[name]
        if row.kind in ("float", "int") and draw(st.booleans()):
            kind = int if row.kind == "int" else float
            low = draw(st.floats(1, 10)) / (20 if row.kind == "float" else 0.1)
            axes.append(
                Axis(
                    name,
                    Range(
                        kind(low),
                        kind(low + (0.4 if row.kind == "float" else 20)),
                        draw(st.booleans()),
                        draw(st.none() | st.integers(1, 50)),
                    ),
                )
            )
        else:
            axes.append(Axis(name, tuple(draw(st.lists(values_of(name), min_size=1, max_size=4)))))
    return Recipe(
        tuple(axes),
        data=draw(st.sampled_from(["digits", "mnist", "/data/some where.npz"])),
        data_dir=draw(st.none() | st.just("/données")),
        split_seed=draw(st.integers(0, 2**31 - 1)),
        seeds=tuple(draw(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4, unique=True))),
        metric=draw(st.sampled_from(list(METRICS))),
        direction=draw(st.sampled_from(["minimize", "maximize"])),
    )


@given(recipes())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_recipe_survives_the_ledger(recipe):
    """Through JSON, to the last bit and in the same order."""
    text = json.dumps(recipe.to_dict(), allow_nan=False)
    again = recipe_from_dict(json.loads(text))
    assert again == recipe
    assert json.dumps(again.to_dict()) == text
    assert again.digest() == recipe.digest()
    assert recipe.difference(again) == []


@given(recipes(), recipes())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_difference_is_empty_only_for_the_same_trials(one, other):
    assert bool(one.difference(other)) == (json.dumps(one.identity()) != json.dumps(other.identity()))
    assert (one.digest() == other.digest()) == (json.dumps(one.identity()) == json.dumps(other.identity()))


def test_the_difference_names_what_differs():
    one = load_recipe(None, {"lr": "0.1,0.01", "hidden": "4", "seeds": "2"})
    other = load_recipe(None, {"lr": "0.1", "depth": "2", "seeds": "2"})
    lines = one.difference(other)
    assert [line.split(":")[0] for line in lines] == ["lr", "hidden", "depth"]
    assert "[0.1, 0.01] there" in lines[0]
    assert "0.1 here" in lines[0]
    swapped = load_recipe(None, {"hidden": "4", "lr": "0.1,0.01", "seeds": "2"})
    assert "order" in one.difference(swapped)[0]


def test_where_the_data_lie_and_the_ranking_are_no_part_of_the_identity():
    one = load_recipe(None, {"lr": "0.1"})
    other = load_recipe(None, {"lr": "0.1", "data_dir": "/x", "metric": "val_accuracy"})
    assert one.difference(other) == []
    assert one.digest() == other.digest()


def test_python_reads_the_examples_as_toml():
    """The bad recipes above are bad for the reason they say, not for a typing mistake in this file."""
    broken = [
        text
        for text, words in BAD.items()
        if words != ["r.toml"] and "not valid TOML" not in words and not _parses(text)
    ]
    assert broken == []


def _parses(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


# Searches


def test_a_search_takes_ranges_without_points_and_records_how_it_asks():
    recipe = load_recipe(None, {"lr": "1e-4:1e-1:log", "dropout": "0:0.5:step=0.1"}, {"sampler": "gp", "in_flight": 4})
    assert recipe.axes[1].values == Range(0.0, 0.5, step=0.1)
    assert (recipe.search.sampler, recipe.search.in_flight, recipe.search.seed) == ("gp", 4, 0)
    assert recipe_from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    other = load_recipe(None, {"lr": "1e-4:1e-1:log", "dropout": "0:0.5:step=0.1"}, {"sampler": "tpe", "in_flight": 4})
    assert other.difference(recipe) == ['search.sampler: "tpe" there, "gp" here']
    assert not other.includes(recipe)


def test_the_table_search_is_read_and_a_flag_wins_over_it(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('[space]\nlr = [0.1, 0.01]\n[search]\nsampler = "qmc"\nin_flight = 3\n')
    recipe = load_recipe(path, {}, {"in_flight": 5})
    assert (recipe.search.sampler, recipe.search.in_flight) == ("qmc", 5)
    assert load_recipe(path, {}).search is None  # a grid of the same recipe


def test_a_grid_takes_the_points_of_a_step():
    assert load_recipe(None, {"dropout": "0:0.35:step=0.1"}).grid.points["dropout"] == (0.0, 0.1, 0.2, 0.3)
    assert load_recipe(None, {"hidden": "8:24:step=8"}).grid.points["hidden"] == (8, 16, 24)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lr = [1, 2]\n[search]\nsampler = 'tpee'", ["line 3", "sampler", "did you mean 'tpe'?"]),
        ("lr = [1, 2]\n[search]\nsampler = 'annealing'", ["line 3", "tpe, gp, cmaes, random, qmc"]),
        ("lr = [1, 2]\n[search]\nin_flight = 0", ["line 3", "in_flight = 0", "1 to 100000"]),
        ("lr = [1, 2]\n[search]\nseed = -1", ["line 3", "seed = -1"]),
        ("lr = [1, 2]\n[search]\nwarm = []", ["line 3", "'warm'", "sampler"]),
        ("search = 3", ["line 1", "[search]"]),
        ("lr = 0.1", ["something to vary"]),
        ("lr = { low = 1, high = 2, step = 0 }", ["line 1", "step = 0", "> 0"]),
        ("lr = { low = 1, high = 2, step = 3 }", ["line 1", "step = 3", "high - low"]),
        ("lr = { low = 1, high = 2, step = 0.1, log = true }", ["step and log"]),
        ("lr = { low = 1, high = 2, step = 0.1, n = 4 }", ["step and n"]),
        ("hidden = { low = 1, high = 9, step = 0.5 }", ["step = 0.5", "whole number"]),
    ],
)
def test_searches_that_cannot_be(tmp_path, text, words):
    path = tmp_path / "r.toml"
    path.write_text(text + "\n")
    with pytest.raises(UsageError) as caught:
        load_recipe(path, {}, {})
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


@pytest.mark.parametrize(
    ("flags", "idle"),
    [
        ({"optimizer": "sgd", "beta1": "0.9"}, {"beta1": "optimizer adam or adamw"}),
        ({"optimizer": "sgd,adam", "beta1": "0.9"}, {}),
        ({"beta1": "0.9"}, {}),
        ({"nesterov": "on", "optimizer": "sgd"}, {"nesterov": "optimizer sgd and momentum > 0"}),
        ({"nesterov": "on", "optimizer": "sgd", "momentum": "0,0.9"}, {}),
        ({"nesterov": "on", "momentum": "0.9"}, dict.fromkeys(["nesterov", "momentum"])),
        ({"bn_eps": "0.1", "batch_norm": "off"}, {"bn_eps": "batch_norm on"}),
        ({"optimizer": "sgd", "beta1": "0.8,0.9"}, {}),  # folded, which is said elsewhere
    ],
)
def test_a_value_that_no_setting_uses_is_told_with_its_condition(flags, idle):
    found = load_recipe(None, flags).idle()
    assert found.keys() == idle.keys()
    assert all(condition in (None, found[name]) for name, condition in idle.items())


@pytest.mark.parametrize(
    ("flags", "notes"),
    [
        # 0.1, 0.5, 0.9; the end is hit by 0.1, 0.2, … 0.5 though 0.4 / 0.1 is no whole number in binary
        ({"lr": "0.1:1:step=0.4"}, ["lr from 0.1 to 1 in steps of 0.4 ends at 0.9; 1 is not among its points"]),
        ({"lr": "0.1:0.5:step=0.1"}, []),
        ({"lr": "1e-9:1e-8:step=3e-9"}, []),
        ({"lr": "1e-9:1e-8:step=4e-9"}, ["lr from 1e-09 to 1e-08 in steps of 4e-09 ends at 9e-09; 1e-08 is not"]),
        ({"depth": "1:4:step=2"}, ["depth from 1 to 4 in steps of 2 ends at 3; 4 is not among its points"]),
        ({"depth": "1:5:step=2"}, []),
        # 4, 4.2, 4.5, 4.8, 5.0, 5.3, 5.7, 6
        ({"hidden": "4:6:log:8"}, ["hidden from 4 to 6: 8 points asked for, 3 taken; points that round to the same"]),
        ({"hidden": "4:64:log:5"}, []),
        ({"depth": "1:3:n=5"}, ["depth from 1 to 3: 5 points asked for, 3 taken"]),
        ({"lr": "0.1:1:log:1"}, ["lr from 0.1 to 1 with one point is 0.1 alone"]),
        ({"warmup_epochs": "5", "epochs": "5"}, []),
        (
            {"warmup_epochs": "20", "epochs": "5"},
            ["a warm-up of 20 epochs is longer than a training of 5: the learning"],
        ),
        ({"warmup_epochs": "12"}, ["a warm-up of 12 epochs is longer than a training of 10: the learning"]),
        ({"warmup_epochs": "0,5.5", "epochs": "5"}, ["5.5 epochs is longer than a training of 5: where it is, the"]),
        (
            {"warmup_epochs": "0:20:n=3", "epochs": "5,30"},
            ["20 epochs is longer than a training of 5: where it is, the"],
        ),
        ({"warmup_epochs": "0:5:n=3", "epochs": "5,30"}, []),
    ],
)
def test_points_and_warm_ups_that_may_not_be_meant_are_told(flags, notes):
    for search in (None, {}):
        varied = flags if search is None else {**flags, "momentum": "0,0.9", "optimizer": "sgd"}
        told = load_recipe(None, varied, search).idle_notes()
        assert len(told) == len(notes), told
        assert all(note in line for note, line in zip(notes, told, strict=True)), told


def test_a_warm_up_longer_than_the_training_of_a_listed_setting_is_told():
    listed = [{"lr": 0.1, "warmup_epochs": 3.0, "epochs": 9}, {"lr": 0.1, "warmup_epochs": 3.0, "epochs": 2}]
    assert "3 epochs is longer than a training of 2: where" in recipe_from_dict({"settings": listed}).idle_notes()[0]
    assert not recipe_from_dict({"settings": listed[:1]}).idle_notes()


@pytest.mark.long
def test_it_is_said_when_the_study_is_made(sweep):
    flags = ["--optimizer", "sgd", "--beta1", 0.9, "--lr", "0.1,0.01", "--epochs", 1]
    for command in (["grid", *flags], ["plan", *flags, "--no-measure"]):
        assert "beta1 has no effect here: it is for optimizer adam or adamw" in sweep(*command).stderr
