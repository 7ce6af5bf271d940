"""Folders and zip files of pictures: which of them are a training set and a test set, and which class each has."""
from __future__ import annotations

import collections
import dataclasses
import functools
import os
import pathlib
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arguments import counted
from ..files.npz import MAX_BYTES
from ..files.regular import one_line, open_file
from .contents import Part, Reading, listed
from .pictures import Entry, is_picture, read_pictures

Array = np.ndarray

SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "val", "valid": "val",
          "validation": "val"}
# Folders beside pictures that hold something about them, rather than another class.
NO_CLASSES = ("images", "imgs", "masks", "labels", "annotations", "labelled", "labeled", "unlabelled", "unlabeled")
# A set's folder: train, training_set, seg_train, trainA, test2.
SET = re.compile(r"(?:.*[_\-. ])?(train|training|test|testing|val|valid|validation)"
                 r"(?:[_\-. ]?(?:sets?|images?|imgs?|data|[ab]|\d+))?", re.IGNORECASE)
MAX_FILES = 2_000_000
READ_ALONE = ("idx3-ubyte", "idx3-ubyte.gz", ".npy", ".npz", ".csv")    # files that are no pictures, but are read


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
    if {("run.json",), ("model.npz",)} <= {entry.parts for entry in visible}:
        raise ValueError(f"{name} holds a run; expected data, such as a folder of pictures")
    if not pictures:
        raise _no_pictures(name, visible)
    others = [entry for entry in visible if not is_picture(entry.parts[-1])]
    notes = [f"{counted(n, kind)}{more} skipped" for n, kind, more in (
        (len(listing.files) - len(visible), "hidden file", ""), (len(others), "other file", f" ({_kinds(others)})"),
        (listing.n_irregular, "broken or repeated link", "")) if n]
    empty = _without_pictures(listing.folders, pictures)
    if empty:
        notes.append(f"no pictures in {listed(empty)}")
    classes = set(how.classes) if like is None or like.labels is None else set(like.labels.tolist())
    sets, of_sets = _sets(name, pictures, classes, is_one=like is not None and like.labels is not None)
    deep = {entry.parts[0] for part in sets for entry in part if len(entry.parts) > 2}
    if deep:
        notes.append(f"the folders within {listed(sorted(deep))} are not told apart")
    if any(len(entry.parts) > 1 for part in sets for entry in part):
        _refuse_no_classes(name, sets)
    images, said, ground = read_pictures(name, [entry for part in sets for entry in part], how)
    ends = np.cumsum([len(part) for part in sets])
    found_sets = [Part(name, images[end - len(part):end], _classes(name, part, how.classes), "the folders' names",
                       ground=ground)
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


def _sets(name: str, pictures: list[Entry], classes: set[str],
          is_one: bool) -> tuple[list[list[Entry]], list[str]]:
    """The training set, and the test set if there are folders of these names; and what is said about them.

    classes : names of folders that are no shelves: the classes that a model knows, or those of the training set, in
              reading its test set
    is_one  : whether it is such a test set, and holds no others
    """
    pictures = _without_shared_folders(pictures, classes)
    folders = sorted({entry.parts[0] for entry in pictures if len(entry.parts) > 1})
    kinds = [SPLITS[match[1].lower()] for folder in folders if (match := SET.fullmatch(folder))
             and not is_one and folder not in classes]
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


def _classes(name: str, pictures: list[Entry], known: Sequence[str]) -> Array | None:
    """The outermost subfolders are the classes; without any, the folder itself where it is called like a known one."""
    top = sum(len(entry.parts) == 1 for entry in pictures)
    if 0 < top < len(pictures):
        folder = next(entry.parts[0] for entry in pictures if len(entry.parts) > 1)
        raise ValueError(f"{name} holds {counted(top, 'picture')}, and {len(pictures) - top:,} more in "
                         f"subfolders such as {one_line(folder)}; expected pictures in one of the two: move the others "
                         "away")
    own = os.path.basename(os.path.abspath(name))
    if top:
        return np.array([own] * top) if own in known else None
    return np.array([entry.parts[0] for entry in pictures])
