"""numpyvae: a variational autoencoder from scratch."""
__version__ = "0.1.0"
