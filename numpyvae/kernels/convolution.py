"""Loops for functional/convolution.py: windows copied out of images, and added back into them.

For one pixel k, l of the window the places p, q where it lies inside the image form a rectangle, known before the
loops over them begin.  Pixel by pixel the channels lie in one piece; where they are few, the loop along the row is the
inner one, because a short loop costs more than it does (1.7 against 1.0 ns a number, with one channel).
"""
FEW_CHANNELS = 4


def places_inside(offset, stride, places, size):
    """Of range(places), the first p and one past the last for which p * stride + offset lies in range(size)."""
    return max((stride - 1 - offset) // stride, 0), min((size - 1 - offset) // stride + 1, places)


def patches(x, out, stride, padding):
    """out[b, p, q, k, l] = x[b, p stride[0] + k - padding[0], q stride[1] + l - padding[1]], and 0 outside of x."""
    H, W, C = x.shape[1:]
    P, Q, K, L = out.shape[1:5]
    for b in range(x.shape[0]):
        out[b] = 0    # one image at a time: its windows stay in the cache while they are filled
        for k in range(K):
            up = k - padding[0]
            first_p, last_p = places_inside(up, stride[0], P, H)
            for l in range(L):
                left = l - padding[1]
                first_q, last_q = places_inside(left, stride[1], Q, W)
                for p in range(first_p, last_p):
                    row = x[b, p * stride[0] + up]
                    if C < FEW_CHANNELS:
                        for c in range(C):
                            for q in range(first_q, last_q):
                                out[b, p, q, k, l, c] = row[q * stride[1] + left, c]
                    else:
                        for q in range(first_q, last_q):
                            for c in range(C):
                                out[b, p, q, k, l, c] = row[q * stride[1] + left, c]
    return out


def scatter_patches(dout, dx, stride, padding):
    """dx[b, p stride[0] + k - padding[0], q stride[1] + l - padding[1]] += dout[b, p, q, k, l], from zero on."""
    H, W, C = dx.shape[1:]
    P, Q, K, L = dout.shape[1:5]
    for b in range(dx.shape[0]):
        dx[b] = 0
        for k in range(K):
            up = k - padding[0]
            first_p, last_p = places_inside(up, stride[0], P, H)
            for l in range(L):
                left = l - padding[1]
                first_q, last_q = places_inside(left, stride[1], Q, W)
                for p in range(first_p, last_p):
                    row = dx[b, p * stride[0] + up]
                    if C < FEW_CHANNELS:
                        for c in range(C):
                            for q in range(first_q, last_q):
                                row[q * stride[1] + left, c] += dout[b, p, q, k, l, c]
                    else:
                        for q in range(first_q, last_q):
                            for c in range(C):
                                row[q * stride[1] + left, c] += dout[b, p, q, k, l, c]
    return dx
