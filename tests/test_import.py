"""`sweep import`: anyone's table becomes a study that every reader reads; bad files are one clear line; the published
figures come out."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep.analysis import rank_settings, study_table
from sweep.analysis.importing import read_results
from sweep.analysis.typed import read_table
from sweep.errors import UsageError
from sweep.ledger import Ledger, diagnose
from sweep.report.files import export_table
from tests.conftest import SHARED

TABLES = SHARED / "hpo-tables"
needs_tables = pytest.mark.skipif(not TABLES.is_dir(), reason="the tables are not beside the repository")

RUNS = """lr,batch norm,optimizer,epochs,seed,mse,mse_on_test
0.1,True,adam,5,0,0.5,0.6
0.1,True,adam,5,1,0.7,0.8
0.01,False,sgd,5,0,0.2,0.9
0.01,False,sgd,5,1,,0.9
0.001,False,,5,0,inf,
0.001,False,,5,1,0.9,0.5
"""


@pytest.fixture
def runs(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(RUNS)
    return path


def read(path, **options):
    return read_results(path, **({"metric": "mse", "direction": "minimize", "test": "mse_on_test"} | options))


def test_columns_become_hyperparameters_and_lost_rows_diverged_trials(runs):
    got = read(runs)
    assert got.recipe.imported is not None
    assert got.recipe.imported.swept == ("lr", "batch norm", "optimizer")
    assert got.recipe.imported.constant == ("epochs",)
    assert got.recipe.seeds == (0, 1)
    assert [json.loads(str(row[0])) for row in got.rows[::2]] == [
        {"lr": 0.1, "batch norm": True, "optimizer": "adam", "epochs": 5},
        {"lr": 0.01, "batch norm": False, "optimizer": "sgd", "epochs": 5},
        {"lr": 0.001, "batch norm": False, "epochs": 5},
    ]
    assert [row[1:] for row in got.rows[2:5]] == [
        (0, "complete", None, 0.2, 0.9),
        (1, "diverged", "no finite mse", None, 0.9),
        (0, "diverged", "no finite mse", None, None),
    ]
    assert any("2 rows without a finite mse" in note for note in got.notes)


def test_a_study_of_a_table_is_read_like_any_other(sweep, runs, tmp_path):
    made = sweep("import", runs, "--metric", "mse", "--minimize", "--test", "mse_on_test", "--study", "t")
    assert "imported 6 trials of 3 settings, 2 seeds" in made.stdout
    assert "diverged" in made.stderr
    shown = sweep("show", "t").stdout
    assert "mse ▾" in shown
    assert "max_epochs 5" in shown or "epochs 5" in shown
    assert "test_mse_on_test 0.7000" in shown
    board = json.loads(sweep("show", "t", "--json").stdout)
    assert [row["lr"] for row in board["settings"]] == [0.1, 0.01, 0.001]  # the others lost a trial
    trials = json.loads(sweep("show", "t", "--trials", "--json", "--where", "optimizer=sgd").stdout)
    assert [(row["mse"], row["state"]) for row in trials["trials"]] == [(0.2, "complete"), (None, "diverged")]
    sweep("export", "t", "-o", tmp_path / "t.csv", "--test")
    table = pd.read_csv(tmp_path / "t.csv")
    measured = ["mse", "reason", "test_mse_on_test"]
    assert list(table.columns) == ["rank", "trial", "state", "seed", "lr", "batch norm", "optimizer", *measured]
    one = sweep("trial", "t", 2).stdout
    assert "mse 0.2000" in one
    assert "0.9" not in one
    assert json.loads(sweep("ls", "--json").stdout)[0]["best"] == 0.2
    assert diagnose(tmp_path / "results") == []
    sweep("rm", "t", "--yes")


def test_nothing_can_be_trained_in_an_imported_study(sweep, runs):
    sweep("import", runs, "--metric", "mse", "--minimize", "--test", "mse_on_test")
    for command in (
        ("resume", "runs"),
        ("reproduce", "runs", 0),
        ("grid", "--lr", "0.1,0.2", "--study", "runs"),
        ("search", "--lr", "0.1:0.2", "--trials", 2, "--from", "runs", "--study", "other"),
        ("export", "runs", "--optuna", "sqlite:///x.db"),
    ):
        refused = sweep(*command, code=2)
        assert "'runs' was imported from runs.csv" in refused.stderr, command
        assert len(refused.stderr.strip().splitlines()) == 1
    again = sweep("import", runs, "--metric", "mse", "--minimize", code=2)
    assert "study 'runs' exists" in again.stderr
    assert "--minimize or --maximize" in sweep("import", runs, "--metric", "mse", code=2).stderr
    assert "unknown metric 'val_loss'" in sweep("show", "runs", "--metric", "val_loss", code=2).stderr
    assert "nothing is selected on test data" in sweep("show", "runs", "--where", "test_mse_on_test<1", code=2).stderr


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "the file is empty"),
        ("lr,seed,mse\n", {}, "no rows"),
        ("lr,seed,loss\n1,0,1\n", {}, "--metric: unknown column 'mse'"),
        ("lr,seed,mse\n1,0,1\n", {"seed": "sed"}, "did you mean 'seed'?"),
        ("lr,seed,mse\n1,0,1\n", {"ignore": ["rl"]}, "--ignore: unknown column 'rl'"),
        ("lr,seed,mse\n1,0,1\n2,0,crashed\n", {}, "line 3: mse = 'crashed': expected a number"),
        ("lr,seed,mse\n1,0,1\n2,0.5,1\n", {}, "line 3: seed = '0.5': expected a whole number"),
        ("lr,seed,mse\n1,0,1\n2,,1\n", {}, "line 3: seed = nothing: expected a whole number"),
        ("lr,seed,mse\n1,0,1\n2,0,1\n1,0,3\n", {}, "lines 2 and 4 have the same setting and seed 0"),
        ("lr,seed,mse\n1,0,1\n2,0,1,7,8\n", {}, "line 3"),
        ("lr,seed,mse\n9,1,0,1\n9,2,0,1\n", {}, "line 2: more fields than the header's 3; expected as many"),
        ("lr,lr,seed,mse\n1,2,0,1\n", {}, "line 1: two columns are called 'lr'"),
        ("test_acc,seed,mse\n1,0,1\n", {}, "no column is left"),
        ("seed,mse\n0,1\n", {}, "no column is left"),
        ("lr,seed,mse\n1,0,1\n", {"where": "lr>7"}, "no rows that meet"),
    ],
)
def test_bad_tables_are_one_clear_line(tmp_path, text, options, said):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read(path, test=None, **options)
    assert said in str(caught.value)
    assert "bad.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "a.csv.gz").write_bytes(b"\x1f\x8bnot gzip")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x81")
    for name in ("a.parquet", "a.csv.gz", "a.csv", "none.csv", "a.xlsx"):
        with pytest.raises(UsageError, match=r"a\.|none"):
            read(tmp_path / name, test=None)
    (tmp_path / "f.csv").mkdir()
    with pytest.raises(UsageError, match="a folder"):
        read(tmp_path / "f.csv", test=None)


def test_every_kind_of_file_says_the_same(runs, tmp_path):
    with gzip.open(tmp_path / "r.csv.gz", "wt") as packed:
        packed.write(RUNS)
    (tmp_path / "r.tsv").write_text(RUNS.replace(",", "\t"))
    pd.read_csv(runs).to_parquet(tmp_path / "r.parquet")
    expected = read(runs).rows
    for name in ("r.csv.gz", "r.tsv", "r.parquet"):
        assert read(tmp_path / name).rows == expected, name


def test_choosing_columns_and_rows(runs):
    got = read(runs, ignore=["optimizer", "batch norm"])
    assert got.recipe.imported is not None
    assert got.recipe.imported.swept == ("lr",)
    only = read(runs, only=["optimizer", "lr"], where="seed=0")
    assert only.recipe.imported is not None
    assert (only.recipe.imported.swept, len(only.rows)) == (("optimizer", "lr"), 3)


def test_results_among_the_hyperparameters_are_pointed_at(tmp_path):
    path = tmp_path / "r.csv"
    rows = [f"{lr},{seed},{lr + seed / 10},{lr + seed / 7}" for lr in (1.5, 2.5) for seed in range(3)]
    path.write_text("\n".join(["lr,seed,mse,runtime", *rows]))
    assert read(path, test=None).left_out == {"times": ["runtime"]}
    path.write_text(path.read_text().replace("runtime", "gap"))
    assert any("--ignore gap" in note for note in read(path, test=None).notes)


@needs_tables
def test_the_deepobs_order_of_optimizers_holds_on_fresh_seeds(sweep):
    """Learning rates that differ in the eleventh digit between its seeds are one value."""
    ignore = "epochs_run,best_test_acc,best_epoch,final_train_loss,final_test_loss"
    path = TABLES / "deepobs-cifar10_3c3d.csv"
    made = sweep("import", path, "--metric", "final_test_acc", "--maximize", "--ignore", ignore, "--study", "d")
    assert "imported 135 trials of 108 settings, 10 seeds" in made.stdout
    fresh = json.loads(sweep("show", "d", "--where", "seed!=42", "--json").stdout)["settings"]
    assert [row["optimizer"][:4] for row in fresh] == ["Adam", "Mome", "Grad"]
    assert [round(row["mean"], 4) for row in fresh] == [0.8472, 0.8438, 0.8369]
    once = json.loads(sweep("show", "d", "--where", "seed=42", "--json", "--all").stdout)["settings"]
    best = pd.DataFrame(once).groupby("optimizer")["mean"].max()
    assert best.round(4).tolist() == [0.8504, 0.8382, 0.8469]
    assert "3 of 108 were run again on seeds 43 to 51" in " ".join(sweep("show", "d").stdout.split())


@pytest.mark.long
@needs_tables
def test_the_protein_grids_published_figures(sweep, tmp_path):
    """SCIENCE.md: the smallest seed-mean, where it lies, the expected smallest of 1, 10, 100 draws."""
    path = tmp_path / "fcnet-protein.csv.gz"
    shutil.copy(TABLES / path.name, path)
    made = sweep("import", path, "--metric", "valid_mse", "--minimize", "--seed", "seed")
    assert "imported 248,832 trials of 62,208 settings, 4 seeds" in made.stdout
    shown = json.loads(sweep("show", "fcnet-protein", "--json", "--top", 3).stdout)
    best = shown["selected"]
    assert round(best["mean"], 6) == 0.221379
    names = ["activation_fn_1", "activation_fn_2", "batch_size", "dropout_1", "dropout_2", "init_lr", "lr_schedule"]
    assert [best[name] for name in names] == ["relu", "relu", 8, 0.0, 0.3, 0.0005, "cosine"]
    assert (best["n_units_1"], best["n_units_2"]) == (512, 512)
    expected = {row["settings"]: round(row["value"], 4) for row in shown["expected_best"]}
    assert (expected[1], expected[10], expected[100]) == (0.5562, 0.2985, 0.2519)
    with Ledger(tmp_path / "results") as ledger:
        board = rank_settings(study_table(ledger, ledger.study("fcnet-protein")))
    assert board.tied < 0.3 * len(board.rows)
    assert board.rows["tied"].iloc[:10].all()


FAULTS = SHARED / "faults"
needs_faults = pytest.mark.skipif(not FAULTS.is_dir(), reason="the failing inputs are not beside the repository")


def of(path, metric, direction="minimize", **options):
    """Rows and notes of a table."""
    made = read_results(path, metric, direction, **options)
    return made, " ".join(made.notes)


@needs_faults
def test_words_for_nothing_are_levels():
    """Renaming a level changes nothing but its name."""
    made, _ = of(FAULTS / "none_is_a_level.csv", "val_loss")
    levels = {json.loads(row[0])["features"] for row in made.rows}
    assert "None" in levels
    assert len(levels) == len(set(pd.read_csv(FAULTS / "none_is_a_level.csv", keep_default_na=False)["features"]))
    assert made.recipe.imported.swept[:2] == ("max_depth", "features")


@needs_faults
def test_states_are_read():
    made, notes = of(FAULTS / "optuna_pruned.csv", "value")
    assert [row[2] for row in made.rows] == ["complete", "pruned", "complete", "failed", "complete"]
    assert made.recipe.imported.swept == ("params_lr", "params_layers")
    assert "state says how trainings ended: 3 complete, 1 pruned, 1 failed" in notes
    own, _ = of(FAULTS / "own_export_pruned.csv", "val_loss")
    assert own.recipe.imported.swept == ("lr",)
    assert [row[2] for row in own.rows].count("complete") == 1
    wandb, _ = of(FAULTS / "wandb_crashed_run.csv", "val/loss", ignore=["val/acc"])
    assert [row[2] for row in wandb.rows] == ["complete", "complete", "failed", "diverged", "complete"]
    assert set(wandb.recipe.imported.swept) == {"learning_rate", "batch_size", "optimizer"}


@pytest.mark.parametrize(
    ("text", "metric", "said"),
    [
        (
            "lr,seed,State,l\n.1,0,COMPLETE,.5\n.2,0,weird,.1\n",
            "l",
            "line 3: State = 'weird' is no state that is known",
        ),
        ("lr,seed\n1,0\n2,3\n", "seed", None),
        ("mean,mean_,seed,l\n1,2,0,.5\n2,2,0,.4\n1,3,0,.3\n", "l", None),
        ("c,seed,l\n1e400,0,.5\n1.5,0,.4\n2.5,0,.3\n", "l", None),
    ],
)
def test_what_an_attacker_found(tmp_path, text, metric, said):
    path = tmp_path / "t.csv"
    path.write_text(text)
    if said is None:
        assert of(path, metric)[0].settings == len(text.splitlines()) - 1
        return
    with pytest.raises(UsageError, match=said):
        of(path, metric)


def test_trainings_that_have_not_ended_are_left_out(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("lr,status,mse\n1,TERMINATED,0.5\n2,RUNNING,0.1\n3,ERROR,\n")
    made, notes = of(path, "mse")
    assert [row[2] for row in made.rows] == ["complete", "failed"]
    assert "1 not ended, left out" in notes


@needs_faults
@pytest.mark.parametrize("name", ["seeds_64bit_altered", "seeds_64bit_collide"])
def test_seeds_keep_every_digit(name):
    path = FAULTS / f"{name}.csv"
    wanted = [int(line.split(",")[1]) for line in path.read_text().split()[1:]]
    assert [row[1] for row in of(path, "val_loss")[0].rows] == wanted


def test_seeds_beyond_the_ledger_are_numbered_and_it_is_said(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(f"lr,seed,mse\n1,{2**64 - 1},0.5\n1,{2**64 - 2},0.4\n2,{2**64 - 1},0.3\n")
    made, notes = of(path, "mse")
    assert [row[1] for row in made.rows] == [1, 0, 1]
    assert "seeds beyond 64 bits" in notes


@needs_faults
def test_blank_lines_are_no_trials():
    assert len(of(FAULTS / "blank_line_seed.csv", "val_loss")[0].rows) == 2
    assert len(of(FAULTS / "blank_line_no_seed.csv", "val_loss")[0].rows) == 2


def test_how_tools_write_infinity(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("lr,mse\n1,1.7976931348623157e308\n2,1e20\n3,NAN\n4,0.5\n5,-inf\n")
    made, notes = of(path, "mse")
    assert [row[2] for row in made.rows] == ["diverged", "diverged", "diverged", "complete", "diverged"]
    assert "2 values of mse beyond 1e+20, taken as infinite" in notes


@needs_faults
def test_repeats_without_seeds_are_numbered():
    made, notes = of(FAULTS / "repeats_without_seed.csv", "val_loss")
    assert "rows of one setting are its repeats" in notes
    assert len({(row[0], row[1]) for row in made.rows}) == len(made.rows)
    assert made.settings < len(made.rows)


def test_one_column_per_repeat(tmp_path):
    path = tmp_path / "cv.csv"
    path.write_text("param_C,split0_test_score,split1_test_score,mean_test_score\n1,0.8,0.9,0.85\n10,0.7,0.6,0.65\n")
    made, _ = of(path, "split*_test_score", "maximize", only=["param_C"])
    assert [(row[1], row[4]) for row in made.rows] == [(0, 0.8), (1, 0.9), (0, 0.7), (1, 0.6)]


CV = """mean_fit_time,std_fit_time,param_C,params,split0_test_score,split1_test_score,mean_test_score,rank_test_score
0.1,0.01,1,{'C': 1},0.8,0.9,0.85,1
0.2,0.02,10,{'C': 10},0.7,0.6,0.65,2
"""


def test_what_scikit_learn_writes_needs_no_columns(tmp_path):
    """cv_results_ of a GridSearchCV: its splits are repeats, param_… its hyperparameters."""
    path = tmp_path / "cv.csv"
    path.write_text(CV)
    made, notes = of(path, "split*_test_score", "maximize")
    assert made.recipe.imported.swept == ("param_C",)
    assert [(row[1], row[4]) for row in made.rows] == [(0, 0.8), (1, 0.9), (0, 0.7), (1, 0.6)]
    assert "mean_test_score" in made.left_out["not param_…, where scikit-learn has hyperparameters"]
    assert "one column per repeat: split0_test_score, split1_test_score" in notes


def test_one_column_per_repeat_beside_a_column_of_seeds(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("lr,seed,s0,s1,status\n1,5,0.1,0.2,ok\n1,7,0.3,0.4,ok\n2,5,0.5,0.6,ok\n2,7,0.7,,ok\n")
    made, notes = of(path, "s*")
    assert [(json.loads(row[0])["lr"], row[1], row[2], row[4]) for row in made.rows] == [
        (1, 0, "complete", 0.1),
        (1, 1, "complete", 0.2),
        (1, 2, "complete", 0.3),
        (1, 3, "complete", 0.4),
        (2, 0, "complete", 0.5),
        (2, 1, "complete", 0.6),
        (2, 2, "complete", 0.7),
        (2, 3, "diverged", None),
    ]
    assert "each seed has 2 columns s*: each is a seed of its own" in notes


@pytest.mark.parametrize("order", ["by training", "by epoch"])
def test_one_row_per_epoch_without_a_run_id(tmp_path, order):
    """What was measured in every epoch beside the metric is no hyperparameter, and makes no settings."""
    rows = [
        (lr, hidden, seed, epoch, 1 / (lr + epoch), 2 / (epoch + seed + 1), round(0.5 + epoch / 9, 1))
        for lr in (0.1, 0.5)
        for hidden in (8, 16)
        for seed in (0, 1)
        for epoch in range(1, 6)
    ]
    if order == "by epoch":
        rows.sort(key=lambda row: row[3])
    path = tmp_path / "r.csv"
    path.write_text("lr,hidden,seed,epoch,val_loss,train_loss,hits\n" + "\n".join(",".join(map(str, r)) for r in rows))
    made, notes = of(path, "val_loss")
    assert made.recipe.imported.swept == ("lr", "hidden")
    assert (made.settings, len(made.rows)) == (4, 8)
    assert {row[4] for row in made.rows} == {1 / 5.1, 1 / 5.5}
    assert "one row per epoch: the last of each training is taken, 8 of 40 rows" in notes
    measured = [name for reason, names in made.left_out.items() if "measured" in reason for name in names]
    assert sorted(measured) == ["hits", "train_loss"]


def test_names_with_commas_can_be_given(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text('"a,b","it\'s",lr,gap,loss\n1,1,0.1,7,0.5\n2,1,0.2,8,0.4\n')
    assert of(path, "loss", ignore=["a,b", "gap"])[0].recipe.imported.swept == ("lr",)
    assert of(path, "loss", ignore=["'a,b',gap"])[0].recipe.imported.swept == ("lr",)
    assert of(path, "loss", only=["`a,b`, lr"])[0].recipe.imported.swept == ("a,b", "lr")
    assert of(path, "loss", only=["it's,lr"])[0].recipe.imported.constant == ("it's",)
    with pytest.raises(UsageError, match="--ignore: unknown column 'a'"):
        of(path, "loss", ignore=["a,b,gap"])


def test_what_each_column_was_taken_as_is_said(sweep, tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(
        "id,lr,momentum,seed,runtime,comment,acc,acc_test\n"
        "a,0.1,0.9,0,7,,0.5,0.6\nb,0.1,0.9,1,8,,0.7,0.8\nc,0.2,0.9,0,9,,0.3,0.2\nd,0.2,0.9,1,5,,0.4,0.1\n"
    )
    said = sweep("import", path, "--metric", "acc", "--maximize", "--test", "acc_test").stdout
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines == [
        "runs: imported 4 trials of 2 settings, 2 seeds",
        "",
        "metric acc, more is better",
        "test metric acc_test",
        "seeds seed",
        "hyperparameters lr",
        "constant momentum 0.9",
        "left out empty: comment",
        "names of runs: id",
        "times: runtime",
        "--columns a,b names the hyperparameters, --ignore a,b what is none",
        "",
        "More: sweep show runs",
    ]


def test_a_training_that_got_less_far_failed_only_where_a_tool_keeps_no_states(tmp_path):
    """Ray's table has no states; of anyone's the shorter is only remarked on, and of many it is meant."""
    rows = [f"0.{seed}{lr},{3 - (lr == seed == 1)},t{lr}{seed},{lr},{seed}" for lr in (1, 2) for seed in (0, 1)]
    ray = tmp_path / "ray.csv"
    ray.write_text("loss,training_iteration,trial_id,config/lr,config/seed\n" + "\n".join(rows) + "\n")
    made, _ = of(ray, "loss")
    assert [row[2] for row in made.rows] == ["complete", "failed", "complete", "complete"]
    assert any("1 row ended before training_iteration 3" in note and "--ignore" in note for note in made.notes)
    assert {row[2] for row in of(ray, "loss", ignore=["training_iteration"])[0].rows} == {"complete"}
    plain = tmp_path / "plain.csv"
    plain.write_text(ray.read_text().replace("config/", "").replace("trial_id", "run"))
    made, _ = of(plain, "loss")
    assert {row[2] for row in made.rows} == {"complete"}
    assert any("the tool's own files may say" in note for note in made.notes)


FOREIGN = SHARED / "foreign"
TRUTH = {
    (0.1, True, 0): ("complete", 0.40),
    (0.1, False, 0): ("complete", 0.65),
    (0.01, True, 0): ("complete", 0.30),
    (0.01, False, 0): ("complete", 0.45),
    (0.1, True, 1): ("failed", 0.31),
    (0.1, False, 1): ("diverged", None),
    (0.01, True, 1): ("complete", 0.31),
    (0.01, False, 1): ("complete", 0.46),
}
"""What eight trainings of a toy gave, by learning rate, batch norm and seed: data/foreign/README.md."""
NO_VALUE = {(0.1, True, 1): ("failed", None)}


@pytest.mark.skipif(not FOREIGN.is_dir(), reason="other tools' files are not beside the repository")
@pytest.mark.parametrize(
    ("file", "metric", "options", "but"),
    [
        ("ax-1.3.1/summarize.csv", "val_loss", {"seed": "hidden"}, {}),
        ("dvc-3.67.1/exp_show.csv", "val_loss", {}, NO_VALUE),
        ("guildai-0.9.0/compare.csv", "val_loss", {}, {(0.1, False, 1): ("complete", 0.86)}),
        ("mlflow-3.17.2/search_runs.csv", "metrics.val_loss", {}, {}),
        ("mlflow-3.17.2/experiments_csv.csv", "metrics.val_loss", {}, {}),
        ("optuna-5.0.0/trials_dataframe.csv", "value", {}, NO_VALUE | {(0.1, False, 1): ("failed", None)}),
        ("optuna-5.0.0/trials_dataframe_with_index.csv", "value", {}, NO_VALUE | {(0.1, False, 1): ("failed", None)}),
        ("ray-2.60.0/get_dataframe.csv", "val_loss", {}, {}),
        ("syne-tune-0.16.0/toy/results.csv.zip", "val_loss", {}, {}),
    ],
)
def test_tables_of_other_tools_need_no_flags(file, metric, options, but):
    """Learning rate and batch norm are the hyperparameters, and every training is what it was, as far as the table
    tells.
    """
    made, _ = of(FOREIGN / file, metric, **options)
    swept = {re.split(r"[/._]", name.replace("batch_norm", "bn"))[-1] for name in made.recipe.imported.swept}
    assert swept - {"momentum"} == {"lr", "bn"}
    got = {}
    for text, seed, state, _, value, _ in made.rows:
        setting = {name.replace("batch_norm", "bn"): level for name, level in json.loads(text).items()}
        lr = next(level for name, level in setting.items() if re.split(r"[/._:]", name)[-1] == "lr")
        norm = next(level for name, level in setting.items() if re.split(r"[/._:]", name)[-1] == "bn")
        got[lr, norm, seed - 16 if options else seed] = state, value if value is None else round(value, 6)
    assert got == TRUTH | but


@pytest.mark.skipif(not FOREIGN.is_dir(), reason="other tools' files are not beside the repository")
@pytest.mark.parametrize("metric", ["objective", "m:val_loss"])
def test_deephypers_lost_evaluations(metric):
    made, _ = of(FOREIGN / "deephyper-0.13.2/results.csv", metric)
    assert made.recipe.imported.swept == ("p:batch_norm", "p:lr", "p:bn_momentum")
    assert {place: row[2] for place, row in enumerate(made.rows) if row[2] != "complete"} == {
        0: "diverged",
        8: "failed",
    }


@needs_faults
def test_one_row_per_epoch_is_the_last_of_each_training():
    made, notes = of(FAULTS / "ray_bool_and_slashes.csv", "val_loss")
    assert [row[4] for row in made.rows] == [0.7, 0.5]
    assert "one row per training_iteration" in notes


@needs_faults
def test_times_are_no_hyperparameters():
    made, _ = of(FAULTS / "measured_duration.csv", "val_loss")
    assert made.recipe.imported.swept == ("lr", "batch_size")
    assert made.left_out == {"times": ["duration_s"]}


@needs_faults
def test_separators_and_spaces():
    assert [row[4] for row in of(FAULTS / "semicolons.csv", "val_loss")[0].rows] == [0.5, 0.4]
    spaced, _ = of(FAULTS / "spaces_after_commas.csv", "val_loss")
    assert spaced.settings == 2
    with pytest.raises(UsageError, match="two columns are called 'lr'"):
        of(FAULTS / "header_twice_but_for_a_space.csv", "val_loss")


@needs_faults
def test_columns_are_named_whatever_their_names():
    where = "`x=y`=2, 'a,b'>=3, act:fn=tanh, lr (log10)<-2"
    made, _ = of(FAULTS / "column_names.csv", "val_loss", where=where)
    assert [row[4] for row in made.rows] == [0.3]


@needs_faults
def test_parquet_of_lists_tables_and_levels():
    for name in ("pq_list", "pq_dict", "pq_multicol"):
        table = read_table(FAULTS / f"{name}.parquet").frame
        assert all(isinstance(cell, bool | int | float | str | None) for column in table for cell in table[column])


READING = [
    ["show"], ["show", "--trials"], ["show", "--all", "--json"], ["trial", 0], ["check"], ["importance"],
    ["importance", "--pairs"], ["ls"], ["export", "-o", "-"], ["export", "--settings", "-o", "-"],
    ["export", "-o", "o.json"], ["export", "-o", "o.tex"], ["export", "-o", "o.parquet"], ["export", "-o", "o.md"],
    *(["plot", kind] for kind in ("curves", "isolation", "heatmap", "parallel")),
    *(["plot", kind] for kind in ("effect", "importance", "budget", "pareto")),
    ["report", "-o", "r.html"], ["compare", "u"], ["confirm"], ["confirm", "--selected-on", "0-3"], ["doctor"],
]  # fmt: skip
NAMES = [
    "seconds",
    "rank",
    "trial",
    "state",
    "epochs",
    "value",
    "level",
    "cell",
    "mean",
    "lr",
    "aux_loss",
    "x_accuracy",
    "a b",
    "max_epochs",
]
STATES = ["COMPLETE", "finished", "PRUNED", "failed", "crashed", "RUNNING", "", "diverged", "weird"]
CELLS = ["0.1", "0.2", "", "None", "true", "false", "7", "1e300", "adam", "nan", "-3", "0"]


@pytest.mark.long
@settings(max_examples=int(os.environ.get("SWEEP_TABLES", "8")), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_imported_every_reading_command_answers(tmp_path_factory, data):
    """A line or an answer, never a traceback: names that tables use themselves, mixed columns, huge and missing
    numbers.
    """
    folder = tmp_path_factory.mktemp("any")
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    metric = data.draw(
        st.sampled_from([name for name in ["score", "val_loss", "seconds", "rank", "value"] if name not in names])
    )
    pools = {name: data.draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=3)) for name in names}
    state = data.draw(st.sampled_from([[], [], ["status"], ["State"], ["trial_state"]]))
    epoch = data.draw(st.sampled_from([[], [], [], ["epoch"], ["trial_id", "step"]]))
    drawn = [
        *map(pools.get, names),
        *([STATES[: data.draw(st.integers(1, 9))]] * len(state)),
        *([["1", "2"]] * len(epoch)),
    ]
    rows = [
        [
            *(data.draw(st.sampled_from(pool)) for pool in drawn),
            str(seed),
            data.draw(st.sampled_from(CELLS[:3] + CELLS[7:8] + CELLS[9:])),
        ]
        for seed in range(data.draw(st.integers(1, 8)))
    ]
    path = folder / "t.csv"
    header = [*names, *state, *epoch, "seed", metric]
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n")
    results = ["--results", str(folder / "results")]
    answer("import", path, "--metric", metric, "--maximize", "--study", "u", *results, folder=folder)
    if answer("import", path, "--metric", metric, "--minimize", "--study", "t", *results, folder=folder).exit_code:
        return
    called = metric if metric in ("score", "val_loss", "value") else f"{metric}_"
    for command in READING:
        study = [] if command[0] in ("ls", "doctor") else ["t"]
        answer(command[0], *study, *command[1:], *results, folder=folder)
    answer("effect", "t", names[0] if names[0] in ("lr", "aux_loss") else f"{names[0]}_", *results, folder=folder)
    answer("show", "t", "--where", f"{called}<1", *results, folder=folder)


def answer(*args: object, folder: Path):
    """A command in this process: its exit code is 0, 1 or 2, and nothing but a known error ended it."""
    from typer.testing import CliRunner

    import sweep.cli
    from sweep.errors import SweepError

    before = os.getcwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(sweep.cli.app, [str(arg) for arg in args])
    finally:
        os.chdir(before)
    error = result.exception
    assert error is None or isinstance(error, SystemExit | SweepError), (args, folder, repr(error))
    return result


def test_a_column_of_several_kinds_is_text_in_parquet(tmp_path):
    frame = pd.DataFrame(
        {"a": pd.Series([32, "full", None], dtype=object), "b": pd.Series([2**70, 1, 2], dtype=object)}
    )
    export_table(frame, str(tmp_path / "m.parquet"))
    read_back = pd.read_parquet(tmp_path / "m.parquet")
    assert read_back["a"].tolist()[:2] == ["32", "full"]
    assert read_back["b"].tolist() == [str(2**70), "1", "2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr,seed,mse\n1,0,1\n2,0", "cut off: its last line has 2 fields, and no end; expected 3 fields"),
        ("lr,seed,mse\n1,0\n2,0,1,5\n", "Expected 3 fields in line 3, saw 4"),
        ('lr,note,seed,mse\n1,"a\nb",0,1\n2,"c\nd",0,crashed\n', "line 4: mse = 'crashed'"),
        ("lr,seed,mse\n1,0,1\n1,0,2\n", "--seed rows numbers them as repetitions"),
        ("lr,seed,metrics.mse\n1,0,1\n", "unknown column 'mse': "),
    ],
)
def test_where_a_table_is_wrong_is_said(tmp_path, text, said):
    """A row that was cut off was a diverged trial; fields over several lines shifted the lines that were named."""
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read(path, test=None)
    assert said in str(caught.value)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_fields_may_be_separated_otherwise(tmp_path, separator):
    path = tmp_path / "runs.csv"
    path.write_text(RUNS.replace(",", separator))
    got = read(path)
    assert got.recipe.imported.swept == ("lr", "batch norm", "optimizer")
    assert got.rows[4] == ('{"lr":0.001,"batch norm":false,"epochs":5}', 0, "diverged", "no finite mse", None, None)


def test_a_level_called_nan_is_shown_as_one(sweep, tmp_path):
    (tmp_path / "Words.CSV").write_text("fill,mse\nnan,1\nNaT,2\n<NA>,3\n,4\n")
    sweep("import", tmp_path / "Words.CSV", "--metric", "mse", "--minimize")
    shown = json.loads(sweep("show", "Words", "--trials", "--json").stdout)["trials"]
    assert [row["fill"] for row in shown] == ["nan", "NaT", "<NA>", None]
