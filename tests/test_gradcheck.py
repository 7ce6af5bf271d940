"""Every gradient of the package, and the checker itself: a wrong gradient must be found, and named in words."""
import json

import numpy as np
import pytest

import numpyvae as nv
from numpyvae import gradcheck as g
from numpyvae.functional.activations import ACTIVATIONS
from numpyvae.cli import main
from numpyvae.gradcheck.diagnosis import diagnose
from numpyvae.gradcheck.layers import layer_examples
from numpyvae.gradcheck.models import CONSTRUCTORS, model_examples
from numpyvae.gradcheck.objectives import OBJECTIVES
from numpyvae.gradcheck.pairs import pairs
from numpyvae.nn.layers import Dense
from numpyvae.twin import registry
from tests.test_contracts import layer_classes


@pytest.mark.parametrize("name", g.components())
@pytest.mark.parametrize("method", g.TOLERANCE)
def test_every_gradient_is_right(name, method):
    row = g.check_component(name, g.components()[name], method)
    assert row.ok and row.entries, f"{row.worst}"


def test_every_component_is_checked():
    """Whatever is added later fails here until it has a gradient check or declares that it has no gradient."""
    checked = {twin.name for pair in pairs() for twin in pair}
    unchecked = {name for name, twin in registry.items() if twin.wrt and twin.name not in checked}
    assert not unchecked
    examples = [type(make()[0]) for _, make in layer_examples()]
    assert layer_classes() <= set(examples)
    networks = {kind.__name__ + network for kind in CONSTRUCTORS for network in ("", ".conv")}
    networks |= {"DiagonalByOneSample", "FullByOneSample"}
    assert {name.split("(")[0] for name, _ in model_examples()} == networks
    assert set(nv.objectives.__all__) == set(OBJECTIVES)


def test_the_table_is_as_large_as_the_package(monkeypatch):
    asked = []
    monkeypatch.setattr(g, "check_component", lambda name, check, method: asked.append((name, method)))
    g.gradcheck()
    assert asked == [(name, method) for name in g.components() for method in g.TOLERANCE] and len(asked) > 400


@pytest.mark.parametrize("method, step", [("complex-step", 1e-30), ("central-differences", 1e-5)])
def test_differentiate_knows_a_derivative_from_the_book(method, step, rng):
    x = rng.standard_normal((2, 3)).astype(complex if method == "complex-step" else float)
    gradient = g.differentiate(lambda: np.sum(np.sin(x) * np.exp(x)), x, method)
    real = x.real
    np.testing.assert_allclose(gradient, np.exp(real) * (np.sin(real) + np.cos(real)),
                               rtol=1e-14 if method == "complex-step" else 1e-8)


MODELS = [*(kind.__name__ for kind in CONSTRUCTORS), "DiagonalByOneSample", "FullByOneSample"]

# The checker is checked: wrong gradients are planted in the package.

WRONG = {
    "a factor of 1.0005": lambda dy, y: 1.0005 * dy * (1 - y**2),
    "a sign": lambda dy, y: dy * (1 + y**2),
    "a dropped factor": lambda dy, y: dy,
    "one row": lambda dy, y: dy * (1 - y**2) * (np.arange(len(y)) < len(y) - 1)[:, None],
    "the input's slope": lambda dy, y: dy * (1 - np.tanh(y)**2),
    "not a number": lambda dy, y: dy * np.nan,
    "one entry, by little": lambda dy, y: dy * (1 - y**2) + 1e-10 * (np.arange(y.size).reshape(y.shape) == 3),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_planted_wrong_gradient_is_found(wrong, monkeypatch):
    twin = registry["numpyvae.functional.activations.tanh_backward"]
    monkeypatch.setattr(twin, "reference", WRONG[wrong])
    report = g.gradcheck("tanh", "complex-step")
    assert "tanh" in [row.component for row in report.failed]
    assert "WRONG" in str(report)


@pytest.mark.parametrize("component", ["(bernoulli", "Dense", pytest.param("", marks=pytest.mark.full)])
def test_a_wrong_layer_is_found_in_every_model_that_has_it(component, monkeypatch):
    right = Dense.backward

    def without_last_row(self, dy, need_dx=True):
        dx = right(self, dy, need_dx)
        self.grads["b"] -= dy[-1] if self.activation == "identity" else 0
        return dx

    monkeypatch.setattr(Dense, "backward", without_last_row)
    failed = {row.component for row in g.gradcheck(component, "complex-step").failed}
    with_it = {name for name in g.components() if name.startswith((*MODELS, *OBJECTIVES, "Dense(identity)"))}
    assert failed == {name for name in with_it if component in name} != set()


def test_a_loss_that_is_reported_but_not_trained_is_found(monkeypatch):
    right = nv.VAE.loss_and_grad

    def with_another_mean(self, x, eps, labels=None):
        terms = right(self, x, eps, labels)
        return terms._replace(loss=terms.nll / x.shape[1] + terms.kl)

    monkeypatch.setattr(nv.VAE, "loss_and_grad", with_another_mean)
    report = g.gradcheck("VAE(bernoulli, beta=1", "complex-step")    # the checks of VAE and of its other constructors
    assert {row.component.split("(")[0]: row.worst[0] for row in report.failed} == {
        name: "loss[0]" for name in ("VAE", "FullCovarianceVAE", "ConditionalVAE")}


# The command.

def test_the_command_prints_a_table(capsys):
    assert main(["gradcheck", "--component", "gaussian_kl"]) == 0
    printed = capsys.readouterr().out
    assert "gaussian_kl" in printed and "complex-step" in printed and "all right" in printed


def test_the_command_speaks_json_and_fails(capsys, monkeypatch):
    twin = registry["numpyvae.functional.gaussian.gaussian_kl_backward"]
    monkeypatch.setattr(twin, "reference", lambda dkl, mu, logvar: (mu, dkl[:, None] * mu))
    assert main(["gradcheck", "--component", "gaussian_kl", "--json", "--method", "complex-step"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert result["failed"] == 3 and not result["rows"][0]["ok"]    # full_gaussian_kl and the KL per dimension use it


def test_an_unknown_component_is_named(capsys):
    assert main(["gradcheck", "--component", "lstm"]) == 1
    assert "component is 'lstm'" in capsys.readouterr().err


def test_a_notebook_shows_table_and_heat_map():
    page = g.gradcheck("Dense", "complex-step")._repr_html_()
    assert page.count("<tr>") == 1 + len(ACTIVATIONS) and "data:image/png;base64," in page


# A learner's own components.

class Own:
    """A dense tanh layer whose gradients each pass through a fault before they are handed on."""

    def __init__(self, n_in=7, n_out=5, fault=None):
        rng = np.random.default_rng(3)
        self.params = {"W": rng.normal(size=(n_in, n_out)), "b": np.zeros(n_out)}
        self.grads, self.fault = {}, fault or (lambda self, dy, dx, dW, db: (dx, dW, db))

    def forward(self, x):
        self.x, self.y = x, np.tanh(x @ self.params["W"] + self.params["b"])
        return self.y

    def backward(self, dy):
        da = dy * (1 - self.y**2)
        dx, self.grads["W"], self.grads["b"] = self.fault(
            self, dy, da @ self.params["W"].T, self.x.T @ da, da.sum(axis=0))
        return dx


def only_last_row(dx):
    dx = dx.copy()
    dx[:-1] *= 0.3
    return dx


def accumulate(self, dW):
    self.total = getattr(self, "total", 0) + dW
    return self.total


FAULTS = {
    "dW is the transpose of what it should be": lambda s, dy, dx, dW, db: (dx, dW.T, db),
    "dx is off by the constant factor 2: a 1/2 is missing": lambda s, dy, dx, dW, db: (2 * dx, dW, db),
    "db is off by the constant factor -1: the sign is wrong": lambda s, dy, dx, dW, db: (dx, dW, -db),
    "dW is off by the constant factor 0.25: the batch has 4 rows": lambda s, dy, dx, dW, db: (dx, dW / 4, db),
    "dx is off by the constant factor 1.0005": lambda s, dy, dx, dW, db: (1.0005 * dx, dW, db),
    "dx is right for the last row only": lambda s, dy, dx, dW, db: (only_last_row(dx), dW, db),
    "dW is right for column 1 only": lambda s, dy, dx, dW, db: (dx, dW * np.array([2, 1, 3, 4, 5]), db),
    "db is zero everywhere": lambda s, dy, dx, dW, db: (dx, dW, 0 * db),
    "db is too large by 0.5 everywhere": lambda s, dy, dx, dW, db: (dx, dW, db + 0.5),
    "dx holds NaN": lambda s, dy, dx, dW, db: (dx * np.nan, dW, db),
    "depends on the upstream gradient's sign": lambda s, dy, dx, dW, db: (
        dx, dW, db * np.where(dy.sum(axis=0) > 0, 1, 0.5)),
    "does not depend on the upstream gradient's sign": lambda s, dy, dx, dW, db: (abs(dx), dW, db),
    "not proportional to the upstream gradient": lambda s, dy, dx, dW, db: (dx, dW, db**3),
    "changes when backward is called again": lambda s, dy, dx, dW, db: (dx, accumulate(s, dW), db),
    r"db has shape \(1,\); expected \(5,\)": lambda s, dy, dx, dW, db: (dx, dW, db[:1]),
    "backward writes into dy": lambda s, dy, dx, dW, db: (dx, dW, db + 0 * dy.__imul__(2)[0]),
}


def test_a_right_layer_of_a_learner_passes():
    report = g.check(Own)
    assert report.ok and not report.findings, str(report)


@pytest.mark.parametrize("words", FAULTS)
def test_a_fault_is_named_in_words(words):
    import re
    report = g.check(Own(fault=FAULTS[words]))
    assert not report.ok
    assert any(re.search(words, finding) for finding in report.findings), str(report)


def test_our_own_layers_pass_as_a_learners_would(rng):
    assert g.check(Dense(6, 3, "softplus", rng=rng, dtype=np.float64)).ok


def test_a_square_transpose_is_named(rng):
    expected = rng.normal(size=(3, 3))
    assert diagnose("dW", expected.T, expected, 4) == "dW is the transpose of what it should be"
    assert diagnose("dW", expected, expected, 4) is None


SOURCE = """
import numpy as np
class Scale:
    def __init__(self): self.params, self.grads = {"s": np.ones(7)}, {}
    def forward(self, x): self.x = x; return x * self.params["s"]
    def backward(self, dy): self.grads["s"] = (dy * self.x).sum(axis=0); return dy * self.params["s"]
class Needy:
    def __init__(self, a, b, c, d): pass
class Headless: pass
def square(x): return x**2
def square_backward(dy, x): return dy * x
def alone(x): return x
"""


@pytest.fixture
def learner(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)


def test_the_command_examines_a_learners_file(learner, capsys):
    assert main(["gradcheck", "mine.py:Scale"]) == 0
    assert main(["gradcheck", "mine.py:square"]) == 1
    assert "dx is off by the constant factor 0.5: a 2 is missing" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--component=Dense", "--method=complex-step"])
def test_options_without_effect_on_ones_own_layer_are_refused(option, learner, capsys):
    assert main(["gradcheck", "mine.py:Scale", option]) == 1
    name, value = option.split("=")
    assert f"{name} is {value!r}, which has no effect on a layer of your own" in capsys.readouterr().err


@pytest.mark.parametrize("place, named", [
    ("mine.py:Nothing", "does not define Nothing"), ("mine.py:alone", "no alone_backward"),
    ("mine.py", "expected FILE.py:NAME"),
    ("none.py:A", "none.py does not exist"), ("broken.py:A", "cannot be run: ZeroDivisionError"),
    ("mine.py:Needy", "Needy cannot be constructed"), ("mine.py:Headless", "has no method forward"),
])
def test_what_cannot_be_examined_is_named(place, named, learner, capsys):
    assert main(["gradcheck", place]) == 1
    printed = capsys.readouterr()
    assert named in printed.err and "Traceback" not in printed.err


def test_a_layer_whose_gradients_are_missing_is_refused_in_a_sentence(rng):
    class WithoutGrads:
        def __init__(self):
            self.params = {"W": np.eye(3)}

        def forward(self, x):
            return x @ self.params["W"]

        def backward(self, dy):
            return dy @ self.params["W"].T

    class Identity:
        def forward(self, x):
            return x

        def backward(self, dy):
            return dy
    x = rng.standard_normal((4, 3))
    with pytest.raises(TypeError, match="which has the parameter W but no grads; expected a gradient for each"):
        g.check_layer(WithoutGrads(), x, "central-differences")
    assert set(g.check_layer(Identity(), x, "central-differences")) == {"x"}    # it has no parameters
