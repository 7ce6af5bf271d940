"""Reading files that may be damaged or forged: datasets/idx.py, mnist.py and files.py."""
import contextlib
import gzip
import hashlib
import io
import os
import socket
import struct
import threading
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

import numpyvae as nv
from benchmarks.hostile import CAP, KINDS, read_apart
from numpyvae.files import checkpoint
from numpyvae.datasets import load_dataset, load_images, mnist, read_idx
from tests.own_data import idx

needs_mnist = pytest.mark.skipif("NUMPYVAE_DATA" not in os.environ, reason="NUMPYVAE_DATA does not name MNIST's folder")


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
    (lambda good: good[:-1], "ends after 119 of 120 bytes"), (lambda good: good + b"x", "continues past the 120 bytes"),
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
    refused(save(bomb.getvalue()), "continues past the 1,000 bytes", read=read_idx)


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
    (npy(np.full((2, 2), -1)), "from -1 to -1"), (b"hello, world", "no rows"),
    (b"", "is empty"), (b"\x7fELF\xff", "neither a known format"),
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
    refused(save(good[:-40]), "or is damaged")
    refused(save(npz(a=npy(images), b=npy(images))), "holds the arrays 'a', 'b'; expected one called 'images'")
    refused(save(npz(**{"é": npy(images)}).replace("é".encode(), b"\xff\xff")), "or is damaged")
    refused(save(npz(**{"a\nb": npy(images), "\x1b[2J": npy(images)})), "expected one called")    # found by fuzzing
    refused(save(npz(images=forged((2**40, 8)))), "damaged or forged")
    refused(save(npz(images=forged((10**9, 1)) + bytes(1000))), "damaged or forged")
    refused(save(npz(images=npy(np.array([[{}]], object), allow_pickle=True))), "holds object")
    with pytest.warns(UserWarning, match="Duplicate name"):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("images.npy", npy(images))
            archive.writestr("images.npy", npy(images))
    refused(save(content.getvalue()), "two arrays with the same name")


# things that are not files

@pytest.fixture(params=["pipe", "link to a pipe", "device", "folder", "circle", "dangling", "long"])
def no_file(request, tmp_path):
    """The path of something that a file's name can lead to; a reader that opens the pipe waits for ever."""
    path = tmp_path / "nofile"
    match request.param:
        case "pipe":
            os.mkfifo(path)
        case "link to a pipe":
            os.mkfifo(tmp_path / "pipe")
            path.symlink_to("pipe")
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "circle":
            path.symlink_to("nofile")
        case "dangling":
            path.symlink_to("nowhere")
        case "long":
            path = tmp_path / ("nofile" + "x" * 300)
    return path


@pytest.mark.parametrize("read", [load_images, read_idx, nv.load, checkpoint.read])
def test_what_is_no_file_is_not_opened(read, no_file):
    refused(no_file, "nofile.* (is a|cannot be opened|does not exist|holds no pictures)", (ValueError, OSError), read)


def test_a_folder_of_links_is_read_or_refused(images, tmp_path):
    """Links to files are files; what leads nowhere, round in a circle or to a device is not a picture."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(tmp_path / "real.png", images[0])
    (folder / "a.png").symlink_to(tmp_path / "real.png")
    for name, target in (("b.png", "nowhere"), ("c.png", "c.png"), ("d.png", "/dev/zero"), ("e", "../pictures")):
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "f.png")
    found, labels = load_images(folder)
    np.testing.assert_array_equal(found, images[:1])


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
    with pytest.raises(ValueError, match="b.png has 4 x 3 pixels, but a.png has 4 x 5"):
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
    assert asked == [mirror + "small.gz" for mirror in module.MIRRORS]    # the second mirror stands in for the first
    assert path.read_bytes() == packed and os.listdir(path.parent) == ["small.gz"]
    assert module._find_or_download("small", tmp_path) == path and len(asked) == 2


@pytest.mark.parametrize("sent", [gzip.compress(b"not MNIST"), b"<html>", gzip.compress(bytes(10**7)), bytes(10**6)],
                         ids=["another file", "a page", "too long when unpacked", "too long"])
def test_a_wrong_download_is_not_kept(sent, module, monkeypatch, tmp_path):
    monkeypatch.setattr(module.urllib.request, "urlopen", lambda url, timeout: Answer(sent))
    with pytest.raises(OSError, match="could not be downloaded"):
        module._find_or_download("small", tmp_path)
    assert not list(tmp_path.rglob("*.*"))


def test_a_file_is_no_folder_for_mnist(monkeypatch, tmp_path, module):
    monkeypatch.setattr(module.urllib.request, "urlopen", None)    # nothing is asked for
    (tmp_path / "one").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="one is a file; expected a folder for MNIST's four files"):
        mnist("train", tmp_path / "one")


def test_without_a_network_one_line_says_how_to_go_on(monkeypatch, tmp_path, module):
    def no_network(url, timeout):
        raise OSError("no network")

    monkeypatch.setattr(module.urllib.request, "urlopen", no_network)
    with pytest.raises(OSError, match="could not be downloaded .*no network.*--data strokes") as caught:
        mnist("train", tmp_path)
    assert "\n" not in str(caught.value)


def silent(connection):
    """Accepts, and says nothing."""


def dripping(connection):
    """A byte at a time, for ever: each of them comes before the timeout of a connection."""
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)


def talking_nonsense(connection):
    connection.sendall(b"\x16\x03\x01" * 50 + b"\r\n\r\n")
    connection.close()


def breaking_off(connection):
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10)
    connection.close()


@pytest.mark.parametrize("mirror", [silent, dripping, talking_nonsense, breaking_off])
def test_a_mirror_that_does_not_deliver_is_given_up(mirror, module, monkeypatch, tmp_path):
    """A real connection to this machine, so that it is the real timeouts that end it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connections.append(server.accept()[0])
                    threading.Thread(target=mirror, args=(connections[-1],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setattr(module, "MIRRORS", [f"http://127.0.0.1:{server.getsockname()[1]}/"] * 2)
        monkeypatch.setattr(module, "TIMEOUT", 0.2)
        with pytest.raises(OSError, match="small is not in .* could not be downloaded .*--data strokes") as caught:
            module._find_or_download("small", tmp_path)
        for connection in connections:
            connection.close()
    assert "\n" not in str(caught.value) and len(connections) == 2


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
    assert hashlib.sha256(idx(images)).hexdigest() == "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    assert images.shape == (10_000, 28, 28) and np.bincount(labels).min() > 800


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.full)])
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_and_forged_files_load_or_are_refused_in_one_line(kind, count):
    """So many mutated ones of each kind, besides the forged ones; `python -m benchmarks.hostile` reads 10,000."""
    found = read_apart(kind, count)
    assert found["wrong"] == [] and found["loaded"] + found["refused"] >= count
    assert found["peak bytes"] < CAP
