"""The arrays that people bring, with their labels and test sets; and what the commands make of all that is brought."""
import gzip
import json
import pickle
import re
import xml.dom.minidom
import zipfile

import numpy as np
import pytest

from numpyvae.datasets import load_dataset, load_images
from numpyvae.datasets.contents import Reading
from numpyvae.datasets.files import read
from tests.own_data import SHORT, run, said, save_pictures, write_csv, write_idx


# Arrays

@pytest.mark.parametrize("shape, words", [
    ((20, 3, 8, 8), "transpose(0, 2, 3, 1)"), ((20, 1, 8, 8), "transpose(0, 2, 3, 1)"),
    ((20, 13, 8, 8), "transpose(0, 2, 3, 1)"), ((8, 8, 3, 20), "transpose(3, 0, 1, 2)"),
    ((9, 9, 20), "transpose(2, 0, 1), or x[..., None]"), ((64, 48, 3), "one image in colour"),
    ((10, 8, 8, 8), "volumes")])
def test_axes_that_are_hardly_in_order_are_refused(shape, words, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8) + np.uint8(255))
    with pytest.raises(ValueError, match=re.escape(words)):
        load_images(tmp_path / "x.npy")


@pytest.mark.parametrize("shape", [(20, 8, 8), (8, 8, 8), (20, 8, 6), (20, 8, 8, 13), (20, 3, 3, 3), (20, 8, 6, 2)])
def test_axes_that_are_in_order(shape, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8) + np.uint8(255))
    assert load_images(tmp_path / "x.npy")[0].shape == shape


def test_whole_numbers_are_bytes_black_and_white_or_refused(blobs, tmp_path):
    path = tmp_path / "x.npy"
    for dtype in (np.uint8, np.int64, np.uint16):
        np.save(path, (blobs > 99).astype(dtype))
        np.testing.assert_array_equal(load_images(path)[0], np.where(blobs > 99, 255, 0))
    np.save(path, blobs.astype(float))
    images, _ = load_images(path)
    assert images.dtype == np.uint8 and "whole numbers saved as floats became bytes" in said(path)
    for array, words in ((blobs // 16, "from 0 to 15, which may be dark bytes, levels or counts"),
                         (blobs.astype(np.int64) * 257, "x / 65535"), (blobs.astype(np.int64) - 9, "gaussian")):
        np.save(path, array)
        with pytest.raises(ValueError, match=words):
            load_images(path)


def test_floats_that_float32_cannot_hold_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.full((3, 4), 1e300))
    with pytest.raises(ValueError, match="standardise"):
        load_images(tmp_path / "x.npy")


@pytest.mark.parametrize("names", [("x_train", "y_train", "x_test", "y_test"),
                                   ("train_images", "train_labels", "test_images", "test_labels"),
                                   ("X_train", "Y_train", "X_test", "Y_test")])
def test_the_test_set_in_an_npz_is_the_test_set(names, blobs, tmp_path):
    arrays = dict(zip(names, (blobs[:9], np.arange(9)[:, None] % 3, blobs[9:], np.arange(3)[:, None])))
    np.savez(tmp_path / "k.npz", **arrays, val_images=blobs[:2])
    data = load_dataset(tmp_path / "k.npz")
    np.testing.assert_array_equal(data.train, blobs[:9])
    np.testing.assert_array_equal(data.test, blobs[9:])
    np.testing.assert_array_equal(data.test_labels, [0, 1, 2])
    assert f"in {names[2]}" in data.said and "not used: 'val_images'" in data.said


def test_arrays_by_name(blobs, tmp_path):
    np.savez(tmp_path / "d.npz", a=blobs, b=blobs[::-1], what=np.arange(12) % 2)
    with pytest.raises(ValueError, match="name yours with --array"):
        load_images(tmp_path / "d.npz")
    images, labels = load_images(tmp_path / "d.npz", array="b", label_array="what")
    np.testing.assert_array_equal(images, blobs[::-1])
    np.testing.assert_array_equal(labels, np.arange(12) % 2)
    assert load_images(tmp_path / "d.npz", array="b")[1] is None
    with pytest.raises(ValueError, match="--array. is 'c', but .* expected one of them"):
        load_images(tmp_path / "d.npz", array="c")


def test_labels_are_those_of_the_array_that_was_asked_for(blobs, tmp_path):
    y = np.arange(12) % 3
    np.savez(tmp_path / "k.npz", x_train=blobs, y_train=y, x_test=blobs, y_test=y, val_images=blobs,
             coarse_train=y // 2, coarse_test=y // 2)
    assert load_images(tmp_path / "k.npz", array="val_images")[1] is None
    for name, expected in (("coarse_train", y // 2), ("y_train", y)):
        data = load_dataset(tmp_path / "k.npz", label_array=name)
        np.testing.assert_array_equal(data.train_labels, expected)
        np.testing.assert_array_equal(data.test_labels, expected)
    assert load_dataset(tmp_path / "k.npz", label_array="y_test").test_labels is None


def test_the_number_of_classes_is_that_of_the_labels_there(blobs, tmp_path):
    np.savez(tmp_path / "l.npz", x=blobs, y=np.array([3, 8] * 6, np.uint64))
    assert "2 classes (3, 8)" in said(tmp_path / "l.npz")


@pytest.mark.parametrize("labels, expected, names", [
    (np.eye(3)[np.arange(12) % 3], np.arange(12) % 3, None), (np.arange(12)[:, None] % 3, np.arange(12) % 3, None),
    (np.array(["cow", "ape"] * 6), [1, 0] * 6, ("ape", "cow")), (np.arange(12) * 1000, np.arange(12), "0 1000"),
    (np.arange(12) % 3 - 1.0, np.arange(12) % 3, "-1 0 1"), (np.arange(12) % 2 == 0, [1, 0] * 6, ("False", "True"))])
def test_labels_of_every_kind_become_classes(labels, expected, names, blobs, tmp_path):
    np.savez(tmp_path / "l.npz", x=blobs, y=labels)
    contents = read(tmp_path / "l.npz", Reading())
    np.testing.assert_array_equal(contents.labels, expected)
    found = contents.classes
    assert found == names or " ".join(found[:len(names.split())]) == names


@pytest.mark.parametrize("labels", [np.arange(11), np.linspace(0, 1, 12), np.zeros((12, 2)), np.full(12, np.nan),
                                    np.array([{}] * 12, object)])
def test_labels_that_nobody_asked_for_never_stop_a_run(labels, blobs, tmp_path):
    np.savez(tmp_path / "l.npz", x=blobs, y=labels)
    images, found = load_images(tmp_path / "l.npz")
    assert len(images) == 12 and found is None and "labels not used: " in said(tmp_path / "l.npz")
    with pytest.raises(ValueError):
        load_images(tmp_path / "l.npz", label_array="y")


# IDX

def test_a_folder_of_idx_files(blobs, tmp_path):
    for name, part in (("train", blobs[:9]), ("t10k", blobs[9:])):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte.gz", part)
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte.gz", np.arange(len(part)) % 3)
    data = load_dataset(tmp_path)
    np.testing.assert_array_equal(data.train, blobs[:9])
    np.testing.assert_array_equal(data.test, blobs[9:])
    np.testing.assert_array_equal(data.test_labels, [0, 1, 2])
    images, labels = load_images(tmp_path / "train-images-idx3-ubyte.gz")
    np.testing.assert_array_equal(labels, np.arange(9) % 3)


def test_emnist_is_turned(blobs, tmp_path):
    path = tmp_path / "emnist-letters-train-images-idx3-ubyte"
    write_idx(path, blobs.swapaxes(1, 2))
    assert "--transpose" in said(path)
    np.testing.assert_array_equal(load_images(path, transpose=True)[0], blobs)
    assert "--transpose" not in said(path, transpose=True)


def test_what_lies_in_mnists_place_is_called_what_it_is(tmp_path, monkeypatch):
    """Fashion-MNIST and others come under MNIST's file names."""
    import hashlib
    import importlib
    mnist = importlib.import_module("numpyvae.datasets.mnist")
    monkeypatch.setattr(mnist, "COUNTS", {"train": 9, "test": 3})
    (tmp_path / "fashion").mkdir()
    for name, n in (("train", 9), ("t10k", 3)):
        write_idx(tmp_path / "fashion" / f"{name}-images-idx3-ubyte.gz", np.full((n, 28, 28), 99))
        write_idx(tmp_path / "fashion" / f"{name}-labels-idx1-ubyte.gz", np.arange(n) % 3)
    data = load_dataset("mnist", tmp_path / "fashion")
    assert data.name == "fashion" and "have MNIST's names, but are not MNIST's" in data.said
    digest = hashlib.md5((tmp_path / "fashion" / "train-images-idx3-ubyte.gz").read_bytes()).hexdigest()
    monkeypatch.setitem(mnist.ARCHIVES, digest, "fashion-mnist")
    assert load_dataset("mnist", tmp_path / "fashion").name == "fashion-mnist"


def test_labels_of_idx_files_are_coded_together(blobs, tmp_path):
    for name, part, labels in (("train", blobs[:9], [10, 20, 30] * 3), ("t10k", blobs[9:], [10, 30, 30])):
        write_idx(tmp_path / f"{name}-images.idx3-ubyte", part)    # as some unpack them
        write_idx(tmp_path / f"{name}-labels.idx1-ubyte", np.array(labels))
    data = load_dataset(tmp_path)
    np.testing.assert_array_equal(data.train_labels, [0, 1, 2] * 3)
    np.testing.assert_array_equal(data.test_labels, [0, 2, 2])
    assert data.classes == ("10", "20", "30")


# A training set and its test set

@pytest.mark.parametrize("train, test", [
    (lambda x: x.astype(float), lambda x: x / 2), (lambda x: x / 255, lambda x: x / 2),
    (lambda x: x, lambda x: x / 255), (lambda x: x, lambda x: x > 99), (lambda x: x, lambda x: 1 * (x > 99)),
    (lambda x: x / 255 - 0.5, lambda x: x + 0.5), (lambda x: x / 255, lambda x: x / 127.5 - 1)])
def test_sets_that_are_scaled_apart_are_refused(train, test, blobs, tmp_path):
    np.savez(tmp_path / "k.npz", x_train=train(blobs), x_test=test(blobs))
    with pytest.raises(ValueError, match="array 'x_train', holds .* and .* training and test images on one scale"):
        load_dataset(tmp_path / "k.npz")
    np.save(tmp_path / "a.npy", train(blobs))
    np.save(tmp_path / "b.npy", test(blobs))
    with pytest.raises(ValueError, match="a.npy holds .* and .*b.npy holds .* training and test images on one scale"):
        load_dataset(tmp_path / "a.npy", test=tmp_path / "b.npy")


@pytest.mark.parametrize("train, test", [
    (lambda x: x.astype(float), lambda x: x), (lambda x: x > 9, lambda x: x > 99),
    (lambda x: x > 9, lambda x: (x > 99) * 1), (lambda x: x / 255, lambda x: x / 300)])
def test_sets_of_one_scale_may_be_saved_in_two_ways(train, test, blobs, tmp_path):
    np.savez(tmp_path / "k.npz", x_train=train(blobs), x_test=test(blobs))
    data = load_dataset(tmp_path / "k.npz")
    assert data.train.dtype == data.test.dtype and 0 < data.test.max() <= data.train.max()


def test_options_are_those_of_the_training_set(blobs, tmp_path):
    """One that has no effect on the test set is passed over there."""
    np.savez(tmp_path / "a.npz", mine=blobs, other=blobs[:2])
    np.save(tmp_path / "b.npy", blobs[:3])
    np.savez(tmp_path / "c.npz", x_test=blobs[:4], y_test=np.arange(4))
    assert len(load_dataset(tmp_path / "a.npz", array="mine", test=tmp_path / "b.npy").test) == 3
    assert len(load_dataset(tmp_path / "a.npz", array="mine", test=tmp_path / "c.npz").test) == 4
    save_pictures(tmp_path / "f", blobs)
    np.save(tmp_path / "d.npy", blobs[:, :6])
    assert len(load_dataset(tmp_path / "f", size=6, test=tmp_path / "d.npy").test) == 12


def test_one_hot_labels_beside_others_are_not_joined(blobs, tmp_path):
    y = np.arange(12) % 3
    np.savez(tmp_path / "k.npz", x_train=blobs, y_train=y + 1, x_test=blobs, y_test=np.eye(3)[y])
    data = load_dataset(tmp_path / "k.npz")
    assert data.train_labels is None and "one is one-hot and the other is not" in data.said


def test_pictures_laid_on_different_grounds_are_refused(blobs, tmp_path):
    for name, ink in (("a", 0), ("b", 255)):
        drawings = np.full((*blobs.shape, 4), ink, np.uint8)
        drawings[..., 3] = blobs
        save_pictures(tmp_path / name, drawings)
    with pytest.raises(ValueError, match="laid on white, and .* others that are laid on black"):
        load_dataset(tmp_path / "a", test=tmp_path / "b")


def test_what_was_done_to_the_test_set_is_said(blobs, tmp_path):
    save_pictures(tmp_path / "a", blobs)
    save_pictures(tmp_path / "b", np.stack([blobs, blobs // 2, 255 - blobs], axis=3))
    (tmp_path / "b" / "x.txt").write_bytes(b"")
    line = load_dataset(tmp_path / "a", test=tmp_path / "b").said
    assert "12 more to test on (12 in colour, turned to grey" in line and "1 other file (1 of .txt) skipped)" in line


def test_classes_of_an_own_test_set_have_the_same_names(blobs, tmp_path):
    for folder, names in (("a", ("cat", "dog", "emu")), ("b", ("cat", "emu"))):
        for name in names:
            save_pictures(tmp_path / folder / name, blobs[:4])
    data = load_dataset(tmp_path / "a", test=tmp_path / "b")
    np.testing.assert_array_equal(data.test_labels, [0] * 4 + [2] * 4)
    save_pictures(tmp_path / "c" / "dog", blobs)    # a class, and not a shelf
    np.testing.assert_array_equal(load_dataset(tmp_path / "a", test=tmp_path / "c").test_labels, [1] * 12)
    save_pictures(tmp_path / "d" / "DOG", blobs)
    save_pictures(tmp_path / "d" / "cat", blobs)
    assert "1 class that only they have: 'DOG'" in load_dataset(tmp_path / "a", test=tmp_path / "d").said


def test_a_file_of_two_sets_beside_an_own_test_set(blobs, tmp_path):
    np.savez(tmp_path / "k.npz", x_train=blobs, x_test=blobs[:5])
    np.save(tmp_path / "x.npy", blobs)
    data = load_dataset(tmp_path / "x.npy", test=tmp_path / "k.npz")
    np.testing.assert_array_equal(data.test, blobs[:5])
    assert "not used: 'x_train'" in data.said
    for name in ("train", "test"):
        save_pictures(tmp_path / "f" / name, blobs)
    with pytest.raises(ValueError, match="holds a training set and a test set"):
        load_dataset(tmp_path / "x.npy", test=tmp_path / "f")
    data = load_dataset(tmp_path / "k.npz", test=tmp_path / "x.npy")
    assert "its own 5 test images are not used" in data.said and "x_test" not in data.said


def test_an_empty_path_is_not_this_folder(blobs, tmp_path, monkeypatch):
    monkeypatch.chdir(save_pictures(tmp_path / "f", blobs))
    with pytest.raises(ValueError, match="data is ''; expected the path"):
        load_images("")
    with pytest.raises(ValueError, match="test .--test. is ''; expected the path"):
        load_dataset(".", test="")


# Formats that are named

@pytest.mark.parametrize("content, words", [
    (pickle.dumps([1]), "a pickle.*pickle.load"), (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5.*h5py"),
    (b"PAR1" + bytes(99), "Parquet.*read_parquet"), (b"MATLAB 5.0 MAT-file" + bytes(99), "MATLAB.*loadmat"),
    (b"\x89PNG\r\n\x1a\n", "one picture .PNG.*name its folder"), (bytes(257) + b"ustar" + bytes(99), "tar"),
    (b"", "is empty"), (b'{"a": 1}', "JSON"), (bytes(128) + b"DICM", "DICOM"), (bytes(4) + b"ftypheic", "HEIC"),
    (b"BZh9", "bzip2"), (gzip.compress(b"label,a\n"), "gzip")],
    ids=lambda value: value if isinstance(value, str) else "")    # gzip writes the time into its bytes
def test_other_formats_are_named_with_the_way_out(content, words, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        load_images(tmp_path / "x")


def test_formats_that_are_zip_files_inside_are_named(tmp_path):
    for member, words in (("archive/data.pkl", "PyTorch.*torch.load"), ("xl/workbook.xml", "Excel.*read_excel")):
        with zipfile.ZipFile(tmp_path / "x", "w") as archive:
            archive.writestr(member, b"x")
        with pytest.raises(ValueError, match=words):
            load_images(tmp_path / "x")


# Options that have no effect

@pytest.mark.parametrize("how", [{"colour": True}, {"size": 5}, {"array": "x"}, {"label_array": "y"}])
def test_options_without_effect_are_refused(how, blobs, tmp_path):
    np.save(tmp_path / "x.npy", blobs)
    flag = next(iter(how)).replace("_", "-")
    with pytest.raises(ValueError, match=f"--{flag}. is .*, which has no effect on an .npy file; expected none"):
        load_images(tmp_path / "x.npy", **how)


# The command line

def test_a_folder_of_colour_photos_from_the_command_to_the_report(blobs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colours = np.repeat(np.stack([blobs, blobs // 2, 255 - blobs], axis=3), 3, axis=0)
    for name in ("cat & dog", "<script>alert(1)</script>".replace("/", "")):
        save_pictures(tmp_path / "f" / name, colours)
    code, _, err = run(capsys, "train", "--data", "f", "--colour", "--size", "8", *SHORT, "--out", "r")
    assert code == 0 and "72 images 8 x 8, colour" in err and "72 cropped in the middle and resized" in err
    page = (tmp_path / "r" / "report.html").read_text()
    assert "<script>alert" not in page and "cat &amp; dog" in page
    configuration = json.loads((tmp_path / "r" / "metrics.json").read_text())["configuration"]
    assert configuration["colour"] is True and configuration["size"] == [8, 8] and configuration["batch_size"] == 65
    code, _, err = run(capsys, "evaluate", "r", "--samples", "5", "--images", "5")
    assert code == 0 and "72 images 8 x 8, colour" in err


def test_a_table_from_the_command_to_the_report(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    path = write_csv(tmp_path / "t.csv", rng.normal(0, 1, (60, 3)).round(4), ["price_$", "a<b", "c"])
    code, _, err = run(capsys, "train", "--data", path, *SHORT, "--out", "r")
    assert code == 1 and "take the likelihood gaussian" in err and "divide" not in err
    code, _, err = run(capsys, "train", "--data", path, "--likelihood", "gaussian", *SHORT, "--out", "r")
    assert code == 0 and "60 rows of 3 numbers" in err
    page = (tmp_path / "r" / "report.html").read_text()
    assert "Rows and their reconstructions" in page and "price_$" in page and "a&lt;b" in page
    words = re.sub("<(style|script)>.*?</\\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert "Samples from the prior" not in page and not re.findall(r".{30}\b[Ii]mage.{30}", words)


def test_columns_in_the_ten_thousands_get_the_advice_that_helps(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", (1e20 * np.random.default_rng(0).standard_normal((60, 12))).astype(np.float32))
    code, _, err = run(capsys, "train", "--data", "x.npy", "--likelihood", "gaussian", *SHORT, "--out", "r")
    assert code == 1 and "standardise the columns" in err and "smaller lr" not in err


def test_labels_a_thousand_apart_are_classes(blobs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=np.repeat(blobs, 10, axis=0), y=np.repeat(np.arange(12) * 10**6, 10))
    code, _, err = run(capsys, "train", "--data", "x.npz", "--conditional", *SHORT, "--out", "r")
    assert code == 0 and "became classes 0 to 11" in err


def test_a_class_that_only_the_test_set_has(blobs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.repeat(blobs, 5, axis=0)
    np.savez("k.npz", x_train=x, y_train=np.arange(60) % 2, x_test=x, y_test=np.arange(60) % 3)
    code, _, err = run(capsys, "train", "--data", "k.npz", "--conditional", *SHORT, "--out", "r")
    assert code == 0, err


@pytest.mark.filterwarnings("error")
def test_names_of_every_kind_and_number_are_drawn(blobs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"person {i}" for i in range(60)] + ["$x_1$", "long " * 60, "日本", "\N{GRINNING FACE}", "\1\x1b[31m"]
    x, y = np.repeat(blobs[:1], 650, axis=0), np.array(names * 10)
    np.savez("k.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    code, _, err = run(capsys, "train", "--data", "k.npz", *SHORT, "--out", "r")
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert code == 0 and len(lines) == 3 and "Warning" not in err
    assert "$x_1$" in page and "\\$" not in page and "and 26 more" in page and "\x1b" not in page + err
    for svg in re.findall("<svg.*?</svg>", page, re.DOTALL):
        xml.dom.minidom.parseString(svg)


def test_an_own_test_set(blobs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.repeat(blobs, 5, axis=0))
    np.save("t.npy", blobs[:7])
    code, _, err = run(capsys, "train", "--data", "x.npy", "--test", "t.npy", *SHORT, "--out", "r")
    assert code == 0 and "7 more to test on" in err and "tested on t.npy" in err
    np.save("t.npy", blobs[:, :5])
    code, _, err = run(capsys, "train", "--data", "x.npy", "--test", "t.npy", *SHORT, "--out", "s")
    assert code == 1 and "expected training and test images of the same size" in err
