"""`sweep predict` on tables and folders of images: scores as recorded, encoding as pandas does it by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import log_loss, mean_squared_error

from sweep import models
from sweep.data import load
from sweep.data.columns import columns_from_dict, learn_columns
from sweep.errors import UsageError
from sweep.ledger import Ledger
from tests.conftest import runner

COLOURS = ("blue", "green", "red")


@pytest.fixture(scope="module")
def houses(tmp_path_factory):
    """A folder with a table, missing numbers and texts in it, a study of its price and the model of its one trial."""
    folder = tmp_path_factory.mktemp("houses")
    draw = np.random.default_rng(0)
    colour, size = draw.choice([*COLOURS, None], 200), draw.normal(size=200)
    price = 3 * size + 2 * (colour == "red") + draw.normal(scale=0.3, size=200) + 100
    size[::17] = np.nan
    pd.DataFrame({"colour": colour, "size": size, "price": price}).to_csv(folder / "houses.csv", index=False)
    run = runner(folder)
    run("grid", "--data", "houses.csv", "--target", "price", "--hidden", 8, "--lr", 0.03, "--study", "h")
    run("model", "h", "-o", "h.safetensors")
    return run, folder


def test_a_part_of_the_table_scores_as_recorded(houses, tmp_path):
    run, folder = houses
    said = run("predict", "h.safetensors", "houses.csv", "--part", "test", "-o", tmp_path / "p.csv").stdout
    with Ledger(folder / "results") as ledger:
        row, _ = ledger.trial(ledger.study("h"), 0)
    table = pd.read_csv(tmp_path / "p.csv")
    y = load(f"{folder / 'houses.csv'}#target=price", None, 0).test[1]
    assert list(table.columns) == ["row", "prediction"]
    assert f"R² {row['test_r2']:.4f}, MAE {row['test_mae']:.4f}" in said
    assert mean_squared_error(y, table["prediction"]) == pytest.approx(row["test_loss"], rel=1e-5)


def test_another_table_is_encoded_as_the_first_was(houses, tmp_path):
    run, folder = houses
    new = pd.DataFrame({"size": [0.5, np.nan, -1.0], "more": 1, "colour": ["red", "violet", None]})
    new.to_csv(tmp_path / "new.csv", index=False)
    printed = run("predict", "h.safetensors", tmp_path / "new.csv", "-o", tmp_path / "p.csv")
    assert "1 row with missing numbers: filled as in training" in printed.stderr
    assert "texts that were not there in training: colour in 1 row" in printed.stderr
    model = models.read(str(folder / "h.safetensors"))
    fill = model.about["data"]["columns"][1]["fill"]
    texts = new["colour"].where(new["colour"].notna(), "(missing)")
    by_hand = np.column_stack([texts == text for text in ("(missing)", *COLOURS)] + [new["size"].fillna(fill)])
    expected = model.answers(by_hand.astype(float))
    assert pd.read_csv(tmp_path / "p.csv")["prediction"].to_numpy() == pytest.approx(expected, rel=1e-6)


def test_columns_are_the_same_after_a_file():
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": ["x", "y", None], "c": [True, False, True]})
    learned = learn_columns("t.csv", frame, [])
    x = learned.encode("t.csv", frame)
    filled = learned.learn_fills(x)
    again = columns_from_dict(filled.to_dict())
    assert again == filled
    assert (again.fill(x)[:, 0] == [1, 2, 3]).all()
    assert x[:, 1:].tolist() == [[0, 1, 0, 1], [0, 0, 1, 0], [1, 0, 0, 1]]
    with pytest.raises(UsageError, match=r"u\.csv: column a held numbers; now it does not"):
        again.encode("u.csv", frame.assign(a="one"))
    with pytest.raises(UsageError, match=r"u\.csv: no column a; found b, c"):
        again.encode("u.csv", frame.drop(columns="a"))


def test_what_the_model_was_not_trained_on_has_no_parts(houses, tmp_path):
    run, folder = houses
    pd.read_csv(folder / "houses.csv").assign(size=1.0).to_csv(tmp_path / "houses.csv", index=False)
    for name, words in ((tmp_path / "houses.csv", "not the data that the model was trained on"), ("none/", "no such")):
        refused = run("predict", "h.safetensors", name, "--part", "test", "-o", tmp_path / "p.csv", code=2)
        assert words in refused.stderr


@pytest.mark.long
def test_images_of_any_size_are_answered_by_their_file(tmp_path):
    draw, run = np.random.default_rng(0), runner(tmp_path)
    for name, base in (("dark", 90), ("light", 130)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(30):
            pixels = base + draw.integers(-60, 60, (9 + number % 3, 8, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    run("grid", "--data", "photos/", "--image-size", 8, "--epochs", 3, "--hidden", 8, "--study", "p")
    run("model", "p", "-o", "p.safetensors")
    run("predict", "p.safetensors", "photos/", "--part", "test", "-o", "test.csv")
    table = pd.read_csv(tmp_path / "test.csv")
    with Ledger(tmp_path / "results") as ledger:
        row, _ = ledger.trial(ledger.study("p"), 0)
    run("predict", "p.safetensors", "photos", "-o", "all.csv")
    whole = pd.read_csv(tmp_path / "all.csv")
    assert whole["file"][0] == "dark/0.png"
    places = [int(np.abs(whole["p_dark"] - share).argmin()) for share in table["p_dark"]]
    labels = whole["file"][places].str.split("/").str[0]
    assert log_loss(labels, table[["p_dark", "p_light"]].to_numpy(float)) == pytest.approx(row["test_loss"], rel=1e-4)
    assert "1 row" in run("predict", "p.safetensors", "photos/dark/3.png", "-o", "one.csv").stdout
    (tmp_path / "photos" / "dark" / "bad.png").write_text("text")
    assert "bad.png: cannot be read as an image" in run("predict", "p.safetensors", "photos", "-o", "-", code=2).stderr
