"""Claims: read and refused, kept with a study's start, marked where stated afterwards; the commands through real
processes."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from sweep.api import open_results
from sweep.errors import UsageError
from sweep.ledger import Ledger
from sweep.recipe import KINDS, load_recipe, recipe_from_dict, recipe_of
from sweep.report.page import recipe_text
from tests.made import made

SPACE = {"batch_norm": [True, False], "lr": [0.01, 0.1, 1.0], "activation": ["relu", "tanh"]}
GOOD = {
    "better": {"factor": "batch_norm", "level": True},
    "equal": {"factor": "activation", "level": "relu", "margin": 0.01},
    "not_worse": {"factor": "activation", "level": "relu", "margin": 0.01},
    "depends": {"factor": "batch_norm", "level": "on", "on": "lr", "more_at": 1, "less_at": 0.01},
    "wider": {"factor": "batch-norm", "level": "on", "range": "lr", "usable": 0.9},
    "sooner": {"factor": "batch_norm", "level": True, "target": 0.9, "times": 2},
    "trend": {"factor": "lr", "direction": "rises", "by": "activation"},
    "beats": {"bar": 0.975},
}


def recipe(**claim):
    return recipe_of({"metric": "val_accuracy", "space": SPACE, "claim": [{"text": "It is so", **claim}]})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_and_kept(kind):
    stated = recipe(kind=kind, **GOOD[kind])
    assert recipe_from_dict(json.loads(json.dumps(stated.to_dict()))).claims == stated.claims
    written = recipe_text(stated.to_dict())
    import tomllib

    assert recipe_of(tomllib.loads(written)).claims == stated.claims, "a report's recipe states the same"


def test_levels_are_canonical_and_the_only_other_one_is_meant():
    claim = recipe(kind="better", factor="batch_norm", level="on").claims[0]
    assert (claim.level, claim.than) == (True, False)
    assert recipe(**GOOD["depends"], kind="depends").claims[0].more_at == 1.0


REFUSED = {
    "no kind": (
        {"factor": "lr"},
        "no kind; expected kind = one of better, equal, not_worse",
    ),
    "unknown kind": ({"kind": "beter"}, "unknown kind of claim 'beter': did you mean 'better'?"),
    "far kind": ({"kind": "x"}, "choose from better, equal, not_worse, depends, wider, sooner, trend, beats"),
    "unknown key": ({"kind": "beats", "barr": 1}, "unknown key of a claim of kind beats 'barr': did you mean 'bar'?"),
    "missing": ({"kind": "wider", "factor": "batch_norm", "level": True}, "no range and no usable; a claim of kind"),
    "not swept": (
        {"kind": "better", "factor": "depth", "level": 2},
        "factor = depth: the recipe does not sweep it; expected one of batch_norm, lr, activation",
    ),
    "unknown": ({"kind": "better", "factor": "batchnorm", "level": True}, "did you mean 'batch_norm'?"),
    "seed": ({"kind": "better", "factor": "seed", "level": 1}, "seeds are what a claim is judged over"),
    "no level": (
        {"kind": "better", "factor": "lr", "level": 0.5, "than": 0.1},
        "level = 0.5: not a level of lr here; expected one of 0.01, 0.1, 1",
    ),
    "not a value": ({"kind": "better", "factor": "batch_norm", "level": "maybe"}, "level: batch_norm = "),
    "which other": ({"kind": "better", "factor": "lr", "level": 0.1}, "no than; lr has more than two levels"),
    "same": ({"kind": "better", "factor": "lr", "level": 0.1, "than": 0.1}, "level and than are both 0.1"),
    "margin 0": ({**GOOD["equal"], "kind": "equal", "margin": 0}, "margin = 0: expected a number above 0"),
    "margin 1": ({**GOOD["equal"], "kind": "equal", "margin": 2}, "margin = 2: expected a difference below 1"),
    "target": (
        {**GOOD["sooner"], "kind": "sooner", "target": 90},
        "target = 90: expected an accuracy above 0",
    ),
    "times": ({**GOOD["sooner"], "kind": "sooner", "times": 0.5}, "times = 0.5: expected a number above 1"),
    "bar": ({"kind": "beats", "bar": True}, "bar = true: expected a number"),
    "by itself": ({**GOOD["better"], "kind": "better", "by": "batch_norm"}, "by = batch_norm: that is the factor"),
    "no number": (
        {"kind": "trend", "factor": "activation", "direction": "rises"},
        "factor = activation: expected a hyperparameter that is a number",
    ),
    "way": ({"kind": "trend", "factor": "lr", "direction": "up"}, "unknown direction 'up'"),
    "half": ({**GOOD["depends"], "kind": "depends", "less_at": None}, "less_at = None"),
    "test": ({"kind": "beats", "bar": 0.9, "metric": "test_accuracy"}, "nothing is judged on test data"),
    "metric": ({"kind": "beats", "bar": 0.9, "metric": "accuracy"}, "unknown metric 'accuracy'"),
    "two losses": (
        {"kind": "beats", "bar": 0.1, "metric": "val_loss"},
        "the val_loss of different losses (mse, cross_entropy) is in different units",
    ),
    "where": (
        {**GOOD["better"], "kind": "better", "where": {"depth": 3}},
        "where = depth: the recipe does not sweep it",
    ),
    "where level": ({**GOOD["better"], "kind": "better", "where": {"lr": [0.1, 3]}}, "where.lr = 3: not a level of lr"),
    "where on": (
        {**GOOD["depends"], "kind": "depends", "where": {"lr": 0.1}},
        "where.lr: that is on, whose values are compared; expected another",
    ),
    "words": (
        {**GOOD["wider"], "kind": "wider", "range": "activation"},
        "range = activation: expected a hyperparameter",
    ),
    "where text": ({**GOOD["better"], "kind": "better", "where": "lr=0.1"}, "expected a table, such as { depth = 3 }"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_claimed_is_refused_in_one_line(name):
    claim, said = REFUSED[name]
    losses = {"loss": ["mse", "cross_entropy"]} if "losses" in name else {}
    with pytest.raises(UsageError) as error:
        recipe_of({"metric": "val_accuracy", "space": SPACE | losses, "claim": [{"text": "It is so", **claim}]})
    assert said in str(error.value)
    assert str(error.value).startswith('claim "It is so": ')
    assert "\n" not in str(error.value)


def test_a_file_says_where_its_claim_stands(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text('[space]\nlr = [0.1, 0.01]\n\n[[claim]]\ntext = "Fine"\nkind = "best"\n')
    with pytest.raises(UsageError, match=r"r\.toml, line 4: claim \"Fine\": unknown kind of claim 'best'"):
        load_recipe(path, {})


def test_the_page_on_claims_lists_every_kind_and_key():
    page = (Path(__file__).resolve().parents[1] / "docs" / "claims.md").read_text()
    for name, kind in KINDS.items():
        needs, may = (", ".join(f"`{key}`" for key in keys) for keys in (kind.needs, kind.may))
        assert f"| `{name}` | {kind.says} | {needs} | {may} |" in page


def test_claims_decide_no_number():
    plain = recipe_of({"metric": "val_accuracy", "space": SPACE})
    stated = recipe(kind="beats", bar=0.9)
    assert stated.digest() == plain.digest()
    assert not stated.difference(plain)


RECIPE = """
data = "digits"
epochs = 2
seeds = 6
metric = "val_accuracy"

[space]
lr = [0.1, 0.0001]
batch_norm = [true, false]

[[claim]]
text = "A learning rate of 0.1 is better"
kind = "better"
factor = "lr"
level = 0.1
"""
LATE = """
[[claim]]
text = "Batch norm is better"
kind = "better"
factor = "batch_norm"
level = true
"""


def test_claims_are_kept_with_the_start_and_late_ones_are_marked(sweep, tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(RECIPE)
    sweep("grid", path)
    first = json.loads(sweep("verdict", "r", "--json").stdout)["claims"]
    assert [(claim["verdict"], claim["afterwards"]) for claim in first] == [("confirmed", False)]

    path.write_text(RECIPE.replace("0.1 is better", "0.1 is much better") + LATE)
    assert "r: 2 claims stated after results were there, and marked so" in sweep("grid", path).stderr
    claims = json.loads(sweep("verdict", "r", "--json").stdout)["claims"]
    assert [claim["afterwards"] for claim in claims] == [False, True, True], "what was stated first is kept"
    assert claims[0]["stated"] == first[0]["stated"]
    with open_results(tmp_path / "results") as results:
        assert [verdict.verdict for verdict in results.study("r").verdicts()] == [claim["verdict"] for claim in claims]
    text = sweep("verdict", "r").stdout
    assert text.count("Stated afterwards") == 2

    path.write_text(RECIPE.replace("seeds = 6", "seeds = 7"))
    sweep("grid", path)
    grown = json.loads(sweep("verdict", "r", "--json").stdout)["claims"]
    assert [claim["text"] for claim in grown] == [claim["text"] for claim in claims], "growing loses none"
    assert "Planned with 6 seeds, judged with 7" in grown[0]["caveats"][0], "seeds were added when results were there"
    sweep("report", "r", "-o", "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "What became of the claims" in page
    assert page.count("Stated afterwards") == 2


def test_claims_that_are_stated_before_the_first_result_are_not_late(tmp_path):
    with Ledger(tmp_path, create=True) as ledger:
        plain = recipe_of({"metric": "val_accuracy", "space": SPACE})
        study = ledger.create("s", plain, 12)
        study = ledger.state(study, recipe(kind="beats", bar=0.9).claims, 1)
        assert [claim.afterwards for claim in study.recipe.claims] == [False]


def test_a_study_without_claims_says_how_to_state_some(sweep, tmp_path):
    made(tmp_path / "results", "s", {"lr": "0.1,0.01", "seeds": "2"}, lambda trial: float(trial.setting["lr"]))
    line = sweep("verdict", "s", code=2).stderr
    assert line == (
        "sweep: study 's' states no claim; expected tables [[claim]] in "
        "its recipe, or `sweep verdict s --claims FILE`\n"
    )
    file = tmp_path / "late.toml"
    file.write_text('[[claim]]\ntext = "Small is good"\nkind = "trend"\nfactor = "lr"\ndirection = "rises"\n')
    sweep("verdict", "s", "--claims", file)
    claims = json.loads(sweep("verdict", "s", "--json").stdout)["claims"]
    assert [claim["afterwards"] for claim in claims] == [True]
    file.write_text('[[claim]]\ntext = "x"\nkind = "better"\nfactor = "depth"\nlevel = 2\n')
    assert "factor = depth: the recipe does not sweep it" in sweep("verdict", "s", "--claims", file, code=2).stderr


def test_claims_about_an_imported_study(sweep, tmp_path):
    rows = [f"{lr},{seed},{0.5 + lr + seed / 100}" for lr in (0.1, 0.2) for seed in range(6)]
    (tmp_path / "t.csv").write_text("lr,seed,val_loss\n" + "\n".join(rows) + "\n")
    sweep("import", "t.csv", "--metric", "val_loss", "--minimize", "--study", "t")
    file = tmp_path / "c.toml"

    def claim(text):
        file.write_text(textwrap.dedent(text))
        return file

    lower = claim('[[claim]]\ntext = "Less is more"\nkind = "better"\nfactor = "lr"\nlevel = 0.1\nthan = 0.2\n')
    assert "confirmed" in sweep("verdict", "t", "--claims", lower).stdout
    for bad, said in {
        'factor = "lr"\nlevel = 0.1': "no than; the study is imported, so expected the one to compare with",
        'factor = "depth"\nlevel = 1\nthan = 2': "the recipe does not sweep it; expected one of lr",
        'factor = "lr"\nlevel = 0.3\nthan = 0.2': "lr 0.3: no trial of study 't' has it; expected one of 0.1, 0.2",
    }.items():
        text = f'[[claim]]\ntext = "x"\nkind = "better"\n{bad}\n'
        line = sweep("verdict", "t", "--claims", claim(text), code=2).stderr
        assert said in line
        assert line.count("\n") == 1


def test_help_shows_how_a_claim_is_written(sweep):
    assert sweep("verdict", "--help").stdout.count("[[claim]]") == 2


def test_a_trend_of_a_study_that_was_stopped_at_once_is_not_shown(sweep, tmp_path):
    (tmp_path / "r.toml").write_text(
        "epochs = 1000000\n[space]\nlr = [0.1, 0.01]\n"
        '[[claim]]\ntext = "t"\nkind = "trend"\nfactor = "lr"\ndirection = "rises"\n'
    )
    sweep("grid", "r.toml", "--time-limit", "1s")
    assert "2 trials of the study are not trained yet" in sweep("verdict", "r").stdout


@pytest.mark.long
def test_a_folder_of_recipes_becomes_one_page(sweep, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.toml").write_text(f"# What the note says.\n#\n#   sweep grid a.toml\n{RECIPE}")
    (notes / "b.toml").write_text(RECIPE.replace("level = 0.1", "level = 0.0001"))
    (notes / "c.toml").write_text(RECIPE.partition("[[claim]]")[0])
    done = sweep("notes", "notes", "-o", "n.html", "-o", "n.csv", code=1)
    assert "c.toml: states no claim; expected tables [[claim]]" in done.stderr
    assert "2 claims of 2 recipes: 1 confirmed and 1 contradicted." in done.stdout
    page = (tmp_path / "n.html").read_text()
    assert "What the note says." in page
    assert 'class="verdict contradicted"' in page
    lines = (tmp_path / "n.csv").read_text().splitlines()
    assert lines[0] == "recipe,claim,kind,verdict,where,p,numbers,afterwards,command"
    assert len(lines) == 3
    again = sweep("notes", "notes", "--json", code=1)
    assert [row["verdict"] for row in json.loads(again.stdout)] == ["confirmed", "contradicted"]
    assert "trained 0" in again.stderr, "nothing is trained twice"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["notes", "nowhere"], "nowhere: no recipes there"),
        (["notes", "nowhere", "-o", "x.pdf"], "-o x.pdf: unknown suffix '.pdf'"),
    ],
)
def test_notes_that_cannot_be(sweep, words, said):
    assert said in sweep(*words, code=2).stderr
