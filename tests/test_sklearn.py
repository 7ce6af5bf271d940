"""numpyvae.sklearn.VAE among the tools of scikit-learn, by its own checks and as its users combine them."""
import importlib.util
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.exact import solve_linear_vae

HAS_SKLEARN = importlib.util.find_spec("sklearn") is not None
SMALL = {"n_latent": 2, "hidden": (16,), "epochs": 20, "batch_size": 32, "random_state": 0}


def estimator(**settings):
    from numpyvae.sklearn import VAE    # without scikit-learn the tests marked oracle fail
    return VAE(**{**SMALL, **settings})


@pytest.fixture
def table(rng):
    """Three columns of unlike scale that two numbers explain, (150, 3), but for a little noise."""
    z = rng.standard_normal((150, 2))
    return (z @ [[3.0, 0, 40], [0, 0.5, 40]] + 0.01 * rng.standard_normal((150, 3)) + [50, 0, -7])


@pytest.fixture
def scaled(table):
    return (table - table.mean(axis=0)) / table.std(axis=0)


def checks():
    """scikit-learn's own, of an estimator as it comes; one that fails where there is no scikit-learn."""
    if not HAS_SKLEARN:
        return pytest.mark.parametrize("estimator, check", [(None, estimator)])
    from sklearn.utils.estimator_checks import parametrize_with_checks

    from numpyvae.sklearn import VAE
    return parametrize_with_checks([VAE(epochs=20)])


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:X reaches 10")    # some checks put their columns at 100
@checks()
def test_scikit_learn_finds_nothing_to_object_to(estimator, check):
    check(estimator)


def python(code, **environment):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_without_scikit_learn_one_line_says_what_to_install():
    code = ("import sys; sys.modules['sklearn'] = None\nimport numpyvae\n"
            "try:\n    import numpyvae.sklearn\nexcept ImportError as error:\n    print(error)")
    assert python(code).stdout == ("numpyvae.sklearn needs scikit-learn 1.6 or newer, which is not installed; "
                                   "pip install 'numpyvae[sklearn]'\n")


def test_the_package_does_not_import_scikit_learn():
    assert python("import sys, numpyvae.cli; print([m for m in sys.modules if 'sklearn' in m])").stdout == "[]\n"


@pytest.mark.oracle
@pytest.mark.parametrize("seed", [0, 7, np.int64(7)])
def test_the_same_seed_learns_the_same_bits_as_fit(seed, scaled):
    vae = estimator(random_state=seed, beta=0.5, sigma=0.3).fit(scaled)
    rng = np.random.default_rng(seed)
    peer = nv.VAE.dense(3, (16,), 2, "gaussian", "tanh", beta=0.5, sigma=0.3, rng=rng)
    records = list(nv.fit(peer, scaled.astype(np.float32), optimizer=nv.Adam(1e-3), epochs=20, batch_size=32, rng=rng))
    assert vae.vae_.parameters.values.tobytes() == peer.parameters.values.tobytes()
    assert [record.loss for record in vae.records_] == [record.loss for record in records]


@pytest.mark.oracle
def test_random_state_may_be_anything_that_scikit_learn_takes(scaled):
    def weights(state):
        return estimator(random_state=state, epochs=1).fit(scaled).vae_.parameters.values.tobytes()
    assert weights(np.random.RandomState(3)) == weights(np.random.RandomState(3)) != weights(np.random.RandomState(4))
    np.random.seed(5)
    first, second = weights(None), weights(None)
    np.random.seed(5)
    assert first == weights(None) != second


@pytest.mark.oracle
def test_a_grid_search_over_a_pipeline_in_two_processes(table):
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    pipeline = make_pipeline(StandardScaler(), estimator(epochs=60, lr=1e-2))
    grid = {"vae__sigma": [0.3, 3.0], "vae__n_latent": [1, 2]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(table)
    alone = GridSearchCV(pipeline, grid, cv=2).fit(table)
    assert search.best_params_ == {"vae__n_latent": 2, "vae__sigma": 0.3}    # two numbers explain all but a little
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert search.transform(table).shape == (150, 2)
    again = search.inverse_transform(search.transform(table))
    assert (np.abs(again - table).mean(axis=0) < 0.25 * table.std(axis=0)).all()


@pytest.mark.oracle
def test_the_score_is_the_elbo_by_an_independent_way(scaled):
    """log p(x|z) from its definition with many draws, the KL from its formula."""
    vae = estimator(sigma=0.5, beta=3.0).fit(scaled)
    mu, logvar = vae.vae_.encode(scaled)
    kl = 0.5 * (mu**2 + np.exp(logvar) - logvar - 1).sum(axis=1)
    rng, n = np.random.default_rng(1), 2000
    draws = np.zeros((n, len(scaled)))
    for k in range(n):
        x_mean = vae.vae_.decode(mu + np.exp(0.5 * logvar) * rng.standard_normal(mu.shape))
        draws[k] = -0.5 * (((scaled - x_mean) / 0.5)**2 + np.log(2 * np.pi * 0.25)).sum(axis=1)
    errors = (vae.score_samples(scaled) - (draws.mean(axis=0) - kl)) / draws.std(axis=0)
    assert np.abs(errors).max() < 0.1    # in standard deviations of one draw: 64 of them would be off by 0.12 each
    assert vae.score(scaled) == pytest.approx(vae.score_samples(scaled).mean(), rel=1e-12)


@pytest.mark.oracle
def test_the_best_linear_vae_scores_log_p_of_x(rng):
    """There q(z|x) is the posterior, so that the ELBO of every row is log p(x), which has a closed form; in eps it is
    quadratic, so that few draws are enough."""
    x = rng.standard_normal((400, 2)) @ rng.standard_normal((2, 5)) + 0.3 * rng.standard_normal((400, 5))
    vae = estimator(hidden=(), sigma=0.3, epochs=1).fit(x)
    log_p = solve_linear_vae(vae.vae_, x).log_likelihood(x)
    np.testing.assert_allclose(vae.score_samples(x), log_p, rtol=1e-4)    # the weights are float32


@pytest.mark.oracle
def test_a_score_depends_on_random_state_and_on_no_other_row(scaled):
    vae = estimator().fit(scaled)
    scores = vae.score_samples(scaled)
    assert scores.shape == (150,) and scores.tobytes() == vae.score_samples(scaled).tobytes()
    np.testing.assert_allclose(vae.score_samples(scaled[40:41]), scores[40:41], rtol=1e-9)
    many = np.tile(scaled, (8, 1))    # more than are scored at once
    np.testing.assert_allclose(vae.score_samples(many), np.tile(scores, 8), rtol=1e-9)


@pytest.mark.oracle
def test_samples_are_draws_from_p_of_x_noise_and_all(scaled):
    vae = estimator(sigma=0.5, epochs=50).fit(scaled)
    drawn = vae.sample(4000, random_state=1)
    assert drawn.shape == (4000, 3) and vae.sample().shape == (1, 3)
    assert drawn.tobytes() == vae.sample(4000, random_state=1).tobytes() != vae.sample(4000, random_state=2).tobytes()
    means = vae.vae_.sample(4000, np.random.default_rng(1))
    np.testing.assert_allclose(drawn.var(axis=0) - means.var(axis=0), 0.25, atol=0.1)


@pytest.mark.oracle
def test_names_of_features_frames_and_what_fit_remembers(scaled):
    import pandas
    frame = pandas.DataFrame(scaled, columns=["a", "b", "c"])
    vae = estimator().set_output(transform="pandas").fit(frame)
    codes = vae.transform(frame)
    assert list(codes.columns) == list(vae.get_feature_names_out()) == ["vae0", "vae1"] and len(codes) == 150
    assert list(vae.feature_names_in_) == ["a", "b", "c"] and vae.n_features_in_ == 3 and len(vae.records_) == 20
    with pytest.raises(ValueError, match="feature names should match"):
        vae.transform(frame[["c", "b", "a"]])


@pytest.mark.oracle
def test_a_clone_a_pickle_and_a_map_of_joblib_s(scaled, tmp_path):
    import joblib
    from sklearn.base import clone
    vae = estimator(sigma=0.5).fit(scaled)
    joblib.dump(vae, tmp_path / "vae.joblib")
    for again in (pickle.loads(pickle.dumps(vae)), joblib.load(tmp_path / "vae.joblib", mmap_mode="r")):
        assert again.score_samples(scaled).tobytes() == vae.score_samples(scaled).tobytes()
        assert again.transform(scaled).tobytes() == vae.transform(scaled).tobytes()
    fresh = clone(vae)
    assert fresh.get_params() == vae.get_params() and not hasattr(fresh, "vae_")
    assert fresh.fit(scaled).score(scaled) == vae.score(scaled)
    vae.vae_.save(tmp_path / "model.npz")
    assert json.dumps(nv.load(tmp_path / "model.npz").parameters.values.tolist()) == json.dumps(
        vae.vae_.parameters.values.tolist())


@pytest.mark.oracle
def test_columns_that_nobody_standardised_are_warned_of(table):
    with pytest.warns(UserWarning, match=r"X reaches 1\d\d.*, where little can be learned; expected .*StandardScaler"):
        estimator(epochs=1).fit(table)


@pytest.mark.oracle
@pytest.mark.parametrize("settings, words", [
    ({"n_latent": 0}, "n_latent is 0; expected a whole number"), ({"hidden": 400}, "hidden is 400; expected a tuple"),
    ({"likelihood": "gausian"}, "did you mean 'gaussian'?"), ({"batch_size": "all"}, "batch_size is 'all'; expected"),
    ({"epochs": 2.5}, "epochs is 2.5; expected"), ({"lr": -1}, "lr is -1; expected"),
    ({"likelihood": "bernoulli"}, "expected [0, 1] for a bernoulli decoder"),
    ({"random_state": -1}, "random_state is -1; expected"), ({"random_state": "x"}, "cannot be used to seed")])
def test_a_wrong_setting_is_named(settings, words, scaled):
    with pytest.raises(ValueError) as error:
        estimator(**settings).fit(scaled)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.oracle
def test_a_fit_that_fails_changes_nothing(scaled):
    from sklearn.exceptions import NotFittedError
    new, vae = estimator(activation="nope"), estimator(epochs=1).fit(scaled)
    with pytest.raises(ValueError, match="activation"):
        new.fit(scaled)
    with pytest.raises(NotFittedError):
        new.transform(scaled)
    codes, score = vae.transform(scaled), vae.score(scaled)
    with pytest.raises(FloatingPointError):
        vae.set_params(lr=1e30, n_latent=5, epochs=5).fit(scaled)
    np.testing.assert_array_equal(vae.transform(scaled), codes)
    assert vae.score(scaled) == score and len(vae.records_) == 1


@pytest.mark.oracle
def test_what_no_fitted_model_can_take_is_refused(scaled):
    from sklearn.exceptions import NotFittedError
    for call in (lambda vae: vae.transform(scaled), lambda vae: vae.inverse_transform(scaled[:, :2]),
                 lambda vae: vae.score(scaled), lambda vae: vae.sample()):
        with pytest.raises(NotFittedError):
            call(estimator())
    vae = estimator(epochs=1).fit(scaled)
    for call, words in ((lambda: vae.inverse_transform(scaled), "z has shape"), (lambda: vae.sample(0), "n_samples is"),
                        (lambda: vae.transform(scaled[:, :2]), "expecting 3 features"),
                        (lambda: vae.transform(np.full((2, 3), np.nan)), "contains NaN")):
        with pytest.raises(ValueError, match=words):
            call()
