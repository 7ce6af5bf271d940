"""What the page "Watch it learn" runs in the browser: the package as it is, on 2,000 drawn digits."""
import numpy as np

import numpyvae as nv
from numpyvae.report import plots

images = nv.datasets.load_strokes("train")[0][:2000]
test, factors = nv.datasets.load_strokes("test")
test, labels = test[:500], factors["label"][:500]
axis = np.linspace(-2, 2, 9)
codes = np.array([[across, up] for up in axis[::-1] for across in axis])    # of a square of pictures, row by row
palette = plots.CLASSES


def begin():
    """A model that has learned nothing yet."""
    global vae, adam, rng
    rng = np.random.default_rng()    # another one each time
    vae = nv.VAE.dense(images[0].size, (64,), 2, rng=rng)
    adam = nv.Adam(lr=3e-3)


def train(beta):
    """One epoch with this weight of the KL: loss, reconstruction, KL, in nats per image."""
    vae.beta = beta
    (record,) = nv.fit(vae, images, optimizer=adam, epochs=1, batch_size=50, rng=rng)
    return record.loss, record.nll, record.kl


def look():
    """The codes of the test images, (500, 2), and the pictures that the decoder makes of `codes`, (81, 784)."""
    return vae.encode(test)[0].ravel(), vae.decode(codes).ravel()
