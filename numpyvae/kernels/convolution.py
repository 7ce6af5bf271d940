"""Loops for functional/convolution.py: windows copied out of images (im2col), and added back into them (col2im).

With channels last, a row of a window, L pixels of C channels, is contiguous in the window and in the image: one loop.
Where the window extends over the edge, the loop checks for every number whether it is inside.

Short rows, such as those of images with one or three channels, end before their loop is up to speed.  So they are
copied a whole window at a time, by a list of its numbers' offsets; the image is put into a frame of zeros first, so
that no window extends over an edge.
"""
import numpy as np

from .halves import halved, images

SHORT_ROW = 12    # numbers (measured)


@halved(images, returns="out")
def patches(x, out, stride, padding):
    """out[b, p, q, k, l] = x[b, p stride[0] + k - padding[0], q stride[1] + l - padding[1]], and 0 outside of x."""
    if out.shape[4] * out.shape[5] < SHORT_ROW:
        return patches_of_short_rows(x, out, stride, padding)
    return patches_of_long_rows(x, out, stride, padding)


def patches_of_long_rows(x, out, stride, padding):
    B, H, W, C = x.shape
    P, Q, K, L = out.shape[1:5]
    images, windows = x.reshape(B, H, W * C), out.reshape(B, P, Q, K, L * C)
    for b in range(B):
        for p in range(P):
            for k in range(K):
                i = p * stride[0] + k - padding[0]
                for q in range(Q):
                    first = (q * stride[1] - padding[1]) * C
                    if not 0 <= i < H:
                        windows[b, p, q, k] = 0
                    elif 0 <= first <= (W - L) * C:
                        for c in range(L * C):
                            windows[b, p, q, k, c] = images[b, i, first + c]
                    else:
                        for c in range(L * C):
                            windows[b, p, q, k, c] = images[b, i, first + c] if 0 <= first + c < W * C else 0
    return out


def patches_of_short_rows(x, out, stride, padding):
    B, H, W, C = x.shape
    P, Q, K, L = out.shape[1:5]
    images, windows = x.reshape(B, H, W * C), out.reshape(B, P * Q, K * L * C)
    height = max(padding[0] + H, (P - 1) * stride[0] + K)
    width = max(padding[1] + W, (Q - 1) * stride[1] + L) * C
    frame = np.zeros(height * width, x.dtype)
    offsets = np.empty(K * L * C, np.uint64)    # unsigned: numba checks whether a signed index counts from the end
    for k in range(K):
        for c in range(L * C):
            offsets[k * L * C + c] = k * width + c
    for b in range(B):
        for i in range(H):
            start = np.uint64((i + padding[0]) * width + padding[1] * C)
            for j in range(W * C):
                frame[start + np.uint64(j)] = images[b, i, j]
        for p in range(P):
            for q in range(Q):
                first = np.uint64(p * stride[0] * width + q * stride[1] * C)
                for n in range(len(offsets)):
                    windows[b, p * Q + q, n] = frame[first + offsets[n]]
    return out


@halved(images, returns="dx")
def scatter_patches(dout, dx, stride, padding):
    """dx[b, p stride[0] + k - padding[0], q stride[1] + l - padding[1]] += dout[b, p, q, k, l], starting from zero."""
    B, H, W, C = dx.shape
    P, Q, K, L = dout.shape[1:5]
    images, windows = dx.reshape(B, H, W * C), dout.reshape(B, P, Q, K, L * C)
    for b in range(B):
        dx[b] = 0
        for p in range(P):
            for k in range(K):
                i = p * stride[0] + k - padding[0]
                if 0 <= i < H:
                    for q in range(Q):
                        first = (q * stride[1] - padding[1]) * C
                        if 0 <= first <= (W - L) * C:
                            for c in range(L * C):
                                images[b, i, first + c] += windows[b, p, q, k, c]
                        else:
                            for c in range(L * C):
                                if 0 <= first + c < W * C:
                                    images[b, i, first + c] += windows[b, p, q, k, c]
    return dx
