"""The mathematics of functional/ again, as loops that numba compiles: the same names in the same rooms."""
from . import activations, adam, affine, convolution, gaussian, likelihoods, matmul, pixels

__all__ = ["activations", "adam", "affine", "convolution", "gaussian", "likelihoods", "matmul", "pixels"]
