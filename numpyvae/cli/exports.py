"""numpyvae export, numpyvae import"""
from __future__ import annotations

import argparse
import json
import os
from typing import Any

from .. import export
from ..arguments import pip_line
from .common import add_run, load_model
from .data import known_of_run, read_by
from .outputs import output_path


def add_export(commands: Any) -> None:
    parser = commands.add_parser(
        "export", help="write a trained model for PyTorch, JAX or ONNX",
        description="Write a model for a framework: to torch or safetensors, its weights with PyTorch's names and "
                    "layout and a module that loads them; to jax, the same weights and functions; to onnx, the encoder "
                    "and the decoder. No framework has to be installed; onnx needs "
                    f"{pip_line('export')}.",
        example="numpyvae export RUN --to torch\nnumpyvae export RUN --to onnx --out for_the_phone")
    parser.set_defaults(run=run_export)
    add_run(parser)
    parser.add_argument("--to", choices=list(export.FORMATS), default="torch", help="what the files are for")
    parser.add_argument("--out", type=os.path.expanduser, default=None, metavar="DIR",
                        help="folder for the files (default: export in RUN)")
    parser.add_argument("--overwrite", action="store_true", help="replace files of the same names and other content")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_import(commands: Any) -> None:
    parser = commands.add_parser(
        "import", help="bring weights back that were trained in PyTorch or JAX",
        description="Make a model with the network of a run and the weights of a safetensors file, by the names that "
                    "numpyvae export gives them.",
        example="numpyvae import weights.safetensors --like RUN")
    parser.set_defaults(run=run_import)
    parser.needs = ["like"]
    parser.add_argument("weights", type=os.path.expanduser, metavar="WEIGHTS", help="a safetensors file")
    parser.add_argument("--like", type=os.path.expanduser, default=None, metavar="RUN",
                        help="folder of the run that was exported, or its model.npz")
    parser.add_argument("--out", type=os.path.expanduser, default=None, metavar="FILE",
                        help="an .npz file, or a folder for imported.npz (default: imported.npz in RUN, where the "
                             "commands know its data)")
    parser.add_argument("--overwrite", action="store_true", help="replace a file of that name")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_export(options: argparse.Namespace) -> int:
    """numpyvae export"""
    model, folder = load_model(options.model)
    out = os.path.join(folder, "export") if options.out is None else options.out
    if not out or {"\0", "\n"} & set(out):
        raise ValueError(f"--out is {out!r}; expected the name of a folder")
    try:
        paths = export.save(model, out, options.to, options.overwrite)
    except FileExistsError as error:
        raise ValueError(f"--out is {out!r}, which is a file; expected the name of a folder") from error
    except OSError as error:
        raise OSError(f"--out is {out!r}, which cannot be written ({error.strerror or error}); choose a folder that "
                      "you can write to") from error
    print(json.dumps({"files": paths}) if options.json else "\n".join(paths))
    return 0


def run_import(options: argparse.Namespace) -> int:
    """numpyvae import"""
    like, folder = load_model(options.like, "--like")
    path = output_path(options.out, "imported.npz", folder, read_by(options, known_of_run(folder)), [".npz"])
    if os.path.lexists(path) and not options.overwrite:
        raise ValueError(f"--out is {path!r}, which is there already; expected another name, or --overwrite to replace "
                         "it")
    export.load(options.weights, like).save(path)
    print(json.dumps({"file": path}) if options.json else path)
    return 0
