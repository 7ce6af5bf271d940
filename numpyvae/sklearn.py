"""A VAE as an estimator of scikit-learn: for pipelines, grid searches and tables of measurements.

    from numpyvae.sklearn import VAE
    codes = make_pipeline(StandardScaler(), VAE(n_latent=2, random_state=0)).fit_transform(X)

`import numpyvae` leaves this module alone, as scikit-learn is an extra: pip install 'numpyvae[sklearn]'.
"""
from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from .arguments import SEED, WHOLE, pip_line, plain

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, DensityMixin, TransformerMixin
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("numpyvae.sklearn needs scikit-learn 1.6 or newer, which is not installed; "
                      f"{pip_line('sklearn')}") from error

from .models.vae import VAE as Model
from .training.fit import LARGE, fit
from .training.optimizers import Adam

Array = np.ndarray
FLOATS = (np.float64, np.float32)    # are kept; anything else becomes the first
DRAWS = 32             # of eps for a score, at least; each comes with its negative
ROWS_AT_ONCE = 1000    # that are scored together: a few megabytes


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
    """A VAE of dense layers: a transformer, whose features are the means of q(z|x), and a density.

    Columns should be of one scale, as StandardScaler makes them; `fit` warns of numbers beyond 100.  It trains in
    float32.  What comes after is computed from the same weights in float64, so that what is said of a row does not
    depend on the rows beside it.  Labels, y, are taken for the sake of pipelines and not looked at.

    n_latent, hidden, likelihood, sigma, activation, beta, init : as in numpyvae.VAE.dense.  With the default
                   likelihood, a Gaussian, sigma is the standard deviation of what the code leaves unexplained in a
                   column; "gaussian-shared" learns it.  The default activation, tanh, is bounded, so that columns that
                   nobody standardised make no first step overflow
    epochs, batch_size : as in numpyvae.fit; a batch holds no more rows than there are
    lr           : Adam's learning rate
    random_state : int, RandomState or None for NumPy's global one.  With an int, `fit` learns the same bits as

                       rng = np.random.default_rng(random_state)
                       vae = nv.VAE.dense(X.shape[1], ..., rng=rng)
                       list(nv.fit(vae, X.astype(np.float32), optimizer=nv.Adam(lr), ..., rng=rng))

    After `fit`:

    vae_     : the model, a numpyvae.VAE, with all that the package can do with it: `vae_.save("model.npz")`
    records_ : a numpyvae.Record for each epoch
    n_features_in_, feature_names_in_ : of X

    `score_samples` is the ELBO of each row in nats, a lower bound on log p(x), and `score` its mean over the rows:

        ELBO = E_q[ log p(x|z) ] - KL( q(z|x) || p(z) ),

    the KL in closed form, the expectation as a mean over draws of eps, z = mu + sigma eps.  They are drawn once, in
    `fit`, from random_state, and are the same for all rows: a score repeats, depends on no other row, and compares rows
    and models by the same noise.  There are 32 or, if that is more, twice as many as latent dimensions, made orthogonal
    so that their second moments are those of N(0, I), and the negative of each: what is linear or quadratic in eps, as
    log p(x|z) of a linear Gaussian decoder is, comes out exactly.  The KL counts in full whatever beta is, so that a
    search may compare betas, and sigmas too, as p(x|z) is a density.
    """

    def __init__(self, n_latent: int = 20, *, hidden: Sequence[int] = (400,), likelihood: str = "gaussian",
                 sigma: float = 1.0, activation: str = "tanh", beta: float = 1.0, init: str = "fan-in",
                 epochs: int = 100, batch_size: int = 128, lr: float = 1e-3, random_state: Any = None):
        self.n_latent, self.hidden, self.likelihood, self.sigma = n_latent, hidden, likelihood, sigma
        self.activation, self.beta, self.init = activation, beta, init
        self.epochs, self.batch_size, self.lr, self.random_state = epochs, batch_size, lr, random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows X (N, D); y is ignored.

        Raises TypeError or ValueError that names the argument that does not fit, and FloatingPointError where the loss
        stops being finite.
        """
        x = validate_data(self, X, dtype=np.float32)
        if (reach := np.abs(x).max()) > LARGE:
            warnings.warn(f"X reaches {reach:.4g}, where little can be learned; expected columns of one scale: put "
                          "StandardScaler() before the VAE in a pipeline", stacklevel=2)
        batch_size = min(WHOLE.check("VAE", "batch_size", self.batch_size), len(x))
        seed = _seed(self.random_state)
        rng = np.random.default_rng(seed)
        vae = Model.dense(x.shape[1], self.hidden, self.n_latent, self.likelihood, self.activation, self.beta,
                          self.init, self.sigma, rng=rng)
        records = list(fit(vae, x, optimizer=Adam(self.lr), epochs=self.epochs, batch_size=batch_size, rng=rng))
        # All at once: after a fit that failed, the last one that did not still answers.
        self.vae_, self.records_, self._eps = vae, records, _draws(np.random.default_rng([seed, 1]), vae.n_latent)
        return self

    def transform(self, X: Any) -> Array:
        """The mean of q(z|x) for each row: (N, D) -> (N, n_latent)."""
        x = self._rows(X)
        return self._in_float64().encode(x)[0].astype(x.dtype)

    def inverse_transform(self, X: Any) -> Array:
        """E[x|z] for each code: (N, n_latent) -> (N, D)."""
        check_is_fitted(self, "vae_")
        z = check_array(X, dtype=FLOATS, input_name="X")
        return self._in_float64().decode(z).astype(z.dtype)

    def score_samples(self, X: Any) -> Array:
        """The ELBO of each row, in nats: (N, D) -> (N,)."""
        x, vae = self._rows(X), self._in_float64()
        elbo = [_elbo(vae, x[start:start + ROWS_AT_ONCE], self._eps) for start in range(0, len(x), ROWS_AT_ONCE)]
        return np.concatenate(elbo)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean ELBO of the rows, in nats; y is ignored."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Array:
        """Draws from p(x): z from the prior, then x from p(x|z), noise and all.  (n_samples, D)"""
        check_is_fitted(self, "vae_")
        n_samples = WHOLE.check("VAE.sample", "n_samples", n_samples)
        return self.vae_.sample(n_samples, np.random.default_rng(_seed(random_state)), pixel_noise=True)

    def _rows(self, X: Any) -> Array:
        check_is_fitted(self, "vae_")
        return validate_data(self, X, dtype=FLOATS, reset=False)

    def _in_float64(self) -> Model:
        return self.vae_.astype(np.float64)

    @property
    def _n_features_out(self) -> int:
        """How many names get_feature_names_out makes."""
        return self.vae_.n_latent

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _draws(rng: np.random.Generator, n_latent: int) -> Array:
    """eps (2K, Z), in pairs of opposite sign, with the mean 0 and the second moments I exactly."""
    n = max(DRAWS, 2 * n_latent)
    eps = np.sqrt(n) * np.linalg.qr(rng.standard_normal((n, n_latent)))[0]
    return np.concatenate([eps, -eps])


def _elbo(vae: Model, x: Array, draws: Array) -> Array:
    """The ELBO of each row, from the same draws (K, Z) of eps for all."""
    x = vae.check_data(x)
    q = vae.infer(x)
    nll = np.zeros(len(x))
    for eps in draws:
        z = vae.posterior.reparameterize(q, np.tile(eps, (len(x), 1)))
        nll += vae.likelihood.nll(vae.generate(z), x)
    return -nll / len(draws) - vae.posterior.kl(q, vae.prior)


def _seed(random_state: Any) -> int:
    """Of a Generator: an int itself, and a draw from anything else that scikit-learn takes."""
    random_state = plain(random_state)
    if isinstance(random_state, int):
        return SEED.check("VAE", "random_state", random_state)
    return int(check_random_state(random_state).randint(2**31))
