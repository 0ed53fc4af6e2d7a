"""A training outlives its terminal, its pipe and its session; a command says in one line what its surroundings refuse."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import query, start, wait_for

SHORT = ("grid", "--lr", "0.1,0.01", "--epochs", "3", "--jobs", "1", "--lanes", "2", "--study", "s")
LONG = ("grid", "--lr", "0.1", "--epochs", "1000000", "--jobs", "1", "--lanes", "1", "--study", "s")


def states(folder: Path) -> list[str]:
    return [state for (state,) in query(folder / "results" / "sweep.db", "SELECT state FROM trials")]


def begun(folder: Path) -> bool:
    return bool(query(folder / "results" / "sweep.db", "SELECT 1 FROM epochs"))


def ignoring(*numbers: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number in numbers else signal.SIG_DFL)


def on_a_terminal(folder: Path, *args: object, ignored: tuple[int, ...] = ()) -> tuple[subprocess.Popen[str], int]:
    """`sweep ARGS...` as the session that owns a terminal of its own, and the end that a window would hold."""
    master, slave = pty.openpty()

    def own() -> None:
        ignoring(*ignored)
        os.setsid()
        os.close(os.open(os.ttyname(0), os.O_RDWR))  # the first terminal that a session opens is its own

    ends = {"stdin": slave, "stdout": slave, "stderr": slave, "preexec_fn": own}
    process = start(folder, *args, env={"TERM": "xterm"}, **ends)
    os.close(slave)
    return process, master


def test_a_run_whose_reader_went_away_is_finished(tmp_path):
    """As `sweep grid … 2>&1 | head -1`, or a tee that dies."""
    process = start(tmp_path, *SHORT, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(120) == 0
    assert states(tmp_path) == ["complete"] * 2


def test_a_run_without_any_stream_is_finished(tmp_path):
    """As from a cron that closes all three."""
    command = f'exec "{sys.executable}" -m sweep {" ".join(SHORT)} <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, timeout=120).returncode == 0
    assert states(tmp_path) == ["complete"] * 2


def test_a_terminal_that_closes_ends_a_run_in_order(tmp_path):
    """The kernel sends SIGHUP, and every write is EIO from then on; the checkpoint is written all the same."""
    process, master = on_a_terminal(tmp_path, *LONG)
    wait_for(lambda: begun(tmp_path), process)
    os.close(master)
    assert process.wait(60) == 130
    assert states(tmp_path) == ["waiting"]
    assert list((tmp_path / "results").rglob("*.safetensors"))


def test_signals_that_were_ignored_stay_ignored(tmp_path):
    """As nohup leaves SIGHUP, in the study, in its host and in its workers; the others still end it."""
    process, master = on_a_terminal(tmp_path, *LONG, ignored=(signal.SIGHUP, signal.SIGINT))
    wait_for(lambda: begun(tmp_path), process)
    os.close(master)
    os.killpg(process.pid, signal.SIGHUP)
    os.killpg(process.pid, signal.SIGINT)
    seen = "SELECT max(epoch) FROM epochs"
    database = tmp_path / "results" / "sweep.db"
    before = query(database, seen)
    wait_for(lambda: query(database, seen) > before, process)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 130
    assert states(tmp_path) == ["waiting"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_before_the_training_is_told(tmp_path, number):
    """A command that only reads too: one line, the code of an interrupt."""
    code = "import sys, time\nsys.argv = ['sweep', 'ls']\nimport sweep.cli.base, sweep.cli as cli\n"
    code += "cli._ran = lambda: (print('ready', flush=True), time.sleep(600))\ncli.main()"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": ignoring}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, text=True, **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "sweep: interrupted\n")


def run(folder: Path, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A shell's line, in which $sweep is the command."""
    env = os.environ | {"sweep": f"{sys.executable} -m sweep"} | env
    return subprocess.run(["bash", "-c", script], cwd=folder, text=True, capture_output=True, timeout=120, env=env)


def test_what_cannot_be_written_is_told_if_anybody_is_there(tmp_path):
    done = run(tmp_path, "$sweep --help > /dev/full; $sweep --help | true; echo ${PIPESTATUS[0]}; $sweep --version >&-")
    assert done.stderr == "sweep: standard output cannot be written: No space left on device\n"
    assert (done.returncode, done.stdout) == (0, "0\n")
