"""Numbers and labels of any kind as a VAE takes them.

A training set and its test set are converted together: what is done to one is done to the other, or refused.
"""
from __future__ import annotations

import math

import numpy as np

from ..arguments import shown
from ..files.regular import one_line
from .contents import SMALLEST_SQUARE, Contents, Part, Reading, called, listed, numbers, readable

Array = np.ndarray

SMALLEST_SIDE = 8    # of pictures, for which we look whether their axes are in order
DARKEST = 32    # whole numbers that never reach this are hardly bytes: as such they would be nearly black
FAR = 10        # a test set that reaches so many times as far as the training set is scaled otherwise
BLACK_AND_WHITE = "0 and 1 became 0 and 255, black and white"


def as_contents(parts: list[Part], how: Reading) -> Contents:
    """What was read of one set, or of a training set and a test set.

    Raises ValueError for what could mean several things, or nothing, or where the two sets differ in kind.
    """
    _refuse_unlike(parts)
    sets = []
    for part in parts:
        images, notes = (_as_table(part) if part.columns is not None else as_images(part.name, part.images))
        if images.ndim == 2:
            notes = [*notes, *_hint_of_colours(images)]
        if how.transpose:
            images = _transposed(images)
            notes = [*notes, "rows and columns exchanged"]
        sets.append(Contents(images, columns=part.columns, notes=[*part.notes, *notes]))
    if len(sets) == 2:
        _refuse_other_scale(parts, sets)
        sets[1].notes += _seen_in_training(*(one.images for one in sets))
        sets[0].test = sets[1]
    _add_labels(parts, sets, how)
    return sets[0]


def _refuse_unlike(parts: list[Part]) -> None:
    if len(parts) < 2:
        return
    train, test = parts
    if train.columns != test.columns:
        columns, others = list(train.columns or ()), list(test.columns or ())
        missing = [name for name in columns if name not in others]
        more = [name for name in others if name not in columns]
        differs = (f"lacks {listed(missing)}" if missing else f"has also {listed(more)}" if more else
                   "has them in another order")
        raise ValueError(f"{test.name} has other columns than {train.name}: it {differs}; expected the same, in the "
                         "same order")
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(f"{train.name} has shape {train.images.shape} and {test.name} {test.images.shape}; expected "
                         "training and test images of the same size")
    if {train.ground, test.ground} == {"white", "black"}:
        raise ValueError(f"{train.name} holds transparent pictures that are laid on {train.ground}, and {test.name} "
                         f"others that are laid on {test.ground}; expected the same: lay them on a ground of your own")


def _refuse_other_scale(parts: list[Part], sets: list[Contents]) -> None:
    """A test set that was scaled otherwise would be judged by numbers that the model has never seen."""
    kinds = [(one.images.dtype, BLACK_AND_WHITE in one.notes) for one in sets]
    low, high = ([float(one.images.min()) for one in sets], [float(one.images.max()) for one in sets])
    width = min(high[i] - low[i] for i in (0, 1))
    apart = max(abs(low[0] - low[1]), abs(high[0] - high[1])) > FAR * width > 0
    for i in (0, 1):    # one of the two from black to white, the other also below black
        apart |= -0.1 < low[i] < 0.1 and 0.9 < high[i] < 1.1 and low[1 - i] < -0.4
    if kinds[0] != kinds[1] or (apart and sets[0].images.dtype != np.uint8 and sets[0].columns is None):
        said = [f"{part.name} holds {part.images.dtype} {numbers(part.images)}" for part in parts]
        raise ValueError(f"{' and '.join(said)}; expected training and test images on one scale, of one kind")


def _seen_in_training(train: Array, test: Array) -> list[str]:
    """A word where many of the test images are training images too: their loss tells nothing about new ones."""
    known = {hash(row.tobytes()) for row in train}
    n = sum(hash(row.tobytes()) in known for row in test)
    if 10 * n < len(test):
        return []
    return [f"{'all' if n == len(test) else f'{n:,}'} of them are among those to train on, so the test loss says less "
            "about new ones"]


def _transposed(images: Array) -> Array:
    if images.ndim < 3:
        raise ValueError(f"{called('transpose')} is True, but the data are rows of {images.shape[1]} numbers; expected "
                         "images (N, height, width)")
    return np.ascontiguousarray(images.swapaxes(1, 2))


# Numbers

def as_images(name: str, array: Array) -> tuple[Array, list[str]]:
    """uint8 for bytes, black and white, and bytes that were saved as other numbers; float32 for other floats.

    Raises ValueError for what could mean several things, or nothing.
    """
    if array.ndim < 2 or array.size == 0:
        raise ValueError(f"{name} holds an array of shape {array.shape}; expected (N, ...) with at least one image")
    if array.dtype.kind == "f":
        return _from_floats(name, array)
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255), [BLACK_AND_WHITE]
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise ValueError(f"{name} holds whole numbers from {low} to {high}; expected 0 to 255: save "
                         f"{_as_floats(low, high)}")
    if high == 1:
        return np.ascontiguousarray(array, np.uint8) * np.uint8(255), [BLACK_AND_WHITE]
    if 0 < high < DARKEST:
        raise ValueError(f"{name} holds whole numbers from {low} to {high}, which may be dark bytes, levels or counts; "
                         f"expected bytes up to 255: save x / {high} as floats if {high} is white, or use --likelihood "
                         "gaussian on floats")
    return np.ascontiguousarray(array, np.uint8), []


def refuse_other_axes(name: str, shape: tuple[int, ...]) -> None:
    """The images come first here, and colours last; elsewhere it is the other way round.  Raises ValueError."""
    axes = None
    if len(shape) == 3:
        if shape[2] in (3, 4) and shape[1] >= SMALLEST_SIDE:
            raise ValueError(f"{name} has shape {shape}, which looks like one image in colour; expected many, (N, "
                             "height, width, channels): save several, or one as x[None]")
        axes = "2, 0, 1" if shape[0] == shape[1] != shape[2] and shape[1] >= SMALLEST_SIDE else None
    elif len(shape) == 4 and shape[3] > 4:
        _, a, b, c = shape
        if a == b == c:
            raise ValueError(f"{name} has shape {shape}, which looks like volumes; expected images (N, height, width, "
                             "channels), or rows of numbers: save x.reshape(len(x), -1)")
        axes = ("3, 0, 1, 2" if b in (1, 3) and shape[0] == a else "0, 2, 3, 1" if b == c or a in (1, 3) else None)
    if axes is not None:
        raise ValueError(f"{name} has shape {shape}, in which the axes are hardly (N, height, width"
                         f"{', channels' * (len(shape) == 4)}); expected them in this order: save "
                         f"x.transpose({axes})" + (", or x[..., None] if they are right" if len(shape) == 3 else ""))


def _as_floats(low: int, high: int) -> str:
    if low < 0:
        return "them as floats, and use --likelihood gaussian"
    if high >= 65535:
        return f"x / {high} as floats if {high} is white"
    return f"x / 65535 as floats if 65535 is white, or x / {high} if {high} is"


def _from_floats(name: str, array: Array) -> tuple[Array, list[str]]:
    floats = _as_float32(name, array)
    if 0 <= floats.min() and DARKEST <= floats.max() <= 255 and all((row == np.rint(row)).all() for row in array):
        return floats.astype(np.uint8), ["whole numbers saved as floats became bytes"]
    return floats, []


def _hint_of_colours(rows: Array) -> list[str]:
    """Colours may lie pixel by pixel or one after the other in a row: nothing in it says which."""
    n = rows.shape[1]
    side = math.isqrt(n // 3)
    if n != 3 * side**2 or side**2 < SMALLEST_SQUARE or rows.min() < 0 or rows.max() > 255:
        return []
    return [f"if the {n:,} numbers of a row are the colours of pixels, save them as (N, {side}, {side}, 3)"]


def _as_table(part: Part) -> tuple[Array, list[str]]:
    """float32: whole numbers in a table are counts or categories, not bytes."""
    rows = _as_float32(part.name, part.images)
    large = np.flatnonzero(np.abs(part.images).max(axis=0) >= 2**24)    # where float32 no longer has every whole number
    merged = [name for name, i in zip(np.array(part.columns)[large].tolist(), large)
              if len(np.unique(rows[:, i])) < len(np.unique(part.images[:, i]))]
    return rows, [f"numbers in {listed(merged)} are so large that float32 makes some of them equal: subtract their mean"
                  ] * bool(merged)


def _as_float32(name: str, array: Array) -> Array:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; expected finite pixels: replace or drop them")
    low, high = float(array.min()), float(array.max())
    if max(-low, high) > float(np.finfo(np.float32).max):
        raise ValueError(f"{name} holds numbers from {low:g} to {high:g}; expected what float32 can hold: standardise "
                         "the columns")
    return np.ascontiguousarray(array, np.float32)


# Labels

def _add_labels(parts: list[Part], sets: list[Contents], how: Reading) -> None:
    """Labels that nobody asked for never stop a run: what is wrong with them is a note."""
    labelled = [(part, one) for part, one in zip(parts, sets) if part.labels is not None]
    if not labelled:
        return
    if parts[0].labels is None:
        sets[0].notes.append("the test set's labels are not used, as the training set has none")
        return
    try:
        labels, classes, notes = as_labels(*[(part.label_name, part.labels, len(part.images)) for part, _ in labelled
                                             if part.labels is not None])
    except ValueError as error:
        if how.label_array is not None:
            raise
        sets[0].notes.append(f"labels not used: {one_line(error)}")
        return
    for (_, one), converted in zip(labelled, labels):
        one.labels, one.classes = converted, classes
    sets[0].classes = classes
    sets[0].notes += [f"labels from {labelled[0][0].label_name}", *notes]


def as_labels(*parts: tuple[str, Array, int]) -> tuple[list[Array], tuple[str, ...] | None, list[str]]:
    """Labels as whole numbers from 0, from one-hot rows, (N, 1), names, or numbers of any size.

    parts : for each set of images where its labels come from, the labels, and how many images it has

    Returns the labels of each part, the names of the classes where they are not 0, 1, ..., and notes.
    Raises ValueError for labels that are none.
    """
    name = parts[0][0]
    flat, notes = _numbers_of_text([_flat(*part) for part in parts]), []
    one_hot = {labels.ndim == 2 and labels.shape[1] > 1 for _, labels, _ in parts}
    if len(one_hot) == 2:
        raise ValueError(f"of {name} and {parts[1][0]} one is one-hot and the other is not; expected the same")
    if one_hot == {True}:
        notes.append(f"{name} were one-hot")
    if len({labels.dtype.kind == "U" for labels in flat}) == 2:
        raise ValueError(f"{name} and {parts[1][0]} are of different kinds, names and numbers; expected the same")
    values, classes = np.unique(np.concatenate(flat), return_inverse=True)
    if values.dtype.kind in "iu" and values[0] >= 0 and values[-1] < max(2 * len(values), 10):
        return [labels.astype(np.int64) for labels in flat], None, notes
    names = tuple(readable(str(value)) for value in values.tolist())
    if values.dtype.kind != "U":
        notes.append(f"{name} {names[0]} to {names[-1]} became classes 0 to {len(names) - 1}")
    ends = np.cumsum([len(labels) for labels in flat])[:-1]
    return [part.astype(np.int64) for part in np.split(classes, ends)], names, notes


def _flat(name: str, labels: Array, n: int) -> Array:
    """One label for each of n images, as a whole number, a truth value or text."""
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.shape == (n, 1):
        labels = labels[:, 0]
    if (labels.ndim == 2 and len(labels) == n and labels.dtype.kind in "biuf"
            and ((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
        labels = labels.argmax(axis=1)
    if labels.shape != (n,):
        raise ValueError(f"{name} has shape {labels.shape}; expected ({n},), a label for each image")
    if labels.dtype.kind == "f":
        if not (np.isfinite(labels) & (labels == np.rint(labels))).all() or np.abs(labels).max() > 2**53:
            raise ValueError(f"{name} are not whole numbers; expected classes")
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "u" and labels.max() < 2**63:    # NumPy joins uint64 and int64 as floats
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "biuU":
        raise ValueError(f"{name} are {shown(labels)}; expected whole numbers or names")
    if labels.dtype.kind == "U" and (labels == "").any():
        raise ValueError(f"{name} has no label in row {int((labels == '').argmax()) + 1:,}")
    return labels


def _numbers_of_text(parts: list[Array]) -> list[Array]:
    """Whole numbers that came as text, if all did and none is written in two ways, such as 1 and 01."""
    if any(part.dtype.kind != "U" for part in parts):
        return parts
    texts = np.unique(np.concatenate(parts))
    if any("_" in text for text in texts):    # which Python takes in a number
        return parts
    try:
        found = texts.astype(np.float64)
    except ValueError:
        return parts
    if not (found == np.rint(found)).all() or np.abs(found).max() > 2**53 or len(np.unique(found)) < len(texts):
        return parts
    return [part.astype(np.float64).astype(np.int64) for part in parts]
