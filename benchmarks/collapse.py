"""Posterior collapse, on purpose, and the linear VAE against its closed form.

    python -m benchmarks.collapse

Five seeds: the first section takes two minutes, the second most of an hour.  What is done is kept in runs/collapse;
the same command goes on from there.
"""
from __future__ import annotations

import functools

import numpy as np

import numpyvae as nv
from numpyvae import exact

from .results import SEEDS, once, table, with_spread, write_section

SPREAD = 0.25


def train_without_noise(vae: nv.VAE, x: np.ndarray, steps: int = 20_000, lr: float = 0.1) -> None:
    """Adam on full batches in float64, the learning rate falling a thousandfold; eps are the points of exact.cubature,
    at which a linear VAE's sampled loss is the expected one.

    The weights soon find the subspace; most steps are spent on the axes in it, on which the loss hardly depends.
    [Lucas et al. 2019; Bao et al. 2020]
    """
    points = exact.cubature(vae.n_latent)
    rows, eps = np.repeat(x, len(points), axis=0), np.tile(points, (len(x), 1))
    adam = nv.Adam(lr)
    for step in range(steps):
        adam.lr = lr * 1e-3 ** (step / steps)
        vae.loss_and_grad(rows, eps)
        adam.step(vae.parameters)


# The decoder's sigma, and the loss that can be reached with it.
SIGMAS = {"of each component": (SPREAD, exact.mixture_entropy([-1, 1], SPREAD)),
          "of the mixture": ((1 + SPREAD**2) ** 0.5, exact.gaussian_entropy(1 + SPREAD**2))}


def one_of_two_gaussians(sigma: float, seed: int) -> list[float]:
    """Loss, KL and -log p(x) of test data, in nats; the seed is that of data, weights, batches and noise."""
    rng = np.random.default_rng(seed)
    x, _ = nv.datasets.two_gaussians(4000, SPREAD, rng=rng)
    test, _ = nv.datasets.two_gaussians(4000, SPREAD, rng=rng)
    vae = nv.VAE.dense(1, (32,), 1, "gaussian", "tanh", sigma=sigma, rng=rng, dtype=np.float64)
    for _ in nv.fit(vae, x, optimizer=nv.Adam(1e-2), lr_end=1e-4, epochs=200, batch_size=100, rng=rng):
        pass
    terms = np.mean([vae.loss_terms(test, *vae.noise(len(test), rng)) for _ in range(20)], axis=0)
    return [terms[0], terms[2], -exact.log_likelihood(vae, test).mean()]


def two_gaussians() -> str:
    """The pair: one VAE collapses and the other does not."""
    rows = []
    for what, (sigma, best) in SIGMAS.items():
        runs = [once(f"collapse/two gaussians, sigma {what}, seed {seed}",
                     functools.partial(one_of_two_gaussians, sigma, seed)) for seed in SEEDS]
        rows.append([f"{sigma:.3f}, {what}", f"{best:.3f}", *(with_spread(values, ".3f") for values in zip(*runs))])
    return table(["sigma of the decoder", "attainable optimum: the entropy", "loss (-ELBO)", "KL", "-log p(x)"], rows)


def data_sets() -> dict[str, np.ndarray]:
    """Gaussian data, and digits shrunk to 7 x 7, only the pixels that vary."""
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((10, 10)) * np.linspace(1.5, 0.2, 10)[:, None]
    digits, _ = nv.datasets.strokes(1000, seed=1)
    small = digits.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(1000, 49) / 255
    return {"10 correlated Gaussians": rng.standard_normal((1000, 10)) @ mixing,
            "strokes, 7 x 7 pixels": small[:, small.std(axis=0) > 0.01]}


def linear_vae(name: str, seed: int) -> list[float]:
    """The trained ELBO, how far the analytic encoder's is from the optimum, and the largest angle between the subspaces
    in degrees."""
    x = data_sets()[name]
    solution = exact.probabilistic_pca(x, 4)
    vae = nv.VAE.dense(x.shape[1], (), 4, "gaussian", sigma=solution.sigma, rng=np.random.default_rng(seed),
                       dtype=np.float64)
    analytic = vae.astype(np.float64)
    exact.solve_linear_vae(analytic, x)
    train_without_noise(vae, x)
    angle = np.degrees(exact.principal_angles(vae.parameters["decoder.0.W"], solution.W)[-1])
    return [-exact.linear_loss(vae, x), abs(solution.optimum + exact.linear_loss(analytic, x)), float(angle)]


def linear_vaes() -> str:
    """A linear VAE with Z = 4, trained to the optimum of probabilistic PCA."""
    rows = []
    for name, x in data_sets().items():
        optimum = exact.probabilistic_pca(x, 4).optimum
        elbos, analytic, angles = zip(*(once(f"collapse/linear, {name}, seed {seed}",
                                             functools.partial(linear_vae, name, seed)) for seed in SEEDS))
        rows.append([name, x.shape[1], f"{optimum:.5f}", with_spread(elbos, ".5f"), f"{optimum - min(elbos):.1e}",
                     f"{max(analytic):.1e}", f"{max(angles):.2f}°"])
    return table(["data", "D", "optimum, closed form", "ELBO, trained", "largest gap",
                  "largest gap of the analytic encoder", "largest angle between the subspaces"], rows)


def kl_of_dimensions(beta: float, seed: int) -> list[float]:
    """The KL of each of eight dimensions of the trained linear VAE, in descending order."""
    x = data_sets()["10 correlated Gaussians"]
    vae = nv.VAE.dense(10, (), 8, "gaussian", sigma=0.7, beta=beta, rng=np.random.default_rng(seed), dtype=np.float64)
    train_without_noise(vae, x)
    return np.sort(nv.evaluation.kl_per_dimension(*vae.encode(x)))[::-1].tolist()


def deaths() -> str:
    """Which dimensions die in the linear model: predicted where the eigenvalue is at most beta sigma^2."""
    eigenvalues = exact.probabilistic_pca(data_sets()["10 correlated Gaussians"], 8).eigenvalues
    rows = []
    for beta in (0.25, 1.0, 4.0, 16.0):
        kl = np.array([once(f"collapse/deaths, beta {beta:g}, seed {seed}",
                            functools.partial(kl_of_dimensions, beta, seed)) for seed in SEEDS])
        predicted = 0.5 * np.log(np.maximum(eigenvalues[:8] / (beta * 0.49), 1))
        alive = sorted(set(np.sum(kl > 0.01, axis=1).tolist()))
        rows.append([f"{beta:g}", f"{beta * 0.49:.3f}", int(np.sum(eigenvalues[:8] > beta * 0.49)),
                     " or ".join(map(str, alive)), " ".join(f"{value:.2f}" for value in predicted),
                     " ".join(f"{value:.2f}" for value in kl.mean(axis=0)), f"{kl.std(axis=0, ddof=1).max():.0e}"])
    spectrum = " ".join(f"{value:.2f}" for value in eigenvalues)
    return f"Eigenvalues of the data: {spectrum}.\n\n" + table(
        ["beta", "beta sigma²", "alive, predicted", "alive, trained", "KL of each dimension, predicted",
         "trained, mean", "largest sd"], rows)


def main() -> None:
    write_section("Posterior collapse", "python -m benchmarks.collapse", f"""
Two Gaussians: x from N(-1, {SPREAD}²) or N(1, {SPREAD}²); one number in, one latent dimension, 32 tanh units.
The same network twice; only the sigma of the decoder differs.  Nats; mean ± sample standard deviation over
{len(SEEDS)} seeds of data, weights and noise.

{two_gaussians()}

With the mixture's sigma the code is not worth its cost: the KL is near 0, and the loss is the entropy of one Gaussian.
With the components' sigma the code says which component x is from; the gap between the ELBO and the entropy is then the
price of a Gaussian q, as -log p(x), by quadrature over z, shows.
""")
    write_section("The linear VAE, in closed form", "python -m benchmarks.collapse", f"""
P5, the linear VAE, sigma² the mean discarded eigenvalue; the expected loss, exactly, in nats per row.  {len(SEEDS)}
seeds of the first weights; training is without noise.

{linear_vaes()}

A dimension of the linear VAE dies where its eigenvalue is at most beta sigma² (sigma = 0.7, Z = 8); its KL is
1/2 log(eigenvalue / (beta sigma²)) while it lives.

{deaths()}
""")


if __name__ == "__main__":
    main()
