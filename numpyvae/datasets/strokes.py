"""`strokes`: digits drawn from our own pen strokes, so that every factor of an image is known.

A digit is a few curves (digits.py).  Each image bends them at random, slants, turns and scales them, and inks
each pixel by its distance to the line.
"""
from __future__ import annotations

import hashlib
import io

import numpy as np

from ..arguments import SEED, WHOLE, checked, one_of
from ..files.carried import carried
from . import digits

SIDE = 28    # pixels: height and width of an image
BOX = 20     # pixels: the larger side of a digit of scale 1, as in MNIST
CENTRE = 14.0    # the row and column where a digit's centre of mass lies, as in MNIST
THICKNESS = 1.6, 4.0    # pixels, least and greatest
SCALE = 0.88, 1.02    # least and greatest
SLANT = 10.0, 10.0    # degrees, mean and standard deviation
ROTATION = 5.0    # degrees, standard deviation
SHIFT = 0.6    # pixels, standard deviation

# How much handwritten copies of a digit differ, as standard deviations.  Heights run from -1 to 1 here.
JITTER = 0.05    # of each point that the pen passes
WARP = 0.10      # of the coefficients that bend the whole digit
ASPECT = 0.15    # of the logarithm of the width

BLOCK = 1000    # images drawn at a time, to save memory

FROZEN = carried("data") / "strokes.npz"
FROZEN_SHA256 = "a69833fe9aafed811b708e68dbe2f479fcbb1a75b48e4448cc184cec7128a6a6"
SPLITS = {"train": (10_000, 1), "test": (2_000, 2)}    # number of images, seed

FACTORS = [("label", np.int64), ("style", np.int64), ("thickness", np.float32), ("scale", np.float32),
           ("slant", np.float32), ("rotation", np.float32), ("shift_x", np.float32), ("shift_y", np.float32)]


@checked(n=WHOLE, seed=SEED)
def strokes(n: int, seed: int, colour: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """n images of digits and the table of their true factors.

    Returns images, uint8, (n, 28, 28) or with colour (n, 28, 28, 3), bright ink on black, and a structured
    array (n,) whose columns are independent of each other (except the styles, since each digit has its own):

    label             0 .. 9; each block of ten images holds every digit once
    style             which way of writing the digit: an index into digits.STYLES[label]
    thickness         of the line, pixels, uniform in [1.6, 4.0]
    scale             larger side of the digit, line included, over 20 pixels, uniform in [0.88, 1.02]
    slant             degrees that the top leans to the right, before the rotation, N(10, 10^2)
    rotation          degrees clockwise, N(0, 5^2)
    shift_x, shift_y  pixels that the centre of mass lies right and below of (14, 14), N(0, 0.6^2) each;
                      where the border cuts a digit, one in thirty, up to 0.4 pixels off
    hue               with colour only: degrees, uniform in [0, 360); 0 red, 120 green, 240 blue

    Besides these factors, each image has its own random bend and width.  Image i depends on seed and i alone:
    a smaller set is the beginning of a larger one, and the coloured set shows the grey set's digits.

    Raises TypeError or ValueError, naming the bad argument.
    """
    shares, points, curves = digits.styles()
    label_rng, uniform_rng, normal_rng, bend_rng = np.random.default_rng(seed).spawn(4)
    uniform = uniform_rng.random((n, 4))    # a row for each image, here and below, so no image depends on n
    normal = normal_rng.standard_normal((n, 4))

    factors = np.empty(n, FACTORS + [("hue", np.float32)] if colour else FACTORS)
    label = factors["label"] = label_rng.random((-(-n // 10), 10)).argsort().ravel()[:n]
    style = factors["style"] = (uniform[:, :1] > np.cumsum(shares, axis=1)[label, :-1]).sum(axis=1)
    factors["thickness"] = THICKNESS[0] + (THICKNESS[1] - THICKNESS[0]) * uniform[:, 1]
    factors["scale"] = SCALE[0] + (SCALE[1] - SCALE[0]) * uniform[:, 2]
    factors["slant"] = SLANT[0] + SLANT[1] * normal[:, 0]
    factors["rotation"] = ROTATION * normal[:, 1]
    factors["shift_x"], factors["shift_y"] = SHIFT * normal[:, 2], SHIFT * normal[:, 3]

    controls = _slant_and_turn(_bend(points[label, style], bend_rng), factors)
    images = np.empty((n, SIDE, SIDE), np.uint8)
    for start in range(0, n, BLOCK):
        block = slice(start, start + BLOCK)
        lines = _scale(curves[label[block], style[block]] @ controls[block, None], factors[block])
        radius = factors["thickness"][block] / 2
        target = CENTRE + np.stack([factors["shift_x"], factors["shift_y"]], axis=1)[block]
        # Where lines cross or turn, they share ink, so the centre of mass is known only once the digit is drawn.
        lines += (target - _centre_of_mass(_draw_lines(lines, radius)))[:, None, None]
        images[block] = np.rint(255 * _draw_lines(lines, radius))
    if colour:
        factors["hue"] = 360 * uniform[:, 3]
        images = _in_colour(images, factors["hue"])
    return images, factors


@checked()
def load_strokes(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The frozen grey set that the lessons use: "train", 10,000 images, or "test", 2,000; see `strokes`.

    Read from data/strokes.npz, beside the package or in its wheel.  Where that file is missing, the same set is drawn
    anew: on another machine a pixel may then be one grey level off.

    Raises ValueError for any other split, or if the file is not the frozen one.
    """
    one_of("split", split, SPLITS)
    if not FROZEN.exists():
        return strokes(*SPLITS[split])
    content = FROZEN.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != FROZEN_SHA256:
        raise ValueError(f"{FROZEN} has SHA-256 {found}; expected {FROZEN_SHA256}; restore the file, "
                         "or delete it, and the set is drawn again")
    with np.load(io.BytesIO(content)) as frozen:
        return frozen[f"{split}_images"], frozen[f"{split}_factors"]


def _draw_lines(lines: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Images (N, 28, 28) of straight lines with round ends, N images with S lines in each; ink: 0 none, 1 full.

    lines : (N, 2 ends, S, 2), column and row in pixels; radius : (N,) half the thickness

    A pixel whose centre is at distance d from the nearest line gets clip(radius + 1/2 - d, 0, 1).  For an
    edge that runs along the pixels this is the share of the pixel that is covered: edges are anti-aliased.
    """
    (x0, y0), (x1, y1) = np.ascontiguousarray(lines.transpose(1, 3, 0, 2), dtype=np.float32)
    ink = np.empty((len(lines), SIDE, SIDE), np.float32)
    row = np.arange(SIDE, dtype=ink.dtype)[:, None]
    column = np.arange(SIDE, dtype=ink.dtype)
    nearest = np.full_like(ink, np.inf)    # squared distance
    for s in range(x0.shape[1]):
        px, py = column - x0[:, s, None, None], row - y0[:, s, None, None]
        dx, dy = (x1 - x0)[:, s, None, None], (y1 - y0)[:, s, None, None]
        length = dx**2 + dy**2
        # The nearest point of the line is its start plus t (dx, dy).
        t = np.clip((px * dx + py * dy) / np.where(length > 0, length, 1), 0, 1)
        np.minimum(nearest, (px - t * dx)**2 + (py - t * dy)**2, out=nearest)
    return np.clip(radius[:, None, None] + 0.5 - np.sqrt(nearest), 0, 1, out=ink)


def _centre_of_mass(ink: np.ndarray) -> np.ndarray:
    """The column and the row (N, 2) of the centre of mass of images (N, 28, 28)."""
    place = np.arange(SIDE)
    first_moments = np.stack([(ink.sum(axis=1) * place).sum(axis=1), (ink.sum(axis=2) * place).sum(axis=1)], axis=1)
    return first_moments / ink.sum(axis=(1, 2))[:, None]


def _bend(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Control points (N, K, 2) as different hands would place them: moved one by one, bent together, widened.

    The bend is the general quadratic map: x and y each gain a random mixture of x^2, x y and y^2.
    """
    n, k, _ = points.shape
    noise = rng.standard_normal((n, 2 * k + 7))
    jitter, warp = noise[:, :2 * k].reshape(n, k, 2), noise[:, 2 * k:-1].reshape(n, 2, 3)
    bent = 2 * points - [0.7, 1.0] + JITTER * jitter    # about the middle: y from -1 to 1, x from -0.7 to 0.7
    x, y = bent[..., 0], bent[..., 1]
    bent = bent + WARP * np.stack([x * x, x * y, y * y], axis=-1) @ warp.transpose(0, 2, 1)
    bent[..., 0] *= np.exp(ASPECT * noise[:, -1:])
    return bent


def _slant_and_turn(points: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Points (N, K, 2) sheared by the slant, then turned by the rotation."""
    x, y = points[..., 0], points[..., 1]    # y runs down
    slant = np.radians(factors["slant"], dtype=np.float64)[:, None]
    angle = np.radians(factors["rotation"], dtype=np.float64)[:, None]
    x = x - np.tan(slant) * y
    return np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y], axis=-1)


def _scale(lines: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Lines (N, 2 ends, S, 2) in pixels: scaled to the box, which stands in the middle of the image."""
    low, high = lines.min(axis=(1, 2)), lines.max(axis=(1, 2))
    side = (high - low).max(axis=1)[:, None, None, None]
    scale = (BOX * factors["scale"] - factors["thickness"])[:, None, None, None] / side
    return CENTRE + scale * (lines - ((low + high) / 2)[:, None, None])


def _in_colour(images: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """Grey images (N, H, W) in ink of a hue (N,) in degrees, (N, H, W, 3).

    Each of red, green and blue is full within 60 degrees of its own hue and none beyond 120 degrees from it.
    """
    away = np.abs((hue[:, None] - [0.0, 120.0, 240.0] + 180) % 360 - 180)
    ink = np.clip(2 - away / 60, 0, 1).astype(np.float32)
    return np.rint(images[..., None] * ink[:, None, None]).astype(np.uint8)
