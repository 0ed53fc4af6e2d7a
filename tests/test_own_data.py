"""A person's own tables and folders of images: pandas, Pillow and torchvision's ImageFolder as oracles, and what is
refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sweep.data import describe, load
from sweep.dataname import options_of, path_of, with_options
from sweep.errors import UsageError
from tests.conftest import RECIPES, SHARED

WINE = RECIPES / "own" / "wine.csv"
FOLDER = SHARED / "image-folder"
needs_folder = pytest.mark.skipif(not FOLDER.is_dir(), reason="the image folder is not beside the repository")


def parts(source):
    return [source.train, source.val, source.test]


def frame_of(rows=40, **columns):
    rng = np.random.default_rng(0)
    plain = {"a": rng.normal(size=rows), "kind": ["x", "y"] * (rows // 2)}
    return pd.DataFrame(plain | columns)


@pytest.fixture
def save(tmp_path):
    def write(frame, name="t.csv", target="kind"):
        path = tmp_path / name
        if name.endswith("parquet"):
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
        return with_options(str(path), {"target": target})

    return write


def test_names_with_options_come_apart_again():
    name = with_options("/data/a#b.csv", {"target": "x #1"})
    assert (path_of(name), options_of(name)) == ("/data/a#b.csv", {"target": "x #1"})


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_a_table_of_any_kind_is_the_same(save, kind):
    frame = frame_of(b=np.arange(40) / 7, word=["red", "green", "blue", "red"] * 10, flag=[True, False] * 20)
    source = load(save(frame, f"t.{kind}"), None, 0)
    x = np.concatenate([rows for rows, _ in parts(source)])
    y = np.concatenate([labels for _, labels in parts(source)])
    expected = pd.concat([frame[["a", "b"]], pd.get_dummies(frame["word"]), frame["flag"]], axis=1).astype(float)
    together = np.column_stack([expected, frame["kind"] == "y"])
    assert np.allclose(np.sort(np.column_stack([x, y]), axis=0), np.sort(together, axis=0))
    assert sorted(map(tuple, np.column_stack([x, y]).round(9))) == sorted(map(tuple, together.astype(float).round(9)))
    assert describe(save(frame, f"t.{kind}")).notes[1] == "one column for each text of word (3)"


def test_a_missing_number_is_the_median_of_rows_that_are_not_for_testing(save):
    frame = frame_of(rows=100)
    frame.loc[3:9, "a"] = np.nan
    source = load(save(frame), None, 0)
    known = np.concatenate([source.train[0], source.val[0]])[:, 0]
    filled = [value for rows, _ in parts(source) for value in rows[:, 0] if value not in frame["a"].to_numpy()]
    assert len(filled) == 7
    assert len(set(filled)) == 1
    there = known[np.isin(known, frame["a"].dropna())]
    assert filled[0] == np.median(there)
    assert describe(save(frame)).notes[-1] == "missing numbers (a 7): the median of rows that are not for testing"


def test_a_missing_text_is_a_text_and_a_row_without_a_class_is_left_out(save):
    frame = frame_of(word=["red", None] * 20)
    frame.loc[0, "kind"] = None
    info = describe(save(frame))
    assert info.shape == (3,)
    assert (info.train + info.val + info.test, info.classes) == (39, 2)
    assert "1 row without kind left out" in info.notes


def test_columns_that_tell_nothing_are_said(save):
    frame = frame_of(rows=60, same=1.5, name=[f"row {row}" for row in range(60)], empty=np.nan)
    info = describe(save(frame))
    assert info.shape == (2,)
    assert "name and empty left out: empty, or more than 50 different texts" in info.notes
    assert "same never varies: it tells nothing" in info.notes


def test_whole_numbers_are_classes_in_their_order(save):
    info = describe(save(frame_of(kind=[3, 7, 5, 7] * 10)))
    assert info.classes == 3
    assert "labels 3, 5, 7 are classes 0 to 2, in this order" in info.notes


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("images", "labels"), ("data", "target")])
def test_one_pair_of_arrays_is_split(tmp_path, x, y):
    rows = np.random.default_rng(0).normal(size=(50, 3))
    np.savez(tmp_path / "a.npz", **{x: rows, y: np.arange(50) % 2})
    source = load(str(tmp_path / "a.npz"), None, 0)
    assert [len(labels) for _, labels in parts(source)] == [30, 10, 10]
    together = np.concatenate([part for part, _ in parts(source)])
    assert np.array_equal(np.sort(together, axis=0), np.sort(rows, axis=0))


REFUSED = {
    "no file": ("gone.csv", {"target": "kind"}, "no such data file"),
    "no target": ("t.csv", {}, "which column is to be predicted? expected --target with one of a, kind"),
    "another": ("t.csv", {"target": "kid"}, "--target: unknown column 'kid': did you mean 'kind'?"),
    "fractions": ("t.csv", {"target": "a", "task": "classification"}, "a holds fractions, NaN or infinity; expected"),
    "size": ("t.csv", {"target": "kind", "image_size": "8"}, "--image-size is for a folder of images"),
    "damaged": ("d.parquet", {"target": "kind"}, "cannot be read as a table"),
    "few": ("few.csv", {"target": "kind"}, "4 rows with kind; expected at least 15"),
    "one class": ("one.csv", {"target": "kind"}, "kind holds one class; expected at least two"),
    "no columns": ("bare.csv", {"target": "kind"}, "no column of numbers, or of at most 50 texts"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, name):
    frame_of().to_csv(tmp_path / "t.csv", index=False)
    frame_of(rows=4).to_csv(tmp_path / "few.csv", index=False)
    frame_of(kind="x").to_csv(tmp_path / "one.csv", index=False)
    frame_of()[["kind"]].to_csv(tmp_path / "bare.csv", index=False)
    (tmp_path / "d.parquet").write_bytes(b"PAR1 no more")
    file, options, said = REFUSED[name]
    with pytest.raises(UsageError) as error:
        describe(with_options(str(tmp_path / file), options))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_worked_example_and_a_file_that_moves(sweep, tmp_path):
    recipes = tmp_path / "own"
    recipes.mkdir()
    for name in ("table.toml", "wine.csv"):
        (recipes / name).write_bytes((RECIPES / "own" / name).read_bytes())
    done = sweep("grid", "own/table.toml")
    assert "labels 'barbera', 'barolo', 'grignolino' are classes 0 to 2, in this order" in done.stderr
    assert json.loads(sweep("show", "table", "--json").stdout)["settings"][0]["mean"] > 0.9
    (recipes / "wine.csv").rename(tmp_path / "moved.csv")
    assert "wine.csv is gone" in sweep("reproduce", "table", 0, code=2).stderr
    assert "identical" in sweep("reproduce", "table", 0, "--data", "moved.csv").stdout
    frame = pd.read_csv(tmp_path / "moved.csv")
    frame.loc[0, "alcohol"] += 1
    frame.to_csv(tmp_path / "other.csv", index=False)
    assert "other data than those" in sweep("resume", "table", "--data", "other.csv", code=2).stderr


def test_a_target_is_for_tables(sweep):
    line = sweep("plan", "--data", "digits", "--target", "x", "--lr", 0.1, code=2).stderr
    assert line == "sweep: --target: for data of your own; digits needs none\n"


def save_images(folder, images):
    for name, image in images.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)


def noise(mode="RGB", size=(8, 8), seed=0):
    depth = {"RGB": 3, "L": 1}[mode]
    values = np.random.default_rng(seed).integers(0, 256, (*size[::-1], depth), np.uint8)
    return Image.fromarray(values.squeeze(), mode)


def classes(folder, mode="RGB", size=(8, 8), each=10):
    save_images(
        folder, {f"{kind}/{n}.png": noise(mode, size, n + 100 * (kind == "b")) for kind in "ab" for n in range(each)}
    )


@needs_folder
def test_the_sample_folder_is_what_image_folder_reads():
    from torchvision.datasets import ImageFolder

    source = load(str(FOLDER), None, 0)
    assert source.info.shape == (3, 32, 32)
    expected = ImageFolder(FOLDER / "test")
    images = np.stack([np.asarray(image.convert("RGB")).transpose(2, 0, 1) for image, _ in expected])
    assert np.array_equal(source.test[0], images)
    assert source.test[1].tolist() == expected.targets


def test_grey_images_have_one_channel_and_a_folder_is_split(tmp_path):
    classes(tmp_path, "L")
    info = describe(str(tmp_path))
    assert info.shape == (1, 8, 8)
    assert (info.train, info.val, info.test) == (12, 4, 4)


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    classes(tmp_path / "train", "L")
    deep = Image.fromarray(np.full((8, 8), 32768, np.uint16))
    save_images(tmp_path / "test", {"a/deep.png": deep})
    assert set(load(str(tmp_path), None, 0).test[0].ravel().tolist()) == {128}


def test_a_photograph_is_turned_upright(tmp_path):
    classes(tmp_path / "train", size=(4, 8))
    lying = noise(size=(8, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    (tmp_path / "test" / "a").mkdir(parents=True)
    lying.save(tmp_path / "test" / "a" / "p.png", exif=exif)
    source = load(str(tmp_path), None, 0)
    assert source.info.shape == (3, 8, 4)
    assert np.array_equal(source.test[0][0].transpose(1, 2, 0), np.rot90(np.asarray(lying), -1))


def test_images_of_many_modes_are_read_alike(tmp_path):
    classes(tmp_path / "train")
    plain = Image.new("RGB", (8, 8), (255, 0, 0))
    changed = {mode: plain.convert(mode) for mode in ("P", "RGBA")} | {"CMYK": plain.convert("CMYK")}
    save_images(
        tmp_path / "test", {f"a/{mode}.{'tif' if mode == 'CMYK' else 'png'}": im for mode, im in changed.items()}
    )
    for image in load(str(tmp_path), None, 0).test[0]:
        assert image[:, 0, 0].tolist() == [255, 0, 0]


FOLDERS = {
    "sizes": ("images of 2 sizes (8x8 to 9x8); expected --image-size N", {"a/wide.png": noise(size=(9, 8))}, {}),
    "no image": ("cannot be read as an image", {"a/bad.png": None}, {}),
    "tiny": ("--image-size 2: expected pixels, 4 to 512", {}, {"image_size": "2"}),
    "target": ("--target is for a table", {}, {"target": "x"}),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_cannot_be_is_refused_in_one_line(tmp_path, name):
    classes(tmp_path)
    said, images, options = FOLDERS[name]
    for file, image in images.items():
        if image is None:
            (tmp_path / file).write_bytes(b"no image")
        else:
            image.save(tmp_path / file)
    with pytest.raises(UsageError) as error:
        load(with_options(str(tmp_path), options), None, 0)
    assert said in str(error.value)
    assert name != "no image" or "bad.png" in str(error.value)


def test_a_folder_without_a_slash_is_told_from_an_unknown_set(sweep, tmp_path):
    classes(tmp_path / "photos")
    assert "photos is a folder here; expected photos/" in sweep("plan", "--data", "photos", code=2).stderr


def test_a_class_that_only_the_test_part_has_is_named(tmp_path):
    classes(tmp_path / "train")
    save_images(tmp_path / "test", {"c/1.png": noise()})
    with pytest.raises(UsageError, match="class 'c' has no folder in"):
        describe(str(tmp_path))
    with pytest.raises(UsageError, match="0 folders of images; expected one for each class"):
        describe(str(tmp_path / "train" / "a"))


def test_images_are_brought_to_one_size(sweep, tmp_path):
    classes(tmp_path / "im")
    noise(size=(20, 10)).save(tmp_path / "im" / "a" / "wide.png")
    done = sweep(
        "grid", "--data", "im/", "--image-size", 6, "--model", "cnn", "--hidden", 2, "--epochs", 1, "--study", "s"
    )
    assert "images are scaled to 6x6, cropped where they are not square" in done.stderr
    assert "identical" in sweep("reproduce", "s", 0).stdout


@pytest.mark.parametrize(("name", "rows", "count"), [("iris", 150, 3), ("wine", 178, 3), ("breast-cancer", 569, 2)])
def test_scikit_learns_sets_are_dealt_out(name, rows, count):
    source = load(name, None, 0)
    assert sum(len(labels) for _, labels in parts(source)) == rows
    for _, labels in parts(source):
        assert set(labels.tolist()) == set(range(count)), "sorted by class in the file"


KEYS = {
    "sweep": ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),
    "Keras": ("x_train", "y_train", None, None, "x_test", "y_test"),
    "MedMNIST": ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
    "capitals": ("X_train", "Y_train", "X_valid", "Y_valid", "X_test", "Y_test"),
    "part first": ("train_x", "train_y", "val_x", "val_y", "test_x", "test_y"),
    "data": ("train_data", "train_labels", "val_data", "val_labels", "test_data", "test_labels"),
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_arrays_are_found_by_the_names_that_people_use(tmp_path, keys):
    draw, arrays = np.random.default_rng(0), {}
    for key, rows in zip(keys, (40, 40, 10, 10, 12, 12), strict=True):
        labels = "y" in key.lower().split("_") or "labels" in key if key else False
        if key:
            shape = (rows, 1) if key.endswith("_labels") else rows if labels else (rows, 8, 8)
            arrays[key] = draw.integers(0, 2 if labels else 255, shape).astype(np.uint8)
    np.savez(tmp_path / "a.npz", **arrays)
    source = load(str(tmp_path / "a.npz"), None, 0)
    assert np.array_equal(source.test[0][:, 0], arrays[keys[4]])
    assert np.array_equal(source.test[1], arrays[keys[5]].reshape(-1))
    if keys[2]:
        assert np.array_equal(source.val[0][:, 0], arrays[keys[2]])
        assert np.array_equal(source.val[1], arrays[keys[3]].reshape(-1))
        assert len(source.train[1]) == 40
        assert not source.info.splits
    else:
        assert (len(source.train[1]), len(source.val[1])) == (34, 6)


def test_a_plan_has_the_rows_of_each_class_and_what_is_missing(sweep, tmp_path):
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.array(["ant", "bee"] * 29 + ["cat", "cat"])
    np.savez(tmp_path / "a.npz", x_train=x[:58], y_train=y[2:], x_test=x[58:], y_test=y[:2])
    plan = sweep("plan", "--data", "a.npz", "--batch-size", 500)
    assert "rows of each class, in all: ant: 29; bee: 29; cat: 2" in plan.stdout
    assert "batch_size 500: there are 49 training rows, so each step takes all of them" in plan.stderr
    said = sweep("grid", "--data", "a.npz", "--epochs", 1, "--study", "a").stderr
    assert "1 of 3 classes has no test row (2)" in said
    named = sweep("plan", "--data", "wine", "--no-measure").stdout
    assert "rows of each class, in all: 0: 59; 1: 71; 2: 48" in named  # Aeberhard & Forina 1992
    assert "rows of each class, in all: 600\n" in sweep("plan", "--data", "cifar100", "--no-measure").stdout
