# %% [markdown]
# # Examine your own VAE, nothing installed
#
# Paste your own functions over the ones below and run the cells: nothing leaves your browser. It takes plain NumPy, so
# from PyTorch or JAX bring the formulas, not the tensors.
#
# ## A layer
#
# `gradcheck` compares a layer's backward pass with central differences of its forward pass. The layer stands in a file;
# its weights are found by their names.

# %%
LAYER = '''
import numpy as np


class MyLayer:
    def __init__(self):
        rng = np.random.default_rng(0)
        self.W, self.b = rng.standard_normal((5, 3)), np.zeros(3)

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.dW, self.db = self.x.T @ dy, dy.sum(axis=0)
        return dy @ self.W.T
'''

import pathlib

import numpyvae as nv
from numpyvae.cli import main

pathlib.Path("my_layer.py").write_text(LAYER)
main(["gradcheck", "my_layer.py:MyLayer"])

# %% [markdown]
# Now a mistake, on purpose: `dW` twice as large. Find yours the same way.

# %%
pathlib.Path("my_layer.py").write_text(LAYER.replace("self.x.T @ dy", "2 * self.x.T @ dy"))
main(["gradcheck", "my_layer.py:MyLayer"])

# %% [markdown]
# ## A whole VAE
#
# `nv.examine` takes the functions of a VAE and says for each part whether it is right, with its numbers. Here is a VAE
# in a few lines, with random weights, whose loss has a mistake that many have: the KL is averaged over the latent
# dimensions, where a sum belongs.

# %%
import numpy as np

rng = np.random.default_rng(0)
D, H, Z = 196, 40, 3
We, Wm, Wv = (rng.normal(0, scale, shape) for scale, shape in ((0.1, (D, H)), (0.3, (H, Z)), (0.1, (H, Z))))
Wd, Wo = rng.normal(0, 0.5, (Z, H)), rng.normal(0, 0.2, (H, D))


def encode(x):
    h = np.tanh(x @ We)
    return h @ Wm, h @ Wv


def sample_z(mu, logvar, eps):
    return mu + np.exp(logvar / 2) * eps


def decode(z):
    return np.tanh(z @ Wd) @ Wo    # logits


def loss(x, eps):
    mu, logvar = encode(x)
    logits = decode(sample_z(mu, logvar, eps))
    nll = np.sum(np.logaddexp(0, logits) - x * logits, axis=1)
    kl = 0.5 * np.mean(np.exp(logvar) + mu**2 - 1 - logvar, axis=1)
    return np.mean(nll + kl)


x = nv.datasets.strokes(50, seed=0)[0].reshape(50, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(50, D) / 255
nv.examine(x=x, encode=encode, sample_z=sample_z, decode=decode, loss=loss, rng=np.random.default_rng(0))

# %% [markdown]
# The check named "reduction" says what is wrong and what to write. Put `np.sum` in the place of `np.mean` in the line
# of `kl`, run the two cells again, and every check that could be made passes. The docstring says what else can be handed
# over: `help(nv.examine)`. [Lesson 13](13_debug_your_vae.ipynb) has the way from a symptom to a cause.
