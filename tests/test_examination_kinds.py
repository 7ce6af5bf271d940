"""Right VAEs, however they are written, are not accused; wrong ones are, and for the right reason."""
import re

import numpy as np
import pytest

import numpyvae as nv
from benchmarks import examining
from benchmarks.examining import KINDS, RIGHT, WRONG, Kind, functions
from numpyvae import museum

PIXELS = 16


def look(kind, frozen=True, seed=1, **more):
    vae = examining.network(kind, PIXELS, seed)
    more = {"draws": examining.DRAWS[frozen]} | more
    return nv.examine(**functions(kind, vae, frozen, seed) | more, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("kind", RIGHT, ids=lambda kind: kind.name)
def test_what_is_right_is_not_accused(kind):
    report = look(kind)
    assert report.ok, report
    assert report["likelihood"].verdict == report["reduction"].verdict == "ok", report
    assert report["kl"].verdict == "ok", report


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.name)
def test_what_is_wrong_is_found_and_nothing_else_is_blamed(kind):
    report = look(kind)
    assert report.wrong and set(report.wrong) <= set(kind.wrong), report


@pytest.mark.parametrize("name", ["KL of one draw", "clip at 1e-07", "optimal sigma", "an NLL of one's own"])
def test_what_is_right_is_not_accused_where_the_loss_draws_its_noise(name):
    assert look(KINDS[name], frozen=False).ok


@pytest.mark.parametrize("name", ["free bits", "a formula of no name"])
def test_a_kl_that_is_not_the_plain_one_is_never_blamed_on_the_likelihood(name):
    report = look(KINDS[name], frozen=False)
    assert "likelihood" not in report.wrong, report


@pytest.mark.parametrize("name, check, words", [
    ("squared error without the 1/2", "reduction", "The 1/2 of the Gaussian is missing.*pass sigma=0.7071"),
    ("the half multiplies only logvar", "kl", "the half multiplies only logvar"),
    ("KL times 0.005 for 0.00025", "reduction",
     r"hidden beta of (20|20\.0\d*|19\.9\d*) on top of the intended beta"),
    ("free bits", "kl", "not the plain KL: free bits"),
    ("a formula of no name", "kl", "does not contain the plain KL.*free bits"),
    ("no NLL", "likelihood", "the loss contains no NLL"),
    ("cross-entropy of standardised data", "likelihood", "no lower bound"),
    ("logits called probabilities", "likelihood", "these are logits"),
    ("no noise", "noise", "eval mode|z is mu"),
])
def test_the_reason_is_named(name, check, words):
    finding = look(KINDS[name])[check]
    assert finding.verdict == "wrong"
    assert re.search(words, finding.mistake), finding


@pytest.mark.parametrize("name, words", [
    ("KL of one draw", "estimated from the drawn z"), ("optimal sigma", "the best sigma")])
def test_another_way_to_be_right_is_said(name, words):
    report = look(KINDS[name])
    assert words in report["likelihood"].evidence + report["kl"].evidence


@pytest.mark.parametrize("nll", [examining.clipped(1e-6), examining.clipped(1e-10), examining.added(1e-7)])
@pytest.mark.parametrize("decodes_to", ["logits", "probabilities"])
def test_a_clip_is_no_wrong_likelihood_where_the_decoder_is_sure(nll, decodes_to):
    """Sure decoders are wrong about some pixels by far, and only there a clip shows."""
    shown = examining.sigmoid if decodes_to == "probabilities" else lambda theta: theta
    kind = Kind("clipped", nll=nll, dtype=np.float64, arguments={"decodes_to": decodes_to}, shown=shown)
    vae = examining.network(kind, PIXELS, 1)
    vae.parameters["decoder.1.W"][:] *= 20
    report = nv.examine(**functions(kind, vae, True, 1), draws=examining.DRAWS[True], rng=np.random.default_rng(1))
    assert report.ok and report["reduction"].verdict == "ok", report
    assert "before the logarithm: training hardly notices" in report["likelihood"].evidence


def test_small_betas_are_told_apart():
    """No tolerance that suits 1 hides the difference between 0.005 and none."""
    none = Kind("none", total=examining.weighted(0.0), arguments={"beta": 0.005})
    assert look(none).wrong == ("reduction",)


# What surrounds the numbers.

@pytest.fixture
def given():
    kind = KINDS["means over the batch"]
    return functions(kind, examining.network(kind, PIXELS, 1), True, 1)


def test_pictures_and_columns_are_taken(given):
    """(B, 1, 4, 4) in, and out of the decoder; a loss of shape (1, 1) in a dict."""
    def flat(x):
        assert x.shape[1:] == (1, 4, 4)
        return x.reshape(len(x), -1)

    report = nv.examine(
        x=given["x"].reshape(-1, 1, 4, 4), encode=lambda x: given["encode"](flat(x)),
        decode=lambda z: given["decode"](z).reshape(-1, 1, 4, 4), sample_z=given["sample_z"],
        loss=lambda x, eps: {"loss": np.array([[given["loss"](flat(x), eps)]]), "kl": 3.0},
        rng=np.random.default_rng(0))
    assert report.ok and report["reduction"].verdict == "ok", report


@pytest.mark.parametrize("axis", [1, 3, None])
def test_mean_and_logvar_may_be_channels_or_a_pair(axis):
    kind = KINDS["learned variances"]
    given = functions(kind, examining.network(kind, PIXELS, 1), True, 1)
    shape = (1, 4, 4) if axis == 1 else (4, 4, 1)

    def flat(x):
        return x.reshape(len(x), -1)

    def decode(z):
        parts = [part.reshape(-1, *shape) for part in np.split(given["decode"](z), 2, axis=1)]
        return tuple(parts) if axis is None else np.concatenate(parts, axis=axis)

    report = nv.examine(x=given["x"].reshape(-1, *shape), encode=lambda x: given["encode"](flat(x)), decode=decode,
                        loss=lambda x, eps: given["loss"](flat(x), eps), decodes_to="mean and logvar",
                        rng=np.random.default_rng(0))
    assert report.ok and report["likelihood"].verdict == "ok", report


def test_whether_a_wrapper_of_any_arrays_takes_eps_is_tried(given):
    def wrapped(*arrays):
        return given["loss"](*arrays)

    report = nv.examine(**given | {"loss": wrapped}, rng=np.random.default_rng(0))
    assert report["noise"].evidence.startswith("loss ") and report["reduction"].verdict == "ok", report


@pytest.mark.parametrize("change, words", [
    (dict(loss=lambda x, eps: {"total": 1.0}), r"loss gives a dict with the entries \['total'\]"),
    (dict(loss=lambda x, eps: (1.0, 2.0, 3.0)), "loss gives a tuple of 3"),
    (dict(encode=lambda x: (x, x, x)), "encode gives 3 things"),
    (dict(encode=lambda x: (x[..., None], x[..., None])), "flatten"),
    (dict(encode=lambda x: {}["mu"]), "encode raised KeyError"),
    (dict(x=np.zeros((8, 16), np.uint8)), "/ 255"),
    (dict(decodes_to="laplace"), "your own nll="),
    (dict(nll=lambda theta, x: 0.0), "nll gives shape"),
    (dict(parameters={"w": np.zeros(3, int)}, gradients=lambda x, eps: {}), "shares its memory"),
    (dict(draws=0), "draws is 0"),
])
def test_what_is_not_taken_is_explained_in_one_sentence(given, change, words):
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        nv.examine(**given | change, rng=np.random.default_rng(0))
    assert "\n" not in str(caught.value) and "expected" in str(caught.value)


def test_a_batch_of_one_size_is_explained(given):
    def fixed(x):
        if len(x) != 12:
            raise RuntimeError("shape mismatch")
        return given["encode"](x)

    with pytest.raises(ValueError, match="encode raised RuntimeError .* any number of rows"):
        nv.examine(**given | {"encode": fixed}, rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_dropout_and_batch_normalisation_in_training_mode_are_named(name, given, rng):
    right = given[name]

    def dropped(x):
        keep = rng.random(x.shape) < 0.8
        return right((x * keep / 0.8).astype(x.dtype))

    def normalised(x):
        return right(((x - x.mean(axis=0)) / (x.std(axis=0) + 0.1)).astype(x.dtype))

    for changed, words in ((dropped, "dropout in training mode"), (normalised, "batch normalisation in training mode")):
        report = nv.examine(**given | {name: changed}, rng=np.random.default_rng(0))
        assert report.wrong == ("noise",) and words in str(report["noise"]) and "model.eval()" in str(report["noise"])


# Gradients in float32: right ones pass at any scale of the loss, wrong ones do not.

def with_gradients(dtype, total, seed):
    """Our own VAE, whose gradients are those of the mean or the sum over the batch."""
    vae = nv.VAE.dense(64, (30,), 3, rng=np.random.default_rng(seed)).astype(dtype)

    def gradients(x, eps):
        vae.loss_and_grad(x, eps)
        scale = 1 if total is examining.means else len(x)
        return {name: scale * vae.parameters.grad(name).copy() for name in vae.parameters.names}

    kind = Kind("own", total=total, dtype=dtype)
    return functions(kind, vae, True, seed) | {
        "draws": examining.DRAWS[True], "gradients": gradients,
        "parameters": {name: vae.parameters[name] for name in vae.parameters.names}}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("total", [examining.means, examining.sums])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_right_gradients_pass(dtype, total, seed):
    report = nv.examine(**with_gradients(dtype, total, seed), rng=np.random.default_rng(seed))
    assert report["gradients"].verdict == "ok", report


@pytest.mark.parametrize("factor", [0.5, 0.9, -1.0, 0.0])
@pytest.mark.parametrize("name", ["encoder.0.W", "mu_head.b", "logvar_head.W", "decoder.0.W"])
def test_a_wrong_gradient_in_float32_is_found(name, factor):
    given = with_gradients(np.float32, examining.means, 0)
    right = given["gradients"]
    given["gradients"] = lambda x, eps: {key: g * (factor if key == name else 1) for key, g in right(x, eps).items()}
    report = nv.examine(**given, rng=np.random.default_rng(0))
    assert report["gradients"].verdict == "wrong" and f"Wrong: {name}." in report["gradients"].evidence, report


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_infinite_loss_has_no_gradients_to_compare_with(dtype):
    given = with_gradients(dtype, examining.means, 0)
    report = nv.examine(**given | {"loss": lambda x, eps: np.inf}, rng=np.random.default_rng(0))
    assert report["gradients"].verdict == "not checked" and "likelihood" in report.wrong, report


def test_a_step_to_where_the_loss_is_infinite_says_nothing_about_a_gradient():
    given = with_gradients(np.float64, examining.means, 0)
    name, loss = next(iter(given["parameters"])), given["loss"]
    array = given["parameters"][name]
    before = array.copy()

    def walled(x, eps):
        return loss(x, eps) if array[0, 0] == before[0, 0] else np.inf

    report = nv.examine(**given | {"loss": walled}, rng=np.random.default_rng(0))
    assert report["gradients"].verdict == "ok", report
    gradients = given["gradients"]
    report = nv.examine(**given | {"loss": walled, "gradients": lambda x, eps: {
        key: 2 * value if key == name else value for key, value in gradients(x, eps).items()}},
        rng=np.random.default_rng(0))
    assert report["gradients"].verdict == "wrong" and f"Wrong: {name}." in report["gradients"].evidence, report


def test_parameters_that_the_model_does_not_read_are_named():
    given = with_gradients(np.float32, examining.means, 0)
    given["parameters"] = {name: array.copy() for name, array in given["parameters"].items()}
    report = nv.examine(**given, rng=np.random.default_rng(0))
    assert "not copies of them" in report["gradients"].mistake


# The budget of draws.

def test_a_budget_that_is_used_up_ends_in_not_decided(given):
    report = nv.examine(**given, draws=10, rng=np.random.default_rng(0))
    assert report.ok and report["reduction"].verdict == "not decided" and "at least 528" in report["kl"].evidence
    assert "3 not decided" in report.summary
    report = look(KINDS["means over the batch"], frozen=False, draws=15_000)
    assert report.ok and report["reduction"].verdict == "not decided" and "draws=15000" in report["reduction"].evidence


def test_the_spread_of_a_few_draws_is_no_reason_for_a_verdict(given):
    del given["loss"]    # with two draws of each image a right loss was called wrong now and then
    for wrong in (False, True):
        loss = functions(KINDS["means over the batch"], trained(16), False, 1)["loss"]
        report = nv.examine(**given, loss=(lambda x: 2 * loss(x)) if wrong else loss, draws=8 * 24 * 64 - 1,
                            rng=np.random.default_rng(0))
        assert report["kl"].verdict == "not decided" and "at least 12288" in report["kl"].evidence, report


def counted(function):
    """A function of a batch, and the numbers of rows that it is given."""
    rows = []

    def call(x):
        rows.append(len(x))
        return function(x)

    return call, rows


def test_no_more_draws_are_taken_than_the_budget_allows():
    kind = KINDS["means over the batch"]
    given = functions(kind, examining.network(kind, PIXELS, 1), False, 1)
    loss, rows = counted(given["loss"])
    nv.examine(**given | {"loss": loss}, draws=20_000, rng=np.random.default_rng(0))
    assert 10_000 < sum(rows) < 20_000 + 10 * len(given["x"])    # and the few of the check of the noise


@pytest.mark.parametrize("name", ["no noise", "no NLL"])
def test_a_loss_without_noise_is_told_from_one_without_nll_in_few_images(name):
    """A large model would take minutes for what a small one takes a second for."""
    given = functions(KINDS[name], examining.network(KINDS[name], PIXELS, 1), False, 1)
    loss, rows = counted(given["loss"])
    report = nv.examine(**given | {"loss": loss, "sample_z": None}, rng=np.random.default_rng(0))
    assert report.wrong == {"no noise": ("noise",), "no NLL": ("noise", "likelihood")}[name], report
    assert sum(rows) < 10 * len(given["x"])


def test_encode_is_asked_once_for_each_image_and_not_for_each_batch_of_its_copies():
    kind = KINDS["means over the batch"]
    given = functions(kind, examining.network(kind, PIXELS, 1), False, 1)
    encode, rows = counted(given["encode"])
    nv.examine(**given | {"encode": encode}, draws=20_000, rng=np.random.default_rng(0))
    assert sum(rows) < 500


def test_a_seed_repeats_its_report(given):
    first, second = (str(nv.examine(**given, rng=np.random.default_rng(4))) for _ in range(2))
    assert first == second


# Batches and momentum.

def test_a_remainder_is_looked_for(rng):
    def batches(images, size, order=None, drop=True):
        order = rng.permutation(len(images)) if order is None else order
        stop = len(images) // size * size if drop else len(images)
        for start in range(0, stop, size):
            yield images[order[start:start + size]]

    def fixed(images, size):
        kept = np.arange(len(images) // size * size)
        yield from batches(images[kept], size)

    assert nv.examine(batches=lambda *a: batches(*a, drop=False), rng=rng)["batches"].verdict == "ok"
    dropped = nv.examine(batches=batches, rng=rng)["batches"]
    assert dropped.verdict == "ok" and "drops the remainder, 2, others in each epoch" in dropped.evidence
    never = nv.examine(batches=fixed, rng=rng)["batches"]
    assert never.verdict == "wrong" and "never seen" in never.mistake
    labelled = nv.examine(batches=lambda *a: ((b, np.zeros(len(b))) for b in batches(*a, drop=False)), rng=rng)
    assert labelled["batches"].verdict == "ok"


def momentum(step):
    state = {"v": None}

    def update(values, g):
        state["v"], move = step(state["v"], g)
        return values - 0.1 * move
    return update


@pytest.mark.parametrize("verdict, step", [
    ("ok", lambda v, g: ((v := (0 if v is None else 0.9 * v) + g), v)),
    ("ok", lambda v, g: ((v := (0 if v is None else 0.9 * v) + g), g + 0.9 * v)),                # Nesterov
    ("ok", lambda v, g: ((v := g if v is None else 0.9 * v + 0.5 * g), v)),                      # dampening
    ("ok", lambda v, g: ((v := g if v is None else 0.9 * v + 0.1 * g), v)),                      # as much as momentum
    ("ok", lambda v, g: ((v := (0 if v is None else 0.9 * v) + 0.1 * g), v)),                    # an average
    ("wrong", lambda v, g: (None, g)),
    ("wrong", lambda v, g: ((v := g if v is None else 0.9 * v), v)),                             # forgets g
    ("wrong", lambda v, g: ((v := (0 if v is None else 1.1 * v) + g), v)),
])
def test_every_form_of_momentum_is_known(verdict, step, rng):
    assert nv.examine(momentum=momentum(step), rng=rng)["momentum"].verdict == verdict


def test_the_museum_s_right_vae_is_right_for_its_other_functions(rng):
    report = nv.examine(**museum.right(rng) | {"encode": None}, rng=rng)
    assert report.ok and report["momentum"].verdict == "ok"


# A loss that draws its own noise: what the draws exclude, and no pass where they cannot tell.

def trained(pixels=64, seed=1, latent=3):
    """A VAE whose code is used, as one that was trained for a while has it."""
    return examining.network(Kind("trained", latent=latent), pixels, seed)


def of_own_noise(kind, vae, draws=30_000, seed=1, **more):
    return nv.examine(**functions(kind, vae, False, seed) | more, draws=draws, rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def vae():
    return trained()


def interval(finding):
    low, high = re.search(r"exclude every weight of the KL but those between (\S+) and ([^\s,]+?)[,.] ",
                          finding.evidence + " ").groups()
    return float(low), float(high)


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_a_pass_excludes_the_nearest_wrong_weights_and_says_so(vae, beta):
    report = of_own_noise(Kind("right", total=examining.weighted(beta), arguments={"beta": beta}), vae, draws=None)
    assert report.ok and not report.undecided, report
    low, high = interval(report["reduction"])
    assert 0.9 * beta <= low < beta < high <= 1.1 * beta


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ["KL times 0.9", "KL times 1.1"])
def test_the_nearest_wrong_weights_are_never_passed(name, seed):
    """With as many draws as it takes 1 would have been in the interval as well as 0.9."""
    report = look(KINDS[name], frozen=False, seed=seed, draws=None)
    assert report["reduction"].verdict in ("wrong", "not decided"), report


@pytest.mark.parametrize("name", ["free bits", "a tolerance", "a capacity", "free bits, Gaussian"])
def test_a_bound_of_the_kl_that_few_images_reach_is_never_passed(name):
    report = look(KINDS[name], frozen=False, draws=None)
    assert {"kl", "reduction"} & {*report.wrong, *report.undecided} and "likelihood" not in report.wrong, report


def test_which_free_bits_would_have_shown_is_said(vae):
    """Of an encoder whose KL is nowhere small no draws tell free bits from none."""
    report = of_own_noise(KINDS["means over the batch"], vae, draws=None)
    assert re.search("Not excluded are free bits of less than (0.25|0.5|1|2) nats", report["kl"].evidence), report
    sure = trained(PIXELS)
    sure.parameters["logvar_head.b"][:] -= 8
    for kl in (examining.kl, examining.free_bits):
        report = nv.examine(**functions(Kind("sure", kl=kl), sure, True, 1), rng=np.random.default_rng(1))
        assert report.ok, report
        assert "Free bits are not excluded, up to 2 nats a dimension" in report["kl"].evidence, report


@pytest.mark.parametrize("hidden", [0.5, 2.0])
def test_a_hidden_beta_is_never_passed(vae, hidden):
    report = of_own_noise(Kind("hidden", total=examining.weighted(hidden)), vae)
    assert report["reduction"].verdict in ("wrong", "not decided"), report


@pytest.mark.parametrize("seed", range(3))
def test_a_kl_without_exp_logvar_is_never_passed(seed):
    """Of a trained model exp(logvar) is nearly constant: what it lacks is an offset, which the NLL does not have."""
    report = of_own_noise(KINDS["exp(logvar) missing"], trained(seed=seed), seed=seed)
    assert report["kl"].verdict in ("wrong", "not decided"), report
    assert "exp(logvar) is missing" in str(report["kl"]) or "weight" in str(report["kl"]), report


def test_a_constant_that_belongs_to_nothing_is_no_pass(vae):
    report = of_own_noise(Kind("offset", total=lambda nll, kl, p: float(np.mean(nll + kl)) - 0.58), vae)
    assert "kl" in report.undecided + report.wrong, report
    assert re.search(r"a constant of -0\.\d+ \+- 0\.\d+ nats a row|not excluded|Not excluded", report["kl"].evidence)


def test_an_untrained_model_is_not_decided_and_the_report_says_that_it_has_not_passed():
    untrained = nv.VAE.dense(PIXELS, (20,), 3, rng=np.random.default_rng(1))
    report = of_own_noise(KINDS["means over the batch"], untrained, draws=15_000)
    assert report.ok and report.undecided == ("kl", "reduction")
    assert str(report).startswith("Examination: not decided, which is no pass (0 wrong")
    assert "cannot tell with draws=15000" in report["reduction"].evidence.lower()


def test_noise_that_the_batch_shares_is_named_in_every_place(vae):
    right = {frozen: functions(KINDS["means over the batch"], vae, frozen, 1) for frozen in (True, False)}
    rng = np.random.default_rng(2)

    def shared(x, eps):
        return right[True]["loss"](x, np.repeat(eps[:1], len(x), axis=0))

    def sample_z(mu, logvar):
        return mu + np.exp(0.5 * logvar) * rng.standard_normal((1, mu.shape[1])).astype(mu.dtype)

    for given in (right[True] | {"loss": shared},
                  right[False] | {"loss": lambda x: shared(x, rng.standard_normal((len(x), 3)).astype(x.dtype))},
                  right[False] | {"sample_z": sample_z}):
        report = nv.examine(**given, draws=30_000, rng=np.random.default_rng(1))
        assert report.wrong == ("noise",) and "one noise is shared by the batch" in report["noise"].mistake, report


def test_a_subtracted_kl_is_not_called_none():
    report = look(Kind("subtracted", total=examining.weighted(-0.93)))
    assert report.wrong == ("reduction",) and "The KL is subtracted" in report["reduction"].mistake, report


@pytest.mark.parametrize("value, n, text", [(500.0, 2, "500"), (123456.0, 4, "123500"), (0.01234, 2, "0.012")])
def test_numbers_are_printed_without_needless_exponents(value, n, text):
    from numpyvae.examination.report import digits
    assert digits(value, n) == text


@pytest.mark.parametrize("name", ["bernoulli", "gaussian-learned"])
def test_the_networks_of_the_calibration_are_those_that_were_trained(name):
    kind = Kind("a network", network=name, dtype=np.float64)
    network = examining.network(kind, PIXELS, 1)
    given = functions(kind, network, True, 1)
    q = network.infer(given["x"])
    np.testing.assert_allclose(given["encode"](given["x"]), (q.mu, q.logvar), rtol=1e-12)
    np.testing.assert_allclose(given["decode"](q.mu), network.generate(q.mu), rtol=1e-12, atol=1e-12)
