"""Data sets: what is read, how it is split, that only the training part decides the standardization, and bad files."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sweep.data import KNOWN, DataInfo, Part, Source, classes_from_dict, describe, load
from sweep.data.toys import CENTRES, TOYS
from sweep.errors import SweepError, UsageError
from sweep.space import Shift
from tests.conftest import SHARED

MNIST = SHARED / "MNIST" / "raw"
CIFAR = SHARED / "cifar10-12k.npz"


def arrays(train: int = 60, test: int = 20, shape: tuple[int, ...] = (5,), classes: int = 3) -> dict[str, np.ndarray]:
    """A small data set in which every row differs from every other."""
    draw = np.random.default_rng(0)
    parts = {"train": train, "test": test}
    made = {f"x_{part}": draw.normal(3, 2, (rows, *shape)) for part, rows in parts.items()}
    return made | {f"y_{part}": np.arange(rows) % classes for part, rows in parts.items()}


@pytest.fixture
def npz(tmp_path: Path):
    """Writes an .npz of `arrays()` with changes (None leaves one out); returns its name."""

    def write(**changes: np.ndarray | None) -> str:
        name = tmp_path / "data.npz"
        np.savez(name, **{key: value for key, value in (arrays() | changes).items() if value is not None})
        return str(name)

    return write


def rows_of(x: np.ndarray | torch.Tensor) -> list[bytes]:
    return [np.asarray(row).tobytes() for row in x]


# Digits


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    digits = load_digits()
    source = load("digits", None, 0)
    x = np.concatenate([part[0] for part in (source.train, source.val, source.test)])
    y = np.concatenate([part[1] for part in (source.train, source.val, source.test)])
    assert source.info == describe("digits") == DataInfo("digits", (1, 8, 8), 10, 1079, 359, 359)
    ours = sorted((row.tobytes(), label) for row, label in zip(x.reshape(-1, 64).astype(np.float64), y, strict=True))
    theirs = sorted((row.tobytes(), label) for row, label in zip(digits.data, digits.target, strict=True))
    assert ours == theirs


# The split


def test_toys_are_scikit_learns():
    from sklearn.datasets import make_blobs, make_circles, make_moons

    expected = {
        "circles": make_circles(1000, noise=0.1, factor=0.5, random_state=0, shuffle=False),
        "moons": make_moons(1000, noise=0.2, random_state=0, shuffle=False),
        "gaussians": make_blobs(1000, centers=CENTRES, cluster_std=1.0, random_state=0, shuffle=False),
    }
    for name, (x, y) in expected.items():
        made, labels = TOYS[name][0]()
        assert made.tobytes() == x.tobytes()
        assert labels.tolist() == y.tolist()
    arms, labels = TOYS["spirals"][0]()
    assert sorted(map(tuple, -arms[labels == 0])) != sorted(map(tuple, arms[labels == 1]))  # noise of its own
    assert np.bincount(labels).tolist() == [500, 500]
    for name in TOYS:
        source = load(name, None, 0)
        assert source.info == describe(name) == DataInfo(name, (2,), len(np.unique(TOYS[name][0]()[1])), 600, 200, 200)


@pytest.mark.parametrize("shape", [(5,), (4, 4), (3, 4, 6), (5, 6, 3)])
def test_parts_are_disjoint_and_complete(npz, shape):
    made = arrays(shape=shape)
    source = load(npz(**made), None, 0)
    assert [len(part[1]) for part in (source.train, source.val, source.test)] == [50, 10, 20]
    assert (source.info.train, source.info.val, source.info.test) == (50, 10, 20)
    given = made["x_train"].transpose(0, 3, 1, 2) if shape == (5, 6, 3) else made["x_train"]
    train, val, whole = rows_of(source.train[0]), rows_of(source.val[0]), rows_of(given)
    assert not set(train) & set(val)
    assert sorted(train + val) == sorted(whole)
    for rows, labels in ((train, source.train[1]), (val, source.val[1])):
        assert [made["y_train"][whole.index(row)] for row in rows] == list(labels)
    given_test = made["x_test"].transpose(0, 3, 1, 2) if shape == (5, 6, 3) else made["x_test"]
    assert rows_of(source.test[0]) == rows_of(given_test)
    assert list(source.test[1]) == list(made["y_test"])


@pytest.mark.parametrize("name", ["digits", "npz"])
def test_the_split_seed_fixes_the_split(npz, name):
    name = npz() if name == "npz" else name

    def parts(seed: int) -> list[list[bytes]]:
        source = load(name, None, seed)
        return [rows_of(part[0]) for part in (source.train, source.val, source.test)]

    one, again, other = parts(3), parts(3), parts(4)
    assert one == again
    assert one[0] != other[0]
    assert set(one[1]) != set(other[1])
    assert (one[2] == other[2]) == (name != "digits")  # a given test part stays the test part


def test_digits_use_every_row_once():
    from sklearn.datasets import load_digits

    source = load("digits", None, 7)
    rows = [row for part in (source.train, source.val, source.test) for row in rows_of(part[0])]
    assert sorted(rows) == sorted(rows_of(load_digits().images.astype(np.uint8)))


# Standardization


@pytest.mark.parametrize("shape", [(5,), (3, 4, 6)])
def test_zscore_is_mean_0_and_deviation_1_of_the_training_part(npz, shape):
    split = load(npz(**arrays(600, shape=shape)), None, 0).split("zscore", "all")
    axes = (0,) if len(shape) == 1 else (0, 2, 3)
    x = split.train.x.double()
    torch.testing.assert_close(x.mean(axes), torch.zeros(shape[0], dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(x.std(axes, correction=0), torch.ones(shape[0], dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(5,), (3, 4, 6)])
def test_unit_spans_0_to_1_of_the_training_part(npz, shape):
    split = load(npz(**arrays(shape=shape)), None, 0).split("unit", "all")
    axes = (0,) if len(shape) == 1 else (0, 2, 3)
    assert torch.equal(split.train.x.amin(axes), torch.zeros(shape[0]))
    assert torch.equal(split.train.x.amax(axes), torch.ones(shape[0]))


def test_none_leaves_the_rows_as_they_are():
    source = load("digits", None, 0)
    split = source.split("none", "all")
    for part, (x, y) in zip((split.train, split.val, split.test), (source.train, source.val, source.test), strict=True):
        assert part.x.dtype == torch.float32
        assert part.y.dtype == torch.int64
        assert np.array_equal(part.x.numpy(), x)
        assert np.array_equal(part.y.numpy(), y)


def test_the_reference_standardization():
    """Against numpy in float64, for validation and test too."""
    source = load("digits", None, 0)
    split = source.split("zscore", "all")
    train = source.train[0].astype(np.float64)
    for part, (x, _) in zip((split.train, split.val, split.test), (source.train, source.val, source.test), strict=True):
        assert np.allclose(part.x.numpy(), (x - train.mean()) / train.std(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("normalize", ["zscore", "unit", "none"])
def test_other_parts_change_no_training_tensor(normalize):
    source = load("digits", None, 0)
    noisy = Source(
        source.info, source.train, (source.val[0] * 9 + 50, source.val[1]), (source.test[0] * 7 + 99, source.test[1])
    )
    one, other = source.split(normalize, "all"), noisy.split(normalize, "all")
    assert torch.equal(one.train.x, other.train.x)
    assert not torch.equal(one.val.x, other.val.x)
    assert not torch.equal(one.test.x, other.test.x)


@pytest.mark.parametrize("normalize", ["zscore", "unit"])
def test_train_size_uses_its_rows_alone(normalize):
    """The first rows of the training part; those left out decide nothing."""
    source = load("digits", None, 0)
    x = source.train[0].copy()
    x[100:] = 255
    changed = Source(source.info, (x, source.train[1]), source.val, source.test)
    one, other = source.split(normalize, 100), changed.split(normalize, 100)
    assert len(one.train.y) == 100
    assert np.array_equal(one.train.y.numpy(), source.train[1][:100])
    for a, b in zip((one.train, one.val, one.test), (other.train, other.val, other.test), strict=True):
        assert torch.equal(a.x, b.x)
    assert not torch.equal(one.val.x, changed.split(normalize, "all").val.x)
    assert len(one.val.y) == source.info.val


def test_train_size_at_most_the_training_part():
    source = load("digits", None, 0)
    assert torch.equal(source.split("zscore", 1079).train.x, source.split("zscore", "all").train.x)
    with pytest.raises(UsageError, match=r"train_size = 1080: digits has 1079 training rows"):
        source.split("zscore", 1080)


def test_a_constant_feature_becomes_zero(npz):
    made = arrays()
    made["x_train"][:, 2] = 7.0
    for normalize in ("zscore", "unit"):
        split = load(npz(**made), None, 0).split(normalize, "all")
        assert torch.equal(split.train.x[:, 2], torch.zeros(50))
        assert all(part.x.isfinite().all() for part in (split.train, split.val, split.test))


# Real data beside the repository


@pytest.mark.skipif(not MNIST.exists(), reason="no real MNIST beside the repository")
def test_mnist_is_its_raw_bytes():
    def idx(name: str) -> np.ndarray:
        raw = (MNIST / name).read_bytes()
        dims = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dims)

    source = load("mnist", str(SHARED), 0)
    assert source.info == describe("mnist") == DataInfo("mnist", (1, 28, 28), 10, 50_000, 10_000, 10_000)
    assert np.array_equal(source.test[0][:, 0], idx("t10k-images-idx3-ubyte"))
    assert np.array_equal(source.test[1], idx("t10k-labels-idx1-ubyte"))
    images, labels = idx("train-images-idx3-ubyte"), idx("train-labels-idx1-ubyte")
    order = np.random.default_rng([0, 60_000]).permutation(60_000)
    for part, rows in ((source.val, order[:10_000]), (source.train, order[10_000:])):
        assert part[0].dtype == np.uint8
        assert np.array_equal(part[0][:, 0], images[rows])
        assert np.array_equal(part[1], labels[rows])


@pytest.mark.skipif(not CIFAR.exists(), reason="no cifar10-12k.npz beside the repository")
def test_cifar_is_read_as_channels_of_images():
    info = describe(str(CIFAR))
    assert info.shape == (3, 32, 32)
    assert info.classes == 10
    source = load(str(CIFAR), None, 0)
    assert source.info == info
    assert source.train[0].shape == (info.train, 3, 32, 32)
    assert source.test[0].shape == (info.test, 3, 32, 32)
    with np.load(CIFAR) as file:
        given, labels = file["x_test"], file["y_test"]
    channels_first = given if given.shape[1] == 3 else given.transpose(0, 3, 1, 2)
    assert np.array_equal(source.test[0], channels_first)
    assert np.array_equal(source.test[1], labels)


def test_where_there_is_no_network_one_line_says_which_files_go_where(tmp_path, monkeypatch):
    import torchvision

    def offline(_self: object) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nno route to host")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", offline)
    with pytest.raises(SweepError) as caught:
        load("mnist", str(tmp_path), 0)
    message = str(caught.value)
    assert "\n" not in message
    for words in ("mnist", f"{tmp_path}/MNIST/raw/", "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "--data-dir"):
        assert words in message


# .npz files


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ((5,), (5,)),
        ((4, 6), (1, 4, 6)),
        ((3, 8, 8), (3, 8, 8)),
        ((8, 8, 3), (3, 8, 8)),
        ((8, 8, 1), (1, 8, 8)),
        ((1, 8, 8), (1, 8, 8)),
        ((2, 9, 9), (2, 9, 9)),
    ],
)
def test_the_shapes_of_an_npz(npz, given, shape):
    name = npz(**arrays(shape=given))
    info = describe(name)
    assert info.shape == shape
    assert info.classes == 3
    source = load(name, None, 0)
    assert source.info == info
    assert source.train[0].shape == (50, *shape)


def test_an_images_pixels_stay_in_place(npz):
    made = arrays(shape=(5, 6, 3))
    source = load(npz(**made), None, 0)
    assert np.array_equal(source.test[0][7, 2, 1, 5], made["x_test"][7, 1, 5, 2])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32", "float64", "bool"])
def test_the_types_of_an_npz(npz, dtype):
    made = arrays()
    for part in ("x_train", "x_test"):
        made[part] = np.abs(made[part]).astype(dtype)
    for labels in ("int64", "uint8", "float32"):
        made["y_train"] = made["y_train"].astype(labels)
        split = load(npz(**made), None, 0).split("zscore", "all")
        assert split.train.x.dtype == torch.float32
        assert split.train.y.dtype == torch.int64
        assert split.train.x.isfinite().all()


def replaced(key: str, row: int, value: float) -> np.ndarray:
    changed = arrays()[key].astype(np.float64)
    changed[row] = value
    return changed


BAD_NPZ = {
    "an array missing": ({"x_test": None}, ["no array x_test", "x_train, y_train, x_test, y_test"]),
    "other arrays": (
        {"x_train": None, "y_train": None, "extra": np.ones(3)},
        ["no array x_train, y_train", "found", "extra"],
    ),
    "rows of other lengths": ({"x_test": np.ones((20, 6))}, ["x_train", "[5]", "x_test", "[6]"]),
    "more labels than rows": ({"y_train": np.arange(61) % 3}, ["y_train", "[61]", "60"]),
    "fewer labels than rows": ({"y_test": np.arange(19) % 3}, ["y_test", "[19]", "20"]),
    "labels in columns": ({"y_train": np.ones((60, 2), int)}, ["y_train", "[60, 2]"]),
    "one-hot labels": ({"y_train": np.eye(3)[np.arange(60) % 3]}, ["y_train", "[60, 3]"]),
    "a lone label": ({"y_train": np.array(1)}, ["y_train", "60 labels"]),
    "text labels": ({"y_train": np.array(["a", "b", "c"] * 20)}, ["y_train", "labels of different kinds"]),
    "NaN as label": ({"y_train": replaced("y_train", 3, np.nan)}, ["y_train", "NaN"]),
    "infinity as label": ({"y_train": replaced("y_train", 3, np.inf)}, ["y_train", "infinity"]),
    "minus infinity as label": ({"y_train": replaced("y_train", 3, -np.inf)}, ["y_train", "infinity"]),
    "infinity as test label": ({"y_test": replaced("y_test", 3, np.inf)}, ["y_test", "infinity"]),
    "a test label out of range": (
        {"y_test": replaced("y_test", 3, 3).astype(int)},
        ["y_test", "label 3", "no row of y_train"],
    ),
    "rows too large": ({"x_train": replaced("x_train", 5, 1e200)}, ["x_train", "row 5", "1e+200", "float32"]),
    "validation rows without labels": ({"x_val": np.ones((5, 5))}, ["y_val"]),
    "one class": ({"y_train": np.zeros(60, int), "y_test": np.zeros(20, int)}, ["y_train", "one class"]),
    "text rows": ({"x_train": np.full((60, 5), "a")}, ["x_train", "numbers"]),
    "complex rows": ({"x_train": np.ones((60, 5), complex)}, ["x_train", "complex128", "numbers"]),
    "flat rows": ({"x_train": np.ones(60)}, ["x_train", "[60]", "[N, D]"]),
    "five dimensions": ({"x_train": np.ones((60, 1, 2, 3, 4))}, ["x_train", "[60, 1, 2, 3, 4]"]),
    "rows without numbers": ({"x_train": np.ones((60, 0)), "x_test": np.ones((20, 0))}, ["x_train", "[60, 0]"]),
    "too few rows": ({"x_train": np.ones((3, 5)), "y_train": np.arange(3)}, ["x_train", "[3, 5]", "at least 12 rows"]),
    "no test rows": ({"x_test": np.ones((0, 5)), "y_test": np.ones(0, int)}, ["x_test", "at least 1 row"]),
    "NaN in a row": ({"x_train": replaced("x_train", 17, np.nan)}, ["x_train", "row 17", "NaN"]),
    "infinity in a test row": ({"x_test": replaced("x_test", 4, np.inf)}, ["x_test", "row 4", "finite"]),
    "pickled rows": ({"x_train": np.array([[object()] * 5] * 60)}, ["pickled Python objects", "never loaded"]),
    "pickled labels": ({"y_test": np.array([None] * 20)}, ["pickled Python objects", "never loaded"]),
}


@pytest.mark.parametrize(("changes", "words"), BAD_NPZ.values(), ids=BAD_NPZ)
def test_a_bad_npz_is_refused(npz, changes, words):
    with pytest.raises(UsageError) as caught:
        load(npz(**changes), None, 0)
    message = str(caught.value)
    assert "\n" not in message
    missing = [word for word in ["data.npz", *words] if word not in message]
    assert not missing, message


@pytest.mark.parametrize(
    "case", [case for case in BAD_NPZ if "NaN in" not in case and "infinity in" not in case and "too large" not in case]
)
def test_a_plan_refuses_it_too(npz, case):
    """`describe` reads no rows, but what it can see it refuses in the same words."""
    changes, words = BAD_NPZ[case]
    with pytest.raises(UsageError) as caught:
        describe(npz(**changes))
    assert all(word in str(caught.value) for word in words)


FAULTS = SHARED / "faults"
needs_faults = pytest.mark.skipif(not FAULTS.is_dir(), reason="the failing inputs are not beside the repository")


@needs_faults
def test_a_feature_that_is_constant_but_for_rounding_is_not_blown_up():
    """The same rows in float32 and in float64: what rounding makes of a constant must not decide (scikit-learn
    #17794).
    """
    narrow, wide = (load(str(FAULTS / f"rare_feature_float{bits}.npz"), None, 0) for bits in (32, 64))
    for normalize in ("zscore", "unit"):
        ours, theirs = (source.split(normalize, "all") for source in (narrow, wide))
        for part in ("train", "val", "test"):
            a, b = getattr(ours, part).x, getattr(theirs, part).x
            assert a.abs().max() < 100
            assert torch.allclose(a, b, atol=1e-5)


@needs_faults
def test_the_names_and_layouts_that_people_use():
    plain = load(str(FAULTS / "capital_x.npz"), None, 0)
    assert plain.info == replace(plain.info, shape=(1, 8, 8), classes=3, train=100, val=20, test=30, notes=())
    assert load(str(FAULTS / "labels_in_a_column.npz"), None, 0).info.classes == 3
    med = load(str(FAULTS / "medmnist_names.npz"), None, 0)
    assert (med.info.train, med.info.val, med.info.test) == (120, 30, 30)
    with np.load(FAULTS / "medmnist_names.npz") as file:
        assert np.array_equal(med.val[0][:, 0], file["val_images"])
    assert load(str(FAULTS / "channels_last_13.npz"), None, 0).info.shape == (13, 16, 16)


@needs_faults
def test_labels_from_1_make_no_class_that_no_row_has():
    source = load(str(FAULTS / "labels_from_1.npz"), None, 0)
    assert source.info.classes == 3
    assert source.info.notes == ("labels 1, 2, 3 are classes 0 to 2, in this order",)
    assert sorted(set(source.train[1].tolist())) == [0, 1, 2]


@needs_faults
def test_validation_rows_of_ones_own_are_the_validation_part():
    source = load(str(FAULTS / "own_validation.npz"), None, 0)
    with np.load(FAULTS / "own_validation.npz") as file:
        assert np.array_equal(source.val[0], file["x_val"])
        assert len(source.train[1]) == len(file["y_train"])
    assert np.array_equal(load(str(FAULTS / "own_validation.npz"), None, 7).val[0], source.val[0])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.array(["no", "yes"]), "labels 'no', 'yes' are classes 0 to 1"),
        (np.array([False, True]), "labels False, True are classes 0 to 1"),
        (np.array([-1, 1]), "labels -1, 1 are classes 0 to 1"),
        (np.array([2.0, 5.0]), "labels 2, 5 are classes 0 to 1"),
    ],
)
def test_labels_that_are_not_counted_from_0(npz, labels, said):
    name = npz(y_train=np.tile(labels, 30), y_test=np.tile(labels, 10))
    assert describe(name).notes == load(name, None, 0).info.notes
    assert said in describe(name).notes[0]
    assert load(name, None, 0).test[1].tolist() == [0, 1] * 10


def test_what_an_accuracy_hides_is_said(npz):
    mostly = np.zeros(60, int)
    mostly[:2] = 1
    notes = " ".join(describe(npz(y_train=mostly, y_test=np.zeros(20, int))).notes)
    assert "96.7% of the training rows are of class 0" in notes
    assert "the test part holds class 0 only" in notes


class Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (_spring, (str(self.file), "sprung"))


def _spring(file: str, text: str) -> None:
    Path(file).write_text(text)


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test", "extra"])
def test_pickled_objects_are_never_loaded(npz, tmp_path, key):
    trap = np.array([Trap(tmp_path / "sprung")] * 60, dtype=object)
    name = npz(**{key: trap})
    if key == "extra":
        assert load(name, None, 0).info.train == 50  # an array that nobody asked for is not looked at
    else:
        with pytest.raises(UsageError, match="pickled Python objects"):
            load(name, None, 0)
        with pytest.raises(UsageError, match="pickled Python objects"):
            describe(name)
    assert not (tmp_path / "sprung").exists()
    with np.load(name, allow_pickle=True) as file:
        file[key]
    assert (tmp_path / "sprung").exists()  # the trap does work


def test_a_bare_pickle_is_never_loaded(tmp_path):
    (tmp_path / "data.npz").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(UsageError, match=r"data\.npz"):
        load(str(tmp_path / "data.npz"), None, 0)
    assert not (tmp_path / "sprung").exists()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def archive(**changes: bytes) -> bytes:
    """An .npz, its members' bytes changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for key, value in arrays().items():
            file.writestr(f"{key}.npy", changes.get(key, npy(value)))
    return out.getvalue()


def compressed(spoil: bool) -> bytes:
    """A compressed .npz, one byte amid the first array spoiled."""
    out = io.BytesIO()
    np.savez_compressed(out, **arrays())
    raw = bytearray(out.getvalue())
    if spoil:
        raw[raw.index(b"x_train.npy") + 60] ^= 0x5A
    return bytes(raw)


HUGE = (
    b"\x93NUMPY\x01\x00"
    + struct.pack("<H", 118)
    + b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117)
    + b"\n"
)
BROKEN = {
    "empty": b"",
    "one byte": b"x",
    "text": b"x_train = 1, 2, 3\n" * 20,
    "an .npy": npy(np.ones((60, 5))),
    "zip truncated": archive()[:-300],
    "zip cut short": archive()[:100],
    "an array truncated": archive(x_train=npy(arrays()["x_train"])[:-40]),
    "labels truncated": archive(y_train=npy(arrays()["y_train"])[:-40]),
    "rows that are no array": archive(x_train=b"hello, this is text"),
    "labels that are no array": archive(y_train=b"hello, this is text"),
    "labels of no bytes": archive(y_test=b""),
    "a header truncated": archive(x_test=npy(arrays()["x_test"])[:30]),
    "labels beyond any memory": archive(y_train=HUGE),
    "bytes spoiled": compressed(spoil=True),
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused(tmp_path, raw):
    (tmp_path / "data.npz").write_bytes(raw)
    with pytest.raises(UsageError) as caught:
        load(str(tmp_path / "data.npz"), None, 0)
    assert "data.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_broken_files_are_broken_only_where_they_say(tmp_path):
    for raw in (archive(), compressed(spoil=False)):
        (tmp_path / "data.npz").write_bytes(raw)
        assert load(str(tmp_path / "data.npz"), None, 0).info.train == 50


def test_text_is_not_called_a_pickle(tmp_path):
    """A CSV that was renamed holds no Python objects; saying so would send its owner astray."""
    (tmp_path / "data.npz").write_bytes(BROKEN["text"])
    with pytest.raises(UsageError) as caught:
        load(str(tmp_path / "data.npz"), None, 0)
    assert "pickle" not in str(caught.value)


def test_a_missing_file_and_an_unknown_name(tmp_path):
    with pytest.raises(UsageError, match=r"none\.npz: no such data file"):
        describe(str(tmp_path / "none.npz"))
    with pytest.raises(UsageError, match="unknown data set 'mnits': did you mean 'mnist'"):
        describe("mnits")
    with pytest.raises(UsageError, match=r"unknown data set 'table\.xls': choose from digits.*npz"):
        describe("table.xls")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(UsageError, match=r"folder\.npz"):
        describe(str(tmp_path / "folder.npz"))


def test_describe_agrees_with_what_is_loaded(npz):
    for name in ("digits", "moons", npz()):
        info, source = describe(name), load(name, None, 0)
        assert source.info == info
        assert (len(source.train[1]), len(source.val[1]), len(source.test[1])) == (info.train, info.val, info.test)
    assert {"digits", "mnist", "fashion-mnist", "cifar10", *TOYS} <= set(KNOWN)


@pytest.mark.skipif(not MNIST.exists(), reason="no real MNIST beside the repository")
def test_a_truncated_mnist_file_gets_one_line(tmp_path, monkeypatch):
    import torchvision

    def offline(_self: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", offline)
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"):
        shutil.copyfile(MNIST / name, folder / name)
    with open(MNIST / "train-images-idx3-ubyte", "rb") as file:
        (folder / "train-images-idx3-ubyte").write_bytes(file.read(5000))
    with pytest.raises(SweepError) as caught:
        load("mnist", str(tmp_path), 0)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_the_classes_are_counted_in_each_part():
    source = load("digits", None, 3)
    counts = source.classes()
    for part, stored in (("train", counts.train), ("val", counts.val), ("test", counts.test)):
        labels = getattr(source, part)[1].tolist()
        assert list(stored) == [labels.count(label) for label in range(10)]
    labels = source.train[1].tolist()
    assert counts.first == tuple(labels.index(label) for label in range(10))
    for size in (1, 12, 40):
        assert counts.missing(size) == sorted(set(range(10)) - set(labels[:size]))
    assert counts.missing() == []
    label, chance = counts.guessing()
    assert chance == source.val[1].tolist().count(label) / len(source.val[1]) == max(counts.val) / sum(counts.val)
    assert classes_from_dict(json.loads(json.dumps(counts.to_dict()))) == counts


def test_further_test_sets_are_the_files_own_or_shifts_of_the_test_part(npz):
    """Standardised by the training part like any other; a shift is of the numbers as they came."""
    draw = np.random.default_rng(1)
    more = draw.normal(3, 2, (7, 5))
    name = npz(x_test_winter=more, y_test_winter=np.arange(7) % 3)
    assert describe(name).tests == ("winter",)
    plain = load(name, None, 0)
    source = replace(plain, shifts=(Shift("both", 0.5, 6.0),))
    split = source.split("zscore", "all")
    mean, sd = source.train[0].mean(0), source.train[0].std(0)
    assert list(split.tests) == ["winter", "both"]
    np.testing.assert_allclose(split.tests["winter"].x, (more - mean) / sd, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(split.tests["both"].x, (0.5 * arrays()["x_test"] + 6 - mean) / sd, rtol=1e-5, atol=1e-6)
    assert split.tests["both"].y.tolist() == split.test.y.tolist()
    bare = load(npz(), None, 0)
    assert source.fingerprint() == plain.fingerprint() != bare.fingerprint()
    assert all(
        torch.equal(a.x, b.x)
        for a, b in zip(vars(bare.split("zscore", "all")).values(), vars(split).values(), strict=True)
        if isinstance(a, Part)
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_test_winter": np.ones((7, 5))}, "no array y_test_winter"),
        ({"x_test_winter": np.ones((7, 4)), "y_test_winter": np.arange(7) % 3}, "rows of x_train are [5], of"),
        ({"x_test_winter": np.ones((7, 5)), "y_test_winter": np.arange(7)}, "y_test_winter holds label 3"),
    ],
)
def test_a_bad_further_test_set_is_refused(npz, changes, words):
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        load(npz(**changes), None, 0)
