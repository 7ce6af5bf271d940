"""The functions in which a step spends its time, written again as loops for numba, with the names and modules of
functional/.  The likelihoods' values alone are here too: log p(x) by importance sampling spends its time in them."""
from . import activations, adam, continuous_bernoulli, convolution, discretized_logistic, gaussian, likelihoods
from . import matmul, pixels

__all__ = ["activations", "adam", "continuous_bernoulli", "convolution", "discretized_logistic", "gaussian",
           "likelihoods", "matmul", "pixels"]
