"""How a kernel is halved for two threads; each kernel says it once, by `halved`.

    @halved(rows_of_sum, returns="y")
    def add_bias(y, b): ...

Each number of the result belongs to one half, and its sum has the same order in a half as in the whole.  So a sum over
rows, such as a bias's gradient, is halved by columns, and a sum over columns by rows.
"""
import numpy as np


def numbers(y, *others):
    """How much a kernel has to do: usually something for each number of its first array."""
    return y.size


def halved(how, returns, steps=numbers):
    """A decorator that says how the kernel is halved, and which of its arguments, which it has filled, it returns.

    steps : a function of the arguments that says how much there is to do, in numbers that an easy loop passes over
    """
    def note(kernel):
        kernel.how_halved, kernel.returns, kernel.steps = how, returns.split(), steps
        return kernel
    return note


# Names in the functions below, filled in by `loop_for`: the kernel, and two copies of it that do half of the columns.
kernel = left = right = None


def rows(y, half):
    """The upper or the lower half of y; of a vector, the first or the second."""
    middle = y.shape[0] // 2
    return y[middle:] if half else y[:middle]


def rows_of_sum(half, y, b):
    kernel(rows(y, half), b)


def rows_of_sum_kept(half, y, b, a):
    kernel(rows(y, half), b, rows(a, half))


def rows_of_nll(half, dnll, theta, x, nll, dtheta):
    kernel(rows(dnll, half), rows(theta, half), rows(x, half), rows(nll, half), rows(dtheta, half))


def rows_of_nll_sigma(half, dnll, mean, x, sigma, nll, dmean):
    kernel(rows(dnll, half), rows(mean, half), rows(x, half), sigma, rows(nll, half), rows(dmean, half))


def pixels(dnll, theta, *others):
    return theta.size


def weights(half, values, grads, mean, square, lr, rate1, rate2, correction1, correction2, eps):
    kernel(rows(values, half), rows(grads, half), rows(mean, half), rows(square, half), lr, rate1, rate2, correction1,
           correction2, eps)


def images(half, x, windows, stride, padding):
    kernel(rows(x, half), rows(windows, half), stride, padding)


# Of a loop along rows a half of the columns is a range of j: numba would not know of a slice y[:, :n] that the numbers
# of a row lie beside each other, and would handle them one by one.

def all_columns(y):
    """Where the columns of y begin and end.  In the copies `left` and `right` of a loop, those of one half."""
    return np.uint64(0), np.uint64(y.shape[1])


def left_columns(y):
    return np.uint64(0), np.uint64(middle_column(y.shape[1]))


def right_columns(y):
    return np.uint64(middle_column(y.shape[1])), np.uint64(y.shape[1])


def middle_column(n):
    """Where n columns are cut: at a multiple of 16, the width of a register."""
    return n // 32 * 16


def columns_of_slope(half, dy, kept, da, db):
    if half:
        right(dy, kept, da, db)
    else:
        left(dy, kept, da, db)


# A product's halves are its left and its right columns; if there are few columns, its upper and its lower rows.

def product(half, a, b, out):
    """[lesson 12, eq. 12.5]"""
    some_rows, some_columns = rows_and_columns(out, half)
    kernel(a[some_rows, :], b[:, some_columns], out[some_rows, some_columns])


def product_transposed(half, a, b, out):
    """The same for out = a @ b.T."""
    some_rows, some_columns = rows_and_columns(out, half)
    kernel(a[some_rows, :], b[some_columns, :], out[some_rows, some_columns])


def rows_and_columns(out, half):
    M, N = out.shape
    if M >= 32 and N < 128:
        middle = M // 32 * 16    # each half has room for a tile, and for a strip of 16 rows
        return slice(middle, M) if half else slice(0, middle), slice(0, N)
    middle = middle_column(N)
    return slice(0, M), slice(middle, N) if half else slice(0, middle)


def multiplications(a, b, out):
    return a.size * out.shape[1] // 16    # of which a vector does 16 at a time
