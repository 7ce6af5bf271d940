"""The mathematics: pure functions in pairs, f and f_backward.  Start with gaussian.py."""
from .activations import (gelu, gelu_backward, relu, relu_backward, sigmoid, sigmoid_backward, silu, silu_backward,
                          softplus, softplus_backward, tanh, tanh_backward)
from .affine import affine, affine_backward
from .continuous_bernoulli import continuous_bernoulli_nll, continuous_bernoulli_nll_backward
from .convolution import conv2d, conv2d_backward, conv2d_matrix, conv_transpose2d, conv_transpose2d_backward
from .dense import dense, dense_backward
from .discretized_logistic import discretized_logistic_nll, discretized_logistic_nll_backward
from .full_gaussian import (full_gaussian_kl, full_gaussian_kl_backward, full_gaussian_log_density,
                            full_gaussian_log_density_backward, full_reparameterize, full_reparameterize_backward)
from .gaussian import (gaussian_kl, gaussian_kl_backward, gaussian_kl_of_dimensions, gaussian_kl_of_dimensions_backward,
                       gaussian_log_density, gaussian_log_density_backward, reparameterize, reparameterize_backward)
from .labels import concatenate, concatenate_backward
from .likelihoods import (bernoulli_nll, bernoulli_nll_backward, gaussian_learned_nll, gaussian_learned_nll_backward,
                          gaussian_nll, gaussian_nll_backward)
from .student_t import student_t_nll, student_t_nll_backward

__all__ = ["affine", "affine_backward", "bernoulli_nll", "bernoulli_nll_backward", "concatenate",
           "concatenate_backward", "continuous_bernoulli_nll", "continuous_bernoulli_nll_backward", "conv2d",
           "conv2d_backward", "conv2d_matrix", "conv_transpose2d", "conv_transpose2d_backward", "dense",
           "dense_backward", "discretized_logistic_nll", "discretized_logistic_nll_backward", "full_gaussian_kl",
           "full_gaussian_kl_backward", "full_gaussian_log_density", "full_gaussian_log_density_backward",
           "full_reparameterize", "full_reparameterize_backward", "gaussian_kl", "gaussian_kl_backward",
           "gaussian_kl_of_dimensions", "gaussian_kl_of_dimensions_backward", "gaussian_learned_nll",
           "gaussian_learned_nll_backward", "gaussian_log_density", "gaussian_log_density_backward", "gaussian_nll",
           "gaussian_nll_backward", "gelu", "gelu_backward", "relu", "relu_backward", "reparameterize",
           "reparameterize_backward", "sigmoid", "sigmoid_backward", "silu", "silu_backward", "softplus",
           "softplus_backward", "student_t_nll", "student_t_nll_backward", "tanh", "tanh_backward"]
