"""Training: a generator that yields a record for each epoch, so that a notebook, the command line and a live plot
all drive the same loop."""
from __future__ import annotations

import functools
import math
import os
import time
import warnings
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np

from ..arguments import COUNT, LARGEST, POSITIVE, WHOLE, NotEnoughMemory, checked, counted, too_large
from ..models.model import LossTerms, Model
from .batches import Pixels, drawn_once
from .objectives import BOUNDS_ON_LOG_P, ONE_SAMPLE, SEVERAL
from .optimizers import Optimizer
from .resume import Interval, Record, TrainingState

VALIDATION_BATCH = 500
LARGE = 100    # numbers beyond this make a Gaussian's loss overflow, or hide the columns that are smaller
USELESS = 1e12    # nats per number of an image, from which no step of float32 leads back


@checked(images="numbers: ...", epochs=WHOLE, batch_size=WHOLE, labels="any: ...", validation="numbers: ...",
         validation_labels="any: ...", samples=WHOLE, lr_end=POSITIVE, warmup=COUNT, patience=WHOLE)
def fit(model: Model, images: np.ndarray, *, optimizer: Optimizer, epochs: int, batch_size: int,
        rng: np.random.Generator, labels: np.ndarray | None = None, validation: np.ndarray | None = None,
        validation_labels: np.ndarray | None = None, binarize: str = "none",
        objective: Callable[..., LossTerms] | None = None, samples: int = 1, lr_end: float | None = None,
        warmup: int = 0, patience: int | None = None, checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: str = "1 minute", resume: str | os.PathLike[str] | None = None,
        stop: Callable[[], bool] = lambda: False, progress: bool = False) -> Epochs:
    """Train a model, epoch by epoch, as the caller iterates over the records.

    The call itself checks the arguments, reads `resume`, and draws static binary pixels; nothing is learned before the
    first record is asked for, and a UserWarning says so where none is.

    images, validation : (N, ...) uint8, or floats as the model takes them
    labels             : (N,) whole numbers, for a ConditionalVAE; validation_labels likewise
    binarize           : "none" keeps grey pixels; "dynamic" draws each pixel as 0 or 1 anew in every epoch, with
                         the pixel's brightness as its probability; "static" draws once
    rng                : shuffles the images, draws the noise and the binary pixels.  What is drawn for validation comes
                         from a generator of its own, made from rng's state: whether anything is validated, and on how
                         many images, changes nothing in what is learned
    objective          : a function of objectives.py; None for the model's own loss
    samples            : how many z per image, for an objective that takes several
    lr_end             : the learning rate falls from the optimizer's lr towards this, by the same factor in every step
    warmup             : epochs over which beta grows from 0 to the model's, step by step; 0 for iwae, dreg and
                         sticking_the_landing, which need a beta of 1 throughout
    patience           : stop after so many epochs without a new lowest validation loss.  When the records end, whether
                         for this reason or because all epochs are done, the model holds the weights of its best epoch,
                         record.best_epoch.  Needs validation images, which should not be those of the final test
    checkpoint         : a file from which the run can resume, written every `checkpoint_every` ("500 steps",
                         "2 minutes") and at the end
    resume             : such a file: its run continues, bit for bit, given the same arguments on the same machine
                         with as many threads; its records come first.  More patience may be given, and more epochs,
                         unless lr_end is, which spreads over all of them
    stop               : called after every step; True saves the checkpoint and raises KeyboardInterrupt
    progress           : show a progress bar of the batches

    Each epoch sees every image once, in a new order.  Validation draws one z for each image, from the same noise after
    every epoch, so that two epochs differ by their weights alone; unless binarize is "none", its binary pixels are
    drawn once.  Its loss has the whole of beta, also during warm-up; yet patience begins after the warm-up, as the
    epochs before were trained for another loss than the one compared.  After the last epoch the model drops the last
    batch, and its labels, which backward needed.

    Raises ValueError or TypeError that names the argument that does not fit, and FloatingPointError in the step in
    which the loss stops being finite, with the weights as they were before that step, or after an epoch whose
    validation loss is not finite.
    """
    if validation_labels is not None and validation is None:
        raise ValueError("validation_labels were given without images; expected validation too")
    if patience is not None and validation is None:
        raise ValueError(f"patience is {patience}, but there is no validation loss to fall; expected validation images "
                         "too")
    _check_schedules(model, optimizer, epochs, objective, lr_end, warmup, patience)
    _check_objective(model, objective, samples, batch_size)
    settings = {"epochs": int(epochs), "batch_size": int(batch_size), "binarize": binarize, "samples": int(samples),
                "objective": name_of(objective), "lr_end": lr_end, "warmup": int(warmup),
                "patience": patience}
    in_a_file = checkpoint is not None or resume is not None
    data = {"images": images, "labels": labels, "validation images": validation, "validation labels": validation_labels}
    state = TrainingState.begin(model, optimizer, rng, settings, data, in_a_file)
    if resume is not None:
        state.resume(resume)
    train = Pixels("images", images, model, binarize, rng, labels)
    if batch_size > len(train):
        raise ValueError(f"batch_size is {batch_size}, more than the {counted(len(train), 'image')}; "
                         "expected at most that many")
    held_out = None
    if validation is not None:
        held_out = Pixels("validation", validation, model, drawn_once(binarize), state.validation_rng(),
                          validation_labels)
    state.random_numbers_go_on()
    steps = math.ceil(len(train) / batch_size)    # of an epoch
    schedule = Schedule(model, optimizer, epochs * steps, lr_end, warmup * steps)
    if objective is None:
        draw, loss_and_grad = model.noise, model.loss_and_grad
    else:
        draw, loss_and_grad = functools.partial(_noise, model, samples), functools.partial(objective, model)
    due = Interval("checkpoint_every", checkpoint_every)
    records = _epochs(state, train, held_out, schedule, draw, loss_and_grad, checkpoint, due, stop, progress)
    return Epochs(_then_forget(model, records), len(state.records),
                  {f"batch_size = {batch_size}": batch_size, f"samples = {samples}": samples,
                   f"a model of {len(model.parameters)} weights": len(model.parameters)})


class Epochs(Iterator[Record]):
    """The records of a training run, each of which is trained for when it is asked for; warns if none ever is.

    restored : how many of them, the first, come from a checkpoint
    sizes    : what the memory of a step depends on

    Raises NotEnoughMemory, which names them, besides what fit says.
    """

    def __init__(self, records: Iterator[Record], restored: int, sizes: dict[str, int]):
        self.records, self.restored, self.sizes = records, restored, sizes
        self.done = 0
        self.begun = self.ended = False

    def __next__(self) -> Record:
        if self.ended:
            warnings.warn("these epochs have been gone through, so there are no more records; keep them in a list, "
                          "records = list(nv.fit(...)), or train on with a new nv.fit(...)", stacklevel=2)
        self.begun = True
        try:
            record = next(self.records)
        except MemoryError as error:
            raise NotEnoughMemory(f"fit: {too_large(self.sizes, error)}") from None
        except StopIteration:
            self.ended = True
            raise
        self.done += 1
        return record

    def __repr__(self) -> str:
        """Whether it has trained: what fit returns does so only as its records are asked for."""
        state = "ended" if self.ended else "not yet begun" if not self.begun else "under way"
        return f"<fit, {state}: {counted(self.done, 'record')} so far>"

    def __del__(self) -> None:
        if not self.begun:
            warnings.warn("fit was called, but nothing was learned: it trains as you iterate over its records, as in  "
                          "for record in nv.fit(...): print(record)  or  list(nv.fit(...))", stacklevel=2)


def _then_forget(model: Model, records: Iterator[Record]) -> Iterator[Record]:
    """The records; after them, or when they are left early, the model drops the last batch."""
    try:
        yield from records
    finally:
        if isinstance(model, Model):
            model.forget()


def _epochs(state: TrainingState, train: Pixels, held_out: Pixels | None, schedule: Schedule,
            draw: Callable[..., Any], loss_and_grad: Callable[..., LossTerms],
            checkpoint: str | os.PathLike[str] | None, due: Interval, stop: Callable[[], bool],
            progress: bool) -> Iterator[Record]:
    model, optimizer, rng = state.model, state.optimizer, state.rng
    epochs, batch_size = state.settings["epochs"], state.settings["batch_size"]
    steps = math.ceil(len(train) / batch_size)
    yield from state.records
    while not state.is_over:
        epoch = len(state.records) + 1
        if state.position == 0:
            state.begin_epoch(len(train))
        start = time.perf_counter() - state.seconds
        batches = range(state.position, len(train), batch_size)
        with schedule, np.errstate(over="ignore", invalid="ignore"):    # a loss that is not finite is reported once
            for position in _bar(batches, f"epoch {epoch}/{epochs}") if progress else batches:
                rows = state.order[position:position + batch_size]
                schedule.set((epoch - 1) * steps + position // batch_size)
                x, given = train.batch(rows)
                terms = loss_and_grad(x, *draw(len(rows), rng), **given)
                if not abs(terms.loss) < USELESS * x.shape[1]:    # a NaN is not either
                    raise _diverged(model, terms.loss, x, given, getattr(optimizer, "lr", None), epoch,
                                    position // batch_size + 1)
                if state.position == 0 and isinstance(model, Model):    # does every layer write where it should?
                    model.check_views()
                optimizer.step(model.parameters)
                state.sums += len(rows) * np.array(terms)
                state.position = position + len(rows)
                state.seconds = time.perf_counter() - start
                stopped = stop()
                if checkpoint is not None and (stopped or due()):
                    state.save(checkpoint)
                if stopped:
                    raise KeyboardInterrupt
        validation = None if held_out is None else mean_loss(model, held_out, state.validation_noise(held_out.rng))
        if validation is not None and not math.isfinite(validation.loss):
            raise FloatingPointError(f"after epoch {epoch} the loss of the images held out is {validation.loss}; "
                                     f"expected a finite loss: {_smaller(getattr(optimizer, 'lr', None))}, or look at "
                                     "the data for outliers")
        record = state.end_epoch(len(train), validation)
        if checkpoint is not None and state.is_over:
            state.save(checkpoint)
        yield record
    state.keep_best()


def _check_schedules(model: Model, optimizer: Any, epochs: int, objective: Any, lr_end: float | None, warmup: int,
                     patience: int | None) -> None:
    """Raises ValueError for a schedule that would change nothing, or never come to its end."""
    beta = getattr(model, "beta", None)
    if lr_end is not None and not hasattr(optimizer, "lr"):
        raise ValueError(f"lr_end is {lr_end:g}, but {type(optimizer).__name__} has no lr; expected None")
    if lr_end is not None and lr_end > optimizer.lr:
        raise ValueError(f"lr_end is {lr_end:g}, above the learning rate at the start, {optimizer.lr:g}; expected "
                         "less, for it to fall to, or a larger one there")
    if getattr(objective, "func", objective) in BOUNDS_ON_LOG_P and (warmup or beta not in (None, 1)):
        what = f"warmup is {warmup}" if warmup else f"beta is {beta:g}"
        raise ValueError(f"{what}; expected {0 if warmup else 1} with the objective {name_of(objective)}: a bound on "
                         "log p(x) needs a beta of 1 throughout")
    if not warmup:
        return
    if beta is None:
        raise ValueError(f"warmup is {warmup}, but {type(model).__name__} has no beta; expected 0")
    if beta == 0:
        raise ValueError(f"warmup is {warmup}, but beta is 0, so there is nothing to grow; expected 0")
    if warmup > epochs:
        raise ValueError(f"warmup is {warmup}, but there {'are' if epochs > 1 else 'is'} only "
                         f"{counted(epochs, 'epoch')}, so beta would never reach {beta:g}; expected more epochs, or at "
                         f"most {epochs}")
    if patience is not None and warmup == epochs:
        raise ValueError(f"warmup is {warmup}, all of the epochs, but patience looks for the best epoch after it; "
                         f"expected more epochs, or at most {epochs - 1}")


def _check_objective(model: Model, objective: Any, samples: int, batch_size: int) -> None:
    """Raises ValueError for an objective of a model that draws no codes, for one that takes one sample and is given
    several, or for more noise than can be drawn; warns about an objective for several that is given one."""
    if objective is not None and not hasattr(model, "posterior"):
        raise ValueError(f"objective is {name_of(objective)}, but {type(model).__name__} draws no codes; expected None")
    function = getattr(objective, "func", objective)    # of a partial
    if samples > 1 and function in (None, *ONE_SAMPLE):
        taking = "the model's own loss" if objective is None else name_of(objective)
        raise ValueError(f"samples is {samples}, but {taking} takes one; expected an objective that takes several, "
                         "such as objectives.iwae")
    if samples * batch_size > LARGEST:
        raise ValueError(f"samples is {samples:,}, for each of the {counted(batch_size, 'image')} of a batch; expected "
                         f"at most {LARGEST // batch_size:,}")
    if samples == 1 and isinstance(function, Hashable) and function in SEVERAL:
        warnings.warn(f"samples is 1, with which {name_of(objective)} is no more than {SEVERAL[function]}; give more",
                      stacklevel=4)


def _diverged(model: Model, loss: float, x: np.ndarray, given: dict[str, np.ndarray], lr: Any, epoch: int,
              step: int) -> FloatingPointError:
    """The error for a step whose loss leads nowhere, with what to do about it."""
    said, culprit = f"the loss is {loss:.3g} in epoch {epoch}, step {step}", ""
    if math.isfinite(loss):
        said += ", too large to learn from; expected less"
    else:
        culprit = first_not_finite(model, x, **given)
        said += f", and the first array that is not finite is {culprit}; expected a finite loss"
    return FloatingPointError(f"{said}: {_advice(x, culprit, lr, first=epoch == step == 1)}")


def _smaller(lr: Any) -> str:
    return "try a smaller lr" + (f" than {lr:g}" if isinstance(lr, (int, float)) else "")


def _advice(x: np.ndarray, culprit: str, lr: Any, first: bool) -> str:
    """What to do about a loss that is not finite: before the first step it is not the learning rate's fault."""
    largest = np.abs(x).max()
    if largest > LARGE:
        return f"the data reach {largest:.3g}, so standardise the columns, (x - x.mean(axis=0)) / x.std(axis=0)"
    if first:
        return "make a new model" if culprit.startswith("the weight") else "look at the data for outliers"
    return f"{_smaller(lr)}, or look at the data for outliers"


class Schedule:
    """Lets the optimizer's learning rate fall and the model's beta grow, inside its `with` block."""

    def __init__(self, model: Model, optimizer: Any, steps: int, lr_end: float | None, warmup_steps: int):
        self.model, self.optimizer, self.steps, self.warmup_steps = model, optimizer, steps, warmup_steps
        self.ratio = None if lr_end is None else lr_end / optimizer.lr

    def __enter__(self) -> None:
        self.lr: Any = getattr(self.optimizer, "lr", None)
        self.beta: Any = getattr(self.model, "beta", None)

    def set(self, step: int) -> None:
        """lr = lr (lr_end / lr)^(step / steps),  beta = beta min(1, step / warmup steps)."""
        if self.ratio is not None:
            self.optimizer.lr = self.lr * self.ratio ** (step / self.steps)
        if self.warmup_steps:
            self.model.beta = self.beta * min(1.0, step / self.warmup_steps)

    def __exit__(self, *exception: object) -> None:
        if self.ratio is not None:
            self.optimizer.lr = self.lr
        if self.warmup_steps:
            self.model.beta = self.beta


@checked(images="numbers: ...", labels="any: ...")
def evaluate_loss(model: Model, images: np.ndarray, *, rng: np.random.Generator, binarize: str = "none",
                  labels: np.ndarray | None = None) -> LossTerms:
    """The mean loss over images and its parts, in nats per image, one z for each; arguments as in fit."""
    return mean_loss(model, Pixels("images", images, model, binarize, rng, labels), rng)


def mean_loss(model: Model, pixels: Pixels, rng: np.random.Generator) -> LossTerms:
    sums = np.zeros(3)
    with np.errstate(over="ignore", invalid="ignore"):    # the result says so
        for x, given in pixels.batches(VALIDATION_BATCH):
            sums += len(x) * np.array(model.loss_terms(x, *model.noise(len(x), rng), **given))
    return LossTerms(*(sums / len(pixels)).tolist())


def first_not_finite(model: Model, x: np.ndarray, **given: np.ndarray) -> str:
    """The name of the first array on the way from a batch to the loss that holds a NaN or an infinity."""
    weight = model.parameters.first_not_finite()
    if weight is not None:
        return f"the weight {weight}"
    codes = model.encode(x, **given)
    for name, array in zip(("mu", "logvar"), codes if isinstance(codes, tuple) else (codes,)):
        if not np.isfinite(array).all():
            return f"the encoder's {name}"
    return "the decoder's output, or its loss"


def name_of(objective: Callable[..., LossTerms] | None) -> str:
    """What a checkpoint calls an objective: "elbo", "iwae", "free_bits(minimum=0.1)"."""
    if objective is None:
        return "elbo"
    if isinstance(objective, functools.partial):
        return f"{objective.func.__name__}({', '.join(f'{k}={v!r}' for k, v in objective.keywords.items())})"
    return getattr(objective, "__name__", type(objective).__name__)


def _noise(model: Model, samples: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """eps for an objective: (n, Z), or (samples, n, Z) where it takes several samples per image."""
    if samples == 1:
        return model.noise(n, rng)
    (eps,) = model.noise(samples * n, rng)
    return (eps.reshape(samples, n, -1),)


def _bar(batches: range, title: str) -> Any:
    from tqdm.auto import tqdm
    return tqdm(batches, title, leave=False, unit="batch")
