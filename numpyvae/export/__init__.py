"""A model's way out, to PyTorch, JAX and ONNX's runtimes, and its weights' way back.

    save(vae, "out", "torch")                                  out/weights.safetensors and out/vae_torch.py
    vae = load("out/weights.safetensors", like=vae)

No framework is imported, here or in the files of source that are written: formulas.py holds every formula once, in a
form that each of them differentiates by itself.
"""
from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from ..arguments import MODEL, checked, one_of, pip_line
from ..files import safetensors
from ..files.regular import missing, remove_empty, written_whole
from ..models.model import Model
from . import jax, onnx, pytorch
from .layout import check_exportable, shapes_of, state_dict, with_weights

WEIGHTS = "weights.safetensors"


def _weights(model: Model) -> bytes:
    return safetensors.as_bytes(state_dict(model))


def _pytorch(model: Model) -> bytes:
    return pytorch.module_source(model, WEIGHTS).encode()


def _jax(model: Model) -> bytes:
    return jax.functions_source(model, WEIGHTS).encode()


# The files of each format, and what makes them.  Weights mean nothing without their network, which the module states.
FORMATS: dict[str, dict[str, Callable[[Model], bytes]]] = {
    "safetensors": {WEIGHTS: _weights, "vae_torch.py": _pytorch},
    "torch": {WEIGHTS: _weights, "vae_torch.py": _pytorch},
    "jax": {WEIGHTS: _weights, "vae_jax.py": _jax},
    "onnx": {"encoder.onnx": onnx.encoder_graph, "decoder.onnx": onnx.decoder_graph}}


@checked(model=MODEL)
def save(model: Model, folder: str | os.PathLike[str], to: str = "torch", overwrite: bool = False) -> list[str]:
    """Write a model for a framework to a folder, which is made if there is none; returns the paths of the files.

    to        : "torch" or "safetensors", "jax", "onnx"
    overwrite : whether files of the same names and other content may be replaced

    Each file is written whole or not at all, and after an error none that was not there before is left.  Raises
    ValueError where the model has parts that cannot be exported, or a file would be replaced; ImportError where "onnx"
    is not installed; OSError where the folder cannot be written to.
    """
    files = FORMATS[one_of("to", to, FORMATS)]
    check_exportable(model)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise FileExistsError(f"{folder} is a file; expected the name of a folder")
    try:
        contents = {os.path.join(folder, name): make(model) for name, make in files.items()}
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error.name} is not installed, so nothing was exported to {to}; "
                                  f"{pip_line('export')}") from None
    for path in filter(os.path.isdir, contents):
        raise ValueError(f"{path} is a folder; expected another folder to export to, where its name is free")
    others = [path for path, content in contents.items() if _holds_other(path, content)]
    if others and not overwrite:
        raise ValueError(f"{others[0]} is there already, with other content; expected another folder, or to overwrite "
                         "it (--overwrite)")
    _write(folder, contents)
    return list(contents)


@checked(like=MODEL)
def load(path: str | os.PathLike[str], like: Model) -> Model:
    """A model with the parts of `like` and the weights of a safetensors file, in their dtype.

    path : of what `save` wrote, or PyTorch: `save_file(model.state_dict(), path)`, trained on in the exported module

    Raises OSError where there is no such file, ValueError where it is damaged, or its names or shapes are others.
    """
    return with_weights(like, safetensors.read(path, shapes_of(like)))


def _holds_other(path: str, content: bytes) -> bool:
    """Whether something else is there."""
    if not os.path.lexists(path):
        return False
    if not os.path.isfile(path) or os.path.getsize(path) != len(content):
        return True
    with open(path, "rb") as file:
        return file.read() != content


def _write(folder: str | os.PathLike[str], contents: dict[str, bytes]) -> None:
    """All of the files, or none that was not there before: each takes its name when all are written."""
    made, folders = [path for path in contents if not os.path.exists(path)], missing(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        with contextlib.ExitStack() as files:
            for path, content in contents.items():
                files.enter_context(written_whole(path)).write(content)
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                os.unlink(path)
        remove_empty(folders)
        raise
