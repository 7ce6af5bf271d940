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
    ("", "is empty"), ("a,b\n", "no rows"), ("1,2\n3", "1 cell in row 2, but 2 columns"),
    ("a,b\n1,\n", "no value in row 1, column 'b'"), ("a,b\n1,NA\n", "no value in row 1, column 'b'"),
    ("a,b\n1,red\n", "'red' in row 1, column 'b'.*--label-array 'b'"), ("only\n1\n", "1 column;"),
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


def test_many_classes_are_classes(square, tmp_path):
    path = write_csv(tmp_path / "t.csv", [[i / 7, i % 25] for i in range(60)], ["a", "label"])
    assert "25 classes" in said(path)
    path = write_csv(tmp_path / "l.csv", [[i, *row] for i, row in enumerate(square)],
                     ["target", *(f"pixel{i}" for i in range(64))])
    assert "12 images 8 x 8" in said(path) and "12 classes" in said(path)


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
    for nothing in ("", "NA", "nan", "None", "?", "#N/A"):
        path = write_csv(tmp_path / "t.csv", [[i, ("cat", nothing)[i % 2]] for i in range(8)], ["a", "label"])
        assert load_images(path)[1] is None and "column 'label' has no label in row 2" in said(path)
    path = write_csv(tmp_path / "t.csv", [[("#ff0000", "red")[i % 2], i] for i in range(8)], ["label", "a"])
    assert read(path, Reading()).classes == ("#ff0000", "red")
    path = write_csv(tmp_path / "t.csv", [[i, "x\1y"[i % 3]] for i in range(9)], ["a\1", "label"])
    contents = read(path, Reading())
    assert contents.columns == ("a\N{REPLACEMENT CHARACTER}",) and "\N{REPLACEMENT CHARACTER}" in contents.classes


# Lines

@pytest.mark.parametrize("text, names", [
    ("#,a,b\n0,1.5,2\n1,2.5,2\n", "a b"), ("# by me\n# a,b,label\n1,2,0\n3,4,1\n", "a b"),
    ("a,b\n1,1,2\n2,3,4\n", "a b"), ("a,b,\n1,2,\n3,4,\n", "a b"), ("sep=\t\na\tb\n1\t2\n", "a b"),
    ("Unnamed: 0.1,Unnamed: 0,a,b\n0,0,1.5,2\n1,1,2.5,2\n", "a b"), ("a,b,id\n1.5,1,7\n2,1,9\n", "a b"),
    ("country,2019,2020\nfr,1,2\nde,3,4\n", "2019 2020"), ('"a, x";"b, y"\n1;2\n3;4\n', "a, x b, y")])
def test_names_wherever_they_stand(text, names, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    asked = "country" if "country" in text else None
    assert " ".join(read(tmp_path / "t.csv", Reading(label_array=asked)).columns) == names


@pytest.mark.parametrize("text, words", [
    ("0,1\n1,3\n2,5\n", "may be data or name the columns"), ("0,1,2\n1,1,2\n2,5,9\n", "may be data or name"),
    (",".join(map(str, range(1, 10))) + "\n" + ",".join(map(str, range(2, 20, 2))) + "\n", "may be data or name"),
    ("400.5,402.5,404.5\n" + "0.1,0.2,0.3\n0.2,0.1,0.1\n0.3,0.3,0.2\n0.2,0.2,0.4\n", "far from all others"),
    ("2019,2020,2021\n" + "5,7,9\n6,7,8\n1,4,5\n3,3,9\n", "far from all others"),
    ('a,b,label\n1,2,x\n3,4,"y\n5,6,z\n7,8,x\n', "cannot be read as a table"),
    ('a,b,label\n1,2,x\n3,4,"y\n5,6,z"\n7,8,x\n', "line break in a cell of row 2"),
    ("a,b\n1,2020_01\n", "'2020_01' in row 1, column 'b'"), ('a,b\n1,"1,234"\n', "write thousands without a comma"),
    ('a,b\n1,"1,234.5"\n', "write thousands without a comma"), ("a;b\n1;2,5\n", "replace the decimal commas"),
    ("1,5;2,5;3,2\n0,5;1,5;2,2\n", "replace the decimal commas"), ("a,b\n#N/A,2\n", "no value in row 1, column 'a'")])
def test_lines_that_may_be_two_things_are_refused(text, words, tmp_path):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        load_images(tmp_path / "t.csv")


def test_excels_unicode_text(tmp_path):
    text = "größe\tb\n" + "".join(f"{i / 7}\t{i}\n" for i in range(9))
    (tmp_path / "t.txt").write_text(text, encoding="utf-16")
    assert read(tmp_path / "t.txt", Reading()).columns == ("größe", "b")
    for encoding in ("latin-1", "utf-16-le"):
        (tmp_path / "t.txt").write_text(text, encoding=encoding)
        with pytest.raises(ValueError, match="save a table as CSV in UTF-8"):
            load_images(tmp_path / "t.txt")


def test_numbers_that_float32_merges_are_said(tmp_path):
    path = write_csv(tmp_path / "t.csv", [[i / 7, 1600000000 + i] for i in range(9)], ["a", "time"])
    assert "numbers in 'time' are so large that float32 makes some of them equal" in said(path)


def test_pixels_from_0_to_16_are_refused_with_two_ways_out(square, tmp_path):
    names = [f"pixel{i}" for i in range(64)]
    path = write_csv(tmp_path / "p.csv", square // 16, names)
    with pytest.raises(ValueError, match="divide by 15 .* names of their own for a table"):
        load_images(path)
    assert load_images(write_csv(tmp_path / "p.csv", square // 16 / 15, names))[0].shape == (12, 8, 8)
    assert load_images(write_csv(tmp_path / "p.csv", square // 16, [f"f{i}" for i in range(64)]))[0].shape == (12, 64)


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
    path.write_text("0,0\n1,2\n" * 5)
    assert len(load_images(path)[0]) == 10


# A table and its test set

def test_rows_numbered_in_the_training_set_alone(tmp_path):
    train = write_csv(tmp_path / "a.csv", [[i, i / 2, 3 - i] for i in range(9)], ["id", "a", "b"])
    test = write_csv(tmp_path / "b.csv", [[i, i / 2, 3 - i] for i in (17, 4, 90)], ["id", "a", "b"])
    data = load_dataset(train, test=test)
    assert data.columns == ("a", "b") and data.test.shape == (3, 2)
    other = write_csv(tmp_path / "c.csv", [[i / 2, 3 - i] for i in range(9)], ["a", "c"])
    with pytest.raises(ValueError, match="has other columns than .*: it lacks 'b'"):
        load_dataset(train, test=other)
    odd = write_csv(tmp_path / "d.csv", [[1, i / 2, 3 - i] for i in range(9)], ["id", "a", "b"])    # not unique here
    assert load_dataset(train, test=odd).columns == ("a", "b")


def test_a_test_table_without_the_label(square, tmp_path):
    names = [f"pixel{i}" for i in range(64)]
    train = write_csv(tmp_path / "a.csv", [[i % 3, *row] for i, row in enumerate(square)], ["kind", *names])
    test = write_csv(tmp_path / "b.csv", square, names)
    data = load_dataset(train, test=test, label_array="kind")
    assert data.train_labels is not None and data.test_labels is None and data.test.shape == (12, 8, 8)
    letters = write_csv(tmp_path / "c.csv", [[i % 12, *row] for i, row in enumerate(square)], ["label", *names])
    assert load_dataset(letters, test=letters).test_labels.max() == 11


def test_labels_of_both_are_coded_together(tmp_path):
    train = write_csv(tmp_path / "a.csv", [[i, "cde"[i % 3]] for i in range(9)], ["a", "label"])
    test = write_csv(tmp_path / "b.csv", [[i, "ce"[i % 2]] for i in range(9)], ["a", "label"])
    data = load_dataset(train, test=test)
    np.testing.assert_array_equal(data.test_labels, [0, 2] * 4 + [0])
