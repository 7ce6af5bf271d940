"""What `evaluation` measures, worked out a second time: by scipy, by another formula, one image and draw at a time."""
import importlib
import re
import threading
import warnings

import numpy as np
import pytest
from scipy import optimize, special, stats
from scipy.spatial import distance
from threadpoolctl import threadpool_info, threadpool_limits

import numpyvae as nv
from numpyvae import evaluation
from numpyvae.evaluation import cores, factors, latents, likelihood
from numpyvae.evaluation.likelihood import LogLikelihood, _estimate, _pareto_k
from numpyvae.kernels import processor

HEADS = "mu_head", "logvar_head"
remarks = importlib.import_module("numpyvae.evaluation.remarks")    # evaluation.remarks is the function


# Nearest neighbours

@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_share_of_right_neighbours_is_counted_over_all_blocks(rows, rng, monkeypatch):
    monkeypatch.setattr(factors, "ROWS_AT_ONCE", rows)
    codes, test_codes = rng.standard_normal((40, 3)) + 5, rng.standard_normal((23, 3)) + 5
    labels, test_labels = rng.integers(0, 3, 40), rng.integers(0, 3, 23)
    nearest = distance.cdist(test_codes, codes).argmin(axis=1)
    found = evaluation.nearest_neighbour_accuracy(codes, labels, test_codes, test_labels)
    assert found == np.mean(labels[nearest] == test_labels)


@pytest.mark.parametrize("size", [1e-5, 1, 1e5])
def test_where_squares_have_no_digits_left_differences_decide(size, rng):
    """Codes in pairs, so near each other that |a|^2 - 2 a.b + |b|^2 is the same for both up to rounding."""
    places, apart = size * rng.standard_normal((50, 3)), 1e-12 * size * rng.standard_normal((50, 3))
    second = rng.integers(0, 2, 50)
    codes = np.concatenate([places - apart, places + apart])
    test_codes = places + 0.5 * np.where(second[:, None], apart, -apart)
    found = evaluation.nearest_neighbour_accuracy(codes, np.arange(100), test_codes, np.arange(50) + 50 * second)
    assert found == 1


def test_differences_are_compared_as_euclid_did():
    """Three small steps are longer than one half as large again."""
    codes = np.full((2, 3), 1.0)
    codes += 1e-10 * np.array([[1, 1, 1], [1.5, 0, 0]])
    assert evaluation.nearest_neighbour_accuracy(codes, np.arange(2), np.ones((1, 3)), [1]) == 1
    assert factors._nearest(codes, np.ones((2, 3))).shape == (2,)


@pytest.mark.parametrize("b, largest", [(0, 1024), (3, 4), (4, 3), (2**12, 3 * 2**10)])
def test_of_squares_as_many_digits_are_believed_as_rounding_leaves(b, largest):
    """16 times the machine's accuracy for each of Z dimensions, of the largest |a|^2 and |b|^2."""
    error = 2.0**-48 * 4 * (4 * largest**2 + 4 * b**2)
    a = np.sqrt(error * np.array([0, 0.98, 1, 1.02]) / 4)    # |a|^2 = 4 a^2, and at right angles to b
    far = np.array([1, -1, 1, -1]) * largest
    codes = np.array([*np.stack([a, -a, a, -a], axis=1), far])
    found = factors._may_be_nearest(codes, np.array([4 * [b], 4 * [0], 2 * far, -2 * far]))
    assert found[0].tolist() == [True, True, True, False, False]
    assert found[1].tolist() == (np.sum(codes**2, axis=1) <= 2.0**-46 * 4 * largest**2).tolist()
    assert found[2].tolist() == [False, False, False, False, True] and found[3, 0] and not found[3, 4]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_neighbours_of_whole_numbers_are_found_in_float64(dtype):
    codes = np.array([[100, 100], [3, 3]]).astype(dtype)    # 2 * 100**2 is 32 in eight bits
    assert evaluation.nearest_neighbour_accuracy(codes, [0, 1], np.array([[90, 90]], dtype), [0]) == 1
    assert evaluation.nearest_neighbour_accuracy(codes, [0, 1], np.array([[0, 3]], dtype), [1]) == 1


@pytest.mark.parametrize("labels, others", [(["0", "1"], [0, 1]), ([0, 1], ["0", "1"])])
def test_text_and_numbers_are_not_compared(labels, others):
    with pytest.raises(TypeError, match="labels has dtype .* and test_labels .*; expected labels of one kind"):
        nv.evaluation.nearest_neighbour_accuracy([[0.0], [1.0]], labels, [[0.1], [0.9]], others)
    assert nv.evaluation.nearest_neighbour_accuracy([[0.0], [1.0]], labels, [[0.1], [0.9]], labels) == 1


def test_of_codes_that_are_equally_near_the_first_counts():
    codes = np.array([[0.0, 2], [2, 0], [1, 1], [1, 1]])
    assert evaluation.nearest_neighbour_accuracy(codes, np.arange(4), [[1, 1]], [2]) == 1
    assert evaluation.nearest_neighbour_accuracy(codes[:2], np.arange(2), [[1, 1]], [0]) == 1


# What a code knows about a factor

def bins_of(values):
    """Few values have a bin each; of many, the bin says how many are smaller, equal ones counted by half."""
    n = len(values)
    if len(np.unique(values)) > min(20, n // 5):
        bins = min(20, max(2, int(np.sqrt(n / 5))))
        rank = (values < values[:, None]).sum(axis=1) + (values == values[:, None]).sum(axis=1) / 2
        values = (bins * rank / n).astype(int)
    return np.searchsorted(np.unique(values), values)


def recovery_by_hand(code, factor):
    """The information that exceeds chance, from entropies; chance by scipy's hypergeometric distribution."""
    z, v, n = bins_of(code), bins_of(factor), len(code)
    table = np.array([[np.sum((v == i) & (z == j)) for j in range(z.max() + 1)] for i in range(v.max() + 1)])
    of_v, of_z = table.sum(axis=1), table.sum(axis=0)
    information = stats.entropy(of_v) + stats.entropy(of_z) - stats.entropy(table.ravel())
    chance = 0.0
    for a in of_v:
        for b in of_z:
            k = np.arange(1, min(a, b) + 1)
            chance += np.sum(stats.hypergeom.pmf(k, n, a, b) * k / n * np.log(k * n / (a * b)))
    return (information - chance) / (stats.entropy(of_v) - chance) if stats.entropy(of_v) - chance > 1e-6 else 0.0


@pytest.mark.parametrize("n", [9, 12, 25, 61, 410])
def test_recovery_is_the_share_of_information_beyond_chance(n, rng):
    values = rng.standard_normal(n)
    columns = {"exact": values, "noisy": values + rng.standard_normal(n), "half": values > 0,
               "spikes": np.where(rng.random(n) < 0.6, 0, values), "classes": rng.integers(0, 3, n),
               "levels": np.arange(n) % max(1, n // 5), "one more": np.arange(n) % (n // 5 + 1), "all": np.ones(n)}
    codes = np.stack([values, -values + 0.3 * rng.standard_normal(n), rng.standard_normal(n), np.round(values)], axis=1)
    found = evaluation.factor_recovery(codes, columns)
    expected = [[recovery_by_hand(code, factor) for code in codes.T] for factor in columns.values()]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert found.shape == (8, 4)


def test_a_factor_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=re.escape("factor_recovery: factors['short'] has shape (3,)")):
        evaluation.factor_recovery(np.ones((4, 2)), {"long": np.ones(4), "short": np.ones(3)})


def test_of_many_images_twenty_values_have_a_bin_each_and_twenty_one_share():
    for distinct, n in ((20, 600), (21, 600), (39, 2500), (20, 99), (44, 44)):
        values = np.arange(n) % distinct / 7
        np.testing.assert_array_equal(factors._in_bins(values), bins_of(values))
    assert factors._in_bins(np.arange(600) % 20).max() == 19


def test_the_gap_is_that_between_the_best_dimension_and_the_next():
    recovery = np.array([[0.5, 0.1, 0.9, 0.2], [0.3, 0.3, 0.2, 0.0], [0.0, 0.25, 0.0, -0.1]])
    assert evaluation.mutual_information_gap(recovery) == pytest.approx((0.4 + 0 + 0.25) / 3, rel=1e-12)
    assert evaluation.mutual_information_gap([[1, 0]]) == 1    # two dimensions are enough
    with pytest.raises(ValueError, match=re.escape("shape (3, 1); expected at least two")):
        evaluation.mutual_information_gap(recovery[:, :1])


# The latent dimensions

@pytest.mark.parametrize("binarize", ["none", "static", "dynamic"])
@pytest.mark.parametrize("rows", [3, 1000])
def test_every_image_is_encoded_with_its_label(rows, binarize, rng, monkeypatch):
    monkeypatch.setattr(latents, "ROWS_AT_ONCE", rows)
    vae = nv.ConditionalVAE.dense(6, (5,), 2, n_classes=3, rng=rng, dtype=np.float64)
    images, labels = rng.integers(0, 256, (10, 6), np.uint8), rng.integers(0, 3, 10)
    found = evaluation.encode_all(vae, images, rng=np.random.default_rng(3), binarize=binarize, labels=labels)
    drawn = images > np.random.default_rng(3).integers(0, 255, images.shape, np.uint8)
    x = images / 255 if binarize == "none" else drawn.astype(float)
    for one, other in zip(found, vae.encode(x, labels), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_and_kl_of_the_codes_are_the_formulas_in_float64(dtype, rng):
    mu, logvar = (rng.standard_normal((50, 3)) + [0, 1, 7]).astype(dtype), rng.standard_normal((50, 3)).astype(dtype)
    m, v = mu.astype(float), np.exp(logvar.astype(float))
    np.testing.assert_allclose(evaluation.kl_per_dimension(mu, logvar), np.mean((m**2 + v - 1 - np.log(v)) / 2, axis=0),
                               rtol=1e-12)
    mean, covariance = evaluation.aggregate_moments(mu, logvar)
    np.testing.assert_allclose(mean, m.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(m.T, ddof=0) + np.diag(v.mean(axis=0)), rtol=1e-11)


def test_a_dimension_is_used_if_the_variance_of_its_mean_is_above_a_hundredth(monkeypatch):
    side = np.array([[1.0], [-1.0]])
    assert evaluation.active_units(side * np.sqrt([0.0099, 0.0101])).tolist() == [False, True]
    monkeypatch.setattr(latents, "ACTIVE", 1.0)
    assert not evaluation.active_units(side).any()


# log p(x)

def weights_by_hand(vae, x, label, eps):
    """log p(x|z) + log p(z) - log q(z|x) for each row of eps, from scipy's densities."""
    given = {} if label is None else {"labels": label}
    mu, logvar = (part[0] for part in vae.encode(x[None], **given))
    z = mu + np.exp(logvar / 2) * eps
    c = np.eye(3)[np.full(len(eps), label)] if given else np.empty((len(eps), 0))
    logits = vae.decoder.forward(np.hstack([z, c]))
    return (special.log_expit(np.where(x > 0.5, logits, -logits)).sum(axis=1) + stats.norm.logpdf(z).sum(axis=1)
            - stats.norm.logpdf(z, mu, np.exp(logvar / 2)).sum(axis=1))


@pytest.fixture
def conditional(rng):
    vae = nv.ConditionalVAE.dense(6, (5,), 2, n_classes=3, rng=rng, dtype=np.float64)
    return vae, rng.integers(0, 256, (4, 6), np.uint8), np.array([2, 0, 1, 1])


@pytest.mark.parametrize("rows, samples", [(1000, 30), (7, 30), (6, 30), (7, 3)])
def test_log_p_of_x_is_what_its_weights_say_image_by_image(rows, samples, conditional, monkeypatch):
    monkeypatch.setattr(likelihood, "ROWS_AT_ONCE", rows)
    vae, images, labels = conditional
    found = evaluation.log_likelihood(vae, images, samples, rng=np.random.default_rng(3), binarize="dynamic",
                                      labels=labels)
    rng = np.random.default_rng(3)
    x = (images > rng.integers(0, 255, images.shape, np.uint8)).astype(float)
    seeds = rng.integers(2**63, size=4)
    for i in range(4):
        log_w = weights_by_hand(vae, x[i], labels[i], np.random.default_rng(seeds[i]).standard_normal((samples, 2)))
        w = np.exp(log_w)
        assert found.values[i] == pytest.approx(np.log(w.mean()), rel=1e-9)
        assert found.standard_errors[i] == pytest.approx(stats.sem(w) / w.mean(), rel=1e-9)
        assert found.effective_sample_size[i] == pytest.approx(w.sum()**2 / (w**2).sum(), rel=1e-9)
        assert found.pareto_k[i] == pytest.approx(pareto_by_hand(w), rel=1e-6, nan_ok=True)


def test_the_weights_of_all_images_come_from_one_generator(conditional):
    vae, images, labels = conditional
    found = evaluation.log_weights(vae, images, 5, rng=np.random.default_rng(3), binarize="dynamic", labels=labels)
    rng = np.random.default_rng(3)
    x = (images > rng.integers(0, 255, images.shape, np.uint8)).astype(float)
    expected = [weights_by_hand(vae, x[i], labels[i], rng.standard_normal((5, 2))) for i in range(4)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found.shape == (4, 5)


def test_without_classes_there_are_no_labels(rng):
    vae, x = nv.VAE.dense(6, (5,), 2, rng=rng, dtype=np.float64), (rng.random((1, 6)) < 0.5).astype(float)
    found = evaluation.log_weights(vae, x, 5, rng=np.random.default_rng(3))
    eps = np.random.default_rng(3).standard_normal((5, 2))
    np.testing.assert_allclose(found[0], weights_by_hand(vae, x[0], None, eps), rtol=1e-9)


def test_unless_told_otherwise_there_are_5000_samples_and_no_bar(conditional, monkeypatch, rng, capsys):
    vae, images, labels = conditional
    seen = []
    monkeypatch.setattr(likelihood, "_log_weights", lambda own, x, samples, rng, **given: (
        seen.append(own), np.log([samples, 1.0]))[1])
    found = evaluation.log_likelihood(vae, images, rng=rng, labels=labels)
    np.testing.assert_allclose(found.values, np.log(5001 / 2))
    assert len(seen) == 4 and not any(own is vae for own in seen)    # whose buffers its owner may be using
    assert capsys.readouterr().err == ""


def test_the_bar_counts_images_and_goes_when_they_are_done(conditional, monkeypatch, rng):
    vae, images, labels = conditional
    shown = {}

    def bar(found, **options):
        shown.update(options)
        return found
    monkeypatch.setattr("tqdm.auto.tqdm", bar)
    evaluation.log_likelihood(vae, images, 2, rng=rng, labels=labels, progress=True)
    assert shown == {"total": 4, "desc": "log p(x)", "leave": False, "unit": "image"}


def pareto_by_hand(w):
    """Zhang and Stephens' estimate, with the likelihood of a shape by scipy's generalised Pareto distribution."""
    n, ordered = int(min(len(w) / 5, 3 * len(w)**0.5)), np.sort(w)
    if n < 5:
        return np.nan
    excess = ordered[len(w) - n:] - ordered[len(w) - n - 1]
    y = np.maximum(excess / excess.max(), 1e-30)
    m, quartile = 30 + int(n**0.5), y[int(n / 4 + 0.5) - 1]
    b = np.array([1 + (1 - (m / (j - 0.5))**0.5) / (3 * quartile) for j in range(1, m + 1)])
    k = np.array([np.mean(np.log1p(-one * y)) for one in b])
    profile = [stats.genpareto.logpdf(y, shape, scale=-shape / one).sum() for one, shape in zip(b, k)]
    mean = np.sum(b * special.softmax(profile))
    return (n * np.mean(np.log1p(-mean * y)) + 10 * 0.5) / (n + 10)    # as if ten more had said 1/2


@pytest.mark.parametrize("samples", [24, 25, 29, 30, 47, 200, 225, 260, 3000, 100_000])
@pytest.mark.parametrize("k", [0.1, 0.6, 1.5])
def test_the_shape_of_a_tail_is_zhang_and_stephens_estimate(samples, k, rng):
    w = 1000 * (3 + rng.pareto(1 / k, samples))
    assert _pareto_k(w) == pytest.approx(pareto_by_hand(w), rel=1e-9, nan_ok=True)


def test_many_weights_may_equal_the_threshold(rng):
    w = np.concatenate([np.ones(70), 1 + rng.random(10)])    # of the 16 largest, 6 are as large as the next
    assert _pareto_k(w) == pytest.approx(pareto_by_hand(w), rel=1e-9)


@pytest.mark.parametrize("spread, told", [(0.98e-12, False), (1.02e-12, True)])
def test_weights_that_differ_by_rounding_have_no_tail(spread, told):
    w = 1000 * (1 + spread * np.r_[np.zeros(80), np.linspace(0, 1, 20)])
    w[:5] = 0    # how small the smallest are does not matter
    assert (_pareto_k(w) > -np.inf) == told
    assert _pareto_k(np.r_[np.ones(99), 2]) > 1    # one that stands out is a tail


def test_tails_are_told_from_25_weights_on_and_whatever_their_size(rng):
    log_w = rng.standard_normal((3, 25)) * [[0.5], [1], [3]]
    log_w[:, 0] = -2000
    expected = [pareto_by_hand(np.exp(row)) for row in log_w]
    found = evaluation.pareto_k(log_w + [[-20_000], [0], [20_000]])
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found.shape == (3,) and evaluation.pareto_k(1e-14 * np.arange(30)[None]) == [-np.inf]
    with pytest.raises(ValueError, match=re.escape("shape (3, 24); expected at least 25 weights")):
        evaluation.pareto_k(log_w[:, 1:])


@pytest.mark.parametrize("where", [-20_000.0, 0.0, 20_000.0])
def test_an_estimate_does_not_overflow(where, rng):
    log_w = np.append(rng.standard_normal(40), -2000)
    w = np.exp(log_w)
    expected = [where + np.log(w.mean()), stats.sem(w) / w.mean(), w.sum()**2 / (w**2).sum(), pareto_by_hand(w)]
    np.testing.assert_allclose(_estimate(where + log_w), expected, rtol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("spread", [0.0, 0.1, 5.0])
def test_the_error_of_the_mean_is_the_larger_of_two(spread, n, rng):
    values, errors = spread * rng.standard_normal(n) - 100, rng.random(n)
    found = LogLikelihood(values, errors, np.ones(n))
    assert found.mean == pytest.approx(values.mean())
    expected = np.nan if n == 1 else max(stats.sem(values), np.sqrt(np.mean(errors**2) / n))
    with warnings.catch_warnings(action="error"):    # a single value has no variance, which is nothing to warn of
        assert found.standard_error == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("k, words", [
    (None, ""), ([0.49, 0.49], ""), ([0.5, 0.5], "q is poor"), ([0.2, 0.3, 5.0], ""), ([0.2, 0.6, 0.6], "q is poor"),
    ([np.nan, np.nan], "so few samples"), ([0.7], "the error is unknown: one image .*; q is poor"),
    ([0.1], "^the error is unknown: one image does not tell how others differ$")])
def test_what_to_know_before_a_number_is_believed(k, words):
    n = 2 if k is None else len(k)
    caveat = LogLikelihood(np.zeros(n), np.ones(n), np.ones(n), None if k is None else np.array(k)).caveat
    assert re.search(words, caveat) if words else caveat == ""


def test_each_piece_of_work_has_one_thread_for_its_products():
    with threadpool_limits(2), cores.a_thread_for_each_core() as (threads, n):
        assert threads._max_workers == n
        assert all(library["num_threads"] == 1 for library in threadpool_info() if library["user_api"] == "blas")
    with pytest.raises(RuntimeError, match="after shutdown"):
        threads.submit(int)


def test_when_an_error_ends_the_work_pieces_that_have_not_begun_are_dropped():
    go_on, pieces = threading.Event(), []
    with pytest.raises(ArithmeticError), cores.a_thread_for_each_core() as (threads, n):
        pieces += [threads.submit(go_on.wait) for _ in range(n + 1)]
        threading.Timer(0.2, go_on.set).start()
        raise ArithmeticError
    assert [piece.cancelled() for piece in pieces] == [False] * n + [True]


# What is odd, in words

def of_these_kls(kl, likelihood="bernoulli", seed=0, **options):
    """A VAE whose dimensions have these KLs for every image, and a batch of images."""
    rng = np.random.default_rng(seed)
    vae = nv.VAE.dense(6, (5,), len(kl), likelihood, rng=rng, dtype=np.float64, **options)
    for name in HEADS:
        vae.parameters[f"{name}.W"][:] = vae.parameters[f"{name}.b"][:] = 0
    vae.parameters["mu_head.b"][:] = np.sqrt(2 * np.array(kl))
    return vae, rng.random((20, 6))


@pytest.mark.parametrize("kl, words", [
    ([0.99, 0, 0, 0], "the decoder hardly uses the code: its KL is 0.99 nats"),
    ([1.01, 0, 0, 0], "3 of 4 latent dimensions are not used"), ([3, 0.099, 0.099, 0.099], "3 of 4 latent dimensions"),
    ([3, 0.101, 0.099, 0.099], None), ([3, 3, 0, 0, 0], "3 of 5 latent dimensions"), ([3, 3, 3, 0, 0], None),
    ([0.09] * 12, "none of 12 latent dimensions tells much"), ([0.5, 0.5], None),
    ([3, *[0] * 20], "20 of 21 latent dimensions"), ([*[3] * 10, *[0] * 11], "11 of 21 latent dimensions")])
def test_a_dimension_is_unused_below_a_tenth_and_a_code_below_one_nat(kl, words, rng):
    found = evaluation.remarks(*of_these_kls(kl), 1.0, rng=rng)
    assert found == [] if words is None else len(found) == 1 and found[0].startswith(words)


def test_what_a_dimension_tells_by_its_variance_counts_too(rng):
    vae, x = of_these_kls([3, 0, 0, 0])
    vae.parameters["logvar_head.b"][1:] = optimize.brentq(lambda v: (np.exp(v) - 1 - v) / 2 - 0.099, -2, -0.01)
    (line,) = evaluation.remarks(vae, x, 1.0, rng=rng)
    assert line.startswith("3 of 4 latent dimensions are not used")


def test_at_the_bounds_themselves_nothing_is_said(rng, monkeypatch):
    vae, x = of_these_kls([2, 0.5, 0.5])
    monkeypatch.setattr(remarks, "UNUSED", 0.5)
    assert evaluation.remarks(vae, x, 1.0, rng=rng) == []
    monkeypatch.setattr(remarks, "UNUSED", 0.6)
    assert len(evaluation.remarks(vae, x, 1.0, rng=rng)) == 1
    monkeypatch.setattr(remarks, "evaluate_loss", lambda *data, **options: nv.LossTerms(9.0, 3.0, 6.0))
    assert evaluation.remarks(vae, x, 1.0, rng=rng) == []    # half of the rate is told by several together


@pytest.mark.parametrize("alone, said", [(0.98, False), (1.02, True)])
def test_what_dimensions_tell_together_counts_as_much_as_what_each_tells_alone(alone, said, rng):
    """Two correlated dimensions, each like the prior by itself, tell `together` nats; a third one tells its own."""
    together = 1.5
    vae = nv.FullCovarianceVAE.dense(6, (5,), 3, rng=rng, dtype=np.float64)
    for name in (*HEADS, "lower_head"):
        vae.parameters[f"{name}.W"][:] = vae.parameters[f"{name}.b"][:] = 0
    vae.parameters["lower_head.b"].reshape(3, 3)[1, 0] = np.sqrt(1 - np.exp(-2 * together))
    vae.parameters["logvar_head.b"][1] = -2 * together
    vae.parameters["mu_head.b"][2] = np.sqrt(2 * alone * together)
    assert bool(evaluation.remarks(vae, rng.random((20, 6)), 1.0, rng=rng)) == said


@pytest.mark.parametrize("nll, said", [(0.0, False), (-1e-9, True)])
def test_only_a_loss_below_0_needs_a_word(nll, said, rng):
    assert bool(evaluation.remarks(*of_these_kls([3, 3]), nll, rng=rng)) == said


@pytest.mark.parametrize("beta, sigma, words", [
    (1.0, 0.5, "; a smaller --sigma than 0.5 makes the reconstruction count for more, or let the KL's weight grow"),
    (1.1, None, "; a smaller --beta than 1.1 makes the code cheaper, or let the KL's weight grow slowly"),
    (1.0, None, "; let the KL's weight grow slowly with --warmup, or train"), (0.5, None, "; let the KL's weight grow"),
    (0.0, None, "; see whether the images differ at all, or train")])
def test_what_to_do_about_an_unused_code_depends_on_the_model(beta, sigma, words, rng):
    options = {"likelihood": "gaussian", "sigma": sigma} if sigma else {}
    (line,) = evaluation.remarks(*of_these_kls([0, 0], beta=beta, **options), 1.0, rng=rng)
    assert words in line


@pytest.mark.parametrize("sigma, said", [(0.0099, True), (0.0101, False)])
def test_a_pixel_is_constant_if_its_learned_sigma_is_below_a_hundredth_for_half_of_the_images(sigma, said, rng):
    vae, x = of_these_kls([3, 3], "gaussian-learned")
    vae.parameters["decoder.1.b"][[7, 9, 10]] = 2 * np.log(sigma)
    vae.parameters["decoder.1.W"][:] = 0
    found = evaluation.remarks(vae, x, 1.0, rng=rng)
    assert len(found) == said and all("below 0.01 in 3 of 6 pixels" in line for line in found)
    assert evaluation.remarks(vae, x, -1.0, rng=rng)[1:] == found    # after what is said of a loss below 0
    narrow = np.repeat([0.0, -99.0], 6)    # theta for 9 of the 20 images: the median is that of the others
    vae.generate = lambda z, c=None: np.where(np.arange(len(z))[:, None] < 9, narrow, 0)
    assert remarks._constant_pixels(vae, vae.encode(x)[0], None) == []


@pytest.mark.parametrize("n", [0, 1, 21])
def test_constant_pixels_are_counted(n, rng, monkeypatch):
    vae = nv.VAE.dense(30, (5,), 2, "gaussian-learned", rng=rng, dtype=np.float64)
    vae.generate = lambda z, c=None: np.tile(np.r_[np.zeros(30), np.full(n, -20), np.zeros(30 - n)], (len(z), 1))
    monkeypatch.setattr(remarks, "TINY", 1.0)    # the sigma of those that are no smaller
    found = remarks._constant_pixels(vae, np.zeros((4, 2)), None)
    assert len(found) == (n > 0) and all(f"in {n} of 30 pixels" in line for line in found)


@pytest.mark.parametrize("name, last", [("bernoulli", "decoder.1.b"), ("gaussian-shared", "decoder.2.logvar")])
def test_pixels_have_no_sigma_or_one_for_all(name, last, rng):
    vae, x = of_these_kls([3, 3], name)
    vae.parameters[last][:] = -20
    assert evaluation.remarks(vae, x, 1.0, rng=rng) == []


@pytest.mark.parametrize("labels", [None, 1, "each its own"])
def test_a_thousand_codes_are_decoded_with_their_labels(labels, rng, monkeypatch):
    kind, options = (nv.VAE, {}) if labels is None else (nv.ConditionalVAE, {"n_classes": 3})
    vae = kind.dense(6, (5,), 2, "gaussian-learned", rng=rng, **options)
    labels = rng.integers(0, 3, 1002) if labels == "each its own" else labels
    seen = []
    decode = vae.generate
    monkeypatch.setattr(vae, "generate", lambda z, c=None: seen.append((z, c)) or decode(z, c))
    given = labels if labels is None or np.ndim(labels) else np.full(1002, labels)
    x = rng.random((1002, 6), np.float32)
    evaluation.remarks(vae, x, 1.0, rng=rng, labels=given)
    z, c = seen[-1]
    np.testing.assert_allclose(z, evaluation.encode_all(vae, x, rng=rng, labels=given)[0][:1000], rtol=1e-5)
    assert (c is None if labels is None else (c.argmax(axis=1) == given[:1000]).all())


@pytest.mark.parametrize("kl", [[3, 0, 0], [0, 0, 0]])
@pytest.mark.parametrize("epochs, early", [(None, False), (9, True), (10, False)])
def test_before_ten_epochs_little_is_said(epochs, early, kl, rng):
    (line,) = evaluation.remarks(*of_these_kls(kl), 1.0, rng=rng, epochs=epochs)
    assert ("so early that says little" in line) == early
    assert ("epochs" in line) == (epochs is not None)


def test_who_multiplies_is_decided_before_products_are_held_to_one_thread(monkeypatch):
    """Inside, BLAS seems to have one thread, and the answer would hold for the rest of the process."""
    threads = iter([2, 2, 1])
    monkeypatch.setattr(processor, "blas_threads", lambda: next(threads))
    monkeypatch.setattr(cores, "blas_threads", lambda: 2)
    monkeypatch.delenv("NUMPYVAE_MATMUL", raising=False)
    processor.decide.cache_clear()
    try:
        before = processor.decide()
        processor.decide.cache_clear()
        with cores.a_thread_for_each_core() as (pool, _):
            threads = iter([1])
            assert pool.submit(processor.decide).result() == before
    finally:
        processor.decide.cache_clear()
