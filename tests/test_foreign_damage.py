"""`sweep import` of files that are damaged, odd, or were written by several processes: read as the tool itself reads
them, or refused in a line."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path

import pytest

from sweep.foreign import TOOLS, recognize
from sweep.foreign.recognizing import read_study
from tests.test_foreign_a import sample


def read(path: Path, name: str | None = None):
    tool = recognize(path, TOOLS)
    assert tool is not None
    return read_study(path, tool, name)


def test_a_journal_of_several_processes_is_read_as_optuna_reads_it(tmp_path):
    """Entries that came too late change nothing: `load_if_exists=True` writes that a study begins each time."""
    optuna = pytest.importorskip("optuna")
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = tmp_path / "theirs.log"
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    optuna.create_study(storage=storage, study_name="gone").optimize(lambda _: 0.0, n_trials=1)
    for sitting in range(2):
        study = optuna.create_study(storage=storage, study_name="first", load_if_exists=True)
        study.optimize(lambda trial, sitting=sitting: trial.suggest_float("x", 0, 1) + sitting, n_trials=2)
    optuna.delete_study(storage=storage, study_name="gone")
    second = optuna.create_study(storage=storage, study_name="second", direction="maximize")
    second.optimize(lambda trial: trial.suggest_float("y", 0, 1), n_trials=3)
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    begun, ended = (next(entry for entry in entries if entry["op_code"] == code) for code in (4, 6))
    late = [begun | {"study_id": 0}, ended | {"trial_id": 1, "values": [77.0]}]  # of other workers, on what is over
    fresh = begun | {"study_id": 2}
    with path.open("a") as file:
        file.writelines(json.dumps(entry | {"worker_id": "another"}) + "\n" for entry in [*late, fresh])
    anew = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    for name in ("first", "second"):
        theirs = optuna.load_study(storage=anew, study_name=name).trials
        ours = read(path, name)
        assert [trial.setting for trial in ours.trials] == [trial.params for trial in theirs]
        assert [dict(trial.values) for trial in ours.trials] == [
            {} if trial.value is None else {"value": trial.value} for trial in theirs
        ]
    assert len(theirs) == 4


def journal(path: Path, trials: list[tuple[dict, float]], curve: dict[int, float] | None = None) -> Path:
    """An Optuna journal of trials that are complete: their settings and values."""
    entries: list[dict] = [{"op_code": 0, "worker_id": "w", "study_name": path.stem, "directions": [1]}]
    for setting, value in trials:
        spread = {
            name: json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": [choice]}})
            for name, choice in setting.items()
        }
        trial = {"state": 1, "value": value, "params": dict.fromkeys(setting, 0), "distributions": spread}
        trial |= {"user_attrs": {}, "system_attrs": {}, "intermediate_values": curve or {}}
        entries.append({"op_code": 4, "worker_id": "w", "study_id": 0} | trial)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_values_that_look_alike_or_count_as_equal_stay_apart(sweep, tmp_path):
    """Of 1, true and "1" Python says that the first two are equal, and all three look the same."""
    values = [1, True, "1", 0.5, math.inf, "true", None]
    trials = [({"kind": kind, "seed": seed}, place + seed / 10) for place, kind in enumerate(values) for seed in (0, 1)]
    sweep("import", journal(tmp_path / "mixed.log", trials))
    shown = json.loads(sweep("show", "mixed", "--json").stdout)["settings"]
    assert [row["kind"] for row in shown] == [1, "true", '"1"', 0.5, "inf", '"true"', None]
    assert [row["mean"] for row in shown] == pytest.approx([place + 0.05 for place in range(7)])
    effect = json.loads(sweep("effect", "mixed", "kind", "--json").stdout)[0]
    assert sorted(level["mean"] for level in effect["levels"]) == pytest.approx([place + 0.05 for place in range(6)])
    first = sweep("trial", "mixed", 8, "--json").stdout
    json.loads(first, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_negative_seeds_are_no_damage(sweep, tmp_path):
    """`doctor --mend` set such trials aside."""
    trials = [({"lr": lr, "seed": seed}, lr - seed / 10) for lr in (1, 2) for seed in (-1, -(2**63))]
    sweep("import", journal(tmp_path / "negative.log", trials))
    (tmp_path / "table.csv").write_text("lr,seed,loss\n0.1,-1,0.5\n0.2,-1,0.6\n")
    sweep("import", tmp_path / "table.csv", "--metric", "loss", "--minimize")
    assert sweep("doctor").stdout == "nothing is wrong\n"


@pytest.mark.parametrize(
    ("setting", "curve", "said"),
    [
        ({"lr": 1}, {10**30: 0.5}, "trial 0: value at step 1000000000000000000000000000000: damaged"),
        ({"lr": "\ud800"}, {1: 0.5}, "damaged, or of a version of Optuna that is not known: UnicodeEncodeError"),
    ],
)
def test_what_no_tool_means_is_one_line(sweep, tmp_path, setting, curve, said):
    refused = sweep("import", journal(tmp_path / "odd.log", [(setting, 0.5)], curve), code=2)
    assert said in refused.stderr


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE trial_intermediate_values SET intermediate_value = 'x'",
        "UPDATE trial_params SET param_name = x'ff00' WHERE param_id = 1",
    ],
)
def test_what_is_of_another_type_in_a_database_is_one_line(sweep, tmp_path, damage):
    path = sample("optuna-5.0.0/toy.sql", tmp_path)
    with sqlite3.connect(path) as file:
        file.execute(damage)
    file.close()
    assert "damaged, or of a version of Optuna that is not known" in sweep("import", path, code=2).stderr


def test_an_effect_is_not_split_by_what_exists_elsewhere_only(sweep, tmp_path):
    trials = [({"ab"[place % 2]: place, "seed": seed}, place) for place in range(6) for seed in (0, 1)]
    sweep("import", journal(tmp_path / "partly.log", trials))
    assert "--by a: exists only where b does not" in sweep("effect", "partly", "b", "--by", "a", code=2).stderr


def test_names_that_begin_with_an_underscore_are_hyperparameters(sweep, tmp_path):
    """Boards dropped them with columns of their own."""
    (tmp_path / "names.csv").write_text("_wandb,_lost,seed,mse\na,1,0,1\na,1,1,2\nb,2,0,3\nb,2,1,4\n")
    sweep("import", tmp_path / "names.csv", "--metric", "mse", "--minimize")
    shown = json.loads(sweep("show", "names", "--json").stdout)["settings"]
    assert [(row["_wandb"], row["_lost_"], row["mean"]) for row in shown] == [("a", 1, 1.5), ("b", 2, 3.5)]
    sweep("export", "names", "--settings", "-o", tmp_path / "names-out.csv")
    assert (tmp_path / "names-out.csv").read_text().startswith("rank,trial,_wandb,_lost_,")


def test_imports_that_differ_are_not_merged(sweep, tmp_path):
    """They were refused as differing in their seeds, with the advice to differ in their seeds."""
    for seed in (0, 1):
        (tmp_path / f"{seed}.csv").write_text(f"lr,seed,mse\n1,{seed},1\n2,{seed},2\n")
        flags = ("--metric", "mse", "--minimize", "--study", "t", "--results", tmp_path / str(seed))
        sweep("import", tmp_path / f"{seed}.csv", *flags)
    refused = sweep("merge", tmp_path / "0", tmp_path / "1", code=2).stderr
    assert "expected the same import, since it is no grid" in refused
