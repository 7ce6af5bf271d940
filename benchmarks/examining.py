"""Does `nv.examine` accuse what is right, and find what is wrong?  Kinds of VAEs as people write them, again and again.

    python -m benchmarks.examining              # stop it, start it again
    python -m benchmarks.examining --report     # the tables of what is finished, into RESULTS.md

Each finished examination is a line of examining.jsonl, so that a run that is stopped goes on.  To end within
the hour each is allowed fewer draws than `examine` takes by itself, so that more of them end in "not decided".
"""
from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import pathlib
import sys
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

import numpyvae as nv
from numpyvae.functional import continuous_bernoulli, discretized_logistic, student_t

from .results import table, write_section

Array = np.ndarray

ROWS = pathlib.Path("examining.jsonl")
RIGHT_SEEDS = {16: 200, 784: 20}    # by the number of pixels: an accusation must be rare,
WRONG_SEEDS = {16: 30, 784: 20}     # while few seeds show whether a fault is found
SHARES = 200                        # of the work, each a bit of everything
DRAWS = {True: 1_100, False: 100_000}  # whether the loss takes its noise: four draws of each image are enough then
LATENT, HIDDEN = 3, 20
IMAGES = 200
EPOCHS = 20
BETA = 0.2              # of the networks' training: of so few pixels the code would hardly be used with more


class Parts(NamedTuple):
    """What a loss is made from, for one batch: all (B, ...), in the network's dtype."""

    x: Array
    mu: Array
    logvar: Array
    eps: Array
    z: Array
    theta: Array


def softplus(a: Array) -> Array:
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))


def sigmoid(a: Array) -> Array:
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1, e) / (1 + e)


def bce(p: Parts) -> Array:
    return np.sum(softplus(p.theta) - p.x * p.theta, axis=1)


def clipped(least: float) -> Callable[[Parts], Array]:
    def nll(p: Parts) -> Array:
        y = np.clip(sigmoid(p.theta), least, 1 - least).astype(p.x.dtype)
        return -np.sum(p.x * np.log(y) + (1 - p.x) * np.log(1 - y), axis=1)
    return nll


def added(least: float) -> Callable[[Parts], Array]:
    def nll(p: Parts) -> Array:
        y = sigmoid(p.theta)
        return -np.sum(p.x * np.log(y + least) + (1 - p.x) * np.log(1 - y + least), axis=1)
    return nll


def square(p: Parts) -> Array:
    return np.sum((p.x - p.theta)**2, axis=1)


def gaussian(sigma: float, constant: bool = True) -> Callable[[Parts], Array]:
    c = np.log(sigma) + 0.5 * np.log(2 * np.pi) if constant else 0.0
    return lambda p: square(p) / (2 * sigma**2) + c * p.x.shape[1]


def best_sigma(p: Parts) -> Array:
    D = p.x.shape[1]
    return np.full(len(p.x), 0.5 * D * np.log(2 * np.pi * np.mean(square(p) / D)) + 0.5 * D)


def learned(p: Parts) -> Array:
    mean, logvar = np.split(p.theta, 2, axis=1)
    return 0.5 * np.sum((p.x - mean)**2 * np.exp(-logvar) + logvar + np.log(2 * np.pi), axis=1)


def laplace(p: Parts) -> Array:
    return np.sum(np.abs(p.x - p.theta) / 0.2 + np.log(0.4), axis=1)


def per_dimension(p: Parts) -> Array:
    return -0.5 * (1 + p.logvar - p.mu**2 - np.exp(p.logvar))


def kl(p: Parts) -> Array:
    return np.sum(per_dimension(p), axis=1)


def kl_of_one_draw(p: Parts) -> Array:
    return np.sum(-0.5 * ((p.z - p.mu)**2 * np.exp(-p.logvar) + p.logvar) + 0.5 * p.z**2, axis=1)


def free_bits(p: Parts) -> Array:
    return np.full(len(p.x), np.sum(np.maximum(np.mean(per_dimension(p), axis=0), 0.5)))


def tolerance(p: Parts) -> Array:
    return np.full(len(p.x), max(float(np.mean(kl(p))), 4.0))


def capacity(p: Parts) -> Array:
    return np.full(len(p.x), abs(float(np.mean(kl(p))) - 4.0))


def half_misplaced(p: Parts) -> Array:
    return np.sum(p.mu**2 + np.exp(p.logvar) - 0.5 * p.logvar - 0.5, axis=1)


def means(nll: Array, kl: Array, p: Parts) -> float:
    return float(np.mean(nll) + np.mean(kl))


def sums(nll: Array, kl: Array, p: Parts) -> float:
    return float(np.sum(nll) + np.sum(kl))


def means_over_pixels_in_both(nll: Array, kl: Array, p: Parts) -> float:
    return float(np.mean(nll) / p.x.shape[1] + np.sum(kl) / p.x.size)


def mean_over_pixels(nll: Array, kl: Array, p: Parts) -> float:
    return float(np.mean(nll) / p.x.shape[1] + np.mean(kl))


def kl_summed_over_batch(nll: Array, kl: Array, p: Parts) -> float:
    return float(np.mean(nll) + np.sum(kl))


def weighted(beta: float) -> Callable[[Array, Array, Parts], float]:
    return lambda nll, kl, p: float(np.mean(nll) + beta * np.mean(kl))


@dataclass(frozen=True)
class Kind:
    """One way to write a VAE.

    wrong     : the checks that have to say "wrong", any of them; of a right one none may
    arguments : of `examine`, beside the functions
    network   : the likelihood of the network that is trained for it
    z         : mu, logvar, eps -> z
    shown     : what decode makes of theta
    """

    name: str
    wrong: tuple[str, ...] = ()
    nll: Callable[[Parts], Array] = bce
    kl: Callable[[Parts], Array] = kl
    total: Callable[[Array, Array, Parts], float] = means
    arguments: dict[str, Any] = field(default_factory=dict)
    network: str = "bernoulli"
    z: Callable[[Array, Array, Array], Array] = lambda mu, logvar, eps: mu + np.exp(0.5 * logvar) * eps
    shown: Callable[[Array], Array] = lambda theta: theta
    x: Callable[[Array], Array] = lambda x: x
    latent: int = LATENT
    dtype: type = np.float32


def _probabilities(**more: Any) -> dict[str, Any]:
    return {"shown": sigmoid, "arguments": {"decodes_to": "probabilities"}, **more}


def _gaussian(sigma: float = 0.3, **more: Any) -> dict[str, Any]:
    return {"network": "gaussian", "arguments": {"decodes_to": "mean", "sigma": sigma}, **more}


def _of(function: Callable[[Array, Array], Array]) -> Callable[[Parts], Array]:
    return lambda p: function(p.theta, p.x)


def _kl(formula: Callable[[Array, Array], Array]) -> Callable[[Parts], Array]:
    return lambda p: np.sum(formula(p.mu, p.logvar), axis=1)


RIGHT = (
    Kind("means over the batch"), Kind("sums over the batch", total=sums),
    Kind("means over pixels in both terms", total=means_over_pixels_in_both),
    Kind("float64", dtype=np.float64),
    Kind("KL of one draw", kl=kl_of_one_draw),
    *(Kind(f"clip at {least:g}", nll=clipped(least), **_probabilities()) for least in (1e-6, 1e-7)),
    *(Kind(f"clip at {least:g}, float64", nll=clipped(least), dtype=np.float64, **_probabilities())
      for least in (1e-6, 1e-8, 1e-10)),
    Kind("1e-6 is added", nll=added(1e-6), **_probabilities()),
    Kind("loss from logits, decode gives probabilities", **_probabilities()),
    Kind("Gaussian", nll=gaussian(0.3), **_gaussian()),
    Kind("Gaussian without its constant", nll=gaussian(0.3, False), **_gaussian()),
    Kind("optimal sigma", nll=best_sigma, **_gaussian(1.0)),
    Kind("learned variances", nll=learned, network="gaussian-learned", arguments={"decodes_to": "mean and logvar"}),
    Kind("Student's t", nll=_of(lambda theta, x: student_t.student_t_nll(theta, x, 0.3)), network="student-t",
         arguments={"decodes_to": "mean of Student's t", "sigma": 0.3}),
    Kind("continuous Bernoulli", nll=_of(continuous_bernoulli.continuous_bernoulli_nll),
         network="continuous-bernoulli", arguments={"decodes_to": "continuous Bernoulli logits"}),
    Kind("discretized logistic", nll=_of(discretized_logistic.discretized_logistic_nll),
         network="discretized-logistic", arguments={"decodes_to": "mean and log scale"}, dtype=np.float64),
    Kind("an NLL of one's own", nll=laplace, network="gaussian",
         arguments={"nll": lambda theta, x: np.sum(np.abs(x - theta) / 0.2 + np.log(0.4), axis=1)}),
    *(Kind(f"beta {beta:g}", total=weighted(beta), arguments={"beta": beta}) for beta in (0.0, 0.1, 4.0, 100.0)),
    Kind("one latent dimension", latent=1),
)

WRONG = (
    Kind("no KL", ("reduction",), total=weighted(0.0)),
    *(Kind(f"KL times {beta:g}", ("reduction",), total=weighted(beta)) for beta in (0.05, 0.5, 0.9, 1.1, 2.0, -1.0)),
    Kind("KL times 0.005 for 0.00025", ("reduction",), total=weighted(0.005), arguments={"beta": 0.00025}),
    Kind("NLL averaged over pixels", ("reduction",), total=mean_over_pixels),
    Kind("KL summed over the batch", ("reduction",), total=kl_summed_over_batch),
    Kind("squared error without the 1/2", ("reduction",), nll=square, **_gaussian(1.0)),
    Kind("the half multiplies only logvar", ("kl",), kl=half_misplaced),
    Kind("the half multiplies only logvar, float64", ("kl",), kl=half_misplaced, dtype=np.float64),
    Kind("logvar as log sigma in the KL", ("kl",), kl=_kl(lambda m, s: 0.5 * (np.exp(2 * s) + m**2 - 1) - s)),
    Kind("mu not squared", ("kl",), kl=_kl(lambda m, s: 0.5 * (np.exp(s) + m - 1 - s))),
    Kind("exp(logvar) missing", ("kl",), kl=_kl(lambda m, s: 0.5 * (m**2 - 1 - s))),
    Kind("mu^2 missing", ("kl",), kl=_kl(lambda m, s: 0.5 * (np.exp(s) - 1 - s))),
    Kind("no -1 in the KL", ("kl",), kl=_kl(lambda m, s: 0.5 * (np.exp(s) + m**2 - s))),
    Kind("Gaussians swapped", ("kl",), kl=_kl(lambda m, s: 0.5 * ((1 + m**2) * np.exp(-s) - 1 + s))),
    Kind("a formula of no name", ("kl",), kl=_kl(lambda m, s: np.cosh(m) - 1 + s**2)),
    Kind("free bits", ("kl",), kl=free_bits), Kind("a tolerance", ("kl",), kl=tolerance),
    Kind("a capacity", ("kl", "reduction"), kl=capacity),    # of a KL below it: subtracted
    Kind("free bits, Gaussian", ("kl", "reduction"), nll=gaussian(0.3), kl=free_bits, **_gaussian()),
    Kind("sigmoid twice", ("likelihood",), shown=sigmoid, arguments={"decodes_to": "probabilities"},
         nll=lambda p: bce(p._replace(theta=sigmoid(p.theta)))),
    Kind("(1 - x) log(1 - y) missing", ("likelihood",), nll=lambda p: np.sum(p.x * softplus(-p.theta), axis=1)),
    Kind("squared error for a Bernoulli", ("likelihood", "reduction"),
         nll=lambda p: np.sum((p.x - sigmoid(p.theta))**2, axis=1)),
    Kind("absolute error for a Gaussian", ("likelihood",), nll=lambda p: np.sum(np.abs(p.x - p.theta), axis=1),
         **_gaussian(1.0)),
    Kind("decoder's logvar as log sigma", ("likelihood",), network="gaussian-learned",
         nll=lambda p: learned(p._replace(theta=p.theta * np.repeat([1, 2], p.x.shape[1]))),
         arguments={"decodes_to": "mean and logvar"}),
    Kind("no NLL", ("likelihood", "noise"), nll=lambda p: np.zeros(len(p.x))),
    Kind("cross-entropy of standardised data", ("likelihood",), x=lambda x: (x - x.mean()) / x.std()),
    Kind("logits called probabilities", ("likelihood",), arguments={"decodes_to": "probabilities"}),
    Kind("exp(logvar) as sigma", ("sampling",), z=lambda mu, logvar, eps: mu + np.exp(logvar) * eps),
    Kind("one noise for the batch", ("noise",), z=lambda mu, logvar, eps: mu + np.exp(0.5 * logvar) * eps[:1]),
    Kind("no noise", ("noise", "sampling"), z=lambda mu, logvar, eps: mu),
)
KINDS = {kind.name: kind for kind in (*RIGHT, *WRONG)}


@functools.cache
def images(pixels: int, n: int = IMAGES) -> Array:
    """Strokes, of any square number of pixels, in 256 levels."""
    side = round(pixels**0.5)
    whole = nv.datasets.strokes(n, seed=0)[0].reshape(n, 28, 28).astype(float)
    edges = np.linspace(0, 28, side + 1).round().astype(int)
    rows = np.add.reduceat(np.add.reduceat(whole, edges[:-1], axis=1), edges[:-1], axis=2)
    area = np.outer(np.diff(edges), np.diff(edges))
    return np.rint(rows / area).reshape(n, pixels) / 255


@functools.lru_cache(20)    # of one seed; they are examined one after another
def trained(likelihood: str, latent: int, pixels: int, seed: int) -> nv.VAE:
    """A VAE that was trained a little."""
    rng = np.random.default_rng(seed)
    sigma = {"sigma": 0.3} if likelihood in ("gaussian", "student-t") else {}
    vae = nv.VAE.dense(pixels, (HIDDEN,), latent, likelihood=likelihood, beta=BETA, rng=rng, **sigma)
    for _ in nv.fit(vae, images(pixels), epochs=EPOCHS, batch_size=20, optimizer=nv.Adam(1e-2), rng=rng):
        pass
    return vae


def network(kind: Kind, pixels: int, seed: int) -> nv.VAE:
    return trained(kind.network, kind.latent, pixels, seed).astype(kind.dtype)


def functions(kind: Kind, vae: nv.VAE, frozen: bool, seed: int) -> dict[str, Any]:
    """The arguments of `examine` for a kind; a loss that draws its own noise if not frozen."""
    noise = np.random.default_rng([seed, 1])
    dtype = kind.dtype
    weights = {name: vae.parameters[name] for name in vae.parameters.names}

    def affine(x: Array, name: str) -> Array:
        return x @ weights[f"{name}.W"] + weights[f"{name}.b"]

    def encode(x: Array) -> tuple[Array, Array]:
        h = np.maximum(affine(np.asarray(x, dtype), "encoder.0"), 0)
        return affine(h, "mu_head"), affine(h, "logvar_head")

    def theta(z: Array) -> Array:
        return affine(np.maximum(affine(np.asarray(z, dtype), "decoder.0"), 0), "decoder.1")

    def loss(x: Array, eps: Array) -> float:
        mu, logvar = encode(x)
        z = kind.z(mu, logvar, eps).astype(dtype)
        p = Parts(x, mu, logvar, eps, z, theta(z))
        return kind.total(kind.nll(p), kind.kl(p), p)

    x = kind.x(images(vae.n_data, 12)).astype(dtype)
    drawn = {"sample_z": lambda mu, logvar: kind.z(mu, logvar, noise.standard_normal(mu.shape)).astype(dtype),
             "loss": lambda x: loss(x, noise.standard_normal((len(x), kind.latent)).astype(dtype))}
    given = {"sample_z": lambda mu, logvar, eps: kind.z(mu, logvar, eps), "loss": loss}
    return {"x": x, "encode": encode, "decode": lambda z: kind.shown(theta(z)), **kind.arguments,
            **(given if frozen else drawn)}


def seed_of(kind: Kind, seed: int) -> int:
    """Of an examination: another for each kind, so that no two kinds share their luck, though they do a network."""
    return zlib.crc32(kind.name.encode()) + seed


def examined(kind: Kind, pixels: int, seed: int) -> list[dict[str, Any]]:
    """Two examinations of one network, as lines of the results: of loss(x, eps), and of loss(x)."""
    number = seed_of(kind, seed)
    vae = network(kind, pixels, seed)
    lines = []
    for frozen, draws in DRAWS.items():
        start = time.process_time()
        report = nv.examine(**functions(kind, vae, frozen, number), draws=draws, rng=np.random.default_rng(number))
        lines.append({"kind": kind.name, "pixels": pixels, "frozen": frozen, "seed": seed, "wrong": report.wrong,
                      "not decided": report.undecided, "seconds": round(time.process_time() - start, 3)})
    return lines


def _job(arguments: tuple[str, int, int]) -> list[dict[str, Any]]:
    name, *rest = arguments
    return examined(KINDS[name], *rest)


def finished() -> list[dict[str, Any]]:
    """The lines that are whole: the last one may have been cut off."""
    found = []
    for line in ROWS.read_text(encoding="utf-8").splitlines() if ROWS.exists() else ():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def run(minutes: float) -> None:
    """What is still to be done, seed by seed over all kinds, so that a run that is stopped has tried each of them."""
    done = {(row["kind"], row["pixels"], row["seed"]) for row in finished()}
    jobs = [job for share in range(SHARES) for pixels in RIGHT_SEEDS for kind in KINDS.values()
            for seed in _seeds(share, (WRONG_SEEDS if kind.wrong else RIGHT_SEEDS)[pixels])
            if (job := (kind.name, pixels, seed)) not in done]
    print(f"{2 * len(jobs)} examinations to do", file=sys.stderr)
    end = time.monotonic() + 60 * minutes
    with multiprocessing.Pool(len(os.sched_getaffinity(0))) as pool, ROWS.open("a", encoding="utf-8") as file:
        file.write("\n")    # after a line that was cut off
        for lines in pool.imap_unordered(_job, jobs):
            file.writelines(json.dumps(line) + "\n" for line in lines)
            file.flush()
            if time.monotonic() > end:
                print("the time is up; start it again to go on", file=sys.stderr)
                pool.terminate()
                break


def _seeds(share: int, seeds: int) -> range:
    """Those of one share of the work: one, or of few seeds now and then one."""
    return range(share * seeds // SHARES, (share + 1) * seeds // SHARES)


def tables(rows: list[dict[str, Any]], pixels: int) -> Iterator[str]:
    """Accusations of right kinds, then the power against wrong ones."""
    groups = defaultdict(list)
    for row in rows:
        if row["pixels"] == pixels:
            groups[row["kind"], row["frozen"]].append(row)

    def counts(kind: Kind, frozen: bool) -> list[str]:
        of_kind = groups[kind.name, frozen]
        n, undecided = len(of_kind), sum(not row["wrong"] and bool(row["not decided"]) for row in of_kind)
        if not kind.wrong:
            return [f"{sum(bool(row['wrong']) for row in of_kind)} / {n}", str(undecided)]
        found = sum(bool(set(row["wrong"]) & set(kind.wrong)) for row in of_kind)
        passed = sum(not row["wrong"] and not row["not decided"] for row in of_kind)
        others = Counter(check for row in of_kind for check in row["wrong"] if check not in kind.wrong)
        return [f"{found} / {n}", str(undecided), str(passed), ", ".join(f"{check} {k}" for check, k in others.items())]

    yield table(["right", "loss(x, eps): accused", "not decided", "loss(x): accused", "not decided"],
                [[kind.name, *counts(kind, True), *counts(kind, False)] for kind in RIGHT])
    columns = ["not decided", "passed", "also accused"]
    yield table(["wrong", "loss(x, eps): found", *columns, "loss(x): found", *columns],
                [[f"{kind.name} ({' or '.join(kind.wrong)})", *counts(kind, True), *counts(kind, False)]
                 for kind in WRONG])


def report() -> None:
    rows = finished()
    for pixels in sorted({row["pixels"] for row in rows}):
        of_size = [row for row in rows if row["pixels"] == pixels]
        seconds = [row["seconds"] for row in of_size]
        body = (f"Networks of {pixels} pixels, {HIDDEN} hidden units and {LATENT} latent dimensions, trained for "
                f"{EPOCHS} epochs of {IMAGES} images, examined with draws={DRAWS[True]} for loss(x, eps) and "
                f"draws={DRAWS[False]} for loss(x).\n{len(of_size):,} examinations of {len(KINDS)} kinds, "
                f"{np.mean(seconds):.2f} s of one processor each on average, {max(seconds):.1f} s at most.\n\n")
        write_section(f"examine: right VAEs accused, wrong ones found, {pixels} pixels",
                      "python -m benchmarks.examining", body + "\n\n".join(tables(rows, pixels)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=58.0, help="then it stops; started again, it goes on")
    parser.add_argument("--report", action="store_true", help="write the tables into RESULTS.md")
    arguments = parser.parse_args()
    if arguments.report:
        report()
    else:
        run(arguments.minutes)


if __name__ == "__main__":
    main()
