"""Pictures from files of any kind that Pillow reads, as bytes in grey or in colour."""
from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..files.npz import MAX_BYTES
from ..files.regular import one_line
from .contents import Reading
from .conversion import DARKEST

Array = np.ndarray

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".pbm", ".pnm", ".jfif"}
# The decoders that we let near a stranger's file; Pillow has more, one of which starts a program.
DECODERS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
ORIENTATION, TURNED = 0x0112, range(2, 9)    # EXIF's tag, and its values other than "as it is"
OPAQUE = 128    # a difference in opacity that can be seen
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


class Unfit(Exception):
    """A picture that is not damaged, but not of a kind that is read; what its name is put before."""


class Entry(NamedTuple):
    """A picture in a folder or in an archive."""

    parts: tuple[str, ...]    # folders, and its name
    size: int                 # bytes in the file, packed if it is in an archive
    open: Callable[[], Any]


def is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def read_pictures(name: str, entries: list[Entry], how: Reading) -> tuple[Array, list[str], str]:
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
