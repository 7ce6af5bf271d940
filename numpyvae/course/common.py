"""What several lessons compute: small pictures, codes, the distance to the nearest; and drawings too long for one."""
from __future__ import annotations

from typing import Any

import numpy as np

from ..exact import principal_angles
from ..models.autoencoder import Autoencoder
from ..report.plots import BLUE, INK, ORANGE


def shrink(images: np.ndarray) -> np.ndarray:
    """Bytes (N, 28, 28) as brightness from 0 to 1, each 2 x 2 pixels made one, their mean.  -> (N, 196)"""
    return images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255


def black_and_white(brightness: np.ndarray, seed: int) -> np.ndarray:
    """Each pixel drawn: 1 with a probability that is its brightness, 0 otherwise.  (N, D) -> (N, D)"""
    return (np.random.default_rng(seed).random(brightness.shape) < brightness).astype(np.float64)


def nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The distance of each point (N, Z) to the nearest of the others (M, Z): (N,).   [lesson 1, eq. 1.8]"""
    squares = np.sum(points**2, axis=1)[:, None] + np.sum(others**2, axis=1) - 2 * points @ others.T
    return np.sqrt(np.maximum(squares.min(axis=1), 0))    # rounding makes a distance of 0 a little negative


def draw_codes(model: Any, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image's code: of an autoencoder what it encodes to, of a VAE a draw from q(z|x).  (N, D) -> (N, Z)"""
    if isinstance(model, Autoencoder):
        return model.encode(images)
    mu, logvar = model.encode(images)
    return mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape)


def rotation(angle: float) -> np.ndarray:
    """The matrix (2, 2) that turns columns by an angle in radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def beside(W: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """For each of the axes (Z, D) the row of W (Z, D) that is nearest to it, with the sign of the axis: (Z, D)."""
    cosines = (W / np.linalg.norm(W, axis=1, keepdims=True)) @ axes.T
    nearest_row = np.abs(cosines).argmax(axis=0)
    return np.sign(cosines[nearest_row, range(len(axes))])[:, None] * W[nearest_row]


def angles_to(axes: np.ndarray, W: np.ndarray) -> np.ndarray:
    """In degrees, the largest principal angle of W (Z, D) and axes (Z, D), and that of an axis and the row next to it.

    [lesson 9, eq. 9.11]
    """
    nearest_row = [min(principal_angles(row[None], axis[None])[0] for row in W) for axis in axes]
    return np.degrees([principal_angles(W, axes).max(), max(nearest_row)])


def draw_turned(ax: Any, degrees: float, variances: np.ndarray) -> None:
    """A posterior with these two variances, turned, and the best diagonal q, at two standard deviations; the gap.

    [lesson 4, eq. 4.6 and 4.7]
    """
    turn, around = rotation(np.radians(degrees)), np.linspace(0, 2 * np.pi, 200)
    circle = 2 * np.array([np.cos(around), np.sin(around)])
    precision = np.diag(turn @ np.diag(1 / variances) @ turn.T)
    ax.plot(*(turn @ (np.sqrt(variances)[:, None] * circle)), color=BLUE, label="p(z|x)")
    ax.plot(*(circle / np.sqrt(precision)[:, None]), color=ORANGE, label="best q")
    reach = 2.4 * np.sqrt(variances.max())
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="$z_1$", ylabel="$z_2$")
    gap = abs(0.5 * np.log(precision * variances).sum())    # of a gap of 0, rounding may leave a minus
    ax.set_title(f"turned by {degrees:g}°: gap {gap:.2f} nats", fontsize=9)
    ax.legend(frameon=False, fontsize="small", loc="upper right")


def draw_convergence(steps: np.ndarray, lacks: np.ndarray, angles: dict[str, np.ndarray]) -> None:
    """What the losses of several runs lack to the optimum, in nats, and two angles, in degrees, on pyplot's figure.

    steps : (N,); lacks and each of the angles : (runs, N)
    """
    import matplotlib.pyplot as plt
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    left.loglog(steps + 1, lacks.T, color=INK, linewidth=1)
    left.set(xlabel="step", ylabel="nats above the closed form", title="the loss falls to the closed form")
    for (name, angle), color in zip(angles.items(), (BLUE, ORANGE)):
        lines = right.loglog(steps + 1, angle.T, color=color, linewidth=1)
        lines[0].set_label(name)
    right.axhline(5, color=INK, linewidth=0.7, linestyle=":")
    right.set(xlabel="step", ylabel="degrees off the exact answer", title="the subspace comes first, the axes later")
    right.legend(frameon=False)
