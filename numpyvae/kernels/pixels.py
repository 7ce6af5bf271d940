"""Loops for functional/pixels.py: a batch is picked, converted and binarised in one pass over its bytes."""


def pick_pixels(images, rows, x):
    """x[:] = images[rows] / 255."""
    scale = x.dtype.type(1.0 / 255.0)
    for i in range(rows.size):
        image = images[rows[i]]
        for d in range(image.size):
            x[i, d] = x.dtype.type(image[d]) * scale
    return x


def pick_binary_pixels(images, rows, thresholds, x):
    """x[:] = thresholds < images[rows]."""
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for i in range(rows.size):
        image = images[rows[i]]
        for d in range(image.size):
            x[i, d] = one if thresholds[i, d] < image[d] else zero
    return x
