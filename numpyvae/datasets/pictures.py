"""Folders and zip files of pictures, read through Pillow."""
from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..files.npz import MAX_BYTES
from ..files.regular import one_line, open_file
from .contents import Part, Reading, counted, listed
from .conversion import DARKEST

Array = np.ndarray

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm", ".jfif"}
# The decoders that we let near a stranger's file; Pillow has more, one of which starts a program.
DECODERS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "val", "valid": "val",
          "validation": "val"}
# Folders beside pictures that hold something about them, rather than another class.
NO_CLASSES = ("images", "imgs", "masks", "labels", "annotations", "labelled", "labeled", "unlabelled", "unlabeled")
# A set's folder: train, training_set, seg_train, trainA, test2.
SET = re.compile(r"(?:.*[_\-. ])?(train|training|test|testing|val|valid|validation)"
                 r"(?:[_\-. ]?(?:sets?|images?|imgs?|data|[ab]|\d+))?", re.IGNORECASE)
ORIENTATION, TURNED = 0x0112, range(2, 9)    # EXIF's tag, and its values other than "as it is"
OPAQUE = 128    # a difference in opacity that can be seen
MAX_FILES = 2_000_000
# A picture of few bytes can promise many pixels, which a decoder allocates before it looks further.
MAX_PIXELS = 2**26    # of one picture: eight thousand by eight thousand
PACKED = 1000         # pixels in a byte, which only an empty picture reaches
SMALL = 2**20         # pixels that are always taken
SAID = {"upright": "turned upright as their EXIF data say", "white": "transparent, laid on white",
        "black": "transparent, laid on black: on white they vanish", "16 bit": "of 16 bits a value, divided by 257",
        "dark": "of them dark, below an eighth of white",
        "upper bits": "in colour of 16 bits a value, of which the upper 8 are read",
        "float": "of floats in [0, 1], multiplied by 255", "grey": "in colour, turned to grey (--colour keeps it)",
        "first": "animations or several pages, of which the first was taken",
        "resized": "cropped in the middle and resized"}
READ_ALONE = ("idx3-ubyte", "idx3-ubyte.gz", ".npy", ".npz", ".csv")    # files that are no pictures, but are read


class Unfit(Exception):
    """A picture that is not damaged, but not of a kind that is read; what its name is put before."""


class Entry(NamedTuple):
    """A picture in a folder or in an archive."""

    parts: tuple[str, ...]    # folders, and its name
    size: int                 # bytes in the file, packed if it is in an archive
    open: Callable[[], Any]


@dataclasses.dataclass
class Listing:
    """What a folder or an archive holds: files, folders by their parts, and what is neither."""

    files: list[Entry] = dataclasses.field(default_factory=list)
    folders: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    n_irregular: int = 0    # broken links, links to what was read before, pipes and devices


def read_folder(path: pathlib.Path, how: Reading, like: Part | None = None) -> list[Part]:
    """The pictures in a folder; its subfolders are the classes, or the sets train, val and test.

    like : the training set, if this is its test set: a folder called like one of its classes is one
    """
    how.refuse_others("a folder of pictures", "colour", "size", "transpose")
    return _read(str(path), _list_folder(path), how, like)


def read_zip(path: pathlib.Path, how: Reading, like: Part | None = None) -> list[Part]:
    """The same in a zip file, read one by one: nothing is unpacked to disk, and no name is used as a path."""
    how.refuse_others("a zip file of pictures", "colour", "size", "transpose")
    try:
        with open_file(path, "check the path") as file, zipfile.ZipFile(file) as archive:
            return _read(str(path), _list_zip(path, archive), how, like)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is a damaged zip file ({one_line(error)}); get it again") from error


def _list_zip(path: pathlib.Path, archive: zipfile.ZipFile) -> Listing:
    def opener(info: zipfile.ZipInfo) -> Callable[[], Any]:
        if info.file_size > MAX_BYTES:
            raise ValueError(f"{path} promises {info.file_size:,} bytes for {one_line(info.filename)}; "
                             f"expected at most {MAX_BYTES:,}: it is damaged or forged")
        return lambda: archive.open(info)

    listing, names = Listing(), set()
    for info in archive.infolist():
        parts = _parts(info.filename)
        if info.filename.endswith("/"):    # ZipInfo.is_dir stumbles over an empty name
            listing.folders.append(parts)
            continue
        if info.filename in names:
            raise ValueError(f"{path} holds two files called {one_line(info.filename)!r}; expected different names: "
                             "pack it again")
        names.add(info.filename)
        listing.files.append(Entry(parts, info.compress_size, opener(info)))
    return listing


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the name of a member of an archive; never used as a path."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")) or ("nameless",)


def is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _list_folder(path: pathlib.Path) -> Listing:
    """All below a folder.  Links to folders are followed, but each folder is read once: links may lead in a circle."""
    listing, n, seen = Listing(), 0, set()
    for folder, subfolders, files in os.walk(path, followlinks=True):
        inner, real = pathlib.Path(folder).relative_to(path).parts, os.path.realpath(folder)
        if real in seen:
            listing.n_irregular += 1
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()
        n += 1 + len(files)
        if n > MAX_FILES:
            raise ValueError(f"{path} holds more than {MAX_FILES:,} files; expected at most that: name a folder inside "
                             "it")
        if inner:
            listing.folders.append(inner)
        for name in sorted(files):
            file = pathlib.Path(folder, name)
            if file.is_file():    # not for broken links, pipes and devices
                opener = functools.partial(open_file, file, "check the path")
                listing.files.append(Entry((*inner, name), file.stat().st_size, opener))
            else:
                listing.n_irregular += 1
    return listing


def _read(name: str, listing: Listing, how: Reading, like: Part | None) -> list[Part]:
    visible = [entry for entry in listing.files if not _is_hidden(entry.parts)]
    pictures = [entry for entry in visible if is_picture(entry.parts[-1])]
    if not pictures:
        raise _no_pictures(name, visible)
    others = [entry for entry in visible if not is_picture(entry.parts[-1])]
    notes = [f"{words} skipped" for n, words in (
        (len(listing.files) - len(visible), counted(len(listing.files) - len(visible), "hidden file")),
        (len(others), f"{counted(len(others), 'other file')} ({_kinds(others)})"),
        (listing.n_irregular, counted(listing.n_irregular, "broken or repeated link"))) if n]
    empty = _without_pictures(listing.folders, pictures)
    if empty:
        notes.append(f"no pictures in {listed(empty)}")
    sets, of_sets = _sets(name, pictures, set() if like is None or like.labels is None else set(like.labels.tolist()))
    deep = {entry.parts[0] for part in sets for entry in part if len(entry.parts) > 2}
    if deep:
        notes.append(f"the folders within {listed(sorted(deep))} are not told apart")
    if any(len(entry.parts) > 1 for part in sets for entry in part):
        _refuse_no_classes(name, sets)
    images, said, ground = _read_pictures(name, [entry for part in sets for entry in part], how)
    ends = np.cumsum([len(part) for part in sets])
    found_sets = [Part(name, images[end - len(part):end], _classes(name, part), "the folders' names", ground=ground)
                  for part, end in zip(sets, ends)]
    found_sets[0].notes = said + notes
    for part, note in zip(found_sets[::-1], of_sets[::-1]):
        part.notes.append(note)
    return found_sets


def _kinds(entries: list[Entry]) -> str:
    """The commonest suffixes of files, in words."""
    suffixes = collections.Counter(os.path.splitext(entry.parts[-1])[1].lower() or "no suffix" for entry in entries)
    return ", ".join(f"{n:,} of {one_line(kind)}" for kind, n in suffixes.most_common(3))


def _no_pictures(name: str, entries: list[Entry]) -> ValueError:
    """The error for a folder without pictures; it names a file in it that is read, or the folder of IDX files."""
    found = f"no pictures, but files: {_kinds(entries)}" if entries else "no pictures"
    error = f"{name} holds {found}; expected files such as .png or .jpg, or subfolders of such files"
    for *folders, file in (entry.parts for entry in entries):
        if file.endswith(READ_ALONE):
            inner = "/".join(folders if "idx3-ubyte" in file else [*folders, file])
            return ValueError(f"{error}: name {one_line(inner)!r} in it")
    return ValueError(error)


def _is_hidden(parts: tuple[str, ...]) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in parts)


def _without_pictures(folders: list[tuple[str, ...]], pictures: list[Entry]) -> list[str]:
    """The folders that hold none, nor does any folder in them; of nested ones the outermost."""
    full = {entry.parts[:depth] for entry in pictures for depth in range(len(entry.parts))} | {()}
    return ["/".join(folder) for folder in folders
            if folder not in full and folder[:-1] in full and not _is_hidden(folder)]


def _sets(name: str, pictures: list[Entry], classes: set[str]) -> tuple[list[list[Entry]], list[str]]:
    """The training set, and the test set if there are folders of these names; and what is said about them.

    classes : names of folders that are no shelves: the classes of the training set, in reading its test set
    """
    pictures = _without_shared_folders(pictures, classes)
    folders = sorted({entry.parts[0] for entry in pictures if len(entry.parts) > 1})
    kinds = [SPLITS[match[1].lower()] for folder in folders if (match := SET.fullmatch(folder)) and not classes]
    if not kinds:
        return [pictures], []
    at_top = any(len(entry.parts) == 1 for entry in pictures)
    if "train" not in kinds or len(kinds) < len(folders) or len(set(kinds)) < len(kinds) or at_top:
        raise ValueError(f"{name} holds the folders {listed(folders)}{' and pictures beside them' * at_top}; expected "
                         "one for each class, or the sets train, test and val alone: rename a class that is called "
                         "so, or name a set's folder, and that of the test set with --test")
    by_kind = dict(zip(kinds, folders))
    held_out = by_kind.get("test", by_kind.get("val"))
    chosen = [folder for folder in (by_kind["train"], held_out) if folder is not None]
    unused = "; ".join(f"{sum(entry.parts[0] == folder for entry in pictures):,} in {one_line(folder)} not used"
                       for folder in folders if folder not in chosen)
    inner = [[_inside(entry) for entry in pictures if entry.parts[0] == folder] for folder in chosen]
    shared = _without_shared_folders([entry for part in inner for entry in part], classes)
    said = [unused] * bool(unused) + [f"in {one_line(folder)}" for folder in chosen[1:]]
    return [shared[:len(inner[0])], shared[len(inner[0]):]][:len(inner)], said


def _inside(entry: Entry) -> Entry:
    """Without the folder of its set, which some archives hold twice: train/train/0.png."""
    parts = entry.parts[1:]
    if len(parts) > 1 and parts[0].lower() == entry.parts[0].lower():
        parts = parts[1:]
    return entry._replace(parts=parts)


def _without_shared_folders(pictures: list[Entry], classes: set[str]) -> list[Entry]:
    """Without the folders that all pictures share, such as img_align_celeba/img_align_celeba."""
    while (all(len(entry.parts) > 1 for entry in pictures) and len({entry.parts[0] for entry in pictures}) == 1
           and pictures[0].parts[0] not in classes):
        pictures = [entry._replace(parts=entry.parts[1:]) for entry in pictures]
    return pictures


def _refuse_no_classes(name: str, sets: list[list[Entry]]) -> None:
    folders = sorted({entry.parts[0] for part in sets for entry in part if len(entry.parts) > 1})
    odd = [folder for folder in folders if folder.lower().startswith(NO_CLASSES)]
    if odd and len(folders) > 1:
        raise ValueError(f"{name} holds the folders {listed(folders)}, of which {odd[0]!r} is hardly a class; "
                         "expected a folder for each class: name the folder of the pictures to learn from")


def _classes(name: str, pictures: list[Entry]) -> Array | None:
    """The outermost subfolders are the classes."""
    top = sum(len(entry.parts) == 1 for entry in pictures)
    if 0 < top < len(pictures):
        folder = next(entry.parts[0] for entry in pictures if len(entry.parts) > 1)
        raise ValueError(f"{name} holds {top:,} picture{'s' * (top > 1)}, and {len(pictures) - top:,} more in "
                         f"subfolders such as {one_line(folder)}; expected pictures in one of the two: move the others "
                         "away")
    return None if top else np.array([entry.parts[0] for entry in pictures])


def _read_pictures(name: str, entries: list[Entry], how: Reading) -> tuple[Array, list[str], str]:
    """The pictures as bytes, what was done to them, and the ground that transparent ones were laid on."""
    tally: collections.Counter[str] = collections.Counter()
    images = _decoded(name, entries, how, 255, tally)
    if tally["vanished"]:    # white ink on a transparent ground
        tally.clear()
        images = _decoded(name, entries, how, 0, tally)
        if tally["vanished"]:
            raise ValueError(f"{name} holds transparent pictures that vanish on white, and others that vanish on "
                             "black; expected pictures without transparency: lay them on a ground of your own")
    if tally["16 bit"] and tally["brightest"] < 257 * DARKEST:
        raise ValueError(f"{name} holds pictures of 16 bits a value that reach only {tally['brightest']} of 65535, as "
                         "10 or 12 bits from a camera do; expected the whole range: scale them")
    if tally["float"] and tally["brightest float"] < DARKEST:
        raise ValueError(f"{name} holds pictures of floats that all lie below {DARKEST / 255:.2g}; expected them up to "
                         "1: scale them")
    if tally["bytes"]:
        raise ValueError(f"{name} holds {tally['bytes']:,} pictures of 16 bits a value that reach at most 255 of "
                         "65535, beside others; expected the whole range in all: save those as bytes")
    ground = next((ground for ground in ("white", "black") if tally[ground]), "")
    return np.stack(images), [f"{tally[what]:,} {words}" for what, words in SAID.items() if tally[what]], ground


def _decoded(name: str, entries: list[Entry], how: Reading, ground: int,
             tally: collections.Counter[str]) -> list[Array]:
    images: list[Array] = []
    for entry in entries:
        images.append(_decode(f"{name}/{one_line('/'.join(entry.parts))}", entry, how, ground, tally))
        if images[-1].shape != images[0].shape:
            first, this = (one_line("/".join(one.parts)) for one in (entries[0], entry))
            raise ValueError(f"{this} has {_size(images[-1])} pixels, but {first} has {_size(images[0])}; expected "
                             "pictures of the same size: give one, such as --size 64")
        if len(images) * images[0].size > MAX_BYTES:
            raise ValueError(f"{name} holds more than {MAX_BYTES:,} values; expected at most that: use fewer pictures, "
                             "or a smaller --size")
    return images


def _size(image: Array) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def _decode(name: str, entry: Entry, how: Reading, ground: int, tally: collections.Counter[str]) -> Array:
    """One picture as bytes, (height, width) or, in colour, (height, width, 3)."""
    from PIL import Image, ImageOps, UnidentifiedImageError    # Pillow comes with matplotlib
    try:
        with contextlib.closing(entry.open()) as file, Image.open(file, formats=DECODERS) as opened:
            most = min(MAX_PIXELS, max(SMALL, PACKED * entry.size))
            if opened.width * opened.height > most:
                raise Unfit(f"promises {opened.width:,} x {opened.height:,} pixels; expected at most {most:,} of "
                            f"{entry.size:,} bytes: repair or remove it")
            tally["upper bits"] += _loses_bits(opened)
            tally["first"] += getattr(opened, "n_frames", 1) > 1
            tally["upright"] += opened.getexif().get(ORIENTATION, 1) in TURNED
            picture = _opaque(_eight_bits(ImageOps.exif_transpose(opened), tally), ground, tally)
            tally["grey"] += not how.colour and _is_coloured(picture)
            picture = picture.convert("RGB" if how.colour else "L")
            size = (how.size, how.size) if isinstance(how.size, int) else how.size
            if size is not None and picture.size != size:
                tally["resized"] += 1
                picture = ImageOps.fit(picture, size)
            return np.asarray(picture)
    except Unfit as error:
        raise ValueError(f"{name} {error}") from error
    except UnidentifiedImageError:
        raise ValueError(f"{name} cannot be read as a picture (its bytes are of no format that is read here); convert "
                         "or remove it") from None
    except Exception as error:    # a decoder may raise anything on a damaged file
        raise ValueError(f"{name} cannot be read as a picture ({one_line(error)}); repair or remove it") from error


def _loses_bits(opened: Any) -> bool:
    """Whether Pillow will read only the upper byte of a picture's values; known as long as they are not read."""
    if opened.mode not in ("L", "LA", "RGB", "RGBA"):
        return False
    how = opened.tile[0][3] if opened.tile else ""    # "RGB;16B"; of a .ppm file ("RGB", 65535)
    return ";16" in str(how) or isinstance(how, tuple) and any(isinstance(one, int) and one > 255 for one in how)


def _eight_bits(picture: Any, tally: collections.Counter[str]) -> Any:
    from PIL import Image
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise Unfit(f"holds numbers from {values.min()} to {values.max()}; expected 8 or 16 bits a value: scale "
                        "them")
        tally["16 bit"] += 1
        tally["brightest"] = max(tally["brightest"], int(values.max()))
        tally["bytes"] += 0 < values.max() <= 255
        tally["dark"] += 255 < values.max() < 257 * DARKEST
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if picture.mode == "F":
        values = np.asarray(picture)
        if not (values.min() >= 0 and values.max() <= 1):    # a NaN fails too
            raise Unfit(f"holds floats from {values.min():g} to {values.max():g}; expected 0 to 1: scale them")
        tally["float"] += 1
        tally["brightest float"] = max(tally["brightest float"], int(np.rint(255 * values.max())))
        return Image.fromarray(np.rint(255 * values).astype(np.uint8))
    return picture


def _opaque(picture: Any, ground: int, tally: collections.Counter[str]) -> Any:
    """A transparent picture, laid on a ground."""
    from PIL import Image
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    alpha = np.asarray(picture)[..., 3]
    if alpha.min() == 255:
        return picture.convert("RGB")
    laid = Image.alpha_composite(Image.new("RGBA", picture.size, (ground, ground, ground, 255)), picture).convert("RGB")
    tally["white" if ground else "black"] += 1
    pixels = np.asarray(laid)
    # Ink of nearly the ground's colour, where its opacity alone says that there is a drawing.
    tally["vanished"] += int(np.ptp(alpha) >= OPAQUE and np.ptp(pixels) < DARKEST)
    return laid


def _is_coloured(picture: Any) -> bool:
    if picture.mode in ("1", "L"):
        return False
    pixels = np.asarray(picture.convert("RGB"))
    return bool((pixels != pixels[..., :1]).any())
