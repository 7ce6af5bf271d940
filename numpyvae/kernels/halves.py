"""How a kernel is halved for two threads; each kernel says it once, by `halved`.

    @halved(by_rows_of_y, returns="y")
    def add_bias(y, b): ...

Each number of the result belongs to one half, and its sum has the same order in a half as in the whole.  So a sum over
rows, such as a bias's gradient, is halved by columns, and a sum over columns by rows.
"""

kernel = None    # a name in the functions below, filled in by `loop_for`: the kernel itself


def halved(how, returns):
    """A decorator that says how the kernel is halved, and which of its arguments, which it has filled, it returns."""
    def note(kernel):
        kernel.how_halved, kernel.returns = how, returns.split()
        return kernel
    return note


def rows(y, half):
    """The upper or the lower half of y; of a vector, the first or the second."""
    middle = y.shape[0] // 2
    return y[middle:] if half else y[:middle]


def middle_column(n):
    """Where n columns are cut: at a multiple of 16, the width of a register."""
    return n // 32 * 16


def columns(y, half):
    """The left or the right half of y."""
    middle = middle_column(y.shape[1])
    return y[:, middle:] if half else y[:, :middle]


def places(y, half):
    """The numbers of a vector, or the rows of b.T, that belong to the left or the right half of a matrix's columns."""
    middle = middle_column(y.shape[0])
    return y[middle:] if half else y[:middle]


def rows_of_sum(half, y, b):
    kernel(rows(y, half), b)


def rows_of_sum_kept(half, y, b, a):
    kernel(rows(y, half), b, rows(a, half))


def columns_of_bias(half, dy, db):
    kernel(columns(dy, half), places(db, half))


def columns_of_slope(half, dy, kept, da, db):
    kernel(columns(dy, half), columns(kept, half), columns(da, half), places(db, half))


def rows_of_nll(half, dnll, theta, x, nll, dtheta):
    kernel(rows(dnll, half), rows(theta, half), rows(x, half), rows(nll, half), rows(dtheta, half))


def rows_of_nll_sigma(half, dnll, mean, x, sigma, nll, dmean):
    kernel(rows(dnll, half), rows(mean, half), rows(x, half), sigma, rows(nll, half), rows(dmean, half))


def weights(half, values, grads, mean, square, lr, rate1, rate2, correction1, correction2, eps):
    kernel(rows(values, half), rows(grads, half), rows(mean, half), rows(square, half), lr, rate1, rate2, correction1,
           correction2, eps)


def columns_of_product(half, a, b, out):
    kernel(a, columns(b, half), columns(out, half))


def columns_of_product_transposed(half, a, b, out):
    kernel(a, places(b, half), columns(out, half))
