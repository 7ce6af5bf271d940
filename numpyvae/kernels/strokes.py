"""The loop for datasets/strokes.py: lines drawn by the distance of each pixel to them."""
import numpy as np


def draw_lines(x0, y0, x1, y1, radius, ink):
    """ink[:] = np.clip(radius + 0.5 - distance to the nearest line, 0, 1), each line only for pixels near it.

    Per line: the pixels of its bounding box grown by radius + 0.5, about 60 of 784, with 14 operations each;
    one square root a pixel.
    """
    dtype = ink.dtype.type
    zero, half, one, far = dtype(0), dtype(0.5), dtype(1), dtype(1e30)
    height, width = ink.shape[1], ink.shape[2]
    for n in range(ink.shape[0]):
        square = ink[n]    # holds the squared distance until it is known for every line
        square[:] = far
        reach = radius[n] + half
        for s in range(x0.shape[1]):
            ax, ay, dx, dy = x0[n, s], y0[n, s], x1[n, s] - x0[n, s], y1[n, s] - y0[n, s]
            length = dx * dx + dy * dy
            inverse = one / length if length > zero else zero
            first_row = np.int64(np.ceil(max(min(ay, ay + dy) - reach, zero)))
            last_row = np.int64(np.floor(min(max(ay, ay + dy) + reach, dtype(height - 1))))
            first = np.int64(np.ceil(max(min(ax, ax + dx) - reach, zero)))
            last = np.int64(np.floor(min(max(ax, ax + dx) + reach, dtype(width - 1))))
            for i in range(first_row, last_row + 1):
                py = dtype(i) - ay
                for j in range(first, last + 1):
                    px = dtype(j) - ax
                    t = min(max((px * dx + py * dy) * inverse, zero), one)    # the nearest point of the line
                    qx, qy = px - t * dx, py - t * dy
                    square[i, j] = min(square[i, j], qx * qx + qy * qy)
        for i in range(height):
            for j in range(width):
                square[i, j] = min(max(reach - np.sqrt(square[i, j]), zero), one)
    return ink
