"""The harness of `python -m tests.mutants.computing`: what it changes, that it changes it everywhere, and no trace."""
import pathlib
import warnings
from importlib.util import find_spec

import numpy as np
import pytest

from mutants import computing
from mutants.operators import Source
from numpyvae import evaluation
from numpyvae.evaluation import latents
from numpyvae.models import likelihoods
from numpyvae.nn import layers

pytestmark = pytest.mark.skipif(find_spec("numba") is None, reason="the kernels are mutated too")


def draw(rng, n, width=0.5):
    """Nothing here is mutated."""
    return width * rng.standard_normal((n, 3))


def told(n):
    """Only the condition and the error itself are mutated."""
    if n < 0:
        advice = 2 * n
        raise ValueError(advice)
    warnings.warn("n" * n, stacklevel=2)


@pytest.mark.parametrize("mutant", [
    "draw shared by rows: rng.standard_normal((n, 3))", "draw shared by columns: rng.standard_normal((n, 3))",
    "another density: rng.standard_normal((n, 3))", "off by one: n  ->  n + 1", "constant: 0.5  ->  1.0",
    "x 1.05: width  ->  width * 1.05"])
def test_mistakes_of_statistics_are_among_the_mutations(mutant):
    assert any(str(one).startswith(mutant) for one in Source(draw, statistics=True).mutants())


def test_shared_draws_keep_their_shape():
    source = Source(draw, statistics=True)
    seen = {mutant.kind: source.compile(mutant)(np.random.default_rng(0), 4) for mutant in source.mutants()
            if mutant.kind.startswith("draw shared")}
    assert {result.shape for result in seen.values()} == {(4, 3)}
    assert np.ptp(seen["draw shared by rows"], axis=0).max() == 0 < np.ptp(seen["draw shared by rows"], axis=1).min()
    assert np.ptp(seen["draw shared by columns"], axis=1).max() == 0


def test_samplers_evaluation_schedules_and_data_are_targets():
    names = {one.name for one in [*computing.functions(), *computing.constants()]}
    assert names >= {"models.likelihoods.Bernoulli.sample", "models.posteriors.DiagonalGaussian.reparameterize",
                     "models.priors.StandardNormal.sample", "evaluation.factors.factor_recovery",
                     "evaluation.latents.ACTIVE", "training.fit.Schedule.set", "training.optimizers.Adam.step",
                     "training.batches.Pixels.batches", "exact.quadrature.log_joint", "nn.layers.first_weights",
                     "functional.affine.affine", "datasets.strokes.strokes", "report.plots.picture_shape"}, names


def test_every_room_is_judged_by_files_that_exist():
    missing = {room: name for room in computing.ROOMS for name in computing.files_of([room])
               if not (pathlib.Path(__file__).parent / name).exists()}
    assert not missing


def test_a_lambda_in_a_table_is_a_target():
    lambdas = [one for one in computing.functions() if one.name == "nn.layers.<lambda>"]
    assert {one.function for one in lambdas} == set(layers.INITS.values())
    for one in lambdas:
        right = one.function(200, 100)
        seen = {}
        for _, text, mutated in one.mutants():
            with mutated:
                seen[text] = np.shape(one.function(2, 3)) == () and one.function(200, 100)
        assert one.function(200, 100) == right and len(seen) > 5 and right not in seen.values()


def same_by_construction(x, y):
    """Nothing here is mutated."""
    both = (x > 0) & (y < 0)
    z = np.maximum(x, y) if both.all() else np.abs(x - y)
    z[0] -= (x - y) ** 2
    found = isinstance(z, (list, tuple)) or np.isfinite(z)
    return found, z.sum(axis=(0, 1)), z in (x, y), np.random.integers(0, 2, 9)


def test_what_computes_the_same_by_construction_is_no_mutant():
    texts = [str(one) for one in Source(same_by_construction, statistics=True).mutants()]
    same = ("operands swapped: (x > 0)", "operands swapped: x - y", "arguments swapped: np.maximum", "sign: x - y",
            "x 1.05: x  ->  x * 1.05    in: both = ", "results swapped: (list", "results swapped: (0, 1)",
            "results swapped: (x, y)", "another density: ", "x 1.05: z  ->  z * 1.05    in: found = ",
            "sign: z  ->  -z    in: found = ", "accumulation: z[0] -= (x - y) ** 2  ->  z[0] = z[0] - ")
    assert not [text for text in texts if text.startswith(same)]
    for wrong in ("operator: x - y  ->  x + y", "sign: x  ->  -x    in: both = ", "comparison: x > 0  ->  x >= 0",
                  "draw shared by rows: ", "accumulation: z[0] -= (x - y) ** 2  ->  z[0] = z[0] + "):
        assert any(text.startswith(wrong) for text in texts), wrong


def test_what_is_said_to_people_is_not_mutated():
    texts = [str(one) for one in Source(told, statistics=True).mutants()]
    assert any(text.startswith("comparison: n < 0  ->") for text in texts)
    assert any(text.startswith("dropped statement: raise ValueError") for text in texts)
    assert not [text for text in texts if text.startswith(("constant: 2 ", "operator: 2 * n", "dropped argument"))]


def test_of_a_function_with_a_backward_half_only_the_forward_half_is_mutated():
    (target,) = [one for one in computing.functions() if one.name == "training.objectives.free_bits"]
    texts = [text for _, text, _ in target.mutants(lambda text: " in: " in text)]
    assert any("terms = mean_terms" in text for text in texts)
    assert not [text for text in texts if "concatenate_backward" in text.partition(" in: ")[2]]


def test_survivors_alone_can_be_run_again():
    (target,) = [one for one in computing.functions() if one.name == "evaluation.latents.active_units"]
    every = [text for _, text, _ in target.mutants()]
    assert [text for _, text, _ in target.mutants(lambda text: text == every[2])] == [every[2]] * every.count(every[2])


def test_a_mutant_is_seen_wherever_the_function_was_imported_to_and_leaves_no_trace():
    (target,) = [one for one in computing.functions() if one.name == "evaluation.latents.active_units"]
    _, text, mutated = next(one for one in target.mutants() if one[0] == "x 1.05")
    mu = np.random.default_rng(0).standard_normal((20, 3))
    right = evaluation.active_units(mu)
    before = target.function.__code__
    with mutated:
        assert latents.active_units is evaluation.active_units
        assert target.function.__code__ is not before
    assert target.function.__code__ is before
    np.testing.assert_array_equal(evaluation.active_units(mu), right)


def test_a_constant_is_changed_in_every_module_that_has_it():
    (target,) = [one for one in computing.constants() if one.name == "evaluation.latents.ACTIVE"]
    with next(target.mutants())[2]:
        assert latents.ACTIVE == 1.05 * target.value
    assert latents.ACTIVE == target.value


def test_a_mutant_closes_over_what_the_function_closes_over():
    (target,) = [one for one in computing.functions() if one.name == "models.likelihoods.Gaussian.sample"]
    for _, _, mutated in target.mutants():
        with mutated:
            pass
    assert likelihoods.Gaussian(1.0).sample(np.zeros((2, 3)), np.random.default_rng(0)).shape == (2, 3)
