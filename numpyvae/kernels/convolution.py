"""Loops for functional/convolution.py: windows copied out of images, and added back into them.

Along a row of an image the pixels of a window lie in one piece, L x C numbers, so the innermost loop walks that.
"""


def part_inside(start, length, size):
    """Of the `length` places from `start` on, the first and one past the last that lie in range(size)."""
    first = min(max(-start, 0), length)
    return first, max(min(size - start, length), first)


def patches(x, out, stride, padding):
    """out[b, p, q, k, l] = x[b, p stride[0] + k - padding[0], q stride[1] + l - padding[1]], and 0 outside of x."""
    H, W, C = x.shape[1:]
    P, Q, K, L = out.shape[1:5]
    rows, windows = x.reshape(-1, W * C), out.reshape(-1, L * C)
    zero = x.dtype.type(0)
    n = 0
    for b in range(x.shape[0]):
        for p in range(P):
            top = p * stride[0] - padding[0]
            for q in range(Q):
                left = q * stride[1] - padding[1]
                first, last = part_inside(left, L, W)
                for k in range(K):
                    window = windows[n]
                    n += 1
                    if top + k < 0 or top + k >= H:
                        window[:] = zero
                        continue
                    row = rows[b * H + top + k, (left + first) * C:(left + last) * C]
                    window[:first * C] = zero
                    for c in range(row.size):
                        window[first * C + c] = row[c]
                    window[last * C:] = zero
    return out


def scatter_patches(dout, dx, stride, padding):
    """dx[b, p stride[0] + k - padding[0], q stride[1] + l - padding[1]] += dout[b, p, q, k, l], from zero on."""
    H, W, C = dx.shape[1:]
    P, Q, K, L = dout.shape[1:5]
    rows, windows = dx.reshape(-1, W * C), dout.reshape(-1, L * C)
    zero = dx.dtype.type(0)
    n = 0
    for b in range(dx.shape[0]):
        dx[b] = zero    # one image at a time: it is still in the cache when the windows are added
        for p in range(P):
            top = p * stride[0] - padding[0]
            for q in range(Q):
                left = q * stride[1] - padding[1]
                first, last = part_inside(left, L, W)
                for k in range(K):
                    if 0 <= top + k < H:
                        row = rows[b * H + top + k, (left + first) * C:(left + last) * C]
                        window = windows[n, first * C:last * C]
                        for c in range(row.size):
                            row[c] += window[c]
                    n += 1
    return dx
