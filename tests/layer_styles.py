"""Layers as people write them, in the styles that test_own_layers.py hands to gradcheck, and two of the simplest.

A style is a function that makes a layer.  W and b are applied to its gradients: the identity, or a fault.
"""
import random
import types

import numpy as np

N_IN, N_OUT = 7, 5


def weights(n_in=N_IN, n_out=N_OUT):
    return np.random.default_rng(3).normal(0, 0.3, (n_in, n_out)), np.zeros(n_out)


class Elementwise:
    def forward(self, x):
        self.x = x
        return np.sin(x)

    def backward(self, dy):
        return dy * np.cos(self.x)


class Table(Elementwise):
    def __init__(self):
        self.table = np.arange(7.0)

    def forward(self, x):
        return super().forward(x) + self.table


STYLES = {}


def style(make):
    STYLES[make.__name__] = make
    return make


@style
def attributes(W, b):
    class Dense:
        def __init__(self):
            self.W, self.b = weights()

        def forward(self, x):
            self.x = x
            return x @ self.W + self.b

        def backward(self, dout):
            self.dW, self.db = W(self.x.T @ dout), b(dout.sum(axis=0))
            return dout @ self.W.T
    return Dense()


@style
def made_from_arrays(W, b):
    class Affine:
        def __init__(self, W, b):
            self.W, self.b, self.x, self.dW, self.db = W, b, None, None, None

        def forward(self, x):
            self.x = x
            return np.dot(x, self.W) + self.b

        def backward(self, dout):
            dx = np.dot(dout, self.W.T)
            self.dW, self.db = W(np.dot(self.x.T, dout)), b(np.sum(dout, axis=0))
            return dx
    return Affine


@style
def lists_of_params_and_grads(W, b):
    class MatMul:
        def __init__(self, W, b):
            self.params, self.grads, self.x = [W, b], [np.zeros_like(W), np.zeros_like(b)], None

        def forward(self, x):
            W, b = self.params
            self.x = x
            return x @ W + b

        def backward(self, dout):
            self.grads[0][...] = W(self.x.T @ dout)
            self.grads[1][...] = b(dout.sum(axis=0))
            return dout @ self.params[0].T
    return MatMul


@style
def dicts_with_another_gradient_name(W, b):
    class Linear:
        def __init__(self):
            self.params = dict(zip("wb", weights()))
            self.grads = {}

        def forward(self, inputs):
            self.inputs = inputs
            return inputs @ self.params["w"] + self.params["b"]

        def backward(self, grad):
            self.grads["dw"], self.grads["db"] = W(self.inputs.T @ grad), b(np.sum(grad, axis=0))
            return grad @ self.params["w"].T
    return Linear()


@style
def dinputs_in_an_attribute(W, b):
    class Layer_Dense:
        def __init__(self, n_inputs, n_neurons):
            self.weights = 0.1 * np.random.randn(n_inputs, n_neurons)
            self.biases = np.zeros((1, n_neurons))

        def forward(self, inputs, training):
            self.inputs = inputs
            self.output = inputs @ self.weights + self.biases

        def backward(self, dvalues):
            self.dweights = W(self.inputs.T @ dvalues)
            self.dbiases = b(dvalues.sum(axis=0, keepdims=True))
            self.dinputs = dvalues @ self.weights.T
    return Layer_Dense


@style
def added_up_made_late_and_flushed(W, b):
    class FullyConnected:
        def __init__(self, n_out=N_OUT):
            self.n_out, self.parameters, self.gradients, self.X = n_out, {"W": None, "b": None}, {}, []

        def forward(self, X, retain_derived=True):
            if self.parameters["W"] is None:
                self.parameters = dict(zip("Wb", weights(X.shape[1], self.n_out)))
                self.flush_gradients()
            if retain_derived:
                self.X.append(X)
            return np.tanh(X @ self.parameters["W"] + self.parameters["b"])

        def flush_gradients(self):
            self.X, self.gradients = [], {name: np.zeros_like(value) for name, value in self.parameters.items()}

        def backward(self, dLdy, retain_grads=True):
            x = self.X[-1]
            dz = dLdy * (1 - np.tanh(x @ self.parameters["W"] + self.parameters["b"]) ** 2)
            self.gradients["W"] += W(x.T @ dz)
            self.gradients["b"] += b(dz.sum(axis=0))
            return dz @ self.parameters["W"].T
    return FullyConnected


class Parameter:
    __slots__ = ("data", "grad")

    def __init__(self, data):
        self.data, self.grad = data, np.zeros_like(data)


@style
def parameter_objects(W, b):
    class Linear:
        def __init__(self):
            self.weight, self.bias = map(Parameter, weights())

        def parameters(self):
            return [self.weight, self.bias]

        def __call__(self, x):
            self.x = x
            return x @ self.weight.data + self.bias.data

        def backward(self, grad_output):
            self.weight.grad += W(self.x.T @ grad_output)
            self.bias.grad += b(grad_output.sum(axis=0))
            return grad_output @ self.weight.data.T
    return Linear()


@style
def methods_that_hand_out_lists(W, b):
    class Dense:
        def __init__(self):
            self.kernel_, self.offset_ = weights()

        def forward(self, x):
            self.x = x
            return x @ self.kernel_ + self.offset_

        def backward(self, gradient):
            self._first, self._second = W(self.x.T @ gradient), b(gradient.sum(axis=0))
            return gradient @ self.kernel_.T

        def params(self):
            return iter([self.kernel_, self.offset_])

        def grads(self):
            return iter([self._first, self._second])
    return Dense()


@style
def suffixes(W, b):
    class Linear:
        def __init__(self):
            self.weight, self.bias = weights()

        def forward(self, x):
            self.x = x
            return x @ self.weight + self.bias

        def backward(self, dy):
            self.weight_grad, self.bias_grad = W(self.x.T @ dy), b(dy.sum(axis=0))
            return dy @ self.weight.T
    return Linear()


@style
def camel_case(W, b):
    class Linear:
        def __init__(self):
            self.weight, self.bias = weights()

        def forward(self, input):
            self.input = input
            return input @ self.weight + self.bias

        def backward(self, gradOutput):
            self.gradWeight, self.gradBias = W(self.input.T @ gradOutput), b(gradOutput.sum(axis=0))
            self.gradInput = gradOutput @ self.weight.T
            return self.gradInput
    return Linear()


@style
def a_learning_rate_and_columns(W, b):
    class Dense:
        def __init__(self, input_size, output_size):
            self.weights = np.random.randn(output_size, input_size)
            self.bias = np.random.randn(output_size, 1)

        def forward(self, input):
            self.input = input
            return self.weights @ input + self.bias

        def backward(self, output_gradient, learning_rate):
            input_gradient = self.weights.T @ output_gradient
            self.weights -= learning_rate * W(output_gradient @ self.input.T)
            self.bias = self.bias - learning_rate * b(output_gradient.sum(axis=1, keepdims=True))
            return input_gradient
    return Dense


@style
def layers_in_a_list(W, b):
    class Network:
        def __init__(self):
            self.layers = [attributes(lambda g: g, lambda g: g), types.SimpleNamespace()]
            self.layers[1].W, self.layers[1].b = weights(5, 3)

        def forward(self, x):
            self.h = np.tanh(self.layers[0].forward(x))
            return self.h @ self.layers[1].W + self.layers[1].b

        def backward(self, dy):
            last = self.layers[1]
            last.dW, last.db = W(self.h.T @ dy), b(dy.sum(axis=0))
            return self.layers[0].backward(dy @ last.W.T * (1 - self.h ** 2))
    return Network()


@style
def a_tuple_is_returned(W, b):
    class Dense:
        def __init__(self):
            self.W, self.b = weights()

        def forward(self, x):
            return x @ self.W + self.b, (x,)

        def backward(self, dout, cache):
            (x,) = cache
            return dout @ self.W.T, W(x.T @ dout), b(dout.sum(axis=0))
    return Dense()


@style
def a_dict_is_returned(W, b):
    class Dense:
        def __init__(self):
            self.W, self.b = weights()

        def forward(self, x):
            self.cache = x
            return x @ self.W + self.b

        def backward(self, dout):
            return {"dx": dout @ self.W.T, "dW": W(self.cache.T @ dout), "db": b(dout.sum(axis=0))}
    return Dense()


@style
def functions_with_a_cache(W, b):
    def affine_forward(x, w, b):
        return x.reshape(len(x), -1) @ w + b, (x, w, b)

    def affine_backward(dout, cache):
        x, w, _ = cache
        return (dout @ w.T).reshape(x.shape), W(x.reshape(len(x), -1).T @ dout), b(dout.sum(axis=0))
    return affine_forward, affine_backward


@style
def functions_of_columns(W, b):
    def linear_forward(A, W, b):
        return W @ A + b, (A, W, b)

    def linear_backward(dZ, cache):
        A_prev, weight, _ = cache
        return weight.T @ dZ, W(dZ @ A_prev.T), b(dZ.sum(axis=1, keepdims=True))
    return linear_forward, linear_backward


@style
def single_precision(W, b):
    class Dense:
        def __init__(self):
            self.W, self.b = (one.astype(np.float32) for one in weights())
            self.grads = {"W": np.zeros_like(self.W), "b": np.zeros_like(self.b)}

        def forward(self, x):
            self.x = x
            return x @ self.W + self.b

        def backward(self, dy):
            self.grads["W"][:], self.grads["b"][:] = W(self.x.T @ dy), b(dy.sum(axis=0))
            return dy @ self.W.T
    return Dense()


@style
def single_precision_whatever_comes(W, b):
    class Dense:
        def __init__(self):
            self.W, self.b = weights()

        def forward(self, x):
            self.x = x.astype(np.float32)
            return self.x @ self.W.astype(np.float32) + self.b.astype(np.float32)

        def backward(self, dy):
            self.dW, self.db = W(self.x.T @ dy), b(dy.sum(axis=0))
            return dy @ self.W.T
    return Dense()


@style
def views_of_one_vector(W, b):
    class Dense:
        def __init__(self):
            self.flat, self.flat_grad = np.arange(40) / 40 - 0.5, np.zeros(40)
            self.W, self.b = self.flat[:35].reshape(7, 5), self.flat[35:]
            self.dW, self.db = self.flat_grad[:35].reshape(7, 5), self.flat_grad[35:]
            self.WT = self.W.T

        def forward(self, x):
            self.x = x
            return x @ self.W + self.b

        def backward(self, dy):
            self.dW[:], self.db[:] = W(self.x.T @ dy), b(dy.sum(axis=0))
            return dy @ self.WT
    return Dense()


@style
def convolution(W, b):
    class Convolution:
        def __init__(self, W, b, stride=1, pad=0):
            self.W, self.b, self.stride, self.pad = W, b, stride, pad

        def windows(self, x):
            return np.lib.stride_tricks.sliding_window_view(x, self.W.shape[2:], axis=(2, 3))

        def forward(self, x):
            n, c, h, w = x.shape
            self.x = x
            return np.einsum("nchwij,fcij->nfhw", self.windows(x), self.W) + self.b.reshape(1, -1, 1, 1)

        def backward(self, dout):
            self.dW = W(np.einsum("nchwij,nfhw->fcij", self.windows(self.x), dout))
            self.db = b(dout.sum(axis=(0, 2, 3)))
            dx = np.zeros_like(self.x)
            for i in range(self.W.shape[2]):
                for j in range(self.W.shape[3]):
                    dx[:, :, i:i + dout.shape[2], j:j + dout.shape[3]] += np.einsum(
                        "nfhw,fc->nchw", dout, self.W[:, :, i, j])
            return dx
    return Convolution


@style
def batch_normalisation_with_running_means(W, b):
    class BatchNorm:
        def __init__(self, gamma, beta, momentum=0.9):
            self.gamma, self.beta, self.momentum = gamma, beta, momentum
            self.running_mean, self.running_var = np.zeros(len(gamma)), np.ones(len(gamma))

        def forward(self, x, train_flg=True):
            mean, var = (x.mean(axis=0), x.var(axis=0)) if train_flg else (self.running_mean, self.running_var)
            self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mean
            self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
            self.std = np.sqrt(var + 1e-5)
            self.xn = (x - mean) / self.std
            return self.gamma * self.xn + self.beta

        def backward(self, dout):
            self.dgamma, self.dbeta = W((dout * self.xn).sum(axis=0)), b(dout.sum(axis=0))
            dxn = dout * self.gamma
            return (dxn - dxn.mean(axis=0) - self.xn * (dxn * self.xn).mean(axis=0)) / self.std
    return BatchNorm


@style
def embedding_of_whole_numbers(W, b):
    class Embedding:
        def __init__(self):
            self.params, self.grads = [weights()[0], weights()[1]], [None, None]

        def forward(self, idx):
            self.idx = idx
            return self.params[0][idx] + self.params[1]

        def backward(self, dout):
            dW = np.zeros_like(self.params[0])
            np.add.at(dW, self.idx, dout)
            self.grads[:] = W(dW), b(dout.sum(axis=tuple(range(dout.ndim - 1))))
    return Embedding()


@style
def recurrent_in_steps_of_time(W, b):
    class TimeRNN:
        def __init__(self, Wx, Wh, b, stateful=False):
            self.params, self.grads = [Wx, Wh, b], [np.zeros_like(one) for one in (Wx, Wh, b)]
            self.h, self.stateful = None, stateful

        def forward(self, xs):
            n, t, d = xs.shape
            Wx, Wh, b = self.params
            self.xs, self.hs = xs, np.zeros((n, t + 1, len(Wh)))
            for i in range(t):
                self.hs[:, i] = np.tanh(xs[:, i] @ Wx + self.hs[:, i - 1] @ Wh + b)
            self.h = self.hs[:, t - 1]
            return self.hs[:, :-1].copy()

        def backward(self, dhs):
            Wx, Wh, _ = self.params
            dxs, dh = np.zeros_like(self.xs), 0
            sums = [np.zeros_like(one) for one in self.params]
            for i in reversed(range(self.xs.shape[1])):
                da = (dhs[:, i] + dh) * (1 - self.hs[:, i] ** 2)
                dh, dxs[:, i] = da @ Wh.T, da @ Wx.T
                sums[0] += self.xs[:, i].T @ da
                sums[1] += self.hs[:, i - 1].T @ da
                sums[2] += da.sum(axis=0)
            for grad, value in zip(self.grads, (sums[0], W(sums[1]), b(sums[2]))):
                grad[...] = value
            return dxs
    return TimeRNN


@style
def noise_is_drawn(W, b):
    class NoisyDense:
        def __init__(self, rng=None):
            self.W, self.b = weights()
            self.rng = rng or np.random.default_rng()

        def forward(self, x):
            self.mask = (self.rng.random(x.shape) < 0.5) * (np.random.rand(*x.shape) < 0.8) * random.random()
            self.x = x * self.mask
            return self.x @ self.W + self.b

        def backward(self, dy):
            self.dW, self.db = W(self.x.T @ dy), b(dy.sum(axis=0))
            return dy @ self.W.T * self.mask
    return NoisyDense
