"""Reading files that may be damaged or forged: datasets/idx.py, mnist.py and files.py."""
import gzip
import hashlib
import io
import os
import pathlib
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest

from numpyvae.datasets import load_dataset, load_images, mnist, read_idx

needs_mnist = pytest.mark.skipif("NUMPYVAE_DATA" not in os.environ, reason="NUMPYVAE_DATA does not name MNIST's folder")


def idx(array, code=8):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (6, 5, 4), np.uint8)


@pytest.fixture
def save(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return path
    return write


def refused(path, named, error=ValueError, read=load_images):
    """Reading fails with one line that names the file, and without the memory that a header promises."""
    tracemalloc.start()
    with pytest.raises(error, match=named) as caught:
        read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.name in str(caught.value) and "\n" not in str(caught.value)
    assert peak < 20e6


# IDX

@pytest.mark.parametrize("code, dtype", [(8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_comes_back(code, dtype, pack, rng, save):
    array = rng.integers(0, 100, (3, 4, 2)).astype(dtype)
    found = read_idx(save(pack(idx(array, code))))
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype.newbyteorder("=") and found.dtype.isnative


@pytest.mark.parametrize("change, named", [
    (lambda good: good[:-1], "ends after 119 of 120 bytes"), (lambda good: good + b"x", "goes on after the 120 bytes"),
    (lambda good: good[:9], "ends within its header"), (lambda good: b"", "starts with nothing"),
    (lambda good: b"\0\0\x07" + good[3:], "starts with 00 00 07 03"),
    (lambda good: b"\0\0\x08\0", "starts with 00 00 08 00"),
    (lambda good: struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31), "damaged or forged"),
    (lambda good: struct.pack(">BBBB1I", 0, 0, 14, 1, 2**26), "ends after 0 of 536,870,912"),
])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_that_is_damaged_is_refused(change, named, pack, images, save):
    refused(save(pack(change(idx(images)))), named, read=read_idx)


def test_gzip_that_is_damaged_is_refused(images, save):
    good = gzip.compress(idx(images))
    refused(save(good[:-9]), "damaged gzip", read=read_idx)
    refused(save(good[:-8] + b"\0\0\0\0" + good[-4:]), "damaged gzip.*CRC", read=read_idx)


def test_a_gzip_bomb_is_not_inflated(save):
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=9) as file:
        file.write(struct.pack(">BBBB1I", 0, 0, 8, 1, 1000))
        for _ in range(300):
            file.write(bytes(10**6))
    refused(save(bomb.getvalue()), "goes on after the 1,000 bytes", read=read_idx)


def test_a_missing_file_is_named(tmp_path):
    for read in (read_idx, load_images):
        with pytest.raises(FileNotFoundError, match="nothing.here does not exist"):
            read(tmp_path / "nothing.here")


# .npy and .npz

def npy(array, **options):
    content = io.BytesIO()
    np.lib.format.write_array(content, array, **options)
    return content.getvalue()


def test_npy_comes_back(images, save):
    for array in (images, np.asfortranarray(images)):
        found, labels = load_images(save(npy(array)))
        np.testing.assert_array_equal(found, images)
        assert labels is None and found.dtype == np.uint8
    np.testing.assert_array_equal(load_images(save(npy(images > 99)))[0], 255 * (images > 99))
    np.testing.assert_array_equal(load_images(save(npy(images.astype(np.int64))))[0], images)
    found, _ = load_images(save(npy(images / 255)))
    np.testing.assert_allclose(found, images / 255, rtol=1e-6)
    assert found.dtype == np.float32


def forged(shape, dtype="|u1"):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": dtype, "fortran_order": False, "shape": shape})
    return content.getvalue()


@pytest.mark.parametrize("content, named", [
    (forged((2**40, 8)), "damaged or forged"), (forged((2**62, 2**62)), "damaged or forged"),
    (forged((-3, -4)), "damaged or forged|damaged header"), (forged((100, 4)) + bytes(399), "does not hold the 400"),
    (npy(np.zeros((3, 3), np.uint8)) + b"x", "does not hold the 9"), (b"\x93NUMPY\x01\x00\xff\xff{", "damaged header"),
    (npy(np.array([[{}]], object), allow_pickle=True), "holds object"), (npy(np.array([["a"]])), "holds <U1"),
    (npy(np.zeros((0, 4), np.uint8)), r"\(0, 4\)"), (npy(np.zeros(4, np.uint8)), r"\(4,\)"),
    (npy(np.full((2, 2), np.nan)), "NaN or infinity"),
    (npy(np.full((2, 2), 256)), "from 256 to 256; expected 0 to 255"),
    (npy(np.full((2, 2), -1)), "from -1 to -1"), (b"hello, world", "starts with 68 65"), (b"", "starts with nothing"),
])
def test_npy_that_is_damaged_or_unfit_is_refused(content, named, save):
    refused(save(content), named)


def npz(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(f"{name}.npy", member)
    return content.getvalue()


@pytest.mark.parametrize("names", [("images", "labels"), ("x_train", "y_train"), ("x", "y")])
def test_npz_comes_back(names, images, save):
    found, labels = load_images(save(npz(**{names[0]: npy(images), names[1]: npy(np.arange(6))})))
    np.testing.assert_array_equal(found, images)
    np.testing.assert_array_equal(labels, np.arange(6))
    found, labels = load_images(save(npz(anything=npy(images))))
    assert labels is None and len(found) == 6


def test_npz_that_is_damaged_or_unfit_is_refused(images, save):
    good = npz(images=npy(images), other=npy(images))
    refused(save(good[:-40]), "damaged .npz")
    refused(save(npz(a=npy(images), b=npy(images))), "holds a, b; expected an array called 'images'")
    refused(save(npz(images=npy(images), labels=npy(np.arange(5)))), r"labels \(5,\) for 6 images")
    refused(save(npz(images=forged((2**40, 8)))), "damaged or forged")
    refused(save(npz(images=forged((10**9, 1)) + bytes(1000))), "damaged or forged")
    refused(save(npz(images=npy(np.array([[{}]], object), allow_pickle=True))), "holds object")
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("images.npy", npy(images))
            archive.writestr("images.npy", npy(images))
    refused(save(content.getvalue()), "two arrays of one name")


# folders of pictures

def write_picture(path, array):
    from PIL import Image
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array).save(path)


def test_a_folder_comes_back(images, tmp_path):
    for i in (3, 1, 0):
        write_picture(tmp_path / f"{i}.png", images[i])
    (tmp_path / "notes.txt").write_text("no picture")
    found, labels = load_images(tmp_path)
    np.testing.assert_array_equal(found, images[[0, 1, 3]])
    assert labels is None


def test_subfolders_are_classes(images, tmp_path):
    for name, i in (("cat", 0), ("dog", 1), ("dog", 2)):
        write_picture(tmp_path / name / f"{i}.png", images[i])
    found, labels = load_images(tmp_path)
    np.testing.assert_array_equal(found, images[:3])
    np.testing.assert_array_equal(labels, [0, 1, 1])


def test_a_folder_that_does_not_fit_is_refused(images, tmp_path):
    refused(tmp_path, "holds no pictures")
    write_picture(tmp_path / "a.png", images[0])
    write_picture(tmp_path / "b.png", images[1][:3])
    with pytest.raises(ValueError, match="b.png has 4 x 3 pixels, a.png has 4 x 5"):
        load_images(tmp_path)
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(ValueError, match="b.png cannot be read as a picture"):
        load_images(tmp_path)


def test_a_users_images_are_split(images, save, tmp_path):
    np.savez(tmp_path / "mine.npz", images=np.repeat(images, 5, axis=0), labels=np.arange(30))
    data = load_dataset(str(tmp_path / "mine.npz"))
    assert (len(data.train), len(data.test), data.name) == (27, 3, "mine.npz")
    again = load_dataset(str(tmp_path / "mine.npz"))
    np.testing.assert_array_equal(data.test_labels, again.test_labels)
    np.testing.assert_array_equal(data.test, images[data.test_labels // 5])
    refused(save(npy(images[:1]), "one.npy"), "holds 1 image", read=lambda path: load_dataset(str(path)))


# MNIST

@pytest.fixture
def module(monkeypatch):
    """numpyvae.datasets.mnist, the module, with one small file to download in place of MNIST's four."""
    import importlib
    module = importlib.import_module("numpyvae.datasets.mnist")
    content = idx(np.arange(5, dtype=np.uint8))
    monkeypatch.setattr(module, "CONTENTS", {"small": (len(content), hashlib.sha256(content).hexdigest())})
    module.content = content
    return module


class Answer(io.BytesIO):
    headers: dict = {}


def test_a_download_is_checked_and_kept(module, monkeypatch, tmp_path):
    packed = gzip.compress(module.content)
    answers = [OSError("refused"), Answer(packed)]
    asked = []

    def urlopen(url, timeout):
        asked.append(url)
        answer = answers[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(module.urllib.request, "urlopen", urlopen)
    path = module._find_or_download("small", tmp_path)
    assert asked == [mirror + "small.gz" for mirror in module.MIRRORS]    # the second stands in for the first
    assert path.read_bytes() == packed and os.listdir(path.parent) == ["small.gz"]
    assert module._find_or_download("small", tmp_path) == path and len(asked) == 2


@pytest.mark.parametrize("sent", [gzip.compress(b"not MNIST"), b"<html>", gzip.compress(bytes(10**7)), bytes(10**6)])
def test_a_wrong_download_is_not_kept(sent, module, monkeypatch, tmp_path):
    monkeypatch.setattr(module.urllib.request, "urlopen", lambda url, timeout: Answer(sent))
    with pytest.raises(OSError, match="could not be downloaded"):
        module._find_or_download("small", tmp_path)
    assert not list(tmp_path.rglob("*.*"))


def test_without_a_network_one_line_says_how_to_go_on(monkeypatch, tmp_path, module):
    def no_network(url, timeout):
        raise OSError("no network")

    monkeypatch.setattr(module.urllib.request, "urlopen", no_network)
    with pytest.raises(OSError, match="could not be downloaded .*no network.*--data strokes") as caught:
        mnist("train", tmp_path)
    assert "\n" not in str(caught.value)


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match="split is 'valid'"):
        mnist("valid")


def test_files_of_another_set_are_refused(tmp_path, images):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(6, np.uint8)))
    with pytest.raises(ValueError, match=r"images \(6, 5, 4\) and labels \(6,\).*expected MNIST's"):
        mnist("train", tmp_path)


@needs_mnist
def test_mnist_is_mnist():
    images, labels = mnist("test")
    content = struct.pack(">BBBB3I", 0, 0, 8, 3, *images.shape) + images.tobytes()
    assert hashlib.sha256(content).hexdigest() == "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    assert images.shape == (10_000, 28, 28) and np.bincount(labels).min() > 800


def test_mutated_and_forged_files_load_or_are_refused_in_one_line():
    """2,000 mutated ones of each kind, beside the forged ones; `python -m tests.hostile --count 10000` reads more."""
    done = subprocess.run([sys.executable, "-m", "tests.hostile"], capture_output=True, text=True,
                          cwd=pathlib.Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0 wrong") == 7
