"""numpyvae: a variational autoencoder from scratch, every derivation beside the code that implements it.

Read numpyvae.models.vae first (the model on one screen), then numpyvae.functional (the mathematics).
"""
from . import datasets, evaluation, exact, functional, gradcheck, museum
from .examination import Examination, examine
from .models import likelihoods, posteriors, priors    # noqa: F401, the parts from which one puts a VAE together
from .models.autoencoder import Autoencoder
from .models.loading import load
from .models.model import LossTerms
from .models.vae import VAE
from .models.variants import ConditionalVAE, FullCovarianceVAE
from .nn.convolution import Conv2d, ConvTranspose2d
from .nn.layers import Dense, Flatten, Reshape, Sequential
from .nn.parameters import Parameters
from .report import plots
from .training import objectives
from .training.fit import evaluate_loss, fit
from .training.optimizers import SGD, Adam, Momentum
from .training.resume import Record
from .twin import kernels_off
from .version import __version__

__all__ = ["Adam", "Autoencoder", "ConditionalVAE", "Conv2d", "ConvTranspose2d", "Dense", "Examination", "Flatten",
           "FullCovarianceVAE", "LossTerms", "Momentum", "Parameters", "Record", "Reshape", "SGD", "Sequential",
           "VAE", "__version__", "datasets", "evaluate_loss", "evaluation", "exact", "examine", "fit", "functional",
           "gradcheck", "kernels_off", "load", "museum", "objectives", "plots"]
