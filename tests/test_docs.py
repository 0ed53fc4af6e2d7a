"""The documentation is true: README's commands run, recipes train, every hyperparameter is a flag with help."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from sweep.hyperparameters import TABLE
from sweep.recipe import load_recipe
from tests.conftest import RECIPES, SHARED

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [
    line[2:]
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    for line in block.splitlines()
]
COMMAND_NAMES = (
    *("grid", "search", "plan", "resume", "ls", "show", "trial", "export", "import", "dashboard"),
    *("effect", "importance", "check", "confirm", "compare", "plot", "report", "reproduce", "doctor", "rm"),
)
needs_mnist = pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason="MNIST is not beside the repository")


@pytest.mark.long
def test_readme_commands_run_in_order(sweep, tmp_path):
    """Every `sweep` command of the README, as written, in an empty folder with the recipes."""
    shutil.copytree(RECIPES, tmp_path / "recipes")
    ran = 0
    for command in COMMANDS:
        for part in command.split(" && "):
            words = shlex.split(part)
            if words[0] != "sweep" or ("recipes/mnist.toml" in words and words[1] != "plan"):
                continue
            sweep(*words[1:])
            ran += 1
    assert ran >= 9


WORD = re.compile(r"[A-Za-z]{3,}")


@pytest.mark.long
def test_readme_outputs_are_in_todays_words(sweep, tmp_path):
    """Every word of an output that the README shows is one that its commands print; numbers depend on the machine."""
    shutil.copytree(RECIPES, tmp_path / "recipes")
    parts = re.split(r"```(\w*)\n", (ROOT / "README.md").read_text())
    said, checked = "", 0
    for kind, text in zip(parts[1::2], parts[2::2], strict=True):
        text = text.split("```")[0]
        if kind == "console":
            said = ""
            for part in [part for line in text.splitlines() for part in line.removeprefix("$ ").split(" && ")]:
                words = shlex.split(part)
                if words[0] != "sweep" or "recipes/mnist.toml" in words:
                    continue
                ran = sweep(*words[1:])
                said += ran.stdout + ran.stderr
        elif text.startswith("$"):
            said = ""  # a command with its output: below
        elif kind == "text" and said:
            checked += 1
            assert set(WORD.findall(text)) <= set(WORD.findall(said))
    assert checked >= 7


def test_the_import_that_the_readme_shows(sweep, tmp_path):
    [shown] = [
        text for text in (ROOT / "README.md").read_text().split("```") if text.startswith("text\n$ sweep import")
    ]
    rows = [
        f"{run},{lr},{norm},10,{seed},{7 + run},,0.{5 + run},0.{8 - run}1"
        for run, (lr, norm, seed) in enumerate(
            (lr, norm, s) for lr in (0.1, 0.01) for norm in ("on", "off") for s in (0, 1)
        )
    ]
    header = "run_id,lr,batch_norm,epochs,seed,runtime,comment,val_acc,val_loss"
    (tmp_path / "runs.csv").write_text("\n".join([header, *rows]))
    command, *lines = shown.removeprefix("text\n").strip().splitlines()
    said = sweep(*shlex.split(command)[2:]).stdout
    assert [line.rstrip() for line in said.splitlines()][: len(lines)] == lines


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
