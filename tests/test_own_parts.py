"""What a user's own parts hold besides their weights: it is copied, saved and compared, or refused in one sentence."""
import copy
import datetime
import enum
import functools
import pathlib
import pickle
from typing import NamedTuple

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.arguments import plain
from numpyvae.models.likelihoods import Gaussian
from numpyvae.models.posteriors import DiagonalGaussian
from numpyvae.models.priors import StandardNormal
from test_parts import Scale, trained


class Residual:
    """y = x + inner(x): a layer around one of ours, whose weights are its own."""

    def __init__(self, inner):
        self.inner, self.n_in = inner, inner.n_in
        self.params, self.grads = inner.params, inner.grads

    def forward(self, x):
        self.y = x + self.inner.forward(x)
        return self.y

    def backward(self, dy, need_dx=True):
        return dy + self.inner.backward(dy)


def vae_with(layer, rng):
    return nv.VAE(nv.Sequential([nv.Dense(6, 5, rng=rng), layer]), DiagonalGaussian(5, 2, rng=rng),
                  nv.Sequential([nv.Dense(2, 6, rng=rng)]), Gaussian(0.5))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda vae: pickle.loads(pickle.dumps(vae)),
                                    lambda vae: vae.astype(np.float32)])
def test_a_layer_around_one_of_ours_trains_in_a_copy_too(copied, rng):
    vae, images = vae_with(Residual(nv.Dense(5, 5, "tanh", rng=rng)), rng), rng.random((8, 6), np.float32)
    again = copied(vae)
    before = again.parameters["encoder.1.W"].copy()
    np.testing.assert_array_equal(trained(again, images), trained(vae, images))
    assert (again.parameters["encoder.1.W"] != before).all()
    assert nv.examine(vae, x=images, rng=rng)["gradients"].verdict == "ok"


class Statistics:
    """Divides by the average of what it has seen: a number that changes and is not a weight."""

    def __init__(self, n_in):
        self.n_in, self.mean_size, self.params, self.grads = n_in, np.ones(n_in), {}, {}

    def forward(self, x):
        self.mean_size = 0.9 * self.mean_size + 0.1 * np.abs(x).mean(axis=0)
        return (x / self.mean_size).astype(x.dtype)

    def backward(self, dy, need_dx=True):
        return (dy / self.mean_size).astype(dy.dtype)


class RandomFeatures:
    """A fixed matrix that nobody trains, and that no file holds."""

    def __init__(self, n_in, *, rng):
        self.n_in, self.matrix, self.params, self.grads = n_in, rng.standard_normal((n_in, n_in), np.float32), {}, {}

    def forward(self, x):
        return x @ self.matrix

    def backward(self, dy, need_dx=True):
        return dy @ self.matrix.T


class Hidden:
    """Holds a layer of ours whose weights it does not show."""

    def __init__(self, n_in, *, rng):
        self.n_in, self.inner, self.params, self.grads = n_in, nv.Dense(n_in, n_in, rng=rng), {}, {}

    def forward(self, x):
        return self.inner.forward(x)

    def backward(self, dy, need_dx=True):
        return self.inner.backward(dy)


class Plain:
    """Passes on what it is given."""

    def __init__(self, n_in):
        self.n_in, self.params, self.grads = n_in, {}, {}

    def forward(self, x):
        return x

    def backward(self, dy, need_dx=True):
        return dy


class Unlike(Plain):
    """Hides a random number where it is easy to miss: in a dict, in a list, of NumPy's own type."""

    def __init__(self, n_in):
        super().__init__(n_in)
        self.drawn = {"scales": [np.float32(np.random.default_rng().random())]}


class Raising(Plain):
    """Cannot be made a second time."""

    made: list[int] = []

    def __init__(self, n_in):
        super().__init__(n_in)
        if self.made:
            raise KeyError("again\nand again")
        self.made.append(1)


class Harmless(Plain):
    """Holds values that change but matter to nobody, and NaNs."""

    not_copied = ("calls",)

    def __init__(self, n_in):
        super().__init__(n_in)
        self.calls, self.last, self.x = 0, float("nan"), None
        self.table = np.linspace(0, 1, n_in, dtype=np.float32)

    def forward(self, x):
        self.calls, self.x = self.calls + 1, x
        return x


class Among(Plain):
    """Takes anything, to see what can be written."""

    def __init__(self, given):
        self.given, self.params, self.grads = given, {}, {}


class Uneven(Plain):
    """Starts with the same number twice, one of which changes."""

    def __init__(self, n_in):
        super().__init__(n_in)
        self.counts = [5, 5]

    def forward(self, x):
        self.counts[1] += 1
        return x


@pytest.mark.parametrize("layer, words", [
    (Statistics, "Statistics cannot be saved: its mean_size is .*expected it in params.* not_copied"),
    (lambda n: RandomFeatures(n, rng=np.random.default_rng(1)), "RandomFeatures cannot be saved: its matrix is"),
    (Unlike, "Unlike cannot be saved: its drawn is"),
    (Uneven, "Uneven cannot be saved: its counts is"),
    (Raising, "Raising cannot be saved: .*rebuilding it raised KeyError..again"),
    (lambda n: Hidden(n, rng=np.random.default_rng(1)), "Hidden cannot be saved: rebuilding it .*more weights"),
    *[(functools.partial(lambda value, n: Among(value), value), "Among cannot be saved: its given is .*; expected numb")
      for value in (pathlib.Path("x"), np.dtype("f4"), np.zeros(3), datetime.date(2026, 1, 1), print,
                    np.random.default_rng(0), enum.Enum("Colour", "red").red)],
])
def test_what_a_file_cannot_hold_is_refused_when_it_is_saved(layer, words, rng, tmp_path):
    vae = vae_with(layer(5), rng)
    vae.encoder.layers[1].forward(rng.random((4, 5), np.float32))
    with pytest.raises(ValueError, match=words) as refused:
        vae.save(tmp_path / "model.npz")
    assert "\n" not in str(refused.value) and not (tmp_path / "model.npz").exists()


def test_a_part_that_holds_itself_is_refused(rng, tmp_path):
    layer = Among(None)
    layer.given = layer
    with pytest.raises(ValueError, match="a part of it contains itself"):
        vae_with(layer, rng).save(tmp_path / "model.npz")


@pytest.mark.parametrize("given", [(1, 2), [1, 2], [(1,), []], ((1, (2.5, "x")),), np.int64(3),
                                   [np.float32(0.5)], True])
def test_what_a_constructor_was_given_comes_back_as_it_was(given, rng, tmp_path):
    vae_with(Among(given), rng).save(tmp_path / "model.npz")
    again = nv.load(tmp_path / "model.npz", parts=[Among]).encoder.layers[1].given
    assert again == given and type(again) is type(plain(given))


def test_a_complex_model_is_refused_when_it_is_saved(rng, tmp_path):
    with pytest.raises(ValueError, match="dtype is complex128; expected float32 or float64: save vae.astype"):
        nv.VAE.dense(4, (3,), 2, rng=rng).astype(complex).save(tmp_path / "model.npz")


def test_a_subclass_makes_models_of_its_own_class_and_comes_back(rng, tmp_path):
    class Louder(nv.VAE):
        """Somebody's VAE."""
    for vae in (Louder.dense(4, (3,), 2, rng=rng), Louder.conv((4, 4, 1), (2,), 3, 2, rng=rng)):
        assert type(vae) is Louder
        vae.save(tmp_path / "model.npz")
        assert type(nv.load(tmp_path / "model.npz", parts=[Louder])) is Louder


def test_one_layer_in_two_places_is_refused_also_without_weights(rng):
    once = Among(0)
    with pytest.raises(ValueError, match="encoder.2 is the same layer as encoder.1"):
        nv.VAE(nv.Sequential([nv.Dense(6, 5, rng=rng), once, once]), DiagonalGaussian(5, 2, rng=rng),
               nv.Sequential([nv.Dense(2, 6, rng=rng)]), Gaussian(0.5))


def test_a_hidden_layer_is_refused_also_where_another_part_leaves_room_for_its_weights(rng, tmp_path):
    encoder = nv.Sequential([nv.Dense(6, 5, rng=rng), Hidden(5, rng=np.random.default_rng(1))])
    decoder = nv.Sequential([*[Scale(2) for _ in range(20)], nv.Dense(2, 6, rng=rng)])
    vae = nv.VAE(encoder, DiagonalGaussian(5, 2, rng=rng), decoder, Gaussian(0.5))
    with pytest.raises(ValueError, match="Hidden cannot be saved: its inner is"):
        vae.save(tmp_path / "model.npz")


def test_what_changes_without_a_loss_is_no_reason_to_refuse(rng, tmp_path):
    vae = vae_with(Harmless(5), rng)
    vae.encode(rng.random((3, 6)))
    for model in (vae, vae.astype(np.float64)):
        model.save(tmp_path / "model.npz")
        assert nv.load(tmp_path / "model.npz", parts=[Harmless]).dtype == model.dtype


def test_two_classes_of_one_name_are_refused(rng, tmp_path):
    other = type("Plain", (Plain,), {})
    vae = nv.VAE(nv.Sequential([nv.Dense(6, 5, rng=rng), Plain(5), other(5)]), DiagonalGaussian(5, 2, rng=rng),
                 nv.Sequential([nv.Dense(2, 6, rng=rng)]), Gaussian(0.5))
    with pytest.raises(ValueError, match="two different classes are called Plain; expected distinct"):
        vae.save(tmp_path / "model.npz")


def test_a_model_of_more_parts_than_load_makes_is_refused_when_it_is_saved(rng, tmp_path):
    with pytest.raises(ValueError, match="VAE cannot be saved: it has 5,0.. parts and numbers.*expected at most 5,000"):
        nv.VAE.dense(6, (2,) * 500, 2, rng=rng).save(tmp_path / "model.npz")
    nv.VAE.dense(6, (2,) * 400, 2, rng=rng).save(tmp_path / "model.npz")
    nv.load(tmp_path / "model.npz")


class NamedPrior(NamedTuple):
    """A prior that is a tuple, too."""

    n_latent: int

    def sample(self, n, rng, dtype):
        return rng.standard_normal((n, self.n_latent)).astype(dtype)

    def log_density(self, z):
        return StandardNormal(self.n_latent).log_density(z)

    def log_density_backward(self, dlog, z):
        return StandardNormal(self.n_latent).log_density_backward(dlog, z)


def test_a_part_that_is_a_named_tuple_comes_back_as_one(rng, tmp_path):
    vae = nv.VAE(nv.Sequential([nv.Dense(6, 5, rng=rng)]), DiagonalGaussian(5, 2, rng=rng),
                 nv.Sequential([nv.Dense(2, 6, rng=rng)]), Gaussian(0.5), prior=NamedPrior(2))
    vae.save(tmp_path / "model.npz")
    assert type(nv.load(tmp_path / "model.npz", parts=[NamedPrior]).prior) is NamedPrior


class Block(Plain):
    """Two layers of ours in one, with their weights in a dict of its own: training would not reach them."""

    def __init__(self, n_in, *, rng):
        super().__init__(n_in)
        self.inner = [nv.Dense(n_in, n_in, rng=rng) for _ in range(2)]
        self.params = {f"{i}.{name}": weight
                       for i, one in enumerate(self.inner) for name, weight in one.params.items()}
        self.grads = {f"{i}.{name}": grad for i, one in enumerate(self.inner) for name, grad in one.grads.items()}


class Alias(Plain):
    """Keeps its weights under a second name."""

    def __init__(self, n_in):
        super().__init__(n_in)
        self.g = np.ones(n_in, np.float32)
        self.params, self.grads = {"g": self.g}, {"g": np.zeros(n_in, np.float32)}


@pytest.mark.parametrize("layer, name", [(lambda n: Block(n, rng=np.random.default_rng(0)), "inner"), (Alias, "g")])
def test_weights_that_training_would_not_reach_are_refused(layer, name, rng):
    with pytest.raises(ValueError, match=f"encoder.1 keeps weights in {name}, outside params, where training does not"):
        vae_with(layer(5), rng)
