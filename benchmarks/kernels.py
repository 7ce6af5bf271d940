"""Each fused kernel against the same lines in plain NumPy, and the bytes it moves against what memory can deliver.

    python -m benchmarks.kernels
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from numpyvae.nn.buffers import LINE, aligned
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.functional.continuous_bernoulli import continuous_bernoulli_nll_and_grad
from numpyvae.functional.convolution import patches, scatter_patches
from numpyvae.functional.discretized_logistic import discretized_logistic_nll_and_grad
from numpyvae.functional.gaussian import gaussian_kl, gaussian_kl_backward, reparameterize, reparameterize_backward
from numpyvae.functional.likelihoods import bernoulli_nll_and_grad
from numpyvae.training.optimizers import adam
from numpyvae.twin import Twin

from .interleave import interleave, ratio, spread
from .results import table, write_section

Work = Callable[[], object]
NUMPY_BEGINS = 16    # bytes past a cache line, where arrays that NumPy gets from the system begin
B, D, Z, P = 128, 784, 20, 652_824    # batch, pixels, latent, weights of 784-400-20-400-784


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def bernoulli() -> tuple[Work, Work, int]:
    logits, x, dnll = normal(B, D), np.abs(normal(B, D)) % 1, np.full(B, 1 / B, np.float32)
    nll, dlogits = np.empty(B, np.float32), np.empty((B, D), np.float32)

    def plain() -> object:
        value = np.sum(np.maximum(logits, 0) - x * logits + np.log1p(np.exp(-np.abs(logits))), axis=1)
        return value, dnll[:, None] * (1 / (1 + np.exp(-logits)) - x)
    return lambda: bernoulli_nll_and_grad(dnll, logits, x, nll, dlogits), plain, 3 * logits.nbytes


def gaussian(batch: int) -> tuple[Work, Work, int]:
    mu, logvar, eps, dz = (normal(batch, Z) for _ in range(4))
    dkl = normal(batch)

    def ours() -> object:
        return (reparameterize(mu, logvar, eps), gaussian_kl(mu, logvar), gaussian_kl_backward(dkl, mu, logvar),
                reparameterize_backward(dz, logvar, eps))

    def plain() -> object:
        z = mu + np.exp(0.5 * logvar) * eps
        kl = 0.5 * np.sum(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)
        column = dkl[:, None]
        return (z, kl, column * mu, column * 0.5 * (np.exp(logvar) - 1), dz.copy(),
                dz * eps * np.exp(0.5 * logvar) * 0.5)
    return ours, plain, 15 * mu.nbytes


def adam_step() -> tuple[Work, Work, int]:
    values, grads, mean, square = normal(P), normal(P), np.zeros(P, np.float32), np.zeros(P, np.float32)

    def ours() -> object:
        return adam(values, grads, mean, square, 1e-3, 0.1, 0.001, 0.5, 0.5, 1e-8)

    def plain() -> object:
        nonlocal values, mean, square
        mean = 0.9 * mean + 0.1 * grads
        square = 0.999 * square + 0.001 * grads**2
        values = values - 1e-3 * (mean / 0.5) / (np.sqrt(square / 0.5) + 1e-8)
        return values
    return ours, plain, 7 * values.nbytes


def beside_its_reference(function: Twin, *arguments: object) -> tuple[Work, Work, int]:
    """A kernel against the NumPy function that it replaces in the package; each array is read or written once."""
    moved = sum(array.nbytes for array in arguments if isinstance(array, np.ndarray))
    return lambda: function(*arguments), lambda: function.reference(*arguments), moved


def loss_and_gradient(function: Twin, outputs_per_pixel: int) -> tuple[Work, Work, int]:
    theta = normal(B, outputs_per_pixel * D)
    x = np.random.default_rng(1).integers(0, 256, (B, D)).astype(np.float32) / 255
    return beside_its_reference(function, np.full(B, 1 / B, np.float32), theta, x, np.empty(B, np.float32),
                                np.empty_like(theta))


def windows(function: Twin) -> tuple[Work, Work, int]:
    """The windows of VAE.conv's second convolution: 3 x 3 pixels at every second one of 14 x 14, with 32 channels."""
    image, cut = normal(B, 14, 14, 32), normal(B, 7, 7, 3, 3, 32)
    arguments = (image, cut) if function is patches else (cut, image)
    return beside_its_reference(function, *arguments, (2, 2), (1, 1))


def placed(array: np.ndarray, after_line: int) -> np.ndarray:
    """A copy that begins that many bytes past a cache line."""
    raw = aligned((array.nbytes + LINE,), np.uint8)
    place = raw[after_line:after_line + array.nbytes].view(array.dtype).reshape(array.shape)
    place[:] = array
    return place


def two_places() -> list[list[str]]:
    """What a convolution's kernels lose on arrays that begin where NumPy's do; 32 images, a chunk of a batch."""
    relu, image, cut, rows = ACTIVATIONS["relu"], normal(32, 14, 14, 32), normal(32, 7, 7, 3, 3, 32), normal(224, 448)
    found = []
    for name, function, arguments in (
            ("windows", patches, (image, cut, (2, 2), (1, 1))),
            ("their gradients put back", scatter_patches, (cut, image, (2, 2), (1, 1))),
            ("bias and ReLU", relu.loops[0], (rows, rows[0])),
            ("ReLU and bias, backward", relu.loops[1], (rows, rows, rows, rows[0]))):
        def at(after_line: int, function: Twin = function, arguments: tuple = arguments) -> Work:
            here = [placed(value, after_line) if isinstance(value, np.ndarray) else value for value in arguments]
            return lambda: function(*here)
        times = interleave({"line": at(0), "NumPy": at(NUMPY_BEGINS)})
        found.append([name, f"{1e6 * np.median(times['line']):.1f}", spread(times, "NumPy", "line")])
    return found


def main() -> None:
    big, copy_of = normal(P), np.empty(P, np.float32)
    rows = []
    for name, (ours, plain, moved) in {
            "Bernoulli loss and gradient, 128 x 784": bernoulli(),
            "KL and reparameterization with gradients, 128 x 20": gaussian(B),
            "the same, 1024 x 20": gaussian(1024),
            "Adam, 652,824 weights": adam_step(),
            "continuous Bernoulli, 128 x 784": loss_and_gradient(continuous_bernoulli_nll_and_grad, 1),
            "discretised logistic, 128 x 784": loss_and_gradient(discretized_logistic_nll_and_grad, 2),
            "windows of a convolution, 128 x 14 x 14 x 32": windows(patches),
            "their gradients put back": windows(scatter_patches)}.items():
        times = interleave({"ours": ours, "plain": plain, "copy": lambda: np.copyto(copy_of, big)})
        seconds, copy = float(np.median(times["ours"])), float(np.median(times["copy"]))
        low, median, high = (f"{value:.1f}" for value in np.sort(ratio(times, "plain", "ours")))
        rows.append([name, f"{1e6 * seconds:.1f}", f"{median} ({low} – {high})", f"{moved / seconds / 1e9:.0f}",
                     f"{2 * big.nbytes / copy / 1e9:.0f}"])
    head = ["work", "µs", "times as fast as plain NumPy", "GB/s moved", "GB/s of np.copyto beside it"]
    write_section("Kernels alone", "python -m benchmarks.kernels", f"""
float32, one thread.  "GB/s moved" counts each array read or written once; beside it what a copy of 2.6 MB moves in
the same turns.  A kernel near that number is bound by memory, one far below it by its arithmetic, or by being called at
all: KL and reparameterization are four calls of about 2 µs each.  Medians over the rounds, and the quartiles.

{table(head, rows)}

NumPy's arrays begin {NUMPY_BEGINS} bytes past a cache line, ours (`numpyvae/nn/buffers.py`) on one:

{table(["work, 32 images", "µs", f"times as long {NUMPY_BEGINS} bytes later"], two_places())}
""")


if __name__ == "__main__":
    main()
