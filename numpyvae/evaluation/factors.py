"""Does the code know what the images are made of?  The means of q(z|x) compared with what is known about x."""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..arguments import MAPPING, as_array, checked

Array = np.ndarray
BINS = 20             # as many as in Chen et al. 2018 and Locatello et al. 2019
ROWS_AT_ONCE = 1000


@checked(codes="N Z", labels="any: N", test_codes="M Z", test_labels="any: M")
def nearest_neighbour_accuracy(codes: Array, labels: Array, test_codes: Array, test_labels: Array) -> float:
    """The share of test codes whose nearest code among `codes` has the same label, from 0 to 1.

    codes (N, Z), labels (N,), test_codes (M, Z), test_labels (M,); Euclidean distance.  No label was seen in
    training: the images of a class lie together because they are alike.
    """
    labels, test_labels = np.asarray(labels), np.asarray(test_labels)
    squares = np.sum(codes**2, axis=1)
    right = 0
    for start in range(0, len(test_codes), ROWS_AT_ONCE):
        block = test_codes[start:start + ROWS_AT_ONCE]
        # |a - b|^2 = |a|^2 - 2 a.b + |b|^2, and |a|^2 is the same for every b.
        nearest = np.argmin(squares - 2 * block @ codes.T, axis=1)
        right += int(np.sum(labels[nearest] == test_labels[start:start + ROWS_AT_ONCE]))
    return right / len(test_codes)


@checked(codes="N Z", factors=MAPPING)
def factor_recovery(codes: Array, factors: Mapping[str, Array]) -> Array:
    """How much each latent dimension tells about each factor: (F, Z), from 0 (nothing) to 1 (all).

    codes (N, Z); factors: (N,) each, in the order of the rows.

    The mutual information I(v; z) = sum p(v, z) log( p(v, z) / (p(v) p(z)) ) in nats, over the factor's entropy H(v).
    Both are cut into at most 20 bins of equally many images, in which p is estimated by counting.
    """
    columns = [as_array("factor_recovery", f"factors[{name!r}]", values, "N", {"N": len(codes)})
               for name, values in factors.items()]
    return np.array([[_mutual_information(v, z) / max(_mutual_information(v, v), np.finfo(float).tiny)
                      for z in map(_in_bins, np.asarray(codes, float).T)]
                     for v in map(_in_bins, columns)])


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
    """The bin of each value; a factor with few values has a bin for each."""
    different, which = np.unique(values, return_inverse=True)
    if len(different) <= BINS:
        return which
    edges = np.quantile(values, np.arange(1, BINS) / BINS)
    return np.searchsorted(edges, values, side="right")


def _mutual_information(a: Array, b: Array) -> float:
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return float(np.sum(joint[there] * np.log(joint[there] / independent[there])))
