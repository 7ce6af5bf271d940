"""Layers as people write them, each right and with each gradient wrong in turn: the verdict, and its words."""
import random

import numpy as np
import pytest

import numpyvae as nv
from layer_styles import STYLES, Elementwise, Table, weights
from strangers import STRANGERS

check = nv.gradcheck.check


def right(gradient):
    return gradient


def transposed(gradient):
    """In its square part, so that the shape stays; a vector backwards."""
    if gradient.ndim != 2 or min(gradient.shape) == 1:
        return gradient.ravel()[::-1].reshape(gradient.shape)
    n, gradient = min(gradient.shape), gradient.copy()
    gradient[:n, :n] = gradient[:n, :n].T.copy()
    return gradient


FAULTS = {
    "doubled": lambda g: 2 * g, "mean in place of sum": lambda g: g / 4, "zero": lambda g: 0 * g,
    "one entry": lambda g: g + 0.01 * abs(g).max() * (np.arange(g.size) == 1).reshape(g.shape),
    "transposed": transposed,
}


@pytest.mark.parametrize("name", STYLES)
def test_a_right_layer_is_all_right(name):
    report = check(STYLES[name](right, right))
    assert report.ok and report.verdict == "all right" and "all right" in str(report), str(report)
    errors = {key for row in report.rows for key in row.errors}
    assert len(errors) >= (2 if "embedding" in name else 3), errors


def in_turn(names):
    """Each name with each fault: every one of both in the gate, the rest of the pairs with the marker `full`."""
    return pytest.mark.parametrize("name, fault", [
        pytest.param(name, fault, marks=() if i % len(FAULTS) == j else pytest.mark.full)
        for i, name in enumerate(names) for j, fault in enumerate(FAULTS)])


@in_turn(STYLES)
def test_each_wrong_gradient_is_found(name, fault):
    for place, hooks in enumerate(((FAULTS[fault], right), (right, FAULTS[fault]))):
        report = check(STYLES[name](*hooks))
        assert "all right" not in str(report), f"{place}: {report}"
        no_step = fault == "zero" and "learning_rate" in name    # an array that stays may be a constant
        assert report.verdict == ("not all checked" if no_step else "WRONG"), f"{place}: {report}"


@in_turn(STRANGERS)
def test_what_strangers_bring_is_judged_rightly(name, fault):
    """Right it is all right; with a fault in the first or the second gradient, if there is one, it is not."""
    used = []
    report = check(STRANGERS[name](right, lambda gradient: used.append(1) or gradient))
    assert report.verdict == "all right", str(report)
    for hooks in [(FAULTS[fault], right), *[(right, FAULTS[fault])][:len(used)]]:
        report = check(STRANGERS[name](*hooks))
        assert report.verdict == "WRONG" or (fault == "zero" and report.verdict == "not all checked"), str(report)


def test_the_strangers_are_many():
    assert len(STRANGERS) >= 45


# What is neither plainly right nor plainly wrong: the verdict, and words of the report.

class Product:
    def forward(self, x, y):
        self.x, self.y = x, y
        return x * y

    def backward(self, dout):
        return dout * self.y, dout * self.x


class Exchanged(Product):
    def backward(self, dout):
        return dout * self.x, dout * self.y


class TwoOutputs(Elementwise):
    def forward(self, x):
        return super().forward(x), x ** 2

    def backward(self, d_sine, d_square):
        return d_sine * np.cos(self.x) + 2 * self.x * d_square


class TwoOutputsTogether(TwoOutputs):
    def backward(self, dys):
        return super().backward(*dys)


class OneOutputIgnored(TwoOutputs):
    def backward(self, dy):
        return dy * np.cos(self.x)


class Loss:
    def forward(self, x, t):
        self.y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        self.t = t
        return -np.log(self.y[np.arange(len(x)), t]).mean()

    def backward(self, dout=1):
        return (self.y - np.eye(self.y.shape[1])[self.t]) / len(self.y)


class LossSummed(Loss):
    def backward(self, dout=1):
        return super().backward() * len(self.y)


class InPlace(Elementwise):
    def forward(self, x):
        self.mask = x > 0
        x *= self.mask
        return x

    def backward(self, dy):
        return dy * self.mask


class FreshNoise(InPlace):
    def forward(self, x):
        self.mask = np.random.default_rng().random(x.shape) < 0.5
        return x * self.mask


class NoiseDrawnTwice(Elementwise):
    def forward(self, x):
        return x * (np.random.rand(*x.shape) < 0.5)

    def backward(self, dy):
        return dy * (np.random.rand(*dy.shape) < 0.5)


class Forgotten(Table):
    def backward(self, dy):
        self.other = 2 * dy.sum(axis=0)
        return super().backward(dy)


class NamedByNothing(Table):
    def backward(self, dy):
        self.other = dy.sum(axis=0)
        return super().backward(dy)


class NoInputGradient(NamedByNothing):
    def backward(self, dy):
        super().backward(dy)


class AddsUp(Table):
    def __init__(self):
        super().__init__()
        self.dtable = np.zeros(7)

    def backward(self, dy):
        self.dtable += dy.sum(axis=0)
        return super().backward(dy)


class AddsUpAndCanBeZeroed(AddsUp):
    def zero_grad(self):
        self.dtable[:] = 0


class AddsUpAndIsNotZeroed(AddsUp):
    def zero_grad(self):
        pass


class GainForgotten:
    """Right as long as the gain is one."""

    def __init__(self):
        self.gain = np.ones(7)

    def forward(self, x):
        self.x = x
        return self.gain * x

    def backward(self, dy):
        self.dgain = (dy * self.x).sum(axis=0)
        return dy


class NotSummedOverTheBatch(Table):
    def backward(self, dy):
        self.dtable = dy
        return super().backward(dy)


class WholeNumbers:
    def __init__(self):
        self.W = np.arange(35).reshape(7, 5)

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = 2 * self.x.T @ dy
        return dy @ self.W.T


W = weights()[0]


class WeightOutside:
    def forward(self, x):
        self.x = x
        return x @ W

    def backward(self, dy):
        self.dW = 2 * self.x.T @ dy
        return dy @ W.T


class ReturnedForAWeightOutside(WeightOutside):
    def backward(self, dy):
        return dy @ W.T, 2 * self.x.T @ dy


def pair_with_a_closure():
    W, cache = weights()[0], {}

    def forward(x):
        cache["x"] = x
        return x @ W

    def backward(dy):
        return dy @ W.T, 2 * cache["x"].T @ dy
    return forward, backward


class Hidden(WeightOutside):
    def forward(self, x):
        self.x = x
        return x @ weights()[0]


class ReturnedForHidden(Hidden):
    def backward(self, dy):
        return dy @ weights()[0].T, 2 * self.x.T @ dy


class Slope:
    def __init__(self):
        self.alpha, self.eps = 0.25, 1e-5

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, self.alpha * x) + self.eps

    def backward(self, dy):
        self.dalpha = np.sum(dy * np.minimum(self.x, 0))
        return dy * np.where(self.x > 0, 1, self.alpha)


class SlopeDoubled(Slope):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dalpha *= 2
        return dx


class Lists:
    """One example at a time, and no NumPy at all."""

    def __init__(self):
        self.w, self.b = [[0.1 * (i - j) for i in range(7)] for j in range(5)], [0.0] * 5

    def forward(self, x):
        self.x = x
        return [sum(a * b for a, b in zip(x, row)) + b for row, b in zip(self.w, self.b)]

    def backward(self, gradient):
        self.b_grad = gradient
        self.w_grad = [[a * b for a in self.x] for b in gradient]
        return [sum(self.w[j][i] * gradient[j] for j in range(5)) for i in range(7)]


class ListsDoubled(Lists):
    def backward(self, gradient):
        dx = super().backward(gradient)
        self.w_grad = [[2 * one for one in row] for row in self.w_grad]
        return dx


class Large:
    def __init__(self):
        self.W = np.random.default_rng(0).normal(0, 0.1, (200, 100))

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


class LargeButForOneEntry(Large):
    def backward(self, dy):
        dx = super().backward(dy)
        self.dW[150, 50] *= 1.01
        return dx


BOUND = STYLES["attributes"](lambda g: 2 * g, right)

OTHERS = [
    (Elementwise, "all right", ""), (Product, "all right", "56 entries"), (Exchanged, "WRONG", "dy is wrong"),
    (TwoOutputs, "all right", ""), (TwoOutputsTogether, "all right", ""),
    (OneOutputIgnored, "not all checked", "in place 1: backward takes no dy"),
    (Loss, "all right", ""), (LossSummed, "WRONG", "a mean replaces a sum"),
    (InPlace, "WRONG", "x, which belongs to the caller, has changed"),
    (FreshNoise, "not all checked", "draws noise that cannot be held fixed"),
    (NoiseDrawnTwice, "WRONG", "redraws the noise"),
    (STYLES["noise_is_drawn"](right, right), "all right", "held fixed"),
    (Table, "not all checked", "dtable: the output depends on table, and no gradient of it was found"),
    (Forgotten, "not all checked", "dtable: the output depends on table"), (NamedByNothing, "all right", "35 entries"),
    (NoInputGradient, "not all checked", "dx: backward does not return it"),
    (AddsUp, "WRONG", "adds to old values"), (AddsUpAndIsNotZeroed, "WRONG", "adds to old values"),
    (GainForgotten, "WRONG", "dx is wrong"),
    (AddsUpAndCanBeZeroed, "all right", "adds up until zero_grad is called"),
    (STYLES["parameter_objects"](right, right), "all right", "adds up, as .grad does"),
    (NotSummedOverTheBatch, "not all checked", "for x of shape (4, 7) dtable has shape (4, 7) in place of (7,)"),
    (WholeNumbers, "not all checked", "dW: W holds whole numbers"),
    (WeightOutside, "WRONG", "dW is off by the constant factor 2"),
    (ReturnedForAWeightOutside, "WRONG", "dW is off by the constant factor 2"),
    (pair_with_a_closure(), "WRONG", "dW is off by the constant factor 2"),
    ((BOUND.forward, BOUND.backward), "WRONG", ".W is off by the constant factor 2"),
    (Hidden, "not all checked", "dW: the output depends on no array"),
    (ReturnedForHidden, "not all checked", "returned.1 by backward"),
    (Slope, "all right", "29 entries"), (SlopeDoubled, "WRONG", "dalpha is off by the constant factor 2"),
    (Lists, "not all checked", "a batch"), (ListsDoubled, "WRONG", "dw is off by the constant factor 2"),
    (Large, "all right", "dW was checked in 120 sums of its 20000 entries"),
    (LargeButForOneEntry, "WRONG", "dW is wrong in 1 of 120 sums of its entries"),
]


@pytest.mark.parametrize("layer, verdict, words", OTHERS, ids=lambda one: getattr(one, "__name__", None))
def test_the_verdict_says_what_was_checked(layer, verdict, words):
    report = check(layer)
    assert report.verdict == verdict and words in str(report), str(report)
    assert report.ok == (verdict == "all right") and ("all right" in str(report)) == report.ok


def test_an_input_can_be_given(rng):
    assert check(Product, (rng.normal(size=(2, 3)), rng.normal(size=(2, 3)))).rows[0].entries == 12
    assert check(Product(), (rng.normal(size=(2, 3)), rng.normal(size=(2, 1)))).verdict == "WRONG"    # not summed back
    assert check(nv.Reshape((2, 3, 1)), rng.normal(size=(2, 6))).ok
    with pytest.raises(ValueError, match=r"layer Dense: forward raises .* for x of shape \(2, 3\); expected"):
        check(STYLES["attributes"](right, right), np.ones((2, 3)))
    for x in ([[1.0]], np.array(["a"]), (), (1.0,), np.array([np.nan])):
        with pytest.raises(TypeError, match="check: x is .*; expected an array of finite real numbers"):
            check(Product, x)


class Relu:
    factor = 1

    def forward(self, x):
        self.mask = x > 0
        return x * self.mask

    def backward(self, dy):
        return self.factor * dy * self.mask


class DenseRelu(Relu):
    def forward(self, x):
        self.h = x @ weights()[0]
        return np.maximum(self.h, 0)

    def backward(self, dy):
        return self.factor * (dy * (self.h >= 0)) @ weights()[0].T


class Largest(Relu):
    """All entries that share the maximum get its gradient."""

    def forward(self, x):
        self.mask = x == x.max(axis=1, keepdims=True)
        return x.max(axis=1)

    def backward(self, dy):
        return self.factor * dy[:, None] * self.mask


class Sine(Relu):
    def forward(self, x):
        self.mask = np.cos(x)
        return np.sin(x)


AT_KINKS = np.where(np.arange(28).reshape(4, 7) % 3, 0.0, 1.0)
AT_KINKS[1] = 0


@pytest.mark.parametrize("x", [AT_KINKS, np.zeros((4, 7))], ids=["many", "all"])
@pytest.mark.parametrize("layer", [Relu, DenseRelu, Largest])
def test_a_kink_at_x_accuses_nobody(layer, x):
    report = check(layer, x)
    assert report.ok and "checked beside it" in str(report), str(report)
    assert check(type("Doubled", (layer,), {"factor": 2}), x).verdict == "WRONG"


@pytest.mark.parametrize("size", [1e-9, 1e-6, 1e-3, 255, 1e6])
@pytest.mark.parametrize("layer", [Relu, DenseRelu, Largest, Sine])
def test_the_step_scales_with_x(layer, size, rng):
    x = size * rng.normal(size=(4, 7))
    report = check(layer, x)
    assert report.ok, str(report)
    report = check(type("Doubled", (layer,), {"factor": 2}), x)
    assert report.findings == ["dx is off by the constant factor 2: a 1/2 is missing, or there is a 2 too many"]


class Affine(WeightOutside):
    """Right but for what is done to the gradient before a step."""

    def __init__(self, change):
        self.W, self.change = weights()[0], change

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.change(self.x.T @ dy, self.W)
        return dy @ self.W.T


DECAY = "dW has 0.1 W added, as for weight decay, of which forward knows nothing; but for that"


@pytest.mark.parametrize("change, words", [
    (lambda dW, W: dW + 0.1 * W, f"{DECAY} it is right"),
    (lambda dW, W: 2 * dW + 0.1 * W, f"{DECAY} it is off by the constant factor 2"),
    (lambda dW, W: np.clip(dW, -1, 1), "dW is right but for being clipped at 1"),
    (lambda dW, W: dW / max(1, np.linalg.norm(dW)), "dW is right but for its length, which is cut to 1"),
    (lambda dW, W: dW + 0.1, "dW is too large by 0.1 everywhere: a term is added that does not belong there; and a "
                             "part of it does not depend on the upstream gradient")])
def test_what_is_done_to_a_gradient_before_a_step_is_named(change, words):
    (finding,) = check(Affine(change)).findings
    assert finding.startswith(words), finding


class Huber:
    def __init__(self, far=5):
        self.far = far

    def forward(self, x, t):
        self.d = x - t
        return np.where(abs(self.d) < 5, self.d ** 2 / 2, 5 * abs(self.d) - 12.5).sum()

    def backward(self):
        return np.where(abs(self.d) < 5, self.d, self.far * np.sign(self.d))


class ClipAtSix(Elementwise):
    def __init__(self, limit=6):
        self.limit = limit

    def forward(self, x):
        self.x = x
        return np.clip(x, 0, 6)

    def backward(self, dy):
        return dy * ((self.x > 0) & (self.x < self.limit))


class Shrink(ClipAtSix):
    """A kink near zero."""

    def forward(self, x):
        self.x = x
        return np.where(abs(x) < 0.05, 2 * x, x)

    def backward(self, dy):
        return dy * np.where(abs(self.x) < 0.05, self.limit / 3, 1)


class ByDimension(Elementwise):
    def __init__(self, factor=3):
        self.factor = factor

    def forward(self, x):
        self.in_time = x.ndim == 3
        if self.in_time:
            return 3 * x
        return 2 * x

    def backward(self, dy):
        if self.in_time:
            return self.factor * dy
        return 2 * dy


class OneHot:
    def __init__(self, factor=1):
        self.factor = factor

    def forward(self, x, t):
        self.y, self.t = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), t
        if t.ndim == 1:
            self.t = np.eye(x.shape[1])[t]
        return -(self.t * np.log(self.y)).sum()

    def backward(self):
        if np.allclose(self.t, 0.0):
            return self.t
        return self.y - self.t


class OneHotWrong(OneHot):
    def forward(self, x, t):
        self.is_one_hot = t.ndim == 2
        return super().forward(x, t)

    def backward(self):
        if self.is_one_hot:
            return self.y
        return super().backward()


@pytest.mark.parametrize("right_one, wrong_one, words", [
    (Huber(), Huber(2), "for 10 times this x, dx is wrong"), (ClipAtSix(), ClipAtSix(1e9), "for 10 times this x, dx"),
    (Shrink(), Shrink(3), "for 0.03 times this x, dx"),
    (ByDimension(), ByDimension(2), "for x of shape (4, 3, 7), dx is"),
    (OneHot(), OneHotWrong(), "for x of shape (4, 7), labels as one-hot, dx is wrong")])
def test_what_a_usual_x_does_not_reach_is_tried_too(right_one, wrong_one, words):
    report = check(right_one)
    assert report.ok, str(report)
    report = check(wrong_one)
    assert report.verdict == "WRONG" and words in report.findings[0], str(report)


def test_lines_that_no_x_reached_are_named():
    report = check(OneHot())
    assert "not tried, because no x reached it: line" in str(report) and "of backward, return self.t" in str(report)
    report = check(ByDimension(), np.ones((4, 7)))    # a given x is all that is tried
    assert report.ok and "return self.factor * dy" in str(report) and "return 3 * x" in str(report)
    assert "not tried" not in str(check(ByDimension()))


def test_a_class_is_made_for_the_given_x(rng):
    report = check(STYLES["dinputs_in_an_attribute"](right, right), rng.normal(size=(2, 3)))
    assert report.ok and report.rows[0].entries == 2 * 3 + 3 * 5 + 5


def test_what_a_layer_prints_is_not_shown(capsys):
    assert check(STRANGERS["it_prints"](right, right)).ok
    assert capsys.readouterr().out == ""


def test_half_precision_tells_no_derivative():
    class Half(Elementwise):
        def forward(self, x):
            return x.astype(np.float16) * np.float16(2)

        def backward(self, dy):
            return 2 * dy

    report = check(Half)
    assert report.verdict == "not all checked" and "three digits, as in float16" in str(report)


def test_a_gradient_too_small_to_be_told_from_rounding_is_not_all_right(rng):
    class Tiny(Elementwise):
        def forward(self, x):
            return 1 + 1e-10 * x

        def backward(self, dy):
            return 3e-10 * dy

    report = check(Tiny)
    assert report.verdict == "not all checked" and "too small to be told from rounding" in str(report)


def test_what_has_no_backward_is_refused_with_what_it_lacks():
    def lonely(x):
        return x

    with pytest.raises(ValueError, match="layer lonely: no lonely_backward stands beside it, and it does not return"):
        check(lonely)


def test_old_gradients_do_no_harm(rng):
    """A layer that has been trained: its gradients are those of another batch, and are added to."""
    layer = STYLES["parameter_objects"](right, right)
    layer(rng.normal(size=(3, 7)))
    layer.backward(np.ones((3, 5)))
    before = layer.weight.grad.copy()
    assert check(layer).ok and np.array_equal(layer.weight.grad, before) and before.any()


def test_our_own_layers_are_taken_as_anybodys(rng):
    for layer in (nv.Sequential([nv.Dense(6, 4, "tanh", rng=rng), nv.Dense(4, 3, rng=rng)]), nv.Flatten(),
                  nv.Conv2d(3, 2, (3, 2), (2, 1), (1, 0), rng=rng), nv.ConvTranspose2d(3, 2, (3, 2), rng=rng)):
        report = check(layer)
        assert report.ok, str(report)


@pytest.mark.parametrize("name", ["single_precision", "views_of_one_vector", "parameter_objects", "noise_is_drawn",
                                  "lists_of_params_and_grads", "added_up_made_late_and_flushed"])
def test_the_layer_and_the_world_are_left_as_they_were(name):
    layer = STYLES[name](right, right)
    layer = layer(*weights()) if name.startswith("lists") else layer() if isinstance(layer, type) else layer
    held = {path: value.copy() for path, _, _, value in nv.gradcheck.parts.walk(layer) if isinstance(value, np.ndarray)}
    ids = {key: id(value) for key, value in vars(layer).items()}
    noise = random.getstate(), np.random.get_state()[1].tolist()
    assert check(layer).ok
    after = {path: value for path, _, _, value in nv.gradcheck.parts.walk(layer) if isinstance(value, np.ndarray)}
    assert held.keys() == after.keys() and all(np.array_equal(held[path], after[path]) for path in held)
    assert {key: id(value) for key, value in vars(layer).items()} == ids
    assert (random.getstate(), np.random.get_state()[1].tolist()) == noise


def test_layers_of_frameworks_are_refused_in_a_sentence():
    module = type("Module", (), {"__module__": "torch.nn.modules.module", "forward": lambda self, x: x})
    for layer in (module, module(), type("Own", (module,), {"backward": lambda self, d: d})):
        with pytest.raises(TypeError, match="layer is made of PyTorch's Module.*by itself; expected a layer"):
            check(layer)


def test_a_small_number_that_only_forward_knows_is_said_to_be_that():
    class Same:
        def forward(self, x):
            return x + 1e-5 * x

        def backward(self, dy):
            return dy

    report = check(Same())
    assert report.verdict == "WRONG" and "factor 0.99999" in str(report) and "right but for that" in str(report)
