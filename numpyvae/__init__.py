"""numpyvae: a variational autoencoder from scratch, every derivation beside the code that does it.

Read numpyvae.functional first (the mathematics), then numpyvae.vae (the model on one screen).
"""
from . import datasets, evaluation, exact, functional, gradcheck, museum, objectives, plots
from .autoencoder import Autoencoder
from .conditional import ConditionalVAE
from .convolution import Conv2d, ConvTranspose2d
from .examination import Examination, examine
from .full_covariance import FullCovarianceVAE
from .layers import Dense, Flatten, Reshape, Sequential
from .model import LossTerms, load
from .optimizers import SGD, Adam, Momentum
from .parameters import Parameters
from .training import evaluate_loss, fit
from .training_state import Record
from .twin import kernels_off
from .vae import VAE

__version__ = "0.1.0"

__all__ = ["Adam", "Autoencoder", "ConditionalVAE", "Conv2d", "ConvTranspose2d", "Dense", "Examination", "Flatten",
           "FullCovarianceVAE", "LossTerms", "Momentum", "Parameters", "Record", "Reshape", "SGD", "Sequential",
           "VAE", "datasets", "evaluate_loss", "evaluation", "exact", "examine", "fit", "functional", "gradcheck",
           "kernels_off", "load", "museum", "objectives", "plots"]
