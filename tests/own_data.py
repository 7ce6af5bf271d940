"""Files such as people bring, for the tests of their readers."""
import gzip
import struct

import numpy as np
from PIL import Image

from numpyvae.cli import main
from numpyvae.datasets.contents import Reading
from numpyvae.datasets.files import read

SHORT = ["--hidden", "8", "--latent", "2", "--epochs", "1"]


def save_pictures(folder, arrays, suffix="png", **options):
    folder.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{i:02}.{suffix}", **options)
    return folder


def idx(array, code=8):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


def write_idx(path, array):
    content = idx(array.astype(np.uint8))
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_csv(path, rows, names=None, delimiter=","):
    lines = ([names] if names else []) + [list(row) for row in rows]
    path.write_text("\n".join(delimiter.join(map(str, line)) for line in lines))
    return path


def said(path, **how):
    return read(path, Reading(**how)).described()


def run(capsys, *arguments):
    code = main(list(map(str, arguments)))
    output = capsys.readouterr()
    return code, output.out, output.err
