"""The pictures that people bring, in folders and zips: what is converted is said, what is ambiguous is refused."""
import io
import os
import struct
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image

from numpyvae.datasets import load_dataset, load_images
from tests.own_data import SHORT, run, said, save_pictures


# Pictures

def test_sixteen_bits_keep_their_greys(blobs, tmp_path):
    save_pictures(tmp_path / "f", blobs.astype(np.uint16) * 257)
    np.testing.assert_array_equal(load_images(tmp_path / "f")[0], blobs)
    assert "12 of 16 bits a value, divided by 257" in said(tmp_path / "f")


def test_twelve_bits_in_sixteen_are_refused(blobs, tmp_path):
    save_pictures(tmp_path / "f", blobs.astype(np.uint16) * 16)
    with pytest.raises(ValueError, match="reach only 4080 of 65535.*scale them"):
        load_images(tmp_path / "f")


def test_floats_in_a_tiff(blobs, tmp_path):
    save_pictures(tmp_path / "f", (blobs / 255).astype(np.float32), "tif")
    np.testing.assert_array_equal(load_images(tmp_path / "f")[0], blobs)
    assert "12 of floats in [0, 1], multiplied by 255" in said(tmp_path / "f")
    save_pictures(tmp_path / "f", blobs.astype(np.float32), "tif")
    with pytest.raises(ValueError, match="00.tif holds floats from 1 to 2.*scale them"):
        load_images(tmp_path / "f")


@pytest.mark.parametrize("ink, ground", [(0, "white"), (255, "black")])
def test_a_transparent_drawing_is_seen(ink, ground, blobs, tmp_path):
    drawings = np.full((*blobs.shape, 4), ink, np.uint8)
    drawings[..., 3] = blobs
    save_pictures(tmp_path / "f", drawings)
    images, _ = load_images(tmp_path / "f")
    np.testing.assert_allclose(images, blobs if ink else 255 - blobs, atol=1)
    assert f"12 transparent, laid on {ground}" in said(tmp_path / "f")


def test_a_palette_with_a_transparent_entry_is_laid_on_a_ground(blobs, tmp_path):
    (tmp_path / "f").mkdir()
    for i, blob in enumerate(blobs):
        picture = Image.fromarray(np.where(blob > 99, 1, 0).astype(np.uint8)).convert("P")
        picture.putpalette([200, 200, 200, 10, 20, 30])
        picture.save(tmp_path / "f" / f"{i}.png", transparency=0)
    images, _ = load_images(tmp_path / "f")
    assert images.max() == 255 and images.min() < 30


def test_exif_says_which_side_is_up(blobs, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6    # turned by 90 degrees
    save_pictures(tmp_path / "f", blobs, exif=exif)
    np.testing.assert_array_equal(load_images(tmp_path / "f")[0], np.rot90(blobs, -1, (1, 2)))
    assert "12 turned upright" in said(tmp_path / "f")


def test_colour_is_kept_if_asked_for(blobs, tmp_path):
    colours = np.stack([blobs, blobs // 2, 255 - blobs], axis=3)
    save_pictures(tmp_path / "f", colours)
    assert load_images(tmp_path / "f")[0].shape == (12, 8, 6)
    assert "12 in colour, turned to grey (--colour keeps it)" in said(tmp_path / "f")
    np.testing.assert_array_equal(load_images(tmp_path / "f", colour=True)[0], colours)
    assert "12 images 6 x 8, colour" in said(tmp_path / "f", colour=True)


def test_sizes(blobs, tmp_path):
    save_pictures(tmp_path / "f", [blob[:, :3 + i % 3] for i, blob in enumerate(blobs)])
    with pytest.raises(ValueError, match="01.png has 4 x 8 pixels, but 00.png has 3 x 8.*--size"):
        load_images(tmp_path / "f")
    assert load_images(tmp_path / "f", size=16)[0].shape == (12, 16, 16)
    assert load_images(tmp_path / "f", size=(5, 4))[0].shape == (12, 4, 5)
    assert "12 cropped in the middle and resized" in said(tmp_path / "f", size=16)


@pytest.mark.parametrize("suffix", ["bmp", "gif", "tif", "webp", "pgm", "PNG"])
def test_formats(suffix, blobs, tmp_path):
    options = {"webp": {"lossless": True}}.get(suffix, {})
    save_pictures(tmp_path / "f", blobs, suffix, **options)
    np.testing.assert_array_equal(load_images(tmp_path / "f")[0], blobs)


def test_black_and_white(blobs, tmp_path):
    save_pictures(tmp_path / "masks", np.where(blobs > 99, 1, 0).astype(np.uint8))
    np.testing.assert_array_equal(load_images(tmp_path / "masks")[0], np.where(blobs > 99, 255, 0))
    save_pictures(tmp_path / "bits", blobs > 99)
    np.testing.assert_array_equal(load_images(tmp_path / "bits")[0], np.where(blobs > 99, 255, 0))
    assert "0 and 1 became 0 and 255" in said(tmp_path / "masks")


def test_bit_depths_that_differ_do_not_turn_black(blobs, tmp_path):
    deep = blobs.astype(np.uint16)
    save_pictures(tmp_path / "f", [*deep[:6] * 257, *deep[6:]])
    with pytest.raises(ValueError, match="holds 6 pictures of 16 bits a value that reach at most 255 of 65535"):
        load_images(tmp_path / "f")
    save_pictures(tmp_path / "g", [*blobs[:6], *deep[6:] * 16])
    with pytest.raises(ValueError, match="reach only 4080 of 65535"):
        load_images(tmp_path / "g")
    save_pictures(tmp_path / "h", [*deep[:6] * 257, *deep[6:] * 16])
    assert "6 of them dark, below an eighth of white" in said(tmp_path / "h")
    save_pictures(tmp_path / "i", (blobs / 255_000).astype(np.float32), "tif")
    with pytest.raises(ValueError, match="floats that all lie below 0.13"):
        load_images(tmp_path / "i")


def test_colours_of_sixteen_bits_are_said(blobs, tmp_path):
    """Pillow reads the upper byte of each, and writes no such file itself."""
    import zlib
    (tmp_path / "f").mkdir()
    for i, blob in enumerate(blobs):
        values = np.repeat(blob[:, :, None].astype(">u2") * 257, 3, axis=2)
        rows = b"".join(b"\0" + row.tobytes() for row in values)
        chunks = [(b"IHDR", struct.pack(">IIBBBBB", 6, 8, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)),
                  (b"IEND", b"")]
        (tmp_path / "f" / f"{i:02}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks))
    np.testing.assert_array_equal(load_images(tmp_path / "f")[0], blobs)
    assert "12 in colour of 16 bits a value, of which the upper 8 are read" in said(tmp_path / "f")
    (tmp_path / "g").mkdir()
    for i, blob in enumerate(blobs):
        values = np.repeat(blob[:, :, None].astype(">u2") * 257, 3, axis=2)
        (tmp_path / "g" / f"{i:02}.ppm").write_bytes(b"P6 6 8 65535\n" + values.tobytes())
    assert "12 in colour of 16 bits a value, of which the upper 8 are read" in said(tmp_path / "g")
    save_pictures(tmp_path / "h", np.repeat(np.repeat(blobs[:, :4, :4], 4, axis=1), 4, axis=2))    # 16 x 16 pixels
    assert "16 bits" not in said(tmp_path / "h")


def test_off_white_ink_does_not_vanish(blobs, tmp_path):
    drawings = np.full((*blobs.shape, 4), 250, np.uint8)
    drawings[..., 3] = blobs
    images, _ = load_images(save_pictures(tmp_path / "f", drawings))
    np.testing.assert_allclose(images, 250 * (blobs / 255), atol=1)


def test_pictures_that_are_as_exif_has_them_are_not_said_to_be_turned(blobs, tmp_path):
    for orientation in (0, 1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        assert "turned" not in said(save_pictures(tmp_path / str(orientation), blobs, exif=exif))


# Folders

def test_a_folder_of_something_else_says_what_it_found(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(ValueError, match="holds no pictures, but files: 1 of .heic"):
        load_images(tmp_path)
    for inner in ("raw/train-images-idx3-ubyte", "table.csv"):
        (tmp_path / "set" / inner).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / inner).write_bytes(b"x")
        with pytest.raises(ValueError, match=f"name '{inner.split('/')[0]}' in it"):
            load_images(tmp_path / "set")
        (tmp_path / "set" / inner).unlink()


def test_pictures_beside_subfolders_are_refused_not_dropped(blobs, tmp_path):
    save_pictures(tmp_path / "f", blobs)
    save_pictures(tmp_path / "f" / "thumbs", blobs[:2])
    with pytest.raises(ValueError, match="holds 12 pictures, and 2 more in subfolders such as thumbs"):
        load_images(tmp_path / "f")


def test_nested_folders(blobs, tmp_path):
    save_pictures(tmp_path / "celeba" / "img" / "img", blobs)
    images, labels = load_images(tmp_path / "celeba")
    assert len(images) == 12 and labels is None
    for name, part in (("cat", blobs[:5]), ("dog", blobs[5:])):
        save_pictures(tmp_path / "pets" / "all" / name / "deep", part)
    images, labels = load_images(tmp_path / "pets")
    np.testing.assert_array_equal(labels, [0] * 5 + [1] * 7)
    assert "2 classes (cat, dog)" in said(tmp_path / "pets")


def test_folders_called_train_and_test(blobs, tmp_path):
    for name, part in (("train/cat", blobs[:4]), ("train/dog", blobs[4:8]), ("test/cat", blobs[8:9]),
                       ("test/dog", blobs[9:11]), ("val/cat", blobs[11:])):
        save_pictures(tmp_path / "f" / name, part)
    data = load_dataset(tmp_path / "f")
    np.testing.assert_array_equal(data.train, blobs[:8])
    np.testing.assert_array_equal(data.test, blobs[8:11])
    np.testing.assert_array_equal(data.test_labels, [0, 1, 1])
    assert "1 in val not used" in data.said and data.classes == ("cat", "dog")


@pytest.mark.parametrize("folders, words", [
    (("train", "test", "unlabeled"), "the sets train, test and val alone"),
    (("train", "val", "valid", "test"), "the sets train, test and val alone"),
    (("Test", "VAL"), "the sets train, test and val alone"), (("images", "masks"), "'images' is hardly a class"),
    (("seg_train", "seg_test", "seg_pred"), "the sets train, test and val alone"),
    (("trainA", "trainB", "testA", "testB"), "the sets train, test and val alone"),
    (("control", "test"), "rename a class that is called so"), (("imagesTr", "labelsTr"), "is hardly a class")])
def test_folders_that_are_neither_classes_nor_sets_are_refused(folders, words, blobs, tmp_path):
    for folder in folders:
        save_pictures(tmp_path / "f" / folder, blobs)
    with pytest.raises(ValueError, match=words):
        load_images(tmp_path / "f")


def test_folders_within_the_classes_are_said_not_to_be_told_apart(blobs, tmp_path):
    for folder in ("2020/a", "2020/b", "2021/a"):
        save_pictures(tmp_path / "f" / folder, blobs)
    assert "the folders within '2020', '2021' are not told apart" in said(tmp_path / "f")


@pytest.mark.parametrize("folders, classes, labels, test_labels", [
    (("train/cat", "train/dog", "test"), ("cat", "dog"), [0] * 12 + [1] * 12, None),
    (("train/cat", "train/dog", "test/dog"), ("cat", "dog"), [0] * 12 + [1] * 12, [1] * 12),
    (("train/a", "test/a", "test/b"), ("a", "b"), [0] * 12, [0] * 12 + [1] * 12),
    (("train", "test/a"), None, None, None), (("train/images", "test/images"), None, None, None),
    (("train/train", "test/test"), None, None, None),
    (("training_set/a", "training_set/b", "test_set/a"), ("a", "b"), [0] * 12 + [1] * 12, [0] * 12)])
def test_the_classes_of_the_sets_agree(folders, classes, labels, test_labels, blobs, tmp_path):
    for folder in folders:
        save_pictures(tmp_path / "f" / folder, blobs)
    data = load_dataset(tmp_path / "f")
    assert data.classes == classes and len(data.test) == 12 * sum(folder.startswith("test") for folder in folders)
    for found, expected in ((data.train_labels, labels), (data.test_labels, test_labels)):
        np.testing.assert_array_equal(found, expected)


def test_links_are_followed_and_what_is_left_out_is_said(blobs, tmp_path):
    save_pictures(tmp_path / "elsewhere", blobs)
    save_pictures(tmp_path / "f" / "cat", blobs)
    (tmp_path / "f" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "f" / "dog2").symlink_to(tmp_path / "f")    # in a circle
    (tmp_path / "f" / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "f" / "eel").mkdir()
    (tmp_path / "f" / "fox").mkdir()
    (tmp_path / "f" / "fox" / "a.heic").write_bytes(b"x")
    line = said(tmp_path / "f")
    assert "24 images" in line and "2 classes (cat, dog)" in line and "2 broken or repeated links skipped" in line
    assert "no pictures in 'eel', 'fox'" in line and "1 other file (1 of .heic) skipped" in line


def test_folder_names_that_are_not_utf8(blobs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (b"bad\xff", b"ok"):
        save_pictures(tmp_path / "f" / os.fsdecode(name), np.repeat(blobs, 4, axis=0))
    code, _, err = run(capsys, "train", "--data", "f", *SHORT, "--out", "r")
    assert code == 0 and "2 classes (bad\N{REPLACEMENT CHARACTER}, ok)" in err


def test_hidden_and_other_files_are_skipped_and_counted(blobs, tmp_path):
    save_pictures(tmp_path / "f", blobs)
    (tmp_path / "f" / "._00.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "f" / "Thumbs.db").write_bytes(b"x")
    save_pictures(tmp_path / "f" / "__MACOSX", blobs[:1])
    assert len(load_images(tmp_path / "f")[0]) == 12
    line = said(tmp_path / "f")
    assert "2 hidden files skipped" in line and "1 other file (1 of .db) skipped" in line


def test_a_zip_file_of_pictures(blobs, tmp_path):
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        for i, blob in enumerate(blobs):
            content = io.BytesIO()
            Image.fromarray(blob).save(content, "png")
            archive.writestr(f"pets/{'cat' if i < 5 else 'dog'}/../{i:02}.png", content.getvalue())
    images, labels = load_images(tmp_path / "f.zip")
    np.testing.assert_array_equal(images, blobs)
    np.testing.assert_array_equal(labels, [0] * 5 + [1] * 7)


def test_zip_files_that_are_something_else(blobs, tmp_path):
    picture, array = io.BytesIO(), io.BytesIO()
    Image.fromarray(blobs[0]).save(picture, "png")
    np.save(array, blobs)
    for members, words in (([("images.npy", array), ("a.png", picture)], "files with .npy, .png.*unpack it"),
                           ([("a.csv", picture)], "files with .csv.*unpack it"), ([], "a zip file without files"),
                           ([("a.heic", picture)], "files with .heic"),
                           ([("a.png", picture), ("a.png", picture)], "two files called 'a.png'")):
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")    # zipfile's own, about two of a name
            for name, content in members:
                archive.writestr(name, content.getvalue())
        with pytest.raises(ValueError, match=words):
            load_images(tmp_path / "x.zip")
