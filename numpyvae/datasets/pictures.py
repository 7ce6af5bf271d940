"""Folders and zip files of pictures, read through Pillow."""
from __future__ import annotations

import collections
import contextlib
import functools
import os
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..files.npz import MAX_BYTES
from ..files.regular import one_line, open_file
from .contents import DARKEST, Contents, Reading, as_images

Array = np.ndarray

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm"}
# The decoders that we let near a stranger's file; Pillow has more, one of which starts a program.
DECODERS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "val", "valid": "val",
          "validation": "val"}
ORIENTATION = 0x0112    # EXIF's tag
MAX_FILES = 2_000_000
# A picture of few bytes can promise many pixels, which a decoder allocates before it looks further.
MAX_PIXELS = 2**26    # of one picture: eight thousand by eight thousand
PACKED = 1000         # pixels in a byte, which only an empty picture reaches
SMALL = 2**20         # pixels that are always taken
SAID = {"upright": "turned upright as their EXIF data say", "white": "transparent, laid on white",
        "black": "transparent, laid on black: on white they vanish", "16 bit": "of 16 bits a value, divided by 257",
        "float": "of floats in [0, 1], multiplied by 255", "grey": "in colour, turned to grey (--colour keeps it)",
        "first": "animations or several pages, of which the first was taken", "resized": "cropped in the middle and "
        "resized"}


class Entry(NamedTuple):
    """A picture in a folder or in an archive."""

    parts: tuple[str, ...]    # folders, and its name
    size: int                 # bytes in the file, packed if it is in an archive
    open: Callable[[], Any]


def read_folder(path: pathlib.Path, how: Reading) -> Contents:
    """The pictures in a folder; its subfolders are the classes, or the sets train, val and test."""
    how.refuse_others("a folder of pictures", "colour", "size", "transpose")
    return _read(str(path), list(_entries_of_folder(path)), how)


def read_zip(path: pathlib.Path, how: Reading) -> Contents:
    """The same in a zip file, read one by one: nothing is unpacked to disk, and no name is used as a path."""
    how.refuse_others("a zip file of pictures", "colour", "size", "transpose")
    try:
        with open_file(path, "check the path") as file, zipfile.ZipFile(file) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]

            def opener(info: zipfile.ZipInfo) -> Callable[[], Any]:
                if info.file_size > MAX_BYTES:
                    raise ValueError(f"{path} promises {info.file_size:,} bytes for {one_line(info.filename)}; "
                                     f"expected at most {MAX_BYTES:,}: it is damaged or forged")
                return lambda: archive.open(info)
            return _read(str(path), [Entry(_parts(info.filename), info.compress_size, opener(info))
                                     for info in members], how)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is a damaged zip file ({one_line(error)}); get it again") from error


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the name of a member of an archive; never used as a path."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")) or ("nameless",)


def holds_pictures(names: list[str]) -> bool:
    return any(os.path.splitext(name)[1].lower() in SUFFIXES for name in names)


def _entries_of_folder(path: pathlib.Path) -> Iterator[Entry]:
    n = 0
    for folder, subfolders, files in os.walk(path):    # does not follow links to folders, which may lead in a circle
        subfolders.sort()
        inner = pathlib.Path(folder).relative_to(path).parts
        for name in sorted(files):
            file = pathlib.Path(folder, name)
            n += 1
            if n > MAX_FILES:
                raise ValueError(f"{path} holds more than {MAX_FILES:,} files; expected at most that: name a folder "
                                 "inside it")
            if file.is_file():    # not for pipes and devices
                opener = functools.partial(open_file, file, "check the path")
                yield Entry((*inner, name), file.stat().st_size, opener)


def _read(name: str, entries: list[Entry], how: Reading) -> Contents:
    visible = [entry for entry in entries if not any(part.startswith((".", "__MACOSX")) for part in entry.parts)]
    pictures = [entry for entry in visible if holds_pictures([entry.parts[-1]])]
    if not pictures:
        kinds = collections.Counter(os.path.splitext(entry.parts[-1])[1].lower() or "no suffix" for entry in visible)
        others = ", ".join(f"{n:,} of {one_line(kind)}" for kind, n in kinds.most_common(3))
        found = f"no pictures, but files: {others}" if others else "no pictures"
        raise ValueError(f"{name} holds {found}; expected files such as .png or .jpg, or subfolders of such files")
    notes = [f"{n:,} {kind} file{'s' * (n > 1)} skipped" for n, kind in ((len(entries) - len(visible), "hidden"),
                                                                         (len(visible) - len(pictures), "other")) if n]
    pictures = _without_shared_folders(name, pictures)
    sets = {part for entry in pictures if len(entry.parts) > 1 for part in [entry.parts[0]]}
    by_set = {SPLITS[part.lower()]: part for part in sets if part.lower() in SPLITS}
    if "train" in by_set and len(by_set) == len(sets):
        return _read_sets(name, pictures, by_set, how, notes)
    classes, labels = _classes(pictures)
    images, said = _read_pictures(name, pictures, how)
    return Contents(images, labels, classes, notes=said + notes)


def _read_sets(name: str, pictures: list[Entry], by_set: dict[str, str], how: Reading, notes: list[str]) -> Contents:
    """Pictures in folders called train, test and val."""
    chosen = [by_set["train"], by_set.get("test", by_set.get("val"))]
    parts = [_without_shared_folders(name, [entry._replace(parts=entry.parts[1:]) for entry in pictures
                                            if entry.parts[0] == one]) for one in chosen if one is not None]
    unused = [entry for entry in pictures if entry.parts[0] not in chosen]
    if unused:
        notes = [*notes, f"{len(unused):,} in {one_line(unused[0].parts[0])} not used"]
    classes, labels = _classes([entry for part in parts for entry in part])
    images, said = _read_pictures(name, [entry for part in parts for entry in part], how)
    n = len(parts[0])
    test = None if len(parts) == 1 else Contents(images[n:], None if labels is None else labels[n:], classes)
    return Contents(images[:n], None if labels is None else labels[:n], classes, test, notes=said + notes)


def _without_shared_folders(name: str, pictures: list[Entry]) -> list[Entry]:
    """Without the folders that all pictures share, such as img_align_celeba/img_align_celeba."""
    while len(pictures[0].parts) > 1 and len({entry.parts[0] for entry in pictures}) == 1:
        if any(len(entry.parts) == 1 for entry in pictures):
            break
        pictures = [entry._replace(parts=entry.parts[1:]) for entry in pictures]
    top = sum(len(entry.parts) == 1 for entry in pictures)
    if 0 < top < len(pictures):
        folder = next(entry.parts[0] for entry in pictures if len(entry.parts) > 1)
        raise ValueError(f"{name} holds {top:,} pictures, and {len(pictures) - top:,} more in subfolders such as "
                         f"{one_line(folder)}; expected pictures in one of the two: move the others away")
    return pictures


def _classes(pictures: list[Entry]) -> tuple[tuple[str, ...] | None, Array | None]:
    """The outermost subfolders are the classes."""
    if len(pictures[0].parts) == 1:
        return None, None
    classes = tuple(sorted({entry.parts[0] for entry in pictures}))
    places = {name: i for i, name in enumerate(classes)}
    return classes, np.array([places[entry.parts[0]] for entry in pictures])


def _read_pictures(name: str, entries: list[Entry], how: Reading) -> tuple[Array, list[str]]:
    tally: collections.Counter[str] = collections.Counter()
    images = _decoded(name, entries, how, 255, tally)
    if tally["vanished"]:    # white ink on a transparent ground
        tally.clear()
        images = _decoded(name, entries, how, 0, tally)
        if tally["vanished"]:
            raise ValueError(f"{name} holds transparent pictures that vanish on white, and others that vanish on "
                             "black; expected pictures without transparency: lay them on a ground of your own")
    brightest = max(int(image.max()) for image in images)
    if tally["16 bit"] and brightest < DARKEST:
        raise ValueError(f"{name} holds pictures of 16 bits a value that reach only {257 * brightest} of 65535, as 10 "
                         "or 12 bits from a camera do; expected the whole range: scale them")
    stacked, said = as_images(name, np.stack(images))
    if how.transpose:
        stacked = np.ascontiguousarray(stacked.swapaxes(1, 2))
    return stacked, [f"{tally[what]:,} {words}" for what, words in SAID.items() if tally[what]] + said


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
    from PIL import Image, ImageOps    # Pillow comes with matplotlib
    try:
        with contextlib.closing(entry.open()) as file, Image.open(file, formats=DECODERS) as opened:
            most = min(MAX_PIXELS, max(SMALL, PACKED * entry.size))
            if opened.width * opened.height > most:
                raise ValueError(f"it promises {opened.width:,} x {opened.height:,} pixels; expected at most {most:,} "
                                 f"of {entry.size:,} bytes")
            tally["first"] += getattr(opened, "n_frames", 1) > 1
            tally["upright"] += opened.getexif().get(ORIENTATION, 1) != 1
            picture = _opaque(_eight_bits(ImageOps.exif_transpose(opened), tally), ground, tally)
            tally["grey"] += not how.colour and _is_coloured(picture)
            picture = picture.convert("RGB" if how.colour else "L")
            size = (how.size, how.size) if isinstance(how.size, int) else how.size
            if size is not None and picture.size != size:
                tally["resized"] += 1
                picture = ImageOps.fit(picture, size)
            return np.asarray(picture)
    except Exception as error:    # a decoder may raise anything on a damaged file
        raise ValueError(f"{name} cannot be read as a picture ({one_line(error)}); repair or remove it") from error


def _eight_bits(picture: Any, tally: collections.Counter[str]) -> Any:
    from PIL import Image
    if picture.mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"it holds numbers from {values.min()} to {values.max()}; expected 8 or 16 bits a value")
        tally["16 bit"] += 1
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if picture.mode == "F":
        values = np.asarray(picture)
        if not (values.min() >= 0 and values.max() <= 1):    # a NaN fails too
            raise ValueError(f"it holds floats from {values.min():g} to {values.max():g}; expected 0 to 1")
        tally["float"] += 1
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
    tally["vanished"] += int(alpha.max() > 0 and alpha.min() < alpha.max() and pixels.min() == pixels.max())
    return laid


def _is_coloured(picture: Any) -> bool:
    if picture.mode in ("1", "L"):
        return False
    pixels = np.asarray(picture.convert("RGB"))
    return bool((pixels != pixels[..., :1]).any())
