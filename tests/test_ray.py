"""Training on a Ray cluster (--on): real nodes on this machine, whose actors, nodes and head are killed."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import random
import signal
import socket
from pathlib import Path

import pytest

from sweep import checkpoint
from sweep.cluster import Cluster
from sweep.engine import Saver, Training
from sweep.errors import UsageError
from sweep.space import Trial, canonical
from tests.conftest import runner
from tests.processes import kill, numbers, query, start, wait_for
from tests.ray_nodes import Nodes, ray_starts

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")

GRID = ["--lr", "0.1,0.03,0.01,0.003", "--seeds", 4, "--hidden", 64, "--epochs", 30, "--lanes", 2]
QUICK_LOSS = {"RAY_gcs_rpc_server_reconnect_timeout_s": "3", "SWEEP_CHECKPOINT_SECONDS": "0.2"}


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The numbers of this machine's own workers."""
    sweep = runner(tmp_path_factory.mktemp("local"))
    sweep("grid", *GRID, "--study", "local")
    return numbers(sweep, "local")


@pytest.fixture(scope="module")
def startable():
    if not ray_starts():
        pytest.skip("Ray starts no cluster here")


@pytest.fixture(scope="module")
def nodes(startable):  # noqa: ARG001
    cluster = Nodes(2, client=True)
    yield cluster
    cluster.close()


def rows(results: Path) -> list[tuple]:
    """State, and how often each setting and seed is there."""
    text = "SELECT state, count(*), count(DISTINCT setting || ' ' || seed) FROM trials GROUP BY study, state"
    return query(results / "sweep.db", text)


def facts(results: Path, study: str) -> list[dict]:
    """The machines of a study's sittings that trained something."""
    text = (
        "SELECT facts FROM sittings s JOIN studies t ON t.id = s.study WHERE t.name = '%s' AND EXISTS "
        "(SELECT 1 FROM trials WHERE study = s.study AND sitting = s.number)"
    )
    return [json.loads(found) for (found,) in query(results / "sweep.db", text % study)]


# What cannot be


@pytest.mark.parametrize(
    "on", ["", "rays", "host", "host:", "host:0", "host:70000", "ray://", "ray://a b:1", "http://a:1"]
)
@needs_ray
def test_a_name_that_is_no_cluster(on):
    with pytest.raises(UsageError, match=r"--on .*expected ray .*HOST:PORT"):
        Cluster(on, "auto", None)


@needs_ray
def test_an_address_where_nothing_answers(sweep, tmp_path):
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for on in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
            result = sweep("grid", "--lr", 0.1, "--on", on, code=2)
            assert result.stderr == f"sweep: --on {on}: nothing answers at 127.0.0.1:{port} (Connection refused)\n"
    assert not (tmp_path / "results").exists()


@needs_ray
@pytest.mark.parametrize("device", ["cuda:1", "mps", "gpu"])
def test_a_device_that_workers_of_a_cluster_cannot_have(device):
    with pytest.raises(UsageError, match=f"--device {device}: expected auto, cpu or cuda"):
        Cluster("ray", device, None)


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else find(name, *more))
    with pytest.raises(UsageError, match=r'--on ray: Ray is not installed; pip install "sweep\[ray\]"'):
        Cluster("ray", "auto", None)


def test_commands_that_train_have_the_flag(sweep):
    for command in ("grid", "search", "race", "resume", "confirm"):
        assert "--on" in sweep(command, "--help").stdout, command


def test_a_training_that_sends_its_checkpoints_goes_on_from_what_it_sent(digits, tmp_path):
    trials = [Trial(number, canonical({"epochs": 3, "lr": lr}), 0) for number, lr in enumerate((0.1, 0.01))]
    whole = losses(Training(trials, digits))
    calls, sent = itertools.count(), []
    saver = Saver(tmp_path, "data", send=lambda *what: sent.append(what))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweep.engine.training.ASK_SECONDS", 0.0)
        patch.setattr("sweep.engine.training.CHECKPOINT_SECONDS", 0.0)
        stopped = Training(trials, digits, saver, lambda: "now" if next(calls) == 40 else "")
        list(stopped)
    assert stopped.stopped
    assert not [*tmp_path.iterdir()]
    names = [checkpoint.file_name(name, body) for name, body, _ in sent]
    assert len(sent) > 1
    assert [before for *_, before in sent] == ["", *names[:-1]]  # each takes the place of the one before
    further = Saver(tmp_path, "data", sent[-1][1], send=lambda *what: sent.append(what))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sweep.engine.training.CHECKPOINT_SECONDS", 0.0)
        assert losses(Training(trials, digits, further)) == whole
    name, body, before = sent[-1]
    assert (name, body) == ("", b"")  # trained to the end, the last one goes
    assert before == checkpoint.file_name(*sent[-2][:2])


def losses(training: Training) -> list[list[float]]:
    """Every epoch's validation loss of each trial."""
    return [[record.val_loss for record in records] for records in training]


# What a cluster does


@needs_ray
@pytest.mark.long
def test_a_cluster_trains_as_local_workers_do(sweep, tmp_path, nodes, local):
    """From a node and through a client: the same bits, and each node's machine is recorded."""
    for study, on in (("near", nodes.address), ("far", nodes.client)):
        result = sweep("grid", *GRID, "--study", study, "--on", on)
        assert "16 complete of 16 trials" in result.stderr
        assert numbers(sweep, study) == local
    assert {found["node"] for found in facts(tmp_path / "results", "near")} == {"node0", "node1"}
    assert {found["threads"] for found in facts(tmp_path / "results", "near")} == {1}


@needs_ray
@pytest.mark.long
def test_own_training_on_a_cluster(sweep, tmp_path, nodes):
    """A function's file that all nodes see. It finds itself as nice as the node, and not 15."""
    (tmp_path / "own.py").write_text(
        "import os\n"
        "def train(setting, seed, report):\n"
        "    report(epoch=1, val_loss=setting['lr'], nice=os.nice(0), pid=os.getppid())\n"
    )
    sweep("grid", "--train", "own.py:train", "--set", "lr=0.1,0.2,0.3,0.4", "--study", "own", "--on", nodes.address)
    nice = {
        value
        for (value,) in query(tmp_path / "results" / "sweep.db", "SELECT value FROM readings WHERE quantity = 'nice'")
    }
    assert nice == {float(os.nice(0))}
    (tmp_path / "own.py").write_text("def train(setting, seed, report):\n    report(epoch=1, val_loss=0)\n")
    changed = sweep(
        "grid",
        "--train",
        "own.py:train",
        "--set",
        "lr=0.1,0.2,0.3,0.4,0.5",
        "--study",
        "own",
        "--on",
        nodes.address,
        code=2,
    )
    assert "with other code" in changed.stderr


@needs_ray
@pytest.mark.long
def test_killed_actors_and_nodes_cost_time_alone(sweep, tmp_path, nodes, local):
    """An actor is killed, then a node, then one comes: each trial once, with the numbers of a local run."""
    database = tmp_path / "results" / "sweep.db"
    process = start(tmp_path, "grid", *GRID, "--study", "killed", "--on", nodes.address, env=QUICK_LOSS)
    trained = "SELECT 1 FROM trials t JOIN studies s ON s.id = t.study WHERE s.name = 'killed' AND t.epochs > 0"
    wait_for(lambda: query(database, trained), process)
    actors = nodes.pids("ray::Actor")
    os.kill(max(actors), signal.SIGKILL)
    wait_for(lambda: {*nodes.pids("ray::Actor")} - {*actors}, process)
    os.kill(nodes.pids("raylet/raylet")[-1], signal.SIGKILL)
    nodes.add("node2")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert numbers(sweep, "killed") == local
    assert rows(tmp_path / "results") == [("complete", 16, 16)]


@needs_ray
@pytest.mark.long
@pytest.mark.usefixtures("startable")
def test_a_lost_head_is_one_line_and_a_study_that_is_resumed(sweep, tmp_path, local):
    cluster = Nodes(1)
    try:
        process = start(tmp_path, "grid", *GRID, "--study", "lost", "--on", cluster.address, env=QUICK_LOSS)
        folder = tmp_path / "results" / checkpoint.FOLDER
        wait_for(lambda: list(folder.rglob("*.safetensors")), process)  # they have come back to the study
        cluster.ask("lose head")
        _, err = process.communicate(timeout=120)
    finally:
        cluster.close()
    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert last.startswith(f"sweep: the Ray cluster (--on {cluster.address}) is lost"), err
    assert last.endswith("everything finished is recorded")
    resumed = sweep("resume", "lost")
    assert "from a checkpoint)" in resumed.stderr
    assert numbers(sweep, "lost") == local


@needs_ray
@pytest.mark.long
@pytest.mark.usefixtures("startable")
def test_a_cluster_that_cannot_train_as_asked(sweep, tmp_path):
    """No core; another kind of machine, named once and recorded; other versions, at the start and later."""
    cluster = Nodes(0)
    try:
        none = sweep("grid", *GRID, "--on", cluster.address, code=2)
        assert "the cluster offers no core" in none.stderr
        assert len(none.stderr.splitlines()) == 1
        cluster.add("usual")
        cluster.add("plain", env={"ATEN_CPU_CAPABILITY": "default"})
        mixed = sweep("grid", *GRID, "--study", "mixed", "--on", cluster.address)
        assert mixed.stderr.count("is a machine of another kind") == 1
        kinds = {found["node"]: found["instructions"] for found in facts(tmp_path / "results", "mixed")}
        assert kinds.keys() == {"usual", "plain"}
        assert kinds["usual"] != kinds["plain"]
        other = tmp_path / "other" / "torch-1.2.3.dist-info"
        other.mkdir(parents=True)
        (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.2.3\n")
        cluster.add("old", env={"PYTHONPATH": str(other.parent)})
        old = sweep("grid", *GRID, "--on", cluster.address, code=2)
        assert "node old has torch 1.2.3, and here it is" in old.stderr
        assert len(old.stderr.splitlines()) == 1
    finally:
        cluster.close()


@needs_ray
@pytest.mark.slow
def test_twenty_kills_of_everything(sweep, tmp_path, local):
    """Actors, their workers and hosts, nodes, and the study itself, at moments drawn by chance."""
    draw, cluster = random.Random(18), Nodes(2)
    database, came = tmp_path / "results" / "sweep.db", 2
    words = ["grid", *GRID, "--study", "campaign", "--on", cluster.address]
    process, epochs = None, 0
    try:
        for _ in range(20):
            if process is None or process.poll() is not None:
                process = start(tmp_path, *words, env=QUICK_LOSS)
            victim = draw.choice(["ray::Actor", "sweep.workers", "raylet/raylet", "the study"])
            more = epochs + draw.randrange(1, 25)
            seen = "SELECT 1 FROM epochs"
            wait_for(lambda m=more, p=process, q=seen: len(query(database, q)) >= m or p.poll() is not None)
            epochs = len(query(database, seen))
            if victim == "the study":
                process.kill()
                process.communicate()
            elif pids := cluster.pids(victim)[1:]:  # the first raylet is the head's
                kill(draw.choice(pids))
            if victim == "raylet/raylet":
                cluster.add(f"node{came}")
                came += 1
        process.communicate(timeout=120)
    finally:
        cluster.close()
    sweep("resume", "campaign", "--retry-failed")
    assert numbers(sweep, "campaign") == local
    assert rows(tmp_path / "results") == [("complete", 16, 16)]
