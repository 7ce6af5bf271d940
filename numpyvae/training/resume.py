"""The state of a training run: everything that decides how it continues, in memory and in a file.

A run that is stopped and resumed ends with the same bits as one that never stopped, because this is all that matters:
the weights, the optimizer's moments, the random generator, the epoch's order of the images and the position in it.
"""
from __future__ import annotations

import copy
import dataclasses
import functools
import os
import platform
import re
import time
import warnings
import zlib
from importlib import metadata
from typing import Any, Self

import numpy as np

from ..arguments import shown
from ..files import checkpoint
from ..files.regular import one_line
from ..models.loading import in_todays_format
from ..models.model import LossTerms, Model
from ..models.tree import checked_tree_of


ADVICE = "expected the checkpoint.npz of a run: start the run again"


@dataclasses.dataclass(frozen=True)
class Record:
    """The results of an epoch: means over its images, in nats per image, taken while the weights were changing.

    loss is what was minimised.  While beta grows (fit's warmup) it is the mean of nll + beta kl with each step's own
    beta, and so below nll + beta kl with the model's.  `validation` is with the model's beta from the first epoch on.
    """

    epoch: int
    loss: float
    nll: float
    kl: float
    validation: LossTerms | None    # after the epoch, on the validation images
    seconds: float                  # of training alone
    images_per_second: float
    best_epoch: int | None = None   # with patience: the one so far with the lowest validation loss

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"validation": self.validation}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Raises TypeError where `saved` is not what to_json made."""
        try:
            return cls(**{**saved, "validation": saved["validation"] and LossTerms(*saved["validation"])})
        except (TypeError, KeyError, IndexError):
            raise TypeError(f"saved is {shown(saved)}; expected what Record.to_json returned") from None


@dataclasses.dataclass
class TrainingState:
    """model, optimizer and rng are the caller's; the rest says which epoch is under way and how far it has come."""

    model: Model
    tree: dict[str, Any]            # of the model's parts, with beta before any schedule; {} if nothing is saved
    optimizer: Any
    rng: np.random.Generator
    settings: dict[str, Any]        # fit's arguments, which must be the same when resuming
    first_rng: dict[str, Any]       # the generator when fit was called; static binary pixels are drawn from it
    data: dict[str, Any]            # what fit was given: images, labels, and those for validation
    lr: Any                         # the optimizer's before any schedule
    order: np.ndarray               # of the images in this epoch
    position: int                   # how many of them are done
    sums: np.ndarray                # of loss, nll and kl over those
    seconds: float
    records: list[Record]
    best: np.ndarray | None = None  # the weights after the best epoch, where there is patience
    saved_rng: dict[str, Any] | None = None
    shared_rng: bool = False        # validation draws from rng too, as in runs begun before it had its own generator

    @classmethod
    def begin(cls, model: Model, optimizer: Any, rng: np.random.Generator, settings: dict[str, Any],
              data: dict[str, Any], in_a_file: bool = True) -> Self:
        """The state before the first step; in_a_file: whether it is to be saved or resumed."""
        return cls(model, checked_tree_of(model) if in_a_file else {}, optimizer, rng, settings,
                   dict(rng.bit_generator.state), data, getattr(optimizer, "lr", None),
                   np.zeros(0, np.int64), 0, np.zeros(3), 0.0, [])

    @functools.cached_property
    def identities(self) -> dict[str, dict[str, Any]]:
        """Shape and checksum of the data: only a run that is saved or resumed has to read all of it."""
        arrays = {name: np.ascontiguousarray(value, np.int64 if name.endswith("labels") else None)
                  for name, value in self.data.items() if value is not None}
        return {name: {"shape": list(array.shape),
                       "checksum": zlib.crc32(array.data) if array.dtype.kind in "uifb" else 0}
                for name, array in arrays.items()}

    @property
    def best_epoch(self) -> int | None:
        """The epoch so far with the lowest validation loss, where there is patience."""
        return self.records[-1].best_epoch if self.records else None

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or patience is at an end."""
        done, patience = len(self.records), self.settings["patience"]
        waited = 0 if self.best_epoch is None else done - self.best_epoch
        return done >= self.settings["epochs"] or (patience is not None and waited >= patience)

    def validation_rng(self) -> np.random.Generator:
        """A generator for the held-out images that takes nothing from `rng`, and is the same when a run is resumed."""
        if self.shared_rng:
            return self.rng
        first = copy.deepcopy(self.rng)
        first.bit_generator.state = self.first_rng
        return np.random.default_rng(first.integers(2**63, size=4))

    def validation_noise(self, rng: np.random.Generator) -> np.random.Generator:
        """From what `validation_rng` returned, once binary pixels are drawn: the same noise after every epoch."""
        return rng if self.shared_rng else copy.deepcopy(rng)

    def begin_epoch(self, n_images: int) -> None:
        """Draw an order of the images."""
        self.order = self.rng.permutation(n_images).astype(np.int64)    # int32 on WebAssembly
        if self.tree:    # since the last epoch the caller may have changed beta
            self.tree = checked_tree_of(self.model)

    def end_epoch(self, n_images: int, validation: LossTerms | None) -> Record:
        """Close the epoch's record; the next epoch begins at its first image."""
        loss, nll, kl = (self.sums / n_images).tolist()
        epoch = len(self.records) + 1
        record = Record(epoch, loss, nll, kl, validation, self.seconds, n_images / self.seconds)
        best_epoch = self.best_of([*self.records, record])
        if best_epoch == epoch:
            self.best = self.model.parameters.values.copy()
        record = dataclasses.replace(record, best_epoch=best_epoch)
        self.records.append(record)
        self.position, self.sums, self.seconds = 0, np.zeros(3), 0.0
        return record

    def best_of(self, records: list[Record]) -> int | None:
        """With patience, the epoch with the lowest validation loss; the first of several.

        Epochs of the warm-up are passed over: they were trained for another loss than the one that is compared.
        """
        if self.settings["patience"] is None:
            return None
        after_warmup = [record for record in records if record.epoch > self.settings["warmup"]]
        best = min(after_warmup, key=lambda record: record.validation.loss, default=None)    # type: ignore[union-attr]
        return None if best is None else best.epoch

    def keep_best(self) -> None:
        """The model takes the weights of its best epoch."""
        if self.best is not None:
            self.model.parameters.values[:] = self.best

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one .npz file, which `numpyvae.load` reads too, as the model trained so far.

        Raises FloatingPointError where a weight is not finite, and leaves the last good checkpoint as it is.
        """
        checked_tree_of(self.model)    # a user's own part may by now hold something that no file can hold
        weight = self.model.parameters.first_not_finite()
        if weight is not None:
            raise FloatingPointError(f"the weight {weight} is not finite after the last step; expected finite "
                                     "gradients: try a smaller lr, or look at the data for outliers")
        numbers, arrays = _split(vars(self.optimizer))
        header = {
            "model": self.tree, "training": {
                "settings": self.settings, "data": self.identities, "position": self.position,
                "seconds": self.seconds,
                "optimizer": {"kind": type(self.optimizer).__name__, **numbers, "lr": self.lr}, "versions": versions(),
                "first_rng": self.first_rng, "rng": dict(self.rng.bit_generator.state), "shared_rng": self.shared_rng,
                "records": [record.to_json() for record in self.records]}}
        checkpoint.write(path, header, {
            "values": self.model.parameters.values, **({} if self.best is None else {"best": self.best}),
            "order": self.order, "sums": self.sums,
            **{f"optimizer.{name}": array for name, array in arrays.items()}})

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Restore everything from a file that `save` wrote; warns where other versions change the last bits.

        Raises FileNotFoundError or another OSError, or ValueError where the file is not a checkpoint, or not one
        of this run.
        """
        header, arrays = checkpoint.read(path, ADVICE)
        try:
            saved = header["training"]
            records = [Record.from_json(record) for record in saved["records"]]
            header, arrays = in_todays_format(header, arrays)
            self._check_same_run(saved, header["model"])
            numbers, _ = _split(vars(self.optimizer))
            moments = {name.removeprefix("optimizer."): array for name, array in arrays.items()
                       if name.startswith("optimizer.")}
            values, order, sums, best = arrays["values"], arrays["order"], arrays["sums"], arrays.get("best")
            vectors = [vector for vector in (values, best, *moments.values()) if vector is not None]
            n_images = len(self.data["images"])
            if (any(a.shape != self.model.parameters.values.shape or a.dtype != self.model.dtype
                    or not np.isfinite(a).all() for a in vectors)
                    or sums.shape != (3,) or not 0 <= saved["position"] <= n_images
                    or (len(order) and not np.array_equal(np.sort(order), np.arange(n_images)))
                    or not set(moments) <= set(vars(self.optimizer))):
                raise ValueError("its arrays do not fit this model and these images")
            optimizer = {**{name: type(value)(saved["optimizer"][name]) for name, value in numbers.items()}, **moments}
            position, seconds, written_with = saved["position"], float(saved["seconds"]), dict(saved["versions"])
            if type(position) is not int or order.dtype != np.int64 or sums.dtype != float or (
                    0 < position and len(order) != n_images):
                raise ValueError("its position in the run is not valid")
            self._check_best(records, best)
            self.rng.bit_generator.state = saved["rng"]    # raises where it is not a state
            self.rng.bit_generator.state = self.first_rng = saved["first_rng"]
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"{path} is not a checkpoint of a training run ({one_line(repr(error))}); "
                             f"{ADVICE}") from error
        except ValueError as error:
            raise ValueError(f"{path} cannot be resumed: {one_line(error)}") from error
        self.model.parameters.values[:] = values
        for name, value in optimizer.items():
            setattr(self.optimizer, name, value)
        self.order, self.sums, self.records, self.best = order, sums, records, best
        self.position, self.seconds, self.saved_rng = position, seconds, saved["rng"]
        self.shared_rng = saved.get("shared_rng", True) is True
        differing = [f"{name} {written_with.get(name)} then, {version} now"
                     for name, version in versions().items() if written_with.get(name) != version]
        if differing:
            warnings.warn(f"{path} was written with {'; '.join(differing)}: the run resumes, but it will "
                          "equal an uninterrupted one only to rounding, not bit for bit", stacklevel=3)

    def _check_best(self, records: list[Record], best: np.ndarray | None) -> None:
        """Raises ValueError where the weights of the best epoch are missing, or of another epoch than recorded."""
        epoch = self.best_of(records)
        if (records[-1].best_epoch if records else None) != epoch or (epoch is None) != (best is None):
            raise ValueError("its best epoch is not that of its records")

    def _goes_on_for_longer(self, then: dict[str, Any]) -> list[str]:
        """The settings that are now more than then, and change nothing in the epochs that are done.

        More epochs do where the learning rate falls towards the last.
        """
        return [name for name in ("patience", "epochs") if None not in (then[name], self.settings[name])
                and self.settings[name] > then[name] and (name == "patience" or self.settings["lr_end"] is None)]

    def random_numbers_go_on(self) -> None:
        """Continue the random stream where the file left it, once static binary pixels have been drawn again."""
        if self.saved_rng is not None:
            self.rng.bit_generator.state = self.saved_rng

    def _check_same_run(self, saved: dict[str, Any], tree: dict[str, Any]) -> None:
        numbers, _ = _split(vars(self.optimizer))
        if "data" in saved:
            data, names = saved["data"], list(dict.fromkeys([*saved["data"], *self.identities]))
        else:    # version 0.1.0 recorded only the images
            data, names = {"images": dict(zip(("shape", "checksum"), saved["images"]))}, ["images"]
        now = {"the model": self.tree,
               **{f"the {name}": self.identities.get(name) for name in names},
               "the optimizer": {"kind": type(self.optimizer).__name__, **numbers, "t": None}, **self.settings}
        then = {"the model": tree,
                **{f"the {name}": data.get(name) for name in names},
                "the optimizer": {**saved["optimizer"], "t": None}, "patience": None, **saved["settings"]}
        then |= {name: now[name] for name in self._goes_on_for_longer(then)}
        for name, value in now.items():
            if value != then[name]:
                place, before, today = _difference(name, then[name], value)
                raise ValueError(f"{place} was {_short(before)} and is now {_short(today)}; expected the same, so that "
                                 "the run continues as it began")


class Interval:
    """Is it time again?  "500 steps" or "2 minutes".  Raises ValueError for anything else."""

    def __init__(self, argument: str, text: str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(step|minute)s?\s*", text) if isinstance(text, str) else None
        if match is None or float(match[1]) == 0:
            raise ValueError(f"{argument} is {shown(text)}; expected a number of steps or minutes, such as "
                             "'500 steps' or '2 minutes'")
        self.length, self.by_steps = float(match[1]), match[2] == "step"
        self.steps, self.since = 0, time.monotonic()

    def __call__(self) -> bool:
        """Called once per step; True when the interval is over, and a new one begins."""
        self.steps += 1
        passed = self.steps if self.by_steps else (time.monotonic() - self.since) / 60
        if passed < self.length:
            return False
        self.steps, self.since = 0, time.monotonic()
        return True


def versions() -> dict[str, str]:
    """What may change the last bits of a result, besides the numbers themselves."""
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or os.cpu_count()
    found = {"Python": platform.python_version(), "NumPy": np.__version__, "threads": str(threads),
             "BLAS routines": os.environ.get("OPENBLAS_CORETYPE", "by the processor"),
             "kernels": os.environ.get("NUMPYVAE_KERNELS", "1")}
    try:
        found["numba"] = metadata.version("numba")
    except metadata.PackageNotFoundError:
        found["numba"] = "none"
    return found


def _split(attributes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """An optimizer's numbers, and its arrays."""
    arrays = {name: value for name, value in attributes.items() if isinstance(value, np.ndarray)}
    return {name: value for name, value in attributes.items() if isinstance(value, (int, float))}, arrays


def _difference(place: str, then: Any, now: Any) -> tuple[str, Any, Any]:
    """Where two trees first differ, as "the model: encoder: layers: 0", and what each of them holds there."""
    if isinstance(then, dict) and isinstance(now, dict) and list(then) == list(now):
        pairs = list(zip(then, then.values(), now.values()))
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        pairs = list(zip(range(len(then)), then, now))
    else:
        return place, then, now
    return next(_difference(f"{place}: {name}", a, b) for name, a, b in pairs if a != b)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
