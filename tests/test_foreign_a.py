"""`sweep import` of Ray Tune, Optuna, MLflow, W&B, TensorBoard, Keras Tuner and trackio: what these tools really wrote
is read as the trials that were trained. The truth is that of the training function, not of any reader."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from sweep.analysis.adopting import Wishes, adopt
from sweep.errors import UsageError
from sweep.foreign import TOOLS, ForeignStudy, ForeignTrial, recognize
from sweep.ledger import Ledger, diagnose
from tests.conftest import SHARED

HERE = Path(__file__).parent / "foreign"

# lr, batch_norm, seed: state, epochs reported, final and best val_loss
TRUTH = {
    (0.1, True, 0): ("complete", 3, 0.40, 0.30),
    (0.1, False, 0): ("complete", 3, 0.65, 0.55),
    (0.01, True, 0): ("complete", 3, 0.30, 0.20),
    (0.01, False, 0): ("complete", 3, 0.45, 0.35),
    (0.1, True, 1): ("failed", 2, None, 0.31),
    (0.1, False, 1): ("diverged", 3, None, 0.86),
    (0.01, True, 1): ("complete", 3, 0.31, 0.21),
    (0.01, False, 1): ("complete", 3, 0.46, 0.36),
}

LOSS = {"metric": "val_loss", "direction": "minimize"}


def sample(where: str, tmp_path: Path) -> Path:
    """A sample, of those beside the tests or else of the shared ones; a dump is made a file."""
    path = next((root / where for root in (HERE, SHARED / "foreign") if (root / where).exists()), None)
    if path is None:
        pytest.skip("the samples are not beside the repository")
    if path.suffix != ".sql":
        return path
    database = tmp_path / f"{path.stem}.db"
    with sqlite3.connect(database) as connection:
        connection.executescript(path.read_text())
    connection.close()
    return database


def adopted(path: Path, folder: Path, name: str = "s", **wishes):
    """The study of a path: its trials as a table, its curves, and how it was read."""
    tool = recognize(path, TOOLS)
    assert tool is not None
    read = adopt(tool.read(path), path.name, Wishes(**wishes))
    with Ledger(folder / "results", create=True) as ledger:
        study = ledger.add_results(name, read.recipe, read.rows, read.course)
        trials, epochs = ledger.trials(study), ledger.epochs(study)
    assert diagnose(folder / "results") == []
    return trials, epochs, read


def told(trials, epochs, metric: str) -> dict:
    """Each trial of the toy as the truth has it."""
    out = {}
    for row in trials.to_dict("records"):
        curve = epochs[epochs["trial"] == row["number"]]
        assert curve["epoch"].tolist() == [*range(1, len(curve) + 1)]
        final = None if math.isnan(row[metric]) else row[metric]
        found = row["state"], len(curve), final, curve[metric].min() if len(curve) else None
        out[row["lr"], row["batch_norm"], row["seed"]] = found
    return out


SAMPLES = {
    "ray-2.60.0/toy": ("Ray Tune", LOSS, 0.2),
    "optuna-5.0.0/toy.sql": ("Optuna", {}, 0.2),
    "optuna-5.0.0/toy.log": ("Optuna", {}, 0.2),
    "mlflow-3.17.2/mlflow.sql": ("MLflow", LOSS, 0.2),
    "wandb-0.31.0/wandb": ("Weights & Biases", LOSS, 0.2),
    "tensorboard-torch-2.14.1": ("TensorBoard", LOSS, None),
    "trackio-0.43.0/toy.sql": ("trackio", LOSS, None),
}


@pytest.mark.parametrize("where", SAMPLES)
def test_the_toy_is_read_as_the_trials_that_were_trained(where, tmp_path):
    tool, flags, momentum = SAMPLES[where]
    path = sample(where, tmp_path)
    trials, epochs, read = adopted(path, tmp_path, **flags)
    assert recognize(path, TOOLS).name == tool
    metric = read.recipe.metric
    if tool == "Optuna":  # its ninth trial has no parameters, and an infinite value
        odd = trials[trials["lr"].isna()]
        assert odd[["number", "state"]].to_numpy().tolist() == [[8, "diverged"]]
        trials = trials[trials["lr"].notna()]
    assert told(trials, epochs, metric) == TRUTH
    if momentum is not None:
        used = trials["batch_norm"].astype(bool)
        assert trials.loc[used, "bn_momentum"].tolist() == [momentum] * 4
        assert trials.loc[~used, "bn_momentum"].isna().all()
    kept = {"lr", "batch_norm", "bn_momentum", "opt", "opt.name", "opt.betas", "hidden"}
    assert {*read.recipe.swept, *read.constant} <= kept
    kinds = {type(value) for value in trials["batch_norm"]}
    assert kinds == ({int} if tool == "TensorBoard" else {bool})  # torch's add_hparams writes 1.0 and 0.0


def test_keras_tuner_keeps_one_number_and_tells_nan_from_errors(tmp_path):
    trials, epochs, read = adopted(sample("keras-tuner-1.4.8/toy", tmp_path), tmp_path)
    assert (read.recipe.metric, read.recipe.direction) == ("val_loss", "minimize")
    assert epochs.empty
    got = {(r["lr"], r["batch_norm"], r["seed"]): (r["state"], r["val_loss"]) for r in trials.to_dict("records")}
    assert got == {
        key: (state, pytest.approx(final or math.nan, nan_ok=True)) for key, (state, _, final, _) in TRUTH.items()
    }
    failed = trials[trials["state"] == "failed"]
    assert failed["reason"].tolist() == ["RuntimeError: toy failure: out of luck"]


def test_what_overflowed_after_its_best_epoch_diverged(tmp_path):
    trials, _, _ = adopted(sample("keras-tuner-1.4.8/diverged", tmp_path), tmp_path)
    assert trials["state"].tolist() == ["complete", "complete", "diverged", "diverged"]
    assert trials["val_loss"][:2].tolist() == pytest.approx([0.23837, 4.80951], abs=1e-5)
    again, _, _ = adopted(sample("keras-tuner-1.4.8/two-executions", tmp_path), tmp_path, "two")
    assert again["state"].tolist() == ["complete", "complete", "diverged"]


def test_a_resumed_trial_is_one_trial_and_repetitions_are_numbered(tmp_path):
    trials, epochs, read = adopted(sample("ray-2.60.0/resumed", tmp_path), tmp_path, **LOSS)
    assert Counter(zip(trials["lr"], trials["seed"], strict=True)) == Counter(
        [(0.1, 0), (0.1, 1), (0.01, 0), (0.01, 1)]
    )
    assert (trials["state"] == "complete").all()
    assert trials["val_loss"].tolist() == pytest.approx([1 / 3] * 4)
    assert epochs.groupby("trial")["val_loss"].apply(list).tolist() == [pytest.approx([1, 1 / 2, 1 / 3])] * 4
    assert any("resumed" in note for note in read.notes)
    assert any("no seed" in note for note in read.notes)


def test_rays_odd_trials_are_told_apart(tmp_path):
    trials, epochs, read = adopted(sample("ray-2.60.0/odd", tmp_path), tmp_path, **LOSS)
    got = {row["kind"]: (row["state"], row["val_loss"]) for row in trials.to_dict("records")}
    lost = pytest.approx(math.nan, nan_ok=True)
    third = ("complete", pytest.approx(1 / 3))
    good = {"once": third, "plain": third, "dup": third, "single": ("complete", 0.5)}
    assert got == {"early": ("failed", lost), "none": ("failed", lost), "np32": ("diverged", lost), **good}
    assert {*trials["lr"]} == {0.1}  # one trial reports a metric of that name
    assert read.constant["hidden"] == "[32, 32]"
    plain = int(trials[trials["kind"] == "plain"]["number"].iloc[0])
    assert epochs[epochs["trial"] == plain]["test_acc"].tolist() == pytest.approx(
        [math.nan, math.nan, 0.9], nan_ok=True
    )


def test_optunas_older_schemas(tmp_path):
    trials, _, read = adopted(sample("optuna-4.9.0/new-york.sql", tmp_path), tmp_path)
    assert (trials["value"].tolist(), read.recipe.imported.tool) == ([1.0], "Optuna 4.9.0")
    older, _, _ = adopted(sample("optuna-2.10.1/old-schema.sql", tmp_path), tmp_path, "old")
    assert older["x"].tolist() == pytest.approx([0.459509494537702, 0.113857627514050])
    assert older["value"].tolist() == older["x"].tolist()


def test_mlflows_file_store(tmp_path):
    path = sample("mlflow-3.17.2/file-store", tmp_path)
    trials, epochs, read = adopted(path, tmp_path, **LOSS)
    assert trials["state"].tolist() == ["diverged"]
    assert epochs["val_loss"].tolist() == pytest.approx([0.1, 0.5, math.nan, math.nan], nan_ok=True)
    assert read.constant == {"batch_norm": True, "lr": 0.1}  # x is None
    for metric in ("later", "tie", "tie2"):  # the value at the last step counts, of several the largest
        assert adopted(path, tmp_path, metric, metric=metric, direction="minimize")[0][metric].tolist() == [0.9]


def test_infinities_that_were_made_finite_are_infinite(tmp_path):
    trials, _, _ = adopted(sample("mlflow-3.17.2/mlflow.sql", tmp_path), tmp_path, metric="inf", direction="minimize")
    assert Counter(trials["state"]) == {"diverged": 7, "failed": 1}


@pytest.mark.long
def test_every_command_reads_it(sweep, tmp_path):
    path = sample("wandb-0.31.0/wandb", tmp_path)
    said = sweep("import", path, "--metric", "val_loss", "--minimize", "--study", "w")
    assert "Weights & Biases 0.31.0" in said.stdout
    assert "imported 8 trials of 4 settings, 2 seeds" in said.stdout
    assert "steps are counted from 0 there, from 1 here" in said.stderr
    assert "Imported from Weights & Biases 0.31.0 (wandb): val_loss of the last epoch." in sweep("show", "w").stdout
    shown = json.loads(sweep("show", "w", "--json").stdout)
    assert shown["imported"]["value"] == "last"
    assert shown["imported"]["notes"] == [line.removeprefix("sweep: ") for line in said.stderr.strip().splitlines()]
    failed = next(
        row["trial"]
        for row in json.loads(sweep("show", "w", "--trials", "--json").stdout)["trials"]
        if row["state"] == "failed"
    )
    one = json.loads(sweep("trial", "w", failed, "--json").stdout)
    assert [point["val_loss"] for point in one["curve"]] == [0.61, 0.31]
    assert one["reason"] == "exit code 1"
    assert "validation loss" in sweep("plot", "w", "curves").stdout
    assert "1 trial failed" in sweep("check", "w").stdout
    assert "resume" not in sweep("check", "w").stdout
    assert "on wins 2 of 2 cells" in sweep("effect", "w", "batch_norm").stdout
    sweep("report", "w", "-o", tmp_path / "w.html")
    assert "results of Weights" in (tmp_path / "w.html").read_text()
    sweep("export", "w", "--curves", "-o", tmp_path / "curves.csv")
    assert len((tmp_path / "curves.csv").read_text().splitlines()) == 1 + 7 * 3 + 2


def test_the_best_is_marked_as_chosen_on_itself(sweep, tmp_path):
    path = sample("mlflow-3.17.2/mlflow.sql", tmp_path)
    said = sweep("import", path, "--metric", "val_loss", "--minimize", "--value", "best", "--study", "m")
    assert "chosen on itself" in said.stdout
    assert "chosen on itself" in sweep("show", "m").stdout
    board = json.loads(sweep("show", "m", "--trials", "--json").stdout)["trials"]
    want = sorted(best for state, _, _, best in TRUTH.values() if state == "complete")
    assert [row["val_loss"] for row in board if row["state"] == "complete"] == pytest.approx(want)
    assert [row["val_loss"] for row in board if row["state"] != "complete"] == [None, None]


def test_what_is_not_known_is_asked_for(sweep, tmp_path):
    path = sample("mlflow-3.17.2/mlflow.sql", tmp_path)
    asked = sweep("import", path, code=2).stderr
    assert "MLflow does not say what was optimised; give --metric, one of val_loss, inf" in asked
    assert "--minimize or --maximize" in sweep("import", path, "--metric", "val_loss", code=2).stderr
    wrong = sweep("import", path, "--metric", "val_los", "--minimize", code=2).stderr
    assert "did you mean 'val_loss'?" in wrong
    for flag, value, said in (
        ("--seed", "sed", "did you mean 'seed'?"),
        ("--ignore", "lrr", "unknown hyperparameter"),
        ("--name", "tioy", "unknown experiment"),
        ("--from", "mlflo", "unknown tool"),
        ("--state", "status", "is for a plain table"),
        ("--where", "lr=7", "no trial meets"),
    ):
        refused = sweep("import", path, "--metric", "val_loss", "--minimize", flag, value, code=2).stderr
        assert said in refused, flag
        assert len(refused.strip().splitlines()) == 1


def test_seeds_and_hyperparameters_can_be_named(sweep, tmp_path):
    path = sample("mlflow-3.17.2/mlflow.sql", tmp_path)
    rows = sweep("import", path, "--metric", "val_loss", "--minimize", "--seed", "rows", "--study", "rows")
    assert "no hyperparameter: trials of one setting are numbered" in rows.stdout
    flags = ("--metric", "val_loss", "--minimize", "--ignore", "bn_momentum,opt", "--where", "lr=0.01")
    some = sweep("import", path, *flags, "--study", "some").stdout
    assert "imported 4 trials of 2 settings, 2 seeds" in some
    assert "constant lr 0.01" in " ".join(some.split())


def test_a_store_of_several_studies_asks_which(sweep, tmp_path):
    log = sample("optuna-5.0.0/toy.log", tmp_path).read_text().splitlines()
    made = json.loads(log[0]) | {"study_name": "other", "directions": [2]}
    done = {"op_code": 4, "study_id": 1, "datetime_start": None, "state": 1, "values": [0.5], "params": {}}
    both = tmp_path / "both.log"
    both.write_text("\n".join([*log, json.dumps(made), json.dumps(done)]) + "\n")
    assert "holds 2 studies; give --name, one of toy, other" in sweep("import", both, code=2).stderr
    assert "did you mean 'other'?" in sweep("import", both, "--name", "othr", code=2).stderr
    said = sweep("import", both, "--name", "other").stdout
    assert "other: imported 1 trial" in said
    assert "value, more is better" in said


def damaged(path: Path, change) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("where", "file", "change", "said"),
    [
        ("ray-2.60.0/resumed", "experiment_state-2026-11-27_15-44-05.json", lambda text: text[:900], "not valid JSON"),
        (
            "ray-2.60.0/resumed",
            "experiment_state-2026-11-27_15-44-05.json",
            lambda _: b'{"checkpoints": []}',
            "version",
        ),
        ("optuna-5.0.0/toy.log", "", lambda text: text[:600] + b"\n" + text[600:], "damaged: not valid JSON"),
        ("optuna-5.0.0/toy.log", "", lambda text: text.splitlines(keepends=True)[0], "it has no trials"),
        ("keras-tuner-1.4.8/toy", "trial_00/trial.json", lambda _: b"{}", "no trial of a version that is known"),
        ("keras-tuner-1.4.8/toy", "trial_00/trial.json", lambda _: b"{", "not valid JSON"),
        (
            "wandb-0.31.0/wandb",
            "offline-run-20261127_164558-9tt84d3l/run-9tt84d3l.wandb",
            lambda _: b"",
            "an empty one",
        ),
        (
            "wandb-0.31.0/wandb",
            "offline-run-20261127_164558-9tt84d3l/run-9tt84d3l.wandb",
            lambda data: data[:6] + b"\x07" + data[7:],
            "a log of version 7",
        ),
        (
            "wandb-0.31.0/wandb",
            "offline-run-20261127_164558-9tt84d3l/run-9tt84d3l.wandb",
            lambda data: data[:90] + b"\xff" * 50 + data[140:],
            "damaged",
        ),
        ("mlflow-3.17.2/mlflow.sql", "", lambda data: data[: len(data) // 2], "cannot be read"),
        (
            "trackio-0.43.0/toy.sql",
            "",
            lambda data: data[:5000] + b"\0" * 3000 + data[8000:],
            "damaged, or of a version of trackio",
        ),
    ],
)
def test_damage_is_one_line(sweep, tmp_path, where, file, change, said):
    original = sample(where, tmp_path)
    path = tmp_path / "copy" / original.name
    path.parent.mkdir()
    (shutil.copytree if original.is_dir() else shutil.copy)(original, path)
    damaged(path / file if file else path, change)
    refused = sweep("import", path, "--metric", "val_loss", "--minimize", code=2).stderr
    assert said in refused
    assert len(refused.strip().splitlines()) == 1


def test_a_folder_of_no_tool_lists_what_was_looked_for(sweep, tmp_path):
    (tmp_path / "empty").mkdir()
    refused = sweep("import", tmp_path / "empty", code=2).stderr
    for tool in TOOLS:
        assert tool.name in refused
    assert len(refused.strip().splitlines()) == 1
    assert "no such file or folder" in sweep("import", tmp_path / "none", code=2).stderr


def test_nothing_that_has_ended(tmp_path):
    log = sample("optuna-5.0.0/toy.log", tmp_path).read_text().splitlines()
    path = tmp_path / "begun.log"
    path.write_text("\n".join(log[:4]) + "\n")
    with pytest.raises(UsageError, match="none of its 1 trial has ended"):
        adopted(path, tmp_path)


def of_lengths(lengths: list[int], **more) -> ForeignStudy:
    """Trials of a tool without states, whose curves fall to 1/n."""
    trials = [
        ForeignTrial(str(n), {"lr": n}, "complete", {"loss": [(step, 1 / step) for step in range(1, length + 1)]})
        for n, length in enumerate(lengths)
    ]
    return ForeignStudy("x", trials, "loss", "minimize", states_kept=False, **more)


@pytest.mark.parametrize(
    ("lengths", "short", "failed"),
    [
        ([9, 9, 9, 9, 4], "failed", 1),
        ([9, 9, 9, 9, 4], "complete", 0),
        ([9, 7, 5, 9, 4], "failed", 0),  # early stopping: they were meant to differ
        ([9, 9, 9, 9, 9], "failed", 0),
    ],
)
def test_short_curves_of_a_tool_without_states(lengths, short, failed):
    read = adopt(of_lengths(lengths), "x", Wishes(short=short))
    assert [row[2] for row in read.rows].count("failed") == failed
    assert any("x keeps no states" in note for note in read.notes) == (len(set(lengths)) > 1)


def test_a_value_that_is_the_best_of_its_curve_is_marked():
    def study(*values):
        curve = [(1, 0.5), (2, 0.3), (3, 0.4)]
        return ForeignStudy(
            "x",
            [ForeignTrial(str(n), {"lr": n}, "complete", {"loss": curve}, {"loss": v}) for n, v in enumerate(values)],
            "loss",
            "minimize",
        )

    assert adopt(study(0.3, 0.3), "x", Wishes()).recipe.imported.value == "best"
    assert adopt(study(0.3, 0.4), "x", Wishes()).recipe.imported.value is None
    last = adopt(study(0.3, 0.3), "x", Wishes(value="last"))
    assert [row[4] for row in last.rows] == [0.4, 0.4]


def test_what_has_a_place_in_the_tables_already_gets_another_name():
    trial = ForeignTrial("0", {"state": "on", "n": 3, "test_size": 0.2}, "complete", {}, {"rank": 1.0})
    read = adopt(ForeignStudy("x", [trial], "rank", "minimize"), "x", Wishes())
    assert read.recipe.metric == "rank_"
    assert {*read.constant} == {"state_", "n_", "hp_test_size"}
    assert sum("here" in note for note in read.notes) == 2


def test_a_folder_that_holds_known_files_says_which(sweep, tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    shutil.copy(HERE / "nevergrad" / "log.json", folder)
    (folder / "table.csv").write_text("lr,loss\n0.1,1\n")
    (folder / "notes.txt").write_text("nothing\n")
    said = sweep("import", folder, code=2).stderr
    assert said.endswith("in it is log.json (Nevergrad); table.csv (a table): give that path\n")


def test_an_imported_study_is_ranked_on_its_own_metric_alone(sweep, tmp_path):
    path = sample("mlflow-3.17.2/mlflow.sql", tmp_path)
    sweep("import", path, "--metric", "val_loss", "--minimize", "--study", "m")
    refused = sweep("show", "m", "--metric", "inf", code=2).stderr
    assert refused == "sweep: --metric: unknown metric 'inf': choose from val_loss\n"
