"""Does the code know what the images are made of?  The means of q(z|x) compared with what is known about x."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..arguments import MAPPING, as_array, checked

Array = np.ndarray
BINS = 20             # as many as in Chen et al. 2018 and Locatello et al. 2019
IMAGES_PER_BIN = 5    # at least, on average, in each cell of a table of counts: the rule of Pearson's chi-square test
ROWS_AT_ONCE = 1000
ROUNDING = 16 * np.finfo(float).eps


@checked(codes="N Z", labels="any: N", test_codes="M Z", test_labels="any: M")
def nearest_neighbour_accuracy(codes: Array, labels: Array, test_codes: Array, test_labels: Array) -> float:
    """The share of test codes whose nearest code among `codes` has the same label, from 0 to 1.

    codes (N, Z), labels (N,), test_codes (M, Z), test_labels (M,); Euclidean distance.  No label was seen in
    training: the images of a class lie together because they are alike.

    Numbers of any type are compared as float64.  Of codes that are equally near, the first counts.
    """
    if (labels.dtype.kind in "US") != (test_labels.dtype.kind in "US"):
        raise TypeError(f"labels has dtype {labels.dtype} and test_labels {test_labels.dtype}; expected labels of one "
                        "kind, for text is never equal to a number")
    codes, test_codes = np.asarray(codes, float), np.asarray(test_codes, float)
    right = 0
    for start in range(0, len(test_codes), ROWS_AT_ONCE):
        nearest = _nearest(codes, test_codes[start:start + ROWS_AT_ONCE])
        right += int(np.sum(labels[nearest] == test_labels[start:start + ROWS_AT_ONCE]))
    return right / len(test_codes)


def _nearest(codes: Array, block: Array) -> Array:
    """The index of the code (N, Z) that is nearest to each row of the block (M, Z): (M,)."""
    candidates = [np.flatnonzero(near) for near in _may_be_nearest(codes, block)]
    return np.array([some[np.argmin(np.sum((codes[some] - b)**2, axis=1))] for some, b in zip(candidates, block)])


def _may_be_nearest(codes: Array, block: Array) -> Array:
    """For each row of the block (M, Z), which of the codes (N, Z) are the nearest up to rounding: (M, N) of bool.

    |a - b|^2 = |a|^2 - 2 a.b + |b|^2 is one matrix product, but where a is near b most digits cancel.  So it only says
    whose differences have to decide.
    """
    squares = np.sum(codes**2, axis=1)
    without_b = squares - 2 * block @ codes.T    # |b|^2 is the same for every a
    error = ROUNDING * codes.shape[1] * (squares.max() + np.sum(block**2, axis=1, keepdims=True))
    return without_b <= without_b.min(axis=1, keepdims=True) + error


@checked(codes="N Z", factors=MAPPING)
def factor_recovery(codes: Array, factors: Mapping[str, Array]) -> Array:
    """How much each latent dimension tells about each factor: (F, Z), from 0 (nothing) to 1 (all).

    codes (N, Z); factors: (N,) each, in the order of the rows.

    The mutual information I(v; z) = sum p(v, z) log( p(v, z) / (p(v) p(z)) ) in nats, over the factor's entropy H(v).
    Both are cut into bins of equally many images, in which p is estimated by counting: 20 bins, or fewer where there
    are too few images for five in each cell of the table, sqrt(N / 5), but at least 2.

    Counts of finitely many images always show some information, even where there is none.  What they show on average if
    the codes are dealt to the images at random, E[I], is known exactly, and is subtracted ("adjusted"):

        recovery = (I - E[I]) / (H - E[I])                                      [Vinh, Epps & Bailey 2010, eq. 12]

    So an unrelated code gets 0 on average for every N, and a code that says everything gets 1.  A single number for an
    unrelated code scatters around 0, also below it, with a standard deviation of about
    sqrt((r - 1) (c - 1) / 2) / (N (H - E[I])) for r and c bins: 0.03 for 50 images, 0.01 for 200, 0.002 for 2,000; the
    largest of Z dimensions that know nothing is a few of those above 0.  A factor that is the same for all images
    has nothing to tell: 0.
    """
    columns = [as_array("factor_recovery", f"factors[{name!r}]", values, "N", {"N": len(codes)})
               for name, values in factors.items()]
    binned = [_in_bins(z) for z in np.asarray(codes, float).T]
    return np.array([[_adjusted(v, z) for z in binned] for v in map(_in_bins, columns)])


@checked(recovery="F Z")
def mutual_information_gap(recovery: Array) -> float:
    """MIG: how far the dimension that best predicts a factor is ahead of the next, averaged over the factors.

    recovery (F, Z), from factor_recovery.  1 where each factor has a dimension of its own, 0 where it is spread over
    several or unknown.                                                                 [Chen et al. 2018, eq. 6]

    Raises ValueError where there is only one dimension, and so no next.
    """
    if recovery.shape[1] < 2:
        raise ValueError(f"recovery has shape {recovery.shape}; expected at least two latent dimensions, the best and "
                         "the next")
    ordered = np.sort(recovery.astype(float), axis=1)
    return float(np.mean(ordered[:, -1] - ordered[:, -2]))


def _in_bins(values: Array) -> Array:
    """The bin of each value, 0, 1, ...; a factor with few values has a bin for each, and equal values share one."""
    n = len(values)
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    if len(counts) > min(BINS, n // IMAGES_PER_BIN):
        bins = min(BINS, max(2, int((n / IMAGES_PER_BIN)**0.5)))
        middle = np.cumsum(counts) - counts / 2    # rank of a value among all, the middle one of equal values
        _, bin_of = np.unique(np.floor(bins * middle / n), return_inverse=True)
        which = bin_of[which]
    return which


def _adjusted(v: Array, z: Array) -> float:
    """(I(v; z) - E[I]) / (H(v) - E[I]) from the bins of each image, (N,)."""
    table = np.zeros((v.max() + 1, z.max() + 1), np.int64)
    np.add.at(table, (v, z), 1)
    of_v, of_z = table.sum(axis=1), table.sum(axis=0)
    by_chance = _by_chance(of_v, of_z)
    left = _information(np.diag(of_v)) - by_chance    # I(v; v) = H(v)
    if left < 1e-9:    # nothing to tell, or every code tells it
        return 0.0
    return (_information(table) - by_chance) / left


def _information(table: Array) -> float:
    """I(v; z) in nats, from the number of images in each pair of bins."""
    n = table.sum()
    i, j = np.nonzero(table)
    there = table[i, j]
    return float(np.sum(there / n * np.log(there / table.sum(axis=1)[i] * (n / table.sum(axis=0)[j]))))


def _by_chance(of_v: Array, of_z: Array) -> float:
    """E[I] over all ways of dealing the codes to the images, from the number of images in each bin of v and z.

    Of the b images in a bin of z, k fall into a bin of v with a images with the hypergeometric probability

        P(k) = a! b! (N - a)! (N - b)! / ( N! k! (a - k)! (b - k)! (N - a - b + k)! ),

    so E[I] = sum over the pairs of bins of E[ k/N log( k N / (a b) ) ].           [Vinh, Epps & Bailey 2010, eq. 24]
    """
    n = int(of_v.sum())
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    total = 0.0
    for a, times_a in zip(*np.unique(of_v, return_counts=True)):
        for b, times_b in zip(*np.unique(of_z, return_counts=True)):
            k = np.arange(max(1, a + b - n), min(a, b) + 1)
            log_p = (log_factorial[[a, b, n - a, n - b]].sum() - log_factorial[n] - log_factorial[k]
                     - log_factorial[a - k] - log_factorial[b - k] - log_factorial[n - a - b + k])
            total += times_a * times_b * float(np.sum(np.exp(log_p) * k / n * np.log(k / a * (n / b))))
    return total
