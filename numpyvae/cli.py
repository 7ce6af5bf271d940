"""The command line.  Results go to stdout, progress and errors to stderr.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import numpyvae as nv

from .datasets import DataSet, load_dataset
from .functional.activations import ACTIVATIONS
from .layers import INITS
from .likelihoods import LIKELIHOODS
from .optimizers import OPTIMIZERS
from .pixels import BINARIZE
from .plots import picture_shape


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    options = make_parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print("numpyvae: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:    # the reader of our output has gone, as in `numpyvae ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, ArithmeticError, MemoryError) as error:
        print(f"numpyvae: {error}", file=sys.stderr)
        return 1


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="numpyvae", description="A variational autoencoder from scratch.")
    parser.add_argument("--version", action="version", version=f"numpyvae {nv.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_sample(commands)
    _add_reconstruct(commands)
    _add_gradcheck(commands)
    _add_bench(commands)
    _add_lessons(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train a VAE and write a report",
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter,
                                description="Train a VAE; OUT then holds report.html, model.npz and metrics.json.")
    train.set_defaults(run=run_train)
    _add_data(train)
    model = train.add_argument_group("model")
    model.add_argument("--network", choices=["dense", "conv"], default="dense",
                       help="dense layers only, or convolutions that halve the image and one dense layer")
    model.add_argument("--hidden", type=whole, nargs="*", default=None, metavar="N",
                       help="sizes of dense hidden layers (default: 400; with --network conv, one: 256)")
    model.add_argument("--channels", type=whole, nargs="+", default=[32, 64], metavar="N",
                       help="channels of the convolutions, for --network conv")
    model.add_argument("--latent", type=whole, default=20, metavar="N", help="latent dimensions")
    model.add_argument("--likelihood", choices=list(LIKELIHOODS), default="bernoulli",
                       help="what the decoder's output means")
    model.add_argument("--sigma", type=positive, default=1.0, help="pixels' standard deviation, for gaussian")
    model.add_argument("--beta", type=not_negative, default=1.0, help="weight of the KL term")
    model.add_argument("--activation", choices=list(ACTIVATIONS), default="relu", help="of the hidden layers")
    model.add_argument("--init", choices=list(INITS), default="fan-in", help="how the first weights are drawn")
    training = train.add_argument_group("training")
    training.add_argument("--epochs", type=whole, default=30, metavar="N", help="passes over the images")
    training.add_argument("--batch-size", type=whole, default=128, metavar="N", help="images a step")
    training.add_argument("--optimizer", choices=list(OPTIMIZERS), default="adam", help="how weights are updated")
    training.add_argument("--lr", type=positive, default=1e-3, help="learning rate")
    training.add_argument("--binarize", choices=BINARIZE, default="none",
                          help="draw pixels as 0 or 1: never, once, or anew in every epoch")
    training.add_argument("--out", default=None, metavar="DIR",
                          help="where the run goes (default: a new folder in runs/)")
    _add_common(train)


def _add_sample(commands: Any) -> None:
    sample = commands.add_parser("sample", help="draw new images from a trained model",
                                 formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    sample.set_defaults(run=run_sample)
    _add_run(sample)
    sample.add_argument("--n", type=whole, default=64, metavar="N", help="how many images")
    sample.add_argument("--out", default=None, metavar="FILE", help="the picture (default: samples.png in RUN)")
    _add_common(sample)


def _add_reconstruct(commands: Any) -> None:
    reconstruct = commands.add_parser("reconstruct", help="send test images through a trained model and back",
                                      formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    reconstruct.set_defaults(run=run_reconstruct)
    _add_run(reconstruct)
    _add_data(reconstruct)
    reconstruct.add_argument("--n", type=whole, default=16, metavar="N", help="how many images")
    reconstruct.add_argument("--out", default=None, metavar="FILE",
                             help="the picture (default: reconstructions.png in RUN)")
    _add_common(reconstruct)


def _add_gradcheck(commands: Any) -> None:
    gradcheck = commands.add_parser("gradcheck", help="check every gradient, or one of your own",
                                    description="Compare every backward pass with a numerical derivative.")
    gradcheck.set_defaults(run=run_gradcheck)
    gradcheck.add_argument("own", nargs="?", metavar="FILE.py:NAME",
                           help="your own layer, or function f beside f_backward")
    gradcheck.add_argument("--component", default=None, metavar="NAME",
                           help="only the components whose name contains this")
    gradcheck.add_argument("--method", choices=["complex-step", "central-differences"], default=None,
                           help="only this method (default: both)")
    gradcheck.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser(
        "bench", help="time a training step, beside PyTorch and JAX where they are installed",
        description="Time a training step beside its matrix products alone, and beside PyTorch and JAX "
                    "(pip install -e '.[bench]'), in turn; the table goes into benchmarks/RESULTS.md.")
    bench.set_defaults(run=run_bench)


def _add_lessons(commands: Any) -> None:
    lessons = commands.add_parser("lessons", help="open the lessons in JupyterLab")
    lessons.set_defaults(run=run_lessons)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="strokes", metavar="NAME|PATH",
                        help="strokes, mnist, or a .npy, .npz or IDX file, or a folder of images")
    parser.add_argument("--data-dir", default=None, metavar="DIR",
                        help="the folder of MNIST's files (default: NUMPYVAE_DATA, then data/)")


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN", help="the folder of a run, or its model.npz")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of every random draw")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_train(options: argparse.Namespace) -> int:
    """numpyvae train"""
    data = load_dataset(options.data, options.data_dir, options.seed)
    out = options.out or os.path.join("runs", time.strftime("%Y-%m-%d-%H%M%S-") + data.name)
    _make_folder(out)
    rng = np.random.default_rng(options.seed)
    vae = _make_vae(options, data.train.shape[1:], rng)
    configuration = {"data": options.data, "network": vae.network, **vae.config, "optimizer": options.optimizer,
                     "lr": options.lr, "batch_size": options.batch_size, "epochs": options.epochs,
                     "binarize": options.binarize, "seed": options.seed}
    model_path = os.path.join(out, "model.npz")
    _say(f"training on {data.name}: {len(data.train):,} images, {len(vae.parameters):,} weights")
    records: list[nv.Record] = []
    try:
        for record in nv.fit(vae, data.train, optimizer=OPTIMIZERS[options.optimizer](lr=options.lr),
                             epochs=options.epochs, batch_size=options.batch_size, rng=rng, validation=data.test,
                             binarize=options.binarize, progress=sys.stderr.isatty()):
            records.append(record)
            vae.save(model_path)
            _say(_epoch_line(record, options.epochs))
    except (KeyboardInterrupt, FloatingPointError):
        if records:
            _say(f"numpyvae: the model after epoch {records[-1].epoch} is in {model_path}")
        raise
    metrics = _metrics(records, configuration)
    _write_json(os.path.join(out, "metrics.json"), metrics)
    report = _write_report(out, vae, records, data, metrics)
    if options.json:
        print(json.dumps({**metrics, "report": report}))
    else:
        print(f"test loss {metrics['test_loss']:.2f} nats per image "
              f"= reconstruction {metrics['test_nll']:.2f} + {vae.beta:g} x KL {metrics['test_kl']:.2f}")
        print(f"report    {report}")
    return 0


def _make_vae(options: argparse.Namespace, shape: tuple[int, ...], rng: np.random.Generator) -> nv.VAE:
    """The model that the options ask for, for images of this shape."""
    common = {name: getattr(options, name) for name in ("likelihood", "activation", "beta", "init", "sigma")}
    common |= {"n_latent": options.latent, "rng": rng}
    if options.network == "dense":
        hidden = [400] if options.hidden is None else options.hidden
        return nv.VAE.dense(n_data=math.prod(shape), hidden=tuple(hidden), **common)
    picture = picture_shape(shape)
    if picture is None:
        raise ValueError(f"--network is conv, but the data's rows have shape {shape}; expected images, as "
                         "(N, height, width) or (N, height, width, channels): use --network dense")
    if options.hidden is not None and len(options.hidden) != 1:
        raise ValueError(f"--hidden is {options.hidden}; expected one size with --network conv, of its dense layer")
    (n_hidden,) = options.hidden or [256]
    return nv.VAE.conv(shape=(*picture, 1)[:3], channels=tuple(options.channels), n_hidden=n_hidden, **common)


def run_sample(options: argparse.Namespace) -> int:
    """numpyvae sample"""
    vae, folder = _load(options.model)
    images = vae.sample(options.n, np.random.default_rng(options.seed))
    images = images.reshape(-1, *vae.config.get("shape", images.shape[1:]))    # a conv model knows its images' shape
    from . import plots
    return _write_picture(plots.image_grid, images, options, os.path.join(folder, "samples.png"))


def run_reconstruct(options: argparse.Namespace) -> int:
    """numpyvae reconstruct"""
    vae, folder = _load(options.model)
    data = load_dataset(options.data, options.data_dir, options.seed)
    images = data.test[:options.n]
    from . import plots
    return _write_picture(lambda images, ax: plots.reconstructions(vae, images, ax=ax), images, options,
                          os.path.join(folder, "reconstructions.png"))


def run_gradcheck(options: argparse.Namespace) -> int:
    """numpyvae gradcheck"""
    from .diagnosis import check_own
    from .gradcheck import gradcheck
    report = check_own(options.own) if options.own else gradcheck(options.component, options.method)
    print(json.dumps(report.as_dict()) if options.json else report)
    return 0 if report.ok else 1


def run_bench(options: argparse.Namespace) -> int:
    """numpyvae bench"""
    return subprocess.call([sys.executable, "-m", "benchmarks.step"], cwd=_checkout("benchmarks"))


def run_lessons(options: argparse.Namespace) -> int:
    """numpyvae lessons"""
    if importlib.util.find_spec("jupyterlab") is None:
        raise OSError("JupyterLab is not installed, so the lessons cannot be opened; pip install -e '.[lessons]'")
    first = min((_checkout("lessons") / "lessons").glob("[0-9][0-9]_*.ipynb"))
    return subprocess.call([sys.executable, "-m", "jupyterlab", str(first)])


def _checkout(folder: str) -> pathlib.Path:
    """The project's own folder, which holds what is not part of the installed package."""
    root = pathlib.Path(__file__).parents[1]
    if not (root / folder).is_dir():
        raise OSError(f"the folder {folder}/ is not beside the package at {root}; clone the project and "
                      "pip install -e . there")
    return root


def _metrics(records: list[nv.Record], configuration: dict[str, Any]) -> dict[str, Any]:
    test = records[-1].validation
    assert test is not None    # run_train always validates
    seconds = float(np.median([record.seconds for record in records]))
    return {"test_loss": test.loss, "test_nll": test.nll, "test_kl": test.kl, "epochs": len(records),
            "seconds_per_epoch": seconds,
            "images_per_second": float(np.median([record.images_per_second for record in records])),
            "test_loss_by_epoch": [record.validation.loss for record in records if record.validation],
            "configuration": configuration}


def _write_report(out: str, vae: nv.VAE, records: list[nv.Record], data: DataSet, metrics: dict[str, Any]) -> str:
    from .report import write_report
    path = os.path.join(out, "report.html")
    write_report(path, vae, records, data.test, labels=data.test_labels, thickness=data.test_thickness,
                 title=f"A VAE on {data.name}", configuration=metrics["configuration"], metrics=metrics)
    return path


def _write_picture(draw: Callable[..., Any], images: np.ndarray, options: argparse.Namespace, default: str) -> int:
    from matplotlib.figure import Figure
    path = options.out or default
    figure = Figure(figsize=(8, 8), layout="constrained")
    draw(images, ax=figure.subplots())
    try:
        figure.savefig(path, dpi=150, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise ValueError(f"--out is {path!r}, which cannot be written ({error}); expected a picture such as "
                         "samples.png in a folder of your own") from error
    print(json.dumps({"picture": path, "images": len(images)}) if options.json else path)
    return 0


def _load(model: str) -> tuple[Any, str]:
    """The model of a run, and the run's folder."""
    path = os.path.join(model, "model.npz") if os.path.isdir(model) else model
    return nv.load(path), os.path.dirname(path)


def _make_folder(path: str) -> None:
    """Make sure before an hour of training, not after it, that the run can be written."""
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, ".writable")
        with open(probe, "w"):
            pass
        os.unlink(probe)
    except OSError as error:
        raise OSError(f"--out is {path!r}, which cannot be written ({error.strerror}); "
                      "choose a folder of your own") from error


def _write_json(path: str, content: dict[str, Any]) -> None:
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    os.replace(path + ".part", path)


def _epoch_line(record: nv.Record, epochs: int) -> str:
    assert record.validation is not None
    return (f"epoch {record.epoch:{len(str(epochs))}}/{epochs}  loss {record.loss:8.2f}  "
            f"test {record.validation.loss:8.2f} = {record.validation.nll:.2f} + KL {record.validation.kl:.2f}  "
            f"{record.seconds:.1f} s")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def whole(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    return _parse(text, int, lambda number: number >= 1, "a whole number of at least 1")


def seed(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    return _parse(text, int, lambda number: number >= 0, "a whole number of at least 0")


def positive(text: str) -> float:
    """A number above 0, for argparse."""
    return _parse(text, float, lambda number: 0 < number < math.inf, "a number above 0")


def not_negative(text: str) -> float:
    """A number of at least 0, for argparse."""
    return _parse(text, float, lambda number: 0 <= number < math.inf, "a number of at least 0")


def _parse(text: str, kind: Callable[[str], Any], good: Callable[[Any], bool], expected: str) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not good(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}")
    return number
