"""What is mutated: every backward pass, found by walking the package; and inputs that tell mutants apart."""
from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import pathlib
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import numpyvae
from numpyvae.training import objectives
from numpyvae import twin as switch
from numpyvae.functional.convolution import transposed_size
from numpyvae.gradcheck.layers import layer_examples, parameter_owners, spoil_grads
from numpyvae.gradcheck.models import model_examples
from numpyvae.gradcheck.objectives import OBJECTIVES, objective_examples
from numpyvae.gradcheck.pairs import EXAMPLE_PAIRS, example_of, kept_by, pairs, put_on_edges, shape_of
from numpyvae.models import posteriors
from numpyvae.models.likelihoods import make_likelihood
from numpyvae.nn.layers import Dense
from numpyvae.twin import Spec, Twin, is_array, kernels_off, registry

SIZES = ((4, 7, 5, 3), (1, 2, 6, 3), (6, 3, 2, 5, 4))    # of a twin's axes, in order of appearance

Outcome = list[Any]    # what a run returned, and what it left in its arguments


class Target(NamedTuple):
    """A function to mutate, how a mutant takes its place, and what it does there."""

    kind: str
    name: str
    function: Callable[..., Any]
    swap: Callable[[Callable[..., Any]], contextlib.AbstractContextManager[None]]
    outcomes: list[Callable[[], Outcome]]
    twins: tuple[str, ...] = ()    # names of the backward twins that are made of the function
    after_comment: str | None = None


@functools.cache
def targets() -> list[Target]:
    """Every backward pass of the package."""
    return [*twin_targets(), *helper_targets(), *method_targets(), *gradient_sum_targets(), *objective_targets()]


# Twins: the reference, the kernel, and what the kernel calls.

def twin_targets() -> Iterator[Target]:
    for forward, backward in pairs():
        for kind in ("reference", "kernel") if backward.kernel is not None else ("reference",):
            yield Target(kind, backward.name, getattr(backward, kind),
                         functools.partial(swapped_half, backward, kind),
                         list(twin_outcomes(forward, backward, kind)), (backward.name,))


def helper_targets() -> Iterator[Target]:
    users: dict[Any, list[tuple[Twin, Twin]]] = {}
    places: dict[Any, list[tuple[dict[str, Any], str]]] = {}
    for forward, backward in pairs():
        for helper, place in helpers(backward.kernel) if backward.kernel is not None else ():
            users.setdefault(helper, []).append((forward, backward))
            places.setdefault(helper, []).append(place)
    for helper, twins in users.items():
        yield Target("kernel", helper.__name__, helper, functools.partial(swapped_globals, places[helper]),
                     [run for pair in twins for run in twin_outcomes(*pair, "kernel")],
                     tuple(backward.name for _, backward in twins))


def helpers(kernel: Callable[..., Any]) -> Iterator[tuple[Callable[..., Any], tuple[dict[str, Any], str]]]:
    """The functions of its own file that a kernel calls, and those that they call; with the globals, and the
    name there, through which it finds each: a loop made for one activation has globals of its own."""
    for name in kernel.__code__.co_names:
        helper = kernel.__globals__.get(name)
        if isinstance(helper, types.FunctionType) and helper.__module__ == kernel.__module__:
            yield helper, (kernel.__globals__, name)
            yield from helpers(helper)


def twin_outcomes(forward: Twin, backward: Twin, kind: str) -> Iterator[Callable[[], Outcome]]:
    def run(arguments):
        copies = [value.copy() if isinstance(value, np.ndarray) else value for value in arguments]
        return [getattr(backward, kind)(*copies), [copy for copy in copies if isinstance(copy, np.ndarray)]]

    flags = [i for i, spec in enumerate(backward.shapes.values()) if spec == "flag"]
    for seed, sizes in enumerate(SIZES):
        for dtype in (np.float64, np.float32):
            arguments = backward_arguments(forward, backward, sizes, dtype, np.random.default_rng(seed))
            yield functools.partial(run, arguments)
            for i in flags:
                yield functools.partial(run, [*arguments[:i], False, *arguments[i + 1:]])


def backward_arguments(forward: Twin, backward: Twin, sizes: tuple[int, ...], dtype: Any,
                       rng: np.random.Generator) -> list[Any]:
    """Random arguments for a backward twin; those called y and kept are what the forward twin returns."""
    lengths: dict[str, int] = {}
    pairs = iter(EXAMPLE_PAIRS)

    def draw(spec: Spec) -> Any:
        if not is_array(spec):
            example = example_of(spec, pairs)
            return dtype(rng.uniform(0.5, 2.0)) if isinstance(example, float) else example
        return rng.normal(0, 1.5, shape_of(spec, lengths, sizes)).astype(dtype)

    if {"x", "dy", "stride"} <= backward.shapes.keys():
        make_room(lengths, backward, sizes)
    arguments = {name: draw(spec) for name, spec in backward.shapes.items()}
    for name in backward.writes:
        arguments[name].fill(np.nan)
    put_on_edges(arguments, forward)
    if {"y", "kept"} & set(arguments):
        y, kept = kept_by(forward, {name: draw(spec) for name, spec in forward.shapes.items()})
        arguments |= {name: value for name, value in (("y", y), ("kept", kept)) if name in arguments}
    return list(arguments.values())


def make_room(lengths: dict[str, int], convolution: Twin, sizes: tuple[int, ...]) -> None:
    """Make a picture as large as all its windows, and a pixel larger where the stride is, which no window sees."""
    for spec in filter(is_array, convolution.shapes.values()):
        shape_of(str(spec), lengths, sizes)
    for side, places, window, stride, padding in zip("HW", "PQ", "KL", *EXAMPLE_PAIRS[:2]):
        lengths[side] = transposed_size(lengths[places], lengths[window], stride, padding, 1 if stride > 1 else 0)


# Methods: layers, likelihoods, models.

def method_targets() -> Iterator[Target]:
    for cls in package_classes():
        for name, (kind, outcomes, after_comment) in BACKWARD_METHODS.items():
            if issubclass(cls, posteriors.Posterior):
                kind, outcomes = "posterior", posterior_outcomes
            if inspect.isfunction(vars(cls).get(name)):
                yield Target(kind, f"{cls.__name__}.{name}", vars(cls)[name],
                             functools.partial(swapped_attribute, cls, name), list(outcomes(cls)),
                             after_comment=after_comment)


def gradient_sum_targets() -> Iterator[Target]:
    """The functions that add up gradients for q, swapped in each module that uses them."""
    for function in (posteriors.joined, posteriors.summed):
        name = function.__name__
        yield Target("model", name, function,
                     functools.partial(swapped_globals, [(vars(module), name) for module in (posteriors, objectives)
                                                         if hasattr(module, name)]),
                     [*posterior_outcomes(posteriors.Posterior), *objective_outcomes("iwae")])


def objective_targets() -> Iterator[Target]:
    """The backward halves of objectives.py; functions without one, which only choose an estimator, as a whole."""
    for name, function in vars(objectives).items():
        if (inspect.isfunction(function) and function.__module__ == objectives.__name__
                and not name.startswith("_check")):
            function = inspect.unwrap(function)    # without the check of its arguments
            used_by = [one for one in OBJECTIVES
                       if one == name or name in inspect.unwrap(getattr(objectives, one)).__code__.co_names]
            has_backward = "# backward" in inspect.getsource(function)
            yield Target("model", name.lstrip("_"), function, functools.partial(swapped_attribute, objectives, name),
                         [run for one in used_by for run in objective_outcomes(one)],
                         after_comment="# backward" if has_backward else None)


def objective_outcomes(name: str) -> Iterator[Callable[[], Outcome]]:
    def run(make, samples):
        vae, x, given = make()
        vae.parameters.grads.fill(np.nan)
        eps = np.random.default_rng(1).standard_normal((*samples, len(x), vae.n_latent))
        return [getattr(objectives, name)(vae, x, eps, **given), vae.parameters.grads, vae.parameters.values, x, eps]
    for example, _, make in objective_examples():
        if example.startswith(f"{name}(") and "bernoulli, " in example:
            yield functools.partial(run, make, (3,) if name in ("iwae", "dreg") else ())


def package_modules() -> list[types.ModuleType]:
    """Every module of the package but the museum, whose exhibits are wrong on purpose, the judges of exercises, and
    what needs an extra."""
    root = pathlib.Path(numpyvae.__path__[0])
    places = [path.relative_to(root.parent).with_suffix("").parts for path in sorted(root.rglob("*.py"))]
    return [importlib.import_module(".".join(place).removesuffix(".__init__"))
            for place in places if not {"museum", "course", "sklearn", "__main__"} & set(place)]


def package_classes() -> list[type]:
    """Every class of the package that is not a protocol."""
    return [value for module in package_modules() for value in vars(module).values()
            if isinstance(value, type) and value.__module__ == module.__name__
            and not getattr(value, "_is_protocol", False)]


def layer_outcomes(cls: type) -> Iterator[Callable[[], Outcome]]:
    def run(make, rows, need_dx, mode):
        layer, x = make()
        x, rng = x[:rows].copy(), np.random.default_rng(1)
        spoil_grads(layer)
        with mode():
            dy = rng.standard_normal(layer.forward(x).shape)
            kept = dy.copy()
            dx = layer.backward(dy, need_dx)
        owners = dict(parameter_owners(layer)).values()
        return [dx, [(owner.grads[key], owner.params[key]) for owner, key in owners], x, dy - kept]

    for name, make in layer_examples():
        if issubclass(type(make()[0]), cls):
            for rows in (4, 2):    # two labels go with a multiple of two
                for need_dx in (True, False):
                    for mode in (kernels_off, contextlib.nullcontext):
                        yield functools.partial(run, make, rows, need_dx, mode)


def activation_outcomes(cls: type) -> Iterator[Callable[[], Outcome]]:
    """What an activation does beside a bias, as a layer runs it."""
    yield from layer_outcomes(Dense)


def likelihood_outcomes(cls: type) -> Iterator[Callable[[], Outcome]]:
    def run(n):
        rng = np.random.default_rng(n)
        likelihood = make_likelihood(cls.name, 0.7)
        dnll, theta = rng.normal(size=n), rng.normal(size=(n, 7 * likelihood.outputs_per_pixel))
        x = rng.integers(0, 256, (n, 7)) / 255
        return [likelihood.nll_and_grad(dnll, theta, x), dnll, theta, x]
    for n in (4, 1):
        yield functools.partial(run, n)


def model_outcomes(cls: type) -> Iterator[Callable[[], Outcome]]:
    def make_with(hidden, rows):
        rng = np.random.default_rng(2)
        return cls.dense(7, hidden, 3, "gaussian", "tanh", rng=rng, dtype=np.float64), rng.random((rows, 7)), {}

    for name, make in model_examples():
        if type(make().model) is cls:
            yield functools.partial(run_step, make)
    for hidden, rows in (((), 1), ((5, 6), 8)):
        yield functools.partial(run_step, functools.partial(make_with, hidden, rows))


def posterior_outcomes(cls: type) -> Iterator[Callable[[], Outcome]]:
    """A step of each VAE with such a posterior, and of each objective: some methods serve only objectives."""
    for name, make in model_examples():
        posterior = getattr(make().model, "posterior", None)
        if isinstance(posterior, cls) and "bernoulli, beta=4" in name:
            yield functools.partial(run_step, make)
    for name in OBJECTIVES:
        yield from objective_outcomes(name)


def run_step(make: Callable[[], Any]) -> Outcome:
    model, x, given = make()
    model.parameters.grads.fill(np.nan)
    inputs = [x, *model.noise(len(x), np.random.default_rng(1))]
    return [model.loss_and_grad(*inputs, **given), model.parameters.grads, model.parameters.values, inputs]


# name -> kind, inputs, and the comment that begins the backward half
BACKWARD_METHODS = {"backward": ("layer", layer_outcomes, None),
                    **{step: ("layer", layer_outcomes, None) for step in
                       ("_before_activation", "_backward_by_pairs", "_windows", "_paint", "_add_weight_gradient")},
                    "backward_bias": ("layer", activation_outcomes, None),
                    "nll_and_grad": ("likelihood", likelihood_outcomes, None),
                    "loss_and_grad": ("model", model_outcomes, "# backward"),
                    **{step: ("posterior", posterior_outcomes, None) for step in
                       ("backward_heads", "reparameterize_backward", "closed_form_kl_backward",
                        "kl_of_dimensions_backward", "log_density_backward")}}


# Swapping in and out.

@contextlib.contextmanager
def swapped_attribute(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def swapped_globals(places: list[tuple[dict[str, Any], str]], value: Any) -> Iterator[None]:
    """A helper exchanged wherever a kernel finds it."""
    before = [names[name] for names, name in places]
    for names, name in places:
        names[name] = value
    try:
        yield
    finally:
        for (names, name), one in zip(places, before):
            names[name] = one


@contextlib.contextmanager
def swapped_half(twin: Twin, kind: str, function: Callable[..., Any]) -> Iterator[None]:
    """Exchange one half of a twin; a kernel runs as the plain Python that it is."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(swapped_attribute(twin, kind, function))
        if kind == "kernel":
            stack.enter_context(swapped_attribute(twin, "_compiled", function))
        yield


@contextlib.contextmanager
def poisoned_memory() -> Iterator[None]:
    """Memory that nobody wrote to holds NaN, or 0 where there is none, so that what a mutant leaves out shows."""
    def poisoned(make):
        @functools.wraps(make)
        def allocate(*args, **kwargs):
            array = make(*args, **kwargs)
            array.fill(np.nan if array.dtype.kind in "fc" else 0)
            return array
        return allocate

    with (swapped_attribute(np, "empty", poisoned(np.empty)),
          swapped_attribute(np, "empty_like", poisoned(np.empty_like))):
        yield


@contextlib.contextmanager
def plain_python() -> Iterator[None]:
    """Nothing is compiled, and memory is poisoned."""
    with contextlib.ExitStack() as stack:
        for twin in registry.values():
            stack.enter_context(swapped_attribute(twin, "_compiled", twin.kernel))    # None where there is none
        stack.enter_context(poisoned_memory())
        stack.enter_context(swapped_attribute(switch, "_kernels_on", True))    # whatever NUMPYVAE_KERNELS says
        stack.enter_context(np.errstate(all="ignore"))
        yield
