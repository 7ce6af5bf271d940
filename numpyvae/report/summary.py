"""A run in words, for the command line and the report: its settings, what was measured, how to go on."""
from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ..arguments import Kind, checked, counted
from ..models.vae import VAE
from ..nn.layers import Sequential
from ..training import objectives

LONGER = 3    # times as many epochs, for those who want to train on
# What a setting is called, in the order in which they stand in the report.
SETTINGS = {
    "data": "data", "test": "test set", "colour": "colours kept", "size": "pictures resized to", "array": "array",
    "label_array": "labels from", "transpose": "rows and columns exchanged", "network": "network",
    "n_data": "numbers per {thing}", "shape": "height, width, channels", "encoder": "encoder",
    "channels": "channels of the convolutions", "n_hidden": "size of the dense hidden layer",
    "hidden": "sizes of the hidden layers", "n_classes": "classes that the model is told",
    "activation": "activation of hidden layers", "init": "initial weights", "posterior": "posterior q(z|x)",
    "n_latent": "latent dimensions", "prior": "prior p(z)", "decoder": "decoder",
    "likelihood": "likelihood of a {number}", "sigma": "its sigma", "beta": "weight of the KL (beta)",
    "warmup": "epochs in which beta grows from 0", "objective": "objective", "samples": "codes per {thing} (K)",
    "optimizer": "optimizer", "lr": "learning rate", "lr_end": "learning rate at the end",
    "batch_size": "{thing}s per step", "epochs": "epochs", "patience": "patience, in epochs",
    "validation": "set aside to choose the epoch by",
    "binarize": "pixels drawn as 0 or 1", "seed": "seed of the random numbers"}
VALUES = {
    "objective": {name: name.replace("_", " ") for name in objectives.__all__} | {
        "elbo": "ELBO", "iwae": "IWAE", "dreg": "DReG"},
    "optimizer": {"adam": "Adam", "momentum": "gradient descent with momentum", "sgd": "stochastic gradient descent"},
    "network": {"dense": "dense layers", "conv": "convolutions"},
    "binarize": {"static": "once", "dynamic": "anew in every epoch"}}
NOTHING = {"binarize": "none", "warmup": 0}    # the value with which a setting changes nothing, where that is not None


def settings(configuration: Mapping[str, Any], thing: str = "image") -> dict[str, Any]:
    """A configuration in words, without what is not set; what is unknown keeps its name and comes last."""
    number = "pixel" if thing == "image" else "number"
    rank = {key: place for place, key in enumerate(SETTINGS)}
    found = {}
    for key in sorted(configuration, key=lambda key: rank.get(key, len(rank))):
        value = configuration[key]
        if value is None or value is False or (key in NOTHING and value == NOTHING[key]):
            continue
        if key in VALUES:
            value = VALUES[key].get(value, value)
        elif key in ("size", "shape"):
            value = " × ".join(map(str, value))
        elif value is True:
            value = "yes"
        found[SETTINGS.get(key, key).format(thing=thing, number=number)] = value
    return found


def nats(value: float) -> str:
    """Two decimals, or six digits of what is too large for them; what rounds to 0 has no sign."""
    return f"{value:z.2f}" if abs(value) < 1e4 else f"{value:.6g}"


def as_typed(path: str) -> str:
    """A path in a command that can be copied: quoted, and never taken for an option."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def more_options(done: int, epochs: int, patience: int | None = None, best_epoch: int | None = None) -> str:
    """What to give beside --resume for a run that has ended to train on; "" for one that is not at its end."""
    finished = done >= epochs
    impatient = patience is not None and best_epoch is not None and done - best_epoch >= patience
    return f" --epochs {LONGER * done}" * finished + f" --patience {LONGER * (patience or 0)}" * impatient


def train_longer(run: str, metrics: Mapping[str, Any], configuration: Mapping[str, Any]) -> str:
    """The command that trains the run in a folder on; "" for one whose learning rate has come to its end."""
    done = metrics["epochs"]
    more = more_options(done, configuration.get("epochs", done), configuration.get("patience"),
                        metrics.get("best_epoch"))
    falls = configuration.get("lr_end") is not None and "--epochs" in more
    return "" if falls or not more else f"numpyvae train --resume {as_typed(run)}{more}"


def next_steps(run: str, metrics: Mapping[str, Any], configuration: Mapping[str, Any], n_classes: int | None = None,
               thing: str = "image") -> list[tuple[str, str]]:
    """(what one may do with the run in a folder, the command that does it)"""
    place, label = as_typed(run), " --label 0" if n_classes is not None else ""
    return [
        ("Train for longer:", train_longer(run, metrics, configuration)),
        ("Measure how good it is, and add that to this report:", f"numpyvae evaluate {place}"),
        ("Play with it in a browser: draw, move its code, and see what it makes of that:",
         f"numpyvae explore {place} --open"),
        (f"Draw new {thing}s{' of one class' if label else ''}:", f"numpyvae sample {place}{label} --n 100"),
        (f"Look at more {thing}s and their reconstructions:", f"numpyvae reconstruct {place} --n 64"),
        (f"Save the code of each {thing} as a table:", f"numpyvae encode {place}"),
        ("See step by step how all of this works:", "numpyvae lessons")]


def parts_of(vae: VAE) -> dict[str, Any]:
    """What a VAE is made of, for a table."""
    def layers(network: Sequential) -> str:
        named = [f"{type(layer).__name__} {getattr(layer, 'n_out', '')} {getattr(layer, 'activation', '')}"
                 for layer in network.layers if layer.params]
        return ", ".join(" ".join(name.split()) for name in named) or "none"
    return {"n_data": vae.n_data, "encoder": layers(vae.encoder), "posterior": type(vae.posterior).__name__,
            "n_latent": vae.n_latent, "prior": type(vae.prior).__name__, "decoder": layers(vae.decoder),
            "likelihood": vae.likelihood.name, "beta": vae.beta}


RESULT = Kind(lambda value: isinstance(value, Mapping) and "log_likelihood" in value and "elbo" in value,
              "what numpyvae evaluate stored in evaluation.json", TypeError)


@checked(result=RESULT)
def lines(result: dict[str, Any], thing: str = "image") -> list[tuple[str, str, str]]:
    """(measure, value, what it says) of each number that `numpyvae evaluate` measured on images, or on rows."""
    found = [("data", result["data"], "measured on these, and not on the run's own")] if "data" in result else []
    error, caveat = result["standard_error"], result.get("caveat")
    found += [
        ("log p(x)", nats(result["log_likelihood"]) + ("" if error is None else f" ± {nats(error)}") + " nats",
         f"mean of {counted(result['images'], f'test {thing}')}, "
         f"{counted(result['samples'], 'importance sample')} each"
         + (f"; {caveat}" if caveat else "")),
        ("effective samples", f"{result['effective_sample_size']:.0f}",
         f"of {result['samples']:,}, for the median {thing}; if few, log p(x) is underestimated"),
        ("ELBO", f"{nats(result['elbo'])} nats", "a lower bound on log p(x): -(rate + distortion)"),
        ("rate", f"{nats(result['rate'])} nats", f"the KL term: what the code tells about the {thing}"),
        ("distortion", f"{nats(result['distortion'])} nats", f"the NLL: what the code does not tell about the {thing}"),
        ("active units", f"{result['active_units']} of {result['n_latent']}",
         f"latent dimensions whose mean varies by more than 0.01 from {thing} to {thing}"),
        ("aggregate mean", nats(max(map(abs, result["aggregate_mean"]))),
         "the largest |mean| of a dimension over all codes; the prior has 0"),
        ("aggregate variance", f"{nats(min(result['aggregate_variance']))} – {nats(max(result['aggregate_variance']))}",
         "the smallest and the largest of a dimension; the prior has 1")]
    if "nearest_neighbour_accuracy" in result:
        found.append(("nearest neighbours", f"{result['nearest_neighbour_accuracy']:.1%}",
                      f"test {thing}s whose nearest training {thing}, in latent space, has the same label"))
    if "mutual_information_gap" in result:
        found.append(("MIG", f"{result['mutual_information_gap']:z.3f}",
                      "1 if each true factor has a dimension of its own, 0 if none has (Chen et al. 2018)"))
    for name, share in result.get("factor_recovery", {}).items():
        found.append((f"  {name}", f"{share:z.2f}",
                      "the share of this factor's information that its best dimension holds"))
    return found
