"""The harness that checks the checks, checked: its mutations, its verdicts, and that it leaves no trace."""
import ast
import inspect
import json
from importlib.util import find_spec

import numpy as np
import pytest

from mutants import __main__ as command
from mutants import checks, equivalents, harness
from mutants.operators import Source
from mutants.targets import package_classes, package_modules, plain_python, swapped_half, targets
from numpyvae.twin import registry

pytestmark = pytest.mark.skipif(find_spec("numba") is None, reason="the kernels are mutated too")


def affine_backward(dy, x, W):
    """Nothing here is mutated."""
    scale = 0.5
    dW = x.T @ dy
    dW += scale * W
    return dy @ W.T, dW, dy.sum(axis=0)


def loss_and_grad(x):
    y = x * 3.0
    dtheta = 2.0 * y
    # backward
    dx = dtheta * 5.0
    return y, dx


def texts(function, *arguments):
    return [str(mutant) for mutant in Source(function, *arguments).mutants()]


@pytest.mark.parametrize("mutant", [
    "operator: scale * W  ->  scale + W", "sign: x.T @ dy  ->  -(x.T @ dy)", "constant: 0.5  ->  1.0",
    "x 1.0005: dW  ->  dW * 1.0005", "dropped term: scale * W  ->  W", "transpose: W.T  ->  W",
    "operands swapped: x.T @ dy  ->  dy @ x.T", "mean for sum: dy.sum(axis=0)  ->  dy.mean(axis=0)",
    "constant: 0  ->  1", "wrong variable: dy  ->  x", "dropped statement: dW += scale * W  ->  pass",
    "accumulation: dW += scale * W  ->  dW = scale * W", "dropped argument: dy.sum(axis=0)  ->  dy.sum()",
    "results swapped: (dy @ W.T, dW, dy.sum(axis=0))  ->  (dW, dy @ W.T, dy.sum(axis=0))",
    "order: dW += scale * W  before  dW = x.T @ dy",
])
def test_people_s_mistakes_are_among_the_mutations(mutant):
    assert any(text.startswith(mutant) for text in texts(affine_backward))


def test_a_mutant_computes_something_else_and_the_source_is_whole_again(rng):
    arguments = rng.normal(size=(4, 3)), rng.normal(size=(4, 5)), rng.normal(size=(5, 3))
    source = Source(affine_backward)
    before = ast.unparse(source.module)
    mutant = next(mutant for mutant in source.mutants() if mutant.text.startswith("scale * W  ->  scale + W"))
    changed, right = source.compile(mutant)(*arguments), affine_backward(*arguments)
    np.testing.assert_array_equal(changed[0], right[0])
    assert abs(changed[1] - right[1]).min() > 0
    assert ast.unparse(source.module) == before
    np.testing.assert_array_equal(source.compile()(*arguments)[1], right[1])


def test_only_the_backward_half_is_mutated():
    changed = "\n".join(texts(loss_and_grad, "# backward"))
    assert "in: dx = " in changed and "in: dtheta = " in changed and "in: return" in changed
    assert "in: y = " not in changed


@pytest.mark.parametrize("outcome, verdict", [
    ([np.ones(3), None], "same"), ([np.ones(3) + 1e-15, None], "rounding"),
    ([np.ones(3) + 1e-9, None], "wrong"), ([np.ones(4), None], "wrong shape"),
    ([np.ones(3), np.ones(3)], "wrong shape"), ([np.ones(3)], "wrong shape"),
    ([np.full(3, np.nan), None], "wrong"), ([np.ones(3, np.float32), None], "wrong"), (IndexError(), "crash"),
])
def test_outcomes_are_told_apart(outcome, verdict):
    assert harness.compare(outcome, [np.ones(3), None]) == verdict


def test_every_function_that_computes_a_gradient_is_a_target():
    owners = [*package_modules(), *package_classes()]
    functions = {value for owner in owners for value in vars(owner).values() if inspect.isfunction(value)
                 and (value.__name__ == "backward"
                      or value.__name__.endswith(("_backward", "_backward_bias", "_and_grad")))
                 and value.__name__ != "save_for_backward"}    # which keeps what somebody's own layer gives it
    mutated = {target.function.__code__.co_code for target in targets()}    # for a loop: its copies, one for each name
    missed = {function for function in functions if function.__code__.co_code not in mutated}
    assert not missed
    assert len(functions) > 20


def test_nothing_stays_patched():
    twin = registry["numpyvae.functional.gaussian.gaussian_kl_backward"]
    before = twin.reference, twin.kernel, twin._compiled, np.empty, np.empty_like
    with pytest.raises(ZeroDivisionError):
        with plain_python(), swapped_half(twin, "kernel", max):
            assert twin._compiled is twin.kernel is max
            1 / 0
    assert (twin.reference, twin.kernel, twin._compiled, np.empty, np.empty_like) == before


@pytest.mark.full    # the gate runs them all instead
@pytest.mark.parametrize("name", ["gaussian_kl_backward", "tanh_slope", "Sequential.backward"])
def test_no_mutant_survives(name):
    """A slice of `python -m tests.mutants`, which runs them all."""
    with plain_python():
        results = [result for target in targets() if target.name == name
                   for result in harness.examine(target)]
    assert not [str(result) for result in results if result.verdict in harness.FAILURES]
    assert sum(result.verdict == "killed" for result in results) >= 10


@pytest.mark.full
def test_a_planted_wrong_gradient_fails_the_checks():
    with plain_python():
        assert not checks.run_unmutated().failed
    for target in targets():
        if target.kind in ("reference", "kernel") and target.name in target.twins:
            def wrong(upstream, *others, right=target.function):
                return right(upstream * upstream.dtype.type(1.0005), *others)

            with plain_python(), target.swap(wrong):
                assert checks.failing(list(checks.checks_of(target))) is not None, target.name


def test_a_function_that_nothing_runs_is_named():
    target = targets()[0]._replace(outcomes=[])
    with pytest.raises(LookupError, match="nothing runs relu_backward"):
        list(harness.examine(target))


@pytest.fixture
def few_checks(monkeypatch):
    """Gradient checks of relu and softplus alone: with all of them the rig takes a minute to begin."""
    few = {name: check for name, check in checks.all_components().items() if "relu" in name or "softplus" in name}
    monkeypatch.setattr(checks, "all_components", lambda: few)
    monkeypatch.setattr(checks, "_unmutated", None)


def test_the_command_counts_and_passes(few_checks, tmp_path, capsys):
    assert command.main(["--target", "softplus_slope", "--json", str(tmp_path / "counts.json")]) == 0
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["failures"] == []
    assert counts["mutants"] == sum(counts["verdicts"].values()) >= 8
    assert f"{counts['mutants']} mutants" in capsys.readouterr().out


def test_a_blind_check_lets_mutants_survive_and_the_command_fails(few_checks, monkeypatch, capsys):
    monkeypatch.setattr(checks, "failing", lambda target: None)
    assert command.main(["--target", "softplus_slope"]) == 1
    assert "survived: kernel softplus_slope: sign: " in capsys.readouterr().out


def test_an_equivalent_mutant_needs_a_reason(few_checks, monkeypatch, capsys):
    assert command.main(["--target", "relu_slope"]) == 0
    monkeypatch.setattr(equivalents, "ROWS", [])
    assert command.main(["--target", "relu_slope"]) == 1
    assert "unlisted: kernel relu_slope: x 1.0005: y " in capsys.readouterr().out


def test_a_listed_mutant_that_is_wrong_is_not_excused(few_checks, monkeypatch):
    monkeypatch.setattr(equivalents, "ROWS", [equivalents.Row(".*", ".*", "anything goes")])
    monkeypatch.setattr(checks, "failing", lambda target: None)
    assert command.main(["--target", "softplus_slope"]) == 1
