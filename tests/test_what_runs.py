"""The code you read is what runs: with kernels off, a step executes every derived function; with kernels on, loops."""
import pathlib
import re
import sys

import numpy as np
import pytest

import numpyvae as nv
from numpyvae import functional
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.gradcheck.models import model_examples
from numpyvae.gradcheck.objectives import objective_examples
from numpyvae.twin import Twin, kernels_are_on, registry


def code_run_by(*steps):
    """The code objects of all the functions that run."""
    seen = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: seen.add(frame.f_code))
    try:
        for step in steps:
            step()
    finally:
        sys.setprofile(before)
    return seen


def train(model, x, given):
    model.loss_and_grad(x, *model.noise(len(x), np.random.default_rng(0)), **given)


def steps():
    """One of every model with every likelihood, one of every activation in both networks, one of every objective."""
    for _, make in model_examples():
        yield lambda make=make: train(*make())
    rng = np.random.default_rng(0)
    for name in ACTIVATIONS:
        for model in (nv.VAE.dense(12, (5,), 2, activation=name, rng=rng),
                      nv.VAE.conv((3, 4, 1), (2,), 3, 2, activation=name, rng=rng)):
            yield lambda model=model: train(model, rng.random((3, 12), np.float32), {})
    for name, _, make in objective_examples():
        objective, (vae, x, given) = getattr(nv.objectives, name.split("(")[0]), make()
        yield lambda objective=objective, vae=vae, x=x, given=given: objective(vae, x, *vae.noise(len(x), rng), **given)


@pytest.fixture(scope="module")
def run_without_kernels():
    with nv.kernels_off():
        return code_run_by(*steps())


def pairs():
    """Every function with a derivation that `numpyvae.functional` names, and its backward."""
    names = [name for name in functional.__all__ if f"{name}_backward" in functional.__all__]
    assert len(names) > 14
    return [half for name in names for half in (name, f"{name}_backward")]


@pytest.mark.parametrize("name", pairs())
def test_a_training_step_runs_what_the_reader_sees(name, run_without_kernels):
    assert getattr(functional, name).reference.__code__ in run_without_kernels


@pytest.mark.skipif(not kernels_are_on(), reason="kernels are off")
def test_with_kernels_on_a_step_runs_loops_and_no_body_that_has_one(monkeypatch):
    """Compiled code shows no frames, so calls are noted where the switch makes them."""
    run, bodies = set(), set()
    kernel_of = Twin._run_kernel

    def note(twin, values):
        run.add(twin.name)
        return kernel_of(twin, values)
    monkeypatch.setattr(Twin, "_run_kernel", note)
    for twin in registry.values():
        if twin.kernel is not None:
            def body(*values, twin=twin, reference=twin.reference):
                bodies.add(twin.name)
                return reference(*values)
            monkeypatch.setattr(twin, "reference", body)
    for step in steps():
        step()
    fused = {twin.name for activation in ACTIVATIONS.values() for twin in activation.loops if twin.kernel is not None}
    expected = fused | {"dense", "dense_backward", "patches", "scatter_patches", "reparameterize", "gaussian_kl",
                        "bernoulli_nll_and_grad", "gaussian_log_density_backward"}
    assert expected <= run and not bodies


def test_no_test_hides_behind_a_package_that_is_missing():
    """What needs a package that the extra `test` does not bring is marked, and its stage of .ci/run installs it."""
    tests = pathlib.Path(__file__).parent
    found = {path.name for path in tests.rglob("test_*.py")
             if re.search(r"importorskip\(", path.read_text(encoding="utf-8"))}
    assert found <= {"test_interleave.py", "test_speed.py"}    # without numba, which the package can do without
