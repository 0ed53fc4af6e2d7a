"""torchvision's sets by their names, from files in their own formats that are written here (nothing is downloaded)."""

from __future__ import annotations

import inspect
import struct
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image
from scipy.io import savemat

from sweep.data import describe, load
from sweep.data.vision import TORCHVISION
from sweep.errors import UsageError
from tests.conftest import SHARED

ROWS = 30
DRAW = np.random.default_rng(0)
UPRIGHT = np.zeros((28, 28), np.uint8)
UPRIGHT[2:4, 5:25] = 200  # a bar along the top


@pytest.fixture(autouse=True)
def _any_checksum(monkeypatch):
    """The tiny files have not the checksums of the real ones; whether they are there is still looked at."""
    for module in (torchvision.datasets.svhn, torchvision.datasets.stl10, torchvision.datasets.flowers102):
        monkeypatch.setattr(module, "check_integrity", lambda path, *_, **__: Path(path).is_file())


def write_idx(path, array: np.ndarray) -> None:
    """IDX (Y. LeCun): the type, the number of axes, their sizes, big-endian values."""
    kind = {"uint8": 8, "int32": 12}[str(array.dtype)]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + array.astype(array.dtype.newbyteorder(">")).tobytes())


def parts(source):
    return [source.train, source.val, source.test]


def test_emnist_is_upright_and_its_letters_begin_at_0(tmp_path):
    for part in ("train", "test"):
        images = np.repeat(UPRIGHT.T[None], ROWS, 0)  # as the files have them
        write_idx(tmp_path / f"EMNIST/raw/emnist-letters-{part}-images-idx3-ubyte", images)
        labels = (np.arange(ROWS) % 26 + 1).astype(np.uint8)
        write_idx(tmp_path / f"EMNIST/raw/emnist-letters-{part}-labels-idx1-ubyte", labels)
    source = load("emnist-letters", str(tmp_path), 0)
    assert (source.train[0][0, 0] == UPRIGHT).all()
    assert {*np.concatenate([labels for _, labels in parts(source)])} == {*range(26)}
    assert (source.info.train, source.info.val, source.info.test) == (25, 5, 30)
    assert (describe("emnist-letters").classes, describe("emnist-letters").train) == (26, 104_000)


def test_qmnist_has_one_label_of_its_eight(tmp_path):
    for part in ("train", "test"):
        write_idx(tmp_path / f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte", np.repeat(UPRIGHT[None], ROWS, 0))
        labels = np.column_stack([np.arange(ROWS) % 10, *[np.full(ROWS, 77)] * 7]).astype(np.int32)
        write_idx(tmp_path / f"QMNIST/raw/qmnist-{part}-labels-idx2-int", labels)
    source = load("qmnist", str(tmp_path), 0)
    assert (source.test[1] == np.arange(ROWS) % 10).all()
    assert (source.test[0][0, 0] == UPRIGHT).all()


def test_svhn_has_its_zero_at_0_and_channels_first(tmp_path):
    x = DRAW.integers(0, 255, (ROWS, 3, 32, 32)).astype(np.uint8)
    for part in ("train", "test"):
        content = {"X": x.transpose(2, 3, 1, 0), "y": (np.arange(ROWS) % 10 + 1)[:, None]}
        savemat(tmp_path / f"{part}_32x32.mat", content)
    source = load("svhn", str(tmp_path), 0)
    assert (source.test[0] == x).all()
    assert (source.test[1] == (np.arange(ROWS) % 10 + 1) % 10).all()
    small = load("svhn#image_size=8", str(tmp_path), 0)
    assert small.test[0].shape == (ROWS, 3, 8, 8)
    expected = np.asarray(Image.fromarray(x[3].transpose(1, 2, 0)).resize((8, 8), Image.Resampling.BILINEAR))
    assert (small.test[0][3] == expected.transpose(2, 0, 1)).all()


def test_stl10_leaves_out_what_has_no_label(tmp_path):
    x = DRAW.integers(0, 255, (ROWS, 3, 96, 96)).astype(np.uint8)
    labels = np.arange(ROWS) % 10 + 1  # as the files have them
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    for part in ("train", "test"):
        (folder / f"{part}_X.bin").write_bytes(x.transpose(0, 1, 3, 2).tobytes())  # columns first
        (folder / f"{part}_y.bin").write_bytes(labels.astype(np.uint8).tobytes())
    (folder / "unlabeled_X.bin").write_bytes(x.tobytes())
    (folder / "class_names.txt").write_text("\n".join("abcdefghij"))
    source = load("stl10", str(tmp_path), 0)
    assert (source.test[1] == labels - 1).all()
    assert (source.test[0] == x).all()
    assert len(source.train[1]) + len(source.val[1]) == ROWS


def test_flowers_are_brought_to_one_size_with_their_own_validation_part(tmp_path):
    folder = tmp_path / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    ids = np.arange(1, 3 * ROWS + 1)
    for number in ids:
        plain = np.full((20 + number % 5, 30, 3), number, np.uint8)
        Image.fromarray(plain).save(folder / "jpg" / f"image_{number:05d}.jpg", quality=100)
    savemat(folder / "imagelabels.mat", {"labels": ids})  # from 1
    savemat(folder / "setid.mat", dict(zip(("trnid", "valid", "tstid"), np.split(ids, 3), strict=True)))
    source = load("flowers102#image_size=16", str(tmp_path), 0)
    assert not source.info.splits
    assert [len(labels) for _, labels in parts(source)] == [ROWS, ROWS, ROWS]
    assert source.test[0].shape == (ROWS, 3, 16, 16)
    assert (source.test[1] == ids[-ROWS:] - 1).all()
    assert np.abs(source.test[0].mean((1, 2, 3)) - ids[-ROWS:]).max() < 2  # the pictures of these labels


def test_one_file_is_split_three_ways(tmp_path):
    for name in ("Forest", "River"):
        (tmp_path / "eurosat/2750" / name).mkdir(parents=True)
        for number in range(ROWS):
            Image.new("RGB", (64, 64), (number, 0, 200)).save(tmp_path / f"eurosat/2750/{name}/{name}_{number}.jpg")
    source = load("eurosat", str(tmp_path), 0)
    assert [len(labels) for _, labels in parts(source)] == [36, 12, 12]
    assert {*source.train[1]} == {0, 1}


@pytest.mark.parametrize("name", [name for name, known in TORCHVISION.items() if known.parts])
def test_every_class_is_there_and_takes_what_it_is_called_with(name):
    known = TORCHVISION[name]
    kind = getattr(torchvision.datasets, known.torchvision)
    for kwargs in known.parts.values():
        inspect.signature(kind.__init__).bind_partial(None, "root", **kwargs)
    assert describe(f"{name}#image_size=16").shape == (known.shape[0], 16, 16)


def test_what_is_missing_is_said_with_the_line_that_fetches_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.semeion.SEMEION, "download", lambda _: pytest.fail("downloaded"))
    with pytest.raises(UsageError, match=r"semeion: cannot be read from .* D\('.*', download=True\)") as caught:
        load("semeion", str(tmp_path), 0)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"split='train', download=True\); D\(.*, split='test', download=True\)"):
        load("svhn", str(tmp_path), 0)
    for name, words in (("flowers102", "of many sizes; expected --image-size N"), ("svhn#target=y", "needs none")):
        with pytest.raises(UsageError, match=words):
            describe(name)
    with pytest.raises(UsageError, match="expected pixels, 4 to 512"):
        describe("svhn#image_size=2")


def test_rows_of_each_class_add_up_to_all_rows():
    for name, known in TORCHVISION.items():
        if known.counts:
            assert len(known.counts) == known.classes, name
            assert sum(known.counts) == known.train + known.val + known.test, name


@pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason="MNIST is not beside the repository")
def test_mnists_rows_of_each_class_are_those_of_its_files():
    source = load("mnist", str(SHARED), 0)
    labels = np.concatenate([source.train[1], source.val[1], source.test[1]])
    assert tuple(np.bincount(labels).tolist()) == TORCHVISION["mnist"].counts
