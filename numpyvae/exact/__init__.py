"""Answers known exactly, to compare approximations with: quadrature, probabilistic PCA, entropies."""
from .entropy import gaussian_entropy, mixture_entropy
from .pca import (ProbabilisticPCA, cubature, gaussian_log_likelihood, linear_loss, principal_angles,
                  probabilistic_pca, same_loss_constant, solve_linear_vae)
from .quadrature import latent_grid, log_joint, log_likelihood, log_mean_exp, log_sum_exp, posterior

__all__ = ["ProbabilisticPCA", "cubature", "gaussian_entropy", "gaussian_log_likelihood", "latent_grid", "linear_loss",
           "log_joint", "log_likelihood", "log_mean_exp", "log_sum_exp", "mixture_entropy", "posterior",
           "principal_angles", "probabilistic_pca", "same_loss_constant", "solve_linear_vae"]
