"""The picture in the README: the verdict of the gradient check.

    python -m benchmarks.picture
"""
from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

import numpyvae as nv
from numpyvae.gradcheck import STEP, TOLERANCE
from numpyvae.report.plots import BLUE, GREEN, ORANGE

METHODS = {"central-differences": BLUE, "complex-step": GREEN}
WIDTHS = 10.0 ** np.arange(-1, -21, -1)    # of the step h
EXACT = 1e-17    # an error of 0, on a logarithmic axis


def main() -> None:
    from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    draw_sweep(left)
    draw_checks(right)
    for ax in (left, right):
        ax.set(yscale="log", ylim=(EXACT / 3, 30))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
    figure.savefig(pathlib.Path(__file__).with_name("picture.png"), dpi=150)


def errors_by_width(analytic: np.ndarray, vae: nv.VAE, x: np.ndarray, eps: np.ndarray, method: str) -> list[float]:
    """The worst relative error of a gradient, for each width of the numerical step."""
    def loss() -> complex:
        value = vae.loss(x, eps)
        return value if method == "complex-step" else value.real

    found, width = [], STEP[method]
    for h in WIDTHS:
        STEP[method] = h
        numeric = nv.gradcheck.differentiate(loss, vae.parameters.values, method)
        found.append(max(nv.gradcheck.relative_errors(analytic, numeric).max(), EXACT))
    STEP[method] = width
    return found


def draw_sweep(ax: Any) -> None:
    rng = np.random.default_rng(0)
    vae = nv.VAE.dense(7, (5,), 3, activation="tanh", rng=rng, dtype=np.complex128)
    x, eps = rng.random((4, 7)), rng.standard_normal((4, 3))
    vae.loss_and_grad(x, eps)
    right = vae.parameters.grads.real.copy()
    vae.beta = 2.0
    vae.loss_and_grad(x, eps)
    wrong = vae.parameters.grads.real.copy()    # as if the KL's 1/2 had been forgotten on the way back
    vae.beta = 1.0
    for method, color in METHODS.items():
        ax.plot(WIDTHS, errors_by_width(right, vae, x, eps, method), color=color)
    ax.plot(WIDTHS, errors_by_width(wrong, vae, x, eps, "complex-step"), color=ORANGE)
    for h, error, text, color in ((1e-11, 1e-6, "against central differences", BLUE),
                                  (1e-9, 2e-15, "against the complex step", GREEN),
                                  (10**-1.5, 2, "with a bug: the KL's 1/2 forgotten", ORANGE)):
        ax.text(h, error, text, color=color, fontsize="small")
    ax.set(xscale="log", xlim=(WIDTHS[0], WIDTHS[-1]), xlabel="step h of the numerical derivative",
           ylabel="relative error, worst entry",
           title=f"{len(vae.parameters)} gradients written by hand, right to the last digit")


def draw_checks(ax: Any) -> None:
    for method, color in METHODS.items():
        report = nv.gradcheck.gradcheck(method=method)
        errors = np.sort([max(row.worst[1], EXACT) for row in report.rows])
        entries = sum(row.entries for row in report.rows)
        runs = "NumPy" if method == "complex-step" else "kernels"
        ax.plot(errors, ".", color=color, markersize=3, label=f"{runs}, {method.replace('-', ' ')}")
        ax.axhline(TOLERANCE[method], color=color, linestyle="--", linewidth=1)
        ax.text(0, TOLERANCE[method] * 1.6, f"tolerance {TOLERANCE[method]:.0e}", color=color, fontsize="small")
        print(f"{method}: {len(report.rows)} checks, {entries:,} entries, worst error {errors[-1]:.1e}")
    ax.set(xlabel="component, from the smallest error to the largest",
           title=f"{len(report.rows)} components, each within its tolerance")
    ax.legend(frameon=False, fontsize="small", loc="upper left")


if __name__ == "__main__":
    main()
