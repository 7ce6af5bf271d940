"""The tables that people bring: which column is what is said, what is ambiguous is refused."""
import numpy as np
import pytest

from numpyvae.datasets import load_dataset, load_images
from numpyvae.datasets.contents import Reading
from numpyvae.datasets.files import read
from tests.own_data import said, write_csv


def test_kaggles_table_of_pixels(blobs, tmp_path):
    square = np.pad(blobs, ((0, 0), (0, 0), (1, 1)))
    names = ["label", *(f"pixel{i}" for i in range(64))]
    path = write_csv(tmp_path / "k.csv", [[i % 3, *blob.ravel()] for i, blob in enumerate(square)], names)
    images, labels = load_images(path)
    np.testing.assert_array_equal(images, square)
    np.testing.assert_array_equal(labels, np.arange(12) % 3)
    bare = write_csv(tmp_path / "bare.csv", [[i % 3, *blob.ravel()] for i, blob in enumerate(square)])
    with pytest.raises(ValueError, match="65 columns and no line of names.*--label-array 0"):
        load_images(bare)
    np.testing.assert_array_equal(load_images(bare, label_array="0")[0], square)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
def test_a_table_of_numbers(delimiter, tmp_path):
    numbers = np.random.default_rng(0).normal(0, 9, (20, 4)).round(3)
    path = write_csv(tmp_path / "t.csv", [[*row, "ab"[i % 2]] for i, row in enumerate(numbers)],
                     ["length", "width", "<script>", "d", "class"], delimiter)
    contents = read(path, Reading())
    np.testing.assert_allclose(contents.images, numbers, rtol=1e-6)
    assert contents.columns == ("length", "width", "<script>", "d") and contents.classes == ("a", "b")
    assert contents.described().startswith("20 rows of 4 numbers, from ")


def test_a_column_that_counts_the_rows_is_left_out(tmp_path):
    for name in ("", "Id"):
        path = write_csv(tmp_path / "t.csv", [[i, 2.5 * i, -i] for i in range(9)], [name, "a", "b"])
        contents = read(path, Reading())
        assert contents.columns == ("a", "b") and "left out, which only numbers the rows" in contents.described()
    path = write_csv(tmp_path / "t.csv", [[i % 2, 2.5 * i, -i] for i in range(9)], ["id", "a", "b"])
    assert read(path, Reading()).columns == ("id", "a", "b")
    path = write_csv(tmp_path / "t.csv", [[0.5, 2.5 * i, -i] for i in range(9)], ["0", "1", "2"])
    assert len(load_images(path)[0]) == 9


def test_counts_in_a_table_are_not_bytes(tmp_path):
    path = write_csv(tmp_path / "t.csv", [[i, 200, 3] for i in range(9)], ["a", "b", "c"])
    images, _ = load_images(path)
    assert images.dtype == np.float32 and images.max() == 200


@pytest.mark.parametrize("text, words", [
    ("", "is empty"), ("a,b\n", "no rows"), ("1,2\n3", "1 cells in row 2, but 2 columns"),
    ("a,b\n1,\n", "no value in row 1, column 'b'"), ("a,b\n1,NA\n", "no value in row 1, column 'b'"),
    ("a,b\n1,red\n", "'red' in row 1, column 'b'.*--label-array 'b'"), ("only\n1\n", "1 columns"),
    ("a,b\n1,inf\n", "inf in row 1, column 'b'"),
    ("hello, world\n", "no rows"), ("a,b\n1,é\xff".encode("latin-1"), "UTF-8")])
def test_tables_that_do_not_fit_are_refused(text, words, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=words):
        load_images(path)


@pytest.fixture
def square(blobs):
    """Rows of 64 bytes."""
    return np.pad(blobs, ((0, 0), (0, 0), (1, 1))).reshape(12, 64)


def pixels(rows):
    return rows.reshape(-1, 8, 8)


@pytest.mark.parametrize("name", ["pixel{}", "{}", "px_{}"])
@pytest.mark.parametrize("first", [0, 1])
def test_names_of_pixels_that_are_numbers(name, first, square, tmp_path):
    path = write_csv(tmp_path / "p.csv", square, [name.format(first + i) for i in range(64)])
    np.testing.assert_array_equal(load_images(path)[0], pixels(square))
    assert "64 columns taken as pixels" in said(path)
    labelled = write_csv(tmp_path / "l.csv", [[i % 3, *row] for i, row in enumerate(square)],
                         ["label", *(name.format(first + i) for i in range(64))])
    images, labels = load_images(labelled)
    np.testing.assert_array_equal(images, pixels(square))
    np.testing.assert_array_equal(labels, np.arange(12) % 3)


def test_pixels_in_the_order_of_text_are_put_in_theirs(square, tmp_path):
    names = [f"pixel{i}" for i in range(64)]
    order = sorted(range(64), key=names.__getitem__)
    path = write_csv(tmp_path / "p.csv", square[:, order], [names[i] for i in order])
    np.testing.assert_array_equal(load_images(path)[0], pixels(square))


def test_pixels_as_floats(square, tmp_path):
    path = write_csv(tmp_path / "p.csv", (square / 255).round(4), [f"pixel{i}" for i in range(64)])
    np.testing.assert_allclose(load_images(path)[0], pixels(square) / 255, atol=1e-4)


def test_a_shuffled_column_of_row_numbers_beside_pixels(square, tmp_path):
    numbers = np.random.default_rng(0).permutation(12)
    path = write_csv(tmp_path / "p.csv", [[i, *row] for i, row in zip(numbers, square)],
                     ["index", *(f"pixel{i}" for i in range(64))])
    np.testing.assert_array_equal(load_images(path)[0], pixels(square))
    assert "column 'index' left out, which only numbers the rows" in said(path)


def test_a_column_beside_pixels_that_may_be_their_label_is_refused(square, tmp_path):
    path = write_csv(tmp_path / "p.csv", [[i % 3, *row] for i, row in enumerate(square)],
                     ["digit", *(f"pixel{i}" for i in range(64))])
    with pytest.raises(ValueError, match="64 columns of pixels and the column 'digit'.*--label-array 'digit'"):
        load_images(path)
    np.testing.assert_array_equal(load_images(path, label_array="digit")[1], np.arange(12) % 3)


def test_wavelengths_are_names_but_no_pixels(square, tmp_path):
    path = write_csv(tmp_path / "s.csv", square / 300, [str(400 + 2 * i) for i in range(64)])
    contents = read(path, Reading())
    assert contents.columns[:2] == ("400", "402") and contents.images.shape == (12, 64)
    path = write_csv(tmp_path / "s.csv", square[:, :3] / 300, [400, 402, 404])
    assert read(path, Reading()).columns == ("400", "402", "404")


def test_colour_pixels_of_unknown_order_are_a_table_and_that_is_said(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (5, 192))
    path = write_csv(tmp_path / "c.csv", rows, [f"pixel{i}" for i in range(192)])
    np.save(tmp_path / "c.npy", rows)    # CIFAR's batches hold red, green and blue one after the other
    for path in (path, tmp_path / "c.npy"):
        assert "if the 192 numbers of a row are the colours of pixels, save them as (N, 8, 8, 3)" in said(path)


# Which column is the label

def test_x_and_y_are_a_point(tmp_path):
    path = write_csv(tmp_path / "t.csv", [[i / 7, i % 3] for i in range(30)], ["x", "y"])
    assert read(path, Reading()).columns == ("x", "y") and load_images(path)[1] is None


def test_measurements_called_target_are_numbers(tmp_path):
    for values in (np.arange(30) / 7, np.arange(30) * 1000):
        path = write_csv(tmp_path / "t.csv", [[i % 4, values[i]] for i in range(30)], ["a", "target"])
        contents = read(path, Reading())
        assert contents.columns == ("a", "target") and contents.labels is None
        assert "column 'target' has 30 different values and is taken as a number" in contents.described()
        np.testing.assert_allclose(contents.images[:, 1], values, rtol=1e-6)
    assert load_images(path, label_array="target")[1].max() == 29


def test_the_column_of_labels_is_named(tmp_path):
    path = write_csv(tmp_path / "t.csv", [[i, "ab"[i % 2]] for i in range(9)], ["a", "class"])
    assert "labels from column 'class'" in said(path)


@pytest.mark.parametrize("names, words", [
    (["a", "class", "label"], "'class', 'label'"), (["a", "label", "Label"], "'label', 'Label'"),
    (["a", "a", "b"], "two columns called 'a'")])
def test_columns_that_cannot_be_told_apart_are_refused(names, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        load_images(write_csv(tmp_path / "t.csv", [[i, i % 2, 1] for i in range(9)], names))


def test_labels_as_they_are_written(tmp_path):
    path = write_csv(tmp_path / "t.csv", [[i, ("01", "1")[i % 2]] for i in range(8)], ["a", "label"])
    assert read(path, Reading()).classes == ("01", "1")
    path = write_csv(tmp_path / "t.csv", [[i, ("cat", "")[i % 2]] for i in range(8)], ["a", "label"])
    assert load_images(path)[1] is None and "column 'label' has no label for image 2" in said(path)
    path = write_csv(tmp_path / "t.csv", [[i, "x\1y"[i % 3]] for i in range(9)], ["a\1", "label"])
    contents = read(path, Reading())
    assert contents.columns == ("a\N{REPLACEMENT CHARACTER}",) and "\N{REPLACEMENT CHARACTER}" in contents.classes


# Lines

@pytest.mark.parametrize("start", ["\n\n", "# made by hand, on a Monday, at noon\n", "sep=,\n", "\ufeff", " , \n"])
def test_what_stands_above_the_names(start, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(start + "a,b\n" + "".join(f"{i},{i / 2}\n" for i in range(9)), encoding="utf-8")
    contents = read(path, Reading())
    assert contents.columns == ("a", "b") and contents.images.shape == (9, 2)
    assert ("1 comment line skipped" in contents.described()) == start.startswith("#")


def test_the_names_that_savetxt_writes(tmp_path):
    np.savetxt(tmp_path / "t.csv", np.column_stack([np.linspace(0, 1, 20), np.arange(20) % 2]), delimiter=",",
               header="a,label")
    contents = read(tmp_path / "t.csv", Reading())
    assert contents.columns == ("a",) and contents.labels.max() == 1


def test_first_rows_of_whole_numbers_are_data(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("1,2,3\n2,9,4\n" * 5)
    assert len(load_images(path)[0]) == 10


# A table and its test set

def test_rows_numbered_in_the_training_set_alone(tmp_path):
    train = write_csv(tmp_path / "a.csv", [[i, i / 2, 3 - i] for i in range(9)], ["id", "a", "b"])
    test = write_csv(tmp_path / "b.csv", [[i, i / 2, 3 - i] for i in (17, 4, 90)], ["id", "a", "b"])
    data = load_dataset(train, test=test)
    assert data.columns == ("a", "b") and data.test.shape == (3, 2)
    other = write_csv(tmp_path / "c.csv", [[i / 2, 3 - i] for i in range(9)], ["a", "c"])
    with pytest.raises(ValueError, match="has other columns than"):
        load_dataset(train, test=other)


def test_labels_of_both_are_coded_together(tmp_path):
    train = write_csv(tmp_path / "a.csv", [[i, "cde"[i % 3]] for i in range(9)], ["a", "label"])
    test = write_csv(tmp_path / "b.csv", [[i, "ce"[i % 2]] for i in range(9)], ["a", "label"])
    data = load_dataset(train, test=test)
    np.testing.assert_array_equal(data.test_labels, [0, 2] * 4 + [0])
