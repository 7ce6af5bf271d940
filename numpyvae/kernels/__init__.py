"""The mathematics of functional/ again, as loops that numba compiles: the same names in the same rooms."""
from . import (activations, adam, affine, continuous_bernoulli, convolution, discretized_logistic, gaussian,
               likelihoods, matmul, pixels)

__all__ = ["activations", "adam", "affine", "continuous_bernoulli", "convolution", "discretized_logistic", "gaussian",
           "likelihoods", "matmul", "pixels"]
