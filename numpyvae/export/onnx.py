"""A model's encoder and decoder as ONNX graphs, for every runtime that reads them; needs the library `onnx`.

Weights are float32, in which runtimes compute; images are channels-first inside, rows outside, as everywhere here.
"""
from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..models.model import Model
from ..nn.convolution import Conv2d, ConvTranspose2d
from ..nn.layers import Dense, Flatten, Reshape, ReshapeLabelled, Sequential, SharedLogvar
from ..version import __version__
from . import formulas
from .layout import activation_of, has_activation, numbered, row_of, state_dict
from .source import is_autoencoder

OPSET, IR_VERSION = 17, 8    # of 2022: also runtimes on phones and in browsers read them
TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]    # the channels


class Graph:
    """A graph in the making: calling it with an operator and its inputs adds a node, and returns what that computes."""

    def __init__(self, weights: dict[str, np.ndarray]):
        self.weights, self.nodes, self.constants = weights, [], {}    # type: ignore[var-annotated]

    def __call__(self, operator: str, *inputs: Any, n_outputs: int = 1, **attributes: Any) -> Any:
        import onnx
        names = [f"{operator}_{len(self.nodes)}_{i}" for i in range(n_outputs)]
        self.nodes.append(onnx.helper.make_node(operator, [self._name(one) for one in inputs], names, **attributes))
        made = [Traced(self, name) for name in names]
        return made if n_outputs > 1 else made[0]

    def weight(self, name: str) -> Traced:
        """An array of the model, by its name in `state_dict`."""
        self.constants[name] = self.weights[name]
        return Traced(self, name)

    def _name(self, value: Any) -> str:
        if isinstance(value, Traced):
            return value.name
        array = np.asarray(value) if isinstance(value, (np.ndarray, list)) else np.asarray(value, np.float32)
        name = f"constant_{len(self.constants)}"
        self.constants[name] = array
        return name


class Traced:
    """Something that a graph computes, with the arithmetic that formulas.py uses; `shape` where these read it."""

    def __init__(self, graph: Graph, name: str, shape: tuple[Any, ...] = ()):
        self.graph, self.name, self.shape = graph, name, shape

    def __getitem__(self, index: tuple[slice, slice]) -> Traced:
        start, stop = index[1].start or 0, index[1].stop or self.shape[1]
        return self.graph("Slice", self, np.array([start]), np.array([stop]), np.array([1]))

    def sum(self, axis: int) -> Traced:
        return self.graph("ReduceSum", self, np.array([axis]), keepdims=0)

    def __abs__(self) -> Traced:
        return self.graph("Abs", self)

    def __neg__(self) -> Traced:
        return self.graph("Neg", self)

    def __add__(self, other: Any) -> Traced:
        return self.graph("Add", self, other)

    def __sub__(self, other: Any) -> Traced:
        return self.graph("Sub", self, other)

    def __rsub__(self, other: Any) -> Traced:
        return self.graph("Sub", other, self)

    def __mul__(self, other: Any) -> Traced:
        return self.graph("Mul", self, other)

    def __truediv__(self, other: Any) -> Traced:
        return self.graph("Div", self, other)

    def __rtruediv__(self, other: Any) -> Traced:
        return self.graph("Div", other, self)

    def __pow__(self, other: Any) -> Traced:
        return self.graph("Pow", self, other)

    def __lt__(self, other: Any) -> Traced:
        return self.graph("Less", self, other)

    def __gt__(self, other: Any) -> Traced:
        return self.graph("Greater", self, other)

    __radd__, __rmul__ = __add__, __mul__


class Functions:
    """What stands for `xp` while a formula is traced.

    ONNX has neither expm1 nor log1p; near 0, where exp(a) - 1 and log(1 + a) lose their digits,

    exp(a) - 1 = 2 exp(a / 2) sinh(a / 2),        log(1 + a) = 2 artanh(a / (2 + a))
    """

    @staticmethod
    def exp(a: Traced) -> Traced:
        return a.graph("Exp", a)

    @staticmethod
    def log(a: Traced) -> Traced:
        return a.graph("Log", a)

    @staticmethod
    def expm1(a: Any) -> Any:
        near = abs(a) < 1
        half = Functions.where(near, a, 0.0) / 2
        return Functions.where(near, Functions.exp(half) * a.graph("Sinh", half) * 2, Functions.exp(a) - 1)

    @staticmethod
    def log1p(a: Any) -> Any:
        near = abs(a) < 1
        b = Functions.where(near, a, 0.0)
        return Functions.where(near, a.graph("Atanh", b / (b + 2)) * 2, Functions.log(a + 1))

    @staticmethod
    def relu(a: Traced) -> Traced:
        return a.graph("Relu", a)

    @staticmethod
    def tanh(a: Traced) -> Traced:
        return a.graph("Tanh", a)

    @staticmethod
    def where(condition: Traced, a: Any, b: Any) -> Any:
        return condition.graph("Where", condition, a, b)

    @staticmethod
    def clip(a: Traced, low: float, high: float) -> Traced:
        return a.graph("Clip", a, low, high)

    @staticmethod
    def tril(a: Traced, diagonal: int) -> Traced:
        return a.graph("Trilu", a, np.array(diagonal), upper=0)


def traced(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A function of formulas.py as one that adds its nodes to a graph."""
    return types.FunctionType(formula.__code__, {
        **vars(formulas), "xp": Functions, "sigmoid": lambda a: a.graph("Sigmoid", a),
        "softplus": lambda a: a.graph("Softplus", a)})


# The layers, with their names in state_dict

def _dense(graph: Graph, name: str, layer: Any, h: Any) -> Any:
    return graph("Gemm", h, graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias"), transB=1)


def _conv(graph: Graph, name: str, layer: Any, h: Any, operator: str = "Conv", **more: Any) -> Any:
    return graph(operator, h, graph.weight(f"{name}.weight"), graph.weight(f"{name}.bias"),
                 kernel_shape=layer.kernel_size, strides=layer.stride, pads=[*layer.padding, *layer.padding], **more)


def _conv_transpose(graph: Graph, name: str, layer: Any, h: Any) -> Any:
    return _conv(graph, name, layer, h, "ConvTranspose", output_padding=layer.output_padding)


def _reshape(graph: Graph, name: str, layer: Any, h: Any) -> Any:
    return graph("Transpose", graph("Reshape", h, np.array([-1, *layer.shape])), perm=TO_FIRST)


def _reshape_labelled(graph: Graph, name: str, layer: Any, h: Any) -> Any:
    pixels, labels = graph("Split", h, np.array([math.prod(layer.shape), layer.n_classes]), n_outputs=2, axis=1)
    images = _reshape(graph, name, layer, pixels)
    labels = graph("Reshape", labels, np.array([-1, layer.n_classes, 1, 1]))
    return graph("Concat", images, graph("Expand", labels, np.array([1, 1, *layer.shape[:2]])), axis=1)


def _flatten(graph: Graph, name: str, layer: Any, h: Any) -> Any:
    groups = graph("Split", h, n_outputs=layer.groups, axis=1) if layer.groups > 1 else [h]
    rows = [graph("Flatten", graph("Transpose", group, perm=TO_LAST)) for group in groups]
    return graph("Concat", *rows, axis=1)


def _shared_logvar(graph: Graph, name: str, layer: Any, h: Any) -> Any:
    return graph("Concat", h, graph("Expand", graph.weight(f"{name}.logvar"), graph("Shape", h)), axis=1)


LAYERS: dict[type, Callable[[Graph, str, Any, Any], Any]] = {
    Dense: _dense, Conv2d: _conv, ConvTranspose2d: _conv_transpose, Reshape: _reshape,
    ReshapeLabelled: _reshape_labelled, Flatten: _flatten, SharedLogvar: _shared_logvar}


def _network(graph: Graph, name: str, network: Sequential, h: Any) -> Any:
    for number, layer in numbered(network):
        h = row_of(LAYERS, layer)(graph, f"{name}.{number}", layer, h)
        if has_activation(layer):
            h = traced(activation_of(layer).formula)(h)
    return h


def _posterior(graph: Graph, posterior: Any, h: Any) -> tuple[Any, ...]:
    """The heads: the parameters of q."""
    n, matrices = posterior.n_latent, row_of(formulas.POSTERIORS, posterior).matrices
    outputs = ((name, _dense(graph, name, head, h)) for name, head in posterior.named_heads())
    return tuple(graph("Reshape", one, np.array([-1, n, n])) if name in matrices else one for name, one in outputs)


def _in_float32(model: Model) -> Model:
    """Raises ValueError where a weight of float64 is larger than that holds."""
    with np.errstate(over="ignore"):
        rounded = model.astype(np.float32)
    if (wrong := rounded.parameters.first_not_finite()) is not None:
        raise ValueError(f"{wrong} holds a number beyond float32, in which ONNX files are written; expected smaller "
                         "weights, or another format")
    return rounded


def encoder_graph(model: Model) -> bytes:
    """x (B, D), and labels (B,) where there are classes -> mu and logvar, both (B, Z), as vae.encode has them; of an
    autoencoder z (B, Z)."""
    graph = Graph(state_dict(_in_float32(model)))
    h = _network(graph, "encoder", model.encoder, _rows(graph, model, "x"))
    if is_autoencoder(model):
        return _model(graph, model, {"x": model.n_data}, {"z": (h, model.n_latent)})
    posterior = getattr(model, "posterior")
    moments = traced(row_of(formulas.POSTERIORS, posterior).moments)(_posterior(graph, posterior, h))
    return _model(graph, model, {"x": model.n_data}, {name: (one, model.n_latent) for name, one in
                                                      zip(("mu", "logvar"), moments)})


def decoder_graph(model: Model) -> bytes:
    """z (B, Z), and labels (B,) where there are classes -> theta, the parameters of p(x|z), and mean (B, D), E[x|z]."""
    graph = Graph(state_dict(_in_float32(model)))
    n_theta = model.n_data * model.likelihood.outputs_per_pixel
    theta = _network(graph, "decoder", model.decoder, _rows(graph, model, "z"))
    theta = Traced(graph, theta.name, (None, n_theta))
    _, mean = row_of(formulas.LIKELIHOODS, model.likelihood)
    return _model(graph, model, {"z": model.n_latent}, {"theta": (theta, n_theta),
                                                        "mean": (traced(mean)(theta), model.n_data)})


def _rows(graph: Graph, model: Model, name: str) -> Any:
    """The input of that name, with the labels, one-hot, where there are classes."""
    rows = Traced(graph, name)
    if model.n_classes is None:
        return rows
    one_hot = graph("OneHot", Traced(graph, "labels"), np.array([model.n_classes]), np.array([0, 1], np.float32))
    return graph("Concat", rows, one_hot, axis=1)


def _model(graph: Graph, model: Model, inputs: dict[str, int], outputs: dict[str, tuple[Any, int]]) -> bytes:
    """The file's content, checked."""
    import onnx
    helper, floats, whole = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    takes = [helper.make_tensor_value_info(name, floats, ["B", size]) for name, size in inputs.items()]
    if model.n_classes is not None:
        takes.append(helper.make_tensor_value_info("labels", whole, ["B"]))
    for name, (value, _) in outputs.items():    # a graph's outputs have names of their own
        graph.nodes.append(helper.make_node("Identity", [value.name], [name]))
    gives = [helper.make_tensor_value_info(name, floats, ["B", size]) for name, (_, size) in outputs.items()]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    made = helper.make_model(helper.make_graph(graph.nodes, "numpyvae", takes, gives, constants),
                             opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                             producer_name="numpyvae", producer_version=__version__)
    onnx.checker.check_model(made, full_check=True)
    return bytes(made.SerializeToString())
