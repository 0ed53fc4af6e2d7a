"""A training outlives its terminal, its pipe and its session; a command says in one line what its surroundings
refuse.
"""

from __future__ import annotations

import math
import os
import pty
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep import cli, host
from sweep.cores import cores, cpu_quota, quota_note
from sweep.ledger import Ledger
from sweep.recipe import load_recipe
from tests.made import record
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


@pytest.mark.long
def test_a_run_whose_reader_went_away_is_finished(tmp_path):
    """As `sweep grid … 2>&1 | head -1`, or a tee that dies."""
    process = start(tmp_path, *SHORT, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(120) == 0
    assert states(tmp_path) == ["complete"] * 2


@pytest.mark.long
def test_a_run_without_any_stream_is_finished(tmp_path):
    """As from a cron that closes all three."""
    command = f'exec "{sys.executable}" -m sweep {" ".join(SHORT)} <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, timeout=120).returncode == 0
    assert states(tmp_path) == ["complete"] * 2


@pytest.mark.long
def test_a_terminal_that_closes_ends_a_run_in_order(tmp_path):
    """The kernel sends SIGHUP, and every write is EIO from then on; the checkpoint is written all the same."""
    process, master = on_a_terminal(tmp_path, *LONG)
    wait_for(lambda: begun(tmp_path), process)
    os.close(master)
    assert process.wait(60) == 130
    assert states(tmp_path) == ["waiting"]
    assert list((tmp_path / "results").rglob("*.safetensors"))


@pytest.mark.long
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
    code += "cli._run = lambda: (print('ready', flush=True), time.sleep(600))\ncli.main()"
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


@pytest.mark.parametrize(
    ("member", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000"}, 1.5),  # in a container of cgroup v2
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "50000 100000", "a/b/cpu.max": "200000 100000"}, 0.5),
        ("0::/a\n", {"a/cpu.max": "max 100000"}, math.inf),
        (
            "4:cpu,cpuacct:/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "50000"},
            2.0,
        ),
        # v1, whose path is the host's
        ("3:cpuset:/\n4:cpu:/docker/1f\n", {"cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "100000"}, 0.25),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, math.inf),
        ("4:memory:/\n", {"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "1"}, math.inf),
        ("0::/\n", {"cpu.max": "garbage"}, math.inf),
        ("", {}, math.inf),
    ],
)
def test_a_containers_quota_of_processors_is_heeded(tmp_path, monkeypatch, member, files, quota):
    """As Docker's --cpus and Kubernetes' limits are told to whom they hold for."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "self").write_text(member)
    for name, text in files.items():
        path = tmp_path / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    places = tmp_path / "self", tmp_path / "mount"
    assert cpu_quota(*places) == quota
    assert cores(*places) == (8 if quota == math.inf else math.ceil(quota))
    assert quota_note(*places).startswith(f"a CPU quota (cgroup) allows {quota:g} of the 8 cores" if quota < 8 else "")
    assert bool(quota_note(*places)) == (quota < 8)


def test_without_the_systems_word_every_core_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 6}, raising=False)
    assert cores(tmp_path / "none", tmp_path) == 3


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with the results of a finished study `mine`."""
    recipe = load_recipe(None, {"lr": "0.1,0.01"})
    with Ledger(tmp_path / "results", create=True) as ledger:
        study = ledger.create("mine", recipe, 2)
        ledger.add(study, recipe.grid.trials())
        ledger.record(study, [record(n, 1, val_loss=0.5 + n, state="complete", test_loss=0.4) for n in range(2)])
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold a process to its address space")
def test_a_renderer_without_memory_is_told_in_one_line(mine):
    """Its JavaScript engine asks for tens of gigabytes of addresses and dies where it gets none."""
    done = run(mine, "ulimit -v 4000000; $sweep plot mine isolation lr -o a.png")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sweep: the renderer of charts and pages was killed by SIG")
    assert "`ulimit -v`" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(mine.glob("*.p*"))


def test_a_current_folder_that_is_gone_is_told_in_one_line(tmp_path):
    done = run(tmp_path, "mkdir d; cd d; rmdir ../d; $sweep plan --data mine.npz")
    assert done.returncode == 1
    assert done.stderr == "sweep: the current folder is gone (deleted or moved); change to one that exists\n"


def test_a_user_without_a_home_has_reports_all_the_same(mine):
    """A container's bare number: no HOME, no entry in passwd. Importing altair fails then."""
    nobody = "import os, pwd, sys\ndel os.environ['HOME']\n"
    nobody += "def unknown(uid): raise KeyError(uid)\npwd.getpwuid = unknown\n"
    nobody += (
        "sys.argv = ['sweep', 'plot', 'mine', 'isolation', 'lr', '-o', 'a.svg']\nfrom sweep.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", nobody], cwd=mine, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "wrote a.svg\n")


@pytest.mark.parametrize(
    "args",
    [
        ["export", "mine", "-o", "{long}.csv"],
        ["plot", "mine", "isolation", "lr", "-o", "{long}.svg"],
        ["report", "mine", "-o", "{long}.html"],
        ["doctor", "--results", "{long}"],
        ["ls", "--results", "{long}"],
        ["show", "{long}"],
        ["grid", "--study", "{long}"],
        ["grid", "--results", "{long}/{long}"],
        ["grid", "{long}.toml"],
        ["plan", "--data", "{long}.npz"],
        ["import", "{long}.csv"],
        ["resume", "{long}"],
        ["show", "mine", "--where", "lr={long}"],
        ["search", "--trials", "3", "--lr", "{long}"],
    ],
    ids=" ".join,
)
def test_a_name_longer_than_a_file_may_have(mine, monkeypatch, capsys, args):
    """Told in one line that can be read, whatever the flag; in the process of the test, for time."""
    monkeypatch.chdir(mine)
    monkeypatch.setattr(host, "ahead", lambda: None)
    code, said = called(capsys, [arg.format(long="x" * 5000) for arg in args])
    assert code in (1, 2)
    assert said.startswith("sweep: ")
    assert said.count("\n") == 1
    assert len(said) < 1000


def called(capsys, args: list[str]) -> tuple[int, str]:
    """The exit code of a command in this process, and what it said on standard error."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(sys, "argv", ["sweep", *args])
        code = cli._run()
    return code or 0, capsys.readouterr().err


ODD = st.one_of(
    st.sampled_from(
        ["", "-", "--", "0", "-1", "nan", "inf", "1e400", "a,b", "1:2", "1:2:log", "/", ".", "..", "/dev/null", "\x00"]
    ),
    st.text(max_size=8),
    st.integers(-(10**30), 10**30).map(str),
)
QUESTIONS = {
    "show": ["--top", "--where", "--metric", "--sort", "--results"],
    "ls": ["--results"],
    "trial": ["--results", "--where"],
    "effect": ["--metric", "--where", "--results"],
    "importance": ["--metric", "--where"],
    "check": ["--metric", "--where"],
    "export": ["-o", "--where"],
    "plot": ["-o", "--metric", "--theme", "--where"],
    "plan": ["--lr", "--data", "--data-dir", "--epochs", "--jobs", "--device", "--trials", "--study", "--batch-size"],
    "import": ["--metric", "--where", "--study", "--results"],
    "compare": ["--metric"],
    "doctor": ["--results"],
    "resume": ["--time-limit", "--jobs", "--results"],
}


@settings(
    max_examples=int(os.environ.get("SWEEP_FLAGS", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_flags_with_odd_values_end_in_one_line(mine, monkeypatch, capsys, data):
    """Every command, whatever is behind its flags: its answer, or a line and exit code 1 or 2. Never a traceback."""
    monkeypatch.chdir(mine)
    monkeypatch.setattr(host, "ahead", lambda: None)
    command = data.draw(st.sampled_from(sorted(QUESTIONS)))
    flag = data.draw(st.sampled_from(QUESTIONS[command]))
    study = data.draw(st.one_of(st.just("mine"), ODD))
    more = [] if command in ("ls", "plan", "doctor") else [study]
    more += ["--no-measure"] if command == "plan" else []
    code, said = called(capsys, [command, *more, f"{flag}={data.draw(ODD)}"])
    assert code in (0, 1, 2, 130)
    assert code in (0, 130) or command == "doctor" or said.count("\n") == 1, said  # a doctor's 1 is its finding
