"""numpyvae evaluate"""
from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import re
import sys
from typing import Any

import numpy as np

import numpyvae as nv

from .. import evaluation
from ..arguments import counted
from ..datasets import DataSet
from ..report import summary
from ..training.batches import drawn_once
from .common import (READING, add_common, add_run, at_least_2, imported, load_run, named_after, say, whole,
                     write_json)
from .data import add_data, known_of_run, load_data_of_run, paths_of
from .runs import read_json, read_metrics
from .train import write_run_report


def add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser(
        "evaluate", help="measure how good a trained model is",
        description="Measure a trained VAE on the test images of its data set; write evaluation.json to RUN, or for "
                    "other data evaluation-NAME.json, and add a section to its report.",
        example="numpyvae evaluate RUN --samples 1000")
    evaluate.set_defaults(run=run_evaluate)
    add_run(evaluate)
    evaluate.add_argument("--samples", type=at_least_2, default=5000, metavar="K",
                          help="samples per image, for log p(x)")
    evaluate.add_argument("--images", type=whole, default=1000, metavar="N", help="number of test images for log p(x)")
    add_data(evaluate, default=None)
    add_common(evaluate)


def run_evaluate(options: argparse.Namespace) -> int:
    """numpyvae evaluate

    Weights that numpyvae import brought get no report: the run's learning curves are not theirs.
    """
    vae, folder = load_run(options.model)
    weights = imported(options.model)
    metrics = _metrics_of(folder, options.model)
    configuration = metrics["configuration"]
    data, is_own = load_data_of_run(options, folder, vae, known_of_run(folder, "data" not in options.typed))
    if "images" in options.typed and options.images > len(data.test):
        say(f"note: --images is {options.images:,}, more than the {counted(len(data.test), f'test {data.thing}')}: all "
            "of them are measured")
    result = measure(vae, data, options.samples, options.images, configuration["binarize"], options.seed)
    file = named_after(options.model, "evaluation.json")
    if not is_own:
        result["data"] = data.name
        paths = {name: os.path.abspath(path) for name, path in paths_of(options)}
        result["read"] = {name: getattr(options, name) for name in options.typed & {"data", *READING}} | paths
        file = _file_for(folder, "-".join([*filter(None, [weights]), data.name]), result["read"])
    path = os.path.join(folder, file)
    larger = _larger(path, result)
    if larger is None:
        write_json(path, result)
    reports = {}
    if weights is None:
        records = [nv.Record.from_json(record) for record in metrics["records"]]
        reports["report"] = write_run_report(folder, vae, records, data, metrics, larger or result)
    if options.json:
        print(json.dumps({**result, **reports}))
    else:
        lines = summary.lines(result, data.thing)
        widths = [max(len(line[i]) for line in lines) for i in (0, 1)]
        for name, value, hint in lines:
            print(f"{name:{widths[0]}}  {value:>{widths[1]}}  {hint}")
        if larger is None:
            print(f"numbers   {path}")
        for name, report in reports.items():
            print(f"{name}    {report}")
    if larger is not None:
        say(f"note: {path}{' and the report keep' if reports else ' keeps'} a larger evaluation of this model, of "
            f"{counted(larger['images'], data.thing)} with {counted(larger['samples'], 'sample')} each; delete that "
            "file to replace it")
    return 0


def measure(vae: nv.VAE, data: DataSet, samples: int, n_images: int, binarize: str, seed: int) -> dict[str, Any]:
    """Every measure of `numpyvae.evaluation` on a data set's test images, as JSON.

    Each draws from a generator of its own, so that none depends on the others, and all see the same binary pixels.
    """
    binarize = drawn_once(binarize)
    given, train_given = ((data.test_labels, data.train_labels) if vae.n_classes is not None else (None, None))
    likelihood = evaluation.log_likelihood(vae, data.test[:n_images], samples, rng=np.random.default_rng(seed),
                                           binarize=binarize,
                                           labels=None if given is None else given[:n_images],
                                           progress=sys.stderr.isatty())
    terms = nv.evaluate_loss(vae, data.test, rng=np.random.default_rng(seed), binarize=binarize, labels=given)
    mu, logvar = evaluation.encode_all(vae, data.test, rng=np.random.default_rng(seed), binarize=binarize, labels=given)
    mean, covariance = evaluation.aggregate_moments(mu, logvar)
    result = {
        "weights": hashlib.sha256(vae.parameters.values.tobytes()).hexdigest()[:16],
        "log_likelihood": likelihood.mean, "caveat": likelihood.caveat, "samples": samples,
        "standard_error": likelihood.standard_error if len(likelihood.values) > 1 else None,    # JSON has no NaN
        "images": len(likelihood.values), "effective_sample_size": float(np.median(likelihood.effective_sample_size)),
        "elbo": -(terms.nll + terms.kl), "distortion": terms.nll, "rate": terms.kl,
        "active_units": int(evaluation.active_units(mu).sum()), "n_latent": vae.n_latent,
        "kl_per_dimension": evaluation.kl_per_dimension(mu, logvar).tolist(),
        "aggregate_mean": mean.tolist(), "aggregate_variance": np.diag(covariance).tolist()}
    if data.train_labels is not None and data.test_labels is not None and len(data.train):
        train_mu, _ = evaluation.encode_all(vae, data.train, rng=np.random.default_rng(seed), binarize=binarize,
                                            labels=train_given)
        result["nearest_neighbour_accuracy"] = evaluation.nearest_neighbour_accuracy(
            train_mu, data.train_labels, mu, data.test_labels)
    if data.test_factors is not None:
        names = list(data.test_factors.dtype.names or ())
        recovery = evaluation.factor_recovery(mu, {name: data.test_factors[name] for name in names})
        result["factor_recovery"] = dict(zip(names, recovery.max(axis=1).tolist()))
        if vae.n_latent > 1:
            result["mutual_information_gap"] = evaluation.mutual_information_gap(recovery)
    return result


def _larger(path: str, result: dict[str, Any]) -> dict[str, Any] | None:
    """What a file holds, if it is an evaluation of the same weights on the same data that took more work."""
    def take(found: dict[str, Any]) -> dict[str, Any]:
        same = all(found.get(name) == result.get(name) for name in ("weights", "data", "read"))
        return found if same and found["images"] * found["samples"] > result["images"] * result["samples"] else {}
    try:
        return read_json(path, take) or None
    except (OSError, ValueError):    # none, or damaged
        return None


def _file_for(folder: str, name: str, read: dict[str, Any]) -> str:
    """evaluation-NAME.json, or with a number where one of that name measured other data."""
    of = re.sub(r"[^\w.-]+", "-", name)[:80]
    for number in itertools.count(1):
        file = f"evaluation-{of}.json" if number == 1 else f"evaluation-{of}-{number}.json"
        try:
            if read_json(os.path.join(folder, file), lambda found: found["read"]) == read:
                return file
        except FileNotFoundError:
            return file
        except ValueError:    # damaged, or of a version that did not say what it had read
            continue
    raise AssertionError


def _metrics_of(folder: str, model: str) -> dict[str, Any]:
    try:
        return read_metrics(folder)
    except FileNotFoundError:
        pass
    if os.path.exists(os.path.join(folder, "run.json")):
        raise FileNotFoundError(f"RUN is {model!r}, a run that has not finished; expected one that has: go on with it, "
                                f"numpyvae train --resume {summary.as_typed(folder)}")
    raise FileNotFoundError(f"RUN is {model!r}, but it has no metrics.json; expected the folder of a run that "
                            "numpyvae train has finished")
