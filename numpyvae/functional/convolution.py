"""Convolution of images, channels last, and its transpose: each is a matrix product and a copy (im2col or col2im).

Indices: image b; row i and column j of the larger picture (H, W); position p, q of the window in it, a pixel of the
smaller picture (P, Q); row k and column l within the window (K, L); channels c, o.  With strides s, s' and paddings
m, m' (along the height and the width), the window at p, q contains at k, l the pixel

    i = s p + k - m          j = s' q + l - m'

or zero where there is no such pixel.  Everything below follows from this.           [Dumoulin & Visin 2016]
"""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from .. import kernels
from ..arguments import IMAGE, MARGINS, STEPS, checked
from ..twin import MaybeArray, twin

Array = np.ndarray
Pair = tuple[int, int]


@twin(kernels.convolution.patches, writes=("out",), wrt=("x",),
      x="B H W C", out="B P Q K L C", stride="positive pair", padding="pair")
def patches(x: Array, out: Array, stride: Pair, padding: Pair) -> Array:
    """im2col: what every window sees, written to out:  out_bpqklc = x_bijc, or 0 outside the picture.

    x : (B, H, W, C)  ->  out : (B, P, Q, K, L, C)
    """
    frame = _frame(x.shape, out.shape, stride, padding, x.dtype)
    _picture(frame, x.shape, padding)[:] = x
    for k, l, seen in _seen_by_windows(frame, out.shape, stride):
        out[:, :, :, k, l] = seen
    return out


@twin(kernels.convolution.scatter_patches, writes=("dx",),
      dout="B P Q K L C", dx="B H W C", stride="positive pair", padding="pair")
def scatter_patches(dout: Array, dx: Array, stride: Pair, padding: Pair) -> Array:
    """col2im, the gradient of `patches` for x, written to dx: each pixel sums over all the windows that saw it.

    dout : (B, P, Q, K, L, C)  ->  dx : (B, H, W, C)

    `patches` copies, so every dout_bpqklc goes back where it came from, and those of one pixel add up:

    dx_bijc = sum of dout_bpqklc over all p, k with s p + k - m = i and all q, l with s' q + l - m' = j

    `patches` is linear, out = A x with a matrix A of zeros and ones; this function is A^T, a sum over
    the same pairs of positions in the other direction.  So <A x, dout> = <x, A^T dout>.
    """
    frame = _frame(dx.shape, dout.shape, stride, padding, dout.dtype)
    for k, l, seen in _seen_by_windows(frame, dout.shape, stride):
        seen += dout[:, :, :, k, l]
    dx[:] = _picture(frame, dx.shape, padding)
    return dx


@twin(None, x="B H W C", W="K L C O", b="O", stride="positive pair", padding="pair")
def conv2d(x: Array, W: Array, b: Array, stride: Pair, padding: Pair) -> Array:
    """The weighted sum of what a window sees, at every position of the window.

    x : (B, H, W, C), W : (K, L, C, O), b : (O,)  ->  y : (B, P, Q, O),  P = (H + 2 m - K) // s + 1,  Q likewise

    y_bpqo = b_o + sum_klc x_bijc W_klco          with i = s p + k - m,  j = s' q + l - m'

    With the windows laid out in rows it is the product of two matrices, (B P Q, K L C) and (K L C, O).
    [lesson 11, eq. 11.1]

    Raises ValueError where the window is larger than the padded picture.
    """
    places = [conv_size(*sizes) for sizes in zip(x.shape[1:3], W.shape[:2], stride, padding)]
    windows = patches(x, np.empty((len(x), *places, *W.shape[:3]), x.dtype), stride, padding)
    return np.tensordot(windows, W, 3) + b


@twin(None, dy="B P Q O", x="B H W C", W="K L C O", stride="positive pair", padding="pair", need_dx="flag")
def conv2d_backward(dy: Array, x: Array, W: Array, stride: Pair, padding: Pair,
                    need_dx: bool = True) -> tuple[MaybeArray, Array, Array]:
    """Gradients for x, W and b, given the gradient for y.

    dy : (B, P, Q, O), x : (B, H, W, C), W : (K, L, C, O)  ->  dx, dW, db, shaped like x, W, b; no dx without need_dx

    With the windows v = patches(x), y_bpqo = b_o + sum_klc v_bpqklc W_klco: an affine map of each window, so

    dv_bpqklc = sum_o dy_bpqo W_klco,          dx = scatter_patches(dv): a transposed convolution of dy with the same W
    dW_klco   = sum_bpq v_bpqklc dy_bpqo
    db_o      = sum_bpq dy_bpqo
    """
    check_places(dy, x, W, stride, padding)
    windows = patches(x, np.empty((*dy.shape[:3], *W.shape[:3]), x.dtype), stride, padding)
    dW = np.tensordot(windows, dy, ((0, 1, 2), (0, 1, 2)))
    db = dy.sum(axis=(0, 1, 2))
    if not need_dx:
        return None, dW, db
    dwindows = np.tensordot(dy, W, ((3,), (3,)))
    return scatter_patches(dwindows, np.empty(x.shape, dwindows.dtype), stride, padding), dW, db


@twin(None, x="B P Q C", W="K L O C", b="O", stride="positive pair", padding="pair", output_padding="pair")
def conv_transpose2d(x: Array, W: Array, b: Array, stride: Pair, padding: Pair, output_padding: Pair) -> Array:
    """Each pixel paints a window, weighted by W, into a larger picture; where windows overlap they add up.

    x : (B, P, Q, C), W : (K, L, O, C), b : (O,)  ->  y : (B, H, W, O),  H = (P - 1) s - 2 m + K + n,  W likewise

    y_bijo = b_o + sum of x_bpqc W_kloc over c and all p, k with s p + k - m = i and all q, l with s' q + l - m' = j

    It is the adjoint of conv2d with the same W, stride and padding (without biases), for which o is the input's channel
    and c the output's.  Both sum x_bpqc W_kloc u_bijo over the same positions:

    <conv2d(u, W), x> = sum_bpqc ( sum_klo u_bijo W_kloc ) x_bpqc = sum_bijo u_bijo ( sum x_bpqc W_kloc )
                      = <u, conv_transpose2d(x, W)>                                            [lesson 11, eq. 11.4]

    conv2d maps pictures of s different heights to the same P, since it rounds down.  The output padding n < s selects
    which of these heights to restore.

    Raises ValueError where the padding would leave nothing of the picture.
    """
    windows = np.tensordot(x, W, ((3,), (3,)))
    height, width = (transposed_size(*sizes) for sizes in
                     zip(x.shape[1:3], W.shape[:2], stride, padding, output_padding))
    y = np.empty((len(x), height, width, W.shape[2]), windows.dtype)
    return scatter_patches(windows, y, stride, padding) + b


@twin(None, dy="B H W O", x="B P Q C", W="K L O C", stride="positive pair", padding="pair", need_dx="flag")
def conv_transpose2d_backward(dy: Array, x: Array, W: Array, stride: Pair, padding: Pair,
                              need_dx: bool = True) -> tuple[MaybeArray, Array, Array]:
    """Gradients for x, W and b, given the gradient for y.

    dy : (B, H, W, O), x : (B, P, Q, C), W : (K, L, O, C)  ->  dx, dW, db, shaped like x, W, b; no dx without need_dx

    y = scatter_patches(v) + b with v_bpqklo = sum_c x_bpqc W_kloc.  The adjoint of the adjoint is the map itself, so

    dv        = patches(dy)
    dx_bpqc   = sum_klo dv_bpqklo W_kloc          i.e. a convolution of dy with the same W
    dW_kloc   = sum_bpq dv_bpqklo x_bpqc
    db_o      = sum_bij dy_bijo
    """
    check_places(x, dy, W, stride, padding)
    dwindows = patches(dy, np.empty((*x.shape[:3], *W.shape[:3]), dy.dtype), stride, padding)
    dx = np.tensordot(dwindows, W, 3) if need_dx else None
    return dx, np.tensordot(dwindows, x, ((0, 1, 2), (0, 1, 2))), dy.sum(axis=(0, 1, 2))


@checked(W="K L C O", shape=IMAGE, stride=STEPS, padding=MARGINS)
def conv2d_matrix(W: Array, shape: Sequence[int], stride: Pair, padding: Pair) -> Array:
    """The matrix M of conv2d for pictures of this shape: conv2d(x, W, b) = M x + b, with pictures written as columns.

    W : (K, L, C, O), shape : (H, W, C)  ->  M : (P Q O, H W C)

    conv2d without b is linear in x, so its value for a picture that is 1 in one pixel and 0 elsewhere is a column of M.
    A row has the weights of one window, and zeros at all pixels that the window does not see.  By dx = M^T dy the
    backward pass multiplies by the transpose, which is what conv_transpose2d does.  For pictures, not for training:
    M holds P Q O H W C numbers, nearly all of them 0.                                            [lesson 11, eq. 11.3]
    """
    n = math.prod(shape)
    W = W.astype(np.result_type(W, np.float32))    # of whole numbers too
    pictures = np.eye(n, dtype=W.dtype).reshape(n, *shape)
    return conv2d(pictures, W, np.zeros(W.shape[3], W.dtype), stride, padding).reshape(n, -1).T


def conv_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many positions a window of `kernel` pixels has along a side; raises ValueError where it has none."""
    if size + 2 * padding < kernel:
        raise ValueError(f"x has images of a shape with a side of {size}, or {size + 2 * padding} with padding; "
                         f"expected at least {kernel}, the size of the kernel W: use a smaller one or more padding")
    return _positions(size, kernel, stride, padding)


def _positions(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def check_places(smaller: Array, larger: Array, W: Array, stride: Pair, padding: Pair) -> None:
    """Raises ValueError unless the smaller pictures have a pixel for each position of a window in the larger ones."""
    places = tuple(_positions(*sizes) for sizes in zip(larger.shape[1:3], W.shape[:2], stride, padding))
    if smaller.shape[1:3] != places:
        raise ValueError(f"dy and x have pictures of {smaller.shape[1:3]} and {larger.shape[1:3]} pixels; expected "
                         f"{places} for the smaller ones, the positions of W's windows in the larger: dy as y is")


def transposed_size(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    """The side of the picture that `size` windows are painted into; raises ValueError where nothing is left of it."""
    side = (size - 1) * stride - 2 * padding + kernel + output_padding
    if side < 1:
        raise ValueError(f"padding is {padding}, which with a kernel W of {kernel} gives the picture a side of {side}; "
                         "expected at least 1: use less padding or a larger kernel")
    return side


# For the references only: the picture in a frame of zeros, large enough for every window

def _frame(picture: tuple[int, ...], windows: tuple[int, ...], stride: Pair, padding: Pair, dtype: np.dtype) -> Array:
    sides = [max(m + size, s * (places - 1) + window) for size, places, window, s, m in
             zip(picture[1:3], windows[1:3], windows[3:5], stride, padding)]
    return np.zeros((picture[0], *sides, picture[3]), dtype)


def _picture(frame: Array, picture: tuple[int, ...], padding: Pair) -> Array:
    return frame[:, padding[0]:padding[0] + picture[1], padding[1]:padding[1] + picture[2]]


def _seen_by_windows(frame: Array, windows: tuple[int, ...], stride: Pair) -> Iterator[tuple[int, int, Array]]:
    """For each k, l in turn, what the windows see there: (B, P, Q, C), a view of the frame."""
    P, Q, K, L = windows[1:5]
    for k, l in np.ndindex(K, L):
        yield k, l, frame[:, k:k + stride[0] * P:stride[0], l:l + stride[1] * Q:stride[1]]
