"""`sweep import`: anyone's table becomes a study that every reader reads; bad files are one clear line; the published
figures come out."""

from __future__ import annotations

import gzip
import json
import os
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
    assert any("left out as times: runtime" in note for note in read(path, test=None).notes)
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


@needs_faults
def test_one_row_per_epoch_is_the_last_of_each_training():
    made, notes = of(FAULTS / "ray_bool_and_slashes.csv", "val_loss")
    assert [row[4] for row in made.rows] == [0.7, 0.5]
    assert "one row per training_iteration" in notes


@needs_faults
def test_times_are_no_hyperparameters():
    made, notes = of(FAULTS / "measured_duration.csv", "val_loss")
    assert made.recipe.imported.swept == ("lr", "batch_size")
    assert "left out as times: duration_s" in notes


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
    *(["plot", kind] for kind in ("isolation", "heatmap", "parallel", "effect", "importance", "budget")),
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
CELLS = ["0.1", "0.2", "", "None", "true", "false", "7", "1e300", "adam", "nan", "-3", "0"]


@pytest.mark.long
@settings(
    max_examples=int(os.environ.get("SWEEP_TABLES", "12")), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(st.data())
def test_whatever_is_imported_every_reading_command_answers(tmp_path_factory, data):
    """A line or an answer, never a traceback: names that tables use themselves, mixed columns, huge and missing numbers."""
    folder = tmp_path_factory.mktemp("any")
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    metric = data.draw(
        st.sampled_from([name for name in ["score", "val_loss", "seconds", "rank", "value"] if name not in names])
    )
    pools = {name: data.draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=3)) for name in names}
    rows = [
        [
            *(data.draw(st.sampled_from(pools[name])) for name in names),
            str(seed),
            data.draw(st.sampled_from(CELLS[:3] + CELLS[7:8] + CELLS[9:])),
        ]
        for seed in range(data.draw(st.integers(1, 8)))
    ]
    path = folder / "t.csv"
    path.write_text("\n".join(",".join(row) for row in [[*names, "seed", metric], *rows]) + "\n")
    results = ["--results", str(folder / "results")]
    if answer("import", path, "--metric", metric, "--minimize", "--study", "t", *results, folder=folder).exit_code:
        return
    called = metric if metric in ("score", "val_loss", "value") else f"{metric}_"
    for command in READING:
        answer(command[0], "t", *command[1:], *results, folder=folder) if command[0] != "ls" else answer(
            "ls", *results, folder=folder
        )
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
