"""numpyvae train"""
from __future__ import annotations

import argparse
import contextlib
import glob
import json
import math
import os
import pathlib
import shlex
import signal
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator
from typing import Any

import filelock
import numpy as np

import numpyvae as nv

from .. import evaluation
from ..arguments import shown
from ..datasets import DataSet
from ..functional.activations import ACTIVATIONS
from ..models.likelihoods import LIKELIHOODS
from ..nn.layers import INITS
from ..report import summary
from ..report.plots import picture_shape
from ..training import objectives
from ..training.batches import BINARIZE
from ..training.optimizers import OPTIMIZERS
from .common import (READING, add_common, add_data, checksum, count, flag, has_changed, load_data, not_negative,
                     positive, remember_paths, say, whole, write_json)

MODEL = ("likelihood", "activation", "beta", "init", "sigma")
RECORDED = (*MODEL, "objective", "samples", "lr", "lr_end", "warmup", "batch_size", "epochs", "binarize", "seed")
BATCH_SIZE = 128
# Options that have an effect only beside another: when they have, and what is to be given.
EFFECT: list[tuple[str, Callable[[argparse.Namespace], bool], str]] = [
    ("sigma", lambda options: options.likelihood in ("gaussian", "student-t"), "--likelihood gaussian or student-t"),
    ("samples", lambda options: options.objective in ("iwae", "dreg"), "--objective iwae or dreg"),
    ("channels", lambda options: options.network == "conv", "--network conv"),
    ("data_dir", lambda options: options.data == "mnist", "--data mnist"),
    ("overwrite", lambda options: options.out is not None, "--out")]
NOT_OF_RUN = ("run", "json", "resume", "typed", "overwrite", "open", "command")
GOES_ON_WITH = {"epochs", "checkpoint_every", "data_dir", "out", "open"}    # may differ when a run is resumed
OBJECTIVES = ("elbo", "free_bits", "iwae", "dreg", "sticking_the_landing", "score_function")


def add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train a VAE and write a report",
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter,
                                description="Train a VAE; write report.html, model.npz and metrics.json to a folder.",
                                epilog="NUMPYVAE_KERNELS=0 trains with the functions that the lessons show, in plain "
                                       "NumPy: a print that you add to one of them prints at every step.")
    train.set_defaults(run=run_train)
    add_data(train)
    model = train.add_argument_group("model")
    model.add_argument("--network", choices=["dense", "conv"], default="dense",
                       help="dense layers only, or convolutions that each halve the image, and one dense layer")
    model.add_argument("--hidden", type=whole, nargs="*", default=None, metavar="N",
                       help="sizes of the dense hidden layers (default: 400; with --network conv one size, 256)")
    model.add_argument("--channels", type=whole, nargs="+", default=[32, 64], metavar="N",
                       help="channels of the convolutions, for --network conv")
    model.add_argument("--conditional", action="store_true", help="tell encoder and decoder the label of each image")
    model.add_argument("--latent", type=whole, default=20, metavar="N", help="latent dimensions")
    model.add_argument("--likelihood", choices=list(LIKELIHOODS), default="bernoulli",
                       help="distribution of a pixel, given the decoder's output")
    model.add_argument("--sigma", type=positive, default=1.0,
                       help="standard deviation (gaussian) or scale (student-t) of a pixel")
    model.add_argument("--beta", type=not_negative, default=1.0, help="weight of the KL term")
    model.add_argument("--activation", choices=list(ACTIVATIONS), default="relu", help="activation of hidden layers")
    model.add_argument("--init", choices=list(INITS), default="fan-in", help="how initial weights are drawn")
    training = train.add_argument_group("training")
    training.add_argument("--epochs", type=whole, default=10, metavar="N", help="passes over the images")
    training.add_argument("--batch-size", type=whole, default=None, metavar="N",
                          help="images per step (default: 128, or all where there are fewer)")
    training.add_argument("--optimizer", choices=list(OPTIMIZERS), default="adam", help="how weights are updated")
    training.add_argument("--lr", type=positive, default=1e-3, help="learning rate")
    training.add_argument("--binarize", choices=BINARIZE, default="none",
                          help="draw pixels as 0 or 1: never, in every epoch, or once")
    training.add_argument("--objective", choices=OBJECTIVES, default="elbo", help="the loss or its gradient estimator")
    training.add_argument("--samples", type=whole, default=1, metavar="K", help="codes per image, for iwae and dreg")
    training.add_argument("--lr-end", type=positive, default=None, metavar="LR",
                          help="lower the learning rate smoothly to this")
    training.add_argument("--warmup", type=count, default=0, metavar="N", help="epochs over which beta grows from 0")
    training.add_argument("--checkpoint-every", default="1 minute", metavar="INTERVAL",
                          help="how often to save the run: '500 steps', '2 minutes'")
    training.add_argument("--resume", type=os.path.expanduser, default=None, metavar="OUT",
                          help="resume the run in this folder, with the options it was started with")
    training.add_argument("--out", type=os.path.expanduser, default=None, metavar="DIR",
                          help="folder for the run (default: a new one in runs/)")
    training.add_argument("--overwrite", action="store_true", help="replace the run that --out holds")
    training.add_argument("--open", action="store_true", help="open the report in the browser when it is written")
    add_common(train)


def run_train(options: argparse.Namespace) -> int:
    """numpyvae train"""
    if options.resume is not None:
        options = _options_of(options.resume, options)
    else:
        _refuse_without_effect(options)
    data = load_data(options)
    if options.resume is None:
        options.checksum, options.shape, options.columns = checksum(data), data.train.shape[1:], data.columns
        remember_paths(options)
        options.commands = [options.command]
    elif getattr(options, "checksum", None) not in (None, checksum(data)):
        raise has_changed(options.data)
    elif hasattr(options, "commands"):    # runs from before they were kept have none
        options.commands = [*options.commands, options.command]
    options.batch_size = options.batch_size or min(BATCH_SIZE, len(data.train))
    out = options.out or os.path.join("runs", time.strftime("%Y-%m-%d-%H%M%S-") + data.name)
    with _folder_of_run(out):
        if options.resume is None:
            _refuse_to_overwrite(out, options.overwrite)
        for name in ("metrics.json", "evaluation.json", "report.html", "checkpoint.npz", "model.npz"):
            if options.resume is None:    # of a run that is overwritten
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(out, name))
            # Left over by a run that was killed while saving.
            for left in glob.glob(os.path.join(glob.escape(out), f"{name}.*.part")):
                os.unlink(left)
        return _train(options, data, out)


def _refuse_without_effect(options: argparse.Namespace) -> None:
    """Raises ValueError for an option that was typed and would change nothing."""
    for name, has_effect, expected in EFFECT:
        if name in options.typed and not has_effect(options):
            raise ValueError(f"{flag(name)} is {shown(getattr(options, name))}, which has no effect here; "
                             f"expected none, or {expected} too")


def _refuse_to_overwrite(out: str, asked: bool) -> None:
    if asked or not os.path.exists(os.path.join(out, "run.json")):
        return
    finished = os.path.exists(os.path.join(out, "metrics.json"))
    again = "" if finished else f", --resume {shlex.quote(out)} to go on with that one"
    raise ValueError(f"--out is {out!r}, which holds a run{'' if finished else ' that has not finished'}; expected "
                     f"another folder{again}, or --overwrite to replace it")


def _train(options: argparse.Namespace, data: DataSet, out: str) -> int:
    rng = np.random.default_rng(options.seed)
    labels, test_labels = (data.train_labels, data.test_labels) if options.conditional else (None, None)
    if options.conditional and (labels is None or test_labels is None):
        raise ValueError(f"--conditional needs labels, but {options.data} has none that can be used; expected strokes, "
                         "mnist, a folder with a subfolder for each class, or labels beside the images (--label-array)")
    n_classes = None if labels is None or test_labels is None else int(max(labels.max(), test_labels.max())) + 1
    sizes = _sizes(options, data.train.shape[1:], n_classes)
    vae = _make_vae(options, sizes, rng)
    reading = {name: getattr(options, name) for name in READING if getattr(options, name)}
    configuration = {"data": options.data, **reading, "network": options.network, **sizes, "n_latent": options.latent,
                     "optimizer": options.optimizer, **{name: getattr(options, name) for name in RECORDED}}
    model_path, checkpoint = os.path.join(out, "model.npz"), os.path.join(out, "checkpoint.npz")
    resume = checkpoint if options.resume is not None and os.path.exists(checkpoint) else None
    write_json(os.path.join(out, "run.json"),
               {name: value for name, value in vars(options).items() if name not in NOT_OF_RUN})
    if options.resume is not None and resume is None:
        say(f"{out} holds no checkpoint yet: starting the run from the beginning")
    say(f"training on {data.name}: {len(data.train):,} {data.thing}s, {len(vae.parameters):,} weights")
    records: list[nv.Record] = []
    try:
        with Interrupt() as interrupt:
            for record in nv.fit(vae, data.train, optimizer=OPTIMIZERS[options.optimizer](lr=options.lr),
                                 epochs=options.epochs, batch_size=options.batch_size, rng=rng, labels=labels,
                                 validation=data.test, validation_labels=test_labels,
                                 binarize=options.binarize, objective=_objective(options), samples=options.samples,
                                 lr_end=options.lr_end, warmup=options.warmup, checkpoint=checkpoint,
                                 checkpoint_every=options.checkpoint_every,
                                 resume=resume, stop=interrupt.is_requested,
                                 progress=sys.stderr.isatty()):
                records.append(record)
                vae.save(model_path)
                say(_epoch_line(record, options.epochs))
    except (KeyboardInterrupt, FloatingPointError):
        if records:
            say(f"numpyvae: the model after epoch {records[-1].epoch} is in {model_path}")
        if os.path.exists(checkpoint):
            say(f"numpyvae: resume with  numpyvae train --resume {shlex.quote(out)}")
        raise
    metrics = _metrics(records, configuration)
    metrics |= {"date": time.strftime("%Y-%m-%d %H:%M"), "commands": getattr(options, "commands", [])}
    metrics["remarks"] = evaluation.remarks(vae, data.test, metrics["test_nll"], labels=test_labels,
                                            rng=np.random.default_rng(options.seed))
    for remark in metrics["remarks"]:
        say(f"note: {remark}")
    write_json(os.path.join(out, "metrics.json"), metrics)
    report = write_run_report(out, vae, records, data, metrics)
    if options.json:
        print(json.dumps({**metrics, "report": report}))
    else:
        print(f"test loss {metrics['test_loss']:.2f} nats per {data.thing} "
              f"= reconstruction {metrics['test_nll']:.2f} + {vae.beta:g} x KL {metrics['test_kl']:.2f}")
        if longer := summary.train_longer(out, len(records), configuration):
            print(f"longer    {longer}")
        print(f"report    {report}")
    if options.open:
        _open(report)
    return 0


def _open(report: str) -> None:
    """Show the report in the browser, or say that there is none."""
    try:
        opened = webbrowser.open(pathlib.Path(report).resolve().as_uri())
    except webbrowser.Error:
        opened = False
    if not opened:
        say(f"numpyvae: no browser could be opened from here (--open); open {report} yourself")


class Interrupt:
    """Inside its `with` block the first Ctrl-C asks training to stop after its step; the second stops it at once.

    After either, once the block has ended, the command ignores Ctrl-C while it prints its last lines and exits.

    Python drops an exception that is raised while it destroys an object, and prints its traceback.  If a second Ctrl-C
    is lost this way, we print nothing: the first one still stops training after its step.  Nor do we print a later
    AttributeError or ValueError: if the second Ctrl-C interrupts the making of an object or the writing of a zip file,
    that object is destroyed half made, or that file closed half written.
    """

    def __enter__(self) -> Interrupt:
        self.requested = self.stopped = False
        self.before, self.report_before = signal.signal(signal.SIGINT, self._note), sys.unraisablehook
        sys.unraisablehook = self._report
        return self

    def _note(self, number: int, frame: Any) -> None:
        if self.requested:
            self.stopped = True
            raise KeyboardInterrupt
        self.requested = True
        say("numpyvae: stopping after this step; Ctrl-C again stops at once")

    def _report(self, dropped: Any) -> None:
        half_made = self.stopped and dropped.exc_type in (AttributeError, ValueError)
        if dropped.exc_type is not KeyboardInterrupt and not half_made:
            self.report_before(dropped)

    def is_requested(self) -> bool:
        return self.requested

    def __exit__(self, *exception: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN if self.requested else self.before)
        if not self.stopped:    # a half-made object may be destroyed later
            sys.unraisablehook = self.report_before


def _options_of(out: str, now: argparse.Namespace) -> argparse.Namespace:
    """The options that the run in the folder `out` was started with, and those that may differ in going on with it.

    Raises ValueError for any other that was typed and differs.
    """
    path = os.path.join(out, "run.json")
    try:
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        then = argparse.Namespace(**{**vars(now), **dict.fromkeys(READING), **saved, "out": out,
                                     "data_dir": now.data_dir or saved["data_dir"]})
        epochs, lr_end = int(saved["epochs"]), saved["lr_end"]
    except OSError as error:
        raise type(error)(f"--resume is {out!r}, but its run.json cannot be read ({error.strerror}); expected the "
                          "folder of a run that numpyvae train started") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path!r} cannot be read ({error}); expected the file that numpyvae train wrote") from error
    for name in sorted(now.typed & set(saved) - GOES_ON_WITH):
        if getattr(now, name) != saved[name]:
            raise ValueError(f"{flag(name)} is {shown(getattr(now, name))}, but the run in {out} was "
                             f"started with {shown(saved[name])}; expected the same, or none: --resume goes on with "
                             "what was begun")
    if "out" in now.typed and os.path.realpath(now.out) != os.path.realpath(out):
        raise ValueError(f"--out is {now.out!r}, but --resume goes on in {out!r}; expected no --out")
    if "epochs" in now.typed:
        if now.epochs < epochs or (now.epochs > epochs and lr_end is not None):
            why = ("" if now.epochs < epochs else ": its learning rate falls over all of them (--lr-end), so more "
                   "would change those that are done")
            raise ValueError(f"--epochs is {now.epochs}, but the run in {out} was started with {epochs}; expected "
                             f"{'at least ' * (lr_end is None)}as many{why}")
        then.epochs = now.epochs
    if "checkpoint_every" in now.typed:
        then.checkpoint_every = now.checkpoint_every
    if then.epochs == epochs and os.path.exists(os.path.join(out, "metrics.json")):
        say(f"the run in {out} has finished its {epochs} epochs; to train on, give more: --epochs {2 * epochs}")
    return then


def _objective(options: argparse.Namespace) -> Any:
    return None if options.objective == "elbo" else getattr(objectives, options.objective)


def _sizes(options: argparse.Namespace, shape: tuple[int, ...], n_classes: int | None) -> dict[str, Any]:
    """The network's sizes, from the options, for images of this shape and, if it is conditional, so many classes."""
    if options.network == "dense":
        hidden = [400] if options.hidden is None else options.hidden
        classes = {} if n_classes is None else {"n_classes": n_classes}
        return {"n_data": math.prod(shape), "hidden": hidden, **classes}
    if n_classes is not None:
        raise ValueError("--conditional and --network conv were given together; expected one of them: labels are "
                         "appended to rows of pixels, which only dense layers take")
    picture = picture_shape(shape)
    if picture is None:
        raise ValueError(f"--network is conv, but the data's rows have shape {shape}; expected images, as "
                         "(N, height, width) or (N, height, width, channels): use --network dense")
    if options.hidden is not None and len(options.hidden) != 1:
        raise ValueError(f"--hidden is {options.hidden}; expected one size with --network conv: that of its "
                         "dense layer")
    (n_hidden,) = options.hidden or [256]
    return {"shape": list((*picture, 1)[:3]), "channels": options.channels, "n_hidden": n_hidden}


def _make_vae(options: argparse.Namespace, sizes: dict[str, Any], rng: np.random.Generator) -> nv.VAE:
    make = (nv.VAE.conv if options.network == "conv" else
            nv.ConditionalVAE.dense if "n_classes" in sizes else nv.VAE.dense)
    return make(**sizes, n_latent=options.latent, rng=rng, **{name: getattr(options, name) for name in MODEL})


def _metrics(records: list[nv.Record], configuration: dict[str, Any]) -> dict[str, Any]:
    test = records[-1].validation
    assert test is not None    # run_train always validates
    seconds = float(np.median([record.seconds for record in records]))
    return {"test_loss": test.loss, "test_nll": test.nll, "test_kl": test.kl, "epochs": len(records),
            "seconds_per_epoch": seconds,
            "images_per_second": float(np.median([record.images_per_second for record in records])),
            "records": [record.to_json() for record in records],
            "test_loss_by_epoch": [record.validation.loss for record in records if record.validation],
            "configuration": configuration}


def write_run_report(out: str, vae: nv.VAE, records: list[nv.Record], data: DataSet, metrics: dict[str, Any],
                     evaluation: dict[str, Any] | None = None) -> str:
    """Write the report of a run to its folder; returns its path."""
    from ..report.html import write_report
    path = os.path.join(out, "report.html")
    chosen = argparse.Namespace(**metrics["configuration"])
    idle = {name for name, has_effect, _ in EFFECT if hasattr(chosen, name) and not has_effect(chosen)}
    write_report(path, vae, records, data.test, labels=data.test_labels,
                 thickness=None if data.test_factors is None else data.test_factors["thickness"],
                 title=f"A VAE on {data.name}", classes=data.classes, columns=data.columns,
                 configuration={name: value for name, value in vars(chosen).items() if name not in idle},
                 metrics=metrics, evaluation=evaluation, commands=list(map(str, metrics.get("commands", ()))),
                 date=str(metrics.get("date", "")), run=os.path.abspath(out))
    return path


@contextlib.contextmanager
def _folder_of_run(out: str) -> Iterator[None]:
    """The folder, for us alone; one that we made goes again if the run fails before it has saved anything."""
    made = _missing(out)
    _make_folder(out)
    try:
        with _alone_in(out):
            yield
    except BaseException:
        if made and not any(os.path.exists(os.path.join(out, name)) for name in ("model.npz", "checkpoint.npz")):
            for name in ("run.json", ".lock"):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(out, name))
            for folder in made:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
        raise


def _missing(path: str) -> list[str]:
    """This folder and those above it that do not exist yet, the innermost first."""
    folders = [os.path.abspath(path)]
    while not os.path.exists(os.path.dirname(folders[-1])):
        folders.append(os.path.dirname(folders[-1]))
    return [] if os.path.exists(path) else folders


def _make_folder(path: str) -> None:
    """Find out before an hour of training, not after it, whether the run can be written."""
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, ".writable")
        with open(probe, "w"):
            pass
        os.unlink(probe)
    except (OSError, ValueError) as error:    # ValueError: a null byte in the name
        raise OSError(f"--out is {path!r}, which cannot be written ({getattr(error, 'strerror', error)}); "
                      "choose a folder that you can write to") from error


@contextlib.contextmanager
def _alone_in(out: str) -> Iterator[None]:
    """No two runs may share a folder.  The system releases the lock however the process ends."""
    lock = filelock.FileLock(os.path.join(out, ".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"--out is {out!r}, which another numpyvae train is using; wait for it to end, or choose "
                         "another folder") from None
    try:
        yield
    finally:
        lock.release()


def _epoch_line(record: nv.Record, epochs: int) -> str:
    assert record.validation is not None
    return (f"epoch {record.epoch:{len(str(epochs))}}/{epochs}  loss {record.loss:8.2f}  "
            f"test {record.validation.loss:8.2f} = {record.validation.nll:.2f} + KL {record.validation.kl:.2f}  "
            f"{record.seconds:.1f} s")
