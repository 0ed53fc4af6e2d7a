"""The documentation is true: its commands run, recipes train, every hyperparameter is a flag with help."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sweep.hyperparameters import TABLE
from sweep.recipe import load_recipe
from tests.conftest import RECIPES, SHARED
from tests.ray_nodes import ray_starts

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND_NAMES = (
    *("grid", "search", "race", "plan", "resume", "ls", "show", "trial", "export", "import", "recipe", "merge"),
    "dashboard",
    *(
        "effect",
        "importance",
        "check",
        "confirm",
        "compare",
        "plot",
        "layer",
        "look",
        "verdict",
        "notes",
        "report",
        "model",
        "predict",
        "ensemble",
        "reproduce",
        "doctor",
        "rm",
    ),
)
needs_mnist = pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason="MNIST is not beside the repository")


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_of_the_documentation_run_in_order(sweep, tmp_path, page):
    """Every `sweep` command and every piece of Python of a page, as written, in an empty folder with the recipes; and
    every word of an output that it shows is one that its commands print (numbers depend on the machine)."""
    shutil.copytree(RECIPES, tmp_path / "recipes")
    said = ""
    for kind, block in re.findall(r"```(console|python|text)\n(.*?)```", page.read_text(), re.S):
        if kind == "python":
            subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True)
        elif kind == "console":
            said = run_commands(sweep, block)
        elif said:
            printed = set(WORD.findall(said))
            # narrow titles break words at their underscores
            broken = {
                part for word in printed for part in (*word.split("_"), f"{word.split('_')[0]}_")
            }  # in narrow titles
            missing = set(WORD.findall(block)) - printed - broken
            assert not missing, f"{page.name}: nothing printed {missing}"


def run_commands(sweep, block: str) -> str:
    """What the `sweep` commands of a block print; nothing if one of them trains MNIST for long."""
    said, whole = "", True
    commands = [line.removeprefix("$ ") for line in block.splitlines() if not line.startswith("#")]
    for part in [part for command in commands for part in command.split(" && ")]:
        words = shlex.split(part)
        if words[0] != "sweep":
            continue
        if "recipes/mnist.toml" in words and words[1] != "plan":
            whole = False
            continue
        if "--on" in words and not ray_starts():
            continue
        ran = sweep(*words[1:])
        said += ran.stdout + ran.stderr
    return said if whole else ""


def test_links_of_the_documentation_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "results" / "README.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            if "://" in target:
                continue
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), f"{page.name}: {target}"
            if anchor:
                titles = re.findall(r"^#+ (.+)$", there.read_text(), re.M)
                anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
                assert anchor in anchors, f"{page.name}: {target}"


WORD = re.compile(r"[A-Za-z_]{3,}")


@pytest.mark.long
@needs_mnist
def test_the_mnist_recipe_passes_97_5_percent(sweep, tmp_path):
    """The README's claim, as written but for the folder of the data and fewer of the small networks."""
    sweep("grid", RECIPES / "mnist.toml", "--data-dir", SHARED, "--hidden", 128, "--depth", 2, "--lr", 0.003)
    sweep("export", "mnist", "-o", tmp_path / "t.csv")
    assert pd.read_csv(tmp_path / "t.csv")["val_accuracy"].max() > 0.975


def test_the_mnist_recipe_is_a_grid_of_at_least_72_over_the_five_named():
    recipe = load_recipe(RECIPES / "mnist.toml", {})
    assert recipe.swept == ("lr", "beta1", "hidden", "depth", "batch_norm")
    assert recipe.grid.combinations >= 72


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_are_valid_and_have_a_reference_leaderboard(path):
    search = "[search]" in path.read_text()
    recipe = load_recipe(path, {}, {} if search else None)
    table = pd.read_csv(ROOT / "results" / "reference" / f"{path.stem}.csv")
    assert len(table) == (60 if search else len(list(recipe.grid.trials())))
    assert set(recipe.swept) <= set(table.columns)
    assert path.read_text().startswith("#")


def test_reference_leaderboards_are_what_the_tool_makes(sweep, tmp_path):
    """To rounding in the first digits: other processors sum in other orders."""
    sweep("grid", RECIPES / "quickstart.toml")
    sweep("export", "quickstart", "-o", tmp_path / "t.csv")
    made = pd.read_csv(tmp_path / "t.csv").sort_values("trial")
    reference = pd.read_csv(ROOT / "results" / "reference" / "quickstart.csv").sort_values("trial")
    assert made["val_accuracy"].tolist() == pytest.approx(reference["val_accuracy"].tolist(), abs=0.03)


def test_every_hyperparameter_is_a_flag_with_help_in_a_panel(sweep):
    text = sweep("grid", "--help", env={"COLUMNS": "200"}).stdout
    for row in TABLE.values():
        assert row.flag in text
        assert row.help.split(".")[0].split(",")[0][:25] in text
        assert row.panel in text


def test_help_says_that_a_batch_size_needs_noise_on_functions_alone(sweep):
    text = " ".join(sweep("grid", "--help").stdout.replace("│", " ").split())
    assert 'or "full"; default 64; on a function only with noise other than 0]' in text
    assert text.count("on a function only") == 1


def test_every_command_has_help(sweep):
    for command in COMMAND_NAMES:
        assert "Usage: sweep" in sweep(command, "--help").stdout


def test_version_and_completion(sweep):
    from sweep import __version__

    assert sweep("--version").stdout == f"sweep {__version__}\n"
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # whatever started the tests
    assert "_SWEEP_COMPLETE" in sweep("--show-completion", "bash", env=named).stdout
    sweep("grid", "--epochs", 1, "--lr", 0.1, "--study", "first-one")
    words = {"_SWEEP_COMPLETE": "complete_bash", "COMP_WORDS": "sweep show fir", "COMP_CWORD": "2"}
    assert "first-one" in sweep(env=words).stdout
