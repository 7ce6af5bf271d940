"""What a step spends its time in, again, as loops that numba compiles: the same names in the same rooms as in
functional/.  Of likelihoods the value alone is here too: log p(x) by importance sampling spends its time in it."""
from . import activations, adam, continuous_bernoulli, convolution, discretized_logistic, gaussian, likelihoods
from . import matmul, pixels

__all__ = ["activations", "adam", "continuous_bernoulli", "convolution", "discretized_logistic", "gaussian",
           "likelihoods", "matmul", "pixels"]
