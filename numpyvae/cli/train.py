"""numpyvae train"""
from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import numpyvae as nv

from .. import evaluation
from ..arguments import counted
from ..datasets import DataSet, split_rows
from ..functional.activations import ACTIVATIONS
from ..models.likelihoods import LIKELIHOODS, WITH_SIGMA
from ..nn.layers import INITS
from ..report import summary
from ..report.plots import picture_shape
from ..training import objectives
from ..training.batches import BINARIZE, drawn_once
from ..training.fit import LARGE
from ..training.optimizers import OPTIMIZERS
from .common import CHECKPOINT, MODEL, READING, add_common, count, given, not_negative, positive, say, whole, write_json
from .data import add_data, checksum, has_changed, load_data, refuse_if_gone, remember_paths
from .outputs import open_in_browser
from .runs import Folder, Interrupt, options_of, refuse_inside_data, write_log

OF_MODEL = ("likelihood", "activation", "beta", "init", "sigma")
RECORDED = (*OF_MODEL, "objective", "samples", "lr", "lr_end", "warmup", "patience", "batch_size", "epochs", "binarize",
            "seed")
BATCH_SIZE = 128
OBJECTIVES = ("elbo", *objectives.__all__)
TAKE_SEVERAL = [objective.__name__ for objective in objectives.SEVERAL]
UNLIKE = 10    # times the standard deviation of another column, beside which that one hardly counts
# Options that have an effect only beside another: when they have, and what is to be given.
EFFECT: list[tuple[str, Callable[[argparse.Namespace], bool], str]] = [
    ("sigma", lambda options: options.likelihood in WITH_SIGMA, f"--likelihood {' or '.join(WITH_SIGMA)}"),
    ("samples", lambda options: options.objective in TAKE_SEVERAL, f"--objective {' or '.join(TAKE_SEVERAL)}"),
    ("channels", lambda options: options.network == "conv", "--network conv"),
    ("data_dir", lambda options: options.data == "mnist", "--data mnist"),
    ("activation", lambda options: options.network == "conv" or options.hidden != [], "a size for --hidden"),
    ("overwrite", lambda options: options.out is not None, "--out")]


def add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="train a VAE and write a report",
                                example="numpyvae train --data photos --colour --size 64 --network conv\n"
                                        "numpyvae train --resume runs/2026-01-31-120000-photos",
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
    training.add_argument("--samples", type=whole, default=1, metavar="K",
                          help=f"codes per image, for {' and '.join(TAKE_SEVERAL)}")
    training.add_argument("--lr-end", type=positive, default=None, metavar="LR",
                          help="lower the learning rate smoothly to this")
    training.add_argument("--warmup", type=count, default=0, metavar="N", help="epochs over which beta grows from 0")
    training.add_argument("--patience", type=whole, default=None, metavar="N",
                          help="stop after N epochs without a new lowest validation loss, and keep the best epoch; one "
                               "training image in ten is set aside for it")
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
        options = options_of(options.resume, options)
    _refuse_without_effect(options)
    if options.resume is not None:
        refuse_if_gone(options)
    if options.out == "":    # as from a variable of the shell that is not set
        raise ValueError("--out is ''; expected the name of a folder, or no --out for a new one in runs/")
    data = load_data(options)
    _refuse_unlikely(options, data)
    if options.resume is None:
        _remember(options, data)
        options.commands = [options.command]
    elif getattr(options, "checksum", None) not in (None, checksum(data)):    # runs of version 0.1.0 have none
        raise has_changed(options.data, is_named="data" in options.typed)
    elif hasattr(options, "commands"):    # runs from before they were kept have none
        options.commands = [*options.commands, options.command]
    out = options.out or _new_folder(data.name)
    if options.resume is None:
        refuse_inside_data(out, options)
    remember_paths(options)
    with Folder(out, options.resume is not None, options.overwrite) as folder:
        return _train(options, data, folder)


def check_run(options: argparse.Namespace, data: DataSet) -> None:
    """Raises ValueError where a run with these options would fail at its start; they become what its run.json holds."""
    _refuse_without_effect(options)
    _refuse_unlikely(options, data)
    _remember(options, data)
    remember_paths(options)
    _fit_the_batch(options, len(_sets(options, data)[0].images), data.thing)


def take_first_step(options: argparse.Namespace, data: DataSet) -> None:
    """The first step of a run that has been checked, and its validation, after which its kernels are compiled.

    Raises ValueError or TypeError where the run would; that its loss is not finite is for the run itself to say.
    """
    rng = np.random.default_rng(options.seed)
    batch = _sets(options, data)[0].some(np.arange(options.batch_size))
    run = _fit(options, _make_vae(options, _sizes(options, data), rng), batch, batch, rng,
               checkpoint_every=options.checkpoint_every)
    with contextlib.suppress(FloatingPointError):
        next(run)


def _remember(options: argparse.Namespace, data: DataSet) -> None:
    """By which a run knows its data again."""
    options.checksum, options.shape, options.columns = checksum(data), data.train.shape[1:], data.columns
    options.classes = data.classes    # the names that sample --label takes


def _refuse_without_effect(options: argparse.Namespace) -> None:
    """Raises ValueError for an option that was typed and would change nothing, or not what it says."""
    for name, has_effect, expected in EFFECT:
        if name in options.typed and not has_effect(options):
            raise ValueError(f"{given(name, getattr(options, name))}, which has no effect here; expected none, or "
                             f"{expected} too")


def _new_folder(name: str) -> str:
    """One in runs/ that nobody has: two runs may begin in the same second."""
    folder = os.path.join("runs", time.strftime("%Y-%m-%d-%H%M%S-") + name)
    others = (f"{folder}-{number}" for number in itertools.count(2))
    return next(path for path in itertools.chain([folder], others) if not os.path.exists(path))


def _refuse_unlikely(options: argparse.Namespace, data: DataSet) -> None:
    """Raises ValueError for a table whose numbers the likelihood cannot take: they are no pixels to be scaled."""
    support, low, high = LIKELIHOODS[options.likelihood].support, float(data.train.min()), float(data.train.max())
    if data.thing == "image" or support is None or data.train.dtype == np.uint8 or (
            support[0] <= low and high <= support[1]):
        return
    default = "" if "likelihood" in options.typed else ", as none was given"
    first = " and standardise the columns first" * bool(_scales(data))
    raise ValueError(f"--likelihood is {options.likelihood!r}{default}, which is for numbers from {support[0]:g} to "
                     f"{support[1]:g}, but {data.name} holds {low:g} to {high:g}; expected such numbers: for "
                     f"measurements take the likelihood gaussian, --likelihood gaussian{first}")


def _scales(data: DataSet) -> str:
    """What is large or unlike in scale in a table, so that a model hardly sees the rest; "" for nothing."""
    if data.train.dtype == np.uint8:
        return ""
    rows = data.train.reshape(len(data.train), -1)
    reach = np.maximum(rows.max(axis=0), -rows.min(axis=0))
    if data.columns is not None:
        spread = rows.std(axis=0, dtype=np.float64)
        varying = np.flatnonzero(spread)[np.argsort(spread[spread > 0])]
        if len(varying) > 1 and spread[varying[-1]] > UNLIKE * spread[varying[0]]:
            large, small = (f"{data.columns[i]!r} has a standard deviation of {spread[i]:.3g}"
                            for i in varying[[-1, 0]])
            return f"the columns differ in scale: {large}, {small}"
    if reach.max() <= LARGE:
        return ""
    return f"the {data.thing}s reach {reach.max():.4g}" if data.columns is None else (
        f"column {data.columns[int(reach.argmax())]!r} reaches {reach.max():.4g}")


def _notes(options: argparse.Namespace, data: DataSet) -> list[str]:
    """What is odd about the data, before any time is lost on them."""
    said = _scales(data)
    if not said or LIKELIHOODS[options.likelihood].support is not None:
        return []
    return [f"{said}; the loss hears the largest numbers alone, and may grow beyond all bounds: standardise each "
            "column, x = (x - x.mean(axis=0)) / x.std(axis=0), and save it again"]


def _train(options: argparse.Namespace, data: DataSet, folder: Folder) -> int:
    rng = np.random.default_rng(options.seed)
    train, validation, test = _sets(options, data)
    sizes = _sizes(options, data)
    vae = _make_vae(options, sizes, rng)
    _fit_the_batch(options, len(train.images), data.thing)
    of_data = _notes(options, data)
    for note in of_data:
        say(f"note: {note}")
    interrupt = Interrupt()
    run = _begin(options, vae, train, validation, rng, folder, interrupt)
    say(f"training on {data.name}: {counted(len(train.images), data.thing)}, {counted(len(vae.parameters), 'weight')}")
    if options.patience is not None:
        say(f"validation: {counted(len(validation.images), data.thing)} more, set aside to choose the best epoch by; "
            "the test set is left for the end")
    records = _records(options, vae, run, folder.out, interrupt)
    if options.patience is not None:
        say(_kept_line(records, options.patience))
    metrics = {**_result(options, vae, records, test), "configuration": _configuration(options, sizes, data),
               "date": time.strftime("%Y-%m-%d %H:%M"), "commands": getattr(options, "commands", [])}
    of_model = evaluation.remarks(vae, data.test, metrics["test_nll"], labels=test.labels, epochs=len(records),
                                  rng=np.random.default_rng(options.seed))
    for remark in of_model:
        say(f"note: {remark}")
    metrics["remarks"] = [*of_data, *of_model]
    _show(options, vae, records, data, metrics, folder.out)
    return 0


def _fit_the_batch(options: argparse.Namespace, n: int, thing: str) -> None:
    """A batch holds no more than there are."""
    if "batch_size" in options.typed and options.batch_size > n:
        say(f"note: --batch-size is {options.batch_size:,}, more than the {counted(n, thing)} to train on: every step "
            "takes all of them")
    options.batch_size = min(options.batch_size or BATCH_SIZE, n)


def _begin(options: argparse.Namespace, vae: nv.VAE, train: Images, validation: Images, rng: np.random.Generator,
           folder: Folder, interrupt: Interrupt) -> nv.training.fit.Epochs:
    """The run, from its beginning or from its checkpoint; its folder says from now on what it does."""
    checkpoint = os.path.join(folder.out, CHECKPOINT)
    resume = checkpoint if options.resume is not None and os.path.exists(checkpoint) else None
    run = _fit(options, vae, train, validation, rng, checkpoint=checkpoint, checkpoint_every=options.checkpoint_every,
               resume=resume, stop=interrupt.is_requested, progress=sys.stderr.isatty())
    try:
        folder.begin(options)
    except OSError:
        run.begun = True    # that it never trains is no oversight to warn of
        raise
    if options.resume is not None and resume is None:
        say(f"{folder.out} holds no checkpoint yet: starting the run from the beginning")
    return run


def _fit(options: argparse.Namespace, vae: nv.VAE, train: Images, validation: Images, rng: np.random.Generator,
         **how: Any) -> nv.training.fit.Epochs:
    """nv.fit with what the options say of training.  how : its other arguments"""
    return nv.fit(vae, train.images, optimizer=OPTIMIZERS[options.optimizer](lr=options.lr), epochs=options.epochs,
                  batch_size=options.batch_size, rng=rng, labels=train.labels, validation=validation.images,
                  validation_labels=validation.labels, binarize=options.binarize, objective=_objective(options),
                  samples=options.samples, lr_end=options.lr_end, warmup=options.warmup, patience=options.patience,
                  **how)


def _records(options: argparse.Namespace, vae: nv.VAE, run: nv.training.fit.Epochs, out: str,
             interrupt: Interrupt) -> list[nv.Record]:
    """Train, and tell and save each epoch as it ends."""
    model_path = os.path.join(out, MODEL)
    records: list[nv.Record] = []
    saved = None    # the epoch whose model we saved
    try:
        with interrupt:
            for record in run:
                records.append(record)
                if record.epoch > run.restored and record.best_epoch in (None, record.epoch):
                    vae.save(model_path)
                    saved = record.epoch
                if record.epoch >= run.restored:
                    write_log(out, records)
                say(_epoch_line(record, options))
            vae.save(model_path)
    except (KeyboardInterrupt, FloatingPointError):
        if saved is not None:
            say(f"numpyvae: the model after epoch {saved} is in {model_path}")
        if os.path.exists(os.path.join(out, CHECKPOINT)):
            say(f"numpyvae: resume with  numpyvae train --resume {summary.as_typed(out)}")
        raise
    return records


def _show(options: argparse.Namespace, vae: nv.VAE, records: list[nv.Record], data: DataSet, metrics: dict[str, Any],
          out: str) -> None:
    """Write the metrics and the report, and say in short what they hold."""
    write_json(os.path.join(out, "metrics.json"), metrics)
    report = write_run_report(out, vae, records, data, metrics)
    if options.json:
        print(json.dumps({**metrics, "report": report}))
    else:
        loss, nll, kl = (summary.nats(metrics[f"test_{term}"]) for term in ("loss", "nll", "kl"))
        print(f"test loss {loss} nats per {data.thing} = reconstruction {nll} + {vae.beta:g} x KL {kl}")
        if longer := summary.train_longer(out, metrics, metrics["configuration"]):
            print(f"longer    {longer}")
        print(f"report    {report}")
    if options.open:
        open_in_browser(report)


class Images(NamedTuple):
    """Images, and their labels if the model is told them."""

    images: np.ndarray
    labels: np.ndarray | None

    def some(self, rows: np.ndarray) -> Images:
        return Images(self.images[rows], None if self.labels is None else self.labels[rows])


def _sets(options: argparse.Namespace, data: DataSet) -> tuple[Images, Images, Images]:
    """Images to train on, to validate with, and to test on.

    An epoch that was chosen by the test set would flatter itself there: with patience, some of the training images are
    set aside for the choice.
    """
    train, test = Images(data.train, data.train_labels), Images(data.test, data.test_labels)
    if not options.conditional:
        train, test = train._replace(labels=None), test._replace(labels=None)
    elif train.labels is None or test.labels is None:
        raise ValueError(f"--conditional needs labels, but {options.data} has none that can be used; expected strokes, "
                         "mnist, a folder with a subfolder for each class, or labels beside the images (--label-array)")
    if options.patience is None:
        return train, test, test
    if len(data.train) < 2:
        raise ValueError(f"--patience is {options.patience}, but there is only {counted(len(data.train), data.thing)} "
                         "to train on; expected at least 2, as one in ten is set aside to choose the epoch by")
    rows, aside = split_rows(len(data.train), options.seed)
    options.set_aside = len(aside)
    return train.some(rows), train.some(aside), test


def _objective(options: argparse.Namespace) -> Any:
    return None if options.objective == "elbo" else getattr(objectives, options.objective)


def _sizes(options: argparse.Namespace, data: DataSet) -> dict[str, Any]:
    """The network's sizes, from the options, for these images and, if it is conditional, their classes."""
    shape = data.train.shape[1:]
    classes = {"n_classes": data.n_classes} if options.conditional else {}
    if options.network == "dense":
        hidden = [400] if options.hidden is None else options.hidden
        return {"n_data": math.prod(shape), "hidden": hidden, **classes}
    picture = picture_shape(shape)
    if picture is None:
        raise ValueError(f"--network is conv, but the data's rows have shape {shape}; expected images, as "
                         "(N, height, width) or (N, height, width, channels): use --network dense")
    if options.hidden is not None and len(options.hidden) != 1:
        raise ValueError(f"--hidden is {options.hidden}; expected one size with --network conv: that of its "
                         "dense layer")
    (n_hidden,) = options.hidden or [256]
    return {"shape": list((*picture, 1)[:3]), "channels": options.channels, "n_hidden": n_hidden, **classes}


def _make_vae(options: argparse.Namespace, sizes: dict[str, Any], rng: np.random.Generator) -> nv.VAE:
    kind = nv.ConditionalVAE if "n_classes" in sizes else nv.VAE
    make = kind.conv if options.network == "conv" else kind.dense
    return make(**sizes, n_latent=options.latent, rng=rng, **{name: getattr(options, name) for name in OF_MODEL})


def _configuration(options: argparse.Namespace, sizes: dict[str, Any], data: DataSet) -> dict[str, Any]:
    """What the run was asked to do, for its metrics and its report."""
    reading = {name: getattr(options, name) for name in READING if getattr(options, name)}
    validation = {} if options.patience is None else {
        "validation": f"{options.set_aside:,} of the {counted(len(data.train), f'training {data.thing}')}"}
    return {"data": options.data, **reading, "network": options.network, **sizes, "n_latent": options.latent,
            "optimizer": options.optimizer, **{name: getattr(options, name) for name in RECORDED}, **validation}


def _result(options: argparse.Namespace, vae: nv.VAE, records: list[nv.Record], test: Images) -> dict[str, Any]:
    """The numbers of a run that has ended; with patience those of its best epoch, on a test set that it did not see."""
    last = records[-1]
    by_epoch: dict[str, Any]
    if options.patience is None:
        assert last.validation is not None
        terms = last.validation
        by_epoch = {"test_loss_by_epoch": [record.validation.loss for record in records if record.validation]}
    else:
        terms = nv.evaluate_loss(vae, test.images, rng=np.random.default_rng(options.seed), labels=test.labels,
                                 binarize=drawn_once(options.binarize))
        losses = [record.validation.loss for record in records if record.validation]
        assert last.best_epoch is not None    # fit sees to it that epochs are left after the warm-up
        by_epoch = {"best_epoch": last.best_epoch, "validation_loss": losses[last.best_epoch - 1],
                    "validation_loss_by_epoch": losses}
    return {"test_loss": terms.loss, "test_nll": terms.nll, "test_kl": terms.kl, "epochs": len(records),
            "seconds_per_epoch": float(np.median([record.seconds for record in records])),
            "images_per_second": float(np.median([record.images_per_second for record in records])),
            "records": [record.to_json() for record in records], **by_epoch}


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


def _epoch_line(record: nv.Record, options: argparse.Namespace) -> str:
    assert record.validation is not None    # run_train always validates
    weight = "" if options.beta == 1 else f"{options.beta:g} x "
    loss, held_out, nll, kl = map(summary.nats, (record.loss, *record.validation))
    return (f"epoch {record.epoch:{len(str(options.epochs))}}/{options.epochs}  loss {loss:>8}  "
            f"{'test' if options.patience is None else 'validation'} {held_out:>8} "
            f"= {nll} + {weight}KL {kl}  {record.seconds:.1f} s")


def _kept_line(records: list[nv.Record], patience: int) -> str:
    """Which epoch a run with patience ends with, and why it ends."""
    best, last = records[-1].best_epoch, records[-1].epoch
    assert best is not None    # fit sees to it that there are epochs after the warm-up
    lowest = records[best - 1].validation
    assert lowest is not None
    ended = f"stopped after epoch {last}: no lower validation loss in {counted(patience, 'epoch')}; "
    return (f"{ended * (last - best >= patience)}kept epoch {best}, with the lowest validation loss, "
            f"{summary.nats(lowest.loss)}")
