"""`sweep import`: anyone's table becomes a study that every reader reads; bad files are one clear line; the published
figures come out."""

from __future__ import annotations

import gzip
import json
import shutil

import pandas as pd
import pytest

from sweep.analysis import rank_settings, study_table
from sweep.analysis.importing import read_results
from sweep.errors import UsageError
from sweep.ledger import Ledger, diagnose
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
        ("lr,mse\n1,1\n1,2\n", {}, "lines 2 and 3 have the same setting; --seed names the column"),
        ("lr,seed,mse\n1,0,1\n2,0,1,7,8\n", {}, "line 3"),
        ("lr,seed,mse\n9,1,0,1\n9,2,0,1\n", {}, "line 2: 4 fields under a header of 3"),
        ("lr,lr,seed,mse\n1,2,0,1\n", {}, "line 1: two columns are called 'lr'"),
        ("rank,seed,mse\n1,0,1\n", {}, "column 'rank' has the name of a column of sweep's own"),
        ("test_acc,seed,mse\n1,0,1\n", {}, "column 'test_acc' has the name of a score on test data"),
        ("seed,mse\n0,1\n", {}, "no column is left"),
        ("lr,seed,mse\ninf,0,1\n1.5,0,1\n", {}, "line 2: lr = inf: expected a finite number"),
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
    assert any("--ignore runtime" in note for note in read(path, test=None).notes)


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
    assert "105 settings have fewer than 10 seeds" in " ".join(sweep("show", "d").stdout.split())


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
