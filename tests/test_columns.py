"""Tables in narrow places: no value is ever cut, and what is left out is said."""

from __future__ import annotations

import io
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from sweep.report.answers.words import show_difference
from sweep.report.columns import Columns
from sweep.report.text import show_metric
from tests.made import made

TITLES = ["rank", "val_loss ▾", "95% interval", "bn_momentum", "the state"]


def printed(table: Columns, width: int) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue()


def table(kinds, rows) -> Columns:
    out = Columns()
    for title, kind in zip(TITLES, kinds, strict=True):
        out.add_column(title, "right", folds=kind == "folds", flows=kind == "flows", spare=int(kind == "spare"))
    for row in rows:
        out.add_row(*row)
    return out


CELL = st.from_regex(r"[0-9a-z.]{1,9}( [0-9a-z]{1,6})?", fullmatch=True)


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(["", "folds", "flows", "spare"]), min_size=5, max_size=5),
    st.lists(st.lists(CELL, min_size=5, max_size=5), min_size=1, max_size=4),
    st.integers(20, 90),
)
def test_no_value_is_cut_at_any_width(kinds, rows, width):
    lines = printed(table(kinds, rows), width).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    gone = re.search(r"no room for (.*)", " ".join(words))
    for place, title in enumerate(TITLES):
        for row in rows:
            if gone is None or title not in gone[1]:
                assert set(row[place].split()) <= {word.strip(",") for word in words}


def test_how_a_table_gives_way():
    rows = [
        ["1", "0.0471", "0.0316–0.0626", "0.1", "complete"],
        ["2", "0.0513", "0.0416–0.0726", "0.1", "diverged: at once"],
    ]
    made = table(["", "", "spare", "folds", "flows"], rows)
    assert printed(made, 80).splitlines()[0] == "rank  val_loss ▾   95% interval  bn_momentum          the state"
    assert printed(made, 50).splitlines() == [
        "        val_                      bn_",
        "rank  loss ▾   95% interval  momentum   the state",
        "   1  0.0471  0.0316–0.0626       0.1    complete",
        "   2  0.0513  0.0416–0.0726       0.1  diverged:",
        "                                          at once",
    ]
    assert printed(made, 40).splitlines()[-1] == "no room for 95% interval"
    assert printed(made, 28).startswith("in all of these: bn_momentum")
    assert " ".join(printed(made, 22).split()).endswith(
        "- rank 2, val_loss ▾ 0.0513, the state diverged: at once no room for 95% interval"
    )


def test_one_long_name_does_not_take_the_titles_from_the_values(sweep, tmp_path):
    made(tmp_path / "results", "short", {"lr": "1,2"}, lambda trial: math.nan if trial.number else 0.5)
    made(tmp_path / "results", "long" * 24, {"lr": "1,2,3"}, lambda trial: trial.number)
    told = " ".join(sweep("ls", env={"COLUMNS": "80"}).stdout.split())
    assert "study short, trials 2, complete 1, diverged 1, best val_loss 0.5000" in told
    assert "long" * 24 in told.replace(" ", "")


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_board_of_many_hyperparameters_shows_every_number(sweep, tmp_path, width):
    flags = {"lr": "0.0239318,0.0315363,0.0293986", "beta1": "0.837122,0.929041", "beta2": "0.98765,0.9991234",
             "weight_decay": "0.00123456,0.0", "dropout": "0.123456,0.25", "hidden": "10,12",
             "epochs": "1"}  # fmt: skip
    made(tmp_path / "results", "wide", flags, lambda trial: 0.5 + trial.number)
    made(tmp_path / "results", "a-study-with-quite-a-long-name-of-it", {"lr": "1,2"}, lambda trial: trial.number)
    env = {"COLUMNS": str(width)}
    for args in (["show", "wide", "--top", 3], ["show", "wide", "--trials", "--top", 3]):
        text = sweep(*args, env=env).stdout
        for value in ("0.0239318", "0.837122", "0.98765", "0.00123456", "0.123456", "1.5000", "2.5000"):
            assert value in text
        assert not re.search(r"\w…", text)
        assert max(map(len, text.splitlines())) <= width
    listed = sweep("ls", env=env).stdout
    assert "a-study-with-quite-a-long-name-of-it" in listed
    assert "val_loss 0.5000" in listed
    assert ("no room for created" in listed) == (width < 120)


@pytest.mark.parametrize("width", [40, 80])
def test_a_trial_shows_its_setting_whole(sweep, tmp_path, width):
    long, name = "a" * 50 + "b" * 50, "c" * 20 + "d" * 25
    (tmp_path / "made.csv").write_text(f"{name},loss\n{long},1\nx,2\n")
    sweep("import", "made.csv", "--metric", "loss", "--minimize")
    told = sweep("trial", "made", 0, env={"COLUMNS": str(width)}).stdout
    assert max(map(len, told.splitlines())) <= width
    for letter in "abcd":
        assert told.count(letter) >= (long + name).count(letter)


def test_huge_and_tiny_numbers_are_short_and_nothing_is_minus_zero():
    assert show_difference("val_loss", 1.2158e29) == "+1.216e+29"
    assert show_difference("val_loss", -1.2158e29, signed=False) == "-1.216e+29"
    assert show_difference("val_loss", 999.12345) == "+999.1235"
    assert show_difference("val_loss", 0.00001234) == "+0.000012"
    assert [show_metric("val_loss", -0.0), show_metric("val_accuracy", -1e-9)] == ["0.0000", "0.00%"]
    assert [show_metric("val_loss", value) for value in (0.0471, 0.000123456, 4.7e-5)] == [
        "0.0471",
        "0.000123",
        "4.7e-05",
    ]
    assert [show_difference("val_loss", -0.0), show_difference("val_accuracy", -1e-9)] == ["+0.0000", "+0.00"]
