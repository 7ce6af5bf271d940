"""Layers, losses and functions as strangers write them: assignments of CS231n, nnfs, "Deep Learning from Scratch",
Andrew Ng's functions with caches, small frameworks of one's own.  Each is made right, and with a fault in a gradient.

A stranger is a function that makes something to hand to gradcheck; W and b are applied to its gradients, b only where
it has more than one.
"""
import types

import numpy as np

from layer_styles import weights

STRANGERS = {}


def stranger(make):
    STRANGERS[make.__name__] = make
    return make


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


# CS231n: functions with caches, and losses that return their gradient.

@stranger
def cs231n_relu(W, b):
    def relu_forward(x):
        return np.maximum(0, x), x

    def relu_backward(dout, cache):
        return W(dout * (cache > 0))
    return relu_forward, relu_backward


@stranger
def cs231n_softmax_loss(W, b):
    def softmax_loss(x, y):
        p = softmax(x)
        n = x.shape[0]
        loss = -np.sum(np.log(p[np.arange(n), y])) / n
        dx = p.copy()
        dx[np.arange(n), y] -= 1
        return loss, W(dx / n)
    return softmax_loss


@stranger
def cs231n_svm_loss(W, b):
    def svm_loss(x, y):
        n = x.shape[0]
        margins = np.maximum(0, x - x[np.arange(n), y][:, np.newaxis] + 1.0)
        margins[np.arange(n), y] = 0
        dx = np.zeros_like(x)
        dx[margins > 0] = 1
        dx[np.arange(n), y] -= (margins > 0).sum(axis=1)
        return margins.sum() / n, W(dx / n)
    return svm_loss


@stranger
def cs231n_batchnorm(W, b):
    def batchnorm_forward(x, gamma, beta, bn_param):
        mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
        running_mean = bn_param.get("running_mean", np.zeros(x.shape[1]))
        if mode == "train":
            mu, var = x.mean(axis=0), x.var(axis=0)
            x_hat = (x - mu) / np.sqrt(var + eps)
            out, cache = gamma * x_hat + beta, (x_hat, gamma, var, eps)
            running_mean = momentum * running_mean + (1 - momentum) * mu
        elif mode == "test":
            out, cache = gamma * (x - running_mean) + beta, None
        bn_param["running_mean"] = running_mean
        return out, cache

    def batchnorm_backward(dout, cache):
        x_hat, gamma, var, eps = cache
        dxhat = dout * gamma
        dx = (dxhat - dxhat.mean(axis=0) - x_hat * (dxhat * x_hat).mean(axis=0)) / np.sqrt(var + eps)
        return dx, W((dout * x_hat).sum(axis=0)), b(dout.sum(axis=0))
    return batchnorm_forward, batchnorm_backward


@stranger
def cs231n_dropout(W, b):
    def dropout_forward(x, dropout_param):
        p, mode = dropout_param["p"], dropout_param["mode"]
        if "seed" in dropout_param:
            np.random.seed(dropout_param["seed"])
        mask = (np.random.rand(*x.shape) < p) / p
        return (x * mask if mode == "train" else x), (dropout_param, mask)

    def dropout_backward(dout, cache):
        return W(dout * cache[1])
    return dropout_forward, dropout_backward


@stranger
def cs231n_max_pool(W, b):
    def max_pool_forward(x, pool_param):
        n, c, h, w = x.shape
        h2, w2 = pool_param["pool_height"], pool_param["pool_width"]
        windows = x.reshape(n, c, h // h2, h2, w // w2, w2)
        return windows.max(axis=3).max(axis=4), (x, windows)

    def max_pool_backward(dout, cache):
        x, windows = cache
        mask = windows == windows.max(axis=(3, 5), keepdims=True)
        dx = mask * dout[:, :, :, np.newaxis, :, np.newaxis]
        return W((dx / mask.sum(axis=(3, 5), keepdims=True)).reshape(x.shape))
    return max_pool_forward, max_pool_backward


@stranger
def cs231n_rnn_step(W, b):
    def rnn_step_forward(x, prev_h, Wx, Wh, b):
        next_h = np.tanh(x.dot(Wx) + prev_h.dot(Wh) + b)
        return next_h, (x, prev_h, Wx, Wh, next_h)

    def rnn_step_backward(dnext_h, cache):
        x, prev_h, Wx, Wh, next_h = cache
        da = dnext_h * (1 - next_h ** 2)
        return da.dot(Wx.T), da.dot(Wh.T), x.T.dot(da), W(prev_h.T.dot(da)), b(da.sum(axis=0))
    return rnn_step_forward, rnn_step_backward


@stranger
def cs231n_word_embedding(W, b):
    def word_embedding_forward(x, W):
        return W[x], (x, W)

    def word_embedding_backward(dout, cache):
        x, table = cache
        dW = np.zeros_like(table)
        np.add.at(dW, x, dout)
        return W(dW)
    return word_embedding_forward, word_embedding_backward


@stranger
def cs231n_two_layer_net(W, b):
    class TwoLayerNet:
        def __init__(self, input_size=7, hidden_size=6, num_classes=5, reg=0.1):
            rng = np.random.default_rng(0)
            self.params = {"W1": rng.normal(size=(input_size, hidden_size)), "b1": np.zeros(hidden_size),
                           "W2": rng.normal(size=(hidden_size, num_classes)), "b2": np.zeros(num_classes)}
            self.reg = reg

        def loss(self, X, y=None):
            W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
            h = np.maximum(0, X @ W1 + b1)
            scores = h @ W2 + b2
            if y is None:
                return scores
            p = softmax(scores)
            n = len(X)
            loss = -np.log(p[np.arange(n), y]).mean() + self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
            p[np.arange(n), y] -= 1
            dscores = p / n
            dh = dscores @ W2.T * (h > 0)
            return loss, {"W2": h.T @ dscores + 2 * self.reg * W2, "b2": dscores.sum(axis=0),
                          "W1": W(X.T @ dh + 2 * self.reg * W1), "b1": b(dh.sum(axis=0))}
    return TwoLayerNet


@stranger
def a_loss_of_the_weights(W, b):
    def svm_loss_vectorized(W_, X, y, reg):
        scores = X @ W_
        n = len(X)
        margins = np.maximum(0, scores - scores[np.arange(n), y][:, None] + 1)
        margins[np.arange(n), y] = 0
        mask = (margins > 0).astype(float)
        mask[np.arange(n), y] = -mask.sum(axis=1)
        return margins.sum() / n + reg * np.sum(W_ * W_), W(X.T @ mask / n + 2 * reg * W_)
    return svm_loss_vectorized


# nnfs: results in self.output and self.dinputs, losses whose backward is given the predictions.

@stranger
def nnfs_relu(W, b):
    class Activation_ReLU:
        def forward(self, inputs, training):
            self.inputs = inputs
            self.output = np.maximum(0, inputs)

        def backward(self, dvalues):
            self.dinputs = dvalues.copy()
            self.dinputs[self.inputs <= 0] = 0
            self.dinputs = W(self.dinputs)
    return Activation_ReLU


@stranger
def nnfs_softmax(W, b):
    class Activation_Softmax:
        def forward(self, inputs):
            self.output = softmax(inputs)

        def backward(self, dvalues):
            self.dinputs = np.empty_like(dvalues)
            for index, (single_output, single_dvalues) in enumerate(zip(self.output, dvalues)):
                single_output = single_output.reshape(-1, 1)
                jacobian = np.diagflat(single_output) - np.dot(single_output, single_output.T)
                self.dinputs[index] = np.dot(jacobian, single_dvalues)
            self.dinputs = W(self.dinputs)
    return Activation_Softmax


@stranger
def nnfs_categorical_crossentropy(W, b):
    class Loss_CategoricalCrossentropy:
        def forward(self, y_pred, y_true):
            samples = len(y_pred)
            y_pred_clipped = np.clip(y_pred, 1e-7, 1 - 1e-7)
            if len(y_true.shape) == 1:
                confidences = y_pred_clipped[range(samples), y_true]
            elif len(y_true.shape) == 2:
                confidences = np.sum(y_pred_clipped * y_true, axis=1)
            return -np.log(confidences)

        def backward(self, dvalues, y_true):
            samples = len(dvalues)
            labels = len(dvalues[0])
            if len(y_true.shape) == 1:
                y_true = np.eye(labels)[y_true]
            self.dinputs = W(-y_true / dvalues / samples)
    return Loss_CategoricalCrossentropy


@stranger
def nnfs_softmax_and_crossentropy(W, b):
    class Activation_Softmax_Loss_CategoricalCrossentropy:
        def forward(self, inputs, y_true):
            self.output = softmax(inputs)
            clipped = np.clip(self.output, 1e-7, 1 - 1e-7)
            return np.mean(-np.log(clipped[range(len(inputs)), y_true]))

        def backward(self, dvalues, y_true):
            samples = len(dvalues)
            if len(y_true.shape) == 2:
                y_true = np.argmax(y_true, axis=1)
            self.dinputs = dvalues.copy()
            self.dinputs[range(samples), y_true] -= 1
            self.dinputs = W(self.dinputs / samples)
    return Activation_Softmax_Loss_CategoricalCrossentropy


@stranger
def nnfs_binary_crossentropy(W, b):
    class Loss_BinaryCrossentropy:
        def forward(self, y_pred, y_true):
            y_pred_clipped = np.clip(y_pred, 1e-7, 1 - 1e-7)
            sample_losses = -(y_true * np.log(y_pred_clipped) + (1 - y_true) * np.log(1 - y_pred_clipped))
            return np.mean(sample_losses, axis=-1)

        def backward(self, dvalues, y_true):
            samples, outputs = len(dvalues), len(dvalues[0])
            clipped = np.clip(dvalues, 1e-7, 1 - 1e-7)
            self.dinputs = -(y_true / clipped - (1 - y_true) / (1 - clipped)) / outputs
            self.dinputs = W(self.dinputs / samples)
    return Loss_BinaryCrossentropy


@stranger
def nnfs_mean_squared_error(W, b):
    class Loss_MeanSquaredError:
        def forward(self, y_pred, y_true):
            return np.mean((y_true - y_pred) ** 2, axis=-1)

        def backward(self, dvalues, y_true):
            self.dinputs = W(-2 * (y_true - dvalues) / len(dvalues[0]) / len(dvalues))
    return Loss_MeanSquaredError


# "Neural network from scratch" of many blogs: a pair of functions in a layer; f and f_prime.

@stranger
def blog_activation(W, b):
    class Activation:
        def __init__(self):
            self.activation, self.activation_prime = np.tanh, lambda x: 1 - np.tanh(x) ** 2

        def forward_propagation(self, input_data):
            self.input = input_data
            self.output = self.activation(self.input)
            return self.output

        def backward_propagation(self, output_error, learning_rate):
            return W(self.activation_prime(self.input) * output_error)
    return Activation


@stranger
def blog_mse_and_prime(W, b):
    def mse(y_true, y_pred):
        return np.mean(np.power(y_true - y_pred, 2))

    def mse_prime(y_true, y_pred):
        return W(2 * (y_pred - y_true) / y_true.size)
    return mse, mse_prime


@stranger
def blog_binary_cross_entropy_and_prime(W, b):
    def binary_cross_entropy(y_true, y_pred):
        return np.mean(-y_true * np.log(y_pred) - (1 - y_true) * np.log(1 - y_pred))

    def binary_cross_entropy_prime(y_true, y_pred):
        return W(((1 - y_true) / (1 - y_pred) - y_true / y_pred) / np.size(y_true))
    return binary_cross_entropy, binary_cross_entropy_prime


@stranger
def blog_sigmoid_and_prime(W, b):
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def sigmoid_prime(x):
        return W(sigmoid(x) * (1 - sigmoid(x)))
    return sigmoid, sigmoid_prime


@stranger
def blog_derivative_of_the_result(W, b):
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def sigmoid_derivative(x):
        return W(x * (1 - x))
    return sigmoid, sigmoid_derivative


@stranger
def ml_from_scratch_activation(W, b):
    class ELU:
        def __init__(self, alpha=0.1):
            self.alpha = alpha

        def __call__(self, x):
            return np.where(x >= 0.0, x, self.alpha * (np.exp(x) - 1))

        def gradient(self, x):
            return W(np.where(x >= 0.0, 1, self.__call__(x) + self.alpha))
    return ELU


@stranger
def ml_from_scratch_square_loss(W, b):
    class SquareLoss:
        def loss(self, y, y_pred):
            return 0.5 * np.power((y - y_pred), 2)

        def gradient(self, y, y_pred):
            return W(-(y - y_pred))
    return SquareLoss


@stranger
def ml_from_scratch_cross_entropy(W, b):
    class CrossEntropy:
        def loss(self, y, p):
            p = np.clip(p, 1e-15, 1 - 1e-15)
            return -y * np.log(p) - (1 - y) * np.log(1 - p)

        def gradient(self, y, p):
            p = np.clip(p, 1e-15, 1 - 1e-15)
            return W(-(y / p) + (1 - y) / (1 - p))
    return CrossEntropy


# Andrew Ng's course: columns, caches of caches, dictionaries.

@stranger
def ng_linear_activation(W, b):
    def linear_activation_forward(A_prev, W, b, activation):
        Z = np.dot(W, A_prev) + b
        if activation == "sigmoid":
            A = 1 / (1 + np.exp(-Z))
        elif activation == "relu":
            A = np.maximum(0, Z)
        return A, ((A_prev, W, b), Z)

    def linear_activation_backward(dA, cache, activation):
        (A_prev, weight, _), Z = cache
        if activation == "relu":
            dZ = np.array(dA, copy=True)
            dZ[Z <= 0] = 0
        elif activation == "sigmoid":
            s = 1 / (1 + np.exp(-Z))
            dZ = dA * s * (1 - s)
        return np.dot(weight.T, dZ), W(np.dot(dZ, A_prev.T)), b(np.sum(dZ, axis=1, keepdims=True))
    return linear_activation_forward, linear_activation_backward


@stranger
def ng_sigmoid(W, b):
    def sigmoid(Z):
        return 1 / (1 + np.exp(-Z)), Z

    def sigmoid_backward(dA, cache):
        s = 1 / (1 + np.exp(-cache))
        return W(dA * s * (1 - s))
    return sigmoid, sigmoid_backward


@stranger
def ng_conv_like_gradients_in_another_order(W, b):
    def affine_forward(X, W, b):
        return X @ W + b, {"X": X, "W": W}

    def affine_backward(dZ, cache):
        return W(cache["X"].T @ dZ), b(dZ.sum(axis=0)), dZ @ cache["W"].T
    return affine_forward, affine_backward


@stranger
def ng_dictionary_of_gradients(W, b):
    def layer_forward(X, W, b):
        cache = {"X": X, "W": W, "A": np.tanh(X @ W + b)}
        return cache["A"], cache

    def layer_backward(dA, cache):
        dZ = dA * (1 - cache["A"] ** 2)
        return {"dX": dZ @ cache["W"].T, "dW": W(cache["X"].T @ dZ), "db": b(dZ.sum(axis=0))}
    return layer_forward, layer_backward


# "Deep Learning from Scratch".

@stranger
def dlfs_softmax_with_loss(W, b):
    class SoftmaxWithLoss:
        def __init__(self):
            self.loss, self.y, self.t = None, None, None

        def forward(self, x, t):
            self.t, self.y = t, softmax(x)
            if self.t.size == self.y.size:
                self.loss = -np.sum(self.t * np.log(self.y)) / len(self.y)
            else:
                self.loss = -np.sum(np.log(self.y[np.arange(len(self.y)), t])) / len(self.y)
            return self.loss

        def backward(self, dout=1):
            batch_size = self.t.shape[0]
            if self.t.size == self.y.size:
                dx = (self.y - self.t) / batch_size
            else:
                dx = self.y.copy()
                dx[np.arange(batch_size), self.t] -= 1
                dx = dx / batch_size
            return W(dx)
    return SoftmaxWithLoss


@stranger
def dlfs_relu_with_a_mask(W, b):
    class Relu:
        def __init__(self):
            self.mask = None

        def forward(self, x):
            self.mask = (x <= 0)
            out = x.copy()
            out[self.mask] = 0
            return out

        def backward(self, dout):
            dout = dout.copy()
            dout[self.mask] = 0
            return W(dout)
    return Relu


# Frameworks of one's own.

@stranger
def a_context_that_saves(W, b):
    class Multiply:
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, grad_output):
            x, y = ctx.saved_tensors
            return W(y * grad_output), b(x * grad_output)
    return Multiply


@stranger
def one_weight_and_its_grad(W, b):
    class Linear:
        def __init__(self):
            self.weight, self.grad = weights()[0], None

        def forward(self, x):
            self.x = x
            return x @ self.weight

        def backward(self, dy):
            self.grad = W(self.x.T @ dy)
            return dy @ self.weight.T
    return Linear


@stranger
def short_dictionaries(W, b):
    class Dense:
        def __init__(self):
            self.theta_ = dict(zip(("kern", "off"), weights()))
            self.acc = {}

        def forward(self, x):
            self.x = x
            return x @ self.theta_["kern"] + self.theta_["off"]

        def backward(self, dy):
            self.acc["kern"], self.acc["off"] = W(self.x.T @ dy), b(dy.sum(axis=0))
            return dy @ self.theta_["kern"].T
    return Dense


@stranger
def p_and_g(W, b):
    class Dense:
        def __init__(self):
            self.p, self.g = dict(zip("Wb", weights())), {}

        def forward(self, x):
            self.x = x
            return x @ self.p["W"] + self.p["b"]

        def backward(self, dy):
            self.g["W"], self.g["b"] = W(self.x.T @ dy), b(dy.sum(axis=0))
            return dy @ self.p["W"].T
    return Dense


@stranger
def the_only_array_of_that_shape(W, b):
    class Dense:
        def __init__(self):
            self.connections = weights()[0]

        def forward(self, x):
            self.x = x
            return x @ self.connections

        def backward(self, dy):
            self.change = W(self.x.T @ dy)
            return dy @ self.connections.T
    return Dense


@stranger
def a_step_of_its_own_length(W, b):
    class Dense:
        def __init__(self, lr=0.1):
            (self.W, self.b), self.lr = weights(), lr

        def forward(self, x):
            self.x = x
            return x @ self.W + self.b

        def backward(self, dy):
            dx = dy @ self.W.T
            self.W -= self.lr * W(self.x.T @ dy)
            self.b = self.b - self.lr * b(dy.sum(axis=0))
            return dx
    return Dense


@stranger
def a_step_and_the_gradients(W, b):
    class Dense:
        def __init__(self):
            (self.W, self.b), self.learning_rate = weights(), 0.1

        def forward(self, x):
            self.x = x
            return x @ self.W + self.b

        def backward(self, dy):
            self.dW, self.db = W(self.x.T @ dy), b(dy.sum(axis=0))
            dx = dy @ self.W.T
            self.W -= self.learning_rate * self.dW
            self.b -= self.learning_rate * self.db
            return dx
    return Dense


@stranger
def float32_inside(W, b):
    class Dense:
        def __init__(self):
            self.W, self.b = weights()

        def forward(self, x):
            self.x = np.asarray(x, np.float32)
            return (self.x @ self.W.astype("float32")).astype(float) + self.b

        def backward(self, dy):
            self.dW, self.db = W(self.x.T @ dy), b(dy.sum(axis=0))
            return dy @ self.W.T
    return Dense


@stranger
def it_prints(W, b):
    class Dense:
        def __init__(self):
            self.W, self.b = weights()

        def forward(self, x):
            print("forward", x.shape)
            self.x = x
            return x @ self.W + self.b

        def backward(self, dy):
            print("backward", dy.shape)
            self.dW, self.db = W(self.x.T @ dy), b(dy.sum(axis=0))
            return dy @ self.W.T
    return Dense


@stranger
def attention(W, b):
    class Attention:
        def __init__(self, d=7, k=5):
            rng = np.random.default_rng(0)
            self.params = {name: rng.normal(0, 0.5, (d, k)) for name in ("Wq", "Wk", "Wv")}
            self.grads = {}

        def forward(self, x):
            q, k, v = (x @ self.params[name] for name in ("Wq", "Wk", "Wv"))
            a = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]))
            self.cache = x, q, k, v, a
            return a @ v

        def backward(self, dout):
            x, q, k, v, a = self.cache
            da, dv = dout @ v.transpose(0, 2, 1), a.transpose(0, 2, 1) @ dout
            ds = a * (da - (da * a).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
            dq, dk = ds @ k, ds.transpose(0, 2, 1) @ q
            for name, d, hook in (("Wq", dq, W), ("Wk", dk, b), ("Wv", dv, lambda g: g)):
                self.grads[name] = hook(np.einsum("bti,btj->ij", x, d))
            return dq @ self.params["Wq"].T + dk @ self.params["Wk"].T + dv @ self.params["Wv"].T
    return Attention


@stranger
def layer_norm(W, b):
    class LayerNorm:
        def __init__(self, dim, eps=1e-5):
            self.gamma, self.beta, self.eps = np.ones(dim), np.zeros(dim), eps

        def forward(self, x):
            self.rstd = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + self.eps)
            self.xhat = (x - x.mean(axis=-1, keepdims=True)) * self.rstd
            return self.gamma * self.xhat + self.beta

        def backward(self, dy):
            axes = tuple(range(dy.ndim - 1))
            self.dgamma, self.dbeta = W((dy * self.xhat).sum(axis=axes)), b(dy.sum(axis=axes))
            dxhat = dy * self.gamma
            return self.rstd * (dxhat - dxhat.mean(axis=-1, keepdims=True)
                                - self.xhat * (dxhat * self.xhat).mean(axis=-1, keepdims=True))
    return LayerNorm


@stranger
def reparameterisation(W, b):
    class Sampler:
        def forward(self, mu, logvar):
            self.eps, self.sigma = np.random.randn(*mu.shape), np.exp(0.5 * logvar)
            return mu + self.sigma * self.eps

        def backward(self, dz):
            return W(dz.copy()), b(0.5 * dz * self.sigma * self.eps)
    return Sampler


@stranger
def divergence(W, b):
    def kl_loss(mu, logvar):
        kl = 0.5 * np.sum(mu ** 2 + np.exp(logvar) - 1 - logvar, axis=1)
        return kl.mean(), W(mu / len(mu)), b(0.5 * (np.exp(logvar) - 1) / len(mu))
    return kl_loss


@stranger
def loss_without_an_upstream_gradient(W, b):
    class MSE:
        def forward(self, pred, target):
            self.difference = pred - target
            return (self.difference ** 2).mean(axis=1)

        def backward(self):
            return W(2 * self.difference / self.difference.size)
    return MSE


@stranger
def keywords_and_an_optimizer(W, b):
    class Dense:
        def __init__(self, n_in, n_out, activation="relu"):
            self.W, self.b = weights(n_in, n_out)
            self.vW, self.vb = np.zeros_like(self.W), np.zeros_like(self.b)

        def forward(self, x, training=True):
            self.x = x
            return x @ self.W + self.b

        def backward(self, grad, *, momentum=0.9):
            self.dW, self.db = W(self.x.T @ grad), b(grad.sum(axis=0))
            self.vW, self.vb = momentum * self.vW - self.dW, momentum * self.vb - self.db
            return grad @ self.W.T
    return Dense


@stranger
def a_clip_at_six(W, b):
    class ReLU6:
        def __init__(self):
            self.W = weights()[0]

        def forward(self, x):
            self.x, self.h = x, x @ self.W
            return np.minimum(np.maximum(self.h, 0), 6)

        def backward(self, dy):
            dh = dy * ((self.h > 0) & (self.h < 6))
            self.dW = W(self.x.T @ dh)
            return dh @ self.W.T
    return ReLU6


@stranger
def modules_in_a_tree(W, b):
    def linear(n_in, n_out, hooks):
        made = types.SimpleNamespace(weight=types.SimpleNamespace(value=weights(n_in, n_out)[0], grad=None))

        def forward(x):
            made.x = x
            return x @ made.weight.value

        def backward(dy):
            made.weight.grad = hooks(made.x.T @ dy)
            return dy @ made.weight.value.T
        made.forward, made.backward = forward, backward
        return made

    class Sequential:
        def __init__(self):
            self.modules = {"first": linear(7, 6, W), "second": linear(6, 5, b)}

        def __call__(self, x):
            for module in self.modules.values():
                x = module.forward(x)
            return x

        def backward(self, dy):
            for module in reversed(self.modules.values()):
                dy = module.backward(dy)
            return dy
    return Sequential
