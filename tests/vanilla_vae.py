"""VanillaVAE of the PyTorch-VAE collection, 64 x 64 in colour, which many start from, and how it is examined.

Written again here from its description (A. K. Subramanian, "PyTorch-VAE", 2020): five strided convolutions of 32 to 512
channels, each with batch normalisation and a leaky relu, 128 latent dimensions, the same upwards, and a tanh.  Its
loss is the mean squared error + 0.00025 KL, with noise of its own.
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import numpyvae as nv

CHANNELS = (32, 64, 128, 256, 512)
LATENT, SIDE = 128, 64
KL_WEIGHT = 0.00025


class VanillaVAE(nn.Module):
    def __init__(self):
        super().__init__()
        down, n_in = [], 3
        for n in CHANNELS:
            down += [nn.Conv2d(n_in, n, 3, 2, 1), nn.BatchNorm2d(n), nn.LeakyReLU()]
            n_in = n
        up = []
        for n, n_out in zip(CHANNELS[::-1], (*CHANNELS[-2::-1], CHANNELS[0])):
            up += [nn.ConvTranspose2d(n, n_out, 3, 2, 1, 1), nn.BatchNorm2d(n_out), nn.LeakyReLU()]
        self.down, self.up = nn.Sequential(*down), nn.Sequential(*up, nn.Conv2d(CHANNELS[0], 3, 3, 1, 1), nn.Tanh())
        self.fc_mu, self.fc_var = nn.Linear(4 * CHANNELS[-1], LATENT), nn.Linear(4 * CHANNELS[-1], LATENT)
        self.decoder_input = nn.Linear(LATENT, 4 * CHANNELS[-1])

    def encode(self, x):
        h = self.down(x).flatten(1)
        return self.fc_mu(h), self.fc_var(h)

    def reparameterize(self, mu, logvar):
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def decode(self, z):
        return self.up(self.decoder_input(z).view(-1, CHANNELS[-1], 2, 2))

    def loss(self, x):
        mu, logvar = self.encode(x)
        kl = torch.mean(-0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1))
        return F.mse_loss(self.decode(self.reparameterize(mu, logvar)), x) + KL_WEIGHT * kl


def numpy(f):
    def wrapped(*arrays):
        with torch.no_grad():
            return f(*map(torch.from_numpy, arrays))
    return wrapped


def look(model, images, draws=None):
    """Examined with the weight that its loss gives the KL: the mean over the pixels is 2 / D times a Gaussian's NLL."""
    beta = KL_WEIGHT * images[0].size / 2
    return nv.examine(x=images, encode=numpy(model.encode), sample_z=numpy(model.reparameterize),
                      decode=numpy(model.decode), loss=numpy(model.loss), decodes_to="mean", beta=beta, draws=draws,
                      rng=np.random.default_rng(0))
