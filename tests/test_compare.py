"""sweep compare: costs, budgets, settings in common, and what is not comparable."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from sweep.analysis.comparing import compare_studies
from sweep.analysis.statistics import expected_best
from sweep.errors import UsageError
from sweep.ledger import Ledger
from tests.conftest import SHARED
from tests.made import made
from tests.processes import table
from tests.test_structure import loaded_by

GRID = ["--lr", "0.1,0.03,0.01,0.003,0.001,0.0003", "--epochs", 2]


def test_expected_best_of_equal_budgets(sweep, tmp_path):
    """Dodge et al.: {.7, .8, .9} and k = 1, 2, 3 give .8, .84444, .86667; a diverged trial counts as the worst."""
    for name, values in (("a", (0.7, 0.8, 0.9)), ("b", (0.7, 0.9, ""))):
        rows = "".join(f"{place},0,{value}\n" for place, value in enumerate(values))
        (tmp_path / f"{name}.csv").write_text("lr,seed,score\n" + rows)
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.csv").write_text("lr,seed,score\n" + rows)
        sweep("import", tmp_path / name / "same.csv", "--metric", "score", "--maximize", "--study", name)
    made = json.loads(sweep("compare", "a", "b", "--json").stdout)
    found = {row["trials"]: (row["a"], row["b"]) for row in made["expected_by_trials"]}
    assert [round(found[k][0], 5) for k in (1, 2, 3)] == [0.8, 0.84444, 0.86667]
    assert np.allclose([found[k][1] for k in (1, 2, 3)], expected_best([0.7, 0.7, 0.9], [1, 2, 3], minimize=False))
    assert made["studies"][0]["best"] == 0.9


def test_a_search_has_what_it_had_after_so_many_trials(sweep):
    sweep("search", "--lr", "1e-4:1e-1:log", "--epochs", 1, "--trials", 5, "--study", "q")
    sweep("grid", *GRID, "--study", "g")
    made = json.loads(sweep("compare", "g", "q", "--json").stdout)
    course = np.minimum.accumulate(
        table(sweep, "q").astype({"trial": int}).sort_values("trial")["val_loss"].astype(float)
    )
    found = {row["trials"]: row["q"] for row in made["expected_by_trials"]}
    assert found == {k: course.iloc[k - 1] for k in (1, 2, 5)}
    assert [(row["epochs"], row["q"]) for row in made["expected_by_epochs"]] == [
        (2, course.iloc[1]), (4, course.iloc[3]), (5, course.iloc[4]),  # of the five epochs that the search spent
    ]  # fmt: skip
    notes = " ".join(made["notes"])
    assert "q is a search" in notes
    assert "epochs differ: g 2, q 1" in notes


def test_a_setting_that_diverged_in_one_study_is_won_by_the_other(tmp_path):
    flags = {"lr": "1,0.3,0.1,0.03,0.01,0.003", "epochs": "2", "seeds": "2"}
    made(tmp_path, "wild", flags, lambda t: float("nan") if t.setting["lr"] >= 0.1 else 0.5)
    made(tmp_path, "calm", flags, lambda _: 0.6)
    common = compared(tmp_path, "wild", "calm").common[0]
    assert (common.settings, common.judged.pairs) == (6, 3)
    assert (common.judged.improved, common.judged.worsened) == (3, 3)
    assert common.judged.divergence.trials == (0, 6)
    assert common.rows["first_diverged"].sum() == 6


def compared(folder, *names: str, **how):
    with Ledger(folder) as ledger:
        return compare_studies(ledger, [ledger.study(name) for name in names], **how)


def test_settings_in_common_are_paired_on_common_seeds(tmp_path):
    flags = {"lr": "0.1,0.03,0.01,0.003,0.001,0.0003", "epochs": "2"}
    noise = {seed: float(seed * seed % 7) for seed in range(9)}
    made(tmp_path, "a", flags | {"seeds": "2"}, lambda t: t.setting["lr"] + noise[t.seed])
    made(tmp_path, "b", flags | {"seeds": "3"}, lambda t: t.setting["lr"] + noise[t.seed])
    made(tmp_path, "c", flags | {"seed": "7,8"}, lambda t: t.setting["lr"] + noise[t.seed])
    made(
        tmp_path,
        "d",
        flags | {"seeds": "2", "precision": "bf16"},
        lambda t: t.setting["lr"] * 0.9 - 0.05 + noise[t.seed],
    )
    found = compared(tmp_path, "a", "b", "c", "d")
    same, apart, rounded = found.common
    assert (same.second, same.settings, same.seeds) == ("b", 6, True)
    assert (same.verdict, same.identical) == ("identical", 6)  # the same trials, to the bit
    assert (apart.settings, apart.seeds) == (6, False)
    assert rounded.verdict == "second"  # the seeds' own differences, ten times as large, drop out
    assert rounded.judged.p == 0.03125  # six of one sign
    assert np.allclose(rounded.rows["difference"], rounded.rows["lr"].astype(float) * 0.1 + 0.05)
    assert any("precision differs" in note for note in found.notes)


def test_more_epochs_are_compared_setting_by_setting_and_said(tmp_path):
    flags = {"lr": "0.1,0.03,0.01,0.003,0.001,0.0003"}
    for name, epochs in (("short", 2), ("long", 8)):
        made(tmp_path, name, flags | {"epochs": str(epochs)}, lambda t: 1 / int(t.setting["epochs"]) + t.setting["lr"])
    found = compared(tmp_path, "short", "long")
    assert (found.common[0].settings, found.common[0].verdict) == (6, "second")
    assert any("epochs differ: short 2, long 8" in note for note in found.notes)
    assert found.studies["epochs"].tolist() == [12, 48]
    assert found.by_epochs["epochs"].max() == 12
    assert (
        found.by_epochs["long"].iloc[-1] > found.by_trials["long"].iloc[-1]
    )  # 12 epochs are one and a half long trials


def test_diverged_trials_are_drawn_and_improve_nothing(tmp_path):
    flags = {"lr": "0.1,0.03,0.01", "epochs": "1"}
    made(tmp_path, "a", flags, lambda t: t.setting["lr"])
    made(tmp_path, "b", flags, lambda t: np.nan if t.setting["lr"] == 0.1 else t.setting["lr"])
    found = compared(tmp_path, "a", "b")
    assert np.allclose(found.by_trials["b"], expected_best([0.03, 0.03, 0.01], [1, 2, 3]))
    assert found.studies["complete"].tolist() == [3, 2]
    assert any("b: 1 of 3 trials diverged" in note for note in found.notes)


def test_what_cannot_be_compared_gets_one_line(tmp_path, sweep):
    flags, folder = {"lr": "0.1,0.03", "epochs": "1"}, tmp_path / "results"
    for name, more in {
        "a": {}, "split": {"split_seed": "1"}, "metric": {"metric": "val_accuracy"}, "loss": {"loss": "mse"},
        "data": {"data": "mnist"},
    }.items():  # fmt: skip
        made(folder, name, flags | more, lambda t: t.setting["lr"])
    made(folder, "lost", flags, lambda _: np.nan)
    for names, how, told in [
        (("a", "split"), {}, "split_seed 0 there, 1 here"),
        (("a", "metric"), {}, "metric val_loss there, val_accuracy here; --metric"),
        (("a", "loss"), {}, "loss cross_entropy there, mse here; --metric val_accuracy compares them"),
        (("a", "data"), {}, "data digits there, mnist here"),
        (("a", "lost"), {}, "'lost': no complete trial"),
        (("a", "a"), {}, "expected two or more studies"),
        (("a",), {}, "expected two or more studies"),
        (("a", "spilt"), {}, "did you mean 'split'?"),
        (("a", "split"), {"metric": "test_loss"}, "nothing is selected on test data"),
    ]:
        with pytest.raises(UsageError, match=re.escape(told)):
            compared(folder, *names, **how)
    compared(folder, "a", "metric", metric="val_loss")
    compared(folder, "a", "loss", metric="val_accuracy")
    assert not {"torch", "optuna"} & loaded_by("compare", "a", "loss", "--metric", "val_accuracy", cwd=tmp_path)
    refused = sweep("compare", "a", "split", code=2)
    assert len(refused.stderr.splitlines()) == 1
    assert (
        "Best val_accuracy to expect from equal budgets"
        in sweep("compare", "a", "loss", "--metric", "val_accuracy").stdout
    )


def test_tables_of_two_files_can_be_compared(sweep, tmp_path):
    for name, gain in (("old", 0.0), ("new", 0.1)):
        rows = [f"{lr},{seed},{lr + seed / 100 - gain}" for lr in (1, 2, 3, 4, 5, 6) for seed in range(3)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["lr,seed,err", *rows]))
        sweep("import", f"{name}.csv", "--metric", "err", "--minimize")
    text = " ".join(sweep("compare", "old", "new").stdout.split())
    assert "note: data differ: old old.csv, new new.csv; that both measured the same thing is for you to know" in text
    assert (
        "6 settings of old are in new too, on the same seeds: new wins 6 of 6 and loses 0; err with new is "
        "typically lower by 0.1000" in text
    )
    sweep("import", "new.csv", "--metric", "err", "--maximize", "--study", "up")
    assert "direction minimize there, maximize here" in sweep("compare", "old", "up", code=2).stderr
    made(tmp_path / "results", "mine", {"lr": "1,2"}, lambda t: t.setting["lr"])
    assert "metric err there, val_loss here" in sweep("compare", "old", "mine", code=2).stderr


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "hpo-tables").exists(), reason="the published table is not here")
def test_a_large_grid_has_the_published_expected_best(sweep):
    path = SHARED / "hpo-tables" / "fcnet-protein.csv.gz"
    flags = ["--metric", "valid_mse", "--minimize", "--seed", "seed"]
    sweep("import", path, *flags, "--study", "protein")
    sweep("import", path, *flags, "--where", "lr_schedule=cosine", "--study", "cosine")
    made = json.loads(sweep("compare", "protein", "cosine", "--top", 0, "--json").stdout)
    assert round(made["studies"][0]["best"], 6) == 0.221379
    assert made["common"][0]["verdict"] == "identical"
    assert made["common"][0]["common_seeds"] is True
