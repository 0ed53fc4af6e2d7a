"""The recipes of the course notes: they load, state claims that they can settle, are small, and say what they are."""

from __future__ import annotations

import re
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from sweep.recipe import Recipe, load_recipe
from sweep.recipe.claims import KINDS, seeds_needed
from sweep.recipe.reading import header_of
from sweep.space import epoch_steps, total_steps
from tests.conftest import RECIPES

FILES = sorted((RECIPES / "notes").glob("*.toml"))
ROWS = {"digits": 1079}
"""Training rows of the data sets that need no download."""
MOST_STEPS = 300_000
"""Training steps of a whole study of networks of two layers: about a minute on two cores."""
MOST_FUNCTION_STEPS = 1_000_000

every_recipe = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


@cache
def read(file: Path) -> Recipe:
    return load_recipe(file, {})


def commands(file: Path) -> list[list[str]]:
    """The commands of a recipe's comment, without their own comments."""
    lines = [line[1:].strip() for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#   ")]
    return [shlex.split(line, comments=True) for line in lines]


def test_the_notes_are_a_folder_of_many_claims_of_every_kind():
    claims = [claim for file in FILES for claim in read(file).claims]
    assert len(FILES) >= 18
    assert {claim.kind for claim in claims} == set(KINDS)
    assert len({claim.text for claim in claims}) >= 40


@every_recipe
def test_a_recipe_states_one_to_four_claims_with_seeds_enough_for_them(file):
    recipe = read(file)
    assert 1 <= len(recipe.claims) <= 4
    alone = recipe.of_function and len(recipe.seeds) == 1  # nothing is random: the settings are the sample
    assert alone or len(recipe.seeds) >= seeds_needed(recipe.claims, recipe)
    assert recipe.idle_notes() == []


@every_recipe
def test_a_recipe_needs_no_download_and_is_soon_trained(file):
    recipe = read(file)
    settings = list(recipe.grid.settings())
    if recipe.of_function:
        assert sum(setting["steps"] for setting in settings) * len(recipe.seeds) <= MOST_FUNCTION_STEPS
        return
    steps = 0.0
    for setting in settings:
        rows = setting.get("train_size", "all")
        rows = ROWS[recipe.data] if rows == "all" else rows
        size = setting["batch_size"]
        each = 1 if size == "full" else epoch_steps(rows, size)
        steps += total_steps(setting, each) * max(setting["depth"], 2) / 2
    assert steps * len(recipe.seeds) <= MOST_STEPS


@every_recipe
def test_a_comment_says_what_is_asked_claimed_and_compared(file):
    paragraphs = header_of(file)
    assert "?" in paragraphs[0]
    assert any(paragraph.startswith("What is compared: ") for paragraph in paragraphs)
    assert any(paragraph.startswith("What to look for: ") for paragraph in paragraphs)
    asked = commands(file)
    assert asked[0] == ["sweep", "grid", f"recipes/notes/{file.name}"]
    assert asked[1] == ["sweep", "verdict", file.stem]
    assert any(words[:2] == ["sweep", "plot"] for words in asked)
    assert all(len(line) <= 100 for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#"))


@every_recipe
def test_the_commands_of_a_comment_are_about_the_study_and_what_it_varies(file):
    names = {*read(file).swept, "state"}
    for words in commands(file)[1:]:
        assert words[2] == file.stem
        for flag, given in pairwise(words):
            if flag in ("--by", "--per"):
                assert set(given.split(",")) <= names
            elif flag == "--where":
                assert set(re.findall(r"(\w+)\s*[=<>]", given)) <= names
        if words[1] == "plot" and words[3] in ("heatmap", "isolation", "effect"):
            assert {word for word in words[4:6] if not word.startswith("-")} <= names
